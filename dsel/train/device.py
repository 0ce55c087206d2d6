"""What the machine offers: which device computes, in which precision, whether to compile, and how memory is kept."""

from __future__ import annotations

import ctypes
import sys
from contextlib import nullcontext
from functools import lru_cache

import torch

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # of glibc's mallopt(3)


def choose_device(name: str = "auto") -> torch.device:
    """'auto': a CUDA GPU, else Apple's, else the CPU; any other name is torch's."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_precision(name: str, device: torch.device):
    """A function that makes the autocast context. 'auto' is bfloat16 where hardware multiplies it faster.

    bfloat16 has the range of float32, so no loss is scaled and there is no scaler to keep.
    """
    if name == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
        name = "bfloat16" if fast or (device.type == "cpu" and _cpu_has_bf16()) else "float32"
    if name == "float32":
        return nullcontext
    return lambda: torch.autocast(device.type, dtype=torch.bfloat16)


def choose_compile(name: str, device: torch.device) -> bool:
    """'on', 'off', or 'auto': on a CUDA GPU, where the minute it takes is soon repaid."""
    return name == "on" or (name == "auto" and device.type == "cuda")


@lru_cache
def keep_memory() -> bool:
    """Let this process keep the memory it frees, since every step asks for the same sizes again; True if it was arranged.

    By default glibc gives large blocks back to the system at once, and gets them again page by page: about a seventh of a
    laptop step on the CPU, more in a virtual machine. The step's peak memory is the same. (Source: ours.)
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
    probe = getattr(torch.cpu, "_is_amx_tile_supported", None)  # the one CPU unit that is much faster in bfloat16
    return bool(probe and probe())
