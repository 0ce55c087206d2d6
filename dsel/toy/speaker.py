"""Draw speakers: latents that voice and face share, and latents that only one of them has.

    shared   sex, age, size           change voice (pitch, vocal tract) and face (shape, hair)
    own      voice (12), face (32)    independent standard normals

`coupling` says how well the sex, age and size that a face shows agree with those of the voice:
1 equal, 0 independent. A network that matches voices with faces of new people can use only the
shared part. So matching is possible, but it cannot be perfect. (Source: ours.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from dsel.toy.seeds import stream
from dsel.utils.errors import BadInput

VOICE_LATENTS = 12
FACE_LATENTS = 32
YOUNGEST, OLDEST = 18.0, 80.0  # years


@dataclass(frozen=True)
class Speaker:
    """Hold everything that defines a person, before it becomes sound or picture.

    voice_* is what the voice shows of sex, age and size; face_* is what the face shows. sex, age
    and size are those of the voice. `voice` and `face` are used by nothing else.
    """

    name: str
    sex: str  # "f" or "m"
    age: float  # years, 18..80
    size: float  # body size, standard normal given the sex
    voice: tuple[float, ...]  # 12 standard normals
    face: tuple[float, ...]  # 32 standard normals
    voice_sex: float  # -1 female .. 1 male
    voice_age: float  # years
    voice_size: float  # standard normal
    face_sex: float  # as voice_sex
    face_age: float
    face_size: float


def draw_speaker(
    seed: int, name: str, coupling: float, measured: tuple[float, float] | None = None
) -> Speaker:
    """Draw the speaker of that name. It depends only on the arguments, not on other speakers.

    Args:
        seed: of the corpus.
        name: a name that ends in an even number gives a woman, an odd number a man. So consecutive
            numbers give as many women as men.
        coupling: 0..1, how well the face agrees with the voice about sex, age and size.
        measured: (sex in -1..1, size) of a real voice; None: both are drawn at random.
    Raises:
        BadInput: coupling is outside [0, 1].
    """
    if not 0 <= coupling <= 1:
        raise BadInput(f"coupling {coupling}: must lie between 0 (independent) and 1 (equal)")
    shared, voice, face = (stream(seed, name, part) for part in ("shared", "voice", "face"))
    number = re.search(r"(\d+)$", name)
    male = bool(int(number[1]) % 2) if number else bool(shared.integers(2))
    sex = (1 if male else -1) * shared.uniform(0.6, 1.0)
    youth, size = shared.standard_normal(2)
    if measured:
        (sex, size), male = measured, measured[0] > 0
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
    """Return the shared latents as columns of tracks.csv."""
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
    """Return a standard normal that has correlation `coupling` with the shared one."""
    return coupling * shared + np.sqrt(1 - coupling**2) * own


def _years(normal: float) -> float:
    """Turn a standard normal into an age in years, nearly uniform between 18 and 80."""
    # a logistic function, close to the normal distribution function
    share = 1 / (1 + np.exp(-1.702 * normal))
    return float(YOUNGEST + (OLDEST - YOUNGEST) * share)
