"""Exercises of lesson 02: `box_iou` and `label_anchors`; `sample_anchors` has a module of its own.

The code to learn from is `frcnn_edu.boxes` and `frcnn_edu.matching`.
"""

import numpy as np
import torch
from torch import Tensor

from frcnn_edu.exercises import answer_plots
from frcnn_edu.exercises.answers import as_numbers, kind_of
from frcnn_edu.exercises.exercise import Case, Exercise, Hints, Step, listed, rows
from frcnn_edu.exercises.running import Problem

HIGH, LOW = 0.7, 0.3


class BoxIoU(Exercise):
    """`box_iou(boxes1, boxes2)`: a row for each of boxes1 and a column for each of boxes2, (N, M)."""

    name = "box_iou"
    arguments = ("boxes1", "boxes2")
    cases = (
        (rows("10 14 50 40, 60 50 90 110, 12.5 20 33 95"), rows("20 15 60 55, 62 55 90 104, 70 5 80 30")),
        Case(
            "five boxes and two",
            rows("0 0 8 6, 2 1 6 5, 8 0 12 6, 20 30 21 33, -5 -7 3 2"),
            rows("1 1 7.5 4, 4 -3 20.5 31"),
        ),
        Case("one box and three", rows("100 150 420 290"), rows("130 60 310 500, 0 0 90 90, 100 150 420 290")),
        Case("one box and one", rows("3 4 9 16"), rows("5 2 11 10")),
    )
    tolerance = 1e-4
    wanted_shape = "Each of boxes1 has a row, each of boxes2 a column."
    draw = staticmethod(answer_plots.iou_tables)

    meeting = Step(lambda w, h: w.clamp(min=0) * h.clamp(min=0)) | {
        "The intersection of boxes that do not meet must be 0: clamp each side at 0, then multiply.": torch.mul,
        "The intersection of boxes that do not meet must be 0: clamp width and height, not their product, "
        "which is positive if both are negative.": lambda w, h: (w * h).clamp(min=0),
        "The intersection of boxes that do not meet must be 0: abs() turns a gap between boxes into an overlap, "
        "so clamp at 0 instead.": lambda w, h: w.abs() * h.abs(),
        "The intersection of boxes that do not meet must be 0: the width is clamped, "
        "clamp the height, too.": lambda w, h: w.clamp(min=0) * h,
        "The intersection of boxes that do not meet must be 0: the height is clamped, "
        "clamp the width, too.": lambda w, h: w * h.clamp(min=0),
    }
    corners = Step((torch.maximum, torch.minimum)) | {
        "min and max are exchanged: take the larger x1 and the smaller x2.": (torch.minimum, torch.maximum),
        "The intersection begins at the larger x1 and y1: take the max there, too.": (torch.minimum, torch.minimum),
        "The intersection ends at the smaller x2 and y2: take the min there, too.": (torch.maximum, torch.maximum),
    }
    # Of two areas, the intersection and the area of the box around both.
    union = Step(lambda a, b, i, hull: a + b - i) | {
        "The union counts the intersection twice: it is area1 + area2 - intersection.": lambda a, b, i, hull: a + b,
        "The intersection is added to the union: subtract it.": lambda a, b, i, hull: a + b + i,
        "The union is 1 too large: to avoid a division by 0, add only 1e-7.": lambda a, b, i, hull: a + b - i + 1,
        "The intersection is subtracted twice from the union: once is enough.": lambda a, b, i, hull: a + b - 2 * i,
        "The intersection is divided by the area of the first box: divide by the union.": lambda a, b, i, hull: a,
        "The intersection is divided by the area of the second box: divide by the union.": lambda a, b, i, hull: b,
        "The intersection is divided by the smaller area: divide by the union.": lambda a, b, *_: torch.minimum(a, b),
        "The intersection is divided by the larger area: divide by the union.": lambda a, b, *_: torch.maximum(a, b),
        "The intersection is divided by the area of the box around both: divide by the union, "
        "area1 + area2 - intersection.": lambda a, b, i, hull: hull,
        "That is the Dice coefficient, twice the intersection over the sum of the areas: divide by the union, "
        "area1 + area2 - intersection.": lambda a, b, i, hull: (a + b) / 2,
        "It returns the intersection in square pixels: divide it by the union.": lambda a, b, i, hull: 1,
    }
    # In the sides of the intersection, and in those of boxes.
    extra_pixel = Step((0, 0)) | {
        "Sides are one pixel too long: coordinates are continuous, so a width is x2 - x1, without the + 1.": (1, 1),
        "In the areas sides are one pixel too long: a width is x2 - x1, without the + 1.": (0, 1),
        "In the intersection sides are one pixel too long: a width is x2 - x1, without the + 1.": (1, 0),
    }
    layout = Step(lambda boxes: boxes) | {
        "The boxes are read as x, y, width, height, but they are x1, y1, x2, y2.": lambda boxes: _corners(boxes, 0),
        "The boxes are read as centre, width, height, but they are x1, y1, x2, y2.": lambda boxes: _corners(boxes, 0.5),
        "The boxes are read as x1, x2, y1, y2, but they are x1, y1, x2, y2.": lambda boxes: boxes[..., [0, 2, 1, 3]],
    }
    area = Step(lambda sides, boxes: sides.prod(dim=-1)) | {
        "The area of a box is (x2 - x1)·(y2 - y1), not x2·y2.": lambda sides, boxes: boxes[..., 2:].prod(dim=-1),
    }
    table = Step(lambda table: table) | {
        "Rows and columns are exchanged: each of boxes1 has a row, each of boxes2 a column.": lambda table: table.T,
    }
    measure = Step(lambda iou: iou) | {
        "It returns 1 - IoU, a distance: IoU is 1 for equal boxes, 0 for boxes that do not meet.": lambda iou: 1 - iou,
        "It returns percent, but IoU lies between 0 and 1.": lambda iou: 100 * iou,
    }

    def reference(self, boxes1: Tensor, boxes2: Tensor) -> Tensor:
        a, b = self.layout(boxes1.double())[:, None], self.layout(boxes2.double())[None]  # (N, 1, 4), (1, M, 4)
        smaller, larger = torch.minimum(a, b), torch.maximum(a, b)  # (N, M, 4) each
        begin, end = (of(a, b) for of in self.corners)
        inter_pixel, area_pixel = self.extra_pixel
        inter = self.meeting(*(end[..., 2:] - begin[..., :2] + inter_pixel).unbind(-1))  # (N, M)
        area1, area2 = (self.area(c[..., 2:] - c[..., :2] + area_pixel, c) for c in (a, b))  # (N, 1), (1, M)
        hull = (larger[..., 2:] - smaller[..., :2]).prod(dim=-1)  # (N, M)
        return self.table(self.measure(inter / self.union(area1, area2, inter, hull)))

    def shape_hints(self, boxes1: Tensor, boxes2: Tensor) -> Hints:
        n, m = len(boxes1), len(boxes2)
        sides = "Width and height, or corners, are still separate: multiply them, wh[..., 0] * wh[..., 1]."
        return [
            ((min(n, m),), "Box i was compared with box i only, but every box of boxes1 meets every box of boxes2."),
            ((n * m,), "All the numbers are there, but not in a table: finish with reshape(N, M)."),
            ((), "That is a single number. Is the `return` inside the loops?"),
            ((n, m, 2), sides),
            ((n, m, 4), sides),
        ]

    def explain_values(self, case: tuple, right: Tensor, answer: Tensor) -> str:
        i, j = ((right - answer).abs() > self.tolerance).nonzero()[0].tolist()
        first, second = case[0][i].double(), case[1][j].double()
        w, h = (torch.minimum(first[2:], second[2:]) - torch.maximum(first[:2], second[:2])).clamp(min=0).tolist()
        range_ = "" if 0 <= answer[i, j] <= 1 else " IoU lies between 0 and 1."
        return (
            f"Row {i}, column {j}: {listed(first)} and {listed(second)} have IoU {right[i, j]:.4g}, "
            f"not {answer[i, j]:.4g}; they share {w:g} by {h:g} pixels.{range_}"
        )


def _corners(boxes: Tensor, anchor: float) -> Tensor:
    """Corners of boxes x, y, w, h: with `anchor` 0 x, y is the first corner, with 0.5 the centre."""
    first, sides = boxes.split(2, dim=-1)
    return torch.cat((first - anchor * sides, first + (1 - anchor) * sides), dim=-1)


def _iou(text: str) -> Tensor:
    """A table of IoU from hundredths: "82 10, 5 0" -> (A, G)."""
    return rows(text) / 100


def _mark(iou: Tensor, anchors: Tensor) -> Tensor:
    """(A,) bool, True for these anchors."""
    return torch.zeros(len(iou), dtype=torch.bool).index_fill(0, anchors, True)


def _best(iou: Tensor) -> Tensor:
    """(A, G) bool, True where an anchor overlaps an object and none overlaps it better."""
    return (iou == iou.amax(dim=0)) & (iou > 0)


class LabelAnchors(Exercise):
    """`label_anchors(iou, high, low)`: 1 positive, 0 negative, -1 ignored, (A,) from IoUs (A, G)."""

    name = "label_anchors"
    arguments = ("iou", "high=0.7", "low=0.3")
    cases = (
        (_iou("82 10, 5 0, 42 20, 15 55, 74 25, 28 25, 0 75, 10 36, 45 50"),),
        (_iou("10 60, 0 0, 24 10, 24 45, 5 60, 20 12, 0 40"),),
        Case("an object that no anchor overlaps", _iou("0 0 35, 0 76 10, 0 20 0, 0 0 66, 0 0 0, 0 50 31")),
        Case("other thresholds", _iou("55 52 30, 45 10 2, 35 0 20, 15 62 40, 48 30 44, 10 38 0, 53 12 42"), 0.5, 0.4),
        Case("a single object", _iou("25, 10, 0, 72, 40"), 0.8, 0.2),
        Case("iou of shape (4, 0), no object at all: then every anchor is negative", torch.zeros(4, 0)),
        (_iou("91 74, 20 95, 33 31, 29 12, 60 68, 72 78"),),
        Case("IoUs equal to `high` and `low`", _iou("50 12, 62 10, 25 3, 24 20, 8 25, 49 0, 31 50, 11 76"), 0.5, 0.25),
    )
    whole = True
    wanted_shape = "Return one label per anchor, that is per row of iou."
    draw = staticmethod(answer_plots.labels_beside)

    best = Step(lambda iou, low: _best(iou).any(dim=1)) | {
        "The best-anchor rule is missing: the anchors that overlap an object best are positive even if "
        "no IoU reaches `high`.": lambda iou, low: torch.zeros(len(iou), dtype=torch.bool),
        "Of anchors that overlap an object equally well only one becomes positive, since argmax finds just one: "
        "mark them all, iou == iou.amax(dim=0).": lambda iou, low: _mark(iou, iou.argmax(dim=0)[iou.amax(dim=0) > 0]),
        "argmax finds just one anchor for each object: of several that overlap it equally well mark them all, "
        "iou == iou.amax(dim=0); if none does, none is its best.": lambda iou, low: _mark(iou, iou.argmax(dim=0)),
        "If no anchor overlaps an object, its highest IoU is 0, and every anchor of IoU 0 equals it: best anchors "
        "must overlap the object at all.": lambda iou, low: (iou == iou.amax(dim=0)).any(dim=1),
        "Best anchors become positive only from a threshold on, but the best-anchor rule has none: "
        "any overlap with the object will do.": lambda iou, low: (_best(iou) & (iou >= low)).any(dim=1),
        "Best anchors below `low` end up negative: apply the best-anchor rule last, "
        "after the negatives.": lambda iou, low: _best(iou).any(dim=1) & (iou.amax(dim=1) >= low),
        "Only the best anchor of all objects together is positive, but each ground truth, each column, has its own: "
        "iou.amax(dim=0).": lambda iou, low: (iou == iou.max()).any(dim=1),
        "Every anchor with any overlap becomes positive: take the best anchor of each ground truth, the maximum over "
        "dim=0, not the best ground truth of each anchor.": lambda iou, low: iou.amax(dim=1) > 0,
        "Indices of ground truths are used as indices of anchors: argmax(dim=0) finds anchors, "
        "argmax(dim=1) ground truths.": lambda iou, low: _mark(iou, iou.argmax(dim=1)),
    }
    overlap = Step(lambda iou: iou.amax(dim=1)) | {
        "An anchor is judged by its lowest IoU: take the highest of its row, amax(dim=1).": lambda iou: iou.amin(dim=1),
        "An anchor is judged by its mean IoU: take the highest of its row, amax(dim=1).": lambda iou: iou.mean(dim=1),
        "An anchor is judged by its summed IoU: take the highest of its row, amax(dim=1).": lambda iou: iou.sum(dim=1),
        "Only the first ground truth counts: take the highest IoU of the row, amax(dim=1).": lambda iou: iou[:, 0],
        "Only the last ground truth counts, as in a loop that overwrites its result: "
        "take the highest IoU of the row, amax(dim=1).": lambda iou: iou[:, -1],
    }
    negative = Step(lambda top, low, iou: top < low) | {
        "An anchor becomes negative if its IoU with any object is below `low`. All must be below: "
        "compare its highest IoU with `low`.": lambda top, low, iou: iou.amin(dim=1) < low,
        "Only anchors without any overlap are negative: label 0 is for every highest IoU "
        "below `low`.": lambda top, low, iou: top == 0,
        "No anchor is negative: label 0 is for every highest IoU below `low`.": lambda top, low, iou: top < 0,
        "An anchor whose highest IoU is exactly `low` is ignored: < and not <=.": lambda top, low, iou: top <= low,
    }
    between_and_below = Step((-1, 0)) | {
        "Anchors between `low` and `high` are negative, but should be ignored, -1: label 0 ends at `low`.": (0, 0),
        "Every anchor from `low` on is positive, but between `low` and `high` the label is -1, ignored. "
        "Are the thresholds exchanged?": (1, 0),
        "Negative and ignored are exchanged: 0 is below `low`, -1 between `low` and `high`.": (0, -1),
    }
    positive = Step(lambda top, high, iou: top >= high) | {
        "Only the best anchors are positive: add those that reach `high`.": lambda top, high, iou: top > torch.inf,
        "An anchor whose highest IoU is exactly `high` is positive: >= and not >.": lambda top, high, iou: top > high,
        "An anchor becomes positive only if its IoU with all objects reaches `high`: "
        "one object is enough.": lambda top, high, iou: iou.amin(dim=1) >= high,
    }
    label = Step(lambda iou: torch.ones(len(iou), dtype=torch.int64)) | {
        "Positives carry the index of their ground truth: label them 1.": lambda iou: iou.argmax(dim=1),
        "Positives carry 1 + the index of their ground truth: label them 1.": lambda iou: iou.argmax(dim=1) + 1,
    }
    thresholds = Step(lambda high, low: (high, low)) | {
        "The thresholds are always 0.7 and 0.3: use `high` and `low`.": lambda high, low: (HIGH, LOW),
        "The thresholds are always 0.5: use `high` and `low`.": lambda high, low: (0.5, 0.5),
    }
    without_objects = Step(0) | {
        "Without any ground truth (G = 0) every anchor is background, label 0; yours are all ignored.": -1,
        "Without any ground truth (G = 0) every anchor is background, label 0; yours are all positive.": 1,
    }

    def reference(self, iou: Tensor, high: float = HIGH, low: float = LOW) -> Tensor:
        if 0 in iou.shape:
            return torch.full((len(iou),), self.without_objects)
        high, low = self.thresholds(high, low)
        top = self.overlap(iou)  # (A,)
        between, below = self.between_and_below
        labels = torch.full((len(iou),), between).masked_fill(self.negative(top, low, iou), below)
        return torch.where(self.positive(top, high, iou) | self.best(iou, low), self.label(iou), labels)

    def read(self, answer: object, case: tuple) -> Tensor:
        if kind_of(answer) == "bool":
            raise Problem("It returns True and False, but there are three labels: 1 positive, 0 negative, -1 ignored.")
        labels = as_numbers(answer)
        broken = labels[labels != labels.round()]
        if len(broken) > 0:
            start = {Tensor: " Start from torch.full((A,), -1).", np.ndarray: " Start from np.full(A, -1)."}
            remedy = next((text for kind, text in start.items() if isinstance(answer, kind)), "")
            raise Problem(
                f"It labels an anchor {broken[0]:g}; labels are whole: 1 positive, 0 negative and -1 ignored.{remedy}"
            )
        return labels

    def shape_hints(self, iou: Tensor, high: float = HIGH, low: float = LOW) -> Hints:
        a, g = iou.shape
        return [
            ((2, a), "Those are labels and something else: return the labels alone, as one tensor."),
            ((a, 1), "Each label is in a row of its own: finish with .squeeze(1), or leave out keepdim."),
            ((g,), "That is one label per ground truth; return one per anchor. A maximum over dim=1 has one per row."),
            (
                (a, g),
                "That is one label per pair; return one per anchor. Take the maximum over the ground truths first.",
            ),
        ]

    def explain_values(self, case: tuple, right: Tensor, answer: Tensor) -> str:
        odd = answer[~torch.isin(answer, torch.tensor([1.0, 0.0, -1.0], dtype=answer.dtype))]
        if len(odd) > 0:
            return f"It labels an anchor {odd[0]:g}; the labels are 1 positive, 0 negative and -1 ignored."
        row = int((right != answer).nonzero()[0])
        return f"{_facts(*case, row=row)} The label should be {right[row]:g}, but is {answer[row]:g}."


def _facts(iou: Tensor, high: float | None = None, low: float | None = None, *, row: int) -> str:
    """What decides the label of one anchor."""
    if iou.shape[1] == 0:
        return f"There is no ground truth, so anchor {row} overlaps nothing."
    default = " (the defaults)" if high is None else ""
    high, low = HIGH if high is None else high, LOW if low is None else low
    top = iou[row].max()
    if top >= high:
        reason = "Its IoU is exactly `high`, which is enough." if top == high else "Its IoU reaches `high`."
    elif _best(iou)[row].any():
        reason = "No anchor overlaps that object better."
    elif top == low:
        reason = "Its IoU is exactly `low`, and not below it."
    else:
        reason = "Its IoU is below `low`." if top < low else "Its IoU is between the two."
    return f"Anchor {row} has IoU {listed(iou[row])}; the thresholds are {high:g} and {low:g}{default}. {reason}"
