"""What the embeddings are worth: matching accuracy, speaker verification, synchronisation. Chance stands beside each figure.

The parts live in rooms of their own and can be imported from here as well: `dsel.embeddings` (windows through the networks),
`dsel.verification` (trials, EER, minDCF, DET, intervals), `dsel.probes` (which factors can be read off a code).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from dsel.corpus import TRIALS, Corpus, Track, Trials
from dsel.corpus import open as open_corpus
from dsel.embeddings import STREAMS, Embeddings, embed, embed_split, embed_tracks, free_speech, window_labels
from dsel.losses import inverse_distance, scaled_cosine, top1
from dsel.model import HEADS, TwoStream
from dsel.train import load_model, read_checkpoint
from dsel.verification import (
    DetCurve,
    Interval,
    all_pairs,
    confusable,
    cosine_scores,
    crop_scores,
    det_curve,
    eer_interval,
    equal_error_rate,
    error_rates,
    min_dcf,
    speaker_bootstrap,
    trial_speakers,
    verification_scores,
)

__all__ = [
    "STREAMS",
    "DetCurve",
    "Embeddings",
    "Interval",
    "all_pairs",
    "confusable",
    "content_accuracy",
    "cosine_scores",
    "crop_scores",
    "det_curve",
    "eer_interval",
    "embed",
    "embed_split",
    "embed_tracks",
    "equal_error_rate",
    "error_rates",
    "evaluate",
    "evaluate_model",
    "free_speech",
    "identity_accuracy",
    "min_dcf",
    "probe",
    "run_similarity",
    "speaker_bootstrap",
    "sync_accuracy",
    "sync_offset",
    "table",
    "trial_speakers",
    "verification_scores",
    "window_labels",
]

CHOICES = 30  # windows of a track and tracks of a batch to choose from, as in the ablation of the notes
REACH = 15  # frames by which the sound is tried early and late


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


def sync_offset(face: np.ndarray, audio: np.ndarray, reach: int = 15, similarity=None) -> tuple[int, float, np.ndarray]:
    """By how many frames the sound is late: the shift k that makes face window t most like audio window t + k, on average.

    face, audio: content embeddings (N, D) of one track, N > 2 reach.
    Returns (k, confidence, curve): confidence is the curve's best value minus its median; curve (2 reach + 1,) the mean
    similarity for k = -reach .. reach, over all pairs (t, t + k) that the track has. Before, row means and column means are
    taken out of the N x N similarities: some windows (silence, the ends of a track) resemble everything, and would decide
    by whether a shift includes them. (The confidence is SyncNet's, the notes' reference 29's predecessor; the rest is ours.)
    """
    N = len(face)
    if 2 * reach >= N:
        raise ValueError(f"{N} windows are too few to try shifts of up to {reach} frames; {2 * reach + 1} are needed")
    logits = (similarity or _cosine)(torch.from_numpy(face), torch.from_numpy(audio)).numpy()  # (N, N)
    logits = logits - logits.mean(axis=0) - logits.mean(axis=1, keepdims=True)
    curve = np.array([np.diagonal(logits, k).mean() for k in range(-reach, reach + 1)])
    return int(curve.argmax()) - reach, float(curve.max() - np.median(curve)), curve


def sync_accuracy(e: Embeddings, head: str = "content", reach: int = REACH, similarity=None) -> dict:
    """How well `sync_offset` does on tracks that are in step: share found exactly and within one frame, and the mean error.

    Returns {"exact", "within_one", "frames" (mean |error|), "reach", "chance" (of within_one), "tracks"}. Tracks with fewer
    than 2 reach + 8 windows are left out; where no track has as many, `reach` is lowered. None where no track has 10 windows.
    A window knows nothing of its neighbours' places, so that finding no shift is as hard as finding another one.
    """
    lengths = np.bincount(e.track)
    reach = int(min(reach, (lengths.max() - 8) // 2))
    if reach < 1:
        return None
    long = [k for k, n in enumerate(lengths) if n >= 2 * reach + 8]
    pairs = ((e.of(k, "face", head), e.of(k, "audio", head)) for k in long)
    error = np.abs([sync_offset(face, audio, reach, similarity)[0] for face, audio in pairs])
    return {
        "exact": float((error == 0).mean()),
        "within_one": float((error <= 1).mean()),
        "frames": float(error.mean()),
        "reach": reach,
        "chance": 3 / (2 * reach + 1),
        "tracks": len(long),
    }


def evaluate(run, data, *, split: str = "test", progress: bool = True) -> list[dict]:
    """All figures of a trained run on a split, in percent: rows as of `evaluate_model`; kept as RUN/evaluation.json.

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
    """The same for networks in memory: rows {"figure", "value", "chance"}, for verification also {"low", "high"}, the 95 %
    interval over speakers."""
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
    sync = sync_accuracy(free, similarity=similarity)
    if sync:
        rows.append(_row(f"sound placed within 40 ms, of ±{sync['reach']} frames", sync["within_one"], sync["chance"]))
    return rows + _verification_rows(e, _trial_lists(corpus, split, e.tracks))


def probe(run, data, *, split: str = "test", progress: bool = True) -> dict:
    """Which factors can be read off the heads of a trained run: `dsel.probes.leakage`, kept as RUN/leakage.json."""
    from dsel.probes import leakage

    corpus = open_corpus(data)
    found = leakage(load_model(run), corpus, split=split, progress=progress)
    (Path(run) / "leakage.json").write_text(json.dumps({"corpus": corpus.meta, "split": split, **found}, indent=1))
    return found


def table(rows: list[dict]) -> str:
    """The rows as text, chance beside each figure, and the 95 % interval over speakers where there is one."""
    width = max(len(row["figure"]) for row in rows)
    lines = [f"{'':{width}}      %   chance   95 % interval"]
    for row in rows:
        interval = f"   {row['low']:5.1f} to {row['high']:.1f}" if "low" in row else ""
        lines.append(f"{row['figure']:{width}}  {row['value']:5.1f}    {row['chance']:5.1f}{interval}")
    return "\n".join(lines)


def run_similarity(run):
    """The similarity a run was trained with, up to scale: what ranks its candidates."""
    kind = read_checkpoint(run)["config"]["train"]["similarity"]
    return _cosine if kind == "cosine" else inverse_distance


def _cosine(x, y):
    return scaled_cosine(x, y, 1.0, 0.0)


def _verification_rows(e: Embeddings, lists: dict[str, Trials]) -> list[dict]:
    """EER of both heads on each list, then minDCF of the identity head."""
    eer, dcf = [], []
    for name, trials in lists.items():
        if not trials.target.any() or trials.target.all():
            continue
        a, b = trial_speakers(trials, e.tracks)
        for head in ("identity", "content"):
            scores = verification_scores(e, trials, head)
            row = _row(f"EER, {head} head, {name}", equal_error_rate(scores, trials.target), 0.5)
            try:
                _, low, high = eer_interval(scores, trials.target, a, b)
                row |= {"low": 100 * low, "high": 100 * high}
            except ValueError:  # too few speakers for an interval
                pass
            eer.append(row)
            if head == "identity":
                dcf.append(_row(f"minDCF, {head} head, {name}", min_dcf(scores, trials.target), 1.0))
    return eer + dcf


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
