"""Turn a speaker's latents into the visible parameters of a face: a speaker -> a `Face`.

Coordinates are those of `dsel.toy.face`: the crop is [-1, 1] x [-1, 1], x to the right, y down, and
lengths are in half crops. (Source: ours.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dsel.toy.face.colours import HAIR_COLOURS, IRIS, SKIN, Colour, clip_colour, mix, ramp
from dsel.toy.speaker import Speaker
from dsel.utils.errors import BadInput

# What each of the 32 standard normals in Speaker.face decides.
LATENTS = (
    "width", "height", "taper", "square", "brow_height", "brow_thickness", "brow_arch",
    "eye_distance", "eye_size", "eye_tilt", "nose_length", "nose_width", "mouth_width", "lips",
    "smile", "ears", "skin", "undertone", "hair_style", "hair_colour", "hair_volume", "hairline",
    "side", "iris", "glasses", "beard", "beard_style", "freckles", "brow_tilt", "mouth_height",
    "lid", "accessory",
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
# How often each haircut occurs, in the order of HAIR.
_HAIR_OF_MEN = (0.10, 0.14, 0.19, 0.16, 0.13, 0.09, 0.07, 0.05, 0.02, 0.0, 0.03, 0.02, 0.0, 0.0)
_HAIR_OF_WOMEN = (0.0, 0.01, 0.05, 0.06, 0.0, 0.02, 0.09, 0.07, 0.13, 0.16, 0.16, 0.14, 0.11, 0.04)
GLASSES = ("none", "round", "square", "cat")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")


@dataclass(frozen=True)
class Face:
    """Hold every visible parameter of a person. Lengths in half crops, colours in [0, 1]."""

    cheek: float  # half width of the head at the cheeks
    top: float  # y of the crown
    chin: float  # y of the chin
    taper: float  # how much narrower the jaw is than the cheeks, 0..0.5
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


def _clip(value: float, low: float, high: float) -> float:
    return float(np.clip(value, low, high))


def face_of(speaker: Speaker) -> Face:
    """Compute the face of a speaker.

    It depends only on speaker.face_sex, face_age, face_size and the 32 standard normals
    speaker.face, never on the voice.

    Raises:
        BadInput: speaker.face does not hold 32 numbers.
    """
    if len(speaker.face) != len(LATENTS):
        raise BadInput(
            f"speaker {speaker.name}: a face needs {len(LATENTS)} latents, not {len(speaker.face)}"
        )
    z = {name: _clip(value, -2.5, 2.5) for name, value in zip(LATENTS, speaker.face, strict=True)}
    # p: the same latents made uniform in [0, 1] by the normal distribution function
    p = {name: 0.5 + 0.5 * math.erf(value / math.sqrt(2)) for name, value in z.items()}
    male = 0.5 + 0.5 * _clip(speaker.face_sex, -1, 1)
    old = _clip((speaker.face_age - 35) / 40, 0, 1)
    size = _clip(speaker.face_size, -2.5, 2.5)

    skin = ramp(SKIN, p["skin"])
    warm = 0.025 * z["undertone"]
    skin = clip_colour((skin[0], skin[1] - 0.4 * warm, skin[2] - warm))
    dark = p["skin"] > 0.62  # darker skin goes with the darker part of the hair and iris palettes
    tone = p["hair_colour"] * (0.35 if dark else 1.0)
    hair_colour = ramp(HAIR_COLOURS, tone)
    grey = _clip((speaker.face_age - 52 + 10 * z["accessory"]) / 20, 0, 1)
    brow_colour = mix(mix(hair_colour, (0.10, 0.07, 0.05), 0.45), (0.55, 0.54, 0.53), 0.55 * grey)
    hair_colour = mix(hair_colour, (0.83, 0.83, 0.84), 0.92 * grey)
    share = np.array(_HAIR_OF_MEN) * male + np.array(_HAIR_OF_WOMEN) * (1 - male)
    share = share * np.where(np.isin(HAIR, ("bald", "receding")), 0.35 + 1.6 * old, 1.0)
    hair = HAIR[int(np.searchsorted(np.cumsum(share / share.sum())[:-1], p["hair_style"]))]

    bearded = p["beard"] < 0.55 * _clip((male - 0.55) / 0.25, 0, 1)
    beard = BEARDS[1 + min(3, int(4 * p["beard_style"]))] if bearded else "none"
    weak_sighted = 0.26 + 0.22 * old
    glasses = (
        GLASSES[1 + min(2, int(3 * p["glasses"] / weak_sighted))]
        if p["glasses"] < weak_sighted
        else "none"
    )
    lipstick = (1 - male) * max(0.0, p["accessory"] - 0.45) * 1.5
    red = 0.60 + 0.10 * male
    lip = mix(
        (skin[0] * 0.84, skin[1] * red, skin[2] * red),
        (0.70, 0.13, 0.20),
        _clip(lipstick, 0, 0.75),
    )
    fuller = 0.012 * p["skin"] - 0.008 * old
    eye_y = -0.13 + 0.012 * z["height"]
    brow_y = eye_y - 0.155 - 0.018 * z["brow_height"] + 0.018 * male
    hairline = -0.46 + 0.045 * z["hairline"] - 0.05 * male * old
    eye_height = (
        (0.074 + 0.011 * z["eye_size"])
        * (1.10 - 0.20 * male)
        * (1 - 0.10 * old)
        * (1 - 0.08 * size)
    )
    return Face(
        cheek=float(
            np.clip(0.575 + 0.026 * z["width"] + 0.032 * size + 0.018 * (2 * male - 1), 0.48, 0.68)
        ),
        top=-0.76 - 0.022 * z["height"],
        chin=float(
            np.clip(0.735 + 0.022 * z["height"] + 0.032 * size + 0.022 * (2 * male - 1), 0.64, 0.83)
        ),
        taper=_clip(0.30 + 0.07 * z["taper"] - 0.12 * male, 0.04, 0.46),
        square=_clip(2.5 + 0.40 * z["square"] + 0.9 * male, 2.0, 4.4),
        neck=0.30 + 0.10 * male + 0.035 * size,
        ear=_clip(1 + 0.16 * z["ears"] + 0.10 * old, 0.6, 1.5),
        skin=skin,
        hair=hair,
        hair_colour=hair_colour,
        volume=_clip(0.085 + 0.03 * z["hair_volume"], 0.03, 0.16),
        hairline=min(hairline, brow_y - 0.01),
        side=1.0 if z["side"] > 0 else -1.0,
        brow_y=brow_y,
        brow_thickness=float(
            np.clip(0.030 + 0.009 * z["brow_thickness"] + 0.016 * male, 0.012, 0.08)
        ),
        brow_arch=_clip(0.032 + 0.016 * z["brow_arch"] - 0.016 * male, -0.01, 0.09),
        brow_tilt=_clip(-0.06 + 0.06 * z["brow_tilt"], -0.2, 0.03),
        brow_colour=brow_colour,
        eye_x=_clip(0.250 + 0.020 * z["eye_distance"] + 0.006 * size, 0.19, 0.31),
        eye_y=eye_y,
        eye_width=0.124 + 0.010 * z["eye_size"] - 0.006 * size,
        eye_height=_clip(eye_height, 0.035, 0.10),
        eye_tilt=0.10 * z["eye_tilt"],
        lid=_clip(0.08 + 0.10 * z["lid"] + 0.10 * old, 0, 0.6),
        lashes=_clip(0.95 - 0.45 * male, 0, 1),
        iris=ramp(IRIS, p["iris"] * (0.3 if dark else 1.0)),
        nose_y=0.185 + 0.036 * z["nose_length"] + 0.012 * old + 0.008 * size,
        nose_width=float(
            np.clip(
                0.115 + 0.016 * z["nose_width"] + 0.012 * male + 0.010 * size + 0.02 * p["skin"],
                0.07,
                0.19,
            )
        ),
        mouth_y=0.415 + 0.022 * z["mouth_height"] + 0.012 * z["nose_length"],
        mouth_width=_clip(0.245 + 0.022 * z["mouth_width"] + 0.008 * male, 0.18, 0.31),
        lip_upper=_clip(0.036 + 0.011 * z["lips"] + fuller - 0.006 * male, 0.014, 0.08),
        lip_lower=_clip(0.050 + 0.013 * z["lips"] + fuller - 0.008 * male, 0.02, 0.10),
        lip_colour=clip_colour(lip),
        smile=0.042 + 0.017 * z["smile"],
        wrinkles=_clip((speaker.face_age - 40) / 35, 0, 1),
        freckles=_clip(1.6 * (p["freckles"] - 0.72), 0, 0.45) * (p["skin"] < 0.5),
        blush=_clip(0.15 + 0.35 * (1 - male) * p["undertone"], 0, 0.5),
        glasses=glasses,
        glasses_size=float(
            np.clip(0.175 + 0.014 * z["eye_distance"] + 0.012 * z["lid"], 0.14, 0.215)
        ),
        glasses_colour=((0.06, 0.06, 0.07), (0.38, 0.22, 0.11), (0.55, 0.55, 0.58))[
            int(min(2, 3 * p["iris"]))
        ],
        beard=beard,
        earrings=float(p["accessory"] > 0.55 and male < 0.4),
    )
