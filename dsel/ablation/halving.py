"""Choose by successive halving which variants of the grid get more seeds.

The rule was fixed before any result was known. The variants of a corpus (an entanglement) compete
with each other, on *validation* speakers alone:

1. Every variant is trained with the seeds 0 and 1.
2. The better half, by the mean of the criterion over these seeds, is trained with seed 2.
3. The better half of those, by the mean over the seeds 0 to 2, is trained with the seeds 3 and 4.

The criterion is `CHOSEN_BY`: the mean of the EER on free and on hard trials, in percent. An odd
half is rounded up; of equal variants the one that comes first in the grid wins. Differences are
taken from the variants in `REFERENCES`: they get all seeds and do not count as survivors. Nothing
is removed from results.csv: a variant that was given up keeps its two seeds.
"""

from __future__ import annotations

from dsel.ablation.rows import CHOSEN_BY, GRID, VARIANTS, Schedule, Variant, final

RUNGS = ((0, 1), (2,), (3, 4))  # seeds that a row is given at each rung
REFERENCES = ("e1-lam0", "e1-lam1", "raw-lam0", "raw-lam1", "both", "full")


def criterion(results: list[dict], row: str, seeds) -> float | None:
    """Average `CHOSEN_BY` over some seeds, for validation speakers, in percent.

    Args:
        results: rows of results.csv.
        row: id of a variant.
        seeds: to average over.
    Returns:
        The mean; None unless all seeds are there.
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
    """Choose the better half of the variants, best first; None while one of them lacks a seed.

    Args:
        results: rows of results.csv.
        rows: ids of variants, in the order of the grid.
        seeds: to compare by.
    """
    scores = {row: criterion(results, row, seeds) for row in rows}
    if None in scores.values():
        return None
    return sorted(rows, key=lambda row: (scores[row], rows.index(row)))[: (len(rows) + 1) // 2]


def halving(results: list[dict], schedule: Schedule, grid=GRID) -> list[tuple[Variant, int]]:
    """List all cells that the results so far call for, the finished ones included, in order.

    A rung is called for once the rung before is complete. So the list grows until the last rung.

    Args:
        results: rows of results.csv.
        schedule: how many seeds there are at most.
        grid: blocks of variants, one per corpus.
    Returns:
        (variant, seed) of each cell.
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
    """Find the front end and lambda of the best variant of the grid, such as ('none', 3.0).

    Only variants at entanglement 1 with the notes' four terms and lambda > 0 are compared, by the
    criterion over the seeds of the first rung, which all variants have.

    Raises:
        LookupError: one of them is missing.
    """
    rows = [row for row in GRID[0] if row.changes["lam"] and not row.changes.get("within")]
    best = survivors(results, [row.id for row in rows], RUNGS[0])
    if best is None:
        raise LookupError("the first rung of the grid at entanglement 1 is not complete")
    row = VARIANTS[best[0]]
    return row.model.get("front_end", "track"), row.changes["lam"]


def chosen_by_the_grid(results: list[dict]) -> dict:
    """Say what the grid chooses; {} while variants are missing.

    Returns:
        {"grid": {"front_end", "lam", "criterion" of every variant with both seeds of the first
        rung}}.
    """
    try:
        front_end, lam = best_front_end_and_lambda(results)
    except LookupError:
        return {}
    scores = {row.id: criterion(results, row.id, RUNGS[0]) for block in GRID for row in block}
    scores = {row: round(value, 3) for row, value in scores.items() if value is not None}
    return {"grid": {"front_end": front_end, "lam": lam, "criterion": scores}}
