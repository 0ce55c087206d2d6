"""The examples in docstrings are run: what `>>>` shows is what a reader gets."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def modules_with_examples(folder: Path) -> list[str]:
    """Return the dotted names of the modules in a package whose text contains an example."""
    names = []
    for path in sorted(folder.rglob("*.py")):
        if ">>> " in path.read_text(encoding="utf-8"):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            names.append(".".join(parts).removesuffix(".__init__"))
    return names


def run(module) -> doctest.TestResults:
    return doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)


def test_there_are_examples():
    assert len(modules_with_examples(ROOT / "dsel")) >= 2


@pytest.mark.parametrize("name", modules_with_examples(ROOT / "dsel"))
def test_examples_give_what_they_show(name):
    results = run(importlib.import_module(name))
    assert results.attempted > 0, f"{name}: no example of it belongs to a docstring"
    assert results.failed == 0, f"python -m doctest shows more about {name}"


def test_a_wrong_example_would_fail(tmp_path, monkeypatch, capsys):
    text = '"""Invented.\n\n>>> 1 + 1\n3\n"""\n'
    (tmp_path / "invented.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert modules_with_examples(tmp_path) == [f"{tmp_path.name}.invented"]
    assert run(importlib.import_module("invented")).failed == 1
    assert "Expected:" in capsys.readouterr().out
