"""The exercises judge rightly: solutions pass, stubs are 'not yet', each named mistake gets its name."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from dsel.teaching import exercises

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def content_solution(face, audio, similarity):
    log_p = similarity(face, audio).log_softmax(dim=-1)
    return -torch.stack([matrix.diag() for matrix in log_p]).mean()


def identity_solution(face, audio, similarity, pick):
    log_p = similarity(face[range(len(face)), pick], audio.mean(dim=1)).log_softmax(dim=-1)
    return -log_p.trace() / len(face)


def confusion_solution(logits):
    return -logits.log_softmax(dim=-1).sum() / logits.numel()


SOLUTIONS = {"content_loss": content_solution, "identity_loss": identity_solution, "confusion_loss": confusion_solution}


# Wrong answers written as a reader would write them, loops and all: none is the code that the self-check compares with.
def content_by_loops(*, scale=lambda B, N: 1 / (B * N), sign=-1, axis="tau", cost=torch.log, choices="own", base=1.0):
    def loss(face, audio, similarity):
        (B, N, _), total = face.shape, 0.0
        for i in range(B):
            for t in range(N):
                if axis == "tau":
                    weights = [similarity(face[i, t : t + 1], audio[i, [tau]]).exp() for tau in range(N)]
                else:
                    weights = [similarity(face[i, [tau]], audio[i, t : t + 1]).exp() for tau in range(N)]
                match = weights[t]
                if choices == "all":
                    weights = [similarity(face[i, [t]], audio[j, [tau]]).exp() for j in range(B) for tau in range(N)]
                if choices == "matrix":
                    weights = [similarity(face[i, [k]], audio[i, [tau]]).exp() for k in range(N) for tau in range(N)]
                total = total + sign * cost(match / sum(weights))
        return total.squeeze() * scale(B, N) / base

    return loss


def uniform_content(face, audio, similarity):
    return -similarity(face, audio).softmax(-1).log().mean()


def bare_logits(face, audio, similarity):
    return -torch.einsum("bkk->bk", similarity(face, audio)).mean()


def minus_distance(face, audio, similarity):
    p = (-similarity(face, audio)).softmax(-1)
    return -torch.einsum("bkk->bk", p.log()).mean()


WRONG_CONTENT = {
    "sum over windows": content_by_loops(scale=lambda B, N: 1 / B),
    "sum over tracks": content_by_loops(scale=lambda B, N: 1 / N),
    "sum": content_by_loops(scale=lambda B, N: 1.0),
    "sign": content_by_loops(sign=1),
    "audio anchor": content_by_loops(axis="t"),
    "softmax over everything": content_by_loops(choices="matrix"),
    "other tracks as choices": content_by_loops(choices="all"),
    "no log": content_by_loops(cost=lambda p: p),
    "logits without softmax": bare_logits,
    "all entries": uniform_content,
    "minus the distance": minus_distance,
    "log to base 2": content_by_loops(cost=torch.log2),
}


def identity_by_hand(face_of, audio_of, finish=lambda p: -p.diagonal().log().mean(), dim=1):
    return lambda face, audio, similarity, pick: finish(similarity(face_of(face, pick), audio_of(audio, pick)).softmax(dim))


def one_window(x, pick):
    return torch.cat([x[i, r : r + 1] for i, r in enumerate(pick)])


def average(x, pick):
    return x.sum(dim=1) / x.shape[1]


def mean_of_similarities(face, audio, similarity, pick):
    N = audio.shape[1]
    logits = sum(similarity(one_window(face, pick), audio[:, tau]) for tau in range(N)) / N
    return -logits.log_softmax(-1).diagonal().mean()


WRONG_IDENTITY = {
    "sum": identity_by_hand(one_window, average, lambda p: -p.diagonal().log().sum()),
    "sign": identity_by_hand(one_window, average, lambda p: p.diagonal().log().mean()),
    "audio anchor": identity_by_hand(one_window, average, dim=0),
    "mean face": identity_by_hand(average, average),
    "picked sound": identity_by_hand(one_window, one_window),
    "sides swapped": identity_by_hand(average, one_window),
    "one pick for all": identity_by_hand(lambda x, pick: x[:, pick[0]], average),
    "pick ignored": identity_by_hand(lambda x, pick: x[:, 0], average),
    "mean over tracks": identity_by_hand(one_window, lambda x, pick: x.mean(0)),
    "mean of similarities": mean_of_similarities,
    "all entries": identity_by_hand(one_window, average, lambda p: -p.log().mean()),
    "no log": identity_by_hand(one_window, average, lambda p: -p.diagonal().mean()),
}

WRONG_CONFUSION = {
    "no 1/K": lambda logits: -logits.softmax(-1).log().sum() / logits[..., 0].numel(),
    "sum": lambda logits: -logits.softmax(-1).log().sum(),
    "sign": lambda logits: logits.softmax(-1).log().mean(),
    "entropy": lambda logits: torch.distributions.Categorical(logits=logits).entropy().mean(),
    "minus entropy": lambda logits: -torch.distributions.Categorical(logits=logits).entropy().mean(),
    "divergence": lambda logits: (
        torch.nn.functional.kl_div(logits.log_softmax(-1), torch.full_like(logits, 1 / logits.shape[-1]), reduction="sum")
        / logits[..., 0].numel()
    ),
    "the match": lambda logits: torch.stack([-m.softmax(-1).diag().log() for m in logits]).mean(),
    "no log": lambda logits: -logits.softmax(-1).mean(),
    "wrong axis": lambda logits: -logits.softmax(-2).log().mean(),
}
WRONG = {"content_loss": WRONG_CONTENT, "identity_loss": WRONG_IDENTITY, "confusion_loss": WRONG_CONFUSION}
PAIRS = [(which, name) for which, wrong in WRONG.items() for name in wrong]


@pytest.mark.parametrize("which", exercises.EXERCISES)
def test_solutions_pass_and_every_named_mistake_is_tried_here(which):
    verdict = exercises.EXERCISES[which](SOLUTIONS[which])
    assert verdict, verdict.message
    assert {mistake.name for mistake in exercises.EXERCISES[which].mistakes} == set(WRONG[which])


@pytest.mark.parametrize(("which", "name"), PAIRS)
def test_each_mistake_gets_its_name(which, name):
    verdict = exercises.EXERCISES[which](WRONG[which][name])
    assert not verdict
    assert verdict.name == name, verdict.message
    assert verdict.message in verdict._repr_markdown_()


def raises(error):
    def candidate(*arguments):
        raise error

    return candidate


def later(change):
    """A right answer spoilt at the end."""
    return lambda *arguments: change(content_solution(*arguments))


def naive(face, audio, similarity):
    weights = similarity(face, audio).exp()
    return -(weights.diagonal(dim1=-2, dim2=-1) / weights.sum(-1)).log().mean()


def half_detached(face, audio, similarity):
    return content_solution(face, audio.detach() / 2 + audio / 2, similarity)


@pytest.mark.parametrize(
    ("name", "candidate"),
    [
        ("not yet", raises(NotImplementedError())),
        ("not yet", lambda *arguments: None),
        ("raises", raises(IndexError("index 5 is out of range"))),
        ("not a tensor", later(torch.Tensor.item)),
        ("not a scalar", lambda face, audio, similarity: -similarity(face, audio).log_softmax(-1).diagonal(0, 1, 2)),
        ("not finite", later(lambda x: x * torch.inf)),
        ("no gradient", later(torch.Tensor.detach)),
        ("no gradient", lambda face, audio, similarity: content_solution(face, audio.detach(), similarity)),
        ("wrong gradient", half_detached),
        ("overflow", naive),
        ("factor", later(lambda x: 3 * x)),
        ("unknown", later(lambda x: x**2 + 1)),
    ],
)
def test_form_gradient_and_overflow_are_judged(name, candidate):
    verdict = exercises.content_loss(candidate)
    assert not verdict
    assert verdict.name == name, verdict.message


@pytest.mark.parametrize(("notebook", "which"), [("03_content_loss", "content_loss"), ("04_identity_loss", "identity_loss")])
def test_the_solution_on_the_page_is_right_and_its_stub_is_not_yet(notebook, which):
    path = NOTEBOOKS / f"{notebook}.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells]
    (solution,) = [s for s in sources if "<summary>Solution" in s]
    code = re.search(r"```python\n(.*?)```", solution, re.DOTALL).group(1)
    room = {"torch": torch}
    exec(code, room)
    assert exercises.EXERCISES[which](room[f"my_{which}"])
    (stub,) = [s for s in sources if f"def my_{which}" in s and "NotImplementedError" in s]
    room = {"torch": torch, "exercises": exercises}
    exec(stub, room)
    assert exercises.EXERCISES[which](room[f"my_{which}"]).name == "not yet"


def test_judge_names_what_it_knows_and_never_raises():
    cases, right = [(np.arange(5), 2), (np.arange(7), 3)], lambda x, n: x[:n]
    known = [exercises.Mistake("late", lambda x, n: x[1 : n + 1], "One too far.")]
    for candidate, name in (
        (right, ""),
        (lambda x, n: x[1 : n + 1], "late"),
        (lambda x, n: x[n:], "unknown"),
        (lambda x, n: list(range(n)), ""),
        (lambda x, n: None, "not yet"),
        (lambda x, n: x[:n][99], "raises"),
        (lambda x, n: "words", "unknown"),
    ):
        verdict = exercises.judge(candidate, right, known, cases)
        assert (verdict.name, bool(verdict)) == (name, name == "")
        assert verdict.message

    def stub(x, n):
        raise NotImplementedError

    assert exercises.judge(stub, right, known, cases).name == "not yet"


def page_code(notebook: str, name: str) -> str:
    """The solution of `name` as it stands on the page."""
    cells = json.loads((NOTEBOOKS / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    blocks = [b for cell in cells for b in re.findall(r"```python\n(.*?)```", "".join(cell["source"]), re.DOTALL)]
    (code,) = [block for block in blocks if f"def {name}(" in block]
    return code


@pytest.mark.parametrize(("name", "check"), [("my_eer", "equal_error_rate"), ("my_weights", "speaker_weights")])
def test_the_solutions_of_the_verification_page_are_right(name, check):
    room = {"np": np}
    exec(page_code("08_speaker_verification", name), room)
    verdict = getattr(exercises, check)(room[name])
    assert verdict, verdict.message


def test_the_eer_exercise_agrees_with_the_package_and_names_each_mistake():
    from dsel.evaluate.verification import equal_error_rate

    assert exercises.equal_error_rate(equal_error_rate)
    names = [exercises.equal_error_rate(mistake.formula).name for mistake in exercises.EER_MISTAKES]
    assert names == [mistake.name for mistake in exercises.EER_MISTAKES]
    assert exercises.equal_error_rate(lambda s, t: None).name == "not yet"
    assert exercises.equal_error_rate(lambda s, t: 0.5).name == "unknown"


def test_the_weights_exercise_agrees_with_listing_and_names_each_mistake():
    def by_listing(n, a, b):
        """Each copy of a speaker brings its own target trials; each pair of copies of two speakers its own impostor trials."""
        copies = np.repeat(np.arange(len(n)), n)
        found = []
        for x, y in zip(a, b, strict=True):
            met = [(one, other) for one in copies for other in copies if (one, other) == (x, y)]
            found.append(sum(one == x for one in copies) if x == y else len(met))
        return np.array(found)

    assert exercises.speaker_weights(by_listing)
    names = [exercises.speaker_weights(mistake.formula).name for mistake in exercises.WEIGHT_MISTAKES]
    assert names == [mistake.name for mistake in exercises.WEIGHT_MISTAKES]
