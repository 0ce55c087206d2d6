"""The letters: the package uses the names of notebooks/README.md, and nothing has two names."""

import ast
import inspect
import re
import shutil
from pathlib import Path

import pytest

from dsel import audio, losses, model, reference

ROOT = Path(__file__).resolve().parents[2]
TABLE = re.search(
    r"## The letters\n(.*)", (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8"), re.S
).group(1)
GLOSSARY = {
    name
    for cell in re.findall(r"^\| (`.+?`) \|", TABLE, re.M)
    for name in re.findall(r"`(\w+)`", cell)
}
# The arguments of the functions of the method, as in the formulas of the notes.
SIGNATURES = {
    losses.inverse_distance: ["x", "y", "eps"],
    losses.scaled_cosine: ["x", "y", "w", "b"],
    losses.ScaledCosine: ["w", "b"],
    losses.ScaledCosine.forward: ["self", "x", "y"],
    losses.content_logits: ["face", "audio", "similarity"],
    losses.identity_logits: ["face", "audio", "similarity", "pick"],
    losses.pool: ["face", "audio", "pick"],
    losses.matching_loss: ["logits"],
    losses.confusion_loss: ["logits"],
    reference.content_logits: ["face", "audio", "similarity"],
    reference.identity_logits: ["face", "audio", "similarity", "pick", "leave_out"],
    reference.matching_loss: ["logits"],
    reference.confusion_loss: ["logits"],
    reference.inverse_distance: ["eps"],
    reference.scaled_cosine: ["w", "b"],
}
# Other names for what the glossary has a name for.
SYNONYMS = {
    "lam": {"lambda_", "lmbda", "lamb", "lmda", "beta"},
    "alpha_c": {"alphac", "alpC", "alpha_content"},
    "alpha_s": {"alphas", "alpI", "alpha_identity", "alpha_i"},
    "w": {"temperature", "temp", "logit_scale"},
    "b": {"bias", "logit_bias"},
    "eps": {"epsilon", "epsilon_"},
    "pick": {"r_i", "chosen", "index", "window_index", "ri"},
    "similarity": {"sim", "metric", "distance_fn", "sim_fn"},
    "logits": {"logit", "similarities", "sims"},
    "face": {"video", "visual", "vid", "faces_embedding"},
    "audio": {"speech_embedding", "aud", "sound_embedding", "voice_embedding"},
    "vhat": {"v_hat", "face_one", "face_hat"},
    "abar": {"a_bar", "audio_mean", "mean_audio"},
}
FORBIDDEN = {other: name for name, others in SYNONYMS.items() for other in others}
SOURCES = sorted((ROOT / "dsel").rglob("*.py"))


def functions(tree):
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def arguments(node):
    given = node.args
    return [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]


def test_the_table_is_read():
    assert {"B", "N", "D", "K", "pick", "lam", "alpha_c", "vhat", "v_c"} <= GLOSSARY


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda f: f"{f.__module__}.{f.__qualname__}")
def test_public_functions_take_the_letters_of_the_formulas(function):
    assert list(inspect.signature(function).parameters) == SIGNATURES[function]


def test_every_argument_of_the_losses_is_in_the_glossary():
    """Of losses.py and reference.py, whose arguments all stand in formulas."""
    allowed = {
        "self",
        "tracks",
        "windows",
        "generator",
        "w_max",
        "extra",
        "gather",
        "confusion_scale",
        "upstream",
    }
    allowed |= {"ramp"}  # share of lam in a step, while training raises it
    allowed |= {"within", "reversal", "intra", "leave_out", "options", "head"}  # beyond the notes
    allowed |= {
        "content_similarity",
        "identity_similarity",
    }  # l of the content task, l of the identity task
    for module in (losses, reference):
        for node in functions(ast.parse(inspect.getsource(module))):
            unknown = set(arguments(node)) - GLOSSARY - allowed
            assert not unknown, (
                f"{module.__name__}.{node.name}: {sorted(unknown)} not in notebooks/README.md"
            )


def test_defaults_of_the_total_are_named_as_in_the_formula():
    names = set(inspect.signature(losses.DisentangledLoss).parameters)
    assert {"alpha_c", "alpha_s", "lam", "similarity", "w0", "w_max"} <= names


def second_names(path):
    """Return the arguments in a file whose names the glossary forbids, as readable lines."""
    return [
        f"{node.name}({name}): the glossary calls it {FORBIDDEN[name]!r}"
        for node in functions(ast.parse(path.read_text(encoding="utf-8")))
        for name in arguments(node)
        if name in FORBIDDEN
    ]


def test_every_package_is_read():
    packages = {path.parent for path in (ROOT / "dsel").rglob("__init__.py")}
    assert {path.parent for path in SOURCES} == packages
    assert len(packages) >= 14
    assert len(SOURCES) >= 100


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_goes_by_a_second_name(path):
    assert second_names(path) == []


@pytest.mark.parametrize(
    "text",
    [
        "def loss(lambda_): ...",
        "class Loss:\n    def forward(self, x, *, temperature): ...",
        "def outer():\n    async def inner(v_hat, /): ...",
    ],
)
def test_a_second_name_in_a_sub_package_would_be_found(tmp_path, text):
    """The same search over a copy of a sub-package with one more file finds that file alone."""
    package = tmp_path / "dsel" / "toy" / "speech"
    shutil.copytree(ROOT / "dsel" / "toy" / "speech", package)
    (package / "invented.py").write_text(text, encoding="utf-8")
    files = sorted(tmp_path.rglob("*.py"))
    assert len(files) > 5
    assert [path.name for path in files if second_names(path)] == ["invented.py"]


SHAPED = (
    *(
        losses.inverse_distance,
        losses.scaled_cosine,
        losses.content_logits,
        losses.identity_logits,
        losses.pool,
    ),
    *(losses.matching_loss, losses.confusion_loss, losses.top1, audio.log_mel, audio.instance_norm),
    *(model.TwoStream.face, model.TwoStream.audio, model.face_windows),
)


@pytest.mark.parametrize("function", SHAPED, ids=lambda f: f"{f.__module__}.{f.__qualname__}")
def test_docstrings_give_shapes_in_the_glossary_letters(function):
    """The glossary or the array layout defines the letters of a shape such as (B, N, D)."""
    doc = inspect.getdoc(function)
    shapes = re.findall(r"\(((?:\.\.\.|[\w ]+)(?:, ?[\w +-]+)+)\)", doc)
    assert "->" in doc
    letters = {letter for shape in shapes for letter in re.findall(r"\b[A-Z]\b", shape)}
    assert letters, f"no shape in the docstring of {function.__qualname__}"
    # array layout: H x W pixels, C channels, S samples, M mel frames (or choices), E extra tracks
    assert letters <= GLOSSARY | set("HWCSE"), sorted(letters)


def test_the_heads_and_parts_have_one_name_each():
    import torch

    embeddings = {head: torch.randn(2, 3, 4) for head in model.HEADS}
    _, parts = losses.DisentangledLoss()(embeddings, embeddings)
    assert model.HEADS == ("content", "identity")
    assert list(parts) == ["content", "identity", "confusion_cs", "confusion_sc"]
