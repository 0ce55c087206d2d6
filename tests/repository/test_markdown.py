"""Tables: every cell in its place, nothing that breaks them."""

import re
from pathlib import Path

import pytest

from dsel.utils.markdown import table, text_table

ROOT = Path(__file__).resolve().parents[2]


def test_a_table_holds_its_cells():
    text = table(["a", "b"], [[1, "x|y"], ["2 ± 3", "two\nlines"]], align="lr")
    lines = text.splitlines()
    assert lines[1] == "| --- | ---: |"
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert cells[0] == ["a", "b"]
    assert cells[2] == ["1", r"x\|y"]
    assert cells[3] == ["2\u00a0±\u00a03", "two lines"]


def test_columns_of_text_are_as_wide_as_their_widest_cell():
    lines = text_table(
        ["", "value"], [["long name", "1.0"], ["b", "12345.0"]], align="lr", gap=2
    ).splitlines()
    assert lines == ["             value", "long name      1.0", "b          12345.0"]


@pytest.mark.parametrize("make", [table, text_table])
def test_a_row_of_another_length_is_refused(make):
    with pytest.raises(ValueError, match="3 cells under 2 headings"):
        make(["a", "b"], [[1, 2], [1, 2, 3]])


def test_no_other_file_of_the_package_writes_a_table_by_hand():
    """A rule of dashes between bars stands in the one writer alone."""
    by_hand = [
        path.relative_to(ROOT).as_posix()
        for folder in ("dsel", "tools", "benchmarks")
        for path in ROOT.glob(f"{folder}/**/*.py")
        if re.search(r"""["'|] ?:?---:? ?["'|]""", path.read_text(encoding="utf-8"))
    ]
    assert by_hand == ["dsel/utils/markdown.py"]
