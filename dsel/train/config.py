"""The configuration of a training: `TrainConfig`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from dsel.train.loaders import LOADERS
from dsel.utils.errors import BadInput

LARGEST_SEED = 2**32 - 1
CHOICES = {  # fields that take one of a few words
    "optimiser": ("adamw", "sgd"),
    "similarity": ("cosine", "inverse_distance"),
    "confusion_scale": ("detached", "trained", "fixed"),
    "precision": ("auto", "float32", "bfloat16"),
    "compile": ("auto", "on", "off"),
    "loader": LOADERS,
}
POSITIVE = ("B", "N", "steps", "log_every", "save_every", "keep", "clip", "w0")
NOT_NEGATIVE = (
    *("extra", "lr", "warmup", "weight_decay", "alpha_c", "alpha_s", "lam", "lam_warmup"),
    *("within", "reversal", "intra", "augment", "seed"),
    *("room", "noise", "speed", "blur", "compression"),
)


def _at_run_time(default: Any) -> Any:
    """Declare a field without influence on the weights: it may change when a run is resumed."""
    return field(default=default, metadata={"run_time": True})


@dataclass(frozen=True)
class TrainConfig:
    """Everything that shapes a training, except for the networks.

    Args:
        B, N: tracks per step and windows per track (per process, where there are several).
        extra: further tracks per step for the identity loss alone, with one face window each.
        steps: length of the training.
        optimiser: 'adamw' (`warmup` steps, then a cosine down to 0), or 'sgd' as in the authors'
            code (momentum 0.9, lr times 0.95 per epoch).
        lr, warmup, weight_decay: of the optimiser. clip: largest norm of the gradient.
        alpha_c, alpha_s, lam, similarity, confusion_scale, w0, w_max: see
            `dsel.losses.DisentangledLoss`. lam = 3 was chosen on validation speakers
            (docs/results.md); the notes give no value.
        lam_warmup: lam rises linearly over this many steps. Confusion at full strength from the
            start would keep the heads from learning anything.
        within, reversal, intra, leave_out: terms beyond the notes, see `dsel.losses.ExtendedLoss`.
            Without them (0 and None) the loss is that of the notes.
        augment: strength of fresh microphones and light in every batch, see `dsel.train.augment`.
        room, noise, speed, blur, compression: strengths of further changes there; 0: none.
        seed: decides weights, batches and augmentation.
        log_every, save_every: steps between rows of metrics.csv, and between checkpoints.
        device: 'auto', 'cpu', 'cuda', ...
        precision: 'float32', 'bfloat16' (autocast; losses stay in float32) or 'auto'.
        compile: torch.compile of trunks and heads: 'on', 'off', or 'auto' (on a CUDA GPU).
        keep: how many checkpoints are kept.
        tensorboard: also log for TensorBoard, if it is installed.
        loader, workers: where clips are read, and by how many processes (-1: one per core), see
            `make_batches`. The batches are the same.
        redraw: draw the faces of a toy corpus in new light and pose at every step. It costs 20 ms
            of a core per track; `--set redraw=true`.
        start_from: a run folder, a file of weights or a released name, whose networks and scales
            this training begins with (fine-tuning); None: random weights.

    >>> config = TrainConfig.laptop(steps=100)
    >>> config.B, config.N, config.steps, config.lam
    (16, 16, 100, 3.0)
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
    room: float = 0.0
    noise: float = 0.0
    speed: float = 0.0
    blur: float = 0.0
    compression: float = 0.0
    seed: int = 0
    log_every: int = _at_run_time(10)
    save_every: int = _at_run_time(100)
    device: str = _at_run_time("auto")
    precision: str = "auto"
    compile: str = _at_run_time("auto")
    keep: int = _at_run_time(3)
    tensorboard: bool = _at_run_time(True)
    loader: str = _at_run_time("auto")
    redraw: bool = False
    workers: int = _at_run_time(-1)
    start_from: str | None = None

    @classmethod
    def laptop(cls, **changes: Any) -> TrainConfig:
        """Make the configuration that takes minutes on two cores. (Ours.)"""
        return cls.checked(**changes)

    @classmethod
    def paper(cls, **changes: Any) -> TrainConfig:
        """Make the paper's: B = N = 30, the notes' four terms, and SGD.

        The learning rate is 1e-3, times 0.95 per epoch. (Source: notes, authors' code.)
        """
        sizes = {"B": 30, "N": 30, "extra": 0, "steps": 500_000, "save_every": 1000}
        sgd = {"optimiser": "sgd", "lr": 1e-3, "warmup": 0, "weight_decay": 1e-5}
        return cls.checked(**{"within": 0.0, **sizes, **sgd, **changes})

    @classmethod
    def named(cls, name: str, **changes: Any) -> TrainConfig:
        """Make the configuration 'laptop' or 'paper' with some fields changed.

        Raises:
            BadInput: another name, an unknown field, or a value that a field cannot have.
        """
        if name not in ("laptop", "paper"):
            raise BadInput(f"config {name!r}: must be laptop or paper")
        return getattr(cls, name)(**changes)

    @classmethod
    def checked(cls, **values: Any) -> TrainConfig:
        """Make a configuration, and check it. Raises BadInput as `named`."""
        names = {f.name for f in fields(cls)}
        if set(values) - names:
            unknown = min(set(values) - names)
            known = ", ".join(sorted(names))
            raise BadInput(f"training config: unknown key {unknown!r}; known are {known}")
        config = cls(**values)
        for complaint in config._complaints():
            raise BadInput(f"training config: {complaint}")
        return config

    def _complaints(self) -> Iterator[str]:
        """Yield what cannot be trained, and the remedy."""
        values = asdict(self)
        for name, value in values.items():
            if isinstance(value, float) and not math.isfinite(value):
                yield f"{name} is {value}; it must be finite"
        for name, words in CHOICES.items():
            if values[name] not in words:
                yield f"{name} {values[name]!r} must be one of {', '.join(words)}"
        for names, least in ((POSITIVE, "above"), (NOT_NEGATIVE, "at least")):
            for name in names:
                if values[name] < 0 or (values[name] == 0 and least == "above"):
                    yield f"{name} is {values[name]}; it must be {least} 0"
        if self.w_max is not None and self.w_max <= 0:
            yield f"w_max is {self.w_max}; it must be above 0, or none for no bound"
        if self.seed > LARGEST_SEED:
            yield f"seed is {self.seed}; it must be at most {LARGEST_SEED}"
        yield from self._too_few_windows()

    def _too_few_windows(self) -> Iterator[str]:
        """Yield which term needs more windows than a step has."""
        if self.B * self.N == 1 or self.extra == 1:
            yield "BatchNorm needs at least two windows; raise B, N or extra (which may also be 0)"
        if self.within and self.N < 2:
            yield "within compares the windows of a track; raise N, or set within=0"
        most = self.N // 2 - 1
        if self.leave_out is not None and not 0 <= self.leave_out <= most:
            yield (
                f"leave_out {self.leave_out} must lie between 0 and N / 2 - 1 = {most}, so that "
                "windows are left; raise N, or set leave_out=none"
            )


RUN_TIME = {f.name for f in fields(TrainConfig) if f.metadata.get("run_time")}
