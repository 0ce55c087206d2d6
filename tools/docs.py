"""Write every generated piece of the pages, from files that measurements left: `make docs`.

    python tools/docs.py            write all pieces; stamp the notebooks (tools/stamp.py)
    python tools/docs.py --check    change nothing; name what is out of date, and exit with 1

A piece stands in a page between <!-- name --> and <!-- /name -->; PIECES names the function that
writes it.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(ROOT))

from dsel.teaching.ledger import ledger, to_markdown  # noqa: E402
from dsel.utils.files import write_text  # noqa: E402
from dsel.utils.markdown import table  # noqa: E402
from tools import front_page, korean, model_cards, results, stamp, talks, verdict_page  # noqa: E402

# benchmarks/README.md: what is measured, against what, page, pattern of the ratio, agreement.
BENCHMARKS = (
    (
        "training step, laptop model",
        "plain step",
        "step",
        r"\| laptop .*\*\*([\d.]+)\*\*",
        "loss to 1e-6",
    ),
    (
        "training step, paper model",
        "plain step",
        "step",
        r"\| paper .*\*\*([\d.]+)\*\*",
        "loss to 3e-6",
    ),
    ("batch from the cache", "decode all", "loader", r"\| cache .* ([\d.]+) \|$", "every byte"),
    (
        "batch decoded in part",
        "decode all",
        "loader",
        r"\| decode, one .* ([\d.]+) \|$",
        "every byte",
    ),
    (
        "scoring 37,720 trials",
        "a loop",
        "scoring",
        r"\| all at once .* ([\d.]+) \|$",
        "scores to 2e-7",
    ),
    (
        "toy corpus, 2 processes",
        "its playing time",
        "toy",
        r"\| 2 (?:\| [\d.]+ ){2}\| ([\d.]+) ",
        "-",
    ),
)
NOISE = re.compile(r"\d\.\de[-+]\d\d")  # rounding errors, which another processor rounds otherwise


def equations() -> str:
    """The ledger without line numbers, so that the page does not age with every line of code."""
    return re.sub(r"#L\d+", "", to_markdown(ledger(), root=".."))


def benchmarks() -> str:
    """The ratio of every benchmark, read from its own page."""
    rows = []
    for what, other, name, pattern, equal in BENCHMARKS:
        ratio = front_page.number(name, pattern)
        rows.append([what, other, f"{ratio:.3g}", equal, f"[{name}.md]({name}.md)"])
    return table(["what", "compared with", "times faster", "equal to", "page"], rows, align="llr")


def detectors() -> str:
    """The table of benchmarks/detectors.md."""
    text = (ROOT / "benchmarks" / "detectors.md").read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if line.startswith("|"))


PIECES: dict[tuple[str, str], Callable[[], str]] = {
    ("README.md", "picture"): front_page.caption,
    ("README.md", "colab"): stamp.colab,
    ("README.md", "output"): front_page.output,
    ("README.md", "notebooks"): front_page.notebooks,
    ("README.md", "results"): front_page.measured,
    ("docs/equations.md", "ledger"): equations,
    ("README.ko.md", "picture"): korean.caption,
    ("README.ko.md", "output"): front_page.output,
    ("README.ko.md", "notebooks"): korean.notebooks,
    ("README.ko.md", "results"): korean.measured,
    ("docs/results.md", "verdict"): verdict_page.top,
    ("docs/results.md", "questions"): verdict_page.questions,
    ("docs/results.md", "tables"): verdict_page.tables,
    ("docs/results.md", "results"): results.render,
    ("docs/teaching.md", "talk"): partial(talks.table, "fifteen_minutes"),
    ("docs/teaching.md", "lecture"): partial(talks.table, "ninety_minutes"),
    ("docs/live.md", "detectors"): detectors,
    ("benchmarks/README.md", "benchmarks"): benchmarks,
    ("data/models/README.md", "networks"): model_cards.networks,
}


def fill(text: str, mark: str, piece: str) -> str:
    """Put a piece between <!-- mark --> and <!-- /mark -->.

    Raises:
        ValueError: the text has no such marks.
    """
    pattern = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"no marks <!-- {mark} --> and <!-- /{mark} -->")
    return pattern.sub(lambda found: f"{found[1]}{piece}\n{found[2]}", text)


def between(text: str, mark: str) -> str:
    """What stands between the marks now."""
    return re.search(rf"<!-- {mark} -->\n(.*?)\n?<!-- /{mark} -->", text, re.DOTALL).group(1)


def outdated(page: str, mark: str, piece: str) -> bool:
    """Whether the piece in a page differs from `piece` by more than rounding errors."""
    now = between((ROOT / page).read_text(encoding="utf-8"), mark)
    return NOISE.sub("e", now) != NOISE.sub("e", piece)


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit with 1 if a piece is out of date"
    )
    options = parser.parse_args(argv)
    status, late = stamp.main(["--check"] if options.check else []), []
    for (page, mark), make in PIECES.items():
        piece = make()
        if outdated(page, mark, piece):
            late.append(f"{page} ({mark})")
            if not options.check:
                path = ROOT / page
                write_text(path, fill(path.read_text(encoding="utf-8"), mark, piece))
    if late:
        print(("out of date, run make docs: " if options.check else "written: ") + ", ".join(late))
    return 1 if options.check and late else status


if __name__ == "__main__":
    sys.exit(main())
