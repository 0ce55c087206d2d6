"""Convert between the time grids: video frames, audio samples, mel frames and windows.

This is the only file that contains the numbers 25, 16000, 640 and 5. One picture shows them all::

    frame f          |<------------ 40 ms ------------>|
    samples          640 f                   640 (f + 1)
    mel frames       | 4f   | 4f+1  | 4f+2  | 4f+3     |     centred at 160 k + 80 samples
    window t         frames t .. t+4 = 3200 samples = 20 mel frames = 0.2 s

Neighbouring windows start one frame apart, so a track of N windows has N + 4 frames.
(Source: notes.)
"""

FPS = 25  # video frames per second
SAMPLE_RATE = 16_000  # audio samples per second
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS  # 640
WINDOW_FRAMES = 5  # frames per window
WINDOW_SAMPLES = WINDOW_FRAMES * SAMPLES_PER_FRAME  # 3200 samples = 0.2 s

MEL_HOP = 160  # samples between mel frames: 10 ms
MEL_LENGTH = 400  # samples in one analysis window: 25 ms
MELS_PER_FRAME = SAMPLES_PER_FRAME // MEL_HOP  # 4
WINDOW_MELS = WINDOW_FRAMES * MELS_PER_FRAME  # 20


def windows_in(frames: int) -> int:
    """Return the number N of windows in a track: frames - 4, or 0 if the track is too short.

    >>> windows_in(50), windows_in(5), windows_in(3)
    (46, 1, 0)
    """
    return max(0, frames - WINDOW_FRAMES + 1)


def frames_for(windows: int) -> int:
    """Return the number of frames that N windows need: N + 4.

    >>> frames_for(30)
    34
    """
    return windows + WINDOW_FRAMES - 1


def samples_for(frames: int) -> int:
    """Return the number of audio samples of that many frames: 640 each.

    >>> samples_for(25)
    16000
    """
    return frames * SAMPLES_PER_FRAME


def frames_in(samples: int) -> int:
    """Return the number of whole frames in that many audio samples.

    >>> frames_in(16000), frames_in(1279)
    (25, 1)
    """
    return samples // SAMPLES_PER_FRAME


def mels_for(frames: int) -> int:
    """Return the number of mel frames of that many video frames: 4 each.

    >>> mels_for(5)
    20
    """
    return frames * MELS_PER_FRAME


def frame_start(frame: int) -> float:
    """Return the time in seconds at which a frame begins.

    >>> frame_start(10)
    0.4
    """
    return frame / FPS


def frame_at(seconds: float) -> int:
    """Return the number of the frame that is shown at a time in seconds.

    A millionth of a frame is added, so frame_at(frame_start(f)) is f for every f.

    >>> frame_at(0.4), frame_at(0.439)
    (10, 10)
    """
    return int(seconds * FPS + 1e-6)


def window_span(t: int) -> tuple[float, float]:
    """Return start and end of window t in seconds.

    >>> window_span(10)
    (0.4, 0.6)
    """
    return frame_start(t), frame_start(t + WINDOW_FRAMES)
