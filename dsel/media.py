"""Read and write clips: a face track as an ordinary mp4 (H.264 + AAC) that anything plays.

PyAV carries its own FFmpeg. It is imported inside the functions, so that the rest of dsel runs without it.
A clip has exactly 25 frames and 16000 samples (mono) a second. Real video of any kind becomes one in `dsel.prepare`.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from dsel.errors import BadInput
from dsel.timing import FPS, SAMPLE_RATE, samples_for


def write_clip(path, frames: np.ndarray, waveform: np.ndarray, *, crf: int = 23, audio_rate: int = 48_000) -> Path:
    """Write a clip. The file appears under its name only when it is complete.

    Args:
        path: where to; the folder is made. The suffix chooses the container (.mp4).
        frames: uint8 (T, H, W, 3), H and W even, 25 a second.
        waveform: float32 (S,) in [-1, 1], 16 kHz; S = 640 T for sound as long as the picture.
        crf: H.264 quality, smaller is better and larger on disk.
        audio_rate: bits a second of the AAC sound.
    Raises:
        BadInput: shapes that are not those.
    The encoders run in one thread, so that the same arrays give the same file. (Source: ours.)
    """
    import av

    path = Path(path)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or frames.shape[1] % 2 or frames.shape[2] % 2:
        raise BadInput(f"{path}: frames must be uint8 (T, H, W, 3) with even H and W, not {frames.dtype} {frames.shape}")
    if waveform.ndim != 1:
        raise BadInput(f"{path}: the waveform must be mono (S,), not {waveform.shape}")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        with av.open(str(part), "w") as container:
            video = container.add_stream("libx264", rate=FPS, options={"crf": str(crf), "preset": "veryfast", "threads": "1"})
            video.width, video.height, video.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
            sound = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
            sound.bit_rate = audio_rate
            for image in frames:
                container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(video.encode())
            block = av.AudioFrame.from_ndarray(np.ascontiguousarray(waveform[None], np.float32), "fltp", "mono")
            block.sample_rate, block.pts = SAMPLE_RATE, 0
            container.mux(sound.encode(block))
            container.mux(sound.encode())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def read_clip(path) -> tuple[np.ndarray, np.ndarray]:
    """Read a clip that dsel wrote: frames uint8 (T, H, W, 3) and waveform float32 (640 T,).

    The sound is cut or padded with zeros to the length of the picture (AAC pads its end by up to 1023 samples).

    Raises:
        BadInput: no such file, not a video, no sound, or another rate than 25 frames and 16000 samples a second.
    """
    import av

    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path}: no such clip")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video or not container.streams.audio:
                raise BadInput(f"{path}: a clip needs picture and sound; run 'dsel prepare' on the source again")
            rate, hz = container.streams.video[0].average_rate, container.streams.audio[0].sample_rate
            if rate != FPS or hz != SAMPLE_RATE:
                raise BadInput(f"{path}: {rate} frames/s and {hz} Hz, not {FPS} and {SAMPLE_RATE}; run 'dsel prepare' on it")
            images, blocks = [], []
            for frame in container.decode(video=0, audio=0):
                if isinstance(frame, av.VideoFrame):
                    images.append(frame.to_ndarray(format="rgb24"))
                else:
                    blocks.append(frame.to_ndarray().mean(axis=0))
    except (av.FFmpegError, IndexError) as error:
        raise BadInput(f"{path}: cannot be read as a clip ({error}); make it again") from error
    frames = np.stack(images)  # (T, H, W, 3)
    waveform = np.zeros(samples_for(len(frames)), np.float32)
    sound = np.concatenate(blocks)[: len(waveform)] if blocks else waveform[:0]
    waveform[: len(sound)] = sound
    return frames, waveform
