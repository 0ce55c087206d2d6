"""Compute with embeddings: unit vectors, main directions, nearest neighbours, ranks.

Arrays in, arrays or numbers out. A row of an array is the vector of one thing: a window, a track, a
person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dsel.evaluate.embeddings import Embeddings

__all__ = [
    "cosines",
    "invented_clusters",
    "main_directions",
    "nearest",
    "nearest_sounds",
    "nearest_speakers",
    "neighbour_purity",
    "partner_rank",
    "purity_chance",
    "unit",
]


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale each row to length 1, so that the product of two rows is their cosine.

    (..., D) -> (..., D). A row of zeros stays as it is.

    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def cosines(vectors: np.ndarray, k: int) -> np.ndarray:
    """Compute the cosine of row k with every row, itself included: (P, D) -> (P,)."""
    z = unit(vectors)
    return z @ z[k]


def nearest(query: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort rows by their cosine with a query, nearest first.

    Args:
        query: (D,)
        vectors: (K, D)
    Returns:
        The numbers of the rows (K,) and their cosines (K,).
    """
    similarity = unit(vectors) @ unit(query)
    order = np.argsort(-similarity, kind="stable")
    return order, similarity[order]


def nearest_speakers(
    query: np.ndarray, e: Embeddings, *, stream: str = "audio", head: str = "identity"
) -> list[tuple[str, float, int]]:
    """Sort speakers by the cosine of their mean track with a query, nearest first.

    Args:
        query: (D,)
        e: `dsel.evaluate.embeddings.Embeddings` of the speakers' tracks.
        stream, head: which vectors.
    Returns:
        (speaker, cosine, number of the speaker's track that is nearest to the query) for each
        speaker.
    """
    means = unit(e.means(stream, head))  # (tracks, D)
    speaker = np.array([track.speaker for track in e.tracks])
    names = sorted(set(speaker))
    order, similarity = nearest(
        query, np.stack([means[speaker == name].mean(axis=0) for name in names])
    )
    found = []
    for k, cosine in zip(order, similarity, strict=True):
        own = np.flatnonzero(speaker == names[k])
        found.append((names[k], float(cosine), int(own[nearest(query, means[own])[0][0]])))
    return found


def nearest_sounds(
    query: np.ndarray,
    e: Embeddings,
    count: int = 5,
    *,
    stream: str = "audio",
    head: str = "content",
) -> list[tuple[int, float]]:
    """Find the windows nearest to a query, at most one in each track.

    Args:
        query: (D,)
        e: `dsel.evaluate.embeddings.Embeddings`.
        count: how many windows.
        stream, head: which vectors.
    Returns:
        (number of the window, cosine), nearest first.
    """
    order, similarity = nearest(query, e.vectors[stream][head])
    firsts = np.sort(np.unique(e.track[order], return_index=True)[1])[
        :count
    ]  # the nearest window of each track
    return [(int(order[k]), float(similarity[k])) for k in firsts]


def neighbour_purity(
    vectors: np.ndarray, labels: np.ndarray, groups: np.ndarray, k: int = 10
) -> float:
    """Compute the share of nearest neighbours from *other* groups that have a point's label.

    It says how far the colours of a map can be trusted. `purity_chance` is its value for vectors
    without information.

    Args:
        vectors: (W, D), compared by cosine.
        labels: (W,)
        groups: (W,), e.g. the track of each window, so that a window's neighbours in time do not
            count.
        k: number of neighbours.
    Returns:
        The mean over points; nan if all points are of one group.

    >>> x = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1.0]])
    >>> neighbour_purity(x, np.array(["a", "a", "b", "b"]), np.arange(4), k=1)
    1.0
    """
    z, shares = unit(vectors), []
    for i in range(len(z)):
        others = np.flatnonzero(groups != groups[i])
        near = others[np.argsort(-(z[others] @ z[i]), kind="stable")[:k]]
        shares += [(labels[near] == labels[i]).mean()] if len(near) else []
    return float(np.mean(shares)) if shares else float("nan")


def purity_chance(labels: np.ndarray, groups: np.ndarray) -> float:
    """Compute `neighbour_purity` of vectors without information.

    Args:
        labels, groups: (W,) each.
    Returns:
        The mean over points; nan if all points are of one group.
    """
    shares = [
        (labels[groups != group] == label).mean()
        for group, label in zip(groups, labels, strict=True)
        if (groups != group).any()
    ]
    return float(np.mean(shares)) if shares else float("nan")


def partner_rank(face: np.ndarray, audio: np.ndarray) -> float:
    """Average the rank of each face's own voice among all voices by cosine.

    Args:
        face, audio: (P, D), row p of both is person p.
    Returns:
        0: always nearest, 0.5: chance, 1: always farthest.
    """
    scores = unit(face) @ unit(audio).T  # (P, P)
    own = np.diag(scores)[:, None]
    below = (scores > own).sum(axis=1) + 0.5 * ((scores == own).sum(axis=1) - 1)
    return float(below.mean() / max(1, len(scores) - 1))


def main_directions(vectors: np.ndarray, share: float = 0.8) -> np.ndarray:
    """Find the fewest orthonormal directions that hold a share of the variance of unit vectors.

    Of face identity embeddings, these are the directions in which faces differ. `voices @
    directions.T` keeps the part of a voice that a face can predict, and drops what only voices
    share, mainly words. No label is used. (Ours.)

    Args:
        vectors: (K, D)
        share: of the variance, in (0, 1].
    Returns:
        (d, D)
    """
    z = unit(np.asarray(vectors, np.float64))
    _, s, directions = np.linalg.svd(z - z.mean(axis=0), full_matrices=False)
    cumulated = np.cumsum(s**2) / max(float(np.sum(s**2)), 1e-30)  # 0 where all are alike
    return directions[: int(np.searchsorted(cumulated, share)) + 1]


def invented_clusters(plane: np.ndarray, count: int, *, seed: int = 0) -> np.ndarray:
    """Label the points of a map by the clusters that one sees in it (k-means): (P, 2) -> (P,) str.

    It is a trap for notebook 07: such labels always look clean on the map from which they were
    taken.

    Args:
        plane: (P, 2)
        count: number of clusters.
        seed: of k-means.
    """
    from sklearn.cluster import KMeans

    clusters = KMeans(count, n_init=4, random_state=seed).fit_predict(plane)
    return np.array([f"clump {k + 1}" for k in clusters])
