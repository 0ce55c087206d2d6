"""Verify speakers: trials, scores, error rates, DET curve, and intervals of them.

A trial asks "is this the same speaker?" of two tracks. A system answers with a score, and accepts
if the score lies above a threshold. Everything here is NumPy on one score per trial. So it judges
any system, a network as well as a mean of MFCCs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dsel.corpus.store import Track
from dsel.corpus.tracks import Trials
from dsel.evaluate.intervals import Interval, speaker_bootstrap
from dsel.evaluate.vectors import unit
from dsel.utils.errors import BadInput

if TYPE_CHECKING:
    from dsel.evaluate.embeddings import Embeddings

MAX_PAIRS = 200_000  # pairs of tracks judged where the corpus brings no trial list
P_TARGET = 0.05  # how often the same speaker is expected, in the detection cost


class DetCurve(NamedTuple):
    """Both error rates at every threshold that matters, from 'accept all' (-inf) to 'refuse all'.

    A trial is refused if its score is at or under the threshold. Each array has at most K + 1
    numbers.
    """

    threshold: np.ndarray
    miss: np.ndarray  # share of target trials refused, rising
    false_alarm: np.ndarray  # share of impostor trials accepted, falling


def det_curve(scores: ArrayLike, target: ArrayLike, weight: ArrayLike | None = None) -> DetCurve:
    """Compute miss rate and false alarm rate as the threshold moves (detection error trade-off).

        P_miss(theta) = P(score <= theta | target)      P_fa(theta) = P(score > theta | impostor)

    Equal scores are decided together, so the order of trials does not matter. (Source: NIST
    evaluations.)

    Args:
        scores: (K,), higher means more likely the same speaker.
        target: (K,), true for a target trial.
        weight: (K,), how often a trial counts; None: once.
    Raises:
        ValueError: a class is empty, or a score is not finite.

    >>> curve = det_curve([0.1, 0.4, 0.6, 0.9], [False, True, False, True])
    >>> curve.miss.tolist(), curve.false_alarm.tolist()
    ([0.0, 0.0, 0.5, 0.5, 1.0], [1.0, 0.5, 0.5, 0.0, 0.0])
    """
    scores, target = np.asarray(scores, np.float64), np.asarray(target, bool)
    weight = np.ones(len(scores)) if weight is None else np.asarray(weight, np.float64)
    if (
        scores.shape != target.shape
        or weight.shape != target.shape
        or not np.isfinite(scores).all()
    ):
        raise ValueError(
            "need finite scores of at least one target and one impostor trial, one score a trial"
        )
    order = np.argsort(scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) > 0, True))  # the end of each tie
    targets, others = (np.cumsum(np.where(kind, weight, 0)[order]) for kind in (target, ~target))
    if not len(scores) or not (targets[-1] > 0 and others[-1] > 0):
        raise ValueError(
            "need finite scores of at least one target and one impostor trial, one score a trial"
        )
    miss = np.append(0, targets[last] / targets[-1])
    false_alarm = np.append(1, (others[-1] - others[last]) / others[-1])
    return DetCurve(np.append(-np.inf, scores[order][last]), miss, false_alarm)


def error_rates(
    scores: ArrayLike, target: ArrayLike, weight: ArrayLike | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Compute miss rate and false alarm rate without thresholds. Arguments as in `det_curve`."""
    curve = det_curve(scores, target, weight)
    return curve.miss, curve.false_alarm


def equal_error_rate(
    scores: ArrayLike, target: ArrayLike, weight: ArrayLike | None = None
) -> float:
    """Compute the error rate at the threshold where misses and false alarms are equally frequent.

        EER = P_miss(theta*) = P_fa(theta*)

    Arguments as in `det_curve`. Between two thresholds, both rates are joined by straight lines.
    Chance is 0.5.

    Returns:
        The rate, in [0, 1].

    >>> equal_error_rate([0.1, 0.4, 0.6, 0.9], [False, True, False, True])
    0.5
    >>> equal_error_rate([0.1, 0.2, 0.8, 0.9], [False, False, True, True])
    0.0
    """
    miss, false_alarm = error_rates(scores, target, weight)
    k = int(np.argmax(miss >= false_alarm))  # the first threshold at which misses have caught up
    before, after = (
        false_alarm[k - 1] - miss[k - 1],
        miss[k] - false_alarm[k],
    )  # k > 0: at -inf nothing is missed
    share = before / (before + after)
    return float(miss[k - 1] + share * (miss[k] - miss[k - 1]))


def min_dcf(
    scores: ArrayLike,
    target: ArrayLike,
    p_target: float = P_TARGET,
    c_miss: float = 1.0,
    c_fa: float = 1.0,
    *,
    weight: ArrayLike | None = None,
) -> float:
    """Compute the detection cost at the best threshold, relative to a system that does not listen.

        DCF(theta) = C_miss P_miss(theta) P_target + C_fa P_fa(theta) (1 - P_target)
        minDCF     = min_theta DCF(theta) / min(C_miss P_target, C_fa (1 - P_target))

    1 means: no better than to refuse (or accept) everybody. (Source: NIST evaluations.)

    Args:
        scores, target, weight: as in `det_curve`.
        p_target: how often the same speaker is expected.
        c_miss, c_fa: cost of a miss and of a false alarm.

    >>> min_dcf([0.1, 0.4, 0.6, 0.9], [False, True, False, True])  # one of two targets is missed
    0.5
    """
    miss, false_alarm = error_rates(scores, target, weight)
    cost = c_miss * miss * p_target + c_fa * false_alarm * (1 - p_target)
    return float(cost.min() / min(c_miss * p_target, c_fa * (1 - p_target)))


def eer_interval(
    scores: ArrayLike, target: ArrayLike, a: ArrayLike, b: ArrayLike, **options: Any
) -> Interval:
    """Compute `equal_error_rate` with its interval over speakers.

    Args:
        scores, target: as in `det_curve`.
        a, b: (K,) the speakers of each trial.
        options: of `speaker_bootstrap`.
    """
    order = np.argsort(scores, kind="stable")  # once, not at every draw
    scores, target, a, b = (np.asarray(x)[order] for x in (scores, target, a, b))
    return speaker_bootstrap(
        lambda weight: equal_error_rate(scores, target, weight), a, b, **options
    )


def trial_speakers(trials: Trials, tracks: Iterable[Track]) -> tuple[np.ndarray, np.ndarray]:
    """Look up the speakers of both tracks of each trial.

    Args:
        trials: K of them.
        tracks: all tracks that they name.
    Returns:
        Two arrays of names, each (K,).
    """
    speaker = {track.id: track.speaker for track in tracks}
    a, b = (np.array([speaker[name] for name in side]) for side in (trials.a, trials.b))
    return a, b


def cosine_scores(vectors: np.ndarray, ids: list[str], trials: Trials) -> np.ndarray:
    """Compute the cosine of the vectors of each trial's two tracks, by one matrix product.

    Args:
        vectors: (tracks, D).
        ids: the track of each row.
        trials: K of them.
    Returns:
        (K,)
    Raises:
        BadInput: a trial's track has no row.

    >>> one = np.array([True])
    >>> trials = Trials(["x"], ["y"], one, one, [""])
    >>> cosine_scores(np.array([[3.0, 4.0], [4.0, 3.0]]), ["x", "y"], trials).round(2).tolist()
    [0.96]
    """
    vectors = unit(vectors)
    row = {name: k for k, name in enumerate(ids)}
    missing = {name for name in (*trials.a, *trials.b) if name not in row}
    if missing:
        raise BadInput(
            f"{len(missing)} tracks of the trial list were not embedded, e.g. {min(missing)}"
        )
    scores = vectors @ vectors.T  # (tracks, tracks)
    return scores[[row[name] for name in trials.a], [row[name] for name in trials.b]]


def verification_scores(
    e: Embeddings, trials: Trials, head: str = "identity", stream: str = "audio"
) -> np.ndarray:
    """Compute the cosine of the mean embeddings of each trial's two tracks. (Source: notes.)

    Args:
        e: embeddings of the tracks.
        trials: K of them.
        head, stream: whose vectors are compared.
    Returns:
        (K,)
    """
    return cosine_scores(e.means(stream, head), [track.id for track in e.tracks], trials)


def crop_scores(crops: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Average the C x C cosines between the crops of two files, for each trial.

    (Source: authors' code.) The mean of all products is the product of the means, 1/C^2 sum_mn x_m
    y_n = (1/C sum_m x_m) (1/C sum_n y_n). So the table of C x C cosines is never made. (Ours.)

    Args:
        crops: (files, C, D), C embeddings of each file.
        a, b: (K,) numbers of the two files of each trial.
    Returns:
        (K,) float32.
    """
    length = np.sqrt(np.einsum("fcd,fcd->fc", crops, crops))  # (files, C)
    mean = (
        np.einsum("fcd,fc->fd", crops, 1 / np.maximum(length, 1e-12), optimize=True)
        / crops.shape[1]
    )  # (files, D)
    block = 4096  # trials at a time, so that memory does not grow with their number
    return np.concatenate([
        np.einsum("kd,kd->k", mean[a[k : k + block]], mean[b[k : k + block]])
        for k in range(0, len(a), block)
    ] or [np.zeros(0, mean.dtype)])  # fmt: skip


def all_pairs(tracks: Sequence[Track], limit: int = MAX_PAIRS, seed: int = 0) -> Trials:
    """Make a trial of every pair of different tracks, for a corpus without a trial list.

    Args:
        tracks: what to pair.
        limit: of more pairs, so many are drawn at random.
        seed: of the draw.

    >>> who = {"x": "ada", "y": "ada", "z": "bob"}
    >>> tracks = [Track(name, speaker, "test", "a.mp4", 50) for name, speaker in who.items()]
    >>> all_pairs(tracks).target.tolist()
    [True, False, False]
    """
    i, j = np.triu_indices(len(tracks), 1)
    if len(i) > limit:
        keep = np.random.default_rng(seed).choice(len(i), limit, replace=False)
        i, j = i[keep], j[keep]
    ids, speaker = np.array([t.id for t in tracks]), np.array([t.speaker for t in tracks])
    sex = np.array([str(t.factors.get("sex", "")) for t in tracks])
    return Trials(
        ids[i],
        ids[j],
        speaker[i] == speaker[j],
        (sex[i] == sex[j]) & (sex[i] != ""),
        np.full(len(i), ""),
    )


def confusable(
    scores: ArrayLike, target: ArrayLike, a: Sequence[str], b: Sequence[str], count: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Find the worst errors: impostor trials with high scores, and target trials with low ones.

    Only one trial per pair of speakers is listed, so that one pair of twins does not fill the list.

    Args:
        scores, target: as in `det_curve`.
        a, b: (K,) the speakers of each trial.
        count: how many of each kind.
    Returns:
        The numbers of the impostor trials and of the target trials.
    """
    scores, target = np.asarray(scores), np.asarray(target, bool)

    def first_of_each_pair(trials: np.ndarray) -> np.ndarray:
        seen: dict[frozenset, int] = {}
        for k in trials:
            seen.setdefault(frozenset((a[k], b[k])), int(k))
        return np.array(list(seen.values())[:count], int)

    order = np.argsort(scores, kind="stable")
    return first_of_each_pair(order[::-1][~target[order[::-1]]]), first_of_each_pair(
        order[target[order]]
    )
