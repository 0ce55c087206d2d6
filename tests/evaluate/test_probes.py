"""Probes on codes whose content is known: oracles read perfectly, constants not at all, nothing
passes between the halves.
"""

import numpy as np
import pytest
import torch

from dsel import corpus as corpora
from dsel.corpus import Track
from dsel.evaluate.embeddings import Embeddings, embed_tracks
from dsel.evaluate.probes import (
    CODES,
    Factor,
    disentanglement,
    embed_codes,
    evenly,
    halves_of_speakers,
    halves_of_words,
    judge_codes,
    known_factors,
    leakage,
    leakage_table,
    random_network,
    read_off,
)
from dsel.model import HEADS, ModelConfig, TwoStream
from dsel.utils.errors import BadInput

SPEAKERS, TRACKS, WINDOWS, SOUNDS = 12, 4, 8, 5


@pytest.fixture(scope="module")
def world():
    """Factors of a made-up corpus, and the vectors that stand for them: {unit: {"what": (W, 6),
    "who": (W, 6), "noise"}}.
    """
    rng = np.random.default_rng(0)
    who = {"track": np.repeat(np.arange(SPEAKERS), TRACKS)}
    who["window"] = np.repeat(who["track"], WINDOWS)
    sound = rng.integers(0, SOUNDS, len(who["window"]))
    names = {unit: np.array([f"s{k:02d}" for k in values]) for unit, values in who.items()}
    words = np.tile(np.arange(TRACKS) % 2, SPEAKERS)
    factors = [
        Factor(
            "phoneme",
            "class",
            "window",
            np.array(list("abcde"))[sound],
            who["window"] % 2,
            names["window"],
            "speakers",
        ),
        Factor("speaker", "class", "track", names["track"], words, names["track"], "words"),
    ]
    means_of_sounds = sound.reshape(-1, WINDOWS)
    place, kind = 3 * rng.normal(size=(SPEAKERS, 6)), 3 * rng.normal(size=(SOUNDS, 6))
    vectors = {
        "window": {"what": kind[sound], "who": place[who["window"]]},
        "track": {"what": kind[means_of_sounds].mean(axis=1), "who": place[who["track"]]},
    }
    for unit in vectors:
        shape = vectors[unit]["what"].shape
        vectors[unit] = {
            name: x + 0.3 * rng.normal(size=shape) for name, x in vectors[unit].items()
        }
        vectors[unit]["noise"] = rng.normal(size=shape)
        vectors[unit]["nothing"] = np.ones(shape)
    return factors, vectors


def judge(world, content, identity):
    """D and shares of codes made of the named parts; trunk and input hold everything."""
    factors, vectors = world
    codes = {}
    for unit, parts in vectors.items():
        made = {
            head: np.hstack([parts[name] for name in names])
            for head, names in (("content", content), ("identity", identity))
        }
        everything = np.hstack([parts["what"], parts["who"]])
        codes[unit] = {"audio": made | {"trunk": everything, "input": everything}}
        codes[unit]["audio"] |= {f"random {head}": parts["noise"] for head in HEADS}
    return judge_codes(codes, factors)


@pytest.mark.heavy
def test_the_oracle_scores_one_and_its_mirror_image_minus_one(world):
    oracle = judge(world, ["what"], ["who"])
    assert oracle["disentanglement"]["D"] > 0.9
    assert (
        oracle["disentanglement"]["low"]
        <= oracle["disentanglement"]["D"]
        <= oracle["disentanglement"]["high"]
    )
    assert abs(oracle["random network"]["D"]) < 0.1
    assert judge(world, ["who"], ["what"])["disentanglement"]["D"] < -0.9
    own = {(row["factor"], row["probe"]): row for row in oracle["rows"]}
    for probe in ("linear", "mlp"):
        assert own["phoneme", probe]["content"] > 95
        assert own["speaker", probe]["identity"] > 95
        assert (
            own["phoneme", probe]["identity"] < own["phoneme", probe]["chance"] + 12
        )  # of 20 expected in 5 classes
        assert (
            own["speaker", probe]["content"] < own["speaker", probe]["chance"] + 15
        )  # of 8.3 expected in 12


@pytest.mark.heavy
@pytest.mark.parametrize(
    "parts",
    [
        (["nothing"], ["nothing"]),
        (["noise"], ["noise"]),
        (["what", "who"], ["what", "who"]),
        (["what"], ["what"]),
        (["who"], ["who"]),
    ],
    ids=["constant", "noise", "entangled", "content twice", "identity twice"],
)
def test_a_constant_and_an_entangled_code_score_nothing(world, parts):
    assert abs(judge(world, *parts)["disentanglement"]["D"]) < 0.12


def test_an_oracle_without_any_noise_is_read_perfectly(world):
    for factor in world[0]:
        exact = np.unique(factor.target, return_inverse=True)[1][:, None] == np.arange(SPEAKERS)
        assert read_off(exact.astype(float), factor, "linear").mean() == 1


@pytest.mark.heavy
def test_half_an_oracle_scores_half(world):
    """One head clean, the other entangled: its own factor counts, the wrong one takes it back."""
    assert judge(world, ["what"], ["what", "who"])["disentanglement"]["D"] == pytest.approx(
        0.5, abs=0.1
    )
    assert judge(world, ["what"], ["nothing"])["disentanglement"]["D"] == pytest.approx(
        0.5, abs=0.1
    )


def test_summary_by_hand():
    def row(factor, probe, **scores):
        return {"stream": "audio", "factor": factor, "probe": probe} | scores

    rows = [
        row("phoneme", "linear", chance=10, content=40, identity=20, trunk=50, input=45),
        row("phoneme", "mlp", chance=10, content=30, identity=25, trunk=35, input=60),
        row("speaker", "linear", chance=5, content=15, identity=45, trunk=40, input=30),
        row("speaker", "mlp", chance=5, content=0, identity=50, trunk=30, input=30),
        row(
            "pitch", "linear", chance=0, content=90, identity=90, trunk=90, input=90
        ),  # no part of it
    ]
    found = disentanglement(rows)
    want = {
        "content, phoneme": 30 / 50,
        "content, speaker": 10 / 45,
        "identity, phoneme": 15 / 50,
        "identity, speaker": 45 / 45,
    }
    assert found["audio"] == pytest.approx(want)
    assert found["D"] == pytest.approx((30 / 50 - 10 / 45 + 1 - 15 / 50) / 2)
    face = [
        row | {"stream": "face", "content": row["chance"], "identity": row["chance"]}
        for row in rows
    ]
    assert disentanglement(rows + face)["D"] == pytest.approx(
        found["D"] / 2
    )  # the mean over streams
    assert disentanglement(rows[:2])["D"] is None
    flat = [row | dict.fromkeys(CODES, row["chance"]) for row in rows]
    assert disentanglement(flat)["D"] == 0  # nothing can be read at all


def test_what_is_the_same_in_a_speaker_or_a_track_does_not_help_across_halves(world):
    """A code that names the recording, and nothing else, reads no factor: the halves share neither
    speakers nor tracks.
    """
    phoneme, speaker = world[0]
    by_speaker = np.eye(SPEAKERS)[np.repeat(np.arange(SPEAKERS), TRACKS * WINDOWS)]
    by_track = np.eye(SPEAKERS * TRACKS)
    for probe in ("linear", "mlp"):
        assert read_off(by_speaker, phoneme, probe).mean() < 0.35
        assert read_off(by_track, speaker, probe).mean() < 0.25


def test_only_the_mlp_reads_what_is_folded():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1200, 4))
    target = np.array(["odd", "even"])[(x[:, 0] * x[:, 1] > 0).astype(int)]
    people = np.array([f"s{k % 6}" for k in range(1200)])
    factor = Factor("parity", "class", "window", target, np.arange(1200) % 2, people, "speakers")
    assert read_off(x, factor, "linear").mean() < 0.6
    assert read_off(x, factor, "mlp").mean() > 0.8


def test_the_linear_probe_agrees_with_scikit_learns_where_shrinkage_does_not_matter():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    rng = np.random.default_rng(2)
    code = rng.integers(0, 4, 3000)
    x = 0.7 * rng.normal(size=(4, 5))[code] + rng.normal(size=(3000, 5)) @ rng.normal(size=(5, 5))
    fold = np.arange(3000) % 2
    factor = Factor("class", "class", "window", code.astype(str), fold, code.astype(str), "words")
    theirs = np.zeros(3000)
    for half in (0, 1):
        lda = LinearDiscriminantAnalysis(solver="lsqr").fit(x[fold != half], code[fold != half])
        theirs[fold == half] = lda.predict(x[fold == half]) == code[fold == half]
    ours = read_off(x, factor, "linear")
    assert (ours == theirs).mean() > 0.99


def test_numbers_are_scored_by_r_squared():
    from sklearn.metrics import r2_score

    rng = np.random.default_rng(3)
    x, fold = rng.normal(size=(400, 3)), np.arange(400) % 2
    y = np.stack([x[:, 0] + 0.5 * rng.normal(size=400), rng.normal(size=400)], axis=1)
    factor = Factor(
        "two", "number", "track", y, fold, np.array([f"s{k % 8}" for k in range(400)]), "speakers"
    )
    score = read_off(x, factor, "linear").mean()
    known, unknown = (
        np.mean([r2_score(y[fold == h, k], fitted(x, y[:, k], fold, h)) for h in (0, 1)])
        for k in (0, 1)
    )  # least squares, each number on its own
    assert score == pytest.approx((known + unknown) / 2, abs=0.02)
    assert known > 0.7
    assert read_off(x, factor, "mlp").mean() == pytest.approx(score, abs=0.15)
    assert read_off(x, factor, "constant").mean() == pytest.approx(0, abs=1e-9)
    assert read_off(np.ones((400, 2)), factor, "mlp").mean() == pytest.approx(0, abs=1e-9)


def fitted(x, y, fold, half):
    inputs = np.column_stack([x, np.ones(len(x))])
    return (
        inputs[fold == half] @ np.linalg.lstsq(inputs[fold != half], y[fold != half], rcond=None)[0]
    )


def test_unknown_rows_are_left_out():
    factor = Factor(
        "c",
        "class",
        "window",
        np.array(list("abab?")),
        np.array([0, 0, 1, 1, -1]),
        np.array(list("xxyyz")),
        "words",
    )
    hit = read_off(np.array([[0.0], [1], [0], [1], [5]]), factor)
    assert np.isnan(hit[4])
    assert hit[:4].tolist() == [1, 1, 1, 1]


def test_halves_share_no_speaker_and_of_a_speaker_no_words():
    corpus = corpora.open("mini")
    tracks = corpus.split("test")
    people, words = halves_of_speakers(tracks), halves_of_words(tracks)
    for half, other in ((0, 1), (1, 0)):
        mine, theirs = (
            {t.speaker for t, h in zip(tracks, people, strict=True) if h == side}
            for side in (half, other)
        )
        assert not mine & theirs
        for sex in "fm":
            assert any(
                t.factors["sex"] == sex for t, h in zip(tracks, people, strict=True) if h == half
            )
        said = {
            (t.speaker, t.factors["vocabulary"])
            for t, h in zip(tracks, words, strict=True)
            if h == half
        }
        also = {
            (t.speaker, t.factors["vocabulary"])
            for t, h in zip(tracks, words, strict=True)
            if h == other
        }
        assert {vocabulary for _, vocabulary in said & also} <= {
            "free"
        }  # anything: every track says something else
        assert {speaker for speaker, _ in said} == {
            t.speaker for t in tracks
        }  # everybody is in both halves
    plain = [Track(f"{s}{k}", s, "test", "x", 50) for s in "ab" for k in range(4)]
    assert halves_of_words(plain).tolist() == [0, 1, 0, 1] * 2


def test_the_toy_corpus_knows_seven_factors():
    corpus = corpora.open("mini")
    tracks = corpus.split("test")
    N = [track.usable - 4 for track in tracks]
    e = Embeddings(
        tracks, np.repeat(np.arange(len(tracks)), N), np.concatenate([np.arange(n) for n in N]), {}
    )
    factors = {factor.name: factor for factor in known_factors(corpus, e)}
    assert list(factors) == ["phoneme", "viseme", "speaker", "sex", "pitch", "microphone", "noise"]
    assert factors["microphone"].target.shape == (len(tracks), 10)
    assert factors["pitch"].target[0, 0] == pytest.approx(np.log2(tracks[0].factors["voice_f0"]))
    sounds = set(factors["phoneme"].target[factors["phoneme"].fold >= 0])
    assert not {
        sound for sound in sounds if sound[:1] in "',%_:"
    }  # no stress marks, no pauses, nothing unknown
    assert len(sounds) > 20
    for name, factor in factors.items():
        assert len(factor.fold) == {"window": sum(N), "track": len(tracks)}[factor.unit], name


def test_codes_are_those_of_the_networks(noise_corpus):
    model = random_network(TwoStream(ModelConfig.laptop()), seed=1)
    tracks = noise_corpus.split("test")
    cache = noise_corpus.cache(48, tracks=tracks, progress=False)
    e, means = embed_codes(model, cache, tracks, windows=30, progress=False)
    whole = embed_tracks(model, cache, tracks, progress=False)
    assert len(e.track) == 8 * 3  # 30 windows over 8 tracks
    for stream in ("face", "audio"):
        for head in HEADS:
            for k in range(len(tracks)):
                few, every = e.of(k, stream, head), whole.of(k, stream, head)
                np.testing.assert_allclose(few, every[e.window[e.track == k]], rtol=1e-3, atol=1e-5)
                of = every if stream == "audio" else few
                np.testing.assert_allclose(
                    means[stream][head][k], of.mean(axis=0), rtol=1e-3, atol=1e-5
                )
        assert e.vectors[stream]["trunk"].shape == (24, 256)
    assert e.vectors["face"]["input"].shape == (24, 3 * 144)
    assert e.vectors["audio"]["input"].shape == (24, 200)
    frames, _ = cache.read(tracks[2])
    t = e.window[e.track == 2][1]
    grey = frames[t].astype(float) @ [0.299, 0.587, 0.114] / 255
    by_hand = [
        grey[4 * i : 4 * i + 4, 4 * j : 4 * j + 4].mean() for i in range(12) for j in range(12)
    ]
    np.testing.assert_allclose(e.of(2, "face", "input")[1][:144], by_hand, atol=1e-5)
    assert (
        len(embed_codes(model, cache, tracks, windows=5, progress=False)[0].tracks) == 5
    )  # fewer windows than tracks
    with pytest.raises(BadInput, match="no tracks to probe"):
        embed_codes(model, cache, [])


def test_a_random_network_is_of_the_same_shape_seeded_and_leaves_the_random_state_alone():
    model = TwoStream(ModelConfig.laptop(D=16))
    state = torch.get_rng_state()
    first, again, other = (random_network(model, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    weights = [net.audio_trunk.layers[0].weight for net in (first, again, other, model)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[3])
    assert first.config == model.config
    assert not first.training


@pytest.mark.parametrize(
    ("N", "count", "places"), [(10, 2, [2, 7]), (3, 9, [0, 1, 2]), (46, 1, [23]), (9, 3, [1, 4, 7])]
)
def test_windows_are_evenly_spaced(N, count, places):
    assert evenly(N, count).tolist() == places


def test_leakage_of_a_corpus_that_knows_little(noise_corpus):
    model = random_network(TwoStream(ModelConfig.laptop()))
    found = leakage(model, noise_corpus, windows=40, progress=False)
    assert {row["factor"] for row in found["rows"]} == {"speaker", "sex"}
    assert found["disentanglement"] == {"D": None}
    printed = leakage_table(found)
    assert "chance" in printed
    assert "no disentanglement D" in printed
    tone = next(
        row
        for row in found["rows"]
        if (row["stream"], row["factor"], row["probe"]) == ("audio", "speaker", "linear")
    )
    assert tone["chance"] == 25
    assert tone["input"] > 70  # a speaker has a tone of its own
    with pytest.raises(BadInput, match="at least 4 speakers in the split 'validation'"):
        leakage(model, noise_corpus, split="validation")


@pytest.mark.heavy
def test_table_shows_every_figure_beside_chance_and_ceiling(world):
    found = judge(world, ["what"], ["who"])
    lines = leakage_table(found).splitlines()
    heading = [
        "audio stream",
        "chance",
        "random content",
        "random identity",
        "content",
        "identity",
        "trunk",
        "input",
    ]
    assert [name for name in heading if name in lines[0]] == heading
    assert len(lines) == 1 + 2 + 1 + 2  # a heading, two factors, an empty line, the summary
    assert lines[1].split()[0] == "phoneme,"
    assert f"D = {found['disentanglement']['D']:.2f}" in lines[4]
