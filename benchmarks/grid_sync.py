"""Can a network tell when a real person's sound is out of step? GRID, 15 speakers it has never seen.

    python benchmarks/grid_sync.py --work runs/grid_sync [--real ../shared/real/grid]

Four networks of the same kind, trained for the content task alone (alpha_s = lam = 0), on the lower half of the face:
untrained; on drawn faces and synthetic voices; on 80 clips of one real speaker, s1; on the drawn ones, then tuned on s1. The other 20 clips
of s1 served for every choice. Prints one table and writes benchmarks/grid_sync.md. What is done is not done again.
"""

from __future__ import annotations

import argparse
import os
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from dsel.corpus import Cache, Corpus, Track
from dsel.evaluate import sync_offset
from dsel.model import ModelConfig, TwoStream
from dsel.prepare import prepare
from dsel.timing import SAMPLES_PER_FRAME
from dsel.toy.make import toy
from dsel.train import TrainConfig, Trainer, load_model

ROOT = Path(__file__).resolve().parents[1]
SIZE = 96  # pixels of the clips
BOX = (46, 24, 48)  # top, left, side in them: mouth and chin, without scaling
PIECE = 50  # frames: 2 s
STARTS = range(0, 26, 5)  # of pieces within GRID's 75 frames
REACH = 15


@dataclass(frozen=True)
class Mouths(Cache):
    """A cache of whole faces that gives out their lower half."""

    def read(self, track: Track, first: int = 0, count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        frames, sound = super().read(track, first, count)
        top, left, side = BOX
        return frames[:, top : top + side, left : left + side], sound


class MouthCorpus(Corpus):
    """A corpus of lower halves of faces; `split_of` deals its tracks to the splits anew."""

    def __init__(self, path, split_of=None):
        super().__init__(path)
        if split_of:
            self.tracks = [replace(track, split=split_of(track)) for track in self.tracks]
            self.by_id = {track.id: track for track in self.tracks}

    def cache(self, size: int, *, tracks=None, progress: bool = True) -> Cache:
        assert size == BOX[2], f"the networks look at {size} pixels, but the lower half has {BOX[2]}"
        return Mouths.of(self, SIZE, self.tracks if tracks is None else tracks, progress)


def s1_and_the_others(track: Track) -> str:
    """80 clips of s1 to train on, 20 to choose by, everybody else for the test."""
    if track.speaker != "s1":
        return "test"
    return "validation" if zlib.crc32(track.id.encode()) % 5 == 0 else "train"
