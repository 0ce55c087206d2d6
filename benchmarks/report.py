"""One table for a reader: printed, and written beside the benchmark as <name>.md with the machine
it was taken on.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from dsel.utils.markdown import table

FOLDER = Path(__file__).resolve().parent


def machine() -> str:
    """The machine in words: processor, cores, accelerator, versions."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return (
        f"{cpu}, {os.cpu_count()} cores, {torch.get_num_threads()} thread(s), {device}; {versions}"
    )


def report(name: str, title: str, header: tuple[str, ...], rows: list[tuple], notes: str) -> None:
    """Print the table and write benchmarks/<name>.md."""
    text = f"{table(header, rows)}\n\n{notes}\n\nTaken on: {machine()}."
    print(text)
    (FOLDER / f"{name}.md").write_text(
        f"# {title}\n\nMade by `python benchmarks/{name}.py`.\n\n{text}\n", encoding="utf-8"
    )
