"""Judge networks on a speaker-verification list over sound files, as VoxCeleb, Kaldi and this
project write such lists.

    dsel verify veri_test2.txt --audio VOXCELEB1/wav --model RUN
    dsel verify VOXCELEB1 --model RUN      # a folder as torchaudio's VoxCeleb1Verification takes it

Every file is embedded once: as `crops` crops of 2 s, spread evenly over it (the authors' way), or
whole. A trial's score is the mean cosine over all pairs of crops. What is embedded is kept in a
cache file, so that a stopped run goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from dsel.apply.sound import mean_embedding, samples_of
from dsel.corpus import published
from dsel.corpus import trials as trial_lists
from dsel.evaluate.sync import networks_of
from dsel.evaluate.verification import (
    crop_scores,
    eer_interval,
    equal_error_rate,
    min_dcf,
    speaker_bootstrap,
)
from dsel.model import TwoStream
from dsel.timing import SAMPLE_RATE, samples_for
from dsel.utils.errors import BadInput
from dsel.utils.files import atomic, sweep, write_csv
from dsel.utils.readers import read_arrays

CROP = samples_for(50)  # samples of a crop: 2 s, 50 frames (authors' code)
CROPS = 10  # crops of a file (authors' code)
PRIORS = (
    0.01,
    0.05,
)  # P_target of the minDCFs that are reported, as in the NIST and VoxSRC evaluations
SAVE_EVERY = 200  # files between two writes of the cache
MOST_BYTES = 16 << 30  # of a cache: a million files of ten crops


@dataclass(frozen=True)
class FileTrials:
    """Trials over files: a, b (K,) str, target (K,) bool."""

    a: np.ndarray
    b: np.ndarray
    target: np.ndarray

    def __len__(self) -> int:
        return len(self.target)

    def files(self) -> list[str]:
        """Every file that is named, sorted."""
        return sorted({*self.a.tolist(), *self.b.tolist()})


def read_trials(path) -> FileTrials:
    """Read a trial list over files, in any form that `dsel.corpus.trials` reads.

    Raises:
        BadInput: an unreadable file, an empty list, or a line of another form; names the line.
    """
    return _file_trials(
        path, ((trial.target, trial.a, trial.b) for trial in trial_lists.read_trials(path))
    )


def verify(
    trials,
    audio=None,
    model="four_terms",
    *,
    crops: int = CROPS,
    every: int = 1,
    scores=None,
    cache=None,
    progress: bool = True,
) -> dict:
    """Judge networks on a trial list over files.

    Args:
        trials: the list, see `read_trials`; or a folder of VoxCeleb1 (`wav` and its list).
        audio: the folder that the paths of a list are relative to.
        model: networks, as for `dsel.embed`.
        crops: crops of 2 s a file; 0: each file whole.
        every: use every n-th window. The authors' published network is judged with every second one
            (temporal stride 2).
        scores: a csv to write the score of every trial to.
        cache: an .npz that keeps the embeddings; None: none is kept.
    Returns:
        {"trials", "targets", "files", "crops", "eer", "eer_low", "eer_high", "min_dcf": {P_target:
        {"value", "low", "high"}}}, rates in 0..1. Intervals (95 %) resample speakers, where the
        first part of a path names the speaker, else they are None.
    Raises:
        BadInput: a list with targets or impostors alone, or without `audio`; a file that is
            missing, or one that cannot be embedded.
    """
    if Path(trials).is_dir():
        pairs, beside = published.voxceleb1_trials(trials)
        audio = audio or beside
        listed = _file_trials(trials, pairs)
    elif audio is None:
        raise BadInput(f"{trials}: give the folder that its paths start from as --audio")
    else:
        listed = read_trials(trials)
    if listed.target.all() or not listed.target.any():
        kind = "targets" if listed.target.all() else "impostors"
        raise BadInput(f"{trials}: only {kind}; an error rate needs both")
    names = listed.files()
    missing = [name for name in names if not (Path(audio) / name).is_file()]
    if missing:
        says = f"{len(missing)} of its files are not in {audio}, e.g. {missing[0][:80]}"
        raise BadInput(f"{trials}: {says}; give the folder that its paths start from as --audio")
    vectors = _embedded(networks_of(model), Path(audio), names, crops, every, cache, progress)
    row = {name: k for k, name in enumerate(names)}
    i, j = (
        np.array([row[name] for name in side]) for side in (listed.a.tolist(), listed.b.tolist())
    )
    found = crop_scores(vectors, i, j)
    if scores is not None:
        sweep(Path(scores).parent)
        rows = [
            {"target": int(t), "a": x, "b": y, "score": f"{s:.6f}"}
            for t, x, y, s in zip(listed.target, listed.a, listed.b, found, strict=True)
        ]
        write_csv(scores, rows, ("target", "a", "b", "score"))
    return {
        "trials": len(listed),
        "targets": int(listed.target.sum()),
        "files": len(names),
        "crops": crops,
        **metrics(found, listed),
    }


def metrics(found: np.ndarray, trials: FileTrials) -> dict:
    """Compute EER and minDCF of scores (K,), with intervals if the paths name the speakers."""
    a, b = (
        np.array([_speaker(name) for name in side])
        for side in (trials.a.tolist(), trials.b.tolist())
    )
    known = bool((a != "").all() and (b != "").all() and ((a == b) == trials.target).all())
    result = {
        "eer": equal_error_rate(found, trials.target),
        "eer_low": None,
        "eer_high": None,
        "min_dcf": {},
    }
    if known:
        try:
            interval = eer_interval(found, trials.target, a, b)
            result["eer_low"], result["eer_high"] = interval.low, interval.high
        except ValueError:  # too few speakers to resample
            known = False
    for prior in PRIORS:

        def cost(weight=None, prior=prior):
            return min_dcf(found, trials.target, prior, weight=weight)

        result["min_dcf"][prior] = {"value": cost(), "low": None, "high": None}
        if known:
            interval = speaker_bootstrap(cost, a, b)
            result["min_dcf"][prior] |= {"low": interval.low, "high": interval.high}
    return result


def describe(found: dict) -> str:
    """Write the result of `verify` as a few lines of text."""

    def spread(low, high, scale=1.0):
        return (
            ""
            if low is None
            else f"   (95 % interval over speakers {scale * low:.2f} to {scale * high:.2f})"
        )

    crops = f"compared by {found['crops']} crops of 2 s (--crops 0: whole)"
    how = crops if found["crops"] else "whole"
    lines = [
        f"{found['trials']} trials, {found['targets']} of them targets; "
        f"{found['files']} files, {how}"
    ]
    lines += [
        f"EER     {100 * found['eer']:6.2f} %{spread(found['eer_low'], found['eer_high'], 100)}"
    ]
    for prior, cost in found["min_dcf"].items():
        lines.append(
            f"minDCF  {cost['value']:6.3f}   at P_target "
            f"{prior:g}{spread(cost['low'], cost['high'])}"
        )
    return "\n".join(lines)


def _file_trials(path, pairs: Iterable[tuple[bool, str, str]]) -> FileTrials:
    """Collect (same speaker?, a, b) of every trial; a list without any is refused."""
    columns = list(zip(*pairs, strict=True))
    if not columns:
        raise BadInput(f"{path}: is empty; {trial_lists.REMEDY}")
    target, a, b = columns
    return FileTrials(a=np.array(a), b=np.array(b), target=np.array(target, bool))


def _embedded(
    networks: TwoStream,
    audio: Path,
    names: list[str],
    crops: int,
    every: int,
    cache,
    progress: bool,
) -> np.ndarray:
    """Embed all files, in order: float32 (files, crops or 1, D)."""
    key, done = _print_of(networks, crops, every), {}
    if cache is not None and Path(cache).is_file():
        done = _read_cache(Path(cache), key, (crops or 1, networks.config.D))
    for count, name in enumerate(
        tqdm(names, "embedding", disable=not progress, unit="file", leave=False)
    ):
        stamp = _stamp(audio / name)
        if name not in done or done[name][0] != stamp:
            done[name] = (stamp, _crops_of(networks, samples_of(audio / name), crops, every))
            if cache is not None and count % SAVE_EVERY == SAVE_EVERY - 1:
                _write_cache(Path(cache), key, done)
    if cache is not None:
        _write_cache(Path(cache), key, done)
    return np.stack([done[name][1] for name in names])


def _crops_of(networks: TwoStream, samples: np.ndarray, crops: int, every: int) -> np.ndarray:
    """Embed each crop of a sound: (crops, D); the whole sound if crops is 0: (1, D)."""
    if not crops:
        return mean_embedding(networks, samples, "identity")[None]
    if len(samples) < CROP:
        samples = np.pad(samples, (0, CROP - len(samples)))
    starts = np.linspace(0, len(samples) - CROP, num=crops).astype(int)
    batch = torch.from_numpy(np.stack([samples[k : k + CROP] for k in starts]))
    with torch.inference_mode():
        windows = networks.audio(batch.to(next(networks.parameters()).device), ("identity",))[
            "identity"
        ]  # (C, N, D)
        return windows[:, ::every].mean(dim=1).float().cpu().numpy()


def _print_of(networks: TwoStream, crops: int, every: int) -> str:
    """Compute a text that changes when the weights or the way of embedding change."""
    digest = hashlib.sha1(f"{crops} {every} {SAMPLE_RATE}".encode())
    for value in networks.state_dict().values():
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def _stamp(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _read_cache(path: Path, key: str, shape: tuple[int, int]) -> dict:
    """Read a cache: name -> (stamp, vectors of this shape).

    {} if it is of other networks, or damaged: then it is made again.
    """
    try:
        arrays = read_arrays(path, remedy="", most=MOST_BYTES)
        names, stamps, vectors = (arrays[name] for name in ("names", "stamps", "vectors"))
        if str(arrays["key"]) != key:
            return {}
    except (ValueError, KeyError):
        return {}
    count = len(vectors) if vectors.ndim else 0
    if vectors.shape != (count, *shape) or vectors.dtype != np.float32:
        return {}
    if any(x.shape != (count,) or x.dtype.kind != "U" for x in (names, stamps)):
        return {}
    if not np.isfinite(vectors).all():
        return {}
    return dict(zip(names.tolist(), zip(stamps.tolist(), vectors, strict=True), strict=True))


def _write_cache(path: Path, key: str, done: dict) -> None:
    """Write a cache; at every moment the old file or the new one is there."""
    names = sorted(done)
    arrays = {
        "stamps": np.array([done[n][0] for n in names]),
        "vectors": np.stack([done[n][1] for n in names]),
    }
    sweep(path.parent)
    with atomic(path) as part, part.open("wb") as file:
        np.savez(file, key=np.array(key), names=np.array(names), **arrays)


def _speaker(name: str) -> str:
    """Return the speaker that a path names.

    That is its first folder; of a bare file name, the part before the first - or _.
    """
    parts = Path(name).parts
    if len(parts) > 1:
        return parts[0]
    stem = Path(name).stem
    for mark in "-_":
        if mark in stem:
            return stem.split(mark)[0]
    return ""
