"""VOC: a folder with Annotations, JPEGImages and ImageSets, as PASCAL VOC laid it out and labelling tools still write.

Where it differs from torchvision's VOCDetection: any folder of that layout is read, not just VOC's own years; targets
are tensors and not nested dicts of strings; what is wrong with a file is counted in a `Report` instead of raising in
the middle of a training; and XML that declares a document type is refused, because ten lines of entities can expand to
gigabytes.

Boxes. VOC's own files count pixels from 1 and name the last one inside: 1..640 is all of 640 px. Tools that write the
same XML mostly mean edges, 0..640. `one_based` says which; left out, a file whose <database> is VOC's own is one-based.
Boxes are cut at the border; those left without area are dropped. Boxes lie on the pixels as stored, also where EXIF
asks for a turn, unless the annotation's <size> is that of the turned picture: then the picture is turned.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import torch
from torch import Tensor
from torch.utils.data import Dataset

from frcnn_edu.datasets import BACKGROUND
from frcnn_edu.datasets.image_files import ImageError, load_image, read_header
from frcnn_edu.datasets.reading import (
    Box,
    Report,
    Size,
    conclude,
    file_key,
    fit_box,
    is_upright,
    shown_size,
    without_background,
)

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
LARGEST_XML = 16 * 2**20
"""Bytes: an annotation of a hundred thousand boxes is smaller."""

SIDES = ("xmin", "ymin", "xmax", "ymax")
VOC_DATABASE = "The VOC"
CLASS_FLAGS = ("-1", "0", "1")
"""What VOC's per-class lists (car_train.txt) write after each name."""


@dataclass(frozen=True)
class _Record:
    path: Path
    upright: bool
    boxes: Tensor  # (N, 4)
    labels: Tensor  # (N,)
    difficult: Tensor  # (N,) bool


class Voc(Dataset):
    """The pictures of one split: item i is the image (3, H, W), floats in [0, 1], and its target.

    The target is {"boxes": (N, 4) floats, "labels": (N,) int64 from 1, "difficult": (N,) bool}; N may be 0.
    `root` is the folder that holds Annotations, or one above it. `split` names a list in ImageSets/Main; None takes
    every annotation. Class names are those of all annotations in sorted order, or `class_names`, the background first
    or left out; boxes of other classes are then dropped and counted. `keep_difficult=False` drops the difficult ones,
    as the paper does in training. `decode_all` decodes every picture once now, so that a broken one is left out here
    and does not raise ImageError when it is asked for. What was dropped stands in `report`, printed unless `quiet`.
    Raises FileNotFoundError for a folder, a split or a list that is not there, ValueError where nothing is left.
    """

    def __init__(
        self,
        root: str | os.PathLike,
        split: str | None = "train",
        class_names: Sequence[str] | None = None,
        keep_difficult: bool = True,
        one_based: bool | None = None,
        decode_all: bool = False,
        quiet: bool = False,
    ) -> None:
        self.root = find_voc(root)
        self.split = split
        self.report = Report()
        self._images = _by_stem(self.root / "JPEGImages", IMAGE_SUFFIXES)
        self._annotations = _by_stem(self.root / "Annotations", (".xml",))
        names = without_background(class_names) if class_names is not None else self._names_of_all()
        self.class_names = (BACKGROUND, *names)
        self._keep_difficult, self._one_based, self._decode_all = keep_difficult, one_based, decode_all
        self._records = [record for name in self._listed() if (record := self._read(name)) is not None]
        self.report.images = len(self._records)
        conclude(self.report, f"{self.root} [{split or 'all'}]", quiet)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        record = self._records[index]
        target = {"boxes": record.boxes, "labels": record.labels, "difficult": record.difficult}
        return load_image(record.path, record.upright), {key: value.clone() for key, value in target.items()}

    def path(self, index: int) -> Path:
        """The picture file of item `index`."""
        return self._records[index].path

    def _listed(self) -> list[str]:
        if self.split is None:
            return sorted(self._annotations)
        lists = self.root / "ImageSets" / "Main"
        there = sorted(path.stem for path in lists.glob("*.txt"))
        if self.split not in there:
            raise FileNotFoundError(
                f"there is no split {self.split!r} in {lists}, which has {', '.join(there) or 'no lists'}; "
                "split=None takes every annotation"
            )
        text = (lists / f"{self.split}.txt").read_text(encoding="utf-8-sig", errors="replace")
        return [name for line in text.splitlines() if (name := self._name_in(line.strip()))]

    def _name_in(self, line: str) -> str:
        """The picture's name in a line of a list: all of it, blanks too, but for the flag of a per-class list."""
        head, _, flag = line.rpartition(" ")
        return head.strip() if file_key(line) not in self._annotations and flag in CLASS_FLAGS else line

    def _names_of_all(self) -> list[str]:
        """The class names in all annotations, those of other splits too, so that every split has the same labels."""
        names = set()
        for path in self._annotations.values():
            try:
                names.update(_text(element, "name") for element in parse_xml(path).iter("object"))
            except (ValueError, OSError):
                continue  # counted where the picture's turn comes
        return sorted(names - {"", BACKGROUND})

    def _read(self, name: str) -> _Record | None:
        """One picture and its boxes; None, and a note in the report, where they cannot be had."""
        key, skip = file_key(name), self.report.skip_image
        if key not in self._annotations:
            return skip("no annotation of that name", name)
        if key not in self._images:
            return skip("no picture of that name", name)
        try:
            annotation = parse_xml(self._annotations[key])
        except (ValueError, OSError) as error:
            return skip("the annotation cannot be read", str(error))
        path = self._images[key]
        try:
            header = read_header(path)
            if self._decode_all:
                load_image(path)
        except (ImageError, OSError) as error:
            return skip("the picture cannot be read", str(error))
        upright = is_upright(header, _annotated_size(annotation), self.report, name)
        return self._record(path, upright, shown_size(header, upright), annotation, name)

    def _record(self, path: Path, upright: bool, size: Size, annotation: Element, name: str) -> _Record:
        one_based = self._one_based
        if one_based is None:
            one_based = _text(annotation, "source/database").startswith(VOC_DATABASE)
        boxes, labels, difficult = [], [], []
        for index, element in enumerate(annotation.findall("object")):
            found = self._box(element, size, one_based, f"{name}, object {index}")
            hard = _text(element, "difficult") not in ("", "0")
            if found is None or (hard and not self._keep_difficult):
                continue
            label, box = found
            self.report.boxes_per_class[self.class_names[label]] += 1
            boxes.append(box)
            labels.append(label)
            difficult.append(hard)
        return _Record(
            path,
            upright,
            torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            torch.tensor(labels, dtype=torch.int64),
            torch.tensor(difficult, dtype=torch.bool),
        )

    def _box(self, element: Element, size: Size, one_based: bool, case: str) -> tuple[int, Box] | None:
        name = _text(element, "name")
        if name not in self.class_names[1:]:
            return self.report.skip_box(f"class {name!r} is not asked for", case)
        try:
            x1, y1, x2, y2 = (float(_text(element, f"bndbox/{side}")) for side in SIDES)
        except ValueError:
            return self.report.skip_box("a coordinate is no finite number", case)
        box = fit_box((x1 - one_based, y1 - one_based, x2, y2), size, self.report, case)
        return None if box is None else (self.class_names.index(name), box)


def find_voc(root: str | os.PathLike) -> Path:
    """The folder that holds Annotations and JPEGImages: `root` or the only one below it, two levels down at most.

    Raises FileNotFoundError where there is none, ValueError where there are several.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root}")
    found = [
        path.parent
        for pattern in ("Annotations", "*/Annotations", "*/*/Annotations")
        for path in sorted(root.glob(pattern))
        if (path.parent / "JPEGImages").is_dir()
    ]
    if not found:
        raise FileNotFoundError(f"{root} holds no data set in VOC's layout: no folder with Annotations and JPEGImages")
    if len(found) > 1 and found[0] != root:
        raise ValueError(f"{root} holds several data sets: {', '.join(map(str, found))}; name one of them")
    return found[0]


def parse_xml(path: Path) -> Element:
    """The root element of an XML file that declares no document type; anything else raises ValueError naming it.

    Without a document type there are no entities, hence none that expand without end or name other files.
    """
    data = path.read_bytes()
    if len(data) > LARGEST_XML:
        raise ValueError(f"{path} has {len(data):,} bytes, more than any annotation")
    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise ValueError(f"{path} is no sound XML: {error}") from None
    return builder.close()


def _refuse_doctype(*_: object) -> None:
    raise ValueError("it declares a document type, which annotations have no need of and attacks have")


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _annotated_size(annotation: Element) -> Size | None:
    try:
        width, height = (int(float(_text(annotation, f"size/{side}"))) for side in ("width", "height"))
    except (ValueError, OverflowError):
        return None
    return (width, height) if width > 0 and height > 0 else None


def _by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """The files of a folder by name without suffix; of two that differ in suffix only, the first in the alphabet."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and not path.is_dir())
    return {file_key(path.stem): path for path in reversed(files)}
