"""Released networks: small, loadable by name, and as good as their card says."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import dsel
from dsel import corpus as corpora
from dsel.evaluate import evaluate, evaluate_model, read_metric
from dsel.evaluate.metrics import to_rows
from dsel.model import ModelConfig
from dsel.train import RELEASED, load_model, load_released, release, train
from dsel.utils.errors import BadInput


def test_release_keeps_the_networks_and_tells_where_they_come_from(
    noise_corpus, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    train(
        noise_corpus.path,
        run,
        progress=False,
        B=3,
        N=6,
        extra=2,
        steps=2,
        device="cpu",
        precision="float32",
    )
    with pytest.raises(BadInput, match="a released model needs its metrics"):
        release(run, tmp_path / "small.pt")
    rows = evaluate(run, noise_corpus.path, progress=False)
    path = release(run, tmp_path / "small.pt")
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card["evaluation"]["rows"] == to_rows(rows)
    assert [read_metric(row) for row in card["evaluation"]["rows"]] == rows
    assert card["evaluation"]["corpus"] == noise_corpus.meta
    assert card["train"]["B"] == 3
    monkeypatch.setattr("dsel.train.released.RELEASED", tmp_path)
    small, whole = load_released("small"), load_model(run, "cpu")
    assert not small.training
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(small.state_dict()[name], value, rtol=1e-3, atol=1e-6)
    with pytest.raises(BadInput, match="no such released model; known are small"):
        load_released("huge")


PRESENT = ("four_terms", "five_terms", "lambda0")


@pytest.mark.heavy
@pytest.mark.parametrize("name", [*PRESENT, "laptop", "notes", "gpu"])
def test_a_released_model_is_what_its_card_says(name):
    """Its sha256 is the card's, and it verifies people of data/mini that it was not trained on.

    The EER is far from chance, and the identity head is better than the content head.
    """
    card = json.loads((RELEASED / f"{name}.json").read_text())
    assert hashlib.sha256((RELEASED / f"{name}.pt").read_bytes()).hexdigest() == card["sha256"]
    assert (RELEASED / f"{name}.pt").stat().st_size < 4_000_000
    assert (card["train"]["within"] == 0) == (name in ("notes", "four_terms", "lambda0"))
    assert (card["train"]["lam"] == 0) == (name == "lambda0")
    model = dsel.load(name)
    assert model.config == ModelConfig.laptop(front_end="level" if name in PRESENT else "track")
    told = {metric.label: metric.value for metric in map(read_metric, card["evaluation"]["rows"])}
    found = {
        metric.label: metric.value
        for metric in evaluate_model(model, corpora.open("mini"), progress=False)
    }
    content = "content task, content head: top-1 of 30 windows"
    assert found[content] == pytest.approx(
        told[content], rel=0.25
    )  # another 108 tracks, drawn the same way
    eer = [found[f"EER, {head} head, free trials"] for head in ("identity", "content")]
    assert eer[0] < eer[1]
    # 36 target pairs: four standard errors around the card's figure
    share = told["EER, identity head, free trials"] / 100
    assert eer[0] / 100 == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 36))


@pytest.mark.heavy
def test_real_is_what_its_card_says():
    """It has the settings of `four_terms`; step, hash and figures are on its card."""
    card = json.loads((RELEASED / "real.json").read_text())
    text = (RELEASED / "real.md").read_text(encoding="utf-8")
    assert hashlib.sha256((RELEASED / "real.pt").read_bytes()).hexdigest() == card["sha256"]
    assert card["sha256"] in text
    assert f"step {card['step']} of {card['train']['steps']}" in text
    assert "CC BY 4.0" in text
    model = dsel.load("real")
    assert model.config == replace(dsel.load("four_terms").config, content_crop="mouth")
    drawn = json.loads((RELEASED / "four_terms.json").read_text())["train"]
    assert (card["train"]["lam"], card["train"]["within"]) == (drawn["lam"], drawn["within"])
    assert card["evaluation"]["corpus"]["recipe"]["voices"]  # judged on recordings
    assert card["evaluation"]["split"] == "validation"


def test_all_that_is_released_is_small():
    assert max(path.stat().st_size for path in RELEASED.iterdir()) < 2_500_000
    networks = len(list(RELEASED.glob("*.pt")))
    assert sum(path.stat().st_size for path in RELEASED.iterdir()) < 2_500_000 * networks
