"""A still of every figure inside the notebooks, for readers that run no script: GitHub, nbviewer, PDF, a preview in a mail.

    python tools/stills.py                    all of notebooks/: draw what is missing or belongs to another figure
    python tools/stills.py FILE ...           these notebooks only
    python tools/stills.py --check            change nothing; exit code 1 and the names of those that are out of step
    python tools/stills.py --again            draw every still anew

A figure is stored as plotly's JSON, which such readers show as nothing. The still is an `image/png` in the same output: the
figure as it stands before anybody moves it, drawn by the plotly.js of the installed plotly in a Chromium without a network,
with a palette of 64 colours. It carries the fingerprint of its figure inside the file, so that a still is drawn anew only when
its figure has changed, and a picture that something else has put there is known as such. Running a notebook drops its stills.

Who shows what, if both are there:
    GitHub, nbviewer, LaTeX   the still; they do not know plotly's type.
    JupyterLab                plotly's own extension: the still first, the moving figure in its place as soon as the mouse
                              is over it (and at once after a run). That is what it does with any notebook saved there.
    our decks and pages       the moving figure: `tools/views.py` puts it in the place of the whole output.
    Colab                     of a notebook as stored, the still: Colab has no renderer of plotly's type. Its figures come
                              from plotly's renderer 'colab', which writes `text/html` with a script, when a cell is run; then
                              the new output takes the place of the stored one, still and all. (Reasoned, not tried there.)
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import os
import shutil
import struct
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(ROOT))

from dsel.utils.files import write_text  # noqa: E402
from tools.stamp import NOTEBOOKS, as_text  # noqa: E402

PLOTLY = "application/vnd.plotly.v1+json"
PNG = "image/png"
WIDTH = 900  # px of a figure that takes the width of its page: about GitHub's column
HEIGHT = 450  # px of a figure that says nothing: plotly's default
COLOURS = 64  # a palette: a quarter of the bytes, and it looks the same (256: a third)
SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEYWORD = b"figure"  # of the text chunk with the fingerprint
ONCE = Fraction(1, 25)  # a picture has no time, FFmpeg wants one
CHROMIUM = os.environ.get("DSEL_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
DRAW = """([figure, width, height]) => Plotly.toImage({data: figure.data, layout: figure.layout}, {
  format: 'png', scale: 1, width: figure.layout.width || width, height: figure.layout.height || height})"""


# --- The mark inside a PNG --------------------------------------------------------------------------------------------------


def fingerprint(figure: dict) -> str:
    """What changes when the still would: the figure and how it is drawn. Frames count too; they come with the figure."""
    text = json.dumps([figure, WIDTH, HEIGHT, COLOURS], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The (kind, body) of every chunk of a PNG."""
    at = len(SIGNATURE)
    while png.startswith(SIGNATURE) and at + 8 <= len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        yield kind, png[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def mark(png: bytes, text: str) -> bytes:
    """The same picture with a fingerprint inside, and without the chunks that say how large a pixel is and the like."""
    kept = [(kind, body) for kind, body in chunks(png) if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")]
    kept.insert(1, (b"tEXt", KEYWORD + b"\0" + text.encode("ascii")))
    return SIGNATURE + b"".join(_chunk(kind, body) for kind, body in kept)


def marked(png: bytes) -> str | None:
    """The fingerprint inside a PNG, if it is one of ours."""
    for kind, body in chunks(png):
        if kind == b"tEXt" and body.startswith(KEYWORD + b"\0"):
            return body[len(KEYWORD) + 1 :].decode("ascii")
    return None


# --- Notebooks --------------------------------------------------------------------------------------------------------------


def bundles(nb: dict) -> list[dict]:
    """The data of every output that holds a plotly figure."""
    outputs = [output for cell in nb["cells"] for output in cell.get("outputs", [])]
    return [output["data"] for output in outputs if PLOTLY in output.get("data", {})]


def still(bundle: dict) -> bytes:
    """The PNG of an output; empty if there is none."""
    return base64.b64decode("".join(bundle.get(PNG, "")))


def is_due(bundle: dict) -> bool:
    """Has this output no still, or that of another figure?"""
    return marked(still(bundle)) != fingerprint(bundle[PLOTLY])


def stamp(nb: dict, draw, *, again: bool = False) -> int:
    """Put a still beside every figure that has none of its own, in place; how many were drawn."""
    due = [bundle for bundle in bundles(nb) if again or is_due(bundle)]
    for bundle in due:
        png = mark(few_colours(draw(bundle[PLOTLY])), fingerprint(bundle[PLOTLY]))
        bundle[PNG] = base64.b64encode(png).decode("ascii")
    return len(due)


# --- Pictures ---------------------------------------------------------------------------------------------------------------


@contextmanager
def drawing():
    """A browser that draws: gives a function from a figure (plotly's JSON) to a PNG."""
    from playwright.sync_api import sync_playwright
    from plotly.offline import get_plotlyjs

    with sync_playwright() as engine:  # without CHROMIUM: the one of `playwright install chromium`
        chromium = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_context(offline=True).new_page()
        page.set_content('<meta charset="utf-8">')
        page.add_script_tag(content=get_plotlyjs())
        yield lambda figure: base64.b64decode(page.evaluate(DRAW, [figure, WIDTH, HEIGHT]).partition(",")[2])
        chromium.close()


def few_colours(png: bytes) -> bytes:
    """The same picture with a palette of its own, without dithering, as small as the PNG encoder can."""
    import av

    with av.open(io.BytesIO(png)) as container:
        frame = next(container.decode(video=0)).reformat(format="rgb24")
    frame.pts, frame.time_base = 0, ONCE
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=ONCE)
    split, use = graph.add("split"), graph.add("paletteuse", "dither=none")
    palette = graph.add("palettegen", f"max_colors={COLOURS}:reserve_transparent=0")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(palette, 0, 0)
    split.link_to(use, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    source.push(frame)
    source.push(None)  # the palette is known at the end
    few = sink.pull()
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = few.width, few.height, "pal8", ONCE
    encoder.options = {"compression_level": "9", "pred": "none"}  # filters help photographs, not palettes
    return b"".join(bytes(packet) for packet in [*encoder.encode(few), *encoder.encode(None)])


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, help="all of notebooks/ unless named")
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 if a still is due")
    parser.add_argument("--again", action="store_true", help="draw every still anew")
    options = parser.parse_args(argv)
    paths = options.notebooks or sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    notebooks = {path: json.loads(path.read_text(encoding="utf-8")) for path in paths}
    due = [path for path, nb in notebooks.items() if any(options.again or is_due(bundle) for bundle in bundles(nb))]
    if options.check:
        print("stills are due: " + ", ".join(path.name for path in due) if due else "every figure has its still")
        return 1 if due else 0
    if due:
        with drawing() as draw:
            for path in due:
                before = path.stat().st_size
                count = stamp(notebooks[path], draw, again=options.again)
                write_text(path, as_text(notebooks[path]))
                print(f"{path.name}: {count} stills drawn, {before:,} -> {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
