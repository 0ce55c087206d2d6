"""Find and load trained networks: of a run folder, of a file (.pt), or released ones by their name.

`load_model` takes any of the three, and so does every command with an argument RUN or --model:

    runs/demo              a run folder: its checkpoint.pt, or the model.pt that a finished cell of the ablation keeps
    runs/demo/model.pt     a file of weights; if its card lies beside it (model.json), its hash must be the card's
    laptop                 released networks: data/models/laptop.pt with their card laptop.json

A run folder or a file that exists goes before a released name. What is checked in a file: `dsel.train.weights`.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path

from dsel.losses import DisentangledLoss
from dsel.model import TwoStream
from dsel.train.checkpoint import NEWEST, newest_checkpoint, read_checkpoint
from dsel.train.config import TrainConfig
from dsel.train.device import choose_device
from dsel.train.objective import make_loss
from dsel.train.weights import networks_in, read_weights, write_weights
from dsel.utils import package_data
from dsel.utils.errors import BadInput
from dsel.utils.files import write_json
from dsel.utils.readers import read_json

RELEASED = package_data.folder() / "models"
KEPT = "model.pt"  # networks of a finished cell of the ablation
SIMILARITIES = ("cosine", "inverse_distance")


def load_model(source, device: str = "auto") -> TwoStream:
    """Load trained networks in evaluation mode.

    Args:
        source: a run folder, a file of weights (.pt), or the name of released networks.
        device: 'auto', 'cpu', 'cuda', ...
    Raises:
        BadInput: there is nothing of the three, or what is there cannot be used. The message names the file.

    >>> model = load_model("laptop", "cpu")
    >>> model.config.D
    128
    """
    return _load(source)[0].to(choose_device(device))


def load_released(name: str, device: str = "cpu") -> TwoStream:
    """Load the networks in data/models/<name>.pt, whatever folders there are. Raises BadInput for a name that is not there."""
    path = RELEASED / f"{name}.pt"
    if not path.is_file():
        raise BadInput(
            f"{path}: no such released model; known are {', '.join(released_names()) or 'none'}"
        )
    return load_model(path, device)


def load_networks(source, device: str = "auto") -> tuple[TwoStream, str]:
    """Load networks as `load_model`, and the name of the similarity they were trained with."""
    model, state, path = _load(source)
    return model.to(choose_device(device)), _similarity(state, path)


def load_similarity(source) -> str:
    """Read with which similarity networks were trained: 'cosine' or 'inverse_distance'. source: as in `load_model`."""
    return _similarity(*read_source(source))


def load_loss(source) -> DisentangledLoss:
    """Load the loss of trained networks with its learnt scales. source: as in `load_model`.

    >>> sorted(load_loss("laptop").scales())
    ['w_content', 'w_identity']
    """
    state, path = read_source(source)
    if "loss" not in state:
        raise BadInput(
            f"{path}: holds networks without their loss; give the run folder or a released model"
        )
    try:
        loss = make_loss(state["config"]["train"], state["config"]["model"]["D"])
        loss.load_state_dict(state["loss"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise BadInput(
            f"{path}: its loss cannot be read ({type(error).__name__}); {remedy_for(path)}"
        ) from error
    return loss


def read_source(source) -> tuple[dict, Path]:
    """Read the weights that `source` names, see `load_model`: their dictionary, and the file it was read from."""
    path = find_weights(source)
    if path.name == NEWEST and path.parent == Path(source):
        return newest_checkpoint(source)  # or the one before it
    _check_card(path)
    return read_weights(path, remedy_for(path)), path


def find_weights(source) -> Path:
    """Find the file of weights that `source` names, see `load_model`. Raises BadInput if there is none."""
    folder = Path(source)
    for name in (NEWEST, KEPT):
        if (folder / name).is_file():
            return folder / name
    if folder.suffix == ".pt" or folder.is_file():
        return folder
    if (RELEASED / f"{folder}.pt").is_file() and len(folder.parts) == 1:
        return RELEASED / f"{folder}.pt"
    names = ", ".join(released_names()) or "none"
    raise BadInput(
        f"{folder / NEWEST}: no checkpoint; train one with 'dsel train --data DIR --out {source}', "
        f"or give the name of released networks ({names})"
    )


def run_folder(source) -> Path | None:
    """Return the folder of a run, where results about it are kept; None if `source` is a file or a released name."""
    return Path(source) if find_weights(source).parent == Path(source) else None


def released_names() -> list[str]:
    """List the names of the released networks."""
    return sorted(path.stem for path in RELEASED.glob("*.pt"))


def release(run, out) -> Path:
    """Write the networks of a run for others to use: weights in half precision, loss and configuration.

    Beside it goes its card (.json): the hash, how and on what it was trained, and the metrics of RUN/evaluation.json. The
    same run gives the same bytes.

    Args:
        run: a run folder, trained and evaluated.
        out: the file to write (.pt).
    Returns:
        The file.
    Raises:
        BadInput: no checkpoint or no evaluation in the run folder.
    """
    state, out = read_checkpoint(run), Path(out)
    judged = Path(run) / "evaluation.json"
    if not judged.is_file():
        raise BadInput(
            f"{judged}: missing; run 'dsel evaluate {run} --data DIR' first, a released model needs its figures"
        )
    entries = {name: state[name] for name in ("loss", "config", "step")}
    write_weights(out, {"model": halved(state["model"]), **entries})
    card = {"sha256": sha256(out), **state["config"], "step": state["step"]}
    remedy = f"run 'dsel evaluate {run} --data DIR' again"
    card |= {"evaluation": read_json(judged, remedy=remedy, entries={})}
    write_json(out.with_suffix(".json"), card)
    return out


def keep_networks(model: TwoStream, config: TrainConfig, path) -> None:
    """Write networks and configuration of a finished training, without what resuming needs."""
    write_weights(
        path,
        {
            "model": model.state_dict(),
            "config": {"model": model.config.to_dict(), "train": asdict(config)},
        },
    )


def halved(weights: dict) -> dict:
    """Return weights by name in half precision; whole numbers stay."""
    return {
        name: value.half() if value.is_floating_point() else value
        for name, value in weights.items()
    }


def sha256(path) -> str:
    """Compute the hash of a file, a megabyte at a time."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _load(source) -> tuple[TwoStream, dict, Path]:
    state, path = read_source(source)
    return networks_in(state, path, remedy_for(path)), state, path


def _check_card(path: Path) -> None:
    """Raise BadInput if a card lies beside a file and has another hash."""
    card = path.with_suffix(".json")
    if not (card.is_file() and path.is_file()):
        return
    content = read_json(card, remedy=remedy_for(path))
    expected = content.get("sha256") if isinstance(content, dict) else None
    if expected is not None and sha256(path) != expected:
        raise BadInput(
            f"{path}: its sha256 is not the one on its card {card.name}; {remedy_for(path)}"
        )


def _similarity(state: dict, path: Path) -> str:
    try:
        similarity = state["config"]["train"]["similarity"]
    except (KeyError, TypeError):
        similarity = None
    if similarity not in SIMILARITIES:
        raise BadInput(
            f"{path}: its configuration names no similarity ({' or '.join(SIMILARITIES)}); {remedy_for(path)}"
        )
    return similarity


def remedy_for(path: Path) -> str:
    """Say what to do about a file that cannot be used."""
    if path.parent == RELEASED:
        return f"get it again: 'git checkout -- {path}', or install dsel anew"
    if path.name.startswith("checkpoint"):
        return f"give an earlier checkpoint of {path.parent} (checkpoint-*.pt), or train again"
    return "copy or download it again"
