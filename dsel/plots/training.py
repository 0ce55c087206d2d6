"""Figures of a training: curves over their chance levels, runs side by side, where the milliseconds of a step go.

Rows in, plotly figures out. A row is what the trainer logs: {"step", "content", "identity", "confusion_cs", ...}.
"""

from __future__ import annotations

import math

from dsel.plots.style import COLOURS, NAMES, PALETTE

WITHIN = {"within": "confusion within audio"}  # where it is trained with, see `dsel.losses.within_loss`
DASHES = {"content": "solid", "identity": "solid", "confusion_cs": "dash", "confusion_sc": "dash", "within": "dot"}


def chance_levels(N: int, B: int, extra: int = 0) -> dict[str, float]:
    """What each loss is where all logits are equal: the log of how many there are to choose from.

    The extra tracks take part in the identity loss alone. For the confusion terms this is the minimum.
    """
    return {"content": math.log(N), "identity": math.log(B + extra), "confusion_cs": math.log(B), "confusion_sc": math.log(N)}


def curves(rows: list[dict], *, N: int, B: int, extra: int = 0, steps: int | None = None, w_max: float | None = None):
    """Three panels over the step: each loss minus its chance level, both accuracies, both scales.

    A matching loss has to get under 0, a confusion loss cannot: 0 is its minimum, and where it lies above, the head still knows
    something that it should not. steps: how far the axis goes. w_max: the bound of the scales.
    """
    from plotly.subplots import make_subplots

    titles = ("loss minus chance (dotted)", "top-1 in the batch", "scale w")
    figure = make_subplots(1, 3, subplot_titles=titles, horizontal_spacing=0.07)
    step = [row["step"] for row in rows]
    chance = chance_levels(N, B, extra) | {"within": math.log(B) + math.log(max(1, N - 1))}
    mode = "lines+markers" if len(rows) < 25 else "lines"

    def line(column, key, values, name, **style):
        figure.add_scatter(
            x=step, y=values, name=name, mode=mode, line={"color": COLOURS[key], **style}, marker={"size": 5},
            legendgroup=key, showlegend=column == 1, row=1, col=column,
        )  # fmt: skip

    named = NAMES | {key: name for key, name in WITHIN.items() if all(key in row for row in rows) and rows}
    for key, name in named.items():
        line(1, key, [row[key] - chance[key] for row in rows], name, dash=DASHES[key])
    for key, choices in (("content", N), ("identity", B)):
        line(2, key, [100 * row[f"{key}_top1"] for row in rows], NAMES[key])
        line(3, key, [row.get(f"w_{key}", float("nan")) for row in rows], NAMES[key])
        figure.add_hline(100 / choices, line={"color": COLOURS[key], "dash": "dot", "width": 1}, row=1, col=2)
    figure.add_hline(0, line={"color": COLOURS["chance"], "dash": "dot"}, row=1, col=1)
    if w_max is not None:
        figure.add_hline(w_max, line={"color": COLOURS["chance"], "dash": "dot"}, annotation_text="bound", row=1, col=3)
    end = steps or (step[-1] if step else 1)
    figure.update_xaxes(title="step", range=[0, end])
    figure.update_yaxes(title="nats", title_standoff=2, col=1)
    figure.update_yaxes(title="%", title_standoff=2, rangemode="tozero", col=2)
    where = f"step {step[-1]} of {end}" if step else "nothing trained yet: the dotted lines are chance"
    figure.update_layout(
        title=f"Training: {where}", height=400, legend={"orientation": "h", "y": -0.28}, margin={"t": 80, "b": 100}
    )
    return figure


def side_by_side(runs: dict[str, list[dict]], *, N: int, B: int, extra: int = 0):
    """One panel a loss, one line a run: {name: rows}. The dotted line is its chance level."""
    from plotly.subplots import make_subplots

    chance = chance_levels(N, B, extra)
    figure = make_subplots(1, 4, subplot_titles=list(NAMES.values()), horizontal_spacing=0.05)
    dashes = ("solid", "dash", "dot", "dashdot")
    for column, key in enumerate(NAMES, start=1):
        for k, (name, rows) in enumerate(runs.items()):
            figure.add_scatter(
                x=[row["step"] for row in rows], y=[row[key] for row in rows], name=name, mode="lines", legendgroup=name,
                line={"color": PALETTE[k], "dash": dashes[k % 4]}, showlegend=column == 1, row=1, col=column,
            )  # fmt: skip
        figure.add_hline(chance[key], line={"color": COLOURS["chance"], "dash": "dot"}, row=1, col=column)
    figure.update_xaxes(title="step")
    figure.update_annotations(font_size=14)
    figure.update_layout(height=380, legend={"orientation": "h", "y": -0.3}, margin={"t": 50, "b": 100})
    return figure


def bars(parts: dict[str, float]):
    """{part: ms} as horizontal bars, each with its share."""
    import plotly.graph_objects as go

    total, names = sum(parts.values()), list(parts)[::-1]
    text = [f"{parts[name]:.1f} ms, {100 * parts[name] / total:.0f} %" for name in names]
    figure = go.Figure(
        go.Bar(x=[parts[n] for n in names], y=names, orientation="h", text=text, textposition="auto", marker_color=PALETTE[0])
    )
    figure.update_layout(title=f"One step: {total:.0f} ms on this machine", xaxis_title="ms", height=360, width=800)
    figure.update_yaxes(automargin=True)
    return figure
