"""Fixtures that several tests share: a small corpus without faces, real recordings, a display."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from dsel.corpus import write_corpus
from dsel.corpus.clips import write_clip
from dsel.timing import samples_for

ROOT = Path(__file__).resolve().parents[1]
# No test asserts a time: a busy machine may be slow at any example.
hypothesis.settings.register_profile("dsel", deadline=None)
hypothesis.settings.load_profile("dsel")
# Fixtures that make a corpus, voices, films or a run: tests with them are not in `make quick`.
HEAVY = {
    *("noise_corpus", "real", "espeak", "small", "redrawn", "labelled", "mixed", "bad"),
    *("corpora", "finished", "run", "two", "talk", "student", "colab", "lab", "browser"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests as heavy by their fixtures, and say which tests belong into one process.

    Tests of one file share fixtures, so they stay together (with `--dist loadgroup`). Those marked
    `umap` stay together too: UMAP is compiled once per process, which takes ten seconds.
    """
    for item in items:
        if HEAVY & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.heavy)
        group = "umap" if item.get_closest_marker("umap") else item.nodeid.split("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))


def make_noise_corpus(
    path: Path, *, speakers=6, tracks=2, frames=30, size=48, split="train", test=4
):
    """Make a corpus of tracks whose loudness follows the brightness; each speaker has a colour.

    Args:
        path: folder of the corpus.
        speakers: number of speakers in `split`.
        tracks: tracks per speaker.
        frames: length of a track.
        size: height and width of a frame in pixels.
        split: the split of the first `speakers` speakers.
        test: number of further speakers, in the split "test".
    """
    rows = []
    for s in range(speakers + test):
        for k in range(tracks):
            rng = np.random.default_rng([s, k])
            beat = rng.uniform(0, 1, frames)
            tint = np.random.default_rng([7, s]).uniform(0.3, 1, 3)
            picture = np.clip(
                255 * beat[:, None, None, None] * tint + rng.normal(0, 8, (frames, size, size, 3)),
                0,
                255,
            )
            tone = np.sin(np.arange(samples_for(frames)) * 2 * np.pi * (200 + 150 * s) / 16000)
            sound = 0.3 * np.repeat(beat, 640) * tone + rng.normal(0, 0.01, samples_for(frames))
            name = f"p{s}_{k}"
            write_clip(
                path / "clips" / f"p{s}" / f"{name}.mp4",
                picture.astype(np.uint8),
                sound.astype(np.float32),
            )
            rows.append(
                {
                    "id": name,
                    "speaker": f"p{s}",
                    "split": split if s < speakers else "test",
                    "path": f"clips/p{s}/{name}.mp4",
                    "frames": frames,
                    "offset": 0,
                    "sex": "fm"[s % 2],
                }
            )
    return write_corpus(path, rows, made_by="tests", seed=0, licence="CC0-1.0")


@pytest.fixture(scope="session")
def noise_corpus(tmp_path_factory):
    return make_noise_corpus(tmp_path_factory.mktemp("noise"))


@pytest.fixture(scope="session")
def real() -> Path:
    """Return the folder of real recordings; without it, the test is skipped with the reason."""
    folder = Path(os.environ.get("DSEL_REAL", ROOT.parent / "shared" / "real"))
    if not folder.is_dir():
        pytest.skip(
            f"no recordings at {folder} (set DSEL_REAL to a folder with grid/, librispeech/)"
        )
    return folder


@pytest.fixture(scope="module")
def engine():
    """Return playwright's engines; without playwright or Chromium, the test is skipped."""
    from tools.stills import CHROMIUM

    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as found:
        yield found


class Screen:
    """Stand for the handle of a displayed object: what it shows now, and all that it has shown."""

    def __init__(self, thing):
        self.history = [thing]

    @property
    def shown(self):
        return self.history[-1]

    def update(self, thing, raw=False):
        self.history.append(thing)


@pytest.fixture
def displayed(monkeypatch):
    """Return a list that gets every displayed object in order; with an id it becomes a `Screen`.

    A script shows nothing and is left out.
    """
    shown = []

    def display(thing, display_id=False, raw=False):
        if raw and thing.get("text/html", "").startswith("<script>"):
            return None
        shown.append(Screen(thing) if display_id else thing)
        return shown[-1] if display_id else None

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr("plotly.io.renderers.default", "plotly_mimetype")
    return shown
