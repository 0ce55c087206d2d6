"""The mutants of benchmarks/mutation.py fit the text of dsel/losses.py.

Running them all takes minutes: `python benchmarks/mutation.py`.
"""

import ast

import pytest

from benchmarks import mutation

SOURCE = mutation.LOSSES.read_text(encoding="utf-8")


@pytest.mark.parametrize("mutant", mutation.MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_one_place_and_can_be_run(mutant):
    text = mutation.mutated(SOURCE, mutant)
    assert text != SOURCE
    ast.parse(text)


def test_no_mutant_is_there_twice():
    assert len({mutation.mutated(SOURCE, mutant) for mutant in mutation.MUTANTS}) == len(
        mutation.MUTANTS
    )
    assert len({mutant.name for mutant in mutation.MUTANTS}) == len(mutation.MUTANTS)
