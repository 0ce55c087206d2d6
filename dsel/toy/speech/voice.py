"""Give a speaker a voice: latents -> an espeak-ng voice file -> a waveform with phoneme times.

    pitch   f0 = exp(ln 152 - 0.36 sex - 0.06 size + 0.08 z0 - ageing)    Hz; men 115, women 200
    tract   s  = exp(0.065 - 0.085 sex - 0.055 size + 0.025 z2 - ageing)  scale of all formants

z0 and z2 are own latents of the voice. More of them change the scales of F1 to F4, the range of the
pitch, tilt, roughness, flutter, breath, rate, and which of eight English accents is spoken.

A person has the same voice in all tracks, except for small random changes of pitch, range and rate
per track, the mood. (Source: ours.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from dsel.timing import SAMPLE_RATE
from dsel.toy.speaker import Speaker
from dsel.toy.speech.espeak import PHONEME, WORD, Espeak

ACCENTS = (
    "en",
    "en-us",
    "en-gb-scotland",
    "en-gb-x-rp",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-us-nyc",
    "en-029",
)
PAUSES = ("_", "_:", "_^_", "")  # espeak's names of a pause


_BREATH = (0, 0.5, 1, 1, 1, 1, 0.8, 0.6)  # share of Voice.breath in espeak's eight bands


@dataclass(frozen=True)
class Voice:
    """Hold the parameters of a voice. Scales are relative to espeak's own male voice."""

    f0: float  # lowest pitch in Hz
    span: float  # highest pitch divided by the lowest
    formants: tuple[float, ...]  # frequency scale of espeak's formants 0 (nasal), 1 .. 8
    widths: tuple[float, ...]  # scale of their bandwidths
    tilt: float  # of the spectrum, dB per octave
    roughness: int  # 0..7: how much weaker every second glottal pulse is
    flutter: int  # 0..15: random changes of the pitch
    breath: int  # 0..45: noise in voiced sounds
    rate: float  # words per minute
    accent: str


@dataclass(frozen=True)
class Utterance:
    """Hold speech at 16 kHz and its phonemes."""

    waveform: np.ndarray  # float32 (S,)
    # start (s), end (s), espeak's mnemonic, word; a pause has the mnemonic "_" and no word
    phonemes: list[tuple[float, float, str, str]]

    @property
    def seconds(self) -> float:
        """Length of the waveform in seconds."""
        return len(self.waveform) / SAMPLE_RATE


def voice_of(speaker: Speaker) -> Voice:
    """Compute the voice of a speaker from the latents voice, voice_sex, voice_age, voice_size."""
    z, sex, size = speaker.voice, speaker.voice_sex, speaker.voice_size
    ageing = (speaker.voice_age - 45) / 35  # about -0.8 .. 1
    lower = ageing * (0.05 if sex > 0 else 0.10)  # age lowers the pitch, more for women
    f0 = np.exp(np.log(152) - 0.36 * sex - 0.06 * size + 0.08 * z[0] - lower)
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
    """Return the voice in a random mood: pitch changes by about 4 %, range by 12 %, rate by 6 %."""
    pitch, span, rate = rng.standard_normal(3)
    return replace(
        voice,
        f0=round(float(np.clip(voice.f0 * np.exp(0.04 * pitch), 60, 310)), 2),
        span=round(float(1 + (voice.span - 1) * np.exp(0.12 * span)), 4),
        rate=round(float(np.clip(voice.rate * np.exp(0.06 * rate), 125, 290)), 1),
    )


def voice_file(voice: Voice) -> str:
    """Return the text of an espeak-ng voice variant file."""
    low, high = round(voice.f0), round(voice.f0 * voice.span)
    lines = ["language variant", "name own", f"pitch {low} {high}"]
    lines += [
        f"formant {n} {round(100 * scale)} 100 {round(100 * width)}"
        for n, (scale, width) in enumerate(zip(voice.formants, voice.widths, strict=True))
    ]
    lines += [
        f"roughness {voice.roughness}",
        f"flutter {voice.flutter}",
        " ".join(["breath", *(str(round(voice.breath * part)) for part in _BREATH)]),
        " ".join(["tone", *(f"{hz} {level}" for hz, level in _tone(voice.tilt))]),
    ]
    return "\n".join(lines) + "\n"


def say(espeak: Espeak, voice: Voice, text: str) -> Utterance:
    """Speak a text.

    Args:
        espeak: a running server.
        voice: from `voice_of`.
        text: English words.
    Returns:
        The utterance; times count from its beginning. The same voice and text always give the same
        samples on one machine.
    """
    hz, data, events = espeak.say(
        text, language=voice.accent, voice=voice_file(voice), rate=round(voice.rate)
    )
    samples = np.frombuffer(data, np.int16).astype(np.float32) / 32768
    return Utterance(resample(samples, hz), _phonemes(events, text, hz, len(samples)))


def resample(samples: np.ndarray, hz: int) -> np.ndarray:
    """Resample float32 (S,) from `hz` to 16 kHz with SciPy's polyphase filter, without delay."""
    from scipy.signal import resample_poly

    common = np.gcd(SAMPLE_RATE, hz)
    return resample_poly(samples, SAMPLE_RATE // common, hz // common).astype(np.float32)


def factors(voice: Voice) -> dict[str, float | str]:
    """Return the parameters of a voice as columns of tracks.csv, prefixed "voice_"."""
    scales = {f"voice_f{n}_scale": scale for n, scale in enumerate(voice.formants) if 1 <= n <= 4}
    return {
        "voice_f0": voice.f0,
        "voice_span": voice.span,
        **scales,
        "voice_width": voice.widths[0],
        "voice_tilt": voice.tilt,
        "voice_roughness": voice.roughness,
        "voice_flutter": voice.flutter,
        "voice_breath": voice.breath,
        "voice_rate": voice.rate,
        "voice_accent": voice.accent,
    }


def _tone(tilt: float) -> list[tuple[int, int]]:
    """Return espeak's equaliser for voiced sounds: pairs of a frequency in Hz and a level 0..255.

    The levels rise by `tilt` dB per octave, relative to espeak's default.
    """
    usual = ((300, 200), (600, 190), (1200, 150), (2400, 120), (4800, 110))
    return [
        (hz, int(np.clip(round(level * 10 ** (tilt * np.log2(hz / 600) / 20)), 20, 255)))
        for hz, level in usual
    ]


def _phonemes(
    events: list[tuple], text: str, hz: int, samples: int
) -> list[tuple[float, float, str, str]]:
    """Turn espeak's events into timed phonemes.

    Args:
        events: (type, sample, mnemonic or position in the text, length of a word), in order.
        text: what was spoken.
        hz: sampling rate.
        samples: length of the utterance.
    Returns:
        As `Utterance.phonemes`.
    """
    starts = [(sample, name) for event, sample, name, _ in events if event == PHONEME]
    ends = [sample for sample, _ in starts[1:]] + [samples]
    words = [
        (sample, text[position : position + length])
        for event, sample, position, length in events
        if event == WORD
    ]
    phonemes, word, upcoming = [], "", 0  # upcoming: index of the next word
    for (start, name), end in zip(starts, ends, strict=True):
        while upcoming < len(words) and words[upcoming][0] <= start:
            word, upcoming = words[upcoming][1], upcoming + 1
        pause = name in PAUSES
        if end > start:
            phonemes.append((start / hz, end / hz, "_" if pause else name, "" if pause else word))
    return phonemes
