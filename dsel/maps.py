"""Embeddings as points of a plane: what a point is, how planes are made, and how a row of planes is kept from jumping about.

A map is for looking; whatever is claimed of it is counted in the space of the embeddings (`dsel.plots.neighbour_purity`,
`dsel.probes`). umap-learn and scikit-learn are imported where they are used. (Source: notes show such maps; the rest is ours.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsel import plots, shipped
from dsel.corpus import Corpus
from dsel.embeddings import Embeddings, window_labels
from dsel.picture import sound_class
from dsel.verification import unit

EMERGENCE = shipped.folder() / "emergence.npz"  # made by tools/emergence.py
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
    labels = {"sound": sound, "viseme": known["viseme"], **_of_tracks(e, e.track)}
    hover = [
        f"{speaker}, /{phoneme}/ in “{word}”, {time:.2f} s"
        for speaker, phoneme, word, time in zip(*(known[key] for key in ("speaker", "phoneme", "word", "time")), strict=True)
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
    speaker = known["speaker"][first]
    hover = [f"{who}, “{said}”, {at:.1f} s" for who, said, at in zip(speaker, words, time, strict=True)]
    track = e.track[first]
    return Points(vectors, _of_tracks(e, track), np.array(hover, str), track, time, 1.0)


def _of_tracks(e: Embeddings, track: np.ndarray) -> dict[str, np.ndarray]:
    """The factors of tracks that a point inherits."""
    labels = {"speaker": np.array([e.tracks[k].speaker for k in track])}
    sex = np.array([str(e.tracks[k].factors.get("sex", "")) for k in track])
    if (sex != "").all():
        labels["sex"] = sex
    for name, column in NUMBERS.items():
        values = [e.tracks[k].factors.get(column) for k in track]
        if all(isinstance(value, float) for value in values):
            labels[name] = np.array(values)
    return labels


def pca_2d(vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """The plane of the two longest axes of unit vectors: (P, D) -> (P, 2), and the share of the variance that it shows.

    A shadow: nothing is bent, so whatever is apart in the plane is apart in the space. Much that is apart falls together.
    """
    z = unit(vectors)
    z = z - z.mean(axis=0)
    u, s, axes = np.linalg.svd(z, full_matrices=False)
    sign = np.sign(axes[np.arange(2), np.abs(axes[:2]).argmax(axis=1)])  # an axis has no direction of its own: fix one
    return (u * s)[:, :2] * sign, float((s[:2] ** 2).sum() / max((s**2).sum(), 1e-30))


def line_up(moving: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Turn, mirror, scale and shift a plane so that its points fall as near as can be on those of another (Procrustes).

    (P, 2), (P, 2) -> (P, 2). Distances in a map are kept up to one common factor, so nothing that it shows is changed.
    """
    from scipy.linalg import orthogonal_procrustes

    a, b = moving - moving.mean(axis=0), fixed - fixed.mean(axis=0)
    turn, s = orthogonal_procrustes(a, b)  # s: sum of the singular values of a' b
    return a @ turn * (s / max((a**2).sum(), 1e-30)) + fixed.mean(axis=0)


def aligned_maps(states: list[np.ndarray], *, seed: int = 0, **options) -> list[np.ndarray]:
    """One UMAP a state of the *same* points, e.g. over a training: list of (P, D) -> list of (P, 2).

    Left alone, UMAP would lay out each anew, turned and mirrored at will. Here each begins where the one before it ended and
    is then lined up with it, so that a point that moves has moved for a reason. options: see `dsel.plots.umap_2d`.
    """
    planes = []
    for x in states:
        init = planes[-1] if planes else "spectral"
        plane = plots.umap_2d(x, seed=seed, init=init, **options)
        planes.append(line_up(plane, planes[-1]) if planes else plane)
    return planes


def both_streams(face: np.ndarray, audio: np.ndarray, *, centred: bool = False) -> np.ndarray:
    """Face and audio vectors of the same P things under each other, to be mapped together: (P, D), (P, D) -> (2 P, D).

    centred: take from each stream its mean. The tasks compare faces with voices only, never faces with faces; so nothing
    keeps the two streams from lying in two different places as wholes (the "modality gap"), and a map shows little else.
    """
    streams = [unit(face), unit(audio)]
    return np.concatenate([z - z.mean(axis=0) if centred else z for z in streams])


def partner_rank(face: np.ndarray, audio: np.ndarray) -> float:
    """How near its own voice is to a face, among all voices: 0 the nearest, 0.5 chance, 1 the farthest; mean over P faces."""
    scores = unit(face) @ unit(audio).T  # (P, P)
    own = np.diag(scores)[:, None]
    below = (scores > own).sum(axis=1) + 0.5 * ((scores == own).sum(axis=1) - 1)
    return float(below.mean() / max(1, len(scores) - 1))


def invented_clusters(plane: np.ndarray, count: int, *, seed: int = 0) -> np.ndarray:
    """Colour a map by the clumps that one sees in it (k-means in the plane): (P, 2) -> (P,) str. A trap, see notebook 07."""
    from sklearn.cluster import KMeans

    found = KMeans(count, n_init=4, random_state=seed).fit_predict(plane)
    return np.array([f"clump {k + 1}" for k in found])
