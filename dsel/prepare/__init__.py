"""Any video of talking people -> a corpus."""

from dsel.evaluate.sync import InStep, Sync, sync_of
from dsel.prepare.clips_from_video import LATEST, LONGEST, SHORTEST, SILENT, SLOWEST, Recipe, make_clips
from dsel.prepare.run import plan, prepare, split_of
from dsel.prepare.sources import LAYOUTS, SOUNDS, VIDEOS, Source

__all__ = [
    "LATEST",
    "LAYOUTS",
    "LONGEST",
    "SHORTEST",
    "SILENT",
    "SLOWEST",
    "SOUNDS",
    "VIDEOS",
    "InStep",
    "Recipe",
    "Source",
    "Sync",
    "make_clips",
    "plan",
    "prepare",
    "split_of",
    "sync_of",
]
