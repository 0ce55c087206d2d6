"""Arrays in, plotly figures out. Pure functions: no corpus, no model, no file. plotly is imported where it is used."""

from __future__ import annotations

import numpy as np

from dsel.verification import unit

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


def umap_2d(vectors: np.ndarray, *, seed: int = 0, neighbours: int = 15, min_dist: float = 0.1, init="spectral") -> np.ndarray:
    """A map in the plane that keeps neighbours together, by cosine: (W, D) -> (W, 2).

    init: where the points begin, 'spectral', 'random' or a plane (W, 2). The same seed gives the same map on one machine
    only. Look at it; measure with probes, not with it.
    """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # umap-learn tells that a seed costs parallelism, and numba of its caching
        from umap import UMAP

        model = UMAP(
            n_components=2, metric="cosine", random_state=seed, n_neighbors=neighbours, min_dist=min_dist, init=init, n_jobs=1
        )
        return model.fit_transform(vectors)


def neighbour_purity(vectors: np.ndarray, labels: np.ndarray, groups: np.ndarray, k: int = 10) -> float:
    """Share of the k nearest neighbours by cosine, taken from *other* groups, that carry a point's own label.

    vectors (W, D), labels (W,), groups (W,): e.g. the track of each window, so that a window's neighbours in time do not
    count. Chance is the share of the label among the points of other groups. This is what a map's colours may be trusted for.
    """
    x = unit(vectors)
    shares = []
    for i in range(len(x)):
        others = np.flatnonzero(groups != groups[i])
        near = others[np.argsort(-(x[others] @ x[i]), kind="stable")[:k]]
        shares.append((labels[near] == labels[i]).mean())
    return float(np.mean(shares))


def purity_chance(labels: np.ndarray, groups: np.ndarray) -> float:
    """What `neighbour_purity` gives for vectors that know nothing."""
    return float(np.mean([(labels[groups != g] == name).mean() for g, name in zip(groups, labels, strict=True)]))


def two_maps(views: dict[str, tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]], *, title: str, notes: dict[str, str]):
    """Maps of the same points side by side; buttons choose the view.

    views {button: (maps {panel title: (W, 2)}, labels (W,) that colour the points, hover (W,) text)}, the first is shown at
    the start; all have the same panels. notes {button: one line under the title, e.g. the purity figures}.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    first = next(iter(views))
    figure = make_subplots(1, len(views[first][0]), subplot_titles=list(views[first][0]), horizontal_spacing=0.04)
    owner = []  # the view that each trace belongs to
    for view, (maps, labels, hover) in views.items():
        for c, label in enumerate(sorted(set(labels))):
            chosen = labels == label
            for column, points in enumerate(maps.values(), start=1):
                trace = go.Scatter(
                    x=points[chosen, 0].tolist(),
                    y=points[chosen, 1].tolist(),
                    mode="markers",
                    marker={"size": 8, "opacity": 0.75, "color": colour_of(c), "symbol": symbol_of(c)},
                    text=hover[chosen].tolist(),
                    hovertemplate="%{text}<extra></extra>",
                    name=str(label),
                    legendgroup=f"{view} {label}",
                    showlegend=column == 1,
                    visible=view == first,
                )
                figure.add_trace(trace, 1, column)
                owner.append(view)
    buttons = [
        {
            "label": view,
            "method": "update",
            "args": [{"visible": [o == view for o in owner]}, {"title.text": f"{title}<br><sup>{notes[view]}</sup>"}],
        }
        for view in views
    ]
    menu = {
        "buttons": buttons,
        "type": "buttons",
        "direction": "right",
        "x": 0,
        "y": -0.04,
        "xanchor": "left",
        "yanchor": "top",
    }
    figure.update_layout(
        title=f"{title}<br><sup>{notes[first]}</sup>",
        updatemenus=[menu] if len(views) > 1 else [],  # nothing to choose, nothing to press
        width=1050,
        height=600,
        margin={"t": 110, "b": 80},
        legend={"itemsizing": "constant", "font": {"size": 12}},
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure


def colour_of(k: int) -> str:
    """The colour of label number k."""
    return PALETTE[k % len(PALETTE)]


def symbol_of(k: int) -> str:
    """The marker of label number k: changes when the colours start again, so that no two labels of 32 look alike."""
    return ("circle", "diamond", "cross", "triangle-up")[k // len(PALETTE) % 4]


def write_figure(figure, path) -> None:
    """Write a figure as .html (self-contained, works offline) or as .png (needs kaleido and a Chrome or Chromium)."""
    from pathlib import Path

    from dsel.errors import BadInput

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
