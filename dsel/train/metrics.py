"""Means of the metrics of a training, and metrics.csv."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dsel.losses import DisentangledLoss, content_logits, identity_logits, top1
from dsel.train.distributed import Ranks, mean_over
from dsel.utils.files import replace_text
from dsel.utils.readers import NUMBER, WHOLE, read_csv


class MetricSums:
    """Add up the metrics of several steps, and note the first step whose loss is not finite.

    The sums stay on the device until `read` is called.

    >>> sums = MetricSums()
    >>> sums.add({"loss": torch.tensor(1.0)}, step=0)
    >>> sums.add({"loss": torch.tensor(4.0)}, step=1)
    >>> sums.read()
    {'loss': 2.5}
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sums: Tensor | None = None  # (number of names,)
        self.count = 0
        self.bad: Tensor | None = None  # the first step whose loss is not finite, or -1

    def add(self, metrics: dict[str, Tensor], step: int) -> None:
        """Add the metrics of a step.

        Args:
            metrics: scalars by name, 'loss' among them; the same names at every step.
            step: number of the step.
        """
        values = torch.stack([value.float() for value in metrics.values()])
        finite = torch.isfinite(metrics["loss"])
        before = torch.full_like(finite, -1, dtype=torch.int64) if self.bad is None else self.bad
        self.bad = torch.where(finite | (before >= 0), before, step)
        self.names, self.sums = list(metrics), values if self.sums is None else self.sums + values
        self.count += 1

    def read(self) -> dict[str, float]:
        """Return the means by name; empty if nothing was added. Waits for the device."""
        if self.sums is None:
            return {}
        return dict(zip(self.names, (self.sums / self.count).tolist(), strict=True))

    def first_bad(self) -> int:
        """Return the first step whose loss is not finite, or -1. Waits for the device."""
        return -1 if self.bad is None else int(self.bad)

    def merged(self, other: MetricSums) -> MetricSums:
        """Return the sums over the steps of both; `other` is the later one."""
        if other.sums is None or self.sums is None:
            return other if self.sums is None else self
        both = MetricSums()
        both.names, both.bad = self.names, other.bad
        both.sums, both.count = self.sums + other.sums, self.count + other.count
        return both

    def shared(self, ranks: Ranks) -> MetricSums:
        """Average the sums over all processes, in place."""
        if ranks.many and self.sums is not None:
            self.sums = mean_over(ranks, self.sums)
        return self

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"names": self.names, "sums": self.sums, "count": self.count}

    def load_state_dict(self, state: dict[str, Any] | None, device: torch.device) -> None:
        """Take over the sums of a checkpoint.

        Args:
            state: what `state_dict` returned; None leaves the sums empty.
            device: where the sums are kept.
        """
        if state and state["sums"] is not None:
            self.names, self.count = state["names"], state["count"]
            self.sums = state["sums"].to(device)


Running = MetricSums  # its name before 2026-12; kept for callers


@torch.no_grad()
def batch_metrics(
    loss: DisentangledLoss,
    face: dict[str, Tensor],
    audio: dict[str, Tensor],
    pick: Tensor,
    extra: tuple[Tensor, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Compute what is logged beside the loss, on the part of a batch that this process has.

    Args:
        loss: whose similarities the two tasks use.
        face, audio, pick, extra: as `DisentangledLoss.forward` takes them; `extra` is not counted.
    Returns:
        content_top1, identity_top1: share of right choices in both tasks, in [0, 1].
        cone: length of the mean direction of the audio identity embeddings; its square is their
            mean pairwise cosine.
        spread: the mean standard deviation over windows, the smallest of the four kinds of
            embeddings.
    """
    content = content_logits(face["content"], audio["content"], loss.content_similarity)
    identity = identity_logits(face["identity"], audio["identity"], loss.identity_similarity, pick)
    kinds = [e for stream in (face, audio) for e in stream.values()]  # (B, N, D) each
    return {
        "content_top1": top1(content),
        "identity_top1": top1(identity),
        "cone": F.normalize(audio["identity"], dim=-1).mean((0, 1)).norm(),
        "spread": torch.stack([e.flatten(0, 1).std(0).mean() for e in kinds]).min(),
    }


def read_metrics(run: str | Path) -> list[dict]:
    """Read the rows of RUN/metrics.csv as numbers; empty if nothing was logged.

    Raises:
        BadInput: the file is damaged.
    """
    path = Path(run) / "metrics.csv"
    if not path.exists():
        return []
    remedy = "delete it; the curves are lost then, the networks are not"
    return read_csv(path, {"step": WHOLE}, other=NUMBER, remedy=remedy, cut_last=True)


def tensorboard_writer(folder: Path) -> Any:
    """Make a writer of scalars for TensorBoard; return False if TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return False
    return SummaryWriter(str(folder))


def append_row(path: Path, row: dict) -> None:
    """Append a row to a csv file with one write.

    Args:
        path: the file; a new one gets a header first.
        row: values by column.
    """
    text = _as_csv([row], header=not path.is_file())
    with path.open("a", newline="", encoding="utf-8") as file:
        file.write(text)


def write_rows(path: Path, rows: list[dict]) -> None:
    """Write a csv file anew, atomically.

    Args:
        path: the file.
        rows: values by column; none give an empty file.
    """
    replace_text(path, _as_csv(rows, header=True) if rows else "")


def _as_csv(rows: list[dict], header: bool) -> str:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()
