"""Check the three views of the notebooks: students' edition, slides, pages."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbconvert")

from tools import results, slides, views  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


# --- Slides ---------------------------------------------------------------------------------------


@each_notebook
def test_the_stamped_types_are_those_of_the_layout(path):
    nb = load(path)
    kinds = [cell["metadata"]["slideshow"]["slide_type"] for cell in nb["cells"]]
    assert kinds == slides.slide_types(nb), "run make docs"
    assert kinds[0] == "slide"
    for cell, kind in zip(nb["cells"], kinds, strict=True):
        text = slides.source(cell)
        if (
            slides.tags(cell) & {"solution", "exercise", "law", "reading"}
            or "google.colab" in text
            or "notebook.start()" in text
        ):
            assert kind == "skip", text[:60]


@each_notebook
def test_every_slide_keeps_the_rules(path):
    nb = load(path)
    laid_out = slides.compose(nb)
    headings = [
        line.removeprefix("## ")
        for cell in nb["cells"]
        if cell["cell_type"] == "markdown" and "reading" not in slides.tags(cell)
        for line in slides.DETAILS.sub("", slides.source(cell)).splitlines()
        if line.startswith("## ")
    ]
    opened = [slide.title for slide in laid_out if slide.opens]
    inside = [title for title in opened if title in headings]
    assert inside == [title for title in headings if title in opened]  # in order
    assert len(inside) > len(headings) / 2  # a section begins to the right
    shown = [piece for slide in laid_out for piece in slide.pieces]
    drawn = [piece for piece in shown if piece.kind == "figure"]
    stored = [
        (number, k)
        for number, cell in enumerate(nb["cells"])
        if not (slides.is_exercise(cell) or number == 0)
        for k, output in enumerate(cell.get("outputs", []))
        if slides.FIGURE in output.get("data", {})
    ]
    assert [(piece.cell, piece.output) for piece in drawn] == stored  # every figure, once, in order
    for slide in laid_out:
        assert slide.pieces, slide.title  # no slide is empty
        assert sum(piece.kind == "figure" for piece in slide.pieces) <= 1
        assert len(slides.plain(slide.sentence)) <= 250, slide.sentence
        for piece in slide.pieces:
            rows = piece.text.count("\n") + 1
            assert piece.kind != "code" or rows <= 25, "more code on a slide than can be read"
            assert piece.kind != "table" or rows <= 14, "more rows than can be read"
            assert not re.search(r"notebook\.start\(\)|google\.colab", piece.text)


def cell(kind, text, shown=(), **metadata):
    outputs = [{"output_type": "display_data", "data": dict.fromkeys(shown, "x")}] if shown else []
    return {
        "cell_type": kind,
        "metadata": metadata,
        "source": text,
        **({"outputs": outputs} if kind == "code" else {}),
    }


FIGURE = ("application/vnd.plotly.v1+json",)


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (cell("markdown", "## Section\ntext"), "slide"),
        (cell("markdown", "### Part\ntext"), "slide"),
        (cell("markdown", "## Where this stands\nlong", tags=["reading"]), "skip"),
        (cell("markdown", "<details><summary>Solution</summary>x</details>"), "skip"),
        (cell("code", "tier = notebook.start()"), "skip"),
        (cell("code", "def f(x):\n    raise NotImplementedError", ("text/markdown",)), "skip"),
        (cell("code", "x = 1", tags=["solution"]), "skip"),
        (cell("code", "plot()", FIGURE), "slide"),
        (cell("code", "assert x"), "skip"),
        (cell("code", "def loss_loops(v, a):\n    return 0"), "slide"),
        (cell("code", "table()", ("text/markdown",)), "slide"),
    ],
)
def test_a_cell_stands_where_its_kind_belongs(one, kind):
    nb = {"cells": [cell("markdown", "# Title\n\nSummary"), one]}
    assert slides.slide_types(nb) == ["slide", kind]


def test_text_before_a_figure_is_its_sentence_and_its_notes():
    long = "One sentence. " + "Another one that says more than the first. " * 6
    nb = {
        "cells": [
            cell("markdown", "# Title\n\nSummary"),
            cell("markdown", f"## Section\n\n{long}"),
            cell("code", "plot()", FIGURE),
            cell("markdown", "**What you see.** It moves."),
        ]
    }
    figure = slides.compose(nb)[1]
    assert (figure.layout, figure.title, figure.cells) == ("figure", "Section", (1, 2))
    assert figure.sentence.startswith("One sentence. Another")
    assert len(figure.sentence) < 250
    assert figure.notes == (long.strip(), "It moves.")
    assert slides.slide_types(nb) == ["slide", "slide", "-", "notes"]


def test_what_follows_a_part_keeps_its_title():
    long = "A sentence about the part that takes its room on the slide. " * 8
    nb = {
        "cells": [
            cell("markdown", "# Title\n\nSummary"),
            cell("markdown", f"## Section\n\n{long}"),
            cell("markdown", f"### Part\n\n{long}"),
            cell("code", "plot()", FIGURE),
            cell("markdown", f"{long}\n\n{long}"),
            cell("code", "plot()", FIGURE),
            cell("markdown", f"## Next\n\n{long}"),
        ]
    }
    titles = [slide.title for slide in slides.compose(nb)]
    assert titles == ["Title", "Section", "Part", "Part", "Part", "Part", "Next"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("**What leaks?** " + "Much; " + "a" * 220 + ".", "Much."),
        ("**What leaks?** Much.", "**What leaks?** Much."),
        ("**What leaks?** A" + "a" * 220 + ".", "**What leaks?**"),
    ],
)
def test_the_sentence_of_a_figure_is_whole_and_answers(text, sentence):
    assert slides.statement([text]) == sentence


def test_a_number_after_a_colon_begins_no_sentence():
    assert slides.sentences("Seeds: 5; steps: 600. Next.") == ["Seeds: 5; steps: 600.", "Next."]
    assert slides.sentences("Look: It moves.") == ["Look:", "It moves."]


def test_formulas_that_share_a_line_are_uncovered_one_by_one():
    nb = {
        "cells": [
            cell("markdown", "# Title\n\nSummary"),
            cell("markdown", r"## S" + "\n\nIn words.\n\n" + r"$$ a = b \qquad c = d $$"),
        ]
    }
    html = views.deck(nbformat.from_dict({**nb, "metadata": {}}), "x")
    assert html.count('class="formula fragment"') == 2


def test_code_that_nobody_would_project_stays_out():
    code = "def loss_loops(v):\n    return 0\n\n\nprint(loss_loops(1))\nassert True"
    assert slides.exhibit(cell("code", code)) == "def loss_loops(v):\n    return 0"
    assert not slides.exhibit(cell("code", "def helper(v):\n    return 0\nprint(1)"))
    announced = cell("code", "def one_step(v):\n    return 0")
    assert slides.exhibit(announced, announced=True)
    assert not slides.exhibit(announced)


# --- Students -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return views.make("student", tmp_path_factory.mktemp("student"))


def test_students_get_stubs_and_checks_but_no_solution(student):
    for path, made in zip(NOTEBOOKS, student, strict=True):
        before, after = load(path), load(made)
        text = "\n".join(map(slides.source, after["cells"]))
        assert not re.search(r"<summary>[^<]*\b(?:solution|answer)", text, re.I), made.name
        assert not [cell for cell in after["cells"] if slides.tags(cell) & {"solution", "law"}]
        assert not [
            cell
            for cell in after["cells"]
            if cell.get("outputs") or not slides.source(cell).strip()
        ]
        for kept in (
            r"raise NotImplementedError",
            r"^exercises\.\w+\(my_",
            r"<summary>Hint",
            r"^def check",
            r"google\.colab",
        ):
            count = len(re.findall(kept, "\n".join(map(slides.source, before["cells"])), re.M))
            assert len(re.findall(kept, text, re.M)) == count, (made.name, kept)
        if "<summary>Solution" in "\n".join(map(slides.source, before["cells"])):
            assert text != "\n".join(map(slides.source, before["cells"]))


def test_no_cell_of_a_student_needs_one_that_was_taken_out(student):
    """Let ruff find names that nobody defines."""
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--select",
        "F821",
        "--no-cache",
        "--output-format",
        "concise",
    ]
    found = subprocess.run([*command, student[0].parent], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def test_a_solution_is_taken_out_and_a_hint_is_not():
    text = "Do it.\n\n<details><summary>Hint</summary>h</details>\n"
    text += "<details>\n<summary>Solution</summary>\n\ns\n</details>\nOn."
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
    made = nbformat.reads(views.page("student", nb, "x"), as_version=4)
    assert made.cells[0].source == "Do it.\n\n<details><summary>Hint</summary>h</details>\nOn."


# --- Pages ----------------------------------------------------------------------------------------


def figure_notebook():
    plotly = pytest.importorskip("plotly.graph_objects")
    drawn = json.loads(
        plotly.Figure(plotly.Bar(y=[1, 2]), layout={"title": "A <b>name</b>"}).to_json()
    )
    output = nbformat.v4.new_output("display_data", {views.PLOTLY: drawn, "image/png": "c3RpbGw="})
    widget = nbformat.v4.new_output(
        "display_data", {views.WIDGET: {"model_id": "x"}, "text/plain": "VBox()"}
    )
    text = nbformat.v4.new_markdown_cell(
        "## S\n[next](05_disentanglement_loss.ipynb), [code](../dsel/losses.py#L3)"
    )
    head, code = (
        nbformat.v4.new_markdown_cell("# 00"),
        nbformat.v4.new_code_cell("f", outputs=[output, widget]),
    )
    nb = nbformat.v4.new_notebook(cells=[head, text, code])
    slides.stamp(nb)
    return nb


@pytest.mark.parametrize(("view", "suffix"), [("site", ".html"), ("slides", ".slides.html")])
def test_a_page_names_its_figures_and_asks_nobody(view, suffix):
    html = views.page(view, figure_notebook(), "x")
    assert 'aria-label="A name"' in html
    assert 'role="figure"' in html
    assert "Plotly.newPlot" in html
    assert "VBox()" not in html  # dead without a kernel
    assert "c3RpbGw" not in html  # the still is for readers that cannot show the figure
    assert f'href="05_disentanglement_loss{suffix}"' in html
    assert f"{views.address()}/blob/main/dsel/losses.py#L3" in html
    assert not re.findall(r"<(?:script|img|link)[^>]+(?:src|href)=\"(?:https?:)?//[^\"]+", html)
    assert not re.search(r"(?:import|url)\(?\s*['\"]https?:", html)


def test_a_page_folds_what_the_notebook_folds():
    nb = figure_notebook()
    title = "# @title Figure: S\n"
    nb.cells[-1].source = title + nb.cells[-1].source
    assert 'class="folded"' not in views.page("site", nb, "x").split("<main>")[-1]
    nb.cells[-1].metadata["jupyter"] = {"source_hidden": True}
    html = views.page("site", nb, "x").split("</style>")[-1]
    assert html.count('<details class="folded"><summary>Figure: S</summary>') == 1
    assert html.index("<details") < html.index('dselDraw("')


def test_a_missing_script_says_where_it_comes_from(tmp_path, monkeypatch):
    monkeypatch.setitem(views.ASSETS, "reveal", ("no_such_package", "x", "reveal"))
    with pytest.raises(SystemExit, match="make slides"):
        views.copy_assets(tmp_path, ["reveal"])


# --- Results --------------------------------------------------------------------------------------


def test_results_are_those_of_the_files(tmp_path):
    card = {
        "train": {"steps": 7, "seed": 3},
        "machine": "an abacus",
        "evaluation": {
            "corpus": {"recipe": {"test": 5}},
            "rows": [
                {
                    "figure": "content task, content head: top-1 of 30 windows",
                    "value": 12.34,
                    "chance": 100 / 30,
                },
                {
                    "figure": "EER, identity head, hard trials, same sex",
                    "value": 45.67,
                    "chance": 50,
                },
                {"figure": "EER, content head, hard trials, same sex", "value": 1.23, "chance": 50},
            ],
        },
    }
    (tmp_path / "card.json").write_text(json.dumps(card))
    text = results.render(tmp_path / "card.json", tmp_path)
    assert "7 steps, seed 3" in text
    assert "| content task, content head: top-1 of 30 windows | 12.3 | 3.3 |" in text
    assert "| hard, same sex | 45.7 | 1.2 |" in text
    assert "an abacus" in text
    assert "not measured yet" in text
    columns = ["row", "seed", "step", "steps", *(f"test_{name}" for name in results.SHOWN)]
    lines = [
        ",".join(columns),
        "both,0,9,9,20,21,22,23,24",
        "both,1,9,9,22,21,22,23,24",
        "full,0,4,9,1,1,1,1,1",
    ]
    (tmp_path / "results.csv").write_text("\n".join(lines) + "\n")
    text = results.render(tmp_path / "card.json", tmp_path)
    (row,) = [line for line in text.splitlines() if line.startswith("| content + identity")]
    assert "| 9 | 2 | 21.0" in row  # the mean of two seeds; the unfinished training is left out
