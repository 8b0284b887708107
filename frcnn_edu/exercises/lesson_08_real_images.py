"""Exercise of lesson 08: `shape_iou`. The code to learn from is `frcnn_edu.datasets.data_report`."""

import torch
from torch import Tensor

from frcnn_edu.exercises.exercise import Exercise, Hints, Step, rows


class ShapeIoU(Exercise):
    """`shape_iou(shapes, anchors)`: IoU of boxes around one centre, from widths and heights, (N, K)."""

    name = "shape_iou"
    arguments = ("shapes", "anchors")
    cases = (
        (rows("10 20, 30 30, 8 50"), rows("20 10, 15 25")),
        (rows("64 64"), rows("64 64, 32 32, 128 16, 16 128")),
        (rows("90.5 181, 3 7"), rows("128 128")),
    )
    tolerance = 1e-4
    wanted_shape = "Each box has a row, each anchor a column."

    shared = Step(lambda a, b: torch.minimum(a, b).prod(dim=-1)) | {  # of two pairs of sides
        "The shared area is not the smaller of the two areas, since a wide and a tall box share less: multiply the "
        "smaller width by the smaller height.": lambda a, b: torch.minimum(a.prod(dim=-1), b.prod(dim=-1)),
        "It takes the larger of the two widths and heights: boxes with one centre "
        "share the smaller ones.": lambda a, b: torch.maximum(a, b).prod(dim=-1),
        "The shared area is only a width or a height: multiply the two.": lambda a, b: torch.minimum(a, b)[..., 0],
    }
    union = Step(lambda a, b, inter: a + b - inter) | {
        "The shared area is counted twice in the union: area + area - shared.": lambda a, b, inter: a + b,
        "It divides by the larger of the two areas: divide by the union.": lambda a, b, inter: torch.maximum(a, b),
        "It divides by the smaller of the two areas, so a box inside another one gets 1: "
        "divide by the union, what both cover together.": lambda a, b, inter: torch.minimum(a, b),
        "It divides by the area of the box alone: divide by the union.": lambda a, b, inter: a,
    }
    result = Step(lambda iou: iou) | {
        "It returns 1 - IoU, the distance that k-means uses: return the IoU itself.": lambda iou: 1 - iou,
        "It returns percent: return numbers from 0 to 1.": lambda iou: 100 * iou,
    }

    def reference(self, shapes: Tensor, anchors: Tensor) -> Tensor:
        a, b = shapes[:, None], anchors[None]  # (N, 1, 2), (1, K, 2)
        inter = self.shared(a, b)  # (N, K)
        return self.result(inter / self.union(a.prod(dim=-1), b.prod(dim=-1), inter))

    def shape_hints(self, shapes: Tensor, anchors: Tensor) -> Hints:
        return [((len(anchors), len(shapes)), "The table lies on its side: transpose it with .T.")]

    def explain_values(self, case: tuple, right: Tensor, answer: Tensor) -> str:
        row, column = divmod(int((answer - right).abs().argmax()), right.shape[1])
        (w1, h1), (w2, h2) = case[0][row].tolist(), case[1][column].tolist()
        return (
            f"Boxes of {w1:g} x {h1:g} and {w2:g} x {h2:g} have IoU {right[row, column]:.3f}, "
            f"not {answer[row, column]:.3f}."
        )
