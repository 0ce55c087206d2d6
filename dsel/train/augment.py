"""Augmentation: a new microphone and a new light for every track of every batch, on the device.

A recorded track has one microphone and one light for its whole length. Without augmentation a
network can recognise a training track by them instead of learning the voice and the face. Sound and
picture are changed independently of each other; only `slow_down` changes both alike, so that they
stay in step. (Source: ours.)

    sound                                       picture
    augment_sound   microphone and loudness     augment_faces   light, colour, a shift of the crop
    add_room        echoes                      blur            a lens out of focus
    add_noise       noise of a room             compress        blocks, as in JPEG and video

Each takes a strength; 0 changes nothing.
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
ECHO = 6400  # samples after which an echo is cut off, 0.4 s
ECHO_SECONDS = (0.1, 0.5)  # shortest and longest time in which an echo falls by 60 dB
ECHO_DB = (-18.0, -6.0)  # of all echoes together, beside the direct sound
SNR_DB = (30.0, 10.0)  # signal-to-noise ratio, from the weakest to the strongest noise
SLOPE_DB = (0.0, -6.0)  # of the noise's spectrum, per octave above 100 Hz
SLOWEST = 0.1  # share by which a track is slowed down at most
LOSS = 0.02  # largest step of quantisation of the slowest wave in a block of a picture
BLOCK = 8  # pixels; height and width of a block

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
    place = _octaves(waveform) / math.log2(80.0)  # 0 at 100 Hz, 1 at 8 kHz
    gain = 10 ** (decibel[:, (place * (EQ_BINS - 1)).long()] / 20)  # (B, S/2 + 1)
    return torch.fft.irfft(torch.fft.rfft(waveform) * gain, S)


def add_room(
    waveform: Tensor, generator: torch.Generator, strength: float = 1.0, share: Share | None = None
) -> Tensor:
    """Let each track be heard in a room: the direct sound, and echoes that die away.

    Args:
        waveform, generator, share: as in `augment_sound`.
        strength: factor on the amplitude of the echoes.
    Returns:
        (B, S) float.
    """
    S, length = waveform.shape[1], waveform.shape[1] + ECHO
    seconds, level = _uniform(len(waveform), 2, generator, share).to(waveform).split(1, dim=1)
    echo = _draw(len(waveform), ECHO, generator, share).to(waveform)
    time = torch.arange(ECHO, device=waveform.device) / SAMPLE_RATE
    echo = echo * 10 ** (-3 * time / _between(ECHO_SECONDS, seconds))  # (B, ECHO)
    loud = strength * 10 ** (_between(ECHO_DB, level) / 20)
    response = loud * echo / echo.norm(dim=1, keepdim=True)
    spectrum = torch.fft.rfft(waveform, length) * (1 + torch.fft.rfft(response, length))
    return torch.fft.irfft(spectrum, length)[:, :S]


def add_noise(
    waveform: Tensor, generator: torch.Generator, strength: float = 1.0, share: Share | None = None
) -> Tensor:
    """Add noise to each track, 10 to 30 dB below its sound, with more of the low tones.

    Args:
        waveform, generator, share: as in `augment_sound`.
        strength: factor on the amplitude of the noise.
    Returns:
        (B, S) float.
    """
    B, S = waveform.shape
    snr, slope = _uniform(B, 2, generator, share).to(waveform).split(1, dim=1)
    white = torch.fft.rfft(_draw(B, S, generator, share).to(waveform))
    noise = torch.fft.irfft(white * 10 ** (_between(SLOPE_DB, slope) * _octaves(waveform) / 20), S)
    ratio = waveform.norm(dim=1, keepdim=True) / noise.norm(dim=1, keepdim=True)
    return waveform + strength * 10 ** (-_between(SNR_DB, snr) / 20) * ratio * noise


def slow_down(
    frames: Tensor,
    waveform: Tensor,
    generator: torch.Generator,
    strength: float = 1.0,
    share: Share | None = None,
) -> tuple[Tensor, Tensor]:
    """Play each track up to 10 % more slowly, its picture and its sound alike: they stay in step.

    The voice gets deeper by as much. A faster track would need frames beyond its end.

    Args:
        frames: (B, T, H, W, 3). waveform: (B, 640 T).
        generator, share: as in `augment_sound`.
        strength: factor on how much slower.
    Returns:
        frames (B, T, H, W, 3), as they were but at other times; waveform (B, 640 T).
    """
    (B, T), S = frames.shape[:2], waveform.shape[1]
    speed = 1 - SLOWEST * strength * _uniform(B, 1, generator, share).to(waveform)  # (B, 1)
    rows = torch.arange(B, device=frames.device)[:, None]
    shown = (speed * (torch.arange(T, device=speed.device) + 0.5)).long()  # (B, T)
    at = speed * torch.arange(S, device=speed.device)  # (B, S)
    first = at.long().clamp(max=S - 2)
    part = at - first
    left, right = waveform.gather(1, first), waveform.gather(1, first + 1)
    return frames[rows, shown.to(frames.device)], left + part * (right - left)


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


def blur(
    frames: Tensor, generator: torch.Generator, strength: float = 1.0, share: Share | None = None
) -> Tensor:
    """Put the pictures of each track out of focus: mix a pixel with the mean of its neighbours.

    Args:
        frames: float (B, T, H, W, 3).
        generator, share: as in `augment_sound`.
        strength: factor on the share of the neighbours, which is 1 at most.
    Returns:
        (B, T, H, W, 3)
    """
    mixed = (strength * _uniform(len(frames), 1, generator, share)).clamp(max=1).to(frames)
    images = frames.flatten(0, 1).permute(0, 3, 1, 2)  # (B T, 3, H, W)
    near = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    near = near.permute(0, 2, 3, 1).reshape(frames.shape)
    return torch.lerp(frames, near, mixed[:, :, None, None, None])


def compress(
    frames: Tensor, generator: torch.Generator, strength: float = 1.0, share: Share | None = None
) -> Tensor:
    """Lose detail as JPEG does: every 8 x 8 block as waves (DCT), which are rounded to steps.

    The steps are larger for faster waves, and another size for each track.

    Args:
        frames: float in [0, 1], (B, T, H, W, 3).
        generator, share: as in `augment_sound`.
        strength: factor on the steps.
    Returns:
        (B, T, H, W, 3)
    """
    B, T, H, W, C = frames.shape
    images = frames.permute(0, 1, 4, 2, 3).flatten(1, 2)  # (B, 3 T, H, W)
    images = F.pad(images, (0, -W % BLOCK, 0, -H % BLOCK), mode="replicate")
    h, w = images.shape[2:]
    blocks = images.reshape(B, T * C, h // BLOCK, BLOCK, w // BLOCK, BLOCK).transpose(3, 4)
    k = torch.arange(BLOCK, device=frames.device, dtype=frames.dtype)
    basis = torch.cos(math.pi / BLOCK * k[:, None] * (k + 0.5)) * math.sqrt(2 / BLOCK)
    basis = torch.cat([basis[:1] / math.sqrt(2), basis[1:]])  # (8, 8), orthonormal
    step = LOSS * strength * _uniform(B, 1, generator, share).to(frames)
    step = step.reshape(B, 1, 1, 1, 1, 1) * (1 + k[:, None] + k) + 1e-6
    waves = torch.round(basis @ blocks @ basis.T / step) * step
    images = (basis.T @ waves @ basis).transpose(3, 4).reshape(B, T, C, h, w)
    return images[..., :H, :W].permute(0, 1, 3, 4, 2)


def _draw(tracks: int, count: int, generator: torch.Generator, share: Share | None) -> Tensor:
    """Draw normal random numbers, one row per track: (tracks, count)."""
    if share is None:
        return torch.randn(tracks, count, generator=generator)
    all_tracks, rows = share
    return torch.randn(all_tracks, count, generator=generator)[rows]


def _uniform(tracks: int, count: int, generator: torch.Generator, share: Share | None) -> Tensor:
    """Draw numbers from 0 to 1, one row per track: (tracks, count)."""
    return torch.special.ndtr(_draw(tracks, count, generator, share))


def _octaves(waveform: Tensor) -> Tensor:
    """Return how far each frequency of the spectrum of (B, S) lies above 100 Hz: (S/2 + 1,)."""
    count = waveform.shape[1] // 2 + 1
    frequency = torch.linspace(0, SAMPLE_RATE / 2, count, device=waveform.device)
    return torch.log2(frequency.clamp(min=100.0) / 100.0)


def _between(ends: tuple[float, float], u: Tensor) -> Tensor:
    """Return what lies a share `u` of the way from one end to the other."""
    return ends[0] + (ends[1] - ends[0]) * u


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
