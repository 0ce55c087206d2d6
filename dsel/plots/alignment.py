"""Figures of notebook 01: frames, waveform and log-mel on one time axis, and sound that slips.

    timeline                all three under each other, a slider moves a window
    one_frame               the samples and mel frames of one video frame
    mouth_against_sound     sound pushed along under a strip of mouths
    pushed                  one state of `SyncExplorer`
    out_of_step             softmax and content loss of a network at every shift
    offsets                 how often each offset was found
    on_the_grid             where the frames of films fall on the grid of 25 a second

Arrays in, plotly figures out; sliders move without a kernel. Times are seconds from the first frame
shown; the grid is that of `dsel.timing`. plotly is imported where it is used. (Source: ours.)
"""

from __future__ import annotations

import base64
from fractions import Fraction

import numpy as np

from dsel.plots.style import (
    COLOURS,
    GREY,
    PALETTE,
    SMALL,
    WHITE_TO_BLUE,
    chance_line,
    headed,
    restyle,
    short,
    slider,
)
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

__all__ = [
    "cut",
    "film_strip",
    "lateness",
    "loudness",
    "mouth_against_sound",
    "offsets",
    "on_the_grid",
    "one_frame",
    "out_of_step",
    "outline",
    "pushed",
    "timeline",
    "window_title",
]

GRID_COLOUR = "rgba(70,70,70,.45)"
WINDOW_LOOK = {"line": {"color": PALETTE[1], "width": 3}, "fillcolor": "rgba(213,94,0,.10)"}
SAMPLES_PER_POINT = 16  # 1 ms of sound under two points of a waveform's outline
FIRST_MEL = MEL_HOP / 2 / SAMPLE_RATE  # s, the middle of the first mel frame


# --- Arrays ---------------------------------------------------------------------------------------


def film_strip(frames: np.ndarray, height: int = 64) -> str:
    """Join frames uint8 (T, H, W, 3) side by side to a JPEG `height` pixels high, as a data URI."""
    import av

    from dsel.corpus.cache import resize

    small = resize(np.ascontiguousarray(frames), height)  # (T, h, h, 3)
    strip = np.ascontiguousarray(small.transpose(1, 0, 2, 3).reshape(height, -1, 3))
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt = strip.shape[1], height, "yuvj444p"
    codec.time_base, codec.options = Fraction(1, FPS), {"qmin": "3", "qmax": "3"}
    image = av.VideoFrame.from_ndarray(strip, format="rgb24")
    image = image.reformat(format="yuvj444p", dst_color_range="JPEG")
    data = b"".join(bytes(packet) for packet in [*codec.encode(image), *codec.encode()])
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def outline(waveform, samples: int = SAMPLES_PER_POINT) -> tuple[np.ndarray, np.ndarray]:
    """Reduce a waveform to the least and the greatest of every few samples, so no peak is lost.

    Args:
        waveform: (S,).
        samples: how many are replaced by two values.
    Returns:
        times (P,) in seconds and values (P,).
    """
    pieces = np.asarray(waveform, np.float64)[: len(waveform) // samples * samples]
    pieces = pieces.reshape(-1, samples)
    values = np.stack([pieces.min(axis=1), pieces.max(axis=1)], axis=1).ravel()
    return np.arange(len(values)) * samples / 2 / SAMPLE_RATE, values


def window_title(t: int) -> str:
    """Describe window t by its frames, samples and mel frames, last numbers included."""
    stop = t + WINDOW_FRAMES
    parts = (
        f"frames {t}–{stop - 1}",
        f"samples {samples_for(t)}–{samples_for(stop) - 1}",
        f"mel frames {mels_for(t)}–{mels_for(stop) - 1}",
    )
    return f"Window {t}: " + ", ".join(parts)


def lateness(k: int) -> str:
    """Describe sound that is late by k frames in words."""
    number = abs(k)
    frames = f"{number} frame{'s' if number > 1 else ''} ({1000 * frame_start(number):.0f} ms)"
    return "in step" if k == 0 else f"{frames} {'late' if k > 0 else 'early'}"


def loudness(mel: np.ndarray) -> np.ndarray:
    """Compute the mean log-mel of every mel frame, stretched to [0, 1]: (mels, M) -> (M,)."""
    mean = np.asarray(mel, np.float64).mean(axis=0)
    return (mean - mean.min()) / max(mean.max() - mean.min(), 1e-12)


def cut(frames: np.ndarray, waveform: np.ndarray, mel: np.ndarray, first: int, count: int) -> tuple:
    """Cut frames [first, first + count) of a track with their sound and their mel frames.

    Args:
        frames, waveform, mel: (T, H, W, 3), (640 T,), (mels, 4 T).
        first, count: in frames.
    Raises:
        ValueError: the track has no such frames.
    """
    stop = first + count
    if not 0 <= first < stop <= min(len(frames), frames_in(len(waveform))):
        raise ValueError(f"frames {first} to {stop} of a track of {len(frames)}")
    sound = waveform[samples_for(first) : samples_for(stop)]
    return frames[first:stop], sound, mel[:, mels_for(first) : mels_for(stop)]


# --- Figures --------------------------------------------------------------------------------------


def timeline(frames: np.ndarray, waveform, mel: np.ndarray, *, sounds=(), active: int = 3):
    """Draw frames, waveform and log-mel under each other with the grid; a slider moves a window.

    Args:
        frames: uint8 (T, H, W, 3).
        waveform: (640 T,).
        mel: (mels, 4 T).
        sounds: (start, end, name) of what is said, in seconds.
        active: the window at the start.
    """
    import plotly.graph_objects as go

    T = len(frames)
    figure = _stack(3, [0.2, 0.32, 0.48], ["frames", "waveform", "log-mel band"])
    _strip(figure, frames, row=1)
    time, values = outline(waveform)
    top = 1.15 * float(np.abs(values).max() or 1)
    line = {"mode": "lines", "line": {"color": COLOURS["audio"], "width": 1}}
    figure.add_trace(go.Scatter(x=short(time), y=short(values, 3), hoverinfo="skip", **line), 2, 1)
    figure.add_trace(_mel(mel), 3, 1)
    spoken = [(start, name) for start, _, name in sounds if 0 <= start < frame_start(T)]
    if spoken:
        x, text = (list(column) for column in zip(*spoken, strict=True))
        style = {"mode": "text", "textposition": "bottom right", "textfont": {"size": SMALL}}
        label = go.Scatter(x=x, y=[top] * len(x), text=text, hoverinfo="skip", **style)
        figure.add_trace(label, 2, 1)
    figure.update_yaxes(range=[-top, top], row=2, col=1)
    figure.update_layout(shapes=[_window(active), *_grid_lines(T)])
    steps = []
    for t in range(windows_in(T)):
        start, end = window_span(t)
        changes = {"shapes[0].x0": start, "shapes[0].x1": end, "title.text": window_title(t)}
        steps.append({"label": str(t), "method": "relayout", "args": [changes]})
    bar = slider(steps, "window t", active=active, pad=80)
    headed(figure, window_title(active), height=660, sliders=[bar])
    figure.update_xaxes(range=[0, frame_start(T)])
    return figure.update_xaxes(title="seconds; a line every 40 ms", row=3, col=1)


def one_frame(waveform: np.ndarray, frame: int):
    """Draw the 640 samples of a frame, and the four analysis windows that make its mel frames.

    Args:
        waveform: (S,), of the whole track.
        frame: its number.
    """
    import plotly.graph_objects as go

    margin = MEL_LENGTH // 2
    first, stop = samples_for(frame) - margin, samples_for(frame + 1) + margin
    first = max(0, first)
    sound = np.asarray(waveform, np.float64)[first:stop]
    n = np.arange(first, first + len(sound)) - samples_for(frame)  # from the frame's first sample
    figure = _stack(2, [0.5, 0.5], ["waveform", "mel frame,<br>its centre"])
    line = {"line": {"color": COLOURS["audio"], "width": 1.5}}
    hover = {"hovertemplate": "sample %{x}<extra></extra>"}
    figure.add_trace(go.Scatter(x=n.tolist(), y=short(sound), **line, **hover), 1, 1)
    for k in range(MELS_PER_FRAME):
        centre = MEL_HOP * k + MEL_HOP // 2
        x = np.arange(-MEL_LENGTH // 2, MEL_LENGTH // 2 + 1, 4)
        hann = short(0.5 + 0.5 * np.cos(2 * np.pi * x / MEL_LENGTH))
        style = {"line": {"color": PALETTE[k], "width": 2}, "fill": "tozeroy", "opacity": 0.6}
        weight = go.Scatter(x=(centre + x).tolist(), y=hann, hoverinfo="skip", **style)
        figure.add_trace(weight, 2, 1)
        text = f"4f{f'+{k}' if k else ''}<br>{centre}"
        place = {"x": centre, "y": 1.1, "xref": "x2", "yref": "y2", "yanchor": "bottom"}
        figure.add_annotation(text=text, showarrow=False, font={"color": PALETTE[k]}, **place)
    borders = [
        _line(MEL_HOP * k, width=2, dash="solid" if k in (0, MELS_PER_FRAME) else "dot")
        for k in range(MELS_PER_FRAME + 1)
    ]
    title = f"Frame {frame} under the magnifier: 640 samples, four mel frames"
    headed(figure, title, shapes=borders, height=450)
    scale = 1.1 * float(np.abs(sound).max() or 1)
    figure.update_yaxes(range=[-scale, scale], row=1, col=1)
    figure.update_yaxes(range=[0, 1.75], tickvals=[0, 1], row=2, col=1)
    figure.update_xaxes(dtick=MEL_HOP, range=[-margin, SAMPLES_PER_FRAME + margin])
    title = f"samples from {SAMPLES_PER_FRAME} f on (f = {frame})"
    return figure.update_xaxes(title=title, row=2, col=1)


def mouth_against_sound(mouths, opening, mel, *, reach: int = 15, active: int = 0):
    """Draw a strip of mouths, and sound that a slider pushes along under it.

    The loudness is the mean of the mel bands, its range stretched to that of the opening.

    Args:
        mouths: uint8 (T, h, w, 3).
        opening: of the mouth, (T,) in [0, 1].
        mel: (mels, 4 T).
        reach: the slider moves the sound by -reach .. reach frames.
        active: the shift at the start, in frames.
    """
    T = len(mouths)
    figure = _stack(3, [0.16, 0.36, 0.48], ["mouth", "opening, loudness", "log-mel band"])
    shifts = list(range(-reach, reach + 1))
    begins = [_first_column(k) for k in shifts]
    start = shifts.index(active)
    _mouth_over_loudness(figure, mouths, opening, mel, begins[start])
    figure.add_trace(_mel(mel, begins[start]), 3, 1)
    steps = [
        restyle(_signed(k), {"x0": [x, x]}, [2, 3]) for k, x in zip(shifts, begins, strict=True)
    ]
    bar = slider(steps, "sound late by frames k", active=start, pad=80)
    title = "Push the sound along: where does it fit the mouth?"
    headed(figure, title, height=600, sliders=[bar], showlegend=True)
    figure.update_xaxes(range=[0, frame_start(T)])
    return figure.update_xaxes(title="seconds of the frames; a line every 40 ms", row=3, col=1)


def pushed(
    mouths,
    opening,
    mel,
    losses,
    *,
    shift: int,
    planted: int,
    first: int,
    count: int,
    chance: float,
    shown: bool,
    network: str = "",
):
    """Draw one state of `SyncExplorer`: sound that came late, and is pushed on.

    Args:
        mouths, opening, mel: of the clip in step, (T, h, w, 3), (T,), (mels, 4 T).
        losses: what a network pays if the sound is late by -reach .. reach, (2 reach + 1,).
        shift: by how many frames the sound was pushed.
        planted: by how many frames it came late.
        first, count: the frames that are drawn.
        chance: the loss where nothing is known.
        shown: whether to draw the losses, and where the sound is in step.
        network: which network pays the losses.
    """
    figure = _stack(3, [0.18, 0.42, 0.40], ["mouth", "opening,<br>loudness", "content loss"])
    late, reach = planted + shift, len(losses) // 2
    part = slice(first, first + count)
    _mouth_over_loudness(figure, mouths[part], opening[part], mel, _first_column(late - first))
    figure.update_shapes(y0=0.46)  # the grid belongs to the clip: not through the last panel
    x = np.arange(-reach, reach + 1) - planted  # the pushes that make it late by -reach .. reach
    if shown:
        _curve(figure, x, losses, late + reach, chance, "chance", row=3, col=1)
        line = {"color": GRID_COLOUR, "width": 2}
        figure.add_vline(x=-planted, line=line, annotation_text="in step", row=3, col=1)
        pushed_on = f"; pushed by {shift:+d} it is {lateness(late)}" if shift else ""
        title = f"The sound came {lateness(planted)}{pushed_on}"
    else:
        figure.update_yaxes(range=[0, 1], showticklabels=False, row=3, col=1)
        text = "what a trained network says: still hidden"
        place = {"x": 0, "y": 0.5, "xref": "x3", "yref": "y3"}
        figure.add_annotation(text=text, showarrow=False, **place)
        milliseconds = f"{1000 * frame_start(shift):+.0f} ms"
        state = f"pushed by k = {shift:+d} frames ({milliseconds})" if shift else "as it came"
        title = f"The sound {state}: is it in step with the mouth?"
    domains = {"yaxis_domain": [0.84, 1], "yaxis2_domain": [0.46, 0.82], "yaxis3_domain": [0, 0.30]}
    said = network if shown else ""
    headed(figure, title, network=said, height=580, showlegend=True, **domains)
    figure.update_xaxes(range=[0, frame_start(count)], matches=None)
    style = {"standoff": 4}
    seconds = {"text": "seconds of the frames; a line every 40 ms", **style}
    figure.update_xaxes(title=seconds, showticklabels=True, matches="x", row=2, col=1)
    pushes, ends = {"text": "push the sound by k frames", **style}, [-reach - 0.5, reach + 0.5]
    return figure.update_xaxes(title=pushes, range=ends, row=3, col=1)


def out_of_step(
    probabilities,
    losses,
    shifts,
    *,
    anchor: int,
    chance: float,
    active: int | None = None,
    network: str = "",
):
    """Draw what a trained network makes of every shift: softmax, one row of it, content loss.

    Args:
        probabilities: row t, column tau, for S shifts, (S, K, K).
        losses: (S,).
        shifts: by how many frames the sound is late, (S,).
        anchor: the row t that is shown as bars.
        chance: the loss where nothing is known.
        active: the number of the shift at the start; None: that of shift 0.
        network: which network is shown.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    K = np.shape(probabilities)[-1]
    shifts, places = [int(k) for k in shifts], list(range(K))
    start = shifts.index(0) if active is None else active
    titles = ("p(τ | t)", f"its row t = {anchor}", "content loss")
    widths = {"horizontal_spacing": 0.09, "column_widths": [0.36, 0.28, 0.36]}
    figure = make_subplots(1, 3, subplot_titles=titles, **widths)
    heat = {"colorscale": WHITE_TO_BLUE, "zmin": 0, "zmax": float(np.max(probabilities))}
    hover = {"hovertemplate": "t = %{y}, τ = %{x}: %{z:.2f}<extra></extra>", "showscale": False}
    p = short(probabilities[start], 3)
    figure.add_trace(go.Heatmap(z=p, x=places, y=places, **heat, **hover), 1, 1)
    colours = [COLOURS["content"] if tau == anchor else GREY for tau in places]
    bars = short(np.asarray(probabilities)[:, anchor], 3)
    figure.add_trace(go.Bar(x=places, y=bars[start], marker={"color": colours}), 1, 2)
    _curve(figure, shifts, losses, start, chance, f"log {K}", row=1, col=3)
    heights, steps = short(losses), []
    for s, k in enumerate(shifts):
        changes = {
            "z": [short(probabilities[s], 3), None, None],
            "x": [places, places, [k]],
            "y": [places, bars[s], [heights[s]]],
        }
        steps.append(restyle(_signed(k), changes, [0, 1, 3]))
    bar = slider(steps, "sound late by frames k", active=start, pad=70)
    look = {"showlegend": False, "height": 500, "sliders": [bar]}
    headed(figure, "A network's answers", network=network, headings=1, **look)
    square = {"constrain": "domain", "row": 1, "col": 1}
    figure.update_yaxes(autorange="reversed", title="video t", scaleanchor="x", **square)
    figure.update_xaxes(title="audio τ", **square)
    figure.update_yaxes(range=[0, 1.02], row=1, col=2)
    return figure.update_xaxes(title="audio τ", row=1, col=2)


def offsets(systems: dict, *, reach: int, title: str, network: str = ""):
    """Draw how often each offset was found.

    Args:
        systems: {name: the offsets found, in frames, (clips,)}; the true offset is 0.
        reach: offsets from -reach to reach are drawn.
        title: of the figure.
        network: which network found them.
    """
    import plotly.graph_objects as go

    shifts = np.arange(-reach, reach + 1)
    figure = go.Figure()
    for name, values in systems.items():
        share = (np.asarray(values)[:, None] == shifts).mean(axis=0)
        figure.add_bar(x=shifts.tolist(), y=short(share), name=name)
    axes = {"xaxis_title": "offset found, frames", "yaxis_title": "share of clips"}
    headed(figure, title, network=network, height=400, barmode="group", **axes)
    return figure.update_yaxes(tickformat=".0%")


def on_the_grid(films: dict, *, seconds: float = 0.4):
    """Draw in which 40 ms of the grid the frames of each film begin.

    A mark is a frame; its colour changes with the 40 ms. A ring stands where no frame begins: the
    frame before is held there.

    Args:
        films: {name: (times (K,) in seconds from the film's first frame on, grid frames (K,) as
            `dsel.prepare.decode.frame_grid` gives them)}.
        seconds: how much of each film is drawn.
    """
    import plotly.graph_objects as go

    drawn = int(np.ceil(seconds * FPS - 1e-6))  # grid frames
    begins = {"x": [], "y": [], "text": [], "colour": []}
    held = {"x": [], "y": []}
    for name, (times, frames) in films.items():
        times, frames = np.asarray(times), np.asarray(frames)
        shown = (times < seconds - 1e-6) & (frames < drawn)
        for time, frame in zip(times[shown], frames[shown], strict=True):
            begins["x"].append(round(float(time), 4))
            begins["y"].append(name)
            begins["text"].append(f"{name}: {1000 * time:.1f} ms, grid frame {frame}")
            begins["colour"].append(PALETTE[frame % 2])
        empty = sorted(set(range(drawn)) - {int(frame) for frame in frames})
        held["x"] += [round((frame + 0.5) / FPS, 4) for frame in empty]
        held["y"] += [name] * len(empty)
    marker = {"size": 13, "color": begins.pop("colour")}
    style = {"mode": "markers", "hovertemplate": "%{text}<extra></extra>"}
    marks = go.Scatter(**begins, **style, marker=marker, name="a frame begins")
    ring = {"size": 13, "symbol": "circle-open", "color": GREY, "line": {"width": 2}}
    style = {"mode": "markers", "marker": ring, "hoverinfo": "skip"}
    rings = go.Scatter(**held, **style, name="the frame before is held")
    figure = go.Figure([marks, rings])
    title = "Every frame belongs to the 40 ms in which it appears"
    headed(figure, title, shapes=_grid_lines(drawn), height=150 + 52 * len(films))
    order = {"categoryorder": "array", "categoryarray": list(films)[::-1]}
    figure.update_yaxes(type="category", showgrid=False, **order)
    title = "seconds from the first frame on; a line every 40 ms"
    figure.update_xaxes(title=title, range=[-0.008, seconds], showgrid=False)
    return figure.update_layout(showlegend=True)


# --- Parts of figures -----------------------------------------------------------------------------


def _stack(rows: int, heights: list[float], names: list[str]):
    """Make a figure of panels under each other that share the time axis.

    Args:
        rows: their number.
        heights: their shares of the height.
        names: titles of their y axes.
    """
    from plotly.subplots import make_subplots

    shape = {"shared_xaxes": True, "row_heights": heights, "vertical_spacing": 0.035}
    figure = make_subplots(rows, 1, **shape)
    figure.update_layout(showlegend=False, margin={"l": 75})
    figure.update_xaxes(showgrid=False, zeroline=False)
    figure.update_yaxes(showgrid=False, zeroline=False)
    for row, name in enumerate(names, start=1):
        figure.update_yaxes(title={"text": name}, row=row, col=1)
    return figure


def _strip(figure, frames: np.ndarray, row: int) -> None:
    """Draw frames (T, H, W, 3) into a row, each over its own 40 ms.

    An invisible trace gives the panel its axes and its hover text.
    """
    import plotly.graph_objects as go

    T = len(frames)
    middles = [round((f + 0.5) / FPS, 4) for f in range(T)]
    hover = {"text": [f"frame {f}" for f in range(T)], "hovertemplate": "%{text}<extra></extra>"}
    dots = {"mode": "markers", "marker": {"opacity": 0}, "showlegend": False}
    figure.add_trace(go.Scatter(x=middles, y=[0.5] * T, **dots, **hover), row, 1)
    axes = {"xref": "x", "yref": "y" if row == 1 else f"y{row}"}
    box = {"x": 0, "y": 1, "sizex": frame_start(T), "sizey": 1, "sizing": "stretch"}
    figure.add_layout_image(source=film_strip(frames), layer="below", **axes, **box)
    figure.update_yaxes(range=[0, 1], showticklabels=False, row=row, col=1)


def _mel(mel: np.ndarray, begin: float = FIRST_MEL):
    """Return a log-mel (mels, M) as a heatmap whose first column lies at `begin` seconds."""
    import plotly.graph_objects as go

    hover = {"hovertemplate": "%{x:.3f} s, band %{y}: %{z:.1f}<extra></extra>"}
    look = {"colorscale": "Viridis", "showscale": False}
    return go.Heatmap(z=short(mel, 1), x0=begin, dx=MEL_HOP / SAMPLE_RATE, **look, **hover)


def _mouth_over_loudness(figure, mouths, opening, mel, begin: float) -> None:
    """Draw the strip of mouths in row 1, and their opening and the loudness in row 2.

    Args:
        figure: the plotly figure, see `_stack`.
        mouths, opening, mel: (T, h, w, 3), (T,), (mels, M).
        begin: where the first mel frame lies, in seconds.
    """
    import plotly.graph_objects as go

    _strip(figure, mouths, row=1)
    middles = (np.arange(len(mouths)) + 0.5) / FPS
    face = {"mode": "lines+markers", "line": {"color": COLOURS["face"], "width": 3}}
    mouth = go.Scatter(x=short(middles), y=short(opening, 3), name="mouth opening", **face)
    figure.add_trace(mouth, 2, 1)
    stretched = np.min(opening) + loudness(mel) * (np.max(opening) - np.min(opening))
    audio = {"mode": "lines", "line": {"color": COLOURS["audio"], "width": 2}}
    time = {"x0": begin, "dx": MEL_HOP / SAMPLE_RATE}
    figure.add_trace(go.Scatter(**time, y=short(stretched, 3), name="loudness", **audio), 2, 1)
    figure.update_layout(shapes=_grid_lines(len(mouths)))


def _curve(figure, shifts, losses, at: int, chance: float, name: str, *, row: int, col: int):
    """Draw the content loss against the shift, with a dot on it and a dotted line at chance.

    Args:
        figure: the plotly figure.
        shifts, losses: the curve, (S,).
        at: the number of the shift with the dot; outside 0 .. S - 1: no dot.
        chance: the loss where nothing is known.
        name: the text at the dotted line.
        row, col: the panel.
    """
    import plotly.graph_objects as go

    x, y = [int(k) for k in shifts], short(losses)
    dotted = slice(at, at + 1) if 0 <= at < len(x) else slice(0, 0)
    line = {"mode": "lines", "line": {"color": COLOURS["content"]}, "showlegend": False}
    figure.add_trace(go.Scatter(x=x, y=y, **line), row, col)
    dot = {"mode": "markers", "marker": {"size": 14, "color": PALETTE[1]}, "showlegend": False}
    figure.add_trace(go.Scatter(x=x[dotted], y=y[dotted], **dot), row, col)
    chance_line(figure, chance, name, row=row, col=col)
    figure.update_yaxes(range=[0, 1.08 * float(np.max(losses))], row=row, col=col)
    figure.update_xaxes(title="k", row=row, col=col)


def _first_column(k: int) -> float:
    """Return where the first mel frame lies, in seconds, if the sound is late by k frames."""
    return round(FIRST_MEL + frame_start(k), 5)


def _signed(k: int) -> str:
    """Write a shift with its sign; 0 has none."""
    return f"{k:+d}" if k else "0"


def _window(t: int) -> dict:
    """Describe the box around window t."""
    start, end = window_span(t)
    ends = {"xref": "x", "yref": "paper", "x0": start, "x1": end, "y0": 0, "y1": 1}
    return {"type": "rect", **ends, **WINDOW_LOOK}


def _grid_lines(T: int) -> list[dict]:
    """Describe the lines of the grid, one at the start of each of T frames and one at the end."""
    return [_line(frame_start(f)) for f in range(T + 1)]


def _line(x: float, width: int = 1, dash: str = "dot") -> dict:
    """Describe a vertical line through all panels."""
    ends = {"xref": "x", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1}
    return {"type": "line", **ends, "line": {"color": GRID_COLOUR, "width": width, "dash": dash}}
