"""Project embeddings to two dimensions: UMAP, PCA, and maps aligned with each other."""

from __future__ import annotations

import numpy as np

from dsel.evaluate.vectors import unit


def pca_2d(vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """The plane of the two longest axes of unit vectors: (P, D) -> (P, 2), and the share of the variance that it shows.

    A shadow: nothing is bent, so whatever is apart in the plane is apart in the space. Much that is apart falls together.
    """
    z = unit(vectors)
    z = z - z.mean(axis=0)
    u, s, axes = np.linalg.svd(z, full_matrices=False)
    sign = np.sign(axes[np.arange(2), np.abs(axes[:2]).argmax(axis=1)])  # an axis has no direction of its own: fix one
    return (u * s)[:, :2] * sign, float((s[:2] ** 2).sum() / max((s**2).sum(), 1e-30))


def line_up(moving: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Turn, mirror, scale and shift a plane so that its points fall as near as can be on those of another (Procrustes).

    (P, 2), (P, 2) -> (P, 2). Distances in a map are kept up to one common factor, so nothing that it shows is changed.
    """
    from scipy.linalg import orthogonal_procrustes

    a, b = moving - moving.mean(axis=0), fixed - fixed.mean(axis=0)
    turn, s = orthogonal_procrustes(a, b)  # s: sum of the singular values of a' b
    return a @ turn * (s / max((a**2).sum(), 1e-30)) + fixed.mean(axis=0)


def aligned_maps(states: list[np.ndarray], *, seed: int = 0, **options) -> list[np.ndarray]:
    """One UMAP a state of the *same* points, e.g. over a training: list of (P, D) -> list of (P, 2).

    Left alone, UMAP would lay out each anew, turned and mirrored at will. Here each begins where the one before it ended and
    is then lined up with it, so that a point that moves has moved for a reason. options: see `umap_2d`.
    """
    planes = []
    for x in states:
        init = planes[-1] if planes else "spectral"
        plane = umap_2d(x, seed=seed, init=init, **options)
        planes.append(line_up(plane, planes[-1]) if planes else plane)
    return planes


def umap_2d(vectors: np.ndarray, *, seed: int = 0, neighbours: int = 15, min_dist: float = 0.1, init="spectral") -> np.ndarray:
    """A map in the plane that keeps neighbours together, by cosine: (W, D) -> (W, 2).

    init: where the points begin, 'spectral', 'random' or a plane (W, 2). The same seed gives the same map on one machine
    only. Look at it; measure with probes, not with it.
    """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # umap-learn tells that a seed costs parallelism, and numba of its caching
        from umap import UMAP

        model = UMAP(
            n_components=2, metric="cosine", random_state=seed, n_neighbors=neighbours, min_dist=min_dist, init=init, n_jobs=1
        )
        return model.fit_transform(vectors)
