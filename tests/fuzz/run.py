"""Run the broken inputs: `make fuzz`.

    python -m fuzz.run                         all of them; writes benchmarks/fuzz.md
    python -m fuzz.run --target corpus         one target; prints only
    python -m fuzz.run --target corpus --case 17 --show     one case, with all that it says

Exit status 1 if any input ended otherwise than in the right result or one clear line.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from fuzz.harness import BAD, GOOD, Outcome, run_case
from fuzz.targets import TARGETS, templates

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "benchmarks" / "fuzz.md"
WARM = ("av", "cv2", "hypothesis", "pytest", "scipy.special", "sklearn.linear_model", "torch")
DSEL = (
    *("ablation.run", "apply.export", "apply.verification", "corpus.pack", "demo"),
    *("evaluate.leaks", "evaluate.report", "plots.identity_vs_content", "prepare.run"),
    *("toy.make", "train.authors", "train.trainer"),
)


def warm_up() -> None:
    """Import everything slow once, before the forks."""
    from importlib import import_module

    for name in (*WARM, *(f"dsel.{name}" for name in DSEL)):
        import_module(name)
    import cv2
    import torch

    torch.set_num_threads(1)  # a forked process cannot use its parent's threads
    cv2.setNumThreads(0)


def outcomes(
    names: list[str], made: Path, share: float = 1.0, only: int | None = None
) -> Iterator[Outcome]:
    """Yield the outcome of every case of some targets.

    Args:
        names: of `TARGETS`.
        made: the folder of `templates`.
        share: of the cases of each target.
        only: run this case alone.
    """
    for name in names:
        make, count = TARGETS[name]
        for number in range(max(1, round(share * count))) if only is None else [only]:
            yield run_case(name, number, partial(_swapped, make, made), made / "case")


def _swapped(make, made: Path, rng, folder: Path):
    return make(made, rng, folder)


def table(found: list[Outcome]) -> str:
    """Counts by target and kind, as Markdown."""
    from dsel.utils import markdown

    kinds = [*GOOD, *BAD]
    rows = []
    for name in dict.fromkeys(outcome.target for outcome in found):
        mine = Counter(outcome.kind for outcome in found if outcome.target == name)
        slowest = max(outcome.seconds for outcome in found if outcome.target == name)
        peak = max(outcome.mebibytes for outcome in found if outcome.target == name)
        rows.append([name, mine.total(), *(mine[kind] for kind in kinds), f"{slowest:.1f}", peak])
    total = Counter(outcome.kind for outcome in found)
    rows.append(["all", total.total(), *(total[kind] for kind in kinds), "", ""])
    return markdown.table(["broken", "inputs", *kinds, "slowest, s", "most memory, MiB"], rows)


def main() -> int:
    """Run and report; 1 if an input ended badly."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", nargs="+", default=sorted(TARGETS), choices=sorted(TARGETS))
    parser.add_argument("--share", type=float, default=1.0, help="of the cases of each target")
    parser.add_argument("--case", type=int, help="only the case with this number")
    parser.add_argument(
        "--show", action="store_true", help="print every outcome, not only bad ones"
    )
    options = parser.parse_args()
    began, found = time.monotonic(), []
    warm_up()
    with tempfile.TemporaryDirectory() as folder:
        made = templates(Path(folder))
        for outcome in outcomes(options.target, made, options.share, options.case):
            found.append(outcome)
            if outcome.kind in BAD or options.show:
                print(f"{outcome.target} {outcome.number}: {outcome.kind}: {outcome.what}")
                print(f"{outcome.says}\n", flush=True)
    minutes = (time.monotonic() - began) / 60
    text = table(found)
    print(f"{text}\n{len(found)} inputs in {minutes:.1f} min")
    if set(options.target) == set(TARGETS) and options.share == 1 and options.case is None:
        head = "# Broken inputs, and how each ended\n\nMade by `make fuzz` (tests/fuzz).\n\n"
        REPORT.write_text(f"{head}{text}\n", encoding="utf-8")
    return int(any(outcome.kind in BAD for outcome in found))


if __name__ == "__main__":
    sys.exit(main())
