"""A widget that shows a training while it runs, and pauses it."""

from __future__ import annotations

import threading
import time

from dsel.teaching.widgets import base as screen

PAUSE = 1.0  # s between two drawings of a figure that moves by itself


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
        from dsel.plots.training import curves

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
