"""dsel: disentangled speech embeddings from talking faces, taught formula by formula.

Nothing is imported here, so that ``import dsel`` costs nothing; take what you need::

    from dsel import losses, model, corpus
"""

__version__ = "0.1.0"


def load(name: str = "laptop"):
    """The released networks of that name (data/models/<name>.pt), in evaluation mode; its card lies beside it as .json.

    Raises dsel.utils.errors.BadInput for an unknown name.
    """
    from dsel.train.released import load_released

    return load_released(name)
