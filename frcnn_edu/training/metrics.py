"""Metrics: how good detections are.

Detections are sorted by score, highest first. Each is matched with the ground truth of its class that it overlaps most.
It is a true positive if the IoU reaches the threshold and no detection before it was matched with the same ground
truth, and a false positive otherwise. Along that list, precision against recall is a curve; the area under it is the
average precision (AP), and its mean over the classes is mAP.

- ``voc``: the area under the curve made monotone (VOC since 2010), at one IoU threshold, by convention 0.5.
- ``voc07``: the mean of the precision at the recalls 0, 0.1, ... 1, as in the paper's tables.
- ``coco``: the mean of AP over the IoU thresholds 0.5, 0.55, ... 0.95, and by object size, computed by pycocotools.

Objects that a data set marks as difficult or as a crowd are set aside: a detection of one is neither right nor wrong.

Where it differs from the VOC devkit: boxes are continuous, so a width is x2 - x1 and not that plus 1. `recall_at`
computes the recall of anchors, proposals or detections (section 3.3 of the paper).
"""

import contextlib
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from frcnn_edu.boxes import check_boxes, pairwise_iou

if TYPE_CHECKING:
    from pycocotools.cocoeval import COCOeval

STYLES = ("voc", "voc07", "coco")
VOC07_RECALL_STEPS = 10
NOT_A_NUMBER = float("nan")

SET_ASIDE_KEYS = ("difficult", "iscrowd")
"""What marks an object that is set aside: VOC's word and COCO's."""

COLUMN_KEYS = ("labels", "scores", "area", *SET_ASIDE_KEYS)

COCO_FIGURES = (
    "map",
    "map_50",
    "map_75",
    "map_small",
    "map_medium",
    "map_large",
    "recall_1",
    "recall_10",
    "recall_100",
    "recall_small",
    "recall_medium",
    "recall_large",
)
"""The twelve figures of pycocotools, in its order."""

COCO_SIZES = """area: small is up to 32 x 32 pixels, medium up to 96 x 96, large beyond; maxDets: detections per image
-1: the images hold no object of that size, so there is nothing to measure"""

Array = np.ndarray


@dataclass(frozen=True)
class Curve:
    """Precision and recall of one class after each of its detections, highest score first: (D,) float64 each.

    In COCO style the points are the 101 recalls that pycocotools samples, at IoU 0.5.
    """

    recall: Array
    precision: Array
    scores: Array

    def envelope(self) -> Array:
        """At each point the highest precision at that recall or a higher one, which is what AP averages: (D,)."""
        return np.maximum.accumulate(self.precision[::-1])[::-1]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` measured; printed, a table. AP lies in [0, 1].

    `per_class`, `curves` and `ground_truths` go by class name. A class without objects has NaN for its AP, no curve,
    and no part in the mean. The fields from `map_50` on are COCO style's: None in other styles, NaN where no object is
    of that size.
    """

    style: str
    iou_threshold: float | None
    """None in COCO style, which has ten."""
    images: int
    set_aside: int
    """How many objects are difficult or crowds."""
    map: float
    per_class: dict[str, float]
    curves: dict[str, Curve] = field(repr=False)
    ground_truths: dict[str, int]
    """How many objects are not set aside."""
    map_50: float | None = None
    map_75: float | None = None
    map_small: float | None = None
    map_medium: float | None = None
    map_large: float | None = None
    recall_1: float | None = None
    """With at most one detection per image; 10 and 100 likewise."""
    recall_10: float | None = None
    recall_100: float | None = None
    recall_small: float | None = None
    recall_medium: float | None = None
    recall_large: float | None = None
    coco_lines: str = field(default="", repr=False)
    """The twelve lines that pycocotools prints."""

    def __str__(self) -> str:
        iou = "0.50:0.95" if self.iou_threshold is None else f"{self.iou_threshold:.2f}"
        aside = f" ({self.set_aside} more are difficult or crowds, and do not count)" if self.set_aside else ""
        images, to_find = _number(self.images, "image"), _number(sum(self.ground_truths.values()), "object")
        lines = [f"{images}, {to_find} to find{aside}", f"style {self.style}, IoU {iou}"]
        names = ("class", *self.per_class, "mAP")
        width = max(map(len, names))
        lines.append(f"{'class':{width}}  objects  AP")
        for name, precision in self.per_class.items():
            count = self.ground_truths[name]
            found = f"{precision:.4f}" if count else "no objects of this class"
            lines.append(f"{name:{width}}  {count:7}  {found}")
        mean = f"{self.map:.4f}" if not math.isnan(self.map) else "no objects of any class"
        lines.append(f"{'mAP':{width}}  {sum(self.ground_truths.values()):7}  {mean}")
        if self.coco_lines:
            lines += [self.coco_lines, COCO_SIZES]
        return "\n".join(lines)


def evaluate(
    detections: Sequence[Mapping[str, Tensor]],
    targets: Sequence[Mapping[str, Tensor]],
    style: str = "voc",
    iou_threshold: float = 0.5,
    class_names: Sequence[str] | None = None,
) -> Evaluation:
    """AP of each class and their mean, over a list of images; `detections[i]` and `targets[i]` are of one image.

    Detections hold boxes (N, 4) in pixels, labels (N,) from 1 and scores (N,). Targets hold boxes (M, 4), labels (M,)
    and optionally difficult (M,), iscrowd (M,) and area (M,). `class_names[label]` names a label; entry 0 is the
    background. Style "coco" has ten thresholds of its own and ignores `iou_threshold`.
    Raises ValueError or TypeError that names the image and the key at fault, and ImportError if "coco" lacks
    pycocotools. Source: VOC devkit (VOCevaldet), COCO API (COCOeval).
    """
    check_style(style)
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


def check_style(style: str) -> None:
    """Return if AP can be measured in this style; raises the ValueError or ImportError of `evaluate` if not."""
    if style not in STYLES:
        raise ValueError(f"style must be one of {', '.join(STYLES)}, got {style!r}")
    if style == "coco":
        try:
            import pycocotools.coco  # noqa: F401
        except ImportError as error:
            raise ImportError('style "coco" needs pycocotools: pip install pycocotools, or use style "voc"') from error


def recall_at(
    boxes_per_image: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]], thresholds: Sequence[float]
) -> Tensor:
    """The share of ground truths that some box of their image overlaps, at each IoU threshold: (T,), NaN without any.

    `boxes_per_image` holds the (N, 4) boxes of one stage, of any class: anchors, proposals or detections. Ground truths
    that are set aside do not count. Raises ValueError if the lists differ in length or hold invalid boxes.
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
        best.append(torch.nn.functional.pad(iou, (0, 1)).amax(dim=1))  # 0 for images without boxes
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
    totals, set_aside = _count(wanted, names)
    per_class, curves = {}, {}
    for label, name in names.items():
        per_class[name] = NOT_A_NUMBER
        if totals[name]:
            mine = hits.labels == label
            true = np.cumsum(hits.right[mine])  # (D,)
            precision = true / np.arange(1, len(true) + 1)
            curves[name] = curve = Curve(true / totals[name], precision, hits.scores[mine])
            per_class[name] = _area(curve) if style == "voc" else _eleven_points(true, precision, totals[name])
    mean = _mean(per_class.values())
    return Evaluation(style, iou_threshold, len(wanted), set_aside, mean, per_class, curves, totals)


def _count(wanted: list[_Boxes], names: dict[int, str]) -> tuple[dict[str, int], int]:
    """How many objects of each class count, and how many of all classes are set aside."""
    labels = _joined([image.labels for image in wanted], np.int64)
    set_aside = _joined([image.set_aside for image in wanted], bool)
    totals = {name: int(np.count_nonzero(labels[~set_aside] == label)) for label, name in names.items()}
    return totals, int(np.count_nonzero(set_aside))


@dataclass
class _Hits:
    """All detections that count, highest score first: labels, scores, and whether each is right; (D,) each."""

    labels: Array
    scores: Array
    right: Array


def _match(found: list[_Boxes], wanted: list[_Boxes], iou_threshold: float) -> _Hits:
    """Match every detection, highest score first, with the ground truth of its class that it overlaps most."""
    rivals, best_iou, first = [], [], 0
    for detected, target in zip(found, wanted, strict=True):
        iou = pairwise_iou(detected.boxes, target.boxes).numpy()  # (N, M)
        iou = np.where(detected.labels[:, None] == target.labels[None, :], iou, -1)
        iou = np.pad(iou, ((0, 0), (0, 1)), constant_values=-1)  # (N, M + 1): an image may have none
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
    """The area under the envelope: every step in recall times the highest precision from there on."""
    return float(np.sum(np.diff(curve.recall, prepend=0.0) * curve.envelope()))


def _eleven_points(true: Array, precision: Array, total: int) -> float:
    """The mean of the highest precision at recall >= 0, 0.1, ... 1, compared as integers so that 3 of 10 is 0.3."""
    steps = np.arange(VOC07_RECALL_STEPS + 1)[:, None]  # (11, 1)
    reached = VOC07_RECALL_STEPS * true[None, :] >= steps * total  # (11, D)
    return float(np.where(reached, precision, 0).max(axis=1, initial=0).mean())


def _evaluate_coco(found: list[_Boxes], wanted: list[_Boxes], names: dict[int, str]) -> Evaluation:
    totals, set_aside = _count(wanted, names)
    figures: dict[str, Any] = dict.fromkeys(COCO_FIGURES, NOT_A_NUMBER)
    per_class: dict[str, float] = {}
    curves: dict[str, Curve] = {}
    if names:
        result, figures["coco_lines"] = _run_cocoeval(found, wanted, sorted(names))
        figures |= {
            name: value if value >= 0 else NOT_A_NUMBER
            for name, value in zip(COCO_FIGURES, result.stats.tolist(), strict=True)
        }
        precision, scores = result.eval["precision"], result.eval["scores"]  # (IoUs, recalls, classes, areas, limits)
        for index, label in enumerate(sorted(names)):
            at_50 = (0, slice(None), index, 0, -1)
            per_class[names[label]] = _mean_known(precision[:, :, index, 0, -1])
            if totals[names[label]]:
                curves[names[label]] = Curve(result.params.recThrs, precision[at_50], scores[at_50])
    return Evaluation(
        style="coco",
        iou_threshold=None,
        images=len(wanted),
        set_aside=set_aside,
        per_class=per_class,
        curves=curves,
        ground_truths=totals,
        **figures,
    )


def _run_cocoeval(found: list[_Boxes], wanted: list[_Boxes], labels: list[int]) -> tuple["COCOeval", str]:
    """pycocotools' own evaluation of the boxes, and the twelve lines that sum it up."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        indexes = []
        for images in (wanted, found):
            indexes.append(COCO())
            indexes[-1].dataset = _coco_records(images, labels)
            indexes[-1].createIndex()
        result = COCOeval(*indexes, iouType="bbox")
        result.evaluate()
        result.accumulate()
        with contextlib.redirect_stdout(io.StringIO()) as lines:
            result.summarize()
    return result, lines.getvalue().rstrip()


def _coco_records(images: list[_Boxes], labels: list[int]) -> dict:
    """Boxes as in COCO's JSON; ids start at 1, because 0 means "unmatched" in pycocotools."""
    annotations: list[dict[str, object]] = []
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


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _joined(columns: list[Array], dtype: type) -> Array:
    return np.concatenate([np.zeros(0, dtype), *columns]).astype(dtype)


def _mean(values: Iterable[float]) -> float:
    """The mean of the values that are not NaN; NaN if all are."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else NOT_A_NUMBER


def _mean_known(precisions: Array) -> float:
    """The mean of a pycocotools table, in which -1 means "no ground truth"."""
    known = precisions[precisions > -1]
    return float(known.mean()) if known.size else NOT_A_NUMBER
