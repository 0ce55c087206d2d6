"""Name speakers and clips as a reader would: "voice A, woman" instead of the number in a corpus.

Every picture, hover text, legend and menu takes its names from here, so that a speaker has the same
name wherever it is shown. (Source: ours.)
"""

from __future__ import annotations

from collections.abc import Iterable
from string import ascii_uppercase

from dsel.corpus.store import SPLITS, Track
from dsel.corpus.tracks import Corpus

__all__ = ["letters", "speaker_names", "track_names"]

SEXES = {"f": "woman", "female": "woman", "m": "man", "male": "man"}  # the values of the column sex
LETTERED = SPLITS[::-1]  # test, validation, train: strangers get the first letters


def letters(number: int) -> str:
    """Write 0, 1, ... 25, 26, ... as A, B, ... Z, AA, ..."""
    quotient, rest = divmod(number, len(ascii_uppercase))
    return (letters(quotient - 1) if quotient else "") + ascii_uppercase[rest]


def speaker_names(corpus: Corpus, tracks: Iterable[Track] | None = None) -> dict[str, str]:
    """Name the speakers of some tracks: {speaker: "voice A, woman"}.

    The letter counts the speakers of the whole corpus, those of the test split first, so it does
    not depend on which tracks are shown. Where the sex is unknown the name is "voice A".

    Args:
        corpus: the corpus that the tracks are from.
        tracks: the tracks whose speakers are named; None: all.
    """
    places: dict[str, int] = {}
    for split in LETTERED:
        for speaker in corpus.speakers(split):
            places.setdefault(speaker, len(places))
    names = {}
    for track in corpus.tracks if tracks is None else tracks:
        if track.speaker not in names:
            voice = f"voice {letters(places[track.speaker])}"
            sex = SEXES.get(str(track.factors.get("sex", "")).lower())
            names[track.speaker] = f"{voice}, {sex}" if sex else voice
    return names


def track_names(corpus: Corpus, tracks: Iterable[Track]) -> dict[str, str]:
    """Name tracks: {track id: "voice A, woman, clip 3"}.

    The number counts the tracks of a speaker within its split, in the order of tracks.csv, from 1.
    """
    tracks = list(tracks)
    speakers, numbers = speaker_names(corpus, tracks), {}
    counted: dict[str, int] = {}
    used = {track.split for track in tracks}
    for split in (split for split in LETTERED if split in used):
        for track in corpus.split(split):
            counted[track.speaker] = counted.get(track.speaker, 0) + 1
            numbers[track.id] = counted[track.speaker]
    return {track.id: f"{speakers[track.speaker]}, clip {numbers[track.id]}" for track in tracks}
