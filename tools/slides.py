"""Lay the cells of a notebook out on slides, by rules that need no work in the notebooks.

`compose` decides what stands on which slide; `tools/decks.py` draws it, and `tools/stamp.py`
writes it into the metadata of the cells (`slideshow.slide_type`), where JupyterLab shows it.

    title     the title in both languages, the Korean summary, what one can do afterwards
    figure    the title of its section, one sentence, the figure on 85 % of the height
    clip      text on the left, films with their controls on the right
    text      text, formulas (one a fragment), tables, and what a cell prints, as large as it fits

Code is shown only if it is written to be read: loops written from a formula, a definition that the
text announces with a colon, the bugs of notebook 11. Imports, preparations, exercises' stubs,
checks, solutions and text tagged `reading` stay out. What a slide leaves out of a text is in the
speaker's notes, whole.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

__all__ = [
    *("CLIP", "DETAILS", "FIGURE", "HIDE", "Piece", "Slide", "compose", "hides_code"),
    *("is_exercise", "lines", "shorten", "shows", "slide_types", "source", "stamp", "tags"),
]

FIGURE = "application/vnd.plotly.v1+json"
CLIP = re.compile(r"<(?:video|audio)\b")
TALKS = "dsel-talks"  # the script of a map that speaks, see dsel.teaching.talking_maps
HIDE = "hide-on-slide"  # the tag of a code cell whose input a slide leaves out
EXERCISE_TAGS = {"solution", "law", "exercise", "check"}
EXERCISE = re.compile(
    r"raise NotImplementedError|^exercises\.|the self-check know|# replace each None|^def check",
    re.M,
)
DETAILS = re.compile(r"<details.*?</details>", re.S)
EXPLAINS_FIGURE = re.compile(r"\*\*What (?:you see|most people find)\.?\*\*\s*")
BLOCK = re.compile(r"(```.*?```|\$\$.*?\$\$)", re.S)
SENTENCE = re.compile(
    r"(?<=[.!?:])(?<!e\.g\.)(?<!i\.e\.)(?<!vs\.)([*)”\"]*)\s+(?=[*“\"(\[`$\\A-Z0-9])"
)
BADGE = "Open in Colab"

# Weights are characters of text that take as much of a slide.
FULL = 780  # a slide of text holds about as much
LEAST = 200  # with less than this it looks forgotten, however large the letters
STATEMENT = 210  # characters beside a figure: two lines
PARAGRAPH, ITEM = 300, 230  # characters of a paragraph, of an item of a list
A_LINE, A_FORMULA, A_ROW = 62, 110, 75  # what a line of code, a formula, a row of a table weighs
LONG_CODE, LONG_TABLE, LONG_PRINT = 25, 13, 14  # lines, rows and lines that nobody would project


@dataclass(frozen=True)
class Piece:
    """Something to put on a slide.

    Args:
        kind: heading, text, list, formula, table, code, print, figure, clip, script or said.
        text: Markdown, code, or what was printed; of a heading without its `#`.
        cell: the number of the cell it comes from.
        output: of a figure, clip or script the number of the output; else -1.
        level: of a heading how many `#`.
        whole: the text before it was shortened; empty: it was not.
    """

    kind: str
    text: str
    cell: int
    output: int = -1
    level: int = 0
    whole: str = ""

    @property
    def weight(self) -> int:
        """How much of a slide it takes, in characters of text."""
        rows = self.text.count("\n") + 1
        if self.kind in ("code", "print"):
            return A_LINE * rows
        if self.kind == "table":
            return A_ROW * (rows - 1)
        if self.kind == "formula":
            return A_FORMULA * (1 + self.text.count(r"\\ "))
        return len(plain(self.text)) + (20 * rows if self.kind == "list" else 0)

    @property
    def cover(self) -> int:
        """How much it covers when it is as large as it becomes, in characters of text.

        Code and prints do not grow as text does: their lines are long.
        """
        if self.kind not in ("code", "print"):
            return self.weight
        rows = self.text.splitlines()
        return int(0.35 * len(rows) * min(66, max(map(len, rows), default=0)))


@dataclass(frozen=True)
class Slide:
    """One slide.

    Args:
        layout: title, figure, clip or text.
        title: Markdown; of its section, or of the part of it.
        opens: whether a section begins here.
        pieces: what stands on it, from top to bottom.
        notes: Markdown for the speaker.
        cells: the numbers of the cells that it shows.
        sentence: Markdown beside a figure.
        minutes: planned; 0: none.
    """

    layout: str
    title: str
    opens: bool = False
    pieces: tuple[Piece, ...] = ()
    notes: tuple[str, ...] = ()
    cells: tuple[int, ...] = ()
    sentence: str = ""
    minutes: float = 0.0

    @property
    def weight(self) -> int:
        """How full it is, in characters of text."""
        return sum(piece.weight for piece in self.pieces)

    @property
    def cover(self) -> int:
        """How full it becomes, in characters of text."""
        return sum(piece.cover for piece in self.pieces)


def source(cell) -> str:
    """Return the text of a cell."""
    return "".join(cell["source"])


def lines(cell) -> list[str]:
    """Return the lines of a cell that are not empty; the title of a folded cell is none of them."""
    text = source(cell).splitlines()
    return [line for line in text if line.strip() and not line.startswith("# @title ")]


def tags(cell) -> set[str]:
    """Return the tags of a cell."""
    return set(cell["metadata"].get("tags", []))


def shows(cell) -> set[str]:
    """Return the MIME types of a code cell's outputs; 'text/plain' for what it prints."""
    outputs = cell.get("outputs", [])
    return {kind for output in outputs for kind in output.get("data", {"text/plain": None})}


def is_exercise(cell) -> bool:
    """Say whether a cell is a stub to fill in, its check, or an answer."""
    return bool(tags(cell) & EXERCISE_TAGS or EXERCISE.search(source(cell)))


def plain(text: str) -> str:
    """Take the marks of Markdown out of a text, to count what is seen."""
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return re.sub(r"[*_`\[\]]|\\(?:mathcal|text|bar|hat|frac|log|exp)\b", "", text).strip()


def sentences(text: str) -> list[str]:
    """Split a paragraph into sentences; formulas and links stay whole."""
    kept: list[str] = []
    for part in re.sub(SENTENCE, r"\1\0", " ".join(text.split())).split("\0"):
        # An open bracket, dollar or star, or a number after a colon: the sentence goes on.
        if kept and (_open(kept[-1]) or (kept[-1].endswith(":") and part[:1].isdigit())):
            kept[-1] += f" {part}"
        else:
            kept.append(part)
    return [part for part in kept if part.strip()]


def _open(text: str) -> bool:
    """Say whether a formula, a bracket or stars go on after this text."""
    return bool(text.count("$") % 2 or text.count("(") > text.count(")") or text.count("*") % 2)


def shorten(text: str, most: int) -> str:
    """Keep whole sentences from the beginning of a text, up to a length; one at least.

    >>> shorten("One is short. Two is longer than that. Three.", 20)
    'One is short.'
    """
    taken = ""
    for sentence in sentences(text):
        longer = f"{taken} {sentence}".strip()
        if taken and len(plain(longer)) > most:
            break
        taken = longer
    return taken


def shortened(piece: Piece) -> Piece:
    """Shorten a paragraph or the items of a list; anything else stays as it is."""
    if piece.kind == "text":
        text = shorten(piece.text, PARAGRAPH)
    elif piece.kind == "list":
        items = re.split(r"\n(?=\s*(?:[*-]|\d+\.) )", piece.text)
        text = "\n".join(_item(item) for item in items)
    else:
        return piece
    cut = len(plain(text)) < len(plain(" ".join(piece.text.split()))) - 2
    return replace(piece, text=text, whole=piece.text if cut else "")


def _item(item: str) -> str:
    """Shorten an item of a list, its bullet left as it is."""
    bullet, text = re.match(r"(\s*(?:[*-]|\d+\.)\s+)?(.*)", item, re.S).groups()
    return (bullet or "") + shorten(text, ITEM)


# --- From cells to pieces ---------------------------------------------------------------------


def text_pieces(text: str, cell: int) -> list[Piece]:
    """Take a text cell apart: headings, paragraphs, lists, tables, formulas, code."""
    pieces = []
    for block in BLOCK.split(DETAILS.sub("", text)):
        if block.startswith("```"):
            pieces.append(Piece("code", block.strip("`").split("\n", 1)[1].rstrip(), cell))
        elif block.startswith("$$"):
            pieces += [Piece("formula", f"$${part}$$", cell) for part in formulas(block)]
        else:
            for part in re.split(r"\n\s*\n", block):
                pieces += _paragraph(part.strip("\n"), cell)
    return pieces


def formulas(block: str) -> list[str]:
    r"""Split formulas that share a line, so that each can be uncovered by itself.

    >>> formulas(r"$$ a = b \qquad c = d $$")
    ['a = b', 'c = d']
    """
    text = block.strip().strip("$").strip()
    parts = [text] if r"\begin" in text else re.split(r"(?:\\q?quad\s*)+", text)
    return [part.strip() for part in parts if part.strip()]


def _paragraph(text: str, cell: int) -> list[Piece]:
    """Say what one paragraph is; a heading above it becomes a piece of its own."""
    if not text.strip():
        return []
    heading = re.match(r"(#+) ([^\n]*)\n?(.*)", text, re.S)
    if heading:
        level, title, rest = heading.groups()
        return [Piece("heading", title.strip(), cell, level=len(level)), *_paragraph(rest, cell)]
    if all(line.startswith("    ") for line in text.splitlines()):
        return [Piece("code", "\n".join(line[4:] for line in text.splitlines()), cell)]
    if text.lstrip().startswith("|"):
        return [Piece("table", text, cell)]
    first = re.search(r"^(?:[*-]|\d+\.) ", text, re.M)
    if first and first.start():  # a list follows its first line without a gap
        return [
            *_paragraph(text[: first.start()].rstrip(), cell),
            Piece("list", text[first.start() :], cell),
        ]
    return [Piece("list" if first else "text", text if first else text.strip(), cell)]


def exhibit(cell, *, section: str = "", announced: bool = False) -> str:
    """Return the part of a code cell that is written to be read; nearly always it is nothing.

    Args:
        cell: a code cell.
        section: the title of its section.
        announced: the text before it ends with a colon.
    """
    text = re.sub(r"\A# @title [^\n]*\n+", "", source(cell)).strip()
    if section.startswith("Bug ") and FIGURE not in shows(cell):
        return text if len(text.splitlines()) <= LONG_CODE else ""
    try:
        tree = ast.parse(text)
    except SyntaxError:  # a magic of IPython
        return ""
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    wanted = [node for node in functions if "loops" in node.name]
    if not wanted and announced and not shows(cell) and tree.body[:1] == functions[:1]:
        wanted = functions
    if not wanted:
        return ""
    shown = "\n\n".join(ast.get_source_segment(text, node) for node in wanted)
    return shown if len(shown.splitlines()) <= LONG_CODE else ""


def output_pieces(cell, number: int) -> list[Piece]:
    """Take the outputs of a code cell that a slide can show."""
    pieces, printed = [], []
    drawn = False
    for k, output in enumerate(cell.get("outputs", [])):
        data = output.get("data", {})
        html = "".join(data.get("text/html", ""))
        drawn |= FIGURE in data or bool(CLIP.search(html))
        if FIGURE in data:
            pieces.append(Piece("figure", "", number, k))
        elif CLIP.search(html) and TALKS not in html:
            pieces.append(Piece("clip", html, number, k))
        elif "<script" in html:
            pieces.append(Piece("script", html, number, k))
        elif "text/latex" in data:  # the source of a function, with its colours
            code = "".join(data.get("text/plain", "")).rstrip()
            if len(code.splitlines()) <= LONG_CODE:
                pieces.append(Piece("code", code, number, k))
        elif "text/markdown" in data:
            pieces += text_pieces("".join(data["text/markdown"]), number)
        elif output.get("output_type") == "stream" and output.get("name") != "stderr":
            printed.append("".join(output["text"]).strip("\n"))
    if printed:
        pieces.append(Piece("print", "\n".join(printed), number))
    long = {"table": LONG_TABLE, "print": LONG_PRINT, "code": LONG_CODE}
    kept = [p for p in pieces if p.text.count("\n") < long.get(p.kind, 10**6)]
    if drawn:  # numbers beside a figure are for the speaker
        kept = [_said(p) for p in kept if p.kind != "table"]
        kept.sort(key=lambda p: p.kind != "said")
    return kept


def _said(piece: Piece) -> Piece:
    """Leave what a cell writes beside its figure to the speaker; print keeps its columns."""
    if piece.kind not in ("text", "print"):
        return piece
    text = f"```\n{piece.text}\n```" if piece.kind == "print" else piece.text
    return replace(piece, kind="said", text=text)


def stream(nb) -> list[Piece]:
    """Take all cells after the first apart, in order."""
    pieces: list[Piece] = []
    section = ""
    for number, cell in enumerate(nb["cells"]):
        text = source(cell)
        if number == 0 or "reading" in tags(cell) or is_exercise(cell):
            continue
        if cell["cell_type"] == "markdown":
            if EXPLAINS_FIGURE.match(text):
                pieces.append(Piece("said", EXPLAINS_FIGURE.sub("", text), number))
                continue
            found = text_pieces(text, number)
            section = next((p.text for p in found if p.kind == "heading"), section)
            pieces += found
        elif "notebook.start()" not in text and "google.colab" not in text:
            before = pieces[-1].text.rstrip() if pieces else ""
            code = exhibit(cell, section=section, announced=before.endswith(":"))
            pieces += [Piece("code", code, number)] if code else []
            pieces += output_pieces(cell, number)
    return pieces


# --- From pieces to slides --------------------------------------------------------------------


def _title_slide(nb) -> Slide:
    """Lay the first cell out: title in both languages, summary, what one can do afterwards."""
    pieces = text_pieces(source(nb["cells"][0]), 0)
    title, korean, rest = pieces[0].text, "", []
    for piece in pieces[1:]:
        if piece.kind == "heading" and not korean:
            korean = piece.text
        elif piece.kind == "table":
            rows = re.findall(r"^\| (\*\*.*?) \| (.*) \|$", piece.text, re.M)
            rest += [Piece("text", f"{name} {what}.", 0) for name, what in rows[:1]]
        elif piece.kind == "text" and BADGE not in piece.text:
            rest.append(piece)
    return Slide("title", title, True, tuple(rest[:2]), (), (0,), korean)


@dataclass
class _Section:
    """What is laid out so far of a section, and the pieces that wait for a slide."""

    title: str = ""  # of the section, then of its last part
    slides: list[Slide] = field(default_factory=list)
    waiting: list[Piece] = field(default_factory=list)

    def add(self, slide: Slide) -> None:
        self.slides.append(replace(slide, opens=not self.slides))
        headings = [piece.text for piece in slide.pieces if piece.kind == "heading"]
        self.title = headings[-1] if headings else slide.title

    def flush(self, *, last: bool = True) -> None:
        """Put what waits on slides of text; a little text after a figure is for the speaker."""
        run, self.waiting = self.waiting, []
        if not run:
            return
        before = self.slides[-1] if self.slides else None
        little = sum(piece.weight for piece in run) < LEAST * 2
        if before and before.layout in ("figure", "clip") and little and _only_words(run):
            self.slides[-1] = _with_notes(before, run)
            return
        for pieces in pack(run):
            slide = _text_slide(self.title, pieces)
            before = self.slides[-1] if self.slides else None
            words = slide.cover < LEAST and _only_words(pieces)
            if before and words and (before.layout != "text" or before.weight > FULL):
                self.slides[-1] = _with_notes(before, pieces)
            elif (
                before
                and min(slide.cover, before.cover) < 1.4 * LEAST
                and before.layout == "text"
                and before.weight + slide.weight < 1.6 * FULL
            ):
                part = slide.title != self.title  # what had become its title is a heading again
                both = (*before.pieces, *(pieces if part else slide.pieces))
                notes = (*before.notes, *slide.notes)
                self.slides[-1] = replace(before, pieces=both, notes=notes, cells=_cells(both))
                self.title = slide.title
            else:
                self.add(slide)


def _only_words(pieces: Iterable[Piece]) -> bool:
    return all(piece.kind in ("text", "print") for piece in pieces)


def _cells(pieces: Iterable[Piece]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(piece.cell for piece in pieces))


def _with_notes(slide: Slide, pieces: Iterable[Piece]) -> Slide:
    """Leave text to the speaker; a figure without a sentence takes its first one."""
    texts = [_said(piece).text for piece in pieces]
    sentence = slide.sentence
    if slide.layout == "figure" and not sentence:
        sentence = statement(texts)
    return replace(slide, notes=(*slide.notes, *texts), sentence=sentence)


def statement(texts: Iterable[str]) -> str:
    """Take the sentences that stand beside a figure: the first of the first text that has some."""
    for text in texts:
        taken = "" if text.startswith("```") else shorten(text, STATEMENT)
        if re.fullmatch(r"\*\*[^*]+\?\*\*", taken):  # the figure's title asks it already
            taken = _answer(text) or taken
        if taken and len(plain(taken)) <= 1.05 * STATEMENT:
            return taken
    return ""


def _answer(text: str) -> str:
    """Return what a text says after its first sentence, a question: up to a semicolon, if short."""
    answer = "".join(sentences(text)[1:2]).partition(";")[0].rstrip(". ")
    return f"{answer}." if answer and len(plain(answer)) <= STATEMENT else ""


def _text_slide(title: str, pieces: list[Piece]) -> Slide:
    """Lay text out; what is cut goes to the notes."""
    heading = next((p for p in pieces if p.kind == "heading"), None)
    if heading and heading is pieces[0]:
        title, pieces = heading.text, pieces[1:]
    notes = tuple(piece.whole for piece in pieces if piece.whole)
    return Slide("text", title, False, tuple(pieces), notes, _cells(pieces))


def pack(run: list[Piece]) -> list[list[Piece]]:
    """Deal pieces out to as few slides as hold them, all about equally full.

    A part (`###`) begins a slide if there is enough before it. What a colon announces stays with
    it, and so do code, tables and prints with the text before them.
    """
    if sum(piece.weight for piece in run) > 0.7 * FULL:
        run = [shortened(piece) for piece in run]
    groups: list[list[Piece]] = []
    for piece in run:
        held = groups and (
            groups[-1][-1].kind == "heading"
            or groups[-1][-1].text.rstrip().endswith(":")
            or (piece.kind in ("table", "print") and groups[-1][-1].kind in ("text", "code"))
            or (piece.kind in ("list", "formula") and groups[-1][-1].kind in ("text", "formula"))
        )
        most = 1.8 if piece.kind == "print" else 1.5
        if held and sum(p.weight for p in groups[-1]) + piece.weight < most * FULL:
            groups[-1].append(piece)
        else:
            groups.append([piece])
    weights = [sum(p.weight for p in group) for group in groups]
    count = max(1, -(-sum(weights) // FULL))
    share = sum(weights) / count
    slides: list[list[Piece]] = []
    held = 0
    for group, weight in zip(groups, weights, strict=True):
        part = group[0].kind == "heading" and held >= LEAST
        over = held + weight / 2 > share and held >= LEAST
        if not slides or part or over or held + weight > 1.5 * FULL:
            slides.append([])
            held = 0
        slides[-1] += group
        held += weight
    return slides


def _figure_slide(section: _Section, figure: Piece, scripts: list[Piece], said: list[str]) -> Slide:
    """Put one sentence above a figure: of the text before it, whole if that is short."""
    waiting = section.waiting
    own: list[Piece] = []
    title = ""
    while waiting and waiting[-1].kind == "text" and sum(p.weight for p in own) < 2 * LEAST:
        own.insert(0, waiting.pop())
    if waiting and waiting[-1].kind in ("table", "formula", "list", "print", "code"):
        # The text belongs to what stands above it, too: it stays there, its end leads on.
        waiting += own
        own = own[-1:]
    elif sum(p.weight for p in own) > 2.2 * LEAST:
        waiting += own
        own = own[-1:]
    if waiting and waiting[-1].kind == "heading":
        title = waiting.pop().text
    kept = {id(piece) for piece in waiting}
    text = " ".join(piece.text for piece in own)
    if own and id(own[-1]) in kept:
        sentence = sentences(text)[-1]
        if re.search(r"\bcells?\b|\b[Rr]un\b", sentence):  # of no use where nothing can be run
            sentence = ""
    else:
        sentence = statement([text])
    if len(plain(sentence)) > 1.05 * STATEMENT:
        sentence = ""
    section.flush()
    title = title or section.title
    notes = tuple(piece.text for piece in own if id(piece) not in kept)
    sentence = sentence or statement(said)
    if not sentence and any(TALKS in script.text for script in scripts):
        sentence = "Move over a point to see the face; click to hear the voice."
    cells = dict.fromkeys([*(p.cell for p in own if id(p) not in kept), figure.cell])
    return Slide(
        "figure", title, False, (*scripts, figure), (*notes, *said), tuple(cells), sentence
    )


def compose(nb) -> list[Slide]:
    """Lay a notebook out on slides.

    Args:
        nb: the notebook, executed, as json reads it.
    """
    slides = [_title_slide(nb)]
    section = _Section(title=slides[0].title)
    pieces = stream(nb)
    scripts: list[Piece] = []
    said: list[str] = []
    for k, piece in enumerate(pieces):
        if piece.kind == "heading" and piece.level <= 2:
            section.flush()
            slides += section.slides
            section = _Section(title=piece.text)
        elif piece.kind == "heading":
            section.waiting.append(piece)
        elif piece.kind == "script":
            scripts.append(piece)
        elif piece.kind == "said":
            follows = any(p.kind in ("figure", "clip") and p.cell == piece.cell for p in pieces[k:])
            if follows:
                said.append(piece.text)
            elif section.slides:
                section.slides[-1] = _with_notes(section.slides[-1], [piece])
        elif piece.kind == "figure":
            # Scripts of the cell come after the figure in some, before it in others.
            scripts += [p for p in pieces[k + 1 :] if p.kind == "script" and p.cell == piece.cell]
            section.add(_figure_slide(section, piece, list(dict.fromkeys(scripts)), said))
            scripts, said = [], []
        elif piece.kind == "clip":
            _clip(section, piece, said)
            said = []
        else:
            section.waiting.append(piece)
    section.flush()
    return slides + section.slides


def _clip(section: _Section, piece: Piece, said: list[str]) -> None:
    """Put films beside the text that speaks of them, or beside the films of the same cell."""
    before = section.slides[-1] if section.slides else None
    if before and before.layout == "clip" and before.cells[-1] == piece.cell:
        section.slides[-1] = replace(before, pieces=(*before.pieces, piece))
        return
    text: list[Piece] = []
    while section.waiting and section.waiting[-1].kind in ("text", "print", "heading"):
        if sum(p.weight for p in text) > FULL / 2:
            break
        text.insert(0, section.waiting.pop())
    section.flush()
    title = section.title
    if text and text[0].kind == "heading":
        title, text = text[0].text, text[1:]
    text = [shortened(p) for p in text if p.kind != "heading"]
    before = section.slides[-1] if section.slides else None
    if not text and before and piece.cell in before.cells and before.sentence:
        text = [Piece("text", before.sentence, piece.cell)]  # films that belong to a figure
    notes = (*(p.whole for p in text if p.whole), *said)
    section.add(Slide("clip", title, False, (*text, piece), notes, _cells([*text, piece])))


# --- Into the notebook --------------------------------------------------------------------------


def slide_types(nb) -> list[str]:
    """Say for each cell of a notebook what JupyterLab calls its place on the slides.

    slide, subslide: a slide begins, to the right or below; -: it stands on the slide before;
    notes: only the speaker sees it; skip: no slide shows it.
    """
    slides = compose(nb)
    kinds = ["skip"] * len(nb["cells"])
    for slide in slides:
        new = [cell for cell in slide.cells if kinds[cell] == "skip"]
        for cell in new:
            kinds[cell] = "-"
        if new:
            kinds[min(new)] = "slide" if slide.opens else "subslide"
    texts = {note for slide in slides for note in slide.notes}
    for number, cell in enumerate(nb["cells"]):
        if kinds[number] == "skip" and cell["cell_type"] == "markdown":
            text = EXPLAINS_FIGURE.sub("", source(cell))
            own = {text, *(piece.text for piece in text_pieces(text, number))}
            kinds[number] = "notes" if own & texts else "skip"
    return kinds


def hides_code(cell, number: int, slides: list[Slide]) -> bool:
    """Say whether slides show only the output of a code cell.

    Args:
        cell: the cell.
        number: its place in the notebook.
        slides: of the notebook.
    """
    if cell["cell_type"] != "code" or not shows(cell):
        return False
    own = [p for slide in slides for p in slide.pieces if p.cell == number]
    return bool(own) and not any(p.kind == "code" and p.output < 0 for p in own)


def stamp(nb) -> None:
    """Write slide types and tags into a notebook, in place; a second time changes nothing."""
    slides = compose(nb)
    for number, (cell, kind) in enumerate(zip(nb["cells"], slide_types(nb), strict=True)):
        metadata = cell["metadata"]
        metadata.pop("execution", None)  # the times of a run are of no use to readers
        metadata["slideshow"] = {"slide_type": kind}
        kept = [tag for tag in metadata.get("tags", []) if tag != HIDE]
        kept += [HIDE] if hides_code(cell, number, slides) else []
        if kept:
            metadata["tags"] = kept
        else:
            metadata.pop("tags", None)
