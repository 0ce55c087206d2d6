"""Read a web page as a test sees it."""

import re
from pathlib import Path

ASKED_FOR = re.compile(r"<(?:script|link|img|iframe|video|audio)\b[^>]*?\b(?:src|href)=[\"']?http")


def figure_without_network(path: Path) -> tuple[bool, bool]:
    """Whether the page draws a figure, and whether no element of it asks another host.

    Bools, since pytest would take minutes to explain a missing line in a page of 5 MB. Elements,
    since plotly.js itself holds addresses that are fetched for maps alone.
    """
    page = path.read_text(encoding="utf-8")
    return "Plotly.newPlot" in page, ASKED_FOR.search(page) is None
