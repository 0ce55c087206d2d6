"""Maps: what is lined up stays what it was, points are what they claim to be, and figures show what
they were given.
"""

import json

import numpy as np
import pytest
from conftest import make_noise_corpus
from hypothesis import given, settings
from hypothesis import strategies as st

from dsel import plots
from dsel.corpus import LABELS, write_csv
from dsel.evaluate import points as maps
from dsel.evaluate.embeddings import Embeddings
from dsel.evaluate.names import speaker_names
from dsel.evaluate.vectors import invented_clusters, partner_rank
from dsel.model import HEADS
from dsel.plots import maps as mapplots
from dsel.plots import projection
from dsel.train import RELEASED
from dsel.utils import package_data


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A corpus with phonemes, and embeddings of its test tracks that are numbers known by hand."""
    corpus = make_noise_corpus(tmp_path_factory.mktemp("maps") / "corpus")
    for speaker in corpus.speakers("test"):
        rows = [
            {
                "track": track.id,
                "start": k / 5,
                "end": k / 5 + 0.2,
                "phoneme": "ps_"[k % 3],
                "viseme": "v",
                "word": f"w{k}",
            }
            for track in corpus.split("test")
            if track.speaker == speaker
            for k in range(6)
        ]
        write_csv(corpus.path / "labels" / f"{speaker}.csv", rows, LABELS)
    tracks = corpus.split("test")
    track, window = np.repeat(np.arange(len(tracks)), 26), np.tile(np.arange(26), len(tracks))
    x = np.random.default_rng(0).normal(size=(len(track), 4))
    return corpus, Embeddings(tracks, track, window, {"audio": {"identity": x}})


def test_half_tracks_are_means_of_their_windows(labelled):
    corpus, e = labelled
    points, names = maps.half_tracks(corpus, e), speaker_names(corpus)
    assert len(points) == 2 * len(e.tracks)
    for p in range(len(points)):
        k, late = (
            points.track[p],
            points.time[p] > 0.6,
        )  # windows 0..12 and 13..25; the middles lie on either side of 0.6 s
        rows = [w for w in range(len(e.track)) if e.track[w] == k and (e.window[w] >= 13) == late]
        np.testing.assert_allclose(
            points.vectors["audio"]["identity"][p],
            e.vectors["audio"]["identity"][rows].mean(axis=0),
        )
        assert points.labels["speaker"][p] == names[e.tracks[k].speaker]
        assert points.hover[p].startswith(names[e.tracks[k].speaker] + ", “")
        assert points.labels["sex"][p] == e.tracks[k].factors["sex"]
    assert "noise" not in points.labels  # this corpus does not know it


def test_the_middle_of_a_track_is_that_of_its_windows(labelled):
    """Odd and even numbers of windows, and windows with gaps: both halves from the windows that are
    there.
    """
    e = labelled[1]
    for windows in ([0, 1, 2, 3, 4], [0, 1, 2, 3], [2, 9, 20], [7]):
        rows = [
            np.flatnonzero((e.track == k) & (e.window == w))[0] for k in (0, 1) for w in windows
        ]
        part = Embeddings(e.tracks[:2], e.track[rows], e.window[rows], {})
        middle = sum(windows) / len(windows)
        expected = [2 * k + (w > middle) for k in (0, 1) for w in windows]
        assert maps.halves(part).tolist() == expected


def test_single_windows_leave_pauses_out(labelled):
    corpus, e = labelled
    points = maps.single_windows(corpus, e)
    spoken = [
        w
        for w in range(len(e.track))
        if "ps_"[int((e.window[w] + 2.5) / 25 / 0.2 + 1e-9) % 3] != "_"
    ]
    np.testing.assert_array_equal(
        points.vectors["audio"]["identity"], e.vectors["audio"]["identity"][spoken]
    )
    assert set(points.labels["sound"]) == {"stop", "s-like"}
    assert points.only(np.arange(3)).hover.tolist() == points.hover[:3].tolist()


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0, 6.28), st.floats(0.2, 5), st.booleans())
def test_line_up_undoes_turns_mirrors_scales_and_shifts(seed, angle, scale, mirror):
    rng = np.random.default_rng(seed)
    fixed = rng.normal(size=(12, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag(
        [1, -1 if mirror else 1]
    )
    np.testing.assert_allclose(
        projection.line_up(scale * fixed @ turn + rng.normal(size=2), fixed), fixed, atol=1e-8
    )


def test_line_up_changes_no_shape_and_finds_no_worse_fit():
    rng = np.random.default_rng(5)
    moving, fixed = rng.normal(size=(2, 20, 2))
    lined = projection.line_up(moving, fixed)

    def distances(x):
        return np.linalg.norm(x[:, None] - x[None], axis=-1)

    ratio = distances(lined)[~np.eye(20, dtype=bool)] / distances(moving)[~np.eye(20, dtype=bool)]
    np.testing.assert_allclose(ratio, ratio[0])
    best = ((lined - fixed) ** 2).sum()
    for angle in np.linspace(0, 6.28, 40):  # no turn and no scale beside it does better
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        centre = lined.mean(axis=0)
        for scale in (0.8, 1, 1.2):
            assert ((scale * (lined - centre) @ turn + centre - fixed) ** 2).sum() >= best - 1e-9


def test_pca_against_scikit_learn():
    from sklearn.decomposition import PCA

    x = np.random.default_rng(2).normal(size=(50, 7)) * np.arange(1, 8)
    plane, share = projection.pca_2d(x)
    z = x / np.linalg.norm(x, axis=1, keepdims=True)
    theirs = PCA(2).fit(z)
    np.testing.assert_allclose(np.abs(plane), np.abs(theirs.transform(z)), atol=1e-9)
    assert share == pytest.approx(theirs.explained_variance_ratio_.sum())


def test_partner_rank_of_cases_known_by_hand():
    x = np.eye(5)
    assert partner_rank(x, x) == 0
    assert partner_rank(np.ones((5, 3)), np.ones((5, 3))) == pytest.approx(0.5)  # all alike: a coin
    assert partner_rank(x, -x) == 1
    rng = np.random.default_rng(0)
    assert partner_rank(*rng.normal(size=(2, 300, 8))) == pytest.approx(0.5, abs=0.06)


def test_both_streams_centred_have_no_gap():
    rng = np.random.default_rng(0)
    face, audio = (
        rng.normal(size=(2, 30, 4)) + np.array([3, 0, 0, 0]) * np.array([1, -1])[:, None, None]
    )
    raw, centred = (maps.both_streams(face, audio, centred=c) for c in (False, True))
    assert np.linalg.norm(raw[:30].mean(axis=0) - raw[30:].mean(axis=0)) > 1
    np.testing.assert_allclose(centred[:30].mean(axis=0), centred[30:].mean(axis=0), atol=1e-12)


@pytest.mark.heavy
@pytest.mark.umap
def test_aligned_maps_stay_in_place_and_clumps_are_named_after_the_map():
    rng = np.random.default_rng(3)
    labels = np.arange(90) % 3
    clustered = 4 * np.eye(3)[labels] + 0.3 * rng.normal(size=(90, 3))
    first, again = projection.aligned_maps([clustered, clustered + 0.01 * rng.normal(size=(90, 3))])
    spread = first.std()
    assert (
        np.linalg.norm(first - again, axis=1).mean() < spread
    )  # alone, a second map may lie anywhere
    assert plots.neighbour_purity(first - first.mean(axis=0), labels, np.arange(90), k=5) > 0.6
    clumps = invented_clusters(first, 3)
    assert len(set(zip(clumps, labels, strict=True))) == 3  # well separated groups are found again


def shown(figure, axis):
    return sorted(
        (round(x, 2), round(y, 2), text)
        for trace in figure.data
        if trace.type == "scatter" and trace.mode == "markers" and trace.xaxis in axis
        for x, y, text in zip(trace.x, trace.y, trace.text, strict=True)
    )


def test_figures_show_every_point_once():
    rng = np.random.default_rng(0)
    labels, hover = np.repeat(["a", "b"], 6), np.array([f"p{k}" for k in range(12)])
    one, two = rng.normal(size=(2, 12, 2)).round(2)

    def expected(plane):
        return sorted(
            (x, y, text) for (x, y), text in zip(plane.tolist(), hover.tolist(), strict=True)
        )

    row = mapplots.maps_row(
        {"left": (one, labels, hover), "right": (two, labels, hover)}, title="t"
    )
    assert shown(row, ("x", None)) == expected(one)
    assert shown(row, ("x2",)) == expected(two)

    proof = {
        "before": {"identity": 20.0, "content": 21.0},
        "after": {"identity": 50.0, "content": 25.0},
        "control": {"identity": 9.0, "content": 8.0},  # bars alone
    }
    planes = {
        "before": {"identity": one, "content": two},
        "after": {"identity": two, "content": one},
    }
    figure = mapplots.maps_and_proof(planes, labels, hover, proof, title="t", chance=8, of="purity")
    assert shown(figure, ("x", None)) == expected(one)  # a column a network, a row a head
    assert shown(figure, ("x2",)) == expected(two)
    assert shown(figure, ("x4",)) == expected(two)
    assert shown(figure, ("x5",)) == expected(one)
    bars = {trace.name: dict(zip(trace.y, trace.x, strict=True)) for trace in figure.data[-2:]}
    assert bars == {
        "identity": {"before": 20, "after": 50, "control": 9},
        "content": {"before": 21, "after": 25, "control": 8},
    }

    pairs = mapplots.joined_pairs({"both": np.concatenate([one, two])}, labels, hover, title="t")
    assert [text for *_, text in shown(pairs, ("x", None)) if text.endswith(" (face)")] != []
    lines = pairs.data[0]
    np.testing.assert_allclose([lines.x[3 * k] for k in range(12)], one[:, 0])
    np.testing.assert_allclose([lines.x[3 * k + 1] for k in range(12)], two[:, 0])


def test_emergence_moves_the_points_that_it_shows():
    rng = np.random.default_rng(0)
    labels, hover = np.tile(["a", "b"], 5), np.array([f"p{k}" for k in range(10)])
    planes = {
        "identity": list(rng.normal(size=(3, 10, 2))),
        "content": list(rng.normal(size=(3, 10, 2))),
    }
    figure = mapplots.emergence(
        [0, 10, 20], planes, labels, hover, ["none", "some", "all"], title="t"
    )
    assert (
        [frame.name for frame in figure.frames]
        == ["0", "10", "20"]
        == [step.label for step in figure.layout.sliders[0].steps]
    )
    for n, frame in enumerate(figure.frames):
        assert len(frame.data) == len(figure.data)  # a frame replaces trace by trace
        for trace, moved in zip(figure.data, frame.data, strict=True):
            head = "identity" if trace.xaxis in ("x", None) else "content"
            np.testing.assert_allclose(
                moved.x, planes[head][n][labels == trace.name][:, 0], atol=1e-3
            )
        assert ["none", "some", "all"][n] in frame.layout.title.text
    later = mapplots.emergence(
        [0, 10, 20], planes, labels, hover, ["none", "some", "all"], title="t", first=1
    )
    for rest, one in ((2, figure), (1, later)):  # the last, unless another is asked for
        assert one.layout.sliders[0].active == rest
        assert ["none", "some", "all"][rest] in one.layout.title.text
        for trace, moved in zip(one.data, one.frames[rest].data, strict=True):
            np.testing.assert_allclose(trace.x, moved.x)


def test_the_kept_training_is_of_the_strangers_that_are_shipped():
    """One row a half track of data/mini's test speakers; a corpus drawn anew needs
    `tools/emergence.py` again.
    """
    from dsel import corpus

    points = 2 * len(corpus.open("mini").split("test"))
    with np.load(package_data.EMERGENCE) as kept:
        for name in ("four_terms", "five_terms"):
            steps = kept[f"{name}_steps"].tolist()
            assert steps == sorted(steps)
            assert steps[0] == 0
            card = json.loads((RELEASED / f"{name}.json").read_text(encoding="utf-8"))
            assert card["step"] in steps  # the released network is one of the moments
            for head in HEADS:
                vectors = kept[f"{name}_{head}"].astype(np.float32)
                assert vectors.shape[:2] == (len(steps), points)
                assert np.isfinite(vectors).all()
