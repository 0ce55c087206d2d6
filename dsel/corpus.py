"""A corpus on disk: tracks with their factors, splits, labels, trials; and a decoded cache to train from.

Every corpus has one shape, whether drawn (`dsel toy`) or filmed (`dsel prepare`)::

    DIR/corpus.json                    format version, how it was made, seed, licence
    DIR/tracks.csv                     one row a track: id, speaker, split, path, frames, offset, then every known factor
    DIR/clips/<speaker>/<track>.mp4    the face crop, 25 fps, with its sound at 16 kHz
    DIR/labels/<speaker>.csv           optional: track, start, end (s), phoneme, viseme, word
    DIR/labels/<speaker>.npz           optional: one array a track, its mouth trajectory (frames, channels)
    DIR/trials/<kind>.csv              optional: target (0/1), a, b (track ids), same_sex (0/1), group
    DIR/shards/                        instead of clips/: the same clips in tar files, made by 'dsel shard', see `dsel.shards`
    DIR/cache/                         decoded once for training; may be deleted at any time

`offset` says by how many frames the sound is late: picture frame f belongs to sound frame f + offset. Readers apply it,
so everything above this file sees sound and picture in step. (Source of the layout: ours.)
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import platform
import shutil
import tempfile
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from dsel import shipped
from dsel.errors import BadInput
from dsel.media import read_clip, read_part
from dsel.shards import Shards, cache_folder, fetch, is_url
from dsel.timing import SAMPLES_PER_FRAME

FORMAT = 1
COLUMNS = ("id", "speaker", "split", "path", "frames", "offset")
SPLITS = ("train", "validation", "test")
TRIALS = ("free", "hard", "easy")
LABELS = ("track", "start", "end", "phoneme", "viseme", "word")
ROWS = 1 << 15  # of tracks.csv read at a time
KEPT = 20_000  # tracks up to which a corpus keeps every `Track` it made
CHECK = ""  # name of a column of check sums; no column of a csv file that we read is called that


@dataclass(frozen=True)
class Track:
    """One face track: a row of tracks.csv. `factors` holds every further column, numbers as float."""

    id: str
    speaker: str
    split: str
    path: str  # of the clip, relative to the corpus
    frames: int  # of the clip's picture
    offset: int = 0  # frames by which its sound is late
    factors: dict = field(default_factory=dict, compare=False)

    @property
    def usable(self) -> int:
        """Frames that have both picture and sound once the offset is taken out."""
        return max(0, self.frames - abs(self.offset))


@dataclass(frozen=True)
class Trials:
    """Pairs of tracks to be judged 'same speaker?'. All arrays have one entry a trial."""

    a: np.ndarray  # str, track ids
    b: np.ndarray
    target: np.ndarray  # bool: same speaker
    same_sex: np.ndarray  # bool
    group: np.ndarray  # str: what the trial list says about it, e.g. which kind of vocabulary

    def __len__(self) -> int:
        return len(self.target)

    def only(self, keep: np.ndarray) -> Trials:
        """The trials where `keep` (bool, one a trial) holds."""
        return Trials(self.a[keep], self.b[keep], self.target[keep], self.same_sex[keep], self.group[keep])


class Corpus:
    """A corpus opened for reading.

    Args:
        path: its folder.
        shards_at: folder or URL of its shards where they are not beside it.
    Raises:
        BadInput: no corpus there, one of another format version, or rows that cannot be used.
    """

    def __init__(self, path, shards_at=None):
        self.path = Path(path)
        self.meta = _read_meta(self.path)
        self.tracks = _read_tracks(self.path)
        self.by_id = _ById(self.tracks.table)
        folder = self.path / "shards"
        self.shards = Shards(folder, shards_at or folder) if (folder / "index.npz").is_file() else None
        if self.shards is not None and len(self.shards) != len(self.tracks):
            raise BadInput(
                f"{folder}: index.npz knows {len(self.shards)} tracks, tracks.csv {len(self)}; run 'dsel shard' again"
            )

    def __len__(self) -> int:
        return len(self.tracks)

    def __repr__(self) -> str:
        parts = ", ".join(f"{len(self.split(s))} {s}" for s in SPLITS if self.split(s))
        return f"Corpus({self.path.name}: {len(self)} tracks ({parts}) of {len(self.speakers())} speakers)"

    def split(self, name: str) -> Tracks:
        """The tracks of one split, in the order of tracks.csv."""
        return self.tracks.split(name)

    def speakers(self, split: str | None = None) -> list[str]:
        """Speaker names, sorted; of one split or of all."""
        return (self.tracks if split is None else self.split(split)).speakers()

    def clip(self, track: Track | str) -> tuple[np.ndarray, np.ndarray]:
        """Picture uint8 (T, H, W, 3) and sound float32 (640 T,) of a track, in step, at full size."""
        track = self._track(track)
        frames, waveform = read_clip(self._source(track))
        if len(frames) != track.frames:
            raise BadInput(f"{self.path / track.path}: {len(frames)} frames, but tracks.csv says {track.frames}; make it again")
        return _in_step(frames, waveform, track.offset)

    def part(self, track: Track, first: int, count: int, seen: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Frames [first, first + count) of `clip`, bit for bit, and their sound; little more than that is decoded.

        seen: which of these frames are wanted; the sound is that of all of them.
        """
        picture = range(first, first + count)[seen]
        ahead, late = max(0, -track.offset), max(0, track.offset)
        shown = range(picture.start + ahead, picture.stop + ahead)
        return read_part(self._source(track), shown, range(first + late, first + count + late), track.frames)

    def labels(self, track: Track | str) -> list[dict]:
        """Phonemes of a track in order: dicts with start, end (seconds), phoneme, viseme, word. Empty if unknown."""
        track = self._track(track)
        return self._labels_of(track.speaker).get(track.id, [])

    def mouth(self, track: Track | str) -> np.ndarray | None:
        """Mouth trajectory (T, channels) of a drawn track, None for a filmed one."""
        track = self._track(track)
        path = self.path / "labels" / f"{track.speaker}.npz"
        if not path.is_file():
            return None
        with np.load(path) as arrays:
            return arrays.get(track.id)

    def trials(self, kind: str) -> Trials | None:
        """The trial list of a kind ('free', 'hard', 'easy'), or None where the corpus brings none."""
        path = self.path / "trials" / f"{kind}.csv"
        if not path.is_file():
            return None
        rows = _read_csv(path)
        unknown = {row[side] for row in rows for side in "ab"} - self.by_id.keys()
        if unknown:
            raise BadInput(f"{path}: names {len(unknown)} unknown tracks, e.g. {min(unknown)}; make the corpus again")
        return Trials(
            a=np.array([row["a"] for row in rows]),
            b=np.array([row["b"] for row in rows]),
            target=np.array([row["target"] == "1" for row in rows], bool),
            same_sex=np.array([row.get("same_sex") == "1" for row in rows], bool),
            group=np.array([row.get("group", "") for row in rows]),
        )

    def cache(self, size: int, *, tracks: Sequence[Track] | None = None, progress: bool = True) -> Cache:
        """The decoded clips at `size` x `size` pixels, memory-mapped. Built on first use, rebuilt when clips change."""
        return Cache.of(self, size, self.tracks if tracks is None else tracks, progress)

    def _source(self, track: Track):
        """What `read_clip` reads: the clip's path; or, from a shard, a name and bytes."""
        path = self.path / track.path
        if self.shards is None:
            return path
        return f"{self.shards.place}: {track.id}", self.shards.read(self.by_id.row(track.id))

    def _stamp(self, track: Track) -> str:
        """Changes when a clip does, as far as that can be told without reading it."""
        if self.shards is not None:
            return self.shards.stamp(self.by_id.row(track.id))
        try:
            stat = (self.path / track.path).stat()
        except OSError as error:
            raise BadInput(f"{self.path / track.path}: the clip is missing; make the corpus again") from error
        return f"{stat.st_size} {stat.st_mtime_ns}"

    def _track(self, track: Track | str) -> Track:
        if isinstance(track, str) and track not in self.by_id:
            raise BadInput(f"{self.path / 'tracks.csv'}: no track {track!r}")
        return self.by_id[track] if isinstance(track, str) else track

    def _labels_of(self, speaker: str) -> dict[str, list[dict]]:
        if speaker not in self._labels:
            path, found = self.path / "labels" / f"{speaker}.csv", {}
            for row in _read_csv(path) if path.is_file() else []:
                entry = {**row, "start": float(row["start"]), "end": float(row["end"])}
                found.setdefault(entry.pop("track"), []).append(entry)
            self._labels[speaker] = found
        return self._labels[speaker]

    @cached_property
    def _labels(self) -> dict:
        return {}


def open(name_or_path) -> Corpus:
    """Open a corpus by path, by the URL of shards, or by the name of one that comes with the package (`data/`), e.g. 'mini'."""
    if is_url(name_or_path):
        return _open_url(str(name_or_path).rstrip("/"))
    path = Path(name_or_path)
    ours = shipped.folder() / str(name_or_path)
    return Corpus(ours if not path.exists() and (ours / "corpus.json").is_file() else path)


def _open_url(url: str) -> Corpus:
    """A sharded corpus behind a URL: what says which tracks there are is fetched now, a clip when it is wanted."""
    folder = cache_folder() / "remote" / hashlib.sha1(url.encode()).hexdigest()[:16]
    (folder / "shards").mkdir(parents=True, exist_ok=True)
    for name in ("corpus.json", "tracks.csv", "shards/index.npz"):
        part = folder / f".{Path(name).name}.{os.getpid()}.part"
        part.write_bytes(fetch(f"{url}/{name}"))
        os.replace(part, folder / name)
    return Corpus(folder, f"{url}/shards")


def write_corpus(path, rows: list[dict], *, made_by: str, seed: int | None, licence: str, **recipe) -> Corpus:
    """Write tracks.csv and corpus.json for clips that are already in place; both appear only when complete.

    Args:
        rows: one dict a track with the keys of COLUMNS and any further factors (the same keys in every row).
        recipe: whatever else one needs to make this corpus again; must be JSON.
    """
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    write_csv(path / "tracks.csv", rows, COLUMNS)
    meta = {"format": FORMAT, "made_by": made_by, "seed": seed, "licence": licence, "recipe": recipe}
    replace_text(path / "corpus.json", json.dumps(meta, indent=1, sort_keys=True) + "\n")
    return Corpus(path)


def write_csv(path, rows: list[dict], first: tuple[str, ...]) -> None:
    """Write rows as csv with the columns `first`, then every other key in order of appearance; complete or not at all."""
    rest = [key for key in dict.fromkeys(key for row in rows for key in row) if key not in first]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*first, *rest], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(part, path)


def replace_text(path, text: str) -> None:
    """Write a text file that is at every moment either the old one or the new one."""
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


@dataclass(frozen=True)
class Cache:
    """Decoded tracks in two flat files: frames uint8 (F, size, size, 3) and sound int16 (640 F,), F = all frames.

    `start[id]` is a track's first frame, `length[id]` its number of frames, sound and picture already in step.
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
        """Frames [first, first + count) of a track, uint8 (count, size, size, 3), and their int16 (640 count,) samples.

        seen: which of these frames are wanted; the sound is that of all of them.
        """
        count = self.length[track.id] - first if count is None else count
        begin = self.start[track.id] + first
        stop = begin + count
        return self.frames[begin:stop][seen], self.sound[begin * SAMPLES_PER_FRAME : stop * SAMPLES_PER_FRAME]

    @classmethod
    def of(cls, corpus: Corpus, size: int, tracks: Sequence[Track], progress: bool) -> Cache:
        """Open the cache of these tracks, building it if it is missing or no longer fits the clips."""
        tracks = list(tracks)
        folder = cls.place(corpus, size, tracks)
        if not (folder / "index.json").is_file():
            _build_cache(corpus, size, tracks, folder, progress)
        total = sum(track.usable for track in tracks)
        starts = np.cumsum([0, *(track.usable for track in tracks)])
        return cls(  # as plain arrays over the maps: slicing an np.memmap costs more than copying what one window needs
            frames=np.asarray(np.memmap(folder / "frames.u8", np.uint8, "r", shape=(total, size, size, 3))),
            sound=np.asarray(np.memmap(folder / "sound.i16", np.int16, "r", shape=(total * SAMPLES_PER_FRAME,))),
            start={track.id: int(at) for track, at in zip(tracks, starts, strict=False)},
            length={track.id: track.usable for track in tracks},
        )

    @classmethod
    def place(cls, corpus: Corpus, size: int, tracks: Sequence[Track]) -> Path:
        """The folder in which the cache of these tracks lies, or would lie."""
        return _cache_root(corpus) / f"{size}-{_fingerprint(corpus, tracks)}"

    @staticmethod
    def bytes_for(frames: int, size: int) -> int:
        """How much disk a cache of so many frames takes."""
        return frames * (size * size * 3 + 2 * SAMPLES_PER_FRAME)


def resize(frames: np.ndarray, size: int) -> np.ndarray:
    """uint8 (T, H, W, 3) -> uint8 (T, size, size, 3), antialiased bilinear."""
    if frames.shape[1:3] == (size, size):
        return frames
    import torch
    import torch.nn.functional as F

    image = torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2)  # (T, 3, H, W)
    small = F.interpolate(image.float(), (size, size), mode="bilinear", antialias=True)
    return small.round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().numpy()


def to_int16(waveform: np.ndarray) -> np.ndarray:
    """float32 in [-1, 1] -> int16, 32767 for 1."""
    return np.round(np.clip(waveform, -1, 1) * 32767).astype(np.int16)


def _build_cache(corpus: Corpus, size: int, tracks: list[Track], folder: Path, progress: bool) -> None:
    total = sum(track.usable for track in tracks)
    if not total:
        raise BadInput(f"{corpus.path}: no frames to decode; is the split empty?")
    folder.parent.mkdir(parents=True, exist_ok=True)
    need, free = Cache.bytes_for(total, size), shutil.disk_usage(folder.parent).free
    if need > free:
        raise BadInput(
            f"{folder.parent}: the cache needs {need >> 20} MiB and {free >> 20} are free; set DSEL_CACHE to a larger disk"
        )
    _sweep(folder.parent)
    part = Path(tempfile.mkdtemp(prefix=f".part-{platform.node()}-{os.getpid()}-", dir=folder.parent))
    try:
        frames = np.memmap(part / "frames.u8", np.uint8, "w+", shape=(total, size, size, 3))
        sound = np.memmap(part / "sound.i16", np.int16, "w+", shape=(total * SAMPLES_PER_FRAME,))
        at = 0
        bar = tqdm(tracks, "decoding clips", disable=not progress, unit="track", leave=False)
        for picture, waveform in _decoded(corpus, bar, size):
            stop = at + len(picture)
            frames[at:stop], sound[at * SAMPLES_PER_FRAME : stop * SAMPLES_PER_FRAME] = picture, waveform
            at = stop
        frames.flush()
        sound.flush()
        (part / "index.json").write_text(json.dumps({"size": size, "tracks": len(tracks), "frames": total}))
        try:
            os.replace(part, folder)
        except OSError:  # another process built the same cache meanwhile: use that one
            if not (folder / "index.json").is_file():
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _decoded(corpus: Corpus, tracks: Iterable[Track], size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pictures at that size and int16 sound of the tracks in order, decoded on every core, some tracks ahead.

    Shards are read by one thread: it may close a file that another reads.
    """

    def decode(track: Track) -> tuple[np.ndarray, np.ndarray]:
        picture, waveform = corpus.clip(track)
        return resize(picture, size), to_int16(waveform)

    threads = 1 if corpus.shards is not None else os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        coming = deque()
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


def _sweep(root: Path) -> None:
    """Remove half-built caches of processes of this machine that are no more."""
    for part in root.glob(f".part-{platform.node()}-*"):
        try:
            os.kill(int(part.name.split("-")[-2]), 0)  # signal 0: only asks whether it is there
        except ProcessLookupError:
            shutil.rmtree(part, ignore_errors=True)
        except (ValueError, OSError):  # not ours to judge
            continue


def _in_step(frames: np.ndarray, waveform: np.ndarray, offset: int) -> tuple[np.ndarray, np.ndarray]:
    """Take the offset out: keep the frames that have their own sound, and that sound."""
    first, late = max(0, -offset), max(0, offset)
    count = len(frames) - abs(offset)
    return frames[first : first + count], waveform[late * SAMPLES_PER_FRAME :][: count * SAMPLES_PER_FRAME]


def _fingerprint(corpus: Corpus, tracks: list[Track]) -> str:
    """Changes when any of the clips, their offsets or their order changes."""
    digest = hashlib.sha1()
    for track in tracks:
        digest.update(f"{track.id} {track.path} {track.frames} {track.offset} {corpus._stamp(track)}\n".encode())
    return digest.hexdigest()[:16]


def _cache_root(corpus: Corpus) -> Path:
    """DSEL_CACHE if set, the corpus' own folder if it can be written to, else the user's cache folder."""
    if os.environ.get("DSEL_CACHE"):
        return Path(os.environ["DSEL_CACHE"])
    if os.access(corpus.path, os.W_OK):
        return corpus.path / "cache"
    return cache_folder()


def _read_meta(path: Path) -> dict:
    if not path.is_dir():
        raise BadInput(f"{path}: no such folder; make a corpus with 'dsel toy --out DIR' or 'dsel prepare VIDEOS --out DIR'")
    try:
        meta = json.loads((path / "corpus.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise BadInput(
            f"{path}: not a corpus (corpus.json is missing or broken); 'dsel toy' or 'dsel prepare' makes one"
        ) from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        found = meta.get("format") if isinstance(meta, dict) else meta
        raise BadInput(f"{path / 'corpus.json'}: format {found!r}, this dsel reads {FORMAT}; make the corpus again")
    return meta


def _read_tracks(path: Path) -> Tracks:
    file = path / "tracks.csv"
    if not file.is_file():
        raise BadInput(f"{file}: missing; finish the corpus with the command that began it")
    parts, columns, line = [], None, 2
    with file.open(newline="", encoding="utf-8") as text:
        reader = csv.reader(text)
        columns = next(reader, [])
        absent = [name for name in COLUMNS if name not in columns]
        if absent:
            raise BadInput(f"{file}: no column {', '.join(absent)}; make the corpus again")
        while rows := [row for row in islice(reader, ROWS) if row]:
            parts.append(_checked_rows(path, columns, rows, line))
            line += len(rows)
    return Tracks(_Table.of(file, columns, parts))


def _checked_rows(path: Path, columns: list[str], rows: list[list[str]], line: int) -> dict:
    """Some rows of tracks.csv as columns; the first of them stands on line `line`. Raises BadInput for one that is no track."""
    width = len(columns)
    if any(len(row) != width for row in rows):
        rows = [(row + [""] * width)[:width] for row in rows]
    found = dict(zip(columns, zip(*rows, strict=True) if rows else ((),) * width, strict=True))

    def refuse(bad, says):
        k = next(k for k in range(len(rows)) if bad(k))
        raise BadInput(f"{path / 'tracks.csv'}, line {line + k}: {says(k)}")

    def empty(k):
        return [name for name in COLUMNS if not found[name][k]]

    if any("" in found[name] for name in COLUMNS):
        refuse(empty, lambda k: f"no {', '.join(empty(k))}; make the corpus again")
    outside = {k for k, name in enumerate(found["path"]) if os.path.isabs(name) or (".." in name and ".." in Path(name).parts)}
    if outside:
        refuse(outside.__contains__, lambda k: f"{found['path'][k]} lies outside the corpus; paths must stay inside {path}")
    if not set(found["split"]) <= set(SPLITS):
        split = found["split"]
        refuse(lambda k: split[k] not in SPLITS, lambda k: f"split {split[k]!r} is none of {', '.join(SPLITS)}")
    for name in ("frames", "offset"):
        try:
            found[name] = np.fromiter(map(int, found[name]), np.int32, len(rows))
        except (ValueError, OverflowError):
            text = found[name]
            refuse(lambda k, text=text: not _is_whole(text[k]), lambda k: "frames and offset must be whole numbers")
    found["split"] = np.fromiter(map(SPLITS.index, found["split"]), np.int8, len(rows))
    found[CHECK] = np.fromiter((zlib.crc32(name.encode()) for name in found["id"]), np.uint32, len(rows))
    speakers = sorted(set(found["speaker"]))
    number = {name: k for k, name in enumerate(speakers)}
    found["speaker"] = np.fromiter(map(number.__getitem__, found["speaker"]), np.int32, len(rows)), speakers
    texts = [name for name in columns if name in ("id", "path") or name not in COLUMNS]
    return found | {name: _Text.of(found[name]) for name in texts}


class _Text(Sequence):
    """Many short strings in one piece of memory: their own bytes and 8 more each."""

    def __init__(self, data: bytes, ends: np.ndarray):
        self.data, self.ends = data, ends

    @classmethod
    def of(cls, strings: Sequence[str]) -> _Text:
        text = "".join(strings)
        data = text.encode()
        if len(data) > len(text):  # some letter takes more than one byte
            strings = [string.encode() for string in strings]
        return cls(data, np.cumsum(np.fromiter(map(len, strings), np.int64, len(strings))))

    @classmethod
    def joined(cls, parts: list[_Text]) -> _Text:
        ends = [
            part.ends + begin for part, begin in zip(parts, np.cumsum([0, *(len(p.data) for p in parts[:-1])]), strict=True)
        ]
        return cls(b"".join(part.data for part in parts), np.concatenate(ends))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, k: int) -> str:
        return self.raw(k).decode()

    def raw(self, k: int) -> bytes:
        return self.data[self.ends[k - 1] if k else 0 : self.ends[k]]


@dataclass(frozen=True, eq=False)
class _Table:
    """tracks.csv as columns, one entry a row; strings are decoded, and factors turned into numbers, when they are asked for."""

    id: _Text
    path: _Text
    speaker: np.ndarray  # int32, index into `speakers`
    speakers: list[str]  # sorted
    split: np.ndarray  # int8, index into SPLITS
    frames: np.ndarray  # int32
    offset: np.ndarray  # int32
    factors: dict[str, _Text]
    check: np.ndarray  # uint32, CRC of the ids in ascending order
    order: np.ndarray  # int32, the rows in that order
    made: dict[int, Track] = field(default_factory=dict)

    @classmethod
    def of(cls, file: Path, columns: list[str], parts: list[dict]) -> _Table:
        parts = parts or [_checked_rows(file.parent, columns, [], 2)]
        numbers = {name: np.concatenate([part.pop(name) for part in parts]) for name in ("split", "frames", "offset", CHECK)}
        coded = [part.pop("speaker") for part in parts]
        speakers = sorted({name for _, names in coded for name in names})
        number = {name: k for k, name in enumerate(speakers)}
        coded = [np.array([number[name] for name in names], np.int32)[codes] for codes, names in coded]
        texts = {name: _Text.joined([part.pop(name) for part in parts]) for name in columns if name in parts[0]}
        order = np.argsort(numbers[CHECK], kind="stable").astype(np.int32)
        check = numbers.pop(CHECK)[order]
        ids, path = texts.pop("id"), texts.pop("path")
        twins = _repeated(ids, check, order)
        if twins:
            raise BadInput(f"{file}: {twins} track ids appear twice; make the corpus again")
        return cls(ids, path, np.concatenate(coded), speakers, **numbers, factors=texts, check=check, order=order)

    def row(self, name: str) -> int | None:
        """Which row has that id."""
        raw = name.encode()
        first, last = (int(np.searchsorted(self.check, np.uint32(zlib.crc32(raw)), side)) for side in ("left", "right"))
        return next((int(k) for k in self.order[first:last] if self.id.raw(k) == raw), None)

    def track(self, k: int) -> Track:
        """Row k; of a small corpus kept, since turning a hundred factors into numbers takes longer than reading a window."""
        if len(self.id) > KEPT:
            return self._made(k)
        if k not in self.made:
            self.made[k] = self._made(k)
        return self.made[k]

    def _made(self, k: int) -> Track:
        factors = {name: _number(values[k]) for name, values in self.factors.items()}
        speaker, split = self.speakers[self.speaker[k]], SPLITS[self.split[k]]
        return Track(self.id[k], speaker, split, self.path[k], int(self.frames[k]), int(self.offset[k]), factors)


def _repeated(ids: _Text, check: np.ndarray, order: np.ndarray) -> int:
    """How many ids are there twice; only those whose check sums agree need be looked at."""
    alike = np.flatnonzero(check[1:] == check[:-1])
    suspects = [ids.raw(k) for k in np.unique(np.concatenate([order[alike], order[alike + 1]]))]
    return len(suspects) - len(set(suspects))


class Tracks(Sequence):
    """Rows of tracks.csv, in order. A million of them take a few hundred bytes each: a `Track` is made when it is asked for."""

    def __init__(self, table: _Table, rows: np.ndarray | None = None):
        self.table = table
        self.rows = np.arange(len(table.id), dtype=np.int32) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, k):
        if isinstance(k, slice | np.ndarray):
            return Tracks(self.table, self.rows[k])
        return self.table.track(int(self.rows[k]))

    def __iter__(self) -> Iterator[Track]:
        return (self.table.track(k) for k in self.rows.tolist())

    def __eq__(self, other) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __add__(self, other: Sequence[Track]) -> list[Track]:
        return [*self, *other]

    def __repr__(self) -> str:
        return f"Tracks({len(self)} of {len(self.speakers())} speakers)"

    __hash__ = None

    @property
    def usable(self) -> np.ndarray:
        """`Track.usable` of each: int32 (len,)."""
        return np.maximum(0, self.table.frames[self.rows] - np.abs(self.table.offset[self.rows]))

    @property
    def speaker(self) -> np.ndarray:
        """The number of each one's speaker: int32 (len,)."""
        return self.table.speaker[self.rows]

    def split(self, name: str) -> Tracks:
        """Those of one split."""
        return self[self.table.split[self.rows] == (SPLITS.index(name) if name in SPLITS else -1)]

    def speakers(self) -> list[str]:
        """Their speakers' names, sorted."""
        return [self.table.speakers[k] for k in np.unique(self.speaker)]


class _ById(Mapping):
    """Track id -> Track."""

    def __init__(self, table: _Table):
        self.table = table

    def row(self, name: str) -> int:
        """Its row in tracks.csv."""
        row = self.table.row(name)
        if row is None:
            raise KeyError(name)
        return row

    def __getitem__(self, name: str) -> Track:
        return self.table.track(self.row(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self.table.id)

    def __len__(self) -> int:
        return len(self.table.id)


def _read_csv(path: Path) -> list[dict]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _is_whole(text: str) -> bool:
    try:
        return abs(int(text)) < 1 << 31
    except ValueError:
        return False


def _number(text: str):
    try:
        return float(text)
    except (TypeError, ValueError):
        return text
