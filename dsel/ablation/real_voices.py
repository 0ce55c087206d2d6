"""What the experiment on real voices says: its numbers, its line of the verdict, its table.

The numbers come from data/ablation/real_voices.csv, which `benchmarks/real_voices.py` writes. A
*judge* is whatever tells two recordings apart: networks, trained or not, or mean MFCCs.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dsel.ablation.rows import SHIPPED
from dsel.ablation.wording import between, in_seeds, one, points, spread
from dsel.evaluate.intervals import Interval, grid_step, interval
from dsel.utils.markdown import table
from dsel.utils.package_data import REMEDY
from dsel.utils.readers import read_csv

MICROPHONE = "test-other, a microphone each"
RECORDED = "test-other, as recorded"
MFCC = "mean MFCC, cosine"
FRONT_ENDS = {  # front end -> judge
    "track": "networks, normalised over the track, lambda 1",
    "level": "networks, level only, lambda 1",
    "none": "networks, not normalised, lambda 1",
}
WITHOUT = {front: judge.replace("lambda 1", "lambda 0") for front, judge in FRONT_ENDS.items()}
FURTHER = {  # what is said beside it -> judge
    "λ = 0:": WITHOUT["level"],
    "λ = 3:": "networks, level only, lambda 3",
    "the fifth term at λ = 1:": "networks, level only, lambda 1 + L_within",
}


def judged(folder: Path = SHIPPED) -> list[dict]:
    """Rows of `benchmarks/real_voices.py`; [] if there are none."""
    path = folder / "real_voices.csv"
    return read_csv(path, {}, remedy=REMEDY) if path.is_file() else []


def error(rows: list[dict], judge: str, condition: str = MICROPHONE) -> Interval:
    """EER of a judge under a condition, over its seeds."""
    return interval(_by_seed(rows, judge, condition).values(), step=_step(rows, condition))


def _by_seed(rows: list[dict], judge: str, condition: str) -> dict[int, float]:
    """{seed: EER}."""
    mine = (r for r in rows if (r["judge"], r["condition"]) == (judge, condition))
    return {int(r["seed"]): float(r["eer"]) for r in mine}


def _step(rows: list[dict], condition: str) -> float:
    """The grid on which the EERs of a condition lie, two decimals in the file."""
    return grid_step((float(r["eer"]) for r in rows if r["condition"] == condition), digits=2)


def trained(rows: list[dict]) -> list[str]:
    """The judges that were trained for it."""
    return list(dict.fromkeys(row["judge"] for row in rows if int(row["steps"])))


def best(rows: list[dict], condition: str = MICROPHONE) -> tuple[str, Interval]:
    """The trained judge with the lowest mean error under a condition, and that error."""
    found = {judge: error(rows, judge, condition) for judge in trained(rows)}
    return min(found.items(), key=lambda pair: pair[1].mean)


def change(rows: list[dict], judge: str, other: str, condition: str = MICROPHONE) -> Interval:
    """EER of one judge minus that of another, paired over seeds."""
    a, b = (_by_seed(rows, name, condition) for name in (judge, other))
    step = _step(rows, condition)
    return interval([a[s] - b[s] for s in sorted(a.keys() & b.keys())], step=step, parts=2)


def seeds(rows: list[dict], judges: Iterable[str]) -> str:
    """'3 seeds', or '1 to 3 seeds': how often these judges were trained."""
    return between([error(rows, judge).n for judge in judges])


def line() -> str:
    """The line of the verdict."""
    rows = judged()
    if not rows:
        return "**Real voices** have not been judged yet."
    shown = {front: spread(error(rows, judge)) for front, judge in FRONT_ENDS.items()}
    return (
        "**On real voices the front end decides, and the terms do not help** (10 people, a "
        f"microphone drawn for each recording, λ = 1, {seeds(rows, FRONT_ENDS.values())}): "
        f"{shown['track']} % normalised over the track, {shown['level']} % level only; mean MFCCs "
        "reach "
        f"{one(error(rows, MFCC).mean)} %. {confusion(rows)}"
    )


def confusion(rows: list[dict]) -> str:
    """What the confusion terms change there, front end by front end."""
    changes = {f: change(rows, judge, WITHOUT[f]) for f, judge in FRONT_ENDS.items()}
    told = ", ".join(f"{points(d)} ({front})" for front, d in changes.items())
    return f"λ = 1 against λ = 0 changes this by {told}."


def answer(rows: list[dict]) -> str:
    """What changes on real voices, in sentences."""
    shown = {front: spread(error(rows, judge)) for front, judge in FRONT_ENDS.items()}
    mfcc = {condition: error(rows, MFCC, condition).mean for condition in (RECORDED, MICROPHONE)}
    judge, lowest = best(rows)
    further = ", ".join(
        f"{label} {spread(i)} % ({in_seeds(i.n)})"
        for label, name in FURTHER.items()
        if (i := error(rows, name)).n
    )
    highest = max(_by_seed(rows, judge, MICROPHONE).values())
    all_below = lowest.n > 1 and highest < mfcc[MICROPHONE]
    return (
        f"Trained for {max((row['steps'] for row in rows), key=int)} steps on 251 LibriSpeech "
        f"voices behind drawn faces ({seeds(rows, FRONT_ENDS.values())}), the networks at λ = 1 "
        f"tell 10 strangers apart with {shown['level']} % (level) or {shown['none']} % (not "
        f"normalised) errors against {shown['track']} % (track) where a microphone is drawn for "
        f"each recording. The best of {len(trained(rows))} variants, found on these very people, "
        f"is {judge.removeprefix('networks, ')}: {spread(lowest)} %, "
        f"{f'all {lowest.n} seeds below' if all_below else 'beside'} the "
        f"{one(mfcc[MICROPHONE])} % of mean MFCCs; *level* with {further}. {confusion(rows)} As "
        "recorded, where the recording gives the speaker away, mean MFCCs reach "
        f"{one(mfcc[RECORDED])} % and *level* "
        f"{spread(error(rows, FRONT_ENDS['level'], RECORDED))} %."
    )


def every_judge() -> str:
    """Tabulate the judges: mean over seeds and half of the 95 % interval, see `wording.spread`."""
    rows = judged()
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    body = []
    for steps, judge in sorted({(int(row["steps"]), row["judge"]) for row in rows}):
        found = [error(rows, judge, condition) for condition in conditions]
        body.append([judge, steps, found[0].n, *map(spread, found)])
    align = "lrr" + "r" * len(conditions)
    return table(["judge", "steps", "seeds", *conditions], body, align=align)
