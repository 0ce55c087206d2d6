"""Faces drawn at every draw: endless pictures of the voices and mouths that a toy corpus holds.

A corpus stores each track once, in one light and one pose. Here the stored mouth trajectory is drawn again whenever a track
is asked for, in a new scene (light, pose, background, blinks, softness, noise), on the device that trains. So a face can
be learnt by heart only as a face, never as a picture. Sound is not made anew: `dsel.train.augment` gives it a fresh microphone.
(Source: ours.)
"""

from __future__ import annotations

from functools import cache
from zlib import crc32

import numpy as np

from dsel.corpus.store import Track
from dsel.corpus.tracks import Corpus
from dsel.toy.face.parameters import Face, face_of
from dsel.toy.face.rendering import render
from dsel.toy.face.scene import draw_scene
from dsel.toy.speaker import draw_speaker
from dsel.utils.errors import BadInput


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


class Redrawn:
    """A source of clips (see `dsel.train.batches.Batches`) whose sound is stored and whose faces are drawn anew.

    The scene is a pure function of the seed, the track and the place in it at which a batch begins, so that a resumed run
    sees what the uninterrupted one would have seen: 50 frames and N = 16 make 31 scenes a track.
    """

    def __init__(self, source, faces: LiveFaces, seed: int):
        self.source, self.faces, self.seed, self.size = source, faces, seed, faces.size

    def read(self, track: Track, first: int, count: int, seen: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """As `dsel.corpus.Cache.read`: frames uint8, drawn; sound int16, as stored."""
        _, sound = self.source.read(track, first, count, seen)
        begin, end, _ = seen.indices(count)
        rng = np.random.default_rng([self.seed, 3, crc32(track.id.encode()), first, begin])
        shown = first + max(0, -track.offset) + begin
        return self.faces.draw(track, shown, end - begin, rng), sound
