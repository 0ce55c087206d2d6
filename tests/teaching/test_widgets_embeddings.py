"""Check EmbeddingExplorer and RetrievalExplorer against loops."""

import numpy as np
import pytest

from dsel.teaching.widgets import EmbeddingExplorer, RetrievalExplorer
from dsel.teaching.widgets.base import CONTROLS

PLOTLY = "application/vnd.plotly.v1+json"


def cosine(x, y):
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


@pytest.fixture
def explorer():
    rng = np.random.default_rng(0)
    planes, vectors = (
        {
            head: {m: rng.normal(size=(24, n)) for m in ("random", "trained")}
            for head in ("identity", "trunk")
        }
        for n in (2, 6)
    )
    labels = {"speaker": np.repeat(["a", "b", "c"], 8), "pitch": rng.uniform(100, 200, 24)}
    return EmbeddingExplorer(
        planes,
        vectors,
        labels,
        [f"point {k}" for k in range(24)],
        np.arange(24) // 2,
        clip=lambda k: f"clip of {k}",
    )


def points_of(figure):
    """Return {text: (x, y)} of all points of a figure that have a text."""
    return {
        text: (x, y)
        for trace in figure.data
        if trace.text
        for x, y, text in zip(trace.x, trace.y, trace.text, strict=True)
    }


def test_the_map_is_that_of_head_and_moment(explorer):
    for head in explorer.planes:
        for moment in explorer.moments:
            explorer.set_head(head)
            explorer.set_moment(moment)
            shown = points_of(explorer.figure())
            assert len(shown) == 24
            for k in range(24):
                np.testing.assert_allclose(
                    shown[f"point {k}"], explorer.planes[head][moment][k], atol=1e-3
                )
            assert head in explorer.figure().layout.title.text
            assert moment in explorer.figure().layout.title.text


def test_neighbours_are_of_the_embedding_and_of_other_tracks(explorer):
    explorer.set_point(5)
    x = explorer.vectors["identity"]["trained"]
    others = [k for k in range(24) if k // 2 != 2]
    expected = sorted(others, key=lambda k: -cosine(x[k], x[5]))[: explorer.NEAR]
    assert explorer.near().tolist() == expected
    rays = explorer.figure().data[0]
    plane = explorer.planes["identity"]["trained"]
    ends = [(rays.x[3 * n + 1], rays.y[3 * n + 1]) for n in range(explorer.NEAR)]
    np.testing.assert_allclose(ends, plane[expected], atol=1e-3)
    assert {(rays.x[3 * n], rays.y[3 * n]) for n in range(explorer.NEAR)} == {
        tuple(np.round(plane[5], 3).tolist())
    }


def test_colours_by_class_and_by_number(explorer):
    assert {"a", "b", "c"} <= {trace.name for trace in explorer.figure().data}
    explorer.set_factor("pitch")
    (trace,) = [trace for trace in explorer.figure().data if trace.text]
    np.testing.assert_allclose(trace.marker.color, explorer.labels["pitch"], atol=0.01)


def test_every_control_moves_what_is_shown(explorer, displayed):
    explorer.show()
    controls, figure, clip = displayed
    assert controls["text/plain"] == CONTROLS  # what a page without a kernel shows
    assert clip.history == ["clip of 0"]
    for name, value in (("head", "trunk"), ("factor", "pitch"), ("moment", "random"), ("point", 7)):
        before = figure.shown[PLOTLY]
        explorer._controls[name].value = value
        assert figure.shown[PLOTLY] != before, name
    assert clip.shown == "clip of 7"


def numbers_of(figure) -> list:
    """List the numbers that a click on a point or a bar sends, with the texts."""
    traces = [trace for trace in figure.data if trace.customdata is not None]
    return [p for t in traces for p in zip(t.customdata, t.text, strict=True)]


@pytest.mark.parametrize("factor", ["speaker", "pitch"])
def test_a_click_on_a_point_chooses_it(explorer, displayed, factor):
    explorer.set_factor(factor)
    assert sorted(numbers_of(explorer.figure())) == [(k, f"point {k}") for k in range(24)]
    explorer.show()
    (picker,) = explorer._picker()
    picker.value = 9  # page.js does this
    assert explorer.point == explorer._controls["point"].value == 9
    assert displayed[-1].shown == "clip of 9"
    assert "point 9" in explorer.figure().layout.title.text
    picker.value = 24  # no such point
    assert explorer.point == 9


@pytest.fixture
def retrieval():
    rng = np.random.default_rng(1)
    track = np.repeat(np.arange(6), 4)
    person, content = rng.normal(size=(6, 5)), rng.normal(size=(24, 5))
    hover = np.array([f"window {w}" for w in range(24)])
    speaker, sound = np.repeat(["ann", "bob", "cy"], 2), np.tile(["stop", "vowel"], 12)
    return RetrievalExplorer(
        person, content, track, hover, speaker, sound, clips=lambda windows: tuple(windows), count=4
    )


def test_both_answers_by_loops(retrieval):
    for query in (0, 9, 23):
        retrieval.set_query(query)
        mine = query // 4
        who = sorted(
            (k for k in range(6) if k != mine),
            key=lambda k: -cosine(retrieval.person[k], retrieval.person[mine]),
        )[:4]
        found, scores = retrieval.who()
        assert [w // 4 for w in found] == who
        np.testing.assert_allclose(
            scores, [cosine(retrieval.person[k], retrieval.person[mine]) for k in who]
        )
        best = [
            max(
                range(4 * k, 4 * k + 4),
                key=lambda w: cosine(retrieval.content[w], retrieval.content[query]),
            )
            for k in range(6)
            if k != mine
        ]
        found, scores = retrieval.what()
        expected = sorted(
            best, key=lambda w: -cosine(retrieval.content[w], retrieval.content[query])
        )[:4]
        assert found.tolist() == expected
        np.testing.assert_allclose(
            scores, [cosine(retrieval.content[w], retrieval.content[query]) for w in expected]
        )


def test_right_answers_are_marked_right(retrieval):
    retrieval.set_query(9)
    figure = retrieval.figure()
    who, what = figure.data
    for bars, right in (
        (who, [retrieval.speaker[w // 4] == "bob" for w in retrieval.who()[0]]),
        (what, [retrieval.sound[w] == retrieval.sound[9] for w in retrieval.what()[0]]),
    ):
        assert [text.startswith("✓") for text in bars.text] == right
        assert (
            len({colour for colour, yes in zip(bars.marker.color, right, strict=True) if yes}) <= 1
        )
    assert "window 9" in figure.layout.title.text


def test_clips_are_the_question_and_the_best_of_both_answers(retrieval, displayed):
    retrieval.show()
    _, figure, clips = displayed
    who, what = retrieval.who()[0].tolist(), retrieval.what()[0].tolist()
    assert [number for number, _ in numbers_of(retrieval.figure())] == who + what
    assert clips.history == [(0, retrieval.who()[0][0], retrieval.what()[0][0])]
    retrieval._controls["query"].value = 13
    assert clips.shown == (13, retrieval.who()[0][0], retrieval.what()[0][0])
    assert "window 13" in figure.shown[PLOTLY]["layout"]["title"]["text"]
