"""Read tracks.csv as columns, so that a corpus of a million tracks opens in seconds and fits in memory."""

from __future__ import annotations

import csv
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from dsel.utils.errors import BadInput

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
