"""Would we notice? Make single small changes beside the losses, and see whether tests refuse them.

    python benchmarks/mutation_code.py          a sample of every module; writes mutation_code.md
    python benchmarks/mutation_code.py --only timing --all   every change of a module; prints only

The changes are those of `mutation.sweep`: an operator or a comparison exchanged, a number one
larger, a minus dropped, a condition turned. Each runs in a forked process in which the module has
the changed source, until the first test fails. The sample has a fixed seed. A change that survives
is either a gap in the tests or changes nothing that can be observed; the page lists each. (Source:
ours.)
"""

from __future__ import annotations

import argparse
import ast
import importlib.abc
import importlib.util
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.mutation import FirstFailure, in_fork, sweep  # noqa: E402

REPORT = Path(__file__).with_suffix(".md")
SAMPLE = 24  # changes of each module
SECONDS = 120  # of the processor, for the tests of one change


class Target(NamedTuple):
    """A module, the tests that guard it, and the functions that are changed ("" for all)."""

    module: str
    tests: tuple[str, ...]
    choose: str = ""  # for pytest -k
    functions: tuple[str, ...] = ()

    @property
    def file(self) -> Path:
        return ROOT / f"{self.module.replace('.', '/')}.py"


TARGETS = (
    Target("dsel.timing", ("method/test_timing.py", "method/test_audio.py")),
    Target("dsel.evaluate.verification",
           ("evaluate/test_verification.py", "evaluate/test_evaluate.py"),
           "not interval_covers and not shrinks and not prints_chance"),
    Target("dsel.corpus.trials", ("corpus/test_trials.py",), "not fifty_thousand"),
    Target("dsel.corpus.reading", ("corpus/test_corpus.py", "train/test_loaders_and_shards.py"),
           "broken_corpus or what_was_written or usable or large_index"),
    Target("dsel.utils.readers", ("utils/test_readers.py",)),
    Target("dsel.prepare.clips_from_video",
           ("prepare/test_choosing.py", "prepare/test_prepare.py"),
           "choosing or two_faces or long_track or offset_of_a_recording or large_face "
           "or short_appearance or two_people or click_lies",
           ("_side", "_presence", "_apart", "_pieces", "_in_step", "_rows")),
)  # fmt: skip


class Changed(importlib.abc.MetaPathFinder):
    """Find one module in another file."""

    def __init__(self, module: str, path: Path):
        self.module, self.path = module, path

    def find_spec(self, name, path=None, target=None):
        return (
            importlib.util.spec_from_file_location(name, self.path) if name == self.module else None
        )


def changes(target: Target) -> list[tuple[str, str]]:
    """Every change of a module: (line and what, new source)."""
    source = target.file.read_text(encoding="utf-8")
    lines = set(range(1, len(source.splitlines()) + 1))
    if target.functions:
        functions = (
            node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)
        )
        chosen = [node for node in functions if node.name in target.functions]
        missing = set(target.functions) - {node.name for node in chosen}
        if missing:
            raise ValueError(f"{target.file.name} has no function {min(missing)}: it has moved on")
        lines = {line for node in chosen for line in range(node.lineno, node.end_lineno + 1)}
    return [
        (name, text) for name, text in sweep(source) if int(name.split()[1].rstrip(":")) in lines
    ]


def sample(target: Target, count: int | None) -> list[tuple[str, str]]:
    """So many of the changes, the same at every run; None: all."""
    found = changes(target)
    if count is None or len(found) <= count:
        return found
    picked = set(random.Random(target.module).sample(range(len(found)), count))
    return [change for k, change in enumerate(found) if k in picked]


def run_tests(target: Target) -> str:
    """Run the tests of a target up to their first failure: its name, or '' if nothing failed."""
    import pytest
    from hypothesis import Phase, settings

    settings.register_profile("quick", phases=[Phase.explicit, Phase.generate], max_examples=30)
    settings.load_profile("quick")

    first = FirstFailure()
    files = [str(ROOT / "tests" / name) for name in target.tests]
    quiet = [
        "-x",
        "-q",
        "--tb=no",
        "-W",
        "ignore",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "--hypothesis-seed=0",
    ]
    pytest.main(
        [*files, *quiet, *(["-k", target.choose] if target.choose else [])], plugins=[first]
    )
    return first.name


def judged(target: Target, source: str, folder: Path) -> str:
    """Return which test refuses a source of a target's module; '' if none does."""

    def work(_) -> str:
        for name, module in list(sys.modules.items()):
            place = str(getattr(module, "__file__", None) or "")
            if name.split(".")[0] == "dsel" or place.startswith(str(ROOT / "tests")):
                del sys.modules[name]
        path = folder / "changed.py"
        path.write_text(source, encoding="utf-8")
        sys.meta_path.insert(0, Changed(target.module, path))
        return run_tests(target)

    return in_fork((ROOT / "dsel" / "losses.py").read_text(encoding="utf-8"), work, None, SECONDS)


def warm_up() -> None:
    """Import everything slow once, before the forks."""
    for name in (
        "av",
        "cv2",
        "hypothesis",
        "numpy",
        "pytest",
        "scipy.special",
        "sklearn.linear_model",
        "torch",
    ):
        importlib.import_module(name)
    import torch

    torch.set_num_threads(1)  # a forked process cannot use its parent's threads


def results(only: str, count: int | None, folder: Path) -> Iterator[tuple[Target, str, str]]:
    """Yield (target, change, which test refused it or '')."""
    for target in (target for target in TARGETS if only in target.module):
        clean = judged(target, target.file.read_text(encoding="utf-8"), folder)
        if clean:
            raise SystemExit(f"the unchanged {target.module} is refused: {clean}")
        for name, source in sample(target, count):
            yield target, name, judged(target, source, folder)


def table(found: list[tuple[Target, str, str]]) -> str:
    """Kill rates by module, then the changes that survived."""
    from dsel.utils import markdown

    rows = []
    for target in dict.fromkeys(target for target, _, _ in found):
        mine = [test for other, _, test in found if other == target]
        refused = sum(map(bool, mine))
        rows.append(
            [
                target.module,
                len(changes(target)),
                len(mine),
                refused,
                f"{100 * refused / len(mine):.0f}",
            ]
        )
    refused = sum(bool(test) for _, _, test in found)
    rows.append(["all", "", len(found), refused, f"{100 * refused / len(found):.0f}"])
    left = [f"- `{target.module}` {name}" for target, name, test in found if not test]
    head = markdown.table(["module", "changes", "tried", "refused", "%"], rows)
    return "\n".join(
        [head, "", "Not refused:" if left else "Every one was refused.", "", *left, ""]
    )


def main() -> int:
    """Try the changes, print the kill rate, write the page."""
    import tempfile

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="only modules whose name contains this")
    parser.add_argument("--all", action="store_true", help="every change, not a sample")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "repository")]
    warm_up()
    began, found = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        for result in results(options.only, None if options.all else SAMPLE, Path(folder)):
            found.append(result)
            print(
                "ok      " if result[2] else "SURVIVED", result[0].module, *result[1:], flush=True
            )
    text = table(found)
    print(f"\n{text}\n{(time.monotonic() - began) / 60:.1f} min")
    if not options.only and not options.all:
        head = "# Small changes of the code, and whether the tests refuse them\n\n"
        head += "Made by `make mutation`.\n\n"
        REPORT.write_text(head + text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
