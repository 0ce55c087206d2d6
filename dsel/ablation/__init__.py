"""The experiment: which terms, which weights, on which corpus, with several seeds."""

from dsel.ablation.judge import FACES, face_directions, judge, pair_hash
from dsel.ablation.run import ablation, confirm, draw, frozen_rows
from dsel.train.released import load_networks

__all__ = [
    "FACES",
    "ablation",
    "confirm",
    "draw",
    "face_directions",
    "frozen_rows",
    "judge",
    "load_networks",
    "pair_hash",
]
