"""Accuracy of the two matching tasks, content and identity."""

from __future__ import annotations

import numpy as np
import torch

from dsel.evaluate.embeddings import STREAMS, Embeddings
from dsel.losses import scaled_cosine, top1

CHOICES = 30  # windows of a track and tracks of a batch to choose from, as in the ablation of the notes


def content_accuracy(e: Embeddings, head: str = "content", N: int = CHOICES, similarity=None) -> dict:
    """Content task: share of video windows whose nearest audio window, of N consecutive ones of the track, is their own.

    Returns {"top1", "within_one" (the match or its 40 ms neighbour), "chance", "choices", "tracks"}. The first N windows of
    each track of at least N windows are used; where no track has N, N is lowered to the longest. (Source: notes; ours.)
    """
    lengths = np.bincount(e.track)
    N = int(min(N, lengths.max()))
    rows = [k for k, n in enumerate(lengths) if n >= N]
    face, audio = (torch.from_numpy(np.stack([e.of(k, stream, head)[:N] for k in rows])) for stream in STREAMS)
    logits = (similarity or _cosine)(face, audio)  # (tracks, N, N)
    near = (logits.argmax(-1) - torch.arange(N)).abs() <= 1
    return {
        "top1": top1(logits).item(),
        "within_one": near.double().mean().item(),
        "chance": 1 / N,
        "choices": N,
        "tracks": len(rows),
    }


def identity_accuracy(
    e: Embeddings, head: str = "identity", B: int = CHOICES, draws: int = 200, seed: int = 0, similarity=None
):
    """Identity task: share of face windows that find the mean audio of their own track among B tracks of B speakers.

    Returns {"top1", "chance", "choices", "draws"}: the mean over `draws` random choices of speakers, tracks and windows. With
    fewer than B speakers, B is their number. Different speakers, so that no negative is false. (Source: notes; ours.)
    """
    by_speaker: dict[str, list[int]] = {}
    for k, track in enumerate(e.tracks):
        by_speaker.setdefault(track.speaker, []).append(k)
    B, rng, names = min(B, len(by_speaker)), np.random.default_rng(seed), sorted(by_speaker)
    audio, correct = torch.from_numpy(e.means("audio", head)), []
    for _ in range(draws):
        chosen = [int(rng.choice(by_speaker[name])) for name in rng.permutation(names)[:B]]
        face = [e.of(k, "face", head) for k in chosen]
        picked = np.stack([windows[rng.integers(len(windows))] for windows in face])
        correct.append(top1((similarity or _cosine)(torch.from_numpy(picked), audio[chosen])).item())
    return {"top1": float(np.mean(correct)), "chance": 1 / B, "choices": B, "draws": draws}


def _cosine(x, y):
    return scaled_cosine(x, y, 1.0, 0.0)
