"""Exercise of notebook 09: the paired 95 % interval of two variants over seeds.

(Source: ours.)
"""

from __future__ import annotations

import math

import numpy as np

from dsel.evaluate.intervals import t_quantile
from dsel.teaching.exercises.checker import FunctionExercise, Mistake

__all__ = ["PAIRED_MISTAKES", "paired_interval"]


def _t(n: int) -> float:
    """Return Student's t of the 95 % interval for n values."""
    return t_quantile(0.95, n - 1)


def _differences(a: dict, b: dict) -> np.ndarray:
    """Subtract seed by seed, over the seeds that both have."""
    return np.array([a[seed] - b[seed] for seed in a if seed in b])


def _interval(d, t, ddof: int = 1, scale: float = 1.0) -> np.ndarray:
    """Compute mean - half and mean + half of values d, half = t s / sqrt(n): (2,)."""
    half = t(len(d)) * np.std(d, ddof=ddof) / math.sqrt(len(d)) * scale
    return np.mean(d) + np.array([-half, half])


def _unpaired(a: dict, b: dict, t) -> np.ndarray:
    """Treat the two variants as two independent groups, by mistake."""
    x, y = (np.array(list(side.values())) for side in (a, b))
    half = t(min(len(x), len(y))) * math.sqrt(x.var(ddof=1) / len(x) + y.var(ddof=1) / len(y))
    return x.mean() - y.mean() + np.array([-half, half])


PAIRED_MISTAKES = [
    Mistake(
        "unpaired",
        _unpaired,
        "These are two groups: the luck of the seeds is still in it. Subtract seed by seed first.",
    ),
    Mistake(
        "n, not n - 1",
        lambda a, b, t: _interval(_differences(a, b), t, ddof=0),
        "s divides by n - 1, not by n: the mean was taken from the same values.",
    ),
    Mistake("the wrong sign", lambda a, b, t: _interval(_differences(b, a), t), "That is b - a."),
    Mistake(
        "no root",
        lambda a, b, t: _interval(d := _differences(a, b), t, scale=len(d) ** -0.5),
        "The standard error is s over the *root* of n.",
    ),
    Mistake(
        "no n",
        lambda a, b, t: _interval(d := _differences(a, b), t, scale=len(d) ** 0.5),
        "That is t s: the standard error of a mean is s over the root of n.",
    ),
    Mistake(
        "normal",
        lambda a, b, t: _interval(_differences(a, b), lambda n: 1.96),
        "1.96 is for very many values; for a few, Student's t(n) is larger.",
    ),
    Mistake(
        "n - 1 into t",
        lambda a, b, t: _interval(_differences(a, b), lambda n: t(n - 1)),
        "t(n) takes the number of values itself; it subtracts the 1.",
    ),
]


def _values(seed: int, n: int) -> dict[int, float]:
    """Draw the metric of n trainings of a variant: {seed: value}."""
    return dict(enumerate(np.random.default_rng([25, seed]).normal(20, 2, n).tolist()))


paired_interval = FunctionExercise(
    "my_paired_interval(a, b, t)",
    lambda a, b, t: _interval(_differences(a, b), t),
    [
        (_values(0, 5), _values(1, 5), _t),
        (_values(2, 4), _values(3, 6), _t),
        (_values(4, 7), _values(5, 5), _t),
    ],
    PAIRED_MISTAKES,
)
