"""Measure the accuracy of the two matching tasks, content and identity."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dsel.evaluate.embeddings import STREAMS, Embeddings
from dsel.losses import Similarity, scaled_cosine, top1

__all__ = ["CHOICES", "content_accuracy", "content_hits", "identity_accuracy", "identity_hits"]

CHOICES = (
    30  # windows of a track and tracks of a batch to choose from, as in the ablation of the notes
)


def content_accuracy(
    e: Embeddings, head: str = "content", N: int = CHOICES, similarity: Similarity | None = None
) -> dict:
    """Content task: share of video windows whose nearest audio window, of N of the same track, is
    their own.

    The first N windows of each track of at least N windows are used; where no track has N, N is
    lowered to the longest. (Source: notes; ours.)

    Args:
        e: embeddings of both streams.
        head: whose vectors are compared.
        N: number of windows to choose from.
        similarity: of `dsel.losses`; None: the cosine.
    Returns:
        {"top1", "within_one" (the match or its neighbour 40 ms away), "chance", "choices",
        "tracks"}.

    >>> from dsel.corpus import Track
    >>> x = np.eye(3)  # three windows, each of them like itself alone
    >>> vectors = {stream: {"content": x} for stream in ("face", "audio")}
    >>> tracks = [Track("a", "s", "test", "a.mp4", 7)]
    >>> e = Embeddings(tracks, np.zeros(3, int), np.arange(3), vectors)
    >>> content_accuracy(e)["top1"]
    1.0
    """
    found, _ = content_hits(e, head, N, similarity)
    return {
        "top1": float(found["top1"].mean()),
        "within_one": float(found["within_one"].mean()),
        "chance": 1 / found["choices"],
        "choices": found["choices"],
        "tracks": len(found["top1"]),
    }


def content_hits(
    e: Embeddings, head: str = "content", N: int = CHOICES, similarity: Similarity | None = None
) -> tuple[dict, np.ndarray]:
    """Compute the share of right answers in each track. Arguments as in `content_accuracy`.

    Returns:
        {"top1" (K,), "within_one" (K,), "choices"}, and the numbers of the K tracks that were long
        enough.
    """
    lengths = np.bincount(e.track)
    N = int(min(N, lengths.max()))
    tracks = np.flatnonzero(lengths >= N)
    face, audio = (
        torch.from_numpy(np.stack([e.of(int(k), stream, head)[:N] for k in tracks]))
        for stream in STREAMS
    )
    logits = (similarity or _cosine)(face, audio)  # (K, N, N)
    best = logits == logits.amax(dim=-1, keepdim=True)  # a tie counts as its share
    close = (torch.arange(N) - torch.arange(N)[:, None]).abs() <= 1  # (N, N)
    near = ((best & close).sum(-1) / best.sum(-1)).double().mean(-1)
    right = torch.stack([top1(each.double()) for each in logits])
    return {"top1": right.numpy().astype(float), "within_one": near.numpy(), "choices": N}, tracks


def identity_accuracy(
    e: Embeddings,
    head: str = "identity",
    B: int = CHOICES,
    draws: int = 200,
    seed: int = 0,
    similarity: Similarity | None = None,
) -> dict:
    """Identity task: share of face windows that find the mean audio of their own track among B
    tracks of B speakers.

    Speakers, tracks and windows are drawn at random, `draws` times. The speakers differ, so that no
    negative is false; with fewer than B speakers, B is their number. (Source: notes; ours.)

    Args:
        e: embeddings of both streams.
        head: whose vectors are compared.
        B: number of tracks to choose from.
        draws, seed: how often is drawn, and from which stream of random numbers.
        similarity: of `dsel.losses`; None: the cosine.
    Returns:
        {"top1", "chance", "choices", "draws"}.
    """
    hits, asked, B, _ = identity_hits(e, head, B, draws, seed, similarity)
    return {"top1": float(hits.sum() / asked.sum()), "chance": 1 / B, "choices": B, "draws": draws}


def identity_hits(
    e: Embeddings,
    head: str = "identity",
    B: int = CHOICES,
    draws: int = 200,
    seed: int = 0,
    similarity: Similarity | None = None,
) -> tuple[np.ndarray, np.ndarray, int, list[str]]:
    """Count how often each speaker was asked for and found. Arguments as in `identity_accuracy`.

    Returns:
        hits (S,), asked (S,), the number of tracks to choose from, and the S speakers.
    """
    by_speaker: dict[str, list[int]] = {}
    for k, track in enumerate(e.tracks):
        by_speaker.setdefault(track.speaker, []).append(k)
    names, rng = sorted(by_speaker), np.random.default_rng(seed)
    B, audio = min(B, len(names)), torch.from_numpy(e.means("audio", head))
    hits, asked = np.zeros(len(names)), np.zeros(len(names))
    for _ in range(draws):
        speakers = rng.permutation(len(names))[:B]
        chosen = [int(rng.choice(by_speaker[names[s]])) for s in speakers]
        windows = [e.of(k, "face", head) for k in chosen]
        faces = np.stack([x[rng.integers(len(x))] for x in windows])
        logits = (similarity or _cosine)(torch.from_numpy(faces), audio[chosen])  # (B, B)
        best = logits == logits.amax(dim=-1, keepdim=True)
        hits[speakers] += (best.diagonal() / best.sum(dim=-1)).numpy()  # a tie counts as its share
        asked[speakers] += 1
    return hits, asked, B, names


def _cosine(x: Tensor, y: Tensor) -> Tensor:
    return scaled_cosine(x, y, 1.0, 0.0)
