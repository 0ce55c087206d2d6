"""The terms beyond the notes: against loops, against the laws of their formulas, and what each may and may not train."""

import math

import numpy as np
import pytest
import torch

from dsel import reference
from dsel.losses import BeyondLoss, DisentangledLoss, ScaledCosine, intra_loss, inverse_distance, others, reverse, within_loss
from dsel.train import TrainConfig, make_loss


def cosine(w):
    similarity = ScaledCosine(w).double()
    with torch.no_grad():
        similarity.log_w.fill_(math.log(w))
    return similarity


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def heads(seed, B=4, N=5, D=6):
    return {head: torch.tensor(draw([seed, k], B, N, D), requires_grad=True) for k, head in enumerate(("content", "identity"))}


@pytest.mark.parametrize("K", [2, 3, 7])
def test_others_leaves_out_the_diagonal_and_nothing_else(K):
    logits = torch.arange(2 * K * K).reshape(2, K, K)
    want = [[[logits[m, k, j].item() for j in range(K) if j != k] for k in range(K)] for m in range(2)]
    assert others(logits).tolist() == want


@pytest.mark.parametrize(("B", "N", "D"), [(1, 2, 3), (2, 5, 2), (4, 3, 6), (3, 8, 5)])
@pytest.mark.parametrize("kind", ["cosine", "inverse"])
def test_within_and_intra_equal_their_loops(B, N, D, kind):
    a_c, a_s, v_s = (draw([B, N, k], B, N, D) for k in range(3))
    if kind == "cosine":
        ours, loops = [cosine(w) for w in (7.0, 13.0)], [reference.scaled_cosine(w) for w in (7.0, 13.0)]
    else:
        ours, loops = [inverse_distance] * 2, [reference.inverse_distance()] * 2
    tensors = [torch.tensor(x) for x in (a_c, a_s, v_s)]
    assert within_loss(*tensors[:2], *ours).item() == pytest.approx(reference.within_loss(a_c, a_s, *loops), rel=1e-12)
    assert intra_loss(tensors[2], tensors[1], ours[0]).item() == pytest.approx(
        reference.intra_loss(v_s, a_s, loops[0]), rel=1e-12, abs=1e-13
    )


def differences(f, x, h=1e-6):
    """Central differences of a float function, one for each number of x."""
    found = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        for sign in (1, -1):
            y = x.copy()
            y[at] += sign * h
            found[at] += sign * f(y) / (2 * h)
    return found


def test_gradients_equal_differences_of_the_loops():
    a_c, a_s = draw(1, 2, 4, 3), draw(2, 2, 4, 3)
    loops, ours = [reference.scaled_cosine(w) for w in (7.0, 13.0)], [cosine(w) for w in (7.0, 13.0)]
    x, y = (torch.tensor(e, requires_grad=True) for e in (a_c, a_s))
    got = torch.autograd.grad(within_loss(x, y, *ours), (x, y))
    np.testing.assert_allclose(got[0], differences(lambda e: reference.within_loss(e, a_s, *loops), a_c), atol=1e-7)
    np.testing.assert_allclose(got[1], differences(lambda e: reference.within_loss(a_c, e, *loops), a_s), atol=1e-7)
    got = torch.autograd.grad(intra_loss(x, y, ours[0]), (x, y))
    np.testing.assert_allclose(got[0], differences(lambda e: reference.intra_loss(e, a_s, loops[0]), a_c), atol=1e-7)
    np.testing.assert_allclose(got[1], differences(lambda e: reference.intra_loss(a_c, e, loops[0]), a_s), atol=1e-7)


def test_within_is_least_where_nothing_can_be_told():
    B, N, D = 3, 6, 4
    same = torch.tensor(draw(0, 1, 1, D)).expand(B, N, D)
    least = math.log(B) + math.log(N - 1)
    assert within_loss(same, same, cosine(10.0), cosine(10.0)).item() == pytest.approx(least, rel=1e-12)
    assert within_loss(torch.tensor(draw(1, B, N, D)), same, cosine(10.0), cosine(10.0)) > least + 1e-3
    assert within_loss(same, torch.tensor(draw(1, B, N, D)), cosine(10.0), cosine(10.0)) > least + 1e-3


def test_reverse_keeps_the_value_and_turns_the_gradient():
    x = torch.tensor(draw(3, 4, 5), requires_grad=True)
    up = torch.tensor(draw(4, 4, 5))
    assert torch.equal(reverse(x, 0.3), x)
    (got,) = torch.autograd.grad((up * reverse(x, 0.3)).sum(), x)
    torch.testing.assert_close(got, -0.3 * up)


def test_without_weights_it_is_the_loss_of_the_notes():
    face, audio, pick = heads(0), heads(1), torch.tensor([0, 3, 1, 2])
    want, parts = DisentangledLoss().double()(face, audio, pick)
    got, same = BeyondLoss(D=6).double()(face, audio, pick)
    assert got == want
    assert same.keys() == parts.keys()
    assert [name for name, _ in BeyondLoss(D=6).named_parameters()] == [
        name for name, _ in DisentangledLoss().named_parameters()
    ]


def test_total_is_the_sum_of_its_terms_and_ramp_scales_what_disentangles():
    face, audio, pick = heads(0), heads(1), torch.tensor([0, 3, 1, 2])
    loss = BeyondLoss(within=0.5, intra=0.25, reversal=2.0, D=6).double()
    base, _ = DisentangledLoss().double()(face, audio, pick)
    for ramp in (1.0, 0.2):
        loss.ramp = ramp
        total, parts = loss(face, audio, pick)
        further = ramp * 0.5 * parts["within"] + 0.25 * parts["intra"] + parts["adversary_cs"] + parts["adversary_sc"]
        torch.testing.assert_close(total, base + further)


def test_adversaries_learn_the_other_task_and_the_embeddings_unlearn_it():
    face, audio, pick = heads(0), heads(1), torch.tensor([0, 3, 1, 2])
    torch.manual_seed(0)
    loss = BeyondLoss(reversal=0.7, D=6, alpha_c=0.0, alpha_s=0.0, lam=0.0).double()
    leaves = [e for stream in (face, audio) for e in stream.values()]
    turned = torch.autograd.grad(loss(face, audio, pick)[0], [*leaves, *loss.adversary.parameters()])
    loss.ramp = -1 / 0.7  # no reversal: the plain gradient of the adversaries' own loss
    plain = torch.autograd.grad(loss(face, audio, pick)[0], [*leaves, *loss.adversary.parameters()])
    for k, (got, want) in enumerate(zip(turned, plain, strict=True)):
        torch.testing.assert_close(got, (-0.7 if k < len(leaves) else 1.0) * want)
        assert want.abs().sum() > 1e-9 or k >= len(leaves)


def test_halves_are_compared_over_all_processes_and_windows_within_one():
    """With the other process' halves gathered, what is left of the term beside one's own windows is that of all tracks."""
    a_c, a_s, alike = torch.tensor(draw(5, 4, 5, 6)), torch.tensor(draw(6, 4, 5, 6)), cosine(9.0)
    sent = iter([a_c[2:, :2].mean(dim=1), a_c[2:, 2:].mean(dim=1)])
    mine = within_loss(a_c[:2], a_s[:2], alike, alike, gather=lambda x: torch.cat([x, next(sent)]))
    halves = within_loss(a_c, a_s, alike, alike) - _windows(a_s, alike)
    torch.testing.assert_close(mine - _windows(a_s[:2], alike), halves)


def _windows(a_s, similarity):
    """The second part of the term, by torch's own softmax over what is left."""
    keep = ~torch.eye(a_s.shape[1], dtype=bool)
    logits = similarity(a_s, a_s)[:, keep].unflatten(-1, (a_s.shape[1], -1))
    return -logits.log_softmax(dim=-1).mean()


@pytest.mark.parametrize("weight", ["within", "reversal", "intra"])
def test_a_negative_weight_is_refused(weight):
    with pytest.raises(ValueError, match="must not be negative"):
        BeyondLoss(**{weight: -0.1})


def test_training_configuration_reaches_the_loss():
    plain = TrainConfig.checked(within=0.0)
    assert type(make_loss(vars(plain), 8)) is DisentangledLoss
    assert make_loss(vars(TrainConfig.laptop()), 8).within == 1.0
    assert type(make_loss(vars(TrainConfig.paper()), 8)) is DisentangledLoss  # the notes, and no more
    loss = make_loss(vars(TrainConfig.checked(within=0.5, reversal=0.2, lam=0.3)), 8)
    assert (loss.within, loss.reversal, loss.intra, loss.lam) == (0.5, 0.2, 0.0, 0.3)
    assert loss.adversary["face_content"][1].weight.shape == (8, 8)
    before = {k: v for k, v in vars(plain).items() if k not in ("within", "reversal", "intra")}
    assert type(make_loss(before, 8)) is DisentangledLoss  # a run made before these terms were there
