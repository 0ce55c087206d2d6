"""What moves in a drawn face: the portrait bent by pose, jaw and brows, and mouth and eyes drawn on every frame.

Only sums, products, square roots and comparisons touch a frame, and a frame meets no other:
drawn alone or among others it is the same. Mouth and eyes are painted in small boxes that surely contain them.
(Source: ours.)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from dsel.toy.face.canvas import REACH, lamp, light_on
from dsel.toy.face.portrait import glasses_cover
from dsel.toy.mouth import CHANNELS

_SLACK = 0.05  # how far a feature may reach beyond its own box once the head moves


class Film:
    """The frames of a track while they are drawn: the portrait (3, P, P) as each frame's pose (T, 8) shows it.

    picture (3, T, H, W) in [0, 1], colour planes first; light (3, H, W) what skin of brightness 1 would show.
    """

    def __init__(self, still: torch.Tensor, face, scene, pose: torch.Tensor, size: int):
        self.size, self.scene, frames = size, scene, len(pose)
        line = (torch.arange(size, device=still.device, dtype=torch.float32) + 0.5) * (2.0 / size) - 1.0
        x, y = torch.meshgrid(line / scene.zoom - scene.shift_x, line / scene.zoom - scene.shift_y, indexing="xy")
        self.rest = torch.stack([x, y], -1)  # (H, W, 2): where pixels look before any movement
        self.fields, self.pose = torch.cat([_sway_fields(face, x, y), _skin_fields(face, x, y)]), pose
        grid = _shift(self.rest, self.fields, pose, 1 / REACH).view(1, frames * size, size, 2)
        film = F.grid_sample(still[None], grid, padding_mode="border", align_corners=False)
        self.picture = film.view(3, frames, size, size)
        self.light = self.rest.new_tensor(lamp(scene)).view(3, 1, 1) * light_on(face, scene, x, y)

    def look(self, rows: slice, cols: slice) -> torch.Tensor:
        """(T, h, w, 2): face coordinates that sway alone brought to these pixels."""
        return _shift(self.rest[rows, cols], self.fields[:6, rows, cols], self.pose[:, :6], 1.0)


def _shift(rest: torch.Tensor, fields: torch.Tensor, pose: torch.Tensor, scale: float) -> torch.Tensor:
    """(T, h, w, 2): scale (rest - sum_k pose_k field_k), rest (h, w, 2), fields (K, h, w, 2), pose (T, K)."""
    if len(pose) == 1:  # one row takes another path through BLAS, which rounds differently
        return _shift(rest, fields, pose.expand(2, -1), scale)[:1]
    flat = torch.addmm(rest.reshape(1, -1), pose, fields.reshape(len(fields), -1), beta=scale, alpha=-scale)
    return flat.view(len(pose), *rest.shape)


def _sway_fields(face, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(6, H, W, 2): how x, y, roll, zoom, yaw and pitch of the head shift the picture.

    A pixel p looks at p - sum_k pose_k field_k(p). The fields fade outside the head, so that the background stays. Turning
    (yaw, pitch) shifts near things (the nose) more than far ones (the ears).
    """
    zero = torch.zeros_like(x)
    hold = _smooth((1.25 - (x * x + (y / 1.05) ** 2).sqrt()) / 0.42)
    round_ = (1 - (x / (1.15 * face.cheek)) ** 2 - (y / 0.95) ** 2).clamp(min=0)
    nose = (1 - (x / 0.16) ** 2 - ((y - face.nose_y + 0.06) / 0.26) ** 2).clamp(min=0)
    depth = _smooth(round_) + 0.35 * nose * nose
    dx = torch.stack([hold, zero, -y * hold, x * hold, depth, zero])
    dy = torch.stack([zero, hold, x * hold, y * hold, zero, depth])
    return torch.stack([dx, dy], -1)


def _skin_fields(face, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(2, H, W, 2): how jaw and brows shift it further."""
    drop = _smooth((y - face.mouth_y + 0.02) / (face.chin - 0.10 - face.mouth_y))
    drop = drop * _smooth((face.chin + 0.30 - y) / 0.27) * (1 - (x / (1.12 * face.cheek)) ** 4).clamp(min=0)
    brow = (1 - ((x.abs() - face.eye_x) / 0.26) ** 2).clamp(min=0) * (1 - ((y - face.brow_y) / 0.16) ** 2).clamp(min=0)
    dy = torch.stack([drop, brow])
    return torch.stack([torch.zeros_like(dy), dy], -1)


def _smooth(t: torch.Tensor) -> torch.Tensor:
    t = t.clamp(0, 1)
    return t * t * (3 - 2 * t)


class _Box:
    """The pixels around a feature: a copy of that part of the film, and face coordinates that move with the head.

    x (T, 1, w) is taken along the feature's middle line, y (T, h, w) everywhere: a rolling head shears its mouth and
    eyes, which for the few degrees of sway looks like turning and leaves most of the work in rows of w numbers.
    """

    def __init__(self, film: Film, left: float, right: float, top: float, bottom: float):
        zoom, size = film.scene.zoom, film.size

        def pixel(at, shift):
            return ((at + shift) * zoom + 1) * size / 2

        middle = int(pixel((top + bottom) / 2, film.scene.shift_y)), int(pixel((left + right) / 2, film.scene.shift_x))
        there = slice(middle[0], middle[0] + 1), slice(middle[1], middle[1] + 1)
        moved = film.rest[middle] - film.look(*there)[:, 0, 0]  # (T, 2)
        low, high = (moved.amin(0) - _SLACK).tolist(), (moved.amax(0) + _SLACK).tolist()

        def pixels(first, last, shift):
            return slice(max(0, int(pixel(first, shift))), max(1, min(size, int(pixel(last, shift)) + 1)))

        cols = pixels(left + low[0], right + high[0], film.scene.shift_x)
        rows = pixels(top + low[1], bottom + high[1], film.scene.shift_y)
        self.place = film.picture[:, :, rows, cols]  # (3, T, h, w), a view
        self.film = self.place.contiguous()
        at = film.look(rows, cols)  # (T, h, w, 2)
        line = middle[0] - rows.start
        self.x, self.y = at[:, line : line + 1, :, 0].contiguous(), at[..., 1].contiguous()  # (T, 1, w), (T, h, w)
        self.soft = film.scene.softness * 2.0 / (size * zoom)
        self.light = film.light[:, None, rows, cols].contiguous()  # (3, 1, h, w)

    def edge(self, d: torch.Tensor) -> torch.Tensor:
        """Cover in [0, 1] of the shape with signed distance d, positive inside."""
        return (d / self.soft).add_(0.5).clamp_(0, 1)

    def paint(self, colour, cover: torch.Tensor, tone: torch.Tensor | None = None) -> None:
        """Lay a lit colour (three numbers), times tone (T, h, w), over the film by cover (T, h, w)."""
        colour = self.light.new_tensor(colour).view(3, 1, 1, 1) * self.light
        if tone is not None:
            colour = colour * tone
        self.film = torch.lerp(self.film, colour, cover)

    def close(self) -> None:
        """Put what was painted into the film."""
        self.place.copy_(self.film)


def draw_eyes(film: Film, face, scene) -> None:
    """Eyeballs, irises and lid lines, into the film in place."""
    wide = face.eye_x + 1.1 * face.eye_width
    box = _Box(film, -wide, wide, face.eye_y - 0.09, face.eye_y + 0.07)
    blink = torch.from_numpy(scene.blink).to(film.rest.device).view(-1, 1, 1)
    gaze = torch.from_numpy(scene.gaze).to(film.rest.device)
    shut = ((blink - 0.85) / 0.1).clamp(0, 1)  # 1 once the lids touch
    right = torch.where(box.x > 0, 1.0, -1.0)  # which eye
    x = box.x.abs() - face.eye_x  # (T, 1, w)
    y = box.y - (face.eye_y - face.eye_tilt * x)
    u = x / face.eye_width
    arc = (1 - u * u).clamp(min=0)
    upper = face.eye_height * arc * (1.72 * (face.lid + (1 - face.lid) * blink) - 1)  # y of the upper lid
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
    gx, gy = right * x + (0.016 - 0.03 * scene.light_x), iy + 0.018  # the lamp, on the same side of both eyes
    box.paint((1.3, 1.3, 1.3), 0.9 * ball * box.edge(0.013 - (gx * gx + gy * gy).sqrt()))
    line = box.edge((0.010 + 0.008 * face.lashes) - (y - upper).abs())
    box.paint((0.08, 0.06, 0.05), (0.45 + 0.5 * face.lashes) * line * free)
    box.close()


def draw_mouth(film: Film, face, mouth: torch.Tensor) -> None:
    """Lips, teeth, tongue and the dark between, into the film in place. mouth (T, len(CHANNELS))."""
    opening, width, rounding, protrusion, teeth, tongue, _, tuck = mouth.T.reshape(len(CHANNELS), -1, 1, 1)
    wide = 1.12 * face.mouth_width
    box = _Box(film, -wide, wide, face.mouth_y - 0.14, face.mouth_y + 0.34)
    x, y = box.x, box.y - face.mouth_y  # (T, 1, w), (T, h, w)
    half = face.mouth_width * (1 + 0.30 * (width - 0.5) - 0.26 * rounding)  # (T, 1, 1), to the corners
    gap = 0.29 * opening
    up, down = 0.24 * gap, 0.76 * gap * (1 - 0.6 * tuck)
    thick = 1 + 0.40 * protrusion - 0.15 * (width - 0.5)
    lip_u, lip_l = face.lip_upper * thick, face.lip_lower * thick * (1 - 0.45 * tuck)

    # curves over x, all (T, 1, w): the four edges of the two lips
    def arc(u):
        return (1 - u * u) * (1 + 0.8 * rounding * u * u)  # lens .. ring

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
    low = box.edge(y - 0.5 * (inner_u + inner_l))  # the lower lip catches the light
    shine = (1 - ((y - (inner_l + 0.45 * lip_l)) / (0.5 * lip_l)) ** 2).clamp_(min=0)
    box.paint(face.lip_colour, lips, 0.80 + low * (0.20 + (0.16 + 0.10 * protrusion) * (1 - u * u) * shine))
    box.paint((0.17, 0.05, 0.05), hole)
    # the tongue at rest on the floor of the mouth, then the teeth, then the tip of the tongue when it is raised
    floor = inner_l - 0.46 * down * (1 - (x / (0.66 * half)) ** 2).clamp(min=0)
    box.paint((0.58, 0.22, 0.22), 0.75 * hole * box.edge(y - floor))
    bite = hole + tuck * (lips - hole) * box.edge(y - inner_u)  # f, v: the teeth stand on the lower lip
    row = torch.minimum(0.050 + 0.022 * teeth, 0.60 * (inner_l - inner_u) + tuck)  # a slit stays between the rows
    upper = box.edge(inner_u + row - y) * (1.25 * teeth).clamp(max=1)
    shade = 1 - 0.35 * inner * inner
    box.paint((0.95, 0.93, 0.88), bite * upper, shade)
    lower = box.edge(y - (inner_l - (0.28 * (inner_l - inner_u)).clamp(max=0.035))) * (
        ((teeth - 0.4) * 1.4).clamp(0, 1) * (1 - tuck)
    )
    box.paint((0.86, 0.84, 0.79), hole * lower, shade)
    tip = ((x / (0.50 * half)) ** 2 + ((y - (0.62 * down + 0.012)) / (0.052 + 0.10 * gap)) ** 2).sqrt_()
    raised = ((tongue - 0.3) / 0.5).clamp(0, 1)
    box.paint((0.80, 0.36, 0.36), box.edge(0.06 * (1 - tip)) * raised * torch.maximum(hole, 0.8 * lips * low))
    box.close()
