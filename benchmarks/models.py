"""The rows of models: VGG16 at 600 x 800 and the lessons' tiny detector, each against torchvision's equivalent.

Both sides have the same weights, images and options. torchvision's VGG16 detector uses its `roi_pool`, as in the paper.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial

import torch
from torch import Tensor, nn
from torchvision import ops
from torchvision.models.detection import FasterRCNN as TorchvisionFasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator as TorchvisionAnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor as TorchvisionPredictor
from torchvision.models.detection.faster_rcnn import TwoMLPHead as TorchvisionHead

from benchmarks.measure import Call, Row
from benchmarks.operators import SAMPLES, random_boxes
from frcnn_edu import backbones
from frcnn_edu.anchors import base_anchors
from frcnn_edu.config import Options
from frcnn_edu.faster_rcnn import (
    ROI_SIZE,
    FasterRCNN,
    fasterrcnn_mobilenet_v2,
    fasterrcnn_resnet50_fpn,
    fasterrcnn_tiny,
    fasterrcnn_vgg16,
)

NUM_CLASSES = 21
OBJECTS = 5

SMALL: Options = {"min_size": 320, "max_size": 640}
"""Of the pyramids, which are compared on smaller images."""

Pair = tuple[Callable[[], nn.Module], Callable[[], nn.Module]]
"""Functions that build ours and theirs."""


class TorchvisionRoIPool(nn.Module):
    """torchvision's `roi_pool` with the interface of its `MultiScaleRoIAlign`."""

    def forward(
        self, features: Mapping[str, Tensor], proposals: Sequence[Tensor], image_sizes: Sequence[tuple[int, int]]
    ) -> Tensor:
        """One map of stride 16 and B x (N_i, 4) -> (N, C, 7, 7)."""
        return ops.roi_pool(features["0"], list(proposals), ROI_SIZE, 1 / 16)


def torchvisions(ours: Callable[[], FasterRCNN], body: Callable[[], nn.Module]) -> TorchvisionFasterRCNN:
    """torchvision's detector with the parts and options of `ours`, which is only built on the meta device."""
    with torch.device("meta"):
        pattern = ours()
    maps = list(getattr(pattern.backbone, "levels", {"": "0"}).values())
    names = inspect.signature(TorchvisionFasterRCNN).parameters
    options = {name: value for name, value in asdict(pattern.config).items() if name in names}
    anchors = pattern.rpn.anchor_generator
    generator = TorchvisionAnchorGenerator(tuple(anchors.sizes), tuple(anchors.aspect_ratios))
    levels = zip(anchors.sizes, anchors.aspect_ratios, strict=True)
    generator.cell_anchors = [base_anchors(*level, anchors.rounded) for level in levels]  # theirs are always rounded
    model = TorchvisionFasterRCNN(
        body(),
        rpn_anchor_generator=generator,
        box_roi_pool=ops.MultiScaleRoIAlign(maps, ROI_SIZE, SAMPLES),
        box_head=TorchvisionHead(
            pattern.roi_heads.box_head.fc6.in_features, pattern.roi_heads.box_head.fc7.out_features
        ),
        box_predictor=TorchvisionPredictor(*pattern.roi_heads.box_predictor.cls_score.weight.shape[::-1]),
        **options,
    )
    if pattern.roi_heads.box_roi_pool.operator == "pool":
        model.roi_heads.box_roi_pool = TorchvisionRoIPool()  # the constructor takes RoIAlign only
    return model


def vgg16_pair() -> Pair:
    """VGG16, ours and torchvision's."""
    ours = partial(fasterrcnn_vgg16, NUM_CLASSES, min_size=600, max_size=1000)
    return ours, lambda: torchvisions(ours, backbones.vgg16)


def tiny_pair() -> Pair:
    """The tiny detector, ours and torchvision's."""
    ours = partial(fasterrcnn_tiny, NUM_CLASSES)
    return ours, lambda: torchvisions(ours, backbones.tiny)


def mobilenet_pair() -> Pair:
    """MobileNetV2 under a pyramid, ours and torchvision's."""
    ours = partial(fasterrcnn_mobilenet_v2, NUM_CLASSES, **SMALL)
    return ours, lambda: torchvisions(ours, backbones.mobilenet_v2)


def resnet_pair() -> Pair:
    """ResNet-50 under a pyramid, ours and torchvision's."""
    ours = partial(fasterrcnn_resnet50_fpn, NUM_CLASSES, **SMALL)
    return ours, lambda: torchvisions(ours, backbones.resnet50_fpn)


PAIRS = {"tiny": tiny_pair, "mobilenet_v2": mobilenet_pair, "resnet50_fpn": resnet_pair}
"""The models whose waits for the device and whose shares of the time are compared with torchvision's."""
IMAGES = {"tiny": ((256, 256), 4), "mobilenet_v2": ((320, 416), 2), "resnet50_fpn": ((320, 416), 2)}
"""The size, and the number of images in a training step."""


def seeded(build: Callable[[], nn.Module], device: torch.device, training: bool) -> nn.Module:
    """A model whose weights depend only on the names and shapes of its parameters, so both sides have the same."""
    model = build()
    with torch.no_grad():
        for index, (name, parameter) in enumerate(sorted(model.named_parameters())):
            generator = torch.Generator().manual_seed(index)
            if parameter.ndim > 1:
                fan_in = parameter[0].numel()
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * (2 / fan_in) ** 0.5)
            elif name.endswith("bias"):
                parameter.zero_()
    model.to(device).train(training)
    model.backbone.train()  # batch norms keep the scale of random weights only with the images' own statistics
    return model


def training_call(build: Callable[[], nn.Module], size: tuple[int, int], images: int, device: torch.device) -> Call:
    """One training step, with a learning rate too small to change later steps."""

    @cache
    def made() -> tuple[nn.Module, torch.optim.Optimizer, list[Tensor], list[dict[str, Tensor]]]:
        model = seeded(build, device, training=True)
        height, width = size
        boxes = [random_boxes(OBJECTS, device, seed) for seed in range(images)]
        shrink = torch.tensor([width, height, width, height], device=device) / 1100  # random_boxes reach to 1016
        labels = torch.arange(1, OBJECTS + 1, device=device)
        targets = [{"boxes": one * shrink, "labels": labels} for one in boxes]
        return model, torch.optim.SGD(model.parameters(), lr=1e-9), draw_images(size, images, device), targets

    def step() -> None:
        model, optimizer, batch, targets = made()
        optimizer.zero_grad()
        sum(model(batch, targets).values()).backward()
        optimizer.step()

    return step


def inference_call(build: Callable[[], nn.Module], size: tuple[int, int], device: torch.device) -> Call:
    """Inference on one image."""

    @cache
    def made() -> tuple[nn.Module, list[Tensor]]:
        return seeded(build, device, training=False), draw_images(size, 1, device)

    def detect() -> object:
        model, batch = made()
        with torch.inference_mode():
            return model(batch)

    return detect


def draw_images(size: tuple[int, int], count: int, device: torch.device) -> list[Tensor]:
    """Images (3, H, W) of noise in [0, 1]."""
    generator = torch.Generator().manual_seed(9)
    return [torch.rand(3, *size, generator=generator).to(device) for _ in range(count)]


def training_calls(pair: Pair, size: tuple[int, int], images: int, device: torch.device) -> tuple[Call, Call]:
    """A training step of ours and of theirs."""
    ours, theirs = pair
    return training_call(ours, size, images, device), training_call(theirs, size, images, device)


def inference_calls(pair: Pair, size: tuple[int, int], device: torch.device) -> tuple[Call, Call]:
    """Inference of ours and of theirs."""
    ours, theirs = pair
    return inference_call(ours, size, device), inference_call(theirs, size, device)


ROWS = (
    Row("tiny model, training step of 4", lambda device: training_calls(tiny_pair(), (256, 256), 4, device), 0.9),
    Row("tiny model, inference", lambda device: inference_calls(tiny_pair(), (256, 256), device), 0.9),
    Row("VGG16 600 x 800, training step", lambda device: training_calls(vgg16_pair(), (600, 800), 1, device), 1.0),
    Row("VGG16 600 x 800, inference", lambda device: inference_calls(vgg16_pair(), (600, 800), device), 1.0),
)
