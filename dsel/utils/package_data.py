"""Find the small corpus, the released networks and the notebooks.

In a checkout they lie in its folders `data` and `notebooks`. A wheel carries the same files as the
packages `dsel._data` and `dsel._notebooks` (see pyproject.toml), so that a single notebook on Colab
finds them too.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from dsel.utils.errors import BadInput

PACKAGE = Path(__file__).resolve().parents[1]
# What helps where one of its files cannot be read.
REMEDY = "it belongs to dsel: get it again with git, or install dsel anew"


def folder(name: str = "data") -> Path:
    """Return the folder `data`, which holds mini/ and models/, or another one: `notebooks`."""
    is_checkout = (PACKAGE.parent / "pyproject.toml").is_file()
    return PACKAGE.parent / name if is_checkout else PACKAGE / f"_{name}"


def notebooks(out: str | Path) -> Path:
    """Copy the notebooks of the course into a folder, where they can be read and changed.

    Args:
        out: the folder; it is made where it is missing.
    Returns:
        The folder.
    Raises:
        BadInput: a notebook is there already; nothing is copied then.
    """
    out = Path(out)
    files = sorted(folder("notebooks").glob("*.ipynb"))
    present = [file.name for file in files if (out / file.name).exists()]
    if present:
        raise BadInput(f"{out}: {present[0]} is there already; name another folder")
    out.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copy(file, out)
    return out


EMERGENCE = folder() / "emergence.npz"  # made by tools/emergence.py
SMALL_WORLD = folder() / "small_world.csv"  # made by tools/small_world.py, and its curves
