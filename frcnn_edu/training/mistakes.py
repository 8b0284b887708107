"""Mistakes: which kind of error each detection is, and which objects were missed.

mAP measures how good a detector is, but not what it gets wrong. Here every detection above a score is of one of five
kinds, by its overlap with the objects:

- ``right``: class and place (IoU 0.5) are right, and no detection with a higher score has the object;
- ``duplicate``: class and place are right, but a detection with a higher score has the object already;
- ``class``: the place is right and the class is not;
- ``localisation``: the class is right and the place is not: IoU between 0.1 and 0.5;
- ``background``: none of these.

An object is missed if no detection is right about it. One that was found with a shifted box, or as another class,
counts twice: as a mistake and as missed. Detections are matched with objects as in `metrics`, and objects marked
difficult or crowd are ignored. Source: the kinds and the 0.1 are from TIDE (Bolya et al., 2020, section 2), which has
one more kind for a wrong class and place; here that is ``background``.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from frcnn_edu.boxes import check_boxes, pairwise_iou
from frcnn_edu.training.metrics import SET_ASIDE_KEYS

RIGHT, DUPLICATE, CLASS, LOCALISATION, BACKGROUND = KINDS = (
    "right",
    "duplicate",
    "class",
    "localisation",
    "background",
)
MISSED = "missed"
SET_ASIDE = "set aside"
"""The kind of a detection of an object that is ignored."""

LEAST_OVERLAP = 0.1
"""The IoU below which a detection has nothing to do with an object."""


@dataclass(frozen=True)
class Judged:
    """The result for one image with N detections and M objects."""

    kinds: list[str]
    """N of `KINDS`, or "set aside"; "" for a detection with too low a score."""
    objects: Tensor
    """(N,) int64: the object that each detection is matched with; -1 for the kind "background"."""
    missed: Tensor
    """(M,) bool: whether no detection is right about the object."""


@dataclass(frozen=True)
class Errors:
    """The results of all images."""

    images: list[Judged]
    per_class: dict[str, Counter[str]]
    """By class name: how many detections of that class are of each kind, and how many objects were missed."""

    @property
    def total(self) -> Counter[str]:
        """The sum over all classes."""
        return sum(self.per_class.values(), Counter())

    def worst(self, kind: str) -> list[int]:
        """The images that have mistakes of a kind, or missed objects, those with the most first."""
        counts = [int(one.missed.sum()) if kind == MISSED else one.kinds.count(kind) for one in self.images]
        return [index for index in sorted(range(len(counts)), key=lambda i: -counts[i]) if counts[index]]

    def __str__(self) -> str:
        names = (*KINDS, MISSED)
        width = max(map(len, (*self.per_class, "all together")))
        rows = [*self.per_class.items(), ("all together", self.total)]
        lines = [" ".join([" " * width, *(f"{name:>12}" for name in names)])]
        return "\n".join(
            lines + [" ".join([f"{row:{width}}", *(f"{n[name]:12}" for name in names)]) for row, n in rows]
        )


def find_errors(
    detections: Sequence[Mapping[str, Tensor]],
    targets: Sequence[Mapping[str, Tensor]],
    class_names: Sequence[str],
    score: float = 0.5,
    iou_threshold: float = 0.5,
) -> Errors:
    """The kind of every detection that scores `score` or more; `detections[i]` and `targets[i]` are of one image.

    Detections hold ``boxes`` (N, 4), ``labels`` (N,) from 1 and ``scores`` (N,), targets ``boxes`` (M, 4), ``labels``
    (M,), and optionally ``difficult`` or ``iscrowd`` (M,), on any device.
    Raises ValueError if the lists differ in length, or for a threshold outside (0.1, 1].
    """
    if len(detections) != len(targets):
        raise ValueError(f"{len(detections)} images have detections but {len(targets)} have targets; give one of each")
    if not LEAST_OVERLAP < iou_threshold <= 1:
        raise ValueError(f"iou_threshold must lie in ({LEAST_OVERLAP}, 1], got {iou_threshold}")
    per_class: dict[str, Counter[str]] = {name: Counter() for name in class_names[1:]}
    images = []
    for found, target in zip(map(_on_cpu, detections), map(_on_cpu, targets), strict=True):
        judged = judge(found, target, score, iou_threshold)
        for label, kind in zip(found["labels"].tolist(), judged.kinds, strict=True):
            if kind in KINDS:
                per_class[class_names[label]][kind] += 1
        for label in target["labels"][judged.missed].tolist():
            per_class[class_names[label]][MISSED] += 1
        images.append(judged)
    return Errors(images, per_class)


def judge(found: Mapping[str, Tensor], target: Mapping[str, Tensor], score: float, iou_threshold: float) -> Judged:
    """The same for one image; see `find_errors`."""
    found, target = _on_cpu(found), _on_cpu(target)
    check_boxes(found["boxes"], "found['boxes']")
    check_boxes(target["boxes"], "target['boxes']")
    iou = pairwise_iou(found["boxes"].double(), target["boxes"].double())  # (N, M)
    same = found["labels"][:, None] == target["labels"][None]  # (N, M)
    aside = _set_aside(target)  # (M,)
    kinds, objects = [""] * len(iou), torch.full((len(iou),), -1)
    taken = torch.zeros(len(aside), dtype=torch.bool)
    for i in found["scores"].argsort(descending=True, stable=True).tolist():
        if found["scores"][i] < score:
            break
        kinds[i], objects[i] = _kind(iou[i], same[i], aside, taken, iou_threshold)
        if kinds[i] == RIGHT:
            taken[objects[i]] = True
    return Judged(kinds, objects, ~(taken | aside))


def _on_cpu(entry: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, because reading single numbers from a GPU is slow."""
    used = ("boxes", "labels", "scores", *SET_ASIDE_KEYS)
    return {name: entry[name].detach().cpu() for name in used if name in entry}


def _kind(iou: Tensor, same: Tensor, aside: Tensor, taken: Tensor, threshold: float) -> tuple[str, int]:
    """The kind of one detection, and the object it is matched with, from its IoU with all M objects."""
    own, j = _best(iou.masked_fill(~same, -1))
    if own >= threshold:
        return (SET_ASIDE if aside[j] else DUPLICATE if taken[j] else RIGHT), j
    other, k = _best(iou.masked_fill(same | aside, -1))
    if other >= threshold:
        return CLASS, k
    own, j = _best(iou.masked_fill(~same | aside, -1))
    return (LOCALISATION, j) if own >= LEAST_OVERLAP else (BACKGROUND, -1)


def _best(iou: Tensor) -> tuple[float, int]:
    if len(iou) == 0:
        return -1.0, -1
    best, index = iou.max(dim=0)
    return best.item(), int(index)


def _set_aside(target: Mapping[str, Tensor]) -> Tensor:
    aside = torch.zeros(len(target["boxes"]), dtype=torch.bool)
    for key in SET_ASIDE_KEYS:
        aside |= target.get(key, aside).bool()
    return aside
