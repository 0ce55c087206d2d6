"""Independent random streams, each named by what it is for.

A stream depends on its name only: not on how many others exist, on their order, or on which process draws from it.
What is heard and what is seen of a track come from different streams, so that only the person and the words are common.
(Source: ours.)
"""

import hashlib

import numpy as np


def stream(*name) -> np.random.Generator:
    """The random stream of that name, e.g. stream(seed, "tr0007_02", "sound")."""
    digest = hashlib.sha256("/".join(map(str, name)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))
