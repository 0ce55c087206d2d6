"""Check that the figures of notebooks 03 to 05 show what they are given, by reading them back."""

import json

import numpy as np
import plotly.graph_objects as go
import pytest

from dsel.plots import losses as lossplots


def ends(x, y):
    """Split the lines of a trace, 'x0, x1, None, ...', into ((x0, y0), (x1, y1)) each."""
    points = [p for p in zip(x, y, strict=True) if None not in p]
    return list(zip(points[::2], points[1::2], strict=True))


def states(figure, number=0):
    """Return (label, changes, traces) of each step of a slider that restyles."""
    return [(step.label, *step.args) for step in figure.layout.sliders[number].steps]


def test_content_pairs_join_the_anchor_with_its_own_track_only():
    N = 5
    for label, changes, traces in states(lossplots.content_pairs(N)):
        t = int(label) - 1
        others, match, anchor = zip(changes["x"], changes["y"], strict=True)
        assert list(traces) == [0, 1, 2]
        assert {(a[0], b[0]) for a, b in ends(*others)} == {
            (t, tau) for tau in range(N) if tau != t
        }
        assert ends(*match) == [((t, 1), (t, 0))]
        assert anchor[0] == [t]


def test_identity_pairs_join_the_picked_face_with_every_mean():
    pick, N = [2, 0, 1], 3
    figure = lossplots.identity_pairs(pick, N)
    means = [figure.data[5].x[j] for j in range(3)]
    for label, changes, _ in states(figure):
        i = int(label) - 1
        others, match = zip(changes["x"], changes["y"], strict=True)
        assert {b[0] for _, b in ends(*others)} == {means[j] for j in range(3) if j != i}
        ((start, end),) = ends(*match)
        assert (start[0], end[0]) == (i * (N + 1) + pick[i], means[i])
        assert {a[0] for a, _ in ends(*others)} == {start[0]}
    assert [s == "square" for s in figure.data[3].marker.symbol] == [
        t == pick[i] for i in range(3) for t in range(N)
    ]


def test_worked_example_prints_weights_shares_and_costs():
    weights = np.array([[4.0, 1, 1], [1, 2, 1], [2, 2, 1]])
    figure = lossplots.worked_example(np.log(weights), rows="t", columns="tau")
    one, two, three = ([list(row) for row in trace.text] for trace in figure.data)
    assert one[0] == ["4", "1", "1"]
    assert two == [
        ["0.667", "0.167", "0.167"],
        ["0.250", "0.500", "0.250"],
        ["0.400", "0.400", "0.200"],
    ]
    assert three == [["0.405", "", ""], ["", "0.693", ""], ["", "", "1.609"]]
    assert "0.903" in figure.layout.title.text


@pytest.fixture
def walk():
    rng = np.random.default_rng(5)
    S, B, N = 4, 2, 3
    face, audio = rng.normal(size=(2, S, B, N, 2))
    p = rng.dirichlet(np.ones(B), size=(S, B))
    return face, audio, rng.uniform(size=S), p, rng.integers(0, N, (S, B)), [0, 3, 9, 20]


def test_moving_points_show_each_recorded_step(walk):
    face, audio, loss, p, picks, steps = walk
    names = {"steps": steps, "chance": 0.7, "title": "", "rows": "i", "columns": "j"}
    figure = lossplots.moving_points(face, audio, loss, p, picks=picks, **names)
    assert [frame.name for frame in figure.frames] == [
        step.args[0][0] for step in figure.layout.sliders[0].steps
    ]
    for s, frame in enumerate(figure.frames):
        lines, faces, sounds, stars, table, now = frame.data
        np.testing.assert_allclose(
            np.stack([faces.x, faces.y], -1), face[s].reshape(-1, 2), atol=6e-4
        )
        np.testing.assert_allclose(
            np.stack([sounds.x, sounds.y], -1), audio[s].reshape(-1, 2), atol=6e-4
        )
        np.testing.assert_allclose(
            np.stack([stars.x, stars.y], -1), audio[s].mean(axis=1), atol=6e-4
        )
        np.testing.assert_allclose(table.z, p[s], atol=6e-4)
        assert (now.x[0], pytest.approx(now.y[0], abs=1e-4)) == (steps[s], loss[s])
        for i, (start, end) in enumerate(ends(lines.x, lines.y)):
            np.testing.assert_allclose(start, face[s, i, picks[s, i]], atol=6e-4)
            np.testing.assert_allclose(end, audio[s, i].mean(axis=0), atol=6e-4)
    figure = lossplots.moving_points(face, audio, loss, p, **names)
    for (start, end), v, a in zip(
        ends(figure.frames[2].data[0].x, figure.frames[2].data[0].y),
        face[2].reshape(-1, 2),
        audio[2].reshape(-1, 2),
        strict=True,
    ):
        np.testing.assert_allclose((start, end), (v, a), atol=6e-4)


def test_every_point_stays_inside_the_plane_that_is_drawn(walk):
    face, audio, loss, p, _, steps = walk
    figure = lossplots.moving_points(
        face, audio, loss, p, steps=steps, chance=0.7, title="", rows="i", columns="j"
    )
    for axis, k in ((figure.layout.xaxis, 0), (figure.layout.yaxis, 1)):
        points = np.concatenate([face[..., k].ravel(), audio[..., k].ravel()])
        assert axis.range[0] < points.min()
        assert points.max() < axis.range[1]


def test_softmax_row_moves_bars_with_w_and_their_foot_with_b():
    cosines, ws, bs = [0.9, -0.2, 0.4], [0, 5, 10], [-5, 0]
    figure = lossplots.softmax_row(cosines, 0, ws=ws, bs=bs, w=10, b=-5)
    for w, (label, changes, traces) in zip(ws, states(figure, 0), strict=True):
        bars, p = changes["y"]
        want = np.array([np.exp(w * c) / sum(np.exp(w * x) for x in cosines) for c in cosines])
        assert (label, list(traces)) == (str(w), [0, 1])
        np.testing.assert_allclose(bars, w * np.array(cosines), atol=1e-4)
        np.testing.assert_allclose(p, want, atol=1e-4)
    for b, (_, changes, traces) in zip(bs, states(figure, 1), strict=True):
        # The softmax, trace 1, is left alone
        assert (changes, list(traces)) == (
            {"base": [float(b)]},
            [0],
        )
    np.testing.assert_allclose(figure.data[1].y, changes_at(figure, "10"), atol=1e-4)


def changes_at(figure, label):
    return next(changes["y"][1] for name, changes, _ in states(figure, 0) if name == label)


def test_bars_against_sets_every_group():
    groups = {"one": np.eye(3), "two": np.full((3, 3), 1 / 3)}
    figure = lossplots.bars_against([1, 2, 3], groups, name="s", title="", match=1, active=2)
    for s, (_, changes, traces) in enumerate(states(figure)):
        assert list(traces) == [0, 1]
        np.testing.assert_allclose(changes["y"], [np.eye(3)[s], [1 / 3] * 3], atol=1e-4)
    assert list(figure.data[0].y) == [0, 0, 1]


def test_arrows_point_to_the_picked_face_and_the_mean_sound():
    face, audio = np.random.default_rng(2).normal(size=(2, 2, 3, 2))
    figure = lossplots.arrows(face, audio, [2, 0], title="")
    tips = {trace.name: (trace.x[-1], trace.y[-1]) for trace in figure.data if trace.name}
    np.testing.assert_allclose(tips["track 1, face"], face[0, 2], atol=1e-4)
    np.testing.assert_allclose(tips["track 2, audio"], audio[1].mean(axis=0), atol=1e-4)


def test_table_and_lines_hold_their_arrays():
    figure = lossplots.table(
        [[1.0, -2.0], [0.5, 0.0]], title="", rows="t", columns="tau", signed=True
    )
    assert [list(row) for row in figure.data[0].z] == [[1.0, -2.0], [0.5, 0.0]]
    assert figure.data[0].zmin == -figure.data[0].zmax  # white is zero
    curves = lossplots.lines(
        [1, 2, 4],
        {"a": [3.0, 2, 1], "b": [1.0, 1, 1]},
        title="",
        x_name="x",
        y_name="y",
        level=2.0,
        log_x=True,
    )
    assert [list(trace.y) for trace in curves.data] == [[3, 2, 1], [1, 1, 1]]
    assert curves.layout.shapes[0].y0 == 2.0


def test_figures_are_plain_lists_that_any_plotly_reads(walk):
    """Refuse base64 arrays: plotly 5, which Colab has, cannot draw them."""
    face, audio, loss, p, picks, steps = walk
    figures = (
        lossplots.content_pairs(6),
        lossplots.identity_pairs([0, 1], 2),
        lossplots.worked_example(np.zeros((3, 3)), rows="", columns=""),
        lossplots.moving_points(
            face,
            audio,
            loss,
            p,
            steps=steps,
            chance=1.0,
            title="",
            rows="",
            columns="",
            picks=picks,
        ),
        lossplots.softmax_row([0.1, 0.2], 0, ws=[10], bs=[-5]),
        lossplots.table(np.eye(4), title="", rows="", columns="", digits=None),
        lossplots.arrows(face[0], audio[0], picks[0], title=""),
    )
    for figure in figures:
        assert isinstance(figure, go.Figure)
        assert "bdata" not in json.dumps(
            figure.to_plotly_json(), default=lambda x: x.to_plotly_json()
        )
