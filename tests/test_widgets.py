"""Widgets: their callbacks are plain methods, and what they show is what was asked for."""

import numpy as np
import pytest

from dsel import widgets
from dsel.verification import equal_error_rate
from dsel.widgets import VerificationExplorer


class Screen:
    """Stands for the handle of a displayed figure: keeps what was shown last."""

    def __init__(self, shown):
        self.shown = shown

    def update(self, shown):
        self.shown = shown


@pytest.fixture
def explorer():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 8, (2, 300))
    target = a == b
    scores = rng.normal(size=300) + 2 * target
    names = np.array([f"s{k}" for k in range(8)])
    systems = {"good": scores, "turned": -scores}
    return VerificationExplorer(systems, target, (a % 2) == (b % 2), names[a], names[b], pair=lambda k: f"clips of {k}")


@pytest.fixture
def shown(explorer, monkeypatch):
    """The screens of an explorer on display, in order."""
    screens = []

    def display(thing, display_id=False):
        if display_id:
            screens.append(Screen(thing))
            return screens[-1]
        return None

    monkeypatch.setattr("IPython.display.display", display)
    explorer.show()
    return screens


def test_figure_follows_system_and_trials(explorer):
    eer = equal_error_rate(explorer.systems["good"], explorer.target)
    assert f"good, all trials: EER {100 * eer:.1f} %" in explorer.figure().layout.title.text
    explorer.set_system("turned")
    turned = equal_error_rate(-explorer.systems["good"], explorer.target)
    assert f"turned, all trials: EER {100 * turned:.1f} %" in explorer.figure().layout.title.text
    explorer.set_trials("same sex")
    assert len(explorer.chosen()) == explorer.same_sex.sum()
    assert "turned, same sex trials" in explorer.figure().layout.title.text


def test_worst_pairs_by_loops(explorer):
    for trials, keep in (("all", np.ones(300, bool)), ("same sex", explorer.same_sex)):
        explorer.set_trials(trials)
        for error, sign, wanted in zip(explorer.ERRORS, (1, -1), (False, True), strict=True):
            explorer.set_error(error)
            scores = explorer.systems["good"]
            ranked = sorted(
                (k for k in range(300) if keep[k] and explorer.target[k] == wanted), key=lambda k: -sign * scores[k]
            )
            assert explorer.worst()[0][1] == ranked[0]
            people = [{explorer.a[k], explorer.b[k]} for _, k in explorer.worst()]
            assert all(people.count(pair) == 1 for pair in people)
            assert len(people) == 8


def test_controls_move_what_is_shown(explorer, shown):
    figure, pair = shown
    first = explorer.worst()[0][1]
    assert pair.shown == f"clips of {first}"
    assert figure.shown.layout.title.text.startswith("good, all trials")
    explorer._controls["system"].value = "turned"
    assert figure.shown.layout.title.text.startswith("turned, all trials")
    assert pair.shown == f"clips of {explorer.worst()[0][1]}"
    explorer._controls["error"].value = explorer.ERRORS[1]
    assert pair.shown == f"clips of {explorer.worst()[0][1]}"
    assert explorer.target[explorer.worst()[0][1]]
    third = explorer.worst()[2][1]
    explorer._controls["pair"].value = third
    assert pair.shown == f"clips of {third}"
    explorer._controls["trials"].value = "same sex"
    assert figure.shown.layout.title.text.startswith("turned, same sex")


def test_controls_are_reached_by_keyboard_and_say_what_they_are(explorer, shown):
    for control in explorer._controls.values():
        assert control.description
        assert control.tabbable is not False


def test_an_explorer_without_clips_names_the_pairs(explorer):
    plain = VerificationExplorer(explorer.systems, explorer.target, explorer.same_sex, explorer.a, explorer.b)
    plain.set_pair(3)  # nothing on display: nothing happens
    assert plain.worst()


def test_importing_widgets_imports_no_ipywidgets():
    import subprocess
    import sys

    code = "import sys, dsel.widgets; print('ipywidgets' in sys.modules or 'plotly' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False", widgets.__name__
