"""Drawn faces: parameters of a person, a scene, and the frames of a talking face."""

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
