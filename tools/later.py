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
from dsel.train.released import KEPT  # noqa: E402
from dsel.utils.files import write_csv  # noqa: E402

EVERY = 100  # steps between two points of a cone's course


def read(path: Path) -> list[dict[str, str]]:
    """Read a csv as it is written."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def cones(runs: Path) -> list[dict[str, str]]:
    """The cone every `EVERY` steps of each long training that has ended."""
    found = []
    for row in (row.id for block in LONG for row in block):
        for run in sorted(runs.glob(f"{row}-[0-9]*")):
            if (run / KEPT).is_file():
                known = {"row": row, "seed": run.name.removeprefix(f"{row}-")}
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
    write_csv(new / "results.csv", before + later, tuple(before[0]))
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
    write_csv(FOLDER / "later.csv", rows, tuple(rows[0]))
    write_csv(FOLDER / "later_cone.csv", cones(out / "runs"), ("row", "seed", "step", "cone"))
    confirmed = judged_on_new_speakers(out)
    write_csv(FOLDER / "later_confirmed.csv", confirmed, tuple(confirmed[0]))
    judged = {key_of(row) for row in read_results(FOLDER / "later_confirmed.csv")}
    trained = {key_of(row) for row in final(read_results(FOLDER / "later.csv"))}
    print(f"{len(trained)} trainings, {len(judged & trained)} of them judged on new speakers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
