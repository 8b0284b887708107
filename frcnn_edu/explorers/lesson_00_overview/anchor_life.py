"""One anchor's life: place, anchor, label, move, pooled, answer."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import traitlets
from matplotlib.axes import Axes
from torch import Tensor

from frcnn_edu.boxes import decode_boxes
from frcnn_edu.datasets.photos import Photo
from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.explorers.bundle import bundle, styles
from frcnn_edu.explorers.figure import NOTE, outline
from frcnn_edu.explorers.wire import ArrayTrait, box_array, floats, integers
from frcnn_edu.matching import IGNORED, NEGATIVE, POSITIVE, Matcher, Matches
from frcnn_edu.roi_pool import roi_pool
from frcnn_edu.viz.palette import STATES, state_index

HERE = Path(__file__).parent
STEPS = ("place", "anchor", "label", "move", "pooled", "answer")
LABEL_NAMES = {POSITIVE: "positive", NEGATIVE: "negative", IGNORED: "ignored"}
POOLED_SIZE = 7


class AnchorLife(BoxCanvas):
    """Follow one anchor of a photograph through six steps; click a place to follow the best anchor there.

    `anchors` is (A, 4), place by place; `matches` and `deltas`, (A, 4), say of each what training asks of it;
    `feature_map` is one channel, (H, W), `stride` pixels a cell. Starts with the anchor of highest IoU.
    Raises ValueError where the four do not fit together.
    """

    _esm = bundle(HERE / "anchor_life.js")
    _css = styles(HERE / "anchor_life.css")

    anchor = traitlets.Int(0, min=0).tag(sync=True)
    """Index of the anchor that is followed."""

    step = traitlets.Int(1, min=1, max=len(STEPS)).tag(sync=True)
    """How far its life is shown: 1 to 6, see `STEPS`."""

    progress = traitlets.Float(0.0, min=0, max=1).tag(sync=True)
    """How much of its deltas it has moved by."""

    stride = traitlets.Float(16.0).tag(sync=True)
    offset = traitlets.Float(0.0).tag(sync=True)
    map_size = traitlets.Tuple((1, 1)).tag(sync=True)
    """Rows and columns of the feature map."""

    anchors = ArrayTrait(lambda value, canvas: box_array(value), np.zeros((0, 4), np.float32))
    deltas = floats(4)
    labels = integers(np.int8)
    overlaps = floats()
    """(A,) the IoU of each anchor with the object it overlaps most, and in `matched` which one that is."""
    matched = integers(np.int32)
    high_threshold = traitlets.Float(Matcher.high_threshold).tag(sync=True)
    """The IoU from which an anchor is positive in its own right."""

    gt_boxes = ArrayTrait(lambda value, canvas: box_array(value), np.zeros((0, 4), np.float32))
    gt_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    feature_map = floats()

    def __init__(
        self, photo: Photo, anchors: Tensor, matches: Matches, deltas: Tensor, feature_map: Tensor, **traits: Any
    ) -> None:
        _check_parts(anchors, matches, deltas, feature_map)
        parts: dict[str, Any] = {
            "anchors": anchors,
            "deltas": deltas,
            "labels": matches.labels,
            "overlaps": matches.iou,
            "matched": matches.gt_index,
            "gt_boxes": photo.boxes,
            "gt_names": photo.label_names,
            "feature_map": feature_map,
            "map_size": tuple(feature_map.shape),
            "anchor": int(matches.iou.argmax()),
            "title": f"One anchor's life on the photograph {photo.name}",
        }
        super().__init__(photo.image, **parts | traits)

    @property
    def place(self) -> tuple[int, int]:
        """Row and column of the anchor on the feature map."""
        rows, columns = self.map_size
        anchors_a_place = len(self.anchors) // (rows * columns)
        return divmod(self.anchor // anchors_a_place, columns)

    @property
    def label(self) -> str:
        """Positive, negative or ignored."""
        return LABEL_NAMES[int(self.labels[self.anchor])]

    @property
    def proposal(self) -> Tensor:
        """The anchor, moved by `progress` of its deltas; one that is not positive stays: (4,)."""
        part = self.progress if self.label == "positive" else 0.0
        deltas = torch.tensor(self.deltas[[self.anchor]])  # (1, 4)
        return decode_boxes(part * deltas, torch.tensor(self.anchors[[self.anchor]]))[0]

    @property
    def pooled(self) -> Tensor:
        """The largest value of the feature map in each bin of the proposal: (7, 7)."""
        feature_map = torch.tensor(self.feature_map)[None, None]  # (1, 1, H, W)
        return roi_pool(feature_map, [self.proposal[None]], POOLED_SIZE, 1 / self.stride)[0, 0]

    def draw(self, axes: Axes) -> None:
        """The anchor in the look of its label, the object that it overlaps most, and its place."""
        truth = self.gt_boxes[self.matched[self.anchor]]
        for box, state in ((torch.tensor(truth), "ground truth"), (self.proposal, self.label)):
            outline(axes, box, STATES[state_index(state)])
        row, column = self.place
        center = (column + self.offset) * self.stride, (row + self.offset) * self.stride
        axes.plot(*center, "o", color="white", markeredgecolor="black")
        name, iou = self.gt_names[self.matched[self.anchor]], self.overlaps[self.anchor]
        text = f"anchor {self.anchor} at row {row}, column {column}: IoU {iou:.2f} with the {name}, {self.label}"
        axes.text(6, 6, text, **NOTE)

    def __repr__(self) -> str:
        return f"AnchorLife(anchor {self.anchor} of {len(self.anchors)}, {self.label}, step {STEPS[self.step - 1]})"

    @traitlets.validate("anchor")
    def _check_anchor(self, proposal: dict) -> int:
        if not 0 <= proposal["value"] < len(self.anchors):
            raise ValueError(f"anchor must be an index below {len(self.anchors)}, got {proposal['value']}")
        return proposal["value"]


def _check_parts(anchors: Tensor, matches: Matches, deltas: Tensor, feature_map: Tensor) -> None:
    count = len(anchors)
    if not len(matches.labels) == len(deltas) == count or count == 0:
        raise ValueError(
            f"one label and four deltas per anchor are needed, got {len(matches.labels)} labels and "
            f"{len(deltas)} deltas for {count} anchors"
        )
    if feature_map.ndim != 2 or count % feature_map.numel():
        raise ValueError(
            f"feature_map must be one channel (H, W) that holds the same number of the {count} anchors on every cell, "
            f"got {tuple(feature_map.shape)}"
        )
