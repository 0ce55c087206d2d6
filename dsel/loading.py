"""Batches of clips for the trainer, at three sizes of corpus behind one interface.

    cache    the clips decoded once into two memory-mapped files: the toy corpus, GRID
    decode   each clip decoded when its turn comes, from a random frame on, in worker processes: VoxCeleb2
    shards   the same from WebDataset shards, on a disk or behind a URL: what no single disk holds ('dsel shard' makes them)

A batch is a pure function of (configuration, step number), and the same whichever of the three it comes from: same tracks, same
windows, same bytes. So a run may be killed, resumed, and resumed with another loader. (Source: ours.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dsel.corpus import Cache, Corpus, Track
from dsel.errors import BadInput
from dsel.timing import WINDOW_FRAMES, frames_for, samples_for

LOADERS = ("auto", "cache", "decode", "shards")


@dataclass(frozen=True)
class Batch:
    """What one step trains on. T = N + 4 frames."""

    tracks: list[Track]  # B + E
    faces: Tensor  # uint8 (B, T, H, W, 3)
    sound: Tensor  # int16 (B + E, 640 T)
    extra_faces: Tensor  # uint8 (E, 5, H, W, 3): one window each
    pick: Tensor  # (B,) window that stands for the face in the identity task


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
    """

    def __init__(self, source: Cache, tracks: Sequence[Track], config, rank: int = 0, world: int = 1):
        self.source, self.config, self.rank, self.world = source, config, rank, world
        self.tracks = [track for track in tracks if track.usable >= frames_for(config.N)]
        self.size = world * (config.B + config.extra)
        self._order = (-1, np.empty(0, int))
        if len(self.tracks) < self.size:
            ranks = f" on each of {world} processes" if world > 1 else ""
            raise BadInput(
                f"{len(self.tracks)} training tracks of at least {frames_for(config.N)} frames, but a step takes B + extra = "
                f"{config.B + config.extra}{ranks}; use more or longer clips, or smaller B, N or extra"
            )

    @property
    def steps_an_epoch(self) -> int:
        return len(self.tracks) // self.size

    def at(self, step: int) -> Batch:
        """The batch of a step; the same whenever it is asked for."""
        B, E, T, size = self.config.B, self.config.extra, frames_for(self.config.N), self.source.size
        rng = np.random.default_rng([self.config.seed, 1, step])
        tracks = self._draw(step, rng)
        first = [int(rng.integers(track.usable - T + 1)) for track in tracks]
        pick = rng.integers(self.config.N, size=self.size)
        mine = self._mine()
        faces, extra = np.empty((B, T, size, size, 3), np.uint8), np.empty((E, WINDOW_FRAMES, size, size, 3), np.uint8)
        sound = np.empty((B + E, samples_for(T)), np.int16)
        for place, k in enumerate(mine):
            if place < B:
                faces[place], sound[place] = self.source.read(tracks[k], first[k], T)
            else:
                seen = slice(pick[k], pick[k] + WINDOW_FRAMES)
                extra[place - B], sound[place] = self.source.read(tracks[k], first[k], T, seen)
        chosen = [tracks[k] for k in mine]
        return Batch(chosen, *map(torch.from_numpy, (faces, sound, extra, pick[mine[:B]])))

    def _mine(self) -> np.ndarray:
        """Which places of the draw of all processes are this process': (B + E,)."""
        B, E = self.config.B, self.config.extra
        return np.concatenate([self.rank * B + np.arange(B), self.world * B + self.rank * E + np.arange(E)])

    def _draw(self, step: int, rng: np.random.Generator) -> list[Track]:
        if self.config.distinct_speakers:
            return self._distinct(rng)
        epoch, place = divmod(step, self.steps_an_epoch)
        if self._order[0] != epoch:
            self._order = epoch, np.random.default_rng([self.config.seed, 0, epoch]).permutation(len(self.tracks))
        return [self.tracks[k] for k in self._order[1][place * self.size : (place + 1) * self.size]]

    def _distinct(self, rng: np.random.Generator) -> list[Track]:
        chosen: dict[str, Track] = {}
        for k in rng.permutation(len(self.tracks)):
            chosen.setdefault(self.tracks[k].speaker, self.tracks[k])
            if len(chosen) == self.size:
                return list(chosen.values())
        raise BadInput(f"only {len(chosen)} training speakers, but distinct_speakers needs B + extra = {self.size} of them")


def make_batches(corpus: Corpus, config, size: int, *, rank: int = 0, world: int = 1, progress: bool = True) -> Batches:
    """The batches of a corpus' split 'train', faces at `size` x `size` pixels, from where config.loader says.

    Raises:
        BadInput: no training tracks, or fewer than a step takes.
    """
    tracks = corpus.split("train")
    if not tracks:
        raise BadInput(f"{corpus.path}: no tracks in the split 'train'; prepare the corpus with --split train")
    return Batches(corpus.cache(size, tracks=tracks, progress=progress), tracks, config, rank, world)
