"""Read and write trained networks: of a run, of a released file, of an ablation cell."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

import torch

from dsel.losses import DisentangledLoss
from dsel.model import ModelConfig, TwoStream
from dsel.train.checkpoint import read_checkpoint
from dsel.train.device import choose_device
from dsel.train.objective import make_loss
from dsel.train.trainer import Trainer
from dsel.utils import package_data as shipped
from dsel.utils.errors import BadInput
from dsel.utils.files import replace_text


def _keep_networks(trainer: Trainer, run: Path) -> None:
    """Write RUN/model.pt: weights and configuration of a finished run, without what resuming needs."""
    config = {"model": trainer.model.config.to_dict(), "train": asdict(trainer.config)}
    state = {"model": trainer.model.state_dict(), "config": config}
    part = run / f".model.{os.getpid()}.part"
    torch.save(state, part)
    os.replace(part, run / "model.pt")


def load_networks(path) -> tuple[TwoStream, str]:
    """The networks in a model.pt of a finished cell, and the similarity they were trained with."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    model = TwoStream(ModelConfig.from_dict(state["config"]["model"]))
    model.load_state_dict(state["model"])
    return model.to(choose_device("auto")).eval(), state["config"]["train"]["similarity"]


RELEASED = shipped.folder() / "models"


def load_model(run, device: str = "auto") -> TwoStream:
    """The trained networks of a run folder, in evaluation mode. Raises BadInput if there is no checkpoint."""
    state = read_checkpoint(run)
    model = TwoStream(ModelConfig.from_dict(state["config"]["model"]))
    model.load_state_dict(state["model"])
    return model.to(choose_device(device)).eval()


def load_loss(run) -> DisentangledLoss:
    """The loss of a run with its learnt scales, e.g. to show the similarities it was trained with."""
    state = read_checkpoint(run)
    loss = make_loss(state["config"]["train"], state["config"]["model"]["D"])
    loss.load_state_dict(state["loss"])
    return loss


def release(run, out) -> Path:
    """Write what one needs to use a run's networks, and no more: weights in half precision and configuration to `out` (.pt).

    Beside it goes its card (.json): the hash, how and on what it was trained, and the figures of RUN/evaluation.json.
    Raises BadInput for a run without checkpoint or evaluation.
    """
    state, out = read_checkpoint(run), Path(out)
    judged = Path(run) / "evaluation.json"
    if not judged.is_file():
        raise BadInput(f"{judged}: missing; run 'dsel evaluate {run} --data DIR' first, a released model needs its figures")
    halves = {name: value.half() if value.is_floating_point() else value for name, value in state["model"].items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    torch.save({"model": halves, "loss": state["loss"], "config": state["config"], "step": state["step"]}, part)
    os.replace(part, out)
    card = {"sha256": hashlib.sha256(out.read_bytes()).hexdigest(), "train": state["config"]["train"], "step": state["step"]}
    card |= {"evaluation": json.loads(judged.read_text())}
    replace_text(out.with_suffix(".json"), json.dumps(card, indent=1) + "\n")
    return out


def load_released(name: str, device: str = "cpu") -> TwoStream:
    """The networks in data/models/<name>.pt. Raises BadInput for a name that is not there."""
    path = RELEASED / f"{name}.pt"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in RELEASED.glob("*.pt"))) or "none"
        raise BadInput(f"{path}: no such released model; known are {known}")
    state = torch.load(path, map_location="cpu", weights_only=True)
    model = TwoStream(ModelConfig.from_dict(state["config"]["model"]))
    model.load_state_dict(state["model"])  # into float32
    return model.to(choose_device(device)).eval()
