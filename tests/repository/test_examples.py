"""The examples in docstrings are run: what `>>>` shows is what a reader gets."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def modules_with_examples(folder: Path) -> list[str]:
    """Return the dotted names of the modules in a package whose text contains an example."""
    names = []
    for path in sorted(folder.rglob("*.py")):
        if ">>> " in path.read_text(encoding="utf-8"):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            names.append(".".join(parts).removesuffix(".__init__"))
    return names


def run(module) -> doctest.TestResults:
    return doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)


PUBLIC = (  # what a reader of the README, of a notebook or of a message calls first
    *("dsel.load", "dsel.embed", "dsel.corpus.open", "dsel.corpus.Track"),
    *("dsel.timing.windows_in", "dsel.timing.frames_for", "dsel.timing.window_span"),
    *("dsel.audio.log_mel", "dsel.audio.mfcc", "dsel.audio.front_end"),
    *("dsel.losses.inverse_distance", "dsel.losses.scaled_cosine", "dsel.losses.pool"),
    *("dsel.losses.content_logits", "dsel.losses.identity_logits", "dsel.losses.top1"),
    *("dsel.losses.matching_loss", "dsel.losses.confusion_loss", "dsel.losses.DisentangledLoss"),
    *("dsel.model.ModelConfig", "dsel.model.TwoStream", "dsel.model.receptive_field"),
    *("dsel.train.TrainConfig", "dsel.train.load_model", "dsel.train.warmup_cosine"),
    *("dsel.evaluate.verification.equal_error_rate", "dsel.evaluate.verification.det_curve"),
    *("dsel.evaluate.verification.min_dcf", "dsel.evaluate.matching.content_accuracy"),
    "dsel.evaluate.sync.sync_offset",
)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_functions_have_an_example(name):
    """The test below runs it: the example belongs to a docstring of this package."""
    module, _, attribute = name.rpartition(".")
    described = getattr(importlib.import_module(module), attribute)
    assert doctest.DocTestParser().get_examples(described.__doc__ or "")
    assert described.__module__ in modules_with_examples(ROOT / "dsel")


@pytest.mark.parametrize("name", modules_with_examples(ROOT / "dsel"))
def test_examples_give_what_they_show(name):
    results = run(importlib.import_module(name))
    assert results.attempted > 0, f"{name}: no example of it belongs to a docstring"
    assert results.failed == 0, f"python -m doctest shows more about {name}"


def test_a_wrong_example_would_fail(tmp_path, monkeypatch, capsys):
    text = '"""Invented.\n\n>>> 1 + 1\n3\n"""\n'
    (tmp_path / "invented.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert modules_with_examples(tmp_path) == [f"{tmp_path.name}.invented"]
    assert run(importlib.import_module("invented")).failed == 1
    assert "Expected:" in capsys.readouterr().out
