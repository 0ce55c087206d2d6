"""The tables of data/models/README.md: what each released network is and how good, from its card.

`python tools/docs.py` writes it into the page.
"""

from __future__ import annotations

import json
from pathlib import Path

from dsel.ablation import verdict
from dsel.evaluate.metrics import Metric, read_metric
from dsel.utils.markdown import table

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "data" / "models"
FIRST = ("four_terms", "five_terms", "lambda0")  # the present ones; older ones follow
OLDER = ("laptop", "notes", "gpu")
VERIFIED = {  # heading -> metric, head, trials
    "free": ("eer", "identity", "free"),
    "hard": ("eer", "identity", "hard"),
    "easy": ("eer", "identity", "easy"),
    "word dependence": ("word_dependence", "identity", ""),
}
SHOWN = VERIFIED | {"content head": ("eer", "content", "free")}
WORDS = ("content_top1", "content", "")
COST = ("min_dcf", "identity", "free")


def networks() -> str:
    """Metrics on the test speakers and on new ones, with 95 % intervals over speakers; leakage."""
    cards = {
        name: json.loads((MODELS / f"{name}.json").read_text(encoding="utf-8"))
        for name in (*FIRST, *OLDER)
    }
    head = ["name", "terms", "λ", "steps", *SHOWN, "words"]
    text = table(
        head, [_row(*pair) for pair in cards.items()], align="llrr" + "r" * (len(SHOWN) + 1)
    )
    judged = verdict.new_speakers()
    cost = _by_kind(judged[FIRST[0]])[COST]
    new_head = ["name", *SHOWN, f"minDCF, free, P_target = {cost.p_target:g}"]
    new = [
        [f"`{name}`", *_cells(judged[name], SHOWN), _value(_by_kind(judged[name])[COST], 2)]
        for name in FIRST
    ]
    speakers = cost.speakers
    return "\n\n".join(
        [
            text,
            f"On {speakers} speakers drawn after the choice was frozen:",
            table(new_head, new, align="l" + "r" * (len(new_head) - 1)),
            about_leaks(),
            leakage(),
        ]
    )


def about_leaks() -> str:
    """What the columns of `leakage` are."""
    warm = verdict.on_new_speakers()["untrained"]["content_head_eer_free"]
    return (
        "What leaks, test speakers: the equal error rate of speakers by the content head (50: "
        "nothing is left), and phonemes read off single windows by the identity head with a linear "
        "probe. A *random network* has the first weights and has seen nothing, so its "
        "batch statistics are those of the start; where 30 steps without learning have set them, "
        f"its content head has {warm:.1f} on new speakers. *Supervised*: LDA that was told the "
        "names of training speakers. *Ceiling*: the best of trunk, input and heads."
    )


def leakage() -> str:
    """A line a network: what each head keeps of the other's factor, between its two ends."""
    names = {
        "eer": ("", "random network", "supervised, same embedding", "supervised, MFCC statistics"),
        "phoneme": ("", "random network", "ceiling: best probe of trunk, input and heads"),
    }
    lines = []
    for network in FIRST:
        known = {(m.metric, m.of): m for m in verdict.leaks()[network]}
        found = [known[metric, of] for metric, whose in names.items() for of in whose]
        lines.append([f"`{network}`", *map(_value, found)])
    head = [
        *("name", "speakers by the content head", "random network", "supervised, these vectors"),
        *("supervised, MFCC", "phonemes by the identity head", "random network", "ceiling"),
    ]
    return table(head, lines, align="l" + "r" * (len(head) - 1))


def verified(metrics: list[Metric]) -> list[str]:
    """EER of the identity head by kind of trial and word dependence, each with its interval."""
    return _cells(metrics, VERIFIED)


def _by_kind(metrics: list[Metric]) -> dict[tuple[str, str, str], Metric]:
    """{(metric, head, trials): metric}, over all impostors and vocabularies."""
    return {(m.metric, m.head, m.trials): m for m in metrics if not (m.same_sex or m.group)}


def _cells(metrics: list[Metric], shown: dict) -> list[str]:
    known = _by_kind(metrics)
    return [_value(known[which]) if which in known else "-" for which in shown.values()]


def _row(name: str, card: dict) -> list[str]:
    train = card["train"]
    metrics = [read_metric(row) for row in card["evaluation"]["rows"]]
    terms = "5" if train.get("within") else "4" if train["lam"] else "2"
    known = _by_kind(metrics)
    words = f"{known[WORDS].value:.1f}" if WORDS in known else "-"
    return [
        *(f"`{name}`", terms, f"{train['lam']:g}", f"{card['step']}"),
        *_cells(metrics, SHOWN),
        words,
    ]


def _value(metric: Metric, digits: int = 0) -> str:
    """The value with its interval, where it has one."""
    low, high = (f"{x:.{digits}f}" if x is not None else "" for x in (metric.low, metric.high))
    spread = f" ({low} to {high})" if low else ""
    return f"{metric.value:.{max(digits, 1)}f}{spread}"
