"""Check that the figures of notebook 01 follow the time grid and sliders move the right traces."""

import base64
import io
import json

import av
import numpy as np
import plotly.graph_objects as go
import pytest

from dsel.plots import alignment as alignplots

T = 12


@pytest.fixture
def track():
    """Make frames that grow brighter, a sound, and a log-mel whose value is its column."""
    frames = np.repeat(np.linspace(20, 230, T), 32 * 32 * 3).reshape(T, 32, 32, 3).astype(np.uint8)
    waveform = np.sin(np.arange(640 * T) / 7).astype(np.float32) * 0.3
    return frames, waveform, np.tile(np.arange(4.0 * T), (40, 1))


def picture_of(uri):
    head, data = uri.split(",")
    assert head == "data:image/jpeg;base64"
    with av.open(io.BytesIO(base64.b64decode(data)), format="jpeg_pipe") as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def test_the_strip_shows_every_frame_in_order(track):
    frames = track[0]
    strip = picture_of(alignplots.film_strip(frames, height=16))
    assert strip.shape == (16, 16 * T, 3)
    shown = strip.reshape(16, T, 16, 3).mean(axis=(0, 2, 3))
    np.testing.assert_allclose(shown, frames.mean(axis=(1, 2, 3)), atol=3)


def test_an_outline_loses_no_peak():
    sound = np.zeros(640)
    sound[333], sound[400] = 0.9, -0.7
    time, values = alignplots.outline(sound, samples=16)
    assert values.max() == 0.9
    assert values.min() == -0.7
    assert time[np.argmax(values)] * 16_000 == pytest.approx(333, abs=16)
    assert len(time) == 2 * 640 / 16


def test_everything_on_the_timeline_lies_on_one_axis(track):
    figure = alignplots.timeline(*track, sounds=[(0.1, 0.2, "a"), (9.0, 9.1, "later")], active=2)
    middles, wave, mel, said = figure.data
    np.testing.assert_allclose(middles.x, (np.arange(T) + 0.5) * 0.04)
    assert max(wave.x) < 0.04 * T
    assert mel.x0 - mel.dx / 2 == pytest.approx(0)  # the first column fills the first 10 ms
    assert mel.x0 + mel.dx * (len(mel.z[0]) - 0.5) == pytest.approx(0.04 * T)
    assert said.text == ("a",)
    image = figure.layout.images[0]
    assert (image.x, image.sizex) == (0, pytest.approx(0.04 * T))
    window, *lines = figure.layout.shapes
    assert (window.x0, window.x1) == (pytest.approx(0.08), pytest.approx(0.28))
    np.testing.assert_allclose([line.x0 for line in lines], np.arange(T + 1) * 0.04)


def test_the_slider_visits_every_window_and_says_its_numbers(track):
    figure = alignplots.timeline(*track)
    steps = figure.layout.sliders[0].steps
    assert [step.label for step in steps] == [str(t) for t in range(T - 4)]
    for t, step in enumerate(steps):
        (changes,) = step.args
        assert changes["shapes[0].x0"] == pytest.approx(0.04 * t)
        assert changes["shapes[0].x1"] == pytest.approx(0.04 * t + 0.2)
    assert changes["title.text"] == "Window 7: frames 7–11, samples 4480–7679, mel frames 28–47"


def test_the_magnifier_centres_four_windows_in_the_frame(track):
    figure = alignplots.one_frame(track[1], frame=3)
    sound, *bells = figure.data
    assert np.interp(0, sound.x, sound.y) == pytest.approx(track[1][3 * 640], abs=1e-3)
    assert [bell.x[int(np.argmax(bell.y))] for bell in bells] == [80, 240, 400, 560]
    assert all(bell.x[-1] - bell.x[0] == 400 for bell in bells)
    first = alignplots.one_frame(track[1], frame=0).data[0]
    assert first.x[0] == 0
    assert first.y[0] == pytest.approx(track[1][0], abs=1e-3)


def test_the_slider_moves_the_sound_and_leaves_the_mouth(track):
    frames, _, mel = track
    figure = alignplots.mouth_against_sound(
        frames, np.linspace(0.2, 0.6, T), mel, reach=3, active=-1
    )
    assert figure.data[3].x0 == pytest.approx(-0.04 + 0.005)
    steps = figure.layout.sliders[0].steps
    assert [step.label for step in steps] == ["-3", "-2", "-1", "0", "+1", "+2", "+3"]
    for k, step in zip(range(-3, 4), steps, strict=True):
        changes, traces = step.args
        assert list(traces) == [2, 3]
        assert [figure.data[i].type for i in traces] == ["scatter", "heatmap"]
        assert figure.data[traces[0]].name == "loudness"
        assert changes["x0"] == [pytest.approx(0.04 * k + 0.005)] * 2
    loud = figure.data[2].y
    assert (min(loud), max(loud)) == (0.2, 0.6)


def test_loudness_is_between_0_and_1_even_of_silence():
    rising = alignplots.loudness(np.tile(np.arange(8.0), (40, 1)))
    np.testing.assert_allclose(rising, np.arange(8) / 7)
    assert not alignplots.loudness(np.full((40, 8), -13.8)).any()


def test_each_shift_shows_its_matrix_its_row_and_its_loss():
    shifts, K = range(-2, 3), 4
    p = np.random.default_rng(0).dirichlet(np.ones(K), (5, K)).round(3)
    losses = np.array([3.0, 2.0, 1.0, 2.5, 2.9])
    figure = alignplots.out_of_step(p, losses, shifts, anchor=1, chance=np.log(K))
    np.testing.assert_allclose(figure.data[0].z, p[2])
    np.testing.assert_allclose(figure.data[1].y, p[2, 1])
    assert (figure.data[3].x, figure.data[3].y) == ((0,), (1.0,))
    for s, step in enumerate(figure.layout.sliders[0].steps):
        changes, traces = step.args
        assert list(traces) == [0, 1, 3]
        np.testing.assert_allclose(changes["z"][0], p[s])
        np.testing.assert_allclose(changes["y"][1], p[s, 1])
        assert (changes["x"][2], changes["y"][2]) == ([shifts[s]], [losses[s]])


def test_offsets_are_shares_of_clips():
    figure = alignplots.offsets(
        {"a": np.array([0, 0, 1, -5]), "b": np.array([5])}, reach=5, title="x"
    )
    a, b = ({x: y for x, y in zip(bar.x, bar.y, strict=True) if y} for bar in figure.data)
    assert a == {0: 0.5, 1: 0.25, -5: 0.25}
    assert b == {5: 1.0}


def test_frames_are_marked_by_their_cell_and_empty_cells_ringed():
    times, cells = np.array([0.0, 0.02, 0.05, 0.13]), np.array([0, 0, 1, 3])
    figure = alignplots.on_the_grid({"25": (times, cells)}, seconds=0.16)
    marks, held = figure.data
    assert marks.x == (0.0, 0.02, 0.05, 0.13)
    assert [colour == marks.marker.color[0] for colour in marks.marker.color] == [
        True,
        True,
        False,
        False,
    ]
    assert held.x == (0.1,)
    assert figure.layout.yaxis.type == "category"  # a film called 25 is no number


def test_cut_keeps_the_three_in_step(track):
    frames, waveform, mel = alignplots.cut(*track, first=3, count=6)
    assert (len(frames), len(waveform), mel.shape) == (6, 3840, (40, 24))
    np.testing.assert_array_equal(frames, track[0][3:9])
    assert waveform[0] == track[1][1920]
    assert mel[0, 0] == 12
    with pytest.raises(ValueError, match="track of 12"):
        alignplots.cut(*track, first=10, count=6)


def test_figures_are_plain_and_small(track):
    frames, waveform, mel = track
    p = np.full((31, 16, 16), 1 / 16)
    figures = [
        alignplots.timeline(frames, waveform, mel),
        alignplots.one_frame(waveform, 2),
        alignplots.mouth_against_sound(frames, np.linspace(0, 1, T), mel),
        alignplots.out_of_step(p, np.ones(31), range(-15, 16), anchor=8, chance=2.77),
        alignplots.on_the_grid({"x": (np.arange(5) / 25, np.arange(5))}),
        alignplots.offsets({"a": np.zeros(3, int)}, reach=15, title="x"),
    ]
    for figure in figures:
        assert isinstance(figure, go.Figure)
        text = figure.to_json()
        assert json.loads(text)["data"]
        assert "bdata" not in text  # every plotly reads plain lists
        assert len(text) < 200_000
