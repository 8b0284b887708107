"""One object of any shape against anchors of a few."""

import math
from collections.abc import Sized
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from frcnn_edu.anchors import base_anchors
from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.figure import outline, with_panel
from frcnn_edu.explorers.lesson_01_anchors.anchor_canvas import AnchorCanvas, best_anchors, best_box, look
from frcnn_edu.viz.palette import BLUE, VERMILION

HERE = Path(__file__).parent


class OddShapeExplorer(AnchorCanvas):
    """One object of any shape against anchors of a few: drag it, and a curve shows what its ratio costs.

    The anchors' sizes follow the object's own area, so that only its shape is to blame.
    Raises ValueError where there is no object.
    """

    _esm = bundle(HERE / "odd_shape.js")

    def __init__(self, image: object, boxes: Sized, **options: Any) -> None:
        if len(boxes) == 0:
            raise ValueError("OddShapeExplorer is about the shape of an object: give at least one box")
        super().__init__(image, boxes, states="ground truth", editable=True, **options)

    @property
    def base(self) -> Tensor:
        """Anchors of half, once and twice the size of the object: (A, 4)."""
        return base_anchors([part * self._object_size for part in (0.5, 1, 2)], self.ratios)

    @property
    def best_iou(self) -> float:
        """The IoU that the best anchor reaches with the object."""
        return self.best.iou[0].item()

    def curve(self, object_ratios: Tensor) -> Tensor:
        """The best IoU that objects of this area and place, but of these ratios, would find: (K,) -> (K,)."""
        center = (self.box_tensor[0, :2] + self.box_tensor[0, 2:]) / 2
        boxes = base_anchors([self._object_size], object_ratios.tolist()) + center.repeat(2)  # (K, 4)
        return best_anchors(boxes, self.base, self.feature_size, self.stride, self.offset).iou

    @property
    def _object_size(self) -> float:
        x1, y1, x2, y2 = self.box_tensor[0].tolist()
        return math.sqrt((x2 - x1) * (y2 - y1))

    def draw(self, axes: Axes) -> None:
        """The best anchor."""
        outline(axes, best_box(self, 0), look(best_box(self, 0)))

    def figure(self) -> Figure:
        """The canvas, and the curve below it."""
        figure, axes = with_panel(super().figure(), 180)
        ratios = torch.logspace(-math.log2(12), math.log2(12), 97, base=2)
        axes.semilogx(ratios, self.curve(ratios), color=BLUE, base=2)
        x1, y1, x2, y2 = self.box_tensor[0].tolist()
        axes.plot((y2 - y1) / (x2 - x1), self.best_iou, "o", color=VERMILION)
        ticks = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set(xlabel="height / width of the object", ylabel="best IoU", ylim=(0, 1))
        return figure
