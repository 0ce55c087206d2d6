"""Exercise of notebook 11: write a law that a wrong distance breaks and every right one keeps.

(Source: ours.)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dsel.teaching.exercises.checker import Verdict, raised

__all__ = ["RIGHT_DISTANCES", "distance_law", "squared_distances"]


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Compute the squared distances of all pairs, the bug: (K, D), (M, D) -> (K, M)."""
    return (x[:, None] - y[None]).square().sum(dim=-1)


def _roots(x: Tensor, y: Tensor) -> Tensor:
    """Compute the distances of all pairs as roots of sums of squares: (K, M)."""
    return squared_distances(x, y).sqrt()


def _pair_by_pair(x: Tensor, y: Tensor) -> Tensor:
    """Compute the distances of all pairs one after the other: (K, M)."""
    rows = [[(one - other).square().sum().sqrt() for other in y] for one in x]
    return torch.stack([torch.stack(row) for row in rows])


# A law has to accept all of them: it may ask what a function does, not which function it is.
RIGHT_DISTANCES = {
    "torch.cdist": torch.cdist,
    "the root of the sum of squares": _roots,
    "a loop over all pairs": _pair_by_pair,
}


def distance_law(law: Callable) -> Verdict:
    """Judge a law about distances. Never raises.

    Args:
        law: a function that takes a function `distances`, (K, D), (M, D) -> (K, M), and asserts
            something about it.
    Returns:
        solved if the law accepts all right distances and refuses the squared ones.
    """
    if not callable(law):
        kind = type(law).__name__
        return Verdict(
            False, "not a function", f"That is a {kind}, not a function: pass the law itself."
        )
    try:
        return _tried(law)
    except NotImplementedError:
        return Verdict(False, "not yet", "Not yet: the law asserts nothing.")
    except Exception as error:  # whatever a reader's code raises is reported, not passed on
        return raised(error, law)


def _tried(law: Callable) -> Verdict:
    """Try a law on the right distances, then on the squared ones."""
    for name, distances in RIGHT_DISTANCES.items():
        refusal, returned = _refusal(law, distances)
        if returned is NotImplemented:
            return Verdict(False, "not yet", "Not yet: my_law asserts nothing.")
        if refusal is not None:
            message = f"Too strict: it refuses a right distance too, {name}{refusal}."
            return Verdict(False, "too strict", message)
    refusal, returned = _refusal(law, squared_distances)
    if refusal is not None:
        return Verdict(True, "", f"Caught{refusal}.")
    if returned is not None:
        message = (
            f"It returns {returned!r} and asserts nothing: write `assert` before the condition."
        )
        return Verdict(False, "returned", " ".join(message.split()))
    return Verdict(False, "too lax", "Too lax: the bug slips through.")


def _refusal(law: Callable, distances: Callable) -> tuple[str | None, object]:
    """Apply a law: (what its AssertionError says, or None if it accepts; what it returns)."""
    try:
        return None, law(distances)
    except AssertionError as error:
        text = " ".join(str(error).split())
        return (f": {text[:200]}" if text else ""), None
