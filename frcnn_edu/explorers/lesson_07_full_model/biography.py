"""Where each detection came from: its proposal, its anchor, its cell."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import traitlets
from torch import Tensor

from frcnn_edu.boxes import box_iou
from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.explorers.bundle import bundle, styles
from frcnn_edu.explorers.still import Still
from frcnn_edu.faster_rcnn import Trace
from frcnn_edu.viz.palette import (
    DASH_DOT,
    GREY,
    ORANGE,
    PURPLE,
    SHORT_DASHES,
    SKY_BLUE,
    STATES,
    State,
    state_index,
)

HERE = Path(__file__).parent
LIFE_STATES = (
    State("detections", GREY, width=1.5),
    STATES[state_index("ground truth")],
    State("anchor", SKY_BLUE, dash=SHORT_DASHES, width=2.5),
    State("proposal", PURPLE, dash=DASH_DOT, width=2.5),
    State("the chosen one", ORANGE, width=3),
)


class BiographyExplorer(BoxCanvas):
    """Pick a detection, and follow it back: its proposal, its anchor, the cell where it all began.

    `trace` is of this one image, `target` the truth. Starts with the surest detection.
    Raises ValueError where nothing scores `least_score`, or for a trace in training.
    """

    _esm = bundle(HERE / "biography.js")
    _css = styles(HERE / "full_model.css")

    chosen = traitlets.Int(0, min=0).tag(sync=True)
    """Which detection, best first."""

    age = traitlets.Float(2.0, min=0, max=2).tag(sync=True)
    """How far its life is shown: 0 the anchor, 1 the proposal, 2 the detection, and in between the moves."""

    lives: traitlets.List[dict] = traitlets.List().tag(sync=True)
    """For each detection what there is to tell: a dict of plain numbers, as in `life`."""

    def __init__(
        self,
        image: Tensor,
        trace: Trace,
        target: Mapping[str, Tensor],
        class_names: Sequence[str],
        least_score: float = 0.5,
        **traits: Any,
    ) -> None:
        lives = biographies(trace, target, class_names, least_score)
        if not lives:
            raise ValueError(f"no detection scores {least_score} or more: there is no life to tell")
        boxes = torch.tensor([life["detection"] for life in lives])
        captions = [f"{life['name']} {life['score']:.2f}" for life in lives]
        parts: dict[str, Any] = {
            "lives": lives,
            "palette": LIFE_STATES,
            "width": 480,
            "title": "Detections, each with its proposal and its anchor",
        }
        super().__init__(image, boxes, 0, captions=captions, **parts | traits)

    @property
    def life(self) -> dict:
        """What there is to tell of the chosen detection."""
        return self.lives[self.chosen]

    @property
    def box(self) -> Tensor:
        """The box at `age`, on the straight way between anchor, proposal and detection: (4,)."""
        stops = [torch.tensor(self.life[name]) for name in ("anchor", "proposal", "detection")]
        before = min(int(self.age), 1)
        return torch.lerp(stops[before], stops[before + 1], self.age - before)

    @property
    def iou(self) -> float:
        """Of that box with the object that the detection overlaps most."""
        return box_iou(self.box[None], torch.tensor([self.life["truth"]])).item()

    def still(self) -> Still:
        """The detections, and of the chosen one the object, the anchor, the proposal and the box at its age."""
        stops = torch.tensor([self.life[name] for name in ("truth", "anchor", "proposal")])
        boxes = torch.cat((self.box_tensor, stops, self.box[None])).numpy()  # (D + 4, 4)
        names = ("ground truth", "anchor", "proposal", "the chosen one")
        states = [0] * len(self.boxes) + [state_index(name, LIFE_STATES) for name in names]
        points = np.array([self.life["center"]], np.float32)
        return replace(super().still(), boxes=boxes, states=np.array(states, np.uint8), points=points)


def biographies(
    trace: Trace, target: Mapping[str, Tensor], class_names: Sequence[str], least_score: float
) -> list[dict]:
    """The lives of the detections of a trace's first image that score `least_score` or more, best first.

    Raises ValueError for a trace in training, which has no detections.
    """
    if trace.detections is None or trace.roi is None:
        raise ValueError("trace has no detections: take it in evaluation mode, model.eval().trace([image])")
    found, rpn, rois = trace.detections[0], trace.rpn, trace.roi
    proposals = rpn.proposals[0]
    ranks = rpn.logits[0].argsort(descending=True).argsort()  # (A,)
    probabilities = rois.class_logits.softmax(dim=1)  # (P, K)
    lives = []
    for i in (found.scores >= least_score).nonzero().flatten().tolist():
        anchor, proposal = int(found.anchor_index[i]), int(found.proposal_index[i])
        row, column, which = _place(anchor, rpn.level_sizes)
        box = trace.batch.to_original(rpn.anchors[anchor][None], 0)  # (1, 4)
        truth = target["boxes"][box_iou(found.boxes[i][None], target["boxes"])[0].argmax()]
        life = {
            "index": anchor,
            "cell": [row, column],
            "which": which,
            "center": ((box[0, :2] + box[0, 2:]) / 2).tolist(),
            "objectness": rpn.logits[0, anchor].sigmoid().item(),
            "rank": int(ranks[anchor]) + 1,
            "num_anchors": len(rpn.anchors),
            "proposal_index": proposal,
            "anchor": box[0].tolist(),
            "proposal": trace.batch.to_original(proposals.boxes[proposal][None], 0)[0].tolist(),
            "detection": found.boxes[i].tolist(),
            "truth": truth.tolist(),
            "name": class_names[int(found.labels[i])],
            "score": found.scores[i].item(),
            "runners_up": _runners_up(probabilities[proposal], class_names),
        }
        lives.append(life)
    return lives


def _place(anchor: int, level_sizes: Sequence[tuple[int, int, int]]) -> tuple[int, int, int]:
    """Row and column of an anchor on its level of the pyramid, and which of the cell's anchors it is."""
    for per_cell, rows, columns in level_sizes:
        if anchor < per_cell * rows * columns:
            break
        anchor -= per_cell * rows * columns
    return *divmod(anchor // per_cell, columns), anchor % per_cell


def _runners_up(probabilities: Tensor, class_names: Sequence[str]) -> list[list]:
    best = probabilities.topk(3)
    return [
        [class_names[label], share] for share, label in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
