"""Draw the still portrait of a face: everything that does not change from frame to frame.

The layers, from back to front: background, hair behind the head, shirt and neck, ears, skin, beard,
hair, eyebrows, glasses. Eyes and lips are missing; `animation.py` draws them. (Source: ours.)
"""

from __future__ import annotations

import math

import numpy as np
import torch

from dsel.toy.face.canvas import REACH, Canvas, lamp, lit, skull
from dsel.toy.face.hair import beard, brows, hair, hair_behind
from dsel.toy.face.parameters import Face
from dsel.toy.face.scene import Scene


def portrait(face: Face, scene: Scene, size: int, device: torch.device) -> torch.Tensor:
    """Draw the portrait of a face in a scene's light, without eyeballs and lips.

    Args:
        face, scene: what to draw.
        size: height and width of the final picture in pixels.
        device: where torch computes.
    Returns:
        (3, P, P) float32 in [0, 1] or a little above, on the canvas of `Canvas.blank`.
    """
    canvas = Canvas.blank(size, scene.softness, device)
    side = face.cheek + 0.16
    head = canvas.window(-side, side, face.top - 0.05, face.chin + 0.12)
    upper = canvas.window(-side, side, face.brow_y - 0.16, face.eye_y + 0.30)
    lower = canvas.window(-side, side, -0.10, face.chin + 0.12)
    _background(canvas, scene)
    hair_behind(canvas, face, scene)
    _body(canvas.window(-REACH, REACH, 0.30, REACH), face, scene)
    _ears(upper, face, scene)
    _skin(head, face, scene)
    beard(lower, face, scene)
    hair(canvas, face, scene)
    brows(upper, face)
    if face.glasses != "none":
        upper.paint(face.glasses_colour, glasses_cover(face, upper.x, upper.y, upper.soft))
    canvas.rgb *= canvas.colour(lamp(scene))
    return canvas.rgb


def _background(canvas: Canvas, scene: Scene) -> None:
    """Paint one of the BACKGROUNDS in the scene's two background colours."""
    a, b = (canvas.colour(colour) for colour in scene.background_colours)
    x, y, pattern = canvas.x[:1], canvas.y[:, :1], scene.background  # (1, P), (P, 1)
    rng = np.random.default_rng(scene.background_seed)

    def pick(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    canvas.rgb.copy_(a.expand_as(canvas.rgb))
    if pattern == "gradient":
        turn = pick(0, 2 * math.pi)
        canvas.paint(b, (0.5 + 0.4 * (math.cos(turn) * x + math.sin(turn) * y)).clamp(0, 1))
    elif pattern == "bokeh":
        for _ in range(7):
            cx, cy, r = pick(-1.1, 1.1), pick(-1.1, 1.1), pick(0.1, 0.3)
            part = canvas.window(cx - r - 0.05, cx + r + 0.05, cy - r - 0.05, cy + r + 0.05)
            part.paint(b, pick(0.3, 0.7) * part.ellipse(cx, cy, r, r, 0.07))
    elif pattern == "shelf":
        apart = pick(0.45, 0.6)
        for board in np.arange(-1.2 + pick(0, 0.3), 1.3, apart):
            books = 0.5 + 0.5 * torch.sin(x * pick(14, 20) + 2 * torch.sin(x * 7 + pick(0, 6)))
            canvas.paint(b, 0.6 * books * canvas.edge((y - float(board) + 0.2).abs() - 0.17, 0.06))
    elif pattern == "window":
        cx, cy = float(rng.choice((-0.75, 0.75))), pick(-0.7, 0.0)
        pane = canvas.edge((x - cx).abs() - 0.45, 0.12) * canvas.edge((y - cy).abs() - 0.6, 0.12)
        canvas.paint((0.92, 0.95, 1.0), 0.8 * pane)
        canvas.paint(b, canvas.edge((x - cx).abs() - 0.03, 0.06) * pane)
    elif pattern == "curtain":
        canvas.paint(b, (0.5 + 0.5 * torch.sin(x * pick(9, 16) + pick(0, 6))).expand_as(canvas.x))


def _body(canvas: Canvas, face: Face, scene: Scene) -> None:
    """Paint the shirt, and the neck with the shadow of the chin."""
    x, y = canvas.x.abs(), canvas.y
    base = face.chin + 0.10  # y where the neck meets the shirt
    away = (x - face.neck).clamp(min=0)
    shoulders = base + 0.55 * away * away / (away + 0.25) - y
    neck = torch.maximum(
        x - face.neck - 0.25 * (y - base).clamp(min=0), y - base - 0.06 + 0.25 * x * x
    )
    fold = 0.9 + 0.1 * torch.sin(canvas.x[:1] * 9) - 0.25 * (x[:1] - 0.3).clamp(min=0)
    canvas.paint(canvas.colour(scene.shirt) * fold, canvas.edge(shoulders))
    shadow = 0.86 - 0.40 * canvas.blob(0.0, face.chin - 0.02, 1.05 * face.cheek, 0.20)
    canvas.paint(shadow * lit(canvas, face, scene, face.skin), canvas.edge(neck))


def _ears(canvas: Canvas, face: Face, scene: Scene) -> None:
    """Paint both ears, with earrings if the person wears them."""
    x = canvas.x.abs() - face.cheek * 0.985
    y = canvas.y + 0.02
    rx, ry = 0.085 * face.ear, 0.165 * face.ear
    canvas.paint(
        0.92 * lit(canvas, face, scene, face.skin), canvas.shape((x / rx) ** 2 + (y / ry) ** 2 - 1)
    )
    hollow = canvas.blob(x - 0.2 * rx, -0.03, 0.75 * rx, 0.80 * ry)
    canvas.rgb *= 1 - 0.45 * hollow
    if face.earrings:
        canvas.paint((0.95, 0.85, 0.45), canvas.shape(x * x + (y - ry - 0.015) ** 2 - 0.030**2))


def _skin(canvas: Canvas, face: Face, scene: Scene) -> None:
    """Paint the head: skin inside the skull's outline, shaded by its features."""
    shade = torch.ones_like(canvas.x)  # (P, Q), what the light is multiplied by
    _shade_eye_sockets(canvas, face, shade)
    _shade_nose(canvas, face, scene, shade)
    _shade_cheeks_and_chin(canvas, face, shade)
    _shade_folds(canvas, face, shade)
    ax = canvas.x.abs()
    rose = canvas.colour((0.85, 0.30, 0.28))
    skin = canvas.colour(face.skin)
    blush = canvas.blob(ax - 0.62 * face.cheek, 0.16, 0.19, 0.15)
    skin = skin + 0.38 * face.blush * blush * (rose - skin)
    outline = skull(canvas.x, canvas.y, face.cheek, face.top, face.chin, face.taper, face.square)
    light = lit(canvas, face, scene, (1.0, 1.0, 1.0))[0]
    canvas.paint(skin * (shade * light), canvas.shape(outline))


def _shade_eye_sockets(canvas: Canvas, face: Face, shade: torch.Tensor) -> None:
    """Darken eye sockets, the crease of the upper lid and the bags, in place."""
    y, ex = canvas.y, canvas.x.abs() - face.eye_x
    v = (ex / face.eye_width) ** 2
    shade *= 1 - 0.22 * canvas.blob(ex, face.eye_y - 0.035, 1.7 * face.eye_width, 0.135)
    crease = canvas.edge((y - face.eye_y + face.eye_height * (1.38 - 0.9 * v)).abs() - 0.006)
    shade *= 1 - 0.30 * crease * canvas.edge(ex.abs() - 1.05 * face.eye_width, 0.1)
    bags = canvas.edge((y - face.eye_y - face.eye_height * (1.55 - 0.6 * v)).abs() - 0.006, 0.03)
    tired = 0.06 + 0.26 * face.wrinkles
    shade *= 1 - tired * bags * canvas.edge(ex.abs() - 0.8 * face.eye_width, 0.08)


def _shade_nose(canvas: Canvas, face: Face, scene: Scene, shade: torch.Tensor) -> None:
    """Shade the nose, in place: its sides, ridge, tip, wings, its shadow and the nostrils."""
    x, y, ax = canvas.x, canvas.y, canvas.x.abs()
    row, side = y[:, :1], scene.light_x
    top, tip, w = face.eye_y + 0.02, face.nose_y, face.nose_width
    along = ((row - top) / (tip - top)).clamp(0, 1)
    ridge = 0.030 + (0.62 * w - 0.030) * along * along.sqrt()  # half width of the ridge
    inside = canvas.edge((row - (top + tip) / 2).abs() - (tip - top) / 2, 0.08)
    far = x if side < 0 else -x  # grows away from the lamp
    dark = 0.10 + 0.18 * scene.light * abs(side)
    shade *= 1 - dark * inside * canvas.edge((far - ridge - 0.012).abs() - 0.022, 0.05)
    shade *= 1 - 0.10 * inside * canvas.edge((far + ridge + 0.012).abs() - 0.012, 0.05)
    shade += 0.10 * inside * canvas.edge((x - 0.15 * side * ridge).abs() - 0.35 * ridge, 0.04)
    shade += 0.10 * canvas.blob(0.1 * side * w, tip - 0.045, 0.5 * w, 0.05)
    wing = (((ax - 0.68 * w) / (0.36 * w)) ** 2 + ((y - tip + 0.028) / 0.052) ** 2).sqrt()
    outer = canvas.edge(0.5 * w - ax, 0.03)
    shade *= 1 - 0.24 * canvas.edge((wing - 1).abs() * 0.04 - 0.008, 0.03) * outer
    shade *= 1 - 0.30 * canvas.blob(0.0, tip + 0.018, 1.15 * w, 0.038)
    nostril = ((ax - 0.40 * w) / (0.22 * w)) ** 2 + ((y - tip - 0.002) / 0.017) ** 2 - 1
    shade *= 1 - 0.60 * canvas.shape(nostril)


def _shade_cheeks_and_chin(canvas: Canvas, face: Face, shade: torch.Tensor) -> None:
    """Shade cheekbones, the groove above the lip, and the hollow and boss of the chin, in place."""
    ax = canvas.x.abs()
    shade *= 1 - 0.05 * canvas.blob(ax - 0.80 * face.cheek, 0.25, 0.22, 0.25)
    shade *= 1 - 0.10 * canvas.blob(0.0, (face.nose_y + face.mouth_y) / 2, 0.045, 0.09)
    shade *= 1 - 0.13 * canvas.blob(0.0, face.mouth_y + face.lip_lower + 0.055, 0.16, 0.045)
    shade += 0.05 * canvas.blob(0.0, face.chin - 0.12, 0.13, 0.09)


def _shade_folds(canvas: Canvas, face: Face, shade: torch.Tensor) -> None:
    """Shade folds from nose to mouth, lines on the forehead, crow's feet and freckles, in place."""
    y, ax = canvas.y, canvas.x.abs()
    row, tip, w = y[:, :1], face.nose_y, face.nose_width
    t = ((row - tip + 0.03) / (face.mouth_y - tip + 0.05)).clamp(0, 1)
    fold = (ax - (1.05 * w + (1.12 * face.mouth_width - 1.05 * w) * t)).abs()
    middle, half = (tip + face.mouth_y) / 2, (face.mouth_y - tip) / 2
    span = canvas.edge((row - middle + 0.01).abs() - half, 0.10)
    shade *= 1 - (0.06 + 0.30 * face.wrinkles) * span * canvas.edge(fold - 0.008, 0.035)
    if face.wrinkles > 0.05:
        lines = torch.sin((y + 0.04 * ax * ax) * (2 * math.pi / 0.075))
        forehead = canvas.blob(0.0, -0.45, 0.42, 0.15)
        shade *= 1 - 0.20 * face.wrinkles * (lines - 0.3).clamp(min=0) * forehead
        out = ax - face.eye_x - face.eye_width  # distance from the outer corner of the eye
        rays = torch.sin((y - face.eye_y) / (out + 0.06).clamp(min=0.03) * 5).clamp(min=0)
        shade *= 1 - 0.28 * face.wrinkles * rays * canvas.blob(out - 0.06, face.eye_y, 0.075, 0.09)
    if face.freckles > 0:
        field = canvas.blob(ax - 0.27, 0.08, 0.28, 0.17)
        shade *= 1 - 1.6 * face.freckles * (canvas.grain - 0.35).clamp(min=0) * field


def glasses_cover(face: Face, x: torch.Tensor, y: torch.Tensor, soft: float) -> torch.Tensor:
    """Return how much the frame of the glasses covers, in [0, 1].

    Args:
        face: wears glasses.
        x, y: coordinates of any shapes that broadcast.
        soft: width of an edge in half crops.
    """
    gw, gh, corner = {
        "round": (0.90, 0.86, 0.80),
        "square": (1.0, 0.74, 0.25),
        "cat": (1.05, 0.68, 0.55),
    }[face.glasses]
    g, ax = face.glasses_size, x.abs()
    cx, cy = face.eye_x + 0.01, face.eye_y + 0.015
    lx, ly = ax - cx, y - cy
    if face.glasses == "cat":
        ly = ly + 0.22 * lx
    r = corner * gh * g
    qx, qy = (lx.abs() - gw * g + r).clamp(min=0), (ly.abs() - gh * g + r).clamp(min=0)
    rim = ((qx * qx + qy * qy).sqrt() - r).abs() - 0.014
    bridge = torch.maximum((y - cy + 0.03 + 0.1 * ax).abs() - 0.013, ax - cx + gw * g)
    temple = torch.maximum((y - cy + 0.035).abs() - 0.014, (ax - cx - gw * g - 0.1).abs() - 0.1)
    temple = torch.maximum(temple, ax - face.cheek)
    return (0.5 - torch.minimum(torch.minimum(rim, bridge), temple) / soft).clamp(0, 1)
