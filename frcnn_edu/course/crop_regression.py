"""Small networks that read from a crop how its anchor misses the object: the experiments of lesson 04."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from frcnn_edu.boxes import box_iou, decode_boxes, encode_boxes
from frcnn_edu.losses import smooth_l1
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


def encode_pixels(objects: Tensor, anchors: Tensor) -> Tensor:
    """What separates each object from its anchor, in bare pixels: shift of the centre, growth of the sides, (N, 4)."""
    (g1, g2), (a1, a2) = objects.split(2, dim=1), anchors.split(2, dim=1)  # (N, 2) each
    return torch.cat([(g1 + g2) / 2 - (a1 + a2) / 2, (g2 - g1) - (a2 - a1)], dim=1)


def decode_pixels(answer: Tensor, anchors: Tensor) -> Tensor:
    """The boxes that answers in pixels make of anchors, (N, 4); a side may come out negative."""
    centre = (anchors[:, :2] + anchors[:, 2:]) / 2 + answer[:, :2]
    size = anchors[:, 2:] - anchors[:, :2] + answer[:, 2:]
    return torch.cat([centre - size / 2, centre + size / 2], dim=1)


def _sides(anchors: Tensor) -> Tensor:
    return (anchors[:, 2:] - anchors[:, :2]).repeat(1, 2)  # (N, 4): w, h, w, h


ENCODINGS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "pixels": (encode_pixels, decode_pixels),
    "ratios": (
        lambda objects, anchors: encode_pixels(objects, anchors) / _sides(anchors),
        lambda answer, anchors: decode_pixels(answer * _sides(anchors), anchors),
    ),
    "deltas": (encode_boxes, decode_boxes),
}
"""Ways to say how an anchor misses its object: encoding and decoding."""


def compare_encodings(names: Iterable[str], train: Crops, val: Crops) -> dict[str, Tensor]:
    """Learn with each of the `ENCODINGS` and return the IoU of every box of `val` with its object, by name.

    Targets are scaled to mean 0 and standard deviation 1 for learning, and back.
    """
    targets, losses = {}, {}
    for name in names:
        targets[name] = ENCODINGS[name][0](train.objects, train.anchors)  # (N, 4)
        scaled = (targets[name] - targets[name].mean(dim=0)) / targets[name].std(dim=0)
        losses[name] = lambda output, rows, scaled=scaled: smooth_l1(output - scaled[rows], beta=1).mean()
    iou = {"not moved": iou_with_own(val.anchors, val.objects)}
    for name, network in learn_together(train.pixels, losses).items():
        answer = network(val.pixels) * targets[name].std(dim=0) + targets[name].mean(dim=0)
        iou[name] = iou_with_own(ENCODINGS[name][1](answer, val.anchors), val.objects)
    return iou
