"""Any video of talking people -> a corpus: one face each, cropped, 25 frames and 16000 samples a second, in step.

Each source file goes through `make_clips`, by itself and in a process of its own::

    look   decode once: time stamps of all frames, faces every 0.2 s, cuts               dsel.media, dsel.faces
    hear   decode the sound to a file of bare 16 kHz samples, placed by its time stamps  dsel.media
    pick   tracks of one face each; where several are there at once, the one who talks
    cut    decode again: crop, put on the grid of 25 a second, write clips with sound

What has been done is noted in `parts/`, one small file a source, so that a second run goes on where the first one stopped.
(Source: the paper's data are VoxCeleb2 crops; how other video becomes like them is ours.)
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import unicodedata
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from dsel import faces, media
from dsel.corpus import LABELS, SPLITS, Corpus, replace_text, write_corpus, write_csv
from dsel.errors import BadInput
from dsel.timing import FPS, frame_start, samples_for

LAYOUTS = ("grid", "voxceleb2", "lrs")
VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".flv", ".wmv", ".3gp")
SOUNDS = (".wav", ".m4a", ".aac", ".flac")
SHORTEST = 1.0  # s of one face, or it is no track
LONGEST = 10.0  # s; a longer track is cut into equal pieces, so that memory and batches stay small
SLOWEST = 10.0  # frames a second; fewer show no lips moving
SILENT = 1e-3  # peak, of 1: -60 dB
LATEST = 0.6  # weight of the last of several source frames that begin within one grid frame

Sync = Callable[[np.ndarray, np.ndarray], tuple[int, float]]


@dataclass(frozen=True)
class Source:
    """One file to be prepared, and what its layout tells about it."""

    path: Path
    speaker: str
    name: str  # of its tracks, unique in the corpus
    sound: Path | None = None  # where the sound is, if not in the video
    words: Path | None = None  # GRID's .align or LRS' .txt
    offset: int | None = None  # frames by which the sound is late, if the layout knows
    cropped: bool = False  # the picture already is a face crop


@dataclass(frozen=True)
class Recipe:
    """How every source of a corpus is treated. `detector` and `sync` are functions; the rest goes into corpus.json."""

    size: int = 96
    detector: faces.Detector | None = None
    sync: Sync | None = None
    threads: int = 1
    bars: bool = False  # one more bar, for the frames of the file at hand


@dataclass
class _Piece:
    """Grid frames [first, stop) of a face track, being gathered."""

    track: faces.FaceTrack | None  # None: the whole picture
    first: int
    stop: int
    images: list = field(default_factory=list)  # uint8 (size, size, 3) each

    def show(self, image: np.ndarray, first: int, stop: int) -> None:
        """A source frame begins within grid frame `first` and is on screen until `stop`.

        Where another one has begun within the same grid frame before it, the two are mixed: the later one counts for
        more, since it is what stays on screen, but no source frame is lost.
        """
        if first >= self.first and len(self.images) == first - self.first + 1:
            mixed = LATEST * image + (1 - LATEST) * self.images[-1]
            self.images[-1] = np.round(mixed).astype(np.uint8)
        while len(self.images) < min(max(stop, first + 1), self.stop) - self.first:
            self.images.append(image)


def prepare(
    paths,
    out,
    *,
    layout: str | None = None,
    audio=None,
    split: str = "test",
    size: int = 96,
    workers: int | None = None,
    model=None,
    detector: faces.Detector | None = None,
    progress: bool = True,
) -> Corpus:
    """Turn videos into a corpus of face tracks with sound, and open it.

    Args:
        paths: a file or folder, or several; folders are searched through.
        out: folder of the corpus; a corpus that an earlier run began is gone on with, what is done stays as it is.
        layout: 'grid', 'voxceleb2' or 'lrs': where these corpora keep speaker, words and offset. None: by the look of
            each path; otherwise the speaker is the name of the folder that the file lies in.
        audio: a file with the sound of the (one) video, both beginning at the same instant.
        split: 'train', 'validation', 'test', or 'auto': by speaker, 80/10/10, the same at every run.
        size: pixels of the square crop, even.
        workers: processes; None: one a core.
        model: what tells whether a face is in step with the sound: the path of a trained run, the name of released
            networks, networks, or a function from frames uint8 (T, H, W, 3) and waveform float32 (640 T,) to (frames by
            which the sound is late, confidence).
            With it the offset is estimated, and of several faces the talking one is taken; without it the largest one.
        detector: see `dsel.faces`; None: OpenCV's.
        progress: draw a bar.
    Raises:
        BadInput: nothing usable came out, or arguments that cannot be. A single bad file is reported on stderr and in
            skipped.csv, and left out.
    """
    out = Path(out)
    if layout not in (None, *LAYOUTS):
        raise BadInput(f"layout {layout!r} is none of {', '.join(LAYOUTS)}")
    if split not in (*SPLITS, "auto"):
        raise BadInput(f"split {split!r} is none of {', '.join(SPLITS)}, auto")
    if size < 16 or size % 2:
        raise BadInput(f"size {size}: must be even and at least 16")
    _check_out(out, size)
    paths = [Path(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    sources = plan(paths, out, layout=layout, audio=audio)
    todo = [source for source in sources if not _finished(source, out, bool(model))]
    workers = max(1, min(workers or os.cpu_count() or 1, len(todo)))
    alone = workers == 1
    recipe = Recipe(size, detector, sync_of(model), threads=0 if alone else 1, bars=progress and alone)
    (out / "parts").mkdir(parents=True, exist_ok=True)
    if len(todo) < len(sources) and progress:
        tqdm.write(f"{len(sources) - len(todo)} of {len(sources)} files are done already", file=sys.stderr)
    skipped, corpus = {}, None
    try:
        work = _each(todo, out, recipe, workers)
        for source, reason in tqdm(work, "preparing", len(todo), unit="file", disable=not progress):
            if reason:
                skipped[source.path] = reason
    finally:  # also when interrupted: what is done can be opened, and the next run goes on from there
        for left in out.glob(".sound-*"):  # of a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        corpus = _gather(out, split, size, skipped)
    if corpus is None and len(skipped) == 1:
        raise BadInput(*skipped.values())
    _tell(skipped, [part for part in _parts(out) if part["path"] in {str(source.path.resolve()) for source in sources}])
    if corpus is None:
        raise BadInput(f"{out}: none of {len(sources)} files can be used; {out / 'skipped.csv'} says why")
    return corpus


def _tell(skipped: dict[Path, str], parts: list[dict]) -> None:
    """One line on stderr for every file that was not used, or not in full, and one on faces that were left out."""
    lines = [f"skipped: {reason}" for reason in skipped.values()]
    lines += [f"partly used: {part['remark']}" for part in parts if part["remark"]]
    crowded = sum(any(row["chosen"] == "largest" for row in part["rows"]) for part in parts)
    if crowded:
        lines.append(
            f"{crowded} file(s) show several faces at once; the largest was taken (with --model RUN: the one who talks)"
        )
    for line in lines:
        print(line, file=sys.stderr)


def plan(paths: list[Path], out: Path, *, layout: str | None = None, audio=None) -> list[Source]:
    """The sources among files and folders, sorted, with speaker, words and offset as their layout tells them.

    Raises:
        BadInput: a path that is not there, no video, or a sound track given for more than one video.
    """
    files = []
    for path in paths:
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix.lower() in VIDEOS and p.is_file())
            inside = out.resolve()
            files += [p for p in found if not p.resolve().is_relative_to(inside) and not p.name.startswith(".")]
        elif path.exists():
            files.append(path)
        else:
            raise BadInput(f"{path}: no such file or folder")
    files = list({path.resolve(): path for path in files}.values())
    if not files:
        raise BadInput(f"{', '.join(map(str, paths))}: no video in it (looked for {' '.join(sorted(VIDEOS))})")
    if audio is not None:
        if len(files) != 1:
            raise BadInput(f"{audio}: one sound track, but {len(files)} videos; prepare them one by one")
        if not Path(audio).is_file():
            raise BadInput(f"{audio}: no such sound file")
    sources = [_source(path, layout, None if audio is None else Path(audio)) for path in files]
    return _with_unique_names(sources, out)


def make_clips(source: Source, out: Path, recipe: Recipe) -> dict:
    """Prepare one source: write its clips, and return their rows of tracks.csv, their labels, and a remark or ''.

    Raises:
        BadInput: nothing in it can be used.
    """
    with tempfile.TemporaryDirectory(prefix=".sound-", dir=out) as scratch:
        times, looks, whole = _look(source, recipe)
        sound = _hear(source, Path(scratch) / "sound.f32", begin=times[0])
        origin, cells, count = media.frame_grid(times)
        heard = _heard(sound, origin, count)
        clock = (times, origin, cells, count)
        tracks = [None] if whole else faces.link(looks)  # None: the whole picture is the face
        if not tracks:
            raise BadInput(f"{source.path}: no face found; it must look at the camera and be an eighth of the picture high")
        alone = [track for track in tracks if recipe.sync or whole] or _apart(tracks, _presence, lambda t: (t.start, t.end))
        pieces = [piece for track in alone for piece in _pieces(track, origin, *heard)]
        if not pieces:
            raise BadInput(f"{source.path}: too short; no face is there, with sound, for {SHORTEST:.0f} s without a break")
        done = _cut(source, out, recipe, pieces, clock, sound)
        rows = _rows(done, "largest" if len(alone) < len(tracks) else "only") if not recipe.sync else _in_step(done, out)
    if not rows:
        raise BadInput(f"{source.path}: silent wherever a face is seen; give a sound track with --audio FILE")
    words = _words(source)
    labels = [label for row in rows for label in _labels(words, row)]
    return {"rows": rows, "labels": labels, "remark": _remark(source, times, sound)}


def _look(source: Source, recipe: Recipe) -> tuple[np.ndarray, list[faces.Look], bool]:
    """First pass: time stamps (K,) of all frames, the looks for faces, and whether the picture as a whole is the face."""
    from av.video.reformatter import VideoReformatter

    detect = None
    small, tiny, aspect = VideoReformatter(), VideoReformatter(), media.pixel_aspect(source.path)
    times, looks, whole, due, before, jump, jump_at = [], [], False, -np.inf, None, 0.0, 0.0
    for time, frame in _watched(source, recipe, "looking"):
        whole = source.cropped and frame.width == frame.height
        times.append(time)
        if whole:
            continue
        thumb = tiny.reformat(frame, *faces.THUMB, "rgb24", interpolation="AREA", threads=1).to_ndarray()
        change = 0.0 if before is None else faces.thumb_difference(before, thumb)
        before = thumb
        if change > jump:
            jump, jump_at = change, time
        if time >= due:
            detect = detect or recipe.detector or faces.haar()
            picture = media.upright(frame, aspect, small, longest=faces.LONGEST)
            scale = max(picture.shape[:2]) / max(frame.height, frame.width * aspect)
            looks.append(faces.Look(time, faces.squares(detect(picture), scale), thumb, jump, jump_at))
            due, jump = time + faces.EVERY - 0.001, 0.0
    if not times:
        raise BadInput(f"{source.path}: not a single frame can be decoded; is the file complete?")
    seconds = times[-1] - times[0]
    rate = (len(times) - 1) / seconds if seconds > 0 else FPS
    if len(times) / rate < SHORTEST - 0.5 / FPS:
        raise BadInput(f"{source.path}: {len(times)} frames, {len(times) / rate:.2f} s; at least {SHORTEST:.0f} s is needed")
    if rate < SLOWEST:
        raise BadInput(f"{source.path}: {rate:.1f} frames/s show no lips moving; at least {SLOWEST:.0f} are needed")
    return np.array(times), looks, whole


def _watched(source: Source, recipe: Recipe, what: str):
    """The pictures of a source, with a bar."""
    frames = media.pictures(source.path, threads=recipe.threads)
    return tqdm(frames, f"{what} {source.path.name}", unit="frame", leave=False, disable=not recipe.bars)


def _hear(source: Source, raw: Path, begin: float) -> media.Sound:
    """The sound of a source; a separate file has a clock of its own, and begins when the picture does."""
    sound = media.decode_sound(source.sound or source.path, raw)
    if sound.peak < SILENT:
        raise BadInput(f"{source.sound or source.path}: silent; give a sound track with --audio FILE")
    return sound if source.sound is None else media.Sound(sound.path, begin, sound.samples, sound.peak)


def _heard(sound: media.Sound, origin: float, count: int) -> tuple[int, int]:
    """The grid frames [first, stop) that have sound; a frame at either end may lack some of it."""
    first = int(np.ceil((sound.start - origin) * FPS - 1))
    stop = int(np.floor((sound.end - origin) * FPS + 1))
    return max(0, first), min(count, stop)


def _side(track: faces.FaceTrack | None) -> float:
    return track.side if track else 0.0


def _presence(track: faces.FaceTrack) -> float:
    """How much of the picture a face takes, for how long: pixels x seconds."""
    return track.side**2 * track.seconds


def _apart(candidates: list, weight: Callable, span: Callable) -> list:
    """Of candidates that share more than half of the shorter one's time, the one of the greatest weight; order is kept."""
    kept = []
    for one in sorted(candidates, key=weight, reverse=True):
        (a, b), others = span(one), [span(other) for other in kept]
        if all(min(b, d) - max(a, c) <= 0.5 * min(b - a, d - c) for c, d in others):
            kept.append(one)
    return [one for one in candidates if any(one is other for other in kept)]


def _pieces(track: faces.FaceTrack | None, origin: float, first: int, stop: int) -> list[_Piece]:
    """A track within the grid frames [first, stop), in equal pieces of at most LONGEST seconds; none if it is too short."""
    if track is not None:
        first = max(first, round((track.start - origin) * FPS))
        stop = min(stop, round((track.end - origin) * FPS))
    if stop - first < SHORTEST * FPS:
        return []
    bounds = np.linspace(first, stop, int(np.ceil((stop - first) / (LONGEST * FPS))) + 1).round().astype(int)
    return [_Piece(track, int(a), int(b)) for a, b in pairwise(bounds)]


def _cut(source: Source, out: Path, recipe: Recipe, pieces: list[_Piece], clock: tuple, sound: media.Sound) -> list:
    """Second pass: gather the pieces' crops and write each as a clip once it is complete. Returns (piece, row) of each."""
    from av.video.reformatter import VideoReformatter

    times, origin, cells, count = clock
    least = min(_side(piece.track) for piece in pieces)
    aspect, shrink = media.pixel_aspect(source.path), VideoReformatter()
    waiting, done = sorted(pieces, key=lambda piece: piece.first), []
    names = _names(source, waiting)
    for k, (time, frame) in enumerate(_watched(source, recipe, "cutting")):
        first, stop = cells[k], cells[k + 1] if k + 1 < len(times) else count
        showing = [piece for piece in waiting if piece.first < max(stop, first + 1) and piece.stop > first]
        if showing and not least:
            image = shrink.reformat(frame, recipe.size, recipe.size, "rgb24", interpolation="AREA", threads=1).to_ndarray()
            for piece in showing:
                piece.show(image, first, stop)
        elif showing:
            full = max(frame.height, frame.width * aspect)
            picture = media.upright(frame, aspect, shrink, longest=int(np.ceil(full * min(1.0, 2 * recipe.size / least))))
            scale = max(picture.shape[:2]) / full
            for piece in showing:
                piece.show(faces.crop(picture, piece.track.at(time) * scale, recipe.size), first, stop)
        for piece in [piece for piece in waiting if piece.stop <= stop]:
            waiting.remove(piece)
            waveform = sound.read(origin + frame_start(piece.first), samples_for(piece.stop - piece.first))
            if np.abs(waveform).max() >= SILENT:
                done.append((piece, _write(source, names[id(piece)], out, recipe, piece, waveform, origin - times[0])))
            piece.images.clear()
    return done


def _write(source: Source, name: str, out: Path, recipe: Recipe, piece: _Piece, waveform: np.ndarray, shift: float) -> dict:
    """Write one clip; its row of tracks.csv. `shift`: when the grid begins, counted from the first picture, in seconds."""
    frames = np.stack(piece.images)  # (T, size, size, 3)
    relative = Path("clips") / source.speaker / f"{name}.mp4"
    media.write_clip(out / relative, frames, waveform)
    late, confidence = (source.offset or 0, "") if recipe.sync is None else recipe.sync(frames, waveform)
    return {
        "id": name,
        "speaker": source.speaker,
        "split": "",  # known when the corpus is put together
        "path": relative.as_posix(),
        "frames": len(frames),
        "offset": int(late),
        "confidence": confidence if confidence == "" else round(float(confidence), 4),
        "source": source.path.name,
        "start": round(frame_start(piece.first) + shift, 4),
        "face_pixels": round(_side(piece.track)),
        "chosen": "",
    }


def _names(source: Source, pieces: list[_Piece]) -> dict[int, str]:
    """The track ids of a source's pieces, by id(): the source's name alone if there is but one."""
    if len(pieces) == 1:
        return {id(pieces[0]): source.name}
    return {id(piece): f"{source.name}-{n:03d}" for n, piece in enumerate(pieces, start=1)}


def _rows(done: list, how: str) -> list[dict]:
    return [{**row, "chosen": how} for _, row in done]


def _in_step(done: list, out: Path) -> list[dict]:
    """Of pieces of different faces at the same time, the one most in step with the sound; the other clips go.

    The offset is a property of the recording, not of a clip: every clip votes for its own with its confidence.
    """
    kept = _apart(done, lambda pair: pair[1]["confidence"], lambda pair: (pair[0].first, pair[0].stop))
    rows = _rows(kept, "talking" if len(kept) < len(done) else "only")
    paths = {row["path"] for row in rows}
    for _, row in done:
        if row["path"] not in paths:
            (out / row["path"]).unlink(missing_ok=True)
    votes: dict[int, float] = {}
    for row in rows:
        votes[row["offset"]] = votes.get(row["offset"], 0.0) + max(row["confidence"], 1e-9)
    return [{**row, "offset": max(votes, key=votes.get)} for row in rows]


def _words(source: Source) -> list[tuple[float, float, str]]:
    """(start, end, word) in seconds from the first picture on: GRID's .align, the table in LRS3's .txt; [] if unknown."""
    if source.words is None or not source.words.is_file():
        return []
    lines = [line.split() for line in source.words.read_text(encoding="utf-8", errors="replace").splitlines()]
    try:
        if source.words.suffix == ".align":  # start end word, in units of 1/25000 s
            return [(int(a) / 25000, int(b) / 25000, word) for a, b, word in filter(None, lines) if word not in ("sil", "sp")]
        table = next((i for i, line in enumerate(lines) if line[:3] == ["WORD", "START", "END"]), len(lines))
        return [(float(a), float(b), word.lower()) for word, a, b, *_ in filter(None, lines[table + 1 :])]
    except ValueError as error:
        raise BadInput(f"{source.words}: not 'start end word' lines; mend or remove it") from error


def _labels(words: list, row: dict) -> list[dict]:
    """The words that lie within a clip, in its own time."""
    begin, length = row["start"], frame_start(row["frames"])
    inside = [(max(0.0, a - begin), min(length, b - begin), word) for a, b, word in words if a < begin + length and b > begin]
    return [
        {"track": row["id"], "start": round(a, 4), "end": round(b, 4), "phoneme": "", "viseme": "", "word": word}
        for a, b, word in inside
    ]


def _remark(source: Source, times: np.ndarray, sound: media.Sound) -> str:
    """What is to be said about a file that was used, but not in full."""
    reached = max(times[-1], sound.end) - min(times[0], sound.start)
    promised = media.duration(source.path)
    if promised - reached > max(1.0, 0.1 * promised):
        return f"{source.path}: broken off; only the first {reached:.1f} of {promised:.1f} s could be read, and are used"
    return ""


# ---------------------------------------------------------------------------------------------------------------------
# Layouts: what the path of a file tells.


def _source(path: Path, layout: str | None, audio: Path | None) -> Source:
    layout = layout or _guess(path)
    parts = path.resolve().parts
    speaker, name = parts[-2], path.stem
    sound, words, offset = audio, None, None
    if layout == "grid":  # .../s12/bbaf2n.mpg, .../s12/video/mpg_6000/bbaf2n.mpg; words in .../s12/align/ or beside
        at = next((i for i in range(len(parts) - 2, 0, -1) if re.fullmatch(r"s(\d{1,2}|U[A-D])", parts[i])), len(parts) - 2)
        speaker = parts[at]
        homes = [path.parent, Path(*parts[: at + 1]) / "align", Path(*parts[:at]) / "align" / speaker]
        words = next((home / f"{name}.align" for home in homes if (home / f"{name}.align").is_file()), None)
    elif layout in ("voxceleb2", "lrs") and len(parts) > 3:
        # voxceleb2: .../mp4/id00012/21Uxsk56VDQ/00001.mp4, .../txt/id00012/...; lrs: .../<video>/00001.mp4, 00001.txt beside
        if layout == "voxceleb2":
            speaker, name = parts[-3], f"{parts[-2]}-{name}"
        text = _beside(path, (".txt",), ("txt",), 3)
        if layout == "voxceleb2":
            offset = _voxceleb2_offset(text) if text else None
            sound = audio or (None if _has_sound(path) else _beside(path, SOUNDS, ("aac", "wav", "m4a", "audio"), 3))
        else:
            words = text
    return Source(path, _plain(speaker), _plain(f"{speaker}-{name}"), sound, words, offset, layout == "voxceleb2")


def _guess(path: Path) -> str | None:
    if path.with_suffix(".align").is_file():
        return "grid"
    parts = path.resolve().parts
    if len(parts) > 3 and re.fullmatch(r"id\d{5}", parts[-3]) and re.fullmatch(r"[\w-]{11}", parts[-2]):
        return "voxceleb2"
    return None


def _beside(path: Path, suffixes: tuple, folders: tuple, depth: int) -> Path | None:
    """The file of the same name with another suffix: in the same folder, or in a parallel tree under another name."""
    path = path.resolve()
    root = path.parents[depth - 1] if len(path.parents) >= depth else path.parent
    homes = [path.parent, *(root.parent / folder / path.parent.relative_to(root) for folder in folders)]
    candidates = [home / f"{path.stem}{suffix}" for home in homes for suffix in suffixes]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _voxceleb2_offset(text: Path) -> int | None:
    """Frames by which the sound is late, from the line 'Offset : k'.

    There k says that picture frame f + k belongs to the sound of frame f, so the sound is late by -k. (Authors' code.)
    """
    match = re.search(r"^Offset\s*:\s*(-?\d+)", text.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    return -int(match.group(1)) if match else None


def _has_sound(path: Path) -> bool:
    try:
        with media.opened(path) as container:
            return bool(container.streams.audio)
    except BadInput:
        return True  # whatever is wrong with the file is said when it is its turn


def _plain(name: str) -> str:
    """A name that is safe in a path, a csv and a shell on any system; letters of all scripts stay."""
    return re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", name)).strip("._-") or "unnamed"


def _with_unique_names(sources: list[Source], out: Path) -> list[Source]:
    """Where two files would get the same name, in this run or with an earlier one, a digest of the path tells them apart."""
    taken: dict[str, Path] = {}
    for part in _parts(out):
        taken[part["name"]] = Path(part["path"])
    unique = []
    for source in sources:
        path = source.path.resolve()
        if taken.setdefault(source.name, path) != path:
            source = replace(source, name=f"{source.name}-{hashlib.sha1(str(path).encode()).hexdigest()[:6]}")
            taken[source.name] = path
        unique.append(source)
    return unique


def sync_of(model) -> Sync | None:
    """A function of frames and waveform that says (frames by which the sound is late, confidence).

    model: None; such a function; networks (`dsel.load`); the path of a trained run; or the name of released networks.
    """
    from torch.nn import Module

    if model is None or (callable(model) and not isinstance(model, Module)):
        return model
    return InStep(model if isinstance(model, Module) else _networks(model))  # says now what is wrong with it


def _networks(model):
    from dsel.train import RELEASED, load_model, load_released

    released = not Path(model).exists() and (RELEASED / f"{model}.pt").is_file()
    return load_released(str(model)) if released else load_model(model, "cpu")


@dataclass(frozen=True)
class InStep:
    """Whether a face and a sound belong together, by the content embeddings of trained networks.

    Called with frames uint8 (T, H, W, 3) and waveform float32 (640 T,) it returns (frames by which the sound is late,
    confidence); it looks 15 frames far to either side, or as far as a short clip allows.
    """

    model: object  # a dsel.model.TwoStream

    def __call__(self, frames: np.ndarray, waveform: np.ndarray) -> tuple[int, float]:
        import torch

        from dsel.corpus import resize
        from dsel.evaluate import sync_offset

        if multiprocessing.parent_process() is not None:
            torch.set_num_threads(1)  # the files are spread over the cores already
        model = self.model.eval()
        picture = torch.from_numpy(resize(frames, model.config.face_size))[None]
        with torch.inference_mode():
            face = model.face(picture)["content"][0].float().numpy()  # (N, D)
            audio = model.audio(torch.from_numpy(waveform)[None])["content"][0].float().numpy()
        late, confidence, _ = sync_offset(face, audio, reach=min(15, (len(face) - 1) // 2))
        return late, confidence


def _check_out(out: Path, size: int) -> None:
    """A folder that `prepare` may write to: new, or of a corpus it began itself with the same size."""
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: is a file; give a folder for the corpus")
    if not (out / "corpus.json").is_file():
        return
    meta = Corpus(out).meta
    if meta["made_by"] != "prepare" or meta["recipe"].get("size") != size:
        raise BadInput(f"{out}: holds a corpus made by {meta['made_by']} {meta['recipe'].get('size', '')}; give another folder")


# ---------------------------------------------------------------------------------------------------------------------
# Many files: processes, what is done already, the corpus.


def _each(todo: list[Source], out: Path, recipe: Recipe, workers: int):
    """(source, '' or the reason why it was skipped) of every source, as they get done."""
    if workers == 1 or len(todo) < 2:
        for source in todo:
            yield source, _one(source, out, recipe)
        return
    # Fork where it is the custom: nothing is imported again, and it works from a notebook and from a script on stdin.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    left = {source.path: source for source in todo}
    while left:
        # A decoder that crashes takes its pool along; what was not finished goes on, alone, in a new one.
        alone = len(left) < len(todo)
        batch = list(left.values())[: 1 if alone else None]
        with ProcessPoolExecutor(1 if alone else workers, context) as pool:
            jobs = {pool.submit(_one, source, out, recipe): source for source in batch}
            try:
                for job in as_completed(jobs):
                    reason = job.result()
                    yield left.pop(jobs[job].path), reason
            except BrokenProcessPool:
                if alone:
                    yield left.pop(batch[0].path), f"{batch[0].path}: the decoder crashed on it; convert it to another format"
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _one(source: Source, out: Path, recipe: Recipe) -> str:
    """Prepare one source and note that it is done; '' or the reason why it cannot be used."""
    try:
        made = make_clips(source, out, recipe)
    except BadInput as error:
        return str(error)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        return f"{source.path}: cannot be read ({error.strerror}); check the file and its permissions"
    part = {
        "name": source.name,
        "path": str(source.path.resolve()),
        "print": _print_of(source, recipe.sync is not None),
        **made,
    }
    replace_text(_part(source, out), json.dumps(part, ensure_ascii=False))
    return ""


def _print_of(source: Source, synced: bool) -> str:
    """Changes when the source, its sound, its words or its place in the corpus change."""
    digest = hashlib.sha1(repr((source.speaker, source.name, source.offset, source.cropped, synced)).encode())
    for path in (source.path, source.sound, source.words):
        stat = path.stat() if path else None
        digest.update(repr((str(path and path.resolve()), stat and (stat.st_size, stat.st_mtime_ns))).encode())
    return digest.hexdigest()


def _part(source: Source, out: Path) -> Path:
    return out / "parts" / f"{hashlib.sha1(source.name.encode()).hexdigest()[:20]}.json"


def _parts(out: Path) -> list[dict]:
    """What earlier runs finished, in order of name."""
    found = []
    for path in sorted((out / "parts").glob("*.json")):
        with contextlib.suppress(json.JSONDecodeError):
            found.append(json.loads(path.read_text(encoding="utf-8")))
    return sorted(found, key=lambda part: part["name"])


def _finished(source: Source, out: Path, synced: bool) -> bool:
    """Whether an earlier run prepared this source as it is now, with a model or without, and its clips are still there."""
    path = _part(source, out)
    if not path.is_file():
        return False
    part = json.loads(path.read_text(encoding="utf-8"))
    return part["print"] == _print_of(source, synced) and all((out / row["path"]).is_file() for row in part["rows"])


def _gather(out: Path, split: str, size: int, skipped: dict[Path, str]) -> Corpus | None:
    """tracks.csv, labels, corpus.json and skipped.csv from what is done; None if that is nothing."""
    parts = _parts(out)
    rows = [{**row, "split": split if split != "auto" else split_of(row["speaker"])} for part in parts for row in part["rows"]]
    told = [{"file": str(path), "used": "no", "reason": reason} for path, reason in skipped.items()]
    told += [{"file": part["path"], "used": "partly", "reason": part["remark"]} for part in parts if part["remark"]]
    write_csv(out / "skipped.csv", told, ("file", "used", "reason"))
    if not rows:
        return None
    by_speaker: dict[str, list] = {}
    for part in parts:
        for label in part["labels"]:
            by_speaker.setdefault(part["rows"][0]["speaker"], []).append(label)
    for speaker, labels in by_speaker.items():
        write_csv(out / "labels" / f"{speaker}.csv", labels, LABELS)
    return write_corpus(out, rows, made_by="prepare", seed=None, licence="that of the recordings", size=size)


def split_of(speaker: str) -> str:
    """'train', 'validation' or 'test' in 80/10/10 by the speaker's name alone, so that it stays whatever else is added."""
    share = int(hashlib.sha1(speaker.encode()).hexdigest()[:8], 16) / 16**8
    return "train" if share < 0.8 else "validation" if share < 0.9 else "test"
