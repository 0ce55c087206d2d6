"""Measure where the time of a training step goes."""

from __future__ import annotations

import time


def step_parts(trainer, steps: int = 5) -> dict[str, float]:
    """Milliseconds that each part of a training step takes on this machine: medians over some steps, {part: ms}.

    The trainer takes those steps, one part after the other, and is `steps` further on afterwards. On a GPU each part waits for
    the device, so that the sum is more than a step costs where they overlap.
    """
    import statistics

    import torch

    from dsel.train.augment import augment_faces, augment_sound

    def lap(name, call):
        begin = time.perf_counter()
        result = call()
        if trainer.device.type == "cuda":
            torch.cuda.synchronize()
        spent.setdefault(name, []).append(1000 * (time.perf_counter() - begin))
        return result

    def one_step():
        config = trainer.config
        batch = lap("read a batch", lambda: trainer.batches.at(trainer.step))
        draw = torch.Generator().manual_seed(trainer.step)
        inputs = [x.to(trainer.device) for x in (batch.faces, batch.extra_faces)]
        sound = batch.sound.to(trainer.device).float() / 32767
        lap("augment", lambda: (
            [augment_faces(x, draw, config.augment) for x in inputs if len(x)], augment_sound(sound, draw, config.augment)
        ))  # fmt: skip
        lap("mel spectrogram", lambda: trainer.model.front_end(sound))
        embeddings = lap("networks, forward", lambda: trainer.embed(batch))
        total = lap("the four losses", lambda: trainer.loss(*embeddings)[0])
        trainer.optimiser.zero_grad(set_to_none=True)
        lap("backward", total.backward)
        lap(
            "optimiser",
            lambda: (trainer.optimiser.step(), trainer.scheduler.step(), trainer.loss.limit_()),
        )
        trainer.step += 1

    spent: dict[str, list[float]] = {}
    trainer.model.train()
    for _ in range(steps):
        one_step()
    found = {name: statistics.median(times) for name, times in spent.items()}
    inside = found["augment"] + found["mel spectrogram"]  # `embed` does both as well
    return found | {"networks, forward": max(0.0, found["networks, forward"] - inside)}
