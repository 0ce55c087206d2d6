"""Self-checks of the loss functions, notebooks 03 to 05."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from dsel import reference
from dsel.losses import inverse_distance, scaled_cosine
from dsel.teaching.exercises.checker import Case, Exercise, Mistake


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
