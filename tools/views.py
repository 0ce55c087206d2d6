"""Make three views of the notebooks with nbconvert; none needs a network to be made or shown.

    python tools/views.py student    build/student/   notebooks without solutions
    python tools/views.py slides     build/slides/    reveal.js decks, as tools/slides.py chose
    python tools/views.py site       build/site/      the executed notebooks as pages, with an index

Figures move in slides and pages as far as they do so without a kernel. Sound and video are inside
the files. plotly.js, MathJax and reveal.js are taken from installed packages (plotly,
jupyter-server-mathjax, sphinx-revealjs).
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter, NotebookExporter
from nbconvert.preprocessors import Preprocessor
from traitlets import Unicode
from traitlets.config import Config

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(ROOT))

from tools import decks, site, talks  # noqa: E402
from tools.slides import compose  # noqa: E402
from tools.stamp import BADGE, BRANCH, NOTEBOOKS, address, badge  # noqa: E402
from tools.stills import PLOTLY  # noqa: E402

__all__ = [
    *("ANSWERS", "ASSETS", "STUDENT_BRANCH", "FigureHtml", "FoldedAnswers", "Links"),
    *(
        "StudentsLink",
        "copy_assets",
        "exporter",
        "figure_html",
        "index",
        "main",
        "make",
        "page",
        "pages",
    ),
    "resources",
]

TEMPLATES = ROOT / "tools" / "templates"
WIDGET = "application/vnd.jupyter.widget-view+json"
ANSWERS = ("solution", "law")  # tags of cells that give an answer away
STUDENT_BRANCH = "student"  # of the repository; docs/teaching.md says how the edition gets there
FOLDED_ANSWER = re.compile(
    r"<details[^>]*>\s*<summary>[^<]*\b(?:solution|answer)\b.*?</details>\n*", re.S | re.I
)
# Where the scripts come from: (package, folder or file inside it, name under assets/).
ASSETS = {
    "plotly": ("plotly", "package_data/plotly.min.js", "plotly.min.js"),
    "mathjax": ("jupyter_server_mathjax", "static", "mathjax"),
    "reveal": ("sphinx_revealjs", "_static/revealjs", "reveal"),
}
UNUSED = shutil.ignore_patterns(
    *("*.map", "*.esm.js", "localization", "highlight", "search", "math", "zoom", "markdown")
)


class FoldedAnswers(Preprocessor):
    """Remove every <details> whose summary says solution or answer; hints stay."""

    def preprocess(self, nb, resources):
        nb, resources = super().preprocess(nb, resources)
        nb.cells = [cell for cell in nb.cells if cell.source.strip()]
        return nb, resources

    def preprocess_cell(self, cell, resources, index):
        if cell.cell_type == "markdown":
            cell.source = FOLDED_ANSWER.sub("", cell.source).strip()
        return cell, resources


class StudentsLink(Preprocessor):
    """Let the link to Colab open the students' edition, not the one with the solutions."""

    def preprocess(self, nb, resources):
        name = f"{resources['metadata']['name']}.ipynb"
        link = badge(name, address(), branch=STUDENT_BRANCH, folder="")
        for cell in nb.cells[:1]:
            cell.source = BADGE.sub(lambda _: f"\n\n{link}", cell.source)
        return nb, resources


class FigureHtml(Preprocessor):
    """Turn plotly's JSON into html that screen readers can name; remove widgets, which are dead."""

    def preprocess_cell(self, cell, resources, index):
        outputs = [out for out in cell.get("outputs", []) if WIDGET not in out.get("data", {})]
        for number, output in enumerate(outputs):
            if PLOTLY in output.get("data", {}):
                html = figure_html(output.data[PLOTLY], f"figure-{cell.id}-{number}")
                output.data = {"text/html": html}
        if cell.cell_type == "code":
            cell.outputs = outputs
        return cell, resources


class Links(Preprocessor):
    """Point links to other notebooks at their pages, and links to files at the repository."""

    suffix = Unicode(".html").tag(config=True)

    def preprocess_cell(self, cell, resources, index):
        if cell.cell_type == "markdown":
            cell.source = self.point(cell.source)
        for output in cell.get("outputs", []):
            if "text/markdown" in output.get("data", {}):
                text = output.data["text/markdown"]
                output.data["text/markdown"] = self.point(text)
        return cell, resources

    def point(self, text: str) -> str:
        """Rewrite the links of a text."""
        text = re.sub(r"\]\((\d\d_\w+)\.ipynb\)", rf"](\1{self.suffix})", text)
        return re.sub(r"\]\(\.\./([^)]+)\)", rf"]({address()}/blob/{BRANCH}/\1)", text)


def figure_html(figure: dict, div_id: str, *, responsive: bool = True) -> str:
    """Write a figure as a <div> and its call; the page loads plotly.js itself.

    Args:
        figure: plotly's JSON.
        div_id: the name of its <div>.
        responsive: whether it is fitted to the width of its page; on slides it is not.
    """
    title = figure.get("layout", {}).get("title", {})
    title = title.get("text", "") if isinstance(title, dict) else title
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", title or ""))  # without tags
    label = words.replace('"', "'").strip() or "figure"
    drawn = {key: figure[key] for key in ("data", "layout", "frames") if key in figure}
    if responsive:  # see templates/figures.js
        text = json.dumps(drawn, ensure_ascii=False).replace("</", "<\\/")
        html = f'<div id="{div_id}"></div><script>dselDraw("{div_id}", {text});</script>'
    else:
        import plotly.io as pio

        bare = {"full_html": False, "include_plotlyjs": False, "include_mathjax": False}
        config = {"responsive": False, "displaylogo": False}
        options = {"auto_play": False, "div_id": div_id, "validate": False, "config": config}
        html = pio.to_html(drawn, **bare, **options)
    return f'<div class="figure" role="figure" aria-label="{label}">{html}</div>'


def resources(name: str) -> dict:
    """Return what the templates need: the title of a page, and the scripts that it loads."""
    head = (TEMPLATES / "local.html").read_text(encoding="utf-8")
    figures = (TEMPLATES / "figures.js").read_text(encoding="utf-8")
    return {"metadata": {"name": name}, "local_head": head, "figures": figures}


def exporter(view: str):
    """Make the nbconvert exporter of a view."""
    config = Config()
    if view == "student":
        config.TagRemovePreprocessor.enabled = True
        config.TagRemovePreprocessor.remove_cell_tags = set(ANSWERS)
        config.ClearOutputPreprocessor.enabled = True
        config.ClearMetadataPreprocessor.enabled = True
        config.ClearMetadataPreprocessor.preserve_cell_metadata_mask = {"tags"}
        config.NotebookExporter.preprocessors = [FoldedAnswers, StudentsLink]
        return NotebookExporter(config=config)
    config.HTMLExporter.extra_template_basedirs = [str(TEMPLATES)]
    config.HTMLExporter.preprocessors = [FigureHtml, Links]
    config.HTMLExporter.exclude_anchor_links = True
    return HTMLExporter(config=config, template_name="page")


def copy_assets(folder: Path, names) -> None:
    """Copy scripts out of their packages.

    Args:
        folder: they go to its assets/.
        names: those of ASSETS.
    Raises:
        SystemExit: a package is missing; the message names it.
    """
    for name in names:
        package, inside, target = ASSETS[name]
        spec = importlib.util.find_spec(package)
        if spec is None:
            missing = f"the package {package.replace('_', '-')}, which is not installed"
            raise SystemExit(f"{name} comes from {missing}: run `make slides`")
        script, to = Path(spec.origin).parent / inside, folder / "assets" / target
        to.parent.mkdir(parents=True, exist_ok=True)
        if script.is_dir():
            shutil.copytree(script, to, dirs_exist_ok=True, ignore=UNUSED)
        else:
            shutil.copy(script, to)


def page(view: str, nb, name: str, stem: str = "") -> str:
    """Return a notebook in one view as text.

    Args:
        view: student, slides or site.
        nb: the notebook.
        name: the title of its page.
        stem: of its file, for the links to the pages before and after; empty: none.
    """
    if view == "slides":
        return deck(nb, name)
    beside = {"beside": site.neighbours(stem)} if stem and view == "site" else {"beside": {}}
    text, _ = exporter(view).from_notebook_node(nb, {**resources(name), **beside})
    return text


def deck(nb, name: str) -> str:
    """Return a notebook as a deck; name: the title of its page."""
    links = Links(suffix=".slides.html")
    nb, _ = links.preprocess(copy.deepcopy(nb), {})
    slides = ((slide, nb.cells) for slide in compose(nb))
    head = resources(name)["local_head"]
    return decks.deck(slides, slide_figure, title=name, head=head)


def talk(name: str) -> str:
    """Return the deck of a talk (tools/decks.toml) as a page."""
    links = Links(suffix=".slides.html")
    chosen = [(_pointed(slide, links), cells) for slide, cells in talks.choose(name)]
    head, title = resources(name)["local_head"], chosen[0][0].title
    return decks.deck(chosen, slide_figure, title=title, head=head)


def _pointed(slide, links: Links):
    """Rewrite the links of a slide."""
    pieces = (
        p if p.kind in ("clip", "script") else replace(p, text=links.point(p.text))
        for p in slide.pieces
    )
    notes = tuple(map(links.point, slide.notes))
    return replace(slide, pieces=tuple(pieces), notes=notes, sentence=links.point(slide.sentence))


def slide_figure(figure: dict, div_id: str) -> str:
    """Write a figure for a slide, which has one size."""
    return figure_html(figure, div_id, responsive=False)


def pages(view: str, out: Path, paths=None) -> list[Path]:
    """Write the notebooks of a view into a folder, without scripts and first page.

    Args:
        view: student, slides or site.
        out: the folder.
        paths: the notebooks; None: all.
    Returns:
        the files written.
    """
    out.mkdir(parents=True, exist_ok=True)
    suffix = {"student": ".ipynb", "slides": ".slides.html", "site": ".html"}[view]
    made = []
    for path in paths or sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")):
        nb = nbformat.read(path, as_version=4)
        made.append(out / f"{path.stem}{suffix}")
        name = (
            site.neighbours(path.stem).get("title", path.stem) if view != "student" else path.stem
        )
        made[-1].write_text(page(view, nb, name, path.stem), encoding="utf-8")
    return made


def make(view: str, out: Path, paths=None) -> list[Path]:
    """Write a view of the notebooks into a folder, with all that its pages load.

    Args:
        view: student, slides or site.
        out: the folder.
        paths: the notebooks; None: all.
    Returns:
        the files written.
    """
    made = pages(view, out, paths)
    if view == "slides" and not paths:
        for name in talks.TALKS:
            made.append(out / f"{name}.slides.html")
            made[-1].write_text(talk(name), encoding="utf-8")
    if view != "student":
        copy_assets(out, ("plotly", "mathjax", *(("reveal",) if view == "slides" else ())))
        made += site.first_pages(out, address()) if view == "site" else [site.all_decks(out)]
    return made


def main(argv=None) -> int:
    """Write one view, and print the files written."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("view", choices=("student", "slides", "site"))
    parser.add_argument("notebooks", nargs="*", type=Path, help="all of notebooks/ unless named")
    parser.add_argument("--out", type=Path, help="the folder; default: build/VIEW")
    options = parser.parse_args(argv)
    out = options.out or ROOT / "build" / options.view
    for path in make(options.view, out, options.notebooks):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
