"""Read and write clips: a face track as an ordinary mp4 (H.264 + AAC) that anything plays.

PyAV brings its own FFmpeg. It is imported inside the functions, so that the rest of dsel runs
without it. A clip has exactly 25 frames and 16000 samples (mono) per second. `dsel.prepare` makes
clips of any video.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dsel.timing import FPS, SAMPLE_RATE, samples_for
from dsel.utils.containers import open_to_read
from dsel.utils.errors import BadInput
from dsel.utils.files import atomic

MOST_PIXELS = 2048 * 2048  # of a picture
MOST_BYTES = 1 << 30  # of the pictures of a clip in memory

# A clip to read: its path; or its bytes, after the name to call it by.
ClipFile = str | os.PathLike | tuple[str, bytes]


AUDIO_RATE = 48_000  # bits per second of the AAC sound


def write_clip(
    path: str | os.PathLike,
    frames: np.ndarray,
    waveform: np.ndarray,
    *,
    crf: int = 23,
    audio_rate: int = AUDIO_RATE,
) -> Path:
    """Write a clip. The file appears under its name only when it is complete.

    Args:
        path: where to; the folder is made. The suffix chooses the container (.mp4).
        frames: uint8 (T, H, W, 3), H and W even, 25 per second.
        waveform: float32 (S,) in [-1, 1], 16 kHz; S = 640 T for sound as long as the picture.
        crf: H.264 quality, smaller is better and larger on disk.
        audio_rate: bits per second of the AAC sound.
    Raises:
        BadInput: shapes that are not those.
    The encoders run in one thread, so that the same arrays give the same file. (Source: ours.)
    """
    import av
    from av.video.reformatter import VideoReformatter

    path = Path(path)
    if (
        frames.ndim != 4
        or frames.shape[-1] != 3
        or frames.dtype != np.uint8
        or frames.shape[1] % 2
        or frames.shape[2] % 2
    ):
        raise BadInput(
            f"{path}: frames must be uint8 (T, H, W, 3) with even H and W, not {frames.dtype} "
            f"{frames.shape}"
        )
    if waveform.ndim != 1:
        raise BadInput(f"{path}: the waveform must be mono (S,), not {waveform.shape}")
    with atomic(path) as part, av.open(str(part), "w") as container:
        # x264's macroblock tree reads uninitialised memory: the same pictures could give another
        # file.
        options = {"crf": str(crf), "preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"}
        video = container.add_stream("libx264", rate=FPS, options=options)
        video.width, video.height, video.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        sound = _aac(container, audio_rate)
        colours = VideoReformatter()
        for image in frames:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(video.encode(colours.reformat(frame, format="yuv420p", threads=1)))
        container.mux(video.encode())
        _mux_sound(container, sound, waveform)
    return path


def shift_sound(waveform: np.ndarray, frames: int) -> np.ndarray:
    """Move a sound by exactly 640 `frames` samples: late for frames > 0, early for frames < 0.

    waveform (S,) -> (S,), a new array. What moves out is lost, zeros come in. Sound that was in
    step is late by `frames`
    afterwards: the offset k of which picture frame f belongs to sound frame f + k. (Source: ours.)

    >>> click = np.zeros(1920, np.float32)
    >>> click[0] = 1.0
    >>> int(shift_sound(click, 2).argmax())
    1280
    """
    moved, n = np.zeros_like(waveform), samples_for(abs(frames))
    if frames >= 0:
        moved[n:] = waveform[: max(0, len(waveform) - n)]
    else:
        moved[: max(0, len(waveform) - n)] = waveform[n:]
    return moved


def remux_shifted(path: str | os.PathLike, out: str | os.PathLike, frames: int) -> Path:
    """Copy a clip with its sound moved by so many frames, see `shift_sound`.

    The packets of the picture are copied as they are; the sound is coded anew.

    Args:
        path: a clip that dsel wrote.
        out: the new file; it appears under its name only when it is complete.
        frames: k > 0 makes the sound late, k < 0 early.
    Raises:
        BadInput: as `read_clip`.
    """
    import av

    waveform = shift_sound(read_clip(path)[1], frames)
    with (
        atomic(out) as part,
        open_to_read(str(path)) as source,
        av.open(str(part), "w") as container,
    ):
        video = container.add_stream_from_template(source.streams.video[0])
        sound = _aac(container, AUDIO_RATE)
        for packet in source.demux(video=0):
            if packet.dts is not None:  # the last one only says that there are no more
                packet.stream = video
                container.mux(packet)
        _mux_sound(container, sound, waveform)
    return Path(out)


def read_clip(path: ClipFile) -> tuple[np.ndarray, np.ndarray]:
    """Read a clip that dsel wrote: frames uint8 (T, H, W, 3) and waveform float32 (640 T,).

    path: of the clip; or its bytes, after the name to call it by: (name, bytes).
    The sound is cut or padded with zeros to the length of the picture (AAC pads its end by up to
    1023 samples).

    Raises:
        BadInput: no such file, not a video, no sound, or another rate than 25 frames and 16000
            samples per second.
    """
    import av
    from av.video.reformatter import VideoReformatter

    with _clip(path) as container:
        images, blocks, colours = [], [], VideoReformatter()
        for frame in container.decode(video=0, audio=0):
            if isinstance(frame, av.VideoFrame):
                images.append(colours.reformat(frame, format="rgb24", threads=1).to_ndarray())
                if len(images) * images[0].nbytes > MOST_BYTES:  # more than its header says
                    raise ValueError("too large")
            else:
                blocks.append(frame.to_ndarray().mean(axis=0))
        if not images:
            raise IndexError("no picture")
    frames = np.stack(images)  # (T, H, W, 3)
    return frames, _cut(blocks, 0, samples_for(len(frames)))


def read_part(
    path: ClipFile, seen: range, heard: range, frames: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Read part of a clip, bit for bit as `read_clip` gives it.

    The picture is decoded from the last key frame before `seen` on, the sound from its beginning,
    since AAC samples depend on all samples before. Nothing after the part is decoded.

    Args:
        path: as for `read_clip`.
        seen, heard: which frames of the picture, and the frames whose sound is wanted.
        frames: how many the clip must have, where that is known.
    Returns:
        frames uint8 (len(seen), H, W, 3) and sound float32 (640 len(heard),).
    Raises:
        BadInput: as `read_clip`; or a clip that is shorter than that.
    """
    from av.video.reformatter import VideoReformatter

    with _clip(path) as container:
        video, name = (
            container.streams.video[0],
            path if isinstance(path, str | os.PathLike) else path[0],
        )
        if frames is not None and video.frames not in (0, frames):
            raise BadInput(
                f"{name}: {video.frames} frames, but tracks.csv says {frames}; make it again"
            )
        first, last = samples_for(heard.start), samples_for(heard.stop)
        blocks, samples = [], 0
        for frame in container.decode(audio=0):
            blocks.append(frame.to_ndarray().mean(axis=0))
            samples += len(blocks[-1])
            if samples >= last:
                break
        sound = _cut(blocks, first, last)
        begin, tick = video.start_time or 0, float(video.time_base) * FPS  # frames a unit of time
        container.seek(begin + int(seen.start / tick), stream=video)
        images, colours = [], VideoReformatter()
        for frame in container.decode(video=0):
            number = round((frame.pts - begin) * tick)
            if number >= seen.start:
                images.append(colours.reformat(frame, format="rgb24", threads=1).to_ndarray())
            if len(images) == len(seen):
                break
    if len(images) < len(seen):
        raise BadInput(f"{name}: breaks off before frame {seen.stop}; make it again")
    return np.stack(images), sound


@contextmanager
def _clip(path: ClipFile) -> Iterator[Any]:
    """Open a clip that dsel wrote. Whatever goes wrong while it is read is a BadInput naming it."""
    import av

    name, source = (
        (path, str(path)) if isinstance(path, str | os.PathLike) else (path[0], io.BytesIO(path[1]))
    )
    if isinstance(source, str) and not Path(name).is_file():
        raise BadInput(f"{name}: no such clip")
    try:
        with open_to_read(source) as container:
            _check_clip(name, container)
            context = container.streams.video[0].codec_context
            # One thread: frames this small decode slower on two threads of a busy machine.
            context.thread_count, context.options = 1, {"max_pixels": str(MOST_PIXELS)}
            yield container
    except BadInput:
        raise
    except (av.FFmpegError, IndexError, TypeError, ValueError) as error:
        raise BadInput(f"{name}: cannot be read as a clip ({error}); make it again") from error


def _check_clip(name: Any, container: Any) -> None:
    """Refuse what dsel did not write. Raises BadInput."""
    again = "run 'dsel prepare' on the source again"
    if not container.streams.video or not container.streams.audio:
        raise BadInput(f"{name}: a clip needs picture and sound; {again}")
    video, audio = container.streams.video[0], container.streams.audio[0]
    if video.codec_context is None or audio.codec_context is None:
        raise BadInput(f"{name}: picture or sound is coded in a way that cannot be read; {again}")
    rate, hz = video.average_rate, audio.codec_context.sample_rate
    if rate != FPS or hz != SAMPLE_RATE:
        found = f"{float(rate or 0):g} frames/s and {hz} Hz"
        raise BadInput(f"{name}: {found}, not {FPS} and {SAMPLE_RATE}; run 'dsel prepare' on it")
    sound = audio.codec_context.format
    if sound is None or sound.name != "fltp":  # whole numbers would be taken for samples of 1
        raise BadInput(f"{name}: its sound is not AAC; run 'dsel prepare' on it")
    pixels = video.codec_context.width * video.codec_context.height
    if pixels > MOST_PIXELS or pixels * 3 * video.frames > MOST_BYTES:
        raise BadInput(f"{name}: too large for a clip; run 'dsel prepare' on it")


def _cut(blocks: list[np.ndarray], first: int, last: int) -> np.ndarray:
    """Return samples [first, last) of the blocks of sound, zeros where there are none."""
    sound = np.concatenate([np.zeros(0, np.float32), *blocks])[first:last]
    waveform = np.zeros(last - first, np.float32)
    waveform[: len(sound)] = sound
    return waveform


def _aac(container: Any, rate: int) -> Any:
    """Add a stream of 16 kHz mono AAC with so many bits per second."""
    sound = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
    sound.bit_rate = rate
    return sound


def _mux_sound(container: Any, sound: Any, waveform: np.ndarray) -> None:
    """Encode a waveform (S,) into its stream, from time 0 on."""
    import av

    block = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(waveform[None], np.float32), "fltp", "mono"
    )
    block.sample_rate, block.pts = SAMPLE_RATE, 0
    container.mux(sound.encode(block))
    container.mux(sound.encode())
