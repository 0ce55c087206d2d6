"""What Windows and macOS do otherwise, emulated here, so that a first run there has a chance.

Windows: no fork, no pread, no way to reserve space; `os.kill(pid, 0)` ends a process; a file that
is open or mapped cannot be renamed, replaced or removed, nor can a folder around it. macOS and
Windows: new processes are spawned and read the script again. `tests/utils/test_files.py` and
`tests/utils/test_processes.py` try the same on the pieces.
"""

import os
import pathlib
import shutil
import signal
from pathlib import Path, PureWindowsPath

import numpy as np
import pytest
from films import Film, fixed, shoot

from dsel.cli import main
from dsel.corpus import Corpus, cache
from dsel.corpus.pack import shard
from dsel.prepare import prepare, run
from dsel.train import load_model, read_checkpoint, release
from dsel.train.trainer import train
from dsel.utils import files, processes

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="open files are read in /proc"),
]

SMALL = {"B": 3, "N": 6, "extra": 2, "steps": 4, "log_every": 1, "save_every": 2, "warmup": 2,
         "precision": "float32", "device": "cpu"}  # fmt: skip


def held() -> set[str]:
    """The files that this process has open or mapped."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:  # closed meanwhile
            continue
    with open("/proc/self/maps") as maps:
        found |= {
            line.split(maxsplit=5)[5].strip() for line in maps if len(line.split(maxsplit=5)) > 5
        }
    return found


def refuse_held(path) -> None:
    """Raise what Windows raises if a file, or one in a folder, is open or mapped."""
    place = os.path.realpath(path)
    inside = [name for name in held() if name == place or name.startswith(place + os.sep)]
    if inside:
        raise PermissionError(13, f"The process cannot access the file: {inside[0]}", str(path))


@pytest.fixture
def windows(monkeypatch):
    """Emulate Windows in this process; yields the list of refusals that were met."""
    met = []
    replace, rename, unlink = os.replace, os.rename, os.unlink

    def guarded(work, *looked_at):
        def call(*paths, **options):
            try:
                for k in looked_at:
                    refuse_held(paths[k])
            except PermissionError as error:
                met.append(str(error))
                raise
            return work(*paths, **options)

        return call

    def kill(pid, number):
        assert number in (signal.SIGTERM, signal.SIGINT), "os.kill ends a process on Windows"

    guards = {
        "replace": guarded(replace, 0, 1),
        "rename": guarded(rename, 0, 1),
        "unlink": guarded(unlink, 0),
    }
    for name, call in guards.items():
        monkeypatch.setattr(os, name, call)
        if hasattr(pathlib, "_NormalAccessor"):  # Python 3.10 keeps the functions of os there
            monkeypatch.setattr(pathlib._NormalAccessor, name, staticmethod(call))
    monkeypatch.setattr(os, "kill", kill)
    for name in ("fork", "forkpty", "pread", "posix_fallocate", "sched_getaffinity"):
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(processes, "START", "spawn")
    monkeypatch.setattr(files, "WINDOWS", True)
    monkeypatch.setattr(files, "RETRIES", ())
    monkeypatch.setattr(files, "_is_alive_on_windows", lambda pid: pid == os.getpid())
    return met


def test_the_emulation_refuses_what_windows_refuses(windows, tmp_path):
    path = tmp_path / "folder" / "a.bin"
    path.parent.mkdir()
    np.arange(8).tofile(path)
    mapped = np.memmap(path, mode="r")
    with pytest.raises(PermissionError):
        os.replace(path.parent, tmp_path / "other")
    del mapped
    with path.open("rb"), pytest.raises(PermissionError):
        path.unlink()
    os.replace(path.parent, tmp_path / "other")
    assert len(windows) == 2


def test_a_corpus_is_cached_trained_on_and_resumed(windows, noise_corpus, tmp_path):
    data = shutil.copytree(
        noise_corpus.path, tmp_path / "data", ignore=shutil.ignore_patterns("cache")
    )
    first = train(data, tmp_path / "run", callback=lambda trainer, row: row["step"] < 2,
                  progress=False, **SMALL)  # fmt: skip
    train(data, tmp_path / "run", resume=True, progress=False, **SMALL)
    assert first.step == 2
    assert read_checkpoint(tmp_path / "run")["step"] == 4
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(data)]) == 0
    assert (
        main(
            ["embed", str(tmp_path / "run"), "--data", str(data), "--out", str(tmp_path / "e.npz")]
        )
        == 0
    )
    assert load_model(release(tmp_path / "run", tmp_path / "net.pt"), "cpu").config.D == 128
    assert not windows


def test_the_same_cache_is_built_without_reserving_space(
    windows, noise_corpus, tmp_path, monkeypatch
):
    monkeypatch.setenv("DSEL_CACHE", str(tmp_path / "caches"))
    assert not hasattr(cache.os, "posix_fallocate")
    tracks = noise_corpus.split("test")
    held_here = noise_corpus.cache(32, tracks=tracks, progress=False)
    picture, _ = held_here.read(tracks[0])
    assert np.array_equal(picture, cache.resize(noise_corpus.clip(tracks[0])[0], 32))
    assert not windows


def test_shards_are_written_and_read_without_pread(windows, noise_corpus, tmp_path):
    packed = Corpus(shard(noise_corpus.path, tmp_path / "packed", progress=False))
    for track in packed.split("test"):
        for ours, theirs in zip(packed.clip(track), noise_corpus.clip(track), strict=True):
            assert np.array_equal(ours, theirs)
    shard(noise_corpus.path, tmp_path / "packed", progress=False)  # again, over what is there
    assert not windows


def test_videos_are_prepared_twice_into_one_folder(windows, noise_corpus, tmp_path):
    (tmp_path / "in").mkdir()
    clip = shoot(tmp_path / "in" / "a.mp4", Film(seconds=1.4))
    options = {"detector": fixed, "size": 32, "workers": 1, "progress": False}
    prepare(tmp_path / "in", tmp_path / "out", **options)
    shutil.copy(clip, tmp_path / "in" / "b.mp4")
    assert len(prepare(tmp_path / "in", tmp_path / "out", **options)) == 2
    assert not windows


def test_a_path_of_windows_stands_in_csv_with_slashes(tmp_path):
    films = {PureWindowsPath(r"C:\films\two people\a.mp4"): "no face in it"}
    assert run._gather(tmp_path, "train", 32, films) is None
    text = (tmp_path / "skipped.csv").read_text(encoding="utf-8")
    assert text.splitlines()[1] == "C:/films/two people/a.mp4,no,no face in it"


def test_what_an_ended_process_left_is_swept_without_a_signal(windows, tmp_path):
    mine, other = (tmp_path / f".a.{files.HOST}-{pid}-0.part" for pid in (os.getpid(), 4_000_000))
    mine.touch(), other.touch()
    files.sweep(tmp_path)
    assert mine.exists()
    assert not other.exists()


def test_voices_without_fork_are_the_voices_with_it(monkeypatch):
    pytest.importorskip("espeakng_loader", reason="the voices need espeakng-loader")
    from dsel.toy.speech.espeak import Espeak

    words = {"language": "en-us", "voice": "name own\nlanguage en-us\n", "rate": 160}
    with Espeak() as server:
        wanted = [server.say(text, **words) for text in ("one", "two")]
    monkeypatch.delattr(os, "fork")
    with Espeak() as server:
        assert [server.say(text, **words) for text in ("one", "two")] == wanted
        with pytest.raises(RuntimeError, match="no such language"):
            server.say("one", **{**words, "language": "xx"})
        assert server.say("one", **words) == wanted[0]
