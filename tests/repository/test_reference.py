"""The reference: every docstring of the package is spelt as mkdocstrings reads it."""

import ast
import doctest
import re
from pathlib import Path

import pytest

from tools import reference

ROOT = Path(__file__).resolve().parents[2]


def docstrings() -> list[str]:
    """Every docstring of the package."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    trees = (
        ast.parse(path.read_text(encoding="utf-8")) for path in sorted(ROOT.glob("dsel/**/*.py"))
    )
    nodes = (node for tree in trees for node in ast.walk(tree) if isinstance(node, kinds))
    return [text for text in map(ast.get_docstring, nodes) if text]


def test_the_example_of_readable_is_right():
    results = doctest.testmod(reference)
    assert results.attempted > 0
    assert not results.failed


def test_every_section_has_a_blank_line_above_and_every_example_a_section():
    texts = docstrings()
    assert sum(">>> " in text for text in texts) > 30
    for text in texts:
        lines = reference.readable(text).splitlines()
        assert sum(line.lstrip().startswith(">>> ") for line in lines) == text.count(">>> ")
        section = ""
        for before, line in zip(["", *lines], lines, strict=False):
            if re.fullmatch(r"(Args|Attributes|Returns|Yields|Raises|Examples):", line):
                assert not before, text
                section = line
            elif line and not line.startswith(" "):
                section = ""
            if line.lstrip().startswith(">>> "):
                assert section == "Examples:", text


def test_no_word_is_lost_but_where_parameters_share_a_line():
    for text in docstrings():
        if not re.search(r"(?m)^    \w+(?:, \w+)+:", text):
            respelt = reference.readable(text).replace("Examples:", "")
            assert respelt.split() == text.replace("Examples:", "").split()


def test_all_pages_are_in_the_menu_and_say_something():
    front = reference.front()
    for modules in reference.PAGES.values():
        for module in modules:
            assert re.search(rf"\]\({module}\.md\): \w.{{10}}", front), module


def test_formulas_are_drawn_with_the_fonts_of_the_other_pages():
    files = reference.mathjax()
    assert 'webFont: "STIX-Web"' in files["mathjax.js"]
    assert "font-family: serif" in files["mathjax.css"]
    assert "http" not in "".join(files.values())


@pytest.mark.heavy
def test_the_site_is_built_without_a_warning_and_asks_no_other_host(tmp_path, monkeypatch):
    pytest.importorskip("mkdocstrings", reason="the extra `reference` is not installed")
    monkeypatch.setattr(reference, "SOURCE", tmp_path / "source")
    monkeypatch.setattr(reference, "OUT", tmp_path / "out")
    reference.main()
    pages = {path.stem: path.read_text(encoding="utf-8") for path in tmp_path.glob("out/*.html")}
    assert set(pages) >= {module for modules in reference.PAGES.values() for module in modules}
    for name, text in pages.items():
        assert "<blockquote" not in text, name  # an example taken for a quotation
        assert str(ROOT) not in text, name
        assert not re.search(r'(?:src|srcset)="(?:https?:)?//|<link[^>]+href="https?:', text), name
