"""The picture the whole repository is for: audio embeddings of people never trained on, identity head against content head."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dsel import plots
from dsel.corpus import Corpus
from dsel.corpus import open as open_corpus
from dsel.errors import BadInput
from dsel.evaluate import Embeddings, embed_tracks, window_labels
from dsel.train import load_model

SPEAKERS = 8  # more than a legend can name would not be told apart
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
    """Two UMAP panels of the same audio windows, and the purity that says what the colours may be trusted for.

    Every fifth window is shown (neighbouring windows share frames); where phonemes are known, silence is left out.
    Returns the figure and {colouring: {head: purity, "chance": ...}}.
    """
    labels = window_labels(corpus, e)
    sound = np.array([sound_class(phoneme) for phoneme in labels["phoneme"]])
    known = sound.astype(bool).any()
    shown = np.flatnonzero((e.window % STRIDE == 0) & (sound.astype(bool) if known else True))
    labels = {key: values[shown] for key, values in labels.items()}
    vectors = {head: e.vectors["audio"][head][shown] for head in ("identity", "content")}
    colourings = {"speaker": labels["speaker"]}
    if known:
        colourings["sound"] = sound[shown]
    purity = {
        name: {head: plots.neighbour_purity(vectors[head], values, labels["track"]) for head in vectors}
        | {"chance": plots.purity_chance(values, labels["track"])}
        for name, values in colourings.items()
    }
    notes = {
        name: f"10 nearest neighbours from other tracks with the same {name}: "
        + ", ".join(f"{head} {100 * value:.0f} %" for head, value in found.items())
        for name, found in purity.items()
    }
    hover = np.array(
        [
            f"{s}, {t}, {at:.2f} s<br>{p} in “{w}”"
            for s, t, at, p, w in zip(*(labels[k] for k in ("speaker", "track", "time", "phoneme", "word")), strict=True)
        ]
    )
    maps = {f"{head} head": plots.umap_2d(vectors[head], seed=seed) for head in vectors}
    return plots.two_maps(maps, colourings, hover, title="Who speaks, and what is said", notes=notes), purity


def sound_class(phoneme: str) -> str:
    """A broad class of sound for an espeak phoneme mnemonic; "" for a pause. Six, so that a legend can hold them."""
    name = phoneme.lstrip("',%=|")
    classes = {
        "s-like": ("tS", "dZ", "s", "z", "S", "Z"),  # before the stops, which tS and dZ begin like
        "stop": ("p", "b", "t", "d", "k", "g", "?"),
        "nasal": ("m", "n", "N"),
        "f-like": ("f", "v", "T", "D", "h", "x"),
        "glide": ("l", "r", "w", "j", "L"),
    }
    for kind, beginnings in classes.items():
        if name.startswith(beginnings):
            return kind
    return "vowel" if name.strip("_:;") else ""
