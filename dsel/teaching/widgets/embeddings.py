"""Widgets to explore embeddings: maps coloured by a factor, and retrieval by who and by what."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dsel.evaluate.vectors import cosines
from dsel.teaching.widgets import base as screen


class EmbeddingExplorer:
    """Walk through maps of embeddings: colour by any factor, head, moment of the training; a point's face and sound.

    planes, vectors: {head: {moment: (P, 2) and (P, D)}}, the same moments for all heads. labels {factor: (P,)}, hover (P,).
    groups (P,): the track of each point; its nearest neighbours are looked for in other tracks, in `vectors`, not in the map.
    clip: called with the number of a point, returns something to display (the face, speaking); None: points are named only.
    """

    NEAR = 5

    def __init__(self, planes: dict, vectors: dict, labels: dict, hover, groups, *, clip: Callable | None = None):
        self.planes, self.vectors, self.labels, self.clip = planes, vectors, labels, clip
        self.hover, self.groups = np.asarray(hover), np.asarray(groups)
        self.moments = list(next(iter(planes.values())))
        self.head, self.factor, self.moment, self.point = next(iter(planes)), next(iter(labels)), self.moments[-1], 0
        self._screens = {}

    def near(self) -> np.ndarray:
        """The nearest points to the chosen one by cosine, of other tracks, nearest first."""
        others = np.flatnonzero(self.groups != self.groups[self.point])
        scores = cosines(self.vectors[self.head][self.moment], self.point)[others]
        return others[np.argsort(-scores, kind="stable")[: self.NEAR]]

    def figure(self):
        """The map of the chosen head at the chosen moment, the chosen point ringed and joined to its nearest."""
        from dsel.plots.maps import explored

        plane, labels = self.planes[self.head][self.moment], self.labels[self.factor]
        title = f"{self.head}, {self.moment}, coloured by {self.factor}"
        return explored(plane, labels, self.hover, self.point, self.near(), title=title)

    def points(self) -> list[tuple[str, int]]:
        """All points by what is known of them, in order: (text, number)."""
        return sorted((f"{text} ({k})", k) for k, text in enumerate(self.hover.tolist()))

    def set_head(self, name: str) -> None:
        """Another head, or the trunk."""
        self.head = name
        self._refresh()

    def set_factor(self, name: str) -> None:
        """Colour the points by another factor."""
        self.factor = name
        self._refresh()

    def set_moment(self, name: str) -> None:
        """Another moment of the training."""
        self.moment = name
        self._refresh()

    def set_point(self, number: int) -> None:
        """Choose a point: ring it, and show and let play its clip."""
        self.point = int(number)
        self._refresh()
        if "clip" in self._screens:
            self._screens["clip"].update(self._clip())

    def show(self) -> None:
        """Controls, map and the chosen point's clip, in the cell's output."""
        import ipywidgets
        from IPython.display import display

        wide = {"description_width": "6em"}
        self._controls = {
            "head": ipywidgets.Dropdown(options=list(self.planes), description="head", style=wide),
            "factor": ipywidgets.Dropdown(options=list(self.labels), description="colour", style=wide),
            "moment": ipywidgets.SelectionSlider(options=self.moments, value=self.moment, description="training", style=wide),
            "point": ipywidgets.Dropdown(options=self.points(), value=self.point, description="point", style=wide),
        }
        screen.show(self)
        if self.clip:
            self._screens["clip"] = display(self._clip(), display_id=True)

    def _clip(self):
        return self.clip(self.point)

    def _refresh(self) -> None:
        screen.follow(self)


class RetrievalExplorer:
    """Take a moment of a clip and ask both heads: who else sounds like this person? And who else says this?

    person (K, D): one identity vector a track. content (W, D), track (W,), hover (W,): a content vector a window, the number of
    its track, and what it is called. speaker (K,) and sound (W,): the truth that the answers are marked with.
    clips: called with a list of windows, returns something to display (the first is the question, all can be played).
    """

    QUESTIONS = ("who else sounds like this person?", "who else says this?")

    def __init__(self, person, content, track, hover, speaker, sound, *, clips: Callable | None = None, count: int = 5):
        self.person, self.content, self.track = np.asarray(person), np.asarray(content), np.asarray(track)
        self.hover, self.speaker, self.sound = np.asarray(hover), np.asarray(speaker), np.asarray(sound)
        self.clips, self.count, self.query = clips, count, 0
        self._screens = {}

    def who(self) -> tuple[np.ndarray, np.ndarray]:
        """Other tracks by the cosine of their identity vectors: a window of each, and the cosines; nearest first."""
        mine = self.track[self.query]
        scores = cosines(self.person, mine)
        order = [k for k in np.argsort(-scores, kind="stable") if k != mine and (self.track == k).any()][: self.count]
        return np.array([np.flatnonzero(self.track == k)[0] for k in order], int), scores[order]

    def what(self) -> tuple[np.ndarray, np.ndarray]:
        """Windows by the cosine of their content vectors, at most one of each other track; nearest first."""
        scores, found, seen = cosines(self.content, self.query), [], {self.track[self.query]}
        for w in np.argsort(-scores, kind="stable"):
            if self.track[w] not in seen:
                seen.add(self.track[w])
                found.append(w)
        found = np.array(found[: self.count], int)
        return found, scores[found]

    def figure(self):
        """Both answers beside each other; full bars are right."""
        from dsel.plots.maps import two_questions

        (who, likeness), (what, sameness) = self.who(), self.what()
        mine = self.speaker[self.track[self.query]]
        answers = {
            self.QUESTIONS[0]: (
                [f"{self.speaker[self.track[w]]}" for w in who],
                likeness,
                self.speaker[self.track[who]] == mine,
            ),
            self.QUESTIONS[1]: (
                [f"{self.sound[w]}: {self.hover[w]}" for w in what],
                sameness,
                self.sound[what] == self.sound[self.query],
            ),
        }
        return two_questions(answers, title=f"The question: {self.hover[self.query]} ({self.sound[self.query]})")

    def queries(self) -> list[tuple[str, int]]:
        """Every window that can be asked about: (text, number)."""
        return sorted((f"{text} ({w})", w) for w, text in enumerate(self.hover.tolist()))

    def set_query(self, number: int) -> None:
        """Ask about another window."""
        self.query = int(number)
        screen.follow(self)
        if "clips" in self._screens:
            self._screens["clips"].update(self._clips())

    def show(self) -> None:
        """The question, both answers, and the clips of the best of each, in the cell's output."""
        import ipywidgets
        from IPython.display import display

        style = {"description_width": "6em"}
        self._controls = {
            "query": ipywidgets.Dropdown(options=self.queries(), value=self.query, description="clip", style=style)
        }
        screen.show(self)
        if self.clips:
            self._screens["clips"] = display(self._clips(), display_id=True)

    def _clips(self):
        """The question, the best answer to 'who' and the best to 'what'."""
        return self.clips([self.query, *self.who()[0][:1], *self.what()[0][:1]])
