"""Who a drawn face is, what surrounds it, and the film of the two: parameters -> uint8 frames.

    speaker --face_of--> Face       what stays: skull, hair, brows, eyes, nose, lips, skin, age, glasses, beard
    rng --draw_scene--> Scene       what changes from track to track: light, camera, background, sway, blinks, clothes
    render(face, mouth, scene)      frames

Coordinates: the crop is [-1, 1] x [-1, 1], x to the right of the picture, y down; lengths are in half crops. Rendering
is one still portrait (`face_still`), bent for every frame by a few smooth displacement fields (sway, turn, jaw, brows),
with mouth and eyes drawn afresh on every frame (`face_moving`). (Source: ours.)
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import torch

from dsel.errors import BadInput
from dsel.toy import face_moving, face_still
from dsel.toy.mouth import CHANNELS

Colour = tuple[float, float, float]  # red, green, blue in [0, 1]

# What each of the 32 standard normals in speaker.face decides.
LATENTS = (
    "width", "height", "taper", "square", "brow_height", "brow_thickness", "brow_arch", "eye_distance",
    "eye_size", "eye_tilt", "nose_length", "nose_width", "mouth_width", "lips", "smile", "ears",
    "skin", "undertone", "hair_style", "hair_colour", "hair_volume", "hairline", "side", "iris",
    "glasses", "beard", "beard_style", "freckles", "brow_tilt", "mouth_height", "lid", "accessory",
)  # fmt: skip

HAIR = (
    "bald",
    "buzz",
    "short",
    "parted",
    "receding",
    "spiky",
    "curly",
    "afro",
    "fringe",
    "bob",
    "long",
    "wavy",
    "bun",
    "scarf",
)
_HAIR_OF_MEN = (0.10, 0.14, 0.19, 0.16, 0.13, 0.09, 0.07, 0.05, 0.02, 0.0, 0.03, 0.02, 0.0, 0.0)
_HAIR_OF_WOMEN = (0.0, 0.01, 0.05, 0.06, 0.0, 0.02, 0.09, 0.07, 0.13, 0.16, 0.16, 0.14, 0.11, 0.04)
GLASSES = ("none", "round", "square", "cat")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")

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


@dataclass(frozen=True)
class Face:
    """Every visible parameter of a person. Lengths in half crops, colours in [0, 1]."""

    cheek: float  # half width of the head at the cheeks
    top: float  # y of the crown
    chin: float  # y of the chin
    taper: float  # how much narrower the jaw is, 0..0.5
    square: float  # exponent of the jaw's outline: 2 oval, 4 square
    neck: float  # half width
    ear: float  # size, 1 is usual
    skin: Colour
    hair: str  # one of HAIR
    hair_colour: Colour
    volume: float  # how far hair stands off the head
    hairline: float  # y where the hair begins
    side: float  # -1 or 1: where it is parted
    brow_y: float
    brow_thickness: float
    brow_arch: float
    brow_tilt: float
    brow_colour: Colour
    eye_x: float  # half the distance between the eyes
    eye_y: float
    eye_width: float  # half width
    eye_height: float
    eye_tilt: float
    lid: float  # how heavy the upper lid hangs, 0..1
    lashes: float  # darkness of the lash line, 0..1
    iris: Colour
    nose_y: float  # its lower end
    nose_width: float
    mouth_y: float
    mouth_width: float  # half width at rest
    lip_upper: float
    lip_lower: float
    lip_colour: Colour
    smile: float  # corners up (> 0) or down
    wrinkles: float  # 0..1
    freckles: float  # 0..1
    blush: float  # 0..1
    glasses: str  # one of GLASSES
    glasses_size: float
    glasses_colour: Colour
    beard: str  # one of BEARDS
    earrings: float  # 0 or 1


def face_of(speaker) -> Face:
    """The face of a speaker: a function of speaker.face_sex, face_age, face_size and the 32 normals speaker.face only.

    Raises:
        BadInput: not 32 latents.
    """
    if len(speaker.face) != len(LATENTS):
        raise BadInput(f"speaker {speaker.name}: a face needs {len(LATENTS)} latents, not {len(speaker.face)}")
    z = {name: float(np.clip(value, -2.5, 2.5)) for name, value in zip(LATENTS, speaker.face, strict=True)}
    p = {name: 0.5 + 0.5 * math.erf(value / math.sqrt(2)) for name, value in z.items()}  # uniform in [0, 1]
    male = 0.5 + 0.5 * float(np.clip(speaker.face_sex, -1, 1))
    old = float(np.clip((speaker.face_age - 35) / 40, 0, 1))
    size = float(np.clip(speaker.face_size, -2.5, 2.5))

    skin = _ramp(_SKIN, p["skin"])
    warm = 0.025 * z["undertone"]
    skin = _clip((skin[0], skin[1] - 0.4 * warm, skin[2] - warm))
    dark = p["skin"] > 0.62  # hair and eyes follow the skin
    tone = p["hair_colour"] * (0.35 if dark else 1.0)
    hair_colour = _ramp(_HAIR_COLOURS, tone)
    grey = float(np.clip((speaker.face_age - 52 + 10 * z["accessory"]) / 20, 0, 1))
    brow_colour = _mix(_mix(hair_colour, (0.10, 0.07, 0.05), 0.45), (0.55, 0.54, 0.53), 0.55 * grey)
    hair_colour = _mix(hair_colour, (0.83, 0.83, 0.84), 0.92 * grey)
    share = np.array(_HAIR_OF_MEN) * male + np.array(_HAIR_OF_WOMEN) * (1 - male)
    share = share * np.where(np.isin(HAIR, ("bald", "receding")), 0.35 + 1.6 * old, 1.0)
    hair = HAIR[int(np.searchsorted(np.cumsum(share / share.sum())[:-1], p["hair_style"]))]

    bearded = p["beard"] < 0.55 * float(np.clip((male - 0.55) / 0.25, 0, 1))
    beard = BEARDS[1 + min(3, int(4 * p["beard_style"]))] if bearded else "none"
    weak_sighted = 0.26 + 0.22 * old
    glasses = GLASSES[1 + min(2, int(3 * p["glasses"] / weak_sighted))] if p["glasses"] < weak_sighted else "none"
    lipstick = (1 - male) * max(0.0, p["accessory"] - 0.45) * 1.5
    red = 0.60 + 0.10 * male
    lip = _mix((skin[0] * 0.84, skin[1] * red, skin[2] * red), (0.70, 0.13, 0.20), float(np.clip(lipstick, 0, 0.75)))
    fuller = 0.012 * p["skin"] - 0.008 * old
    eye_y = -0.13 + 0.012 * z["height"]
    eye_height = (0.074 + 0.011 * z["eye_size"]) * (1.10 - 0.20 * male) * (1 - 0.10 * old) * (1 - 0.08 * size)
    return Face(
        cheek=float(np.clip(0.575 + 0.026 * z["width"] + 0.032 * size + 0.018 * (2 * male - 1), 0.48, 0.68)),
        top=-0.76 - 0.022 * z["height"],
        chin=float(np.clip(0.735 + 0.022 * z["height"] + 0.032 * size + 0.022 * (2 * male - 1), 0.64, 0.83)),
        taper=float(np.clip(0.30 + 0.07 * z["taper"] - 0.12 * male, 0.04, 0.46)),
        square=float(np.clip(2.5 + 0.40 * z["square"] + 0.9 * male, 2.0, 4.4)),
        neck=0.30 + 0.10 * male + 0.035 * size,
        ear=float(np.clip(1 + 0.16 * z["ears"] + 0.10 * old, 0.6, 1.5)),
        skin=skin,
        hair=hair,
        hair_colour=hair_colour,
        volume=float(np.clip(0.085 + 0.03 * z["hair_volume"], 0.03, 0.16)),
        hairline=-0.46 + 0.045 * z["hairline"] - 0.05 * male * old,
        side=1.0 if z["side"] > 0 else -1.0,
        brow_y=eye_y - 0.155 - 0.018 * z["brow_height"] + 0.018 * male,
        brow_thickness=float(np.clip(0.030 + 0.009 * z["brow_thickness"] + 0.016 * male, 0.012, 0.08)),
        brow_arch=float(np.clip(0.032 + 0.016 * z["brow_arch"] - 0.016 * male, -0.01, 0.09)),
        brow_tilt=float(np.clip(-0.06 + 0.06 * z["brow_tilt"], -0.2, 0.03)),
        brow_colour=brow_colour,
        eye_x=float(np.clip(0.250 + 0.020 * z["eye_distance"] + 0.006 * size, 0.19, 0.31)),
        eye_y=eye_y,
        eye_width=0.124 + 0.010 * z["eye_size"] - 0.006 * size,
        eye_height=float(np.clip(eye_height, 0.035, 0.10)),
        eye_tilt=0.10 * z["eye_tilt"],
        lid=float(np.clip(0.08 + 0.10 * z["lid"] + 0.10 * old, 0, 0.6)),
        lashes=float(np.clip(0.95 - 0.45 * male, 0, 1)),
        iris=_ramp(_IRIS, p["iris"] * (0.3 if dark else 1.0)),
        nose_y=0.185 + 0.036 * z["nose_length"] + 0.012 * old + 0.008 * size,
        nose_width=float(np.clip(0.115 + 0.016 * z["nose_width"] + 0.012 * male + 0.010 * size + 0.02 * p["skin"], 0.07, 0.19)),
        mouth_y=0.415 + 0.022 * z["mouth_height"] + 0.012 * z["nose_length"],
        mouth_width=float(np.clip(0.245 + 0.022 * z["mouth_width"] + 0.008 * male, 0.18, 0.31)),
        lip_upper=float(np.clip(0.036 + 0.011 * z["lips"] + fuller - 0.006 * male, 0.014, 0.08)),
        lip_lower=float(np.clip(0.050 + 0.013 * z["lips"] + fuller - 0.008 * male, 0.02, 0.10)),
        lip_colour=_clip(lip),
        smile=0.042 + 0.017 * z["smile"],
        wrinkles=float(np.clip((speaker.face_age - 40) / 35, 0, 1)),
        freckles=float(np.clip(1.6 * (p["freckles"] - 0.72), 0, 0.45)) * (p["skin"] < 0.5),
        blush=float(np.clip(0.15 + 0.35 * (1 - male) * p["undertone"], 0, 0.5)),
        glasses=glasses,
        glasses_size=float(np.clip(0.175 + 0.014 * z["eye_distance"] + 0.012 * z["lid"], 0.14, 0.215)),
        glasses_colour=((0.06, 0.06, 0.07), (0.38, 0.22, 0.11), (0.55, 0.55, 0.58))[int(min(2, 3 * p["iris"]))],
        beard=beard,
        earrings=float(p["accessory"] > 0.55 and male < 0.4),
    )


@dataclass(frozen=True)
class Scene:
    """What surrounds a face in one track: drawn without looking at the speaker or at the sound. T frames."""

    light_x: float  # where the lamp is: -1 left .. 1 right
    light_y: float  # -1 below .. 1 above
    light: float  # share of directed light, 0..1
    exposure: float  # brightness of all, 1 is usual
    warmth: float  # colour of the light, -1 blue .. 1 orange
    background: str  # one of BACKGROUNDS
    background_colours: tuple[Colour, Colour]
    background_seed: int
    shirt: Colour
    scarf: Colour  # of those who wear one
    zoom: float  # size of the face in the crop, 1 is usual
    shift_x: float  # where the face is in the crop
    shift_y: float
    softness: float  # width of an edge in pixels: focus
    noise: float  # standard deviation of the sensor's noise, 0..1 scale
    noise_at: np.ndarray  # (T,) int64: which patch of noise a frame gets
    noise_seed: int
    sway: np.ndarray  # (T, 6) float32: x, y, roll (radians), zoom, yaw, pitch
    brows: np.ndarray  # (T,) float32: raised, -1..1
    blink: np.ndarray  # (T,) float32: 0 open .. 1 shut
    gaze: np.ndarray  # (T, 2) float32: right, down, -1..1

    def __len__(self) -> int:
        return len(self.blink)

    def cut(self, frames: slice) -> Scene:
        """The same scene for some of its frames."""
        moving = ("noise_at", "sway", "brows", "blink", "gaze")
        return replace(self, **{name: getattr(self, name)[frames] for name in moving})


BACKGROUNDS = ("plain", "gradient", "bokeh", "shelf", "window", "curtain")
NOISE_PATCHES = 4096  # how many places a frame's patch of noise can start at


def draw_scene(rng: np.random.Generator, frames: int) -> Scene:
    """Draw everything that may differ between two tracks of a person, T = `frames`."""
    base = rng.uniform(0.1, 0.9) * np.array([1.0, 1.0, 1.0]) + rng.normal(0, 0.10, 3)
    other = base + rng.normal(0, 0.16) + rng.normal(0, 0.07, 3)
    return Scene(
        light_x=float(rng.uniform(-1, 1)),
        light_y=float(rng.uniform(-0.2, 1)),
        light=float(rng.uniform(0.25, 0.75)),
        exposure=float(np.exp(rng.normal(-0.05, 0.12))),
        warmth=float(rng.uniform(-1, 1)),
        background=BACKGROUNDS[rng.integers(len(BACKGROUNDS))],
        background_colours=(_clip(base), _clip(other)),
        background_seed=int(rng.integers(2**31)),
        shirt=_clip(rng.uniform(0.05, 0.95) + rng.normal(0, 0.15, 3)),
        scarf=_clip(rng.uniform(0.1, 0.8) + rng.normal(0, 0.12, 3)),
        zoom=float(1.42 * np.exp(rng.normal(0, 0.03))),
        shift_x=float(rng.uniform(-0.05, 0.05)),
        shift_y=float(rng.uniform(-0.19, -0.13)),
        softness=float(rng.uniform(1.0, 1.7)),
        noise=float(rng.uniform(0.003, 0.018)),
        noise_at=rng.integers(0, NOISE_PATCHES, frames),
        noise_seed=int(rng.integers(2**31)),
        sway=_sway(rng, frames),
        brows=np.tanh(_wander(rng, frames, 0.6)).astype(np.float32),
        blink=_blinks(rng, frames),
        gaze=_gaze(rng, frames),
    )


def _sway(rng, frames: int) -> np.ndarray:
    """Slow movement of the head around a pose of its own, (T, 6)."""
    rest = rng.normal(0, 1, 6) * (0.010, 0.008, 0.035, 0.0, 0.045, 0.030)
    step = np.stack([_wander(rng, frames, rng.uniform(0.4, 1.6)) for _ in range(6)], 1)
    moved = step * rng.uniform(0.4, 1.0, 6) * (0.016, 0.012, 0.028, 0.014, 0.030, 0.022)
    limit = np.array([0.04, 0.03, 0.09, 0.03, 0.09, 0.06])
    return (limit * np.tanh((rest + moved) / limit)).astype(np.float32)


def _wander(rng, frames: int, hertz: float) -> np.ndarray:
    """A smooth random curve of unit size with frequencies around `hertz`, (T,)."""
    t = np.arange(frames) / 25.0
    parts = zip(rng.normal(0, 0.7, 3), hertz * np.array([0.4, 1.0, 1.9]), rng.uniform(0, 2 * np.pi, 3), strict=True)
    return sum(size * np.sin(2 * np.pi * f * t + phase) for size, f, phase in parts)


def _blinks(rng, frames: int) -> np.ndarray:
    """Blinks of about 0.25 s, one every 2 to 5 s, (T,)."""
    shut, at = np.zeros(frames), rng.uniform(-0.2, 4.0) * 25
    while at < frames:
        away = np.arange(frames) - at
        shape = np.where(away < 0, 1 + away / 2.2, 1 - away / 4.0)  # falls faster than it rises
        shut = np.maximum(shut, np.clip(1.3 * shape, 0, 1))
        at += rng.uniform(2.0, 5.0) * 25
    return shut.astype(np.float32)


def _gaze(rng, frames: int) -> np.ndarray:
    """Gaze that jumps now and then and rests between, mostly on the camera, (T, 2)."""
    gaze, at, where = np.zeros((frames, 2)), 0, rng.normal(0, 0.25, 2)
    while at < frames:
        stay = int(rng.uniform(0.4, 1.8) * 25)
        gaze[at : at + stay] = where
        at, where = at + stay, rng.normal(0, 0.4, 2) * (rng.random() < 0.6)
    return np.clip(gaze, -1, 1).astype(np.float32)


def render(face: Face, mouth: np.ndarray, scene: Scene, size: int, device: str | torch.device = "cpu") -> np.ndarray:
    """Draw a track.

    Args:
        face: who.
        mouth: (T, len(CHANNELS)) in [0, 1], from `dsel.toy.mouth`.
        scene: where; of T frames.
        size: pixels H = W of the square crop, 16 or more.
        device: where torch computes. Results on two devices may differ by a grey level.
    Returns:
        uint8 (T, size, size, 3). A frame depends on its own row of `mouth` and `scene` only.
    Raises:
        BadInput: mouth and scene of different length, or a wrong number of channels.
    """
    mouth = np.asarray(mouth, np.float32)
    if mouth.ndim != 2 or mouth.shape != (len(scene), len(CHANNELS)):
        raise BadInput(f"mouth {mouth.shape}: a scene of {len(scene)} frames needs ({len(scene)}, {len(CHANNELS)})")
    if size < 16:
        raise BadInput(f"size {size}: a face needs at least 16 pixels")
    if not len(scene):
        return np.zeros((0, size, size, 3), np.uint8)
    with torch.no_grad():
        device = torch.device(device)
        still = face_still.portrait(face, scene, size, device)  # (3, P, P)
        pose = torch.from_numpy(_pose(face, mouth, scene)).to(device)  # (T, 8)
        film = face_moving.Film(still, face, scene, pose, size)
        face_moving.draw_eyes(film, face, scene)
        face_moving.draw_mouth(film, face, torch.from_numpy(mouth).to(device))
        picture = film.picture.mul_(255.0).add_(_noise(scene, size, device)).clamp_(0, 255).to(torch.uint8)
        return torch.stack(picture.unbind(0), -1).cpu().numpy()  # faster than a permuted copy


def _pose(face: Face, mouth: np.ndarray, scene: Scene) -> np.ndarray:
    """(T, 8) float32: the six of scene.sway, how far the jaw drops, how far the brows rise."""
    jaw = 0.115 * mouth[:, CHANNELS.index("jaw")]
    return np.column_stack([scene.sway, jaw, -0.022 * scene.brows]).astype(np.float32)


def _noise(scene: Scene, size: int, device) -> torch.Tensor:
    """(T, size, size) in grey levels: grain, each frame another patch of one long strip, and the half that rounding needs.

    Made on the CPU, so equal on every device.
    """
    rng = np.random.default_rng(scene.noise_seed)
    strip = rng.standard_normal(size * size + NOISE_PATCHES, np.float32) * np.float32(255 * scene.noise) + np.float32(0.5)
    patches = np.lib.stride_tricks.sliding_window_view(strip, size * size)[scene.noise_at]
    return torch.from_numpy(patches.reshape(-1, size, size)).to(device)


def factors(face: Face) -> dict[str, float | str]:
    """What tracks.csv says about a face: its parameters, prefixed face_; colours as brightness."""
    return {f"face_{name}": _flat(value) for name, value in asdict(face).items()}


def scene_factors(scene: Scene) -> dict[str, float | str]:
    """What tracks.csv says about a scene: constants as they are, movements as their mean, prefixed scene_."""
    row = {}
    for field in fields(scene):
        value = getattr(scene, field.name)
        if field.name in ("noise_at", "noise_seed", "background_seed"):
            continue
        if field.name == "background_colours":
            row["scene_background_level"] = _flat(value[0])
        elif field.name == "sway":
            for name, column in zip(("x", "y", "roll", "zoom", "yaw", "pitch"), value.T, strict=True):
                row[f"scene_sway_{name}"] = round(float(column.mean()), 5)
        elif isinstance(value, np.ndarray):
            row[f"scene_{field.name}"] = round(float(value.mean()), 5)
        else:
            row[f"scene_{field.name}"] = _flat(value)
    return row


def _flat(value):
    if isinstance(value, tuple):  # a colour -> its luma
        return round(0.299 * value[0] + 0.587 * value[1] + 0.114 * value[2], 4)
    return round(value, 5) if isinstance(value, float) else value


def _ramp(colours, at: float) -> Colour:
    """The colour at a place in [0, 1] along a row of colours."""
    spot = at * (len(colours) - 1)
    i = min(int(spot), len(colours) - 2)
    return _mix(colours[i], colours[i + 1], spot - i)


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    return tuple(float((1 - share) * p + share * q) for p, q in zip(a, b, strict=True))


def _clip(colour) -> Colour:
    return tuple(float(np.clip(value, 0.02, 1.0)) for value in colour)
