"""Maps that show a face and speak (notebooks 00, 07): a film of all points, a script for the page.

The film holds the moment of every point, one after the other. While the mouse is over a point, a
small screen in the corner of the page shows its face; a click lets it speak. Neither a kernel nor a
network is needed, so this works in JupyterLab, on the pages of `make site` and on slides. Colab
shows every output in a frame of its own, which the script cannot leave; there the menus of
`dsel.teaching.widgets.EmbeddingExplorer` play the clips, and everywhere they do so by keyboard.
(Source: ours.)
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np

from dsel.teaching.notebook import as_source
from dsel.timing import FPS, samples_for

__all__ = ["SIZE", "film", "lying", "map_of_faces", "moment", "spread", "talk"]

SIZE = 64  # pixels of a face in the film; the small screen enlarges it
# Coarser than clips: a film of a hundred moments must fit in a notebook
CRF, AUDIO_RATE = (
    34,
    16_000,
)


def moment(
    frames: np.ndarray, waveform: np.ndarray, middle: float, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cut `count` frames around a time, and their sound; at the ends of a track, moved inwards.

    Args:
        frames: uint8 (T, H, W, 3).
        waveform: (640 T,).
        middle: in seconds.
        count: at most T.
    Returns:
        (count, H, W, 3) and (640 count,).
    """
    first = int(np.clip(round(middle * FPS - count / 2), 0, len(frames) - count))
    stop = first + count
    return frames[first:stop], waveform[samples_for(first) : samples_for(stop)]


def film(moments: Iterable[tuple[np.ndarray, np.ndarray]], size: int = SIZE) -> str:
    """Join moments of the same length to an mp4, as a data URI.

    Args:
        moments: (frames uint8 (F, H, W, 3), sound (640 F,)) of each.
        size: pixels of a face.
    """
    from dsel.corpus.cache import resize

    small = ((resize(np.ascontiguousarray(frames), size), sound) for frames, sound in moments)
    frames, sounds = zip(*small, strict=True)
    quality = {"crf": CRF, "audio_rate": AUDIO_RATE}
    return as_source(np.concatenate(frames), np.concatenate(sounds), **quality)


def talk(source: str, texts: Iterable[str], moments: Iterable[int], count: int):
    """Make the script that lets the maps of a page talk; display it once.

    Args:
        source: the film, see `film`.
        texts: what the points show under the mouse, the `hover` of `dsel.plots.maps`.
        moments: the number of each point's moment in the film.
        count: frames of a moment.
    """
    from IPython.display import HTML

    places = {str(text): int(k) for text, k in zip(texts, moments, strict=True)}
    script = SCRIPT
    for name, value in {"SOURCE": source, "PLACES": places, "SECONDS": count / FPS}.items():
        text = json.dumps(value, ensure_ascii=False)
        script = script.replace(name, text.replace("</", "<\\/"))  # a text must not end the script
    hint = "Maps on this page: move over a point to see the face, click to hear it; Escape closes."
    return HTML(f'<p class="dsel-talks">{hint}</p><script>{script}</script>')


def map_of_faces(plane: np.ndarray, speakers, hover, faces: dict):
    """Draw a map of voices with a face and a name beside each speaker's points.

    The map is turned so that its long side lies across the page; only distances mean something.

    Args:
        plane: (P, 2).
        speakers: (P,), the name of each point's speaker.
        hover: (P,), what a point shows under the mouse; `talk` knows it by that text.
        faces: {name: frame uint8 (H, W, 3)}; the part of the name before a comma is written below.
    Raises:
        ValueError: a face belongs to nobody on the map.
    """
    import plotly.graph_objects as go

    from dsel.plots.alignment import film_strip
    from dsel.plots.maps import HOVER
    from dsel.plots.style import SMALL, colour_of, hide_axes, symbol_of, xy

    speakers, hover, plane = np.asarray(speakers), np.asarray(hover), lying(plane)
    owners, figure = sorted(faces), go.Figure()
    for speaker in owners:
        if speaker not in speakers:
            raise ValueError(f"{speaker!r} has a face, but no point on the map")
    middles = np.stack([np.median(plane[speakers == speaker], axis=0) for speaker in owners])
    size = 0.2 * float(np.ptp(plane, axis=0).max())
    for number, speaker in enumerate(owners):
        own = speakers == speaker
        look = {"size": 10, "opacity": 0.8, "color": colour_of(number), "symbol": symbol_of(number)}
        points = {**xy(plane[own]), "text": hover[own].tolist()}
        figure.add_scatter(
            **points, mode="markers", marker=look, hovertemplate=HOVER, showlegend=False
        )
    places = spread(middles, size)
    told = [hover[speakers == speaker][0] for speaker in owners]  # a face speaks as its first point
    target = {"size": 46, "opacity": 0, "symbol": "square"}
    points = {**xy(places, 6), "text": told, "marker": target}
    figure.add_scatter(**points, mode="markers", hovertemplate=HOVER, showlegend=False)
    for number, (x, y) in enumerate(places.tolist()):
        speaker, (to_x, to_y) = owners[number], middles[number].tolist()
        line = {"color": colour_of(number), "width": 2}
        figure.add_shape(type="line", x0=x, y0=y, x1=to_x, y1=to_y, line=line, layer="below")
        place = {"x": x, "y": y, "sizex": size, "sizey": size, "xanchor": "center"}
        picture = {"source": film_strip(faces[speaker][None], SIZE), "yanchor": "middle"}
        figure.add_layout_image(**place, **picture, xref="x", yref="y", layer="above")
        label = {"text": speaker.split(",")[0], "showarrow": False, "font": {"size": SMALL}}
        figure.add_annotation(x=x, y=y - 0.68 * size, **label)
    hide_axes(figure)
    all_of_it = np.concatenate([plane, places - 0.9 * size, places + 0.6 * size])
    (left, low), (right, high) = all_of_it.min(axis=0), all_of_it.max(axis=0)
    figure.update_xaxes(range=[left, right])
    figure.update_yaxes(range=[low, high], scaleanchor="x")
    return figure.update_layout(height=430, margin={"l": 10, "r": 10, "t": 40, "b": 5})


def lying(plane: np.ndarray) -> np.ndarray:
    """Turn points (P, 2) about their middle so that they spread most from left to right."""
    centred = np.asarray(plane, np.float64) - np.mean(plane, axis=0)
    return centred @ np.linalg.svd(centred, full_matrices=False)[2].T


def spread(middles: np.ndarray, size: float) -> np.ndarray:
    """Find places for squares beside heaps of points, so that no two overlap and no heap is hidden.

    Each square starts outside of its heap, as seen from the middle of all, and is pushed away from
    other squares (with the label below them) and from all heaps.

    Args:
        middles: of the heaps, (S, 2).
        size: of a square.
    Returns:
        the middles of the squares, (S, 2).
    """
    outwards = middles - middles.mean(axis=0)
    outwards /= np.maximum(np.linalg.norm(outwards, axis=1, keepdims=True), 1e-9)
    places = middles + size * outwards
    box = size * np.array([1.25, 1.5])
    for _ in range(300):
        push = np.zeros_like(places)
        for k, place in enumerate(places):
            for other in np.delete(places, k, axis=0):
                away = (place - other) / box
                if np.abs(away).max() < 1:
                    push[k] += away / max(np.linalg.norm(away), 1e-9)
            for heap in middles:
                away = (place - heap) / size - (0, 0.2)  # from square and label together
                if np.linalg.norm(away) < 1.05:
                    push[k] += away / max(np.linalg.norm(away), 1e-9)
        if not push.any():
            break
        places = places + 0.05 * size * push
    return places


SCRIPT = """
(() => {
  const places = PLACES, seconds = SECONDS;
  document.querySelectorAll('.dsel-screen').forEach(old => old.remove());
  const screen = document.createElement('figure');
  screen.className = 'dsel-screen';
  screen.style.cssText = 'position:fixed;right:16px;bottom:16px;z-index:9999;margin:0;padding:8px;'
    + 'width:176px;display:none;background:#fff;color:#222;border:1px solid #7f7f7f;'
    + 'border-radius:6px;font:15px sans-serif';
  screen.innerHTML = '<video width="176" height="176" preload="auto" playsinline></video>'
    + '<figcaption aria-live="polite"></figcaption>';
  const [video, caption] = screen.children;
  video.src = SOURCE;
  video.setAttribute('aria-label', 'the face of the point under the mouse');
  screen.title = 'Escape or a click closes it';
  document.body.appendChild(screen);
  const close = () => { video.pause(); screen.style.display = 'none'; };
  screen.addEventListener('click', close);
  const escape = event => {  // before JupyterLab takes the key
    if (!screen.isConnected) window.removeEventListener('keydown', escape, true);
    else if (event.key === 'Escape') close();
  };
  window.addEventListener('keydown', escape, true);
  let end;
  const show = (text, speak) => {
    const k = places[text];
    if (k === undefined) return;
    clearTimeout(end);
    video.pause();
    screen.style.display = 'block';
    caption.textContent = text;
    video.currentTime = (k + (speak ? 0 : 0.5)) * seconds + 0.005;
    if (!speak) return;
    video.play().then(() => { end = setTimeout(() => video.pause(), 1000 * seconds); });
  };
  const listen = () => document.querySelectorAll('.js-plotly-plot').forEach(plot => {
    if (plot.talksTo === screen || !plot.on) return;
    plot.talksTo = screen;
    plot.on('plotly_hover', event => show(event.points[0].text, false));
    plot.on('plotly_click', event => show(event.points[0].text, true));
  });
  const timer = setInterval(() => screen.isConnected ? listen() : clearInterval(timer), 300);
})();
"""
