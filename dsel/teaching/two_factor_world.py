"""A world of two factors, learnt in seconds: what the losses do when truth is known and nothing else is in the way.

A track has a speaker s (8 numbers) and in each of its windows a content c_t (8 numbers). A camera and a microphone each see
their own random mixture of the two, squashed, with noise of their own. Two small streams learn from that with the very losses
of `dsel.losses`. The world is entangled: a training speaker has words of its own, so that words help to tell speakers apart.
Notebook 05 uses it to show what the scale w and the weight lambda do. (Source: ours.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsel.losses import BeyondLoss, ScaledCosine, content_logits, draw_pick, identity_logits, top1

HEADS = ("content", "identity")
STREAMS = ("face", "audio")
FACTOR, SENSOR, D, N = 8, 32, 16, 8  # numbers of a factor, of a sensor, of an embedding; windows of a track
SPEAKERS, TRACKS, B = 64, 4, 16  # training speakers, tracks of each, speakers in a batch
_WORLD = torch.Generator().manual_seed(0)  # there is one world; seeds draw who lives in it
MIXTURE = {stream: torch.randn(2 * FACTOR, SENSOR, generator=_WORLD) / math.sqrt(2 * FACTOR) for stream in STREAMS}


def say(words: Tensor, g: torch.Generator) -> Tensor:
    """Content of N windows, scattered around what a track is about: words (T, 8) -> (T, N, 8), of unit variance."""
    return 0.8 * words[:, None] + 0.6 * torch.randn(len(words), N, FACTOR, generator=g)


def sense(speaker: Tensor, content: Tensor, stream: str, g: torch.Generator) -> Tensor:
    """What a sensor makes of both factors: speaker (T, 8), content (T, N, 8) -> (T, N, 32).

    The noise has a part that stays over the track and a part of each window, drawn anew for each stream.
    """
    both = torch.cat([speaker[:, None].expand(-1, N, -1), content], dim=-1)  # (T, N, 16)
    noise = torch.randn(len(speaker), 1, SENSOR, generator=g) + torch.randn(len(speaker), N, SENSOR, generator=g)
    return torch.tanh(both @ MIXTURE[stream]) + 0.35 * noise


class Stream(nn.Module):
    """A trunk shared by both tasks, and two heads: (..., 32) -> {"content": (..., 16), "identity": (..., 16)}."""

    def __init__(self, g: torch.Generator):
        super().__init__()
        linear = partial(nn.utils.skip_init, nn.Linear)  # its own start would draw from the global generator
        self.trunk = nn.Sequential(linear(SENSOR, 64), nn.ReLU())
        self.heads = nn.ModuleDict({head: linear(64, D) for head in HEADS})
        for layer in (self.trunk[0], *self.heads.values()):
            nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=g)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h = self.trunk(x)
        return {name: head(h) for name, head in self.heads.items()}


@dataclass(frozen=True)
class Run:
    """A training: both streams, the loss with its scales, and what each step measured ({name: (steps,)})."""

    streams: dict
    loss: BeyondLoss
    trace: dict


def train(seed: int, steps: int, **options) -> Run:
    """Learn from 64 speakers with 4 tracks each. options: those of `BeyondLoss`; without its own weights, the notes' loss."""
    g = torch.Generator().manual_seed(seed)
    speaker, words = (torch.randn(SPEAKERS, FACTOR, generator=g).repeat_interleave(TRACKS, 0) for _ in range(2))
    content = say(words, g)  # a speaker's words are its own: entangled
    x = {stream: sense(speaker, content, stream, g) for stream in STREAMS}
    streams, loss = {stream: Stream(g) for stream in STREAMS}, BeyondLoss(D=D, **options)
    parameters = [p for module in (*streams.values(), loss) for p in module.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=5e-3)
    trace = []
    for _ in range(steps):
        tracks = TRACKS * torch.randperm(SPEAKERS, generator=g)[:B] + torch.randint(TRACKS, (B,), generator=g)
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
    """Unseen speakers saying anything: embeddings {head: (T, N, 16)} of face and audio, and the content (T, N, 8)."""
    g = torch.Generator().manual_seed(10_000 + seed)
    speaker, content = torch.randn(tracks, FACTOR, generator=g), torch.randn(tracks, N, FACTOR, generator=g)
    face, audio = (run.streams[stream](sense(speaker, content, stream, g)) for stream in STREAMS)
    return face, audio, content


def judge(run: Run, seed: int) -> dict[str, float]:
    """What a run is worth, on unseen speakers.

    'content right', 'identity right': the true answer ranked first in the head's own task, in per cent of 8 and of 64 answers.
    'width': one minus the mean cosine between identity embeddings of sounds; near 0 for a cone.
    'words left', 'fooled': see `readable` and `fooled`, both for the identity head.
    """
    face, audio, content = embed(run, seed)
    g = torch.Generator().manual_seed(20_000 + seed)
    plain, few = ScaledCosine(1.0, 0.0), slice(0, 64)
    who = identity_logits(face["identity"][few], audio["identity"][few], plain, draw_pick(64, N, g))
    z = F.normalize(audio["identity"][few].flatten(0, 1), dim=-1)
    return {
        "content right": 100 * top1(content_logits(face["content"], audio["content"], plain)).item(),
        "identity right": 100 * top1(who).item(),
        "width": 1 - (z @ z.T).mean().item(),
        "words left": readable(audio["identity"], content),
        "fooled": fooled(lambda x: run.streams["audio"](x)["identity"], g),
    }


def readable(x: Tensor, y: Tensor) -> float:
    """How much of y (T, N, E) ridge regression reads off x (T, N, D): R² in per cent, fitted on half of the tracks, judged on
    the rest. 100: all. 0 or less: nothing."""
    (x1, x2), (y1, y2) = ((z.double() - z.double().mean((0, 1))).flatten(0, 1).chunk(2) for z in (x, y))
    scale = x1.std(0).clamp(min=1e-9)
    x1, x2 = x1 / scale, x2 / scale
    fit = torch.linalg.solve(x1.T @ x1 + torch.eye(x1.shape[1], dtype=x1.dtype), x1.T @ y1)
    return 100 * (1 - ((y2 - x2 @ fit) ** 2).sum() / (y2**2).sum()).item()


@torch.no_grad()
def fooled(head, g: torch.Generator, tracks: int = 256) -> float:
    """How often, in per cent, another speaker with the same words looks more alike than the same speaker with other words.

    head: audio (T, N, 32) -> embeddings (T, N, D), averaged over a track and compared by cosine. 0: it hears identity alone;
    50: a coin (ties count half); 100: it hears words alone.
    """
    speaker, words, others = (torch.randn(tracks, FACTOR, generator=g) for _ in range(3))

    def voice(speaker, words):
        return F.normalize(head(sense(speaker, say(words, g), "audio", g)), dim=-1).mean(dim=1)

    one, target, impostor = voice(speaker, words), voice(speaker, others), voice(speaker.roll(1, 0), words)
    lead = F.cosine_similarity(one, impostor)[None] - F.cosine_similarity(one, target)[:, None]  # (T, T)
    return 50 * (1 + lead.sign().mean().item())
