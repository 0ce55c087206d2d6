"""The trainer: one loop, short enough for a slide, in `Trainer.fit`.

A step is a pure function of (configuration, step number): which tracks, which windows and which augmentation are drawn from
the seed and the step. So a run can be killed at any moment and resumed from its last checkpoint as if nothing had happened.

    RUN/config.json     model and training configuration
    RUN/metrics.csv     one row every `log_every` steps
    RUN/checkpoint.pt   everything that `--resume` needs; replaced in one move
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from dsel import shipped
from dsel.augment import augment_faces, augment_sound
from dsel.corpus import Corpus, replace_text
from dsel.corpus import open as open_corpus
from dsel.errors import BadInput
from dsel.loading import LOADERS, Batch, Batches, make_batches  # noqa: F401  Batches is imported from here by others
from dsel.losses import BeyondLoss, DisentangledLoss, content_logits, identity_logits, pool, top1
from dsel.model import HEADS, ModelConfig, TwoStream

RELEASED = shipped.folder() / "models"


@dataclass(frozen=True)
class TrainConfig:
    """Everything that shapes a training, but for the networks.

    B tracks of N windows a step, and `extra` further tracks for the identity loss alone (one face window each).
    alpha_c, alpha_s, lam, similarity, confusion_scale, w0, w_max: see `dsel.losses.DisentangledLoss`; lam is reached
    linearly over the first `lam_warmup` steps, since confusion from the start keeps the heads from learning anything.
    within, reversal, intra: weights of the terms beyond the notes, see `dsel.losses.BeyondLoss`.
    optimiser 'adamw' (`warmup` steps, then a cosine down to 0) or 'sgd' (the authors': momentum 0.9, lr times 0.95 an epoch).
    distinct_speakers: no two tracks of one speaker in a batch, where speakers are known. The method does not know them.
    precision: 'float32', 'bfloat16' (autocast; distances and losses stay float32) or 'auto'.
    loader, workers: where clips are read and by how many processes, see `dsel.loading.make_batches`. The batches are the same.
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
    within: float = 0.0
    reversal: float = 0.0
    intra: float = 0.0
    augment: float = 0.5
    distinct_speakers: bool = False
    seed: int = 0
    log_every: int = 10
    save_every: int = 100
    device: str = "auto"
    precision: str = "auto"
    loader: str = "auto"
    workers: int = -1
    start_from: str | None = None

    @classmethod
    def laptop(cls, **changes) -> TrainConfig:
        """Minutes on two cores. (Source: ours.)"""
        return cls.checked(**changes)

    @classmethod
    def paper(cls, **changes) -> TrainConfig:
        """B = N = 30, SGD 1e-3 times 0.95 an epoch, no extras. (Source: notes, authors' code.)"""
        fixed = {
            "B": 30,
            "N": 30,
            "extra": 0,
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
        if config.optimiser not in ("adamw", "sgd"):
            raise BadInput(f"training config: optimiser {config.optimiser!r} must be adamw or sgd")
        if config.precision not in ("auto", "float32", "bfloat16"):
            raise BadInput(f"training config: precision {config.precision!r} must be auto, float32 or bfloat16")
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
    """

    def __init__(
        self, corpus: Corpus, model: ModelConfig, config: TrainConfig, out, *, resume: bool = False, progress: bool = True
    ):
        self.out, self.config, self.progress = Path(out), config, progress
        self._claim(model, resume)
        self.device = choose_device(config.device)
        self.batches = make_batches(corpus, config, model.face_size, progress=progress)
        torch.manual_seed(config.seed)
        self.model = TwoStream(model).to(self.device, memory_format=torch.channels_last)
        self.loss = make_loss(asdict(config), model.D).to(self.device)
        self.optimiser, self.scheduler = make_optimiser(self.model, self.loss, config, self.batches.steps_an_epoch)
        self.autocast = choose_precision(config.precision, self.device)
        self.step = 0
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
                coming = loader.submit(self.batches.at, self.step)
                while self.step < stop:
                    batch, coming = coming.result(), loader.submit(self.batches.at, self.step + 1)
                    parts = self.train_step(batch)
                    self.step += 1
                    bar.update()
                    if self.step % self.config.log_every == 0 or self.step == stop:
                        rows.append(self._log(parts, batch))
                        bar.set_postfix({name: f"{rows[-1][name]:.2f}" for name in ("content", "identity")})
                        if callback is not None and callback(self, rows[-1]) is False:
                            break
                    if self.step % self.config.save_every == 0:
                        self.save()
        except KeyboardInterrupt:
            tqdm.write(f"stopped at step {self.step}; go on with --resume")
        self.save()
        return rows

    def train_step(self, batch: Batch) -> dict[str, Tensor]:
        """One step on one batch. Returns the loss' parts and the accuracies, on the device."""
        self.model.train()
        self.loss.ramp = min(1.0, (self.step + 1) / max(1, self.config.lam_warmup))
        self.loss.lam = self.config.lam * self.loss.ramp
        embeddings = self.embed(batch)
        total, parts = self.loss(*embeddings)
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimiser.step()
        self.scheduler.step()
        self.loss.limit_()
        return {
            "loss": total.detach(),
            **{k: v.detach() for k, v in parts.items()},
            "gradient": norm,
            **self._accuracy(*embeddings),
        }

    def embed(self, batch: Batch) -> tuple[dict, dict, Tensor, tuple | None]:
        """A batch through both streams: what `DisentangledLoss` takes, in float32."""
        B, E = len(batch.faces), len(batch.extra_faces)
        draw = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.step)
        strength = self.config.augment
        faces, extra_faces, sound = (
            x.to(self.device, non_blocking=True) for x in (batch.faces, batch.extra_faces, batch.sound)
        )
        sound = augment_sound(sound.float() / 32767, draw, strength)
        with self.autocast():
            face = self.model.face(augment_faces(faces, draw, strength))
            audio = self.model.audio(sound)
            further = self.model.face(augment_faces(extra_faces, draw, strength), ("identity",)) if E else None
        face, audio = ({head: e[head].float() for head in HEADS} for e in (face, audio))
        extra = None
        if E:
            one = torch.zeros(E, dtype=torch.long, device=self.device)
            extra = pool(further["identity"].float(), audio["identity"][B:], one)
        return face, {head: e[:B] for head, e in audio.items()}, batch.pick.to(self.device), extra

    def save(self) -> None:
        """Write RUN/checkpoint.pt; at every moment the old one or the new one is there."""
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "loss": self.loss.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "config": {"model": self.model.config.to_dict(), "train": asdict(self.config)},
            "torch": str(torch.__version__),
        }
        part = self.out / f".checkpoint.{os.getpid()}.part"
        torch.save(state, part)
        os.replace(part, self.out / "checkpoint.pt")

    def _load(self) -> None:
        state = read_checkpoint(self.out)
        self.model.load_state_dict(state["model"])
        self.loss.load_state_dict(state["loss"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.step = state["step"]
        rows = read_metrics(self.out)
        if rows:  # what was logged after the checkpoint will be logged again
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
            _same_config(read_checkpoint(self.out)["config"], wanted, self.out)
        self.out.mkdir(parents=True, exist_ok=True)
        replace_text(self.out / "config.json", json.dumps(wanted, indent=1) + "\n")
        if not resume:
            (self.out / "metrics.csv").unlink(missing_ok=True)

    @torch.no_grad()
    def _accuracy(self, face: dict, audio: dict, pick: Tensor, extra) -> dict[str, Tensor]:
        content = content_logits(face["content"], audio["content"], self.loss.content_similarity)
        identity = identity_logits(face["identity"], audio["identity"], self.loss.identity_similarity, pick)
        spread = torch.nn.functional.normalize(audio["identity"], dim=-1).mean((0, 1)).norm()
        return {"content_top1": top1(content), "identity_top1": top1(identity), "cone": spread}

    def _log(self, parts: dict[str, Tensor], batch: Batch) -> dict:
        row = {"step": self.step, "time": round(time.time(), 2), **{name: value.item() for name, value in parts.items()}}
        row |= {"lr": self.optimiser.param_groups[0]["lr"], **self.loss.scales()}
        if not math.isfinite(row["loss"]):
            (self.out / "bad_batch.json").write_text(json.dumps({"step": self.step, "tracks": [t.id for t in batch.tracks]}))
            raise BadInput(
                f"{self.out}: loss is {row['loss']} at step {self.step}; its tracks are in bad_batch.json; lower lr?"
            )
        _append_row(self.out / "metrics.csv", row)
        return row


def train(
    data, out, *, config: str = "laptop", resume: bool = False, progress: bool = True, callback=None, **changes
) -> Trainer:
    """Train on the corpus `data` in the run folder `out`. `changes` are fields of `TrainConfig`. See `dsel train --help`."""
    settings = TrainConfig.named(config, **changes)
    trainer = Trainer(open_corpus(data), ModelConfig.named(config), settings, out, resume=resume, progress=progress)
    trainer.fit(callback)
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


def read_checkpoint(run) -> dict:
    """RUN/checkpoint.pt as a dict. Only tensors and plain values are ever loaded from it."""
    path = Path(run) / "checkpoint.pt"
    if not path.is_file():
        raise BadInput(f"{path}: no checkpoint; train one with 'dsel train --data DIR --out {run}'")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, OSError, pickle.UnpicklingError) as error:
        raise BadInput(f"{path}: not a dsel checkpoint ({type(error).__name__}); train again") from error


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
        return [{k: int(v) if k == "step" else float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def choose_device(name: str = "auto") -> torch.device:
    """'auto': a CUDA GPU, else Apple's, else the CPU; any other name is torch's."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_precision(name: str, device: torch.device):
    """A function that makes the autocast context. 'auto' is bfloat16 where hardware multiplies it faster."""
    if name == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
        name = "bfloat16" if fast or (device.type == "cpu" and _cpu_has_bf16()) else "float32"
    if name == "float32":
        return nullcontext
    return lambda: torch.autocast(device.type, dtype=torch.bfloat16)


def make_optimiser(model: TwoStream, loss: DisentangledLoss, config: TrainConfig, steps_an_epoch: int):
    """The optimiser over networks and scales, and its schedule. Scales, biases and norms are not decayed."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1] + list(loss.parameters())
    groups = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    if config.optimiser == "sgd":
        optimiser = torch.optim.SGD(groups, lr=config.lr, momentum=0.9, weight_decay=config.weight_decay)
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


def _cpu_has_bf16() -> bool:
    probe = getattr(torch.cpu, "_is_amx_tile_supported", None)  # the one CPU unit that is much faster in bfloat16
    return bool(probe and probe())


def _same_config(saved: dict, wanted: dict, out: Path) -> None:
    free = {"device", "log_every", "save_every", "loader", "workers"}  # may differ between a run and its resumption
    flat = [{f"{part}.{key}": value for part in c for key, value in c[part].items()} for c in (saved, wanted)]
    plain = [json.loads(json.dumps(c)) for c in flat]
    differ = [key for key in plain[1] if plain[0].get(key) != plain[1][key] and key.split(".")[1] not in free]
    if differ:
        what = "; ".join(f"{key} was {_short(plain[0].get(key))}, now {_short(plain[1][key])}" for key in differ)
        raise BadInput(f"{out}: the checkpoint has another configuration: {what}")


def _short(value) -> str:
    text = str(value)
    return text if len(text) < 40 else text[:37] + "..."


def _append_row(path: Path, row: dict) -> None:
    new = not path.is_file()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def _write_rows(path: Path, rows: list[dict]) -> None:
    path.unlink()
    for row in rows:
        _append_row(path, row)
