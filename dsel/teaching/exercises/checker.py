"""The exercises of the loss notebooks: a self-check that says what is wrong, not only that something is.

An exercise calls the reader's function on a few small batches and compares it with `dsel.reference`. If the two differ, it
looks for a mistake that would give exactly the reader's numbers on every batch, and names it. It never raises: a notebook with
an unfinished exercise runs through.

    from dsel import exercises
    exercises.content_loss(my_content_loss)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Verdict:
    """What the self-check found: `solved`, the `name` of the mistake ('' if solved), and a sentence for the reader."""

    solved: bool
    name: str
    message: str

    def __bool__(self) -> bool:
        return self.solved

    def _repr_markdown_(self) -> str:
        mark = "✅" if self.solved else "✏️" if self.name == "not yet" else "❌"
        return f"{mark} {self.message}"


class Mistake(NamedTuple):
    """A wrong formula that readers write, and what to tell them. `formula` takes the exercise's arguments."""

    name: str
    formula: Callable
    message: str


class Case(NamedTuple):
    """One batch: what the reader's function gets, and the value and gradients that the loops give for it."""

    arguments: tuple
    value: float
    gradients: list[np.ndarray]


@dataclass(frozen=True)
class Exercise:
    """A function to write: call the exercise with it to get a `Verdict`. `large` is a batch whose exp(logits) overflow."""

    signature: str
    cases: list[Case]
    large: Case
    mistakes: list[Mistake] = field(default_factory=list)

    def __call__(self, candidate: Callable) -> Verdict:
        try:
            values = [candidate(*case.arguments) for case in self.cases]
            for judge in (self._form, self._right, self._named):
                verdict = judge(candidate, values)
                if verdict is not None:
                    return verdict
        except NotImplementedError:
            return _no("not yet", f"Not yet: write {self.signature}, run the cell, and this line will judge it.")
        except Exception as error:
            return _no("raises", f"It stops with {type(error).__name__}: {error}")
        got, want = values[0].item(), self.cases[0].value
        return _no("unknown", f"Not the formula yet: on the first batch it gives {got:.6f}, the loops give {want:.6f}.")

    def _form(self, candidate, values) -> Verdict | None:
        """Is every answer one finite number that torch can differentiate?"""
        for value in values:
            if value is None:
                return _no("not yet", "Not yet: the function returns nothing. Is the `return` missing?")
            if not isinstance(value, Tensor):
                kind = type(value).__name__
                return _no("not a tensor", f"It returns a {kind}: no gradient can flow through it. Stay with torch throughout.")
            if value.shape != ():
                shape = tuple(value.shape)
                return _no(
                    "not a scalar", f"It returns a tensor of shape {shape}; a loss is one number. Which mean is missing?"
                )
            if not torch.isfinite(value):
                return _no("not finite", "It returns nan or inf on an ordinary batch. A log of 0, or a softmax of nothing?")
        return None

    def _right(self, candidate, values) -> Verdict | None:
        """If the values are right: are the gradients, and does it survive large logits?"""
        for value, case in zip(values, self.cases, strict=True):
            if not math.isclose(value.item(), case.value, rel_tol=1e-9, abs_tol=1e-12):
                return None
        for value, case in zip(values, self.cases, strict=True):
            inputs = [x for x in case.arguments if isinstance(x, Tensor) and x.requires_grad]
            got = torch.autograd.grad(value, inputs, allow_unused=True) if value.requires_grad else [None]
            if any(g is None for g in got):
                return _no(
                    "no gradient", "The value is right, but no gradient reaches the embeddings: .detach(), .item(), NumPy?"
                )
            pairs = zip(got, case.gradients, strict=True)
            if not all(np.allclose(g.numpy(), want, rtol=1e-7, atol=1e-10) for g, want in pairs):
                return _no("wrong gradient", "The value is right, but the gradient is not: is a part of it detached?")
        if not math.isclose(candidate(*self.large.arguments).item(), self.large.value, rel_tol=1e-9):
            return _no("overflow", "Right, but exp overflows at large logits: take log_softmax instead of exp and log.")
        batches = len(self.cases)
        return Verdict(
            True, "", f"Right, in value and in gradient, on {batches} batches, and it survives logits of a thousand."
        )

    def _named(self, candidate, values) -> Verdict | None:
        """Which mistake gives exactly these numbers?"""
        for mistake in self.mistakes:
            wrong = [mistake.formula(*case.arguments) for case in self.cases]
            if all(torch.allclose(v.double(), w, rtol=1e-9, atol=1e-12) for v, w in zip(values, wrong, strict=True)):
                return _no(mistake.name, mistake.message)
        ratios = [v.item() / case.value for v, case in zip(values, self.cases, strict=True)]
        if np.allclose(ratios, ratios[0], rtol=1e-9):
            return _no(
                "factor", f"It is {ratios[0]:.6g} times the formula's value, on every batch. Where does that factor come from?"
            )
        return None


def judge(candidate: Callable, right: Callable, mistakes: list[Mistake], cases: list[tuple]) -> Verdict:
    """The verdict on a function that returns arrays or numbers, not a loss: are its answers exactly those of `right`?

    cases: the arguments of each call. Like an `Exercise` it never raises, and names the mistake that gives the same answers.
    """

    def same(formula) -> bool:
        return all(np.array_equal(answer, formula(*case)) for answer, case in zip(answers, cases, strict=True))

    try:
        answers = [candidate(*case) for case in cases]
    except NotImplementedError:
        return _no("not yet", "Not yet: write the function, run the cell, and this line will judge it.")
    except Exception as error:
        return _no("raises", f"It stops with {type(error).__name__}: {error}")
    if any(answer is None for answer in answers):
        return _no("not yet", "Not yet: the function returns nothing. Is the `return` missing?")
    if same(right):
        return Verdict(True, "", f"Right, on {len(cases)} cases.")
    for mistake in mistakes:
        if same(mistake.formula):
            return _no(mistake.name, mistake.message)
    got, want = (np.array2string(np.asarray(x), threshold=6, edgeitems=2) for x in (answers[0], right(*cases[0])))
    return _no("unknown", f"Not yet: the first answer is {got}, it should be {want}.")


def _no(name: str, message: str) -> Verdict:
    return Verdict(False, name, message)
