"""Use trained networks on anybody's recordings: a sound becomes a vector, two sounds a verdict, a
trial list an error rate.
"""

from dsel.apply.sound import embed, embed_files, read_sound
from dsel.apply.verification import verify

__all__ = ["embed", "embed_files", "read_sound", "verify"]
