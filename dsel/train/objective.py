"""Compute the loss of a batch, in the order in which it happens: augment, both streams, loss."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dsel.losses import DisentangledLoss, ExtendedLoss, mean_voice
from dsel.model import HEADS, TwoStream
from dsel.train import augment as change
from dsel.train.batches import Batch
from dsel.train.config import TrainConfig
from dsel.train.distributed import Ranks, gather

INT16 = 32767  # the sample of a batch that stands for 1.0

# What `DisentangledLoss.forward` takes: face, audio, pick, extra.
LossInputs = tuple[dict[str, Tensor], dict[str, Tensor], Tensor, tuple[Tensor, Tensor] | None]


@dataclass(frozen=True)
class Views:
    """A batch as the networks see it in one step: augmented, and on the device."""

    faces: Tensor  # (B, T, H, W, 3) in [0, 1]
    extra_faces: Tensor  # (E, 5, H, W, 3) in [0, 1]
    sound: Tensor  # (B + E, 640 T) in [-1, 1]
    pick: Tensor  # (B,) the window that represents the face in the identity task
    extra_pick: Tensor  # (E,) the window that extra_faces shows


class Objective(nn.Module):
    """Everything that is differentiated in a step.

    It is one module, so that DistributedDataParallel can wrap it.

    Args:
        model, loss: the networks and their loss, on `device`.
        config: strength of the augmentation, seed, warm-up of lambda, and `leave_out`.
        ranks: the place of this process among all; None: there is one process.
        device: where the step is computed; None: the CPU.
        autocast: makes the context in which the networks run. Losses are always in float32.
    """

    def __init__(
        self,
        model: TwoStream,
        loss: DisentangledLoss,
        config: TrainConfig,
        *,
        ranks: Ranks | None = None,
        device: torch.device | None = None,
        autocast: Callable[[], AbstractContextManager] = nullcontext,
    ) -> None:
        super().__init__()
        self.model, self.loss, self.config, self.autocast = model, loss, config, autocast
        self.ranks, self.device = ranks or Ranks(), device or torch.device("cpu")
        self.gather = gather if self.ranks.many else None

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor], LossInputs]:
        """Compute the loss of a batch at a step.

        Args:
            batch: what `Batches.at(step)` returns.
            step: number of the step; it decides augmentation and ramp.
        Returns:
            The total (scalar), its parts by name, and what was compared, as `embed` returns it.
        """
        compared = self.embed(self.augment(batch, step))
        total, parts = self.loss(*compared, gather=self.gather, ramp=self.ramp(step))
        return total, parts, compared

    def ramp(self, step: int) -> float:
        """Compute the share of lambda at a step: it rises to 1 over `lam_warmup` steps. (Ours.)"""
        return min(1.0, (step + 1) / max(1, self.config.lam_warmup))

    def augment(self, batch: Batch, step: int) -> Views:
        """Bring a batch to the device and augment it.

        The changes are a pure function of (seed, step). They are drawn for the tracks of all
        processes, and each process takes its own.

        Args:
            batch: what `Batches.at(step)` returns.
            step: number of the step.
        """
        B, E, ranks = len(batch.faces), len(batch.extra_faces), self.ranks
        faces, extra_faces, sound, pick, extra_pick = (
            x.to(self.device, non_blocking=True)
            for x in (batch.faces, batch.extra_faces, batch.sound, batch.pick, batch.extra_pick)
        )
        draw = torch.Generator().manual_seed(self.config.seed * 1_000_003 + step)
        first = ranks.rank * B + torch.arange(B)  # our tracks among those of all processes
        further = ranks.rank * E + torch.arange(E)  # our extra tracks among the extra ones of all
        everybody = ranks.world * (B + E), torch.cat([first, ranks.world * B + further])
        sound, ours = sound.float() / INT16, (ranks.world * B, first)
        if self.config.speed:  # not for the extra tracks: of them one window alone is seen
            faces, slow = change.slow_down(faces, sound[:B], draw, self.config.speed, ours)
            sound = torch.cat([slow, sound[B:]])
        sound = self._heard(sound, draw, everybody)
        faces = self._filmed(faces, draw, ours)
        if E:
            extra_faces = self._filmed(extra_faces, draw, (ranks.world * E, further))
        return Views(faces, extra_faces, sound, pick, extra_pick)

    def _heard(self, sound: Tensor, draw: torch.Generator, share: change.Share) -> Tensor:
        """Put tracks (B, S) into rooms, before microphones, and add noise."""
        config = self.config
        if config.room:
            sound = change.add_room(sound, draw, config.room, share)
        sound = change.augment_sound(sound, draw, config.augment, share)
        return change.add_noise(sound, draw, config.noise, share) if config.noise else sound

    def _filmed(self, faces: Tensor, draw: torch.Generator, share: change.Share) -> Tensor:
        """Film tracks (B, T, H, W, 3) in another light, with another lens and codec."""
        config = self.config
        faces = change.augment_faces(faces, draw, config.augment, share)
        if config.blur:
            faces = change.blur(faces, draw, config.blur, share)
        return (
            change.compress(faces, draw, config.compression, share) if config.compression else faces
        )

    def embed(self, views: Views) -> LossInputs:
        """Run both streams.

        Returns:
            What `DisentangledLoss.forward` takes, in float32: face and audio, each {"content": (B,
            N, D), "identity": (B, N, D)}; pick (B,); extra: one face window and the mean audio of
            each further track, both (E, D), or None if E = 0.
        """
        B, E = len(views.faces), len(views.extra_faces)
        one = None
        with self.autocast():
            face, audio = self.model.face(views.faces), self.model.audio(views.sound)
            if E:
                one = self.model.face(views.extra_faces, ("identity",))["identity"]  # (E, 1, D)
        face, audio = ({head: e[head].float() for head in HEADS} for e in (face, audio))
        extra = None
        if one is not None:
            mean = mean_voice(audio["identity"][B:], views.extra_pick, self.config.leave_out)
            extra = one[:, 0].float(), mean
        return face, {head: e[:B] for head, e in audio.items()}, views.pick, extra


def make_loss(settings: dict[str, Any], D: int) -> DisentangledLoss:
    """Make the loss that a training configuration describes.

    Args:
        settings: fields of `TrainConfig`. Older ones lack the terms beyond the notes.
        D: numbers per embedding.

    >>> settings = {"alpha_c": 1.0, "alpha_s": 1.0, "lam": 3.0, "similarity": "cosine"}
    >>> settings |= {"confusion_scale": "detached", "w0": 10.0, "w_max": 20.0}
    >>> type(make_loss(settings, D=128)).__name__
    'DisentangledLoss'
    >>> type(make_loss(settings | {"within": 0.5}, D=128)).__name__
    'ExtendedLoss'
    """
    names = ("alpha_c", "alpha_s", "lam", "similarity", "confusion_scale", "w0", "w_max")
    options = {name: settings[name] for name in names}
    terms = ("within", "reversal", "intra")
    further = {name: settings[name] for name in terms if settings.get(name)}
    if settings.get("leave_out") is not None:  # 0 is not None: it leaves out the picked window
        further["leave_out"] = settings["leave_out"]
    return ExtendedLoss(**further, D=D, **options) if further else DisentangledLoss(**options)
