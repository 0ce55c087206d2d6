"""From a batch to its loss, in the order in which it happens: augment -> both streams -> loss."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dsel.losses import DisentangledLoss, ExtendedLoss, mean_voice
from dsel.model import HEADS, TwoStream
from dsel.train.augment import augment_faces, augment_sound
from dsel.train.batches import Batch
from dsel.train.config import TrainConfig
from dsel.train.distributed import Ranks, gather

INT16 = 32767  # the sample of a batch that stands for 1.0


@dataclass(frozen=True)
class Views:
    """A batch as the networks see it in one step, augmented and on the device.

    faces (B, T, H, W, 3) and extra_faces (E, 5, H, W, 3) in [0, 1]; sound (B + E, 640 T) in [-1, 1]; pick (B,) and
    extra_pick (E,): which window of each track represents its face in the identity task.
    """

    faces: Tensor
    extra_faces: Tensor
    sound: Tensor
    pick: Tensor
    extra_pick: Tensor


class Objective(nn.Module):
    """Everything that is differentiated in a step, in one module that DistributedDataParallel can wrap.

    Args:
        model, loss: the networks and their loss, on `device`.
        config: strength of the augmentation, seed, warm-up of lambda, and `leave_out`.
        ranks: which of several processes this one is. device: where the step is computed.
        autocast: makes the context in which the networks run; losses are always in float32.
    """

    def __init__(
        self,
        model: TwoStream,
        loss: DisentangledLoss,
        config: TrainConfig,
        *,
        ranks: Ranks | None = None,
        device: torch.device | None = None,
        autocast=nullcontext,
    ):
        super().__init__()
        self.model, self.loss, self.config, self.autocast = model, loss, config, autocast
        self.ranks, self.device = ranks or Ranks(), device or torch.device("cpu")
        self.gather = gather if self.ranks.many else None

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor], tuple]:
        """Compute the loss of a batch at a step.

        Returns:
            The total (scalar), its parts by name, and what was compared: (face, audio, pick, extra) as `embed` gives them.
        """
        compared = self.embed(self.augment(batch, step))
        total, parts = self.loss(*compared, gather=self.gather, ramp=self.ramp(step))
        return total, parts, compared

    def ramp(self, step: int) -> float:
        """Share of lambda that holds at a step: rises linearly to 1 over the first `lam_warmup` steps. (Source: ours.)"""
        return min(1.0, (step + 1) / max(1, self.config.lam_warmup))

    def augment(self, batch: Batch, step: int) -> Views:
        """Bring a batch to the device and disturb it: a pure function of (seed, step), shared out over the processes."""
        B, E, ranks = len(batch.faces), len(batch.extra_faces), self.ranks
        faces, extra_faces, sound, pick, extra_pick = (
            x.to(self.device, non_blocking=True)
            for x in (batch.faces, batch.extra_faces, batch.sound, batch.pick, batch.extra_pick)
        )
        draw = torch.Generator().manual_seed(self.config.seed * 1_000_003 + step)
        strength, first = (
            self.config.augment,
            ranks.rank * B + torch.arange(B),
        )  # which of all processes' tracks are ours
        further = ranks.rank * E + torch.arange(E)
        whole = ranks.world * (B + E), torch.cat([first, ranks.world * B + further])
        sound = augment_sound(sound.float() / INT16, draw, strength, whole)
        faces = augment_faces(faces, draw, strength, (ranks.world * B, first))
        if E:
            extra_faces = augment_faces(extra_faces, draw, strength, (ranks.world * E, further))
        return Views(faces, extra_faces, sound, pick, extra_pick)

    def embed(self, views: Views) -> tuple[dict, dict, Tensor, tuple | None]:
        """Run both streams: what `DisentangledLoss` takes, in float32.

        Returns:
            face, audio: {"content": (B, N, D), "identity": (B, N, D)}; pick (B,); extra: None, or one face window and the
            mean audio of each further track, both (E, D).
        """
        B, E = len(views.faces), len(views.extra_faces)
        with self.autocast():
            face, audio = self.model.face(views.faces), self.model.audio(views.sound)
            extra = self.model.face(views.extra_faces, ("identity",))["identity"] if E else None
        face, audio = ({head: e[head].float() for head in HEADS} for e in (face, audio))
        if E:
            mean = mean_voice(audio["identity"][B:], views.extra_pick, self.config.leave_out)
            extra = extra[:, 0].float(), mean
        return face, {head: e[:B] for head, e in audio.items()}, views.pick, extra


def make_loss(settings: dict, D: int) -> DisentangledLoss:
    """Make the loss that these fields of `TrainConfig` describe, for embeddings of D numbers."""
    names = ("alpha_c", "alpha_s", "lam", "similarity", "confusion_scale", "w0", "w_max")
    options = {name: settings[name] for name in names}
    further = {
        name: settings[name] for name in ("within", "reversal", "intra") if settings.get(name)
    }
    if (
        settings.get("leave_out") is not None
    ):  # 0 leaves out the picked window alone; older settings have no such field
        further["leave_out"] = settings["leave_out"]
    return ExtendedLoss(**further, D=D, **options) if further else DisentangledLoss(**options)
