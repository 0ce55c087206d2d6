"""Check how figures look: widths, overlaps and contrast, measured in a browser; colours by hand."""

import itertools
import json
from pathlib import Path

import catalogue
import numpy as np
import pytest

from dsel.plots import losses, style
from tools.stills import CHROMIUM

HERE = Path(__file__).parent
CHECK = (HERE / "layout.js").read_text(encoding="utf-8")
FIT = HERE.parents[1] / "tools" / "templates" / "figures.js"
DRAW = """([figure, name]) => {
  const place = document.body.appendChild(document.createElement('div'));
  place.id = name;
  const fitted = dselFit(figure, innerWidth);
  return Plotly.newPlot(place, fitted.data, fitted.layout, {displayModeBar: false});
}"""
TEXT, MARK = 4.5, 3.0  # least contrasts of WCAG 2.1, AA


@pytest.fixture(scope="module")
def figures():
    return {name: json.loads(figure.to_json()) for name, figure in catalogue.figures().items()}


@pytest.fixture(scope="module")
def chromium(engine):
    browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    yield browser
    browser.close()


def open_page(chromium, width: int):
    """Open an empty page of a width that can draw figures."""
    from plotly.offline import get_plotlyjs

    page = chromium.new_context(offline=True, viewport={"width": width, "height": 900}).new_page()
    page.set_content('<!doctype html><meta charset="utf-8"><body style="margin:0">')
    page.add_script_tag(content=get_plotlyjs())
    page.add_script_tag(path=FIT)
    return page


@pytest.mark.browser
@pytest.mark.parametrize("width", [848, 1008, 390])  # JupyterLab at 1280 and 1440, a phone
def test_figures_fit_their_page_and_can_be_read(chromium, figures, width):
    page = open_page(chromium, width)
    wrong = {}
    for name, figure in figures.items():
        page.evaluate(DRAW, [figure, name])
        found = page.evaluate(f"name => ({CHECK})(document.getElementById(name))", name)
        wrong |= {name: {kind: what for kind, what in found.items() if what}}
    assert not {name: found for name, found in wrong.items() if found}


@pytest.mark.browser
def test_the_probe_finds_what_is_wrong(chromium):
    """A legend on the axis, a wide table, pale marks and pale print, a handle outside."""
    page = open_page(chromium, 600)
    title = {"text": "a title that is far too long for its page " * 3, "font": {"color": "#999"}}
    bars = {"type": "bar", "y": [1, 2], "marker": {"color": "#F0E442"}, "name": "one"}
    note = {"x": 0.5, "y": 1.0, "text": "a note on a note", "showarrow": False}
    steps = [{"label": str(k), "method": "skip"} for k in range(3)]
    layout = {"title": title, "annotations": [note, note], "height": 300, "width": 600}
    layout["sliders"] = [{"steps": steps, "len": 900, "lenmode": "pixels"}]
    layout["xaxis"] = {"tickfont": {"size": 9}}
    page.evaluate(DRAW.replace("fitted = dselFit(figure, innerWidth)", "fitted = figure"),
                  [{"data": [bars], "layout": layout}, "bad"])  # fmt: skip
    found = page.evaluate(f"name => ({CHECK})(document.getElementById(name))", "bad")
    assert all(found.values()), found


def test_no_figure_sets_a_width(figures):
    assert not [name for name, figure in figures.items() if "width" in figure["layout"]]


def test_every_legend_lies_below(figures):
    """The template says where; no figure says otherwise."""
    for name, figure in figures.items():
        own = figure["layout"].get("legend", {})
        assert not {"x", "y", "orientation"} & own.keys(), name
        legend = figure["layout"]["template"]["layout"]["legend"]
        assert (legend["yref"], legend["y"], legend["orientation"]) == ("container", 0, "h")


def test_what_moves_rests_where_something_is_learnt(figures):
    for name in ("moving_points", "emergence", "directions"):
        figure = figures[name]
        bar = figure["layout"]["sliders"][0]
        assert bar["active"] == len(bar["steps"]) - 1, name
        last = figure["frames"][-1]["data"]
        drawn = figure["data"][: len(last)]
        assert [t.get("x") for t in drawn] == [t.get("x") for t in last], name


# --- Colours --------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """Compute the relative luminance of '#rrggbb' (WCAG 2.1)."""
    colour = colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])
    parts = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_of_colours_known_by_hand():
    assert contrast("#000", "#fff") == pytest.approx(21)
    assert contrast("#F0E442", "#ffffff") == pytest.approx(1.32, abs=0.01)  # the old yellow
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_every_colour_is_readable_on_white_and_white_on_it():
    for colour in {*style.PALETTE, *style.COLOURS.values(), style.DARK, style.GREY}:
        assert contrast(colour, "#ffffff") >= TEXT, colour
    for colour in (style.PALE, style.FAINT_LINE):
        assert contrast(colour, "#ffffff") >= MARK, colour


def test_labels_differ_in_more_than_their_colour():
    looks = [(style.colour_of(k), style.symbol_of(k)) for k in range(56)]
    assert len(set(looks)) == 56
    assert all(one[1] != other[1] for one, other in itertools.pairwise(looks))


def test_numbers_on_a_heatmap_are_readable_on_its_darkest_cell():
    values = np.array([[-3.0, 1.0], [0.0, 3.0]])
    for signed in (True, False):
        figure = losses.table(values, title="", rows="", columns="", signed=signed)
        heat = figure.data[0]
        for value in values.ravel():
            place = (value - heat.zmin) / (heat.zmax - heat.zmin)
            behind = colour_at(heat.colorscale, float(np.clip(place, 0, 1)))
            assert contrast(heat.textfont.color, behind) >= TEXT, (signed, value)


def colour_at(scale, place: float) -> str:
    """Return the colour of a scale [(place, '#rrggbb'), ...] at a place in [0, 1]."""
    stops = [stop for stop, _ in scale]
    parts = np.array([[int(c[k : k + 2], 16) for k in (1, 3, 5)] for _, c in scale])
    mixed = [round(np.interp(place, stops, channel)) for channel in parts.T]
    return "#" + "".join(f"{part:02x}" for part in mixed)


# --- Titles ---------------------------------------------------------------------------------------


def test_long_titles_are_broken_and_the_figure_makes_room():
    import plotly.graph_objects as go

    words = "word " * 40
    figure = style.headed(go.Figure(), words, words, network="n", height=400, headings=1)
    lines = figure.layout.title.text.split("<br>")
    assert len(lines) == 3 + 2 + 1
    assert all(len(line) <= style.NOTE_LETTERS + 40 for line in lines)  # 40: its tags
    assert figure.layout.margin.t == 24 + style.LINE * 7
