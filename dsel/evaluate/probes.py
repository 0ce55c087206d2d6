"""Probe a code: train a small classifier to read known factors off it.

A probe is a small classifier (or a regression) from a code to a factor that the corpus knows. A
factor that changes, the phoneme, is read off single windows. A factor that stays, such as the
speaker, the pitch or the microphone, is read off the mean of a track, as verification uses it. A
probe is trained on some speakers (or words) and judged on others. So it must read the factor and
cannot recognise the recording. Confusion in the loss says that *matching* fails. A probe asks the
harder question whether the information is gone. (Source: notes ask for disentanglement; the probes
are ours.)

Every score stands on a scale whose ends are measured too:

    chance              the best constant answer
    a random network    untrained, yet far above chance
    the two heads       what is judged
    the ceiling         the best of trunk, input and heads

`disentanglement` makes one number of it. scikit-learn is imported where it is used.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm

from dsel.audio import log_mel
from dsel.corpus.cache import Cache
from dsel.corpus.store import Track
from dsel.corpus.tracks import Corpus
from dsel.evaluate.embeddings import STREAMS, Embeddings, window_labels
from dsel.evaluate.intervals import bootstrap
from dsel.model import GREY, HEADS, TwoStream
from dsel.timing import MELS_PER_FRAME, WINDOW_FRAMES
from dsel.utils.errors import BadInput
from dsel.utils.markdown import text_table

PROBES = ("linear", "mlp")
CODES = (*HEADS, "trunk", "input")
RANDOM = tuple(f"random {head}" for head in HEADS)  # the heads of an untrained network
WINDOWS = 2000  # windows probed in all: more would sharpen little, neighbours being alike
PIXELS = 12  # height and width of the reduced picture
PER_TRACK = 9  # at most, so that they hardly overlap in a track of 2 s
OWN = {
    "content": "phoneme",
    "identity": "speaker",
}  # the factor each head is for; the other head's is the wrong one
SCORES = {"class": "% right", "number": "R², %"}


@dataclass(frozen=True)
class Factor:
    """Something that the corpus knows of each of W windows or tracks, and how it is probed.

    Args:
        name: such as 'phoneme'.
        kind: 'class' or 'number'.
        unit: 'window' or 'track'.
        target: (W,) str for a class; float (W, K) for numbers.
        fold: (W,) 0 or 1; a probe is trained on one half and judged on the other, then the other
            way round; -1: not used.
        speaker: (W,) names.
        across: what the two halves do not share, 'speakers' or 'words'.
    """

    name: str
    kind: str  # "class" | "number"
    unit: str  # "window" | "track"
    target: np.ndarray
    fold: np.ndarray
    speaker: np.ndarray
    across: str  # "speakers" | "words"


def leakage(
    model: TwoStream,
    corpus: Corpus,
    *,
    split: str = "test",
    windows: int = WINDOWS,
    seed: int = 0,
    progress: bool = True,
) -> dict:
    """Read all factors that the corpus knows off all codes of both streams, by both probes.

    Args:
        model, corpus, split: what is judged on what.
        windows: number of windows in all.
        seed: of the untrained network and the MLP probe.
        progress: show bars.
    Returns:
        {"rows", "disentanglement", "random network"}. Each row is {"stream", "factor", "probe",
        "figure", "unit", "units" (how many), "across", "chance", and a score in percent for each
        of CODES, and of RANDOM for the linear probe}. The other two are what `disentanglement`
        returns; for the trained network with "low" and "high", the 95 % interval over speakers.
    Raises:
        BadInput: an empty split, or one with fewer than 4 speakers.
    """
    tracks = corpus.split(split)
    if len({track.speaker for track in tracks}) < 4:
        raise BadInput(
            f"{corpus.path}: probes need at least 4 speakers in the split {split!r}, half to learn "
            "from"
        )
    cache = corpus.cache(model.config.face_size, tracks=tracks, progress=progress)
    e, means = embed_codes(model, cache, tracks, windows=windows, progress=progress)
    free, free_means = embed_codes(
        random_network(model, seed), cache, tracks, windows=windows, progress=progress
    )
    codes = {
        unit: {
            s: trained[s] | {f"random {head}": untrained[s][head] for head in HEADS}
            for s in STREAMS
        }
        for unit, trained, untrained in (
            ("window", e.vectors, free.vectors),
            ("track", means, free_means),
        )
    }
    return judge_codes(codes, known_factors(corpus, e), seed=seed, progress=progress)


def judge_codes(
    codes: dict, factors: list[Factor], *, seed: int = 0, progress: bool = False
) -> dict:
    """Read factors off codes in memory, as `leakage` does off networks.

    Args:
        codes: {unit: {stream: {code: (W, D)}}}.
        factors: what to read.
        seed: of the MLP probe.
        progress: show a bar.
    Returns:
        As `leakage`.
    """
    streams = next(iter(codes.values()))
    jobs = [(stream, factor, probe) for stream in streams for factor in factors for probe in PROBES]
    rows, hits = [], {}
    for stream, factor, probe in tqdm(
        jobs, "probing", disable=not progress, unit="probe", leave=False
    ):
        judged = {
            code: x
            for code, x in codes[factor.unit][stream].items()
            if probe == "linear" or code not in RANDOM
        }
        found = {code: read_off(x, factor, probe, seed=seed) for code, x in judged.items()}
        found["chance"] = read_off(np.zeros((len(factor.fold), 1)), factor, "constant")
        row = {
            "stream": stream,
            "factor": factor.name,
            "probe": probe,
            "figure": SCORES[factor.kind],
        }
        row |= {
            "unit": factor.unit,
            "units": int((factor.fold >= 0).sum()),
            "across": factor.across,
        }
        rows.append(row | {code: 100 * float(np.nanmean(hit)) for code, hit in found.items()})
        hits[stream, factor.name, probe] = found
    summary, untrained = disentanglement(rows), disentanglement(rows, RANDOM)
    if summary["D"] is not None:
        low, high = _interval_over_speakers(
            rows, hits, {factor.name: factor.speaker for factor in factors}, seed
        )
        summary |= {"low": low, "high": high}
    return {"rows": rows, "disentanglement": summary, "random network": untrained}


def disentanglement(rows: list[dict], heads: tuple[str, ...] = HEADS) -> dict:
    """Compute one number for a pair of heads: the own factor of each head minus the wrong one.

        share(h, f) = (score(h, f) - chance(f)) / (ceiling(f) - chance(f)),  clipped to [0, 1]
        D           = mean over streams of  1/2 [ share(c, phoneme) - share(c, speaker)
                                                + share(s, speaker) - share(s, phoneme) ]

    The score is the better of the linear and the MLP probe. The ceiling is the best that the
    stream's trunk, input or heads reach, so no share exceeds 1. The share is 0 if nothing can be
    read at all.

        D = 1   each head holds all of its factor and nothing of the other (an oracle)
        D = 0   the heads hold both factors alike, or neither: a constant code, an entangled code,
                one code used twice
        D = -1  the heads have changed places

    It is a difference because either term alone is easy: a constant leaks nothing, and the input
    holds everything. It is on a scale because 30 % of phonemes right may be close to nothing, or
    close to all that 0.2 s can tell. Wide codes need more to learn from than narrow ones. So the
    ceiling, and D with it, depends on the number of windows: compare D only at equal `windows` and
    on the same corpus. (Source: ours.)

    Args:
        rows: of `leakage`.
        heads: the names of the content and the identity code in the rows.
    Returns:
        {"D", stream: {"<head>, <factor>": share}}; D is None without both factors.
    """
    best: dict[
        tuple[str, str], dict[str, float]
    ] = {}  # of both probes: {(stream, factor): {code: score}}
    for row in rows:
        found = best.setdefault((row["stream"], row["factor"]), {})
        for code in ("chance", *CODES, *RANDOM):
            if code in row:
                found[code] = max(found.get(code, -np.inf), row[code])
    shares = {}
    for stream in dict.fromkeys(row["stream"] for row in rows):
        if all((stream, factor) in best for factor in OWN.values()):
            pairs = [
                (own, code, factor)
                for own, code in zip(HEADS, heads, strict=True)
                for factor in OWN.values()
            ]
            shares[stream] = {
                f"{own}, {factor}": _share(best[stream, factor], code)
                for own, code, factor in pairs
            }
    terms = [
        (1 if OWN[head] == factor else -1) * found[f"{head}, {factor}"] / len(HEADS)
        for found in shares.values()
        for head in HEADS
        for factor in OWN.values()
    ]
    return {"D": sum(terms) / len(shares) if shares else None, **shares}


def read_off(x: np.ndarray, factor: Factor, probe: str = "linear", *, seed: int = 0) -> np.ndarray:
    """Read a factor off a code: how well each row is read.

    For a class, a row counts 1 if it is read right, else 0. For numbers it counts 1 - e² / mean
    e0², where e is the error and e0 that of the mean of the training half. So the mean over rows is
    R² (1 perfect, 0 no better than a constant).

    Args:
        x: (W, D)
        factor: what to read.
        probe: 'linear' (shrinkage LDA, ridge regression), 'mlp' (64 hidden units), or 'constant'
            (the best constant answer).
        seed: of the MLP.
    Returns:
        (W,); nan where the factor is unknown. The mean is the score.
    """
    hit = np.full(len(x), np.nan)
    for half in (0, 1):
        train, test = factor.fold == 1 - half, factor.fold == half
        if not train.any() or not test.any():
            continue
        given, wanted = factor.target[train], factor.target[test]
        a, b = _standardised(np.asarray(x, np.float64), train, test)
        reader = probe if a.any() else "constant"  # of a constant code there is nothing to read
        if factor.kind == "class":
            hit[test] = _classify(reader, a, given, b, seed) == wanted
        else:
            middle, spread = given.mean(axis=0), given.std(axis=0) + 1e-12
            wanted = (wanted - middle) / spread
            told = _regress(
                reader, a, (given - middle) / spread, b, factor.speaker[train], seed
            )  # (test, K)
            e, e0 = (told - wanted) ** 2, wanted**2
            hit[test] = (1 - e / np.maximum(e0.mean(axis=0), 1e-12)).mean(axis=1)
    return hit


def known_factors(corpus: Corpus, e: Embeddings) -> list[Factor]:
    """Collect what the corpus knows of the windows and tracks of `e`.

    These are phoneme, viseme, speaker, sex, pitch (octaves), microphone (gains of the equaliser,
    dB) and noise (signal-to-noise ratio, dB), as far as they are known. Every factor but the
    speaker is learnt on one half of the speakers and judged on the other. The speaker is learnt on
    one half of each speaker's tracks and judged on tracks with other words.

    Args:
        corpus: the corpus of the tracks.
        e: their embeddings.
    """
    labels, people = window_labels(corpus, e), halves_of_speakers(e.tracks)
    sound = np.array(
        [phoneme.strip("',%=|_:;") for phoneme in labels["phoneme"]]
    )  # stress and pauses are no phonemes
    found = []
    for name, values in (
        ("phoneme", sound),
        ("viseme", np.where(sound == "", "", labels["viseme"])),
    ):
        fold = np.where(values == "", -1, people[e.track])
        found.append(Factor(name, "class", "window", values, fold, labels["speaker"], "speakers"))
    speaker = np.array([track.speaker for track in e.tracks])
    found.append(
        Factor("speaker", "class", "track", speaker, halves_of_words(e.tracks), speaker, "words")
    )
    sex = np.array([str(track.factors.get("sex", "")) for track in e.tracks])
    found.append(
        Factor("sex", "class", "track", sex, np.where(sex == "", -1, people), speaker, "speakers")
    )
    numbers = {
        "pitch": ["voice_f0"],
        "microphone": [name for name in e.tracks[0].factors if name.startswith("room_eq")],
        "noise": ["room_snr"],
    }
    for name, keys in numbers.items():
        table = [[track.factors.get(key) for key in keys] for track in e.tracks]
        if keys and all(isinstance(value, float) for row in table for value in row):
            values = np.array(table, float)
            values = np.log2(values) if name == "pitch" else values
            found.append(Factor(name, "number", "track", values, people, speaker, "speakers"))
    return [
        factor
        for factor in found
        if all(len(set(map(str, factor.target[factor.fold == half]))) > 1 for half in (0, 1))
    ]


def halves_of_speakers(tracks: list[Track]) -> np.ndarray:
    """Put each track into half 0 or 1 by its speaker: (tracks,).

    Women and men are divided separately, so both halves have as many of each.
    """
    sex = {track.speaker: str(track.factors.get("sex", "")) for track in tracks}
    half: dict[str, int] = {}
    for value in sorted(set(sex.values())):
        half |= {
            name: k % 2 for k, name in enumerate(sorted(name for name in sex if sex[name] == value))
        }
    return np.array([half[track.speaker] for track in tracks])


def halves_of_words(tracks: list[Track]) -> np.ndarray:
    """Put each track into half 0 or 1 by its words: (tracks,).

    Each speaker's vocabularies go to the halves in turn. A track of free speech, or of unknown
    words, counts as a vocabulary of its own.
    """
    seen: dict[tuple[str, str], dict[str, int]] = {}
    half = []
    for track in tracks:
        vocabulary = str(track.factors.get("vocabulary", ""))
        family = vocabulary.rstrip("0123456789")
        mine = seen.setdefault((track.speaker, family), {})
        half.append(
            mine.setdefault(vocabulary if family != vocabulary else track.id, len(mine)) % 2
        )
    return np.array(half)


def random_network(model: TwoStream, seed: int = 0) -> TwoStream:
    """Make untrained networks of the same shape: what depth and a good input give away for nothing.

    Args:
        model: whose shape and device are taken.
        seed: of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TwoStream(model.config).to(next(model.parameters()).device).eval()


def embed_codes(
    model: TwoStream,
    cache: Cache,
    tracks: Sequence[Track],
    *,
    windows: int = WINDOWS,
    per_track: int = PER_TRACK,
    progress: bool = True,
) -> tuple[Embeddings, dict]:
    """Embed some windows of each track, evenly spaced, and the mean of each track.

    'trunk' is the input of both heads of the stream. 'input' is the input of the stream, reduced:
    the log-mel of the window before any normalisation, one column per frame (40 x 5); and the grey
    picture at 12 x 12 pixels, 3 frames of it. The choice of windows is a function of the tracks'
    lengths alone.

    Args:
        model: the networks.
        cache: holds the tracks.
        tracks: what to embed.
        windows: at most so many in all; if there are more tracks than that, not all are used.
        per_track: at most so many of a track; notebook 07 takes more, for its maps.
        progress: show a bar.
    Returns:
        The windows, vectors[stream][code] float32 (W, D) for CODES; and the means {stream: {code:
        (tracks, D)}}, of the sound over all windows, of the face over the few.
    Raises:
        BadInput: no track is long enough.
    """
    tracks = [track for track in tracks if track.usable >= WINDOW_FRAMES]
    if not tracks:
        raise BadInput(
            "no tracks to probe: the split is empty, or every clip is shorter than 5 frames"
        )
    tracks = [
        tracks[k]
        for k in np.unique(np.linspace(0, len(tracks) - 1, min(len(tracks), windows)).astype(int))
    ]
    count = int(np.clip(windows // len(tracks), 1, per_track))
    places = [evenly(track.usable - WINDOW_FRAMES + 1, count) for track in tracks]
    found: dict[str, dict[str, list]] = {s: {code: [] for code in CODES} for s in STREAMS}
    per_track_means: dict[str, dict[str, list]] = {s: {code: [] for code in CODES} for s in STREAMS}
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for track, t in zip(
            tqdm(tracks, "embedding", disable=not progress, unit="track", leave=False),
            places,
            strict=True,
        ):
            for stream, codes in zip(STREAMS, _codes(model, *cache.read(track), t), strict=True):
                for code, values in codes.items():
                    values = values.float().cpu().numpy()  # face (n, D), audio (N, D)
                    per_track_means[stream][code].append(values.mean(axis=0))
                    found[stream][code].append(values if stream == "face" else values[t])
    model.train(was_training)
    vectors = {
        stream: {code: np.concatenate(found[stream][code]) for code in CODES} for stream in STREAMS
    }
    means = {
        stream: {code: np.stack(per_track_means[stream][code]) for code in CODES}
        for stream in STREAMS
    }
    owner = np.repeat(np.arange(len(tracks)), [len(t) for t in places])
    return Embeddings(tracks, owner, np.concatenate(places), vectors), means


def evenly(N: int, count: int) -> np.ndarray:
    """Choose at most `count` of 0..N-1, evenly spaced, in the middles of as many equal parts."""
    count = min(N, count)
    return ((np.arange(count) + 0.5) * N / count).astype(int)


def small_picture(frames: Tensor) -> Tensor:
    """Reduce a picture: uint8 (n, 5, H, W, 3) -> grey (n, 3 x 12²).

    The first, middle and last frame are averaged over small squares.
    """
    grey = (
        frames[:, ::2].float() @ frames.new_tensor(GREY, dtype=torch.float32) / 255
    )  # (n, 3, H, W)
    return F.adaptive_avg_pool2d(grey, PIXELS).flatten(1)


def small_log_mel(waveform: Tensor) -> Tensor:
    """Compute the mean log-mel of each window's five frames: (1, 640 T) -> (N, 40 x 5).

    Microphone and loudness stay in.
    """
    mel = log_mel(waveform)[0].unflatten(1, (-1, MELS_PER_FRAME)).mean(dim=2)  # (40, T)
    return mel.unfold(1, WINDOW_FRAMES, 1).transpose(0, 1).flatten(1)  # (40, N, 5) -> (N, 200)


def leakage_table(found: dict) -> str:
    """Write what `leakage` returned as text: a table per stream, a line per factor.

    Each column says 'linear / MLP'. Under the tables stand the disentanglement D and, if they were
    measured, the rows of "leaks".
    """
    columns, parts = ("chance", *RANDOM, *HEADS, "trunk", "input"), []
    for stream in dict.fromkeys(row["stream"] for row in found["rows"]):
        lines = []
        for factor in dict.fromkeys(row["factor"] for row in found["rows"]):
            pair = [
                row for row in found["rows"] if (row["stream"], row["factor"]) == (stream, factor)
            ]
            cells = [
                " / ".join(_short(row[name]) for row in (pair if name in CODES else pair[:1]))
                for name in columns
            ]
            lines.append([f"{factor}, {pair[0]['figure']}", *cells, f"other {pair[0]['across']}"])
        parts.append(
            text_table(
                [f"{stream} stream", *columns, "judged on"], lines, align="l" + "r" * len(columns)
            )
        )
    D, untrained = found["disentanglement"], found["random network"]["D"]
    if D["D"] is None:
        parts.append("no disentanglement D: the corpus does not know both phonemes and speakers")
    else:
        interval = f"{D['low']:.2f} to {D['high']:.2f} over speakers"
        parts.append(
            f"disentanglement D = {D['D']:.2f} ({interval}), random network {untrained:.2f}\n"
            "D = 1: each head holds its own factor alone. D = 0: both factors alike, or neither. "
            "Columns: linear / MLP."
        )
    if "leaks" in found:
        from dsel.evaluate.metrics import read_metric, table

        parts.append(
            "What a head keeps of the other head's factor:\n"
            + table(map(read_metric, found["leaks"]))
        )
    return "\n\n".join(parts)


def _codes(
    model: TwoStream, frames: np.ndarray, sound: np.ndarray, t: np.ndarray
) -> tuple[dict, dict]:
    """Compute the codes of a track, {code: (n, D)} of its face windows t, {code: (N, D)} of all."""
    device = next(model.parameters()).device
    picture = torch.from_numpy(np.stack([frames[i : i + WINDOW_FRAMES] for i in t])).to(
        device
    )  # (n, 5, H, W, 3)
    waveform = torch.from_numpy(np.array(sound, np.float32) / 32767)[None].to(device)
    faces = model.features_per_head(picture)  # {head: (n, C, 1)}
    audio = model.audio_features(waveform)  # (1, C, N)
    seen = {head: model.face_heads[head](faces[head])[:, :, 0] for head in HEADS}
    seen |= {"trunk": faces["identity"][:, :, 0]}
    heard = {head: model.audio_heads[head](audio)[0].T for head in HEADS} | {"trunk": audio[0].T}
    return seen | {"input": small_picture(picture)}, heard | {"input": small_log_mel(waveform)}


def _classify(probe: str, x: np.ndarray, y: np.ndarray, new: np.ndarray, seed: int) -> np.ndarray:
    """Learn classes y (n,) from x (n, D), and predict those of `new` (m, D): (m,)."""
    names, code = np.unique(y, return_inverse=True)
    if probe == "constant" or len(names) == 1:
        return np.full(len(new), names[np.bincount(code).argmax()])
    if probe == "linear":
        return names[_lda(x, code, new).argmax(axis=1)]
    from sklearn.neural_network import MLPClassifier

    return _small(MLPClassifier, seed, x, y).predict(new.astype(np.float32))


def _lda(x: np.ndarray, code: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Compute the log-odds of K classes by linear discriminant analysis: (m, K).

    There is one covariance for all classes, shrunk as a whole. scikit-learn shrinks that of each
    class, and a small class says nothing about its own.
    """
    from sklearn.covariance import LedoitWolf

    means = np.stack([x[code == k].mean(axis=0) for k in range(code.max() + 1)])  # (K, D)
    covariance = LedoitWolf(assume_centered=True).fit(x - means[code]).covariance_
    weights = np.linalg.solve(
        covariance + 1e-6 * np.eye(len(covariance)), means.T
    )  # (D, K); a noiseless code has no spread
    return (
        new @ weights
        - 0.5 * (means.T * weights).sum(axis=0)
        + np.log(np.bincount(code) / len(code))
    )


def _regress(
    probe: str, x: np.ndarray, y: np.ndarray, new: np.ndarray, speaker: np.ndarray, seed: int
) -> np.ndarray:
    """Learn numbers y (n, K) of zero mean from x (n, D), and predict those of `new` (m, D): (m, K).

    The penalty of the ridge regression is chosen on speakers that it was not fitted to. Chosen on
    windows, it would be far too small.
    """
    if probe == "constant":
        return np.zeros((len(new), y.shape[1]))
    if probe == "linear":
        from sklearn.linear_model import RidgeCV
        from sklearn.model_selection import GroupKFold

        parts = min(3, len(np.unique(speaker)))
        inner = list(GroupKFold(parts).split(x, y, speaker)) if parts > 1 else None
        return (
            RidgeCV(len(x) * np.logspace(-2, 2, 5), cv=inner)
            .fit(x, y)
            .predict(new)
            .reshape(len(new), -1)
        )
    from sklearn.neural_network import MLPRegressor

    fitted = _small(MLPRegressor, seed, x, y if y.shape[1] > 1 else y[:, 0])
    return fitted.predict(new.astype(np.float32)).reshape(len(new), -1)


def _small(kind: Any, seed: int, x: np.ndarray, y: np.ndarray) -> Any:
    """Train a small MLP for a fixed number of steps, which finds what is easy to find."""
    from sklearn.exceptions import ConvergenceWarning

    rounds = max(10, 32_000 // len(x))  # some 160 steps, whether of many rows or of few
    network = kind(
        hidden_layer_sizes=(64,),
        alpha=1.0,
        learning_rate_init=3e-3,
        max_iter=rounds,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return network.fit(x.astype(np.float32), y)


def _standardised(
    x: np.ndarray, train: np.ndarray, test: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scale both parts to zero mean and unit variance of the training part.

    A column that does not vary becomes 0.
    """
    mean, std = x[train].mean(axis=0), x[train].std(axis=0)
    scale = np.where(std > 1e-9 * (1 + np.abs(mean)), 1 / np.maximum(std, 1e-300), 0)
    return (x[train] - mean) * scale, (x[test] - mean) * scale


def _share(scores: dict[str, float], code: str) -> float:
    """Compute where a code stands between chance and ceiling: 0 to 1."""
    chance, ceiling = scores["chance"], max(scores[name] for name in CODES if name in scores)
    if ceiling <= chance:
        return 0.0
    return float(np.clip((scores[code] - chance) / (ceiling - chance), 0, 1))


def _short(value: float) -> str:
    return f"{max(value, 0):.0f}" if value > -0.5 else "<0"


def _interval_over_speakers(
    rows: list[dict], hits: dict, speaker: dict, seed: int
) -> tuple[float, float]:
    """Compute the middle 95 % of D over resampled test speakers, without training again."""
    rows = [row for row in rows if row["factor"] in OWN.values()]
    names, sums = np.unique(speaker["speaker"]), []
    for row in rows:
        found = hits[row["stream"], row["factor"], row["probe"]]
        known = ~np.isnan(found["chance"])
        code = np.searchsorted(names, speaker[row["factor"]][known])
        totals = {key: np.bincount(code, hit[known], len(names)) for key, hit in found.items()}
        sums.append((np.bincount(code, minlength=len(names)), totals))

    def value(n: np.ndarray) -> float:
        again = []
        for row, (count, totals) in zip(rows, sums, strict=True):
            asked = max(1, int(n @ count))
            scores = {key: 100 * float(n @ total / asked) for key, total in totals.items()}
            again.append(row | scores)
        return disentanglement(again)["D"]

    _, low, high = bootstrap(value, len(names), seed=seed)
    return low, high
