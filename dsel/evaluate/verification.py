"""Speaker verification: trials, scores, error rates, DET curve, and how sure one may be of them.

A trial asks "is this the same speaker?" of two tracks; a system answers with a score, and accepts
where it lies above a threshold. Everything here is NumPy on one score a trial, so that it judges
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
    """Both error rates at every threshold that matters, from 'accept all' (-inf) to 'refuse all':
    arrays (<= K + 1,).

    A trial is refused where its score is at or under the threshold.
    """

    threshold: np.ndarray
    miss: np.ndarray  # share of target trials refused, rising
    false_alarm: np.ndarray  # share of impostor trials accepted, falling


def det_curve(scores: ArrayLike, target: ArrayLike, weight: ArrayLike | None = None) -> DetCurve:
    """Detection error trade-off: miss against false alarm rate as the threshold moves.

        P_miss(theta) = P(score <= theta | target)      P_fa(theta) = P(score > theta | impostor)

    scores (K,): higher means more likely the same speaker. target (K,): true for a target trial.
    weight (K,): how often a trial counts, once if None. Equal scores are decided together, so that
    the order of trials does not matter.
    Raises ValueError if a class is empty or a score is not finite. (Source: NIST evaluations.)

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
    """Miss and false alarm rate of `det_curve`, without the thresholds."""
    curve = det_curve(scores, target, weight)
    return curve.miss, curve.false_alarm


def equal_error_rate(
    scores: ArrayLike, target: ArrayLike, weight: ArrayLike | None = None
) -> float:
    """The error rate in [0, 1] at the threshold where misses and false alarms are equally frequent.

        EER = P_miss(theta*) = P_fa(theta*)

    Arguments as in `det_curve`. Between two thresholds both rates are joined by straight lines.
    Chance is 0.5.

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
    """Detection cost at the best threshold, divided by that of the better of always and never
    accepting.

        DCF(theta) = C_miss P_miss(theta) P_target + C_fa P_fa(theta) (1 - P_target)
        minDCF     = min_theta DCF(theta) / min(C_miss P_target, C_fa (1 - P_target))

    1 means: no better than refusing (or accepting) everybody. Shapes as in `det_curve`. (Source:
    NIST evaluations.)

    >>> min_dcf([0.1, 0.4, 0.6, 0.9], [False, True, False, True])  # one of two targets is missed
    0.5
    """
    miss, false_alarm = error_rates(scores, target, weight)
    cost = c_miss * miss * p_target + c_fa * false_alarm * (1 - p_target)
    return float(cost.min() / min(c_miss * p_target, c_fa * (1 - p_target)))


def eer_interval(
    scores: ArrayLike, target: ArrayLike, a: ArrayLike, b: ArrayLike, **options: Any
) -> Interval:
    """`equal_error_rate` with its interval over speakers; a, b (K,) the speakers of each trial,
    options as above.
    """
    order = np.argsort(scores, kind="stable")  # once, not at every draw
    scores, target, a, b = (np.asarray(x)[order] for x in (scores, target, a, b))
    return speaker_bootstrap(
        lambda weight: equal_error_rate(scores, target, weight), a, b, **options
    )


def trial_speakers(trials: Trials, tracks: Iterable[Track]) -> tuple[np.ndarray, np.ndarray]:
    """The speakers of both tracks of each trial: two arrays of names (K,)."""
    speaker = {track.id: track.speaker for track in tracks}
    a, b = (np.array([speaker[name] for name in side]) for side in (trials.a, trials.b))
    return a, b


def cosine_scores(vectors: np.ndarray, ids: list[str], trials: Trials) -> np.ndarray:
    """Cosine between the vectors of a trial's two tracks, all by one matrix product: vectors
    (tracks, D) -> (K,).

    ids: the track of each row. Raises BadInput for a trial whose track has no row.

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
    """Cosine between the tracks' mean embeddings, one a trial:
    `dsel.evaluate.embeddings.Embeddings`, K trials -> (K,). (Source: notes.)
    """
    return cosine_scores(e.means(stream, head), [track.id for track in e.tracks], trials)


def crop_scores(crops: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean of the C x C cosines between the crops of two files, one a trial. (Source: authors'
    code.)

    crops (files, C, D): C embeddings of each file; a, b (K,): the files' numbers of each trial ->
    (K,) float32. The mean of all products is the product of the means, 1/C^2 sum_mn x_m y_n = (1/C
    sum_m x_m)(1/C sum_n y_n), so the table of C x C cosines is never made. (Ours.)
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
    """Every pair of two different tracks as a trial, for corpora without a trial list; at most
    `limit`, drawn at random.

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
    """The worst errors: numbers of the impostor trials with the highest scores and of the target
    trials with the lowest.

    a, b (K,): the speakers of each trial. One trial a pair of speakers, so that one pair of twins
    does not fill the list.
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
