"""Check that the film holds every point's moment where the script looks for it."""

import base64
import json
import re

import numpy as np
import pytest

from dsel.corpus.clips import read_clip
from dsel.teaching import talking_maps as talking
from dsel.timing import FPS, SAMPLE_RATE

COUNT = 10  # frames a moment


def track(shade, pitch, seconds=1.2):
    """Make a grey track with a tone."""
    frames = np.full((round(seconds * FPS), 96, 96, 3), shade, np.uint8)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return frames, (0.3 * np.sin(2 * np.pi * pitch * time)).astype(np.float32)


def test_a_moment_lies_about_its_time_and_within_the_track():
    frames = np.arange(30, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    waveform = np.repeat(np.arange(30, dtype=np.float32), 640)
    for middle, first in ((0.6, 10), (0.0, 0), (1.2, 20), (0.4, 5)):
        picture, sound = talking.moment(frames, waveform, middle, COUNT)
        assert picture[:, 0, 0, 0].tolist() == list(range(first, first + COUNT))
        assert sound.tolist() == np.repeat(np.arange(first, first + COUNT), 640).tolist()


def test_the_film_shows_and_sounds_each_moment_in_its_place(tmp_path):
    shades, pitches = (40, 200, 120), (300, 900, 2000)
    moments = [
        talking.moment(*track(*one), 0.6, COUNT) for one in zip(shades, pitches, strict=True)
    ]
    source = talking.film(moments)
    path = tmp_path / "film.mp4"
    path.write_bytes(base64.b64decode(source.removeprefix("data:video/mp4;base64,")))
    frames, waveform = read_clip(path)
    assert frames.shape == (3 * COUNT, talking.SIZE, talking.SIZE, 3)
    for k, (shade, pitch) in enumerate(zip(shades, pitches, strict=True)):
        middle = (k * COUNT + COUNT // 2) * SAMPLE_RATE // FPS
        assert abs(frames[k * COUNT + COUNT // 2].mean() - shade) < 8
        spectrum = np.abs(np.fft.rfft(waveform[middle - 1600 : middle + 1600]))
        assert abs(spectrum.argmax() * SAMPLE_RATE / 3200 - pitch) < 20


def test_the_script_knows_every_point_and_nothing_breaks_out_of_it():
    texts = ["te0, “a b”, 0.5 s", "te1, </script>", 'te2, "quoted"']
    html = talking.talk("data:video/mp4;base64,AAAA", texts, [0, 1, 1], COUNT).data
    assert html.count("</script>") == 1
    places = json.loads(
        re.search(r"const places = (\{.*?\}), seconds = ([\d.]+);", html, re.S)[1].replace(
            "<\\/", "</"
        )
    )
    assert places == dict(zip(texts, [0, 1, 1], strict=True))
    assert f"seconds = {COUNT / FPS}" in html
    assert not re.search(r"(?:src|href)=[\"']?https?:", html)
    with pytest.raises(ValueError, match="zip"):
        talking.talk("data:,", texts, [0], COUNT)
