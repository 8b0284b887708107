"""What the explorers of lesson 01 share: an image, its objects, the anchors' settings, objects' best anchors."""

from dataclasses import dataclass
from pathlib import Path

import torch
import traitlets
from torch import Tensor

from frcnn_edu.anchors import PAPER_ASPECT_RATIOS, PAPER_SIZES, base_anchors, grid_anchors
from frcnn_edu.boxes import pairwise_iou
from frcnn_edu.explorers.base import BoxCanvas, Grid
from frcnn_edu.explorers.paper import STRIDE, cells
from frcnn_edu.viz.palette import LOOKS, State

HERE = Path(__file__).parent


@dataclass(frozen=True)
class BestAnchors:
    """The anchor that overlaps each of N boxes most."""

    iou: Tensor
    """(N,) float."""
    cell: Tensor
    """(N, 2) int64, row and column."""
    anchor: Tensor
    """(N,) int64, which of the anchors of that cell."""


def best_anchors(
    boxes: Tensor, base: Tensor, feature_size: tuple[int, int] | Tensor, stride: float, offset: float = 0.0
) -> BestAnchors:
    """The best anchor of the whole grid for each box, without the grid: (N, 4), (A, 4) -> `BestAnchors` of N.

    All anchors are centred on their cell, and the overlap of a centred box shrinks with its distance in x as in y;
    so only the cell nearest to each box's centre can hold the best one. `feature_size` is (H, W), or (N, 2) for boxes
    of different images.
    """
    centers = (boxes[:, :2] + boxes[:, 2:]).flip(1) / 2  # (N, 2) y, x
    last = torch.as_tensor(feature_size) - 1  # (2,) or (N, 2)
    cell = (centers / stride - offset).round().clamp(min=0).minimum(last.to(centers))  # (N, 2)
    shift = ((cell + offset) * stride).flip(1).repeat(1, 2)  # (N, 4)
    overlaps = pairwise_iou(boxes[:, None], shift[:, None] + base).squeeze(1)  # (N, A)
    anchor = overlaps.argmax(dim=1)  # (N,) max(dim=1) starts threads, which takes 20 ms where other programs are busy
    return BestAnchors(overlaps.gather(1, anchor[:, None]).squeeze(1), cell.long(), anchor)


class AnchorCanvas(BoxCanvas):
    """What the explorers share: an image, its objects as boxes, and the anchors' settings as traits."""

    sizes = traitlets.Tuple(PAPER_SIZES).tag(sync=True)
    """Sides in pixels of the squares whose area the anchors have."""

    ratios = traitlets.Tuple(PAPER_ASPECT_RATIOS).tag(sync=True)
    """Heights over widths."""

    width = traitlets.Int(520, min=100).tag(sync=True)

    stride = traitlets.Float(STRIDE).tag(sync=True)
    """How many pixels a cell is wide."""

    offset = traitlets.Float(0.0, min=0, max=1).tag(sync=True)
    """Where in its cell an anchor's centre lies: 0 the corner, 0.5 the middle."""

    inverted = traitlets.Bool(False).tag(sync=True)
    """Whether to read the ratios upside down, as width over height."""

    @property
    def base(self) -> Tensor:
        """The anchors of one cell, centred on 0: (A, 4)."""
        ratios = [1 / ratio for ratio in self.ratios] if self.inverted else self.ratios
        return base_anchors(self.sizes, ratios)

    @property
    def feature_size(self) -> tuple[int, int]:
        """Rows and columns of the feature map."""
        return cells(self.image.shape[:2], self.stride)

    @property
    def anchors(self) -> Tensor:
        """All anchors of the image: (H * W * A, 4)."""
        return grid_anchors(self.base, self.feature_size, self.stride, self.offset)

    @property
    def best(self) -> BestAnchors:
        """The best anchor of each object."""
        return best_anchors(self.box_tensor, self.base, self.feature_size, self.stride, self.offset)

    @traitlets.validate("sizes", "ratios")
    def _check_settings(self, proposal: dict) -> tuple[float, ...]:
        values = tuple(float(value) for value in proposal["value"])
        base_anchors(values, values)  # raises where there is none, or one that is not above 0
        return values

    @traitlets.validate("stride")
    def _check_stride(self, proposal: dict) -> float:
        return Grid(proposal["value"]).stride


def best_box(canvas: AnchorCanvas, index: int) -> Tensor:
    """The best anchor of object `index`: (4,)."""
    best = canvas.best
    y, x = (((best.cell[index]) + canvas.offset) * canvas.stride).tolist()
    return canvas.base[best.anchor[index]] + torch.tensor([x, y, x, y])


def look(anchor: Tensor) -> State:
    """How an anchor, (4,), is drawn by its shape."""
    x1, y1, x2, y2 = anchor.tolist()
    ratio = (y2 - y1) / (x2 - x1)
    return LOOKS["wide" if ratio < 0.99 else "tall" if ratio > 1.01 else "square"]
