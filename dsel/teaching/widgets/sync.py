"""A widget to find an audio-video offset by eye and ear."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dsel.teaching.widgets import base as screen
from dsel.teaching.widgets.base import WIDE


class SyncExplorer:
    """Find by eye and ear how far the sound of a clip is off: push it by k frames, look, listen; then uncover the answer.

    Every clip arrives with its sound already late by `planted[name]` frames (early if negative), drawn from a seed.

    clips: {name: (mouths uint8 (T, h, w, 3), opening (T,), mel (mels, 4 T), losses (2 reach + 1,))}, all of the clip in step;
    losses: the content loss that a trained network pays if the sound is late by -reach .. reach frames, chance a guesser's.
    clip: called with a name and by how many frames the sound is late in all, returns something to display (the clip, to be
    played so); None: nothing is heard.

        explorer = SyncExplorer(clips, chance=np.log(K), clip=lambda name, k: notebook.show_clip(...))
        explorer.show()
    """

    ANSWERS = ("hidden", "shown")
    LEAST = 3  # frames that a planted offset has at the least, so that there is something to find

    def __init__(self, clips: dict, *, chance: float, clip: Callable | None = None, seed: int = 0):
        self.clips, self.chance, self.clip = clips, chance, clip
        self.reach = len(next(iter(clips.values()))[3]) // 2
        possible = [k for k in range(-(self.reach // 2), self.reach // 2 + 1) if abs(k) >= self.LEAST]
        drawn = np.random.default_rng(seed).choice(possible, len(clips))
        self.planted = {name: int(k) for name, k in zip(clips, drawn, strict=True)}
        self.name, self.shift, self.answer = next(iter(clips)), 0, self.ANSWERS[0]
        self._screens = {}

    def late(self) -> int:
        """By how many frames the sound is late now: what was planted and what it was pushed by."""
        return self.planted[self.name] + self.shift

    def figure(self):
        """Mouths over the sound where it stands; below, once uncovered, what the network pays for every push."""
        from dsel.plots.alignment import pushed

        T = len(self.clips[self.name][0])
        state = {"shift": self.shift, "planted": self.planted[self.name], "shown": self.answer == "shown"}
        return pushed(*self.clips[self.name], first=T // 4, count=T // 2, chance=self.chance, **state)

    def set_name(self, name: str) -> None:
        """Another clip: not yet pushed, its answer hidden."""
        self.name, self.shift, self.answer = name, 0, self.ANSWERS[0]
        if self._screens:
            self._controls["shift"].value, self._controls["answer"].value = self.shift, self.answer
        self._refresh()

    def set_shift(self, k: int) -> None:
        """Push the sound by k frames: k > 0, it comes later."""
        if k != self.shift:  # the slider says so once more when a new clip has put it back
            self.shift = int(k)
            self._refresh()

    def set_answer(self, answer: str) -> None:
        """Uncover what was planted and what the network says, or cover it again."""
        if answer != self.answer:
            self.answer = answer
            screen.follow(self)

    def show(self) -> None:
        """Controls, figure and the clip as it sounds now, in the cell's output."""
        import ipywidgets
        from IPython.display import display

        push = {"min": -self.reach, "max": self.reach, "value": self.shift, "continuous_update": False}
        self._controls = {
            "name": ipywidgets.Dropdown(options=list(self.clips), value=self.name, description="clip", style=WIDE),
            "shift": ipywidgets.IntSlider(description="push the sound, k", style=WIDE, **push),
            "answer": ipywidgets.Dropdown(options=self.ANSWERS, value=self.answer, description="the answer", style=WIDE),
        }
        screen.show(self)
        if self.clip:
            self._screens["clip"] = display(self._clip(), display_id=True)

    def _clip(self):
        return self.clip(self.name, self.late())

    def _refresh(self) -> None:
        screen.follow(self)
        if "clip" in self._screens:
            self._screens["clip"].update(self._clip())
