"""Fold the code that a reader need not see: Colab's cell, imports, and what builds a figure.

The tag `fold` folds any other cell. A folded cell shows its output and a bar to click. JupyterLab
reads `jupyter.source_hidden`; Colab
reads `cellView: form` and shows the line `# @title` in place of the code. The title of a figure's
cell is the last heading above it. `tools/stamp.py` writes all three, and unfolds a cell that no
longer builds a figure.
"""

from __future__ import annotations

import re

from tools import slides

__all__ = ["TITLE", "builds_a_figure", "fold", "title_of"]

TITLE = re.compile(r"\A# @title [^\n]*\n+")
FIGURE = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
HEADING = re.compile(r"^#{1,3} ([^가-힣\n]+)$", re.M)  # the Korean title names no cell


def builds_a_figure(cell) -> bool:
    """Say whether a code cell leaves a figure, a widget or a clip to play."""
    if cell["cell_type"] != "code" or slides.is_exercise(cell):
        return False
    shown = slides.shows(cell)
    html = ["".join(out.get("data", {}).get("text/html", "")) for out in cell.get("outputs", [])]
    return bool(shown & {FIGURE, WIDGET}) or any("<video" in text for text in html)


def title_of(cell, heading: str) -> str | None:
    """Name a cell that is to be folded; None: it stays open.

    Args:
        cell: a code cell.
        heading: the last heading above it.
    """
    text = slides.source(cell)
    if "google.colab" in text:
        return "Colab: install the course"
    if "notebook.start()" in text:
        return "Imports and settings"
    if "fold" in slides.tags(cell):
        return f"Code: {heading}"
    return f"Figure: {heading}" if builds_a_figure(cell) else None


def fold(nb) -> None:
    """Fold and name the cells of a notebook, in place; a second time changes nothing."""
    heading = ""
    for cell in nb["cells"]:
        if cell["cell_type"] != "code":
            found = HEADING.findall(slides.DETAILS.sub("", slides.source(cell)))
            heading = plain(found[-1]) if found else heading
            continue
        metadata, text = cell["metadata"], TITLE.sub("", slides.source(cell))
        title = title_of(cell, heading)
        if title:
            text = f"# @title {title}\n{text}"
            metadata["cellView"] = "form"
            metadata.setdefault("jupyter", {})["source_hidden"] = True
        elif metadata.pop("cellView", None):
            metadata.pop("jupyter", None)
        cell["source"] = text.splitlines(keepends=True)


def plain(heading: str) -> str:
    """Take numbers and formulas out of a heading."""
    return re.sub(r"^\d+ ·? ?|[$*`\\]", "", heading).strip()
