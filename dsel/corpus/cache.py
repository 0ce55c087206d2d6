"""Decode tracks once into two flat files that a training reads from.

Their folder may be deleted at any time.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from tqdm.auto import tqdm

from dsel.corpus.store import Track
from dsel.timing import SAMPLES_PER_FRAME
from dsel.utils.caches import cache_folder
from dsel.utils.errors import BadInput
from dsel.utils.files import atomic_folder, check_folder, sweep, write_json


class ClipSource(Protocol):
    """Describe what the cache needs of a corpus. `dsel.corpus.tracks.Corpus` is one."""

    path: Path

    @property
    def shards(self) -> object | None:
        """Where the clips lie if they are packed in shards; None if each is a file."""

    def clip(self, track: Track) -> tuple[np.ndarray, np.ndarray]:
        """Read frames uint8 (T, H, W, 3) and waveform float32 (640 T,) of a track, in step."""

    def stamp(self, track: Track) -> str:
        """Return a text that changes when the clip of a track changes."""


@dataclass(frozen=True)
class Cache:
    """Hold decoded tracks: frames uint8 (F, size, size, 3) and sound int16 (640 F,) of F frames.

    `start[id]` is a track's first frame, `length[id]` its number of frames. Sound and picture are
    in step already.
    """

    frames: np.ndarray
    sound: np.ndarray
    start: dict[str, int]
    length: dict[str, int]

    @property
    def size(self) -> int:
        """Pixels of a face, height = width."""
        return self.frames.shape[1]

    def read(
        self, track: Track, first: int = 0, count: int | None = None, seen: slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read frames [first, first + count) of a track, and their int16 (640 count,) samples.

        seen: which of these frames are wanted, uint8 (number, size, size, 3); the sound is that of
        all of them.
        """
        count = self.length[track.id] - first if count is None else count
        begin = self.start[track.id] + first
        stop = begin + count
        return self.frames[begin:stop][seen], self.sound[
            begin * SAMPLES_PER_FRAME : stop * SAMPLES_PER_FRAME
        ]

    @classmethod
    def of(cls, corpus: ClipSource, size: int, tracks: Sequence[Track], progress: bool) -> Cache:
        """Open the cache of these tracks; build it if it is missing or does not fit the clips."""
        tracks = list(tracks)
        folder = cls.place(corpus, size, tracks)
        if not (folder / "index.json").is_file():
            _build_cache(corpus, size, tracks, folder, progress)
        total = sum(track.usable for track in tracks)
        starts = np.cumsum([0, *(track.usable for track in tracks)])
        # Plain arrays over the maps: slicing an np.memmap costs more than copying one window.
        return cls(
            frames=np.asarray(
                np.memmap(folder / "frames.u8", np.uint8, "r", shape=(total, size, size, 3))
            ),
            sound=np.asarray(
                np.memmap(folder / "sound.i16", np.int16, "r", shape=(total * SAMPLES_PER_FRAME,))
            ),
            start={track.id: int(at) for track, at in zip(tracks, starts, strict=False)},
            length={track.id: track.usable for track in tracks},
        )

    @classmethod
    def place(cls, corpus: ClipSource, size: int, tracks: Sequence[Track]) -> Path:
        """Return the folder in which the cache of these tracks lies, or would lie."""
        return _cache_root(corpus) / f"{size}-{_fingerprint(corpus, tracks)}"

    @staticmethod
    def bytes_for(frames: int, size: int) -> int:
        """Return how many bytes of disk a cache of so many frames takes."""
        return frames * (size * size * 3 + 2 * SAMPLES_PER_FRAME)


def resize(frames: np.ndarray, size: int) -> np.ndarray:
    """Resize uint8 (T, H, W, 3) -> uint8 (T, size, size, 3), antialiased bilinear."""
    if frames.shape[1:3] == (size, size):
        return frames
    import torch
    import torch.nn.functional as F

    image = torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2)  # (T, 3, H, W)
    small = F.interpolate(image.float(), (size, size), mode="bilinear", antialias=True)
    return small.round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().numpy()


def to_int16(waveform: np.ndarray) -> np.ndarray:
    """Convert float32 in [-1, 1] to int16, 1 to 32767."""
    return np.round(np.clip(waveform, -1, 1) * 32767).astype(np.int16)


def _build_cache(
    corpus: ClipSource, size: int, tracks: list[Track], folder: Path, progress: bool
) -> None:
    total = sum(track.usable for track in tracks)
    if not total:
        raise BadInput(f"{corpus.path}: no frames to decode; is the split empty?")
    root = folder.parent
    if root.is_symlink() and not os.environ.get("DSEL_CACHE"):  # it came with the corpus
        raise BadInput(f"{root}: is a link; remove it, or set DSEL_CACHE to the folder for caches")
    check_folder(root)
    root.mkdir(parents=True, exist_ok=True)
    need, free = Cache.bytes_for(total, size), shutil.disk_usage(root).free
    if need > free:
        raise BadInput(
            f"{root}: the cache needs {need >> 20} MiB and {free >> 20} are free; set DSEL_CACHE "
            "to a larger disk"
        )
    sweep(root)
    with atomic_folder(folder) as part:
        _fill(part, corpus, size, tracks, total, progress)
        write_json(part / "index.json", {"size": size, "tracks": len(tracks), "frames": total})
    if not (folder / "index.json").is_file():
        raise BadInput(f"{folder}: is in the way of a cache; delete it")


def _fill(
    part: Path, corpus: ClipSource, size: int, tracks: list[Track], total: int, progress: bool
) -> None:
    """Decode tracks into the two files of a cache.

    The maps end with this function, since Windows renames no mapped files.
    """
    frames = _reserved(part / "frames.u8", np.uint8, (total, size, size, 3))
    sound = _reserved(part / "sound.i16", np.int16, (total * SAMPLES_PER_FRAME,))
    first = 0
    bar = tqdm(tracks, "decoding clips", disable=not progress, unit="track", leave=False)
    for picture, waveform in _decoded(corpus, bar, size):
        stop = first + len(picture)
        frames[first:stop] = picture
        sound[first * SAMPLES_PER_FRAME : stop * SAMPLES_PER_FRAME] = waveform
        first = stop
    frames.flush()
    sound.flush()


def _reserved(path: Path, dtype: type, shape: tuple[int, ...]) -> np.memmap:
    """Map a new file whose space on the disk is taken first.

    A write into a map that finds the disk full kills the process (SIGBUS); here it is one line.
    """
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    try:
        with path.open("wb") as file:
            file.truncate(count)
            if hasattr(os, "posix_fallocate"):  # not on macOS and Windows
                os.posix_fallocate(file.fileno(), 0, count)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            root = path.parent.parent
            says = f"{root}: no room for {count >> 20} MiB of the cache ({error.strerror})"
            raise BadInput(f"{says}; set DSEL_CACHE to a larger disk") from error
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # it cannot be reserved here
            raise
    return np.memmap(path, dtype, "r+", shape=shape)


def _decoded(
    corpus: ClipSource, tracks: Iterable[Track], size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Decode the tracks in order, on every core, some tracks ahead: pictures and int16 sound.

    Shards are read by one thread: it may close a file that another reads.
    """

    def decode(track: Track) -> tuple[np.ndarray, np.ndarray]:
        picture, waveform = corpus.clip(track)
        return resize(picture, size), to_int16(waveform)

    threads = 1 if corpus.shards is not None else os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        coming: deque[Future[tuple[np.ndarray, np.ndarray]]] = deque()
        try:
            for track in tracks:
                coming.append(pool.submit(decode, track))
                if len(coming) > 2 * threads:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:  # interrupted, or a clip is broken: what has not begun is not begun
            for waiting in coming:
                waiting.cancel()


def _fingerprint(corpus: ClipSource, tracks: Sequence[Track]) -> str:
    """Return a text that changes when any of the clips, their offsets or their order changes."""
    digest = hashlib.sha1()
    for track in tracks:
        clip = f"{track.id} {track.path} {track.frames} {track.offset} {corpus.stamp(track)}"
        digest.update(f"{clip}\n".encode())
    return digest.hexdigest()[:16]


def _cache_root(corpus: ClipSource) -> Path:
    """Return the folder for caches.

    That is DSEL_CACHE if set, the corpus' own folder if it can be written to, else the user's.
    """
    if os.environ.get("DSEL_CACHE"):
        return Path(os.environ["DSEL_CACHE"])
    if os.access(corpus.path, os.W_OK):
        return corpus.path / "cache"
    return cache_folder()
