"""Choose the points of a map: single windows or half tracks, with what is known of each.

Notebooks 00, 07 and 10 and `dsel plot` map them. (Source: ours.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsel.corpus.tracks import Corpus
from dsel.evaluate.embeddings import Embeddings, window_labels
from dsel.evaluate.names import speaker_names
from dsel.evaluate.vectors import unit

__all__ = ["Points", "both_streams", "half_tracks", "halves", "single_windows", "sound_class"]

# Factors that are numbers -> their columns in tracks.csv.
NUMBERS = {"pitch": "voice_f0", "noise": "room_snr"}


@dataclass(frozen=True)
class Points:
    """P points to be mapped, and what is known of each.

    Args:
        vectors: vectors[stream][code], each (P, D).
        labels: {factor: (P,) str, or float for a number}.
        hover: (P,) text that the mouse shows.
        track: (P,) number of the point's track.
        time: (P,) the middle of the point in its track, in seconds.
        seconds: how long a point is.
    """

    vectors: dict[str, dict[str, np.ndarray]]
    labels: dict[str, np.ndarray]
    hover: np.ndarray
    track: np.ndarray
    time: np.ndarray
    seconds: float

    def __len__(self) -> int:
        return len(self.track)

    def only(self, keep: np.ndarray) -> Points:
        """Choose points: keep (P,) bool, or their numbers."""
        vectors = {
            s: {code: x[keep] for code, x in codes.items()} for s, codes in self.vectors.items()
        }
        labels = {name: values[keep] for name, values in self.labels.items()}
        return Points(
            vectors, labels, self.hover[keep], self.track[keep], self.time[keep], self.seconds
        )


def single_windows(corpus: Corpus, e: Embeddings, *, stride: int = 1) -> Points:
    """Take single windows as points: they show what is said.

    Windows in which the corpus knows no sound, pauses above all, are left out, unless it knows none
    anywhere.

    Args:
        corpus, e: the corpus of the embedded tracks, and their embeddings.
        stride: take every `stride`-th window of a track; neighbours share 4 of 5 frames.
    """
    known = window_labels(corpus, e)
    sound = np.array([sound_class(phoneme) for phoneme in known["phoneme"]], str)
    labels = {"sound": sound, "viseme": known["viseme"], **_of_tracks(corpus, e, e.track)}
    texts = zip(labels["speaker"], known["phoneme"], known["word"], known["time"], strict=True)
    hover = [f"{who}, /{phoneme}/ in “{word}”, {time:.2f} s" for who, phoneme, word, time in texts]
    points = Points(e.vectors, labels, np.array(hover, str), e.track, known["time"], 0.2)
    keep = e.window % stride == 0
    return points.only(keep & (sound != "") if (sound != "").any() else keep)


def half_tracks(corpus: Corpus, e: Embeddings) -> Points:
    """Take each half of a track as a point, the mean of its windows: they show who speaks.

    About a second of speech, as the identity task takes it; see `halves` for where the middle is.
    """
    known, half = window_labels(corpus, e), halves(e)
    numbers, first = np.unique(half, return_index=True)
    vectors = {
        stream: {
            code: np.stack([x[half == k].mean(axis=0) for k in numbers])
            for code, x in codes.items()
        }
        for stream, codes in e.vectors.items()
    }
    words = [
        " ".join(dict.fromkeys(word for word in known["word"][half == k] if word)) for k in numbers
    ]
    time = np.array([known["time"][half == k].mean() for k in numbers])
    track = e.track[first]
    labels = _of_tracks(corpus, e, track)
    texts = zip(labels["speaker"], words, time, strict=True)
    hover = [f"{who}, “{text}”, {at:.1f} s" for who, text, at in texts]
    return Points(vectors, labels, np.array(hover, str), track, time, 1.0)


def halves(e: Embeddings) -> np.ndarray:
    """Number the half tracks: 2 k for the windows of the first half of track k, 2 k + 1 for the
    rest.

    The middle is the mean of the windows of the track that are in `e`; a window there belongs to
    the first half. Returns (W,).
    """
    middle = np.bincount(e.track, e.window) / np.maximum(np.bincount(e.track), 1)
    return 2 * e.track + (e.window > middle[e.track])


def _of_tracks(corpus: Corpus, e: Embeddings, track: np.ndarray) -> dict[str, np.ndarray]:
    """Collect the factors that a point has from its track; the speaker by the name that pictures
    show.
    """
    names = speaker_names(corpus, e.tracks)
    labels = {"speaker": np.array([names[e.tracks[k].speaker] for k in track])}
    sex = np.array([str(e.tracks[k].factors.get("sex", "")) for k in track])
    if (sex != "").all():
        labels["sex"] = sex
    for name, column in NUMBERS.items():
        values = [e.tracks[k].factors.get(column) for k in track]
        if all(isinstance(value, float) for value in values):
            labels[name] = np.array(values)
    return labels


def both_streams(face: np.ndarray, audio: np.ndarray, *, centred: bool = False) -> np.ndarray:
    """Put face and audio vectors of the same P things under each other, to be mapped together.

    The tasks compare faces with voices only, never faces with faces. So the two streams may lie in
    two different places as wholes (the "modality gap"), and a map shows little else.

    Args:
        face, audio: (P, D)
        centred: subtract the mean of each stream.
    Returns:
        (2 P, D) unit vectors, faces first.
    """
    streams = [unit(face), unit(audio)]
    return np.concatenate([z - z.mean(axis=0) if centred else z for z in streams])


def sound_class(phoneme: str) -> str:
    """Name the broad class of an espeak phoneme, one of six, or "" for a pause.

    >>> sound_class("tS"), sound_class("'aI"), sound_class("_")
    ('s-like', 'vowel', '')
    """
    name = phoneme.lstrip("',%=|")
    classes = {
        "s-like": ("tS", "dZ", "s", "z", "S", "Z"),  # before the stops, which tS and dZ begin like
        "stop": ("p", "b", "t", "d", "k", "g", "?"),
        "nasal": ("m", "n", "N"),
        "f-like": ("f", "v", "T", "D", "h", "x"),
        "glide": ("l", "r", "w", "j", "L"),
    }
    for label, beginnings in classes.items():
        if name.startswith(beginnings):
            return label
    return "vowel" if name.strip("_:;") else ""
