"""Turn any video of talking people into a corpus.

Every clip shows one face, cropped, with 25 frames and 16000 samples per second, in step.

Each source file goes through `make_clips`, by itself and in a process of its own::

    scan   go through all packets: tracks, clocks that restart, absurd sizes (contents)
    look   decode once: time stamps of all frames, faces every 0.2 s, cuts (decode, face_tracks)
    hear   decode the sound to a file of 16 kHz samples, placed by its time stamps (decode)
    pick   tracks of one face each; where several are there at once, the one who talks
    cut    decode again: crop, put on the grid of 25 frames per second, write clips with sound

What has been done is noted in `parts/`, one small file a source, so that a second run goes on where
the first one stopped. (Source: the paper's data are VoxCeleb2 crops; how other video becomes like
them is ours.)
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from tqdm.auto import tqdm

from dsel.corpus.store import LABELS, SPLITS
from dsel.corpus.tracks import Corpus, write_corpus
from dsel.prepare import face_tracks as faces
from dsel.prepare.clips_from_video import Recipe, make_clips
from dsel.prepare.contents import check_is_file
from dsel.prepare.sources import LAYOUTS, VIDEOS, Source, _source
from dsel.utils.errors import BadInput
from dsel.utils.files import check_folder, refuse_links, sweep, write_csv, write_json
from dsel.utils.processes import refuse_to_be_read_again, spread
from dsel.utils.readers import check_entries, read_json

NOTE = {"name": str, "path": str, "print": str, "rows": list, "labels": list, "remark": str}
ROW = {"id": str, "speaker": str, "path": str, "frames": int, "offset": int, "chosen": str}
LABEL = {"track": str, "start": (float, int), "end": (float, int), "word": str}
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of the disk, not of the source
CRASHED = "the decoder crashed on it, twice (or memory ran out); convert it to another format"


def prepare(
    paths,
    out,
    *,
    layout: str | None = None,
    audio=None,
    audio_stream: int | None = None,
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
        out: folder of the corpus. A corpus that an earlier run began is continued; what is done
            stays as it is.
        layout: 'grid', 'voxceleb2' or 'lrs': where these corpora keep speaker, words and offset.
            None: by the look of each path; otherwise the speaker is the name of the folder that the
            file lies in.
        audio: a file with the sound of the (one) video, both beginning at the same instant.
        audio_stream: number of the sound track, from 1 on, of files with several. None: the one
            that fits the face best, if there is a model, else the first with speech.
        split: 'train', 'validation', 'test', or 'auto': by speaker, 80/10/10, the same at every
            run.
        size: pixels of the square crop, even.
        workers: processes; None: one per core. A decoder that crashes ends its process, and no
            other file is lost. With 1 all is done in this process.
        model: what tells whether a face is in step with the sound: the path of a trained run, the
            name of released networks, networks, or a function from frames uint8 (T, H, W, 3) and
            waveform float32 (640 T,) to (frames by which the sound is late, confidence). With it
            the offset is estimated, and of several faces the talking one is taken; without it the
            largest one.
        detector: see `dsel.prepare.face_tracks`; None: OpenCV's.
        progress: draw a bar.
    Raises:
        BadInput: nothing usable came out, or arguments that cannot be. A single bad file is
            reported on stderr and in skipped.csv, and left out.
    """
    refuse_to_be_read_again()
    out = Path(out)
    if layout not in (None, *LAYOUTS):
        raise BadInput(f"layout {layout!r} is none of {', '.join(LAYOUTS)}")
    if split not in (*SPLITS, "auto"):
        raise BadInput(f"split {split!r} is none of {', '.join(SPLITS)}, auto")
    if size < 16 or size % 2:
        raise BadInput(f"size {size}: must be even and at least 16")
    _check_out(out, size)
    refuse_links(out, "clips", "labels", "parts")
    paths = [Path(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    sources = plan(paths, out, layout=layout, audio=audio, audio_stream=audio_stream)
    todo = [source for source in sources if not _finished(source, out, bool(model))]
    refuse_links(out / "clips", *{source.speaker for source in todo})
    workers = max(1, min(workers or os.cpu_count() or 1, len(todo)))
    alone = workers == 1
    recipe = Recipe(
        size, detector, _sync(model), threads=0 if alone else 1, bars=progress and alone
    )
    (out / "parts").mkdir(parents=True, exist_ok=True)
    if len(todo) < len(sources) and progress:
        tqdm.write(
            f"{len(sources) - len(todo)} of {len(sources)} files are done already", file=sys.stderr
        )
    skipped, corpus = {}, None
    try:
        with contextlib.closing(_each(todo, out, recipe, workers)) as work:
            for source, reason in tqdm(
                work, "preparing", len(todo), unit="file", disable=not progress
            ):
                if reason:
                    skipped[source.path] = reason
    # also when interrupted: what is done can be opened, and the next run goes on from there
    finally:
        sweep(out, out / "parts", out / "labels", *{out / "clips" / s.speaker for s in todo})
        corpus = _gather(out, split, size, skipped)
    if corpus is None and len(skipped) == 1:
        raise BadInput(*skipped.values())
    mine = {str(source.path.resolve()) for source in sources}
    _tell(skipped, [part for part in _notes(out) if part["path"] in mine])
    if corpus is None:
        raise BadInput(
            f"{out}: none of {len(sources)} files can be used; {out / 'skipped.csv'} says why"
        )
    return corpus


def _sync(model):
    """Do as `sync_of` does, but import torch only where there is a model to ask."""
    if model is None:
        return None
    from dsel.evaluate.sync import sync_of

    return sync_of(model)


def _tell(skipped: dict[Path, str], parts: list[dict]) -> None:
    """Print one line for all that is to be known: files not used, used in part, faces left out."""
    lines = [f"skipped: {reason}" for reason in skipped.values()]
    lines += [f"partly used: {part['remark']}" for part in parts if part["remark"]]
    lines += [f"note: {note}" for part in parts for note in part.get("notes", ())]
    crowded = sum(any(row["chosen"] == "largest" for row in part["rows"]) for part in parts)
    if crowded:
        lines.append(
            f"{crowded} file(s) show several faces at once; the largest was taken (with --model "
            "RUN: the one who talks)"
        )
    for line in lines:
        print(line, file=sys.stderr)


def plan(
    paths: list[Path],
    out: Path,
    *,
    layout: str | None = None,
    audio=None,
    audio_stream: int | None = None,
) -> list[Source]:
    """List the sources among files and folders, sorted.

    Speaker, words and offset are what their layout tells. Folders are searched through, links to
    other folders too.

    Args:
        paths: files and folders.
        out: the corpus to be made; videos within it are no sources.
        layout, audio, audio_stream: as in `prepare`.
    Raises:
        BadInput: a path that is not there, no video, or a sound track given for several videos.
    """
    files, inside = [], out.resolve()
    for path in paths:
        if path.is_dir():
            found = [p for p in _videos(path) if not p.resolve().is_relative_to(inside)]
            if not found:
                looked = f"looked for {' '.join(VIDEOS)}"
                raise BadInput(f"{path}: no video in it ({looked}); leave it out")
            files += found
        elif path.exists():
            check_is_file(path)
            files.append(path)
        else:
            raise BadInput(f"{path}: no such file or folder")
    files = list({path.resolve(): path for path in files}.values())
    if not files:
        raise BadInput("no path was given; give video files, or folders of videos")
    if audio is not None:
        if len(files) != 1:
            raise BadInput(
                f"{audio}: one sound track, but {len(files)} videos; prepare them one by one"
            )
        if not Path(audio).exists():
            raise BadInput(f"{audio}: no such sound file")
        check_is_file(Path(audio))
    sources = [_source(path, layout, None if audio is None else Path(audio)) for path in files]
    sources = [replace(source, stream=audio_stream) for source in sources]
    return _with_unique_names(sources, out)


def _videos(folder: Path) -> list[Path]:
    """List the videos in a folder and below, sorted. Links are followed, each folder once."""
    found, known = [], set()
    for place, folders, names in os.walk(folder, followlinks=True):
        known.add(os.path.realpath(place))
        folders[:] = [
            name for name in folders if os.path.realpath(os.path.join(place, name)) not in known
        ]
        found += [Path(place) / name for name in names if not name.startswith(".")]
    return sorted(p for p in found if p.suffix.lower() in VIDEOS and p.is_file())


def _with_unique_names(sources: list[Source], out: Path) -> list[Source]:
    """Add a digest of the path where two files, of this run or an earlier one, share a name."""
    taken: dict[str, Path] = {}
    for part in _notes(out):
        taken[part["name"]] = Path(part["path"])
    unique = []
    for source in sources:
        path = source.path.resolve()
        if taken.setdefault(source.name, path) != path:
            source = replace(
                source, name=f"{source.name}-{hashlib.sha1(str(path).encode()).hexdigest()[:6]}"
            )
            taken[source.name] = path
        unique.append(source)
    return unique


def _check_out(out: Path, size: int) -> None:
    """Refuse a folder that holds another corpus than one that `prepare` began with this size."""
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: is a file; give a folder for the corpus")
    check_folder(out)
    if not (out / "corpus.json").is_file():
        return
    meta = Corpus(out).meta
    if meta["made_by"] != "prepare" or meta["recipe"].get("size") != size:
        found = f"{meta['made_by']} {meta['recipe'].get('size', '')}"
        raise BadInput(f"{out}: holds a corpus made by {found}; give another folder")


# --------------------------------------------------------------------------------------------------
# Many files: processes, what is done already, the corpus.


def _each(todo: list[Source], out: Path, recipe: Recipe, workers: int):
    """Yield (source, '' or the reason why it was skipped) of every source, as they get done."""
    if workers == 1 or len(todo) < 2:
        for source in todo:
            yield source, _one(source, out, recipe)
        return
    yield from spread(
        todo,
        partial(_one, out=out, recipe=recipe),
        workers,
        lost=lambda source: f"{source.path}: {CRASHED}",
        say=partial(tqdm.write, file=sys.stderr),
        name=lambda source: source.path,
    )


def _one(source: Source, out: Path, recipe: Recipe) -> str:
    """Prepare one source and note that it is done. Returns '' or why it cannot be used."""
    try:
        made = make_clips(source, out, recipe)
    except BadInput as error:
        return str(error)
    except OSError as error:
        if error.errno in FULL:
            why = f"no room for the clips ({error.strerror}); free some"
            raise BadInput(f"{out}: {why}, then run the same command again") from error
        return (
            f"{source.path}: cannot be read ({error.strerror}); check the file and its permissions"
        )
    note = {
        "name": source.name,
        "path": str(source.path.resolve()),
        "print": _print_of(source, recipe.sync is not None),
        **made,
    }
    write_json(_note(source, out), note, indent=None)
    return ""


def _print_of(source: Source, synced: bool) -> str:
    """Return what changes when the source, its sound, words or place in the corpus change."""
    told = (source.speaker, source.name, source.offset, source.cropped, synced)
    told += () if source.stream is None else (source.stream,)
    digest = hashlib.sha1(repr(told).encode())
    for path in (source.path, source.sound, source.words):
        stat = path.stat() if path else None
        digest.update(
            repr((str(path and path.resolve()), stat and (stat.st_size, stat.st_mtime_ns))).encode()
        )
    return digest.hexdigest()


def _note(source: Source, out: Path) -> Path:
    """Return the path of the file that records that a source is done, and what came out."""
    return out / "parts" / f"{hashlib.sha1(source.name.encode()).hexdigest()[:20]}.json"


def _notes(out: Path, damaged: list[str] | None = None) -> list[dict]:
    """Read the notes on all sources that are done, in order of name; messages go to `damaged`."""
    notes = []
    for path in sorted((out / "parts").glob("*.json")):
        try:
            notes.append(_read_note(path))
        except BadInput as error:
            if damaged is not None:
                damaged.append(str(error))
    return sorted(notes, key=lambda note: note["name"])


def _read_note(path: Path) -> dict:
    """Read the note on one source. Raises BadInput if it is damaged."""
    remedy = "its clips are left out; prepare its video again"
    note = read_json(path, remedy=remedy, entries=NOTE)
    for name, entries in (("rows", ROW), ("labels", LABEL)):
        for value in note[name]:
            check_entries(path, value, entries, remedy)
    if not note["rows"]:
        raise BadInput(f"{path}: no clips; {remedy}")
    return note


def _finished(source: Source, out: Path, synced: bool) -> bool:
    """Whether an earlier run prepared this source as it is now, with a model or without, and its
    clips are still there.
    """
    try:
        note = _read_note(_note(source, out))
    except BadInput:  # there is none, or it is damaged
        return False
    clips = [out / row["path"] for row in note["rows"]]
    return note["print"] == _print_of(source, synced) and all(clip.is_file() for clip in clips)


def _gather(out: Path, split: str, size: int, skipped: dict[Path, str]) -> Corpus | None:
    """Write tracks.csv, labels, corpus.json and skipped.csv; None if nothing is done yet."""
    damaged: list[str] = []
    parts = _notes(out, damaged)
    for message in damaged:
        print(message, file=sys.stderr)
    rows = [
        {**row, "split": split if split != "auto" else split_of(row["speaker"])}
        for part in parts
        for row in part["rows"]
    ]
    told = [
        {"file": path.as_posix(), "used": "no", "reason": reason}
        for path, reason in skipped.items()
    ]
    told += [
        {"file": Path(part["path"]).as_posix(), "used": "partly", "reason": part["remark"]}
        for part in parts
        if part["remark"]
    ]
    told += [
        {"file": Path(part["path"]).as_posix(), "used": "yes", "reason": note}
        for part in parts
        for note in part.get("notes", ())
    ]
    write_csv(out / "skipped.csv", told, ("file", "used", "reason"))
    if not rows:
        return None
    by_speaker: dict[str, list] = {}
    for part in parts:
        for label in part["labels"]:
            by_speaker.setdefault(part["rows"][0]["speaker"], []).append(label)
    for speaker, labels in by_speaker.items():
        write_csv(out / "labels" / f"{speaker}.csv", labels, LABELS)
    return write_corpus(
        out, rows, made_by="prepare", seed=None, licence="that of the recordings", size=size
    )


def split_of(speaker: str) -> str:
    """Return 'train', 'validation' or 'test', in 80/10/10, by the speaker's name alone.

    So it stays the same whatever else is added.
    """
    share = int(hashlib.sha1(speaker.encode()).hexdigest()[:8], 16) / 16**8
    return "train" if share < 0.8 else "validation" if share < 0.9 else "test"
