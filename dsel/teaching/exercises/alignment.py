"""Exercises of notebook 01: the sound of a run of windows, and the offset of a clip.

(Source: ours.)
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from dsel.teaching.exercises.checker import FunctionExercise, Mistake, Symptom
from dsel.timing import MEL_HOP, SAMPLES_PER_FRAME, WINDOW_FRAMES, WINDOW_SAMPLES

__all__ = ["OFFSET_MISTAKES", "SOUND_MISTAKES", "offset_of", "sound_of"]


def _samples(
    waveform, first: int, N: int, *, frames: int | None = None, each: int = SAMPLES_PER_FRAME
):
    """Cut `frames` pieces of `each` samples from number `first` on; N + 4 frames is right."""
    stop = first + (N + WINDOW_FRAMES - 1 if frames is None else frames)
    return waveform[each * first : each * stop]


SOUND_MISTAKES = [
    Mistake(
        "N frames",
        lambda w, first, N: _samples(w, first, N, frames=N),
        "That is the sound of N frames: N windows reach 4 frames further.",
    ),
    Mistake(
        "N + 5",
        lambda w, first, N: _samples(w, first, N, frames=N + 5),
        "One frame too long: the last window starts at N - 1, not N.",
    ),
    Mistake(
        "far windows",
        lambda w, first, N: _samples(w, first, N, frames=N, each=WINDOW_SAMPLES),
        "Windows start one frame (640 samples) apart, not one window (3200).",
    ),
    Mistake(
        "mel frames",
        lambda w, first, N: _samples(w, first, N, each=MEL_HOP),
        "160 samples are one mel frame; a video frame has 640.",
    ),
    Mistake(
        "44.1 kHz",
        lambda w, first, N: _samples(w, first, N, each=1764),
        "1764 samples a frame would be 44.1 kHz; dsel's sound is 16 kHz.",
    ),
    Mistake(
        "first ignored",
        lambda w, first, N: _samples(w, 0, N),
        "`first` is ignored: you always begin at the start of the track.",
    ),
    Mistake(
        "first as the start",
        lambda w, first, N: w[first : first + SAMPLES_PER_FRAME * (N + WINDOW_FRAMES - 1)],
        "`first` counts frames: the first sample of frame f is 640 f.",
    ),
    Mistake(
        "one window",
        lambda w, first, N: _samples(w, first, N, frames=WINDOW_FRAMES),
        "N is ignored: that is the sound of one window.",
    ),
]

_RAMP = np.arange(SAMPLES_PER_FRAME * 60)  # each sample is its own number
sound_of = FunctionExercise(
    "sound_of(waveform, first, N)",
    _samples,
    [(_RAMP, 0, 30), (_RAMP, 3, 1), (_RAMP, 7, 12), (_RAMP, 26, 30)],
    SOUND_MISTAKES,
)


def _planted(seed: int, k: int, N: int = 24) -> np.ndarray:
    """Draw the similarities (N, N) of a clip whose sound is late by k frames.

    All are negative, as logits w cos + b may well be.
    """
    return np.random.default_rng(seed).normal(-10, 0.5, (N, N)) + np.eye(N, k=k)


def _outside(seed: int, k: int, decoy: int) -> np.ndarray:
    """Plant an offset, and a stronger diagonal at `decoy`, outside the reach."""
    logits = _planted(seed, k)
    return logits + 3 * np.eye(len(logits), k=decoy)


def _few_strong(seed: int, k: int, many: int) -> np.ndarray:
    """Let a few very similar pairs decide: they raise the mean of diagonal k above all others.

    Diagonal `many` has the higher median, and more windows that are most similar there.
    """
    logits = _planted(seed, many) + 0.8 * np.eye(24, k=many)
    t = np.arange(6) * 3 + max(0, -k)
    logits[t, t + k] += 10
    return logits


def _one_strong(seed: int, k: int) -> np.ndarray:
    """Add one very similar pair that lies on no planted diagonal."""
    logits = _planted(seed, k)
    logits[4, 10] += 8
    return logits


def _scattered(seed: int, k: int, votes: int) -> np.ndarray:
    """Plant an offset in all windows, but let 8 windows be most similar at shift `votes`.

    Ten more windows are most similar at ten different shifts, so that shift k wins few windows.
    """
    logits = np.random.default_rng(seed).normal(-10, 0.05, (24, 24)) + np.eye(24, k=k)
    t = np.arange(8) + max(0, -votes)
    logits[t, t + votes] += 2
    t = np.arange(10) + 12
    logits[t, 2 * np.arange(10)] += 2
    return logits


def _best(score, logits: np.ndarray, shifts, sign: int = 1) -> int:
    """Return the shift whose diagonal scores highest."""
    return max(shifts, key=lambda k: score(np.diagonal(logits, sign * k)))


def _within(reach: int) -> range:
    """Return -reach .. reach."""
    return range(-reach, reach + 1)


def _everywhere(logits: np.ndarray) -> range:
    """Return all shifts that have a diagonal."""
    return _within(len(logits) - 1)


def _majority(logits: np.ndarray, reach: int) -> int:
    """Let each window t vote for its most similar sound."""
    votes = (np.argmax(logits, axis=1) - np.arange(len(logits))).tolist()
    inside = [k for k in votes if abs(k) <= reach]
    return Counter(inside).most_common(1)[0][0]


def _largest_entry(logits: np.ndarray, reach: int) -> int:
    """Return the shift of the single most similar pair."""
    return _best(np.max, logits, _within(reach))


ENDS = "-reach and +reach are allowed too, and range() ends one before its second number: "
OFFSET_MISTAKES = [
    Mistake(
        "sign",
        lambda logits, reach: _best(np.mean, logits, _within(reach), -1),
        "The sign: k > 0 means late, so the match of t stands at τ = t + k, to the right.",
    ),
    Mistake(
        "sum",
        lambda logits, reach: _best(np.sum, logits, _within(reach)),
        "Diagonals have different lengths: take the mean. A sum of negative numbers prefers the "
        "short ones.",
    ),
    Mistake(
        "index",
        lambda logits, reach: _best(np.mean, logits, _within(reach)) + reach,
        "That is the place in your list of shifts: its first entry is k = -reach.",
    ),
    Mistake(
        "size",
        lambda logits, reach: abs(_best(np.mean, logits, _within(reach))),
        "You give the size of the offset; early sound has k < 0.",
    ),
    Mistake(
        "last shift missing",
        lambda logits, reach: _best(np.mean, logits, range(-reach, reach)),
        ENDS + "k = +reach is never tried.",
    ),
    Mistake(
        "first shift missing",
        lambda logits, reach: _best(np.mean, logits, range(1 - reach, reach + 1)),
        ENDS + "k = -reach is never tried.",
    ),
    Mistake(
        "both ends missing",
        lambda logits, reach: _best(np.mean, logits, range(1 - reach, reach)),
        ENDS + "neither k = -reach nor k = +reach is tried.",
    ),
    Mistake(
        "late sound only",
        lambda logits, reach: _best(np.mean, logits, range(reach + 1)),
        "Sound may be early too: try k from -reach on.",
    ),
    Mistake(
        "reach ignored",
        lambda logits, reach: _best(np.mean, logits, _everywhere(logits)),
        "`reach` is ignored: only shifts from -reach to reach are asked for.",
    ),
    Mistake(
        "median",
        lambda logits, reach: _best(np.median, logits, _within(reach)),
        "That is the largest median; the exercise asks for the largest mean.",
    ),
    Mistake(
        "majority",
        _majority,
        "You let each window vote for its best sound; the exercise asks for the largest mean of a "
        "diagonal.",
    ),
    Mistake(
        "one entry",
        _largest_entry,
        "You take the diagonal of the largest single similarity; the exercise asks for the largest "
        "mean.",
    ),
]

offset_of = FunctionExercise(
    "offset_of(logits, reach)",
    lambda logits, reach: _best(np.mean, logits, _within(reach)),
    [
        (_planted(0, 3), 8),
        (_planted(1, -5), 8),
        (_planted(2, 0), 8),
        (_planted(3, 7), 10),
        (_planted(4, 8), 8),  # at +reach
        (_planted(5, -8), 8),  # at -reach
        (_planted(6, 12), 12),
        (_planted(7, -3), 3),
        (_outside(8, 2, decoy=11), 8),  # a decoy above the reach
        (_outside(9, -3, decoy=-6), 5),  # and one below it
        (_few_strong(10, -4, many=2), 8),
        (_scattered(12, 5, votes=-2), 8),
        (_one_strong(11, -1), 8),
    ],
    OFFSET_MISTAKES,
    [
        Symptom(
            "reach ignored",
            lambda k, case: np.size(k) == 1 and abs(float(np.asarray(k).ravel()[0])) > case[1],
            "It gives a shift outside -reach .. reach: `reach` differs from case to case.",
        )
    ],
)
