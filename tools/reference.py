"""Build the reference of the package from its docstrings: `make reference` -> build/reference/.

Every package is one page: what it says of itself, then each name of its `__all__` with its
signature, docstring and source. Formulas are drawn by the MathJax of an installed package
(jupyter-server-mathjax), so that the pages need no network.
"""

from __future__ import annotations

import importlib
import json
import logging
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(ROOT))

from tools.stamp import BRANCH, address  # noqa: E402
from tools.views import TEMPLATES, copy_assets  # noqa: E402

SOURCE, OUT = ROOT / "build" / "reference_source", ROOT / "build" / "reference"
PAGES = {  # heading of the menu: modules
    "The method": ("losses", "reference", "model", "audio", "timing"),
    "Data": ("corpus", "toy", "prepare"),
    "Training": ("train",),
    "Results": ("evaluate", "ablation", "plots"),
    "Use": ("apply", "teaching", "cli"),
}
# Formulas are what mkdocs has marked as such; fonts and the rest are those of the other pages.
MATHJAX = r"""window.MathJax = Object.assign(%s, {
  tex2jax: {inlineMath: [["\\(", "\\)"]], displayMath: [["\\[", "\\]"]],
    ignoreClass: ".*", processClass: "arithmatex"}
});
"""
SECTION = re.compile(r"(?m)^( *)(Args|Attributes|Returns|Yields|Raises):\n(?=\1    \S)")
EXAMPLE = re.compile(r"(?m)(?:^ *>>> .*\n?(?:^ *(?!>>>)\S.*\n?)*)+")
SHARED = re.compile(r"(?m)^    (\w+(?:, \w+)+):((?: .*)?\n(?: {5,}.*\n)*)")


def readable(text: str) -> str:
    """Respell a docstring as mkdocstrings reads it.

    A section wants a blank line above it, an example a section, and a parameter a line of its own.

    >>> print(readable("Add.\\n\\nArgs:\\n    x, y: numbers.\\nReturns:\\n    The sum."))
    Add.
    <BLANKLINE>
    Args:
        x: numbers.
        y: numbers.
    <BLANKLINE>
    Returns:
        The sum.
    """
    text = SECTION.sub(r"\n\1\2:\n", text + "\n")
    text = SHARED.sub(lambda m: "".join(f"    {x}:{m[2]}" for x in m[1].split(", ")), text)
    text = EXAMPLE.sub(lambda m: f"\nExamples:\n{_indented(m[0])}\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).rstrip()


def _indented(text: str) -> str:
    return "".join(f"    {line.strip()}\n" for line in text.splitlines())


def mathjax() -> dict[str, str]:
    """Return the files that tell MathJax what the pages and decks of the notebooks tell it."""
    local = (TEMPLATES / "local.html").read_text(encoding="utf-8")
    says = re.search(r"MathJax\.Hub\.Config\((\{.*?\})\);", local, re.S)
    style = re.search(r"<style>(.*?)</style>", local, re.S)
    return {"mathjax.js": MATHJAX % says[1], "mathjax.css": style[1] + "\n"}


def page(module: str) -> str:
    """Return the Markdown page of one module or package of dsel."""
    name = f"dsel.{module}"
    offers = getattr(importlib.import_module(name), "__all__", None)
    options = "    options:\n      show_root_heading: true\n      heading_level: 1\n"
    if offers:
        options += "      members: [" + ", ".join(sorted(offers)) + "]\n"
    return f"::: {name}\n{options}"


def front() -> str:
    """Return the first page: the packages, one line each."""
    lines = ["# dsel, the reference", ""]
    lines += ["What the package offers, from its docstrings. How it works: the notebooks.", ""]
    for heading, modules in PAGES.items():
        lines += [f"## {heading}", ""]
        for module in modules:
            says = (importlib.import_module(f"dsel.{module}").__doc__ or "").split("\n")[0]
            lines.append(f"- [dsel.{module}]({module}.md): {says}")
        lines.append("")
    return "\n".join(lines)


def equations() -> str:
    """Return docs/equations.md with links into the repository made absolute."""
    text = (ROOT / "docs" / "equations.md").read_text(encoding="utf-8")
    return text.replace("](../", f"]({address()}/blob/{BRANCH}/")


def configuration() -> dict:
    """Return what mkdocs is told."""
    menu = [{"dsel": "index.md"}, {"The formulas": "equations.md"}]
    menu += [
        {heading: [{f"dsel.{module}": f"{module}.md"} for module in modules]}
        for heading, modules in PAGES.items()
    ]
    reads = {
        "docstring_style": "google",
        "docstring_section_style": "list",  # a table is too wide for a phone
        "extensions": ["tools.readable"],
        "show_source": True,
        "show_signature_annotations": True,
        "separate_signature": True,
        "members_order": "source",
        "show_if_no_docstring": False,
        "docstring_options": {"warn_missing_types": False, "warn_unknown_params": False},
    }
    return {
        "site_name": "dsel, the reference",
        "docs_dir": str(SOURCE),
        "site_dir": str(OUT),
        "use_directory_urls": False,  # pages open from a folder, without a server
        "theme": {"name": "material", "font": False},  # no request to any other host
        "nav": menu,
        "plugins": [{"mkdocstrings": {"handlers": {"python": {"options": reads}}}}],
        "markdown_extensions": [{"pymdownx.arithmatex": {"generic": True}}, "pymdownx.superfences"],
        "extra_css": ["mathjax.css"],
        "extra_javascript": [
            "mathjax.js",
            "assets/mathjax/MathJax.js?config=TeX-AMS-MML_HTMLorMML-full,Safe",
        ],
    }


def main() -> None:
    """Write the Markdown pages, then let mkdocs build the site; its warnings are errors."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    shutil.rmtree(SOURCE, ignore_errors=True)
    SOURCE.mkdir(parents=True)
    for modules in PAGES.values():
        for module in modules:
            (SOURCE / f"{module}.md").write_text(page(module), encoding="utf-8")
    (SOURCE / "equations.md").write_text(equations(), encoding="utf-8")
    (SOURCE / "index.md").write_text(front(), encoding="utf-8")
    for name, text in mathjax().items():
        (SOURCE / name).write_text(text, encoding="utf-8")
    copy_assets(SOURCE, ["mathjax"])
    settings = SOURCE.with_suffix(".yml")
    settings.write_text(json.dumps(configuration()), encoding="utf-8")  # JSON is YAML
    build(load_config(str(settings), strict=True))
    print(f"{OUT}: {len(list(OUT.glob('*.html')))} pages")


if __name__ == "__main__":
    main()
