"""The judge: what it measures equals loops over its parts, and what it cannot measure it says."""

import itertools
import json

import numpy as np
import pytest
from conftest import ROOT

from dsel.ablation.judge import column
from dsel.corpus import Track, Trials
from dsel.evaluate import Metric, all_pairs, read_metric, table
from dsel.evaluate.embeddings import Embeddings
from dsel.evaluate.judge import TrialList, task_metrics, trial_lists, trial_metrics, why_not
from dsel.evaluate.leaks import leak_metrics, supervised
from dsel.evaluate.metrics import METRICS, to_rows


def embeddings(speakers=6, tracks=4, N=35, seed=0, sex="fm"):
    """Voices and faces that know who speaks and, on another direction, which word of two."""
    rng = np.random.default_rng(seed)
    rows = [
        Track(
            f"s{s}_{k}",
            f"s{s}",
            "test",
            "x",
            N + 4,
            0,
            {"sex": sex[s % len(sex)], "vocabulary": f"distinct{k % 2}"},
        )
        for s in range(speakers)
        for k in range(tracks)
    ]
    who = rng.normal(size=(speakers, 5)).repeat(tracks, 0).repeat(N, 0)
    word = np.tile(np.repeat([[2.0], [-2.0]], N, 0), (speakers * tracks // 2, 1))
    x = np.concatenate([who, word], axis=1) + 0.3 * rng.normal(size=(len(who), 6))
    what = rng.normal(size=(len(who), 6))
    vectors = {
        stream: {"identity": x, "content": what + 0.1 * rng.normal(size=what.shape)}
        for stream in ("face", "audio")
    }
    return Embeddings(
        rows, np.arange(len(rows)).repeat(N), np.tile(np.arange(N), len(rows)), vectors
    )


def words_lists(e):
    """Hard and easy trials by the definition: same speaker and other words, or other speaker and
    same words; and reverse.
    """
    found = {"hard": [], "easy": []}
    for i, a in enumerate(e.tracks):
        for b in e.tracks[i + 1 :]:
            same, words = a.speaker == b.speaker, a.factors["vocabulary"] == b.factors["vocabulary"]
            found["easy" if same == words else "hard"].append(
                (a.id, b.id, same, a.factors["sex"] == b.factors["sex"])
            )
    return {
        TrialList(kind): Trials(
            *(np.array(x) for x in zip(*rows, strict=True)), np.full(len(rows), "distinct")
        )
        for kind, rows in found.items()
    }


def eer_by_loops(scores, target):
    """Both rates at every threshold; where they meet, on straight lines between."""
    points = [(0.0, 1.0)]
    for cut in sorted(set(scores)):
        miss = np.mean([s <= cut for s, t in zip(scores, target, strict=True) if t])
        alarm = np.mean([s > cut for s, t in zip(scores, target, strict=True) if not t])
        points.append((miss, alarm))
    for (m0, f0), (m1, f1) in itertools.pairwise(points):
        if m1 >= f1:
            share = (f0 - m0) / (f0 - m0 + m1 - f1)
            return m0 + share * (m1 - m0)


def scores_by_loops(e, trials, head):
    mean = {track.id: e.of(k, "audio", head).mean(axis=0) for k, track in enumerate(e.tracks)}
    return [
        float(mean[a] @ mean[b] / np.sqrt(mean[a] @ mean[a]) / np.sqrt(mean[b] @ mean[b]))
        for a, b in zip(trials.a, trials.b, strict=True)
    ]


def test_error_rates_and_word_dependence_equal_loops():
    e = embeddings()
    lists = words_lists(e)
    found = {(m.metric, m.head, m.trials): m for m in trial_metrics(e, lists)}
    for head in ("identity", "content"):
        eer = {}
        for which, trials in lists.items():
            eer[which.trials] = eer_by_loops(scores_by_loops(e, trials, head), trials.target)
            m = found["eer", head, which.trials]
            assert m.value == pytest.approx(100 * eer[which.trials])
            assert m.low <= m.value <= m.high
            assert (m.speakers, m.chance) == (6, 50.0)
        m = found["word_dependence", head, ""]
        assert m.value == pytest.approx(100 * (eer["hard"] - eer["easy"]))
        assert m.low <= m.value <= m.high
    assert found["word_dependence", "identity", ""].value > 20  # these voices know the word
    assert found["word_dependence", "identity", ""].low > 0
    assert abs(found["word_dependence", "content", ""].value) < 20
    cost = found["min_dcf", "identity", "hard"]
    assert cost.p_target == 0.05
    assert 0 <= cost.low <= cost.high <= 1 + 1e-12


def test_the_interval_of_word_dependence_resamples_both_lists_together():
    """By hand: draw speakers, list the trials of both kinds again, take both error rates and their
    difference.
    """
    e = embeddings(seed=3)
    lists = words_lists(e)
    speaker = {track.id: track.speaker for track in e.tracks}
    rng, drawn = np.random.default_rng(5), []
    scored = {
        which.trials: scores_by_loops(e, trials, "identity") for which, trials in lists.items()
    }
    while len(drawn) < 150:
        names = [f"s{k}" for k in rng.integers(0, 6, 6)]
        rates = []
        for which, trials in lists.items():
            rows = []
            for k, (a, b) in enumerate(zip(trials.a, trials.b, strict=True)):
                n, m = names.count(speaker[a]), names.count(speaker[b])
                rows += [k] * (n if speaker[a] == speaker[b] else n * m)
            target = trials.target[rows]
            both = target.any() and not target.all()
            rates.append(
                eer_by_loops([scored[which.trials][k] for k in rows], target) if both else None
            )
        if None not in rates:
            drawn.append(100 * (rates[0] - rates[1]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    (m,) = (
        m for m in trial_metrics(e, lists) if (m.metric, m.head) == ("word_dependence", "identity")
    )
    assert (m.low, m.high) == pytest.approx((low, high), abs=0.35 * (high - low))


def lists_of(*pairs):
    a, b, target = zip(*pairs, strict=True) if pairs else ((), (), ())
    n = len(pairs)
    return Trials(
        np.array(a, str),
        np.array(b, str),
        np.array(target, bool),
        np.zeros(n, bool),
        np.full(n, ""),
    )


@pytest.mark.parametrize(
    ("trials", "reason"),
    [
        (lists_of(), "the list has no such trials"),
        (lists_of(("s0_0", "s0_1", 1)), "no impostors"),
        (lists_of(("s0_0", "s1_1", 0)), "no targets"),
        (
            lists_of(("s0_0", "s0_1", 1), ("s0_0", "elsewhere", 0)),
            "1 tracks of the list were not embedded, e.g. elsewhere",
        ),
    ],
)
def test_a_list_that_cannot_be_judged_keeps_its_lines_and_says_why(trials, reason):
    e = embeddings()
    assert reason in why_not(trials, e.tracks)
    lists = {
        TrialList("free"): trials,
        TrialList("hard"): trials,
        TrialList("easy"): words_lists(e)[TrialList("easy")],
    }
    found = trial_metrics(e, lists)
    mine = [m for m in found if m.trials in ("free", "hard") or m.metric == "word_dependence"]
    assert (
        len(mine) == 4 + 2 + 2
    )  # EER by two heads on two lists, word dependence by two heads, minDCF on two lists
    for m in mine:
        assert m.value is None
        assert reason in m.reason
        line = next(line for line in table(found).splitlines() if line.startswith(m.label))
        assert reason in line
    assert all(m.value is not None for m in found if m.trials == "easy")


def test_one_speaker_and_short_tracks_are_told():
    e = embeddings(speakers=1)
    assert "no impostors" in why_not(all_pairs(e.tracks), e.tracks)
    found = {(m.metric, m.head): m for m in task_metrics(e)}
    assert found["identity_top1", "identity"].value is None
    assert "one speaker" in found["identity_top1", "identity"].reason
    content = found["content_top1", "content"]
    assert content.value > 90
    assert content.low is None
    assert "1 speakers are too few to resample" in content.reason
    short = {(m.metric, m.head): m for m in task_metrics(embeddings(N=1))}
    assert "no track has two windows" in short["content_top1", "content"].reason
    assert "10 windows" in short["sync_within_one", "content"].reason


def test_shares_of_right_answers_and_their_intervals():
    e = embeddings()
    rng = np.random.default_rng(0)
    x = e.vectors["audio"]["content"]
    for k in range(12):  # half of the speakers are never right
        x[e.track == k] = rng.normal(size=(35, 6))
    found = {(m.metric, m.head): m for m in task_metrics(e)}
    m = found["content_top1", "content"]
    by_track = []
    for k in range(24):
        face, audio = (e.of(k, stream, "content")[:30] for stream in ("face", "audio"))
        face, audio = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (face, audio))
        by_track.append(np.mean([int(np.argmax(face[t] @ audio.T)) == t for t in range(30)]))
    assert m.value == pytest.approx(100 * np.mean(by_track))
    means = [
        np.mean([by_track[4 * s + k] for s in rng.integers(0, 6, 6) for k in range(4)])
        for _ in range(4000)
    ]
    assert (m.low, m.high) == pytest.approx(tuple(100 * np.quantile(means, [0.025, 0.975])), abs=9)
    assert found["identity_top1", "identity"].value > 99
    assert found["identity_top1", "content"].value < 60


def test_trial_lists_of_a_corpus_with_and_without_any(noise_corpus):
    from dsel import corpus

    tracks = noise_corpus.split("test")
    assert set(trial_lists(noise_corpus, "test", tracks)) == {
        TrialList("all_pairs"),
        TrialList("all_pairs", True),
    }
    mini = corpus.open("mini")
    for split in ("test", "validation"):
        found = trial_lists(mini, split, mini.split(split))
        kinds = {which.trials for which in found if not which.same_sex and not which.group}
        assert kinds == {"free", "hard", "easy"}
        assert {which.group for which in found} == {"", "distinct", "random"}
        ids = {track.id for track in mini.split(split)}
        for which, trials in found.items():
            assert set(trials.a) | set(trials.b) <= ids
            assert trials.same_sex.all() or not which.same_sex


# --- Records --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (ROOT / "data" / "models").glob("*.json"))
)
def test_cards_of_both_forms_are_read_without_a_change_of_value(name):
    rows = json.loads((ROOT / "data" / "models" / f"{name}.json").read_text())["evaluation"]["rows"]
    metrics = [read_metric(row) for row in rows]
    assert [read_metric(row) for row in json.loads(json.dumps(to_rows(metrics)))] == metrics
    assert len({(m.metric, m.label) for m in metrics}) == len(metrics)
    if "figure" in rows[0]:  # the form with sentences
        for row, m in zip(rows, metrics, strict=True):
            scale = 100 if m.metric == "min_dcf" else 1
            assert [row.get(key) for key in ("value", "low", "high", "chance")] == [
                None if x is None else pytest.approx(scale * x, rel=1e-15)
                for x in (m.value, m.low, m.high, m.chance)
            ]
            words = row["figure"].replace(",", "").split()
            assert m.head in words or m.metric in ("content_within_one", "sync_within_one")
            assert ("sex" in words) == m.same_sex
            assert m.metric == {"EER": "eer", "minDCF": "min_dcf"}.get(words[0], m.metric)
            assert not m.trials or m.trials in words
        choices = {m.metric: m.choices for m in metrics if m.choices}
        assert (
            choices.items()
            >= {"content_top1": 30, "content_within_one": 30, "sync_within_one": 31}.items()
        )


def test_a_sentence_that_nobody_wrote_is_refused():
    with pytest.raises(ValueError, match="no metric is written like this"):
        read_metric({"figure": "EER, identity head, odd trials", "value": 1.0, "chance": 50.0})
    with pytest.raises(ValueError, match="must be one of"):
        Metric("eerr", 1.0)
    with pytest.raises(ValueError, match="needs a reason"):
        Metric("eer", None)


def test_a_record_can_be_read_as_the_dictionary_that_it_was():
    m = Metric("eer", 13.0, "identity", "free", low=8.0, high=17.0, chance=50.0)
    assert (m["figure"], m["value"], m["chance"], m["low"]) == (
        "EER, identity head, free trials",
        13.0,
        50.0,
        8.0,
    )
    assert "low" in m
    bare = Metric("cone", 0.4, "identity")
    assert "low" not in bare
    with pytest.raises(KeyError):
        bare["low"]
    with pytest.raises(KeyError):
        bare["nothing"]


def test_labels_and_columns_tell_metrics_apart():
    heads = ("content", "identity")
    lists = [
        (k, sex, "") for k in ("free", "hard", "easy", "all_pairs") for sex in (False, True)
    ] + [("hard", False, "random")]
    metrics = [
        Metric(name, 1.0, head, trials, sex, group, choices=30)
        for name in ("eer", "min_dcf")
        for head in heads
        for trials, sex, group in lists
    ]
    both = [
        name
        for name in METRICS
        if name not in ("eer", "min_dcf", "sync_within_one", "directions", "cone")
    ]
    metrics += [Metric(name, 1.0, head, choices=30) for name in both for head in heads]
    assert len({m.label for m in metrics}) == len(metrics)
    stored = [
        m for m in metrics if m.trials != "all_pairs" and m.metric not in ("min_dcf", "seen_eer")
    ]
    assert len({column(m) for m in stored}) == len(stored)


# --- Leaks ----------------------------------------------------------------------------------------


def test_a_supervised_listener_finds_what_the_cosine_misses():
    """Speakers differ along four faint directions; two loud ones say nothing. New speakers."""
    rng = np.random.default_rng(0)

    def people(n):
        who = np.repeat(rng.normal(size=(n, 4)), 4, axis=0)
        return np.concatenate(
            [0.2 * who + 0.02 * rng.normal(size=who.shape), 5 * rng.normal(size=(4 * n, 2))], axis=1
        )

    x, new, names = people(60), people(10), np.repeat([f"a{k}" for k in range(60)], 4)
    z = supervised(x, names, new)
    rows = [(i, j) for i in range(40) for j in range(i + 1, 40)]
    target = [i // 4 == j // 4 for i, j in rows]

    def rate(v):
        return eer_by_loops(
            [float(v[i] @ v[j] / np.linalg.norm(v[i]) / np.linalg.norm(v[j])) for i, j in rows],
            target,
        )

    assert rate(z) < 0.1
    assert rate(new) > 0.4


def probed_rows():
    """What `leakage` returns, with invented shares: the trunk's MLP reads phonemes best."""
    rows = []
    for stream in ("face", "audio"):
        for probe, shift in (("linear", 0.0), ("mlp", 3.0)):
            row = {
                "stream": stream,
                "factor": "phoneme",
                "probe": probe,
                "figure": "% right",
                "across": "speakers",
            }
            shares = {
                "chance": 8.0,
                "content": 40.0,
                "identity": 12.0,
                "trunk": 50.0,
                "input": 45.0,
            }
            shares = {code: share + shift for code, share in shares.items()}
            rows.append(row | shares | {"random content": 11.0, "random identity": 10.0})
    return {"rows": rows, "disentanglement": {"D": None}, "random network": {"D": None}}


@pytest.mark.heavy
def test_leaks_stand_between_an_untrained_network_and_a_ceiling():
    """On the corpus that is shipped: every line is there, with an interval; the best probe is the
    ceiling.
    """
    import dsel
    from dsel import corpus
    from dsel.evaluate.probes import leakage_table

    people, model = corpus.open("mini"), dsel.load("notes")
    probed = probed_rows()
    found = leak_metrics(model, people, "test", probed, progress=False)
    names = ["", "random network", "supervised, same embedding", "supervised, MFCC statistics"]
    assert [(m.metric, m.head, m.of) for m in found[:4]] == [
        ("eer", "content", name) for name in names
    ]
    assert all(m.low <= m.value <= m.high for m in found[:4])
    assert [(m.metric, m.head, m.value, m.chance) for m in found[4:]] == [
        ("phoneme", "identity", share, 8.0) for share in (12.0, 10.0, 53.0)
    ]
    direct = [
        m
        for m in trial_metrics(*_audio(model, people))
        if (m.metric, m.head, m.trials) == ("eer", "content", "free")
    ]
    assert found[0].value == direct[0].value
    text = leakage_table(probed | {"leaks": to_rows(found)})
    assert all(m.label in text for m in found)


def _audio(model, people):
    from dsel.evaluate.embeddings import embed_split

    e = embed_split(model, people, "test", streams=("audio",), progress=False)
    return e, {TrialList("free"): people.trials("free")}


def test_leaks_without_training_speakers_say_so(noise_corpus):
    from dsel.model import ModelConfig, TwoStream

    only = noise_corpus.__class__(noise_corpus.path)
    only.split = lambda name, whole=only.split: [] if name == "train" else whole(name)
    model = TwoStream(ModelConfig.laptop()).eval()
    found = leak_metrics(model, only, "test", {"rows": []}, progress=False)
    told = [m.reason for m in found if m.of.startswith("supervised")]
    assert told == ["the corpus has no training speakers with two tracks to learn from"] * 2
    assert found[-1].reason == "the corpus knows no phonemes"
