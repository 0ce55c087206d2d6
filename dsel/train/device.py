"""Choose what the machine offers: device, precision, memory layout, and torch.compile or not."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm

from dsel.model import ROW_BY_ROW, laid_out

WRONG = 1e-2  # gradients that are off by such a share of the largest are wrong, not rounded

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # of glibc's mallopt(3)


def choose_device(name: str = "auto") -> torch.device:
    """Choose a device: for 'auto' a CUDA GPU, else Apple's, else the CPU; else torch's by name.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_layout(device: torch.device) -> torch.memory_format:
    """Choose how weights lie in memory: channels last, or as the device's maps do, row by row."""
    return torch.contiguous_format if device.type in ROW_BY_ROW else torch.channels_last


def trusted(
    device: torch.device, error: Callable[[torch.device], float] | None = None
) -> torch.device:
    """Return the device to train on: this one, or the CPU instead of an Apple GPU that is wrong.

    Then a line says why. The check takes milliseconds. (Source: ours.)

    Args:
        device: what was chosen; any other than an Apple GPU is trusted.
        error: how far its gradients are off; None: `batch_norm_error`.
    """
    if device.type != "mps":
        return device
    try:
        off = (error or batch_norm_error)(device)
    except RuntimeError as failure:
        why = f"BatchNorm cannot be computed there ({str(failure).splitlines()[0]})"
    else:
        if off < WRONG:
            return device
        why = f"BatchNorm's gradients are off by {off:.2g} times the largest there"
    remedy = "training on the CPU. Try a newer torch"
    tqdm.write(f"{device}: {why}, with torch {torch.__version__}; {remedy}", file=sys.stderr)
    return torch.device("cpu")


def batch_norm_error(device: torch.device, norm: Callable[..., Tensor] = F.batch_norm) -> float:
    """Return how far BatchNorm's gradients on a device are from the CPU's, of the largest of each.

    The map reaches it as in the networks: with its channels last, then laid out for its device.

    Args:
        device: where the gradients are tried.
        norm: what is called there, as torch's own is on the CPU.
    """
    draw = torch.Generator().manual_seed(0)
    x, aim = torch.randn(2, 4, 3, 8, 8, generator=draw)  # (4, 3, 8, 8) each
    gain, shift = torch.rand(2, 3, generator=draw) + 0.5

    def gradients(where: torch.device, call: Callable[..., Tensor]) -> list[Tensor]:
        given = [value.to(where).requires_grad_() for value in (x, gain, shift)]
        map_ = laid_out(given[0].contiguous(memory_format=torch.channels_last))
        out = call(map_, None, None, given[1], given[2], training=True)
        return [g.cpu() for g in torch.autograd.grad((out * aim.to(where)).sum(), given)]

    pairs = zip(gradients(device, norm), gradients(torch.device("cpu"), F.batch_norm), strict=True)
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


def choose_precision(name: str, device: torch.device) -> Callable[[], AbstractContextManager]:
    """Return a function that makes the context in which the networks compute.

    bfloat16 has the range of float32, so no loss has to be scaled.

    Args:
        name: 'float32', 'bfloat16', or 'auto': bfloat16 where the hardware multiplies it faster.
        device: where the networks compute.
    """
    if name == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
        name = "bfloat16" if fast or (device.type == "cpu" and _cpu_has_bf16()) else "float32"
    if name == "float32":
        return nullcontext
    return lambda: torch.autocast(device.type, dtype=torch.bfloat16)


def choose_compile(name: str, device: torch.device) -> bool:
    """Say whether to compile the networks.

    Args:
        name: 'on', 'off', or 'auto': on a CUDA GPU, where the faster steps soon make up for the
            minute that compiling takes.
        device: where the networks compute.

    >>> choose_compile("auto", torch.device("cpu"))
    False
    """
    return name == "on" or (name == "auto" and device.type == "cuda")


@lru_cache
def keep_memory() -> bool:
    """Let this process keep the memory it frees; return whether that was possible.

    Every step asks for the same sizes again. By default glibc returns large blocks to the system at
    once and gets them again page by page. That takes about a seventh of a laptop step on the CPU,
    more in a virtual machine. The peak memory of a step is the same. (Source: ours.)
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    wanted = ((M_MMAP_THRESHOLD, 32 << 20), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 64 << 20))
    return all(mallopt(option, value) for option, value in wanted)


def _cpu_has_bf16() -> bool:
    """Say whether the CPU has AMX, the one unit that is much faster in bfloat16."""
    probe = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(probe and probe())
