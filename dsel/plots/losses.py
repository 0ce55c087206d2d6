"""Figures of notebooks 03 to 05: arrays in, plotly figures out.

    content_pairs, identity_pairs    which pairs a task compares
    worked_example, table            small matrices as numbers
    plane, moving_points, arrows     embeddings of two numbers as points
    points_and_losses                one state of `LossExplorer`
    softmax_row, bars_against        one row of probabilities under sliders
    lines                            curves

Every slider is plotly's own, over states that were computed before: a saved notebook, a slide and a
plain html file move without a kernel. Letters as in `dsel.losses`. plotly is imported where it is
used. (Source: ours.)
"""

from __future__ import annotations

import numpy as np

from dsel.plots.style import (
    COLOURS,
    DARK,
    FAINT_LINE,
    PALETTE,
    SHORT_NAMES,
    SMALL,
    STREAM_SYMBOLS,
    WHITE_TO_BLUE,
    animated,
    chance_line,
    headed,
    hide_axes,
    match_colours,
    restyle,
    short,
    slider,
    xy,
)

__all__ = [
    "arrows",
    "bars_against",
    "content_pairs",
    "identity_pairs",
    "lines",
    "moving_points",
    "plane",
    "points_and_losses",
    "softmax",
    "softmax_row",
    "table",
    "worked_example",
]


# --- Which pairs a task compares ------------------------------------------------------------------


def content_pairs(N: int = 6):
    """Draw which pairs the content task compares, for N windows of two tracks.

    A slider moves the anchor t of track 1; track 2 is never compared with it.
    """
    import plotly.graph_objects as go

    gap = N + 1.5
    square = {
        "symbol": "square-open",
        "size": 36,
        "color": COLOURS["content"],
        "line": {"width": 3},
    }
    marks = [
        _pair_lines("another moment", FAINT_LINE, 1.5),
        _pair_lines("the match", COLOURS["content"], 5),
        go.Scatter(x=[], y=[], mode="markers", marker=square, name="the anchor"),
    ]
    windows = [
        _window_row(stream, letter, y, N, left=left)
        for left in (0, gap)
        for stream, letter, y in (("face", "v", 1), ("audio", "a", 0))
    ]
    states = []
    for t in range(N):
        others = [tau for tau in range(N) if tau != t]
        fan = [x for tau in others for x in (t, tau, None)]
        states.append(([fan, [t, t], [t]], [[1, 0, None] * len(others), [1, 0], [1]]))
    figure = go.Figure(marks + windows)
    for trace, x, y in zip(figure.data, *states[1], strict=False):
        trace.x, trace.y = x, y
    steps = [restyle(t + 1, {"x": x, "y": y}, [0, 1, 2]) for t, (x, y) in enumerate(states)]
    title = "Content task: one video window, all audio windows of its own track"
    headed(figure, title, height=440, sliders=[slider(steps, "anchor t", active=1)])
    hide_axes(figure)
    figure.update_yaxes(range=[-0.35, 1.6])
    texts = ("track 1", "track 2: not compared")
    for x, text in zip(((N - 1) / 2, gap + (N - 1) / 2), texts, strict=True):
        figure.add_annotation(x=x, y=1.45, text=text, showarrow=False)
    return figure


def _pair_lines(name: str, colour: str, width: float):
    """Return an empty trace of lines, to be filled for each position of a slider."""
    import plotly.graph_objects as go

    return go.Scatter(x=[], y=[], mode="lines", line={"color": colour, "width": width}, name=name)


def _window_row(stream: str, letter: str, y: float, N: int, *, left: float):
    """Return N windows of a stream as numbered marks in a row that starts at `left`.

    Track 1 starts at 0; the windows of any other track are hollow and not in the legend.
    """
    import plotly.graph_objects as go

    first = left == 0
    symbol = STREAM_SYMBOLS[stream] + ("" if first else "-open")
    return go.Scatter(
        x=list(np.arange(N) + left),
        y=[y] * N,
        mode="markers+text",
        text=[f"{letter}<sub>{t + 1}</sub>" for t in range(N)],
        textfont={"color": "white" if first else COLOURS[stream], "size": SMALL},
        marker={"symbol": symbol, "size": 30, "color": COLOURS[stream]},
        name={"face": "video window", "audio": "audio window"}[stream],
        showlegend=first,
        hovertemplate=f"track {1 if first else 2}, %{{text}}<extra></extra>",
    )


def identity_pairs(pick, N: int = 4):
    """Draw which pairs the identity task compares: one face window, the mean sound of each track.

    A slider moves the anchor i over the tracks.

    Args:
        pick: the number of the picked face window of each track, (B,).
        N: windows of a track.
    """
    import plotly.graph_objects as go

    B = len(pick)
    left = np.arange(B) * (N + 1.0)
    centre = left + (N - 1) / 2
    picked_at = left + np.asarray(pick)  # where the picked face window stands
    windows = (left[:, None] + np.arange(N)).ravel()
    brackets = [x for j in range(B) for t in range(N) for x in (left[j] + t, centre[j], None)]
    picked = (np.arange(N)[None] == np.asarray(pick)[:, None]).ravel()

    def row(stream: str, y: float, solid, name: str):
        symbol = [STREAM_SYMBOLS[stream] + ("" if full else "-open") for full in solid]
        marker = {"symbol": symbol, "size": 24, "color": COLOURS[stream], "line": {"width": 2}}
        style = {"mode": "markers", "marker": marker, "hoverinfo": "skip"}
        return go.Scatter(x=list(windows), y=[y] * len(windows), name=name, **style)

    bracket = {"mode": "lines", "line": {"color": COLOURS["audio"], "width": 1}}
    means = go.Scatter(
        x=list(centre),
        y=[0.5] * B,
        mode="markers+text",
        text=[f"ā<sub>{j + 1}</sub>" for j in range(B)],
        textfont={"color": "white", "size": SMALL},
        marker={"symbol": "circle", "size": 34, "color": COLOURS["audio"]},
        name="mean of a track's sound",
    )
    traces = [
        _pair_lines("another person", FAINT_LINE, 1.5),
        _pair_lines("the match", COLOURS["identity"], 5),
        go.Scatter(x=brackets, y=[0, 0.45, None] * (B * N), showlegend=False, **bracket),
        row("face", 2, picked, "video window (solid: picked)"),
        row("audio", 0, [False] * len(windows), "audio window"),
        means,
    ]
    states = []
    for i in range(B):
        others = [j for j in range(B) if j != i]
        fan = [x for j in others for x in (picked_at[i], centre[j], None)]
        heights = [[1.9, 0.62, None] * len(others), [1.9, 0.62]]
        states.append(([fan, [picked_at[i], centre[i]]], heights))
    figure = go.Figure(traces)
    for trace, x, y in zip(figure.data, *states[0], strict=False):
        trace.x, trace.y = x, y
    steps = [restyle(i + 1, {"x": x, "y": y}, [0, 1]) for i, (x, y) in enumerate(states)]
    title = "Identity task: one face window, the mean sound of every track"
    headed(figure, title, height=480, sliders=[slider(steps, "anchor track i")])
    hide_axes(figure)
    figure.update_yaxes(range=[-0.3, 3.1])
    for j in range(B):
        face = {"x": picked_at[j], "y": 2.16, "yanchor": "bottom", "text": f"v̂<sub>{j + 1}</sub>"}
        figure.add_annotation(x=centre[j], y=2.9, text=f"track {j + 1}", showarrow=False)
        figure.add_annotation(**face, showarrow=False, font={"color": COLOURS["face"]})
    return figure


# --- Small matrices as numbers --------------------------------------------------------------------


def worked_example(logits, *, rows: str, columns: str, values: str = ".3f"):
    """Draw a loss worked out in three matrices: weights exp l, probabilities p, cost - log p.

    Args:
        logits: (K, K).
        rows, columns: titles of the axes.
        values: how probabilities and costs are written, as for `format`.
    """
    from plotly.subplots import make_subplots

    logits = np.asarray(logits, np.float64)
    weights = np.exp(logits)
    p = weights / weights.sum(axis=1, keepdims=True)
    cost = np.where(np.eye(len(logits), dtype=bool), -np.log(p), np.nan)
    titles = ("weight  exp l", "share of its row  p", "cost of the match  − log p")
    figure = make_subplots(rows=1, cols=3, subplot_titles=titles, horizontal_spacing=0.07)
    for col, (array, style) in enumerate(((weights, ".3g"), (p, values), (cost, values)), start=1):
        _numbers(figure, array, style, col, rows=rows, columns=columns)
    figure.update_yaxes(title_text="", col=2).update_yaxes(title_text="", col=3)
    title = f"Framed: the matches. Their mean cost is the loss, {np.nanmean(cost):.3f}"
    return headed(figure, title, height=370, headings=1)


def _numbers(figure, array, style, col, *, rows: str, columns: str, size=18, **look) -> None:
    """Print a K x K array into a panel, counted from 1, and frame its diagonal, the matches.

    Args:
        figure: the plotly figure.
        array: (K, K); cells that are nan stay empty.
        style: how a number is written, as for `format`.
        col: the panel.
        rows, columns: titles of the axes.
        size: of the print.
        look: further options of the heatmap.
    """
    labels = list(range(1, len(array) + 1))
    figure.add_heatmap(
        z=[[None if np.isnan(x) else x for x in row] for row in short(array)],
        x=labels,
        y=labels,
        text=[["" if np.isnan(x) else format(x, style) for x in row] for row in array],
        texttemplate="%{text}",
        textfont={"size": size, "color": DARK},
        showscale=False,
        hovertemplate=f"{rows} %{{y}}, {columns} %{{x}}: %{{text}}<extra></extra>",
        row=1,
        col=col,
        **(_shades(array) | look),
    )
    for k in labels:
        box = {"x0": k - 0.5, "x1": k + 0.5, "y0": k - 0.5, "y1": k + 0.5}
        frame = {"color": PALETTE[1], "width": 3}
        figure.add_shape(type="rect", line=frame, row=1, col=col, **box)
    axis = {"showgrid": False, "dtick": 1, "row": 1, "col": col}
    figure.update_xaxes(title_text=columns, **axis)
    figure.update_yaxes(title_text=rows, autorange="reversed", **axis)


def _shades(values, signed: bool = False, printed: bool = True) -> dict:
    """Choose the colours of a heatmap, white at 0.

    Args:
        values: the heatmap's array.
        signed: blue above 0 and orange below it; otherwise blue only.
        printed: keep the colours so light that black print is readable on all of them.
    """
    top = float(np.nanmax(np.abs(values))) or 1.0
    orange_to_blue = [[0, PALETTE[1]], [0.5, WHITE_TO_BLUE[0][1]], [1, PALETTE[0]]]
    colours = orange_to_blue if signed else WHITE_TO_BLUE
    high = (1.6 if printed else 1.0) * top
    return {"colorscale": colours, "zmin": -1.6 * top if signed else 0, "zmax": high}


def table(values, *, title: str, rows: str, columns: str, signed=False, digits: int | None = 3):
    """Draw an array as a heatmap that counts from 1.

    Args:
        values: (K, M).
        title: of the figure.
        rows, columns: titles of the axes.
        signed: blue above 0 and orange below it; otherwise blue only.
        digits: decimals of the printed numbers; None: too many numbers to read, print none.
    """
    import plotly.graph_objects as go

    values = np.asarray(values, np.float64)
    heat = go.Heatmap(
        z=short(values),
        x=list(range(1, values.shape[1] + 1)),
        y=list(range(1, values.shape[0] + 1)),
        **_shades(values, signed, printed=digits is not None),
        showscale=digits is None,
        hovertemplate=f"{rows} %{{y}}, {columns} %{{x}}: %{{z:.3f}}<extra></extra>",
    )
    if digits is not None:
        template = f"%{{z:{'+' if signed else ''}.{digits}f}}"
        heat.update(texttemplate=template, textfont={"size": 18, "color": DARK})
    figure = go.Figure(heat)
    headed(figure, title, height=400, xaxis_title=columns, yaxis_title=rows)
    square = {"showgrid": False, "constrain": "domain"}
    figure.update_xaxes(**square)
    figure.update_yaxes(autorange="reversed", scaleanchor="x", **square)
    if max(values.shape) <= 12:
        figure.update_xaxes(dtick=1)
        figure.update_yaxes(dtick=1)
    return figure


# --- Embeddings of two numbers as points ----------------------------------------------------------


def plane(face, audio, pick=None) -> list:
    """Return embeddings as four traces: lines that join the matches, faces, sounds, mean sounds.

    One colour per track; squares are faces, circles sounds, stars mean sounds.

    Args:
        face, audio: (B, N, 2).
        pick: (B,): a line joins the picked face of a track with the mean of its sounds; None: a
            line joins each face with its sound, and there are no stars.
    """
    import plotly.graph_objects as go

    B, N = face.shape[:2]
    hover = [f"track {i + 1}, window {t + 1}" for i in range(B) for t in range(N)]
    means = audio.mean(axis=1)  # (B, 2)
    edge = {"width": 1, "color": DARK}
    colours = [PALETTE[i % len(PALETTE)] for i in range(B)]

    def cloud(points, stream: str):
        symbol = {"symbol": STREAM_SYMBOLS[stream], "size": {"face": 15, "audio": 9}[stream]}
        marker = {**symbol, "color": [c for c in colours for _ in range(N)], "line": edge}
        shown = {"text": hover, "hovertemplate": "%{text}<extra>" + stream + "</extra>"}
        return go.Scatter(**xy(points), mode="markers", name=stream, marker=marker, **shown)

    if pick is None:
        ends = np.stack([face.reshape(-1, 2), audio.reshape(-1, 2)], axis=1)  # (B N, 2, 2)
    else:
        ends = np.stack([face[np.arange(B), np.asarray(pick)], means], axis=1)  # (B, 2, 2)
    gaps = np.full((len(ends), 1, 2), np.nan)
    line = {"mode": "lines", "line": {"color": "#555", "width": 1.5}}
    joints = xy(np.concatenate([ends, gaps], axis=1))
    star = {"symbol": "star", "size": 16, "color": colours, "line": edge}
    stars = go.Scatter(**xy(means if pick is not None else means[:0]), mode="markers", marker=star)
    return [
        go.Scatter(**joints, **line, name="match", hoverinfo="skip"),
        cloud(face, "face"),
        cloud(audio, "audio"),
        stars.update(name="mean sound", showlegend=pick is not None),
    ]


def moving_points(
    face,
    audio,
    loss,
    probabilities,
    *,
    steps,
    chance: float,
    title: str,
    rows: str,
    columns: str,
    picks=None,
):
    """Draw embeddings under gradient descent: a slider and a play button over S recorded steps.

    Args:
        face, audio: (S, B, N, 2).
        loss: (S,).
        probabilities: the softmax at each step, (S, K, K).
        steps: the numbers of the steps, (S,).
        chance: the loss where nothing is known.
        title: of the figure.
        rows, columns: titles of the axes of the softmax.
        picks: the picked face windows at each step, (S, B), as in `plane`; or None.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    face, audio, loss = (np.asarray(x, np.float64) for x in (face, audio, loss))
    heat = {"zmin": 0, "zmax": 1, "colorscale": WHITE_TO_BLUE, "showscale": False}
    dot = {"mode": "markers", "marker": {"size": 13, "color": PALETTE[1]}, "showlegend": False}

    def state(s: int) -> list:
        p = short(probabilities[s], 3)
        softmax_now = go.Heatmap(z=p, hovertemplate="p = %{z}<extra></extra>", **heat)
        now = go.Scatter(x=[int(steps[s])], y=short(loss[s : s + 1]), **dot)
        pick = None if picks is None else picks[s]
        return [*plane(face[s], audio[s], pick), softmax_now, now]

    widths = {"column_widths": [0.36, 0.34, 0.30], "horizontal_spacing": 0.09}
    figure = make_subplots(1, 3, subplot_titles=("the plane", "p", "loss"), **widths)
    last = len(steps) - 1  # at rest: what was learnt
    for trace, col in zip(state(last), (1, 1, 1, 1, 2, 3), strict=True):
        figure.add_trace(trace, row=1, col=col)
    curve = {"mode": "lines", "line": {"color": PALETTE[1]}, "showlegend": False}
    figure.add_scatter(x=[int(s) for s in steps], y=short(loss), **curve, row=1, col=3)
    chance_line(figure, chance, row=1, col=3)
    names = [str(int(s)) for s in steps]
    figure.frames = [
        go.Frame(data=state(s), traces=list(range(6)), name=name) for s, name in enumerate(names)
    ]
    points = np.concatenate([face.reshape(-1, 2), audio.reshape(-1, 2)])
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = (low + high) / 2, 0.55 * max(high - low)
    ranges = [short([m - half, m + half], 2) for m in middle]
    square = {"constrain": "domain", "row": 1, "col": 1}
    figure.update_xaxes(range=ranges[0], **square)
    figure.update_yaxes(range=ranges[1], scaleanchor="x", **square)
    bare = {"showgrid": False, "zeroline": False, "showticklabels": False, "ticks": ""}
    square = {**bare, "constrain": "domain", "row": 1, "col": 2}
    figure.update_xaxes(title_text=columns, **square)
    square |= {"scaleanchor": "x2", "constraintoward": "bottom"}
    figure.update_yaxes(title_text=rows, autorange="reversed", **square)
    figure.update_xaxes(title_text="step", row=1, col=3)
    figure.update_yaxes(rangemode="tozero", row=1, col=3)
    controls = animated(names, duration=120, pad=62, redraw=True, active=last)
    return headed(figure, title, height=540, headings=1, **controls)


def points_and_losses(
    face, audio, logits, losses: dict, chance: dict, *, term: str, title: str, pick=None
):
    """Draw points in the plane, the logits and softmax that a task makes of them, and the losses.

    Args:
        face, audio: (B, N, 2).
        logits: of the task of `term`, (K, K).
        losses: {term: value}, the terms as in `dsel.plots.NAMES`.
        chance: {term: log K}.
        term: the term that stands out.
        title: of the figure.
        pick: (B,) as in `plane`; None: the logits are those of track 1, other tracks are hollow.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    face, audio, logits = (np.asarray(x, np.float64) for x in (face, audio, logits))
    headings = ("the points", "logits  l", "softmax  p", "loss<br>(dotted: log K)")
    widths = [0.21, 0.29, 0.29, 0.09 + 0.05 * len(losses)]
    spacing = {"column_widths": widths, "horizontal_spacing": 0.055}
    figure = make_subplots(1, 4, subplot_titles=headings, **spacing)
    traces = plane(face, audio, pick)
    axes = {"rows": "face of track i", "columns": "sound of track j"}
    if pick is None:
        axes = {"rows": "video t", "columns": "audio τ"}
        N = face.shape[1]
        for trace in traces[1:3]:  # hollow: the tracks that this question does not look at
            symbol = trace.marker.symbol
            trace.marker.symbol = [symbol] * N + [f"{symbol}-open"] * (N * (len(face) - 1))
    for trace in traces:
        figure.add_trace(trace, row=1, col=1)
    style = ".0f" if np.abs(logits).max() >= 99.5 else ".1f"
    _numbers(figure, logits, style, 2, size=16, **axes, **_shades(logits, signed=True))
    # One colour scale for all states: p = 1 has the same colour everywhere.
    _numbers(figure, softmax(logits), ".2f", 3, size=16, **axes, zmax=1.6)
    terms = list(losses)
    fill = [COLOURS[name] if name == term else "white" for name in terms]
    edge = {"color": [COLOURS[name] for name in terms], "width": 2}
    bars = go.Bar(
        x=[SHORT_NAMES[name] for name in terms],
        y=short([losses[name] for name in terms]),
        marker={"color": fill, "line": edge},
        text=[f"{round(losses[name], 2) + 0:.2f}" for name in terms],
        textposition="outside",
        textfont={"size": SMALL},
        showlegend=False,
        cliponaxis=False,
    )
    figure.add_trace(bars, 1, 4)
    for k, name in enumerate(terms):
        ends = {"x0": k - 0.46, "x1": k + 0.46, "y0": chance[name], "y1": chance[name]}
        line = {"color": DARK, "width": 3, "dash": "dot"}
        figure.add_shape(type="line", line=line, row=1, col=4, **ends)
    headed(figure, title, height=450, headings=2, margin={"l": 20})
    figure.update_yaxes(title={"standoff": 0})
    figure.update_xaxes(title={"standoff": 4})
    figure.update_yaxes(title_text="", row=1, col=3)
    figure.update_xaxes(tickangle=-90, row=1, col=4)
    square = {"range": [-1.25, 1.25], "constrain": "domain", "showticklabels": False}
    figure.update_xaxes(**square, row=1, col=1)
    figure.update_yaxes(**square, scaleanchor="x", row=1, col=1)
    return figure.update_yaxes(range=[0, 1.2 * max(*losses.values(), 2.0)], row=1, col=4)


def arrows(face, audio, pick, *, title: str):
    """Draw tracks as arrows from the origin: picked faces and mean sounds, their windows hollow.

    Args:
        face, audio: (B, N, 2).
        pick: (B,).
        title: of the figure.
    """
    import plotly.graph_objects as go

    face, audio, pick = np.asarray(face, float), np.asarray(audio, float), np.asarray(pick)
    figure = go.Figure()
    for i in range(len(face)):
        colour = PALETTE[i % len(PALETTE)]
        for stream, points, tip, label, position, dash in (
            ("face", face[i], face[i, pick[i]], "v̂", "top right", "solid"),
            ("audio", audio[i], audio[i].mean(axis=0), "ā", "bottom left", "dot"),
        ):
            symbol = {"symbol": STREAM_SYMBOLS[stream], "color": colour}
            hollow = {"symbol": f"{STREAM_SYMBOLS[stream]}-open", "color": colour, "size": 10}
            hollow |= {"opacity": 1}
            quiet = {"showlegend": False, "hoverinfo": "skip"}
            figure.add_scatter(**xy(points, 4), mode="markers", marker=hollow, **quiet)
            figure.add_scatter(
                **xy([np.zeros(2), tip], 4),
                mode="lines+markers+text",
                text=["", f"{label}<sub>{i + 1}</sub>"],
                textposition=position,
                line={"color": colour, "width": 3, "dash": dash},
                marker={**symbol, "size": [0, 15], "opacity": 1},
                name=f"track {i + 1}, {stream}",
            )
    return headed(figure, title, height=480).update_yaxes(scaleanchor="x")


# --- Probabilities under sliders, and curves ------------------------------------------------------


def softmax(logits, axis: int = -1) -> np.ndarray:
    """Compute exp l / sum exp l along an axis."""
    weights = np.exp(logits - np.max(logits, axis=axis, keepdims=True))
    return weights / weights.sum(axis=axis, keepdims=True)


def softmax_row(cosines, match: int, *, ws, bs, w: float = 10.0, b: float = -5.0):
    """Draw one row of logits l = w cos + b and its softmax, with a slider for w and one for b.

    The sliders do not affect each other: w sets the length of the bars, b their foot.

    Args:
        cosines: of one anchor, (K,).
        match: the number of the match.
        ws, bs: positions of the sliders.
        w, b: where they start.
    """
    from plotly.subplots import make_subplots

    cosines, ws, bs = np.asarray(cosines, np.float64), list(ws), list(bs)
    x = list(range(1, len(cosines) + 1))
    bars = {"x": x, "marker_color": match_colours(len(cosines), match), "row": 1}
    titles = ("logits  l = w cos + b", "softmax  p")
    figure = make_subplots(1, 2, subplot_titles=titles, horizontal_spacing=0.1)
    figure.add_bar(y=short(w * cosines), base=b, **bars, col=1)
    figure.add_bar(y=short(softmax(w * cosines)), **bars, col=2)
    longest = max(ws) * np.abs(cosines).max()
    figure.update_yaxes(range=short([min(bs) - longest, max(bs) + longest], 1), row=1, col=1)
    figure.update_yaxes(range=[0, 1.02], row=1, col=2)
    figure.update_xaxes(title_text="audio window τ", dtick=1, showgrid=False)
    scales = [
        restyle(f"{v:g}", {"y": [short(v * cosines), short(softmax(v * cosines))]}, [0, 1])
        for v in ws
    ]
    offsets = [restyle(f"{v:g}", {"base": [float(v)]}, [0]) for v in bs]
    sliders = [
        slider(scales, "w", active=ws.index(w), pad=60),
        slider(offsets, "b", active=bs.index(b), pad=150),
    ]
    title = "Scaled cosine: w sharpens the choice, b changes nothing (blue: the match)"
    return headed(figure, title, height=540, headings=1, sliders=sliders, showlegend=False)


def bars_against(
    settings,
    groups: dict,
    *,
    name: str,
    title: str,
    match: int,
    active: int = 0,
    x_name: str = "audio window τ",
):
    """Draw softmax rows side by side under a slider.

    Args:
        settings: positions of the slider.
        groups: {heading: (len(settings), K)}.
        name: what the slider changes.
        title: of the figure.
        match: the number of the match.
        active: the number of the position at the start.
        x_name: title of the x axes.
    """
    from plotly.subplots import make_subplots

    headings, arrays = list(groups), [np.asarray(array, np.float64) for array in groups.values()]
    K = arrays[0].shape[1]
    bars = {"x": list(range(1, K + 1)), "marker_color": match_colours(K, match), "row": 1}
    figure = make_subplots(1, len(headings), subplot_titles=headings, horizontal_spacing=0.1)
    for col, array in enumerate(arrays, start=1):
        figure.add_bar(y=short(array[active]), **bars, col=col)
    panels = list(range(len(headings)))
    steps = [
        restyle(f"{value:g}", {"y": [short(array[s]) for array in arrays]}, panels)
        for s, value in enumerate(settings)
    ]
    figure.update_xaxes(title_text=x_name, dtick=1, showgrid=False)
    figure.update_yaxes(range=[0, 1.02])
    bars = [slider(steps, name, active=active, pad=60)]
    return headed(figure, title, height=430, headings=1, sliders=bars, showlegend=False)


def lines(
    x,
    series: dict,
    *,
    title: str,
    x_name: str,
    y_name: str,
    level: float | None = None,
    level_name: str = "chance",
    log_x: bool = False,
):
    """Draw curves.

    Args:
        x: the positions of all curves.
        series: {name: (len(x),)}.
        title: of the figure.
        x_name, y_name: titles of the axes.
        level: where a dotted line is drawn; None: nowhere.
        level_name: its text.
        log_x: whether the x axis is logarithmic.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    for name, y in series.items():
        figure.add_scatter(x=short(x), y=short(y), name=name, mode="lines+markers")
    if level is not None:
        chance_line(figure, level, level_name)
    if log_x:
        ticks = {"tickvals": short(x), "ticktext": [f"{value:g}" for value in x]}
        figure.update_xaxes(type="log", **ticks)
    look = {"xaxis_title": x_name, "yaxis_title": y_name, "showlegend": len(series) > 1}
    return headed(figure, title, height=400, **look)
