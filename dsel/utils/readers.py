"""Read files that people bring: csv, JSON and arrays. A fault is one line with place and remedy.

Accepted is what spreadsheets and other programs write: UTF-8 with or without a byte order mark,
the line breaks of every system, blanks after commas, a whole number as 1.0. Refused before they are
read are pipes, devices, folders, and files so large that they would fill the memory.
(Source: ours.)
"""

from __future__ import annotations

import csv
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from dsel.utils.errors import BadInput

MIB = 1 << 20
LARGEST = 64 * MIB  # bytes of a file, where nothing else is said
SHOWN = 40  # characters of a wrong cell that a message repeats
YES = frozenset({"1", "1.0", "true", "target", "same"})
NO = frozenset({"0", "0.0", "false", "nontarget", "non-target", "impostor", "different"})


class Kind(NamedTuple):
    """What a cell may hold: a name for messages, and a function that raises ValueError."""

    name: str
    read: Callable[[str], Any]


def _whole(text: str) -> int:
    try:
        value = int(text)
    except ValueError:  # spreadsheets and pandas write 50.0
        number = float(text)
        if not number.is_integer():
            raise
        value = int(number)
    if abs(value) >= 1 << 63:
        raise ValueError(text)
    return value


def _name(text: str) -> str:
    if not text:
        raise ValueError(text)
    return text


def yes_or_no(text: str) -> bool:
    """Return whether a word of a list says yes. Raises ValueError if it says neither."""
    word = text.strip().lower()
    if word not in YES and word not in NO:
        raise ValueError(text)
    return word in YES


TEXT = Kind("text", str)
NAME = Kind("a name", _name)
WHOLE = Kind("a whole number", _whole)
NUMBER = Kind("a number", float)
YES_NO = Kind("1 or 0 (or True/False, target/nontarget)", yes_or_no)


def read_csv(
    path: str | os.PathLike,
    columns: Mapping[str, Kind],
    *,
    remedy: str,
    optional: Mapping[str, Kind] | None = None,
    other: Kind = TEXT,
    cut_last: bool = False,
    most: int = LARGEST,
) -> list[dict]:
    """Read a csv file whose first line names the columns.

    Args:
        path: the file.
        columns: the columns that it must have, and what their cells hold.
        remedy: what a message advises.
        optional: columns that it may have. An empty cell of a kind other than TEXT is left out.
        other: what the cells of all other columns hold; empty ones as in `optional`.
        cut_last: leave out a last line without a line break, since a kill cut it off. A file
            that ends in its first line has no rows.
        most: bytes of the file.
    Returns:
        One dict per line, in order. Empty lines and columns without a name are left out.
    Raises:
        BadInput: the file cannot be read, lacks a column, or has a cell of another kind; names
            file, line and column.
    """
    kinds = {**(optional or {}), **columns}
    if cut_last and not _has_a_line(check_file(path, remedy, most)):
        return []
    rows = []
    with csv_cells(path, remedy, most) as reader:
        names = read_header(path, reader, tuple(columns), remedy)
        for cells in reader:
            if not any(cells):
                continue
            line = reader.line_num
            cells = fitted(path, line, cells, len(names), remedy)
            row = {}
            for name, cell in zip(names, cells, strict=True):
                kind = kinds.get(name, other)
                if not name or (not cell and name not in columns and kind is not TEXT):
                    continue
                row[name] = read_cell(path, line, name, cell, kind, remedy)
            rows.append(row)
    if cut_last and rows and not _ends_with_a_line_break(Path(path)):
        rows.pop()
    return rows


@contextmanager
def csv_cells(path: str | os.PathLike, remedy: str, most: int = LARGEST) -> Iterator[Any]:
    """Yield a `csv.reader` over a file that has been checked; its faults are raised as BadInput."""
    path = check_file(path, remedy, most)
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True, skipinitialspace=True)
        try:
            yield reader
        except UnicodeDecodeError as error:
            raise _not_text(path, remedy) from error
        except csv.Error as error:
            line = max(1, reader.line_num)
            raise BadInput(f"{path}, line {line}: {error}; {remedy}") from error


def read_header(
    path: str | os.PathLike, reader: Any, columns: tuple[str, ...], remedy: str
) -> list[str]:
    """Read the names of the columns. Raises BadInput if one is missing or appears twice."""
    names = [name.strip() for name in next(reader, [])]
    if not any(names):
        raise BadInput(f"{path}: is empty; {remedy}")
    missing = [name for name in columns if name not in names]
    if missing:
        separator = next((s for s in (";", "\t") if len(names) == 1 and s in names[0]), None)
        hint = f" (cells are separated by {separator!r}, not by a comma)" if separator else ""
        raise BadInput(f"{path}, line 1: no column {', '.join(missing)}{hint}; {remedy}")
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise BadInput(f"{path}, line 1: two columns are called {twice[0]}; {remedy}")
    return names


def fitted(
    path: str | os.PathLike, line: int, cells: list[str], width: int, remedy: str
) -> list[str]:
    """Return the cells of a line without empty ones beyond the last column, or raise BadInput."""
    if len(cells) < width or any(cells[width:]):
        raise BadInput(f"{path}, line {line}: {len(cells)} cells for {width} columns; {remedy}")
    return cells[:width]


def read_cell(
    path: str | os.PathLike, line: int, column: str, cell: str, kind: Kind, remedy: str
) -> Any:
    """Read a cell as its kind. Raises BadInput that names file, line and column."""
    place = f"{path}, line {line}, column {column}"
    if "\0" in cell:
        raise BadInput(f"{place}: holds binary data; {remedy}")
    try:
        return kind.read(cell)
    except (ValueError, OverflowError) as error:
        shown = repr(cell[:SHOWN]) if cell else "an empty cell"
        raise BadInput(f"{place}: {shown} is not {kind.name}; {remedy}") from error


def read_json(
    path: str | os.PathLike,
    *,
    remedy: str,
    entries: Mapping[str, type | tuple[type, ...]] | None = None,
    most: int = LARGEST,
) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        remedy: what a message advises.
        entries: with them the file must hold an object that has these entries, of these types.
        most: bytes of the file.
    Raises:
        BadInput: the file cannot be read, or an entry is missing or of another type.
    """
    path = Path(path)
    try:
        value = json.loads(read_text(path, remedy=remedy, most=most))
    except json.JSONDecodeError as error:
        place = f"{path}, line {error.lineno}, column {error.colno}"
        raise BadInput(f"{place}: not JSON ({error.msg}); {remedy}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path}: not JSON that can be read ({error}); {remedy}") from error
    if entries is not None:
        check_entries(path, value, entries, remedy)
    return value


def check_entries(
    place: str | os.PathLike,
    value: Any,
    entries: Mapping[str, type | tuple[type, ...]],
    remedy: str,
) -> None:
    """Check that a value read from JSON at some place is an object with these entries.

    Raises:
        BadInput: it is not, an entry is missing, or it is of another type.
    """
    if not isinstance(value, dict):
        raise BadInput(f"{place}: holds {_type_name(type(value))}, not an object; {remedy}")
    for name, types in entries.items():
        types = types if isinstance(types, tuple) else (types,)
        if name not in value:
            raise BadInput(f"{place}: no entry {name!r}; {remedy}")
        if type(value[name]) not in types:  # True is no whole number
            found = _type_name(type(value[name]))
            wanted = " or ".join(map(_type_name, types))
            raise BadInput(f"{place}: entry {name!r} is {found}, not {wanted}; {remedy}")


def read_arrays(
    path: str | os.PathLike,
    names: tuple[str, ...] | None = None,
    *,
    remedy: str,
    most: int = 1 << 30,
) -> dict[str, Any]:
    """Read arrays of an .npz file.

    Args:
        path: the file.
        names: those of these names that are there; None: all.
        remedy: what a message advises.
        most: bytes of the file, and of its arrays in memory.
    Raises:
        BadInput: the file cannot be read. No code in it is run.
    """
    import numpy as np

    path = check_file(path, remedy, most)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size <= most:
            with np.load(path, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files if not names or name in names}
    except Exception as error:  # a damaged archive can raise anything
        kind = type(error).__name__
        raise BadInput(f"{path}: not a whole .npz file of arrays ({kind}); {remedy}") from error
    raise BadInput(f"{path}: {_size(size)} of arrays, {_size(most)} at most; {remedy}")


def read_text(path: str | os.PathLike, *, remedy: str, most: int = LARGEST) -> str:
    """Read a text file in UTF-8, without its byte order mark. Raises BadInput."""
    path = check_file(path, remedy, most)
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_text(path, remedy) from error


def check_file(path: str | os.PathLike, remedy: str, most: int = LARGEST) -> Path:
    """Return the path of a file that may be read.

    Raises:
        BadInput: it is missing, a folder, a pipe or a device, may not be read, or is too large.
    """
    path = Path(path)
    try:
        if not path.exists():
            raise BadInput(f"{path}: missing; {remedy}")
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "a pipe or a device"
            raise BadInput(f"{path}: is {kind}, not a file; {remedy}")
        size = path.stat().st_size
        path.open("rb").close()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    if size > most:
        raise BadInput(f"{path}: {_size(size)}, {_size(most)} at most; {remedy}")
    return path


def _not_text(path: Path, remedy: str) -> BadInput:
    """Return the message about a file that is not UTF-8: what it is, or where it is not."""
    with path.open("rb") as file:
        head = file.read(4096)
        if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return BadInput(f"{path}: is in UTF-16; save it as UTF-8, or {remedy}")
        if b"\0" in head:
            return BadInput(f"{path}: holds binary data, not text; {remedy}")
        file.seek(0)
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                place = f"{path}, line {number}"
                return BadInput(f"{place}: is not in UTF-8; save the file as UTF-8, or {remedy}")
    return BadInput(f"{path}: is not in UTF-8; save it as UTF-8, or {remedy}")


def _has_a_line(path: Path) -> bool:
    """Return whether a file holds at least one whole line."""
    with path.open("rb") as file:
        return file.readline(MIB).endswith(b"\n")


def _ends_with_a_line_break(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) in (b"\n", b"\r")


def _size(count: int) -> str:
    return f"{count // MIB} MiB" if count >= MIB else f"{count} bytes"


def _type_name(kind: type) -> str:
    """Say in words what a value of JSON is."""
    names = {dict: "an object", list: "a list", str: "text", int: "a whole number"}
    names |= {float: "a number", bool: "true or false", type(None): "null"}
    return names.get(kind, kind.__name__)
