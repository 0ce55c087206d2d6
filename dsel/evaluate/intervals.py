"""Means with 95 % intervals, and paired differences: Student's t over a few seeds. (Source: Student 1908; ours as code.)"""

from __future__ import annotations

import math
from dataclasses import dataclass

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """mean +- half, of n values. half is infinite for n = 1; mean and half are nan for n = 0."""

    mean: float
    half: float
    n: int

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half

    @property
    def shown(self) -> bool:
        """Whether it excludes 0."""
        return abs(self.mean) > self.half

    def __str__(self) -> str:
        if not self.n:
            return "-"
        return f"{self.mean:.1f}" + (f" ± {self.half:.1f}" if self.n > 1 else " (1 seed)")


def interval(values, level: float = LEVEL) -> Interval:
    """mean +- t s / sqrt(n), where t is the quantile of Student's distribution with n - 1 degrees of freedom."""
    values = [float(v) for v in values]
    n = len(values)
    if n < 2:
        return Interval(values[0] if n else math.nan, math.inf if n else math.nan, n)
    mean = math.fsum(values) / n
    s = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    return Interval(mean, t_quantile(level, n - 1) * s / math.sqrt(n), n)


def t_quantile(level: float, df: int) -> float:
    """The t with P(|T| < t) = level for df degrees of freedom, by halving the angle theta = arctan(t / sqrt(df))."""
    low, high = 0.0, math.pi / 2
    for _ in range(100):
        theta = (low + high) / 2
        low, high = (theta, high) if _within(theta, df) < level else (low, theta)
    return math.sqrt(df) * math.tan((low + high) / 2)


def _within(theta: float, df: int) -> float:
    """P(|T| < sqrt(df) tan theta), the finite series for whole df. (Source: Abramowitz and Stegun, 26.7.3 and 26.7.4.)"""
    cos, term, total = math.cos(theta), 1.0, 0.0
    if df % 2 == 0:
        for k in range(0, df - 1, 2):
            total += term
            term *= (k + 1) / (k + 2) * cos**2
        return math.sin(theta) * total
    for k in range(1, df - 1, 2):
        total += term
        term *= (k + 1) / (k + 2) * cos**2
    return 2 / math.pi * (theta + math.sin(theta) * cos * total)
