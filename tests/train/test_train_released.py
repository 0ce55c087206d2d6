"""tools/train_released.py keeps the best by validation, stops when it can, and can be resumed."""

import pytest
import torch

from dsel.train import load_model
from tools import train_released as tool

SETTINGS = {
    "B": 3,
    "N": 6,
    "extra": 2,
    "lam_warmup": 1,
    "device": "cpu",
    "precision": "float32",
    "steps": 6,
}


@pytest.fixture
def judged(monkeypatch):
    """Validation as it shall come out: scores by judgement; and how often it was asked."""
    asked = []

    def arrange(*scores):
        def judge(model, corpus, split, similarity):
            assert split == "validation"
            asked.append(split)
            value = scores[len(asked) - 1]
            names = dict.fromkeys(
                ("eer_free", "eer_hard", "eer_easy", "content_head_eer_free"), value
            )
            return names | {"content_top1": 100 - value}

        monkeypatch.setattr(tool, "judge", judge)
        return asked

    return arrange


def start(corpus, out, **changes):
    how = {"every": 1, "patience": 2, **changes}
    return tool.train_released(
        corpus.path, corpus.path, out, SETTINGS, {"front_end": "none"}, **how
    )


def test_the_best_is_kept_and_training_stops_without_a_better_one(noise_corpus, tmp_path, judged):
    judged(40.0, 30.0, 35.0, 31.0, 0.0)
    rows = start(noise_corpus, tmp_path / "run", kept=(1, 2))
    assert [(row["step"], row["score"]) for row in rows] == [
        (1, 40.0),
        (2, 30.0),
        (3, 35.0),
        (4, 31.0),
    ]
    best = torch.load(tmp_path / "run" / "best" / "checkpoint.pt", weights_only=True)
    assert best["step"] == 2
    second = torch.load(tmp_path / "run" / "kept" / "2.pt", weights_only=True)["model"]
    assert all(torch.equal(value, second[name]) for name, value in best["model"].items())
    assert load_model(tmp_path / "run" / "best", "cpu").config.front_end == "none"


def test_it_goes_on_where_it_was_and_judges_no_step_twice(
    noise_corpus, tmp_path, judged, monkeypatch
):
    asked = judged(40.0, 39.0, 38.0, 37.0, 36.0, 35.0)
    monkeypatch.setattr(
        tool.Trainer, "fit", lambda self, watch, fit=tool.Trainer.fit: fit(self, watch, until=3)
    )
    assert len(start(noise_corpus, tmp_path / "run")) == 3
    monkeypatch.undo()
    judged(*[0.0] * 3, 37.0, 36.0, 35.0)
    rows = start(noise_corpus, tmp_path / "run")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert len(asked) == 6


def test_the_score_is_the_mean_of_three_errors():
    assert tool.score({"eer_free": 8.0, "eer_hard": 15.0, "content_top1": 60.0}) == pytest.approx(
        21.0
    )
