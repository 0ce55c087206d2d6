"""Kill a small training again and again, at random moments, and show that nothing is lost.

    python benchmarks/kill.py [KILLS]

Each kill (SIGKILL, no warning) falls in a phase drawn at random: while the cache is built, during a
step, while a checkpoint is written; and at a random moment of that phase. After each, the training
goes on from what it finds. In the end its weights, optimiser and rows must equal those of a
training nobody touched, to the bit, and no half-written file may lie about.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from multiprocessing import Value
from pathlib import Path

import numpy as np
import torch

from dsel import corpus, train
from dsel.train import checkpoint
from dsel.utils.errors import BadInput

PHASES = ("cache", "step", "checkpoint")
SETTINGS = {
    "B": 3,
    "N": 6,
    "extra": 2,
    "log_every": 1,
    "save_every": 1,
    "warmup": 2,
    "precision": "float32",
    "device": "cpu",
}
LONGEST = {
    "cache": 0.5,
    "step": 0.1,
    "checkpoint": 0.03,
}  # seconds into the phase at which the kill comes, at most


def kill_and_resume(data, folder, kills: int, steps: int, seed: int = 0) -> dict:
    """Train on the corpus `data` once undisturbed and once with `kills` kills, in `folder`.

    Returns the number of kills that fell in each phase, whether the two trainings are equal, and
    the files left half written.
    """
    folder, rng = Path(folder), np.random.default_rng(seed)
    caches = folder / "caches"
    os.environ["DSEL_CACHE"] = str(caches)
    settings = {**SETTINGS, "steps": steps}
    train.train(data, folder / "whole", progress=False, **settings)
    fell, tries = dict.fromkeys(PHASES, 0), 0
    while sum(fell.values()) < kills and tries < 10 * kills:
        tries += 1
        if checkpoint_step(folder / "killed") == steps:
            shutil.rmtree(
                folder / "killed"
            )  # it came through before all kills were dealt: from the start again
        phase = PHASES[rng.integers(len(PHASES))]
        if phase == "cache":
            shutil.rmtree(caches, ignore_errors=True)
        after = (
            0 if phase == "cache" else int(rng.integers(1, 4))
        )  # the how-manieth step or checkpoint of this life
        found = _one_life(
            data, folder / "killed", settings, phase, after, rng.uniform(0, LONGEST[phase])
        )
        if found:
            fell[found] += 1
    while checkpoint_step(folder / "killed") < steps:
        _one_life(data, folder / "killed", settings, None, 0, 0)
    states = [checkpoint.read_checkpoint(folder / name) for name in ("whole", "killed")]
    rows = [
        [{k: v for k, v in row.items() if k != "time"} for row in train.read_metrics(folder / n)]
        for n in ("whole", "killed")
    ]
    return {
        **fell,
        "weights": all(
            torch.equal(value, states[1]["model"][name])
            for name, value in states[0]["model"].items()
        ),
        "optimiser": _same(states[0]["optimiser"], states[1]["optimiser"]),
        "rows": rows[0] == rows[1],
        "left": [str(path) for path in folder.rglob("*") if ".part" in path.name],
    }


def checkpoint_step(run: Path) -> int:
    """The step of a run's newest checkpoint; -1 if there is none."""
    try:
        return checkpoint.read_checkpoint(run)["step"]
    except BadInput:
        return -1


def _one_life(
    data, run: Path, settings: dict, phase: str | None, after: int, delay: float
) -> str | None:
    """Train in a child process; kill it `delay` seconds into `phase`. Returns the phase it died in,
    None if it came through.
    """
    now, count = Value("i", -1, lock=False), Value("i", 0, lock=False)
    child = os.fork()
    if child == 0:
        try:
            _watched(now, count, PHASES.index(phase) if phase else -1)
            train.train(
                data, run, resume=(run / "checkpoint.pt").is_file(), progress=False, **settings
            )
        except (
            BaseException
        ):  # nothing may go on from here in the child: not even the caller's cleaning up
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    while phase and not (now.value == PHASES.index(phase) and count.value >= after):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return _died(status, now.value)
        time.sleep(0.0005)
    if phase:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return _died(status, now.value)


def _died(status: int, phase: int) -> str | None:
    """The phase a killed process was in ('step' also stands for the moments between two steps);
    None if it had ended.
    """
    if os.WIFSIGNALED(status):
        return PHASES[phase] if phase >= 0 else "step"
    if os.WEXITSTATUS(status):
        raise RuntimeError("the training failed by itself, which no kill explains")
    return None


def _watched(now, count, wanted: int) -> None:
    """In the child: let the parent see which phase it is in, and how often it has entered the
    wanted one.
    """

    def watch(owner, name: str, phase: str):
        real = getattr(owner, name)

        def told(*args, **options):
            before, now.value = now.value, PHASES.index(phase)
            count.value += now.value == wanted
            try:
                return real(*args, **options)
            finally:
                now.value = before

        setattr(owner, name, told)

    watch(corpus.cache, "_build_cache", "cache")
    watch(train.Trainer, "train_step", "step")
    watch(train.trainer, "write_checkpoint", "checkpoint")


def _same(a, b) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    data = Path(__file__).resolve().parents[1] / "data" / "mini"
    with tempfile.TemporaryDirectory() as folder:
        found = kill_and_resume(data, folder, kills, steps=25, seed=time.time_ns())
    print(f"{kills} kills: " + ", ".join(f"{found[phase]} during a {phase}" for phase in PHASES))
    print(
        ", ".join(
            f"{what} equal to the bit: {found[what]}" for what in ("weights", "optimiser", "rows")
        )
    )
    print(f"files left half written: {found['left'] or 'none'}")
    sys.exit(not (found["weights"] and found["optimiser"] and found["rows"] and not found["left"]))


if __name__ == "__main__":
    main()
