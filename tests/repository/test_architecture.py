"""Imports between the packages of dsel run one way, from the method up to the command line.

The files are read as text, so that imports inside functions and under TYPE_CHECKING count too.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "dsel"
# From the ground floor up: a room may import from rooms before it, never from one after it.
ORDER = (
    "utils",
    "timing",
    "losses",
    "reference",
    "audio",
    "corpus",
    "toy",
    "model",
    "train",
    "evaluate",
    "prepare",
    "apply",
    "plots",
    "teaching",
    "ablation",
    "demo",
    "cli",
)
FRONT = ("__init__", "__main__")  # `dsel.load` and `python -m dsel` reach for whatever they offer


@cache
def modules() -> dict[str, ast.Module]:
    """Dotted name -> syntax tree of every file of the package."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imported(tree: ast.Module, names: set[str]) -> set[str]:
    """The modules of dsel that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names if a.name.split(".")[0] == "dsel"}
        elif (
            isinstance(node, ast.ImportFrom)
            and not node.level
            and (node.module or "").split(".")[0] == "dsel"
        ):
            for a in node.names:
                whole = f"{node.module}.{a.name}"
                found.add(whole if whole in names else node.module)
    return found


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else "__init__"


def arrows(trees: dict[str, ast.Module]) -> set[tuple[str, str]]:
    """(importing module, imported module) for every pair in different rooms."""
    names = set(trees)
    pairs = {(name, other) for name, tree in trees.items() for other in imported(tree, names)}
    return {(a, b) for a, b in pairs if room(a) != room(b)}


def upward(pairs: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """The arrows that go from a room to a later one."""
    place = {name: k for k, name in enumerate(ORDER)}
    return sorted(
        (a, b) for a, b in pairs if room(a) not in FRONT and place[room(b)] > place[room(a)]
    )


def test_every_room_has_a_place_in_the_order():
    rooms = {room(name) for name in modules()} - set(FRONT)
    assert rooms == set(ORDER)


def test_no_import_goes_up():
    assert upward(arrows(modules())) == []


@pytest.mark.parametrize(
    "text",
    [
        "from dsel.cli import main",
        "def f():\n    from dsel import plots",
        "if True:\n    import dsel.evaluate.report",
    ],
)
def test_an_arrow_up_would_be_found(text):
    trees = modules() | {"dsel.corpus.invented": ast.parse(text)}
    assert [pair[0] for pair in upward(arrows(trees))] == ["dsel.corpus.invented"]


def test_no_circle_among_files():
    """The imports at the top of the files form no circle, so every file can be imported first."""
    trees = modules()
    graph = {}
    for name, tree in trees.items():
        top = ast.Module([n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)], [])
        graph[name] = imported(top, set(trees)) & set(trees) - {name}
    packages = {name for name in trees if any(other.startswith(f"{name}.") for other in trees)}
    done, open_ = set(), []

    def visit(name):
        assert name not in open_, " -> ".join([*open_[open_.index(name) :], name])
        if name in done:
            return
        open_.append(name)
        for other in sorted(graph[name] - packages if name not in packages else graph[name]):
            visit(other)
        open_.pop()
        done.add(name)

    for name in sorted(trees):
        visit(name)
