"""How fast the toy corpus is drawn: tracks a second, times real time, bytes a track.

python benchmarks/toy.py [--speakers 8]            writes benchmarks/toy.md
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

from report import report

from dsel.timing import FPS
from dsel.toy.make import toy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speakers", type=int, default=8)
    speakers, rows = parser.parse_args().speakers, []
    first = None
    for workers in dict.fromkeys((1, os.cpu_count() or 1)):
        with tempfile.TemporaryDirectory() as folder:
            begin, used = time.perf_counter(), cpu_seconds()
            made = toy(
                Path(folder) / "c",
                speakers,
                4,
                validation=2,
                test=2,
                test_tracks=4,
                workers=workers,
                progress=False,
            )
            wall, cpu = time.perf_counter() - begin, cpu_seconds() - used
            seconds = sum(track.frames for track in made.tracks) / FPS
            size = sum(path.stat().st_size for path in (made.path / "clips").rglob("*.mp4")) / len(
                made
            )
        first = first or wall
        rows.append(
            (
                workers,
                len(made),
                f"{len(made) / wall:.1f}",
                f"{seconds / wall:.1f}",
                f"{first / wall:.2f}",
                f"{1000 * cpu / len(made):.0f}",
                f"{size / 1000:.1f}",
            )
        )
    header = (
        "processes",
        "tracks of 2 s",
        "tracks a second",
        "times real time",
        "over one process",
        "CPU-ms a track",
        "kB a track",
    )
    report(
        "toy",
        "Drawing the toy corpus",
        header,
        rows,
        "96 x 96 pixels, synthetic voices, H.264 and AAC; start of the processes included.",
    )


def cpu_seconds() -> float:
    """CPU time of this process and of those that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


if __name__ == "__main__":
    main()
