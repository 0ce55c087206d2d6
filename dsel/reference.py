"""The formulas of `dsel.losses` in plain loops: the oracle that tests compare it with.

It uses float64 NumPy, no torch, and nothing of `dsel.losses`. It is slow on purpose: every function
is its formula, read from left to right. Every gradient was derived by hand:

    l = 1/d, d = ||x - y||    dl/dx = -(x - y) / d^3   where d > eps, else 0
    l = w cos(x, y) + b       dl/dx = w (y/||y|| - cos(x, y) x/||x||) / ||x||
                              dl/dw = cos(x, y),   dl/db = 1
    L_matching                dL/dl_{k,j} = (p_{k,j} - [j = k]) / K
    L_confusion               dL/dl_{k,j} = (q_{k,j} - 1/K) / K

Letters are those of `dsel.losses`. A similarity is a pair of functions of two vectors: value and
gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import exp, log, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

Vector = Sequence[float] | np.ndarray  # (D,)


class Similarity(NamedTuple):
    """A similarity l(x, y) of two vectors x, y (D,).

    Args:
        value: (x, y) -> l(x, y).
        gradient: (x, y) -> (dl/dx, dl/dy), each (D,).
    """

    value: Callable[[np.ndarray, np.ndarray], float]
    gradient: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def norm(x: Vector) -> float:
    """Compute ||x||_2 = sqrt(sum_d x_d^2).

    >>> norm([3.0, 4.0])
    5.0
    """
    return sqrt(sum(float(x[d]) ** 2 for d in range(len(x))))


def dot(x: Vector, y: Vector) -> float:
    """Compute x.y = sum_d x_d y_d of two vectors x, y (D,).

    >>> dot([1.0, 2.0], [3.0, 4.0])
    11.0
    """
    return sum(float(x[d]) * float(y[d]) for d in range(len(x)))


def inverse_distance(eps: float = 1e-2) -> Similarity:
    """Return the similarity l(x, y) = 1 / max(||x - y||, eps).

    >>> inverse_distance().value(np.array([3.0, 4.0]), np.array([0.0, 0.0]))
    0.2
    """

    def value(x: np.ndarray, y: np.ndarray) -> float:
        return 1 / max(norm(x - y), eps)

    def gradient(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        d = norm(x - y)
        if d <= eps:
            return np.zeros(len(x)), np.zeros(len(y))
        return -(x - y) / d**3, (x - y) / d**3

    return Similarity(value, gradient)


def cosine(x: Vector, y: Vector) -> float:
    """Compute cos(x, y) = x.y / (||x|| ||y||) of two vectors x, y (D,).

    >>> cosine([3.0, 4.0], [4.0, 3.0])
    0.96
    """
    return dot(x, y) / (norm(x) * norm(y))


def scaled_cosine(w: float = 10.0, b: float = -5.0) -> Similarity:
    """Return the similarity l(x, y) = w cos(x, y) + b.

    Args:
        w, b: scale and offset.

    >>> scaled_cosine(w=10.0, b=-5.0).value(np.array([1.0, 0.0]), np.array([2.0, 0.0]))
    5.0
    """

    def value(x: np.ndarray, y: np.ndarray) -> float:
        return w * cosine(x, y) + b

    def gradient(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        c, nx, ny = cosine(x, y), norm(x), norm(y)
        return w * (y / ny - c * x / nx) / nx, w * (x / nx - c * y / ny) / ny

    return Similarity(value, gradient)


def softmax_row(logits: Vector) -> list[float]:
    """Compute p_j = exp l_j / sum_j' exp l_j' for a row of logits l (K,).

    The largest logit is subtracted first, which does not change the quotient.

    >>> softmax_row([5.0, 5.0])
    [0.5, 0.5]
    """
    top = max(logits)
    weights = [exp(x - top) for x in logits]
    return [weight / sum(weights) for weight in weights]


def log_softmax_row(logits: Vector) -> list[float]:
    """Compute log p_j = l_j - log sum_j' exp l_j' for a row of logits l (K,)."""
    top = max(logits)
    total = log(sum(exp(x - top) for x in logits))
    return [x - top - total for x in logits]


def content_logits(face: ArrayLike, audio: ArrayLike, similarity: Similarity) -> np.ndarray:
    """Compute l(v_{i,t}, a_{i,tau}) for all windows of each track.

    Args:
        face, audio: v and a, each (B, N, D).
        similarity: l.
    Returns:
        (B, N, N); row t, column tau.
    """
    face, audio = np.asarray(face, np.float64), np.asarray(audio, np.float64)
    B, N, _ = face.shape
    logits = np.zeros((B, N, N))
    for i in range(B):
        for t in range(N):
            for tau in range(N):
                logits[i, t, tau] = similarity.value(face[i, t], audio[i, tau])
    return logits


def windows_of_the_mean(N: int, pick: int, leave_out: int | None = None) -> list[int]:
    """List the windows tau over which the mean audio of a track is taken.

    Args:
        N: number of windows.
        pick: the window whose face is taken.
        leave_out: take only tau with |tau - pick| > leave_out; None: take all.

    >>> windows_of_the_mean(5, pick=1, leave_out=1)
    [3, 4]
    """
    return [tau for tau in range(N) if leave_out is None or abs(tau - pick) > leave_out]


def identity_logits(
    face: ArrayLike,
    audio: ArrayLike,
    similarity: Similarity,
    pick: Vector,
    leave_out: int | None = None,
) -> np.ndarray:
    """Compute l(v_{i,r_i}, abar_j) for all pairs of tracks.

    Args:
        face, audio: v and a, each (B, N, D).
        similarity: l.
        pick: r (B,), which face window of each track is taken.
        leave_out: abar_j is the mean over `windows_of_the_mean` of track j.
    Returns:
        (B, B); row i, column j.
    """
    face, audio = np.asarray(face, np.float64), np.asarray(audio, np.float64)
    B, N, D = audio.shape
    logits = np.zeros((B, B))
    for i in range(B):
        for j in range(B):
            abar, taken = np.zeros(D), windows_of_the_mean(N, int(pick[j]), leave_out)
            for tau in taken:
                abar += audio[j, tau] / len(taken)
            logits[i, j] = similarity.value(face[i, int(pick[i])], abar)
    return logits


def matching_loss(logits: ArrayLike) -> float:
    """Compute - mean_k log p(k | k), over all K x K matrices in logits (..., K, K).

    >>> f"{matching_loss(np.zeros((5, 5))):.4f}, chance {log(5):.4f}"
    '1.6094, chance 1.6094'
    """
    matrices = np.asarray(logits, np.float64).reshape(-1, *np.shape(logits)[-2:])
    total = 0.0
    for matrix in matrices:
        for k in range(len(matrix)):
            total -= log_softmax_row(matrix[k])[k]
    return total / (len(matrices) * matrices.shape[-1])


def confusion_loss(logits: ArrayLike) -> float:
    """Compute - mean_k 1/K sum_j log q(j | k), over all K x K matrices in logits (..., K, K).

    >>> f"{confusion_loss(np.zeros((5, 5))):.4f}, chance {log(5):.4f}"
    '1.6094, chance 1.6094'
    """
    matrices = np.asarray(logits, np.float64).reshape(-1, *np.shape(logits)[-2:])
    total = 0.0
    for matrix in matrices:
        K = len(matrix)
        for k in range(K):
            for j in range(K):
                total -= log_softmax_row(matrix[k])[j] / K
    return total / (len(matrices) * matrices.shape[-1])


def matching_gradient(logits: ArrayLike) -> np.ndarray:
    """Compute dL_matching / dlogits, in the shape of the logits (..., K, K)."""
    matrices = np.asarray(logits, np.float64).reshape(-1, *np.shape(logits)[-2:])
    gradient = np.zeros_like(matrices)
    for m, matrix in enumerate(matrices):
        K = len(matrix)
        for k in range(K):
            p = softmax_row(matrix[k])
            for j in range(K):
                gradient[m, k, j] = (p[j] - (1.0 if j == k else 0.0)) / (K * len(matrices))
    return gradient.reshape(np.shape(logits))


def confusion_gradient(logits: ArrayLike) -> np.ndarray:
    """Compute dL_confusion / dlogits, in the shape of the logits (..., K, K).

    >>> confusion_gradient(np.zeros((2, 2)))  # equal logits are its minimum
    array([[0., 0.],
           [0., 0.]])
    """
    matrices = np.asarray(logits, np.float64).reshape(-1, *np.shape(logits)[-2:])
    gradient = np.zeros_like(matrices)
    for m, matrix in enumerate(matrices):
        K = len(matrix)
        for k in range(K):
            q = softmax_row(matrix[k])
            for j in range(K):
                gradient[m, k, j] = (q[j] - 1 / K) / (K * len(matrices))
    return gradient.reshape(np.shape(logits))


def content_gradient(
    face: ArrayLike, audio: ArrayLike, similarity: Similarity, upstream: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Apply the chain rule through `content_logits`.

    Args:
        face, audio, similarity: as in `content_logits`.
        upstream: dL/dlogits (B, N, N).
    Returns:
        dL/dface and dL/daudio, each (B, N, D).
    """
    face, audio = np.asarray(face, np.float64), np.asarray(audio, np.float64)
    B, N, _ = face.shape
    d_face, d_audio = np.zeros_like(face), np.zeros_like(audio)
    for i in range(B):
        for t in range(N):
            for tau in range(N):
                dx, dy = similarity.gradient(face[i, t], audio[i, tau])
                d_face[i, t] += upstream[i, t, tau] * dx
                d_audio[i, tau] += upstream[i, t, tau] * dy
    return d_face, d_audio


def identity_gradient(
    face: ArrayLike,
    audio: ArrayLike,
    similarity: Similarity,
    pick: Vector,
    upstream: np.ndarray,
    leave_out: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Apply the chain rule through `identity_logits`.

    Args:
        face, audio, similarity, pick, leave_out: as in `identity_logits`.
        upstream: dL/dlogits (B, B).
    Returns:
        dL/dface and dL/daudio, each (B, N, D).
    """
    face, audio = np.asarray(face, np.float64), np.asarray(audio, np.float64)
    B, N, _ = audio.shape
    d_face, d_audio = np.zeros_like(face), np.zeros_like(audio)
    for i in range(B):
        for j in range(B):
            taken = windows_of_the_mean(N, int(pick[j]), leave_out)
            abar = sum(audio[j, tau] for tau in taken) / len(taken)
            dx, dy = similarity.gradient(face[i, int(pick[i])], abar)
            d_face[i, int(pick[i])] += upstream[i, j] * dx
            for tau in taken:
                d_audio[j, tau] += upstream[i, j] * dy / len(taken)
    return d_face, d_audio


def disentangled_loss(
    face: Mapping[str, ArrayLike],
    audio: Mapping[str, ArrayLike],
    pick: Vector,
    content_similarity: Similarity,
    identity_similarity: Similarity,
    alpha_c: float = 1.0,
    alpha_s: float = 1.0,
    lam: float = 1.0,
    leave_out: int | None = None,
) -> tuple[float, dict[str, float]]:
    """Compute L = alpha_c L_content + alpha_s L_identity + lam (L_{c->s} + L_{s->c}).

    Args:
        face, audio: {"content": (B, N, D), "identity": (B, N, D)}.
        pick, leave_out: as in `identity_logits`.
        content_similarity, identity_similarity: l of the two tasks.
        alpha_c, alpha_s, lam: the three weights.
    Returns:
        The total, and its four parts by name.
    """
    v_c, v_s, a_c, a_s = face["content"], face["identity"], audio["content"], audio["identity"]
    parts = {
        "content": matching_loss(content_logits(v_c, a_c, content_similarity)),
        "identity": matching_loss(identity_logits(v_s, a_s, identity_similarity, pick, leave_out)),
        "confusion_cs": confusion_loss(
            identity_logits(v_c, a_c, identity_similarity, pick, leave_out)
        ),
        "confusion_sc": confusion_loss(content_logits(v_s, a_s, content_similarity)),
    }
    confusion = parts["confusion_cs"] + parts["confusion_sc"]
    return alpha_c * parts["content"] + alpha_s * parts["identity"] + lam * confusion, parts


# --- Beyond the notes ---------------------------------------------------------------------------


def within_loss(
    a_c: ArrayLike, a_s: ArrayLike, content_similarity: Similarity, identity_similarity: Similarity
) -> float:
    """Add up two confusion losses within the audio stream.

    The first is over l_s(mean of the first half of a^c_i, mean of the second half of a^c_j) for all
    tracks j. The second is over l_c(a^s_{i,t}, a^s_{i,tau}) for all tau != t.

    Args:
        a_c, a_s: audio embeddings of the content and the identity head, each (B, N, D).
        content_similarity, identity_similarity: l_c and l_s.
    """
    a_c, a_s = np.asarray(a_c, np.float64), np.asarray(a_s, np.float64)
    B, N, D = a_c.shape
    halves = np.zeros((B, 2, D))
    for i in range(B):
        for t in range(N):
            second = t >= N // 2
            halves[i, int(second)] += a_c[i, t] / (N - N // 2 if second else N // 2)
    total = 0.0
    for i in range(B):
        row = [identity_similarity.value(halves[i, 0], halves[j, 1]) for j in range(B)]
        total -= sum(log_softmax_row(row)) / (B * B)
        for t in range(N):
            row = [content_similarity.value(a_s[i, t], a_s[i, tau]) for tau in range(N) if tau != t]
            total -= sum(log_softmax_row(row)) / (B * N * (N - 1))
    return total


def within_gradient(
    a_c: ArrayLike, a_s: ArrayLike, content_similarity: Similarity, identity_similarity: Similarity
) -> tuple[np.ndarray, np.ndarray]:
    """Compute dL_within / da^c and dL_within / da^s, each (B, N, D).

    The arguments are those of `within_loss`.
    """
    a_c, a_s = np.asarray(a_c, np.float64), np.asarray(a_s, np.float64)
    B, N, _ = a_c.shape
    d_c, d_s = np.zeros(a_c.shape), np.zeros(a_s.shape)
    half = N // 2
    first, second = (
        [sum(a_c[i, t] for t in part) / len(part) for i in range(B)]
        for part in (range(half), range(half, N))
    )
    for i in range(B):
        q = softmax_row([identity_similarity.value(first[i], second[j]) for j in range(B)])
        for j in range(B):
            to_first, to_second = identity_similarity.gradient(first[i], second[j])
            for t in range(half):  # every window of a half has its share of the mean
                d_c[i, t] += (q[j] - 1 / B) / B * to_first / half
            for t in range(half, N):
                d_c[j, t] += (q[j] - 1 / B) / B * to_second / (N - half)
        for t in range(N):
            rest = [tau for tau in range(N) if tau != t]
            q = softmax_row([content_similarity.value(a_s[i, t], a_s[i, tau]) for tau in rest])
            for share, tau in zip(q, rest, strict=True):
                to_t, to_tau = content_similarity.gradient(a_s[i, t], a_s[i, tau])
                d_s[i, t] += (share - 1 / (N - 1)) / (B * N) * to_t
                d_s[i, tau] += (share - 1 / (N - 1)) / (B * N) * to_tau
    return d_c, d_s


def intra_loss(x: ArrayLike, y: ArrayLike, similarity: Similarity) -> float:
    """Match x_k with y_k among y_k and the other x_j, over all x, y (..., K, D).

        - mean_k log [ exp l(x_k, y_k) / (exp l(x_k, y_k) + sum_{j != k} exp l(x_k, x_j)) ]

    Args:
        x, y: (..., K, D) each.
        similarity: l.
    """
    shape = (-1, *np.shape(x)[-2:])
    x, y = np.asarray(x, np.float64).reshape(shape), np.asarray(y, np.float64).reshape(shape)
    total = 0.0
    for m in range(len(x)):
        for k in range(x.shape[1]):
            others = [similarity.value(x[m, k], x[m, j]) for j in range(x.shape[1]) if j != k]
            total -= log_softmax_row([similarity.value(x[m, k], y[m, k]), *others])[0]
    return total / (len(x) * x.shape[1])
