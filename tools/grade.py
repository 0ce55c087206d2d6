"""Run students' notebooks and collect what the self-checks say: `make grade FOLDER=...`.

    python tools/grade.py FOLDER                 all notebooks below FOLDER -> a table, grades.csv
    python tools/grade.py FOLDER --seconds 300   the time limit of each notebook

A notebook is known by the number that its name begins with (04_anna.ipynb), or by the name of a
folder above it. It is copied into an empty working folder and executed there from top to bottom at
the fast tier; a cell that fails does not stop it. Then a cell of ours asks the self-checks about
the functions that the stubs name, so it does not matter what the notebook prints. At the end of its
time a notebook and everything it started are stopped.

The working folder keeps files apart, and the environment holds no variable but those that Python
needs. It is no prison: notebooks of people you do not trust belong into a container without a
network. The checks run in the process of the notebook, so whoever sets out to fool them can.
(Source: ours.)
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(ROOT))

from dsel.utils.markdown import table  # noqa: E402
from tools.stamp import NOTEBOOKS  # noqa: E402

__all__ = ["COLUMNS", "SECONDS", "Task", "environment", "grade", "main", "run", "tasks_of"]

SECONDS = 600  # of one notebook
COLUMNS = ("file", "notebook", "exercise", "minutes", "difficulty", "solved", "name", "message")
CALL = re.compile(r"^exercises\.(\w+)\((\w+)\)", re.M)
STATED = re.compile(r"\((\d+) minutes?, (easy|medium|hard)\)")
KEPT = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "OMP_NUM_THREADS", "SYSTEMROOT", "VIRTUAL_ENV")
TOKEN = "DSEL_GRADE"  # a variable by which all that a notebook starts is known
MARK = "dsel-grade:"  # before our cell's answer
ASK = """
def _dsel_grade(wanted):
    import json
    from dsel.teaching.exercises import EXERCISES
    verdicts = {}
    for exercise, name in wanted:
        if name in globals():
            verdict = EXERCISES[exercise](globals()[name])
            verdicts[exercise] = [bool(verdict), verdict.name, verdict.message]
        else:
            verdicts[exercise] = [False, "missing", f"{name} is not defined."]
    print("MARK" + json.dumps(verdicts))
_dsel_grade(WANTED)
"""


class Task(NamedTuple):
    """An exercise of the course: its self-check, what the reader writes, minutes and difficulty."""

    exercise: str
    name: str
    minutes: int
    difficulty: str


def tasks_of(number: str) -> list[Task]:
    """List the exercises of a notebook of the course.

    Args:
        number: "00" to "11".
    """
    (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    tasks, stated = [], []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            stated += STATED.findall(text)
            continue
        for exercise, name in CALL.findall(text):
            minutes, difficulty = stated[len(tasks)]
            tasks.append(Task(exercise, name, int(minutes), difficulty))
    return tasks


def number_of(path: Path, folder: Path) -> str | None:
    """Tell which notebook of the course a file is, by its name or that of a folder above it."""
    for part in reversed(path.relative_to(folder).parts):
        found = re.match(r"(\d\d)(?!\d)", part)
        if found and list(NOTEBOOKS.glob(f"{found[1]}_*.ipynb")):
            return found[1]
    return None


def environment(home: Path) -> dict[str, str]:
    """Return the variables that a student's notebook sees."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    path = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH"))))
    places = dict.fromkeys(("HOME", "TMPDIR", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR"), str(home))
    return kept | places | {"PYTHONPATH": path, "DSEL_TIER": "fast", TOKEN: str(home)}


def run(path: Path, tasks: list[Task], seconds: float) -> dict[str, list]:
    """Execute a notebook in an empty folder and ask the self-checks.

    Args:
        path: the notebook.
        tasks: its exercises.
        seconds: the time limit.
    Returns:
        {exercise: [solved, name of the mistake, message]}.
    """
    with tempfile.TemporaryDirectory(prefix="dsel-grade-") as folder:
        work = Path(folder)
        shutil.copy(path, work / path.name)
        wanted = json.dumps([(task.exercise, task.name) for task in tasks])
        command = [sys.executable, str(Path(__file__).resolve()), "--child", path.name, wanted]
        options = {"cwd": work, "env": environment(work), "text": True}
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
        )
        try:
            printed, _ = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return _all(tasks, "too long", f"The notebook ran longer than {seconds:g} s.")
        finally:
            _stop(folder)
            child.wait()
    answers = [line[len(MARK) :] for line in printed.splitlines() if line.startswith(MARK)]
    if not answers:
        last = (printed.strip().splitlines() or ["no output"])[-1][:200]
        return _all(tasks, "not run", f"The notebook could not be executed: {last}")
    return json.loads(answers[-1])


def _all(tasks: list[Task], name: str, message: str) -> dict[str, list]:
    return {task.exercise: [False, name, message] for task in tasks}


def _stop(token: str) -> None:
    """Stop every process that carries the token in its environment: the child and all it started.

    The kernel and what a notebook starts have sessions of their own; the variable is handed down.
    """
    import psutil

    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(TOKEN) == token:
                process.kill()
                process.wait(5)


def execute(path: Path, wanted: list) -> str:
    """Execute a notebook here, with our cell at its end, and return what that cell printed."""
    import nbformat
    from nbclient import NotebookClient

    nb = nbformat.read(path, as_version=4)
    for cell in nb.cells:
        if cell.cell_type == "code" and "google.colab" in cell.source:
            cell.source = ""
    ask = ASK.replace("MARK", MARK).replace("WANTED", repr(wanted))
    nb.cells.append(nbformat.v4.new_code_cell(ask))
    options = {"timeout": None, "allow_errors": True, "kernel_name": "python3"}
    NotebookClient(nb, resources={"metadata": {"path": "."}}, **options).execute()
    return "".join(out.get("text", "") for out in nb.cells[-1].outputs)


def grade(folder: Path, seconds: float = SECONDS) -> Iterator[dict]:
    """Grade every notebook below a folder: one row per exercise, with the columns `COLUMNS`."""
    for path in sorted(folder.rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        file, number = path.relative_to(folder).as_posix(), number_of(path, folder)
        if number is None:
            message = "No notebook of the course: its name does not begin with 00 to 11."
            empty = dict.fromkeys(COLUMNS, "")
            yield empty | {"file": file, "solved": False, "name": "unknown", "message": message}
            continue
        tasks, began = tasks_of(number), time.monotonic()
        verdicts = run(path, tasks, seconds)
        print(f"{file}: {time.monotonic() - began:.0f} s", file=sys.stderr)
        for task in tasks:
            solved, name, message = verdicts[task.exercise]
            about = (file, number, task.exercise, task.minutes, task.difficulty)
            yield dict(zip(COLUMNS, (*about, solved, name, message), strict=True))


def as_table(rows: list[dict]) -> str:
    """Write the rows as a Markdown table, with a line on how many exercises are solved."""
    short = [
        [
            *(row[key] for key in ("file", "exercise", "difficulty")),
            "yes" if row["solved"] else row["name"],
            "" if row["solved"] else row["message"].replace("|", "\\|"),
        ]
        for row in rows
    ]
    solved = sum(bool(row["solved"]) for row in rows)
    heading = ["file", "exercise", "difficulty", "solved", "what the self-check says"]
    return f"{table(heading, short)}\n\n{solved} of {len(rows)} solved."


def main(argv=None) -> int:
    """Grade a folder, print the table and write the csv."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["--child"]:
        print(execute(Path(argv[1]), json.loads(argv[2])))
        return 0
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("folder", type=Path, help="with the students' notebooks")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="limit of each notebook")
    parser.add_argument("--out", type=Path, default=Path("grades.csv"), help="the csv")
    options = parser.parse_args(argv)
    if not options.folder.is_dir():
        raise SystemExit(f"{options.folder}: no such folder. Give the one with the notebooks.")
    rows = list(grade(options.folder, options.seconds))
    if not rows:
        raise SystemExit(f"{options.folder}: no notebook (*.ipynb) in it or below it.")
    with options.out.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    print(f"{as_table(rows)}\nWritten: {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
