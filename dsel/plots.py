"""Arrays in, plotly figures out. Pure functions: no corpus, no model, no file. plotly is imported where it is used."""

from __future__ import annotations

import numpy as np

# Okabe and Ito's palette: told apart by colour-blind readers and from the back of a room.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#F0E442")
# One colour a thing, in every figure of the course.
COLOURS = {
    "content": PALETTE[0],
    "identity": PALETTE[1],
    "confusion_cs": PALETTE[5],
    "confusion_sc": PALETTE[4],
    "face": PALETTE[3],
    "audio": PALETTE[2],
    "chance": PALETTE[6],
}


def use_template() -> None:
    """Make 'dsel' the default look: colour-blind safe, large type, a background that suits light and dark pages."""
    import plotly.graph_objects as go
    import plotly.io as pio

    axis = {"gridcolor": "rgba(127,127,127,.25)", "zerolinecolor": "rgba(127,127,127,.4)", "linecolor": "#7f7f7f"}
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
        }
    )
    pio.templates.default = "dsel"


def matrix(values: np.ndarray, *, title: str, rows: str, columns: str, zmin=None, zmax=None):
    """A K x M array as a picture, first row on top; hover tells row, column and value."""
    import plotly.graph_objects as go

    picture = go.Heatmap(
        z=values,
        zmin=zmin,
        zmax=zmax,
        colorscale="Viridis",
        hovertemplate=f"{rows} %{{y}}, {columns} %{{x}}: %{{z:.3f}}<extra></extra>",
    )
    figure = go.Figure(picture)
    figure.update_layout(title=title, xaxis_title=columns, yaxis_title=rows, width=460, height=440)
    figure.update_yaxes(autorange="reversed", scaleanchor="x")
    return figure
