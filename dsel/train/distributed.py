"""Several processes, one training: `torchrun --nproc-per-node 8 -m dsel train ...`, on one machine or on many.

Every process holds the same weights and reads its own tracks; DistributedDataParallel averages their gradients. What one
process with the whole batch would compute, they compute together:

    content task       within a track, so within a process; the average over processes is the average over tracks
    identity task      over the tracks of all processes: `gather` brings their pooled vectors, gradient included
    BatchNorm          over the windows of all processes: `synchronise`

Without torchrun all of this is one process that talks to nobody. (Source: ours, on torch.distributed.)
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from dsel.train.device import choose_device


@dataclass(frozen=True)
class Ranks:
    """This process among `world`: number `rank`, and number `local` on its machine."""

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this process writes what all would write alike."""
        return self.rank == 0

    @property
    def many(self) -> bool:
        return self.world > 1


def join(device: str = "auto") -> tuple[Ranks, torch.device]:
    """Join the processes that torchrun started, if it did. The device: with several, the GPU of the local rank, or the CPU."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1 and not dist.is_initialized():
        return Ranks(), choose_device(device)
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device in ("auto", "cuda") and torch.cuda.is_available():
        torch.cuda.set_device(local)
        device = f"cuda:{local}"
    chosen = choose_device(device if device != "auto" else "cpu")
    if not dist.is_initialized():
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    return Ranks(dist.get_rank(), dist.get_world_size(), local), chosen


def leave() -> None:
    """Say goodbye to the other processes, if there are any."""
    if dist.is_initialized():
        dist.destroy_process_group()


def in_turn(ranks: Ranks, job):
    """job(), first by one process of each machine, then by the others: what it leaves on disk is made once."""
    if not ranks.many:
        return job()
    done = job() if ranks.local == 0 else None
    dist.barrier()
    return done if ranks.local == 0 else job()


def gather(x: Tensor) -> Tensor:
    """The rows of all processes, in order of rank: (K, D) -> (world K, D). The gradient flows back to where a row came from.

    Each process then computes the same loss of all rows, so the gradient that comes back is `world` times that of one
    loss; the average over processes takes this factor out again.
    """
    from torch.distributed.nn.functional import all_gather

    return torch.cat(all_gather(x))


def mean_over(ranks: Ranks, x: Tensor) -> Tensor:
    """The mean over processes; x itself where there is but one."""
    if not ranks.many:
        return x
    x = x.clone()
    dist.all_reduce(x)
    return x / ranks.world


def synchronise(module: nn.Module, device: torch.device) -> nn.Module:
    """Every BatchNorm of a module over the windows of all processes. Weights keep their names.

    On a GPU this is torch's SyncBatchNorm, which runs nowhere else; on a CPU `SyncedNorm`.
    """
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.__class__ = {nn.BatchNorm1d: SyncedNorm1d, nn.BatchNorm2d: SyncedNorm2d}[
                type(part)
            ]
    return module


class _Synced:
    """BatchNorm whose mean and variance in training are those of all processes' rows, with their gradient."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        from torch.distributed.nn.functional import all_reduce

        over = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        wide = x.float() if x.dtype == torch.bfloat16 else x
        count = wide.new_tensor(x.numel() // x.shape[1])
        dist.all_reduce(count)
        mean = all_reduce(wide.sum(over)) / count  # (C,)
        centred = wide - mean.reshape(shape)
        var = all_reduce(centred.square().sum(over)) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean.detach().to(self.running_mean), self.momentum)
            self.running_var.lerp_(
                (var.detach() * count / (count - 1)).to(self.running_var), self.momentum
            )
        y = centred * torch.rsqrt(var + self.eps).reshape(shape)
        return (y * self.weight.reshape(shape) + self.bias.reshape(shape)).to(x.dtype)


class SyncedNorm1d(_Synced, nn.BatchNorm1d):
    """`nn.BatchNorm1d` over the rows of all processes."""


class SyncedNorm2d(_Synced, nn.BatchNorm2d):
    """`nn.BatchNorm2d` over the rows of all processes."""


def parallel(module: nn.Module, ranks: Ranks, device: torch.device) -> nn.Module:
    """The module in torch's DistributedDataParallel, where there are several processes."""
    if not ranks.many:
        return module
    ids = [device.index] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(
        module, device_ids=ids, broadcast_buffers=False, gradient_as_bucket_view=True
    )
