"""Decode the sound tracks of a file and find the likeliest one.

Screen recorders and films carry several: a silent one, music, another language. (Source: ours.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dsel.prepare import decode as media
from dsel.prepare.contents import Contents, contents
from dsel.prepare.sources import Source
from dsel.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, samples_for
from dsel.utils.errors import BadInput

SILENT = 1e-3  # peak, of 1: -60 dB
SPEECH = 6.0  # dB by which the loudness of speech varies; that of noise, hum and tones: under 1
MOST_TRACKS = 8  # sound tracks of a file that are compared


@dataclass(frozen=True)
class SoundTrack:
    """One sound track of a file: its number, from 1 on, of how many; and the sound."""

    number: int
    count: int
    sound: media.Sound


def hear(source: Source, folder: Path, begin: float, known: Contents) -> list[SoundTrack]:
    """Decode the sound tracks of a source that are not silent, the likeliest first.

    That is the first one whose loudness varies as that of speech does; else the one that a player
    would choose. A separate file has a clock of its own, and begins when the picture does.
    """
    path = source.sound or source.path
    known = known if source.sound is None else contents(path)
    streams, count = list(enumerate(known.sounds, start=1)), len(known.sounds)
    if source.stream is not None:
        if not 1 <= source.stream <= count:
            tracks = f"{count} sound track{'s' * (count != 1)}"
            raise BadInput(f"{path}: has {tracks}, not one with the number {source.stream}")
        streams = [streams[source.stream - 1]]
    found, reason = [], None
    for number, stream in streams[:MOST_TRACKS] or [(1, None)]:
        try:
            sound = media.decode_sound(path, folder / f"{number}.f32", known=known, stream=stream)
        except BadInput as error:
            reason = reason or error
            continue
        if sound.peak >= SILENT:
            sound = sound if source.sound is None else replace(sound, start=begin)
            found.append(SoundTrack(number, count, sound))
    if not found:
        raise reason or BadInput(f"{path}: silent; give a sound track with --audio FILE")
    main = known.sounds.index(known.main_sound) + 1 if count else 1
    first = next((h for h in found if varies(h.sound)), None)
    first = first or next((h for h in found if h.number == main), found[0])
    return [first, *(h for h in found if h is not first)]


def varies(sound: media.Sound) -> bool:
    """Return whether the loudness of a sound varies as much as that of speech."""
    levels, block = [], samples_for(60 * FPS)
    for first in range(0, sound.samples, block):
        count = min(block, sound.samples - first) // SAMPLES_PER_FRAME
        part = sound.read(sound.start + first / SAMPLE_RATE, samples_for(count))
        power = np.square(part.reshape(count, SAMPLES_PER_FRAME)).mean(axis=1)
        levels.append(10 * np.log10(np.maximum(power, SILENT**2 / 10)))
    return bool(np.concatenate(levels).std() >= SPEECH)
