"""The audio front end: log-mel and MFCC in a few lines of torch, on the grid of `dsel.timing`.

torchaudio computes the same numbers to the last bit (tests/method/test_audio.py proves it). It is
not needed here, because its wheels cannot be imported beside every torch. `import_torchaudio()`
returns it, or the part of it that can be imported: for comparisons and for its corpora.

Letters: B tracks, T video frames per track, M mel frames per track.
"""

from __future__ import annotations

import importlib
import math
import sys
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsel.timing import MEL_HOP, MEL_LENGTH, SAMPLE_RATE
from dsel.utils.errors import BadInput

N_MELS = 40  # mel bands, 0 to 8000 Hz (authors' code)
N_FFT = 512  # (authors' code)
FLOOR = 1e-6  # added before the log (authors' code)
# 120 samples of an analysis window lie on each side of its 10 ms.
OVERHANG = (MEL_LENGTH - MEL_HOP) // 2
# 176: the same for the FFT, whose outer 56 have weight 0.
PAD = OVERHANG + (N_FFT - MEL_LENGTH) // 2
FRONT_ENDS = ("track", "level", "none", "authors")  # the kinds of `front_end`
FULL_SCALE = 32767  # the int16 sample that stands for 1.0
BEYOND = 240  # samples that the authors' loader reads after the last frame (authors' code)


def log_mel(waveform: Tensor, mels: int = N_MELS, bank: Tensor | None = None) -> Tensor:
    """Compute the log-mel spectrogram on the time grid, with exactly 4 mel frames per video frame.

    Mel frame k is centred at sample 160 k + 80, the middle of its 10 ms. At both ends, 120 samples
    are mirrored. (Source: authors' code, but for the centring: theirs is 80 samples later, see
    `authors_mel`.)

    Args:
        waveform: float (B, 640 T) in [-1, 1], 16 kHz.
        mels: number of mel bands.
        bank: `filter_bank(mels)`; None: it is computed here.
    Returns:
        waveform (B, 640 T) -> (B, mels, 4 T), the log of power + 1e-6.

    >>> log_mel(torch.zeros(2, 16_000)).shape  # one second is 25 video frames
    torch.Size([2, 40, 100])
    """
    power = _power(F.pad(waveform[:, None], (PAD, PAD), mode="reflect")[:, 0])  # (B, 257, 4T)
    bank = (filter_bank(mels) if bank is None else bank).to(power)  # (257, mels)
    return torch.log((power.transpose(1, 2) @ bank).transpose(1, 2) + FLOOR)


def mfcc(waveform: Tensor, coefficients: int = 20, mels: int = N_MELS) -> Tensor:
    """Compute mel-frequency cepstral coefficients, the orthonormal DCT-II of `log_mel`.

    Args:
        waveform: float (B, 640 T) in [-1, 1], 16 kHz.
        coefficients, mels: how many of both.
    Returns:
        waveform (B, 640 T) -> (B, coefficients, 4 T).

    >>> mfcc(torch.zeros(2, 16_000)).shape
    torch.Size([2, 20, 100])
    """
    return torch.einsum(
        "bmt,mc->bct", log_mel(waveform, mels), dct(coefficients, mels).to(waveform)
    )


def instance_norm(mel: Tensor, eps: float = 1e-5) -> Tensor:
    """Give each mel band of a track zero mean and unit variance over time: (B, mels, M) -> same.

    It removes the frequency response of a microphone. It also tells every window the average of its
    whole track. (Source: authors' code.)
    """
    return F.instance_norm(mel, eps=eps)


def level_norm(mel: Tensor) -> Tensor:
    """Subtract one number per track, its mean over bands and time: (B, mels, M) -> same. (Ours.)

    It removes the loudness of a track, down to the floor of the logarithm. It keeps the long-term
    spectrum, by which a voice is recognised, and tells a window one number about its track. The
    spread is not normalised. That would be a second number, which depends on the words: they decide
    how much the loudness varies.
    """
    return mel - mel.mean(dim=(1, 2), keepdim=True)


def authors_mel(waveform: Tensor, bank: Tensor | None = None) -> Tensor:
    """Compute the authors' input exactly as their code does. (Source: authors' code.)

    Samples are on the scale of int16. Then follow power + 1e-6, logarithm and `instance_norm` over
    4 T + 2 mel frames, of which the first and the last are dropped. Mel frame m of the rest is
    centred at sample 160 m + 160, which is 80 samples later than in `log_mel`; its window begins 40
    samples before its 10 ms.

    Their loader reads 240 samples beyond the last frame. A batch here ends with its last frame, so
    these 240 samples are mirrored (ours). They reach the windows of the last two mel frames and the
    statistics of the normalisation.

    Args:
        waveform: float (B, 640 T) in [-1, 1], 16 kHz.
        bank: `filter_bank()`; None: it is computed here.
    Returns:
        waveform (B, 640 T) -> (B, 40, 4 T).
    """
    sound = FULL_SCALE * waveform[:, None]
    sound = F.pad(sound, (0, BEYOND), mode="reflect")[:, 0]  # (B, 640 T + 240)
    power = _power(sound, center=True)  # (B, 257, 4 T + 2)
    bank = (filter_bank() if bank is None else bank).to(power)  # (257, 40)
    mel = torch.log((power.transpose(1, 2) @ bank).transpose(1, 2) + FLOOR)
    return instance_norm(mel)[..., 1:-1]


def front_end(waveform: Tensor, kind: str, bank: Tensor | None = None) -> Tensor:
    """Compute the input of the audio trunk: (B, 640 T) -> (B, 40, 4 T).

    Args:
        waveform: float (B, 640 T) in [-1, 1], 16 kHz.
        kind: how the log-mel is normalised.
            'track': each mel band has zero mean and unit variance over the track (`instance_norm`).
            'level': the mean over bands and time is subtracted (`level_norm`); the scale is fixed.
            'none': offset and scale are fixed, so a window knows nothing of its track.
            'authors': exactly as in the authors' code (`authors_mel`).
        bank: `filter_bank()`; None: it is computed here.
    Raises:
        BadInput: an unknown kind.

    >>> front_end(torch.randn(2, 640 * 20), "level").shape  # 20 video frames
    torch.Size([2, 40, 80])
    """
    check_front_end(kind)
    if kind == "authors":
        return authors_mel(waveform, bank)
    mel = log_mel(waveform, bank=bank)
    if kind == "track":
        return instance_norm(mel)
    return level_norm(mel) / 4.0 if kind == "level" else (mel + 5.0) / 4.0


class FrontEnd(nn.Module):
    """Compute `front_end`, with the filter bank as a buffer.

    A buffer moves to a device with the networks; this one is not saved. A tensor in a cache would
    not do: if the first call is under `inference_mode`, no gradient can pass it later. (Ours.)
    """

    bank: Tensor

    def __init__(self, kind: str) -> None:
        super().__init__()
        check_front_end(kind)
        self.kind = kind
        self.register_buffer("bank", filter_bank(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Compute `front_end`: (B, 640 T) -> (B, 40, 4 T)."""
        return front_end(waveform, self.kind, self.bank)


def check_front_end(kind: str) -> None:
    """Raise BadInput for a kind that `front_end` does not have."""
    if kind not in FRONT_ENDS:
        raise BadInput(f"front_end {kind!r}: must be one of {', '.join(FRONT_ENDS)}")


def filter_bank(mels: int = N_MELS) -> Tensor:
    """Compute triangular filters, equally wide on the HTK mel scale: (257, mels)."""
    frequencies = torch.linspace(0, SAMPLE_RATE // 2, N_FFT // 2 + 1)  # (257,) Hz
    top = 2595.0 * math.log10(1.0 + SAMPLE_RATE / 2 / 700.0)
    steps = torch.linspace(0.0, top, mels + 2)  # mel
    corners = 700.0 * (10.0 ** (steps / 2595.0) - 1.0)  # (mels + 2,) Hz
    width = corners[1:] - corners[:-1]
    slopes = corners[None] - frequencies[:, None]  # (257, mels + 2)
    return torch.minimum(-slopes[:, :-2] / width[:-1], slopes[:, 2:] / width[1:]).clamp(min=0)


def dct(coefficients: int, mels: int) -> Tensor:
    """Compute the orthonormal DCT-II: (mels, coefficients)."""
    n, k = torch.arange(float(mels)), torch.arange(float(coefficients))[:, None]
    basis = torch.cos(torch.pi / mels * (n + 0.5) * k)  # (coefficients, mels)
    basis[0] *= 0.5**0.5
    return (basis * (2.0 / mels) ** 0.5).T


class _NotCompiled(ModuleType):
    """Stand in for `torchaudio._extension`: nothing compiled is there; every check passes."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return False if name.startswith("_IS_") else lambda function=None: function


def import_torchaudio() -> ModuleType | None:
    """Return torchaudio, at least the part of it that is written in Python.

    The wheels of torchaudio hold a compiled part for one torch, on Linux for CUDA. Where it cannot
    be loaded, a stand-in takes its place: transforms such as MelSpectrogram and the lists of
    corpora (`torchaudio.datasets`) need nothing compiled.

    Returns:
        The module; None where it is not installed, or has no such part.
    """
    try:
        return importlib.import_module("torchaudio")
    except ModuleNotFoundError:
        return None
    except (ImportError, OSError, RuntimeError):  # the compiled part
        for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
            del sys.modules[name]
    sys.modules["torchaudio._extension"] = _NotCompiled("torchaudio._extension")
    try:
        return importlib.import_module("torchaudio")
    except (ImportError, OSError, RuntimeError, AttributeError):
        return None


def _power(sound: Tensor, center: bool = False) -> Tensor:
    """Compute the power spectrum: (B, S) -> (B, 257, frames).

    center: frame k is centred at sample 160 k, and the ends are mirrored; else it begins there.
    """
    window = torch.hann_window(MEL_LENGTH, device=sound.device, dtype=sound.dtype)
    spectrum = torch.stft(
        sound, N_FFT, MEL_HOP, MEL_LENGTH, window, center=center, return_complex=True
    )
    return spectrum.abs().pow(2.0)
