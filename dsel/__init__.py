"""dsel: disentangled speech embeddings from talking faces, taught formula by formula.

Nothing heavy is imported here, so ``import dsel`` is fast. Import what you need::

    from dsel import losses, model, corpus
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsel.utils.version import VERSION as __version__

if TYPE_CHECKING:
    import numpy as np

    from dsel.model import TwoStream

__all__ = ["__version__", "embed", "load"]


def load(name: str = "laptop") -> TwoStream:
    """Load released networks in evaluation mode.

    Args:
        name: of the file data/models/<name>.pt; the .json beside it says how good they are.
    Raises:
        dsel.utils.errors.BadInput: there are no networks of that name.
    """
    from dsel.train.released import load_released

    return load_released(name)


def embed(
    sound: Any, model: Any = "laptop", head: str = "identity", *, rate: int = 16_000
) -> np.ndarray:
    """Turn a sound into its embedding. See `dsel.apply.sound.embed`.

    Args:
        sound: a path of any sound or video file, an array of samples, or a list of these.
        model: a released name, a run folder, or a `TwoStream`.
        head: 'identity' (who speaks) or 'content' (what is said).
        rate: samples per second of arrays.
    Returns:
        float32 (D,) for one sound, (K, D) for a list of K.
    Raises:
        dsel.utils.errors.BadInput: a sound cannot be read, is silent, or is shorter than 0.2 s.
    """
    from dsel.apply.sound import embed

    return embed(sound, model, head, rate=rate)
