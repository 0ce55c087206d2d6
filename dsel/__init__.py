"""dsel: disentangled speech embeddings from talking faces, taught formula by formula.

Nothing heavy is imported here, so that ``import dsel`` costs nothing; take what you need::

    from dsel import losses, model, corpus
"""

from dsel.utils.version import VERSION as __version__

__all__ = ["__version__", "load"]


def load(name: str = "laptop"):
    """The released networks of that name (data/models/<name>.pt), in evaluation mode; its card lies beside it as .json.

    Raises dsel.utils.errors.BadInput for an unknown name.
    """
    from dsel.train.released import load_released

    return load_released(name)
