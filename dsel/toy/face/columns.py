"""The factors of a face and its scene as columns of tracks.csv."""

from __future__ import annotations

from dataclasses import asdict, fields

import numpy as np

from dsel.toy.face.parameters import Face
from dsel.toy.face.scene import Scene


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
