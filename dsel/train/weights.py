"""Read and write files of weights (.pt). All other modules read and write them through this one.

Such a file is an archive as `torch.save` writes it: tensors as they lie in memory, and a pickle
that says how they form a dictionary. It may come from a stranger or from a broken download. So each
part is checked before it is used:

    archive   its entries are not compressed, fit in the file and agree with their checksums
    pickle    it names tensors and plain values only, so that it cannot run code or claim memory
    config    it describes networks that fit together
    weights   they have the names and shapes of those networks, and every number is finite
"""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from dsel.audio import N_MELS
from dsel.model import ModelConfig, TwoStream, output_size
from dsel.timing import WINDOW_MELS
from dsel.utils.errors import BadInput
from dsel.utils.files import atomic

LONGEST = 300  # characters of a reason; a file may hold a name of any length
MAGIC = b"PK\x03\x04"  # the first bytes of an archive
PLAIN = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
}
STORAGES = ("Float", "Half", "BFloat16", "Double", "Long", "Int", "Short", "Char", "Byte", "Bool")
ALLOWED = PLAIN | {f"torch {kind}Storage" for kind in STORAGES}  # what a pickle of weights may name


class _Unfit(Exception):
    """Say why a file cannot be used as weights."""


def write_weights(path: str | Path, state: dict) -> None:
    """Write a dictionary of tensors and plain values, atomically and durably.

    The same state gives the same bytes, whatever the name of the file. (torch writes the name into
    the archive, unless it is given an open file.)

    Args:
        path: the file to write.
        state: what it holds.
    """
    with atomic(path, durable=True) as part, part.open("wb") as file:
        torch.save(state, file)


def read_weights(path: str | Path, remedy: str = "copy or download it again") -> dict:
    """Read a file of weights: a dictionary with 'model', 'config' and more.

    Args:
        path: the file.
        remedy: what the message advises if the file cannot be used.
    Raises:
        BadInput: no such file, not a file of weights, or damaged.
    """
    state, why = try_read(Path(path))
    if state is None:
        raise BadInput(f"{path}: {why}; {remedy}")
    return state


def try_read(path: Path, needed: tuple[str, ...] = ("model", "config")) -> tuple[dict | None, str]:
    """Read a file of weights, without raising an error.

    Args:
        path: the file.
        needed: the entries that it must have.
    Returns:
        (what was read, ""), or (None, why it cannot be used).
    """
    try:
        _check_archive(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except _Unfit as unfit:
        return None, str(unfit)
    except OSError as error:
        return None, f"cannot be read ({error.strerror or type(error).__name__})"
    except Exception as error:  # a damaged pickle can raise anything
        return None, f"damaged ({type(error).__name__})"
    if not isinstance(state, dict):
        return None, "not a dsel checkpoint"
    missing = [name for name in needed if name not in state]
    return (None, f"not a dsel checkpoint (no {missing[0]!r} in it)") if missing else (state, "")


def networks_in(
    state: dict, path: str | Path, remedy: str = "copy or download it again"
) -> TwoStream:
    """Build the networks that a file of weights holds.

    They are in evaluation mode, on the CPU and in float32. No random number is drawn. Arguments and
    errors are those of `check_networks`.
    """
    config = check_networks(state, path, remedy)
    with torch.random.fork_rng(devices=[]):  # the first weights are random, and replaced at once
        model = TwoStream(config)
    model.load_state_dict(state["model"])  # into float32
    return model.eval()


def check_networks(
    state: dict, path: str | Path, remedy: str = "copy or download it again"
) -> ModelConfig:
    """Check the weights in a file against the configuration in it.

    Args:
        state: what `read_weights` returned.
        path: where it was read, for the message.
        remedy: what the message advises.
    Returns:
        The configuration of the networks.
    Raises:
        BadInput: the configuration makes no networks; or a weight is missing, unknown, of another
            shape, or not finite.
    """
    try:
        config = _config(state)
        _check_tensors(state["model"], config, Path(path))
    except _Unfit as unfit:
        raise BadInput(f"{path}: {unfit}; {remedy}") from unfit
    return config


def _check_archive(path: Path) -> None:
    """Raise _Unfit unless a file is a whole archive of tensors, none larger than the file."""
    if not path.exists():
        raise _Unfit("no such file")
    if not path.is_file():
        raise _Unfit("not a file")
    with path.open("rb") as file:
        head = file.read(len(MAGIC))
    if head != MAGIC:
        raise _Unfit("not a dsel checkpoint" if head else "empty")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len({entry.filename.lower() for entry in entries}) < len(entries):
                raise _Unfit("damaged (two entries of one name)")
            packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
            if packed or sum(entry.file_size for entry in entries) > path.stat().st_size:
                raise _Unfit("not a dsel checkpoint (its entries are larger than the file)")
            if archive.testzip() is not None:
                raise _Unfit("damaged (a checksum differs)")
            names = [entry.filename for entry in entries]
            _check_pickles(archive.read(name) for name in names if name.lower().endswith(".pkl"))
    except zipfile.BadZipFile as error:
        raise _Unfit("incomplete or damaged") from error


def _check_pickles(pickles: Iterable[bytes]) -> None:
    """Raise _Unfit if a pickle names anything but tensors and plain values.

    Even `torch.Tensor` is refused: it would take as much memory as the pickle says.
    """
    for text in pickles:
        for code, argument, _ in pickletools.genops(text):
            if code.name in ("GLOBAL", "STACK_GLOBAL", "INST") and argument not in ALLOWED:
                raise _Unfit("not a dsel checkpoint (it holds more than tensors and plain values)")


def _config(state: dict) -> ModelConfig:
    """Read the configuration of the networks in a state. Raises _Unfit if there is none."""
    try:
        if not isinstance(state["config"]["train"], dict):
            raise _Unfit("its configuration cannot be read")
        return ModelConfig.from_dict(state["config"]["model"])
    except BadInput as error:
        raise _Unfit(str(error)[:LONGEST]) from error
    except (AttributeError, KeyError, TypeError) as error:
        raise _Unfit("its configuration cannot be read") from error


def _check_tensors(weights: dict, config: ModelConfig, path: Path) -> None:
    """Raise _Unfit unless these are the weights of such networks, built without memory."""
    if not isinstance(weights, dict) or not all(
        isinstance(value, Tensor) for value in weights.values()
    ):
        raise _Unfit("its weights are not tensors by name")
    if len(config.face) + len(config.audio) > len(weights):
        raise _Unfit("its configuration has more layers than weights")
    expected = _empty_networks(config).state_dict()
    for word, names in (
        ("lacks", expected.keys() - weights.keys()),
        ("has an unknown", weights.keys() - expected.keys()),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise _Unfit(f"it {word} weight {min(map(str, names))}{more}")
    for name, value in weights.items():
        if value.shape != expected[name].shape:
            shape = tuple(expected[name].shape)
            raise _Unfit(f"{name} is {tuple(value.shape)}, but its configuration says {shape}")
        if value.is_floating_point() != expected[name].is_floating_point() or value.is_complex():
            raise _Unfit(f"{name} is of type {str(value.dtype).removeprefix('torch.')}")
    if sum(x.numel() * x.element_size() for x in weights.values()) > path.stat().st_size:
        raise _Unfit("its weights are larger than the file")
    for name, value in weights.items():
        if not torch.isfinite(value).all():
            raise _Unfit(f"{name} holds NaN or infinite numbers")


def _empty_networks(config: ModelConfig) -> TwoStream:
    """Build networks without memory. Raises _Unfit unless a window gives one vector per stream."""
    try:
        face = {output_size(config.face, axis, config.face_size) for axis in (0, 1)}
        audio = {output_size(config.audio, 0, N_MELS), output_size(config.audio, 1, WINDOW_MELS)}
        if face | audio != {1}:
            raise _Unfit("its configuration makes no networks (one window must give one vector)")
        with torch.device("meta"):
            return TwoStream(config)
    except (ArithmeticError, TypeError, ValueError, RuntimeError, LookupError) as error:
        raise _Unfit(f"its configuration makes no networks ({type(error).__name__})") from error
