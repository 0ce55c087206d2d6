"""Check that the main figure shows what it was given, with the right purity under its title."""

import re

import numpy as np
import pytest
from conftest import make_noise_corpus
from web_pages import figure_without_network

from dsel import plots
from dsel.corpus import LABELS, write_csv
from dsel.evaluate import Embeddings, embed_tracks
from dsel.evaluate.names import speaker_names
from dsel.evaluate.points import sound_class
from dsel.model import ModelConfig, TwoStream
from dsel.plots import projection
from dsel.plots.identity_vs_content import (
    HEADS_SHOWN,
    few_speakers,
    identity_against_content,
    plot,
    purity_text,
)
from dsel.train import train
from dsel.utils.errors import BadInput


@pytest.mark.parametrize(
    ("phoneme", "kind"),
    [
        *(("p", "stop"), ("t[", "stop"), ("tS", "s-like"), ("dZ", "s-like"), ("s", "s-like")),
        *(("'aI", "vowel"), ("0", "vowel"), ("@L", "vowel"), ("N", "nasal"), ("T", "f-like")),
        *(("r-", "glide"), ("w#", "glide"), ("_", ""), (";", ""), ("_:", ""), ("", "")),
    ],
)
def test_sound_classes_of_espeak_mnemonics(phoneme, kind):
    assert sound_class(phoneme) == kind


def test_neighbour_purity_of_cases_known_by_hand():
    rng = np.random.default_rng(0)
    labels, groups = np.repeat(["a", "b", "c"], 40), np.arange(120) // 10  # four groups a label
    centres = dict(zip("abc", np.eye(3), strict=True))
    clustered = np.stack([centres[x] for x in labels]) + 0.05 * rng.normal(size=(120, 3))
    assert plots.neighbour_purity(clustered, labels, groups) == 1
    chance = plots.purity_chance(labels, groups)
    # Of the 110 points of other groups, 30 carry one's label
    assert chance == pytest.approx(30 / 110)
    assert plots.neighbour_purity(rng.normal(size=(120, 8)), labels, groups) == pytest.approx(
        chance, abs=0.06
    )
    # Knows the group and nothing else
    by_group = np.eye(12)[groups] + 0.01 * rng.normal(size=(120, 12))
    assert plots.neighbour_purity(by_group, labels, groups) == pytest.approx(chance, abs=0.12)


@pytest.mark.heavy
@pytest.mark.umap
def test_the_map_shows_every_window_once_a_panel_and_colouring(tmp_path):
    corpus = make_noise_corpus(tmp_path / "corpus")
    for speaker in corpus.speakers("test"):
        spoken = [
            {"start": k / 5, "end": k / 5 + 0.2, "phoneme": "ps_"[k % 3], "viseme": "", "word": "w"}
            for k in range(6)
        ]
        rows = [
            {"track": track.id, **label}
            for track in corpus.split("test")
            if track.speaker == speaker
            for label in spoken
        ]
        write_csv(corpus.path / "labels" / f"{speaker}.csv", rows, LABELS)
    tracks = few_speakers(corpus, "test", 3)
    assert len({t.speaker for t in tracks}) == 3
    e = embed_tracks(
        TwoStream(ModelConfig.laptop()),
        corpus.cache(48, tracks=tracks, progress=False),
        tracks,
        progress=False,
    )
    figure, purity = identity_against_content(corpus, e)
    assert set(purity) == {"speaker", "sound"}
    shown = {}
    for trace in figure.data:
        shown.setdefault((trace.visible, trace.xaxis), []).extend(trace.text)
    for visible, points in ((True, 2 * len(tracks)), (False, len(e.track) // 5)):
        left, right = (sorted(shown[visible, axis]) for axis in ("x", "x2"))
        assert left == right  # the same sounds in both panels
        assert len(left) <= points
    assert len(shown[True, "x"]) == 2 * len(tracks)  # half tracks
    names = {trace.name for trace in figure.data}
    people = speaker_names(corpus)
    assert names == {people[t.speaker] for t in tracks} | {"stop", "s-like"}  # pauses are left out
    assert not any(t.speaker in text for t in tracks for text in shown[True, "x"])
    assert "chance" in figure.layout.title.text
    for kind, found in purity.items():
        assert all(0 <= value <= 1 for value in found.values())
        assert f"{100 * found['identity']:.0f} %" in str(
            figure.to_dict()["layout"]["updatemenus"]
        ), kind


@pytest.mark.parametrize(
    ("count", "method"), [(1, "PCA"), (2, "PCA"), pytest.param(3, "UMAP", marks=pytest.mark.umap)]
)
def test_few_clips_are_drawn_and_the_title_says_how(noise_corpus, count, method):
    """One clip makes two points: too few for UMAP, and without another track for neighbours."""
    tracks = list(noise_corpus.split("test"))[:count]
    x = np.random.default_rng(0).normal(size=(26 * count, 8)).astype(np.float32)
    vectors = {"audio": dict.fromkeys(HEADS_SHOWN, x)}
    e = Embeddings(tracks, np.repeat(np.arange(count), 26), np.tile(np.arange(26), count), vectors)
    figure, purity = identity_against_content(noise_corpus, e)
    points = [text for trace in figure.data if trace.xaxis in (None, "x") for text in trace.text]
    assert len(points) == 2 * count
    title = re.sub(
        r"</span><br><span[^>]*>", " ", figure.layout.title.text
    )  # long lines are wrapped
    assert ("too few for UMAP" in title) == (method == "PCA")
    text = purity_text(purity["speaker"])
    assert text in title
    assert text == "not defined, since there is one track only" if count == 1 else "%" in text


def test_a_plane_of_one_point_and_of_two():
    plane, _ = projection.pca_2d(np.array([[3.0, 4.0, 0.0]]))
    assert plane.tolist() == [[0, 0]]
    plane, share = projection.pca_2d(np.eye(2))
    assert np.linalg.norm(plane[0] - plane[1]) == pytest.approx(np.sqrt(2))
    assert share == pytest.approx(1)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_umap_refuses_is_bad_input(tmp_path, seed):
    with pytest.raises(BadInput, match=f"seed {seed}: must be from 0 to 4294967295"):
        plot(tmp_path, "mini", tmp_path / "map.html", seed=seed)


@pytest.mark.heavy
@pytest.mark.umap
def test_plot_writes_a_page_that_works_offline(noise_corpus, tmp_path):
    train(
        noise_corpus.path,
        tmp_path / "run",
        progress=False,
        B=3,
        N=6,
        extra=2,
        steps=1,
        device="cpu",
    )
    purity = plot(tmp_path / "run", noise_corpus.path, tmp_path / "map.html", progress=False)
    assert "speaker" in purity
    assert figure_without_network(tmp_path / "map.html") == (True, True)


@pytest.mark.heavy
@pytest.mark.umap
def test_umap_repeats_itself_and_keeps_neighbours():
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(4, 10))
    labels = np.arange(120) % 4
    points = centres[labels] + 0.05 * rng.normal(size=(120, 10))
    first, second = (plots.umap_2d(points, seed=1) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    distance = np.linalg.norm(first[:, None] - first[None], axis=-1) + 1e9 * np.eye(120)
    assert (labels[distance.argmin(1)] == labels).mean() > 0.95
