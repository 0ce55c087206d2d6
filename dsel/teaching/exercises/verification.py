"""Exercises of notebook 08: the equal error rate, and the weights of resampled speakers.

(Source: ours.)
"""

from __future__ import annotations

import numpy as np

from dsel.teaching.exercises.checker import FunctionExercise, Mistake

__all__ = ["EER_MISTAKES", "WEIGHT_MISTAKES", "equal_error_rate", "speaker_weights"]


def _rates(scores, target, threshold) -> tuple[float, float]:
    """Compute the miss and the false alarm rate: refused is what lies at or under the threshold."""
    return np.mean(scores[target] <= threshold), np.mean(scores[~target] > threshold)


def _equal_threshold(scores, target) -> float:
    """Return the first score at which misses are at least as frequent as false alarms."""
    rates = ((cut, *_rates(scores, target, cut)) for cut in np.sort(scores))
    return next(cut for cut, miss, alarm in rates if miss >= alarm)


def _where_equal(scores, target) -> float:
    """Compute the EER of as many targets as impostors without ties.

    There is a threshold then at which both rates are exactly equal.
    """
    return _rates(scores, target, _equal_threshold(scores, target))[0]


def _shares_of_all(scores, target) -> float:
    """Divide the errors by the number of all trials, by mistake."""
    return _where_equal(scores, target) * np.sum(target) / len(scores)


def _mean_rate(scores, target, threshold) -> float:
    """Compute the mean of both rates at a threshold."""
    return sum(_rates(scores, target, threshold)) / 2


def _trials(seed: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw scores and kinds of `each` target and `each` impostor trials, shuffled; no ties."""
    rng = np.random.default_rng([22, seed])
    target = rng.permutation(np.arange(2 * each) % 2 == 0)
    scores = rng.normal(size=2 * each).round(3) + 1.2 * target
    return scores + 1e-6 * np.arange(2 * each), target


SEARCH = "The threshold has to be searched: it is the one at which both rates are equal."
EER_MISTAKES = [
    Mistake(
        "turned round",
        lambda s, t: 1 - _where_equal(s, t),
        "You accept low scores: a high score means the same speaker.",
    ),
    Mistake(
        "least errors",
        lambda s, t: min(_mean_rate(s, t, cut) for cut in np.sort(s)),
        "That is the smallest mean of both rates. The EER is where the two are *equal*, which may "
        "be another threshold.",
    ),
    Mistake(
        "middle threshold",
        lambda s, t: _mean_rate(s, t, s.mean()),
        "You judge at the mean score. " + SEARCH,
    ),
    Mistake(
        "threshold zero",
        lambda s, t: _mean_rate(s, t, 0.0),
        "You judge at a score of 0. " + SEARCH,
    ),
    Mistake(
        "share of all trials",
        _shares_of_all,
        "You divide by the number of all trials: misses are a share of the targets, false alarms a "
        "share of the impostors.",
    ),
    Mistake(
        "the threshold", _equal_threshold, "That is the threshold. The EER is the error rate there."
    ),
    Mistake(
        "percent",
        lambda s, t: 100 * _where_equal(s, t),
        "That is in percent: a rate lies between 0 and 1.",
    ),
]

equal_error_rate = FunctionExercise(
    "my_eer(scores, target)",
    _where_equal,
    [_trials(seed, each) for seed, each in enumerate((4, 9, 25))],
    EER_MISTAKES,
)


WEIGHT_MISTAKES = [
    Mistake(
        "squared targets",
        lambda n, a, b: n[a] * n[b],
        "Right for impostors. But a target trial has *one* speaker, drawn n_a times: it counts n_a "
        "times, not n_a².",
    ),
    Mistake(
        "added",
        lambda n, a, b: np.where(a == b, n[a], n[a] + n[b]),
        "Every copy of a meets every copy of b: multiply.",
    ),
    Mistake(
        "present or not",
        lambda n, a, b: ((n[a] > 0) & (n[b] > 0)).astype(int),
        "Somebody drawn twice counts twice: you only ask whether both were drawn.",
    ),
    Mistake(
        "one side",
        lambda n, a, b: n[a],
        "An impostor trial has two speakers; you count the first alone.",
    ),
    Mistake(
        "impostors only",
        lambda n, a, b: np.where(a == b, 1, n[a] * n[b]),
        "Right for impostors. A target trial counts n_a times, as often as its speaker was drawn.",
    ),
]


def _draws(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Resample six speakers and list 31 trials: n (6,), a (31,), b (31,)."""
    rng = np.random.default_rng([23, seed])
    a, b = rng.integers(0, 6, (2, 30))
    return rng.multinomial(6, np.full(6, 1 / 6)), np.append(a, 0), np.append(b, 0)


speaker_weights = FunctionExercise(
    "my_weights(n, a, b)",
    lambda n, a, b: np.where(a == b, n[a], n[a] * n[b]),
    [_draws(seed) for seed in range(3)],
    WEIGHT_MISTAKES,
)
