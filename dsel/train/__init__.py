"""Train the networks: configuration, batches, trainer, checkpoints, released networks."""

from dsel.train.checkpoint import read_checkpoint
from dsel.train.config import TrainConfig
from dsel.train.device import choose_device
from dsel.train.metrics import MetricSums, Running, read_metrics
from dsel.train.objective import Objective, Views, make_loss
from dsel.train.optimiser import compile_, make_optimiser, warmup_cosine
from dsel.train.released import RELEASED, load_loss, load_model, load_released, release
from dsel.train.trainer import AHEAD, CONE, SPREAD, Trainer, train

__all__ = [
    "AHEAD",
    "CONE",
    "RELEASED",
    "SPREAD",
    "MetricSums",
    "Objective",
    "Running",
    "TrainConfig",
    "Trainer",
    "Views",
    "choose_device",
    "compile_",
    "load_loss",
    "load_model",
    "load_released",
    "make_loss",
    "make_optimiser",
    "read_checkpoint",
    "read_metrics",
    "release",
    "train",
    "warmup_cosine",
]
