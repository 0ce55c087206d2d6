"""Check the measures of the two-factor world on known cases, and that a seed fixes a run."""

import pytest
import torch

from dsel.teaching import two_factor_world as factors


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_content_has_unit_variance_and_its_words_in_common():
    content = factors.say(torch.randn(4000, factors.FACTOR, generator=generator()), generator(1))
    assert content.shape == (4000, factors.N, factors.FACTOR)
    assert content.var().item() == pytest.approx(1.0, abs=0.05)
    assert (content[:, 0] * content[:, 1]).mean().item() == pytest.approx(0.64, abs=0.05)


def test_the_noises_of_the_two_sensors_are_independent():
    """Only the factors may tell which face belongs to which sound."""
    g = generator()
    nobody, nothing = (
        torch.zeros(2000, factors.FACTOR),
        torch.zeros(2000, factors.N, factors.FACTOR),
    )
    face, audio = (factors.sense(nobody, nothing, stream, g) for stream in factors.STREAMS)
    together = torch.corrcoef(torch.cat([face[:, 0].T, audio[:, 0].T]))[
        : factors.SENSOR, factors.SENSOR :
    ]
    assert together.abs().max() < 5 / 2000**0.5


def test_readable_is_100_for_a_copy_0_for_noise_and_for_a_constant():
    g = generator()
    y = torch.randn(400, factors.N, 8, generator=g)
    noise = torch.randn(400, factors.N, 16, generator=g)
    assert (
        factors.readable(torch.cat([noise, 3 * y @ torch.randn(8, 8, generator=g)], dim=-1), y) > 99
    )
    assert -5 < factors.readable(noise, y) < 2
    assert factors.readable(torch.ones(400, factors.N, 16), y) == pytest.approx(0.0, abs=1.0)


def test_fooled_is_0_for_the_speaker_100_for_the_words_and_50_for_a_constant(monkeypatch):
    """Use a sensor that shows both factors plainly: a head hears either of them, or nothing."""

    def plain(speaker, content, stream, g):
        return torch.cat([speaker[:, None].expand(-1, factors.N, -1), content], dim=-1)

    monkeypatch.setattr(factors, "sense", plain)
    monkeypatch.setattr(factors, "say", lambda words, g: words[:, None].expand(-1, factors.N, -1))
    assert factors.fooled(lambda x: x[..., : factors.FACTOR], generator()) < 0.5
    assert factors.fooled(lambda x: x[..., factors.FACTOR :], generator()) > 99.5
    assert factors.fooled(torch.ones_like, generator()) == pytest.approx(50.0)
    assert 40 < factors.fooled(lambda x: x, generator()) < 60


def test_a_run_is_a_function_of_its_seed_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    one, again, other = (factors.train(seed, 3) for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    for name in one.trace:
        assert one.trace[name].tolist() == again.trace[name].tolist()
    assert one.trace["content"].tolist() != other.trace["content"].tolist()
    assert factors.judge(one, 0) == factors.judge(again, 0)


@pytest.mark.heavy
def test_learning_beats_chance_and_confusion_makes_words_matter_less():
    """Check the direction of the effect on one seed; notebook 05 measures its size."""
    without, with_it = (factors.train(0, 250, lam=lam) for lam in (0.0, 1.0))
    a, b = (factors.judge(run, 0) for run in (without, with_it))
    for result in (a, b):
        assert result["content right"] > 2 * 100 / factors.N
        assert result["identity right"] > 4 * 100 / 64
    assert b["fooled"] < a["fooled"]
    assert with_it.trace["w_identity"].max() <= 20.001
