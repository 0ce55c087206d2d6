"""Read a checkpoint of the authors' own code into our `paper` networks.

The authors' repository joonson/syncnet_trainer (VoxSRC 2020 baseline: content and identity loss, no
disentanglement loss) publishes weights trained on VoxCeleb2. This file reads checkpoints of that
code (its FBank model). Four things differ. Three of them are folded into our weights, so that both
networks give the same embeddings:

    their convolutions have a bias     BatchNorm follows each of them, so the bias is subtracted
                                       from its running mean
    the first face layer is a conv3d   (out, 3, 5, h, w) becomes (out, 5 x 3, h, w) over 5 frames
                                       stacked as channels
    pictures are BGR, 0..255           our input is (x / 255 - 0.45) / 0.25 in RGB. That layer has
                                       no padding, so the scale is folded into its weights and the
                                       shift into the running mean that follows
    sound is on the scale of int16     the front end 'authors' (`dsel.audio.authors_mel`)

With `temporal_stride 2` their networks compute every second window, and ours compute all windows.
Every second one of ours is theirs. (Source: the authors' code, read at commit a2f9c9f.)
"""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from dsel.model import ModelConfig, TwoStream
from dsel.timing import WINDOW_FRAMES
from dsel.train.checkpoint import NEWEST, write_checkpoint
from dsel.train.config import TrainConfig
from dsel.train.objective import make_loss
from dsel.utils.errors import BadInput
from dsel.utils.files import replace_text

WHERE = "https://github.com/joonson/syncnet_trainer"  # its README links the published weights
CONVS = (0, 4, 8, 11, 14, 18)  # convolutions in both of their trunks; BatchNorm follows each
TRUNKS = {"face_trunk": "netcnnlip", "audio_trunk": "netcnnaud"}  # ours: theirs
HEADS = {  # our head: theirs
    ("face_heads", "content"): "netfclip",
    ("face_heads", "identity"): "netfcface",
    ("audio_heads", "content"): "netfcaud",
    ("audio_heads", "identity"): "netfcspk",
}
SCALES = {"content_similarity": ("wC", "bC"), "identity_similarity": ("wI", "bI")}
MEAN, SPREAD = 0.45, 0.25  # our first layer takes (x - MEAN) / SPREAD of a picture in [0, 1]
WHITE = 255.0  # the largest value of a pixel
MODEL = "only checkpoints of SyncNetModelFBank can be read"


def import_authors(path: str | Path, out: str | Path) -> Path:
    """Write a run folder with the networks of a checkpoint of the authors' code.

    Args:
        path: the checkpoint, as their `saveParameters` writes it. Only tensors are read from it.
        out: the run folder to make. `load_model`, `dsel embed` and `dsel verify` take it.
    Returns:
        The run folder.
    Raises:
        BadInput: no such file, not such a checkpoint, or `out` already holds a run.
    """
    path, out = Path(path), Path(out)
    if (out / NEWEST).exists():
        raise BadInput(f"{out}: already holds a run; give another folder")
    theirs = read_authors(path)
    model, train = paper_config(theirs, path), TrainConfig.paper()
    weights = convert(theirs, TwoStream(model), path)
    loss = make_loss(asdict(train), model.D)
    loss.load_state_dict(loss.state_dict() | scales(theirs, path))
    config = {"model": model.to_dict(), "train": asdict(train)}
    out.mkdir(parents=True, exist_ok=True)
    replace_text(out / "config.json", json.dumps(config, indent=1) + "\n")
    state = {
        "step": 0,
        "model": weights,
        "loss": loss.state_dict(),
        "config": config,
        "imported_from": path.name,
    }
    write_checkpoint(out, state, keep=1, best=False)
    return out


def read_authors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint by their names, without `module.` in front.

    Raises:
        BadInput: no such file, or anything but tensors by name.
    """
    if not path.is_file():
        raise BadInput(f"{path}: no such file; the authors' weights are linked from {WHERE}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, pickle.UnpicklingError) as error:
        why = f"not a checkpoint that can be read ({type(error).__name__})"
        raise BadInput(f"{path}: {why}; download it again") from error
    if not isinstance(state, dict) or not all(isinstance(x, Tensor) for x in state.values()):
        raise BadInput(f"{path}: holds no weights by name; it must be a file written by {WHERE}")
    return {name.removeprefix("module."): value for name, value in state.items()}


def paper_config(theirs: dict[str, Tensor], path: Path) -> ModelConfig:
    """Make `ModelConfig.paper` with their front end and the number of outputs of their heads.

    Args:
        theirs: what `read_authors` returned.
        path: where it was read, for the message.
    """
    last = _get(theirs, "__S__.netfcaud.3.weight", path)  # (D, 512, 1)
    return ModelConfig.paper(front_end="authors", D=len(last))


def convert(theirs: dict[str, Tensor], model: TwoStream, path: Path) -> dict[str, Tensor]:
    """Translate their weights to the names and shapes of ours.

    Args:
        theirs: what `read_authors` returned.
        model: networks of the shape of `paper_config`.
        path: where it was read, for the message.
    Returns:
        A state dict of `model`.
    Raises:
        BadInput: a weight is missing or has another shape, as in a checkpoint of their MFCC model.
    """
    ours = model.state_dict()
    new = dict(ours)
    for trunk, name in TRUNKS.items():
        layers = getattr(model, trunk).layers
        convs = [k for k, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)]
        for number, their_number in zip(convs, CONVS, strict=True):
            new |= _trunk_layer(theirs, f"{trunk}.layers", number, name, their_number, path)
    for (stream, head), name in HEADS.items():
        new |= _head(theirs, f"{stream}.{head}", f"__S__.{name}", path)
    wrong = [name for name in ours if new[name].shape != ours[name].shape]
    if wrong:
        sizes = f"{tuple(new[wrong[0]].shape)}, not {tuple(ours[wrong[0]].shape)}"
        raise BadInput(f"{path}: {wrong[0]} would be {sizes}; {MODEL}")
    return {name: new[name].to(value.dtype).contiguous() for name, value in ours.items()}


def _trunk_layer(
    theirs: dict[str, Tensor],
    layers: str,
    number: int,
    their_trunk: str,
    their_number: int,
    path: Path,
) -> dict[str, Tensor]:
    """Translate a convolution of a trunk and the BatchNorm that follows it.

    Args:
        theirs, path: as in `convert`.
        layers, number: name of our list of layers, and place of the convolution in it.
        their_trunk, their_number: name of their trunk, and place of the convolution in it.
    """
    their = f"__S__.{their_trunk}.{their_number}"
    weight, bias = (_get(theirs, f"{their}.{part}", path) for part in ("weight", "bias"))
    if layers.startswith("face_trunk") and their_number == 0:
        weight, bias = stacked_frames(weight, bias, path)
    else:
        weight = _flat(weight, their, path)
    following = f"__S__.{their_trunk}.{their_number + 1}"
    norm = _batch_norm(theirs, following, f"{layers}.{number + 1}", bias, path)
    return {f"{layers}.{number}.weight": weight, **norm}


def _head(theirs: dict[str, Tensor], ours: str, their: str, path: Path) -> dict[str, Tensor]:
    """Translate a head: two linear layers with a BatchNorm between them."""
    bias = _get(theirs, f"{their}.0.bias", path)
    new = {f"{ours}.0.weight": _get(theirs, f"{their}.0.weight", path)}
    new |= _batch_norm(theirs, f"{their}.1", f"{ours}.1", bias, path)
    last = {f"{ours}.3.{part}": f"{their}.3.{part}" for part in ("weight", "bias")}
    return new | {name: _get(theirs, their_name, path) for name, their_name in last.items()}


def stacked_frames(weight: Tensor, b: Tensor, path: Path) -> tuple[Tensor, Tensor]:
    """Fold pixel scale, channel order and time into the first face layer.

    Our input is z = (x / 255 - 0.45) / 0.25 of a pixel x in 0..255, so x = 255 (0.25 z + 0.45).

    Args:
        weight, b: of their layer over x, (out, 3 BGR, 5, h, w) and (out,).
        path: of the checkpoint, for the message.
    Returns:
        weight and b of our layer over z, (out, 5 x 3 RGB, h, w) and (out,).
    Raises:
        BadInput: the layer does not take 5 colour frames.
    """
    if weight.ndim != 5 or weight.shape[1:3] != (3, WINDOW_FRAMES):
        sizes = f"{tuple(weight.shape)}, not (96, 3, 5, 7, 7)"
        raise BadInput(f"{path}: the first face layer is {sizes}; {MODEL}")
    stacked = weight.flip(1).transpose(1, 2).flatten(1, 2).double()  # (out, 5 x 3, h, w)
    shift = WHITE * MEAN * stacked.sum(dim=(1, 2, 3))
    return (WHITE * SPREAD * stacked).to(weight.dtype), (b.double() + shift).to(b.dtype)


def scales(theirs: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Translate their w and b of both tasks to our log w and b.

    Args:
        theirs: what `read_authors` returned.
        path: where it was read, for the message.
    Returns:
        A part of the state dict of our loss.
    Raises:
        BadInput: a scale that is not positive, under which a match would be the least similar.
    """
    ours = {}
    for name, (w, b) in SCALES.items():
        scale = _get(theirs, f"__L__.{w}", path).item()
        if not 0 < scale < math.inf:
            raise BadInput(f"{path}: the scale {w} is {scale:g}; it must be positive")
        ours[f"{name}.log_w"] = torch.tensor(math.log(scale))
        ours[f"{name}.b"] = _get(theirs, f"__L__.{b}", path).reshape(())
    return ours


def _batch_norm(theirs: dict, their: str, ours: str, b: Tensor, path: Path) -> dict[str, Tensor]:
    """Translate a BatchNorm that follows a layer with bias b (out,).

    Our layer has no bias, so the bias is subtracted from the running mean.
    """
    kinds = ("weight", "bias", "running_mean", "running_var")
    norm = {kind: _get(theirs, f"{their}.{kind}", path) for kind in kinds}
    norm["running_mean"] = (norm["running_mean"].double() - b.double()).to(b.dtype)
    norm["num_batches_tracked"] = theirs.get(f"{their}.num_batches_tracked", torch.tensor(0))
    return {f"{ours}.{kind}": value for kind, value in norm.items()}


def _flat(weight: Tensor, name: str, path: Path) -> Tensor:
    """Return a conv2d weight; of a conv3d weight over one frame, without the axis of time.

    Shapes: (out, in, h, w) stays, (out, in, 1, h, w) -> (out, in, h, w). Another one is BadInput.
    """
    if weight.ndim == 5 and weight.shape[2] == 1:
        return weight[:, :, 0]
    if weight.ndim != 4:
        raise BadInput(f"{path}: {name}.weight is {tuple(weight.shape)}; {MODEL}")
    return weight


def _get(theirs: dict[str, Tensor], name: str, path: Path) -> Tensor:
    """Return a weight by name. Raises BadInput if it is missing or not finite."""
    value = theirs.get(name)
    if value is None:
        raise BadInput(f"{path}: no {name}; {MODEL}; they come from {WHERE}")
    if not torch.isfinite(value).all():
        raise BadInput(f"{path}: {name} holds NaN or infinite numbers; download the file again")
    return value
