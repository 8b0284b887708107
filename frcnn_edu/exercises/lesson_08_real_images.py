"""Exercise of lesson 08: `shape_iou`, with what people write instead.

The recipe is written for the slips, not for beauty; `frcnn_edu.datasets.data_report` is the code to learn from.
"""

import torch
from torch import Tensor

from frcnn_edu.exercises.exercise import Exercise, Step

SHARED = Step(
    "shared",
    "smaller width times smaller height",
    {
        "smaller area": "The shared area is not the smaller of the two areas: a wide and a tall box share less. Take "
        "the smaller width and the smaller height, then multiply.",
        "larger sides": "It takes the larger of the two widths and heights; two boxes with one centre share the "
        "smaller ones.",
        "one side": "The shared area is a width alone, or a height alone: multiply the smaller width by the smaller "
        "height.",
    },
)
UNION = Step(
    "union",
    "both less the shared",
    {
        "both": "The shared area is counted twice in the union: area + area - shared.",
        "larger area": "It divides by the larger of the two areas; IoU divides by what both cover together.",
        "smaller area": "It divides by the smaller of the two areas, so a box inside another one gets 1; IoU divides "
        "by what both cover together.",
        "own area": "It divides by the area of the box alone; IoU divides by what both cover together.",
    },
)
RESULT = Step(
    "result",
    "iou",
    {
        "distance": "It returns 1 - IoU, the distance that k-means uses; the IoU itself is due.",
        "percent": "It returns percent; numbers from 0 to 1 are due.",
    },
)


def shape_iou_recipe(shapes: Tensor, others: Tensor, shared: str, union: str, result: str) -> Tensor:
    """The table of IoUs with every step taken as named: (N, 2), (K, 2) -> (N, K)."""
    (w1, h1), (w2, h2) = shapes[:, None].unbind(-1), others[None].unbind(-1)  # (N, 1), (1, K)
    first, second = (w1 * h1).expand(-1, len(others)), (w2 * h2).expand(len(shapes), -1)  # (N, K)
    common = {
        SHARED.right: torch.minimum(w1, w2) * torch.minimum(h1, h2),
        "smaller area": torch.minimum(first, second),
        "larger sides": torch.maximum(w1, w2) * torch.maximum(h1, h2),
        "one side": torch.minimum(w1, w2) + 0 * second,
    }[shared]
    covered = {
        UNION.right: first + second - common,
        "both": first + second,
        "larger area": torch.maximum(first, second),
        "smaller area": torch.minimum(first, second),
        "own area": first,
    }[union]
    iou = common / covered
    return {RESULT.right: iou, "distance": 1 - iou, "percent": 100 * iou}[result]


def explain_shape_iou(case: tuple, right: Tensor, answer: Tensor) -> str:
    """What is wrong with a table that no known slip explains."""
    shapes, others = case
    if answer.shape == right.T.shape and answer.shape != right.shape and torch.allclose(answer, right.T, atol=1e-4):
        return "The table is right but lies on its side: a row for each box, a column for each anchor."
    if answer.shape != right.shape:
        due = f"({len(shapes)}, {len(others)})"
        return f"It returns shape {tuple(answer.shape)}; {due} is due, a row for each box and a column for each anchor."
    row, column = divmod(int((answer - right).abs().nan_to_num(torch.inf).argmax()), right.shape[1])
    boxes = " and ".join("{:g} x {:g}".format(*one.tolist()) for one in (shapes[row], others[column]))
    return f"Boxes of {boxes} have IoU {right[row, column]:.3f}; it says {answer[row, column]:.3f}."


SHAPE_IOU = Exercise(
    name="shape_iou",
    arguments=("shapes", "anchors"),
    cases=(
        (torch.tensor([[10.0, 20.0], [30.0, 30.0], [8.0, 50.0]]), torch.tensor([[20.0, 10.0], [15.0, 25.0]])),
        (torch.tensor([[64.0, 64.0]]), torch.tensor([[64.0, 64.0], [32.0, 32.0], [128.0, 16.0], [16.0, 128.0]])),
        (torch.tensor([[90.5, 181.0], [3.0, 7.0]]), torch.tensor([[128.0, 128.0]])),
    ),
    recipe=shape_iou_recipe,
    steps=(SHARED, UNION, RESULT),
    explain=explain_shape_iou,
    tolerance=1e-4,
)

EXERCISES = (SHAPE_IOU,)
