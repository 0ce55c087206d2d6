"""The picture the whole repository is for: audio embeddings of people never trained on, identity head against content head."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dsel.corpus.tracks import Corpus
from dsel.corpus.tracks import open as open_corpus
from dsel.evaluate.embeddings import Embeddings, embed_tracks, window_labels
from dsel.evaluate.points import sound_class
from dsel.evaluate.vectors import neighbour_purity, purity_chance
from dsel.plots import projection
from dsel.plots import style as plots
from dsel.plots.maps import two_maps
from dsel.train.released import load_model
from dsel.utils.errors import BadInput

SPEAKERS = 8  # more than a legend can name would not be told apart
HEADS_SHOWN = ("identity", "content")  # left, right
STRIDE = 5  # windows one frame apart share 4 of 5 frames; every fifth is new


def plot(run, data, out, *, split: str = "test", seed: int = 0, progress: bool = True) -> dict[str, dict[str, float]]:
    """Draw the map of a run on a split into `out` (.html or .png). Returns the purity figures written under its title.

    See `dsel plot --help`. Raises BadInput for a missing run, an empty split or another file type.
    """
    if Path(out).suffix not in (".html", ".png"):
        raise BadInput(f"{out}: figures are written as .html or .png")
    model, corpus = load_model(run), open_corpus(data)
    tracks = few_speakers(corpus, split)
    if not tracks:
        raise BadInput(f"{corpus.path}: no tracks in the split {split!r}")
    e = embed_tracks(model, corpus.cache(model.config.face_size, tracks=tracks, progress=progress), tracks, progress=progress)
    plots.use_template()
    figure, purity = identity_against_content(corpus, e, seed=seed)
    plots.write_figure(figure, out)
    return purity


def few_speakers(corpus: Corpus, split: str, count: int = SPEAKERS):
    """All tracks of the first few speakers of a split, by name, equally many of each sex where that is known."""
    tracks = corpus.split(split)
    sex = {track.speaker: str(track.factors.get("sex", "")) for track in tracks}
    by_sex = [sorted(name for name in sex if sex[name] == value) for value in sorted(set(sex.values()))]
    turns = [name for k in range(len(sex)) for names in by_sex for name in names[k : k + 1]]
    return [track for track in tracks if track.speaker in turns[:count]]


def identity_against_content(corpus: Corpus, e: Embeddings, *, seed: int = 0):
    """Two UMAP panels of the same sounds, identity head and content head, and the purity their colours may be trusted for.

    Two views: `speaker`, half tracks (about a second of speech, the mean of its windows, as the identity task takes it), and
    `sound`, single windows of 0.2 s, where phonemes are known and but for pauses.
    Returns the figure and {view: {head: purity, "chance": ...}}; a point's neighbours are counted in other tracks only.
    """
    labels = window_labels(corpus, e)
    half = 2 * e.track + (e.window >= np.bincount(e.track)[e.track] / 2)
    firsts = np.unique(half, return_index=True)[1]
    audio = e.vectors["audio"]
    seconds = {head: np.stack([audio[head][half == h].mean(axis=0) for h in np.unique(half)]) for head in HEADS_SHOWN}
    points = {
        "speaker": (seconds, labels["speaker"][firsts], labels["track"][firsts], _hover(labels, firsts, "speaker", "track"))
    }
    sound = np.array([sound_class(phoneme) for phoneme in labels["phoneme"]])
    shown = np.flatnonzero((e.window % STRIDE == 0) & (sound != ""))
    if len(shown):
        windows = {head: audio[head][shown] for head in HEADS_SHOWN}
        hover = _hover(labels, shown, "speaker", "track", "phoneme", "word")
        points["sound"] = (windows, sound[shown], labels["track"][shown], hover)
    views, purity, notes = {}, {}, {}
    for view, (vectors, values, tracks, hover) in points.items():
        found = {head: neighbour_purity(vectors[head], values, tracks) for head in vectors}
        purity[view] = found | {"chance": purity_chance(values, tracks)}
        figures = ", ".join(f"{name} {100 * value:.0f} %" for name, value in purity[view].items())
        notes[f"by {view}"] = f"of the 10 nearest points of other tracks, so many have the same {view}: {figures}"
        maps = {f"{head} head": projection.umap_2d(x, seed=seed) for head, x in vectors.items()}
        views[f"by {view}"] = (maps, values, hover)
    title = "Who speaks, and what is said: voices never heard in training"
    return two_maps(views, title=title, notes=notes), purity


def _hover(labels: dict[str, np.ndarray], rows: np.ndarray, *keys: str) -> np.ndarray:
    """What the pointer shows of each point: the named labels, and when."""
    return np.array([", ".join(str(labels[key][k]) for key in keys) + f", {labels['time'][k]:.2f} s" for k in rows])
