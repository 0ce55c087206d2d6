"""The grid, against the notes' own numbers and against itself."""

from hypothesis import given
from hypothesis import strategies as st

from dsel import timing


def test_the_numbers_of_the_notes():
    assert timing.FPS == 25
    assert timing.SAMPLE_RATE == 16_000
    assert timing.SAMPLES_PER_FRAME * timing.FPS == timing.SAMPLE_RATE
    assert timing.WINDOW_SAMPLES / timing.SAMPLE_RATE == 0.2
    assert (timing.WINDOW_FRAMES, timing.WINDOW_MELS, timing.MELS_PER_FRAME) == (5, 20, 4)
    assert timing.frames_for(30) == 34  # N + 4
    assert timing.windows_in(4) == 0
    assert timing.windows_in(5) == 1
    assert timing.window_span(0) == (0.0, 0.2)
    first, last = timing.window_span(0)[0], timing.window_span(29)[0]
    assert abs(last - first + 1 / 25 - 1.2) < 1e-12  # 30 windows span 30 x 40 ms


@given(st.integers(1, 100_000))
def test_conversions_invert_each_other(n):
    assert timing.windows_in(timing.frames_for(n)) == n
    assert timing.frames_in(timing.samples_for(n)) == n
    assert timing.frames_in(timing.samples_for(n) + 639) == n
    assert timing.mels_for(n) * timing.MEL_HOP == timing.samples_for(n)
    assert timing.frame_at(timing.frame_start(n)) == n
