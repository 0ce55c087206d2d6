"""Draw the moving picture of the README: four voices say the same words, and travel over two maps.

    python tools/hero.py                      docs/hero.gif and docs/hero.json, about a minute
    python tools/hero.py --frames DIR         the frames as PNG, to look at
    python tools/hero.py --model NAME         another released network

The film uses `data/mini` and a released network that was never trained on its people. They are the
first women and men of the test speakers who have a track made of WORDS; nobody is chosen by how
well it works.

Identity map: a point is about a second of speech, the mean of 16 windows, as the identity task
takes it. Content map: a point is one window of 0.2 s; pauses are left out. Both are UMAP maps of
all tracks of the four people. A travelling dot is not a point of the map: it stands at the mean
place of the map points that are nearest to it by cosine, and points of its own track do not count.
On the identity map the dot is the mean of the last 16 windows; it appears when half were heard.

Needs Pillow (`pip install 'dsel[views]'`). (Source: ours.)
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(ROOT))

import dsel  # noqa: E402
from dsel import corpus  # noqa: E402
from dsel.evaluate.embeddings import Embeddings, embed_tracks, window_labels  # noqa: E402
from dsel.evaluate.points import sound_class  # noqa: E402
from dsel.evaluate.vectors import neighbour_purity, purity_chance, unit  # noqa: E402
from dsel.plots.projection import umap_2d  # noqa: E402
from dsel.plots.style import PALETTE  # noqa: E402

OUT = ROOT / "docs" / "hero.gif"
WORDS = "distinct2"  # the vocabulary of the four tracks: cap, cut, dark, back
SEXES = ("f", "m", "m", "f")  # in the order in which they speak
NAMES = {"f": "woman", "m": "man"}
SECOND = 16  # windows behind a point of the identity map
STEP = 4  # content map: every fourth window, so that neighbours share one frame of five
COLOURS = tuple(PALETTE[k] for k in (0, 1, 2, 3))
WIDTH, HEIGHT = 1000, 640
SCALE = 2  # drawn larger and scaled down: smooth edges
FPS = 12.5  # every second frame of the clips
HOLD = 2.4  # seconds that the last frame stays
INK, SOFT, PAPER, CARD = "#1f2328", "#6e7781", "#f3f4f6", "#ffffff"


@dataclass(frozen=True)
class Voice:
    """One of the people of the film: its letter, its track, and what it says when."""

    letter: str
    sex: str
    colour: str
    track: corpus.Track
    words: list[str]  # (T,) the word at each frame, '' in a pause


@dataclass(frozen=True)
class Map:
    """A map and the journeys over it, in places of the unit square.

    places (P, 2), voices (P,) numbers; journeys: for each voice (T, 2), nan before its dot appears.
    """

    places: np.ndarray
    voices: np.ndarray
    journeys: list[np.ndarray]


# --- Who speaks -----------------------------------------------------------------------------------


def choose(people: corpus.Corpus) -> list[Voice]:
    """The first test speakers of each sex who have a track made of WORDS, in the order of SEXES."""
    tracks = [t for t in people.split("test") if t.factors.get("vocabulary") == WORDS]
    first = {track.speaker: track for track in reversed(tracks)}
    waiting = {
        sex: [t for _, t in sorted(first.items()) if t.factors["sex"] == sex] for sex in set(SEXES)
    }
    voices = []
    for letter, sex, colour in zip("ABCD", SEXES, COLOURS, strict=True):
        track = waiting[sex].pop(0)
        voices.append(Voice(letter, sex, colour, track, spoken(people, track)))
    return voices


def spoken(people: corpus.Corpus, track: corpus.Track) -> list[str]:
    """The word at each frame of a track, '' in a pause."""
    words = [""] * track.frames
    for label in people.labels(track):
        for frame in range(track.frames):
            if label["start"] <= (frame + 0.5) / 25 < label["end"]:
                words[frame] = label["word"]
    return words


def faces(people: corpus.Corpus, voice: Voice, size: int) -> np.ndarray:
    """Draw the face of a voice anew, larger, in a bright scene: uint8 (T, size, size, 3)."""
    from dsel.toy.face.parameters import face_of
    from dsel.toy.face.rendering import render
    from dsel.toy.face.scene import draw_scene
    from dsel.toy.speaker import draw_speaker

    speaker = draw_speaker(
        people.meta["seed"], voice.track.speaker, people.meta["recipe"]["coupling"]
    )
    mouth = people.mouth(voice.track)
    scene = draw_scene(np.random.default_rng(5), len(mouth))
    light = {
        "exposure": 1.35,
        "light": 0.3,
        "light_y": 0.8,
        "warmth": 0.0,
        "noise": 0.0,
        "shift_y": -0.11,
        "zoom": 1.2,
    }
    pale = tuple(0.72 + 0.28 * value for value in rgb(voice.colour))
    scene = replace(scene, background="plain", background_colours=(pale, pale), **light)
    return render(face_of(speaker), mouth, scene, size)


def rgb(colour: str) -> tuple[float, float, float]:
    """'#0072B2' -> red, green, blue in 0..1."""
    return tuple(int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))


# --- The two maps ---------------------------------------------------------------------------------


def make_maps(
    people: corpus.Corpus, network: str, voices: list[Voice]
) -> tuple[dict[str, Map], dict]:
    """Make the two maps of the four people, and measure what lies behind them."""
    names = [voice.track.speaker for voice in voices]
    tracks = [t for t in people.split("test") if t.speaker in names]
    model = dsel.load(network)
    cache = people.cache(model.config.face_size, tracks=tracks, progress=False)
    e = embed_tracks(model, cache, tracks, streams=("audio",), progress=False)
    phonemes = window_labels(people, e)["phoneme"]
    maps, measured = {}, {}
    for head in ("identity", "content"):
        span = SECOND if head == "identity" else 1
        vectors, middles = means_of(e, head, span, SECOND if head == "identity" else STEP)
        if head == "content":
            heard = np.array([sound_class(name) != "" for name in phonemes[middles]])
            vectors, middles = vectors[heard], middles[heard]
        track = e.track[middles]
        who = np.array([names.index(e.tracks[k].speaker) for k in track])
        spread = (
            {"neighbours": 25, "min_dist": 0.8}
            if head == "identity"
            else {"neighbours": 15, "min_dist": 0.3}
        )
        plane = fit(umap_2d(vectors, seed=0, **spread))
        journeys = [
            journey(
                e, [t.id for t in e.tracks].index(voice.track.id), head, span, vectors, track, plane
            )
            for voice in voices
        ]
        maps[head] = Map(plane, who, journeys)
        labels = who.astype(str)
        measured[head] = neighbour_purity(vectors, labels, track)
        measured[f"{head}_chance"] = purity_chance(labels, track)
    return maps, measured


def means_of(e: Embeddings, head: str, span: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Means over `span` windows, one every `step`: (P, D), and their middle windows (P,)."""
    x, vectors, middles = unit(e.vectors["audio"][head]), [], []
    for k in range(len(e.tracks)):
        rows = np.flatnonzero(e.track == k)
        for first in range(0, len(rows) - span + 1, step):
            vectors.append(x[rows[first : first + span]].mean(axis=0))
            middles.append(rows[first + span // 2])
    return np.array(vectors), np.array(middles)


def journey(
    e: Embeddings, k: int, head: str, span: int, vectors, track, plane, nearest: int = 3
) -> np.ndarray:
    """Places of track number k on a map, per frame: (T, 2); nan until half of `span` was heard."""
    x = unit(e.of(k, "audio", head))
    last = [x[max(0, t + 1 - span) : t + 1].mean(axis=0) for t in range(len(x))]
    alike = unit(np.array(last)) @ unit(vectors).T  # (N, P)
    alike[:, track == k] = -np.inf
    weights = np.exp(30 * (alike - alike.max(axis=1, keepdims=True)))
    weights[alike < np.sort(alike, axis=1)[:, [-nearest]]] = 0
    places = weights @ plane / weights.sum(axis=1, keepdims=True)
    padded = np.pad(places, ((1, 1), (0, 0)), mode="edge")
    places = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    places[: span // 2] = np.nan
    return np.concatenate(
        [np.repeat(places[:1], 2, axis=0), places, np.repeat(places[-1:], 2, axis=0)]
    )  # windows -> frames


def fit(plane: np.ndarray) -> np.ndarray:
    """Turn a plane so that its longest axis lies flat, and fill the unit square: (P, 2) -> (P, 2).

    The axes of a UMAP map have no meaning, so nothing is lost.
    """
    centred = plane - plane.mean(axis=0)
    turned = centred @ np.linalg.svd(centred, full_matrices=False)[2].T
    return (turned - turned.min(axis=0)) / np.ptp(turned, axis=0)


# --- Drawing --------------------------------------------------------------------------------------


class Canvas:
    """A picture, drawn SCALE times larger than shown; all numbers are in shown pixels."""

    def __init__(self, background: str = PAPER):
        from PIL import Image, ImageDraw

        self.image = Image.new("RGB", (SCALE * WIDTH, SCALE * HEIGHT), background)
        self.pen = ImageDraw.Draw(self.image)

    def copy(self) -> Canvas:
        other = Canvas()
        other.image.paste(self.image)
        return other

    def card(self, x, y, width, height, colour=CARD, outline=None, line=0):
        box = [SCALE * v for v in (x, y, x + width, y + height)]
        self.pen.rounded_rectangle(
            box, SCALE * 10, fill=colour, outline=outline, width=SCALE * line
        )

    def text(self, x, y, words: str, size: int, colour=INK, anchor="lm", weight: float = 0.0):
        from PIL import ImageFont

        font = ImageFont.load_default(SCALE * size)
        stroke = round(SCALE * weight)
        self.pen.text(
            (SCALE * x, SCALE * y),
            words,
            colour,
            font,
            anchor,
            stroke_width=stroke,
            stroke_fill=colour,
        )

    def dot(self, x, y, radius, colour, outline=None, line=0):
        box = [SCALE * v for v in (x - radius, y - radius, x + radius, y + radius)]
        self.pen.ellipse(box, fill=colour, outline=outline, width=round(SCALE * line))

    def path(self, points: np.ndarray, colour, width: float):
        if len(points) > 1:
            self.pen.line(
                [tuple(SCALE * p) for p in points],
                fill=colour,
                width=round(SCALE * width),
                joint="curve",
            )

    def picture(self, pixels: np.ndarray, x, y, size):
        from PIL import Image, ImageDraw

        shown = Image.fromarray(pixels).resize(
            (SCALE * size, SCALE * size), Image.Resampling.LANCZOS
        )
        mask = Image.new("L", shown.size, 0)
        ImageDraw.Draw(mask).rounded_rectangle(
            [0, 0, *(v - 1 for v in shown.size)], SCALE * 10, fill=255
        )
        self.image.paste(shown, (round(SCALE * x), round(SCALE * y)), mask)

    def shown(self):
        from PIL import Image

        return self.image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def faded(colour: str, share: float, paper: str = CARD) -> str:
    """A colour mixed into the paper: share 1 is the colour itself."""
    mixed = [share * a + (1 - share) * b for a, b in zip(rgb(colour), rgb(paper), strict=True)]
    return "#" + "".join(f"{round(255 * value):02x}" for value in mixed)


FACE, TOP, MAPS = 142, 10, 224  # side of a face; where the faces begin; where the maps begin
PLOTS = {"identity": 12, "content": 506}  # left edge of each map
ENDING = {"identity": "four voices, four places", "content": "same words, same round"}
TITLES = {"identity": ("identity map", "who speaks"), "content": ("content map", "what is said")}


def on_page(head: str, places: np.ndarray) -> np.ndarray:
    """Unit square -> pixels of a map."""
    return places * (406, 264) + (PLOTS[head] + 38, MAPS + 82)


def draw_page(voices: list[Voice], maps: dict[str, Map]) -> Canvas:
    """What does not move: the cards, the titles, the points of both maps."""
    page = Canvas()
    for head, map_ in maps.items():
        page.card(PLOTS[head], MAPS, 482, 404)
        title, means = TITLES[head]
        page.text(PLOTS[head] + 20, MAPS + 34, title, 34, weight=0.6)
        page.text(PLOTS[head] + 462, MAPS + 35, means, 30, SOFT, "rm")
        radius = 6 if head == "identity" else 4.5
        for place, who in zip(on_page(head, map_.places), map_.voices, strict=True):
            page.dot(*place, radius, faded(voices[who].colour, 0.42))
    return page


def draw_faces(
    page: Canvas, voices: list[Voice], films: list[np.ndarray], now: int | None, frame: int
) -> None:
    """The row of faces; the one that speaks has a frame and its word."""
    for k, voice in enumerate(voices):
        x, speaks = 12 + 246 * k, k == now
        said = now is None or k <= now
        page.card(
            x, TOP, 238, FACE + 62, CARD if speaks else PAPER, voice.colour if speaks else None, 4
        )
        page.picture(
            films[k][frame if speaks else (len(films[k]) - 1 if said else 0)],
            x + 14,
            TOP + 12,
            FACE,
        )
        page.text(x + FACE + 51, TOP + 12 + FACE / 2, voice.letter, 72, voice.colour, "mm", 1)
        word = f"“{voice.words[frame]}”" if speaks and voice.words[frame] else ""
        if speaks:
            page.text(x + 119, TOP + FACE + 37, word, 34, voice.colour, "mm", 0.6)
        else:
            page.text(x + 14 + FACE / 2, TOP + FACE + 35, NAMES[voice.sex], 28, INK, "mm")


def smooth(points: np.ndarray) -> np.ndarray:
    """A curve through points: (T, 2) -> (4 T - 3, 2)."""
    from scipy.interpolate import CubicSpline

    if len(points) < 3:
        return points
    at = np.arange(len(points))
    return CubicSpline(at, points)(np.linspace(0, len(points) - 1, 4 * len(points) - 3))


def draw_journeys(
    page: Canvas, voices: list[Voice], maps: dict[str, Map], now: int | None, frame: int
) -> None:
    """The ways of those who have spoken, the way so far of the one who speaks, and its dot."""
    last = len(voices) if now is None else now
    for head, map_ in maps.items():
        for k in range(min(last + 1, len(voices))):
            way = map_.journeys[k] if k < last else map_.journeys[k][: frame + 1]
            way = on_page(head, way[~np.isnan(way).any(axis=1)])
            if not len(way):
                continue
            page.path(
                smooth(way),
                voices[k].colour if k == now or now is None else faded(voices[k].colour, 0.75),
                3.5,
            )
            if k == now or head == "identity" or now is None:
                page.dot(*way[-1], 15, voices[k].colour, "#ffffff", 3)
                page.text(*way[-1], voices[k].letter, 20, "#ffffff", "mm", 0.5)


def draw_frames(people: corpus.Corpus, voices: list[Voice], maps: dict[str, Map]) -> list:
    """All frames of the film, as pictures."""
    films = [faces(people, voice, 2 * FACE) for voice in voices]
    still = draw_page(voices, maps)
    frames = []
    moments = [
        (k, frame) for k, voice in enumerate(voices) for frame in range(0, voice.track.frames, 2)
    ]
    for now, frame in [*moments, (None, 0)]:
        page = still.copy()
        draw_faces(page, voices, films, now, frame)
        draw_journeys(page, voices, maps, now, frame)
        if now is None:
            for head, words in ENDING.items():
                page.text(PLOTS[head] + 241, MAPS + 378, words, 28, INK, "mm", 0.4)
        frames.append(page.shown())
    return frames


def write_gif(frames: list, path: Path) -> None:
    """One palette for all frames and no dither, so that what stands still costs nothing."""
    from PIL import Image

    sample = Image.new("RGB", (WIDTH, HEIGHT * 4))
    for k in range(4):
        sample.paste(frames[(2 * k + 1) * len(frames) // 8], (0, k * HEIGHT))
    palette = sample.quantize(160, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    flat = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    times = [round(1000 / FPS)] * (len(flat) - 1) + [round(1000 * HOLD)]
    flat[0].save(
        path,
        save_all=True,
        append_images=flat[1:],
        duration=times,
        loop=0,
        optimize=True,
        disposal=1,
    )


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="four_terms", help="a released network")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--frames", type=Path, help="write every frame into this folder too")
    options = parser.parse_args(argv)
    people = corpus.open("mini")
    voices = choose(people)
    maps, measured = make_maps(people, options.model, voices)
    frames = draw_frames(people, voices, maps)
    if options.frames:
        options.frames.mkdir(parents=True, exist_ok=True)
        for k, frame in enumerate(frames):
            frame.save(options.frames / f"{k:03d}.png")
    write_gif(frames, options.out)
    card = {
        "network": options.model,
        "tracks": [voice.track.id for voice in voices],
        "words": sorted({word for voice in voices for word in voice.words if word}),
        "nearest_points_of_the_same_voice": {
            name: round(value, 4) for name, value in measured.items()
        },
    }
    options.out.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    print(f"{options.out}: {len(frames)} frames, {options.out.stat().st_size:,} bytes; {card}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
