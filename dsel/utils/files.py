"""Write files so that at every moment either the old one or the new one is there."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from dsel.utils.errors import BadInput


def check_folder(path: str | Path) -> None:
    """Refuse a path that cannot become a folder: it, or a folder above it, is a file or a device.

    Raises:
        BadInput: says which.
    """
    for part in (Path(path), *Path(path).parents):
        if part.exists() and not part.is_dir():
            raise BadInput(f"{part}: is not a folder; choose another one for the results")


def write_csv(path, rows: list[dict], first: tuple[str, ...]) -> None:
    """Write rows as csv with the columns `first`, then every other key in order of appearance; complete or not at all."""
    rest = [key for key in dict.fromkeys(key for row in rows for key in row) if key not in first]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*first, *rest], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(part, path)


def replace_text(path, text: str) -> None:
    """Write a text file that is at every moment either the old one or the new one."""
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
