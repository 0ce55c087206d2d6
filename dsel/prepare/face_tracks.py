"""Find the faces in a video: detect now and then, link to tracks, end tracks at cuts, smooth, crop.

Everything about faces is in this file; only `haar` and `crop` use OpenCV. A detector is any
function from a picture, uint8 (H, W, 3), to boxes, one row (left, top, width, height) in pixels
each. From there on boxes are squares: rows (x, y, side), centre and side in pixels of the picture
at full size. (Crop with a margin as VoxCeleb's; the linking, the cuts and the numbers are ours.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from dsel.timing import FPS
from dsel.utils.errors import BadInput

EVERY = 0.2  # s between two looks for faces
LONGEST = 400  # pixels; the longer side of the picture that the detector is given
REACH = (
    0.7  # a face is the same if its centre moved by less than this many sides since the last look
)
GROWTH = 1.6  # and its side grew or shrank by less than this factor
BRIDGE = 1.0  # s without a detection after which a track has ended
SHARE = 0.4  # of the looks must have found the face, or it was none
SMOOTH = 0.16  # s; standard deviation of the Gaussian over the boxes
# The crop is larger than the detector's box and lies lower, so that eyes and mouth lie where the
# toy has them: a network that was trained on one can look at the other.
MARGIN = 1.18  # its side over the side of the box
LOWER = 0.12  # sides by which its centre lies lower
THUMB = (16, 12)  # pixels of the tiny picture by which cuts are seen
CUT = 8.0  # of 255: mean difference between tiny pictures of two scenes
FACE = 16  # pixels of the tiny picture by which two faces are compared
OTHER = 18.0  # of 255: mean difference between tiny faces of two people (one of GRID: up to 17)
INNER = slice(4, 12)  # of the tiny face, in both directions: without hair and wall
UNLIKE = 8.5  # of 255: the same within INNER, between films; one of GRID: up to 7.5
SUDDEN = 3.0  # times the usual difference between neighbouring frames; more is a sudden change
LARGER = 1.3  # times as large as another face is one that may enclose it
# OpenCV does not look at places whose grey varies by less than 10 of 255, so that it is blind to a
# face with little light. Where it finds none it gets the picture again, brighter.
DARK, SHADE, BRIGHTER = 64, 0.25, 4  # of 255; share of darker pixels from which it does; how much

Detector = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Look:
    """One look for faces: when, the boxes found (n, 3), and the tiny picture, uint8 (h, w, 3)."""

    time: float
    boxes: np.ndarray
    thumb: np.ndarray
    jump: float  # the largest difference between neighbouring tiny pictures since the last look
    jump_at: float  # the time in seconds of the later one of the two
    crops: tuple[np.ndarray, ...] = ()  # the faces in the boxes, tiny; empty: not compared


@dataclass(frozen=True)
class FaceTrack:
    """One face from `start` to `end` (seconds), seen at `times` (K,) in `boxes` (K, 3)."""

    start: float
    end: float
    times: np.ndarray
    boxes: np.ndarray
    crops: tuple[np.ndarray, ...] = ()  # of the face at these times, tiny

    @property
    def side(self) -> float:
        """Median side of the face in pixels."""
        return float(np.median(self.boxes[:, 2]))

    @property
    def seconds(self) -> float:
        return self.end - self.start

    def at(self, time: float) -> np.ndarray:
        """Return the smoothed box (3,) at a time in seconds.

        Before the first detection and after the last one it moves on as it did there.
        """
        steps, boxes = self._path
        box = np.array([np.interp(time, steps, column) for column in boxes])
        beyond = time - np.clip(time, steps[0], steps[-1])
        reach = round(2 * EVERY * FPS)  # steps over which the movement at an end is measured
        if not beyond or len(steps) <= reach or steps[-1] <= steps[0]:
            return box
        end, inner = (0, reach) if beyond < 0 else (-1, -1 - reach)
        speed = (boxes[:2, end] - boxes[:2, inner]) / (steps[end] - steps[inner])
        return np.append(box[:2] + speed * beyond, box[2])

    @cached_property
    def _path(self) -> tuple[np.ndarray, np.ndarray]:
        """Return times (K,), 25 per second between first and last detection, and boxes (3, K).

        They are smoothed by a Gaussian. It is symmetric and continues a movement beyond the ends,
        so it neither lags nor stops short.
        """
        first, last = self.times[0], self.times[-1]
        steps = np.linspace(first, last, max(1, round((last - first) * FPS)) + 1)
        boxes = np.stack(
            [np.interp(steps, self.times, _without_outliers(column)) for column in self.boxes.T],
            axis=1,
        )
        return steps, np.ascontiguousarray(_gaussian(boxes, SMOOTH * FPS).T)


def haar(name: str = "haarcascade_frontalface_alt2.xml") -> Detector:
    """Return OpenCV's detector of upright frontal faces: about 15 ms per picture of 360x288.

    Raises:
        BadInput: OpenCV is missing, or a version that no longer brings the cascades.
    """
    try:
        import cv2

        cascade = cv2.CascadeClassifier(cv2.data.haarcascades + name)
    except ImportError as error:
        raise BadInput("finding faces needs OpenCV 4: pip install 'dsel[faces]'") from error
    except AttributeError as error:  # version 5; installing 4 beside it changes nothing
        raise BadInput(_other_opencv(cv2)) from error
    if cascade.empty():
        raise BadInput(_other_opencv(cv2))

    def detect(picture: np.ndarray) -> np.ndarray:
        cv2.setNumThreads(1)  # the files are spread over the cores already
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        least = max(24, min(grey.shape) // 10)

        def look(grey: np.ndarray) -> np.ndarray:
            found = cascade.detectMultiScale(
                grey, scaleFactor=1.15, minNeighbors=3, minSize=(least, least)
            )
            return np.asarray(found, float).reshape(-1, 4)

        found = look(grey)
        if not len(found) and np.mean(grey < DARK) > SHADE:
            found = look(cv2.convertScaleAbs(grey, alpha=BRIGHTER))
        return found

    return detect


def _other_opencv(cv2: Any) -> str:
    """Say that the OpenCV which is imported has no cascades, and how to get one that has."""
    version = getattr(cv2, "__version__", "of unknown version")
    every = "opencv-python opencv-contrib-python opencv-python-headless"
    return (
        f"finding faces needs OpenCV 4, and version {version} is imported: "
        f"pip uninstall {every}, then pip install 'dsel[faces]'"
    )


def crop(picture: np.ndarray, box: np.ndarray, size: int) -> np.ndarray:
    """Cut the square (x, y, side) out of a picture, with margin: uint8 (size, size, 3).

    Beyond the picture its rim is repeated.
    """
    import cv2

    x, y, side = box
    pixels = max(2, round(side * MARGIN))
    patch = cv2.getRectSubPix(
        np.ascontiguousarray(picture), (pixels, pixels), (float(x), float(y + LOWER * side))
    )
    return cv2.resize(
        patch, (size, size), interpolation=cv2.INTER_AREA if pixels > size else cv2.INTER_CUBIC
    )


def squares(found: np.ndarray, scale: float) -> np.ndarray:
    """Turn a detector's rows (left, top, width, height) into (x, y, side), divided by `scale`."""
    found = np.asarray(found, float).reshape(-1, 4)
    left, top, width, height = found.T
    return np.stack([left + width / 2, top + height / 2, np.maximum(width, height)], axis=1) / scale


def link(looks: list[Look], breaks: Sequence[float] = ()) -> list[FaceTrack]:
    """Link looks in order of time to tracks, each one face within one shot.

    A track takes the nearest box within REACH of where the face should be by now. It ends after
    BRIDGE seconds without one, at a cut, and where another face takes its place. Up to one look's
    distance is added at either end, but never across a cut. Detections that nothing confirms are
    dropped, and so are boxes within the box of a whole face (a nose and a mouth).

    Args:
        looks: in order of time.
        breaks: times in seconds that no track may cross, beside the cuts that are found here.
    """
    if not looks:
        return []
    edges = [-np.inf, *sorted({*find_cuts(looks), *breaks}), np.inf]
    tracks = []
    for begin, stop in pairwise(edges):
        shot = [look for look in looks if begin <= look.time < stop]
        whole = [seen for seen in _linked(shot) if _is_face(seen, shot)]
        for seen in whole:
            swaps = [*_swaps(seen, shot), len(seen)]
            bounds = [begin, *(_sudden(seen, k, shot).jump_at for k in swaps[:-1]), stop]
            for k, (first, last) in enumerate(pairwise([0, *swaps])):
                tracks.append(_track(seen[first:last], bounds[k], bounds[k + 1]))
    return sorted(_whole_faces(tracks), key=lambda track: (track.start, -track.side))


def find_cuts(looks: list[Look]) -> list[float]:
    """Find the times in seconds at which one shot ends and the next begins.

    A cut is sudden: one step between neighbouring frames makes most of the change. And it lasts:
    none of the three looks after it resembles one of the three before it. So a flash or a hand
    across the lens does not end a shot.
    """
    cuts = []
    for i in range(1, len(looks)):
        change = _difference(looks[i - 1], looks[i])
        if change < CUT or looks[i].jump < 0.6 * change:
            continue
        if all(
            _difference(a, b) >= CUT for a in looks[max(0, i - 3) : i] for b in looks[i : i + 3]
        ):
            cuts.append(looks[i].jump_at)
    return cuts


def unlike(a: FaceTrack, b: FaceTrack) -> bool:
    """Return whether hardly any look at one face resembles one at the other; unknown: False.

    The middle of the pixels is compared, so another light has the same effect as another person. On
    GRID, whose light is always the same, two films of one person differ by up to 7.5 (20 pairs, two
    people in several sessions) and 19 in 20 films of two people by more than 9.5. Drawn people have
    another light in every clip, and half of the pairs of one person differ by more than 23: there
    the answer is nearly always "unlike".
    """
    some = [track.crops[:: 1 + len(track.crops) // 8] for track in (a, b)]
    pairs = [(x[INNER, INNER], y[INNER, INNER]) for x in some[0] for y in some[1]]
    if not pairs:
        return False
    differences = [thumb_difference(x, y) for x, y in pairs]
    return float(np.quantile(differences, 0.2, method="lower")) >= UNLIKE


def _swaps(seen: list, shot: list[Look]) -> list[int]:
    """Find where in a chain another face takes the place of the one before: numbers of detections.

    Like a cut, that is sudden and lasts, but only the faces are compared: two people may be filmed
    before the same wall.
    """
    usual = float(np.median([look.jump for look in shot]))
    found = []
    for k in range(1, len(seen)):
        before, after = seen[max(0, k - 3) : k], seen[k : k + 3]
        pairs = [(a[2], b[2]) for a in before for b in after]
        if any(a is None or b is None or thumb_difference(a, b) < OTHER for a, b in pairs):
            continue
        if _sudden(seen, k, shot).jump >= max(1.0, SUDDEN * usual):
            found.append(k)
    return found


def _sudden(seen: list, k: int, shot: list[Look]) -> Look:
    """Return the look that holds the largest jump between two detections of a chain."""
    return max(
        (look for look in shot if seen[k - 1][0] < look.time <= seen[k][0]),
        key=lambda look: look.jump,
    )


def _whole_faces(tracks: list[FaceTrack]) -> list[FaceTrack]:
    """Drop the track of a part of a face: of two, one within the other, the one seen less often.

    Where both are seen as often, the larger one is the face.
    """
    gone: set[int] = set()
    sides = [track.side for track in tracks]
    for i, inner in enumerate(tracks):
        for j, outer in enumerate(tracks):
            apart = outer.end <= inner.start or inner.end <= outer.start
            if not apart and sides[i] * LARGER <= sides[j] and _within(inner, outer):
                gone.add(i if len(inner.times) <= len(outer.times) else j)
    return [track for k, track in enumerate(tracks) if k not in gone]


def _within(inner: FaceTrack, outer: FaceTrack) -> bool:
    """Return whether one face lies in another one at most of its times."""
    boxes = [(box, outer.at(time)) for time, box in zip(inner.times, inner.boxes, strict=True)]
    at_once = [outer.start <= time <= outer.end for time in inner.times]
    inside = [np.abs(a[:2] - b[:2]).max() < b[2] / 2 for a, b in boxes]
    held = sum(x and y for x, y in zip(at_once, inside, strict=True))
    return held >= 0.6 * len(inner.times)


def _difference(a: Look, b: Look) -> float:
    return thumb_difference(a.thumb, b.thumb)


def thumb_difference(a: np.ndarray, b: np.ndarray) -> float:
    """Compute the mean absolute difference of two tiny pictures, of 255."""
    return float(np.abs(a.astype(np.int16) - b).mean())


def _linked(shot: list[Look]) -> list[list[tuple]]:
    """Put every detection of a shot into one chain of (time, box, tiny face or None)."""
    chains, open_chains = [], []
    for look in shot:
        open_chains = [
            chain for chain in open_chains if look.time - chain[-1][0] < BRIDGE + EVERY / 2
        ]
        free = list(range(len(look.boxes)))
        pairs = sorted(
            (distance, c, b)
            for c, chain in enumerate(open_chains)
            for b in free
            if (distance := _distance(chain, look.time, look.boxes[b])) < REACH
        )
        taken = set()
        for _, c, b in pairs:
            if c not in taken and b in free:
                open_chains[c].append(_seen(look, b))
                taken.add(c)
                free.remove(b)
        new = [[_seen(look, b)] for b in free]
        chains += new
        open_chains += new
    return chains


def _seen(look: Look, box: int) -> tuple:
    return look.time, look.boxes[box], look.crops[box] if look.crops else None


def _distance(chain: list, time: float, box: np.ndarray) -> float:
    """Return sides between a box and where the face should be; infinite if the size differs."""
    last, at, _ = chain[-1]
    growth = max(box[2], at[2]) / min(box[2], at[2])
    if growth > GROWTH:
        return np.inf
    due = at[:2]
    if len(chain) > 1:
        before, was, _ = chain[-2]
        due = due + (at[:2] - was[:2]) * (time - last) / (last - before)
    # A face may also have stopped: whichever of the two is nearer.
    return min(np.hypot(*(box[:2] - due)), np.hypot(*(box[:2] - at[:2]))) / min(box[2], at[2])


def _is_face(seen: list, shot: list[Look]) -> bool:
    looked = sum(seen[0][0] <= look.time <= seen[-1][0] for look in shot)
    return len(seen) >= min(3, len(shot)) and len(seen) >= SHARE * looked


def _track(seen: list, begin: float, stop: float) -> FaceTrack:
    times = np.array([time for time, _, _ in seen])
    start, end = max(begin, times[0] - EVERY), min(stop, times[-1] + EVERY)
    crops = tuple(face for _, _, face in seen if face is not None)
    return FaceTrack(start, end, times, np.stack([box for _, box, _ in seen]), crops)


def _without_outliers(values: np.ndarray) -> np.ndarray:
    """Replace a value outside both neighbours by the median of the three; the ends stay."""
    inner = (
        np.median(np.stack([values[:-2], values[1:-1], values[2:]]), axis=0)
        if len(values) > 2
        else values[1:-1]
    )
    return np.concatenate([values[:1], inner, values[-1:]])[: len(values)]


def _gaussian(values: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth (K, C) along K; beyond the ends the values go on as mirrored through their end."""
    reach = int(np.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    pad = min(reach, len(values) - 1)
    head, tail = 2 * values[:1] - values[pad:0:-1], 2 * values[-1:] - values[-2 : -2 - pad : -1]
    padded = np.concatenate([head, values, tail])
    padded = np.pad(padded, ((reach - pad, reach - pad), (0, 0)), mode="edge")
    return np.stack(
        [np.convolve(column, weights / weights.sum(), "valid") for column in padded.T], axis=1
    )
