"""How much memory every command takes, on the corpus of the demo.

    python benchmarks/memory.py [--work runs/memory] [--speakers 700] [--steps 60]

The demo runs first (its corpus has the size of `make demo`; steps do not change the memory), then
each command on what it left. A command and its workers are looked at twenty times a second; what
several of them share counts once (PSS, as Linux tells it). The page shows the largest sum. Nothing
is asserted: it is a measurement. (Source: ours.)
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import psutil

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.report import report
from dsel import corpus
from dsel.teaching.own_video import phone_video
from dsel.timing import SAMPLE_RATE

LOOK = 0.05  # seconds between two looks


def held(process: psutil.Process) -> int:
    """Sum the memory of a process and of all below it, in bytes; 0 for those that have ended."""
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            total += one.memory_full_info().pss
        except psutil.Error:
            continue
    return total


def peak(command: list[str], log: Path) -> tuple[int, float]:
    """Run a command of dsel to its end; returns its largest memory in bytes and its seconds.

    Raises:
        RuntimeError: it did not end with status 0 (or 3 or 4, the answers of `sync` and `compare`).
    """
    most, start = 0, time.monotonic()
    with log.open("w") as file:
        run = subprocess.Popen(
            [sys.executable, "-m", "dsel", *command], stdout=file, stderr=subprocess.STDOUT
        )
        process = psutil.Process(run.pid)
        while run.poll() is None:
            try:
                most = max(most, held(process))
            except psutil.NoSuchProcess:
                break
            time.sleep(LOOK)
    if run.wait() not in (0, 1, 3, 4):
        raise RuntimeError(f"dsel {' '.join(command)}: status {run.returncode}, see {log}")
    return most, time.monotonic() - start


def recordings(folder: Path) -> None:
    """Write what somebody would bring: a film of 8 s, forty sounds of 2 s, a list of trials."""
    mini = corpus.open("mini")
    tracks = mini.split("test")[:40]
    phone_video(folder / "film.mp4", [mini.clip(track) for track in tracks[:4]])
    for track in tracks:
        with wave.open(str(folder / f"{track.id}.wav"), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            file.writeframes((mini.clip(track)[1] * 32767).astype("<i2").tobytes())
    rng = np.random.default_rng(0)
    with (folder / "trials.txt").open("w", newline="\n") as file:
        lines = csv.writer(file, delimiter=" ")
        for _ in range(400):
            a, b = (tracks[k] for k in rng.choice(len(tracks), 2, replace=False))
            lines.writerow([int(a.speaker == b.speaker), f"{a.id}.wav", f"{b.id}.wav"])


def commands(work: Path, speakers: int, steps: int) -> list[list[str]]:
    """Every command once, in an order in which each finds what it needs."""
    demo, mine = work / "demo", work / "mine"
    people, run, sound = demo / "corpus", demo / "run", sorted(mine.glob("*.wav"))
    rows = [
        ["demo", "--speakers", speakers, "--steps", steps, "--out", demo],
        ["toy", "--speakers", speakers, "--out", work / "toy"],
        ["prepare", mine / "film.mp4", "--model", "four_terms", "--out", work / "prepared"],
        ["shard", people, "--out", work / "shards"],
        ["train", "--data", people, "--out", work / "run", "--set", f"steps={steps}"],
        ["release", run, "--out", work / "released.pt"],
        ["export", run, "--out", work / "onnx"],
        ["evaluate", run, "--data", people, "--probes"],
        ["embed", run, "--data", people, "--out", work / "vectors.npz"],
        ["embed", mine, "--out", work / "sounds.npz"],
        ["compare", sound[0], sound[1]],
        ["sync", mine / "film.mp4"],
        ["verify", mine / "trials.txt", "--audio", mine],
        ["plot", run, "--data", people, "--out", work / "map.html"],
        ["ablation", "--preset", "fast", "--out", work / "ablation", "--seeds", "0"],
    ]
    return [list(map(str, row)) for row in rows]


def main() -> None:
    """Measure all commands and write memory.md."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--work", type=Path, default=Path("runs/memory"))
    parser.add_argument("--speakers", type=int, default=700)
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    (options.work / "mine").mkdir(parents=True, exist_ok=True)
    recordings(options.work / "mine")
    rows = []
    for command in commands(options.work, options.speakers, options.steps):
        most, seconds = peak(command, options.work / "log.txt")
        shown = " ".join(word.replace(f"{options.work}/", "") for word in command)
        rows.append((f"`dsel {shown}`", f"{most / 2**20:.0f}"))
        print(f"{rows[-1][1]} MiB, {seconds:.0f} s: {rows[-1][0]}", flush=True)
    report(
        "memory",
        "The memory of every command",
        ("command", "MiB at most"),
        rows,
        f"On the corpus of the demo ({options.speakers} training speakers). A command and its "
        "workers together, shared pages once; looked at every 0.05 s, so a shorter peak is missed.",
    )


if __name__ == "__main__":
    main()
