"""Check that the self-checks judge rightly: right answers pass, wrong ones get their names.

`pytest -s -k table tests/teaching/test_exercises.py` prints the table of all answers tried.
"""

import json
import re
from pathlib import Path

import exercise_zoo as zoo
import numpy as np
import pytest
import torch

from dsel.teaching import exercises
from dsel.teaching.exercises.checker import Verdict, two_numbers

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
LOSSES = ("content_loss", "identity_loss", "confusion_loss")
# Verdicts that come from the form of an answer, not from a formula of the list of mistakes.
GENERAL = {"not yet", "raises", "not a number", "not a function", "unknown", "form"}
GENERAL |= {"not a tensor", "not a scalar", "too coarse", "not finite", "factor"}
GENERAL |= {"no gradient", "wrong gradient", "overflow"}


def verdict_on(exercise: str, answer):
    return exercises.EXERCISES[exercise](answer)


def mistakes_of(exercise: str) -> set[str]:
    """Return the names of the mistakes and symptoms that an exercise lists."""
    judge = exercises.EXERCISES[exercise]
    return {entry.name for kind in ("mistakes", "symptoms") for entry in getattr(judge, kind, ())}


def test_every_exercise_has_right_and_wrong_answers():
    assert set(zoo.ANSWERS) == set(exercises.EXERCISES)
    assert len(zoo.RIGHT) >= 25
    assert len(zoo.WRONG) >= 80


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [pytest.param(e, answer, id=f"{e}: {label}") for e, label, answer in zoo.RIGHT],
)
def test_right_answers_are_accepted(exercise, answer):
    verdict = verdict_on(exercise, answer)
    assert verdict, verdict.message
    assert verdict.name == ""


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
@pytest.mark.parametrize(
    ("exercise", "name", "answer"),
    [pytest.param(e, name, answer, id=f"{e}: {label}") for e, label, name, answer in zoo.WRONG],
)
def test_wrong_answers_are_refused_and_named(exercise, name, answer):
    verdict = verdict_on(exercise, answer)
    assert not verdict
    assert verdict.name == name, verdict.message
    assert verdict.message in verdict._repr_markdown_()
    assert "\n" not in verdict.message


def test_a_verdict_is_said_in_words_and_not_by_colour_or_emoji():
    for solved, name, word in (
        (True, "", "solved"),
        (False, "not yet", "open"),
        (False, "sum", "wrong"),
    ):
        shown = Verdict(solved, name, "A sentence.")._repr_markdown_()
        assert re.sub(r"<[^>]+>", "", shown) == f"{word} A sentence."
        assert shown.isascii()


@pytest.mark.parametrize("exercise", exercises.EXERCISES)
def test_every_listed_mistake_is_made_by_some_answer(exercise):
    made = {name for e, _, name, _ in zoo.WRONG if e == exercise}
    assert mistakes_of(exercise) <= made


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
def test_table_of_the_zoo():
    rows = [(e, label, "accepted", answer) for e, label, answer in zoo.RIGHT]
    rows += [(e, label, name, answer) for e, label, name, answer in zoo.WRONG]
    lines = ["| exercise | answer | verdict | named | as it should be |", "|---|---|---|---|---|"]
    counts = {True: 0, False: 0}
    for exercise, label, expected, answer in sorted(rows, key=lambda row: row[0]):
        verdict = verdict_on(exercise, answer)
        given = "accepted" if verdict else verdict.name
        named = "-" if verdict or given == "unknown" else "yes"
        right = given == expected
        counts[right] += 1
        lines.append(f"| {exercise} | {label} | {given} | {named} | {'yes' if right else 'NO'} |")
    refused = [row for row in rows if row[2] != "accepted"]
    named = sum(row[2] != "unknown" for row in refused)
    lines.append(
        f"\n{len(zoo.RIGHT)} right answers, {len(refused)} wrong ones, {named} of them named; "
        f"{counts[False]} verdicts are not as they should be"
    )
    print("\n".join(lines))
    assert counts[False] == 0


# --- Tolerance ------------------------------------------------------------------------------------


def in_float32(candidate):
    """Return the same answer computed from float32 tensors."""

    def answer(*arguments):
        floats = [
            x.float() if torch.is_tensor(x) and x.is_floating_point() else x for x in arguments
        ]
        return candidate(*floats)

    return answer


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
@pytest.mark.parametrize("exercise", LOSSES)
def test_float32_answers_are_judged_as_float64_ones(exercise):
    for e, label, answer in zoo.RIGHT:
        if e == exercise:
            verdict = verdict_on(e, in_float32(answer))
            assert verdict, (label, verdict.message)
    for e, label, name, answer in zoo.WRONG:
        if e == exercise and name not in GENERAL:
            verdict = verdict_on(e, in_float32(answer))
            assert not verdict
            assert verdict.name == name, (label, verdict.message)


@pytest.mark.parametrize("factor", [1 + 1e-7, 1 - 1e-8])
def test_float64_answers_are_judged_to_nine_digits(factor):
    almost = zoo.spoilt(lambda loss: factor * loss)
    assert not exercises.content_loss(almost)
    assert exercises.content_loss(zoo.spoilt(lambda loss: (1 + 1e-12) * loss))


# --- What the reader is told ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [(1.0, 2.0), (2.559715, 2.5597151), (1 / 3, 1 / 3 + 1e-12), (3, 4), (0.1, float("nan"))],
)
def test_two_different_numbers_are_written_differently(one, other):
    written = two_numbers(one, other)
    assert written[0] != written[1]
    assert len(written[0]) >= len(f"{one:.6g}")


def test_no_message_says_that_it_gives_x_and_should_be_x():
    pair = r"(?:gives|is) ([^,]+|\([^)]*\)), (?:it should be|the loops give) (.+?)\.(?:\s|$)"
    compared = 0
    for exercise, label, name, answer in zoo.WRONG:
        message = verdict_on(exercise, answer).message if name == "unknown" else ""
        for given, right in re.findall(pair, message):
            assert given != right, (exercise, label, message)
            compared += 1
    assert compared >= 15


def test_the_first_case_that_differs_is_reported():
    def right_on_the_first_two(pairs):
        return zoo.field_forward(pairs) if len(pairs) in (1, 4) else -1

    message = exercises.receptive_field(right_on_the_first_two).message
    assert "case 3 of 6" in message
    assert "pairs = [(3, 2), (3, 2)]" in message
    assert "gives -1, it should be 7" in message
    blind = exercises.identity_loss(
        # A cosine sees no length
        lambda v, a, sim, r: zoo.IDENTITY_RIGHT["trace"](v, 1.5 * a, sim, r)
    )
    assert blind.name == "unknown"
    assert "batch 2 of 4" in blind.message


def test_an_exception_is_told_in_one_line_with_its_place():
    def my_content_loss(face, audio, similarity):
        logits = similarity(face, audio)
        return logits[:, :, 99].mean()

    verdict = exercises.content_loss(my_content_loss)
    assert verdict.name == "raises"
    assert "IndexError" in verdict.message
    assert "in line 3 of my_content_loss" in verdict.message
    long = exercises.content_loss(zoo.raising(ValueError("a\nb " + 500 * "x")))
    assert "\n" not in long.message
    assert len(long.message) < 300


def test_arguments_are_not_changed_by_an_answer_that_writes_into_them():
    def greedy(query, known, count):
        order = zoo.nearest_sorted(query, known, count)
        known[:] = 0
        return order

    assert exercises.nearest_rows(greedy)
    assert exercises.nearest_rows(zoo.nearest_sorted)


def test_judge_takes_an_exercise_that_has_no_name():
    cases, right = [(np.arange(5), 2), (np.arange(7), 3)], lambda x, n: x[:n]
    late = exercises.Mistake("late", lambda x, n: x[1 : n + 1], "One too far.")
    for candidate, name in (
        (right, ""),
        (lambda x, n: x[1 : n + 1], "late"),
        (lambda x, n: x[n:], "unknown"),
        (lambda x, n: list(range(n)), ""),
        (lambda x, n: None, "not yet"),
        (lambda x, n: x[:n][99], "raises"),
        (lambda x, n: "words", "not a number"),
        (zoo.raising(NotImplementedError()), "not yet"),
        (3, "not a function"),
    ):
        verdict = exercises.judge(candidate, right, [late], cases)
        assert (verdict.name, bool(verdict)) == (name, name == "")
        assert verdict.message
    half = exercises.judge(lambda x, n: n + 0.4, lambda x, n: n, [], cases, tolerance=0.5)
    assert half


# --- The pages ------------------------------------------------------------------------------------


def cells_of(notebook: str) -> list[tuple[str, str]]:
    """Return (type, source) of every cell of a notebook, named by its number."""
    (path,) = NOTEBOOKS.glob(f"{notebook}_*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [(cell["cell_type"], "".join(cell["source"])) for cell in cells]


PAGES = [  # (notebook, function or variable that the reader writes, exercise)
    ("00", "ignorant", "chance_levels"),
    ("01", "sound_of", "sound_of"),
    ("01", "offset_of", "offset_of"),
    ("02", "my_receptive_field", "receptive_field"),
    ("03", "my_content_loss", "content_loss"),
    ("04", "my_identity_loss", "identity_loss"),
    ("05", "my_confusion_loss", "confusion_loss"),
    ("06", "my_schedule", "schedule"),
    ("07", "honest_purity", "honest_purity"),
    ("08", "my_eer", "equal_error_rate"),
    ("08", "my_weights", "speaker_weights"),
    ("09", "my_paired_interval", "paired_interval"),
    ("10", "nearest", "nearest_rows"),
    ("10", "in_step", "in_step"),
    ("11", "my_law", "distance_law"),
]


def defines(code: str, name: str) -> bool:
    return re.search(rf"^(?:def {name}\(|{name} = )", code, re.M) is not None


@pytest.mark.parametrize(("notebook", "name", "exercise"), PAGES)
def test_the_solution_on_the_page_is_right_and_its_stub_is_not_yet(notebook, name, exercise):
    import math

    cells = cells_of(notebook)
    blocks = [b for _, s in cells for b in re.findall(r"```python\n(.*?)```", s, re.DOTALL)]
    (solution,) = [block for block in blocks if defines(block, name)]
    room = {"np": np, "torch": torch, "math": math}
    exec(solution, room)
    verdict = verdict_on(exercise, room[name])
    assert verdict, verdict.message

    stubs = [source for kind, source in cells if kind == "code" and defines(source, name)]
    judged = re.compile(rf"exercises\.{exercise}\({name}\)")
    assert any(judged.search(source) for kind, source in cells if kind == "code")
    room = {"np": np, "torch": torch, "math": math, "exercises": exercises}
    exec(re.split(r"^exercises\.", stubs[0], flags=re.M)[0], room)
    assert verdict_on(exercise, room[name]).name == "not yet"


def test_every_exercise_stands_on_a_page():
    assert {exercise for _, _, exercise in PAGES} == set(exercises.EXERCISES)


def test_the_question_of_notebook_00_has_the_numbers_that_are_refused_as_copied():
    from dsel.teaching.exercises import chance

    (question,) = [s for kind, s in cells_of("00") if kind == "markdown" and "**Exercise**" in s]
    assert f"B={chance.CLIPS}" in question
    assert f"N={chance.WINDOWS}" in question
    for name, value in chance.LOGGED.items():
        assert f"{value:.2f}" in question
        assert not exercises.chance_levels({**zoo.CHANCE_RIGHT["logs"], name: value})


def test_the_right_answers_are_those_of_the_package():
    from dsel.evaluate.verification import equal_error_rate
    from dsel.train import warmup_cosine

    assert exercises.schedule(warmup_cosine)
    assert exercises.equal_error_rate(equal_error_rate)
