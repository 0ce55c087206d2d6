"""A file is written completely or not at all, and what a killed process leaves is removed."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT

from dsel.utils import files
from dsel.utils.errors import BadInput

WRITES = """
import sys, time
from dsel.utils.files import atomic, lock, scratch
{block}
    print("inside", flush=True)
    time.sleep(60)
"""


def start(block: str) -> subprocess.Popen:
    """Start a process that enters a `with` block and stays in it; return when it is inside."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", WRITES.format(block=block)], stdout=subprocess.PIPE, env=env
    )
    assert process.stdout.readline() == b"inside\n"
    return process


def kill(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def on_windows(monkeypatch):
    """Emulate what Windows does otherwise: how a process is asked for, and that os.kill ends it."""

    def refuse(pid, number):
        raise AssertionError("os.kill(pid, 0) ends a process on Windows")

    monkeypatch.setattr(files, "WINDOWS", True)
    monkeypatch.setattr(os, "kill", refuse)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "new" / "a.txt"
    files.write_text(path, "old")
    with files.atomic(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
        assert part.parent == path.parent
        assert part.suffix == ".txt"  # encoders choose the format by it
    assert path.read_text() == "new"
    assert names(path.parent) == ["a.txt"]


def test_a_block_that_fails_changes_nothing(tmp_path):
    files.write_text(tmp_path / "a.txt", "old")

    def interrupted(part):
        part.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), files.atomic(tmp_path / "a.txt") as part:
        interrupted(part)
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    with files.atomic(tmp_path / "a.txt") as one, files.atomic(tmp_path / "a.txt") as two:
        one.write_text("one")
        two.write_text("two")
    assert (tmp_path / "a.txt").read_text() == "one"  # the block that ended last
    assert names(tmp_path) == ["a.txt"]


def test_a_name_as_long_as_a_file_system_allows(tmp_path):
    path = tmp_path / ("ß" * 125 + ".txt")  # 254 bytes of 255
    assert files.write_text(path, "x").read_text() == "x"


def test_the_bytes_reach_the_disk_before_the_name_does(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("rename"), replace(a, b)))
    with files.atomic(tmp_path / "a", durable=True) as part:
        part.write_bytes(b"x")
    assert calls == ["fsync", "rename", "fsync"]  # the file, its name, the folder
    calls.clear()
    files.write_bytes(tmp_path / "a", b"y")
    assert calls == ["rename"]


def test_text_is_the_same_bytes_on_every_system(tmp_path):
    assert files.write_text(tmp_path / "a", "ä\n\r\n").read_bytes() == b"\xc3\xa4\n\r\n"
    assert files.write_json(tmp_path / "b", {"b": 1, "a": 2}, sort_keys=True).read_bytes() == (
        b'{\n "a": 2,\n "b": 1\n}\n'
    )
    rows = [{"b": 1, "a": "x,y"}, {"a": "", "c": 'say "1"'}]
    assert files.write_csv(tmp_path / "c", rows, ("a",)).read_bytes() == (
        b'a,b,c\n"x,y",1,\n,,"say ""1"""\n'
    )


def test_what_is_no_file_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(BadInput, match=f"{name}: is not a file; choose another name"):
            files.write_text(tmp_path / name, "x")
    with pytest.raises(BadInput, match="file: is not a folder"):
        files.write_text(tmp_path / "file" / "a.txt", "x")
    with pytest.raises(BadInput, match="/dev/null: is not a file"):
        files.write_text("/dev/null", "x")
    assert Path("/dev/null").is_char_device()
    assert names(tmp_path) == ["file", "folder", "pipe"]


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    files.write_text(tmp_path / "link", "new")
    assert (tmp_path / "kept").read_text() == "kept"
    assert (tmp_path / "link").read_text() == "new"
    assert not (tmp_path / "link").is_symlink()


def test_a_link_that_leads_out_of_a_folder_is_refused(tmp_path):
    for name in ("corpus", "corpus/inner", "elsewhere"):
        (tmp_path / name).mkdir()
    corpus = tmp_path / "corpus"
    (corpus / "clips").symlink_to(tmp_path / "elsewhere")
    (corpus / "labels").symlink_to(corpus / "inner")
    files.refuse_links(corpus, "labels", "inner", "not there")
    with pytest.raises(BadInput, match=r"clips: is a link to .*elsewhere; replace it by a folder"):
        files.refuse_links(corpus, "labels", "clips")


def test_a_folder_appears_whole_and_the_first_one_stays(tmp_path):
    with files.atomic_folder(tmp_path / "f") as part:
        (part / "a").write_text("1")
        assert names(tmp_path) == [part.name]
    with files.atomic_folder(tmp_path / "f") as part:
        (part / "a").write_text("2")
    assert (tmp_path / "f" / "a").read_text() == "1"
    with pytest.raises(RuntimeError), files.atomic_folder(tmp_path / "g"):
        raise RuntimeError
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize(
    ("block", "left"),
    [
        ("with atomic({0!r} + '/a.txt') as part:\n    part.write_text('half')", 1),
        ("with scratch({0!r}) as part:\n    (part / 'a').write_text('half')", 1),
        ("with lock({0!r} + '/.lock') as mine:\n    assert mine", 0),
    ],
)
def test_what_a_killed_process_leaves_is_swept_away_and_nothing_else(tmp_path, block, left):
    process = start(block.format(str(tmp_path)))
    files.write_text(tmp_path / "kept.part", "x")
    other = f".a.{files.HOST}x-{process.pid}-0.part.txt"  # of another machine
    files.write_text(tmp_path / other, "x")
    before = names(tmp_path)
    files.sweep(tmp_path)
    assert names(tmp_path) == before  # its process is at it
    kill(process)
    files.sweep(tmp_path, tmp_path / "no such folder")
    assert len(before) - len(names(tmp_path)) == left
    assert {other, "kept.part"} <= set(names(tmp_path))


def test_a_process_is_asked_for_without_touching_it():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert files.process_is_alive(process.pid)
    assert files.process_is_alive(os.getpid())
    process.stdin.close()
    process.wait()
    assert not files.process_is_alive(process.pid)
    assert not any(map(files.process_is_alive, (0, -1, 1 << 40)))


@pytest.mark.parametrize(
    ("handle", "error", "code", "alive"),
    [(7, 0, 259, True), (7, 0, 1, False), (0, 5, 0, True), (0, 87, 0, False)],
)
def test_windows_is_asked_otherwise(on_windows, monkeypatch, handle, error, code, alive):
    closed = []

    def exit_code(handle, place):
        place._obj.value = code

    kernel = SimpleNamespace(
        OpenProcess=lambda rights, inherit, pid: handle,
        GetExitCodeProcess=exit_code,
        CloseHandle=closed.append,
    )
    monkeypatch.setattr(ctypes, "WinDLL", lambda name, **options: kernel, raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: error, raising=False)
    assert files.process_is_alive(123) is alive
    assert closed == ([handle] if handle else [])


@pytest.mark.parametrize(("refusals", "replaced"), [(3, True), (99, False)])
def test_an_open_file_is_waited_for_and_then_reported(
    tmp_path, on_windows, monkeypatch, refusals, replaced
):
    """On Windows a file that somebody has open cannot be replaced."""
    replace, left = os.replace, [refusals]

    def refuse(part, path):
        left[0] -= 1
        if left[0] >= 0:
            raise PermissionError(13, "Access is denied")
        replace(part, path)

    files.write_text(tmp_path / "a.csv", "old")
    monkeypatch.setattr(os, "replace", refuse)
    if replaced:
        files.write_text(tmp_path / "a.csv", "new")
    else:
        says = r"a.csv: cannot be replaced \(Access is denied\); close the program"
        with pytest.raises(BadInput, match=says):
            files.write_text(tmp_path / "a.csv", "new")
    assert (tmp_path / "a.csv").read_text() == ("new" if replaced else "old")
    assert names(tmp_path) == ["a.csv"]


def test_one_process_at_a_time_and_the_lock_ends_with_it(tmp_path):
    path = tmp_path / "new" / ".lock"
    process = start(f"with lock({str(path)!r}) as mine:\n    assert mine")
    with files.lock(path) as mine:
        assert not mine
    kill(process)
    with files.lock(path) as mine:
        assert mine
        with files.lock(path) as again:  # nor twice in one process
            assert not again
    with files.lock(path, wait=True) as mine:
        assert mine


def test_waiting_for_a_lock(tmp_path):
    path = tmp_path / ".lock"
    process = start(f"with lock({str(path)!r}) as mine:\n    assert mine")
    script = (
        f"from dsel.utils.files import lock\nwith lock({str(path)!r}, wait=True) as m: print(m)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    waiting = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=env)
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.7)
    kill(process)
    assert waiting.communicate(timeout=30)[0] == b"True\n"


def test_json_that_is_written_is_read_back(tmp_path):
    value = {"ä": [1, 2.5, None, "\N{SNOWMAN}"]}
    assert json.loads(files.write_json(tmp_path / "a.json", value).read_text()) == value
