"""Make the clips of one source file: look, hear, pick the talking face, cut."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from dsel.corpus.clips import read_clip, write_clip
from dsel.prepare import decode as media
from dsel.prepare import face_tracks as faces
from dsel.prepare.contents import Contents, contents
from dsel.prepare.labels import labels_of, words_of
from dsel.prepare.remarks import notes_on, remark_on
from dsel.prepare.sound_tracks import SILENT, SoundTrack, hear
from dsel.prepare.sources import Source
from dsel.timing import FPS, frame_start, samples_for
from dsel.utils.errors import BadInput
from dsel.utils.files import scratch

if TYPE_CHECKING:
    from dsel.evaluate.sync import Sync

SHORTEST = 1.0  # s of one face, or it is no track
LONGEST = 10.0  # s; a longer track is cut into equal pieces, so that memory and batches stay small
SLOWEST = 10.0  # frames per second; fewer show no lips moving
LATEST = 0.6  # weight of the last of several source frames that begin within one grid frame
STILL = 0.25  # of 255: what pixels of a face change by from frame to frame, on average, at most
MOST_COMPARED = 12  # clips by which sound tracks are compared


@dataclass(frozen=True)
class Recipe:
    """How every source of a corpus is treated.

    `detector` and `sync` are functions; the rest goes into corpus.json.
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
        """Show a source frame that begins within grid frame `first` and stays until `stop`.

        Where another one has begun within the same grid frame before it, the two are mixed: the
        later one counts for more, since it is what stays on screen, but no source frame is lost.
        """
        if first >= self.first and len(self.images) == first - self.first + 1:
            mixed = LATEST * image + (1 - LATEST) * self.images[-1]
            self.images[-1] = np.round(mixed).astype(np.uint8)
        while len(self.images) < min(max(stop, first + 1), self.stop) - self.first:
            self.images.append(image)


@dataclass(frozen=True)
class _Seen:
    """What the first pass over the pictures tells."""

    times: np.ndarray  # (K,) seconds of all frames
    looks: list[faces.Look]
    whole: bool  # the picture as a whole is the face
    breaks: list[float]  # times in seconds that no clip may cross


def make_clips(source: Source, out: Path, recipe: Recipe) -> dict:
    """Prepare one source and write its clips.

    Returns:
        {"rows": of tracks.csv, "labels", "remark": why it was used in part only, or '', "notes":
        what else is to be known about it}
    Raises:
        BadInput: nothing in it can be used.
    """
    known = contents(source.path)
    with scratch(out, "sound") as folder:
        seen = _look(source, recipe, known)
        heard = hear(source, folder, seen.times[0], known)
        tracks = [None] if seen.whole else faces.link(seen.looks, seen.breaks)
        if not tracks:
            raise BadInput(
                f"{source.path}: no face found; it must look at the camera and be an eighth of the "
                "picture high"
            )
        alone = tracks
        if not recipe.sync and not seen.whole:
            alone = _apart(tracks, _presence, lambda t: (t.start, t.end))
        used, done = _fitting(source, out, recipe, known, seen, heard, alone)
        if recipe.sync:
            rows = _in_step(done, out)
        else:
            rows = _rows(done, "largest" if len(alone) < len(tracks) else "only")
    words = words_of(source)
    return {
        "rows": rows,
        "labels": [label for row in rows for label in labels_of(words, row)],
        "remark": remark_on(source, seen.times, used.sound, known),
        "notes": list(notes_on(source, known, used, len(heard), bool(recipe.sync), rows, alone)),
    }


def _look(source: Source, recipe: Recipe, known: Contents) -> _Seen:
    """Go through all frames once: time stamps, faces every now and then, cuts."""
    from av.video.reformatter import VideoReformatter

    detect = None
    small, tiny, aspect = (
        VideoReformatter(),
        VideoReformatter(),
        media.pixel_aspect(source.path, known),
    )
    times, looks, due, before, jump, jump_at = [], [], -np.inf, None, 0.0, 0.0
    breaks, shape, whole = list(known.splices), None, False
    for time, frame in _watched(source, recipe, known, "looking"):
        now = (frame.width, frame.height, media.orientation(frame))
        if shape is None:
            whole = source.cropped and frame.width == frame.height
        if shape not in (None, now) or (times and time - times[-1] > faces.BRIDGE):
            breaks.append(time)
        shape = now
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
            boxes = faces.squares(detect(picture), scale)
            crops = tuple(faces.crop(picture, box * scale, faces.FACE) for box in boxes)
            looks.append(faces.Look(time, boxes, thumb, jump, jump_at, crops))
            due, jump = time + faces.EVERY - 0.001, 0.0
    if not times:
        raise BadInput(f"{source.path}: not a single frame can be decoded; is the file complete?")
    _check_frames(source, times)
    return _Seen(np.array(times), looks, whole, breaks)


def _check_frames(source: Source, times: list[float]) -> None:
    """Refuse a video that is too short or too slow."""
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


def _watched(source: Source, recipe: Recipe, known: Contents, what: str) -> Iterable:
    """Return the pictures of a source, with a bar where one is wanted."""
    frames = media.pictures(source.path, threads=recipe.threads, known=known)
    if not recipe.bars:
        return frames
    return tqdm(frames, f"{what} {source.path.name}", unit="frame", leave=False)


def _fitting(
    source: Source,
    out: Path,
    recipe: Recipe,
    known: Contents,
    seen: _Seen,
    heard: list[SoundTrack],
    tracks: list,
) -> tuple[SoundTrack, list]:
    """Cut the clips with the sound track that fits the face best. Returns it, and (piece, row)s."""
    clock = (seen.times, *media.frame_grid(seen.times))

    def clips(one: SoundTrack) -> list:
        pieces = _all_pieces(seen, tracks, one.sound, clock)
        return _cut(source, out, recipe, pieces, clock, one.sound, known) if pieces else []

    used, done = next(((one, made) for one in heard if (made := clips(one))), (heard[0], []))
    if not done and any(_all_pieces(seen, tracks, one.sound, clock) for one in heard):
        raise BadInput(
            f"{source.path}: silent wherever a face is seen; give a sound track with --audio FILE"
        )
    if not done:
        raise BadInput(
            f"{source.path}: too short; no face is there, with sound, for {SHORTEST:.0f} s without "
            "a break"
        )
    if recipe.sync and len(heard) > 1:
        best = max(heard, key=lambda one: _evidence(done, out, recipe, one.sound, clock[1]))
        if best is not used:
            _remove(out, [row for _, row in done])
            used, done = best, clips(best)
    return used, done


def _evidence(done: list, out: Path, recipe: Recipe, sound: media.Sound, origin: float) -> float:
    """Add up how surely clips are in step with a sound; longer ones count for more."""
    total = 0.0
    for piece, row in done[:MOST_COMPARED]:
        frames, _ = read_clip(out / row["path"])
        waveform = sound.read(origin + frame_start(piece.first), samples_for(len(frames)))
        if np.abs(waveform).max() >= SILENT:
            total += _weight(recipe.sync(frames, waveform)[1], len(frames))
    return total


def _weight(confidence: float, frames: int) -> float:
    """Return what a confidence is worth: without any match it falls as 1 / sqrt(frames)."""
    return max(float(confidence), 1e-9) * frames**0.5


def _all_pieces(seen: _Seen, tracks: list, sound: media.Sound, clock: tuple) -> list[_Piece]:
    """Cut tracks, where they have sound, into pieces; the whole picture also at breaks."""
    _, origin, _, count = clock
    first, stop = _with_sound(sound, origin, count)
    if not seen.whole:
        return [piece for track in tracks for piece in _pieces(track, origin, first, stop)]
    breaks = sorted(round((time - origin) * FPS) for time in seen.breaks)
    edges = [first, *(at for at in breaks if first < at < stop), stop]
    return [piece for a, b in pairwise(edges) for piece in _pieces(None, origin, a, b)]


def _with_sound(sound: media.Sound, origin: float, count: int) -> tuple[int, int]:
    """Return the grid frames [first, stop) that have sound; one at either end may lack some."""
    first = int(np.ceil((sound.start - origin) * FPS - 1))
    stop = int(np.floor((sound.end - origin) * FPS + 1))
    return max(0, first), min(count, stop)


def _side(track: faces.FaceTrack | None) -> float:
    return track.side if track else 0.0


def _presence(track: faces.FaceTrack) -> float:
    """Measure how much of the picture a face takes, for how long: pixels x seconds."""
    return track.side**2 * track.seconds


def _apart(candidates: list, weight: Callable, span: Callable) -> list:
    """Choose among candidates that share time: the one of the greatest weight; order is kept.

    Two share time if they have more than half of the shorter one's time in common.
    """
    kept = []
    for one in sorted(candidates, key=weight, reverse=True):
        (a, b), others = span(one), [span(other) for other in kept]
        if all(min(b, d) - max(a, c) <= 0.5 * min(b - a, d - c) for c, d in others):
            kept.append(one)
    return [one for one in candidates if any(one is other for other in kept)]


def _pieces(track: faces.FaceTrack | None, origin: float, first: int, stop: int) -> list[_Piece]:
    """Cut a track within the grid frames [first, stop) into equal pieces of at most LONGEST s.

    There are none if it is too short.
    """
    if track is not None:
        first = max(first, round((track.start - origin) * FPS))
        stop = min(stop, round((track.end - origin) * FPS))
    if stop - first < SHORTEST * FPS:
        return []
    count = int(np.ceil((stop - first) / (LONGEST * FPS)))
    bounds = np.linspace(first, stop, count + 1).round().astype(int)
    return [_Piece(track, int(a), int(b)) for a, b in pairwise(bounds)]


def _cut(
    source: Source,
    out: Path,
    recipe: Recipe,
    pieces: list[_Piece],
    clock: tuple,
    sound: media.Sound,
    known: Contents,
) -> list:
    """Go through all frames again: gather the pieces' crops, write each clip once it is complete.

    Returns (piece, row) of each.
    """
    from av.video.reformatter import VideoReformatter

    times, origin, cells, count = clock
    least = min(_side(piece.track) for piece in pieces)
    aspect, shrink = media.pixel_aspect(source.path, known), VideoReformatter()
    coming = deque(sorted(pieces, key=lambda piece: piece.first))
    names = _names(source, list(coming))
    showing: list[_Piece] = []
    done = []
    for k, (time, frame) in enumerate(_watched(source, recipe, known, "cutting")):
        if k == len(times):  # damage that was passed over the first time
            break
        first, stop = cells[k], cells[k + 1] if k + 1 < len(times) else count
        while coming and coming[0].first < max(stop, first + 1):
            showing.append(coming.popleft())
        if showing and not least:
            image = shrink.reformat(
                frame, recipe.size, recipe.size, "rgb24", interpolation="AREA", threads=1
            ).to_ndarray()
            for piece in showing:
                piece.show(image, first, stop)
        elif showing:
            full = max(frame.height, frame.width * aspect)
            longest = int(np.ceil(full * min(1.0, 2 * recipe.size / least)))
            picture = media.upright(frame, aspect, shrink, longest)
            scale = max(picture.shape[:2]) / full
            for piece in showing:
                box = piece.track.at(time) * scale
                piece.show(faces.crop(picture, box, recipe.size), first, stop)
        for piece in [piece for piece in showing if piece.stop <= stop]:
            showing.remove(piece)
            waveform = sound.read(
                origin + frame_start(piece.first), samples_for(piece.stop - piece.first)
            )
            if np.abs(waveform).max() >= SILENT:
                name, shift = names[id(piece)], origin - times[0]
                done.append((piece, _write(source, name, out, recipe, piece, waveform, shift)))
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
    """Write one clip and return its row of tracks.csv.

    `shift` says when the grid begins, counted from the first picture, in seconds.
    """
    frames = np.stack(piece.images)  # (T, size, size, 3)
    relative = Path("clips") / source.speaker / f"{name}.mp4"
    write_clip(out / relative, frames, waveform)
    late, confidence, right = source.offset or 0, "", ""
    if recipe.sync is not None:
        from dsel.evaluate.sync import ask

        late, confidence, right = ask(recipe.sync, frames, waveform)[:3]
    return {
        "id": name,
        "speaker": source.speaker,
        "split": "",  # known when the corpus is put together
        "path": relative.as_posix(),
        "frames": len(frames),
        "offset": int(late),
        "found": "" if recipe.sync is None else int(late),
        "confidence": confidence if confidence == "" else round(float(confidence), 4),
        "right": right if right == "" else round(float(right), 4),
        "source": source.path.name,
        "start": round(frame_start(piece.first) + shift, 4),
        "face_pixels": round(_side(piece.track)),
        "chosen": "",
        "doubt": "still picture" if _is_still(frames) else "",
    }


def _is_still(frames: np.ndarray) -> bool:
    """Return whether a face hardly ever changes: a photograph, or a video that has stopped."""
    steps = [float(np.abs(a.astype(np.int16) - b).mean()) for a, b in pairwise(frames)]
    return bool(steps) and float(np.quantile(steps, 0.95)) < STILL


def _remove(out: Path, rows: Iterable[dict]) -> None:
    """Remove the clips of rows."""
    for row in rows:
        (out / row["path"]).unlink(missing_ok=True)


def _names(source: Source, pieces: list[_Piece]) -> dict[int, str]:
    """Name the tracks of a source's pieces, by id(): the source's name alone if there is one."""
    if len(pieces) == 1:
        return {id(pieces[0]): source.name}
    return {id(piece): f"{source.name}-{n:03d}" for n, piece in enumerate(pieces, start=1)}


def _rows(done: list, how: str) -> list[dict]:
    return [{**row, "chosen": how} for _, row in done]


def _in_step(done: list, out: Path) -> list[dict]:
    """Keep, of different faces at the same time, the one most in step with the sound.

    The other clips are removed. The offset is a property of the recording, not of a clip: every
    clip votes for its own, see `dsel.evaluate.sync.voted`; a still picture has no say. In choosing,
    a confidence counts for more the longer the clip is. An offset that is not sure is not applied:
    `offset` is 0 then, `found` says what it would be, and `right` how likely that is.
    """
    from dsel.evaluate.sync import Offset, voted

    kept = _apart(done, lambda pair: _say(pair[1]), lambda pair: (pair[0].first, pair[0].stop))
    rows = _rows(kept, "talking" if len(kept) < len(done) else "only")
    paths = {row["path"] for row in rows}
    _remove(out, [row for _, row in done if row["path"] not in paths])
    say = [row for row in rows if not row["doubt"]]
    if not say:
        return [{**row, "offset": 0, "right": 0.0} for row in rows]
    whole = voted(
        [
            Offset(row["found"], row["confidence"], row["right"], seconds=row["frames"] / FPS)
            for row in say
        ]
    )
    told = {"offset": whole.late if whole.sure else 0, "found": whole.late}
    return [{**row, **told, "right": round(whole.right, 4)} for row in rows]


def _say(row: dict) -> float:
    """Return how much a clip has to say about who talks, and how late the sound is."""
    return 0.0 if row["doubt"] else _weight(row["confidence"], row["frames"])
