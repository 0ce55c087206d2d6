"""The table of data/models/README.md: what each released network is and how good, from its card.

`python tools/docs.py` writes it into the page.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

from dsel.evaluate.metrics import Metric, read_metric
from dsel.utils.markdown import table

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "data" / "models"
NEW_SPEAKERS = ROOT / "data" / "ablation" / "grid" / "released_confirmed.csv"
FIRST = ("four_terms", "five_terms", "lambda0")  # the present ones; older ones follow
OLDER = ("laptop", "notes", "gpu")
SHOWN = {  # heading -> metric, head, trials
    "free": ("eer", "identity", "free"),
    "hard": ("eer", "identity", "hard"),
    "easy": ("eer", "identity", "easy"),
    "content head": ("eer", "content", "free"),
}
WORDS = ("content_top1", "content", "")


def networks() -> str:
    """Two tables: on the 60 test speakers with 95 % intervals over speakers; on new speakers."""
    rows = [
        _row(name, json.loads((MODELS / f"{name}.json").read_text(encoding="utf-8")))
        for name in (*FIRST, *OLDER)
    ]
    head = ["name", "terms", "λ", "steps", *SHOWN, "words"]
    text = table(head, rows, align="llrr" + "r" * (len(SHOWN) + 1))
    return f"{text}\n\nOn 120 speakers drawn after the choice was frozen:\n\n{_new_speakers()}"


def _row(name: str, card: dict) -> list[str]:
    train = card["train"]
    metrics = {
        (m.metric, m.head, m.trials): m
        for m in map(read_metric, card["evaluation"]["rows"])
        if not (m.same_sex or m.group)
    }
    terms = "5" if train.get("within") else "4" if train["lam"] else "2"
    values = [_value(metrics[which]) for which in SHOWN.values()]
    words = f"{metrics[WORDS].value:.1f}" if WORDS in metrics else "-"
    return [f"`{name}`", terms, f"{train['lam']:g}", f"{card['step']}", *values, words]


def _value(metric: Metric) -> str:
    """The value with its interval, where the card has one."""
    spread = "" if metric.low is None else f" ({metric.low:.0f} to {metric.high:.0f})"
    return f"{metric.value:.1f}{spread}"


def _new_speakers() -> str:
    with NEW_SPEAKERS.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["network"] in FIRST]
    columns = ("eer_free", "eer_hard", "eer_easy", "content_head_eer_free")
    cells = [[f"`{row['network']}`", *(f"{float(row[c]):.1f}" for c in columns)] for row in rows]
    return table(["name", *SHOWN], cells, align="l" + "r" * len(SHOWN))
