"""A small world of two factors (notebook 05): what the losses do where the truth is known.

A track has a speaker s (8 numbers) and in each of its windows a content c_t (8 numbers). A face
sensor and an audio sensor each see their own random mixture of the two, squashed, with noise of
their own. Two small streams learn from that in seconds, with the losses of `dsel.losses`. The
world is entangled: a training speaker has words of its own, so words help to tell speakers apart.
Notebook 05 shows in it what the scale w and the weight lambda do. (Source: ours.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsel.evaluate.embeddings import STREAMS
from dsel.losses import (
    BeyondLoss,
    ScaledCosine,
    content_logits,
    draw_pick,
    identity_logits,
    top1,
)
from dsel.model import HEADS

__all__ = [
    *("B", "FACTOR", "MIXTURE", "N", "SENSOR", "SPEAKERS", "TRACKS", "D"),
    *("Run", "Stream", "embed", "fooled", "judge", "readable", "say", "sense", "train"),
    *("TASKS", "two_by_two"),
]

FACTOR, SENSOR, D = 8, 32, 16  # numbers of a factor, of a sensor, of an embedding
N = 8  # windows of a track
SPEAKERS, TRACKS, B = 64, 4, 16  # training speakers, tracks of each, speakers in a batch
HIDDEN = 64  # numbers between the trunk and the heads
WORDS, REST = 0.8, 0.6  # content: what a track is about, and what a window adds; 0.64 + 0.36 = 1
NOISE = 0.35
TASKS = {"content": N, "identity": 64}  # how many answers each task has where a training is judged
_WORLD = torch.Generator().manual_seed(0)  # there is one world; seeds draw who lives in it
MIXTURE = {
    stream: torch.randn(2 * FACTOR, SENSOR, generator=_WORLD) / math.sqrt(2 * FACTOR)
    for stream in STREAMS
}


def say(words: Tensor, g: torch.Generator) -> Tensor:
    """Draw the content of N windows around what each track is about, of unit variance.

    Args:
        words: (T, 8).
        g: the generator.
    Returns:
        (T, N, 8).
    """
    return WORDS * words[:, None] + REST * torch.randn(len(words), N, FACTOR, generator=g)


def sense(speaker: Tensor, content: Tensor, stream: str, g: torch.Generator) -> Tensor:
    """Compute what a sensor sees of both factors.

    The noise has a part that stays over the track and a part per window, drawn for each stream.

    Args:
        speaker: (T, 8).
        content: (T, N, 8).
        stream: "face" or "audio".
        g: the generator.
    Returns:
        (T, N, 32).
    """
    both = torch.cat([speaker[:, None].expand(-1, N, -1), content], dim=-1)  # (T, N, 16)
    of_track = torch.randn(len(speaker), 1, SENSOR, generator=g)
    noise = of_track + torch.randn(len(speaker), N, SENSOR, generator=g)
    return torch.tanh(both @ MIXTURE[stream]) + NOISE * noise


class Stream(nn.Module):
    """A trunk shared by two heads: (..., 32) -> {"content": (..., 16), "identity": (..., 16)}."""

    def __init__(self, g: torch.Generator):
        super().__init__()
        # nn.Linear's own initialisation would draw from the global generator.
        linear = partial(nn.utils.skip_init, nn.Linear)
        self.trunk = nn.Sequential(linear(SENSOR, HIDDEN), nn.ReLU())
        self.heads = nn.ModuleDict({head: linear(HIDDEN, D) for head in HEADS})
        for layer in (self.trunk[0], *self.heads.values()):
            nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=g)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h = self.trunk(x)
        return {name: head(h) for name, head in self.heads.items()}


@dataclass(frozen=True)
class Run:
    """A training: both streams, the loss with its scales, what each step measured.

    trace: {name: (steps,)}.
    """

    streams: dict
    loss: BeyondLoss
    trace: dict


def train(seed: int, steps: int, **options) -> Run:
    """Train both streams on 64 speakers with 4 tracks each.

    Args:
        seed: of speakers, words, initial weights and batches.
        steps: of Adam.
        options: of `dsel.losses.BeyondLoss`; without any, the loss is that of the notes.
    """
    g = torch.Generator().manual_seed(seed)
    speaker, words = (
        torch.randn(SPEAKERS, FACTOR, generator=g).repeat_interleave(TRACKS, 0) for _ in range(2)
    )
    content = say(words, g)  # a speaker's words are its own: entangled
    x = {stream: sense(speaker, content, stream, g) for stream in STREAMS}
    streams, loss = {stream: Stream(g) for stream in STREAMS}, BeyondLoss(D=D, **options)
    parameters = [p for module in (*streams.values(), loss) for p in module.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=5e-3)
    trace = []
    for _ in range(steps):
        of_speaker = torch.randperm(SPEAKERS, generator=g)[:B]
        tracks = TRACKS * of_speaker + torch.randint(TRACKS, (B,), generator=g)
        face, audio = (streams[stream](x[stream][tracks]) for stream in STREAMS)
        total, parts = loss(face, audio, draw_pick(B, N, g))
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        loss.limit_()
        trace.append({name: part.item() for name, part in parts.items()} | loss.scales())
    return Run(streams, loss, {name: np.array([row[name] for row in trace]) for name in trace[0]})


@torch.no_grad()
def embed(run: Run, seed: int, tracks: int = 256) -> tuple[dict, dict, Tensor]:
    """Embed unseen speakers who say anything.

    Args:
        run: the training.
        seed: of speakers and content.
        tracks: T, one per speaker.
    Returns:
        the embeddings {head: (T, N, 16)} of face and of audio, and the content (T, N, 8).
    """
    g = torch.Generator().manual_seed(10_000 + seed)
    speaker = torch.randn(tracks, FACTOR, generator=g)
    content = torch.randn(tracks, N, FACTOR, generator=g)
    face, audio = (run.streams[s](sense(speaker, content, s, g)) for s in STREAMS)
    return face, audio, content


def judge(run: Run, seed: int) -> dict[str, float]:
    """Judge a training on unseen speakers.

    Args:
        run: the training.
        seed: of the speakers.
    Returns:
        "content right", "identity right": how often the true answer is ranked first in the head's
            own task, in percent, of 8 and of 64 answers.
        "width": one minus the mean cosine between identity embeddings of sounds; near 0 if all
            point in one direction.
        "words left", "fooled": see `readable` and `fooled`, of the identity head.
    """
    face, audio, content = embed(run, seed)
    g = torch.Generator().manual_seed(20_000 + seed)
    cosine, few = ScaledCosine(1.0, 0.0), slice(0, 64)
    pick = draw_pick(64, N, g)
    who = identity_logits(face["identity"][few], audio["identity"][few], cosine, pick)
    z = F.normalize(audio["identity"][few].flatten(0, 1), dim=-1)
    what = content_logits(face["content"], audio["content"], cosine)
    return {
        "content right": 100 * top1(what).item(),
        "identity right": 100 * top1(who).item(),
        "width": 1 - (z @ z.T).mean().item(),
        "words left": readable(audio["identity"], content),
        "fooled": fooled(lambda x: run.streams["audio"](x)["identity"], g),
    }


def two_by_two(run: Run, seed: int) -> dict[tuple[str, str], float]:
    """Let each head do both tasks on unseen speakers.

    Args:
        run: the training.
        seed: of the speakers.
    Returns:
        {(task, head): how often the true answer is ranked first, in percent}; chance is one in
        `TASKS[task]`.
    """
    face, audio, _ = embed(run, seed)
    few, cosine = slice(0, TASKS["identity"]), ScaledCosine(1.0, 0.0)
    pick = draw_pick(TASKS["identity"], N, torch.Generator().manual_seed(20_000 + seed))
    right = {}
    for head in HEADS:
        logits = identity_logits(face[head][few], audio[head][few], cosine, pick)
        right["identity", head] = 100 * top1(logits).item()
        right["content", head] = 100 * top1(content_logits(face[head], audio[head], cosine)).item()
    return right


def readable(x: Tensor, y: Tensor) -> float:
    """Compute how much of y ridge regression reads off x, as R² in percent.

    It is fitted on half of the tracks and judged on the others. 100 is everything, 0 or less
    nothing.

    Args:
        x: (T, N, D).
        y: (T, N, E).
    """
    (x1, x2), (y1, y2) = (
        (z.double() - z.double().mean((0, 1))).flatten(0, 1).chunk(2) for z in (x, y)
    )
    scale = x1.std(0).clamp(min=1e-9)
    x1, x2 = x1 / scale, x2 / scale
    fit = torch.linalg.solve(x1.T @ x1 + torch.eye(x1.shape[1], dtype=x1.dtype), x1.T @ y1)
    return 100 * (1 - ((y2 - x2 @ fit) ** 2).sum() / (y2**2).sum()).item()


@torch.no_grad()
def fooled(head, g: torch.Generator, tracks: int = 256) -> float:
    """Compute how often a head takes the same words for the same speaker, in percent.

    It is asked which is more alike: another speaker with the same words, or the same speaker with
    other words. 0: it hears identity only. 50: it guesses (ties count half). 100: words only.

    Args:
        head: audio (T, N, 32) -> embeddings (T, N, D); their means over a track are compared.
        g: the generator.
        tracks: T.
    """
    speaker, words, others = (torch.randn(tracks, FACTOR, generator=g) for _ in range(3))

    def voice(speaker: Tensor, words: Tensor) -> Tensor:
        heard = sense(speaker, say(words, g), "audio", g)
        return F.normalize(head(heard), dim=-1).mean(dim=1)

    one, target = voice(speaker, words), voice(speaker, others)
    impostor = voice(speaker.roll(1, 0), words)
    of_impostor = F.cosine_similarity(one, impostor)[None]
    lead = of_impostor - F.cosine_similarity(one, target)[:, None]  # (T, T)
    return 50 * (1 + lead.sign().mean().item())
