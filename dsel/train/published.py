"""Fetch networks that others published, once, and keep them in the cache folder.

    dsel.load("voxsrc2020")

These weights are not ours to ship. `voxsrc2020` is the model that the README of
joonson/syncnet_trainer links: the authors' baseline of VoxSRC 2020, trained on VoxCeleb2 with the
content and the identity loss. `dsel.train.authors` reads it into our `paper` networks.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dsel.corpus.shards import Unreachable, fetch
from dsel.train.authors import WHERE, import_authors
from dsel.train.checkpoint import NEWEST
from dsel.utils.caches import cache_folder
from dsel.utils.errors import BadInput
from dsel.utils.files import atomic_folder, write_bytes

PUBLISHED = {  # name -> where its file lies
    "voxsrc2020": "https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/voxsrc2020_baseline.model"
}


def published(name: str) -> Path:
    """Return the file of weights of published networks; fetch and convert it on first use.

    Args:
        name: a key of PUBLISHED.
    Raises:
        BadInput: no network, or the file is not what it was.
    """
    run = cache_folder() / "published" / name
    if (run / NEWEST).is_file():
        return run / NEWEST
    url = PUBLISHED[name]
    print(f"{name}: fetching {url}, linked from {WHERE}; kept in {run}", file=sys.stderr)
    try:
        data = fetch(url)
    except Unreachable as error:
        remedy = "once there is a network; or bring the file and run 'dsel import FILE --out RUN'"
        raise BadInput(f"{name}: {url} cannot be reached; load it {remedy}") from error
    with atomic_folder(run) as folder:
        theirs = write_bytes(folder / f"{name}.model", data)
        import_authors(theirs, folder)
        theirs.unlink()
    return run / NEWEST
