"""Exercises of notebooks 03 to 05: write the content, the identity and the confusion loss.

Each wrong formula here is one that readers write, with the sentence they are told. Letters as in
`dsel.losses`; v is the face, a the audio, r the picked window. (Source: ours.)
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from dsel import reference
from dsel.losses import inverse_distance, scaled_cosine
from dsel.teaching.exercises.checker import Case, LossExercise, Mistake

__all__ = [
    "CONFUSION_MISTAKES",
    "CONTENT_MISTAKES",
    "IDENTITY_MISTAKES",
    "SIZES",
    "confusion_loss",
    "content_loss",
    "identity_loss",
]

SIZES = ((0, 2, 3, 4), (1, 3, 5, 2), (2, 4, 3, 3), (3, 2, 6, 5))  # (seed, B, N, D) of each batch


def _log_p(logits: Tensor) -> Tensor:
    """Take the logarithm of the softmax of each row: (..., K, K) -> (..., K, K)."""
    return logits.log_softmax(dim=-1)


def _match(matrix: Tensor) -> Tensor:
    """Take the diagonal, the matches: (..., K, K) -> (..., K)."""
    return matrix.diagonal(dim1=-2, dim2=-1)


def _without_match(logits: Tensor) -> Tensor:
    """Compute l_kk - log sum_{j != k} exp l_kj, the other choices only: (..., K, K) -> (..., K)."""
    others = logits.masked_fill(torch.eye(logits.shape[-1], dtype=torch.bool), -torch.inf)
    return _match(logits) - others.logsumexp(dim=-1)


def _similarities(seed: int, w: float | None = None):
    """Return a similarity for the reader and the same one for the loops.

    Even seeds give the scaled cosine, odd ones the inverse distance; w forces a scaled cosine.
    """
    if seed % 2 and w is None:
        return inverse_distance, reference.inverse_distance()
    w, b = (4.0 + seed, -1.0) if w is None else (w, 0.0)
    return (lambda x, y: scaled_cosine(x, y, w, b)), reference.scaled_cosine(w, b)


def _matching_case(task: str, seed: int, B: int, N: int, D: int, w: float | None = None) -> Case:
    """Draw a batch and compute its loss and gradients by loops.

    Args:
        task: "content" or "identity".
        seed: of the embeddings, the picks and the kind of similarity.
        B, N, D: tracks, windows of a track, numbers of an embedding.
        w: scale of the cosine, for large logits; None: as the seed says.
    """
    rng = np.random.default_rng([20, seed])
    v, a, pick = rng.normal(size=(B, N, D)), rng.normal(size=(B, N, D)), rng.integers(0, N, B)
    similarity, by_loops = _similarities(seed, w)
    face, audio = (torch.tensor(x, requires_grad=True) for x in (v, a))
    if task == "content":
        logits = reference.content_logits(v, a, by_loops)
        upstream = reference.matching_gradient(logits)
        gradients = reference.content_gradient(v, a, by_loops, upstream)
        arguments = (face, audio, similarity)
    else:
        logits = reference.identity_logits(v, a, by_loops, pick)
        upstream = reference.matching_gradient(logits)
        gradients = reference.identity_gradient(v, a, by_loops, pick, upstream)
        arguments = (face, audio, similarity, torch.tensor(pick))
    return Case(arguments, reference.matching_loss(logits), list(gradients))


def _confusion_case(seed: int, B: int, K: int, scale: float) -> Case:
    """Draw logits (B, K, K) of the given standard deviation, with loss and gradient by loops."""
    logits = scale * np.random.default_rng([21, seed]).normal(size=(B, K, K))
    arguments = (torch.tensor(logits, requires_grad=True),)
    gradients = [reference.confusion_gradient(logits)]
    return Case(arguments, reference.confusion_loss(logits), gradients)


def _across(v: Tensor, a: Tensor, similarity) -> Tensor:
    """Compute the content loss with the audio windows of all tracks as choices, by mistake."""
    B, N, D = v.shape
    logits = similarity(v.reshape(1, B * N, D), a.reshape(1, B * N, D))
    return -_match(_log_p(logits)).mean()


def _both_directions(logits: Tensor) -> Tensor:
    """Average the losses of rows and of columns, as CLIP does."""
    return -(_match(_log_p(logits)).mean() + _match(logits.log_softmax(dim=-2)).mean()) / 2


SIGN = "The sign: a log of a probability is negative, and the loss is minus that."
NO_LOG = "The log is missing: that is the mean probability, not the mean log probability."
ALL_ENTRIES = (
    "You average over all pairs: that is the confusion loss of notebook 05. "
    "Only the diagonal is the match."
)
BITS = "That is in bits: the formula has the natural logarithm."
NO_DENOMINATOR = (
    "That is the mean logit of the matches: the denominator, the sum of exp l over all choices, "
    "is missing, so nothing is pushed apart."
)
TWICE = (
    "There are two softmaxes: log_softmax (or cross_entropy) of a softmax. "
    "Give the logits themselves to log_softmax."
)
WITHOUT_MATCH = (
    "The match is missing from the denominator: it sums over the wrong choices only. "
    "In the formula the sum runs over all choices, the match too, so that p adds up to 1."
)


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
        "Your loss is B N times too large: sum or mean? (It would grow with the batch, and so "
        "would every step.)",
    ),
    Mistake("sign", lambda v, a, sim: _match(_log_p(sim(v, a))).mean(), SIGN),
    Mistake(
        "audio anchor",
        lambda v, a, sim: -_match(sim(v, a).log_softmax(dim=-2)).mean(),
        "The softmax runs over the wrong axis: each sound chooses a video window t. Each video "
        "window must choose a sound τ.",
    ),
    Mistake(
        "symmetric",
        lambda v, a, sim: _both_directions(sim(v, a)),
        "You average two directions, as CLIP does: video chooses sound, and sound chooses video. "
        "The formula has the first direction only.",
    ),
    Mistake(
        "softmax twice", lambda v, a, sim: -_match(_log_p(sim(v, a).softmax(-1))).mean(), TWICE
    ),
    Mistake(
        "diagonal of the wrong axes",
        lambda v, a, sim: -_log_p(sim(v, a)).diagonal().mean(),
        "`.diagonal()` without dims pairs the first two axes: track i with window i. "
        "The matches lie on the diagonal of the last two axes: dim1=1, dim2=2.",
    ),
    Mistake(
        "denominator without the match",
        lambda v, a, sim: -_without_match(sim(v, a)).mean(),
        WITHOUT_MATCH,
    ),
    Mistake(
        "softmax over everything",
        lambda v, a, sim: (
            -_match(sim(v, a).flatten(1).log_softmax(dim=-1).reshape(sim(v, a).shape)).mean()
        ),
        "The softmax runs over the whole N x N matrix. Each row, one video window, is a choice of "
        "its own.",
    ),
    Mistake(
        "other tracks as choices",
        _across,
        "The choices include the sounds of other tracks. Then knowing the voice helps, and the "
        "loss "
        "asks for more than content.",
    ),
    Mistake("no log", lambda v, a, sim: -_match(sim(v, a).softmax(dim=-1)).mean(), NO_LOG),
    Mistake("logits without softmax", lambda v, a, sim: -_match(sim(v, a)).mean(), NO_DENOMINATOR),
    Mistake("all entries", lambda v, a, sim: -_log_p(sim(v, a)).mean(), ALL_ENTRIES),
    Mistake(
        "minus the distance",
        lambda v, a, sim: -_match(_log_p(-sim(v, a))).mean(),
        "A larger l means more alike; you take the softmax of -l.",
    ),
    Mistake(
        "log to base 2",
        lambda v, a, sim: -_match(_log_p(sim(v, a))).mean() / math.log(2),
        BITS,
    ),
]


def _identity(face, audio, similarity):
    """Compute the identity loss of one face and one voice per track: (B, D), (B, D) -> scalar."""
    return -_match(_log_p(similarity(face, audio))).mean()


def _picked(x: Tensor, pick: Tensor) -> Tensor:
    """Take window r_i of each track: (B, N, D), (B,) -> (B, D)."""
    return torch.stack([x[i, r] for i, r in enumerate(pick.tolist())])


def _scores(v: Tensor, a: Tensor, similarity, r: Tensor) -> Tensor:
    """Compute the right logits of the identity task, (B, B)."""
    return similarity(_picked(v, r), a.mean(1))


IDENTITY_MISTAKES = [
    Mistake(
        "sum",
        lambda v, a, sim, r: _identity(_picked(v, r), a.mean(1), sim) * len(v),
        "Your loss is B times too large: sum or mean over the tracks i?",
    ),
    Mistake("sign", lambda v, a, sim, r: -_identity(_picked(v, r), a.mean(1), sim), SIGN),
    Mistake(
        "sum of the windows",
        lambda v, a, sim, r: _identity(_picked(v, r), a.sum(1), sim),
        "You sum the sound over the windows; the formula has 1/N in front of that sum. "
        "(A cosine does not notice, the inverse distance does.)",
    ),
    Mistake(
        "audio anchor",
        lambda v, a, sim, r: _identity(a.mean(1), _picked(v, r), sim),
        "The softmax runs over the wrong axis: each voice chooses a face i. Each face must choose "
        "a voice j.",
    ),
    Mistake(
        "symmetric",
        lambda v, a, sim, r: _both_directions(_scores(v, a, sim, r)),
        "You average two directions, as CLIP does: faces choose voices, and voices choose faces. "
        "The formula has the first direction only.",
    ),
    Mistake(
        "softmax twice",
        lambda v, a, sim, r: -_match(_log_p(_scores(v, a, sim, r).softmax(-1))).mean(),
        TWICE,
    ),
    Mistake(
        "denominator without the match",
        lambda v, a, sim, r: -_without_match(_scores(v, a, sim, r)).mean(),
        WITHOUT_MATCH,
    ),
    Mistake(
        "mean face",
        lambda v, a, sim, r: _identity(v.mean(1), a.mean(1), sim),
        "You average the face too. The formula takes one window of it, number r_i; only the sound "
        "is averaged.",
    ),
    Mistake(
        "picked sound",
        lambda v, a, sim, r: _identity(_picked(v, r), _picked(a, r), sim),
        "You take one window of the sound too, the face's own: then what is said helps to match. "
        "Average the sound.",
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
        "The mean of the sound runs over the tracks. It runs over the windows of one track: that "
        "is dim=1 of (B, N, D).",
    ),
    Mistake(
        "mean of similarities",
        lambda v, a, sim, r: (
            -_match(
                _log_p(
                    torch.stack([sim(_picked(v, r), a[:, tau]) for tau in range(a.shape[1])]).mean(
                        0
                    )
                )
            ).mean()
        ),
        "You average the similarities over the windows; the formula averages the embeddings first "
        "and compares once.",
    ),
    Mistake("all entries", lambda v, a, sim, r: -_log_p(_scores(v, a, sim, r)).mean(), ALL_ENTRIES),
    Mistake(
        "no log", lambda v, a, sim, r: -_match(_scores(v, a, sim, r).softmax(-1)).mean(), NO_LOG
    ),
    Mistake(
        "logits without softmax",
        lambda v, a, sim, r: -_match(_scores(v, a, sim, r)).mean(),
        NO_DENOMINATOR,
    ),
    Mistake(
        "log to base 2",
        lambda v, a, sim, r: -_match(_log_p(_scores(v, a, sim, r))).mean() / math.log(2),
        BITS,
    ),
]


def _divergence(logits: Tensor) -> Tensor:
    """Compute KL(u || q), the mean over all rows."""
    return -_log_p(logits).mean() - math.log(logits.shape[-1])


def _entropy(logits: Tensor) -> Tensor:
    """Compute the mean entropy of the rows of q."""
    return -(logits.softmax(-1) * _log_p(logits)).sum(-1).mean()


CONFUSION_MISTAKES = [
    Mistake(
        "no 1/K",
        lambda logits: -_log_p(logits).sum(-1).mean(),
        "Your loss is K times too large: the uniform distribution puts 1/K on each choice, so the "
        "sum over choices is a mean.",
    ),
    Mistake(
        "sum",
        lambda logits: -_log_p(logits).sum(),
        "Everything is summed: the formula has the mean over rows, and 1/K in front of the inner "
        "sum.",
    ),
    Mistake(
        "sign",
        lambda logits: _log_p(logits).mean(),
        "The sign: minimising that makes the choice sharper, not more confused.",
    ),
    Mistake(
        "entropy",
        _entropy,
        "That is the entropy of q: its weights are q itself. Here the weights are uniform, 1/K.",
    ),
    Mistake(
        "minus entropy",
        lambda logits: -_entropy(logits),
        "That is minus the entropy of q, as in some other papers; its weights are q. Here they are "
        "uniform, 1/K.",
    ),
    Mistake(
        "divergence",
        _divergence,
        "That is KL(uniform || q): the same gradient, but log K smaller. The formula is the "
        "cross-entropy.",
    ),
    Mistake(
        "divergence the wrong way",
        lambda logits: math.log(logits.shape[-1]) - _entropy(logits),
        "That is KL(q || uniform), log K minus the entropy of q: its weights are q. "
        "The formula weighs -log q with the uniform distribution, 1/K.",
    ),
    Mistake(
        "kl_div batchmean",
        lambda logits: _divergence(logits) * logits.shape[-2],
        'kl_div(..., reduction="batchmean") divides by the first axis only, the tracks, so the '
        "rows are summed; and it is a divergence, log K smaller than the cross-entropy.",
    ),
    Mistake(
        "kl_div mean",
        lambda logits: _divergence(logits) / logits.shape[-1],
        'kl_div with its default reduction="mean" also divides by the number of choices K; and it '
        "is a divergence, log K smaller than the cross-entropy.",
    ),
    Mistake(
        "the match",
        lambda logits: -_match(_log_p(logits)).mean(),
        "That is the matching loss: it looks at the diagonal only. Confusion asks every choice to "
        "be equally likely.",
    ),
    Mistake(
        "no log",
        lambda logits: -logits.softmax(-1).mean(),
        "The log is missing, and the mean of a softmax is always 1/K: that number cannot be "
        "trained.",
    ),
    Mistake(
        "wrong axis",
        lambda logits: -logits.log_softmax(dim=-2).mean(),
        "The softmax runs over the rows; each row is a choice of its own: dim=-1.",
    ),
    Mistake(
        "softmax over the matrix",
        lambda logits: -logits.flatten(-2).log_softmax(dim=-1).mean(),
        "The softmax runs over the whole K x K matrix; each row is a choice of its own: dim=-1.",
    ),
    Mistake(
        "softmax over everything",
        lambda logits: -logits.flatten().log_softmax(dim=-1).mean(),
        "The softmax runs over the whole batch; each row is a choice of its own: dim=-1.",
    ),
    Mistake("softmax twice", lambda logits: -_log_p(logits.softmax(-1)).mean(), TWICE),
    Mistake(
        "squared error",
        lambda logits: (logits.softmax(-1) - 1 / logits.shape[-1]).square().mean(),
        "That is the squared distance of q from 1/K. Its minimum is the same, its gradient is not: "
        "it "
        "fades where q is sharp. The formula is a cross-entropy.",
    ),
    Mistake(
        "squared error",
        lambda logits: (logits.softmax(-1) - 1 / logits.shape[-1]).square().sum(-1).mean(),
        "That is the squared distance of q from 1/K. Its minimum is the same, its gradient is not: "
        "it "
        "fades where q is sharp. The formula is a cross-entropy.",
    ),
    Mistake(
        "log to base 2",
        lambda logits: -_log_p(logits).mean() / math.log(2),
        BITS,
    ),
]


content_loss = LossExercise(
    "content_loss(face, audio, similarity)",
    [_matching_case("content", *size) for size in SIZES],
    _matching_case("content", 4, 2, 3, 4, w=2000.0),
    CONTENT_MISTAKES,
)
identity_loss = LossExercise(
    "identity_loss(face, audio, similarity, pick)",
    [_matching_case("identity", seed, B + 1, N, D) for seed, B, N, D in SIZES],
    _matching_case("identity", 4, 3, 4, 4, w=2000.0),
    IDENTITY_MISTAKES,
)
confusion_loss = LossExercise(
    "confusion_loss(logits)",
    [_confusion_case(seed, B, N, 2.0) for seed, B, N, _ in SIZES],
    _confusion_case(9, 2, 4, 1500.0),
    CONFUSION_MISTAKES,
)
