"""Choose a folder for what can be fetched or made again, also where no home can be written to."""

from __future__ import annotations

import os
import sys
import tempfile
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder for what came from elsewhere.

    It is DSEL_CACHE if set, else the user's cache folder. Where that cannot be written to, as in a
    container without a home, it is a temporary folder of this user, and one line says so.

    >>> os.environ["DSEL_CACHE"] = "/somewhere"
    >>> cache_folder().as_posix()
    '/somewhere'
    >>> del os.environ["DSEL_CACHE"]
    """
    if os.environ.get("DSEL_CACHE"):
        return Path(os.environ["DSEL_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    if os.path.isabs(base) and can_be_written(Path(base)):
        return Path(base) / "dsel"
    return _temporary(base)


def can_be_written(folder: Path) -> bool:
    """Return whether files can be made in a folder, or in the nearest one above that exists."""
    for place in (folder, *folder.parents):
        if place.exists():
            return place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    return False


def give_numba_a_folder() -> None:
    """Set NUMBA_CACHE_DIR where numba would find no place for compiled code and refuse to import.

    Numba keeps it beside the package that it compiles, or in the user's cache folder. UMAP cannot
    be imported where neither can be written to.
    """
    spec = find_spec("umap")
    if os.environ.get("NUMBA_CACHE_DIR") or spec is None or not spec.origin:
        return
    home = Path(os.path.expanduser("~")) / ".cache"
    if not any(map(can_be_written, (Path(spec.origin).parent, home))):
        os.environ["NUMBA_CACHE_DIR"] = str(cache_folder() / "numba")


@lru_cache(maxsize=1)
def _temporary(refused: str) -> Path:
    """Return a folder for temporary files that belongs to this user, and say so once."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    folder = Path(tempfile.gettempdir()) / f"dsel-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():  # made by somebody else
        folder = Path(tempfile.mkdtemp(prefix="dsel-"))
    print(
        f"{refused}: cannot be written to; {folder} is used (set DSEL_CACHE to choose a folder)",
        file=sys.stderr,
    )
    return folder
