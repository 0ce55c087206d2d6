"""Find and load trained networks: of a run folder, of a file (.pt), or released ones by name.

`load_model` takes each of the three, and so does every command with an argument RUN or --model:

    runs/demo              a run folder: its checkpoint.pt, or the model.pt that the ablation keeps
    runs/demo/model.pt     a file of weights; if a card (model.json) lies beside it, its sha256 is
                           compared with the card's
    four_terms             released networks: data/models/four_terms.pt with their card

If a run folder or a file has the name of released networks, the folder or the file is taken. See
`dsel.train.weights` for what is checked in a file.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dsel.losses import DisentangledLoss
from dsel.model import TwoStream
from dsel.train.checkpoint import NEWEST, newest_checkpoint, read_checkpoint
from dsel.train.config import TrainConfig
from dsel.train.device import choose_device
from dsel.train.objective import make_loss
from dsel.train.published import PUBLISHED, published
from dsel.train.weights import networks_in, read_weights, write_weights
from dsel.utils import package_data
from dsel.utils.errors import BadInput
from dsel.utils.files import sweep, write_json
from dsel.utils.readers import read_json

RELEASED = package_data.folder() / "models"
KEPT = "model.pt"  # the networks that the ablation keeps of a finished training
SIMILARITIES = ("cosine", "inverse_distance")


def load_model(source: str | Path, device: str = "auto") -> TwoStream:
    """Load trained networks in evaluation mode.

    Args:
        source: a run folder, a file of weights (.pt), or the name of released networks.
        device: 'auto', 'cpu', 'cuda', ...
    Raises:
        BadInput: there is nothing of the three, or it cannot be used. The message names the file.

    >>> model = load_model("four_terms", "cpu")
    >>> model.config.D
    128
    """
    return _load(source)[0].to(choose_device(device))


def load_released(name: str, device: str = "cpu") -> TwoStream:
    """Load the networks in data/models/NAME.pt, also if a folder of that name exists.

    Args:
        name: of released networks.
        device: as in `load_model`.
    Raises:
        BadInput: there are no released networks of that name.
    """
    path = RELEASED / f"{name}.pt"
    if not path.is_file():
        known = ", ".join(released_names()) or "none"
        raise BadInput(f"{path}: no such released model; known are {known}")
    return load_model(path, device)


def load_networks(source: str | Path, device: str = "auto") -> tuple[TwoStream, str]:
    """Load networks and the name of their similarity. Arguments and errors as `load_model`.

    >>> load_networks("laptop", "cpu")[1]
    'cosine'
    """
    model, state, path = _load(source)
    return model.to(choose_device(device)), _similarity(state, path)


def load_similarity(source: str | Path) -> str:
    """Read the similarity with which networks were trained: 'cosine' or 'inverse_distance'.

    `source` and errors are those of `load_model`.
    """
    return _similarity(*read_source(source))


def load_loss(source: str | Path) -> DisentangledLoss:
    """Load the loss of trained networks with its learnt scales.

    `source` and errors are those of `load_model`; weights alone have no loss, which is BadInput.

    >>> sorted(load_loss("four_terms").scales())
    ['w_content', 'w_identity']
    """
    state, path = read_source(source)
    if "loss" not in state:
        remedy = "give the run folder or a released model"
        raise BadInput(f"{path}: holds networks without their loss; {remedy}")
    try:
        loss = make_loss(state["config"]["train"], state["config"]["model"]["D"])
        loss.load_state_dict(state["loss"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        why = f"its loss cannot be read ({type(error).__name__})"
        raise BadInput(f"{path}: {why}; {remedy_for(path)}") from error
    return loss


def read_source(source: str | Path) -> tuple[dict, Path]:
    """Read the weights that `source` names, see `load_model`.

    Returns:
        The dictionary that was read, and the file.
    """
    path = find_weights(source)
    if path.name == NEWEST and path.parent == Path(source):
        return newest_checkpoint(source)  # or the one before it
    _check_card(path)
    return read_weights(path, remedy_for(path)), path


def find_weights(source: str | Path) -> Path:
    """Find the file of weights that `source` names, see `load_model`. No file is BadInput."""
    folder = Path(source)
    for name in (NEWEST, KEPT):
        if (folder / name).is_file():
            return folder / name
    if folder.suffix == ".pt" or folder.is_file():
        return folder
    if (RELEASED / f"{folder}.pt").is_file() and len(folder.parts) == 1:
        return RELEASED / f"{folder}.pt"
    if str(source) in PUBLISHED:
        return published(str(source))
    names = ", ".join(released_names()) or "none"
    raise BadInput(
        f"{folder / NEWEST}: no checkpoint; train one with 'dsel train --data DIR --out {source}', "
        f"or give the name of released networks ({names}; {', '.join(PUBLISHED)} is fetched)"
    )


def run_folder(source: str | Path) -> Path | None:
    """Return the folder in which results about a run are kept; None for a file or a name."""
    return Path(source) if find_weights(source).parent == Path(source) else None


def released_names() -> list[str]:
    """List the names of the released networks."""
    return sorted(path.stem for path in RELEASED.glob("*.pt"))


def release(run: str | Path, out: str | Path) -> Path:
    """Write the networks of a run for others to use, and their card.

    The file holds the weights in half precision, the loss and the configuration. The card (.json)
    beside it holds the file's sha256, the configuration and the metrics of RUN/evaluation.json. The
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
    sweep(out.parent)
    judged = Path(run) / "evaluation.json"
    if not judged.is_file():
        remedy = f"run 'dsel evaluate {run} --data DIR' first"
        raise BadInput(f"{judged}: missing, and a released model needs its metrics; {remedy}")
    entries = {name: state[name] for name in ("loss", "config", "step")}
    write_weights(out, {"model": halved(state["model"]), **entries})
    card = {"sha256": sha256(out), **state["config"], "step": state["step"]}
    remedy = f"run 'dsel evaluate {run} --data DIR' again"
    card |= {"evaluation": read_json(judged, remedy=remedy, entries={})}
    write_json(out.with_suffix(".json"), card)
    return out


def keep_networks(model: TwoStream, config: TrainConfig, path: str | Path) -> None:
    """Write networks and configuration of a finished training, without what resuming needs.

    Args:
        model, config: the networks, and how they were trained.
        path: the file to write (.pt).
    """
    settings = {"model": model.config.to_dict(), "train": asdict(config)}
    write_weights(path, {"model": model.state_dict(), "config": settings})


def halved(weights: dict[str, Any]) -> dict[str, Any]:
    """Return weights by name in half precision; whole numbers stay."""
    return {name: x.half() if x.is_floating_point() else x for name, x in weights.items()}


def sha256(path: str | Path) -> str:
    """Compute the sha256 of a file, a megabyte at a time."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _load(source: str | Path) -> tuple[TwoStream, dict, Path]:
    state, path = read_source(source)
    return networks_in(state, path, remedy_for(path)), state, path


def _check_card(path: Path) -> None:
    """Raise BadInput if a card lies beside a file and has another sha256."""
    card = path.with_suffix(".json")
    if not (card.is_file() and path.is_file()):
        return
    content = read_json(card, remedy=remedy_for(path))
    expected = content.get("sha256") if isinstance(content, dict) else None
    if expected is not None and sha256(path) != expected:
        why = f"its sha256 is not the one on its card {card.name}"
        raise BadInput(f"{path}: {why}; {remedy_for(path)}")


def _similarity(state: dict, path: Path) -> str:
    """Read the similarity from a state. Raises BadInput if it names none."""
    try:
        similarity = state["config"]["train"]["similarity"]
    except (KeyError, TypeError):
        similarity = None
    if similarity not in SIMILARITIES:
        why = f"its configuration names no similarity ({' or '.join(SIMILARITIES)})"
        raise BadInput(f"{path}: {why}; {remedy_for(path)}")
    return similarity


def remedy_for(path: Path) -> str:
    """Say what to do about a file that cannot be used."""
    if path.parent == RELEASED:
        return f"get it again: 'git checkout -- {path}', or install dsel anew"
    if path.name.startswith("checkpoint"):
        return f"give an earlier checkpoint of {path.parent} (checkpoint-*.pt), or train again"
    return "copy or download it again"
