"""Which cell stands on which slide: simple rules, so that a lecture is made from the notebooks as they are.

`tools/stamp.py` writes the result into the cells' metadata (`slideshow.slide_type`): JupyterLab shows it, nbconvert obeys.

    slide      a head (`#`, `##`): to the right
    subslide   further text, a `###`, code with something to show: downwards
    fragment   what a short cell prints, uncovered on the slide of its question
    notes      text that reads a figure to the reader: for the speaker, who says it aloud
    skip       imports, preparations, solutions, exercises and their checks: the students' own time
"""

from __future__ import annotations

import re

SHORT = 12  # lines of code that stand beside what they show; of longer code a slide shows only the output
LONG = 3000  # characters of a table that is for reading, not for showing
TEXT = 420  # characters of text that can share a slide with what follows
HIDE = "hide-on-slide"  # the tag of a code cell whose input a slide leaves out
PICTURES = ("application/vnd.plotly.v1+json", "text/html", "image/png")
EXERCISE = re.compile(r"raise NotImplementedError|^exercises\.|the self-check know|# replace each None|^def check", re.M)
CLIP = {"text/html", "text/plain"}
DETAILS = re.compile(r"<details.*?</details>", re.S)
READS_FIGURE = re.compile(r"\*\*What (?:you see|most people find)")


def source(cell) -> str:
    return "".join(cell["source"])


def lines(cell) -> list[str]:
    return [line for line in source(cell).splitlines() if line.strip()]


def tags(cell) -> set[str]:
    return set(cell["metadata"].get("tags", []))


def shows(cell) -> set[str]:
    """The MIME types of what a code cell shows; 'text/plain' for what it prints."""
    found = set()
    for output in cell.get("outputs", []):
        found |= set(output.get("data", {"text/plain": None}))
    return found


def is_exercise(cell) -> bool:
    """A stub to fill in, its check, or an answer."""
    return bool(tags(cell) & {"solution", "law", "exercise", "check"}) or bool(
        re.search(
            r"raise NotImplementedError|^exercises\.|the self-check know|# replace each None|^def check", source(cell), re.M
        )
    )


def slide_types(nb) -> list[str]:
    """One of slide, subslide, fragment, notes and skip for each cell."""
    found = []
    alone = True  # nothing can join the slide before
    for cell in nb["cells"]:
        kind, alone = _slide_type(cell, first=not found, alone=alone)
        found.append(kind)
    return found


def _slide_type(cell, *, first: bool, alone: bool) -> tuple[str, bool]:
    text = source(cell)
    if cell["cell_type"] == "markdown":
        open_text = DETAILS.sub("", text).strip()
        if first or re.match(r"##? ", open_text):
            return "slide", len(open_text) > TEXT
        if not open_text or "solution" in tags(cell):
            return "skip", True
        if READS_FIGURE.match(open_text):
            return "notes", True
        return "subslide", len(open_text) > TEXT
    if is_exercise(cell) or "notebook.start()" in text or "google.colab" in text:
        return "skip", True
    shown = shows(cell)
    if not shown:  # loops written from a formula are worth a slide; asserts and preparations are not
        return ("subslide", True) if re.match(r"def \w*loops", text) else ("skip", True)
    if len("".join("".join(o.get("data", {}).get("text/markdown", "")) for o in cell["outputs"])) > LONG:
        return "skip", True
    if not alone and (
        shown <= CLIP if shown & CLIP - {"text/plain"} else not shown & set(PICTURES) and len(lines(cell)) <= SHORT
    ):
        return "fragment", True  # a clip, or some numbers, under the question
    return "subslide", True


def hides_code(cell) -> bool:
    """Does a slide show only the output of this cell? Yes for a picture, and for code too long to be read aloud."""
    return cell["cell_type"] == "code" and bool(shows(cell)) and (bool(shows(cell) & set(PICTURES)) or len(lines(cell)) > SHORT)


def stamp(nb) -> None:
    """Write slide types and tags into the notebook, in place; a second time changes nothing."""
    for cell, kind in zip(nb["cells"], slide_types(nb), strict=True):
        meta = cell["metadata"]
        meta.pop("execution", None)  # when it ran is nobody's business
        meta["slideshow"] = {"slide_type": kind}
        kept = [tag for tag in meta.get("tags", []) if tag != HIDE] + ([HIDE] if hides_code(cell) else [])
        if kept:
            meta["tags"] = kept
        else:
            meta.pop("tags", None)
