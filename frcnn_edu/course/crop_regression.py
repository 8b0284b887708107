"""Small networks that read from a crop how its anchor misses the object: the experiments of lesson 04."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from frcnn_edu.boxes import box_iou, decode_boxes
from frcnn_edu.roi_pool import roi_align

CROP = 12
"""Side of a crop, in its own pixels."""


@dataclass(frozen=True)
class Crops:
    """N anchors that miss their objects, and what lies around them."""

    pixels: Tensor
    """(N, 3, 12, 12), a quarter of the anchor's side beyond it on every side, in [-0.5, 0.5]."""
    anchors: Tensor
    """(N, 4) in pixels of the image."""
    objects: Tensor
    """(N, 4)."""
    labels: Tensor
    """(N,) classes, from 0 for background."""


def crops_around(scenes: Iterable[tuple[Tensor, dict]], spread: tuple[float, float, float, float]) -> Crops:
    """Four anchors for each object of (image, target) pairs; their deltas are normal with this `spread`."""
    parts = []
    for image, target in scenes:
        objects = target["boxes"].repeat_interleave(4, dim=0)
        anchors = decode_boxes(torch.randn(len(objects), 4) * torch.tensor(spread), objects)
        window = decode_boxes(torch.tensor([0, 0, 0.4, 0.4]).expand(len(objects), 4), anchors)  # half as large again
        pixels = roi_align(image[None], [window], output_size=CROP, spatial_scale=1.0) - 0.5
        parts.append((pixels, anchors, objects, target["labels"].repeat_interleave(4)))
    return Crops(*map(torch.cat, zip(*parts, strict=True)))


def learn_together(
    pixels: Tensor,
    losses: Mapping[str, Callable[[Tensor, Tensor], Tensor]],
    outputs: int = 4,
    steps: int = 250,
) -> dict[str, nn.Module]:
    """Train one small network per name on the same crops in the same order.

    A loss is called with the outputs, (64, `outputs`), and the rows that the crops came from, (64,).
    """
    networks: dict[str, nn.Module] = {}
    for name in losses:
        torch.manual_seed(0)
        convolutions = nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, stride=2, padding=1), nn.ReLU()
        head = nn.Flatten(), nn.Linear(16 * (CROP // 2) ** 2, 64), nn.ReLU(), nn.Linear(64, outputs)
        networks[name] = nn.Sequential(*convolutions, *head)
    optimizer = torch.optim.Adam([p for network in networks.values() for p in network.parameters()], lr=3e-3)
    for _ in tqdm(range(steps), f"training {len(networks)} networks"):
        rows = torch.randint(len(pixels), (64,))
        optimizer.zero_grad()
        for name, loss in losses.items():
            loss(networks[name](pixels[rows]), rows).backward()
        optimizer.step()
    return {name: network.requires_grad_(False) for name, network in networks.items()}


def iou_with_own(boxes: Tensor, objects: Tensor) -> Tensor:
    """The IoU of each box with its object, row by row, 0 for a box whose width or height is not positive: (N,)."""
    valid = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    iou = torch.zeros(len(boxes))
    iou[valid] = box_iou(boxes[valid], objects[valid]).diagonal()
    return iou
