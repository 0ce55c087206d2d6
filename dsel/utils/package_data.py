"""Find the small corpus and the released networks.

They lie in the folder `data` of a checkout. A wheel carries the same files as the package
`dsel._data` (see pyproject.toml), so that a single notebook on Colab finds them too.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def folder() -> Path:
    """Return the folder that holds mini/ and models/."""
    checkout = PACKAGE.parent / "data"
    return checkout if (PACKAGE.parent / "pyproject.toml").is_file() else PACKAGE / "_data"


EMERGENCE = folder() / "emergence.npz"  # made by tools/emergence.py
SMALL_WORLD = folder() / "small_world.csv"  # made by tools/small_world.py, and its curves
