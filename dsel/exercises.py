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

from dsel import reference
from dsel.losses import inverse_distance, scaled_cosine


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


def _log_p(logits: Tensor) -> Tensor:
    return logits.log_softmax(dim=-1)


def _match(matrix: Tensor) -> Tensor:
    """The diagonal, (..., K, K) -> (..., K)."""
    return matrix.diagonal(dim1=-2, dim2=-1)


def _similarities(seed: int):
    """A similarity for the reader and the same one as loops, in turn scaled cosine and inverse distance."""
    if seed % 2:
        return inverse_distance, reference.inverse_distance()
    w, b = 4.0 + seed, -1.0
    return (lambda x, y: scaled_cosine(x, y, w, b)), reference.scaled_cosine(w, b)


def _batch(seed: int, B: int, N: int, D: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng([20, seed])
    return rng.normal(size=(B, N, D)), rng.normal(size=(B, N, D)), rng.integers(0, N, B)


def _content_case(seed: int, B: int, N: int, D: int, w: float | None = None) -> Case:
    v, a, _ = _batch(seed, B, N, D)
    ours, loops = _similarities(seed)
    if w is not None:
        ours, loops = (lambda x, y: scaled_cosine(x, y, w, 0.0)), reference.scaled_cosine(w, 0.0)
    logits = reference.content_logits(v, a, loops)
    gradients = reference.content_gradient(v, a, loops, reference.matching_gradient(logits))
    face, audio = (torch.tensor(x, requires_grad=True) for x in (v, a))
    return Case((face, audio, ours), reference.matching_loss(logits), list(gradients))


def _identity_case(seed: int, B: int, N: int, D: int, w: float | None = None) -> Case:
    v, a, pick = _batch(seed, B, N, D)
    ours, loops = _similarities(seed)
    if w is not None:
        ours, loops = (lambda x, y: scaled_cosine(x, y, w, 0.0)), reference.scaled_cosine(w, 0.0)
    logits = reference.identity_logits(v, a, loops, pick)
    gradients = reference.identity_gradient(v, a, loops, pick, reference.matching_gradient(logits))
    face, audio = (torch.tensor(x, requires_grad=True) for x in (v, a))
    return Case((face, audio, ours, torch.tensor(pick)), reference.matching_loss(logits), list(gradients))


def _confusion_case(seed: int, B: int, K: int, scale: float) -> Case:
    logits = scale * np.random.default_rng([21, seed]).normal(size=(B, K, K))
    arguments = (torch.tensor(logits, requires_grad=True),)
    return Case(arguments, reference.confusion_loss(logits), [reference.confusion_gradient(logits)])


def _across(face: Tensor, audio: Tensor, similarity) -> Tensor:
    """Content task with the audio windows of all tracks as choices, by mistake."""
    B, N, D = face.shape
    logits = similarity(face.reshape(1, B * N, D), audio.reshape(1, B * N, D))
    return -_match(_log_p(logits)).mean()


CONTENT_MISTAKES = [
    Mistake(
        "sum over windows",
        lambda v, a, sim: -_match(_log_p(sim(v, a))).mean(dim=0).sum(),
        "Your loss is N times too large: sum or mean over the windows t?",
    ),
    Mistake(
        "sum over tracks",
        lambda v, a, sim: -_match(_log_p(sim(v, a))).mean(dim=1).sum(),
        "Your loss is B times too large: sum or mean over the tracks i?",
    ),
    Mistake(
        "sum",
        lambda v, a, sim: -_match(_log_p(sim(v, a))).sum(),
        "Your loss is B N times too large: sum or mean? (It would grow with the batch, and so would every step.)",
    ),
    Mistake(
        "sign",
        lambda v, a, sim: _match(_log_p(sim(v, a))).mean(),
        "The sign: a log of a probability is negative, and the loss is minus that.",
    ),
    Mistake(
        "audio anchor",
        lambda v, a, sim: -_match(sim(v, a).log_softmax(dim=-2)).mean(),
        "The softmax runs over the wrong axis: each sound chooses a video window t. Each video window must choose a sound τ.",
    ),
    Mistake(
        "softmax over everything",
        lambda v, a, sim: -_match(sim(v, a).flatten(1).log_softmax(dim=-1).reshape(sim(v, a).shape)).mean(),
        "The softmax runs over the whole N x N matrix. Each row, one video window, is a choice of its own.",
    ),
    Mistake(
        "other tracks as choices",
        _across,
        "The choices include the sounds of other tracks. Then knowing the voice helps, and content is not all that is asked.",
    ),
    Mistake(
        "no log",
        lambda v, a, sim: -_match(sim(v, a).softmax(dim=-1)).mean(),
        "The log is missing: that is the mean probability, not the mean log probability.",
    ),
    Mistake(
        "logits without softmax",
        lambda v, a, sim: -_match(sim(v, a)).mean(),
        "That is the mean logit of the matches: the denominator, Σ exp l over τ', is missing, so nothing is pushed apart.",
    ),
    Mistake(
        "all entries",
        lambda v, a, sim: -_log_p(sim(v, a)).mean(),
        "You average over all pairs: that is the confusion loss of notebook 05. Only the diagonal is the match.",
    ),
    Mistake(
        "minus the distance",
        lambda v, a, sim: -_match(_log_p(-sim(v, a))).mean(),
        "A larger l means more alike; you take the softmax of -l.",
    ),
    Mistake(
        "log to base 2",
        lambda v, a, sim: -_match(_log_p(sim(v, a))).mean() / math.log(2),
        "That is in bits: the formula has the natural logarithm.",
    ),
]


def _identity(face, audio, similarity):
    return -_match(_log_p(similarity(face, audio))).mean()


def _picked(x: Tensor, pick: Tensor) -> Tensor:
    """x_{i, r_i}: (B, N, D), (B,) -> (B, D)."""
    return torch.stack([x[i, r] for i, r in enumerate(pick.tolist())])


IDENTITY_MISTAKES = [
    Mistake(
        "sum",
        lambda v, a, sim, r: _identity(_picked(v, r), a.mean(1), sim) * len(v),
        "Your loss is B times too large: sum or mean over the tracks i?",
    ),
    Mistake(
        "sign",
        lambda v, a, sim, r: -_identity(_picked(v, r), a.mean(1), sim),
        "The sign: a log of a probability is negative, and the loss is minus that.",
    ),
    Mistake(
        "audio anchor",
        lambda v, a, sim, r: _identity(a.mean(1), _picked(v, r), sim),
        "The softmax runs over the wrong axis: each voice chooses a face i. Each face must choose a voice j.",
    ),
    Mistake(
        "mean face",
        lambda v, a, sim, r: _identity(v.mean(1), a.mean(1), sim),
        "You average the face too. The formula takes one window of it, number r_i; only the sound is averaged.",
    ),
    Mistake(
        "picked sound",
        lambda v, a, sim, r: _identity(_picked(v, r), _picked(a, r), sim),
        "You take one window of the sound too, the face's own: then what is said helps to match. Average the sound.",
    ),
    Mistake(
        "sides swapped",
        lambda v, a, sim, r: _identity(v.mean(1), _picked(a, r), sim),
        "Face and sound have changed places: one window of the *face*, the mean of the *sound*.",
    ),
    Mistake(
        "one pick for all",
        lambda v, a, sim, r: _identity(v[:, int(r[0])], a.mean(1), sim),
        "Every track uses the first track's r. Each track i has its own: face[range(B), pick].",
    ),
    Mistake(
        "pick ignored",
        lambda v, a, sim, r: _identity(v[:, 0], a.mean(1), sim),
        "The first window is taken whatever `pick` says.",
    ),
    Mistake(
        "mean over tracks",
        lambda v, a, sim, r: _identity(_picked(v, r), a.mean(0), sim),
        "The mean of the sound runs over the tracks. It runs over the windows of one track: that is dim=1 of (B, N, D).",
    ),
    Mistake(
        "mean of similarities",
        lambda v, a, sim, r: (
            -_match(_log_p(torch.stack([sim(_picked(v, r), a[:, tau]) for tau in range(a.shape[1])]).mean(0))).mean()
        ),
        "You average the similarities over the windows; the formula averages the embeddings first and compares once.",
    ),
    Mistake(
        "all entries",
        lambda v, a, sim, r: -_log_p(sim(_picked(v, r), a.mean(1))).mean(),
        "You average over all pairs: that is the confusion loss of notebook 05. Only the diagonal is the match.",
    ),
    Mistake(
        "no log",
        lambda v, a, sim, r: -_match(sim(_picked(v, r), a.mean(1)).softmax(dim=-1)).mean(),
        "The log is missing: that is the mean probability, not the mean log probability.",
    ),
]

CONFUSION_MISTAKES = [
    Mistake(
        "no 1/K",
        lambda logits: -_log_p(logits).sum(-1).mean(),
        "Your loss is K times too large: the uniform distribution puts 1/K on each choice, so the sum over choices is a mean.",
    ),
    Mistake(
        "sum",
        lambda logits: -_log_p(logits).sum(),
        "Everything is summed: the formula has the mean over rows, and 1/K in front of the inner sum.",
    ),
    Mistake(
        "sign", lambda logits: _log_p(logits).mean(), "The sign: minimising that makes the choice sharper, not more confused."
    ),
    Mistake(
        "entropy",
        lambda logits: -(logits.softmax(-1) * _log_p(logits)).sum(-1).mean(),
        "That is the entropy of q: its weights are q itself. Here the weights are uniform, 1/K.",
    ),
    Mistake(
        "minus entropy",
        lambda logits: (logits.softmax(-1) * _log_p(logits)).sum(-1).mean(),
        "That is minus the entropy of q, as in some other papers; its weights are q. Here they are uniform, 1/K.",
    ),
    Mistake(
        "divergence",
        lambda logits: -_log_p(logits).mean() - math.log(logits.shape[-1]),
        "That is KL(uniform || q): the same gradient, but log K smaller. The formula is the cross-entropy.",
    ),
    Mistake(
        "the match",
        lambda logits: -_match(_log_p(logits)).mean(),
        "That is the matching loss: it looks at the diagonal only. Confusion asks every choice to be equally likely.",
    ),
    Mistake(
        "no log",
        lambda logits: -logits.softmax(-1).mean(),
        "The log is missing, and the mean of a softmax is always 1/K: that number cannot be trained.",
    ),
    Mistake(
        "wrong axis",
        lambda logits: -logits.log_softmax(dim=-2).mean(),
        "The softmax runs over the rows; each row is a choice of its own: dim=-1.",
    ),
]

SIZES = ((0, 2, 3, 4), (1, 3, 5, 2), (2, 4, 3, 3), (3, 2, 6, 5))

content_loss = Exercise(
    "content_loss(face, audio, similarity)",
    [_content_case(*size) for size in SIZES],
    _content_case(4, 2, 3, 4, w=2000.0),
    CONTENT_MISTAKES,
)
identity_loss = Exercise(
    "identity_loss(face, audio, similarity, pick)",
    [_identity_case(seed, B + 1, N, D) for seed, B, N, D in SIZES],
    _identity_case(4, 3, 4, 4, w=2000.0),
    IDENTITY_MISTAKES,
)
confusion_loss = Exercise(
    "confusion_loss(logits)",
    [_confusion_case(seed, B, N, 2.0) for seed, B, N, _ in SIZES],
    _confusion_case(9, 2, 4, 1500.0),
    CONFUSION_MISTAKES,
)
EXERCISES = {"content_loss": content_loss, "identity_loss": identity_loss, "confusion_loss": confusion_loss}


def _rates(scores, target, threshold) -> tuple[float, float]:
    """Miss and false alarm rate: refused is what lies at or under the threshold."""
    return np.mean(scores[target] <= threshold), np.mean(scores[~target] > threshold)


def _where_equal(scores, target) -> float:
    """The EER of as many targets as impostors without ties: there is a threshold at which both rates are exactly equal."""
    return next(miss for miss, alarm in (_rates(scores, target, cut) for cut in np.sort(scores)) if miss >= alarm)


def _shares_of_all(scores, target) -> float:
    counts = [(np.sum(scores[target] <= cut), np.sum(scores[~target] > cut)) for cut in np.sort(scores)]
    return next(missed for missed, accepted in counts if missed >= accepted) / len(scores)


def _trials(seed: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and kinds of 2 x `each` trials, shuffled; no ties."""
    rng = np.random.default_rng([22, seed])
    target = rng.permutation(np.arange(2 * each) % 2 == 0)
    return rng.normal(size=2 * each).round(3) + 1.2 * target + 1e-6 * np.arange(2 * each), target


EER_MISTAKES = [
    Mistake("turned round", lambda s, t: 1 - _where_equal(s, t), "You accept low scores: a high score means the same speaker."),
    Mistake(
        "least errors",
        lambda s, t: min(sum(_rates(s, t, cut)) / 2 for cut in np.sort(s)),
        "That is the smallest mean of both rates. The EER is where the two are *equal*, which may be another threshold.",
    ),
    Mistake(
        "middle threshold",
        lambda s, t: sum(_rates(s, t, s.mean())) / 2,
        "You judge at the mean score. The threshold has to be searched: it is the one at which both rates are equal.",
    ),
    Mistake(
        "threshold zero",
        lambda s, t: sum(_rates(s, t, 0.0)) / 2,
        "You judge at a score of 0. The threshold has to be searched: it is the one at which both rates are equal.",
    ),
    Mistake(
        "share of all trials",
        _shares_of_all,
        "You divide by the number of all trials: misses are a share of the targets, false alarms a share of the impostors.",
    ),
    Mistake(
        "the threshold",
        lambda s, t: next(cut for cut in np.sort(s) if _rates(s, t, cut)[0] >= _rates(s, t, cut)[1]),
        "That is the threshold. The EER is the error rate there.",
    ),
]


def equal_error_rate(candidate: Callable) -> Verdict:
    """Judge `eer(scores, target)`: NumPy arrays (K,), float and bool, as many targets as impostors, no ties."""

    def rounded(formula):
        def answer(*case):
            value = formula(*case)
            return None if value is None else np.round(value, 9)

        return answer

    mistakes = [Mistake(m.name, rounded(m.formula), m.message) for m in EER_MISTAKES]
    cases = [_trials(seed, each) for seed, each in enumerate((4, 9, 25))]
    return judge(rounded(candidate), rounded(_where_equal), mistakes, cases)


WEIGHT_MISTAKES = [
    Mistake(
        "squared targets",
        lambda n, a, b: n[a] * n[b],
        "Right for impostors. But a target trial has *one* speaker, drawn n_a times: it counts n_a times, not n_a².",
    ),
    Mistake("added", lambda n, a, b: np.where(a == b, n[a], n[a] + n[b]), "Every copy of a meets every copy of b: multiply."),
    Mistake(
        "present or not",
        lambda n, a, b: ((n[a] > 0) & (n[b] > 0)).astype(int),
        "Somebody drawn twice counts twice: you only ask whether both were drawn.",
    ),
    Mistake("one side", lambda n, a, b: n[a], "An impostor trial has two speakers; you count the first alone."),
]


def speaker_weights(candidate: Callable) -> Verdict:
    """Judge `weights(n, a, b)`: n (S,) how often each speaker was drawn; a, b (K,) the numbers of each trial's speakers."""

    def right(n, a, b):
        return np.where(a == b, n[a], n[a] * n[b])

    cases = []
    for seed in range(3):
        rng = np.random.default_rng([23, seed])
        a, b = rng.integers(0, 6, (2, 30))
        cases.append((rng.multinomial(6, np.full(6, 1 / 6)), np.append(a, 0), np.append(b, 0)))
    return judge(candidate, right, WEIGHT_MISTAKES, cases)
