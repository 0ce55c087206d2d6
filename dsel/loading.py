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
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm.auto import tqdm

from dsel.corpus import SPLITS, Cache, Corpus, Track, Tracks, replace_text, resize, to_int16
from dsel.corpus import open as open_corpus
from dsel.errors import BadInput
from dsel.shards import Unreachable, clips_of, key_of, write_shard
from dsel.timing import WINDOW_FRAMES, frames_for, samples_for

LOADERS = ("auto", "cache", "decode", "shards")
PLACES = {"decode": "files", "shards": "shards"}
AUTO_CACHE = 64 << 30  # bytes of cache that 'auto' may make
MOST_WORKERS = 16  # that -1 starts
SPARE = 20  # clips in a row that may be broken


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

    def arrays(self, step: int) -> tuple[list[int], np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What a `Batch` is made of: numbers of the tracks, faces, sound, extra faces, pick."""
        B, E, T, size = self.config.B, self.config.extra, frames_for(self.config.N), self.source.size
        rng = np.random.default_rng([self.config.seed, 1, step])
        drawn = self._draw(step, rng)  # (world (B + E),)
        first = [int(rng.integers(room)) for room in self._usable[drawn] - T + 1]
        pick = rng.integers(self.config.N, size=self.size)
        mine, spare = self._mine(), self._spare(step, drawn)
        faces, extra = np.empty((B, T, size, size, 3), np.uint8), np.empty((E, WINDOW_FRAMES, size, size, 3), np.uint8)
        sound, numbers = np.empty((B + E, samples_for(T)), np.int16), []
        for place, k in enumerate(mine):
            seen = slice(None) if place < B else slice(pick[k], pick[k] + WINDOW_FRAMES)
            number, (picture, sound[place]) = self._read(int(drawn[k]), first[k], seen, spare)
            (faces if place < B else extra)[place if place < B else place - B] = picture
            numbers.append(number)
        return numbers, faces, sound, extra, pick[mine[:B]]

    def track(self, k: int) -> Track:
        """Number k of the tracks that are long enough."""
        return self._all[int(self._long[k])]

    def _read(self, k: int, first: int, seen: slice, spare: Iterator[int]) -> tuple[int, tuple[np.ndarray, np.ndarray]]:
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
            fresh = k not in taken and not (self.config.distinct_speakers and int(self._speaker[k]) in speakers)
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
        return np.concatenate([self.rank * B + np.arange(B), self.world * B + self.rank * E + np.arange(E)])

    def _draw(self, step: int, rng: np.random.Generator) -> np.ndarray:
        """Numbers of the tracks of a step of all processes: (world (B + E),)."""
        if self.config.distinct_speakers:
            return self._distinct(rng)
        epoch, place = divmod(step, self.steps_an_epoch)
        if self._order[0] != epoch:
            self._order = epoch, np.random.default_rng([self.config.seed, 0, epoch]).permutation(len(self._long))
        return self._order[1][place * self.size : (place + 1) * self.size]

    def _distinct(self, rng: np.random.Generator) -> np.ndarray:
        order = rng.permutation(len(self._long))
        _, first = np.unique(self._speaker[order], return_index=True)  # where each speaker comes up first
        if len(first) < self.size:
            raise BadInput(f"only {len(first)} training speakers, but distinct_speakers needs B + extra = {self.size} of them")
        return order[np.sort(first)[: self.size]]


def _columns(tracks: Sequence[Track]) -> tuple[np.ndarray, np.ndarray]:
    """Usable frames and speaker number of each track; from a corpus without making a `Track` of each."""
    if isinstance(tracks, Tracks):
        return tracks.usable, tracks.speaker
    numbers: dict[str, int] = {}
    speaker = [numbers.setdefault(track.speaker, len(numbers)) for track in tracks]
    return np.array([track.usable for track in tracks], int), np.array(speaker, int)


class Decoder:
    """Reads clips from where they lie, in files or in shards, and decodes what is wanted of them; called like `Cache`."""

    def __init__(self, corpus: Corpus, size: int):
        self.corpus, self.size = corpus, size

    def read(self, track: Track, first: int, count: int, seen: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
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
            )
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


def _say(reasons) -> None:
    for reason in reasons:
        tqdm.write(f"{reason} (another track takes its place)", file=sys.stderr)


def make_batches(corpus: Corpus, config, size: int, *, rank: int = 0, world: int = 1, progress: bool = True):
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
        raise BadInput(f"{corpus.path}: no tracks in the split 'train'; prepare the corpus with --split train")
    kind = _chosen(corpus, tracks, config.loader, size)
    source = corpus.cache(size, tracks=tracks, progress=progress) if kind == "cache" else Decoder(corpus, size)
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
        remedy = "run 'dsel shard' first" if loader == "shards" else f"use loader={held} or loader=auto"
        raise BadInput(f"{corpus.path}: loader {loader!r} does not fit a corpus whose clips lie in {PLACES[held]}; {remedy}")
    if loader != "auto":
        return loader
    need = Cache.bytes_for(int(tracks.usable.sum()), size)
    if need > AUTO_CACHE:
        return held
    fits = need < shutil.disk_usage(corpus.path).free / 2 or (Cache.place(corpus, size, tracks) / "index.json").is_file()
    return "cache" if fits else held


def shard(data, out, *, megabytes: int = 256, seed: int = 0, progress: bool = True) -> Path:
    """Pack the clips of the corpus `data` into WebDataset shards; `out` is a corpus too. See `dsel shard --help`.

    OUT/shards/<split>-000000.tar ..., the tracks of a split in random order, so that what lies together is not alike;
    OUT/shards/index.npz (which bytes are whose), tracks.csv, corpus.json, labels/ and trials/ as they were. Copy the folder
    to a web server and train on its URL. A shard that is there, whole and younger than its clips is not written again.

    Raises:
        BadInput: `data` is no corpus of clips, or a clip is missing.
    """
    corpus, out = open_corpus(data), Path(out)
    if corpus.shards is not None:
        raise BadInput(f"{corpus.path}: lies in shards already")
    if out.resolve() == corpus.path.resolve():
        raise BadInput(f"{out}: the shards need a folder of their own; give another --out")
    table, rng = corpus.tracks.table, np.random.default_rng(seed)
    names, place = [], np.zeros((len(corpus), 3), np.int64)  # shard, first byte, bytes
    (out / "shards" / "index.npz").unlink(missing_ok=True)  # it would not fit shards that are written anew
    with tqdm(total=len(corpus), desc="packing clips", disable=not progress, unit="track") as bar:
        for split in SPLITS:
            rows = rng.permutation(corpus.split(split).rows)
            for number, chosen in enumerate(_portions(corpus, rows, megabytes << 20)):
                path = out / "shards" / f"{split}-{number:06d}.tar"
                place[chosen, 0] = len(names)
                place[chosen, 1:] = _packed(corpus, [table.track(int(k)) for k in chosen], path)
                names.append(path.name)
                bar.update(len(chosen))
    part = out / "shards" / f".index.{os.getpid()}.npz"
    np.savez(part, names=np.array(names), shard=place[:, 0].astype(np.int32), first=place[:, 1], size=place[:, 2])
    os.replace(part, out / "shards" / "index.npz")
    for name in ("labels", "trials"):
        if (corpus.path / name).is_dir():
            shutil.copytree(corpus.path / name, out / name, dirs_exist_ok=True)
    for name in ("tracks.csv", "corpus.json"):  # last: with them it is a corpus
        replace_text(out / name, (corpus.path / name).read_text(encoding="utf-8"))
    return out


def _portions(corpus: Corpus, rows: np.ndarray, most: int) -> Iterator[list[int]]:
    """Rows in order, cut where their clips would fill more than so many bytes."""
    chosen, filled = [], 0
    for k in rows.tolist():
        size = _stat(corpus, k).st_size
        if chosen and filled + size > most:
            yield chosen
            chosen, filled = [], 0
        chosen.append(k)
        filled += size
    if chosen:
        yield chosen


def _packed(corpus: Corpus, tracks: list[Track], path: Path) -> list[tuple[int, int]]:
    """First byte and size of each track's clip in a shard, which is written unless it is there already."""
    clips = [corpus.path / track.path for track in tracks]
    if path.is_file() and path.stat().st_mtime_ns >= max(clip.stat().st_mtime_ns for clip in clips):
        found = clips_of(path)
        if [(key, size) for key, _, size in found] == [
            (key_of(track.id), clip.stat().st_size) for track, clip in zip(tracks, clips, strict=True)
        ]:
            return [(first, size) for _, first, size in found]
    return write_shard(path, ((t.id, clip.read_bytes(), _about(t)) for t, clip in zip(tracks, clips, strict=True)))


def _about(track: Track) -> dict:
    return {"id": track.id, "speaker": track.speaker, "frames": track.frames, "offset": track.offset, **track.factors}


def _stat(corpus: Corpus, row: int):
    path = corpus.path / corpus.tracks.table.path[row]
    try:
        return path.stat()
    except OSError as error:
        raise BadInput(f"{path}: the clip is missing; make the corpus again") from error
