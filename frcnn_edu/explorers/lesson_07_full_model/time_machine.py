"""One scene as the detector saw it at each snapshot of its training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import traitlets
from torch import Tensor

from frcnn_edu.explorers.base import BoxCanvas, heatmap_parts
from frcnn_edu.explorers.bundle import bundle, styles
from frcnn_edu.explorers.lesson_07_full_model.verdicts import (
    FILM_STATES,
    FOUND,
    PROPOSAL,
    RIGHT,
    TRUTH,
    WRONG,
    num_right,
    right_ones,
)
from frcnn_edu.explorers.still import Still
from frcnn_edu.explorers.wire import floats
from frcnn_edu.faster_rcnn import FasterRCNN
from frcnn_edu.training.metrics import recall_at
from frcnn_edu.viz.palette import COLOR_MAP

HERE = Path(__file__).parent
MOST_PROPOSALS = 50
"""How many proposals of each snapshot travel to the browser, best first."""
LEAST_SCORE = 0.1
"""Detections below are not sent: nobody looks at them."""
OBJECTNESS_ALPHA = 0.55


@dataclass(frozen=True)
class Snapshot:
    """What a detector made of one image after `step` steps of training; boxes in pixels of that image."""

    step: int
    objectness: Tensor
    """(H, W) in [0, 1]: at each cell the most that any of its anchors scores."""
    proposals: Tensor
    """(P, 4), best first."""
    detections: Mapping[str, Tensor]
    """boxes (N, 4), labels (N,), scores (N,), best first."""


@torch.no_grad()
def take_snapshot(model: FasterRCNN, step: int, image: Tensor) -> Snapshot:
    """What `model` makes of an image, (3, H, W), now; of a pyramid the finest level's objectness is kept."""
    trace = model.eval().trace([image])
    per_cell, rows, columns = trace.rpn.level_sizes[0]
    logits = trace.rpn.logits[0, : per_cell * rows * columns].view(rows, columns, per_cell)
    proposals = trace.batch.to_original(trace.rpn.proposals[0].boxes, 0)  # (P, 4)
    (found,) = trace.detections or []
    detections = {"boxes": found.boxes, "labels": found.labels, "scores": found.scores}
    return Snapshot(step, logits.amax(dim=2).sigmoid(), proposals, detections)


def _rows(detections: Mapping[str, Tensor]) -> Tensor:
    """Detections worth a look as x1, y1, x2, y2, label, score: (N, 6)."""
    sure = detections["scores"] >= LEAST_SCORE
    return torch.cat((detections["boxes"], detections["labels"][:, None], detections["scores"][:, None]), dim=1)[sure]


class TimeMachine(BoxCanvas):
    """One scene as the detector saw it at each of its snapshots: objectness, proposals and detections form.

    `target` is the truth, boxes (G, 4) and labels (G,); `class_names[label]` names a label.
    Raises ValueError without a snapshot, or where their maps differ in shape.
    """

    _esm = bundle(HERE / "time_machine.js")
    _css = styles(HERE / "full_model.css")

    steps = traitlets.Tuple().tag(sync=True)
    """The steps of training at which the snapshots were taken."""

    snapshot = traitlets.Int(0, min=0).tag(sync=True)
    """Which of them is shown."""

    num_proposals = traitlets.Int(12, min=0, max=MOST_PROPOSALS).tag(sync=True)
    """How many proposals are shown, the best."""

    threshold = traitlets.Float(0.5, min=LEAST_SCORE, max=1).tag(sync=True)
    """Detections that score less are hidden."""

    show_objectness = traitlets.Bool(True).tag(sync=True)
    class_names = traitlets.Tuple().tag(sync=True)
    truth_labels = traitlets.Tuple().tag(sync=True)
    map_size = traitlets.Tuple((1, 1)).tag(sync=True)
    stride = traitlets.Float(16.0).tag(sync=True)

    objectness = floats(None)
    """(S, H, W)."""
    proposals = floats(4)
    """(S * P, 4), snapshot after snapshot."""
    detections = floats(6)
    """(N, 6): x1, y1, x2, y2, label, score; `detection_counts` of them are each snapshot's."""
    proposal_counts = traitlets.Tuple().tag(sync=True)
    detection_counts = traitlets.Tuple().tag(sync=True)

    def __init__(
        self,
        image: Tensor,
        target: Mapping[str, Tensor],
        snapshots: Sequence[Snapshot],
        class_names: Sequence[str],
        **traits: Any,
    ) -> None:
        if len({tuple(one.objectness.shape) for one in snapshots}) != 1:
            raise ValueError(
                "the time machine needs at least one snapshot, and all of one image: their maps must agree"
            )
        proposals = [one.proposals[:MOST_PROPOSALS] for one in snapshots]
        detections = [_rows(one.detections) for one in snapshots]
        rows, columns = snapshots[0].objectness.shape
        self.target = target
        parts: dict[str, Any] = {
            "steps": tuple(one.step for one in snapshots),
            "class_names": tuple(class_names),
            "truth_labels": tuple(target["labels"].tolist()),
            "map_size": (rows, columns),
            "stride": image.shape[1] / rows,
            "objectness": torch.stack([one.objectness for one in snapshots]),
            "proposals": torch.cat(proposals),
            "detections": torch.cat(detections),
            "proposal_counts": tuple(map(len, proposals)),
            "detection_counts": tuple(map(len, detections)),
            "snapshot": len(snapshots) - 1,
            "palette": FILM_STATES,
            "width": 480,
            "title": "The scene through the detector's eyes, while it learns",
        }
        captions = [class_names[label] for label in target["labels"].tolist()]
        super().__init__(image, target["boxes"], TRUTH, captions=captions, **parts | traits)

    @property
    def shown_proposals(self) -> Tensor:
        """The best proposals of the snapshot: (num_proposals, 4), or as many as there are."""
        return _part(self.proposals, self.proposal_counts, self.snapshot)[: self.num_proposals]

    @property
    def shown_detections(self) -> Tensor:
        """Its detections from `threshold` on: (N, 6)."""
        rows = _part(self.detections, self.detection_counts, self.snapshot)
        return rows[rows[:, 5] >= np.float32(self.threshold)]

    @property
    def num_reached(self) -> int:
        """How many objects some shown proposal overlaps by 0.5."""
        (share,) = recall_at([self.shown_proposals], [self.target], [FOUND]).tolist()
        return round(share * len(self.truth_labels)) if self.truth_labels else 0

    @property
    def num_right(self) -> int:
        """How many shown detections are right: overlap 0.5, the right name, the first to find the object."""
        return num_right(self.shown_detections, self.target)

    def still(self) -> Still:
        """The snapshot: objectness, objects, proposals and detections."""
        rows = self.shown_detections
        finds = [RIGHT if right else WRONG for right in right_ones(rows, self.target).tolist()]
        boxes = torch.cat((self.box_tensor, self.shown_proposals, rows[:, :4])).numpy()
        states = [TRUTH] * len(self.boxes) + [PROPOSAL] * len(self.shown_proposals) + finds
        parts: dict[str, Any] = {"boxes": boxes, "states": np.array(states, np.uint8), "captions": ()}
        if self.show_objectness:
            objectness = self.objectness[self.snapshot]
            parts |= heatmap_parts(objectness, self.stride, OBJECTNESS_ALPHA, COLOR_MAP, offset=0)
        return replace(super().still(), **parts)


def _part(rows: np.ndarray, counts: Sequence[int], index: int) -> Tensor:
    start = sum(counts[:index])
    return torch.tensor(rows[start : start + counts[index]])
