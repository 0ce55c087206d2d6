"""Draw slides as reveal.js decks: of a notebook, or of chosen slides.

`tools/slides.py` says what stands on which slide. Here each layout becomes HTML; the page's script
(templates/deck.js) lets text grow until the slide is full, and enlarges figures until their
smallest letter has 20 px. The page loads nothing but what lies in assets/ beside it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path

from nbconvert.filters import markdown2html

from tools.slides import FIGURE, Piece, Slide

__all__ = ["deck"]

TEMPLATES = Path(__file__).resolve().parent / "templates"
CODE_PIXELS = 1190  # how wide a line of code may become
LABEL, CODE = 20, 22  # px of the smallest letters, and of code


def _markdown(text: str) -> str:
    return markdown2html(text)


def _colours(code: str) -> str:
    """Colour Python for a slide."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return highlight(code, PythonLexer(), HtmlFormatter(nowrap=True, noclasses=True))


def _pre(piece: Piece) -> str:
    """Set code, or what a cell printed: as large as its longest line allows."""
    longest = max(len(line) for line in piece.text.splitlines())
    few = piece.kind == "print" and piece.text.count("\n") < 4
    size = min(34 if few else 30, int(CODE_PIXELS / (0.602 * max(longest, 1))))
    least = LABEL if piece.kind == "print" else CODE
    if few and size < LABEL:
        size = 30  # a few lines may wrap, if they are too long to be read in one
    is_code = piece.kind == "code" and re.search(r"^(?:def|class|for|import|@)|=", piece.text, re.M)
    text = _colours(piece.text) if is_code else html.escape(piece.text)
    kind = f"{piece.kind} few" if few else piece.kind
    return f'<pre class="{kind}" style="--most: {max(size, least)}px">{text.rstrip()}</pre>'


def _draw(piece: Piece, cells, figure_html: Callable, deck: str) -> str:
    """Turn a piece into HTML; a formula is uncovered by one step."""
    if piece.kind in ("code", "print"):
        return _pre(piece)
    if piece.kind == "formula":
        return f'<div class="formula fragment">{html.escape(piece.text, quote=False)}</div>'
    if piece.kind == "heading":
        return f"<h3>{_inline(piece.text)}</h3>"
    if piece.kind == "figure":
        cell = cells[piece.cell]
        figure = cell["outputs"][piece.output]["data"][FIGURE]
        name = f"{deck}-{cell['id']}-{piece.output}"
        return f'<div class="stage">{figure_html(figure, name)}</div>'
    if piece.kind in ("clip", "script"):
        return piece.text
    return _markdown(piece.text)


def _inline(text: str) -> str:
    """Set one line of Markdown without its paragraph."""
    return re.sub(r"^<p>(.*)</p>$", r"\1", _markdown(text).strip(), flags=re.S)


def _section(slide: Slide, cells, figure_html: Callable, name: str, start: float) -> str:
    """Draw one slide.

    Args:
        slide: what stands on it.
        cells: of its notebook.
        figure_html: (figure, name) to HTML.
        name: of the deck, for the names of figures.
        start: minutes before it, if minutes are planned.
    """
    drawn = [_draw(piece, cells, figure_html, name) for piece in slide.pieces]
    title = _inline(slide.title)
    sentence = f'<p class="sentence">{_inline(slide.sentence)}</p>' if slide.sentence else ""
    if slide.layout == "title":
        korean = f'<h2 lang="ko">{_inline(slide.sentence)}</h2>' if slide.sentence else ""
        body = f"<h1>{title}</h1>{korean}" + '<div class="fit columns">'
        body += "".join(f"<div>{text}</div>" for text in drawn) + "</div>"
    elif slide.layout == "figure":
        body = f"<header><h2>{title}</h2>{sentence}</header>" + "".join(drawn)
    elif slide.layout == "clip":
        films = [d for p, d in zip(slide.pieces, drawn, strict=True) if p.kind == "clip"]
        words = [d for p, d in zip(slide.pieces, drawn, strict=True) if p.kind != "clip"]
        words, films = sentence + "".join(words), "".join(films)
        if "<video" not in films:  # sounds stand below the text
            body = f'<h2>{title}</h2><div class="fit">{words}{films}</div>'
        else:
            words = f'<div class="fit">{words}</div>' if words else ""
            body = (
                f'<h2>{title}</h2><div class="beside">{words}<div class="films">{films}</div></div>'
            )
    else:
        body = f'<h2>{title}</h2><div class="fit">{sentence}{_rows(slide, drawn)}</div>'
    notes = "\n\n".join(slide.notes)
    timing = ""
    if slide.minutes:
        timing = f' data-timing="{round(60 * slide.minutes)}"'
        clock = f"**{_clock(start)} to {_clock(start + slide.minutes)}**"
        notes = f"{clock}\n\n{notes}"
    aside = f'<aside class="notes">{_markdown(notes)}</aside>' if notes.strip() else ""
    return f'<section class="{slide.layout}"{timing}>{body}{aside}</section>'


def _rows(slide: Slide, drawn: list[str]) -> str:
    """Join the pieces of a slide; formulas that follow each other share lines where they fit."""
    kinds = [piece.kind == "formula" for piece in slide.pieces]
    parts = zip(kinds, drawn, strict=True)
    groups = [(row, "".join(d for _, d in group)) for row, group in groupby(parts, lambda p: p[0])]
    return "".join(f'<div class="formulas">{d}</div>' if row else d for row, d in groups)


def _clock(minutes: float) -> str:
    seconds = round(60 * minutes)
    return f"{seconds // 60}:{seconds % 60:02d}"


def deck(
    slides: Iterable[tuple[Slide, list]], figure_html: Callable, *, title: str, head: str
) -> str:
    """Draw a deck as one page.

    Args:
        slides: each with the cells of its notebook.
        figure_html: (figure, name) to HTML.
        title: of the page.
        head: what the page loads, see templates/local.html.
    """
    stacks: list[list[str]] = []
    start = 0.0
    for number, (slide, cells) in enumerate(slides):
        if slide.opens or not stacks:
            stacks.append([])
        stacks[-1].append(_section(slide, cells, figure_html, f"s{number}", start))
        start += slide.minutes
    drawn = ["\n".join(s) if len(s) == 1 else f"<section>{''.join(s)}</section>" for s in stacks]
    page = (TEMPLATES / "deck.html").read_text(encoding="utf-8")
    script = (TEMPLATES / "deck.js").read_text(encoding="utf-8")
    parts = {
        "TITLE": html.escape(title),
        "HEAD": head,
        "SCRIPT": script,
        "SLIDES": "\n".join(drawn),
    }
    return re.sub(r"@(TITLE|HEAD|SLIDES|SCRIPT)@", lambda found: parts[found[1]], page)
