"""An uploaded video among known people (notebook 10).

    recorder            buttons to record oneself and to upload, of whatever size
    takes               the files that came of them
    expectations        how good which answer is, and where that was measured
    row                 players side by side
    received            write what an ipywidgets.FileUpload holds to a file
    phone_video         a film as a phone might have made it, where nothing was uploaded
    nearest_speakers    who sounds like the video, see `dsel.evaluate.vectors`
    nearest_sounds      which windows sound like one of it
    excerpt, montage    these sounds, to be played one after the other

(Source: ours.)
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from dsel.corpus.tracks import Corpus
from dsel.evaluate.embeddings import Embeddings
from dsel.evaluate.vectors import nearest_sounds, nearest_speakers
from dsel.timing import FPS, SAMPLE_RATE, WINDOW_FRAMES, samples_for
from dsel.utils.errors import BadInput
from dsel.utils.markdown import table

__all__ = [
    "GAP",
    "excerpt",
    "expectations",
    "montage",
    "nearest_sounds",
    "nearest_speakers",
    "phone_video",
    "received",
    "recorder",
    "row",
    "takes",
]

GAP = 0.15  # s of silence between the sounds of a montage
WIDTH, HEIGHT, FACE = 360, 288, 216  # pixels of a phone's film, and of the face in its middle
LOUDNESS = 0.1  # root mean square of each sound of a montage
FADE = 0.01  # s at either end of each sound of a montage


def expectations(network: str = "real") -> str:
    """Tabulate what to expect of a network on real people, as Markdown.

    The numbers stand beside the weights: data/models/same_person.csv and the network's card.
    """
    from dsel.apply.comparison import calibration
    from dsel.train.released import RELEASED

    voice = calibration(network, "real")
    card = RELEASED / f"{network}.md"
    lines = card.read_text(encoding="utf-8").splitlines() if card.is_file() else []
    offsets = [line.split("|")[3].strip() for line in lines if line.startswith("| all |")]
    if voice is None or not offsets:
        raise BadInput(f"{network}: no released network that was measured on real people")
    same, other = (f"{100 * voice[error]:.0f}" for error in ("miss", "false_alarm"))
    rows = [
        [
            "your voice",
            f"of 100 pairs of one person, {same} are called different; "
            f"of 100 pairs of two people, {other} are called the same",
            f"{voice['speakers']} speakers of LibriSpeech, up to {voice['seconds']:g} s each, "
            "another microphone each",
        ],
        [
            "your offset",
            f"{offsets[0]} % right within one frame (40 ms)",
            "15 people of GRID in one studio, 2 s each",
        ],
        ["your face", "nothing: the networks have met one real face", "not measured"],
    ]
    return table(["what", "how good", "measured where"], rows)


def row(players: Sequence[Any]) -> Any:
    """Show what `dsel.teaching.notebook.show_clip` made side by side."""
    from IPython.display import HTML

    inside = "".join(player.data for player in players)
    return HTML(f'<div style="display:flex;flex-wrap:wrap;gap:8px">{inside}</div>')


def recorder(folder: str | Path) -> Any:
    """Make the buttons to record and to upload, see `dsel.teaching.recorder`.

    Without anywidget: an ipywidgets.FileUpload, for files that fit into one message (10 MB; on
    Colab 1 MB).
    """
    try:
        from dsel.teaching.recorder import Recorder
    except ImportError:
        from ipywidgets import FileUpload

        return FileUpload(accept="video/*,.mkv,.mpg", multiple=False, description="Upload")
    return Recorder(folder)


def takes(widget: Any, folder: str | Path) -> list[Path]:
    """List the files that arrived, in order.

    Args:
        widget: what `recorder` made.
        folder: where a FileUpload's file is written.
    Raises:
        BadInput: a file arrived empty.
    """
    if hasattr(widget, "takes"):
        return [Path(path) for path in widget.takes]
    path = received(widget.value, folder)
    return [] if path is None else [path]


def received(value, folder) -> Path | None:
    """Write what an ipywidgets.FileUpload holds into a folder.

    Args:
        value: `upload.value`: a tuple of {"name", "content", ...} in ipywidgets 8,
            {name: {"content", ...}} in ipywidgets 7.
        folder: where to write it.
    Returns:
        the file, or None if nothing was uploaded.
    Raises:
        BadInput: the file arrived empty.
    """
    if isinstance(value, dict):
        files = [(name, entry["content"]) for name, entry in value.items()]
    else:
        files = [(entry["name"], entry["content"]) for entry in value]
    if not files:
        return None
    name, content = files[-1]
    name = PurePosixPath(name.replace("\\", "/")).name or "video"  # some browsers send a path
    if not len(content):
        raise BadInput(f"{name}: arrived with 0 bytes; upload it again")
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(content))
    return path


def phone_video(path, clips: list, *, late: int = 0, fps: int = 30, rate: int = 44_100) -> Path:
    """Write clips as a phone might have filmed them: 360 x 288 pixels, another frame rate, stereo.

    Args:
        path: the file to write.
        clips: (frames uint8 (T, H, W, 3), waveform float32 (640 T,)) each, shown one after the
            other; the face takes the middle of the picture.
        late: 25ths of a second by which the sound is late (early if negative).
        fps, rate: frames and samples per second of the file.
    """
    import av

    from dsel.corpus.cache import resize
    from dsel.corpus.clips import shift_sound

    faces = np.concatenate([resize(np.asarray(frames), FACE) for frames, _ in clips])
    sound = shift_sound(np.concatenate([waveform for _, waveform in clips]), late)
    top, left = (HEIGHT - FACE) // 2, (WIDTH - FACE) // 2
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        options = {"crf": "18", "preset": "veryfast", "threads": "1"}
        video = container.add_stream("libx264", rate=fps, options=options)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=rate, layout="stereo")
        for n in range(len(faces) * fps // FPS):
            image = np.full((HEIGHT, WIDTH, 3), 96, np.uint8)  # a grey wall
            image[top : top + FACE, left : left + FACE] = faces[n * FPS // fps]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = n, Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        samples = np.ascontiguousarray(sound[None], np.float32)
        block = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
        block.sample_rate, block.pts = SAMPLE_RATE, 0  # AAC begins before 0, as its run-in asks for
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=rate)
        for part in [*resampler.resample(block), *resampler.resample(None)]:
            container.mux(audio.encode(part))
        container.mux(audio.encode())
    return path


def excerpt(corpus: Corpus, e: Embeddings, k: int, margin: int = 2) -> np.ndarray:
    """Return the sound of window number k and of some frames on either side, float32 (S,).

    Args:
        corpus: the corpus that `e` was computed from.
        e: the embeddings.
        k: the number of the window in `e`.
        margin: frames on either side, as far as the clip has them.
    """
    sound = corpus.clip(e.tracks[e.track[k]])[1]
    first = max(0, int(e.window[k]) - margin)
    stop = int(e.window[k]) + WINDOW_FRAMES + margin
    return sound[samples_for(first) : samples_for(stop)]


def montage(sounds: list[np.ndarray]) -> np.ndarray:
    """Join sounds, equally loud, faded in and out, with a gap between them: float32 (S,)."""
    gap, parts = np.zeros(round(GAP * SAMPLE_RATE), np.float32), []
    for sound in sounds:
        ramp = np.minimum(1, np.arange(len(sound)) / (FADE * SAMPLE_RATE))
        level = np.sqrt(np.mean(np.square(sound))) or 1.0  # silence stays silence
        parts += [(LOUDNESS / level * sound * ramp * ramp[::-1]).astype(np.float32), gap]
    return np.clip(np.concatenate(parts[:-1]), -1, 1)
