"""The still portrait of a drawn face: everything that does not need to be drawn anew on every frame.

A canvas is painted layer over layer. A shape is a function f(x, y), negative inside; its edge is softened over about
one pixel of the final picture by dividing f by the length of its gradient, which makes f a distance near its edge.
(Source: ours.)
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch

REACH = 1.25  # the portrait covers [-REACH, REACH] in both directions: the crop, and what sway and zoom may pull in
DETAIL = 1.25  # its pixels per pixel of the final picture


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
        x, y = line[None, :].expand(pixels, -1).contiguous(), line[:, None].expand(-1, pixels).contiguous()
        return cls(
            x, y, torch.zeros(3, pixels, pixels, device=device), _grain(pixels).to(device), step, softness * 2 / size
        )

    def window(self, left: float, right: float, top: float, bottom: float) -> Canvas:
        """A part of the canvas; what is painted there shows here."""

        def pixels(low, high):
            return slice(max(0, int((low + REACH) / self.step)), int((high + REACH) / self.step) + 1)

        part = (pixels(top, bottom), pixels(left, right))
        x, y, grain = (each[part].contiguous() for each in (self.x, self.y, self.grain))
        return Canvas(x, y, self.rgb[(slice(None), *part)], grain, self.step, self.soft)

    def edge(self, d: torch.Tensor, soft: float | None = None) -> torch.Tensor:
        """Cover (P, P) in [0, 1] of the shape with signed distance d, negative inside."""
        return (0.5 - d / (soft or self.soft)).clamp_(0, 1)

    def shape(self, f: torch.Tensor, soft: float | None = None) -> torch.Tensor:
        """Cover of the shape f < 0, whatever the slope of f."""
        gx, gy = torch.zeros_like(f), torch.zeros_like(f)
        gx[:, 1:-1] = f[:, 2:] - f[:, :-2]
        gy[1:-1] = f[2:] - f[:-2]
        slope = (gx * gx + gy * gy).sqrt_().div_(2 * self.step).clamp_(min=0.3)
        return self.edge(f / slope, soft)

    def paint(self, colour, cover: torch.Tensor) -> None:
        """Lay a colour (three numbers or (3, P, P)) over the picture where cover (P, P) says so."""
        if not torch.is_tensor(colour):
            colour = torch.tensor(colour, dtype=torch.float32, device=self.rgb.device).view(3, 1, 1)
        self.rgb += cover * (colour - self.rgb)

    def darken(self, amount: torch.Tensor) -> None:
        """Multiply by 1 - amount (P, P)."""
        self.rgb *= 1 - amount

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
    """Brightness of skin at a place, about 1: a lamp on an ellipsoid, part directed and part ambient."""
    nx = (x / (1.25 * face.cheek)).clamp(-0.9, 0.9)
    ny = ((y - 0.0) / (1.25 * (face.chin - face.top) / 2)).clamp(-0.85, 0.85)
    nz = (1 - 0.55 * (nx * nx + ny * ny)).clamp(min=0.05).sqrt()
    lx, ly, lz = 0.8 * scene.light_x, -0.6 * scene.light_y, 0.75
    norm = math.sqrt(lx * lx + ly * ly + lz * lz)
    lit = ((nx * lx + ny * ly + nz * lz) / norm).clamp(min=0)
    return (1 - scene.light) + scene.light * 1.18 * lit


def lamp(scene) -> tuple[float, float, float]:
    """The colour by which everything in the scene is multiplied."""
    return scene.exposure * (1 + 0.07 * scene.warmth), scene.exposure, scene.exposure * (1 - 0.10 * scene.warmth)


def portrait(face, scene, size: int, device) -> torch.Tensor:
    """(3, P, P) float32: background, hair, head and features with no eyeballs and no lips, in the scene's light."""
    canvas = Canvas.blank(size, scene.softness, device)
    side = face.cheek + 0.16
    head = canvas.window(-side, side, face.top - 0.05, face.chin + 0.08)
    upper = canvas.window(-side, side, face.brow_y - 0.16, face.eye_y + 0.26)
    lower = canvas.window(-side, side, -0.10, face.chin + 0.12)
    _background(canvas, scene)
    _hair_behind(canvas, face, scene)
    _body(canvas.window(-REACH, REACH, 0.25, REACH), face, scene)
    _ears(upper, face, scene)
    _skin(head, face, scene)
    _features(head, face, scene)
    _beard(lower, face, scene)
    _hair(canvas, face, scene)
    _brows(upper, face)
    _glasses(upper, face)
    canvas.rgb *= torch.tensor(lamp(scene), device=device).view(3, 1, 1)
    return canvas.rgb


def _lit(canvas, face, scene, colour) -> torch.Tensor:
    """(3, P, Q): a colour in the scene's light on the head."""
    return torch.tensor(colour, device=canvas.x.device).view(3, 1, 1) * light_on(face, scene, canvas.x, canvas.y)


def _skin(canvas, face, scene) -> None:
    canvas.paint(_lit(canvas, face, scene, face.skin), canvas.shape(_head(canvas, face)))


def _head(canvas, face) -> torch.Tensor:
    """f of the head's outline."""
    return _skull(canvas.x, canvas.y, face.cheek, face.top, face.chin, face.taper, face.square)


def _skull(x, y, cheek: float, top: float, chin: float, taper: float, square: float) -> torch.Tensor:
    """f of a skull: an ellipse above the cheeks, a tapering superellipse below."""
    level = -0.05  # y of the cheeks
    up = ((level - y) / (level - top)).clamp(min=0)
    low = ((y - level) / (chin - level)).clamp(min=0)
    half = cheek * (1 - taper * low.clamp(max=1.3)) * (1 - 0.06 * up)
    return (x / half) ** 2 + up**2.4 + low**square - 1


def _background(canvas, scene) -> None:
    a, b = (torch.tensor(c, device=canvas.rgb.device).view(3, 1, 1) for c in scene.background_colours)
    x, y, kind = canvas.x, canvas.y, scene.background
    rng = np.random.default_rng(scene.background_seed)
    canvas.rgb[:] = a
    if kind == "gradient":
        turn = rng.uniform(0, 2 * math.pi)
        canvas.rgb[:] = a + (b - a) * (0.5 + 0.4 * (math.cos(turn) * x + math.sin(turn) * y)).clamp(0, 1)
    elif kind == "bokeh":
        for _ in range(7):
            cx, cy = rng.uniform(-1.1, 1.1, 2)
            canvas.paint(
                b, float(rng.uniform(0.3, 0.7)) * canvas.ellipse(cx, cy, *[float(rng.uniform(0.1, 0.3))] * 2, 0.07)
            )
    elif kind == "shelf":
        for board in np.arange(-1.2, 1.3, rng.uniform(0.45, 0.6)) + rng.uniform(0, 0.3):
            books = (
                torch.sin(x * float(rng.uniform(14, 20)) + 2 * torch.sin(x * 7 + float(rng.uniform(0, 6)))) * 0.5 + 0.5
            )
            canvas.paint(b, 0.6 * books * canvas.edge((y - float(board) + 0.2).abs() - 0.17, 0.06))
    elif kind == "window":
        cx, cy = rng.choice((-0.75, 0.75)), rng.uniform(-0.7, 0.0)
        d = torch.maximum((x - float(cx)).abs() - 0.45, (y - float(cy)).abs() - 0.6)
        canvas.paint((0.92, 0.95, 1.0), 0.8 * canvas.edge(d, 0.12))
        canvas.paint(b, canvas.edge((x - float(cx)).abs() - 0.03, 0.06) * canvas.edge(d, 0.12))
    elif kind == "curtain":
        canvas.rgb[:] = a + (b - a) * (0.5 + 0.5 * torch.sin(x * float(rng.uniform(9, 16)) + float(rng.uniform(0, 6))))


def _body(canvas, face, scene) -> None:
    x, y = canvas.x.abs(), canvas.y
    base = face.chin + 0.10  # y where the neck meets the shirt
    shoulders = base + 0.42 * (x - face.neck).clamp(min=0) ** 1.5 - y
    neck = torch.maximum(x - face.neck - 0.25 * (y - base).clamp(min=0), y - base - 0.06 + 0.25 * x**2)
    fold = 0.9 + 0.1 * torch.sin(canvas.x * 9) - 0.25 * (x - 0.3).clamp(min=0)
    shirt = torch.tensor(scene.shirt, device=x.device).view(3, 1, 1) * fold
    canvas.paint(shirt, canvas.shape(shoulders))
    skin = _lit(canvas, face, scene, face.skin)
    shadow = 0.86 - 0.40 * canvas.blob(0.0, face.chin - 0.02, 1.05 * face.cheek, 0.20)
    canvas.paint(shadow * skin, canvas.edge(neck))


def _ears(canvas, face, scene) -> None:
    skin = _lit(canvas, face, scene, face.skin)
    x = canvas.x.abs() - face.cheek * 0.985
    y = canvas.y + 0.02
    rx, ry = 0.085 * face.ear, 0.165 * face.ear
    canvas.paint(0.92 * skin, canvas.shape((x / rx) ** 2 + (y / ry) ** 2 - 1))
    canvas.darken(0.35 * canvas.shape(((x - 0.2 * rx) / (0.5 * rx)) ** 2 + ((y + 0.01) / (0.62 * ry)) ** 2 - 1, 0.05))
    if face.earrings:
        canvas.paint((0.95, 0.85, 0.45), canvas.shape((x - 0.01) ** 2 + (y - ry - 0.015) ** 2 - 0.028**2))


def _features(canvas, face, scene) -> None:
    """Sockets, nose, cheeks, folds and freckles on the skin."""
    x, y, ax = canvas.x, canvas.y, canvas.x.abs()
    lit, cover = scene.light_x, canvas.shape(_head(canvas, face))
    # eye sockets, upper lid crease, bags
    canvas.darken(0.24 * canvas.blob(ax - face.eye_x, face.eye_y - 0.035, 1.7 * face.eye_width, 0.135))
    crease = (y - face.eye_y + face.eye_height * (1.35 - 0.9 * ((ax - face.eye_x) / face.eye_width) ** 2)).abs()
    canvas.darken(
        0.30 * canvas.edge(crease - 0.006) * canvas.edge((ax - face.eye_x).abs() - 1.05 * face.eye_width, 0.1)
    )
    bags = (y - face.eye_y - face.eye_height * (1.55 - 0.6 * ((ax - face.eye_x) / face.eye_width) ** 2)).abs()
    near = canvas.edge((ax - face.eye_x).abs() - 0.8 * face.eye_width, 0.08)
    canvas.darken((0.06 + 0.26 * face.wrinkles) * canvas.edge(bags - 0.006, 0.03) * near)
    # nose: shaded side, wings, nostrils, light on its ridge
    top, tip, w = face.eye_y + 0.02, face.nose_y, face.nose_width
    along = ((y - top) / (tip - top)).clamp(0, 1)
    ridge = 0.030 + (0.62 * w - 0.030) * along**1.6
    inside = canvas.edge((y - (top + tip) / 2).abs() - (tip - top) / 2, 0.08)
    far = -1.0 if lit > 0 else 1.0
    canvas.darken(
        (0.10 + 0.18 * scene.light * abs(lit)) * canvas.edge((far * x - ridge - 0.012).abs() - 0.022, 0.05) * inside
    )
    canvas.darken(0.10 * canvas.edge((far * x + ridge + 0.012).abs() - 0.012, 0.05) * inside)
    canvas.rgb += 0.055 * canvas.edge((x - 0.15 * lit * ridge).abs() - 0.35 * ridge, 0.04) * inside
    canvas.rgb += 0.06 * canvas.blob(0.1 * lit * w, tip - 0.045, 0.5 * w, 0.05)
    wing = ((ax - 0.68 * w) / (0.36 * w)) ** 2 + ((y - tip + 0.028) / 0.052) ** 2
    canvas.darken(0.22 * canvas.edge((wing.sqrt() - 1).abs() * 0.04 - 0.008, 0.03) * canvas.edge(0.5 * w - ax, 0.03))
    canvas.darken(0.30 * canvas.blob(0.0, tip + 0.018, 1.15 * w, 0.038))
    canvas.darken(0.60 * canvas.shape(((ax - 0.40 * w) / (0.22 * w)) ** 2 + ((y - tip - 0.002) / 0.017) ** 2 - 1))
    # cheeks, groove above the lip, chin
    rose = torch.tensor((0.85, 0.30, 0.28), device=x.device).view(3, 1, 1)
    canvas.paint(rose, 0.38 * face.blush * canvas.blob(ax - 0.62 * face.cheek, 0.16, 0.19, 0.15) * cover)
    canvas.darken(0.10 * canvas.blob(0.0, (face.nose_y + face.mouth_y) / 2, 0.045, 0.09))
    canvas.darken(0.13 * canvas.blob(0.0, face.mouth_y + face.lip_lower + 0.055, 0.16, 0.045))
    canvas.rgb += 0.035 * canvas.blob(0.0, face.chin - 0.12, 0.13, 0.09) * cover
    # folds from nose to mouth, lines on the forehead, crow's feet
    t = ((y - tip + 0.03) / (face.mouth_y - tip + 0.05)).clamp(0, 1)
    fold = (ax - (1.05 * w + (face.mouth_width * 1.12 - 1.05 * w) * t**0.8)).abs()
    span = canvas.edge((y - (tip + face.mouth_y) / 2 + 0.01).abs() - (face.mouth_y - tip) / 2, 0.10)
    canvas.darken((0.07 + 0.33 * face.wrinkles) * canvas.edge(fold - 0.008, 0.035) * span)
    if face.wrinkles > 0.05:
        lines = torch.sin((y + 0.04 * ax**2) * 2 * math.pi / 0.075)
        brow = canvas.blob(0.0, -0.45, 0.42, 0.15)
        canvas.darken(0.20 * face.wrinkles * (lines - 0.3).clamp(min=0) * brow * cover)
        out = ax - face.eye_x - face.eye_width
        rays = torch.sin((y - face.eye_y) / (out + 0.06).clamp(min=0.03) * 5).clamp(min=0)
        canvas.darken(0.28 * face.wrinkles * rays * canvas.blob(out - 0.06, face.eye_y, 0.075, 0.09) * cover)
    if face.freckles > 0:
        dots = torch.sin(61 * x + 7 * torch.sin(23 * y)) * torch.sin(57 * y + 6 * torch.sin(19 * x))
        field = canvas.blob(ax - 0.27, 0.08, 0.28, 0.17)
        canvas.darken(face.freckles * (dots - 0.45).clamp(0, 0.4) * 2 * field)


def _beard(canvas, face, scene) -> None:
    if face.beard == "none":
        return
    x, y, ax = canvas.x, canvas.y, canvas.x.abs()
    u = (ax / face.cheek).clamp(max=1.1)
    above = face.mouth_y - face.lip_upper - 0.012  # y of the upper lip's edge
    lips = canvas.shape((x / (face.mouth_width * 1.12)) ** 2 + ((y - face.mouth_y) / 0.075) ** 2 - 1, 0.04)
    middle = (above + face.nose_y + 0.03) / 2
    tache = canvas.edge((y - middle - 0.06 * (ax / face.mouth_width) ** 2).abs() - (above - face.nose_y) * 0.38, 0.035)
    tache = tache * canvas.edge(ax - 1.08 * face.mouth_width, 0.05)
    line = 0.22 + 0.16 * (1 - u) - 0.45 * (u - 0.75).clamp(min=0)  # y where a full beard begins
    full = canvas.edge(torch.minimum(line + 0.16 * (1 - u) - y, face.nose_y + 0.07 + 0 * y - y), 0.09) * (1 - lips)
    goatee = canvas.shape((x / (face.mouth_width * 1.12)) ** 2 + ((y - face.mouth_y - 0.13) / 0.30) ** 2 - 1, 0.06)
    goatee = goatee * canvas.edge(face.mouth_y - 0.10 - y, 0.06) * (1 - lips)
    cover = canvas.edge(_skull(x, y, face.cheek, face.top, face.chin + 0.035, face.taper, face.square) * 0.25)
    grain = 1 + 0.16 * canvas.grain
    kind = {
        "stubble": (0.38 + 0.14 * canvas.grain) * torch.maximum(full, tache),
        "moustache": 0.92 * tache,
        "goatee": 0.90 * torch.maximum(goatee, tache),
        "full": 0.93 * torch.maximum(full, tache),
    }[face.beard]
    canvas.paint(0.85 * grain * _lit(canvas, face, scene, face.hair_colour), kind * cover)


def _strands(canvas, face, scene, wave: float) -> torch.Tensor:
    """(3, P, P): hair colour with strands that run around the head."""
    angle = torch.atan2(canvas.x - 0.25 * face.side, 0.9 - canvas.y)
    radius = (canvas.x**2 + canvas.y**2).sqrt()
    lock = torch.sin(31 * angle + wave * torch.sin(9 * radius))
    gloss = 0.93 + 0.07 * lock + 0.05 * torch.sin(13 * angle + 2) + 0.05 * canvas.grain
    shine = 1 + 0.30 * canvas.blob(0.25 * scene.light_x, face.top + 0.08, 0.45, 0.14)
    light = 0.35 + 0.65 * light_on(face, scene, canvas.x, canvas.y)
    colour = torch.tensor(face.hair_colour, device=canvas.x.device).view(3, 1, 1)
    return (colour + 0.02) * (gloss * shine * light)


def _hair_behind(canvas, face, scene) -> None:
    """What hangs or stands behind head and neck."""
    x, y, ax = canvas.x, canvas.y, canvas.x.abs()
    style, v = face.hair, face.volume
    if style in ("bob", "long", "wavy", "fringe"):
        end = {"bob": 0.62, "fringe": 0.50, "long": 1.4, "wavy": 1.2}[style]
        wave = 0.035 * torch.sin(y * 15 + 2 * torch.sign(x)) if style == "wavy" else 0.0
        half = face.cheek + 0.7 * v + 0.10 * (y + 0.1).clamp(min=0) * (1 if style != "fringe" else 0.3)
        sides = torch.maximum(ax - half - wave, y - end + 0.10 * (ax / face.cheek) ** 2)
        canvas.paint(0.72 * _strands(canvas, face, scene, 3.0), canvas.edge(torch.maximum(sides, -0.35 - y)))
    elif style == "bun":
        r = 0.20 + 0.4 * v
        canvas.paint(
            0.9 * _strands(canvas, face, scene, 3.0), canvas.ellipse(0.12 * face.side, face.top - 0.10, r, 0.85 * r)
        )


def _hair(canvas, face, scene) -> None:
    """Hair on top of the head: inside an outline around the skull, above the hairline."""
    if face.hair == "bald":
        shine = canvas.blob(0.25, face.top + 0.16, 0.22, 0.12)
        canvas.rgb += 0.10 * shine * canvas.shape(_head(canvas, face))
        return
    x, y, style, v = canvas.x, canvas.y, face.hair, face.volume
    u = (x.abs() / face.cheek).clamp(max=1.3)
    angle = torch.atan2(x, -0.05 - y)
    thick = {
        "buzz": 0.02,
        "receding": 0.35 * v,
        "afro": 2.6 * v,
        "curly": 1.5 * v,
        "spiky": 1.2 * v,
        "bun": 0.5 * v,
    }.get(style, v)
    rim = {
        "afro": 0.020 * torch.sin(21 * angle) * torch.sin(13 * angle + 1),
        "curly": 0.035 * torch.sin(17 * angle) + 0.015 * torch.sin(29 * angle),
        "spiky": 0.075 * ((angle * 4.2 / math.pi * 2) % 1 - 0.5).abs() * 2 - 0.04,
    }.get(style, 0.0)
    side_gain = {"afro": 1.0, "curly": 0.8, "long": 0.75, "wavy": 0.9, "bob": 0.85, "fringe": 0.8}.get(style, 0.35)
    outline = _skull(x, y, face.cheek + side_gain * thick, face.top - thick, face.chin, face.taper, 2.2)
    sides = {
        "buzz": -0.10,
        "receding": 0.02,
        "afro": 0.25,
        "curly": 0.22,
        "bob": 0.62,
        "fringe": 0.45,
        "long": 1.4,
        "wavy": 1.2,
    }
    end = sides.get(style, -0.02)
    line, power = face.hairline, 3.2
    if style == "fringe":
        line, power = face.brow_y - 0.055, 9.0
    elif style == "receding":
        line -= 0.10
    elif style == "bun":
        line -= 0.04
    hairline = line + (end - line) * (u**power).clamp(max=1)
    if style in ("parted", "bob", "long"):  # swept to one side of a parting
        across = face.side * x / face.cheek - 0.35
        hairline = hairline + 0.15 * torch.where(across > 0, 0.5 * across, -across).clamp(max=0.55) - 0.06
    if style == "receding":  # bare temples
        hairline = hairline - 0.20 * torch.exp(-(((u - 0.62) / 0.22) ** 2))
    if style == "fringe":
        hairline = hairline + 0.012 * torch.sin(38 * x)
    if style in ("curly", "afro"):
        hairline = hairline + 0.022 * torch.sin(24 * x + 1)
    if style == "wavy":
        hairline = hairline + 0.05 * torch.cos(2.2 * x / face.cheek) - 0.05
    low = {"bob": 0.62, "fringe": 0.50, "long": 1.4, "wavy": 1.2}.get(style)
    if low is None:
        outer = canvas.shape(outline - rim)
    else:  # the sides fall straight down past the jaw
        outer = torch.maximum(
            canvas.shape(outline), canvas.edge(torch.maximum(x.abs() - face.cheek - side_gain * thick, -y))
        )
        outer = outer * canvas.edge(y - low + 0.10 * u**2)
        hairline = torch.where(u > 0.80, hairline + 4 * (u - 0.86).clamp(min=0), hairline)
    cover = outer * canvas.shape(y - hairline)
    wave = {"curly": 9.0, "afro": 12.0, "wavy": 6.0}.get(style, 1.0)
    canvas.darken(0.22 * outer * canvas.edge(y - hairline - 0.035, 0.07) * canvas.shape(_head(canvas, face)))
    canvas.paint(_strands(canvas, face, scene, wave), cover * (0.72 if style == "buzz" else 1.0))


def _brows(canvas, face) -> None:
    v = (canvas.x.abs() - face.eye_x - 0.015) / (1.30 * face.eye_width)  # -1 inner end .. 1 outer end
    middle = face.brow_y - face.brow_arch * (1 - (v - 0.1) ** 2) - face.brow_tilt * face.eye_width * v
    half = 0.5 * face.brow_thickness * (1.05 - 0.45 * v.clamp(-1, 1) ** 2 - 0.25 * v)
    d = torch.maximum((canvas.y - middle).abs() - half, (v.abs() - 1) * face.eye_width)
    canvas.paint(face.brow_colour, 0.9 * canvas.edge(d))


def glasses_cover(face, x: torch.Tensor, y: torch.Tensor, soft: float) -> torch.Tensor:
    """Cover of the frame of the glasses in [0, 1] at any coordinates."""
    ax = x.abs()
    gw, gh, corner = {
        "round": (0.90, 0.86, 0.80),
        "square": (1.0, 0.74, 0.25),
        "cat": (1.05, 0.68, 0.55),
    }[face.glasses]
    g = face.glasses_size
    cx, cy = face.eye_x + 0.01, face.eye_y + 0.015
    lx, ly = ax - cx, y - cy
    if face.glasses == "cat":
        ly = ly + 0.22 * lx
    r = corner * gh * g
    qx, qy = (lx.abs() - gw * g + r).clamp(min=0), (ly.abs() - gh * g + r).clamp(min=0)
    d = (qx * qx + qy * qy).sqrt() - r
    rim = d.abs() - 0.014
    bridge = torch.maximum((y - cy + 0.03 + 0.1 * ax).abs() - 0.013, ax - cx + gw * g)
    temple = torch.maximum((y - cy + 0.035).abs() - 0.014, cx + gw * g - ax)
    temple = torch.maximum(temple, ax - face.cheek)
    return (0.5 - torch.minimum(torch.minimum(rim, bridge), temple) / soft).clamp(0, 1)


def _glasses(canvas, face) -> None:
    if face.glasses != "none":
        canvas.paint(face.glasses_colour, glasses_cover(face, canvas.x, canvas.y, canvas.soft))
