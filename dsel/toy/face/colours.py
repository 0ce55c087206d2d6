"""Mix colours: the palettes of skin, hair and eyes, and three functions on RGB triples.

(Source: ours.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

Colour = tuple[float, float, float]  # red, green, blue in [0, 1]

# Each palette runs from one end of a scale to the other; `ramp` reads colours between its entries.
SKIN: tuple[Colour, ...] = (
    (0.95, 0.81, 0.72),
    (0.92, 0.73, 0.60),
    (0.88, 0.68, 0.51),
    (0.76, 0.53, 0.36),
    (0.55, 0.35, 0.22),
    (0.40, 0.25, 0.17),
)
HAIR_COLOURS: tuple[Colour, ...] = (
    (0.07, 0.06, 0.07),
    (0.17, 0.11, 0.08),
    (0.30, 0.19, 0.12),
    (0.46, 0.25, 0.13),
    (0.62, 0.45, 0.26),
    (0.87, 0.72, 0.46),
)
IRIS: tuple[Colour, ...] = (
    (0.18, 0.11, 0.07),
    (0.32, 0.20, 0.10),
    (0.38, 0.40, 0.20),
    (0.30, 0.45, 0.55),
)


def ramp(palette: Sequence[Colour], position: float) -> Colour:
    """Return the colour at a position in [0, 1] along a palette, mixed from its two neighbours."""
    place = position * (len(palette) - 1)
    i = min(int(place), len(palette) - 2)
    return mix(palette[i], palette[i + 1], place - i)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Return (1 - share) a + share b, channel by channel."""
    red, green, blue = (float((1 - share) * p + share * q) for p, q in zip(a, b, strict=True))
    return red, green, blue


def clip_colour(colour: Iterable[float]) -> Colour:
    """Return the colour with every channel limited to [0.02, 1]: no channel is quite black."""
    red, green, blue = (float(np.clip(value, 0.02, 1.0)) for value in colour)
    return red, green, blue
