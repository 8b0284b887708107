"""Every anchor of an image, by how well it fits the object that it overlaps most."""

from pathlib import Path
from typing import Any

import traitlets
from matplotlib.axes import Axes
from torch import Tensor

from frcnn_edu.boxes import pairwise_iou
from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.figure import outline
from frcnn_edu.explorers.lesson_01_anchors.anchor_canvas import AnchorCanvas
from frcnn_edu.explorers.paper import HIGH, LOW
from frcnn_edu.viz.palette import FINE_DOTS, GREEN, GREY, SHORT_DASHES, STATES, VERMILION, State, state_index

HERE = Path(__file__).parent
USE_STATES = (
    STATES[state_index("ground truth")],
    State("useful", GREEN, width=1.5),
    State("so-so", GREY, FINE_DOTS, width=1),
    State("useless", VERMILION, SHORT_DASHES, width=1),
)
"""An anchor by its IoU with the object that it overlaps most: from `HIGH` on, between, below `LOW`."""


class UsefulExplorer(AnchorCanvas):
    """All anchors of an image, sorted by how well they fit the object that they overlap most.

    Only the useful ones are shown at first: the legend brings back the others.
    """

    _esm = bundle(HERE / "useful_anchors.js")

    hidden_states = traitlets.List(traitlets.Int(), [2, 3]).tag(sync=True)

    def __init__(self, image: object, boxes: object, **options: Any) -> None:
        super().__init__(image, boxes, editable=True, **{"palette": USE_STATES} | options)

    @property
    def best_iou(self) -> Tensor:
        """The IoU of every anchor with the object that it overlaps most: (H * W * A,)."""
        overlaps = pairwise_iou(self.anchors, self.box_tensor)  # (H * W * A, G)
        return overlaps.amax(dim=1) if overlaps.shape[1] else overlaps.new_zeros(len(overlaps))

    @property
    def counts(self) -> dict[str, int]:
        """How many anchors there are, reach `HIGH` with an object, and do not even reach `LOW`."""
        iou = self.best_iou
        return {"all": len(iou), "high": int((iou >= HIGH).sum()), "low": int((iou < LOW).sum())}

    def draw(self, axes: Axes) -> None:
        """The useful anchors."""
        for anchor in self.anchors[self.best_iou >= HIGH]:
            outline(axes, anchor, USE_STATES[1])
