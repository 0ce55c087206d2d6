"""Faces drawn at every draw: endless pictures of the voices and mouths that a toy corpus holds.

A corpus stores each track once, in one light and one pose. Here the stored mouth trajectory is drawn again whenever a track
is asked for, in a new scene (light, pose, background, blinks, softness, noise), on the device that trains. So a face can
be learnt by heart only as a face, never as a picture. Sound is not made anew: `dsel.augment` gives it a fresh microphone.
(Source: ours.)
"""

from __future__ import annotations

from functools import cache

import numpy as np

from dsel.corpus import Corpus, Track
from dsel.errors import BadInput
from dsel.toy.face import Face, draw_scene, face_of, render
from dsel.toy.speaker import draw_speaker


class LiveFaces:
    """Draws the tracks of a toy corpus again.

    Args:
        corpus: made by `dsel.toy`, with synthetic voices (a real voice's face was drawn from its recording).
        size: pixels, height = width.
        device: where the faces are drawn; on a GPU they need not wait for the CPU.
    Raises:
        BadInput: a corpus that `dsel.toy` did not make, or one of real voices.
    """

    def __init__(self, corpus: Corpus, size: int, device="cpu"):
        recipe = corpus.meta.get("recipe", {})
        if corpus.meta.get("made_by") != "dsel toy" or recipe.get("voices"):
            raise BadInput(f"{corpus.path}: only a corpus of 'dsel toy' with synthetic voices can be drawn again")
        self.corpus, self.size, self.device = corpus, size, device
        self._seed, self._coupling = corpus.meta["seed"], recipe["coupling"]
        self._mouths: dict[str, np.ndarray] = {}

    def draw(self, track: Track, first: int, count: int, rng: np.random.Generator) -> np.ndarray:
        """Frames first .. first + count - 1 of a track in a scene drawn from `rng`: uint8 (count, size, size, 3)."""
        if track.id not in self._mouths:
            self._mouths[track.id] = self.corpus.mouth(track)  # (T, channels)
        mouth = self._mouths[track.id][first : first + count]
        return render(self._face(track.speaker), mouth, draw_scene(rng, len(mouth)), self.size, self.device)

    @cache  # noqa: B019  (lives as long as the training)
    def _face(self, speaker: str) -> Face:
        return face_of(draw_speaker(self._seed, speaker, self._coupling))
