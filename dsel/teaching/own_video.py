"""A video of one's own among known people: take the upload, then look for the nearest speakers and the nearest sounds.

Everything that notebook 10 needs besides `dsel.prepare` and `dsel.evaluate`. (Source: ours.)
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path, PurePosixPath

import numpy as np

from dsel.corpus.tracks import Corpus
from dsel.evaluate.embeddings import Embeddings
from dsel.evaluate.vectors import nearest_sounds, nearest_speakers  # noqa: F401  (notebook 10)
from dsel.timing import FPS, SAMPLE_RATE, WINDOW_FRAMES, samples_for
from dsel.utils.errors import BadInput

GAP = 0.15  # s of silence between the sounds of a montage


def received(value, folder) -> Path | None:
    """Write what an ipywidgets.FileUpload holds to a folder; the path of the file, or None if nothing was uploaded.

    value: what `upload.value` is, a tuple of {"name", "content", ...} in ipywidgets 8, {name: {"content", ...}} in 7.

    Raises:
        BadInput: the file arrived empty.
    """
    named = [(name, entry["content"]) for name, entry in value.items()] if isinstance(value, dict) else None
    named = [(entry["name"], entry["content"]) for entry in value] if named is None else named
    if not named:
        return None
    name, content = named[-1]
    plain = PurePosixPath(name.replace("\\", "/")).name or "video"  # some browsers send a path
    if not len(content):
        raise BadInput(f"{plain}: arrived with 0 bytes; upload it again")
    path = Path(folder) / plain
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(content))
    return path


def phone_video(path, clips: list[tuple[np.ndarray, np.ndarray]], *, late: int = 0, fps: int = 30, rate: int = 44_100) -> Path:
    """Clips as a phone might have filmed them, one after the other: 360x288, another frame rate, 44.1 kHz stereo.

    Args:
        clips: (frames uint8 (T, H, W, 3), waveform float32 (640 T,)) each; the face takes the middle of the picture.
        late: 25ths of a second by which the sound comes too late (early if negative).
        fps, rate: of the file.
    """
    import av

    from dsel.corpus.cache import resize
    from dsel.corpus.clips import shift_sound

    faces = np.concatenate([resize(np.asarray(frames), 216) for frames, _ in clips])  # (T, 216, 216, 3)
    sound = shift_sound(np.concatenate([waveform for _, waveform in clips]), late)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps, options={"crf": "18", "preset": "veryfast", "threads": "1"})
        video.width, video.height, video.pix_fmt = 360, 288, "yuv420p"
        audio = container.add_stream("aac", rate=rate, layout="stereo")
        for n in range(len(faces) * fps // FPS):
            image = np.full((288, 360, 3), 96, np.uint8)
            image[36:252, 72:288] = faces[n * FPS // fps]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = n, Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        block = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[None], np.float32), "fltp", "mono")
        block.sample_rate = SAMPLE_RATE
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=rate)
        for part in [*resampler.resample(block), *resampler.resample(None)]:
            container.mux(audio.encode(part))
        container.mux(audio.encode())
    return path


def excerpt(corpus: Corpus, e: Embeddings, k: int, margin: int = 2) -> np.ndarray:
    """The sound of window number k with `margin` frames on either side, as far as the clip has them: float32 (S,)."""
    sound = corpus.clip(e.tracks[e.track[k]])[1]
    first = max(0, int(e.window[k]) - margin)
    return sound[samples_for(first) : samples_for(int(e.window[k]) + WINDOW_FRAMES + margin)]


def montage(sounds: list[np.ndarray]) -> np.ndarray:
    """Sounds one after the other, equally loud, faded in and out, with a gap between them: float32 (S,)."""
    gap, parts = np.zeros(round(GAP * SAMPLE_RATE), np.float32), []
    for sound in sounds:
        ramp = np.minimum(1, np.arange(len(sound)) / (0.01 * SAMPLE_RATE))
        level = np.sqrt(np.mean(np.square(sound))) or 1.0
        parts += [(0.1 / level * sound * ramp * ramp[::-1]).astype(np.float32), gap]
    return np.clip(np.concatenate(parts[:-1]), -1, 1)
