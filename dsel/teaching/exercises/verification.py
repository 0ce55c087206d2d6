"""Self-checks of notebooks 08 and 09: equal error rate, weights of resampled speakers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dsel.teaching.exercises.checker import Mistake, Verdict, judge


def _rates(scores, target, threshold) -> tuple[float, float]:
    """Miss and false alarm rate: refused is what lies at or under the threshold."""
    return np.mean(scores[target] <= threshold), np.mean(scores[~target] > threshold)


def _where_equal(scores, target) -> float:
    """The EER of as many targets as impostors without ties: there is a threshold at which both rates are exactly equal."""
    return next(miss for miss, alarm in (_rates(scores, target, cut) for cut in np.sort(scores)) if miss >= alarm)


def _shares_of_all(scores, target) -> float:
    counts = [(np.sum(scores[target] <= cut), np.sum(scores[~target] > cut)) for cut in np.sort(scores)]
    return next(missed for missed, accepted in counts if missed >= accepted) / len(scores)


def _trials(seed: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and kinds of 2 x `each` trials, shuffled; no ties."""
    rng = np.random.default_rng([22, seed])
    target = rng.permutation(np.arange(2 * each) % 2 == 0)
    return rng.normal(size=2 * each).round(3) + 1.2 * target + 1e-6 * np.arange(2 * each), target


EER_MISTAKES = [
    Mistake("turned round", lambda s, t: 1 - _where_equal(s, t), "You accept low scores: a high score means the same speaker."),
    Mistake(
        "least errors",
        lambda s, t: min(sum(_rates(s, t, cut)) / 2 for cut in np.sort(s)),
        "That is the smallest mean of both rates. The EER is where the two are *equal*, which may be another threshold.",
    ),
    Mistake(
        "middle threshold",
        lambda s, t: sum(_rates(s, t, s.mean())) / 2,
        "You judge at the mean score. The threshold has to be searched: it is the one at which both rates are equal.",
    ),
    Mistake(
        "threshold zero",
        lambda s, t: sum(_rates(s, t, 0.0)) / 2,
        "You judge at a score of 0. The threshold has to be searched: it is the one at which both rates are equal.",
    ),
    Mistake(
        "share of all trials",
        _shares_of_all,
        "You divide by the number of all trials: misses are a share of the targets, false alarms a share of the impostors.",
    ),
    Mistake(
        "the threshold",
        lambda s, t: next(cut for cut in np.sort(s) if _rates(s, t, cut)[0] >= _rates(s, t, cut)[1]),
        "That is the threshold. The EER is the error rate there.",
    ),
]


def equal_error_rate(candidate: Callable) -> Verdict:
    """Judge `eer(scores, target)`: NumPy arrays (K,), float and bool, as many targets as impostors, no ties."""

    def rounded(formula):
        def answer(*case):
            value = formula(*case)
            return None if value is None else np.round(value, 9)

        return answer

    mistakes = [Mistake(m.name, rounded(m.formula), m.message) for m in EER_MISTAKES]
    cases = [_trials(seed, each) for seed, each in enumerate((4, 9, 25))]
    return judge(rounded(candidate), rounded(_where_equal), mistakes, cases)


WEIGHT_MISTAKES = [
    Mistake(
        "squared targets",
        lambda n, a, b: n[a] * n[b],
        "Right for impostors. But a target trial has *one* speaker, drawn n_a times: it counts n_a times, not n_a².",
    ),
    Mistake("added", lambda n, a, b: np.where(a == b, n[a], n[a] + n[b]), "Every copy of a meets every copy of b: multiply."),
    Mistake(
        "present or not",
        lambda n, a, b: ((n[a] > 0) & (n[b] > 0)).astype(int),
        "Somebody drawn twice counts twice: you only ask whether both were drawn.",
    ),
    Mistake("one side", lambda n, a, b: n[a], "An impostor trial has two speakers; you count the first alone."),
]


def speaker_weights(candidate: Callable) -> Verdict:
    """Judge `weights(n, a, b)`: n (S,) how often each speaker was drawn; a, b (K,) the numbers of each trial's speakers."""

    def right(n, a, b):
        return np.where(a == b, n[a], n[a] * n[b])

    cases = []
    for seed in range(3):
        rng = np.random.default_rng([23, seed])
        a, b = rng.integers(0, 6, (2, 30))
        cases.append((rng.multinomial(6, np.full(6, 1 / 6)), np.append(a, 0), np.append(b, 0)))
    return judge(candidate, right, WEIGHT_MISTAKES, cases)
