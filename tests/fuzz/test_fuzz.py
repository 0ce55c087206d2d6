"""A small part of the broken inputs and of the kills; `make fuzz` and `make kill` run all of them.

The harness itself is tried with faults that it must find.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fuzz import breakage, kills
from fuzz.harness import BAD, GOOD, Case, run_case
from fuzz.run import outcomes, table, warm_up
from fuzz.targets import TARGETS, templates

from dsel.cli import main
from dsel.utils import files
from dsel.utils.errors import BadInput

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="each input runs in a forked process"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    warm_up()
    return templates(tmp_path_factory.mktemp("made"))


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_broken_inputs_end_in_a_result_or_in_one_clear_line(made, target):
    found = list(outcomes([target], made, share=0.02))
    bad = [
        f"{each.number}: {each.kind}: {each.what}\n{each.says}"
        for each in found
        if each.kind in BAD
    ]
    assert not bad, "\n\n".join(bad)
    assert found


@pytest.mark.parametrize("command", ["prepare, 1 process", "shard", "train", "release"])
def test_a_command_that_was_killed_ends_the_same(made, tmp_path, command):
    found = kills.kill(command, made, tmp_path, kills=2)
    assert not found.wrong
    assert found.kills == 2


ONE_FILE = {  # commands that write a file or two to a place of the user's choice
    "release": "release {made}/run --out {out}/net.pt",
    "embed, a run": "embed {made}/run --data {made}/corpus --out {out}/e.npz",
    "embed, a file": "embed {made}/sounds/audio --model {made}/run --out {out}/e.npz",
    "verify": "verify {made}/sounds/list.txt --audio {made}/sounds/audio --model {made}/run "
    "--scores {out}/s.csv",
}


@pytest.mark.parametrize("command", ONE_FILE)
def test_what_a_killed_command_left_beside_its_file_is_gone_after_the_next(made, tmp_path, command):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = tmp_path / f".x.{files.HOST}-{gone.pid}-0.part.pt"
    mine = tmp_path / f".x.{files.HOST}-{os.getpid()}-0.part.pt"  # of a running process
    for part in (left, mine):
        part.write_bytes(b"half")
    assert main(ONE_FILE[command].format(made=made, out=tmp_path).split()) == 0
    assert not left.exists()
    assert mine.exists()


# --- The harness ----------------------------------------------------------------------------------


def ended(work, check=None, about=(), folder=None, out=""):
    """Run a function as a case and return the kind of its outcome."""

    def make(rng, place):
        def call():
            print(out)
            return work()

        return Case("planted", call=call, check=check, about=about)

    return run_case("planted", 0, make, folder)


def refuse(text):
    def work():
        raise BadInput(text)

    return work


def test_what_the_harness_must_find(tmp_path, monkeypatch):
    monkeypatch.setattr("fuzz.harness.SECONDS", 1)
    hold = 3 << 30
    place = {"folder": tmp_path / "case"}
    assert ended(lambda: 0, **place).kind == "result"
    assert ended(lambda: 1 / 0, **place).kind == "traceback"
    assert ended(lambda: time.sleep(60), **place).kind == "hang"
    assert ended(lambda: os.kill(os.getpid(), signal.SIGUSR1), **place).kind == "crash"
    assert ended(lambda: bytearray(hold), **place).kind == "traceback"  # refused: MemoryError
    assert ended(lambda: 0, lambda out: "one file is lost", **place).kind == "silent"
    assert ended(lambda: 0, out="EER  nan", **place).kind == "not a number"
    assert ended(lambda: 0, out="a banana, information", **place).kind == "result"
    assert ended(lambda: 3, **place).kind == "unclear"


def test_a_clear_line_names_its_file(made, tmp_path):
    def missing(about):
        return lambda rng, folder: Case("missing", ["embed", "gone.pt", *there], about)

    there = ["--data", str(made / "corpus"), "--out", "e.npz"]
    assert run_case("line", 0, missing(("gone.pt",)), tmp_path / "case").kind == "line"
    assert run_case("line", 0, missing(("other.pt",)), tmp_path / "case").kind == "unclear"
    usage = run_case("usage", 0, lambda rng, folder: Case("", ["embed"]), tmp_path / "case")
    assert usage.kind == "usage"
    assert "| all | 1 |" in table([usage])
    assert not set(GOOD) & set(BAD)


def test_the_same_number_gives_the_same_input(made, tmp_path):
    texts = []
    for turn in range(2):
        folder = tmp_path / str(turn)
        folder.mkdir()
        case = TARGETS["corpus"][0](made, random.Random("corpus 5"), folder)
        data = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        texts.append((case.what, case.argv, data))
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    "break_", [breakage.damage, breakage.boxes, breakage.csv_text, breakage.json_text]
)
def test_most_ways_of_breaking_change_something(break_):
    data = (
        b'{"id,ab": "x,y"}\n'
        if break_ is breakage.json_text
        else b"id,path\na,ftyp1234\nb,moov5678\n"
    )
    changed = [break_(random.Random(k), data)[1] != data for k in range(200)]
    assert np.mean(changed) > 0.8
