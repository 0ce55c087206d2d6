"""Use real voices for drawn faces: cut a folder of recordings into tracks, and measure the voices.

PyAV must be able to open the files. The speaker of a file is the first folder below the root. For a
file in the root itself, it is the part of the file name before the first "-" or "_". One folder of
LibriSpeech and most other corpora fit one of the two; whole archives of LibriSpeech and VCTK are
listed by torchaudio. The face has to agree with the voice: sex is estimated from pitch, and size
from pitch and formants, with errors. The rest of the face is drawn at random. (Source: ours.)
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import numpy as np

from dsel.corpus import published
from dsel.timing import SAMPLE_RATE
from dsel.utils.containers import open_to_read
from dsel.utils.errors import BadInput

SUFFIXES = (".flac", ".wav", ".mp3", ".ogg", ".opus", ".m4a")
TYPICAL_F3 = 2550.0  # third formant in Hz of a voice with formant scale 1


def find(folder: str | Path) -> dict[str, list[Path]]:
    """Return the recordings of each speaker in a folder, both sorted by name.

    Raises:
        BadInput: there is no such folder, or no recording in it; or torchaudio cannot list it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder of recordings")
    if listed := published.recordings(root):
        return listed
    files: dict[str, list[Path]] = {}
    for path in sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES):
        inside = path.relative_to(root).parts
        name = inside[0] if len(inside) > 1 else re.split("[-_]", path.stem)[0]
        files.setdefault(re.sub(r"\W", "_", name), []).append(path)
    if not files:
        raise BadInput(f"{root}: holds no recordings ({' '.join(SUFFIXES)}); choose another folder")
    return files


@lru_cache(maxsize=16)
def read(path: Path) -> np.ndarray:
    """Read a recording as float32 (S,), mono, 16 kHz.

    Raises:
        BadInput: the file cannot be decoded, or has no sound.
    """
    import av

    try:
        with open_to_read(str(path)) as container:
            resampler = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE)
            blocks = [b for frame in container.decode(audio=0) for b in resampler.resample(frame)]
            blocks += resampler.resample(None)
    except (av.FFmpegError, IndexError) as error:
        raise BadInput(
            f"{path}: cannot be read as a recording ({error}); remove it or convert it to wav"
        ) from error
    if not blocks:
        raise BadInput(f"{path}: has no sound; remove it")
    return np.concatenate([block.to_ndarray()[0] for block in blocks]).astype(np.float32)


def piece(
    files: list[Path], k: int, tracks: int, seconds: float, rng: np.random.Generator
) -> tuple[Path, float]:
    """Choose where track k of a speaker comes from.

    Recordings take turns. Each is divided into as many parts as it gives tracks; parts overlap only
    if the recording is too short. A recording shorter than a track is replaced by the next one that
    is long enough. If all are shorter, it is used whole, and silence follows.

    Args:
        files: recordings of one speaker.
        k: number of the track, from 0.
        tracks: number of tracks of this speaker.
        seconds: length of a track.
        rng: the random stream.
    Returns:
        The recording and the start in seconds.
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
        raise BadInput(
            f"{path}: lasts {duration:.2f} s, less than half a track of {seconds} s; "
            "remove it or ask for shorter tracks"
        )
    part = duration / turns
    if part >= seconds:
        return path, float(turn * part + rng.uniform(0, part - seconds))
    return path, float(turn * max(0.0, duration - seconds) / max(1, turns - 1))


def measure(files: list[Path], most: float = 20.0) -> tuple[float, float]:
    """Measure the voice of a speaker on voiced pieces of 32 ms.

    Pitch is found by autocorrelation, the third formant by linear prediction.

    Args:
        files: recordings of one speaker; the first four are used.
        most: length in seconds of what is analysed.
    Returns:
        Median pitch in Hz (NaN without voiced pieces), and formant scale (1: typical).
    """
    sound = np.concatenate([read(path) for path in files[:4]])[: int(most * SAMPLE_RATE)]
    if len(sound) < 512:
        return float(np.nan), 1.0
    windows = np.lib.stride_tricks.sliding_window_view(sound, 512)[::256]
    pieces = windows * np.hanning(512)  # (P, 512)
    power = np.abs(np.fft.rfft(pieces, 1024)) ** 2
    r = np.fft.irfft(power)[:, :320]  # autocorrelation, lags of 0 to 20 ms
    voiced = (r[:, 0] > 0.1 * np.quantile(r[:, 0], 0.95)) & (r[:, 40:].max(1) > 0.35 * r[:, 0])
    if voiced.sum() < 10:
        return float(np.nan), 1.0
    fall = np.correlate(np.hanning(512), np.hanning(512), "full")[511 : 511 + 320]
    shorter = np.linspace(1, 0.85, 280)  # of two equal peaks an octave apart, take the shorter lag
    lag = 40 + (r[voiced, 40:] / fall[40:] * shorter).argmax(1)
    thirds = [f for f in (_third_formant(x) for x in pieces[voiced][:400]) if f]
    scale = float(np.median(thirds) / TYPICAL_F3) if thirds else 1.0
    return float(np.median(SAMPLE_RATE / lag)), scale


def sex_and_size(pitch: float, scale: float) -> tuple[float, float] | None:
    """Estimate (sex in -1..1, size) of a speaker; the inverse of `voice.voice_of`.

    Args:
        pitch: median pitch in Hz, or NaN.
        scale: formant scale.
    Returns:
        None if the pitch is NaN.
    """
    if not np.isfinite(pitch):
        return None
    # 165 Hz lies between the median pitches of women and men
    sex = float(np.clip((np.log(165) - np.log(pitch)) / 0.36, -1, 1))
    size = float(np.clip((0.065 - 0.085 * sex - np.log(scale)) / 0.045, -2, 2))
    return sex, size


def _third_formant(x: np.ndarray) -> float | None:
    """Return the narrowest resonance between 2 and 3.3 kHz in Hz, or None.

    Found by linear prediction of order 18 on the pre-emphasised piece x (512,).
    """
    x = np.append(x[0], x[1:] - 0.95 * x[:-1])
    r = np.fft.irfft(np.abs(np.fft.rfft(x, 1024)) ** 2)[:19]
    lags = np.abs(np.subtract.outer(np.arange(18), np.arange(18)))
    a = np.linalg.solve(r[lags] + 1e-6 * r[0] * np.eye(18), r[1:])
    roots = np.roots(np.concatenate([[1], -a]))
    hz = np.angle(roots) * SAMPLE_RATE / (2 * np.pi)
    inside = (hz > 2000) & (hz < 3300) & (np.abs(roots) > 0.85)
    return float(hz[inside][np.abs(roots[inside]).argmax()]) if inside.any() else None
