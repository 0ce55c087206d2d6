"""A corpus on disk: read as written, in step, cached, and refused with one clear line where it is
broken.
"""

import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT

from dsel import corpus as corpora
from dsel.corpus import Corpus, Track, resize, write_corpus, write_csv
from dsel.corpus.clips import read_clip, write_clip
from dsel.timing import samples_for
from dsel.utils.errors import BadInput


@pytest.fixture
def copy(noise_corpus, tmp_path):
    """A copy that a test may break."""
    return Corpus(
        shutil.copytree(
            noise_corpus.path, tmp_path / "copy", ignore=shutil.ignore_patterns("cache")
        )
    )


def test_reads_what_was_written(noise_corpus):
    assert len(noise_corpus) == 20
    assert len(noise_corpus.split("train")) == 12
    assert noise_corpus.speakers("test") == ["p6", "p7", "p8", "p9"]
    track = noise_corpus.by_id["p3_1"]
    assert (track.speaker, track.split, track.frames, track.factors) == (
        "p3",
        "train",
        30,
        {"sex": "m"},
    )
    assert "20 tracks (12 train, 8 test) of 10 speakers" in repr(noise_corpus)
    frames, waveform = noise_corpus.clip("p3_1")
    assert (frames.shape, frames.dtype) == ((30, 48, 48, 3), np.uint8)
    assert (waveform.shape, waveform.dtype) == ((samples_for(30),), np.float32)
    assert corpora.open(noise_corpus.path).tracks == noise_corpus.tracks


def test_offset_is_taken_out_in_both_directions(tmp_path):
    """A picture that flashes at frame 12 and a sound that clicks `late` frames later come out at
    the same frame.
    """
    rows = []
    for late in (-3, 0, 4):
        frames = np.zeros((25, 32, 32, 3), np.uint8)
        frames[12] = 255
        sound = np.zeros(samples_for(25), np.float32)
        sound[samples_for(12 + late) + 320] = 1
        name = f"late{late}"
        write_clip(tmp_path / f"clips/a/{name}.mp4", frames, sound)
        rows.append(
            {
                "id": name,
                "speaker": "a",
                "split": "test",
                "path": f"clips/a/{name}.mp4",
                "frames": 25,
                "offset": late,
            }
        )
    corpus = write_corpus(tmp_path, rows, made_by="tests", seed=None, licence="CC0")
    cache = corpus.cache(32, progress=False)
    for track in corpus.tracks:
        assert track.usable == 25 - abs(track.offset)
        for frames, sound in (corpus.clip(track), cache.read(track)):
            assert len(frames) == track.usable
            assert len(sound) == samples_for(track.usable)
            flash, click = (
                frames.mean((1, 2, 3)).argmax(),
                np.abs(sound.astype(float)).argmax() / 640,
            )
            assert flash <= click < flash + 1


def test_cache_holds_the_clips_and_notices_a_change(copy):
    cache = copy.cache(24, progress=False)
    for track in copy.tracks[::5]:
        frames, waveform = copy.clip(track)
        small, sound = cache.read(track)
        np.testing.assert_array_equal(small, resize(frames, 24))
        np.testing.assert_allclose(sound / 32767, np.clip(waveform, -1, 1), atol=1 / 32767)
        part, heard = cache.read(track, first=7, count=5)
        np.testing.assert_array_equal(part, small[7:12])
        np.testing.assert_array_equal(heard, sound[samples_for(7) : samples_for(12)])
    before = sorted(p.name for p in (copy.path / "cache").iterdir())
    copy.cache(24, progress=False)
    assert sorted(p.name for p in (copy.path / "cache").iterdir()) == before  # used again
    track = copy.tracks[0]
    frames, waveform = read_clip(copy.path / track.path)
    write_clip(copy.path / track.path, 255 - frames, waveform)
    changed, _ = copy.cache(24, progress=False).read(track)
    assert np.abs(changed.astype(int) - resize(255 - frames, 24)).mean() < 3


def test_an_interrupted_cache_leaves_nothing_behind(copy, monkeypatch):
    def stop(track, calls=[]):  # noqa: B006
        calls.append(track)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return Corpus.clip(copy, track)

    monkeypatch.setattr(copy, "clip", stop, raising=False)
    with pytest.raises(KeyboardInterrupt):
        copy.cache(24, progress=False)
    assert list((copy.path / "cache").iterdir()) == []


def test_two_processes_may_build_the_same_cache_at_once(copy, monkeypatch):
    def clip_while_another_finishes(track):
        if not (copy.path / "cache").exists() or not any(
            p.name[0] != "." for p in (copy.path / "cache").iterdir()
        ):
            Corpus(copy.path).cache(24, progress=False)
        return Corpus.clip(copy, track)

    monkeypatch.setattr(copy, "clip", clip_while_another_finishes, raising=False)
    small, _ = copy.cache(24, progress=False).read(copy.tracks[1])
    np.testing.assert_array_equal(small, resize(Corpus(copy.path).clip(copy.tracks[1])[0], 24))
    assert len(list((copy.path / "cache").iterdir())) == 1


def test_resize_averages(tmp_path):
    image = np.zeros((1, 4, 4, 3), np.uint8)
    image[:, :2] = 200
    np.testing.assert_array_equal(resize(image, 4), image)
    assert abs(int(resize(image, 2).mean()) - 100) <= 1


def test_labels_mouth_and_trials_are_optional_and_read(copy):
    assert copy.labels("p0_0") == []
    assert copy.mouth("p0_0") is None
    assert copy.trials("free") is None
    label = {
        "track": "p0_0",
        "start": 0.1,
        "end": 0.2,
        "phoneme": "p",
        "viseme": "closed",
        "word": "pea",
    }
    write_csv(copy.path / "labels" / "p0.csv", [label], corpora.LABELS)
    np.savez(copy.path / "labels" / "p0.npz", p0_0=np.ones((30, 2), np.float32))
    trial = {"target": 1, "a": "p0_0", "b": "p0_1", "same_sex": 1, "group": "g"}
    write_csv(
        copy.path / "trials" / "free.csv",
        [trial, {**trial, "target": 0, "b": "p1_0", "same_sex": 0}],
        ("target", "a", "b"),
    )
    fresh = Corpus(copy.path)
    assert fresh.labels("p0_0") == [
        {"start": 0.1, "end": 0.2, "phoneme": "p", "viseme": "closed", "word": "pea"}
    ]
    assert fresh.mouth("p0_0").shape == (30, 2)
    trials = fresh.trials("free")
    assert trials.target.tolist() == trials.same_sex.tolist() == [True, False]
    assert len(trials.only(trials.target)) == 1


def break_meta(c):
    (c.path / "corpus.json").write_text(json.dumps({"format": 99}))


def break_json(c):
    (c.path / "corpus.json").write_text("{")


def drop_tracks(c):
    (c.path / "tracks.csv").unlink()


def drop_clip(c):
    (c.path / c.tracks[0].path).unlink()


def replace(old, new):
    def change(c):
        text = (c.path / "tracks.csv").read_text()
        assert old in text
        (c.path / "tracks.csv").write_text(text.replace(old, new, 1))

    return change


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (break_meta, "format 99, this dsel reads 1"),
        (break_json, "not a corpus"),
        (drop_tracks, "tracks.csv: missing"),
        (drop_clip, "the clip is missing"),
        (replace("clips/p0/p0_0.mp4", "../../etc/passwd"), "outside the corpus"),
        (replace("clips/p0/p0_0.mp4", "/etc/passwd"), "outside the corpus"),
        (replace(",train,", ",training,"), "'training' is none of"),
        (replace("p0_0,p0,", "p0_1,p0,"), "appear twice"),
        (replace(",30,0,", ",30,x,"), "line 2, column offset: 'x' is not a whole number"),
        (replace(",30,0,", ",,0,"), "no frames"),
        (replace(",30,0,", ",0,0,"), "tracks.csv, line 2: frames must be at least 1"),
        (replace(",30,0,", ",30,2147483648,"), "line 2: offset 2147483648 is too large"),
        (replace(",30,0,", ",30,"), "tracks.csv, line 2: 6 cells for 7 columns"),
        (replace(",30,0,", ",30,0,0,"), "tracks.csv, line 2: 8 cells for 7 columns"),
    ],
)
def test_a_broken_corpus_is_one_clear_line(copy, damage, says):
    damage(copy)
    with pytest.raises(BadInput) as caught:
        Corpus(copy.path).cache(24, progress=False)
    assert says in str(caught.value)
    assert str(copy.path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_folder_no_track_too_small_a_disk(tmp_path, noise_corpus, monkeypatch):
    with pytest.raises(BadInput, match="no such folder; make a corpus with"):
        Corpus(tmp_path / "none")
    with pytest.raises(BadInput, match="no track 'x'"):
        noise_corpus.clip("x")
    monkeypatch.setattr(corpora.cache.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(BadInput, match="set DSEL_CACHE"):
        noise_corpus.cache(26, progress=False)


@pytest.mark.parametrize("command", ["toy", "prepare", "shard", "cache"])
def test_nothing_is_written_through_a_link_out_of_a_corpus(copy, tmp_path, command, monkeypatch):
    """A corpus of a stranger may hold a link in place of a folder."""
    monkeypatch.delenv("DSEL_CACHE", raising=False)
    outside = tmp_path / "outside"
    outside.mkdir()
    made_by = {"toy": "dsel toy", "prepare": "prepare"}.get(command, "tests")
    meta = json.loads((copy.path / "corpus.json").read_text())
    meta |= {"made_by": made_by, "recipe": {"size": 96}}
    (copy.path / "corpus.json").write_text(json.dumps(meta))
    data = str(copy.path)
    name, argv = {
        "toy": ("labels", ["toy", "--out", data]),
        "prepare": ("parts", ["prepare", str(copy.path / copy.tracks[0].path), "--out", data]),
        "shard": ("shards", ["shard", str(copy.path), "--out", str(tmp_path / "packed")]),
        "cache": ("cache", ["embed", "laptop", "--data", data, "--out", str(tmp_path / "e.npz")]),
    }[command]
    place = tmp_path / "packed" if command == "shard" else copy.path
    shutil.rmtree(place / name, ignore_errors=True)
    place.mkdir(exist_ok=True)
    (place / name).symlink_to(outside)
    run = subprocess.run(
        [sys.executable, "-m", "dsel", *argv], capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 2, run.stderr
    assert f"{name}: is a link" in run.stderr.splitlines()[-1]
    assert not list(outside.iterdir())


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="space cannot be reserved here")
def test_a_disk_that_is_full_costs_a_line_and_not_the_process(copy, tmp_path):
    """The limit on the size of a file stands for the disk; writing to a map would kill instead."""
    limited = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); "
        "from dsel.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    argv = ["embed", "laptop", "--data", str(copy.path), "--out", str(tmp_path / "e.npz")]
    run = subprocess.run(
        [sys.executable, "-c", limited, *argv], capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 2, run.stderr
    assert "no room for" in run.stderr.splitlines()[-1]
    assert not [path for path in copy.path.rglob("*") if ".part" in path.name]


def test_clips_that_cannot_be_read_say_which(tmp_path):
    (tmp_path / "text.mp4").write_text("this is no film")
    (tmp_path / "empty.mp4").write_bytes(b"")
    for name in ("text.mp4", "empty.mp4", "absent.mp4"):
        with pytest.raises(BadInput, match=name):
            read_clip(tmp_path / name)
    with pytest.raises(BadInput, match="even H and W"):
        write_clip(
            tmp_path / "odd.mp4", np.zeros((3, 5, 4, 3), np.uint8), np.zeros(640, np.float32)
        )
    with pytest.raises(BadInput, match="mono"):
        write_clip(
            tmp_path / "stereo.mp4",
            np.zeros((3, 4, 4, 3), np.uint8),
            np.zeros((2, 640), np.float32),
        )
    assert not [p for p in tmp_path.iterdir() if "part" in p.name]


def test_usable_frames():
    assert Track("a", "s", "test", "p", 50, -3).usable == 47
    assert Track("a", "s", "test", "p", 2, 5).usable == 0
