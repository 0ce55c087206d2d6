"""Say what is to be known about a file that was used: in part only, or in an unexpected way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from dsel.prepare import decode as media
from dsel.prepare import face_tracks as faces
from dsel.prepare.contents import Contents
from dsel.prepare.sound_tracks import SoundTrack
from dsel.prepare.sources import Source
from dsel.timing import FPS


def remark_on(source: Source, times: np.ndarray, sound: media.Sound, known: Contents) -> str:
    """Say why a file was used in part only, or ''."""
    if known.more:
        return (
            f"{source.path}: several files joined end to end, of which not all can be read; split "
            "it, and prepare the parts"
        )
    if known.breaks_off:
        return (
            f"{source.path}: the clocks of picture and sound restart at different places; what "
            "follows is left out"
        )
    reached = max(times[-1], sound.end) - min(times[0], sound.start)
    promised = media.duration(source.path)
    if promised - reached > max(1.0, 0.1 * promised):
        read = f"only the first {reached:.1f} of {promised:.1f} s could be read, and are used"
        return f"{source.path}: broken off; {read}"
    return ""


def notes_on(
    source: Source,
    known: Contents,
    used: SoundTrack,
    compared: int,
    synced: bool,
    rows: list[dict],
    tracks: Sequence,
) -> Iterator[str]:
    """Yield what is to be known about a file that was used.

    Args:
        source: the file.
        known: what is in it.
        used: the sound track that was used.
        compared: how many sound tracks there are that are not silent.
        synced: whether a model told which of them fits the face.
        rows: of tracks.csv.
        tracks: the face tracks they were made of; None: the whole picture.
    """
    path = source.path
    if known.joined > 1:
        yield f"{path}: {known.joined} files joined end to end; each keeps its own clock"
    if used.count > 1 and source.stream is None:
        why = "fits the face best" if synced and compared > 1 else "the first with speech"
        yield (
            f"{path}: sound track {used.number} of {used.count} is used, {why}; --audio-stream "
            "takes another one"
        )
    if used.sound.one_of_many:
        number = used.sound.weights.index(max(used.sound.weights)) + 1
        yield f"{path}: its channels cancel each other; channel {number} alone is used"
    still = sum(row["doubt"] != "" for row in rows)
    if still:
        yield (
            f"{path}: the picture stands still in {still} of {len(rows)} clips; nobody can say "
            "whether the sound fits it"
        )
    if synced and fits_nobody(rows):
        yield (
            f"{path}: the sound fits nobody who is seen (dubbed, or the speaker is not in the "
            "picture); no offset is applied"
        )
    others = [b for a, b in pairwise(tracks) if a is not None and faces.unlike(a, b)]
    if others:
        yield (
            f"{path}: shows {len(others) + 1} faces one after the other that do not look alike "
            f"(another person, or another light); all are called {source.speaker}: check that it "
            "is one person"
        )


def fits_nobody(rows: list[dict]) -> bool:
    """Return whether no shift of the sound fits the faces that move.

    Args:
        rows: of tracks.csv, of one file and in step as far as they can be; `right` is the
            probability that the offset of the recording is right.

    >>> fits_nobody([{"doubt": "", "right": 0.1, "frames": 100}])
    True
    >>> fits_nobody([{"doubt": "", "right": 0.1, "frames": 30}])  # too short to tell
    False
    """
    from dsel.evaluate.sync import Offset

    say = [row for row in rows if not row["doubt"]]
    if not say:
        return False
    seconds = sum(row["frames"] for row in say) / FPS
    return Offset(0, 0.0, say[0]["right"], seconds=seconds).fits_nobody
