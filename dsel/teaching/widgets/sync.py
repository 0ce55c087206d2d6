"""The widget of notebook 01: find by eye and ear how late the sound of a clip is.

(Source: ours.)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dsel.teaching.widgets.base import WIDE, Explorer, choice

__all__ = ["SyncExplorer"]


class SyncExplorer(Explorer):
    """Push the sound of a clip by k frames, look and listen; then uncover the answer.

    The sound of every clip is late by `planted[name]` frames (early if negative).

        explorer = SyncExplorer(clips, chance=np.log(K), clip=lambda name, k: show_clip(...))
        explorer.show()

    Args:
        clips: {name: (mouths uint8 (T, h, w, 3), opening (T,), mel (mels, 4 T), losses)}, all in
            step. losses (2 reach + 1,): the content loss of a network if the sound is late by
            -reach .. reach frames.
        chance: the content loss where nothing is known.
        clip: called with a name and with how many frames the sound is late in all; returns
            something to display, the clip as it sounds then. None: nothing is heard.
        seed: of the planted offsets.
        network: which network pays the losses.
    """

    ANSWERS = ("hidden", "shown")
    LEAST = 3  # frames by which a planted offset differs from 0, so that there is something to find

    def __init__(
        self,
        clips: dict,
        *,
        chance: float,
        clip: Callable | None = None,
        seed: int = 0,
        network: str = "",
    ):
        super().__init__()
        self.clips, self.chance, self.clip, self.network = clips, chance, clip, network
        self.reach = len(next(iter(clips.values()))[3]) // 2
        half = self.reach // 2
        possible = [k for k in range(-half, half + 1) if abs(k) >= self.LEAST]
        drawn = np.random.default_rng(seed).choice(possible, len(clips))
        self.planted = {name: int(k) for name, k in zip(clips, drawn, strict=True)}
        self.name, self.shift, self.answer = next(iter(clips)), 0, self.ANSWERS[0]

    def late(self) -> int:
        """Return by how many frames the sound is late now: planted and pushed."""
        return self.planted[self.name] + self.shift

    def figure(self):
        """Draw the mouths over the sound; once uncovered, also what the network pays per push."""
        from dsel.plots.alignment import pushed

        T = len(self.clips[self.name][0])
        state = {"shift": self.shift, "planted": self.planted[self.name]}
        part = {"first": T // 4, "count": T // 2}  # the middle half of the clip
        shown = {"shown": self.answer == "shown", "network": self.network}
        return pushed(*self.clips[self.name], chance=self.chance, **part, **state, **shown)

    def set_name(self, name: str) -> None:
        """Take another clip, not yet pushed, its answer hidden."""
        self.name, self.shift, self.answer = name, 0, self.ANSWERS[0]
        if self._displays:
            self._controls["shift"].value = self.shift
            self._controls["answer"].value = self.answer
        self._refresh()

    def set_shift(self, k: int) -> None:
        """Push the sound by k frames; for k > 0 it comes later."""
        if k != self.shift:  # the slider reports once more when a new clip has set it back
            self.shift = int(k)
            self._refresh()

    def set_answer(self, answer: str) -> None:
        """Show or hide what was planted and what the network says."""
        if answer != self.answer:
            self._set("answer", answer)

    def show(self) -> None:
        """Display controls, figure and the clip as it sounds now."""
        import ipywidgets
        from IPython.display import display

        pushes = {"min": -self.reach, "max": self.reach, "value": self.shift}
        push = {"description": "push the sound, k", "continuous_update": False, "style": WIDE}
        self._controls = {
            "name": choice(list(self.clips), self.name, description="clip"),
            "shift": ipywidgets.IntSlider(**pushes, **push),
            "answer": choice(self.ANSWERS, self.answer, description="the answer"),
        }
        self._display()
        if self.clip:
            self._displays["clip"] = display(self._clip(), display_id=True)

    def _clip(self):
        """Return the clip as it sounds now."""
        return self.clip(self.name, self.late())

    def _refresh(self) -> None:
        """Draw the figure again, and replace the clip."""
        self._redraw()
        if "clip" in self._displays:
            self._displays["clip"].update(self._clip())
