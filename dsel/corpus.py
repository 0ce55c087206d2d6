"""A corpus on disk: tracks with their factors, splits, labels, trials; and a decoded cache to train from.

Every corpus has one shape, whether drawn (`dsel toy`) or filmed (`dsel prepare`)::

    DIR/corpus.json                    format version, how it was made, seed, licence
    DIR/tracks.csv                     one row a track: id, speaker, split, path, frames, offset, then every known factor
    DIR/clips/<speaker>/<track>.mp4    the face crop, 25 fps, with its sound at 16 kHz
    DIR/labels/<speaker>.csv           optional: track, start, end (s), phoneme, viseme, word
    DIR/labels/<speaker>.npz           optional: one array a track, its mouth trajectory (frames, channels)
    DIR/trials/<kind>.csv              optional: target (0/1), a, b (track ids), same_sex (0/1), group
    DIR/cache/                         decoded once for training; may be deleted at any time

`offset` says by how many frames the sound is late: picture frame f belongs to sound frame f + offset. Readers apply it,
so everything above this file sees sound and picture in step. (Source of the layout: ours.)
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from dsel import shipped
from dsel.errors import BadInput
from dsel.media import read_clip
from dsel.timing import SAMPLES_PER_FRAME

FORMAT = 1
COLUMNS = ("id", "speaker", "split", "path", "frames", "offset")
SPLITS = ("train", "validation", "test")
TRIALS = ("free", "hard", "easy")
LABELS = ("track", "start", "end", "phoneme", "viseme", "word")


@dataclass(frozen=True)
class Track:
    """One face track: a row of tracks.csv. `factors` holds every further column, numbers as float."""

    id: str
    speaker: str
    split: str
    path: str  # of the clip, relative to the corpus
    frames: int  # of the clip's picture
    offset: int = 0  # frames by which its sound is late
    factors: dict = field(default_factory=dict, compare=False)

    @property
    def usable(self) -> int:
        """Frames that have both picture and sound once the offset is taken out."""
        return max(0, self.frames - abs(self.offset))


@dataclass(frozen=True)
class Trials:
    """Pairs of tracks to be judged 'same speaker?'. All arrays have one entry a trial."""

    a: np.ndarray  # str, track ids
    b: np.ndarray
    target: np.ndarray  # bool: same speaker
    same_sex: np.ndarray  # bool
    group: np.ndarray  # str: what the trial list says about it, e.g. which kind of vocabulary

    def __len__(self) -> int:
        return len(self.target)

    def only(self, keep: np.ndarray) -> Trials:
        """The trials where `keep` (bool, one a trial) holds."""
        return Trials(self.a[keep], self.b[keep], self.target[keep], self.same_sex[keep], self.group[keep])


class Corpus:
    """A corpus opened for reading.

    Args:
        path: its folder.
    Raises:
        BadInput: no corpus there, one of another format version, or rows that cannot be used.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.meta = _read_meta(self.path)
        self.tracks = _read_tracks(self.path)
        self.by_id = {track.id: track for track in self.tracks}

    def __len__(self) -> int:
        return len(self.tracks)

    def __repr__(self) -> str:
        parts = ", ".join(f"{len(self.split(s))} {s}" for s in SPLITS if self.split(s))
        return f"Corpus({self.path.name}: {len(self)} tracks ({parts}) of {len(self.speakers())} speakers)"

    def split(self, name: str) -> list[Track]:
        """The tracks of one split, in the order of tracks.csv."""
        return [track for track in self.tracks if track.split == name]

    def speakers(self, split: str | None = None) -> list[str]:
        """Speaker names, sorted; of one split or of all."""
        return sorted({track.speaker for track in self.tracks if split in (None, track.split)})

    def clip(self, track: Track | str) -> tuple[np.ndarray, np.ndarray]:
        """Picture uint8 (T, H, W, 3) and sound float32 (640 T,) of a track, in step, at full size."""
        track = self._track(track)
        frames, waveform = read_clip(self.path / track.path)
        if len(frames) != track.frames:
            raise BadInput(f"{self.path / track.path}: {len(frames)} frames, but tracks.csv says {track.frames}; make it again")
        return _in_step(frames, waveform, track.offset)

    def labels(self, track: Track | str) -> list[dict]:
        """Phonemes of a track in order: dicts with start, end (seconds), phoneme, viseme, word. Empty if unknown."""
        track = self._track(track)
        return self._labels_of(track.speaker).get(track.id, [])

    def mouth(self, track: Track | str) -> np.ndarray | None:
        """Mouth trajectory (T, channels) of a drawn track, None for a filmed one."""
        track = self._track(track)
        path = self.path / "labels" / f"{track.speaker}.npz"
        if not path.is_file():
            return None
        with np.load(path) as arrays:
            return arrays.get(track.id)

    def trials(self, kind: str) -> Trials | None:
        """The trial list of a kind ('free', 'hard', 'easy'), or None where the corpus brings none."""
        path = self.path / "trials" / f"{kind}.csv"
        if not path.is_file():
            return None
        rows = _read_csv(path)
        unknown = {row[side] for row in rows for side in "ab"} - self.by_id.keys()
        if unknown:
            raise BadInput(f"{path}: names {len(unknown)} unknown tracks, e.g. {min(unknown)}; make the corpus again")
        return Trials(
            a=np.array([row["a"] for row in rows]),
            b=np.array([row["b"] for row in rows]),
            target=np.array([row["target"] == "1" for row in rows], bool),
            same_sex=np.array([row.get("same_sex") == "1" for row in rows], bool),
            group=np.array([row.get("group", "") for row in rows]),
        )

    def cache(self, size: int, *, tracks: list[Track] | None = None, progress: bool = True) -> Cache:
        """The decoded clips at `size` x `size` pixels, memory-mapped. Built on first use, rebuilt when clips change."""
        return Cache.of(self, size, self.tracks if tracks is None else tracks, progress)

    def _track(self, track: Track | str) -> Track:
        if isinstance(track, str) and track not in self.by_id:
            raise BadInput(f"{self.path / 'tracks.csv'}: no track {track!r}")
        return self.by_id[track] if isinstance(track, str) else track

    def _labels_of(self, speaker: str) -> dict[str, list[dict]]:
        if speaker not in self._labels:
            path, found = self.path / "labels" / f"{speaker}.csv", {}
            for row in _read_csv(path) if path.is_file() else []:
                entry = {**row, "start": float(row["start"]), "end": float(row["end"])}
                found.setdefault(entry.pop("track"), []).append(entry)
            self._labels[speaker] = found
        return self._labels[speaker]

    @cached_property
    def _labels(self) -> dict:
        return {}


def open(name_or_path) -> Corpus:
    """Open a corpus by path, or by the name of one that comes with the package (`data/` of the repository), e.g. 'mini'."""
    path = Path(name_or_path)
    ours = shipped.folder() / str(name_or_path)
    return Corpus(ours if not path.exists() and (ours / "corpus.json").is_file() else path)


def write_corpus(path, rows: list[dict], *, made_by: str, seed: int | None, licence: str, **recipe) -> Corpus:
    """Write tracks.csv and corpus.json for clips that are already in place; both appear only when complete.

    Args:
        rows: one dict a track with the keys of COLUMNS and any further factors (the same keys in every row).
        recipe: whatever else one needs to make this corpus again; must be JSON.
    """
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    write_csv(path / "tracks.csv", rows, COLUMNS)
    meta = {"format": FORMAT, "made_by": made_by, "seed": seed, "licence": licence, "recipe": recipe}
    replace_text(path / "corpus.json", json.dumps(meta, indent=1, sort_keys=True) + "\n")
    return Corpus(path)


def write_csv(path, rows: list[dict], first: tuple[str, ...]) -> None:
    """Write rows as csv with the columns `first`, then every other key in order of appearance; complete or not at all."""
    rest = [key for key in dict.fromkeys(key for row in rows for key in row) if key not in first]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*first, *rest], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(part, path)


def replace_text(path, text: str) -> None:
    """Write a text file that is at every moment either the old one or the new one."""
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


@dataclass(frozen=True)
class Cache:
    """Decoded tracks in two flat files: frames uint8 (F, size, size, 3) and sound int16 (640 F,), F = all frames.

    `start[id]` is a track's first frame, `length[id]` its number of frames, sound and picture already in step.
    """

    frames: np.ndarray
    sound: np.ndarray
    start: dict[str, int]
    length: dict[str, int]

    @property
    def size(self) -> int:
        """Pixels of a face, height = width."""
        return self.frames.shape[1]

    def read(
        self, track: Track, first: int = 0, count: int | None = None, seen: slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Frames [first, first + count) of a track, uint8 (count, size, size, 3), and their int16 (640 count,) samples.

        seen: which of these frames are wanted; the sound is that of all of them.
        """
        count = self.length[track.id] - first if count is None else count
        begin = self.start[track.id] + first
        stop = begin + count
        return self.frames[begin:stop][seen], self.sound[begin * SAMPLES_PER_FRAME : stop * SAMPLES_PER_FRAME]

    @classmethod
    def of(cls, corpus: Corpus, size: int, tracks: list[Track], progress: bool) -> Cache:
        """Open the cache of these tracks, building it if it is missing or no longer fits the clips."""
        print_of = _fingerprint(corpus, tracks)
        folder = _cache_root(corpus) / f"{size}-{print_of}"
        if not (folder / "index.json").is_file():
            _build_cache(corpus, size, tracks, folder, progress)
        total = sum(track.usable for track in tracks)
        starts = np.cumsum([0, *(track.usable for track in tracks)])
        return cls(  # as plain arrays over the maps: slicing an np.memmap costs more than copying what one window needs
            frames=np.asarray(np.memmap(folder / "frames.u8", np.uint8, "r", shape=(total, size, size, 3))),
            sound=np.asarray(np.memmap(folder / "sound.i16", np.int16, "r", shape=(total * SAMPLES_PER_FRAME,))),
            start={track.id: int(at) for track, at in zip(tracks, starts, strict=False)},
            length={track.id: track.usable for track in tracks},
        )


def resize(frames: np.ndarray, size: int) -> np.ndarray:
    """uint8 (T, H, W, 3) -> uint8 (T, size, size, 3), antialiased bilinear."""
    if frames.shape[1:3] == (size, size):
        return frames
    import torch
    import torch.nn.functional as F

    image = torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2)  # (T, 3, H, W)
    small = F.interpolate(image.float(), (size, size), mode="bilinear", antialias=True)
    return small.round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().numpy()


def _build_cache(corpus: Corpus, size: int, tracks: list[Track], folder: Path, progress: bool) -> None:
    total = sum(track.usable for track in tracks)
    if not total:
        raise BadInput(f"{corpus.path}: no frames to decode; is the split empty?")
    folder.parent.mkdir(parents=True, exist_ok=True)
    need, free = total * (size * size * 3 + 2 * SAMPLES_PER_FRAME), shutil.disk_usage(folder.parent).free
    if need > free:
        raise BadInput(
            f"{folder.parent}: the cache needs {need >> 20} MiB and {free >> 20} are free; set DSEL_CACHE to a larger disk"
        )
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=folder.parent))
    try:
        frames = np.memmap(part / "frames.u8", np.uint8, "w+", shape=(total, size, size, 3))
        sound = np.memmap(part / "sound.i16", np.int16, "w+", shape=(total * SAMPLES_PER_FRAME,))
        at = 0
        for track in tqdm(tracks, "decoding clips", disable=not progress, unit="track", leave=False):
            picture, waveform = corpus.clip(track)
            stop = at + len(picture)
            frames[at:stop] = resize(picture, size)
            sound[at * SAMPLES_PER_FRAME : stop * SAMPLES_PER_FRAME] = np.round(np.clip(waveform, -1, 1) * 32767)
            at = stop
        frames.flush()
        sound.flush()
        (part / "index.json").write_text(json.dumps({"size": size, "tracks": len(tracks), "frames": total}))
        try:
            os.replace(part, folder)
        except OSError:  # another process built the same cache meanwhile: use that one
            if not (folder / "index.json").is_file():
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _in_step(frames: np.ndarray, waveform: np.ndarray, offset: int) -> tuple[np.ndarray, np.ndarray]:
    """Take the offset out: keep the frames that have their own sound, and that sound."""
    first, late = max(0, -offset), max(0, offset)
    count = len(frames) - abs(offset)
    return frames[first : first + count], waveform[late * SAMPLES_PER_FRAME :][: count * SAMPLES_PER_FRAME]


def _fingerprint(corpus: Corpus, tracks: list[Track]) -> str:
    """Changes when any of the clips, their offsets or their order changes."""
    digest = hashlib.sha1()
    for track in tracks:
        try:
            stat = (corpus.path / track.path).stat()
        except OSError as error:
            raise BadInput(f"{corpus.path / track.path}: the clip is missing; make the corpus again") from error
        digest.update(f"{track.id} {track.path} {track.frames} {track.offset} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _cache_root(corpus: Corpus) -> Path:
    """DSEL_CACHE if set, the corpus' own folder if it can be written to, else the user's cache folder."""
    if os.environ.get("DSEL_CACHE"):
        return Path(os.environ["DSEL_CACHE"])
    if os.access(corpus.path, os.W_OK):
        return corpus.path / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "dsel"


def _read_meta(path: Path) -> dict:
    if not path.is_dir():
        raise BadInput(f"{path}: no such folder; make a corpus with 'dsel toy --out DIR' or 'dsel prepare VIDEOS --out DIR'")
    try:
        meta = json.loads((path / "corpus.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise BadInput(
            f"{path}: not a corpus (corpus.json is missing or broken); 'dsel toy' or 'dsel prepare' makes one"
        ) from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        found = meta.get("format") if isinstance(meta, dict) else meta
        raise BadInput(f"{path / 'corpus.json'}: format {found!r}, this dsel reads {FORMAT}; make the corpus again")
    return meta


def _read_tracks(path: Path) -> list[Track]:
    file = path / "tracks.csv"
    if not file.is_file():
        raise BadInput(f"{file}: missing; finish the corpus with the command that began it")
    tracks, root = [], path.resolve()
    for line, row in enumerate(_read_csv(file), start=2):
        missing = [name for name in COLUMNS if row.get(name) in (None, "")]
        if missing:
            raise BadInput(f"{file}, line {line}: no {', '.join(missing)}; make the corpus again")
        if not (root / row["path"]).resolve().is_relative_to(root):
            raise BadInput(f"{file}, line {line}: {row['path']} lies outside the corpus; paths must stay inside {path}")
        if row["split"] not in SPLITS:
            raise BadInput(f"{file}, line {line}: split {row['split']!r} is none of {', '.join(SPLITS)}")
        try:
            frames, offset = int(row["frames"]), int(row["offset"])
        except ValueError as error:
            raise BadInput(f"{file}, line {line}: frames and offset must be whole numbers") from error
        factors = {key: _number(value) for key, value in row.items() if key not in COLUMNS}
        tracks.append(Track(row["id"], row["speaker"], row["split"], row["path"], frames, offset, factors))
    ids = [track.id for track in tracks]
    if len(set(ids)) < len(ids):
        raise BadInput(f"{file}: {len(ids) - len(set(ids))} track ids appear twice; make the corpus again")
    return tracks


def _read_csv(path: Path) -> list[dict]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _number(text: str):
    try:
        return float(text)
    except (TypeError, ValueError):
        return text
