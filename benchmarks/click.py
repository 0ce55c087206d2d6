"""Measure whether sound is still where it belongs after `prepare`.

A flash and a click at known instants, in every container that PyAV can write.

    python benchmarks/click.py

Films are those of tests/prepare/test_prepare.py (which refuses an error of 1 ms). Prints one table,
container x codecs x frames a second -> error in ms, and writes benchmarks/click.md. (Source: ours.)
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from dsel.utils.markdown import table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))


def main() -> None:
    from test_prepare import FILMS, click_errors

    head = ["container", "picture", "sound", "Hz", "frames/s", "oddity"]
    head += ["outside the flash's frame, ms", "off its time stamp, ms"]
    rows, worst = [], [0.0, 0.0]
    for film in FILMS:
        with tempfile.TemporaryDirectory() as folder:
            outside, place = click_errors(film, Path(folder))
        fps = (
            film.fps
            if isinstance(film.fps, str)
            else f"{float(film.fps):.2f}".rstrip("0").rstrip(".")
        )
        odd = [f"starts at {film.start} s"] if film.start else []
        odd += [f"sound begins {film.sound_start:+} s"] if film.sound_start else []
        odd += (
            [f"sound lasts {film.sound_seconds} s of {film.seconds}"] if film.sound_seconds else []
        )
        off = place[np.abs(place).argmax()]
        worst = [max(worst[0], outside.max()), max(worst[1], abs(off))]
        cells = (
            film.suffix,
            film.video,
            film.sound,
            film.rate,
            fps,
            ", ".join(odd),
            f"{outside.max():.2f}",
            f"{off:+.2f}",
        )
        rows.append(cells)
        print(*cells, sep=", ", flush=True)
    text = f"""# The click test

A click begins with a flash; what `dsel prepare` makes of it, worst of three. The first error is how
far the click lies outside the 40 ms of the frame that first shows the flash, the second how far it
lies from the instant of its time stamp.

{table(head, rows)}

Worst: {worst[0]:.2f} ms outside its frame, {worst[1]:.2f} ms off its time stamp. Made by
`python benchmarks/click.py`.
"""
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
