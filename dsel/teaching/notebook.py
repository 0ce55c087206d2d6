"""What every notebook needs in its first cell: the budget, the look of figures, clips to play.

    from dsel.teaching import notebook
    tier = notebook.start()
    steps = tier(fast=20, laptop=600, gpu=5000)

(Source: ours.)
"""

from __future__ import annotations

import base64
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsel.corpus.clips import write_clip
from dsel.timing import SAMPLE_RATE
from dsel.utils.errors import BadInput

__all__ = ["TIERS", "Tier", "as_source", "play", "show_clip", "start"]

TIERS = ("fast", "laptop", "gpu")


@dataclass(frozen=True)
class Tier:
    """How much time a notebook may take, read from DSEL_TIER.

    fast is for CI (under two minutes), laptop is the default, gpu the longest. The cells are the
    same in all three.
    """

    name: str

    def __call__(self, *, fast, laptop, gpu=None):
        """Choose the value of this tier; without a value for gpu, that of laptop."""
        return {"fast": fast, "laptop": laptop, "gpu": laptop if gpu is None else gpu}[self.name]


def start() -> Tier:
    """Set the look of the figures and read the budget.

    Raises:
        BadInput: DSEL_TIER is none of fast, laptop, gpu.
    """
    name = os.environ.get("DSEL_TIER", "laptop")
    if name not in TIERS:
        raise BadInput(f"DSEL_TIER={name}: must be one of {', '.join(TIERS)}")
    from dsel.plots.style import use_template

    use_template()
    return Tier(name)


def as_source(frames: np.ndarray, waveform: np.ndarray, **quality) -> str:
    """Encode a clip as a data URI, so that a page plays it without a file.

    Args:
        frames: uint8 (T, H, W, 3).
        waveform: float32 (640 T,).
        quality: options of `dsel.corpus.clips.write_clip`.
    """
    sound = np.asarray(waveform, np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = write_clip(Path(folder) / "clip.mp4", np.asarray(frames), sound, **quality)
        data = path.read_bytes()
    return "data:video/mp4;base64," + base64.b64encode(data).decode()


def show_clip(frames: np.ndarray, waveform: np.ndarray, *, width: int = 240, caption: str = ""):
    """Make a player for a clip that needs no file and no network.

    Args:
        frames: uint8 (T, H, W, 3).
        waveform: float32 (640 T,).
        width: in pixels of the page.
        caption: written under the clip, and read by screen readers.
    """
    from IPython.display import HTML

    source = as_source(frames, waveform)
    return HTML(
        f'<figure style="display:inline-block;margin:4px"><video controls width="{width}" '
        f'src="{source}" aria-label="{caption or "clip"}"></video>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def play(waveform: np.ndarray, *, rate: int = SAMPLE_RATE):
    """Make a player for sound float32 (S,) at its true loudness; rate: samples per second."""
    from IPython.display import Audio

    return Audio(np.clip(waveform, -1, 1), rate=rate, normalize=False)
