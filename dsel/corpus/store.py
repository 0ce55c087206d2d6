"""Hold tracks.csv as columns, so that a million tracks fit in memory. (Source: ours.)"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np

FORMAT = 1
COLUMNS = ("id", "speaker", "split", "path", "frames", "offset")
SPLITS = ("train", "validation", "test")
TRIALS = ("free", "hard", "easy")
LABELS = ("track", "start", "end", "phoneme", "viseme", "word")
KEPT = 20_000  # tracks up to which a corpus keeps every `Track` it made
CHECK = ""  # key of the column of check sums; columns without a name are not read


@dataclass(frozen=True)
class Track:
    """One face track: a row of tracks.csv. `factors` holds the other columns, numbers as float.

    >>> track = Track("a1", "ada", "test", "clips/ada/a1.mp4", frames=50, offset=-2)
    >>> track.usable
    48
    """

    id: str
    speaker: str
    split: str
    path: str  # of the clip, relative to the corpus
    frames: int  # of the clip's picture
    offset: int = 0  # frames by which its sound is late
    factors: dict = field(default_factory=dict, compare=False)

    @property
    def usable(self) -> int:
        """Number of frames that have picture and sound once the offset is taken out."""
        return max(0, self.frames - abs(self.offset))


class Text(Sequence[str]):
    """Hold many short strings in one piece of memory: their own bytes and 8 more each."""

    def __init__(self, data: bytes, ends: np.ndarray) -> None:
        self.data, self.ends = data, ends  # ends int64 (K,): where each string ends in `data`

    @classmethod
    def of(cls, strings: Sequence[str]) -> Text:
        """Copy strings."""
        text = "".join(strings)
        data = text.encode()
        lengths: Iterable[int] = map(len, strings)
        if len(data) > len(text):  # some letter takes more than one byte
            lengths = (len(string.encode()) for string in strings)
        return cls(data, np.cumsum(np.fromiter(lengths, np.int64, len(strings))))

    @classmethod
    def joined(cls, parts: list[Text]) -> Text:
        """Return the strings of all parts, in order."""
        begins = np.cumsum([0, *(len(part.data) for part in parts[:-1])])
        ends = [part.ends + begin for part, begin in zip(parts, begins, strict=True)]
        return cls(b"".join(part.data for part in parts), np.concatenate(ends))

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, k: int) -> str: ...

    @overload
    def __getitem__(self, k: slice) -> list[str]: ...

    def __getitem__(self, k: int | slice) -> str | list[str]:
        if isinstance(k, slice):
            return [self.raw(i).decode() for i in range(len(self))[k]]
        return self.raw(k).decode()

    def raw(self, k: int) -> bytes:
        """Return string k in UTF-8."""
        return self.data[self.ends[k - 1] if k else 0 : self.ends[k]]


@dataclass(frozen=True, eq=False)
class Table:
    """Hold tracks.csv as columns of R rows.

    Strings are decoded, and factors turned into numbers, when they are asked for.
    """

    id: Text
    path: Text
    speaker: np.ndarray  # int32 (R,), index into `speakers`
    speakers: list[str]  # sorted
    split: np.ndarray  # int8 (R,), index into SPLITS
    frames: np.ndarray  # int32 (R,)
    offset: np.ndarray  # int32 (R,)
    factors: dict[str, Text]
    check: np.ndarray  # uint32 (R,), CRC of the ids in ascending order
    order: np.ndarray  # int32 (R,), the rows in that order
    made: dict[int, Track] = field(default_factory=dict)

    @classmethod
    def of(cls, parts: list[dict]) -> Table:
        """Join parts of a table, one after the other. Takes from them, so that memory is freed.

        Args:
            parts: each maps names of columns to the fields above; `speaker` to the pair (speaker,
                speakers) of that part, CHECK to the CRC of its ids in their order.
        """
        names = [name for name in parts[0] if name not in (*COLUMNS, CHECK)]
        texts = {
            name: Text.joined([part.pop(name) for part in parts]) for name in ("id", "path", *names)
        }
        split, frames, offset = (
            np.concatenate([part.pop(name) for part in parts])
            for name in ("split", "frames", "offset")
        )
        coded = [part.pop("speaker") for part in parts]
        speakers = sorted({name for _, names in coded for name in names})
        number = {name: k for k, name in enumerate(speakers)}
        coded = [np.array([number[n] for n in own], np.int32)[code] for code, own in coded]
        check = np.concatenate([part.pop(CHECK) for part in parts])
        order = np.argsort(check, kind="stable").astype(np.int32)
        return cls(
            id=texts.pop("id"),
            path=texts.pop("path"),
            speaker=np.concatenate(coded),
            speakers=speakers,
            split=split,
            frames=frames,
            offset=offset,
            factors=texts,
            check=check[order],
            order=order,
        )

    def row(self, name: str) -> int | None:
        """Return the row of an id, None if there is none."""
        raw = name.encode()
        crc = np.uint32(zlib.crc32(raw))
        first, last = (int(np.searchsorted(self.check, crc, side)) for side in ("left", "right"))
        return next((int(k) for k in self.order[first:last] if self.id.raw(k) == raw), None)

    def track(self, k: int) -> Track:
        """Return row k.

        Those of a small corpus are kept, since turning a hundred factors into numbers takes longer
        than reading a window.
        """
        if len(self.id) > KEPT:
            return self._make(k)
        if k not in self.made:
            self.made[k] = self._make(k)
        return self.made[k]

    def repeated(self) -> int:
        """Count the ids that are there twice; only ids with equal check sums are compared."""
        alike = np.flatnonzero(self.check[1:] == self.check[:-1])
        rows = np.unique(np.concatenate([self.order[alike], self.order[alike + 1]]))
        suspects = [self.id.raw(k) for k in rows]
        return len(suspects) - len(set(suspects))

    def _make(self, k: int) -> Track:
        factors = {name: _number(values[k]) for name, values in self.factors.items()}
        speaker, split = self.speakers[self.speaker[k]], SPLITS[self.split[k]]
        frames, offset = int(self.frames[k]), int(self.offset[k])
        return Track(self.id[k], speaker, split, self.path[k], frames, offset, factors)


class Tracks(Sequence[Track]):
    """Rows of tracks.csv, in order.

    A million of them take a few hundred bytes each: a `Track` is made when it is asked for.
    """

    def __init__(self, table: Table, rows: np.ndarray | None = None) -> None:
        self.table = table
        self.rows = np.arange(len(table.id), dtype=np.int32) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, k: int | np.integer) -> Track: ...

    @overload
    def __getitem__(self, k: slice | np.ndarray) -> Tracks: ...

    def __getitem__(self, k: int | np.integer | slice | np.ndarray) -> Track | Tracks:
        if isinstance(k, slice | np.ndarray):
            return Tracks(self.table, self.rows[k])
        return self.table.track(int(self.rows[k]))

    def __iter__(self) -> Iterator[Track]:
        return (self.table.track(k) for k in self.rows.tolist())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(a == b for a, b in zip(self, other, strict=True))

    def __add__(self, other: Sequence[Track]) -> list[Track]:
        return [*self, *other]

    def __repr__(self) -> str:
        return f"Tracks({len(self)} of {len(self.speakers())} speakers)"

    __hash__ = None  # type: ignore[assignment]  # as of a list

    @property
    def usable(self) -> np.ndarray:
        """`Track.usable` of each: int32 (len,)."""
        return np.maximum(0, self.table.frames[self.rows] - np.abs(self.table.offset[self.rows]))

    @property
    def speaker(self) -> np.ndarray:
        """Number of each track's speaker: int32 (len,)."""
        return self.table.speaker[self.rows]

    def split(self, name: str) -> Tracks:
        """Return those of one split."""
        return self[self.table.split[self.rows] == (SPLITS.index(name) if name in SPLITS else -1)]

    def speakers(self) -> list[str]:
        """Return the names of their speakers, sorted."""
        return [self.table.speakers[k] for k in np.unique(self.speaker)]


class TracksById(Mapping[str, Track]):
    """Map the id of a track to the track."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def row(self, name: str) -> int:
        """Return its row in tracks.csv. Raises KeyError if there is none."""
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


def _number(text: str) -> float | str:
    """Return a cell as a number if it is one."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return text
