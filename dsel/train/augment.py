"""Augmentation: a new microphone and a new light for every track of every batch, on the device.

A recorded track has one microphone and one light for its whole length. Without augmentation a
network can recognise a training track by them instead of learning the voice and the face. Sound and
picture are changed independently of each other. (Source: ours.)
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dsel.timing import SAMPLE_RATE

EQ_POINTS = 8  # corners of the random equaliser, even in log frequency from 100 Hz to 8 kHz
EQ_DB = 5.0  # standard deviation of its gain at each corner
EQ_BINS = 256  # steps of its curve between the corners
GAIN_DB = 4.0  # standard deviation of the loudness

Share = tuple[int, Tensor]  # number of tracks that are drawn for, indices (B,) of ours among them


def augment_sound(
    waveform: Tensor,
    generator: torch.Generator,
    strength: float = 1.0,
    share: Share | None = None,
) -> Tensor:
    """Apply a random equaliser and a random gain to each track.

    Args:
        waveform: (B, S) float.
        generator: draws; it lives on the CPU, so that every device gets the same numbers.
        strength: factor on all changes in dB; 0 changes nothing.
        share: where several processes share one draw, (number of tracks that are drawn for,
            indices (B,) of these tracks among them). None: these are all.
    Returns:
        (B, S) float.

    >>> sound = torch.randn(2, 640)
    >>> augment_sound(sound, torch.Generator().manual_seed(0)).shape
    torch.Size([2, 640])
    >>> still = augment_sound(sound, torch.Generator().manual_seed(0), strength=0.0)
    >>> torch.allclose(still, sound, atol=1e-5)
    True
    """
    B, S = waveform.shape
    draw = _draw(B, EQ_POINTS + 1, generator, share).to(waveform, non_blocking=True)
    corners = strength * (EQ_DB * draw[:, :EQ_POINTS] + GAIN_DB * draw[:, EQ_POINTS:])  # dB
    curve = F.interpolate(corners[:, None], EQ_BINS, mode="linear", align_corners=True)
    decibel = curve[:, 0]  # (B, EQ_BINS), even in log frequency
    frequency = torch.linspace(0, SAMPLE_RATE / 2, S // 2 + 1, device=waveform.device)
    octave = torch.log2(frequency.clamp(min=100.0) / 100.0)
    place = octave / math.log2(80.0)  # 0 at 100 Hz, 1 at 8 kHz
    gain = 10 ** (decibel[:, (place * (EQ_BINS - 1)).long()] / 20)  # (B, S/2 + 1)
    return torch.fft.irfft(torch.fft.rfft(waveform) * gain, S)


def augment_faces(
    frames: Tensor,
    generator: torch.Generator,
    strength: float = 1.0,
    share: Share | None = None,
) -> Tensor:
    """Change the light of each track, and shift its pictures.

    Brightness, contrast, colour and a gradient of light are drawn, and a shift of up to 4 % of the
    height. All frames of a track change alike, so no motion is added.

    Args:
        frames: uint8, or float in [0, 1], (B, T, H, W, 3).
        generator, share: as in `augment_sound`.
        strength: factor on all changes; 0 only converts to float.
    Returns:
        float (B, T, H, W, 3), about in [0, 1].

    >>> frames = torch.full((2, 3, 8, 8, 3), 255, dtype=torch.uint8)
    >>> light = augment_faces(frames, torch.Generator().manual_seed(0))
    >>> light.shape, torch.equal(light[:, 0], light[:, 2])
    (torch.Size([2, 3, 8, 8, 3]), True)
    """
    B, _, H, W, _ = frames.shape
    draw = strength * _draw(B, 8, generator, share)
    by = (draw[:, 6:8].clamp(-2, 2) * 0.02 * H).round().long()  # (B, 2): down, right
    if strength:
        frames = _shifted(frames, by)  # while a pixel is still 3 bytes
    draw = draw.to(frames.device, non_blocking=True)
    down, right = (torch.linspace(-1, 1, n, device=frames.device) for n in (H, W))
    tilt = draw[:, 0, None, None] * down[:, None] + draw[:, 1, None, None] * right  # (B, H, W)
    colour = torch.exp(0.06 * draw[:, 3:6] + 0.15 * draw[:, 2:3])  # (B, 3)
    light = (1 + 0.12 * tilt)[..., None] * colour[:, None, None]  # (B, H, W, 3)
    if frames.dtype == torch.uint8:
        return torch.div(frames, 255).mul_(light[:, None])
    return frames * light[:, None].to(frames)


def _draw(tracks: int, count: int, generator: torch.Generator, share: Share | None) -> Tensor:
    """Draw normal random numbers, one row per track: (tracks, count)."""
    if share is None:
        return torch.randn(tracks, count, generator=generator)
    all_tracks, rows = share
    return torch.randn(all_tracks, count, generator=generator)[rows]


def _shifted(frames: Tensor, by: Tensor) -> Tensor:
    """Roll the pictures of each track `by` (B, 2) pixels down and right.

    It is one gather, for any number of tracks.
    """
    B, T, H, W, C = frames.shape
    by = by.to(frames.device, non_blocking=True)
    rows, columns, pictures = (torch.arange(n, device=frames.device) for n in (H, W, B * T))
    row = (rows - by[:, :1]) % H  # (B, H): where each row comes from
    column = (columns - by[:, 1:]) % W
    within = row[:, :, None] * W + column[:, None]  # (B, H, W)
    at = pictures.reshape(B, T, 1) * (H * W) + within.reshape(B, 1, H * W)
    return frames.reshape(-1, C).index_select(0, at.flatten()).reshape(frames.shape)
