"""Answers to `box_iou` and `label_anchors`, as learners would write them."""

import numpy as np
import torch
from torchvision.ops import box_iou as torchvision_box_iou

from frcnn_edu import boxes
from frcnn_edu.matching import Matcher

# box_iou: right answers


def iou_by_broadcasting(boxes1, boxes2):
    lt = torch.max(boxes1[:, None, :2], boxes2[:, :2])
    rb = torch.min(boxes1[:, None, 2:], boxes2[:, 2:])
    wh = (rb - lt).clamp(min=0)
    inter = wh[..., 0] * wh[..., 1]
    area1 = (boxes1[:, 2] - boxes1[:, 0]) * (boxes1[:, 3] - boxes1[:, 1])
    area2 = (boxes2[:, 2] - boxes2[:, 0]) * (boxes2[:, 3] - boxes2[:, 1])
    return inter / (area1[:, None] + area2 - inter + 1e-6)


def iou_by_loops(boxes1, boxes2):
    table = []
    for a in boxes1.tolist():
        row = []
        for b in boxes2.tolist():
            w = min(a[2], b[2]) - max(a[0], b[0])
            h = min(a[3], b[3]) - max(a[1], b[1])
            inter = w * h if w > 0 and h > 0 else 0
            union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
            row.append(inter / union)
        table.append(row)
    return table


def iou_in_numpy(boxes1, boxes2):
    a, b = np.asarray(boxes1)[:, None], np.asarray(boxes2)[None]
    w = np.maximum(0, np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0]))
    h = np.maximum(0, np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1]))
    size = lambda c: (c[..., 2] - c[..., 0]) * (c[..., 3] - c[..., 1])  # noqa: E731
    return w * h / (size(a) + size(b) - w * h)


def iou_into_zeros(boxes1, boxes2):
    table = torch.zeros(len(boxes1), len(boxes2), dtype=torch.float64)
    for i, (x1, y1, x2, y2) in enumerate(boxes1):
        for j, other in enumerate(boxes2):
            w = (torch.minimum(x2, other[2]) - torch.maximum(x1, other[0])).relu()
            h = (torch.minimum(y2, other[3]) - torch.maximum(y1, other[1])).relu()
            table[i, j] = w * h / ((x2 - x1) * (y2 - y1) + (other[2:] - other[:2]).prod() - w * h)
    return table


# box_iou: wrong answers, each with words that the diagnosis must contain


def area(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def overlap(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(w, 0) * max(h, 0)


def iou(inter=overlap, union=lambda a, b, i: area(a) + area(b) - i, quotient=lambda i, u: i / u):
    """A learner's function with this intersection, this union and this quotient."""

    def written(boxes1, boxes2):
        found = [[(a, b, inter(a, b)) for b in boxes2.tolist()] for a in boxes1.tolist()]
        return torch.tensor([[quotient(i, union(a, b, i)) for a, b, i in row] for row in found])

    return written


def sides(a, b, more=0):
    return min(a[2], b[2]) - max(a[0], b[0]) + more, min(a[3], b[3]) - max(a[1], b[1]) + more


def area_plus_1(box):
    return (box[2] - box[0] + 1) * (box[3] - box[1] + 1)


def around(a, b):
    return (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))


def as_sides(box):
    return [box[0], box[1], box[0] + box[2], box[1] + box[3]]


def iou_of_pairs(boxes1, boxes2):
    return torch.stack([iou_by_broadcasting(a[None], b[None])[0, 0] for a, b in zip(boxes1, boxes2)])  # noqa: B905


def iou_row_by_row(boxes1, boxes2):
    lt = torch.max(boxes1[:, :2], boxes2[:, :2])
    wh = (torch.min(boxes1[:, 2:], boxes2[:, 2:]) - lt).clamp(min=0)
    inter = wh.prod(dim=1)
    return inter / ((boxes1[:, 2:] - boxes1[:, :2]).prod(1) + (boxes2[:, 2:] - boxes2[:, :2]).prod(1) - inter)


def iou_without_product(boxes1, boxes2):
    lt = torch.max(boxes1[:, None, :2], boxes2[:, :2])
    return (torch.min(boxes1[:, None, 2:], boxes2[:, 2:]) - lt).clamp(min=0)


def iou_returning_inside_the_loop(boxes1, boxes2):
    for a in boxes1.tolist():
        for b in boxes2.tolist():
            return overlap(a, b) / (area(a) + area(b) - overlap(a, b))
    return None


def iou_in_place(boxes1, boxes2):
    answer = iou_by_broadcasting(boxes1, boxes2)
    boxes2[:, 2:] -= boxes2[:, :2]
    return answer


def iou_of_three(boxes1, boxes2):
    return iou_by_broadcasting(boxes1, boxes2)[:3, :3].reshape(3, 3)


def iou_squeezed(boxes1, boxes2):
    return iou_by_broadcasting(boxes1, boxes2).squeeze()


WRONG_IOU = {
    "not clamped": (iou(lambda a, b: sides(a, b)[0] * sides(a, b)[1]), "boxes that do not meet must be 0"),
    "product clamped": (iou(lambda a, b: max(sides(a, b)[0] * sides(a, b)[1], 0)), "not their product"),
    "abs": (iou(lambda a, b: abs(sides(a, b)[0]) * abs(sides(a, b)[1])), "abs()"),
    "width clamped alone": (iou(lambda a, b: max(sides(a, b)[0], 0) * sides(a, b)[1]), "clamp the height, too"),
    "height clamped alone": (iou(lambda a, b: sides(a, b)[0] * max(sides(a, b)[1], 0)), "clamp the width, too"),
    "min and max exchanged": (iou(around), "min and max are exchanged"),
    "union is the sum": (iou(union=lambda a, b, i: area(a) + area(b)), "counts the intersection twice"),
    "intersection subtracted twice": (
        iou(union=lambda a, b, i: area(a) + area(b) - 2 * i),
        "subtracted twice",
    ),
    "intersection added": (iou(union=lambda a, b, i: area(a) + area(b) + i), "is added to the union"),
    "union plus 1": (iou(union=lambda a, b, i: area(a) + area(b) - i + 1), "add only 1e-7"),
    "over the first": (iou(union=lambda a, b, i: area(a)), "area of the first box"),
    "over the second": (iou(union=lambda a, b, i: area(b)), "area of the second box"),
    "over the smaller": (iou(union=lambda a, b, i: min(area(a), area(b))), "the smaller area"),
    "over the larger": (iou(union=lambda a, b, i: max(area(a), area(b))), "the larger area"),
    "over the box around": (iou(union=lambda a, b, i: around(a, b)), "the box around both"),
    "Dice": (iou(union=lambda a, b, i: (area(a) + area(b)) / 2), "Dice"),
    "intersection alone": (iou(quotient=lambda i, u: i), "in square pixels"),
    "distance": (iou(quotient=lambda i, u: 1 - i / u), "a distance"),
    "percent": (iou(quotient=lambda i, u: 100 * i / u), "It returns percent"),
    "upside down": (iou(quotient=lambda i, u: u / i), "ZeroDivisionError"),
    "plus 1": (
        iou(
            lambda a, b: max(sides(a, b, 1)[0], 0) * max(sides(a, b, 1)[1], 0),
            lambda a, b, i: area_plus_1(a) + area_plus_1(b) - i,
        ),
        "without the + 1",
    ),
    "plus 1 in the areas": (iou(union=lambda a, b, i: area_plus_1(a) + area_plus_1(b) - i), "without the + 1"),
    "plus 1 in the intersection": (
        iou(lambda a, b: max(sides(a, b, 1)[0], 0) * max(sides(a, b, 1)[1], 0)),
        "without the + 1",
    ),
    "read as x, y, w, h": (
        iou(
            lambda a, b: overlap(as_sides(a), as_sides(b)),
            lambda a, b, i: a[2] * a[3] + b[2] * b[3] - i,
        ),
        "read as x, y, width, height",
    ),
    "areas of x2 * y2": (iou(union=lambda a, b, i: a[2] * a[3] + b[2] * b[3] - i), "not x2·y2"),
    "transposed": (lambda boxes1, boxes2: iou_by_broadcasting(boxes2, boxes1), "Rows and columns are exchanged"),
    "two slips": (
        iou(lambda a, b: sides(a, b)[0] * sides(a, b)[1], lambda a, b, i: area(a) + area(b)),
        "And: The union counts the intersection twice",
    ),
    "of pairs": (iou_of_pairs, "every box of boxes1 meets every box of boxes2"),
    "row by row": (iou_row_by_row, "every box of boxes1 meets every box of boxes2"),
    "flattened": (lambda boxes1, boxes2: iou_by_broadcasting(boxes1, boxes2).flatten(), "reshape(N, M)"),
    "width and height": (iou_without_product, "still separate"),
    "return in the loop": (iou_returning_inside_the_loop, "a single number"),
    "off by a bit": (iou(quotient=lambda i, u: 0.9 * i / u), "have IoU"),
    "comparison": (lambda boxes1, boxes2: iou_by_broadcasting(boxes1, boxes2) > 0.5, "True and False"),
    "integers": (lambda boxes1, boxes2: iou_by_broadcasting(boxes1, boxes2).int(), "whole numbers"),
    "half precision": (lambda boxes1, boxes2: iou_by_broadcasting(boxes1, boxes2).bfloat16(), "bfloat16"),
    "another device": (lambda boxes1, boxes2: iou_by_broadcasting(boxes1, boxes2).to("meta"), "on meta"),
    "in place": (iou_in_place, "`boxes2` in place"),
    "three of three": (iou_of_three, "It was called with five boxes and two"),
    "squeezed": (iou_squeezed, "finish with .reshape(-1, 3)"),
    "nothing": (lambda boxes1, boxes2: None, "returns None"),
    "a number": (lambda boxes1, boxes2: 0.5, "a single number"),
    "zeros": (lambda boxes1, boxes2: torch.zeros(len(boxes1), len(boxes2)), "It returns 0 everywhere"),
}

# label_anchors: right answers


def labels_by_masks(iou, high=0.7, low=0.3):
    labels = torch.full((iou.shape[0],), -1, dtype=torch.int32)
    if iou.shape[1] == 0:
        return torch.zeros_like(labels)
    highest = iou.max(dim=1).values
    labels[highest < low] = 0
    labels[highest >= high] = 1
    best = iou.max(dim=0).values
    labels[((iou == best) & (iou > 0)).any(dim=1)] = 1
    return labels


def labels_by_loops(iou, high=0.7, low=0.3):
    rows = iou.tolist()
    labels = []
    for row in rows:
        top = max(row, default=0.0)
        labels.append(1 if top >= high else 0 if top < low else -1)
    for j in range(iou.shape[1]):
        top = max(row[j] for row in rows)
        for i, row in enumerate(rows):
            if top > 0 and row[j] == top:
                labels[i] = 1
    return labels


def labels_in_numpy(iou, high=0.7, low=0.3):
    iou = iou.numpy()
    padded = np.hstack([iou, np.zeros((len(iou), 1))])
    highest = padded.max(axis=1)
    labels = np.select([highest >= high, highest < low], [1, 0], default=-1)
    best = padded.max(axis=0)
    labels[((padded == best) & (best > 0)).any(axis=1)] = 1
    return labels


def labels_by_where(iou, high=0.7, low=0.3):
    if iou.numel() == 0:
        return torch.zeros(len(iou), dtype=torch.long)
    top = iou.amax(1)
    labels = torch.where(top >= high, 1, torch.where(top < low, 0, -1))
    for column in iou.T:
        if column.max() > 0:
            labels = labels.where(column < column.max() - 1e-7, torch.tensor(1))
    return labels


def labels_as_torchvision(iou, high=0.7, low=0.3):
    """Floats: what torchvision's own `assign_targets_to_anchors` makes of them."""
    return labels_by_masks(iou, high, low).to(torch.float32)


def labels_of_minus_ones(iou, high=0.7, low=0.3):
    labels = -np.ones(len(iou))
    labels[labels_in_numpy(iou, high, low) == 0] = 0
    labels[labels_in_numpy(iou, high, low) == 1] = 1
    return labels


def labels_in_a_list(iou, high=0.7, low=0.3):
    return labels_of_minus_ones(iou, high, low).tolist()


def labels_of_the_package(iou, high=0.7, low=0.3):
    return Matcher(high, low)(iou).labels


# label_anchors: wrong answers


def label(
    highest=lambda iou: iou.amax(dim=1),
    negative=lambda top, low, iou: top < low,
    positive=lambda top, high, iou: top >= high,
    best=lambda iou: ((iou == iou.amax(dim=0)) & (iou > 0)).any(dim=1),
    between=-1,
    below=0,
    empty=0,
    best_first=False,
):
    """A learner's function with these rules."""

    def written(iou, high=0.7, low=0.3):
        if iou.shape[1] == 0:
            return torch.full((len(iou),), empty)
        labels = torch.full((len(iou),), between)
        top = highest(iou)
        if best_first:
            labels[best(iou)] = 1
        labels[negative(top, low, iou)] = below
        labels[positive(top, high, iou)] = 1
        if not best_first:
            labels[best(iou)] = 1
        return labels

    return written


def argmax_rule(iou):
    best = torch.zeros(len(iou), dtype=torch.bool)
    best[iou.argmax(dim=0)] = True
    return best


def argmax_above_0(iou):
    best = torch.zeros(len(iou), dtype=torch.bool)
    best[iou.argmax(dim=0)[iou.amax(dim=0) > 0]] = True
    return best


def column_for_row(iou):
    best = torch.zeros(len(iou), dtype=torch.bool)
    best[iou.argmax(dim=1)] = True
    return best


def labels_without_empty(iou, high=0.7, low=0.3):
    labels = torch.full((len(iou),), -1)
    highest, _ = iou.max(dim=1)
    labels[highest < low] = 0
    labels[highest >= high] = 1
    labels[((iou == iou.amax(dim=0)) & (iou > 0)).any(dim=1)] = 1
    return labels


def labels_of_truths(iou, high=0.7, low=0.3):
    top = iou.amax(dim=0)
    return torch.where(top >= high, 1, torch.where(top < low, 0, -1))


def labels_of_pairs(iou, high=0.7, low=0.3):
    return torch.where(iou >= high, 1, torch.where(iou < low, 0, -1))


def labels_and_matches(iou, high=0.7, low=0.3):
    return labels_by_masks(iou, high, low), iou.argmax(dim=1)


def labels_two_for_ignored(iou, high=0.7, low=0.3):
    labels = labels_by_masks(iou, high, low)
    return torch.where(labels == -1, 2, labels)


def labels_in_place(iou, high=0.7, low=0.3):
    labels = labels_by_masks(iou, high, low)
    iou[iou < low] = 0
    return labels


def labels_last_wrong(iou, high=0.7, low=0.3):
    labels = labels_by_masks(iou, high, low).clone()
    labels[-1] = 0
    return labels


def labels_hanging(iou, high=0.7, low=0.3):
    while True:
        iou = iou.clone()


WRONG_LABEL = {
    "best-anchor rule missing": (label(best=lambda iou: iou[:, 0] > 2), "The best-anchor rule is missing"),
    "argmax": (label(best=argmax_above_0), "equally well only one becomes positive"),
    "argmax of columns of 0": (label(best=argmax_rule), "mark them all, iou == iou.amax(dim=0); if none does, none"),
    "columns of 0": (label(best=lambda iou: (iou == iou.amax(0)).any(1)), "every anchor of IoU 0 equals it"),
    "best above low only": (
        label(best=lambda iou: ((iou == iou.amax(0)) & (iou >= 0.3)).any(1)),
        "only from a threshold on",
    ),
    "best-anchor rule first": (label(best_first=True), "rule last, after the negatives"),
    "best of all": (label(best=lambda iou: (iou == iou.max()).any(1)), "best anchor of all objects together"),
    "best of every row": (
        label(best=lambda iou: ((iou == iou.amax(1, keepdim=True)) & (iou > 0)).any(1)),
        "not the best ground truth of each anchor",
    ),
    "argmax over rows": (label(best=column_for_row), "used as indices of anchors"),
    "least overlap": (label(lambda iou: iou.amin(dim=1)), "judged by its lowest IoU"),
    "mean": (label(lambda iou: iou.mean(dim=1)), "judged by its mean IoU"),
    "sum": (label(lambda iou: iou.sum(dim=1)), "judged by its summed IoU"),
    "first object": (label(lambda iou: iou[:, 0]), "Only the first ground truth"),
    "last object": (label(lambda iou: iou[:, -1]), "Only the last ground truth"),
    "any below low": (label(negative=lambda top, low, iou: (iou < low).any(1)), "below `low`. All must be below"),
    "negative without overlap": (label(negative=lambda top, low, iou: top == 0), "without any overlap"),
    "negative at low": (label(negative=lambda top, low, iou: top <= low), "exactly `low` is ignored"),
    "positive above high alone": (label(positive=lambda top, high, iou: top > high), "exactly `high` is positive"),
    "both borders": (
        label(negative=lambda top, low, iou: top <= low, positive=lambda top, high, iou: top > high),
        "< and not <=. And: An anchor whose highest IoU is exactly `high` is positive",
    ),
    "never negative": (label(negative=lambda top, low, iou: top < 0), "No anchor is negative"),
    "between negative": (label(between=0), "`low` and `high` are negative"),
    "between positive": (label(between=1), "Are the thresholds exchanged?"),
    "0 and -1 exchanged": (label(between=0, below=-1), "Negative and ignored are exchanged"),
    "best alone": (label(positive=lambda top, high, iou: top > 2), "Only the best anchors are positive"),
    "all above high": (label(positive=lambda top, high, iou: (iou >= high).all(1)), "one object is enough"),
    "thresholds not used": (lambda iou, high=0.7, low=0.3: labels_by_masks(iou), "use `high` and `low`"),
    "0.5": (lambda iou, high=0.7, low=0.3: labels_by_masks(iou, 0.5, 0.5), "always 0.5"),
    "defaults missing": (lambda iou, high, low: labels_by_masks(iou, high, low), "def f(iou, high=0.7, low=0.3)"),
    "number of the object": (
        lambda iou, high=0.7, low=0.3: (
            labels_by_masks(iou, high, low).where(labels_by_masks(iou, high, low) != 1, iou.argmax(1).int())
            if iou.numel()
            else torch.zeros(len(iou))
        ),
        "the index of their ground truth",
    ),
    "ignored without truth": (label(empty=-1), "yours are all ignored"),
    "positive without truth": (label(empty=1), "yours are all positive"),
    "no truth forgotten": (labels_without_empty, "no object at all: then every anchor is negative"),
    "no truth gives None": (
        lambda iou, high=0.7, low=0.3: labels_by_masks(iou, high, low) if iou.shape[1] else None,
        "no object at all",
    ),
    "two slips": (label(best=lambda iou: iou[:, 0] > 2, between=0), "And: "),
    "per truth": (labels_of_truths, "return one per anchor"),
    "per pair": (labels_of_pairs, "one label per pair"),
    "matches too": (labels_and_matches, "return the labels alone"),
    "column": (lambda iou, high=0.7, low=0.3: labels_by_masks(iou, high, low)[:, None], ".squeeze(1)"),
    "2 for ignored": (labels_two_for_ignored, "labels an anchor 2"),
    "mask": (lambda iou, high=0.7, low=0.3: (iou > high).any(1), "there are three labels"),
    "not whole": (lambda iou, high=0.7, low=0.3: labels_by_masks(iou, high, low) * 0.5, "Start from torch.full"),
    "not whole in NumPy": (
        lambda iou, high=0.7, low=0.3: labels_in_numpy(iou, high, low) * 0.999,
        "an anchor 0.999; labels are whole: 1 positive, 0 negative and -1 ignored. Start from np.full(A, -1)",
    ),
    "not whole in a list": (
        lambda iou, high=0.7, low=0.3: (labels_by_masks(iou, high, low) * 0.999).tolist(),
        "labels are whole: 1 positive, 0 negative and -1 ignored.",
    ),
    "floats, last one wrong": (
        lambda iou, high=0.7, low=0.3: labels_last_wrong(iou, high, low).float(),
        "should be -1, but is 0",
    ),
    "last one wrong": (labels_last_wrong, "should be -1, but is 0"),
    "another device": (lambda iou, high=0.7, low=0.3: labels_by_masks(iou, high, low).to("meta"), "on meta"),
    "in place": (labels_in_place, "`iou` in place"),
    "nothing": (lambda iou, high=0.7, low=0.3: None, "returns None"),
    "hanging": (labels_hanging, "still running"),
}

RIGHT = {
    "box_iou": (
        iou_by_broadcasting,
        iou_by_loops,
        iou_in_numpy,
        iou_into_zeros,
        torchvision_box_iou,
        boxes.box_iou,
    ),
    "label_anchors": (
        labels_by_masks,
        labels_by_loops,
        labels_in_numpy,
        labels_by_where,
        labels_as_torchvision,
        labels_of_minus_ones,
        labels_in_a_list,
        labels_of_the_package,
    ),
}
WRONG = {"box_iou": WRONG_IOU, "label_anchors": WRONG_LABEL}
