"""Read and write a corpus on disk: tracks with factors, splits, labels, trials, decoded cache.

Every corpus has one shape, whether drawn (`dsel toy`) or filmed (`dsel prepare`)::

    DIR/corpus.json                    format version, how it was made, seed, licence
    DIR/tracks.csv                    one row per track: id, speaker, split, path, frames, offset,
                                      then every known factor
    DIR/clips/<speaker>/<track>.mp4   the face crop, 25 fps, with its sound at 16 kHz
    DIR/labels/<speaker>.csv          optional: track, start, end (s), phoneme, viseme, word
    DIR/labels/<speaker>.npz          optional: one array per track, its mouth trajectory
                                      (frames, channels)
    DIR/trials/<kind>.csv             optional: target (0/1), a, b (track ids), same_sex (0/1),
                                      group
    DIR/shards/                       instead of clips/: the same clips in tar files, made by
                                      'dsel shard'
    DIR/cache/                        decoded once for training; may be deleted at any time

`offset` says by how many frames the sound is late: picture frame f belongs to sound frame
f + offset. Readers apply it, so everything above this file sees sound and picture in step.
(Source of the layout: ours.)
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dsel.corpus.cache import Cache
from dsel.corpus.clips import ClipFile, read_clip, read_part
from dsel.corpus.reading import AGAIN, read_meta, read_tracks
from dsel.corpus.shards import Shards, fetch, is_url
from dsel.corpus.store import COLUMNS, FORMAT, LABELS, SPLITS, Track, Tracks, TracksById
from dsel.corpus.trials import Trials, find_trials
from dsel.timing import SAMPLES_PER_FRAME
from dsel.utils import package_data as shipped
from dsel.utils.caches import cache_folder
from dsel.utils.errors import BadInput
from dsel.utils.files import sweep, write_bytes, write_csv, write_json
from dsel.utils.readers import NAME, NUMBER, read_arrays, read_csv

LABEL_TIMES = {"track": NAME, "start": NUMBER, "end": NUMBER}  # columns of labels/<speaker>.csv


class Corpus:
    """A corpus opened for reading.

    Args:
        path: its folder.
        shards_at: folder or URL of its shards where they are not beside it.
    Raises:
        BadInput: no corpus there, one of another format version, or rows that cannot be used.
    """

    def __init__(self, path: str | os.PathLike, shards_at: str | os.PathLike | None = None) -> None:
        self.path = Path(path)
        self.meta = read_meta(self.path)
        self.tracks = read_tracks(self.path)
        self.by_id = TracksById(self.tracks.table)
        folder = self.path / "shards"
        self.shards = (
            Shards(folder, shards_at or folder) if (folder / "index.npz").is_file() else None
        )
        if self.shards is not None and len(self.shards) != len(self.tracks):
            raise BadInput(
                f"{folder}: index.npz knows {len(self.shards)} tracks, tracks.csv {len(self)}; run "
                "'dsel shard' again"
            )

    def __len__(self) -> int:
        return len(self.tracks)

    def __repr__(self) -> str:
        parts = ", ".join(f"{len(self.split(s))} {s}" for s in SPLITS if self.split(s))
        speakers = len(self.speakers())
        return f"Corpus({self.path.name}: {len(self)} tracks ({parts}) of {speakers} speakers)"

    def split(self, name: str) -> Tracks:
        """Return the tracks of one split, in the order of tracks.csv."""
        return self.tracks.split(name)

    def speakers(self, split: str | None = None) -> list[str]:
        """Return the names of the speakers of one split or of all, sorted."""
        return (self.tracks if split is None else self.split(split)).speakers()

    def clip(self, track: Track | str) -> tuple[np.ndarray, np.ndarray]:
        """Read picture uint8 (T, H, W, 3) and sound float32 (640 T,) of a track, in step."""
        track = self._track(track)
        frames, waveform = read_clip(self._source(track))
        if len(frames) != track.frames:
            raise BadInput(
                f"{self.path / track.path}: {len(frames)} frames, but tracks.csv says "
                f"{track.frames}; make it again"
            )
        return _in_step(frames, waveform, track.offset)

    def part(
        self, track: Track, first: int, count: int, seen: slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read frames [first, first + count) of `clip`, bit for bit, and their sound.

        Little more than that is decoded.

        seen: which of these frames are wanted; the sound is that of all of them.
        """
        picture = range(first, first + count)[seen]
        ahead, late = max(0, -track.offset), max(0, track.offset)
        shown = range(picture.start + ahead, picture.stop + ahead)
        return read_part(
            self._source(track), shown, range(first + late, first + count + late), track.frames
        )

    def labels(self, track: Track | str) -> list[dict]:
        """Return a track's phonemes in order: dicts with start, end (s), phoneme, viseme, word.

        Empty if they are unknown.
        """
        track = self._track(track)
        return self._labels_of(track.speaker).get(track.id, [])

    def mouth(self, track: Track | str) -> np.ndarray | None:
        """Return a drawn track's mouth trajectory float32 (T, channels), None of a filmed one."""
        track = self._track(track)
        path = self._labels_path(track.speaker, "npz")
        if not path.exists():
            return None
        mouth = read_arrays(path, (track.id,), remedy=AGAIN).get(track.id)
        if mouth is not None and (mouth.ndim != 2 or mouth.dtype.kind != "f"):
            raise BadInput(f"{path}: {track.id} is no array of numbers (frames, channels); {AGAIN}")
        return mouth

    def trials(self, kind: str) -> Trials | None:
        """Read the trial list of a kind ('free', 'hard', 'easy'); None if the corpus has none.

        See `dsel.corpus.trials` for the forms of a list. Raises BadInput for a list that cannot be
        read or names something else than tracks of this corpus.
        """
        path = self.path / "trials" / f"{kind}.csv"
        return find_trials(path, self.tracks, self.by_id) if path.exists() else None

    def cache(
        self, size: int, *, tracks: Sequence[Track] | None = None, progress: bool = True
    ) -> Cache:
        """Return the decoded clips at `size` x `size` pixels, memory-mapped.

        They are decoded on first use, and again when clips change.
        """
        return Cache.of(self, size, self.tracks if tracks is None else tracks, progress)

    def _source(self, track: Track) -> ClipFile:
        """Return what `read_clip` reads: the clip's path; or, from a shard, a name and bytes."""
        path = self.path / track.path
        if self.shards is None:
            return path
        return f"{self.shards.place}: {track.id}", self.shards.read(self.by_id.row(track.id))

    def stamp(self, track: Track) -> str:
        """Return a text that changes when a clip does, as far as can be told without reading it."""
        if self.shards is not None:
            return self.shards.stamp(self.by_id.row(track.id))
        try:
            stat = (self.path / track.path).stat()
        except OSError as error:
            raise BadInput(
                f"{self.path / track.path}: the clip is missing; make the corpus again"
            ) from error
        return f"{stat.st_size} {stat.st_mtime_ns}"

    def _track(self, track: Track | str) -> Track:
        if isinstance(track, str) and track not in self.by_id:
            raise BadInput(f"{self.path / 'tracks.csv'}: no track {track!r}")
        return self.by_id[track] if isinstance(track, str) else track

    def _labels_of(self, speaker: str) -> dict[str, list[dict]]:
        """Read the labels of a speaker, once: track id -> labels in order."""
        if speaker not in self._labels:
            path = self._labels_path(speaker, "csv")
            labels: dict[str, list[dict]] = {}
            for row in read_csv(path, LABEL_TIMES, remedy=AGAIN) if path.exists() else []:
                entry = dict.fromkeys(LABELS[3:], "") | row
                labels.setdefault(entry.pop("track"), []).append(entry)
            self._labels[speaker] = labels
        return self._labels[speaker]

    def _labels_path(self, speaker: str, suffix: str) -> Path:
        """Return the file of a speaker's labels; a name that leads out of the folder is cut."""
        return self.path / "labels" / f"{Path(speaker).name}.{suffix}"

    @cached_property
    def _labels(self) -> dict[str, dict[str, list[dict]]]:
        return {}


def open(name_or_path: str | os.PathLike) -> Corpus:
    """Open a corpus by path, by URL of its shards, or by name, e.g. 'mini'.

    Names are those of the corpora that come with the package (`data/`).

    >>> people = open("mini")
    >>> track = people.split("test")[0]
    >>> frames, waveform = people.clip(track)  # in step: 25 frames and 16000 samples per second
    >>> frames.shape[1:], len(waveform) == 640 * len(frames)
    ((96, 96, 3), True)
    """
    if is_url(name_or_path):
        return _open_url(str(name_or_path).rstrip("/"))
    path = Path(name_or_path)
    ours = shipped.folder() / str(name_or_path)
    return Corpus(ours if not path.exists() and (ours / "corpus.json").is_file() else path)


def _open_url(url: str) -> Corpus:
    """Open a sharded corpus behind a URL: the tables are fetched now, a clip when it is wanted."""
    folder = cache_folder() / "remote" / hashlib.sha1(url.encode()).hexdigest()[:16]
    sweep(folder, folder / "shards")
    for name in ("corpus.json", "tracks.csv", "shards/index.npz"):
        write_bytes(folder / name, fetch(f"{url}/{name}"))
    return Corpus(folder, f"{url}/shards")


def write_corpus(
    path: str | os.PathLike,
    rows: list[dict],
    *,
    made_by: str,
    seed: int | None,
    licence: str,
    **recipe: Any,
) -> Corpus:
    """Write tracks.csv and corpus.json for clips that are already in place, atomically.

    Args:
        path: the folder of the corpus.
        rows: one dict per track with the keys of COLUMNS and any further factors (the same keys in
            every row).
        made_by: the command that made the clips.
        seed: of what was drawn; None of what was filmed.
        licence: of the recordings.
        recipe: whatever else one needs to make this corpus again; must be JSON.
    """
    path = Path(path)
    write_csv(path / "tracks.csv", rows, COLUMNS)
    meta = {
        "format": FORMAT,
        "made_by": made_by,
        "seed": seed,
        "licence": licence,
        "recipe": recipe,
    }
    write_json(path / "corpus.json", meta, sort_keys=True)
    return Corpus(path)


def _in_step(
    frames: np.ndarray, waveform: np.ndarray, offset: int
) -> tuple[np.ndarray, np.ndarray]:
    """Take the offset out: keep the frames that have their own sound, and that sound."""
    first, late = max(0, -offset), max(0, offset)
    count = len(frames) - abs(offset)
    return frames[first : first + count], waveform[late * SAMPLES_PER_FRAME :][
        : count * SAMPLES_PER_FRAME
    ]
