"""Check that the ledger accepts dsel.losses, refuses wrong formulas, and links to right lines."""

import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dsel import losses
from dsel.teaching import ledger as book
from dsel.utils.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def entries():
    return book.ledger(cases=12)


def test_every_formula_equals_its_loops(entries):
    assert [e.key for e in entries] == list(book.KEYS)
    for e in entries:
        assert e.verdict == "equal", e
        assert 0 <= e.value_error <= book.VALUE_TOLERANCE, e
        assert 0 <= e.gradient_error <= book.GRADIENT_TOLERANCE, e
        # Two ways of computing never agree to the last bit everywhere: they are two ways
        assert e.gradient_error > 0, e


def wrong(**functions):
    """Return dsel.losses with some functions replaced."""
    return SimpleNamespace(**{**vars(losses), **functions})


WRONG = {
    "sign": ("content", {"matching_loss": lambda logits: -losses.matching_loss(logits)}),
    "sum instead of mean": (
        "identity",
        {"matching_loss": lambda z: losses.matching_loss(z) * z.shape[-1]},
    ),
    "no mean at all": (
        "content",
        {"matching_loss": lambda z: -z.log_softmax(-1).diagonal(dim1=-2, dim2=-1)},
    ),
    "columns instead of rows": ("content", {"matching_loss": lambda z: losses.matching_loss(z.mT)}),
    "match instead of uniform": ("confusion_cs", {"confusion_loss": losses.matching_loss}),
    "entropy instead of cross-entropy": (
        "confusion_sc",
        {"confusion_loss": lambda z: -(z.softmax(-1) * z.log_softmax(-1)).mean()},
    ),
    "right value, no gradient": (
        "confusion_sc",
        {"confusion_loss": lambda z: losses.confusion_loss(z).detach()},
    ),
    "right value, half the gradient": (
        "content",
        {"matching_loss": lambda z: losses.matching_loss((z + z.detach()) / 2)},
    ),
    "audio as the anchor": ("content_logits", {"content_logits": lambda v, a, sim: sim(a, v)}),
    "picked audio": (
        "identity_logits",
        {"identity_logits": lambda v, a, sim, r: sim(v[torch.arange(len(v)), r], a[:, 0])},
    ),
    "squared distance": (
        "inverse_distance",
        {"inverse_distance": lambda x, y, eps: losses.inverse_distance(x, y, eps) ** 2},
    ),
    "no floor": (
        "inverse_distance",
        {"inverse_distance": lambda x, y, eps: losses.inverse_distance(x, y, 1e-9)},
    ),
    "no b": (
        "scaled_cosine",
        {"scaled_cosine": lambda x, y, w, b: losses.scaled_cosine(x, y, w, 0 * b)},
    ),
    "a nan": ("content", {"matching_loss": lambda z: losses.matching_loss(z) * math.nan}),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_formula_is_named_different(name):
    key, functions = WRONG[name]
    (entry,) = book.ledger([key], cases=6, module=wrong(**functions))
    assert entry.verdict == "DIFFERENT"


class Forgetful(losses.DisentangledLoss):
    """Trains the scale through the confusion terms exactly where it should not."""

    def _confuse(self, similarity):
        return {"detached": similarity, "trained": losses.frozen(similarity), "fixed": self._fixed}[
            self.confusion_scale
        ]


def test_a_wrong_gradient_of_the_scale_alone_is_seen_in_the_total():
    (entry,) = book.ledger(["total"], cases=12, module=wrong(DisentangledLoss=Forgetful))
    assert entry.value_error <= book.VALUE_TOLERANCE  # nothing but the gradient gives it away
    assert entry.verdict == "DIFFERENT"


def test_cases_cover_both_similarities_all_scales_and_unequal_sizes():
    cases = [book.draw_case(0, number) for number in range(24)]
    assert {(c.similarity, c.confusion_scale) for c in cases} == {
        (s, k) for s in ("cosine", "inverse_distance") for k in ("detached", "trained", "fixed")
    }
    shapes = {c.face["content"].shape for c in cases}
    assert any(B != N for B, N, _ in shapes)
    assert any(B == 1 for B, _, _ in shapes)
    assert any(N == 1 for _, N, _ in shapes)
    np.testing.assert_array_equal(
        book.draw_case(3, 4).face["identity"], book.draw_case(3, 4).face["identity"]
    )


def test_error_is_relative_above_one_absolute_below_and_infinite_for_another_shape():
    assert book.error([100.0], [200.0]) == 0.5
    assert book.error([0.25], [0.5]) == 0.25
    assert book.error([1.0, 1.0], [1.0]) == math.inf
    assert math.isnan(book.error([math.nan], [1.0]))


def test_unknown_row_is_refused():
    with pytest.raises(BadInput, match="no row contents"):
        book.ledger(["contents"])


LINK = re.compile(r"\[`([\w.]+)`\]\(\./([\w/]+\.py)#L(\d+)\)")


def test_links_hit_the_definition_they_name(entries):
    rows = book.to_markdown(entries, root=".").splitlines()[2:]
    assert len(rows) == len(entries)
    for row in rows:
        found = LINK.findall(row)
        assert found, row
        for name, file, number in found:
            line = (ROOT / file).read_text().splitlines()[int(number) - 1]
            assert re.match(rf"\s*(def|class) {name.split('.')[-1]}\b", line), (row, line)


def test_the_table_has_as_many_cells_in_every_row(entries):
    """Refuse a | inside a formula: it would break a Markdown table."""
    assert len({row.count("|") for row in book.to_markdown(entries).splitlines()}) == 1


def test_a_link_to_nothing_is_refused():
    with pytest.raises(BadInput, match="defines no no_such_function"):
        book.line_of("dsel/losses.py", "no_such_function")
    with pytest.raises(BadInput, match=r"dsel/lost\.py"):
        book.line_of("dsel/lost.py", "matching_loss")
