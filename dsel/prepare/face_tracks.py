"""Find the faces in a video: detect now and then, link to tracks, end tracks at cuts, smooth, crop.

All that `dsel.prepare` knows about faces is here, and of OpenCV only `haar` and `crop` know. A
detector is any function from a picture, uint8 (H, W, 3), to boxes, one row (left, top, width,
height) in pixels each; put another in its place at will. Boxes are squares from here on: rows (x,
y, side), centre and side in pixels of the picture at full size. (Crop with a margin as VoxCeleb's;
the linking, the cuts and the numbers are ours.)
"""

from __future__ import annotations

from collections.abc import Callable
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
# side of the crop over side of the detector's box: eyes and mouth lie where the toy has them, so
# that a
MARGIN = 1.18
# sides by which the crop lies lower than the box       network that was trained on one can look at
# the other
LOWER = 0.12
THUMB = (16, 12)  # pixels of the tiny picture by which cuts are seen
CUT = 12.0  # of 255: mean difference between tiny pictures of two scenes

Detector = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Look:
    """One look for faces: when, the boxes found (n, 3), and the tiny picture, uint8 (h, w, 3)."""

    time: float
    boxes: np.ndarray
    thumb: np.ndarray
    # the largest difference between two neighbouring tiny pictures since the last look, of 255
    jump: float
    jump_at: float  # the time in seconds of the later one of the two


@dataclass(frozen=True)
class FaceTrack:
    """One face from `start` to `end` (seconds), seen at `times` (K,) in `boxes` (K, 3)."""

    start: float
    end: float
    times: np.ndarray
    boxes: np.ndarray

    @property
    def side(self) -> float:
        """Median side of the face in pixels."""
        return float(np.median(self.boxes[:, 2]))

    @property
    def seconds(self) -> float:
        return self.end - self.start

    def at(self, time: float) -> np.ndarray:
        """The smoothed box (3,) at a time in seconds; beyond the first and last detection it moves
        on as it did there.
        """
        steps, boxes = self._path
        box = np.array([np.interp(time, steps, column) for column in boxes.T])
        beyond = time - np.clip(time, steps[0], steps[-1])
        reach = round(2 * EVERY * FPS)  # steps over which the movement at an end is measured
        if not beyond or len(steps) <= reach or steps[-1] <= steps[0]:
            return box
        end, inner = (0, reach) if beyond < 0 else (-1, -1 - reach)
        speed = (boxes[end, :2] - boxes[inner, :2]) / (steps[end] - steps[inner])
        return np.append(box[:2] + speed * beyond, box[2])

    @cached_property
    def _path(self) -> tuple[np.ndarray, np.ndarray]:
        """Times (K,) 25 a second from the first detection to the last one, and smoothed boxes (K,
        3).

        The Gaussian is symmetric and continues a movement beyond its ends, so it neither lags nor
        stops short.
        """
        first, last = self.times[0], self.times[-1]
        steps = np.linspace(first, last, max(1, round((last - first) * FPS)) + 1)
        boxes = np.stack(
            [np.interp(steps, self.times, _without_outliers(column)) for column in self.boxes.T],
            axis=1,
        )
        return steps, _gaussian(boxes, SMOOTH * FPS)


def haar(name: str = "haarcascade_frontalface_alt2.xml") -> Detector:
    """OpenCV's cascade for upright frontal faces: no model file to download, about 15 ms a picture
    of 360x288.

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
        found = cascade.detectMultiScale(
            grey, scaleFactor=1.15, minNeighbors=3, minSize=(least, least)
        )
        return np.asarray(found, float).reshape(-1, 4)

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
    """The square (x, y, side) of a picture, with margin, as uint8 (size, size, 3); the rim is
    repeated beyond the picture.
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
    """A detector's rows (left, top, width, height) -> (x, y, side), divided by `scale`."""
    found = np.asarray(found, float).reshape(-1, 4)
    left, top, width, height = found.T
    return np.stack([left + width / 2, top + height / 2, np.maximum(width, height)], axis=1) / scale


def link(looks: list[Look]) -> list[FaceTrack]:
    """Looks in order of time -> tracks, each one face within one shot. Detections that nothing
    confirms are dropped.

    A track takes the nearest box within REACH of where the face should be by now; it ends after
    BRIDGE seconds without one, and at a cut. Up to one look's distance is added at either end, but
    never across a cut.
    """
    if not looks:
        return []
    cuts = find_cuts(looks)
    edges = [-np.inf, *cuts, np.inf]
    tracks = []
    for begin, stop in pairwise(edges):
        shot = [look for look in looks if begin <= look.time < stop]
        tracks += [
            _track(seen, shot, begin, stop) for seen in _linked(shot) if _is_face(seen, shot)
        ]
    return sorted(tracks, key=lambda track: (track.start, -track.side))


def find_cuts(looks: list[Look]) -> list[float]:
    """Times in seconds at which one shot ends and the next begins.

    A cut is sudden (one step between neighbouring frames makes most of the change) and lasting
    (none of the three looks after it resembles one of the three before it: a flash or a hand across
    the lens does not end a shot).
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


def _difference(a: Look, b: Look) -> float:
    return thumb_difference(a.thumb, b.thumb)


def thumb_difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of two tiny pictures, of 255."""
    return float(np.abs(a.astype(np.int16) - b).mean())


def _linked(shot: list[Look]) -> list[list[tuple[float, np.ndarray]]]:
    """Every detection of a shot in one chain of (time, box)."""
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
                open_chains[c].append((look.time, look.boxes[b]))
                taken.add(c)
                free.remove(b)
        new = [[(look.time, look.boxes[b])] for b in free]
        chains += new
        open_chains += new
    return chains


def _distance(chain: list, time: float, box: np.ndarray) -> float:
    """Return sides between a box and where the face should be; infinite if the size differs."""
    (last, at) = chain[-1]
    growth = max(box[2], at[2]) / min(box[2], at[2])
    if growth > GROWTH:
        return np.inf
    due = at[:2]
    if len(chain) > 1:
        before, was = chain[-2]
        due = due + (at[:2] - was[:2]) * (time - last) / (last - before)
    # A face may also have stopped: whichever of the two is nearer.
    return min(np.hypot(*(box[:2] - due)), np.hypot(*(box[:2] - at[:2]))) / min(box[2], at[2])


def _is_face(seen: list, shot: list[Look]) -> bool:
    looked = sum(seen[0][0] <= look.time <= seen[-1][0] for look in shot)
    return len(seen) >= min(3, len(shot)) and len(seen) >= SHARE * looked


def _track(seen: list, shot: list[Look], begin: float, stop: float) -> FaceTrack:
    times = np.array([time for time, _ in seen])
    start, end = max(begin, times[0] - EVERY), min(stop, times[-1] + EVERY)
    return FaceTrack(start, end, times, np.stack([box for _, box in seen]))


def _without_outliers(values: np.ndarray) -> np.ndarray:
    """Median of three neighbours where a value lies outside both of them; the ends stay."""
    inner = (
        np.median(np.stack([values[:-2], values[1:-1], values[2:]]), axis=0)
        if len(values) > 2
        else values[1:-1]
    )
    return np.concatenate([values[:1], inner, values[-1:]])[: len(values)]


def _gaussian(values: np.ndarray, sigma: float) -> np.ndarray:
    """(K, C) smoothed along K; beyond the ends the values go on as mirrored through their end
    point.
    """
    reach = int(np.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    pad = min(reach, len(values) - 1)
    head, tail = 2 * values[:1] - values[pad:0:-1], 2 * values[-1:] - values[-2 : -2 - pad : -1]
    padded = np.concatenate([head, values, tail])
    padded = np.pad(padded, ((reach - pad, reach - pad), (0, 0)), mode="edge")
    return np.stack(
        [np.convolve(column, weights / weights.sum(), "valid") for column in padded.T], axis=1
    )
