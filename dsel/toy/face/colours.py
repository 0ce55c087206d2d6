"""Colours of skin, hair and eyes, and how they are mixed."""

from __future__ import annotations

import numpy as np

Colour = tuple[float, float, float]  # red, green, blue in [0, 1]

_SKIN = (
    (0.95, 0.81, 0.72),
    (0.92, 0.73, 0.60),
    (0.88, 0.68, 0.51),
    (0.76, 0.53, 0.36),
    (0.55, 0.35, 0.22),
    (0.40, 0.25, 0.17),
)
_HAIR_COLOURS = (
    (0.07, 0.06, 0.07),
    (0.17, 0.11, 0.08),
    (0.30, 0.19, 0.12),
    (0.46, 0.25, 0.13),
    (0.62, 0.45, 0.26),
    (0.87, 0.72, 0.46),
)
_IRIS = ((0.18, 0.11, 0.07), (0.32, 0.20, 0.10), (0.38, 0.40, 0.20), (0.30, 0.45, 0.55))


def _ramp(colours, at: float) -> Colour:
    """The colour at a place in [0, 1] along a row of colours."""
    spot = at * (len(colours) - 1)
    i = min(int(spot), len(colours) - 2)
    return _mix(colours[i], colours[i + 1], spot - i)


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    return tuple(float((1 - share) * p + share * q) for p, q in zip(a, b, strict=True))


def _clip(colour) -> Colour:
    return tuple(float(np.clip(value, 0.02, 1.0)) for value in colour)
