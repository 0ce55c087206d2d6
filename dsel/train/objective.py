"""From a batch to its loss: what is differentiated."""

from __future__ import annotations

from torch import Tensor, nn

from dsel.losses import BeyondLoss, DisentangledLoss
from dsel.model import TwoStream
from dsel.train.batches import Batch
from dsel.train.distributed import Ranks, gather


class Objective(nn.Module):
    """What is differentiated: batch -> total loss, its parts, the embeddings. One module, for DistributedDataParallel."""

    def __init__(self, model: TwoStream, loss: DisentangledLoss, embed, ranks: Ranks):
        super().__init__()
        self.model, self.loss, self.embed = model, loss, embed
        self.gather = gather if ranks.many else None

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor], tuple]:
        embeddings = self.embed(batch)
        return *self.loss(*embeddings, gather=self.gather), embeddings


def make_loss(settings: dict, D: int) -> DisentangledLoss:
    """The loss that these fields of `TrainConfig` describe, for embeddings of D numbers."""
    names = ("alpha_c", "alpha_s", "lam", "similarity", "confusion_scale", "w0", "w_max")
    options = {name: settings[name] for name in names}
    further = {name: settings[name] for name in ("within", "reversal", "intra") if settings.get(name)}
    if settings.get("leave_out") is not None:  # 0 leaves out the picked window alone; older settings have no such field
        further["leave_out"] = settings["leave_out"]
    return BeyondLoss(**further, D=D, **options) if further else DisentangledLoss(**options)
