"""Means of a training's metrics, and metrics.csv."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from dsel.losses import DisentangledLoss, content_logits, identity_logits, top1
from dsel.train.distributed import Ranks, mean_over
from dsel.utils.files import replace_text
from dsel.utils.readers import NUMBER, WHOLE, read_csv


class MetricSums:
    """Add up the metrics of several steps, on the device until `read`; remember the first step whose loss is not finite."""

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
        return (
            {}
            if self.sums is None
            else dict(zip(self.names, (self.sums / self.count).tolist(), strict=True))
        )

    def first_bad(self) -> int:
        """The first step whose loss was no number; -1 if there was none. Waits for the device."""
        return -1 if self.bad is None else int(self.bad)

    def merged(self, other: MetricSums) -> MetricSums:
        """The sums of both."""
        if other.sums is None or self.sums is None:
            return other if self.sums is None else self
        both = MetricSums()
        both.names, both.sums, both.count, both.bad = (
            self.names,
            self.sums + other.sums,
            self.count + other.count,
            other.bad,
        )
        return both

    def shared(self, ranks: Ranks) -> MetricSums:
        """With the sums averaged over all processes."""
        if ranks.many and self.sums is not None:
            self.sums = mean_over(ranks, self.sums)
        return self

    def state_dict(self) -> dict:
        """What a checkpoint keeps."""
        return {"names": self.names, "sums": self.sums, "count": self.count}

    def load_state_dict(self, state: dict | None, device: torch.device) -> None:
        """The inverse of `state_dict`; None leaves it empty."""
        if state and state["sums"] is not None:
            self.names, self.sums, self.count = (
                state["names"],
                state["sums"].to(device),
                state["count"],
            )


Running = MetricSums  # its name before 2026-12; kept for callers


@torch.no_grad()
def batch_metrics(
    loss: DisentangledLoss, face: dict, audio: dict, pick: Tensor, extra=None
) -> dict[str, Tensor]:
    """Compute what is logged beside the loss, on one process' part of a batch.

    Args:
        loss: whose similarities the two tasks use.
        face, audio, pick, extra: as `DisentangledLoss.forward` takes them; `extra` is not counted.
    Returns:
        content_top1, identity_top1: share of right choices in both tasks, in [0, 1].
        cone: length of the mean direction of the audio identity embeddings; its square is their mean pairwise cosine.
        spread: the smallest, of the four kinds of embeddings, of the mean standard deviation over windows.
    """
    content = content_logits(face["content"], audio["content"], loss.content_similarity)
    identity = identity_logits(face["identity"], audio["identity"], loss.identity_similarity, pick)
    cone = F.normalize(audio["identity"], dim=-1).mean((0, 1)).norm()
    spread = torch.stack(
        [e.flatten(0, 1).std(0).mean() for stream in (face, audio) for e in stream.values()]
    ).min()
    return {
        "content_top1": top1(content),
        "identity_top1": top1(identity),
        "cone": cone,
        "spread": spread,
    }


def read_metrics(run) -> list[dict]:
    """The rows of RUN/metrics.csv as numbers; empty if nothing was logged."""
    path = Path(run) / "metrics.csv"
    if not path.exists():
        return []
    remedy = "delete it; the curves are lost then, the networks are not"
    return read_csv(path, {"step": WHOLE}, other=NUMBER, remedy=remedy, cut_last=True)


def tensorboard_writer(folder: Path):
    """A writer of scalars, or False where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return False
    return SummaryWriter(str(folder))


def append_row(path: Path, row: dict) -> None:
    """One more line, in one piece."""
    text = _as_csv([row], header=not path.is_file())
    with path.open("a", newline="") as file:
        file.write(text)


def write_rows(path: Path, rows: list[dict]) -> None:
    replace_text(path, _as_csv(rows, header=True) if rows else "")


def _as_csv(rows: list[dict], header: bool) -> str:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()
