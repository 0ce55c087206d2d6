"""The verdict on docs/results.md: ten lines, a figure, and a figure and two sentences per question.

    python tools/verdict_page.py            draw docs/figures/*.png (needs Chromium)
    python tools/verdict_page.py --check    name pictures that are not those of the present numbers

`python tools/docs.py` writes the words. The numbers come from data/ablation/grid and from
data/ablation/real_voices.csv, the figures from `dsel.ablation.verdict_figures`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(ROOT))

from dsel.ablation import frozen_rows, real_voices, verdict  # noqa: E402
from dsel.ablation.rows import ROWS  # noqa: E402
from dsel.ablation.verdict import WORDS  # noqa: E402
from dsel.ablation.wording import one, spread  # noqa: E402
from dsel.utils.files import write_bytes  # noqa: E402
from tools import model_cards, stills  # noqa: E402

PICTURES = ROOT / "docs" / "figures"
ALT = {
    "verdict": "A point per variant: free EER across, word dependence up. The path of the paper's "
    "four terms goes from the top down to the bottom left where the sound is not normalised over "
    "the track.",
    "free": "EER on free trials against lambda for three front ends: low and flat for two of them.",
    "hard": (
        "EER on hard trials against lambda: a steep fall between lambda 1 and 3 for two front ends."
    ),
    "lambda": (
        "Mean of free and hard EER of validation speakers against lambda: lowest at lambda 3."
    ),
    "price": (
        "Changes of the EER in points with intervals: hard trials far left, easy ones right of 0."
    ),
    "front-end": (
        "Bars of free and hard EER for three front ends, without and with confusion terms."
    ),
    "leak": "Two panels against lambda: the content head knows more of speakers as lambda grows.",
    "long": (
        "A line per variant from its short training to its long one: EER on hard and free trials."
    ),
    "length": (
        "Hard EER and cone against training step: with four terms the cone opens and the EER rises."
    ),
    "real-voices": (
        "Bars of EER on real voices for each judge: not normalised and level only are best, "
        "without confusion terms before with them."
    ),
}


def picture(name: str) -> str:
    return f"![{ALT[name]}](figures/{name}.png)"


def top() -> str:
    """The picture of the verdict and its ten lines."""
    lines = verdict.lines(verdict.grid())
    return "\n".join([picture("verdict"), "", *(f"{k}. {line}" for k, line in enumerate(lines, 1))])


def questions() -> str:
    """One picture and two sentences per question, and what has not been measured."""
    results = verdict.grid()
    parts = []
    for heading, name, text in verdict.answers(results):
        parts += [f"### {heading}", picture(name), text]
    return "\n\n".join([*parts, "### New speakers", confirmed(), "### Not measured", missing()])


def missing() -> str:
    """What has one seed or was not run, and the command that would change it."""

    def grid_rows(*rows: str) -> str:
        return f"`dsel ablation --preset grid --rows {' '.join(rows)} --out runs/grid`"

    no_extra = [row for _, _, row in verdict.NO_EXTRA]
    left_out = [row for _, _, row in verdict.LEFT_OUT]
    everything = verdict.grid() + verdict.later()
    points = (
        "**Long trainings:** the released networks have one seed each, "
        f"{long_trained(everything)}. Trained on a CPU after the choice, in float32. "
        f"All, five seeds each: {grid_rows('long')}.",
        "**Without extra identity-only tracks**, at entanglement 1: "
        f"{without_extras()} All: {grid_rows(*no_extra)}. The earlier experiment has λ = 1 at "
        "entanglement 0, three seeds.",
        f"**One task alone with *level*:** {verdict.seeds(everything, *verdict.LEVEL_ALONE)}, in "
        f"the table; *track* and *none* have two. {grid_rows(*verdict.LEVEL_ALONE)}.",
        "**The mean voice without the picked moment:** "
        f"{verdict.seeds(everything, *left_out)}, in the table. More: {grid_rows(*left_out)}.",
        "**New speakers:** of the grid single networks of six rows; the others were not kept. "
        "`dsel ablation --preset grid --out runs/grid --confirm` judges all networks in a folder.",
    )
    head = (
        "Each interval speaks of other training seeds on the same corpus and the same 60 test "
        "speakers. What has one seed, or none, and the command that would change it:"
    )
    return "\n".join([head, "", *(f"- {point}" for point in points)])


def long_trained(results: list[dict]) -> str:
    """Say how many seeds the variants of `--rows long` have."""
    counts = [len(verdict.by_seed(results, pair.long, "eer_free")) for pair in verdict.long_pairs()]
    told = ", ".join(
        f"{counts.count(n)} {'has' if counts.count(n) == 1 else 'have'} {verdict.in_seeds(n)}"
        for n in sorted(set(counts))
    )
    return f"and of the {len(counts)} variants in the figure {told}"


def without_extras() -> str:
    """What was found without extra tracks, and with them, on hard trials."""
    results, found = verdict.grid() + verdict.later(), []
    for front in ("track", "none"):
        measured = [
            (lam, row)
            for place, lam, row in verdict.NO_EXTRA
            if place == front and verdict.values(results, row, "test_eer_hard")
        ]
        alike = [verdict.FOUR[front][verdict.GRID_LAMBDAS.index(float(lam))] for lam, _ in measured]
        if measured:
            without = verdict.rates(results, [row for _, row in measured], "eer_hard")
            found.append(
                f"*{front}*, λ = {', '.join(lam for lam, _ in measured)}: hard {without} (with 64 "
                f"extra tracks {verdict.rates(results, alike, 'eer_hard')})"
            )
    if not found:
        return "not run."
    return f"trained on a CPU after the choice, {'; '.join(found)}."


def confirmed() -> str:
    """The same networks on speakers drawn after the freeze."""
    frozen = json.loads((verdict.FOLDER / "frozen.json").read_text(encoding="utf-8"))
    rows = verdict.confirmed()
    there = [row for row in ROWS if verdict.by_seed(rows, row, "eer_free")]
    measures = ("eer_free", "eer_hard", "eer_easy", WORDS)
    cells = []
    for row in there:
        found = [verdict.average(rows, row, measure) for measure in measures]
        cells.append([ROWS[row].label, found[0].n, *map(spread, found)])
    judged = verdict.new_speakers()
    released = [
        [f"released: {verdict.LONG[name]}", 1, *model_cards.verified(judged[name])]
        for name in model_cards.FIRST
    ]
    untrained = verdict.on_new_speakers()["untrained"]
    rates = {kind: untrained[f"eer_{kind}"] for kind in ("free", "hard", "easy")}
    words = rates["hard"] - rates["easy"]
    released.append([verdict.LONG["untrained"], 1, *map(one, rates.values()), one(words)])
    text = (
        "The choice is frozen in `data/ablation/grid/frozen.json`; the seed of the new speakers, "
        f"{frozen['seed']}, comes from its hash of `results.csv`, which `sha256sum` gives again. "
        "The hash of the earlier experiment covers the first "
        f"{len(frozen_rows(verdict.SHIPPED))} rows of `data/ablation/results.csv`, those that were "
        "there at the time; `dsel.ablation.frozen_rows` finds and checks them. Of the grid single "
        "networks of a few rows were kept and judged; of what was trained later, every one: mean "
        "over seeds ± half of the 95 % interval, below three seeds the mean alone. The released "
        "ones were stopped where validation speakers were best; in brackets the 95 % interval over "
        "the 120 speakers (bootstrap). Their detection cost (minDCF, with its P_target and "
        "interval) and what leaks: [models](../data/models/README.md)."
    )
    head = ["", "seeds", "free", "hard", "easy", WORDS]
    return f"{text}\n\n{verdict.table(head, cells + released, align='lrrrrr')}"


def tables() -> str:
    """The grid, the paired changes and the real voices, folded."""
    results, later = verdict.grid(), verdict.later()
    about = (
        f"{len(verdict.final(results))} trainings of the grid and what goes with it, "
        f"{_hours(results)} hours added up over the processes that shared one GPU; after the "
        f"choice {len(later)} more on two CPU cores, {_hours(later)} hours added up over two "
        "processes and more. Entanglement 1, test speakers, %, mean over seeds ± half of the 95 % "
        "interval; fewer than three seeds: the mean alone."
    )
    parts = [about, _folded("Every variant", verdict.grid_table(results + later))]
    change_note = "Points, paired over seeds; bold: the interval excludes 0. "
    change_note += verdict.shown_by_chance(results)
    parts.append(_folded("The changes", f"{change_note}\n\n{verdict.effect_table(results)}"))
    if real_voices.judged():
        real = (
            "Mean over seeds ± half of the 95 % interval over seeds (Student's t); fewer than "
            "three seeds: the mean alone. Other people are not in it: test-other has "
            "10, speechocean 125."
        )
        parts.append(_folded("Real voices, EER in %", f"{real}\n\n{real_voices.every_judge()}"))
    parts.append(
        "Made by `dsel ablation --preset grid --halving --rows singles --out runs/grid`, the same "
        "with `--rows long` and `tools/later.py`, `tools/train_released.py` and "
        "`benchmarks/real_voices.py`; pictures by `make pictures`."
    )
    return "\n\n".join(parts)


def _hours(results: list[dict]) -> str:
    """Hours of all trainings together."""
    return one(sum(row["seconds"] for row in results) / 3600)


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


# --- Pictures -------------------------------------------------------------------------------------


def drawn() -> dict[str, dict]:
    """{name: figure as plotly's JSON}."""
    from dsel.ablation.verdict_figures import figures
    from dsel.plots.style import use_template

    use_template()
    return {name: json.loads(figure.to_json()) for name, figure in figures(verdict.grid()).items()}


def due(figures: dict[str, dict]) -> list[str]:
    """Names of the figures whose picture is missing or another."""

    def mark(name: str) -> str | None:
        path = PICTURES / f"{name}.png"
        return stills.marked(path.read_bytes()) if path.is_file() else None

    return [name for name, figure in figures.items() if mark(name) != stills.fingerprint(figure)]


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit with 1 if a picture is due"
    )
    options = parser.parse_args(argv)
    figures = drawn()
    names = due(figures)
    if options.check or not names:
        print(
            "out of date: " + ", ".join(names) if names else "every picture is that of its numbers"
        )
        return 1 if names else 0
    PICTURES.mkdir(exist_ok=True)
    with stills.drawing() as draw:
        for name in names:
            png = stills.mark(
                stills.few_colours(draw(figures[name])), stills.fingerprint(figures[name])
            )
            write_bytes(PICTURES / f"{name}.png", png)
    print("drawn: " + ", ".join(names))
    return 0


if __name__ == "__main__":
    sys.exit(main())
