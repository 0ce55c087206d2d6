"""Text is read and written as UTF-8 on every system: no call leaves the encoding to Windows."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for room in ("dsel", "tools") for path in (ROOT / room).rglob("*.py"))
MODE = re.compile(r"[rwax][+t]*")  # of a text file; a mode with b has no encoding


def unnamed(text: str) -> Iterator[int]:
    """Yield the line of every call that opens, reads or writes text and names no encoding."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        keywords = {entry.arg: entry.value for entry in node.keywords}
        if "encoding" not in keywords and _is_text(node, keywords):
            yield node.lineno


def _is_text(node: ast.Call, keywords: dict) -> bool:
    method = isinstance(node.func, ast.Attribute)
    name = node.func.attr if method else getattr(node.func, "id", "")
    if name == "open":
        place = 0 if method else 1  # path.open(mode), open(path, mode)
        mode = keywords.get("mode") or (node.args[place] if len(node.args) > place else None)
        if mode is None:
            return not method or not node.args
        return isinstance(mode, ast.Constant) and bool(MODE.fullmatch(str(mode.value)))
    if name == "read_text":
        return method and not node.args
    if name == "write_text":  # ours, with a path and a text, writes UTF-8
        return method and len(node.args) == 1
    return name in ("run", "Popen", "check_output") and {"text", "universal_newlines"} & {*keywords}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_text_file_names_its_encoding(path):
    lines = list(unnamed(path.read_text(encoding="utf-8")))
    assert not lines, f"{path}: no encoding in lines {lines}"


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("open(p)", True),
        ("open(p, 'w')", True),
        ("open(p, 'rb')", False),
        ("open(p, encoding='utf-8')", False),
        ("p.open()", True),
        ("(a / 'b').open('a', newline='')", True),
        ("p.open('r+b')", False),
        ("av.open(p, 'w')", False),
        ("corpus.open('mini')", False),
        ("p.read_text()", True),
        ("p.read_text(encoding='utf-8')", False),
        ("p.write_text(t)", True),
        ("write_text(p, t)", False),
        ("subprocess.run(c, text=True)", True),
        ("subprocess.run(c, capture_output=True)", False),
    ],
)
def test_what_names_none_is_noticed(call, found):
    assert bool(list(unnamed(call))) == found
