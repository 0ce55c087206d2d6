"""Render the faces of a toy corpus again for every batch, each time in a new scene.

A corpus stores each track once, with one light and one pose. Here the stored mouth trajectory is
rendered again whenever a batch needs the track, with new light, pose, background, blinks, focus
and noise, on the device that trains. So a network cannot memorise the pictures. Sound is not made
again; `dsel.train.augment` changes it instead. (Source: ours.)
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np
import torch

from dsel.corpus.store import Track
from dsel.corpus.tracks import Corpus
from dsel.toy.face.parameters import Face, face_of
from dsel.toy.face.rendering import render
from dsel.toy.face.scene import draw_scene
from dsel.toy.speaker import draw_speaker
from dsel.utils.errors import BadInput


class LiveFaces:
    """Render the tracks of a toy corpus again.

    Args:
        corpus: made by `dsel toy` with synthetic voices.
        size: height and width of a frame in pixels.
        device: where torch renders; a GPU does not wait for the CPU then.
    Raises:
        BadInput: the corpus was not made by `dsel toy`, or has real voices (their recordings, from
            which the faces were drawn, are not in the corpus).
    """

    def __init__(self, corpus: Corpus, size: int, device: str | torch.device = "cpu") -> None:
        recipe = corpus.meta.get("recipe", {})
        if corpus.meta.get("made_by") != "dsel toy" or recipe.get("voices"):
            raise BadInput(
                f"{corpus.path}: only a corpus of 'dsel toy' with synthetic voices can be drawn "
                "again; train with redraw=false"
            )
        self.corpus, self.size, self.device = corpus, size, device
        self._seed, self._coupling = corpus.meta["seed"], recipe["coupling"]
        self._mouths: dict[str, np.ndarray] = {}  # by track; filled when needed
        self._faces: dict[str, Face] = {}  # by speaker; filled when needed

    def draw(self, track: Track, first: int, count: int, rng: np.random.Generator) -> np.ndarray:
        """Render frames of a track in a random scene.

        Args:
            track: of the corpus.
            first: number of the first frame.
            count: how many frames.
            rng: draws the scene.
        Returns:
            uint8 (count, size, size, 3).
        """
        if track.id not in self._mouths:
            mouth = self.corpus.mouth(track)  # (T, channels)
            if mouth is None:
                raise BadInput(
                    f"{self.corpus.path}: {track.id} has no mouth in labels/; make it again"
                )
            self._mouths[track.id] = mouth
        mouth = self._mouths[track.id][first : first + count]
        scene = draw_scene(rng, len(mouth))
        return render(self._face(track.speaker), mouth, scene, self.size, self.device)

    def _face(self, speaker: str) -> Face:
        if speaker not in self._faces:
            self._faces[speaker] = face_of(draw_speaker(self._seed, speaker, self._coupling))
        return self._faces[speaker]


class Redrawn:
    """Read clips with the stored sound and newly rendered faces (see `dsel.train.batches.Batches`).

    The scene is a function of the seed, the track and the frame where the batch begins. So a
    resumed run gets the same pictures as one that was not interrupted. With 50 frames and N = 16
    windows (20 frames), a track has 31 scenes.

    Args:
        source: has a method `read` like `dsel.corpus.Cache.read`; gives the sound.
        faces: renders the frames.
        seed: of the training.
    """

    def __init__(self, source: Any, faces: LiveFaces, seed: int) -> None:
        self.source, self.faces, self.seed, self.size = source, faces, seed, faces.size

    def read(
        self, track: Track, first: int, count: int, seen: slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read a piece of a track, with the arguments of `dsel.corpus.Cache.read`.

        Returns:
            Rendered frames, uint8, and the stored sound, int16.
        """
        _, sound = self.source.read(track, first, count, seen)
        begin, end, _ = seen.indices(count)
        rng = np.random.default_rng([self.seed, 3, crc32(track.id.encode()), first, begin])
        shown = first + max(0, -track.offset) + begin
        return self.faces.draw(track, shown, end - begin, rng), sound
