"""What every notebook needs in its first cell: the budget, the look of the figures, clips and sounds to play.

from dsel import notebook
tier = notebook.start()
steps = tier(fast=20, laptop=600, gpu=5000)
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

TIERS = ("fast", "laptop", "gpu")


@dataclass(frozen=True)
class Tier:
    """How much time a notebook may take: DSEL_TIER = fast (CI, under 2 minutes), laptop (default) or gpu. Same cells."""

    name: str

    def __call__(self, *, fast, laptop, gpu=None):
        """The value for this tier; gpu falls back to laptop."""
        return {"fast": fast, "laptop": laptop, "gpu": laptop if gpu is None else gpu}[self.name]


def start() -> Tier:
    """Set the look of the figures and read the budget.

    Raises:
        BadInput: DSEL_TIER is none of fast, laptop, gpu.
    """
    name = os.environ.get("DSEL_TIER", "laptop")
    if name not in TIERS:
        raise BadInput(f"DSEL_TIER={name}: must be one of {', '.join(TIERS)}")
    from dsel.plots import style as plots

    plots.use_template()
    return Tier(name)


def as_source(frames: np.ndarray, waveform: np.ndarray, **quality) -> str:
    """Picture uint8 (T, H, W, 3) and sound float32 (640 T,) as a data URI; quality: options of `write_clip`."""
    with tempfile.TemporaryDirectory() as folder:
        data = write_clip(
            Path(folder) / "clip.mp4", np.asarray(frames), np.asarray(waveform, np.float32), **quality
        ).read_bytes()
    return "data:video/mp4;base64," + base64.b64encode(data).decode()


def show_clip(frames: np.ndarray, waveform: np.ndarray, *, width: int = 240, caption: str = ""):
    """A player for picture uint8 (T, H, W, 3) and sound float32 (640 T,) that needs no file and no network."""
    from IPython.display import HTML

    source = as_source(frames, waveform)
    return HTML(
        f'<figure style="display:inline-block;margin:4px"><video controls width="{width}" src="{source}" '
        f'aria-label="{caption or "clip"}"></video><figcaption>{caption}</figcaption></figure>'
    )


def play(waveform: np.ndarray, *, rate: int = SAMPLE_RATE):
    """A player for sound float32 (S,), at its true loudness."""
    from IPython.display import Audio

    return Audio(np.clip(waveform, -1, 1), rate=rate, normalize=False)
