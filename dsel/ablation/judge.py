"""Judge the networks of a cell.

The columns of results.csv are filled with the metrics of `dsel.evaluate.judge`.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from dsel.ablation.rows import METRICS
from dsel.corpus.tracks import Corpus
from dsel.evaluate import judge as evaluate
from dsel.evaluate.embeddings import embed_tracks
from dsel.evaluate.metrics import Metric
from dsel.evaluate.vectors import main_directions
from dsel.losses import inverse_distance
from dsel.model import TwoStream
from dsel.timing import WINDOW_FRAMES
from dsel.train.trainer import Trainer

FACES = 200  # training tracks whose faces say along which directions people differ


def pair_hash(trainer: Trainer) -> str:
    """Compute what paired trainings share: a hash of the initial weights and of two batches.

    The batches are the first and the last one.
    """
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
    model: TwoStream,
    corpus: Corpus,
    split: str,
    similarity: str = "cosine",
    *,
    faces: bool = True,
    directions=None,
) -> dict[str, float]:
    """Compute the columns of results.csv for networks on a split.

    Args:
        model, corpus, split: what is judged on what.
        similarity: that of the training, 'cosine' or 'inverse_distance'.
        faces: also measure the matching tasks, which need faces. Without them it takes a fraction
            of the time.
        directions: of `face_directions`, to compare voices along them too.
    Returns:
        {column without the name of the split: value}; what has no value is left out.
    """
    alike = None if similarity == "cosine" else inverse_distance
    options = {
        "faces": faces,
        "intervals": False,
        "probes": True,
        "directions": directions,
        "progress": False,
    }
    found = {}
    for metric in evaluate.judge(model, corpus, split, similarity=alike, **options):
        name = column(metric)
        if name in METRICS and metric.value is not None:
            found[name] = metric.value
    return found


def column(record: Metric) -> str:
    """Name the column of results.csv that holds a metric, without the name of the split.

    >>> column(Metric("eer", 13.0, "content", "hard"))
    'content_head_eer_hard'
    """
    trials = "free" if record.trials == "all_pairs" else record.trials
    parts = [record.metric, trials, record.group, "same_sex" if record.same_sex else ""]
    name = "_".join(filter(None, parts))
    if record.metric in ("phoneme", "speaker"):
        return f"{name}_{record.head}_head"
    if record.metric in ("eer", "word_dependence") and record.head == "content":
        return f"content_head_{name}"
    own = "identity" if record.metric == "identity_top1" else "content"
    if (
        record.metric in ("content_top1", "content_within_one", "identity_top1")
        and record.head != own
    ):
        return f"{name}_{record.head}_head"
    return name


def face_tracks(corpus: Corpus) -> list:
    """Choose the training tracks that `face_directions` looks at, evenly spread."""
    tracks = [track for track in corpus.split("train") if track.usable >= WINDOW_FRAMES]
    return tracks[:: max(1, len(tracks) // FACES)][:FACES]


def face_directions(model: TwoStream, corpus: Corpus) -> np.ndarray:
    """Compute `main_directions` of the faces of some training tracks, by the identity head: (d, D).

    Args:
        model: the networks.
        corpus: its training tracks are used.
    """
    tracks = face_tracks(corpus)
    cache = corpus.cache(model.config.face_size, tracks=tracks, progress=False)
    return main_directions(
        embed_tracks(model, cache, tracks, streams=("face",), progress=False).means(
            "face", "identity"
        )
    )
