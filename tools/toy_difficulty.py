"""How hard is a toy corpus? What simple listeners and lookers achieve on its test trials, measured and written as a page.

    python -m tools.toy_difficulty CORPUS data/toy.md

Neither trivial nor hopeless is what one wants: a mean spectrum must do badly (the microphone is in it), a supervised
listener that has heard many speakers must do well, and true pitch alone must not be enough. (Source: ours.)
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from dsel import corpus as corpora
from dsel.audio import log_mel, mfcc
from dsel.evaluate.verification import equal_error_rate
from dsel.timing import FPS, MEL_HOP, SAMPLE_RATE
from dsel.utils import files

MEL_RATE = SAMPLE_RATE / MEL_HOP  # mel frames a second
REACH = 12  # mel frames either way in which a lag is looked for


def calibrate(corpus: corpora.Corpus, progress: bool = True) -> str:
    """Measure a toy corpus; returns the page as Markdown."""
    tracks = corpus.split("train") + corpus.split("test")
    bar = tqdm(tracks, "listening", disable=not progress, leave=False)
    seen = {t.id: describe(*corpus.clip(t), corpus.mouth(t)) for t in bar}
    return page(
        corpus,
        error_table(corpus, seen),
        lag_ms([s["fit"] for s in seen.values()]),
        phoneme_table(corpus),
    )


def describe(frames: np.ndarray, sound: np.ndarray, mouth: np.ndarray) -> dict:
    """What simple methods make of a clip: vectors named mel, mfcc, stats, picture; and how sound fits mouth at each lag."""
    wave = torch.from_numpy(sound)[None]
    mel, cepstrum = (
        log_mel(wave)[0].numpy(),
        mfcc(wave)[0, 1:].numpy(),
    )  # (40, 4T), (19, 4T): loudness left out
    half = len(frames) // 2
    still = frames[[0, half, -1]].mean((0, 3))  # (H, W) grey
    step = still.shape[0] // 16
    small = still[: 16 * step, : 16 * step].reshape(16, step, 16, step).mean((1, 3))
    return {
        "mel": mel.mean(1),
        "mfcc": cepstrum.mean(1),
        "stats": np.concatenate([cepstrum.mean(1), cepstrum.std(1)]),
        "picture": (small - small.mean()).ravel()[:-1]
        / (small.std() + 1e-6),  # the last one follows: their sum is 0
        "fit": mouth_fit(mel, mouth[:, 0]),
    }


def mouth_fit(mel: np.ndarray, opening: np.ndarray) -> np.ndarray:
    """Covariance of the mouth's opening with the loudness k mel frames (10 ms) later, k = -REACH..REACH: (2 REACH + 1,)."""
    centre = (np.arange(len(opening)) + 0.5) / FPS
    times = (np.arange(mel.shape[1]) + 0.5) / MEL_RATE
    o, e = np.interp(times, centre, opening), mel[2:20].mean(0)  # the bands where vowels are
    inside = slice(REACH, len(e) - REACH)
    o, e = o - o[inside].mean(), e - e.mean()
    return np.array([np.mean(o[inside] * np.roll(e, -k)[inside]) for k in range(-REACH, REACH + 1)])


def lag_ms(fits: list[np.ndarray]) -> float:
    """By how many ms the sound lags the mouth: the peak of the mean fit, refined by a parabola."""
    y = np.mean(fits, 0)
    k = int(np.clip(np.argmax(y), 1, len(y) - 2))
    a, b, c = y[k - 1 : k + 2]
    return float((k - REACH + 0.5 * (a - c) / (a - 2 * b + c)) * 1000 / MEL_RATE)


def error_table(corpus: corpora.Corpus, seen: dict[str, dict]) -> list[tuple]:
    """Rows (what, then EER % all and same-sex for free, hard and easy trials)."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    train = corpus.split("train")
    vectors: dict[str, dict[str, np.ndarray]] = {}
    for label, key in (("mean log-mel", "mel"), ("mean MFCC", "mfcc"), ("mean picture", "picture")):
        centre = np.mean([seen[t.id][key] for t in train], axis=0)
        vectors[label] = {t.id: seen[t.id][key] - centre for t in corpus.split("test")}
    for label, key in (
        ("supervised LDA on MFCC statistics", "stats"),
        ("supervised LDA on the picture", "picture"),
    ):
        lda = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto")
        lda.fit(np.stack([seen[t.id][key] for t in train]), [t.speaker for t in train])
        vectors[label] = {
            t.id: lda.transform(seen[t.id][key][None])[0] for t in corpus.split("test")
        }
    formants = tuple(f"voice_f{k}_scale" for k in (1, 2, 3, 4))
    oracles = {
        "pitch": ("voice_f0",),
        "rate": ("voice_rate",),
        "pitch and formants": ("voice_f0", *formants),
    }
    for label, names in oracles.items():
        spread = np.std([_logs(t, names) for t in train], axis=0)
        vectors[f"oracle: true {label}"] = {
            t.id: _logs(t, names) / spread for t in corpus.split("test")
        }
    return [(label, *_errors(corpus, found, "oracle" in label)) for label, found in vectors.items()]


def _logs(track: corpora.Track, names: tuple[str, ...]) -> np.ndarray:
    return np.log([float(track.factors[name]) for name in names])


def matching_ceiling(corpus: corpora.Corpus, B: int = 30, draws: int = 2000) -> float:
    """Identity task by someone who knows the true shared latents: how often a face's own view of sex, age and size is nearest
    to that of its voice, among B test speakers. What one view of the two leaves open, no network can know."""
    people = list({t.speaker: t for t in corpus.split("test")}.values())
    voice, face = (
        np.array([[float(t.factors[key]) for key in keys] for t in people])
        for keys in (("voice_sex", "age", "size"), ("face_sex", "face_age", "face_size"))
    )
    unit, rng = np.maximum((face - voice).std(0), 1e-2), np.random.default_rng(0)
    distance = (((face[:, None] - voice) / unit) ** 2).sum(2)  # (speakers, speakers)
    chosen = [rng.permutation(len(people))[:B] for _ in range(draws)]
    return float(np.mean([distance[np.ix_(i, i)].argmin(1) == np.arange(len(i)) for i in chosen]))


def nearest_voices(corpus: corpora.Corpus) -> tuple[float, float, float]:
    """How far apart voices are, in standard deviations of a voice parameter: the median distance of a training speaker to
    the most similar other one, that of two speakers drawn at random, and that of two tracks of one speaker (nan: one track)."""
    names = (
        "voice_f0",
        *(f"voice_f{k}_scale" for k in (1, 2, 3, 4)),
        "voice_tilt",
        "voice_rate",
        "voice_breath",
    )
    train = corpus.split("train")
    x = np.array([[float(t.factors[name]) for name in names] for t in train])
    x = (x - x.mean(0)) / np.maximum(x.std(0), 1e-9) / np.sqrt(len(names))
    who = np.array([t.speaker for t in train])
    _, first = np.unique(who, return_index=True)
    one = x[first]
    apart = np.sqrt(np.maximum((one**2).sum(1)[:, None] + (one**2).sum(1) - 2 * one @ one.T, 0))
    np.fill_diagonal(apart, np.inf)
    again = [np.linalg.norm(x[k] - x[k + 1]) for k in range(len(x) - 1) if who[k] == who[k + 1]]
    return (
        float(np.median(apart.min(1))),
        float(np.median(apart[np.isfinite(apart)])),
        float(np.median(again or [np.nan])),
    )


def _errors(corpus: corpora.Corpus, vectors: dict[str, np.ndarray], distance: bool) -> list[float]:
    rates = []
    for kind in corpora.TRIALS:
        trials = corpus.trials(kind)
        a, b = (np.stack([vectors[i] for i in side]) for side in (trials.a, trials.b))
        cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        scores = -np.abs(a - b).sum(1) if distance else cosine
        kept = trials.target | trials.same_sex
        rates += [
            100 * equal_error_rate(scores, trials.target),
            100 * equal_error_rate(scores[kept], trials.target[kept]),
        ]
    return rates


def phoneme_table(corpus: corpora.Corpus) -> list[tuple[str, float]]:
    """Every phoneme of the training tracks and its share of the time, %."""
    spent: Counter = Counter()
    for track in corpus.split("train"):
        for row in corpus.labels(track):
            spent[row["phoneme"].lstrip("',%=")] += row["end"] - row["start"]
    total = sum(spent.values())
    return [(name, 100 * seconds / total) for name, seconds in spent.most_common()]


def page(
    corpus: corpora.Corpus, errors: list[tuple], lag: float, phonemes: list[tuple[str, float]]
) -> str:
    """The figures as a page."""
    recipe = ", ".join(
        f"{k} {v}" for k, v in sorted(corpus.meta["recipe"].items()) if v is not None
    )
    counts = {kind: len(corpus.trials(kind)) for kind in corpora.TRIALS}
    size = sum((corpus.path / t.path).stat().st_size for t in corpus.tracks) / len(corpus)
    ceiling, voices = 100 * matching_ceiling(corpus), nearest_voices(corpus)
    f0 = {
        sex: [t.factors["voice_f0"] for t in corpus.split("train") if t.factors["sex"] == sex]
        for sex in "fm"
    }
    lines = [
        "# How hard the toy corpus is", "",
        "Written by `python -m tools.toy_difficulty`; every figure is measured on the corpus named here.", "",
        f"Corpus: seed {corpus.meta['seed']}, {recipe}. {len(corpus)} tracks, {size / 1000:.0f} kB each.", "",
        "Equal error rate in % on unseen speakers: all trials / same-sex impostors only. Chance is 50.",
        f"Trials: {counts['free']} free, {counts['hard']} hard, {counts['easy']} easy.", "",
        "| who judges | free | hard | easy |", "|---|---|---|---|",
        *(f"| {e[0]} | {e[1]:.1f} / {e[2]:.1f} | {e[3]:.1f} / {e[4]:.1f} | {e[5]:.1f} / {e[6]:.1f} |" for e in errors), "",
        "Identity task with the true shared latents in hand (sex, age, size as voice and face show them): "
        f"{ceiling:.0f} % top-1 of 30 speakers. That is the ceiling: coupling leaves the rest to chance.", "",
        f"Voices: two speakers differ by {voices[1]:.2f} standard deviations of a parameter (median), a speaker and the most "
        f"similar of all others by {voices[0]:.2f}, two tracks of one speaker by {voices[2]:.2f} (moods).", "",
        f"Sound lags the mouth by {lag:.1f} ms (loudness against the mouth's opening, decoded clips; a frame is 40 ms).", "",
        "Low end of the pitch, Hz (5, 50, 95 % of the training tracks): "
        + ", ".join(f"{s} {'/'.join(f'{q:.0f}' for q in np.quantile(f0[s], [0.05, 0.5, 0.95]))}" for s in "fm") + ".", "",
        f"Phonemes by share of time, %: {', '.join(f'`{name}` {share:.1f}' for name, share in phonemes)}.", "",
    ]  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    torch.set_num_threads(1)
    files.replace_text(Path(sys.argv[2]), calibrate(corpora.open(sys.argv[1])))
