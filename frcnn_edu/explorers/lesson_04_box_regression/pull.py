"""Anchors pulled to their objects while the detector learns."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from frcnn_edu.boxes import box_iou, decode_boxes
from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.figure import outline, with_panel
from frcnn_edu.explorers.wire import floats
from frcnn_edu.faster_rcnn import FasterRCNN, Trace
from frcnn_edu.matching import POSITIVE, Matches
from frcnn_edu.viz.palette import GREEN, LOOKS, VERMILION

HERE = Path(__file__).parent


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
        matches, anchors = _matches(trace), trace.rpn.anchors
        positive = (matches.labels == POSITIVE).nonzero().squeeze(1)  # (P,)
        decoded = decode_boxes(trace.rpn.deltas[0, positive], anchors[positive])  # (P, 4)
        moved.append(trace.batch.to_original(decoded, 0))
    anchors = trace.batch.to_original(anchors[positive], 0)  # (P, 4)
    return Pulls(tuple(models), anchors, target["boxes"][matches.gt_index[positive]], torch.stack(moved))


def trained_pulls(trace: Trace, boxes: Tensor) -> Pulls:
    """Two moments of one network alone: 0, the positive anchors where they stand, and 1, where the network sends them.

    `trace` has targets, and `boxes` are theirs. Raises ValueError without targets, or where there is no object.
    """
    if len(boxes) == 0:
        raise ValueError("an image without objects has no positive anchors: choose another one")
    matches = _matches(trace)
    positive = (matches.labels == POSITIVE).nonzero().squeeze(1)  # (P,)
    anchors = trace.rpn.anchors[positive]
    moved = torch.stack((anchors, decode_boxes(trace.rpn.deltas[0, positive].detach(), anchors)))  # (2, P, 4)
    moved = torch.stack([trace.batch.to_original(one, 0) for one in moved])
    return Pulls((0, 1), moved[0], boxes[matches.gt_index[positive]], moved)


def _matches(trace: Trace) -> Matches:
    if trace.rpn.targets is None:
        raise ValueError("trace has no targets: call model.trace([image], [target])")
    return trace.rpn.targets[0].matches


def _most_improved(found: Pulls) -> int:
    """The anchor whose IoU grew most between the first moment and the last."""
    return int((found.iou[-1] - found.iou[0]).argmax())


class PullExplorer(BoxCanvas):
    """The positive anchors of an image, pulled to their objects while the detector learns: scrub through its training.

    `found` is what `pulls` returned for this image; the anchor that gains most is followed at first.
    Raises ValueError where there is none.
    """

    _esm = bundle(HERE / "pull.js")

    width = traitlets.Int(440, min=100).tag(sync=True)

    snapshot = traitlets.Int(0, min=0).tag(sync=True)
    """Which of the moments is shown."""

    anchor = traitlets.Int(0, min=0).tag(sync=True)
    """Which of the positive anchors is followed."""

    everyone = traitlets.Bool(False).tag(sync=True)
    """Whether the other positive anchors are shown, too."""

    steps = traitlets.Tuple().tag(sync=True)
    """The training step of each moment."""

    anchor_boxes = floats(4)
    """(P, 4): the anchors themselves."""

    target_boxes = floats(4)
    """(P, 4): the object of each."""

    moved_boxes = floats(4)
    """(S * P, 4): where each was sent, moment by moment."""

    def __init__(self, image: object, boxes: object, found: Pulls, **options: Any) -> None:
        if len(found.anchors) == 0:
            raise ValueError("there is no positive anchor to follow: choose an image with an object")
        self._found = found
        sent: dict[str, Any] = {"steps": found.steps, "anchor_boxes": found.anchors, "target_boxes": found.targets}
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

    def draw(self, axes: Axes) -> None:
        """The followed anchor, and where it lies now."""
        outline(axes, self._found.anchors[self.anchor], LOOKS["start"])
        for box in self.moved if self.everyone else self.moved[[self.anchor]]:
            outline(axes, box, LOOKS["others"])
        outline(axes, self.moved[self.anchor], LOOKS["followed"])

    def figure(self) -> Figure:
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
