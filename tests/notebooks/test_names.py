"""Check that every name which a notebook takes from dsel exists and is public, without a run.

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


def is_public(module: ModuleType, name: str) -> bool:
    """Say whether a module offers a name: it has it and, where there is an `__all__`, lists it."""
    value = imported(module.__name__, name)
    if value is None or isinstance(value, ModuleType):
        return value is not None
    return name in getattr(module, "__all__", [name])


def missing_names(code: str) -> list[str]:
    """List the names taken from dsel, or from modules of it, that do not exist or are not public.

    A name that the code assigns again is not followed.
    """
    tree = ast.parse(code)
    taken, modules = [], {}  # (module, name) of each use; {name in the code: module}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dsel":
            module = importlib.import_module(node.module)
            for alias in node.names:
                taken.append((module, alias.name))
                value = imported(node.module, alias.name)
                if isinstance(value, ModuleType):
                    modules[alias.asname or alias.name] = value
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "dsel":
                    module = importlib.import_module(alias.name)
                    top = module if alias.asname else importlib.import_module("dsel")
                    modules[alias.asname or "dsel"] = top
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    for assigned in {node.id for node in names if isinstance(node.ctx, ast.Store)}:
        modules.pop(assigned, None)
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    for node in attributes:
        module = modules.get(node.value.id) if isinstance(node.value, ast.Name) else None
        if module is not None:
            taken.append((module, node.attr))
    return [f"{module.__name__}.{name}" for module, name in taken if not is_public(module, name)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_name_of_dsel_exists_and_is_public(path):
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
        ("from dsel.plots import verification as v\nv.probit", []),
        (
            "from dsel.plots import verification as v\nv.NormalDist",
            ["dsel.plots.verification.NormalDist"],
        ),
        ("from dsel.plots.maps import titled", ["dsel.plots.maps.titled"]),
    ],
)
def test_a_missing_or_private_name_is_found(code, missing):
    assert missing_names(code) == missing


@pytest.mark.parametrize("room", ["plots", "teaching"])
def test_every_module_of_figures_and_teaching_lists_what_it_offers(room):
    folder = Path(importlib.import_module(f"dsel.{room}").__file__).parent
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder.parent.parent).with_suffix("").parts
        module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
        offered = getattr(module, "__all__", None)
        if path != folder / "__init__.py" or room == "plots":
            assert offered, f"{module.__name__}: no __all__"
            assert all(hasattr(module, name) for name in offered), module.__name__
