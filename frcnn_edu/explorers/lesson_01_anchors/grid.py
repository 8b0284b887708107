"""The anchors of the cell under the pointer, on a feature map."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import traitlets
from matplotlib.axes import Axes
from torch import Tensor

from frcnn_edu.explorers.base import Grid
from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.figure import outline
from frcnn_edu.explorers.lesson_01_anchors.anchor_canvas import AnchorCanvas, look
from frcnn_edu.explorers.still import Still

HERE = Path(__file__).parent


class GridExplorer(AnchorCanvas):
    """The anchors of the cell under the pointer, on a feature map whose stride and offset are sliders."""

    _esm = bundle(HERE / "grid.js")

    cell = traitlets.Tuple((0, 0)).tag(sync=True)
    """Row and column of the cell that was last pointed at."""

    margin = traitlets.Int(112, min=0).tag(sync=True)

    def __init__(self, image: object, boxes: object = (), **options: Any) -> None:
        super().__init__(image, boxes, states="ground truth", **options)
        if "cell" not in options:
            rows, columns = self.feature_size
            self.cell = (rows // 2, columns // 2)
        self.observe(self._keep_cell, "stride")

    @property
    def cell_anchors(self) -> Tensor:
        """The anchors of the cell that was last pointed at: (A, 4)."""
        row, column = self.cell
        x, y = (column + self.offset) * self.stride, (row + self.offset) * self.stride
        return self.base + torch.tensor([x, y, x, y])

    def _keep_cell(self, change: dict) -> None:
        """A coarser map has fewer cells: stay on one that it has."""
        self.cell = tuple(min(place, count - 1) for place, count in zip(self.cell, self.feature_size, strict=True))

    @property
    def num_crossing(self) -> int:
        """How many anchors of the image reach over its border."""
        height, width = self.image.shape[:2]
        low, high = self.anchors[:, :2], self.anchors[:, 2:]
        outside = (low < 0).any(dim=1) | (high > torch.tensor([width, height])).any(dim=1)  # (H * W * A,)
        return int(outside.sum())

    def still(self) -> Still:
        """The canvas with its cells, which the script draws by itself."""
        return replace(super().still(), grid=Grid(self.stride, self.offset))

    def draw(self, axes: Axes) -> None:
        """The anchors of the cell."""
        for anchor in self.cell_anchors:
            outline(axes, anchor, look(anchor))
