"""Exercises of lesson 02: `box_iou`, `label_anchors` and `sample_anchors`, with what people write instead.

The recipes are written for the slips, not for beauty; `frcnn_edu.boxes` and `frcnn_edu.matching` are the code to learn
from. Sampling has no one right answer: `drawing` says how it is checked.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from frcnn_edu.exercises.answers import as_numbers, kind_of
from frcnn_edu.exercises.exercise import Exercise, Step
from frcnn_edu.exercises.running import Problem
from frcnn_edu.exercises.sampling import SAMPLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

IOU_TOLERANCE = 1e-4
HIGH, LOW = 0.7, 0.3
MOST_CELLS = 50
"""Larger tables than this are not drawn: a learner's may be of any size."""

ANY_OVERLAP = "Intersections of boxes that do not meet must be 0: "
MEETING = Step(
    "meeting",
    "each side from 0 up",
    {
        "not clamped": ANY_OVERLAP + "clamp width and height at 0 before they are multiplied.",
        "product clamped": ANY_OVERLAP
        + "clamp width and height each. Where both are negative their product is positive, "
        "and clamping that comes too late.",
        "abs": ANY_OVERLAP + "abs() makes a gap between two boxes into an overlap; clamp at 0 instead.",
        "width alone": ANY_OVERLAP + "the width is clamped, the height must be too.",
        "height alone": ANY_OVERLAP + "the height is clamped, the width must be too.",
    },
)
CORNERS = Step(
    "corners",
    "max of first, min of last",
    {
        "exchanged": "min and max are exchanged: the intersection begins at the larger x1 and ends at the smaller x2.",
        "first alone": "The intersection must begin at the larger of both x1 (and y1): that is a max, too.",
        "last alone": "The intersection must end at the smaller of both x2 (and y2): that is a min, too.",
    },
)
UNION = Step(
    "union",
    "area + area - intersection",
    {
        "sum": "The union counts the intersection twice: subtract it once, area1 + area2 - intersection.",
        "added": "The intersection is added to the union; it is to be subtracted, area1 + area2 - intersection.",
        "1 more": "The union is 1 too large: where a division by 0 is to be avoided, a tiny number such as 1e-7 does.",
        "minus twice": "The intersection is subtracted twice from the union: area1 + area2 - intersection.",
        "the first box": "The intersection is divided by the area of the first box; by that of the union is due: "
        "area1 + area2 - intersection.",
        "the second box": "The intersection is divided by the area of the second box; by that of the union is due: "
        "area1 + area2 - intersection.",
        "the smaller box": "The intersection is divided by the smaller area; by that of the union is due.",
        "the larger box": "The intersection is divided by the larger area; by that of the union is due.",
        "the box around both": "The intersection is divided by the area of the box around both; the union is due, "
        "area1 + area2 - intersection.",
        "half the sum": "This is Dice's measure, twice the intersection over the sum of areas: "
        "divide by the union, area1 + area2 - intersection.",
        "1": "It returns the intersection in square pixels: divide it by the union, area1 + area2 - intersection.",
    },
)
PIXELS = Step(
    "pixels",
    "x2 - x1",
    dict.fromkeys(
        ("plus 1", "plus 1 in the areas", "plus 1 in the intersection"),
        "Sides are one pixel too long: coordinates are continuous here, so a width is x2 - x1, without the + 1.",
    ),
)
LAYOUT = Step(
    "layout",
    "x1, y1, x2, y2",
    {
        "x, y, w, h": "The boxes are read as x, y, width, height; they are x1, y1, x2, y2.",
        "cx, cy, w, h": "The boxes are read as centre, width, height; they are x1, y1, x2, y2.",
        "x1, x2, y1, y2": "The boxes are read as x1, x2, y1, y2; they are x1, y1, x2, y2.",
        "areas of x2 * y2": "The area of a box is (x2 - x1)·(y2 - y1), not x2·y2.",
    },
)
TABLE = Step(
    "table",
    "(N, M)",
    {
        "(M, N)": "Rows and columns are exchanged: a row for each of boxes1, a column for each of boxes2.",
    },
)
MEASURE = Step(
    "measure",
    "as it is",
    {
        "1 - IoU": "It returns 1 - IoU, a distance: 1 is for equal boxes, 0 for boxes that do not meet.",
        "percent": "It returns percent: IoU lies between 0 and 1.",
    },
)


def iou_recipe(
    boxes1: Tensor,
    boxes2: Tensor,
    meeting: str,
    corners: str,
    union: str,
    pixels: str,
    layout: str,
    table: str,
    measure: str,
) -> Tensor:
    """IoU with every step taken as named: -> (N, M)."""
    boxes1, boxes2 = _as_corners(boxes1, layout)[:, None], _as_corners(boxes2, layout)[None]  # (N, 1, 4), (1, M, 4)
    first, last = torch.maximum(boxes1, boxes2)[..., :2], torch.minimum(boxes1, boxes2)[..., 2:]  # (N, M, 2) each
    outer_first, outer_last = torch.minimum(boxes1, boxes2)[..., :2], torch.maximum(boxes1, boxes2)[..., 2:]
    begin = outer_first if corners in ("exchanged", "first alone") else first
    end = outer_last if corners in ("exchanged", "last alone") else last
    more = 1 if pixels in ("plus 1", "plus 1 in the intersection") else 0
    inter = _intersection(end - begin + more, meeting)  # (N, M)
    area1, area2 = _area(boxes1, pixels, layout), _area(boxes2, pixels, layout)  # (N, 1), (1, M)
    divisor = {
        UNION.right: area1 + area2 - inter,
        "sum": area1 + area2,
        "added": area1 + area2 + inter,
        "1 more": area1 + area2 - inter + 1,
        "minus twice": area1 + area2 - 2 * inter,
        "the first box": area1.expand_as(inter),
        "the second box": area2.expand_as(inter),
        "the smaller box": torch.minimum(area1, area2),
        "the larger box": torch.maximum(area1, area2),
        "the box around both": (outer_last - outer_first).prod(dim=-1),
        "half the sum": (area1 + area2) / 2,
        "1": torch.ones_like(inter),
    }[union]
    iou = inter / divisor  # (N, M)
    iou = {"1 - IoU": 1 - iou, "percent": 100 * iou}.get(measure, iou)
    return iou.T if table == "(M, N)" else iou


def _as_corners(boxes: Tensor, layout: str) -> Tensor:
    first, last = boxes.double().split(2, dim=1)
    if layout == "x, y, w, h":
        return torch.cat((first, first + last), dim=1)
    if layout == "cx, cy, w, h":
        return torch.cat((first - last / 2, first + last / 2), dim=1)
    return boxes.double()[:, [0, 2, 1, 3]] if layout == "x1, x2, y1, y2" else boxes.double()


def _area(boxes: Tensor, pixels: str, layout: str) -> Tensor:
    if layout == "areas of x2 * y2":
        return boxes[..., 2] * boxes[..., 3]
    return (boxes[..., 2:] - boxes[..., :2] + (pixels in ("plus 1", "plus 1 in the areas"))).prod(dim=-1)


def _intersection(sides: Tensor, way: str) -> Tensor:
    width, height = sides.unbind(dim=-1)
    return {
        MEETING.right: lambda: width.clamp(min=0) * height.clamp(min=0),
        "not clamped": lambda: width * height,
        "product clamped": lambda: (width * height).clamp(min=0),
        "abs": lambda: width.abs() * height.abs(),
        "width alone": lambda: width.clamp(min=0) * height,
        "height alone": lambda: width * height.clamp(min=0),
    }[way]()


def explain_iou(case: tuple, right: Tensor, answer: Tensor) -> str:
    """What the shape tells, or the first pair of boxes that is wrong, with its areas."""
    rows, columns = right.shape
    start = f"It returns shape {tuple(answer.shape)} where {(rows, columns)} is due: "
    if answer.ndim == 1 and len(answer) == min(rows, columns):
        return start + "box i was compared with box i only. Every box of boxes1 meets every box of boxes2."
    if answer.numel() == right.numel() and answer.shape != right.shape and answer.shape != right.T.shape:
        return start + "all numbers are there, but not in a table: reshape(N, M)."
    if answer.numel() == 1 and right.numel() > 1:
        return start + "a single number. Does the `return` stand inside the loops?"
    if tuple(answer.shape) in ((rows, columns, 2), (rows, columns, 4)):
        return (
            start + "width and height, or corners, are still apart: multiply the last axis up, wh[..., 0] * wh[..., 1]."
        )
    if answer.shape != right.shape:
        return start + "a row for each of boxes1, a column for each of boxes2."
    off = (right - answer).abs() > IOU_TOLERANCE
    i, j = off.nonzero()[0].tolist()
    range_ = "" if 0 <= answer[i, j] <= 1 else " IoU lies between 0 and 1."
    first, second = case[0][i].double(), case[1][j].double()
    sides = (torch.minimum(first[2:], second[2:]) - torch.maximum(first[:2], second[:2])).clamp(min=0)
    return (
        f"Row {i}, column {j}: {_show(first)} and {_show(second)} have IoU {right[i, j]:.4g}, not {answer[i, j]:.4g}; "
        f"they share {sides[0]:g} by {sides[1]:g} pixels.{range_}"
    )


def _show(box: Tensor) -> str:
    return "(" + ", ".join(f"{value:g}" for value in box.tolist()) + ")"


def draw_tables(case: tuple, right: Tensor, answer: Tensor) -> "Figure":
    """The boxes, and the table of IoU expected and got."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained", dpi=80)
    boxes_axes, left, beside = figure.subplots(1, 3)
    for boxes, color, style, side in ((case[0], "#0072B2", "-", "bottom"), (case[1], "#D55E00", "--", "top")):
        for index, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
            boxes_axes.plot([x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], color=color, linestyle=style)
            boxes_axes.text(x1, y1 if side == "bottom" else y2, index, color=color, weight="bold", va=side)
    boxes_axes.invert_yaxis()
    boxes_axes.set(title="boxes1 and boxes2 (dashed)", aspect="equal")
    _add_table(left, right, right, "expected")
    drawable = answer.ndim == 2 and 0 < answer.numel() <= MOST_CELLS
    _add_table(beside, answer if drawable else None, right, "yours")
    return figure


def _add_table(axes: "Axes", values: Tensor | None, right: Tensor, title: str) -> None:
    axes.set(title=title, xlabel="boxes2", ylabel="boxes1")
    if values is None:
        axes.text(0.5, 0.5, "no table to draw", ha="center", transform=axes.transAxes)
        return
    axes.imshow(values.numpy(), vmin=0, vmax=1, cmap="Blues")
    axes.set(xticks=range(values.shape[1]), yticks=range(values.shape[0]))
    for i, row in enumerate(values.tolist()):
        for j, value in enumerate(row):
            wrong = values.shape == right.shape and abs(value - right[i, j]) > IOU_TOLERANCE
            text = f"{value:.2f}" if abs(value) < 100 else f"{value:.0e}"
            text = f"{text} \N{BALLOT X}" if wrong else text
            axes.text(j, i, text, ha="center", va="center", color="white" if value > 0.6 else "black")


IOU = Exercise(
    name="box_iou",
    arguments=("boxes1", "boxes2"),
    cases=(
        (
            torch.tensor([[10.0, 14.0, 50.0, 40.0], [60.0, 50.0, 90.0, 110.0], [12.5, 20.0, 33.0, 95.0]]),
            torch.tensor([[20.0, 15.0, 60.0, 55.0], [62.0, 55.0, 90.0, 104.0], [70.0, 5.0, 80.0, 30.0]]),
        ),
        (
            torch.tensor(
                [
                    [0.0, 0.0, 8.0, 6.0],
                    [2.0, 1.0, 6.0, 5.0],
                    [8.0, 0.0, 12.0, 6.0],
                    [20.0, 30.0, 21.0, 33.0],
                    [-5.0, -7.0, 3.0, 2.0],
                ]
            ),
            torch.tensor([[1.0, 1.0, 7.5, 4.0], [4.0, -3.0, 20.5, 31.0]]),
        ),
        (
            torch.tensor([[100.0, 150.0, 420.0, 290.0]]),
            torch.tensor([[130.0, 60.0, 310.0, 500.0], [0.0, 0.0, 90.0, 90.0], [100.0, 150.0, 420.0, 290.0]]),
        ),
        (torch.tensor([[3.0, 4.0, 9.0, 16.0]]), torch.tensor([[5.0, 2.0, 11.0, 10.0]])),
    ),
    recipe=iou_recipe,
    steps=(MEETING, CORNERS, UNION, PIXELS, LAYOUT, TABLE, MEASURE),
    explain=explain_iou,
    draw_case=draw_tables,
    case_names=("", "five boxes and two", "one box and three", "one box and one"),
    tolerance=IOU_TOLERANCE,
)

BEST = Step(
    "best",
    "every best anchor that overlaps",
    {
        "none": "The best-anchor rule is missing: an object that no anchor overlaps by `high` still gets positives, "
        "those anchors that overlap it best.",
        "first of ties": "Of anchors that overlap an object equally well only one becomes positive, as argmax finds "
        "one: all the best are due, iou == iou.amax(dim=0).",
        "argmax of 0 too": "An object that no anchor overlaps has no best anchor: argmax names one even there. "
        "Where the highest IoU is 0, none is due.",
        "all of 0 too": "An object that no anchor overlaps has the highest IoU 0, and every anchor of IoU 0 equals "
        "it: the best anchors count only where they overlap the object at all.",
        "from low on": "The best anchors become positive only from a threshold on: the best-anchor rule asks for none, "
        "only that they overlap the object at all.",
        "before the negatives": "Best anchors below `low` end up negative, as if the negatives were set after them: "
        "the best-anchor rule has the last word.",
        "one for all objects": "Only the best anchor of all objects together is made positive: each ground truth, "
        "each column, has its own best, iou.amax(dim=0).",
        "of every anchor": "Every anchor that overlaps anything becomes positive: the best anchor of each ground truth "
        "is meant, the maximum over dim=0, and not the best ground truth of each anchor.",
        "column for row": "Numbers of ground truths are used as numbers of anchors: argmax(dim=0) finds the anchors, "
        "argmax(dim=1) the ground truths.",
    },
)
OVERLAP = Step(
    "overlap",
    "max",
    {
        "min": "An anchor is judged by the object it overlaps least: the highest IoU of its row counts, amax(dim=1).",
        "mean": "An anchor is judged by the mean over all objects: the highest IoU of its row counts, amax(dim=1).",
        "sum": "An anchor is judged by the sum over all objects: the highest IoU of its row counts, amax(dim=1).",
        "first": "Only the first ground truth is looked at: the highest IoU of the row counts, amax(dim=1).",
        "last": "Only the last ground truth is looked at, as when a loop overwrites what it found before: the "
        "highest IoU of the row counts, amax(dim=1).",
    },
)
NEGATIVE = Step(
    "negative",
    "all below low",
    {
        "any below low": "An anchor is made negative as soon as its IoU with some object is below `low`; with all of "
        "them is due: its highest IoU is below `low`.",
        "only without overlap": "Only anchors without any overlap are negative; label 0 is due wherever the highest "
        "IoU is below `low`.",
        "never": "No anchor is negative: label 0 is due where the highest IoU is below `low`.",
        "up to low": "An anchor whose highest IoU is exactly `low` is ignored, not negative: < and not <=.",
    },
)
BETWEEN = Step(
    "between",
    "-1",
    {
        "0": "Anchors between `low` and `high` are negative; label 0 ends at `low`, between the two is -1, ignored.",
        "1": "From `low` on every anchor is positive; label 1 starts at `high`, between the two is -1, ignored. "
        "Are the thresholds exchanged?",
        "negatives for ignored": "Negative and ignored are exchanged: 0 is below `low`, -1 between the two.",
    },
)
POSITIVE = Step(
    "positive",
    "high",
    {
        "never": "Only the best anchors are positive: those whose IoU with some object is `high` or more are, too.",
        "above high": "An anchor whose highest IoU is exactly `high` is positive: >= and not >.",
        "positives all": "Label 1 is due where the IoU with one object is `high` or more; here it takes all objects.",
    },
)
LABELS = Step(
    "labels",
    "1",
    {
        "number of the object": "Positives carry the number of their ground truth; label 1 is due, whichever it is.",
        "number of the object + 1": "Positives carry 1 + the number of their ground truth; label 1 is due, "
        "whichever it is.",
    },
)
THRESHOLDS = Step(
    "thresholds",
    "as given",
    {
        "always 0.7, 0.3": "The thresholds are 0.7 and 0.3 whatever is given: use `high` and `low`.",
        "0.5 for both": "The thresholds are 0.5 whatever is given: use `high` and `low`.",
    },
)
NO_TRUTH = Step(
    "no_truth",
    "negative",
    {
        "ignored": "Without any ground truth (G = 0) every anchor is background, label 0; here they are all ignored.",
        "positive": "Without any ground truth (G = 0) every anchor is background, label 0; here they are all positive.",
    },
)


def label_recipe(
    iou: Tensor,
    high_given: float = HIGH,
    low_given: float = LOW,
    *,
    best: str,
    overlap: str,
    negative: str,
    between: str,
    positive: str,
    labels: str,
    thresholds: str,
    no_truth: str,
) -> Tensor:
    """Labels with every step taken as named: -> (A,)."""
    if 0 in iou.shape:
        return torch.full((len(iou),), {"ignored": -1, "positive": 1}.get(no_truth, 0))
    high, low = {
        "always 0.7, 0.3": (HIGH, LOW),
        "0.5 for both": (0.5, 0.5),
    }.get(thresholds, (high_given, low_given))
    highest = {
        OVERLAP.right: lambda: iou.amax(dim=1),
        "min": lambda: iou.amin(dim=1),
        "mean": lambda: iou.mean(dim=1),
        "sum": lambda: iou.sum(dim=1),
        "first": lambda: iou[:, 0],
        "last": lambda: iou[:, -1],
    }[overlap]()  # (A,)
    is_negative = {
        NEGATIVE.right: lambda: highest < low,
        "any below low": lambda: iou.amin(dim=1) < low,
        "only without overlap": lambda: highest == 0,
        "never": lambda: highest < 0,
        "up to low": lambda: highest <= low,
    }[negative]()
    is_positive = {
        POSITIVE.right: lambda: highest >= high,
        "never": lambda: highest > torch.inf,
        "above high": lambda: highest > high,
        "positives all": lambda: iou.amin(dim=1) >= high,
    }[positive]()
    middle, below = {BETWEEN.right: (-1, 0), "0": (0, 0), "1": (1, 0), "negatives for ignored": (0, -1)}[between]
    found = torch.full((len(iou),), middle)
    found[is_negative] = below
    object_label = {
        LABELS.right: lambda: torch.ones_like(found),
        "number of the object": lambda: iou.argmax(dim=1),
        "number of the object + 1": lambda: iou.argmax(dim=1) + 1,
    }[labels]()
    return torch.where(is_positive | _best(iou, best, low), object_label, found)


def _best(iou: Tensor, way: str, low: float) -> Tensor:
    """Which anchors the best-anchor rule makes positive: (A,) bool."""
    best = iou.amax(dim=0)  # (G,)
    wanted = (iou == best) & (best > 0)  # (A, G)
    return {
        BEST.right: lambda: wanted.any(dim=1),
        "none": lambda: torch.zeros(len(iou), dtype=torch.bool),
        "first of ties": lambda: _marked(len(iou), iou.argmax(dim=0)[best > 0]),
        "argmax of 0 too": lambda: _marked(len(iou), iou.argmax(dim=0)),
        "all of 0 too": lambda: (iou == best).any(dim=1),
        "from low on": lambda: (wanted & (iou >= low)).any(dim=1),
        "before the negatives": lambda: wanted.any(dim=1) & (iou.amax(dim=1) >= low),
        "one for all objects": lambda: (iou == iou.max()).any(dim=1),
        "of every anchor": lambda: iou.amax(dim=1) > 0,
        "column for row": lambda: _marked(len(iou), iou.argmax(dim=1)),
    }[way]()


def _marked(count: int, indices: Tensor) -> Tensor:
    return torch.zeros(count, dtype=torch.bool).index_fill(0, indices, True)


def read_labels(answer: object) -> Tensor:
    """Labels as numbers, floats among them; raises Problem for what is not whole, and for a mask, which holds two."""
    if kind_of(answer) == "bool":
        raise Problem("It returns True and False; three labels are due: 1 positive, 0 negative, -1 ignored.")
    labels = as_numbers(answer)
    broken = labels[labels != labels.round()]
    if len(broken) > 0:
        start = {Tensor: " Start from torch.full((A,), -1).", np.ndarray: " Start from np.full(A, -1)."}
        remedy = next((text for kind, text in start.items() if isinstance(answer, kind)), "")
        raise Problem(
            f"It labels an anchor {broken[0]:g}; labels are whole: 1 positive, 0 negative and -1 ignored.{remedy}"
        )
    return labels


def explain_labels(case: tuple, right: Tensor, answer: Tensor) -> str:
    """What the shape tells, or the first anchor that is wrong, with its IoU."""
    anchors, objects = case[0].shape
    shape = tuple(answer.shape)
    start = f"It returns shape {shape} where ({anchors},) is due: "
    if shape == (2, anchors):
        return start + "labels and something else. The labels alone are due, a single tensor."
    if shape == (anchors, 1):
        return start + "each label is in a row of its own; finish with .squeeze(1), or leave out keepdim."
    if shape == (objects,) and objects != anchors:
        return (
            start + "one label per ground truth; one per anchor is due. A maximum over dim=1 leaves one number per row."
        )
    if shape == (anchors, objects):
        return (
            start + "one label per pair; one per anchor is due: take the maximum over the ground truths, dim=1, first."
        )
    if shape != (anchors,):
        return start + "one label per anchor, a row of iou each."
    if not torch.isin(answer, torch.tensor([1.0, 0.0, -1.0], dtype=answer.dtype)).all():
        odd = answer[~torch.isin(answer, torch.tensor([1.0, 0.0, -1.0], dtype=answer.dtype))][0]
        return f"It labels an anchor {odd:g}; there are 1 positive, 0 negative and -1 ignored."
    row = int((right != answer).nonzero()[0])
    return f"{_facts(*case, row=row)} Label {right[row]:g} is due, but it is {answer[row]:g}."


def _facts(iou: Tensor, high: float | None = None, low: float | None = None, *, row: int) -> str:
    """What decides the label of one anchor."""
    if iou.shape[1] == 0:
        return f"There is no ground truth, so anchor {row} overlaps nothing."
    values = ", ".join(f"{value:.2g}" for value in iou[row].tolist())
    default = "the defaults, " if high is None else ""
    high, low = HIGH if high is None else high, LOW if low is None else low
    start = f"Anchor {row} has IoU ({values}), and the thresholds are {default}{high:g} and {low:g}: "
    highest, best = iou[row].max(), iou.amax(dim=0)
    if highest >= high:
        return start + ("that is exactly `high`, which is enough." if highest == high else "that reaches `high`.")
    if ((iou[row] == best) & (best > 0)).any():
        return start + "no anchor overlaps that object better."
    if highest == low:
        return start + "that is exactly `low`, and not below it."
    return start + ("that is below `low`." if highest < low else "that is between the two.")


def draw_labels(case: tuple, right: Tensor, answer: Tensor) -> "Figure":
    """The table of IoU, and beside it the labels expected and got."""
    from matplotlib.figure import Figure

    iou = case[0]
    figure = Figure(figsize=(5.6, 0.34 * len(iou) + 1.2), layout="constrained", dpi=80)
    axes = figure.subplots()
    columns = iou.shape[1] + 3
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(len(iou) - 0.5, -0.5), yticks=range(len(iou)), ylabel="anchor")
    axes.set_xticks(
        [*range(iou.shape[1]), columns - 2, columns - 1],
        labels=[*(f"IoU with {j}" for j in range(iou.shape[1])), "expected", "yours"],
        fontsize=8,
    )
    axes.xaxis.tick_top()
    for i, row in enumerate(iou.tolist()):
        for j, value in enumerate(row):
            axes.text(j, i, f"{value:.2f}", ha="center", va="center")
        axes.text(columns - 2, i, f"{right[i]:g}", ha="center", va="center", weight="bold", color="#0072B2")
        if answer.shape == right.shape:
            wrong = bool(answer[i] != right[i])
            text = f"{answer[i]:g} \N{BALLOT X}" if wrong else f"{answer[i]:g}"
            axes.text(columns - 1, i, text, ha="center", va="center", color="#D55E00" if wrong else "black")
    return figure


def _iou(rows: str) -> Tensor:
    """A table of IoU from its rows in hundredths: -> (A, G)."""
    return torch.tensor([[int(value) / 100 for value in row.split()] for row in rows.split(",")])


LABEL = Exercise(
    name="label_anchors",
    arguments=("iou", "high=0.7", "low=0.3"),
    cases=(
        (_iou("82 10, 5 0, 42 20, 15 55, 74 25, 28 25, 0 75, 10 36, 45 50"),),
        (_iou("10 60, 0 0, 24 10, 24 45, 5 60, 20 12, 0 40"),),
        (_iou("0 0 35, 0 76 10, 0 20 0, 0 0 66, 0 0 0, 0 50 31"),),
        (_iou("55 52 30, 45 10 2, 35 0 20, 15 62 40, 48 30 44, 10 38 0, 53 12 42"), 0.5, 0.4),
        (_iou("25, 10, 0, 72, 40"), 0.8, 0.2),
        (torch.zeros(4, 0),),
        (_iou("91 74, 20 95, 33 31, 29 12, 60 68, 72 78"),),
        (_iou("50 12, 62 10, 25 3, 24 20, 8 25, 49 0, 31 50, 11 76"), 0.5, 0.25),
    ),
    recipe=label_recipe,
    steps=(BEST, OVERLAP, NEGATIVE, BETWEEN, POSITIVE, LABELS, THRESHOLDS, NO_TRUTH),
    explain=explain_labels,
    draw_case=draw_labels,
    case_names=(
        "",
        "",
        "an object that no anchor overlaps",
        "other thresholds, 0.5 and 0.4",
        "a single object",
        "iou of shape (4, 0), no object at all: every anchor is negative then",
        "",
        "IoUs that are exactly `high` and exactly `low`, 0.5 and 0.25",
    ),
    whole=True,
    read=read_labels,
)

EXERCISES = (IOU, LABEL, SAMPLE)
