"""Clips as written and read; the grid of 25 frames a second; sound placed by its time stamps."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from films import Film, measure, shoot
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dsel.corpus import clips
from dsel.prepare import decode as media
from dsel.utils.errors import BadInput


def picture(T=12, size=32, seed=0):
    """Smooth pictures, so that the coder's error stays small: (T, size, size, 3)."""
    y, x = np.mgrid[:size, :size] / size
    t = np.arange(T)[:, None, None] / T
    rgb = np.stack(
        [
            np.sin(3 * x + 2 * t) * 100 + 128,
            np.cos(3 * y + t) * 100 + 128,
            60 + 100 * x * y + 0 * t,
        ],
        axis=-1,
    )
    return rgb.astype(np.uint8)


def tone(T=12, hertz=440.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(640 * T) / 16_000)).astype(np.float32)


def test_a_clip_comes_back_as_it_was(tmp_path):
    frames, sound = picture(), tone()
    back, heard = clips.read_clip(clips.write_clip(tmp_path / "a" / "clip.mp4", frames, sound))
    assert back.shape == frames.shape
    assert back.dtype == np.uint8
    assert heard.shape == sound.shape
    assert heard.dtype == np.float32
    assert np.abs(back.astype(int) - frames).mean() < 4  # of 255
    middle = slice(1024, -1024)  # where AAC has settled
    lag = np.argmax(np.correlate(heard[middle], sound[middle][64:-64], "valid")) - 64
    assert lag == 0
    assert np.corrcoef(heard[middle], sound[middle])[0, 1] > 0.99


def test_the_same_arrays_make_the_same_file(tmp_path):
    a = clips.write_clip(tmp_path / "a.mp4", picture(), tone()).read_bytes()
    assert clips.write_clip(tmp_path / "b.mp4", picture(), tone()).read_bytes() == a


def test_short_sound_is_padded_and_long_sound_cut(tmp_path):
    for samples in (100, 640 * 20):
        sound = 0.5 * np.ones(samples, np.float32)
        _, heard = clips.read_clip(clips.write_clip(tmp_path / f"{samples}.mp4", picture(), sound))
        assert len(heard) == 640 * 12


def test_nothing_half_written_is_left(tmp_path):
    class Broken(np.ndarray):
        def __iter__(self):
            yield np.zeros((32, 32, 3), np.uint8)
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        clips.write_clip(tmp_path / "x.mp4", picture().view(Broken), tone())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((3, 31, 32, 3), np.uint8),
        np.zeros((3, 32, 32), np.uint8),
        np.zeros((3, 32, 32, 3), np.float32),
    ],
)
def test_wrong_pictures_are_refused(tmp_path, frames):
    with pytest.raises(BadInput, match="frames must be"):
        clips.write_clip(tmp_path / "x.mp4", frames, tone())


def test_wrong_sound_is_refused(tmp_path):
    with pytest.raises(BadInput, match="mono"):
        clips.write_clip(tmp_path / "x.mp4", picture(), np.zeros((2, 640), np.float32))


def test_a_file_that_is_no_clip_is_refused(tmp_path):
    (tmp_path / "text.mp4").write_text("hello")
    (tmp_path / "empty.mp4").write_bytes(b"")
    shoot(tmp_path / "fast.mp4", Film(fps=Fraction(50)))
    shoot(tmp_path / "mute.mp4", Film(), sound=False)
    for name, what in [
        ("none", "no such"),
        ("text", "cannot be read"),
        ("empty", "cannot"),
        ("fast", "50"),
        ("mute", "sound"),
    ]:
        with pytest.raises(BadInput, match=what) as error:
            clips.read_clip(tmp_path / f"{name}.mp4")
        assert f"{name}.mp4" in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("tag", [b"avc1", b"esds"])
def test_a_clip_without_a_decoder_is_one_line(tmp_path, tag):
    path = clips.write_clip(tmp_path / "a.mp4", picture(), tone())
    data = path.read_bytes().replace(tag, b"zzz1")
    if tag == b"esds":
        data = data.replace(b"mp4a", b"zzza")
    path.write_bytes(data)
    readers = [
        lambda: clips.read_clip(path),
        lambda: clips.read_clip(("in a shard", data)),
        lambda: clips.read_part(path, range(2, 5), range(2, 5), 12),
        lambda: clips.remux_shifted(path, tmp_path / "b.mp4", 3),
    ]
    for reader in readers:
        with pytest.raises(BadInput, match="coded in a way that cannot be read") as error:
            reader()
        assert "\n" not in str(error.value)


def test_a_clip_with_sound_of_whole_numbers_is_refused(tmp_path):
    """Its samples would be taken as they are: 32,767 for 1."""
    film = Film("mkv", "libx264", "pcm_s16le", rate=16_000, layout="mono", seconds=1.2)
    with pytest.raises(BadInput, match="its sound is not AAC"):
        clips.read_clip(shoot(tmp_path / "x.mkv", film))


@pytest.mark.parametrize("budget", ["MOST_PIXELS", "MOST_BYTES"])
def test_a_clip_beyond_the_budget_is_refused(tmp_path, monkeypatch, budget):
    path = clips.write_clip(tmp_path / "a.mp4", picture(), tone())
    monkeypatch.setattr(clips, budget, 1000)
    with pytest.raises(BadInput, match=r"a\.mp4: too large for a clip"):
        clips.read_clip(path)


# -------------------------------------------------------------------------------------- sound moved


@given(frames=st.integers(0, 9), k=st.integers(-12, 12), seed=st.integers(0, 99))
def test_every_sample_moves_by_the_same_amount(frames, k, seed):
    sound = np.random.default_rng(seed).uniform(-1, 1, 640 * frames).astype(np.float32)
    moved = clips.shift_sound(sound, k)
    assert moved.shape == sound.shape
    assert moved.dtype == sound.dtype
    for s in range(0, len(sound), 97):
        came_from = s - 640 * k
        assert moved[s] == (sound[came_from] if 0 <= came_from < len(sound) else 0)


def test_moving_leaves_the_original_alone_and_undoes_itself():
    sound = tone()
    before = sound.copy()
    back = clips.shift_sound(clips.shift_sound(sound, 3), -3)
    np.testing.assert_array_equal(sound, before)
    np.testing.assert_array_equal(back[: 640 * 9], sound[: 640 * 9])
    assert not back[640 * 9 :].any()
    assert clips.shift_sound(sound, 0) is not sound


def video_packets(path):
    with av.open(str(path)) as container:
        return [
            (packet.pts, bytes(packet))
            for packet in container.demux(video=0)
            if packet.dts is not None
        ]


@pytest.mark.parametrize("k", [-15, -4, 0, 1, 7])
def test_a_remuxed_clip_has_the_same_picture_and_its_sound_moved_to_the_sample(tmp_path, k):
    noise = np.random.default_rng(1).standard_normal(640 * 40)
    sound = (0.2 * np.convolve(noise, np.hanning(31) / 8, "same")).astype(
        np.float32
    )  # below 1 kHz: AAC keeps its phase
    clip = clips.write_clip(tmp_path / "a.mp4", picture(40), sound)
    moved = clips.remux_shifted(clip, tmp_path / "new" / "b.mp4", k)
    assert video_packets(moved) == video_packets(clip)
    frames, heard = clips.read_clip(moved)
    assert frames.shape == (40, 32, 32, 3)
    expected = clips.shift_sound(sound, k)
    lags = range(-200, 201)
    scores = [np.dot(np.roll(expected, lag), heard) for lag in lags]
    assert lags[int(np.argmax(scores))] == 0
    assert np.corrcoef(expected, heard)[0, 1] > 0.98
    assert sorted(path.name for path in moved.parent.iterdir()) == ["b.mp4"]


def test_only_clips_are_remuxed(tmp_path):
    (tmp_path / "text.mp4").write_text("hello")
    for name in ("none", "text"):
        with pytest.raises(BadInput, match=name):
            clips.remux_shifted(tmp_path / f"{name}.mp4", tmp_path / "out.mp4", 3)
    assert not (tmp_path / "out.mp4").exists()


# ----------------------------------------------------------------------------------------- the grid


@settings(max_examples=200)
@given(
    start=st.floats(0, 1000),
    steps=st.lists(st.floats(0.004, 0.15), min_size=2, max_size=80),
)
def test_whatever_appears_is_seen_in_the_frame_that_holds_its_instant(start, steps):
    times = start + np.concatenate([[0.0], np.cumsum(steps)])
    origin, cells, count = media.frame_grid(times)
    assert origin <= times[0] < origin + 1 / 25
    assert (np.diff(cells) >= 0).all()
    assert cells[0] == 0
    assert count > cells[-1]
    begin, end = origin + cells / 25, origin + (cells + 1) / 25
    assert (times >= begin - media.SAME_INSTANT - 1e-9).all()
    assert (times < end + 1e-9).all()


@settings(max_examples=100)
@given(
    start=st.floats(0, 1000),
    seed=st.integers(0, 10**6),
    late=st.floats(0, 0.009),
    count=st.integers(10, 200),
)
@example(
    start=0.0, seed=42048, late=0.008766618993277717, count=15
)  # the first late, the second early
def test_jitter_around_25_neither_repeats_nor_loses_a_frame(start, seed, late, count):
    times = start + np.arange(count) / 25 + np.random.default_rng(seed).uniform(-late, late, count)
    _, cells, covered = media.frame_grid(times)
    np.testing.assert_array_equal(cells, np.arange(count))
    assert count <= covered <= count + 1


@pytest.mark.parametrize(
    "fps",
    [Fraction(10), Fraction(12.5), Fraction(24), Fraction(30000, 1001), Fraction(50), Fraction(60)],
)
def test_the_grid_is_as_long_as_the_video(fps):
    times = 7.3 + np.arange(round(8 * fps)) / float(fps)
    assert media.frame_grid(times)[2] == pytest.approx(200, abs=1)


def test_millisecond_stamps_of_25_a_second_fall_on_the_grid():
    times = np.round(0.0417 + np.arange(100) / 25, 3)
    np.testing.assert_array_equal(media.frame_grid(times)[1], np.arange(100))


# -------------------------------------------------------------------------------------------- sound


def write_blocks(path, blocks, rate=48_000):
    """Blocks (start in seconds, (S,) samples) as PCM in a Matroska file, each with its own time
    stamp.
    """
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=rate, layout="mono")
        for start, samples in blocks:
            frame = av.AudioFrame.from_ndarray(
                np.round(samples * 32767).astype(np.int16)[None], "s16", "mono"
            )
            frame.sample_rate, frame.time_base, frame.pts = (
                rate,
                Fraction(1, rate),
                round(start * rate),
            )
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_resampling_neither_shifts_nor_colours(tmp_path, rate):
    time = np.arange(rate) / rate
    path = write_blocks(tmp_path / "a.mkv", [(0.0, 0.5 * np.sin(2 * np.pi * 1000 * time))], rate)
    sound = media.decode_sound(path, tmp_path / "raw")
    heard = sound.read(0.2, 9600)
    expected = 0.5 * np.sin(2 * np.pi * 1000 * (0.2 + np.arange(9600) / 16_000))
    assert np.abs(heard - expected).max() < 0.005  # a shift of one sample would be 0.2
    assert sound.end == pytest.approx(1.0, abs=1e-3)


def test_a_hole_in_the_sound_stays_a_hole(tmp_path):
    rate, block = 48_000, 0.5 * np.ones(24_000)
    path = write_blocks(tmp_path / "a.mkv", [(0.0, block), (1.5, block)], rate)
    sound = media.decode_sound(path, tmp_path / "raw")
    assert sound.start == 0
    assert sound.samples == 32_000
    heard = sound.read(0.0, 32_000)
    assert heard[100:7900].min() > 0.4
    assert np.abs(heard[8100:23_900]).max() < 1e-3
    assert heard[24_100:31_900].min() > 0.4


def test_sound_said_twice_is_heard_once(tmp_path):
    rate, time = 48_000, np.arange(96_000) / 48_000
    whole = 0.5 * np.sin(2 * np.pi * 300 * time)
    path = write_blocks(tmp_path / "a.mkv", [(0.0, whole[:48_000]), (0.8, whole[38_400:])], rate)
    sound = media.decode_sound(path, tmp_path / "raw")
    assert sound.samples == pytest.approx(32_000, abs=2)
    expected = 0.5 * np.sin(2 * np.pi * 300 * np.arange(32_000) / 16_000)
    assert np.abs(sound.read(0.0, 32_000) - expected)[100:-100].max() < 0.05


def test_reading_outside_the_sound_gives_silence(tmp_path):
    path = write_blocks(tmp_path / "a.mkv", [(1.0, 0.5 * np.ones(48_000))])
    sound = media.decode_sound(path, tmp_path / "raw")
    assert sound.start == pytest.approx(1.0, abs=1e-3)
    assert not sound.read(0.0, 16_000 - 32).any()
    assert not sound.read(5.0, 100).any()
    assert not sound.read(-9.0, 100).any()
    across = sound.read(0.5, 16_000)
    assert not across[:7_900].any()
    assert across[8_100:].min() > 0.4


def test_out_of_phase_and_loud_sound_stays_in_range(tmp_path):
    path = write_blocks(tmp_path / "a.mkv", [(0.0, np.sign(np.sin(np.arange(48_000) / 30.0)))])
    heard = media.decode_sound(path, tmp_path / "raw").read(0.0, 16_000)
    assert np.abs(heard).max() <= 1.0


# ----------------------------------------------------------------------------------------- pictures


def test_a_phone_held_upright_is_turned(tmp_path):
    def arrow(time):
        image = np.full((64, 96, 3), 90, np.uint8)
        image[:, 72:] = 230  # bright on the right as stored
        return image

    for degrees, side in [(90, np.s_[:16, :]), (-90, np.s_[-16:, :]), (180, np.s_[:, :16])]:
        path = shoot(tmp_path / f"{degrees}.mp4", Film(), picture=arrow, rotation=degrees)
        _time, frame = next(iter(media.pictures(path)))
        seen = media.upright(frame)
        assert seen.shape == ((64, 96, 3) if degrees == 180 else (96, 64, 3))
        assert seen[side].mean() > 200 > 150 > seen.mean()


def test_oblong_pixels_become_square(tmp_path):
    path = shoot(tmp_path / "x.mkv", Film("mkv"), aspect=Fraction(4, 3))
    assert media.pixel_aspect(path) == pytest.approx(4 / 3)
    _, frame = next(iter(media.pictures(path)))
    assert media.upright(frame, media.pixel_aspect(path)).shape == (96, 128, 3)
    assert media.upright(frame, media.pixel_aspect(path), longest=64).shape == (48, 64, 3)


def test_damage_in_the_middle_costs_only_what_is_damaged(tmp_path):
    path = shoot(tmp_path / "x.ts", Film("ts", "mpeg2video", "mp2"))
    whole = sum(1 for _ in media.pictures(path))
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    data[third : third + 2000] = np.random.default_rng(0).integers(0, 256, 2000, np.uint8).tobytes()
    path.write_bytes(data)
    assert whole == 60
    assert 30 < sum(1 for _ in media.pictures(path)) <= whole


def test_flashes_and_clicks_are_measured_right(tmp_path):
    """The ruler itself: on a clip made without `prepare`, at 25 frames a second, flash and click
    are where they were put.
    """
    film = Film(rate=16_000, layout="mono", sound="aac")
    frames, sound = clips.read_clip(shoot(tmp_path / "x.mp4", film))
    seen, clicks = measure(frames, sound)
    np.testing.assert_array_equal(seen, np.round(film.flashes() * 25))
    np.testing.assert_allclose(clicks, film.flashes(), atol=2e-4)
