"""Measure how well networks find by how much a real person's sound is late.

    python benchmarks/grid_sync.py --work runs/grid_sync [--real ../shared/real/grid] \\
        [--toy runs/toy]

On GRID: 15 speakers that the networks have never seen.

Networks of one kind, trained for the content task alone (alpha_s = lam = 0) on the lower half of
the face: untrained; on drawn faces with synthetic voices; the same, then tuned on 83 clips of one
real speaker, s1. The other 17 clips of s1 served for every choice; the 20 clips of the others were
looked at afterwards. Face and sound of 2 s each are cut from a clip at places that differ by -15 ..
+15 frames, so the right answer is known and seldom 0. Prints one table and writes
benchmarks/grid_sync.md. What is done in --work is not done again.
"""

from __future__ import annotations

import argparse
import os
import wave
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from dsel.corpus import Cache, Corpus, Track, resize
from dsel.corpus.clips import shift_sound
from dsel.evaluate import sync_offset
from dsel.model import ModelConfig, TwoStream
from dsel.prepare import prepare
from dsel.prepare.decode import decode_sound, pictures
from dsel.timing import SAMPLE_RATE, samples_for
from dsel.toy.make import toy
from dsel.train import TrainConfig, Trainer, load_model
from dsel.utils import markdown

ROOT = Path(__file__).resolve().parents[1]
SIZE = 96  # pixels of the clips
BOX = (36, 18, 60)  # top, left, side in them: from below the eyes to the chin
SEES = 48  # pixels the networks look at
SPEAKERS = 700  # drawn ones to train on, two tracks each
PIECE, STEP, REACH = (
    50,
    5,
    15,
)  # frames: 2 s; between the starts of pieces; how far the offset is searched
CONTENT = {
    "alpha_s": 0.0,
    "lam": 0.0,
    "within": 0.0,
    "extra": 0,
    "B": 16,
    "N": 20,
    "save_every": 50,
}
RUNS = {  # name: (corpus, start_from, changes)
    "toy": ("toy", None, {"steps": 400, "lr": 2e-3}),
    "tuned": ("grid", "toy", {"steps": 200, "lr": 1e-3, "augment": 1.0}),
}
NAMES = {
    "untrained": "untrained",
    "toy": "trained on drawn faces alone",
    "tuned": "... then tuned on 83 clips of s1",
}


@dataclass(frozen=True)
class Mouths(Cache):
    """A cache of whole faces that gives out their lower half."""

    def read(
        self, track: Track, first: int = 0, count: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        frames, sound = super().read(track, first, count)
        top, left, side = BOX
        return resize(frames[:, top : top + side, left : left + side], SEES), sound


class MouthCorpus(Corpus):
    """A corpus of lower halves of faces. `deal` says to which split a track goes; None leaves it
    out.
    """

    def __init__(self, path, deal):
        super().__init__(path)
        dealt = [(track, deal(track)) for track in self.tracks]
        self.tracks = [replace(track, split=split) for track, split in dealt if split]
        self.by_id = {track.id: track for track in self.tracks}

    def cache(self, size: int, *, tracks=None, progress: bool = True) -> Cache:
        if size != SEES:
            raise ValueError(f"the lower halves are {SEES} pixels wide, not {size}")
        return Mouths.of(self, SIZE, self.tracks if tracks is None else tracks, progress)


def of_grid(track: Track) -> str:
    """83 clips of s1 to tune on, 17 to choose by, everybody else for the test."""
    if track.speaker != "s1":
        return "test"
    return "validation" if zlib.crc32(track.id.encode()) % 5 == 0 else "train"


def of_toy(track: Track) -> str | None:
    return "train" if track.split == "train" and int(track.speaker[2:]) < SPEAKERS else None


def pieces(model: TwoStream, corpus: MouthCorpus, split: str):
    """Every pair of a 2 s face and a 2 s sound of a clip: (speaker, true offset, found offset,
    confidence).
    """
    tracks, found = corpus.split(split), []
    cache = corpus.cache(SEES, tracks=tracks, progress=False)
    for track in tracks:
        frames, sound = cache.read(track)
        starts = range(0, len(frames) - PIECE + 1, STEP)
        face = torch.from_numpy(np.stack([frames[s : s + PIECE] for s in starts]))
        heard = (
            np.stack([sound[samples_for(s) : samples_for(s + PIECE)] for s in starts]).astype(
                np.float32
            )
            / 32767
        )
        with torch.inference_mode():
            face, audio = (
                model.face(face)["content"].numpy(),
                model.audio(torch.from_numpy(heard))["content"].numpy(),
            )
        for i, seen in enumerate(starts):
            for j, listened in enumerate(starts):
                if abs(seen - listened) <= REACH:
                    k, confidence, _ = sync_offset(face[i], audio[j], REACH)
                    found.append((track.speaker, seen - listened, k, confidence))
    return found


@dataclass(frozen=True)
class Lips:
    """What `prepare` may be given as `model`: the offset by a network that looks at the lower half
    of the face.
    """

    model: TwoStream

    def __call__(self, frames: np.ndarray, waveform: np.ndarray) -> tuple[int, float]:
        top, left, side = BOX
        lips = torch.from_numpy(resize(frames[:, top : top + side, left : left + side], SEES))[None]
        with torch.inference_mode():
            face = self.model.face(lips)["content"][0].numpy()
            audio = self.model.audio(torch.from_numpy(waveform)[None])["content"][0].numpy()
        return sync_offset(face, audio, REACH)[:2]


def planted(model: TwoStream, real: Path, work: Path) -> list[tuple[str, int, int, float]]:
    """One clip of each of the others with its sound moved, through `prepare`: (speaker, planted, in
    tracks.csv, confidence).
    """
    found = []
    for n, folder in enumerate(
        sorted(path for path in real.iterdir() if path.is_dir() and path.name != "s1")
    ):
        video, late = min(folder.glob("*.mpg")), 7 * n % 25 - 12  # -12 .. +12, in no order
        out = work / "planted" / folder.name
        out.mkdir(parents=True, exist_ok=True)
        begin = next(pictures(video))[0]
        sound = decode_sound(video, out / "sound.f32")
        write_wav(out / "late.wav", shift_sound(sound.read(begin, sound.samples), late))
        corpus = prepare(
            video,
            out / "corpus",
            layout="grid",
            audio=out / "late.wav",
            model=Lips(model),
            progress=False,
        )
        track = corpus.tracks[0]
        found.append((folder.name, late, track.offset, track.factors["confidence"]))
    return found


def write_wav(path: Path, waveform: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((np.clip(waveform, -1, 1) * 32767).astype("<i2").tobytes())


def shares(found) -> dict[str, float]:
    """Share of pieces whose offset is right within a frame; and the same of each half by
    confidence.
    """
    right = np.array([abs(k - true) <= 1 for _, true, k, _ in found])
    confidence = np.array([c for *_, c in found])
    sure = confidence >= np.median(confidence)
    in_step = np.array([true == 0 for _, true, *_ in found])
    speakers = np.array([speaker for speaker, *_ in found])
    worst = min((right[speakers == name].mean(), name) for name in set(speakers))
    return {
        "all": right.mean(),
        "in step": right[in_step].mean(),
        "surer half": right[sure].mean(),
        "other half": right[~sure].mean(),
        "worst": worst,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("runs/grid_sync"))
    parser.add_argument(
        "--real",
        type=Path,
        default=Path(os.environ.get("DSEL_REAL", ROOT.parent / "shared/real")) / "grid",
    )
    parser.add_argument(
        "--toy",
        type=Path,
        default=None,
        help=f"a toy corpus of {SPEAKERS} training speakers or more",
    )
    arguments = parser.parse_args()
    work = arguments.work
    drawn = arguments.toy or toy(work / "toy", SPEAKERS, 2, validation=0, test=0).path
    prepare(arguments.real, work / "grid", layout="grid", workers=1)
    corpora = {"toy": MouthCorpus(drawn, of_toy), "grid": MouthCorpus(work / "grid", of_grid)}
    models = {"untrained": TwoStream(ModelConfig.laptop()).eval()}
    for name, (corpus, start, changes) in RUNS.items():
        run = work / name
        config = TrainConfig.laptop(**CONTENT, **changes, start_from=start and str(work / start))
        trainer = Trainer(
            corpora[corpus],
            ModelConfig.laptop(),
            config,
            run,
            resume=(run / "checkpoint.pt").is_file(),
        )
        if trainer.step < config.steps:
            trainer.fit()
        models[name] = load_model(run, "cpu")
    head = [
        "network",
        "s1, left out",
        "15 others",
        "of these in step",
        "surer half",
        "other half",
        "worst speaker",
    ]
    rows = []
    for name, model in models.items():
        own, others = (
            shares(pieces(model, corpora["grid"], split)) for split in ("validation", "test")
        )
        cells = [
            own["all"],
            *(others[key] for key in ("all", "in step", "surer half", "other half")),
        ]
        cells = [f"{100 * cell:.1f} %" for cell in cells] + [
            f"{others['worst'][1]} {100 * others['worst'][0]:.0f} %"
        ]
        rows.append([NAMES[name], *cells])
    count = len(pieces(models["untrained"], corpora["grid"], "test"))
    chance = 3 / (2 * REACH + 1)
    table = markdown.table(head, rows)
    moved = planted(models["tuned"], arguments.real, work)
    shown = ", ".join(f"{name} {late:+d}/{k:+d}" for name, late, k, _ in moved)
    near = sum(abs(k - late) <= 1 for _, late, k, _ in moved)
    print(f"{table}\nplanted, through prepare: {near} of {len(moved)} within one frame")
    text = f"""# Sync on real people

Offset found within one frame, GRID, 2 s of face against 2 s of sound, candidates -{REACH} ..
+{REACH} (chance {100 * chance:.1f} %). The 15 others: 20 clips, {count} pairs of pieces; pieces of
one clip overlap, so they are not that many independent trials.
'Surer half': the pairs whose confidence is above the median.

{table}

Through `prepare`: a clip of each of the others, its sound moved by -12 .. +12 frames. In {near} of
{len(moved)} the column `offset` of tracks.csv is right within one frame (planted/found): {shown}.

Made by `python benchmarks/grid_sync.py`; its head says how.
"""
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
