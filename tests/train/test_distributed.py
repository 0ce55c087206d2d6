"""Several processes compute what one computes with the whole batch."""

import os
import socket
import subprocess
import sys

import pytest
import ranks as worker
import torch
from conftest import ROOT

from dsel.model import ModelConfig, TwoStream
from dsel.train import TrainConfig, Trainer, read_metrics
from dsel.train.checkpoint import read_checkpoint
from dsel.train.distributed import (
    Ranks,
    SyncedNorm1d,
    SyncedNorm2d,
    in_turn,
    mean_over,
    synchronise,
)


@pytest.fixture(scope="module")
def two(noise_corpus, tmp_path_factory):
    """What two gloo processes of B tracks each left: a folder."""
    out = tmp_path_factory.mktemp("two")
    noise_corpus.cache(48, tracks=noise_corpus.split("train"), progress=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    command = [sys.executable, str(ROOT / "tests" / "ranks.py"), str(noise_corpus.path), str(out)]
    processes = [
        subprocess.Popen(
            command,
            env={**os.environ, **common, "RANK": str(r), "LOCAL_RANK": str(r), "PYTHONPATH": path},
        )
        for r in range(2)
    ]
    try:
        assert [process.wait(timeout=600) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    return out


def test_two_processes_give_the_loss_and_the_gradient_of_one_with_the_whole_batch(two):
    """In float64, where sums in another order differ by less than 1e-9 of the gradient's size."""
    whole = worker.step(Ranks())
    halves = [torch.load(two / f"{r}.pt", weights_only=True) for r in range(2)]
    loss = (halves[0]["loss"] + halves[1]["loss"]) / 2
    torch.testing.assert_close(loss, whole["loss"], rtol=1e-12, atol=0)
    for part in ("identity", "confusion_cs"):  # over the tracks of both, so the same in both
        for half in halves:
            torch.testing.assert_close(
                half["parts"][part], whole["parts"][part], rtol=1e-12, atol=0
            )
    for half in halves:
        assert half["gradient"].keys() == whole["gradient"].keys()
        for name, gradient in whole["gradient"].items():
            torch.testing.assert_close(
                half["gradient"][name], gradient, rtol=0, atol=1e-9 * gradient.norm().item() + 1e-12
            )
        for name, value in whole["statistics"].items():
            torch.testing.assert_close(half["statistics"][name], value, rtol=1e-9, atol=1e-12)


def test_begun_by_two_processes_and_resumed_by_one(two, noise_corpus, tmp_path):
    """Two processes train as one with twice the batch does, up to rounding.

    Tracks, windows and augmentation are the same.
    """
    doubled = TrainConfig.checked(**worker.SETTINGS, B=2 * worker.B, extra=2 * worker.E)
    whole = Trainer(noise_corpus, ModelConfig.laptop(), doubled, tmp_path / "whole", progress=False)
    rows = whole.fit()
    begun = read_metrics(two / "run")
    assert [row["step"] for row in begun] == [1, 2]  # written once, not twice
    for one, other in zip(begun, rows, strict=False):
        for name in ("loss", "content", "identity", "confusion_cs", "confusion_sc", "gradient"):
            assert one[name] == pytest.approx(other[name], rel=1e-3), name
    assert read_checkpoint(two / "run")["position"]["processes"] == 2
    resumed = Trainer(
        noise_corpus, ModelConfig.laptop(), doubled, two / "run", resume=True, progress=False
    )
    assert resumed.step == 2
    last = resumed.fit()[-1]
    assert last["step"] == 4
    assert last["loss"] == pytest.approx(rows[-1]["loss"], rel=1e-2)
    assert not list((two / "run").glob(".*.part"))


def test_one_process_talks_to_nobody():
    x = torch.randn(3)
    assert mean_over(Ranks(), x) is x
    assert in_turn(Ranks(), lambda: 7) == 7


def test_synchronised_networks_keep_their_weights_and_names():
    model = TwoStream(ModelConfig.laptop()).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = torch.rand(1, 6, 48, 48, 3, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        plain = model.face(x)["content"]
        synced = synchronise(model, torch.device("cpu"))
        torch.testing.assert_close(
            synced.face(x)["content"], plain, rtol=0, atol=0
        )  # evaluation uses the running statistics
    assert {type(m) for m in synced.modules() if "Norm" in type(m).__name__} == {
        SyncedNorm1d,
        SyncedNorm2d,
    }
    assert all(torch.equal(value, before[name]) for name, value in synced.state_dict().items())
