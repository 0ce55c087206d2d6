"""The trainer: one loop, short enough for a slide, in `Trainer.fit`.

A step is a pure function of (configuration, step number): which tracks, which windows and which augmentation are drawn from
the seed and the step. So a run can be killed at any moment and resumed from its last checkpoint as if nothing had happened.
Nothing in a step waits for the device: figures add up there and come back with every logged row.

    RUN/config.json     model and training configuration
    RUN/metrics.csv     one row every `log_every` steps: means over the steps since the row before
    RUN/checkpoint.pt   everything that `--resume` needs, see `dsel.train.checkpoint`
    RUN/tensorboard/    the rows again, if TensorBoard is installed
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields, replace
from pathlib import Path

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
from dsel.train.loaders import make_batches
from dsel.train.metrics import (
    MetricSums,
    append_row,
    batch_metrics,
    read_metrics,
    tensorboard_writer,
    write_rows,
)
from dsel.train.objective import Objective, make_loss
from dsel.train.optimiser import compile_, make_optimiser
from dsel.train.released import load_loss, load_similarity, read_source, remedy_for
from dsel.train.weights import check_networks
from dsel.utils.errors import BadInput
from dsel.utils.files import replace_text, sweep
from dsel.utils.version import VERSION

AHEAD = 2  # batches read while a step is computed
CONE, SPREAD = 0.99, 1e-3  # beyond these the embeddings count as collapsed


class Trainer:
    """Trains a `TwoStream` on a corpus, in a run folder.

    Args:
        corpus: its 'train' split is used.
        out: the run folder.
        resume: go on from RUN/checkpoint.pt.
    Raises:
        BadInput: no training tracks, a folder that already holds a run, nothing to resume, or another configuration in it.
    Started by torchrun, it is one of several (see `dsel.train.distributed`); the first of them writes.
    """

    def __init__(
        self,
        corpus: Corpus,
        model: ModelConfig,
        config: TrainConfig,
        out,
        *,
        resume: bool = False,
        progress: bool = True,
    ):
        self.ranks, device = join(config.device)
        self.device = trusted(device)
        self.out, self.config, self.progress = Path(out), config, progress and self.ranks.first
        self._claim(model, resume)
        self.batches = in_turn(self.ranks, lambda: self._batches(corpus, model.face_size))
        torch.manual_seed(config.seed)
        self.model = TwoStream(model).to(self.device, memory_format=choose_layout(self.device))
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
            self.model, self.loss, config, self.batches.steps_an_epoch
        )
        self.step, self.running, self.recent, self.best = 0, MetricSums(), MetricSums(), math.inf
        self._board, self._warned = None, False
        if resume:
            self._load()
        elif config.start_from:
            self._begin_with(config.start_from)

    def fit(self, callback=None, until: int | None = None) -> list[dict]:
        """Train to the end, or to step `until`. Returns the logged rows of this call.

        callback(trainer, row) is called at every logged row; if it returns False, training stops after a checkpoint.
        Ctrl-C does the same: what was done is kept, and `resume=True` goes on.
        """
        stop, rows = min(until or self.config.steps, self.config.steps), []
        bar = tqdm(
            total=self.config.steps,
            initial=self.step,
            desc="training",
            disable=not self.progress,
            unit="step",
        )
        try:
            with ThreadPoolExecutor(1) as loader, bar:
                coming = deque(
                    loader.submit(self._read, step)
                    for step in range(self.step, min(self.step + AHEAD, stop))
                )
                while self.step < stop:
                    batch = coming.popleft().result()
                    if self.step + AHEAD < stop:
                        coming.append(loader.submit(self._read, self.step + AHEAD))
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
        except KeyboardInterrupt:
            tqdm.write(f"stopped at step {self.step}; go on with --resume")
        self.save()
        return rows

    def train_step(self, batch: Batch) -> dict[str, Tensor]:
        """Take one step on one batch. Returns the loss' parts, accuracies and state of the embeddings, on the device."""
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

    def embed(self, batch: Batch) -> tuple[dict, dict, Tensor, tuple | None]:
        """Embed a batch as the present step does: what the loss takes. See `Objective.augment` and `Objective.embed`."""
        objective = getattr(
            self.objective, "module", self.objective
        )  # inside DistributedDataParallel
        return objective.embed(objective.augment(batch, self.step))

    def save(self) -> None:
        """Write a checkpoint, unless the weights are no numbers; at every moment the old one or the new one is there.

        'Best' is the lowest alpha_c L_content + alpha_s L_identity, averaged over the training steps since the last
        checkpoint: the method has no labels to validate by, and the confusion terms grow while lam does. (Ours.)
        """
        self._stop_if_not_finite(self.running.read())
        since = self.recent.merged(self.running).read()
        matching = sum(
            getattr(self.config, f"alpha_{k}") * since.get(name, 0)
            for k, name in (("c", "content"), ("s", "identity"))
        )
        best = bool(since) and matching < self.best
        self.best = min(self.best, matching) if since else self.best
        self.recent = MetricSums()
        if not self.ranks.first:
            return
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "loss": self.loss.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "position": {
                "epoch": self.step // self.batches.steps_an_epoch,
                "step": self.step,
                "processes": self.ranks.world,
            },
            "random": {"torch": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
            "running": self.running.state_dict(),
            "best": self.best,
            "config": {"model": self.model.config.to_dict(), "train": asdict(self.config)},
            "versions": {
                "dsel": VERSION,
                "torch": str(torch.__version__),
                "python": platform.python_version(),
            },
        }
        write_checkpoint(self.out, state, keep=self.config.keep, best=best)

    def _load(self) -> None:
        state, path = newest_checkpoint(self.out)
        try:
            for name in ("model", "loss", "optimiser", "scheduler"):
                getattr(self, name).load_state_dict(state[name])
            self.step, self.best = int(state["step"]), float(state.get("best", math.inf))
            self.running.load_state_dict(state.get("running"), self.device)
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

    def _begin_with(self, run) -> None:
        """Take networks and scales of another run, a file or a released name; optimiser and schedule begin anew."""
        state, path = read_source(run)
        if check_networks(state, path, remedy_for(path)) != self.model.config:
            raise BadInput(
                f"{run}: its networks have another shape than these; start from a run of the same kind"
            )
        self.model.load_state_dict(state["model"])
        if "loss" in state and load_similarity(run) == self.config.similarity:
            own = self.loss.state_dict()
            self.loss.load_state_dict(
                own | {name: x for name, x in load_loss(run).state_dict().items() if name in own}
            )

    def _claim(self, model: ModelConfig, resume: bool) -> None:
        """Make the run folder ours, or say why it cannot be."""
        held = (self.out / "checkpoint.pt").is_file()
        if held and not resume:
            raise BadInput(
                f"{self.out}: already holds a run; use --resume to go on with it, or another folder"
            )
        if resume and not held:
            raise BadInput(
                f"{self.out}: nothing to resume (no checkpoint.pt); train without --resume first"
            )
        wanted = {"model": model.to_dict(), "train": asdict(self.config)}
        if resume:
            state, path = newest_checkpoint(self.out)
            before = state.get("position", {}).get("processes", 1)
            shape = check_networks(
                state, path, remedy_for(path)
            ).to_dict()  # an older one in today's words
            same_config(
                {**state["config"], "model": shape}, wanted, self.out, (before, self.ranks.world)
            )
        if not self.ranks.first:
            return
        self.out.mkdir(parents=True, exist_ok=True)
        sweep(self.out)
        replace_text(self.out / "config.json", json.dumps(wanted, indent=1) + "\n")
        if not resume:
            (self.out / "metrics.csv").unlink(missing_ok=True)

    def _batches(self, corpus: Corpus, size: int) -> Batches:
        ranks = self.ranks
        return make_batches(
            corpus, self.config, size, rank=ranks.rank, world=ranks.world, progress=self.progress
        )

    def _read(self, step: int) -> Batch:
        """The batch of a step, in memory that a GPU can fetch by itself."""
        batch = self.batches.at(step)
        if self.device.type != "cuda":
            return batch
        tensors = {field.name: getattr(batch, field.name) for field in fields(batch)}
        return replace(
            batch, **{name: x.pin_memory() for name, x in tensors.items() if isinstance(x, Tensor)}
        )

    def _log(self) -> dict:
        """The means since the last row, as a row. The one place of the loop that waits for the device."""
        self.running = self.running.shared(self.ranks)
        found = self.running.read()
        self._stop_if_not_finite(found)
        row = {"step": self.step, "time": round(time.time(), 2), **found}
        row |= {"lr": self.optimiser.param_groups[0]["lr"], **self.loss.scales()}
        self.recent, self.running = self.recent.merged(self.running), MetricSums()
        if (row["cone"] > CONE or row["spread"] < SPREAD) and not self._warned and self.ranks.first:
            self._warned = True
            tqdm.write(
                f"step {self.step}: the embeddings collapse (mean pairwise cosine {row['cone'] ** 2:.3f}, spread "
                f"{row['spread']:.2g}); lower lam, or raise lam_warmup"
            )
        if self.ranks.first:
            append_row(self.out / "metrics.csv", row)
            self._show(row)
        return row

    def _stop_if_not_finite(self, found: dict) -> None:
        bad = self.running.first_bad()
        if bad < 0:
            return
        tracks = [track.id for track in self.batches.at(bad).tracks]
        name = f"bad_batch{self.ranks.rank or ''}.json"
        replace_text(self.out / name, json.dumps({"step": bad + 1, "tracks": tracks}) + "\n")
        raise BadInput(
            f"{self.out}: loss is {found['loss']} at step {bad + 1}; its tracks are in {name}; lower lr?"
        )

    def _told_to_stop(self, callback, row: dict) -> bool:
        """What the callback of the first process says, to all of them."""
        told = callback is not None and self.ranks.first and callback(self, row) is False
        return (
            mean_over(self.ranks, torch.tensor(float(told), device=self.device)).item() > 0
            if self.ranks.many
            else told
        )

    def _show(self, row: dict) -> None:
        """The row again, for TensorBoard."""
        if self._board is None:
            self._board = (
                tensorboard_writer(self.out / "tensorboard") if self.config.tensorboard else False
            )
        for name, value in row.items() if self._board else ():
            self._board.add_scalar(name, value, row["step"])


def train(
    data, out, *, config: str = "laptop", networks: dict | None = None, resume: bool = False, progress: bool = True,
    callback=None, **changes,
) -> Trainer:  # fmt: skip
    """Train on the corpus `data` in the run folder `out`. See `dsel train --help`.

    networks: fields of `ModelConfig` that are to differ from `config`; changes: of `TrainConfig`. Raises BadInput as `Trainer`.
    """
    settings, model = (
        TrainConfig.named(config, **changes),
        ModelConfig.named(config, **networks or {}),
    )
    trainer = Trainer(open_corpus(data), model, settings, out, resume=resume, progress=progress)
    trainer.fit(callback)
    leave()
    return trainer
