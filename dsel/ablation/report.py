"""Report what results.csv says: means with intervals, paired differences, tables, sentences.

It works on whatever rows are there. Everything is a function of the rows of results.csv
(`dsel.ablation.rows.read_results`). Metrics are in percent, and differences in points. Intervals
are 95 %, Student's t over training seeds: they are about other seeds on the same corpus and the
same speakers. `dsel ablation --confirm` is about other speakers.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from dsel.ablation.rows import (
    CHOSEN_BY,
    GRID,
    KNOWN_CELLS,
    LEAVE_OUT,
    LONG,
    NO_EXTRAS,
    SINGLE,
    VARIANTS,
    Schedule,
    final,
)
from dsel.evaluate.intervals import Interval, grid_step, holm, interval
from dsel.utils.errors import BadInput
from dsel.utils.files import replace_text
from dsel.utils.markdown import table

SHOWN = {  # metric -> heading
    "eer_free": "EER, free",
    "eer_free_same_sex": "free, same sex",
    "eer_hard": "EER, hard",
    "eer_easy": "EER, easy",
    "word_dependence": "word dependence (hard - easy)",
    "content_head_eer_free": "EER of the content head, free",
    "content_top1": "content task",
    "content_top1_identity_head": "... by the identity head",
    "identity_top1": "identity task",
}
ENTANGLEMENT = "Entanglement of the training corpus"
# Linear probes of the audio embeddings, % right; the first and the last read the factor that a head
# is not for.
LEAKS = {
    "phoneme_identity_head": "phoneme read off identity",
    "phoneme_content_head": "phoneme read off content",
    "speaker_identity_head": "speaker read off identity",
    "speaker_content_head": "speaker read off content",
}
# Voices along the main directions of the faces, see `dsel.evaluate.vectors.main_directions`.
SEEN = {
    "seen_eer_free": "EER, free, along the face's directions",
    "seen_eer_free_same_sex": "free, same sex",
    "seen_eer_hard": "hard",
    "seen_eer_easy": "easy",
    "directions": "number of directions",
}
# What stands in one table, and which row the others are compared with.
GROUPS = {
    "The rows of the notes": (("random", "content", "identity", "both", "full"), "both"),
    ENTANGLEMENT: (("both", "full", "e0.5-lam0", "e0.5-lam1", "e1-lam0", "e1-lam1"), None),
    "Lambda": (("e1-lam0", "lam0.1", "lam0.3", "e1-lam1", "lam3", "lam10"), "e1-lam0"),
    "The scale in the confusion terms": (
        (
            "e1-lam0",
            "scale-trained",
            "scale-unbounded",
            "e1-lam1",
            "scale-fixed",
            "scale-fixed-unbounded",
        ),
        "e1-lam0",
    ),
    "Similarity": (("e1-lam0", "e1-lam1", "inverse-lam0", "inverse-lam1"), "e1-lam0"),
    "Beyond the notes, free speech": (("both", "full", "full-within"), "full"),
    "Input not normalised over the track": (
        ("e1-lam0", "e1-lam1", "within", "raw-lam0", "raw-lam1", "raw-within"),
        "e1-lam1",
    ),
    "Extra identity-only tracks": (("extra0", "extra16", "extra32", "full"), "full"),
    "Beyond the notes": (
        ("e1-lam0", "e1-lam1", "within", "within-alone", "reversal0.2", "reversal1", "intra"),
        "e1-lam1",
    ),
    "The rows of the notes, longer": (
        ("content-long", "identity-long", "both-long", "full-long"),
        "both-long",
    ),
    "Entangled, longer": (("e1-lam0-long", "e1-lam1-long", "scale-unbounded-long"), "e1-lam1-long"),
}
# The same for the grid and what goes with it.
GRID_GROUPS = {
    **{
        f"The grid, entanglement {e:g}, {text}": (
            tuple(
                row.id for row in block if bool(row.train_config(Schedule(), 0).within) == within
            ),
            reference,
        )
        for e, block, reference in zip((1.0, 0.0), GRID, ("e1-lam0", "both"), strict=True)
        for within, text in ((False, "four terms"), (True, "and within audio"))
    },
    "One task alone, entanglement 1": (tuple(row.id for row in SINGLE), None),
    "The mean voice without the picked moment": (tuple(row.id for row in LEAVE_OUT), None),
    "No extra tracks, entanglement 1": (tuple(row.id for row in NO_EXTRAS), None),
    "Long, more speakers": (tuple(row.id for block in LONG for row in block), None),
}
_IN_OTHERS = {row for rows, _ in GROUPS.values() for row in rows} | set(KNOWN_CELLS.values())
GROUPS |= GRID_GROUPS
# How a row is called in a table where it stands for one value among others.
CALLED = {
    ENTANGLEMENT: {
        "both": "entanglement 0, content + identity",
        "full": "entanglement 0, + disentanglement",
    },
    "Lambda": {"e1-lam0": "λ = 0", "e1-lam1": "λ = 1"},
    "The scale in the confusion terms": {
        "e1-lam0": "no confusion terms",
        "e1-lam1": "w detached, at most 20 (ours)",
    },
    "Similarity": {
        "e1-lam0": "scaled cosine, content + identity",
        "e1-lam1": "scaled cosine, + disentanglement",
    },
    "Extra identity-only tracks": {"full": "64 extra identity-only tracks (default)"},
    "Input not normalised over the track": {
        "e1-lam0": "normalised, content + identity",
        "e1-lam1": "normalised, + disentanglement",
        "within": "normalised, + within-audio confusion",
        "raw-lam0": "not normalised, content + identity",
        "raw-lam1": "not normalised, + disentanglement",
        "raw-within": "not normalised, + within-audio confusion",
    },
    "Beyond the notes": {
        "e1-lam0": "content + identity",
        "e1-lam1": "+ disentanglement, the notes' terms",
    },
}
# With the confusion loss, without it.
PAIRS = {
    "entanglement 0": ("full", "both"),
    "entanglement 0.5": ("e0.5-lam1", "e0.5-lam0"),
    "entanglement 1": ("e1-lam1", "e1-lam0"),
    "entanglement 1, within audio too": ("within", "e1-lam1"),
    "entanglement 1, input not normalised": ("raw-lam1", "raw-lam0"),
    "entanglement 0, long": ("full-long", "both-long"),
    "entanglement 1, long": ("e1-lam1-long", "e1-lam0-long"),
}
TRIALS = {
    "eer_free": "free",
    "eer_free_same_sex": "free, same sex",
    "eer_hard": "hard",
    "eer_hard_distinct": "hard, distinct vocabularies",
    "eer_hard_random": "hard, random vocabularies",
    "eer_easy": "easy",
}
_COMPARED = ("Lambda", "The scale in the confusion terms", "Similarity", "Beyond the notes")
CANDIDATES = tuple(
    dict.fromkeys(row for name in _COMPARED for row in GROUPS[name][0])
)  # for the default loss
# The notes' terms as `DisentangledLoss` has them: chosen unless another variant is shown better.
DEFAULT = "e1-lam1"


ENOUGH = 20  # different values of a column that show its grid


def label(row: str, group: str = "") -> str:
    """Name a variant for a reader, in a group or on its own."""
    return CALLED.get(group, {}).get(row, VARIANTS[row].label)


def values(results: list[dict], row: str, column: str, step: int | None = None) -> dict[int, float]:
    """Collect the values of a column by seed.

    Args:
        results: rows of results.csv.
        row: id of a variant.
        column: of results.csv.
        step: where it was judged; None: the end of its training.
    Returns:
        {seed: value} for the seeds that have one.
    """
    rows = final(results) if step is None else [found for found in results if found["step"] == step]
    return {
        found["seed"]: found[column] for found in rows if found["row"] == row and column in found
    }


def grid(results: list[dict], column: str) -> dict:
    """Find the grid on which the values of a column lie: `step` and `parts` of `interval`.

    A share of K answers is a multiple of 1/K in every row. So the step is the smallest distance of
    two values anywhere in the column. With fewer than `ENOUGH` different values it is unknown, and
    taken as 0. A word dependence is made of two EERs.
    """
    if column.endswith("word_dependence"):
        names = (column.replace("word_dependence", f"eer_{kind}") for kind in ("hard", "easy"))
        return {"step": max(grid(results, name)["step"] for name in names), "parts": 2}
    if column.endswith("directions"):
        return {"step": 1.0, "parts": 1}
    column = column.replace(
        "_seen_eer", "_eer"
    )  # the same trials; with few directions many scores are tied
    different = {found[column] for found in results if column in found}
    return {"step": grid_step(different) if len(different) >= ENOUGH else 0.0, "parts": 1}


def mean(results: list[dict], row: str, column: str, step: int | None = None) -> Interval:
    """Average a column over seeds, with the interval. Arguments as in `values`."""
    return interval(values(results, row, column, step).values(), **grid(results, column))


def differences(
    results: list[dict], row: str, other: str, column: str, step: int | None = None
) -> dict[int, float]:
    """Subtract `other` from `row` seed by seed: {seed: difference} for the seeds that both have."""
    ours, theirs = (values(results, name, column, step) for name in (row, other))
    return {seed: ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())}


@dataclass(frozen=True)
class Difference:
    """One variant minus another, seed by seed.

    same: whether every pair had the same initial weights and batches.
    """

    interval: Interval
    seeds: tuple[int, ...]
    same: bool


def paired(
    results: list[dict], row: str, other: str, column: str, step: int | None = None
) -> Difference:
    """Average the difference `row` minus `other` over common seeds, with its interval."""
    found = differences(results, row, other, column, step)
    hashes = {(r["row"], r["seed"]): r.get("pair") for r in results}
    same = all(hashes[row, seed] == hashes[other, seed] for seed in found)
    lies = grid(results, column)
    around = interval(found.values(), step=lies["step"], parts=2 * lies["parts"])
    return Difference(around, tuple(found), same)


def growth(results: list[dict], row: str, other: str, column: str) -> dict[int, Difference]:
    """Compute the paired difference at every step at which both were judged."""
    steps = {
        name: {found["step"] for found in results if found["row"] == name} for name in (row, other)
    }
    return {
        step: paired(results, row, other, column, step)
        for step in sorted(steps[row] & steps[other])
    }


# --- Tables ---------------------------------------------------------------------------------------


def group_table(results: list[dict], name: str, split: str = "test", shown: dict = SHOWN) -> str:
    """Write a group of `GROUPS` as a Markdown table: mean ± half of the interval.

    Rows without results are left out.

    Args:
        results: rows of results.csv.
        name: of the group.
        split: whose speakers.
        shown: {metric: heading}, `SHOWN` or `LEAKS`.
    """
    rows, _ = GROUPS[name]
    shown = _measured(results, rows, split, shown)
    head, lines = ["", "steps", "seeds", *shown.values()], []
    for row in rows:
        there = [found for found in final(results) if found["row"] == row]
        if there:
            cells = [str(mean(results, row, f"{split}_{metric}")) for metric in shown]
            lines.append([label(row, name), str(there[0]["steps"]), str(len(there)), *cells])
    return table(head, lines)


def effect_table(results: list[dict], split: str = "test") -> str:
    """Write what the confusion loss changes, paired over seeds.

    There is a line per training corpus and a column per kind of trial.
    """
    head = ["training corpus", "steps", "seeds", "same weights and batches", *TRIALS.values()]
    lines = []
    for name, (row, other) in PAIRS.items():
        found = {metric: paired(results, row, other, f"{split}_{metric}") for metric in TRIALS}
        first = found["eer_free"]
        if first.seeds:
            steps = next(r["steps"] for r in final(results) if r["row"] == row)
            lines.append(
                [
                    name,
                    str(steps),
                    str(len(first.seeds)),
                    "yes" if first.same else "no",
                    *(signed(d.interval) for d in found.values()),
                ]
            )
    return table(head, lines)


def present(results: list[dict], name: str) -> bool:
    """Say whether a group has results that other tables do not show already."""
    elsewhere = (
        _IN_OTHERS
        if name in GRID_GROUPS
        else set()
        if name == ENTANGLEMENT
        else set(GROUPS[ENTANGLEMENT][0])
    )
    rows = set(GROUPS[name][0]) - elsewhere
    return any(found["row"] in rows for found in final(results))


def difference_table(
    results: list[dict], name: str, split: str = "test", shown: dict = SHOWN
) -> str:
    """Write the rows of a group minus the row they are compared with, paired over seeds.

    Arguments as in `group_table`. A group without such a row gives an empty text.
    """
    rows, other = GROUPS[name]
    if other is None:
        return ""
    shown = _measured(results, rows, split, shown)
    head, lines = [f"minus '{label(other, name)}'", "seeds", *shown.values()], []
    for row in rows:
        found = {metric: paired(results, row, other, f"{split}_{metric}") for metric in shown}
        first = next(iter(found.values()), None)
        seeds = first.seeds if first else ()
        if row != other and seeds:
            note = "" if first.same else " (other batches)"
            lines.append(
                [
                    label(row, name),
                    f"{len(seeds)}{note}",
                    *(signed(d.interval) for d in found.values()),
                ]
            )
    return table(head, lines) if lines else ""


def all_differences(results: list[dict], split: str = "test") -> list[Interval]:
    """Collect every difference that the report of a split shows with an interval, each once."""
    pairs = {pair: tuple(TRIALS) for pair in PAIRS.values()}
    for name in filter(lambda name: present(results, name), GROUPS):
        rows, other = GROUPS[name]
        for row in rows if other else ():
            if row != other:
                metrics = (*pairs.get((row, other), ()), *SHOWN, *SEEN, *LEAKS)
                pairs[row, other] = tuple(dict.fromkeys(metrics))
    found = [
        paired(results, *pair, f"{split}_{name}").interval
        for pair, names in pairs.items()
        for name in names
    ]
    return [difference for difference in found if difference.n > 1]


def multiplicity(differences: list[Interval]) -> str:
    """Say how many differences chance alone would show, and how many remain by Holm's rule."""
    bold, kept = (
        sum(d.shown for d in differences),
        int(holm([d.p_value for d in differences]).sum()),
    )
    return (
        f"{len(differences)} differences are tested at 5 %; {bold} are in bold. If none were real, "
        "about "
        f"{0.05 * len(differences):.0f} would be. By Holm's rule, which keeps the chance of any "
        "false one at 5 %, "
        f"{kept} remain."
    )


def pairing(results: list[dict], split: str = "test") -> list[float]:
    """Compute the correlations over seeds of the rows of `PAIRS` that share weights and batches.

    Each kind of trial gives one. Pairing makes an interval narrower if they are well above 0, and
    wider if they are below. Pairs with fewer than 4 common seeds, or with a row whose values are
    all equal, are left out.
    """
    found = []
    for row, other in PAIRS.values():
        for name in TRIALS:
            x, y = (values(results, each, f"{split}_{name}") for each in (row, other))
            seeds = sorted(x.keys() & y.keys())
            x, y = ([side[seed] for seed in seeds] for side in (x, y))
            if len(seeds) >= 4 and len(set(x)) > 1 and len(set(y)) > 1:
                found.append(statistics.correlation(x, y))
    return found


def _measured(results: list[dict], rows: tuple[str, ...], split: str, shown: dict) -> dict:
    """Keep those of the columns `shown` that any of the rows has."""
    there = [found for found in final(results) if found["row"] in rows]
    return {
        metric: heading
        for metric, heading in shown.items()
        if any(f"{split}_{metric}" in found for found in there)
    }


def signed(difference: Interval) -> str:
    """Write '-3.1 ± 1.2', in bold if the interval excludes 0; '-3.1 (1 seed)'; '-' for none."""
    text = difference.text(sign=True)
    return f"**{text}**" if difference.shown else text


def markdown(lines: list[list[str]]) -> str:
    """Write lines of cells as a Markdown table; the second line is the rule under the head."""
    return table(lines[0], lines[2:])


# --- Choice ---------------------------------------------------------------------------------------


def criterion(results: list[dict], row: str) -> dict[int, float]:
    """Average the validation columns of `CHOSEN_BY`: {seed: mean}. Smaller is better."""
    parts = [values(results, row, f"validation_{metric}") for metric in CHOSEN_BY]
    seeds = set.intersection(*(set(part) for part in parts))
    return {seed: sum(part[seed] for part in parts) / len(parts) for seed in sorted(seeds)}


def choose(results: list[dict]) -> dict:
    """Choose the default variant: the best on validation speakers, if its advantage is shown.

    The advantage is over the present default.

    Returns:
        {"chosen", "best", "criterion" {row: {"mean", "half", "seeds"}}, "advantage" of the best
        over the default}.
    Raises:
        BadInput: the default has no results yet.
    """
    found = {row: criterion(results, row) for row in CANDIDATES}
    found = {row: scores for row, scores in found.items() if scores}
    if DEFAULT not in found:
        raise BadInput(
            f"ablation: no results of the row {DEFAULT} yet; nothing can be chosen without it"
        )
    means = {row: interval(scores.values()) for row, scores in found.items()}
    best = min(means, key=lambda row: means[row].mean)
    common = sorted(found[best].keys() & found[DEFAULT].keys())
    advantage = interval([found[DEFAULT][seed] - found[best][seed] for seed in common])
    chosen = best if best != DEFAULT and advantage.shown and advantage.mean > 0 else DEFAULT
    scores = {
        row: {"mean": round(i.mean, 3), "half": round(i.half, 3), "seeds": i.n}
        for row, i in means.items()
    }
    return {"chosen": chosen, "best": best, "criterion": scores, "advantage": str(advantage)}


# --- Sentences ------------------------------------------------------------------------------------


def sentences(results: list[dict], split: str = "test") -> list[str]:
    """Say in five sentences what the disentanglement loss does.

    Each ends with its number, its interval and whether that is shown.
    """
    notes, further = PAIRS["entanglement 1"], PAIRS["entanglement 1, within audio too"]

    def change(pair, name):
        return interval(differences(results, *pair, f"{split}_{name}").values())

    said = {
        "The notes' two confusion terms at λ = 1, with the authors' input, on novel "
        "combinations of person and words (hard trials), after training on speech in "
        "which everybody has words of their own, change the equal error rate by": change(
            notes, "eer_hard"
        ),
        "On free trials, after the same training, they change it by": change(notes, "eer_free"),
        "Heard along the main directions of the faces alone, they change it on hard trials by": (
            change(notes, "seen_eer_hard")
        ),
        "A third confusion term, within the audio stream, added to them, changes the error on hard "
        "trials by": change(further, "eer_hard"),
        "All three together change the accuracy of the content task, by its own head, by": change(
            (further[0], notes[1]), "content_top1"
        ),
    }
    return [f"{text} {told(found)}." for text, found in said.items()]


def told(difference: Interval) -> str:
    """Write '-3.1 points (95 % interval -4.0 to -2.2, 5 seeds)', and whether that is shown."""
    if difference.n < 2:
        return (
            f"{difference.mean:+.1f} points (not shown: 1 seed)"
            if difference.n
            else "... points (not measured yet)"
        )
    verdict = "shown" if difference.shown else "not shown: the interval includes 0"
    reach = f"95 % interval {difference.low:+.1f} to {difference.high:+.1f}, {difference.n} seeds"
    return f"{difference.mean:+.1f} points ({reach}; {verdict})"


# --- The report -----------------------------------------------------------------------------------


def report(results: list[dict], split: str) -> str:
    """Write everything as one Markdown page."""
    hours = sum(found.get("seconds", 0.0) for found in results) / 3600
    correlations = pairing(results, split)
    middle = f"{statistics.median(correlations):.2f}" if correlations else "not known"
    parts = [
        f"# Ablation, {split} speakers",
        f"{len(final(results))} trainings, {hours:.1f} hours. Percent, mean over seeds ± half of "
        "the 95 % interval (Student's "
        "t). EER by the cosine of mean audio identity embeddings; chance is 50. Differences are "
        "paired over seeds; bold: the "
        f"interval excludes 0. Median correlation of two paired rows over seeds: {middle}.",
        multiplicity(all_differences(results, split)),
        "## What the confusion loss changes\n\n" + effect_table(results, split),
    ]
    for name in filter(lambda name: present(results, name), GROUPS):
        parts.append(f"## {name}")
        parts += [
            make(results, name, split, shown)
            for shown in (SHOWN, SEEN, LEAKS)
            for make in (group_table, difference_table)
        ]
    parts.append(
        "## In sentences\n\n"
        + "\n".join(f"{k}. {text}" for k, text in enumerate(sentences(results, split), start=1))
    )
    return "\n\n".join(filter(None, parts)) + "\n"


def write_report(results: list[dict], out) -> None:
    """Write report-validation.md and report-test.md; nothing if no training is finished."""
    for split in ("validation", "test") if final(results) else ():
        replace_text(Path(out) / f"report-{split}.md", report(results, split))
