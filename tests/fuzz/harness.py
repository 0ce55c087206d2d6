"""Run commands on broken inputs, each in a process of its own, and say how each ended.

A case must end in one of three ways: the right result, one clear line, or the usage line of the
command's parser. Anything else is a fault of dsel: a traceback, a hang, a crash, too much memory,
a line that names nothing, or an input that was left out without a word.

The process is forked, so that torch is imported once. It may take `MEMORY` bytes and `SECONDS`.
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dsel.utils.processes import before_fork, in_worker

MEMORY = 2 << 30  # bytes
SECONDS = 30
LONGEST = 1000  # characters of a clear line
GOOD = ("result", "line", "usage")
BAD = ("traceback", "hang", "crash", "memory", "unclear", "silent", "not a number")
STARTED, ENDED, OUT, ERR = "started.json", "ended.json", "stdout", "stderr"


@dataclass
class Case:
    """One input and what is done with it.

    Args:
        what: how the input was broken, in words.
        argv: the command line of dsel.
        about: what a clear line must name, one of them; empty: nothing in particular.
        check: looks at the result after status 0; returns what is wrong with it, or "".
        call: what is done instead of the command; raises what the command would.
        patch: called first, e.g. to give `prepare` a detector without a real face.
    """

    what: str
    argv: list[str] = field(default_factory=list)
    about: tuple[str, ...] = ()
    check: Callable[[str], str] | None = None
    call: Callable[[], object] | None = None
    patch: Callable[[], object] | None = None


class Outcome(NamedTuple):
    """How a case ended. `kind` is one of GOOD or BAD."""

    target: str
    number: int
    kind: str
    what: str
    says: str
    seconds: float
    mebibytes: int


Maker = Callable[[random.Random, Path], Case]


def run_case(target: str, number: int, make: Maker, folder: Path) -> Outcome:
    """Make case `number` of a target and run it in a forked process.

    Args:
        target: its name; with the number it is the seed.
        number: which case.
        make: makes the case in an empty folder.
        folder: where; it is removed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "work").mkdir(parents=True)
    before_fork()
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        _child(target, number, make, folder)  # does not return
    status, used = _wait(child, begun + SECONDS + 2)
    with_what = _read(folder / STARTED).get("what", "cannot be made")
    ended = _read(folder / ENDED)
    kind, says = judge(status, ended, _text(folder / OUT), _text(folder / ERR))
    peak = used.ru_maxrss // 1024
    if kind in GOOD and peak > MEMORY >> 20:
        kind, says = "memory", f"{peak} MiB"
    shutil.rmtree(folder, ignore_errors=True)
    return Outcome(target, number, kind, with_what, says, time.monotonic() - begun, peak)


def judge(status: int, ended: dict, out: str, err: str) -> tuple[str, str]:
    """Return the kind of an outcome and what it says.

    Args:
        status: of the process, as `os.wait` gives it.
        ended: what the process noted at its end: rc, about, check, error.
        out, err: what it printed.
    """
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        hang = number in (signal.SIGALRM, signal.SIGXCPU, signal.SIGKILL)
        return ("hang" if hang else "crash"), f"{signal.Signals(number).name}: {err[-300:]}"
    if not ended:
        return "crash", f"ended without a word, status {status}: {err[-300:]}"
    if ended["error"] or "Traceback (most recent call last)" in err:
        return "traceback", ended["error"] or err[-1500:]
    lines = [line.strip() for line in re.split(r"[\r\n]", err) if line.strip()]
    last = lines[-1] if lines else ""
    if ended["rc"] == 0:
        if ended["check"]:
            return "silent", ended["check"]
        number = re.search(r"(?<![\w.])[-+]?(nan|inf)(?![\w.])", out, re.IGNORECASE)
        if number:
            return "not a number", out[max(0, number.start() - 200) : number.end() + 50]
        return "result", last
    if ended["rc"] != 2:
        return "unclear", f"status {ended['rc']}: {last}"
    if "; try '" in last:
        return "usage", last
    if not last.startswith("dsel: ") or len(last) > LONGEST:
        return "unclear", last or "nothing on stderr"
    if ended["about"] and not any(name in last for name in ended["about"]):
        return "unclear", f"names none of {', '.join(ended['about'])}: {last}"
    return "line", last


def _child(target: str, number: int, make: Maker, folder: Path) -> None:
    """Make and run a case in this process, which ends."""
    code = 1
    try:
        in_worker()  # a fork does not copy the threads of decoders, which their freeing waits for
        os.setsid()  # so that whatever it starts can be ended with it
        work = folder / "work"
        os.chdir(work)
        case = make(random.Random(f"{target} {number}"), work)
        (folder / STARTED).write_text(json.dumps({"what": case.what, "argv": case.argv}))
        for name, number in ((OUT, 1), (ERR, 2)):
            file = os.open(folder / name, os.O_CREAT | os.O_WRONLY)
            os.dup2(file, number)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        _limit()
        if case.patch:
            case.patch()
        rc, error = _run(case)
        signal.alarm(0)
        check = case.check(_text(folder / OUT)) if case.check and rc == 0 else ""
        ended = {"rc": rc, "error": error, "about": case.about, "check": check}
        (folder / ENDED).write_text(json.dumps(ended))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _run(case: Case) -> tuple[int, str]:
    """Run a case; returns its exit status and its traceback."""
    from dsel.cli import main

    rc, error = 1, ""
    try:
        rc = main(case.argv) if case.call is None else case.call() or 0
    except SystemExit as leaving:
        rc = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        error = traceback.format_exc()[-3000:]
    sys.stdout.flush()
    sys.stderr.flush()
    return rc, error


def _limit() -> None:
    """Bound the memory and the time of this process."""
    with open("/proc/self/statm") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(SECONDS)


def _wait(child: int, until: float) -> tuple[int, resource.struct_rusage]:
    """Wait for a child and for what it started; ends them after their time."""
    while True:
        pid, status, used = os.wait4(child, os.WNOHANG)
        if not pid and time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            _, status, used = os.wait4(child, 0)
            pid = child
        if pid:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child, signal.SIGKILL)
            return status, used
        time.sleep(0.002)


def _read(path: Path) -> dict:
    return json.loads(path.read_text()) if path.is_file() else {}


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace") if path.is_file() else ""
