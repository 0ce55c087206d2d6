"""Draw the batch of a step: which tracks, which windows, which face pick. A pure function of seed and step."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from dsel.corpus.shards import Unreachable
from dsel.corpus.store import Track, Tracks
from dsel.timing import WINDOW_FRAMES, frames_for, samples_for
from dsel.utils.errors import BadInput

SPARE = 20  # clips in a row that may be broken


@dataclass(frozen=True)
class Batch:
    """What one step trains on. T = N + 4 frames."""

    tracks: list[Track]  # B + E
    faces: Tensor  # uint8 (B, T, H, W, 3)
    sound: Tensor  # int16 (B + E, 640 T)
    extra_faces: Tensor  # uint8 (E, 5, H, W, 3): one window each
    pick: Tensor  # (B,) window that stands for the face in the identity task
    extra_pick: Tensor  # (E,) the window that extra_faces shows


class Batches:
    """Step number -> `Batch`. Every epoch is a fresh permutation of the tracks.

    Args:
        source: where clips are read: `Cache`, or anything with its `read` and `size`.
        tracks: what to draw from; those too short for N windows are left out.
        config: B, N, extra, seed and distinct_speakers of a `TrainConfig`.
        rank, world: this process and how many there are. Together they draw `world` times B + extra tracks a step, and each
            reads its own part: the first B belong to rank 0, the next to rank 1, and the extra ones likewise. So one process
            with `world` times B and extra sees the very same batch.
    Raises:
        BadInput: fewer tracks than a step takes.

    A clip that cannot be read is said so once, kept in `broken` (track id -> reason), and another track that this step did not
    draw takes its place: the same one whenever the step is asked for. More than SPARE of them at one place are a BadInput.
    """

    def __init__(self, source, tracks: Sequence[Track], config, rank: int = 0, world: int = 1):
        self.source, self.config, self.rank, self.world = source, config, rank, world
        usable, speaker = _columns(tracks)
        self._all, self._long = tracks, np.flatnonzero(usable >= frames_for(config.N))
        self._usable, self._speaker = usable[self._long], speaker[self._long]
        self.size = world * (config.B + config.extra)
        self.broken: dict[str, str] = {}
        self._order = (-1, np.empty(0, int))
        if len(self._long) < self.size:
            ranks = f" on each of {world} processes" if world > 1 else ""
            raise BadInput(
                f"{len(self._long)} training tracks of at least {frames_for(config.N)} frames, but a step takes B + extra = "
                f"{config.B + config.extra}{ranks}; use more or longer clips, or smaller B, N or extra"
            )

    @property
    def steps_an_epoch(self) -> int:
        return len(self._long) // self.size

    def at(self, step: int) -> Batch:
        """The batch of a step; the same whenever it is asked for."""
        known = set(self.broken)
        batch = self.batch(*self.arrays(step))
        _say(self.broken[name] for name in self.broken.keys() - known)
        return batch

    def batch(self, numbers: list[int], *arrays: np.ndarray) -> Batch:
        """`arrays` as a `Batch`."""
        return Batch([self.track(k) for k in numbers], *map(torch.from_numpy, arrays))

    def arrays(self, step: int) -> tuple:
        """What a `Batch` is made of: numbers of the tracks, faces, sound, extra faces, both picks."""
        B, E, T, size = (
            self.config.B,
            self.config.extra,
            frames_for(self.config.N),
            self.source.size,
        )
        rng = np.random.default_rng([self.config.seed, 1, step])
        drawn = self._draw(step, rng)  # (world (B + E),)
        first = [int(rng.integers(room)) for room in self._usable[drawn] - T + 1]
        pick = rng.integers(self.config.N, size=self.size)
        mine, spare = self._mine(), self._spare(step, drawn)
        faces, extra = (
            np.empty((B, T, size, size, 3), np.uint8),
            np.empty((E, WINDOW_FRAMES, size, size, 3), np.uint8),
        )
        sound, numbers = np.empty((B + E, samples_for(T)), np.int16), []
        for place, k in enumerate(mine):
            seen = slice(None) if place < B else slice(pick[k], pick[k] + WINDOW_FRAMES)
            number, (picture, sound[place]) = self._read(int(drawn[k]), first[k], seen, spare)
            (faces if place < B else extra)[place if place < B else place - B] = picture
            numbers.append(number)
        return numbers, faces, sound, extra, pick[mine[:B]], pick[mine[B:]]

    def track(self, k: int) -> Track:
        """Number k of the tracks that are long enough."""
        return self._all[int(self._long[k])]

    def _read(
        self, k: int, first: int, seen: slice, spare: Iterator[int]
    ) -> tuple[int, tuple[np.ndarray, np.ndarray]]:
        """k and the part of track k that begins with frame `first`, or another one's if it cannot be read."""
        T = frames_for(self.config.N)
        for _ in range(SPARE):
            track = self.track(k)
            try:
                if track.id in self.broken:  # known by now: do not try again
                    raise BadInput(self.broken[track.id])
                return k, self.source.read(track, first, T, seen)
            except Unreachable:  # not the clip's fault: stop here and go on later
                raise
            except BadInput as error:
                reason = self.broken.setdefault(track.id, str(error))
                k = next(spare, k)
                first %= int(self._usable[k]) - T + 1
        raise BadInput(f"{SPARE} clips one after the other cannot be read, the last: {reason}")

    def _spare(self, step: int, drawn: np.ndarray) -> Iterator[int]:
        """Tracks that no process drew at this step, in random order; those of different ranks differ."""
        rng = np.random.default_rng([self.config.seed, 2, step])
        taken, speakers = set(drawn.tolist()), set(self._speaker[drawn].tolist())
        for number in count():
            k = int(rng.integers(len(self._long)))
            fresh = k not in taken and not (
                self.config.distinct_speakers and int(self._speaker[k]) in speakers
            )
            if fresh:
                taken.add(k)
                speakers.add(int(self._speaker[k]))
                if len(taken) % self.world == self.rank:
                    yield k
            if number > 100 * (1 + len(self._long)):
                return

    def _mine(self) -> np.ndarray:
        """Which places of the draw of all processes are this process': (B + E,)."""
        B, E = self.config.B, self.config.extra
        return np.concatenate(
            [self.rank * B + np.arange(B), self.world * B + self.rank * E + np.arange(E)]
        )

    def _draw(self, step: int, rng: np.random.Generator) -> np.ndarray:
        """Numbers of the tracks of a step of all processes: (world (B + E),)."""
        if self.config.distinct_speakers:
            return self._distinct(rng)
        epoch, place = divmod(step, self.steps_an_epoch)
        if self._order[0] != epoch:
            self._order = (
                epoch,
                np.random.default_rng([self.config.seed, 0, epoch]).permutation(len(self._long)),
            )
        return self._order[1][place * self.size : (place + 1) * self.size]

    def _distinct(self, rng: np.random.Generator) -> np.ndarray:
        order = rng.permutation(len(self._long))
        _, first = np.unique(
            self._speaker[order], return_index=True
        )  # where each speaker comes up first
        if len(first) < self.size:
            raise BadInput(
                f"only {len(first)} training speakers, but distinct_speakers needs B + extra = {self.size} of them"
            )
        return order[np.sort(first)[: self.size]]


def _columns(tracks: Sequence[Track]) -> tuple[np.ndarray, np.ndarray]:
    """Usable frames and speaker number of each track; from a corpus without making a `Track` of each."""
    if isinstance(tracks, Tracks):
        return tracks.usable, tracks.speaker
    numbers: dict[str, int] = {}
    speaker = [numbers.setdefault(track.speaker, len(numbers)) for track in tracks]
    return np.array([track.usable for track in tracks], int), np.array(speaker, int)


def _say(reasons) -> None:
    for reason in reasons:
        tqdm.write(f"{reason} (another track takes its place)", file=sys.stderr)
