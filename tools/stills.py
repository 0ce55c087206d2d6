"""Put a still of every figure into the notebooks, for readers that run no script.

    python tools/stills.py             all of notebooks/: draw what is missing or out of date
    python tools/stills.py FILE ...    only these notebooks
    python tools/stills.py --check     change nothing; exit code 1 and the names of what is due
    python tools/stills.py --again     draw every still anew

A figure is stored as plotly's JSON, which GitHub, nbviewer, PDF and mail do not show. The still is
an `image/png` in the same output: the figure before anybody moves it, drawn by the plotly.js of the
installed plotly in a Chromium without a network, in 64 colours. It carries the fingerprint of its
figure, so that it is drawn anew only when the figure has changed, and so that a picture made by
something else is recognised. The title of the figure becomes the still's alternative text.
Running a notebook removes its stills.

Which of the two is shown:
    GitHub, nbviewer, LaTeX   the still; they do not know plotly's type.
    JupyterLab                the still, until the mouse is over it; after a run, the figure.
    our decks and pages       the figure: `tools/views.py` puts it in the place of the output.
    Colab                     of a stored notebook, the still; after a run, the figure, which
                              plotly's renderer 'colab' writes. (Reasoned, not tried.)
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import os
import re
import shutil
import sys
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(ROOT))

from dsel.utils.files import write_text  # noqa: E402
from tools.stamp import NOTEBOOKS, as_text  # noqa: E402

__all__ = [
    *("CHROMIUM", "COLOURS", "HEIGHT", "PLOTLY", "WIDTH", "bundles", "drawing", "drawn"),
    *("few_colours", "fingerprint", "is_due", "main", "mark", "marked", "stamp", "still", "words"),
]

PLOTLY = "application/vnd.plotly.v1+json"
PNG = "image/png"
WIDTH = 840  # px of a figure, which takes the width of its page: JupyterLab's on a laptop
HEIGHT = 450  # px of a figure that says nothing: plotly's default
COLOURS = 64  # a palette: a quarter of the bytes, and it looks the same
KEYWORD = "figure"  # of the text with the fingerprint, inside the PNG
ONE_FRAME = Fraction(1, 25)  # a picture has no duration, FFmpeg wants one
CHROMIUM = os.environ.get("DSEL_CHROMIUM")
CHROMIUM = CHROMIUM or shutil.which("chromium") or shutil.which("google-chrome")
DRAW = """([figure, width, height]) => Plotly.toImage(
  {data: figure.data, layout: figure.layout},
  {format: 'png', scale: 1, width: width, height: figure.layout.height || height})"""


# --- The mark inside a PNG ------------------------------------------------------------------------


def fingerprint(figure: dict) -> str:
    """Compute a text that changes when the figure does, its frames included, or the drawing."""
    still = [figure, WIDTH, HEIGHT, COLOURS]
    text = json.dumps(still, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def mark(png: bytes, text: str) -> bytes:
    """Put a fingerprint into a PNG as its only text; no pixel changes."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info, marked_png = PngInfo(), io.BytesIO()
    info.add_text(KEYWORD, text)
    with Image.open(io.BytesIO(png)) as picture:
        picture.save(marked_png, "PNG", pnginfo=info, optimize=True)
    return marked_png.getvalue()


def marked(png: bytes) -> str | None:
    """Return the fingerprint inside a PNG; None if it is not one of ours."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
            return picture.text.get(KEYWORD)
    except UnidentifiedImageError:
        return None


# --- Notebooks ------------------------------------------------------------------------------------


def drawn(nb: dict) -> list[dict]:
    """Return every output that holds a plotly figure."""
    outputs = [output for cell in nb["cells"] for output in cell.get("outputs", [])]
    return [output for output in outputs if PLOTLY in output.get("data", {})]


def bundles(nb: dict) -> list[dict]:
    """Return the data of every output that holds a plotly figure."""
    return [output["data"] for output in drawn(nb)]


def words(figure: dict) -> str:
    """Say what a figure shows, without tags: its title and headings, else the names of its axes."""
    layout = figure.get("layout", {})
    title = layout.get("title", {})
    title = title.get("text", "") if isinstance(title, dict) else title
    notes = [note.get("text", "") for note in layout.get("annotations", [])]
    headings = [note for note in notes if note and note != "chance"][:4]
    axes = [layout[key].get("title") for key in sorted(layout) if re.match("[xy]axis", key)]
    names = [axis["text"] for axis in axes if isinstance(axis, dict) and axis.get("text")]
    parts = [title] if title else [*headings, *dict.fromkeys(names)]
    text = " ".join(re.sub(r"<[^>]+>", " ", "; ".join(parts)).split())
    return f"Figure: {text}" if text else "Figure"


def still(bundle: dict) -> bytes:
    """Return the PNG of an output; empty if there is none."""
    return base64.b64decode("".join(bundle.get(PNG, "")))


def is_due(bundle: dict) -> bool:
    """Say whether an output has no still, or that of another figure."""
    return marked(still(bundle)) != fingerprint(bundle[PLOTLY])


def stamp(nb: dict, draw, *, again: bool = False) -> int:
    """Put a still beside every figure that has none of its own, in place.

    Args:
        nb: the notebook.
        draw: turns a figure (plotly's JSON) into a PNG, see `drawing`.
        again: draw those that are up to date too.
    Returns:
        how many were drawn.
    """
    due = [output for output in drawn(nb) if again or is_due(output["data"])]
    for output in due:
        bundle = output["data"]
        png = mark(few_colours(draw(bundle[PLOTLY])), fingerprint(bundle[PLOTLY]))
        bundle[PNG] = base64.b64encode(png).decode("ascii")
        output["metadata"] = output.get("metadata", {}) | {PNG: {"alt": words(bundle[PLOTLY])}}
    return len(due)


# --- Pictures -------------------------------------------------------------------------------------


@contextmanager
def drawing():
    """Open a browser; gives a function that turns a figure (plotly's JSON) into a PNG."""
    from playwright.sync_api import sync_playwright
    from plotly.offline import get_plotlyjs

    # Without CHROMIUM it is the browser of `playwright install chromium`.
    with sync_playwright() as engine:
        chromium = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_context(offline=True).new_page()
        page.set_content('<meta charset="utf-8">')
        page.add_script_tag(content=get_plotlyjs())

        def draw(figure: dict) -> bytes:
            uri = page.evaluate(DRAW, [figure, WIDTH, HEIGHT])
            return base64.b64decode(uri.partition(",")[2])

        yield draw
        chromium.close()


def few_colours(png: bytes) -> bytes:
    """Reduce a PNG to a palette of its own, without dithering, and make it as small as possible."""
    import av

    with av.open(io.BytesIO(png)) as container:
        frame = next(container.decode(video=0)).reformat(format="rgb24")
    frame.pts, frame.time_base = 0, ONE_FRAME
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=ONE_FRAME
    )
    split, use = graph.add("split"), graph.add("paletteuse", "dither=none")
    options = f"max_colors={COLOURS}:reserve_transparent=0"
    palette = graph.add("palettegen", options)
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(palette, 0, 0)
    split.link_to(use, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    source.push(frame)
    source.push(None)  # only now the palette is known
    few = sink.pull()
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height = few.width, few.height
    encoder.pix_fmt, encoder.time_base = "pal8", ONE_FRAME
    # Filters ("pred") make photographs smaller, but not pictures with a palette.
    encoder.options = {"compression_level": "9", "pred": "none"}
    return b"".join(bytes(packet) for packet in [*encoder.encode(few), *encoder.encode(None)])


def main(argv=None) -> int:
    """Draw the stills that are due, or with --check only name the notebooks that need them."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("notebooks", nargs="*", type=Path, help="all of notebooks/ unless named")
    check = "change nothing; exit code 1 if a still is due"
    parser.add_argument("--check", action="store_true", help=check)
    parser.add_argument("--again", action="store_true", help="draw every still anew")
    options = parser.parse_args(argv)
    paths = options.notebooks or sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    notebooks = {path: json.loads(path.read_text(encoding="utf-8")) for path in paths}
    due = [
        path
        for path, nb in notebooks.items()
        if any(options.again or is_due(bundle) for bundle in bundles(nb))
    ]
    if options.check:
        names = ", ".join(path.name for path in due)
        print(f"stills are due: {names}" if due else "every figure has its still")
        return 1 if due else 0
    if due:
        with drawing() as draw:
            for path in due:
                before = path.stat().st_size
                count = stamp(notebooks[path], draw, again=options.again)
                write_text(path, as_text(notebooks[path]))
                size = f"{before:,} -> {path.stat().st_size:,} bytes"
                print(f"{path.name}: {count} stills drawn, {size}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
