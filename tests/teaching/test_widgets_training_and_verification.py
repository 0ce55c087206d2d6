"""Check VerificationExplorer and TrainingMonitor: controls change the figure as they say."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from dsel.evaluate.verification import equal_error_rate
from dsel.model import ModelConfig
from dsel.plots.training import bars, chance_levels, curves, side_by_side
from dsel.teaching import widgets
from dsel.teaching.widgets import TrainingMonitor, VerificationExplorer
from dsel.train import TrainConfig, Trainer
from dsel.train.profile import step_parts
from dsel.utils.errors import BadInput


@pytest.fixture
def explorer():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 8, (2, 300))
    target = a == b
    scores = rng.normal(size=300) + 2 * target
    names = np.array([f"s{k}" for k in range(8)])
    systems = {"good": scores, "turned": -scores}
    return VerificationExplorer(
        systems, target, (a % 2) == (b % 2), names[a], names[b], pair=lambda k: f"clips of {k}"
    )


def title_of(screen) -> str:
    """Return the title of the figure on display."""
    return screen.shown["application/vnd.plotly.v1+json"]["layout"]["title"]["text"]


@pytest.fixture
def shown(explorer, displayed):
    """Display an explorer; return what is on display after the controls."""
    explorer.show()
    return displayed[1:]  # the controls come first


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
                (k for k in range(300) if keep[k] and explorer.target[k] == wanted),
                key=lambda k: -sign * scores[k],
            )
            assert explorer.worst()[0][1] == ranked[0]
            people = [{explorer.a[k], explorer.b[k]} for _, k in explorer.worst()]
            assert all(people.count(pair) == 1 for pair in people)
            assert len(people) == 8


def test_controls_move_what_is_shown(explorer, shown):
    figure, pair = shown
    first = explorer.worst()[0][1]
    assert pair.shown == f"clips of {first}"
    assert title_of(figure).startswith("good, all trials")
    explorer._controls["system"].value = "turned"
    assert title_of(figure).startswith("turned, all trials")
    assert pair.shown == f"clips of {explorer.worst()[0][1]}"
    explorer._controls["error"].value = explorer.ERRORS[1]
    assert pair.shown == f"clips of {explorer.worst()[0][1]}"
    assert explorer.target[explorer.worst()[0][1]]
    third = explorer.worst()[2][1]
    explorer._controls["pair"].value = third
    assert pair.shown == f"clips of {third}"
    explorer._controls["trials"].value = "same sex"
    assert title_of(figure).startswith("turned, same sex")


def test_controls_are_reached_by_keyboard_and_say_what_they_are(explorer, shown):
    for control in explorer._controls.values():
        assert control.description
        assert getattr(control, "tabbable", None) is not False  # ipywidgets 8


def test_an_explorer_without_clips_names_the_pairs(explorer):
    plain = VerificationExplorer(
        explorer.systems, explorer.target, explorer.same_sex, explorer.a, explorer.b
    )
    plain.set_pair(3)  # nothing on display: nothing happens
    assert plain.worst()


@pytest.mark.heavy
def test_importing_widgets_imports_no_ipywidgets():
    import subprocess
    import sys

    code = "import sys, dsel.teaching.widgets.embeddings\n"
    code += "print('ipywidgets' in sys.modules or 'plotly' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False", widgets.__name__


class Steps:
    """Stands for a trainer whose step takes a millisecond."""

    def __init__(self, steps=40, log_every=2, breaks_at=None):
        self.config = SimpleNamespace(
            steps=steps, N=6, B=4, extra=2, w_max=20.0, log_every=log_every
        )
        self.step, self.saved, self.breaks_at = 0, [], breaks_at

    def fit(self, callback=None, until=None):
        stop = min(until or self.config.steps, self.config.steps)
        while self.step < stop:
            time.sleep(0.001)
            self.step += 1
            if self.step == self.breaks_at:
                raise BadInput("run: loss is nan")
            if self.step % self.config.log_every == 0:
                row = dict.fromkeys(("content", "identity", "confusion_cs", "confusion_sc"), 1.0)
                row |= {
                    "step": self.step,
                    "content_top1": 0.2,
                    "identity_top1": 0.3,
                    "w_content": 10.0,
                    "w_identity": 11.0,
                }
                if callback(self, row) is False:
                    break
        self.saved.append(self.step)


def title(monitor) -> str:
    """Return the title of the monitor's figure."""
    return title_of(monitor.shown[1])


@pytest.fixture
def monitor(displayed):
    monitor = TrainingMonitor(Steps())
    monitor.show()
    monitor.shown = displayed
    return monitor


def test_nothing_runs_until_start_is_pressed_and_the_figure_says_so(monitor):
    assert monitor.trainer.step == 0
    assert monitor.status() == "not started"
    assert "not started" in title(monitor)
    assert [b.disabled for b in monitor._buttons.values()] == [False, True, False]


def test_start_pause_and_resume_lose_no_step_and_save(monitor):
    monitor._buttons["start"].click()
    assert monitor.running
    monitor.start()  # a second press does nothing
    give_up = time.time() + 20
    while len(monitor.rows) < 3 and time.time() < give_up:
        time.sleep(0.001)
    monitor._buttons["pause"].click()
    reached = monitor.trainer.step
    assert not monitor.running
    assert 6 <= reached < 40
    assert monitor.trainer.saved == [reached]
    assert monitor.status() == f"paused, step {reached} of 40"
    assert f"step {monitor.rows[-1]['step']} of 40" in title(monitor)
    monitor._buttons["step"].click()
    assert monitor.trainer.step == reached + 2
    monitor.finish()
    assert [row["step"] for row in monitor.rows] == list(range(2, 41, 2))
    assert monitor.done
    assert monitor._state.value == "finished, step 40 of 40"
    assert [b.disabled for b in monitor._buttons.values()] == [True, True, True]
    monitor.start()
    assert not monitor.running


def test_what_stops_a_training_is_said_and_raised(monitor):
    monitor.trainer.breaks_at = 5
    with pytest.raises(BadInput, match="loss is nan"):
        monitor.finish()
    assert "stopped at step 5 of 40: run: loss is nan" in monitor._state.value
    monitor.finish()  # and it may be tried again
    assert monitor.done


def test_curves_are_measured_from_their_chance_levels():
    assert chance_levels(30, 16, 64) == pytest.approx(
        {
            "content": np.log(30),
            "identity": np.log(80),
            "confusion_cs": np.log(16),
            "confusion_sc": np.log(30),
        }
    )
    trainer = Steps(4)
    rows = TrainingMonitor(trainer).finish()
    figure = curves(rows, N=6, B=4, extra=2, steps=4, w_max=20.0)
    by_name = {trace.name: trace for trace in figure.data[:4]}
    assert by_name["identity loss"].y == pytest.approx([1 - np.log(6)] * 2)
    assert by_name["confusion c→s"].y == pytest.approx([1 - np.log(4)] * 2)
    assert list(figure.layout.xaxis.range) == [0, 4]


def test_the_parts_of_a_step_are_timed_and_the_step_is_taken(noise_corpus, tmp_path):
    config = TrainConfig.checked(B=3, N=6, extra=2, steps=6, device="cpu", precision="float32")
    trainer = Trainer(noise_corpus, ModelConfig.laptop(), config, tmp_path, progress=False)
    before = trainer.model.face_trunk.layers[0].weight.detach().clone()
    parts = step_parts(trainer, steps=2)
    assert trainer.step == 2
    assert not np.array_equal(
        before.numpy(), trainer.model.face_trunk.layers[0].weight.detach().numpy()
    )
    assert all(ms >= 0 for ms in parts.values())
    assert {"backward", "read a batch", "optimiser"} <= parts.keys()
    assert f"{sum(parts.values()):.0f} ms" in bars(parts).layout.title.text
    figure = side_by_side({"a": [], "b": []}, N=6, B=3, extra=2)
    assert len(figure.data) == 8
