"""How the verdict writes its numbers: percentages, differences in points, counts of seeds."""

from __future__ import annotations

from dsel.evaluate.intervals import Interval

ENOUGH = 3  # seeds for an interval


def one(value: float) -> str:
    """A percentage."""
    return f"{value:.1f}"


def points(difference: Interval) -> str:
    """'-19.7 ± 1.7 points'."""
    if difference.n < 2:
        return f"{difference.mean:+.1f} points (1 seed)"
    return f"{difference.text(sign=True)} points"


def spread(found: Interval) -> str:
    """'12.2 ± 1.1'; below `ENOUGH` seeds the mean alone.

    An interval over two seeds is six times as wide as one over many, and a reader would take its
    width for a finding.
    """
    return found.text() if found.n >= ENOUGH else one(found.mean)


def in_seeds(n: int) -> str:
    """'1 seed', '5 seeds'."""
    return "1 seed" if n == 1 else f"{n} seeds"


def between(counts: list[int]) -> str:
    """'5 seeds', '2 to 5 seeds', or 'at most 1 seed' where some have none."""
    low, high = min(counts), max(counts)
    if low == 0:
        return f"at most {in_seeds(high)}"
    return in_seeds(low) if low == high else f"{low} to {high} seeds"
