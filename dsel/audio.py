"""The audio front end: log-mel and MFCC in a few lines of torch, on the grid of `dsel.timing`.

torchaudio computes the same numbers to the last bit (tests/method/test_audio.py proves it) and is not needed: its wheels
cannot be imported beside every torch. Where it offers more, e.g. its corpora, `import_torchaudio()` gives it or None.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsel.timing import MEL_HOP, MEL_LENGTH, SAMPLE_RATE
from dsel.utils.errors import BadInput

N_MELS = 40  # mel bands, 0 to 8000 Hz (authors' code)
N_FFT = 512  # (authors' code)
FLOOR = 1e-6  # added before the log (authors' code)
OVERHANG = (MEL_LENGTH - MEL_HOP) // 2  # 120 samples: how far the analysis windows reach beyond their frame
FRONT_ENDS = ("track", "level", "none", "authors")  # what `front_end` knows
FULL_SCALE = 32767  # the int16 sample that stands for 1.0
BEYOND = 240  # samples that the authors' loader reads after the last frame (authors' code)
PAD = OVERHANG + (N_FFT - MEL_LENGTH) // 2  # 176: the same for the FFT's frame, whose outer 56 samples have weight 0


def log_mel(waveform: Tensor, mels: int = N_MELS, bank: Tensor | None = None) -> Tensor:
    """Log-mel spectrogram on the time grid: exactly 4 mel frames a video frame.

    waveform float (B, 640 T) in [-1, 1], 16 kHz -> (B, mels, 4 T), log of power + 1e-6.
    Mel frame k is centred at sample 160 k + 80, the middle of its 10 ms. At both ends 120 samples are mirrored.
    (Source: authors' code, but for the centring: theirs lies 80 samples later, see `authors_mel`.)
    """
    power = _power(F.pad(waveform[:, None], (PAD, PAD), mode="reflect")[:, 0])  # (B, 257, 4T)
    bank = (filter_bank(mels) if bank is None else bank).to(power)  # (257, mels)
    return torch.log((power.transpose(1, 2) @ bank).transpose(1, 2) + FLOOR)


def mfcc(waveform: Tensor, coefficients: int = 20, mels: int = N_MELS) -> Tensor:
    """Mel-frequency cepstral coefficients: (B, 640 T) -> (B, coefficients, 4 T), orthonormal DCT-II of `log_mel`."""
    return torch.einsum("bmt,mc->bct", log_mel(waveform, mels), dct(coefficients, mels).to(waveform))


def instance_norm(mel: Tensor, eps: float = 1e-5) -> Tensor:
    """Zero mean and unit variance per mel band over the time of a track: (B, mels, M) -> same. (Source: authors' code.)

    It takes a microphone's fixed colour away. It also lets every window know its whole track's average.
    """
    return F.instance_norm(mel, eps=eps)


def level_norm(mel: Tensor) -> Tensor:
    """Subtract one number per track, its mean over bands and time: (B, mels, M) -> same. (Source: ours.)

    It takes away how loud a track is, up to the floor of the logarithm. It keeps the long-term spectrum, by which a voice is
    known, and tells a window only one number about its track. The spread is not normalised: that would be a second number,
    and how much a track's loudness varies depends on its words.
    """
    return mel - mel.mean(dim=(1, 2), keepdim=True)


def authors_mel(waveform: Tensor, bank: Tensor | None = None) -> Tensor:
    """Compute the authors' input exactly as their code does: (B, 640 T) -> (B, 40, 4 T). (Source: authors' code.)

    Samples on the scale of int16, power + 1e-6, logarithm, instance normalisation per band over 4 T + 2 mel frames, then the
    first and the last of these are dropped. Mel frame m that is left is centred at sample 160 m + 160, that is 80 samples
    later than in `log_mel`; its window begins 40 samples before its 10 ms.
    Their loader reads 240 samples beyond the last frame. A batch here ends with its last frame, so these 240 samples are
    mirrored (ours); they reach the windows of the last two mel frames, and the statistics of the normalisation.
    """
    sound = F.pad(FULL_SCALE * waveform[:, None], (0, BEYOND), mode="reflect")[:, 0]  # (B, 640 T + 240)
    power = _power(sound, center=True)  # (B, 257, 4 T + 2)
    bank = (filter_bank() if bank is None else bank).to(power)  # (257, 40)
    mel = torch.log((power.transpose(1, 2) @ bank).transpose(1, 2) + FLOOR)
    return instance_norm(mel)[..., 1:-1]


def front_end(waveform: Tensor, kind: str, bank: Tensor | None = None) -> Tensor:
    """Compute what the audio trunk sees: (B, 640 T) -> (B, 40, 4 T). Raises BadInput for an unknown kind.

    'track': each mel band has zero mean and unit variance over the track (`instance_norm`).
    'level': the mean over bands and time is subtracted (`level_norm`), the scale is fixed.
    'none': offset and scale are fixed, so a window knows nothing of its track.
    'authors': exactly the authors' (`authors_mel`).
    """
    check_front_end(kind)
    if kind == "authors":
        return authors_mel(waveform, bank)
    mel = log_mel(waveform, bank=bank)
    if kind == "track":
        return instance_norm(mel)
    return level_norm(mel) / 4.0 if kind == "level" else (mel + 5.0) / 4.0


class FrontEnd(nn.Module):
    """Compute `front_end` with its filter bank as a buffer, which moves with the networks and is not saved.

    A tensor kept in a cache would be an inference tensor after a first call under `inference_mode`, and no gradient could
    pass it later. (Source: ours.)
    """

    def __init__(self, kind: str):
        super().__init__()
        check_front_end(kind)
        self.kind = kind
        self.register_buffer("bank", filter_bank(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, 640 T) -> (B, 40, 4 T)."""
        return front_end(waveform, self.kind, self.bank)


def check_front_end(kind: str) -> None:
    """Raise BadInput unless `front_end` knows this kind."""
    if kind not in FRONT_ENDS:
        raise BadInput(f"front_end {kind!r}: must be one of {', '.join(FRONT_ENDS)}")


def filter_bank(mels: int = N_MELS) -> Tensor:
    """Compute triangular filters, equally wide on the HTK mel scale: (257, mels)."""
    frequencies = torch.linspace(0, SAMPLE_RATE // 2, N_FFT // 2 + 1)  # (257,) Hz
    top = 2595.0 * math.log10(1.0 + SAMPLE_RATE / 2 / 700.0)
    corners = 700.0 * (10.0 ** (torch.linspace(0.0, top, mels + 2) / 2595.0) - 1.0)  # (mels + 2,) Hz
    width = corners[1:] - corners[:-1]
    slopes = corners[None] - frequencies[:, None]  # (257, mels + 2)
    return torch.minimum(-slopes[:, :-2] / width[:-1], slopes[:, 2:] / width[1:]).clamp(min=0)


def dct(coefficients: int, mels: int) -> Tensor:
    """Compute the orthonormal DCT-II: (mels, coefficients)."""
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


def _power(sound: Tensor, center: bool = False) -> Tensor:
    """Power spectrum: (B, samples) -> (B, 257, frames). center: frame k is centred at sample 160 k, the ends mirrored."""
    window = torch.hann_window(MEL_LENGTH, device=sound.device, dtype=sound.dtype)
    spectrum = torch.stft(sound, N_FFT, MEL_HOP, MEL_LENGTH, window, center=center, return_complex=True)
    return spectrum.abs().pow(2.0)
