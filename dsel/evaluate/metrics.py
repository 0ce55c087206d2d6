"""Describe a number about networks as a record: `Metric`.

Tables, files and columns are made from such records.

    judge.py      measures: networks and a corpus in, records out
    this file     describes: what a record says in words, as a table, as JSON and back
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from dsel.corpus.store import TRIALS
from dsel.evaluate.verification import P_TARGET
from dsel.model import HEADS
from dsel.utils.markdown import text_table

__all__ = ["METRICS", "Metric", "read_metric", "table", "to_rows"]

# metric -> its unit; a cost and a length have none.
METRICS = {
    "content_top1": "%",  # content task: the match is the nearest of `choices` windows
    "content_within_one": "%",  # ... the match or its neighbour 40 ms away
    "identity_top1": "%",  # identity task: the own voice is the nearest of `choices` tracks
    "sync_within_one": "%",  # the offset of the sound is found within 40 ms, of `choices` offsets
    "eer": "%",  # equal error rate of verification by the cosine of mean audio embeddings
    "word_dependence": "%",  # EER on hard trials minus EER on easy ones, in points
    "min_dcf": "",  # minimum detection cost at `p_target`; 1: no better than refusing everybody
    "phoneme": "%",  # phoneme read off single windows by a linear probe, on other speakers
    "speaker": "%",  # speaker read off track means by a linear probe, on other words
    "seen_eer": "%",  # EER of voices compared along the main directions of the faces
    "directions": "",  # how many these are
    "cone": "",  # length of the mean of unit embeddings: 1 if all point the same way
}


@dataclass(frozen=True)
class Metric:
    """One number about networks, with everything that is needed to read it.

    Args:
        metric: a key of `METRICS`, which says what it is and in which unit.
        value: the number; None if it could not be measured, then `reason` says why.
        head: 'content' or 'identity': whose embeddings were used.
        trials: the trial list: 'free', 'hard', 'easy' or 'all_pairs'; '' for other metrics.
        same_sex: impostors of the same sex only.
        group: 'distinct' or 'random' where only the trials of one family of vocabularies count.
        low, high: 95 % interval over speakers; None if there is none.
        chance: value of guessing.
        choices: how many candidates there were to choose from.
        p_target: how frequent targets are expected to be, of `min_dcf`.
        speakers: how many the interval is taken over.
        of: what was judged if not the networks themselves, e.g. 'random network'.
        reason: why there is no value, or no interval.
    """

    metric: str
    value: float | None
    head: str = ""
    trials: str = ""
    same_sex: bool = False
    group: str = ""
    low: float | None = None
    high: float | None = None
    chance: float | None = None
    choices: int | None = None
    p_target: float | None = None
    speakers: int | None = None
    of: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ValueError(f"metric {self.metric!r}: must be one of {', '.join(METRICS)}")
        if self.value is None and not self.reason:
            raise ValueError(f"metric {self.metric!r}: without a value it needs a reason")

    @property
    def unit(self) -> str:
        return METRICS[self.metric]

    @property
    def label(self) -> str:
        """Write in words what it is.

        >>> Metric("eer", 13.1, "identity", "hard", same_sex=True).label
        'EER, identity head, hard trials, same sex'
        """
        parts = [_WORDS[self.metric].format(metric=self)]
        if self.trials:
            parts.append("all pairs" if self.trials == "all_pairs" else f"{self.trials} trials")
        parts += ["same sex"] if self.same_sex else []
        parts += [f"{self.group} vocabularies"] if self.group else []
        return ", ".join(parts) + (f" ({self.of})" if self.of else "")

    def __getitem__(self, key: str) -> Any:
        """Return a field by name, as of the dictionary on disk; 'figure' is the label.

        Raises:
            KeyError: there is no such field, or it is empty.
        """
        value = self.label if key == "figure" else asdict(self).get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __contains__(self, key: str) -> bool:
        return key == "figure" or asdict(self).get(key) is not None


_WORDS = {
    "content_top1": "content task, {metric.head} head: top-1 of {metric.choices} windows",
    "content_within_one": "content task, {metric.head} head: within 40 ms, of {metric.choices} "
    "windows",
    "identity_top1": "identity task, {metric.head} head: top-1 of {metric.choices} tracks",
    "sync_within_one": "offset of the sound within 40 ms, of {metric.choices} offsets",
    "eer": "EER, {metric.head} head",
    "word_dependence": "word dependence (EER hard minus easy), {metric.head} head",
    "min_dcf": "minDCF, {metric.head} head",
    "phoneme": "phoneme read off the {metric.head} head",
    "speaker": "speaker read off the {metric.head} head",
    "seen_eer": "EER along the directions of the faces, {metric.head} head",
    "directions": "main directions of the faces",
    "cone": "length of the mean direction, {metric.head} head",
}


# --- Tables ---------------------------------------------------------------------------------------


def table(metrics: Iterable[Metric]) -> str:
    """Write metrics as a text table: value, chance and 95 % interval over speakers.

    Costs stand apart, under their P_target. A metric that could not be measured has a line with the
    reason.
    """
    metrics = list(metrics)
    costs = [m for m in metrics if m.metric == "min_dcf"]
    others = [m for m in metrics if m.metric != "min_dcf"]
    parts = []
    if others:
        head = ["", "%", "chance", "95 % interval"]
        parts.append(text_table(head, [_line(m, 1) for m in others], align="lrr"))
    for p_target in dict.fromkeys(m.p_target for m in costs):
        mine = [m for m in costs if m.p_target == p_target]
        head = [f"detection cost, P_target = {p_target:g}", "cost", "refuse all", "95 % interval"]
        parts.append(text_table(head, [_line(m, 2) for m in mine], align="lrr"))
    return "\n\n".join(parts)


def _line(record: Metric, digits: int) -> list[str]:
    """Write label, value, chance, and interval or reason."""
    value, chance = ("-" if x is None else f"{x:.{digits}f}" for x in (record.value, record.chance))
    if record.low is None:
        return [record.label, value, chance, record.reason]
    return [record.label, value, chance, f"{record.low:.{digits}f} to {record.high:.{digits}f}"]


# --- Files ----------------------------------------------------------------------------------------


def to_rows(metrics: Sequence[Metric]) -> list[dict]:
    """Turn metrics into plain dictionaries for JSON, without empty fields."""
    empty = {field.name: field.default for field in fields(Metric)}
    return [
        {key: x for key, x in asdict(m).items() if key in ("metric", "value") or x != empty[key]}
        for m in metrics
    ]


def read_metric(row: dict) -> Metric:
    """Read a metric from a row of evaluation.json or of a card, in the present or the older form.

    The older form had a sentence in place of fields, {"figure", "value", "chance", "low", "high"},
    and costs in percent.

    Raises:
        ValueError: a sentence that no version has written.
    """
    return Metric(**row) if "metric" in row else _from_sentence(row)


def _from_sentence(row: dict) -> Metric:
    """Find a sentence among all that were written; its numbers follow from the chance beside it."""
    chance = row["chance"]
    n = round(100 / chance)
    offsets = round(300 / chance)
    near = next((k for k in range(2, 1000) if abs(100 * (3 * k - 2) / k**2 - chance) < 1e-6), None)
    known: dict[str, tuple[str, dict[str, Any]]] = {
        "the match or its 40 ms neighbour": (
            "content_within_one",
            {"head": "content", "choices": near},
        ),
        f"sound placed within 40 ms, of ±{offsets // 2} frames": (
            "sync_within_one",
            {"choices": offsets},
        ),
    }
    for head in HEADS:
        for task, things in (("content", "windows"), ("identity", "tracks")):
            sentence = f"{task} task, {head} head: top-1 of {n} {things}"
            known[sentence] = (f"{task}_top1", {"head": head, "choices": n})
        for trials in (*TRIALS, "all_pairs"):
            name = "all pairs" if trials == "all_pairs" else f"{trials} trials"
            for sex in (False, True):
                entry: dict[str, Any] = {"head": head, "trials": trials, "same_sex": sex}
                end = f"{head} head, {name}" + (", same sex" if sex else "")
                known[f"EER, {end}"] = ("eer", entry)
                known[f"minDCF, {end}"] = ("min_dcf", entry | {"p_target": P_TARGET})
    if row["figure"].strip() not in known:
        raise ValueError(f"{row['figure']!r}: no metric is written like this")
    metric, entry = known[row["figure"].strip()]
    scale = 100 if metric == "min_dcf" else 1
    numbers = {key: row[key] / scale for key in ("value", "chance", "low", "high") if key in row}
    return Metric(metric, **entry, **numbers)
