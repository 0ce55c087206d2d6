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
    """By how many frames the sound is late: the shift k that makes face window t most like audio
    window t + k, on average.

    face, audio: content embeddings (N, D) of one track, N > 2 reach.
    Returns (k, confidence, curve): confidence is the curve's best value minus its median; curve (2
    reach + 1,) the mean similarity for k = -reach .. reach, over all pairs (t, t + k) that the
    track has. Before, row means and column means are taken out of the N x N similarities: some
    windows (silence, the ends of a track) resemble everything, and would decide by whether a shift
    includes them. (The confidence is SyncNet's, the notes' reference 29's predecessor; the rest is
    ours.)

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
    """How well `sync_offset` does on tracks that are in step: share found exactly and within one
    frame, and the mean error.

    Returns {"exact", "within_one", "frames" (mean |error|), "reach", "chance" (of within_one),
    "tracks"}. Tracks with fewer than 2 reach + 8 windows are left out; where no track has as many,
    `reach` is lowered. None where no track has 10 windows. A window knows nothing of its
    neighbours' places, so that finding no shift is as hard as finding another one.
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
    """Error of `sync_offset` on each track in step, as in `sync_accuracy`.

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
    """A function of frames and waveform that says (frames by which the sound is late, confidence).

    model: None; such a function; networks (`dsel.load`); the path of a trained run; or the name of
    released networks.
    """
    from torch.nn import Module

    if model is None or (callable(model) and not isinstance(model, Module)):
        return model
    networks: Any = model
    return InStep(networks_of(networks))  # says now what is wrong with it


def networks_of(model: TwoStream | str | Path) -> TwoStream:
    """Load networks on the CPU: a `TwoStream` as it is, or what `dsel.train.released.load_model`
    takes.
    """
    from torch.nn import Module

    if isinstance(model, Module):
        return model.eval()
    from dsel.train.released import load_model

    return load_model(model, "cpu")


@dataclass(frozen=True)
class InStep:
    """Whether a face and a sound belong together, by the content embeddings of trained networks.

    Called with frames uint8 (T, H, W, 3) and waveform float32 (640 T,) it returns (frames by which
    the sound is late, confidence); it looks 15 frames far to either side, or as far as a short clip
    allows.
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
