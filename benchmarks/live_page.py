"""Plant offsets into GRID clips and ask the live page, and `dsel sync`, for them.

    python benchmarks/live_page.py [--real ../shared/real/grid] [--page build/live]

Every clip of the 15 people whom `real` never met is made a film twice, its sound moved by another
number of frames. The films go through the page in headless Chromium, as a visitor's would, and
through `dsel sync --model real`. Needs the page (`make live`). Prints a line a film and writes
benchmarks/live_page.md.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path

import av
import numpy as np

import dsel
from dsel.apply.offset import sync
from dsel.apply.serve import server
from dsel.apply.sound import samples_of
from dsel.corpus.clips import write_clip
from dsel.evaluate.sync import LIKELY
from dsel.timing import SAMPLES_PER_FRAME, samples_for
from dsel.utils.markdown import table
from tools import live
from tools.stills import CHROMIUM

ROOT = Path(__file__).resolve().parents[1]
SHIFTS, TIMES = range(-12, 13), 2  # frames by which the sound is moved; films of each clip
WAIT = 240  # s for an answer
NETWORK = "real"
ANSWER = "({late: talk.sync.late, right: talk.sync.right})"
READY = "(document.querySelector('#status.bad') || talk.takes.length) && !!talk.sync"

TEXT = """# Offsets, found by the page and by `dsel sync`

{films} films from the {clips} clips of 15 people of GRID, sound moved by -12 to 12 frames, network
`{network}`. The page decodes and cuts out the face in the browser, so that its crops differ a
little (docs/live.md). *told*: answers with a probability of 80 % or more. Two films of one clip are
not independent trials.

{table}

Page and command are within a frame of each other in {agree} of {films} films, and not of the
planted offset in: {wrong}.

Made by `python benchmarks/live_page.py`.
"""


def film(clip: Path, late: int, out: Path) -> Path:
    """Write a GRID clip as mp4 whose sound is `late` frames late."""
    with av.open(str(clip)) as container:
        frames = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
    sound, moved = samples_of(clip), np.zeros(samples_for(len(frames)), np.float32)
    first = late * SAMPLES_PER_FRAME
    source = sound[max(0, -first) :][: len(moved) - max(0, first)]
    moved[max(0, first) :][: len(source)] = source
    write_clip(out, frames, moved, crf=12)
    return out


def ask(page, path: Path) -> dict:
    """Give the page a film: {"late", "right"}"""
    page.evaluate("talk.takes.length = 0; talk.sync = null; document.title")
    page.set_input_files("#file", str(path))
    end = time.monotonic() + WAIT
    while not page.evaluate(f"!!({READY})"):
        if time.monotonic() > end:
            raise RuntimeError(f"{path.name}: {page.text_content('#status')}")
        time.sleep(0.1)
    return page.evaluate(ANSWER)


def summary(rows: list[dict]) -> str:
    """Write the page of rows {"name", "k", "page": {"late", "right"}, "python": the same}."""

    def counted(who: str, label: str) -> list:
        far = np.array([abs(row[who]["late"] - row["k"]) for row in rows])
        told = np.array([row[who]["right"] >= LIKELY for row in rows])
        shares = (100 * np.mean(far <= 1), 100 * np.mean(far == 0), 100 * told.mean())
        return [label, *(f"{share:.1f}" for share in shares), int((told & (far > 1)).sum())]

    counts = [counted("page", "the page"), counted("python", f"`dsel sync --model {NETWORK}`")]
    head = ["who", "within one frame, %", "exact, %", "told, %", "told wrongly"]
    agree = sum(abs(row["page"]["late"] - row["python"]["late"]) <= 1 for row in rows)
    wrong = [
        f"{row['name']} ({who} {row[key]['late']:+d}, {100 * row[key]['right']:.0f} %)"
        for row in rows
        for key, who in (("page", "page"), ("python", "command"))
        if abs(row[key]["late"] - row["k"]) > 1
    ]
    return TEXT.format(
        films=len(rows),
        clips=len(rows) // TIMES,
        network=NETWORK,
        table=table(head, counts, align="lrrrr"),
        agree=agree,
        wrong=", ".join(wrong) or "none",
    )


def main(argv=None) -> int:
    """Measure, print and write the page."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, default=live.REAL)
    parser.add_argument("--page", type=Path, default=live.OUT)
    options = parser.parse_args(argv)
    clips = [p for p in sorted(options.real.glob("*/*.mpg")) if p.parent.name != "s1"]
    rng, networks, rows = np.random.default_rng(0), dsel.load(NETWORK), []
    running = server(options.page)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    with sync_playwright() as engine, tempfile.TemporaryDirectory() as scratch:
        chromium = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page()
        page.goto(f"http://localhost:{running.server_address[1]}/")
        for clip in clips:
            for late in map(int, rng.choice(SHIFTS, TIMES, replace=False)):
                name = f"{clip.parent.name} {clip.stem} {late:+d}"
                path = film(clip, late, Path(scratch) / f"{name.replace(' ', '_')}.mp4")
                found = sync(path, networks).offset
                there = {"late": found.late, "right": found.right}
                rows.append({"name": name, "k": late, "page": ask(page, path), "python": there})
                print(rows[-1], flush=True)
        chromium.close()
    running.shutdown()
    Path(__file__).with_suffix(".md").write_text(summary(rows), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
