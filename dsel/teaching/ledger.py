"""The equation ledger: compare every formula of the method with its loops, in value and gradient.

    from dsel.teaching.ledger import ledger, to_markdown
    print(to_markdown(ledger()))

The notebooks, docs/equations.md and the tests show the same table.
"""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from dsel import losses, reference
from dsel.utils.errors import BadInput
from dsel.utils.markdown import table

ROOT = Path(__file__).resolve().parents[2]
VALUE_TOLERANCE = 1e-12  # of float64, relative to max(1, largest number); a few hundred additions lose no more
GRADIENT_TOLERANCE = 1e-10
HEADS = ("content", "identity")


@dataclass(frozen=True)
class Entry:
    """One row: a formula, the function that computes it, the loops it was compared with, and how far apart they were."""

    key: str
    equation: str  # LaTeX, in the letters of dsel.losses
    function: str  # in dsel/losses.py
    oracle: str  # in dsel/reference.py
    cases: int
    value_error: float  # max |ours - loops| / max(1, max |loops|), over all cases
    gradient_error: float  # the same over all gradients

    @property
    def equal(self) -> bool:
        """Both errors within float64's reach. A nan is not equal to anything."""
        return self.value_error <= VALUE_TOLERANCE and self.gradient_error <= GRADIENT_TOLERANCE

    @property
    def verdict(self) -> str:
        return "equal" if self.equal else "DIFFERENT"


def error(ours, loops) -> float:
    """max |ours - loops| / max(1, max |loops|); infinite if the shapes differ."""
    ours = np.asarray(ours.detach() if isinstance(ours, torch.Tensor) else ours, np.float64)
    loops = np.asarray(loops, np.float64)
    if ours.shape != loops.shape:
        return math.inf
    return float(np.abs(ours - loops).max() / max(1.0, np.abs(loops).max()))


@dataclass(frozen=True)
class Case:
    """One random batch: embeddings by stream and head, picks, the two scales, and which of them enters the confusion terms."""

    face: dict  # {"content": (B, N, D), "identity": (B, N, D)}
    audio: dict
    pick: np.ndarray  # r (B,)
    w_content: float
    w_identity: float
    b: float
    eps: float
    weights: tuple  # (alpha_c, alpha_s, lam)
    similarity: str
    confusion_scale: str


def draw_case(seed: int, number: int) -> Case:
    """Case `number` of a seed: B, N, D from 1 to 6, embeddings of any size, both similarities and all three scales in turn."""
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
    """The learnt similarity, in float64, at given w and b."""
    similarity = module.ScaledCosine().double()
    with torch.no_grad():
        similarity.log_w.fill_(math.log(w))
        similarity.b.fill_(b)
    return similarity


def _tensors(embeddings: dict) -> dict:
    return {head: torch.tensor(e, requires_grad=True) for head, e in embeddings.items()}


def _gradients(value: torch.Tensor, *leaves: torch.Tensor) -> list[np.ndarray]:
    """d value / d leaf for each leaf, zeros where value does not depend on it."""
    if not value.requires_grad:
        return [np.zeros(x.shape) for x in leaves]
    found = torch.autograd.grad(value, leaves, allow_unused=True)
    return [np.zeros(x.shape) if g is None else g.numpy() for g, x in zip(found, leaves, strict=True)]


def _worst(pairs) -> float:
    errors = [error(ours, loops) for ours, loops in pairs]
    return math.nan if any(math.isnan(e) for e in errors) else max(errors)


def _check_similarity(case: Case, module, which: str) -> tuple[float, float]:
    """All pairs of two sets of vectors; the gradient of sum U l with random U, down to w and b."""
    x, y = torch.tensor(case.face["content"], requires_grad=True), torch.tensor(case.audio["content"], requires_grad=True)
    upstream = np.random.default_rng(len(x)).normal(size=(len(x), x.shape[1], x.shape[1]))
    if which == "inverse_distance":
        oracle, leaves = reference.inverse_distance(case.eps), [x, y]
        logits = module.inverse_distance(x, y, eps=case.eps)
    else:
        oracle = reference.scaled_cosine(case.w_content, case.b)
        w, b = (torch.tensor(z, dtype=torch.float64, requires_grad=True) for z in (case.w_content, case.b))
        leaves, logits = [x, y, w, b], module.scaled_cosine(x, y, w, b)
    loops = reference.content_logits(case.face["content"], case.audio["content"], oracle)
    by_hand = list(reference.content_gradient(case.face["content"], case.audio["content"], oracle, upstream))
    if which == "scaled_cosine":  # dl/dw = cos = (l - b) / w, dl/db = 1
        by_hand += [(upstream * (loops - case.b) / case.w_content).sum(), upstream.sum()]
    if logits.shape != loops.shape:
        return math.inf, math.inf
    got = _gradients((torch.tensor(upstream) * logits).sum(), *leaves)
    return error(logits, loops), _worst(zip(got, by_hand, strict=True))


def _task(case: Case, head: str, task: str, oracle):
    """A task in loops: its logits, and the chain rule through it."""
    v, a = case.face[head], case.audio[head]
    if task == "content":
        return reference.content_logits(v, a, oracle), partial(reference.content_gradient, v, a, oracle)
    return reference.identity_logits(v, a, oracle, case.pick), partial(reference.identity_gradient, v, a, oracle, case.pick)


def _similarities(case: Case, module, w: float):
    """The case's similarity twice: ours and the loops'."""
    if case.similarity == "cosine":
        return _scaled_cosine(module, w, case.b), reference.scaled_cosine(w, case.b)
    return partial(module.inverse_distance, eps=case.eps), reference.inverse_distance(case.eps)


def _check_term(case: Case, module, head: str, task: str, target: str | None) -> tuple[float, float]:
    """One cell of the table tasks x targets (target None: the logits alone, with a random gradient coming from above)."""
    similarity, oracle = _similarities(case, module, case.w_content if task == "content" else case.w_identity)
    v, a = _tensors(case.face), _tensors(case.audio)
    if task == "content":
        logits = module.content_logits(v[head], a[head], similarity)
    else:
        logits = module.identity_logits(v[head], a[head], similarity, torch.tensor(case.pick))
    loops, backward = _task(case, head, task, oracle)
    if logits.shape != loops.shape:
        return math.inf, math.inf
    if target is None:
        upstream = np.random.default_rng(logits.numel()).normal(size=loops.shape)
        value, want, scalar = logits, loops, (torch.tensor(upstream) * logits).sum()
    else:
        value = scalar = getattr(module, f"{target}_loss")(logits)
        want, upstream = getattr(reference, f"{target}_loss")(loops), getattr(reference, f"{target}_gradient")(loops)
    if scalar.shape != ():
        return math.inf, math.inf
    return error(value, want), _worst(zip(_gradients(scalar, v[head], a[head]), backward(upstream), strict=True))


def _check_total(case: Case, module) -> tuple[float, float]:
    """The weighted sum: total and parts, gradients in all four embeddings and, for the cosine, in both scales."""
    alpha_c, alpha_s, lam = case.weights
    options = {"similarity": case.similarity, "confusion_scale": case.confusion_scale, "w0": 10.0}
    loss = module.DisentangledLoss(alpha_c, alpha_s, lam, **options).double()
    learnt = case.similarity == "cosine"
    w = (case.w_content, case.w_identity) if learnt else (None, None)
    oracles = [reference.scaled_cosine(x, -5.0) if learnt else reference.inverse_distance() for x in w]
    scales = []
    if learnt:
        loss.content_similarity, loss.identity_similarity = (_scaled_cosine(module, x, -5.0) for x in w)
        scales = [loss.content_similarity.log_w, loss.identity_similarity.log_w]
    seen = [reference.scaled_cosine(10.0, 0.0)] * 2 if learnt and case.confusion_scale == "fixed" else oracles
    v, a = _tensors(case.face), _tensors(case.audio)
    total, parts = loss(v, a, torch.tensor(case.pick))

    terms = (  # name, head, task, target, weight, similarity, does it train the scale?
        ("content", "content", 0, "matching", alpha_c, oracles, True),
        ("identity", "identity", 1, "matching", alpha_s, oracles, True),
        ("confusion_cs", "content", 1, "confusion", lam, seen, case.confusion_scale == "trained"),
        ("confusion_sc", "identity", 0, "confusion", lam, seen, case.confusion_scale == "trained"),
    )
    want, by_name, d_w = 0.0, {}, [0.0, 0.0]
    d_face, d_audio = ({head: np.zeros_like(e) for head, e in case.face.items()} for _ in range(2))
    for name, head, task, target, weight, similarity, trains in terms:
        logits, backward = _task(case, head, HEADS[task], similarity[task])
        by_name[name] = getattr(reference, f"{target}_loss")(logits)
        upstream = weight * getattr(reference, f"{target}_gradient")(logits)
        for sink, gradient in zip((d_face, d_audio), backward(upstream), strict=True):
            sink[head] += gradient
        d_w[task] += (upstream * (logits + 5.0)).sum() if trains and learnt else 0.0  # dl/dlog w = w cos = l - b
        want += weight * by_name[name]
    got = _gradients(total, *(v[h] for h in HEADS), *(a[h] for h in HEADS), *scales)
    by_hand = [*(d_face[h] for h in HEADS), *(d_audio[h] for h in HEADS), *(d_w if learnt else [])]
    values = [(total, want), *((parts[name], by_name[name]) for name in by_name)]
    return _worst(values), _worst(zip(got, by_hand, strict=True))


def _check_within(case: Case, module) -> tuple[float, float]:
    """The confusion within the audio stream; a track of one window is given a second one, since it compares windows."""
    a = {head: e if e.shape[1] > 1 else np.concatenate([e, case.face[head]], axis=1) for head, e in case.audio.items()}
    (content, by_content), (identity, by_identity) = (_similarities(case, module, w) for w in (case.w_content, case.w_identity))
    x = _tensors(a)
    value = module.within_loss(x["content"], x["identity"], content, identity)
    loops = (a["content"], a["identity"], by_content, by_identity)
    got = _gradients(value, x["content"], x["identity"])
    return error(value, reference.within_loss(*loops)), _worst(zip(got, reference.within_gradient(*loops), strict=True))


# key, equation, function, oracle, the check
ROWS = (
    (
        "inverse_distance",
        r"l(x, y) = 1 / \max(\lVert x - y \rVert_2, \varepsilon)",
        "inverse_distance",
        "inverse_distance",
        lambda case, module: _check_similarity(case, module, "inverse_distance"),
    ),
    (
        "scaled_cosine",
        r"l(x, y) = w \cos(x, y) + b",
        "scaled_cosine",
        "scaled_cosine",
        lambda case, module: _check_similarity(case, module, "scaled_cosine"),
    ),
    (
        "content_logits",
        r"l(v_{i,t}, a_{i,\tau})",
        "content_logits",
        "content_logits",
        lambda case, module: _check_term(case, module, "content", "content", None),
    ),
    (
        "identity_logits",
        r"l(v_{i,r_i}, \frac{1}{N} \sum_\tau a_{j,\tau})",
        "identity_logits",
        "identity_logits",
        lambda case, module: _check_term(case, module, "identity", "identity", None),
    ),
    (
        "content",
        r"L_{content} = -\frac{1}{BN} \sum_i \sum_t \log p^c_i(t \mid t)",
        "matching_loss",
        "matching_loss",
        lambda case, module: _check_term(case, module, "content", "content", "matching"),
    ),
    (
        "identity",
        r"L_{identity} = -\frac{1}{B} \sum_i \log p^s(i \mid i)",
        "matching_loss",
        "matching_loss",
        lambda case, module: _check_term(case, module, "identity", "identity", "matching"),
    ),
    (
        "confusion_cs",
        r"L_{c \to s} = -\frac{1}{B} \sum_i \frac{1}{B} \sum_j \log q^{c \to s}(j \mid i)",
        "confusion_loss",
        "confusion_loss",
        lambda case, module: _check_term(case, module, "content", "identity", "confusion"),
    ),
    (
        "confusion_sc",
        r"L_{s \to c} = -\frac{1}{BN} \sum_i \sum_t \frac{1}{N} \sum_\tau \log q^{s \to c}_i(\tau \mid t)",
        "confusion_loss",
        "confusion_loss",
        lambda case, module: _check_term(case, module, "identity", "content", "confusion"),
    ),
    (
        "total",
        r"L = \alpha_c L_{content} + \alpha_s L_{identity} + \lambda (L_{c \to s} + L_{s \to c})",
        "DisentangledLoss",
        "disentangled_loss",
        _check_total,
    ),
    (
        "within",
        r"L_{within} = -\frac{1}{B^2} \sum_{i,j} \log q(\bar k^c_j \mid \bar h^c_i)"
        r" - \frac{1}{BN} \sum_{i,t} \frac{1}{N-1} \sum_{\tau \neq t} \log q(a^s_{i,\tau} \mid a^s_{i,t})",
        "within_loss",
        "within_loss",
        _check_within,
    ),
)
KEYS = tuple(row[0] for row in ROWS)


def ledger(only=KEYS, *, cases: int = 24, seed: int = 0, module=losses) -> list[Entry]:
    """Run every formula and its loops on the same random batches, in float64, and note how far apart they come.

    Args:
        only: which rows (`KEYS`), in this order.
        cases: how many random batches a row; each has its own B, N, D in 1..6, scales, eps and picks.
        seed: of the batches.
        module: where the functions are taken from: `dsel.losses`, or something with the same names (a wrong one, in tests).
    Raises:
        BadInput: an unknown key.
    (Source: ours. The gradients of the loops were derived by hand; `tests/method/test_losses.py` checks those by differences.)
    """
    rows = {row[0]: row for row in ROWS}
    unknown = [key for key in only if key not in rows]
    if unknown:
        raise BadInput(f"ledger: no row {', '.join(unknown)}; there are {', '.join(KEYS)}")
    entries = []
    for key, equation, function, oracle, check in (rows[key] for key in only):
        worst = np.array([check(draw_case(seed, number), module) for number in range(cases)]).max(axis=0)  # max keeps nan
        entries.append(Entry(key, equation, function, oracle, cases, float(worst[0]), float(worst[1])))
    return entries


def to_markdown(entries: list[Entry], *, root: str = "..") -> str:
    """The ledger as a Markdown table. root: how the repository's top is reached from the page ('..' from notebooks/)."""
    head = ["equation", "function", "loops", "cases", "largest error in value", "in gradient", "verdict"]
    rows = []
    for e in entries:
        places = [link("dsel/losses.py", e.function, root), link("dsel/reference.py", e.oracle, root)]
        errors = [f"{e.value_error:.1e}", f"{e.gradient_error:.1e}"]
        rows.append([f"${e.equation}$", *places, e.cases, *errors, e.verdict])
    return table(head, rows)


def line_of(file: str, name: str) -> int:
    """The line where `name` ('function', 'Class' or 'Class.method') is defined in a file of the repository.

    Raises:
        BadInput: no such file, or no such name in it.
    """
    path = ROOT / file
    if not path.is_file():
        raise BadInput(f"{file}: not found; run from a checkout of the repository, or correct the link to {name}")
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
    """A Markdown link to that line; the bare name where only the installed package is at hand."""
    try:
        return f"[`{name}`]({root}/{file}#L{line_of(file, name)})"
    except BadInput:
        if (ROOT / file).is_file():
            raise
        return f"`{name}`"
