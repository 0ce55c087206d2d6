"""Exercise of notebook 07: neighbour purity that can be believed.

(Source: ours.)
"""

from __future__ import annotations

import numpy as np

from dsel.evaluate.vectors import neighbour_purity, unit
from dsel.teaching.exercises.checker import FunctionExercise, Mistake

__all__ = ["PURITY_MISTAKES", "honest_purity"]


def _case(seed: int, clips: int, each: int, k: int) -> tuple:
    """Draw vectors of very different length; the points of a clip lie in a heap of their own.

    Returns x (P, 6), y (P,), clip (P,) and k, with P = clips * each.
    """
    rng = np.random.default_rng([24, seed])
    clip = np.repeat(np.arange(clips), each)
    y = np.array(["a", "b", "c"])[clip % 3]
    heaps = 3 * rng.normal(size=(clips, 6))[clip] + rng.normal(size=(len(clip), 6))
    return heaps * rng.uniform(0.1, 10, size=(len(clip), 1)), y, clip, k


def _share(order: np.ndarray, y: np.ndarray, k: int) -> float:
    """Compute the share of the first k of each row of `order` that carry the row's own label."""
    return float((y[order[:, :k]] == y[:, None]).mean())


def _cosines(x: np.ndarray) -> np.ndarray:
    """Compute all cosines: (P, D) -> (P, P)."""
    z = unit(x)
    return z @ z.T


def _distances(x: np.ndarray) -> np.ndarray:
    """Compute all Euclidean distances: (P, D) -> (P, P)."""
    return np.linalg.norm(x[:, None] - x[None], axis=-1)


def _outside(clip: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Set the entries between points of one clip to infinity."""
    return np.where(clip[:, None] == clip[None], np.inf, values)


PURITY_MISTAKES = [
    Mistake(
        "itself counts",
        lambda x, y, clip, k: _share(np.argsort(-_cosines(x), axis=1), y, k),
        "A point counts itself, and its own clip.",
    ),
    Mistake(
        "own clip counts",
        lambda x, y, clip, k: _share(np.argsort(9 * np.eye(len(x)) - _cosines(x), axis=1), y, k),
        "Its own clip counts: same microphone, same words.",
    ),
    Mistake(
        "distance",
        lambda x, y, clip, k: _share(np.argsort(_outside(clip, _distances(x)), axis=1), y, k),
        "That is distance, not cosine: loud points lie far out.",
    ),
    Mistake(
        "dot product",
        lambda x, y, clip, k: _share(np.argsort(_outside(clip, -(x @ x.T)), axis=1), y, k),
        "That is the dot product, not the cosine: long vectors win. Make all rows of length 1.",
    ),
    Mistake(
        "farthest",
        lambda x, y, clip, k: _share(np.argsort(_outside(clip, _cosines(x)), axis=1), y, k),
        "Those are the farthest: argsort sorts upwards.",
    ),
    Mistake(
        "percent",
        lambda x, y, clip, k: 100 * neighbour_purity(x, y, clip, k=k),
        "That is in percent: a share lies between 0 and 1.",
    ),
]

honest_purity = FunctionExercise(
    "honest_purity(x, y, clip, k)",
    lambda x, y, clip, k: neighbour_purity(x, y, clip, k=k),
    [_case(0, 12, 5, 4), _case(1, 9, 4, 1), _case(2, 15, 3, 7)],
    PURITY_MISTAKES,
)
