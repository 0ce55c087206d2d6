"""Judge the networks of an ablation cell: every metric of results.csv."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from dsel.ablation.rows import FIGURES, LISTS
from dsel.corpus.store import TRIALS
from dsel.corpus.tracks import Corpus
from dsel.evaluate.embeddings import STREAMS, Embeddings, embed_split, embed_tracks, free_speech
from dsel.evaluate.matching import content_accuracy, identity_accuracy
from dsel.evaluate.probes import PER_TRACK, evenly, known_factors, read_off
from dsel.evaluate.vectors import main_directions, unit
from dsel.evaluate.verification import all_pairs, cosine_scores, equal_error_rate, verification_scores
from dsel.losses import inverse_distance
from dsel.model import HEADS, TwoStream
from dsel.timing import WINDOW_FRAMES
from dsel.train.trainer import Trainer

FACES = 200  # training tracks whose faces say along which directions people differ


def pair_hash(trainer: Trainer) -> str:
    """What paired rows have in common: a hash of the initial weights and of the first and last batch of a training."""
    torch.manual_seed(trainer.config.seed)
    digest = hashlib.sha256()
    for value in TwoStream(trainer.model.config).state_dict().values():
        digest.update(value.numpy().tobytes())
    for step in (0, trainer.config.steps - 1):
        batch = trainer.batches.at(step)
        digest.update(" ".join(track.id for track in batch.tracks).encode())
        for part in (batch.faces, batch.sound, batch.extra_faces, batch.pick):
            digest.update(part.numpy().tobytes())
    return digest.hexdigest()[:12]


def judge(
    model: TwoStream, corpus: Corpus, split: str, similarity: str = "cosine", *, faces: bool = True, directions=None
) -> dict[str, float]:
    """`FIGURES` of networks on a split, in percent (but for cone and directions); what the corpus cannot give is left out.

    faces: also what needs them, the matching tasks; without it takes a fraction of the time. directions: of `face_directions`,
    to hear the voices along them too.
    """
    e = embed_split(model, corpus, split, streams=STREAMS if faces else ("audio",), progress=False)
    found, ids = {}, [track.id for track in e.tracks]
    seen = None if directions is None else e.means("audio", "identity") @ directions.T  # (tracks, d)
    for name, trials in _trial_lists(corpus, split, e.tracks).items():
        if not trials.target.any() or trials.target.all():
            continue
        for head, figure in (("identity", f"eer_{name}"), ("content", f"content_head_eer_{name}")):
            if figure in FIGURES:
                found[figure] = 100 * equal_error_rate(verification_scores(e, trials, head), trials.target)
        if seen is not None and f"seen_eer_{name}" in FIGURES:
            scores = cosine_scores(seen, ids, trials)
            found |= {f"seen_eer_{name}": 100 * equal_error_rate(scores, trials.target), "directions": float(len(directions))}
    mean_direction = unit(e.vectors["audio"]["identity"]).mean(axis=0)
    found |= _probes(corpus, e) | {"cone": float(np.linalg.norm(mean_direction))}
    return found | (_matching(e, similarity) if faces else {})


def face_tracks(corpus: Corpus) -> list:
    """The training tracks that `face_directions` looks at, evenly spread."""
    tracks = [track for track in corpus.split("train") if track.usable >= WINDOW_FRAMES]
    return tracks[:: max(1, len(tracks) // FACES)][:FACES]


def face_directions(model: TwoStream, corpus: Corpus) -> np.ndarray:
    """`main_directions` of the faces of some training tracks, by the identity head: (d, D)."""
    tracks = face_tracks(corpus)
    cache = corpus.cache(model.config.face_size, tracks=tracks, progress=False)
    return main_directions(embed_tracks(model, cache, tracks, streams=("face",), progress=False).means("face", "identity"))


def _matching(e: Embeddings, similarity: str) -> dict[str, float]:
    """Both tasks by both heads, in percent; on free speech, where each question has one right answer."""
    alike = None if similarity == "cosine" else inverse_distance
    e = e.only(free_speech) if any(map(free_speech, e.tracks)) else e
    content = {head: content_accuracy(e, head, similarity=alike) for head in HEADS}
    identity = {head: identity_accuracy(e, head, similarity=alike) for head in HEADS}
    return {
        "content_top1": 100 * content["content"]["top1"],
        "content_within_one": 100 * content["content"]["within_one"],
        "content_top1_identity_head": 100 * content["identity"]["top1"],
        "identity_top1": 100 * identity["identity"]["top1"],
        "identity_top1_content_head": 100 * identity["content"]["top1"],
    }


def _probes(corpus: Corpus, e: Embeddings) -> dict[str, float]:
    """Phoneme and speaker, read off both heads of the audio stream by a linear probe; {} where the corpus does not know them.

    The phoneme off single windows, on speakers the probe was not trained on; the speaker off the mean of a track, on tracks
    with other words than those it was trained on. See `dsel.evaluate.probes`.
    """
    chosen = np.concatenate([first + evenly(n, PER_TRACK) for first, n in zip(*_spans(e), strict=True)])
    few = Embeddings(e.tracks, e.track[chosen], e.window[chosen], {})
    found = {}
    for factor in known_factors(corpus, few):
        for head in HEADS if factor.name in ("phoneme", "speaker") else ():
            code = e.vectors["audio"][head][chosen] if factor.unit == "window" else e.means("audio", head)
            found[f"{factor.name}_{head}_head"] = 100 * float(np.nanmean(read_off(code, factor, "linear")))
    return found


def _spans(e: Embeddings) -> tuple[np.ndarray, np.ndarray]:
    """First window and number of windows of each track."""
    counts = np.bincount(e.track, minlength=len(e.tracks))
    return np.cumsum(counts) - counts, counts


def _trial_lists(corpus: Corpus, split: str, tracks: list) -> dict:
    """By the names of `LISTS`: each kind whole, its same-sex part, and the hard ones by family of vocabularies."""
    prefix, lists = "" if split == "test" else f"{split}_", {}
    for kind in TRIALS:
        trials = corpus.trials(prefix + kind)
        if trials is None and kind == "free":
            trials = all_pairs(tracks)
        if trials is not None:
            lists |= {kind: trials, f"{kind}_same_sex": trials.only(trials.same_sex)}
            lists |= {f"{kind}_{group}": trials.only(trials.group == group) for group in sorted(set(trials.group)) if group}
    return {name: trials for name, trials in lists.items() if name in LISTS}
