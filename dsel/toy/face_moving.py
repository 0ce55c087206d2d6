"""What moves in a drawn face: the portrait bent by pose, jaw and brows, and mouth and eyes drawn on every frame.

The film is (3, T, H, W). Only sums, products, square roots and comparisons touch a frame, and a frame meets no other:
drawn alone or among others it is the same. Mouth and eyes are painted in small boxes that surely contain them.
(Source: ours.)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from dsel.toy.face_still import REACH, glasses_cover, lamp, light_on
from dsel.toy.mouth import CHANNELS

_SLACK = 0.05  # how far a feature may reach beyond its own box once the head moves


def bend(still: torch.Tensor, face, scene, pose: torch.Tensor, size: int) -> torch.Tensor:
    """(3, T, H, W): the portrait (3, P, P) seen through the pose (T, 8) of each frame."""
    x, y = _pixels(scene, size, still.device)
    at = _looked_at(face, x, y, pose, 1 / REACH)  # (T, H, W, 2)
    frames = len(pose)
    film = F.grid_sample(still[None], at.view(1, frames * size, size, 2), padding_mode="border", align_corners=False)
    return film.view(3, frames, size, size)


def _pixels(scene, size: int, device) -> tuple[torch.Tensor, torch.Tensor]:
    """Face coordinates x (1, W) and y (H, 1) of the pixels' centres in the scene's framing, before any movement."""
    line = (torch.arange(size, device=device, dtype=torch.float32) + 0.5) * (2.0 / size) - 1.0
    return (line / scene.zoom - scene.shift_x)[None, :], (line / scene.zoom - scene.shift_y)[:, None]


def _looked_at(face, x: torch.Tensor, y: torch.Tensor, pose: torch.Tensor, scale: float) -> torch.Tensor:
    """(T, h, w, 2), times scale: where in the portrait each pixel looks. pose (T, 8), or (T, 6) without jaw and brows.

    Each movement shifts the picture along a smooth field that fades outside the head, so that the background stays:
    p - sum_k pose_k field_k(p). Turning (yaw, pitch) shifts near things (nose) more than far ones (ears).
    """
    x, y = torch.broadcast_tensors(x, y)
    h, w = x.shape
    zero = torch.zeros_like(x)
    hold = _smooth((1.25 - ((x / 1.0) ** 2 + (y / 1.05) ** 2).sqrt()) / 0.42)
    round_ = (1 - (x / (1.15 * face.cheek)) ** 2 - (y / 0.95) ** 2).clamp(min=0)
    nose = (1 - (x / 0.16) ** 2 - ((y - face.nose_y + 0.06) / 0.26) ** 2).clamp(min=0)
    depth = _smooth(round_) + 0.35 * nose * nose
    fields = [(hold, zero), (zero, hold), (-y * hold, x * hold), (x * hold, y * hold), (depth, zero), (zero, depth)]
    if pose.shape[1] > 6:
        drop = _smooth((y - face.mouth_y + 0.02) / (face.chin - 0.10 - face.mouth_y))
        drop = drop * _smooth((face.chin + 0.30 - y) / 0.27) * (1 - (x / (1.12 * face.cheek)) ** 4).clamp(min=0)
        brow = (1 - ((x.abs() - face.eye_x) / 0.26) ** 2).clamp(min=0) * (1 - ((y - face.brow_y) / 0.16) ** 2).clamp(
            min=0
        )
        fields += [(zero, drop), (zero, brow)]
    field = torch.stack([torch.stack(pair, -1) for pair in fields]).view(len(fields), -1)  # (8, h w 2)
    rest = torch.stack([x, y], -1).reshape(1, -1)
    return torch.addmm(rest, pose, field, beta=scale, alpha=-scale).view(-1, h, w, 2)


def _smooth(t: torch.Tensor) -> torch.Tensor:
    t = t.clamp(0, 1)
    return t * t * (3 - 2 * t)


class _Box:
    """The pixels around a feature: a view of the film, and face coordinates X, Y (T, h, w) that move with the head."""

    def __init__(self, film, face, scene, pose, left: float, right: float, top: float, bottom: float):
        size = film.shape[-1]
        x, y = _pixels(scene, size, film.device)

        def first(low, shift):
            return int(max(0, min(size - 1, ((low + shift) * scene.zoom + 1) * size / 2)))

        def last(high, shift):
            return int(max(1, min(size, ((high + shift) * scene.zoom + 1) * size / 2 + 1)))

        middle = (
            torch.tensor([[(left + right) / 2]], device=x.device),
            torch.tensor([[(top + bottom) / 2]], device=x.device),
        )
        moved = torch.cat(middle, 1) - _looked_at(face, *middle, pose[:, :6], 1.0)[:, 0, 0]  # (T, 2)
        (low_x, low_y), (high_x, high_y) = moved.amin(0).tolist(), moved.amax(0).tolist()
        cols = slice(first(left + low_x - _SLACK, scene.shift_x), last(right + high_x + _SLACK, scene.shift_x))
        rows = slice(first(top + low_y - _SLACK, scene.shift_y), last(bottom + high_y + _SLACK, scene.shift_y))
        self.place = film[:, :, rows, cols]  # (3, T, h, w), a view
        self.film = self.place.contiguous()
        at = _looked_at(face, x[:, cols], y[rows], pose[:, :6], 1.0)
        self.x, self.y = at[..., 0].contiguous(), at[..., 1].contiguous()  # (T, h, w)
        self.soft = scene.softness * 2.0 / (size * scene.zoom)
        light = light_on(face, scene, x[:, cols], y[rows])  # (h, w)
        self.light = torch.tensor(lamp(scene), device=film.device).view(3, 1, 1, 1) * light  # (3, 1, h, w)

    def edge(self, d: torch.Tensor) -> torch.Tensor:
        """Cover in [0, 1] of the shape with signed distance d, positive inside."""
        return (0.5 + d / self.soft).clamp_(0, 1)

    def paint(self, colour, cover: torch.Tensor) -> None:
        """Lay a lit colour (three numbers, or (3, T, h, w)) over the film by cover (T, h, w)."""
        if not torch.is_tensor(colour):
            colour = torch.tensor(colour, device=self.film.device).view(3, 1, 1, 1)
        self.film = torch.lerp(self.film, colour * self.light, cover)

    def close(self) -> None:
        """Put what was painted into the film."""
        self.place.copy_(self.film)


def draw_eyes(film, face, scene, pose) -> None:
    """Eyeballs, irises and lid lines, into film (3, T, H, W) in place."""
    wide = face.eye_x + 1.2 * face.eye_width
    box = _Box(film, face, scene, pose, -wide, wide, face.eye_y - 0.10, face.eye_y + 0.08)
    device = film.device
    blink = torch.from_numpy(scene.blink).to(device).view(-1, 1, 1)
    gaze = torch.from_numpy(scene.gaze).to(device)
    right = torch.where(box.x > 0, 1.0, -1.0)  # which eye
    x = box.x.abs() - face.eye_x
    y = box.y - face.eye_y + face.eye_tilt * x
    u = x / face.eye_width
    arc = (1 - u * u).clamp(min=0)
    shut = (face.lid + (1 - face.lid) * blink) if face.lid else blink
    upper = face.eye_height * arc * (1.72 * shut - 1)  # y of the upper lid; 0.72 of a height below the middle when shut
    lower = 0.72 * face.eye_height * arc
    ends = box.edge(face.eye_width - x.abs())
    free = 1.0
    if face.glasses != "none":
        free = 1 - glasses_cover(face, box.x, box.y, box.soft)
    ball = box.edge(torch.minimum(y - upper, lower - y)) * ends * free
    box.paint((0.93, 0.92, 0.90), ball * (1 - 0.98 * _shut(blink)))
    ix = x - right * 0.30 * face.eye_width * gaze[:, 0].view(-1, 1, 1)
    iy = y - 0.25 * face.eye_height * gaze[:, 1].view(-1, 1, 1) + 0.06 * face.eye_height
    far = (ix * ix + iy * iy).sqrt()
    ball = ball * (1 - _shut(blink))
    box.paint(face.iris, ball * box.edge(0.060 - far))
    box.paint((0.03, 0.03, 0.03), ball * box.edge(0.028 - far))
    gx, gy = (
        right * x + 0.016 - 0.03 * scene.light_x,
        iy + 0.018,
    )  # the lamp's reflection, on the same side in both eyes
    box.paint((1.3, 1.3, 1.3), 0.9 * ball * box.edge(0.012 - (gx * gx + gy * gy).sqrt()))
    line = (y - upper).abs() - (0.010 + 0.008 * face.lashes)
    box.paint((0.08, 0.06, 0.05), (0.45 + 0.5 * face.lashes) * box.edge(-line) * ends * free)
    box.close()


def _shut(blink: torch.Tensor) -> torch.Tensor:
    """1 once the lids touch."""
    return ((blink - 0.85) / 0.1).clamp(0, 1)


def draw_mouth(film, face, scene, pose, mouth: torch.Tensor) -> None:
    """Lips, teeth, tongue and the dark between, into film (3, T, H, W) in place. mouth (T, len(CHANNELS))."""
    opening, width, rounding, protrusion, teeth, tongue, _, tuck = (
        mouth[:, k].view(-1, 1, 1) for k in range(len(CHANNELS))
    )
    mw, gap_max = face.mouth_width, 0.29
    wide = 1.20 * mw
    box = _Box(film, face, scene, pose, -wide, wide, face.mouth_y - 0.14, face.mouth_y + 0.36)
    x, y = box.x, box.y - face.mouth_y
    half = mw * (1 + 0.30 * (width - 0.5) - 0.26 * rounding)  # (T, 1, 1) corners
    gap = gap_max * opening
    up, down = 0.24 * gap, 0.76 * gap * (1 - 0.6 * tuck)
    thick = 1 + 0.40 * protrusion - 0.15 * (width - 0.5)
    lip_u, lip_l = face.lip_upper * thick, face.lip_lower * thick * (1 - 0.45 * tuck)

    u = (x / half).clamp(-1, 1)
    uu = u * u
    arc = (1 - uu) * (1 + 0.8 * rounding * uu)  # lens .. ring
    ui = (x / (0.90 * half)).clamp(-1, 1)
    uui = ui * ui
    arc_in = (1 - uui) * (1 + 0.8 * rounding * uui)
    corner = -face.smile * uu * (1 - 0.7 * rounding)  # y of the lip line towards the corners
    bow = 1 - 0.30 * (1 - (u / 0.30) ** 2).clamp(min=0)  # cupid's bow
    inner_u, inner_l = corner - up * arc_in, corner + down * arc_in
    outer_u = corner - up * arc - lip_u * (1 - uu * uu) * bow
    outer_l = corner + down * arc + lip_l * (1 - uu)
    ends = box.edge(half - x.abs())

    lips = box.edge(torch.minimum(y - outer_u, outer_l - y)) * ends
    hole = box.edge(torch.minimum(y - inner_u, inner_l - y)) * box.edge(0.90 * half - x.abs())
    # skin: a shadow under the lower lip
    under = (1 - ((y - outer_l - 0.025) / 0.045) ** 2).clamp(min=0) * (1 - uu)
    box.film *= 1 - 0.22 * under
    # lips: the upper one in shade, light on the lower one
    middle = 0.5 * (inner_u + inner_l)
    low = box.edge(y - middle)
    shine = (1 - ((y - inner_l - 0.45 * lip_l) / (0.5 * lip_l)) ** 2).clamp(min=0) * (1 - uu)
    tone = 0.80 + 0.20 * low + (0.16 + 0.10 * protrusion) * shine * low
    colour = torch.tensor(face.lip_colour, device=film.device).view(3, 1, 1, 1)
    box.paint(colour * tone, lips)
    box.paint((0.17, 0.05, 0.05), hole)
    # tongue at rest on the floor of the mouth, then teeth, then the tip when it is raised
    floor = box.edge(1.0 * (y - inner_l + 0.42 * down)) * box.edge(0.62 * half - x.abs())
    box.paint((0.58, 0.22, 0.22), 0.75 * hole * floor)
    row = 0.050 + 0.022 * teeth  # height of the upper teeth that shows
    bite = hole + tuck * (lips - hole) * box.edge(y - inner_u)  # f, v: teeth stand on the lower lip
    upper = box.edge(inner_u + row - y) * (teeth * 1.25).clamp(max=1)
    shade = 1 - 0.35 * uui
    box.paint(torch.tensor((0.95, 0.93, 0.88), device=film.device).view(3, 1, 1, 1) * shade, bite * upper)
    lower = box.edge(y - inner_l + 0.035) * ((teeth - 0.4) * 1.4).clamp(0, 1) * (1 - tuck)
    box.paint(torch.tensor((0.86, 0.84, 0.79), device=film.device).view(3, 1, 1, 1) * shade, hole * lower)
    tip = ((x / (0.50 * half)) ** 2 + ((y - 0.62 * down - 0.012) / (0.052 + 0.10 * gap)) ** 2).sqrt()
    box.paint(
        (0.80, 0.36, 0.36),
        box.edge((1 - tip) * 0.06) * ((tongue - 0.3) / 0.5).clamp(0, 1) * torch.maximum(hole, 0.8 * lips * low),
    )
    box.close()
