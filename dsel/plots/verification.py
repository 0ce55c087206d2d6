"""Figures of speaker verification (notebook 08): scores and error rates in, plotly figures out.

    threshold_figure    histograms and DET curve under a slider, also of `VerificationExplorer`
    det_figure          DET curves of several systems
    intervals           metrics with their intervals
    costs               the detection cost over the threshold

A trial is a pair of tracks: target (one speaker) or impostor (two speakers). Sliders move without a
kernel. plotly is imported where it is used. (Source: ours.)
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from dsel.plots.style import (
    COLOURS,
    DARK,
    PALETTE,
    chance_line,
    headed,
    short,
    slider,
    titled,
)

__all__ = [
    "POSITIONS",
    "costs",
    "decimals",
    "det_axes",
    "det_figure",
    "histograms",
    "intervals",
    "probit",
    "rates_at",
    "thin",
    "threshold_figure",
    "thresholds",
]

TARGET, IMPOSTOR = PALETTE[0], PALETTE[1]  # one colour per kind of trial, in every figure
DET_TICKS = (0.1, 0.5, 2, 5, 10, 20, 40, 60, 80, 95)  # % on the axes of a DET curve
DET_RANGE = (0.0007, 0.97)  # the shares at which those axes end
ENDS = (0.0005, 0.9995)  # a share of 0 or 1 would lie infinitely far out on those axes
POSITIONS = 61  # of the threshold's slider


def probit(share) -> np.ndarray:
    """Compute the standard normal's quantile of shares in [0, 1], cut off at ENDS.

    The axes of a DET curve are probit axes. If the scores of both kinds of trial are normal, the
    curve is a straight line there.
    """
    quantile = np.vectorize(NormalDist().inv_cdf, otypes=[float])
    return quantile(np.clip(np.asarray(share, np.float64), *ENDS))


def thresholds(scores, count: int = POSITIONS) -> np.ndarray:
    """Space thresholds evenly from just under the lowest score to the highest, (count,)."""
    low, high = float(np.min(scores)), float(np.max(scores))
    return np.linspace(low - 0.02 * (high - low), high, count)


def rates_at(scores, target, threshold) -> tuple[float, float]:
    """Compute the miss and the false alarm rate at a threshold.

    Args:
        scores, target: of the trials, (K,) float and bool.
        threshold: scores at or under it are refused.
    """
    scores, target = np.asarray(scores), np.asarray(target, bool)
    miss, alarm = scores[target] <= threshold, scores[~target] > threshold
    return float(miss.mean()), float(alarm.mean())


def histograms(scores, target, bins: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count the scores of target and impostor trials in bins.

    Args:
        scores, target: of the trials, (K,) float and bool.
        bins: their number.
    Returns:
        the middles of the bins, and the share in each of the targets and of the impostors, in
        percent: three arrays (bins,).
    """
    scores, target = np.asarray(scores), np.asarray(target, bool)
    edges = np.linspace(scores.min(), scores.max() + 1e-12, bins + 1)
    counts = [(np.histogram(scores[kind], edges)[0], kind.sum()) for kind in (target, ~target)]
    targets, impostors = (100 * count / max(1, trials) for count, trials in counts)
    return (edges[:-1] + edges[1:]) / 2, targets, impostors


def decimals(scores: np.ndarray) -> int:
    """Return how many decimals show a hundredth of the scores' range.

    That is 2 for scores from -1 to 1, and 4 for scores from 0.99 to 1.
    """
    return max(2, 2 - int(np.floor(np.log10(max(float(np.ptp(scores)), 1e-9)))))


def threshold_figure(scores, target, *, title: str, at: float | None = None, network: str = ""):
    """Draw histograms of both kinds of trial and the DET curve under a slider for the threshold.

    Both error rates stand under the title.

    Args:
        scores, target: of the trials, (K,) float and bool.
        title: of the figure.
        at: where the slider starts; None: where misses and false alarms are most nearly equal.
        network: which network gives the scores.
    """
    from plotly.subplots import make_subplots

    places, digits = thresholds(scores), decimals(scores)
    rates = [rates_at(scores, target, place) for place in places]
    gaps = [abs(miss - alarm) for miss, alarm in rates] if at is None else np.abs(places - at)
    start = int(np.argmin(gaps))
    figure = make_subplots(1, 2, column_widths=[0.6, 0.4], horizontal_spacing=0.12)
    top = _add_histograms(figure, scores, target, digits)
    line = {"mode": "lines", "line": {"color": DARK, "width": 3}, "name": "threshold θ"}
    figure.add_scatter(x=[places[start]] * 2, y=[0, top], **line, row=1, col=1)
    curve = _det_curve(scores, target, PALETTE[2])
    figure.add_trace(curve.update(showlegend=False), row=1, col=2)
    dots = [(short(probit([alarm]), 3), short(probit([miss]), 3)) for miss, alarm in rates]
    figure.add_trace(_dot(*dots[start], DARK), row=1, col=2)

    def heading(k: int) -> str:
        miss, alarm = (f"{100 * rate:.1f} %" for rate in rates[k])
        errors = f"{miss} of the targets missed, {alarm} false alarms"
        return titled(title, f"θ = {places[k]:.{digits}f}: {errors}", network=network)

    def step(k: int) -> dict:
        moved = {"x": [short([places[k]] * 2, digits + 2), dots[k][0]], "y": [[0, top], dots[k][1]]}
        changes = [moved, {"title.text": heading(k)}, [2, 4]]
        return {"label": f"{places[k]:.{digits}f}", "method": "update", "args": changes}

    det_axes(figure, row=1, col=2)
    bar = slider([step(k) for k in range(len(places))], "θ", active=start)
    look = {"barmode": "overlay", "bargap": 0, "sliders": [bar]}
    headed(figure, title, "both error rates", network=network, height=560, **look)
    return figure.update_layout(title_text=heading(start))


def _add_histograms(figure, scores, target, digits: int) -> float:
    """Draw the histograms of both kinds of trial into the first panel; return the panel's top."""
    middles, *shares = histograms(scores, target)
    look = {"opacity": 0.75, "marker_line_width": 1}
    kinds = (("target: one speaker", TARGET, ""), ("impostor: two speakers", IMPOSTOR, "/"))
    for share, (name, colour, hatch) in zip(shares, kinds, strict=True):
        bars = {"x": short(middles, digits + 2), "y": short(share, 2), "marker_color": colour}
        bars["marker_line_color"] = colour
        figure.add_bar(**bars, **look, marker_pattern_shape=hatch, name=name, row=1, col=1)
    top = float(np.round(1.05 * np.max(shares), 2))
    figure.update_xaxes(title_text="score", row=1, col=1)
    title = "% of the trials of its kind"
    figure.update_yaxes(title_text=title, range=[0, top], row=1, col=1)
    return top


def det_figure(curves: dict, *, title: str, network: str = ""):
    """Draw the DET curves of several systems; dots mark the EER, where a curve meets the diagonal.

    Args:
        curves: {name: (scores, target)}.
        title: of the figure.
        network: which network gives the scores.
    """
    import plotly.graph_objects as go

    from dsel.evaluate.verification import equal_error_rate

    figure, ends = go.Figure(), short(probit(np.array(ENDS)))
    for y, name, dash in ((ends, "both errors equal", "dot"), (ends[::-1], "a coin", "dash")):
        line = {"color": COLOURS["chance"], "dash": dash}
        figure.add_scatter(x=ends, y=y, mode="lines", line=line, name=name, hoverinfo="skip")
    for k, (name, (scores, target)) in enumerate(curves.items()):
        colour, eer = PALETTE[k % len(PALETTE)], equal_error_rate(scores, target)
        curve = _det_curve(scores, target, colour)
        figure.add_trace(curve.update(name=f"{name}: EER {100 * eer:.1f} %"))
        figure.add_trace(_dot(*[short(probit([eer]), 3)] * 2, colour))
    det_axes(figure)
    return headed(figure, title, network=network, height=640)


def _det_curve(scores, target, colour: str):
    """Return a DET curve on probit axes as a trace."""
    import plotly.graph_objects as go

    from dsel.evaluate.verification import det_curve

    _, miss, alarm = det_curve(scores, target)
    keep = thin(miss, alarm)
    miss, alarm = miss[keep], alarm[keep]
    percent = zip(100 * miss, 100 * alarm, strict=True)
    return go.Scatter(
        x=short(probit(alarm), 3),
        y=short(probit(miss), 3),
        text=[f"miss {m:.1f} %, false alarm {f:.1f} %" for m, f in percent],
        hovertemplate="%{text}<extra></extra>",
        mode="lines",
        line={"color": colour, "width": 3},
    )


def _dot(x: list, y: list, colour: str):
    """Return one mark as a trace."""
    import plotly.graph_objects as go

    marker = {"color": colour, "size": 12}
    style = {"mode": "markers", "marker": marker, "showlegend": False, "hoverinfo": "skip"}
    return go.Scatter(x=x, y=y, **style)


def det_axes(figure, **place) -> None:
    """Give a panel probit axes that are labelled in percent; place: its row and col."""
    axis = {
        "tickvals": short(probit(np.array(DET_TICKS) / 100), 3),
        "ticktext": [f"{tick:g}" for tick in DET_TICKS],
        "zeroline": False,
        "range": short(probit(np.array(DET_RANGE)), 3),
    }
    figure.update_xaxes(title_text="false alarms, % of impostors", **axis, **place)
    figure.update_yaxes(title_text="misses, % of targets", **axis, **place)


def thin(miss, alarm, step: float = 0.02) -> np.ndarray:
    """Choose the points of a DET curve that are worth drawing.

    Args:
        miss, alarm: the rates along the curve, (K,).
        step: the least distance of two points on the probit axes.
    Returns:
        the numbers of the first point, of the last, and of those that moved far enough.
    """
    x, y = probit(miss), probit(alarm)
    keep, last = [0], len(x) - 1
    for k in range(1, len(x)):
        if abs(x[k] - x[keep[-1]]) + abs(y[k] - y[keep[-1]]) >= step:
            keep.append(k)
    return np.array(keep if keep[-1] == last else [*keep, last])


def intervals(
    groups: dict,
    *,
    title: str,
    x_name: str = "EER, %",
    level: float | None = 50.0,
    network: str = "",
):
    """Draw metrics with their intervals, one row per name; the groups of a name lie close together.

    Args:
        groups: {group: {name: (value, low, high)}}, shares between 0 and 1; one colour per group.
        title: of the figure.
        x_name: title of the x axis.
        level: where chance is drawn, in %; None: nowhere.
        network: which network is judged.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    names = list(dict.fromkeys(name for metrics in groups.values() for name in metrics))
    for k, (group, metrics) in enumerate(groups.items()):
        value, low, high = (100 * np.array(x) for x in zip(*metrics.values(), strict=True))
        bars = {"array": short(high - value, 2), "arrayminus": short(value - low, 2)}
        bars |= {"type": "data", "symmetric": False, "thickness": 2.5, "width": 6}
        shift = 0.24 * (k - (len(groups) - 1) / 2)
        ranges = zip(value, low, high, strict=True)
        figure.add_scatter(
            x=short(value, 2),
            y=[round(names.index(name) + shift, 3) for name in metrics],
            error_x=bars,
            mode="markers",
            marker={"size": 11, "color": PALETTE[k % len(PALETTE)]},
            name=group,
            text=[f"{v:.1f} ({one:.1f} to {other:.1f})" for v, one, other in ranges],
            hoverinfo="text+name",
        )
    if level is not None:
        line = {"dash": "dot", "color": COLOURS["chance"]}
        figure.add_vline(x=level, line=line, annotation_text="chance")
    figure.update_xaxes(title_text=x_name, rangemode="tozero")
    rows = {"tickvals": list(range(len(names))), "ticktext": names}
    figure.update_yaxes(**rows, range=[len(names) - 0.4, -0.6], zeroline=False)
    return headed(figure, title, network=network, height=190 + 60 * len(names))


def costs(scores, target, priors=(0.5, 0.05, 0.01), *, title: str, network: str = ""):
    """Draw the detection cost over the threshold; a dot marks the minimum of each curve.

    Args:
        scores, target: of the trials, (K,) float and bool.
        priors: the expected shares of target trials, one curve each.
        title: of the figure.
        network: which network gives the scores.
    """
    import plotly.graph_objects as go

    from dsel.evaluate.verification import det_curve

    # The first point accepts every trial and has no threshold.
    threshold, miss, alarm = (x[1:] for x in det_curve(scores, target))
    figure = go.Figure()
    for k, prior in enumerate(priors):
        cost = (prior * miss + (1 - prior) * alarm) / min(prior, 1 - prior)
        colour, best = PALETTE[k % len(PALETTE)], int(cost.argmin())
        drawn = np.append(np.linspace(0, len(cost) - 1, 200).astype(int), best)
        drawn = np.unique(drawn)
        line = {"mode": "lines", "line": {"color": colour, "width": 3}}
        x, y = short(threshold[drawn]), short(cost[drawn])
        figure.add_scatter(x=x, y=y, **line, name=f"P_target = {prior:g}")
        figure.add_trace(_dot(short(threshold[[best]]), short(cost[[best]]), colour))
    # All curves meet on the right, so the text stands on the left.
    chance_line(figure, 1, "refuse everybody", annotation_position="top left")
    figure.update_xaxes(title_text="threshold θ")
    figure.update_yaxes(title_text="cost", range=[0, 3])
    return headed(figure, title, network=network, height=450)
