"""Figures for the loss notebooks (03 to 05): arrays in, plotly figure out. They move without a kernel.

Every slider here is plotly's own, over states that were computed before: a saved notebook, a slide and a plain html file
move as well as a live one. (`points_and_losses` has none: it draws one state of `LossExplorer`.) Arrays are stored
as short lists of rounded numbers, so that a notebook stays small and any plotly reads it. plotly is imported where it is used.
Letters as in `dsel.losses`.
"""

from __future__ import annotations

import numpy as np

from dsel.plots.style import COLOURS, GREY, LOW, PALETTE, SHORT, SYMBOLS, hide_axes, restyle, short, slider


def content_pairs(N: int = 6):
    """Which pairs the content task compares: a slider moves the anchor t of track 1; track 2 is never compared with it."""
    import plotly.graph_objects as go

    gap = N + 1.5
    lines = [
        go.Scatter(x=[], y=[], mode="lines", line={"color": GREY, "width": 1.5}, name="another moment"),
        go.Scatter(x=[], y=[], mode="lines", line={"color": COLOURS["content"], "width": 5}, name="the match"),
        go.Scatter(
            x=[],
            y=[],
            mode="markers",
            marker={"symbol": "square-open", "size": 36, "color": COLOURS["content"], "line": {"width": 3}},
            name="the anchor",
        ),
    ]
    windows = [
        go.Scatter(
            x=list(np.arange(N) + shift),
            y=[y] * N,
            mode="markers+text",
            text=[f"{letter}<sub>{t + 1}</sub>" for t in range(N)],
            textfont={"color": "white", "size": 14},
            marker={"symbol": SYMBOLS[kind], "size": 28, "color": COLOURS[kind], "opacity": 1 if shift == 0 else 0.3},
            name={"face": "video window", "audio": "audio window"}[kind],
            showlegend=shift == 0,
            hovertemplate=f"track {1 if shift == 0 else 2}, %{{text}}<extra></extra>",
        )
        for shift in (0, gap)
        for kind, letter, y in (("face", "v", 1), ("audio", "a", 0))
    ]
    states = []
    for t in range(N):
        others = [tau for tau in range(N) if tau != t]
        fan_x = [value for tau in others for value in (t, tau, None)]
        states.append(([fan_x, [t, t], [t]], [[1, 0, None] * len(others), [1, 0], [1]]))
    figure = go.Figure(lines + windows)
    for trace, x, y in zip(figure.data, *states[1], strict=False):
        trace.x, trace.y = x, y
    steps = [restyle(t + 1, {"x": x, "y": y}, [0, 1, 2]) for t, (x, y) in enumerate(states)]
    figure.update_layout(
        title="Content task: one video window, all audio windows of its own track",
        sliders=[slider(steps, "anchor t", active=1)],
        height=420,
        legend={"orientation": "h", "y": 1.22},
        margin={"t": 110},
    )
    hide_axes(figure)
    figure.update_yaxes(range=[-0.35, 1.6])
    for x, text in (((N - 1) / 2, "track 1"), (gap + (N - 1) / 2, "track 2: not compared with track 1")):
        figure.add_annotation(x=x, y=1.45, text=text, showarrow=False)
    return figure


def identity_pairs(pick, N: int = 4):
    """Which pairs the identity task compares: one face window of a track (pick, (B,)) with the mean sound of each track."""
    import plotly.graph_objects as go

    B = len(pick)
    left = np.arange(B) * (N + 1.0)
    centre = left + (N - 1) / 2
    start = left + np.asarray(pick)  # where the picked face window stands
    x = (left[:, None] + np.arange(N)).ravel()
    brackets = [value for j in range(B) for t in range(N) for value in (left[j] + t, centre[j], None)]
    picked = (np.arange(N)[None] == np.asarray(pick)[:, None]).ravel()

    def windows(kind, y, opacity, name):
        marker = {"symbol": SYMBOLS[kind], "size": 22, "color": COLOURS[kind], "opacity": opacity}
        return go.Scatter(x=list(x), y=[y] * len(x), mode="markers", marker=marker, name=name, hoverinfo="skip")

    traces = [
        go.Scatter(mode="lines", line={"color": GREY, "width": 1.5}, name="another person"),
        go.Scatter(mode="lines", line={"color": COLOURS["identity"], "width": 5}, name="the match"),
        go.Scatter(
            x=brackets,
            y=[0, 0.45, None] * (B * N),
            mode="lines",
            line={"color": COLOURS["audio"], "width": 1},
            showlegend=False,
        ),
        windows("face", 2, [1.0 if p else 0.25 for p in picked], "video window (solid: picked)"),
        windows("audio", 0, 0.35, "audio window"),
        go.Scatter(
            x=list(centre),
            y=[0.5] * B,
            mode="markers+text",
            text=[f"ā<sub>{j + 1}</sub>" for j in range(B)],
            textfont={"color": "white", "size": 14},
            marker={"symbol": "circle", "size": 34, "color": COLOURS["audio"]},
            name="mean of a track's sound",
        ),
    ]
    states = []
    for i in range(B):
        others = [j for j in range(B) if j != i]
        fan = [value for j in others for value in (start[i], centre[j], None)]
        states.append(([fan, [start[i], centre[i]]], [[1.9, 0.62, None] * len(others), [1.9, 0.62]]))
    figure = go.Figure(traces)
    for trace, fan_x, fan_y in zip(figure.data, *states[0], strict=False):
        trace.x, trace.y = fan_x, fan_y
    steps = [restyle(i + 1, {"x": fan_x, "y": fan_y}, [0, 1]) for i, (fan_x, fan_y) in enumerate(states)]
    figure.update_layout(
        title="Identity task: one face window, the mean sound of every track",
        sliders=[slider(steps, "anchor track i")],
        height=460,
        legend={"orientation": "h", "y": 1.18},
        margin={"t": 110},
    )
    hide_axes(figure)
    figure.update_yaxes(range=[-0.3, 2.7])
    for j in range(B):
        figure.add_annotation(x=centre[j], y=2.45, text=f"track {j + 1}", showarrow=False)
        figure.add_annotation(x=start[j], y=2, text=f"v̂<sub>{j + 1}</sub>", showarrow=False, font={"color": "white"})
    return figure


def worked_example(logits, *, rows: str, columns: str, values: str = ".3f"):
    """Logits (K, K) -> weights exp l, probabilities p along a row, and the cost - log p of each match, side by side."""
    from plotly.subplots import make_subplots

    logits = np.asarray(logits, np.float64)
    K = len(logits)
    weights = np.exp(logits)
    p = weights / weights.sum(axis=1, keepdims=True)
    cost = np.where(np.eye(K, dtype=bool), -np.log(p), np.nan)
    titles = ("weight  exp l", "share of its row  p", "cost of the match  − log p")
    figure = make_subplots(rows=1, cols=3, subplot_titles=titles, horizontal_spacing=0.07)
    for column, (array, style) in enumerate(((weights, ".3g"), (p, values), (cost, values)), start=1):
        _numbers(figure, array, style, column, rows=rows, columns=columns)
    figure.update_yaxes(title_text="", col=2).update_yaxes(title_text="", col=3)
    figure.update_layout(
        height=370, title=f"Framed: the matches. Their mean cost is the loss, {np.nanmean(cost):.3f}", margin={"t": 100}
    )
    return figure


def _numbers(figure, array, style: str, column: int, *, rows: str, columns: str, size: int = 18, **look) -> None:
    """Print a K x K array into a panel, counted from 1, its diagonal framed: the matches. Cells that are nan stay empty."""
    labels = list(range(1, len(array) + 1))
    figure.add_heatmap(
        z=[[None if np.isnan(x) else x for x in row] for row in short(array)],
        x=labels,
        y=labels,
        text=[["" if np.isnan(x) else format(x, style) for x in row] for row in array],
        texttemplate="%{text}",
        textfont={"size": size},
        showscale=False,
        hovertemplate=f"{rows} %{{y}}, {columns} %{{x}}: %{{text}}<extra></extra>",
        row=1,
        col=column,
        **(_shades(array) | look),
    )
    for k in labels:
        box = {"x0": k - 0.5, "x1": k + 0.5, "y0": k - 0.5, "y1": k + 0.5}
        figure.add_shape(type="rect", line={"color": PALETTE[1], "width": 3}, row=1, col=column, **box)
    figure.update_xaxes(title_text=columns, showgrid=False, dtick=1, row=1, col=column)
    figure.update_yaxes(title_text=rows, autorange="reversed", showgrid=False, dtick=1, row=1, col=column)


def _shades(values, signed: bool = False, print_on: bool = True) -> dict:
    """Colours of a heatmap, from white at 0; signed: blue above, orange below. `print_on` keeps black print readable on all."""
    top = float(np.nanmax(np.abs(values))) or 1.0
    colours = [[0, PALETTE[1]], [0.5, "#f7f7f7"], [1, PALETTE[0]]] if signed else LOW
    return {"colorscale": colours, "zmin": -1.6 * top if signed else 0, "zmax": (1.6 if print_on else 1.0) * top}


def table(values, *, title: str, rows: str, columns: str, signed: bool = False, digits: int | None = 3):
    """A K x M array as a picture that counts from 1; `digits` prints the numbers too (None: too many to read).

    signed: white is 0, blue above, orange below.
    """
    import plotly.graph_objects as go

    values = np.asarray(values, np.float64)
    heat = go.Heatmap(
        z=short(values),
        x=list(range(1, values.shape[1] + 1)),
        y=list(range(1, values.shape[0] + 1)),
        **_shades(values, signed, print_on=digits is not None),
        showscale=digits is None,
        hovertemplate=f"{rows} %{{y}}, {columns} %{{x}}: %{{z:.3f}}<extra></extra>",
    )
    if digits is not None:
        heat.update(texttemplate=f"%{{z:{'+' if signed else ''}.{digits}f}}", textfont={"size": 18})
    figure = go.Figure(heat)
    figure.update_layout(title=title, xaxis_title=columns, yaxis_title=rows, width=max(520, 12 * len(title)), height=400)
    figure.update_xaxes(showgrid=False, constrain="domain")
    figure.update_yaxes(autorange="reversed", showgrid=False, scaleanchor="x", constrain="domain")
    if max(values.shape) <= 12:
        figure.update_xaxes(dtick=1)
        figure.update_yaxes(dtick=1)
    return figure


def plane(face, audio, pick=None) -> list:
    """Embeddings (B, N, 2) as four traces: lines that join the matches, faces, sounds, and the mean sounds.

    pick (B,): a line joins the picked face of a track with the mean of its sounds, a star; None: each face with its sound,
    and no star. One colour a track; squares are faces, circles sounds.
    """
    import plotly.graph_objects as go

    B, N = face.shape[:2]
    hover = [f"track {i + 1}, window {t + 1}" for i in range(B) for t in range(N)]
    means = audio.mean(axis=1)  # (B, 2)
    edge = {"width": 1, "color": "#222"}

    def cloud(points, kind):
        colours = [PALETTE[i % len(PALETTE)] for i in range(B) for _ in range(N)]
        marker = {"symbol": SYMBOLS[kind], "size": {"face": 15, "audio": 9}[kind], "color": colours, "line": edge}
        style = {"marker": marker, "text": hover, "hovertemplate": "%{text}<extra>" + kind + "</extra>"}
        return go.Scatter(**_xy(points.reshape(-1, 2)), mode="markers", name=kind, **style)

    if pick is None:
        ends = zip(face.reshape(-1, 2), audio.reshape(-1, 2), strict=True)
    else:
        ends = zip(face[np.arange(B), np.asarray(pick)], means, strict=True)
    pairs = [short(pair, 3) for pair in ends]
    x, y = ([value for one, two in pairs for value in (one[k], two[k], None)] for k in (0, 1))
    links = go.Scatter(x=x, y=y, mode="lines", line={"color": "#555", "width": 1.5}, name="match", hoverinfo="skip")
    star = {"symbol": "star", "size": 16, "color": [PALETTE[i % len(PALETTE)] for i in range(B)], "line": edge}
    shown = means if pick is not None else means[:0]
    stars = go.Scatter(**_xy(shown), mode="markers", marker=star, name="mean sound", showlegend=pick is not None)
    return [links, cloud(face, "face"), cloud(audio, "audio"), stars]


def _xy(points) -> dict:
    """(P, 2) as the x and y of a trace."""
    return dict(zip("xy", map(list, zip(*short(points, 3), strict=True)), strict=True)) if len(points) else {"x": [], "y": []}


def moving_points(face, audio, loss, probabilities, *, steps, chance: float, title: str, rows: str, columns: str, picks=None):
    """Embeddings in the plane under gradient descent: a slider and a play button over S recorded steps.

    face, audio (S, B, N, 2); loss (S,); probabilities (S, K, K), the softmax at each step; steps (S,) their numbers;
    picks (S, B) or None. With picks, a line joins the picked face of a track with the mean of its sounds (a star), else each
    face with its sound.
    One colour a track; squares are faces, circles sounds.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    face, audio, loss = (np.asarray(x, np.float64) for x in (face, audio, loss))

    def state(s):
        table = go.Heatmap(
            z=short(probabilities[s], 3),
            zmin=0,
            zmax=1,
            colorscale=LOW,
            showscale=False,
            hovertemplate="p = %{z}<extra></extra>",
        )
        now = go.Scatter(
            x=[int(steps[s])],
            y=short(loss[s : s + 1]),
            mode="markers",
            marker={"size": 13, "color": PALETTE[1]},
            showlegend=False,
        )
        return [*plane(face[s], audio[s], None if picks is None else picks[s]), table, now]

    figure = make_subplots(
        rows=1, cols=3, column_widths=[0.36, 0.34, 0.30], horizontal_spacing=0.09, subplot_titles=("the plane", "p", "loss")
    )
    for trace, column in zip(state(0), (1, 1, 1, 1, 2, 3), strict=True):
        figure.add_trace(trace, row=1, col=column)
    curve = {
        "x": [int(s) for s in steps],
        "y": short(loss),
        "mode": "lines",
        "line": {"color": PALETTE[1]},
        "showlegend": False,
    }
    figure.add_scatter(**curve, row=1, col=3)
    figure.add_hline(y=chance, line={"dash": "dot", "color": COLOURS["chance"]}, annotation_text="chance", row=1, col=3)
    names = [str(int(s)) for s in steps]
    figure.frames = [go.Frame(data=state(s), traces=list(range(6)), name=name) for s, name in enumerate(names)]
    jump = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    play = {"fromcurrent": True, "frame": {"duration": 120, "redraw": True}, "transition": {"duration": 0}}
    moves = [{"label": name, "method": "animate", "args": [[name], jump]} for name in names]
    buttons = [
        {"label": "▶", "method": "animate", "args": [None, play]},
        {"label": "❚❚", "method": "animate", "args": [[None], jump]},
    ]
    handle = slider(moves, "step", pad=62) | {"x": 0.14, "len": 0.86}
    menu = {
        "type": "buttons",
        "direction": "left",
        "x": 0.0,
        "y": 0,
        "pad": {"t": 84},
        "xanchor": "left",
        "yanchor": "top",
        "buttons": buttons,
    }
    everything = np.concatenate([face.reshape(-1, 2), audio.reshape(-1, 2)])
    low, high = everything.min(axis=0), everything.max(axis=0)
    middle, half = (low + high) / 2, 0.55 * max(high - low)
    figure.update_layout(
        title=title, sliders=[handle], updatemenus=[menu], height=600, margin={"t": 110}, legend={"orientation": "h", "y": 1.16}
    )
    figure.update_xaxes(range=short([middle[0] - half, middle[0] + half], 2), constrain="domain", row=1, col=1)
    figure.update_yaxes(range=short([middle[1] - half, middle[1] + half], 2), scaleanchor="x", constrain="domain", row=1, col=1)
    figure.update_xaxes(
        title_text=columns, showgrid=False, zeroline=False, showticklabels=False, ticks="", constrain="domain", row=1, col=2
    )
    figure.update_yaxes(
        title_text=rows,
        autorange="reversed",
        showgrid=False,
        zeroline=False,
        showticklabels=False,
        ticks="",
        scaleanchor="x2",
        constrain="domain",
        constraintoward="bottom",
        row=1,
        col=2,
    )
    figure.update_xaxes(title_text="step", row=1, col=3)
    figure.update_yaxes(rangemode="tozero", row=1, col=3)
    return figure


def points_and_losses(face, audio, logits, losses: dict, chance: dict, *, term: str, title: str, pick=None):
    """Points in the plane, the logits that a task makes of them, their softmax, and what the losses are, beside chance.

    face, audio (B, N, 2); logits (K, K) of the task of `term`; losses {term: value}, chance {term: log K}, the terms as in
    `dsel.plots.NAMES`. pick (B,) or None as in `plane`; without it the logits are those of track 1, and other tracks are faint.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    face, audio, logits = (np.asarray(x, np.float64) for x in (face, audio, logits))
    identity = pick is not None
    wide = 0.09 + 0.05 * len(losses)
    widths = [0.29, 0.25, 0.25, wide]
    heads = ("the points", "logits  l", "softmax  p", "loss<br>(dotted: log K)")
    figure = make_subplots(1, 4, subplot_titles=heads, column_widths=widths, horizontal_spacing=0.055)
    traces = plane(face, audio, pick)
    if not identity:
        for trace in traces[1:3]:
            trace.marker.opacity = [1.0 if i == 0 else 0.25 for i in range(len(face)) for _ in range(face.shape[1])]
    for trace in traces:
        figure.add_trace(trace, row=1, col=1)
    names = (
        {"rows": "face of track i", "columns": "sound of track j"} if identity else {"rows": "video t", "columns": "audio τ"}
    )
    style = ".0f" if np.abs(logits).max() >= 99.5 else ".1f"
    _numbers(figure, logits, style, 2, size=16, **names, **_shades(logits, signed=True))
    _numbers(figure, softmax(logits), ".2f", 3, size=16, **names, zmax=1.6)  # one scale for all states: 1 is as dark everywhere
    terms = list(losses)
    bar = {"color": [COLOURS[name] for name in terms], "opacity": [1.0 if name == term else 0.35 for name in terms]}
    text = {
        "text": [f"{round(losses[name], 2) + 0:.2f}" for name in terms],
        "textposition": "outside",
        "textfont": {"size": 17},
    }
    heights = short([losses[name] for name in terms])
    figure.add_trace(
        go.Bar(x=[SHORT[name] for name in terms], y=heights, marker=bar, showlegend=False, cliponaxis=False, **text), 1, 4
    )
    for k, name in enumerate(terms):
        line = {"color": "#222", "width": 3, "dash": "dot"}
        figure.add_shape(type="line", x0=k - 0.46, x1=k + 0.46, y0=chance[name], y1=chance[name], line=line, row=1, col=4)
    figure.update_layout(title=title, height=450, margin={"t": 105, "l": 20, "b": 90}, legend={"orientation": "h", "y": -0.3})
    figure.update_yaxes(title={"standoff": 0, "font": {"size": 14}}).update_xaxes(title={"standoff": 4, "font": {"size": 14}})
    figure.update_yaxes(title_text="", row=1, col=3)
    figure.update_xaxes(tickangle=0, tickfont={"size": 12}, row=1, col=4)
    figure.update_xaxes(range=[-1.25, 1.25], constrain="domain", showticklabels=False, row=1, col=1)
    figure.update_yaxes(range=[-1.25, 1.25], scaleanchor="x", constrain="domain", showticklabels=False, row=1, col=1)
    figure.update_yaxes(range=[0, 1.2 * max(*losses.values(), 2.0)], row=1, col=4)
    return figure


def softmax(logits, axis: int = -1) -> np.ndarray:
    """exp l / sum exp l along an axis."""
    weights = np.exp(logits - np.max(logits, axis=axis, keepdims=True))
    return weights / weights.sum(axis=axis, keepdims=True)


def softmax_row(cosines, match: int, *, ws, bs, w: float = 10.0, b: float = -5.0):
    """One row, l = w cos + b on the left and its softmax on the right, with a slider for w and one for b.

    cosines (K,) of one anchor; ws, bs the positions of the sliders; w, b where they start. The sliders are independent: b
    moves the foot of the bars, w their length.
    """
    from plotly.subplots import make_subplots

    cosines, ws, bs = np.asarray(cosines, np.float64), list(ws), list(bs)
    x = list(range(1, len(cosines) + 1))
    colours = [COLOURS["content"] if k == match else "#b5b5b5" for k in range(len(cosines))]
    figure = make_subplots(rows=1, cols=2, subplot_titles=("logits  l = w cos + b", "softmax  p"), horizontal_spacing=0.1)
    figure.add_bar(x=x, y=short(w * cosines), base=b, marker_color=colours, row=1, col=1)
    figure.add_bar(x=x, y=short(softmax(w * cosines)), marker_color=colours, row=1, col=2)
    tall = max(ws) * np.abs(cosines).max()
    figure.update_yaxes(range=short([min(bs) - tall, max(bs) + tall], 1), row=1, col=1)
    figure.update_yaxes(range=[0, 1.02], row=1, col=2)
    figure.update_xaxes(title_text="audio window τ", dtick=1, showgrid=False)
    scale = [restyle(f"{value:g}", {"y": [short(value * cosines), short(softmax(value * cosines))]}, [0, 1]) for value in ws]
    offset = [restyle(f"{value:g}", {"base": [float(value)]}, [0]) for value in bs]
    figure.update_layout(
        title="Scaled cosine: w sharpens the choice, b changes nothing (blue: the match)",
        sliders=[slider(scale, "w", active=ws.index(w), pad=60), slider(offset, "b", y=-0.34, active=bs.index(b), pad=60)],
        height=570,
        showlegend=False,
        margin={"t": 90, "b": 200},
    )
    return figure


def bars_against(settings, groups: dict, *, name: str, title: str, match: int, active: int = 0, x_name: str = "audio window τ"):
    """Softmax rows side by side under a slider: groups maps a heading to an array (len(settings), K)."""
    from plotly.subplots import make_subplots

    heads, arrays = list(groups), [np.asarray(array, np.float64) for array in groups.values()]
    K = arrays[0].shape[1]
    colours = [COLOURS["content"] if k == match else "#b5b5b5" for k in range(K)]
    figure = make_subplots(rows=1, cols=len(heads), subplot_titles=heads, horizontal_spacing=0.1)
    for column, array in enumerate(arrays, start=1):
        figure.add_bar(x=list(range(1, K + 1)), y=short(array[active]), marker_color=colours, row=1, col=column)
    steps = [
        restyle(f"{value:g}", {"y": [short(array[s]) for array in arrays]}, list(range(len(heads))))
        for s, value in enumerate(settings)
    ]
    figure.update_layout(
        title=title,
        sliders=[slider(steps, name, active=active, pad=60)],
        height=430,
        showlegend=False,
        margin={"t": 90, "b": 60},
    )
    figure.update_xaxes(title_text=x_name, dtick=1, showgrid=False)
    figure.update_yaxes(range=[0, 1.02])
    return figure


def lines(
    x, series: dict, *, title: str, x_name: str, y_name: str, level=None, level_name: str = "chance", log_x: bool = False
):
    """Curves over x: series maps a name to an array (len(x),). `level` draws a dotted line across."""
    import plotly.graph_objects as go

    figure = go.Figure([go.Scatter(x=short(x), y=short(y), name=name, mode="lines+markers") for name, y in series.items()])
    if level is not None:
        figure.add_hline(y=level, line={"dash": "dot", "color": COLOURS["chance"]}, annotation_text=level_name)
    figure.update_layout(title=title, xaxis_title=x_name, yaxis_title=y_name, height=400, showlegend=len(series) > 1)
    if log_x:
        figure.update_xaxes(type="log", tickvals=short(x), ticktext=[f"{value:g}" for value in x])
    return figure


def arrows(face, audio, pick, *, title: str):
    """Three or so tracks as arrows from the origin: picked faces and mean sounds strong, the windows behind them faint.

    face, audio (B, N, 2), pick (B,).
    """
    import plotly.graph_objects as go

    face, audio, pick = np.asarray(face, np.float64), np.asarray(audio, np.float64), np.asarray(pick)
    figure = go.Figure()
    for i in range(len(face)):
        colour = PALETTE[i % len(PALETTE)]
        for kind, points, strong, label in (
            ("face", face[i], face[i, pick[i]], f"v̂<sub>{i + 1}</sub>"),
            ("audio", audio[i], audio[i].mean(axis=0), f"ā<sub>{i + 1}</sub>"),
        ):
            marker = {"symbol": SYMBOLS[kind], "size": 10, "color": colour}
            figure.add_scatter(
                x=short(points[:, 0]),
                y=short(points[:, 1]),
                mode="markers",
                marker=marker,
                opacity=0.4,
                showlegend=False,
                hoverinfo="skip",
            )
            figure.add_scatter(
                x=[0, round(float(strong[0]), 4)],
                y=[0, round(float(strong[1]), 4)],
                mode="lines+markers+text",
                text=["", label],
                textposition="top right" if kind == "face" else "bottom left",
                line={"color": colour, "width": 3, "dash": "solid" if kind == "face" else "dot"},
                marker={"symbol": SYMBOLS[kind], "size": [0, 15], "color": colour},
                name=f"track {i + 1}, {kind}",
            )
    figure.update_layout(title=title, width=720, height=480)
    figure.update_yaxes(scaleanchor="x")
    return figure
