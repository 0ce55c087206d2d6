"""Run as one of several processes: python ranks.py CORPUS OUT.

tests/train/test_distributed.py starts it with torchrun's variables. It writes loss and gradients of
one step in float64 to OUT/<rank>.pt, and trains two steps in OUT/run.
"""

import sys
from pathlib import Path

import torch

from dsel.corpus import Corpus
from dsel.losses import DisentangledLoss
from dsel.model import HEADS, ModelConfig, TwoStream
from dsel.train import Objective, TrainConfig, Trainer
from dsel.train.distributed import Ranks, join, leave, parallel, synchronise

B, E, T = 2, 2, 8  # of each process
SETTINGS = {
    "N": 6,
    "steps": 4,
    "optimiser": "sgd",
    "lr": 1e-2,
    "log_every": 1,
    "device": "cpu",
    "precision": "float32",
}


def step(ranks: Ranks, world: int = 2):
    """Compute loss, gradients and running statistics of one step.

    The step has world B tracks and world E further ones; this process computes its share.
    """
    generator = torch.Generator().manual_seed(0)
    faces = torch.rand(world * B, T, 48, 48, 3, generator=generator, dtype=torch.float64)
    further = torch.rand(world * E, 5, 48, 48, 3, generator=generator, dtype=torch.float64)
    sound = 0.1 * torch.randn(world * (B + E), 640 * T, generator=generator, dtype=torch.float64)
    pick = torch.randint(T - 4, (world * B,), generator=generator)
    torch.manual_seed(1)
    model, loss = TwoStream(ModelConfig.laptop()).double().train(), DisentangledLoss().double()
    share = world // ranks.world  # how many processes' tracks are this one's
    mine = slice(ranks.rank * share * B, (ranks.rank + 1) * share * B)
    theirs = slice(ranks.rank * share * E, (ranks.rank + 1) * share * E)

    def embed(_):
        face = model.face(faces[mine])
        audio = model.audio(torch.cat([sound[: world * B][mine], sound[world * B :][theirs]]))
        one = model.face(further[theirs], ("identity",))["identity"][:, 0]
        own = {head: audio[head][: share * B] for head in HEADS}
        return face, own, pick[mine], (one, audio["identity"][share * B :].mean(dim=1))

    if ranks.many:
        model = synchronise(model, torch.device("cpu"))

    class InFloat64(Objective):
        """Without augmentation, on the tensors above."""

        def augment(self, batch, step):
            return None

        def embed(self, views):
            return embed(views)

    config = TrainConfig.checked(lam_warmup=0)
    objective = parallel(InFloat64(model, loss, config, ranks=ranks), ranks, torch.device("cpu"))
    total, parts, _ = objective(None, 0)
    total.backward()
    named = [
        *model.named_parameters(),
        *((f"loss.{name}", p) for name, p in loss.named_parameters()),
    ]
    return {
        "loss": total.detach(),
        "parts": {name: value.detach() for name, value in parts.items()},
        "gradient": {name: p.grad for name, p in named},
        "statistics": dict(model.named_buffers()),
    }


def main(corpus: str, out: str) -> None:
    ranks, _ = join("cpu")
    torch.save(step(ranks), Path(out) / f"{ranks.rank}.pt")
    config = TrainConfig.checked(**SETTINGS, B=B, extra=E)
    Trainer(Corpus(corpus), ModelConfig.laptop(), config, Path(out) / "run", progress=False).fit(
        until=2
    )
    leave()


if __name__ == "__main__":
    main(*sys.argv[1:])
