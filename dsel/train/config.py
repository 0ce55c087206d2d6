"""The configuration of a training: `TrainConfig`."""

from __future__ import annotations

from dataclasses import dataclass, fields

from dsel.train.loaders import LOADERS
from dsel.utils.errors import BadInput


@dataclass(frozen=True)
class TrainConfig:
    """Everything that shapes a training, but for the networks.

    B tracks of N windows a step (of each process, where there are several), and `extra` further tracks for the identity loss
    alone (one face window each).
    alpha_c, alpha_s, lam, similarity, confusion_scale, w0, w_max: see `dsel.losses.DisentangledLoss`; lam is reached
    linearly over the first `lam_warmup` steps, since confusion from the start keeps the heads from learning anything.
    within, reversal, intra: weights of the terms beyond the notes, see `dsel.losses.ExtendedLoss`; within = 0: the notes alone.
    lam = 3 and within = 0 were chosen on validation speakers (docs/results.md); the notes give no lambda.
    leave_out: the mean voice leaves out the windows within so many of the picked one, see `dsel.losses.mean_voice`; None: none.
    optimiser 'adamw' (`warmup` steps, then a cosine down to 0) or 'sgd' (the authors': momentum 0.9, lr times 0.95 an epoch).
    distinct_speakers: no two tracks of one speaker in a batch, where speakers are known. The method does not know them.
    precision: 'float32', 'bfloat16' (autocast; distances and losses stay float32) or 'auto'.
    compile: 'on', 'off' or 'auto' (torch.compile of the trunks and heads, on a CUDA GPU).
    keep: how many checkpoints stay. tensorboard: write the rows for it too, if it is installed.
    loader, workers: where clips are read and by how many processes, see `make_batches`. The batches are the same.
    redraw: draw the faces of a toy corpus anew at every draw: endless pictures, at 20 ms of a core for each track of a step.
    start_from: what this training begins with (fine-tuning): a run folder, a file of weights or a released name, whose networks
        and scales are taken; None: random ones.
    """

    B: int = 16
    N: int = 16
    extra: int = 64
    steps: int = 650
    optimiser: str = "adamw"
    lr: float = 1e-3
    warmup: int = 30
    weight_decay: float = 1e-2
    clip: float = 10.0
    alpha_c: float = 1.0
    alpha_s: float = 1.0
    lam: float = 3.0
    lam_warmup: int = 200
    similarity: str = "cosine"
    confusion_scale: str = "detached"
    w0: float = 10.0
    w_max: float | None = 20.0
    within: float = 0.0
    reversal: float = 0.0
    intra: float = 0.0
    leave_out: int | None = None
    augment: float = 0.5
    distinct_speakers: bool = False
    seed: int = 0
    log_every: int = 10
    save_every: int = 100
    device: str = "auto"
    precision: str = "auto"
    compile: str = "auto"
    keep: int = 3
    tensorboard: bool = True
    loader: str = "auto"
    redraw: bool = False
    workers: int = -1
    start_from: str | None = None

    @classmethod
    def laptop(cls, **changes) -> TrainConfig:
        """Minutes on two cores. (Source: ours.)"""
        return cls.checked(**changes)

    @classmethod
    def paper(cls, **changes) -> TrainConfig:
        """B = N = 30, SGD 1e-3 times 0.95 an epoch, no extras, the notes' four terms. (Source: notes, authors' code.)"""
        fixed = {
            "B": 30,
            "N": 30,
            "extra": 0,
            "lam": 1.0,
            "optimiser": "sgd",
            "lr": 1e-3,
            "warmup": 0,
            "weight_decay": 1e-5,
            "steps": 500_000,
        }
        return cls.checked(**{**fixed, "save_every": 1000, **changes})

    @classmethod
    def named(cls, name: str, **changes) -> TrainConfig:
        """'laptop' or 'paper', with changes. Raises BadInput for another name or an unknown key."""
        if name not in ("laptop", "paper"):
            raise BadInput(f"config {name!r}: must be laptop or paper")
        return getattr(cls, name)(**changes)

    @classmethod
    def checked(cls, **values) -> TrainConfig:
        """Like the constructor, but an unknown key or an impossible value is a BadInput that says which."""
        known = {field.name for field in fields(cls)}
        if set(values) - known:
            raise BadInput(f"training config: unknown key {min(set(values) - known)!r}; known are {', '.join(sorted(known))}")
        config = cls(**values)
        if min(config.B, config.N, config.steps) < 1 or config.extra < 0:
            raise BadInput("training config: B, N and steps must be at least 1, and extra at least 0")
        if config.B * config.N == 1 or config.extra == 1:
            raise BadInput("training config: BatchNorm needs two windows at least; raise B, N or extra (which may also be 0)")
        if config.within and config.N < 2:
            raise BadInput("training config: within compares the windows of a track; raise N, or set within=0")
        if config.leave_out is not None and not 0 <= config.leave_out <= config.N // 2 - 1:
            raise BadInput(
                f"training config: leave_out {config.leave_out} must lie between 0 and N / 2 - 1 = {config.N // 2 - 1}, "
                "so that windows are left; raise N, or set leave_out=none"
            )
        if config.optimiser not in ("adamw", "sgd"):
            raise BadInput(f"training config: optimiser {config.optimiser!r} must be adamw or sgd")
        if config.precision not in ("auto", "float32", "bfloat16"):
            raise BadInput(f"training config: precision {config.precision!r} must be auto, float32 or bfloat16")
        if config.compile not in ("auto", "on", "off"):
            raise BadInput(f"training config: compile {config.compile!r} must be auto, on or off")
        if config.keep < 1:
            raise BadInput("training config: keep must be at least 1")
        if config.loader not in LOADERS:
            raise BadInput(f"training config: loader {config.loader!r} must be one of {', '.join(LOADERS)}")
        return config
