"""Check how figures look: widths, overlaps and contrast, measured in a browser; colours by hand."""

import ast
import importlib
import inspect
import itertools
import json
import pkgutil
from pathlib import Path

import catalogue
import numpy as np
import pytest

import dsel.plots
from dsel.plots import losses, style
from dsel.teaching.exercises import checker
from tools.stills import CHROMIUM, PLOTLY

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
CHECK = (HERE / "layout.js").read_text(encoding="utf-8")
FIT = ROOT / "tools" / "templates" / "figures.js"
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


def cells() -> dict[str, dict]:
    """Read the code cells of all notebooks: {notebook and number: cell}."""
    found = {}
    for path in NOTEBOOKS:
        for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
            if cell["cell_type"] == "code":
                found[f"{path.stem[:2]}, cell {number}"] = cell
    return found


@pytest.fixture(scope="module")
def stored():
    """Return every figure that is stored in a notebook: {notebook, cell and number: figure}."""
    return {
        f"{place}, output {number}": output["data"][PLOTLY]
        for place, cell in cells().items()
        for number, output in enumerate(cell["outputs"])
        if PLOTLY in output.get("data", {})
    }


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


WIDTHS = [848, 1008, 390]  # JupyterLab at 1280 and 1440, a phone


@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS)
def test_figures_fit_their_page_and_can_be_read(chromium, figures, stored, width):
    """Draw the examples and all that the notebooks show; nothing is cut, covered, tiny or pale."""
    page = open_page(chromium, width)
    wrong = {}
    for name, figure in (figures | stored).items():
        page.evaluate(DRAW, [figure, name])
        found = page.evaluate(f"name => ({CHECK})(document.getElementById(name))", name)
        wrong |= {name: {kind: what for kind, what in found.items() if what}}
        page.evaluate("name => Plotly.purge(name) || document.getElementById(name).remove()", name)
    assert len(wrong) == len(figures) + len(stored)
    assert not {name: found for name, found in wrong.items() if found}


@pytest.mark.browser
def test_on_a_phone_panels_stand_below_each_other(chromium, figures):
    page = open_page(chromium, 390)
    for name in ("tables", "directions", "side_by_side"):
        page.evaluate(DRAW, [figures[name], name])
        places = page.evaluate(
            "name => Object.values(document.getElementById(name)._fullLayout._plots)"
            ".map(panel => [panel.xaxis._offset, panel.yaxis._offset])",
            name,
        )
        lefts, tops = zip(*places, strict=True)
        assert len(set(tops)) == len(places) > 2, (name, places)
        assert max(lefts) - min(lefts) < 40, (name, places)


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


def test_every_function_that_draws_has_an_example(figures):
    """A figure that the catalogue lacks would escape the tests of this file."""
    drawn = {name.partition(",")[0] for name in figures}
    modules = [m.name for m in pkgutil.iter_modules(dsel.plots.__path__)]
    for module in modules:
        room = importlib.import_module(f"dsel.plots.{module}")
        for name in getattr(room, "__all__", ()):
            function = getattr(room, name)
            if inspect.isfunction(function) and "headed(" in inspect.getsource(function):
                assert name in drawn | {"headed"}, f"{module}.{name}"


def test_no_figure_sets_a_width(figures, stored):
    for name, figure in (figures | stored).items():
        layouts = [figure["layout"], *(f.get("layout", {}) for f in figure.get("frames") or ())]
        assert not [layout for layout in layouts if "width" in layout], name
        moves = [s for bar in figure["layout"].get("sliders", ()) for s in bar["steps"]]
        moves += [b for m in figure["layout"].get("updatemenus", ()) for b in m["buttons"]]
        for move in moves:  # a slider or a button changes the layout by its own means
            found = [a for a in move.get("args", ()) if isinstance(a, dict) and "width" in a]
            assert not (found and move["method"] in ("relayout", "update")), name


def sets_a_width(code: str) -> list[int]:
    """List the lines of a code at which a layout of plotly gets a width."""
    lines = []
    for call in ast.walk(ast.parse(code)):
        if not isinstance(call, ast.Call):
            continue
        name = ast.unparse(call.func).rpartition("update_layout")[1] or ast.unparse(call.func)
        keys = {key.arg for key in call.keywords}
        if name in ("update_layout", "go.Layout", "headed") and "width" in keys:
            lines.append(call.lineno)
        for key in call.keywords:
            if key.arg == "layout" and isinstance(key.value, ast.Dict):
                names = [getattr(k, "value", None) for k in key.value.keys]
                lines += [call.lineno] * ("width" in names)
    return lines


def test_no_code_gives_a_figure_a_width():
    assert sets_a_width("f.update_layout(width=3)\ng = go.Figure(layout={'width': 3})") == [1, 2]
    for path in (ROOT / "dsel").rglob("*.py"):
        assert not sets_a_width(path.read_text(encoding="utf-8")), path
    for place, cell in cells().items():
        lines = "".join(cell["source"]).splitlines()
        code = "\n".join("pass" if line.lstrip().startswith("%") else line for line in lines)
        if "%pip" not in "".join(lines):
            assert not sets_a_width(code), place


def look(trace: dict) -> tuple:
    """Return what of a trace is seen without colour."""
    marker, mode = trace.get("marker", {}), trace.get("mode", "lines")
    if trace.get("type") in ("bar", "histogram"):
        return (str(marker.get("pattern", {}).get("shape", "")),)
    dash = trace.get("line", {}).get("dash", "solid") if "lines" in mode else ""
    symbol = marker.get("symbol", "circle") if "markers" in mode else ""
    text = trace.get("text") if "text" in mode else ""  # a label beside the mark
    return dash, json.dumps(symbol), trace.get("fill", ""), json.dumps(text)


def test_colour_is_never_the_only_difference_in_a_legend(figures, stored):
    alike = {}
    for name, figure in (figures | stored).items():
        if figure["layout"].get("showlegend") is False:
            continue
        listed = {
            trace["name"]: (trace.get("type", "scatter"), look(trace))
            for trace in figure["data"]
            if trace.get("name") and trace.get("showlegend") is not False
            if trace.get("visible") is not False
        }
        if len(set(listed.values())) < len(listed):
            alike[name] = listed
    assert not alike


def test_every_legend_lies_below(figures, stored):
    """The template says where; no figure says otherwise."""
    for name, figure in (figures | stored).items():
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
    for colour in checker.LABELS.values():  # white print on the label of a verdict
        assert contrast(colour, "#ffffff") >= TEXT, colour
    for colour in (style.PALE, style.FAINT_LINE):
        assert contrast(colour, "#ffffff") >= MARK, colour


def test_labels_differ_in_more_than_their_colour():
    looks = [(style.colour_of(k), style.symbol_of(k)) for k in range(104)]
    assert len(set(looks)) == 104
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
