"""Store how a training changes the embeddings of strangers, for the slider of notebook 07.

    dsel toy --out runs/toy --speakers 2500 --tracks 2
    python tools/emergence.py --data runs/toy --run runs/emergence --set steps=1200 within=0

trains in the run folder and writes data/emergence.npz: `steps` (S,), and for each head the audio
embeddings at these steps, float16 (S, P, D). The P points are the half tracks of data/mini's test
speakers, in the order of `dsel.evaluate.points.half_tracks`. `--snapshots` takes checkpoints that
were kept during such a training instead.
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
from dsel.utils.package_data import EMERGENCE

STEPS = (200, 400, 800, 1200)  # at which a checkpoint is kept


def embedded(model: TwoStream, strangers: corpus.Corpus) -> dict[str, np.ndarray]:
    """Embed the sound of the test half tracks with both heads: {head: (P, D)}."""
    tracks = strangers.split("test")
    cache = strangers.cache(model.config.face_size, tracks=tracks, progress=False)
    points = half_tracks(strangers, embed_tracks(model, cache, tracks, progress=False))
    return points.vectors["audio"]


def write(networks: list[tuple[int, TwoStream]], out: Path = EMERGENCE) -> None:
    """Embed the strangers with each network and write the file.

    Args:
        networks: (training step, network), in order.
        out: the file.
    """
    strangers = corpus.open("mini")
    vectors = [embedded(model, strangers) for _, model in networks]
    steps = [step for step, _ in networks]
    arrays = {head: np.stack([x[head] for x in vectors]).astype(np.float16) for head in HEADS}
    np.savez_compressed(out, steps=np.array(steps), **arrays)
    print(f"{out}: steps {steps}, {arrays['identity'].shape}, {out.stat().st_size:,} bytes")


def trained(options, kept: Path) -> list[Path]:
    """Train as the options say, and keep a checkpoint at each of STEPS; return the files."""
    values = {key: int(value) for key, value in (pair.split("=") for pair in options.set)}
    config = train.TrainConfig.laptop(**values)
    people = corpus.open(options.data)
    trainer = train.Trainer(people, ModelConfig.laptop(), config, options.run)
    kept.mkdir(exist_ok=True)
    files = []
    for step in STEPS:
        trainer.fit(until=step)
        files.append(Path(shutil.copy(options.run / "checkpoint.pt", kept / f"{step}.pt")))
    return files


def main() -> None:
    """Train, or take the snapshots, and write the file."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--data", help="corpus to train on")
    parser.add_argument("--run", type=Path, default=Path("runs/emergence"), help="run folder")
    settings = "training configuration, whole numbers: steps, within, seed"
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help=settings)
    snapshots = "checkpoint.pt files of one training"
    parser.add_argument("--snapshots", nargs="*", type=Path, default=[], help=snapshots)
    options = parser.parse_args()
    kept = options.run / "kept"
    networks = []
    for path in options.snapshots or trained(options, kept):
        folder = kept / path.stem
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / "checkpoint.pt")
        checkpoint = train.read_checkpoint(folder)
        networks.append((checkpoint["step"], train.load_model(folder, "cpu")))
    networks.sort(key=lambda pair: pair[0])
    seed = checkpoint["config"]["train"]["seed"]  # the same in all checkpoints of a training
    write([(0, random_network(networks[0][1], seed)), *networks])


if __name__ == "__main__":
    main()
