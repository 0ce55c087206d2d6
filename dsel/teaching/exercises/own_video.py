"""Exercises of notebook 10: the nearest rows by cosine, and putting a clip in step.

(Source: ours.)
"""

from __future__ import annotations

import numpy as np

from dsel.teaching.exercises.checker import FunctionExercise, Mistake

__all__ = ["IN_STEP_MISTAKES", "NEAREST_MISTAKES", "in_step", "nearest_rows"]


def _cosines(query: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Compute the cosine of each row with the query, up to the query's length: (K,)."""
    return known @ query / np.linalg.norm(known, axis=1)


NEAREST_MISTAKES = [
    Mistake(
        "farthest",
        lambda q, x, n: np.argsort(_cosines(q, x))[:n],
        "Those are the farthest: argsort sorts upwards.",
    ),
    Mistake(
        "dot product",
        lambda q, x, n: np.argsort(-(x @ q))[:n],
        "That is the dot product: long vectors win. Divide by the lengths of the rows.",
    ),
    Mistake(
        "distance",
        lambda q, x, n: np.argsort(np.linalg.norm(x - q, axis=1))[:n],
        "That is the Euclidean distance; the cosine does not look at lengths.",
    ),
    Mistake(
        "last ones",
        lambda q, x, n: np.argsort(_cosines(q, x))[-n:],
        "The right rows, but the nearest comes last: turn them round.",
    ),
    Mistake(
        "cosines",
        lambda q, x, n: np.sort(-_cosines(q, x))[:n],
        "Those are cosines; the row numbers are asked for.",
    ),
    Mistake(
        "all rows",
        lambda q, x, n: np.argsort(-_cosines(q, x)),
        "Those are all rows in order: keep the first `count`.",
    ),
    Mistake(
        "the rows themselves",
        lambda q, x, n: x[np.argsort(-_cosines(q, x))[:n]],
        "Those are the rows themselves; their numbers are asked for.",
    ),
]


def _nearest_cases() -> list[tuple]:
    """Draw queries (6,) and rows of very different length, (20, 6) and (7, 6)."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20, 6)) * rng.uniform(0.1, 10, size=(20, 1))
    queries = rng.normal(size=(2, 6))
    return [(queries[0], rows, 5), (rows[3], rows, 4), (queries[1], rows[:7], 2)]


nearest_rows = FunctionExercise(
    "nearest(query, known, count)",
    lambda q, x, n: np.argsort(-_cosines(q, x))[:n],
    _nearest_cases(),
    NEAREST_MISTAKES,
)


def _shifted(frames: np.ndarray, sound: np.ndarray, k: int) -> np.ndarray:
    """Keep the frames that have their own sound, and that sound: (2, T - |k|)."""
    T = len(frames)
    return np.stack([frames[max(0, -k) : T - max(0, k)], sound[max(0, k) : T - max(0, -k)]])


IN_STEP_MISTAKES = [
    Mistake(
        "sign",
        lambda x, y, k: _shifted(x, y, -k),
        "The sign: for k > 0 the sound is late, so its first k frames belong to no picture.",
    ),
    Mistake(
        "cut ends",
        lambda x, y, k: np.stack([x[: len(x) - abs(k)], y[: len(y) - abs(k)]]),
        "Both were cut at the end only: now they are as much out of step as before.",
    ),
    Mistake(
        "cut heads",
        lambda x, y, k: np.stack([x[abs(k) :], y[abs(k) :]]),
        "Both were cut at the beginning only: now they are as much out of step as before.",
    ),
    Mistake(
        "rolled",
        lambda x, y, k: np.stack([x, np.roll(y, -k)]),
        "The sound was rolled: what falls off at one end comes back at the other. Cut both "
        "instead.",
    ),
    Mistake(
        "sides swapped",
        lambda x, y, k: _shifted(x, y, k)[::-1],
        "The frames come first, then the sound.",
    ),
    Mistake(
        "late sound only",
        lambda x, y, k: _shifted(x, y, abs(k)),
        "That is right for late sound; for k < 0 the sound is early.",
    ),
]

in_step = FunctionExercise(
    "in_step(frames, sound, k)",
    _shifted,
    [(np.arange(9), 100 + np.arange(9), k) for k in (3, -2, 0, 5, -7)],
    IN_STEP_MISTAKES,
)
