"""Measure in Chromium how full the slides of the decks are, and photograph them.

    python tools/measure_decks.py                 every deck of build/slides/: one line a deck
    python tools/measure_decks.py --photos FOLDER a picture of every slide there, too
    python tools/measure_decks.py DECK.html ...   only these

**Full** is the share of the slide's area (1280 x 720 px) that the bounding boxes of its visible
content cover together: paragraphs, list items, headings, formulas, code, tables, pictures, films
and figures; of text the box around its lines, of code and tables the box around all of it. Empty
margins, padding and backgrounds are no content. Fragments count as uncovered.

A slide **overflows** if a box reaches over the edge of the slide by more than 2 px, has to be
scrolled to be seen, or if a figure hides its sentence or has labels on labels. **Labels** is the
smallest letter in a figure, in px on the screen.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(ROOT))

from tools.stills import CHROMIUM  # noqa: E402

__all__ = ["HEIGHT", "LEAST", "WIDTH", "Slide", "main", "measure", "summary"]

WIDTH, HEIGHT = 1280, 720
LEAST = 0.4  # a slide that is less full than this looks forgotten

READY = "window.Reveal && Reveal.isReady() && MathJax.isReady"
FITTED = "Reveal.getCurrentSlide().dataset.fitted == 'done'"
SET = "MathJax.Hub.queue.pending == 0 && MathJax.Hub.queue.running == 0"

MEASURE = """([width, height]) => {
  const slide = Reveal.getCurrentSlide(), boxes = [], least = [];
  slide.querySelectorAll('.fragment').forEach(e => e.classList.add('visible'));
  const shown = e => e.checkVisibility({checkOpacity: true, checkVisibilityCSS: true});
  const add = (e, box) => {
    if (box.width < 2 || box.height < 2) return;
    boxes.push({left: box.left, right: box.right, top: box.top, bottom: box.bottom,
      what: `${e.tagName}: ${(e.textContent || '').trim().slice(0, 40)}`});
  };
  const around = e => {  // text: the box around its lines
    const lines = [], walk = document.createTreeWalker(e, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
      const math = walk.currentNode.parentElement.closest('.MathJax, .MJX_Assistive_MathML');
      if (math) {  // its letters overlap each other, and one copy of them is not seen
        math.querySelectorAll('.math').forEach(m => lines.push(m.getBoundingClientRect()));
        continue;
      }
      const range = document.createRange();
      range.selectNodeContents(walk.currentNode);
      lines.push(...[...range.getClientRects()].filter(r => r.width > 1 && r.height > 1));
    }
    if (!lines.length) return null;
    return {left: Math.min(...lines.map(r => r.left)), right: Math.max(...lines.map(r => r.right)),
      top: Math.min(...lines.map(r => r.top)), bottom: Math.max(...lines.map(r => r.bottom)),
      get width() { return this.right - this.left },
      get height() { return this.bottom - this.top }};
  };
  const whole = 'video, audio, img, .js-plotly-plot, table, pre, .MathJax_Display, button, select';
  slide.querySelectorAll(whole).forEach(e => {
    if (e.parentElement.closest(whole) || e.closest('aside') || !shown(e)) return;
    const code = e.matches('pre, .MathJax_Display') && around(e);
    add(e, code || e.getBoundingClientRect());
  });
  slide.querySelectorAll('p, li, h1, h2, h3, h4, summary').forEach(e => {
    if (e.closest(whole) || e.closest('aside') || !shown(e)) return;
    const box = around(e);
    if (box) add(e, box);
  });
  const cell = 8, across = width / cell, down = height / cell;
  let covered = 0;
  for (let i = 0; i < across; i++) for (let j = 0; j < down; j++) {
    const x = (i + 0.5) * cell, y = (j + 0.5) * cell;
    covered += boxes.some(b => b.left <= x && x < b.right && b.top <= y && y < b.bottom);
  }
  const outside = boxes.filter(b => b.left < -2 || b.top < -2 || b.right > width + 2
    || b.bottom > height + 2).map(b => b.what);
  for (let e of [slide, ...slide.querySelectorAll('*')]) {
    const style = getComputedStyle(e);
    if (/auto|scroll|hidden/.test(style.overflowY) && e.clientHeight > 20 && !e.closest('svg')
        && !e.closest('.MathJax, .MathJax_Display, aside')
        && e.scrollHeight > e.clientHeight + 3 && style.overflowY !== 'visible')
      outside.push(`scrolls: ${e.tagName}.${e.className}`);
  }
  slide.querySelectorAll('.js-plotly-plot text').forEach(t => {
    if (!t.textContent.trim() || !shown(t)) return;
    const turned = t.getScreenCTM(), scale = Math.hypot(turned.a, turned.b);
    const letters = [t, ...t.querySelectorAll('tspan')].filter(e =>
      !e.closest("[style*='70%']") &&  // a subscript
      [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()));
    letters.forEach(e => least.push(scale * parseFloat(getComputedStyle(e).fontSize)));
  });
  slide.querySelectorAll('.js-plotly-plot').forEach(plot => {  // text that its figure cuts off
    const box = plot.getBoundingClientRect();
    plot.querySelectorAll('.gtitle, .infolayer .xtitle, .infolayer .ytitle').forEach(t => {
      const r = t.getBoundingClientRect();
      if (r.width && (r.right > box.right + 3 || r.left < box.left - 3))
        outside.push(`cut off: ${t.textContent.slice(0, 60)}`);
    });
  });
  const stage = slide.querySelector('.stage'), words = slide.querySelector('header .sentence');
  if (stage && words && around(words).bottom > stage.getBoundingClientRect().top + 2)
    outside.push(`behind the figure: ${words.textContent.slice(0, 60)}`);
  slide.querySelectorAll('.js-plotly-plot').forEach(plot => {  // labels on labels
    const own = '.xtick text, .ytick text, .xtitle, .ytitle, .gtitle, .annotation-text'
      + ', .legendtext';
    const all = [...plot.querySelectorAll(own)].filter(t => t.textContent.trim() && shown(t)
      && !/rotate\\(-?(?!0[,)]|90[,)]|180)/.test(t.getAttribute('transform') || ''));
    all.forEach((a, i) => all.slice(i + 1).forEach(b => {
      const [p, q] = [a.getBoundingClientRect(), b.getBoundingClientRect()];
      const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
      const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
      if (wide > 3 && high > 6) outside.push(`overlap: ${a.textContent} | ${b.textContent}`);
    }));
  });
  const plots = [...slide.querySelectorAll('.js-plotly-plot')].map(e =>
    e.getBoundingClientRect().height / height);
  return {full: covered / across / down, outside, plots, labels: Math.min(99, ...least),
    boxes: boxes.length,
    title: (slide.querySelector('h1, h2, h3')?.textContent || '').slice(0, 60)};
}"""


@dataclass(frozen=True)
class Slide:
    """One slide as it was seen.

    Args:
        deck: the name of the deck.
        place: right and down, as reveal.js counts.
        title: its heading.
        full: share of the slide that is covered, 0 to 1.
        outside: what reaches over the edge or has to be scrolled; empty: nothing.
        labels: smallest letter of its figures, in px; 99 without a figure.
        figures: the heights of its figures, as shares of the slide.
        boxes: how many things are on it.
    """

    deck: str
    place: tuple[int, int]
    title: str
    full: float
    outside: tuple[str, ...]
    labels: float
    figures: tuple[float, ...]
    boxes: int


def measure(browser, path: Path, photos: Path | None = None) -> list[Slide]:
    """Page through a deck and measure every slide.

    Args:
        browser: a Chromium of playwright.
        path: the deck.
        photos: a folder for a picture of every slide; None: no pictures.
    """
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.set_default_timeout(240_000)
    page.goto(path.resolve().as_uri())
    page.wait_for_function(READY)
    page.wait_for_function(SET)
    deck, seen = path.name.split(".")[0], []
    places = page.evaluate("Reveal.getSlides().map(s => Reveal.getIndices(s))")
    for number, at in enumerate(places):
        page.evaluate("([h, v]) => Reveal.slide(h, v)", [at["h"], at.get("v") or 0])
        page.wait_for_function(FITTED)
        page.wait_for_timeout(120)
        found = page.evaluate(MEASURE, [WIDTH, HEIGHT])
        place = (at["h"], at.get("v") or 0)
        seen.append(
            Slide(
                deck,
                place,
                found["title"],
                found["full"],
                tuple(found["outside"]),
                found["labels"],
                tuple(found["plots"]),
                found["boxes"],
            )
        )
        if photos:
            photos.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=photos / f"{deck}-{number:02d}.png")
    page.close()
    return seen


def summary(slides: list[Slide]) -> str:
    """Write the counts of a deck as one line."""
    low = [s for s in slides if s.full < LEAST]
    over = [s for s in slides if s.outside]
    small = [s for s in slides if s.labels < 20 - 0.05]
    return (
        f"{slides[0].deck:32s} {len(slides):3d} slides, {len(low):3d} under {LEAST:.0%} full, "
        f"{len(over):2d} overflow, {len(small):2d} with labels under 20 px"
    )


def main(argv=None) -> int:
    """Measure decks and print one line each, and each slide that breaks a rule."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("decks", nargs="*", type=Path)
    parser.add_argument("--photos", type=Path, help="a folder for pictures of the slides")
    options = parser.parse_args(argv)
    from playwright.sync_api import sync_playwright

    decks = options.decks or sorted((ROOT / "build" / "slides").glob("*.slides.html"))
    every = []
    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for deck in decks:
            slides = measure(browser, deck, options.photos)
            print(summary(slides), flush=True)
            for s in slides:
                if s.full < LEAST or s.outside or s.labels < 19.95:
                    where, why = "-".join(map(str, s.place)), "; ".join(s.outside[:3])
                    print(f"    {where:5s} {s.full:4.0%} {s.labels:4.1f} px {s.title!r} {why}")
            every += slides
        browser.close()
    if every:
        print(summary(every).replace(every[0].deck.ljust(32), "all".ljust(32)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
