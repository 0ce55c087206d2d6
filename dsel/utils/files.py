"""Write files so that at every moment either the old one or the new one is there."""

from __future__ import annotations

import csv
import os
from pathlib import Path


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
