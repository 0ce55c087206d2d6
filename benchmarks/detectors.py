"""Count which face detector finds more of the faces in the GRID clips: ours or MediaPipe's.

    python benchmarks/detectors.py [--real ../shared/real/grid]

Both run on the same pictures, on one core of the same Chromium: the page's detector (OpenCV's
cascade, web/face.js), and MediaPipe's for faces near the camera, from its npm package. The right
place is the face that `dsel prepare` follows through the clip. A box is right if its centre lies
within half a side of that face's centre, and its side within a factor of two. A face without a
right box is missed; every other box is wrong. Prints one table and writes benchmarks/detectors.md.
Needs npm, and a network for it.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image

from dsel.prepare import decode
from dsel.prepare import face_tracks as faces
from dsel.utils.markdown import table
from tools import live
from tools.stills import CHROMIUM

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = {  # on npm, under the Apache-2.0 licence
    "name": "@mediapipe/face_detection",
    "version": "0.4.1657300184",
    "integrity": "sha512-k5aYtTf7av7GwD3C9T4LJB/okHK/uJwFQSOmJ9OHZMl"
    "wg7SdYVMolRgDlA962OU7fIBKsrOA7f7BzD2gpzcAKw==",
    "files": [
        *("face_detection.js", "face_detection_short.binarypb"),
        *("face_detection_short_range.tflite", "face_detection_solution_simd_wasm_bin.js"),
        *(
            "face_detection_solution_simd_wasm_bin.wasm",
            "face_detection_solution_simd_wasm_bin.data",
        ),
    ],
}
EVERY, KEPT = 5, 3  # frames between two looks of `prepare`; every third one is shown to both
CLIPS = 1  # of each speaker
TILT = 20  # degrees
FLAGS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
OURS, THEIRS = "OpenCV's cascade (the page)", "MediaPipe, short range"

# Both detectors get the same canvas. v: names of pictures; returns {name: [[x, y, side]]} and ms.
CASCADE = """async v => {
  const m = await import('/face.js'), packed = (await fetch('/cascade.json.gz')).body;
  const unpacked = packed.pipeThrough(new DecompressionStream('gzip'));
  const detect = m.detector(await new Response(unpacked).json());
  return each(v, (canvas, w, h) => detect(canvas.getContext('2d').getImageData(0, 0, w, h)));
}"""
MEDIAPIPE = """async v => {
  const d = new FaceDetection({ locateFile: f => '/' + f });
  let found;
  d.setOptions({ model: 'short' });  // with minDetectionConfidence this version aborts
  d.onResults(r => (found = r.detections));
  await d.initialize();
  return each(v, async (canvas, w, h) => {
    await d.send({ image: canvas });
    return found.map(({ boundingBox: b }) =>
      [b.xCenter * w, b.yCenter * h, Math.max(b.width * w, b.height * h)]);
  });
}"""
PAGE = """<!doctype html><script src="face_detection.js"></script><script>
async function each(names, detect) {
  const boxes = {}, times = [], canvas = document.createElement('canvas');
  for (const name of names) {
    const image = new Image();
    image.src = name + '.png';
    await image.decode();
    Object.assign(canvas, { width: image.width, height: image.height });
    canvas.getContext('2d').drawImage(image, 0, 0);
    const begun = performance.now();
    boxes[name] = await detect(canvas, image.width, image.height);
    times.push(performance.now() - begun);
  }
  return { boxes, ms: times.sort((p, q) => p - q)[times.length >> 1] };
}</script>"""


def dark(picture, box):
    """A quarter of the light."""
    return (picture // 4).astype(np.uint8), box


def far(picture, box):
    """A third of the size, in the middle of a grey wall."""
    h, w = picture.shape[:2]
    small = np.asarray(Image.fromarray(picture).resize((w // 3, h // 3), Image.Resampling.BOX))
    wall = np.full_like(picture, 128)
    wall[h // 3 : h // 3 + small.shape[0], w // 3 : w // 3 + small.shape[1]] = small
    return wall, np.array([w // 3 + box[0] / 3, h // 3 + box[1] / 3, box[2] / 3])


def tilted(picture, box):
    """The head leans to one side."""
    h, w = picture.shape[:2]
    turned = np.asarray(Image.fromarray(picture).rotate(TILT, Image.Resampling.BILINEAR))
    angle, (x, y) = np.deg2rad(TILT), box[:2] - np.array([w, h]) / 2
    centre = np.array(
        [np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x]
    )
    return turned, np.append(centre + np.array([w, h]) / 2, box[2])


PAGE_TEXT = """# Finding the face: the page's detector beside MediaPipe's

Pictures of {films} clips of 16 people of GRID, every one with one face, both detectors in the same
Chromium. The right place is the face that `dsel prepare` follows; it looks with the same cascade,
which favours the cascade where a whole clip is hard. The other three kinds are the same pictures,
changed, with the place known from the unchanged ones. *found*: a box whose centre lies within half
a side of the face's, and whose side lies within a factor of two.

{table}

Milliseconds a picture (median), on a busy machine: {times}.
MediaPipe runs on a graphics card, which this machine has in software alone. Its files take
{packed:.1f} MB, compressed.

Made by `python benchmarks/detectors.py`.
"""

KINDS = {
    "as recorded": lambda picture, box: (picture, box),
    "a quarter of the light": dark,
    "three times as far away": far,
    f"head leaning by {TILT} degrees": tilted,
}


def followed(film: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures of a clip, each with the box (x, y, side) of the face that `prepare` follows."""
    detect, thumb = faces.haar(), np.zeros((*faces.THUMB[::-1], 3), np.uint8)
    seen = [
        (time, decode.upright(frame, longest=faces.LONGEST))
        for k, (time, frame) in enumerate(decode.pictures(film))
        if k % EVERY == 0
    ]
    boxes = [faces.squares(detect(picture), 1.0) for _, picture in seen]
    looks = [faces.Look(seen[k][0], boxes[k], thumb, 0, 0) for k in range(len(seen))]
    track = max(faces.link(looks), key=lambda t: t.seconds)
    return [(picture, track.at(time)) for time, picture in seen[::KEPT]]


def is_right(found: list[float], true: np.ndarray) -> bool:
    """Whether a box (x, y, side) is that of the face."""
    near = np.hypot(*(np.array(found[:2]) - true[:2])) < true[2] / 2
    return bool(near and 0.5 < found[2] / true[2] < 2)


def write(answers: dict, true: dict, films: int, packed: int) -> None:
    """Count, print and write the page.

    Args:
        answers: {detector: {"boxes": {picture: boxes found}, "ms": per picture}}
        true: {picture: the face's box (3,)}; a name begins with the number of its kind.
        films: how many clips the pictures are from.
        packed: bytes of MediaPipe's files, compressed.
    """
    rows = []
    for n, kind in enumerate(KINDS):
        names = [name for name in true if name.startswith(f"{n}_")]
        for who, answer in answers.items():
            boxes = [[is_right(b, true[name]) for b in answer["boxes"][name]] for name in names]
            found, wrong = sum(map(any, boxes)), sum(b.count(False) for b in boxes)
            share = f"{100 * found / len(names):.1f}"
            rows.append([kind, who, len(names), share, len(names) - found, wrong])
    head = ["pictures", "detector", "faces", "found, %", "missed", "wrong boxes"]
    counted = table(head, rows, align="llrrrr")
    times = ", ".join(f"{who} {answer['ms']:.0f}" for who, answer in answers.items())
    print(counted, times, sep="\n")
    text = PAGE_TEXT.format(table=counted, films=films, packed=packed / 1e6, times=times)
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


def main(argv=None) -> int:
    """Measure, print and write the page."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, default=ROOT.parent / "shared" / "real" / "grid")
    real = parser.parse_args(argv).real
    films = [
        f
        for s in sorted(p for p in real.iterdir() if p.is_dir())
        for f in sorted(s.glob("*.mpg"))[:CLIPS]
    ]
    with tempfile.TemporaryDirectory() as scratch:
        site, true = Path(scratch), {}
        (site / "index.html").write_text(PAGE, encoding="utf-8")
        (site / "face.js").write_bytes((live.WEB / "face.js").read_bytes())
        live.write_cascade(site / "cascade.json.gz")
        unpacked = live.unpack(PACKAGE, site)
        for name in PACKAGE["files"]:
            (site / name).write_bytes(unpacked[name])
        packed = sum(len(gzip.compress(unpacked[name], 9)) for name in PACKAGE["files"])
        for film in films:
            for k, (picture, box) in enumerate(followed(film)):
                for n, change in enumerate(KINDS.values()):
                    name = f"{n}_{film.parent.name}_{film.stem}_{k}"
                    changed, true[name] = change(picture, box)
                    Image.fromarray(changed).save(site / f"{name}.png")
        handler = partial(SimpleHTTPRequestHandler, directory=scratch)
        handler.log_message = lambda *_: None
        running = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=running.serve_forever, daemon=True).start()
        with sync_playwright() as engine:
            chromium = engine.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
            page = chromium.new_page()
            page.on("pageerror", lambda error: print("page error", error))
            page.goto(f"http://localhost:{running.server_address[1]}/index.html")
            answers = {
                OURS: page.evaluate(CASCADE, list(true)),
                THEIRS: page.evaluate(MEDIAPIPE, list(true)),
            }
            chromium.close()
        running.shutdown()
    write(answers, true, len(films), packed)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
