"""Simulate a microphone in a room, drawn at random for every track.

    recording = gain * ( equaliser( voice * room ) + noise )

All of this is nuisance: it is independent of the speaker and of the picture. The direct sound is
not delayed. (Source: ours.)
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from dsel.timing import SAMPLE_RATE

BANDS = 10  # points of the equaliser, evenly spaced on the mel scale from 0 to 8 kHz
SNR = (10.0, 30.0)  # lowest and highest signal-to-noise ratio in dB, drawn uniformly


@dataclass(frozen=True)
class Room:
    """Hold the microphone and the room of one track."""

    equaliser: tuple[float, ...]  # gain in dB at BANDS points
    echo_seconds: float  # time in which the reverberation falls by 60 dB; 0: no reverberation
    echo_level: float  # dB of the reverberation relative to the direct sound
    snr: float  # signal-to-noise ratio in dB
    noise_slope: float  # of the noise's spectrum, dB per octave
    level: float  # root mean square of the recording in dB relative to full scale
    noise_seed: int


def draw_room(rng: np.random.Generator, equaliser: float = 1.0) -> Room:
    """Draw a random microphone and room.

    Args:
        rng: the random stream.
        equaliser: strength of the equaliser; 1 is a standard deviation of 3 dB per band.
    """
    gains = 3 * equaliser * rng.standard_normal(BANDS)
    reverberant = rng.random() < 0.5
    return Room(
        equaliser=tuple((gains - gains.mean()).round(3).tolist()),
        echo_seconds=round(float(rng.uniform(0.1, 0.5)), 3) if reverberant else 0.0,
        echo_level=round(float(rng.uniform(-18, -6)), 2),
        snr=round(float(rng.uniform(*SNR)), 2),
        noise_slope=round(float(rng.uniform(-6, 0)), 2),
        level=round(float(rng.uniform(-32, -20)), 2),
        noise_seed=int(rng.integers(2**31)),
    )


def record(waveform: np.ndarray, room: Room) -> np.ndarray:
    """Record a voice with this microphone in this room.

    Args:
        waveform: float32 (S,) at 16 kHz.
        room: from `draw_room`.
    Returns:
        float32 (S,) in [-1, 1].
    """
    rng = np.random.default_rng(room.noise_seed)
    size = _fast_length(len(waveform) + SAMPLE_RATE // 2)
    hz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    spectrum = np.fft.rfft(waveform, size) * _response(room, hz)
    if room.echo_seconds:
        spectrum *= 1 + np.fft.rfft(_echo(rng, room), size)
    speech = np.fft.irfft(spectrum, size)[: len(waveform)]
    colour = 10 ** (room.noise_slope * np.log2(np.maximum(hz, 60) / 1000) / 20)
    white = np.fft.rfft(rng.standard_normal(len(waveform)), size)
    coloured = white * (colour * np.sqrt(_response(room, hz)))
    noise = np.fft.irfft(coloured, size)[: len(waveform)]
    mixed = speech / _rms(speech) + noise / _rms(noise) * 10 ** (-room.snr / 20)
    mixed *= 10 ** (room.level / 20) / _rms(mixed)
    return (mixed / max(1.0, np.abs(mixed).max() / 0.99)).astype(np.float32)


def factors(room: Room) -> dict[str, float]:
    """Return the room's parameters as columns of tracks.csv, prefixed "room_"."""
    values = {k: v for k, v in asdict(room).items() if k != "noise_seed"}
    bands = values.pop("equaliser")
    return {
        **{f"room_{k}": v for k, v in values.items()},
        **{f"room_eq{k}": v for k, v in enumerate(bands)},
    }


def _response(room: Room, hz: np.ndarray) -> np.ndarray:
    """Return the gain of the equaliser at each frequency in `hz`, a factor.

    Decibels are interpolated on the mel scale. The gain has no phase, so nothing is delayed.
    """
    mel = np.log1p(hz / 700)
    points = np.linspace(0, np.log1p(SAMPLE_RATE / 2 / 700), BANDS)
    return 10 ** (np.interp(mel, points, room.equaliser) / 20)


def _echo(rng: np.random.Generator, room: Room) -> np.ndarray:
    """Return reverberation (S,): noise from 5 ms on that falls by 60 dB in echo_seconds."""
    length = int(room.echo_seconds * SAMPLE_RATE)
    tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail[: SAMPLE_RATE // 200] = 0
    return tail * 10 ** (room.echo_level / 20) / np.sqrt((tail**2).sum())


def _rms(x: np.ndarray) -> float:
    """Return the root mean square, never quite 0."""
    return float(np.sqrt(np.mean(np.square(x))) + 1e-9)


def _fast_length(samples: int) -> int:
    """Return the next multiple of 4096: an FFT of that length is fast."""
    return -(-samples // 4096) * 4096
