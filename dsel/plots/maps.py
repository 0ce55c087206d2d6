"""Figures of maps: embeddings projected to the plane, and the bars that prove or refute them.

    two_maps          maps side by side, with buttons        notebooks 00 and 10, `dsel plot`
    maps_row          maps side by side                      notebook 07
    maps_and_proof    maps, and a count made in the space    notebook 07
    joined_pairs      faces and voices in one map            notebook 07
    emergence         maps over a training, with a slider    notebook 07
    explored          one state of `EmbeddingExplorer`       notebook 07
    two_questions     one state of `RetrievalExplorer`       notebook 07

Arrays in, plotly figures out. A map is P points: plane (P, 2), labels (P,) that colour it, hover
(P,) the text under the mouse. `network` says in the title which network is shown. plotly is
imported where it is used. (Source: ours.)
"""

from __future__ import annotations

import numpy as np

from dsel.plots.style import (
    COLOURS,
    DARK,
    FAINT_LINE,
    GREY,
    SMALL,
    colour_of,
    headed,
    slider,
    symbol_of,
    titled,
    xy,
)

__all__ = [
    "add_points",
    "emergence",
    "explored",
    "joined_pairs",
    "maps_and_proof",
    "maps_row",
    "two_maps",
    "two_questions",
]

HOVER = "%{text}<extra></extra>"


def add_points(
    figure,
    plane: np.ndarray,
    labels: np.ndarray,
    hover: np.ndarray,
    *,
    row=None,
    col=None,
    legend="",
    size=7,
    numbered=False,
) -> None:
    """Draw P points into a panel.

    Points with the same label are one trace with a colour and a marker of its own, so that a click
    in the legend hides them. Labels that are numbers give one trace with a scale of colours.

    Args:
        figure: the plotly figure.
        plane, labels, hover: the map, see the top of this file; labels are str or float.
        row, col: the panel; None: the figure has only one.
        legend: '' for no legend, else the group that panels share.
        size: of a marker in pixels.
        numbered: whether points carry their number, for a click on them.
    """
    import plotly.graph_objects as go

    place = {} if row is None else {"row": row, "col": col}
    common = {"mode": "markers", "hovertemplate": HOVER}
    if np.asarray(labels).dtype.kind == "f":
        colours = {"color": labels.round(2).tolist(), "colorscale": "Viridis"}
        scale = {"showscale": bool(legend), "colorbar": {"thickness": 12}}
        marker = {"size": size, "opacity": 0.85, **colours, **scale}
        marker |= {"cmin": labels.min(), "cmax": labels.max()}
        numbers = list(range(len(plane))) if numbered else None
        common |= {"text": hover.tolist(), "customdata": numbers}
        trace = go.Scatter(**xy(plane), marker=marker, **common)
        figure.add_trace(trace.update(showlegend=False), **place)
        return
    for number, label in enumerate(sorted(set(labels.tolist()))):
        own = labels == label
        colour = {"color": colour_of(number), "symbol": symbol_of(number)}
        trace = go.Scatter(
            **xy(plane[own]),
            text=hover[own].tolist(),
            marker={"size": size, "opacity": 0.8, **colour},
            name=str(label),
            legendgroup=f"{legend} {label}",
            showlegend=bool(legend),
            customdata=np.flatnonzero(own).tolist() if numbered else None,
            **common,
        )
        figure.add_trace(trace, **place)


def maps_row(panels: dict, *, title: str, legend: bool = True, network: str = ""):
    """Draw maps side by side.

    Args:
        panels: {panel title: (plane, labels, hover)}.
        title: of the figure.
        legend: whether to show one, that of the first panel.
        network: which network is shown.
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(1, len(panels), subplot_titles=list(panels), horizontal_spacing=0.03)
    for col, (plane, labels, hover) in enumerate(panels.values(), start=1):
        group = "row" if legend and col == 1 else ""
        add_points(figure, plane, labels, hover, row=1, col=col, legend=group)
    return _bare(figure, title, network=network, height=460)


def maps_and_proof(
    planes: dict,
    labels,
    hover,
    proof: dict,
    *,
    title: str,
    chance: float,
    of: str,
    network: str = "",
):
    """Draw a column of maps per network, and beside them the bars that say how much to believe.

    Args:
        planes: {network: {head: plane}}.
        labels, hover: of the points, the same in all maps.
        proof: {network: {code: metric in %}}; it may hold more networks than planes, as controls.
        title: of the figure.
        chance: level of the dotted line through the bars, in %.
        of: what the bars measure.
        network: where the networks come from.
    """
    from plotly.subplots import make_subplots

    names, heads = list(planes), list(next(iter(planes.values())))
    rows, bars_at = len(heads), len(names) + 1
    titles = [f"{name}: {head}" for head in heads for name in names]
    titles.insert(len(names), of)
    bars, no_panel = {"rowspan": rows}, [[None]] * (rows - 1)
    figure = make_subplots(
        rows,
        bars_at,
        specs=[[{}] * len(names) + last for last in ([bars], *no_panel)],
        subplot_titles=titles,
        column_widths=[0.66 / len(names)] * len(names) + [0.34],
        horizontal_spacing=0.1,
        vertical_spacing=0.08,
    )
    for row, head in enumerate(heads, start=1):
        for col, name in enumerate(names, start=1):
            group = "all" if row == col == 1 else ""
            add_points(figure, planes[name][head], labels, hover, row=row, col=col, legend=group)
    _proof_bars(figure, proof, chance, row=1, col=bars_at)
    _bare(figure, title, network=network, height=150 + 265 * rows)
    highest = max(value for metrics in proof.values() for value in metrics.values())
    shown = {"visible": True, "row": 1, "col": bars_at}
    figure.update_xaxes(**shown, range=[0, 1.5 * highest], ticksuffix=" %")
    return figure.update_yaxes(**shown, showgrid=False, autorange="reversed")


def _proof_bars(figure, proof: dict, chance: float, *, row: int, col: int) -> None:
    """Draw {network: {code: %}} as groups of bars with their values, and the line of chance."""
    import plotly.graph_objects as go

    for code in next(iter(proof.values())):
        values = [metrics[code] for metrics in proof.values()]
        bars = go.Bar(
            y=list(proof),
            x=values,
            orientation="h",
            name=code,
            text=[f"{code} {value:.0f}" for value in values],
            textposition="outside",
            cliponaxis=False,
            marker={"color": COLOURS.get(code, GREY)},
            hovertemplate=f"%{{y}}, {code}: %{{x:.1f}} %<extra></extra>",
            showlegend=False,
        )
        figure.add_trace(bars, row, col)
    line = {"color": COLOURS["chance"], "dash": "dot"}
    note = {"bgcolor": "rgba(255,255,255,.85)"}  # it stands on a bar
    text = {"annotation_text": "chance", "annotation_position": "bottom right", "annotation": note}
    figure.add_vline(chance, row=row, col=col, line=line, **text)


def joined_pairs(panels: dict, labels, hover, *, title: str, network: str = ""):
    """Draw the face (full) and the voice (hollow) of each of P things, joined by a line.

    Args:
        panels: {panel title: plane (2 P, 2), faces first}.
        labels, hover: of the P things.
        title: of the figure.
        network: which network is shown.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    P = len(labels)
    figure = make_subplots(1, len(panels), subplot_titles=list(panels), horizontal_spacing=0.03)
    for col, plane in enumerate(panels.values(), start=1):
        gaps = np.full((P, 2), np.nan)
        joints = np.stack([plane[:P], plane[P:], gaps], axis=1)  # (P, 3, 2): face, voice, a gap
        line = {"width": 1, "color": FAINT_LINE}
        joints = go.Scatter(**xy(joints), mode="lines", line=line, hoverinfo="skip")
        figure.add_trace(joints.update(showlegend=False), 1, col)
        for number, label in enumerate(sorted(set(labels.tolist()))):
            own = np.flatnonzero(labels == label)
            symbol = symbol_of(number)
            symbols = [symbol] * len(own) + [f"{symbol}-open"] * len(own)
            marker = {"size": 9, "color": colour_of(number), "symbol": symbols}
            trace = go.Scatter(
                **xy(plane[np.concatenate([own, P + own])]),
                mode="markers",
                marker=marker,
                text=[f"{hover[k]} ({stream})" for stream in ("face", "voice") for k in own],
                hovertemplate=HOVER,
                name=str(label),
                legendgroup=str(label),
                showlegend=col == 1,
            )
            figure.add_trace(trace, 1, col)
    return _bare(figure, title, network=network, height=480)


def emergence(
    steps: list,
    planes: dict,
    labels,
    hover,
    notes: list[str],
    *,
    title: str,
    network: str = "",
    first: int = -1,
):
    """Draw maps of the same points at several moments of trainings, under a slider.

    Args:
        steps: names of the moments, e.g. the training steps, (S,).
        planes: {heading of a panel: S planes}.
        labels, hover: of the points.
        notes: a line under the title for each step, e.g. what was counted then.
        title: of the figure.
        network: which network is shown.
        first: the number of the moment that is shown at rest; the last: what was learnt.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(1, len(planes), subplot_titles=list(planes), horizontal_spacing=0.03)
    first %= len(steps)
    for col, moments in enumerate(planes.values(), start=1):
        group = "all" if col == 1 else ""
        add_points(figure, moments[first], labels, hover, row=1, col=col, legend=group)
    names = sorted(set(labels.tolist()))

    def state(n: int) -> list:
        groups = [moments[n][labels == name] for moments in planes.values() for name in names]
        return [go.Scatter(**xy(points)) for points in groups]

    texts = [titled(title, note, network=network) for note in notes]
    figure.frames = [
        go.Frame(data=state(n), layout={"title.text": texts[n]}, name=str(step))
        for n, step in enumerate(steps)
    ]
    move = {"mode": "immediate", "frame": {"duration": 700, "redraw": True}}
    move["transition"] = {"duration": 600}
    moves = [{"method": "animate", "label": str(s), "args": [[str(s)], move]} for s in steps]
    _bare(figure, title, notes[first], network=network, height=560)
    for col, moments in enumerate(planes.values(), start=1):  # the same axes at every step
        points = np.concatenate(moments)
        low, high = points.min(axis=0), points.max(axis=0)
        margin = 0.05 * (high - low)
        figure.update_xaxes(range=[low[0] - margin[0], high[0] + margin[0]], col=col)
        figure.update_yaxes(range=[low[1] - margin[1], high[1] + margin[1]], col=col)
    return figure.update_layout(sliders=[slider(moves, "training step", active=first, pad=20)])


def explored(
    plane, labels, hover, selected: int, near: np.ndarray, *, title: str, network: str = ""
):
    """Draw one map with a ring around a point and lines to its nearest neighbours in the space.

    Args:
        plane, labels, hover: the map.
        selected: the number of the ringed point.
        near: numbers of its nearest points by the embeddings, not by the map.
        title: of the figure.
        network: which network is shown.
    """
    import plotly.graph_objects as go

    gap = np.full(2, np.nan)
    rays = [point for k in near for point in (plane[selected], plane[k], gap)]
    figure = go.Figure()
    line = {"width": 1.5, "color": GREY}
    rays = go.Scatter(**xy(rays), mode="lines", line=line, hoverinfo="skip", name="its nearest")
    figure.add_trace(rays.update(showlegend=True))
    add_points(figure, plane, labels, hover, legend="all", size=9, numbered=True)
    ring = {"size": 20, "symbol": "circle-open", "color": "#000", "line": {"width": 3}}
    place = {**xy(plane[[selected]]), "mode": "markers", "marker": ring}
    figure.add_trace(go.Scatter(**place, hoverinfo="skip", name="the chosen", showlegend=True))
    return _bare(figure, title, network=network, height=560)


def two_questions(answers: dict, *, title: str, network: str = "", numbers=((), ())):
    """Draw the ranked answers of the identity head and of the content head to one question each.

    Bars are full where an answer is right and white where it is not.

    Args:
        answers: {question: (texts (k,), scores (k,), right (k,) bool)}.
        title: of the figure.
        network: which network answers.
        numbers: of the answers, for a click on them; one list per question.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(1, len(answers), subplot_titles=list(answers), horizontal_spacing=0.04)
    for col, (head, answer, own) in enumerate(
        zip(("identity", "content"), answers.values(), numbers, strict=False), start=1
    ):
        texts, scores, right = answer
        colours = [COLOURS[head] if yes else "white" for yes in right]
        bars = go.Bar(
            y=[f"{rank}" for rank in range(1, len(texts) + 1)],
            x=np.round(scores, 3).tolist(),
            text=[f"{'✓' if yes else '✗'} {t}" for t, yes in zip(texts, right, strict=True)],
            textposition="inside",
            insidetextanchor="start",
            insidetextfont={"color": ["white" if yes else DARK for yes in right], "size": SMALL},
            outsidetextfont={"color": DARK, "size": SMALL},
            orientation="h",
            customdata=list(own) or None,
            marker={"color": colours, "line": {"color": COLOURS[head], "width": 2}},
            hovertemplate="%{text}, cosine %{x:.2f}<extra></extra>",
            showlegend=False,
        )
        figure.add_trace(bars, 1, col)
        figure.update_xaxes(title="cosine", range=[0, 1.02], row=1, col=col)
        figure.update_yaxes(autorange="reversed", showgrid=False, row=1, col=col)
    rows = max(len(texts) for texts, _, _ in answers.values())
    return headed(figure, title, network=network, height=150 + 44 * rows, headings=1)


def two_maps(views: dict, *, title: str, notes: dict[str, str], network: str = ""):
    """Draw maps of the same points side by side; buttons choose what colours them.

    Args:
        views: {button: (maps {panel title: plane}, labels, hover)}, all with the same panels; the
            first is shown at the start.
        title: of the figure.
        notes: {button: a line under the title}, e.g. the purity.
        network: which network is shown.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    first = next(iter(views))
    panels = list(views[first][0])
    figure = make_subplots(1, len(panels), subplot_titles=panels, horizontal_spacing=0.04)
    view_of = []  # the view that each trace belongs to
    for view, (maps, labels, hover) in views.items():
        for number, label in enumerate(sorted(set(labels))):
            own = labels == label
            colour = {"color": colour_of(number), "symbol": symbol_of(number)}
            for col, plane in enumerate(maps.values(), start=1):
                trace = go.Scatter(
                    **xy(plane[own]),
                    mode="markers",
                    marker={"size": 9, "opacity": 0.8, **colour},
                    text=hover[own].tolist(),
                    hovertemplate=HOVER,
                    name=str(label),
                    legendgroup=f"{view} {label}",
                    showlegend=col == 1,
                    visible=view == first,
                )
                figure.add_trace(trace, 1, col)
                view_of.append(view)
    texts = {view: titled(title, notes[view], network=network) for view in views}
    buttons = []
    for view in views:
        shown = {"visible": [view == other for other in view_of]}
        arguments = [shown, {"title.text": texts[view]}]
        buttons.append({"label": view, "method": "update", "args": arguments})
    menu = {"buttons": buttons, "type": "buttons", "direction": "right"}
    menu |= {"x": 0, "y": 0, "xanchor": "left", "yanchor": "top", "pad": {"t": 14}}
    menu |= {"font": {"size": SMALL}}
    menus = [menu] if len(views) > 1 else []  # nothing to choose, nothing to press
    _bare(figure, title, notes[first], network=network, height=600)
    return figure.update_layout(updatemenus=menus)


def _bare(figure, title: str, *notes: str, network: str = "", height: int):
    """Set title and height, and remove the axes: the coordinates of a map mean nothing."""
    figure.update_annotations(font_size=SMALL)
    side = {"l": 20, "r": 20, "b": 20}
    look = {"legend": {"tracegroupgap": 0}, "margin": side}
    headed(figure, title, *notes, network=network, height=height, headings=1, **look)
    return figure.update_xaxes(visible=False).update_yaxes(visible=False)
