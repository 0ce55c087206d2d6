"""A speaker's voice: latents -> an espeak-ng voice file -> a waveform with phoneme times.

    pitch   f0 = exp(ln 152 - 0.36 sex - 0.06 size + 0.08 z0 - age)     Hz; about 115 for men, 200 for women
    tract   s  = exp(0.065 - 0.085 sex - 0.055 size + 0.025 z2 - age)    scale of all formants, times own ones for F1..F4
    and range, tilt, roughness, flutter, breath, rate and one of eight English accents, each from a normal of its own.

A voice is the same in all of a person's tracks but for a mood: small changes of pitch, range and rate drawn per track.
(Source: ours.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from dsel.timing import SAMPLE_RATE
from dsel.toy.speaker import Speaker
from dsel.toy.speech.espeak import PHONEME, WORD, Espeak

ACCENTS = ("en", "en-us", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-us-nyc", "en-029")
PAUSES = ("_", "_:", "_^_", "")


@dataclass(frozen=True)
class Voice:
    """The parameters that espeak is given. Frequencies in Hz, scales relative to espeak's own male voice."""

    f0: float  # low end of the pitch, Hz
    span: float  # high end over low end
    formants: tuple[float, ...]  # scale of F0 (the murmur), F1 .. F8
    widths: tuple[float, ...]  # their bandwidth, relative
    tilt: float  # dB an octave above 500 Hz
    roughness: int  # 0..7: every other glottal pulse weaker
    flutter: int  # wobble of the pitch
    breath: int  # noise in the voiced sounds
    rate: float  # words a minute
    accent: str


@dataclass(frozen=True)
class Utterance:
    """Speech at 16 kHz with its phonemes (start s, end s, espeak's mnemonic, word), pauses included as "_"."""

    waveform: np.ndarray  # float32 (S,)
    phonemes: list[tuple[float, float, str, str]]

    @property
    def seconds(self) -> float:
        return len(self.waveform) / SAMPLE_RATE


def voice_of(speaker: Speaker) -> Voice:
    """The voice that belongs to a speaker's latents."""
    z, sex, size = speaker.voice, speaker.voice_sex, speaker.voice_size
    ageing = (speaker.voice_age - 45) / 35  # about -0.8 .. 1
    f0 = np.exp(np.log(152) - 0.36 * sex - 0.06 * size + 0.08 * z[0] - ageing * (0.05 if sex > 0 else 0.10))
    scale = np.exp(0.065 - 0.085 * sex - 0.055 * size + 0.025 * z[2] - 0.02 * ageing)
    own = np.exp(0.035 * np.array([0, z[3], z[4], z[5], z[5] - z[4], 0, 0, 0, 0]))
    formants = tuple(np.clip(scale * own, 0.75, 1.35).round(4).tolist())
    breath = 6 * np.exp(0.8 * z[9]) * (1.5 if sex < 0 else 0.8) + 10 * max(0.0, ageing)
    return Voice(
        f0=round(float(np.clip(f0, 65, 290)), 2),
        span=round(float(1 + 0.42 * np.exp(0.3 * z[1])), 4),
        formants=formants,
        widths=tuple([round(float(np.exp(0.18 * z[6] * z[7])), 4)] * len(formants)),
        tilt=round(float(-1.5 * z[6]), 3),
        roughness=int(np.clip(round(1.5 + 1.2 * z[7] + 2.5 * max(0.0, ageing)), 0, 7)),
        flutter=int(np.clip(round(2.5 * np.exp(0.5 * z[8]) + 3 * max(0.0, ageing)), 0, 15)),
        breath=int(np.clip(round(breath), 0, 45)),
        rate=round(float(np.clip(185 * np.exp(0.08 * z[10] - 0.14 * ageing), 130, 270)), 1),
        accent=ACCENTS[min(int(NormalDist().cdf(z[11]) * len(ACCENTS)), len(ACCENTS) - 1)],
    )


def in_mood(voice: Voice, rng: np.random.Generator) -> Voice:
    """The same voice on another day: pitch by about 4 %, range by 12 %, rate by 6 %."""
    pitch, span, rate = rng.standard_normal(3)
    return replace(
        voice,
        f0=round(float(np.clip(voice.f0 * np.exp(0.04 * pitch), 60, 310)), 2),
        span=round(float(1 + (voice.span - 1) * np.exp(0.12 * span)), 4),
        rate=round(float(np.clip(voice.rate * np.exp(0.06 * rate), 125, 290)), 1),
    )


def voice_file(voice: Voice) -> str:
    """The voice as the text of an espeak-ng voice variant."""
    low, high = round(voice.f0), round(voice.f0 * voice.span)
    lines = ["language variant", "name own", f"pitch {low} {high}"]
    lines += [
        f"formant {n} {round(100 * scale)} 100 {round(100 * width)}"
        for n, (scale, width) in enumerate(zip(voice.formants, voice.widths, strict=True))
    ]
    lines += [
        f"roughness {voice.roughness}",
        f"flutter {voice.flutter}",
        "breath " + " ".join(str(round(voice.breath * part)) for part in (0, 0.5, 1, 1, 1, 1, 0.8, 0.6)),
        "tone " + " ".join(f"{hz} {level}" for hz, level in _tone(voice.tilt)),
    ]
    return "\n".join(lines) + "\n"


def say(espeak: Espeak, voice: Voice, text: str) -> Utterance:
    """Speak a text: 16 kHz, with phoneme times in seconds from its beginning.

    The same voice and text always give the same samples on one machine.
    """
    hz, data, events = espeak.say(text, language=voice.accent, voice=voice_file(voice), rate=round(voice.rate))
    samples = np.frombuffer(data, np.int16).astype(np.float32) / 32768
    return Utterance(resample(samples, hz), _phonemes(events, text, hz, len(samples)))


def resample(samples: np.ndarray, hz: int) -> np.ndarray:
    """float32 (S,) at hz -> float32 at 16 kHz, by SciPy's polyphase filter (no delay)."""
    from scipy.signal import resample_poly

    common = np.gcd(SAMPLE_RATE, hz)
    return resample_poly(samples, SAMPLE_RATE // common, hz // common).astype(np.float32)


def factors(voice: Voice) -> dict[str, float | str]:
    """The voice's parameters as columns of tracks.csv."""
    names = {f"voice_f{n}_scale": scale for n, scale in enumerate(voice.formants) if 1 <= n <= 4}
    return {
        "voice_f0": voice.f0,
        "voice_span": voice.span,
        **names,
        "voice_width": voice.widths[0],
        "voice_tilt": voice.tilt,
        "voice_roughness": voice.roughness,
        "voice_flutter": voice.flutter,
        "voice_breath": voice.breath,
        "voice_rate": voice.rate,
        "voice_accent": voice.accent,
    }


def _tone(tilt: float) -> list[tuple[int, int]]:
    """espeak's equaliser for voiced sounds: level 0..255 at a few frequencies, rising by `tilt` dB an octave."""
    usual = ((300, 200), (600, 190), (1200, 150), (2400, 120), (4800, 110))
    return [(hz, int(np.clip(round(level * 10 ** (tilt * np.log2(hz / 600) / 20)), 20, 255))) for hz, level in usual]


def _phonemes(events: list[tuple], text: str, hz: int, samples: int) -> list[tuple[float, float, str, str]]:
    starts = [(at, name) for kind, at, name, _ in events if kind == PHONEME]
    ends = [at for at, _ in starts[1:]] + [samples]
    words = [(at, text[position : position + length]) for kind, at, position, length in events if kind == WORD]
    found, word, upcoming = [], "", 0
    for (start, name), end in zip(starts, ends, strict=True):
        while upcoming < len(words) and words[upcoming][0] <= start:
            word, upcoming = words[upcoming][1], upcoming + 1
        pause = name in PAUSES
        if end > start:
            found.append((start / hz, end / hz, "_" if pause else name, "" if pause else word))
    return found
