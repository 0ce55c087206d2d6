"""Check that the main figure shows what it was given, with the right purity under its title."""

import numpy as np
import pytest
from conftest import make_noise_corpus

from dsel import plots
from dsel.corpus import LABELS, write_csv
from dsel.evaluate import embed_tracks
from dsel.evaluate.names import speaker_names
from dsel.evaluate.points import sound_class
from dsel.model import ModelConfig, TwoStream
from dsel.plots.identity_vs_content import few_speakers, identity_against_content, plot
from dsel.train import train


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
    page = (tmp_path / "map.html").read_text(encoding="utf-8")
    assert "Plotly.newPlot" in page
    assert 'src="http' not in page


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
