"""What every number says at its limits; docs/limits.md lists the answers that are tested here."""

import math
import re

import numpy as np
import pytest
import torch
from conftest import ROOT

from dsel.apply.sound import samples_of
from dsel.audio import FRONT_ENDS, front_end
from dsel.corpus import Track
from dsel.evaluate.embeddings import Embeddings, embed_tracks
from dsel.evaluate.judge import task_metrics, trial_lists, trial_metrics
from dsel.evaluate.matching import content_hits
from dsel.evaluate.metrics import table
from dsel.evaluate.sync import sync_offset
from dsel.evaluate.vectors import main_directions, neighbour_purity, partner_rank, unit
from dsel.evaluate.verification import equal_error_rate, min_dcf
from dsel.losses import DisentangledLoss, confusion_loss, matching_loss, top1
from dsel.model import HEADS, ModelConfig, TwoStream
from dsel.utils.errors import BadInput

PAGE = ROOT / "docs" / "limits.md"


def embeddings(vectors, speakers, frames=34):
    """Tracks of `speakers`, with the same vectors (W, D) in every stream and head."""
    tracks = [Track(f"t{k}", name, "test", "x", frames) for k, name in enumerate(speakers)]
    N = len(vectors) // len(tracks)
    both = {stream: dict.fromkeys(HEADS, vectors) for stream in ("face", "audio")}
    return Embeddings(
        tracks, np.arange(len(tracks)).repeat(N), np.tile(np.arange(N), len(tracks)), both
    )


def constant(speakers, N=30):
    return embeddings(np.ones((len(speakers) * N, 4), np.float32), speakers)


def by_name(metrics):
    return {(metric.metric, metric.head, metric.trials): metric for metric in metrics}


# --- Sound and picture ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FRONT_ENDS)
@pytest.mark.parametrize("level", [0.0, 1e-6, 1.0], ids=["silence", "almost", "full scale"])
def test_silence_and_constant_sound_give_finite_inputs(kind, level):
    mel = front_end(torch.full((1, 6400), level), kind)
    assert torch.isfinite(mel).all()


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_constant_frames_and_silence_give_finite_embeddings(shade):
    model = TwoStream(ModelConfig.laptop(hidden=8, D=4)).eval()
    with torch.no_grad():
        face = model.face(torch.full((1, 8, 48, 48, 3), shade, dtype=torch.uint8))
        audio = model.audio(torch.zeros(1, 8 * 640))
    for e in (*face.values(), *audio.values()):
        assert torch.isfinite(e).all()


def test_a_silent_sound_is_refused_rather_than_embedded():
    with pytest.raises(BadInput, match="silent"):
        samples_of(np.zeros(16_000))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_sample_that_is_not_a_number_is_refused(bad):
    sound = np.random.default_rng(0).normal(size=16_000)
    sound[77] = bad
    with pytest.raises(BadInput, match="NaN or infinite"):
        samples_of(sound)


class Overflow(torch.nn.Module):
    """Networks whose second track comes out infinite, as a sum too large for its type does."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def audio(self, x):
        e = torch.ones(len(x), x.shape[1] // 640 - 4, 3)
        e[1:] = math.inf
        return dict.fromkeys(HEADS, e)


class Recorded:
    """A cache of two tracks of noise."""

    def read(self, track):
        return None, np.zeros(640 * track.frames, np.int16)


def test_embeddings_that_are_not_finite_are_refused_and_the_track_is_named():
    tracks = [Track(name, name, "test", "x", 20) for name in ("a", "b")]
    with pytest.raises(BadInput, match="b: its audio embeddings hold NaN or infinite numbers"):
        embed_tracks(Overflow(), Recorded(), tracks, streams=("audio",), progress=False)


# --- Loss -----------------------------------------------------------------------------------------


def batch(B, N, dtype=torch.float32, D=6):
    generator = torch.Generator().manual_seed(0)
    return [
        {
            head: torch.randn(B, N, D, generator=generator).to(dtype).requires_grad_()
            for head in HEADS
        }
        for _ in range(2)
    ]


@pytest.mark.parametrize(("B", "N"), [(1, 8), (8, 1), (1, 1)])
def test_one_track_or_one_window_is_a_task_with_one_answer(B, N):
    """The loss of a choice between one thing is log 1 = 0, its gradient too; top-1 is 1."""
    face, audio = batch(B, N)
    total, parts = DisentangledLoss()(face, audio)
    total.backward()
    if B == 1:
        assert parts["identity"].item() == parts["confusion_cs"].item() == 0
    if N == 1:
        assert parts["content"].item() == parts["confusion_sc"].item() == 0
    assert all(torch.isfinite(e.grad).all() for side in (face, audio) for e in side.values())
    assert top1(torch.zeros(1, 1)).item() == 1


def test_the_loss_in_bfloat16_is_that_in_float32_to_its_precision():
    """Training hands float32 to the loss in every precision; others may not."""
    face, audio = batch(4, 8)
    pick = torch.zeros(4, dtype=torch.long)
    loss = DisentangledLoss()
    exact = loss(face, audio, pick)[0].item()
    halved = [{k: e.detach().bfloat16() for k, e in side.items()} for side in (face, audio)]
    total, parts = loss(*halved, pick)
    assert all(torch.isfinite(part) for part in parts.values())
    assert total.item() == pytest.approx(exact, rel=0.02)  # 8 bits of mantissa: 1/256 a number


@pytest.mark.parametrize("similarity", ["cosine", "inverse_distance"])
def test_identical_embeddings_give_the_loss_of_chance_and_finite_gradients(similarity):
    face, audio = (
        {head: torch.ones(4, 8, 6, requires_grad=True) for head in HEADS} for _ in range(2)
    )
    total, parts = DisentangledLoss(similarity=similarity)(face, audio)
    total.backward()
    assert parts["content"].item() == pytest.approx(math.log(8), rel=1e-5)
    assert parts["identity"].item() == pytest.approx(math.log(4), rel=1e-5)
    assert all(torch.isfinite(e.grad).all() for side in (face, audio) for e in side.values())


def test_zero_embeddings_give_the_loss_of_chance_and_finite_gradients():
    face, audio = (
        {head: torch.zeros(4, 8, 6, requires_grad=True) for head in HEADS} for _ in range(2)
    )
    total, _ = DisentangledLoss()(face, audio)
    total.backward()
    assert torch.isfinite(total)
    assert all(torch.isfinite(e.grad).all() for side in (face, audio) for e in side.values())


def test_a_number_that_is_not_finite_is_not_hidden_by_the_loss():
    logits = torch.tensor([[1.0, math.nan], [0.0, 1.0]])
    assert torch.isnan(matching_loss(logits))
    assert torch.isnan(confusion_loss(logits))


# --- Metrics --------------------------------------------------------------------------------------


def test_embeddings_that_are_all_alike_score_chance_in_every_task():
    """Ties are shared, so networks that say nothing get what guessing gets."""
    e = constant(["a", "a", "b", "b", "c", "c"])
    found = by_name(task_metrics(e, intervals=False))
    for key, metric in found.items():
        if metric.metric != "sync_within_one":
            assert metric.value == pytest.approx(metric.chance), key
    assert found["sync_within_one", "content", ""].value == 0  # the shift -reach is never right
    hits, _ = content_hits(e)
    N = hits["choices"]
    assert hits["within_one"] == pytest.approx(np.full(6, (3 * N - 2) / N**2))


def test_identical_tracks_cannot_be_told_apart():
    scores, target = np.ones(10), np.arange(10) < 4
    assert equal_error_rate(scores, target) == 0.5
    assert min_dcf(scores, target) == 1.0


def test_constant_frames_have_no_offset():
    _, confidence, curve = sync_offset(np.ones((40, 8), np.float32), np.ones((40, 8), np.float32))
    assert confidence == pytest.approx(0, abs=1e-6)
    assert np.ptp(curve) < 1e-6


def test_one_speaker_says_why_there_is_no_number(noise_corpus):
    e = constant(["a", "a", "a"])
    lists = trial_lists(noise_corpus, "train", e.tracks)
    found = [*task_metrics(e), *trial_metrics(e, lists)]
    missing = [metric for metric in found if metric.value is None and not metric.same_sex]
    reasons = {metric.metric: metric.reason for metric in missing}
    assert reasons["identity_top1"] == "one speaker: nothing to choose from"
    assert "no impostors" in reasons["eer"]
    assert "nan" not in table(found)


def test_one_window_says_why_there_is_no_number():
    e = embeddings(np.eye(3, dtype=np.float32), ["a", "b", "c"], frames=5)
    found = by_name(task_metrics(e))
    assert found["content_top1", "content", ""].reason == "no track has two windows"
    assert found["sync_within_one", "content", ""].value is None


def test_purity_ranks_and_directions_of_constant_vectors():
    x = np.ones((6, 4))
    labels, groups = np.array(list("aabbcc")), np.arange(6)
    assert 0 <= neighbour_purity(x, labels, groups, k=2) <= 1
    assert math.isnan(neighbour_purity(x, labels, np.zeros(6)))  # all of one group
    assert partner_rank(x, x) == 0.5
    assert partner_rank(x[:1], x[:1]) == 0
    assert main_directions(x).shape[1] == 4
    assert np.isfinite(main_directions(x)).all()
    assert np.isfinite(unit(np.zeros((2, 3)))).all()


# --- The page -------------------------------------------------------------------------------------


def test_every_line_of_the_page_names_a_test_that_exists():
    """Tests are named with their file, and read without being run."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    named = [re.findall(r"`(\w+\.py)::(\w+)`", line) for line in lines[2:]]
    assert all(named), [line for line, tests in zip(lines[2:], named, strict=True) if not tests]
    source = {
        path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")
    }
    for file, name in (test for tests in named for test in tests):
        assert f"def {name}(" in source[file], f"{file} has no {name}"
