"""Non-maximum suppression, one box at a time."""

from collections.abc import Sized
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import traitlets
from matplotlib.axes import Axes
from torch import Tensor

from frcnn_edu.boxes import nms, nms_suppressors
from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.explorers.bundle import bundle, styles
from frcnn_edu.explorers.still import Still
from frcnn_edu.explorers.wire import float_array
from frcnn_edu.viz.palette import DASH_DOT, GREEN, PURPLE, SKY_BLUE, State

HERE = Path(__file__).parent
NMS_STATES = (
    State("waiting", SKY_BLUE, width=1),
    State("kept", GREEN, width=2),
    State("suppressed", PURPLE, dash=DASH_DOT, width=1.5),
)


class NmsExplorer(BoxCanvas):
    """Non-maximum suppression of (N, 4) boxes with (N,) scores, one box at a time.

    Every box has one moment: it is kept, or the best kept box suppresses it. `step` counts these moments from 0, all
    waiting, to N, all done. Boxes may be `editable`, and dragged. Raises ValueError where a box has no score.
    """

    _esm = bundle(HERE / "nms.js")
    _css = styles(HERE / "proposals.css")

    threshold = traitlets.Float(0.7, min=0, max=1).tag(sync=True)
    """IoU above which a kept box suppresses another one."""

    step = traitlets.Int(0, min=0).tag(sync=True)
    width = traitlets.Int(520, min=100).tag(sync=True)

    def __init__(self, image: object, boxes: Sized, scores: Sized, **options: Any) -> None:
        if len(scores) != len(boxes) or np.isnan(float_array(scores, "scores")).any():
            raise ValueError("NMS starts from the best score: give one for each box")
        parts: dict[str, Any] = {"palette": NMS_STATES, "step": len(boxes)}
        super().__init__(image, boxes, scores=scores, **parts | options)

    @property
    def kept(self) -> Tensor:
        """Indices of the boxes that are kept in the end, best first: (K,) int64."""
        return nms(self.box_tensor, torch.tensor(self.scores), self.threshold)

    @property
    def suppressed_by(self) -> Tensor:
        """For every box the kept box that suppresses it, or -1: (N,) int64."""
        return nms_suppressors(self.box_tensor, self.kept, self.threshold)

    @property
    def moments(self) -> Tensor:
        """The boxes in the order of their moments, each kept one before those that it suppresses: (N,) int64."""
        kept, by = self.kept, self.suppressed_by
        place = torch.full_like(by, -1)
        place[kept] = torch.arange(len(kept))
        leader = place[torch.where(by < 0, torch.arange(len(by)), by)]  # (N,)
        rank = torch.tensor(self.scores).argsort(descending=True, stable=True).argsort()  # (N,)
        return (leader * (len(by) + 1) + rank.where(by >= 0, -1)).argsort()

    def still(self) -> Still:
        """The canvas with the states of this step; the browser computes its own."""
        final = torch.where(self.suppressed_by < 0, 1, 2)  # (N,)
        states = torch.zeros_like(final)
        done = self.moments[: self.step]
        states[done] = final[done]
        return replace(super().still(), states=states.numpy().astype(np.uint8))

    @traitlets.validate("step")
    def _check_step(self, proposal: dict) -> int:
        return min(proposal["value"], len(self.boxes))

    def draw(self, axes: Axes) -> None:
        """A line from each suppressed box to the one that suppressed it."""
        centers = (self.boxes[:, :2] + self.boxes[:, 2:]) / 2
        by = self.suppressed_by
        for index in self.moments[: self.step].tolist():
            if by[index] >= 0:
                axes.plot(*centers[[index, by[index]]].T, color="white", linewidth=0.6, alpha=0.7)
