"""One anchor on one object: size and ratio by slider."""

import math
from collections.abc import Sized
from pathlib import Path
from typing import Any

import torch
import traitlets
from matplotlib.axes import Axes
from torch import Tensor

from frcnn_edu.anchors import base_anchors
from frcnn_edu.boxes import box_iou
from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.figure import outline
from frcnn_edu.explorers.lesson_01_anchors.anchor_canvas import AnchorCanvas
from frcnn_edu.viz.palette import LOOKS

HERE = Path(__file__).parent


class RatioExplorer(AnchorCanvas):
    """One anchor on the first object: its size and ratio by slider, its area kept, or not, on request.

    Raises ValueError where there is no object.
    """

    _esm = bundle(HERE / "ratio.js")

    size = traitlets.Float(256.0, min=1).tag(sync=True)
    ratio = traitlets.Float(1.0, min=0.01).tag(sync=True)
    stretched = traitlets.Bool(False).tag(sync=True)
    """Whether to stretch one side only, w = size and h = size * ratio: the area is not kept then."""

    def __init__(self, image: object, boxes: Sized, **options: Any) -> None:
        if len(boxes) == 0:
            raise ValueError("RatioExplorer compares its anchor with an object: give at least one box")
        super().__init__(image, boxes, states="ground truth", editable=True, **options)

    @property
    def anchor(self) -> Tensor:
        """The anchor, centred on the object: (4,)."""
        ratio = 1 / self.ratio if self.inverted else self.ratio
        size = self.size * math.sqrt(ratio) if self.stretched else self.size
        center = (self.box_tensor[0, :2] + self.box_tensor[0, 2:]) / 2
        return base_anchors([size], [ratio])[0] + center.repeat(2)

    @property
    def area(self) -> float:
        """Of the anchor, in square pixels."""
        x1, y1, x2, y2 = self.anchor.tolist()
        return (x2 - x1) * (y2 - y1)

    @property
    def iou(self) -> float:
        """Of the anchor with the object."""
        return box_iou(self.anchor[None], self.box_tensor[:1]).item()

    def draw(self, axes: Axes) -> None:
        """The anchor, and the square of its size."""
        half = self.size / 2
        center = (self.anchor[:2] + self.anchor[2:]) / 2
        square = torch.cat((center - half, center + half))
        outline(axes, square, LOOKS["reference"])
        outline(axes, self.anchor, LOOKS["square"])
