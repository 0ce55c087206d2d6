"""The verdict: what the grid of front ends, lambda and the fifth term says, question by question.

The numbers come from data/ablation/grid (`dsel ablation --preset grid --halving`, validation
speakers chose, test speakers judged), from what was trained after the choice (`later`), and from
the released networks (`tools/train_released.py`). Every sentence here is made of measured values;
`claims` lists what the words around them assert, and a test and notebook 09 fail if one of them is
no longer true.

A row is called by its id in `dsel.ablation.rows`. `FOUR[front end]` are the paper's four terms at
lambda 0, 1, 3 and 10, `FIVE[front end]` the same with the fifth term, L_within, beside them.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from dsel.ablation import real_voices
from dsel.ablation.report import paired, values
from dsel.ablation.rows import GRID_LAMBDAS, SHIPPED, VARIANTS, final, grid_id, read_results
from dsel.ablation.rows import LONG as LONG_BLOCKS
from dsel.ablation.wording import ENOUGH, between, in_seeds, one, points, spread
from dsel.corpus.store import TRIALS
from dsel.evaluate.intervals import Interval, grid_step, holm, interval
from dsel.evaluate.metrics import Metric, read_metric
from dsel.utils.markdown import table
from dsel.utils.package_data import REMEDY
from dsel.utils.readers import NAME, NUMBER, read_csv, read_json

FOLDER = SHIPPED / "grid"
FRONT_ENDS = {
    "track": "normalised over the track (authors)",
    "level": "level only (ours)",
    "none": "not normalised",
}
FOUR = {front: tuple(grid_id(1.0, front, x, 0.0) for x in GRID_LAMBDAS) for front in FRONT_ENDS}
FIVE = {front: tuple(grid_id(1.0, front, x, 1.0) for x in GRID_LAMBDAS) for front in FRONT_ENDS}
OTHERS = {
    "random": "untrained network",
    "e1-identity": "identity only, normalised",
    "e1-none-identity": "identity only, not normalised",
    "e1-content": "content only, normalised",
    "e1-none-content": "content only, not normalised",
}
NO_EXTRA = (  # front end, lambda, row; trained later, see `later`
    *(("track", f"{lam}", f"e1-extra0-lam{lam}") for lam in (0, 1)),
    *(("none", f"{lam}", f"e1-none-extra0-lam{lam}") for lam in (0, 1, 3)),
)
LEVEL_ALONE = {
    "e1-level-identity": "identity only, level",
    "e1-level-content": "content only, level",
}
LEFT_OUT = (  # front end, lambda, row
    *(("track", f"{lam}", f"e1-leaveout-lam{lam}") for lam in (0, 1)),
    *(("none", f"{lam}", f"e1-none-leaveout-lam{lam}") for lam in (0, 3)),
)
BASELINE = FOUR["track"][0]  # content + identity with the authors' normalisation
CHOSEN = FOUR["level"][2]  # what validation speakers chose: level, lambda 3
CHOSEN_FIVE = FIVE["level"][2]
LONG = {  # file of data/ablation/grid -> what was trained
    "four_terms": "four terms, λ = 3",
    "five_terms": "five terms, λ = 3",
    "lambda0": "content + identity, λ = 0",
    "untrained": "untrained network",
}
WORDS = "word dependence"
SUPERVISED = "supervised LDA on MFCC statistics"


# --- Numbers --------------------------------------------------------------------------------------


def grid(folder: Path = FOLDER) -> list[dict]:
    """The trainings of the grid, one row each."""
    return read_results(folder / "results.csv")


def later(folder: Path = FOLDER) -> list[dict]:
    """The trainings done after the choice was frozen, on a CPU in float32; one row each."""
    path = folder / "later.csv"
    return read_results(path) if path.is_file() else []


def confirmed(folder: Path = FOLDER) -> list[dict]:
    """Single trainings of the grid, and all later ones, on speakers drawn after the freeze."""
    files = (folder / name for name in ("confirmed.csv", "later_confirmed.csv"))
    return [row for path in files if path.is_file() for row in read_results(path)]


def rates(results: list[dict], rows: Iterable[str], measure: str) -> str:
    """'37.9 (1 seed), 34.2 (1 seed)': the mean of each row, with its number of seeds."""
    found = [average(results, row, measure) for row in rows]
    return ", ".join(f"{one(i.mean)} ({in_seeds(i.n)})" for i in found)


def listener(page: str, name: str) -> dict[str, float]:
    """{kind of trial: EER in %} of a line of data/toy.md, whose cells hold 'all / same sex'."""
    line = next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
    pairs = (cell.split("/") for cell in line.split("|")[2:-1])
    rates = dict(zip(TRIALS, pairs, strict=True))
    return {
        kind + same: float(pair[k])
        for kind, pair in rates.items()
        for k, same in enumerate(("", ", same sex"))
    }


def supervised(page: Path = SHIPPED.parent / "toy.md") -> dict[str, float]:
    """EER of the listener who was told the speakers' names, on the same test speakers."""
    return listener(page.read_text(encoding="utf-8"), SUPERVISED)


def settings(folder: Path = FOLDER) -> dict:
    """How the grid was trained: schedule.json."""
    return read_json(folder / "schedule.json", remedy=REMEDY, entries={})


def by_seed(results: list[dict], row: str, measure: str, split: str = "test") -> dict[int, float]:
    """{seed: value} of a metric of a row; `WORDS` is EER hard minus EER easy."""
    if measure != WORDS:
        return values(results, row, f"{split}_{measure}")
    hard, easy = (values(results, row, f"{split}_eer_{kind}") for kind in ("hard", "easy"))
    return {seed: hard[seed] - easy[seed] for seed in sorted(hard.keys() & easy.keys())}


def average(results: list[dict], row: str, measure: str, split: str = "test") -> Interval:
    """Mean over seeds with its interval, which is not narrower than the grid of the values."""
    names = ("eer_hard",) if measure == WORDS else (measure,)
    known = [
        r[f"{split}_{name}"] for r in final(results) for name in names if f"{split}_{name}" in r
    ]
    return interval(
        by_seed(results, row, measure, split).values(),
        step=grid_step(known),
        parts=2 if measure == WORDS else 1,
    )


def change(
    results: list[dict], row: str, other: str, measure: str, split: str = "test"
) -> Interval:
    """row minus other, paired over the seeds that both have."""
    return paired(results, row, other, f"{split}_{measure}").interval


def validation_score(results: list[dict], row: str) -> float:
    """What was chosen by: the mean of free and hard EER of the validation speakers."""
    return statistics.fmean(
        average(results, row, f"eer_{kind}", "validation").mean for kind in ("free", "hard")
    )


def correlations(results: list[dict], measure: str = "eer_hard") -> list[float]:
    """Correlation over seeds of every two rows that share five seeds and their batches."""
    rows = {row: values(results, row, f"test_{measure}") for row in {r["row"] for r in results}}
    rows = {row: x for row, x in sorted(rows.items()) if len(x) >= 5}
    pairs = {(r["row"], r["seed"]): r["pair"] for r in results}
    found = []
    for k, (row, x) in enumerate(rows.items()):
        for other, y in list(rows.items())[k + 1 :]:
            seeds = [s for s in x if s in y and pairs[row, s] == pairs[other, s]]
            if len(seeds) >= 5 and all(len({z[s] for s in seeds}) > 1 for z in (x, y)):
                found.append(statistics.correlation([x[s] for s in seeds], [y[s] for s in seeds]))
    return found


def progress(name: str, folder: Path = FOLDER) -> list[dict[str, float]]:
    """What the validation speakers said on the way of a long training, a row per judgement."""
    return _numbers(folder / f"released_{name}.csv")


def curves(name: str, folder: Path = FOLDER) -> list[dict[str, float]]:
    """What a long training wrote down itself, a row every 50 steps: losses, cone, scales."""
    return _numbers(folder / f"released_{name}_steps.csv")


def cone(row: str, seed: int = 0, folder: Path = FOLDER) -> list[dict[str, float]]:
    """The cone of the identity vectors every 100 steps of a later long training."""
    rows = read_csv(folder / "later_cone.csv", {"row": NAME}, other=NUMBER, remedy=REMEDY)
    return [step for step in rows if (step["row"], step["seed"]) == (row, seed)]


def _numbers(path: Path) -> list[dict[str, float]]:
    return read_csv(path, {}, other=NUMBER, remedy=REMEDY)


def at(rows: list[dict[str, float]], step: int) -> dict[str, float]:
    """The row of a step."""
    return next(row for row in rows if row["step"] == step)


def bound_reached(name: str, scale: str, w_max: float = 20.0) -> int | None:
    """The first step at which the scale 'w_content' or 'w_identity' stood at its bound."""
    return next((int(r["step"]) for r in curves(name) if r[scale] > w_max - 1e-3), None)


def leaks(folder: Path = FOLDER) -> dict[str, list[Metric]]:
    """{released network: what each head keeps of the other's factor}: tools/judge_released.py."""
    return _metrics(folder / "released_leakage.json")


def new_speakers(folder: Path = FOLDER) -> dict[str, list[Metric]]:
    """{released network: its metrics on new speakers, with intervals over these}."""
    return _metrics(folder / "released_new_speakers.json")


def _metrics(path: Path) -> dict[str, list[Metric]]:
    found = read_json(path, remedy=REMEDY, entries={})
    return {name: [read_metric(row) for row in rows] for name, rows in found.items()}


# --- What the words assert ------------------------------------------------------------------------


def claims(results: list[dict]) -> dict[str, bool]:
    """{what the page says in words: whether the numbers say so}."""

    def value(row, measure):
        return average(results, row, measure).mean

    none, track, level = FOUR["none"], FOUR["track"], FOUR["level"]
    hard = change(results, none[2], none[0], "eer_hard")
    four, five = progress("four_terms"), progress("five_terms")
    scores = {row: validation_score(results, row) for rows in FOUR.values() for row in rows}
    real, judge = real_voices.judged(), real_voices.FRONT_ENDS
    on_real = real_voices.change(real, judge["level"], judge["track"]) if real else None
    return {
        "on real voices level has fewer errors than track": on_real is None
        or (on_real.high < 0 if on_real.n >= ENOUGH else on_real.mean < 0),
        "and the confusion terms are not shown to help there": not real
        or all(
            real_voices.change(real, judge[front], without).high >= 0
            for front, without in real_voices.WITHOUT.items()
        ),
        "lambda 3 helps on novel combinations": hard.high < 0,
        "without extra tracks lambda 1 helps, with the authors' input": extras_left_out(
            later()
        ).high
        < 0,
        "and costs nothing that is shown on free trials": not change(
            results, none[2], none[0], "eer_free"
        ).shown,
        "it costs easy trials": change(results, none[2], none[0], "eer_easy").low > 0,
        "lambda 1 is not shown to help on novel combinations": not change(
            results, none[1], none[0], "eer_hard"
        ).shown,
        "with the authors' normalisation lambda 1 makes them worse": change(
            results, track[1], track[0], "eer_hard"
        ).low
        > 0,
        "and free trials better": change(results, track[1], track[0], "eer_free").high < 0,
        "lambda 10 costs free trials": value(level[3], "eer_free")
        > value(level[2], "eer_free") + 2,
        "the fifth term helps a little more at lambda 3": change(
            results, CHOSEN_FIVE, CHOSEN, "eer_hard"
        ).high
        < 0,
        "the front end decides on free trials": all(
            value(level[k], "eer_free") < value(track[k], "eer_free") - 4 for k in range(4)
        ),
        "shown where the seeds are paired": change(results, none[0], track[0], "eer_free").high < 0,
        "but leaves the words in": min(value(rows[0], WORDS) for rows in FOUR.values()) > 30,
        "validation chose level and lambda 3": min(scores, key=scores.get) == CHOSEN,
        "the content head knows more about the speaker than at lambda 0": change(
            results, none[2], none[0], "content_head_eer_free"
        ).high
        < 0,
        "and more than that of an untrained network": value(CHOSEN, "content_head_eer_free")
        < value("random", "content_head_eer_free"),
        "a long training with four terms loses the effect": at(four, 4000)["eer_hard"]
        > at(four, 1500)["eer_hard"] + 10,
        "while both confusion losses stay near their floor": all(
            row["confusion_cs"] - math.log(32) < 0.1 and row["confusion_sc"] - math.log(16) < 0.1
            for row in curves("four_terms")
            if row["step"] >= 1450
        ),
        "and the cone opens": at(curves("four_terms"), 1450)["cone"]
        > at(curves("four_terms"), 1850)["cone"] + 0.3,
        **_claims_of_length(),
        "with five terms it stays": at(five, 4000)["eer_hard"] <= at(five, 1500)["eer_hard"],
        "the bound on w is reached": all(
            bound_reached("four_terms", f"w_{task}") for task in ("content", "identity")
        ),
    }


def _claims_of_length() -> dict[str, bool]:
    """The claims that stand on the long trainings."""
    rows, (kept, without) = later(), LASTING

    def value(row, measure="eer_hard"):
        return average(rows, row, measure).mean

    return {
        "lambda 3 helps after a long training": lasting(rows, "eer_hard").high < 0,
        "then on free trials too": lasting(rows, "eer_free").high < 0,
        "on new speakers too": lasting(confirmed(), "eer_hard").high < 0,
        "and lambda 1 does not": value("e1-none-lam1-long") > value(without) - 5,
        "the leak is smaller after a long training": value(kept, "content_head_eer_free")
        > average(grid(), FOUR["none"][2], "content_head_eer_free").mean + 5,
        "larger batches lose it at lambda 3": all(
            value(large) > value(small) + 10 for small, large in BATCHES.values()
        ),
        "and lambda 10 keeps it there": value(MORE) < value(BATCHES["level"][1]) - 10,
        "and their cone is open": all(
            value(large, "cone") < value(small, "cone") - 0.3 for small, large in BATCHES.values()
        ),
    }


# --- Words ----------------------------------------------------------------------------------------


def trio(results: list[dict], row: str) -> str:
    """'12.1 / 20.7 / 7.4': EER free, hard, easy."""
    kinds = ("free", "hard", "easy")
    return " / ".join(one(average(results, row, f"eer_{kind}").mean) for kind in kinds)


def seeds(results: list[dict], *rows: str) -> str:
    """'5 seeds', '1 seed', or '2 to 5 seeds'."""
    return between([len(values(results, row, "test_eer_free")) for row in rows])


def lines(results: list[dict]) -> list[str]:
    """The verdict in ten lines of Markdown."""
    none, track, level = FOUR["none"], FOUR["track"], FOUR["level"]

    def mean(row, measure):
        return one(average(results, row, measure).mean)

    def effect(row, other, measure):
        return points(change(results, row, other, measure))

    leak_with, leak_without = (
        one(average(later(), row, "content_head_eer_free").mean) for row in LASTING
    )
    path = " → ".join(mean(row, WORDS) for row in (BASELINE, CHOSEN, CHOSEN_FIVE))
    return [
        "**The paper's loss does what its abstract promises.** Its four terms "
        f"at λ = 3 reach {trio(results, CHOSEN)} % (free / hard / easy). Without them and with the "
        f"authors' normalisation of the sound it is {trio(results, BASELINE)} % "
        f"({seeds(results, CHOSEN, BASELINE)} each; {settings()['short']} steps, "
        f"{settings()['speakers']} speakers).",
        "**It needs the right λ.** λ = 3 against λ = 0, nothing else changed: hard "
        f"{effect(none[2], none[0], 'eer_hard')}. λ = 1: {effect(none[1], none[0], 'eer_hard')}, "
        "not shown to change.",
        "**It needs the right front end.** Where each frequency band is normalised over the track, "
        "as the authors do, λ = 1 makes hard trials worse, "
        f"{effect(track[1], track[0], 'eer_hard')}, and λ = 3 leaves {mean(track[2], 'eer_hard')} "
        f"% ({seeds(results, track[2])}); after a long training "
        f"{rates(later(), ['e1-lam3-long'], 'eer_hard')}. {without_extras()}",
        f"**The price** of λ = 3: easy trials {effect(none[2], none[0], 'eer_easy')}, since "
        "words help less. Free trials: "
        f"{effect(none[2], none[0], 'eer_free')}, not shown to change. λ = 10 is too much: they "
        f"rise from {mean(level[2], 'eer_free')} to {mean(level[3], 'eer_free')} %.",
        f"**The fifth term, ours,** adds a little at λ = 3: hard "
        f"{effect(CHOSEN_FIVE, CHOSEN, 'eer_hard')}. Word dependence along this way: {path}.",
        "**The front end alone,** at λ = 0, decides on free trials: not normalised minus "
        "normalised "
        f"{effect(none[0], track[0], 'eer_free')}. It leaves the words in: word dependence "
        f"{mean(none[0], WORDS)} against {mean(track[0], WORDS)}.",
        "**Identity leaks into content.** The EER of the *content* head, 50 if it held nothing of "
        f"the speaker, is {mean(track[0], 'content_head_eer_free')} with the authors' "
        f"normalisation, {mean(level[0], 'content_head_eer_free')} with ours at λ = 0 and "
        f"{mean(CHOSEN, 'content_head_eer_free')} at λ = 3; an untrained network has "
        f"{mean('random', 'content_head_eer_free')}. After a long training (not normalised) it is "
        f"{leak_without} at λ = 0 and {leak_with} at λ = 3.",
        lasting_line(),
        stopped(),
        real_voices.line(),
    ]


def extras_left_out(results: list[dict]) -> Interval:
    """λ = 1 minus 0 on hard trials, the authors' input, no extra tracks: as the paper trains.

    Args:
        results: `later()`, or `confirmed()` for the new speakers.
    """
    zero, one_ = (row for front, _, row in NO_EXTRA if front == "track")
    return change(results, one_, zero, "eer_hard")


def without_extras() -> str:
    """Say what `extras_left_out` found, on the test speakers and on the new ones."""
    found, again = extras_left_out(later()), extras_left_out(confirmed())
    return (
        "That holds with 64 extra tracks a step, which are ours: without them λ = 1 changes hard "
        f"trials by {points(found)} ({in_seeds(found.n)}; new speakers {points(again)})."
    )


LASTING = ("e1-none-lam3-long", "e1-none-lam0-long")  # see `later`
BATCHES = {  # front end -> λ = 3 trained for long, with batches of 16 and of 32
    "level": ("e1-level-lam3-long", "e1-level-lam3-b32-long"),
    "none": ("e1-none-lam3-long", "e1-none-lam3-b32-long"),
}
MORE = "e1-level-lam10-b32-long"  # batches of 32 and λ = 10


def lasting(results: list[dict], measure: str) -> Interval:
    """λ = 3 minus λ = 0 after a long training, not normalised; results as in `extras_left_out`."""
    return change(results, *LASTING, measure)


def lasting_line() -> str:
    """Say what a long training does to the effect, and when it is lost."""
    size, rows, (small, large) = settings(), later(), BATCHES["level"]
    hard, free = (lasting(rows, f"eer_{kind}") for kind in ("hard", "free"))
    again, batch = lasting(confirmed(), "eer_hard"), VARIANTS[large].changes
    return (
        f"**It lasts, while λ keeps up with the batch.** After {size['long']} steps with "
        f"{size['long_speakers']} speakers, not normalised, λ = 3 against 0 changes hard trials by "
        f"{points(hard)} and free ones by {points(free)} ({in_seeds(hard.n)}); on new speakers "
        f"hard ones by {points(again)}. Batches of {batch['B']} with {batch['extra']} extra "
        f"tracks, instead of {size['B']} and {size['extra']}, lose it at λ = 3: *level* has "
        f"{trio(rows, large)} instead of {trio(rows, small)} % (free / hard / easy). λ = 10 "
        f"keeps it: {trio(rows, MORE)} % ({seeds(rows, small, large, MORE)} each)."
    )


def on_new_speakers(folder: Path = FOLDER) -> dict[str, dict[str, float]]:
    """{released network: its metrics} on the speakers drawn after the freeze."""
    path = folder / "released_confirmed.csv"
    if not path.is_file():
        return {}
    rows = read_csv(path, {"network": NAME}, other=NUMBER, remedy=REMEDY)
    return {row.pop("network"): row for row in rows}


def stopped() -> str:
    """What the released networks reach on new speakers."""
    found = {
        name: " / ".join(one(metrics[f"eer_{kind}"]) for kind in ("free", "hard", "easy"))
        for name, metrics in on_new_speakers().items()
    }
    told = ", ".join(f"{LONG[name]}: {found[name]}" for name in LONG if name in found)
    return (
        "**The released networks,** stopped where validation speakers were best, on new speakers: "
        f"{told} %."
    )


def answers(results: list[dict]):
    """(heading, picture, two sentences) of every question that has been measured."""
    none, track, level = FOUR["none"], FOUR["track"], FOUR["level"]

    def effect(row, other, column):
        return points(change(results, row, other, column))

    def mean(row, column):
        return one(average(results, row, column).mean)

    yield (
        "Does the paper's loss help on ordinary trials?",
        "free",
        f"A little, with the authors' normalisation: λ = 1 changes free trials by "
        f"{effect(track[1], track[0], 'eer_free')}. Without it the error is low already, and λ = 3 "
        f"changes it by {effect(none[2], none[0], 'eer_free')}.",
    )
    yield (
        "Does it help on novel combinations of person and words?",
        "hard",
        f"Yes, at λ = 3: hard trials change by {effect(none[2], none[0], 'eer_hard')} and word "
        f"dependence falls from {mean(none[0], WORDS)} to {mean(none[2], WORDS)} (input not "
        "normalised). Identity only, which never learns content, stands between: "
        f"{trio(results, 'e1-none-identity')} % "
        f"({seeds(results, 'e1-none-identity')}).",
    )
    yield (
        "At which λ?",
        "lambda",
        "The mean of free and hard EER of the validation speakers is lowest at λ = 3 with *level*, "
        f"{one(validation_score(results, CHOSEN))} %. λ = 1 is too little, and λ = 10 costs "
        f"free trials ({mean(level[2], 'eer_free')} to {mean(level[3], 'eer_free')} %).",
    )
    yield (
        "At what price?",
        "price",
        f"λ = 3 changes easy trials by {effect(none[2], none[0], 'eer_easy')}, since words no "
        "longer "
        f"help, and the content task by {effect(none[2], none[0], 'content_top1')}. The fifth term "
        f"beside it changes hard trials by {effect(FIVE['none'][2], none[2], 'eer_hard')} (not "
        f"normalised) or {effect(CHOSEN_FIVE, CHOSEN, 'eer_hard')} (level).",
    )
    yield (
        "What does the front end do?",
        "front-end",
        "*track* takes the long-term spectrum out, by which a voice is known best, and shows each "
        f"window the mean of its track: free {mean(track[0], 'eer_free')} against "
        f"{mean(level[0], 'eer_free')} % at λ = 0. *level*, one number for a track, and *none* "
        "keep "
        f"the spectrum; at λ = 3 they reach {mean(level[2], 'eer_hard')} and "
        f"{mean(none[2], 'eer_hard')} % on hard trials, *track* {mean(track[2], 'eer_hard')} %.",
    )
    yield (
        "What leaks where?",
        "leak",
        "The content head learns more of the speaker as λ grows: its EER falls from "
        f"{mean(level[0], 'content_head_eer_free')} to {mean(CHOSEN, 'content_head_eer_free')} %, "
        f"below that of an untrained network ({mean('random', 'content_head_eer_free')} %); the "
        "ceiling, a listener who is told the names of training speakers and hears the content "
        f"vectors of `four_terms` alone, has {_ceiling('eer')} %. The identity head loses words: "
        f"phonemes are read off it in {mean(level[0], 'phoneme_identity_head')} % of windows at "
        f"λ = 0 and in {mean(CHOSEN, 'phoneme_identity_head')} % at λ = 3 (untrained: "
        f"{mean('random', 'phoneme_identity_head')} %; the best code of `four_terms`: "
        f"{_ceiling('phoneme')} %).",
    )
    yield "What changes with length and people?", "long", lengthened(results)
    yield "When does a long training lose the effect?", "length", lost()
    if rows := real_voices.judged():
        yield "What changes on real voices?", "real-voices", real_voices.answer(rows)


def lengthened(results: list[dict]) -> str:
    """What long trainings with more speakers change."""
    rows, size, (kept, _) = later(), settings(), LASTING

    def mean(row, measure="eer_hard"):
        return one(average(rows, row, measure).mean)

    def along(front: str) -> str:
        """'39.8, 40.0, 16.5, 14.6 % at λ = 0, 1, 3, 10'."""
        longer = {p.short: p.long for p in long_pairs() if p.front_end == front}
        means = ", ".join(mean(longer[short]) for short in FOUR[front])
        return f"{means} % at λ = {', '.join(f'{lam:g}' for lam in GRID_LAMBDAS)}"

    unbounded = ", ".join(
        f"{mean(p.long)} % ({p.front_end})"
        for p in long_pairs()
        if "w_max" in VARIANTS[p.long].changes
    )
    hard, free, easy, content = (
        lasting(rows, measure) for measure in ("eer_hard", "eer_free", "eer_easy", "content_top1")
    )
    short = one(average(results, FOUR["none"][2], "content_head_eer_free").mean)
    return (
        f"λ = 3 gains, λ = 0 and 1 do not. Hard trials after {size['long']} steps with "
        f"{size['long_speakers']} speakers: {along('none')} (not normalised), {along('track')} "
        f"(track). λ = 3 against λ = 0, not normalised, {in_seeds(hard.n)}: hard "
        f"{points(hard)}, free {points(free)}, easy {points(easy)}, content task "
        f"{points(content)}. The leak "
        f"shrinks: the content head's EER at λ = 3 is {mean(kept, 'content_head_eer_free')}, after "
        f"the short training {short}. The fifth term at λ = 1 has {mean('e1-none-within-long')} % "
        f"on hard trials. λ = 1 without the bound on w: {unbounded}."
    )


def lost() -> str:
    """When a long training loses the effect, and what is seen on the way."""
    rows, size, four, five = later(), settings(), progress("four_terms"), progress("five_terms")
    steps, batch = curves("four_terms"), VARIANTS[MORE].changes

    def mean(row, measure):
        return average(rows, row, measure).mean

    batches = "; ".join(
        f"*{front}* {' → '.join(one(mean(row, 'eer_hard')) for row in pair)} % (cone "
        f"{' → '.join(format(mean(row, 'cone'), '.2f') for row in pair)})"
        for front, pair in BATCHES.items()
    )
    return (
        f"Where batches grow and λ does not. {size['B']} → {batch['B']} tracks in a batch with "
        f"{size['extra']} → {batch['extra']} extra ones, at λ = 3, nothing else changed: hard "
        f"{batches}. "
        f"With the larger ones and λ = 10, *level*: {one(mean(MORE, 'eer_hard'))} %, but free "
        f"trials {one(mean(MORE, 'eer_free'))} %. Both confusion losses stay near their floor; "
        "what opens is the common cone of the identity vectors (1: all point one way). In the "
        "training of the released "
        f"`four_terms` it is {at(steps, 1450)['cone']:.2f} at step 1450 and "
        f"{at(steps, 1850)['cone']:.2f} at step 1850, and hard trials rise from "
        f"{one(at(four, 1500)['eer_hard'])} to {one(four[-1]['eer_hard'])} %; the fifth term keeps "
        f"it, and they end at {one(five[-1]['eer_hard'])} %. Our reading: the identity loss tells "
        f"{size['B'] + size['extra']} or {batch['B'] + batch['extra']} voices apart; "
        "the more there are, the more it gains from words, and λ has to grow with them."
    )


def _ceiling(name: str, network: str = "four_terms") -> str:
    """The most that can be read of a factor: EER of the supervised listener, or phonemes read."""
    reached = {"eer": "supervised, same embedding", "phoneme": "ceiling: "}[name]
    found = [m for m in leaks()[network] if m.metric == name and m.of.startswith(reached)]
    return one(found[0].value)


# --- Tables ---------------------------------------------------------------------------------------


COLUMNS = {
    "eer_free": "free",
    "eer_hard": "hard",
    "eer_easy": "easy",
    WORDS: WORDS,
    "content_top1": "content task",
    "content_head_eer_free": "content head's EER",
    "phoneme_identity_head": "phoneme read off identity",
}


def grid_table(results: list[dict]) -> str:
    """Every variant at entanglement 1: mean over seeds and half of its 95 % interval, as `spread`
    writes them.
    """
    named = [("untrained network", "", "", "random")]
    named += [
        (FRONT_ENDS[front], f"{lam:g}", "yes" if rows is FIVE else "no", rows[front][k])
        for front in FRONT_ENDS
        for rows in (FOUR, FIVE)
        for k, lam in enumerate(GRID_LAMBDAS)
    ]
    named += [(label, "0", "no", row) for row, label in OTHERS.items() if row != "random"]
    named += [(label, "0", "no", row) for row, label in LEVEL_ALONE.items()]
    named += [
        (f"{FRONT_ENDS[front]}, {what}", lam, "no", row)
        for what, rows in (
            ("picked moment left out of the mean voice", LEFT_OUT),
            ("no extra tracks", NO_EXTRA),
        )
        for front, lam, row in rows
    ]
    named += [
        (f"{FRONT_ENDS[p.front_end]}, long{p.also}", p.lam, "yes" if p.fifth else "no", p.long)
        for p in long_pairs()
    ]
    body = []
    for label, lam, fifth, row in named:
        count = len(values(results, row, "test_eer_free"))
        if count:
            found = [average(results, row, measure) for measure in COLUMNS]
            cells = [spread(i) for i in found]
            body.append([label, lam, fifth, count, *cells])
    head = ["sound", "λ", "fifth term", "seeds", *COLUMNS.values()]
    return table(head, body, align="llr" + "r" * (len(COLUMNS) + 1))


class LongPair(NamedTuple):
    """A variant that was trained for long: what it is, and its two trainings."""

    front_end: str
    lam: str
    fifth: bool  # with the fifth term
    also: str  # what else differs from the grid, with a comma before it
    short: str | None  # id of the same variant, trained for short; None: there is none
    long: str  # its id

    @property
    def what(self) -> str:
        """'none, λ = 1, fifth term'."""
        return f"{self.front_end}, λ = {self.lam}{', fifth term' * self.fifth}{self.also}"


def long_pairs() -> list[LongPair]:
    """List the variants of the long trainings, each beside its short one."""
    found = []
    for row in (row for block in LONG_BLOCKS for row in block):
        front, lam = row.model.get("front_end", "track"), row.changes.get("lam", 1.0)
        fifth, also = bool(row.changes.get("within")), ", w unbounded" * ("w_max" in row.changes)
        if "B" in row.changes:
            also += f", B = {row.changes['B']}, {row.changes['extra']} extra"
        short = None if also else grid_id(1.0, front, lam, float(fifth))
        found.append(LongPair(front, f"{lam:g}", fifth, also, short, row.id))
    return found


EFFECTS = (  # (what, row, compared with)
    ("λ 0 → 1, normalised over the track", FOUR["track"][1], FOUR["track"][0]),
    ("λ 0 → 1, not normalised", FOUR["none"][1], FOUR["none"][0]),
    ("λ 0 → 3, not normalised", FOUR["none"][2], FOUR["none"][0]),
    ("fifth term at λ = 1, not normalised", FIVE["none"][1], FOUR["none"][1]),
    ("fifth term at λ = 3, not normalised", FIVE["none"][2], FOUR["none"][2]),
    ("fifth term at λ = 3, level only", FIVE["level"][2], FOUR["level"][2]),
    ("track → level at λ = 0 and λ → 3", CHOSEN, BASELINE),
)
EFFECT_METRICS = {
    "eer_free": "free",
    "eer_hard": "hard",
    "eer_easy": "easy",
    "content_top1": "content task",
    "content_head_eer_free": "content head's EER",
}


def effect_table(results: list[dict]) -> str:
    """Tabulate the paired differences of the verdict in points; bold: the interval excludes 0."""
    body = []
    for what, row, other in EFFECTS:
        found = [change(results, row, other, measure) for measure in EFFECT_METRICS]
        cells = [f"**{d.text(sign=True)}**" if d.shown else d.text(sign=True) for d in found]
        body.append([what, found[0].n, *cells])
    return table(["change", "seeds", *EFFECT_METRICS.values()], body, align="lr" + "r" * len(cells))


def shown_by_chance(results: list[dict]) -> str:
    """One sentence on how many differences a table holds and how many of them chance would show."""
    tested = [change(results, a, b, measure) for _, a, b in EFFECTS for measure in EFFECT_METRICS]
    bold, kept = sum(d.shown for d in tested), holm([d.p_value for d in tested]).sum()
    expected = math.ceil(0.05 * len(tested))
    return (
        f"The table tests {len(tested)} differences; {bold} are in bold, and if none were real "
        f"about {expected} would be. By Holm's rule, which keeps the chance of any false one at "
        f"5 %, {kept} remain."
    )
