"""Draw a random scene: what changes from track to track of one person.

Light, camera, background, clothes, and the movements that speech does not cause: sway, brows,
blinks, gaze. A scene is independent of the speaker and of the sound. (Source: ours.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dsel.timing import FPS
from dsel.toy.face.colours import Colour, clip_colour


@dataclass(frozen=True)
class Scene:
    """Hold everything around a face in one track of T frames."""

    light_x: float  # where the lamp is: -1 left .. 1 right
    light_y: float  # -1 below .. 1 above
    light: float  # share of directed light, 0..1
    exposure: float  # brightness of the whole picture, 1 is usual
    warmth: float  # colour of the light, -1 blue .. 1 orange
    background: str  # one of BACKGROUNDS
    background_colours: tuple[Colour, Colour]
    background_seed: int
    shirt: Colour
    scarf: Colour  # seen only on people who wear one
    zoom: float  # size of the face in the crop, 1 is usual
    shift_x: float  # where the face is in the crop
    shift_y: float
    softness: float  # width of an edge in pixels: the focus of the camera
    noise: float  # standard deviation of the sensor's noise, 0..1 scale
    noise_at: np.ndarray  # (T,) int64: where each frame's patch of noise starts
    noise_seed: int
    sway: np.ndarray  # (T, 6) float32: x, y, roll (radians), zoom, yaw, pitch of the head
    brows: np.ndarray  # (T,) float32: raised, -1..1
    blink: np.ndarray  # (T,) float32: 0 open .. 1 shut
    gaze: np.ndarray  # (T, 2) float32: right, down, -1..1

    def __len__(self) -> int:
        return len(self.blink)

    def cut(self, frames: slice) -> Scene:
        """Return the same scene with only some of its frames."""
        moving = ("noise_at", "sway", "brows", "blink", "gaze")
        return replace(self, **{name: getattr(self, name)[frames] for name in moving})


BACKGROUNDS = ("plain", "gradient", "bokeh", "shelf", "window", "curtain")
NOISE_PATCHES = 4096  # number of places where a frame's patch of noise can start


def draw_scene(rng: np.random.Generator, frames: int) -> Scene:
    """Draw the scene of one track.

    Args:
        rng: the random stream; the scene is a function of it and of `frames`.
        frames: T, the number of frames.
    """
    base = rng.uniform(0.1, 0.9) * np.array([1.0, 1.0, 1.0]) + rng.normal(0, 0.10, 3)
    other = base + rng.normal(0, 0.16) + rng.normal(0, 0.07, 3)
    return Scene(
        light_x=float(rng.uniform(-1, 1)),
        light_y=float(rng.uniform(-0.2, 1)),
        light=float(rng.uniform(0.25, 0.75)),
        exposure=float(np.exp(rng.normal(-0.05, 0.12))),
        warmth=float(rng.uniform(-1, 1)),
        background=BACKGROUNDS[rng.integers(len(BACKGROUNDS))],
        background_colours=(clip_colour(base), clip_colour(other)),
        background_seed=int(rng.integers(2**31)),
        shirt=clip_colour(rng.uniform(0.05, 0.95) + rng.normal(0, 0.15, 3)),
        scarf=clip_colour(rng.uniform(0.1, 0.8) + rng.normal(0, 0.12, 3)),
        zoom=float(1.42 * np.exp(rng.normal(0, 0.03))),
        shift_x=float(rng.uniform(-0.05, 0.05)),
        shift_y=float(rng.uniform(-0.19, -0.13)),
        softness=float(rng.uniform(1.0, 1.7)),
        noise=float(rng.uniform(0.003, 0.018)),
        noise_at=rng.integers(0, NOISE_PATCHES, frames),
        noise_seed=int(rng.integers(2**31)),
        sway=_sway(rng, frames),
        brows=np.tanh(_wander(rng, frames, 0.6)).astype(np.float32),
        blink=_blinks(rng, frames),
        gaze=_gaze(rng, frames),
    )


def _sway(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Return slow movements of the head around a random pose, (T, 6)."""
    rest = rng.normal(0, 1, 6) * (0.010, 0.008, 0.035, 0.0, 0.045, 0.030)
    step = np.stack([_wander(rng, frames, rng.uniform(0.4, 1.6)) for _ in range(6)], 1)
    moved = step * rng.uniform(0.4, 1.0, 6) * (0.016, 0.012, 0.028, 0.014, 0.030, 0.022)
    limit = np.array([0.04, 0.03, 0.09, 0.03, 0.09, 0.06])
    return (limit * np.tanh((rest + moved) / limit)).astype(np.float32)


def _wander(rng: np.random.Generator, frames: int, hertz: float) -> np.ndarray:
    """Return a smooth random curve (T,) of about unit size with frequencies around `hertz`."""
    t = np.arange(frames) / FPS
    parts = zip(
        rng.normal(0, 0.7, 3),
        hertz * np.array([0.4, 1.0, 1.9]),
        rng.uniform(0, 2 * np.pi, 3),
        strict=True,
    )
    return sum(size * np.sin(2 * np.pi * f * t + phase) for size, f, phase in parts)


def _blinks(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Return blinks of about 0.25 s, one every 2 to 5 s: (T,), 0 open .. 1 shut."""
    shut, at = np.zeros(frames), rng.uniform(-0.2, 4.0) * FPS  # at: frame of the next blink
    while at < frames:
        away = np.arange(frames) - at
        shape = np.where(away < 0, 1 + away / 2.2, 1 - away / 4.0)  # falls faster than it rises
        shut = np.maximum(shut, np.clip(1.3 * shape, 0, 1))
        at += rng.uniform(2.0, 5.0) * FPS
    return shut.astype(np.float32)


def _gaze(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Return a gaze (T, 2) that rests, mostly on the camera, and jumps after 0.4 to 1.8 s."""
    gaze, start, target = np.zeros((frames, 2)), 0, rng.normal(0, 0.25, 2)
    while start < frames:
        stay = int(rng.uniform(0.4, 1.8) * FPS)
        gaze[start : start + stay] = target
        start, target = start + stay, rng.normal(0, 0.4, 2) * (rng.random() < 0.6)
    return np.clip(gaze, -1, 1).astype(np.float32)
