"""dsel: disentangled speech embeddings from talking faces, taught formula by formula.

Nothing heavy is imported here, so ``import dsel`` is fast. Import what you need::

    from dsel import losses, model, corpus
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsel.utils.version import VERSION as __version__

if TYPE_CHECKING:
    from dsel.model import TwoStream

__all__ = ["__version__", "load"]


def load(name: str = "laptop") -> TwoStream:
    """Load released networks in evaluation mode.

    Args:
        name: of the file data/models/<name>.pt; the .json beside it says how good they are.
    Raises:
        dsel.utils.errors.BadInput: there are no networks of that name.
    """
    from dsel.train.released import load_released

    return load_released(name)
