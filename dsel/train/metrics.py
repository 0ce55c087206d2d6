"""Means of a training's metrics, and metrics.csv."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import torch
from torch import Tensor

from dsel.train.distributed import Ranks, mean_over
from dsel.utils.files import replace_text


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


def read_metrics(run) -> list[dict]:
    """The rows of RUN/metrics.csv as numbers; empty if nothing was logged."""
    path = Path(run) / "metrics.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        whole = [row for row in csv.DictReader(file) if None not in row.values()]  # a kill may have cut the last one
    return [{k: int(v) if k == "step" else float(v) for k, v in row.items()} for row in whole]


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
