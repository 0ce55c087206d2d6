"""Figures of notebook 05: arrays in, plotly figure out, moving without a kernel. The family of `dsel.plots.losses`."""

from __future__ import annotations

import numpy as np

from dsel.plots.losses import softmax
from dsel.plots.style import COLOURS, NAMES, PALETTE, SYMBOLS, hide_axes, short, slider

BELOW = {"orientation": "h", "y": -0.25}  # a legend under the figure


def tables(named: dict, *, title: str, columns: int = 2):
    """K x K tables of probabilities, rows questions and columns answers, one colour scale from 0 to 1: {heading: (K, K)}.

    Under each heading stands the mean probability of the match, the diagonal.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    rows = -(-len(named) // columns)
    arrays = [np.asarray(table, np.float64) for table in named.values()]
    heads = [f"{head}<br>match: {np.diag(table).mean():.2f}" for head, table in zip(named, arrays, strict=True)]
    figure = make_subplots(rows, columns, subplot_titles=heads, horizontal_spacing=0.05, vertical_spacing=0.25 / rows)
    for k, table in enumerate(arrays):
        hover = "question %{y}, answer %{x}: %{z}<extra></extra>"
        picture = go.Heatmap(z=short(table), coloraxis="coloraxis", hovertemplate=hover)
        figure.add_trace(picture, row=k // columns + 1, col=k % columns + 1)
    hide_axes(figure)
    figure.update_yaxes(autorange="reversed")
    figure.update_annotations(font_size=13)
    scale = {"colorscale": "Viridis", "cmin": 0, "cmax": 1, "colorbar": {"title": "p"}}
    longest = max(len(line) for head in heads for line in head.split("<br>"))
    size = {"width": max(220, 8 * longest) * columns + 130, "height": 280 * rows + 100, "margin": {"t": 110, "b": 20}}
    return figure.update_layout(title={"text": title, "y": 0.97}, coloraxis=scale, **size)


def beside(panels: dict, x, *, x_name: str, y_names, colours: dict, log_y: bool = False, dashed=()):
    """Curves in panels side by side: {heading: {name: (len(x),)}}; one legend, a name has one colour everywhere."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(1, len(panels), subplot_titles=list(panels), horizontal_spacing=0.12)
    shown = set()
    for column, (curves, y_name) in enumerate(zip(panels.values(), y_names, strict=True), start=1):
        for name, y in curves.items():
            style = {"color": colours[name], "width": 3, "dash": "dash" if name in dashed else "solid"}
            mode = "lines" if len(x) > 20 else "lines+markers"
            curve = go.Scatter(x=list(x), y=short(y), name=name, mode=mode, line=style, showlegend=name not in shown)
            figure.add_trace(curve, row=1, col=column)
            shown.add(name)
        figure.update_yaxes(title=y_name, type="log" if log_y else None, row=1, col=column)
    figure.update_xaxes(title=x_name)
    return figure.update_layout(height=430, width=980, legend=BELOW)


def directions(descents: dict, steps):
    """Points in the plane by direction alone, while they move: a slider and a play button over the recorded steps.

    descents: {setting: {head: (S, 2, B, N) angles in radians, face first}}, one column a setting, one row a head.
    Colour = track, number = window, outer squares = face, inner circles = audio. steps (S,): their numbers.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    heads = list(next(iter(descents.values())))
    panels = [np.asarray(descent[head], np.float64) for head in heads for descent in descents.values()]

    def positions(k):
        radius = np.array([1.0, 0.68])[:, None, None]
        return [{"x": short(radius * np.cos(a[k])), "y": short(radius * np.sin(a[k]))} for a in panels]

    def flat(position):
        return {axis: np.ravel(values).tolist() for axis, values in position.items()}

    stream, track, window = np.indices(panels[0].shape[1:]).reshape(3, -1)
    look = {
        "mode": "markers+text",
        "text": [str(t + 1) for t in window],
        "textfont": {"size": 10, "color": "white"},
        "marker": {
            "size": 17,
            "opacity": 0.8,
            "color": [PALETTE[i] for i in track],
            "symbol": [SYMBOLS[("face", "audio")[m]] for m in stream],
        },
        "hovertext": [
            f"{('face', 'audio')[m]}, track {i + 1}, window {t + 1}" for m, i, t in zip(stream, track, window, strict=True)
        ],
        "hoverinfo": "text",
        "showlegend": False,
    }
    figure = make_subplots(
        len(heads),
        len(descents),
        column_titles=list(descents),
        row_titles=[f"{head} head" for head in heads],
        horizontal_spacing=0.02,
        vertical_spacing=0.03,
    )
    for n, position in enumerate(positions(len(panels[0]) - 1)):  # at rest: the end
        figure.add_trace(go.Scatter(**flat(position), **look), row=n // len(descents) + 1, col=n % len(descents) + 1)
    everything = list(range(len(panels)))
    figure.frames = [
        go.Frame(data=[go.Scatter(**flat(p)) for p in positions(k)], name=str(step), traces=everything)
        for k, step in enumerate(steps)
    ]
    still = {"mode": "immediate", "frame": {"duration": 0, "redraw": False}, "transition": {"duration": 0}}
    moves = [{"label": f.name, "method": "animate", "args": [[f.name], still]} for f in figure.frames]
    run = {"frame": {"duration": 90, "redraw": False}, "transition": {"duration": 60}}
    buttons = [
        {"label": "▶ play", "method": "animate", "args": [None, run]},
        {"label": "❚❚", "method": "animate", "args": [[None], still]},
    ]
    hide_axes(figure)
    figure.update_xaxes(range=[-1.25, 1.25])
    figure.update_yaxes(range=[-1.25, 1.25])
    return figure.update_layout(
        sliders=[slider(moves, "step", active=len(moves) - 1) | {"x": 0.14, "len": 0.82}],
        updatemenus=[
            {
                "type": "buttons",
                "direction": "left",
                "buttons": buttons,
                "x": 0.0,
                "y": 0.0,
                "xanchor": "left",
                "yanchor": "top",
                "pad": {"t": 45},
            }
        ],
        width=1000,
        height=650,
        margin={"l": 20, "r": 50, "t": 60, "b": 110},
    )


def row_under_scale(cosines, match: int, ws, *, w: float):
    """One row of cosines (K,) under a slider for w: its softmax, and what matching and confusion make of it."""
    import plotly.graph_objects as go

    cosines = np.asarray(cosines, np.float64)
    K = len(cosines)

    def state(w):
        q = softmax(w * cosines)
        confusion = -np.log(q).mean() - np.log(K)
        return short(q), f"w = {w:g}: matching loss {-np.log(q[match]):.2f}, confusion loss − log K = {confusion:.2f}"

    colours = [COLOURS["content"] if k == match else "#b5b5b5" for k in range(K)]
    y, title = state(w)
    figure = go.Figure(go.Bar(x=list(range(1, K + 1)), y=y, marker={"color": colours}))
    figure.add_hline(y=1 / K, line={"dash": "dot", "color": COLOURS["chance"]}, annotation_text="1/K: no idea")
    steps = []
    for value in ws:
        y, text = state(value)
        steps.append({"label": f"{value:g}", "method": "update", "args": [{"y": [y]}, {"title.text": text}]})
    figure.update_xaxes(title="audio window τ (blue: the match)", dtick=1, showgrid=False)
    figure.update_yaxes(title="softmax", range=[0, 1.02])
    return figure.update_layout(
        title=title, width=780, height=480, sliders=[slider(steps, "w", y=-0.18, active=list(ws).index(w))]
    )


def losses_under(runs: dict, titles: dict, *, every: int, chance: dict, name: str = "λ", active: int = 0):
    """The four losses as multiples of log K while training, under a slider over runs.

    runs: {λ: {"content": (steps,), ...}}; titles: {λ: text}; chance: {"content": log K, ...}. Smoothed over 10 steps.
    """
    import plotly.graph_objects as go

    def smooth(y):
        return np.convolve(y, np.ones(10) / 10, mode="valid")[::every]

    settings = list(runs)
    curves = {value: [short(smooth(runs[value][key]) / chance[key], 3) for key in chance] for value in settings}
    x = [10 + every * k for k in range(len(curves[settings[0]][0]))]
    figure = go.Figure(
        [
            go.Scatter(x=x, y=y, name=NAMES[key], line={"color": COLOURS[key], "width": 3})
            for key, y in zip(chance, curves[settings[active]], strict=True)
        ]
    )
    label = {"annotation_text": "log K: no idea", "annotation_position": "right"}  # beside the curves, not over them
    figure.add_hline(y=1, line={"dash": "dot", "color": COLOURS["chance"]}, **label)
    steps = [
        {"label": f"{value:g}", "method": "update", "args": [{"y": curves[value]}, {"title.text": titles[value]}]}
        for value in settings
    ]
    top = max(max(y) for ys in curves.values() for y in ys)
    figure.update_yaxes(title="loss / log K", range=[0, min(4.5, 1.05 * top)])
    figure.update_xaxes(title="step")
    return figure.update_layout(
        title={"text": titles[settings[active]], "font": {"size": 15}},
        width=940,
        height=560,
        sliders=[slider(steps, name, y=-0.16, active=active)],
    )
