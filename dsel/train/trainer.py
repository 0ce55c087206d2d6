"""The trainer: one loop, short enough for a slide, in `Trainer.fit`.

A step is a pure function of (configuration, step number): tracks, windows and augmentation are
drawn from the seed and the step. So a run can be killed at any moment, and `resume` continues it
from its last checkpoint with the same result. No step waits for the device. Metrics are added up
there and read once per logged row.

    RUN/config.json     model and training configuration
    RUN/metrics.csv     one row every `log_every` steps: means over the steps since the row before
    RUN/checkpoint.pt   what `--resume` needs, see `dsel.train.checkpoint`
    RUN/tensorboard/    the rows again, if TensorBoard is installed
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from dsel.corpus.tracks import Corpus
from dsel.corpus.tracks import open as open_corpus
from dsel.model import ModelConfig, TwoStream
from dsel.train.batches import Batch, Batches
from dsel.train.checkpoint import newest_checkpoint, same_config, write_checkpoint
from dsel.train.config import TrainConfig
from dsel.train.device import choose_compile, choose_layout, choose_precision, keep_memory, trusted
from dsel.train.distributed import in_turn, join, leave, mean_over, parallel, synchronise
from dsel.train.loaders import PrefetchedBatches, make_batches
from dsel.train.metrics import (
    MetricSums,
    append_row,
    batch_metrics,
    read_metrics,
    tensorboard_writer,
    write_rows,
)
from dsel.train.objective import LossInputs, Objective, make_loss
from dsel.train.optimiser import compile_, make_optimiser
from dsel.train.released import load_loss, load_similarity, read_source, remedy_for
from dsel.train.weights import check_networks
from dsel.utils.errors import BadInput
from dsel.utils.files import replace_text, sweep
from dsel.utils.interrupts import interrupt_held_back
from dsel.utils.version import VERSION

AHEAD = 2  # batches read while a step is computed
CONE, SPREAD = 0.99, 1e-3  # above this cone, or below this spread, embeddings have collapsed

Row = dict[str, float]  # of metrics.csv
Callback = Callable[["Trainer", Row], Any]


class Trainer:
    """Train a `TwoStream` on a corpus, in a run folder.

    Started by torchrun, it is one of several, see `dsel.train.distributed`. Only the first writes.

    Args:
        corpus: its split 'train' is used.
        model: the shape of the networks.
        config: everything else that shapes the training.
        out: the run folder.
        resume: go on from RUN/checkpoint.pt.
        progress: show a bar.
    Raises:
        BadInput: no training tracks; a folder that already holds a run; nothing to resume, or a run
            with another configuration.
    """

    def __init__(
        self,
        corpus: Corpus,
        model: ModelConfig,
        config: TrainConfig,
        out: str | Path,
        *,
        resume: bool = False,
        progress: bool = True,
    ) -> None:
        self.ranks, device = join(config.device)
        self.device = trusted(device)
        self.out, self.config, self.progress = Path(out), config, progress and self.ranks.first
        self._claim(model, resume)
        self.batches = in_turn(self.ranks, lambda: self._batches(corpus, model.face_size))
        torch.manual_seed(config.seed)
        layout: dict[str, Any] = {"memory_format": choose_layout(self.device)}
        self.model = TwoStream(model).to(self.device, **layout)
        self.loss = make_loss(asdict(config), model.D).to(self.device)
        if self.ranks.many:
            self.model = synchronise(self.model, self.device)
        if self.device.type == "cpu":
            keep_memory()
        if choose_compile(config.compile, self.device):
            compile_(self.model)
        autocast = choose_precision(config.precision, self.device)
        objective = Objective(
            self.model, self.loss, config, ranks=self.ranks, device=self.device, autocast=autocast
        )
        self.objective = parallel(objective, self.ranks, self.device)
        self.optimiser, self.scheduler = make_optimiser(
            self.model, self.loss, config, self.batches.steps_per_epoch
        )
        self.step, self.running, self.recent, self.best = 0, MetricSums(), MetricSums(), math.inf
        self._board: Any = None  # writes for TensorBoard; False: TensorBoard is not used
        self._warned = False
        if resume:
            self._load()
        elif config.start_from:
            self._begin_with(config.start_from)

    def fit(self, callback: Callback | None = None, until: int | None = None) -> list[Row]:
        """Train to the end, or to step `until`.

        Ctrl-C stops after the step that is under way and a checkpoint, and `resume=True` goes on
        from there. A second Ctrl-C stops at once; the last checkpoint stays as it was.

        Args:
            callback: is called with (trainer, row) at every logged row. If it returns False,
                training stops after a checkpoint.
            until: the step to stop at; None: the last one.
        Returns:
            The logged rows of this call.
        """
        stop, rows = min(until or self.config.steps, self.config.steps), []
        bar = tqdm(
            total=self.config.steps,
            initial=self.step,
            desc="training",
            disable=not self.progress,
            unit="step",
        )
        begun = self.step  # steps begun; a step cut in half must not be saved
        try:
            with interrupt_held_back() as pressed, ThreadPoolExecutor(1) as loader, bar:
                coming = deque(
                    loader.submit(self._read, step)
                    for step in range(self.step, min(self.step + AHEAD, stop))
                )
                while self.step < stop:
                    batch = coming.popleft().result()
                    if self.step + AHEAD < stop:
                        coming.append(loader.submit(self._read, self.step + AHEAD))
                    begun = self.step + 1
                    self.running.add(self.train_step(batch), self.step)
                    self.step += 1
                    bar.update()
                    if self.step % self.config.log_every == 0 or self.step == stop:
                        rows.append(self._log())
                        bar.set_postfix(
                            {name: f"{rows[-1][name]:.2f}" for name in ("content", "identity")}
                        )
                        if self._told_to_stop(callback, rows[-1]):
                            break
                    if self.step % self.config.save_every == 0:
                        self.save()
                    if pressed():
                        raise KeyboardInterrupt
        except KeyboardInterrupt:
            if begun != self.step:
                raise
            tqdm.write(f"stopped at step {self.step}; go on with --resume")
        self.save()
        return rows

    def train_step(self, batch: Batch) -> dict[str, Tensor]:
        """Take one step on a batch.

        Returns:
            The loss and its parts, the norm of the gradient, and the metrics of `batch_metrics`:
            scalars on the device.
        """
        self.model.train()
        total, parts, compared = self.objective(batch, self.step)
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimiser.step()
        self.scheduler.step()
        self.loss.limit_()
        metrics = {"loss": total, **parts, "gradient": norm, **batch_metrics(self.loss, *compared)}
        return {name: value.detach() for name, value in metrics.items()}

    def embed(self, batch: Batch) -> LossInputs:
        """Augment and embed a batch as the present step does, see `Objective.embed`."""
        # DistributedDataParallel holds the objective as its `module`.
        inside: Any = getattr(self.objective, "module", self.objective)
        return inside.embed(inside.augment(batch, self.step))

    def save(self) -> None:
        """Write a checkpoint, atomically.

        The best checkpoint is the one with the lowest alpha_c L_content + alpha_s L_identity,
        averaged over the training steps since the checkpoint before it. The method has no labels to
        validate with, and the confusion terms grow while lam rises. A checkpoint between two that
        are due, after Ctrl-C, is not compared: so a run that was interrupted has the same best one.
        (Ours.)

        Raises:
            BadInput: the loss became NaN or infinite; nothing is written.
        """
        self._stop_if_not_finite(self.running.read())
        due = self.step % self.config.save_every == 0 or self.step >= self.config.steps
        best = due and self._is_best()
        if not self.ranks.first:
            return
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "loss": self.loss.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "position": {
                "epoch": self.step // self.batches.steps_per_epoch,
                "step": self.step,
                "processes": self.ranks.world,
            },
            "random": {"torch": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
            "running": self.running.state_dict(),
            "recent": self.recent.state_dict(),
            "best": self.best,
            "config": {"model": self.model.config.to_dict(), "train": asdict(self.config)},
            "versions": {
                "dsel": VERSION,
                "torch": str(torch.__version__),
                "python": platform.python_version(),
            },
        }
        write_checkpoint(self.out, state, keep=self.config.keep, best=best)

    def _is_best(self) -> bool:
        """Compare the matching loss since the last call with the lowest one, and note it."""
        since = self.recent.merged(self.running).read()
        self.recent = MetricSums()
        weights = {"content": self.config.alpha_c, "identity": self.config.alpha_s}
        matching = sum(weight * since.get(name, 0) for name, weight in weights.items())
        best = bool(since) and matching < self.best
        self.best = matching if best else self.best
        return best

    def _load(self) -> None:
        """Take over the newest checkpoint, and drop the rows that were logged after it."""
        state, path = newest_checkpoint(self.out)
        try:
            for name in ("model", "loss", "optimiser", "scheduler"):
                getattr(self, name).load_state_dict(state[name])
            self.step, self.best = int(state["step"]), float(state.get("best", math.inf))
            self.running.load_state_dict(state.get("running"), self.device)
            self.recent.load_state_dict(state.get("recent"), self.device)
            if "random" in state:
                torch.set_rng_state(state["random"]["torch"])
                if len(state["random"]["cuda"]) == torch.cuda.device_count():
                    torch.cuda.set_rng_state_all(state["random"]["cuda"])
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            why = f"cannot be resumed ({type(error).__name__}: it lacks what resuming needs)"
            raise BadInput(
                f"{path}: {why}; start a new run from its networks with --set start_from={self.out}"
            ) from error
        rows = read_metrics(self.out)
        if rows and self.ranks.first:  # what was logged after the checkpoint will be logged again
            write_rows(self.out / "metrics.csv", [row for row in rows if row["step"] <= self.step])

    def _begin_with(self, source: str) -> None:
        """Take over networks and scales of a source, see `load_model`.

        The optimiser and its schedule begin anew.
        """
        state, path = read_source(source)
        if check_networks(state, path, remedy_for(path)) != self.model.config:
            why = "its networks have another shape than these"
            raise BadInput(f"{source}: {why}; start from a run with the same networks")
        self.model.load_state_dict(state["model"])
        if "loss" in state and load_similarity(source) == self.config.similarity:
            own, theirs = self.loss.state_dict(), load_loss(source).state_dict()
            shared = {name: value for name, value in theirs.items() if name in own}
            self.loss.load_state_dict(own | shared)

    def _claim(self, model: ModelConfig, resume: bool) -> None:
        """Make the run folder, or raise BadInput if it cannot be used."""
        held = (self.out / "checkpoint.pt").is_file()
        if held and not resume:
            remedy = "use --resume to go on with it, or another folder"
            raise BadInput(f"{self.out}: already holds a run; {remedy}")
        if resume and not held:
            remedy = "train without --resume first"
            raise BadInput(f"{self.out}: nothing to resume (no checkpoint.pt); {remedy}")
        wanted = {"model": model.to_dict(), "train": asdict(self.config)}
        if resume:
            state, path = newest_checkpoint(self.out)
            networks = check_networks(state, path, remedy_for(path))
            saved = {**state["config"], "model": networks.to_dict()}  # older fields in new names
            processes = state.get("position", {}).get("processes", 1), self.ranks.world
            same_config(saved, wanted, self.out, processes)
        if not self.ranks.first:
            return
        self.out.mkdir(parents=True, exist_ok=True)
        sweep(self.out)
        replace_text(self.out / "config.json", json.dumps(wanted, indent=1) + "\n")
        if not resume:
            (self.out / "metrics.csv").unlink(missing_ok=True)

    def _batches(self, corpus: Corpus, size: int) -> Batches | PrefetchedBatches:
        ranks = self.ranks
        return make_batches(
            corpus, self.config, size, rank=ranks.rank, world=ranks.world, progress=self.progress
        )

    def _read(self, step: int) -> Batch:
        """Read the batch of a step; for a GPU, into pinned memory that it can fetch by itself."""
        batch = self.batches.at(step)
        if self.device.type != "cuda":
            return batch
        values: dict[str, Any] = {f.name: getattr(batch, f.name) for f in fields(batch)}
        pinned: dict[str, Any] = {
            name: x.pin_memory() for name, x in values.items() if isinstance(x, Tensor)
        }
        return replace(batch, **pinned)

    def _log(self) -> Row:
        """Log the means since the last row. Only this part of the loop waits for the device."""
        self.running = self.running.shared(self.ranks)
        means = self.running.read()
        self._stop_if_not_finite(means)
        row = {"step": self.step, "time": round(time.time(), 2), **means}
        row |= {"lr": self.optimiser.param_groups[0]["lr"], **self.loss.scales()}
        self.recent, self.running = self.recent.merged(self.running), MetricSums()
        if self.ranks.first:
            self._warn_of_collapse(row)
            append_row(self.out / "metrics.csv", row)
            self._show(row)
        return row

    def _warn_of_collapse(self, row: Row) -> None:
        """Say once per run if the embeddings have collapsed."""
        if self._warned or not (row["cone"] > CONE or row["spread"] < SPREAD):
            return
        self._warned = True
        measured = f"mean pairwise cosine {row['cone'] ** 2:.3f}, spread {row['spread']:.2g}"
        remedy = "lower lam, or raise lam_warmup"
        tqdm.write(f"step {self.step}: the embeddings collapse ({measured}); {remedy}")

    def _stop_if_not_finite(self, means: Row) -> None:
        """Raise BadInput if the loss of a step was not finite, and write which tracks it had."""
        bad = self.running.first_bad()
        if bad < 0:
            return
        tracks = [track.id for track in self.batches.at(bad).tracks]
        name = f"bad_batch{self.ranks.rank or ''}.json"
        replace_text(self.out / name, json.dumps({"step": bad + 1, "tracks": tracks}) + "\n")
        where = f"{self.out}: loss is {means['loss']} at step {bad + 1}"
        raise BadInput(f"{where}; {name} lists its tracks; try a lower lr")

    def _told_to_stop(self, callback: Callback | None, row: Row) -> bool:
        """Ask the callback of the first process, and pass its answer to all processes."""
        told = callback is not None and self.ranks.first and callback(self, row) is False
        if not self.ranks.many:
            return told
        return mean_over(self.ranks, torch.tensor(float(told), device=self.device)).item() > 0

    def _show(self, row: Row) -> None:
        """Write a row for TensorBoard, if it is installed and wanted."""
        if self._board is None:
            wanted = self.config.tensorboard
            self._board = tensorboard_writer(self.out / "tensorboard") if wanted else False
        if self._board:
            for name, value in row.items():
                self._board.add_scalar(name, value, row["step"])


def train(
    data: str | Path,
    out: str | Path,
    *,
    config: str = "laptop",
    networks: dict[str, Any] | None = None,
    resume: bool = False,
    progress: bool = True,
    callback: Callback | None = None,
    **changes: Any,
) -> Trainer:
    """Train networks on a corpus. The command is `dsel train`.

    Args:
        data: a corpus, as `dsel.corpus.open` takes it.
        out: the run folder.
        config: 'laptop' or 'paper'.
        networks: fields of `ModelConfig` that differ from `config`.
        resume, progress: as in `Trainer`.
        callback: as in `Trainer.fit`.
        changes: fields of `TrainConfig` that differ from `config`.
    Returns:
        The trainer, at the end of the training.
    Raises:
        BadInput: as `Trainer`.
    """
    settings = TrainConfig.named(config, **changes)
    model = ModelConfig.named(config, **networks or {})
    trainer = Trainer(open_corpus(data), model, settings, out, resume=resume, progress=progress)
    trainer.fit(callback)
    leave()
    return trainer
