"""Choose the points of a map: single windows or half tracks, with what is known of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsel.corpus.tracks import Corpus
from dsel.evaluate.embeddings import Embeddings, window_labels
from dsel.evaluate.names import speaker_names
from dsel.evaluate.vectors import unit

NUMBERS = {"pitch": "voice_f0", "noise": "room_snr"}  # factors that are numbers, and their columns in tracks.csv


@dataclass(frozen=True)
class Points:
    """P points to be mapped, and what is known of each.

    vectors[stream][code] (P, D); labels {factor: (P,) str, or float for a number}; hover (P,) text; track (P,) the number of
    its track; time (P,) where it is in the track, the middle, in seconds; seconds: how long a point is.
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
        """The points where `keep` (bool or numbers) says so."""
        vectors = {s: {code: x[keep] for code, x in codes.items()} for s, codes in self.vectors.items()}
        labels = {name: values[keep] for name, values in self.labels.items()}
        return Points(vectors, labels, self.hover[keep], self.track[keep], self.time[keep], self.seconds)


def single_windows(corpus: Corpus, e: Embeddings) -> Points:
    """Every window of `e` in which a sound is known, pauses left out: where *what is said* can be looked for."""
    known = window_labels(corpus, e)
    sound = np.array([sound_class(phoneme) for phoneme in known["phoneme"]], str)
    labels = {"sound": sound, "viseme": known["viseme"], **_of_tracks(corpus, e, e.track)}
    named = {**known, "speaker": labels["speaker"]}
    hover = [
        f"{speaker}, /{phoneme}/ in “{word}”, {time:.2f} s"
        for speaker, phoneme, word, time in zip(*(named[key] for key in ("speaker", "phoneme", "word", "time")), strict=True)
    ]
    points = Points(e.vectors, labels, np.array(hover, str), e.track, known["time"], 0.2)
    return points.only(sound != "") if (sound != "").any() else points


def half_tracks(corpus: Corpus, e: Embeddings) -> Points:
    """Each half of a track as one point, the mean of its windows, as the identity task takes them: where *who speaks* can be
    looked for."""
    known = window_labels(corpus, e)
    middle = np.array([e.window[e.track == k].mean() for k in range(len(e.tracks))])
    half = 2 * e.track + (e.window > middle[e.track])  # (W,)
    names, first = np.unique(half, return_index=True)
    vectors = {s: {c: np.stack([x[half == h].mean(axis=0) for h in names]) for c, x in v.items()} for s, v in e.vectors.items()}
    words = [" ".join(dict.fromkeys(word for word in known["word"][half == h] if word)) for h in names]
    time = np.array([known["time"][half == h].mean() for h in names])
    track = e.track[first]
    labels = _of_tracks(corpus, e, track)
    hover = [f"{who}, “{said}”, {at:.1f} s" for who, said, at in zip(labels["speaker"], words, time, strict=True)]
    return Points(vectors, labels, np.array(hover, str), track, time, 1.0)


def _of_tracks(corpus: Corpus, e: Embeddings, track: np.ndarray) -> dict[str, np.ndarray]:
    """Collect the factors that a point has from its track; the speaker by the name that pictures show."""
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
    """Face and audio vectors of the same P things under each other, to be mapped together: (P, D), (P, D) -> (2 P, D).

    centred: take from each stream its mean. The tasks compare faces with voices only, never faces with faces; so nothing
    keeps the two streams from lying in two different places as wholes (the "modality gap"), and a map shows little else.
    """
    streams = [unit(face), unit(audio)]
    return np.concatenate([z - z.mean(axis=0) if centred else z for z in streams])


def sound_class(phoneme: str) -> str:
    """A broad class of sound for an espeak phoneme mnemonic; "" for a pause. Six, so that a legend can hold them."""
    name = phoneme.lstrip("',%=|")
    classes = {
        "s-like": ("tS", "dZ", "s", "z", "S", "Z"),  # before the stops, which tS and dZ begin like
        "stop": ("p", "b", "t", "d", "k", "g", "?"),
        "nasal": ("m", "n", "N"),
        "f-like": ("f", "v", "T", "D", "h", "x"),
        "glide": ("l", "r", "w", "j", "L"),
    }
    for kind, beginnings in classes.items():
        if name.startswith(beginnings):
            return kind
    return "vowel" if name.strip("_:;") else ""
