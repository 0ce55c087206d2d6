"""Check that the figures of notebook 05 show what they are given, by reading them back."""

import json

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

from dsel.losses import confusion_loss, matching_loss
from dsel.plots import confusion as confusionplots
from dsel.plots import style


def test_tables_show_each_array_under_its_heading_with_the_mean_of_its_diagonal():
    rng = np.random.default_rng(1)
    named = {f"table {k}": rng.dirichlet(np.ones(4), size=4) for k in range(3)}
    figure = confusionplots.tables(named, title="three", columns=2)
    for trace, array in zip(figure.data, named.values(), strict=True):
        np.testing.assert_allclose(trace.z, array, atol=1e-4)
        assert trace.coloraxis == "coloraxis"  # one colour scale, or the tables cannot be compared
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0, 1)
    heads = [
        f"{head}<br>match: {np.mean([table[k, k] for k in range(4)]):.2f}"
        for head, table in named.items()
    ]
    assert [note.text for note in figure.layout.annotations] == heads
    assert {axis.autorange for axis in figure.select_yaxes()} == {"reversed"}  # row 1 on top
    # No marks without numbers
    assert {axis.ticks for axis in [*figure.select_xaxes(), *figure.select_yaxes()]} == {""}


def test_beside_gives_a_name_one_colour_and_one_legend_entry():
    x, colours = [0, 1, 2], {"a": "#111111", "b": "#222222"}
    panels = {"one": {"a": [1.0, 2, 3], "b": [3.0, 2, 1]}, "two": {"a": [0.5, 0.5, 0.5]}}
    figure = confusionplots.beside(
        panels, x, x_name="x", y_names=["u", "v"], colours=colours, log_y=True, dashed=["b"]
    )
    expected = [
        ("a", "x", [1, 2, 3], True),
        ("b", "x", [3, 2, 1], True),
        ("a", "x2", [0.5, 0.5, 0.5], False),
    ]
    assert [(t.name, t.xaxis, list(t.y), t.showlegend) for t in figure.data] == expected
    assert all(t.line.color == colours[t.name] and list(t.x) == x for t in figure.data)
    assert [t.line.dash for t in figure.data] == ["solid", "dash", "solid"]
    assert [axis.type for axis in figure.select_yaxes()] == ["log", "log"]
    assert [axis.title.text for axis in figure.select_yaxes()] == ["u", "v"]


@pytest.fixture
def descents():
    """Draw {setting: {head: (S, 2, B, N) angles}}."""
    rng = np.random.default_rng(2)
    return {
        name: {head: rng.uniform(-np.pi, np.pi, (3, 2, 2, 4)) for head in ("content", "identity")}
        for name in ("p", "q")
    }


def test_directions_show_every_recorded_step_by_angle_alone(descents):
    figure = confusionplots.directions(descents, steps=[0, 10, 20])
    assert [frame.name for frame in figure.frames] == ["0", "10", "20"]
    # Row by row
    panels = [descents[name][head] for head in ("content", "identity") for name in ("p", "q")]
    for k, frame in enumerate(figure.frames):
        assert list(frame.traces) == [0, 1, 2, 3]
        for trace, angles in zip(frame.data, panels, strict=True):
            seen = np.arctan2(trace.y, trace.x).reshape(2, 2, 4)
            np.testing.assert_allclose(np.exp(1j * seen), np.exp(1j * angles[k]), atol=1e-3)
            radius = np.hypot(trace.x, trace.y).reshape(2, 8)
            assert radius[0].min() > radius[1].max() + 0.2  # faces outside, sounds inside
    for trace, last in zip(figure.data, figure.frames[-1].data, strict=True):  # at rest: the end
        assert (list(trace.x), list(trace.y)) == (list(last.x), list(last.y))
    slider = figure.layout.sliders[0]
    assert slider.active == 2
    assert [step.args[0] for step in slider.steps] == [("0",), ("10",), ("20",)]


def test_directions_colour_the_track_and_number_the_window(descents):
    trace = confusionplots.directions(descents, steps=[0, 10, 20]).data[0]
    assert list(trace.text) == ["1", "2", "3", "4"] * 4
    colours, symbols = (
        np.reshape(trace.marker.color, (2, 2, 4)),
        np.reshape(trace.marker.symbol, (2, 8)),
    )
    assert (colours == colours[:, :, :1]).all()  # one colour a track, in both streams
    assert (colours[0] == colours[1]).all()
    assert colours[0, 0, 0] != colours[0, 1, 0]
    assert set(symbols[0]) != set(symbols[1])
    assert trace.hovertext[5] == "face, track 2, window 2"
    assert trace.hovertext[8 + 7] == "audio, track 2, window 4"


def test_row_under_scale_agrees_with_the_losses_of_the_package():
    cosines, ws = torch.tensor([0.2, 0.9, -0.4, 0.1], dtype=torch.float64), [0.5, 3, 10]
    figure = confusionplots.row_under_scale(cosines, match=1, ws=ws, w=3)
    for w, step in zip(ws, figure.layout.sliders[0].steps, strict=True):
        (changes, layout) = step.args
        logits = float(w) * cosines
        np.testing.assert_allclose(changes["y"][0], logits.softmax(dim=-1), atol=1e-4)
        # (K, K): the match of row k in column k
        rows = torch.stack([logits.roll(k - 1) for k in range(4)])
        matching, confusion = matching_loss(rows), confusion_loss(rows) - np.log(4)
        text = f"w = {w:g}: matching loss {matching:.2f}, confusion loss − log K = {confusion:.2f}"
        assert layout["title.text"] == text
    # At rest: w = 3
    assert list(figure.data[0].y) == list(figure.layout.sliders[0].steps[1].args[0]["y"][0])
    colours = figure.data[0].marker.color
    # Only the match stands out
    assert [colour != colours[0] for colour in colours] == [
        False,
        True,
        False,
        False,
    ]
    assert figure.layout.shapes[0].y0 == 1 / 4


def test_losses_under_show_each_run_as_multiples_of_chance():
    steps, chance = 60, {"content": 2.0, "identity": 3.0, "confusion_cs": 3.0, "confusion_sc": 2.0}
    rng = np.random.default_rng(3)
    runs = {lam: {key: rng.uniform(0, 4, steps) for key in chance} for lam in (0.0, 1.0)}
    titles = {0.0: "none", 1.0: "one"}
    figure = confusionplots.losses_under(runs, titles, every=5, chance=chance, active=1)
    assert [trace.name for trace in figure.data] == [style.NAMES[key] for key in chance]
    for (lam, run), step in zip(runs.items(), figure.layout.sliders[0].steps, strict=True):
        changes, layout = step.args
        assert layout["title.text"] == titles[lam]
        for trace, y, (key, level) in zip(figure.data, changes["y"], chance.items(), strict=True):
            # The ten steps up to x
            by_hand = [run[key][x - 10 : x].mean() / level for x in trace.x]
            np.testing.assert_allclose(y, by_hand, atol=1e-3)
    for trace, y in zip(figure.data, figure.layout.sliders[0].steps[1].args[0]["y"], strict=True):
        assert list(trace.y) == list(y)  # at rest: the active run
    assert figure.layout.shapes[0].y0 == 1


def test_figures_are_plain_lists_that_any_plotly_reads(descents):
    """Refuse base64 arrays: plotly 5, which Colab has, cannot draw them."""
    chance = {"content": 1.0, "identity": 1.0, "confusion_cs": 1.0, "confusion_sc": 1.0}
    runs = {0.0: {key: np.ones(20) for key in chance}}
    figures = (
        confusionplots.tables({"a": np.eye(3)}, title=""),
        confusionplots.beside(
            {"a": {"b": np.ones(3)}}, range(3), x_name="", y_names=[""], colours={"b": "#000"}
        ),
        confusionplots.directions(descents, steps=[0, 1, 2]),
        confusionplots.row_under_scale([0.1, 0.2], 0, ws=[1], w=1),
        confusionplots.losses_under(runs, {0.0: ""}, every=1, chance=chance),
    )
    for figure in figures:
        assert isinstance(figure, go.Figure)
        assert "bdata" not in json.dumps(
            figure.to_plotly_json(), default=lambda x: x.to_plotly_json()
        )
