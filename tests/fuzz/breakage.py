"""Ways to break bytes, tables, JSON, arrays and archives; each returns (what was done, bytes)."""

from __future__ import annotations

import io
import json
import random
import re
import struct
import zipfile
from collections.abc import Callable

import numpy as np

Broken = tuple[str, bytes]
NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
WORDS = (
    *("", " ", "x", "nan", "inf", "-inf", "-1", "0", "1.0", "1e400", "1.5", "True", "None"),
    *("99999999999999999999", "0x10", "1_000", "=1+1", "../../etc/passwd", "/etc/passwd"),
    *("C:\\clip.mp4", "-", "ä", "名前", "😀", "a" * 5000, "a,b", 'a"b', "\0", "\x1b[31m", "%s"),
)
VALUES = (
    *(None, True, False, 0, -1, 1, 2**63, 10**30, 1.5, float("nan"), float("inf"), "", "x"),
    *("../x", [], {}, [1], {"a": 1}, [[]], "a" * 5000, "ä"),
)


def damage(rng: random.Random, data: bytes) -> Broken:
    """Break bytes without a look at what they mean."""
    kind = rng.choice(
        ("bits", "bits", "zeros", "cut", "cut", "double", "remove", "insert", "head", "shuffle")
    )
    if kind == "bits":
        count = rng.choice((1, 2, 8, 64))
        head = rng.random() < 0.5
        changed = bytearray(data)
        for _ in range(count):
            at = rng.randrange(min(len(data), 2048) if head else len(data))
            changed[at] ^= 1 << rng.randrange(8)
        return f"{count} bits turned{' near the head' if head else ''}", bytes(changed)
    first = rng.randrange(len(data))
    length = min(len(data) - first, rng.choice((1, 4, 16, 256, 4096)))
    stop = first + length
    if kind == "zeros":
        return f"{length} zeros", data[:first] + bytes(length) + data[stop:]
    if kind == "cut":
        at = rng.choice((first, rng.randrange(min(64, len(data))), len(data) - 1, 0))
        return f"cut after {at} bytes", data[:at]
    if kind == "double":
        return f"{length} bytes twice", data[:stop] + data[first:]
    if kind == "remove":
        return f"{length} bytes removed", data[:first] + data[stop:]
    if kind == "insert":
        return f"{length} bytes inserted", data[:first] + rng.randbytes(length) + data[first:]
    if kind == "head":
        count = rng.choice((1, 4, 32, 512))
        return f"{count} random bytes at the head", rng.randbytes(count) + data[count:]
    half = len(data) // 2
    return "halves exchanged", data[half:] + data[:half]


def boxes(rng: random.Random, data: bytes) -> Broken:
    """Change a size, a name or a number near one of the four-letter names of a media file."""
    places = [
        match.start() for match in re.finditer(rb"[a-zA-Z0-9 ]{4}", data[:4096] + data[-4096:])
    ]
    if not places:
        return damage(rng, data)
    at = rng.choice(places)
    at = at if at < 4096 else max(0, len(data) - 8192 + at)
    name = data[at : at + 4].decode("latin-1")
    kind = rng.choice(("size", "name", "number", "number"))
    if kind == "name":
        return f"{name!r} renamed", data[:at] + rng.choice((b"free", b"xxxx", b"\0\0\0\0")) + data[
            at + 4 :
        ]
    place = max(0, at - 4) if kind == "size" else at + 4 + rng.choice((0, 4, 8, 12, 16, 20, 24))
    number = struct.pack(rng.choice((">I", "<I")), rng.choice(NUMBERS))
    return f"{kind} of {name!r}", data[:place] + number + data[place + 4 :]


def media(rng: random.Random, data: bytes) -> Broken:
    """Break a media file."""
    return rng.choice((damage, boxes))(rng, data)


def encoded(rng: random.Random, data: bytes) -> Broken:
    """Write a text otherwise: what spreadsheets and other systems do to it."""
    text = data.decode("utf-8")
    ways: dict[str, Callable[[], bytes]] = {
        "byte order mark": lambda: b"\xef\xbb\xbf" + data,
        "line breaks of Windows": lambda: text.replace("\n", "\r\n").encode(),
        "line breaks of old Macs": lambda: text.replace("\n", "\r").encode(),
        "UTF-16": lambda: text.encode("utf-16"),
        "cp949": lambda: (text.replace("\n", "\n가", 1)).encode("cp949"),
        "latin-1": lambda: (text.replace("\n", "\nä", 1)).encode("latin-1"),
        "no last line break": lambda: data.rstrip(b"\n"),
        "semicolons": lambda: text.replace(",", ";").encode(),
        "tabs": lambda: text.replace(",", "\t").encode(),
        "blanks after commas": lambda: text.replace(",", ", ").encode(),
        "empty lines": lambda: text.replace("\n", "\n\n").encode(),
        "empty": lambda: b"",
        "one line break": lambda: b"\n",
        "twice": lambda: data + data,
        "binary": lambda: rng.randbytes(200),
        "zeros": lambda: bytes(200),
        "quotes": lambda: ('"' + text).encode(),
    }
    name = rng.choice(sorted(ways))
    return name, ways[name]()


def csv_text(rng: random.Random, data: bytes) -> Broken:
    """Break a csv file."""
    if rng.random() < 0.25:
        return encoded(rng, data)
    if rng.random() < 0.1:
        return damage(rng, data)
    lines = [line.split(",") for line in data.decode("utf-8").splitlines()]
    width, row = len(lines[0]), rng.randrange(len(lines))
    column = rng.randrange(width)
    kind = rng.choice(
        ("cell", "cell", "cell", "cell", "short", "long", "no column", "column twice", "huge",
         "row twice", "no rows", "no head", "renamed", "exchanged", "cut")
    )  # fmt: skip
    name = lines[0][column]
    if kind == "cell":
        row = rng.randrange(1, len(lines)) if len(lines) > 1 else 0
        column = min(
            column if rng.random() < 0.4 else rng.randrange(min(6, width)), len(lines[row]) - 1
        )
        lines[row][column] = rng.choice(WORDS)
        what = f"{lines[0][min(column, width - 1)]} = {lines[row][column][:20]!r} in line {row + 1}"
    elif kind == "short":
        lines[row], what = lines[row][:column], f"line {row + 1} is short"
    elif kind == "long":
        lines[row], what = [*lines[row], "more"], f"line {row + 1} is long"
    elif kind == "no column":
        lines, what = [line[:column] + line[column + 1 :] for line in lines], f"no column {name}"
    elif kind == "column twice":
        lines, what = (
            [[*line, line[column]] for line in lines if len(line) > column],
            f"{name} twice",
        )
    elif kind == "huge":
        lines[row][min(column, len(lines[row]) - 1)] = "9" * 200_000
        what = f"a cell of 200 kB in line {row + 1}"
    elif kind == "row twice":
        lines, what = [*lines, lines[row]], f"line {row + 1} twice"
    elif kind == "no rows":
        lines, what = lines[:1], "no rows"
    elif kind == "no head":
        lines, what = lines[1:], "no head"
    elif kind == "renamed":
        lines[0][column], what = (
            rng.choice(("Name", "", " ", name.upper(), name + " ")),
            f"{name} renamed",
        )
    elif kind == "exchanged":
        other = rng.randrange(width)
        for line in lines:
            if len(line) == width:
                line[column], line[other] = line[other], line[column]
        what = f"{name} and {lines[0][column]} exchanged"
    else:
        text = "\n".join(",".join(line) for line in lines)
        return "cut", text[: rng.randrange(len(text) + 1)].encode()
    return what, ("\n".join(",".join(line) for line in lines) + "\n").encode("utf-8", "replace")


def json_text(rng: random.Random, data: bytes) -> Broken:
    """Break a JSON file."""
    ways = {
        "deep": lambda: b"[" * 100_000,
        "NaN": lambda: b"NaN",
        "a list": lambda: b"[1, 2]",
        "a number of 5000 digits": lambda: b'{"format": ' + b"9" * 5000 + b"}",
        "a key twice": lambda: data.rstrip()[:-1] + b', "format": 7, "format": 8}',
        "text after it": lambda: data + b"x",
        "a comma too many": lambda: data.rstrip()[:-1] + b",}",
    }
    if rng.random() < 0.2:
        return encoded(rng, data)
    if rng.random() < 0.1:
        return damage(rng, data)
    if rng.random() < 0.2:
        name = rng.choice(sorted(ways))
        return name, ways[name]()
    value = json.loads(data)
    places = list(_places(value))
    holder, key = rng.choice(places)
    if rng.random() < 0.3:
        what = f"no entry {key!r}"
        del holder[key]
    else:
        holder[key] = rng.choice(VALUES)
        what = f"{key!r} = {str(holder[key])[:20]}"
    return what, json.dumps(value).encode()


def _places(value: object):
    """Yield (holder, key) of everything inside a value, the outermost more often."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in list(items)[:50]:
        yield value, key
        if isinstance(value, dict):
            yield value, key
        yield from _places(inner)


def arrays(rng: random.Random, data: bytes) -> Broken:
    """Break an .npz file."""
    if rng.random() < 0.35:
        return damage(rng, data)
    with np.load(io.BytesIO(data)) as file:
        found = {name: file[name] for name in file.files}
    name = rng.choice(sorted(found))
    x = found[name]
    ways: dict[str, Callable[[], object]] = {
        "missing": lambda: None,
        "empty": lambda: x[:0] if x.ndim else x.reshape(1)[:0],
        "no dimension": lambda: np.array(0),
        "one dimension more": lambda: x[None],
        "text": lambda: np.array(["x"] * max(1, len(np.atleast_1d(x)))),
        "objects": lambda: np.array([{"a": 1}, None], object),
        "complex": lambda: np.zeros(x.shape, complex),
        "half as long": lambda: np.atleast_1d(x)[: max(1, len(np.atleast_1d(x)) // 2)],
        "huge numbers": lambda: (
            np.full(x.shape, 2**62) if x.dtype.kind in "iu" else np.full(x.shape, 1e30)
        ),
        "negative": lambda: np.full(x.shape, -1),
        "not a number": lambda: np.full(x.shape, np.nan),
        "reversed": lambda: np.atleast_1d(x)[::-1],
    }
    way = rng.choice(sorted(ways))
    value = ways[way]()
    if value is None:
        del found[name]
    else:
        found[name] = value
    if rng.random() < 0.1:
        return "a header of 2^40 numbers", _huge_header(name)
    file = io.BytesIO()
    np.savez(file, **found)
    return f"{name}: {way}", file.getvalue()


def _huge_header(name: str) -> bytes:
    """An archive whose array says that it has 2^40 numbers."""
    head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,), }"
    head += b" " * (64 - (len(head) + 11) % 64) + b"\n"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + bytes(64)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}.npy", array)
    return file.getvalue()
