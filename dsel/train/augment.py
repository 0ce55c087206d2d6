"""A fresh microphone and a fresh light at every draw, on the device, independent in the two modalities.

A track has one microphone and one light for its whole length. Without this, a network can memorise a training track by
them instead of learning the voice and the face. (Source: ours.)
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dsel.timing import SAMPLE_RATE

EQ_POINTS = (
    8  # corners of the random equaliser, evenly spaced on a log-frequency axis from 100 Hz to 8 kHz
)
EQ_DB = 5.0  # standard deviation of its gain at each corner
EQ_BINS = 256  # steps of its curve between the corners
GAIN_DB = 4.0  # standard deviation of the loudness


def augment_sound(
    waveform: Tensor, generator: torch.Generator, strength: float = 1.0, share=None
) -> Tensor:
    """A random equaliser and gain for each track: (B, S) float -> (B, S). strength 0 changes nothing.

    The generator lives on the CPU, so that every device draws the same. share: (how many tracks are drawn for, the indices
    (B,) of these among them), where several processes share one draw; None: these are all.
    """
    B, S = waveform.shape
    draw = _draw(B, EQ_POINTS + 1, generator, share).to(waveform, non_blocking=True)
    corners = strength * (
        EQ_DB * draw[:, :EQ_POINTS] + GAIN_DB * draw[:, EQ_POINTS:]
    )  # (B, points) dB
    decibel = F.interpolate(corners[:, None], EQ_BINS, mode="linear", align_corners=True)[
        :, 0
    ]  # (B, bins), log frequency
    frequency = torch.linspace(0, SAMPLE_RATE / 2, S // 2 + 1, device=waveform.device)
    octave = torch.log2(frequency.clamp(min=100.0) / 100.0) / math.log2(
        80.0
    )  # 0 at 100 Hz, 1 at 8 kHz
    gain = 10 ** (decibel[:, (octave * (EQ_BINS - 1)).long()] / 20)  # (B, S/2 + 1)
    return torch.fft.irfft(torch.fft.rfft(waveform) * gain, S)


def augment_faces(
    frames: Tensor, generator: torch.Generator, strength: float = 1.0, share=None
) -> Tensor:
    """Random brightness, contrast, colour, a gradient of light and a shift of up to 4 % for each track.

    frames uint8 or float in [0, 1], (B, T, H, W, 3) -> float (B, T, H, W, 3), about in [0, 1]. All frames of a track
    change alike, so that no motion is added. strength 0 only casts. generator, share: as in `augment_sound`.
    """
    B, _, H, W, _ = frames.shape
    draw = strength * _draw(B, 8, generator, share)
    by = (draw[:, 6:8].clamp(-2, 2) * 0.02 * H).round().long()  # (B, 2): down, right
    if strength:
        frames = _shifted(frames, by)  # while a pixel is still 3 bytes
    draw = draw.to(frames.device, non_blocking=True)
    down, right = (torch.linspace(-1, 1, n, device=frames.device) for n in (H, W))
    light = 1 + 0.12 * (
        draw[:, 0, None, None] * down[:, None] + draw[:, 1, None, None] * right
    )  # (B, H, W)
    colour = torch.exp(0.06 * draw[:, 3:6] + 0.15 * draw[:, 2:3])  # (B, 3)
    field = light[..., None] * colour[:, None, None]  # (B, H, W, 3)
    if frames.dtype == torch.uint8:
        return torch.div(frames, 255).mul_(field[:, None])
    return frames * field[:, None].to(frames)


def _draw(tracks: int, numbers: int, generator: torch.Generator, share) -> Tensor:
    """Normal random numbers, a row a track: (tracks, numbers)."""
    if share is None:
        return torch.randn(tracks, numbers, generator=generator)
    of, rows = share
    return torch.randn(of, numbers, generator=generator)[rows]


def _shifted(frames: Tensor, by: Tensor) -> Tensor:
    """Each track's pictures rolled `by` (B, 2) pixels down and right; one gather, however many tracks."""
    B, T, H, W, C = frames.shape
    by = by.to(frames.device, non_blocking=True)
    rows, columns, pictures = (torch.arange(n, device=frames.device) for n in (H, W, B * T))
    row = (rows - by[:, :1]) % H  # (B, H): where each row comes from
    column = (columns - by[:, 1:]) % W
    within = row[:, :, None] * W + column[:, None]  # (B, H, W)
    at = pictures.reshape(B, T, 1) * (H * W) + within.reshape(B, 1, H * W)
    return frames.reshape(-1, C).index_select(0, at.flatten()).reshape(frames.shape)
