"""Keep how a training changes the embeddings of strangers, for the slider of notebook 07.

    dsel toy --out runs/toy --speakers 2500 --tracks 2
    python tools/emergence.py --data runs/toy --run runs/emergence --set steps=1200 within=0

trains in that run folder and writes data/emergence.npz: `steps` (S,), and the audio embeddings of both heads at each, float16
(S, P, D), of the P half tracks of data/mini's test speakers, as `half_tracks` orders them. `--snapshots` takes
checkpoints that were kept during such a training instead.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np

from dsel import corpus, train
from dsel.evaluate.embeddings import embed_tracks
from dsel.evaluate.points import half_tracks
from dsel.evaluate.probes import random_network
from dsel.model import HEADS, ModelConfig, TwoStream
from dsel.utils import package_data as maps

STEPS = (200, 400, 800, 1200)


def embedded(model: TwoStream, strangers: corpus.Corpus) -> dict[str, np.ndarray]:
    """The audio embeddings of the test half tracks by both heads: {head: (P, D)}."""
    tracks = strangers.split("test")
    cache = strangers.cache(model.config.face_size, tracks=tracks, progress=False)
    points = half_tracks(strangers, embed_tracks(model, cache, tracks, progress=False))
    return points.vectors["audio"]


def write(networks: list[tuple[int, TwoStream]], out: Path = maps.EMERGENCE) -> None:
    """Embed the strangers by each of the networks [(step, networks)] and write the file."""
    strangers = corpus.open("mini")
    found = [embedded(model, strangers) for _, model in networks]
    arrays = {head: np.stack([x[head] for x in found]).astype(np.float16) for head in HEADS}
    np.savez_compressed(out, steps=np.array([step for step, _ in networks]), **arrays)
    print(f"{out}: steps {[step for step, _ in networks]}, {arrays['identity'].shape}, {out.stat().st_size:,} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="corpus to train on")
    parser.add_argument("--run", type=Path, default=Path("runs/emergence"))
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="training configuration: steps and seed")
    parser.add_argument("--snapshots", nargs="*", type=Path, default=[], help="checkpoint.pt files of one training")
    options = parser.parse_args()
    states, kept = [], options.run / "kept"
    if options.snapshots:
        runs = list(options.snapshots)
    else:
        values = {key: int(value) for key, value in (pair.split("=") for pair in options.set)}
        config = train.TrainConfig.laptop(**values)
        trainer = train.Trainer(corpus.open(options.data), ModelConfig.laptop(), config, options.run)
        kept.mkdir(exist_ok=True)
        runs = []
        for step in STEPS:
            trainer.fit(until=step)
            runs.append(Path(shutil.copy(options.run / "checkpoint.pt", kept / f"{step}.pt")))
    for path in runs:
        folder = kept / path.stem
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / "checkpoint.pt")
        states.append((train.read_checkpoint(folder)["step"], train.load_model(folder, "cpu")))
    states.sort(key=lambda pair: pair[0])
    seed = train.read_checkpoint(kept / runs[0].stem)["config"]["train"]["seed"]
    write([(0, random_network(states[0][1], seed)), *states])


if __name__ == "__main__":
    main()
