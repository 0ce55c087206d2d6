"""Intervals against scipy, against worlds whose truth is known, and on grids where a plain t
interval has no width.
"""

import math

import numpy as np
import pytest
from scipy import stats

from dsel.evaluate.intervals import Interval, bootstrap, grid_step, holm, interval, t_quantile


@pytest.mark.parametrize("df", [1, 2, 3, 4, 5, 7, 10, 29, 30, 101])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
def test_t_quantile_is_students(df, level):
    assert t_quantile(level, df) == pytest.approx(stats.t.ppf((1 + level) / 2, df), rel=1e-9)


@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_without_a_grid_it_is_the_t_interval(n):
    x = np.random.default_rng(n).normal(3, 2, n)
    low, high = stats.t.interval(0.95, n - 1, loc=x.mean(), scale=stats.sem(x))
    found = interval(x)
    assert (*found, found.n) == pytest.approx((x.mean(), low, high, n))
    assert found.half == pytest.approx((high - low) / 2)
    assert found.shown == (low > 0 or high < 0)
    assert found.p_value == pytest.approx(stats.ttest_1samp(x, 0).pvalue)


def test_an_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    draws = [interval(rng.normal(1.0, 1.0, 5)) for _ in range(2000)]
    covered = np.mean([i.low <= 1 <= i.high for i in draws])
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 2000)


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.02, 0.2, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("parts", [1, 2])
def test_on_a_grid_it_covers_wherever_the_mean_lies(n, spread, parts):
    """Means at several places between two points of the grid; values rounded to it, or differences
    of such values.
    """
    rng = np.random.default_rng([n, round(100 * spread), parts])
    step, worlds = 0.5, 600
    share, plain = [], []
    for place in (0.0, 0.2, 0.35, 0.5):
        truth, covered, without = step * place, 0, 0
        for _ in range(worlds):
            luck = truth + step * spread * rng.normal(size=n)
            x = step * np.round(luck / step)
            if parts == 2:
                other = step * (0.3 + spread * rng.normal(size=n))
                x = x - step * np.round(other / step)
            i, j = interval(x, step=step, parts=parts), interval(x)
            middle = truth - (0.3 * step if parts == 2 else 0)
            covered += i.low - 1e-9 <= middle <= i.high + 1e-9
            without += j.low <= middle <= j.high
            assert i.half >= parts * step / 2 - 1e-12
        share.append(covered / worlds)
        plain.append(without / worlds)
    assert min(share) > 0.95 - 4 * math.sqrt(0.95 * 0.05 / worlds)
    if spread == 0.02:  # equal values nearly always: a plain t interval has no width
        assert min(plain) < 0.5


def test_texts_have_no_empty_half():
    assert str(interval([7.0])) == "7.0 (1 seed)"
    assert not interval([7.0]).shown
    assert str(interval([])) == "-"
    assert str(interval([20.0, 20.0], step=1.0)) == "20.0 ± 2.6"
    assert str(interval([0.171, 0.172, 0.173])) == "0.172 ± 0.002"
    assert interval([-1.0, -1.5, -2.0]).text(sign=True) == "-1.5 ± 1.2"
    assert interval([1.0, 1.5, 2.0]).text(sign=True) == "+1.5 ± 1.2"
    assert interval([4.0, 4.0, 4.0]).text() == "4.0 ± 0 (all alike)"


def test_the_step_of_a_grid():
    assert grid_step(np.array([7, 3, 3, 12]) / 240) == pytest.approx(4 / 240, abs=1e-3)
    assert grid_step([round(100 * k / 240, 4) for k in (30, 31, 77, 112)]) == pytest.approx(
        100 / 240, abs=1e-3
    )
    assert grid_step([5.0, 5.0]) == 0
    assert grid_step([1.0, math.nan, 1.0001]) == 0  # digits of the file, not of the grid


def test_holm_by_loops_and_under_no_effect():
    rng = np.random.default_rng(1)
    for _ in range(50):
        p = np.round(rng.uniform(0, 0.1, 6) ** 1.5, 3)
        allowed, shown = list(range(6)), set()
        while allowed:  # take the smallest, ask for it among those left
            k = min(allowed, key=lambda k: (p[k], k))
            if p[k] > 0.05 / len(allowed):
                break
            shown.add(k)
            allowed.remove(k)
        assert set(np.flatnonzero(holm(p))) == shown
    false = np.mean(
        [holm([interval(rng.normal(size=5)).p_value for _ in range(10)]).any() for _ in range(400)]
    )
    assert false < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 400)
    assert holm([0.01, math.nan]).tolist() == [True, False]


def test_the_bootstrap_of_a_mean_is_that_of_drawn_lists():
    x = np.random.default_rng(2).normal(size=12)
    found = bootstrap(lambda n: float((n * x).sum() / n.sum()), 12, draws=4000)
    assert found.value == pytest.approx(x.mean())
    rng = np.random.default_rng(3)
    means = [x[rng.integers(0, 12, 12)].mean() for _ in range(4000)]
    assert (found.low, found.high) == pytest.approx(
        tuple(np.quantile(means, [0.025, 0.975])), abs=0.06
    )
    with pytest.raises(ValueError, match="2 speakers are too few"):
        bootstrap(lambda n: 0.0, 2)


def test_an_interval_unpacks_to_three_numbers():
    value, low, high = Interval(2.0, 1.0, 4.0, 9)
    assert (value, low, high) == (2, 1, 4)
    assert Interval(2.0, 1.0, 4.0).shown
    assert not Interval(2.0, -1.0, 4.0).shown
