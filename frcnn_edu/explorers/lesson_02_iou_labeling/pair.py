"""Two boxes to drag: overlap, union, IoU."""

from collections.abc import Sized
from pathlib import Path
from typing import Any

import torch
import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from frcnn_edu.boxes import box_iou
from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.figure import with_panel
from frcnn_edu.explorers.paper import HIGH, LOW
from frcnn_edu.viz.palette import BLUE, GREY, SKY_BLUE, VERMILION, WHITE, YELLOW, State

HERE = Path(__file__).parent
PAIR_STATES = (State("object", YELLOW, width=3), State("anchor", SKY_BLUE, width=3))
FACTORS = (0.25, 0.5, 1, 2, 4)
SHIFTS = torch.linspace(-1, 1, 81)
"""Where the curve over shifts is measured, in widths of the anchor."""
SCALES = torch.logspace(-2, 2, 81, base=2)
"""Where the curve over scales is measured, as factors of the anchor's size."""


class IoUExplorer(BoxCanvas):
    """Two boxes to drag, an object and an anchor: overlap, union, IoU, and what shifting or scaling the anchor does.

    Raises ValueError unless there are two boxes.
    """

    _esm = bundle(HERE / "pair.js")

    width = traitlets.Int(460, min=100).tag(sync=True)

    def __init__(self, image: object, boxes: Sized, **options: Any) -> None:
        if len(boxes) != 2:
            raise ValueError(f"IoUExplorer compares an object with an anchor: give two boxes, got {len(boxes)}")
        super().__init__(image, boxes, states=[0, 1], editable=True, **{"palette": PAIR_STATES} | options)

    @property
    def overlap(self) -> float:
        """The area that the two boxes share, in square pixels."""
        return self._areas()[0]

    @property
    def union(self) -> float:
        """The area that they cover together, in square pixels."""
        return self._areas()[1]

    @property
    def iou(self) -> float:
        """The one over the other."""
        return box_iou(self.box_tensor[:1], self.box_tensor[1:]).item()

    def shift_curve(self, shifts: Tensor = SHIFTS) -> Tensor:
        """The IoU if the anchor stood so many of its widths further right: (K,) -> (K,)."""
        anchor = self.box_tensor[1]
        step = (anchor[2] - anchor[0]) * torch.tensor([1.0, 0, 1, 0])  # (4,)
        return box_iou(anchor + shifts[:, None] * step, self.box_tensor[:1]).squeeze(1)

    def scale_curve(self, scales: Tensor = SCALES) -> Tensor:
        """The IoU if both sides of the anchor were so many times as long, its centre kept: (K,) -> (K,)."""
        anchor = self.box_tensor[1]
        center = ((anchor[:2] + anchor[2:]) / 2).repeat(2)  # (4,)
        return box_iou(center + scales[:, None] * (anchor - center), self.box_tensor[:1]).squeeze(1)

    def draw(self, axes: Axes) -> None:
        """The shared area."""
        from matplotlib.patches import Rectangle

        x1, y1, x2, y2 = self._shared().tolist()
        if x2 > x1 and y2 > y1:
            axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, facecolor=WHITE, alpha=0.5))

    def figure(self) -> Figure:
        """The canvas, and the two curves below it."""
        figure, axes = with_panel(super().figure(), 180)
        x, y, width, height = axes.get_position().bounds
        axes.set_position((x, y, 0.46 * width, height))
        other = figure.add_axes((x + 0.54 * width, y, 0.46 * width, height), sharey=axes)
        shift = (self.box_tensor[1, 2] - self.box_tensor[1, 0]).item()
        axes.plot(SHIFTS * shift, self.shift_curve(), color=BLUE)
        other.semilogx(SCALES, self.scale_curve(), color=BLUE, base=2)
        for ax, here in ((axes, 0), (other, 1)):
            ax.plot(here, self.iou, "o", color=VERMILION)
            for level in (LOW, HIGH):
                ax.axhline(level, color=GREY, lw=1)
        axes.set(ylim=(0, 1), yticks=(0, LOW, HIGH, 1), ylabel="IoU", xlabel="anchor shifted, px")
        other.set(xlabel="anchor scaled, times", xticks=FACTORS, xticklabels=[f"{factor:g}" for factor in FACTORS])
        other.tick_params(labelleft=False)
        return figure

    def _shared(self) -> Tensor:
        first, second = self.box_tensor
        return torch.cat((torch.maximum(first[:2], second[:2]), torch.minimum(first[2:], second[2:])))  # (4,)

    def _areas(self) -> tuple[float, float]:
        x1, y1, x2, y2 = self._shared().tolist()
        overlap = max(x2 - x1, 0) * max(y2 - y1, 0)
        sides = self.box_tensor[:, 2:] - self.box_tensor[:, :2]  # (2, 2)
        return overlap, sides.prod(dim=1).sum().item() - overlap
