"""A gallery of the toy corpus: a contact sheet of people and mouth shapes, and a page where clips of a corpus play.

contact_sheet("sheet.png")            one row of mouth shapes a speaker, several speakers a line
mouth_strip("mouth.png")              one speaker saying p a o f th s m
page(corpus, "gallery.html")          twenty clips in one file that needs nothing else
"""

from __future__ import annotations

import base64
import html
import json
import os
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from dsel.toy.face.parameters import face_of
from dsel.toy.face.rendering import render
from dsel.toy.face.scene import draw_scene
from dsel.toy.mouth import VISEMES, viseme_of
from dsel.toy.seeds import stream
from dsel.utils.errors import BadInput

SHAPES = ("closed", "open_front", "round_open", "lip_teeth", "tongue_teeth", "spread", "sibilant", "round_close")
SAID = ("p", "a", "O:", "f", "T", "s", "m")  # espeak's p a o f th s m


def write_png(path, image: np.ndarray) -> Path:
    """Write uint8 (H, W, 3) as a PNG: header, one zlib stream of rows, end. It appears only when complete."""
    height, width, _ = image.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), image.reshape(height, -1)], 1)  # a 0 (no filter) before each row

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, red green blue
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)) + chunk(b"IEND", b"")
    return _write(path, b"\x89PNG\r\n\x1a\n" + body)


def contact_sheet(path, speakers: int = 40, shapes: int = 6, *, size: int = 96, across: int = 4, seed: int = 0) -> Path:
    """Draw people and what their mouths do as one PNG.

    Args:
        path: of the picture.
        speakers: how many; each gets a row of `shapes` pictures in one scene.
        shapes: how many of the mouth shapes in SHAPES.
        size: pixels of one picture.
        across: how many speakers stand beside each other.
        seed: whom.
    Raises:
        BadInput: more shapes than there are, or nobody to draw.
    """
    from dsel.toy.speaker import draw_speaker

    if not 1 <= shapes <= len(SHAPES) or speakers < 1 or across < 1:
        raise BadInput(f"{path}: a sheet shows 1 to {len(SHAPES)} shapes of 1 or more speakers, not {shapes} of {speakers}")
    mouth = np.array([VISEMES[name] for name in SHAPES[:shapes]], np.float32)
    people = []
    for i in range(speakers):
        face = face_of(draw_speaker(seed, f"sheet{i:03d}", 1.0))
        frames = render(face, mouth, draw_scene(stream(seed, "sheet", i), shapes), size)  # (shapes, size, size, 3)
        people.append(np.concatenate(list(frames), 1))
    people += [np.full_like(people[0], 255)] * (-len(people) % across)
    lines = [np.concatenate(people[i : i + across], 1) for i in range(0, len(people), across)]
    return write_png(path, np.concatenate(lines, 0))


def mouth_strip(path, phonemes=SAID, *, size: int = 192, seed: int = 0, name: str = "sheet004") -> Path:
    """Draw one speaker's face at each of some phonemes (espeak mnemonics), side by side, as one PNG."""
    from dsel.toy.speaker import draw_speaker

    mouth = np.array([VISEMES[viseme_of(phoneme)] for phoneme in phonemes], np.float32)
    scene = draw_scene(stream(seed, "strip"), len(mouth))
    scene = replace(scene, blink=np.zeros_like(scene.blink))  # eyes open: the mouth is what is shown
    frames = render(face_of(draw_speaker(seed, name, 1.0)), mouth, scene, size)
    return write_png(path, np.concatenate(list(frames), 1))


def page(corpus, path, clips: int = 20) -> Path:
    """Write one html file in which clips of a corpus play, no two of a speaker while there are enough speakers.

    Args:
        corpus: a dsel.corpus.Corpus.
        path: of the page. The clips are inside it: it needs no server and no network.
        clips: how many at most.
    """
    tracks_of = {}
    for track in corpus.tracks:
        tracks_of.setdefault(track.speaker, []).append(track)
    rounds = max(map(len, tracks_of.values()), default=0)
    chosen = [tracks[i] for i in range(rounds) for tracks in tracks_of.values() if i < len(tracks)]  # first one of each
    if len(tracks_of) > clips:  # spread over the corpus
        chosen = [chosen[i] for i in np.linspace(0, len(tracks_of) - 1, clips).round().astype(int)]
    figures = "\n".join(_figure(corpus, track) for track in chosen[:clips])
    return _write(path, _PAGE.replace("@CLIPS@", figures).encode())


def _figure(corpus, track) -> str:
    """One clip with its words, which light up as they are said."""
    words = []
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
    return (
        f'<figure><video src="data:video/mp4;base64,{film}" muted loop playsinline data-times="{times}"></video>'
        f"<figcaption><b>{html.escape(' · '.join(map(str, about)))}</b><p>{spans}</p></figcaption></figure>"
    )


def _write(path, data: bytes) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Talking heads</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
       color: #222; background: #f6f5f2 }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 1.2rem }
figure { margin: 0; background: #fff; border-radius: .6rem; overflow: hidden; box-shadow: 0 1px 4px #0002 }
video { width: 100%; aspect-ratio: 1; display: block; cursor: pointer; background: #ddd }
figure.heard { outline: 3px solid #d95f02 }
figcaption { padding: .5rem .7rem .7rem } figcaption b { font-weight: 600; font-size: .85em; color: #666 }
figcaption p { margin: .2rem 0 0; min-height: 2.6em } span.now { background: #ffd9a8; border-radius: .2em }
</style></head><body>
<h1>Talking heads</h1>
<p>Each person is drawn and speaks with a synthetic voice; every factor is known. Click a face to hear it, click again
to stop. Words light up as they are said.</p>
<main>
@CLIPS@
</main>
<script>
const films = [...document.querySelectorAll("video")];
for (const film of films) {
  const times = JSON.parse(film.dataset.times), words = film.parentElement.querySelectorAll("span");
  film.addEventListener("click", () => {
    const silent = film.muted;
    for (const other of films) { other.muted = true; other.parentElement.classList.remove("heard"); }
    if (silent) { film.muted = false; film.currentTime = 0; film.parentElement.classList.add("heard"); }
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
