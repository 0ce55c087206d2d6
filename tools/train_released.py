"""Train networks worth releasing: as long as validation speakers gain from it, and keep the best.

    python tools/train_released.py --data runs/grid/corpora/e1-3000 \\
        --judge runs/grid/corpora/e0 --out runs/paper_terms \\
        --set lam=3 within=0 steps=6000 B=32 extra=128 --net front_end=none

Every `--every` steps the networks are judged on the validation speakers of the corpus `--judge`.
The score is the mean of three errors in percent: EER on free trials, EER on hard trials, and 100
minus the top-1 of the content task. The lowest is kept in OUT/best/checkpoint.pt (half precision;
`dsel evaluate` and `dsel release` take that folder as a run), the course of it in OUT/progress.csv.
Training stops at its last step, or after `--patience` judgements without a better one. Stopped by
Ctrl-C, the same command goes on. `--keep` writes the networks at these steps to OUT/kept, for
`tools/emergence.py --snapshots`.
"""

from __future__ import annotations

import argparse
import csv
import time
from dataclasses import asdict, fields
from pathlib import Path

from dsel import corpus
from dsel.ablation.judge import judge
from dsel.cli import _settings
from dsel.model import ModelConfig
from dsel.train.config import TrainConfig
from dsel.train.released import halved
from dsel.train.trainer import Trainer
from dsel.train.weights import write_weights
from dsel.utils.readers import NUMBER, read_csv

JUDGED = ("eer_free", "eer_hard", "eer_easy", "content_head_eer_free", "content_top1")
COLUMNS = ("step", "score", *JUDGED, "seconds")


def score(found: dict[str, float]) -> float:
    """Mean of the three errors that are to be small, in percent."""
    return (found["eer_free"] + found["eer_hard"] + 100 - found["content_top1"]) / 3


def keep(trainer: Trainer, path: Path) -> None:
    """Write what `load_model`, `evaluate` and `release` need of the present networks, in half
    precision.
    """
    weights = halved(trainer.model.state_dict())
    weights, loss = (
        {k: x.cpu() for k, x in values.items()} for values in (weights, trainer.loss.state_dict())
    )
    config = {"model": trainer.model.config.to_dict(), "train": asdict(trainer.config)}
    write_weights(path, {"step": trainer.step, "model": weights, "loss": loss, "config": config})


def read_progress(out: Path) -> list[dict]:
    """The judgements so far, numbers as float; [] if there are none."""
    path = out / "progress.csv"
    columns = dict.fromkeys(COLUMNS, NUMBER)
    remedy = "delete it; the training goes on without its course"
    return read_csv(path, columns, remedy=remedy, cut_last=True) if path.is_file() else []


def add_progress(out: Path, row: dict) -> None:
    """Add a judgement."""
    new = not (out / "progress.csv").is_file()
    with (out / "progress.csv").open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow({name: round(row[name], 4) for name in COLUMNS})


def train_released(
    data, judged, out, settings: dict, networks: dict, *, every=500, patience=6, kept=()
) -> list[dict]:
    """Train as the module says; returns the rows of OUT/progress.csv."""
    out, judged = Path(out), corpus.open(judged)
    common = {"log_every": min(every, 50), "save_every": every, "keep": 1, "tensorboard": False}
    config = TrainConfig.laptop(**common | settings)
    resume = (out / "checkpoint.pt").is_file()
    trainer = Trainer(
        corpus.open(data),
        ModelConfig.laptop(**networks),
        config,
        out,
        resume=resume,
        progress=False,
    )
    begun = time.monotonic()

    def watch(trainer: Trainer, _row) -> bool:
        if trainer.step in kept:
            keep(trainer, out / "kept" / f"{trainer.step}.pt")
        before = read_progress(out)
        if (trainer.step % every and trainer.step < config.steps) or trainer.step in {
            row["step"] for row in before
        }:
            return True
        found = judge(trainer.model, judged, "validation", config.similarity)
        row = {
            **found,
            "step": trainer.step,
            "score": score(found),
            "seconds": time.monotonic() - begun,
        }
        scores = [old["score"] for old in before] + [row["score"]]
        if row["score"] == min(scores):
            keep(trainer, out / "best" / "checkpoint.pt")
        add_progress(out, row)
        print(
            f"{out.name}: step {trainer.step}, "
            + ", ".join(f"{k} {row[k]:.1f}" for k in ("score", *JUDGED)),
            flush=True,
        )
        return len(scores) - 1 - scores.index(min(scores)) < patience

    trainer.fit(watch)
    return read_progress(out)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="corpus to train on")
    parser.add_argument("--judge", required=True, help="corpus with the validation speakers")
    parser.add_argument("--out", required=True, type=Path, help="run folder")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="fields of TrainConfig"
    )
    parser.add_argument(
        "--net", nargs="*", default=[], metavar="KEY=VALUE", help="fields of ModelConfig"
    )
    parser.add_argument("--every", type=int, default=500, help="steps between judgements")
    parser.add_argument(
        "--patience", type=int, default=6, help="judgements without a better one before it stops"
    )
    parser.add_argument(
        "--keep",
        type=int,
        nargs="*",
        default=[],
        help="steps at which the networks are kept as well",
    )
    options = parser.parse_args()
    defaults = {field.name: field.default for field in fields(TrainConfig)} | {"leave_out": 0}
    shape = {"front_end": "track", "D": 128, "hidden": 256}
    settings, networks = (
        _settings("--set", options.set, defaults),
        _settings("--net", options.net, shape),
    )
    train_released(
        options.data,
        options.judge,
        options.out,
        settings,
        networks,
        every=options.every,
        patience=options.patience,
        kept=options.keep,
    )


if __name__ == "__main__":
    main()
