"""Which detections are right, as `training.metrics` counts."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from frcnn_edu.training.metrics import evaluate
from frcnn_edu.viz.palette import DASHED, ORANGE, SKY_BLUE, STATES, VERMILION, State, state_index

HERE = Path(__file__).parent
FOUND = 0.5
"""The IoU from which a box has found an object."""
TRUTH, PROPOSAL, RIGHT, WRONG = range(4)
FILM_STATES = (
    STATES[state_index("ground truth")],
    State("proposal", SKY_BLUE, width=1),
    State("right detection", ORANGE, width=3),
    State("wrong detection", VERMILION, dash=DASHED, width=2.5),
)
"""What the time machine and the zoo show, in this order."""


def _as_detections(rows: Tensor) -> dict[str, Tensor]:
    return {"boxes": rows[:, :4], "labels": rows[:, 4].long(), "scores": rows[:, 5]}


def right_ones(rows: Tensor, target: Mapping[str, Tensor]) -> Tensor:
    """Which detections, rows of x1, y1, x2, y2, label, score, are right at IoU 0.5: (N, 6) -> (N,) bool.

    As `metrics` counts: taken one by one, best first, a right one is one that adds to what was found before it.
    """
    order = rows[:, 5].argsort(descending=True, stable=True)
    counts = [num_right(rows[order[:count]], target) for count in range(len(rows) + 1)]
    right = torch.zeros(len(rows), dtype=torch.bool)
    right[order] = torch.tensor(counts).diff().bool()
    return right


def num_right(rows: Tensor, target: Mapping[str, Tensor]) -> int:
    """How many detections, (N, 6), are right."""
    measured = evaluate([_as_detections(rows)], [target], iou_threshold=FOUND)
    found = {name: curve.recall[-1] if len(curve.recall) else 0 for name, curve in measured.curves.items()}
    return round(sum(found[name] * measured.ground_truths[name] for name in found))
