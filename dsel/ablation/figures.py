"""Figures of the ablation: rows of results.csv in, plotly figures out. Every point has its 95 %
interval; nothing is ranked.
"""

from __future__ import annotations

import math

from dsel.ablation.report import (
    GRID_GROUPS,
    GROUPS,
    PAIRS,
    TRIALS,
    growth,
    label,
    mean,
    paired,
    present,
    values,
)
from dsel.evaluate.intervals import interval
from dsel.plots.style import PALETTE, headed, hollow, slider

KINDS = {"eer_free": "free trials", "eer_hard": "hard trials", "eer_easy": "easy trials"}
SYMBOLS = ("circle", "circle-open", "diamond", "triangle-up", "triangle-down", "square")
STYLE = {column: (PALETTE[k], SYMBOLS[k]) for k, column in enumerate(TRIALS)}


def figures(results: list[dict], split: str = "test") -> dict:
    """{name: figure} of all groups that have results, the effect of the confusion loss, and its
    growth with training.
    """
    found = {}
    for name, (rows, _) in GROUPS.items():
        there = any(values(results, row, f"{split}_eer_free") for row in rows)
        if there and (name not in GRID_GROUPS or present(results, name)):
            found[name.lower().replace(" ", "-")] = group_figure(results, name, split)
    if any(paired(results, *pair, f"{split}_eer_free").seeds for pair in PAIRS.values()):
        found["effect"] = effect_figure(results, split)
        found["growth"] = growth_figure(results, split)
    return found


def group_figure(results: list[dict], name: str, split: str = "test"):
    """EER of each row of a group, free, hard and easy: the mean over seeds with its interval; every
    seed as a small hollow point.
    """
    import plotly.graph_objects as go

    rows = [row for row in GROUPS[name][0] if values(results, row, f"{split}_eer_free")]
    figure = go.Figure()
    for k, (column, kind) in enumerate(KINDS.items()):
        colour, symbol = STYLE[column]
        places = [-i + 0.24 * (1 - k) for i in range(len(rows))]
        seeds = [
            (v, place - 0.09)
            for row, place in zip(rows, places, strict=True)
            for v in values(results, row, f"{split}_{column}").values()
        ]
        figure.add_trace(
            go.Scatter(
                x=[round(x, 2) for x, _ in seeds],
                y=[round(y, 2) for _, y in seeds],
                mode="markers",
                showlegend=False,
                hoverinfo="skip",
                marker=hollow(colour, symbol),
            )
        )
        means = [mean(results, row, f"{split}_{column}") for row in rows]
        figure.add_trace(_points(places, means, kind, colour, symbol, horizontal=True))
    figure.add_vline(x=50, line={"dash": "dot", "color": PALETTE[6]}, annotation_text="chance")
    names = [_wrapped(label(row, name), 26) for row in rows]
    ticks = {"tickvals": [-i for i in range(len(rows))], "ticktext": names, "zeroline": False}
    figure.update_yaxes(tickmode="array", range=[0.6 - len(rows), 0.6], **ticks)
    figure.update_xaxes(title=f"EER, {split} speakers, %", rangemode="tozero")
    note = "mean over seeds, 95 % interval; small and hollow: each seed"
    return headed(figure, name, note, height=72 * len(rows) + 200)


def effect_figure(results: list[dict], split: str = "test"):
    """What the confusion loss changes, in points of EER, for every training corpus and kind of
    trial; left of 0 it helps.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    names = [
        name for name, pair in PAIRS.items() if paired(results, *pair, f"{split}_eer_free").seeds
    ]
    for k, (column, kind) in enumerate(TRIALS.items()):
        colour, symbol = STYLE[column]
        found = [paired(results, *PAIRS[name], f"{split}_{column}").interval for name in names]
        places = [-i + 0.12 * (2.5 - k) for i in range(len(names))]
        figure.add_trace(_points(places, found, kind, colour, symbol, horizontal=True))
    figure.add_vline(x=0, line={"color": PALETTE[6]})
    figure.update_yaxes(
        tickmode="array", tickvals=[-i for i in range(len(names))], ticktext=names, zeroline=False
    )
    figure.update_xaxes(
        title="EER with the confusion loss minus without, points (left: it helps)", zeroline=False
    )
    below = f"paired over seeds, 95 % interval, {split} speakers"
    title = "What the disentanglement loss changes"
    return headed(figure, title, below, height=110 * len(names) + 240)


def growth_figure(results: list[dict], split: str = "test"):
    """The same difference at several steps of the training, free and hard trials, one panel a
    training corpus.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    names = [
        name for name, pair in PAIRS.items() if paired(results, *pair, f"{split}_eer_free").seeds
    ]
    wide = min(3, len(names))
    grid = {"rows": -(-len(names) // wide), "cols": wide}
    figure = make_subplots(
        **grid,
        subplot_titles=[_wrapped(name, 34) for name in names],
        shared_yaxes="all",
        shared_xaxes="all",
    )
    for k, name in enumerate(names):
        row, column = 1 + k // wide, 1 + k % wide
        for figure_name in ("eer_free", "eer_hard"):
            colour, symbol = STYLE[figure_name]
            found = growth(results, *PAIRS[name], f"{split}_{figure_name}")
            points = _points(
                list(found),
                [d.interval for d in found.values()],
                TRIALS[figure_name],
                colour,
                symbol,
            )
            points.update(mode="lines+markers", line={"color": colour}, showlegend=k == 0)
            figure.add_trace(points, row, column)
        figure.add_trace(
            go.Scatter(
                x=[0],
                y=[0],
                mode="markers",
                marker={"opacity": 0},
                showlegend=False,
                hoverinfo="skip",
            ),
            row,
            column,
        )
        figure.add_hline(y=0, line={"color": PALETTE[6]}, row=row, col=column)
    figure.update_xaxes(title="step", row=grid["rows"]).update_xaxes(rangemode="tozero")
    figure.update_yaxes(title="points of EER", col=1)
    below = f"with minus without, paired over seeds, {split} speakers"
    title = "How its effect grows with training"
    return headed(figure, title, below, height=150 + 300 * grid["rows"], headings=1)


def along_directions(heard: dict, dims: list[int]):
    """EER of voices compared along the first d main directions of the faces, and along all others;
    a panel a network.

    heard {network: {"whole": {kind: EER}, "faces", "others": {kind: [EER at each of dims]}}}, in
    percent.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(
        1, len(heard), subplot_titles=list(heard), shared_yaxes=True, horizontal_spacing=0.04
    )
    colours = {kind: STYLE[f"eer_{kind}"][0] for kind in ("free", "hard", "easy")}
    for column, found in enumerate(heard.values(), start=1):
        for kind, colour in colours.items():
            for part, dash, told in (
                ("faces", "solid", "first d of the faces"),
                ("others", "dot", "all others"),
            ):
                line = go.Scatter(
                    x=dims,
                    y=[round(y, 1) for y in found[part][kind]],
                    mode="lines+markers",
                    name=f"{kind}: {told}",
                    line={"color": colour, "dash": dash},
                    showlegend=column == 1,
                    legendgroup=f"{kind} {part}",
                    hovertemplate=f"{kind}, d = %{{x}}: %{{y}} %<extra>{told}</extra>",
                )
                figure.add_trace(line, 1, column)
            whole = {"line": {"color": colour, "width": 1}, "opacity": 0.6}
            figure.add_hline(y=found["whole"][kind], row=1, col=column, **whole)
    figure.update_xaxes(title="d, directions of the faces", type="log", tickvals=dims)
    figure.update_yaxes(title="EER, %", rangemode="tozero", col=1)
    title = "Voices of strangers, along the directions in which faces differ"
    return headed(figure, title, "thin lines: along all directions", height=540, headings=1)


def coverage_figure(
    rng, truth: float = 21.0, spread: float = 1.0, seeds=range(2, 11), experiments: int = 40
):
    """Invented experiments whose truth is known: the 95 % interval of each, for a number of seeds
    that a slider sets.

    Each experiment keeps its first seeds as more are added. Intervals that miss the truth stand
    out.
    """
    import plotly.graph_objects as go

    drawn = rng.normal(truth, spread, (experiments, max(seeds)))
    figure, steps = go.Figure(), []
    for k, n in enumerate(seeds):
        found = [interval(x[:n]) for x in drawn]
        for holds, colour in ((True, PALETTE[0]), (False, PALETTE[1])):
            places = [
                i for i, each in enumerate(found) if (each.low <= truth <= each.high) is holds
            ]
            name = f"holds the truth ({len(places)})" if holds else f"misses it ({len(places)})"
            points = _points(
                places, [found[i] for i in places], name, colour, "circle" if holds else "diamond"
            )
            figure.add_trace(points.update(visible=k == 3, marker={"size": 6}))
    for k, n in enumerate(seeds):
        shown = [i // 2 == k for i in range(2 * len(seeds))]
        steps.append({"label": str(n), "method": "update", "args": [{"visible": shown}]})
    figure.add_hline(y=truth, line={"color": PALETTE[6]})
    figure.update_yaxes(title="EER, %", range=[truth - 5 * spread, truth + 5 * spread])
    figure.update_xaxes(title="experiment", showgrid=False)
    bar = slider(steps, "seeds", active=3)
    return headed(figure, "Forty experiments, one truth", sliders=[bar], height=540)


def _points(
    places: list, found: list, name: str, colour: str, symbol: str, horizontal: bool = False
):
    """Means with their intervals as error bars; a single seed has none."""
    import plotly.graph_objects as go

    means = [None if math.isnan(i.mean) else round(i.mean, 2) for i in found]
    bars = {
        "type": "data",
        "array": [round(i.half, 2) if math.isfinite(i.half) else 0 for i in found],
        "thickness": 2,
    }
    text = [f"{name}: {i}, n = {i.n}" for i in found]
    x, y = (means, places) if horizontal else (places, means)
    return go.Scatter(
        x=x,
        y=y,
        mode="markers",
        name=name,
        text=text,
        hovertemplate="%{text}<extra></extra>",
        marker={
            "color": colour,
            "size": 11,
            "symbol": symbol,
            "line": {"width": 2, "color": colour},
        },
        **{"error_x" if horizontal else "error_y": bars},
    )


def _wrapped(text: str, width: int = 18) -> str:
    """The text in lines of at most that many letters, where it has spaces."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "<br>".join(lines)
