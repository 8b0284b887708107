"""Exercises of lesson 02: right answers pass however they are written, wrong ones are told what is wrong with them.

The answers stand here as learners would write them; nothing here knows how the checks work.
"""

import json
import random
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler
from torchvision.ops import box_iou as torchvision_box_iou

from frcnn_edu import boxes
from frcnn_edu.exercises import check
from frcnn_edu.matching import BalancedSampler, Matcher

SOURCE = Path(__file__).parents[2] / "notebooks/assignments/source"
ASSIGNMENT, HIDDEN = SOURCE / "a2_labeling_and_sampling/labeling_and_sampling.ipynb", "hidden_label_anchors"

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
    "product clamped": (iou(lambda a, b: max(sides(a, b)[0] * sides(a, b)[1], 0)), "their product is positive"),
    "abs": (iou(lambda a, b: abs(sides(a, b)[0]) * abs(sides(a, b)[1])), "abs()"),
    "width clamped alone": (iou(lambda a, b: max(sides(a, b)[0], 0) * sides(a, b)[1]), "the height must be too"),
    "height clamped alone": (iou(lambda a, b: sides(a, b)[0] * max(sides(a, b)[1], 0)), "the width must be too"),
    "min and max exchanged": (iou(around), "min and max are exchanged"),
    "union is the sum": (iou(union=lambda a, b, i: area(a) + area(b)), "counts the intersection twice"),
    "intersection subtracted twice": (
        iou(union=lambda a, b, i: area(a) + area(b) - 2 * i),
        "subtracted twice",
    ),
    "intersection added": (iou(union=lambda a, b, i: area(a) + area(b) + i), "is added to the union"),
    "union plus 1": (iou(union=lambda a, b, i: area(a) + area(b) - i + 1), "a tiny number"),
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
    "of pairs": (iou_of_pairs, "Every box of boxes1 meets every box of boxes2"),
    "row by row": (iou_row_by_row, "Every box of boxes1 meets every box of boxes2"),
    "flattened": (lambda boxes1, boxes2: iou_by_broadcasting(boxes1, boxes2).flatten(), "reshape(N, M)"),
    "width and height": (iou_without_product, "still apart"),
    "return in the loop": (iou_returning_inside_the_loop, "a single number"),
    "off by a bit": (iou(quotient=lambda i, u: 0.9 * i / u), "have IoU"),
    "comparison": (lambda boxes1, boxes2: iou_by_broadcasting(boxes1, boxes2) > 0.5, "True and False"),
    "integers": (lambda boxes1, boxes2: iou_by_broadcasting(boxes1, boxes2).int(), "whole numbers"),
    "half precision": (lambda boxes1, boxes2: iou_by_broadcasting(boxes1, boxes2).bfloat16(), "bfloat16"),
    "another device": (lambda boxes1, boxes2: iou_by_broadcasting(boxes1, boxes2).to("meta"), "on meta"),
    "in place": (iou_in_place, "`boxes2` in place"),
    "three of three": (iou_of_three, "It was called with five boxes and two"),
    "squeezed": (iou_squeezed, "is due"),
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
    "argmax of columns of 0": (label(best=argmax_rule), "argmax names one even there"),
    "columns of 0": (label(best=lambda iou: (iou == iou.amax(0)).any(1)), "every anchor of IoU 0 equals it"),
    "best above low only": (
        label(best=lambda iou: ((iou == iou.amax(0)) & (iou >= 0.3)).any(1)),
        "only from a threshold on",
    ),
    "best-anchor rule first": (label(best_first=True), "has the last word"),
    "best of all": (label(best=lambda iou: (iou == iou.max()).any(1)), "best anchor of all objects together"),
    "best of every row": (
        label(best=lambda iou: ((iou == iou.amax(1, keepdim=True)) & (iou > 0)).any(1)),
        "not the best ground truth of each anchor",
    ),
    "argmax over rows": (label(best=column_for_row), "used as numbers of anchors"),
    "least overlap": (label(lambda iou: iou.amin(dim=1)), "overlaps least"),
    "mean": (label(lambda iou: iou.mean(dim=1)), "the mean over all objects"),
    "sum": (label(lambda iou: iou.sum(dim=1)), "the sum over all objects"),
    "first object": (label(lambda iou: iou[:, 0]), "Only the first ground truth"),
    "last object": (label(lambda iou: iou[:, -1]), "Only the last ground truth"),
    "any below low": (label(negative=lambda top, low, iou: (iou < low).any(1)), "below `low`; with all of them is due"),
    "negative without overlap": (label(negative=lambda top, low, iou: top == 0), "without any overlap"),
    "negative at low": (label(negative=lambda top, low, iou: top <= low), "exactly `low` is ignored"),
    "positive above high alone": (label(positive=lambda top, high, iou: top > high), "exactly `high` is positive"),
    "both borders": (
        label(negative=lambda top, low, iou: top <= low, positive=lambda top, high, iou: top > high),
        "< and not <=. And: An anchor whose highest IoU is exactly `high` is positive",
    ),
    "never negative": (label(negative=lambda top, low, iou: top < 0), "No anchor is negative"),
    "between negative": (label(between=0), "`low` and `high` are negative"),
    "between positive": (label(between=1), "label 1 starts at `high`"),
    "0 and -1 exchanged": (label(between=0, below=-1), "Negative and ignored are exchanged"),
    "best alone": (label(positive=lambda top, high, iou: top > 2), "Only the best anchors are positive"),
    "all above high": (label(positive=lambda top, high, iou: (iou >= high).all(1)), "with one object is `high`"),
    "thresholds not used": (lambda iou, high=0.7, low=0.3: labels_by_masks(iou), "use `high` and `low`"),
    "0.5": (lambda iou, high=0.7, low=0.3: labels_by_masks(iou, 0.5, 0.5), "0.5 whatever is given"),
    "defaults missing": (lambda iou, high, low: labels_by_masks(iou, high, low), "def f(iou, high=0.7, low=0.3)"),
    "number of the object": (
        lambda iou, high=0.7, low=0.3: (
            labels_by_masks(iou, high, low).where(labels_by_masks(iou, high, low) != 1, iou.argmax(1).int())
            if iou.numel()
            else torch.zeros(len(iou))
        ),
        "number of their ground truth",
    ),
    "ignored without truth": (label(empty=-1), "here they are all ignored"),
    "positive without truth": (label(empty=1), "here they are all positive"),
    "no truth forgotten": (labels_without_empty, "no object at all: every anchor is negative then"),
    "no truth gives None": (
        lambda iou, high=0.7, low=0.3: labels_by_masks(iou, high, low) if iou.shape[1] else None,
        "no object at all",
    ),
    "two slips": (label(best=lambda iou: iou[:, 0] > 2, between=0), "And: "),
    "per truth": (labels_of_truths, "one per anchor is due"),
    "per pair": (labels_of_pairs, "one label per pair"),
    "matches too": (labels_and_matches, "The labels alone are due"),
    "column": (lambda iou, high=0.7, low=0.3: labels_by_masks(iou, high, low)[:, None], ".squeeze(1)"),
    "2 for ignored": (labels_two_for_ignored, "labels an anchor 2"),
    "mask": (lambda iou, high=0.7, low=0.3: (iou > high).any(1), "three labels are due"),
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
        "Label -1 is due, but it is 0",
    ),
    "last one wrong": (labels_last_wrong, "Label -1 is due, but it is 0"),
    "another device": (lambda iou, high=0.7, low=0.3: labels_by_masks(iou, high, low).to("meta"), "on meta"),
    "in place": (labels_in_place, "`iou` in place"),
    "nothing": (lambda iou, high=0.7, low=0.3: None, "returns None"),
    "hanging": (labels_hanging, "still running"),
}

# sample_anchors: right answers


def sample_by_randperm(labels, batch_size=256, positive_fraction=0.5):
    positive = torch.where(labels == 1)[0]
    negative = torch.where(labels == 0)[0]
    n_positive = min(len(positive), int(batch_size * positive_fraction))
    n_negative = min(len(negative), batch_size - n_positive)
    return (
        positive[torch.randperm(len(positive))[:n_positive]],
        negative[torch.randperm(len(negative))[:n_negative]],
    )


def sample_with_random(labels, batch_size=256, positive_fraction=0.5):
    positive = [i for i, label in enumerate(labels) if label == 1]
    negative = [i for i, label in enumerate(labels) if label == 0]
    random.shuffle(positive)
    positive = positive[: round(batch_size * positive_fraction)]
    return positive, random.sample(negative, min(len(negative), batch_size - len(positive)))


def sample_in_numpy(labels, batch_size=256, positive_fraction=0.5):
    chance = np.random.default_rng()
    positive, negative = np.flatnonzero(labels.numpy() == 1), np.flatnonzero(labels.numpy() == 0)
    count = min(positive.size, int(batch_size * positive_fraction))
    positive = chance.choice(positive, count, replace=False)
    return positive.astype(np.int32), chance.permutation(negative)[: batch_size - count]


def sample_by_multinomial(labels, batch_size=256, positive_fraction=0.5):
    def draw(mask, count):
        count = min(count, int(mask.sum()))
        return torch.multinomial(mask.float(), count) if count else torch.empty(0, dtype=torch.long)

    positive = draw(labels == 1, int(batch_size * positive_fraction))
    return [positive, draw(labels == 0, batch_size - len(positive))]


def sample_by_keys(labels, batch_size=256, positive_fraction=0.5):
    order = torch.rand(len(labels)).argsort()
    positive = order[labels[order] == 1][: int(batch_size * positive_fraction)]
    return positive.sort().values, order[labels[order] == 0][: batch_size - len(positive)].sort().values


def sample_with_torchvision(labels, batch_size=256, positive_fraction=0.5):
    positive, negative = BalancedPositiveNegativeSampler(batch_size, positive_fraction)([labels])
    return positive[0].nonzero().squeeze(1), negative[0].nonzero().squeeze(1)


def sample_of_the_package(labels, batch_size=256, positive_fraction=0.5):
    sample = BalancedSampler(batch_size, positive_fraction)(labels)
    return sample.positive, sample.negative


# sample_anchors: wrong answers


def shuffled(indices):
    return indices[torch.randperm(len(indices))]


def sample(
    positives=lambda y: (y == 1).nonzero().squeeze(1),
    negatives=lambda y: (y == 0).nonzero().squeeze(1),
    counts=lambda p, n, b, f: (min(p, int(b * f)), min(n, b - min(p, int(b * f)))),
    draw=lambda indices, count: shuffled(indices)[:count],
    finish=lambda positive, negative: (positive, negative),
):
    """A learner's function that draws from these, so many, in this way, and returns them so."""

    def written(labels, batch_size=256, positive_fraction=0.5):
        positive, negative = positives(labels), negatives(labels)
        some, others = counts(len(positive), len(negative), batch_size, positive_fraction)
        return finish(draw(positive, some), draw(negative, others))

    return written


def share(p, b, f):
    return min(p, int(b * f))


def draw_with_seed(indices, count):
    torch.manual_seed(0)
    return shuffled(indices)[:count]


def draw_run(indices, count):
    start = random.randint(0, len(indices) - count)
    return indices[start : start + count]


def draw_but_the_last(indices, count):
    return shuffled(indices[:-1])[:count] if count < len(indices) else indices


def draw_with_the_first(indices, count):
    if count == 0:
        return indices[:0]
    return torch.cat([indices[:1], shuffled(indices[1:])[: count - 1]])


def draw_with_replacement(indices, count):
    return indices[torch.randint(len(indices), (count,))] if len(indices) else indices


def draw_ranks(indices, count):
    return torch.randperm(len(indices))[:count]


def draw_favourites(indices, count):
    if count >= len(indices):
        return indices
    weights = torch.linspace(1, 0.02, len(indices)) ** 2
    return indices[torch.multinomial(weights, count)]


def sample_all_together(labels, batch_size=256, positive_fraction=0.5):
    drawn = shuffled((labels >= 0).nonzero().squeeze(1))[:batch_size]
    return drawn[labels[drawn] == 1], drawn[labels[drawn] == 0]


def sample_by_rejection(labels, batch_size=256, positive_fraction=0.5):
    chosen = set()
    while len(chosen) < int(batch_size * positive_fraction):
        i = random.randrange(len(labels))
        if labels[i] == 1:
            chosen.add(i)
    return sorted(chosen), sample_by_randperm(labels, batch_size, positive_fraction)[1]


def sample_strictly(labels, batch_size=256, positive_fraction=0.5):
    positive = (labels == 1).nonzero().squeeze(1).tolist()
    negative = (labels == 0).nonzero().squeeze(1).tolist()
    half = int(batch_size * positive_fraction)
    return random.sample(positive, half), random.sample(negative, batch_size - half)


def sample_squeezing(labels, batch_size=256, positive_fraction=0.5):
    positive = (labels == 1).nonzero().squeeze()
    negative = (labels == 0).nonzero().squeeze()
    count = share(positive.numel(), batch_size, positive_fraction)
    return (
        positive if positive.ndim == 0 else shuffled(positive)[:count],
        negative if negative.ndim == 0 else shuffled(negative)[: batch_size - count],
    )


def sample_marking_in_place(labels, batch_size=256, positive_fraction=0.5):
    answer = sample_by_randperm(labels, batch_size, positive_fraction)
    labels.fill_(-1)
    return answer


def sample_shuffling_labels(labels, batch_size=256, positive_fraction=0.5):
    torch.manual_seed(0)  # by chance it draws ignored anchors alone, which has a sentence of its own
    labels = shuffled(labels)
    return sample_by_randperm(labels, batch_size, positive_fraction)


def sample_labels(labels, batch_size=256, positive_fraction=0.5):
    positive, negative = sample_by_randperm(labels, batch_size, positive_fraction)
    return labels[positive], labels[negative]


def sample_masks(labels, batch_size=256, positive_fraction=0.5):
    positive, negative = sample_by_randperm(labels, batch_size, positive_fraction)
    mask = torch.zeros_like(labels, dtype=torch.bool)
    return mask.index_fill(0, positive, True), mask.index_fill(0, negative, True)


WRONG_SAMPLE = {
    "first k": (sample(draw=lambda i, k: i[:k]), "always draws the first 4 positives"),
    "last k": (sample(draw=lambda i, k: i[len(i) - k :]), "always draws the last 4 positives"),
    "negatives not random": (
        lambda labels, batch_size=256, positive_fraction=0.5: (
            sample_by_randperm(labels, batch_size, positive_fraction)[0],
            sample(draw=lambda i, k: i[:k])(labels, batch_size, positive_fraction)[1],
        ),
        "always draws the first 4 negatives",
    ),
    "shuffled after the cut": (sample(draw=lambda i, k: shuffled(i[:k])), "shuffle all, then cut"),
    "seeded": (sample(draw=draw_with_seed), "a seed is set inside"),
    "runs": (sample(draw=draw_run), "side by side"),
    "all but the last": (sample(draw=draw_but_the_last), "The last one is missing"),
    "always the first": (sample(draw=draw_with_the_first), "In each of 60 draws"),
    "favourites": (sample(draw=draw_favourites), "same chance"),
    "with replacement": (sample(draw=draw_with_replacement), "drawn twice"),
    "ranks": (sample(draw=draw_ranks), "places in the list of positives"),
    "ignored as negatives": (sample(negatives=lambda y: (y != 1).nonzero().squeeze(1)), "ignored anchors, label -1"),
    "ignored as positives": (sample(positives=lambda y: (y != 0).nonzero().squeeze(1)), "ignored anchors, label -1"),
    "exchanged": (sample(finish=lambda positive, negative: (negative, positive)), "The two are exchanged"),
    "labels": (sample_labels, "where indices into `labels` are due"),
    "masks": (sample_masks, "mask.nonzero().squeeze(1)"),
    "column": (sample(finish=lambda positive, negative: (positive[:, None], negative[:, None])), "makes a column"),
    "floats": (
        sample(finish=lambda positive, negative: (positive.float(), negative.float())),
        "The positive indices are float32, and a float is no index: make it torch.int64, with .long()",
    ),
    "floats in NumPy": (
        sample(finish=lambda positive, negative: (positive, negative.double().numpy())),
        "The negative indices are float64, and a float is no index: make it np.int64, with .astype(np.int64)",
    ),
    "floats in lists": (
        sample(finish=lambda positive, negative: (positive.double().tolist(), negative)),
        "The positive indices are floats, and a float is no index: make an int of each",
    ),
    "not whole": (
        sample(finish=lambda positive, negative: (positive + 0.5, negative)),
        "The positive indices are no whole numbers",
    ),
    "concatenated": (sample(finish=lambda *both: torch.cat(both)), "It returns one tensor"),
    "three": (sample(finish=lambda positive, negative: (positive, negative, 0)), "3 values"),
    "dict": (sample(finish=lambda positive, negative: {"positive": positive}), "returns a dict"),
    "Sample": (lambda labels, batch_size=256, positive_fraction=0.5: BalancedSampler()(labels), "returns a Sample"),
    "one is None": (sample(finish=lambda positive, negative: (positive, None)), "negative indices are None"),
    "from 1": (sample(finish=lambda positive, negative: (positive + 1, negative + 1)), "is drawn as"),
    "not filled up": (sample(counts=lambda p, n, b, f: (share(p, b, f), min(n, b - int(b * f)))), "not filled up"),
    "as many as positives": (
        sample(counts=lambda p, n, b, f: (share(p, b, f), min(n, share(p, b, f)))),
        "as many negatives as positives",
    ),
    "no limit": (sample(counts=lambda p, n, b, f: (min(p, b), min(n, b - min(p, b)))), "may fill the whole batch"),
    "filled with positives": (
        sample(counts=lambda p, n, b, f: (min(p, b - min(n, b - share(p, b, f))), min(n, b - share(p, b, f)))),
        "more positives are drawn",
    ),
    "batch of each": (sample(counts=lambda p, n, b, f: (min(p, b), min(n, b))), "batch_size of each kind"),
    "batch of negatives": (sample(counts=lambda p, n, b, f: (share(p, b, f), min(n, b))), "batch_size negatives"),
    "all": (sample(counts=lambda p, n, b, f: (p, n)), "every positive and every negative"),
    "fraction not used": (
        sample(counts=lambda p, n, b, f: (share(p, b, 0.5), min(n, b - share(p, b, 0.5)))),
        "whatever `positive_fraction` is",
    ),
    "batch not used": (
        sample(counts=lambda p, n, b, f: (share(p, 256, f), min(n, 256 - share(p, 256, f)))),
        "256 whatever `batch_size` is",
    ),
    "fraction of positives": (
        sample(counts=lambda p, n, b, f: (int(p * f), min(n, b - int(p * f)))),
        "a share of batch_size",
    ),
    "one short": (
        sample(counts=lambda p, n, b, f: (max(share(p, b, f) - 1, 0), min(n, b - share(p, b, f)))),
        "it draws 3 positives and 4 negatives; 4 and 4 are due",
    ),
    "all together": (sample_all_together, "are due"),
    "strictly": (sample_strictly, "fewer positives than half the batch"),
    "rejection": (sample_by_rejection, "fewer positives than half the batch"),
    "squeezed": (sample_squeezing, "a single positive"),
    "labels shuffled": (sample_shuffling_labels, "is drawn as"),
    "in place": (sample_marking_in_place, "`labels` in place"),
    "another device": (sample(finish=lambda positive, negative: (positive.to("meta"), negative)), "on meta"),
    "defaults missing": (
        lambda labels, batch_size, positive_fraction: sample_by_randperm(labels, batch_size, positive_fraction),
        "def f(labels, batch_size=256, positive_fraction=0.5)",
    ),
    "nothing": (lambda labels, batch_size=256, positive_fraction=0.5: None, "returns None"),
    "generator": (lambda labels, batch_size=256, positive_fraction=0.5: (i for i in labels), "generator"),
}

RIGHT = [
    *(
        ("box_iou", answer)
        for answer in (
            iou_by_broadcasting,
            iou_by_loops,
            iou_in_numpy,
            iou_into_zeros,
            torchvision_box_iou,
            boxes.box_iou,
        )
    ),
    *(
        ("label_anchors", answer)
        for answer in (
            labels_by_masks,
            labels_by_loops,
            labels_in_numpy,
            labels_by_where,
            labels_as_torchvision,
            labels_of_minus_ones,
            labels_in_a_list,
            labels_of_the_package,
        )
    ),
    *(
        ("sample_anchors", answer)
        for answer in (
            sample_by_randperm,
            sample_with_random,
            sample_in_numpy,
            sample_by_multinomial,
            sample_by_keys,
            sample_with_torchvision,
            sample_of_the_package,
        )
    ),
]
WRONG = [
    (name, case, *shelf[case])
    for name, shelf in (("box_iou", WRONG_IOU), ("label_anchors", WRONG_LABEL), ("sample_anchors", WRONG_SAMPLE))
    for case in shelf
]


@pytest.mark.parametrize(("name", "answer"), RIGHT, ids=lambda value: getattr(value, "__name__", value))
def test_a_right_answer_passes_however_it_is_written(name, answer):
    result = check(name, answer)
    assert result.passed, result.message
    assert result.picture == b""


@pytest.mark.parametrize(("name", "case", "answer", "words"), WRONG, ids=[f"{name}-{case}" for name, case, *_ in WRONG])
def test_a_wrong_answer_is_told_what_is_wrong(name, case, answer, words):
    result = check(name, answer, seconds=0.5)
    assert not result.passed
    assert words in result.message
    assert "Traceback" not in result.message
    assert "\n" not in result.message
    assert len(result.message) < 400


@pytest.mark.parametrize("seed", range(8))
def test_fair_draws_are_never_taken_for_unfair_ones(seed):
    torch.manual_seed(seed)
    assert check("sample_anchors", sample_by_randperm).passed


def test_wrong_answers_are_drawn():
    for name, answer in (
        ("box_iou", WRONG_IOU["not clamped"][0]),
        ("box_iou", WRONG_IOU["of pairs"][0]),
        ("label_anchors", WRONG_LABEL["argmax"][0]),
        ("label_anchors", WRONG_LABEL["per truth"][0]),
        ("sample_anchors", WRONG_SAMPLE["favourites"][0]),
    ):
        assert check(name, answer).picture.startswith(b"\x89PNG")


def test_a_check_is_quick_enough_to_feel_instant():
    for name, answer in (
        ("box_iou", WRONG_IOU["off by a bit"][0]),  # goes through every known slip
        ("label_anchors", WRONG_LABEL["last one wrong"][0]),
        ("sample_anchors", sample_with_random),
    ):
        started = time.process_time()
        check(name, answer)
        assert time.process_time() - started < 4


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (WRONG_LABEL["positive above high alone"][0], "that is exactly `high`, which is enough. Label 1 is due"),
        (WRONG_LABEL["negative at low"][0], "that is exactly `low`, and not below it. Label -1 is due"),
    ],
)
def test_the_hidden_cases_of_the_assignment_meet_the_thresholds_too(answer, words):
    """The cell is run as it stands in the notebook, with a learner's function in the place of the solution."""
    cells = json.loads(ASSIGNMENT.read_text(encoding="utf-8"))["cells"]
    (hidden,) = [cell for cell in cells if cell["metadata"].get("nbgrader", {}).get("grade_id") == HIDDEN]
    code = "".join(hidden["source"])
    exec(code, {"torch": torch, "check": check, "label_anchors": labels_by_masks})
    with pytest.raises(AssertionError, match=words):
        exec(code, {"torch": torch, "check": check, "label_anchors": answer})
