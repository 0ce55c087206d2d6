"""Colours, names and layout shared by all figures, and writing a figure to a file."""

from __future__ import annotations

import numpy as np

# One symbol a modality, as in every figure of the course: a face is a square, a sound is a circle.
SYMBOLS = {"face": "square", "audio": "circle"}
GREY = "rgba(127,127,127,.45)"
# A bar has no room for more.
SHORT = {"content": "content", "identity": "identity", "confusion_cs": "c→s", "confusion_sc": "s→c"}
LOW = [[0, "#f7f7f7"], [1, "#0072B2"]]  # white to blue: black or white print is readable on all of it


def short(values, digits: int = 4) -> list:
    """An array as nested lists of rounded numbers."""
    return np.round(np.asarray(values, dtype=np.float64), digits).tolist()


def slider(steps: list[dict], name: str, *, y: float = 0.0, active: int = 0, pad: int = 40) -> dict:
    """A plotly slider that says `name` and the present value."""
    return {
        "steps": steps,
        "active": active,
        "currentvalue": {"prefix": f"{name} = ", "font": {"size": 15}},
        "y": y,
        "pad": {"t": pad},
        "len": 0.92,
        "x": 0.04,
    }


def restyle(label, changes: dict, traces: list[int]) -> dict:
    """A slider step that sets attributes of traces: each value of `changes` lists one entry a trace."""
    return {"label": str(label), "method": "restyle", "args": [changes, traces]}


def hide_axes(figure) -> None:
    """No ticks, grid or zero line: for pictures whose coordinates mean nothing."""
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(showgrid=False, zeroline=False, showticklabels=False, showline=False, ticks="")


# Okabe and Ito's palette: told apart by colour-blind readers and from the back of a room.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#F0E442")
# One colour a thing, in every figure of the course.
COLOURS = {
    "content": PALETTE[0],
    "identity": PALETTE[1],
    "confusion_cs": PALETTE[5],
    "confusion_sc": PALETTE[4],
    "within": PALETTE[2],
    "face": PALETTE[3],
    "audio": PALETTE[2],
    "chance": PALETTE[6],
}
# The four terms of the loss.
NAMES = {
    "content": "content loss",
    "identity": "identity loss",
    "confusion_cs": "confusion c→s",
    "confusion_sc": "confusion s→c",
}


# Tools of plotly's bar that would lie over a title; the last would send the figure to a server. What stays: PNG, reset.
TOOLS = ("zoom", "pan", "select", "lasso", "zoomIn", "zoomOut", "autoScale", "sendChartToCloud", "sendDataToCloud")


def use_template() -> None:
    """Make 'dsel' the default look: colour-blind safe, large type, a background that suits light and dark pages."""
    import plotly.graph_objects as go
    import plotly.io as pio

    axis = {"gridcolor": "rgba(127,127,127,.25)", "zerolinecolor": "rgba(127,127,127,.4)", "linecolor": "#7f7f7f"}
    axis["automargin"] = True  # room for long names: a still has no hovering that would tell them
    pio.templates["dsel"] = go.layout.Template(
        layout={
            "colorway": list(PALETTE),
            "font": {"size": 15, "color": "#222"},
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
    """The colour of label number k."""
    return PALETTE[k % len(PALETTE)]


def symbol_of(k: int) -> str:
    """The marker of label number k: changes when the colours start again, so that no two labels of 32 look alike."""
    return ("circle", "diamond", "cross", "triangle-up")[k // len(PALETTE) % 4]


def write_figure(figure, path) -> None:
    """Write a figure as .html (self-contained, works offline) or as .png (needs kaleido and a Chrome or Chromium)."""
    from pathlib import Path

    from dsel.utils.errors import BadInput

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".html":
        figure.write_html(path, include_plotlyjs=True)
    elif path.suffix == ".png":
        try:
            figure.write_image(path, scale=1.5)
        except (ImportError, ValueError, RuntimeError) as error:
            remedy = "pip install kaleido and install Chrome or Chromium, or write .html"
            raise BadInput(f"{path}: no PNG can be made here ({type(error).__name__}); {remedy}") from error
    else:
        raise BadInput(f"{path}: figures are written as .html or .png")
