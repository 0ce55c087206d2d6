"""Exercise of notebook 00: what a model that knows nothing scores in each of the four losses.

(Source: ours.)
"""

from __future__ import annotations

import math
from numbers import Real

from dsel.teaching.exercises.checker import Verdict, two_numbers

__all__ = ["CLIPS", "LOGGED", "WINDOWS", "chance_levels"]

CLIPS, WINDOWS = 24, 16  # B and N of the lecturer's training in the question
# The losses that the question reports. None of them is the answer: copied back, they are refused.
LOGGED = {"content": 2.70, "identity": 2.41, "confusion_cs": 3.25, "confusion_sc": 2.95}
CHOICES = {"content": WINDOWS, "identity": CLIPS, "confusion_cs": CLIPS, "confusion_sc": WINDOWS}
ROUNDED = 0.006  # two decimals are enough


def chance_levels(answer) -> Verdict:
    """Judge the four chance levels, {"content": number, ...}, one per loss. Never raises."""
    if not isinstance(answer, dict) or set(answer) != set(CHOICES):
        names = ", ".join(CHOICES)
        return Verdict(False, "form", f"Keep the four names of the losses: {names}.")
    for name, choices in CHOICES.items():
        verdict = _one_level(name, answer[name], choices)
        if verdict is not None:
            return verdict
    message = "Right: all four stand at chance, so a model with these losses has learnt nothing."
    return Verdict(True, "", message)


def _one_level(name: str, value, choices: int) -> Verdict | None:
    """Judge one number; None if it is right."""
    if value is None:
        return Verdict(False, "not yet", f"Not yet: {name} is not filled in.")
    number = _number(value)
    if number is None:
        shown = f"{value!r}"[:60]
        message = (
            f"{name}: {shown} is not a number. Write a formula without quotes, e.g. math.log(2)."
        )
        return Verdict(False, "not a number", message)
    if abs(number - math.log(choices)) <= ROUNDED:
        return None
    other = CLIPS + WINDOWS - choices
    for mistake, wrong, why in (
        (
            "copied",
            LOGGED[name],
            "is the number of the log. A model that knows nothing scores another.",
        ),
        ("the other task", math.log(other), "is the other task's number of choices."),
        ("log to base 2", math.log2(choices), "is in bits: the losses use the natural logarithm."),
        (
            "log to base 10",
            math.log10(choices),
            "uses log10: the losses use the natural logarithm.",
        ),
        ("sign", -math.log(choices), "is negative: the loss is minus the log of a probability."),
        ("probability", 1 / choices, "is the probability itself: the loss is minus its log."),
        ("choices", choices, "is the number of choices: the loss is minus the log of 1/K."),
    ):
        if abs(number - wrong) <= ROUNDED:
            return Verdict(False, mistake, f"{name}: {_shown(number)} {why}")
    message = (
        f"{name}: {_shown(number)} is not it. How many choices K are there, and what is -log 1/K?"
    )
    return Verdict(False, "unknown", message)


def _number(value) -> float | None:
    """Turn a number of any library into a float; None for text, booleans and everything else."""
    if isinstance(value, str | bytes | bool):
        return None
    if not isinstance(value, Real) and getattr(value, "shape", None) not in ((), (1,)):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _shown(number: float) -> str:
    """Write a number with six digits."""
    return two_numbers(number, math.inf)[0]
