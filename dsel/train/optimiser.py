"""The optimiser, its learning-rate schedule, and torch.compile of the networks."""

from __future__ import annotations

import math
from typing import Any

from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, StepLR

from dsel.losses import DisentangledLoss
from dsel.model import TwoStream
from dsel.train.config import TrainConfig


def compile_(model: TwoStream) -> None:
    """Compile trunks and heads with torch.compile, in place; the weights keep their names.

    Each part is compiled for the first shapes it meets.
    """
    heads = [*model.face_heads.values(), *model.audio_heads.values()]
    for part in (model.face_trunk, model.audio_trunk, *heads):
        part.compile(dynamic=False)


def make_optimiser(
    model: TwoStream, loss: DisentangledLoss, config: TrainConfig, steps_per_epoch: int
) -> tuple[Optimizer, LRScheduler]:
    """Make the optimiser of networks and scales, and its learning-rate schedule.

    Weight decay acts on matrices only, not on scales, biases and norms.

    Args:
        model, loss: whose parameters are trained.
        config: optimiser, lr, warmup, steps and weight_decay.
        steps_per_epoch: steps between two changes of the learning rate under 'sgd'.
    """
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1] + list(loss.parameters())
    groups: list[dict[str, Any]] = [
        {"params": matrices},
        {"params": others, "weight_decay": 0.0},
    ]
    options: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": True}
    if config.optimiser == "sgd":
        sgd = SGD(groups, momentum=0.9, **options)
        return sgd, StepLR(sgd, steps_per_epoch, gamma=0.95)
    adamw = AdamW(groups, **options)
    return adamw, LambdaLR(adamw, lambda step: warmup_cosine(step, config.warmup, config.steps))


def warmup_cosine(step: int, warmup: int, steps: int) -> float:
    """Compute the factor on the learning rate at a step.

    It rises linearly over `warmup` steps, then falls along half a cosine to 0 at `steps`.

    Args:
        step: number of the step, from 0 on.
        warmup: number of steps of the rise.
        steps: length of the training.

    >>> [round(warmup_cosine(step, warmup=2, steps=6), 2) for step in range(7)]
    [0.5, 1.0, 1.0, 0.85, 0.5, 0.15, 0.0]
    """
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))
