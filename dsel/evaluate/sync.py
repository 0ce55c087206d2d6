"""Find by how many frames the sound is late, from content embeddings."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dsel.evaluate.embeddings import Embeddings
from dsel.evaluate.matching import _cosine
from dsel.losses import Similarity

if TYPE_CHECKING:
    from dsel.model import TwoStream

REACH = 15  # frames by which the sound is tried early and late


def sync_offset(
    face: np.ndarray, audio: np.ndarray, reach: int = 15, similarity: Similarity | None = None
) -> tuple[int, float, np.ndarray]:
    """Find by how many frames the sound of a track is late.

    That is the shift k for which face windows t and audio windows t + k are most similar on
    average. First, row means and column means are subtracted from the N x N similarities. Some
    windows (silence, the ends of a track) are similar to everything. Without the subtraction, the
    best shift would be one that includes them. (The confidence is that of SyncNet, Chung and
    Zisserman 2016; the rest is ours.)

    Args:
        face, audio: content embeddings (N, D) of one track, N > 2 reach.
        reach: largest shift that is tried.
        similarity: of `dsel.losses`; None: the cosine.
    Returns:
        k; the confidence, which is the best value of the curve minus its median; and the curve
        (2 reach + 1,), the mean similarity over all pairs (t, t + k) for k = -reach .. reach.
    Raises:
        ValueError: too few windows for this reach.

    >>> what = np.random.default_rng(0).normal(size=(40, 16))
    >>> sync_offset(what[4:], what[:-4], reach=10)[0]  # face window t is audio window t + 4
    4
    """
    N = len(face)
    if 2 * reach >= N:
        raise ValueError(
            f"{N} windows are too few to try shifts of up to {reach} frames; {2 * reach + 1} are "
            "needed"
        )
    logits = (similarity or _cosine)(
        torch.from_numpy(face), torch.from_numpy(audio)
    ).numpy()  # (N, N)
    logits = logits - logits.mean(axis=0) - logits.mean(axis=1, keepdims=True)
    curve = np.array([np.diagonal(logits, k).mean() for k in range(-reach, reach + 1)])
    return int(curve.argmax()) - reach, float(curve.max() - np.median(curve)), curve


def sync_accuracy(
    e: Embeddings,
    head: str = "content",
    reach: int = REACH,
    similarity: Similarity | None = None,
) -> dict | None:
    """Measure `sync_offset` on tracks that are in step.

    A window does not know where its neighbours are. So to find no shift is as hard as to find
    another one.

    Args:
        e: embeddings of both streams.
        head: whose vectors are compared.
        reach: largest shift. Tracks with fewer than 2 reach + 8 windows are left out; if no track
            has as many, `reach` is lowered.
        similarity: of `dsel.losses`; None: the cosine.
    Returns:
        {"exact", "within_one" (shares of tracks), "frames" (mean |error|), "reach", "chance" (of
        within_one), "tracks"}; None if no track has 10 windows.
    """
    error, tracks, reach = sync_hits(e, head, reach, similarity)
    if not len(tracks):
        return None
    return {
        "exact": float((error == 0).mean()),
        "within_one": float((error <= 1).mean()),
        "frames": float(error.mean()),
        "reach": reach,
        "chance": 3 / (2 * reach + 1),
        "tracks": len(tracks),
    }


def sync_hits(
    e: Embeddings,
    head: str = "content",
    reach: int = REACH,
    similarity: Similarity | None = None,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Compute the error of `sync_offset` on each track in step. Arguments as in `sync_accuracy`.

    Returns:
        |error| in frames (K,), the numbers of the K tracks that were long enough, and the reach
        that they allowed.
    """
    lengths = np.bincount(e.track)
    reach = int(min(reach, (lengths.max() - 8) // 2))
    tracks = np.flatnonzero(lengths >= 2 * reach + 8) if reach >= 1 else np.zeros(0, int)
    pairs = ((e.of(int(k), "face", head), e.of(int(k), "audio", head)) for k in tracks)
    errors = np.abs([sync_offset(face, audio, reach, similarity)[0] for face, audio in pairs])
    return errors, tracks, reach


Sync = Callable[[np.ndarray, np.ndarray], tuple[int, float]]


def sync_of(model: Sync | TwoStream | str | Path | None) -> Sync | None:
    """Return a function of frames and waveform that measures by how much the sound is late.

    Args:
        model: None; such a function; networks (`dsel.load`); the path of a trained run; or the name
            of released networks.
    Returns:
        A function that returns (frames by which the sound is late, confidence); None for None.
    Raises:
        BadInput: there are no such networks.
    """
    from torch.nn import Module

    if model is None or (callable(model) and not isinstance(model, Module)):
        return model
    networks: Any = model
    return InStep(networks_of(networks))  # says now what is wrong with it


def networks_of(model: TwoStream | str | Path) -> TwoStream:
    """Return networks on the CPU: a `TwoStream` itself, or what `dsel.train.load_model` loads."""
    from torch.nn import Module

    if isinstance(model, Module):
        return model.eval()
    from dsel.train.released import load_model

    return load_model(model, "cpu")


@dataclass(frozen=True)
class InStep:
    """Measure how late a sound is, by the content embeddings of trained networks.

    It is called with frames uint8 (T, H, W, 3) and waveform float32 (640 T,), and returns (frames
    by which the sound is late, confidence). It tries shifts of up to 15 frames, or fewer if the
    clip is short.
    """

    model: TwoStream

    def __call__(self, frames: np.ndarray, waveform: np.ndarray) -> tuple[int, float]:
        import torch

        from dsel.corpus.cache import resize

        if multiprocessing.parent_process() is not None:
            torch.set_num_threads(1)  # the files are spread over the cores already
        model = self.model.eval()
        picture = torch.from_numpy(resize(frames, model.config.face_size))[None]
        with torch.inference_mode():
            face = model.face(picture)["content"][0].float().numpy()  # (N, D)
            audio = model.audio(torch.from_numpy(waveform)[None])["content"][0].float().numpy()
        late, confidence, _ = sync_offset(face, audio, reach=min(15, (len(face) - 1) // 2))
        return late, confidence
