"""Answers to the exercises of lesson 09, as learners would write them."""

from itertools import pairwise

import numpy as np
import torch

from frcnn_edu.training.metrics import evaluate


def placed(image_size, side):
    high, wide = image_size
    scale = side / max(high, wide)
    return scale, (side - wide * scale) / 2, (side - high * scale) / 2


def letterbox(boxes, image_size, side):
    scale, x, y = placed(image_size, side)
    return boxes * scale + torch.tensor([x, y, x, y])


def letterbox_row_by_row(boxes, image_size, side):
    scale, x, y = placed(image_size, side)
    found = [[a * scale + x, b * scale + y, c * scale + x, d * scale + y] for a, b, c, d in boxes.tolist()]
    return np.array(found).reshape(-1, 4)


def to_original(boxes, image_size, side):
    scale, x, y = placed(image_size, side)
    return (boxes - torch.tensor([x, y, x, y])) / scale


def recalls(boxes, found):
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    bounds, answer = (0, 32**2, 96**2, float("inf")), []
    for low, high in pairwise(bounds):
        of_size = found[(area >= low) & (area < high)]
        answer.append(of_size.float().mean() if len(of_size) else torch.tensor(-1.0))
    return torch.stack(answer)


def recalls_of_pycocotools(boxes, found):
    """By COCO's own evaluation, with a detection exactly on each object that was found."""
    labels = torch.ones(len(boxes), dtype=torch.int64)
    detections = {"boxes": boxes[found], "labels": labels[found], "scores": torch.ones(int(found.sum()))}
    figures = evaluate([detections], [{"boxes": boxes, "labels": labels}], "coco", class_names=("", "object"))
    of_size = torch.tensor([figures.recall_small, figures.recall_medium, figures.recall_large])
    return of_size.nan_to_num(nan=-1.0)


DIAGNOSES = {"A": 2, "B": 0, "C": 3, "D": 1}

WRONG_LETTERBOX = {
    "nothing": (lambda boxes, image_size, side: None, "your turn"),
    "not centred": (lambda b, size, side: b * placed(size, side)[0], "padding on both sides is missing"),
    "stretched": (
        lambda b, size, side: b * torch.tensor([side / size[1], side / size[0]] * 2),
        "Row 0 should be",
    ),
    "width first": (lambda b, size, side: letterbox(b, size[::-1], side), "(height, width)"),
    "one side": (lambda b, size, side: letterbox(b, size, side)[:, :2], "all four corners move"),
}
WRONG_TO_ORIGINAL = {
    "nothing": (lambda boxes, image_size, side: None, "your turn"),
    "once more": (letterbox, "Row 0 should be"),
    "divided first": (
        lambda b, size, side: b / placed(size, side)[0] - torch.tensor(placed(size, side)[1:] * 2),
        "subtract first",
    ),
    "padding stays": (lambda b, size, side: b / placed(size, side)[0], "padding on both sides is missing"),
}
WRONG_SIZES = {
    "nothing": (lambda boxes, found: None, "your turn"),
    "zeros": (lambda b, f: recalls(b, f).clamp(min=0), "COCO writes -1"),
    "no mean": (lambda b, f: torch.stack([f.float().sum()] * 3), "The recall of"),
    "NaN": (lambda b, f: torch.where(recalls(b, f) < 0, torch.nan, recalls(b, f)), "division by 0"),
    "one number": (lambda b, f: recalls(b, f)[0], "single number"),
}
WRONG_DIAGNOSES = {
    "nothing": (lambda curve: None, "your turn"),
    "another": (lambda curve: 0 if curve == "C" else DIAGNOSES[curve], "Curve C"),
    "no patient": (lambda curve: 5, "Curve A: the answer is one of 0, 1, 2, 3, 4, 7"),
}

RIGHT = {
    "letterbox": (letterbox, letterbox_row_by_row),
    "to_original": (to_original,),
    "coco_small_medium_large": (recalls,),
    "which_patient": (DIAGNOSES.__getitem__,),
}
WRONG = {
    "letterbox": WRONG_LETTERBOX,
    "to_original": WRONG_TO_ORIGINAL,
    "coco_small_medium_large": WRONG_SIZES,
    "which_patient": WRONG_DIAGNOSES,
}
