"""Successive halving over the grid: which rows deserve more seeds. The rule was fixed before any
result was known.

The rows of a corpus (an entanglement) compete with each other, on *validation* speakers alone:

1. Every row is trained with the seeds 0 and 1.
2. The better half, by the mean over these seeds of the criterion, is trained with seed 2.
3. The better half of those, by the mean over the seeds 0 to 2, is trained with the seeds 3 and 4.

The criterion is `CHOSEN_BY`: the mean of the EER on free and on hard trials, in percent. An odd
half is rounded up; a tie goes to the row that comes first in the grid. The rows of `REFERENCES` are
what differences are taken from: they get all seeds and do not count as survivors. Nothing is
dropped from results.csv: a row that was given up keeps its two seeds.
"""

from __future__ import annotations

from dsel.ablation.rows import CHOSEN_BY, GRID, VARIANTS, Schedule, Variant, final

RUNGS = ((0, 1), (2,), (3, 4))  # seeds that a row is given at each rung
REFERENCES = ("e1-lam0", "e1-lam1", "raw-lam0", "raw-lam1", "both", "full")


def criterion(results: list[dict], row: str, seeds) -> float | None:
    """Mean of `CHOSEN_BY` over these seeds, validation speakers, in percent; None unless all of
    them are there.
    """
    columns = [f"validation_{name}" for name in CHOSEN_BY]
    found = {
        r["seed"]: [r[c] for c in columns]
        for r in final(results)
        if r["row"] == row and all(c in r for c in columns)
    }
    if any(seed not in found for seed in seeds):
        return None
    return sum(sum(found[seed]) / len(columns) for seed in seeds) / len(seeds)


def survivors(results: list[dict], rows: list[str], seeds) -> list[str] | None:
    """The better half of the rows, best first; None while one of them lacks a seed."""
    scores = {row: criterion(results, row, seeds) for row in rows}
    if None in scores.values():
        return None
    return sorted(rows, key=lambda row: (scores[row], rows.index(row)))[: (len(rows) + 1) // 2]


def halving(results: list[dict], schedule: Schedule, grid=GRID) -> list[tuple[Variant, int]]:
    """All cells that the results so far call for, those that are done included, in order: (row,
    seed).

    A rung is called for once the rung before is complete, so the list grows until the last one.
    """
    found = []
    for block in grid:  # the first rung of each corpus first
        found += [(row.id, seed) for seed in RUNGS[0] for row in block]
    for block in grid:
        names, done = [row.id for row in block], RUNGS[0]
        found += [
            (row, seed) for rung in RUNGS[1:] for seed in rung for row in names if row in REFERENCES
        ]
        for rung in RUNGS[1:]:
            names = survivors(results, names, done)
            if names is None:
                break
            found += [(row, seed) for seed in rung for row in names]
            done = (*done, *rung)
    return [
        (VARIANTS[row], seed) for row, seed in dict.fromkeys(found) if seed < schedule.most_seeds
    ]


def best_front_end_and_lambda(results: list[dict]) -> tuple[str, float]:
    """Front end and lambda of the best row of the grid at entanglement 1 with the paper's four
    terms, lambda > 0.

    By the criterion over the seeds of the first rung, which all rows have; ('none', 3.0) for
    example. Raises LookupError while one of them is missing.
    """
    rows = [row for row in GRID[0] if row.changes["lam"] and not row.changes.get("within")]
    best = survivors(results, [row.id for row in rows], RUNGS[0])
    if best is None:
        raise LookupError("the first rung of the grid at entanglement 1 is not complete")
    row = VARIANTS[best[0]]
    return row.model.get("front_end", "track"), row.changes["lam"]


def chosen_by_the_grid(results: list[dict]) -> dict:
    """{"grid": {"front_end", "lam", "criterion" of every row with both seeds of the first rung}};
    {} while rows are missing.
    """
    try:
        front_end, lam = best_front_end_and_lambda(results)
    except LookupError:
        return {}
    scores = {row.id: criterion(results, row.id, RUNGS[0]) for block in GRID for row in block}
    scores = {row: round(value, 3) for row, value in scores.items() if value is not None}
    return {"grid": {"front_end": front_end, "lam": lam, "criterion": scores}}
