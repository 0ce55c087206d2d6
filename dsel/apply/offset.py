"""Say by how much picture and sound of a video are apart, and write a corrected copy.

    dsel sync talk.mp4 --fix fixed.mp4

The talking face is found as in `dsel prepare`. Its clips, of at most ten seconds, are cut into
windows, and each is compared with the sound by itself, so that a drift shows. The windows vote for
the offset of the recording. The copy takes every packet as it is and moves the time stamps of the
sound: nothing is encoded again. (Source: ours.)
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import pairwise
from pathlib import Path

import numpy as np

from dsel.corpus.store import Track
from dsel.corpus.tracks import Corpus
from dsel.evaluate.sync import (
    WIDE,
    Curve,
    InStep,
    Offset,
    Pair,
    calibration,
    find_offset,
    sync_of,
    voted,
)
from dsel.prepare.run import prepare
from dsel.timing import FPS
from dsel.utils.containers import open_to_read
from dsel.utils.errors import BadInput
from dsel.utils.files import atomic, sweep

WINDOW = 4.0  # seconds of each window whose offset is told by itself
DRIFT = 2  # frames by which the offset must change within a film, to be called a drift
MS = 1000 // FPS  # milliseconds of a frame


class Status(IntEnum):
    """Say what was found, as the exit status of `dsel sync`. 2 is bad input, as everywhere."""

    IN_STEP = 0
    OUT_OF_STEP = 1
    NOT_SURE = 3
    FITS_NOBODY = 4


@dataclass(frozen=True)
class Report:
    """Hold the offset of a video.

    Args:
        path: the video.
        offset: of the whole video, for which the windows voted.
        windows: (start in seconds, offset) of its windows, in order.
        fixed: the corrected copy; None: none was written.
        still: whether no face moves, so that no sound can be said to fit.
    """

    path: Path
    offset: Offset
    windows: tuple[tuple[float, Offset], ...]
    fixed: Path | None = None
    still: bool = False

    @property
    def status(self) -> Status:
        """Return what the exit status says."""
        if not self.still and self.drift:
            return Status.OUT_OF_STEP
        if self.still or self.offset.fits_nobody:
            return Status.FITS_NOBODY
        if not self.offset.sure:
            return Status.NOT_SURE
        return Status.IN_STEP if abs(self.offset.late) <= 1 else Status.OUT_OF_STEP

    @property
    def drift(self) -> float | None:
        """Frames per minute by which the offset grows; None with fewer than three sure windows.

        It is the slope of a line through the sure windows. It is 0 where the line changes by less
        than DRIFT frames over the film, and where not more than half of all windows lie within a
        frame of it: the chance hits of a dubbed film are no drift.
        """
        sure = [(start, found.late) for start, found in self.windows if found.sure]
        if len(sure) < 3:
            return None
        line = np.polynomial.Polynomial.fit(*np.array(sure, float).T, deg=1).convert()
        starts, late = np.array([(start, found.late) for start, found in self.windows], float).T
        near = np.abs(line(starts) - late) <= 1
        change = np.ptp(line(starts))
        return 60 * float(line.coef[1]) if change >= DRIFT and near.mean() > 0.5 else 0.0

    def __str__(self) -> str:
        """Write the answer, the windows and what was done, one line each."""
        lines = [f"{self.path.name}: {self._answer()}"]
        for start, found in self.windows:
            lines.append(f"  from {start:5.1f} s: {in_ms(found.late):>9}  {found.words}")
        if self.fixed is not None:
            lines.append(f"{self.fixed}: the sound moved by {-MS * self.offset.late:+d} ms")
        return "\n".join(lines)

    def _answer(self) -> str:
        found, reach = self.offset, MS * self.offset.reach / 1000
        if self.still:
            return "the picture stands still; nobody can say whether the sound fits it"
        if self.drift:
            first, *_, last = [late.late for _, late in self.windows if late.sure]
            return (
                f"the sound drifts: {MS * self.drift:+.0f} ms per minute, from {in_ms(first)} to "
                f"{in_ms(last)}; one shift cannot mend that"
            )
        if self.status is Status.FITS_NOBODY:
            return (
                f"the sound fits nobody who is seen, within {reach:.1f} s early or late: "
                "dubbed, a still picture, or the speaker is not in the picture"
            )
        if self.status is Status.NOT_SURE:
            return (
                f"not sure. Best guess: {in_ms(found.late)} ({found.late:+d} frames), right with "
                f"{100 * found.right:.0f} %; a longer clip helps"
            )
        if self.status is Status.IN_STEP:
            return f"in step within a frame of {MS} ms, {found.words}"
        side = "late" if found.late > 0 else "early"
        return (
            f"the sound is {side} by {MS * abs(found.late)} ms ({abs(found.late)} frames), "
            f"{found.words}"
        )


def in_ms(late: int) -> str:
    """Write an offset in milliseconds, e.g. '+120 ms'."""
    return f"{MS * late:+d} ms"


def sync(path, model="real", *, fix=None, audio=None, detector=None) -> Report:
    """Measure by how much the sound of a video is late, and correct it on request.

    Args:
        path: the video.
        model: networks, or the `source` of `dsel.load`. `real` is right most often on films of
            people (benchmarks/offsets.md), `four_terms` on drawn ones.
        fix: where to write a copy in step. None is written unless the video is surely out of step.
        audio: the sound, in a file of its own.
        detector: see `dsel.prepare.face_tracks`; None: OpenCV's.
    Raises:
        BadInput: no talking face, no sound, a file that cannot be read, or `fix` is the video.
    """
    path = Path(path)
    if fix is not None and (audio is not None or Path(fix).resolve() == path.resolve()):
        why = "--fix needs the sound in the video" if audio else "would overwrite the video"
        raise BadInput(f"{fix}: {why}; give another file")
    instep = sync_of(model)
    with tempfile.TemporaryDirectory() as folder:
        corpus = prepare(
            path, Path(folder) / "clips", audio=audio, model=instep, workers=1, progress=False,
            detector=detector,
        )  # fmt: skip
        whole, windows = measured(corpus, instep)
        still = not moving(corpus)
    report = Report(path, whole, () if still else windows, still=still)
    if fix is None or report.status is not Status.OUT_OF_STEP or report.drift:
        return report
    moved(path, Path(fix), -MS * whole.late / 1000)
    return replace(report, fixed=Path(fix))


def moving(corpus: Corpus) -> list[Track]:
    """List the tracks of a prepared video whose face moves: a photograph fits any sound."""
    return [track for track in corpus.tracks if not track.factors.get("doubt")]


def measured(corpus: Corpus, instep: InStep) -> tuple[Offset, tuple[tuple[float, Offset], ...]]:
    """Find the offset of a prepared video, and of its windows: (start in seconds, offset)."""
    clips = [
        (float(track.factors["start"]), instep.embed(*corpus.clip(replace(track, offset=0))))
        for track in moving(corpus) or corpus.tracks  # as it was filmed
    ]
    return joined(clips, calibration(instep.name))


def joined(
    clips: Iterable[tuple[float, Pair]], curve: Curve
) -> tuple[Offset, tuple[tuple[float, Offset], ...]]:
    """Let the windows of a recording vote for its offset.

    A window of WINDOW seconds cannot be shifted by more than half of it. Where the clips as a whole
    surely find an offset beyond that, theirs is taken.

    Args:
        clips: (start in seconds, content embeddings (N, D) of face and sound) of each.
        curve: how margin and length become a probability.
    Returns:
        The offset, and (start in seconds, offset) of each window.
    """
    clips, windows, longest = list(clips), [], 0
    for begin, (face, sound) in clips:
        count = max(1, round(len(face) / (WINDOW * FPS)))
        edges = np.linspace(0, len(face), count + 1).round().astype(int)
        longest = max(longest, int(np.diff(edges).max()))
        for first, last in pairwise(edges):
            pair = face[first:last], sound[first:last]
            windows.append((begin + first / FPS, find_offset([pair], curve)))
    near = voted([found for _, found in windows])
    far = voted([find_offset([pair], curve) for _, pair in clips])
    beyond = abs(far.late) > min(WIDE, (longest - 8) // 2)
    return far if far.sure and beyond else near, tuple(windows)


def moved(path: Path, out: Path, seconds: float) -> Path:
    """Copy a video with its sound moved: every packet as it is, other time stamps for the sound.

    Args:
        path: the video.
        out: the copy; its suffix decides the container.
        seconds: how much later the sound is to come; negative: earlier. What would come before the
            first picture is left out.
    Raises:
        BadInput: the container of `out` cannot hold the streams.
    """
    import av

    sweep(out.parent)
    try:
        with (
            atomic(out) as part,
            open_to_read(str(path)) as source,
            av.open(str(part), "w", format=_format(out)) as target,
        ):
            streams = {
                stream.index: target.add_stream_from_template(stream)
                for stream in source.streams
                if stream.type in ("video", "audio", "subtitle")
            }
            picture = source.streams.video[0]
            begin, last = float((picture.start_time or 0) * picture.time_base), {}
            for packet in source.demux([source.streams[index] for index in streams]):
                if not packet.size:  # the end
                    continue
                _order(packet, last)
                if packet.stream.type == "audio":
                    by = round(seconds / packet.time_base)
                    packet.pts, packet.dts = packet.pts + by, packet.dts + by
                    if by < 0 and float(packet.pts * packet.time_base) < begin:
                        continue
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    except (av.FFmpegError, ValueError) as error:
        raise BadInput(
            f"{out}: cannot be written ({error}); give a name with the suffix {path.suffix}"
        ) from error
    return out


def _order(packet, last: dict[int, int]) -> None:
    """Set the decoding time of a packet where a container (Matroska) leaves it open.

    The first pictures then have none: they are decoded before those that are shown earlier.
    `last` remembers the time of the packet before, by stream.
    """
    stream, length = packet.stream, packet.duration or 1
    if packet.dts is None:
        ahead = stream.codec_context.has_b_frames * length if stream.type == "video" else 0
        packet.dts = last.get(stream.index, (packet.pts or 0) - ahead - length) + length
    packet.pts = packet.dts if packet.pts is None else packet.pts
    last[stream.index] = packet.dts


def _format(path: Path) -> str:
    """Return the container that a suffix stands for; the temporary file has another suffix."""
    import av.format

    names = {".mkv": "matroska", ".m4v": "mp4", ".ts": "mpegts", ".mpg": "mpeg", ".mts": "mpegts"}
    name = names.get(path.suffix.lower(), path.suffix.lower().lstrip("."))
    try:
        return av.format.ContainerFormat(name, "w").name and name
    except ValueError as error:
        raise BadInput(f"{path}: unknown kind of file; name it .mp4, .mov or .mkv") from error
