"""Judge what a reader wrote: the verdict, the known mistakes, and the two kinds of exercise.

    LossExercise       a loss in torch: value, gradient and large logits (notebooks 03 to 05)
    FunctionExercise   a function that returns numbers or arrays (all other notebooks)

An exercise calls the reader's function on several small cases and compares the answers with the
right ones. If they differ, it looks for a known mistake that gives exactly the reader's numbers on
every case and names it; else it reports the first case on which the two differ. It never raises: a
notebook with an unfinished exercise runs to its end. (Source: ours.)

    from dsel.teaching import exercises
    exercises.content_loss(my_content_loss)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "Case",
    "Exercise",
    "FunctionExercise",
    "LossExercise",
    "Mistake",
    "Symptom",
    "Verdict",
    "judge",
    "raised",
    "two_numbers",
]

# How far an answer may lie from the right one, relative to it: float32 keeps 7 digits, float64 16.
TOLERANCE = {"float64": 1e-9, "float32": 1e-5}
GRADIENT_TOLERANCE = {"float64": 1e-7, "float32": 1e-3}
LABELS = {"solved": "#007F5B", "open": "#6B6B6B", "wrong": "#C05000"}  # white print: 4.5 : 1
LONGEST = 200  # characters of an exception's message that are shown


@dataclass(frozen=True)
class Verdict:
    """The result of a self-check.

    solved: whether the answer is right. name: the name of the mistake, '' if solved. message: one
    sentence for the reader.
    """

    solved: bool
    name: str
    message: str

    def __bool__(self) -> bool:
        return self.solved

    def _repr_markdown_(self) -> str:
        word = "solved" if self.solved else "open" if self.name == "not yet" else "wrong"
        look = f"background-color:{LABELS[word]};color:#ffffff;padding:2px 6px"
        return f'<span style="{look}"><b>{word}</b></span> {self.message}'


class Mistake(NamedTuple):
    """A wrong formula that readers write, and what to tell them.

    `formula` takes the arguments of the exercise and returns the wrong answer.
    """

    name: str
    formula: Callable
    message: str


class Symptom(NamedTuple):
    """A property by which a wrong answer is recognised when no formula gives exactly its numbers.

    `shows` takes (answer, arguments of the case) and says whether the answer has the property.
    """

    name: str
    shows: Callable
    message: str


class Case(NamedTuple):
    """One batch for a loss: the arguments, and the value and gradients that the loops give."""

    arguments: tuple
    value: float
    gradients: list[np.ndarray]


@dataclass(frozen=True)
class Exercise:
    """A function to write: call the exercise with it to get a `Verdict`.

    signature: how the function is called, for the messages, e.g. "content_loss(face, audio)".
    """

    signature: str

    def __call__(self, candidate: Callable) -> Verdict:
        """Judge the reader's function. Never raises."""
        if not callable(candidate):
            kind = type(candidate).__name__
            return _wrong(
                "not a function", f"That is a {kind}, not a function: pass the function itself."
            )
        try:
            return self.judge(candidate)
        except NotImplementedError:
            return _not_yet(f"write {self.signature}, run the cell, and this line will judge it.")
        except Exception as error:  # whatever a reader's code raises is reported, not passed on
            return raised(error, candidate)

    def judge(self, candidate: Callable) -> Verdict:
        """Return the verdict; may raise whatever the candidate raises."""
        raise NotImplementedError


@dataclass(frozen=True)
class LossExercise(Exercise):
    """A loss to write, judged in value and in gradient against `dsel.reference`.

    cases: batches in float64. large: a batch whose exp(logits) overflow. mistakes: the known ones.
    """

    cases: list[Case]
    large: Case
    mistakes: list[Mistake] = field(default_factory=list)

    def judge(self, candidate: Callable) -> Verdict:
        """Check form, value, gradient and large logits, in this order."""
        values = [candidate(*case.arguments) for case in self.cases]
        verdict = self._form(values)
        if verdict is not None:
            return verdict
        wrong = [n for n, case in enumerate(self.cases) if not _close(values[n], case.value)]
        if not wrong:
            return self._gradients(candidate, values)
        verdict = self._named(values)
        return self._first_difference(values, wrong[0]) if verdict is None else verdict

    def _form(self, values: list) -> Verdict | None:
        """Require that every answer is one finite floating-point tensor."""
        for value in values:
            if value is None:
                return _not_yet("the function returns nothing. Is the `return` missing?")
            if not isinstance(value, Tensor):
                kind = type(value).__name__
                message = (
                    f"It returns a {kind}: no gradient can flow through it. Use torch throughout."
                )
                return _wrong("not a tensor", message)
            if value.shape != ():
                shape = tuple(value.shape)
                message = f"It returns a tensor of shape {shape}; a loss is one number of shape ()."
                return _wrong("not a scalar", f"{message} Which mean is missing?")
            if _precision(value) is None:
                kind = str(value.dtype).removeprefix("torch.")
                message = f"It returns {kind}, too coarse to judge: use float32 or float64."
                return _wrong("too coarse", message)
            if not torch.isfinite(value):
                message = "It returns nan or inf on an ordinary batch. "
                message += "A log of 0, or a softmax of nothing?"
                return _wrong("not finite", message)
        return None

    def _gradients(self, candidate: Callable, values: list[Tensor]) -> Verdict:
        """Judge an answer whose values are right: are its gradients, and does exp overflow?"""
        for value, case in zip(values, self.cases, strict=True):
            inputs = [x for x in case.arguments if isinstance(x, Tensor) and x.requires_grad]
            got = _gradients_of(value, inputs)
            if any(g is None for g in got):
                message = "The value is right, but no gradient reaches the embeddings: "
                return _wrong("no gradient", message + ".detach(), .item(), NumPy?")
            tolerance = GRADIENT_TOLERANCE[_precision(value)]
            pairs = zip(got, case.gradients, strict=True)
            if not all(_near(g.numpy(), right, tolerance, floor=1e-3) for g, right in pairs):
                message = "The value is right, but the gradient is not: is a part of it detached?"
                return _wrong("wrong gradient", message)
        if not _close(candidate(*self.large.arguments), self.large.value):
            message = (
                "Right, but exp overflows at large logits: use log_softmax instead of exp and log."
            )
            return _wrong("overflow", message)
        message = f"Right, in value and in gradient, on {len(self.cases)} batches, "
        return Verdict(True, "", message + "and it survives logits of a thousand.")

    def _named(self, values: list[Tensor]) -> Verdict | None:
        """Name the mistake that gives exactly these numbers on every batch."""
        for mistake in self.mistakes:
            wrong = [mistake.formula(*case.arguments).item() for case in self.cases]
            if all(_close(value, w) for value, w in zip(values, wrong, strict=True)):
                return _wrong(mistake.name, mistake.message)
        ratios = [value.item() / case.value for value, case in zip(values, self.cases, strict=True)]
        if np.allclose(ratios, ratios[0], rtol=TOLERANCE[_precision(values[0])]):
            message = f"It is {ratios[0]:.6g} times the formula's value, on every batch. "
            return _wrong("factor", message + "Where does that factor come from?")
        return None

    def _first_difference(self, values: list[Tensor], first: int) -> Verdict:
        """Report the first batch on which the answer differs from the loops."""
        given, right = two_numbers(values[first].item(), self.cases[first].value)
        place = f"batch {first + 1} of {len(self.cases)}"
        place += f" ({_described(self.cases[first].arguments, self.signature)})"
        message = f"Not the formula yet: on {place} it gives {given}, the loops give {right}."
        if first:
            message += (
                f" On the {'batch' if first == 1 else f'{first} batches'} before, it is right."
            )
        return _wrong("unknown", message)


@dataclass(frozen=True)
class FunctionExercise(Exercise):
    """A function to write that returns numbers or arrays.

    right: the right function. cases: the arguments of each call. mistakes: wrong formulas, each
    recognised by giving the same answers on every case. symptoms: properties of wrong answers,
    tried after the mistakes. tolerance: relative, for floating-point answers; None: by dtype.
    """

    right: Callable
    cases: Sequence[tuple]
    mistakes: Sequence[Mistake] = ()
    symptoms: Sequence[Symptom] = ()
    tolerance: float | None = None

    def judge(self, candidate: Callable) -> Verdict:
        """Compare the answers on all cases, then look for a mistake that explains them."""
        answers = [candidate(*copy.deepcopy(case)) for case in self.cases]
        verdict = self._form(answers)
        if verdict is not None:
            return verdict
        rights = [self.right(*case) for case in self.cases]
        wrong = [n for n, right in enumerate(rights) if not self._same(answers[n], right)]
        if not wrong:
            return Verdict(True, "", f"Right, on {len(self.cases)} cases.")
        for mistake in self.mistakes:
            if self._explains(mistake.formula, answers):
                return _wrong(mistake.name, mistake.message)
        for symptom in self.symptoms:
            if any(symptom.shows(answers[n], self.cases[n]) for n in wrong):
                return _wrong(symptom.name, symptom.message)
        first = wrong[0]
        return _wrong("unknown", self._difference(answers[first], rights[first], first))

    def _form(self, answers: list) -> Verdict | None:
        """Require that every answer is a number or an array of numbers."""
        for answer in answers:
            if answer is None:
                return _not_yet("the function returns nothing. Is the `return` missing?")
            if not _is_numeric(answer):
                kind = type(answer).__name__
                message = f"It returns a {kind} that is no array of numbers: {_one_line(answer)}."
                return _wrong("not a number", message)
        return None

    def _same(self, answer, right) -> bool:
        """Say whether an answer has the shape and, up to tolerance, the values of the right one."""
        answer, right = _as_array(answer), _as_array(right)
        if answer.shape != right.shape:
            return False
        if "f" not in (answer.dtype.kind, right.dtype.kind):
            return bool(np.array_equal(answer, right))
        tolerance = self.tolerance or TOLERANCE.get(answer.dtype.name, TOLERANCE["float64"])
        return _near(answer, right, tolerance, floor=1e-3)

    def _explains(self, formula: Callable, answers: list) -> bool:
        """Say whether a wrong formula gives all the answers; one that fails on a case does not."""
        try:
            pairs = zip(answers, self.cases, strict=True)
            return all(self._same(answer, formula(*copy.deepcopy(case))) for answer, case in pairs)
        except (
            Exception
        ):  # the wrong formula has no answer there, so it is not what the reader wrote
            return False

    def _difference(self, answer, right, number: int) -> str:
        """Describe the first case that differs: by its shape, or by its first wrong entry."""
        answer, right = _as_array(answer), _as_array(right)
        arguments = _described(self.cases[number], self.signature)
        place = f"case {number + 1} of {len(self.cases)}" + (f" ({arguments})" if arguments else "")
        if answer.shape != right.shape:
            shapes = f"its shape is {answer.shape}, it should be {right.shape}"
            return f"Not yet: on {place} {shapes}."
        if right.shape == ():
            given, wanted = two_numbers(answer.item(), right.item())
            return f"Not yet: on {place} it gives {given}, it should be {wanted}."
        same = [self._same(a, r) for a, r in zip(answer.ravel(), right.ravel(), strict=True)]
        entry = np.unravel_index(same.index(False), right.shape)
        given, wanted = two_numbers(answer[entry].item(), right[entry].item())
        index = ", ".join(str(int(k)) for k in entry)
        return f"Not yet: on {place} entry [{index}] is {given}, it should be {wanted}."


def judge(
    candidate: Callable,
    right: Callable,
    mistakes: Sequence[Mistake],
    cases: Sequence[tuple],
    **options,
) -> Verdict:
    """Judge a function that returns arrays or numbers, without naming the exercise first.

    Args:
        candidate: the reader's function.
        right: the right function, with the same arguments.
        mistakes: known wrong formulas.
        cases: the arguments of each call.
        options: further fields of `FunctionExercise`, e.g. tolerance.
    Returns:
        the verdict. Never raises for what the candidate does.
    """
    return FunctionExercise("the function", right, cases, mistakes, **options)(candidate)


def raised(error: Exception, candidate: Callable) -> Verdict:
    """Return the verdict on a function that stops with an exception: its type, message and line."""
    return _wrong("raises", f"It stops with {_one_line(error)}{_place(candidate, error)}.")


def two_numbers(one, other) -> tuple[str, str]:
    """Write two different numbers with as few digits as show that they differ, but at least six."""
    if isinstance(one, bool | int) and isinstance(other, bool | int):
        return str(one), str(other)
    pairs = ((f"{one:.{digits}g}", f"{other:.{digits}g}") for digits in range(6, 18))
    return next((pair for pair in pairs if pair[0] != pair[1]), (repr(one), repr(other)))


def _wrong(name: str, message: str) -> Verdict:
    """Return the verdict on a wrong answer."""
    return Verdict(False, name, message)


def _not_yet(message: str) -> Verdict:
    """Return the verdict on an exercise that is not written yet."""
    return Verdict(False, "not yet", f"Not yet: {message}")


def _one_line(value) -> str:
    """Write an exception (with its type) or a value in one line of limited length."""
    text = f"{type(value).__name__}: {value}" if isinstance(value, Exception) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[:LONGEST] + " ..."


def _place(candidate: Callable, error: Exception) -> str:
    """Say in which line of the reader's function an exception arose; '' if it arose elsewhere."""
    code = getattr(candidate, "__code__", None)
    lines = [line for frame, line in _frames(error) if frame.f_code is code]
    if code is None or not lines or code.co_name == "<lambda>":
        return ""
    return f", in line {lines[-1] - code.co_firstlineno + 1} of {code.co_name}"


def _frames(error: Exception) -> Iterator[tuple]:
    """Yield (frame, line) of an exception's traceback, outermost first."""
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _gradients_of(value: Tensor, inputs: list[Tensor]) -> list[Tensor | None]:
    """Differentiate a value by its inputs; None where it does not depend on one."""
    if not value.requires_grad:
        return [None] * len(inputs)
    return list(torch.autograd.grad(value, inputs, allow_unused=True))


def _precision(value: Tensor) -> str | None:
    """Return 'float32' or 'float64' for a tensor, and None for types that are too coarse."""
    name = str(value.dtype).removeprefix("torch.")
    return name if name in TOLERANCE else None


def _close(value: Tensor, right: float) -> bool:
    """Compare a scalar tensor with a number within the tolerance of its dtype."""
    tolerance = TOLERANCE[_precision(value) or "float64"]
    return bool(abs(value.item() - right) <= tolerance * max(abs(right), 1e-3))


def _near(answer, right, tolerance: float, floor: float) -> bool:
    """Compare arrays: the largest difference against the largest entry, at least `floor`."""
    answer, right = np.asarray(answer, np.float64), np.asarray(right, np.float64)
    size = max(floor, float(np.abs(right).max(initial=0.0)))
    return bool((np.abs(answer - right) <= tolerance * size).all())


def _as_array(answer) -> np.ndarray:
    """Turn a number, list, array or tensor into a NumPy array."""
    return np.asarray(answer.detach().cpu() if isinstance(answer, Tensor) else answer)


def _is_numeric(answer) -> bool:
    """Say whether an answer is a number or an array of numbers; text and ragged lists are not."""
    try:
        return _as_array(answer).dtype.kind in "biuf"
    except (TypeError, ValueError, RuntimeError):
        return False


def _described(arguments: tuple, signature: str) -> str:
    """Describe the arguments of a case: numbers as they are, arrays by their shape.

    The names are those between the parentheses of the signature; functions are left out.
    """
    names = [name.strip() for name in signature.partition("(")[2].rstrip(")").split(",")]
    if len(names) != len(arguments):
        names = [f"argument {k + 1}" for k in range(len(arguments))]
    parts = []
    for name, value in zip(names, arguments, strict=True):
        if callable(value):
            continue
        shape = tuple(getattr(value, "shape", ()))
        if shape:
            parts.append(f"{name} of shape {shape}")
        elif isinstance(value, dict):
            parts.append(f"{name} of {len(value)} entries")
        else:
            parts.append(f"{name} = {_one_line(value)}")
    return ", ".join(parts)
