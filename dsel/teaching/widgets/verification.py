"""A widget to move the decision threshold of a verification system."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dsel.evaluate.verification import confusable, equal_error_rate
from dsel.teaching.widgets import base as screen


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
        from dsel.plots.verification import threshold_figure

        k = self.chosen()
        eer = equal_error_rate(self.systems[self.system][k], self.target[k])
        return threshold_figure(
            self.systems[self.system][k], self.target[k], title=f"{self.system}, {self.trials} trials: EER {100 * eer:.1f} %"
        )

    def worst(self) -> list[tuple[str, int]]:
        """The worst errors of the chosen kind: (what to call it, number of the trial)."""
        from dsel.plots.verification import decimals

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
