"""Train with several processes: `torchrun --nproc-per-node 8 -m dsel train ...`.

They may run on one machine or on many. Every process holds the same weights and reads its own
tracks. DistributedDataParallel averages their gradients. Together they compute what one process
with the whole batch would compute:

    content task     within a track, so within a process; the average over processes is the
                     average over tracks
    identity task    over the tracks of all processes; `gather` collects one vector per track, with
                     its gradient
    BatchNorm        over the windows of all processes, see `synchronise`

Without torchrun there is one process, and nothing is sent. (Source: ours, on torch.distributed.)
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from dsel.train.device import choose_device

Result = TypeVar("Result")
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Ranks:
    """The place of this process among all processes of a training.

    Args:
        rank: number of this process.
        world: number of processes.
        local: number of this process on its machine.

    >>> Ranks().first, Ranks().many
    (True, False)
    >>> Ranks(rank=1, world=2).first, Ranks(rank=1, world=2).many
    (False, True)
    """

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Say whether this is the one process that writes files and messages."""
        return self.rank == 0

    @property
    def many(self) -> bool:
        """Say whether there are other processes."""
        return self.world > 1


def join(device: str = "auto") -> tuple[Ranks, torch.device]:
    """Join the processes that torchrun started, if it started any.

    Args:
        device: as `choose_device` takes it. With several processes, 'auto' and 'cuda' mean the GPU
            of the local rank, and 'auto' means the CPU where there is no GPU.
    Returns:
        The place of this process, and the device it computes on.
    """
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
    """Leave the other processes, if there are any."""
    if dist.is_initialized():
        dist.destroy_process_group()


def in_turn(ranks: Ranks, job: Callable[[], Result]) -> Result:
    """Call job() in one process of each machine, then in the others.

    So what the job leaves on disk is made once.

    Args:
        ranks: the place of this process.
        job: is called without arguments.
    Returns:
        What the job returned in this process.
    """
    if not ranks.many:
        return job()
    if ranks.local == 0:
        result = job()
        dist.barrier()
        return result
    dist.barrier()
    return job()


def gather(x: Tensor) -> Tensor:
    """Collect the rows of all processes in order of rank: (K, D) -> (world K, D).

    The gradient of a row returns to the process that sent it. Each process computes the same loss
    of all rows, so that gradient is `world` times the gradient of one loss. The average over
    processes removes this factor.
    """
    from torch.distributed.nn.functional import all_gather

    return torch.cat(all_gather(x))


def mean_over(ranks: Ranks, x: Tensor) -> Tensor:
    """Return the mean over all processes.

    Args:
        ranks: the place of this process.
        x: the tensor of this process, of one shape in all of them.
    Returns:
        A new tensor; x itself if there is only one process.
    """
    if not ranks.many:
        return x
    x = x.clone()
    dist.all_reduce(x)
    return x / ranks.world


def synchronise(module: Network, device: torch.device) -> Network:
    """Make every BatchNorm of a module compute over the windows of all processes, in place.

    The weights keep their names. On a GPU it becomes torch's SyncBatchNorm, which runs on GPUs
    only; on a CPU it becomes `SyncedNorm1d` or `SyncedNorm2d`.

    Args:
        module: networks with BatchNorm.
        device: where they compute.
    Returns:
        The module.
    """
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.__class__ = SyncedNorm1d
        elif isinstance(part, nn.BatchNorm2d):
            part.__class__ = SyncedNorm2d
    return module


class _Synced(nn.modules.batchnorm._BatchNorm):
    """BatchNorm with the mean and the variance of all processes' rows in training.

    Both have a gradient. Running statistics are kept as `nn.BatchNorm1d` keeps them by default.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        from torch.distributed.nn.functional import all_reduce

        assert self.running_mean is not None  # networks here track their statistics
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
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
    """Wrap a module in torch's DistributedDataParallel if there are several processes.

    Args:
        module: what is differentiated in a step.
        ranks: the place of this process.
        device: where it computes.
    """
    if not ranks.many:
        return module
    ids = [device.index] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(
        module, device_ids=ids, broadcast_buffers=False, gradient_as_bucket_view=True
    )
