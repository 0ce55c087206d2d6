"""Every window of some tracks through both streams: vectors in order, and what is known of each window."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from dsel.corpus import Cache, Corpus, Track
from dsel.corpus import open as open_corpus
from dsel.errors import BadInput
from dsel.model import HEADS, TwoStream
from dsel.timing import FPS, WINDOW_FRAMES
from dsel.train import load_model

STREAMS = ("face", "audio")


@dataclass(frozen=True)
class Embeddings:
    """All windows of some tracks, W in all, in order. vectors[stream][head] is float32 (W, D)."""

    tracks: list[Track]
    track: np.ndarray  # (W,) index into tracks
    window: np.ndarray  # (W,) t within the track; it begins with frame t
    vectors: dict[str, dict[str, np.ndarray]]

    def of(self, k: int, stream: str, head: str) -> np.ndarray:
        """The windows of track number k: (N, D)."""
        first, last = np.searchsorted(self.track, [k, k + 1])
        return self.vectors[stream][head][first:last]

    def means(self, stream: str, head: str) -> np.ndarray:
        """One vector a track, the mean of its windows: (tracks, D)."""
        return np.stack([self.of(k, stream, head).mean(axis=0) for k in range(len(self.tracks))])

    def only(self, keep) -> Embeddings:
        """The tracks for which `keep(track)` holds, in the same order."""
        kept = [k for k, track in enumerate(self.tracks) if keep(track)]
        rows = np.isin(self.track, kept)
        vectors = {s: {head: x[rows] for head, x in heads.items()} for s, heads in self.vectors.items()}
        return Embeddings([self.tracks[k] for k in kept], np.searchsorted(kept, self.track[rows]), self.window[rows], vectors)


def free_speech(track: Track) -> bool:
    """Whether a track was drawn from all words. Where four words recur, a window has several right answers in its track, and
    the content task says little. True where the corpus does not know."""
    return str(track.factors.get("vocabulary", "free")) == "free"


def embed_tracks(model: TwoStream, cache: Cache, tracks: list[Track], *, progress: bool = True) -> Embeddings:
    """Every window of every track through both streams, in evaluation mode. Tracks under 5 frames are left out."""
    device = next(model.parameters()).device
    tracks = [track for track in tracks if track.usable >= WINDOW_FRAMES]
    if not tracks:
        raise BadInput("no tracks to embed: the split is empty, or every clip is shorter than 5 frames")
    was_training = model.training
    model.eval()
    found = {stream: {head: [] for head in HEADS} for stream in STREAMS}
    with torch.inference_mode():
        for track in tqdm(tracks, "embedding", disable=not progress, unit="track", leave=False):
            frames, sound = cache.read(track)
            inputs = {
                "face": torch.from_numpy(np.array(frames))[None].to(device),
                "audio": torch.from_numpy(np.array(sound, np.float32) / 32767)[None].to(device),
            }
            for stream in STREAMS:
                for head, e in getattr(model, stream)(inputs[stream]).items():
                    found[stream][head].append(e[0].float().cpu().numpy())
    model.train(was_training)
    lengths = [len(e) for e in found["face"]["content"]]
    vectors = {stream: {head: np.concatenate(found[stream][head]) for head in HEADS} for stream in STREAMS}
    window = np.concatenate([np.arange(n) for n in lengths])
    return Embeddings(tracks, np.repeat(np.arange(len(tracks)), lengths), window, vectors)


def embed_split(model: TwoStream, corpus: Corpus, split: str, *, progress: bool = True) -> Embeddings:
    """`embed_tracks` for all tracks of a split. Raises BadInput for an empty one, and says which there are."""
    tracks = corpus.split(split)
    if not tracks:
        known = ", ".join(sorted({t.split for t in corpus.tracks}))
        raise BadInput(f"{corpus.path}: no tracks in the split {split!r}; it has {known}")
    return embed_tracks(
        model, corpus.cache(model.config.face_size, tracks=tracks, progress=progress), tracks, progress=progress
    )


def embed(run, data, out, *, split: str = "test", progress: bool = True) -> Path:
    """Write the embeddings of a split as .npz: <stream>_<head> float32 (W, D), and what is known of each window.

    That is track, speaker, phoneme, viseme, word (W,) str and time (W,), the middle of the window in seconds.
    """
    model, corpus, out = load_model(run), open_corpus(data), Path(out)
    e = embed_split(model, corpus, split, progress=progress)
    vectors = {f"{stream}_{head}": e.vectors[stream][head] for stream in STREAMS for head in HEADS}
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("wb") as file:
        np.savez_compressed(file, **vectors, **window_labels(corpus, e))
    return out


def window_labels(corpus: Corpus, e: Embeddings) -> dict[str, np.ndarray]:
    """What is known of each window: track, speaker, time of its middle (s), and phoneme, viseme, word there ("" if unknown)."""
    time = (e.window + WINDOW_FRAMES / 2) / FPS
    known = {key: np.full(len(time), "", object) for key in ("phoneme", "viseme", "word")}
    for k, track in enumerate(e.tracks):
        first, last = np.searchsorted(e.track, [k, k + 1])
        shift = max(0, -track.offset) / FPS  # windows count from the first frame in step
        for label in corpus.labels(track):
            inside = first + np.flatnonzero(
                (time[first:last] + shift >= label["start"]) & (time[first:last] + shift < label["end"])
            )
            for key in known:
                known[key][inside] = label[key]
    return {
        "track": np.array([e.tracks[k].id for k in e.track]),
        "speaker": np.array([e.tracks[k].speaker for k in e.track]),
        "time": time,
        **{key: values.astype(str) for key, values in known.items()},
    }
