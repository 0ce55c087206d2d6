"""Render the film of a face in a scene: parameters -> uint8 frames."""

from __future__ import annotations

import numpy as np
import torch

from dsel.toy.face import animation as face_moving
from dsel.toy.face import portrait as face_still
from dsel.toy.face.parameters import Face
from dsel.toy.face.scene import NOISE_PATCHES, Scene
from dsel.toy.mouth import CHANNELS
from dsel.utils.errors import BadInput


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
