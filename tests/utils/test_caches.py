"""Where no home can be written to, caches lie in a temporary folder, and one line says so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from dsel.utils import caches

KEYS = ("DSEL_CACHE", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR")


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """A system without variables that say where caches are, and with an own temporary folder."""
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    caches._temporary.cache_clear()
    yield monkeypatch
    caches._temporary.cache_clear()


def test_the_users_cache_folder_is_taken_where_it_can_be_made(nowhere, tmp_path, capsys):
    nowhere.setenv("HOME", str(tmp_path / "home"))
    assert caches.cache_folder() == tmp_path / "home" / ".cache" / "dsel"
    nowhere.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert caches.cache_folder() == tmp_path / "xdg" / "dsel"
    nowhere.setenv("DSEL_CACHE", str(tmp_path / "chosen"))
    assert caches.cache_folder() == tmp_path / "chosen"
    assert not capsys.readouterr().err


@pytest.mark.parametrize("home", ["/dev/null", "relative"])
def test_without_a_home_it_is_a_temporary_folder_and_said_once(nowhere, tmp_path, capsys, home):
    nowhere.setenv("HOME", home)
    folder = caches.cache_folder()
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o077 == 0  # nobody else reads it
    assert caches.cache_folder() == folder
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"cannot be written to; {folder} is used (set DSEL_CACHE" in said


def test_a_folder_of_somebody_else_is_not_used(nowhere, tmp_path):
    nowhere.setenv("HOME", "/dev/null")
    mine = os.getuid()
    nowhere.setattr(os, "getuid", lambda: mine + 1)
    folder = caches.cache_folder()
    assert folder.name.startswith("dsel-")
    assert folder.name != f"dsel-{mine + 1}"


def test_what_can_be_written(tmp_path):
    (tmp_path / "file").touch()
    assert caches.can_be_written(tmp_path / "new" / "deep")
    assert not caches.can_be_written(tmp_path / "file" / "below")


@pytest.mark.parametrize(("writable", "given"), [(True, False), (False, True)])
def test_numba_gets_a_folder_only_where_it_has_none(nowhere, tmp_path, writable, given):
    nowhere.setenv("DSEL_CACHE", str(tmp_path))
    nowhere.setattr(caches, "can_be_written", lambda folder: writable)
    caches.give_numba_a_folder()
    assert (os.environ.get("NUMBA_CACHE_DIR") == str(tmp_path / "numba")) == given


@pytest.mark.heavy
def test_a_corpus_that_cannot_be_written_to_is_embedded_without_a_home(tmp_path):
    """The package and its corpus are installed for reading, and there is no home."""
    script = (
        "import os, sys; from dsel.utils import caches; real = os.access; "
        "os.access = lambda path, mode: str(path).startswith(sys.argv[1]) and real(path, mode); "
        "from dsel.cli import main; sys.exit(main(sys.argv[2:]))"
    )
    argv = ["embed", "laptop", "--data", "mini", "--out", str(tmp_path / "e.npz")]
    env = {key: value for key, value in os.environ.items() if key not in KEYS}
    env |= {"HOME": "/dev/null", "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), *argv],
        env=env,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "set DSEL_CACHE" in run.stderr
    assert [path.name for path in Path(tmp_path).glob("dsel-*/*/index.json")] == ["index.json"]
