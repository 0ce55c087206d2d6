"""Make independent random streams, each named by its purpose.

A stream depends only on its name. It does not depend on how many streams there are, on their
order, or on the process that draws from it. Sound and picture of a track use different streams, so
they share nothing but the person and the words. (Source: ours.)
"""

import hashlib

import numpy as np


def stream(*name: object) -> np.random.Generator:
    """Return the random stream of that name, for example stream(seed, "tr0007_02", "sound").

    >>> int(stream(0, "tr0007_02", "sound").integers(100))
    51
    """
    digest = hashlib.sha256("/".join(map(str, name)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))
