"""Annotations: what the formats have in common once their files are parsed, and what becomes of each box.

Every format turns its files into `AnnotatedImage`s. Real folders hold boxes without area, boxes past the border, images
that are missing or damaged. One bad file in ten thousand must not end a training, and must not vanish either: it is
counted in a `Report` under its reason, with the first case named.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from frcnn_edu.datasets import BACKGROUND
from frcnn_edu.datasets.box_formats import BoxFormat
from frcnn_edu.datasets.image_files import ImageHeader
from frcnn_edu.datasets.summary import DataSummary, SkippedFile, count, one_line

Box = tuple[float, float, float, float]
Size = tuple[int, int]

SMALLEST_SIDE = 0.01
"""Pixels: boxes narrower than this count as without area. Resizing or mirroring could round their sides to 0."""

NO_AREA = "no area"


@dataclass(frozen=True, slots=True)
class AnnotatedBox:
    """A box as its file has it; with a `problem`, which says why it cannot be used, the rest may be missing."""

    case: str
    """What a message calls it: file and number."""
    class_name: str = ""
    numbers: Box = (0.0, 0.0, 0.0, 0.0)
    """In the order and unit of the format."""
    difficult: bool = False
    crowd: bool = False
    area: float | None = None
    problem: str = ""
    notes: tuple[str, ...] = ()
    """What was unusual and read nevertheless."""


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """An image and its boxes as the annotation has them; `path` is None where `problem` says why there is no image."""

    name: str
    path: Path | None = None
    boxes: Iterable[AnnotatedBox] = ()
    size: Size | None = None
    """(width, height) as annotated."""
    problem: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Content:
    """What one split holds: class names in the order of their labels, images, and boxes that belong to no image."""

    class_names: list[str]
    images: list[AnnotatedImage]
    strays: list[AnnotatedBox] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Annotations(Protocol):
    """The annotations of a folder in one format."""

    box_format: BoxFormat
    splits: tuple[str, ...]
    """Those that the folder has, in its own words; may be empty."""

    def read(self, split: str | None) -> Content:
        """What one of `splits` holds, or the whole folder for None; raises ValueError for a file that is unusable."""


@dataclass
class Report:
    """What a data set holds, left out and changed: counts by reason, and the first case of each reason."""

    images: int = 0
    boxes_per_class: Counter[str] = field(default_factory=Counter)
    """Boxes to learn from: neither difficult nor crowds."""
    difficult: int = 0
    crowd: int = 0
    skipped_images: Counter[str] = field(default_factory=Counter)
    skipped_boxes: Counter[str] = field(default_factory=Counter)
    adjusted: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    files: list[SkippedFile] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def boxes(self) -> int:
        """How many boxes there are to learn from."""
        return self.boxes_per_class.total()

    @property
    def clean(self) -> bool:
        """Whether nothing was left out or changed."""
        return not (self.skipped_images or self.skipped_boxes or self.adjusted or self.warnings)

    def skip_image(self, reason: str, case: str, detail: str = "") -> None:
        """Count an image that is left out, under its reason; `detail` says more."""
        self._note(self.skipped_images, reason, detail or case)
        self.files.append(SkippedFile(one_line(case), one_line(f"{reason}: {detail}" if detail else reason)))

    def skip_box(self, reason: str, case: str) -> None:
        """Count a box that is left out."""
        self._note(self.skipped_boxes, reason, case)

    def adjust(self, reason: str, case: str) -> None:
        """Count a box or an image that is kept, but not as it was written."""
        self._note(self.adjusted, reason, case)

    def summary(self, class_names: Sequence[str]) -> DataSummary:
        """The counts, with everything that a user should know as warnings; `class_names` without the background."""
        warnings = [
            f"{count(times, 'box')} left out: {reason} (first: {self.first[reason]})"
            for reason, times in self.skipped_boxes.most_common()
        ]
        warnings += [
            f"{times} x {reason} (first: {self.first[reason]})" for reason, times in self.adjusted.most_common()
        ]
        return DataSummary(
            images=self.images,
            boxes=self.boxes,
            classes={name: self.boxes_per_class[name] for name in class_names},
            difficult=self.difficult,
            crowd=self.crowd,
            without_area=self.skipped_boxes[NO_AREA],
            skipped=tuple(self.files),
            warnings=(*self.warnings, *warnings),
        )

    def _note(self, counter: Counter[str], reason: str, case: str) -> None:
        counter[one_line(reason)] += 1
        self.first.setdefault(one_line(reason), one_line(case))


def fit_box(corners: Box, size: Size, report: Report, case: str) -> Box | None:
    """The box x1, y1, x2, y2 cut at the border of an image of `size` (width, height); None, and a note, if unusable."""
    (x1, y1, x2, y2), (width, height) = corners, size
    box = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    reason = ""
    if not all(map(math.isfinite, corners)):
        reason = "a coordinate is not a finite number"
    elif x2 < x1 or y2 < y1:
        reason = "its corners are in the wrong order"
    elif min(x2 - x1, y2 - y1) < SMALLEST_SIDE:
        reason = NO_AREA
    elif min(box[2] - box[0], box[3] - box[1]) < SMALLEST_SIDE:
        reason = "it lies outside the image"
    if reason:
        report.skip_box(reason, case)
        return None
    if box != corners:
        report.adjust("the box was cut at the border of the image", case)
    return box


def is_upright(header: ImageHeader, annotated: Size | None, report: Report, case: str) -> bool:
    """Whether the boxes lie on the image as EXIF rotates it: only if the annotated size (width, height) says so."""
    stored, turned = (header.width, header.height), (header.height, header.width)
    if header.sideways and stored != turned and annotated == turned:
        report.adjust("the image was rotated as its EXIF data says, since the annotated size agrees", case)
        return True
    if header.orientation != 1:
        report.adjust("the EXIF rotation was not applied: the boxes lie on the pixels as stored", case)
    if annotated is not None and annotated != stored:
        report.adjust("the annotation gives another size than the image has", case)
    return False


def shown_size(header: ImageHeader, upright: bool) -> Size:
    """The (width, height) of an image as it will be loaded."""
    return (header.height, header.width) if upright and header.sideways else (header.width, header.height)


def without_background(class_names: Sequence[str]) -> list[str]:
    """The names of the labels 1, 2, ...; raises ValueError for a string, an empty list or repeated names."""
    if isinstance(class_names, str):
        raise ValueError(f"class_names must be a list of names, got the one string {class_names!r}")
    names = list(class_names[1:] if class_names[:1] in ([BACKGROUND], (BACKGROUND,)) else class_names)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"class_names must hold at least one name, each once, got {tuple(class_names)}")
    return names
