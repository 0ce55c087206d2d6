"""Read and write WebDataset shards: tar files of clips, any of which can be read alone.

A shard is an uncompressed tar in which the files of a sample stand together under one key,
`KEY.mp4` and `KEY.json`: what the WebDataset library and its relatives stream. Nothing being
compressed, a sample is a range of bytes too; `index.npz` says which. So others can stream the
shards, and dsel reads exactly the clip it wants, from a disk or behind a URL. (Source of the
format: WebDataset.)
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dsel.utils.caches import cache_folder
from dsel.utils.errors import BadInput
from dsel.utils.files import atomic, sweep
from dsel.utils.readers import read_arrays

INDEX = ("names", "shard", "first", "size")  # arrays of index.npz
AGAIN = "run 'dsel shard' again"  # the remedy in messages
PATIENCE = (0.5, 2.0, 5.0)  # s to wait before asking a server again
TIMEOUT = 30  # s without a byte from a server


class Unreachable(BadInput):
    """A server or the network failed again and again; the same request may go through later."""


def is_url(place: str | os.PathLike) -> bool:
    """Say whether a corpus lies behind a URL and not in a folder."""
    return "://" in str(place)


def key_of(name: str) -> str:
    """Return the key of a sample: its name with dots (and %) written as %2E.

    WebDataset ends a key at the first dot of a file's name.
    """
    return name.replace("%", "%25").replace(".", "%2E")


def write_shard(path: Path, samples: Iterable[tuple[str, bytes, dict]]) -> list[tuple[int, int]]:
    """Write one shard of (name, clip, what is known about it).

    Returns where each clip begins, and its number of bytes.

    The file appears under its name only when it is complete, and depends on nothing but the
    samples.
    """
    with atomic(path) as part:
        with tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as tar:
            for name, clip, about in samples:
                for suffix, data in (("mp4", clip), ("json", json.dumps(about).encode())):
                    member = tarfile.TarInfo(f"{key_of(name)}.{suffix}")
                    member.size, member.mode = len(data), 0o644
                    tar.addfile(member, io.BytesIO(data))
        return [(offset, size) for _, offset, size in clips_of(part)]


def clips_of(path: Path) -> list[tuple[str, int, int]]:
    """List the clips in a shard in order: key, first byte, bytes.

    Raises BadInput for a file that is no whole tar.
    """
    try:
        with tarfile.open(path, "r:") as tar:  # never unpacked
            members = [
                (m.name.removesuffix(".mp4"), m.offset_data, m.size)
                for m in tar
                if m.name.endswith(".mp4")
            ]
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise BadInput(
            f"{path}: not a shard ({error}); delete it and run 'dsel shard' again"
        ) from error
    return members


class Shards:
    """The clips of a sharded corpus, by row of its tracks.csv.

    Args:
        folder: where index.npz lies: names (S,) of the shards, and for each row its shard, first
            byte and bytes.
        place: folder or URL of the shards themselves.
    """

    def __init__(self, folder: Path, place: str | os.PathLike) -> None:
        self.place = str(place).rstrip("/")
        index = _read_index(folder / "index.npz")
        self.names = [str(name) for name in index["names"]]
        self.shard, self.first, self.size = index["shard"], index["first"], index["size"]
        self._files: dict[str, BinaryIO] = {}
        self._owner = os.getpid()

    def __len__(self) -> int:
        return len(self.shard)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_files": {}}  # open files do not travel to another process

    def read(self, row: int) -> bytes:
        """Read the clip of a row. Raises BadInput, which names the shard, if that fails."""
        name, first, size = self.names[self.shard[row]], int(self.first[row]), int(self.size[row])
        if is_url(self.place):
            return fetch(f"{self.place}/{name}", first, size)
        file = self._opened(name)
        if os.fstat(file.fileno()).st_size < first + size:
            raise BadInput(
                f"{self.place}/{name}: ends before byte {first + size}; copy it again, or run "
                "'dsel shard' again"
            )
        if hasattr(os, "pread"):
            return os.pread(file.fileno(), size, first)
        file.seek(first)  # Windows
        return file.read(size)

    def stamp(self, row: int) -> str:
        """Return a text that changes when the shard of a row does; the shard is not read."""
        place = f"{self.shard[row]} {self.first[row]} {self.size[row]}"
        if is_url(self.place):
            return place
        stat = os.stat(self._path(self.names[self.shard[row]]))
        return f"{place} {stat.st_size} {stat.st_mtime_ns}"

    def _path(self, name: str) -> Path:
        path = Path(self.place) / name
        if not path.is_file():
            raise BadInput(f"{path}: the shard is missing; copy it here, or run 'dsel shard' again")
        return path

    def _opened(self, name: str) -> BinaryIO:
        if self._owner != os.getpid():  # a process that was forked reads through files of its own
            self._files, self._owner = {}, os.getpid()
        if name not in self._files:
            if len(self._files) >= 64:
                self._files.pop(next(iter(self._files))).close()
            self._files[name] = self._path(name).open("rb")
        return self._files[name]


def _read_index(path: Path) -> dict[str, np.ndarray]:
    """Read index.npz and check that every row lies somewhere in some shard. Raises BadInput."""
    index = read_arrays(path, INDEX, remedy=AGAIN)
    if index.keys() != set(INDEX) or index["names"].dtype.kind != "U" or index["names"].ndim != 1:
        raise BadInput(f"{path}: lacks one of {', '.join(INDEX)}; {AGAIN}")
    columns = [index[name] for name in INDEX[1:]]
    if any(x.dtype.kind != "i" or x.shape != columns[0].shape or x.ndim != 1 for x in columns):
        raise BadInput(f"{path}: its arrays do not fit together; {AGAIN}")
    shard, first, size = columns
    if len(shard) and not (
        0 <= shard.min() <= shard.max() < index["names"].size and first.min() >= 0 < size.min()
    ):
        raise BadInput(f"{path}: names places that cannot be; {AGAIN}")
    for name in index["names"].ravel():
        if Path(name).name != name:
            raise BadInput(f"{path}: the shard {name} lies outside its folder; {AGAIN}")
    return index


def fetch(url: str, first: int = 0, size: int | None = None) -> bytes:
    """Fetch bytes [first, first + size) of what lies behind a URL, or all of it.

    Asks again where a server or the network fails.

    http(s) servers are asked for the range alone; one that knows no ranges, and any other kind of
    URL (s3:, gs:, pipe:, through the WebDataset library), costs the whole file once: it is kept in
    the cache folder.

    Raises:
        Unreachable: no answer in spite of asking again.
        BadInput: the server says that there is no such thing.
    """
    if not url.startswith(("http://", "https://")):
        return _slice(_kept(url, _through_webdataset), first, size)
    headers = {} if size is None else {"Range": f"bytes={first}-{first + size - 1}"}
    for wait in (*PATIENCE, None):
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, headers=headers), timeout=TIMEOUT
            ) as answer:
                if size is not None and answer.status != 206:
                    return _slice(_kept(url, lambda _: answer), first, size)
                data = answer.read()
            if size is None or len(data) == size:
                return data
            reason = f"{len(data)} bytes instead of {size}"
        except urllib.error.HTTPError as error:
            reason = f"{error.code} {error.reason}"
            if error.code < 500:
                raise BadInput(
                    f"{url}: cannot be fetched ({reason}); is the address right?"
                ) from error
        except OSError as error:
            reason = str(getattr(error, "reason", error))
        if wait is not None:
            time.sleep(wait)
    raise Unreachable(
        f"{url}: cannot be fetched ({reason}); is the server up? The same command goes on from here"
    )


def _kept(url: str, opener: Callable[[str], Any]) -> Path:
    """Return the file behind a URL in the cache folder; fetch it if it is not there."""
    path = cache_folder() / "fetched" / hashlib.sha1(url.encode()).hexdigest()
    if not path.is_file():
        sweep(path.parent)
        with atomic(path) as part, opener(url) as source, part.open("wb") as file:
            shutil.copyfileobj(source, file)
    return path


def _slice(path: Path, first: int, size: int | None) -> bytes:
    with path.open("rb") as file:
        file.seek(first)
        return file.read(-1 if size is None else size)


def _through_webdataset(url: str) -> Any:
    try:
        from webdataset.gopen import gopen
    except ImportError as error:
        raise BadInput(
            f"{url}: needs the WebDataset library; pip install 'dsel[scale]', or use http(s)"
        ) from error
    return gopen(url)
