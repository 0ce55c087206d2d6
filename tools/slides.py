"""Choose which cell stands on which slide, by rules that need no work in the notebooks.

`tools/stamp.py` writes the result into the metadata of the cells (`slideshow.slide_type`), where
JupyterLab shows it and nbconvert reads it.

    slide      a heading (`#`, `##`): to the right
    subslide   further text, a `###`, code with an output: downwards
    fragment   what a short cell prints: uncovered on the slide before
    notes      text that explains a figure: for the speaker
    skip       imports, preparations, exercises, checks, solutions, and text tagged `reading`
"""

from __future__ import annotations

import re

__all__ = [
    *("DETAILS", "HIDE", "LONG_TABLE", "SHORT_CODE", "SHORT_TEXT", "hides_code", "is_exercise"),
    *("lines", "shows", "slide_types", "source", "stamp", "tags"),
]

SHORT_CODE = 12  # lines of code that stand beside their output; of longer code only the output
LONG_TABLE = 3000  # characters of a table that is for reading, not for showing
SHORT_TEXT = 420  # characters of text that can share a slide with what follows
HIDE = "hide-on-slide"  # the tag of a code cell whose input a slide leaves out
FIGURES = ("application/vnd.plotly.v1+json", "text/html", "image/png")
CLIP = {"text/html", "text/plain"}
EXERCISE_TAGS = {"solution", "law", "exercise", "check"}
EXERCISE = re.compile(
    r"raise NotImplementedError|^exercises\.|the self-check know|# replace each None|^def check",
    re.M,
)
DETAILS = re.compile(r"<details.*?</details>", re.S)
EXPLAINS_FIGURE = re.compile(r"\*\*What (?:you see|most people find)")
LOOPS = re.compile(r"def \w*loops")  # loops written from a formula are worth a slide


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


def slide_types(nb) -> list[str]:
    """Choose slide, subslide, fragment, notes or skip for each cell of a notebook."""
    kinds = []
    full = True  # nothing can join the slide before
    for cell in nb["cells"]:
        kind, full = _slide_type(cell, first=not kinds, full=full)
        kinds.append(kind)
    return kinds


def _slide_type(cell, *, first: bool, full: bool) -> tuple[str, bool]:
    """Choose the kind of a cell, and say whether its slide is full after it.

    Args:
        cell: the cell.
        first: whether it opens the notebook.
        full: whether nothing can join the slide before it.
    """
    text = source(cell)
    if cell["cell_type"] == "markdown":
        if "reading" in tags(cell):
            return "skip", True
        open_text = DETAILS.sub("", text).strip()
        if first or re.match(r"##? ", open_text):
            return "slide", len(open_text) > SHORT_TEXT
        if not open_text or "solution" in tags(cell):
            return "skip", True
        if EXPLAINS_FIGURE.match(open_text):
            return "notes", True
        return "subslide", len(open_text) > SHORT_TEXT
    if is_exercise(cell) or "notebook.start()" in text or "google.colab" in text:
        return "skip", True
    shown = shows(cell)
    if not shown:
        return ("subslide", True) if LOOPS.match(text) else ("skip", True)
    tables = ("".join(out.get("data", {}).get("text/markdown", "")) for out in cell["outputs"])
    if len("".join(tables)) > LONG_TABLE:
        return "skip", True
    if shown & CLIP - {"text/plain"}:
        joins = shown <= CLIP  # a clip
    else:
        joins = not shown & set(FIGURES) and len(lines(cell)) <= SHORT_CODE  # some numbers
    return ("fragment" if joins and not full else "subslide"), True


def hides_code(cell) -> bool:
    """Say whether a slide shows only the output: of a figure, and of code too long to read."""
    if cell["cell_type"] != "code" or not shows(cell):
        return False
    return bool(shows(cell) & set(FIGURES)) or len(lines(cell)) > SHORT_CODE


def stamp(nb) -> None:
    """Write slide types and tags into a notebook, in place; a second time changes nothing."""
    for cell, kind in zip(nb["cells"], slide_types(nb), strict=True):
        metadata = cell["metadata"]
        metadata.pop("execution", None)  # the times of a run are of no use to readers
        metadata["slideshow"] = {"slide_type": kind}
        kept = [tag for tag in metadata.get("tags", []) if tag != HIDE]
        kept += [HIDE] if hides_code(cell) else []
        if kept:
            metadata["tags"] = kept
        else:
            metadata.pop("tags", None)
