"""Find the files to prepare; read speaker, name, words and offset from their folder layout."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from dsel.prepare import decode as media
from dsel.utils.errors import BadInput

LAYOUTS = ("grid", "voxceleb2", "lrs")
VIDEOS = (
    ".mp4",
    ".m4v",
    ".mov",
    ".mkv",
    ".webm",
    ".avi",
    ".mpg",
    ".mpeg",
    ".ts",
    ".mts",
    ".m2ts",
    ".flv",
    ".wmv",
    ".3gp",
)
SOUNDS = (".wav", ".m4a", ".aac", ".flac")


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
    stream: int | None = None  # number of the sound track, from 1 on; None: the fitting one


# --------------------------------------------------------------------------------------------------
# Layouts: what the path of a file tells.


def _source(path: Path, layout: str | None, audio: Path | None) -> Source:
    layout = layout or _guess(path)
    parts = path.resolve().parts
    speaker, name = parts[-2], path.stem
    sound, words, offset = audio, None, None
    if (
        layout == "grid"
    ):  # .../s12/bbaf2n.mpg, .../s12/video/mpg_6000/bbaf2n.mpg; words in .../s12/align/ or beside
        at = next(
            (
                i
                for i in range(len(parts) - 2, 0, -1)
                if re.fullmatch(r"s(\d{1,2}|U[A-D])", parts[i])
            ),
            len(parts) - 2,
        )
        speaker = parts[at]
        homes = [
            path.parent,
            Path(*parts[: at + 1]) / "align",
            Path(*parts[:at]) / "align" / speaker,
        ]
        words = next(
            (home / f"{name}.align" for home in homes if (home / f"{name}.align").is_file()), None
        )
    elif layout in ("voxceleb2", "lrs") and len(parts) > 3:
        # voxceleb2: .../mp4/id00012/21Uxsk56VDQ/00001.mp4, .../txt/id00012/...; lrs:
        # .../<video>/00001.mp4, 00001.txt beside
        if layout == "voxceleb2":
            speaker, name = parts[-3], f"{parts[-2]}-{name}"
        text = _beside(path, (".txt",), ("txt",), 3)
        if layout == "voxceleb2":
            offset = _voxceleb2_offset(text) if text else None
            sound = audio or (
                None
                if _has_sound(path)
                else _beside(path, SOUNDS, ("aac", "wav", "m4a", "audio"), 3)
            )
        else:
            words = text
    return Source(
        path,
        _plain(speaker),
        _plain(f"{speaker}-{name}"),
        sound,
        words,
        offset,
        layout == "voxceleb2",
    )


def _guess(path: Path) -> str | None:
    if path.with_suffix(".align").is_file():
        return "grid"
    parts = path.resolve().parts
    if (
        len(parts) > 3
        and re.fullmatch(r"id\d{5}", parts[-3])
        and re.fullmatch(r"[\w-]{11}", parts[-2])
    ):
        return "voxceleb2"
    return None


def _beside(path: Path, suffixes: tuple, folders: tuple, depth: int) -> Path | None:
    """Find the file of the same name with another suffix, in the same folder or a parallel one."""
    path = path.resolve()
    root = path.parents[depth - 1] if len(path.parents) >= depth else path.parent
    homes = [
        path.parent,
        *(root.parent / folder / path.parent.relative_to(root) for folder in folders),
    ]
    candidates = [home / f"{path.stem}{suffix}" for home in homes for suffix in suffixes]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _voxceleb2_offset(text: Path) -> int | None:
    """Read by how many frames the sound is late from the line 'Offset : k'.

    There k says that picture frame f + k belongs to the sound of frame f, so the sound is late by
    -k. (Authors' code.)
    """
    match = re.search(
        r"^Offset\s*:\s*(-?\d+)", text.read_text(encoding="utf-8", errors="replace"), re.MULTILINE
    )
    return -int(match.group(1)) if match else None


def _has_sound(path: Path) -> bool:
    try:
        with media.opened(path) as container:
            return bool(container.streams.audio)
    except BadInput:
        return True  # whatever is wrong with the file is said when it is its turn


def _plain(name: str) -> str:
    """Return a name that is safe in paths, csv and shells; letters of all scripts stay."""
    return re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", name)).strip("._-") or "unnamed"
