"""Check that the figures of verification show counts, rates and intervals as measured."""

import json

import numpy as np
import plotly.graph_objects as go
import pytest

from dsel.evaluate.verification import equal_error_rate, min_dcf
from dsel.plots import verification as figures


@pytest.fixture(scope="module")
def trials():
    rng = np.random.default_rng(0)
    target = np.arange(400) % 4 == 0
    return rng.normal(size=400) + 1.5 * target, target


def test_probit_is_the_inverse_of_the_normal_distribution():
    from scipy.stats import norm

    share = np.array([0.001, 0.1, 0.5, 0.9])
    np.testing.assert_allclose(norm.cdf(figures.probit(share)), share, rtol=1e-9)
    assert np.isfinite(figures.probit([0, 1])).all()


def test_rates_at_a_threshold_by_counting():
    scores, target = [1.0, 2.0, 2.0, 3.0], [True, True, False, False]
    for theta, miss, alarm in ((0, 0, 1), (1, 0.5, 1), (2, 1, 0.5), (3, 1, 0)):
        assert figures.rates_at(scores, target, theta) == (miss, alarm)


def test_histograms_lose_no_trial(trials):
    middles, targets, impostors = figures.histograms(*trials)
    assert len(middles) == len(targets) == len(impostors) == 40
    assert targets.sum() == pytest.approx(100)
    assert impostors.sum() == pytest.approx(100)


def test_threshold_figure_tells_the_rates_of_each_position(trials):
    scores, target = trials
    figure = figures.threshold_figure(scores, target, title="A")
    steps = figure.layout.sliders[0].steps
    places = figures.thresholds(scores)
    assert len(steps) == figures.POSITIONS
    for k in (0, 17, 60):
        moved, layout, traces = steps[k].args
        miss = sum(s <= places[k] for s, t in zip(scores, target, strict=True) if t) / target.sum()
        alarm = (
            sum(s > places[k] for s, t in zip(scores, target, strict=True) if not t)
            / (~target).sum()
        )
        assert (
            f"{100 * miss:.1f} % of the targets missed, {100 * alarm:.1f} % false alarms"
            in layout["title.text"]
        )
        assert list(traces) == [2, 4]
        assert moved["x"][0] == pytest.approx([places[k]] * 2, abs=1e-4)
        assert moved["x"][1] == pytest.approx(figures.probit([alarm]), abs=1e-3)
        assert moved["y"][1] == pytest.approx(figures.probit([miss]), abs=1e-3)
    at_rest = steps[figure.layout.sliders[0].active].args[1]["title.text"]
    assert figure.layout.title.text == at_rest
    miss, alarm = figures.rates_at(scores, target, places[figure.layout.sliders[0].active])
    assert abs(miss - alarm) < 0.05  # it starts near the equal error rate
    assert figures.threshold_figure(scores, target, title="A", at=2.0).layout.sliders[0].active > 30


def test_det_figure_marks_the_eer_on_the_diagonal(trials):
    scores, target = trials
    figure = figures.det_figure({"one": trials, "two": (-scores, target)}, title="")
    names = [trace.name for trace in figure.data]
    assert f"one: EER {100 * equal_error_rate(scores, target):.1f} %" in names
    dots = [trace for trace in figure.data if trace.mode == "markers"]
    for dot, sign in zip(dots, (1, -1), strict=True):
        assert (
            dot.x
            == dot.y
            == (
                pytest.approx(
                    figures.probit([equal_error_rate(sign * scores, target)])[0], abs=1e-3
                ),
            )
        )
    curve = figure.data[names.index(next(name for name in names if name.startswith("one")))]
    assert (np.diff(curve.x) <= 0).all()
    assert (np.diff(curve.y) >= 0).all()


def test_thin_keeps_the_ends_and_leaves_no_gap():
    share = np.linspace(0, 1, 5001)
    keep = figures.thin(share, 1 - share)
    assert (keep[0], keep[-1]) == (0, 5000)
    assert len(keep) < 600
    inside = figures.probit(share[keep])
    assert np.diff(inside)[1:-1].max() < 0.1


def test_intervals_are_drawn_in_percent():
    figure = figures.intervals(
        {"a": {"x": (0.2, 0.15, 0.3), "y": (0.4, 0.4, 0.5)}, "b": {"x": (0.1, 0.0, 0.2)}}, title=""
    )
    first = figure.data[0]
    assert list(first.x) == [20, 40]
    assert list(first.error_x.array) == pytest.approx([10, 10])
    assert list(first.error_x.arrayminus) == pytest.approx([5, 0])
    assert list(figure.layout.yaxis.ticktext) == ["x", "y"]
    heights = [list(trace.y) for trace in figure.data]
    assert [round(y) for y in heights[0]] == [0, 1]  # each in the row of its name,
    assert round(heights[1][0]) == 0
    assert heights[0][0] != heights[1][0]  # and the groups apart


def test_costs_mark_the_minimum(trials):
    figure = figures.costs(*trials, priors=(0.5, 0.05), title="")
    dots = [trace for trace in figure.data if trace.mode == "markers"]
    for p, dot in zip((0.5, 0.05), dots, strict=True):
        assert dot.y[0] == pytest.approx(min_dcf(*trials, p), abs=1e-3)
        assert figures.rates_at(*trials, dot.x[0])[0] > 0


def test_figures_are_plain_lists_that_any_plotly_reads(trials):
    for figure in (
        figures.threshold_figure(*trials, title=""),
        figures.det_figure({"a": trials}, title=""),
        figures.intervals({"a": {"x": (0.2, 0.1, 0.3)}}, title=""),
        figures.costs(*trials, title=""),
    ):
        assert isinstance(figure, go.Figure)
        assert "bdata" not in json.dumps(
            figure.to_plotly_json(), default=lambda x: x.to_plotly_json()
        )


@pytest.mark.parametrize(("low", "high", "digits"), [(-1, 1, 2), (0.5, 0.9, 3), (0.994, 0.9999, 5)])
def test_a_threshold_is_told_as_finely_as_the_scores_differ(low, high, digits):
    scores = np.linspace(low, high, 50)
    assert figures.decimals(scores) == digits
    figure = figures.threshold_figure(scores, np.arange(50) % 2 == 0, title="")
    labels = [step.label for step in figure.layout.sliders[0].steps]
    assert len(set(labels)) == len(labels)
