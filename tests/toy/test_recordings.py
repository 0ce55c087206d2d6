"""Real voices with drawn faces."""

import itertools
import os
import wave
from pathlib import Path

import numpy as np
import pytest

from dsel.toy import make
from dsel.toy.speaker import draw_speaker
from dsel.toy.speech import recordings
from dsel.utils.errors import BadInput

pytest.importorskip("av", reason="recordings need PyAV")

REAL = Path(os.environ.get("DSEL_REAL", Path(__file__).resolve().parents[2].parent / "shared/real"))


def buzz(pitch, seconds=3.0, hz=22_050):
    """Return a pulse train of that pitch through one resonance: a voiced sound."""
    x = np.zeros(int(seconds * hz))
    x[(np.arange(0, len(x), hz / pitch)).astype(int)] = 1
    t = np.arange(300) / hz
    return np.convolve(x, np.exp(-400 * t) * np.sin(2 * np.pi * 700 * t))[: len(x)]


def write_wav(path, x, hz=22_050):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(hz)
        file.writeframes((x / np.abs(x).max() * 20_000).astype("<i2").tobytes())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("voices")
    for name, pitch in (("anna", 210), ("berta", 230), ("carl", 110), ("dirk", 95)):
        write_wav(root / name / "one two.wav", buzz(pitch))
    write_wav(root / "eve-0001-02.wav", buzz(205))
    return root


def test_speakers_are_sub_folders_or_prefixes(folder):
    assert list(recordings.find(folder)) == ["anna", "berta", "carl", "dirk", "eve"]


def test_reading_resamples_to_16_khz(folder):
    x = recordings.read(folder / "anna" / "one two.wav")
    assert x.dtype == np.float32
    assert len(x) == pytest.approx(48_000, abs=32)


@pytest.mark.parametrize(("name", "pitch"), [("anna", 210), ("carl", 110), ("dirk", 95)])
def test_pitch_is_measured_and_tells_sex(folder, name, pitch):
    measured, scale = recordings.measure(recordings.find(folder)[name])
    assert measured == pytest.approx(pitch, rel=0.03)
    sex, _ = recordings.sex_and_size(measured, scale)
    speaker = draw_speaker(0, name, 1.0, recordings.sex_and_size(measured, scale))
    assert speaker.face_sex == pytest.approx(sex)
    assert speaker.sex == ("f" if pitch > 160 else "m")


@pytest.mark.parametrize("tracks", [1, 2, 3, 7])
def test_pieces_lie_inside_and_overlap_only_when_they_must(folder, tracks):
    files = recordings.find(folder)["anna"]
    rng = np.random.default_rng(0)
    starts = [recordings.piece(files, k, tracks, 0.8, rng)[1] for k in range(tracks)]
    assert all(0 <= s <= 3.0 - 0.8 + 1e-6 for s in starts)
    assert starts == sorted(starts)
    if tracks * 0.8 <= 3.0:
        assert all(b - a >= 0.8 for a, b in itertools.pairwise(starts))


@pytest.mark.heavy
def test_a_corpus_of_real_voices(folder, tmp_path):
    made = make.toy(
        tmp_path / "c",
        2,
        2,
        validation=0,
        test=2,
        test_tracks=2,
        seconds=1.0,
        size=48,
        voices=folder,
        workers=1,
        progress=False,
    )
    assert len(made) == 8
    assert set(made.speakers()) <= {"anna", "berta", "carl", "dirk", "eve"}
    for track in made.tracks:
        frames, sound = made.clip(track)
        assert frames.shape == (25, 48, 48, 3)
        assert sound.std() > 0.001
        assert made.labels(track) == []


def test_too_many_speakers_are_refused(folder, tmp_path):
    with pytest.raises(BadInput, match="5 speakers"):
        make.toy(tmp_path / "c", 9, voices=folder, validation=0, test=0)
    assert not (tmp_path / "c").exists()


def test_folders_that_do_not_serve_are_refused(tmp_path):
    with pytest.raises(BadInput, match="no such folder"):
        recordings.find(tmp_path / "none")
    with pytest.raises(BadInput, match="holds no recordings"):
        recordings.find(tmp_path)
    (tmp_path / "a.wav").write_text("not sound")
    with pytest.raises(BadInput, match=r"a\.wav"):
        recordings.read(tmp_path / "a.wav")


def test_a_recording_shorter_than_a_track_leaves_its_turn_to_another_or_is_used_whole(folder):
    rng, files = np.random.default_rng(0), recordings.find(folder)["anna"]
    write_wav(folder.parent / "short.wav", buzz(200, seconds=1.2))
    short = folder.parent / "short.wav"
    for k in range(4):
        assert recordings.piece([short, *files], k, 4, 2.0, rng)[0] == files[0]
    assert recordings.piece([short], 1, 2, 2.0, rng) == (short, 0.0)


def test_recordings_of_less_than_half_a_track_are_refused(folder):
    with pytest.raises(BadInput, match="shorter tracks"):
        recordings.piece(recordings.find(folder)["anna"], 0, 1, 7.0, np.random.default_rng(0))


@pytest.mark.heavy
def test_pitch_tells_sex_of_real_speakers():
    root = REAL / "librispeech" / "test-other"
    if not root.is_dir():
        pytest.skip(f"{root} is not there")
    sex_of = {}
    for line in (root / "SPEAKERS.TXT").read_text(encoding="utf-8").splitlines():
        if not line.startswith(";"):
            name, sex = line.split("|")[:2]
            sex_of[name.strip()] = sex.strip().lower()
    files = recordings.find(root)
    right = [
        draw_speaker(0, n, 1.0, recordings.sex_and_size(*recordings.measure(files[n]))).sex
        == sex_of[n]
        for n in files
    ]
    assert np.mean(right) >= 0.8
