"""Files of weights are checked when they are read.

One that cannot be used gives one line that names the file and the remedy.
"""

import dataclasses
import io
import json
import os
import pickle
import random
import shutil
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict

import pytest
import torch
from conftest import ROOT
from test_train import SMALL

from dsel.cli import main
from dsel.evaluate.sync import sync_of
from dsel.losses import DisentangledLoss
from dsel.model import ModelConfig, TwoStream
from dsel.train import TrainConfig, Trainer, load_loss, load_model, read_checkpoint, release, train
from dsel.train.released import RELEASED, keep_networks, load_networks, run_folder, sha256
from dsel.train.weights import networks_in, read_weights, try_read, write_weights
from dsel.utils.errors import BadInput

TINY = {"hidden": 8, "D": 4}


def tiny_state(**changes) -> dict:
    """A file of weights of small heads, as `release` writes it."""
    torch.manual_seed(0)
    config = ModelConfig.laptop(**TINY)
    settings = {
        "alpha_c": 1.0,
        "alpha_s": 1.0,
        "lam": 1.0,
        "similarity": "cosine",
        "confusion_scale": "detached",
    }
    settings |= {"w0": 10.0, "w_max": 20.0}
    weights, loss = TwoStream(config).state_dict(), DisentangledLoss().state_dict()
    config = {"model": config.to_dict(), "train": settings}
    return {"model": weights, "loss": loss, "config": config, "step": 3} | changes


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "good.pt"
    write_weights(path, tiny_state())
    return path


@pytest.fixture(scope="module")
def trained(noise_corpus, tmp_path_factory):
    run = tmp_path_factory.mktemp("trained") / "run"
    train(noise_corpus.path, run, progress=False, **{**SMALL, "steps": 4, "device": "cpu"})
    return run


def assert_same(model, other):
    assert model.config == other.config
    assert all(
        torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items()
    )


def one_line(caught) -> str:
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 500
    return text


# --- Where weights come from ----------------------------------------------------------------------


def test_a_run_a_file_and_a_name_are_read_by_one_function(good, trained, tmp_path, monkeypatch):
    monkeypatch.setattr("dsel.train.released.RELEASED", tmp_path)
    shutil.copy(good, tmp_path / "small.pt")
    for source in ("small", good, str(good)):
        model = load_model(source, "cpu")
        assert (model.training, model.config.D) == (False, 4)
        assert load_networks(source, "cpu")[1] == "cosine"
        assert load_loss(source).scales() == pytest.approx(
            {"w_content": 10, "w_identity": 10}, rel=1e-6
        )
        assert run_folder(source) is None
    last = read_checkpoint(trained)["model"]
    for source in (trained, trained / "checkpoint.pt", f"{trained}/"):
        assert all(
            torch.equal(value, last[name])
            for name, value in load_model(source, "cpu").state_dict().items()
        )
    assert run_folder(trained) == trained
    earlier = load_model(trained / "checkpoint-0000002.pt", "cpu").state_dict()
    assert not all(torch.equal(value, last[name]) for name, value in earlier.items())


def test_a_run_folder_goes_before_a_released_name(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (
        tmp_path / "laptop"
    ).mkdir()  # a folder of that name that is no run does not hide the released networks
    assert_same(load_model("laptop", "cpu"), load_model(RELEASED / "laptop.pt", "cpu"))
    shutil.copy(trained / "checkpoint.pt", tmp_path / "laptop")
    state = load_model("laptop", "cpu").state_dict()
    assert all(
        torch.equal(value, state[name]) for name, value in read_checkpoint(trained)["model"].items()
    )


def test_the_networks_of_a_finished_cell(good, tmp_path):
    model, settings = (
        networks_in(read_weights(good), good),
        TrainConfig.laptop(similarity="inverse_distance"),
    )
    keep_networks(model, settings, tmp_path / "model.pt")
    for source in (tmp_path, tmp_path / "model.pt"):
        kept, similarity = load_networks(source, "cpu")
        assert similarity == settings.similarity
        assert all(
            torch.equal(value, kept.state_dict()[name])
            for name, value in model.state_dict().items()
        )
    with pytest.raises(BadInput, match="networks without their loss"):
        load_loss(tmp_path)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("none", "no checkpoint; train one"),
        ("none", "laptop"),
        ("none.pt", "none.pt: no such file"),
        ("", "no checkpoint"),
    ],
)
def test_nothing_there(source, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput) as caught:
        load_model(source)
    assert words in one_line(caught)


def test_every_command_takes_a_released_name(noise_corpus, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = ["--data", str(noise_corpus.path)]
    assert main(["evaluate", "laptop", *data]) == 0
    assert "EER, identity head" in capsys.readouterr().out
    assert main(["embed", "laptop", *data, "--out", "e.npz"]) == 0
    assert main(["plot", str(RELEASED / "notes.pt"), *data, "--out", "map.html"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "e.npz",
        "map.html",
    }  # nothing was written beside the weights
    assert_same(sync_of("laptop").model, load_model(RELEASED / "laptop.pt", "cpu"))


# --- What is refused ------------------------------------------------------------------------------


def write_raw(path, entries: dict[str, bytes], packed=False) -> None:
    """An archive with these entries, stored plainly unless `packed`."""
    with zipfile.ZipFile(
        path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    ) as archive:
        for name, text in entries.items():
            archive.writestr(name, text)


def entries_of(path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


class Trap:
    """Runs when it is unpickled by a reader that runs what it reads."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def cut(path, good):
    path.write_bytes(good.read_bytes()[:-5000])


def flipped(path, good):
    text = bytearray(good.read_bytes())
    text[len(text) // 2] ^= 1
    path.write_bytes(text)


def packed(path, good):
    write_raw(path, entries_of(good), packed=True)


def overlapping(path, good):
    """Every entry of the directory at the end points at the same bytes, over and over."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data/0", bytes(1 << 20))
        entry = archive.infolist()[0]
        for k in range(1, 50):
            again = zipfile.ZipInfo(f"archive/data/{k}")
            again.file_size = again.compress_size = entry.file_size
            again.CRC, again.header_offset = entry.CRC, entry.header_offset
            archive.filelist.append(again)
    path.write_bytes(buffer.getvalue())


def inflated(path, good):
    """A pickle that asks torch for 4 GB."""
    size = struct.pack("<i", 32_000)
    harm = b"\x80\x02}X\x05\x00\x00\x00modelctorch\nTensor\n(J" + size + b"J" + size + b"tRs."
    write_raw(path, {"archive/data.pkl": harm, "archive/version": b"3\n"})


def old_format(path, good):
    torch.save(tiny_state(), path, _use_new_zipfile_serialization=False)


HARM = {  # what was done to a file: a word of the line
    "absent": ("no such file", lambda path, good: None),
    "empty": ("empty", lambda path, good: path.write_bytes(b"")),
    "text": ("not a dsel checkpoint", lambda path, good: path.write_text("<html>404</html>")),
    "folder": ("not a file", lambda path, good: path.mkdir()),
    "pipe": ("not a file", lambda path, good: os.mkfifo(path)),
    "cut": ("incomplete or damaged", cut),
    "flipped": ("a checksum differs", flipped),
    "packed": ("larger than the file", packed),
    "overlapping": ("larger than the file", overlapping),
    "inflated": ("more than tensors", inflated),
    "old format": ("not a dsel checkpoint", old_format),
    "pickle": (
        "not a dsel checkpoint",
        lambda path, good: path.write_bytes(pickle.dumps({"model": 1})),
    ),
    "trap": (
        "more than tensors",
        lambda path, good: torch.save({"model": Trap(path.parent / "caught")}, path),
    ),
    "another archive": (
        "damaged",
        lambda path, good: write_raw(path, {"word/document.xml": b"<xml/>"}),
    ),
    "a list": ("not a dsel checkpoint", lambda path, good: torch.save([1, 2], path)),
    "weights alone": (
        "no 'model' in it",
        lambda path, good: torch.save(tiny_state()["model"], path),
    ),
    "no configuration": ("no 'config' in it", lambda path, good: torch.save({"model": {}}, path)),
}


@pytest.mark.parametrize("harm", HARM)
def test_a_file_that_is_none_of_ours(good, tmp_path, harm):
    words, do = HARM[harm]
    path = tmp_path / "bad.pt"
    do(path, good)
    with pytest.raises(BadInput) as caught:
        load_model(path, "cpu")
    text = one_line(caught)
    assert text.startswith(f"{path}: ")
    assert words in text
    assert "copy or download it again" in text
    assert not (tmp_path / "caught").exists()


def changed(name, value):
    state = tiny_state()
    state["model"][name] = value
    return state


def configured(**changes):
    state = tiny_state()
    state["config"]["model"] |= changes
    return state


def renamed(state, old, new):
    state["model"] = OrderedDict(
        (new if name == old else name, value) for name, value in state["model"].items()
    )
    return state


BIAS = "audio_heads.content.3.bias"  # (D,)
CONV = {
    "out": 256,
    "kernel": (3, 3),
    "stride": (1, 1),
    "pad": (0, 0),
    "pool": None,
    "pool_stride": None,
    "pool_pad": (0, 0),
}
MISFITS = {
    "a weight too many": (
        lambda: changed("another", torch.zeros(3)),
        "has an unknown weight another",
    ),
    "a weight of another name": (lambda: renamed(tiny_state(), BIAS, "x"), f"lacks weight {BIAS}"),
    "another shape": (
        lambda: changed(BIAS, torch.zeros(5)),
        f"{BIAS} is (5,), but its configuration says (4,)",
    ),
    "another D": (lambda: configured(D=8), "but its configuration says (8"),
    "NaN": (
        lambda: changed(BIAS, torch.tensor([0, torch.nan, 0, 0])),
        f"{BIAS} holds NaN or infinite numbers",
    ),
    "infinite": (
        lambda: changed(BIAS, torch.full((4,), -torch.inf)),
        f"{BIAS} holds NaN or infinite numbers",
    ),
    "whole numbers": (
        lambda: changed(BIAS, torch.zeros(4, dtype=torch.int64)),
        f"{BIAS} is of type int64",
    ),
    "words": (lambda: changed(BIAS, "zero"), "not tensors by name"),
    "no dictionary": (lambda: tiny_state(model=[1, 2]), "not tensors by name"),
    "config: none": (lambda: tiny_state(config=None), "configuration cannot be read"),
    "config: no model": (lambda: tiny_state(config={"train": {}}), "configuration cannot be read"),
    "config: no layers": (lambda: configured(face=3), "configuration cannot be read"),
    "config: unknown key": (lambda: configured(depth=3), "key 'depth' is unknown"),
    "config: words": (lambda: configured(hidden="wide"), "makes no networks"),
    "config: negative": (lambda: configured(hidden=-3), "makes no networks"),
    "config: larger faces": (lambda: configured(face_size=96), "one window must give one vector"),
    "config: many layers": (lambda: configured(face=[CONV] * 1000), "more layers than weights"),
    "config: huge": (lambda: configured(hidden=2_000_000), "but its configuration says (2000000"),
    "config: beyond": (lambda: configured(hidden=10**30), "makes no networks"),
    "one number for many": (lambda: repeated(), "larger than the file"),
}


def repeated():
    """Networks with layers of 3 GB, of one number each."""
    state, D = tiny_state(), 100_000_000
    state["config"]["model"]["D"] = D
    for name, value in state["model"].items():
        if ".3." in name and "heads" in name:
            state["model"][name] = torch.zeros(1).expand(D, *value.shape[1:])
    return state


@pytest.mark.parametrize("misfit", MISFITS)
def test_weights_that_do_not_fit(tmp_path, misfit):
    make, words = MISFITS[misfit]
    path = tmp_path / "bad.pt"
    torch.save(make(), path)
    with pytest.raises(BadInput) as caught:
        load_model(path, "cpu")
    text = one_line(caught)
    assert text.startswith(f"{path}: ")
    assert words in text
    assert text.endswith("copy or download it again")


PEAK = """
import sys
from pathlib import Path
from dsel.train import load_model
from dsel.utils.errors import BadInput
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmPeak"))

load_model("laptop", "cpu")
before = peak()
try:
    load_model(sys.argv[1], "cpu")
except BadInput:
    print((peak() - before) // 1024)
"""


@pytest.mark.heavy
@pytest.mark.skipif(
    not os.path.exists("/proc/self/status"), reason="the peak of memory is read from /proc"
)
@pytest.mark.parametrize("harm", ["inflated", "config: huge", "one number for many"])
def test_no_header_takes_memory(good, tmp_path, harm):
    """Each of these files asks for 2 GB or more."""
    path = tmp_path / "bad.pt"
    if harm in HARM:
        HARM[harm][1](path, good)
    else:
        torch.save(MISFITS[harm][0](), path)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 200  # MB


def test_the_card_must_have_the_hash_of_its_file(good, tmp_path):
    path, card = tmp_path / "a.pt", tmp_path / "a.json"
    shutil.copy(good, path)
    for text in (json.dumps({"sha256": sha256(path)}), json.dumps({"name": "no hash on it"}), "[]"):
        card.write_text(text)
        load_model(path, "cpu")
    card.write_text(json.dumps({"sha256": "0" * 64}))
    with pytest.raises(
        BadInput,
        match=r"a\.pt: its sha256 is not the one on its card a\.json; copy or download it again",
    ):
        load_model(path, "cpu")
    card.write_text("{")
    with pytest.raises(
        BadInput, match=r"a\.json, line 1, column 2: not JSON .*copy or download it again"
    ):
        load_model(path, "cpu")


def test_a_released_file_that_was_changed_is_named_with_its_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr("dsel.train.released.RELEASED", tmp_path)
    shutil.copy(RELEASED / "laptop.json", tmp_path)
    shutil.copy(RELEASED / "notes.pt", tmp_path / "laptop.pt")
    with pytest.raises(BadInput, match=r"sha256 is not the one on its card .* get it again"):
        load_model("laptop", "cpu")


def test_a_run_whose_networks_were_lost_names_what_is_left(trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    state = read_checkpoint(run)
    state["model"]["audio_heads.content.3.bias"][0] = torch.nan
    write_weights(run / "checkpoint.pt", state)
    with pytest.raises(
        BadInput,
        match=r"checkpoint\.pt: .* holds NaN .*give an earlier checkpoint of .*run \(checkpoint-",
    ):
        load_model(run)
    load_model(run / "checkpoint-0000002.pt", "cpu")


def test_old_settings_without_a_similarity(good, tmp_path):
    write_weights(
        tmp_path / "a.pt",
        tiny_state(config={"model": tiny_state()["config"]["model"], "train": {}}),
    )
    with pytest.raises(BadInput, match=r"a\.pt: its configuration names no similarity"):
        load_networks(tmp_path / "a.pt")
    with pytest.raises(BadInput, match=r"a\.pt: its loss cannot be read \(KeyError\)"):
        load_loss(tmp_path / "a.pt")


@pytest.mark.parametrize("missing", ["optimiser", "scheduler", "loss"])
def test_a_run_without_its_optimiser_can_only_be_started_from(
    noise_corpus, trained, tmp_path, missing
):
    run = tmp_path / "run"
    run.mkdir()
    state = read_checkpoint(trained)
    write_weights(
        run / "checkpoint.pt", {name: value for name, value in state.items() if name != missing}
    )
    settings, networks = (
        TrainConfig.checked(**{**SMALL, "steps": 4, "device": "cpu"}),
        ModelConfig.laptop(),
    )
    with pytest.raises(BadInput, match=r"cannot be resumed .* with --set start_from=") as caught:
        Trainer(noise_corpus, networks, settings, run, resume=True, progress=False)
    one_line(caught)
    settings = dataclasses.replace(settings, start_from=str(run))
    new = Trainer(noise_corpus, networks, settings, tmp_path / "new", progress=False)
    assert all(
        torch.equal(value, state["model"][name]) for name, value in new.model.state_dict().items()
    )


def test_a_training_may_begin_with_released_networks(noise_corpus, tmp_path):
    def begun(source, **changes):
        config = TrainConfig.checked(
            **{**SMALL, "device": "cpu", **changes}, start_from=str(source)
        )
        out = tmp_path / f"{source}{len(changes)}"
        return Trainer(
            noise_corpus, load_model("laptop", "cpu").config, config, out, progress=False
        )

    laptop, fresh = load_model("laptop", "cpu").state_dict(), load_loss("laptop").scales()
    for changes in ({}, {"reversal": 0.1}):  # the second has adversaries, which the first had not
        t = begun("laptop", **changes)
        assert all(torch.equal(value, laptop[name]) for name, value in t.model.state_dict().items())
        assert t.loss.scales() == pytest.approx(fresh)
    assert begun("laptop", similarity="inverse_distance", w_max=None).loss.scales() == {}
    with pytest.raises(BadInput, match="no checkpoint; train one"):
        begun("desktop")


def test_loading_draws_no_random_numbers(good):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_model(good, "cpu")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.heavy
def test_random_damage_ends_in_a_line_or_in_networks(good, tmp_path):
    """Bytes of the pickle changed, dropped and added; the archive around it is whole."""
    entries, draw, path, lines = entries_of(good), random.Random(4), tmp_path / "bad.pt", []
    for _ in range(150):
        text = bytearray(entries["archive/data.pkl"])
        for _ in range(draw.choice((1, 1, 3))):
            place = draw.randrange(len(text))
            text[place : place + draw.randrange(3)] = draw.randbytes(draw.randrange(3))
        write_raw(path, entries | {"archive/data.pkl": bytes(text)})
        try:
            load_model(path, "cpu")
        except BadInput as error:
            lines.append(str(error))
    assert all(line.startswith(f"{path}: ") and "\n" not in line for line in lines)
    assert len(lines) > 75


# --- What is written ------------------------------------------------------------------------------


def test_the_same_state_gives_the_same_bytes_under_every_name(tmp_path):
    for name in ("a.pt", "another name.pt"):
        write_weights(tmp_path / name, tiny_state())
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "another name.pt").read_bytes()
    assert {name.split("/")[0] for name in entries_of(tmp_path / "a.pt")} == {"archive"}
    assert {path.name for path in tmp_path.iterdir()} == {"a.pt", "another name.pt"}


def test_a_run_is_released_with_the_same_hash_each_time(trained, tmp_path):
    (trained / "evaluation.json").write_text('{"rows": []}')
    code = f"from dsel.train import release; release({str(trained)!r}, {str(tmp_path / 'b.pt')!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.returncode == 0
    release(trained, tmp_path / "a.pt")  # another process, another name
    hashes = {json.loads((tmp_path / f"{name}.json").read_text())["sha256"] for name in "ab"}
    assert hashes == {sha256(tmp_path / "a.pt")}


def test_what_is_read_is_what_was_written(good):
    state = read_weights(good)
    assert try_read(good)[1] == ""
    assert all(
        torch.equal(value, state["model"][name]) for name, value in tiny_state()["model"].items()
    )
    assert state["config"] == tiny_state()["config"]
