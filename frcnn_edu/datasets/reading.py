"""Reading: what the readers of people's folders share.

Such folders hold boxes without area, boxes past the border, pictures that are missing or broken. One bad file in ten
thousand must not end a training, and must not vanish either: it is counted in a `Report` under its reason, with the
first case named, and the report is printed once.
"""

import math
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from frcnn_edu.datasets import BACKGROUND
from frcnn_edu.datasets.image_files import ImageHeader

Box = tuple[float, float, float, float]
Size = tuple[int, int]


@dataclass
class Report:
    """What a data set left out or put right: counts by reason, and the first case of each reason."""

    images: int = 0
    boxes_per_class: Counter[str] = field(default_factory=Counter)
    skipped_images: Counter[str] = field(default_factory=Counter)
    skipped_boxes: Counter[str] = field(default_factory=Counter)
    adjusted: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    @property
    def boxes(self) -> int:
        """How many boxes were kept."""
        return self.boxes_per_class.total()

    @property
    def clean(self) -> bool:
        """Whether nothing was left out or changed."""
        return not (self.skipped_images or self.skipped_boxes or self.adjusted)

    def skip_image(self, reason: str, case: str) -> None:
        """Counts a picture that is left out."""
        self._note(self.skipped_images, reason, case)

    def skip_box(self, reason: str, case: str) -> None:
        """Counts a box that is left out."""
        self._note(self.skipped_boxes, reason, case)

    def adjust(self, reason: str, case: str) -> None:
        """Counts a box or a picture that is kept, but not as it was written."""
        self._note(self.adjusted, reason, case)

    def _note(self, counter: Counter[str], reason: str, case: str) -> None:
        counter[reason] += 1
        self.first.setdefault(reason, case)

    def __str__(self) -> str:
        lines = [f"{self.images} images, {self.boxes} boxes"]
        for counter, what in (
            (self.skipped_images, "images left out"),
            (self.skipped_boxes, "boxes left out"),
            (self.adjusted, "adjusted"),
        ):
            lines += [
                f"  {what}: {count} x {reason} (first: {self.first[reason]})" for reason, count in counter.most_common()
            ]
        return "\n".join(lines)


def conclude(report: Report, source: str, quiet: bool) -> None:
    """Prints a report that is not clean; raises ValueError where no picture, or none of the boxes, is left."""
    if report.images == 0 or (report.boxes == 0 and report.skipped_boxes):
        raise ValueError(f"{source}: nothing is left to learn from.\n{report}")
    if not (quiet or report.clean):
        print(f"{source}: {report}")


def fit_box(corners: Sequence[float], size: Size, report: Report, case: str) -> Box | None:
    """The box x1, y1, x2, y2 cut to a picture of `size` (width, height); None, and a note, where nothing is left."""
    if not all(math.isfinite(value) for value in corners):
        return report.skip_box("a coordinate is no finite number", case)
    x1, y1, x2, y2 = corners
    if x2 < x1 or y2 < y1:
        return report.skip_box("corners in the wrong order", case)
    if x2 == x1 or y2 == y1:
        return report.skip_box("no area", case)
    width, height = size
    box = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    if box[2] <= box[0] or box[3] <= box[1]:
        return report.skip_box("outside the picture", case)
    if box != (x1, y1, x2, y2):
        report.adjust("box cut at the picture's border", case)
    return box


def is_upright(header: ImageHeader, annotated: Size | None, report: Report, case: str) -> bool:
    """Whether the annotation speaks of the picture as EXIF turns it: only if its size (width, height) says so."""
    stored, turned = (header.width, header.height), (header.height, header.width)
    if header.sideways and stored != turned and annotated == turned:
        report.adjust("picture turned as its EXIF data ask, as the annotation has it", case)
        return True
    if header.orientation != 1:
        report.adjust("EXIF turn not made: the boxes lie on the picture as stored", case)
    if annotated is not None and annotated != stored:
        report.adjust("the annotation names another size than the picture has", case)
    return False


def shown_size(header: ImageHeader, upright: bool) -> Size:
    """The (width, height) of a picture as it will be loaded."""
    return (header.height, header.width) if upright and header.sideways else (header.width, header.height)


def without_background(class_names: Sequence[str]) -> list[str]:
    """The names of the labels 1, 2, ...; raises ValueError for names that are no list, are equal or none at all."""
    if isinstance(class_names, str):
        raise ValueError(f"class_names must be a list of names, got the one string {class_names!r}")
    names = list(class_names[1:] if class_names[:1] in ([BACKGROUND], (BACKGROUND,)) else class_names)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"class_names must hold at least one name, each once, got {tuple(class_names)}")
    return names


def file_key(name: str) -> str:
    """A file's name in one spelling: an umlaut may be one character or two, depending on who wrote the disk."""
    return unicodedata.normalize("NFC", name)


def inside(folder: Path, name: str) -> Path | None:
    """The path of `name` below `folder`, None where it would lead out of it."""
    relative = Path(name.replace("\\", "/"))
    if not name or "\0" in name or relative.is_absolute() or relative.drive or ".." in relative.parts:
        return None
    return folder / relative
