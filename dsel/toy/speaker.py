"""A speaker: shared latents that move voice and face together, and own latents of each.

    shared   sex, age, size              pitch, vocal tract  <-  person  ->  face geometry, skin, hair
    own      voice (12), face (32)       independent standard normals

`coupling` says how far the face's view of sex, age and size is the voice's: 1 equal, 0 independent. Matching voices to
faces of people never seen can only rest on the shared part, so it is possible and cannot be perfect. (Source: ours.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from dsel.toy.seeds import stream
from dsel.utils.errors import BadInput

VOICE_LATENTS = 12
FACE_LATENTS = 32
YOUNGEST, OLDEST = 18.0, 80.0


@dataclass(frozen=True)
class Speaker:
    """Everything that makes a person, before any of it becomes sound or picture.

    sex, age and size are the voice's view, voice_sex (-1 female .. 1 male), voice_age (years), voice_size (normal)
    the same in graded form; face_sex, face_age, face_size are the face's view. `voice` and `face` are independent
    standard normals that nothing else uses.
    """

    name: str
    sex: str  # "f" | "m"
    age: float  # years, 18..80
    size: float  # body size, standard normal given sex
    voice: tuple[float, ...]
    face: tuple[float, ...]
    voice_sex: float
    voice_age: float
    voice_size: float
    face_sex: float
    face_age: float
    face_size: float


def draw_speaker(seed: int, name: str, coupling: float, heard: tuple[float, float] | None = None) -> Speaker:
    """The speaker of that name. It depends on these three arguments only, not on how many others there are.

    A name that ends in a number is female if the number is even, male if odd: any run of numbers is balanced by sex.
    `heard` overrides the voice's (sex, size) where a real voice was measured; the face follows it by `coupling`.

    Raises:
        BadInput: coupling outside [0, 1].
    """
    if not 0 <= coupling <= 1:
        raise BadInput(f"coupling {coupling}: must lie between 0 (independent) and 1 (one view of sex, age and size)")
    shared, voice, face = (stream(seed, name, part) for part in ("shared", "voice", "face"))
    number = re.search(r"(\d+)$", name)
    male = bool(int(number[1]) % 2) if number else bool(shared.integers(2))
    sex = (1 if male else -1) * shared.uniform(0.6, 1.0)
    youth, size = shared.standard_normal(2)
    if heard:
        (sex, size), male = heard, heard[0] > 0
    own_sex = (1 if face.integers(2) else -1) * face.uniform(0.6, 1.0)
    own_youth, own_size = face.standard_normal(2)
    same_sex = face.random() < coupling
    return Speaker(
        name=name,
        sex="m" if male else "f",
        age=_years(youth),
        size=float(size),
        voice=tuple(voice.standard_normal(VOICE_LATENTS).tolist()),
        face=tuple(face.standard_normal(FACE_LATENTS).tolist()),
        voice_sex=float(sex),
        voice_age=_years(youth),
        voice_size=float(size),
        face_sex=float(sex if same_sex else own_sex),
        face_age=_years(_mix(youth, own_youth, coupling)),
        face_size=float(_mix(size, own_size, coupling)),
    )


def factors(speaker: Speaker) -> dict[str, float | str]:
    """The shared latents as columns of tracks.csv."""
    return {
        "sex": speaker.sex,
        "age": round(speaker.age, 2),
        "size": round(speaker.size, 4),
        "voice_sex": round(speaker.voice_sex, 4),
        "face_sex": round(speaker.face_sex, 4),
        "face_age": round(speaker.face_age, 2),
        "face_size": round(speaker.face_size, 4),
    }


def _mix(shared: float, own: float, coupling: float) -> float:
    """A standard normal that correlates with the shared one by `coupling`."""
    return coupling * shared + np.sqrt(1 - coupling**2) * own


def _years(normal: float) -> float:
    """A standard normal -> an age, near uniform over the adult years."""
    share = 1 / (1 + np.exp(-1.702 * normal))  # logistic stand-in for the normal distribution function
    return float(YOUNGEST + (OLDEST - YOUNGEST) * share)
