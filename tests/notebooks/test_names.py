"""Check that every name which a notebook takes from dsel exists, without running the notebook.

Running all notebooks takes many minutes; a module that moves is noticed here within seconds.
"""

import ast
import importlib
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def code_of(path: Path) -> str:
    """Return the code of a notebook as one text, with IPython's %-commands replaced by `pass`."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return re.sub(r"^(\s*)%.*$", r"\1pass", text, flags=re.M)


def imported(module: str, name: str):
    """Return what `from module import name` gives, a submodule included; None if nothing."""
    package = importlib.import_module(module)
    if not hasattr(package, name):
        try:
            importlib.import_module(f"{module}.{name}")
        except ModuleNotFoundError:
            return None
    return getattr(package, name)


def missing_names(code: str) -> list[str]:
    """List the imports from dsel, and the attributes of its imported modules, that do not exist.

    A name that the code assigns again is not followed.
    """
    tree = ast.parse(code)
    missing, modules = [], {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dsel":
            for alias in node.names:
                found = imported(node.module, alias.name)
                if found is None:
                    missing.append(f"{node.module}.{alias.name}")
                elif isinstance(found, ModuleType):
                    modules[alias.asname or alias.name] = found
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "dsel":
                    whole = importlib.import_module(alias.name)
                    modules[alias.asname or "dsel"] = (
                        whole if alias.asname else importlib.import_module("dsel")
                    )
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    for assigned in {node.id for node in names if isinstance(node.ctx, ast.Store)}:
        modules.pop(assigned, None)
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    for node in attributes:
        module = modules.get(node.value.id) if isinstance(node.value, ast.Name) else None
        if module is not None and not hasattr(module, node.attr):
            missing.append(f"{module.__name__}.{node.attr}")
    return missing


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_name_of_dsel_exists(path):
    assert missing_names(code_of(path)) == []


@pytest.mark.parametrize(
    ("code", "missing"),
    [
        ("from dsel import losses\nlosses.content_logits", []),
        ("from dsel import losses\nlosses.gone", ["dsel.losses.gone"]),
        ("from dsel.plots import maps as m\nm.gone(1)", ["dsel.plots.maps.gone"]),
        ("from dsel.plots import gone", ["dsel.plots.gone"]),
        ("import dsel\ndsel.gone", ["dsel.gone"]),
        ("from dsel.plots import maps\nmaps = {}\nmaps.items()", []),
    ],
)
def test_a_missing_name_is_found(code, missing):
    assert missing_names(code) == missing
