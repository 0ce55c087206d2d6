"""What a reader can move where something must be computed: ipywidgets around the figures of the course.

What can be computed beforehand moves by plotly's own sliders, without a kernel; see `dsel.lossplots`. A widget here is some
controls, reached and moved by keyboard, over a figure (`dsel.screen`). Callbacks are plain methods, `set_<name>`, that tests
call. ipywidgets and plotly are imported where they are used. Here stand those that look at a trained system; what one moves
to understand the data and the losses, `SyncExplorer` and `LossExplorer`, is written in `dsel.explorers`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from dsel import screen
from dsel.explorers import LossExplorer, SyncExplorer
from dsel.verification import confusable, equal_error_rate, unit

__all__ = [
    "EmbeddingExplorer",
    "LossExplorer",
    "RetrievalExplorer",
    "SyncExplorer",
    "TrainingMonitor",
    "VerificationExplorer",
]
PAUSE = 1.0  # s between two drawings of a figure that moves by itself


class VerificationExplorer:
    """Move the threshold over the scores of a system, and hear the pairs it gets most wrong.

    systems: {name: scores (K,)} on the same K trials. target, same_sex (K,): bool. a, b (K,): the speakers of each trial.
    pair: called with the number of a trial, returns something to display (both clips); None: pairs are named only.

        explorer = VerificationExplorer({"identity head": scores}, target, same_sex, a, b, pair=play_pair)
        explorer.show()
    """

    TRIALS = ("all", "same sex")
    ERRORS = ("two people who sound like one", "one person who sounds like two")

    def __init__(self, systems: dict, target, same_sex, a, b, *, pair: Callable | None = None, count: int = 8):
        self.systems = {name: np.asarray(scores, np.float64) for name, scores in systems.items()}
        self.target, self.same_sex = np.asarray(target, bool), np.asarray(same_sex, bool)
        self.a, self.b, self.pair, self.count = np.asarray(a), np.asarray(b), pair, count
        self.system, self.trials, self.error = next(iter(systems)), self.TRIALS[0], self.ERRORS[0]
        self._screens = {}

    def chosen(self) -> np.ndarray:
        """Numbers of the trials in view."""
        return np.flatnonzero(self.same_sex if self.trials == "same sex" else np.ones(len(self.target), bool))

    def figure(self):
        """The scores of the chosen system on the chosen trials, under plotly's own slider for the threshold."""
        from dsel.verificationplots import threshold_figure

        k = self.chosen()
        eer = equal_error_rate(self.systems[self.system][k], self.target[k])
        return threshold_figure(
            self.systems[self.system][k], self.target[k], title=f"{self.system}, {self.trials} trials: EER {100 * eer:.1f} %"
        )

    def worst(self) -> list[tuple[str, int]]:
        """The worst errors of the chosen kind: (what to call it, number of the trial)."""
        from dsel.verificationplots import decimals

        k = self.chosen()
        scores = self.systems[self.system][k]
        impostors, targets = confusable(scores, self.target[k], self.a[k], self.b[k], self.count)
        rows = impostors if self.error == self.ERRORS[0] else targets
        digits = decimals(scores)
        return [(f"{self.a[k[n]]} and {self.b[k[n]]}, score {scores[n]:.{digits}f}", int(k[n])) for n in rows]

    def set_system(self, name: str) -> None:
        """Judge another system."""
        self.system = name
        self._refresh()

    def set_trials(self, name: str) -> None:
        """All trials, or those between speakers of one sex."""
        self.trials = name
        self._refresh()

    def set_error(self, name: str) -> None:
        """List the worst false alarms or the worst misses."""
        self.error = name
        self._list()

    def set_pair(self, trial: int | None) -> None:
        """Show (and let play) the two tracks of a trial."""
        if self.pair and trial is not None and "pair" in self._screens:
            self._screens["pair"].update(self.pair(trial))

    def show(self) -> None:
        """Controls, figure and the worst pair, in the cell's output."""
        import ipywidgets
        from IPython.display import HTML, display

        wide = {"description_width": "6em"}
        self._controls = {
            "system": ipywidgets.Dropdown(options=list(self.systems), description="system", style=wide),
            "trials": ipywidgets.Dropdown(options=self.TRIALS, description="trials", style=wide),
            "error": ipywidgets.Dropdown(options=self.ERRORS, description="worst", style=wide),
            "pair": ipywidgets.Dropdown(options=self.worst(), description="pair", style=wide),
        }
        screen.show(self, width="34em")  # two tracks and a score in a line
        first = self.pair(self.worst()[0][1]) if self.pair else HTML("")
        self._screens["pair"] = display(first, display_id=True)

    def _refresh(self) -> None:
        screen.follow(self)
        self._list()

    def _list(self) -> None:
        if self._screens:
            self._controls["pair"].options = self.worst()  # chooses the first, and so shows it


class TrainingMonitor:
    """Watch a `dsel.train.Trainer` learn: losses against their chance levels, accuracies, the scales; start and pause.

    Training runs in a thread of its own, so that the page stays alive. Pausing ends it at the next point of the curves
    (`log_every` steps), with a checkpoint on disk: whatever happens then, the run goes on from there. Start again to resume.

        monitor = TrainingMonitor(trainer)
        monitor.show()              # three buttons and a figure; nothing runs yet
        monitor.finish()            # in a cell of its own: the rest of the training, here and now
    """

    def __init__(self, trainer):
        self.trainer = trainer
        self.rows: list[dict] = []
        self.error: Exception | None = None
        self._pause, self._thread, self._seen, self._drawn = threading.Event(), None, 0, 0.0
        self._screen, self._buttons, self._state = None, {}, None

    @property
    def running(self) -> bool:
        """Whether a step is being computed."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def done(self) -> bool:
        """Whether the last step has been taken."""
        return self.trainer.step >= self.trainer.config.steps

    def figure(self):
        """The curves so far over their chance levels."""
        from dsel.trainingplots import curves

        config = self.trainer.config
        return curves(self.rows, N=config.N, B=config.B, extra=config.extra, steps=config.steps, w_max=config.w_max)

    def status(self) -> str:
        """One line that says where the training is."""
        where = f"step {self.trainer.step} of {self.trainer.config.steps}"
        if self.error is not None:
            return f"stopped at {where}: {self.error}"
        if self.running:
            return f"pausing at the next point, {where}" if self._pause.is_set() else f"training, {where}"
        return f"finished, {where}" if self.done else f"paused, {where}" if self.trainer.step else "not started"

    def start(self, until: int | None = None) -> None:
        """Begin, or go on, in the background; up to a step, or to the end. Does nothing while it runs or when it is done."""
        if self.running or self.done:
            return
        self.error = None
        self._pause.clear()
        self._thread = threading.Thread(target=self._train, args=(until,), daemon=True)
        self._thread.start()
        self._refresh(figure=False)

    def pause(self) -> None:
        """Stop at the next point of the curves, and wait until the checkpoint is on disk."""
        thread = self._thread
        if thread is not None:
            self._pause.set()
            self._refresh(figure=False)
            thread.join()
        self._refresh()

    def step_on(self, steps: int | None = None) -> None:
        """Some more steps (as many as between two points of the curves), and wait for them."""
        self.start(self.trainer.step + (steps or self.trainer.config.log_every))
        self.wait()

    def wait(self) -> None:
        """Until what runs in the background has stopped. Raises what stopped it, if it was an error."""
        thread = self._thread
        if thread is not None:
            thread.join()
        self._refresh()
        if self.error is not None:
            raise self.error

    def finish(self) -> list[dict]:
        """The rest of the training; returns all logged rows."""
        self.start()
        self.wait()
        return self.rows

    def show(self) -> None:
        """Draw buttons and figure; Tab reaches the buttons, space presses them."""
        import ipywidgets
        from IPython.display import display

        what = {"start": ("Start / resume", "play", self.start), "pause": ("Pause", "pause", self.pause)}
        what["step"] = ("A few steps", "step-forward", self.step_on)
        for name, (text, icon, call) in what.items():
            self._buttons[name] = ipywidgets.Button(description=text, icon=icon, tooltip=call.__doc__.split(". ")[0])
            self._buttons[name].on_click(lambda _, call=call: call())
        self._state = ipywidgets.Label(self.status())
        display(ipywidgets.HBox([*self._buttons.values(), self._state]))
        self._screen = display(screen.bundle(self.figure()), raw=True, display_id=True)
        self._refresh(figure=False)

    def _train(self, until: int | None) -> None:
        try:
            self.trainer.fit(self._row, until)
        except Exception as error:  # it is kept and said: an exception in a thread would be lost
            self.error = error
        self._thread = None
        self._refresh()

    def _row(self, _trainer, row: dict) -> bool:
        """What `fit` calls at every logged row; False asks it to stop."""
        self.rows.append(row)
        self._refresh()
        return not self._pause.is_set()

    def _refresh(self, figure: bool = True) -> None:
        if self._state is not None:
            self._state.value = self.status()
            self._buttons["start"].disabled = self._buttons["step"].disabled = self.running or self.done
            self._buttons["pause"].disabled = not self.running
        soon = self.running and time.monotonic() - self._drawn < PAUSE
        if figure and self._screen is not None and len(self.rows) > self._seen and not soon:
            screen.redraw(self._screen, self.figure())
            self._seen, self._drawn = len(self.rows), time.monotonic()


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
        scores = _cosines(self.vectors[self.head][self.moment], self.point)[others]
        return others[np.argsort(-scores, kind="stable")[: self.NEAR]]

    def figure(self):
        """The map of the chosen head at the chosen moment, the chosen point ringed and joined to its nearest."""
        from dsel.mapplots import explored

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
        scores = _cosines(self.person, mine)
        order = [k for k in np.argsort(-scores, kind="stable") if k != mine and (self.track == k).any()][: self.count]
        return np.array([np.flatnonzero(self.track == k)[0] for k in order], int), scores[order]

    def what(self) -> tuple[np.ndarray, np.ndarray]:
        """Windows by the cosine of their content vectors, at most one of each other track; nearest first."""
        scores, found, seen = _cosines(self.content, self.query), [], {self.track[self.query]}
        for w in np.argsort(-scores, kind="stable"):
            if self.track[w] not in seen:
                seen.add(self.track[w])
                found.append(w)
        found = np.array(found[: self.count], int)
        return found, scores[found]

    def figure(self):
        """Both answers beside each other; full bars are right."""
        from dsel.mapplots import two_questions

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


def _cosines(vectors: np.ndarray, k: int) -> np.ndarray:
    """Cosine of row k with every row: (P, D) -> (P,)."""
    z = unit(vectors)
    return z @ z[k]
