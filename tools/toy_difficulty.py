"""Measure how hard a toy corpus is: how well simple methods solve its test trials. Writes a page.

    python -m tools.toy_difficulty CORPUS data/toy.md

A good corpus is neither trivial nor hopeless. A mean spectrum must do badly, since it contains the
microphone. A supervised method that was trained on many speakers must do well. The true pitch alone
must not be enough. (Source: ours.)
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
from dsel.utils import files, markdown

MEL_RATE = SAMPLE_RATE / MEL_HOP  # mel frames per second
REACH = 12  # largest lag that is tried, in mel frames
VOICE_COLUMNS = (
    "voice_f0",
    *(f"voice_f{k}_scale" for k in (1, 2, 3, 4)),
    *("voice_tilt", "voice_rate", "voice_breath"),
)


def measure(corpus: corpora.Corpus, progress: bool = True) -> str:
    """Measure a toy corpus and return the page as Markdown.

    Args:
        corpus: made by `dsel toy`.
        progress: show a progress bar.
    """
    tracks = corpus.split("train") + corpus.split("test")
    bar = tqdm(tracks, "measuring", disable=not progress, leave=False)
    features = {t.id: describe(*corpus.clip(t), corpus.mouth(t)) for t in bar}
    lag = lag_ms([feature["fit"] for feature in features.values()])
    return page(corpus, error_table(corpus, features), lag, phoneme_table(corpus))


def describe(frames: np.ndarray, sound: np.ndarray, mouth: np.ndarray) -> dict[str, np.ndarray]:
    """Compute simple features of a clip.

    Args:
        frames: uint8 (T, H, W, 3).
        sound: float32 (640 T,).
        mouth: (T, channels).
    Returns:
        Vectors "mel", "mfcc", "stats" and "picture", and "fit", the fit of sound and mouth at each
        lag. The features of the sound leave loudness out.
    """
    wave = torch.from_numpy(sound)[None]
    mel = log_mel(wave)[0].numpy()  # (40, 4 T)
    cepstrum = mfcc(wave)[0, 1:].numpy()  # (19, 4 T)
    still = frames[[0, len(frames) // 2, -1]].mean((0, 3))  # (H, W), grey
    step = still.shape[0] // 16
    small = still[: 16 * step, : 16 * step].reshape(16, step, 16, step).mean((1, 3))
    picture = (small - small.mean()).ravel()[:-1]  # their sum is 0, so the last one is redundant
    return {
        "mel": mel.mean(1),
        "mfcc": cepstrum.mean(1),
        "stats": np.concatenate([cepstrum.mean(1), cepstrum.std(1)]),
        "picture": picture / (small.std() + 1e-6),
        "fit": mouth_fit(mel, mouth[:, 0]),
    }


def mouth_fit(mel: np.ndarray, opening: np.ndarray) -> np.ndarray:
    """Return the covariance of the mouth's opening with the loudness k mel frames later.

    Args:
        mel: log-mel spectrum (40, M), frames of 10 ms.
        opening: (T,), frames of 40 ms.
    Returns:
        (2 REACH + 1,), for k = -REACH .. REACH.
    """
    centre = (np.arange(len(opening)) + 0.5) / FPS
    times = (np.arange(mel.shape[1]) + 0.5) / MEL_RATE
    o, e = np.interp(times, centre, opening), mel[2:20].mean(0)  # the bands of vowels
    inside = slice(REACH, len(e) - REACH)
    o, e = o - o[inside].mean(), e - e.mean()
    return np.array([np.mean(o[inside] * np.roll(e, -k)[inside]) for k in range(-REACH, REACH + 1)])


def lag_ms(fits: list[np.ndarray]) -> float:
    """Return by how many ms the sound lags the mouth: the peak of the mean fit.

    A parabola through the three highest values makes it finer than a mel frame.
    """
    y = np.mean(fits, 0)
    k = int(np.clip(np.argmax(y), 1, len(y) - 2))
    a, b, c = y[k - 1 : k + 2]
    return float((k - REACH + 0.5 * (a - c) / (a - 2 * b + c)) * 1000 / MEL_RATE)


def error_table(corpus: corpora.Corpus, features: dict[str, dict[str, np.ndarray]]) -> list[tuple]:
    """Return the equal error rates of several methods.

    Args:
        corpus: made by `dsel toy`.
        features: of `describe`, by track.
    Returns:
        Rows: method, then EER in % on all trials and on same-sex trials, for free, hard and easy.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    train = corpus.split("train")
    vectors: dict[str, dict[str, np.ndarray]] = {}
    for label, key in (("mean log-mel", "mel"), ("mean MFCC", "mfcc"), ("mean picture", "picture")):
        centre = np.mean([features[t.id][key] for t in train], axis=0)
        vectors[label] = {t.id: features[t.id][key] - centre for t in corpus.split("test")}
    for label, key in (
        ("supervised LDA on MFCC statistics", "stats"),
        ("supervised LDA on the picture", "picture"),
    ):
        lda = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto")
        lda.fit(np.stack([features[t.id][key] for t in train]), [t.speaker for t in train])
        vectors[label] = {
            t.id: lda.transform(features[t.id][key][None])[0] for t in corpus.split("test")
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
    return [
        (label, *_errors(corpus, by_track, "oracle" in label))
        for label, by_track in vectors.items()
    ]


def _logs(track: corpora.Track, names: tuple[str, ...]) -> np.ndarray:
    """Return the logarithms of some columns of a track."""
    return np.log([float(track.factors[name]) for name in names])


def matching_ceiling(corpus: corpora.Corpus, B: int = 30, draws: int = 2000) -> float:
    """Return how often the true shared latents match a face with its voice, among B test speakers.

    The match is the voice whose sex, age and size are nearest to those that the face shows. No
    network can do better by the shared latents alone.

    Args:
        corpus: made by `dsel toy`.
        B: speakers per draw.
        draws: number of random draws of B speakers.
    """
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
    """Return how different voices are, in standard deviations of a voice parameter.

    Returns:
        Three median distances between training speakers: to the most similar other speaker, between
        two speakers, and between two tracks of one speaker (NaN if everybody has one track).
    """
    train = corpus.split("train")
    x = np.array([[float(t.factors[name]) for name in VOICE_COLUMNS] for t in train])
    x = (x - x.mean(0)) / np.maximum(x.std(0), 1e-9) / np.sqrt(len(VOICE_COLUMNS))
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
    """Return EER in % for free, hard and easy trials, each on all and on same-sex trials.

    Args:
        corpus: made by `dsel toy`.
        vectors: by track.
        distance: compare by L1 distance instead of by cosine.
    """
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
    """Return every phoneme of the training tracks with its share of the time in %."""
    spent: Counter = Counter()
    for track in corpus.split("train"):
        for row in corpus.labels(track):
            spent[row["phoneme"].lstrip("',%=")] += row["end"] - row["start"]
    total = sum(spent.values())
    return [(name, 100 * seconds / total) for name, seconds in spent.most_common()]


def page(
    corpus: corpora.Corpus, errors: list[tuple], lag: float, phonemes: list[tuple[str, float]]
) -> str:
    """Return the page as Markdown.

    Args:
        corpus: made by `dsel toy`.
        errors: from `error_table`.
        lag: from `lag_ms`.
        phonemes: from `phoneme_table`.
    """
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
    pitch = ", ".join(
        f"{sex} {'/'.join(f'{q:.0f}' for q in np.quantile(f0[sex], [0.05, 0.5, 0.95]))}"
        for sex in "fm"
    )
    lines = [
        "# How hard the toy corpus is",
        "Written by `python -m tools.toy_difficulty`; every number is measured on this corpus:",
        f"seed {corpus.meta['seed']}, {recipe}; {len(corpus)} tracks, {size / 1000:.0f} kB each.",
        "Equal error rate (EER) in % on new speakers: all trials / same-sex impostors only. "
        "Chance is 50.",
        f"Trials: {counts['free']} free, {counts['hard']} hard, {counts['easy']} easy.",
        markdown.table(
            ["who judges", *corpora.TRIALS],
            [[e[0], *(f"{e[k]:.1f} / {e[k + 1]:.1f}" for k in (1, 3, 5))] for e in errors],
        ),
        "Identity task, solved with the true shared latents (sex, age, size as voice and face show "
        f"them): {ceiling:.0f} % top-1 of {min(30, len(corpus.speakers('test')))} speakers. This "
        "is "
        "the upper limit: coupling leaves the rest to chance.",
        f"Voices: the median difference of two speakers is {voices[1]:.2f} standard deviations of "
        f"a voice parameter; to the most similar other speaker it is {voices[0]:.2f}; between two "
        f"tracks of one speaker (moods) it is {voices[2]:.2f}.",
        f"The sound lags the mouth by {lag:.1f} ms (loudness against the opening of the mouth, "
        "decoded clips; a frame is 40 ms).",
        f"Lowest pitch in Hz (5, 50 and 95 % of the training tracks): {pitch}.",
        "Phonemes by share of time, %: "
        + ", ".join(f"`{name}` {share:.1f}" for name, share in phonemes)
        + ".",
    ]
    return "\n\n".join(lines) + "\n"


if __name__ == "__main__":
    torch.set_num_threads(1)
    files.replace_text(Path(sys.argv[2]), measure(corpora.open(sys.argv[1])))
