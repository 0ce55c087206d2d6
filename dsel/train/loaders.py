"""Read the clips of batches, for three sizes of corpus behind one interface.

    cache    decode all clips once into two memory-mapped files: toy corpora, GRID
    decode   decode a part of a clip whenever a batch needs it, in worker processes: VoxCeleb2
    shards   the same from WebDataset shards, on a disk or behind a URL: corpora larger than a disk
             ('dsel shard' makes them)

A batch is a pure function of (configuration, step number). It has the same tracks, windows and
bytes with each of the three. So a run can be killed and resumed, also with another loader.
(Source: ours.)
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from dsel.corpus.cache import Cache, resize, to_int16
from dsel.corpus.store import Track, Tracks
from dsel.corpus.tracks import Corpus
from dsel.train.batches import Batch, Batches, Source, report_broken
from dsel.utils.errors import BadInput
from dsel.utils.processes import before_fork, in_worker

if TYPE_CHECKING:
    from dsel.train.config import TrainConfig

LOADERS = ("auto", "cache", "decode", "shards")
PLACES = {"decode": "files", "shards": "shards"}
AUTO_CACHE = 64 << 30  # bytes of cache that 'auto' may make
MOST_WORKERS = 16  # worker processes that workers=-1 starts at most

Value = TypeVar("Value")


class Decoder:
    """Decode the wanted part of a clip from where it lies, in a file or in a shard.

    It is called like `Cache`, and gives the same bits as a `Cache` of that size.

    Args:
        corpus: whose clips are read.
        size: height and width of a face in pixels.
    """

    def __init__(self, corpus: Corpus, size: int) -> None:
        self.corpus, self.size = corpus, size

    def read(
        self, track: Track, first: int, count: int, seen: slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read frames [first, first + count) of a track, and the sound of all of them.

        Args:
            track: of the corpus.
            first, count: number of the first frame, and how many.
            seen: which of these frames are wanted.
        Returns:
            Frames uint8 (count, size, size, 3) and samples int16 (640 count,).
        Raises:
            BadInput: the clip cannot be read.
        """
        frames, waveform = self.corpus.part(track, first, count, seen)
        return resize(frames, self.size), to_int16(waveform)


class PrefetchedBatches:
    """Have worker processes make batches some steps before they are asked for.

    It is called like `Batches`.

    Args:
        batches: makes a batch; each worker gets a copy.
        workers: how many processes, at least 1.
    """

    def __init__(self, batches: Batches, workers: int) -> None:
        self.batches, self.workers = batches, workers
        self.broken: dict[str, str] = {}
        self._coming: Iterator[Any] = iter(())  # what the workers make
        self._next = -1  # the step that comes next; -1: there are no workers
        self._last: tuple[int, Batch] | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps in which each track is drawn at most once."""
        return self.batches.steps_per_epoch

    def at(self, step: int) -> Batch:
        """Return the batch of a step.

        It comes at once if the step before was asked for last; else new workers are started.
        """
        if self._last is not None and self._last[0] == step:
            return self._last[1]
        if step != self._next:
            self.close()
            self._start(step)
        made, broken = next(self._coming)
        if isinstance(made, BadInput):
            self.close()
            raise made
        report_broken(broken[name] for name in broken.keys() - self.broken.keys())
        self.broken |= broken
        batch = Batch([self.batches.track(k) for k in made[0]], *made[1:])
        self._next, self._last = step + 1, (step, batch)
        return batch

    def close(self) -> None:
        """End the workers; `at` starts new ones."""
        self._coming, self._next, self._last = iter(()), -1, None

    def _start(self, step: int) -> None:
        """Start workers that make the batches from a step on."""
        loader: DataLoader = DataLoader(
            _BatchesByStep(self.batches),
            sampler=_StepsFrom(step),
            batch_size=None,
            num_workers=self.workers,
            prefetch_factor=2,
            collate_fn=_unchanged,
            worker_init_fn=in_worker,
        )
        before_fork()
        # The trainer's thread belongs to an executor. A process forked by such a thread fails at
        # its end, because it would wait for itself. So another thread forks.
        starter = threading.Thread(target=lambda: setattr(self, "_coming", iter(loader)))
        starter.start()
        starter.join()


class _BatchesByStep(Dataset):
    """What a worker process holds. Batches travel as plain arrays, and tracks as their numbers."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __getitem__(self, step: int) -> tuple[Any, dict[str, str]]:
        try:
            numbers, *arrays = self.batches.arrays(step)
        except BadInput as error:  # returned, because a DataLoader would add a page of traceback
            return error, {}
        return (numbers, *map(torch.from_numpy, arrays)), self.batches.broken


class _StepsFrom(Sampler):
    """The steps from a first one on, without end."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __iter__(self) -> Iterator[int]:
        return count(self.first)


def _unchanged(made: Value) -> Value:
    """Return what a worker made; a DataLoader would stack it by default."""
    return made


def make_batches(
    corpus: Corpus,
    config: TrainConfig,
    size: int,
    *,
    rank: int = 0,
    world: int = 1,
    progress: bool = True,
) -> Batches | PrefetchedBatches:
    """Make the batches of the split 'train' of a corpus.

    Args:
        corpus: what to train on.
        config: `loader` says how clips are read, see the module. 'auto' takes the cache if there is
            one already, or if it would stay under AUTO_CACHE bytes and under half of the free disk;
            else it decodes from where the clips lie. `workers` is the number of processes for
            'decode' and 'shards' (-1: one per core; 0: this process reads). `redraw` renders the
            faces of a toy corpus with new light and pose for every batch, with every loader. B, N,
            extra and seed: see `Batches`.
        size: height and width of a face in pixels.
        rank, world: number of this process, and number of processes.
        progress: show a bar while a cache is made.
    Raises:
        BadInput: no training tracks; fewer than a step takes; 'shards' of a corpus without shards;
            `redraw` of real faces.
    """
    tracks = corpus.split("train")
    if not tracks:
        remedy = "prepare the corpus with --split train"
        raise BadInput(f"{corpus.path}: no tracks in the split 'train'; {remedy}")
    loader = _chosen(corpus, tracks, config.loader, size)
    source: Source = Decoder(corpus, size)
    if loader == "cache":
        source = corpus.cache(size, tracks=tracks, progress=progress)
    if config.redraw:
        from dsel.toy.live import LiveFaces, Redrawn

        source = Redrawn(source, LiveFaces(corpus, size), config.seed)
    batches = Batches(source, tracks, config, rank, world)
    if loader == "cache":
        return batches
    workers = min(os.cpu_count() or 1, MOST_WORKERS) if config.workers < 0 else config.workers
    return PrefetchedBatches(batches, workers) if workers else batches


def _chosen(corpus: Corpus, tracks: Tracks, loader: str, size: int) -> str:
    """Choose 'cache', 'decode' or 'shards'. Raises BadInput if the wish does not fit the corpus."""
    held = "decode" if corpus.shards is None else "shards"
    if loader not in ("auto", "cache", held):
        lies = f"{corpus.path}: loader {loader!r} does not fit a corpus whose clips lie in "
        shard_it, change = "run 'dsel shard' first", f"use loader={held} or loader=auto"
        raise BadInput(f"{lies}{PLACES[held]}; {shard_it if loader == 'shards' else change}")
    if loader != "auto":
        return loader
    need = Cache.bytes_for(int(tracks.usable.sum()), size)
    if need > AUTO_CACHE:
        return held
    is_there = (Cache.place(corpus, size, tracks) / "index.json").is_file()
    fits = need < shutil.disk_usage(corpus.path).free / 2
    return "cache" if fits or is_there else held
