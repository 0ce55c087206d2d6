"""Exercise of notebook 06: the factor on the learning rate, warm-up and half a cosine.

(Source: ours.)
"""

from __future__ import annotations

import math

from dsel.teaching.exercises.checker import FunctionExercise, Mistake, Symptom

__all__ = ["schedule"]


def _cosine(share: float) -> float:
    """Fall from 1 at share 0 to 0 at share 1 along half a cosine."""
    return 0.5 * (1 + math.cos(math.pi * share))


def _right(step: int, warmup: int, steps: int) -> float:
    """Compute the factor at a step: rising over `warmup` steps, falling to 0 at `steps`."""
    return (step + 1) / warmup if step < warmup else _cosine((step - warmup) / (steps - warmup))


def _differs(answer, right: float) -> bool:
    """Say whether a number is not `right`."""
    return not math.isclose(float(answer), right, abs_tol=1e-9)


SYMPTOMS = [
    Symptom(
        "from zero",
        lambda factor, case: case[0] == 0 and not _differs(factor, 0.0),
        "The first step is taken with rate 0: count from step + 1.",
    ),
    Symptom(
        "late",
        lambda factor, case: case[0] == case[1] - 1 and _differs(factor, 1.0),
        "The last step of the warm-up should be taken at the full rate.",
    ),
    Symptom(
        "not zero at the end",
        lambda factor, case: case[0] == case[2] and _differs(factor, 0.0),
        "It does not reach 0 at `steps`: does the cosine begin after the warm-up, and end at pi?",
    ),
    Symptom(
        "not half in the middle",
        lambda factor, case: 2 * case[0] == case[1] + case[2] and _differs(factor, 0.5),
        "Half-way down it should be 1/2: half a cosine, 0.5 (1 + cos(pi share)).",
    ),
]
MISTAKES = [
    Mistake(
        "no warm-up",
        lambda step, warmup, steps: _cosine(step / steps),
        "The warm-up is missing: over the first `warmup` steps the factor rises to 1.",
    ),
]

schedule = FunctionExercise(
    "my_schedule(step, warmup, steps)",
    _right,
    [
        (step, warmup, steps)
        for warmup, steps in ((5, 45), (1, 11), (10, 30))
        for step in range(steps + 1)
    ],
    MISTAKES,
    SYMPTOMS,
)
