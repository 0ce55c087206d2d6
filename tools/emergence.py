"""Store how the released trainings change embeddings of strangers: the slider of notebook 07.

    python tools/train_released.py ... --keep 500 1000 4000 --out runs/four_terms
    python tools/train_released.py ... --keep 500 1000 4000 --out runs/five_terms
    python tools/emergence.py four_terms=runs/four_terms five_terms=runs/five_terms

writes data/emergence.npz. For each released network NAME it holds `NAME_steps` (S,), and for each
head `NAME_identity` and `NAME_content`, the audio embeddings at these steps, float16 (S, P, D). The
steps are 0, those that `--keep` left in the run folder, and the step of the released network.
The P points are the half tracks of data/mini's test speakers, in the order of
`dsel.evaluate.points.half_tracks`. data/models/README.md has the settings of both trainings.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(ROOT))

from dsel import corpus  # noqa: E402
from dsel.evaluate.embeddings import embed_tracks  # noqa: E402
from dsel.evaluate.points import half_tracks  # noqa: E402
from dsel.evaluate.probes import random_network  # noqa: E402
from dsel.model import HEADS, TwoStream  # noqa: E402
from dsel.train.released import RELEASED, load_model  # noqa: E402
from dsel.utils.package_data import EMERGENCE, REMEDY  # noqa: E402
from dsel.utils.readers import read_json  # noqa: E402


def embedded(model: TwoStream, strangers: corpus.Corpus) -> dict[str, np.ndarray]:
    """Embed the sound of the test half tracks with both heads: {head: (P, D)}."""
    tracks = strangers.split("test")
    cache = strangers.cache(model.config.face_size, tracks=tracks, progress=False)
    points = half_tracks(strangers, embed_tracks(model, cache, tracks, progress=False))
    return points.vectors["audio"]


def moments(name: str, run: Path) -> list[tuple[int, TwoStream]]:
    """Collect the networks of a training: (step, network), in order of the steps.

    Args:
        name: of the released network, whose step the card tells.
        run: the folder of its training, with kept/STEP.pt.
    """
    card = read_json(RELEASED / f"{name}.json", remedy=REMEDY, entries={})
    released = load_model(name, "cpu")
    found = {int(path.stem): load_model(path, "cpu") for path in run.glob("kept/*.pt")}
    found |= {0: random_network(released, card["train"]["seed"]), card["step"]: released}
    return sorted(found.items())


def write(networks: dict[str, list[tuple[int, TwoStream]]], out: Path = EMERGENCE) -> None:
    """Embed the strangers with each network and write the file.

    Args:
        networks: {name of the released network: what `moments` gives}.
        out: the file.
    """
    strangers, arrays = corpus.open("mini"), {}
    for name, stages in networks.items():
        vectors = [embedded(model, strangers) for _, model in stages]
        arrays[f"{name}_steps"] = np.array([step for step, _ in stages])
        for head in HEADS:
            arrays[f"{name}_{head}"] = np.stack([x[head] for x in vectors]).astype(np.float16)
    np.savez_compressed(out, **arrays)
    steps = {name: [step for step, _ in stages] for name, stages in networks.items()}
    print(f"{out}: steps {steps}, {out.stat().st_size:,} bytes")


def main() -> None:
    """Read the arguments NAME=RUN and write the file."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    runs = "released network and the folder of its training"
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN", help=runs)
    options = parser.parse_args()
    pairs = [text.split("=", 1) for text in options.runs]
    if any(len(pair) < 2 for pair in pairs):
        parser.error("each argument is NAME=RUN, such as four_terms=runs/four_terms")
    write({name: moments(name, Path(run)) for name, run in pairs})


if __name__ == "__main__":
    main()
