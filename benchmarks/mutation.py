"""Break dsel/losses.py on purpose, one line at a time, and see whether tests and notebooks fail.

    python benchmarks/mutation.py                      every mutant; writes benchmarks/mutation.md
    python benchmarks/mutation.py --only pool          those whose name contains 'pool'; prints only
    python benchmarks/mutation.py --sweep              also every small change that `sweep` makes

A mutant is one exact piece of text of losses.py and what to put there instead. Each runs in a
forked process with the broken module in place of the real one, so torch is imported once. Three
kinds:

    formula      changes what a printed formula means: the tests AND the notebooks' own asserts
                 must refuse it
    code         changes behaviour beside the formulas (defaults, refusals, helpers): the tests
                 must refuse it
    equivalent   changes nothing that can be observed, with the proof: nobody can refuse it

Exit status 1 if a mutant survives that should not. (Source: ours.)
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import importlib.util
import io
import json
import os
import re
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LOSSES = ROOT / "dsel" / "losses.py"
TESTS = ROOT / "tests" / "method" / "test_losses.py"
REPORT = Path(__file__).with_suffix(".md")
# What a losses notebook brings along; imported once, before the forks. Nothing of dsel: each fork
# imports that afresh.
WARM = (
    "torch",
    "numpy",
    "pytest",
    "hypothesis",
    "plotly.graph_objects",
    "plotly.subplots",
    "IPython.display",
    "ipywidgets",
)


class Mutant(NamedTuple):
    """`old` must occur once in losses.py, `new` takes its place; `proof` says why an equivalent one
    is.
    """

    name: str
    kind: str
    old: str
    new: str
    proof: str = ""


MEAN_OF_DIAGONAL = "return -logits.log_softmax(dim=-1).diagonal(dim1=-2, dim2=-1).mean()"
MEAN_OF_ALL = "return -logits.log_softmax(dim=-1).mean()"
INVERSE = "return 1 / distance.clamp(min=eps)"
CDIST = 'torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")'
COSINE = "return w * (x @ y.transpose(-1, -2)) + b"
POOL = "return face[rows, pick], audio.mean(dim=1)"
MATCHING = 'matching = self.alpha_c * parts["content"] + self.alpha_s * parts["identity"]'
TOTAL = "return matching + self.lam * ramp * confusion, parts"
CONTENT_TERM = "matching_loss(content_logits(v_c, a_c, self.content_similarity))"
IDENTITY_TERM = "matching_loss(self.identity_similarity(vhat, abar))"
CS_TERM = "confusion_loss(self._confuse(self.identity_similarity)(vhat_c, abar_c))"
SC_TERM = "content_logits(v_s, a_s, self._confuse(self.content_similarity))"
SC_TARGET = '"confusion_sc": confusion_loss('
NORMALIZE = "x, y = F.normalize(x, dim=-1, eps=1e-6), F.normalize(y, dim=-1, eps=1e-6)"
CONFUSION = 'confusion = parts["confusion_cs"] + parts["confusion_sc"]'
PICK = "return torch.randint(windows, (tracks,), generator=generator)"
EXTRA = "vhat, abar = torch.cat([vhat, extra[0]]), torch.cat([abar, extra[1]])"
MODES = '{"detached": frozen(similarity), "trained": similarity, "fixed": self._fixed}'
GATHER = "return (vhat, abar) if gather is None else (gather(vhat), gather(abar))"

MUTANTS = (
    # l(x, y) = 1 / max(||x - y||, eps)
    Mutant("inverse distance: sign", "formula", INVERSE, "return -1 / distance.clamp(min=eps)"),
    Mutant("inverse distance: not inverted", "formula", INVERSE, "return distance.clamp(min=eps)"),
    Mutant("inverse distance: clamp missing", "formula", INVERSE, "return 1 / distance"),
    Mutant(
        "inverse distance: clamp on the wrong side",
        "formula",
        INVERSE,
        "return 1 / distance.clamp(max=eps)",
    ),
    Mutant(
        "inverse distance: eps added, not max", "formula", INVERSE, "return 1 / (distance + eps)"
    ),
    Mutant(
        "inverse distance: root dropped",
        "formula",
        INVERSE,
        "return 1 / distance.square().clamp(min=eps)",
    ),
    Mutant("inverse distance: 1-norm", "formula", CDIST, "torch.cdist(x, y, p=1.0)"),
    Mutant("inverse distance: transposed", "formula", CDIST, CDIST.replace("x, y", "y, x")),
    Mutant(
        "inverse distance: one branch detached",
        "formula",
        CDIST,
        CDIST.replace("x, y", "x, y.detach()"),
    ),
    Mutant(
        "inverse distance: the fast, inexact cdist",
        "code",
        CDIST,
        CDIST.replace("donot_use", "use"),
    ),
    Mutant(
        "inverse distance: another default eps", "code", "eps: float = 1e-2", "eps: float = 1e-3"
    ),
    # l(x, y) = w cos(x, y) + b
    Mutant("cosine: sign", "formula", COSINE, "return -w * (x @ y.transpose(-1, -2)) + b"),
    Mutant("cosine: w dropped", "formula", COSINE, "return (x @ y.transpose(-1, -2)) + b"),
    Mutant("cosine: divided by w", "formula", COSINE, "return (x @ y.transpose(-1, -2)) / w + b"),
    Mutant("cosine: b scaled too", "formula", COSINE, "return w * ((x @ y.transpose(-1, -2)) + b)"),
    Mutant("cosine: b subtracted", "formula", COSINE, "return w * (x @ y.transpose(-1, -2)) - b"),
    Mutant("cosine: transposed", "formula", COSINE, "return w * (y @ x.transpose(-1, -2)) + b"),
    Mutant(
        "cosine: x not normalised", "formula", NORMALIZE, "y = F.normalize(y, dim=-1, eps=1e-6)"
    ),
    Mutant(
        "cosine: y not normalised", "formula", NORMALIZE, "x = F.normalize(x, dim=-1, eps=1e-6)"
    ),
    Mutant(
        "cosine: normalised along the wrong axis",
        "formula",
        NORMALIZE,
        NORMALIZE.replace("dim=-1", "dim=-2"),
    ),
    Mutant("cosine: 1-norm", "formula", NORMALIZE, NORMALIZE.replace("dim=-1", "p=1.0, dim=-1")),
    Mutant(
        "cosine: one branch detached",
        "formula",
        COSINE,
        "return w * (x @ y.detach().transpose(-1, -2)) + b",
    ),
    Mutant("scale: w is log w", "formula", "return self.log_w.exp()", "return self.log_w"),
    Mutant(
        "scale: w not trained",
        "code",
        "return self.log_w.exp()",
        "return self.log_w.detach().exp()",
    ),
    Mutant("scale: frozen w still trained", "formula", "w=self.w.detach()", "w=self.w"),
    Mutant("scale: frozen b still trained", "code", "b=self.b.detach())", "b=self.b)"),
    Mutant(
        "scale: clamp thrown away", "formula", "self.log_w.clamp_(max=", "self.log_w.clamp(max="
    ),
    Mutant(
        "scale: clamp on the wrong side", "code", "self.log_w.clamp_(max=", "self.log_w.clamp_(min="
    ),
    Mutant(
        "scale: clamp at log w = w_max", "code", "clamp_(max=math.log(w_max))", "clamp_(max=w_max)"
    ),
    Mutant(
        "scale: another start of w", "code", "w: float = 10.0, b: float", "w: float = 1.0, b: float"
    ),
    Mutant("scale: another start of b", "code", "b: float = -5.0", "b: float = 0.0"),
    Mutant("scale: negative w not refused", "code", "if w <= 0:", "if w != w:"),
    Mutant(
        "frozen: does nothing",
        "formula",
        'if hasattr(similarity, "frozen") else similarity',
        "if False else similarity",
    ),
    # content task
    Mutant(
        "content task: transposed anchor",
        "formula",
        "return similarity(face, audio)",
        "return similarity(audio, face)",
    ),
    Mutant(
        "content task: face against face",
        "formula",
        "return similarity(face, audio)",
        "return similarity(face, face)",
    ),
    Mutant(
        "content task: across tracks, not windows",
        "formula",
        "return similarity(face, audio)",
        "return similarity(face.transpose(0, 1), audio.transpose(0, 1))",
    ),
    Mutant(
        "content task: face branch detached",
        "formula",
        "return similarity(face, audio)",
        "return similarity(face.detach(), audio)",
    ),
    # identity task
    Mutant(
        "pick: one for the whole batch",
        "formula",
        PICK,
        "return torch.randint(windows, (1,)).expand(tracks)",
    ),
    Mutant(
        "pick: always the first window",
        "formula",
        PICK,
        "return torch.zeros(tracks, dtype=torch.long)",
    ),
    Mutant(
        "pick: the last window never",
        "formula",
        PICK,
        PICK.replace("windows,", "max(1, windows - 1),"),
    ),
    Mutant("pick: the generator ignored", "code", PICK, "return torch.randint(windows, (tracks,))"),
    Mutant("pool: pick ignored", "formula", POOL, "return face[:, 0], audio.mean(dim=1)"),
    Mutant(
        "pool: face averaged too", "formula", POOL, "return face.mean(dim=1), audio.mean(dim=1)"
    ),
    Mutant(
        "pool: sum over the windows", "formula", POOL, "return face[rows, pick], audio.sum(dim=1)"
    ),
    Mutant(
        "pool: mean over tracks",
        "formula",
        POOL,
        "return face[rows, pick], audio.mean(dim=0)[:1].expand(len(face), -1)",
    ),
    Mutant("pool: one audio window", "formula", POOL, "return face[rows, pick], audio[rows, pick]"),
    Mutant(
        "pool: median, not mean",
        "formula",
        POOL,
        "return face[rows, pick], audio.median(dim=1).values",
    ),
    Mutant(
        "pool: mean of directions",
        "formula",
        POOL,
        "return face[rows, pick], F.normalize(audio, dim=-1).mean(dim=1)",
    ),
    Mutant(
        "pool: modalities swapped", "formula", POOL, "return audio[rows, pick], face.mean(dim=1)"
    ),
    Mutant(
        "identity task: transposed anchor",
        "formula",
        "return similarity(vhat, abar)",
        "return similarity(abar, vhat)",
    ),
    Mutant(
        "identity task: audio detached",
        "formula",
        "return similarity(vhat, abar)",
        "return similarity(vhat, abar.detach())",
    ),
    # target: the match
    Mutant(
        "matching: sign", "formula", MEAN_OF_DIAGONAL, MEAN_OF_DIAGONAL.replace("-logits", "logits")
    ),
    Mutant(
        "matching: softmax over the anchors",
        "formula",
        MEAN_OF_DIAGONAL,
        MEAN_OF_DIAGONAL.replace("(dim=-1)", "(dim=-2)"),
    ),
    Mutant(
        "matching: softmax over the batch",
        "formula",
        MEAN_OF_DIAGONAL,
        MEAN_OF_DIAGONAL.replace("(dim=-1)", "(dim=0)"),
    ),
    Mutant(
        "matching: sum, not mean",
        "formula",
        MEAN_OF_DIAGONAL,
        MEAN_OF_DIAGONAL.replace("mean", "sum"),
    ),
    Mutant(
        "matching: divided by N once more",
        "formula",
        MEAN_OF_DIAGONAL,
        MEAN_OF_DIAGONAL + " / logits.shape[-1]",
    ),
    Mutant(
        "matching: log forgotten",
        "formula",
        MEAN_OF_DIAGONAL,
        MEAN_OF_DIAGONAL.replace("log_softmax", "softmax"),
    ),
    Mutant(
        "matching: softmax twice",
        "formula",
        MEAN_OF_DIAGONAL,
        MEAN_OF_DIAGONAL.replace("-logits", "-logits.softmax(dim=-1)"),
    ),
    Mutant(
        "matching: every pair a match",
        "formula",
        MEAN_OF_DIAGONAL,
        "return -logits.log_softmax(dim=-1).sum(-1).mean()",
    ),
    Mutant(
        "matching: the neighbour is the match",
        "formula",
        MEAN_OF_DIAGONAL,
        MEAN_OF_DIAGONAL.replace(".log_softmax", ".roll(1, -1).log_softmax"),
    ),
    Mutant(
        "matching: diagonal of the wrong axes",
        "formula",
        MEAN_OF_DIAGONAL,
        MEAN_OF_DIAGONAL.replace("dim1=-2, dim2=-1", ""),
    ),
    Mutant(
        "matching: diagonal kept out of the sum",
        "formula",
        MEAN_OF_DIAGONAL,
        (
            "return (logits.masked_fill(torch.eye(logits.shape[-1], dtype=torch.bool), "
            "-1e9).logsumexp(-1)"
            " - logits.diagonal(dim1=-2, dim2=-1)).mean()"
        ),
    ),
    # target: nothing
    Mutant("confusion: sign", "formula", MEAN_OF_ALL, MEAN_OF_ALL.replace("-logits", "logits")),
    Mutant(
        "confusion: softmax over the anchors",
        "formula",
        MEAN_OF_ALL,
        MEAN_OF_ALL.replace("(dim=-1)", "(dim=-2)"),
    ),
    Mutant(
        "confusion: sum over the choices",
        "formula",
        MEAN_OF_ALL,
        MEAN_OF_ALL.replace(".mean()", ".sum(-1).mean()"),
    ),
    Mutant(
        "confusion: sum over everything", "formula", MEAN_OF_ALL, MEAN_OF_ALL.replace("mean", "sum")
    ),
    Mutant(
        "confusion: log forgotten",
        "formula",
        MEAN_OF_ALL,
        MEAN_OF_ALL.replace("log_softmax", "softmax"),
    ),
    Mutant("confusion: target is the match", "formula", MEAN_OF_ALL, MEAN_OF_DIAGONAL),
    Mutant(
        "confusion: KL instead of cross-entropy",
        "formula",
        MEAN_OF_ALL,
        MEAN_OF_ALL + " - math.log(logits.shape[-1])",
    ),
    Mutant(
        "confusion: entropy of q instead",
        "formula",
        MEAN_OF_ALL,
        ("return (logits.softmax(-1) * logits.log_softmax(-1)).sum(-1).mean()"),
    ),
    Mutant(
        "confusion: maximise the matching loss instead",
        "formula",
        MEAN_OF_ALL,
        ("return logits.log_softmax(dim=-1).diagonal(dim1=-2, dim2=-1).mean()"),
    ),
    # the total
    Mutant(
        "total: alphas swapped",
        "formula",
        MATCHING,
        MATCHING.replace('"content"', '"_"')
        .replace('"identity"', '"content"')
        .replace('"_"', '"identity"'),
    ),
    Mutant("total: lambda dropped", "formula", TOTAL, TOTAL.replace("self.lam * ramp", "ramp")),
    Mutant("total: ramp ignored", "code", TOTAL, TOTAL.replace(" * ramp", "")),
    Mutant(
        "total: confusion subtracted", "formula", TOTAL, TOTAL.replace("+ self.lam", "- self.lam")
    ),
    Mutant(
        "total: content term dropped",
        "formula",
        MATCHING,
        MATCHING.replace('self.alpha_c * parts["content"] + ', ""),
    ),
    Mutant(
        "total: identity term dropped",
        "formula",
        MATCHING,
        MATCHING.replace(' + self.alpha_s * parts["identity"]', ""),
    ),
    Mutant("total: c->s term dropped", "formula", CONFUSION, 'confusion = parts["confusion_sc"]'),
    Mutant("total: s->c term dropped", "formula", CONFUSION, 'confusion = parts["confusion_cs"]'),
    Mutant(
        "total: confusion averaged",
        "formula",
        CONFUSION,
        CONFUSION.replace("= parts", "= 0.5 * parts").replace("+ parts", "+ 0.5 * parts"),
    ),
    Mutant(
        "total: content loss on identity vectors",
        "formula",
        CONTENT_TERM,
        CONTENT_TERM.replace("v_c, a_c", "v_s, a_s"),
    ),
    Mutant(
        "total: heads mixed in the content loss",
        "formula",
        CONTENT_TERM,
        CONTENT_TERM.replace("a_c", "a_s"),
    ),
    Mutant(
        "total: content loss frozen",
        "formula",
        CONTENT_TERM,
        CONTENT_TERM.replace("self.content_similarity", "frozen(self.content_similarity)"),
    ),
    Mutant(
        "total: identity loss on content vectors",
        "formula",
        IDENTITY_TERM,
        IDENTITY_TERM.replace("vhat, abar", "vhat_c, abar_c"),
    ),
    Mutant(
        "total: identity loss with the other scale",
        "formula",
        IDENTITY_TERM,
        IDENTITY_TERM.replace("identity_s", "content_s"),
    ),
    Mutant(
        "total: c->s confuses the wrong head",
        "formula",
        CS_TERM,
        CS_TERM.replace("vhat_c, abar_c", "vhat, abar"),
    ),
    Mutant(
        "total: c->s with the other scale",
        "formula",
        CS_TERM,
        CS_TERM.replace("identity_s", "content_s"),
    ),
    Mutant(
        "total: c->s aims at the match",
        "formula",
        CS_TERM,
        CS_TERM.replace("confusion_loss", "matching_loss"),
    ),
    Mutant(
        "total: c->s trains one side only",
        "formula",
        CS_TERM,
        CS_TERM.replace("abar_c", "abar_c.detach()"),
    ),
    Mutant(
        "total: s->c confuses the wrong head",
        "formula",
        SC_TERM,
        SC_TERM.replace("v_s, a_s", "v_c, a_c"),
    ),
    Mutant(
        "total: s->c with the other scale",
        "formula",
        SC_TERM,
        SC_TERM.replace("content_similarity", "identity_similarity"),
    ),
    Mutant(
        "total: s->c aims at the match",
        "formula",
        SC_TARGET,
        SC_TARGET.replace("confusion_loss", "matching_loss"),
    ),
    Mutant(
        "total: s->c trains no embedding",
        "formula",
        SC_TERM,
        SC_TERM.replace("v_s, a_s", "v_s.detach(), a_s.detach()"),
    ),
    Mutant(
        "total: confusion pools with another pick",
        "formula",
        "(v_c, a_c, pick, gather",
        "(v_c, a_c, 0 * pick, gather",
    ),
    Mutant(
        "total: 'detached' does not detach",
        "formula",
        MODES,
        MODES.replace("frozen(similarity)", "similarity"),
    ),
    Mutant(
        "total: 'fixed' follows w",
        "code",
        MODES,
        MODES.replace("self._fixed", "frozen(similarity)"),
    ),
    Mutant(
        "total: the clamp skips a scale",
        "formula",
        "for similarity in (self.content_similarity, self.identity_similarity):",
        "for similarity in (self.content_similarity,):",
    ),
    Mutant(
        "total: default w_max", "code", "w_max: float | None = 20.0", "w_max: float | None = 100.0"
    ),
    Mutant("total: default lambda", "code", "lam: float = 1.0", "lam: float = 0.0"),
    Mutant(
        "total: default treatment of the scale",
        "code",
        'confusion_scale: str = "detached"',
        'confusion_scale: str = "trained"',
    ),
    Mutant(
        "total: negative weights accepted",
        "code",
        "if min(alpha_c, alpha_s, lam) < 0:",
        "if False:",
    ),
    Mutant("total: extra tracks ignored", "code", EXTRA, "pass"),
    Mutant(
        "total: extra audio in the wrong order",
        "code",
        EXTRA,
        EXTRA.replace("[abar, extra[1]]", "[extra[1], abar]"),
    ),
    Mutant("total: gather ignored", "code", GATHER, "return vhat, abar"),
    Mutant("top1: smallest logit", "code", "logits.amax(", "logits.amin("),
    Mutant(
        "top1: best anchor, not best choice",
        "code",
        "logits == logits.amax(dim=-1",
        "logits == logits.amax(dim=-2",
    ),
    Mutant(
        "top1: a tie counts in full",
        "code",
        "(best.diagonal(dim1=-2, dim2=-1) / best.sum(dim=-1)).mean()",
        "best.diagonal(dim1=-2, dim2=-1).float().mean()",
    ),
    # nobody can tell
    Mutant(
        "equivalent: diagonal axes named in the other order",
        "equivalent",
        MEAN_OF_DIAGONAL,
        MEAN_OF_DIAGONAL.replace("dim1=-2, dim2=-1", "dim1=-1, dim2=-2"),
        "entry (k, k) is entry (k, k) of the transpose",
    ),
    Mutant(
        "equivalent: mean before the sign",
        "equivalent",
        MEAN_OF_ALL,
        "return -(logits.log_softmax(dim=-1).mean())",
        "the mean is linear, and floating point negation is exact",
    ),
    Mutant(
        "equivalent: softmax, the subtraction written out",
        "equivalent",
        MEAN_OF_ALL,
        "return -(logits - logits.logsumexp(dim=-1, keepdim=True)).mean()",
        "log softmax(l)_j = l_j - log sum_j' exp l_j'",
    ),
    Mutant(
        "equivalent: b = -5 in the fixed similarity",
        "equivalent",
        "partial(scaled_cosine, w=w0, b=0.0)",
        "partial(scaled_cosine, w=w0, b=-5.0)",
        "b moves every logit of a row alike and drops out of the softmax",
    ),
)


def mutated(source: str, mutant: Mutant) -> str:
    """The source with the mutant in it.

    Raises:
        ValueError: the text to replace does not occur exactly once: losses.py has moved on, and the
            mutant must follow.
    """
    if source.count(mutant.old) != 1:
        raise ValueError(
            f"mutant {mutant.name!r}: its text occurs {source.count(mutant.old)} times in "
            f"{LOSSES.name}"
        )
    return source.replace(mutant.old, mutant.new)


def sweep(source: str) -> list[tuple[str, str]]:
    """Every single small change of an expression: (name, new source). What one forgets to think of
    by hand.
    """
    tree, found = ast.parse(source), []
    for index, node in enumerate(ast.walk(tree)):
        for label, change in _changes(node):
            other = copy.deepcopy(tree)
            change(next(n for k, n in enumerate(ast.walk(other)) if k == index))
            found.append(
                (f"line {node.lineno}: {label}", ast.unparse(ast.fix_missing_locations(other)))
            )
    return found


_SWAP = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Eq: ast.NotEq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_NAMES = {
    "mean": "sum",
    "sum": "mean",
    "amax": "amin",
    "log_softmax": "softmax",
    "exp": "neg",
    "diagonal": "flatten",
}


def _changes(node):
    """(label, in-place change) for one node of the syntax tree."""
    if (
        isinstance(node, ast.BinOp)
        and type(node.op) in _SWAP
        and not isinstance(node.op, ast.BitOr)
    ):
        swap = _SWAP[type(node.op)]
        yield f"{type(node.op).__name__} -> {swap.__name__}", lambda n: setattr(n, "op", swap())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAP:
        swap_to = _SWAP[type(node.ops[0])]
        yield (
            f"{type(node.ops[0]).__name__} -> {swap_to.__name__}",
            lambda n: n.ops.__setitem__(0, swap_to()),
        )
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "minus dropped", lambda n: setattr(n, "op", ast.UAdd())
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield f"{node.value} -> {node.value + 1}", lambda n: setattr(n, "value", n.value + 1)
    if isinstance(node, ast.Attribute) and node.attr in _NAMES:
        yield f".{node.attr} -> .{_NAMES[node.attr]}", lambda n: setattr(n, "attr", _NAMES[n.attr])
    if isinstance(node, ast.IfExp):
        yield "condition turned", lambda n: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test))


def install(source: str, folder: Path) -> None:
    """Put this source in the place of dsel.losses, for everything imported from now on. It lies in
    a file, so that inspect.getsource shows it as a notebook would.
    """
    for name in [name for name in sys.modules if name.split(".")[0] in ("dsel", TESTS.stem)]:
        del sys.modules[name]
    path = folder / "losses.py"
    path.write_text(source, encoding="utf-8")
    import dsel

    spec = importlib.util.spec_from_file_location("dsel.losses", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["dsel.losses"] = dsel.losses = module
    spec.loader.exec_module(module)


def warm_up() -> None:
    """Import everything slow once, before the forks: pytest with its plugins, torch with what its
    assert_close needs.
    """
    for name in WARM:
        importlib.import_module(name)
    import pytest
    import torch

    torch.set_num_threads(1)  # a forked process cannot use its parent's threads
    torch.testing.assert_close(torch.zeros(1), torch.zeros(1))
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main([str(TESTS), "--collect-only", "-q", "-p", "no:cacheprovider"])


class FirstFailure:
    """Note the name of the first test that fails, as a plugin of pytest; '' if none does."""

    name = ""

    def pytest_runtest_logreport(self, report):
        if report.failed and not self.name:
            self.name = report.nodeid.split("::")[-1].split("[")[0]

    def pytest_collectreport(self, report):
        if report.failed:
            self.name = "import"


def run_tests(_) -> str:
    """tests/method/test_losses.py up to its first failure: what failed, or '' if nothing did."""
    import pytest
    from hypothesis import Phase, settings

    settings.register_profile(
        "quick", phases=[Phase.explicit, Phase.generate]
    )  # a failure need not be made small
    settings.load_profile("quick")

    class SeededFirst(FirstFailure):
        def pytest_collection_modifyitems(self, items):
            """A few of the seeded cases first: most mutants fall there at once. The many others
            last.
            """
            seeded = [item for item in items if item.name.startswith("test_value_and_gradient")]
            items[:] = [*seeded[:6], *(item for item in items if item not in seeded), *seeded[6:]]

    first = SeededFirst()
    quiet = ["-x", "-q", "--tb=no", "-W", "ignore", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    pytest.main([str(TESTS), *quiet], plugins=[first])
    return first.name


def without_magic(source: str) -> str:
    """Replace lines such as `%pip install ...`, which only Jupyter knows, by `pass`."""
    return re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE)


def run_notebook(path: Path) -> str:
    """All code cells of a notebook in one namespace, no kernel: 'cell 7 AssertionError' at the
    first that fails, or ''.
    """
    import IPython.display
    import plotly.io

    plotly.io.renderers.default = ""  # figures are made and not shown
    os.environ["DSEL_TIER"] = "fast"
    os.chdir(path.parent)
    show = IPython.display.display = lambda *things, **options: None
    space = {"__name__": "__main__", "display": show}
    cells = [
        cell
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]
    for number, cell in enumerate(cells, start=1):
        try:
            exec(
                compile(
                    without_magic("".join(cell["source"])),
                    f"{path.stem}, code cell {number}",
                    "exec",
                ),
                space,
            )
        except Exception as error:
            return f"cell {number} {type(error).__name__}"
    return ""


def in_fork(source: str, work, argument, seconds: float) -> str:
    """work(argument) in a forked process in which `source` is dsel.losses; its answer, 'crash' or
    'timeout' (CPU seconds).
    """
    import resource
    import signal

    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        resource.setrlimit(
            resource.RLIMIT_CPU, (int(time.process_time() + seconds),) * 2
        )  # a mutant that never ends is ended
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1), os.dup2(sink, 2)
        warnings.simplefilter("ignore")
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            try:
                install(source, Path(folder))
                answer = work(argument)
            except BaseException as error:
                answer = f"import {type(error).__name__}"
        os.write(send, answer.encode())
        os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        answer = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    ended = os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
    return answer if status == 0 else "timeout" if ended else "crash"


def losses_notebooks() -> list[Path]:
    """The notebooks that teach the losses: every one that imports dsel.losses, training and after
    left out.
    """
    return [
        path
        for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
        if path.stem[:2] in ("03", "04", "05", "11")
        and "dsel.losses" in path.read_text(encoding="utf-8")
    ]


TAUGHT_IN = {
    "inverse distance": "03",
    "cosine": "03",
    "content task": "03",
    "matching": "03",
    "pick": "04",
    "pool": "04",
    "identity task": "04",
}


def judge(source: str, notebooks: list[Path], *, every: bool) -> dict[str, str]:
    """Who refuses this source: {'tests': first failing test or '', notebook: failing cell or ''}.

    `every`: ask all notebooks. Otherwise stop at the first that refuses.
    """
    found = {"tests": in_fork(source, run_tests, None, 600)}
    for path in notebooks:
        found[path.stem] = in_fork(source, run_notebook, path, 600)
        if found[path.stem] and not every:
            break
    return found


def table(results: list[tuple[Mutant, dict[str, str]]], notebooks: list[Path]) -> str:
    """The report: totals, then one row per mutant."""
    from dsel.utils import markdown

    stems, totals = [path.stem for path in notebooks], []
    for kind in ("formula", "code", "equivalent"):
        of = [found for mutant, found in results if mutant.kind == kind]
        counts = [sum(bool(found.get(name)) for found in of) for name in ("tests", *stems)]
        anyone = sum(any(found.get(stem) for stem in stems) for found in of)
        totals.append([kind, len(of), *counts, anyone])
    head = [
        "kind",
        "mutants",
        "refused by the tests",
        *(f"refused by {stem}" for stem in stems),
        "by any notebook",
    ]
    rows = []
    for mutant, found in results:
        said = [
            found.get(name, "") or ("passes" if name in found else "-")
            for name in ("tests", *stems)
        ]
        rows.append([mutant.name, mutant.kind, *said])
    both = [
        markdown.table(head, totals),
        "",
        markdown.table(["mutant", "kind", "tests", *stems], rows),
    ]
    proofs = [
        f"- {m.name.removeprefix('equivalent: ')}: {m.proof}"
        for m, _ in results
        if m.kind == "equivalent"
    ]
    return "\n".join([*both, "", "Equivalent, with the proof:", "", *proofs, ""])


def main() -> int:
    """Run the mutants; 1 if one survives that should not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="only mutants whose name contains this")
    parser.add_argument(
        "--sweep", action="store_true", help="also every change that sweep() makes; tests only"
    )
    parser.add_argument(
        "--every", action="store_true", help="ask every notebook, also after one has refused"
    )
    parser.add_argument("--tests-only", action="store_true", help="leave the notebooks out")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.path.insert(0, str(ROOT))
    warm_up()
    source = LOSSES.read_text(encoding="utf-8")
    notebooks = [] if options.tests_only else losses_notebooks()
    began = time.perf_counter()
    clean = judge(source, notebooks, every=True)
    if any(clean.values()):
        print(f"the unbroken module is refused: {clean}")
        return 1
    results, bad = [], []
    for mutant in (m for m in MUTANTS if options.only in m.name):
        # The notebook that teaches it is asked first; what prints no formula is no business of the
        # notebooks.
        teacher = TAUGHT_IN.get(mutant.name.split(":")[0], "05")
        asked = (
            sorted(notebooks, key=lambda path: path.stem[:2] != teacher)
            if mutant.kind == "formula"
            else []
        )
        found = judge(mutated(source, mutant), asked, every=options.every)
        results.append((mutant, found))
        refused = bool(found["tests"]), any(found.get(p.stem) for p in notebooks) or not notebooks
        wanted = {"formula": (True, True), "code": (True, None), "equivalent": (False, None)}[
            mutant.kind
        ]
        wrong = any(
            want is not None and want != got for want, got in zip(wanted, refused, strict=True)
        )
        bad += [mutant.name] if wrong else []
        print("SURVIVED" if wrong else "ok      ", mutant.name, found, flush=True)
    if options.sweep:
        for name, other in sweep(source):
            test = in_fork(other, run_tests, None, 300)
            print("ok      " if test else "SURVIVED", "sweep", name, test, flush=True)
    minutes = (time.perf_counter() - began) / 60
    if not options.only and notebooks:
        head = f"# {len(results)} ways to break dsel/losses.py, and who noticed\n\n"
        head += "Made by `python benchmarks/mutation.py`.\n\n"
        REPORT.write_text(head + table(results, notebooks), encoding="utf-8")
    print(f"{len(results)} mutants in {minutes:.1f} min; {len(bad)} need attention: {bad}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
