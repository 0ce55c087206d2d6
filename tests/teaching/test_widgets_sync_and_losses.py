"""Check SyncExplorer against loops, and LossExplorer against dsel.reference."""

import json
import math

import numpy as np
import pytest

from dsel import reference
from dsel.corpus.clips import shift_sound
from dsel.plots import NAMES
from dsel.teaching.widgets import LossExplorer, SyncExplorer

PLOTLY = "application/vnd.plotly.v1+json"
T, REACH = 40, 15


def title_of(explorer) -> str:
    return explorer.figure().layout.title.text


def clip_of(seed):
    """Draw mouths, opening and log-mel, with losses that are lowest in step."""
    rng = np.random.default_rng(seed)
    losses = 3 - 2 * np.exp(-(np.arange(-REACH, REACH + 1.0) ** 2) / 4)
    return (
        rng.integers(0, 255, (T, 12, 12, 3), np.uint8),
        rng.uniform(0, 0.7, T),
        rng.normal(size=(8, 4 * T)),
        losses,
    )


WAVEFORM = np.random.default_rng(9).uniform(-1, 1, 640 * T).astype(np.float32)


@pytest.fixture
def sync():
    clips = {f"stranger {k}": clip_of(k) for k in range(4)}
    return SyncExplorer(
        clips, chance=math.log(16), clip=lambda name, k: (name, shift_sound(WAVEFORM, k)), seed=1
    )


def test_every_clip_comes_with_an_offset_worth_finding_and_within_reach(sync):
    offsets = [SyncExplorer(sync.clips, chance=1.0, seed=seed).planted for seed in range(50)]
    found = {k for planted in offsets for k in planted.values()}
    assert found == {*range(-7, -2), *range(3, 8)}
    assert len({tuple(planted.values()) for planted in offsets}) > 40  # the seed decides
    assert SyncExplorer(sync.clips, chance=1.0, seed=1).planted == sync.planted


def test_the_sound_that_is_heard_moves_by_exactly_640_samples_a_frame(sync, displayed):
    sync.show()
    _, _, clip = displayed  # the controls come first, then the figure
    planted = sync.planted["stranger 0"]
    for k in (0, 1, -1, 4, -15, 15, -planted):
        sync._controls["shift"].value = k
        name, heard = clip.shown
        expected = np.zeros_like(WAVEFORM)
        for s in range(len(WAVEFORM)):
            if 0 <= s - 640 * (planted + k) < len(WAVEFORM):
                expected[s] = WAVEFORM[s - 640 * (planted + k)]
        assert name == "stranger 0"
        np.testing.assert_array_equal(heard, expected)
    # Pushed back by what was planted: the clip itself
    np.testing.assert_array_equal(heard, WAVEFORM)
    assert sync.late() == 0


def test_the_loudness_stands_where_the_sound_is_and_the_mouth_stays(sync):
    mouth, loudness = (
        next(t for t in sync.figure().data if t.name == name)
        for name in ("mouth opening", "loudness")
    )
    first = T // 4  # the middle half of the clip is drawn
    np.testing.assert_allclose(
        mouth.y, sync.clips["stranger 0"][1][first : first + T // 2], atol=1e-3
    )
    for k in (0, 3, -9):
        sync.set_shift(k)
        moved = {trace.name: trace for trace in sync.figure().data}
        assert moved["loudness"].x0 == pytest.approx(
            0.005 + 0.04 * (sync.planted["stranger 0"] + k - first)
        )
        assert moved["loudness"].y == loudness.y
        assert (moved["mouth opening"].x, moved["mouth opening"].y) == (mouth.x, mouth.y)


def test_nothing_gives_the_answer_away_until_it_is_uncovered(sync):
    planted = sync.planted["stranger 0"]
    assert "as it came" in title_of(sync)
    sync.set_shift(2)
    hidden = sync.figure()
    assert "k = +2 frames (+80 ms)" in hidden.layout.title.text
    assert not any(trace.xaxis == "x3" for trace in hidden.data)  # no curve of the network
    sync.set_answer("shown")
    curve, dot = (trace for trace in sync.figure().data if trace.xaxis == "x3")
    # The valley: push it back by what was planted
    assert curve.x[int(np.argmin(curve.y))] == -planted
    assert (dot.x, dot.y) == (
        (2,),
        (pytest.approx(sync.clips["stranger 0"][3][REACH + planted + 2], abs=1e-3),),
    )
    assert [s.x0 for s in sync.figure().layout.shapes if (s.xref, s.x0) == ("x3", s.x1)] == [
        -planted
    ]
    side = "late" if planted > 0 else "early"
    assert f"came {abs(planted)} frames ({40 * abs(planted)} ms) {side}" in title_of(sync)
    sync.set_shift(-planted)
    assert title_of(sync).endswith("it is in step")
    # Beyond what the network was asked: no dot, and none in a wrong place
    sync.set_shift(15 if planted > 0 else -15)
    _, dot = (trace for trace in sync.figure().data if trace.xaxis == "x3")
    assert dot.x == ()


def test_another_clip_is_a_new_question(sync, displayed):
    sync.show()
    _, figure, clip = displayed
    sync._controls["shift"].value, sync._controls["answer"].value = 5, "shown"
    assert "came" in figure.shown[PLOTLY]["layout"]["title"]["text"]
    sync._controls["name"].value = "stranger 2"
    assert (sync.shift, sync.answer, sync.late()) == (0, "hidden", sync.planted["stranger 2"])
    assert (sync._controls["shift"].value, sync._controls["answer"].value) == (0, "hidden")
    assert "as it came" in figure.shown[PLOTLY]["layout"]["title"]["text"]
    name, heard = clip.shown
    assert name == "stranger 2"
    np.testing.assert_array_equal(heard, shift_sound(WAVEFORM, sync.planted["stranger 2"]))


def test_without_a_player_the_figure_still_moves(sync, displayed):
    silent = SyncExplorer(sync.clips, chance=1.0)
    silent.show()
    assert len(displayed) == 2
    before = displayed[1].shown
    silent._controls["shift"].value = 3
    assert displayed[1].shown != before


def by_reference(explorer) -> dict:
    """Compute an explorer's losses from its settings: angles by loops, then dsel.reference."""
    B, N = explorer._off.shape
    face, audio = np.zeros((2, B, N, 2))
    for i in range(B):
        for t in range(N):
            angle = math.radians(
                explorer.who * 360 * i / B + explorer.what * 360 * (t - (N - 1) / 2) / N
            )
            off = angle + math.radians(explorer.noise * explorer._off[i, t].item())
            face[i, t], audio[i, t] = (
                (math.cos(angle), math.sin(angle)),
                (math.cos(off), math.sin(off)),
            )
    cosine = explorer.similarity == "scaled cosine"
    similarity = (
        reference.scaled_cosine(explorer.w, 0.0) if cosine else reference.inverse_distance()
    )
    content = reference.content_logits(face, audio, similarity)
    identity = reference.identity_logits(face, audio, similarity, explorer.pick.numpy())
    return {
        "content": reference.matching_loss(content),
        "identity": reference.matching_loss(identity),
        "confusion_cs": reference.confusion_loss(identity),
        "confusion_sc": reference.confusion_loss(content),
    }


@pytest.mark.parametrize("similarity", LossExplorer.SIMILARITIES)
def test_the_losses_are_those_of_the_reference(similarity):
    explorer = LossExplorer(seed=4)
    explorer.set_similarity(similarity)
    for who, what, noise, w in ((0.5, 0.5, 15, 10), (1, 0.3, 40, 3), (0.2, 0.9, 5, 25)):
        explorer.set_who(who), explorer.set_what(what), explorer.set_noise(noise), explorer.set_w(w)
        assert explorer.losses() == pytest.approx(by_reference(explorer), rel=1e-6)
        for term in explorer.terms:
            explorer.set_term(term)
            value = by_reference(explorer)[term]
            assert title_of(explorer).startswith(f"{NAMES[term].capitalize()} {value:.3f};")


def test_the_figure_shows_the_task_of_the_term():
    explorer = LossExplorer(seed=4)
    for term, K in (("content", 4), ("confusion_sc", 4), ("identity", 3), ("confusion_cs", 3)):
        explorer.set_term(term)
        figure = explorer.figure()
        logits, p = (np.array(trace.z) for trace in figure.data if trace.type == "heatmap")
        shown = explorer.logits(term)[0] if K == 4 else explorer.logits(term)
        np.testing.assert_allclose(logits, shown, atol=1e-4)
        for row, shares in zip(shown.tolist(), p, strict=True):
            assert shares == pytest.approx(
                [math.exp(x) / sum(math.exp(y) for y in row) for x in row], abs=1e-4
            )
        frames = [s for s in figure.layout.shapes if s.type == "rect"]
        assert sorted((s.x0 + 0.5, s.y0 + 0.5) for s in frames) == sorted(
            [(k, k) for k in range(1, K + 1)] * 2
        )
        (bars,) = (trace for trace in figure.data if trace.type == "bar")
        assert bars.y == pytest.approx(tuple(explorer.losses().values()), abs=1e-4)
        strong = [
            name
            for name, colour in zip(explorer.terms, bars.marker.color, strict=True)
            if colour != "white"
        ]
        assert strong == [term]
        dotted = [s.y0 for s in figure.layout.shapes if s.type == "line"]
        assert dotted == pytest.approx([math.log(4), math.log(3), math.log(3), math.log(4)])
        assert f"log {K} = {math.log(K):.3f}" in title_of(explorer)
        face = next(trace for trace in figure.data if trace.name == "face")
        np.testing.assert_allclose(
            np.stack([face.x, face.y], -1), explorer.points()[0].reshape(-1, 2), atol=1e-3
        )


def test_what_a_class_is_to_find():
    """Set up a content head, an identity head, one that knows both, and one that knows nothing."""
    B, N = 3, 4
    explorer = LossExplorer(noise=0.0, B=B, N=N)
    chance = explorer.chance()
    assert chance == pytest.approx({"content": math.log(N), "identity": math.log(B)} | {
        "confusion_cs": math.log(B), "confusion_sc": math.log(N)})  # fmt: skip
    explorer.set_who(0.0), explorer.set_what(1.0)
    content = explorer.losses()
    assert content["content"] < 0.01
    assert content["confusion_cs"] == pytest.approx(math.log(B))
    assert content["confusion_sc"] > 2 * chance["confusion_sc"]
    explorer.set_who(1.0), explorer.set_what(0.0)
    identity = explorer.losses()
    assert identity["identity"] < 0.01
    assert identity["confusion_sc"] == pytest.approx(math.log(N))
    assert identity["confusion_cs"] > 2 * chance["confusion_cs"]
    explorer.set_who(0.0)
    # All distances equal: log K, whatever the question
    assert explorer.losses() == pytest.approx(chance)
    explorer.set_who(0.7), explorer.set_what(0.6), explorer.set_noise(30), explorer.set_w(0)
    assert explorer.losses() == pytest.approx(chance)  # and so with w = 0


def test_the_content_task_never_sees_how_far_people_differ():
    explorer = LossExplorer(("content",), seed=2)
    values = []
    for who in (0.0, 0.3, 1.0):
        explorer.set_who(who)
        values.append(explorer.losses()["content"])
    assert values == pytest.approx([values[0]] * 3)


def test_every_control_redraws_the_figure_and_is_reached_by_keyboard(displayed):
    explorer = LossExplorer(("identity", "content"))
    explorer.show()
    _, figure = displayed
    for name, value in (
        ("who", 0.9),
        ("what", 0.1),
        ("noise", 40),
        ("w", 5),
        ("term", "content"),
        ("similarity", "inverse distance"),
    ):
        before = figure.shown[PLOTLY]
        explorer._controls[name].value = value
        assert getattr(explorer, name) == value
        assert figure.shown[PLOTLY] != before, name
    for control in explorer._controls.values():
        assert control.description
        assert getattr(control, "tabbable", None) is not False  # ipywidgets 8
    assert explorer._controls["w"].disabled  # 1/d has none
    explorer._controls["similarity"].value = "scaled cosine"
    assert not explorer._controls["w"].disabled
    alone = LossExplorer(("content",))
    alone.show()
    assert "term" not in alone._controls  # no choice, no control


def test_figures_are_plain_and_small(sync):
    sync.set_answer("shown")
    for figure in (sync.figure(), LossExplorer().figure()):
        text = figure.to_json()
        assert json.loads(text)["data"]
        assert "bdata" not in text  # every plotly reads plain lists
        assert len(text) < 100_000
