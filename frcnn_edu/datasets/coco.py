"""COCO: a folder of pictures and one JSON file with images, annotations and categories.

Category ids, which have gaps, become the labels 1, 2, ... in the order of the ids. A crowd (``iscrowd``) is one box
around many objects: nothing to learn from, and in evaluation nothing to be blamed for, see `metrics`.

Where it differs from torchvision's CocoDetection: targets are tensors and not lists of dicts, boxes are x1, y1, x2, y2,
images without annotations stay in, and what is wrong with an entry is counted in a `Report` instead of raising in the
middle of a training. Boxes are cut at the border; those left without area are dropped. As in `voc`, boxes lie on the
pixels as stored, unless the entry's width and height are those of the picture as EXIF turns it.
"""

import json
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from frcnn_edu.datasets import BACKGROUND
from frcnn_edu.datasets.image_files import ImageError, load_image, read_header
from frcnn_edu.datasets.reading import (
    Report,
    Size,
    conclude,
    fit_box,
    inside,
    is_upright,
    shown_size,
    without_background,
)

SECTIONS = ("images", "annotations", "categories")

ANNOTATION_FILES = (
    "annotations/instances_{split}.json",
    "annotations/instances_{split}2017.json",
    "annotations/instances_{split}2014.json",
    "annotations/{split}.json",
    "{split}.json",
    "{split}/_annotations.coco.json",
)
"""Where the JSON file of a split lies: COCO's own places, and those of the tools that export to it."""

IMAGE_FOLDERS = ("{split}", "{split}2017", "{split}2014", "images/{split}", "images", ".")


@dataclass(frozen=True)
class CocoFiles:
    """Where one split lies: the folder of its pictures and its JSON file."""

    images: Path
    annotations: Path


@dataclass(frozen=True)
class _Record:
    path: Path
    upright: bool
    target: dict[str, Tensor]


class Coco(Dataset):
    """The pictures of one annotation file: item i is the image (3, H, W), floats in [0, 1], and its target.

    The target is {"boxes": (N, 4) floats, "labels": (N,) int64 from 1, "iscrowd": (N,) bool, "area": (N,) floats}, the
    area being the object's as annotated, in square pixels; N may be 0. Class names are those of the file, or
    `class_names`, the background first or left out; boxes of other classes are then dropped and counted.
    `keep_crowd=False` drops crowds, which is for training. `decode_all` decodes every picture once now, so that a
    broken one is left out here and does not raise ImageError when it is asked for. What was dropped stands in
    `report`, printed unless `quiet`.
    Raises FileNotFoundError for a folder or file that is not there, ValueError for a file that is no COCO JSON or
    leaves nothing.
    """

    def __init__(
        self,
        images: str | os.PathLike,
        annotations: str | os.PathLike,
        class_names: Sequence[str] | None = None,
        keep_crowd: bool = True,
        decode_all: bool = False,
        quiet: bool = False,
    ) -> None:
        self.images, self.annotations = Path(images), Path(annotations)
        if not self.images.is_dir():
            raise FileNotFoundError(f"there is no folder {self.images}")
        content = read_coco_json(self.annotations)
        self.report = Report()
        categories = _category_names(content["categories"], self.annotations)
        names = without_background(class_names if class_names is not None else list(dict.fromkeys(categories.values())))
        self.class_names = (BACKGROUND, *names)
        self._categories, self._keep_crowd, self._decode_all = categories, keep_crowd, decode_all
        by_image = self._by_image(content)
        self._records = [record for entry in content["images"] if (record := self._read(entry, by_image)) is not None]
        self.report.images = len(self._records)
        conclude(self.report, str(self.annotations), quiet)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        record = self._records[index]
        return load_image(record.path, record.upright), {key: value.clone() for key, value in record.target.items()}

    def path(self, index: int) -> Path:
        """The picture file of item `index`."""
        return self._records[index].path

    def _by_image(self, content: dict) -> dict[object, list[dict]]:
        """The annotations of each image; those of no image are noted in the report."""
        grouped = {_image_id(entry): [] for entry in content["images"]}
        for annotation in content["annotations"]:
            image = annotation.get("image_id") if isinstance(annotation, dict) else None
            if isinstance(image, int | str) and image in grouped:
                grouped[image].append(annotation)
            else:
                self.report.skip_box("it belongs to no image of the file", str(annotation)[:80])
        return grouped

    def _read(self, entry: dict, by_image: dict[object, list[dict]]) -> _Record | None:
        """One picture and its boxes, taken out of `by_image`; None, and a note, where they cannot be had."""
        skip = self.report.skip_image
        if _image_id(entry) is None or not isinstance(entry.get("file_name"), str):
            return skip("the entry lacks an id or a file_name", str(entry)[:80])
        name, annotations = entry["file_name"], by_image.pop(entry["id"], None)
        if annotations is None:
            return skip("an earlier picture has the same id", name)
        path = inside(self.images, name)
        if path is None:
            return skip("the file name leads out of the folder", name)
        path = _spelt_as_on_disk(path)
        try:
            header = read_header(path)
            if self._decode_all:
                load_image(path)
        except FileNotFoundError:
            return skip("no picture of that name", name)
        except (ImageError, OSError) as error:
            return skip("the picture cannot be read", str(error))
        upright = is_upright(header, _annotated_size(entry), self.report, name)
        return _Record(path, upright, self._target(annotations, shown_size(header, upright), name))

    def _target(self, annotations: list[dict], size: Size, name: str) -> dict[str, Tensor]:
        rows = [row for annotation in annotations if (row := self._row(annotation, size, name)) is not None]
        boxes, labels, crowd, area = zip(*rows, strict=True) if rows else ((), (), (), ())
        self.report.boxes_per_class.update(self.class_names[label] for label in labels)
        return {
            "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            "labels": torch.tensor(labels, dtype=torch.int64),
            "iscrowd": torch.tensor(crowd, dtype=torch.bool),
            "area": torch.tensor(area, dtype=torch.float32),
        }

    def _row(self, annotation: dict, size: Size, name: str) -> tuple[tuple, int, bool, float] | None:
        """Box, label, crowd and area of one annotation; None where it is dropped."""
        case = f"{name}, annotation {annotation.get('id')}"
        crowd = bool(annotation.get("iscrowd", 0))
        if crowd and not self._keep_crowd:
            return None
        category = self._categories.get(_hashable(annotation.get("category_id")))
        if category not in self.class_names[1:]:
            return self.report.skip_box(f"class {category!r} is not asked for", case)
        try:
            x, y, width, height = (float(value) for value in annotation["bbox"])
            area = float(annotation.get("area", 0))
        except (KeyError, TypeError, ValueError, OverflowError):
            return self.report.skip_box("its bbox is no list of four numbers", case)
        box = fit_box((x, y, x + width, y + height), size, self.report, case)
        if box is None:
            return None
        return box, self.class_names.index(category), crowd, area if area > 0 else (box[2] - box[0]) * (box[3] - box[1])


def find_coco(root: str | os.PathLike, split: str = "train") -> CocoFiles:
    """The pictures and the JSON file of a split below `root`, in the places where COCO and the common tools put them.

    Raises FileNotFoundError that lists the places looked at.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root}")
    places = [root / place.format(split=split) for place in ANNOTATION_FILES]
    annotations = next((place for place in places if place.is_file()), None)
    if annotations is None:
        looked = ", ".join(str(place.relative_to(root)) for place in places)
        raise FileNotFoundError(f"{root} holds no COCO annotations of {split!r}; looked for {looked}")
    folders = (root / place.format(split=split) for place in IMAGE_FOLDERS)
    return CocoFiles(next(folder for folder in folders if folder.is_dir()), annotations)


def read_coco_json(path: str | os.PathLike) -> dict:
    """A COCO JSON file whose sections are lists; raises FileNotFoundError or ValueError that names the file."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no annotation file {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no sound JSON, perhaps cut off: {error}") from None
    missing = [name for name in SECTIONS if not (isinstance(content, dict) and isinstance(content.get(name), list))]
    if missing:
        raise ValueError(f"{path} is no COCO annotation file: it has no list of {', '.join(missing)}")
    return content


def _category_names(categories: list, path: Path) -> dict[object, str]:
    """Category id to name, by rising id."""
    for entry in categories:
        if not (isinstance(entry, dict) and isinstance(entry.get("id"), int) and isinstance(entry.get("name"), str)):
            raise ValueError(f"{path}: a category needs an id and a name, got {str(entry)[:80]}")
    return {entry["id"]: entry["name"] for entry in sorted(categories, key=lambda entry: entry["id"])}


def _image_id(entry: object) -> int | str | None:
    image = entry.get("id") if isinstance(entry, dict) else None
    return image if isinstance(image, int | str) else None


def _hashable(value: object) -> object:
    return value if isinstance(value, int | str) else None


def _annotated_size(entry: dict) -> Size | None:
    width, height = entry.get("width"), entry.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0 else None


def _spelt_as_on_disk(path: Path) -> Path:
    """The path, or the same in Unicode's other spelling where only that exists."""
    spellings = (path, *(path.with_name(unicodedata.normalize(form, path.name)) for form in ("NFC", "NFD")))
    return next((spelling for spelling in spellings if spelling.exists()), path)
