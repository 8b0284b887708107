"""Distributed: several processes that train one model together, under ``torchrun``.

Each process works on its share of the batch, and gradients are averaged. The average equals the gradient of the whole
batch only if every share divides its loss by the same count, so counts are averaged over the processes first.
"""

from collections.abc import Callable
from typing import TypeVar

import torch.distributed as dist
from torch import Tensor

Answer = TypeVar("Answer")


def rank() -> int:
    """The number of this process, counted from 0; 0 if it is the only one."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def mean_over_processes(count: Tensor) -> Tensor:
    """The mean of `count`, a scalar tensor, over all processes."""
    if world_size() == 1:
        return count
    total = count.detach().float()
    dist.all_reduce(total)
    return total / world_size()


def of_first(work: Callable[[], Answer]) -> Answer:
    """Run `work` in the first process only; its result is returned, or its exception raised, in every process."""
    if world_size() == 1:
        return work()
    outcome: list[object] = [None, None]
    if rank() == 0:
        try:
            outcome[0] = work()
        except Exception as error:
            outcome[1] = error
    dist.broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]
