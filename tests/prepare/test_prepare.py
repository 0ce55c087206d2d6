"""Real video into a corpus: in step to the millisecond, on the face, one bad file among many, going
on where it stopped.

`python benchmarks/click.py` prints the table of the click test: container x codec x frames a second
-> error.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from films import SIZE, Film, crash, dark, fixed, grey, measure, moving, shoot, waveform

import dsel
from dsel import corpus as corpora
from dsel.corpus import Corpus
from dsel.corpus import clips as media
from dsel.prepare import face_tracks as faces
from dsel.prepare import prepare, split_of, sync_of
from dsel.teaching.own_video import phone_video
from dsel.utils import processes
from dsel.utils.errors import BadInput
from dsel.utils.files import HOST

pytestmark = pytest.mark.heavy  # films

ROOT = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("DSEL_REAL", ROOT.parent / "shared/real")) / "grid"
NTSC = Fraction(30_000, 1001)


def blind(picture):
    return np.zeros((0, 4))


def bright_disc(picture):
    """A detector of bright discs: their bounding boxes, an oracle for where the drawn 'face' is."""
    import cv2

    mask = (picture.min(axis=2) > 140).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    return np.array(
        [s[:4] for s in stats[1:] if s[4] > 80 and s[2] < 0.9 * picture.shape[1]]
    ).reshape(-1, 4)


def made(path, out, **options):
    """The corpus of some files, by a detector that needs no face."""
    return prepare(
        path, out, **{"detector": fixed, "progress": False, "workers": 1, "size": 32, **options}
    )


# ----------------------------------------------------------------------------------- the click test

FILMS = [
    Film("mp4", "libx264", "aac", Fraction(25)),
    Film("mp4", "libx264", "aac", Fraction(50), 48_000),
    Film("mp4", "mpeg4", "aac", Fraction(30)),
    Film("mp4", "libx264", "aac", "jitter", start=0.4),
    Film("mp4", "libx264", "aac", Fraction(25), start=1.5),
    Film("mp4", "libx264", "libmp3lame", NTSC),
    Film("mkv", "libx264", "pcm_s16le", NTSC),
    Film("mkv", "libvpx-vp9", "libopus", Fraction(50), 48_000),
    Film("mkv", "libx264", "flac", "variable", start=1.5),
    Film("mkv", "libx264", "aac", Fraction(25), sound_start=0.3, sound_seconds=2.0),
    Film(
        "mkv", "libx264", "pcm_s16le", Fraction(25), start=1.0, sound_start=-0.7, sound_seconds=4.0
    ),
    Film("mov", "libx264", "pcm_s16le", Fraction(25), 48_000),
    Film("mov", "mpeg4", "aac", NTSC, start=1.5),
    Film("mov", "libx264", "aac", "variable"),
    Film("webm", "libvpx", "libopus", Fraction(30), 48_000),
    Film("webm", "libvpx-vp9", "libopus", Fraction(25), 48_000, sound_seconds=6.0),
    Film("avi", "mpeg4", "pcm_s16le", Fraction(25)),
    Film("avi", "mpeg4", "mp2", Fraction(50)),
    Film("avi", "libx264", "mp2", Fraction(30), 48_000),
    Film("avi", "mpeg4", "pcm_s16le", NTSC),
    Film("avi", "mpeg4", "aac", Fraction(25)),
    Film("avi", "libx264", "aac", Fraction(50), 48_000),
    Film("avi", "mpeg4", "libmp3lame", NTSC),
    Film("avi", "mpeg4", "libmp3lame", Fraction(30), 48_000),
    Film("avi", "mpeg4", "ac3", Fraction(25), 48_000),
    Film("mpg", "mpeg1video", "mp2", Fraction(25)),
    Film("mpg", "mpeg1video", "mp2", NTSC, 48_000, start=1.5),
    Film("mpg", "mpeg1video", "mp2", Fraction(50)),
    Film("mpg", "mpeg1video", "mp2", Fraction(30), sound_seconds=5.0),
    Film("ts", "libx264", "aac", Fraction(25), start=1.5),
    Film("ts", "libx264", "mp2", NTSC),
    Film("ts", "mpeg2video", "mp2", Fraction(50), 48_000),
    Film("flv", "libx264", "aac", Fraction(30)),
]


def name_of(film: Film) -> str:
    fps = (
        film.fps if isinstance(film.fps, str) else f"{float(film.fps):.2f}".rstrip("0").rstrip(".")
    )
    more = [f"start {film.start}"] if film.start else []
    more += [f"sound at {film.sound_start:+}"] if film.sound_start else []
    more += [f"sound {film.sound_seconds} s"] if film.sound_seconds else []
    return " ".join([film.suffix, film.video, film.sound, str(film.rate), fps, *more])


def click_errors(film: Film, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Two errors in ms of each click: how far it lies outside the 40 ms of the frame in which its
    flash is first seen, and how far it lies from where its own time stamp puts it.
    """
    path = shoot(folder / f"film.{film.suffix}", film)
    corpus = made(path, folder / "out")
    frames, sound = corpus.clip(corpus.tracks[0])
    seen, clicks = measure(frames, sound)
    outside = np.maximum(np.maximum(seen / 25 - clicks, clicks - (seen + 1) / 25), 0)
    place = clicks - (film.flashes() - corpus.tracks[0].factors["start"])
    return 1000 * outside, 1000 * place


@pytest.mark.parametrize("film", FILMS, ids=name_of)
def test_the_click_lies_in_the_frame_of_its_flash(film, tmp_path):
    outside, place = click_errors(film, tmp_path)
    assert len(outside) == 3
    assert (
        tmp_path / "out" / "skipped.csv"
    ).read_text() == "file,used,reason\n"  # and nothing to complain about
    assert outside.max() < 1.0, outside
    assert np.abs(place).max() < 1.1, (
        place
    )  # Matroska rounds the time stamps of packets to the millisecond


def test_a_flash_of_a_single_frame_is_not_lost(tmp_path):
    """At 50 frames a second two share a frame of the grid; the first of them still shows."""

    def lamp(time):
        return np.full((SIZE, SIZE, 3), 255 if abs(time - 1.0) < 0.005 else 60, np.uint8)

    path = shoot(tmp_path / "x.mkv", Film("mkv", fps=Fraction(50), seconds=1.2), picture=lamp)
    frames, _ = (corpus := made(path, tmp_path / "out")).clip(corpus.tracks[0])
    light = frames.reshape(len(frames), -1).mean(axis=1)[23:28]
    assert light.argmax() == 2
    assert light[2] > light[1] + 40


# -------------------------------------------------------------------------------------------- faces


def walker(speed: float, height=240, width=426, radius=26, start=50.0):
    """A bright disc with a dark dot in its middle, moving sideways by `speed` pixels a second."""

    def picture(time):
        y, x = np.mgrid[:height, :width].astype(float)
        distance = np.hypot(x - start - speed * time, y - 120)
        image = np.full((height, width), 70.0)
        image[distance < radius] = 200
        image[distance < 5] = 160
        return np.repeat(image[..., None], 3, axis=2).astype(np.uint8)

    return picture


@pytest.mark.parametrize("speed", [0.0, 60.0, 130.0])
def test_the_crop_of_a_face_moving_sideways_stays_on_it(tmp_path, speed):
    path = shoot(tmp_path / "walk.mp4", Film(sound="aac"), picture=walker(speed))
    corpus = made(path, tmp_path / "out", detector=bright_disc, size=96)
    (track,) = corpus.tracks
    frames, _ = corpus.clip(track)
    assert track.frames == 60
    calm = [f for f in range(60) if not any(abs(f / 25 - at) < 0.25 for at in Film().flashes())]
    above = (
        96 * faces.LOWER / faces.MARGIN
    )  # a crop lies lower than the detector's box, whose middle is the disc's
    for f in calm:
        y, x = np.nonzero(frames[f, ..., 1] > 140)
        assert abs(x.mean() - 47.5) < 3, (f, x.mean())  # of 96 pixels
        assert abs(y.mean() - (47.5 - above)) < 3, (f, y.mean())


def test_missed_detections_are_bridged(tmp_path):
    looks = []

    def forgetful(picture):
        looks.append(len(looks))
        return blind(picture) if 3 <= looks[-1] <= 6 else bright_disc(picture)

    path = shoot(tmp_path / "walk.mp4", Film(), picture=walker(60.0))
    corpus = made(path, tmp_path / "out", detector=forgetful, size=96)
    assert [track.frames for track in corpus.tracks] == [60]


def test_a_cut_ends_a_track_at_its_frame(tmp_path):
    def two_scenes(time):
        image = walker(0.0, start=120.0)(time)
        return image if time < 1.2 else image // 2 + np.array([0, 60, 110], np.uint8)

    def anywhere(picture):
        return np.array([[90.0, 90.0, 60.0, 60.0]])

    path = shoot(tmp_path / "cut.mp4", Film(at=(0.5, 1.8)), picture=two_scenes)
    corpus = made(path, tmp_path / "out", detector=anywhere)
    assert [(t.frames, t.factors["start"]) for t in corpus.tracks] == [(30, 0.0), (30, 1.2)]


def test_a_flash_is_no_cut(tmp_path):
    path = shoot(tmp_path / "flash.mp4", Film())
    assert [track.frames for track in made(path, tmp_path / "out").tracks] == [60]


def two_faces(time):
    left, right = (
        walker(0.0, start=80.0, radius=24)(time),
        walker(0.0, start=300.0, radius=40)(time),
    )
    return np.maximum(left, right)


def test_of_two_faces_the_larger_one_is_taken_and_said_so(tmp_path):
    path = shoot(tmp_path / "two.mp4", Film(), picture=two_faces)
    (track,) = made(path, tmp_path / "out", detector=bright_disc).tracks
    assert track.factors["chosen"] == "largest"
    assert track.factors["face_pixels"] == pytest.approx(80, abs=4)


def test_of_two_faces_the_one_in_step_is_taken(tmp_path):
    """The smaller face has a mark that a stand-in for a trained model knows to be in step, two
    frames late.
    """

    def small_is_in_step(frames, sound):
        assert frames.shape[1:] == (32, 32, 3)
        assert len(sound) == 640 * len(frames)
        return (2, 5.0) if (frames[0, ..., 2] < 40).mean() > 0.01 else (-7, 1.0)

    def marked(time):
        image = two_faces(time)
        image[148:156, 70:90] = (200, 200, 0)  # below the disc, and still in its crop
        return image

    path = shoot(tmp_path / "two.mp4", Film(), picture=marked)
    corpus = made(path, tmp_path / "out", detector=bright_disc, model=small_is_in_step)
    (track,) = corpus.tracks
    assert (track.offset, track.factors["confidence"], track.factors["chosen"]) == (
        2,
        5.0,
        "talking",
    )
    assert track.factors["face_pixels"] < 60
    assert len(list((tmp_path / "out" / "clips").rglob("*.mp4"))) == 1
    assert len(corpus.clip(track)[0]) == 58


@pytest.mark.parametrize("late", [5, -4])
def test_released_networks_tell_how_late_a_film_is(tmp_path, late):
    """Four clips of somebody drawn, filmed one after the other; the offset found stands in
    tracks.csv and is taken out.
    """
    talking = corpora.open("mini")
    tracks = [
        track for track in talking.split("test") if track.speaker == talking.speakers("test")[0]
    ][:4]
    path = phone_video(tmp_path / "x.mp4", [talking.clip(track) for track in tracks], late=late)
    corpus = made(
        path,
        tmp_path / "out",
        detector=lambda picture: np.array([[98.0, 34.0, 183, 183]]),
        model="laptop",
        size=96,
    )
    assert {abs(track.offset - late) <= 1 for track in corpus.tracks} == {True}
    assert all(track.factors["confidence"] > 0 for track in corpus.tracks)
    frames, sound = corpus.clip(corpus.tracks[0])
    assert (
        len(frames)
        == corpus.tracks[0].usable
        == corpus.tracks[0].frames - abs(corpus.tracks[0].offset)
    )
    assert len(sound) == 640 * len(frames)


def test_a_model_may_be_networks_a_name_or_a_function_and_anything_else_is_refused():
    networks = dsel.load("laptop")
    assert sync_of(networks).model is networks
    assert sync_of("laptop").model.config == networks.config
    assert sync_of(blind) is blind
    assert sync_of(None) is None
    with pytest.raises(BadInput, match="no checkpoint"):
        sync_of("nowhere")


def test_a_long_track_is_cut_into_equal_pieces_that_follow_on(tmp_path):
    path = shoot(tmp_path / "long.mp4", Film("mp4", seconds=21.0, video="mpeg4"))
    corpus = made(path, tmp_path / "out")
    assert [track.frames for track in corpus.tracks] == [175, 175, 175]
    assert [track.factors["start"] for track in corpus.tracks] == [0.0, 7.0, 14.0]
    assert [track.id for track in corpus.tracks] == sorted(track.id for track in corpus.tracks)


def test_the_offset_of_a_recording_is_what_its_clips_vote_for(tmp_path):
    votes = iter([(3, 0.5), (1, 0.9), (3, 0.6)])
    path = shoot(tmp_path / "long.mp4", Film("mp4", seconds=21.0, video="mpeg4"), moving)
    corpus = made(path, tmp_path / "out", model=lambda frames, sound: next(votes))
    assert [track.offset for track in corpus.tracks] == [3, 3, 3]
    assert [track.factors["confidence"] for track in corpus.tracks] == [0.5, 0.9, 0.6]


def test_a_large_face_for_a_moment_does_not_displace_the_one_that_stays(tmp_path):
    def visitor(picture):
        boxes = [[100.0, 80, 60, 60]]
        looks.append(1)
        return np.array([*boxes, [200.0, 60, 90, 90]] if 4 <= len(looks) <= 9 else boxes)

    looks = []
    path = shoot(tmp_path / "x.mp4", Film(seconds=6.0), picture=walker(0.0))
    corpus = made(path, tmp_path / "out", detector=visitor)
    assert [(t.frames, t.factors["chosen"]) for t in corpus.tracks] == [(150, "largest")]


def test_a_short_appearance_is_no_track():
    looks = [
        faces.Look(
            0.2 * i, np.array([[50.0, 50, 20]])[: i == 4], np.zeros((12, 16, 3), np.uint8), 0, 0
        )
        for i in range(9)
    ]
    assert faces.link(looks) == []


def test_two_people_who_pass_each_other_stay_two_tracks():
    looks = []
    for i in range(16):
        boxes = np.array([[60 + 9.0 * i, 50, 40], [260 - 9.0 * i, 118, 40]])
        looks.append(
            faces.Look(0.2 * i, boxes[:: (-1) ** i], np.zeros((12, 16, 3), np.uint8), 0, 0)
        )
    tracks = faces.link(looks)
    assert len(tracks) == 2
    for track in tracks:
        assert (
            np.abs(
                np.diff(track.boxes[:, 0]) - np.sign(track.boxes[-1, 0] - track.boxes[0, 0]) * 9
            ).max()
            < 1e-9
        )


def test_smoothing_calms_a_box_without_lagging():
    times = np.arange(0, 6, 0.2)
    clean = np.stack([100 + 40 * times, 80 + 0 * times, 50 + 0 * times], axis=1)
    noisy = clean + np.random.default_rng(0).normal(0, 1.5, clean.shape)
    track = faces.FaceTrack(0, 6, times, noisy)
    at = np.arange(0, 5.8, 0.04)
    path = np.stack([track.at(t) for t in at])
    assert np.abs(path[:, 0] - (100 + 40 * at)).mean() < 1.0
    assert np.abs(np.diff(path[:, 2])).max() < 0.5
    exact = faces.FaceTrack(0, 6, times, clean)
    np.testing.assert_allclose([exact.at(t)[0] for t in at], 100 + 40 * at, atol=1e-6)


def test_the_cascade_finds_drawn_people(tmp_path):
    """The real detector on the toy's faces in a larger picture; some drawn people do not look like
    one to it.
    """
    pytest.importorskip("cv2")
    toy = pytest.importorskip("dsel.toy.face")
    speaker = pytest.importorskip("dsel.toy.speaker")
    mouth = pytest.importorskip("dsel.toy.mouth")
    detect, found = faces.haar(), 0
    for i in range(12):
        face = toy.face_of(speaker.draw_speaker(0, f"x{i}", 0.9))
        scene = toy.draw_scene(np.random.default_rng(i), 5)
        image = toy.render(face, np.zeros((5, len(mouth.CHANNELS)), np.float32), scene, 160)[0]
        picture = np.full((288, 360, 3), 120, np.uint8)
        picture[64:224, 100:260] = image
        boxes = faces.squares(detect(picture), 1.0)
        found += len(boxes) == 1 and np.hypot(boxes[0, 0] - 180, boxes[0, 1] - 144) < 25
    assert found >= 7


# ------------------------------------------------------------------------------------------ layouts


def test_speaker_is_the_folder_and_names_may_be_anything(tmp_path):
    for name in ("두 사람 '김'", 'a "quoted" name', "with space"):
        (tmp_path / name).mkdir()
        shoot(tmp_path / name / "말 하는; rm -rf 사람's.mp4", Film(seconds=1.2))
    corpus = made(tmp_path, tmp_path / "out corpus")
    assert len(corpus) == 3
    assert corpus.speakers() == sorted(["두_사람_김", "a_quoted_name", "with_space"])
    for track in corpus.tracks:
        assert len(corpus.clip(track)[0]) == 30


def test_grid_words_become_labels(tmp_path):
    folder = tmp_path / "s7" / "video"
    folder.mkdir(parents=True)
    shoot(folder / "bbaf2n.mp4", Film(seconds=2.0))
    (tmp_path / "s7" / "align").mkdir()
    (tmp_path / "s7" / "align" / "bbaf2n.align").write_text(
        "0 12500 sil\n12500 20000 bin\n20000 30000 blue\n30000 50000 sil\n"
    )
    corpus = made(tmp_path, tmp_path / "out", layout="grid")
    (track,) = corpus.tracks
    assert track.speaker == "s7"
    said = [(label["word"], label["start"], label["end"]) for label in corpus.labels(track)]
    assert said == [("bin", 0.5, 0.8), ("blue", 0.8, 1.2)]


@pytest.mark.parametrize("beside", [True, False])
def test_voxceleb2_crops_are_taken_as_they_are_with_their_offset(tmp_path, beside):
    home = tmp_path / "mp4" / "id00012" / "21Uxsk56VDQ"
    home.mkdir(parents=True)
    text = home if beside else tmp_path / "txt" / "id00012" / "21Uxsk56VDQ"
    text.mkdir(parents=True, exist_ok=True)
    shoot(home / "00001.mp4", Film(), sound=False)
    sound = tmp_path / "wav" / "id00012" / "21Uxsk56VDQ"
    sound.mkdir(parents=True)
    write_wav(sound / "00001.wav", waveform(Film(rate=16_000), Film().flashes()))
    (text / "00001.txt").write_text(
        "Identity  : \tid00012\nReference : \t21Uxsk56VDQ\nOffset    : \t-3\nFV Conf   : \t16.0\n"
    )
    corpus = made(tmp_path / "mp4", tmp_path / "out", detector=blind)
    (track,) = corpus.tracks
    assert (track.id, track.speaker, track.offset) == ("id00012-21Uxsk56VDQ-00001", "id00012", 3)
    frames, _ = media.read_clip(corpus.path / track.path)
    small = grey(0.0).reshape(32, 3, 32, 3, 3).mean(axis=(1, 3))
    assert np.abs(frames[0] - small).mean() < 5  # the whole picture, only smaller


def test_lrs_words_and_speaker(tmp_path):
    home = tmp_path / "pretrain" / "0Akiz7uvRlQ"
    home.mkdir(parents=True)
    shoot(home / "00003.mp4", Film())
    table = "Text:  HELLO THERE\nConf:  5\n\nWORD START END ASDSCORE\n"
    table += "HELLO 0.20 0.50 8.1\nTHERE 0.50 0.90 7.0\n"
    (home / "00003.txt").write_text(table)
    corpus = made(tmp_path, tmp_path / "out", layout="lrs")
    assert corpus.speakers() == ["0Akiz7uvRlQ"]
    assert [label["word"] for label in corpus.labels(corpus.tracks[0])] == ["hello", "there"]


def test_sound_from_a_separate_file(tmp_path):
    film = Film("mkv", start=1.0)
    path = shoot(tmp_path / "x.mkv", film, sound=False)
    write_wav(tmp_path / "mic.wav", waveform(Film(rate=16_000), film.flashes()))
    corpus = made(path, tmp_path / "out", audio=tmp_path / "mic.wav")
    seen, clicks = measure(*corpus.clip(corpus.tracks[0]))
    assert ((clicks > seen / 25 - 0.001) & (clicks < (seen + 1) / 25)).all()
    with pytest.raises(BadInput, match="one sound track, but 2 videos"):
        made(
            [path, shutil.copy(path, tmp_path / "y.mkv")],
            tmp_path / "out2",
            audio=tmp_path / "mic.wav",
        )


def test_split_by_speaker_is_stable_and_about_80_10_10(tmp_path):
    splits = [split_of(f"speaker{i}") for i in range(3000)]
    assert [round(splits.count(s) / 3000, 1) for s in ("train", "validation", "test")] == [
        0.8,
        0.1,
        0.1,
    ]
    assert split_of("s1") == split_of("s1")
    path = shoot(tmp_path / "x.mp4", Film())
    assert made(path, tmp_path / "out", split="auto").tracks[0].split == split_of(
        Corpus(tmp_path / "out").tracks[0].speaker
    )


def write_wav(path, samples, rate=16_000):
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


# ---------------------------------------------------------------------------------------- bad input


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """A folder with one good video and one of every kind of bad one."""
    folder = tmp_path_factory.mktemp("videos")
    good = shoot(folder / "good.mp4", Film())
    shoot(folder / "mute.mp4", Film(), sound=False)
    shoot(folder / "silent.mp4", Film(), sound=np.zeros(round(2.4 * 44_100), np.float32))
    shoot(folder / "slow.mkv", Film("mkv", fps=Fraction(3), seconds=4.0))
    shoot(folder / "short.mp4", Film(seconds=0.4), sound=np.full(17_640, 0.1, np.float32))
    (folder / "cut_off.mp4").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    (folder / "zero.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is a text file\n" * 50)
    (folder / "noise.mpg").write_bytes(
        np.random.default_rng(0).integers(0, 256, 40_000, np.uint8).tobytes()
    )
    with wave.open(str(folder / "sound_only.mp4"), "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        out.writeframes(bytes(64_000))
    return folder


REASONS = {
    "mute.mp4": "no sound in it",
    "silent.mp4": "silent",
    "slow.mkv": "3.0 frames/s",
    "short.mp4": "10 frames, 0.40 s",
    "cut_off.mp4": "cut off",
    "zero.mp4": "0 bytes",
    "text.mp4": "not a video",
    "noise.mpg": "",
    "sound_only.mp4": "no picture",
}


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_files_are_reported_in_one_line_each_and_the_rest_is_kept(
    bad, tmp_path, capsys, workers
):
    corpus = made(bad, tmp_path / "out", workers=workers)
    assert [track.factors["source"] for track in corpus.tracks] == ["good.mp4"]
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("skipped:")]
    assert len(lines) == len(REASONS)
    with (tmp_path / "out" / "skipped.csv").open(newline="", encoding="utf-8") as file:
        told = {Path(row["file"]).name: row["reason"] for row in csv.DictReader(file)}
    assert told.keys() == REASONS.keys()
    for name, reason in REASONS.items():
        assert reason in told[name]
        assert name in told[name]
        assert sum(name in line for line in lines) == 1


@pytest.mark.parametrize("name", list(REASONS))
def test_nothing_usable_is_an_error_that_names_the_file(bad, tmp_path, name):
    with pytest.raises(BadInput) as error:
        made(bad / name, tmp_path / "out")
    assert name in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out" / "corpus.json").exists()


def test_when_none_of_several_can_be_used_the_reasons_are_kept(bad, tmp_path, capsys):
    with pytest.raises(BadInput, match=r"none of 2 files can be used"):
        made([bad / "mute.mp4", bad / "zero.mp4"], tmp_path / "out")
    assert capsys.readouterr().err.count("skipped:") == 2
    assert len((tmp_path / "out" / "skipped.csv").read_text().splitlines()) == 3


def test_no_face_is_said(tmp_path):
    path = shoot(tmp_path / "x.mp4", Film())
    with pytest.raises(BadInput, match=r"x\.mp4: no face found"):
        made(path, tmp_path / "out", detector=blind)


def test_the_real_detector_sees_no_face_in_a_disc(tmp_path):
    pytest.importorskip("cv2")
    path = shoot(tmp_path / "x.mp4", Film())
    with pytest.raises(BadInput, match="no face found"):
        made(path, tmp_path / "out", detector=None)


def test_a_file_that_breaks_off_is_used_as_far_as_it_goes_and_said_so(tmp_path):
    path = shoot(tmp_path / "x.mkv", Film("mkv", "mpeg4", "pcm_s16le", seconds=6.0))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    corpus = made(path, tmp_path / "out")
    assert 50 < corpus.tracks[0].frames < 100
    row = next(
        csv.DictReader((tmp_path / "out" / "skipped.csv").open(newline="", encoding="utf-8"))
    )
    assert row["used"] == "partly"
    assert "of 6.0 s" in row["reason"]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"layout": "vox"}, "layout"),
        ({"split": "dev"}, "split"),
        ({"size": 33}, "size"),
        ({"audio": "none.wav"}, "none.wav"),
    ],
)
def test_arguments_that_cannot_be_are_refused_before_anything_is_made(tmp_path, options, what):
    path = shoot(tmp_path / "x.mp4", Film())
    with pytest.raises(BadInput, match=what):
        made(path, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_missing_path_and_an_empty_folder_are_said(tmp_path):
    with pytest.raises(BadInput, match=r"gone\.mp4: no such file"):
        made(tmp_path / "gone.mp4", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="no video in it"):
        made(tmp_path / "empty", tmp_path / "out")


# --------------------------------------------------------------------------------------- many files


def test_what_is_done_is_not_done_again(tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    shoot(videos / "a.mp4", Film())
    out = tmp_path / "out"
    made(videos, out)
    clip = next((out / "clips").rglob("*.mp4"))
    before = clip.stat().st_mtime_ns
    shoot(videos / "b.mp4", Film(seconds=1.6))
    assert len(made(videos, out)) == 2
    assert clip.stat().st_mtime_ns == before
    clip.unlink()  # a lost clip is made again
    assert len(made(videos, out)) == 2
    assert clip.is_file()
    shoot(videos / "a.mp4", Film(seconds=2.0))  # as is one whose source has changed
    assert sorted(track.frames for track in made(videos, out).tracks) == [40, 50]


def test_an_interrupted_run_keeps_what_it_made_and_goes_on(tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in "abc":
        shoot(videos / f"{name}.mp4", Film(seconds=1.2))
    calls = []

    def until_stopped(picture):
        calls.append(1)
        if len(calls) == 8:  # six looks a video: in the second one
            raise KeyboardInterrupt
        return fixed(picture)

    with pytest.raises(KeyboardInterrupt):
        made(videos, tmp_path / "out", detector=until_stopped)
    assert len(Corpus(tmp_path / "out")) == 1
    assert not list((tmp_path / "out").rglob("*.part*"))
    assert len(made(videos, tmp_path / "out")) == 3


@pytest.fixture(scope="module")
def two_films(tmp_path_factory):
    """A folder with videos/ and the corpus out/ that was made of them."""
    folder = tmp_path_factory.mktemp("films")
    (folder / "videos").mkdir()
    for name in "ab":
        shoot(folder / "videos" / f"{name}.mp4", Film(seconds=1.2))
    made(folder / "videos", folder / "out")
    return folder


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"{",
        b"[]",
        b'{"name": "a"}',
        b"\xff\xfe{}",
        99_999 * b"[",
        "rows",
        "labels",
        "no clips",
    ],
)
def test_a_damaged_note_costs_its_film_and_is_said(two_films, tmp_path, capsys, note):
    out = shutil.copytree(two_films / "out", tmp_path / "out")
    first, second = sorted((out / "parts").glob("*.json"))
    held = json.loads(first.read_text())
    if isinstance(note, str):
        wrong = {"rows": []} if note == "no clips" else {note: [{"id": 1}]}
        note = json.dumps(held | wrong).encode()
    first.write_bytes(note)
    kept = json.loads(second.read_text())["path"]
    assert len(made(kept, out)) == 1
    said = capsys.readouterr().err
    assert f"{first}" in said
    assert "its clips are left out; prepare its video again" in said
    assert len(made(two_films / "videos", out)) == 2
    assert first.name not in capsys.readouterr().err


def test_what_a_killed_run_left_is_swept_away_and_what_a_running_one_holds_stays(tmp_path):
    videos, out = tmp_path / "videos" / "anna", tmp_path / "out"
    videos.mkdir(parents=True)
    shoot(videos / "a.mp4", Film(seconds=1.2))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for pid, name in ((dead.pid, "dead"), (os.getpid(), "alive")):
        (out / f".sound.{HOST}-{pid}-0.part").mkdir(parents=True)
        (out / f".sound.{HOST}-{pid}-0.part" / "sound.f32").touch()
        (out / "clips" / "anna").mkdir(parents=True, exist_ok=True)
        (out / "clips" / "anna" / f".{name}.{HOST}-{pid}-1.part.mp4").touch()
    made(videos, out)
    left = {path.name for path in out.rglob("*.part*")}
    mine = f"{HOST}-{os.getpid()}"
    assert left == {f".sound.{mine}-0.part", f".alive.{mine}-1.part.mp4"}


def test_files_of_the_same_name_stay_apart(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder / "anna").mkdir(parents=True)
        shoot(tmp_path / folder / "anna" / "1.mp4", Film(seconds=1.2 if folder == "x" else 1.6))
    corpus = made([tmp_path / "x", tmp_path / "y"], tmp_path / "out")
    assert sorted(track.frames for track in corpus.tracks) == [30, 40]
    again = made(tmp_path / "y", tmp_path / "out")
    assert sorted(track.frames for track in again.tracks) == [30, 40]


def test_processes_give_what_one_process_gives(tmp_path):
    paths = [shoot(tmp_path / f"{name}.mp4", Film(seconds=1.2, fps=NTSC)) for name in "abcd"]
    one, two = made(paths, tmp_path / "1"), made(paths, tmp_path / "2", workers=2)
    assert len(one) == 4
    assert [t.id for t in one.tracks] == [t.id for t in two.tracks]
    for a, b in zip(one.tracks, two.tracks, strict=True):
        for x, y in zip(one.clip(a), two.clip(b), strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("start", ["fork", "spawn"] if sys.platform == "linux" else ["spawn"])
def test_a_decoder_that_crashes_takes_only_its_own_file_along(tmp_path, capsys, monkeypatch, start):
    """Films so long that two more are begun and none is finished when it crashes."""
    monkeypatch.setattr(processes, "START", start)
    monkeypatch.setenv("DSEL_TEST_CRASHED", str(tmp_path / "crashed"))
    for name in "abcd":
        shoot(tmp_path / f"{name}.mp4", Film(seconds=4), picture=dark if name == "b" else grey)
    corpus = made(tmp_path, tmp_path / "out", detector=crash, workers=3)
    assert sorted(track.factors["source"] for track in corpus.tracks) == ["a.mp4", "c.mp4", "d.mp4"]
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[0] for line in told] == [str(tmp_path / "b.mp4"), "skipped"]
    assert "tried once more" in told[0]
    reasons = list(csv.DictReader((tmp_path / "out" / "skipped.csv").open()))
    assert [(row["file"], row["used"]) for row in reasons] == [(str(tmp_path / "b.mp4"), "no")]
    assert "b.mp4: the decoder crashed" in reasons[0]["reason"]
    assert not list((tmp_path / "out").rglob("*.part*"))
    clean = [shoot(tmp_path / f"{name}.mp4", Film(seconds=4)) for name in "acd"]
    for other in made(clean, tmp_path / "other").tracks:  # as if the broken one had not been there
        same = next(
            track for track in corpus.tracks if track.factors["source"] == other.factors["source"]
        )
        assert (corpus.path / same.path).read_bytes() == (
            tmp_path / "other" / other.path
        ).read_bytes()


def test_the_processes_of_prepare_import_no_torch_unless_there_is_a_model():
    code = "import sys, dsel.prepare.run; print('torch' in sys.modules); "
    code += "dsel.prepare.InStep; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True"], done.stderr


def test_when_every_file_crashes_it_ends_and_names_them_all(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DSEL_TEST_CRASHED", str(tmp_path / "crashed"))
    for name in "abc":
        shoot(tmp_path / f"{name}.mp4", Film(seconds=1.2), picture=dark)
    with pytest.raises(BadInput, match="none of 3 files"):
        made(tmp_path, tmp_path / "out", detector=crash, workers=2)
    told = capsys.readouterr().err
    assert all(f"skipped: {tmp_path / name}.mp4: the decoder crashed" in told for name in "abc")


UNGUARDED = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
import dsel.utils.processes
from dsel.prepare import prepare
from films import fixed
dsel.utils.processes.START = "spawn"
corpus = prepare([{a!r}, {b!r}], {out!r}, detector=fixed, size=32, workers=2, progress=False)
print(len(corpus.tracks), "tracks")
"""


def test_a_script_without_a_guard_prepares_in_one_process_and_says_why(tmp_path):
    a, b = (str(shoot(tmp_path / f"{name}.mp4", Film(seconds=1.2))) for name in "ab")
    script = tmp_path / "script.py"
    tests = str(ROOT / "tests")
    script.write_text(
        UNGUARDED.format(root=str(ROOT), tests=tests, a=a, b=b, out=str(tmp_path / "out"))
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "2 tracks\n", done.stderr
    assert len(done.stderr.splitlines()) == 2, done.stderr
    assert '__name__ == "__main__"' in done.stderr
    assert "in this one alone" in done.stderr


def test_another_corpus_is_not_written_over(tmp_path):
    path = shoot(tmp_path / "x.mp4", Film())
    made(path, tmp_path / "out")
    with pytest.raises(BadInput, match="another folder"):
        made(path, tmp_path / "out", size=64)
    meta = json.loads((tmp_path / "out" / "corpus.json").read_text())
    (tmp_path / "out" / "corpus.json").write_text(json.dumps({**meta, "made_by": "toy"}))
    with pytest.raises(BadInput, match="another folder"):
        made(path, tmp_path / "out")


MEMORY = """
import sys
sys.path[:0] = [{tests!r}, {tests!r} + "/prepare"]
from test_prepare import fixed
from dsel.prepare import prepare
prepare({path!r}, {out!r}, detector=fixed, progress=False, workers=1)
status = open("/proc/self/status").read().splitlines()
print([int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM")][0])
"""


def peak_memory(path: Path, out: Path) -> int:
    """MiB that a fresh process took at most to prepare a video. (getrusage would tell the parent's
    peak too.)
    """
    code = MEMORY.format(tests=str(ROOT / "tests"), path=str(path), out=str(out))
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return int(found.stdout.split()[-1])


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs Linux' /proc to tell the peak of memory"
)
def test_memory_does_not_grow_with_the_length_of_the_video(tmp_path):
    """4 s against 14 s of 1280x720: held as decoded, the difference would be 345 MB."""

    def wide(time):
        return np.full((720, 1280, 3), 80 + int(40 * np.sin(time)), np.uint8)

    peaks = []
    for seconds in (4.0, 14.0):
        path = shoot(
            tmp_path / f"{seconds:.0f}.mp4",
            Film(seconds=seconds, video="mpeg4", fps=Fraction(12.5)),
            picture=wide,
        )
        peaks.append(peak_memory(path, tmp_path / f"out{seconds:.0f}"))
    assert peaks[1] < peaks[0] + 30, peaks


# -------------------------------------------------------------------------------------- real people


def grid_clips():
    if not REAL.is_dir():
        pytest.skip(f"real recordings are not here ({REAL}); set DSEL_REAL")
    pytest.importorskip("cv2")
    return [min(folder.glob("*.mpg")) for folder in sorted(REAL.iterdir()) if folder.is_dir()]


def test_one_face_is_found_in_one_clip_of_every_grid_speaker(tmp_path):
    clips = grid_clips()
    corpus = prepare(clips, tmp_path / "out", layout="grid", progress=False)
    assert len(corpus) == len(clips) == len(corpus.speakers()) == 16
    for track in corpus.tracks:
        assert track.frames == 75
        assert 100 < track.factors["face_pixels"] < 200
    words = [
        label["word"]
        for track in corpus.tracks
        if track.speaker == "s1"
        for label in corpus.labels(track)
    ]
    assert len(words) == 6
    frames, _ = corpus.clip(corpus.tracks[0])
    redetected = [len(faces.haar()(frames[f])) for f in (0, 37, 74)]
    assert redetected == [1, 1, 1]
