"""Kill every command that writes, at random moments, and finish the work with the same command.

    python -m fuzz.kills                 every command, 12 kills each; writes benchmarks/kills.md
    python -m fuzz.kills --only prepare --kills 40

After each kill the command is given again until it ends. Then its folder must hold the same as that
of a command nobody touched, without half-written files, and no process may have outlived the kill.
SIGKILL comes without a warning; SIGINT is Ctrl-C. `benchmarks/kill.py` does the same to the inside
of a training: its cache, a step, a checkpoint. Exit status 1 if anything differs.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import pickle
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

from films import fixed
from fuzz.targets import TINY, templates

from dsel.utils.processes import before_fork, in_worker

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "benchmarks" / "kills.md"
SAID = Path(tempfile.gettempdir()) / f"dsel-kills-{os.getpid()}"  # what the last command said
LONGEST = 300  # s of a command
CLOCK = ("time", "seconds")  # columns that tell how long something took
PASSING = re.compile(r"\.lock$|(^|/)cache/|(^|/)figures/|(^|/)checkpoint-\d+\.pt$")


class Job(NamedTuple):
    """A command that writes a folder.

    argv: made from the templates and the folder. resume: what is added when it has begun.
    signals: what it is ended with, in turn.
    """

    argv: Callable[[Path, Path], list[str]]
    signals: tuple[int, ...] = (signal.SIGKILL,)
    resume: Callable[[Path], list[str]] = lambda out: []


ANY = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)


def _goes_on(out: Path) -> list[str]:
    return ["--resume"] if (out / "checkpoint.pt").exists() else []


def _train(made: Path, out: Path, *more: str) -> list[str]:
    data = ["--data", str(made / "corpus"), "--out", str(out)]
    return ["train", *data, *TINY, "steps=8", "save_every=2", "log_every=1", *more]


TOY = ["--speakers", "2", "--tracks", "1", "--validation", "0", "--test", "1", "--test-tracks", "2",
       "--size", "48", "--seconds", "0.8"]  # fmt: skip
SHOOT = ["--size", "32", "--workers"]


def _toy(workers: str) -> Job:
    return Job(lambda made, out: ["toy", "--out", str(out), *TOY, "--workers", workers], ANY)


def _prepare(workers: str) -> Job:
    return Job(
        lambda made, out: ["prepare", str(made / "films"), "--out", str(out), *SHOOT, workers], ANY
    )


def _embed(made: Path, out: Path) -> list[str]:
    data = str(made / "corpus")
    return ["embed", str(made / "run"), "--data", data, "--out", str(out / "e.npz")]


FAST = ["--preset", "fast", "--rows", "e1-lam1", "--seeds", "0"]
JOBS: dict[str, Job] = {
    "toy, 1 process": _toy("1"),
    "toy, 2 processes": _toy("2"),
    "prepare, 1 process": _prepare("1"),
    "prepare, 2 processes": _prepare("2"),
    "shard": Job(lambda made, out: ["shard", str(made / "corpus"), "--out", str(out)], ANY),
    "train": Job(_train, ANY, _goes_on),
    "train, decoding": Job(lambda made, out: _train(made, out, "loader=decode"), ANY, _goes_on),
    "embed": Job(_embed),
    "release": Job(lambda made, out: ["release", str(made / "run"), "--out", str(out / "net.pt")]),
    "ablation": Job(lambda made, out: ["ablation", "--out", str(out), *FAST], ANY),
}


class Life(NamedTuple):
    """How one process ended: its status, how long it took, who outlived it."""

    status: int
    seconds: float
    outlived: bool


def run(argv: list[str], after: float | None = None, number: int = signal.SIGKILL) -> Life:
    """Run a command in a forked process, and send it a signal after so many seconds."""
    before_fork()
    begun = time.monotonic()
    # The signal waits until the child is ready for it: else it would end in this test's own code.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    child = os.fork()
    if child == 0:
        _command(argv, mask)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    sent = False
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            break
        if after is not None and not sent and time.monotonic() - begun >= after:
            os.kill(child, number)
            sent = True
        if time.monotonic() - begun > LONGEST:
            os.killpg(child, signal.SIGKILL)
            raise RuntimeError(f"{argv}: still running after {LONGEST} s")
        time.sleep(0.001)
    seconds = time.monotonic() - begun
    return Life(status, seconds, sent and _somebody_is_left(child))


def _command(argv: list[str], mask: set) -> None:
    """Be a process of its own that runs a command; does not return."""
    try:
        os._exit(_status(argv, mask))
    except BaseException:  # an interrupt before or after the command, which must not get out
        traceback.print_exc()
        os._exit(1)


def _status(argv: list[str], mask: set) -> int:
    """Run a command, its output in a file, the signals of `mask` blocked; return its status."""
    os.setsid()
    in_worker()  # a fork does not copy the threads of decoders, which their freeing waits for
    signal.signal(signal.SIGINT, signal.default_int_handler)
    said = os.open(SAID, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(said, number)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    from dsel.cli import main
    from dsel.prepare import run as prepare

    real = prepare.prepare
    prepare.prepare = lambda *args, **options: real(*args, **{**options, "detector": fixed})
    try:
        return main(argv)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 1


def _somebody_is_left(group: int, patience: float = 12.0) -> bool:
    """Return whether a process of a group still lives after some seconds; ends it then.

    The loader processes of torch look every 5 s whether the training still lives.
    """
    until = time.monotonic() + patience
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    os.killpg(group, signal.SIGKILL)
    return True


def contents(folder: Path) -> dict[str, str]:
    """What a folder holds: name -> hash. Times of the clock, locks and caches are left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not PASSING.search(name):
            found[name] = hashlib.sha1(_without_clock(path)).hexdigest()[:12]
    return found


def _without_clock(path: Path) -> bytes:
    if path.suffix == ".pt":
        import torch

        try:
            state = torch.load(path, weights_only=True)
        except (EOFError, RuntimeError, pickle.UnpicklingError):  # half-written, and left there
            return path.read_bytes()
        kept = {
            key: state[key]
            for key in ("model", "loss", "optimiser", "step", "best")
            if key in state
        }
        return repr(list(_numbers(kept))).encode()
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        kept = [{k: v for k, v in row.items() if k not in CLOCK} for row in rows]
        return json.dumps(kept).encode()
    return path.read_bytes()


def _numbers(value: object) -> Iterator[object]:
    import torch

    if isinstance(value, dict):
        for key in value:
            yield str(key)
            yield from _numbers(value[key])
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _numbers(inner)
    else:
        yield (
            hashlib.sha1(value.numpy().tobytes()).hexdigest()
            if isinstance(value, torch.Tensor)
            else value
        )


class Found(NamedTuple):
    """What kills did to a command: how many fell while it ran, and what was wrong afterwards."""

    job: str
    kills: int
    wrong: list[str]


def kill(name: str, made: Path, folder: Path, kills: int, seed: int = 0) -> Found:
    """Kill a command `kills` times, each time in a new folder, and compare.

    Args:
        name: of `JOBS`.
        made: the templates.
        folder: to work in.
        kills: how many must fall while the command runs.
        seed: of the moments.
    """
    job, rng = JOBS[name], random.Random(f"{name} {seed}")
    out, fell, wrong = folder / "out", 0, []
    shutil.rmtree(out, ignore_errors=True)  # what the command before this one made
    whole, seconds = _finished(job, made, out)
    for turn in range(4 * kills):
        if fell == kills:
            break
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        number = job.signals[turn % len(job.signals)]
        life = run(job.argv(made, out), rng.uniform(0, seconds), number)
        if life.outlived:
            wrong.append(f"{signal.Signals(number).name}: a process outlived it")
        if life.status == 0:
            continue
        fell += 1
        found, _ = _finished(job, made, out)
        differ = sorted(
            key for key in whole.keys() | found.keys() if whole.get(key) != found.get(key)
        )
        if differ:
            wrong.append(
                f"{signal.Signals(number).name} after {life.seconds:.2f} s: {', '.join(differ[:5])}"
            )
    return Found(name, fell, wrong)


def _finished(job: Job, made: Path, out: Path) -> tuple[dict[str, str], float]:
    """Run a command to its end; returns what its folder holds, and the seconds of the run."""
    out.mkdir(parents=True, exist_ok=True)
    life = run([*job.argv(made, out), *job.resume(out)])
    if life.status:
        raise RuntimeError(f"{job.argv(made, out)} without a kill: {SAID.read_text()[-2000:]}")
    return contents(out), life.seconds


def main() -> int:
    """Kill and report; 1 if anything differs."""
    from fuzz.run import warm_up

    from dsel.utils import markdown

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="only commands whose name begins so")
    parser.add_argument("--kills", type=int, default=12, help="of each command")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    warm_up()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        with redirect_stdout(sys.stderr):
            made = templates(Path(folder))
        for name in (name for name in JOBS if name.startswith(options.only)):
            found.append(kill(name, made, made / "killed", options.kills, options.seed))
            print(
                f"{name}: {found[-1].kills} kills; {'; '.join(found[-1].wrong) or 'all the same'}",
                flush=True,
            )
    rows = [
        [each.job, each.kills, each.kills - len(each.wrong), "; ".join(each.wrong)]
        for each in found
    ]
    if not options.only:
        head = (
            "# Commands killed at random moments\n\nMade by `make kill` (tests/fuzz/kills.py).\n\n"
        )
        text = markdown.table(["command", "kills", "ended the same", "what differed"], rows)
        REPORT.write_text(f"{head}{text}\n", encoding="utf-8")
    return int(any(each.wrong for each in found))


if __name__ == "__main__":
    sys.exit(main())
