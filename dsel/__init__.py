"""dsel: disentangled speech embeddings from talking faces, taught formula by formula.

Nothing is imported here, so that ``import dsel`` costs nothing; take what you need::

    from dsel import losses, model, corpus
"""

__version__ = "0.1.0"
