"""Figures of the verdict: one of all variants, and one per question. Numbers of `verdict` in,
plotly out.
"""

from __future__ import annotations

from dsel.ablation import real_voices, verdict
from dsel.ablation.rows import GRID_LAMBDAS
from dsel.ablation.verdict import (
    CHOSEN,
    EFFECTS,
    ENOUGH,
    FIVE,
    FOUR,
    FRONT_ENDS,
    LONG,
    OTHERS,
    WORDS,
)
from dsel.plots.style import DARK, PALETTE, headed, hollow

COLOUR = {"track": PALETTE[1], "level": PALETTE[0], "none": PALETTE[2]}
SYMBOL = {"track": "circle", "level": "diamond", "none": "square"}
ALONE = ("x", "cross", "star", "hourglass", "triangle-up", "bowtie")  # points without a path
GREY = PALETTE[6]
BRIEF = {"track": "track<br>(authors)", "level": "level<br>(ours)", "none": "none"}
LAMBDAS = [f"{x:g}" for x in GRID_LAMBDAS]
METRICS = {"eer_free": "free", "eer_hard": "hard", "eer_easy": "easy"}
LINE = {"four_terms": PALETTE[0], "five_terms": PALETTE[3], "lambda0": PALETTE[1]}


def verdict_figure(results: list[dict], supervised: dict[str, float] | None = None):
    """Every variant as a point: free EER across, word dependence up; lines join lambda 0, 1, 3, 10.

    Args:
        results: rows of data/ablation/grid/results.csv.
        supervised: EER by kind of trial of a listener who was told the names; left out if None.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    for rows, terms, dash in ((FOUR, "four", "solid"), (FIVE, "five", "dot")):
        for front, label in FRONT_ENDS.items():
            shown, wide = [row for row in rows[front] if _has(results, row)], front != "none"
            _seeds(figure, results, shown, COLOUR[front])
            trace = go.Scatter(
                x=[_mean(results, row, "eer_free") for row in shown],
                y=[_mean(results, row, WORDS) for row in shown],
                mode="lines+markers+text" if rows is FOUR and wide else "lines+markers",
                text=[f"λ {LAMBDAS[rows[front].index(row)]}" for row in shown],
                textposition=["top right", "middle left" if front == "level" else "middle right"]
                + ["middle right"] * 2,
                name=f"{label.removeprefix('normalised ')}, {terms} terms",
                line={
                    "color": COLOUR[front],
                    "width": 3 if rows is FOUR and wide else 1.5,
                    "dash": dash,
                },
                marker={"size": 11 if wide else 7, "symbol": SYMBOL[front], "color": COLOUR[front]},
                hovertemplate="%{text}: free %{x} %, word dependence %{y}<extra></extra>",
            )
            figure.add_trace(trace)
    _alone(figure, results, supervised)
    figure.add_annotation(
        x=_mean(results, CHOSEN, "eer_free"),
        y=_mean(results, CHOSEN, WORDS),
        ax=-62,
        ay=52,
        text="chosen on<br>validation",
        showarrow=True,
        arrowcolor=GREY,
    )
    figure.update_xaxes(
        title="EER on free trials, % (left: voices are told apart better)", range=[3, 44]
    )
    figure.update_yaxes(title="word dependence: hard − easy, points", range=[-2, 75], zeroline=True)
    title = "Every variant, on speakers never trained on"
    note = "best: bottom left; mean over seeds, small and hollow: each seed"
    return headed(figure, title, note, height=760)


def _alone(figure, results: list[dict], supervised: dict[str, float] | None) -> None:
    """The points that no path joins: one task alone, the untrained network, the supervised
    listener.
    """
    import plotly.graph_objects as go

    points = [
        (label, _mean(results, row, "eer_free"), _mean(results, row, WORDS))
        for row, label in OTHERS.items()
        if _has(results, row)
    ]
    if supervised is not None:
        points.append(
            ("supervised", supervised["free"], round(supervised["hard"] - supervised["easy"], 1))
        )
    for (label, x, y), symbol in zip(points, ALONE, strict=False):
        look = {"symbol": symbol, "size": 12, "color": DARK, "line": {"width": 2, "color": DARK}}
        told = f"{label}: free %{{x}} %, word dependence %{{y}}<extra></extra>"
        point = {"x": [x], "y": [y], "mode": "markers", "name": label, "hovertemplate": told}
        figure.add_trace(go.Scatter(**point, marker=look))


def lambda_figure(results: list[dict], measure: str, title: str, axis: str = "EER, %"):
    """Draw a metric against lambda per front end: four terms solid, five dotted, seeds hollow."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for rows, terms, dash in ((FOUR, "four", "solid"), (FIVE, "five", "dot")):
        for front, label in FRONT_ENDS.items():
            found = [(LAMBDAS[k], row) for k, row in enumerate(rows[front]) if _has(results, row)]
            figure.add_trace(
                go.Scatter(
                    x=[x for x, _ in found],
                    y=[_mean(results, row, measure) for _, row in found],
                    name=f"{label}, {terms}",
                    mode="lines+markers",
                    line={
                        "color": COLOUR[front],
                        "dash": dash,
                        "width": 3 if rows is FOUR else 1.5,
                    },
                    marker={
                        "size": 10 if rows is FOUR else 7,
                        "symbol": SYMBOL[front],
                        "color": COLOUR[front],
                    },
                )
            )
            each = [
                (x, v) for x, row in found for v in verdict.by_seed(results, row, measure).values()
            ]
            figure.add_trace(_faint(*zip(*each, strict=True), COLOUR[front]))
    figure.update_xaxes(
        title="λ, the weight of the confusion terms", type="category", categoryarray=LAMBDAS
    )
    figure.update_yaxes(title=axis, rangemode="tozero")
    note = "test speakers; mean over seeds, small and hollow: each seed"
    return headed(figure, title, note, height=540)


def choice_figure(results: list[dict]):
    """Draw the criterion, the mean of validation speakers' free and hard EER, against lambda."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for front, label in FRONT_ENDS.items():
        scores = [round(verdict.validation_score(results, row), 2) for row in FOUR[front]]
        line = {"color": COLOUR[front], "width": 3}
        figure.add_trace(
            go.Scatter(
                x=LAMBDAS,
                y=scores,
                name=label,
                mode="lines+markers",
                line=line,
                marker={"size": 10},
            )
        )
    figure.update_xaxes(title="λ, the weight of the confusion terms", type="category")
    figure.update_yaxes(title="mean of free and hard EER, %", rangemode="tozero")
    return headed(
        figure,
        "At which λ?",
        "four terms, validation speakers: what the choice was made by",
        height=480,
    )


def effects_figure(results: list[dict]):
    """The changes of the verdict in points, paired over seeds, with 95 % intervals; left of 0: less
    error.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    for k, (measure, kind) in enumerate(METRICS.items()):
        found = [verdict.change(results, row, other, measure) for _, row, other in EFFECTS]
        figure.add_trace(
            go.Scatter(
                x=[round(d.mean, 2) for d in found],
                y=[-i + 0.2 * (1 - k) for i in range(len(found))],
                error_x={
                    "type": "data",
                    "array": [round(d.half, 2) for d in found],
                    "thickness": 2,
                },
                mode="markers",
                name=f"{kind} trials",
                text=[f"{kind}: {verdict.points(d)}, n = {d.n}" for d in found],
                hovertemplate="%{text}<extra></extra>",
                marker={
                    "size": 10,
                    "color": PALETTE[k],
                    "symbol": ("circle", "diamond", "square")[k],
                },
            )
        )
    figure.add_vline(x=0, line={"color": GREY})
    figure.update_yaxes(
        tickvals=[-i for i in range(len(EFFECTS))],
        ticktext=[what for what, *_ in EFFECTS],
        zeroline=False,
    )
    figure.update_xaxes(title="change of the EER, points (left: fewer errors)", zeroline=False)
    return headed(figure, "What each change does", "paired over 5 seeds, 95 % interval", height=520)


def front_end_figure(results: list[dict]):
    """Draw free and hard EER per front end at lambda 0 and 3: bars of means, a point per seed."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(1, 2, subplot_titles=["λ = 0", "λ = 3, four terms"], shared_yaxes=True)
    for column, k in ((1, 0), (2, 2)):
        for measure, colour in (("eer_free", PALETTE[0]), ("eer_hard", PALETTE[1])):
            y = [_mean(results, FOUR[front][k], measure) for front in FRONT_ENDS]
            bar = go.Bar(
                x=list(BRIEF.values()),
                y=y,
                text=y,
                name=f"{METRICS[measure]} trials",
                marker={"color": colour},
                showlegend=column == 1,
                textposition="outside",
            )
            figure.add_trace(bar, 1, column)
    figure.update_yaxes(title="EER, %", range=[0, 52], col=1)
    note = "test speakers, mean over seeds"
    return headed(figure, "What does the front end do?", note, height=470, headings=1)


def leak_figure(results: list[dict]):
    """Speaker in the content head and phoneme in the identity head against lambda, four terms."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    panels = {
        "content_head_eer_free": "content head: EER of speakers, %<br>(50: nothing of the speaker)",
        "phoneme_identity_head": "identity head: phonemes read off, %<br>"
        "(lower: less of the words)",
    }
    figure = make_subplots(1, 2, subplot_titles=list(panels.values()), horizontal_spacing=0.1)
    for column, measure in enumerate(panels, start=1):
        for front, label in FRONT_ENDS.items():
            y = [_mean(results, row, measure) for row in FOUR[front]]
            trace = go.Scatter(
                x=LAMBDAS,
                y=y,
                name=label,
                mode="lines+markers",
                showlegend=column == 1,
                line={"color": COLOUR[front], "width": 3},
                marker={"size": 9},
            )
            figure.add_trace(trace, 1, column)
        untrained = {"line": {"color": GREY, "dash": "dot"}, "annotation_text": "untrained"}
        figure.add_hline(y=_mean(results, "random", measure), row=1, col=column, **untrained)
    figure.update_xaxes(title="λ", type="category")
    note = "four terms, test speakers, mean over seeds"
    return headed(figure, "What leaks where?", note, height=500, headings=2)


def long_figure(results: list[dict]):
    """Draw hard and free EER after a short and after a long training, a line per variant.

    Args:
        results: rows of the grid and of the long trainings, `verdict.grid() + verdict.later()`.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    titles = ["EER on hard trials, %", "EER on free trials, %"]
    figure = make_subplots(1, 2, subplot_titles=titles, shared_yaxes=True, horizontal_spacing=0.04)
    pairs = [p for p in verdict.long_pairs() if _has(results, p.long)]
    for column, measure in enumerate(("eer_hard", "eer_free"), start=1):
        for pair in pairs:
            ends = [row for row in (pair.short, pair.long) if row and _has(results, row)]
            trace = go.Scatter(
                x=[_mean(results, row, measure) for row in ends],
                y=[pair.what] * len(ends),
                mode="lines+markers",
                line={"color": COLOUR[pair.front_end], "width": 2, "dash": "solid"},
                marker={
                    "symbol": [
                        SYMBOL[pair.front_end] + "-open" * (row != pair.long) for row in ends
                    ],
                    "size": 12,
                    "color": COLOUR[pair.front_end],
                },
                showlegend=False,
                hovertemplate="%{y}: %{x} %<extra></extra>",
            )
            figure.add_trace(trace, 1, column)
            each = list(verdict.by_seed(results, pair.long, measure).values())
            if len(each) > 1:
                points = _faint(each, [0.0] * len(each), COLOUR[pair.front_end])
                figure.add_trace(points.update(y=[pair.what] * len(each)), 1, column)
    figure.update_xaxes(rangemode="tozero")
    # dtick: every row keeps its label on a slide
    order = {"categoryorder": "array", "categoryarray": [p.what for p in pairs]}
    figure.update_yaxes(autorange="reversed", dtick=1, **order)
    size = verdict.settings()
    note = (
        f"large and hollow: {size['short']} steps, {size['speakers']} speakers; filled: "
        f"{size['long']} steps, {size['long_speakers']} speakers"
    )
    more = "test speakers, mean over seeds; small and hollow: each seed of the long trainings"
    title = "What changes with length and people?"
    return headed(figure, title, note, more, height=180 + 30 * len(pairs), headings=1)


CONES = {  # long training -> name, colour: what differs in λ and in the batch alone, *level*
    "e1-level-lam3-long": ("λ = 3, batches of 16", PALETTE[2]),
    "e1-level-lam3-b32-long": ("λ = 3, batches of 32", PALETTE[4]),
    "e1-level-lam10-b32-long": ("λ = 10, batches of 32", PALETTE[5]),
}


def length_figure():
    """Draw hard EER of validation speakers over the released trainings, and the cone over these
    and over long trainings with small and with large batches.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    titles = [
        "EER on hard trials, %<br>(released networks)",
        "cone of the identity vectors<br>(1: all point one way)",
    ]
    figure = make_subplots(1, 2, subplot_titles=titles, horizontal_spacing=0.1)
    for name, colour in LINE.items():
        judged, steps = verdict.progress(name), verdict.curves(name)
        style = {
            "name": f"released: {LONG[name]}",
            "line": {"color": colour, "width": 3},
            "legendgroup": name,
        }
        hard = go.Scatter(
            x=[r["step"] for r in judged],
            y=[round(r["eer_hard"], 1) for r in judged],
            mode="lines+markers",
            **style,
        )
        cone = go.Scatter(
            x=[r["step"] for r in steps],
            y=[round(r["cone"], 3) for r in steps],
            mode="lines",
            showlegend=False,
            **style,
        )
        figure.add_trace(hard, 1, 1).add_trace(cone, 1, 2)
    for row, (name, colour) in CONES.items():
        steps = verdict.cone(row)
        line = {"color": colour, "width": 2}
        figure.add_trace(
            go.Scatter(
                x=[r["step"] for r in steps],
                y=[r["cone"] for r in steps],
                mode="lines",
                name=name,
                line=line,
            ),
            *(1, 2),
        )
    figure.update_xaxes(title="step", range=[0, 4050])
    figure.update_yaxes(rangemode="tozero")
    title = "When does a long training lose the effect?"
    note = "3000 speakers, level only, 1 seed; left: validation speakers, right: training batches"
    return headed(figure, title, note, height=540, headings=2)


def real_figure(rows: list[dict]):
    """EER of strangers' real voices with a microphone drawn for each recording, a bar a judge."""
    import plotly.graph_objects as go

    figure, names = go.Figure(), list(dict.fromkeys(row["judge"] for row in rows))
    found = {name: real_voices.error(rows, name) for name in names}
    names.sort(key=lambda name: -found[name].mean)
    colours = [
        "#444"
        if "cosine" in n
        else GREY
        if "untrained" in n
        else PALETTE[1]
        if "over" in n
        else PALETTE[0]
        for n in names
    ]
    for name, colour in zip(names, colours, strict=True):
        y = round(found[name].mean, 1)
        label = f"{name.removeprefix('networks, ')} ({found[name].n})"
        several = found[name].n >= ENOUGH
        bar = {
            "orientation": "h",
            "text": [y],
            "textposition": "outside",
            "marker": {"color": colour},
        }
        around = [round(found[name].half, 2)] if several else None
        bar |= {"error_x": {"array": around, "thickness": 2}} if several else {}
        bar |= {"textposition": "inside", "insidetextanchor": "start"} if several else {}
        figure.add_trace(go.Bar(x=[y], y=[label], showlegend=False, **bar))
    figure.update_xaxes(title="EER, %", range=[0, 44])
    figure.update_yaxes(dtick=1)  # every bar keeps its label on a slide
    note = "10 strangers, a microphone drawn for each recording; in brackets: seeds"
    note += "; whiskers: 95 %" if any(i.n >= ENOUGH for i in found.values()) else ""
    shade = "orange: normalised over the track; blue: not; grey: untrained; black: no network"
    height = 140 + 36 * max(6, len(names))
    return headed(figure, "What changes on real voices?", note, shade, height=height)


def figures(results: list[dict]) -> dict:
    """{name: figure} of the verdict and of every question."""
    found = {
        "verdict": verdict_figure(results, verdict.supervised()),
        "free": lambda_figure(results, "eer_free", "Does the loss help on ordinary trials?"),
        "hard": lambda_figure(results, "eer_hard", "Does it help on novel combinations?"),
        "lambda": choice_figure(results),
        "price": effects_figure(results),
        "front-end": front_end_figure(results),
        "leak": leak_figure(results),
        "long": long_figure(results + verdict.later()),
        "length": length_figure(),
    }
    rows = real_voices.judged()
    return found | ({"real-voices": real_figure(rows)} if rows else {})


def _has(results: list[dict], row: str) -> bool:
    return bool(verdict.by_seed(results, row, "eer_free"))


def _mean(results: list[dict], row: str, measure: str) -> float:
    return round(verdict.average(results, row, measure).mean, 1)


def _seeds(figure, results: list[dict], rows: list[str], colour: str) -> None:
    """A small hollow point for every seed of some rows: free EER across, word dependence up."""
    free = [x for row in rows for x in verdict.by_seed(results, row, "eer_free").values()]
    words = [x for row in rows for x in verdict.by_seed(results, row, WORDS).values()]
    figure.add_trace(_faint(free, words, colour))


def _faint(x, y, colour: str):
    import plotly.graph_objects as go

    points = {"mode": "markers", "showlegend": False, "hoverinfo": "skip"}
    return go.Scatter(x=list(x), y=[round(v, 2) for v in y], marker=hollow(colour), **points)
