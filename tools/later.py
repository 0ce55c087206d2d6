"""Gather what was trained after the choice was frozen, and judge it on the new speakers.

    dsel ablation --preset grid --rows long --out runs/grid      train (resumable, a process a core)
    python tools/later.py runs/grid                              gather

It writes three files into data/ablation/grid:

    later.csv            the results of these trainings
    later_cone.csv       the cone of the identity vectors on the way of the long ones
    later_confirmed.csv  the same networks on the speakers that the freeze drew

The folder holds later trainings only. They are judged in its subfolder `new`, where the rows of the
freeze stand before theirs: so the seed of the new speakers is the frozen one. Networks that have
been judged are not judged again.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(ROOT))

from dsel.ablation import confirm, frozen_rows  # noqa: E402
from dsel.ablation.rows import LONG, final, key_of, read_results  # noqa: E402
from dsel.ablation.verdict import FOLDER  # noqa: E402
from dsel.utils.files import replace_text  # noqa: E402

EVERY = 100  # steps between two points of a cone's course


def read(path: Path) -> list[dict[str, str]]:
    """Read a csv as it is written."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    """Write rows as csv; what a row does not have stays empty."""
    lines = [columns, *([row.get(name, "") for name in columns] for row in rows)]
    replace_text(path, "".join(",".join(line) + "\n" for line in lines))


def cones(runs: Path) -> list[dict[str, str]]:
    """The cone every `EVERY` steps of each long training that has ended."""
    found = []
    for row in (row.id for block in LONG for row in block):
        for run in sorted(runs.glob(f"{row}-[0-9]*")):
            if run.name.removeprefix(f"{row}-").isdigit() and (run / "model.pt").is_file():
                known = {"row": row, "seed": run.name.rpartition("-")[2]}
                found += [
                    known | {"step": step["step"], "cone": f"{float(step['cone']):.3f}"}
                    for step in read(run / "metrics.csv")
                    if int(step["step"]) % EVERY == 0
                ]
    return found


def judged_on_new_speakers(out: Path) -> list[dict[str, str]]:
    """Judge the networks of a folder on the speakers of the freeze; the lines of confirmed.csv."""
    new = out / "new"
    new.mkdir(exist_ok=True)
    for name in ("frozen.json", "schedule.json"):
        shutil.copy(FOLDER / name, new / name)
    for name in ("runs", "corpora"):
        if not (new / name).exists():
            (new / name).symlink_to(Path("..") / name)
    later, before = read(out / "results.csv"), read(FOLDER / "results.csv")
    columns = list(dict.fromkeys(name for rows in (before, later) for name in rows[0]))
    write(new / "results.csv", columns, before + later)
    if len(frozen_rows(new)) != len(before):
        raise SystemExit(f"{FOLDER / 'results.csv'}: has other rows than those of the freeze")
    confirm(new)
    return read(new / "confirmed.csv")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of `dsel ablation` with later trainings")
    out = parser.parse_args(argv).out
    if not (out / "results.csv").is_file():
        raise SystemExit(f"{out / 'results.csv'}: missing; run the first command of --help")
    rows = read(out / "results.csv")
    write(FOLDER / "later.csv", list(rows[0]), rows)
    write(FOLDER / "later_cone.csv", ["row", "seed", "step", "cone"], cones(out / "runs"))
    confirmed = judged_on_new_speakers(out)
    write(FOLDER / "later_confirmed.csv", list(confirmed[0]), confirmed)
    judged = {key_of(row) for row in read_results(FOLDER / "later_confirmed.csv")}
    trained = {key_of(row) for row in final(read_results(FOLDER / "later.csv"))}
    print(f"{len(trained)} trainings, {len(judged & trained)} of them judged on new speakers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
