"""Draw the batch of a step: tracks, windows, and which face window represents each track.

A batch is a pure function of seed and step. Who speaks is never read: the method has no labels.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from dsel.corpus.shards import Unreachable
from dsel.corpus.store import Track, Tracks
from dsel.timing import WINDOW_FRAMES, frames_for, samples_for
from dsel.utils.errors import BadInput

SPARE = 20  # how many unreadable clips in a row are replaced before training stops


class Source(Protocol):
    """Describe what `Batches` needs of a place of clips, such as `Cache` and `Decoder`."""

    @property
    def size(self) -> int:
        """Height and width of a face in pixels."""

    def read(
        self, track: Track, first: int, count: int, seen: slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read frames uint8 (count, size, size, 3) and sound int16 (640 count,) of a track.

        Args:
            track: whose clip is read.
            first, count: number of the first frame, and how many.
            seen: which of these frames are wanted; the sound is that of all of them.
        """


class Sizes(Protocol):
    """Describe what `Batches` needs of a configuration. `TrainConfig` is one."""

    @property
    def B(self) -> int:
        """Tracks per step."""

    @property
    def N(self) -> int:
        """Windows per track."""

    @property
    def extra(self) -> int:
        """Further tracks per step for the identity loss alone."""

    @property
    def seed(self) -> int:
        """Number that decides every draw."""


@dataclass(frozen=True)
class Batch:
    """What one step trains on. T = N + 4 frames, E = extra."""

    tracks: list[Track]  # B + E
    faces: Tensor  # uint8 (B, T, H, W, 3)
    sound: Tensor  # int16 (B + E, 640 T)
    extra_faces: Tensor  # uint8 (E, 5, H, W, 3): one window each
    pick: Tensor  # (B,) the window that represents the face in the identity task
    extra_pick: Tensor  # (E,) the window that extra_faces shows


class Batches:
    """Make the `Batch` of a step. Every epoch is a new permutation of the tracks.

    A clip that cannot be read is reported once and kept in `broken` (track id -> reason). Another
    track that this step did not draw takes its place, the same one whenever the step is asked for.

    Args:
        source: where clips are read.
        tracks: what to draw from; those too short for N windows are left out.
        config: sizes and seed.
        rank, world: number of this process, and number of processes. Together they draw `world`
            times B + extra tracks per step, and each reads its own part: the first B belong to rank
            0, the next B to rank 1, and the extra ones likewise. So one process with `world` times
            B and extra sees the same batch.
    Raises:
        BadInput: fewer tracks than a step takes; or, later, more than SPARE unreadable clips in the
            place of one.
    """

    def __init__(
        self,
        source: Source,
        tracks: Sequence[Track],
        config: Sizes,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.source, self.config, self.rank, self.world = source, config, rank, world
        usable = _usable_frames(tracks)
        self._all, self._long = tracks, np.flatnonzero(usable >= frames_for(config.N))
        self._usable = usable[self._long]
        self.size = world * (config.B + config.extra)
        self.broken: dict[str, str] = {}
        self._order = (-1, np.empty(0, int))  # an epoch, and its permutation
        if len(self._long) < self.size:
            ranks = f" on each of {world} processes" if world > 1 else ""
            raise BadInput(
                f"{len(self._long)} training tracks of at least {frames_for(config.N)} frames, but "
                f"a step takes B + extra = {config.B + config.extra}{ranks}; use more or longer "
                "clips, or smaller B, N or extra"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps in which each track is drawn at most once."""
        return len(self._long) // self.size

    def at(self, step: int) -> Batch:
        """Return the batch of a step; it is the same whenever it is asked for."""
        before = set(self.broken)
        batch = self.batch(*self.arrays(step))
        report_broken(self.broken[name] for name in self.broken.keys() - before)
        return batch

    def batch(self, numbers: list[int], *arrays: np.ndarray) -> Batch:
        """Make a `Batch` of what `arrays` returned."""
        return Batch([self.track(k) for k in numbers], *map(torch.from_numpy, arrays))

    def arrays(self, step: int) -> tuple[Any, ...]:
        """Return the parts of a `Batch`: numbers of tracks, then its tensors as arrays."""
        B, E, T = self.config.B, self.config.extra, frames_for(self.config.N)
        size = self.source.size
        rng = np.random.default_rng([self.config.seed, 1, step])
        drawn = self._draw(step)  # (world (B + E),)
        first = [int(rng.integers(room)) for room in self._usable[drawn] - T + 1]
        pick = rng.integers(self.config.N, size=self.size)
        mine, spare = self._mine(), self._spare(step, drawn)
        faces = np.empty((B, T, size, size, 3), np.uint8)
        extra = np.empty((E, WINDOW_FRAMES, size, size, 3), np.uint8)
        sound, numbers = np.empty((B + E, samples_for(T)), np.int16), []
        for place, k in enumerate(mine):
            seen = slice(None) if place < B else slice(pick[k], pick[k] + WINDOW_FRAMES)
            number, (frames, sound[place]) = self._read(int(drawn[k]), first[k], seen, spare)
            (faces if place < B else extra)[place if place < B else place - B] = frames
            numbers.append(number)
        return numbers, faces, sound, extra, pick[mine[:B]], pick[mine[B:]]

    def track(self, k: int) -> Track:
        """Return track k of those that are long enough."""
        return self._all[int(self._long[k])]

    def _read(
        self, k: int, first: int, seen: slice, spare: Iterator[int]
    ) -> tuple[int, tuple[np.ndarray, np.ndarray]]:
        """Read T frames of track k, or of a spare track if it cannot be read.

        Args:
            k, first: number of the track, and of the first frame.
            seen: which of these frames are wanted.
            spare: gives the numbers of other tracks.
        Returns:
            The number of the track that was read; its frames and sound.
        """
        T = frames_for(self.config.N)
        for _ in range(SPARE):
            track = self.track(k)
            try:
                if track.id in self.broken:  # do not try again
                    raise BadInput(self.broken[track.id])
                return k, self.source.read(track, first, T, seen)
            except Unreachable:  # the clip is not at fault: stop here, and go on later
                raise
            except BadInput as error:
                reason = self.broken.setdefault(track.id, str(error))
                k = next(spare, k)
                first %= int(self._usable[k]) - T + 1
        raise BadInput(f"{SPARE} clips one after the other cannot be read, the last: {reason}")

    def _spare(self, step: int, drawn: np.ndarray) -> Iterator[int]:
        """Yield tracks that no process drew at this step, in random order.

        Each process gets others.
        """
        rng = np.random.default_rng([self.config.seed, 2, step])
        taken = set(drawn.tolist())
        for number in count():
            k = int(rng.integers(len(self._long)))
            if k not in taken:
                taken.add(k)
                if len(taken) % self.world == self.rank:
                    yield k
            if number > 100 * (1 + len(self._long)):
                return

    def _mine(self) -> np.ndarray:
        """Return the places of this process in the draw of all processes: (B + E,)."""
        B, E = self.config.B, self.config.extra
        first, extra = self.rank * B, self.world * B + self.rank * E
        return np.concatenate([first + np.arange(B), extra + np.arange(E)])

    def _draw(self, step: int) -> np.ndarray:
        """Draw the numbers of the tracks of a step, for all processes: (world (B + E),)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            rng = np.random.default_rng([self.config.seed, 0, epoch])
            self._order = (epoch, rng.permutation(len(self._long)))
        return self._order[1][place * self.size : (place + 1) * self.size]


def _usable_frames(tracks: Sequence[Track]) -> np.ndarray:
    """Return the usable frames of each track, without making a `Track` of each row of a corpus."""
    if isinstance(tracks, Tracks):
        return tracks.usable
    return np.array([track.usable for track in tracks], int)


def report_broken(reasons: Iterable[str]) -> None:
    """Write one line to stderr for each clip that could not be read."""
    for reason in reasons:
        tqdm.write(f"{reason} (another track takes its place)", file=sys.stderr)
