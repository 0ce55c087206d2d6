"""Figures of notebook 05, the disentanglement losses: arrays in, plotly figures out.

    tables             K x K probabilities side by side
    beside             curves in panels side by side
    directions         a descent in the plane, with slider and play button
    row_under_scale    one softmax under a slider for the scale w
    losses_under       the four losses while training, under a slider over runs

All of them move without a kernel. What notebooks 03 to 05 share is in `dsel.plots.losses`. plotly
is imported where it is used. (Source: ours.)
"""

from __future__ import annotations

import numpy as np

from dsel.plots.losses import softmax
from dsel.plots.style import (
    COLOURS,
    NAMES,
    PALETTE,
    SMALL,
    STREAM_SYMBOLS,
    animated,
    chance_line,
    headed,
    hide_axes,
    match_colours,
    short,
    slider,
    titled,
)

__all__ = ["beside", "directions", "losses_under", "row_under_scale", "tables"]

SMOOTHED = 10  # steps over which `losses_under` takes the mean


def tables(arrays: dict, *, title: str, columns: int = 2):
    """Draw tables of probabilities side by side, on one colour scale from 0 to 1.

    Under each heading stands the mean probability of the match, the diagonal.

    Args:
        arrays: {heading: (K, K)}, rows are questions, columns answers.
        title: of the figure.
        columns: tables in a row.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    rows = -(-len(arrays) // columns)
    means = {heading: np.diag(np.asarray(p, np.float64)).mean() for heading, p in arrays.items()}
    headings = [f"{heading}<br>match: {mean:.2f}" for heading, mean in means.items()]
    spacing = {"horizontal_spacing": 0.05, "vertical_spacing": 0.25 / rows}
    figure = make_subplots(rows, columns, subplot_titles=headings, **spacing)
    hover = "question %{y}, answer %{x}: %{z}<extra></extra>"
    for k, p in enumerate(arrays.values()):
        heatmap = go.Heatmap(z=short(p), coloraxis="coloraxis", hovertemplate=hover)
        figure.add_trace(heatmap, row=k // columns + 1, col=k % columns + 1)
    hide_axes(figure)
    figure.update_yaxes(autorange="reversed")
    figure.update_annotations(font_size=SMALL)
    scale = {"colorscale": "Viridis", "cmin": 0, "cmax": 1, "colorbar": {"title": "p"}}
    look = {"coloraxis": scale, "margin": {"b": 20, "l": 20}}
    return headed(figure, title, height=290 * rows + 90, headings=2, **look)


# Ticks that plotly would choose itself lie over each other where an axis is short.
LOG = {"type": "log", "tickvals": [k * 10.0**n for n in range(-3, 5) for k in (1, 2, 5)]}


def beside(panels: dict, x, *, x_name: str, y_names, colours: dict, log_y: bool = False, dashed=()):
    """Draw curves in panels side by side; a name has one colour and one entry in the legend.

    Args:
        panels: {heading: {name: (len(x),)}}.
        x: the positions of all curves.
        x_name: title of the x axes.
        y_names: title of the y axis of each panel.
        colours: {name: colour}.
        log_y: whether the y axes are logarithmic.
        dashed: names whose lines are dashed.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(1, len(panels), subplot_titles=list(panels), horizontal_spacing=0.12)
    mode, listed = "lines" if len(x) > 20 else "lines+markers", set()
    for col, (curves, y_name) in enumerate(zip(panels.values(), y_names, strict=True), start=1):
        for name, y in curves.items():
            dash = "dash" if name in dashed else None
            line = {"color": colours[name], "width": 3, "dash": dash}
            curve = go.Scatter(x=list(x), y=short(y), name=name, mode=mode, line=line)
            figure.add_trace(curve.update(showlegend=name not in listed), row=1, col=col)
            listed.add(name)
        figure.update_yaxes(title=y_name, **(LOG if log_y else {}), row=1, col=col)
    figure.update_xaxes(title=x_name)
    return headed(figure, "", height=430, headings=1)


def directions(descents: dict, steps):
    """Draw the directions of points in the plane while they move, with slider and play button.

    Colour is the track, the number the window; squares outside are faces, circles inside sounds.

    Args:
        descents: {setting: {head: (S, 2, B, N) angles in radians, face first}}; a column per
            setting, a row per head.
        steps: the numbers of the recorded steps, (S,).
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    heads = list(next(iter(descents.values())))
    panels = [np.asarray(d[head], np.float64) for head in heads for d in descents.values()]
    radius = np.array([1.0, 0.68])[:, None, None]  # faces outside, sounds inside

    def positions(angles: np.ndarray) -> dict:
        both = {"x": radius * np.cos(angles), "y": radius * np.sin(angles)}
        return {axis: short(values.ravel()) for axis, values in both.items()}

    titles = [f"{setting}:<br>{head} head" for head in heads for setting in descents]
    spacing = {"horizontal_spacing": 0.02, "vertical_spacing": 0.12}
    figure = make_subplots(len(heads), len(descents), subplot_titles=titles, **spacing)
    look = _direction_marks(panels[0].shape[1:])
    for n, angles in enumerate(panels):  # at rest: the last step
        row, col = n // len(descents) + 1, n % len(descents) + 1
        figure.add_trace(go.Scatter(**positions(angles[-1]), **look), row=row, col=col)
    figure.frames = [
        go.Frame(
            data=[go.Scatter(**positions(angles[k])) for angles in panels],
            name=str(step),
            traces=list(range(len(panels))),
        )
        for k, step in enumerate(steps)
    ]
    hide_axes(figure)
    figure.update_xaxes(range=[-1.25, 1.25])
    figure.update_yaxes(range=[-1.25, 1.25])
    names = [frame.name for frame in figure.frames]
    controls = animated(names, duration=90, pad=40, redraw=False, active=len(names) - 1)
    figure.update_annotations(font_size=SMALL)
    return headed(figure, "", height=720, headings=2, margin={"l": 20, "r": 20}, **controls)


def _direction_marks(shape: tuple[int, int, int]) -> dict:
    """Describe the marks of 2 x B x N points: colour, symbol, number and hover text of each."""
    stream, track, window = np.indices(shape).reshape(3, -1)
    streams = [("face", "audio")[m] for m in stream]
    marker = {
        "size": 20,
        "color": [PALETTE[i] for i in track],
        "symbol": [STREAM_SYMBOLS[name] for name in streams],
    }
    places = zip(streams, track + 1, window + 1, strict=True)
    return {
        "mode": "markers+text",
        "text": [str(t + 1) for t in window],
        "textfont": {"size": SMALL, "color": "white"},
        "marker": marker,
        "hovertext": [f"{name}, track {i}, window {t}" for name, i, t in places],
        "hoverinfo": "text",
        "showlegend": False,
    }


def row_under_scale(cosines, match: int, ws, *, w: float):
    """Draw the softmax of one row of cosines, with its two losses, under a slider for the scale w.

    Args:
        cosines: (K,), of one anchor.
        match: the number of the match.
        ws: positions of the slider.
        w: where it starts.
    """
    import plotly.graph_objects as go

    cosines = np.asarray(cosines, np.float64)
    K = len(cosines)

    def state(w: float) -> tuple[list, str]:
        q = softmax(w * cosines)
        matching, confusion = -np.log(q[match]), -np.log(q).mean() - np.log(K)
        losses = f"matching loss {matching:.2f}, confusion loss − log K = {confusion:.2f}"
        return short(q), f"w = {w:g}: {losses}"

    y, title = state(w)
    bars = go.Bar(x=list(range(1, K + 1)), y=y, marker={"color": match_colours(K, match)})
    figure = go.Figure(bars)
    chance_line(figure, 1 / K, "1/K: chance")
    steps = []
    for value in ws:
        y, text = state(value)
        changes = [{"y": [y]}, {"title.text": text}]
        steps.append({"label": f"{value:g}", "method": "update", "args": changes})
    figure.update_xaxes(title="audio window τ (blue: the match)", dtick=1, showgrid=False)
    figure.update_yaxes(title="softmax", range=[0, 1.02])
    bar = slider(steps, "w", active=list(ws).index(w))
    return headed(figure, title, height=480, sliders=[bar])


def losses_under(runs: dict, titles: dict, *, every: int, chance: dict, name="λ", active: int = 0):
    """Draw the four losses while training, as multiples of log K, under a slider over runs.

    Args:
        runs: {value of the setting: {"content": (steps,), ...}}.
        titles: {value of the setting: title}.
        every: how many steps lie between two points; each is the mean of the 10 steps up to it.
        chance: {"content": log K, ...}.
        name: of the setting.
        active: the number of the run at the start.
    """
    import plotly.graph_objects as go

    def smooth(y):
        return np.convolve(y, np.ones(SMOOTHED) / SMOOTHED, mode="valid")[::every]

    values = list(runs)
    curves = {v: [short(smooth(runs[v][key]) / chance[key], 3) for key in chance] for v in values}
    x = [SMOOTHED + every * k for k in range(len(curves[values[0]][0]))]
    figure = go.Figure()
    for y, key in zip(curves[values[active]], chance, strict=True):
        line = {"color": COLOURS[key], "width": 3}
        figure.add_trace(go.Scatter(x=x, y=y, name=NAMES[key], line=line))
    chance_line(figure, 1, "log K: chance")
    steps = []
    for v in values:
        changes = [{"y": curves[v]}, {"title.text": titled(titles[v])}]
        steps.append({"label": f"{v:g}", "method": "update", "args": changes})
    highest = max(max(y) for ys in curves.values() for y in ys)
    figure.update_yaxes(title="loss / log K", range=[0, min(4.5, 1.05 * highest)])
    figure.update_xaxes(title="step")
    bar = slider(steps, name, active=active)
    return headed(figure, titles[values[active]], height=560, sliders=[bar])
