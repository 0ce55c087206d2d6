"""Make the clips of one source file: look, hear, pick the talking face, cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from dsel.corpus.clips import write_clip
from dsel.prepare import decode as media
from dsel.prepare import face_tracks as faces
from dsel.prepare.sources import Source
from dsel.timing import FPS, frame_start, samples_for
from dsel.utils.errors import BadInput
from dsel.utils.files import scratch

if TYPE_CHECKING:
    from dsel.evaluate.sync import Sync

SHORTEST = 1.0  # s of one face, or it is no track
LONGEST = 10.0  # s; a longer track is cut into equal pieces, so that memory and batches stay small
SLOWEST = 10.0  # frames a second; fewer show no lips moving
SILENT = 1e-3  # peak, of 1: -60 dB
LATEST = 0.6  # weight of the last of several source frames that begin within one grid frame


@dataclass(frozen=True)
class Recipe:
    """How every source of a corpus is treated. `detector` and `sync` are functions; the rest goes
    into corpus.json.
    """

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

        Where another one has begun within the same grid frame before it, the two are mixed: the
        later one counts for more, since it is what stays on screen, but no source frame is lost.
        """
        if first >= self.first and len(self.images) == first - self.first + 1:
            mixed = LATEST * image + (1 - LATEST) * self.images[-1]
            self.images[-1] = np.round(mixed).astype(np.uint8)
        while len(self.images) < min(max(stop, first + 1), self.stop) - self.first:
            self.images.append(image)


def make_clips(source: Source, out: Path, recipe: Recipe) -> dict:
    """Prepare one source: write its clips, and return their rows of tracks.csv, their labels, and a
    remark or ''.

    Raises:
        BadInput: nothing in it can be used.
    """
    with scratch(out, "sound") as folder:
        times, looks, whole = _look(source, recipe)
        sound = _hear(source, folder / "sound.f32", begin=times[0])
        origin, cells, count = media.frame_grid(times)
        heard = _heard(sound, origin, count)
        clock = (times, origin, cells, count)
        tracks = [None] if whole else faces.link(looks)  # None: the whole picture is the face
        if not tracks:
            raise BadInput(
                f"{source.path}: no face found; it must look at the camera and be an eighth of the "
                "picture high"
            )
        alone = [track for track in tracks if recipe.sync or whole] or _apart(
            tracks, _presence, lambda t: (t.start, t.end)
        )
        pieces = [piece for track in alone for piece in _pieces(track, origin, *heard)]
        if not pieces:
            raise BadInput(
                f"{source.path}: too short; no face is there, with sound, for {SHORTEST:.0f} s "
                "without a break"
            )
        done = _cut(source, out, recipe, pieces, clock, sound)
        rows = (
            _rows(done, "largest" if len(alone) < len(tracks) else "only")
            if not recipe.sync
            else _in_step(done, out)
        )
    if not rows:
        raise BadInput(
            f"{source.path}: silent wherever a face is seen; give a sound track with --audio FILE"
        )
    words = _words(source)
    labels = [label for row in rows for label in _labels(words, row)]
    return {"rows": rows, "labels": labels, "remark": _remark(source, times, sound)}


def _look(source: Source, recipe: Recipe) -> tuple[np.ndarray, list[faces.Look], bool]:
    """First pass: time stamps (K,) of all frames, the looks for faces, and whether the picture as a
    whole is the face.
    """
    from av.video.reformatter import VideoReformatter

    detect = None
    small, tiny, aspect = VideoReformatter(), VideoReformatter(), media.pixel_aspect(source.path)
    times, looks, whole, due, before, jump, jump_at = [], [], False, -np.inf, None, 0.0, 0.0
    for time, frame in _watched(source, recipe, "looking"):
        whole = source.cropped and frame.width == frame.height
        times.append(time)
        if whole:
            continue
        thumb = tiny.reformat(
            frame, *faces.THUMB, "rgb24", interpolation="AREA", threads=1
        ).to_ndarray()
        change = 0.0 if before is None else faces.thumb_difference(before, thumb)
        before = thumb
        if change > jump:
            jump, jump_at = change, time
        if time >= due:
            detect = detect or recipe.detector or faces.haar()
            picture = media.upright(frame, aspect, small, longest=faces.LONGEST)
            scale = max(picture.shape[:2]) / max(frame.height, frame.width * aspect)
            looks.append(
                faces.Look(time, faces.squares(detect(picture), scale), thumb, jump, jump_at)
            )
            due, jump = time + faces.EVERY - 0.001, 0.0
    if not times:
        raise BadInput(f"{source.path}: not a single frame can be decoded; is the file complete?")
    seconds = times[-1] - times[0]
    rate = (len(times) - 1) / seconds if seconds > 0 else FPS
    if len(times) / rate < SHORTEST - 0.5 / FPS:
        raise BadInput(
            f"{source.path}: {len(times)} frames, {len(times) / rate:.2f} s; at least "
            f"{SHORTEST:.0f} s is needed"
        )
    if rate < SLOWEST:
        raise BadInput(
            f"{source.path}: {rate:.1f} frames/s show no lips moving; at least {SLOWEST:.0f} are "
            "needed"
        )
    return np.array(times), looks, whole


def _watched(source: Source, recipe: Recipe, what: str):
    """The pictures of a source, with a bar where one is wanted."""
    frames = media.pictures(source.path, threads=recipe.threads)
    return (
        tqdm(frames, f"{what} {source.path.name}", unit="frame", leave=False)
        if recipe.bars
        else frames
    )


def _hear(source: Source, raw: Path, begin: float) -> media.Sound:
    """The sound of a source; a separate file has a clock of its own, and begins when the picture
    does.
    """
    sound = media.decode_sound(source.sound or source.path, raw)
    if sound.peak < SILENT:
        raise BadInput(
            f"{source.sound or source.path}: silent; give a sound track with --audio FILE"
        )
    return (
        sound if source.sound is None else media.Sound(sound.path, begin, sound.samples, sound.peak)
    )


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
    """Of candidates that share more than half of the shorter one's time, the one of the greatest
    weight; order is kept.
    """
    kept = []
    for one in sorted(candidates, key=weight, reverse=True):
        (a, b), others = span(one), [span(other) for other in kept]
        if all(min(b, d) - max(a, c) <= 0.5 * min(b - a, d - c) for c, d in others):
            kept.append(one)
    return [one for one in candidates if any(one is other for other in kept)]


def _pieces(track: faces.FaceTrack | None, origin: float, first: int, stop: int) -> list[_Piece]:
    """A track within the grid frames [first, stop), in equal pieces of at most LONGEST seconds;
    none if it is too short.
    """
    if track is not None:
        first = max(first, round((track.start - origin) * FPS))
        stop = min(stop, round((track.end - origin) * FPS))
    if stop - first < SHORTEST * FPS:
        return []
    bounds = (
        np.linspace(first, stop, int(np.ceil((stop - first) / (LONGEST * FPS))) + 1)
        .round()
        .astype(int)
    )
    return [_Piece(track, int(a), int(b)) for a, b in pairwise(bounds)]


def _cut(
    source: Source,
    out: Path,
    recipe: Recipe,
    pieces: list[_Piece],
    clock: tuple,
    sound: media.Sound,
) -> list:
    """Second pass: gather the pieces' crops and write each as a clip once it is complete. Returns
    (piece, row) of each.
    """
    from av.video.reformatter import VideoReformatter

    times, origin, cells, count = clock
    least = min(_side(piece.track) for piece in pieces)
    aspect, shrink = media.pixel_aspect(source.path), VideoReformatter()
    waiting, done = sorted(pieces, key=lambda piece: piece.first), []
    names = _names(source, waiting)
    for k, (time, frame) in enumerate(_watched(source, recipe, "cutting")):
        first, stop = cells[k], cells[k + 1] if k + 1 < len(times) else count
        showing = [
            piece for piece in waiting if piece.first < max(stop, first + 1) and piece.stop > first
        ]
        if showing and not least:
            image = shrink.reformat(
                frame, recipe.size, recipe.size, "rgb24", interpolation="AREA", threads=1
            ).to_ndarray()
            for piece in showing:
                piece.show(image, first, stop)
        elif showing:
            full = max(frame.height, frame.width * aspect)
            picture = media.upright(
                frame,
                aspect,
                shrink,
                longest=int(np.ceil(full * min(1.0, 2 * recipe.size / least))),
            )
            scale = max(picture.shape[:2]) / full
            for piece in showing:
                piece.show(
                    faces.crop(picture, piece.track.at(time) * scale, recipe.size), first, stop
                )
        for piece in [piece for piece in waiting if piece.stop <= stop]:
            waiting.remove(piece)
            waveform = sound.read(
                origin + frame_start(piece.first), samples_for(piece.stop - piece.first)
            )
            if np.abs(waveform).max() >= SILENT:
                done.append(
                    (
                        piece,
                        _write(
                            source,
                            names[id(piece)],
                            out,
                            recipe,
                            piece,
                            waveform,
                            origin - times[0],
                        ),
                    )
                )
            piece.images.clear()
    return done


def _write(
    source: Source,
    name: str,
    out: Path,
    recipe: Recipe,
    piece: _Piece,
    waveform: np.ndarray,
    shift: float,
) -> dict:
    """Write one clip; its row of tracks.csv. `shift`: when the grid begins, counted from the first
    picture, in seconds.
    """
    frames = np.stack(piece.images)  # (T, size, size, 3)
    relative = Path("clips") / source.speaker / f"{name}.mp4"
    write_clip(out / relative, frames, waveform)
    late, confidence = (
        (source.offset or 0, "") if recipe.sync is None else recipe.sync(frames, waveform)
    )
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
    """Of pieces of different faces at the same time, the one most in step with the sound; the other
    clips go.

    The offset is a property of the recording, not of a clip: every clip votes for its own with its
    confidence.
    """
    kept = _apart(
        done, lambda pair: pair[1]["confidence"], lambda pair: (pair[0].first, pair[0].stop)
    )
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
    """(start, end, word) in seconds from the first picture on: GRID's .align, the table in LRS3's
    .txt; [] if unknown.
    """
    if source.words is None or not source.words.is_file():
        return []
    lines = [
        line.split()
        for line in source.words.read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    try:
        if source.words.suffix == ".align":  # start end word, in units of 1/25000 s
            return [
                (int(a) / 25000, int(b) / 25000, word)
                for a, b, word in filter(None, lines)
                if word not in ("sil", "sp")
            ]
        table = next(
            (i for i, line in enumerate(lines) if line[:3] == ["WORD", "START", "END"]), len(lines)
        )
        return [
            (float(a), float(b), word.lower())
            for word, a, b, *_ in filter(None, lines[table + 1 :])
        ]
    except ValueError as error:
        raise BadInput(f"{source.words}: not 'start end word' lines; mend or remove it") from error


def _labels(words: list, row: dict) -> list[dict]:
    """The words that lie within a clip, in its own time."""
    begin, length = row["start"], frame_start(row["frames"])
    inside = [
        (max(0.0, a - begin), min(length, b - begin), word)
        for a, b, word in words
        if a < begin + length and b > begin
    ]
    return [
        {
            "track": row["id"],
            "start": round(a, 4),
            "end": round(b, 4),
            "phoneme": "",
            "viseme": "",
            "word": word,
        }
        for a, b, word in inside
    ]


def _remark(source: Source, times: np.ndarray, sound: media.Sound) -> str:
    """What is to be said about a file that was used, but not in full."""
    reached = max(times[-1], sound.end) - min(times[0], sound.start)
    promised = media.duration(source.path)
    if promised - reached > max(1.0, 0.1 * promised):
        read = f"only the first {reached:.1f} of {promised:.1f} s could be read, and are used"
        return f"{source.path}: broken off; {read}"
    return ""
