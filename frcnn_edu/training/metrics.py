"""Metrics: how good detections are.

Detections are taken by falling score. Each goes to the ground truth of its class that it overlaps most; it is right
if the IoU reaches the threshold and no better-scored detection took that ground truth before, else wrong. Precision
against recall along that list is a curve, the area under it the average precision (AP), the mean over classes mAP.

- ``voc``: the whole area under the curve made monotone (VOC from 2010 on), at one IoU threshold, 0.5 by custom.
- ``voc07``: the mean of the precision at recalls 0, 0.1, ... 1, which the paper's tables use.
- ``coco``: the mean of AP over the IoU thresholds 0.5, 0.55, ... 0.95, and by object size; pycocotools computes it.

What a data set marks as difficult or as a crowd is set aside: to find it is neither right nor wrong.

Where it differs from the VOC devkit: boxes are continuous, so a width is x2 - x1 and not that plus 1. The recall
per stage at the end (anchors, proposals, detections) is the funnel of the paper's section 3.3.
"""

import contextlib
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from frcnn_edu.boxes import check_boxes, pairwise_iou

STYLES = ("voc", "voc07", "coco")
VOC07_RECALL_STEPS = 10
NOT_A_NUMBER = float("nan")

SET_ASIDE_KEYS = ("difficult", "iscrowd")
"""What marks a ground truth that counts neither way: VOC's word and COCO's."""

COLUMN_KEYS = ("labels", "scores", "area", *SET_ASIDE_KEYS)

Array = np.ndarray


@dataclass(frozen=True)
class Curve:
    """Precision and recall of one class after each of its detections, by falling score: (D,) float64 each.

    In COCO style the points are not detections but the 101 recalls that pycocotools samples, at IoU 0.5.
    """

    recall: Array
    precision: Array
    scores: Array

    def envelope(self) -> Array:
        """At each point the best precision at that recall or beyond, which is what AP averages: (D,)."""
        return np.maximum.accumulate(self.precision[::-1])[::-1]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found; AP lies in [0, 1] and is NaN for a class without ground truth, which no mean counts.

    Both dicts go by class name; `curves` has the classes with ground truth. `map_50`, `map_75` and the sizes (areas to
    32², to 96², beyond) are COCO style's and None in the others, as `iou_threshold` is there.
    """

    style: str
    iou_threshold: float | None
    map: float
    per_class: dict[str, float]
    curves: dict[str, Curve] = field(repr=False)
    ground_truths: dict[str, int]
    map_50: float | None = None
    map_75: float | None = None
    map_small: float | None = None
    map_medium: float | None = None
    map_large: float | None = None


def evaluate(
    detections: Sequence[Mapping[str, Tensor]],
    targets: Sequence[Mapping[str, Tensor]],
    style: str = "voc",
    iou_threshold: float = 0.5,
    class_names: Sequence[str] | None = None,
) -> Evaluation:
    """AP of each class and their mean, over a list of images; `detections[i]` and `targets[i]` are of one image.

    Detections hold boxes (N, 4) in pixels, labels (N,) from 1, scores (N,); targets boxes (M, 4), labels (M,) and, if
    there are any, difficult (M,), iscrowd (M,) and area (M,). `class_names[label]` names a label; entry 0 is the
    background. Style "coco" has its own ten thresholds and does not look at `iou_threshold`.
    Raises ValueError or TypeError that names the image and key at fault, ImportError where "coco" lacks pycocotools.
    Source: VOC devkit (VOCevaldet), COCO API (COCOeval).
    """
    if style not in STYLES:
        raise ValueError(f"style must be one of {', '.join(STYLES)}, got {style!r}")
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"iou_threshold must lie in (0, 1], got {iou_threshold}")
    if len(detections) != len(targets):
        raise ValueError(
            f"{len(detections)} images have detections but {len(targets)} have targets; give one of each per image"
        )
    found = [_checked(entry, f"detections[{index}]", scored=True) for index, entry in enumerate(detections)]
    wanted = [_checked(entry, f"targets[{index}]") for index, entry in enumerate(targets)]
    names = _label_names(class_names, found, wanted)
    if style == "coco":
        return _evaluate_coco(found, wanted, names)
    return _evaluate_voc(found, wanted, names, style, iou_threshold)


def recall_at(
    boxes_per_image: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]], thresholds: Sequence[float]
) -> Tensor:
    """The share of ground truths that some box of their image reaches, at each IoU threshold: (T,), NaN without any.

    `boxes_per_image` holds the (N, 4) boxes of one stage, whatever their class: anchors, proposals or detections.
    Ground truths set aside do not count. Raises ValueError where the lists differ in length or hold no boxes.
    """
    if len(boxes_per_image) != len(targets):
        raise ValueError(
            f"{len(boxes_per_image)} images have boxes but {len(targets)} have targets; give one of each per image"
        )
    best = [torch.zeros(0, dtype=torch.float64)]
    for index, (boxes, target) in enumerate(zip(boxes_per_image, targets, strict=True)):
        check_boxes(boxes, f"boxes_per_image[{index}]")
        wanted = _checked(target, f"targets[{index}]")
        iou = pairwise_iou(wanted.boxes[~wanted.set_aside], boxes.detach().cpu().double())  # (M, N)
        best.append(torch.nn.functional.pad(iou, (0, 1)).amax(dim=1))  # a 0 for images without boxes
    reached = torch.cat(best)[None, :] >= torch.as_tensor(thresholds, dtype=torch.float64)[:, None]  # (T, G)
    return reached.float().mean(dim=1)


@dataclass
class _Boxes:
    """The checked boxes of one image, on the CPU; the scores of ground truths are 1."""

    boxes: Tensor  # (N, 4) float64
    labels: Array  # (N,) int64
    scores: Array  # (N,)
    set_aside: Array  # (N,) bool
    area: Array  # (N,) square pixels


def _evaluate_voc(
    found: list[_Boxes], wanted: list[_Boxes], names: dict[int, str], style: str, iou_threshold: float
) -> Evaluation:
    hits = _match(found, wanted, iou_threshold)
    labels = _joined([image.labels for image in wanted], np.int64)
    counted = labels[~_joined([image.set_aside for image in wanted], bool)]
    per_class, curves, totals = {}, {}, {}
    for label, name in names.items():
        total = int(np.count_nonzero(counted == label))
        totals[name], per_class[name] = total, NOT_A_NUMBER
        if total:
            mine = hits.labels == label
            true = np.cumsum(hits.right[mine])  # (D,)
            precision = true / np.arange(1, len(true) + 1)
            curves[name] = Curve(true / total, precision, hits.scores[mine])
            per_class[name] = _area(curves[name]) if style == "voc" else _eleven_points(true, precision, total)
    return Evaluation(style, iou_threshold, _mean(per_class.values()), per_class, curves, totals)


@dataclass
class _Hits:
    """All detections that count, by falling score: their labels, scores, and whether each is right; (D,) each."""

    labels: Array
    scores: Array
    right: Array


def _match(found: list[_Boxes], wanted: list[_Boxes], iou_threshold: float) -> _Hits:
    """Gives every detection to the ground truth of its class that it overlaps most, first come first served."""
    rivals, best_iou, first = [], [], 0
    for detected, target in zip(found, wanted, strict=True):
        iou = pairwise_iou(detected.boxes, target.boxes).numpy()  # (N, M)
        iou = np.where(detected.labels[:, None] == target.labels[None, :], iou, -1)
        iou = np.pad(iou, ((0, 0), (0, 1)), constant_values=-1)  # (N, M + 1): images may have no ground truth
        rivals.append(first + iou.argmax(axis=1))  # the first of equals, as in the devkit
        best_iou.append(iou.max(axis=1))
        first += iou.shape[1]
    scores = _joined([image.scores for image in found], np.float64)
    order = np.argsort(-scores, kind="stable")
    rival, reached = _joined(rivals, np.int64)[order], _joined(best_iou, np.float64)[order] >= iou_threshold
    set_aside = _joined([np.pad(image.set_aside, (0, 1)) for image in wanted], bool)
    counts = ~(reached & set_aside[rival])
    right = np.zeros(len(order), bool)
    takers = np.flatnonzero(reached & counts)
    right[takers[np.unique(rival[takers], return_index=True)[1]]] = True
    labels = _joined([image.labels for image in found], np.int64)[order]
    return _Hits(labels[counts], scores[order][counts], right[counts])


def _area(curve: Curve) -> float:
    """The area under the envelope: every step in recall times the best precision from there on."""
    return float(np.sum(np.diff(curve.recall, prepend=0.0) * curve.envelope()))


def _eleven_points(true: Array, precision: Array, total: int) -> float:
    """The mean of the best precision at recall >= 0, 0.1, ... 1, compared in whole numbers so that 3 of 10 is 0.3."""
    steps = np.arange(VOC07_RECALL_STEPS + 1)[:, None]  # (11, 1)
    reached = VOC07_RECALL_STEPS * true[None, :] >= steps * total  # (11, D)
    return float(np.where(reached, precision, 0).max(axis=1, initial=0).mean())


def _evaluate_coco(found: list[_Boxes], wanted: list[_Boxes], names: dict[int, str]) -> Evaluation:
    labels = _joined([image.labels for image in wanted], np.int64)
    counted = labels[~_joined([image.set_aside for image in wanted], bool)]
    totals = {name: int(np.count_nonzero(counted == label)) for label, name in names.items()}
    if not names:
        return Evaluation("coco", None, NOT_A_NUMBER, {}, {}, {}, *[NOT_A_NUMBER] * 5)
    result = _run_cocoeval(found, wanted, sorted(names))
    precision, scores = result.eval["precision"], result.eval["scores"]  # (thresholds, recalls, classes, areas, limits)
    per_class, curves = {}, {}
    for index, label in enumerate(sorted(names)):
        per_class[names[label]] = _mean_known(precision[:, :, index, 0, -1])
        if totals[names[label]]:
            curves[names[label]] = Curve(
                result.params.recThrs, precision[0, :, index, 0, -1], scores[0, :, index, 0, -1]
            )
    everything, at_50, at_75, small, medium, large = (
        value if value >= 0 else NOT_A_NUMBER for value in result.stats[:6]
    )
    return Evaluation("coco", None, everything, per_class, curves, totals, at_50, at_75, small, medium, large)


def _run_cocoeval(found: list[_Boxes], wanted: list[_Boxes], labels: list[int]) -> "COCOeval":  # noqa: F821
    """pycocotools' own evaluation of the boxes, without what it prints."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise ImportError('style "coco" needs pycocotools: pip install pycocotools, or use style "voc"') from error
    with contextlib.redirect_stdout(io.StringIO()):
        indexes = []
        for images in (wanted, found):
            indexes.append(COCO())
            indexes[-1].dataset = _coco_records(images, labels)
            indexes[-1].createIndex()
        result = COCOeval(*indexes, iouType="bbox")
        result.evaluate()
        result.accumulate()
        result.summarize()
    return result


def _coco_records(images: list[_Boxes], labels: list[int]) -> dict:
    """Boxes as COCO's JSON would hold them; ids start at 1, because 0 means "unmatched" to pycocotools."""
    annotations = []
    for image_id, image in enumerate(images):
        corners = image.boxes.numpy()
        x_y_width_height = np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), axis=1)  # (N, 4)
        columns = (x_y_width_height, image.labels, image.scores, image.set_aside, image.area)
        for box, label, score, set_aside, area in zip(*(column.tolist() for column in columns), strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": label,
                    "bbox": box,
                    "area": area,
                    "iscrowd": int(set_aside),
                    "score": score,
                }
            )
    return {
        "images": [{"id": image_id} for image_id in range(len(images))],
        "annotations": annotations,
        "categories": [{"id": label} for label in labels],
    }


def _checked(entry: Mapping[str, Tensor], name: str, scored: bool = False) -> _Boxes:
    """The boxes of one image, or an error that names it."""
    for key in ("boxes", "labels", "scores")[: 2 + scored]:
        if key not in entry:
            raise ValueError(f"{name} has no {key!r}; it needs boxes, labels{' and scores' if scored else ''}")
    check_boxes(entry["boxes"], f"{name}['boxes']")
    boxes = entry["boxes"].detach().cpu().double()  # (N, 4)
    columns = {key: _column(entry[key], key, len(boxes), name) for key in COLUMN_KEYS if key in entry}
    labels = columns["labels"]
    if not np.issubdtype(labels.dtype, np.integer) or (labels < 1).any():
        raise ValueError(f"{name}['labels'] must be whole numbers from 1 on (0 is the background), got {labels}")
    set_aside = np.zeros(len(boxes), bool)
    for key in SET_ASIDE_KEYS:
        set_aside |= columns.get(key, set_aside).astype(bool)
    scores = columns["scores"].astype(np.float64) if scored else np.ones(len(boxes))
    if not np.isfinite(scores).all():
        raise ValueError(f"{name}['scores'] must be finite numbers, got {scores}")
    area = columns.get("area", (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).numpy()).astype(np.float64)
    return _Boxes(boxes, labels.astype(np.int64), scores, set_aside, area)


def _column(values: Tensor, key: str, count: int, name: str) -> Array:
    column = torch.as_tensor(values).detach().cpu()
    if column.shape != (count,):
        raise ValueError(f"{name}[{key!r}] must have shape ({count},), one per box, got {tuple(column.shape)}")
    return column.float().numpy() if column.dtype in (torch.float16, torch.bfloat16) else column.numpy()


def _label_names(class_names: Sequence[str] | None, found: list[_Boxes], wanted: list[_Boxes]) -> dict[int, str]:
    """Label to name: all given classes but the background, or else the labels that occur."""
    occurring = np.unique(_joined([image.labels for image in (*found, *wanted)], np.int64)).tolist()
    if class_names is None:
        return {label: str(label) for label in occurring}
    if len(set(class_names)) < len(class_names):
        raise ValueError(f"class_names must differ from each other, got {tuple(class_names)}")
    if occurring and occurring[-1] >= len(class_names):
        raise ValueError(
            f"label {occurring[-1]} has no name: class_names has {len(class_names)} entries, the background among them"
        )
    return dict(list(enumerate(class_names))[1:])


def _joined(columns: list[Array], dtype: type) -> Array:
    return np.concatenate([np.zeros(0, dtype), *columns]).astype(dtype)


def _mean(values: Iterable[float]) -> float:
    """The mean of what is a number, NaN where nothing is."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else NOT_A_NUMBER


def _mean_known(precisions: Array) -> float:
    """The mean of a pycocotools table, where -1 stands for "no ground truth"."""
    known = precisions[precisions > -1]
    return float(known.mean()) if known.size else NOT_A_NUMBER
