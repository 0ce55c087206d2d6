"""Draw talking faces: the parameters of a person, a random scene, and the frames of the two.

    speaker --face_of--> Face     what stays: skull, hair, brows, eyes, nose, lips, skin, glasses
    rng --draw_scene--> Scene     what changes from track to track: light, camera, background, ...
    render(face, mouth, scene)    frames, uint8 (T, size, size, 3)

Coordinates: the picture is [-1, 1] x [-1, 1], x to the right, y down, so a length of 1 is half a
picture. `portrait.py` draws one still portrait of each track (with `hair.py`, on `canvas.py`).
`animation.py` bends it for every frame by a few smooth displacement fields (sway, turn, jaw,
brows) and draws mouth and eyes anew. `rendering.py` puts the two together. (Source: ours.)
"""

from dsel.toy.face.colours import Colour
from dsel.toy.face.columns import factors, scene_factors
from dsel.toy.face.parameters import BEARDS, GLASSES, HAIR, LATENTS, Face, face_of
from dsel.toy.face.rendering import render
from dsel.toy.face.scene import BACKGROUNDS, NOISE_PATCHES, Scene, draw_scene

__all__ = [
    "BACKGROUNDS",
    "BEARDS",
    "GLASSES",
    "HAIR",
    "LATENTS",
    "NOISE_PATCHES",
    "Colour",
    "Face",
    "Scene",
    "draw_scene",
    "face_of",
    "factors",
    "render",
    "scene_factors",
]
