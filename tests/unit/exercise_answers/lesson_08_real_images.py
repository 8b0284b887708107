"""Answers to `shape_iou`, as learners would write them."""

import numpy as np
import torch

from frcnn_edu.boxes import box_iou
from frcnn_edu.datasets.data_report import shape_iou


def by_loops(shapes, anchors):
    table = np.zeros((len(shapes), len(anchors)))
    for i, (w, h) in enumerate(shapes.tolist()):
        for j, (v, g) in enumerate(anchors.tolist()):
            shared = min(w, v) * min(h, g)
            table[i, j] = shared / (w * h + v * g - shared)
    return table


def by_boxes(shapes, anchors):
    return box_iou(*(torch.cat((-sides / 2, sides / 2), dim=1) for sides in (shapes, anchors)))


def areas(shapes, anchors):
    return shapes.prod(1)[:, None], anchors.prod(1)[None]


def shared(shapes, anchors):
    return torch.minimum(shapes[:, None], anchors[None]).prod(2)


WRONG_SHAPE_IOU = {
    "nothing": (lambda shapes, anchors: None, "your turn"),
    "areas": (lambda s, a: torch.minimum(*areas(s, a)) / torch.maximum(*areas(s, a)), "smaller width"),
    "counted twice": (lambda s, a: shared(s, a) / sum(areas(s, a)), "counted twice"),
    "of the larger": (lambda s, a: shared(s, a) / torch.maximum(*areas(s, a)), "larger of the two areas"),
    "of the smaller": (lambda s, a: shared(s, a) / torch.minimum(*areas(s, a)), "smaller of the two areas"),
    "distance": (lambda s, a: 1 - shape_iou(s, a), "1 - IoU"),
    "on its side": (lambda s, a: shape_iou(a, s), "on its side"),
    "best only": (lambda s, a: shape_iou(s, a).amax(1), "should return shape (3, 2). Each box has a row"),
    "a little off": (lambda s, a: shape_iou(s, a) + 0.01, "have IoU"),
}

RIGHT = {"shape_iou": (shape_iou, by_loops, by_boxes)}
WRONG = {"shape_iou": WRONG_SHAPE_IOU}
