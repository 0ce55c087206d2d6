"""Write files so that a kill at any moment leaves the old file or the new one, never half of one.

A file gets a temporary name in its own folder first, `.NAME.HOST-PID-N.part.SUFFIX`, and its real
name when it is complete. So a reader, or another process that writes the same file, never sees an
incomplete one. A process that is killed leaves its temporary file behind; the name says whose it
is, and `sweep` removes it when that process has ended. (Source: ours.)
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dsel.utils.errors import BadInput

WINDOWS = sys.platform == "win32"
RETRIES = (0.05, 0.1, 0.2, 0.4)  # s; a virus scanner on Windows holds a file for about that long
HOST = re.sub(r"[^A-Za-z0-9_]", "_", platform.node())[:40] or "host"
TEMPORARY = re.compile(r"\..*\.(?P<host>\w+)-(?P<pid>\d+)-\d+\.part(\.[^.]*)?", re.DOTALL)
_number = itertools.count()


@contextmanager
def atomic(path: str | os.PathLike, *, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path to write to, which becomes `path` at the end of the block.

    The temporary path has the suffix of `path` and lies in the same folder, which is made. If the
    block raises, `path` stays as it was, and the temporary file is removed.

    Args:
        path: the file to write.
        durable: wait until the bytes have reached the disk (fsync) before the file gets its name.
            Then a power failure leaves the old file or the new one, too.
    Raises:
        BadInput: `path` is a folder or a device, or another program has it open (on Windows).
    """
    path = Path(path)
    check_folder(path.parent)
    if path.exists() and not path.is_file():
        raise BadInput(f"{path}: is not a file; choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _temporary(path)
    try:
        yield part
        if durable:
            with part.open("r+b") as file:
                os.fsync(file.fileno())
        _rename(part, path)
        if durable:
            sync_folder(path.parent)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary folder to fill, which becomes `path` at the end of the block.

    If another process has made `path` meanwhile, that one stays. Close every file in the folder
    before the end, memory maps included: Windows does not rename a folder with open files.

    Raises:
        BadInput: another program has one of the files open (on Windows).
    """
    path = Path(path)
    with scratch(path.parent, path.name) as part:
        yield part
        try:
            _rename(part, path)
        except (OSError, BadInput):
            if not path.is_dir():
                raise


@contextmanager
def scratch(folder: str | os.PathLike, name: str = "scratch") -> Iterator[Path]:
    """Yield a new temporary folder inside `folder`, which is made; it is removed at the end."""
    check_folder(folder)
    part = _temporary(Path(folder) / name)
    part.mkdir(parents=True)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def sweep(*folders: str | os.PathLike) -> None:
    """Remove the temporary files and folders that killed processes of this machine left in folders.

    Those of running processes and of other machines stay. Folders inside are not searched.
    """
    for folder in map(Path, folders):
        if not folder.is_dir():
            continue
        for part in folder.iterdir():
            match = TEMPORARY.fullmatch(part.name)
            if match and match["host"] == HOST and not process_is_alive(int(match["pid"])):
                if part.is_dir() and not part.is_symlink():
                    shutil.rmtree(part, ignore_errors=True)
                else:
                    with suppress(OSError):  # another process has swept it
                        part.unlink()


def process_is_alive(pid: int) -> bool:
    """Return whether a process with this number runs on this machine, whoever owns it."""
    if not 0 < pid < 1 << 31:
        return False
    if WINDOWS:  # there os.kill ends the process that it is asked about
        return _is_alive_on_windows(pid)
    try:
        os.kill(pid, 0)  # signal 0 is not delivered
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs and belongs to another user
        return True
    return True


@contextmanager
def lock(path: str | os.PathLike, *, wait: bool = False) -> Iterator[bool]:
    """Yield True if no other process is inside a block with the same lock file, else False.

    Args:
        path: the lock file; it is made, and stays. The lock ends with the process, however it ends.
        wait: wait until the other process has left its block; then the answer is True.
    """
    from filelock import FileLock, Timeout  # imports asyncio

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(path)
    try:
        held.acquire(timeout=-1 if wait else 0)
    except Timeout:
        mine = False
    else:
        mine = True
    try:
        yield mine
    finally:
        if mine:
            held.release()


def write_bytes(path: str | os.PathLike, data: bytes) -> Path:
    """Write a file atomically; returns its path."""
    with atomic(path) as part:
        part.write_bytes(data)
    return Path(path)


def write_text(path: str | os.PathLike, text: str) -> Path:
    """Write text as UTF-8, atomically, with the same bytes on every system; returns its path."""
    return write_bytes(path, text.encode("utf-8"))


replace_text = write_text  # its older, public name


def write_json(
    path: str | os.PathLike, value: object, *, indent: int | None = 1, sort_keys: bool = False
) -> Path:
    """Write a value as JSON with a line break at its end, atomically; returns its path."""
    return write_text(path, json.dumps(value, indent=indent, sort_keys=sort_keys) + "\n")


def write_csv(path: str | os.PathLike, rows: list[dict], first: tuple[str, ...]) -> Path:
    """Write rows as csv, atomically; returns its path.

    Args:
        path: the file to write.
        rows: one dict per line. A key that a row lacks becomes an empty cell.
        first: the first columns. Every other key follows in order of appearance.
    """
    rest = [key for key in dict.fromkeys(key for row in rows for key in row) if key not in first]
    with atomic(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*first, *rest], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return Path(path)


def check_folder(path: str | os.PathLike) -> None:
    """Refuse a path that cannot become a folder: it, or a folder above it, is a file or a device.

    Raises:
        BadInput: says which.
    """
    for part in (Path(path), *Path(path).parents):
        if part.exists() and not part.is_dir():
            raise BadInput(f"{part}: is not a folder; choose another one for the results")
        if part.is_symlink() and not part.exists():
            raise BadInput(f"{part}: is a link that leads nowhere; choose another folder")


def refuse_links(folder: str | os.PathLike, *names: str) -> None:
    """Refuse a folder that holds a link in place of one of these folders, if it leads outside.

    A corpus from a stranger may hold such a link; what is written through it would land elsewhere.

    Raises:
        BadInput: names the link.
    """
    inside = Path(folder).resolve()
    for name in names:
        path = Path(folder) / name
        if path.is_symlink() and not path.resolve().is_relative_to(inside):
            raise BadInput(f"{path}: is a link to {os.readlink(path)}; replace it by a folder")


def sync_folder(folder: str | os.PathLike) -> None:
    """Bring the names of the files in a folder to the disk, where the system can (not Windows)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _temporary(path: Path) -> Path:
    """Return a name beside `path` that no other process and no other call has."""
    mine = f"{HOST}-{os.getpid()}-{next(_number)}"
    return path.with_name(f".{path.stem[:40]}.{mine}.part{path.suffix}")


def _rename(part: Path, path: Path) -> None:
    """Rename, and try again if the old file is open. Raises BadInput if it stays open."""
    for wait in (*RETRIES, None):
        try:
            os.replace(part, path)
            return
        except PermissionError as error:  # Windows: a program has `path` or a file in `part` open
            if wait is None:
                raise BadInput(
                    f"{path}: cannot be replaced ({error.strerror}); close the program that has it "
                    "open, then run the same command again"
                ) from error
            time.sleep(wait)


def _is_alive_on_windows(pid: int) -> bool:
    """Ask Windows whether a process runs."""
    import ctypes

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        denied = 5  # ERROR_ACCESS_DENIED: it belongs to another user
        return ctypes.get_last_error() == denied  # type: ignore[attr-defined]
    code = ctypes.c_ulong()
    kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return code.value == 259  # STILL_ACTIVE
