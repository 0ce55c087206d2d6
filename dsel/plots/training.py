"""Figures of a training (notebook 06 and `TrainingMonitor`): logged rows in, plotly figures out.

    curves          losses over chance, accuracies and scales of one run
    side_by_side    the four losses of several runs
    bars            milliseconds per part of a step

A row is what the trainer logs: {"step", "content", "identity", "confusion_cs", ...}. plotly is
imported where it is used. (Source: ours.)
"""

from __future__ import annotations

import math

from dsel.plots.style import COLOURS, NAMES, PALETTE, chance_line, headed

__all__ = ["bars", "chance_levels", "curves", "side_by_side"]

WITHIN = {"within": "confusion within audio"}  # a fifth term, see `dsel.losses.within_loss`
DASHES = {
    "content": "solid",
    "identity": "longdash",
    "confusion_cs": "dash",
    "confusion_sc": "dashdot",
    "within": "dot",
}


def chance_levels(N: int, B: int, extra: int = 0) -> dict[str, float]:
    """Compute what each loss is if all logits are equal: the log of the number of choices.

    For the confusion losses this is the minimum.

    Args:
        N: windows of a track.
        B: tracks of a batch.
        extra: further tracks, which take part in the identity loss only.
    """
    content, identity = math.log(N), math.log(B + extra)
    confusion = {"confusion_cs": math.log(B), "confusion_sc": math.log(N)}
    return {"content": content, "identity": identity, **confusion}


def curves(
    rows: list[dict],
    *,
    N: int,
    B: int,
    extra: int = 0,
    steps: int | None = None,
    w_max: float | None = None,
):
    """Draw three panels over the step: losses minus chance, accuracies, scales.

    A matching loss has to fall below 0. A confusion loss cannot: 0 is its minimum, and above it the
    head still knows something that it should not know.

    Args:
        rows: the logged rows.
        N, B, extra: as in `chance_levels`.
        steps: where the x axes end; None: at the last row.
        w_max: the upper bound of the scales, drawn as a line; None: there is none.
    """
    from plotly.subplots import make_subplots

    titles = ("loss minus chance (dotted)", "top-1 in the batch", "scale w")
    figure = make_subplots(1, 3, subplot_titles=titles, horizontal_spacing=0.07)
    step = [row["step"] for row in rows]
    within = math.log(B) + math.log(max(1, N - 1))
    chance = chance_levels(N, B, extra) | {"within": within}
    mode = "lines+markers" if len(rows) < 25 else "lines"

    def line(col: int, key: str, values: list, name: str) -> None:
        style = {"color": COLOURS[key], "dash": DASHES[key]}
        look = {"mode": mode, "line": style, "marker": {"size": 5}}
        listed = {"name": name, "legendgroup": key, "showlegend": col == 1}
        figure.add_scatter(x=step, y=values, row=1, col=col, **look, **listed)

    fifth = WITHIN if rows and all("within" in row for row in rows) else {}
    for key, name in (NAMES | fifth).items():
        line(1, key, [row[key] - chance[key] for row in rows], name)
    for key, choices in (("content", N), ("identity", B)):
        line(2, key, [100 * row[f"{key}_top1"] for row in rows], NAMES[key])
        line(3, key, [row.get(f"w_{key}", float("nan")) for row in rows], NAMES[key])
        dotted = {"color": COLOURS[key], "dash": "dot", "width": 1}
        figure.add_hline(100 / choices, line=dotted, row=1, col=2)
    chance_line(figure, 0, "", row=1, col=1)
    if w_max is not None:
        chance_line(figure, w_max, "bound", row=1, col=3)
    end = steps or (step[-1] if step else 1)
    figure.update_xaxes(title="step", range=[0, end])
    figure.update_yaxes(title="nats", title_standoff=2, col=1)
    figure.update_yaxes(title="%", title_standoff=2, rangemode="tozero", col=2)
    state = f"step {step[-1]} of {end}" if step else "not started: the dotted lines are chance"
    return headed(figure, f"Training: {state}", height=420, headings=1)


def side_by_side(runs: dict[str, list[dict]], *, N: int, B: int, extra: int = 0):
    """Draw one panel per loss and one line per run, with the chance level of each loss.

    Args:
        runs: {name: logged rows}.
        N, B, extra: as in `chance_levels`.
    """
    from plotly.subplots import make_subplots

    chance = chance_levels(N, B, extra)
    figure = make_subplots(1, 4, subplot_titles=list(NAMES.values()), horizontal_spacing=0.05)
    dashes = ("solid", "dash", "dot", "dashdot")
    for col, key in enumerate(NAMES, start=1):
        for k, (name, rows) in enumerate(runs.items()):
            points = {"x": [row["step"] for row in rows], "y": [row[key] for row in rows]}
            listed = {"name": name, "legendgroup": name, "showlegend": col == 1}
            line = {"color": PALETTE[k], "dash": dashes[k % 4]}
            figure.add_scatter(**points, mode="lines", line=line, **listed, row=1, col=col)
        chance_line(figure, chance[key], "", row=1, col=col)
    figure.update_xaxes(title="step")
    return headed(figure, "", height=400, headings=1)


def bars(parts: dict[str, float]):
    """Draw the parts of a training step as horizontal bars, each with its share.

    Args:
        parts: {part: milliseconds}.
    """
    import plotly.graph_objects as go

    total, names = sum(parts.values()), list(parts)[::-1]
    text = [f"{parts[name]:.1f} ms, {100 * parts[name] / total:.0f} %" for name in names]
    bar = go.Bar(x=[parts[name] for name in names], y=names, orientation="h", text=text)
    figure = go.Figure(bar.update(textposition="auto", marker_color=PALETTE[0]))
    title = f"One step: {total:.0f} ms on this machine"
    return headed(figure, title, height=360, xaxis_title="ms")
