"""Pack a corpus into WebDataset shards: `dsel shard`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from dsel.corpus.shards import clips_of, key_of, write_shard
from dsel.corpus.store import SPLITS, Track
from dsel.corpus.tracks import Corpus
from dsel.corpus.tracks import open as open_corpus
from dsel.utils.errors import BadInput
from dsel.utils.files import atomic, refuse_links, sweep
from dsel.utils.readers import check_file


def shard(
    data: str | os.PathLike,
    out: str | os.PathLike,
    *,
    megabytes: int = 256,
    seed: int = 0,
    progress: bool = True,
) -> Path:
    """Pack the clips of the corpus `data` into WebDataset shards; `out` is a corpus too.

    See `dsel shard --help`. OUT/shards/<split>-000000.tar ..., the tracks of a split in random
    order, so that what lies together is not alike; OUT/shards/index.npz (which bytes are whose),
    tracks.csv, corpus.json, labels/ and trials/ as they were. Copy the folder to a web server and
    train on its URL. A shard that is there, whole and younger than its clips is not written again.

    Raises:
        BadInput: `data` is no corpus of clips, or a clip is missing.
    """
    corpus, out = open_corpus(data), Path(out)
    if corpus.shards is not None:
        raise BadInput(f"{corpus.path}: lies in shards already")
    if out.resolve() == corpus.path.resolve():
        raise BadInput(f"{out}: the shards need a folder of their own; give another --out")
    refuse_links(out, "shards", "labels", "trials")
    table, rng = corpus.tracks.table, np.random.default_rng(seed)
    names: list[str] = []
    place = np.zeros((len(corpus), 3), np.int64)  # shard, first byte, bytes
    sweep(out, out / "shards")
    (out / "shards" / "index.npz").unlink(
        missing_ok=True
    )  # it would not fit shards that are written anew
    with tqdm(total=len(corpus), desc="packing clips", disable=not progress, unit="track") as bar:
        for split in SPLITS:
            rows = rng.permutation(corpus.split(split).rows)
            for number, chosen in enumerate(_portions(corpus, rows, megabytes << 20)):
                path = out / "shards" / f"{split}-{number:06d}.tar"
                place[chosen, 0] = len(names)
                place[chosen, 1:] = _packed(corpus, [table.track(int(k)) for k in chosen], path)
                names.append(path.name)
                bar.update(len(chosen))
    number_of_shard, first, size = place[:, 0].astype(np.int32), place[:, 1], place[:, 2]
    with atomic(out / "shards" / "index.npz") as part:
        np.savez(part, names=np.array(names), shard=number_of_shard, first=first, size=size)
    for name in ("labels", "trials"):
        if (corpus.path / name).is_dir():
            _copy(corpus.path / name, out / name)
    for name in ("tracks.csv", "corpus.json"):  # last: with them it is a corpus
        with atomic(out / name) as part:
            shutil.copyfile(corpus.path / name, part)
    return out


def _copy(folder: Path, out: Path) -> None:
    """Copy the files of a folder. Raises BadInput for what is none, or is too large to be one."""
    sweep(out)
    for path in sorted(folder.iterdir()):
        if not path.is_dir():
            check_file(path, "delete it, or make the corpus again")
            with atomic(out / path.name) as part:
                shutil.copyfile(path, part)


def _portions(corpus: Corpus, rows: np.ndarray, most: int) -> Iterator[list[int]]:
    """Yield rows in order, cut where their clips would fill more than so many bytes."""
    chosen: list[int] = []
    filled = 0
    for k in rows.tolist():
        size = _stat(corpus, k).st_size
        if chosen and filled + size > most:
            yield chosen
            chosen, filled = [], 0
        chosen.append(k)
        filled += size
    if chosen:
        yield chosen


def _packed(corpus: Corpus, tracks: list[Track], path: Path) -> list[tuple[int, int]]:
    """Write a shard unless it is there. Returns first byte and size of each track's clip in it."""
    clips = [corpus.path / track.path for track in tracks]
    if path.is_file() and path.stat().st_mtime_ns >= max(clip.stat().st_mtime_ns for clip in clips):
        found = clips_of(path)
        if [(key, size) for key, _, size in found] == [
            (key_of(track.id), clip.stat().st_size)
            for track, clip in zip(tracks, clips, strict=True)
        ]:
            return [(first, size) for _, first, size in found]
    return write_shard(
        path, ((t.id, clip.read_bytes(), _about(t)) for t, clip in zip(tracks, clips, strict=True))
    )


def _about(track: Track) -> dict:
    return {
        "id": track.id,
        "speaker": track.speaker,
        "frames": track.frames,
        "offset": track.offset,
        **track.factors,
    }


def _stat(corpus: Corpus, row: int) -> os.stat_result:
    path = corpus.path / corpus.tracks.table.path[row]
    if not path.is_file():  # a pipe would be waited for
        raise BadInput(f"{path}: the clip is missing; make the corpus again")
    return path.stat()
