"""Distributed: several processes that train one model together, under ``torchrun``.

Each process works on its share of the batch, and gradients are averaged. The average equals the gradient of the whole
batch only if every share divides its loss by the same count, so counts are averaged over the processes first.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from frcnn_edu.faster_rcnn import FasterRCNN

Answer = TypeVar("Answer")


def rank() -> int:
    """The number of this process, counted from 0; 0 if it is the only one."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def mean_count(count: int, device: torch.device) -> Tensor:
    """The mean of every process's `count`, at least 1, as a scalar tensor on `device`."""
    total = torch.full((), float(count), device=device)
    dist.all_reduce(total)
    return (total / world_size()).clamp(min=1)


def replicate(model: FasterRCNN) -> nn.Module:
    """`model`, wrapped so that gradients are averaged over the processes; the model itself where there is only one.

    Both stages then divide their losses by the mean count of all processes.
    """
    if world_size() == 1:
        return model
    model.rpn.mean_count = model.roi_heads.mean_count = mean_count
    device = next(model.parameters()).device
    return DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None)


def of_first(work: Callable[[], Answer]) -> Answer:
    """Run `work` in the first process only; its result is returned, or its exception raised, in every process."""
    if world_size() == 1:
        return work()
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            outcome[0] = work()
        except Exception as error:
            outcome[1] = error
    dist.broadcast_object_list(outcome)
    result, failure = outcome
    if failure is not None:
        raise failure
    return result
