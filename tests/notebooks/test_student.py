"""Check that the students' edition gives no answer away.

An answer is the Python of a folded solution, and every code cell tagged `solution` or `law`. The
students' notebooks are read for its text (line by line), for its abstract syntax (names of
variables do not count), and for a function or value that the self-check accepts.

`pytest -s -k table tests/notebooks/test_student.py` prints how much was compared.
"""

import ast
import contextlib
import copy
import json
import math
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("nbformat")
pytest.importorskip("nbconvert")

from dsel.teaching.exercises import EXERCISES
from tools import stamp, views

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
SHORT_LINE = 24  # characters; a shorter line of a solution says too little to be called a leak
SMALL_TREE = 6  # parts of an expression, likewise
LEVELS = "chance_levels"  # the one exercise whose answer is no function
ANSWER_TAGS = {"solution", "law"}


def source(cell) -> str:
    return "".join(cell["source"])


def code_of(nb) -> str:
    """Join the code cells; Colab's line of pip is no Python."""
    cells = (source(cell) for cell in nb["cells"] if cell["cell_type"] == "code")
    return "\n\n".join(text for text in cells if "google.colab" not in text)


def answers(nb) -> list[str]:
    """Return the code of every solution of a notebook, as published with solutions."""
    found = []
    for cell in nb["cells"]:
        if cell["cell_type"] == "code":
            found += [source(cell)] if ANSWER_TAGS & set(cell["metadata"].get("tags", [])) else []
        for folded in views.FOLDED_ANSWER.findall(source(cell)):
            found += re.findall(r"```python\n(.*?)```", folded, re.S)
    return found


def telling_lines(answer: str) -> list[str]:
    """Return the lines of an answer that say how it is done: no headings, no comments."""
    lines = [re.sub(r"\s+#.*$", "", line).strip() for line in answer.splitlines()]
    return [
        line
        for line in lines
        if len(line) >= SHORT_LINE
        and not re.match(r'def |class |import |from |"""|#|exercises\.|assert exercises\.', line)
    ]


class Nameless(ast.NodeTransformer):
    """Number the variables in their order, so that renaming them changes nothing."""

    def __init__(self):
        self.numbers = {}

    def number(self, name: str) -> str:
        return f"v{self.numbers.setdefault(name, len(self.numbers))}"

    def visit_Name(self, node):
        return ast.Name(self.number(node.id), ast.Load())

    def visit_arg(self, node):
        return ast.arg(self.number(node.arg))


def shape_of(node) -> str:
    """Describe a tree without the names of its variables; the names of methods stay."""
    return ast.dump(Nameless().visit(copy.deepcopy(node)))


def size(node) -> int:
    """Count the parts of an expression that say something: no operators, no contexts."""
    silent = (ast.operator, ast.unaryop, ast.cmpop, ast.boolop, ast.expr_context)
    return sum(not isinstance(part, silent) for part in ast.walk(node))


def tells(node) -> bool:
    """Say whether an expression is large enough to give something away, and no mere range."""
    counts = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "range"
    return isinstance(node, ast.expr) and size(node) >= SMALL_TREE and not counts


def expressions(code: str) -> list:
    """Return every expression of some code that tells something."""
    return [node for node in ast.walk(ast.parse(code)) if tells(node)]


def statements(code: str) -> list:
    """Return what the functions of an answer assign, add or return."""
    kinds = ast.Assign | ast.AugAssign | ast.Return
    values = (node.value for node in ast.walk(ast.parse(code)) if isinstance(node, kinds))
    return [value for value in values if value is not None and tells(value)]


def leaks_in_text(answer: str, student: str) -> list[str]:
    """Return the lines of an answer that stand in the students' edition."""
    return [line for line in telling_lines(answer) if line in student]


def leaks_in_syntax(answer: str, code: str) -> list[str]:
    """Return the values of an answer that the students' code computes, whatever its names."""
    known = {shape_of(node) for node in expressions(code)}
    return [ast.unparse(value) for value in statements(answer) if shape_of(value) in known]


def arity(arguments: ast.arguments) -> int:
    return len(arguments.args)


def candidates(code: str, exercise: str) -> list:
    """Return what the code of a page defines that could be handed to a self-check.

    Functions with as many arguments as it asks for; for the chance levels, dictionaries.
    """
    room = {"np": np, "torch": torch, "math": math, "F": torch.nn.functional}
    wanted = getattr(EXERCISES[exercise], "signature", "f(x)").count(",") + 1
    tree, made = ast.parse(code), []
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef):
            # A default that another cell computes: the function cannot be tried here.
            with contextlib.suppress(NameError):
                exec(compile(ast.Module([node], []), "cell", "exec"), room)
    for node in ast.walk(tree):
        name = getattr(node, "name", None)
        function = isinstance(node, ast.FunctionDef | ast.Lambda) and arity(node.args) == wanted
        if function and name in room:
            made.append((name, room[name]))
        elif (function and not name) or (isinstance(node, ast.Dict) and exercise == LEVELS):
            with contextlib.suppress(NameError):
                value = eval(compile(ast.Expression(node), "cell", "eval"), room)
                made.append((ast.unparse(node), value))
    return made


def accepted(code: str, exercises) -> list[str]:
    """Return what the self-checks would accept although the student wrote nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            f"{exercise}: {name}"
            for exercise in exercises
            for name, candidate in candidates(code, exercise)
            if EXERCISES[exercise](candidate)
        ]


def exercises_of(nb) -> list[str]:
    """Return the names of the self-checks that a notebook calls."""
    return sorted(set(re.findall(r"^exercises\.(\w+)\(", code_of(nb), re.M)))


def other_calls(code: str) -> list[str]:
    """Return the calls of self-checks other than the one below a stub: they try attempts."""
    calls = re.findall(r"exercises\.\w+\([^\n]*\)|\w+\.mistakes\b", code)
    return [call for call in calls if not re.fullmatch(r"exercises\.\w+\(\w+\)", call)]


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    made = views.make("student", tmp_path_factory.mktemp("student"))
    return dict(zip((path.stem for path in NOTEBOOKS), made, strict=True))


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@each_notebook
def test_no_line_of_a_solution_is_left(path, student):
    nb, text = load(path), "\n".join(map(source, load(student[path.stem])["cells"]))
    for answer in answers(nb):
        assert not leaks_in_text(answer, text)


@each_notebook
def test_no_cell_computes_what_a_solution_computes(path, student):
    nb, code = load(path), code_of(load(student[path.stem]))
    for answer in answers(nb):
        assert not leaks_in_syntax(answer, code)


@each_notebook
def test_no_function_of_the_page_passes_the_self_check(path, student):
    nb = load(student[path.stem])
    assert not accepted(code_of(nb), exercises_of(nb))


@each_notebook
def test_attempts_at_an_exercise_are_not_shown(path, student):
    """Wrong attempts differ from the solution in one word."""
    code = code_of(load(student[path.stem]))
    assert not other_calls(code)
    assert "self-check know" not in code


def test_table_of_the_students_edition(student):
    rows = ["| notebook | answers | lines | values | functions tried | self-checks | leaks |"]
    rows.append("|---|---|---|---|---|---|---|")
    for path in NOTEBOOKS:
        nb, given = load(path), load(student[path.stem])
        text, code = "\n".join(map(source, given["cells"])), code_of(given)
        found = answers(nb)
        lines = sum(len(telling_lines(answer)) for answer in found)
        values = sum(len(statements(answer)) for answer in found)
        leaks = [leak for a in found for leak in leaks_in_text(a, text) + leaks_in_syntax(a, code)]
        leaks += accepted(code, exercises_of(given))
        tried = sum(len(candidates(code, exercise)) for exercise in exercises_of(given))
        checks = len(exercises_of(given))
        row = (path.stem[:2], len(found), lines, values, tried, checks, len(leaks))
        rows.append("| " + " | ".join(map(str, row)) + " |")
    print("\n" + "\n".join(rows))
    assert len(rows) == len(NOTEBOOKS) + 2


SOLUTION = "def f(x):\n    z = x.log_softmax(dim=-1)\n    return -z.diagonal(dim1=1, dim2=2).mean()"


@pytest.mark.parametrize(
    ("leak", "finds"),
    [
        ('attempts = {"right": lambda v: -v.diagonal(dim1=1, dim2=2).mean()}', leaks_in_syntax),
        ("def right(y):\n    return -y.diagonal(dim1=1, dim2=2).mean()", leaks_in_syntax),
        ("return -z.diagonal(dim1=1, dim2=2).mean()", leaks_in_text),
        (SOLUTION, leaks_in_text),
        (SOLUTION, leaks_in_syntax),
    ],
)
def test_a_planted_leak_is_found(leak, finds):
    assert finds(SOLUTION, leak)
    assert not finds(SOLUTION, "def f(x):\n    return -x.diagonal(dim1=0, dim2=2).mean()")


def test_a_planted_answer_is_accepted():
    pages = {
        "chance_levels": 'x = {"content": math.log(16), "identity": math.log(24), '
        '"confusion_cs": math.log(24), "confusion_sc": math.log(16)}',
        "content_loss": "def by_loops(v, a, sim):\n"
        "    return -sim(v, a).log_softmax(-1).diagonal(dim1=1, dim2=2).mean()",
        "confusion_loss": "attempts = [lambda x: -x.log_softmax(-1).mean()]",
    }
    for exercise, code in pages.items():
        assert accepted(code, [exercise])
        assert not accepted("def f(x):\n    return x", [exercise])


@each_notebook
def test_the_colab_link_opens_the_students_edition(path, student):
    head = source(load(student[path.stem])["cells"][0])
    assert re.findall(r"/blob/(\w+)/(\S+?)\)", head) == [(views.STUDENT_BRANCH, path.name)]
    assert f"/blob/{stamp.BRANCH}/notebooks/" not in head
