"""The command line: all commands once, and one clear line for every bad input."""

import errno
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, make_noise_corpus
from web_pages import figure_without_network

from dsel.cli import main
from dsel.utils.errors import BadInput

COMMANDS = (
    *("toy", "prepare", "shard", "train", "release", "import", "verify"),
    *("evaluate", "embed", "compare", "sync", "plot", "ablation", "demo", "export", "live"),
)


def dsel(*arguments, **environment):
    command = [sys.executable, "-m", "dsel", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_each_option_is_for(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert len(text.split()) > 30
    assert "==SUPPRESS==" not in text
    assert "None" not in text  # a default that tells nothing


def test_help_lists_the_commands_that_are_tested(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    # A long name stands on a line of its own, on some Pythons.
    listed = re.findall(r"^    (\w+)(?:  |$)", capsys.readouterr().out, re.M)
    assert sorted(listed) == sorted({*COMMANDS, "notebooks"})


def test_help_starts_fast_because_nothing_heavy_is_imported():
    code = (
        "import sys; from dsel.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout.splitlines()[-1] == "False"


@pytest.mark.heavy
@pytest.mark.umap
def test_the_whole_line_on_a_toy_corpus(tmp_path, monkeypatch, capsys):
    """`make demo` in small: corpus, training, table, plot; a second call makes nothing twice."""
    pytest.importorskip("espeakng_loader", reason="voices need the extra 'speech'")
    from dsel.toy.make import toy

    small = {"test_tracks": 6, "seconds": 1.2, "size": 48}
    monkeypatch.setattr("dsel.demo.toy", lambda *a, **more: toy(*a, **more, **small))
    arguments = ["demo", "--out", str(tmp_path / "demo"), "--speakers", "40", "--steps", "2"]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    assert "chance" in first
    assert "EER, identity head, hard trials, same sex" in first
    page = tmp_path / "demo" / "identity_against_content.html"
    assert figure_without_network(page) == (True, True)
    clips = {
        p: p.stat().st_mtime_ns for p in (tmp_path / "demo" / "corpus" / "clips").rglob("*.mp4")
    }
    assert len(clips) == 40 * 2 + (8 + 8) * 6
    assert main(arguments) == 0
    again = capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in clips} == clips
    assert again.splitlines()[-8:] == first.splitlines()[-8:]


def test_train_evaluate_embed_by_hand(noise_corpus, tmp_path, capsys):
    data, run = noise_corpus.path, tmp_path / "run"
    settings = [
        "B=3",
        "N=6",
        "extra=2",
        "steps=2",
        "lam=0.5",
        "tensorboard=false",
        "w_max=none",
        "precision=float32",
    ]
    shape = ("--net", "front_end=none", "D=64")
    assert main(["train", "--data", str(data), "--out", str(run), *shape, "--set", *settings]) == 0
    assert "step 2 of 2" in capsys.readouterr().out
    assert json.loads((run / "config.json").read_text())["model"]["front_end"] == "none"
    before = ("--net", "track_norm=false", "D=64")  # the old name of front_end=none
    assert (
        main(
            [
                "train",
                "--data",
                str(data),
                "--out",
                str(run),
                "--resume",
                *before,
                "--set",
                *settings,
            ]
        )
        == 0
    )
    assert main(["evaluate", str(run), "--data", str(data)]) == 0
    printed = capsys.readouterr().out
    assert "chance" in printed
    assert "trunk" not in printed
    assert main(["evaluate", str(run), "--data", str(data), "--probes"]) == 0
    assert "trunk" in capsys.readouterr().out
    assert {row["factor"] for row in json.loads((run / "leakage.json").read_text())["rows"]} == {
        "speaker",
        "sex",
    }
    assert main(["embed", str(run), "--data", str(data), "--out", str(tmp_path / "e.npz")]) == 0
    assert np.load(tmp_path / "e.npz")["face_content"].shape[1] == 64


def refuse(capsys, *arguments):
    assert main([str(a) for a in arguments]) == 2
    out, err = capsys.readouterr()
    err = err.split("\r")[-1].lstrip()  # after the progress bars, which erase themselves
    assert err.startswith("dsel: ")
    assert err.count("\n") == 1
    assert out == ""
    return err


def test_bad_input_is_one_line_and_status_2(noise_corpus, tmp_path, capsys):
    data, run, none = noise_corpus.path, tmp_path / "run", tmp_path / "none"
    small = ("--set", "B=3", "N=6", "extra=2", "steps=1")
    assert "no such folder; make a corpus" in refuse(capsys, "train", "--data", none, "--out", run)
    assert "unknown key 'lamda'" in refuse(
        capsys, "train", "--data", data, "--out", run, "--set", "lamda=1"
    )
    assert "unknown key 'norm'; known are D, content_crop, face_size" in refuse(
        capsys, "train", "--data", data, "--out", run, "--net", "norm=1"
    )
    assert "'many' is not a value like 16" in refuse(
        capsys, "train", "--data", data, "--out", run, "--set", "B=many"
    )
    assert "of at least 34 frames" in refuse(
        capsys, "train", "--data", data, "--out", run, "--set", "N=30"
    )
    assert "no checkpoint; train one" in refuse(capsys, "evaluate", none, "--data", data)
    assert main(["train", "--data", str(data), "--out", str(run), *small]) == 0
    capsys.readouterr()
    before = (run / "checkpoint.pt").read_bytes()
    assert "already holds a run" in refuse(capsys, "train", "--data", data, "--out", run, *small)
    assert "another configuration" in refuse(
        capsys, "train", "--data", data, "--out", run, "--resume", *small[:-1], "steps=9"
    )
    assert (run / "checkpoint.pt").read_bytes() == before  # finished work stays
    assert "no tracks in the split 'validation'" in refuse(
        capsys, "evaluate", run, "--data", data, "--split", "validation"
    )
    assert "written as .html or .png" in refuse(
        capsys, "plot", run, "--data", data, "--out", tmp_path / "map.pdf"
    )
    assert "no such" in refuse(capsys, "prepare", none, "--out", tmp_path / "new")


def test_a_corpus_of_another_version_and_a_clip_without_sound(tmp_path, capsys):
    corpus = make_noise_corpus(tmp_path / "corpus", speakers=2, tracks=3, test=0)
    meta = corpus.path / "corpus.json"
    good = meta.read_text()
    meta.write_text(good.replace('"format": 1', '"format": 7'))
    line = refuse(capsys, "train", "--data", corpus.path, "--out", tmp_path / "run")
    assert "format 7, this dsel reads 1" in line
    meta.write_text(good)
    import av

    silent = corpus.path / corpus.tracks[0].path
    with av.open(str(silent), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width = video.height = 48
        video.pix_fmt = "yuv420p"
        for image in np.zeros((30, 48, 48, 3), np.uint8):
            container.mux(video.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(video.encode())
    line = refuse(
        capsys,
        "train",
        "--data",
        corpus.path,
        "--out",
        tmp_path / "run",
        "--set",
        "B=3",
        "N=6",
        "extra=2",
        "steps=1",
    )
    assert "p0_0.mp4: a clip needs picture and sound" in line


def test_the_shell_sees_status_2_and_no_traceback(tmp_path):
    process = dsel("evaluate", tmp_path / "none", "--data", tmp_path)
    assert process.returncode == 2
    assert "Traceback" not in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "COMMAND"),
        (["lern"], "invalid choice: 'lern'"),
        (["toy"], "--out"),
        (["toy", "--out", "x", "--sped", "3"], "unrecognized arguments: --sped 3"),
        (["toy", "--out", "x", "--seed", "-1"], "--seed: '-1' is not a whole number from 0"),
        (["toy", "--out", "x", "--seed", "4294967296"], "--seed: '4294967296'"),
        (["toy", "--out", "x", "--seed", "1.5"], "--seed: '1.5'"),
        (["toy", "--out", "x", "--speakers", "many"], "--speakers"),
        (["demo", "--speakers", "0"], "--speakers: '0' is not a whole number of at least 1"),
        (["demo", "--steps", "0"], "--steps: '0'"),
        (["plot", "x", "--data", "x", "--out", "x", "--seed", "99999999999"], "--seed"),
        (["ablation", "--out", "x", "--seeds", "1", "-1"], "--seeds: '-1'"),
        (["shard", "x", "--out", "x", "--megabytes", "0"], "--megabytes: '0'"),
        (["prepare", "x", "--out", "x", "--size", "big"], "--size: 'big'"),
    ],
    ids=" ".join,
)
def test_a_bad_argument_is_one_line_that_points_to_the_help(arguments, says, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.count("\n") == 1
    assert "--help'" in err


@pytest.mark.parametrize("command", ["toy", "train", "shard", "ablation", "demo"])
def test_a_place_that_cannot_be_a_folder_is_one_line(command, noise_corpus, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    more = {"train": ["--data", noise_corpus.path], "shard": [noise_corpus.path]}.get(command, [])
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        line = refuse(capsys, command, *more, "--out", place)
        assert f"{tmp_path / 'file'}: is not a folder" in line
    assert (tmp_path / "file").read_text() == "mine"


def test_a_full_disk_is_one_line_and_a_mistake_of_ours_is_not(monkeypatch, tmp_path, capsys):
    def fail(number):
        def toy(**_):
            raise OSError(number, os.strerror(number), "a.mp4")

        monkeypatch.setattr("dsel.toy.make.toy", toy)

    fail(errno.ENOSPC)
    assert "a.mp4: No space left on device" in refuse(capsys, "toy", "--out", tmp_path / "c")
    fail(errno.EBADF)
    with pytest.raises(OSError, match="Bad file descriptor"):
        main(["toy", "--out", str(tmp_path / "c")])


def test_the_demo_refuses_before_it_makes_a_corpus(tmp_path):
    from dsel.demo import demo

    for bad in ({"speakers": 0}, {"speakers": -3}, {"speakers": 39}, {"steps": 0}):
        with pytest.raises(BadInput, match=next(iter(bad))):
            demo(tmp_path / "demo", progress=False, **bad)
        assert not (tmp_path / "demo").exists()
