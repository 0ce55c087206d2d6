"""Project embeddings to two dimensions: PCA, UMAP, and maps aligned with each other.

Used by notebooks 00, 07 and 10 and by `dsel plot`. (Source: McInnes et al. for UMAP; ours as code.)
"""

from __future__ import annotations

import numpy as np

from dsel.evaluate.vectors import unit
from dsel.utils.caches import give_numba_a_folder

__all__ = ["FEWEST", "MOST_SEED", "aligned_maps", "line_up", "map_2d", "pca_2d", "umap_2d"]

FEWEST = 5  # points that UMAP needs: below 4 it fails, and neighbours of 4 points mean nothing
MOST_SEED = 2**32 - 1  # the largest seed that UMAP takes


def pca_2d(vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """Project unit vectors to the plane of their two longest axes.

    Nothing is bent: points that lie apart in the plane lie apart in the space. Points that fall
    together in the plane may still lie apart in the space.

    Args:
        vectors: (P, D); scaled to unit length here.
    Returns:
        the plane (P, 2), and the share of the variance that it shows.
    """
    z = unit(vectors)
    z = z - z.mean(axis=0)
    u, s, axes = np.linalg.svd(z, full_matrices=False)
    axes = axes[:2]
    largest = np.abs(axes).argmax(axis=1)
    sign = np.sign(axes[np.arange(len(axes)), largest])  # an axis has no direction: fix one
    share = float((s[:2] ** 2).sum() / max((s**2).sum(), 1e-30))
    plane = np.zeros((len(z), 2))  # a single point has one axis only
    plane[:, : len(axes)] = (u * s)[:, :2] * sign
    return plane, share


def map_2d(vectors: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Map vectors to the plane with UMAP, or by PCA where there are fewer than `FEWEST` points.

    Args:
        vectors: (P, D).
        seed: of UMAP.
    Returns:
        the plane (P, 2).
    """
    return umap_2d(vectors, seed=seed) if len(vectors) >= FEWEST else pca_2d(vectors)[0]


def line_up(moving: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Turn, mirror, scale and shift a plane so that its points fall nearest to those of another.

    Distances change by one common factor only, so the map shows what it showed before. (Source:
    orthogonal Procrustes.)

    Args:
        moving: the plane that is moved, (P, 2).
        fixed: the plane that it is moved to, (P, 2), the same points.
    Returns:
        the moved plane (P, 2).
    """
    from scipy.linalg import orthogonal_procrustes

    a, b = moving - moving.mean(axis=0), fixed - fixed.mean(axis=0)
    turn, s = orthogonal_procrustes(a, b)  # s: the sum of the singular values of a' b
    return a @ turn * (s / max((a**2).sum(), 1e-30)) + fixed.mean(axis=0)


def aligned_maps(states: list[np.ndarray], *, seed: int = 0, **options) -> list[np.ndarray]:
    """Map several states of the same points with UMAP, e.g. steps of a training.

    Separate maps would be turned and mirrored at random. Here each map starts where the one before
    it ended and is then lined up with it, so a point moves only because its embedding has changed.

    Args:
        states: vectors (P, D) of each state.
        seed: of UMAP.
        options: see `umap_2d`.
    Returns:
        one plane (P, 2) per state.
    """
    planes = []
    for vectors in states:
        init = planes[-1] if planes else "spectral"
        plane = umap_2d(vectors, seed=seed, init=init, **options)
        planes.append(line_up(plane, planes[-1]) if planes else plane)
    return planes


def umap_2d(
    vectors: np.ndarray,
    *,
    seed: int = 0,
    neighbours: int = 15,
    min_dist: float = 0.1,
    init="spectral",
) -> np.ndarray:
    """Map vectors to the plane with UMAP, which keeps neighbours by cosine together.

    A map is for looking at, not for measuring: use purity and probes for that.

    Args:
        vectors: (P, D).
        seed: the same seed gives the same map, on one machine.
        neighbours: how many neighbours of each point are kept together.
        min_dist: the smallest distance of points in the map.
        init: where the points start: 'spectral', 'random' or a plane (P, 2).
    Returns:
        the plane (P, 2).
    """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # umap: a seed costs parallelism; numba: about its cache
        give_numba_a_folder()
        from umap import UMAP

        options = {"n_components": 2, "metric": "cosine", "n_jobs": 1, "random_state": seed}
        model = UMAP(n_neighbors=neighbours, min_dist=min_dist, init=init, **options)
        return model.fit_transform(vectors)
