"""Batches of clips for the trainer, at three sizes of corpus behind one interface.

    cache    the clips decoded once into two memory-mapped files: the toy corpus, GRID
    decode   each clip decoded when its turn comes, from a random frame on, in worker processes: VoxCeleb2
    shards   the same from WebDataset shards, on a disk or behind a URL: what no single disk holds ('dsel shard' makes them)

A batch is a pure function of (configuration, step number), and the same whichever of the three it comes from: same tracks, same
windows, same bytes. So a run may be killed, resumed, and resumed with another loader. (Source: ours.)
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from itertools import count

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from dsel.corpus.cache import Cache, resize, to_int16
from dsel.corpus.store import Track, Tracks
from dsel.corpus.tracks import Corpus
from dsel.train.batches import Batch, Batches, _say
from dsel.utils.errors import BadInput
from dsel.utils.processes import before_fork, in_worker

LOADERS = ("auto", "cache", "decode", "shards")
PLACES = {"decode": "files", "shards": "shards"}
AUTO_CACHE = 64 << 30  # bytes of cache that 'auto' may make
MOST_WORKERS = 16  # that -1 starts


class Decoder:
    """Reads clips from where they lie, in files or in shards, and decodes what is wanted of them; called like `Cache`."""

    def __init__(self, corpus: Corpus, size: int):
        self.corpus, self.size = corpus, size

    def read(
        self, track: Track, first: int, count: int, seen: slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Frames [first, first + count) of a track, uint8 (count, size, size, 3), and their int16 (640 count,) samples.

        seen: which of these frames are wanted. Bit for bit what a `Cache` of that size holds. Raises BadInput.
        """
        frames, waveform = self.corpus.part(track, first, count, seen)
        return resize(frames, self.size), to_int16(waveform)


class Ahead:
    """`Batches` made by worker processes, some steps before they are asked for. Called like `Batches`."""

    def __init__(self, batches: Batches, workers: int):
        self.batches, self.workers = batches, workers
        self.broken: dict[str, str] = {}
        self._coming, self._next, self._last = None, -1, None

    @property
    def steps_an_epoch(self) -> int:
        return self.batches.steps_an_epoch

    def at(self, step: int) -> Batch:
        """The batch of a step; at once if the one before was asked for last, else when new workers have made it."""
        if self._last is not None and self._last[0] == step:
            return self._last[1]
        if step != self._next:
            self.close()
            loader = DataLoader(
                _Steps(self.batches),
                sampler=_From(step),
                batch_size=None,
                num_workers=self.workers,
                prefetch_factor=2,
                collate_fn=_as_it_is,
                worker_init_fn=in_worker,
            )
            before_fork()
            # A process forked by a thread of an executor, as the trainer's is, fails at its end: it would wait for itself.
            starter = threading.Thread(target=lambda: setattr(self, "_coming", iter(loader)))
            starter.start()
            starter.join()
            self._next = step
        made, broken = next(self._coming)
        if isinstance(made, BadInput):
            self.close()
            raise made
        _say(broken[name] for name in broken.keys() - self.broken.keys())
        self.broken |= broken
        self._next = step + 1
        self._last = step, Batch([self.batches.track(k) for k in made[0]], *made[1:])
        return self._last[1]

    def close(self) -> None:
        """End the workers; `at` starts new ones."""
        self._coming, self._next, self._last = None, -1, None


class _Steps(Dataset):
    """What a worker process holds: the batches by step, as plain arrays; tracks travel as their numbers."""

    def __init__(self, batches: Batches):
        self.batches = batches

    def __getitem__(self, step: int):
        try:
            numbers, *arrays = self.batches.arrays(step)
        except BadInput as error:  # as it is; the DataLoader would wrap it in a page of traceback
            return error, {}
        return (numbers, *map(torch.from_numpy, arrays)), self.batches.broken


class _From(Sampler):
    """The steps from one on, without end."""

    def __init__(self, first: int):
        self.first = first

    def __iter__(self) -> Iterator[int]:
        return count(self.first)


def _as_it_is(batch):
    return batch


def make_batches(
    corpus: Corpus, config, size: int, *, rank: int = 0, world: int = 1, progress: bool = True
):
    """The batches of a corpus' split 'train', faces at `size` x `size` pixels: `Batches`, or `Ahead` of worker processes.

    config.loader: 'cache' decodes all clips once and maps them into memory; 'decode' reads clips, 'shards' the same from
    shards, in config.workers processes (-1: one a core; 0: in this one); 'auto' takes the cache where one is there or would
    stay under AUTO_CACHE bytes and half the free disk, else what the corpus lies in.

    config.redraw: a toy corpus' faces are drawn anew, in a new scene each time, by whichever of these reads the sound.

    Raises:
        BadInput: no training tracks, fewer than a step takes, shards wanted of a corpus that has none, or real faces to redraw.
    """
    tracks = corpus.split("train")
    if not tracks:
        raise BadInput(
            f"{corpus.path}: no tracks in the split 'train'; prepare the corpus with --split train"
        )
    kind = _chosen(corpus, tracks, config.loader, size)
    source = (
        corpus.cache(size, tracks=tracks, progress=progress)
        if kind == "cache"
        else Decoder(corpus, size)
    )
    if config.redraw:
        from dsel.toy.live import LiveFaces, Redrawn

        source = Redrawn(source, LiveFaces(corpus, size), config.seed)
    batches = Batches(source, tracks, config, rank, world)
    if kind == "cache":
        return batches
    workers = min(os.cpu_count() or 1, MOST_WORKERS) if config.workers < 0 else config.workers
    return Ahead(batches, workers) if workers else batches


def _chosen(corpus: Corpus, tracks: Tracks, loader: str, size: int) -> str:
    held = "decode" if corpus.shards is None else "shards"
    if loader not in ("auto", "cache", held):
        remedy = (
            "run 'dsel shard' first" if loader == "shards" else f"use loader={held} or loader=auto"
        )
        raise BadInput(
            f"{corpus.path}: loader {loader!r} does not fit a corpus whose clips lie in {PLACES[held]}; {remedy}"
        )
    if loader != "auto":
        return loader
    need = Cache.bytes_for(int(tracks.usable.sum()), size)
    if need > AUTO_CACHE:
        return held
    fits = (
        need < shutil.disk_usage(corpus.path).free / 2
        or (Cache.place(corpus, size, tracks) / "index.json").is_file()
    )
    return "cache" if fits else held
