"""The optimiser, its learning-rate schedule, and torch.compile of the networks."""

from __future__ import annotations

import math

import torch

from dsel.losses import DisentangledLoss
from dsel.model import TwoStream
from dsel.train.config import TrainConfig


def compile_(model: TwoStream) -> None:
    """Have torch.compile fuse the layers of trunks and heads, for the shapes they first meet; names of weights stay."""
    for part in (
        model.face_trunk,
        model.audio_trunk,
        *model.face_heads.values(),
        *model.audio_heads.values(),
    ):
        part.compile(dynamic=False)


def make_optimiser(
    model: TwoStream, loss: DisentangledLoss, config: TrainConfig, steps_an_epoch: int
):
    """The optimiser over networks and scales, and its schedule. Scales, biases and norms are not decayed."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1] + list(loss.parameters())
    groups = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    if config.optimiser == "sgd":
        optimiser = torch.optim.SGD(
            groups, lr=config.lr, momentum=0.9, weight_decay=config.weight_decay, fused=True
        )
        return optimiser, torch.optim.lr_scheduler.StepLR(optimiser, steps_an_epoch, gamma=0.95)
    optimiser = torch.optim.AdamW(
        groups, lr=config.lr, weight_decay=config.weight_decay, fused=True
    )
    return optimiser, torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: warmup_cosine(step, config.warmup, config.steps)
    )


def warmup_cosine(step: int, warmup: int, steps: int) -> float:
    """Factor on the learning rate: linear up over `warmup` steps, then half a cosine down to 0 at `steps`."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))
