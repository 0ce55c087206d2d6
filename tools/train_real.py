"""Train the released networks `real`: real voices, behind drawn faces and on GRID's faces.

    python tools/train_real.py --work runs/real [--real ../shared/real] [--steps 2400]
    python tools/train_real.py --work runs/real --steps 500 --seed 1   # into run-500-1-mouth
    python tools/train_real.py --work runs/real --steps 500 --seed 1 --crop face   # run-500-1

Data. 340 of 376 speakers of LibriSpeech train-clean-100 (one recording each) and speechocean762
(eight short ones), eight tracks of 2 s each behind drawn faces, every track with a microphone, a
room and noise of its own; and clips of one speaker of GRID, s1, whose face and voice are real.
Validation: the other 36 speakers, and the clips of s1 whose number says so. The other 15 people of
GRID and LibriSpeech test-other are not looked at here: tools/real_card.py measures them.

Nothing was chosen on the data that the card reports: networks, loss and lambda are those of
`four_terms`, which were chosen on drawn validation speakers. Validation chooses two things: what
the content head sees (`--crop`), by a whole training with the face and one with the mouth; and the
step: the lowest mean of two errors in percent, the identity head's equal error rate on the 36
speakers and the share of wrong offsets on s1's other clips. Run it again to go on.

With --seed the training goes into a folder of its own: a shorter one with several seeds says how
much of a figure is chance (`python -m tools.real_card --seeds`).
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import zlib
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from dsel import corpus as corpora
from dsel.corpus import Corpus, Track, write_csv
from dsel.corpus.tracks import write_corpus
from dsel.evaluate import all_pairs, embed_tracks, equal_error_rate, sync_offset
from dsel.evaluate.verification import verification_scores
from dsel.model import CROPS, ModelConfig, TwoStream
from dsel.prepare import prepare
from dsel.toy.make import toy
from dsel.train import TrainConfig, Trainer
from dsel.train.released import halved
from dsel.train.weights import write_weights

ROOT = Path(__file__).resolve().parents[1]
REAL = Path(os.environ.get("DSEL_REAL", ROOT.parent / "shared" / "real"))  # the recordings
TRAIN, VALIDATION, TRACKS = 340, 36, 8  # speakers, speakers, tracks of each
COPIES = 2  # how often each clip of s1 stands in the training split
PIECE, STEP, REACH = 50, 5, 15  # frames: length, distance of starts, largest offset
EVERY = 250  # steps between two judgements
SETTINGS = {"lam": 3.0, "augment": 1.0, "log_every": 50, "keep": 1}
WORN = ("room", "noise", "speed", "blur", "compression")  # see dsel.train.augment
COLUMNS = ("step", "score", "eer", "wrong_offsets")


def voices(real: Path, out: Path) -> Path:
    """Collect both sets of recordings in one folder by links: out/SPEAKER/FILE."""
    sets = {"l": real / "librispeech" / "train-clean-100", "o": real / "speechocean" / "train"}
    for letter, folder in sets.items():  # a number may name a speaker of either
        for path in sorted(folder.glob("*.flac")):
            link = out / f"{letter}{path.stem.split('-')[0]}" / path.name
            if not link.is_symlink():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path.resolve())
    return out


def split_of(track: Track) -> str:
    """Which split a clip of GRID belongs to; s1's are dealt by their names."""
    if track.speaker != "s1":
        return "test"
    return "validation" if zlib.crc32(track.id.encode()) % 5 == 0 else "train"


def make_corpora(real: Path, work: Path) -> tuple[Corpus, Corpus]:
    """Return the corpus to train on and GRID alone; both are made once."""
    drawn = toy(
        work / "drawn", TRAIN, TRACKS, validation=VALIDATION, test=0, test_tracks=TRACKS,
        size=48, voices=voices(real, work / "voices"), workers=1,
    )  # fmt: skip
    grid = prepare(real / "grid", work / "grid", layout="grid", workers=1)
    both = work / "both"
    if not (both / "corpus.json").is_file():
        rows = []
        for source in (drawn, grid):
            for track in source.tracks:
                keep = source is drawn or split_of(track) == "train"
                (both / track.path).parent.mkdir(parents=True, exist_ok=True)
                if keep and not (both / track.path).exists():
                    shutil.copy(source.path / track.path, both / track.path)
                split = track.split if source is drawn else "train"
                rows += [
                    {
                        "id": track.id if copy == 0 else f"{track.id}-{copy}",
                        **{"speaker": track.speaker, "split": split, "path": track.path},
                        **{"frames": track.frames, "offset": track.offset},
                    }
                    for copy in range((1 if source is drawn else COPIES) * keep)
                ]
        write_corpus(both, rows, made_by="tools/train_real.py", seed=0, licence="CC BY 4.0")
    return corpora.open(both), grid


def pieces(model: TwoStream, grid: Corpus, split: str, piece: int = PIECE) -> list[tuple]:
    """Find the offset of every pair of a face and a sound cut from one clip at different places.

    Returns:
        (speaker, true offset, found offset, confidence) of each pair.
    """
    tracks, found = [track for track in grid.tracks if split_of(track) == split], []
    e = embed_tracks(
        model, grid.cache(model.config.face_size, progress=False), tracks, progress=False
    )
    windows = piece - 4
    for k, track in enumerate(e.tracks):
        face, audio = e.of(k, "face", "content"), e.of(k, "audio", "content")
        starts = range(0, len(face) - windows + 1, STEP)
        for seen in starts:
            for heard in starts:
                if abs(seen - heard) <= REACH:
                    late, confidence, _ = sync_offset(
                        face[seen : seen + windows], audio[heard : heard + windows], REACH
                    )
                    found.append((track.speaker, seen - heard, late, confidence))
    return found


def right(found: list[tuple]) -> float:
    """Share of offsets that are right within one frame."""
    return float(np.mean([abs(late - true) <= 1 for _, true, late, _ in found]))


def judge(model: TwoStream, both: Corpus, grid: Corpus) -> dict[str, float]:
    """Judge on the validation speakers, in percent."""
    tracks = both.split("validation")
    cache = both.cache(model.config.face_size, progress=False)
    e = embed_tracks(model, cache, tracks, streams=("audio",), progress=False)
    trials = all_pairs(tracks)
    eer = 100 * equal_error_rate(verification_scores(e, trials), trials.target)
    wrong = 100 * (1 - right(pieces(model, grid, "validation")))
    return {"score": (eer + wrong) / 2, "eer": eer, "wrong_offsets": wrong}


def keep(trainer: Trainer, path: Path) -> None:
    """Write what `dsel release` needs, in half precision."""
    config = {"model": trainer.model.config.to_dict(), "train": asdict(trainer.config)}
    weights, loss = halved(trainer.model.state_dict()), trainer.loss.state_dict()
    write_weights(path, {"step": trainer.step, "model": weights, "loss": loss, "config": config})


def read_progress(path: Path) -> list[dict]:
    """Read the judgements so far; [] if there are none."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(x) for name, x in row.items()} for row in csv.DictReader(file)]


def run_folder(
    work: Path, steps: int, seed: int | None, crop: str = "mouth", worn: float = 0.0
) -> Path:
    """Return the folder of a training; with a seed it has one of its own."""
    name = "run" if seed is None else f"run-{steps}-{seed}"
    return work / (name + "-mouth" * (crop == "mouth") + (f"-worn{worn:g}" if worn else ""))


def train(
    both: Corpus,
    grid: Corpus,
    out: Path,
    steps: int,
    seed: int = 0,
    crop: str = "mouth",
    worn: float = 0.0,
) -> None:
    """Train to the end, judge every EVERY steps, keep the best in out/best.

    Args:
        both, grid: of `make_corpora`.
        out: the run folder.
        steps, seed: of the training.
        crop: see `ModelConfig.content_crop`.
        worn: strength of the changes in WORN.
    """
    settings = SETTINGS | dict.fromkeys(WORN, worn)
    config = TrainConfig.laptop(
        steps=steps, save_every=EVERY, tensorboard=False, seed=seed, **settings
    )
    resume = (out / "checkpoint.pt").is_file()
    shape = ModelConfig.laptop(content_crop=crop)
    trainer = Trainer(both, shape, config, out, resume=resume, progress=False)

    def watch(trainer: Trainer, _row: dict) -> bool:
        before = [row for row in read_progress(out / "progress.csv") if row["step"] < trainer.step]
        if trainer.step % EVERY == 0 or trainer.step == steps:
            trainer.model.eval()
            row = {"step": trainer.step, **judge(trainer.model, both, grid)}
            if row["score"] <= min([old["score"] for old in before], default=np.inf):
                keep(trainer, out / "best" / "checkpoint.pt")
            write_csv(out / "progress.csv", [*before, row], COLUMNS)
            print(", ".join(f"{name} {value:.1f}" for name, value in row.items()), flush=True)
        return True

    if trainer.step < steps:
        trainer.fit(watch)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("runs/real"))
    parser.add_argument("--real", type=Path, default=REAL, help="folder of the recordings")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--seed", type=int, help="train into a folder of its own with this seed")
    more = f"strength of {', '.join(WORN)}; with --seed"
    parser.add_argument("--worn", type=float, default=0.0, help=more)
    parser.add_argument("--crop", choices=CROPS, default="mouth", help="what the content head sees")
    options = parser.parse_args()
    both, grid = make_corpora(options.real, options.work)
    changes = options.crop, options.worn if options.seed is not None else 0.0
    out = run_folder(options.work, options.steps, options.seed, *changes)
    train(both, grid, out, options.steps, options.seed or 0, *changes)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
