"""Real voices for drawn faces: a folder of recordings, cut into tracks; the face follows what the voice tells.

Any audio PyAV opens. The speaker is the first folder below the root, or the part of the file name before the first - or _
where files lie in the root itself (LibriSpeech, VCTK and most others fit one of the two). Pitch tells sex, pitch and
formants tell size, with errors; the rest of the face is drawn at random. (Source: ours.)
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import numpy as np

from dsel.timing import SAMPLE_RATE
from dsel.utils.errors import BadInput

SUFFIXES = (".flac", ".wav", ".mp3", ".ogg", ".opus", ".m4a")
TYPICAL_F3 = 2550.0  # Hz, of a voice whose formant scale is 1


def find(folder) -> dict[str, list[Path]]:
    """Speaker -> recordings, both sorted.

    Raises:
        BadInput: no such folder, or no recording in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder of recordings")
    found: dict[str, list[Path]] = {}
    for path in sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES):
        inside = path.relative_to(root).parts
        name = inside[0] if len(inside) > 1 else re.split("[-_]", path.stem)[0]
        found.setdefault(re.sub(r"\W", "_", name), []).append(path)
    if not found:
        raise BadInput(f"{root}: holds no recordings ({' '.join(SUFFIXES)})")
    return found


@lru_cache(maxsize=16)
def read(path: Path) -> np.ndarray:
    """A recording as float32 (S,), mono, 16 kHz.

    Raises:
        BadInput: it cannot be decoded or has no sound.
    """
    import av

    try:
        with av.open(str(path)) as container:
            resampler = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE)
            blocks = [b for frame in container.decode(audio=0) for b in resampler.resample(frame)]
            blocks += resampler.resample(None)
    except (av.FFmpegError, IndexError) as error:
        raise BadInput(f"{path}: cannot be read as a recording ({error}); remove it or convert it to wav") from error
    if not blocks:
        raise BadInput(f"{path}: has no sound; remove it")
    return np.concatenate([block.to_ndarray()[0] for block in blocks]).astype(np.float32)


def piece(files: list[Path], k: int, tracks: int, seconds: float, rng: np.random.Generator) -> tuple[Path, float]:
    """Where track k of a speaker comes from: a recording and a start in seconds.

    Recordings take turns; each is divided into as many parts as it gives tracks, which overlap only if it is too short.
    One that is shorter than a track leaves its turn to the next; if all are, it is used whole, and silence follows it.

    Raises:
        BadInput: all recordings are shorter than half a track.
    """
    path, turn = files[k % len(files)], k // len(files)
    turns = -(-(tracks - k % len(files)) // len(files))
    if len(read(path)) < seconds * SAMPLE_RATE:
        following = (files[(k + n) % len(files)] for n in range(len(files)))
        path = next((file for file in following if len(read(file)) >= seconds * SAMPLE_RATE), path)
    duration = len(read(path)) / SAMPLE_RATE
    if duration < seconds / 2:
        raise BadInput(f"{path}: lasts {duration:.2f} s, a track {seconds} s; remove it or ask for shorter tracks")
    part = duration / turns
    if part >= seconds:
        return path, float(turn * part + rng.uniform(0, part - seconds))
    return path, float(turn * max(0.0, duration - seconds) / max(1, turns - 1))


def measure(files: list[Path], most: float = 20.0) -> tuple[float, float]:
    """Median pitch in Hz and formant scale of a speaker, from up to `most` seconds of its recordings.

    Pitch by autocorrelation, the third formant by linear prediction, both on voiced 32 ms pieces.
    """
    sound = np.concatenate([read(path) for path in files[:4]])[: int(most * SAMPLE_RATE)]
    pieces = np.lib.stride_tricks.sliding_window_view(sound, 512)[::256] * np.hanning(512)  # (P, 512)
    power = np.abs(np.fft.rfft(pieces, 1024)) ** 2
    r = np.fft.irfft(power)[:, :320]
    voiced = (r[:, 0] > 0.1 * np.quantile(r[:, 0], 0.95)) & (r[:, 40:].max(1) > 0.35 * r[:, 0])
    if voiced.sum() < 10:
        return float(np.nan), 1.0
    fall = np.correlate(np.hanning(512), np.hanning(512), "full")[511 : 511 + 320]
    shorter = np.linspace(1, 0.85, 280)  # of two lags that fit alike, an octave apart, the shorter
    lag = 40 + (r[voiced, 40:] / fall[40:] * shorter).argmax(1)
    thirds = [f for f in (_third_formant(x) for x in pieces[voiced][:400]) if f]
    return float(np.median(SAMPLE_RATE / lag)), float(np.median(thirds) / TYPICAL_F3) if thirds else 1.0


def views(pitch: float, scale: float) -> tuple[float, float] | None:
    """What pitch and formants say about (sex in -1..1, size): the inverse of `voice.voice_of`; None if nothing was voiced."""
    if not np.isfinite(pitch):
        return None
    sex = float(np.clip((np.log(165) - np.log(pitch)) / 0.36, -1, 1))  # 165 Hz: between the sexes' median pitches
    size = float(np.clip((0.065 - 0.085 * sex - np.log(scale)) / 0.045, -2, 2))
    return sex, size


def _third_formant(x: np.ndarray) -> float | None:
    """The resonance between 2 and 3.3 kHz with the narrowest band, by linear prediction of order 18 (pre-emphasised)."""
    x = np.append(x[0], x[1:] - 0.95 * x[:-1])
    r = np.fft.irfft(np.abs(np.fft.rfft(x, 1024)) ** 2)[:19]
    lags = np.abs(np.subtract.outer(np.arange(18), np.arange(18)))
    a = np.linalg.solve(r[lags] + 1e-6 * r[0] * np.eye(18), r[1:])
    roots = np.roots(np.concatenate([[1], -a]))
    hz = np.angle(roots) * SAMPLE_RATE / (2 * np.pi)
    inside = (hz > 2000) & (hz < 3300) & (np.abs(roots) > 0.85)
    return float(hz[inside][np.abs(roots[inside]).argmax()]) if inside.any() else None
