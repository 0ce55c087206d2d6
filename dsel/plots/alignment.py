"""Figures for notebook 01: pictures, waveform and log-mel on one time axis, and what happens when one of them slips.

Arrays in, plotly figure out. Every slider is plotly's own over states computed before, so a saved notebook moves without a
kernel. Times are seconds from the first frame shown; the grid is that of `dsel.timing`. plotly is imported where it is used.
"""

from __future__ import annotations

import base64
from fractions import Fraction

import numpy as np

from dsel.plots.style import COLOURS, LOW, PALETTE, restyle, short, slider
from dsel.timing import (
    FPS,
    MEL_HOP,
    MEL_LENGTH,
    MELS_PER_FRAME,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    WINDOW_FRAMES,
    frame_start,
    frames_in,
    mels_for,
    samples_for,
    window_span,
    windows_in,
)

GRID = "rgba(70,70,70,.45)"
WINDOW = {"line": {"color": PALETTE[1], "width": 3}, "fillcolor": "rgba(213,94,0,.10)"}
OUTLINE = 16  # samples (1 ms) under one point of a waveform's outline


def film_strip(frames: np.ndarray, height: int = 64) -> str:
    """uint8 (T, H, W, 3) side by side as one JPEG, a data URI: what a figure or a page shows without a file."""
    import av

    from dsel.corpus.cache import resize

    small = resize(np.ascontiguousarray(frames), height)  # (T, h, h, 3)
    strip = np.ascontiguousarray(small.transpose(1, 0, 2, 3).reshape(height, -1, 3))
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt = strip.shape[1], height, "yuvj444p"
    codec.time_base, codec.options = Fraction(1, FPS), {"qmin": "3", "qmax": "3"}
    picture = av.VideoFrame.from_ndarray(strip, format="rgb24").reformat(format="yuvj444p", dst_color_range="JPEG")
    data = b"".join(bytes(packet) for packet in [*codec.encode(picture), *codec.encode()])
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def outline(waveform: np.ndarray, points: int = OUTLINE) -> tuple[np.ndarray, np.ndarray]:
    """Times (P,) in seconds and values (P,): the least and the greatest of every `points` samples, so that no peak is lost."""
    cells = np.asarray(waveform, np.float64)[: len(waveform) // points * points].reshape(-1, points)
    values = np.stack([cells.min(axis=1), cells.max(axis=1)], axis=1).ravel()
    return np.arange(len(values)) * points / 2 / SAMPLE_RATE, values


def timeline(frames: np.ndarray, waveform: np.ndarray, mel: np.ndarray, *, sounds=(), active: int = 3):
    """Pictures, waveform and log-mel under each other with the grid drawn over all; a slider moves a window.

    frames uint8 (T, H, W, 3), waveform (640 T,), mel (mels, 4 T); sounds: (start, end, name) of what is said, in seconds.
    """
    import plotly.graph_objects as go

    T = len(frames)
    figure = _stack(3, [0.2, 0.32, 0.48], ["picture", "waveform", "log-mel band"])
    _strip(figure, frames, row=1)
    time, values = outline(waveform)
    top = 1.15 * float(np.abs(values).max() or 1)
    line = {"color": COLOURS["audio"], "width": 1}
    figure.add_trace(go.Scatter(x=short(time), y=short(values, 3), mode="lines", line=line, hoverinfo="skip"), 2, 1)
    figure.add_trace(_mel(mel), 3, 1)
    spoken = [(start, name) for start, _, name in sounds if 0 <= start < frame_start(T)]
    if spoken:
        x, text = zip(*spoken, strict=True)
        label = {"mode": "text", "textposition": "bottom right", "textfont": {"size": 12}, "hoverinfo": "skip"}
        figure.add_trace(go.Scatter(x=list(x), y=[top] * len(x), text=list(text), **label), 2, 1)
    figure.update_yaxes(range=[-top, top], row=2, col=1)
    figure.update_layout(shapes=[_window(active), *_lines(T)])
    steps = []
    for t in range(windows_in(T)):
        start, end = window_span(t)
        changes = {"shapes[0].x0": start, "shapes[0].x1": end, "title.text": window_title(t)}
        steps.append({"label": str(t), "method": "relayout", "args": [changes]})
    figure.update_layout(title=window_title(active), sliders=[slider(steps, "window t", active=active, pad=80)], height=660)
    figure.update_xaxes(range=[0, frame_start(T)])
    figure.update_xaxes(title="seconds; a line every 40 ms", row=3, col=1)
    return figure


def window_title(t: int) -> str:
    """What belongs to window t, in the three units of the grid; last numbers included."""
    stop = t + WINDOW_FRAMES
    parts = (
        f"frames {t}–{stop - 1}",
        f"samples {samples_for(t)}–{samples_for(stop) - 1}",
        f"mel frames {mels_for(t)}–{mels_for(stop) - 1}",
    )
    return f"Window {t}: " + ", ".join(parts)


def one_frame(waveform: np.ndarray, frame: int):
    """The 640 samples of one frame, and the four analysis windows that make its four mel frames."""
    import plotly.graph_objects as go

    margin = MEL_LENGTH // 2
    first, stop = samples_for(frame) - margin, samples_for(frame + 1) + margin
    sound = np.asarray(waveform, np.float64)[max(0, first) : stop]
    n = np.arange(max(0, first), max(0, first) + len(sound)) - samples_for(frame)  # samples from the frame's start on
    scale = float(np.abs(sound).max() or 1)
    figure = _stack(2, [0.5, 0.5], ["waveform", "weight"])
    line = {"color": COLOURS["audio"], "width": 1.5}
    figure.add_trace(go.Scatter(x=n.tolist(), y=short(sound), line=line, hovertemplate="sample %{x}<extra></extra>"), 1, 1)
    for k in range(MELS_PER_FRAME):
        centre = MEL_HOP * k + MEL_HOP // 2
        x = np.arange(-MEL_LENGTH // 2, MEL_LENGTH // 2 + 1, 4)
        hann = 0.5 + 0.5 * np.cos(2 * np.pi * x / MEL_LENGTH)
        style = {"line": {"color": PALETTE[k], "width": 2}, "fill": "tozeroy", "opacity": 0.6, "hoverinfo": "skip"}
        figure.add_trace(go.Scatter(x=(centre + x).tolist(), y=short(hann), **style), 2, 1)
        at = {"x": centre, "y": 1.1, "xref": "x2", "yref": "y2", "showarrow": False, "font": {"color": PALETTE[k]}}
        figure.add_annotation(
            text=f"mel 4f+{k}<br>centre {centre}" if k else f"mel 4f<br>centre {centre}", yanchor="bottom", **at
        )
    borders = [
        {
            "type": "line",
            "xref": "x",
            "yref": "paper",
            "x0": x,
            "x1": x,
            "y0": 0,
            "y1": 1,
            "line": {"color": GRID, "dash": dash},
        }
        for x, dash in [(MEL_HOP * k, "solid" if k in (0, MELS_PER_FRAME) else "dot") for k in range(MELS_PER_FRAME + 1)]
    ]
    figure.update_layout(title=f"Frame {frame} under the magnifier: 640 samples, four mel frames", shapes=borders, height=430)
    figure.update_yaxes(range=[-1.1 * scale, 1.1 * scale], row=1, col=1)
    figure.update_yaxes(range=[0, 1.55], tickvals=[0, 1], row=2, col=1)
    figure.update_xaxes(dtick=MEL_HOP, range=[-margin, SAMPLES_PER_FRAME + margin])
    figure.update_xaxes(title=f"samples from {SAMPLES_PER_FRAME} f on (f = {frame})", row=2, col=1)
    return figure


def mouth_against_sound(mouths: np.ndarray, opening: np.ndarray, mel: np.ndarray, *, reach: int = 15, active: int = 0):
    """A strip of mouths that stands still, and sound that a slider pushes along under it by -reach .. reach frames.

    mouths uint8 (T, h, w, 3); opening (T,) in [0, 1]; mel (mels, 4 T). The loudness is the mean of the mel bands, its range
    stretched to that of the opening.
    """
    T = len(mouths)
    figure = _stack(3, [0.16, 0.36, 0.48], ["mouth", "opening, loudness", "log-mel band"])
    shifts = list(range(-reach, reach + 1))
    x0 = [_first_column(k) for k in shifts]
    start = shifts.index(active)
    _mouth_over_loudness(figure, mouths, opening, mel, x0[start])
    figure.add_trace(_mel(mel, x0[start]), 3, 1)
    steps = [restyle(f"{k:+d}" if k else "0", {"x0": [x, x]}, [2, 3]) for k, x in zip(shifts, x0, strict=True)]
    bar = slider(steps, "sound late by frames k", active=start, pad=80)
    title = "Push the sound along: where does it fit the mouth?"
    figure.update_layout(title=title, sliders=[bar], height=600, showlegend=True, legend={"orientation": "h", "y": 1.09})
    figure.update_xaxes(range=[0, frame_start(T)])
    figure.update_xaxes(title="seconds of the picture; a line every 40 ms", row=3, col=1)
    return figure


def _mouth_over_loudness(figure, mouths, opening, mel, x0: float) -> None:
    """The strip of mouths in row 1, their opening and the loudness in row 2; the first mel frame is drawn at x0 seconds."""
    import plotly.graph_objects as go

    _strip(figure, mouths, row=1)
    centres = (np.arange(len(mouths)) + 0.5) / FPS
    at_rest = {"mode": "lines+markers", "line": {"color": COLOURS["face"], "width": 3}, "name": "mouth opening"}
    figure.add_trace(go.Scatter(x=short(centres), y=short(opening, 3), **at_rest), 2, 1)
    moving = {"mode": "lines", "line": {"color": COLOURS["audio"], "width": 2}, "name": "loudness"}
    stretched = np.min(opening) + loudness(mel) * (np.max(opening) - np.min(opening))
    figure.add_trace(go.Scatter(x0=x0, dx=MEL_HOP / SAMPLE_RATE, y=short(stretched, 3), **moving), 2, 1)
    figure.update_layout(shapes=_lines(len(mouths)))


def _first_column(k: int) -> float:
    """Where the first mel frame stands, in seconds, if the sound is late by k frames."""
    return round(MEL_HOP / 2 / SAMPLE_RATE + frame_start(k), 5)


def pushed(mouths, opening, mel, losses, *, shift: int, planted: int, first: int, count: int, chance: float, shown: bool):
    """One state of `SyncExplorer`: a clip whose sound came late by `planted` frames, pushed on by `shift`.

    mouths uint8 (T, h, w, 3), opening (T,), mel (mels, 4 T) in step, of which frames [first, first + count) are drawn;
    losses (2 reach + 1,): what a network pays if the sound is late by -reach .. reach. They, and where the sound is in step,
    are drawn if `shown`.
    """
    figure = _stack(3, [0.18, 0.42, 0.40], ["mouth", "opening,<br>loudness", "content loss"])
    late, reach = planted + shift, len(losses) // 2
    part = slice(first, first + count)
    _mouth_over_loudness(figure, mouths[part], opening[part], mel, _first_column(late - first))
    figure.update_shapes(y0=0.46)  # the grid is that of the clip: not through the last panel
    x = np.arange(-reach, reach + 1) - planted  # by how much to push, to be late by -reach .. reach
    if shown:
        _curve(figure, x, losses, late + reach, chance, "chance", row=3, col=1)
        figure.add_vline(x=-planted, line={"color": GRID, "width": 2}, annotation_text="in step", row=3, col=1)
        title = f"The sound came {lateness(planted)}" + (f"; pushed by {shift:+d} it is {lateness(late)}" if shift else "")
    else:
        figure.update_yaxes(range=[0, 1], showticklabels=False, row=3, col=1)
        note = {"text": "what a trained network says: still hidden", "showarrow": False, "font": {"size": 17}}
        figure.add_annotation(x=0, y=0.5, xref="x3", yref="y3", **note)
        now = f"pushed by k = {shift:+d} frames ({1000 * frame_start(shift):+.0f} ms)" if shift else "as it came"
        title = f"The sound {now}: is it in step with the mouth?"
    for axis, domain in (
        (figure.layout.yaxis, [0.84, 1]),
        (figure.layout.yaxis2, [0.46, 0.82]),
        (figure.layout.yaxis3, [0, 0.30]),
    ):
        axis.domain = domain
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    figure.update_layout(title=title, height=580, showlegend=True, legend=legend, margin={"t": 95, "b": 60})
    figure.update_xaxes(range=[0, frame_start(count)], matches=None)
    seconds = {"text": "seconds of the picture; a line every 40 ms", "standoff": 4, "font": {"size": 14}}
    figure.update_xaxes(title=seconds, showticklabels=True, matches="x", row=2, col=1)
    pushes = {"text": "push the sound by k frames", "standoff": 4, "font": {"size": 14}}
    figure.update_xaxes(title=pushes, range=[-reach - 0.5, reach + 0.5], row=3, col=1)
    return figure


def lateness(k: int) -> str:
    """What it is called if sound is late by k frames."""
    frames = f"{abs(k)} frame{'s' if abs(k) > 1 else ''} ({1000 * frame_start(abs(k)):.0f} ms)"
    return "in step" if k == 0 else f"{frames} {'late' if k > 0 else 'early'}"


def _curve(figure, shifts, losses, at: int, chance: float, name: str, *, row: int, col: int) -> None:
    """The content loss against the shift, a dot at number `at` of them (none if there is none), a dotted line at chance."""
    import plotly.graph_objects as go

    x, y = [int(k) for k in shifts], short(losses)
    at = at if 0 <= at < len(x) else len(x)
    curve = {"mode": "lines", "line": {"color": COLOURS["content"]}, "showlegend": False}
    figure.add_trace(go.Scatter(x=x, y=y, **curve), row, col)
    dot = {"mode": "markers", "marker": {"size": 14, "color": PALETTE[1]}, "showlegend": False}
    figure.add_trace(go.Scatter(x=x[at : at + 1], y=y[at : at + 1], **dot), row, col)
    figure.add_hline(y=chance, line={"dash": "dot", "color": COLOURS["chance"]}, annotation_text=name, row=row, col=col)
    figure.update_yaxes(range=[0, 1.08 * float(np.max(losses))], row=row, col=col)
    figure.update_xaxes(title="k", row=row, col=col)


def loudness(mel: np.ndarray) -> np.ndarray:
    """Mean log-mel of every mel frame, stretched to [0, 1]: (mels, M) -> (M,)."""
    mean = np.asarray(mel, np.float64).mean(axis=0)
    return (mean - mean.min()) / max(mean.max() - mean.min(), 1e-12)


def out_of_step(probabilities: np.ndarray, losses, shifts, *, anchor: int, chance: float, active: int | None = None):
    """What a trained network makes of every shift: the K x K softmax, one row of it, and the content loss.

    probabilities (S, K, K): row t, column tau, for the S shifts; losses (S,); anchor: the row shown as bars.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    K = np.shape(probabilities)[-1]
    shifts = [int(k) for k in shifts]
    start = shifts.index(0) if active is None else active
    titles = ("p(τ | t)", f"its row t = {anchor}", "content loss")
    figure = make_subplots(1, 3, subplot_titles=titles, horizontal_spacing=0.09, column_widths=[0.36, 0.28, 0.36])
    heat = {"colorscale": LOW, "zmin": 0, "zmax": float(np.max(probabilities)), "showscale": False}
    hover = "t = %{y}, τ = %{x}: %{z:.2f}<extra></extra>"
    figure.add_trace(
        go.Heatmap(z=short(probabilities[start], 3), x=list(range(K)), y=list(range(K)), hovertemplate=hover, **heat), 1, 1
    )
    colours = [COLOURS["content"] if tau == anchor else PALETTE[6] for tau in range(K)]
    bars = short(np.asarray(probabilities)[:, anchor], 3)
    figure.add_trace(go.Bar(x=list(range(K)), y=bars[start], marker={"color": colours}), 1, 2)
    _curve(figure, shifts, losses, start, chance, f"log {K}", row=1, col=3)
    heights, places = short(losses), list(range(K))
    steps = []
    for s, k in enumerate(shifts):
        changes = {
            "z": [short(probabilities[s], 3), None, None],
            "x": [places, places, [k]],
            "y": [places, bars[s], [heights[s]]],
        }
        steps.append(restyle(f"{k:+d}" if k else "0", changes, [0, 1, 3]))
    bar = slider(steps, "sound late by frames k", active=start, pad=95)
    figure.update_layout(sliders=[bar], showlegend=False, height=480, margin={"t": 50})
    figure.update_yaxes(autorange="reversed", title="video t", scaleanchor="x", constrain="domain", row=1, col=1)
    figure.update_xaxes(title="audio τ", constrain="domain", row=1, col=1)
    figure.update_yaxes(range=[0, 1.02], row=1, col=2)
    figure.update_xaxes(title="audio τ", row=1, col=2)
    return figure


def offsets(found: dict, *, reach: int, title: str):
    """How often each offset was found: found maps a name to (clips,) offsets in frames, the truth being 0."""
    import plotly.graph_objects as go

    shifts = np.arange(-reach, reach + 1)
    bars = [
        go.Bar(x=shifts.tolist(), y=short((np.asarray(ks)[:, None] == shifts).mean(axis=0)), name=name)
        for name, ks in found.items()
    ]
    figure = go.Figure(bars)
    figure.update_layout(title=title, xaxis_title="offset found, frames", yaxis_title="share of clips", height=380)
    figure.update_layout(legend={"orientation": "h", "y": 1.12}, barmode="group")
    figure.update_yaxes(tickformat=".0%")
    return figure


def on_the_grid(films: dict, *, seconds: float = 0.4):
    """In which cell of the 25-a-second grid the frames of each film begin.

    films maps a name to (times (K,) in seconds from the film's first frame on, cells (K,) as `frame_grid` says).
    A mark is a frame; its colour changes with the cell, and a ring is drawn where a cell has no frame of its own: there
    the one before is held.
    """
    import plotly.graph_objects as go

    names = list(films)
    x, y, text, colour, held_x, held_y = [], [], [], [], [], []
    cells_shown = int(np.ceil(seconds * FPS - 1e-6))
    for name, (times, cells) in films.items():
        shown = (np.asarray(times) < seconds - 1e-6) & (np.asarray(cells) < cells_shown)
        for time, cell in zip(np.asarray(times)[shown], np.asarray(cells)[shown], strict=True):
            x.append(round(float(time), 4))
            y.append(name)
            text.append(f"{name}: {1000 * time:.1f} ms, grid frame {cell}")
            colour.append(PALETTE[0] if cell % 2 == 0 else PALETTE[1])
        empty = sorted(set(range(cells_shown)) - {int(c) for c in cells})
        held_x += [round((cell + 0.5) / FPS, 4) for cell in empty]
        held_y += [name] * len(empty)
    hover = {"text": text, "hovertemplate": "%{text}<extra></extra>"}
    marks = go.Scatter(x=x, y=y, mode="markers", marker={"size": 13, "color": colour}, name="a frame begins", **hover)
    ring = {"size": 13, "symbol": "circle-open", "color": PALETTE[6], "line": {"width": 2}}
    held = go.Scatter(x=held_x, y=held_y, mode="markers", marker=ring, name="the frame before is held", hoverinfo="skip")
    figure = go.Figure([marks, held])
    lines = [_line(frame_start(f)) for f in range(cells_shown + 1)]
    title = "Every frame belongs to the 40 ms in which it appears"
    figure.update_layout(title=title, shapes=lines, height=120 + 52 * len(names), legend={"orientation": "h", "y": 1.16})
    figure.update_yaxes(type="category", categoryorder="array", categoryarray=names[::-1], showgrid=False)
    figure.update_xaxes(title="seconds from the first frame on; a line every 40 ms", range=[-0.008, seconds], showgrid=False)
    figure.update_layout(margin={"l": 130, "t": 90}, showlegend=True)
    return figure


def cut(frames: np.ndarray, waveform: np.ndarray, mel: np.ndarray, first: int, count: int) -> tuple:
    """Frames [first, first + count) of a track with their sound and mel frames, all by the grid."""
    stop = first + count
    if not 0 <= first < stop <= min(len(frames), frames_in(len(waveform))):
        raise ValueError(f"frames {first} to {stop} of a track of {len(frames)}")
    return frames[first:stop], waveform[samples_for(first) : samples_for(stop)], mel[:, mels_for(first) : mels_for(stop)]


def _stack(rows: int, heights: list[float], names: list[str]):
    """Panels under each other that share the time axis."""
    from plotly.subplots import make_subplots

    figure = make_subplots(rows, 1, shared_xaxes=True, row_heights=heights, vertical_spacing=0.035)
    figure.update_layout(showlegend=False, margin={"l": 75, "t": 70})
    figure.update_xaxes(showgrid=False, zeroline=False)
    figure.update_yaxes(showgrid=False, zeroline=False)
    for row, name in enumerate(names, start=1):
        figure.update_yaxes(title={"text": name, "font": {"size": 13}}, row=row, col=1)
    return figure


def _strip(figure, frames: np.ndarray, row: int) -> None:
    """Draw the frames, each over its own 40 ms. (An invisible trace gives the panel its axes.)"""
    import plotly.graph_objects as go

    end = frame_start(len(frames))
    hover = [f"frame {f}" for f in range(len(frames))]
    middle = [round((f + 0.5) / FPS, 4) for f in range(len(frames))]
    dots = {"mode": "markers", "marker": {"opacity": 0}, "text": hover, "hovertemplate": "%{text}<extra></extra>"}
    figure.add_trace(go.Scatter(x=middle, y=[0.5] * len(frames), showlegend=False, **dots), row, 1)
    place = {"xref": "x", "yref": "y" if row == 1 else f"y{row}", "x": 0, "y": 1, "sizex": end, "sizey": 1}
    figure.add_layout_image(source=film_strip(frames), sizing="stretch", layer="below", **place)
    figure.update_yaxes(range=[0, 1], showticklabels=False, row=row, col=1)


def _mel(mel: np.ndarray, x0: float = MEL_HOP / 2 / SAMPLE_RATE):
    import plotly.graph_objects as go

    return go.Heatmap(
        z=short(mel, 1),
        x0=x0,
        dx=MEL_HOP / SAMPLE_RATE,
        colorscale="Viridis",
        showscale=False,
        hovertemplate="%{x:.3f} s, band %{y}: %{z:.1f}<extra></extra>",
    )


def _window(t: int) -> dict:
    start, end = window_span(t)
    return {"type": "rect", "xref": "x", "yref": "paper", "x0": start, "x1": end, "y0": 0, "y1": 1, **WINDOW}


def _lines(T: int) -> list[dict]:
    return [_line(frame_start(f)) for f in range(T + 1)]


def _line(x: float) -> dict:
    place = {"xref": "x", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1}
    return {"type": "line", **place, "line": {"color": GRID, "width": 1, "dash": "dot"}}
