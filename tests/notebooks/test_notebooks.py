"""Check the shape of every notebook. What the cells compute is checked by running them.

A rule is a function from a notebook to a list of complaints. `test_every_rule_can_fail` breaks a
good notebook once for each rule, so that no rule accepts everything.
"""

import copy
import json
import re
from pathlib import Path

import pytest

from dsel.teaching.widgets.base import CONTROLS, WIDGET

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
LINES = 25  # a cell; the one cell of imports not counted
CELLS = 50  # Colab's not counted
# A library beside our front end; two formulas and experiments on the scale; what the mean does not
# wipe out; every group of rows.
LONGER = {
    "01_data_alignment": 51,
    "03_content_loss": 52,
    "04_identity_loss": 55,
    "05_disentanglement_loss": 60,
    "09_ablation": 60,
}
BYTES = 1_500_000
EXERCISES = tuple(f"{number:02d}" for number in range(1, 12))  # the notebooks with hints
PLOTLY = "application/vnd.plotly.v1+json"
HANGUL = re.compile("[가-힣]")
# What leaves the page: shells, pip, downloads, remote pictures and scripts. Links are allowed.
NETWORK_CODE = re.compile(
    r"\b(?:urllib|requests|httpx|wget|curl|gdown|hf_hub|snapshot_download)\b|^\s*[!%]\s*\w", re.M
)
NETWORK_PICTURE = re.compile(
    r"!\[[^\]]*\]\(\s*(?:https?:)?//"
    r"|<(?:img|script|video|audio|iframe|link)\b[^>]*(?:src|href)=\"?(?:https?:)?//"
)
NO_ALT = re.compile(r"!\[\s*\]\(|<img(?![^>]*\balt=\"[^\"]+\")[^>]*>")
MACHINE = re.compile(r"(?:/work/|/root/|/home/(?!jovyan)\w|/Users/\w|/tmp/\w|[A-Z]:\\\\Users)")
TITLE = re.compile(r"\A# @title [^\n]+\n")
MEASURED = re.compile(r"\d+\.\d+\s*(?:%|percent)")


def source(cell) -> str:
    return "".join(cell["source"])


def cells_of(nb, kind):
    return [cell for cell in nb["cells"] if cell["cell_type"] == kind]


def tags(cell):
    return cell["metadata"].get("tags", [])


def on_colab(cell) -> bool:
    """Say whether this is the one cell that may install packages, and does so on Colab only."""
    return "google.colab" in source(cell)


def head_says_what_to_expect(nb, name):
    """Require titles and a paragraph in both languages, aims, prerequisites and minutes."""
    head = source(nb["cells"][0]) if nb["cells"][0]["cell_type"] == "markdown" else ""
    lines = [line for line in head.splitlines() if line.strip()] or [""]
    if not re.match(rf"# {name[:2]}\b.*[A-Za-z]", lines[0]):
        yield "the first line must be '# NN · title', with the number of the file"
    if not any(line.startswith("#") and HANGUL.search(line) for line in lines[:3]):
        yield "no Korean title under the English one"
    if sum(len(HANGUL.findall(line)) for line in lines if not line.startswith("#")) < 60:
        yield "no Korean summary paragraph"
    for what, pattern in (
        ("what one can do afterwards", r"able to|you can|you will"),
        ("what one needs", r"need"),
        ("minutes", r"minute"),
    ):
        if not re.search(pattern, head, re.I):
            yield f"the head does not say {what}"


def first_code_cell_imports_everything(nb, name):
    """Require `notebook.start()` and all imports in the first code cell after Colab's."""
    code = [cell for cell in cells_of(nb, "code") if not on_colab(cell)]
    if not re.search(r"notebook\.start\(\)", source(code[0])):
        yield "the first code cell must call notebook.start()"
    for number, cell in enumerate(code[1:], start=2):
        if re.search(r"^(?:import|from)\s+\w", source(cell), re.M):
            yield f"code cell {number} imports; all imports stand in the first"


def small_cells(nb, name):
    """Require at most 25 lines of code per cell, and few cells."""
    cells = [cell for cell in nb["cells"] if not on_colab(cell)]
    if len(cells) > LONGER.get(name, CELLS):
        yield f"{len(cells)} cells; at most {LONGER.get(name, CELLS)}"
    for number, cell in enumerate(cells_of(nb, "code")):
        lines = TITLE.sub("", source(cell)).splitlines()
        if len(lines) > LINES and not (
            number <= 1 and re.search(r"notebook\.start\(\)", source(cell))
        ):
            yield f"a cell of {len(lines)} lines: {lines[0]!r}"


def asserts_something(nb, name):
    """Require an assert; in the notebooks of the formulas also assert_close on a gradient."""
    code = "\n".join(source(cell) for cell in cells_of(nb, "code"))
    if not re.search(r"^\s*assert ", code, re.M):
        yield "no assert"
    if name[:2] in ("02", "03", "04", "05") and not (
        re.search("assert_close", code) and re.search("grad", code)
    ):
        yield "no assert_close on a gradient"


def stays_offline(nb, name):
    for cell in cells_of(nb, "code"):
        if not on_colab(cell) and NETWORK_CODE.search(source(cell)):
            yield f"leaves the machine: {NETWORK_CODE.search(source(cell)).group().strip()!r}"
    shown = [json.dumps(cell.get("outputs", [])).replace('\\"', '"') for cell in nb["cells"]]
    for text in [*map(source, cells_of(nb, "markdown")), *shown]:
        if NETWORK_PICTURE.search(text):
            yield f"a remote picture or script: {NETWORK_PICTURE.search(text).group()[:80]!r}"


def pictures_have_words(nb, name):
    for cell in cells_of(nb, "markdown"):
        if NO_ALT.search(source(cell)):
            yield f"a picture without alt text: {NO_ALT.search(source(cell)).group()[:60]!r}"


def solutions_are_folded(nb, name):
    """Require solutions and hints inside <details>, or solutions in a hidden, tagged code cell."""
    text = "\n".join(source(cell) for cell in cells_of(nb, "markdown"))
    if name[:2] in EXERCISES and not re.search(r"exercise|your turn", text, re.I):
        yield "no exercise"
    if text.count("<details") != text.count("</details>"):
        yield "a <details> that is not closed"
    open_text = re.sub(r"<details.*?</details>", "", text, flags=re.S)
    if re.search(r"^\W*(?:The )?(?:solution|answer)\b\s*:?\W*$", open_text, re.M | re.I):
        yield "a solution in the open"
    if name[:2] in EXERCISES and not re.search(r"<summary>[^<]*(?:solution|answer)", text, re.I):
        yield "no folded solution"
    if name[:2] in EXERCISES and not re.search(r"<summary>[^<]*hint", text, re.I):
        yield "no hint that unfolds"
    for cell in cells_of(nb, "code"):
        if "solution" in tags(cell) and not cell["metadata"].get("jupyter", {}).get(
            "source_hidden"
        ):
            yield "a code cell tagged 'solution' whose source is not hidden"


def was_run_and_ran_well(nb, name):
    """Require outputs of one run from top to bottom, without an error or a warning."""
    code = [cell for cell in cells_of(nb, "code") if source(cell).strip()]
    counts = [cell.get("execution_count") for cell in code]
    if counts != list(range(1, len(code) + 1)):
        yield f"not one run from top to bottom: execution counts {counts[:6]}..."
    for cell in code:
        for output in cell["outputs"]:
            if output["output_type"] == "error":
                yield f"committed with an error: {output['ename']}: {output['evalue'][:60]}"
            if output.get("name") == "stderr":
                yield f"committed with a warning: {''.join(output['text'])[:60]!r}"


def clean_file(nb, name):
    """Require kernel python3, no trace of the machine or the run, and a size that GitHub shows."""
    if nb["metadata"].get("kernelspec", {}).get("name") != "python3":
        yield "kernelspec must be python3"
    if "widgets" in nb["metadata"]:
        yield "widget state is stored"
    for cell in nb["cells"]:
        wrong = {"execution", "ExecuteTime", "vscode", "colab", "collapsed", "pycharm"} & cell[
            "metadata"
        ].keys()
        if wrong:
            yield f"metadata {sorted(wrong)}"
    text = json.dumps(nb)
    if MACHINE.search(text):
        yield f"a path of one machine: {text[MACHINE.search(text).start() :][:60]!r}"
    if len(text) > BYTES:
        yield f"{len(text):,} bytes"


def preparations_are_folded(nb, name):
    """Require that Colab's cell, the imports and what builds a figure are folded and named."""
    for cell in cells_of(nb, "code"):
        shown = {kind for output in cell.get("outputs", []) for kind in output.get("data", {})}
        prepares = on_colab(cell) or "notebook.start()" in source(cell)
        hidden = cell["metadata"].get("jupyter", {}).get("source_hidden", False)
        form = cell["metadata"].get("cellView") == "form" and TITLE.match(source(cell))
        if "solution" in tags(cell) or "law" in tags(cell):
            continue
        if (prepares or PLOTLY in shown) and not (hidden and form):
            yield f"not folded, run make docs: {source(cell)[:60]!r}"
        asked = "fold" in tags(cell)
        if not (prepares or asked or shown & {PLOTLY, WIDGET, "text/html"}) and hidden:
            yield f"folded, and builds no figure: {source(cell)[:60]!r}"


def prose_types_no_measurements(nb, name):
    for cell in cells_of(nb, "markdown"):
        found = MEASURED.search(source(cell))
        if found:
            yield f"{found.group()!r} is typed into the prose; print it from a variable"


def readable_on_dark_pages(nb, name):
    """Require that figures bring white paper, and that html sets both colours or none."""
    for output in (output for cell in nb["cells"] for output in cell.get("outputs", [])):
        data = output.get("data", {})
        layout = data.get(PLOTLY, {}).get("layout", {})
        paper = layout.get("paper_bgcolor") or layout.get("template", {}).get("layout", {}).get(
            "paper_bgcolor"
        )
        if PLOTLY in data and paper not in ("white", "#fff", "#ffffff"):
            yield f"a figure on {paper or 'no paper'}: does notebook.start() set the template?"
        for style in re.findall(r'style="([^"]*)"', "".join(data.get("text/html", ""))):
            if re.search(r"(?:^|;)\s*color\s*:", style) and "background" not in style:
                yield f"letters of a fixed colour on whatever the page has: {style!r}"


# What fonts without colour pictures lack: emoji, their selector, ticks and crosses of that kind.
EMOJI = re.compile("[\U0001f000-\U0001faff\ufe0f\u2705\u274c\u274e\u2728\u26a1\u2b50\u2753-\u2755]")


def needs_no_emoji_font(nb, name):
    """Require letters and signs that an ordinary font has."""
    found = EMOJI.findall(json.dumps(nb, ensure_ascii=False))
    if found:
        yield f"needs an emoji font: {sorted(map(ascii, set(found)))}"


def words_stand_for_controls(nb, name):
    """Require a sentence where a page without a kernel has no controls; not Python's names."""
    for cell in cells_of(nb, "code"):
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            if WIDGET in data and "".join(data.get("text/plain", "")) != CONTROLS:
                yield f"shown before it has run: {''.join(data.get('text/plain', ''))[:40]!r}"


RULES = (
    head_says_what_to_expect,
    first_code_cell_imports_everything,
    small_cells,
    asserts_something,
    stays_offline,
    pictures_have_words,
    solutions_are_folded,
    was_run_and_ran_well,
    clean_file,
    preparations_are_folded,
    prose_types_no_measurements,
    readable_on_dark_pages,
    needs_no_emoji_font,
    words_stand_for_controls,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path, rule):
    nb = json.loads(path.read_text(encoding="utf-8"))
    assert not list(rule(nb, path.stem))


def test_names_are_numbered_without_gaps_or_twins():
    numbers = [path.stem[:2] for path in NOTEBOOKS]
    assert numbers == sorted(set(numbers))


def test_readme_lists_every_notebook_in_order_with_minutes():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[(\d\d)[^\]]*\]\(([^)]+)\) \|.*\| *(\d+) *\|$", text, re.M)
    # No row without a notebook, none without a row
    assert [link for _, link, _ in listed] == [path.name for path in NOTEBOOKS]
    assert all(
        link.startswith(number) and 0 < int(minutes) <= 90 for number, link, minutes in listed
    )


GOOD = {
    "metadata": {"kernelspec": {"name": "python3"}},
    "cells": [
        {
            "cell_type": "markdown",
            "metadata": {},
            "source": "# 03 · A title\n### 한국어 제목\n\n"
            + "가나다라마바사아자차" * 7
            + "\n\nYou will be able to; you need; 5 minutes.",
        },
        {
            "cell_type": "code",
            "metadata": {"cellView": "form", "jupyter": {"source_hidden": True}},
            "execution_count": 1,
            "outputs": [],
            "source": "# @title Imports\nfrom dsel.teaching import notebook\n"
            "tier = notebook.start()\nassert True\nassert_close(grad, grad)",
        },
        {
            "cell_type": "markdown",
            "metadata": {},
            "source": "An exercise\n"
            + "".join(
                f"<details><summary>{s}</summary>x</details>\n" for s in ("Hint", "Solution")
            ),
        },
        {
            "cell_type": "code",
            "metadata": {"tags": ["exercise"]},
            "execution_count": 2,
            "outputs": [],
            "source": "x = 1",
        },
    ],
}


def rewritten(change):
    """Return a damage to a cell: its text is changed."""
    return lambda cell: cell.update(source=change(cell["source"]))


def with_output(kind, data, **more):
    """Return a damage to a cell: it gets this output instead of its own."""
    key = {"data": data} if data is not None else {}
    return lambda cell: cell.update(outputs=[{"output_type": kind, **key, **more}])


DARK = {PLOTLY: {"data": [], "layout": {"paper_bgcolor": "rgba(0,0,0,0)"}}}
SCRIPT = {"text/html": '<script src="https://cdn.plot.ly/p.js">'}
LETTERS = {"text/html": '<p style="color:#222">x</p>'}
ERROR = {"ename": "E", "evalue": "v", "traceback": []}
PRINTED = {"name": "stdout", "text": "/home/me/x"}
NO_START = "# @title Imports\nassert assert_close(grad)"
WITHOUT_START = {"metadata": {}, "source": NO_START}
BOX = {WIDGET: {}, "text/plain": "VBox(children=())"}
FIGURE = {PLOTLY: {"data": [], "layout": {"paper_bgcolor": "white"}}}
# How a good notebook is broken: the rule that complains, the number of the cell, the damage.
BREAK = {
    "title": ("head_says_what_to_expect", 0, rewritten(lambda s: s.replace("# 03", "# 04"))),
    "korean": ("head_says_what_to_expect", 0, rewritten(lambda s: HANGUL.sub("x", s))),
    "minutes": ("head_says_what_to_expect", 0, rewritten(lambda s: s.replace("minutes", ""))),
    "start": ("first_code_cell_imports_everything", 1, lambda cell: cell.update(WITHOUT_START)),
    "import": ("first_code_cell_imports_everything", 3, rewritten(lambda s: "import os")),
    "long": ("small_cells", 3, rewritten(lambda s: "x = 1\n" * 26)),
    "open": ("preparations_are_folded", 1, lambda cell: cell.update(metadata={})),
    "no title": ("preparations_are_folded", 1, rewritten(lambda s: s.replace("# @", "# "))),
    "figure": ("preparations_are_folded", 3, with_output("display_data", FIGURE)),
    "no assert": ("asserts_something", 1, rewritten(lambda s: "# @title I\nnotebook.start()")),
    "pip": ("stays_offline", 3, rewritten(lambda s: "%pip install x")),
    "picture": ("stays_offline", 2, rewritten(lambda s: s + "![a](https://x.org/a.png)")),
    "script": ("stays_offline", 3, with_output("display_data", SCRIPT)),
    "alt": ("pictures_have_words", 2, rewritten(lambda s: s + '<img src="a.png">')),
    "bare": ("solutions_are_folded", 2, rewritten(lambda s: s + "\n## Solution\n")),
    "unclosed": ("solutions_are_folded", 2, rewritten(lambda s: s + "<details>")),
    "shown": ("solutions_are_folded", 3, lambda cell: cell["metadata"].update(tags=["solution"])),
    "error": ("was_run_and_ran_well", 3, with_output("error", None, **ERROR)),
    "not run": ("was_run_and_ran_well", 3, lambda cell: cell.update(execution_count=None)),
    "times": ("clean_file", 3, lambda cell: cell["metadata"].update(execution={"start": "1"})),
    "path": ("clean_file", 3, with_output("stream", None, **PRINTED)),
    "paper": ("readable_on_dark_pages", 1, with_output("display_data", DARK)),
    "letters": ("readable_on_dark_pages", 3, with_output("display_data", LETTERS)),
    "emoji": ("needs_no_emoji_font", 2, rewritten(lambda s: s + " \u2705")),
    "controls": ("words_stand_for_controls", 1, with_output("display_data", BOX)),
    "measured": ("prose_types_no_measurements", 2, rewritten(lambda s: s + " reaches 28.5 %")),
}


@pytest.mark.parametrize("how", BREAK)
def test_every_rule_can_fail(how):
    rule, number, damage = BREAK[how]
    nb = copy.deepcopy(GOOD)
    assert not [said for each in RULES for said in each(nb, "03_x")]
    damage(nb["cells"][number])
    assert [each.__name__ for each in RULES if list(each(nb, "03_x"))] == [rule]


def test_every_rule_is_shown_to_fail():
    assert {rule for rule, _, _ in BREAK.values()} == {rule.__name__ for rule in RULES}


def test_notebook_00_opens_with_the_talking_map_and_no_code_before_it():
    """Require a short head, folded cells, and then the map: it stands on the first screen."""
    nb = json.loads(NOTEBOOKS[0].read_text(encoding="utf-8"))
    head, *before, opening = nb["cells"][:4]
    assert len([line for line in source(head).splitlines() if line]) <= 8
    assert len(source(head)) < 1100
    assert all(cell["metadata"]["jupyter"]["source_hidden"] for cell in (*before, opening))
    assert not any(cell["outputs"] for cell in before)
    shown = [output["data"] for output in opening["outputs"] if "data" in output]
    (figure,) = [data[PLOTLY] for data in shown if PLOTLY in data]
    assert len(figure["layout"]["images"]) >= 6  # faces
    assert len(figure["layout"]["annotations"]) == len(figure["layout"]["images"])  # names
    assert any("dsel-screen" in "".join(data.get("text/html", "")) for data in shown)  # it talks
