"""Embed tracks: all windows of some tracks through both streams, in order, with their labels."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from dsel.corpus.cache import Cache
from dsel.corpus.store import Track
from dsel.corpus.tracks import Corpus
from dsel.corpus.tracks import open as open_corpus
from dsel.model import HEADS, TwoStream
from dsel.timing import FPS, WINDOW_FRAMES
from dsel.train.released import load_model
from dsel.utils.errors import BadInput
from dsel.utils.files import atomic, sweep

STREAMS = ("face", "audio")
TOGETHER = 16  # tracks that go through a stream at once


@dataclass(frozen=True)
class Embeddings:
    """All windows of some tracks, W in all, in order; `vectors[stream][head]`: float32 (W, D)."""

    tracks: list[Track]
    track: np.ndarray  # (W,) index into tracks
    window: np.ndarray  # (W,) t within the track; it begins with frame t
    vectors: dict[str, dict[str, np.ndarray]]

    def of(self, k: int, stream: str, head: str) -> np.ndarray:
        """Return the windows of a track: (N, D).

        Args:
            k: number of the track.
            stream: 'face' or 'audio'.
            head: 'content' or 'identity'.
        """
        first, last = np.searchsorted(self.track, [k, k + 1])
        return self.vectors[stream][head][first:last]

    def means(self, stream: str, head: str) -> np.ndarray:
        """Return the mean over windows of each track: (tracks, D). Arguments as in `of`."""
        return np.stack([self.of(k, stream, head).mean(axis=0) for k in range(len(self.tracks))])

    def only(self, keep: Callable[[Track], bool]) -> Embeddings:
        """Return the tracks for which `keep(track)` holds, in the same order."""
        kept = [k for k, track in enumerate(self.tracks) if keep(track)]
        rows = np.isin(self.track, kept)
        vectors = {
            s: {head: x[rows] for head, x in heads.items()} for s, heads in self.vectors.items()
        }
        return Embeddings(
            [self.tracks[k] for k in kept],
            np.searchsorted(kept, self.track[rows]),
            self.window[rows],
            vectors,
        )


def free_speech(track: Track) -> bool:
    """Say whether a track was drawn from all words; True if the corpus does not say.

    Where four words recur, a window has several right answers in its track, so the content task
    says little.
    """
    return str(track.factors.get("vocabulary", "free")) == "free"


def embed_tracks(
    model: TwoStream,
    cache: Cache,
    tracks: Sequence[Track],
    *,
    streams: tuple[str, ...] = STREAMS,
    progress: bool = True,
) -> Embeddings:
    """Run all windows of tracks through the streams, in evaluation mode.

    Tracks under 5 frames are left out, and a line on stderr says so. Neighbours of the same length
    are computed together.

    Args:
        model: the networks.
        cache: holds the tracks.
        tracks: what to embed.
        streams: 'face', 'audio' or both; only these are in `vectors`.
        progress: show a bar.
    Raises:
        BadInput: no track is long enough, or an embedding is not finite.
    """
    device = next(model.parameters()).device
    short = [track.id for track in tracks if track.usable < WINDOW_FRAMES]
    tracks = [track for track in tracks if track.usable >= WINDOW_FRAMES]
    if short and tracks:
        kept = f"{len(short)} of {len(short) + len(tracks)} tracks are left out, e.g. {short[0]}"
        tqdm.write(f"{kept}: shorter than {WINDOW_FRAMES} frames", file=sys.stderr)
    if not tracks:
        raise BadInput(
            "no tracks to embed: the split is empty, or every clip is shorter than 5 frames"
        )
    was_training = model.training
    model.eval()
    found: dict[str, dict[str, list]] = {s: {head: [] for head in HEADS} for s in streams}
    bar = tqdm(total=len(tracks), desc="embedding", disable=not progress, unit="track", leave=False)
    with torch.inference_mode(), bar:
        for alike in _alike(tracks):
            for stream in streams:
                x = _input(stream, cache, alike).to(device)
                for head, e in getattr(model, stream)(x).items():
                    found[stream][head] += _finite(e.float().cpu().numpy(), alike, stream)
            bar.update(len(alike))
    model.train(was_training)
    lengths = [track.usable - WINDOW_FRAMES + 1 for track in tracks]
    vectors = {
        stream: {head: np.concatenate(e) for head, e in heads.items()}
        for stream, heads in found.items()
    }
    window = np.concatenate([np.arange(n) for n in lengths])
    return Embeddings(tracks, np.repeat(np.arange(len(tracks)), lengths), window, vectors)


def _finite(e: np.ndarray, tracks: list[Track], stream: str) -> list[np.ndarray]:
    """Return the embeddings (B, N, D) of tracks one by one.

    Raises BadInput if one is not finite: every metric of it would be nonsense.
    """
    bad = np.flatnonzero(~np.isfinite(e).all(axis=(1, 2)))
    if len(bad):
        says = f"{tracks[bad[0]].id}: its {stream} embeddings hold NaN or infinite numbers"
        raise BadInput(f"{says}; use other networks, or make the clip again")
    return list(e)


def _alike(tracks: list[Track]) -> Iterator[list[Track]]:
    """Yield the tracks in order, in runs of the same length, at most TOGETHER of them."""
    for _, run in itertools.groupby(tracks, key=lambda track: track.usable):
        same = list(run)
        yield from (same[k : k + TOGETHER] for k in range(0, len(same), TOGETHER))


def _input(stream: str, cache: Cache, tracks: list[Track]) -> torch.Tensor:
    """Stack the input of a stream: uint8 (B, T, H, W, 3), or float32 (B, 640 T), of one length."""
    read = [cache.read(track) for track in tracks]
    if stream == "face":
        return torch.from_numpy(np.stack([frames for frames, _ in read]))
    return torch.from_numpy(np.stack([np.asarray(sound, np.float32) / 32767 for _, sound in read]))


def embed_split(
    model: TwoStream,
    corpus: Corpus,
    split: str,
    *,
    streams: tuple[str, ...] = STREAMS,
    progress: bool = True,
) -> Embeddings:
    """Embed all tracks of a split, see `embed_tracks`.

    Args:
        model: the networks.
        corpus, split: whose tracks.
        streams, progress: as in `embed_tracks`.
    Raises:
        BadInput: the split is empty; the message names those that there are.
    """
    tracks = corpus.split(split)
    if not tracks:
        known = ", ".join(sorted({t.split for t in corpus.tracks}))
        raise BadInput(f"{corpus.path}: no tracks in the split {split!r}; it has {known}")
    cache = corpus.cache(model.config.face_size, tracks=tracks, progress=progress)
    return embed_tracks(model, cache, tracks, streams=streams, progress=progress)


def embed(
    run: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    split: str = "test",
    progress: bool = True,
) -> Path:
    """Write the embeddings of a split as .npz, with what is known of each window.

    The arrays are <stream>_<head> float32 (W, D); track, speaker, phoneme, viseme and word, (W,)
    str; and time (W,), the middle of the window in seconds.

    Args:
        run: trained networks, as `dsel.train.load_model` takes them.
        data: a corpus, as `dsel.corpus.open` takes it.
        out: the file to write.
        split: whose tracks.
        progress: show a bar.
    Returns:
        The file.
    Raises:
        BadInput: there are no such networks, corpus or split.
    """
    model, corpus, out = load_model(run), open_corpus(data), Path(out)
    sweep(out.parent)
    e = embed_split(model, corpus, split, progress=progress)
    pairs = [(stream, head) for stream in STREAMS for head in HEADS]
    vectors: dict[str, Any] = {f"{s}_{head}": e.vectors[s][head] for s, head in pairs}
    with atomic(out) as part, part.open("wb") as file:
        np.savez_compressed(file, **(vectors | window_labels(corpus, e)))
    return out


def window_labels(corpus: Corpus, e: Embeddings) -> dict[str, np.ndarray]:
    """Look up what is known of each window.

    Args:
        corpus: the corpus of the tracks.
        e: their embeddings.
    Returns:
        track, speaker, phoneme, viseme and word, (W,) str, "" if unknown; and time (W,), the middle
        of the window in seconds.
    """
    time = (e.window + WINDOW_FRAMES / 2) / FPS
    known = {key: np.full(len(time), "", object) for key in ("phoneme", "viseme", "word")}
    for k, track in enumerate(e.tracks):
        first, last = np.searchsorted(e.track, [k, k + 1])
        shift = max(0, -track.offset) / FPS  # windows count from the first frame in step
        for label in corpus.labels(track):
            inside = first + np.flatnonzero(
                (time[first:last] + shift >= label["start"])
                & (time[first:last] + shift < label["end"])
            )
            for key in known:
                known[key][inside] = label[key]
    return {
        "track": np.array([e.tracks[k].id for k in e.track]),
        "speaker": np.array([e.tracks[k].speaker for k in e.track]),
        "time": time,
        **{key: values.astype(str) for key, values in known.items()},
    }
