"""Paint soft-edged shapes on a canvas, and compute the light that falls on a head.

A shape is a function f(x, y) that is negative inside the shape. Near its edge, f divided by the
length of its gradient is the distance to the edge. So every f gets an edge of the same softness:
about one pixel of the final picture.

Shapes in comments: P x Q are the pixels of a canvas or of a part of it. (Source: ours.)
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from dsel.toy.face.colours import Colour
from dsel.toy.face.parameters import Face
from dsel.toy.face.scene import Scene

# The portrait covers [-REACH, REACH] in both directions: the crop, and a margin that sway and zoom
# may bring into view.
REACH = 1.25
DETAIL = 1.2  # pixels of the portrait per pixel of the final picture


class Canvas:
    """Hold a picture that is being painted.

    Args:
        x, y: (P, Q), coordinates of the pixels in half crops.
        rgb: (3, P, Q), the picture so far.
        grain: (P, Q) in [-1, 1], a fine random texture for hair and stubble.
        step: size of a pixel in half crops.
        soft: width of an edge in half crops.
    """

    def __init__(
        self, x: Tensor, y: Tensor, rgb: Tensor, grain: Tensor, step: float, soft: float
    ) -> None:
        self.x, self.y, self.rgb, self.grain, self.step, self.soft = x, y, rgb, grain, step, soft

    @classmethod
    def blank(cls, size: int, softness: float, device: torch.device) -> Canvas:
        """Return a black canvas.

        Args:
            size: height and width of the final picture in pixels.
            softness: width of an edge in pixels of the final picture.
            device: where the canvas lives.
        """
        pixels = 2 * round(size * DETAIL * REACH / 2)
        step = 2 * REACH / pixels
        line = (torch.arange(pixels, device=device, dtype=torch.float32) + 0.5) * step - REACH
        x, y = line[None, :].expand(pixels, -1), line[:, None].expand(-1, pixels)
        rgb = torch.zeros(3, pixels, pixels, device=device)
        return cls(
            x, y, rgb, torch.from_numpy(_grain(pixels)).to(device), step, softness * 2 / size
        )

    def window(self, left: float, right: float, top: float, bottom: float) -> Canvas:
        """Return a rectangular part of the canvas. Painting the part paints this canvas."""

        def pixels(low: float, high: float) -> slice:
            return slice(
                max(0, int((low + REACH) / self.step)), max(1, int((high + REACH) / self.step) + 1)
            )

        rows, cols = pixels(top, bottom), pixels(left, right)
        x, y, grain = (each[rows, cols].contiguous() for each in (self.x, self.y, self.grain))
        return Canvas(x, y, self.rgb[:, rows, cols], grain, self.step, self.soft)

    def colour(self, rgb: Colour) -> Tensor:
        """Return a colour as a tensor (3, 1, 1) on this canvas' device."""
        return torch.tensor(rgb, dtype=torch.float32, device=self.rgb.device).view(3, 1, 1)

    def edge(self, d: Tensor, soft: float | None = None) -> Tensor:
        """Return how much of each pixel a shape covers: (P, Q) in [0, 1].

        Args:
            d: (P, Q), signed distance to the edge in half crops, negative inside.
            soft: width of the edge in half crops; None: the canvas' own.
        """
        return (0.5 - d / (soft or self.soft)).clamp_(0, 1)

    def shape(self, f: Tensor, soft: float | None = None) -> Tensor:
        """Return the cover (P, Q) of the shape f < 0; f (P, Q) may have any slope."""
        gx, gy = torch.zeros_like(f), torch.zeros_like(f)
        gx[:, 1:-1] = f[:, 2:] - f[:, :-2]
        gy[1:-1] = f[2:] - f[:-2]
        slope = (gx * gx + gy * gy).sqrt_().div_(2 * self.step).clamp_(min=0.3)
        return self.edge(f / slope, soft)

    def paint(self, colour: Colour | Tensor, cover: Tensor) -> None:
        """Lay a colour over the picture.

        Args:
            colour: three numbers, or a tensor that broadcasts to (3, P, Q).
            cover: (P, Q) in [0, 1], how opaque the paint is.
        """
        if not torch.is_tensor(colour):
            colour = self.colour(colour)
        self.rgb.copy_(torch.lerp(self.rgb, colour, cover))

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, soft: float | None = None
    ) -> Tensor:
        """Return the cover (P, Q) of an ellipse with centre (x, y) and radii rx, ry."""
        return self.shape(((self.x - x) / rx) ** 2 + ((self.y - y) / ry) ** 2 - 1, soft)

    def blob(self, x: float | Tensor, y: float, rx: float, ry: float) -> Tensor:
        """Return a soft hill (1 - r^2)^2, (P, Q), for shading.

        Args:
            x: horizontal centre; or (P, Q), horizontal distances from the centre.
            y: vertical centre.
            rx, ry: radii, where the hill ends.
        """
        r = (
            ((x if torch.is_tensor(x) else self.x - x) / rx) ** 2 + ((self.y - y) / ry) ** 2
        ).clamp_(max=1)
        return (1 - r) ** 2


@lru_cache(maxsize=8)
def _grain(pixels: int) -> np.ndarray:
    """Return noise (P, P) in [-1, 1], the same for every portrait of that size."""
    return np.random.default_rng(0).uniform(-1, 1, (pixels, pixels)).astype(np.float32)


def light_on(face: Face, scene: Scene, x: Tensor, y: Tensor) -> Tensor:
    """Return the brightness of the head at coordinates x, y; about 1.

    The head is an ellipsoid; one part of the light comes from a lamp, the rest from everywhere.
    """
    nx = (x / (1.25 * face.cheek)).clamp(-0.9, 0.9)
    ny = (y / (0.625 * (face.chin - face.top))).clamp(-0.85, 0.85)
    nz = (1 - 0.55 * (nx * nx + ny * ny)).clamp_(min=0.05).sqrt_()
    lx, ly, lz = 0.8 * scene.light_x, -0.6 * scene.light_y, 0.75
    gain = 1.18 * scene.light / math.sqrt(lx * lx + ly * ly + lz * lz)
    return (1 - scene.light) + (nx * (gain * lx) + ny * (gain * ly) + nz * (gain * lz)).clamp_(
        min=0
    )


def lamp(scene: Scene) -> Colour:
    """Return the colour of the light: the whole picture is multiplied by it."""
    return (
        scene.exposure * (1 + 0.07 * scene.warmth),
        scene.exposure,
        scene.exposure * (1 - 0.10 * scene.warmth),
    )


def lit(canvas: Canvas, face: Face, scene: Scene, colour: Colour) -> Tensor:
    """Return a colour as the scene's light shows it on the head, (3, P, Q)."""
    return canvas.colour(colour) * light_on(face, scene, canvas.x, canvas.y)


def skull(
    x: Tensor, y: Tensor, cheek: float, top: float, chin: float, taper: float, square: float
) -> Tensor:
    """Return f (P, Q) of a skull's outline, negative inside.

    Above the cheeks the outline is round; below it is a superellipse that narrows to the chin.

    Args:
        x, y: (P, Q), coordinates.
        cheek: half width of the head.
        top, chin: y of the crown and of the chin.
        taper: how much narrower the jaw is, 0..0.5.
        square: exponent of the superellipse: 2 oval, 4 square.
    """
    level = -0.05  # y of the cheeks
    up = ((level - y) / (level - top)).clamp(min=0)
    low = ((y - level) / (chin - level)).clamp(min=0)
    half = cheek * (1 - taper * low.clamp(max=1.3)) * (1 - 0.06 * up)
    return (x / half) ** 2 + up * up * up.sqrt() + low**square - 1
