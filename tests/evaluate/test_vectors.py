"""Geometry of embeddings against loops, and on points whose neighbours are known."""

import math
import subprocess
import sys

import numpy as np
import pytest

from dsel.corpus import Track
from dsel.evaluate.embeddings import Embeddings
from dsel.evaluate.vectors import (
    cosines,
    main_directions,
    nearest,
    nearest_sounds,
    nearest_speakers,
    neighbour_purity,
    purity_chance,
    unit,
)


def cosine(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True)) / math.hypot(*x) / math.hypot(*y)


def test_unit_and_cosines_by_loops():
    x = np.random.default_rng(0).normal(size=(6, 4))
    assert [math.hypot(*row) for row in unit(x)] == pytest.approx([1.0] * 6)
    np.testing.assert_allclose(cosines(x, 2), [cosine(row, x[2]) for row in x])
    assert (unit(np.zeros((2, 3))) == 0).all()
    order, similarity = nearest(x[0], x)
    assert order[0] == 0
    assert list(similarity) == pytest.approx(sorted((cosine(x[0], row) for row in x), reverse=True))


def test_nearest_speakers_and_sounds_by_loops():
    rng = np.random.default_rng(1)
    tracks = [Track(f"t{k}", f"s{k % 3}", "test", "x", 20) for k in range(6)]
    x = rng.normal(size=(24, 5))
    e = Embeddings(
        tracks,
        np.repeat(np.arange(6), 4),
        np.tile(np.arange(4), 6),
        {"audio": {"identity": x, "content": x}},
    )
    query = rng.normal(size=5)
    means = [x[4 * k : 4 * k + 4].mean(axis=0) for k in range(6)]
    lengths = [m / math.hypot(*m) for m in means]
    by_loops = sorted(
        (
            -cosine(query, (lengths[s] + lengths[s + 3]) / 2),
            f"s{s}",
            max((s, s + 3), key=lambda k: cosine(query, means[k])),
        )
        for s in range(3)
    )
    found = nearest_speakers(query, e)
    assert [(name, k) for name, _, k in found] == [(name, k) for _, name, k in by_loops]
    assert [c for _, c, _ in found] == pytest.approx([-c for c, *_ in by_loops])
    sounds = nearest_sounds(query, e, 4)
    best = sorted(
        (max((cosine(query, x[w]), w) for w in range(4 * k, 4 * k + 4)) for k in range(6)),
        reverse=True,
    )
    assert [w for w, _ in sounds] == [w for _, w in best[:4]]


def test_purity_of_a_single_group_is_not_a_number_and_says_nothing(recwarn):
    x, labels, groups = np.eye(3), np.array(["a", "b", "a"]), np.zeros(3)
    assert math.isnan(neighbour_purity(x, labels, groups))
    assert math.isnan(purity_chance(labels, groups))
    assert not recwarn.list


def test_main_directions_hold_the_share_they_promise():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 6)) * np.array([9, 5, 1, 0.5, 0.2, 0.1])
    z = x / np.linalg.norm(x, axis=1, keepdims=True)
    z = z - z.mean(axis=0)
    for share in (0.5, 0.8, 0.95):
        u = main_directions(x, share)
        np.testing.assert_allclose(u @ u.T, np.eye(len(u)), atol=1e-9)
        held = ((z @ u.T) ** 2).sum() / (z**2).sum()
        fewer = ((z @ u[:-1].T) ** 2).sum() / (z**2).sum()
        assert held >= share > fewer


@pytest.mark.heavy
def test_evaluation_imports_no_scikit_learn_and_no_scipy():
    code = (
        "import sys; import dsel.evaluate, dsel.evaluate.report, dsel.evaluate.probes, "
        "dsel.evaluate.vectors, dsel.ablation;"
        "print(sorted({'sklearn', 'scipy', 'umap', 'plotly'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
