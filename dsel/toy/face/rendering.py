"""Render the frames of a face in a scene: parameters -> uint8 frames. (Source: ours.)"""

from __future__ import annotations

import numpy as np
import torch

from dsel.toy.face.animation import Film, draw_eyes, draw_mouth
from dsel.toy.face.parameters import Face
from dsel.toy.face.portrait import portrait
from dsel.toy.face.scene import NOISE_PATCHES, Scene
from dsel.toy.mouth import CHANNELS
from dsel.utils.errors import BadInput


def render(
    face: Face, mouth: np.ndarray, scene: Scene, size: int, device: str | torch.device = "cpu"
) -> np.ndarray:
    """Draw the frames of a track.

    Args:
        face: whose face.
        mouth: (T, len(CHANNELS)) in [0, 1], from `dsel.toy.mouth`.
        scene: everything around the face, for T frames.
        size: height and width of a frame in pixels, at least 16.
        device: where torch computes. Two devices may differ by one grey level.
    Returns:
        uint8 (T, size, size, 3). A frame depends only on its own row of `mouth` and `scene`.
    Raises:
        BadInput: mouth and scene differ in length, the number of channels is wrong, or the size is
            below 16.
    """
    mouth = np.asarray(mouth, np.float32)
    expected = (len(scene), len(CHANNELS))
    if mouth.shape != expected:
        raise BadInput(f"mouth {mouth.shape}: a scene of {len(scene)} frames needs {expected}")
    if size < 16:
        raise BadInput(f"size {size}: a face needs at least 16 pixels")
    if not len(scene):
        return np.zeros((0, size, size, 3), np.uint8)
    with torch.no_grad():
        device = torch.device(device)
        still = portrait(face, scene, size, device)  # (3, P, P)
        pose = torch.from_numpy(_pose(face, mouth, scene)).to(device)  # (T, 8)
        film = Film(still, face, scene, pose, size)
        draw_eyes(film, face, scene)
        draw_mouth(film, face, torch.from_numpy(mouth).to(device))
        levels = film.picture.mul_(255.0).add_(_noise(scene, size, device)).clamp_(0, 255)
        planes = levels.to(torch.uint8).unbind(0)
        return torch.stack(planes, -1).cpu().numpy()  # faster than a permuted copy


def _pose(face: Face, mouth: np.ndarray, scene: Scene) -> np.ndarray:
    """Return (T, 8) float32: scene.sway (6), how far the jaw drops, how far the brows rise."""
    jaw = 0.115 * mouth[:, CHANNELS.index("jaw")]
    return np.column_stack([scene.sway, jaw, -0.022 * scene.brows]).astype(np.float32)


def _noise(scene: Scene, size: int, device: torch.device) -> torch.Tensor:
    """Return the sensor's noise in grey levels, plus 0.5 for rounding: (T, size, size).

    Every frame is another patch of one long strip. Made on the CPU, so it is equal on every device.
    """
    rng = np.random.default_rng(scene.noise_seed)
    strip = rng.standard_normal(size * size + NOISE_PATCHES, np.float32)
    strip = strip * np.float32(255 * scene.noise) + np.float32(0.5)
    patches = np.lib.stride_tricks.sliding_window_view(strip, size * size)[scene.noise_at]
    return torch.from_numpy(patches.reshape(-1, size, size)).to(device)
