"""Any video of talking people -> a corpus."""

from dsel.prepare.clips_from_video import (
    LATEST,
    LONGEST,
    SHORTEST,
    SILENT,
    SLOWEST,
    Recipe,
    make_clips,
)
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


def __getattr__(name: str):
    """Look up what brings torch along when it is asked for: each process imports this package."""
    if name in ("InStep", "Sync", "sync_of"):
        from dsel.evaluate import sync

        return getattr(sync, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
