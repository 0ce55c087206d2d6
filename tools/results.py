"""The tables of docs/results.md, from the files that the measurements left: nobody types a number.

`python tools/docs.py` writes them into the page.

data/models/*.json are the cards of the released networks (`dsel train`, `dsel evaluate`);
data/toy.md has what simple listeners reach on the same trials (`tools.toy_difficulty`),
data/ablation every training of the ablation (`dsel ablation`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(ROOT))

from dsel.ablation.report import GROUPS, effect_table, group_table, sentences  # noqa: E402
from dsel.ablation.rows import final, read_results  # noqa: E402
from dsel.ablation.verdict import SUPERVISED, listener  # noqa: E402
from dsel.evaluate.metrics import Metric, read_metric  # noqa: E402
from dsel.utils.markdown import table  # noqa: E402

CARD, LARGER = (ROOT / "data" / "models" / f"{name}.json" for name in ("laptop", "gpu"))
LISTENERS = ROOT / "data" / "toy.md"
ABLATION = ROOT / "data" / "ablation"
PAPER, BEYOND, FRONT_END = (
    "The rows of the notes",
    "Beyond the notes",
    "Input not normalised over the track",
)
SHOWN = {
    "eer_free": "EER, free",
    "eer_free_same_sex": "free, same sex",
    "eer_hard": "EER, hard",
    "content_top1": "content task",
    "identity_top1": "identity task",
}


def metrics_of(card: dict) -> list[Metric]:
    """Return the metrics on a card: what the released network reached on unseen speakers."""
    return [read_metric(row) for row in card["evaluation"]["rows"]]


def errors(metrics: list[Metric]) -> dict[str, dict[str, float]]:
    """{kind of trial: {head: EER in %}}."""
    found = {}
    for metric in metrics:
        if metric.metric == "eer" and metric.value is not None and not metric.group:
            kind = metric.trials.replace("_", " ") + (", same sex" if metric.same_sex else "")
            found.setdefault(kind, {})[metric.head] = metric.value
    return found


def shown(metric: Metric, digits: int) -> str:
    """'13.1 (8.3 to 17.2)'; a dash for what could not be measured."""
    if metric.value is None:
        return "-"
    ends = "" if metric.low is None else f" ({metric.low:.{digits}f} to {metric.high:.{digits}f})"
    return f"{metric.value:.{digits}f}{ends}"


def released(card: dict) -> str:
    """The released network on speakers it was never trained on: the tasks, then each head as a
    judge of speakers.
    """
    recipe, train, metrics = card["evaluation"]["corpus"]["recipe"], card["train"], metrics_of(card)
    text = (
        f"**The network released then** (`data/models/laptop.pt`; {train['steps']} steps, seed "
        f"{train['seed']}), "
        f"on {recipe['test']} speakers it was never trained on, in %; in brackets the 95 % "
        "interval over speakers:"
    )
    tasks = [m for m in metrics if m.choices]
    parts = [
        text,
        table(
            ["task", "right", "chance"], [[m.label, shown(m, 1), f"{m.chance:.1f}"] for m in tasks]
        ),
    ]
    heads, by_kind = ("identity", "content"), {}
    for m in metrics:
        if m.metric in ("eer", "word_dependence") and not m.group:
            name = m.trials.replace("_", " ") or "word dependence: hard minus easy"
            by_kind.setdefault(name + (", same sex" if m.same_sex else ""), {})[m.head] = shown(
                m, 1
            )
    lines = [[kind, *(found.get(head, "-") for head in heads)] for kind, found in by_kind.items()]
    parts.append(
        table(["EER by kind of trial (chance 50)", "identity head", "content head"], lines)
    )
    costs = [m for m in metrics if m.metric == "min_dcf" and m.low is not None]  # newer cards
    for p_target in dict.fromkeys(m.p_target for m in costs):
        head = [
            f"detection cost, a target expected in {100 * p_target:g} % of trials",
            "minDCF",
            "refusing everybody",
        ]
        rows = [[m.label, shown(m, 2), f"{m.chance:.2f}"] for m in costs if m.p_target == p_target]
        parts.append(table(head, rows))
    return "\n\n".join(parts) + (f"\n\nMeasured on {card['machine']}." if "machine" in card else "")


def larger(card: dict, page: str) -> str:
    """A network trained longer on more speakers, beside a listener who was told the speakers'
    names.
    """
    recipe, train = card["evaluation"]["corpus"]["recipe"], card["train"]
    ours = errors(metrics_of(card))
    theirs = listener(page, SUPERVISED)
    line = next(
        line for line in page.splitlines() if "coupling" in line
    )  # the recipe of the corpus
    speakers = dict(part.split(" ", 1) for part in line.split(";")[0].split(", "))["speakers"]
    text = (
        f'**A larger one** (`data/models/gpu.pt`, `dsel.load("gpu")`; {recipe["speakers"]} '
        f"training speakers, {train['steps']} "
        f"steps with B = {train['B']} and {train['extra']} extra tracks on a GPU), trained without "
        "a label, beside a listener "
        f"who was told the names of {speakers} speakers; the same {recipe['test']} unseen ones, in "
        "%:"
    )
    rows = [
        [kind, f"{heads['identity']:.1f}", f"{theirs[kind]:.1f}"] for kind, heads in ours.items()
    ]
    return f"{text}\n\n{table(['EER by kind of trial', 'identity head', SUPERVISED], rows)}"


def ablation(results: list[dict], confirmed: list[dict]) -> str:
    """The four rows of the notes, what the confusion terms change, and what they do, as far as it
    has been measured.
    """
    there = [found for found in final(results) if found["row"] in GROUPS[PAPER][0]]
    head = (
        "**The four rows of the notes**, unseen speakers, in %, mean over training seeds and its "
    )
    head += "95 % interval:"
    if not there:
        command = "`dsel ablation --preset laptop --out data/ablation`"
        return f"{head} not measured yet; {command} does it and can be interrupted."
    hours = sum(found.get("seconds", 0.0) for found in results) / 3600
    parts = [head, group_table(results, PAPER, "test", SHOWN)]
    effect = (
        "**What the disentanglement terms change**, points of EER (below 0: they help), paired "
    )
    effect += "over training seeds"
    parts += [f"{effect}; bold: the 95 % interval excludes 0:", effect_table(results)]
    parts += [
        "Without, with the notes' terms, and with ours beside them, after entangled training:",
        group_table(results, BEYOND, "test", SHOWN),
        "The same terms where the log-mel of a track is not normalised (`--net track_norm=false`):",
        group_table(results, FRONT_END, "test", SHOWN),
    ]
    if confirmed:
        parts += [
            "The same networks on speakers drawn after every choice was frozen:",
            effect_table(confirmed),
        ]
    parts += [
        "**In five sentences.**",
        "\n".join(f"{k}. {text}" for k, text in enumerate(sentences(results), start=1)),
    ]
    time = f"{len(final(results))} trainings, {hours:.1f} hours, added up over the processes that "
    time += "shared a GPU"
    parts += [
        f"{time}; `data/ablation/results.csv` has every one, "
        "[data/README.md](../data/README.md#ablation) says how."
    ]
    return "\n\n".join(parts)


def render(card: Path = CARD, results: Path = ABLATION, beside: Path = LARGER) -> str:
    """What stands between the marks."""
    commands = (
        "Made by `dsel train` and `dsel evaluate` (the card beside the network holds every "
        "setting) and by `dsel ablation`; "
        "written here by `make docs`."
    )
    rows = ablation(read_results(results / "results.csv"), read_results(results / "confirmed.csv"))
    cards = [json.loads(path.read_text(encoding="utf-8")) for path in (card, beside)]
    networks = [released(cards[0]), larger(cards[1], LISTENERS.read_text(encoding="utf-8"))]
    return "\n\n".join([*networks, rows, commands])
