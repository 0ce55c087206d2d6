"""The generated pieces of README.md: caption, notebooks, output of the example, results.

`python tools/docs.py` writes them into the page. Every number comes from a file that a measurement
left: docs/hero.json, data/ablation/grid, data/models/*.json, data/toy.md,
benchmarks/*.md.

When new results come: VARIANTS, COMPARISONS and RELEASED say what the front page shows.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from dsel.ablation import real_voices, verdict
from dsel.ablation.report import mean, paired
from dsel.ablation.rows import final
from dsel.utils import markdown

ROOT = Path(__file__).resolve().parents[1]
# The rows of the table: variant of the ablation -> its name on the front page.
VARIANTS = {
    "random": "untrained",
    verdict.BASELINE: "λ = 0, authors' input",
    verdict.FOUR["track"][1]: "λ = 1, authors' input",
    verdict.CHOSEN: "λ = 3, our input",
    verdict.CHOSEN_FIVE: "the same and our term",
}
# The columns: metric -> (heading, +1 if more is better, -1 if less is).
COLUMNS = {
    "eer_free": ("free ↓", -1),
    "eer_hard": ("hard ↓", -1),
    "content_top1": ("words ↑", 1),
    "content_head_eer_free": ("leak ↑", 1),
}
MOMENTS = 30  # of a track, among which the content vector finds its own
GUESSING = (50, 50, 100 / MOMENTS, 50)  # what each column is without any knowledge
CALLED = {
    "eer_free": "free",
    "eer_hard": "hard",
    "content_top1": "words",
    "content_head_eer_free": "leak",
}
# The conclusions: what is said of (variant, compared with), by which metrics.
COMPARISONS = (
    (
        "λ = 3 against 0, no normalisation",
        *(verdict.FOUR["none"][2], verdict.FOUR["none"][0]),
        ("eer_free", "eer_hard", "content_head_eer_free"),
    ),
    (
        "λ = 1 against 0, authors' input",
        *(verdict.FOUR["track"][1], verdict.BASELINE, ("eer_free", "eer_hard")),
    ),
    ("Our fifth term, λ = 3", verdict.CHOSEN_FIVE, verdict.CHOSEN, ("eer_hard",)),
)
COUNTED = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def caption() -> str:
    """What the moving picture shows, with what is counted behind its two maps."""
    card = json.loads((ROOT / "docs" / "hero.json").read_text(encoding="utf-8"))
    near = {
        name: f"{100 * value:.0f}"
        for name, value in card["nearest_points_of_the_same_voice"].items()
    }
    terms = "the paper's losses" + (" and one of ours" if _within(card["network"]) else "")
    return (
        f"*Four unknown drawn people say the same {COUNTED[len(card['words'])]} words. "
        f"Identity map: each voice keeps its place ({near['identity']}\u00a0% of a point's 10 "
        f"nearest are its own). Content map: all go the same round ({near['content']}\u00a0%; "
        f"chance {near['content_chance']}\u00a0%). Network `{card['network']}`: {terms}.*"
    )


def _within(network: str) -> bool:
    """Whether a released network was trained with the fifth term."""
    path = ROOT / "data" / "models" / f"{network}.json"
    return json.loads(path.read_text(encoding="utf-8"))["train"]["within"] > 0


def notebooks() -> str:
    """The course as a list: notebooks/README.md's table, each line up to its first semicolon."""
    text = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    row = r"^\| \[(\d\d) ([^\]]+)\]\(([^)]+)\) \| ([^|;]+)[^|]* \| [^|]+ \| (\d+) \|$"
    return "\n".join(
        f"- [{number} {title}](notebooks/{file}): {about.strip()} ({minutes} min)"
        for number, title, file, about, minutes in re.findall(row, text, re.M)
    )


def example() -> str:
    """The Python lines of the README: the first block marked python."""
    return re.search(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S
    ).group(1)


def output() -> str:
    """What the example prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(example(), {})
    return f"```text\n{printed.getvalue().strip()}\n```"


def change(rows: list[dict], variant: str, other: str, metric: str) -> str:
    """'hard 3.8 ± 3.0 points worse', or that no change was shown; '' if it was not measured."""
    difference = paired(rows, variant, other, f"test_{metric}").interval
    name, (_, sign) = CALLED[metric], COLUMNS[metric]
    if difference.n < 2:
        return ""
    half = f"\u00a0±\u00a0{difference.half:.1f}"
    if not difference.shown:
        return f"{name} not shown to change ({difference.mean:+.1f}{half})"
    verdict = "better" if difference.mean * sign > 0 else "worse"
    return f"{name} {abs(difference.mean):.1f}{half} points {verdict}"


def conclusions(rows: list[dict]) -> list[str]:
    """One sentence a comparison, worded by what was measured."""
    sentences = []
    for name, variant, other, metrics in COMPARISONS:
        changes = [text for metric in metrics if (text := change(rows, variant, other, metric))]
        if changes:
            sentences.append(f"{name}: {', '.join(changes)}.")
    return sentences


def table(rows: list[dict], names: dict[str, str], headings: Iterable[str], guessing: str) -> str:
    """The mean of each metric for each variant; without intervals, so that it fits a phone.

    Args:
        rows: of the experiment. names: variant -> its name. headings: of COLUMNS, in order.
        guessing: the name of the last line, what guessing gives.
    """
    there, lines = {row["row"] for row in final(rows)}, []
    for variant, name in names.items():
        if variant in there:
            means = (mean(rows, variant, f"test_{metric}").mean for metric in COLUMNS)
            lines.append([name, *(f"{value:.1f}" for value in means)])
    lines.append([guessing, *(f"{value:.1f}" for value in GUESSING)])
    return markdown.table(["%", *headings], lines, align="l" + "r" * len(COLUMNS))


def measured() -> str:
    """The table, how it was measured, the conclusions, and what holds beyond it."""
    rows = verdict.grid()
    schedule = verdict.settings()
    trained = [variant for variant in VARIANTS if variant != "random"]
    cells = [mean(rows, variant, f"test_{metric}") for variant in trained for metric in COLUMNS]
    (count,) = {cell.n for cell in cells}
    widest = max(cell.half for cell in cells)
    how = (
        f"Means of {count} trainings (untrained: {mean(rows, 'random', 'test_eer_free').n}) on "
        f"{schedule['speakers']} drawn speakers, tested on {schedule['test']} others; 95 % "
        f"intervals within ±\u00a0{widest:.1f}. [All results](docs/results.md)."
    )
    paper, authors, ours = conclusions(rows)
    lines = (
        f"{paper} {long_training()}",
        f"{authors} {verdict.without_extras()}",
        ours,
        people(),
    )
    sentences = "\n".join(f"- {text}" for text in lines)
    shown = table(rows, VARIANTS, (heading for heading, _ in COLUMNS.values()), "guessing")
    return "\n\n".join((shown, how, sentences))


def long_training() -> str:
    """What becomes of the effect in a long training."""
    size, rows = verdict.settings(), verdict.later()
    hard, free = (verdict.lasting(rows, f"eer_{kind}") for kind in ("hard", "free"))
    small, large, more = lost()
    return (
        f"Trained longer ({size['long']} steps, {size['long_speakers']} speakers): hard "
        f"{verdict.points(hard)}, free {verdict.points(free)} ({verdict.in_seeds(hard.n)}). "
        f"Batches twice as large lose it: hard {large:.1f} instead of {small:.1f}; λ = 10 keeps "
        f"it: {more:.1f} (1 seed)."
    )


def lost() -> list[float]:
    """Hard trials after a long training, our input: λ = 3 with small and with large batches, and
    λ = 10 with the large ones.
    """
    trained, rows = (*verdict.BATCHES["level"], verdict.MORE), verdict.later()
    return [verdict.average(rows, row, "eer_hard").mean for row in trained]


class RealPeople(NamedTuple):
    """What was measured on real people, in %: offsets found within a frame, and error rates."""

    drawn: float  # offsets, by four_terms
    real: float  # offsets, by real
    mfcc: float
    ours: float
    authors: float
    without: float  # our input at λ = 0


def real_people() -> RealPeople:
    """Read what holds for real people from the two benchmarks that measured it."""
    found = (
        number("offsets", rf"\| {network} \| real \| [\d.]+ \| [\d.]+ \| ([\d.]+) \|")
        for network in ("four_terms", "real")
    )
    rows, judge = real_voices.judged(), real_voices.FRONT_ENDS
    judges = (real_voices.MFCC, judge["level"], judge["track"], real_voices.WITHOUT["level"])
    return RealPeople(*found, *(real_voices.error(rows, name).mean for name in judges))


def people() -> str:
    """What holds for real people."""
    of = real_people()
    return (
        f"**Real people:** the offset of sound and lips is found within a frame from 2 s in "
        f"{of.real:.0f}\u00a0% by `real`, {of.drawn:.0f}\u00a0% by `four_terms` "
        f"([GRID](benchmarks/offsets.md)). Voices, a drawn microphone each: our input "
        f"{of.ours:.1f}\u00a0% errors, the authors' {of.authors:.1f}, mean MFCCs {of.mfcc:.1f} "
        f"(λ = 1; our input at λ = 0: {of.without:.1f}; "
        "[LibriSpeech](docs/results.md#what-changes-on-real-voices)). Never decide with it who "
        "somebody is."
    )


def number(benchmark: str, pattern: str) -> float:
    """The number in the line of a benchmark's page that fits a pattern."""
    page = ROOT / "benchmarks" / f"{benchmark}.md"
    line = re.search(f"^{pattern}", page.read_text(encoding="utf-8"), re.M)
    if line is None:
        raise ValueError(
            f"{page.name}: no line that fits {pattern!r}; change the pattern in tools/"
        )
    return float(line.group(1))
