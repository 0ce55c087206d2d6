"""Read corpus.json and tracks.csv, so that a corpus of a million tracks opens in seconds."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from dsel.corpus.store import CHECK, COLUMNS, FORMAT, SPLITS, Table, Text, Tracks
from dsel.utils.errors import BadInput
from dsel.utils.readers import (
    WHOLE,
    check_entries,
    csv_cells,
    fitted,
    read_cell,
    read_header,
    read_json,
)

ROWS = 1 << 15  # of tracks.csv read at a time
MOST_BYTES = 8 << 30  # of tracks.csv: more than ten million tracks
MOST = 1 << 31  # frames, and frames of offset, are less
AGAIN = "make the corpus again"  # the remedy in messages
META: dict[
    str, Any
] = {  # entries of corpus.json beside the format, and what they are if they are missing
    "made_by": "another program",
    "seed": None,
    "licence": "unknown",
    "recipe": {},
}


def read_meta(path: Path) -> dict:
    """Read corpus.json: format, made_by, seed, licence, recipe, and whatever else it holds.

    Args:
        path: folder of the corpus.
    Raises:
        BadInput: no such folder, no corpus in it, or one of another format.
    """
    if not path.is_dir():
        raise BadInput(
            f"{path}: no such folder; make a corpus with 'dsel toy --out DIR' or "
            "'dsel prepare VIDEOS --out DIR'"
        )
    file = path / "corpus.json"
    remedy = f"{path} is not a corpus; 'dsel toy' or 'dsel prepare' makes one"
    meta = read_json(file, remedy=remedy, entries={})
    if meta.get("format") != FORMAT:
        raise BadInput(f"{file}: format {meta.get('format')!r}, this dsel reads {FORMAT}; {AGAIN}")
    meta = META | meta
    types: dict[str, type | tuple[type, ...]] = {
        "made_by": str,
        "seed": (int, type(None)),
        "licence": str,
        "recipe": dict,
    }
    check_entries(file, meta, types, AGAIN)
    return meta


def read_tracks(path: Path) -> Tracks:
    """Read tracks.csv of the corpus in a folder.

    Raises:
        BadInput: it is missing or no such table; names the line.
    """
    file = path / "tracks.csv"
    if not file.exists():
        raise BadInput(f"{file}: missing; finish the corpus with the command that began it")
    parts, count = [], 0
    with csv_cells(file, AGAIN, MOST_BYTES) as reader:
        columns = read_header(file, reader, COLUMNS, AGAIN)
        while rows := list(islice(filter(any, reader), ROWS)):
            parts.append(_columns(file, columns, rows, count))
            count += len(rows)
    parts = parts or [_columns(file, columns, [], 0)]
    return Tracks(_table(file, parts))


def _columns(file: Path, columns: list[str], rows: list[list[str]], count: int) -> dict:
    """Turn rows of tracks.csv into columns, after `count` rows before them. Raises BadInput."""
    width = len(columns)
    if any(len(row) != width for row in rows):
        rows = [
            row if len(row) == width else fitted(file, _line(file, count + k), row, width, AGAIN)
            for k, row in enumerate(rows)
        ]
    cells: dict[str, Sequence[str]] = dict(
        zip(columns, zip(*rows, strict=True) if rows else ((),) * width, strict=True)
    )
    _check(file, cells, count)
    found: dict[str, Any] = dict(cells)
    for name in ("frames", "offset"):
        found[name] = _whole_numbers(file, name, cells[name], count)
    if len(rows) and found["frames"].min() < 1:
        k = int(np.argmax(found["frames"] < 1))
        raise BadInput(f"{file}, line {_line(file, count + k)}: frames must be at least 1; {AGAIN}")
    found["split"] = np.fromiter(map(SPLITS.index, found["split"]), np.int8, len(rows))
    checks = (zlib.crc32(name.encode()) for name in found["id"])
    found[CHECK] = np.fromiter(checks, np.uint32, len(rows))
    speakers = sorted(set(found["speaker"]))
    number = {name: k for k, name in enumerate(speakers)}
    coded = np.fromiter(map(number.__getitem__, found["speaker"]), np.int32, len(rows))
    found["speaker"] = coded, speakers
    for name in columns:
        if name in ("id", "path") or (name and name not in COLUMNS):
            found[name] = Text.of(found[name])
            if b"\0" in found[name].data:
                raise BadInput(f"{file}, column {name}: holds binary data; {AGAIN}")
    return found


def _check(file: Path, found: dict[str, Sequence[str]], count: int) -> None:
    """Refuse empty cells, unknown splits, and paths that lead out of the corpus."""

    def refuse(is_bad: Callable[[int], object], reason: Callable[[int], str]) -> None:
        k = next(k for k in range(len(found["id"])) if is_bad(k))
        raise BadInput(f"{file}, line {_line(file, count + k)}: {reason(k)}")

    def empty(k: int) -> list[str]:
        return [name for name in COLUMNS if not found[name][k]]

    if any("" in found[name] for name in COLUMNS):
        refuse(empty, lambda k: f"no {', '.join(empty(k))}; {AGAIN}")
    paths, splits = found["path"], found["split"]
    if any(_leads_out(path) for path in paths if path[0] in "/\\" or ".." in path or ":" in path):
        inside = f"paths must stay inside {file.parent}"
        refuse(
            lambda k: _leads_out(paths[k]),
            lambda k: f"{paths[k]} lies outside the corpus; {inside}",
        )
    if not set(splits) <= set(SPLITS):
        known = f"is none of {', '.join(SPLITS)}"
        refuse(lambda k: splits[k] not in SPLITS, lambda k: f"split {splits[k]!r} {known}; {AGAIN}")


def _leads_out(path: str) -> bool:
    """Return whether the path of a clip leads out of the corpus."""
    return path[0] in "/\\" or bool(os.path.splitdrive(path)[0]) or ".." in Path(path).parts


def _whole_numbers(file: Path, name: str, cells: Sequence[str], count: int) -> np.ndarray:
    """Read the cells of a column as int32."""
    try:
        numbers = np.fromiter(map(int, cells), np.int64, len(cells))  # NumPy 1 wraps at int32
        if np.all((numbers > -MOST) & (numbers < MOST)):
            return numbers.astype(np.int32)
    except (ValueError, OverflowError):  # a spreadsheet wrote 50.0, or it is no such number
        pass
    found = [_whole_number(file, name, cell, count + k) for k, cell in enumerate(cells)]
    return np.array(found, np.int32)


def _whole_number(file: Path, name: str, cell: str, row: int) -> int:
    try:
        value = WHOLE.read(cell)
    except ValueError:
        return read_cell(file, _line(file, row), name, cell, WHOLE, AGAIN)  # says where
    if abs(value) >= MOST:
        raise BadInput(f"{file}, line {_line(file, row)}: {name} {value} is too large; {AGAIN}")
    return value


def _line(file: Path, row: int) -> int:
    """Return the line on which a row of tracks.csv ends; empty lines are no rows. Slow."""
    with csv_cells(file, AGAIN, MOST_BYTES) as reader:
        next(reader)
        next(islice(filter(any, reader), row, None))
        return reader.line_num


def _table(file: Path, parts: list[dict]) -> Table:
    """Join the columns of all rows. Raises BadInput if an id appears twice."""
    table = Table.of(parts)
    twins = table.repeated()
    if twins:
        raise BadInput(f"{file}: {twins} track ids appear twice; {AGAIN}")
    return table
