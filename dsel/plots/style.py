"""Colours, names and small parts that all figures of the course share; writing a figure to a file.

One colour per thing and one symbol per stream, in every figure. One rule for width: no figure sets
one, each takes that of its page; the title stands at the top left, the legend at the bottom, below
the sliders. No text is smaller than `SMALL`, and every colour is dark enough for text on white.
Arrays are stored as short lists of rounded numbers, so that a notebook stays small and any plotly
reads it. plotly is imported where it is used. (Source: ours; the palette is Okabe and Ito's,
darkened.)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dsel.utils.errors import BadInput

__all__ = [
    "COLOURS",
    "DARK",
    "FAINT_LINE",
    "GREY",
    "NAMES",
    "PALE",
    "PALETTE",
    "SHORT_NAMES",
    "SMALL",
    "STREAM_SYMBOLS",
    "SYMBOLS",
    "TOOLS",
    "WHITE_TO_BLUE",
    "animated",
    "chance_line",
    "colour_of",
    "headed",
    "hide_axes",
    "hollow",
    "match_colours",
    "restyle",
    "short",
    "slider",
    "symbol_of",
    "titled",
    "told_apart",
    "use_template",
    "wrap",
    "write_figure",
    "xy",
]

# Blue, orange, green and pink of Okabe and Ito, and four more hues. All are so dark that white
# print is readable on them and they on white (4.5 : 1); markers differ too, see `symbol_of`.
PALETTE = (
    *("#0072B2", "#C05000", "#007F5B", "#B8468F"),
    *("#800000", "#4B2BAE", "#6B6B6B", "#222222"),
)
GREY = PALETTE[6]
FAINT_LINE = "#949494"  # lines that matter less: 3 : 1 on white
PALE = "#949494"  # bars of all choices but the match
DARK = "#222"  # outlines and marks on any colour
GRID = "rgba(127,127,127,.25)"
SMALL = 15  # px: the smallest print in a figure; a deck enlarges figures by a third
TITLE, LINE = 17, 23  # px: the print of a title, and the height of one of its lines
TITLE_LETTERS, NOTE_LETTERS = 88, 100  # of a line of a title and of small print at 840 px
WHITE_TO_BLUE = [[0, "#f7f7f7"], [1, PALETTE[0]]]  # black or white print is readable on all of it
# One colour per thing, in every figure of the course.
COLOURS = {
    "content": PALETTE[0],
    "identity": PALETTE[1],
    "confusion_cs": PALETTE[5],
    "confusion_sc": PALETTE[4],
    "within": PALETTE[2],
    "face": PALETTE[3],
    "audio": PALETTE[2],
    "chance": GREY,
}
SYMBOLS = (
    *("circle", "diamond", "cross", "triangle-up", "square", "x", "star"),
    *("triangle-down", "bowtie", "hourglass", "triangle-left", "triangle-right", "star-diamond"),
)
DASHES = ("solid", "dash", "dashdot", "longdash", "longdashdot", "dot", "14px,3px", "3px,7px")
PATTERNS = ("", "/", "x", ".")
STREAM_SYMBOLS = {"face": "square", "audio": "circle"}
# The four terms of the loss.
NAMES = {
    "content": "content loss",
    "identity": "identity loss",
    "confusion_cs": "confusion c→s",
    "confusion_sc": "confusion s→c",
}
# The same where there is little room, e.g. under a bar.
SHORT_NAMES = {
    "content": "content",
    "identity": "identity",
    "confusion_cs": "c→s",
    "confusion_sc": "s→c",
}
# Buttons of plotly's tool bar that are removed: they would lie over a title, and the last two would
# send the figure to a server. The buttons for PNG and reset stay.
TOOLS = (
    *("zoom", "pan", "select", "lasso", "zoomIn", "zoomOut", "autoScale"),
    *("sendChartToCloud", "sendDataToCloud"),
)


def use_template() -> None:
    """Make 'dsel' the default template of plotly: colour-blind safe, large type, white paper."""
    import plotly.graph_objects as go
    import plotly.io as pio

    axis = {
        "gridcolor": GRID,
        "zerolinecolor": "rgba(127,127,127,.4)",
        "linecolor": "#7f7f7f",
        "automargin": True,  # room for long names: a still has no hover text that would show them
        "tickfont": {"size": SMALL},
        "ticks": "outside",  # unseen: they keep the 0 of one axis away from the 0 of the other
        "ticklen": 5,
        "tickcolor": "rgba(0,0,0,0)",
        "title": {"font": {"size": SMALL}, "standoff": 6},
    }
    whole = {"xref": "container", "yref": "container", "x": 0, "xanchor": "left"}
    title = whole | {"y": 1, "yanchor": "top", "pad": {"l": 14, "t": 20}, "font": {"size": TITLE}}
    # Plotly keeps room for a legend at the lower edge of the figure, whatever stands above it.
    legend = whole | {"x": 0.01, "y": 0, "yanchor": "bottom", "font": {"size": SMALL}}
    pio.templates["dsel"] = go.layout.Template(
        layout={
            "colorway": list(PALETTE),
            "font": {"size": SMALL, "color": DARK},
            "title": title,
            "legend": legend | {"orientation": "h", "itemsizing": "constant"},
            "annotationdefaults": {"font": {"size": SMALL}},
            "coloraxis": {"colorbar": {"thickness": 14, "outlinewidth": 0}},
            "paper_bgcolor": "white",
            "plot_bgcolor": "white",
            "xaxis": axis,
            "yaxis": axis,
            "margin": {"l": 60, "r": 20, "t": 60, "b": 50},
            "colorscale": {"sequential": "Viridis", "diverging": "RdBu"},
            "modebar": {"remove": list(TOOLS)},
        }
    )
    pio.templates.default = "dsel"


def colour_of(k: int) -> str:
    """Return the colour of label number k."""
    return PALETTE[k % len(PALETTE)]


def symbol_of(k: int) -> str:
    """Return the marker of label number k.

    No two of 13 labels have the same marker, and no two of 104 the same colour as well.
    """
    return SYMBOLS[k % len(SYMBOLS)]


def hollow(colour: str, symbol: str = "circle") -> dict:
    """Return the marker of what stands behind a mean: small and hollow, so that it can be seen."""
    symbol = symbol.removesuffix("-open")
    return {"color": colour, "size": 6, "symbol": f"{symbol}-open", "line": {"width": 1}}


def match_colours(K: int, match: int) -> list[str]:
    """Colour K bars, the match blue and all others pale."""
    return [COLOURS["content"] if k == match else PALE for k in range(K)]


def short(values, digits: int = 4) -> list:
    """Turn an array into nested lists of rounded numbers."""
    return np.round(np.asarray(values, dtype=np.float64), digits).tolist()


def xy(points, digits: int = 3) -> dict[str, list]:
    """Turn points (P, 2) into the x and y of a trace; a point that is nan interrupts a line."""
    points = np.asarray(points, np.float64).reshape(-1, 2)
    columns = [[None if np.isnan(v) else v for v in short(column, digits)] for column in points.T]
    return dict(zip("xy", columns, strict=True))


def titled(title: str, *notes: str, network: str = "") -> str:
    """Put notes under a title in smaller print; long lines are broken to fit 840 px.

    Args:
        title: the title.
        notes: lines of the small print; empty ones are left out.
        network: which network the figure shows, as a reader would say it; '' for none.
    """
    small = [*notes, f"network: {network}" if network else ""]
    lines = [line for note in small for line in wrap(note, NOTE_LETTERS).split("<br>") if line]
    print_ = f'<span style="font-size:{SMALL}px">'
    return "<br>".join([wrap(title, TITLE_LETTERS), *(f"{print_}{line}</span>" for line in lines)])


def wrap(text: str, letters: int) -> str:
    """Break a text into lines of at most so many letters; a `<br>` that it has stays."""
    import textwrap

    lines = [textwrap.wrap(line, letters, break_long_words=False) for line in text.split("<br>")]
    return "<br>".join(line for part in lines for line in part or [""])


def headed(
    figure, title: str, *notes: str, network: str = "", height: int, headings: int = 0, **look
):
    """Set the title and the height of a figure, with room for its lines and for headings of panels.

    Args:
        figure: the plotly figure.
        title, notes, network: see `titled`.
        height: in pixels.
        headings: lines of the headings that stand over panels.
        look: more of the layout.
    Returns:
        the figure.
    """
    text = titled(title, *notes, network=network)
    lines = text.count("<br>") + bool(title)
    margin = {"t": 24 + LINE * (lines + headings)} | look.pop("margin", {})
    told_apart(figure)
    return figure.update_layout(title={"text": text}, height=height, margin=margin, **look)


def told_apart(figure):
    """Give what a legend lists a dash, a marker or a pattern of its own: colour never stands alone.

    What a trace sets itself stays, and traces of one name look alike.
    """
    listed = [t.name for t in figure.data if t.name and t.showlegend is not False]
    order = {name: k for k, name in enumerate(dict.fromkeys(listed))}
    lines = [t for t in figure.data if t.type == "scatter" and t.name in order]
    own = {trace.name: trace.line.dash for trace in lines if trace.line.dash}
    dashes = [dash for dash in DASHES if dash not in own.values()]
    for trace in figure.data:
        if trace.name not in order or len(order) < 2:
            continue
        k = order[trace.name]
        if trace.type in ("bar", "histogram"):
            if trace.marker.pattern.shape is None:
                line = {"width": 2, "color": trace.marker.color}
                trace.marker.update(pattern={"shape": PATTERNS[k % len(PATTERNS)]}, line=line)
        elif trace.type == "scatter":
            mode = trace.mode or "lines"
            if "lines" in mode and trace.line.dash is None:
                trace.line.dash = own.get(trace.name, dashes[k % len(dashes)])
            if "markers" in mode and trace.marker.symbol is None:
                trace.marker.symbol = symbol_of(k)
    return figure


def slider(steps: list[dict], name: str, *, y: float = 0.0, active: int = 0, pad: int = 55) -> dict:
    """Describe a plotly slider that shows its name and the present value.

    Args:
        steps: the positions, see `restyle`.
        name: what the slider changes.
        y: where it stands, in heights of the figure; negative is below.
        active: the number of the position at the start.
        pad: pixels above it.
    """
    return {
        "steps": steps,
        "active": active,
        "currentvalue": {"prefix": f"{name} = ", "font": {"size": SMALL}},
        "font": {"size": SMALL},
        "y": y,
        "pad": {"t": pad},
        "len": 0.94,
        "x": 0.03,  # half a handle inside
    }


def restyle(label, changes: dict, traces: list[int]) -> dict:
    """Describe a position of a slider that sets attributes of traces.

    Args:
        label: what the slider shows there.
        changes: {attribute: one value per trace}.
        traces: the numbers of the traces.
    """
    return {"label": str(label), "method": "restyle", "args": [changes, traces]}


def animated(names: list[str], *, duration: int, pad: int, redraw: bool, active: int = 0) -> dict:
    """Describe a slider over the frames of a figure, and a play and a pause button left of it.

    Args:
        names: the names of the frames.
        duration: milliseconds per frame while it plays.
        pad: pixels above the slider.
        redraw: whether traces other than scatter change too.
        active: the number of the frame at the start.
    Returns:
        the layout's `sliders` and `updatemenus`.
    """
    jump = {"mode": "immediate", "frame": {"duration": 0, "redraw": redraw}}
    jump["transition"] = {"duration": 0}
    play = {"fromcurrent": active == 0, "frame": {"duration": duration, "redraw": redraw}}
    play["transition"] = {"duration": 0 if redraw else 2 * duration // 3}
    moves = [{"label": name, "method": "animate", "args": [[name], jump]} for name in names]
    buttons = [
        {"label": "▶", "method": "animate", "args": [None, play]},
        {"label": "❚❚", "method": "animate", "args": [[None], jump]},
    ]
    place = {"x": 0.0, "y": 0.0, "xanchor": "left", "yanchor": "top", "pad": {"t": pad + 16}}
    look = {"type": "buttons", "direction": "left", "font": {"size": SMALL}, "showactive": False}
    menu = {**look, "buttons": buttons, **place}
    handle = slider(moves, "step", active=active, pad=pad) | {"x": 0.16, "len": 0.82}
    return {"sliders": [handle], "updatemenus": [menu]}


def chance_line(figure, y: float, text: str = "chance", **place) -> None:
    """Draw the dotted grey line that marks chance in every figure.

    Args:
        figure: the plotly figure.
        y: the height of the line.
        text: written at the line; '' for none.
        place: row and col of the panel, and further options of plotly's `add_hline`.
    """
    if text:
        place |= {"annotation_text": text, "annotation_bgcolor": "rgba(255,255,255,.85)"}
    figure.add_hline(y=y, line={"dash": "dot", "color": COLOURS["chance"]}, **place)


def hide_axes(figure) -> None:
    """Remove ticks, grid and zero line: for figures whose coordinates mean nothing."""
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(showgrid=False, zeroline=False, showticklabels=False, showline=False, ticks="")


def write_figure(figure, path) -> None:
    """Write a figure as .html, which works offline, or as .png.

    Raises:
        BadInput: another file type; or a .png where kaleido or a Chrome or Chromium is missing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".html":
        figure.write_html(path, include_plotlyjs=True)
    elif path.suffix == ".png":
        try:
            figure.write_image(path, scale=1.5)
        except (ImportError, ValueError, RuntimeError) as error:
            remedy = "pip install kaleido and install Chrome or Chromium, or write .html"
            reason = f"no PNG can be made here ({type(error).__name__})"
            raise BadInput(f"{path}: {reason}; {remedy}") from error
    else:
        raise BadInput(f"{path}: figures are written as .html or .png")
