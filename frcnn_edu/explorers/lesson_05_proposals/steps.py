"""One image's boxes from step to step."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import traitlets
from torch import Tensor

from frcnn_edu.boxes import box_iou, clip_boxes, decode_boxes
from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.explorers.bundle import bundle, styles
from frcnn_edu.explorers.lesson_05_proposals.proposal_steps import STEPS, ProposalSteps, _choose
from frcnn_edu.explorers.still import Still
from frcnn_edu.explorers.wire import ArrayTrait, box_array, floats
from frcnn_edu.faster_rcnn import Trace
from frcnn_edu.images import resize_boxes
from frcnn_edu.viz.palette import (
    FINE_DOTS,
    GREY,
    LONG_DASHES,
    PURPLE,
    SHORT_DASHES,
    SKY_BLUE,
    STATES,
    VERMILION,
    State,
    state_index,
)

HERE = Path(__file__).parent
REACHED = 0.7
"""IoU from which a box has reached an object, in the table of `StepsExplorer`."""
TRUTH = STATES[state_index("ground truth")]
REACHED_OBJECT, MISSED_OBJECT = 3, 4
STEP_STATES = (
    State("still here", SKY_BLUE, width=1),
    State("dropped by this step", VERMILION, dash=SHORT_DASHES, width=1.5),
    State("not drawn", GREY, dash=FINE_DOTS, width=1),
    replace(TRUTH, key="object reached", label="object reached"),
    State("object not reached", PURPLE, dash=LONG_DASHES, width=3),
)
"""A box is not drawn if an earlier step dropped it, or if too many with better scores are drawn already."""


class StepsExplorer(BoxCanvas):
    """One image's boxes, step by step, with sliders for what each step is told.

    `trace` is one pass of a detector of one level, `index` the image in it; `image` and its `objects`, (G, 4), are as
    they were handed in. Raises ValueError where the detector has several levels.
    """

    _esm = bundle(HERE / "steps.js")
    _css = styles(HERE / "proposals.css")

    step = traitlets.Int(0, min=0, max=len(STEPS) - 1).tag(sync=True)
    """Which of `STEPS` is shown."""

    smallest = traitlets.Float(0.0, min=0).tag(sync=True)
    """Boxes with a shorter side, in pixels, are dropped."""

    top_n = traitlets.Int(600, min=1).tag(sync=True)
    threshold = traitlets.Float(0.7, min=0, max=1).tag(sync=True)
    """IoU above which NMS suppresses."""

    limit = traitlets.Int(100, min=1).tag(sync=True)
    """How many boxes NMS keeps at most."""

    drawn = traitlets.Int(150, min=1).tag(sync=True)
    """How many boxes of a kind are drawn, the best: ten thousand would hide the picture."""

    anchors = ArrayTrait(lambda value, canvas: box_array(value), np.zeros((0, 4), np.float32))
    decoded = ArrayTrait(lambda value, canvas: box_array(value), np.zeros((0, 4), np.float32))
    logits = floats()
    """(A,) float32: the network's opinion of each anchor."""

    step_names = traitlets.Tuple(STEPS).tag(sync=True)
    width = traitlets.Int(520, min=100).tag(sync=True)
    margin = traitlets.Int(32, min=0).tag(sync=True)

    def __init__(self, image: Tensor, trace: Trace, objects: Tensor, index: int = 0, **options: Any) -> None:
        if len(trace.rpn.level_sizes) > 1:
            raise ValueError("StepsExplorer follows the boxes of one level; this detector has several")
        size = trace.batch.sizes[index]
        objects = resize_boxes(objects, trace.batch.original_sizes[index], size)  # (G, 4)
        image = F.interpolate(image[None], size, mode="bilinear", antialias=True)[0].clamp(0, 1)
        anchors, deltas = trace.rpn.anchors, trace.rpn.deltas[index].detach()
        parts: dict[str, Any] = {
            "anchors": anchors,
            "decoded": decode_boxes(deltas, anchors),
            "logits": trace.rpn.logits[index],
        }
        options = {"palette": STEP_STATES, "hidden_states": [1, 2]} | options
        super().__init__(image, torch.cat((anchors, objects)), **parts, **options)

    @property
    def objects(self) -> Tensor:
        """The ground truth, on the resized image: (G, 4)."""
        return self.box_tensor[len(self.anchors) :]

    @property
    def steps(self) -> ProposalSteps:
        """What is left after each step."""
        decoded = torch.tensor(self.decoded)
        clipped = clip_boxes(decoded, self.image.shape[:2])
        left = _choose(clipped, torch.tensor(self.logits), self.smallest, self.threshold, self.top_n, self.limit)
        return ProposalSteps((torch.tensor(self.anchors), decoded, clipped), left)

    @property
    def counts(self) -> dict[str, int]:
        """How many boxes each step hands on."""
        return {name: len(left) for name, left in zip(STEPS, self.steps.left, strict=True)}

    @property
    def reached(self) -> dict[str, int]:
        """How many objects some box of the step reaches, with an IoU of `REACHED` or more."""
        return {name: int(self._objects_reached(number).sum()) for number, name in enumerate(STEPS)}

    def _objects_reached(self, step: int) -> Tensor:
        """Whether some box of the step reaches each object: (G,) bool."""
        return F.pad(box_iou(self.objects, self.steps[step]), (0, 1)).amax(dim=1) >= REACHED

    def still(self) -> Still:
        """The canvas with boxes where this step puts them, in the states that it gives; the browser has its own."""
        steps, number = self.steps, len(self.anchors)
        left, before = steps.left[self.step], steps.left[max(self.step - 1, 0)]
        dropped = before[~torch.isin(before, left)]
        states = np.full(number + len(self.objects), 2, np.uint8)
        states[dropped[: self.drawn]], states[left[: self.drawn]] = 1, 0
        states[number:] = torch.where(self._objects_reached(self.step), REACHED_OBJECT, MISSED_OBJECT)
        boxes = torch.cat((steps.boxes[min(self.step, 2)], self.objects)).numpy()
        return replace(super().still(), boxes=boxes, states=states)
