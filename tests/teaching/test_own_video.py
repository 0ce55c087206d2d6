"""Check uploads in both formats of ipywidgets, the phone film, and who and what is nearest."""

import re
import sys
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from dsel.apply.comparison import calibration
from dsel.evaluate import Embeddings
from dsel.prepare.decode import decode_sound
from dsel.teaching import own_video as yourvideo
from dsel.utils.errors import BadInput


def uploads(name, content):
    """Return FileUpload.value after one upload, in ipywidgets 8 and 7."""
    return (
        {"name": name, "type": "video/mp4", "size": len(content), "content": memoryview(content)},
    ), {name: {"metadata": {"name": name, "type": "video/mp4"}, "content": content}}


@pytest.mark.parametrize("version", [0, 1], ids=["ipywidgets 8", "ipywidgets 7"])
def test_an_upload_becomes_a_file_of_its_name(version, tmp_path):
    path = yourvideo.received(uploads("내 영상 1.mp4", b"abc")[version], tmp_path)
    assert path == tmp_path / "내 영상 1.mp4"
    assert path.read_bytes() == b"abc"


@pytest.mark.parametrize("nothing", [(), {}])
def test_no_upload_is_no_file(nothing, tmp_path):
    assert yourvideo.received(nothing, tmp_path) is None


@pytest.mark.parametrize("version", [0, 1])
def test_an_empty_upload_is_refused(version, tmp_path):
    with pytest.raises(BadInput, match=r"x\.mp4: arrived with 0 bytes"):
        yourvideo.received(uploads("x.mp4", b"")[version], tmp_path)


@pytest.mark.parametrize("name", ["../../x.mp4", "C:\\fakepath\\x.mp4", "/etc/x.mp4"])
def test_an_upload_stays_in_its_folder(name, tmp_path):
    assert yourvideo.received(uploads(name, b"a")[0], tmp_path / "in") == tmp_path / "in" / "x.mp4"


def test_the_widget_itself_gives_one_of_the_two_formats(tmp_path):
    widgets = pytest.importorskip("ipywidgets")
    assert (
        yourvideo.received(widgets.FileUpload(accept="video/*", multiple=False).value, tmp_path)
        is None
    )


@pytest.mark.heavy
@pytest.mark.parametrize("late", [-3, 0, 5])
def test_a_phone_video_has_another_rate_and_its_sound_so_late(late, tmp_path):
    av = pytest.importorskip("av")
    frames = np.full((50, 32, 32, 3), 40, np.uint8)
    frames[20:23] = 250
    waveform = np.zeros(50 * 640, np.float32)
    waveform[20 * 640 + 100 : 20 * 640 + 164] = 0.9
    path = yourvideo.phone_video(
        tmp_path / "p.mp4", [(frames, waveform), (frames, waveform)], late=late
    )
    with av.open(str(path)) as film:
        video, audio = film.streams.video[0], film.streams.audio[0]
        assert (
            video.average_rate,
            video.width,
            video.height,
            audio.sample_rate,
            audio.channels,
        ) == (30, 360, 288, 44_100, 2)
        light = [(f.time, f.to_ndarray(format="gray")[144, 180]) for f in film.decode(video=0)]
    flashes = [b[0] for a, b in pairwise(light) if b[1] > 150 >= a[1]]
    sound = decode_sound(path, tmp_path / "s.f32")
    heard = sound.read(0, 64_000)
    clicks = [
        np.abs(heard[k * 32_000 : (k + 1) * 32_000]).argmax() / 16_000 + 2 * k for k in range(2)
    ]
    for k, (flash, click) in enumerate(zip(flashes, clicks, strict=True)):
        assert flash == pytest.approx(2 * k + 0.8, abs=0.034)  # a picture of 30 a second
        # The middle of the click; AAC's run-in of 23 ms once made every film late.
        assert click == pytest.approx(2 * k + 0.8 + 0.00825 + late / 25, abs=0.003)


def test_what_to_expect_is_what_stands_beside_the_weights():
    text = yourvideo.expectations("real")
    assert len(text.splitlines()) == 5
    row = calibration("real", "real")
    assert f"{100 * row['miss']:.0f} are called different" in text
    assert f"{100 * row['false_alarm']:.0f} are called the same" in text
    assert re.search(r"\| your offset \| \d+\.\d % right within one frame", text)
    with pytest.raises(BadInput, match="no released network"):
        yourvideo.expectations("laptop2")


def test_without_anywidget_there_is_still_an_upload(monkeypatch, tmp_path):
    pytest.importorskip("ipywidgets")
    monkeypatch.setitem(sys.modules, "dsel.teaching.recorder", None)
    widget = yourvideo.recorder(tmp_path)
    assert type(widget).__name__ == "FileUpload"
    assert yourvideo.takes(widget, tmp_path) == []


def some_embeddings(rng):
    """Draw the vectors of three speakers with two tracks of four windows each."""
    tracks = [SimpleNamespace(speaker=f"p{k // 2}", id=f"t{k}") for k in range(6)]
    vectors = {
        s: {h: rng.normal(size=(24, 5)) for h in ("content", "identity")} for s in ("face", "audio")
    }
    return Embeddings(tracks, np.repeat(np.arange(6), 4), np.tile(np.arange(4), 6), vectors)


def cosine(a, b):
    return (
        sum(x * y for x, y in zip(a, b, strict=True))
        / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5
    )


def test_nearest_speakers_are_those_of_the_largest_cosine():
    rng = np.random.default_rng(0)
    e, query = some_embeddings(rng), rng.normal(size=5)
    found = yourvideo.nearest_speakers(query, e)
    for name, value, track in found:
        tracks = [e.of(k, "audio", "identity").mean(0) for k in range(6)]
        own = [
            m / np.sqrt((m * m).sum())
            for m, t in zip(tracks, e.tracks, strict=True)
            if t.speaker == name
        ]
        assert value == pytest.approx(cosine(query, sum(own)))
        assert e.tracks[track].speaker == name
    assert [v for _, v, _ in found] == sorted((v for _, v, _ in found), reverse=True)
    assert sorted(name for name, *_ in found) == ["p0", "p1", "p2"]


def test_nearest_sounds_are_one_a_track_and_the_best_of_it():
    rng = np.random.default_rng(1)
    e, query = some_embeddings(rng), rng.normal(size=5)
    found = yourvideo.nearest_sounds(query, e, 4)
    every = [[cosine(query, x) for x in e.of(k, "audio", "content")] for k in range(6)]
    best = sorted((max(row) for row in every), reverse=True)[:4]
    assert [value for _, value in found] == pytest.approx(best)
    for k, value in found:
        assert every[e.track[k]][e.window[k]] == pytest.approx(value)


def test_a_montage_plays_everything_equally_loud():
    rng = np.random.default_rng(2)
    sounds = [level * rng.normal(size=3200).astype(np.float32) for level in (0.001, 0.1)]
    whole = yourvideo.montage(sounds)
    gap = round(yourvideo.GAP * 16_000)
    assert len(whole) == 6400 + gap
    first, second = whole[:3200], whole[3200 + gap :]
    assert np.abs(whole[3200 : 3200 + gap]).max() == 0
    assert np.std(first) == pytest.approx(np.std(second), rel=0.1)
    # Silence stays silence
    assert np.abs(yourvideo.montage([np.zeros(3200, np.float32)])).max() == 0
