"""The time grid: video frames, audio samples, mel frames, windows.

The only file that knows the numbers 25, 16000, 640 and 5. One picture says it all::

    frame f          |<------------ 40 ms ------------>|
    samples          640 f                   640 (f + 1)
    mel frames       | 4f   | 4f+1  | 4f+2  | 4f+3     |     centred at 160 k + 80 samples
    window t         frames t, t+1, t+2, t+3, t+4 = 3200 samples = 20 mel frames = 0.2 s

A track of N windows has N + 4 frames, since neighbouring windows start one frame apart. (Source: notes.)
"""

FPS = 25  # video frames a second
SAMPLE_RATE = 16_000  # audio samples a second
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS  # 640
WINDOW_FRAMES = 5  # frames a window
WINDOW_SAMPLES = WINDOW_FRAMES * SAMPLES_PER_FRAME  # 3200 samples = 0.2 s

MEL_HOP = 160  # samples between mel frames: 10 ms
MEL_LENGTH = 400  # samples under one analysis window: 25 ms
MELS_PER_FRAME = SAMPLES_PER_FRAME // MEL_HOP  # 4
WINDOW_MELS = WINDOW_FRAMES * MELS_PER_FRAME  # 20


def windows_in(frames: int) -> int:
    """How many windows N a track of that many frames has: frames - 4, and 0 if it is too short."""
    return max(0, frames - WINDOW_FRAMES + 1)


def frames_for(windows: int) -> int:
    """How many frames a track of N windows needs: N + 4."""
    return windows + WINDOW_FRAMES - 1


def samples_for(frames: int) -> int:
    """How many samples of sound belong to that many frames: 640 each."""
    return frames * SAMPLES_PER_FRAME


def frames_in(samples: int) -> int:
    """How many whole frames that many samples cover."""
    return samples // SAMPLES_PER_FRAME


def mels_for(frames: int) -> int:
    """How many mel frames belong to that many video frames: 4 each."""
    return frames * MELS_PER_FRAME


def frame_start(frame: int) -> float:
    """When frame number `frame` begins, in seconds."""
    return frame / FPS


def frame_at(seconds: float) -> int:
    """The number of the frame shown at a time in seconds. (A hair is added so that frame_start round-trips.)"""
    return int(seconds * FPS + 1e-6)


def window_span(t: int) -> tuple[float, float]:
    """Start and end of window t in seconds."""
    return frame_start(t), frame_start(t + WINDOW_FRAMES)
