"""Measure where the time of a training step goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from dsel.train.trainer import Trainer

Result = TypeVar("Result")


def step_parts(trainer: Trainer, steps: int = 5) -> dict[str, float]:
    """Measure how long each part of a training step takes on this machine.

    The trainer takes these steps, one part after the other, and is `steps` further on afterwards.
    On a GPU each part waits for the device. So the sum is more than the time of a step in which
    parts overlap.

    Args:
        trainer: is trained by these steps.
        steps: how many.
    Returns:
        {part: milliseconds}, the median over the steps.
    """
    import statistics

    times: dict[str, list[float]] = {}
    trainer.model.train()
    for _ in range(steps):
        _timed_step(trainer, times)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    inside = medians["augment"] + medians["mel spectrogram"]  # `Trainer.embed` does both as well
    return medians | {"networks, forward": max(0.0, medians["networks, forward"] - inside)}


def _timed_step(trainer: Trainer, times: dict[str, list[float]]) -> None:
    """Take one step of training, and append the milliseconds of each part to `times`."""
    import torch

    from dsel.train.augment import augment_faces, augment_sound

    def timed(name: str, call: Callable[[], Result]) -> Result:
        begin = time.perf_counter()
        result = call()
        if trainer.device.type == "cuda":
            torch.cuda.synchronize()
        times.setdefault(name, []).append(1000 * (time.perf_counter() - begin))
        return result

    def update() -> None:
        trainer.optimiser.step()
        trainer.scheduler.step()
        trainer.loss.limit_()

    strength = trainer.config.augment
    batch = timed("read a batch", lambda: trainer.batches.at(trainer.step))
    draw = torch.Generator().manual_seed(trainer.step)
    pictures = [x.to(trainer.device) for x in (batch.faces, batch.extra_faces) if len(x)]
    sound = batch.sound.to(trainer.device).float() / 32767
    timed("augment", lambda: (
        [augment_faces(x, draw, strength) for x in pictures], augment_sound(sound, draw, strength)
    ))  # fmt: skip
    timed("mel spectrogram", lambda: trainer.model.front_end(sound))
    embeddings = timed("networks, forward", lambda: trainer.embed(batch))
    total = timed("the four losses", lambda: trainer.loss(*embeddings)[0])
    trainer.optimiser.zero_grad(set_to_none=True)
    timed("backward", total.backward)
    timed("optimiser", update)
    trainer.step += 1
