"""Measure what each head keeps of the factor of the other head.

"The content head does not know the speaker" is a statement about a scale. The lower end of the
scale is what an untrained network of the same shape gives away. The upper end is what can be read
by somebody who knows the names of many other speakers. (Source: ours.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dsel.audio import mfcc
from dsel.corpus.store import Track
from dsel.corpus.tracks import Corpus
from dsel.evaluate.embeddings import embed_split, embed_tracks
from dsel.evaluate.judge import eer_metric, trial_lists, why_not
from dsel.evaluate.metrics import Metric
from dsel.evaluate.probes import CODES, random_network
from dsel.evaluate.verification import cosine_scores
from dsel.model import TwoStream
from dsel.timing import WINDOW_FRAMES

__all__ = ["leak_metrics", "listened_tracks", "mfcc_statistics", "supervised"]

LISTENED = 1200  # training tracks from which a supervised listener learns


def leak_metrics(
    model: TwoStream,
    corpus: Corpus,
    split: str,
    probed: dict,
    *,
    progress: bool = True,
) -> list[Metric]:
    """Measure what each head keeps of the factor of the other head.

    Speakers by the content head: EER on free trials (or all pairs); 50 % means that no identity is
    left. Phonemes by the identity head: the share that a linear probe reads. The same is measured
    for an untrained network, and for what learning from names can reach: a supervised listener on
    the same embedding and on MFCC statistics, trained on the training speakers; and the best probe
    of trunk, input and heads.

    Args:
        model, corpus, split: what is judged on what.
        probed: what `dsel.evaluate.probes.leakage` returned for them.
        progress: show bars.
    """
    return [*_speaker_leak(model, corpus, split, progress), *_phoneme_leak(probed)]


def _speaker_leak(model: TwoStream, corpus: Corpus, split: str, progress: bool) -> list[Metric]:
    networks = {"": model, "random network": random_network(model)}
    windows = {
        name: embed_split(network, corpus, split, streams=("audio",), progress=progress)
        for name, network in networks.items()
    }
    e = windows[""]
    which, trials = next(
        (which, trials)
        for which, trials in trial_lists(corpus, split, e.tracks).items()
        if not (which.same_sex or which.group)
    )
    entry = {"head": "content", **which._asdict(), "chance": 50.0}
    voices: dict[str, np.ndarray | str] = {
        name: x.means("audio", "content") for name, x in windows.items()
    }
    known = listened_tracks(corpus)
    for name, describe in (
        ("supervised, same embedding", lambda tracks: _content_means(model, corpus, tracks)),
        (
            "supervised, MFCC statistics",
            lambda tracks: np.stack([mfcc_statistics(corpus.clip(t)[1]) for t in tracks]),
        ),
    ):
        if known:
            speakers = [track.speaker for track in known]
            voices[name] = supervised(describe(known), speakers, describe(e.tracks))
        else:
            voices[name] = "the corpus has no training speakers with two tracks to learn from"
    found, reason = [], why_not(trials, e.tracks)
    for name, x in voices.items():
        why = reason or (x if isinstance(x, str) else "")
        if why or isinstance(x, str):
            found.append(Metric("eer", None, reason=why, of=name, **entry))
            continue
        scores = cosine_scores(x, [track.id for track in e.tracks], trials)
        found.append(eer_metric(scores, trials, e, entry | {"of": name}))
    return found


def _content_means(model: TwoStream, corpus: Corpus, tracks: Sequence[Track]) -> np.ndarray:
    cache = corpus.cache(model.config.face_size, tracks=tracks, progress=False)
    return embed_tracks(model, cache, list(tracks), streams=("audio",), progress=False).means(
        "audio", "content"
    )


def listened_tracks(corpus: Corpus) -> list[Track]:
    """List the training tracks from which a supervised listener learns.

    They are those of speakers with at least two tracks, in the split 'train'. When there are
    LISTENED of them, no further speaker is taken.
    """
    by_speaker: dict[str, list[Track]] = {}
    for track in corpus.split("train"):
        if track.usable >= WINDOW_FRAMES:
            by_speaker.setdefault(track.speaker, []).append(track)
    found: list[Track] = []
    for tracks in by_speaker.values():
        if len(tracks) > 1 and len(found) < LISTENED:
            found += tracks
    return found


def supervised(x: np.ndarray, speakers: Sequence[str], new: np.ndarray) -> np.ndarray:
    """Learn from named tracks how voices differ, and map new tracks to that scale.

    It is linear discriminant analysis with all directions: the mean is subtracted, and the
    scatter within speakers, shrunk, becomes the unit of length. (Source: Fisher 1936; Ledoit and
    Wolf 2004 for the shrinkage.)

    Args:
        x: (K, D) training tracks.
        speakers: (K,) their names.
        new: (M, D)
    Returns:
        (M, D), to be compared by cosine.
    """
    from sklearn.covariance import LedoitWolf

    _, number = np.unique(speakers, return_inverse=True)
    middle, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
    x, new = (
        (np.asarray(x, np.float64) - middle) / spread,
        (np.asarray(new, np.float64) - middle) / spread,
    )
    means = np.stack([x[number == k].mean(axis=0) for k in range(number.max() + 1)])
    within = LedoitWolf(assume_centered=True).fit(x - means[number]).covariance_
    return np.linalg.solve(np.linalg.cholesky(within), new.T).T


def mfcc_statistics(sound: np.ndarray) -> np.ndarray:
    """Compute mean and standard deviation of a track's MFCCs, without loudness: (S,) -> (38,)."""
    cepstrum = mfcc(torch.from_numpy(sound)[None])[0, 1:].numpy()  # (19, 4 T)
    return np.concatenate([cepstrum.mean(1), cepstrum.std(1)])


def _phoneme_leak(probed: dict) -> list[Metric]:
    """Take the phoneme read off the audio identity head from the rows of `leakage`."""
    rows = [row for row in probed["rows"] if (row["stream"], row["factor"]) == ("audio", "phoneme")]
    if not rows:
        return [Metric("phoneme", None, "identity", reason="the corpus knows no phonemes")]
    (linear,) = (row for row in rows if row["probe"] == "linear")
    entry = {"head": "identity", "chance": linear["chance"]}
    ceiling = max(row[code] for row in rows for code in CODES)
    return [
        Metric("phoneme", linear["identity"], **entry),
        Metric("phoneme", linear["random identity"], of="random network", **entry),
        Metric("phoneme", ceiling, of="ceiling: best probe of trunk, input and heads", **entry),
    ]
