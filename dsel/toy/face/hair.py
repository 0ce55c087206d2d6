"""Paint hair on a portrait: hair behind the head, hair on top, eyebrows and beard.

A haircut is an entry of `CUTS`. Hair covers what lies inside an outline around the skull and above
a hairline. `portrait.py` calls these functions in its order of layers. (Source: ours.)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dsel.toy.face.canvas import Canvas, light_on, lit, skull
from dsel.toy.face.parameters import Face
from dsel.toy.face.scene import Scene


@dataclass(frozen=True)
class Cut:
    """Describe a haircut. Lengths in half crops, or, where a comment says so, in Face.volume."""

    rise: float  # height above the crown, in volumes
    side: float  # width beside the head, in volumes
    end: float  # y where the hair beside the face ends
    line: float = 0.0  # moves the person's hairline down (> 0) or up
    turn: float = 3.2  # exponent: the larger, the nearer to the temples the hairline turns down
    wave: float = 1.0  # how curly the strands are
    falls: float | None = None  # y where long hair ends
    parted: float = 0.0  # how far the hair is swept to one side


CUTS = {
    "buzz": Cut(rise=0.15, side=0.08, end=-0.10),
    "short": Cut(rise=1.25, side=0.40, end=-0.03),
    "parted": Cut(rise=1.35, side=0.45, end=0.00, line=-0.06, parted=0.16),
    "receding": Cut(rise=0.35, side=0.30, end=0.04, line=-0.10),
    "spiky": Cut(rise=1.30, side=0.40, end=-0.05),
    "curly": Cut(rise=1.70, side=1.10, end=0.16, wave=9.0),
    "afro": Cut(rise=2.60, side=2.40, end=0.22, wave=12.0),
    "fringe": Cut(rise=1.10, side=0.85, end=0.45, turn=9.0, falls=0.52),
    "bob": Cut(rise=1.15, side=1.00, end=0.60, line=-0.06, falls=0.64, parted=0.15),
    "long": Cut(rise=1.10, side=0.75, end=1.40, line=-0.06, falls=1.60, parted=0.14),
    "wavy": Cut(rise=1.30, side=1.05, end=1.20, line=-0.05, wave=3.5, falls=1.30),
    "bun": Cut(rise=0.55, side=0.25, end=-0.04, line=-0.04),
    "scarf": Cut(rise=0.80, side=0.70, end=1.40, falls=1.60),
}


def _strands(canvas: Canvas, face: Face, scene: Scene, wave: float) -> torch.Tensor:
    """Return the colour of hair with strands around the head, or of a folded scarf: (3, P, Q).

    Args:
        canvas: gives the coordinates (P, Q).
        face, scene: give hair colour, scarf and light.
        wave: how curly the strands are.
    """
    angle = torch.atan2(canvas.x - 0.25 * face.side, 0.9 - canvas.y)
    light = 0.35 + 0.65 * light_on(face, scene, canvas.x, canvas.y)
    if face.hair == "scarf":
        return canvas.colour(scene.scarf) * (light * (0.95 + 0.10 * torch.sin(9 * angle)))
    radius = (canvas.x**2 + canvas.y**2).sqrt()
    gloss = 0.93 + 0.08 * torch.sin(31 * angle + wave * torch.sin(9 * radius)) + 0.06 * canvas.grain
    shine = 1 + 0.32 * canvas.blob(0.25 * scene.light_x, face.top + 0.06, 0.45, 0.15)
    return (canvas.colour(face.hair_colour) + 0.02) * (gloss * shine * light)


def hair_behind(canvas: Canvas, face: Face, scene: Scene) -> None:
    """Paint the hair behind head and neck: a bun or long hair."""
    cut = CUTS.get(face.hair)
    if face.hair == "bun":
        r, cx, cy = 0.20 + 0.4 * face.volume, 0.12 * face.side, face.top - 0.11
        part = canvas.window(cx - 1.2 * r, cx + 1.2 * r, cy - r, cy + 1.5 * r)
        part.paint(0.9 * _strands(part, face, scene, 3.0), part.ellipse(cx, cy, r, 0.85 * r))
    elif cut and cut.falls:
        half = face.cheek + cut.side * face.volume
        part = canvas.window(-half - 0.3, half + 0.3, -0.15, min(cut.falls, 1.25))
        x, y = part.x.abs(), part.y
        spread = 0.10 * (y + 0.05).clamp(min=0) * (0.2 if face.hair == "fringe" else 1)
        wave = (
            0.035 * torch.sin(15 * y + 2 * torch.sign(part.x)) * ((y + 0.1) * 4).clamp(0, 1)
            if cut.wave > 3
            else 0.0
        )
        ends = y - cut.falls + 0.12 * (x / face.cheek) ** 4
        sides = torch.maximum(x - half - spread - wave, ends)
        cover = part.edge(torch.maximum(sides, -0.05 - y))
        part.paint(0.72 * _strands(part, face, scene, 3.0), cover)


def hair(canvas: Canvas, face: Face, scene: Scene) -> None:
    """Paint the hair on top of the head, with its shadow on the forehead; or a scarf."""
    if face.hair == "bald":
        part = canvas.window(-0.4, 0.4, face.top, face.top + 0.4)
        part.rgb += 0.09 * part.blob(0.25 * scene.light_x, face.top + 0.17, 0.24, 0.12)
        return
    cut = CUTS[face.hair]
    side, top = face.cheek + cut.side * face.volume, face.top - cut.rise * face.volume
    part = canvas.window(-side - 0.08, side + 0.08, top - 0.10, min(cut.end, 1.2) + 0.08)
    x, y = part.x, part.y
    outline = skull(x, y, side, top, face.chin, face.taper, 2.2)
    beside = (
        x.abs() - face.cheek - cut.side * face.volume
    )  # the hair hangs straight down, past the jaw
    hanging = part.edge(torch.maximum(beside, -0.05 - y))
    if face.hair == "scarf":
        _scarf(part, face, scene, torch.maximum(part.shape(outline), hanging))
        return
    u = (x.abs() / face.cheek).clamp(max=1.3)  # 0 middle .. 1 cheek
    line = _hairline(face, cut, x, u)
    outer = part.shape(_ruffled(face, outline, torch.atan2(x, -0.05 - y)))
    if cut.falls:
        outer = torch.maximum(outer, hanging) * part.edge(y - cut.falls + 0.12 * u**4)
        line = torch.where(u > 0.80, line + 9 * (u - 0.88).clamp(min=0), line)
    part.rgb *= 1 - 0.22 * outer * part.edge(y - line - 0.035, 0.07)
    opacity = 0.74 if face.hair == "buzz" else 1.0
    part.paint(_strands(part, face, scene, cut.wave), outer * part.shape(y - line) * opacity)


def _scarf(part: Canvas, face: Face, scene: Scene, inside: torch.Tensor) -> None:
    """Paint a scarf where `inside` (P, Q) covers, with an oval opening for the face."""
    x2 = (part.x / (0.86 * face.cheek)) ** 2
    above = x2 + ((part.y - 0.12) / (0.10 - face.hairline)) ** 2
    below = x2 + ((part.y - 0.12) / (face.chin - 0.16)) ** 2
    opening = torch.where(part.y > 0.12, below, above) - 1
    cover = inside * (1 - part.shape(opening))
    part.rgb *= 1 - 0.25 * inside * part.edge((opening * 0.4).abs() - 0.01, 0.10)
    part.paint(_strands(part, face, scene, CUTS["scarf"].wave), cover)


def _ruffled(face: Face, outline: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Return the outline f (P, Q) with the curls or spikes of the haircut around the head."""
    if face.hair == "afro":
        return outline - 0.06 * torch.sin(21 * angle) * torch.sin(13 * angle + 1)
    if face.hair == "curly":
        return outline - 0.09 * torch.sin(17 * angle) - 0.04 * torch.sin(29 * angle)
    if face.hair == "spiky":
        return outline - 0.55 * face.volume / 0.085 * ((2.7 * angle) % 1 - 0.5).abs() + 0.12
    return outline


def _hairline(face: Face, cut: Cut, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Return y of the hairline at coordinates x; u is |x| in cheek widths. All (P, Q)."""
    own = face.brow_y - 0.055 if face.hair == "fringe" else face.hairline + cut.line
    line = own + (cut.end - own) * (u**cut.turn).clamp(max=1)
    if cut.parted:
        across = face.side * x / face.cheek - 0.35
        line = line + cut.parted * torch.where(across > 0, 0.5 * across, -across).clamp(max=0.55)
    if face.hair == "receding":  # no hair at the temples
        return line - 0.20 * (1 - ((u - 0.62) / 0.34) ** 2).clamp(min=0)
    if face.hair in ("curly", "afro"):
        return line + 0.022 * torch.sin(24 * x + 1)
    if face.hair == "fringe":
        return line + 0.012 * torch.sin(38 * x)
    if face.hair == "wavy":
        return line + 0.06 * torch.cos(2.2 * x / face.cheek) - 0.05
    if face.hair == "short":
        return line + 0.02 * torch.sin(9 * x + 2 * face.side)
    return line


def brows(canvas: Canvas, face: Face) -> None:
    """Paint the eyebrows; the canvas must cover the part around the eyes."""
    # v: along the brow, -1 inner end .. 1 outer end
    v = (canvas.x.abs() - face.eye_x - 0.015) / (1.30 * face.eye_width)
    middle = (
        face.brow_y - face.brow_arch * (1 - (v - 0.1) ** 2) - face.brow_tilt * face.eye_width * v
    )
    half = 0.5 * face.brow_thickness * (1.05 - 0.45 * v.clamp(-1, 1) ** 2 - 0.25 * v)
    d = torch.maximum((canvas.y - middle).abs() - half, (v.abs() - 1) * face.eye_width)
    canvas.paint(face.brow_colour, (0.86 + 0.14 * canvas.grain) * canvas.edge(d))


def beard(canvas: Canvas, face: Face, scene: Scene) -> None:
    """Paint the beard, if there is one; the canvas must cover the lower face."""
    if face.beard == "none":
        return
    x, y, ax = canvas.x, canvas.y, canvas.x.abs()
    u = (ax / face.cheek).clamp(max=1.1)
    above = face.mouth_y - face.lip_upper - 0.012  # y of the upper lip's edge
    lips = canvas.shape(
        (x / (face.mouth_width * 0.98)) ** 2 + ((y - face.mouth_y) / 0.055) ** 2 - 1, 0.04
    )
    middle = (above + face.nose_y + 0.03) / 2
    tache = canvas.edge(
        (y - middle - 0.06 * (ax / face.mouth_width) ** 2).abs() - (above - face.nose_y) * 0.38,
        0.035,
    )
    tache = tache * canvas.edge(ax - 1.08 * face.mouth_width, 0.05)
    line = 0.22 + 0.32 * (1 - u) - 0.45 * (u - 0.75).clamp(min=0)  # y where a full beard begins
    full = canvas.edge(line.clamp(max=face.nose_y + 0.07) - y, 0.09) * (1 - lips)
    goatee = canvas.shape(
        (x / (face.mouth_width * 1.12)) ** 2 + ((y - face.mouth_y - 0.13) / 0.30) ** 2 - 1, 0.06
    )
    goatee = goatee * canvas.edge(face.mouth_y - 0.10 - y, 0.06) * (1 - lips)
    cover = {
        "stubble": (0.38 + 0.14 * canvas.grain) * torch.maximum(full, tache),
        "moustache": 0.92 * tache,
        "goatee": 0.90 * torch.maximum(goatee, tache),
        "full": 0.93 * torch.maximum(full, tache),
    }[face.beard]
    grown = canvas.edge(
        0.25 * skull(x, y, face.cheek, face.top, face.chin + 0.035, face.taper, face.square)
    )
    canvas.paint(
        (0.85 + 0.14 * canvas.grain) * lit(canvas, face, scene, face.hair_colour), cover * grown
    )
