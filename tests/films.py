"""Small films for tests: a face-like picture, white flashes and clicks at known instants.

In any container that PyAV can write; and detectors for them.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SIZE = 96
FLASH = 0.12  # s


@dataclass(frozen=True)
class Film:
    """How a film is made. `start`: both streams begin that late on the container's clock;
    `sound_start`: the sound, later.
    """

    suffix: str = "mp4"
    video: str = "libx264"
    sound: str = "aac"
    fps: Fraction | str = Fraction(
        25
    )  # or "jitter" (25 a second, stamps off by up to 8 ms), "variable" (20 to 60 ms)
    rate: int = 44_100
    layout: str = "stereo"
    seconds: float = 2.4
    start: float = 0.0
    sound_start: float = 0.0
    sound_seconds: float | None = None
    at: tuple[float, ...] = (
        0.5,
        1.15,
        1.8,
    )  # about when the flashes begin, in seconds from the first picture on

    def times(self) -> np.ndarray:
        """When each frame comes on screen, in seconds from the first one on."""
        if self.fps == "jitter":
            times = np.arange(round(self.seconds * 25)) / 25
            return times + np.concatenate(
                [[0.0], np.random.default_rng(3).uniform(-0.008, 0.008, len(times) - 1).round(3)]
            )
        if self.fps == "variable":
            steps = (
                np.random.default_rng(4).uniform(0.020, 0.060, round(self.seconds * 40)).round(3)
            )
            times = np.concatenate([[0.0], np.cumsum(steps)])
            return times[times < self.seconds]
        return np.arange(round(self.seconds * self.fps)) / float(self.fps)

    def flashes(self) -> np.ndarray:
        """When the flashes begin, each at the time stamp of a frame, at no special place on the
        grid of 25.
        """
        times = self.times()
        return np.array([times[np.searchsorted(times, at)] for at in self.at if at < times[-1]])


def grey(time: float) -> np.ndarray:
    """A dark picture with something in it."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    shade = 60 + 30 * ((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.1) + 10 * x
    return np.repeat(shade[..., None], 3, axis=2).astype(np.uint8)


def moving(time: float) -> np.ndarray:
    """A picture with a mouth that opens and closes three times per second."""
    image = grey(time)
    image[56 : 60 + round(16 * np.sin(9.4 * time) ** 2), 30:66] = 20
    return image


def waveform(film: Film, clicks: np.ndarray) -> np.ndarray:
    """(S,) quiet noise with a burst of 3 kHz, 1 ms wide, centred at each click; time 0 is the first
    picture's.
    """
    seconds = film.sound_seconds or film.seconds
    time = film.sound_start + np.arange(round(seconds * film.rate)) / film.rate
    sound = 1e-3 * np.random.default_rng(0).standard_normal(len(time))
    for click in clicks:
        sound += (
            0.8
            * np.exp(-0.5 * ((time - click) / 0.0005) ** 2)
            * np.cos(2 * np.pi * 3000 * (time - click))
        )
    return sound.astype(np.float32)


def shoot(
    path: Path,
    film: Film,
    picture=grey,
    sound=None,
    rotation: int = 0,
    aspect: Fraction | None = None,
    matrix: tuple[int, ...] | None = None,
) -> Path:
    """Write a film with a flash and a click at each of `film.flashes()`; `picture(time)` is the
    rest of it.

    `sound`: another waveform (S,) or (channels, S) at film.rate, or False for none at all.
    """
    clock = Fraction(1, 90_000) if film.suffix != "avi" else 1 / Fraction(film.fps)
    samples = waveform(film, film.flashes()) if sound is None else sound
    start = float(
        round(film.start * 25) / 25
        if isinstance(film.fps, str)
        else round(film.start * film.fps) / film.fps
    )
    options = {
        "libvpx-vp9": {"cpu-used": "8", "deadline": "realtime"},
        "libx264": {"preset": "veryfast"},
    }
    with av.open(str(path), "w") as out:
        rate = Fraction(25) if isinstance(film.fps, str) else film.fps
        video = out.add_stream(film.video, rate=rate, options=options.get(film.video, {}))
        height, width = picture(0.0).shape[:2]
        video.width, video.height, video.pix_fmt, video.bit_rate = width, height, "yuv420p", 800_000
        video.codec_context.time_base = 1 / rate if film.video.startswith("mpeg") else clock
        if film.suffix == "avi":  # cannot say in which order pictures are shown
            video.codec_context.max_b_frames = 0
        if matrix:
            video.set_display_matrix(matrix)
        if rotation:
            video.set_display_rotation(rotation)
        if aspect:
            video.codec_context.sample_aspect_ratio = aspect
        voice = None
        if sound is not False:
            voice = out.add_stream(film.sound, rate=film.rate, layout=film.layout)
            if film.sound not in ("pcm_s16le", "flac"):
                voice.bit_rate = 128_000
        packets = []
        for time in film.times():
            bright = any(begin - 1e-6 <= time < begin + FLASH - 1e-6 for begin in film.flashes())
            image = picture(time)
            frame = av.VideoFrame.from_ndarray(
                np.full_like(image, 255) if bright else image, format="rgb24"
            )
            base = video.codec_context.time_base
            frame.pts, frame.time_base = round((time + start) / base), base
            packets += video.encode(frame)
        packets += video.encode()
        if voice is not None:
            channels = 1 if film.layout == "mono" else 2
            planar = np.repeat(samples[None], channels, axis=0) if samples.ndim == 1 else samples
            for first in range(0, planar.shape[1], 1024):
                block = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(planar[:, first : first + 1024]), "fltp", film.layout
                )
                block.sample_rate, block.time_base = film.rate, Fraction(1, film.rate)
                block.pts = first + round((start + film.sound_start) * film.rate)
                packets += voice.encode(block)
            packets += voice.encode()
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            out.mux(packet)
    return path


def measure(frames: np.ndarray, sound: np.ndarray, count: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """From a clip: grid frames in which the flashes are first seen, and the times in seconds of the
    clicks' centres.
    """
    light = frames.reshape(len(frames), -1).mean(axis=1)
    bright = light > (light.min() + light.max()) / 2
    seen = np.flatnonzero(bright & ~np.roll(bright, 1))
    energy, clicks = sound.astype(float) ** 2, []
    for _ in range(count):
        peak = int(np.argmax(energy))
        around = slice(max(0, peak - 64), peak + 65)
        clicks.append(
            np.average(np.arange(len(energy))[around], weights=energy[around] ** 2) / 16_000
        )
        energy[max(0, peak - 1600) : peak + 1600] = 0
    return seen, np.sort(clicks)


def fixed(picture):
    """A detector that always sees one face in the middle."""
    height, width = picture.shape[:2]
    return np.array([[width * 0.2, height * 0.2, width * 0.6, height * 0.6]])


def crash(picture):
    """Crash on dark pictures, at the first look, while every other file is still under way."""
    crashed = Path(os.environ["DSEL_TEST_CRASHED"])
    if picture[0, 0, 0] < 20:
        crashed.write_text("")
        os._exit(9)
    while not crashed.exists():
        time.sleep(0.01)
    return fixed(picture)


def dark(time: float) -> np.ndarray:
    """A picture on which `crash` crashes."""
    return grey(time) // 8
