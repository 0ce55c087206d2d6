"""Use trained networks on anybody's recordings.

A sound becomes a vector, two sounds a verdict, a trial list an error rate, a video its offset.
"""

from dsel.apply.comparison import Verdict, compare
from dsel.apply.offset import Report, Status, sync
from dsel.apply.sound import embed, embed_files, read_sound
from dsel.apply.verification import verify

__all__ = [
    "Report",
    "Status",
    "Verdict",
    "compare",
    "embed",
    "embed_files",
    "read_sound",
    "sync",
    "verify",
]
