"""Answers to `nms`, as learners would write them."""

import itertools

import numpy as np
import torch
import torchvision

from frcnn_edu import boxes as package

# right answers


def nms_by_shrinking_list(boxes, scores, iou_threshold):
    left = scores.argsort(descending=True)
    keep = []
    while len(left) > 0:
        best = left[0]
        keep.append(best)
        iou = package.box_iou(boxes[best][None], boxes[left[1:]])[0]
        left = left[1:][iou <= iou_threshold]
    return torch.tensor(keep, dtype=torch.int64)


def nms_in_plain_python(boxes, scores, iou_threshold):
    def iou(a, b):
        w = max(0, min(a[2], b[2]) - max(a[0], b[0]))
        h = max(0, min(a[3], b[3]) - max(a[1], b[1]))
        return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)

    rows = boxes.tolist()
    keep = []
    for i in sorted(range(len(rows)), key=lambda i: scores[i], reverse=True):
        if all(iou(rows[i], rows[k]) <= iou_threshold for k in keep):
            keep.append(i)
    return keep


def nms_in_numpy(boxes, scores, iou_threshold):
    b, s = np.asarray(boxes), np.asarray(scores)
    area = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    order, keep = s.argsort()[::-1], []
    while order.size > 0:
        i, rest = order[0], order[1:]
        keep.append(i)
        w = np.maximum(0, np.minimum(b[i, 2], b[rest, 2]) - np.maximum(b[i, 0], b[rest, 0]))
        h = np.maximum(0, np.minimum(b[i, 3], b[rest, 3]) - np.maximum(b[i, 1], b[rest, 1]))
        inter = w * h
        order = rest[inter / (area[i] + area[rest] - inter) <= iou_threshold]
    return np.array(keep)


def nms_by_mask(boxes, scores, iou_threshold):
    order = torch.argsort(scores, descending=True)
    overlaps = package.box_iou(boxes, boxes) > iou_threshold
    alive = torch.ones(len(boxes), dtype=torch.bool)
    for n, i in enumerate(order):
        if alive[i]:
            alive[order[n + 1 :]] &= ~overlaps[i, order[n + 1 :]]
    return order[alive[order]].to(torch.int32)


def nms_from_empty_list(boxes, scores, iou_threshold):
    return torch.tensor(nms_in_plain_python(boxes, scores, iou_threshold))  # float32 where the list is empty


# wrong answers, each with words that the diagnosis must contain


def iou_of(a, b):
    return package.box_iou(a[None], b[None]).item()


def nms(
    order=lambda boxes, scores: scores.argsort(descending=True),
    overlap=iou_of,
    falls=lambda overlap, threshold: overlap > threshold,
    finish=lambda keep, order: keep,
):
    """A learner's function that takes boxes in this order, measures overlap so, and finishes so."""

    def written(boxes, scores, iou_threshold):
        keep, ranked = [], order(boxes, scores).tolist()
        for i in ranked:
            if not any(falls(overlap(boxes[k], boxes[i]), iou_threshold) for k in keep):
                keep.append(i)
        return torch.tensor(finish(keep, ranked), dtype=torch.int64)

    return written


def overlap(one=0.0, clamp=True, whole=lambda a, b, inter: a + b - inter):
    def measured(a, b):
        w = torch.minimum(a[2], b[2]) - torch.maximum(a[0], b[0]) + one
        h = torch.minimum(a[3], b[3]) - torch.maximum(a[1], b[1]) + one
        inter = (w.clamp(min=0) * h.clamp(min=0) if clamp else w * h).item()
        areas = [((c[2] - c[0] + one) * (c[3] - c[1] + one)).item() for c in (a, b)]
        return inter / whole(*areas, inter)

    return measured


def nms_suppressed_suppress(boxes, scores, iou_threshold):
    order = scores.argsort(descending=True)
    iou = package.box_iou(boxes[order], boxes[order]).triu(diagonal=1)
    return order[(iou <= iou_threshold).all(dim=0)]


def nms_worse_suppress_too(boxes, scores, iou_threshold):
    order = scores.argsort(descending=True)
    iou = package.box_iou(boxes[order], boxes[order]).fill_diagonal_(0)
    return order[(iou <= iou_threshold).all(dim=1)]


def nms_one_pass(boxes, scores, iou_threshold):
    order = scores.argsort(descending=True)
    if len(order) == 0:
        return order
    iou = package.box_iou(boxes[order[:1]], boxes[order[1:]])[0]
    return torch.cat((order[:1], order[1:][iou <= iou_threshold]))


def nms_last_kept(boxes, scores, iou_threshold):
    keep = []
    for i in scores.argsort(descending=True).tolist():
        if not keep or iou_of(boxes[keep[-1]], boxes[i]) <= iou_threshold:
            keep.append(i)
    return keep


def nms_neighbours(boxes, scores, iou_threshold):
    order = scores.argsort(descending=True).tolist()
    pairs = itertools.pairwise(order)
    return order[:1] + [i for k, i in pairs if iou_of(boxes[k], boxes[i]) <= iou_threshold]


def nms_with_itself(boxes, scores, iou_threshold):
    iou = package.box_iou(boxes, boxes)
    return [i for i in scores.argsort(descending=True).tolist() if (iou[i] <= iou_threshold).all()]


def nms_returning_inside_the_loop(boxes, scores, iou_threshold):
    keep = []
    for i in scores.argsort(descending=True):
        keep.append(int(i))
        return keep
    return keep


def nms_without_the_empty_case(boxes, scores, iou_threshold):
    best = scores.max()
    return nms_in_plain_python(boxes, scores, iou_threshold) if best > 0 else []


def nms_forgetting_some(boxes, scores, iou_threshold):
    keep = nms_in_plain_python(boxes, scores, iou_threshold)
    return keep[:2] + keep[3:]


def nms_twice(boxes, scores, iou_threshold):
    keep = nms_in_plain_python(boxes, scores, iou_threshold)
    return keep + keep[-1:]


def nms_sorting_in_place(boxes, scores, iou_threshold):
    order = scores.argsort(descending=True)
    boxes[:] = boxes[order]
    scores[:] = scores[order]
    return order[package.nms(boxes, scores, iou_threshold)]


def finished(finish):
    """The right indices, then spoilt."""
    return lambda boxes, scores, iou_threshold: finish(boxes, scores, package.nms(boxes, scores, iou_threshold))


WRONG_NMS = {
    "by index": (nms(order=lambda boxes, scores: torch.arange(len(boxes))), "by index, not by score"),
    "worst first": (nms(order=lambda boxes, scores: scores.argsort()), "descending=True"),
    "by the lower edge": (nms(order=lambda boxes, scores: boxes[:, 3].argsort(descending=True)), "lower edge"),
    "not clamped": (nms(overlap=overlap(clamp=False)), "do not meet must be 0"),
    "union counts twice": (nms(overlap=overlap(whole=lambda a, b, inter: a + b)), "intersection twice"),
    "plus one": (nms(overlap=overlap(one=1.0)), "no + 1"),
    "over the smaller": (nms(overlap=overlap(whole=lambda a, b, inter: min(a, b))), "by the smaller area"),
    "over the kept": (nms(overlap=overlap(whole=lambda a, b, inter: a)), "the kept box's area"),
    "over its own": (nms(overlap=overlap(whole=lambda a, b, inter: b)), "the other box's area"),
    "at or above": (nms(falls=lambda iou, threshold: iou >= threshold), "exactly the threshold stays"),
    "upside down": (nms(falls=lambda iou, threshold: iou <= threshold), "the wrong way round"),
    "0.5": (nms(falls=lambda iou, threshold: iou > 0.5), "always 0.5"),
    "sorted by index": (nms(finish=lambda keep, order: sorted(keep)), "listed by index"),
    "worst at the head": (nms(finish=lambda keep, order: keep[::-1]), "worst comes first"),
    "ranks": (nms(finish=lambda keep, order: [order.index(i) for i in keep]), "order[keep]"),
    "suppressed ones": (
        nms(finish=lambda keep, order: [i for i in order if i not in keep]),
        "returns the suppressed boxes",
    ),
    "without the best": (nms(finish=lambda keep, order: keep[1:]), "best box is missing"),
    "from 1": (nms(finish=lambda keep, order: [i + 1 for i in keep]), "counted from 1"),
    "suppressed suppress": (nms_suppressed_suppress, "chain"),
    "worse suppress": (nms_worse_suppress_too, "worse ones, too"),
    "one pass": (nms_one_pass, "Only the best box suppresses"),
    "last kept": (nms_last_kept, "kept last"),
    "neighbours": (nms_neighbours, "only with the one before it"),
    "nothing suppressed": (lambda boxes, scores, iou_threshold: scores.argsort(descending=True), "Nothing is supp"),
    "with itself": (nms_with_itself, "compared with itself"),
    "return in the loop": (nms_returning_inside_the_loop, "inside the loop"),
    "two slips": (
        nms(order=lambda boxes, scores: scores.argsort(), falls=lambda iou, threshold: iou > 0.7),
        "always 0.7",
    ),
    "boxes": (finished(lambda boxes, scores, keep: boxes[keep]), "the boxes themselves"),
    "scores": (finished(lambda boxes, scores, keep: scores[keep]), "returns scores"),
    "mask": (finished(lambda boxes, scores, keep: torch.isin(torch.arange(len(boxes)), keep)), "mask.nonzero()"),
    "mask of 0 and 1": (
        finished(lambda boxes, scores, keep: torch.isin(torch.arange(len(boxes)), keep).long()),
        "returns a mask",
    ),
    "column": (finished(lambda boxes, scores, keep: keep[:, None]), ".flatten()"),
    "floats": (finished(lambda boxes, scores, keep: keep.float()), "float32, and a float is no index: make it torch"),
    "floats in NumPy": (
        finished(lambda boxes, scores, keep: keep.double().numpy()),
        "float64, and a float is no index: make it np.int64, with .astype(np.int64)",
    ),
    "floats in a list": (
        finished(lambda boxes, scores, keep: keep.double().tolist()),
        "floats, and a float is no index: make an int of each",
    ),
    "out of range": (finished(lambda boxes, scores, keep: keep + 100), "no index of a box"),
    "some forgotten": (nms_forgetting_some, "is missing: its highest IoU"),
    "twice": (nms_twice, "more than once"),
    "no empty case": (nms_without_the_empty_case, "It was called with no boxes at all"),
    "in place": (nms_sorting_in_place, "`boxes` in place"),
    "nothing": (lambda boxes, scores, iou_threshold: None, "returns None"),
    "no threshold": (lambda boxes, scores: scores, "def f(boxes, scores, iou_threshold)"),
}

RIGHT = {
    "nms": (
        nms_by_shrinking_list,
        nms_in_plain_python,
        nms_in_numpy,
        nms_by_mask,
        nms_from_empty_list,
        package.nms,
        torchvision.ops.nms,
    )
}
WRONG = {"nms": WRONG_NMS}
