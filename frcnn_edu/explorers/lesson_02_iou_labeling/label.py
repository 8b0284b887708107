"""The label of every anchor, while an object is dragged."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import traitlets
from matplotlib.axes import Axes
from torch import Tensor

from frcnn_edu.anchors import PAPER_ASPECT_RATIOS, PAPER_SIZES, base_anchors, grid_anchors
from frcnn_edu.boxes import box_iou, clip_boxes
from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.paper import STRIDE, cells
from frcnn_edu.explorers.still import Still
from frcnn_edu.matching import IGNORED, NEGATIVE, POSITIVE, Matcher, Matches
from frcnn_edu.viz.palette import (
    DASH_DOT,
    DASHED,
    DOTTED,
    GREEN,
    GREY,
    PURPLE,
    SKY_BLUE,
    STATES,
    VERMILION,
    State,
    state_index,
)

HERE = Path(__file__).parent
TRUTH, BY_IOU, BY_RULE, UNSURE, BACKGROUND, DROPPED = range(6)
LABEL_STATES = (
    STATES[state_index("ground truth")],
    State("positive", GREEN, width=1.5),
    State("best anchor only", SKY_BLUE, width=3),
    State("ignored", GREY, dash=DOTTED, width=1),
    State("negative", VERMILION, dash=DASHED, width=1),
    State("over the border", PURPLE, dash=DASH_DOT, width=1),
)
"""What labelling can make of an anchor; the script has the same order."""
MOSAIC_ALPHA = {BY_IOU: 255, BY_RULE: 255, UNSURE: 120, BACKGROUND: 110, DROPPED: 0, TRUTH: 0}
"""How opaque an anchor's square in the mosaic is, by its state. The script has the same."""
SHADE = 0.35
"""How much the mosaic darkens the image, to stand out. The script has the same."""


class LabelExplorer(BoxCanvas):
    """Every anchor of an image and the label that the objects give it, while an object is dragged.

    A mosaic has one small square per anchor round the anchor's centre, columns by size and rows by ratio; pointing at
    one shows its anchor, and the legend shows all anchors of a state. The objects are the first boxes.
    """

    _esm = bundle(HERE / "label.js")

    high = traitlets.Float(0.7, min=0, max=1).tag(sync=True)
    """IoU from which an anchor is positive."""

    low = traitlets.Float(0.3, min=0, max=1).tag(sync=True)
    """IoU below which it is negative; never above `high`."""

    best_rule = traitlets.Bool(True).tag(sync=True)
    """Whether the best anchors of an object are positive, whatever their IoU."""

    drop_crossing = traitlets.Bool(False).tag(sync=True)
    """Whether anchors that reach over the border are left out."""

    mosaic = traitlets.Bool(True).tag(sync=True)
    """Whether to show the squares."""

    width = traitlets.Int(560, min=100).tag(sync=True)

    stride = traitlets.Float(STRIDE).tag(sync=True)
    num_objects = traitlets.Int(0).tag(sync=True)
    _cells = traitlets.Tuple((1, 1, 1, 1)).tag(sync=True)
    """Rows and columns of the map, rows and columns of squares in a cell."""

    def __init__(
        self,
        image: object,
        boxes: object,
        sizes: Sequence[float] = PAPER_SIZES,
        ratios: Sequence[float] = PAPER_ASPECT_RATIOS,
        stride: float = STRIDE,
        captions: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        defaults = {"palette": LABEL_STATES, "hidden_states": [BY_IOU, BY_RULE, UNSURE, BACKGROUND, DROPPED]}
        super().__init__(image, **defaults | options)
        objects = torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4)  # (G, 4)
        map_size = cells(self.image.shape[:2], stride)
        anchors = grid_anchors(base_anchors(sizes, ratios), map_size, stride)  # (A, 4)
        captions = list(captions or [f"object {index}" for index in range(len(objects))])
        self.stride, self.num_objects = stride, len(objects)
        self._cells = (*map_size, len(ratios), len(sizes))
        self.set_boxes(
            torch.cat((objects, anchors)),
            [TRUTH] * len(objects) + [BACKGROUND] * len(anchors),
            captions=captions + [""] * len(anchors),
            editable=np.arange(len(objects) + len(anchors)) < len(objects),
        )

    @property
    def objects(self) -> Tensor:
        """(G, 4): where the hand has left them."""
        return self.box_tensor[: self.num_objects]

    @property
    def anchors(self) -> Tensor:
        """(A, 4): rows, then columns, then the anchors of the cell."""
        return self.box_tensor[self.num_objects :]

    @property
    def inside(self) -> Tensor:
        """Which anchors take part: (A,) bool; all, unless those over the border are dropped."""
        if not self.drop_crossing:
            return torch.ones(len(self.anchors), dtype=torch.bool)
        return (self.anchors == clip_boxes(self.anchors, self.image.shape[:2])).all(dim=1)

    @property
    def matches(self) -> Matches:
        """What matching says of the anchors, as in training."""
        inside = self.inside
        found = Matcher(self.high, self.low, self.best_rule)(box_iou(self.anchors, self.objects) * inside[:, None])
        return Matches(found.labels.where(inside, IGNORED), found.gt_index, found.iou)

    @property
    def anchor_states(self) -> Tensor:
        """(A,) int64: indices into `LABEL_STATES`."""
        matches = self.matches
        states = torch.full_like(matches.labels, UNSURE)
        states = states.masked_fill(matches.labels == NEGATIVE, BACKGROUND)
        states = states.masked_fill(matches.labels == POSITIVE, BY_RULE)
        states = states.masked_fill((matches.labels == POSITIVE) & (matches.iou >= self.high), BY_IOU)
        return states.masked_fill(~self.inside, DROPPED)

    @property
    def counts(self) -> dict[str, int]:
        """How many anchors are what; "unserved" counts the objects that no positive anchor stands for."""
        matches, states = self.matches, self.anchor_states
        count = torch.bincount(states, minlength=len(LABEL_STATES)).tolist()
        served = matches.gt_index[matches.labels == POSITIVE].unique()
        return {
            "positive": count[BY_IOU] + count[BY_RULE],
            "by rule": count[BY_RULE],
            "ignored": count[UNSURE],
            "negative": count[BACKGROUND],
            "dropped": count[DROPPED],
            "unserved": self.num_objects - len(served),
        }

    def still(self) -> Still:
        """The canvas with the states that labelling gives; the browser computes its own."""
        objects = np.full(self.num_objects, TRUTH, np.uint8)
        states = np.concatenate((objects, self.anchor_states.numpy().astype(np.uint8)))
        return replace(super().still(), states=states)

    def draw(self, axes: Axes) -> None:
        """The mosaic."""
        from matplotlib.patches import Rectangle

        if not self.mosaic:
            return
        rows, columns, high, wide = self._cells
        colors = [
            [int(state.color[k : k + 2], 16) for k in (1, 3, 5)] + [MOSAIC_ALPHA[i]]
            for i, state in enumerate(LABEL_STATES)
        ]
        squares = torch.tensor(colors, dtype=torch.uint8)[self.anchor_states]  # (A, 4)
        squares = squares.reshape(rows, columns, high, wide, 4).permute(0, 2, 1, 3, 4)
        pixels = squares.reshape(rows * high, columns * wide, 4).numpy()
        half = self.stride / 2
        extent = (-half, columns * self.stride - half, rows * self.stride - half, -half)
        height, width = self.image.shape[:2]
        axes.add_patch(Rectangle((0, 0), width, height, facecolor="black", alpha=SHADE, zorder=0.2))
        axes.imshow(pixels, extent=extent, interpolation="nearest", zorder=0.4)

    @traitlets.validate("low", "high")
    def _check_thresholds(self, proposal: dict) -> float:
        """A threshold stops at the other one, as the sliders do."""
        if proposal["trait"].name == "low":
            return min(proposal["value"], self.high)
        return max(proposal["value"], self.low)
