"""Scoring a trial list the authors' way, 37,720 trials of 10 x 10 crops: at once, against one trial
after the other.

    python benchmarks/scoring.py            writes benchmarks/scoring.md

Vectors are random; what is compared is arithmetic. Both compute the mean of the 100 cosines between
the crops of two files.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from report import report

from dsel.evaluate.verification import crop_scores

TRIALS, FILES, CROPS, D = 37_720, 4_708, 10, 1024  # VoxCeleb1's test list; D of the paper model


def one_by_one(crops: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """crops (files, C, D), a, b (K,) -> (K,): a loop over trials, a 10 x 10 table of cosines in
    each.
    """
    scores = np.empty(len(a))
    for k in range(len(a)):
        x, y = crops[a[k]], crops[b[k]]  # (C, D)
        x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))
        scores[k] = (x @ y.T).mean()
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=TRIALS)
    trials, rng = parser.parse_args().trials, np.random.default_rng(0)
    crops = rng.standard_normal((FILES, CROPS, D), np.float32) + rng.standard_normal(
        (FILES, 1, D), np.float32
    )
    a, b = rng.integers(0, FILES, (2, trials))
    found, seconds = {}, {}
    for name, score in (("one trial after the other", one_by_one), ("all at once", crop_scores)):
        begin = time.process_time()
        found[name] = score(crops, a, b)
        seconds[name] = time.process_time() - begin
    slow = seconds["one trial after the other"]
    rows = [(name, f"{s:.2f}", f"{slow / s:.1f}") for name, s in seconds.items()]
    apart = np.abs(found["all at once"] - found["one trial after the other"]).max()
    assert apart < 1e-6, apart
    report(
        "scoring",
        f"Scoring {trials:,} trials of {CROPS} x {CROPS} crops",
        (f"{trials:,} trials, {FILES:,} files, D = {D}", "CPU-s", "times faster"),
        rows,
        f"Largest difference of a score: {apart:.1e}. The mean of all cosines is the product of "
        "the mean unit vectors.",
    )


if __name__ == "__main__":
    main()
