"""Animate a portrait: bend it by the pose of head, jaw and brows; draw mouth and eyes per frame.

No frame depends on another, and only sums, products, square roots and comparisons are computed, so
a frame drawn alone equals the same frame drawn within a film. For speed, mouth and eyes are painted
in small boxes that are large enough to contain them.

Shapes in comments: T frames, H x W pixels of a frame, h x w pixels of a box, P x P pixels of the
portrait. (Source: ours.)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from dsel.toy.face.canvas import REACH, lamp, light_on
from dsel.toy.face.colours import Colour
from dsel.toy.face.parameters import Face
from dsel.toy.face.portrait import glasses_cover
from dsel.toy.face.scene import Scene
from dsel.toy.mouth import CHANNELS

_SLACK = 0.05  # margin around a box, in half crops: a moving head stretches its features


class Film:
    """Hold the frames of a track while they are drawn.

    Args:
        still: (3, P, P), the portrait.
        face, scene: what the portrait shows; a scene of T frames.
        pose: (T, 8), see `rendering.render`: sway (6), drop of the jaw, rise of the brows.
        size: height and width of a frame in pixels.

    `picture` is (3, T, H, W), about 0 to 1; `light` is (3, H, W), the light on a white head.
    """

    def __init__(
        self, still: torch.Tensor, face: Face, scene: Scene, pose: torch.Tensor, size: int
    ) -> None:
        self.size, self.scene, self.pose, frames = size, scene, pose, len(pose)
        centres = torch.arange(size, device=still.device, dtype=torch.float32) + 0.5
        line = centres * (2.0 / size) - 1.0  # (size,), coordinates of the pixels of a row
        x, y = torch.meshgrid(
            line / scene.zoom - scene.shift_x, line / scene.zoom - scene.shift_y, indexing="xy"
        )
        self.rest = torch.stack([x, y], -1)  # (H, W, 2): face coordinates without any movement
        self.fields = torch.cat([_sway_fields(face, x, y), _skin_fields(face, x, y)])
        grid = _shift(self.rest, self.fields, pose, 1 / REACH).view(1, frames * size, size, 2)
        film = F.grid_sample(still[None], grid, padding_mode="border", align_corners=False)
        self.picture = film.view(3, frames, size, size)
        self.light = self.rest.new_tensor(lamp(scene)).view(3, 1, 1) * light_on(face, scene, x, y)

    def look(self, rows: slice, cols: slice) -> torch.Tensor:
        """Return the face coordinates that sway brings to these pixels, (T, h, w, 2)."""
        return _shift(self.rest[rows, cols], self.fields[:6, rows, cols], self.pose[:, :6], 1.0)


def _shift(
    rest: torch.Tensor, fields: torch.Tensor, pose: torch.Tensor, scale: float
) -> torch.Tensor:
    """Displace coordinates: scale (rest - sum_k pose_k field_k).

    Args:
        rest: (h, w, 2), coordinates.
        fields: (K, h, w, 2), displacement fields.
        pose: (T, K), how much of each field a frame takes.
        scale: a factor on the result.
    Returns:
        (T, h, w, 2).
    """
    if len(pose) == 1:  # BLAS multiplies a single row by another routine, which rounds differently
        return _shift(rest, fields, pose.expand(2, -1), scale)[:1]
    flat = torch.addmm(
        rest.reshape(1, -1), pose, fields.reshape(len(fields), -1), beta=scale, alpha=-scale
    )
    return flat.view(len(pose), *rest.shape)


def _sway_fields(face: Face, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return how x, y, roll, zoom, yaw and pitch of the head displace the picture: (6, H, W, 2).

    Pixel p shows what the portrait has at p - sum_k pose_k field_k(p). The fields fade outside the
    head, so the background does not move. Turning (yaw, pitch) moves near parts (the nose) more
    than far ones (the ears).
    """
    zero = torch.zeros_like(x)
    fade = _smooth((1.25 - (x * x + (y / 1.05) ** 2).sqrt()) / 0.42)
    dome = (1 - (x / (1.15 * face.cheek)) ** 2 - (y / 0.95) ** 2).clamp(min=0)
    nose = (1 - (x / 0.16) ** 2 - ((y - face.nose_y + 0.06) / 0.26) ** 2).clamp(min=0)
    depth = _smooth(dome) + 0.35 * nose * nose
    dx = torch.stack([fade, zero, -y * fade, x * fade, depth, zero])
    dy = torch.stack([zero, fade, x * fade, y * fade, zero, depth])
    return torch.stack([dx, dy], -1)


def _skin_fields(face: Face, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return how jaw and brows displace the picture: (2, H, W, 2)."""
    drop = _smooth((y - face.mouth_y + 0.02) / (face.chin - 0.10 - face.mouth_y))
    drop = drop * _smooth((face.chin + 0.30 - y) / 0.27)
    drop = drop * (1 - (x / (1.12 * face.cheek)) ** 4).clamp(min=0)
    brow = (1 - ((x.abs() - face.eye_x) / 0.26) ** 2).clamp(min=0)
    brow = brow * (1 - ((y - face.brow_y) / 0.16) ** 2).clamp(min=0)
    dy = torch.stack([drop, brow])
    return torch.stack([torch.zeros_like(dy), dy], -1)


def _smooth(t: torch.Tensor) -> torch.Tensor:
    """Return a smooth step: 0 for t <= 0, 1 for t >= 1."""
    t = t.clamp(0, 1)
    return t * t * (3 - 2 * t)


class _Box:
    """Hold the pixels around a feature, and face coordinates that move with the head.

    x (T, 1, w) is taken along the middle line of the feature only, y (T, h, w) at every pixel. So a
    rolling head shears mouth and eyes instead of turning them. For the few degrees of sway nobody
    sees the difference, and most of the work is done on rows of w numbers.

    Args:
        film: the frames to paint on.
        left, right, top, bottom: the box in face coordinates, before any movement.
    """

    def __init__(self, film: Film, left: float, right: float, top: float, bottom: float) -> None:
        zoom, size = film.scene.zoom, film.size

        def pixel(coordinate: float, shift: float) -> float:
            return ((coordinate + shift) * zoom + 1) * size / 2

        row = int(pixel((top + bottom) / 2, film.scene.shift_y))
        col = int(pixel((left + right) / 2, film.scene.shift_x))
        swayed = film.look(slice(row, row + 1), slice(col, col + 1))[:, 0, 0]  # (T, 2)
        moved = film.rest[row, col] - swayed
        low, high = (moved.amin(0) - _SLACK).tolist(), (moved.amax(0) + _SLACK).tolist()

        def pixels(first: float, last: float, shift: float) -> slice:
            start, stop = int(pixel(first, shift)), int(pixel(last, shift)) + 1
            return slice(max(0, start), max(1, min(size, stop)))

        cols = pixels(left + low[0], right + high[0], film.scene.shift_x)
        rows = pixels(top + low[1], bottom + high[1], film.scene.shift_y)
        self.place = film.picture[:, :, rows, cols]  # (3, T, h, w), a view
        self.film = self.place.contiguous()
        coordinates = film.look(rows, cols)  # (T, h, w, 2)
        line = row - rows.start
        self.x = coordinates[:, line : line + 1, :, 0].contiguous()  # (T, 1, w)
        self.y = coordinates[..., 1].contiguous()  # (T, h, w)
        self.soft = film.scene.softness * 2.0 / (size * zoom)
        self.light = film.light[:, None, rows, cols].contiguous()  # (3, 1, h, w)

    def edge(self, d: torch.Tensor) -> torch.Tensor:
        """Return the cover in [0, 1] of a shape with signed distance d, positive inside."""
        return (d / self.soft).add_(0.5).clamp_(0, 1)

    def paint(self, colour: Colour, cover: torch.Tensor, tone: torch.Tensor | None = None) -> None:
        """Lay a colour, as the light shows it, over the box.

        Args:
            colour: red, green, blue.
            cover: (T, h, w) in [0, 1], how opaque the paint is.
            tone: (T, h, w), multiplies the colour; None: 1.
        """
        paint = self.light.new_tensor(colour).view(3, 1, 1, 1) * self.light
        if tone is not None:
            paint = paint * tone
        self.film = torch.lerp(self.film, paint, cover)

    def close(self) -> None:
        """Copy the painted box back into the film."""
        self.place.copy_(self.film)


def draw_eyes(film: Film, face: Face, scene: Scene) -> None:
    """Draw eyeballs, irises and lid lines into the film, in place."""
    wide = face.eye_x + 1.1 * face.eye_width
    box = _Box(film, -wide, wide, face.eye_y - 0.09, face.eye_y + 0.07)
    blink = torch.from_numpy(scene.blink).to(film.rest.device).view(-1, 1, 1)
    gaze = torch.from_numpy(scene.gaze).to(film.rest.device)
    shut = ((blink - 0.85) / 0.1).clamp(0, 1)  # 1 once the lids touch
    right = torch.where(box.x > 0, 1.0, -1.0)  # 1 for the eye on the right of the picture
    x = box.x.abs() - face.eye_x  # (T, 1, w)
    y = box.y - (face.eye_y - face.eye_tilt * x)
    u = x / face.eye_width
    arc = (1 - u * u).clamp(min=0)
    lid = 1.72 * (face.lid + (1 - face.lid) * blink) - 1  # (T, 1, 1)
    upper = face.eye_height * arc * lid  # y of the upper lid
    lower = 0.72 * face.eye_height * arc
    free = box.edge(face.eye_width - x.abs())
    if face.glasses != "none":
        free = free * (1 - glasses_cover(face, box.x, box.y, box.soft))
    ball = box.edge(torch.minimum(y - upper, lower - y)) * free * (1 - shut)
    ix = x - right * 0.30 * face.eye_width * gaze[:, 0].view(-1, 1, 1)
    iy = y - (0.25 * face.eye_height * gaze[:, 1].view(-1, 1, 1) - 0.06 * face.eye_height)
    far = (ix * ix + iy * iy).sqrt()
    box.paint((0.88, 0.87, 0.85), ball)
    box.paint(face.iris, ball * box.edge(0.060 - far))
    box.paint((0.03, 0.03, 0.03), ball * box.edge(0.028 - far))
    # the lamp's reflection, on the same side of both eyes
    gx, gy = right * x + (0.016 - 0.03 * scene.light_x), iy + 0.018
    box.paint((1.3, 1.3, 1.3), 0.9 * ball * box.edge(0.013 - (gx * gx + gy * gy).sqrt()))
    line = box.edge((0.010 + 0.008 * face.lashes) - (y - upper).abs())
    box.paint((0.08, 0.06, 0.05), (0.45 + 0.5 * face.lashes) * line * free)
    box.close()


def draw_mouth(film: Film, face: Face, mouth: torch.Tensor) -> None:
    """Draw lips, teeth, tongue and the dark between them into the film, in place.

    Args:
        film: T frames.
        face: whose mouth.
        mouth: (T, len(CHANNELS)), from `dsel.toy.mouth`.
    """
    channels = mouth.T.reshape(len(CHANNELS), -1, 1, 1)
    opening, width, rounding, protrusion, teeth, tongue, _, tuck = channels  # each (T, 1, 1)
    wide = 1.12 * face.mouth_width
    box = _Box(film, -wide, wide, face.mouth_y - 0.14, face.mouth_y + 0.34)
    x, y = box.x, box.y - face.mouth_y  # (T, 1, w), (T, h, w)
    stretch = 1 + 0.30 * (width - 0.5) - 0.26 * rounding
    half = face.mouth_width * stretch  # (T, 1, 1), from the middle to a corner
    gap = 0.29 * opening
    up, down = 0.24 * gap, 0.76 * gap * (1 - 0.6 * tuck)
    thick = 1 + 0.40 * protrusion - 0.15 * (width - 0.5)
    lip_u, lip_l = face.lip_upper * thick, face.lip_lower * thick * (1 - 0.45 * tuck)

    # The four edges of the two lips are curves over x, all (T, 1, w).
    def arc(u: torch.Tensor) -> torch.Tensor:
        return (1 - u * u) * (1 + 0.8 * rounding * u * u)  # a lens, or a ring when rounded

    u, inner = (x / half).clamp(-1, 1), (x / (0.90 * half)).clamp(-1, 1)
    corner = -face.smile * u * u * (1 - 0.7 * rounding)  # y of the lip line towards the corners
    bow = 1 - 0.30 * (1 - (u / 0.30) ** 2).clamp(min=0)  # cupid's bow
    inner_u, inner_l = corner - up * arc(inner), corner + down * arc(inner)
    outer_u = corner - up * arc(u) - lip_u * (1 - u**4) * bow
    outer_l = corner + down * arc(u) + lip_l * (1 - u * u)
    lips = box.edge(torch.minimum(y - outer_u, outer_l - y)) * box.edge(half - x.abs())  # (T, h, w)
    hole = box.edge(torch.minimum(y - inner_u, inner_l - y)) * box.edge(0.90 * half - x.abs())

    under = (1 - ((y - (outer_l + 0.025)) / 0.045) ** 2).clamp_(min=0)
    box.film *= 1 - 0.22 * (1 - u * u) * under  # shadow under the lower lip
    low = box.edge(y - 0.5 * (inner_u + inner_l))  # 1 on the lower lip, which catches the light
    shine = (1 - ((y - (inner_l + 0.45 * lip_l)) / (0.5 * lip_l)) ** 2).clamp_(min=0)
    tone = 0.80 + low * (0.20 + (0.16 + 0.10 * protrusion) * (1 - u * u) * shine)
    box.paint(face.lip_colour, lips, tone)
    box.paint((0.17, 0.05, 0.05), hole)
    # in the mouth, from back to front: the tongue at rest, the teeth, the raised tip of the tongue
    floor = inner_l - 0.46 * down * (1 - (x / (0.66 * half)) ** 2).clamp(min=0)
    box.paint((0.58, 0.22, 0.22), 0.75 * hole * box.edge(y - floor))
    # f and v: the upper teeth stand on the lower lip
    bite = hole + tuck * (lips - hole) * box.edge(y - inner_u)
    # height of the upper teeth; a slit stays open above the lower ones
    row = torch.minimum(0.050 + 0.022 * teeth, 0.60 * (inner_l - inner_u) + tuck)
    upper = box.edge(inner_u + row - y) * (1.25 * teeth).clamp(max=1)
    shade = 1 - 0.35 * inner * inner
    box.paint((0.95, 0.93, 0.88), bite * upper, shade)
    lower = box.edge(y - (inner_l - (0.28 * (inner_l - inner_u)).clamp(max=0.035)))
    lower = lower * (((teeth - 0.4) * 1.4).clamp(0, 1) * (1 - tuck))
    box.paint((0.86, 0.84, 0.79), hole * lower, shade)
    tip_y, tip_height = 0.62 * down + 0.012, 0.052 + 0.10 * gap
    tip = ((x / (0.50 * half)) ** 2 + ((y - tip_y) / tip_height) ** 2).sqrt_()
    raised = ((tongue - 0.3) / 0.5).clamp(0, 1)
    cover = box.edge(0.06 * (1 - tip)) * raised * torch.maximum(hole, 0.8 * lips * low)
    box.paint((0.80, 0.36, 0.36), cover)
    box.close()
