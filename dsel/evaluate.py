"""What the embeddings are worth: matching accuracy, speaker verification, synchronisation. Chance stands beside each figure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from dsel.corpus import TRIALS, Cache, Corpus, Track, Trials
from dsel.corpus import open as open_corpus
from dsel.errors import BadInput
from dsel.losses import inverse_distance, scaled_cosine, top1
from dsel.model import HEADS, TwoStream
from dsel.timing import FPS, WINDOW_FRAMES
from dsel.train import load_model, read_checkpoint

STREAMS = ("face", "audio")
CHOICES = 30  # windows of a track and tracks of a batch to choose from, as in the ablation of the notes
MAX_PAIRS = 200_000  # pairs of tracks judged where the corpus brings no trial list


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


def content_accuracy(e: Embeddings, head: str = "content", N: int = CHOICES, similarity=None) -> dict:
    """Content task: share of video windows whose nearest audio window, of N consecutive ones of the track, is their own.

    Returns {"top1", "within_one" (the match or its 40 ms neighbour), "chance", "choices", "tracks"}. The first N windows of
    each track of at least N windows are used; where no track has N, N is lowered to the longest. (Source: notes; ours.)
    """
    lengths = np.bincount(e.track)
    N = int(min(N, lengths.max()))
    rows = [k for k, n in enumerate(lengths) if n >= N]
    face, audio = (torch.from_numpy(np.stack([e.of(k, stream, head)[:N] for k in rows])) for stream in STREAMS)
    logits = (similarity or _cosine)(face, audio)  # (tracks, N, N)
    near = (logits.argmax(-1) - torch.arange(N)).abs() <= 1
    return {
        "top1": top1(logits).item(),
        "within_one": near.double().mean().item(),
        "chance": 1 / N,
        "choices": N,
        "tracks": len(rows),
    }


def identity_accuracy(
    e: Embeddings, head: str = "identity", B: int = CHOICES, draws: int = 200, seed: int = 0, similarity=None
):
    """Identity task: share of face windows that find the mean audio of their own track among B tracks of B speakers.

    Returns {"top1", "chance", "choices", "draws"}: the mean over `draws` random choices of speakers, tracks and windows. With
    fewer than B speakers, B is their number. Different speakers, so that no negative is false. (Source: notes; ours.)
    """
    by_speaker: dict[str, list[int]] = {}
    for k, track in enumerate(e.tracks):
        by_speaker.setdefault(track.speaker, []).append(k)
    B, rng, names = min(B, len(by_speaker)), np.random.default_rng(seed), sorted(by_speaker)
    audio, correct = torch.from_numpy(e.means("audio", head)), []
    for _ in range(draws):
        chosen = [int(rng.choice(by_speaker[name])) for name in rng.permutation(names)[:B]]
        face = [e.of(k, "face", head) for k in chosen]
        picked = np.stack([windows[rng.integers(len(windows))] for windows in face])
        correct.append(top1((similarity or _cosine)(torch.from_numpy(picked), audio[chosen])).item())
    return {"top1": float(np.mean(correct)), "chance": 1 / B, "choices": B, "draws": draws}


def verification_scores(e: Embeddings, trials: Trials, head: str = "identity", stream: str = "audio") -> np.ndarray:
    """Cosine between the tracks' mean embeddings, one a trial: (trials,). All by one matrix product. (Source: notes.)"""
    means = e.means(stream, head)
    means = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    row = {track.id: k for k, track in enumerate(e.tracks)}
    missing = {name for name in (*trials.a, *trials.b) if name not in row}
    if missing:
        raise BadInput(f"{len(missing)} tracks of the trial list were not embedded, e.g. {min(missing)}")
    scores = means @ means.T  # (tracks, tracks)
    return scores[[row[name] for name in trials.a], [row[name] for name in trials.b]]


def equal_error_rate(scores, target) -> float:
    """The error rate in [0, 1] at the threshold where misses and false alarms are equally frequent.

    scores (K,): higher means more likely the same speaker. target (K,): true for a target trial.
    Between two thresholds both rates are joined by straight lines. Chance is 0.5. Raises ValueError if a class is empty.
    """
    miss, false_alarm = error_rates(scores, target)
    k = int(np.argmax(miss >= false_alarm))  # the first threshold at which misses have caught up
    if k == 0:
        return float(miss[0] + false_alarm[0]) / 2
    before, after = false_alarm[k - 1] - miss[k - 1], miss[k] - false_alarm[k]
    share = before / (before + after)
    return float(miss[k - 1] + share * (miss[k] - miss[k - 1]))


def min_dcf(scores, target, p_target: float = 0.05, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """Minimum over thresholds of C_miss P_miss P_target + C_fa P_fa (1 - P_target), divided by the better of always / never.

    1 means: no better than refusing (or accepting) everybody. Shapes as in `equal_error_rate`. (Source: NIST evaluations.)
    """
    miss, false_alarm = error_rates(scores, target)
    cost = c_miss * miss * p_target + c_fa * false_alarm * (1 - p_target)
    return float(cost.min() / min(c_miss * p_target, c_fa * (1 - p_target)))


def error_rates(scores, target) -> tuple[np.ndarray, np.ndarray]:
    """Miss and false alarm rate at every threshold that matters, from 'accept all' to 'refuse all': two arrays (<= K + 1,).

    Equal scores are decided together, so that the order of trials does not matter.
    """
    scores, target = np.asarray(scores, np.float64), np.asarray(target, bool)
    if scores.shape != target.shape or not target.any() or target.all() or not np.isfinite(scores).all():
        raise ValueError("need finite scores of at least one target and one impostor trial, one score a trial")
    order = np.argsort(scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) > 0, True)) + 1  # refused so far, at the end of each tie
    refused_targets = np.concatenate([[0], np.cumsum(target[order])[last - 1]])
    refused_others = np.concatenate([[0], np.cumsum(~target[order])[last - 1]])
    return refused_targets / target.sum(), 1 - refused_others / (~target).sum()


def all_pairs(tracks: list[Track], limit: int = MAX_PAIRS, seed: int = 0) -> Trials:
    """Every pair of two different tracks as a trial, for corpora without a trial list; at most `limit`, drawn at random."""
    i, j = np.triu_indices(len(tracks), 1)
    if len(i) > limit:
        keep = np.random.default_rng(seed).choice(len(i), limit, replace=False)
        i, j = i[keep], j[keep]
    ids, speaker = np.array([t.id for t in tracks]), np.array([t.speaker for t in tracks])
    sex = np.array([str(t.factors.get("sex", "")) for t in tracks])
    return Trials(ids[i], ids[j], speaker[i] == speaker[j], (sex[i] == sex[j]) & (sex[i] != ""), np.full(len(i), ""))


def sync_offset(face: np.ndarray, audio: np.ndarray, reach: int = 15, similarity=None) -> tuple[int, float, np.ndarray]:
    """By how many frames the sound is late: the shift k that makes face window t most like audio window t + k, on average.

    face, audio: content embeddings (N, D) of one track, N > 2 reach.
    Returns (k, confidence, curve): confidence is the curve's best value minus its median; curve (2 reach + 1,) the mean
    similarity for k = -reach .. reach. The same middle windows serve every k. (Source: notes' reference 29's predecessor
    SyncNet uses the same confidence; ours.)
    """
    N = len(face)
    if 2 * reach >= N:
        raise ValueError(f"{N} windows are too few to try shifts of up to {reach} frames; {2 * reach + 1} are needed")
    logits = (similarity or _cosine)(torch.from_numpy(face), torch.from_numpy(audio)).numpy()  # (N, N)
    rows = np.arange(reach, N - reach)
    curve = np.array([logits[rows, rows + k].mean() for k in range(-reach, reach + 1)])
    return int(curve.argmax()) - reach, float(curve.max() - np.median(curve)), curve


def evaluate(run, data, *, split: str = "test", progress: bool = True) -> list[dict]:
    """All figures of a trained run on a split: rows {"figure", "value", "chance"}, in percent; kept as RUN/evaluation.json.

    See `dsel evaluate --help`. Raises BadInput for a missing run or an empty split.
    """
    model, corpus = load_model(run), open_corpus(data)
    rows = evaluate_model(model, corpus, split=split, similarity=run_similarity(run), progress=progress)
    found = {"corpus": corpus.meta, "split": split, "rows": rows}
    (Path(run) / "evaluation.json").write_text(json.dumps(found, indent=1))
    return rows


def evaluate_model(
    model: TwoStream, corpus: Corpus, *, split: str = "test", similarity=None, progress: bool = True
) -> list[dict]:
    """The same for networks in memory."""
    e = embed_split(model, corpus, split, progress=progress)
    free = e.only(free_speech)  # the matching tasks are asked where they have one right answer
    free = free if free.tracks else e
    content = {head: content_accuracy(free, head, similarity=similarity) for head in HEADS}
    identity = {head: identity_accuracy(free, head, similarity=similarity) for head in HEADS}
    N, B = content["content"]["choices"], identity["identity"]["choices"]
    rows = [
        _row(f"content task, content head: top-1 of {N} windows", content["content"]["top1"], 1 / N),
        _row("  the match or its 40 ms neighbour", content["content"]["within_one"], (3 * N - 2) / N**2),
        _row(f"content task, identity head: top-1 of {N} windows", content["identity"]["top1"], 1 / N),
        _row(f"identity task, identity head: top-1 of {B} tracks", identity["identity"]["top1"], 1 / B),
        _row(f"identity task, content head: top-1 of {B} tracks", identity["content"]["top1"], 1 / B),
    ]
    for name, trials in _trial_lists(corpus, split, e.tracks).items():
        if trials.target.any() and not trials.target.all():
            rows += [
                _row(f"EER, {head} head, {name}", equal_error_rate(verification_scores(e, trials, head), trials.target), 0.5)
                for head in ("identity", "content")
            ]
    return rows


def table(rows: list[dict]) -> str:
    """The rows as text, chance beside each figure."""
    width = max(len(row["figure"]) for row in rows)
    lines = [f"{'':{width}}      %   chance"]
    return "\n".join(lines + [f"{row['figure']:{width}}  {row['value']:5.1f}    {row['chance']:5.1f}" for row in rows])


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


def run_similarity(run):
    """The similarity a run was trained with, up to scale: what ranks its candidates."""
    kind = read_checkpoint(run)["config"]["train"]["similarity"]
    return _cosine if kind == "cosine" else inverse_distance


def _cosine(x, y):
    return scaled_cosine(x, y, 1.0, 0.0)


def _row(figure: str, value: float, chance: float) -> dict:
    return {"figure": figure, "value": 100 * value, "chance": 100 * chance}


def _trial_lists(corpus: Corpus, split: str, tracks: list[Track]) -> dict[str, Trials]:
    """The corpus' own lists for this split, each whole and its same-sex part; else all pairs."""
    prefix = "" if split == "test" else f"{split}_"
    lists = {f"{kind} trials": corpus.trials(prefix + kind) for kind in TRIALS}
    lists = {name: trials for name, trials in lists.items() if trials is not None} or {"all pairs": all_pairs(tracks)}
    found = {}
    for name, trials in lists.items():
        found[name] = trials
        if trials.same_sex.any():
            found[f"{name}, same sex"] = trials.only(trials.same_sex)
    return found
