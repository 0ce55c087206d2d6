"""Read a checkpoint of the authors' own code into our `paper` networks.

The authors' repository joonson/syncnet_trainer (VoxSRC 2020 baseline: content and identity loss, no disentanglement loss)
publishes weights trained on VoxCeleb2. This file reads checkpoints of that code (its FBank model). Four things differ, and
each is folded into weights that we have too, so that both networks give the same embeddings:

    their convolutions have a bias           BatchNorm follows each, so the bias is subtracted from its running mean
    the first face layer is a conv3d         (out, 3, 5, h, w) becomes (out, 5 x 3, h, w) over 5 frames stacked as channels
    pictures are BGR, 0..255                 our input is (x / 255 - 0.45) / 0.25 in RGB; that layer has no padding, so the
                                             scale goes into its weights and the shift into the running mean behind it
    sound is on the scale of int16           the front end 'authors' (`dsel.audio.authors_mel`)

With `temporal_stride 2` their networks compute every second window. Ours compute every window; every second one is theirs.
(Source: the authors' code, read at commit a2f9c9f.)
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
CONVS = (
    0,
    4,
    8,
    11,
    14,
    18,
)  # numbers of the convolutions in both of their trunks; BatchNorm is the next number
TRUNKS = {"face_trunk": "netcnnlip", "audio_trunk": "netcnnaud"}  # ours: theirs
HEADS = {  # our head: theirs
    ("face_heads", "content"): "netfclip",
    ("face_heads", "identity"): "netfcface",
    ("audio_heads", "content"): "netfcaud",
    ("audio_heads", "identity"): "netfcspk",
}
SCALES = {"content_similarity": ("wC", "bC"), "identity_similarity": ("wI", "bI")}
MEAN, SPREAD, WHITE = (
    0.45,
    0.25,
    255.0,
)  # of a picture in [0, 1] before our first layer; the largest value of a pixel


def import_authors(path, out) -> Path:
    """Write a run folder with the networks of a checkpoint of the authors' code.

    Args:
        path: the checkpoint, as their `saveParameters` writes it. Only tensors are read from it (`weights_only`).
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
        raise BadInput(
            f"{path}: not a checkpoint that can be read ({type(error).__name__}); download it again"
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(value, Tensor) for value in state.values()
    ):
        raise BadInput(f"{path}: holds no weights by name; it must be a file written by {WHERE}")
    return {name.removeprefix("module."): value for name, value in state.items()}


def paper_config(theirs: dict[str, Tensor], path: Path) -> ModelConfig:
    """Derive the networks' shape: `ModelConfig.paper` with their front end and their number of outputs."""
    last = _get(theirs, "__S__.netfcaud.3.weight", path)  # (D, 512, 1)
    return ModelConfig.paper(front_end="authors", D=len(last))


def convert(theirs: dict[str, Tensor], model: TwoStream, path: Path) -> dict[str, Tensor]:
    """Translate their weights to the names and layout of `model`: a state dict of it.

    Raises:
        BadInput: a weight is missing or has another shape, e.g. in a checkpoint of their MFCC model.
    """
    ours = model.state_dict()
    found = dict(ours)
    for trunk, name in TRUNKS.items():
        layers = getattr(model, trunk).layers
        convs = [k for k, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)]
        for mine, number in zip(convs, CONVS, strict=True):
            first = trunk == "face_trunk" and number == 0
            prefix, their = f"{trunk}.layers.{mine}", f"__S__.{name}.{number}"
            weight, bias = (
                _get(theirs, f"{their}.weight", path),
                _get(theirs, f"{their}.bias", path),
            )
            weight, bias = (
                stacked_frames(weight, bias, path) if first else (_flat(weight, their, path), bias)
            )
            found[f"{prefix}.weight"] = weight
            found |= _batch_norm(
                theirs, f"__S__.{name}.{number + 1}", f"{trunk}.layers.{mine + 1}", bias, path
            )
    for (stream, head), name in HEADS.items():
        prefix = f"{stream}.{head}"
        found[f"{prefix}.0.weight"] = _get(theirs, f"__S__.{name}.0.weight", path)
        found |= _batch_norm(
            theirs,
            f"__S__.{name}.1",
            f"{prefix}.1",
            _get(theirs, f"__S__.{name}.0.bias", path),
            path,
        )
        found |= {
            f"{prefix}.3.{kind}": _get(theirs, f"__S__.{name}.3.{kind}", path)
            for kind in ("weight", "bias")
        }
    wrong = [name for name in ours if found[name].shape != ours[name].shape]
    if wrong:
        sizes = f"{tuple(found[wrong[0]].shape)}, not {tuple(ours[wrong[0]].shape)}"
        raise BadInput(
            f"{path}: {wrong[0]} would be {sizes}; only checkpoints of SyncNetModelFBank can be read"
        )
    return {name: found[name].to(value.dtype).contiguous() for name, value in ours.items()}


def stacked_frames(weight: Tensor, b: Tensor, path: Path) -> tuple[Tensor, Tensor]:
    """Fold pixel scale, channel order and time into the first face layer.

    weight (out, 3 BGR, 5, h, w) and bias b (out,), over pixels x in 0..255 ->
    weight (out, 5 x 3 RGB, h, w) and b (out,), over our z =
    (x / 255 - 0.45) / 0.25, so that x = 255 (0.25 z + 0.45).
    """
    if weight.ndim != 5 or weight.shape[1:3] != (3, WINDOW_FRAMES):
        raise BadInput(
            f"{path}: the first face layer is {tuple(weight.shape)}, not (96, 3, 5, 7, 7); is it SyncNetModelFBank?"
        )
    stacked = weight.flip(1).transpose(1, 2).flatten(1, 2).double()  # (out, 5 x 3, h, w)
    shift = WHITE * MEAN * stacked.sum(dim=(1, 2, 3))
    return (WHITE * SPREAD * stacked).to(weight.dtype), (b.double() + shift).to(b.dtype)


def scales(theirs: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Translate their w and b of both tasks to our log w and b.

    Raises:
        BadInput: a scale that is not positive, under which a match would be the least similar.
    """
    found = {}
    for name, (w, b) in SCALES.items():
        scale = _get(theirs, f"__L__.{w}", path).item()
        if not 0 < scale < math.inf:
            raise BadInput(f"{path}: the scale {w} is {scale:g}; it must be positive")
        found[f"{name}.log_w"] = torch.tensor(math.log(scale))
        found[f"{name}.b"] = _get(theirs, f"__L__.{b}", path).reshape(())
    return found


def _batch_norm(theirs: dict, their: str, ours: str, b: Tensor, path: Path) -> dict[str, Tensor]:
    """A BatchNorm that follows a convolution with this bias; ours has none, so the running mean takes it."""
    found = {
        kind: _get(theirs, f"{their}.{kind}", path)
        for kind in ("weight", "bias", "running_mean", "running_var")
    }
    found["running_mean"] = (found["running_mean"].double() - b.double()).to(b.dtype)
    found["num_batches_tracked"] = theirs.get(f"{their}.num_batches_tracked", torch.tensor(0))
    return {f"{ours}.{kind}": value for kind, value in found.items()}


def _flat(weight: Tensor, name: str, path: Path) -> Tensor:
    """A conv2d weight as it is; a conv3d weight that sees one frame, (out, in, 1, h, w), without that axis."""
    if weight.ndim == 5 and weight.shape[2] == 1:
        return weight[:, :, 0]
    if weight.ndim != 4:
        raise BadInput(
            f"{path}: {name}.weight is {tuple(weight.shape)}; only checkpoints of SyncNetModelFBank can be read"
        )
    return weight


def _get(theirs: dict[str, Tensor], name: str, path: Path) -> Tensor:
    value = theirs.get(name)
    if value is None:
        raise BadInput(
            f"{path}: no {name}; only checkpoints of SyncNetModelFBank from {WHERE} can be read"
        )
    if not torch.isfinite(value).all():
        raise BadInput(f"{path}: {name} holds NaN or infinite numbers; download the file again")
    return value
