"""Successive halving: the rule that its module states, on made-up results."""

import pytest

from dsel.ablation.halving import (
    REFERENCES,
    RUNGS,
    best_front_end_and_lambda,
    chosen_by_the_grid,
    criterion,
    halving,
    survivors,
)
from dsel.ablation.rows import GRID, ROWS, Schedule

SCHEDULE = Schedule.named("grid")
FIRST, SECOND = ([row.id for row in block] for block in GRID)


def result(row, seed, value):
    """A finished training whose criterion is `value`; test speakers say the opposite, and must not
    be asked.
    """
    split = {"validation_eer_free": value - 3, "validation_eer_hard": value + 3}
    against = {"test_eer_free": -value, "test_eer_hard": -value}
    return {"row": row, "seed": seed, "step": 650, "steps": 650, **split, **against}


def cells_of(results):
    return [(row.id, seed) for row, seed in halving(results, SCHEDULE)]


def test_the_grid_is_all_combinations_each_once_and_each_what_its_id_says():
    assert len(set(FIRST)) == len(set(SECOND)) == 3 * 4 * 2
    for entanglement, block in zip((1.0, 0.0), GRID, strict=True):
        found = set()
        for row in block:
            config, model = row.train_config(SCHEDULE, 0), row.model_config(SCHEDULE)
            assert row.entanglement == entanglement
            assert (
                config.extra,
                config.steps,
                config.alpha_c,
                config.alpha_s,
                config.leave_out,
            ) == (64, 650, 1.0, 1.0, None)
            found.add((model.front_end, config.lam, config.within))
        assert found == {
            (f, x, w)
            for f in ("track", "level", "none")
            for x in (0.0, 1.0, 3.0, 10.0)
            for w in (0.0, 1.0)
        }


def test_at_first_every_row_gets_two_seeds_and_references_all():
    found = cells_of([])
    assert found[:48] == [(row, seed) for seed in (0, 1) for row in FIRST]
    assert found[48:96] == [(row, seed) for seed in (0, 1) for row in SECOND]
    assert set(found[96:]) == {(row, seed) for row in REFERENCES for seed in (2, 3, 4)}


def test_the_better_half_goes_on_rung_by_rung_and_each_corpus_by_itself():
    results = [result(row, seed, 20.0 + FIRST.index(row)) for row in FIRST for seed in (0, 1)]
    found = cells_of(results)
    assert {row for row, seed in found if seed == 2 and row not in REFERENCES} == set(
        FIRST[:12]
    ) - set(REFERENCES)
    assert not {row for row, seed in found if seed > 2} - set(REFERENCES)
    # With seed 2 the order turns round: of the twelve, the last six are now the best.
    results += [result(row, 2, 80.0 - 5 * FIRST.index(row)) for row in FIRST[:12]]
    found = cells_of(results)
    assert {row for row, seed in found if seed in (3, 4) and row not in REFERENCES} == set(
        FIRST[6:12]
    ) - set(REFERENCES)
    assert len(found) == len(set(found))


def test_a_rung_waits_for_its_last_cell():
    results = [result(row, seed, 20.0) for row in FIRST for seed in (0, 1)]
    assert survivors(results, FIRST, RUNGS[0]) == FIRST[:12]  # all alike: the order of the grid
    assert survivors(results[:-1], FIRST, RUNGS[0]) is None
    assert {seed for row, seed in cells_of(results[:-1]) if row not in REFERENCES} == {0, 1}


def test_the_criterion_is_the_mean_of_free_and_hard_over_the_seeds_that_are_asked_for():
    results = [result("lam3", 0, 10.0), result("lam3", 1, 30.0), result("lam3", 2, 99.0)]
    assert criterion(results, "lam3", (0, 1)) == pytest.approx(20.0)
    assert criterion(results, "lam3", (0, 3)) is None


def test_the_choice_takes_the_best_of_the_four_terms():
    results = [result(row, seed, 30.0) for row in FIRST for seed in (0, 1)]
    with pytest.raises(LookupError):
        best_front_end_and_lambda(results[:-2][:3])
    assert chosen_by_the_grid([]) == {}
    better = (
        ("e1-level-lam3", 25.0, ("level", 3.0)),
        ("raw-lam0", 24.0, ("level", 3.0)),  # better, but it is no confusion at all
        ("raw-within", 20.0, ("level", 3.0)),  # better, but with the fifth term
        ("lam10", 19.0, ("track", 10.0)),
    )
    for row, value, chosen in better:
        results = [r for r in results if r["row"] != row] + [
            result(row, seed, value) for seed in (0, 1)
        ]
        assert best_front_end_and_lambda(results) == chosen
    assert chosen_by_the_grid(results)["grid"]["criterion"]["raw-within"] == 20.0


def test_long_rows_have_their_own_corpus_only_where_the_schedule_says_so():
    row = ROWS["e1-lam0-long"]
    assert row.speakers(Schedule.named("laptop")) == 1000
    assert row.speakers(SCHEDULE) == 3000
    assert ROWS["e1-lam0"].speakers(SCHEDULE) == 1000
