"""Turn phonemes into mouth shapes: which shape a sound needs, and how neighbouring shapes blend.

A mouth is described by a few numbers in [0, 1], the `CHANNELS`. Each sound of espeak-ng's English
belongs to a viseme (a class of sounds that look alike). Each viseme has a target per channel.
Neighbouring targets blend by dominance (after Cohen and Massaro, 1993)::

    m_k(tau) = sum_i w_ik(tau) x_ik / sum_i w_ik(tau)                 x_ik: target of sound i
    w_ik(tau) = alpha_ik [ S((e_i - tau) / h) - S((s_i - tau) / h) ]  S: the logistic function

Sound i lasts from s_i to e_i. Its weight in channel k grows with its dominance alpha_ik and with
the part that it fills of a window of width h around tau. The window is symmetric, so the mouth
neither leads nor lags. Some shapes are necessary for a sound: closed lips for p b m, the lip under
the teeth for f v, the tongue between the teeth for th. They are enforced during the sound, however
short it is. (Source: ours.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsel.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

# opening: gap between the lips; width: distance of the corners; rounding: 0 lens, 1 ring;
# protrusion: lips forward; teeth: how much of the upper row shows; tongue: tip raised and forward;
# jaw: how far it drops; tuck: lower lip under the upper teeth.
CHANNELS = ("opening", "width", "rounding", "protrusion", "teeth", "tongue", "jaw", "tuck")

VISEMES = {
    #                opening width round  protr  teeth tongue jaw   tuck
    "rest":          (0.00, 0.50, 0.10, 0.10, 0.00, 0.00, 0.00, 0.00),  # silence
    "closed":        (0.00, 0.46, 0.15, 0.20, 0.00, 0.00, 0.06, 0.00),  # p b m
    "lip_teeth":     (0.16, 0.52, 0.00, 0.00, 1.00, 0.00, 0.12, 1.00),  # f v
    "tongue_teeth":  (0.30, 0.52, 0.05, 0.05, 0.75, 1.00, 0.22, 0.00),  # th
    "alveolar":      (0.28, 0.56, 0.05, 0.05, 0.70, 0.40, 0.18, 0.00),  # t d n
    "lateral":       (0.42, 0.52, 0.10, 0.10, 0.45, 0.80, 0.32, 0.00),  # l
    "sibilant":      (0.17, 0.72, 0.00, 0.00, 1.00, 0.05, 0.06, 0.00),  # s z
    "postalveolar":  (0.32, 0.26, 0.65, 0.95, 0.95, 0.00, 0.14, 0.00),  # sh zh ch j
    "velar":         (0.36, 0.52, 0.10, 0.05, 0.40, 0.05, 0.32, 0.00),  # k g ng
    "glottal":       (0.45, 0.52, 0.10, 0.05, 0.35, 0.05, 0.40, 0.00),  # h
    "rhotic":        (0.28, 0.30, 0.60, 0.65, 0.30, 0.15, 0.22, 0.00),  # r
    "labiovelar":    (0.10, 0.06, 1.00, 1.00, 0.00, 0.00, 0.14, 0.00),  # w
    "open_back":     (1.00, 0.50, 0.25, 0.10, 0.30, 0.05, 1.00, 0.00),  # father
    "open_front":    (0.85, 0.80, 0.05, 0.00, 0.60, 0.10, 0.80, 0.00),  # trap
    "mid":           (0.60, 0.66, 0.10, 0.05, 0.50, 0.10, 0.52, 0.00),  # dress, strut
    "central":       (0.42, 0.50, 0.20, 0.15, 0.35, 0.10, 0.36, 0.00),  # about, nurse
    "near_spread":   (0.36, 0.74, 0.00, 0.00, 0.60, 0.15, 0.26, 0.00),  # kit
    "spread":        (0.26, 0.96, 0.00, 0.00, 0.85, 0.10, 0.12, 0.00),  # fleece, yes
    "round_open":    (0.70, 0.24, 0.85, 0.65, 0.10, 0.00, 0.66, 0.00),  # thought, lot
    "round_close":   (0.22, 0.10, 1.00, 0.95, 0.00, 0.00, 0.20, 0.00),  # goose, foot
}  # fmt: skip

_GROUPS = {
    "rest": "_ _: _:: _! _| || ; | ? ,",
    "closed": "p b m m- p# b#",
    "lip_teeth": "f v v#",
    "tongue_teeth": "T D T2",
    "alveolar": "t d n t2 t# d# n- n# t[ d[ * ? n^",
    "lateral": "l L l# l^ l/ l/2 l/3",
    "sibilant": "s z ts z# z/2 s;",
    "postalveolar": "S Z tS dZ S; Z;",
    "velar": "k g N x Q C k# g# N^",
    "glottal": "h h# H",
    "rhotic": "r R r- r/ r# r2 A~ R2",
    "labiovelar": "w w# W",
    "open_back": "A: A A# A2 aa",
    "open_front": "a a: a# a2 & ae",
    "mid": "E E# E2 E: e e: V V: V#",
    "central": "@ @2 @5 @- @: @# 3 3: 3# 8 VR",
    "near_spread": "I I# I2 i2 y",
    "spread": "i i: i# j j#",
    "round_open": "O O: O# O2 0 0# 02 o o: o# oO",
    "round_close": "U U# U2 u u: u# u2 Y",
}
VISEME_OF = {mnemonic: viseme for viseme, names in _GROUPS.items() for mnemonic in names.split()}
VISEME_OF["?"] = "glottal"  # a glottal stop: the lips do what the neighbouring sounds need

_STRESS = "'`,%="  # marks that espeak-ng puts before or after a sound
_WINDOW = 0.018  # h in seconds; the logistic window has a standard deviation of 1.81 h = 33 ms
_RELEASE = 0.050  # seconds from an enforced shape to free movement
# alpha of sounds whose shape follows their neighbours; 1 for all others
_WEAK = {"glottal": 0.25, "velar": 0.6, "alveolar": 0.7, "central": 0.7, "rest": 0.8}
_STRONG: dict[
    str, dict[str, float]
] = {  # factor on alpha in the channels that matter most for a sound
    "labiovelar": {"rounding": 3, "protrusion": 3, "width": 3},
    "round_close": {"rounding": 2, "protrusion": 2, "width": 2},
    "round_open": {"rounding": 1.5, "protrusion": 1.5},
    "postalveolar": {"protrusion": 3, "teeth": 2},
    "rhotic": {"protrusion": 1.5},
    "sibilant": {"teeth": 2, "jaw": 2},
    "spread": {"width": 1.5},
}
_ENFORCED = {  # channel values that hold during the whole sound
    "closed": {"opening": 0.0, "teeth": 0.0, "tongue": 0.0, "tuck": 0.0},
    "lip_teeth": {"tuck": 1.0, "teeth": 1.0, "opening": 0.16, "tongue": 0.0},
    "tongue_teeth": {"tongue": 1.0, "opening": 0.30, "teeth": 0.75, "tuck": 0.0},
}


def _units(phoneme: str) -> list[str]:
    """Return the visemes of a mnemonic: one for most sounds, two for a diphthong.

    The mnemonic is cut into entries of VISEME_OF, the longest possible one first.
    """
    rest, visemes = phoneme.lstrip(_STRESS), []
    while rest:
        for length in range(len(rest), 0, -1):
            if rest[:length] in VISEME_OF:
                visemes.append(VISEME_OF[rest[:length]])
                break
        rest = rest[length:]
    return visemes or ["rest" if not phoneme.strip(_STRESS) else "central"]


def viseme_of(phoneme: str) -> str:
    """Return the viseme of an espeak-ng mnemonic; of a diphthong, the first one.

    Unknown mnemonics give "central"; nothing is ever raised.

    >>> viseme_of("m"), viseme_of("'i:"), viseme_of("aI")
    ('closed', 'spread', 'open_front')
    """
    return _units(phoneme)[0]


def trajectory(phonemes: Sequence[tuple[float, float, str]], frames: int) -> np.ndarray:
    """Compute mouth shapes for timed phonemes, one at the centre of each video frame.

    Args:
        phonemes: (start, end, espeak mnemonic) in seconds, in order.
        frames: T, the number of frames from time 0.
    Returns:
        float32 (T, len(CHANNELS)) in [0, 1]. Where there is no phoneme, the mouth is at rest.
    """
    tau = (np.arange(frames) + 0.5) / FPS  # (T,)
    start, end, names = _segments(phonemes, frames / FPS)  # each (P,)
    x = np.array([VISEMES[name] for name in names])  # (P, K)
    alpha = np.array([_dominance(name) for name in names])  # (P, K)
    to_end, to_start = (end[:, None] - tau) / _WINDOW, (start[:, None] - tau) / _WINDOW
    fill = _logistic(to_end) - _logistic(to_start)  # (P, T)
    w = fill[:, :, None] * alpha[:, None, :] + 1e-9  # (P, T, K)
    mouth = (w * x[:, None, :]).sum(0) / w.sum(0)  # (T, K)
    for viseme in ("tongue_teeth", "lip_teeth", "closed"):  # closed lips come last and win
        gate = np.zeros(frames)
        for s, e, name in zip(start, end, names, strict=True):
            if name == viseme:
                gate = np.maximum(gate, _gate(tau, s, e))
        for channel, value in _ENFORCED[viseme].items():
            k = CHANNELS.index(channel)
            mouth[:, k] += gate * (value - mouth[:, k])
    return mouth.clip(0, 1).astype(np.float32)


def _segments(
    phonemes: Sequence[tuple[float, float, str]], duration: float
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Cut phonemes into visemes, with rest in the gaps and for a second at both ends.

    Args:
        phonemes: (start, end, mnemonic) in seconds.
        duration: of the track in seconds.
    Returns:
        Start (P,), end (P,) and viseme of each of the P segments.
    """
    segments, covered = [], -1.0  # covered: end of the last segment, s
    for s, e, phoneme in phonemes:
        if s > covered + 1e-4:
            segments.append((covered, s, "rest"))
        units = _units(phoneme)
        cuts = np.linspace(s, e, len(units) + 1)
        segments += list(zip(cuts[:-1], cuts[1:], units, strict=True))
        covered = max(covered, e)
    segments.append((covered, max(covered, duration) + 1.0, "rest"))
    start, end, names = zip(*segments, strict=True)
    return np.array(start), np.array(end), list(names)


def _dominance(viseme: str) -> list[float]:
    """Return alpha of a viseme, one number per channel."""
    weak, strong = _WEAK.get(viseme, 1.0), _STRONG.get(viseme, {})
    return [weak * strong.get(channel, 1.0) for channel in CHANNELS]


def _gate(tau: np.ndarray, s: float, e: float) -> np.ndarray:
    """Return (T,): 1 where tau is in [s, e], falling smoothly to 0 within the release.

    A sound so short that no frame centre tau lies in it gets the nearest frame.
    """
    nearest = tau[np.abs(tau - (s + e) / 2).argmin()] if len(tau) else 0.0
    if not ((tau >= s) & (tau <= e)).any() and abs(nearest - (s + e) / 2) <= 0.5 / FPS + 1e-9:
        s, e = min(s, nearest), max(e, nearest)
    away = np.maximum(np.maximum(s - tau, tau - e), 0) / _RELEASE
    return np.where(away < 1, 0.5 + 0.5 * np.cos(np.pi * np.minimum(away, 1)), 0.0)


def _logistic(z: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-z)) without overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * z)


def from_sound(waveform: np.ndarray, frames: int) -> np.ndarray:
    """Guess mouth shapes from a recording that has no phoneme labels.

    Loudness opens the mouth, hiss shows the teeth. Two spectral centroids replace the formants F1
    (how open) and F2 (how spread). This is a rough approximation.

    Args:
        waveform: float (S,) at 16 kHz; padded with zeros if it is too short.
        frames: T, the number of frames.
    Returns:
        float32 (T, len(CHANNELS)) in [0, 1], computed from 64 ms around the centre of each frame.
    """
    if not frames:
        return np.zeros((0, len(CHANNELS)), np.float32)
    length = 1024
    padded = np.zeros(frames * SAMPLES_PER_FRAME + length)
    half = (length - SAMPLES_PER_FRAME) // 2  # the waveform starts at this sample of `padded`
    sound = np.asarray(waveform, np.float64)[: frames * SAMPLES_PER_FRAME]
    padded[half : half + len(sound)] = sound
    windows = np.lib.stride_tricks.sliding_window_view(padded, length)[::SAMPLES_PER_FRAME][:frames]
    power = np.abs(np.fft.rfft(windows * np.hanning(length), axis=1)) ** 2 + 1e-10  # (T, 513)
    hertz = np.fft.rfftfreq(length, 1 / SAMPLE_RATE)

    def band(low: float, high: float) -> np.ndarray:  # (T, bins from low to high Hz)
        return power[:, (hertz >= low) & (hertz < high)]

    def centroid(low: float, high: float) -> np.ndarray:
        inside = hertz[(hertz >= low) & (hertz < high)]
        weight = np.sqrt(band(low, high))
        return ((weight @ inside) / weight.sum(1) - low) / (high - low)  # (T,) in [0, 1]

    level = 10 * np.log10(band(80, 8000).sum(1))
    top = np.quantile(level, 0.95)
    loud = ((level - max(top - 35, np.quantile(level, 0.05) + 6)) / 30).clip(0, 1)
    hiss = (band(3500, 8000).sum(1) / band(80, 8000).sum(1)).clip(0, 1) * (loud > 0)
    voiced = loud * (1 - hiss)
    f1 = ((centroid(200, 1000) - 0.30) / 0.30).clip(0, 1)
    f2 = ((centroid(800, 2800) - 0.30) / 0.35).clip(0, 1)
    rounding = voiced * (1 - f2) * (1 - 0.5 * f1)
    mouth = {
        "opening": (voiced * (0.25 + 0.75 * f1) + 0.18 * hiss),
        "width": 0.5 + 0.45 * voiced * (2 * f2 - 1) + 0.2 * hiss,
        "rounding": 0.1 + 0.8 * rounding,
        "protrusion": 0.1 + 0.7 * rounding,
        "teeth": 0.45 * voiced * f2 + 0.95 * hiss,
        "tongue": 0.10 * voiced,
        "jaw": 0.9 * voiced * (0.2 + 0.8 * f1),
        "tuck": 0.0 * loud,
    }
    return np.stack([mouth[channel] for channel in CHANNELS], 1).clip(0, 1).astype(np.float32)
