"""The command line: the whole line end to end, and one clear line for every bad input."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, make_noise_corpus

from dsel.cli import main

COMMANDS = ("toy", "prepare", "train", "evaluate", "embed", "plot", "release", "ablation", "demo")


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


def test_help_starts_fast_because_nothing_heavy_is_imported():
    code = "import sys; from dsel.cli import main\ntry: main(['--help'])\nexcept SystemExit: print('torch' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert found.stdout.splitlines()[-1] == "False"


def test_the_whole_line_on_a_toy_corpus(tmp_path):
    """make demo in small: corpus, training, table with chance, picture; a second call does nothing twice."""
    pytest.importorskip("espeakng_loader", reason="voices need the extra 'speech'")
    arguments = ("demo", "--out", tmp_path / "demo", "--speakers", 40, "--steps", 2)
    first = dsel(*arguments)
    assert first.returncode == 0, first.stderr[-2000:]
    assert "chance" in first.stdout
    assert "EER, identity head, hard trials, same sex" in first.stdout
    page = (tmp_path / "demo" / "identity_against_content.html").read_text(encoding="utf-8")
    assert "Plotly.newPlot" in page
    assert 'src="http' not in page  # opens offline
    clips = {
        p: p.stat().st_mtime_ns for p in (tmp_path / "demo" / "corpus" / "clips").rglob("*.mp4")
    }
    again = dsel(*arguments)
    assert again.returncode == 0, again.stderr[-2000:]
    assert {p: p.stat().st_mtime_ns for p in clips} == clips
    assert again.stdout.splitlines()[-8:] == first.stdout.splitlines()[-8:]


def test_train_evaluate_embed_by_hand(noise_corpus, tmp_path, capsys):
    data, run = noise_corpus.path, tmp_path / "run"
    settings = [
        "B=3",
        "N=6",
        "extra=2",
        "steps=2",
        "lam=0.5",
        "distinct_speakers=true",
        "w_max=none",
        "precision=float32",
    ]
    shape = ("--net", "front_end=none", "D=64")
    assert main(["train", "--data", str(data), "--out", str(run), *shape, "--set", *settings]) == 0
    assert "step 2 of 2" in capsys.readouterr().out
    assert json.loads((run / "config.json").read_text())["model"]["front_end"] == "none"
    before = ("--net", "track_norm=false", "D=64")  # what front_end=none was called
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
    err = err.split("\r")[-1].lstrip()  # after the progress bars, which wipe themselves
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
    assert "unknown key 'norm'; known are D, face_size" in refuse(
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
    assert (run / "checkpoint.pt").read_bytes() == before  # what was made stays
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
    found = dsel("evaluate", tmp_path / "none", "--data", tmp_path)
    assert found.returncode == 2
    assert "Traceback" not in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1
