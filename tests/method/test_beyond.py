"""The terms beyond the notes: against loops, against laws, and which parameters each trains."""

import math

import numpy as np
import pytest
import torch

from dsel import reference
from dsel.losses import (
    DisentangledLoss,
    ExtendedLoss,
    ScaledCosine,
    identity_logits,
    intra_loss,
    inverse_distance,
    matching_loss,
    mean_voice,
    others,
    reverse,
    within_loss,
)
from dsel.train import TrainConfig, make_loss


def cosine(w):
    similarity = ScaledCosine(w).double()
    with torch.no_grad():
        similarity.log_w.fill_(math.log(w))
    return similarity


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def heads(seed, B=4, N=5, D=6):
    return {
        head: torch.tensor(draw([seed, k], B, N, D), requires_grad=True)
        for k, head in enumerate(("content", "identity"))
    }


@pytest.mark.parametrize("K", [2, 3, 7])
def test_others_leaves_out_the_diagonal_and_nothing_else(K):
    logits = torch.arange(2 * K * K).reshape(2, K, K)
    want = [
        [[logits[m, k, j].item() for j in range(K) if j != k] for k in range(K)] for m in range(2)
    ]
    assert others(logits).tolist() == want


@pytest.mark.parametrize(("B", "N", "D"), [(1, 2, 3), (2, 5, 2), (4, 3, 6), (3, 8, 5)])
@pytest.mark.parametrize("kind", ["cosine", "inverse"])
def test_within_and_intra_equal_their_loops(B, N, D, kind):
    a_c, a_s, v_s = (draw([B, N, k], B, N, D) for k in range(3))
    if kind == "cosine":
        ours, loops = (
            [cosine(w) for w in (7.0, 13.0)],
            [reference.scaled_cosine(w) for w in (7.0, 13.0)],
        )
    else:
        ours, loops = [inverse_distance] * 2, [reference.inverse_distance()] * 2
    tensors = [torch.tensor(x) for x in (a_c, a_s, v_s)]
    assert within_loss(*tensors[:2], *ours).item() == pytest.approx(
        reference.within_loss(a_c, a_s, *loops), rel=1e-12
    )
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
    loops, ours = (
        [reference.scaled_cosine(w) for w in (7.0, 13.0)],
        [cosine(w) for w in (7.0, 13.0)],
    )
    x, y = (torch.tensor(e, requires_grad=True) for e in (a_c, a_s))
    got = torch.autograd.grad(within_loss(x, y, *ours), (x, y))
    np.testing.assert_allclose(
        got[0], differences(lambda e: reference.within_loss(e, a_s, *loops), a_c), atol=1e-7
    )
    np.testing.assert_allclose(
        got[1], differences(lambda e: reference.within_loss(a_c, e, *loops), a_s), atol=1e-7
    )
    got = torch.autograd.grad(intra_loss(x, y, ours[0]), (x, y))
    np.testing.assert_allclose(
        got[0], differences(lambda e: reference.intra_loss(e, a_s, loops[0]), a_c), atol=1e-7
    )
    np.testing.assert_allclose(
        got[1], differences(lambda e: reference.intra_loss(a_c, e, loops[0]), a_s), atol=1e-7
    )


def test_within_is_least_where_nothing_can_be_told():
    B, N, D = 3, 6, 4
    same = torch.tensor(draw(0, 1, 1, D)).expand(B, N, D)
    least = math.log(B) + math.log(N - 1)
    assert within_loss(same, same, cosine(10.0), cosine(10.0)).item() == pytest.approx(
        least, rel=1e-12
    )
    assert (
        within_loss(torch.tensor(draw(1, B, N, D)), same, cosine(10.0), cosine(10.0)) > least + 1e-3
    )
    assert (
        within_loss(same, torch.tensor(draw(1, B, N, D)), cosine(10.0), cosine(10.0)) > least + 1e-3
    )


def test_reverse_keeps_the_value_and_turns_the_gradient():
    x = torch.tensor(draw(3, 4, 5), requires_grad=True)
    up = torch.tensor(draw(4, 4, 5))
    assert torch.equal(reverse(x, 0.3), x)
    (got,) = torch.autograd.grad((up * reverse(x, 0.3)).sum(), x)
    torch.testing.assert_close(got, -0.3 * up)


def test_without_weights_it_is_the_loss_of_the_notes():
    face, audio, pick = heads(0), heads(1), torch.tensor([0, 3, 1, 2])
    want, parts = DisentangledLoss().double()(face, audio, pick)
    got, same = ExtendedLoss(D=6).double()(face, audio, pick)
    assert got == want
    assert same.keys() == parts.keys()
    assert [name for name, _ in ExtendedLoss(D=6).named_parameters()] == [
        name for name, _ in DisentangledLoss().named_parameters()
    ]


def test_total_is_the_sum_of_its_terms_and_ramp_scales_what_disentangles():
    face, audio, pick = heads(0), heads(1), torch.tensor([0, 3, 1, 2])
    loss = ExtendedLoss(within=0.5, intra=0.25, reversal=2.0, D=6).double()
    for ramp in (1.0, 0.2):
        total, parts = loss(face, audio, pick, ramp=ramp)
        base, _ = DisentangledLoss().double()(face, audio, pick, ramp=ramp)
        further = (
            ramp * 0.5 * parts["within"]
            + 0.25 * parts["intra"]
            + parts["adversary_cs"]
            + parts["adversary_sc"]
        )
        torch.testing.assert_close(total, base + further)


def test_adversaries_learn_the_other_task_and_the_embeddings_unlearn_it():
    face, audio, pick = heads(0), heads(1), torch.tensor([0, 3, 1, 2])
    torch.manual_seed(0)
    loss = ExtendedLoss(reversal=0.7, D=6, alpha_c=0.0, alpha_s=0.0, lam=0.0).double()
    leaves = [e for stream in (face, audio) for e in stream.values()]
    turned = torch.autograd.grad(
        loss(face, audio, pick)[0], [*leaves, *loss.adversary.parameters()]
    )
    no_reversal = -1 / 0.7  # the plain gradient of the adversaries' own loss
    plain = torch.autograd.grad(
        loss(face, audio, pick, ramp=no_reversal)[0], [*leaves, *loss.adversary.parameters()]
    )
    for k, (got, want) in enumerate(zip(turned, plain, strict=True)):
        torch.testing.assert_close(got, (-0.7 if k < len(leaves) else 1.0) * want)
        assert want.abs().sum() > 1e-9 or k >= len(leaves)


def test_halves_are_compared_over_all_processes_and_windows_within_one():
    """If the halves of the other process are gathered, the term over tracks is that of all tracks.

    The term over windows is that of one's own tracks.
    """
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
        ExtendedLoss(**{weight: -0.1})


def test_training_configuration_reaches_the_loss():
    plain = TrainConfig.checked(within=0.0)
    assert type(make_loss(vars(plain), 8)) is DisentangledLoss
    assert (
        type(make_loss(vars(TrainConfig.laptop()), 8)) is DisentangledLoss
    )  # the paper's four terms by default
    assert make_loss(vars(TrainConfig.laptop(within=1.0)), 8).within == 1.0
    assert (
        type(make_loss(vars(TrainConfig.paper()), 8)) is DisentangledLoss
    )  # the notes, and no more
    loss = make_loss(vars(TrainConfig.checked(within=0.5, reversal=0.2, lam=0.3)), 8)
    assert (loss.within, loss.reversal, loss.intra, loss.lam) == (0.5, 0.2, 0.0, 0.3)
    assert loss.adversary["face_content"][1].weight.shape == (8, 8)
    before = {k: v for k, v in vars(plain).items() if k not in ("within", "reversal", "intra")}
    assert (
        type(make_loss(before, 8)) is DisentangledLoss
    )  # a run made before these terms were there


# --- The mean voice without the picked moment -----------------------------------------------------


@pytest.mark.parametrize(("N", "leave_out"), [(2, 0), (10, 4), (16, 4), (9, 1)])
def test_mean_voice_leaves_out_the_windows_near_the_pick_and_no_others(N, leave_out):
    audio = torch.tensor(draw([N, leave_out], N, N, 3))  # one track for each place of the pick
    found = mean_voice(audio, torch.arange(N), leave_out)
    for r in range(N):
        taken = [tau for tau in range(N) if abs(tau - r) > leave_out]
        torch.testing.assert_close(found[r], torch.stack([audio[r, tau] for tau in taken]).mean(0))
    assert torch.equal(mean_voice(audio, torch.arange(N)), audio.mean(1))


def test_with_16_windows_7_to_11_are_left():
    one = torch.eye(16, dtype=torch.float64)[None].expand(16, 16, 16)
    left = (mean_voice(one, torch.arange(16), 4) > 0).sum(1)
    assert (left.min(), left.max()) == (7, 11)


def test_a_mean_of_too_few_windows_is_refused():
    with pytest.raises(ValueError, match="leave_out 4 needs N >= 10 windows, not 9"):
        mean_voice(torch.zeros(2, 9, 3), torch.tensor([0, 8]), 4)
    with pytest.raises(ValueError, match="leave_out must be None or at least 0, not -1"):
        ExtendedLoss(leave_out=-1)


@pytest.mark.parametrize("leave_out", [0, 1])
def test_total_and_gradient_with_the_leave_out_mean_equal_the_loops(leave_out):
    B, N, D, pick = 3, 5, 4, np.array([0, 2, 4])
    face, audio = (
        {h: draw([leave_out, s, k], B, N, D) for k, h in enumerate(("content", "identity"))}
        for s in (0, 1)
    )
    tensors = [
        {h: torch.tensor(x, requires_grad=True) for h, x in e.items()} for e in (face, audio)
    ]
    loss = ExtendedLoss(alpha_c=0.7, alpha_s=1.3, lam=0.4, leave_out=leave_out, D=D).double()
    total, parts = loss(*tensors, torch.tensor(pick))
    loops = reference.scaled_cosine(10.0, 0.0)
    want, by_name = reference.disentangled_loss(
        face, audio, pick, loops, loops, 0.7, 1.3, 0.4, leave_out
    )
    assert total.item() == pytest.approx(want, rel=1e-6)  # w0 = 10 is stored in float32
    for name, value in by_name.items():
        assert parts[name].item() == pytest.approx(value, rel=1e-6), name
    full = DisentangledLoss().double()(*tensors, torch.tensor(pick))[1]
    for name in ("identity", "confusion_cs"):
        assert abs(full[name].item() - by_name[name]) > 1e-4, name
    got = torch.autograd.grad(parts["identity"], [tensors[0]["identity"], tensors[1]["identity"]])
    up = reference.matching_gradient(
        reference.identity_logits(face["identity"], audio["identity"], loops, pick, leave_out)
    )
    want = reference.identity_gradient(
        face["identity"], audio["identity"], loops, pick, up, leave_out
    )
    for g, h in zip(got, want, strict=True):
        torch.testing.assert_close(g.numpy(), h, rtol=1e-5, atol=1e-8)
    assert got[1][0, 0].abs().max() == 0  # the picked window of track 0 has no say


def test_hand_derived_gradient_of_the_leave_out_mean_is_its_finite_difference():
    v, a, pick, loops = (
        draw(1, 3, 5, 3),
        draw(2, 3, 5, 3),
        np.array([0, 3, 4]),
        reference.scaled_cosine(7.0),
    )
    up = reference.matching_gradient(reference.identity_logits(v, a, loops, pick, 1))
    d_face, d_audio = reference.identity_gradient(v, a, loops, pick, up, 1)

    def value(x, y):
        return reference.matching_loss(reference.identity_logits(x, y, loops, pick, 1))

    np.testing.assert_allclose(d_face, differences(lambda x: value(x, a), v), atol=1e-7)
    np.testing.assert_allclose(d_audio, differences(lambda y: value(v, y), a), atol=1e-7)


def test_content_alone_solves_the_identity_task_only_with_the_full_mean():
    """Return vectors that only say which moment of which track they are.

    They say nothing about the person, and yet the match is found.
    """
    B, N = 16, 16
    moments = torch.tensor(draw(3, B, N, 64))
    pick = torch.tensor(np.random.default_rng(4).integers(0, N, B))
    similarity = cosine(20.0)
    full = matching_loss(identity_logits(moments, moments, similarity, pick))
    vhat = moments[torch.arange(B), pick]
    apart = matching_loss(similarity(vhat, mean_voice(moments, pick, 4)))
    assert full < 0.9 * math.log(B)
    assert apart > math.log(B)
