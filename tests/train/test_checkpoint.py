"""Checkpoints: what is in them, which stay, and what a bad one costs."""

import ast
import dataclasses
import json
import os
import pickle
import subprocess
import sys

import pytest
import torch
from conftest import ROOT
from test_train import SMALL, assert_same_bits, trainer, weights

from dsel.train import TrainConfig, read_metrics
from dsel.train.checkpoint import read_checkpoint, same_config, write_checkpoint
from dsel.utils.errors import BadInput
from dsel.utils.files import HOST


def test_a_checkpoint_holds_all_that_a_resumption_needs(noise_corpus, tmp_path):
    t = trainer(noise_corpus, tmp_path / "run")
    t.fit(until=3)
    state = read_checkpoint(tmp_path / "run")
    assert {
        "model",
        "loss",
        "optimiser",
        "scheduler",
        "position",
        "random",
        "running",
        "config",
        "versions",
    } <= state.keys()
    assert state["position"] == {
        "epoch": 1,
        "step": 3,
        "processes": 1,
    }  # 12 tracks, 5 a step: 2 steps an epoch
    assert torch.equal(state["random"]["torch"], torch.get_rng_state())
    assert state["versions"]["torch"] == str(torch.__version__)
    assert state["config"]["train"]["B"] == SMALL["B"]


def test_the_last_ones_stay_and_the_best(tmp_path):
    for step in range(1, 6):
        write_checkpoint(
            tmp_path, {"step": step, "model": {}, "config": {}}, keep=2, best=step == 3
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("checkpoint-0000004.pt", "checkpoint-0000005.pt", "checkpoint-best.pt", "checkpoint.pt"),
    ]
    assert read_checkpoint(tmp_path)["step"] == 5
    assert torch.load(tmp_path / "checkpoint-best.pt", weights_only=True)["step"] == 3


def test_the_best_has_the_lowest_matching_loss(noise_corpus, tmp_path):
    t = trainer(noise_corpus, tmp_path / "run", steps=8, save_every=1, lr=3e-3, keep=20)
    rows = t.fit()
    lowest = min(rows, key=lambda row: row["content"] + row["identity"])
    assert (
        torch.load(tmp_path / "run" / "checkpoint-best.pt", weights_only=True)["step"]
        == lowest["step"]
    )


def test_bytes_reach_the_disk_before_the_name_does(tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, name=name, real=real: (done.append(name), real(*a))[1]
        )
    write_checkpoint(tmp_path, {"step": 1, "model": {}, "config": {}}, keep=1, best=False)
    assert done[:2] == ["fsync", "replace"]
    assert done[-1] == "fsync"  # of the folder


@pytest.mark.parametrize("harm", ["cut", "overwritten", "emptied"])
def test_a_broken_checkpoint_costs_one_line_and_goes_back_one(noise_corpus, tmp_path, capsys, harm):
    run = tmp_path / "run"
    whole = trainer(noise_corpus, tmp_path / "whole")
    whole.fit()
    trainer(noise_corpus, run).fit(until=4)
    newest = run / "checkpoint.pt"
    size = newest.stat().st_size
    with newest.open("r+b") as file:
        if harm == "overwritten":
            file.seek(size // 3)
            file.write(os.urandom(size // 2))
        else:
            file.truncate(size // 2 if harm == "cut" else 0)
    capsys.readouterr()
    resumed = trainer(noise_corpus, run, resume=True)
    lines = {line for line in capsys.readouterr().out.splitlines() if line}
    assert len(lines) == 1
    assert "cannot be read" in lines.pop()
    assert resumed.step == 2
    resumed.fit()
    assert_same_bits(weights(whole), weights(resumed))
    assert [row["step"] for row in read_metrics(run)] == list(range(1, 7))


def test_no_code_runs_from_a_checkpoint(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "caught"),)

    torch.save({"step": 1, "model": Trap(), "config": {}}, tmp_path / "checkpoint.pt")
    with pytest.raises(BadInput, match="not a dsel checkpoint"):
        read_checkpoint(tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(BadInput, match="not a dsel checkpoint"):
        read_checkpoint(tmp_path)
    assert not (tmp_path / "caught").exists()


def test_what_a_killed_process_left_is_removed(noise_corpus, tmp_path):
    run = tmp_path / "run"
    trainer(noise_corpus, run).fit(until=2)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (run / f".checkpoint-0000004.{HOST}-{ended.pid}-0.part.pt").write_bytes(b"half")
    with (run / "metrics.csv").open("a") as file:
        file.write((run / "metrics.csv").read_text().splitlines()[-1].replace("2,", "3,", 1)[:-1])
    resumed = trainer(noise_corpus, run, resume=True)
    assert not list(run.glob(".*.part*"))
    assert [row["step"] for row in read_metrics(run)] == [1, 2]
    assert resumed.step == 2


def test_the_batch_may_be_shared_out_anew_among_processes(tmp_path, capsys):
    saved = {"model": {"D": 8}, "train": {"B": 8, "extra": 2, "lr": 0.1, "keep": 3}}
    now = json.loads(json.dumps(saved))
    now["train"] |= {"B": 16, "extra": 4, "keep": 5}
    same_config(saved, now, tmp_path, (2, 1))
    assert capsys.readouterr().out == ""
    same_config(saved, saved, tmp_path, (2, 1))
    assert "begun by 2 processes, now 1" in capsys.readouterr().out
    with pytest.raises(BadInput, match=r"train\.B was 8, now 16; train\.extra was 2, now 4"):
        same_config(saved, now, tmp_path)
    with pytest.raises(BadInput, match=r"train\.lr was 0\.1, now 0\.2"):
        same_config(saved, {**saved, "train": {**saved["train"], "lr": 0.2}}, tmp_path, (2, 1))


def test_what_may_change_when_a_run_is_resumed(tmp_path):
    train = dataclasses.asdict(TrainConfig())
    config = {"model": {"D": 8}, "train": train}
    at_run_time = {
        "device",
        "log_every",
        "save_every",
        "keep",
        "compile",
        "tensorboard",
        "loader",
        "workers",
    }
    for name, value in train.items():
        other = {"model": {"D": 8}, "train": {**train, name: "another"}}
        assert value != "another"
        if name in at_run_time:
            same_config(config, other, tmp_path)
        else:
            with pytest.raises(BadInput, match=rf"train\.{name} was "):
                same_config(config, other, tmp_path)


def test_a_run_from_before_a_field_existed_has_its_default(tmp_path):
    train = dataclasses.asdict(TrainConfig())
    old = {
        name: value
        for name, value in train.items()
        if name not in ("redraw", "start_from", "compile")
    }
    same_config({"model": {}, "train": old}, {"model": {}, "train": train}, tmp_path)
    with pytest.raises(BadInput, match=r"train\.redraw was False, now True"):
        same_config(
            {"model": {}, "train": old}, {"model": {}, "train": {**train, "redraw": True}}, tmp_path
        )


def test_a_run_with_a_field_that_no_longer_exists_goes_on_only_if_it_was_off(tmp_path):
    train = dataclasses.asdict(TrainConfig())
    for value in (False, True):
        saved = {"model": {}, "train": {**train, "distinct_speakers": value}}
        if not value:
            same_config(saved, {"model": {}, "train": train}, tmp_path)
            continue
        with pytest.raises(BadInput, match=r"distinct_speakers was True, now unknown"):
            same_config(saved, {"model": {}, "train": train}, tmp_path)


def test_random_states_come_back(noise_corpus, tmp_path):
    trainer(noise_corpus, tmp_path / "run").fit(until=2)
    expected = torch.rand(4)
    torch.manual_seed(99)
    trainer(noise_corpus, tmp_path / "run", resume=True)
    assert torch.equal(torch.rand(4), expected)


def test_killed_three_times_and_still_the_same_to_the_bit(noise_corpus, tmp_path):
    """The short form of benchmarks/kill.py, in a process of its own: it forks."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'benchmarks')!r});"
        "from kill import kill_and_resume;"
        f"places = {str(noise_corpus.path)!r}, {str(tmp_path)!r};"
        "print(kill_and_resume(*places, kills=3, steps=6, seed=3))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    found = ast.literal_eval(done.stdout.splitlines()[-1])
    assert found["cache"] + found["step"] + found["checkpoint"] == 3
    assert (found["weights"], found["optimiser"], found["rows"], found["left"]) == (
        True,
        True,
        True,
        [],
    )
