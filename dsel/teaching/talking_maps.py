"""Maps that show a face and speak: one film for all points, and a few lines of script that any plotly figure of a page obeys.

The film is all points' moments one after the other. While the mouse is over a point, a small screen in the corner of the page
shows its face; a click lets it speak. No kernel and no network is needed, so it works in JupyterLab, on the pages of
`make site` and on slides alike. Colab shows every output in a frame of its own, out of reach of any other: there the menus of
`dsel.teaching.widgets.EmbeddingExplorer` play the clips, and they do so by keyboard everywhere. (Source: ours.)
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np

from dsel.teaching.notebook import as_source
from dsel.timing import FPS, samples_for

SIZE = 64  # pixels of a face on the small screen, before it is enlarged
CRF, AUDIO_RATE = 34, 16_000  # coarser than a clip's: a film of a hundred moments has to fit in a notebook


def moment(frames: np.ndarray, waveform: np.ndarray, middle: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` frames about a time in seconds, and their sound; moved inwards at the ends of the track.

    frames uint8 (T, H, W, 3), waveform (640 T,), count <= T -> (count, H, W, 3), (640 count,).
    """
    first = int(np.clip(round(middle * FPS - count / 2), 0, len(frames) - count))
    return frames[first : first + count], waveform[samples_for(first) : samples_for(first + count)]


def film(moments: Iterable[tuple[np.ndarray, np.ndarray]], size: int = SIZE) -> str:
    """Moments of the same length, uint8 (F, H, W, 3) and (640 F,), one after the other: an mp4 as a data URI."""
    from dsel.corpus.cache import resize

    pictures, sounds = zip(*((resize(np.ascontiguousarray(frames), size), sound) for frames, sound in moments), strict=True)
    return as_source(np.concatenate(pictures), np.concatenate(sounds), crf=CRF, audio_rate=AUDIO_RATE)


def talk(source: str, texts: Iterable[str], moments: Iterable[int], count: int):
    """What makes the page's maps talk: display it once.

    source: of `film`. texts: what points show under the mouse, the `hover` of `dsel.plots.maps`; moments: for each, which
    moment of the film is its; count: frames a moment.
    """
    from IPython.display import HTML

    places = {str(text): int(k) for text, k in zip(texts, moments, strict=True)}
    values = {"SOURCE": source, "PLACES": places, "SECONDS": count / FPS}
    script = SCRIPT
    for name, value in values.items():
        script = script.replace(name, json.dumps(value, ensure_ascii=False).replace("</", "<\\/"))
    told = "Maps on this page: move over a point to see the face, click to hear it."
    return HTML(f'<p class="dsel-talks">{told}</p><script>{script}</script>')


SCRIPT = """
(() => {
  const places = PLACES, seconds = SECONDS;
  document.querySelectorAll('.dsel-screen').forEach(old => old.remove());
  const screen = document.createElement('figure');
  screen.className = 'dsel-screen';
  screen.style.cssText = 'position:fixed;right:16px;bottom:16px;z-index:9999;margin:0;padding:8px;width:176px;display:none;'
    + 'background:#fff;color:#222;border:1px solid #7f7f7f;border-radius:6px;font:13px sans-serif';
  screen.innerHTML = '<video width="176" height="176" preload="auto" playsinline></video>'
    + '<figcaption aria-live="polite"></figcaption>';
  const [video, caption] = screen.children;
  video.src = SOURCE;
  video.setAttribute('aria-label', 'the face of the point under the mouse');
  screen.title = 'click to close';
  screen.addEventListener('click', () => { video.pause(); screen.style.display = 'none'; });
  document.body.appendChild(screen);
  let end;
  const show = (text, speak) => {
    const k = places[text];
    if (k === undefined) return;
    clearTimeout(end);
    video.pause();
    screen.style.display = 'block';
    caption.textContent = text;
    video.currentTime = (k + (speak ? 0 : 0.5)) * seconds + 0.005;
    if (speak) video.play().then(() => { end = setTimeout(() => video.pause(), 1000 * seconds); });
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
