"""A corpus on disk: tracks, labels, trials; its decoded cache; clips and shards."""

from dsel.corpus.cache import Cache, resize, to_int16
from dsel.corpus.reading import ROWS
from dsel.corpus.store import CHECK, COLUMNS, FORMAT, KEPT, LABELS, SPLITS, TRIALS, Track, Tracks
from dsel.corpus.tracks import Corpus, open, write_corpus
from dsel.corpus.trials import Trials
from dsel.utils.files import replace_text, write_csv

__all__ = [
    "CHECK",
    "COLUMNS",
    "FORMAT",
    "KEPT",
    "LABELS",
    "ROWS",
    "SPLITS",
    "TRIALS",
    "Cache",
    "Corpus",
    "Track",
    "Tracks",
    "Trials",
    "open",
    "replace_text",
    "resize",
    "to_int16",
    "write_corpus",
    "write_csv",
]
