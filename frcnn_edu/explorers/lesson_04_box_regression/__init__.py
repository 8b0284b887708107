"""Explorers of lesson 04: box regression under the hand (Faster R-CNN, section 3.1.2, equation 2).

`DeltaExplorer` holds an anchor, its object and the four deltas between them: drag the boxes and the deltas follow, drag
the deltas and the box follows. `PullExplorer` shows where a detector sent the anchors of one image at each snapshot of
its training.

The first computes in the browser, in the script named after it; the second shows boxes that the detector made, and the
script measures their IoU. What a script computes, a property here computes again with `frcnn_edu.boxes`; the browser
tests hold the two together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import traitlets
from torch import Tensor

from frcnn_edu.boxes import box_iou, decode_boxes, encode_boxes
from frcnn_edu.config import Config
from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.lesson_01_anchors import CSS, outline, with_panel
from frcnn_edu.explorers.wire import ArrayTrait, float_array
from frcnn_edu.faster_rcnn import FasterRCNN, Trace
from frcnn_edu.matching import POSITIVE
from frcnn_edu.viz.palette import GREEN, SKY_BLUE, VERMILION, YELLOW, State

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HERE = Path(__file__).parent

ANCHOR, OBJECT = 0, 1
"""The two boxes of a `DeltaExplorer`, by their index."""

PAIR = (State("anchor", SKY_BLUE, width=2.5), State("object", YELLOW, width=3))
"""How the two boxes of a `DeltaExplorer` look."""


class DeltaExplorer(BoxCanvas):
    """An anchor, an object, and the deltas that lead from one to the other; box and deltas can both be dragged.

    `anchor` and `target` are (4,) in pixels. Raises ValueError where one of them has no area.
    """

    _esm = bundle(HERE / "deltas.js")
    _css = CSS

    width = traitlets.Int(480, min=100).tag(sync=True)
    stay_inside = traitlets.Bool(False).tag(sync=True)

    weights = traitlets.Tuple(tuple(Config().bbox_reg_weights)).tag(sync=True)
    """What the second stage multiplies its deltas by."""

    _both = traitlets.List(traitlets.Float()).tag(sync=True, echo_update=False)
    """What the hand did to both boxes at once: 8 coordinates."""

    def __init__(self, image: object, anchor: object, target: object, **options: object) -> None:
        pair = torch.stack([torch.as_tensor(box, dtype=torch.float32) for box in (anchor, target)])  # (2, 4)
        encode_boxes(pair[OBJECT:], pair[:OBJECT])  # raises where a box has no area
        given = {"states": [ANCHOR, OBJECT], "palette": PAIR, "editable": True, "margin": 40}
        super().__init__(image, pair, **{**given, **options})

    @property
    def deltas(self) -> Tensor:
        """dx, dy, dw, dh, without weights: (4,); assign to move the object there."""
        anchor, target = self.box_tensor.split(1)
        return encode_boxes(target, anchor)[0]

    @deltas.setter
    def deltas(self, deltas: object) -> None:
        anchor = self.box_tensor[:OBJECT]
        moved = decode_boxes(torch.as_tensor(deltas, dtype=torch.float32)[None], anchor)  # (1, 4)
        self.boxes = torch.cat((anchor, moved))

    @property
    def weighted(self) -> Tensor:
        """The deltas times `weights`: what the second stage learns: (4,)."""
        anchor, target = self.box_tensor.split(1)
        return encode_boxes(target, anchor, self.weights)[0]

    @property
    def pixels(self) -> Tensor:
        """How far the centre must go, and how much width and height must grow, in pixels: (4,)."""
        return raw_offsets(self.box_tensor[OBJECT:], self.box_tensor[:OBJECT])[0]

    @property
    def iou(self) -> float:
        """Of the anchor with the object."""
        anchor, target = self.box_tensor.split(1)
        return box_iou(anchor, target).item()

    def scale(self, factor: float) -> None:
        """Scale anchor and object about the anchor's centre, as if the camera came nearer."""
        center = self.box_tensor[ANCHOR].unflatten(0, (2, 2)).mean(dim=0).repeat(2)  # (4,)
        self.boxes = center + factor * (self.box_tensor - center)

    @traitlets.observe("_both")
    def _take_both(self, change: dict) -> None:
        self._moved_by_hand = True
        try:
            self.boxes = np.reshape(change["new"], (2, 4))
        finally:
            self._moved_by_hand = False

    def draw(self, axes: "Axes") -> None:
        """The way from centre to centre, first in x, then in y."""
        (ax, ay), (gx, gy) = self.box_tensor.unflatten(1, (2, 2)).mean(dim=1).tolist()
        axes.plot([ax, gx, gx], [ay, ay, gy], color="white", linewidth=2)
        axes.plot([ax], [ay], "o", color=SKY_BLUE, markeredgecolor="black")


@dataclass(frozen=True)
class Pulls:
    """Where the positive anchors of one image were sent at each of S moments of training."""

    steps: tuple[int, ...]
    """The S training steps."""
    anchors: Tensor
    """(P, 4) in pixels."""
    targets: Tensor
    """(P, 4): the object that each should become."""
    boxes: Tensor
    """(S, P, 4): the anchors, moved by the deltas of each moment."""

    @property
    def iou(self) -> Tensor:
        """The IoU of each moved anchor with its object: (S, P)."""
        return torch.stack([box_iou(boxes, self.targets).diagonal() for boxes in self.boxes])


@torch.no_grad()
def pulls(models: Mapping[int, FasterRCNN], image: Tensor, target: Mapping[str, Tensor]) -> Pulls:
    """What the region proposal network of each of {step: model} makes of the image's positive anchors.

    `image` is (3, H, W) in [0, 1], `target` its boxes and labels. Raises ValueError where there is no object.
    """
    if len(target["boxes"]) == 0:
        raise ValueError("an image without objects has no positive anchors: choose another one")
    moved = []
    for model in models.values():
        trace = model.eval().trace([image], [dict(target)])
        matches, anchors = trace.rpn.targets[0].matches, trace.rpn.anchors
        positive = (matches.labels == POSITIVE).nonzero().squeeze(1)  # (P,)
        decoded = decode_boxes(trace.rpn.deltas[0, positive], anchors[positive])  # (P, 4)
        moved.append(trace.batch.to_original(decoded, 0))
    anchors = trace.batch.to_original(anchors[positive], 0)  # (P, 4)
    return Pulls(tuple(models), anchors, target["boxes"][matches.gt_index[positive]], torch.stack(moved))


def trained_pulls(trace: Trace, boxes: Tensor) -> Pulls:
    """Two moments of one network alone: 0, the positive anchors where they stand, and 1, where the network sends them.

    `trace` has targets, and `boxes` are theirs. Raises ValueError where there is no object.
    """
    if len(boxes) == 0:
        raise ValueError("an image without objects has no positive anchors: choose another one")
    matches = trace.rpn.targets[0].matches
    positive = (matches.labels == POSITIVE).nonzero().squeeze(1)  # (P,)
    anchors = trace.rpn.anchors[positive]
    moved = torch.stack((anchors, decode_boxes(trace.rpn.deltas[0, positive].detach(), anchors)))  # (2, P, 4)
    moved = torch.stack([trace.batch.to_original(one, 0) for one in moved])
    return Pulls((0, 1), moved[0], boxes[matches.gt_index[positive]], moved)


def raw_offsets(gt_boxes: Tensor, anchors: Tensor) -> Tensor:
    """Deltas in bare pixels: shifts of the centre, growth of width and height: (N, 4), (N, 4) -> (N, 4)."""
    (g1, g2), (a1, a2) = (boxes.float().chunk(2, dim=1) for boxes in (gt_boxes, anchors))  # (N, 2) each
    return torch.cat(((g1 + g2) / 2 - (a1 + a2) / 2, (g2 - g1) - (a2 - a1)), dim=1)


def _most_improved(found: Pulls) -> int:
    """The anchor whose IoU grew most between the first moment and the last."""
    return int((found.iou[-1] - found.iou[0]).argmax())


def _box_rows(value: object, canvas: BoxCanvas) -> np.ndarray:
    return float_array(value, "boxes", 4)


class PullExplorer(BoxCanvas):
    """The positive anchors of an image, pulled to their objects while the detector learns: scrub through its training.

    `found` is what `pulls` returned for this image; the anchor that gains most is followed at first.
    Raises ValueError where there is none.
    """

    _esm = bundle(HERE / "pull.js")
    _css = CSS

    width = traitlets.Int(440, min=100).tag(sync=True)

    snapshot = traitlets.Int(0, min=0).tag(sync=True)
    """Which of the moments is shown."""

    anchor = traitlets.Int(0, min=0).tag(sync=True)
    """Which of the positive anchors is followed."""

    everyone = traitlets.Bool(False).tag(sync=True)
    """Whether the other positive anchors are shown, too."""

    steps = traitlets.Tuple().tag(sync=True)
    """The training step of each moment."""

    anchor_boxes = ArrayTrait(_box_rows, np.zeros((0, 4), np.float32))
    """(P, 4): the anchors themselves."""

    target_boxes = ArrayTrait(_box_rows, np.zeros((0, 4), np.float32))
    """(P, 4): the object of each."""

    moved_boxes = ArrayTrait(_box_rows, np.zeros((0, 4), np.float32))
    """(S * P, 4): where each was sent, moment by moment."""

    def __init__(self, image: object, boxes: object, found: Pulls, **options: object) -> None:
        if len(found.anchors) == 0:
            raise ValueError("there is no positive anchor to follow: choose an image with an object")
        self._found = found
        sent = {"steps": found.steps, "anchor_boxes": found.anchors, "target_boxes": found.targets}
        sent |= {"moved_boxes": found.boxes.flatten(0, 1), "anchor": _most_improved(found)}
        super().__init__(image, boxes, states="ground truth", **{**sent, **options})

    @property
    def moved(self) -> Tensor:
        """Where the anchors lie at this moment: (P, 4)."""
        return self._found.boxes[self.snapshot]

    @property
    def iou(self) -> float:
        """Of the followed anchor, as it lies now, with its object."""
        return self._found.iou[self.snapshot, self.anchor].item()

    @property
    def mean_iou(self) -> float:
        """Of all positive anchors, as they lie now, with their objects."""
        return self._found.iou[self.snapshot].mean().item()

    @traitlets.validate("snapshot", "anchor")
    def _check_index(self, proposal: dict) -> int:
        name, index = proposal["trait"].name, proposal["value"]
        count = len(self._found.steps if name == "snapshot" else self._found.anchors)
        if index >= count:
            raise traitlets.TraitError(f"{name} counts from 0 to {count - 1}, got {index}")
        return index

    def draw(self, axes: "Axes") -> None:
        """The followed anchor, and where it lies now."""
        outline(axes, self._found.anchors[self.anchor], "--", SKY_BLUE)
        for box in self.moved if self.everyone else self.moved[[self.anchor]]:
            outline(axes, box, "-", GREEN, width=1)
        outline(axes, self.moved[self.anchor], "-", VERMILION, width=2)

    def figure(self) -> "Figure":
        """The canvas, and IoU over the training below it."""
        figure, axes = with_panel(super().figure(), 190)
        iou, places = self._found.iou, range(len(self.steps))
        axes.plot(places, iou, color=GREEN, linewidth=0.6, alpha=0.4)
        axes.plot(places, iou.mean(dim=1), "--", color="black", label="mean")
        axes.plot(places, iou[:, self.anchor], "-", color=VERMILION, linewidth=2, label="this anchor")
        axes.axvline(self.snapshot, color="black", linewidth=1)
        axes.set_xticks(places, self.steps)
        axes.set(xlabel="training step", ylabel="IoU with its object", ylim=(0, 1.02))
        axes.legend(frameon=False, fontsize=8)
        return figure
