"""Error rates, costs and intervals against counting in loops, exact fractions, and simulated worlds
whose truth is known.
"""

from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsel.corpus import Track, Trials
from dsel.evaluate import vectors as verification
from dsel.evaluate.verification import (
    confusable,
    cosine_scores,
    det_curve,
    eer_interval,
    equal_error_rate,
    error_rates,
    min_dcf,
    speaker_bootstrap,
    trial_speakers,
)
from dsel.utils.errors import BadInput

TRIALS = st.lists(
    st.tuples(st.integers(-4, 4), st.booleans(), st.integers(0, 3)), min_size=2, max_size=30
).filter(lambda rows: {True, False} <= {target for _, target, weight in rows if weight})


def rates_by_counting(rows):
    """(threshold, miss, false alarm) as exact fractions, by going through all trials at every
    threshold.
    """
    found = []
    for cut in [-np.inf, *sorted({score for score, _, _ in rows})]:
        missed = sum(weight for score, target, weight in rows if target and score <= cut)
        accepted = sum(weight for score, target, weight in rows if not target and score > cut)
        targets = sum(weight for _, target, weight in rows if target)
        others = sum(weight for _, target, weight in rows if not target)
        found.append((cut, Fraction(missed, targets), Fraction(accepted, others)))
    return found


def eer_by_walking(rows):
    """Where the line through the two points before and after the crossing meets miss = false alarm;
    exact.
    """
    points = rates_by_counting(rows)
    for (_, m0, f0), (_, m1, f1) in pairwise(points):
        if m1 >= f1:
            t = (f0 - m0) / ((f0 - m0) + (m1 - f1))
            return m0 + t * (m1 - m0)
    raise AssertionError("the curves must cross: they end at (1, 0)")


def arrays(rows):
    return [np.array(column) for column in zip(*rows, strict=True)]


@given(TRIALS)
@settings(max_examples=200)
def test_rates_eer_and_cost_equal_exact_counting(rows):
    scores, target, weight = arrays(rows)
    threshold, miss, false_alarm = det_curve(scores, target, weight)
    by_hand = rates_by_counting(rows)
    assert threshold.tolist() == [float(cut) for cut, _, _ in by_hand]
    np.testing.assert_allclose(miss, [float(m) for _, m, _ in by_hand], atol=1e-12)
    np.testing.assert_allclose(false_alarm, [float(f) for _, _, f in by_hand], atol=1e-12)
    assert equal_error_rate(scores, target, weight) == pytest.approx(
        float(eer_by_walking(rows)), abs=1e-12
    )
    for p in (Fraction(1, 20), Fraction(1, 2), Fraction(9, 10)):
        lowest = min(p * m + (1 - p) * f for _, m, f in by_hand) / min(p, 1 - p)
        assert min_dcf(scores, target, float(p), weight=weight) == pytest.approx(float(lowest))


@given(TRIALS)
@settings(max_examples=100)
def test_weights_are_repetitions(rows):
    scores, target, weight = arrays(rows)
    again = [np.repeat(x, weight) for x in (scores, target)]
    assert equal_error_rate(*again) == pytest.approx(equal_error_rate(scores, target, weight))
    assert min_dcf(*again) == pytest.approx(min_dcf(scores, target, weight=weight))


@given(TRIALS, st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_laws_of_the_det_curve_and_the_eer(rows, random):
    """Monotone; from (0, 1) to (1, 0); unchanged by the order of trials and by any rising map;
    symmetric under exchange.
    """
    scores, target, weight = arrays(rows)
    _, miss, false_alarm = det_curve(scores, target, weight)
    assert (np.diff(miss) >= 0).all()
    assert (np.diff(false_alarm) <= 0).all()
    assert (miss[0], false_alarm[0], miss[-1], false_alarm[-1]) == (0, 1, 1, 0)
    eer, cost = equal_error_rate(scores, target, weight), min_dcf(scores, target, weight=weight)
    assert 0 <= eer <= 1
    assert 0 <= cost <= 1
    for rising in (np.exp, np.arctan, lambda s: s**3 + s, lambda s: 7 * s - 2):
        assert equal_error_rate(rising(scores.astype(float)), target, weight) == pytest.approx(eer)
        assert min_dcf(rising(scores.astype(float)), target, weight=weight) == pytest.approx(cost)
    assert equal_error_rate(-scores, ~target, weight) == pytest.approx(eer)
    order = np.array(random.sample(range(len(rows)), len(rows)))
    assert equal_error_rate(scores[order], target[order], weight[order]) == pytest.approx(eer)


def test_det_curve_equals_scikit_learns():
    from sklearn.metrics import det_curve as sklearn_det

    rng = np.random.default_rng(3)
    target = rng.integers(0, 2, 300).astype(bool)
    scores = np.round(rng.normal(size=300) + target, 1)  # with ties
    alarm, miss, _ = sklearn_det(target, scores)
    ours = {(round(m, 9), round(f, 9)) for m, f in zip(*error_rates(scores, target), strict=True)}
    assert {(round(m, 9), round(f, 9)) for m, f in zip(miss, alarm, strict=True)} <= ours


@pytest.mark.parametrize(
    "bad", [([1, 2], [1, 1]), ([1, 2], [0, 0]), ([1, np.nan], [0, 1]), ([1], [0, 1]), ([], [])]
)
def test_trials_that_cannot_be_judged(bad):
    with pytest.raises(
        ValueError, match="need finite scores of at least one target and one impostor"
    ):
        det_curve(*bad)


def test_trials_whose_weights_are_all_zero():
    with pytest.raises(ValueError, match="need finite scores"):
        equal_error_rate([1, 2], [0, 1], [1, 0])


def people(rng, speakers, tracks, spread=1.0):
    """A world: speakers scatter on a line by `spread`, their tracks around them by 1 or 2; score =
    minus the distance.
    """
    place = spread * rng.normal(size=speakers)
    noise = rng.choice([0.5, 2.0], speakers)  # some people are harder than others
    x = place[:, None] + noise[:, None] * rng.normal(size=(speakers, tracks))
    who = np.repeat(np.arange(speakers), tracks)
    pairs = np.array(list(combinations(range(speakers * tracks), 2)))
    a, b = who[pairs[:, 0]], who[pairs[:, 1]]
    return -np.abs(x.ravel()[pairs[:, 0]] - x.ravel()[pairs[:, 1]]), a == b, a, b


def test_a_draw_of_speakers_is_the_trial_list_of_those_speakers():
    """Drawing speakers n times weighs trials as if they had been listed by loops over the drawn
    speakers.
    """
    rng = np.random.default_rng(4)
    _, target, a, b = people(rng, 6, 3)
    seen = []
    speaker_bootstrap(lambda weight: seen.append(weight) or 0.0, a, b, draws=20, seed=1)
    assert len(seen) == 21  # the draws, and the figure itself
    assert (seen[-1] == 1).all()
    for weight in seen[:-1]:
        count = [int(max(weight[target & (a == s)])) for s in range(6)]  # how often each was drawn
        assert sum(count) == 6
        drawn = [s for s in range(6) for _ in range(count[s])]
        listed = [k for s in drawn for k in range(len(a)) if a[k] == b[k] == s]
        listed += [
            k
            for i, s in enumerate(drawn)
            for j, o in enumerate(drawn)
            if i < j and s != o
            for k in range(len(a))
            if {a[k], b[k]} == {s, o}
        ]
        by_list = np.bincount(listed, minlength=len(a))
        np.testing.assert_array_equal(weight, by_list)


@pytest.mark.heavy
def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """Against the EER of a world of 1,000 people; intervals over trials, which forget that people
    repeat, cover less.
    """
    truth = equal_error_rate(*people(np.random.default_rng(0), 1000, 2, spread=3.0)[:2])
    worlds, covered, naive = 50, 0, 0
    for w in range(worlds):
        rng = np.random.default_rng([1, w])
        scores, target, a, b = people(rng, 15, 3, spread=3.0)
        _, low, high = eer_interval(scores, target, a, b, draws=80, seed=w)
        covered += low <= truth <= high
        kinds = [np.flatnonzero(target), np.flatnonzero(~target)]
        by_trials = []
        for _ in range(80):
            k = np.concatenate([rng.choice(kind, len(kind)) for kind in kinds])
            by_trials.append(equal_error_rate(scores[k], target[k]))
        low, high = np.quantile(by_trials, [0.025, 0.975])
        naive += low <= truth <= high
    assert covered / worlds >= 0.85  # 95 % is meant; three standard errors of 50 worlds
    assert naive < covered


def test_the_interval_shrinks_with_more_speakers_and_can_compare_two_systems():
    rng = np.random.default_rng(5)
    widths = []
    for speakers in (8, 32):
        scores, target, a, b = people(rng, speakers, 5, spread=3.0)
        value, low, high = eer_interval(scores, target, a, b)
        assert low <= value <= high
        assert value == equal_error_rate(scores, target)
        widths.append(high - low)
    assert widths[1] < widths[0]
    worse = scores - 3 * np.abs(rng.normal(size=len(scores)))

    def difference(weight):
        return equal_error_rate(worse, target, weight) - equal_error_rate(scores, target, weight)

    assert (
        speaker_bootstrap(difference, a, b).low > 0
    )  # paired: sure, though the intervals of the two may overlap
    assert tuple(speaker_bootstrap(lambda w: 0 * w.sum(), a, b)) == (0, 0, 0)
    same = eer_interval(scores, target, a, b, seed=3)
    assert same == eer_interval(scores, target, a, b, seed=3)


def test_intervals_that_cannot_be_had():
    with pytest.raises(ValueError, match="2 speakers are too few"):
        eer_interval([1, 2, 3], [1, 0, 1], ["x", "x", "y"], ["x", "y", "y"])
    with pytest.raises(ValueError, match="too few speakers have trials of both kinds"):
        eer_interval(
            [1, 2], [1, 0], list("wx"), list("wy"), draws=40
        )  # w, x and y must all be drawn


def test_cosine_scores_and_speakers_by_loops():
    rng = np.random.default_rng(6)
    tracks = [Track(f"t{k}", f"s{k // 2}", "test", "x", 50) for k in range(6)]
    vectors = rng.normal(size=(6, 4))
    pairs = [(0, 1), (2, 5), (4, 3)]
    a, b = (np.array([f"t{pair[side]}" for pair in pairs]) for side in (0, 1))
    trials = Trials(a, b, np.array([1, 0, 0], bool), np.ones(3, bool), np.full(3, ""))
    ids = [track.id for track in tracks]
    for score, (i, j) in zip(cosine_scores(vectors, ids, trials), pairs, strict=True):
        dot = sum(x * y for x, y in zip(vectors[i], vectors[j], strict=True))
        assert score == pytest.approx(dot / (sum(vectors[i] ** 2) * sum(vectors[j] ** 2)) ** 0.5)
    assert [list(side) for side in trial_speakers(trials, tracks)] == [
        ["s0", "s1", "s2"],
        ["s0", "s2", "s1"],
    ]
    with pytest.raises(BadInput, match=r"1 tracks of the trial list were not embedded, e\.g\. t4"):
        cosine_scores(vectors[:4], ids[:4], trials.only(np.array([False, False, True])))


def test_the_most_confusable_pairs():
    scores = [0.9, 0.8, 0.7, 0.1, 0.2, 0.95]
    target = [False, False, False, True, True, True]
    a, b = list("xyxxyz"), list("yxzxyz")
    impostors, targets = confusable(scores, target, a, b, count=2)
    assert impostors.tolist() == [0, 2]  # trial 1 is the same two people as trial 0
    assert targets.tolist() == [3, 4]
    assert confusable(scores, target, a, b, count=9)[0].tolist() == [0, 2]


def test_main_directions_are_those_along_which_most_varies():
    """Unit vectors that vary a lot along two known directions and a little along all."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    x = basis[0] * 3 + rng.normal(size=(400, 2)) @ basis[1:3] + 0.02 * rng.normal(size=(400, 12))
    found = verification.main_directions(x, 0.9)
    assert found.shape == (2, 12)
    np.testing.assert_allclose(found @ found.T, np.eye(2), atol=1e-9)
    assert np.linalg.norm(found @ basis[1:3].T) ** 2 > 1.9  # the same plane: 2 if exactly
    z = x / np.sqrt((x**2).sum(axis=1, keepdims=True))
    variance = ((z - z.mean(axis=0)) ** 2).sum()
    for share in (0.3, 0.9, 0.999):
        directions = verification.main_directions(x, share)
        held = (((z - z.mean(axis=0)) @ directions.T) ** 2).sum() / variance
        fewer = (((z - z.mean(axis=0)) @ directions[:-1].T) ** 2).sum() / variance
        assert fewer < share <= held + 1e-12


def test_words_that_only_voices_carry_are_not_heard_along_the_directions_of_the_faces():
    """Voices = person + words, faces = person: the cosine of whole voices follows the words, along
    those directions not.
    """
    rng = np.random.default_rng(1)
    person, words = np.zeros((40, 16)), np.zeros((4, 16))
    person[:, :4], words[:, 4:8] = rng.normal(size=(40, 4)), 4 * np.eye(4)
    who, what = np.repeat(np.arange(40), 4), np.tile(np.arange(4), 40)
    voices, faces = person[who] + words[what], person + 0.01 * rng.normal(size=person.shape)
    i, j = np.triu_indices(len(who), 1)
    hard = (who[i] == who[j]) != (
        what[i] == what[j]
    )  # one person, other words; or two people, the same words
    i, j, target = i[hard], j[hard], (who[i] == who[j])[hard]

    def error(x):
        z = verification.unit(x)
        return equal_error_rate((z[i] * z[j]).sum(axis=1), target)

    assert error(voices) > 0.6
    assert error(voices @ verification.main_directions(faces).T) < 0.01
