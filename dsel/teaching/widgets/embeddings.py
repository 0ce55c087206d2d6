"""The widgets of notebook 07: walk through maps of embeddings, and ask a clip two questions.

(Source: ours.)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dsel.evaluate.vectors import cosines
from dsel.teaching.widgets.base import NARROW, Explorer, choice, number

__all__ = ["EmbeddingExplorer", "RetrievalExplorer"]


class EmbeddingExplorer(Explorer):
    """Walk through maps: choose head, colour and moment; click a point to see and hear it.

    The slider "point" does what a click does, for the keyboard and for Colab.

    Args:
        planes: {head: {moment: (P, 2)}}, the maps; the same moments for all heads.
        vectors: {head: {moment: (P, D)}}, the embeddings. Neighbours are looked for in these.
        labels: {factor: (P,)}, which colour the points.
        hover: what is known of each point, (P,).
        groups: the track of each point, (P,). Neighbours are looked for in other tracks.
        clip: called with the number of a point; returns something to display, e.g. the face,
            speaking. None: points are named only.
        network: which network is shown.
    """

    NEAR = 5  # neighbours that are joined to the chosen point
    PICKS = "point"

    def __init__(
        self,
        planes: dict,
        vectors: dict,
        labels: dict,
        hover,
        groups,
        *,
        clip: Callable | None = None,
        network: str = "",
    ):
        super().__init__()
        self.planes, self.vectors, self.labels, self.clip = planes, vectors, labels, clip
        self.hover, self.groups, self.network = np.asarray(hover), np.asarray(groups), network
        self.moments = list(next(iter(planes.values())))
        self.head, self.factor = next(iter(planes)), next(iter(labels))
        self.moment, self.point = self.moments[-1], 0

    def near(self) -> np.ndarray:
        """Return the numbers of the nearest points by cosine, of other tracks, nearest first."""
        others = np.flatnonzero(self.groups != self.groups[self.point])
        scores = cosines(self.vectors[self.head][self.moment], self.point)[others]
        return others[np.argsort(-scores, kind="stable")[: self.NEAR]]

    def figure(self):
        """Draw the map, the chosen point ringed and joined to its nearest."""
        from dsel.plots.maps import explored

        plane, labels = self.planes[self.head][self.moment], self.labels[self.factor]
        what = f"{self.head}, {self.moment}, coloured by {self.factor}"
        title = f"{what}; chosen: {self.hover[self.point]}"
        chosen = {"title": title, "network": self.network}
        return explored(plane, labels, self.hover, self.point, self.near(), **chosen)

    def set_head(self, name: str) -> None:
        """Take another head, or the trunk."""
        self._set("head", name)

    def set_factor(self, name: str) -> None:
        """Colour the points by another factor."""
        self._set("factor", name)

    def set_moment(self, name: str) -> None:
        """Take another moment of the training."""
        self._set("moment", name)

    def set_point(self, number: int) -> None:
        """Choose a point: ring it, and show its clip."""
        self._set("point", int(number))
        if "clip" in self._displays:
            self._displays["clip"].update(self.clip(self.point))

    def show(self) -> None:
        """Display controls, map and the clip of the chosen point."""
        import ipywidgets
        from IPython.display import display

        training = {"options": self.moments, "value": self.moment, "description": "training"}
        self._controls = {
            "head": choice(list(self.planes), description="head", style=NARROW),
            "factor": choice(list(self.labels), description="colour", style=NARROW),
            "moment": ipywidgets.SelectionSlider(**training, style=NARROW),
            "point": number(len(self.hover), self.point, description="point"),
        }
        self._display()
        if self.clip:
            self._displays["clip"] = display(self.clip(self.point), display_id=True)


class RetrievalExplorer(Explorer):
    """Ask both heads about a moment of a clip: who else sounds like this, and who else says this?

    A click on an answer asks about that answer next.

    Args:
        person: one identity vector per track, (K, D).
        content: one content vector per window, (W, D).
        track: the number of each window's track, (W,).
        hover: what each window is called, (W,).
        speaker: of each track, (K,); it says which answers are right.
        sound: of each window, (W,); it says which answers are right.
        clips: called with a list of windows, the question first; returns something to display.
        count: answers per question.
        network: which network answers.
    """

    QUESTIONS = ("who else sounds like this person?", "who else says this?")
    PICKS = "query"

    def __init__(
        self,
        person,
        content,
        track,
        hover,
        speaker,
        sound,
        *,
        clips: Callable | None = None,
        count: int = 5,
        network: str = "",
    ):
        super().__init__()
        self.person, self.content = np.asarray(person), np.asarray(content)
        self.track, self.hover = np.asarray(track), np.asarray(hover)
        self.speaker, self.sound = np.asarray(speaker), np.asarray(sound)
        self.clips, self.count, self.network, self.query = clips, count, network, 0

    def who(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the nearest other tracks by identity: a window of each, and the cosines."""
        mine = self.track[self.query]
        scores = cosines(self.person, mine)
        ranked = np.argsort(-scores, kind="stable")
        order = [k for k in ranked if k != mine and (self.track == k).any()][: self.count]
        windows = [np.flatnonzero(self.track == k)[0] for k in order]
        return np.array(windows, int), scores[order]

    def what(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the nearest windows by content, at most one per other track, and the cosines."""
        scores, windows = cosines(self.content, self.query), []
        seen = {self.track[self.query]}
        for window in np.argsort(-scores, kind="stable"):
            if self.track[window] not in seen:
                seen.add(self.track[window])
                windows.append(window)
        nearest = np.array(windows[: self.count], int)
        return nearest, scores[nearest]

    def figure(self):
        """Draw both answers side by side; full bars are right."""
        from dsel.plots.maps import two_questions

        (who, likeness), (what, sameness) = self.who(), self.what()
        mine, speakers = self.speaker[self.track[self.query]], self.speaker[self.track[who]]
        sounds = [f"{self.sound[w]}: {self.hover[w]}" for w in what]
        right = self.sound[what] == self.sound[self.query]
        answers = {
            self.QUESTIONS[0]: ([str(name) for name in speakers], likeness, speakers == mine),
            self.QUESTIONS[1]: (sounds, sameness, right),
        }
        title = f"The question: {self.hover[self.query]} ({self.sound[self.query]})"
        windows = (who.tolist(), what.tolist())
        return two_questions(answers, title=title, network=self.network, numbers=windows)

    def set_query(self, number: int) -> None:
        """Ask about another window."""
        self._set("query", int(number))
        if "clips" in self._displays:
            self._displays["clips"].update(self._clips())

    def show(self) -> None:
        """Display the question, both answers, and the clips of the best of each."""
        from IPython.display import display

        self._controls = {"query": number(len(self.hover), self.query, description="clip")}
        self._display()
        if self.clips:
            self._displays["clips"] = display(self._clips(), display_id=True)

    def _clips(self):
        """Return the clips of the question and of the best answer to 'who' and to 'what'."""
        return self.clips([self.query, *self.who()[0][:1], *self.what()[0][:1]])
