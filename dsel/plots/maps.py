"""The figures of notebook 07: maps beside the figures that prove or refute them. Arrays in, plotly figures out.

plotly is imported where it is used. (Source: ours.)
"""

from __future__ import annotations

import numpy as np

from dsel.plots.style import COLOURS, colour_of, symbol_of

GREY = "#7F7F7F"


def add_points(
    figure, plane: np.ndarray, labels: np.ndarray, hover: np.ndarray, *, row=None, col=None, legend="", size=7, rows=None
) -> None:
    """Draw P points into a panel: plane (P, 2), labels (P,) str or numbers, hover (P,).

    A class of points is one trace with a colour and a marker of its own, so that a click in the legend hides it; numbers are
    one trace with a scale of colours. legend: '' for none, else the group that panels share. rows: which points (all).
    """
    import plotly.graph_objects as go

    rows = np.arange(len(plane)) if rows is None else rows
    place = {} if row is None else {"row": row, "col": col}
    common = {"mode": "markers", "hovertemplate": "%{text}<extra></extra>"}
    if np.asarray(labels).dtype.kind == "f":
        marker = {"size": size, "opacity": 0.85, "color": labels[rows].round(2).tolist(), "colorscale": "Viridis"}
        marker |= {"showscale": bool(legend), "colorbar": {"thickness": 12}, "cmin": labels.min(), "cmax": labels.max()}
        figure.add_trace(
            go.Scatter(**_xy(plane[rows]), text=hover[rows].tolist(), marker=marker, showlegend=False, **common), **place
        )
        return
    for c, label in enumerate(sorted(set(labels.tolist()))):
        mine = rows[labels[rows] == label]
        trace = go.Scatter(
            **_xy(plane[mine]),
            text=hover[mine].tolist(),
            marker={"size": size, "opacity": 0.8, "color": colour_of(c), "symbol": symbol_of(c)},
            name=label,
            legendgroup=f"{legend} {label}",
            showlegend=bool(legend),
            **common,
        )
        figure.add_trace(trace, **place)


def maps_row(panels: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]], *, title: str, legend: bool = True):
    """Maps beside each other: {panel title: (plane (P, 2), labels (P,), hover (P,))}. The legend is that of the first."""
    from plotly.subplots import make_subplots

    figure = make_subplots(1, len(panels), subplot_titles=list(panels), horizontal_spacing=0.03)
    for col, (plane, labels, hover) in enumerate(panels.values(), start=1):
        add_points(figure, plane, labels, hover, row=1, col=col, legend="row" if legend and col == 1 else "")
    figure.update_annotations(font_size=15 if len(panels) < 3 else 13)  # three headings of a few words do not touch
    return _bare(figure, title, height=430)


def maps_and_proof(planes: dict, labels: np.ndarray, hover: np.ndarray, proof: dict, *, title: str, chance: float, of: str):
    """A row of maps a stage, and at its end the bars that say what may be believed of it.

    planes {stage: {head: (P, 2)}}; proof {stage: {head: figure in %}}, for every head of planes and possibly more (the
    ceiling); chance: drawn through the bars; of: what the bars measure.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    stages, heads = list(planes), list(next(iter(planes.values())))
    titles = [f"{stage}: {head} head" for stage in stages for head in heads]
    for n in range(len(stages)):
        titles.insert((n + 1) * len(heads) + n, of)
    figure = make_subplots(
        len(stages),
        len(heads) + 1,
        subplot_titles=titles,
        column_widths=[0.37] * len(heads) + [0.26],
        horizontal_spacing=0.05,
        vertical_spacing=0.12,
    )
    highest = max(value for found in proof.values() for value in found.values())
    for row, stage in enumerate(stages, start=1):
        for col, head in enumerate(heads, start=1):
            add_points(figure, planes[stage][head], labels, hover, row=row, col=col, legend="all" if row == col == 1 else "")
        found = proof[stage]
        bars = go.Bar(
            x=list(found),
            y=list(found.values()),
            text=[f"{value:.0f}" for value in found.values()],
            textposition="outside",
            cliponaxis=False,
            marker={"color": [COLOURS.get(name, GREY) for name in found]},
            hovertemplate="%{x}: %{y:.1f} %<extra></extra>",
            showlegend=False,
        )
        figure.add_trace(bars, row, len(heads) + 1)
        line = {"color": COLOURS["chance"], "dash": "dot"}
        figure.add_hline(
            chance, row=row, col=len(heads) + 1, line=line, annotation_text="chance",
            annotation={"font": {"size": 11}, "bgcolor": "rgba(255,255,255,.8)"},  # it stands on a bar
        )  # fmt: skip
    _bare(figure, title, height=420 * len(stages))
    figure.update_xaxes(visible=True, showgrid=False, tickfont={"size": 12}, col=len(heads) + 1)
    figure.update_yaxes(visible=True, range=[0, 1.2 * highest], ticksuffix=" %", tickfont={"size": 11}, col=len(heads) + 1)
    return figure


def joined_pairs(panels: dict[str, np.ndarray], labels: np.ndarray, hover: np.ndarray, *, title: str):
    """Faces (circles) and voices (diamonds) of the same P things in one map, each pair joined by a line.

    panels {title: plane (2 P, 2), faces first}; labels, hover (P,).
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure, P = make_subplots(1, len(panels), subplot_titles=list(panels), horizontal_spacing=0.03), len(labels)
    names = sorted(set(labels.tolist()))
    for col, plane in enumerate(panels.values(), start=1):
        gaps = np.full((P, 2), np.nan)
        lines = np.stack([plane[:P], plane[P:], gaps], axis=1).reshape(-1, 2)  # face, voice, nothing, face, ...
        joints = {"x": _or_none(lines[:, 0]), "y": _or_none(lines[:, 1])}
        line = {"width": 1, "color": "rgba(127,127,127,.45)"}
        figure.add_trace(go.Scatter(**joints, mode="lines", line=line, hoverinfo="skip", showlegend=False), 1, col)
        for c, name in enumerate(names):
            k = np.flatnonzero(labels == name)
            trace = go.Scatter(
                **_xy(plane[np.concatenate([k, P + k])]),
                mode="markers",
                marker={
                    "size": 8,
                    "color": colour_of(c),
                    "opacity": 0.85,
                    "symbol": ["circle"] * len(k) + ["diamond-open"] * len(k),
                },
                text=[f"{kind} of {hover[n]}" for kind in ("face", "voice") for n in k],
                hovertemplate="%{text}<extra></extra>",
                name=name,
                legendgroup=name,
                showlegend=col == 1,
            )
            figure.add_trace(trace, 1, col)
    return _bare(figure, title, height=460)


def emergence(
    steps: list, planes: dict[str, list[np.ndarray]], labels: np.ndarray, hover: np.ndarray, notes: list[str], *, title: str
):
    """Maps of the same points at several moments of a training, under plotly's own slider: it moves without a kernel.

    planes {head: one (P, 2) a step}; notes: a line under the title for each step, e.g. what was counted then.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    titles = [f"{head} head" for head in planes]
    figure = make_subplots(1, len(planes), subplot_titles=titles, horizontal_spacing=0.03)
    for col, moments in enumerate(planes.values(), start=1):
        add_points(figure, moments[0], labels, hover, row=1, col=col, legend="all" if col == 1 else "")
    names = sorted(set(labels.tolist()))
    figure.frames = [
        go.Frame(
            data=[go.Scatter(**_xy(moments[n][labels == name])) for moments in planes.values() for name in names],
            layout={"title.text": f"{title}<br><sup>{notes[n]}</sup>"},
            name=str(step),
        )
        for n, step in enumerate(steps)
    ]
    how = {"mode": "immediate", "frame": {"duration": 700, "redraw": True}, "transition": {"duration": 600}}
    moves = [{"method": "animate", "label": str(step), "args": [[str(step)], how]} for step in steps]
    _bare(figure, f"{title}<br><sup>{notes[0]}</sup>", height=520)
    for col, moments in enumerate(planes.values(), start=1):  # one frame of reference for all steps
        every = np.concatenate(moments)
        low, high = every.min(axis=0), every.max(axis=0)
        margin = 0.05 * (high - low)
        figure.update_xaxes(range=[low[0] - margin[0], high[0] + margin[0]], col=col)
        figure.update_yaxes(range=[low[1] - margin[1], high[1] + margin[1]], col=col)
    figure.update_layout(sliders=[{"steps": moves, "currentvalue": {"prefix": "training step: "}, "pad": {"t": 20}}])
    return figure


def explored(plane: np.ndarray, labels: np.ndarray, hover: np.ndarray, at: int, near: np.ndarray, *, title: str):
    """One map, with a ring around the chosen point and lines to its neighbours `near` in the space of the embeddings."""
    import plotly.graph_objects as go

    figure = go.Figure()
    rays = np.array([plane[at], [np.nan, np.nan]])[[0, 0, 1]][None].repeat(max(1, len(near)), axis=0)  # (k, 3, 2)
    rays[: len(near), 1] = plane[near]
    rays = rays.reshape(-1, 2)
    line = {"width": 1.5, "color": GREY}
    xy = {"x": _or_none(rays[:, 0]), "y": _or_none(rays[:, 1])}
    figure.add_trace(go.Scatter(**xy, mode="lines", line=line, hoverinfo="skip", name="its nearest", showlegend=True))
    add_points(figure, plane, labels, hover, legend="all", size=9)
    ring = {"size": 20, "symbol": "circle-open", "color": "#000", "line": {"width": 3}}
    here = _xy(plane[[at]])
    figure.add_trace(go.Scatter(**here, mode="markers", marker=ring, hoverinfo="skip", name="the chosen", showlegend=True))
    return _bare(figure, title, height=520, width=820)


def two_questions(answers: dict[str, tuple[list[str], np.ndarray, np.ndarray]], *, title: str):
    """Ranked answers to two questions beside each other: {question: (texts, scores (k,), right (k,) bool)}.

    Bars in the colour of the head that answers, full where the answer is right, hollow where it is not.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(1, len(answers), subplot_titles=list(answers), horizontal_spacing=0.04)
    for col, (head, (texts, scores, right)) in enumerate(zip(("identity", "content"), answers.values(), strict=False), start=1):
        bars = go.Bar(
            y=[f"{rank}" for rank in range(1, len(texts) + 1)],
            x=np.round(scores, 3).tolist(),
            text=[f"{'✓' if yes else '✗'} {text}" for text, yes in zip(texts, right, strict=True)],
            textposition="inside",
            insidetextanchor="start",
            orientation="h",
            marker={
                "color": [COLOURS[head] if yes else "rgba(127,127,127,.25)" for yes in right],
                "line": {"color": COLOURS[head], "width": 2},
            },
            hovertemplate="%{text}, cosine %{x:.2f}<extra></extra>",
            showlegend=False,
        )
        figure.add_trace(bars, 1, col)
        figure.update_xaxes(title="cosine", range=[0, 1.02], row=1, col=col)
        figure.update_yaxes(autorange="reversed", showgrid=False, row=1, col=col)
    figure.update_layout(title=title, height=120 + 44 * max(len(a[0]) for a in answers.values()), width=960)
    return figure


def _bare(figure, title: str, *, height: int, width: int = 960):
    """No axes: the coordinates of a map mean nothing."""
    figure.update_layout(
        title=title,
        width=width,
        height=height,
        margin={"t": 100, "l": 20, "r": 20, "b": 30},
        legend={"itemsizing": "constant", "font": {"size": 12}, "tracegroupgap": 0},  # all speakers without scrolling
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure


def _xy(plane: np.ndarray) -> dict[str, list]:
    return {"x": np.round(plane[:, 0], 3).tolist(), "y": np.round(plane[:, 1], 3).tolist()}


def _or_none(values: np.ndarray) -> list:
    """Numbers for plotly, with None where a line is interrupted."""
    return [None if np.isnan(value) else round(float(value), 3) for value in values]


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
