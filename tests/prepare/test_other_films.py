"""Ten films that no list of faults names: each goes through `prepare`, in step to the millisecond.

Made up to look for faults that nobody has reported. One was found: the sound of fragmented mp4 was
early by 16 ms (`test_fragmented_mp4`).
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from films import FLASH, Film, grey, moving, shoot, waveform
from test_strange_films import in_step, made, told

from dsel.prepare import decode
from dsel.utils.errors import BadInput

pytestmark = pytest.mark.heavy  # films


def film(
    path: Path,
    seconds: float = 2.0,
    *,
    fps: int = 25,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    sound: str = "pcm_s16le",
    rate: int = 16_000,
    start: float = 0.0,
    at: tuple[float, ...] = (0.5, 1.15),
    container: dict | None = None,
) -> Path:
    """Write a film with a flash and a click at each of `at`, in any codec and kind of pixels."""
    plan = Film(seconds=seconds, fps=Fraction(fps), rate=rate, at=at)
    packets = []
    with av.open(str(path), "w", options=container or {}) as out:
        video = out.add_stream(codec, rate=fps, options={"g": "25"})
        video.width, video.height, video.pix_fmt = 96, 96, pixels
        voice = out.add_stream(sound, rate=rate, layout="mono")
        for k, time in enumerate(plan.times()):
            lit = any(begin - 1e-6 <= time < begin + FLASH - 1e-6 for begin in plan.flashes())
            image = np.full((96, 96, 3), 255, np.uint8) if lit else moving(time)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = k + round(start * fps), Fraction(1, fps)
            packets += video.encode(frame)
        packets += video.encode()
        samples = waveform(plan, plan.flashes())[None]
        for first in range(0, samples.shape[1], 1024):
            part = np.ascontiguousarray(samples[:, first : first + 1024])
            block = av.AudioFrame.from_ndarray(part, "fltp", "mono")
            block.sample_rate, block.time_base = rate, Fraction(1, rate)
            block.pts = first + round(start * rate)
            packets += voice.encode(block)
        packets += voice.encode()
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            out.mux(packet)
    return path


def frames_in_step(path: Path, out: Path, count: int = 2) -> int:
    """The number of frames of the one clip, whose flashes and clicks belong together."""
    corpus = made(path, out)
    (track,) = corpus.tracks
    assert in_step(*corpus.clip(track), count)
    return track.frames


def test_film_1_prores_with_an_alpha_channel(tmp_path):
    path = film(tmp_path / "x.mov", codec="prores_ks", pixels="yuva444p10le")
    assert frames_in_step(path, tmp_path / "out") == 50
    assert told(tmp_path / "out") == []


def test_film_2_ten_bits_per_pixel(tmp_path):
    path = film(tmp_path / "x.mp4", pixels="yuv420p10le", sound="aac")
    assert frames_in_step(path, tmp_path / "out") == 50


@pytest.mark.parametrize("start", [0.0, 3.0])
def test_film_3_fragmented_mp4(tmp_path, start):
    """Its first packet of sound has a stamp that is 16 ms off; all others are right."""
    flags = {"movflags": "frag_keyframe+empty_moov"}
    path = film(tmp_path / "x.mp4", sound="aac", start=start, container=flags)
    assert frames_in_step(path, tmp_path / "out") == 50


def test_film_4_a_broadcast_whose_clock_wraps(tmp_path):
    """The 33 bits of a transport stream's clock end after 26.5 hours, here within the film."""
    path = film(tmp_path / "x.ts", sound="mp2", rate=48_000, start=95_443.0)
    assert frames_in_step(path, tmp_path / "out") == 50


def test_film_5_a_broadcast_cut_open(tmp_path):
    """It begins within a group of pictures, none of which can be decoded before the next one."""
    path = film(tmp_path / "x.ts", 4.0, sound="mp2", rate=48_000, at=(2.5, 3.2))
    data = path.read_bytes()
    path.write_bytes(data[len(data) // 8 // 188 * 188 :])
    assert 70 <= frames_in_step(path, tmp_path / "out") < 100


def test_film_6_sound_that_changes_its_rate(tmp_path):
    films = [
        film(tmp_path / f"{k}.ts", sound="mp2", rate=rate, start=2.0 * k)
        for k, rate in enumerate((44_100, 48_000))
    ]
    path = tmp_path / "x.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in films))
    assert frames_in_step(path, tmp_path / "out" / "corpus", 4) >= 98


def test_film_7_two_cameras(tmp_path):
    """The one that a player shows is taken, with the sound that comes after the second one."""
    first = film(tmp_path / "a.mkv")
    second = shoot(tmp_path / "b.mkv", Film("mkv", seconds=2.0), grey, sound=False)
    path = tmp_path / "x.mkv"
    with av.open(str(first)) as a, av.open(str(second)) as b, av.open(str(path), "w") as out:
        sources = [(a, a.streams.video[0]), (b, b.streams.video[0]), (a, a.streams.audio[0])]
        new = [out.add_stream_from_template(stream) for _, stream in sources]
        for (source, stream), target in zip(sources, new, strict=True):
            source.seek(0)
            for packet in source.demux(stream):
                if packet.size:
                    packet.stream = target
                    out.mux(packet)
    assert frames_in_step(path, tmp_path / "out") == 50


def test_film_8_avi_joined(tmp_path):
    """AVI has no stamps: the second file is counted on."""
    data = film(tmp_path / "a.avi", codec="mpeg4", sound="mp2", rate=48_000).read_bytes()
    (tmp_path / "x.avi").write_bytes(data + data)
    assert frames_in_step(tmp_path / "x.avi", tmp_path / "out", 4) == pytest.approx(100, abs=2)


def test_film_9_a_name_that_is_a_trap(tmp_path):
    path = film(tmp_path / "-p %d\n;$(x).mkv")
    assert frames_in_step(path, tmp_path / "out") == 50


def test_film_10_a_moving_gif_that_is_called_mp4(tmp_path):
    with av.open(str(tmp_path / "x.gif"), "w") as out:
        video = out.add_stream("gif", rate=25)
        video.width, video.height, video.pix_fmt = 96, 96, "rgb8"
        for k in range(40):
            out.mux(video.encode(av.VideoFrame.from_ndarray(moving(k / 25), format="rgb24")))
        out.mux(video.encode())
    path = (tmp_path / "x.gif").rename(tmp_path / "x.mp4")
    with pytest.raises(BadInput, match=r"x\.mp4: no sound in it; give a sound track with --audio"):
        made(path, tmp_path / "out")
    assert len(list(decode.pictures(path))) == 40
