"""Decode any video: pictures by their time stamps, sound as 16 kHz samples, rotation, pixel shape,
duration.

One clock serves picture and sound: the container's time stamps in seconds. Only the frame at hand
is held in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsel.timing import FPS, SAMPLE_RATE
from dsel.utils.containers import open_to_read
from dsel.utils.errors import BadInput

# --------------------------------------------------------------------------------------------------
# Reading any video. One clock serves picture and sound: the container's time stamps in seconds.
# Nothing is held in memory but the frame at hand, so an hour of 4K costs no more than a minute of
# it.

# s; stamps may be rounded to the millisecond, so a frame this early still begins on the grid
SAME_INSTANT = 0.0005
# Samples by which a codec makes sound late (its encoder, as FFmpeg has it, and its decoder). Most
# containers say so and FFmpeg takes it out; AVI and bare AAC have no way of saying so. Another
# encoder's AAC may be late by more.
DELAY = {
    "mp2": 481,
    "mp2float": 481,
    "mp3": 1105,
    "mp3float": 1105,
    "aac": 1024,
    "ac3": 256,
    "eac3": 256,
}
SILENT_ON_DELAY = ("avi", "aac")
# s; sound whose stamps differ by more from the samples counted has a hole or a splice there
BROKEN_SOUND = 0.020


@contextmanager
def opened(path):
    """An open av container of any kind of file.

    Raises:
        BadInput: the file is missing, empty, or nothing that PyAV can open.
    """
    import av

    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    if not path.stat().st_size:
        raise BadInput(f"{path}: empty (0 bytes); copy or download it again")
    try:
        container = open_to_read(str(path))
    except (av.FFmpegError, ValueError) as error:
        raise BadInput(
            f"{path}: not a video, or cut off before it begins ({_reason(error)}); is it complete?"
        ) from error
    with container:
        yield container


def pictures(path, *, threads: int = 1) -> Iterator:
    """Every frame of a video as (time in seconds, av.VideoFrame), in order of display; damaged
    packets are passed over.

    Raises:
        BadInput: no picture in the file.
    """
    with opened(path) as container:
        stream = _stream(container, "video")
        if stream is None:
            raise BadInput(f"{path}: no picture in it; give a video")
        stream.codec_context.thread_count = threads
        step, due = float(1 / stream.average_rate) if stream.average_rate else 1 / FPS, 0.0
        counted, shift = (
            container.format.name == "avi",
            None,
        )  # AVI counts packets: its first picture is at the start
        room = round(_unsaid_delay(container) / step) * step if counted else 0.0
        last = -math.inf
        for frame in _decoded(container, stream):
            stamp = frame.time
            if (
                room
                and last == 0.0
                and stamp is not None
                and abs(stamp - shift - step - room) < step / 4
            ):
                # FFmpeg's AVI makes room for the sound's run-in by so many frames behind the first
                # one
                shift += room
            if shift is None:
                shift = (
                    stamp - float((stream.start_time or 0) * stream.time_base)
                    if counted and stamp
                    else 0.0
                )
            time = due if stamp is None else stamp - shift
            if time > last:  # a stamp that runs backwards is a splice; what it repeats is left out
                yield time, frame
                last, due = time, time + step


def pixel_aspect(path) -> float:
    """Width of a pixel over its height: 1 for nearly all video, something else for DV, DVD and old
    broadcast.
    """
    with opened(path) as container:
        stream = _stream(container, "video")
        return float(stream.sample_aspect_ratio or 1) if stream else 1.0


def duration(path) -> float:
    """How long the file says it is, from its first time stamp on, in seconds; 0 where it does not
    say.
    """
    with opened(path) as container:
        counted_from_zero = "matroska" in container.format.name  # by what its duration means
        start = (container.start_time or 0) if counted_from_zero else 0
        return max(0, (container.duration or 0) - start) / 1e6


def upright(frame, aspect: float = 1.0, reformatter=None, longest: int | None = None) -> np.ndarray:
    """The picture of an av.VideoFrame as one sees it, uint8 (H, W, 3): turned as a phone asks for,
    pixels made square.

    Args:
        aspect: `pixel_aspect` of its file.
        reformatter: an av VideoReformatter to be used again and again (it keeps its tables); None
            makes one.
        longest: shrink the picture until neither side is longer than this.
    """
    from av.video.reformatter import VideoReformatter

    height, width = frame.height, frame.width * aspect
    scale = min(1.0, longest / max(height, width)) if longest else 1.0
    height, width = max(1, round(height * scale)), max(1, round(width * scale))
    reformatter = reformatter or VideoReformatter()
    image = reformatter.reformat(
        frame, width, height, "rgb24", interpolation="AREA", threads=1
    ).to_ndarray()
    turns = round(getattr(frame, "rotation", 0) / 90) % 4  # anticlockwise
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def frame_grid(times: np.ndarray) -> tuple[float, np.ndarray, int]:
    """Where the frames of a video fall on the grid of 25 a second.

    Args:
        times: (K,) seconds at which the K frames come on screen, increasing.
    Returns:
        origin: the time in seconds at which grid frame 0 begins.
        cells: int (K,), the grid frame in whose 40 ms each frame begins.
        count: how many grid frames the video covers, the last frame held for as long as frames
            usually are.
    So whatever comes on screen at time t is first seen in the grid frame whose 640 samples contain
    t: not a matter of rounding, whichever rate the video has. Where the frames come 25 a second but
    their stamps jitter, the origin is moved back by the largest earliness, so that none is repeated
    and none is lost. (Source: ours.)
    """
    origin = times[0]
    late = (times - origin) * FPS - np.arange(
        len(times)
    )  # (K,) frames; near 0 throughout if they come 25 a second
    if np.ptp(late) < 0.5 and -late.min() > SAME_INSTANT * FPS:
        origin += late.min() / FPS
    cells = np.floor((times - origin + SAME_INSTANT) * FPS).astype(int)
    hold = float(np.median(np.diff(times))) if len(times) > 1 else 1 / FPS
    count = max(cells[-1] + 1, int(np.floor((times[-1] + hold - origin + SAME_INSTANT) * FPS)))
    return float(origin), cells, count


@dataclass(frozen=True)
class Sound:
    """A sound track as 16 kHz mono float32 in a file of bare samples; `start` is the time in
    seconds of the first one.
    """

    path: Path
    start: float
    samples: int
    peak: float

    @property
    def end(self) -> float:
        return self.start + self.samples / SAMPLE_RATE

    def read(self, time: float, samples: int) -> np.ndarray:
        """float32 (samples,) in [-1, 1] from a time in seconds on; zeros before the beginning and
        after the end.
        """
        first = round((time - self.start) * SAMPLE_RATE)
        begin, stop = max(0, first), max(0, min(first + samples, self.samples))
        found = np.zeros(samples, np.float32)
        if stop > begin:
            found[begin - first : stop - first] = np.fromfile(
                self.path, "<f4", stop - begin, offset=4 * begin
            )
        return np.clip(found, -1, 1)


def decode_sound(path, raw) -> Sound:
    """Write the sound of any file as 16 kHz mono float32 to the file `raw`, every sample where its
    time stamp puts it.

    A hole in the sound becomes zeros, an overlap is cut, channels are mixed down; memory does not
    grow with the length.

    Raises:
        BadInput: no sound in the file.
    """
    with opened(path) as container, Path(raw).open("wb") as file:
        stream = _stream(container, "audio")
        if stream is None:
            raise BadInput(f"{path}: no sound in it; give a sound track with --audio FILE")
        late = _unsaid_delay(container)
        start, written, peak = None, 0, 0.0
        for time, block in _runs(_decoded(container, stream)):
            if (
                time is not None
                # a new run of unbroken sound begins at sample `place`
            ):
                start = time if start is None else start
                place = round((time - start) * SAMPLE_RATE)
            overlap = min(len(block), max(0, written - place))
            kept = np.ascontiguousarray(block[overlap:], "<f4")
            place += len(block)
            if len(kept):
                file.seek(4 * (place - len(kept)))  # beyond the end: the hole reads as zeros
                file.write(kept.data)
                written, peak = place, max(peak, float(np.abs(kept).max()))
    if start is None or not written:
        raise BadInput(f"{path}: its sound cannot be decoded; give a sound track with --audio FILE")
    return Sound(Path(raw), start - late, written, peak)


def _unsaid_delay(container) -> float:
    """Seconds by which the sound comes late without the container saying so."""
    stream = _stream(container, "audio")
    if stream is None or container.format.name not in SILENT_ON_DELAY:
        return 0.0
    return DELAY.get(stream.codec_context.name, 0) / stream.codec_context.sample_rate


def _runs(frames) -> Iterator:
    """av.AudioFrames -> (time or None, float32 (S,) at 16 kHz): the time in seconds where a run
    begins, None within it.
    """
    import av

    resampler, kind, begun, heard = None, None, 0.0, 0
    for frame in frames:
        due = begun + heard / kind[2] if kind else 0.0
        time = due if frame.pts is None else float(frame.pts * frame.time_base)
        same = kind == (frame.format.name, frame.layout.name, frame.sample_rate)
        head = None
        if not same or abs(time - due) > BROKEN_SOUND:
            if resampler:
                yield None, _samples(resampler.resample(None))
            resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
            kind, begun, heard, head = (
                (frame.format.name, frame.layout.name, frame.sample_rate),
                time,
                0,
                time,
            )
        heard += frame.samples
        frame.pts = None  # the resampler counts; where the sound belongs is decided here
        yield head, _samples(resampler.resample(frame))
    if resampler:
        yield None, _samples(resampler.resample(None))


def _samples(blocks) -> np.ndarray:
    return np.concatenate(
        [block.to_ndarray().reshape(-1) for block in blocks] or [np.zeros(0, np.float32)]
    )


def _decoded(container, stream) -> Iterator:
    """Frames of one stream; a packet that cannot be decoded is passed over, a file that breaks off
    ends there.
    """
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return
        try:
            yield from packet.decode()
        except av.FFmpegError:
            continue


def _stream(container, kind: str):
    """The stream of that kind which a player would choose; a cover picture is not a video."""
    import av

    of_kind = getattr(container.streams, kind)
    moving = [
        stream for stream in of_kind if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    best = container.streams.best(kind)
    return best if best in moving else next(iter(moving), None)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).split(";")[0].strip()
