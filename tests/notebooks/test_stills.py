"""Check that every figure of the notebooks has its own still, and how stills are drawn."""

import base64
import io
import json
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tools import stamp, stills

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("[0-9][0-9]_*.ipynb"))
SMALL = 100_000  # bytes of a still
PALETTE = 3  # the colour type of a PNG with a palette


def size_and_kind(png):
    """Return width, height and colour type of a PNG."""
    width, height, _, kind = struct.unpack(">IIBB", png[16:26])  # of the first chunk, IHDR
    return width, height, kind


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_figure_has_the_still_that_belongs_to_it(path):
    bundles = stills.bundles(json.loads(path.read_text(encoding="utf-8")))
    assert bundles
    assert not sum(map(stills.is_due, bundles)), "run: make stills"
    for bundle in bundles:
        png, layout = stills.still(bundle), bundle[stills.PLOTLY]["layout"]
        assert size_and_kind(png) == (840, layout.get("height", stills.HEIGHT), PALETTE)
        assert len(png) < SMALL


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_still_has_words_for_those_who_do_not_see_it(path):
    for output in stills.drawn(json.loads(path.read_text(encoding="utf-8"))):
        words = output["metadata"]["image/png"]["alt"]
        assert len(words) > len("Figure: x"), output["data"][stills.PLOTLY]["layout"].get("title")
        assert "<" not in words


def test_the_words_of_a_still_are_its_title_or_what_its_panels_are_called():
    assert stills.words({"layout": {"title": {"text": "A<br><sup>b &amp; c</sup>"}}}) == (
        "Figure: A b &amp; c"
    )
    layout = {
        "annotations": [{"text": "left"}, {"text": "chance"}],
        "xaxis": {"title": {"text": "s"}},
    }
    assert stills.words({"layout": layout}) == "Figure: left; s"
    assert stills.words({}) == "Figure"


def decode(png):
    with av.open(io.BytesIO(png)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def encode(picture):
    """Encode a PNG in true colour, as a browser does."""
    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width = picture.shape[:2]
    encoder.pix_fmt, encoder.time_base = "rgb24", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(picture, "rgb24")
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


@pytest.fixture
def picture():
    """Draw bars of five colours on white."""
    picture = np.full((60, 90, 3), 255, np.uint8)
    for k, colour in enumerate(
        ((0, 114, 178), (213, 94, 0), (0, 158, 115), (34, 34, 34), (204, 121, 167))
    ):
        picture[10 * k + 5 : 10 * k + 12, 10 : 30 + 10 * k] = colour
    return picture


@pytest.fixture
def notebook():
    figures = [
        {"data": [{"type": "bar", "y": [1, k]}], "layout": {"title": {"text": "a"}}} for k in (2, 3)
    ]
    outputs = [
        {"output_type": "display_data", "data": {stills.PLOTLY: figure}, "metadata": {}}
        for figure in figures
    ]
    outputs.append({"output_type": "display_data", "data": {"image/png": "AAAA"}, "metadata": {}})
    code = {
        "cell_type": "code",
        "id": "b",
        "execution_count": 1,
        "metadata": {},
        "source": ["f()"],
        "outputs": outputs,
    }
    head = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["# 00 · A\n", "\n", "b"]}
    return {"cells": [head, code], "metadata": {}}


def test_a_still_is_drawn_where_there_is_none_and_once(notebook, picture):
    drawn = []

    def draw(figure):
        drawn.append(figure)
        return encode(picture)

    assert stills.stamp(notebook, draw) == 2
    assert drawn == [bundle[stills.PLOTLY] for bundle in stills.bundles(notebook)]
    assert not any(map(stills.is_due, stills.bundles(notebook)))
    assert stills.stamp(notebook, draw) == 0
    # A picture that is no still
    assert notebook["cells"][1]["outputs"][2]["data"] == {"image/png": "AAAA"}
    assert stills.stamp(notebook, draw, again=True) == 2


def test_a_still_is_due_when_the_figure_or_the_picture_is_another(notebook, picture):
    stills.stamp(notebook, lambda figure: encode(picture))
    first, second = stills.bundles(notebook)
    first[stills.PLOTLY]["data"][0]["y"][0] = 1.5
    second["image/png"] = base64.b64encode(
        encode(picture)
    ).decode()  # as JupyterLab writes it when it saves
    assert stills.is_due(first)
    assert stills.is_due(second)
    assert stills.stamp(notebook, lambda figure: encode(picture)) == 2


def test_the_order_of_keys_changes_no_fingerprint():
    assert stills.fingerprint({"data": [], "layout": {}}) == stills.fingerprint(
        {"layout": {}, "data": []}
    )
    assert stills.fingerprint({"data": [], "layout": {}}) != stills.fingerprint(
        {"data": [], "layout": {}, "frames": []}
    )


def test_stamping_keeps_stills(notebook, picture):
    stills.stamp(notebook, lambda figure: encode(picture))
    before = [dict(bundle) for bundle in stills.bundles(notebook)]
    stamp.stamp(notebook, "00_x.ipynb", "https://github.com/a/b")
    assert stills.bundles(notebook) == before


def test_a_mark_can_be_read_and_changes_no_pixel(picture):
    png = encode(picture)
    assert stills.marked(png) is None
    assert stills.marked(b"") is None
    assert stills.marked(stills.mark(stills.mark(png, "one"), "two")) == "two"
    assert np.array_equal(decode(stills.mark(png, "x")), picture)


def test_a_mark_replaces_what_others_wrote_into_the_picture(picture):
    """Only the chunks that a picture needs stay, and one text."""
    written, info = io.BytesIO(), PngInfo()
    info.add_text("Software", "a browser")
    Image.fromarray(picture).save(written, "PNG", pnginfo=info, dpi=(72, 72))
    png, names, at = stills.mark(written.getvalue(), "x"), [], 8
    while at < len(png):
        length, name = struct.unpack(">I4s", png[at : at + 8])
        names.append(name)
        at += 12 + length
    assert set(names) == {b"IHDR", b"tEXt", b"IDAT", b"IEND"}
    assert names.count(b"tEXt") == 1


def test_a_palette_keeps_a_few_colours_as_they_are(picture):
    few = stills.few_colours(encode(picture))
    assert size_and_kind(few) == (90, 60, PALETTE)
    assert np.abs(decode(few).astype(int) - picture).max() <= 2


def test_many_colours_become_a_palette_that_looks_the_same():
    ramp = np.stack(
        np.broadcast_arrays(np.arange(256)[:, None], np.arange(256)[None], 128), axis=-1
    ).astype(np.uint8)
    few = decode(stills.few_colours(encode(ramp)))
    assert len(np.unique(few.reshape(-1, 3), axis=0)) <= stills.COLOURS
    assert np.abs(few.astype(int) - ramp).mean() < 12


def test_what_is_due_is_told_and_nothing_is_changed(notebook, picture, tmp_path, capsys):
    path = tmp_path / "00_x.ipynb"
    path.write_text(json.dumps(notebook))
    before = path.read_bytes()
    assert stills.main([str(path), "--check"]) == 1
    assert "00_x.ipynb" in capsys.readouterr().out
    assert path.read_bytes() == before
    stills.stamp(notebook, lambda figure: encode(picture))
    path.write_text(json.dumps(notebook))
    assert stills.main([str(path), "--check"]) == 0
