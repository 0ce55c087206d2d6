"""Find by how many frames the sound is late, from content embeddings, and how far to trust it.

    sync_offset     the best of the shifts -15 .. 15, and the curve of all of them
    find_offset     the same with a probability of being right; searches further where need be
    InStep          a face and a sound -> offset, by trained networks

The probability was measured: `tools/calibrate.py offsets` cuts face and sound from places of a clip
that differ by a known shift, looks how often the answer is right within one frame, and writes the
curve to data/models/offsets.csv.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from dsel.evaluate.embeddings import Embeddings
from dsel.evaluate.matching import _cosine
from dsel.losses import Similarity
from dsel.timing import FPS, WINDOW_FRAMES
from dsel.utils import package_data
from dsel.utils.readers import NUMBER, TEXT, WHOLE, read_csv

if TYPE_CHECKING:
    from dsel.model import TwoStream

REACH = 15  # frames by which the sound is tried early and late
WIDE = 75  # the same, where that gives no sure answer and the clip is long enough
NEAR = 2  # frames on either side of the peak that belong to it
SURE, LIKELY = 0.95, 0.8  # probability of being right, for the words; below: not sure
LONG = 2.5  # seconds; where a clip as long has no likely offset, its sound fits nobody in it
LONGEST = 8.0  # seconds; the longest comparison that the curves were fitted on
FILE = package_data.folder() / "models" / "offsets.csv"
COLUMNS = {
    **{"network": TEXT, "sha256": TEXT, "kind": TEXT},
    **dict.fromkeys(("constant", "margin", "length"), NUMBER),
    "fitted_on": WHOLE,
}
Pair = tuple[np.ndarray, np.ndarray]  # content embeddings (N, D) of a face and of its sound


class Offset(NamedTuple):
    """Hold the answer to the question by how much the sound is late.

    Args:
        late: frames by which the sound is late; negative: early.
        confidence: the curve's best value minus its median (SyncNet's measure).
        right: probability that `late` is right within one frame, from 0 to 1.
        reach: frames by which the sound was tried early and late.
        seconds: how much picture and sound was compared.
    """

    late: int
    confidence: float
    right: float = 1.0
    reach: int = REACH
    seconds: float = 0.0

    @property
    def sure(self) -> bool:
        """Whether the offset may be applied."""
        return self.right >= LIKELY

    @property
    def fits_nobody(self) -> bool:
        """Whether no shift fits: a dubbed voice, a still picture, or somebody who is not seen."""
        return self.right < 0.5 and self.seconds >= LONG

    @property
    def words(self) -> str:
        """How sure it is, for people, e.g. 'sure (97 %)'."""
        word = "sure" if self.right >= SURE else "likely" if self.sure else "not sure"
        return f"{word} ({100 * self.right:.0f} %)"


class Curve(NamedTuple):
    """Turn margin and length into a probability: a logistic curve, fitted by tools/calibrate.py.

    logit P(right) = constant + margin * m + length * log2(seconds), from 1 s to LONGEST
    """

    constant: float
    margin: float
    length: float

    def right(self, margin: float, seconds: float) -> float:
        """Return the probability that an offset is right within one frame."""
        length = np.log2(np.clip(seconds, 1.0, LONGEST))  # never beyond what was measured
        x = self.constant + self.margin * margin + self.length * length
        return float(1 / (1 + np.exp(-np.clip(x, -30, 30))))


def sync_offset(
    face: np.ndarray, audio: np.ndarray, reach: int = 15, similarity: Similarity | None = None
) -> tuple[int, float, np.ndarray]:
    """Find by how many frames the sound of a track is late.

    That is the shift k for which face windows t and audio windows t + k are most similar on
    average. First, row means and column means are subtracted from the N x N similarities. Some
    windows (silence, the ends of a track) are similar to everything. Without the subtraction, the
    best shift would be one that includes them. (The confidence is that of SyncNet, Chung and
    Zisserman 2016; the rest is ours.)

    Args:
        face, audio: content embeddings (N, D) of one track, N > 2 reach.
        reach: largest shift that is tried.
        similarity: of `dsel.losses`; None: the cosine.
    Returns:
        k; the confidence, which is the best value of the curve minus its median; and the curve
        (2 reach + 1,), the mean similarity over all pairs (t, t + k) for k = -reach .. reach.
    Raises:
        ValueError: too few windows for this reach.

    >>> what = np.random.default_rng(0).normal(size=(40, 16))
    >>> sync_offset(what[4:], what[:-4], reach=10)[0]  # face window t is audio window t + 4
    4
    """
    N = len(face)
    if 2 * reach >= N:
        raise ValueError(
            f"{N} windows are too few to try shifts of up to {reach} frames; {2 * reach + 1} are "
            "needed"
        )
    logits = (similarity or _cosine)(
        torch.from_numpy(face), torch.from_numpy(audio)
    ).numpy()  # (N, N)
    logits = logits - logits.mean(axis=0) - logits.mean(axis=1, keepdims=True)
    curve = np.array([np.diagonal(logits, k).mean() for k in range(-reach, reach + 1)])
    return int(curve.argmax()) - reach, float(curve.max() - np.median(curve)), curve


def sync_accuracy(
    e: Embeddings,
    head: str = "content",
    reach: int = REACH,
    similarity: Similarity | None = None,
) -> dict | None:
    """Measure `sync_offset` on tracks that are in step.

    A window does not know where its neighbours are. So to find no shift is as hard as to find
    another one.

    Args:
        e: embeddings of both streams.
        head: whose vectors are compared.
        reach: largest shift. Tracks with fewer than 2 reach + 8 windows are left out; if no track
            has as many, `reach` is lowered.
        similarity: of `dsel.losses`; None: the cosine.
    Returns:
        {"exact", "within_one" (shares of tracks), "frames" (mean |error|), "reach", "chance" (of
        within_one), "tracks"}; None if no track has 10 windows.
    """
    error, tracks, reach = sync_hits(e, head, reach, similarity)
    if not len(tracks):
        return None
    return {
        "exact": float((error == 0).mean()),
        "within_one": float((error <= 1).mean()),
        "frames": float(error.mean()),
        "reach": reach,
        "chance": 3 / (2 * reach + 1),
        "tracks": len(tracks),
    }


def sync_hits(
    e: Embeddings,
    head: str = "content",
    reach: int = REACH,
    similarity: Similarity | None = None,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Compute the error of `sync_offset` on each track in step. Arguments as in `sync_accuracy`.

    Returns:
        |error| in frames (K,), the numbers of the K tracks that were long enough, and the reach
        that they allowed.
    """
    lengths = np.bincount(e.track)
    reach = int(min(reach, (lengths.max() - 8) // 2))
    tracks = np.flatnonzero(lengths >= 2 * reach + 8) if reach >= 1 else np.zeros(0, int)
    pairs = ((e.of(int(k), "face", head), e.of(int(k), "audio", head)) for k in tracks)
    errors = np.abs([sync_offset(face, audio, reach, similarity)[0] for face, audio in pairs])
    return errors, tracks, reach


def margin(curve: np.ndarray) -> float:
    """Measure how far the peak of a curve stands out over the next best shift.

    That is their difference, in standard deviations of the curve without its peak (the shifts
    within NEAR of it). It does not depend on the scale of a network's cosines. 0 for a flat curve,
    and where the peak is all there is. (Source: ours.)

    >>> margin(np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 6.0, 1.0, 0.0]))
    10.0
    """
    peak = int(curve.argmax())
    rest = curve[np.abs(np.arange(len(curve)) - peak) > NEAR]
    spread = rest.std() if len(rest) else 0.0
    return float((curve[peak] - rest.max()) / spread) if spread > 0 else 0.0


def mean_curve(
    pairs: Sequence[Pair], reach: int, similarity: Similarity | None = None
) -> np.ndarray:
    """Average the curves of several clips of one recording, longer clips counting for more.

    Args:
        pairs: (face, audio) content embeddings (N, D) of each.
        reach: as in `sync_offset`; clips that are too short for it are left out.
        similarity: see `dsel.losses`; None: the cosine.
    Returns:
        (2 reach + 1,)
    """
    long = [pair for pair in pairs if len(pair[0]) > 2 * reach]
    curves = [sync_offset(*pair, reach, similarity)[2] for pair in long]
    return np.average(curves, axis=0, weights=[len(face) for face, _ in long])


def find_offset(
    pairs: Sequence[Pair], curve: Curve, similarity: Similarity | None = None
) -> Offset:
    """Find by how many frames the sound of a recording is late, and how far to trust that.

    The sound is tried up to REACH frames early and late. Where the best shift is the last one
    tried, or the answer is not sure, it is tried up to WIDE frames, as far as the clips are long
    enough: at every shift, half of a clip or more has its sound.

    Args:
        pairs: (face, audio) content embeddings (N, D), one pair per clip of the recording.
        curve: how margin and length become a probability, see `calibration`.
        similarity: see `dsel.losses`; None: the cosine.

    >>> what = np.random.default_rng(0).normal(size=(240, 16))
    >>> found = find_offset([(what[40:], what[:-40])], Curve(-4, 2, 0))
    >>> found.late, found.reach, found.words
    (40, 75, 'sure (100 %)')
    """
    most = max(len(face) for face, _ in pairs)
    reach = min(REACH, (most - 1) // 2)
    found = _look(pairs, reach, curve, similarity)
    wide = min(WIDE, (most - 8) // 2)
    if wide > reach and (abs(found.late) == reach or not found.sure):
        further = _look(pairs, wide, curve, similarity)
        found = further if further.right > found.right or abs(found.late) == reach else found
    return found


def _look(pairs: Sequence[Pair], reach: int, curve: Curve, similarity: Similarity | None) -> Offset:
    means = mean_curve(pairs, reach, similarity)
    frames = sum(len(face) + WINDOW_FRAMES - 1 for face, _ in pairs if len(face) > 2 * reach)
    seconds = frames / FPS
    late, confidence = int(means.argmax()) - reach, float(means.max() - np.median(means))
    return Offset(late, confidence, curve.right(margin(means), seconds), reach, seconds)


def calibration(network: str, kind: str = "real") -> Curve:
    """Return the curve of a released network, or of other networks: that of all released ones.

    Args:
        network: a released name; anything else counts as another network.
        kind: of the recordings it was measured on: 'real' or 'drawn'.
    """
    curves = _calibrations()
    return curves.get((network, kind)) or curves["other", kind]


@lru_cache(maxsize=1)
def _calibrations() -> dict[tuple[str, str], Curve]:
    rows = read_csv(FILE, COLUMNS, remedy="install dsel anew")
    return {
        (row["network"], row["kind"]): Curve(row["constant"], row["margin"], row["length"])
        for row in rows
    }


def voted(answers: Sequence[Offset]) -> Offset:
    """Join the answers of several parts of one recording, which has one offset.

    The offset is the one with most votes. A vote is a probability p times a confidence, which
    counts for more the longer the part of n seconds is (without any match it falls with the root of
    the length). The more parts agree within one frame, the less likely all of them are wrong; but
    half of the recording must stand behind them, each part as far as it is right:

        P(right) = min(1, 2 sum_agree p n / sum n)  *  (1 - prod_agree (1 - p))

    A dubbed voice has its best shift somewhere, elsewhere in every part. The page that
    `tools/calibrate.py films` writes says how often it is told an offset. (Source: ours.)

    >>> voted([Offset(3, 0.1, 0.8, seconds=4)] * 3).words
    'sure (99 %)'
    >>> voted([Offset(3, 0.1, 0.8), Offset(-9, 0.1, 0.3), Offset(7, 0.1, 0.3)]).words
    'not sure (43 %)'
    >>> voted([Offset(3, 0.1, 0.7)]).right
    0.7
    """
    if len(answers) == 1:
        return answers[0]
    right = np.array([answer.right for answer in answers])
    length = np.array([max(answer.seconds, 1.0) for answer in answers])
    weight = right * [max(answer.confidence, 1e-9) for answer in answers] * length**0.5
    late = np.array([answer.late for answer in answers])
    first = max(dict.fromkeys(late.tolist()), key=lambda shift: weight[late == shift].sum())
    agree = np.abs(late - first) <= 1
    share = min(1.0, 2 * float((right * length)[agree].sum() / length.sum()))
    best = max((a for a in answers if a.late == first), key=lambda answer: answer.right)
    together = round(float(share * (1 - np.prod(1 - right[agree]))), 12)
    return best._replace(right=together, seconds=sum(answer.seconds for answer in answers))


Sync = Callable[[np.ndarray, np.ndarray], tuple[int, float]]


def ask(sync: Sync, frames: np.ndarray, waveform: np.ndarray) -> Offset:
    """Ask for the offset of a clip. The answer of a plain function is believed."""
    if isinstance(sync, InStep):
        return sync.offset(frames, waveform)
    return Offset(*sync(frames, waveform))


def sync_of(model: Sync | TwoStream | str | Path | None) -> Sync | None:
    """Return a function of frames and waveform that measures by how much the sound is late.

    Args:
        model: None; such a function; networks (`dsel.load`); the path of a trained run; or the name
            of released networks.
    Returns:
        A function that returns (frames by which the sound is late, confidence); None for None.
    Raises:
        BadInput: there are no such networks.
    """
    from torch.nn import Module

    if model is None or (callable(model) and not isinstance(model, Module)):
        return model
    name = str(model) if isinstance(model, str | Path) else ""
    networks: Any = model
    return InStep(networks_of(networks), name)  # says now what is wrong with it


def networks_of(model: TwoStream | str | Path) -> TwoStream:
    """Return networks on the CPU: a `TwoStream` itself, or what `dsel.train.load_model` loads."""
    from torch.nn import Module

    if isinstance(model, Module):
        return model.eval()
    from dsel.train.released import load_model

    return load_model(model, "cpu")


@dataclass(frozen=True)
class InStep:
    """Measure how late a sound is, by the content embeddings of trained networks.

    Called with frames uint8 (T, H, W, 3) and waveform float32 (640 T,) it returns (frames by which
    the sound is late, confidence); `offset` also says how far to trust that.

    Args:
        model: a `dsel.model.TwoStream`.
        name: its released name, if it has one; decides the calibration.
    """

    model: TwoStream
    name: str = ""

    def __call__(self, frames: np.ndarray, waveform: np.ndarray) -> tuple[int, float]:
        return self.offset(frames, waveform)[:2]

    def offset(self, frames: np.ndarray, waveform: np.ndarray) -> Offset:
        """Find the offset of one clip."""
        return find_offset([self.embed(frames, waveform)], calibration(self.name))

    def embed(self, frames: np.ndarray, waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Embed one clip: content of face and of sound, (N, D) each."""
        from dsel.corpus.cache import resize

        if multiprocessing.parent_process() is not None:
            torch.set_num_threads(1)  # the files are spread over the cores already
        model = self.model.eval()
        picture = torch.from_numpy(resize(frames, model.config.face_size))[None]
        with torch.inference_mode():
            face = model.face(picture, ("content",))["content"][0].float().numpy()
            sound = torch.from_numpy(waveform)[None]
            audio = model.audio(sound, ("content",))["content"][0].float().numpy()
        return face, audio
