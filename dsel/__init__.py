"""dsel: disentangled speech embeddings from talking faces, taught formula by formula.

Nothing heavy is imported here, so ``import dsel`` is fast. Import what you need::

    from dsel import losses, model, corpus
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsel.utils.version import VERSION as __version__

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from dsel.apply.comparison import Verdict
    from dsel.model import TwoStream

__all__ = ["__version__", "compare", "embed", "load"]


def load(source: str | Path = "four_terms", device: str = "cpu") -> TwoStream:
    """Load trained networks in evaluation mode.

    Args:
        source: the name of released networks, a run folder, or a file of weights (.pt).
            data/models/NAME.pt holds those of a name; the .json beside it says how good they are.
        device: 'cpu', 'cuda', 'auto', ...
    Raises:
        dsel.utils.errors.BadInput: there is nothing of the three, or it cannot be used.

    >>> import torch
    >>> model = load()
    >>> sound = torch.zeros(1, 16_000)  # one second, 25 frames
    >>> model.audio(sound)["identity"].shape  # (B, N, D)
    torch.Size([1, 21, 128])
    """
    from dsel.train.released import load_model

    return load_model(source, device)


def embed(
    sound: Any, model: Any = "four_terms", head: str = "identity", *, rate: int = 16_000
) -> np.ndarray:
    """Turn a sound into its embedding. See `dsel.apply.sound.embed`.

    Args:
        sound: a path of any sound or video file, an array of samples, or a list of these.
        model: networks, or the `source` of `load`.
        head: 'identity' (who speaks) or 'content' (what is said).
        rate: samples per second of arrays.
    Returns:
        float32 (D,) for one sound, (K, D) for a list of K.
    Raises:
        dsel.utils.errors.BadInput: a sound cannot be read, is silent, or is shorter than 0.2 s.

    >>> import numpy as np
    >>> noise = np.random.default_rng(0).normal(scale=0.1, size=16_000)  # one second
    >>> embed(noise, "laptop").shape
    (128,)
    >>> embed([noise, noise[:8000]], "laptop", head="content").shape
    (2, 128)
    """
    from dsel.apply.sound import embed

    return embed(sound, model, head, rate=rate)


def compare(a: Any, b: Any, model: Any = "four_terms", *, kind: str = "real") -> Verdict:
    """Say whether two recordings are of one person. See `dsel.apply.comparison.compare`.

    Args:
        a, b: sounds, as `embed` takes them.
        model: networks, as `embed` takes them. Only released names have a threshold.
        kind: 'real' recordings, or 'drawn' for those of the toy corpus.
    Returns:
        The verdict: `.cosine`, `.same`, `.threshold`, `.wrong`; printed, it is two lines.
    Raises:
        dsel.utils.errors.BadInput: a sound cannot be used, or an unknown kind.
    """
    from dsel.apply.comparison import compare

    return compare(a, b, model, kind=kind)
