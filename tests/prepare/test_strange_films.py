"""Films as people bring them: joined, mirrored, dubbed, cut, with covers and several sound tracks.

Each test stands for a kind of film that was lost in silence, taken for something else, or refused
with a traceback. What comes out is right, or one line says why not.
"""

from __future__ import annotations

import csv
import os
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from films import Film, fixed, grey, measure, moving, shoot, waveform

from dsel.prepare import decode, prepare
from dsel.prepare import face_tracks as faces
from dsel.prepare.clips_from_video import _weight
from dsel.prepare.contents import Clock, Stretch, contents
from dsel.prepare.sound_tracks import varies
from dsel.utils.errors import BadInput

pytestmark = pytest.mark.heavy  # films

ROOT = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("DSEL_REAL", ROOT.parent / "shared/real")) / "grid"
SHORT = Film("mkv", "libx264", "pcm_s16le", rate=16_000, layout="mono", seconds=1.6, at=(0.5, 1.15))


def made(path, out, **options):
    """The corpus of some films, by a detector that needs no face."""
    return prepare(
        path, out, **{"detector": fixed, "progress": False, "workers": 1, "size": 32, **options}
    )


def told(out: Path) -> list[tuple[str, str]]:
    """What skipped.csv says: (used, reason) of each line."""
    with (out / "skipped.csv").open(newline="", encoding="utf-8") as file:
        return [(row["used"], row["reason"]) for row in csv.DictReader(file)]


def in_step(frames, sound, count: int) -> bool:
    """Whether so many flashes are seen, each click within a millisecond of its flash's frame."""
    seen, clicks = measure(frames, sound, count)
    assert len(seen) == len(clicks) == count
    return bool(((clicks > seen / 25 - 0.001) & (clicks < (seen + 1) / 25 + 0.001)).all())


def talk(seconds: float, rate: int = 16_000, seed: int = 0) -> np.ndarray:
    """Noise that comes in syllables, four per second: float32 (S,)."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).standard_normal(len(time))
    return (0.3 * noise * np.clip(np.sin(2 * np.pi * 4 * time), 0.003, 1)).astype(np.float32)


def with_sounds(path: Path, film: Path, sounds: list[np.ndarray], rate: int = 16_000) -> Path:
    """Write the picture of a film with several sound tracks, mono, in order."""
    with av.open(str(film)) as source, av.open(str(path), "w") as out:
        video = out.add_stream_from_template(source.streams.video[0])
        tracks = [out.add_stream("pcm_s16le", rate=rate, layout="mono") for _ in sounds]
        for packet in source.demux(video=0):
            if packet.size:  # the last one only says that there are no more
                packet.stream = video
                out.mux(packet)
        for track, sound in zip(tracks, sounds, strict=True):
            block = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), "fltp", "mono")
            block.sample_rate, block.pts, block.time_base = rate, 0, Fraction(1, rate)
            out.mux(track.encode(block))
            out.mux(track.encode())
    return path


# ------------------------------------------------------------------------------ files joined


JOINED = [
    ("ts", "libx264", "mp2"),
    ("mpg", "mpeg1video", "mp2"),
    ("mkv", "libx264", "flac"),
    ("webm", "libvpx", "libopus"),
]


@pytest.mark.parametrize(("suffix", "video", "sound"), JOINED, ids=[kind[0] for kind in JOINED])
def test_both_halves_of_joined_files_are_used_and_in_step(tmp_path, suffix, video, sound):
    """The second file's clock starts again; its sound is longer than its picture."""
    at = (0.4, 1.0)
    a = Film(suffix, video, sound, rate=48_000, seconds=1.6, at=at, sound_seconds=1.9)
    b = Film(suffix, video, sound, rate=48_000, seconds=2.0, at=at, start=0.3)
    parts = [shoot(tmp_path / f"{k}.{suffix}", film) for k, film in enumerate((a, b))]
    path = tmp_path / "joined" / f"all.{suffix}"
    path.parent.mkdir()
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    corpus = made(path, tmp_path / "out")
    assert [track.frames for track in corpus.tracks] == [
        pytest.approx(40, abs=1),
        pytest.approx(50, abs=1),
    ]
    for track in corpus.tracks:
        assert in_step(*corpus.clip(track), 2)
    ((used, reason),) = told(tmp_path / "out")
    assert (used, "2 files joined end to end" in reason) == ("yes", True)


@pytest.mark.parametrize("suffix", ["mp4", "flv"])
def test_joined_files_of_which_one_cannot_be_read_are_said(tmp_path, suffix, capsys):
    film = Film(suffix, "libx264", "aac", seconds=1.6, at=(0.5,))
    data = shoot(tmp_path / f"a.{suffix}", film).read_bytes()
    (tmp_path / f"a.{suffix}").write_bytes(data + data)
    corpus = made(tmp_path / f"a.{suffix}", tmp_path / "out")
    assert [track.frames for track in corpus.tracks] == [40]
    ((used, reason),) = told(tmp_path / "out")
    assert used == "partly"
    assert "joined end to end, of which not all can be read" in reason
    assert reason in capsys.readouterr().err


def test_joined_clips_of_real_people_are_two_tracks_and_said_to_be_two_faces(tmp_path):
    """GRID: s1, then s2 in the same file, before the same blue wall."""
    pytest.importorskip("cv2")
    clips = [min(folder.glob("*.mpg")) for name in ("s1", "s2") if (folder := REAL / name).is_dir()]
    if len(clips) < 2:
        pytest.skip(f"real recordings are not here ({REAL}); set DSEL_REAL")
    path = tmp_path / "x.mpg"
    path.write_bytes(b"".join(clip.read_bytes() for clip in clips))
    corpus = made(path, tmp_path / "out", detector=None)
    assert [track.frames for track in corpus.tracks] == [75, 75]
    for clip, track in zip(clips, corpus.tracks, strict=True):
        alone = made(clip, tmp_path / clip.stem, detector=None)
        for a, b in zip(corpus.clip(track), alone.clip(alone.tracks[0]), strict=True):
            assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.97
    joined, two = (reason for _, reason in told(tmp_path / "out"))
    assert joined.endswith("2 files joined end to end; each keeps its own clock")
    assert "shows 2 faces one after the other that do not look alike (another person, or" in two


def test_a_clock_that_restarts_goes_on():
    clock = Clock([Stretch(0, 5.0, 7.0, 7.04), Stretch(1, 5.0, 6.0, 6.04, shift=2.04)])
    stamps = [5.0, 5.08, 5.04, 7.0, 5.0, 6.0]
    np.testing.assert_allclose([clock(t) for t in stamps], [5.0, 5.08, 5.04, 7.0, 7.04, 8.04])


# ------------------------------------------------------------------------------ sound


@pytest.mark.parametrize("codec", ["pcm_s16le", "aac"])
def test_channels_that_cancel_do_not_silence_a_film(tmp_path, codec):
    film = Film("mkv", "libx264", codec, seconds=1.6, at=(0.5, 1.15))
    sound = waveform(film, film.flashes())
    path = shoot(tmp_path / "x.mkv", film, moving, sound=np.stack([sound, -0.9 * sound]))
    corpus = made(path, tmp_path / "out")
    frames, heard = corpus.clip(corpus.tracks[0])
    assert in_step(frames, heard, 2)
    assert np.abs(heard).max() > 0.5  # what AAC leaves of their sum is 40 dB less
    ((used, reason),) = told(tmp_path / "out")
    assert (used, "cancel each other; channel 1 alone" in reason) == ("yes", True)


def test_what_is_nearly_silent_after_decoding_is_silent(tmp_path):
    film = Film("mp4", seconds=1.6)
    path = shoot(tmp_path / "x.mp4", film, sound=5e-4 * waveform(film, film.flashes()))
    with pytest.raises(BadInput, match=r"x\.mp4: silent"):
        made(path, tmp_path / "out")


def test_channels_of_a_surround_track_are_mixed(tmp_path):
    """Speech in the centre of 5.1 keeps its level; silent channels do not dilute it."""
    film, path = SHORT, tmp_path / "x.mkv"
    sound = np.zeros((6, 25_600), np.float32)
    sound[2] = waveform(film, film.flashes())
    with av.open(str(path), "w") as out:
        track = out.add_stream("flac", rate=16_000, layout="5.1")
        packed = np.round(sound.T.reshape(1, -1) * 32767).astype(np.int16)
        block = av.AudioFrame.from_ndarray(packed, "s16", "5.1")
        block.sample_rate, block.pts, block.time_base = 16_000, 0, Fraction(1, 16_000)
        out.mux(track.encode(block))
        out.mux(track.encode())
    heard = decode.decode_sound(path, tmp_path / "raw")
    assert heard.weights == (0, 0, 1, 0, 0, 0)
    np.testing.assert_allclose(heard.read(0.0, 25_600), sound[2], atol=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_a_mix_never_loses_what_its_channels_hold(seed):
    """Whatever the correlations: the mix has a quarter of the mean power or more."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((3, 3)) * rng.uniform(0.1, 3, (3, 1))
    power = root @ root.T
    weights = np.array(decode.mixing(power))
    assert weights.sum() == pytest.approx(1)
    heard = weights > 0
    assert weights @ power @ weights >= 0.5 * np.diagonal(power)[heard].mean() / heard.sum()


def test_of_several_sound_tracks_the_first_with_speech_is_taken_and_said(tmp_path, capsys):
    film = shoot(tmp_path / "x.mkv", SHORT, moving, sound=False)
    hum = 0.2 * np.sin(0.3 * np.arange(25_600))
    sounds = [np.zeros(25_600), hum, waveform(SHORT, SHORT.flashes()), talk(1.6)]
    path = with_sounds(tmp_path / "many.mkv", film, sounds)
    corpus = made(path, tmp_path / "out")
    frames, heard = corpus.clip(corpus.tracks[0])
    assert in_step(frames, heard, 2)
    note = "many.mkv: sound track 3 of 4 is used, the first with speech; --audio-stream takes"
    assert note in capsys.readouterr().err
    corpus = made(path, tmp_path / "out", audio_stream=4)  # another one: made again
    assert np.corrcoef(corpus.clip(corpus.tracks[0])[1], sounds[3][:25_600])[0, 1] > 0.9
    assert told(tmp_path / "out") == []
    with pytest.raises(BadInput, match=r"many\.mkv: has 4 sound tracks, not one with the number 5"):
        made(path, tmp_path / "out2", audio_stream=5)


def test_of_several_sound_tracks_the_one_that_fits_the_face_is_taken(tmp_path):
    """A stand-in for a trained network knows the voice that belongs to the face."""
    film = shoot(tmp_path / "x.mkv", SHORT, moving, sound=False)
    mine = talk(1.6, seed=5)
    path = with_sounds(tmp_path / "many.mkv", film, [talk(1.6, seed=1), mine, talk(1.6, seed=2)])

    def knows(frames, sound):
        return (2, 0.5) if np.corrcoef(sound, mine[: len(sound)])[0, 1] > 0.5 else (-7, 0.1)

    corpus = made(path, tmp_path / "out", model=knows)
    assert [(track.offset, track.factors["confidence"]) for track in corpus.tracks] == [(2, 0.5)]
    assert "sound track 2 of 3 is used, fits the face best" in told(tmp_path / "out")[0][1]
    assert len(list((tmp_path / "out" / "clips").rglob("*.mp4"))) == 1


def test_the_command_takes_the_number_of_a_sound_track(tmp_path):
    film = shoot(tmp_path / "x.mkv", SHORT, moving, sound=False)
    path = with_sounds(tmp_path / "many.mkv", film, [talk(1.6), talk(1.6, seed=2)])
    command = [sys.executable, "-m", "dsel", "prepare", str(path), "--out", str(tmp_path / "out")]
    done = subprocess.run([*command, "--audio-stream", "3"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "many.mkv: has 2 sound tracks, not one with the number 3" in done.stderr


def test_speech_is_told_from_hum_and_noise(tmp_path):
    time = np.arange(32_000) / 16_000
    noise = 0.2 * np.random.default_rng(0).standard_normal(32_000)
    sounds = {"talk": talk(2.0), "hum": 0.3 * np.sin(314 * time), "noise": noise}
    found = {}
    for name, sound in sounds.items():
        sound.astype("<f4").tofile(tmp_path / name)
        found[name] = varies(decode.Sound(tmp_path / name, 0.0, 32_000, 1.0))
    assert found == {"talk": True, "hum": False, "noise": False}


# ------------------------------------------------------------------------------ cuts and faces


def head(shade: int, hair: int, size: int = 40):
    """A face in front of a wall that is the same for everybody: detected at (44, 24)."""

    def picture(time):
        image = np.full((96, 128, 3), 120, np.uint8)
        image[24 : 24 + size, 44 : 44 + size] = shade
        image[24:34, 44 : 44 + size] = hair
        image[52 : 54 + round(6 * np.sin(9.4 * time) ** 2), 56:72] = 30
        return image

    return picture


def at_the_head(picture):
    scale = picture.shape[1] / 128
    return np.array([[44.0, 24, 40, 40]]) * scale


def one_after_the_other(*pictures, each: float = 1.2):
    return lambda time: pictures[min(int(time / each + 1e-6), len(pictures) - 1)](time)


def test_a_track_does_not_run_across_a_cut_between_people_before_the_same_wall(tmp_path, capsys):
    picture = one_after_the_other(head(170, 40), head(90, 200))
    path = shoot(tmp_path / "x.mp4", Film(at=(0.5, 1.8)), picture)
    corpus = made(path, tmp_path / "out", detector=at_the_head)
    assert [(t.frames, t.factors["start"]) for t in corpus.tracks] == [(30, 0.0), (30, 1.2)]
    note = "shows 2 faces one after the other that do not look alike (another person, or another"
    assert note in capsys.readouterr().err
    assert note in told(tmp_path / "out")[0][1]


def test_a_jump_cut_of_one_person_is_not_said_to_be_another(tmp_path):
    def nearer(time):
        image = np.roll(head(170, 40)(time), 1, axis=1)
        image[74:] = 20
        return image

    path = shoot(tmp_path / "x.mp4", Film(at=()), one_after_the_other(head(170, 40), nearer))
    corpus = made(path, tmp_path / "out", detector=at_the_head)
    assert [track.frames for track in corpus.tracks] == [30, 30]
    assert told(tmp_path / "out") == []


@pytest.mark.skipif(not REAL.is_dir(), reason="no recordings in ../shared/real")
def test_a_face_with_a_quarter_of_the_light_is_found_where_it_is_and_none_in_its_wall():
    detect, rng = faces.haar(), np.random.default_rng(0)
    for folder in sorted(path for path in REAL.iterdir() if path.is_dir()):
        _, frame = next(decode.pictures(min(folder.glob("*.mpg"))))
        picture = decode.upright(frame)
        (box,) = faces.squares(detect(picture), 1.0)
        (dark,) = faces.squares(detect(picture // 4), 1.0)
        assert np.hypot(*(dark - box)[:2]) < 0.1 * box[2]
        assert 0.8 < dark[2] / box[2] < 1.25
        x, y, reach = (round(value) for value in box * (1, 1, 0.7))
        wall = (picture // 4).astype(float)
        wall[max(0, y - reach) : y + reach, x - reach : x + reach] = np.median(wall, (0, 1))
        wall = np.clip(wall + rng.normal(0, 2, wall.shape), 0, 255).astype(np.uint8)
        assert len(detect(wall)) == 0


@pytest.mark.skipif(not REAL.is_dir(), reason="no recordings in ../shared/real")
def test_two_films_of_one_person_are_alike_and_of_two_people_are_not():
    """GRID: two clips of each person who has two, some of them from other sessions."""
    detect, found = faces.haar(), {}
    for folder in sorted(path for path in REAL.iterdir() if path.is_dir()):
        for film in sorted(folder.glob("*.mpg"))[:2]:
            pictures = [decode.upright(frame) for _, frame in decode.pictures(film)][::25]
            crops = [
                faces.crop(picture, box, faces.FACE)
                for picture in pictures
                for box in faces.squares(detect(picture), 1.0)
            ]
            track = faces.FaceTrack(0, 1, np.array([0.0]), np.zeros((1, 3)), tuple(crops))
            found.setdefault(folder.name, []).append(track)
    same = [faces.unlike(*tracks) for tracks in found.values() if len(tracks) == 2]
    people = [tracks[0] for tracks in found.values()]
    other = [faces.unlike(a, b) for k, a in enumerate(people) for b in people[:k]]
    assert len(same) >= 5
    assert not any(same)
    assert np.mean(other) > 0.9


def test_faces_are_only_called_unlike_where_they_were_compared():
    times, boxes = np.array([0.0]), np.zeros((1, 3))
    dark, light = (np.full((16, 16, 3), value, np.uint8) for value in (40, 200))

    def track(*crops):
        return faces.FaceTrack(0, 1, times, boxes, crops)

    assert faces.unlike(track(dark), track(light))
    assert not faces.unlike(track(dark, light), track(light))
    assert not faces.unlike(track(), track(light))


def test_a_nose_and_a_mouth_are_no_second_face(tmp_path):
    """A part of a face, found as often or not, does not stand beside the face."""

    def with_nose(picture):
        looks.append(1)
        boxes = [[20.0, 10, 60, 60], [36.0, 34, 30, 30]]
        return np.array(boxes if len(looks) > 2 else boxes[:1])

    looks = []
    path = shoot(tmp_path / "x.mp4", Film("mp4"), moving)
    corpus = made(
        path, tmp_path / "out", detector=with_nose, model=lambda f, s: (0, 1 / len(f) ** 2)
    )
    assert [(t.factors["face_pixels"], t.factors["chosen"]) for t in corpus.tracks] == [
        (60, "only")
    ]


def test_a_confidence_counts_for_more_the_longer_the_clip(tmp_path):
    """By chance the best shift stands out by 1 / sqrt(length): weighed, lengths are alike."""
    from dsel.evaluate.sync import sync_offset

    rng, weights = np.random.default_rng(0), {}
    for length in (40, 60, 120, 240):
        found = []
        for _ in range(60):
            face, sound = rng.standard_normal((2, length, 24))
            found.append(_weight(sync_offset(face, sound)[1], length))
        weights[length] = np.mean(found)
    assert max(weights.values()) < 1.25 * min(weights.values()), weights


def test_a_short_piece_does_not_displace_the_face_that_talks(tmp_path):
    """A passer-by of 1.4 s with a confidence that a clip as short has by chance."""

    def passing(picture):
        looks.append(1)
        boxes = [[6.0, 30, 36, 36], [54.0, 30, 36, 36]]
        return np.array(boxes if 8 <= len(looks) <= 14 else boxes[:1])

    looks = []
    path = shoot(tmp_path / "x.mp4", Film("mp4", seconds=4.0), moving)
    corpus = made(
        path,
        tmp_path / "out",
        detector=passing,
        model=lambda f, s: (3, 0.03) if len(f) > 60 else (-9, 0.045),
    )
    assert [(t.frames, t.offset, t.factors["chosen"]) for t in corpus.tracks] == [
        (100, 3, "talking")
    ]


def test_a_still_picture_is_said_and_has_no_offset(tmp_path, capsys):
    path = shoot(tmp_path / "x.mp4", Film("mp4", at=()), sound=talk(2.4, 44_100))
    corpus = made(path, tmp_path / "out", model=lambda frames, sound: (15, 0.3))
    assert [(t.offset, t.factors["doubt"]) for t in corpus.tracks] == [(0, "still picture")]
    said = capsys.readouterr().err
    assert "x.mp4: the picture stands still in 1 of 1 clips; nobody can say whether" in said


@pytest.mark.parametrize(
    ("seconds", "right", "said"), [(3.2, 0.1, True), (3.2, 0.6, False), (1.6, 0.1, False)]
)
def test_a_sound_that_fits_nobody_is_said_and_moves_nothing(tmp_path, capsys, seconds, right, said):
    """Dubbed. Nothing is said where a shift is as likely as not, or the film too short."""
    path = shoot(tmp_path / "x.mp4", Film("mp4", seconds=seconds), moving)
    corpus = made(path, tmp_path / "out", model=lambda frames, sound: (7, 0.03, right))
    assert [(t.offset, t.factors["found"]) for t in corpus.tracks] == [(0, 7)]
    told_so = "x.mp4: the sound fits nobody who is seen (dubbed" in capsys.readouterr().err
    assert told_so is said
    assert any("fits nobody" in reason for _, reason in told(tmp_path / "out")) is said


def test_a_poster_does_not_talk(tmp_path):
    """Beside a face that moves, a photograph does not talk, however sure a network is."""

    def picture(time):
        return np.concatenate([grey(time), moving(time)], axis=1)  # 96 x 192

    def both(image):
        return np.array([[18.0, 18, 60, 60], [114.0, 18, 60, 60]]) * image.shape[1] / 192

    path = shoot(tmp_path / "x.mp4", Film("mp4", at=()), picture, sound=talk(2.4, 44_100))

    def sure_of_posters(frames, sound):
        still = np.abs(np.diff(frames.astype(int), axis=0)).mean() < 0.1
        return (9, 0.9) if still else (1, 0.1)

    corpus = made(path, tmp_path / "out", detector=both, model=sure_of_posters)
    assert [(t.offset, t.factors["chosen"]) for t in corpus.tracks] == [(1, "talking")]


# ------------------------------------------------------------------------------ pictures


def test_sizes_that_change_in_the_middle_do_not_move_the_crop(tmp_path):
    """160 x 120, then 80 x 60 of the same scene: the crop stays on the bright square."""

    def scene(size):
        def picture(time):
            image = np.full((120, 160, 3), 70, np.uint8)
            image[40:80, 100:140] = 200
            return image[:: 120 // size, :: 120 // size]

        return picture

    def square(picture):
        y, x = np.nonzero(picture[..., 1] > 140)
        side = max(np.ptp(x), np.ptp(y)) + 1.0
        return np.array([[x.min(), y.min(), side, side]])

    films = [
        shoot(tmp_path / f"{k}.ts", Film("ts", start=start, seconds=1.6, at=()), scene(size))
        for k, (start, size) in enumerate([(0.0, 120), (1.6, 60)])
    ]
    path = tmp_path / "joined" / "x.ts"
    path.parent.mkdir()
    path.write_bytes(b"".join(film.read_bytes() for film in films))
    corpus = made(path, tmp_path / "out", detector=square, size=48)
    assert [round(track.factors["face_pixels"]) for track in corpus.tracks] == [40, 20]
    above = 48 * faces.LOWER / faces.MARGIN
    for track in corpus.tracks:
        frames, _ = corpus.clip(track)
        for f in (0, track.frames // 2, track.frames - 1):
            y, x = np.nonzero(frames[f, ..., 1] > 140)
            assert abs(x.mean() - 23.5) < 2
            assert abs(y.mean() - (23.5 - above)) < 2


UNIT = 1 << 16
SIGNS = [(s, t) for s in (1, -1) for t in (1, -1)]
EIGHT = [(s, 0, 0, t) for s, t in SIGNS] + [(0, s, t, 0) for s, t in SIGNS]
TURNS = [(a, b, c, d) for a, b, c, d in EIGHT if a * d - b * c == 1]  # Matroska holds no mirrors


@pytest.mark.parametrize(
    ("suffix", "turn"), [("mp4", turn) for turn in EIGHT] + [("mkv", turn) for turn in TURNS]
)
def test_all_eight_display_matrices(tmp_path, suffix, turn):
    """A bright corner and a dark one go where the matrix sends them, pixel by pixel."""
    height, width = 48, 64
    stored = np.full((height, width, 3), 120, np.uint8)
    stored[:16, :16], stored[-16:, :16] = 230, 20
    a, b, c, d = turn
    matrix = (a * UNIT, b * UNIT, 0, c * UNIT, d * UNIT, 0, 0, 0, 1 << 30)
    path = shoot(
        tmp_path / f"x.{suffix}", Film(suffix, seconds=0.2, at=()), lambda t: stored, matrix=matrix
    )
    _, frame = next(iter(decode.pictures(path)))
    seen = decode.upright(frame)[..., 0]
    y, x = np.mgrid[:height, :width]
    x2, y2 = a * x + c * y, b * x + d * y
    x2, y2 = x2 - x2.min(), y2 - y2.min()
    expected = np.zeros((y2.max() + 1, x2.max() + 1))
    expected[y2, x2] = stored[..., 0]
    assert seen.shape == expected.shape
    assert np.abs(seen - expected).mean() < 6


def test_a_mirrored_phone_film_is_prepared_upright(tmp_path):
    """Front cameras turn it by 90 degrees and mirror it. The detector sees it upright."""

    def arrow(time):
        image = moving(time)[:64]
        image[:, 72:] = 230
        return image

    seen = []

    def detector(picture):
        seen.append(picture)
        return fixed(picture)

    matrix = (0, UNIT, 0, UNIT, 0, 0, 0, 0, 1 << 30)
    path = shoot(tmp_path / "x.mp4", Film(seconds=1.2, at=()), arrow, matrix=matrix)
    made(path, tmp_path / "out", detector=detector)
    assert seen[0].shape == (96, 64, 3)
    assert seen[0][-16:].mean() > 200 > 150 > seen[0][:16].mean()


def test_a_cover_is_not_a_video(tmp_path):
    """A picture of one frame that is not flagged as a cover, before the film in the same file."""
    film = shoot(tmp_path / "x.mkv", SHORT)
    path = tmp_path / "covered.mkv"
    with av.open(str(film)) as source, av.open(str(path), "w") as out:
        cover = out.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 320, 320, "yuvj420p"
        streams = {s.index: out.add_stream_from_template(s) for s in source.streams}
        frame = av.VideoFrame.from_ndarray(np.full((320, 320, 3), 99, np.uint8), format="rgb24")
        out.mux(cover.encode(frame))
        out.mux(cover.encode())
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    assert contents(path).picture == 1
    corpus = made(path, tmp_path / "out")
    assert [track.frames for track in corpus.tracks] == [40]
    assert in_step(*corpus.clip(corpus.tracks[0]), 2)


def test_sound_with_a_cover_alone_has_no_picture(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as out:
        cover = out.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        sound = out.add_stream("aac", rate=16_000, layout="mono")
        frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 99, np.uint8), format="rgb24")
        out.mux(cover.encode(frame))
        out.mux(cover.encode())
        block = av.AudioFrame.from_ndarray(talk(2.0)[None], "fltp", "mono")
        block.sample_rate = 16_000
        out.mux(sound.encode(block))
        out.mux(sound.encode())
    with pytest.raises(BadInput, match=r"song\.mp4: (no picture in it|1 frames)"):
        made(path, tmp_path / "out")


# ------------------------------------------------------------------------------ beyond reason


def patched(path: Path, old: bytes, new: bytes) -> Path:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    return path


def test_a_picture_that_cannot_be_decoded_is_one_line(tmp_path):
    path = patched(shoot(tmp_path / "x.mp4", Film(seconds=1.2)), b"avc1", b"zzz1")
    with pytest.raises(BadInput, match=r"x\.mp4: its picture is coded in a way that cannot be"):
        made(path, tmp_path / "out")


def test_a_sound_that_cannot_be_decoded_is_one_line(tmp_path):
    film = Film("mkv", "libx264", "flac", seconds=1.2)
    path = patched(shoot(tmp_path / "x.mkv", film), b"A_FLAC", b"A_ZLAC")
    with pytest.raises(BadInput, match=r"x\.mkv: its sound is coded in a way that cannot be"):
        made(path, tmp_path / "out")


def wav(path: Path, channels: int = 1, rate: int = 16_000, samples: int = 16_000) -> Path:
    """A wav file with any header."""
    body = np.zeros(samples * min(channels, 64), "<i2").tobytes()
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(body), b"WAVE", b"fmt ", 16, 1, channels, rate,
        (rate * channels * 2) & 0xFFFFFFFF, (channels * 2) & 0xFFFF, 16, b"data", len(body),
    )  # fmt: skip
    path.write_bytes(head + body)
    return path


@pytest.mark.parametrize(
    ("header", "what"),
    [
        ({"channels": 200}, "200 channels"),
        ({"rate": 2**31 - 1}, "2147483647 samples/s"),
        ({"rate": 10}, "10 samples/s"),
        ({"channels": 0}, r"x\.wav: "),
        ({"rate": 0}, r"x\.wav: "),
    ],
)
def test_absurd_sound_is_one_line(tmp_path, header, what):
    with pytest.raises(BadInput, match=what) as error:
        decode.decode_sound(wav(tmp_path / "x.wav", **header), tmp_path / "raw")
    assert "\n" not in str(error.value)
    assert "x.wav" in str(error.value)


def test_sixty_four_channels_are_mixed(tmp_path):
    path = wav(tmp_path / "x.wav", channels=64)
    data = bytearray(path.read_bytes())
    data[44:] = np.repeat((3e4 * talk(1.0)).astype("<i2"), 64).tobytes()
    path.write_bytes(bytes(data))
    try:
        told = decode.decode_sound(path, tmp_path / "raw").peak > 0.1
    except BadInput as error:  # some versions of FFmpeg cannot
        told = "channels" in str(error) or "cannot be decoded" in str(error)
    assert told


def test_pictures_beyond_the_budget_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    path = shoot(tmp_path / "x.mp4", Film(seconds=1.2))
    monkeypatch.setattr("dsel.prepare.contents.MOST_PIXELS", 96 * 96 - 1)
    with pytest.raises(BadInput, match=r"x\.mp4: a picture of 96 x 96 pixels"):
        made(path, tmp_path / "out")


def test_a_size_that_the_header_hides_is_refused_by_the_decoder(tmp_path, monkeypatch):
    path = shoot(tmp_path / "x.mp4", Film(seconds=1.2))
    monkeypatch.setattr("dsel.prepare.decode.MOST_PIXELS", 96 * 96 // 4)
    assert list(decode.pictures(path)) == []


def test_too_long_a_file_is_refused(tmp_path, monkeypatch):
    path = shoot(tmp_path / "x.mp4", Film(seconds=1.6))
    monkeypatch.setattr("dsel.prepare.contents.MOST_SECONDS", 1)
    with pytest.raises(BadInput, match=r"x\.mp4: its time stamps span"):
        made(path, tmp_path / "out")
    monkeypatch.setattr("dsel.prepare.contents.MOST_SECONDS", 10)
    monkeypatch.setattr("dsel.prepare.contents.MOST_PICTURES", 30)
    with pytest.raises(BadInput, match=r"x\.mp4: more than 30 pictures"):
        made(path, tmp_path / "out")


def test_pixels_no_camera_has_are_taken_for_square(tmp_path):
    path = shoot(tmp_path / "x.mkv", Film("mkv", seconds=1.2), aspect=Fraction(65_535, 1))
    assert decode.pixel_aspect(path) == 1.0
    assert [track.frames for track in made(path, tmp_path / "out").tracks] == [30]


def test_sound_that_is_not_a_number_becomes_silence(tmp_path):
    sound = talk(1.0)
    sound[4000:4100], sound[4100:4200] = np.nan, np.inf
    path = tmp_path / "x.wav"
    with av.open(str(path), "w") as out:
        track = out.add_stream("pcm_f32le", rate=16_000, layout="mono")
        block = av.AudioFrame.from_ndarray(sound[None], "flt", "mono")
        block.sample_rate = 16_000
        out.mux(track.encode(block))
        out.mux(track.encode())
    heard = decode.decode_sound(path, tmp_path / "raw")
    assert np.isfinite(heard.read(0.0, 16_000)).all()
    assert np.isfinite(heard.peak)


# ------------------------------------------------------------------------------ folders


def test_folders_that_are_links_are_searched_once(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    shoot(store / "a.mp4", Film(seconds=1.2))
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "anna").symlink_to(store, target_is_directory=True)
    (videos / "again").symlink_to(store, target_is_directory=True)
    (store / "loop").symlink_to(videos, target_is_directory=True)
    corpus = made(videos, tmp_path / "out")
    assert [track.factors["source"] for track in corpus.tracks] == ["a.mp4"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_pipes_and_devices_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    film = shoot(tmp_path / "x.mp4", Film(seconds=1.2))
    for bad in (tmp_path / "pipe.mp4", Path("/dev/zero")):
        with pytest.raises(BadInput, match=f"{bad}: is a pipe or a device"):
            made(bad, tmp_path / "out")
        with pytest.raises(BadInput, match=f"{bad}: is a pipe or a device"):
            made(film, tmp_path / "out", audio=bad)
    with pytest.raises(BadInput, match="is not a folder"):
        made(film, Path("/dev/null/out"))
    assert len(made([film, tmp_path], tmp_path / "out")) == 1  # found in a folder it is no film


@pytest.mark.parametrize("place", ["clips", "parts", "labels", "clips/videos"])
def test_links_in_a_corpus_are_not_written_through(tmp_path, place):
    (tmp_path / "videos").mkdir()
    film = shoot(tmp_path / "videos" / "x.mp4", Film(seconds=1.2))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "out" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere, target_is_directory=True)
    with pytest.raises(BadInput, match="is a link"):
        made(film, tmp_path / "out")
    assert list(elsewhere.iterdir()) == []


FULL = """
import resource, signal, sys
sys.path[:0] = [{root!r}, {tests!r}]
from films import fixed
from dsel.prepare import prepare
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
try:
    prepare({film!r}, {out!r}, detector=fixed, size=32, workers=1, progress=False)
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files there")
@pytest.mark.parametrize("limit", [4_000, 120_000])
def test_a_full_disk_is_one_line_that_names_the_corpus(tmp_path, limit):
    """No room for the clip, or not even for the sound; the film is not to blame."""
    film = shoot(tmp_path / "x.mp4", Film(seconds=2.4 if limit < 5_000 else 4.0), moving)
    out = str(tmp_path / "out")
    code = FULL.format(
        root=str(ROOT), tests=str(ROOT / "tests"), film=str(film), out=out, limit=limit
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith(f"BadInput {out}: no room for the clips"), done.stderr
    assert done.stdout.count("\n") == 1
    assert not list(Path(out).rglob("*.part*"))
