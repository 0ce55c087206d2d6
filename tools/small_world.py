"""Train in the small world of notebook 05, for every setting of its second half, over five seeds.

    python tools/small_world.py            data/small_world.csv and data/small_world_curves.csv
    python tools/small_world.py --again    from the beginning; otherwise only what is missing

small_world.csv has a line per training: what `two_factor_world.judge` and `two_by_two` measure on
unseen speakers, in percent (width: 0 to 2), and both scales w after the last step. The curves are
the four losses and the scales while training, each the mean of ten steps and of all seeds. Needs a
few minutes on one core. (Source: ours.)
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(ROOT))

from dsel.teaching import two_factor_world as world  # noqa: E402
from dsel.utils.files import write_text  # noqa: E402

__all__ = ["CURVES", "LAMBDAS", "SEEDS", "STEPS", "VARIANTS", "curves_of", "main", "row_of"]

STEPS, SEEDS, EVERY = 600, 5, 10
LAMBDAS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
# What w may do at lambda 1; "clamped" is the default and stands among the lambdas.
SCALES = {
    "trained": {"lam": 1.0, "confusion_scale": "trained", "w_max": None},
    "unbounded": {"lam": 1.0, "w_max": None},
}
VARIANTS = {f"lambda {lam:g}": {"lam": lam} for lam in LAMBDAS} | SCALES
CURVES = ("content", "identity", "confusion_cs", "confusion_sc", "w_content", "w_identity")
HERE = ROOT / "data" / "small_world.csv"


def row_of(variant: str, seed: int, run: world.Run) -> dict:
    """Measure one training: a line of small_world.csv."""
    tasks = {
        f"{task} task, {head} head": x for (task, head), x in world.two_by_two(run, seed).items()
    }
    scales = {name: float(run.trace[name][-1]) for name in ("w_content", "w_identity")}
    steps = len(run.trace["content"])
    measured = {**world.judge(run, seed), **tasks, **scales}
    named = {"variant": variant, "seed": seed, "steps": steps}
    return named | {name: f"{value:.3f}" for name, value in measured.items()}


def curves_of(traces: list[dict]) -> list[dict]:
    """Average the traces of several seeds over seeds and over ten steps: a line per ten steps."""
    means = {name: np.mean([trace[name] for trace in traces], axis=0) for name in CURVES}
    tens = {name: y.reshape(-1, EVERY).mean(axis=1) for name, y in means.items()}
    count = len(next(iter(tens.values())))
    return [
        {"step": EVERY * (k + 1)} | {name: f"{y[k]:.4f}" for name, y in tens.items()}
        for k in range(count)
    ]


def as_csv(rows: list[dict]) -> str:
    """Write rows with a heading."""
    lines = [list(rows[0])] + [list(row.values()) for row in rows]
    return "".join(",".join(_quoted(x) for x in line) + "\n" for line in lines)


def _quoted(value) -> str:
    return f'"{value}"' if "," in str(value) else str(value)


def read(path: Path) -> list[dict]:
    """Read a csv; nothing if there is none."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def main(argv=None) -> int:
    """Train what is missing, variant by variant, and write both files after each."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--again", action="store_true", help="train everything anew")
    parser.add_argument("--out", type=Path, default=HERE, help="the table; default: %(default)s")
    parser.add_argument("--steps", type=int, default=STEPS, help="of each training")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of each variant")
    options = parser.parse_args(argv)
    beside = options.out.with_name(f"{options.out.stem}_curves.csv")
    rows, curves = ([], []) if options.again else (read(options.out), read(beside))
    for variant, settings in VARIANTS.items():
        if any(row["variant"] == variant for row in rows):
            continue
        runs = [world.train(seed, options.steps, **settings) for seed in range(options.seeds)]
        rows += [row_of(variant, seed, run) for seed, run in enumerate(runs)]
        curves += [{"variant": variant} | row for row in curves_of([run.trace for run in runs])]
        write_text(options.out, as_csv(rows))
        write_text(beside, as_csv(curves))
        print(variant, f"{len(rows)} trainings")
    return 0


if __name__ == "__main__":
    sys.exit(main())
