"""Describe a face and its scene as columns of tracks.csv. (Source: ours.)"""

from __future__ import annotations

from dataclasses import asdict, fields

import numpy as np

from dsel.toy.face.parameters import Face
from dsel.toy.face.scene import Scene

_SWAY = ("x", "y", "roll", "zoom", "yaw", "pitch")  # the columns of Scene.sway
_NOT_A_FACTOR = ("noise_at", "noise_seed", "background_seed")  # random numbers without a meaning


def factors(face: Face) -> dict[str, float | str]:
    """Return the parameters of a face by column name, prefixed "face_"; colours as brightness."""
    return {f"face_{name}": _as_column(value) for name, value in asdict(face).items()}


def scene_factors(scene: Scene) -> dict[str, float | str]:
    """Return the parameters of a scene by column name, prefixed "scene_".

    Constants stay as they are, a movement becomes its mean over the frames, a colour its
    brightness. Seeds are left out.
    """
    row: dict[str, float | str] = {}
    for field in fields(scene):
        value = getattr(scene, field.name)
        if field.name in _NOT_A_FACTOR:
            continue
        if field.name == "background_colours":
            row["scene_background_level"] = _as_column(value[0])
        elif field.name == "sway":
            for name, column in zip(_SWAY, value.T, strict=True):
                row[f"scene_sway_{name}"] = round(float(column.mean()), 5)
        elif isinstance(value, np.ndarray):
            row[f"scene_{field.name}"] = round(float(value.mean()), 5)
        else:
            row[f"scene_{field.name}"] = _as_column(value)
    return row


def _as_column(value: tuple | float | str) -> float | str:
    """Turn one parameter into one cell: a colour into its luma, a float into a rounded float."""
    if isinstance(value, tuple):
        return round(0.299 * value[0] + 0.587 * value[1] + 0.114 * value[2], 4)
    return round(value, 5) if isinstance(value, float) else value
