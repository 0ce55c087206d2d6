"""The widget of notebook 08: move the threshold of a verification system, and hear its errors.

(Source: ours.)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dsel.evaluate.verification import confusable, equal_error_rate
from dsel.teaching.widgets.base import NARROW, Explorer, choice

__all__ = ["VerificationExplorer"]


class VerificationExplorer(Explorer):
    """Move the threshold over the scores of a system, and hear the pairs it gets most wrong.

        explorer = VerificationExplorer({"identity head": scores}, target, same_sex, a, b)
        explorer.show()

    Args:
        systems: {name: scores (K,)}, on the same K trials.
        target, same_sex: of each trial, (K,) bool.
        a, b: the speakers of each trial, (K,).
        pair: called with the number of a trial; returns something to display, e.g. both clips.
            None: pairs are named only.
        count: how many of the worst errors are listed.
        names: what the speakers are called, see `dsel.evaluate.names`; None: as in a and b.
        network: which network gives the scores.
    """

    TRIALS = ("all", "same sex")
    ERRORS = ("two people who sound like one", "one person who sounds like two")

    def __init__(
        self,
        systems: dict,
        target,
        same_sex,
        a,
        b,
        *,
        pair: Callable | None = None,
        count: int = 8,
        names: dict | None = None,
        network: str = "",
    ):
        super().__init__()
        self.systems = {name: np.asarray(scores, np.float64) for name, scores in systems.items()}
        self.target, self.same_sex = np.asarray(target, bool), np.asarray(same_sex, bool)
        self.a, self.b, self.pair, self.count = np.asarray(a), np.asarray(b), pair, count
        self.names, self.network = names or {}, network
        self.system, self.trials = next(iter(systems)), self.TRIALS[0]
        self.error = self.ERRORS[0]

    def chosen(self) -> np.ndarray:
        """Return the numbers of the trials in view."""
        everything = np.ones(len(self.target), bool)
        return np.flatnonzero(self.same_sex if self.trials == "same sex" else everything)

    def figure(self):
        """Draw the scores of the chosen system, under plotly's own slider for the threshold."""
        from dsel.plots.verification import threshold_figure

        chosen = self.chosen()
        scores, target = self.systems[self.system][chosen], self.target[chosen]
        eer = f"EER {100 * equal_error_rate(scores, target):.1f} %"
        title = f"{self.system}, {self.trials} trials: {eer}"
        return threshold_figure(scores, target, title=title, network=self.network)

    def worst(self) -> list[tuple[str, int]]:
        """List the worst errors of the chosen kind: (text, number of the trial)."""
        from dsel.plots.verification import decimals

        k = self.chosen()
        scores, digits = self.systems[self.system][k], decimals(self.systems[self.system][k])
        errors = confusable(scores, self.target[k], self.a[k], self.b[k], self.count)
        rows = errors[self.ERRORS.index(self.error)]
        one, other = (
            [self.names.get(name, name) for name in side[k[rows]]] for side in (self.a, self.b)
        )
        texts = [
            f"{a}; {b}; score {score:.{digits}f}"
            for a, b, score in zip(one, other, scores[rows], strict=True)
        ]
        return list(zip(texts, k[rows].tolist(), strict=True))

    def set_system(self, name: str) -> None:
        """Judge another system."""
        self._set("system", name)
        self._list()

    def set_trials(self, name: str) -> None:
        """Take all trials, or only those between speakers of one sex."""
        self._set("trials", name)
        self._list()

    def set_error(self, name: str) -> None:
        """List the worst false alarms, or the worst misses."""
        self.error = name
        self._list()

    def set_pair(self, trial: int | None) -> None:
        """Show the two tracks of a trial, to be played."""
        if self.pair and trial is not None and "pair" in self._displays:
            self._displays["pair"].update(self.pair(trial))

    def show(self) -> None:
        """Display controls, figure and the worst pair."""
        from IPython.display import HTML, display

        self._controls = {
            "system": choice(list(self.systems), description="system", style=NARROW),
            "trials": choice(self.TRIALS, description="trials", style=NARROW),
            "error": choice(self.ERRORS, description="worst", style=NARROW),
            "pair": choice(self.worst(), description="pair", style=NARROW),
        }
        self._display(width="34em")  # two speakers and a score in a line
        first = self.pair(self.worst()[0][1]) if self.pair else HTML("")
        self._displays["pair"] = display(first, display_id=True)

    def _list(self) -> None:
        """Renew the list of errors, which chooses the first and so shows it."""
        if self._displays:
            self._controls["pair"].options = self.worst()
