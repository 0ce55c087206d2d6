"""Measures against brute force and against cases whose answer is known."""

import dataclasses
import json
import math

import numpy as np
import pytest

from dsel.corpus import Track, Trials
from dsel.evaluate import (
    Embeddings,
    all_pairs,
    content_accuracy,
    crop_scores,
    embed,
    embed_tracks,
    equal_error_rate,
    evaluate,
    free_speech,
    identity_accuracy,
    min_dcf,
    read_metric,
    sync_accuracy,
    sync_offset,
    table,
    verification_scores,
    window_labels,
)
from dsel.train import load_model, train
from dsel.utils.errors import BadInput


def test_eer_of_cases_known_by_hand():
    assert equal_error_rate([0, 1, 2, 3], [0, 0, 1, 1]) == 0
    assert equal_error_rate([3, 2, 1, 0], [0, 0, 1, 1]) == 1
    assert equal_error_rate([5, 5, 5, 5], [0, 1, 0, 1]) == pytest.approx(0.5)
    assert equal_error_rate([0, 2, 1, 3], [0, 0, 1, 1]) == pytest.approx(0.5)
    assert equal_error_rate([0, 0, 0, 2, 1, 3, 3, 3], [0, 0, 0, 0, 1, 1, 1, 1]) == pytest.approx(
        0.25
    )
    rng = np.random.default_rng(0)  # two unit normals d' apart have EER Phi(-d'/2)
    scores = np.concatenate([rng.normal(2, 1, 40_000), rng.normal(0, 1, 40_000)])
    assert equal_error_rate(scores, np.arange(80_000) < 40_000) == pytest.approx(0.1587, abs=0.004)
    assert min_dcf([0, 1, 2, 3], [0, 0, 1, 1]) == 0
    assert min_dcf([1, 1], [0, 1]) == 1
    for bad in (([1, 2], [1, 1]), ([1, 2], [0, 0]), ([1, np.nan], [0, 1]), ([1], [0, 1])):
        with pytest.raises(ValueError, match="need finite scores"):
            equal_error_rate(*bad)


def made_up(speakers=8, tracks=3, N=35, D=6, seed=0, content=1.0, identity=1.0, noise=0.05):
    """Embeddings that know content and identity as well as told: 1 perfectly, 0 not at all."""
    rng = np.random.default_rng(seed)
    rows = [
        Track(f"s{s}_{k}", f"s{s}", "test", "x", N + 4, 0, {"sex": "fm"[s % 2]})
        for s in range(speakers)
        for k in range(tracks)
    ]
    who = rng.normal(size=(speakers, D)).repeat(tracks, 0).repeat(N, 0)
    what = rng.normal(size=(speakers * tracks * N, D))
    vectors = {
        stream: {
            "content": content * what + noise * rng.normal(size=what.shape),
            "identity": identity * who + noise * rng.normal(size=what.shape),
        }
        for stream in ("face", "audio")
    }
    return Embeddings(
        rows, np.arange(len(rows)).repeat(N), np.tile(np.arange(N), len(rows)), vectors
    )


def test_accuracies_of_oracle_and_of_noise():
    oracle, blind = made_up(), made_up(content=0, identity=0)
    found = content_accuracy(oracle)
    assert (found["choices"], found["tracks"], found["chance"]) == (30, 24, 1 / 30)
    assert found["top1"] > 0.95
    assert content_accuracy(blind)["top1"] == pytest.approx(1 / 30, abs=0.03)
    assert content_accuracy(blind)["within_one"] == pytest.approx(3 / 30, abs=0.05)
    assert content_accuracy(oracle, "identity")["top1"] == pytest.approx(1 / 30, abs=0.03)
    assert identity_accuracy(oracle)["choices"] == 8
    assert identity_accuracy(oracle)["top1"] > 0.99
    assert identity_accuracy(blind)["top1"] == pytest.approx(1 / 8, abs=0.04)
    assert content_accuracy(made_up(N=12))["choices"] == 12


def test_a_part_of_the_tracks_keeps_their_own_windows():
    e = made_up(speakers=3, tracks=4, N=7)
    chosen = [1, 2, 6, 11]
    part = e.only(lambda track: e.tracks.index(track) in chosen)
    assert [track.id for track in part.tracks] == [e.tracks[k].id for k in chosen]
    for new, old in enumerate(chosen):
        np.testing.assert_array_equal(
            part.of(new, "audio", "identity"), e.of(old, "audio", "identity")
        )
    np.testing.assert_array_equal(part.window, np.tile(np.arange(7), 4))


def test_matching_is_judged_on_free_speech():
    free, fixed = ({"vocabulary": name} for name in ("free", "random3"))
    assert free_speech(Track("a", "s", "test", "x", 50, 0, free))
    assert not free_speech(Track("a", "s", "test", "x", 50, 0, fixed))
    assert free_speech(Track("a", "s", "test", "x", 50, 0, {}))  # real films: not known


def test_accuracy_counts_the_neighbour():
    e = made_up()
    e.vectors["audio"]["content"][:] = np.roll(e.vectors["audio"]["content"], 1, axis=0)
    found = content_accuracy(e)
    assert found["top1"] < 0.1
    assert found["within_one"] > 0.9


def test_verification_of_oracle_and_of_noise():
    for identity, eer in ((1.0, 0.0), (0.0, 0.5)):
        e = made_up(identity=identity)
        trials = all_pairs(e.tracks)
        assert len(trials) == 24 * 23 / 2
        assert trials.target.sum() == 8 * 3
        scores = verification_scores(e, trials)
        assert equal_error_rate(scores, trials.target) == pytest.approx(eer, abs=0.12)
    a, b = (e.of(k, "audio", "identity").mean(0) for k in (0, 5))
    k = np.flatnonzero((trials.a == "s0_0") & (trials.b == "s1_2"))[0]
    assert scores[k] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert trials.same_sex[np.flatnonzero((trials.a == "s0_0") & (trials.b == "s2_0"))[0]]
    assert len(all_pairs(e.tracks, limit=50)) == 50
    with pytest.raises(BadInput, match=r"were not embedded, e\.g\. nobody"):
        verification_scores(
            e,
            Trials(
                np.array(["nobody"]), np.array(["s0_0"]), *[np.array([True])] * 2, np.array([""])
            ),
        )


@pytest.mark.parametrize("late", [4, -6])
def test_windows_that_resemble_everything_do_not_decide_the_offset(late):
    """The sound ends in something that every face window resembles more than its own sound."""
    rng, hub = np.random.default_rng(3), np.zeros(16)
    hub[0] = 4.0
    what = rng.normal(size=(80, 16)) + hub
    face, audio = what[20:66], what[20 - late : 66 - late] + 3 * rng.normal(size=(46, 16))
    audio[-8:] = 5 * hub
    assert sync_offset(face, audio)[0] == late


@pytest.mark.parametrize("late", [-9, 0, 4])
def test_sync_offset_finds_a_known_shift(late):
    rng = np.random.default_rng(1)
    what = rng.normal(size=(80, 16))
    face, audio = (
        what[20:60],
        what[20 - late : 60 - late],
    )  # audio window t + late holds what face window t shows
    k, confidence, curve = sync_offset(face, audio + 0.1 * rng.normal(size=audio.shape))
    assert k == late
    assert curve.shape == (31,)
    assert confidence > 0.5
    assert sync_offset(face, rng.normal(size=face.shape))[1] < confidence / 2
    with pytest.raises(ValueError, match="too few"):
        sync_offset(face[:30], audio[:30])


def test_sync_accuracy_of_oracle_of_noise_and_of_a_late_sound():
    oracle, blind = made_up(N=40), made_up(N=40, content=0)
    found = sync_accuracy(oracle)
    assert (
        found["exact"],
        found["within_one"],
        found["frames"],
        found["reach"],
        found["tracks"],
    ) == (1, 1, 0, 15, 24)
    assert found["chance"] == 3 / 31
    assert sync_accuracy(blind)["within_one"] < 0.4
    for late, within in ((1, 1), (4, 0)):
        e = made_up(N=40)
        e.vectors["audio"]["content"][:] = np.roll(e.vectors["audio"]["content"], late, axis=0)
        found = sync_accuracy(e)
        assert (found["exact"], found["within_one"], found["frames"]) == (0, within, late)
    assert sync_accuracy(made_up(N=20))["reach"] == 6
    assert sync_accuracy(made_up(N=9)) is None


@pytest.fixture(scope="module")
def run(noise_corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    train(
        noise_corpus.path,
        out,
        progress=False,
        B=4,
        N=12,
        extra=2,
        steps=80,
        lr=3e-3,
        lam=0.0,
        device="cpu",
    )
    return out


def test_evaluate_prints_chance_beside_every_figure(run, noise_corpus):
    metrics = evaluate(run, noise_corpus.path, progress=False)
    eer, cost = ([m for m in metrics if m.metric == name] for name in ("eer", "min_dcf"))
    assert [(m.head, m.trials, m.same_sex) for m in eer] == [
        (head, "all_pairs", same_sex)
        for same_sex in (False, True)
        for head in ("identity", "content")
    ]
    assert {m.chance for m in eer} == {50.0}
    assert metrics[0].label == "content task, content head: top-1 of 26 windows"
    assert metrics[0].chance == pytest.approx(100 / 26)
    assert (
        metrics[0].value > 2 * metrics[0].chance
    )  # brightness tells loudness: learnt, and general
    assert (metrics[3].metric, metrics[3].choices, metrics[3].chance) == ("identity_top1", 4, 25.0)
    assert (metrics[5].metric, metrics[5].choices) == ("sync_within_one", 19)
    assert [(m.chance, m.p_target) for m in cost] == [(1.0, 0.05)] * 2
    assert all(0 <= m.low <= m.high <= 100 and m.speakers == 4 for m in metrics)
    assert all(0 <= m.value <= 100 for m in metrics)
    first, second = (part.splitlines() for part in table(metrics).split("\n\n"))
    assert len(first) + len(second) == len(metrics) + 2
    assert "chance" in first[0]
    assert "P_target = 0.05" in second[0]
    assert all("minDCF" in line for line in second[1:])
    assert not any("minDCF" in line for line in first)  # a cost is no share of right answers
    assert all(
        "95 % interval" in lines[0] and all(" to " in line for line in lines[1:])
        for lines in (first, second)
    )
    rows = json.loads((run / "evaluation.json").read_text())["rows"]
    assert [read_metric(row) for row in rows] == metrics
    with pytest.raises(BadInput, match="no tracks in the split 'validation'; it has test, train"):
        evaluate(run, noise_corpus.path, split="validation")


def test_embeddings_are_in_order_and_do_not_depend_on_the_company(run, noise_corpus):
    model, tracks = load_model(run, "cpu"), noise_corpus.split("test")
    cache = noise_corpus.cache(48, tracks=tracks, progress=False)
    all_of_them, alone = (
        embed_tracks(model, cache, t, progress=False) for t in (tracks, tracks[3:4])
    )
    assert len(all_of_them.track) == 8 * 26
    for stream in ("face", "audio"):
        np.testing.assert_allclose(
            all_of_them.of(3, stream, "identity"),
            alone.vectors[stream]["identity"],
            rtol=1e-4,
            atol=1e-5,
        )
    means = all_of_them.means("audio", "content")
    np.testing.assert_allclose(
        means[3], alone.vectors["audio"]["content"].mean(0), rtol=1e-4, atol=1e-5
    )
    labels = window_labels(noise_corpus, all_of_them)
    assert labels["track"][26] == "p6_1"
    assert labels["time"][1] - labels["time"][0] == pytest.approx(0.04)
    assert labels["time"][0] == pytest.approx(0.1)  # the middle of 0.2 s
    with pytest.raises(BadInput, match="no tracks to embed"):
        embed_tracks(model, cache, [])


def test_short_tracks_are_left_out_and_said(run, noise_corpus, capsys):
    model, tracks = load_model(run, "cpu"), list(noise_corpus.split("test"))
    cache = noise_corpus.cache(48, tracks=tracks, progress=False)
    tracks[1] = dataclasses.replace(tracks[1], frames=4)
    e = embed_tracks(model, cache, tracks, streams=("audio",), progress=False)
    assert tracks[1] not in e.tracks
    said = capsys.readouterr().err
    assert f"1 of {len(tracks)} tracks are left out, e.g. {tracks[1].id}" in said


def test_embed_writes_everything(run, noise_corpus, tmp_path):
    with np.load(
        embed(run, noise_corpus.path, tmp_path / "new" / "e.npz", progress=False)
    ) as saved:
        known = {"track", "speaker", "time", "phoneme", "viseme", "word"}
        assert set(saved) == known | {
            "face_content",
            "face_identity",
            "audio_content",
            "audio_identity",
        }
        assert saved["audio_identity"].shape == (8 * 26, 128)
        assert {len(saved[name]) for name in saved} == {8 * 26}


@pytest.mark.parametrize(("files", "C", "D", "K"), [(5, 10, 16, 40), (3, 1, 4, 7), (4, 3, 8, 0)])
def test_crop_scores_equal_a_loop_over_all_pairs_of_crops(files, C, D, K):
    rng = np.random.default_rng(files)
    crops = rng.normal(size=(files, C, D))
    a, b = rng.integers(0, files, (2, K))
    want = [
        sum(
            float(x @ y) / math.sqrt(float(x @ x) * float(y @ y))
            for x in crops[i]
            for y in crops[j]
        )
        / C**2
        for i, j in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(crop_scores(crops, a, b), want, rtol=1e-12)
    np.testing.assert_allclose(crop_scores(1e-6 * crops, a, b), want, rtol=1e-12)  # of any length
