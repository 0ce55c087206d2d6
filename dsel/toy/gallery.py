"""Show the toy corpus: a contact sheet of faces and mouth shapes, and a page where clips play.

contact_sheet("sheet.png")            mouth shapes of many speakers
mouth_strip("mouth.png")              one speaker saying p a o f th s m
page(corpus, "gallery.html")          twenty clips in one file that needs no other file
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from dsel.corpus import Corpus, Track
from dsel.toy.face.parameters import face_of
from dsel.toy.face.rendering import render
from dsel.toy.face.scene import draw_scene
from dsel.toy.mouth import VISEMES, viseme_of
from dsel.toy.seeds import stream
from dsel.utils.errors import BadInput
from dsel.utils.files import write_bytes

SHAPES = (
    "closed",
    "open_front",
    "round_open",
    "lip_teeth",
    "tongue_teeth",
    "spread",
    "sibilant",
    "round_close",
)
SAID = ("p", "a", "O:", "f", "T", "s", "m")  # espeak's mnemonics of p a o f th s m


def write_png(path: str | Path, image: np.ndarray) -> Path:
    """Write uint8 (H, W, 3) as a PNG. The file appears only when it is complete."""
    import av

    codec = av.CodecContext.create("png", "w")
    codec.height, codec.width, codec.pix_fmt = *image.shape[:2], "rgb24"
    codec.time_base = Fraction(1)
    packets = codec.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24"))
    return write_bytes(path, b"".join(map(bytes, packets)))


def contact_sheet(
    path: str | Path,
    speakers: int = 40,
    shapes: int = 6,
    *,
    size: int = 96,
    across: int = 4,
    seed: int = 0,
) -> Path:
    """Draw many speakers and their mouth shapes in one PNG.

    Args:
        path: of the picture.
        speakers: how many; each gets a row of `shapes` faces in one scene.
        shapes: how many of the mouth shapes in SHAPES.
        size: height and width of one face in pixels.
        across: how many speakers stand side by side.
        seed: decides which speakers are drawn.
    Returns:
        The path.
    Raises:
        BadInput: there are fewer shapes, or there is nobody to draw.
    """
    from dsel.toy.speaker import draw_speaker

    if not 1 <= shapes <= len(SHAPES) or speakers < 1 or across < 1:
        raise BadInput(
            f"{path}: a sheet shows 1 to {len(SHAPES)} shapes of 1 or more speakers, "
            f"not {shapes} of {speakers}"
        )
    mouth = np.array([VISEMES[name] for name in SHAPES[:shapes]], np.float32)
    people = []
    for i in range(speakers):
        face = face_of(draw_speaker(seed, f"sheet{i:03d}", 1.0))
        scene = draw_scene(stream(seed, "sheet", i), shapes)
        people.append(np.concatenate(list(render(face, mouth, scene, size)), 1))
    people += [np.full_like(people[0], 255)] * (-len(people) % across)
    lines = [np.concatenate(people[i : i + across], 1) for i in range(0, len(people), across)]
    return write_png(path, np.concatenate(lines, 0))


def mouth_strip(
    path: str | Path,
    phonemes: Sequence[str] = SAID,
    *,
    size: int = 192,
    seed: int = 0,
    name: str = "sheet004",
) -> Path:
    """Draw one speaker's face during each of some phonemes, side by side, in one PNG.

    Args:
        path: of the picture.
        phonemes: espeak-ng's mnemonics.
        size: height and width of one face in pixels.
        seed, name: decide which speaker is drawn.
    Returns:
        The path.
    """
    from dsel.toy.speaker import draw_speaker

    mouth = np.array([VISEMES[viseme_of(phoneme)] for phoneme in phonemes], np.float32)
    scene = draw_scene(stream(seed, "strip"), len(mouth))
    scene = replace(scene, blink=np.zeros_like(scene.blink))  # eyes open: only the mouth changes
    frames = render(face_of(draw_speaker(seed, name, 1.0)), mouth, scene, size)
    return write_png(path, np.concatenate(list(frames), 1))


def page(corpus: Corpus, path: str | Path, clips: int = 20) -> Path:
    """Write an html file in which clips of a corpus play, of as many speakers as possible.

    Args:
        corpus: whose clips.
        path: of the page. It contains the clips, so it needs no server and no network.
        clips: largest number of clips.
    Returns:
        The path.
    """
    tracks_of: dict[str, list[Track]] = {}
    for track in corpus.tracks:
        tracks_of.setdefault(track.speaker, []).append(track)
    most = max(map(len, tracks_of.values()), default=0)
    # the first track of every speaker, then the second of every speaker, ...
    chosen = [tracks[i] for i in range(most) for tracks in tracks_of.values() if i < len(tracks)]
    if len(tracks_of) > clips:  # take speakers from all over the corpus
        chosen = [chosen[i] for i in np.linspace(0, len(tracks_of) - 1, clips).round().astype(int)]
    figures = "\n".join(_figure(corpus, track) for track in chosen[:clips])
    return write_bytes(path, _PAGE.replace("@CLIPS@", figures).encode())


def _figure(corpus: Corpus, track: Track) -> str:
    """Return the html of one clip and its words, which light up when they are spoken."""
    words: list[list] = []  # [word, start, end]
    for label in corpus.labels(track):
        word = label.get("word", "")
        if word and (not words or words[-1][0] != word or label["start"] > words[-1][2] + 1e-3):
            words.append([word, label["start"], label["end"]])
        elif word:
            words[-1][2] = label["end"]
    film = base64.b64encode((corpus.path / track.path).read_bytes()).decode()
    spans = " ".join(f"<span>{html.escape(word)}</span>" for word, _, _ in words)
    times = html.escape(json.dumps([[start, end] for _, start, end in words]))
    about = [track.speaker, track.split]
    if "age" in track.factors:
        about.append(f"{track.factors.get('sex', '')} {float(track.factors['age']):.0f}")
    caption = html.escape(" · ".join(map(str, about)))
    return (
        f'<figure><video src="data:video/mp4;base64,{film}" muted loop playsinline '
        f'data-times="{times}"></video>'
        f"<figcaption><b>{caption}</b><p>{spans}</p></figcaption></figure>"
    )


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Talking heads</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
       color: #222; background: #f6f5f2 }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 1.2rem }
figure { margin: 0; background: #fff; border-radius: .6rem; overflow: hidden;
         box-shadow: 0 1px 4px #0002 }
video { width: 100%; aspect-ratio: 1; display: block; cursor: pointer; background: #ddd }
figure.heard { outline: 3px solid #d95f02 }
figcaption { padding: .5rem .7rem .7rem }
figcaption b { font-weight: 600; font-size: .85em; color: #666 }
figcaption p { margin: .2rem 0 0; min-height: 2.6em }
span.now { background: #ffd9a8; border-radius: .2em }
</style></head><body>
<h1>Talking heads</h1>
<p>These people are drawn, and their voices are synthetic. Click a face to hear it, click again to
stop. Words light up when they are spoken.</p>
<main>
@CLIPS@
</main>
<script>
const films = [...document.querySelectorAll("video")];
for (const film of films) {
  const times = JSON.parse(film.dataset.times), words = film.parentElement.querySelectorAll("span");
  film.addEventListener("click", () => {
    const silent = film.muted;
    for (const other of films) {
      other.muted = true;
      other.parentElement.classList.remove("heard");
    }
    if (silent) {
      film.muted = false;
      film.currentTime = 0;
      film.parentElement.classList.add("heard");
    }
    film.play();
  });
  film.addEventListener("loadeddata", () => film.play().catch(() => {}));
  const tick = () => {
    const t = film.currentTime;
    words.forEach((word, i) => word.classList.toggle("now", t >= times[i][0] && t < times[i][1]));
    requestAnimationFrame(tick);
  };
  tick();
}
</script></body></html>
"""
