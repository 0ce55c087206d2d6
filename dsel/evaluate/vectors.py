"""Geometry of embeddings: unit vectors, main directions, neighbours, ranks."""

from __future__ import annotations

import numpy as np


def partner_rank(face: np.ndarray, audio: np.ndarray) -> float:
    """How near its own voice is to a face, among all voices: 0 the nearest, 0.5 chance, 1 the farthest; mean over P faces."""
    scores = unit(face) @ unit(audio).T  # (P, P)
    own = np.diag(scores)[:, None]
    below = (scores > own).sum(axis=1) + 0.5 * ((scores == own).sum(axis=1) - 1)
    return float(below.mean() / max(1, len(scores) - 1))


def invented_clusters(plane: np.ndarray, count: int, *, seed: int = 0) -> np.ndarray:
    """Colour a map by the clumps that one sees in it (k-means in the plane): (P, 2) -> (P,) str. A trap, see notebook 07."""
    from sklearn.cluster import KMeans

    found = KMeans(count, n_init=4, random_state=seed).fit_predict(plane)
    return np.array([f"clump {k + 1}" for k in found])


def neighbour_purity(vectors: np.ndarray, labels: np.ndarray, groups: np.ndarray, k: int = 10) -> float:
    """Share of the k nearest neighbours by cosine, taken from *other* groups, that carry a point's own label.

    vectors (W, D), labels (W,), groups (W,): e.g. the track of each window, so that a window's neighbours in time do not
    count. Chance is the share of the label among the points of other groups. This is what a map's colours may be trusted for.
    """
    x = unit(vectors)
    shares = []
    for i in range(len(x)):
        others = np.flatnonzero(groups != groups[i])
        near = others[np.argsort(-(x[others] @ x[i]), kind="stable")[:k]]
        shares.append((labels[near] == labels[i]).mean())
    return float(np.mean(shares))


def purity_chance(labels: np.ndarray, groups: np.ndarray) -> float:
    """What `neighbour_purity` gives for vectors that know nothing."""
    return float(np.mean([(labels[groups != g] == name).mean() for g, name in zip(groups, labels, strict=True)]))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Each row at length 1, so that a product of two is their cosine: (..., D) -> (..., D). A row of zeros stays."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def main_directions(vectors: np.ndarray, share: float = 0.8) -> np.ndarray:
    """The fewest orthonormal directions that hold a share of the variance of unit vectors: (K, D) -> (d, D).

    Of face identity embeddings: along what faces differ. `voices @ directions.T` keeps of a voice what can be told from a face,
    and drops what only voices know of each other, words above all. No label is needed. (Ours.)
    """
    z = unit(np.asarray(vectors, np.float64))
    _, s, directions = np.linalg.svd(z - z.mean(axis=0), full_matrices=False)
    held = np.cumsum(s**2) / np.sum(s**2)
    return directions[: int(np.searchsorted(held, share)) + 1]


def nearest(query: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `known` (K, D) by their cosine with `query` (D,), nearest first: their numbers (K,) and cosines (K,)."""
    cosines = unit(known) @ unit(query)
    order = np.argsort(-cosines, kind="stable")
    return order, cosines[order]
