"""Look through a media file without decoding it: its tracks, its clocks, and what is beyond reason.

One pass over the packets tells what a header may not: which pictures move (a cover is one packet),
where the clock restarts because files were joined end to end, and how much of the file no packet
covers. Nothing is decoded before that, so that an absurd header costs one line and no memory.
(Source: ours.)
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

from dsel.timing import FPS
from dsel.utils.containers import open_to_read
from dsel.utils.errors import BadInput

MOST_PIXELS = 8192 * 4608  # of a picture: 8K
MOST_CHANNELS = 64  # of a sound track: as many as FFmpeg decodes and mixes
RATES = (1_000, 768_000)  # samples per second of a sound track
MOST_SECONDS = 12 * 3600  # of a file
MOST_PICTURES = 5_000_000  # of a file: 12 hours at 115 per second
BACK = 0.3  # s by which a clock must jump back to count as restarted
KEY_BACK = 1.0  # the same, of a key frame's time on screen; pictures before it may come after it
UNREAD = 0.05  # share of a file behind its last packet that is looked through for another file


@dataclass
class Stretch:
    """The time stamps of one stream between two restarts of its clock, in seconds."""

    number: int  # of the joined file that it comes from, from 0 on
    first: float
    last: float
    end: float  # last, and how long it is on
    shift: float = 0.0  # what to add, so that the clock never restarts


@dataclass(frozen=True)
class Contents:
    """What a file holds. Streams are told by their index in the file."""

    path: Path
    picture: int | None
    sounds: tuple[int, ...]  # those that can be decoded, in order
    main_sound: int | None  # the one that a player would choose
    clocks: dict[int, list[Stretch]] = field(default_factory=dict)
    more: bool = False  # another file begins behind the last packet
    refused: tuple[str, ...] = ()  # why other streams are not used

    @property
    def joined(self) -> int:
        """How many files were joined end to end."""
        return 1 + max((clock[-1].number for clock in self.clocks.values() if clock), default=0)

    @property
    def splices(self) -> list[float]:
        """Times in seconds at which the pictures of the second file begin, of the third, ..."""
        clock = self.clocks.get(-1 if self.picture is None else self.picture, [])
        return [stretch.first + stretch.shift for stretch in clock[1:]]

    @property
    def breaks_off(self) -> bool:
        """Whether the clock of some stream does not go on in the last of the joined files."""
        used = [self.picture, *self.sounds]
        return any(
            clock[-1].number + 1 < self.joined
            for index, clock in self.clocks.items()
            if index in used and clock
        )


class Clock:
    """Turn the time stamps of one stream into times of a clock that never restarts."""

    def __init__(self, stretches: list[Stretch]) -> None:
        self.stretches, self.at, self.latest = stretches, 0, float("-inf")

    def __call__(self, time: float) -> float:
        """Return the time of a stamp; stamps come in order, but for the restarts."""
        if self.at + 1 < len(self.stretches) and time < self.latest - BACK:
            self.at, self.latest = self.at + 1, float("-inf")
        self.latest = max(self.latest, time)
        return time + (self.stretches[self.at].shift if self.stretches else 0.0)


@contextmanager
def opened(path) -> Iterator[Any]:
    """Open a media file of any kind.

    Raises:
        BadInput: the file is missing, empty, a pipe or a device, or nothing that PyAV can open.
    """
    import av

    path = Path(path)
    check_is_file(path)
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


def check_is_file(path: Path) -> None:
    """Refuse what is no file: a read of a pipe would wait for ever. Raises BadInput."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise BadInput(f"{path}: no such file") from error
    if stat.S_ISDIR(mode):
        raise BadInput(f"{path}: is a folder, not a file")
    if not stat.S_ISREG(mode):
        raise BadInput(f"{path}: is a pipe or a device, not a file; save it as a file first")


def contents(path) -> Contents:
    """Look through a file.

    Raises:
        BadInput: it cannot be opened; or its picture is too large, or it lasts too long.
    """
    with opened(path) as container:
        usable, refused = _usable(container, path)
        seen, end = _packets(container, path)
        picture = _moving(container, usable, seen)
        sounds = tuple(s.index for s in container.streams.audio if s.index in usable)
        best = container.streams.best("audio")
        main = best.index if best is not None and best.index in sounds else None
        if best is None or main is None:
            main = next(iter(sounds), None)
        clocks = {index: clock for index, (clock, _) in seen.items()}
        kept = [clocks[index] for index in (picture, *sounds) if index in clocks]
        _join(kept)
        _check_length(path, kept)
        more = end > 0 and _begins_again(Path(path), end)
        return Contents(Path(path), picture, sounds, main, clocks, more, tuple(refused))


def _usable(container: Any, path) -> tuple[set[int], list[str]]:
    """Return the streams that can be decoded within reason, and why the others cannot."""
    usable, refused = set(), []
    for stream in (*container.streams.video, *container.streams.audio):
        context = stream.codec_context
        sort = "picture" if stream.type == "video" else "sound"
        if context is None:
            refused.append(f"{path}: its {sort} is coded in a way that cannot be decoded")
        elif sort == "picture" and context.width * context.height > MOST_PIXELS:
            size = f"{context.width} x {context.height}"
            refused.append(f"{path}: a picture of {size} pixels, {MOST_PIXELS:,} at most")
        elif sort == "sound" and not 0 < context.layout.nb_channels <= MOST_CHANNELS:
            channels = context.layout.nb_channels
            refused.append(f"{path}: a sound track of {channels} channels, {MOST_CHANNELS} at most")
        elif sort == "sound" and not RATES[0] <= context.sample_rate <= RATES[1]:
            rates = f"{RATES[0]} to {RATES[1]}"
            refused.append(f"{path}: sound of {context.sample_rate} samples/s, not {rates}")
        else:
            usable.add(stream.index)
    return usable, refused


def _packets(container: Any, path) -> tuple[dict[int, tuple[list[Stretch], int]], int]:
    """Go through all packets: stretches and number of packets of each stream; the last byte."""
    import av

    seen: dict[int, list] = {}
    number, end, packets = 0, 0, container.demux()
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            break
        shown = packet.dts if packet.pts is None else packet.pts
        order = packet.pts if packet.dts is None else packet.dts
        if packet.pos is not None and packet.pos >= 0:
            end = max(end, packet.pos + packet.size)
        if shown is None or not packet.time_base:
            if packet.size and packet.stream_index in seen:
                seen[packet.stream_index][1] += 1
            continue
        tick = float(packet.time_base)
        first, order = shown * tick, order * tick
        entry = seen.setdefault(packet.stream_index, [[], 0, float("-inf")])
        clock, _, latest = entry
        hold = packet.duration * tick if packet.duration else min(max(0.0, order - latest), 1.0)
        # FFmpeg guesses the decoding time of the first packet behind a join, and is wrong.
        shown_again = bool(clock) and packet.is_keyframe and first < clock[-1].last - KEY_BACK
        if not clock or order < latest - BACK or shown_again:
            number = max(number, clock[-1].number + 1 if clock else 0)
            clock.append(Stretch(number, first, first, first + hold))
            entry[2], order = float("-inf"), first if shown_again else order
        entry[1], entry[2] = entry[1] + 1, max(entry[2], order)
        stretch = clock[-1]
        stretch.first, stretch.last = min(stretch.first, first), max(stretch.last, first)
        stretch.end = max(stretch.end, first + hold)
        if entry[1] > MOST_PICTURES and container.streams[packet.stream_index].type == "video":
            raise BadInput(f"{path}: more than {MOST_PICTURES:,} pictures; cut it into parts")
    return {index: (entry[0], entry[1]) for index, entry in seen.items()}, end


def _moving(container: Any, usable: set[int], seen: dict) -> int | None:
    """Return the stream of the picture that a player would choose; a cover is not a video."""
    import av

    cover = av.stream.Disposition.attached_pic
    streams = [
        stream
        for stream in container.streams.video
        if stream.index in usable and not stream.disposition & cover
    ]
    if not streams:
        return None
    counts = {stream.index: seen.get(stream.index, ([], 0))[1] for stream in streams}
    most = max(counts.values())
    long = [stream for stream in streams if 2 * counts[stream.index] >= most]
    best = container.streams.best("video")
    if best is not None and any(stream.index == best.index for stream in long):
        return best.index
    return max(long, key=lambda s: s.codec_context.width * s.codec_context.height).index


def _join(clocks: list[list[Stretch]]) -> None:
    """Set the shifts: every joined file begins when all streams of the one before have ended.

    Up to a frame later, so that its pictures lie on the grid of 25 per second as the first ones do.

    Args:
        clocks: of the picture, if there is one, and of the sounds.
    """
    last = max((clock[-1].number for clock in clocks if clock), default=0)
    ended = None
    for number in range(last + 1):
        parts = [stretch for clock in clocks for stretch in clock if stretch.number == number]
        if not parts:
            continue
        shift = 0.0 if ended is None else ended - min(part.first for part in parts)
        away = shift + parts[0].first - clocks[0][0].first  # from the first picture
        shift += ceil(away * FPS - 1e-6) / FPS - away
        for part in parts:
            part.shift = shift
        ended = max(part.end for part in parts) + shift


def _begins_again(path: Path, end: int) -> bool:
    """Return whether the first bytes of the file come again behind its last packet."""
    size, block = path.stat().st_size, 1 << 20
    if size - end < UNREAD * size:
        return False
    with path.open("rb") as file:
        head = file.read(8)
        sign = head[4:] if head[4:] == b"ftyp" else head[:4]
        file.seek(end)
        tail = b""
        while data := file.read(block):
            if sign in tail + data:
                return True
            tail = data[-len(sign) :]
    return False


def _check_length(path, clocks: list[list[Stretch]]) -> None:
    """Refuse a file whose time stamps span too long a time."""
    spans = [clock[-1].end + clock[-1].shift - clock[0].first for clock in clocks if clock]
    if spans and max(spans) > MOST_SECONDS:
        hours, most = max(spans) / 3600, MOST_SECONDS // 3600
        raise BadInput(f"{path}: its time stamps span {hours:.0f} hours, {most} at most; cut it")


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).split(";")[0].strip()
