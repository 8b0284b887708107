"""How often the host has to wait for the device: ``python tests/unit/host_waits.py`` prints a table.

A GPU works through its queue while Python goes on, until Python asks for a value, or for a tensor whose shape depends
on values. After each of these waits the GPU is idle for a while. They are counted here on a pretended GPU.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from unittest.mock import patch

import pretended_device
import torch
from pretended_device import PretendedTensor, pretend, pretended_gpu
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from benchmarks.models import IMAGES, OBJECTS, PAIRS, draw_images, seeded
from benchmarks.operators import random_boxes

VALUES = {"_local_scalar_dense", "equal", "is_nonzero"}
SHAPES = {"nonzero", "masked_select", "_unique", "_unique2", "unique_dim", "unique_consecutive", "bincount", "nms"}
"""Operators whose result has a shape that depends on values; torchvision's `nms` is one."""
COPIES = {"_to_copy", "copy_"}


def waits_for(func: Callable, args: tuple, kwargs: dict) -> bool:
    """Whether the host waits for the result of an operator on the pretended GPU."""
    name = func._opname
    if name in COPIES:
        source = args[1] if name == "copy_" else args[0]
        target = args[0].device if name == "copy_" else kwargs.get("device")
        return isinstance(source, PretendedTensor) and target is not None and target.type == "cpu"
    if not any(isinstance(one, PretendedTensor) for one in tree_leaves((args, kwargs))):
        return False
    if name in ("index", "index_put", "index_put_"):
        one_value = name != "index" and args[2].numel() == 1  # becomes masked_fill
        return not one_value and any(one is not None and one.dtype in (torch.bool, torch.uint8) for one in args[1])
    if name == "repeat_interleave":
        return kwargs.get("output_size") is None
    return name in VALUES | SHAPES


@contextmanager
def counted_waits() -> Iterator[Counter[str]]:
    """Within, on a pretended GPU, the waits by operator."""
    counts: Counter[str] = Counter()
    run, to_list = pretended_device.run, PretendedTensor.tolist

    def counting(func: Callable, args: tuple, kwargs: dict) -> object:
        counts[func._opname] += waits_for(func, args, kwargs)
        return run(func, args, kwargs)

    def counting_list(tensor: Tensor) -> object:
        counts["tolist"] += 1
        return to_list(tensor)

    watched = patch.object(pretended_device, "run", counting), patch.object(PretendedTensor, "tolist", counting_list)
    with watched[0], watched[1], pretended_gpu():
        yield counts


def training_waits(build: Callable[[], nn.Module], size: tuple[int, int], images: int) -> Counter[str]:
    """Of a training step: forward, backward and update."""
    model = seeded(build, torch.device("cpu"), training=True)
    batch, targets = draw_images(size, images, torch.device("cpu")), []
    for seed in range(images):
        height, width = size
        boxes = random_boxes(OBJECTS, torch.device("cpu"), seed) * torch.tensor([width, height] * 2) / 1100
        targets.append({"boxes": boxes, "labels": torch.arange(1, OBJECTS + 1)})
    optimizer = torch.optim.SGD(pretend(model).parameters(), lr=1e-9, foreach=False)
    with counted_waits() as counts:
        sum(model(pretend(batch), pretend(targets)).values()).backward()
        optimizer.step()
    return counts


def inference_waits(build: Callable[[], nn.Module], size: tuple[int, int]) -> Counter[str]:
    """Of the detections in one image."""
    model, batch = (
        pretend(seeded(build, torch.device("cpu"), training=False)),
        draw_images(size, 1, torch.device("cpu")),
    )
    with counted_waits() as counts, torch.no_grad():
        model(pretend(batch))
    return counts


def waits(name: str, training: bool) -> tuple[Counter[str], Counter[str]]:
    """Ours and torchvision's."""
    size, images = IMAGES[name]
    count = partial(training_waits, images=images) if training else inference_waits
    ours, theirs = (count(build, size=size) for build in PAIRS[name]())
    return ours, theirs


if __name__ == "__main__":
    print("| waits of the host | ours | torchvision |\n|---|---:|---:|")
    for name, (_, images) in IMAGES.items():
        for what, training in ((f"training step of {images}", True), ("inference", False)):
            found = waits(name, training)
            print(f"| {name}, {what} | {' | '.join(str(one.total()) for one in found)} |", flush=True)
