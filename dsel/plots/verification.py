"""Figures of speaker verification (notebook 08): scores and error rates in, plotly figure out.

What has a slider moves without a kernel: all its positions are computed beforehand.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from dsel.plots.style import COLOURS, PALETTE, short, slider

TARGET, IMPOSTOR = PALETTE[0], PALETTE[1]  # one colour a kind of trial, in every figure
TICKS = (0.1, 0.5, 2, 5, 10, 20, 40, 60, 80, 95)  # % on the axes of a DET curve
ENDS = (0.0005, 0.9995)  # a share of 0 or 1 lies infinitely far out on those axes
POSITIONS = 61  # of the threshold's slider


def probit(share) -> np.ndarray:
    """The standard normal's quantile of a share in [0, 1], kept within ENDS: what a DET curve is drawn on.

    If the scores of both kinds of trial are normal, the DET curve is a straight line on these axes.
    """
    quantile = np.vectorize(NormalDist().inv_cdf, otypes=[float])
    return quantile(np.clip(np.asarray(share, np.float64), *ENDS))


def thresholds(scores, count: int = POSITIONS) -> np.ndarray:
    """Evenly spaced thresholds from just under the lowest score to the highest."""
    low, high = float(np.min(scores)), float(np.max(scores))
    return np.linspace(low - 0.02 * (high - low), high, count)


def rates_at(scores, target, threshold) -> tuple[float, float]:
    """Miss and false alarm rate at one threshold: refused is what lies at or under it."""
    scores, target = np.asarray(scores), np.asarray(target, bool)
    return float((scores[target] <= threshold).mean()), float((scores[~target] > threshold).mean())


def histograms(scores, target, bins: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middles of the bins, and the share of the target and of the impostor trials in each, in percent: three (bins,)."""
    scores, target = np.asarray(scores), np.asarray(target, bool)
    edges = np.linspace(scores.min(), scores.max() + 1e-12, bins + 1)
    shares = [100 * np.histogram(scores[kind], edges)[0] / max(1, kind.sum()) for kind in (target, ~target)]
    return (edges[:-1] + edges[1:]) / 2, *shares


def decimals(scores: np.ndarray) -> int:
    """How many tell a hundredth of the scores' range: 2 for -1 to 1, 4 where all lie between 0.99 and 1."""
    return max(2, 2 - int(np.floor(np.log10(max(float(np.ptp(scores)), 1e-9)))))


def threshold_figure(scores, target, *, title: str, at: float | None = None):
    """Histograms of both kinds of trial, and the DET curve, under a slider for the threshold; errors in the title.

    at: where the slider starts; by default where misses and false alarms are most nearly equal.
    """
    from plotly.subplots import make_subplots

    middles, *shares = histograms(scores, target)
    places, digits = thresholds(scores), decimals(scores)
    rates = [rates_at(scores, target, place) for place in places]
    start = int(np.argmin([abs(miss - alarm) for miss, alarm in rates] if at is None else np.abs(places - at)))
    top = float(np.round(1.05 * np.max(shares), 2))
    figure = make_subplots(1, 2, column_widths=[0.6, 0.4], horizontal_spacing=0.12)
    look = {"opacity": 0.65, "marker_line_width": 0}
    kinds = (("target: one speaker", TARGET), ("impostor: two speakers", IMPOSTOR))
    for share, (name, colour) in zip(shares, kinds, strict=True):
        figure.add_bar(x=short(middles, digits + 2), y=short(share, 2), name=name, marker_color=colour, **look, row=1, col=1)
    line = {"color": "#222", "width": 3}
    figure.add_scatter(x=[places[start]] * 2, y=[0, top], mode="lines", line=line, name="threshold θ", row=1, col=1)
    figure.add_trace(_det_curve(scores, target, PALETTE[2]).update(showlegend=False), row=1, col=2)
    dots = [(short(probit([alarm]), 3), short(probit([miss]), 3)) for miss, alarm in rates]
    figure.add_trace(_dot(*dots[start], "#222"), row=1, col=2)

    def heading(k):
        miss, alarm = (f"{100 * rate:.1f} %" for rate in rates[k])
        return f"{title}<br><sup>θ = {places[k]:.{digits}f}: {miss} of the targets missed, {alarm} false alarms</sup>"

    def step(k):
        moved = {"x": [short([places[k]] * 2, digits + 2), dots[k][0]], "y": [[0, top], dots[k][1]]}
        return {"label": f"{places[k]:.{digits}f}", "method": "update", "args": [moved, {"title.text": heading(k)}, [2, 4]]}

    figure.update_xaxes(title_text="score", row=1, col=1)
    figure.update_yaxes(title_text="% of the trials of its kind", range=[0, top], row=1, col=1)
    det_axes(figure, row=1, col=2)
    return figure.update_layout(
        title={"text": heading(start), "y": 0.96},
        barmode="overlay",
        bargap=0,
        height=560,
        width=880,
        margin={"t": 120},
        legend={"orientation": "h", "y": 1.12},
        sliders=[slider([step(k) for k in range(len(places))], "θ", y=-0.12, active=start)],
    )


def det_figure(curves: dict, *, title: str):
    """DET curves of several systems: {name: (scores, target)}. A dot marks the EER, where the curve meets the diagonal."""
    import plotly.graph_objects as go

    from dsel.evaluate.verification import equal_error_rate

    figure, ends = go.Figure(), short(probit(np.array(ENDS)))
    for y, name, dash in ((ends, "both errors equal", "dot"), (ends[::-1], "a coin", "dash")):
        line = {"color": COLOURS["chance"], "dash": dash}
        figure.add_scatter(x=ends, y=y, mode="lines", line=line, name=name, hoverinfo="skip")
    for k, (name, (scores, target)) in enumerate(curves.items()):
        colour, eer = PALETTE[k % len(PALETTE)], equal_error_rate(scores, target)
        figure.add_trace(_det_curve(scores, target, colour).update(name=f"{name}: EER {100 * eer:.1f} %"))
        figure.add_trace(_dot(*[short(probit([eer]), 3)] * 2, colour))
    det_axes(figure)
    return figure.update_layout(title=title, width=900, height=620)


def _det_curve(scores, target, colour: str):
    """A DET curve on probit axes, as a trace."""
    import plotly.graph_objects as go

    from dsel.evaluate.verification import det_curve

    _, miss, alarm = det_curve(scores, target)
    keep = thin(miss, alarm)
    miss, alarm = miss[keep], alarm[keep]
    return go.Scatter(
        x=short(probit(alarm), 3),
        y=short(probit(miss), 3),
        text=[f"miss {100 * m:.1f} %, false alarm {100 * f:.1f} %" for m, f in zip(miss, alarm, strict=True)],
        hovertemplate="%{text}<extra></extra>",
        mode="lines",
        line={"color": colour, "width": 3},
    )


def _dot(x: list, y: list, colour: str):
    import plotly.graph_objects as go

    return go.Scatter(x=x, y=y, mode="markers", marker={"color": colour, "size": 12}, showlegend=False, hoverinfo="skip")


def det_axes(figure, **where) -> None:
    """Probit axes, labelled in percent."""
    ticks = {"tickvals": short(probit(np.array(TICKS) / 100), 3), "ticktext": [f"{tick:g}" for tick in TICKS]}
    axis = ticks | {"zeroline": False, "range": short(probit(np.array([0.0007, 0.97])), 3)}
    figure.update_xaxes(title_text="false alarms, % of impostors", **axis, **where)
    figure.update_yaxes(title_text="misses, % of targets", **axis, **where)


def thin(miss, alarm, step: float = 0.02) -> np.ndarray:
    """Numbers of the points of a DET curve that are worth drawing: the first, the last, and those that moved on the axes."""
    x, y = probit(miss), probit(alarm)
    keep = [0]
    for k in range(1, len(x)):
        if abs(x[k] - x[keep[-1]]) + abs(y[k] - y[keep[-1]]) >= step:
            keep.append(k)
    return np.array(keep if keep[-1] == len(x) - 1 else [*keep, len(x) - 1])


def intervals(groups: dict, *, title: str, x_name: str = "EER, %", level: float | None = 50.0):
    """Figures with their intervals: {group: {name: (value, low, high)}}, shares drawn in percent; one colour a group.

    A name has one row; its groups lie closely under each other.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    names = list(dict.fromkeys(name for rows in groups.values() for name in rows))
    for k, (group, rows) in enumerate(groups.items()):
        values, lows, highs = (100 * np.array(column) for column in zip(*rows.values(), strict=True))
        bars = {"type": "data", "symmetric": False, "array": short(highs - values, 2), "arrayminus": short(values - lows, 2)}
        bars |= {"thickness": 2.5, "width": 6}
        height = [round(names.index(name) + 0.24 * (k - (len(groups) - 1) / 2), 3) for name in rows]
        text = [f"{v:.1f} ({low:.1f} to {high:.1f})" for v, low, high in zip(values, lows, highs, strict=True)]
        marker = {"size": 11, "color": PALETTE[k % len(PALETTE)]}
        figure.add_scatter(
            x=short(values, 2),
            y=height,
            error_x=bars,
            mode="markers",
            marker=marker,
            name=group,
            text=text,
            hoverinfo="text+name",
        )
    if level is not None:
        figure.add_vline(x=level, line={"dash": "dot", "color": COLOURS["chance"]}, annotation_text="chance")
    figure.update_xaxes(title_text=x_name, rangemode="tozero")
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=names, range=[len(names) - 0.4, -0.6], zeroline=False)
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    return figure.update_layout(
        title=title, width=900, height=210 + 60 * len(names), margin={"l": 210, "t": 100}, legend=legend
    )


def costs(scores, target, priors=(0.5, 0.05, 0.01), *, title: str):
    """The detection cost over the threshold, one curve for each share of targets expected; the dot is its minimum."""
    import plotly.graph_objects as go

    from dsel.evaluate.verification import det_curve

    threshold, miss, alarm = (x[1:] for x in det_curve(scores, target))  # accepting everybody has no threshold
    figure = go.Figure()
    for k, p in enumerate(priors):
        cost, colour = (p * miss + (1 - p) * alarm) / min(p, 1 - p), PALETTE[k % len(PALETTE)]
        best = int(cost.argmin())
        keep = np.unique(np.append(np.linspace(0, len(cost) - 1, 200).astype(int), best))
        x, y, line = short(threshold[keep]), short(cost[keep]), {"color": colour, "width": 3}
        figure.add_scatter(x=x, y=y, mode="lines", line=line, name=f"P_target = {p:g}")
        figure.add_trace(_dot(short(threshold[[best]]), short(cost[[best]]), colour))
    said = {"annotation_text": "refuse everybody", "annotation_position": "top left"}  # all curves meet on the right
    figure.add_hline(y=1, line={"dash": "dot", "color": COLOURS["chance"]}, **said)
    figure.update_xaxes(title_text="threshold θ")
    figure.update_yaxes(title_text="cost", range=[0, 3])
    return figure.update_layout(title=title, width=820, height=430)
