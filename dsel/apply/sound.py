"""A sound becomes a vector: read any sound or video file, cut it into pieces, embed them, average.

    dsel.embed("a.wav")                          (D,)    one file
    dsel.embed(["a.wav", "b.mp4"])               (2, D)  several
    dsel.embed(samples, rate=44_100)             (D,)    an array

The networks were trained on tracks of one to two seconds. A longer sound is cut into equal pieces
of at most `PIECE` seconds, so that a front end that normalises over the track meets the lengths it
knows, and memory does not grow with the length.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from dsel.evaluate.sync import networks_of
from dsel.model import HEADS, TwoStream
from dsel.prepare.decode import decode_sound
from dsel.prepare.sources import VIDEOS
from dsel.timing import SAMPLE_RATE, WINDOW_FRAMES, samples_for
from dsel.utils.errors import BadInput
from dsel.utils.files import atomic, sweep

PIECE = 4.0  # seconds; the longest piece that goes through the networks at once
SILENT = 1e-4  # root mean square under which a sound counts as silent (-80 dB of full scale)
SHORTEST = samples_for(WINDOW_FRAMES)  # samples of one window, 0.2 s
SOUNDS = (
    ".wav",
    ".flac",
    ".mp3",
    ".m4a",
    ".aac",
    ".ogg",
    ".opus",
    ".wma",
    ".aif",
    ".aiff",
    *VIDEOS,
)


def embed(
    sound, model="four_terms", head: str = "identity", *, rate: int = SAMPLE_RATE
) -> np.ndarray:
    """Turn a sound into its embedding: the mean over its windows of 0.2 s, one every 40 ms.

    Args:
        sound: a path (wav, flac, mp3, m4a, ogg, or any video), an array of samples, or a list of
            these. Arrays are (S,), or (channels, S) or (S, channels), float in [-1, 1] or integers.
        model: networks: a released name, a run folder, a .pt file, or a `TwoStream`.
        head: 'identity' (who speaks) or 'content' (what is said).
        rate: samples a second of arrays. Files know their own.
    Returns:
        float32 (D,) for one sound, (K, D) for a list of K. Compare two of them by their cosine.
    Raises:
        BadInput: a file that cannot be read, a silent sound, or one shorter than 0.2 s. The message
            names the file.
    """
    if head not in HEADS:
        raise BadInput(f"head {head!r}: must be one of {', '.join(HEADS)}")
    networks = networks_of(model)
    many = isinstance(sound, Sequence) and not isinstance(sound, str | np.ndarray)
    vectors = [
        mean_embedding(networks, samples_of(one, rate), head)
        for one in (sound if many else [sound])
    ]
    return np.stack(vectors) if many else vectors[0]


def embed_files(
    files: Iterable[Path], model="four_terms", head: str = "identity", *, progress: bool = True
) -> Iterator[tuple]:
    """Embed files one after the other: yields (path, float32 (D,) or None, '' or why it was
    skipped).

    One broken file does not end the rest.
    """
    networks = networks_of(model)
    for path in tqdm(list(files), "embedding", disable=not progress, unit="file", leave=False):
        try:
            yield path, mean_embedding(networks, samples_of(path), head), ""
        except BadInput as error:
            yield path, None, str(error)


def embed_to(
    paths: Sequence[Path], out, model="four_terms", head: str = "identity"
) -> tuple[int, list[str]]:
    """Embed files and folders of files, and write names (K,) and vectors (K, D) to an .npz file.

    Args:
        paths: sounds, videos, or folders of them.
        out: the .npz file.
        model, head: as in `embed`.
    Returns:
        How many were embedded, and why others were not.
    Raises:
        BadInput: none of them can be used.
    """
    files = [file for path in paths for file in (sound_files(path) if path.is_dir() else [path])]
    found = list(embed_files(files, model, head))
    skipped = [why for _, _, why in found if why]
    kept = [(str(path), vector) for path, vector, why in found if not why]
    if not kept:
        raise BadInput(skipped[0] if len(skipped) == 1 else f"none of {len(files)} files is usable")
    names, vectors = zip(*kept, strict=True)
    sweep(Path(out).parent)
    with atomic(out) as part, part.open("wb") as file:
        np.savez_compressed(file, names=np.array(names), vectors=np.stack(vectors))
    return len(kept), skipped


def sound_files(folder: Path) -> list[Path]:
    """List the sounds and videos in a folder and below it, sorted. Raises BadInput if there are
    none.
    """
    found = sorted(
        p
        for p in folder.rglob("*")
        if p.suffix.lower() in SOUNDS and p.is_file() and not p.name.startswith(".")
    )
    if not found:
        raise BadInput(f"{folder}: no sound or video in it (looked for {' '.join(SOUNDS)})")
    return found


def samples_of(sound, rate: int = SAMPLE_RATE) -> np.ndarray:
    """Read a path or take an array: float32 (S,) in [-1, 1], mono, 16 kHz. Raises BadInput as
    `embed`.
    """
    if isinstance(sound, str | Path):
        samples, name = read_sound(sound), str(sound)
    else:
        samples, name = _from_array(sound, rate), "the array"
    if len(samples) < SHORTEST:
        raise BadInput(f"{name}: lasts {len(samples) / SAMPLE_RATE:.2f} s; a window needs 0.2 s")
    if not np.isfinite(samples).all():
        raise BadInput(f"{name}: holds NaN or infinite samples")
    if np.sqrt(np.mean(np.square(samples, dtype=np.float64))) < SILENT:
        raise BadInput(f"{name}: silent; record it again, or choose another sound track")
    return samples


def read_sound(path) -> np.ndarray:
    """Read the sound of any file: float32 (S,) in [-1, 1], mono, 16 kHz.

    Raises:
        BadInput: no such file, or no sound in it that can be decoded.
    """
    with tempfile.TemporaryDirectory() as scratch:
        sound = decode_sound(path, Path(scratch) / "sound.f32")
        return sound.read(sound.start, sound.samples)


def mean_embedding(networks: TwoStream, samples: np.ndarray, head: str) -> np.ndarray:
    """Average the embeddings of all windows of a sound: (S,) -> float32 (D,)."""
    total, count, device = 0.0, 0, next(networks.parameters()).device
    with torch.inference_mode():
        for piece in pieces(samples):
            waveform = torch.from_numpy(piece)[None].to(device)
            windows = networks.audio(waveform, (head,))[head][0]  # (N, D)
            total, count = total + windows.double().sum(dim=0), count + len(windows)
    return (total / count).float().cpu().numpy()


def pieces(samples: np.ndarray) -> list[np.ndarray]:
    """Cut a sound into equal pieces of at most `PIECE` seconds, each of whole frames; the last
    frame is filled with zeros.

    Neighbouring pieces share 4 frames, so that every window of 5 frames of the whole sound is in
    exactly one of them.
    """
    frames = -(-len(samples) // samples_for(1))
    whole = np.zeros(samples_for(max(frames, WINDOW_FRAMES)), np.float32)
    whole[: len(samples)] = samples
    windows = len(whole) // samples_for(1) - WINDOW_FRAMES + 1
    count = -(-windows // int(PIECE * SAMPLE_RATE / samples_for(1)))
    edges = (
        np.linspace(0, windows, count + 1).round().astype(int)
    )  # windows [first, last) of each piece
    shared = WINDOW_FRAMES - 1
    return [whole[samples_for(a) : samples_for(b + shared)] for a, b in pairwise(edges)]


def _from_array(sound, rate: int) -> np.ndarray:
    """Convert an array to float32 (S,), mono, 16 kHz."""
    x = np.asarray(sound)
    if x.ndim not in (1, 2) or not x.size or x.dtype.kind not in "fiu":
        raise BadInput(
            f"a sound must be an array (S,) or (channels, S) of numbers, not {x.dtype} {x.shape}"
        )
    if rate < 1:
        raise BadInput(f"rate {rate}: must be a positive number of samples a second")
    if x.dtype.kind == "u":
        x = x.astype(np.int64) - (np.iinfo(x.dtype).max + 1) // 2
        x = x / ((np.iinfo(np.asarray(sound).dtype).max + 1) // 2)
    elif x.dtype.kind == "i":
        x = x / (np.iinfo(x.dtype).max + 1)
    x = x.astype(np.float64)
    if x.ndim == 2:
        x = mixed_down(x if x.shape[0] < x.shape[1] else x.T)
    return _resampled(x, rate).astype(np.float32)


def mixed_down(channels: np.ndarray) -> np.ndarray:
    """Average channels (C, S) -> (S,). Where they cancel each other, the loudest one is taken
    instead.
    """
    mono = channels.mean(axis=0)
    loudness = np.sqrt(np.mean(channels**2, axis=1))
    cancelled = np.sqrt(np.mean(mono**2)) < 0.1 * loudness.max()
    return channels[loudness.argmax()] if cancelled else mono


def _resampled(x: np.ndarray, rate: int) -> np.ndarray:
    """Resample a sound: (S,) at any rate -> (S',) at 16 kHz."""
    if rate == SAMPLE_RATE:
        return x
    from math import gcd

    from scipy.signal import resample_poly

    common = gcd(rate, SAMPLE_RATE)
    return resample_poly(x, SAMPLE_RATE // common, rate // common)
