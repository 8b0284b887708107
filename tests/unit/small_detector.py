"""A detector that answers in milliseconds, and drawn images and targets for it."""

import torch
from torch import Tensor

from frcnn_edu import backbones
from frcnn_edu.anchors import AnchorGenerator
from frcnn_edu.faster_rcnn import FasterRCNN
from frcnn_edu.images import ImageBatch
from frcnn_edu.roi_heads import TwoMLPHead

NUM_CLASSES = 4
SIZES = [(48, 64), (64, 40)]
OPTIONS = {"min_size": 64, "max_size": 96, "box_score_thresh": 0.2}
SPREAD = 30.0
"""Weights of an untrained head, made this much larger, answer with scores and boxes as different as a trained one's."""


def small_detector(seed: int = 0, **options: object) -> FasterRCNN:
    """A FasterRCNN of stride 16 on a few channels whose answers are spread."""
    torch.manual_seed(seed)
    body = backbones.tiny((8, 8, 8, 16))
    parts = {
        "rpn_anchor_generator": AnchorGenerator(((12.0, 24.0, 48.0),), ((0.5, 1.0, 2.0),), strides=(16,)),
        "box_head": TwoMLPHead(16 * 7 * 7, 32),
    }
    model = FasterRCNN(body, NUM_CLASSES, **{**parts, **OPTIONS, **options})
    with torch.no_grad():
        for layer in (model.rpn.head.conv[0][0], model.rpn.head.cls_logits):
            layer.weight.mul_(SPREAD)
        model.rpn.head.bbox_pred.weight.mul_(SPREAD / 3)
        model.roi_heads.box_predictor.cls_score.weight.mul_(SPREAD / 3)
        model.roi_heads.box_predictor.bbox_pred.weight.mul_(SPREAD)
    return model


def draw_images(sizes: list[tuple[int, int]] = SIZES, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(3, *size, generator=generator) for size in sizes]


def draw_targets(
    sizes: list[tuple[int, int]] = SIZES, counts: tuple[int, ...] = (3, 2), seed: int = 0
) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    targets = []
    for (height, width), count in zip(sizes, counts, strict=True):
        size = torch.tensor([width, height])
        corner = torch.rand(count, 2, generator=generator) * 0.5 * size
        extent = (0.2 + 0.3 * torch.rand(count, 2, generator=generator)) * size
        labels = torch.randint(1, NUM_CLASSES, (count,), generator=generator)
        targets.append({"boxes": torch.cat((corner, corner + extent), dim=1), "labels": labels})
    return targets


def blank_batch(*sizes: tuple[int, int], padded: tuple[int, int] | None = None) -> ImageBatch:
    """A batch of black images that are not to be resized."""
    height, width = padded or tuple(max(sides) for sides in zip(*sizes, strict=True))
    return ImageBatch(torch.zeros(len(sizes), 3, height, width), list(sizes), list(sizes))
