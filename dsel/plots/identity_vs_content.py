"""The main figure: strangers' voices as the identity head and as the content head see them.

    plot                          the command `dsel plot`: draw the figure for a run and a corpus
    identity_against_content      the figure for embeddings at hand (notebook 00)
    few_speakers                  the tracks that it can show

(Source: ours.)
"""

from __future__ import annotations

import math
from pathlib import Path

from dsel.corpus.tracks import Corpus
from dsel.corpus.tracks import open as open_corpus
from dsel.evaluate.embeddings import Embeddings, embed_tracks
from dsel.evaluate.points import half_tracks, single_windows
from dsel.evaluate.vectors import neighbour_purity, purity_chance
from dsel.plots.maps import two_maps
from dsel.plots.projection import FEWEST, MOST_SEED, map_2d
from dsel.plots.style import use_template, write_figure
from dsel.train.released import load_model
from dsel.utils.errors import BadInput

__all__ = [
    "HEADS_SHOWN",
    "SPEAKERS",
    "few_speakers",
    "identity_against_content",
    "plot",
    "purity_text",
]

SPEAKERS = 8  # more speakers than a reader can tell apart by colour
HEADS_SHOWN = ("identity", "content")  # left, right
STRIDE = 5  # windows one frame apart share 4 of 5 frames; every fifth window is new


def plot(run, data, out, *, split: str = "test", seed: int = 0, progress: bool = True) -> dict:
    """Draw the figure for a run on a split of a corpus and write it to a file; see `dsel plot`.

    Args:
        run: the run folder, or the name of a released network.
        data: the corpus.
        out: the file, .html or .png.
        split: which tracks are shown.
        seed: of UMAP.
        progress: whether to show progress bars.
    Returns:
        the purity that stands under the title, as `identity_against_content` returns it.
    Raises:
        BadInput: there is no such run, the split is empty, `out` is another file type, or the
            seed is out of range.
    """
    if not 0 <= seed <= MOST_SEED:
        raise BadInput(f"seed {seed}: must be from 0 to {MOST_SEED}")
    if Path(out).suffix not in (".html", ".png"):
        raise BadInput(f"{out}: figures are written as .html or .png")
    model, corpus = load_model(run), open_corpus(data)
    tracks = few_speakers(corpus, split)
    if not tracks:
        raise BadInput(f"{corpus.path}: no tracks in the split {split!r}")
    cache = corpus.cache(model.config.face_size, tracks=tracks, progress=progress)
    e = embed_tracks(model, cache, tracks, progress=progress)
    use_template()
    figure, purity = identity_against_content(corpus, e, seed=seed, network=Path(run).name)
    write_figure(figure, out)
    return purity


def few_speakers(corpus: Corpus, split: str, count: int = SPEAKERS):
    """Take all tracks of the first few speakers of a split, equally many of each sex if known."""
    tracks = corpus.split(split)
    sex = {track.speaker: str(track.factors.get("sex", "")) for track in tracks}
    groups = [sorted(name for name in sex if sex[name] == s) for s in sorted(set(sex.values()))]
    in_turn = [name for k in range(len(sex)) for names in groups for name in names[k : k + 1]]
    return [track for track in tracks if track.speaker in in_turn[:count]]


def identity_against_content(corpus: Corpus, e: Embeddings, *, seed: int = 0, network: str = ""):
    """Draw two UMAP maps of the same sounds, with the purity that tells what their colours show.

    A button chooses what the points are and what colours them. `speaker`: half tracks, the mean of
    about a second of speech, as the identity task takes it. `sound`: single windows of 0.2 s, where
    phonemes are known, without pauses. Neighbours of a point are counted in other tracks only.

    Args:
        corpus: the corpus of the embedded tracks.
        e: the embeddings.
        seed: of UMAP.
        network: which network made the embeddings, for the title.
    Returns:
        the figure, and {"speaker" or "sound": {head: purity, "chance": purity}}.
    """
    points = {"speaker": half_tracks(corpus, e)}
    windows = single_windows(corpus, e, stride=STRIDE)
    if (windows.labels["sound"] != "").any():
        points["sound"] = windows
    views, purity, notes = {}, {}, {}
    for view, shown in points.items():
        vectors = {head: shown.vectors["audio"][head] for head in HEADS_SHOWN}
        values, tracks = shown.labels[view], shown.track
        by_head = {head: neighbour_purity(x, values, tracks) for head, x in vectors.items()}
        purity[view] = by_head | {"chance": purity_chance(values, tracks)}
        planes = {f"{head} head": map_2d(x, seed=seed) for head, x in vectors.items()}
        few = "" if len(shown) >= FEWEST else f"; {len(shown)} points are too few for UMAP: PCA"
        note = f"same {view} among the 10 nearest points of other tracks: "
        notes[f"by {view}"] = note + purity_text(purity[view]) + few
        views[f"by {view}"] = (planes, values, shown.hover)
    title = "Who speaks, and what is said: voices never heard in training"
    return two_maps(views, title=title, notes=notes, network=network), purity


def purity_text(shares: dict[str, float]) -> str:
    """Write shares as 'identity 57 %, content 22 %, chance 12 %', or why there are none."""
    if any(math.isnan(value) for value in shares.values()):
        return "not defined, since there is one track only"
    return ", ".join(f"{name} {100 * value:.0f} %" for name, value in shares.items())
