"""How far picture and sound are apart: known shifts, a copy in step, answers that are not sure."""

import hashlib

import numpy as np
import pytest

from dsel import corpus as corpora
from dsel.apply import offset as offsets
from dsel.apply.offset import Report, Status, joined, moved, sync
from dsel.cli import main
from dsel.evaluate.sync import Curve, Offset, calibration, sync_of
from dsel.prepare.decode import decode_sound, pictures
from dsel.teaching.own_video import phone_video
from dsel.utils.errors import BadInput

av = pytest.importorskip("av", reason="videos are read with PyAV")


def in_the_middle(picture):
    """Stand in for a face detector: where `phone_video` draws the face."""
    return np.array([[98.0, 34.0, 183, 183]])


@pytest.fixture(scope="module")
def talk():
    """Four clips of one drawn person, 8 s."""
    mini = corpora.open("mini")
    person = mini.speakers("test")[0]
    return [mini.clip(track) for track in mini.split("test") if track.speaker == person][:4]


def packets(path, kind):
    """(time in seconds, hash of the bytes) of every packet of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        return [
            (float(p.pts * p.time_base), hashlib.sha1(bytes(p)).hexdigest())
            for p in container.demux(stream)
            if p.size
        ]


@pytest.mark.heavy
@pytest.mark.parametrize("late", [7, -6])
def test_a_video_out_of_step_is_told_and_its_copy_is_in_step(tmp_path, talk, late):
    video = phone_video(tmp_path / "talk.mp4", talk, late=late)
    report = sync(video, "laptop", fix=tmp_path / "fixed.mp4", detector=in_the_middle)
    assert report.status is Status.OUT_OF_STEP
    assert abs(report.offset.late - late) <= 1
    assert len(report.windows) == 4  # the film has three cuts
    assert f"{'late' if late > 0 else 'early'} by {40 * abs(report.offset.late)} ms" in str(report)
    again = sync(report.fixed, "laptop", detector=in_the_middle)
    assert again.status is Status.IN_STEP
    assert "in step" in str(again)


@pytest.mark.parametrize("source", [".mp4", ".mkv"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("seconds", [-0.4, 0.4])
def test_a_moved_sound_is_the_same_sound_and_the_picture_is_untouched(
    tmp_path, talk, source, suffix, seconds
):
    video = phone_video(tmp_path / f"talk{source}", talk[:1])
    out = moved(video, tmp_path / f"moved{suffix}", seconds)
    before, after = packets(video, "video"), packets(out, "video")
    assert [digest for _, digest in before] == [digest for _, digest in after]
    assert [t for t, _ in after] == pytest.approx([t for t, _ in before], abs=0.002)
    heard = {digest: time for time, digest in packets(video, "audio")}
    found = [(time, heard[digest]) for time, digest in packets(out, "audio")]
    assert len(found) >= len(heard) - 20 * (seconds < 0)  # what lies before the first picture
    differences = [now - then for now, then in found]
    assert differences == pytest.approx([seconds] * len(found), abs=0.002)
    begin = next(pictures(out))[0]
    sound = decode_sound(out, tmp_path / "moved.f32")
    original = decode_sound(video, tmp_path / "original.f32")
    assert begin == pytest.approx(next(pictures(video))[0], abs=0.002)
    middle = original.read(begin + 0.9, 8_000)
    lags = range(-320, 321)  # samples
    heard = [np.dot(middle, sound.read(begin + 0.9 + seconds + k / 16_000, 8_000)) for k in lags]
    assert abs(lags[int(np.argmax(heard))]) <= 32  # 2 ms


def report(offset, windows=()):
    return Report(offsets.Path("talk.mp4"), offset, windows)


@pytest.mark.parametrize(
    ("offset", "status", "words"),
    [
        (Offset(0, 0.1, 0.99, 15, 8.0), Status.IN_STEP, "in step"),
        (Offset(-1, 0.1, 0.85, 15, 8.0), Status.IN_STEP, "likely (85 %)"),
        (Offset(5, 0.1, 0.97, 15, 8.0), Status.OUT_OF_STEP, "late by 200 ms (5 frames), sure"),
        (Offset(-40, 0.1, 0.97, 75, 8.0), Status.OUT_OF_STEP, "early by 1600 ms"),
        (Offset(5, 0.1, 0.7, 15, 8.0), Status.NOT_SURE, "not sure. Best guess: +200 ms"),
        (Offset(5, 0.1, 0.2, 15, 1.5), Status.NOT_SURE, "a longer clip helps"),
        (Offset(5, 0.1, 0.2, 75, 8.0), Status.FITS_NOBODY, "within 3.0 s early or late: dubbed"),
    ],
)
def test_the_answer_says_how_sure_it_is(offset, status, words):
    assert report(offset).status is status
    assert words in str(report(offset))


def test_a_drift_is_told_from_sure_windows_alone():
    windows = tuple((4.0 * k, Offset(k, 0.1, 0.99, seconds=4)) for k in range(5))
    unsure = (*windows, (20.0, Offset(-15, 0.1, 0.3)))
    drifts = report(Offset(2, 0.1, 0.4, 15, 20.0), unsure)
    assert drifts.drift == pytest.approx(15.0)
    assert drifts.status is Status.OUT_OF_STEP
    assert "drifts: +600 ms per minute, from +0 ms to +160 ms" in str(drifts)
    assert report(windows[0][1], unsure[3:]).drift is None  # two of them sure
    steady = tuple((4.0 * k, Offset(3 + k % 2, 0.1, 0.99)) for k in range(5))
    assert report(steady[0][1], steady).drift == 0
    assert "drift" not in str(report(steady[0][1], steady))


def test_chance_hits_of_a_dubbed_film_are_no_drift():
    rng = np.random.default_rng(0)
    windows = tuple(
        (4.0 * k, Offset(int(rng.integers(-15, 16)), 0.1, 0.9 if k % 4 == 0 else 0.2))
        for k in range(40)
    )
    dubbed = report(Offset(4, 0.1, 0.1, 15, 160.0), windows)
    assert dubbed.drift == 0
    assert dubbed.status is Status.FITS_NOBODY


@pytest.mark.parametrize("late", [0, -12, 30, 60, -70])
def test_windows_vote_and_offsets_beyond_their_reach_are_found_by_whole_clips(late):
    what = np.random.default_rng(0).normal(size=(400, 16))
    noise = np.random.default_rng(1).normal(size=(246, 16))
    clip = what[100:346] + noise, what[100 - late : 346 - late]
    found, windows = joined([(0.0, clip)], Curve(-4.0, 2.0, 0.0))
    assert (found.late, found.sure) == (late, True)
    assert [round(start, 1) for start, _ in windows] == [0.0, 4.9]


@pytest.mark.heavy
def test_the_sound_of_a_still_picture_fits_nobody_and_it_gets_no_copy(tmp_path, talk):
    still = [(np.repeat(frames[:1], len(frames), axis=0), sound) for frames, sound in talk]
    video = phone_video(tmp_path / "still.mp4", still, late=3)
    found = sync(video, "laptop", fix=tmp_path / "fixed.mp4", detector=in_the_middle)
    assert found.status is Status.FITS_NOBODY
    assert found.fixed is None
    assert not (tmp_path / "fixed.mp4").exists()


@pytest.mark.heavy
def test_dubbed_voices_are_seldom_told_an_offset():
    """Faces of every drawn person with the voices of the others: no shift is right."""
    mini, instep = corpora.open("mini"), sync_of("real")
    clips = {
        name: [instep.embed(*mini.clip(t)) for t in mini.split("test") if t.speaker == name][:4]
        for name in mini.speakers("test")
    }
    told = []
    for a in clips:
        for b in set(clips) - {a}:
            pairs = zip(clips[a], clips[b], strict=True)
            film = [(2.0 * k, (face, sound)) for k, ((face, _), (_, sound)) in enumerate(pairs)]
            told.append(joined(film, calibration("real"))[0].sure)
    assert len(told) > 100
    assert np.mean(told) < 0.05


def test_what_cannot_be_done_is_said_in_one_line(tmp_path, talk, capsys):
    video = phone_video(tmp_path / "talk.mp4", talk[:1])
    with pytest.raises(BadInput, match="overwrite"):
        sync(video, "laptop", fix=video)
    with pytest.raises(BadInput, match="kind of file"):
        moved(video, tmp_path / "fixed.xyz", 0.1)
    with pytest.raises(BadInput, match=r"fixed\.webm.*\.mp4"):
        moved(video, tmp_path / "fixed.webm", 0.1)  # WebM takes no H.264
    assert main(["sync", str(tmp_path / "none.mp4")]) == 2
    assert "none.mp4" in capsys.readouterr().err
