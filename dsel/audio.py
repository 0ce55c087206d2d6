"""The audio front end: log-mel and MFCC in a few lines of torch, on the grid of `dsel.timing`.

torchaudio computes the same numbers to the last bit (tests/test_audio.py proves it) and is not needed for them: its wheels
cannot be imported beside every torch. Where it offers more, e.g. its corpora, `import_torchaudio()` gives it or None.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from dsel.timing import MEL_HOP, MEL_LENGTH, SAMPLE_RATE

N_MELS = 40  # mel bands, 0 to 8000 Hz (authors' code)
N_FFT = 512  # (authors' code)
FLOOR = 1e-6  # added before the log (authors' code)
OVERHANG = (MEL_LENGTH - MEL_HOP) // 2  # 120 samples: how far the analysis windows reach beyond their frame
PAD = OVERHANG + (N_FFT - MEL_LENGTH) // 2  # 176: the same for the FFT's frame, whose outer 56 samples have weight 0


def log_mel(waveform: Tensor, mels: int = N_MELS) -> Tensor:
    """Log-mel spectrogram on the time grid: exactly 4 mel frames a video frame.

    waveform float (B, 640 T) in [-1, 1], 16 kHz -> (B, mels, 4 T), log of power + 1e-6.
    Mel frame k is centred at sample 160 k + 80, the middle of its 10 ms. At both ends 120 samples are mirrored.
    (Source: authors' code, but for the centring: theirs lies 40 samples later and drops the first and last frame.)
    """
    power = _power(F.pad(waveform[:, None], (PAD, PAD), mode="reflect")[:, 0])  # (B, 257, 4T)
    bank = _bank_on(mels, power.device, power.dtype)  # (257, mels)
    return torch.log((power.transpose(1, 2) @ bank).transpose(1, 2) + FLOOR)


def mfcc(waveform: Tensor, coefficients: int = 20, mels: int = N_MELS) -> Tensor:
    """Mel-frequency cepstral coefficients: (B, 640 T) -> (B, coefficients, 4 T), orthonormal DCT-II of `log_mel`."""
    return torch.einsum("bmt,mc->bct", log_mel(waveform, mels), dct(coefficients, mels).to(waveform))


def instance_norm(mel: Tensor, eps: float = 1e-5) -> Tensor:
    """Zero mean and unit variance per mel band over the time of a track: (B, mels, M) -> same. (Source: authors' code.)

    It takes a microphone's fixed colour away. It also lets every window know its whole track's average.
    """
    return F.instance_norm(mel, eps=eps)


@lru_cache
def filter_bank(mels: int = N_MELS) -> Tensor:
    """Triangular filters, equally wide on the HTK mel scale: (257, mels)."""
    frequencies = torch.linspace(0, SAMPLE_RATE // 2, N_FFT // 2 + 1)  # (257,) Hz
    top = 2595.0 * torch.log10(torch.tensor(1.0 + SAMPLE_RATE / 2 / 700.0, dtype=torch.float64)).item()
    corners = 700.0 * (10.0 ** (torch.linspace(0.0, top, mels + 2) / 2595.0) - 1.0)  # (mels + 2,) Hz
    width = corners[1:] - corners[:-1]
    slopes = corners[None] - frequencies[:, None]  # (257, mels + 2)
    return torch.minimum(-slopes[:, :-2] / width[:-1], slopes[:, 2:] / width[1:]).clamp(min=0)


@lru_cache
def _bank_on(mels: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """`filter_bank`, brought to a device once."""
    return filter_bank(mels).to(device, dtype)


@lru_cache
def dct(coefficients: int, mels: int) -> Tensor:
    """Orthonormal DCT-II: (mels, coefficients)."""
    n, k = torch.arange(float(mels)), torch.arange(float(coefficients))[:, None]
    basis = torch.cos(torch.pi / mels * (n + 0.5) * k)  # (coefficients, mels)
    basis[0] *= 0.5**0.5
    return (basis * (2.0 / mels) ** 0.5).T


def import_torchaudio():
    """The module torchaudio, or None where it is missing or does not fit the installed torch."""
    try:
        import torchaudio as module
    except (ImportError, OSError, RuntimeError):
        return None
    return module


def _power(padded: Tensor) -> Tensor:
    window = torch.hann_window(MEL_LENGTH, device=padded.device, dtype=padded.dtype)
    spectrum = torch.stft(padded, N_FFT, MEL_HOP, MEL_LENGTH, window, center=False, return_complex=True)
    return spectrum.abs().pow(2.0)
