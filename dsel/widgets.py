"""What a reader can move where something must be computed: ipywidgets around the figures of the course.

What can be computed beforehand moves by plotly's own sliders, without a kernel; see `dsel.lossplots`. A widget here is a row of
controls, reached and moved by keyboard, over a figure that is an ordinary output of the cell: it is drawn once, so that a saved
page shows it, and redrawn in place (`display(..., display_id=True)`). Nothing is drawn inside an ipywidgets.Output, which
Colab shows badly (googlecolab/colabtools #5889). Callbacks are plain methods that tests call. ipywidgets and plotly are
imported where they are used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from dsel.verification import confusable, equal_error_rate


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
        k = self.chosen()
        scores = self.systems[self.system][k]
        impostors, targets = confusable(scores, self.target[k], self.a[k], self.b[k], self.count)
        rows = impostors if self.error == self.ERRORS[0] else targets
        return [(f"{self.a[k[n]]} and {self.b[k[n]]}, score {scores[n]:.2f}", int(k[n])) for n in rows]

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
        for name, control in self._controls.items():
            control.layout.width = "24em"
            control.observe(lambda change, name=name: getattr(self, f"set_{name}")(change["new"]), names="value")
        rows = list(self._controls.values())
        display(ipywidgets.VBox([ipywidgets.HBox(rows[:2]), ipywidgets.HBox(rows[2:])]))
        self._screens["figure"] = display(self.figure(), display_id=True)
        first = self.pair(self.worst()[0][1]) if self.pair else HTML("")
        self._screens["pair"] = display(first, display_id=True)

    def _refresh(self) -> None:
        if "figure" in self._screens:
            self._screens["figure"].update(self.figure())
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

    def __init__(self, trainer, *, every: int = 1):
        self.trainer, self.every = trainer, max(1, every)
        self.rows: list[dict] = []
        self.error: Exception | None = None
        self._pause, self._thread, self._seen = threading.Event(), None, 0
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
        self._screen = display(self.figure(), display_id=True)
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
        if len(self.rows) - self._seen >= self.every:
            self._refresh()
        return not self._pause.is_set()

    def _refresh(self, figure: bool = True) -> None:
        if self._state is not None:
            self._state.value = self.status()
            self._buttons["start"].disabled = self._buttons["step"].disabled = self.running or self.done
            self._buttons["pause"].disabled = not self.running
        if figure and self._screen is not None and (len(self.rows) > self._seen or not self.rows):
            self._screen.update(self.figure())
        self._seen = len(self.rows)
