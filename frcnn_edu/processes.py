"""Processes: what changes when several of them train one model together, under ``torchrun``.

Each works on its share of the batch and gradients are averaged. That average is the joined batch's gradient only if
every share divides its loss by the same count, so counts are averaged over the processes first.
"""

import torch.distributed as dist
from torch import Tensor


def rank() -> int:
    """This process's number, counted from 0; 0 where there is only one."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def mean_over_processes(count: Tensor) -> Tensor:
    """The mean of every process's `count`, a scalar tensor; without others the count itself."""
    if world_size() == 1:
        return count
    total = count.detach().float()
    dist.all_reduce(total)
    return total / world_size()
