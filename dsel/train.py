"""The trainer: one loop, short enough for a slide, in `Trainer.fit`.

A step is a pure function of (configuration, step number): which tracks, which windows and which augmentation are drawn from
the seed and the step. So a run can be killed at any moment and resumed from its last checkpoint as if nothing had happened.
Nothing in a step waits for the device: figures add up there and come back with every logged row.

    RUN/config.json     model and training configuration
    RUN/metrics.csv     one row every `log_every` steps: means over the steps since the row before
    RUN/checkpoint.pt   everything that `--resume` needs, see `dsel.checkpoint`
    RUN/tensorboard/    the rows again, if TensorBoard is installed
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import platform
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

import dsel
from dsel import shipped
from dsel.augment import augment_faces, augment_sound
from dsel.checkpoint import clean, read_checkpoint, same_config, write_checkpoint
from dsel.corpus import Corpus, replace_text
from dsel.corpus import open as open_corpus
from dsel.device import choose_compile, choose_device, choose_precision, keep_memory
from dsel.distributed import Ranks, gather, in_turn, join, leave, mean_over, parallel, synchronise
from dsel.errors import BadInput
from dsel.loading import LOADERS, Batch, Batches, make_batches
from dsel.losses import BeyondLoss, DisentangledLoss, content_logits, identity_logits, top1
from dsel.model import HEADS, ModelConfig, TwoStream

AHEAD = 2  # batches read while a step is computed
CONE, SPREAD = 0.99, 1e-3  # beyond these the embeddings count as collapsed

RELEASED = shipped.folder() / "models"


@dataclass(frozen=True)
class TrainConfig:
    """Everything that shapes a training, but for the networks.

    B tracks of N windows a step (of each process, where there are several), and `extra` further tracks for the identity loss
    alone (one face window each).
    alpha_c, alpha_s, lam, similarity, confusion_scale, w0, w_max: see `dsel.losses.DisentangledLoss`; lam is reached
    linearly over the first `lam_warmup` steps, since confusion from the start keeps the heads from learning anything.
    within, reversal, intra: weights of the terms beyond the notes, see `dsel.losses.BeyondLoss`; within = 0: the notes alone.
    optimiser 'adamw' (`warmup` steps, then a cosine down to 0) or 'sgd' (the authors': momentum 0.9, lr times 0.95 an epoch).
    distinct_speakers: no two tracks of one speaker in a batch, where speakers are known. The method does not know them.
    precision: 'float32', 'bfloat16' (autocast; distances and losses stay float32) or 'auto'.
    compile: 'on', 'off' or 'auto' (torch.compile of the trunks and heads, on a CUDA GPU).
    keep: how many checkpoints stay. tensorboard: write the rows for it too, if it is installed.
    loader, workers: where clips are read and by how many processes, see `dsel.loading.make_batches`. The batches are the same.
    redraw: draw the faces of a toy corpus anew at every draw: endless pictures, at 20 ms of a core for each track of a step.
    start_from: a run whose networks and scales this one begins with (fine-tuning); None: random ones.
    """

    B: int = 16
    N: int = 16
    extra: int = 64
    steps: int = 650
    optimiser: str = "adamw"
    lr: float = 1e-3
    warmup: int = 30
    weight_decay: float = 1e-2
    clip: float = 10.0
    alpha_c: float = 1.0
    alpha_s: float = 1.0
    lam: float = 1.0
    lam_warmup: int = 200
    similarity: str = "cosine"
    confusion_scale: str = "detached"
    w0: float = 10.0
    w_max: float | None = 20.0
    within: float = 1.0
    reversal: float = 0.0
    intra: float = 0.0
    augment: float = 0.5
    distinct_speakers: bool = False
    seed: int = 0
    log_every: int = 10
    save_every: int = 100
    device: str = "auto"
    precision: str = "auto"
    compile: str = "auto"
    keep: int = 3
    tensorboard: bool = True
    loader: str = "auto"
    redraw: bool = False
    workers: int = -1
    start_from: str | None = None

    @classmethod
    def laptop(cls, **changes) -> TrainConfig:
        """Minutes on two cores. (Source: ours.)"""
        return cls.checked(**changes)

    @classmethod
    def paper(cls, **changes) -> TrainConfig:
        """B = N = 30, SGD 1e-3 times 0.95 an epoch, no extras, the notes' four terms. (Source: notes, authors' code.)"""
        fixed = {
            "B": 30,
            "N": 30,
            "extra": 0,
            "within": 0.0,
            "optimiser": "sgd",
            "lr": 1e-3,
            "warmup": 0,
            "weight_decay": 1e-5,
            "steps": 500_000,
        }
        return cls.checked(**{**fixed, "save_every": 1000, **changes})

    @classmethod
    def named(cls, name: str, **changes) -> TrainConfig:
        """'laptop' or 'paper', with changes. Raises BadInput for another name or an unknown key."""
        if name not in ("laptop", "paper"):
            raise BadInput(f"config {name!r}: must be laptop or paper")
        return getattr(cls, name)(**changes)

    @classmethod
    def checked(cls, **values) -> TrainConfig:
        """Like the constructor, but an unknown key or an impossible value is a BadInput that says which."""
        known = {field.name for field in fields(cls)}
        if set(values) - known:
            raise BadInput(f"training config: unknown key {min(set(values) - known)!r}; known are {', '.join(sorted(known))}")
        config = cls(**values)
        if min(config.B, config.N, config.steps) < 1 or config.extra < 0:
            raise BadInput("training config: B, N and steps must be at least 1, and extra at least 0")
        if config.B * config.N == 1 or config.extra == 1:
            raise BadInput("training config: BatchNorm needs two windows at least; raise B, N or extra (which may also be 0)")
        if config.within and config.N < 2:
            raise BadInput("training config: within compares the windows of a track; raise N, or set within=0")
        if config.optimiser not in ("adamw", "sgd"):
            raise BadInput(f"training config: optimiser {config.optimiser!r} must be adamw or sgd")
        if config.precision not in ("auto", "float32", "bfloat16"):
            raise BadInput(f"training config: precision {config.precision!r} must be auto, float32 or bfloat16")
        if config.compile not in ("auto", "on", "off"):
            raise BadInput(f"training config: compile {config.compile!r} must be auto, on or off")
        if config.keep < 1:
            raise BadInput("training config: keep must be at least 1")
        if config.loader not in LOADERS:
            raise BadInput(f"training config: loader {config.loader!r} must be one of {', '.join(LOADERS)}")
        return config


class Trainer:
    """Trains a `TwoStream` on a corpus, in a run folder.

    Args:
        corpus: its 'train' split is used.
        out: the run folder.
        resume: go on from RUN/checkpoint.pt.
    Raises:
        BadInput: no training tracks, a folder that already holds a run, nothing to resume, or another configuration in it.
    Started by torchrun, it is one of several (see `dsel.distributed`); the first of them writes.
    """

    def __init__(
        self, corpus: Corpus, model: ModelConfig, config: TrainConfig, out, *, resume: bool = False, progress: bool = True
    ):
        self.ranks, self.device = join(config.device)
        self.out, self.config, self.progress = Path(out), config, progress and self.ranks.first
        self._claim(model, resume)
        self.batches = in_turn(self.ranks, lambda: self._batches(corpus, model.face_size))
        torch.manual_seed(config.seed)
        self.model = TwoStream(model).to(self.device, memory_format=torch.channels_last)
        self.loss = make_loss(asdict(config), model.D).to(self.device)
        if self.ranks.many:
            self.model = synchronise(self.model, self.device)
        if self.device.type == "cpu":
            keep_memory()
        if choose_compile(config.compile, self.device):
            compile_(self.model)
        self.objective = parallel(Objective(self.model, self.loss, self.embed, self.ranks), self.ranks, self.device)
        self.optimiser, self.scheduler = make_optimiser(self.model, self.loss, config, self.batches.steps_an_epoch)
        self.autocast = choose_precision(config.precision, self.device)
        self.step, self.running, self.recent, self.best = 0, Running(), Running(), math.inf
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
        bar = tqdm(total=self.config.steps, initial=self.step, desc="training", disable=not self.progress, unit="step")
        try:
            with ThreadPoolExecutor(1) as loader, bar:
                coming = deque(loader.submit(self._read, step) for step in range(self.step, min(self.step + AHEAD, stop)))
                while self.step < stop:
                    batch = coming.popleft().result()
                    if self.step + AHEAD < stop:
                        coming.append(loader.submit(self._read, self.step + AHEAD))
                    self.running.add(self.train_step(batch), self.step)
                    self.step += 1
                    bar.update()
                    if self.step % self.config.log_every == 0 or self.step == stop:
                        rows.append(self._log())
                        bar.set_postfix({name: f"{rows[-1][name]:.2f}" for name in ("content", "identity")})
                        if self._told_to_stop(callback, rows[-1]):
                            break
                    if self.step % self.config.save_every == 0:
                        self.save()
        except KeyboardInterrupt:
            tqdm.write(f"stopped at step {self.step}; go on with --resume")
        self.save()
        return rows

    def train_step(self, batch: Batch) -> dict[str, Tensor]:
        """One step on one batch. Returns the loss' parts, the accuracies and the state of the embeddings, on the device."""
        self.model.train()
        self.loss.ramp = min(1.0, (self.step + 1) / max(1, self.config.lam_warmup))
        self.loss.lam = self.config.lam * self.loss.ramp
        total, parts, embeddings = self.objective(batch)
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimiser.step()
        self.scheduler.step()
        self.loss.limit_()
        found = {"loss": total, **parts, "gradient": norm, **self._accuracy(*embeddings)}
        return {name: value.detach() for name, value in found.items()}

    def embed(self, batch: Batch) -> tuple[dict, dict, Tensor, tuple | None]:
        """A batch through both streams: what `DisentangledLoss` takes, in float32."""
        B, E = len(batch.faces), len(batch.extra_faces)
        draw = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.step)
        strength, (first, further) = self.config.augment, self._shares(B, E)
        faces, extra_faces, sound, pick = (
            x.to(self.device, non_blocking=True) for x in (batch.faces, batch.extra_faces, batch.sound, batch.pick)
        )
        whole = self.ranks.world * (B + E), torch.cat([first, self.ranks.world * B + further])
        sound = augment_sound(sound.float() / 32767, draw, strength, whole)
        faces = augment_faces(faces, draw, strength, (self.ranks.world * B, first))
        with self.autocast():
            face, audio = self.model.face(faces), self.model.audio(sound)
            extra = None
            if E:
                extra_faces = augment_faces(extra_faces, draw, strength, (self.ranks.world * E, further))
                extra = self.model.face(extra_faces, ("identity",))["identity"]
        face, audio = ({head: e[head].float() for head in HEADS} for e in (face, audio))
        if E:
            extra = extra[:, 0].float(), audio["identity"][B:].mean(dim=1)  # one face window against the mean audio
        return face, {head: e[:B] for head, e in audio.items()}, pick, extra

    def save(self) -> None:
        """Write a checkpoint, unless the weights are no numbers; at every moment the old one or the new one is there.

        'Best' is the lowest alpha_c L_content + alpha_s L_identity, averaged over the training steps since the last
        checkpoint: the method has no labels to validate by, and the confusion terms grow while lam does. (Ours.)
        """
        self._stop_if_not_finite(self.running.read())
        since = self.recent.merged(self.running).read()
        matching = sum(
            getattr(self.config, f"alpha_{k}") * since.get(name, 0) for k, name in (("c", "content"), ("s", "identity"))
        )
        best = bool(since) and matching < self.best
        self.best = min(self.best, matching) if since else self.best
        self.recent = Running()
        if not self.ranks.first:
            return
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "loss": self.loss.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "position": {"epoch": self.step // self.batches.steps_an_epoch, "step": self.step, "processes": self.ranks.world},
            "random": {"torch": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
            "running": self.running.state_dict(),
            "best": self.best,
            "config": {"model": self.model.config.to_dict(), "train": asdict(self.config)},
            "versions": {"dsel": dsel.__version__, "torch": str(torch.__version__), "python": platform.python_version()},
        }
        write_checkpoint(self.out, state, keep=self.config.keep, best=best)

    def _load(self) -> None:
        state = read_checkpoint(self.out)
        self.model.load_state_dict(state["model"])
        self.loss.load_state_dict(state["loss"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.step, self.best = state["step"], state.get("best", math.inf)
        self.running.load_state_dict(state.get("running"), self.device)
        if "random" in state:
            torch.set_rng_state(state["random"]["torch"])
            if len(state["random"]["cuda"]) == torch.cuda.device_count():
                torch.cuda.set_rng_state_all(state["random"]["cuda"])
        rows = read_metrics(self.out)
        if rows and self.ranks.first:  # what was logged after the checkpoint will be logged again
            _write_rows(self.out / "metrics.csv", [row for row in rows if row["step"] <= self.step])

    def _begin_with(self, run) -> None:
        """Take networks and scales of another run; optimiser and schedule begin anew."""
        state = read_checkpoint(run)
        if ModelConfig.from_dict(state["config"]["model"]) != self.model.config:
            raise BadInput(f"{run}: its networks have another shape than these; start from a run of the same kind")
        self.model.load_state_dict(state["model"])
        if state["config"]["train"]["similarity"] == self.config.similarity:
            self.loss.load_state_dict(state["loss"])

    def _claim(self, model: ModelConfig, resume: bool) -> None:
        """Make the run folder ours, or say why it cannot be."""
        held = (self.out / "checkpoint.pt").is_file()
        if held and not resume:
            raise BadInput(f"{self.out}: already holds a run; use --resume to go on with it, or another folder")
        if resume and not held:
            raise BadInput(f"{self.out}: nothing to resume (no checkpoint.pt); train without --resume first")
        wanted = {"model": model.to_dict(), "train": asdict(self.config)}
        if resume:
            state = read_checkpoint(self.out)
            before = state.get("position", {}).get("processes", 1)
            same_config(state["config"], wanted, self.out, (before, self.ranks.world))
        if not self.ranks.first:
            return
        self.out.mkdir(parents=True, exist_ok=True)
        clean(self.out)
        replace_text(self.out / "config.json", json.dumps(wanted, indent=1) + "\n")
        if not resume:
            (self.out / "metrics.csv").unlink(missing_ok=True)

    def _batches(self, corpus: Corpus, size: int) -> Batches:
        ranks = self.ranks
        return make_batches(corpus, self.config, size, rank=ranks.rank, world=ranks.world, progress=self.progress)

    def _read(self, step: int) -> Batch:
        """The batch of a step, in memory that a GPU can fetch by itself."""
        batch = self.batches.at(step)
        if self.device.type != "cuda":
            return batch
        tensors = {field.name: getattr(batch, field.name) for field in fields(batch)}
        return replace(batch, **{name: x.pin_memory() for name, x in tensors.items() if isinstance(x, Tensor)})

    def _shares(self, B: int, E: int) -> tuple[Tensor, Tensor]:
        """Which of all processes' tracks, and of their extra ones, are this process': (B,), (E,)."""
        return self.ranks.rank * B + torch.arange(B), self.ranks.rank * E + torch.arange(E)

    @torch.no_grad()
    def _accuracy(self, face: dict, audio: dict, pick: Tensor, extra) -> dict[str, Tensor]:
        """Top-1 of both tasks within this process; how narrow a cone the audio identity embeddings form (the length of
        their mean direction; its square is the mean pairwise cosine), and the smallest spread (standard deviation over
        windows) of the four kinds of embeddings."""
        content = content_logits(face["content"], audio["content"], self.loss.content_similarity)
        identity = identity_logits(face["identity"], audio["identity"], self.loss.identity_similarity, pick)
        cone = nn.functional.normalize(audio["identity"], dim=-1).mean((0, 1)).norm()
        spread = torch.stack([e.flatten(0, 1).std(0).mean() for stream in (face, audio) for e in stream.values()]).min()
        return {"content_top1": top1(content), "identity_top1": top1(identity), "cone": cone, "spread": spread}

    def _log(self) -> dict:
        """The means since the last row, as a row. The one place of the loop that waits for the device."""
        self.running = self.running.shared(self.ranks)
        found = self.running.read()
        self._stop_if_not_finite(found)
        row = {"step": self.step, "time": round(time.time(), 2), **found}
        row |= {"lr": self.optimiser.param_groups[0]["lr"], **self.loss.scales()}
        self.recent, self.running = self.recent.merged(self.running), Running()
        if (row["cone"] > CONE or row["spread"] < SPREAD) and not self._warned and self.ranks.first:
            self._warned = True
            tqdm.write(
                f"step {self.step}: the embeddings collapse (mean pairwise cosine {row['cone'] ** 2:.3f}, spread "
                f"{row['spread']:.2g}); lower lam, or raise lam_warmup"
            )
        if self.ranks.first:
            _append_row(self.out / "metrics.csv", row)
            self._show(row)
        return row

    def _stop_if_not_finite(self, found: dict) -> None:
        bad = self.running.first_bad()
        if bad < 0:
            return
        tracks = [track.id for track in self.batches.at(bad).tracks]
        name = f"bad_batch{self.ranks.rank or ''}.json"
        replace_text(self.out / name, json.dumps({"step": bad + 1, "tracks": tracks}) + "\n")
        raise BadInput(f"{self.out}: loss is {found['loss']} at step {bad + 1}; its tracks are in {name}; lower lr?")

    def _told_to_stop(self, callback, row: dict) -> bool:
        """What the callback of the first process says, to all of them."""
        told = callback is not None and self.ranks.first and callback(self, row) is False
        return mean_over(self.ranks, torch.tensor(float(told), device=self.device)).item() > 0 if self.ranks.many else told

    def _show(self, row: dict) -> None:
        """The row again, for TensorBoard."""
        if self._board is None:
            self._board = _tensorboard(self.out / "tensorboard") if self.config.tensorboard else False
        for name, value in row.items() if self._board else ():
            self._board.add_scalar(name, value, row["step"])


class Objective(nn.Module):
    """What is differentiated: batch -> total loss, its parts, the embeddings. One module, for DistributedDataParallel."""

    def __init__(self, model: TwoStream, loss: DisentangledLoss, embed, ranks: Ranks):
        super().__init__()
        self.model, self.loss, self.embed = model, loss, embed
        self.gather = gather if ranks.many else None

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor], tuple]:
        embeddings = self.embed(batch)
        return *self.loss(*embeddings, gather=self.gather), embeddings


class Running:
    """Sums of figures of several steps, kept on the device until `read`; and the first step whose loss is no number."""

    def __init__(self):
        self.names, self.sums, self.count, self.bad = [], None, 0, None

    def add(self, found: dict[str, Tensor], step: int) -> None:
        """Add the scalars of a step, 'loss' among them."""
        values = torch.stack([value.float() for value in found.values()])
        fine = torch.isfinite(found["loss"])
        before = torch.full_like(fine, -1, dtype=torch.int64) if self.bad is None else self.bad
        self.bad = torch.where(fine | (before >= 0), before, step)
        self.names, self.sums = list(found), values if self.sums is None else self.sums + values
        self.count += 1

    def read(self) -> dict[str, float]:
        """The means by name; empty if nothing was added. Waits for the device."""
        return {} if self.sums is None else dict(zip(self.names, (self.sums / self.count).tolist(), strict=True))

    def first_bad(self) -> int:
        """The first step whose loss was no number; -1 if there was none. Waits for the device."""
        return -1 if self.bad is None else int(self.bad)

    def merged(self, other: Running) -> Running:
        """The sums of both."""
        if other.sums is None or self.sums is None:
            return other if self.sums is None else self
        both = Running()
        both.names, both.sums, both.count, both.bad = self.names, self.sums + other.sums, self.count + other.count, other.bad
        return both

    def shared(self, ranks: Ranks) -> Running:
        """With the sums averaged over all processes."""
        if ranks.many and self.sums is not None:
            self.sums = mean_over(ranks, self.sums)
        return self

    def state_dict(self) -> dict:
        return {"names": self.names, "sums": self.sums, "count": self.count}

    def load_state_dict(self, state: dict | None, device: torch.device) -> None:
        if state and state["sums"] is not None:
            self.names, self.sums, self.count = state["names"], state["sums"].to(device), state["count"]


def train(
    data, out, *, config: str = "laptop", networks: dict | None = None, resume: bool = False, progress: bool = True,
    callback=None, **changes,
) -> Trainer:  # fmt: skip
    """Train on the corpus `data` in the run folder `out`. See `dsel train --help`.

    networks: fields of `ModelConfig` that are to differ from `config`; changes: of `TrainConfig`. Raises BadInput as `Trainer`.
    """
    settings, model = TrainConfig.named(config, **changes), ModelConfig.named(config, **networks or {})
    trainer = Trainer(open_corpus(data), model, settings, out, resume=resume, progress=progress)
    trainer.fit(callback)
    leave()
    return trainer


def load_model(run, device: str = "auto") -> TwoStream:
    """The trained networks of a run folder, in evaluation mode. Raises BadInput if there is no checkpoint."""
    state = read_checkpoint(run)
    model = TwoStream(ModelConfig.from_dict(state["config"]["model"]))
    model.load_state_dict(state["model"])
    return model.to(choose_device(device)).eval()


def load_loss(run) -> DisentangledLoss:
    """The loss of a run with its learnt scales, e.g. to show the similarities it was trained with."""
    state = read_checkpoint(run)
    loss = make_loss(state["config"]["train"], state["config"]["model"]["D"])
    loss.load_state_dict(state["loss"])
    return loss


def make_loss(settings: dict, D: int) -> DisentangledLoss:
    """The loss that these fields of `TrainConfig` describe, for embeddings of D numbers."""
    names = ("alpha_c", "alpha_s", "lam", "similarity", "confusion_scale", "w0", "w_max")
    options = {name: settings[name] for name in names}
    further = {name: settings[name] for name in ("within", "reversal", "intra") if settings.get(name)}
    return BeyondLoss(**further, D=D, **options) if further else DisentangledLoss(**options)


def release(run, out) -> Path:
    """Write what one needs to use a run's networks, and no more: weights in half precision and configuration to `out` (.pt).

    Beside it goes its card (.json): the hash, how and on what it was trained, and the figures of RUN/evaluation.json.
    Raises BadInput for a run without checkpoint or evaluation.
    """
    state, out = read_checkpoint(run), Path(out)
    judged = Path(run) / "evaluation.json"
    if not judged.is_file():
        raise BadInput(f"{judged}: missing; run 'dsel evaluate {run} --data DIR' first, a released model needs its figures")
    halves = {name: value.half() if value.is_floating_point() else value for name, value in state["model"].items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    torch.save({"model": halves, "loss": state["loss"], "config": state["config"], "step": state["step"]}, part)
    os.replace(part, out)
    card = {"sha256": hashlib.sha256(out.read_bytes()).hexdigest(), "train": state["config"]["train"], "step": state["step"]}
    card |= {"evaluation": json.loads(judged.read_text())}
    replace_text(out.with_suffix(".json"), json.dumps(card, indent=1) + "\n")
    return out


def load_released(name: str, device: str = "cpu") -> TwoStream:
    """The networks in data/models/<name>.pt. Raises BadInput for a name that is not there."""
    path = RELEASED / f"{name}.pt"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in RELEASED.glob("*.pt"))) or "none"
        raise BadInput(f"{path}: no such released model; known are {known}")
    state = torch.load(path, map_location="cpu", weights_only=True)
    model = TwoStream(ModelConfig.from_dict(state["config"]["model"]))
    model.load_state_dict(state["model"])  # into float32
    return model.to(choose_device(device)).eval()


def read_metrics(run) -> list[dict]:
    """The rows of RUN/metrics.csv as numbers; empty if nothing was logged."""
    path = Path(run) / "metrics.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        whole = [row for row in csv.DictReader(file) if None not in row.values()]  # a kill may have cut the last one
    return [{k: int(v) if k == "step" else float(v) for k, v in row.items()} for row in whole]


def compile_(model: TwoStream) -> None:
    """Have torch.compile fuse the layers of trunks and heads, for the shapes they first meet; names of weights stay."""
    for part in (model.face_trunk, model.audio_trunk, *model.face_heads.values(), *model.audio_heads.values()):
        part.compile(dynamic=False)


def make_optimiser(model: TwoStream, loss: DisentangledLoss, config: TrainConfig, steps_an_epoch: int):
    """The optimiser over networks and scales, and its schedule. Scales, biases and norms are not decayed."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1] + list(loss.parameters())
    groups = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    if config.optimiser == "sgd":
        optimiser = torch.optim.SGD(groups, lr=config.lr, momentum=0.9, weight_decay=config.weight_decay, fused=True)
        return optimiser, torch.optim.lr_scheduler.StepLR(optimiser, steps_an_epoch, gamma=0.95)
    optimiser = torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=True)
    return optimiser, torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: warmup_cosine(step, config.warmup, config.steps)
    )


def warmup_cosine(step: int, warmup: int, steps: int) -> float:
    """Factor on the learning rate: linear up over `warmup` steps, then half a cosine down to 0 at `steps`."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))


def _tensorboard(folder: Path):
    """A writer of scalars, or False where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return False
    return SummaryWriter(str(folder))


def _append_row(path: Path, row: dict) -> None:
    """One more line, in one piece."""
    text = _as_csv([row], header=not path.is_file())
    with path.open("a", newline="") as file:
        file.write(text)


def _write_rows(path: Path, rows: list[dict]) -> None:
    replace_text(path, _as_csv(rows, header=True) if rows else "")


def _as_csv(rows: list[dict], header: bool) -> str:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()
