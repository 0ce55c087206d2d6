"""Our training step against a plain one, written by us after the authors' loop as the method's
description has it.

    python benchmarks/step.py [--config laptop|paper] [--B 16] [--N 16] [--extra 64] [--rounds 7]

Plain: float32, Conv3d and contiguous tensors in the face stream, heads as convolutions, a Python
loop over tracks in the content task, the accuracy moved to the host at every step, an optimiser
that is not fused. Ours: `Trainer.train_step`. Both get the same weights and the same batch, without
augmentation, and step in turn; medians are compared. On a GPU also the tracks a second, the memory,
and the share of the bf16 rate that one large matrix product reaches.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsel.corpus import Track
from dsel.model import HEADS, ModelConfig, TwoStream
from dsel.timing import SAMPLES_PER_FRAME, frames_for
from dsel.train import TrainConfig, Trainer
from dsel.train.batches import Batch
from dsel.utils import markdown

SMALL = {"laptop": (16, 16, 64), "paper": (2, 6, 0)}  # B, N, extra on a CPU
LARGE = {"laptop": (64, 16, 256), "paper": (30, 30, 0)}  # on a GPU


class PlainTwoStream(nn.Module):
    """The two streams of a `TwoStream`, with its weights, as one would first write them."""

    def __init__(self, model: TwoStream):
        super().__init__()
        self.grey, self.front_end = model.config.grey, model.front_end
        self.face_trunk = nn.Sequential(*self._three_dimensional(model.face_trunk.layers))
        self.audio_trunk = nn.Sequential(*self._two_dimensional(model.audio_trunk.layers))
        self.heads = nn.ModuleDict(
            {
                f"{stream}_{head}": self._head(getattr(model, f"{stream}_heads")[head])
                for stream in ("face", "audio")
                for head in HEADS
            }
        )

    def face(self, frames: Tensor, heads=HEADS) -> dict[str, Tensor]:
        """(B, T, H, W, 3) -> (B, N, D) a head: one 3-d convolution after the other."""
        x = frames.float() / 255
        if self.grey:
            x = (x * x.new_tensor([0.299, 0.587, 0.114])).sum(-1, keepdim=True)
        x = ((x - 0.45) / 0.25).permute(0, 4, 1, 2, 3)  # (B, C, T, H, W)
        x = self.face_trunk(x)[:, :, :, 0, 0]  # (B, C, N)
        return {head: self.heads[f"face_{head}"](x).transpose(1, 2) for head in heads}

    def audio(self, waveform: Tensor) -> dict[str, Tensor]:
        """(B, 640 T) -> (B, N, D) a head."""
        x = self.audio_trunk(self.front_end(waveform)[:, None])[:, :, 0]
        return {head: self.heads[f"audio_{head}"](x).transpose(1, 2) for head in HEADS}

    @staticmethod
    def _three_dimensional(layers) -> list[nn.Module]:
        found = []
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                frames = 1 if found else 5
                into = layer.in_channels // frames
                conv = nn.Conv3d(
                    into,
                    layer.out_channels,
                    (frames, *layer.kernel_size),
                    (1, *layer.stride),
                    (0, *layer.padding),
                    bias=False,
                )
                weight = (
                    layer.weight.detach().unflatten(1, (frames, into)).transpose(1, 2)
                )  # (out, colour, time, height, width)
                conv.weight = nn.Parameter(weight.contiguous().clone())
                found.append(conv)
            elif isinstance(layer, nn.BatchNorm2d):
                found += [nn.BatchNorm3d(layer.num_features), nn.ReLU()]
            elif isinstance(layer, nn.MaxPool2d):
                kernel, stride, pad = (
                    _pair(x)
                    for x in (layer.kernel_size, layer.stride or layer.kernel_size, layer.padding)
                )
                found.append(nn.MaxPool3d((1, *kernel), (1, *stride), (0, *pad)))
        return found

    @staticmethod
    def _two_dimensional(layers) -> list[nn.Module]:
        found = []
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                conv = nn.Conv2d(
                    layer.in_channels,
                    layer.out_channels,
                    layer.kernel_size,
                    layer.stride,
                    layer.padding,
                    bias=False,
                )
                conv.weight = nn.Parameter(layer.weight.detach().contiguous().clone())
                found.append(conv)
            elif isinstance(layer, nn.BatchNorm2d):
                found += [nn.BatchNorm2d(layer.num_features), nn.ReLU()]
            elif isinstance(layer, nn.MaxPool2d):
                found.append(nn.MaxPool2d(layer.kernel_size, layer.stride, layer.padding))
        return found

    @staticmethod
    def _head(head: nn.Sequential) -> nn.Sequential:
        first, norm, _, last = head
        plain = nn.Sequential(
            nn.Conv1d(first.in_channels, first.out_channels, 1, bias=False),
            nn.BatchNorm1d(norm.num_features),
            nn.ReLU(),
            nn.Conv1d(last.in_channels, last.out_channels, 1),
        )
        plain.load_state_dict(head.state_dict())
        return plain


class PlainStep:
    """One step of the plain loop on the networks and scales of a `Trainer`."""

    def __init__(self, trainer: Trainer):
        self.config, self.device = trainer.config, trainer.device
        self.model = PlainTwoStream(trainer.model).to(self.device)
        self.log_w = nn.ParameterDict(
            {
                head: nn.Parameter(
                    getattr(trainer.loss, f"{head}_similarity").log_w.detach().clone()
                )
                for head in HEADS
            }
        ).to(self.device)
        parameters = [*self.model.parameters(), *self.log_w.parameters()]
        config = self.config
        if config.optimiser == "sgd":
            self.optimiser = torch.optim.SGD(
                parameters, lr=config.lr, momentum=0.9, weight_decay=config.weight_decay
            )
        else:
            self.optimiser = torch.optim.AdamW(
                parameters, lr=config.lr / config.warmup, weight_decay=config.weight_decay
            )

    def __call__(self, batch: Batch, lam: float) -> float:
        """Returns the loss."""
        self.model.train()
        B, E = len(batch.faces), len(batch.extra_faces)
        face = self.model.face(batch.faces.to(self.device))
        audio = self.model.audio(batch.sound.to(self.device).float() / 32767)
        windows, means = self._pooled(face, audio, batch.pick.tolist(), "identity")
        if E:
            further = self.model.face(batch.extra_faces.to(self.device), ("identity",))["identity"]
            windows, means = (
                torch.cat([windows, further[:, 0]]),
                torch.cat([means, audio["identity"][B:].mean(1)]),
            )
        where = torch.arange(B + E, device=self.device)
        logits = self._cosines(windows, means) * self.log_w["identity"].exp()
        identity = F.cross_entropy(logits, where)
        right = (logits[:B, :B].argmax(1) == where[:B]).float().mean().item()  # the host waits here
        windows, means = self._pooled(face, audio, batch.pick.tolist(), "content")
        confusion = (
            -(self._cosines(windows, means) * self.log_w["identity"].exp().detach())
            .log_softmax(1)
            .mean()
        )
        content, N = 0.0, face["content"].shape[1]
        for i in range(B):
            own = (
                self._cosines(face["content"][i], audio["content"][i]) * self.log_w["content"].exp()
            )
            content = content + F.cross_entropy(own, torch.arange(N, device=self.device)) / B
            right += (
                (own.argmax(1) == torch.arange(N, device=self.device)).float().mean().item()
            )  # and here
            other = (
                self._cosines(face["identity"][i], audio["identity"][i])
                * self.log_w["content"].exp().detach()
            )
            confusion = confusion - other.log_softmax(1).mean() / B
        loss = content + identity + lam * confusion
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimiser.step()
        return loss.item()

    @staticmethod
    def _cosines(x: Tensor, y: Tensor) -> Tensor:
        """Every x against every y: (K, D), (M, D) -> (K, M), by expanded copies."""
        K, M = len(x), len(y)
        return F.cosine_similarity(x[:, None].expand(K, M, -1), y[None].expand(K, M, -1), dim=2)

    @staticmethod
    def _pooled(face: dict, audio: dict, pick: list[int], head: str) -> tuple[Tensor, Tensor]:
        windows = torch.stack([face[head][i, r] for i, r in enumerate(pick)])
        return windows, torch.stack([audio[head][i].mean(0) for i in range(len(pick))])


class Noise:
    """Stands for a corpus: tracks of random pictures and sound, held in memory."""

    path, shards = Path("noise"), None

    def __init__(self, tracks: int, frames: int):
        self.tracks = [Track(str(k), str(k), "train", f"{k}.mp4", frames) for k in range(tracks)]

    def split(self, name: str) -> list[Track]:
        return self.tracks if name == "train" else []

    def cache(self, size: int, **_) -> Noise:
        self.size = size
        return self

    def read(
        self, track: Track, first: int = 0, count: int | None = None, seen: slice = slice(None)
    ):
        """As `dsel.corpus.Cache.read`."""
        rng = np.random.default_rng(int(track.id))
        frames = rng.integers(0, 256, (track.frames, self.size, self.size, 3), dtype=np.uint8)
        sound = rng.integers(-9000, 9000, SAMPLES_PER_FRAME * track.frames, dtype=np.int16)
        return frames[first : first + count][seen], sound[SAMPLES_PER_FRAME * first :][
            : SAMPLES_PER_FRAME * count
        ]


def compare(
    name: str, B: int, N: int, extra: int, rounds: int, device: str = "auto", **changes
) -> dict:
    """Both steps on one batch, in turn. Returns seconds (medians), the ratio, and by how much the
    first losses differ.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "B": B,
            "N": N,
            "extra": extra,
            "augment": 0.0,
            "within": 0.0,  # the plain step has the notes' terms
            "lam_warmup": 0,
            "device": device,
            "loader": "cache",
            **changes,
        }
        noise = Noise(B + extra, frames_for(N))
        ours = Trainer(
            noise,
            ModelConfig.named(name),
            TrainConfig.named(name, **config),
            folder,
            progress=False,
        )
        batch = ours._read(0)
        plain, exact = PlainStep(ours), _exact_loss(ours, batch)
        found = {"config": name, "B": B, "N": N, "extra": extra}
        first = {
            "plain": plain(batch, ours.config.lam),
            "ours": ours.train_step(batch)["loss"].item(),
        }
        found |= {
            "loss": first["plain"],
            "difference": abs(exact - first["plain"]),
            "difference_fast": abs(first["ours"] - first["plain"]),
        }
        for _ in range(
            2 if ours.device.type == "cpu" else 10
        ):  # compilation and choice of algorithms
            ours.train_step(batch), plain(batch, ours.config.lam)
        seconds = {"plain": [], "ours": []}
        for _ in range(rounds):
            for which, step in (
                ("plain", lambda: plain(batch, ours.config.lam)),
                ("ours", lambda: ours.train_step(batch)),
            ):
                seconds[which].append(_timed(step, ours.device))
        found |= {which: float(np.median(times)) for which, times in seconds.items()}
        found["ratio"] = found["plain"] / found["ours"]
        if ours.device.type == "cuda":
            found |= _on_gpu(ours, plain, batch, found["ours"])
    return found


def _exact_loss(trainer: Trainer, batch: Batch) -> float:
    """The loss that our code computes for this batch in float32."""
    fast, trainer.objective.autocast = trainer.objective.autocast, nullcontext
    statistics = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.model.train()
    with torch.no_grad():
        loss = trainer.loss(*trainer.embed(batch))[0].item()
    trainer.model.load_state_dict(statistics)
    trainer.objective.autocast = fast
    return loss


def _timed(step, device: torch.device) -> float:
    """Return wall seconds on a GPU, CPU seconds on a CPU: other processes disturb those less."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        began = time.perf_counter()
        step()
        torch.cuda.synchronize()
        return time.perf_counter() - began
    began = time.process_time()
    step()
    return time.process_time() - began


def _on_gpu(ours: Trainer, plain: PlainStep, batch: Batch, seconds: float) -> dict:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counted:
        plain(batch, ours.config.lam)
    x = torch.randn(8192, 8192, device=ours.device, dtype=torch.bfloat16)
    for _ in range(3):
        x @ x
    product = float(np.median([_timed(lambda: x @ x, ours.device) for _ in range(10)]))
    ceiling = 2 * 8192**3 / product
    torch.cuda.reset_peak_memory_stats()
    ours.train_step(batch)
    return {
        "tracks/s": len(batch.tracks) / seconds,
        "share of bf16 ceiling": counted.get_total_flops() / seconds / ceiling,
        "ceiling TFLOP/s": ceiling / 1e12,
        "memory GiB": torch.cuda.max_memory_allocated() / 2**30,
    }


def table(found: list[dict]) -> str:
    """One Markdown table of all comparisons."""
    times = ("plain, s", "ours, s", "plain / ours")
    head, rows = (
        ["model", "B x N + extra", *times, "loss, float32: difference", "as trained: difference"],
        [],
    )
    for f in found:
        size = [f["config"], f"{f['B']} x {f['N']} + {f['extra']}"]
        speed = [f"{f['plain']:.3f}", f"{f['ours']:.3f}", f"**{f['ratio']:.2f}**"]
        rows.append(
            [
                *size,
                *speed,
                f"{f['difference']:.1e} of {f['loss']:.2f}",
                f"{f['difference_fast']:.1e}",
            ]
        )
        further = [
            f"{name} {f[name]:.3g}"
            for name in ("tracks/s", "share of bf16 ceiling", "ceiling TFLOP/s", "memory GiB")
            if name in f
        ]
        rows += [["", ", ".join(further), *[""] * 5]] if further else []
    return markdown.table(head, rows)


def machine() -> str:
    """What this was measured on, in a line."""
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    names = [
        line.split(":")[1].strip()
        for line in _lines("/proc/cpuinfo")
        if line.startswith("model name")
    ]
    amx = ", AMX bf16" if any("amx_bf16" in line for line in _lines("/proc/cpuinfo")) else ""
    name = names[0] if names else platform.processor()
    return f"{name}{amx}, {torch.get_num_threads()} thread(s), torch {torch.__version__}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if os.path.exists(path) else []


def _pair(x) -> tuple[int, int]:
    return tuple(x) if isinstance(x, tuple | list) else (x, x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", choices=("laptop", "paper"), action="append")
    for name in ("B", "N", "extra"):
        parser.add_argument(f"--{name}", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    asked = parser.parse_args()
    sizes, found = LARGE if torch.cuda.is_available() else SMALL, []
    for name in asked.config or ("laptop", "paper"):
        B, N, extra = (
            own if own is not None else usual
            for own, usual in zip((asked.B, asked.N, asked.extra), sizes[name], strict=True)
        )
        found.append(compare(name, B, N, extra, asked.rounds))
    page = f"{table(found)}\n\nMeasured by `python benchmarks/step.py` on: {machine()}.\n"
    print(page)
    asked.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
