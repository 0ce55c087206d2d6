"""The equation ledger: compare every formula of the method with its loops, in value and gradient.

    from dsel.teaching.ledger import ledger, to_markdown
    print(to_markdown(ledger()))

Notebooks 03 to 05, docs/equations.md and the tests show the same table. (Source: ours.)
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from dsel import losses, reference
from dsel.model import HEADS
from dsel.utils.errors import BadInput
from dsel.utils.markdown import table

__all__ = [
    "FORMULAS",
    "GRADIENT_TOLERANCE",
    "KEYS",
    "VALUE_TOLERANCE",
    "Case",
    "Entry",
    "Formula",
    "draw_case",
    "error",
    "ledger",
    "line_of",
    "link",
    "to_markdown",
]

ROOT = Path(__file__).resolve().parents[2]
# Relative to max(1, largest number); a few hundred additions in float64 lose no more.
VALUE_TOLERANCE = 1e-12
GRADIENT_TOLERANCE = 1e-10


@dataclass(frozen=True)
class Entry:
    """One row of the ledger: a formula, its function, its loops, and how far the two differ."""

    key: str
    equation: str  # LaTeX, in the letters of dsel.losses
    function: str  # in dsel/losses.py
    oracle: str  # the loops, in dsel/reference.py
    cases: int
    value_error: float  # max |ours - loops| / max(1, max |loops|), over all cases
    gradient_error: float  # the same over all gradients

    @property
    def equal(self) -> bool:
        """Say whether both errors are within the tolerance; a nan never is."""
        values, gradients = VALUE_TOLERANCE, GRADIENT_TOLERANCE
        return self.value_error <= values and self.gradient_error <= gradients

    @property
    def verdict(self) -> str:
        """Say it in a word."""
        return "equal" if self.equal else "DIFFERENT"


def error(ours, loops) -> float:
    """Compute max |ours - loops| / max(1, max |loops|); infinite if the shapes differ."""
    ours = ours.detach() if isinstance(ours, torch.Tensor) else ours
    ours, loops = np.asarray(ours, np.float64), np.asarray(loops, np.float64)
    if ours.shape != loops.shape:
        return math.inf
    return float(np.abs(ours - loops).max() / max(1.0, np.abs(loops).max()))


# --- Random batches -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One random batch: embeddings by stream and head, picks, scales and settings of the loss."""

    face: dict  # {"content": (B, N, D), "identity": (B, N, D)}
    audio: dict
    pick: np.ndarray  # r (B,)
    w_content: float
    w_identity: float
    b: float
    eps: float
    weights: tuple  # (alpha_c, alpha_s, lam)
    similarity: str
    confusion_scale: str  # which scale enters the confusion terms


def draw_case(seed: int, number: int) -> Case:
    """Draw batch `number` of a seed.

    B, N and D are 1 to 6, the embeddings of any size. Both similarities and all three ways to scale
    the confusion terms come in turn.
    """
    rng = np.random.default_rng([seed, number])
    B, N, D = rng.integers(1, 7, 3)
    size = 10 ** rng.uniform(-0.5, 0.5)
    face, audio = ({head: size * rng.normal(size=(B, N, D)) for head in HEADS} for _ in range(2))
    w_content, w_identity = rng.uniform(1, 20, 2)
    return Case(
        face,
        audio,
        rng.integers(0, N, B),
        w_content,
        w_identity,
        rng.normal() * 5,
        10 ** rng.uniform(-2, 0),
        tuple(rng.uniform(0.2, 2, 3)),
        ("cosine", "inverse_distance")[number % 2],
        ("detached", "trained", "fixed")[number // 2 % 3],
    )


def _scaled_cosine(module, w: float, b: float):
    """Return the learnt similarity of a module, in float64, at given w and b."""
    similarity = module.ScaledCosine().double()
    with torch.no_grad():
        similarity.log_w.fill_(math.log(w))
        similarity.b.fill_(b)
    return similarity


def _similarities(case: Case, module, w: float):
    """Return the case's similarity twice: that of the module, and that of the loops."""
    if case.similarity == "cosine":
        return _scaled_cosine(module, w, case.b), reference.scaled_cosine(w, case.b)
    return partial(module.inverse_distance, eps=case.eps), reference.inverse_distance(case.eps)


def _tensors(embeddings: dict) -> dict:
    """Turn the embeddings of both heads into tensors that collect gradients."""
    return {head: torch.tensor(e, requires_grad=True) for head, e in embeddings.items()}


# --- Gradients ------------------------------------------------------------------------------------


def _gradients(value: torch.Tensor, *leaves: torch.Tensor) -> list[np.ndarray]:
    """Compute d value / d leaf for each leaf; zeros where the value does not depend on it."""
    if not value.requires_grad:
        return [np.zeros(x.shape) for x in leaves]
    gradients = torch.autograd.grad(value, leaves, allow_unused=True)
    pairs = zip(gradients, leaves, strict=True)
    return [np.zeros(x.shape) if g is None else g.numpy() for g, x in pairs]


def _worst(pairs) -> float:
    """Return the largest error of some pairs (ours, loops); nan if any is nan."""
    errors = [error(ours, loops) for ours, loops in pairs]
    return math.nan if any(math.isnan(e) for e in errors) else max(errors)


def _task(case: Case, head: str, task: str, oracle):
    """Return the logits of a task by loops, and the function that takes a gradient back through it.

    Args:
        case: the batch.
        head: whose embeddings are used.
        task: "content" or "identity".
        oracle: the similarity as loops.
    """
    v, a = case.face[head], case.audio[head]
    if task == "content":
        backward = partial(reference.content_gradient, v, a, oracle)
        return reference.content_logits(v, a, oracle), backward
    backward = partial(reference.identity_gradient, v, a, oracle, case.pick)
    return reference.identity_logits(v, a, oracle, case.pick), backward


# --- The checks: each returns the errors in value and in gradient ---------------------------------


def _check_similarity(case: Case, module, which: str) -> tuple[float, float]:
    """Check a similarity on all pairs of two sets of vectors.

    The gradient is that of sum U l with random U, with respect to the vectors and to w and b.
    """
    face, audio = case.face["content"], case.audio["content"]
    x, y = (torch.tensor(z, requires_grad=True) for z in (face, audio))
    upstream = np.random.default_rng(len(x)).normal(size=(len(x), x.shape[1], x.shape[1]))
    if which == "inverse_distance":
        oracle, leaves = reference.inverse_distance(case.eps), [x, y]
        logits = module.inverse_distance(x, y, eps=case.eps)
    else:
        oracle = reference.scaled_cosine(case.w_content, case.b)
        scales = (case.w_content, case.b)
        w, b = (torch.tensor(z, dtype=torch.float64, requires_grad=True) for z in scales)
        leaves, logits = [x, y, w, b], module.scaled_cosine(x, y, w, b)
    loops = reference.content_logits(face, audio, oracle)
    by_hand = list(reference.content_gradient(face, audio, oracle, upstream))
    if which == "scaled_cosine":  # dl/dw = cos = (l - b) / w, dl/db = 1
        by_hand += [(upstream * (loops - case.b) / case.w_content).sum(), upstream.sum()]
    if logits.shape != loops.shape:
        return math.inf, math.inf
    ours = _gradients((torch.tensor(upstream) * logits).sum(), *leaves)
    return error(logits, loops), _worst(zip(ours, by_hand, strict=True))


def _check_term(case: Case, module, head: str, task: str, target: str | None):
    """Check one term of the table tasks x targets.

    Args:
        case: the batch.
        module: where the functions are taken from.
        head: whose embeddings are used.
        task: "content" or "identity".
        target: "matching" or "confusion"; None: only the logits, with a random gradient from above.
    """
    w = case.w_content if task == "content" else case.w_identity
    similarity, oracle = _similarities(case, module, w)
    v, a = _tensors(case.face), _tensors(case.audio)
    if task == "content":
        logits = module.content_logits(v[head], a[head], similarity)
    else:
        pick = torch.tensor(case.pick)
        logits = module.identity_logits(v[head], a[head], similarity, pick)
    loops, backward = _task(case, head, task, oracle)
    if logits.shape != loops.shape:
        return math.inf, math.inf
    if target is None:
        upstream = np.random.default_rng(logits.numel()).normal(size=loops.shape)
        value, by_loops, scalar = logits, loops, (torch.tensor(upstream) * logits).sum()
    else:
        value = scalar = getattr(module, f"{target}_loss")(logits)
        by_loops = getattr(reference, f"{target}_loss")(loops)
        upstream = getattr(reference, f"{target}_gradient")(loops)
    if scalar.shape != ():
        return math.inf, math.inf
    ours = _gradients(scalar, v[head], a[head])
    return error(value, by_loops), _worst(zip(ours, backward(upstream), strict=True))


def _check_total(case: Case, module) -> tuple[float, float]:
    """Check the weighted sum: the total and its parts.

    The gradients are those in all four embeddings and, for the cosine, in both scales.
    """
    alpha_c, alpha_s, lam = case.weights
    options = {"similarity": case.similarity, "confusion_scale": case.confusion_scale, "w0": 10.0}
    loss = module.DisentangledLoss(alpha_c, alpha_s, lam, **options).double()
    learnt = case.similarity == "cosine"
    w = (case.w_content, case.w_identity) if learnt else (None, None)
    oracles = [
        reference.scaled_cosine(x, -5.0) if learnt else reference.inverse_distance() for x in w
    ]
    scales = []
    if learnt:
        similarities = [_scaled_cosine(module, x, -5.0) for x in w]
        loss.content_similarity, loss.identity_similarity = similarities
        scales = [similarity.log_w for similarity in similarities]
    fixed = learnt and case.confusion_scale == "fixed"
    confusing = [reference.scaled_cosine(10.0, 0.0)] * 2 if fixed else oracles
    v, a = _tensors(case.face), _tensors(case.audio)
    total, parts = loss(v, a, torch.tensor(case.pick))

    trained = case.confusion_scale == "trained"
    terms = (  # name, head, task, target, weight, similarities, does it train the scale?
        ("content", "content", 0, "matching", alpha_c, oracles, True),
        ("identity", "identity", 1, "matching", alpha_s, oracles, True),
        ("confusion_cs", "content", 1, "confusion", lam, confusing, trained),
        ("confusion_sc", "identity", 0, "confusion", lam, confusing, trained),
    )
    by_loops, by_name, d_w = 0.0, {}, [0.0, 0.0]
    d_face, d_audio = (
        {head: np.zeros_like(e) for head, e in embeddings.items()}
        for embeddings in (case.face, case.audio)
    )
    for name, head, task, target, weight, similarity, trains in terms:
        logits, backward = _task(case, head, HEADS[task], similarity[task])
        by_name[name] = getattr(reference, f"{target}_loss")(logits)
        upstream = weight * getattr(reference, f"{target}_gradient")(logits)
        for total_gradient, gradient in zip((d_face, d_audio), backward(upstream), strict=True):
            total_gradient[head] += gradient
        if trains and learnt:  # dl/dlog w = w cos = l - b, and b = -5
            d_w[task] += (upstream * (logits + 5.0)).sum()
        by_loops += weight * by_name[name]
    ours = _gradients(total, *(v[h] for h in HEADS), *(a[h] for h in HEADS), *scales)
    by_hand = [*(d_face[h] for h in HEADS), *(d_audio[h] for h in HEADS), *(d_w if learnt else [])]
    values = [(total, by_loops), *((parts[name], by_name[name]) for name in by_name)]
    return _worst(values), _worst(zip(ours, by_hand, strict=True))


def _check_within(case: Case, module) -> tuple[float, float]:
    """Check the confusion within the audio stream.

    It compares windows, so a track of one window is given a second one.
    """
    audio = {
        head: e if e.shape[1] > 1 else np.concatenate([e, case.face[head]], axis=1)
        for head, e in case.audio.items()
    }
    w = (case.w_content, case.w_identity)
    similarities = [_similarities(case, module, x) for x in w]
    ours, oracles = zip(*similarities, strict=True)
    x = _tensors(audio)
    value = module.within_loss(x["content"], x["identity"], *ours)
    arguments = (audio["content"], audio["identity"], *oracles)
    gradients = _gradients(value, x["content"], x["identity"])
    by_hand = reference.within_gradient(*arguments)
    difference = error(value, reference.within_loss(*arguments))
    return difference, _worst(zip(gradients, by_hand, strict=True))


# --- The table ------------------------------------------------------------------------------------


class Formula(NamedTuple):
    """A formula of the ledger: its names, and the check that compares it with its loops."""

    key: str
    equation: str  # LaTeX
    function: str  # in dsel/losses.py
    oracle: str  # in dsel/reference.py
    check: Callable  # (case, module) -> errors in value and in gradient


def _similarity(key: str, equation: str) -> Formula:
    """Describe the row of a similarity."""
    return Formula(key, equation, key, key, partial(_check_similarity, which=key))


def _logits(task: str, equation: str) -> Formula:
    """Describe the row of a task's logits."""
    key = f"{task}_logits"
    check = partial(_check_term, head=task, task=task, target=None)
    return Formula(key, equation, key, key, check)


def _term(key: str, equation: str, *, head: str, task: str, target: str) -> Formula:
    """Describe the row of a term of the loss."""
    function = f"{target}_loss"
    check = partial(_check_term, head=head, task=task, target=target)
    return Formula(key, equation, function, function, check)


FORMULAS = (
    _similarity(
        "inverse_distance",
        r"l(x, y) = 1 / \max(\lVert x - y \rVert_2, \varepsilon)",
    ),
    _similarity("scaled_cosine", r"l(x, y) = w \cos(x, y) + b"),
    _logits("content", r"l(v_{i,t}, a_{i,\tau})"),
    _logits("identity", r"l(v_{i,r_i}, \frac{1}{N} \sum_\tau a_{j,\tau})"),
    _term(
        "content",
        r"L_{content} = -\frac{1}{BN} \sum_i \sum_t \log p^c_i(t \mid t)",
        head="content",
        task="content",
        target="matching",
    ),
    _term(
        "identity",
        r"L_{identity} = -\frac{1}{B} \sum_i \log p^s(i \mid i)",
        head="identity",
        task="identity",
        target="matching",
    ),
    _term(
        "confusion_cs",
        r"L_{c \to s} = -\frac{1}{B} \sum_i \frac{1}{B} \sum_j \log q^{c \to s}(j \mid i)",
        head="content",
        task="identity",
        target="confusion",
    ),
    _term(
        "confusion_sc",
        r"L_{s \to c} = -\frac{1}{BN} \sum_i \sum_t \frac{1}{N} \sum_\tau"
        r" \log q^{s \to c}_i(\tau \mid t)",
        head="identity",
        task="content",
        target="confusion",
    ),
    Formula(
        "total",
        r"L = \alpha_c L_{content} + \alpha_s L_{identity} + \lambda (L_{c \to s} + L_{s \to c})",
        "DisentangledLoss",
        "disentangled_loss",
        _check_total,
    ),
    Formula(
        "within",
        r"L_{within} = -\frac{1}{B^2} \sum_{i,j} \log q(\bar k^c_j \mid \bar h^c_i)"
        r" - \frac{1}{BN} \sum_{i,t} \frac{1}{N-1} \sum_{\tau \neq t}"
        r" \log q(a^s_{i,\tau} \mid a^s_{i,t})",
        "within_loss",
        "within_loss",
        _check_within,
    ),
)
KEYS = tuple(formula.key for formula in FORMULAS)


def ledger(only=KEYS, *, cases: int = 24, seed: int = 0, module=losses) -> list[Entry]:
    """Run formulas and their loops on the same random batches, in float64, and compare them.

    The gradients of the loops were derived by hand; `tests/method/test_losses.py` checks those by
    finite differences. (Source: ours.)

    Args:
        only: the keys of the rows (`KEYS`), in this order.
        cases: random batches per row, see `draw_case`.
        seed: of the batches.
        module: where the functions are taken from: `dsel.losses`, or something with the same names
            (a wrong one, in tests).
    Raises:
        BadInput: an unknown key.
    """
    formulas = {formula.key: formula for formula in FORMULAS}
    unknown = [key for key in only if key not in formulas]
    if unknown:
        raise BadInput(f"ledger: no row {', '.join(unknown)}; there are {', '.join(KEYS)}")
    entries = []
    for key, equation, function, oracle, check in (formulas[key] for key in only):
        errors = np.array([check(draw_case(seed, n), module) for n in range(cases)])
        value, gradient = errors.max(axis=0).tolist()  # max keeps nan
        entries.append(Entry(key, equation, function, oracle, cases, value, gradient))
    return entries


def to_markdown(entries: list[Entry], *, root: str = "..") -> str:
    """Write the ledger as a Markdown table.

    Args:
        entries: the rows.
        root: the way from the page to the top of the repository; '..' from notebooks/.
    """
    head = ["equation", "function", "loops", "cases"]
    head += ["largest error in value", "in gradient", "verdict"]
    rows = []
    for e in entries:
        function = link("dsel/losses.py", e.function, root)
        oracle = link("dsel/reference.py", e.oracle, root)
        errors = [f"{e.value_error:.1e}", f"{e.gradient_error:.1e}"]
        rows.append([f"${e.equation}$", function, oracle, e.cases, *errors, e.verdict])
    return table(head, rows)


def line_of(file: str, name: str) -> int:
    """Find the line where a name is defined in a file of the repository.

    Args:
        file: its path from the top of the repository.
        name: 'function', 'Class' or 'Class.method'.
    Raises:
        BadInput: no such file, or no such name in it.
    """
    path = ROOT / file
    if not path.is_file():
        remedy = f"run from a checkout of the repository, or correct the link to {name}"
        raise BadInput(f"{file}: not found; {remedy}")
    body: list = ast.parse(path.read_text(encoding="utf-8")).body
    node = None
    for part in name.split("."):
        kinds = (ast.FunctionDef, ast.ClassDef)
        node = next((n for n in body if isinstance(n, kinds) and n.name == part), None)
        if node is None:
            raise BadInput(f"{file}: defines no {name}; correct the link to it")
        body = node.body
    return node.lineno


def link(file: str, name: str, root: str = "..") -> str:
    """Write a Markdown link to the line of a definition; see `line_of` and `to_markdown`.

    Where only the installed package is at hand, there is no file to link to: the bare name.
    """
    try:
        return f"[`{name}`]({root}/{file}#L{line_of(file, name)})"
    except BadInput:
        if (ROOT / file).is_file():
            raise
        return f"`{name}`"
