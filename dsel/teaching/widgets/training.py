"""The widget of notebook 06: watch a training while it runs, and pause it.

(Source: ours.)
"""

from __future__ import annotations

import threading
import time

from dsel.teaching.widgets.base import bundle, replace_figure, show_controls

__all__ = ["PAUSE", "TrainingMonitor"]

PAUSE = 1.0  # s between two drawings of the figure while the training runs


class TrainingMonitor:
    """Watch a `dsel.train.Trainer` learn: losses over chance, accuracies, scales; start and pause.

    The training runs in a thread of its own, so that the page stays alive. Pausing stops it at the
    next logged step, with a checkpoint on disk; starting again resumes there.

        monitor = TrainingMonitor(trainer)
        monitor.show()              # three buttons and a figure; nothing runs yet
        monitor.finish()            # in a cell of its own: run the rest of the training and wait
    """

    def __init__(self, trainer):
        self.trainer = trainer
        self.rows: list[dict] = []
        self.error: Exception | None = None
        self._pause, self._thread = threading.Event(), None
        self._drawn_rows, self._drawn_at = 0, 0.0
        self._figure, self._buttons, self._state = None, {}, None

    @property
    def running(self) -> bool:
        """Say whether a step is being computed."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def done(self) -> bool:
        """Say whether the last step has been taken."""
        return self.trainer.step >= self.trainer.config.steps

    def figure(self):
        """Draw the curves so far."""
        from dsel.plots.training import curves

        config = self.trainer.config
        batch = {"N": config.N, "B": config.B, "extra": config.extra}
        return curves(self.rows, **batch, steps=config.steps, w_max=config.w_max)

    def status(self) -> str:
        """Describe in one line where the training is."""
        place = f"step {self.trainer.step} of {self.trainer.config.steps}"
        if self.error is not None:
            return f"stopped at {place}: {self.error}"
        if self.running:
            pausing = self._pause.is_set()
            return f"pausing at the next logged step, {place}" if pausing else f"training, {place}"
        if self.done:
            return f"finished, {place}"
        return f"paused, {place}" if self.trainer.step else "not started"

    def start(self, until: int | None = None) -> None:
        """Start or resume in the background.

        Does nothing while a training runs or when it is done.

        Args:
            until: the step to stop at; None: the end.
        """
        if self.running or self.done:
            return
        self.error = None
        self._pause.clear()
        self._thread = threading.Thread(target=self._train, args=(until,), daemon=True)
        self._thread.start()
        self._refresh(figure=False)

    def pause(self) -> None:
        """Stop at the next logged step. Waits until the checkpoint is on disk."""
        thread = self._thread
        if thread is not None:
            self._pause.set()
            self._refresh(figure=False)
            thread.join()
        self._refresh()

    def step_on(self, steps: int | None = None) -> None:
        """Take some more steps, up to the next logged one by default. Waits for them."""
        self.start(self.trainer.step + (steps or self.trainer.config.log_every))
        self.wait()

    def wait(self) -> None:
        """Wait until the training in the background has stopped; raise its error, if it had one."""
        thread = self._thread
        if thread is not None:
            thread.join()
        self._refresh()
        if self.error is not None:
            raise self.error

    def finish(self) -> list[dict]:
        """Run the rest of the training, wait for it, and return all logged rows."""
        self.start()
        self.wait()
        return self.rows

    def show(self) -> None:
        """Display buttons and figure; Tab reaches the buttons, space presses them."""
        import ipywidgets
        from IPython.display import display

        for name, text, icon, call in (
            ("start", "Start / resume", "play", self.start),
            ("pause", "Pause", "pause", self.pause),
            ("step", "A few steps", "step-forward", self.step_on),
        ):
            tooltip = call.__doc__.split(".")[0].strip()
            button = ipywidgets.Button(description=text, icon=icon, tooltip=tooltip)
            button.on_click(lambda _, call=call: call())
            self._buttons[name] = button
        self._state = ipywidgets.Label(self.status())
        show_controls(ipywidgets.HBox([*self._buttons.values(), self._state]))
        self._figure = display(bundle(self.figure()), raw=True, display_id=True)
        self._refresh(figure=False)

    def _train(self, until: int | None) -> None:
        """Train, in the thread of its own."""
        try:
            self.trainer.fit(self._row, until)
        except Exception as error:  # an exception in a thread would be lost: keep it and show it
            self.error = error
        self._thread = None
        self._refresh()

    def _row(self, _trainer, row: dict) -> bool:
        """Take a logged row from `fit`; return False to make it stop."""
        self.rows.append(row)
        self._refresh()
        return not self._pause.is_set()

    def _refresh(self, figure: bool = True) -> None:
        """Update the buttons and the line of state, and the figure if there are new rows."""
        if self._state is not None:
            self._state.value = self.status()
            idle = not self.running
            self._buttons["start"].disabled = not idle or self.done
            self._buttons["step"].disabled = not idle or self.done
            self._buttons["pause"].disabled = idle
        too_soon = self.running and time.monotonic() - self._drawn_at < PAUSE
        new = self._figure is not None and len(self.rows) > self._drawn_rows
        if figure and new and not too_soon:
            replace_figure(self._figure, self.figure())
            self._drawn_rows, self._drawn_at = len(self.rows), time.monotonic()
