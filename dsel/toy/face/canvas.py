"""A canvas for soft-edged shapes, and the light that falls on a head.

A shape is a function f(x, y), negative inside. Dividing f by the length of its gradient makes it a distance near its
edge, so that any f gets an edge of the same softness: about a pixel of the final picture. (Source: ours.)
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch

REACH = 1.25  # the portrait covers [-REACH, REACH] in both directions: the crop, and what sway and zoom may pull in
DETAIL = 1.2  # its pixels per pixel of the final picture


class Canvas:
    """A picture under paint: rgb (3, P, Q), coordinates x, y (P, Q) in half crops, grain (P, Q) in [-1, 1].

    `step` is the size of a pixel, `soft` the width of an edge, both in half crops.
    """

    def __init__(self, x, y, rgb, grain, step: float, soft: float):
        self.x, self.y, self.rgb, self.grain, self.step, self.soft = x, y, rgb, grain, step, soft

    @classmethod
    def blank(cls, size: int, softness: float, device) -> Canvas:
        """A canvas for a final picture of size x size, edges `softness` of its pixels wide."""
        pixels = 2 * round(size * DETAIL * REACH / 2)
        step = 2 * REACH / pixels
        line = (torch.arange(pixels, device=device, dtype=torch.float32) + 0.5) * step - REACH
        x, y = line[None, :].expand(pixels, -1), line[:, None].expand(-1, pixels)
        rgb = torch.zeros(3, pixels, pixels, device=device)
        return cls(x, y, rgb, _grain(pixels).to(device), step, softness * 2 / size)

    def window(self, left: float, right: float, top: float, bottom: float) -> Canvas:
        """A part of the canvas; what is painted there shows here."""

        def pixels(low, high):
            return slice(max(0, int((low + REACH) / self.step)), max(1, int((high + REACH) / self.step) + 1))

        part = (pixels(top, bottom), pixels(left, right))
        x, y, grain = (each[part].contiguous() for each in (self.x, self.y, self.grain))
        return Canvas(x, y, self.rgb[(slice(None), *part)], grain, self.step, self.soft)

    def colour(self, rgb) -> torch.Tensor:
        """(3, 1, 1)"""
        return torch.tensor(rgb, dtype=torch.float32, device=self.rgb.device).view(3, 1, 1)

    def edge(self, d: torch.Tensor, soft: float | None = None) -> torch.Tensor:
        """Cover (P, Q) in [0, 1] of the shape with signed distance d, negative inside."""
        return (0.5 - d / (soft or self.soft)).clamp_(0, 1)

    def shape(self, f: torch.Tensor, soft: float | None = None) -> torch.Tensor:
        """Cover of the shape f < 0, whatever the slope of f."""
        gx, gy = torch.zeros_like(f), torch.zeros_like(f)
        gx[:, 1:-1] = f[:, 2:] - f[:, :-2]
        gy[1:-1] = f[2:] - f[:-2]
        slope = (gx * gx + gy * gy).sqrt_().div_(2 * self.step).clamp_(min=0.3)
        return self.edge(f / slope, soft)

    def paint(self, colour, cover: torch.Tensor) -> None:
        """Lay a colour (three numbers, or up to (3, P, Q)) over the picture where cover (P, Q) says so."""
        if not torch.is_tensor(colour):
            colour = self.colour(colour)
        self.rgb.copy_(torch.lerp(self.rgb, colour, cover))

    def ellipse(self, x: float, y: float, rx: float, ry: float, soft: float | None = None) -> torch.Tensor:
        return self.shape(((self.x - x) / rx) ** 2 + ((self.y - y) / ry) ** 2 - 1, soft)

    def blob(self, x, y: float, rx: float, ry: float) -> torch.Tensor:
        """A soft hill (1 - r^2)^2 for shading. x may be a tensor of coordinates."""
        r = (((x if torch.is_tensor(x) else self.x - x) / rx) ** 2 + ((self.y - y) / ry) ** 2).clamp_(max=1)
        return (1 - r) ** 2


@lru_cache(maxsize=8)
def _grain(pixels: int) -> torch.Tensor:
    """(P, P) in [-1, 1]: the same fine grain for every portrait of that size; hair and stubble are made of it."""
    return torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (pixels, pixels)).astype(np.float32))


def light_on(face, scene, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Brightness of the head at a place, about 1: a lamp on an ellipsoid, part directed and part ambient."""
    nx = (x / (1.25 * face.cheek)).clamp(-0.9, 0.9)
    ny = (y / (0.625 * (face.chin - face.top))).clamp(-0.85, 0.85)
    nz = (1 - 0.55 * (nx * nx + ny * ny)).clamp_(min=0.05).sqrt_()
    lx, ly, lz = 0.8 * scene.light_x, -0.6 * scene.light_y, 0.75
    gain = 1.18 * scene.light / math.sqrt(lx * lx + ly * ly + lz * lz)
    return (1 - scene.light) + (nx * (gain * lx) + ny * (gain * ly) + nz * (gain * lz)).clamp_(min=0)


def lamp(scene) -> tuple[float, float, float]:
    """The colour by which everything in the scene is multiplied."""
    return scene.exposure * (1 + 0.07 * scene.warmth), scene.exposure, scene.exposure * (1 - 0.10 * scene.warmth)


def lit(canvas: Canvas, face, scene, colour) -> torch.Tensor:
    """(3, P, Q): a colour in the scene's light on the head."""
    return canvas.colour(colour) * light_on(face, scene, canvas.x, canvas.y)


def skull(x, y, cheek: float, top: float, chin: float, taper: float, square: float) -> torch.Tensor:
    """f of a skull: rounded above the cheeks, a tapering superellipse with exponent `square` below."""
    level = -0.05  # y of the cheeks
    up = ((level - y) / (level - top)).clamp(min=0)
    low = ((y - level) / (chin - level)).clamp(min=0)
    half = cheek * (1 - taper * low.clamp(max=1.3)) * (1 - 0.06 * up)
    return (x / half) ** 2 + up * up * up.sqrt() + low**square - 1
