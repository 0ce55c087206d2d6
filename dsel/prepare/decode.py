"""Decode any video: pictures by their time stamps, sound as 16 kHz samples, upright, square pixels.

One clock serves picture and sound: the container's time stamps in seconds, made to go on where the
clock restarts (`dsel.prepare.contents`). Nothing is held in memory but the frame at hand, so an
hour of 4K costs no more than a minute of it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsel.prepare.contents import MOST_PIXELS, Clock, Contents, contents, opened
from dsel.timing import FPS, SAMPLE_RATE
from dsel.utils.errors import BadInput

SAME_INSTANT = 0.0005  # s; stamps may be rounded to a millisecond: so early is still in the cell
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
BROKEN_SOUND = 0.020  # s; sound whose stamps are off by more has a hole or a splice there
SHIFTED_SOUND = 0.004  # s; the same, if the stamps of the last LASTING packets are off to one side
LASTING = 5
KEPT_CHANNELS = 8  # of a sound track; more are mixed down to stereo as FFmpeg does it
CANCELS = 0.5  # power of a mix below this share of what unrelated channels would give: they cancel
LOUD = 1e-4  # power of a channel, as a share of the loudest one's, from which on it is not silent
ODD_PIXELS = 8.0  # a pixel this many times wider than high, or the reverse, is a wrong header
BLOCK = 1 << 20  # samples that are read at a time


def pictures(path, *, threads: int = 1, known: Contents | None = None) -> Iterator:
    """Yield every frame as (time in seconds, av.VideoFrame), in order of display.

    Damaged packets are passed over.

    Args:
        path: the file.
        threads: of the decoder.
        known: the file's contents, if it was looked through already.
    Raises:
        BadInput: no picture in the file.
    """
    known = known or contents(path)
    with opened(path) as container:
        stream = _picture(container, known)
        stream.codec_context.thread_count = threads
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
        step = float(1 / stream.average_rate) if stream.average_rate else 1 / FPS
        step, due = min(step, 1.0), 0.0
        # AVI counts packets: its first picture is at the start.
        counted, shift = container.format.name == "avi", None
        room = round(_unsaid_delay(container, known.main_sound) / step) * step if counted else 0.0
        clock, last = Clock(known.clocks.get(stream.index, [])), -math.inf
        for frame in _decoded(container, stream):
            stamp = frame.time
            if room and last == 0.0 and stamp is not None:
                # FFmpeg's AVI makes room for the sound's run-in behind the first frame.
                shift += room if abs(stamp - shift - step - room) < step / 4 else 0.0
            if shift is None:
                begin = float((stream.start_time or 0) * stream.time_base)
                shift = stamp - begin if counted and stamp else 0.0
            time = due if stamp is None else clock(stamp - shift)
            if time > last:  # a smaller step back repeats what was shown
                yield time, frame
                last, due = time, time + step


def pixel_aspect(path, known: Contents | None = None) -> float:
    """Return the width of a pixel over its height.

    That is 1 for nearly all video, something else for DV, DVD and old broadcast. What no camera
    makes is taken for a wrong header, and for 1.
    """
    known = known or contents(path)
    if known.picture is None:
        return 1.0
    with opened(path) as container:
        aspect = float(container.streams[known.picture].sample_aspect_ratio or 1)
    return aspect if 1 / ODD_PIXELS < aspect < ODD_PIXELS else 1.0


def duration(path) -> float:
    """Return how long the file says it is, from its first time stamp on, in seconds; 0: unsaid."""
    with opened(path) as container:
        # Matroska counts from zero, whenever its first picture comes.
        start = (container.start_time or 0) if "matroska" in container.format.name else 0
        return max(0, (container.duration or 0) - start) / 1e6


def upright(frame, aspect: float = 1.0, reformatter=None, longest: int | None = None) -> np.ndarray:
    """Return the picture of an av.VideoFrame as one sees it, uint8 (H, W, 3).

    It is turned and mirrored as the file asks for, and pixels are made square.

    Args:
        frame: the frame.
        aspect: `pixel_aspect` of its file.
        reformatter: an av VideoReformatter to be used again (it keeps its tables); None makes one.
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
    swapped, mirrored, flipped = orientation(frame)
    image = image.swapaxes(0, 1) if swapped else image
    image = image[:, ::-1] if mirrored else image
    return np.ascontiguousarray(image[::-1] if flipped else image)


def orientation(frame) -> tuple[bool, bool, bool]:
    """Return how a picture as stored becomes upright: swap its axes, then mirror it, then flip it.

    The file says so by a display matrix, which takes pixel (x, y) to (a x + c y, b x + d y). There
    are eight of them without a slant: four turns, each with and without a mirror.
    """
    from av.sidedata.sidedata import SideDataContainer

    # Not frame.side_data: before PyAV 19 it and the frame hold each other, and a film's frames stay
    # in memory until the garbage collector comes by.
    matrix = SideDataContainer(frame).get("DISPLAYMATRIX")
    if matrix is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].astype(float)
    if max(abs(b), abs(c)) > max(abs(a), abs(d)):
        return True, bool(c < 0), bool(b < 0)
    return False, bool(a < 0), bool(d < 0)


def frame_grid(times: np.ndarray) -> tuple[float, np.ndarray, int]:
    """Find where the frames of a video fall on the grid of 25 per second.

    Whatever comes on screen at time t is first seen in the grid frame whose 640 samples contain t,
    whichever rate the video has. Where the frames come 25 per second but their stamps jitter, the
    origin is moved back by the largest earliness, so that none is repeated and none is lost.
    (Source: ours.)

    Args:
        times: (K,) seconds at which the K frames come on screen, increasing.
    Returns:
        origin: the time in seconds at which grid frame 0 begins.
        cells: int (K,), the grid frame in whose 40 ms each frame begins.
        count: how many grid frames the video covers; the last frame lasts as long as most do.
    """
    origin = times[0]
    # (K,) frames; near 0 throughout if they come 25 per second
    late = (times - origin) * FPS - np.arange(len(times))
    if np.ptp(late) < 0.5 and -late.min() > SAME_INSTANT * FPS:
        origin += late.min() / FPS
    cells = np.floor((times - origin + SAME_INSTANT) * FPS).astype(int)
    hold = float(np.median(np.diff(times))) if len(times) > 1 else 1 / FPS
    count = max(cells[-1] + 1, int(np.floor((times[-1] + hold - origin + SAME_INSTANT) * FPS)))
    return float(origin), cells, count


@dataclass(frozen=True)
class Sound:
    """A sound track as 16 kHz float32 samples (S, C) in a file without a header.

    Args:
        path: of that file.
        start: the time in seconds of the first sample.
        samples: S.
        peak: largest absolute value of the mix.
        weights: (C,) of the channels in the mix.
    """

    path: Path
    start: float
    samples: int
    peak: float
    weights: tuple[float, ...] = (1.0,)

    @property
    def end(self) -> float:
        """Time in seconds behind the last sample."""
        return self.start + self.samples / SAMPLE_RATE

    @property
    def one_of_many(self) -> bool:
        """Whether one channel stands for all, since together they cancel each other."""
        return len(self.weights) > 1 and self.weights.count(0.0) == len(self.weights) - 1

    def read(self, time: float, samples: int) -> np.ndarray:
        """Read float32 (samples,) in [-1, 1] from a time in seconds on; zeros where it has none."""
        first = round((time - self.start) * SAMPLE_RATE)
        begin, stop = max(0, first), max(0, min(first + samples, self.samples))
        found = np.zeros(samples, np.float32)
        if stop > begin:
            found[begin - first : stop - first] = _mixed(self.path, begin, stop, self.weights)
        return np.clip(found, -1, 1)


def decode_sound(path, raw, *, known: Contents | None = None, stream: int | None = None) -> Sound:
    """Write the sound of any file as 16 kHz float32 to the file `raw`, placed by its time stamps.

    A hole in the sound becomes zeros, an overlap is cut. Channels are mixed down; where they cancel
    each other, the loudest one is taken instead. Memory does not grow with the length.

    Args:
        path: the file with the sound.
        raw: the file to write.
        known: the file's contents, if it was looked through already.
        stream: index of the sound track; None: the one that a player would choose.
    Raises:
        BadInput: no sound in the file, or none that can be decoded.
    """
    known = known or contents(path)
    stream = known.main_sound if stream is None else stream
    if stream is None:
        reason = next((why for why in known.refused if " sound" in why), f"{path}: no sound in it")
        raise BadInput(f"{reason}; give a sound track with --audio FILE")
    with opened(path) as container, Path(raw).open("wb") as file:
        late = _unsaid_delay(container, stream)
        clock = Clock(known.clocks.get(stream, []))
        start, written, power = None, 0, None
        for time, block in _runs(_decoded(container, container.streams[stream]), clock, path):
            if power is None:
                power = np.zeros((block.shape[1], block.shape[1]))
            if time is not None:
                # a new run of unbroken sound begins at sample `place`
                start = time if start is None else start
                place = round((time - start) * SAMPLE_RATE)
            overlap = min(len(block), max(0, written - place))
            kept = _fitted(block[overlap:], len(power))
            place += len(block)
            if len(kept):
                file.seek(kept.itemsize * len(power) * (place - len(kept)))
                file.write(kept.data)  # beyond the end: the hole reads as zeros
                written = place
                power += kept.T.astype(float) @ kept
    if start is None or not written:
        raise BadInput(f"{path}: its sound cannot be decoded; give a sound track with --audio FILE")
    weights = mixing(power)
    peak = max(
        float(np.abs(_mixed(raw, k, min(k + BLOCK, written), weights)).max())
        for k in range(0, written, BLOCK)
    )
    return Sound(Path(raw), start - late, written, peak, weights)


def mixing(power: np.ndarray) -> tuple[float, ...]:
    """Choose the weights of channels in a mix: equal ones; or one alone, where they cancel.

    Channels cancel if their mean has less than half of the power that it would have if they had
    nothing to do with each other. Silent channels take no part. (Source: ours.)

    Args:
        power: (C, C) inner products of the channels.

    >>> mixing(np.array([[1.0, 0.9], [0.9, 1.0]]))
    (0.5, 0.5)
    >>> mixing(np.array([[1.0, -1.1], [-1.1, 1.21]]))  # the second is the first one upside down
    (0.0, 1.0)
    """
    own = np.diagonal(power)
    heard = own > LOUD * own.max()
    weights = heard / max(1, heard.sum())
    if weights @ power @ weights < CANCELS * (weights**2 @ own):
        weights = np.arange(len(own)) == own.argmax()
    return tuple(float(weight) for weight in weights)


def _mixed(path, first: int, last: int, weights: tuple[float, ...]) -> np.ndarray:
    """Read samples [first, last) of a file of bare samples, mixed: float32 (last - first,)."""
    count = len(weights)
    values = np.fromfile(path, "<f4", count * (last - first), offset=4 * count * first)
    return values.reshape(-1, count) @ np.array(weights, np.float32)


def _fitted(block: np.ndarray, channels: int) -> np.ndarray:
    """Return a block (S, C) with that many channels and without NaN, as it goes into the file."""
    if block.shape[1] != channels:  # the layout changes within the file
        block = np.repeat(block.mean(axis=1, keepdims=True), channels, axis=1)
    return np.ascontiguousarray(np.clip(np.nan_to_num(block), -4, 4), "<f4")


def _unsaid_delay(container, stream: int | None) -> float:
    """Return seconds by which a sound comes late without the container saying so."""
    if stream is None or container.format.name not in SILENT_ON_DELAY:
        return 0.0
    context = container.streams[stream].codec_context
    return DELAY.get(context.name, 0) / context.sample_rate


def _runs(frames, clock: Clock, path) -> Iterator:
    """Turn av.AudioFrames into (time or None, float32 (S, C) at 16 kHz).

    The time is that in seconds where a run of unbroken sound begins, None within it.
    """
    import av

    resampler, kind, begun, heard = None, None, 0.0, 0
    off: deque[float] = deque(maxlen=LASTING)  # s by which stamps are later than samples counted
    for frame in frames:
        due = begun + heard / kind[2] if kind else 0.0
        time = due if frame.pts is None else clock(float(frame.pts * frame.time_base))
        channels = frame.layout.nb_channels
        same = kind == (frame.format.name, frame.layout.name, frame.sample_rate)
        head = None
        off.append(time - due)
        if not same or abs(time - due) > BROKEN_SOUND or _is_shifted(off):
            off.clear()
            if resampler:
                yield None, _samples(resampler.resample(None))
            layout = frame.layout if channels <= KEPT_CHANNELS else "stereo"
            resampler = av.AudioResampler(format="flt", layout=layout, rate=SAMPLE_RATE)
            kind = (frame.format.name, frame.layout.name, frame.sample_rate)
            begun, heard, head = time, 0, time
        heard += frame.samples
        frame.pts = None  # the resampler counts; where the sound belongs is decided here
        try:
            blocks = resampler.resample(frame)
        except (av.FFmpegError, ValueError) as error:
            why = f"{path}: sound of {channels} channels cannot be mixed"
            raise BadInput(f"{why}; give a sound track with --audio FILE") from error
        yield head, _samples(blocks, channels if channels <= KEPT_CHANNELS else 2)
    if resampler:
        yield None, _samples(resampler.resample(None))


def _is_shifted(off: deque[float]) -> bool:
    """Return whether stamps are off by about as much again and again, not for jitter."""
    return len(off) == LASTING and (min(off) > SHIFTED_SOUND or max(off) < -SHIFTED_SOUND)


def _samples(blocks, channels: int = 1) -> np.ndarray:
    """Join av.AudioFrames of packed floats: float32 (S, C)."""
    found = [block.to_ndarray().reshape(-1, block.layout.nb_channels) for block in blocks]
    return np.concatenate(found) if found else np.zeros((0, channels), np.float32)


def _picture(container, known: Contents):
    """Return the stream of the picture. Raises BadInput where there is none to be decoded."""
    if known.picture is None:
        why = next((why for why in known.refused if " picture" in why), None)
        reason = f"{why}; convert it to H.264 in mp4" if why else None
        raise BadInput(reason or f"{known.path}: no picture in it; give a video")
    return container.streams[known.picture]


def _decoded(container, stream) -> Iterator:
    """Yield the frames of one stream.

    A packet that cannot be decoded is passed over, a file that breaks off ends there.
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
        except ValueError:  # PyAV 19: the decoder could not be opened
            return
