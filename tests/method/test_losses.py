"""dsel.losses against dsel.reference (independent loops), and against laws of its formulas."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dsel import reference
from dsel.losses import (
    DisentangledLoss,
    ScaledCosine,
    confusion_loss,
    content_logits,
    draw_pick,
    frozen,
    identity_logits,
    inverse_distance,
    matching_loss,
    pool,
    scaled_cosine,
    top1,
)

CASES = 200
sizes = st.integers(1, 12)
seeds = st.integers(0, 2**32 - 1)


def embeddings(seed, B, N, D, scale=1.0):
    rng = np.random.default_rng(seed)
    return [scale * rng.normal(size=(B, N, D)) for _ in range(2)], rng.integers(0, N, B)


def similarities(seed):
    rng = np.random.default_rng(seed)
    w, b, eps = rng.uniform(0.5, 30), rng.normal() * 5, 10 ** rng.uniform(-3, 0.5)
    module = ScaledCosine().double()
    with torch.no_grad():
        module.log_w.fill_(math.log(w))
        module.b.fill_(b)
    return {
        "cosine": (module, reference.scaled_cosine(module.w.item(), b)),
        "inverse": (lambda x, y: inverse_distance(x, y, eps), reference.inverse_distance(eps)),
    }


@pytest.mark.parametrize("which", ["cosine", "inverse"])
@pytest.mark.parametrize("case", range(CASES))
def test_value_and_gradient_equal_the_loops(case, which):
    rng = np.random.default_rng([7, case])
    B, N, D = rng.integers(1, 13), rng.integers(1, 13), rng.integers(1, 9)
    (v, a), pick = embeddings(case, B, N, D, scale=10 ** rng.uniform(-1, 1))
    ours, oracle = similarities(case)[which]
    face, audio = (torch.tensor(x, requires_grad=True) for x in (v, a))
    index = torch.tensor(pick)

    for target, loops, loops_gradient in (
        (matching_loss, reference.matching_loss, reference.matching_gradient),
        (confusion_loss, reference.confusion_loss, reference.confusion_gradient),
    ):
        tasks = (
            (
                content_logits(face, audio, ours),
                reference.content_logits(v, a, oracle),
                lambda up: reference.content_gradient(v, a, oracle, up),
            ),
            (
                identity_logits(face, audio, ours, index),
                reference.identity_logits(v, a, oracle, pick),
                lambda up: reference.identity_gradient(v, a, oracle, pick, up),
            ),
        )
        for logits, logits_by_hand, backward in tasks:
            torch.testing.assert_close(
                logits.detach().numpy(), logits_by_hand, rtol=1e-12, atol=1e-12
            )
            loss = target(logits)
            assert loss.item() == pytest.approx(loops(logits_by_hand), rel=1e-12, abs=1e-13)
            got = torch.autograd.grad(loss, (face, audio), retain_graph=True)
            want = backward(loops_gradient(logits_by_hand))
            for g, h in zip(got, want, strict=True):
                torch.testing.assert_close(
                    g.numpy(), h, rtol=1e-9, atol=1e-11 * max(1.0, np.abs(h).max())
                )


def test_gradients_of_the_reference_are_its_finite_differences():
    """The gradients derived by hand are those of central differences of the loops' values."""
    (v, a), pick = embeddings(3, 3, 4, 3)
    for oracle in (reference.scaled_cosine(7.0, 1.0), reference.inverse_distance(0.05)):

        def content(x, y, oracle=oracle):
            return reference.matching_loss(reference.content_logits(x, y, oracle))

        def identity(x, y, oracle=oracle):
            return reference.confusion_loss(reference.identity_logits(x, y, oracle, pick))

        up = reference.matching_gradient(reference.content_logits(v, a, oracle))
        _compare_with_differences(content, reference.content_gradient(v, a, oracle, up), v, a)
        up = reference.confusion_gradient(reference.identity_logits(v, a, oracle, pick))
        _compare_with_differences(
            identity, reference.identity_gradient(v, a, oracle, pick, up), v, a
        )


def _compare_with_differences(f, gradients, v, a, h=1e-6):
    for which, gradient in enumerate(gradients):
        for at in np.ndindex(v.shape):
            x = [v.copy(), a.copy()]
            x[which][at] += h
            up = f(*x)
            x[which][at] -= 2 * h
            assert gradient[at] == pytest.approx((up - f(*x)) / (2 * h), abs=1e-7)


@given(seed=seeds, B=sizes, N=sizes, D=st.integers(1, 8), K=sizes)
@settings(max_examples=60)
def test_laws_of_the_targets(seed, B, N, D, K):
    g = torch.Generator().manual_seed(seed)
    logits = 5 * torch.randn(B, K, K, generator=g, dtype=torch.float64)
    order = torch.randperm(K, generator=g)
    assert confusion_loss(logits) >= math.log(K) - 1e-12
    assert matching_loss(logits) >= 0
    for loss in (matching_loss, confusion_loss):
        torch.testing.assert_close(
            loss(logits + 3.7), loss(logits)
        )  # a constant drops out of the softmax
        torch.testing.assert_close(
            loss(logits[:, order][:, :, order]), loss(logits)
        )  # numbering does not matter
        torch.testing.assert_close(
            loss(logits), torch.stack([loss(m) for m in logits]).mean()
        )  # mean over matrices
        same = torch.full((B, K, K), 2.5, dtype=torch.float64, requires_grad=True)
        assert loss(same).item() == pytest.approx(math.log(K), abs=1e-14)
    torch.testing.assert_close(
        torch.autograd.grad(confusion_loss(same), same)[0],
        torch.zeros_like(same),
        atol=1e-16,
        rtol=0,
    )


def test_perfect_separation_tends_to_zero_and_one_choice_costs_nothing():
    sharp = 200 * torch.eye(6, dtype=torch.float64)
    assert matching_loss(sharp) < 1e-80
    assert (
        matching_loss(torch.randn(4, 1, 1)).item()
        == 0
        == confusion_loss(torch.randn(4, 1, 1)).item()
    )


def test_matching_is_asymmetric_in_rows_and_columns():
    """Rows are the video anchors; a loss over columns is another formula.

    Values by hand: rows [0, log 3], [0, 0].
    """
    logits = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]], dtype=torch.float64)
    assert matching_loss(logits).item() == pytest.approx((math.log(4) + math.log(2)) / 2)
    assert confusion_loss(logits).item() == pytest.approx(
        ((math.log(4) + math.log(4 / 3)) / 2 + math.log(2)) / 2
    )


def test_pairwise_shapes_and_anchor_side():
    x, y = torch.randn(4, 3, 8), torch.randn(4, 5, 8)
    for similarity in (inverse_distance, ScaledCosine()):
        logits = similarity(x, y)
        assert logits.shape == (4, 3, 5)
        torch.testing.assert_close(logits[1, 2, 4], similarity(x[1, 2:3], y[1, 4:5])[0, 0])
        assert similarity(x[0], y[0]).shape == (3, 5)
    face, audio = torch.randn(3, 4, 6), torch.randn(3, 4, 6)
    rows = content_logits(face, audio, inverse_distance)
    torch.testing.assert_close(rows[1, 2, 3], 1 / (face[1, 2] - audio[1, 3]).norm())
    pick = torch.tensor([0, 3, 1])
    cross = identity_logits(face, audio, inverse_distance, pick)
    torch.testing.assert_close(cross[2, 0], 1 / (face[2, 1] - audio[0].mean(0)).norm())
    vhat, abar = pool(face, audio, pick)
    torch.testing.assert_close(vhat[1], face[1, 3])
    torch.testing.assert_close(abar[1], audio[1].mean(0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_where_points_coincide_or_vanish(dtype):
    x = torch.ones(3, 4, dtype=dtype, requires_grad=True)
    for loss in (matching_loss, confusion_loss):
        for similarity in (inverse_distance, ScaledCosine()):
            for y in (x, torch.zeros_like(x) * x, x.detach().clone()):
                (gradient,) = torch.autograd.grad(loss(similarity(x, y)), x)
                assert torch.isfinite(gradient).all()
    zero = torch.zeros(3, 4, dtype=dtype, requires_grad=True)
    for similarity in (inverse_distance, ScaledCosine()):
        (gradient,) = torch.autograd.grad(
            matching_loss(similarity(zero, torch.eye(3, 4, dtype=dtype))), zero
        )
        assert torch.isfinite(gradient).all()


def test_inverse_distance_is_bounded_by_its_eps():
    x = torch.zeros(1, 2, dtype=torch.float64)
    assert inverse_distance(x, x, eps=0.25).item() == 4.0
    assert inverse_distance(x, x + 3.0, eps=0.25).item() == pytest.approx(1 / math.sqrt(18))
    assert inverse_distance(x, x).item() == pytest.approx(100.0)


def test_scale_stays_positive_whatever_the_optimiser_does():
    similarity = ScaledCosine(0.5)
    optimiser = torch.optim.SGD(similarity.parameters(), lr=3.0)
    x = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    for _ in range(50):  # confusion pushes w towards 0
        optimiser.zero_grad()
        confusion_loss(similarity(x, -x)).backward()
        optimiser.step()
        assert similarity.w > 0
    with pytest.raises(ValueError, match="positive"):
        ScaledCosine(-1.0)


def test_scale_starts_at_the_authors_values_and_is_clamped_in_place():
    similarity = ScaledCosine()
    assert similarity.w.item() == pytest.approx(10.0)
    assert similarity.b.item() == -5.0
    x = torch.randn(2, 3)
    torch.testing.assert_close(
        similarity(x, x), 10 * torch.cosine_similarity(x[:, None], x[None], dim=-1) - 5
    )
    with torch.no_grad():
        similarity.log_w.fill_(math.log(300))
    similarity.limit_(20)
    assert similarity.w.item() == pytest.approx(20.0)
    similarity.limit_(50)
    assert similarity.w.item() == pytest.approx(20.0)  # a bound, not a target


def test_frozen_similarity_trains_the_embeddings_and_not_the_scale():
    similarity = ScaledCosine()
    x, y = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)
    confusion_loss(frozen(similarity)(x, y)).backward()
    assert x.grad.abs().sum() > 0
    assert similarity.log_w.grad is None
    assert similarity.b.grad is None
    torch.testing.assert_close(frozen(similarity)(x, y), similarity(x, y))
    assert frozen(inverse_distance) is inverse_distance


def batch(seed=0, B=4, N=5, D=3):
    rng = np.random.default_rng(seed)
    face, audio = (
        {head: rng.normal(size=(B, N, D)) for head in ("content", "identity")} for _ in range(2)
    )
    return face, audio, rng.integers(0, N, B)


def as_tensors(arrays):
    return {head: torch.tensor(x, requires_grad=True) for head, x in arrays.items()}


@pytest.mark.parametrize("similarity", ["cosine", "inverse_distance"])
@pytest.mark.parametrize("confusion_scale", ["detached", "trained", "fixed"])
def test_total_is_the_weighted_sum_of_the_formulas(similarity, confusion_scale):
    face, audio, pick = batch()
    loss = DisentangledLoss(
        0.7, 1.3, 0.4, similarity=similarity, confusion_scale=confusion_scale
    ).double()
    if similarity == "cosine":
        with torch.no_grad():  # the two scales differ, so that a mix-up shows
            loss.content_similarity.log_w.fill_(math.log(6.0))
            loss.identity_similarity.log_w.fill_(math.log(14.0))
        main = [reference.scaled_cosine(6.0, 0.0), reference.scaled_cosine(14.0, 0.0)]
        seen = [reference.scaled_cosine(10.0, 0.0)] * 2 if confusion_scale == "fixed" else main
    else:
        main = seen = [reference.inverse_distance()] * 2
    total, parts = loss(as_tensors(face), as_tensors(audio), torch.tensor(pick))
    _, want = reference.disentangled_loss(face, audio, pick, *main)
    _, confusion = reference.disentangled_loss(face, audio, pick, *seen)
    want |= {name: confusion[name] for name in ("confusion_cs", "confusion_sc")}
    assert parts.keys() == want.keys()
    for name in want:
        assert parts[name].item() == pytest.approx(want[name], rel=1e-7), (
            name
        )  # w0 = 10 is stored in float32
    by_hand = (
        0.7 * want["content"]
        + 1.3 * want["identity"]
        + 0.4 * (want["confusion_cs"] + want["confusion_sc"])
    )
    assert total.item() == pytest.approx(by_hand, rel=1e-7)


@pytest.mark.parametrize(
    ("scale", "moves"), [("detached", False), ("trained", True), ("fixed", False)]
)
def test_which_terms_train_the_scale(scale, moves):
    face, audio, pick = batch()
    loss = DisentangledLoss(0, 0, 1, confusion_scale=scale).double()
    total, _ = loss(as_tensors(face), as_tensors(audio), torch.tensor(pick))
    total.backward()
    for similarity in (loss.content_similarity, loss.identity_similarity):
        gradient = similarity.log_w.grad
        assert (gradient is not None and gradient.abs().item() > 1e-6) is moves


@pytest.mark.parametrize(
    ("weights", "trained"), [((1, 0, 0), "content_similarity"), ((0, 1, 0), "identity_similarity")]
)
def test_each_matching_loss_trains_its_own_scale(weights, trained):
    face, audio, pick = batch()
    loss = DisentangledLoss(*weights).double()
    loss(as_tensors(face), as_tensors(audio), torch.tensor(pick))[0].backward()
    for name in ("content_similarity", "identity_similarity"):
        gradient = getattr(loss, name).log_w.grad
        assert (gradient is not None and gradient.abs().item() > 1e-6) is (name == trained), name


def test_gather_widens_both_identity_tasks_and_no_content_task():
    face, audio, pick = batch()
    loss, arguments = (
        DisentangledLoss().double(),
        (as_tensors(face), as_tensors(audio), torch.tensor(pick)),
    )
    _, alone = loss(*arguments)
    _, twice = loss(
        *arguments, gather=lambda x: torch.cat([x, -x])
    )  # a second process that saw the opposite
    for name in ("identity", "confusion_cs"):
        assert abs(twice[name] - alone[name]) > 1e-3, name
    for name in ("content", "confusion_sc"):
        torch.testing.assert_close(twice[name], alone[name])


@pytest.mark.parametrize(
    ("weights", "trained"),
    [((1, 0, 0), {"content"}), ((0, 1, 0), {"identity"}), ((0, 0, 1), {"content", "identity"})],
)
def test_each_term_trains_its_heads(weights, trained):
    face, audio, pick = (as_tensors(x) if isinstance(x, dict) else torch.tensor(x) for x in batch())
    DisentangledLoss(*weights).double()(face, audio, pick)[0].backward()
    for stream in (face, audio):
        assert {
            head for head, e in stream.items() if e.grad is not None and e.grad.abs().sum() > 1e-9
        } == trained


def test_extra_tracks_are_further_negatives_of_the_identity_loss_alone():
    face, audio, pick = batch(B=3)
    more_face, more_audio, more_pick = batch(seed=9, B=2)
    loss = DisentangledLoss().double()
    extra = pool(
        torch.tensor(more_face["identity"]),
        torch.tensor(more_audio["identity"]),
        torch.tensor(more_pick),
    )
    _, parts = loss(as_tensors(face), as_tensors(audio), torch.tensor(pick), extra=extra)
    _, alone = loss(as_tensors(face), as_tensors(audio), torch.tensor(pick))
    together = identity_logits(
        torch.tensor(np.concatenate([face["identity"], more_face["identity"]])),
        torch.tensor(np.concatenate([audio["identity"], more_audio["identity"]])),
        loss.identity_similarity,
        torch.tensor(np.concatenate([pick, more_pick])),
    )
    torch.testing.assert_close(parts["identity"], matching_loss(together))
    assert parts["identity"] > alone["identity"]
    for name in ("content", "confusion_cs", "confusion_sc"):
        torch.testing.assert_close(parts[name], alone[name])


def test_ramp_scales_the_confusion_terms_alone():
    face, audio, pick = batch()
    face, audio, pick = as_tensors(face), as_tensors(audio), torch.tensor(pick)
    loss = DisentangledLoss(alpha_c=0.7, alpha_s=1.3, lam=3.0).double()
    for ramp in (0.0, 0.25, 1.0):
        total, parts = loss(face, audio, pick, ramp=ramp)
        confusion = parts["confusion_cs"] + parts["confusion_sc"]
        matching = 0.7 * parts["content"] + 1.3 * parts["identity"]
        torch.testing.assert_close(total, matching + 3.0 * ramp * confusion)
    assert torch.equal(total, loss(face, audio, pick)[0])  # by default all of lam counts


def test_limit_keeps_both_scales_in_bounds_and_none_means_none():
    for w_max, kept in ((20.0, 20.0), (None, 100.0)):
        loss = DisentangledLoss(w_max=w_max)
        with torch.no_grad():
            for similarity in (loss.content_similarity, loss.identity_similarity):
                similarity.log_w.fill_(math.log(100.0))
        loss.limit_()
        assert loss.scales() == pytest.approx({"w_content": kept, "w_identity": kept}, rel=1e-5)
    assert DisentangledLoss(similarity="inverse_distance").scales() == {}


@pytest.mark.parametrize(
    "wrong", [{"similarity": "dot"}, {"confusion_scale": "free"}, {"lam": -1}, {"lamda": 1}]
)
def test_wrong_options_are_refused(wrong):
    with pytest.raises((ValueError, TypeError)):
        DisentangledLoss(**wrong)


def test_defaults_are_the_method():
    loss = DisentangledLoss()
    assert (loss.alpha_c, loss.alpha_s, loss.lam, loss.confusion_scale, loss.w_max) == (
        1,
        1,
        1,
        "detached",
        20,
    )


def test_pick_is_one_uniform_window_a_track():
    pick = draw_pick(6000, 3, torch.Generator().manual_seed(1))
    assert pick.shape == (6000,)
    counts = torch.bincount(pick, minlength=3)
    assert len(counts) == 3
    assert (counts - 2000).abs().max() < 5 * math.sqrt(6000 * 2 / 9)
    assert torch.equal(
        pick, draw_pick(6000, 3, torch.Generator().manual_seed(1))
    )  # the generator decides, nothing else
    face, audio, _ = batch()
    DisentangledLoss().double()(as_tensors(face), as_tensors(audio))  # draws its own


def test_top1_counts_rows_and_shares_ties():
    logits = torch.tensor([[[3.0, 1, 1], [5, 2, 1], [0, 0, 0]]])
    assert top1(logits).item() == pytest.approx((1 + 0 + 1 / 3) / 3)
    assert top1(torch.zeros(2, 5, 5)).item() == pytest.approx(1 / 5)


def test_scaled_cosine_ignores_length_and_not_direction():
    x, y = torch.randn(3, 5, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64)
    torch.testing.assert_close(
        scaled_cosine(7 * x, 0.1 * y, 2.0, 1.0), scaled_cosine(x, y, 2.0, 1.0)
    )
    torch.testing.assert_close(scaled_cosine(-x, y, 2.0, 0.0), -scaled_cosine(x, y, 2.0, 0.0))
