"""Measure networks. `dsel evaluate` and the ablation take every metric from here, as a `Metric`.

    judge           embed the windows, then measure all of the following
    task_metrics    content task, identity task, offset of the sound
    trial_metrics   EER, word dependence and minDCF on every trial list of the corpus
    probe_metrics   phoneme and speaker, read off the audio embeddings

What a head keeps of the other head's factor is measured in `dsel.evaluate.leaks`. What cannot be
measured is a `Metric` without a value that gives the reason. Intervals are over speakers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsel.corpus.store import TRIALS, Track
from dsel.corpus.tracks import Corpus, Trials
from dsel.evaluate.embeddings import STREAMS, Embeddings, embed_split, free_speech
from dsel.evaluate.intervals import Interval, bootstrap, speaker_bootstrap
from dsel.evaluate.matching import content_hits, identity_hits
from dsel.evaluate.metrics import Metric
from dsel.evaluate.probes import PER_TRACK, evenly, known_factors, read_off
from dsel.evaluate.sync import sync_hits
from dsel.evaluate.vectors import unit
from dsel.evaluate.verification import (
    P_TARGET,
    all_pairs,
    cosine_scores,
    equal_error_rate,
    min_dcf,
    trial_speakers,
    verification_scores,
)
from dsel.losses import Similarity
from dsel.model import HEADS, TwoStream

__all__ = [
    "TrialList",
    "eer_metric",
    "judge",
    "probe_metrics",
    "task_metrics",
    "trial_lists",
    "trial_metrics",
    "why_not",
]


class TrialList(NamedTuple):
    """The name of a trial list.

    Args:
        trials: 'free', 'hard', 'easy' or 'all_pairs'.
        same_sex: impostors of the same sex only.
        group: one family of vocabularies; '' for all.
    """

    trials: str
    same_sex: bool = False
    group: str = ""


def judge(
    model: TwoStream,
    corpus: Corpus,
    split: str = "test",
    *,
    similarity: Similarity | None = None,
    faces: bool = True,
    intervals: bool = True,
    probes: bool = False,
    directions: np.ndarray | None = None,
    progress: bool = True,
) -> list[Metric]:
    """Measure networks on a split of a corpus.

    Args:
        model, corpus, split: what is judged on what.
        similarity: that of the training, see `dsel.losses`; None: the cosine.
        faces: also measure the matching tasks, which need faces. Without them it takes a fraction
            of the time.
        intervals: add 95 % intervals over speakers.
        probes: also read phoneme and speaker off both heads.
        directions: (d, D), to compare voices along them too, see
            `dsel.evaluate.vectors.main_directions`.
        progress: show a bar.
    Raises:
        BadInput: the split is empty.
    """
    streams = STREAMS if faces else ("audio",)
    e = embed_split(model, corpus, split, streams=streams, progress=progress)
    lists = trial_lists(corpus, split, e.tracks)
    found = task_metrics(e, similarity, intervals=intervals) if faces else []
    found += trial_metrics(e, lists, intervals=intervals)
    if directions is not None:
        found += _along_directions(e, lists, directions)
    if probes:
        found += probe_metrics(corpus, e)
        length = float(np.linalg.norm(unit(e.vectors["audio"]["identity"]).mean(axis=0)))
        found.append(Metric("cone", length, "identity"))
    return found


# --- Matching tasks -------------------------------------------------------------------------------


def task_metrics(
    e: Embeddings, similarity: Similarity | None = None, *, intervals: bool = True
) -> list[Metric]:
    """Measure the content task and the identity task by both heads, and the offset of the sound.

    Only free speech is used, if there is any: where the words of a track recur, a window has
    several right answers.

    Args:
        e: embeddings of both streams.
        similarity: of `dsel.losses`; None: the cosine.
        intervals: add 95 % intervals over speakers.
    """
    e = e.only(free_speech) if any(map(free_speech, e.tracks)) else e
    tasks = (_content_task, _identity_task, _offset_task)
    return [metric for task in tasks for metric in task(e, similarity, intervals)]


def _content_task(e: Embeddings, similarity: Similarity | None, intervals: bool) -> list[Metric]:
    found = []
    for head in HEADS:
        hits, tracks = content_hits(e, head, similarity=similarity)
        N = hits["choices"]
        chances = {"top1": 1 / N, "within_one": (3 * N - 2) / N**2}
        for name in ("top1", "within_one") if head == "content" else ("top1",):
            entry: dict[str, Any] = {"head": head, "choices": N, "chance": 100 * chances[name]}
            if N < 2:
                found.append(
                    Metric(f"content_{name}", None, reason="no track has two windows", **entry)
                )
                continue
            found.append(
                _share(f"content_{name}", hits[name], _speakers(e, tracks), intervals, entry)
            )
    return found


def _identity_task(e: Embeddings, similarity: Similarity | None, intervals: bool) -> list[Metric]:
    found = []
    for head in HEADS[::-1]:
        hits, asked, B, names = identity_hits(e, head, similarity=similarity)
        entry: dict[str, Any] = {"head": head, "choices": B, "chance": 100 / B}
        if B < 2:
            found.append(
                Metric("identity_top1", None, reason="one speaker: nothing to choose from", **entry)
            )
            continue
        found.append(_share("identity_top1", hits, names, intervals, entry, asked))
    return found


def _offset_task(e: Embeddings, similarity: Similarity | None, intervals: bool) -> list[Metric]:
    errors, tracks, reach = sync_hits(e, similarity=similarity)
    entry: dict[str, Any] = {"head": "content", "choices": 2 * reach + 1}
    entry["chance"] = 100 * 3 / (2 * reach + 1)
    if not len(tracks):
        entry |= {"choices": None, "chance": None}
        return [
            Metric(
                "sync_within_one",
                None,
                reason="no track has the 10 windows that are needed",
                **entry,
            )
        ]
    return [
        _share(
            "sync_within_one", (errors <= 1).astype(float), _speakers(e, tracks), intervals, entry
        )
    ]


def _share(
    name: str,
    hits: np.ndarray,
    speakers: Sequence[str],
    intervals: bool,
    entry: dict,
    asked: np.ndarray | None = None,
) -> Metric:
    """Make the metric of a share of right answers.

    Args:
        name: of the metric.
        hits: (K,) right answers.
        speakers: (K,) whom they belong to.
        intervals: add the 95 % interval over speakers.
        entry: other fields of the metric.
        asked: (K,) number of questions; None: one each.
    """
    asked = np.ones(len(hits)) if asked is None else asked
    names, number = np.unique(speakers, return_inverse=True)
    right, all_ = (np.bincount(number, x, len(names)) for x in (hits, asked))

    def statistic(n: np.ndarray) -> float:
        if not n @ all_:
            raise ValueError("nobody drawn was asked")
        return float(n @ right / (n @ all_))

    ends = _ends(lambda: bootstrap(statistic, len(names)), 100) if intervals else {}
    return Metric(name, 100 * float(hits.sum() / asked.sum()), **entry, **ends)


def _speakers(e: Embeddings, tracks: Iterable[int]) -> list[str]:
    return [e.tracks[k].speaker for k in tracks]


# --- Verification ---------------------------------------------------------------------------------


def trial_lists(corpus: Corpus, split: str, tracks: Sequence[Track]) -> dict[TrialList, Trials]:
    """Collect the trial lists of a corpus for a split; all pairs of tracks if it has none.

    Each list is taken whole, with impostors of the same sex only, and by family of vocabularies.

    Args:
        corpus, split: whose lists.
        tracks: those of the split, for the pairs.
    """
    prefix = "" if split == "test" else f"{split}_"
    found: dict[TrialList, Trials] = {}
    written = {kind: corpus.trials(prefix + kind) for kind in TRIALS}
    lists = {kind: trials for kind, trials in written.items() if trials is not None}
    for kind, trials in (lists or {"all_pairs": all_pairs(tracks)}).items():
        found[TrialList(kind)] = trials
        found[TrialList(kind, same_sex=True)] = trials.only(trials.same_sex)
        groups = sorted(set(trials.group) - {"", kind})
        found |= {
            TrialList(kind, group=group): trials.only(trials.group == group) for group in groups
        }
    return found


def trial_metrics(
    e: Embeddings, lists: dict[TrialList, Trials], *, intervals: bool = True
) -> list[Metric]:
    """Measure EER by both heads on every list, word dependence, and minDCF of the identity head.

    A list of one family of vocabularies is judged by the identity head only.

    Args:
        e: embeddings of the audio stream.
        lists: what `trial_lists` returned.
        intervals: add 95 % intervals over speakers.
    """
    scores, found = {}, []
    reasons = {which: why_not(trials, e.tracks) for which, trials in lists.items()}
    for which, trials in lists.items():
        for head in ("identity",) if which.group else HEADS[::-1]:
            entry: dict[str, Any] = {"head": head, **which._asdict(), "chance": 50.0}
            if reasons[which]:
                found.append(Metric("eer", None, reason=reasons[which], **entry))
                continue
            scores[which, head] = verification_scores(e, trials, head)
            found.append(eer_metric(scores[which, head], trials, e, entry, intervals=intervals))
    found += _word_dependence(e, lists, scores, reasons, intervals)
    for which, trials in lists.items():
        if which.group:
            continue
        entry = {"head": "identity", **which._asdict(), "chance": 1.0, "p_target": P_TARGET}
        if reasons[which]:
            found.append(Metric("min_dcf", None, reason=reasons[which], **entry))
        else:
            found.append(
                _judged("min_dcf", _cost, scores[which, "identity"], trials, e, intervals, 1, entry)
            )
    return found


def why_not(trials: Trials, tracks: Sequence[Track]) -> str:
    """Say why a trial list cannot be judged with these tracks; '' if it can.

    Args:
        trials: the list.
        tracks: those that were embedded.
    """
    if not len(trials):
        return "the list has no such trials"
    missing = {*trials.a, *trials.b} - {track.id for track in tracks}
    if missing:
        return (
            f"{len(missing)} tracks of the list were not embedded, e.g. {min(missing)}: too short, "
            "or of another split"
        )
    if trials.target.all():
        return "no impostors: every trial is of one speaker with itself"
    return "" if trials.target.any() else "no targets: every trial is of two speakers"


def eer_metric(
    scores: np.ndarray, trials: Trials, e: Embeddings, entry: dict, *, intervals: bool = True
) -> Metric:
    """Make the EER of scored trials, with its interval over speakers.

    Args:
        scores: (K,)
        trials: the K trials.
        e: embeddings of their tracks.
        entry: other fields of the metric.
        intervals: add the 95 % interval.
    """
    return _judged("eer", equal_error_rate, scores, trials, e, intervals, 100, entry)


def _cost(scores: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None) -> float:
    return min_dcf(scores, target, weight=weight)


def _judged(
    name: str,
    measure: Callable[..., float],
    scores: np.ndarray,
    trials: Trials,
    e: Embeddings,
    intervals: bool,
    scale: float,
    entry: dict[str, Any],
) -> Metric:
    """Make a metric of scored trials, with its interval over speakers."""
    order = np.argsort(scores, kind="stable")  # once, not at every draw
    scores, target = scores[order], trials.target[order]
    a, b = (side[order] for side in trial_speakers(trials, e.tracks))

    def interval() -> Interval:
        return speaker_bootstrap(lambda weight: measure(scores, target, weight), a, b)

    return Metric(
        name,
        scale * measure(scores, target),
        **entry,
        **(_ends(interval, scale) if intervals else {}),
    )


def _word_dependence(
    e: Embeddings, lists: dict, scores: dict, reasons: dict, intervals: bool
) -> list[Metric]:
    """Subtract the EER on easy trials from that on hard ones, on the same resampled speakers."""
    found = []
    for same_sex in (False, True):
        pair = [TrialList(kind, same_sex) for kind in ("hard", "easy")]
        if not set(pair) <= set(lists):
            continue
        reason = next(
            filter(None, (f"{which.trials}: {reasons[which]}" for which in pair if reasons[which])),
            "",
        )
        for head in HEADS[::-1]:
            entry: dict[str, Any] = {"head": head, "same_sex": same_sex, "chance": 0.0}
            if reason:
                found.append(Metric("word_dependence", None, reason=reason, **entry))
                continue
            hard, easy = ((scores[which, head], lists[which].target) for which in pair)
            sides = [
                np.concatenate(side)
                for side in zip(*(trial_speakers(lists[w], e.tracks) for w in pair), strict=True)
            ]
            found.append(_difference(hard, easy, sides, intervals, entry))
    return found


def _difference(
    hard: tuple[np.ndarray, np.ndarray],
    easy: tuple[np.ndarray, np.ndarray],
    sides: Sequence[np.ndarray],
    intervals: bool,
    entry: dict[str, Any],
) -> Metric:
    """Subtract the EER of `easy` from that of `hard`, each (scores, targets).

    sides: the speakers of both tracks of the trials of both lists.
    """

    def measure(weight: np.ndarray | None = None) -> float:
        first = len(hard[0])
        parts = (None, None) if weight is None else (weight[:first], weight[first:])
        (scores, target), (others, target_of_others) = hard, easy
        return equal_error_rate(scores, target, parts[0]) - equal_error_rate(
            others, target_of_others, parts[1]
        )

    a, b = sides
    ends = _ends(lambda: speaker_bootstrap(measure, a, b), 100) if intervals else {}
    return Metric("word_dependence", 100 * measure(), **entry, **ends)


def _ends(interval: Callable[[], Interval], scale: float) -> dict:
    """Return the fields of a metric that hold its interval, or the reason why there is none."""
    try:
        found = interval()
    except ValueError as error:  # too few speakers
        return {"reason": str(error)}
    return {"low": scale * found.low, "high": scale * found.high, "speakers": found.n}


def _along_directions(
    e: Embeddings, lists: dict[TrialList, Trials], directions: np.ndarray
) -> list[Metric]:
    """Measure the EER of voices compared along some directions (d, D), and count the directions."""
    voices, ids, found = (
        e.means("audio", "identity") @ directions.T,
        [track.id for track in e.tracks],
        [],
    )
    for which, trials in lists.items():
        if which.group:
            continue
        entry: dict[str, Any] = {"head": "identity", **which._asdict(), "chance": 50.0}
        reason = why_not(trials, e.tracks)
        if reason:
            found.append(Metric("seen_eer", None, reason=reason, **entry))
        else:
            value = equal_error_rate(cosine_scores(voices, ids, trials), trials.target)
            found.append(Metric("seen_eer", 100 * value, **entry))
    return [*found, Metric("directions", float(len(directions)))]


# --- What the heads keep --------------------------------------------------------------------------


def probe_metrics(corpus: Corpus, e: Embeddings) -> list[Metric]:
    """Read phoneme and speaker off both heads of the audio stream by a linear probe.

    The phoneme is read off single windows, of speakers that the probe was not trained on. The
    speaker is read off the mean of a track, of tracks with other words than those of the training.
    See `dsel.evaluate.probes`.

    Args:
        corpus: what is known of the tracks.
        e: embeddings of the audio stream.
    Returns:
        The metrics; empty if the corpus knows neither.
    """
    chosen = np.concatenate(
        [first + evenly(n, PER_TRACK) for first, n in zip(*_spans(e), strict=True)]
    )
    few = Embeddings(e.tracks, e.track[chosen], e.window[chosen], {})
    found = []
    for factor in known_factors(corpus, few):
        for head in HEADS if factor.name in ("phoneme", "speaker") else ():
            x = (
                e.vectors["audio"][head][chosen]
                if factor.unit == "window"
                else e.means("audio", head)
            )
            found.append(
                Metric(factor.name, 100 * float(np.nanmean(read_off(x, factor, "linear"))), head)
            )
    return found


def _spans(e: Embeddings) -> tuple[np.ndarray, np.ndarray]:
    """Return the first window and the number of windows of each track."""
    counts = np.bincount(e.track, minlength=len(e.tracks))
    return np.cumsum(counts) - counts, counts
