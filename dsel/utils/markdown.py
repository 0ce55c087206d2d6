"""Tables for readers: in Markdown for pages and notebooks, in plain text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

RULES = {"l": "---", "r": "---:", "c": ":---:"}
NO_BREAK = "\u00a0"


def table(head: Sequence, rows: Sequence[Sequence], *, align: str = "") -> str:
    """Write a Markdown table.

    A value and its interval ('3.1 ± 1.2') stay on one line. A bar inside a cell is escaped.

    Args:
        head: one heading per column.
        rows: one sequence of cells per row; a cell may be anything that has a text.
        align: one of l, r, c per column, e.g. 'lrr'; left where nothing is given.
    Raises:
        ValueError: a row has more or fewer cells than the head.

    >>> print(table(["", "EER"], [["free", "13.1"]], align="lr"))
    |  | EER |
    | --- | ---: |
    | free | 13.1 |
    """
    rules = [RULES[letter] for letter in align.ljust(len(head), "l")]
    lines = [[_cell(value) for value in head], rules]
    lines += [[_cell(value) for value in row] for row in _checked(head, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def text_table(head: Sequence, rows: Sequence[Sequence], *, align: str = "", gap: int = 3) -> str:
    """Write a table in plain text: columns padded to their widest cell, `gap` spaces apart.

    >>> print(text_table(["", "EER"], [["free", "13.1"], ["hard", "9.8"]], align="lr"))
            EER
    free   13.1
    hard    9.8
    """
    lines = [[str(value) for value in row] for row in (head, *_checked(head, rows))]
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
    pads = [str.rjust if letter == "r" else str.ljust for letter in align.ljust(len(head), "l")]
    return "\n".join(
        (" " * gap)
        .join(pad(cell, width) for pad, cell, width in zip(pads, line, widths, strict=True))
        .rstrip()
        for line in lines
    )


def _checked(head: Sequence, rows: Sequence[Sequence]) -> Sequence[Sequence]:
    for row in rows:
        if len(row) != len(head):
            raise ValueError(f"a row of {len(row)} cells under {len(head)} headings: {list(row)}")
    return rows


def _cell(value: object) -> str:
    return (
        str(value).replace("|", "\\|").replace(" ± ", f"{NO_BREAK}±{NO_BREAK}").replace("\n", " ")
    )
