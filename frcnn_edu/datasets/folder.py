"""Folder: somebody's own data set, in whichever format and layout it is."""

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from frcnn_edu.datasets import BACKGROUND
from frcnn_edu.datasets.annotations import (
    AnnotatedBox,
    AnnotatedImage,
    Box,
    Content,
    Report,
    Size,
    fit_box,
    is_upright,
    shown_size,
    without_background,
)
from frcnn_edu.datasets.box_formats import BoxFormat, Evidence
from frcnn_edu.datasets.file_tree import PLAIN_WORDS, FileTree, split_in, words_in
from frcnn_edu.datasets.formats import recognise
from frcnn_edu.datasets.image_files import ImageError, image_tensor, load_image, read_header, read_rgb
from frcnn_edu.datasets.splits import SplitChoice, choose_split, draw, listed
from frcnn_edu.datasets.summary import DataSummary, count, one_line


@dataclass(frozen=True)
class _Record:
    path: Path
    upright: bool
    size: Size
    target: dict[str, Tensor]


class FolderDataset(Dataset):
    """The images of one split: item i is the image (3, H, W), floats in [0, 1], and its target.

    The target is {"boxes": (N, 4) floats, "labels": (N,) int64 from 1, "difficult": (N,) bool, "iscrowd": (N,) bool,
    "area": (N,) floats}, the area being the object's as annotated or else its box's, in square pixels; N may be 0.
    Class names are those of the data, or `class_names`, the background first or left out; boxes of other classes are
    then dropped and counted. `for_training` drops difficult boxes and crowds, and counts them.

    Boxes are cut at the border; those without area are dropped. They lie on the pixels as stored, also where EXIF asks
    for a rotation, unless the annotated size is that of the rotated image: then the image is rotated. Files that were
    cut off are found now and left out; an image damaged otherwise raises ImageError when it is loaded.
    """

    def __init__(
        self,
        content: Content,
        box_format: BoxFormat,
        class_names: Sequence[str] | None = None,
        for_training: bool = False,
    ) -> None:
        names = content.class_names if class_names is None else without_background(class_names)
        self.class_names = (BACKGROUND, *names)
        self.report = Report(warnings=list(content.warnings))
        self.source = ""
        """The folder, its format and the split."""
        self.notes: list[str] = []
        """What the user should know about the choice of the images."""
        self._labels = {name: label for label, name in enumerate(self.class_names) if label}
        self._box_format, self._for_training, self._evidence = box_format, for_training, Evidence()
        self._records = [record for image in content.images if (record := self._record(image)) is not None]
        for box in content.strays:
            self.report.skip_box(box.problem, box.case)
        self.report.images = len(self._records)
        self.report.warnings += [
            text for text in (self._evidence.doubts(box_format), _near_twins(self._labels)) if text
        ]

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        record = self._records[index]
        return load_image(record.path, record.upright), {key: value.clone() for key, value in record.target.items()}

    def path(self, index: int) -> Path:
        """The image file of item `index`."""
        return self._records[index].path

    def sizes(self) -> list[Size]:
        """The (width, height) of every image, without decoding any."""
        return [record.size for record in self._records]

    def targets(self) -> list[dict[str, Tensor]]:
        """The target of every image, without decoding any."""
        return [{key: value.clone() for key, value in record.target.items()} for record in self._records]

    def preview(self, index: int, longest: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Item `index` scaled down so that no side of the image is longer than `longest` pixels, boxes included."""
        record = self._records[index]
        image = read_rgb(record.path, record.upright)
        scale = min(1.0, longest / max(image.size))
        small = image.resize([max(1, round(side * scale)) for side in image.size])
        scales = torch.tensor([new / old for new, old in zip(small.size * 2, image.size * 2, strict=True)])  # (4,)
        return image_tensor(small), {**record.target, "boxes": record.target["boxes"] * scales}

    def summary(self) -> DataSummary:
        """How many images, boxes and classes there are, and what was set aside or skipped and why."""
        return self.report.summary(self.class_names[1:])

    def lines(self) -> list[str]:
        """The summary, then everything that the user should know, a line each."""
        skipped = [
            f"{count(times, 'file')} skipped: {reason} (first: {self.report.first[reason]})"
            for reason, times in self.report.skipped_images.most_common()
        ]
        return [str(self.summary()), *self.notes, *skipped, *self.summary().warnings]

    def _record(self, image: AnnotatedImage) -> _Record | None:
        """One image and its boxes; None, and a note in the report, where the image cannot be used."""
        if image.path is None:
            reason, _, detail = image.problem.partition(": ")
            self.report.skip_image(reason, image.name, detail)
            return None
        try:
            header = read_header(image.path, whole=True)
        except (ImageError, OSError) as error:
            self.report.skip_image("the image cannot be read", image.name, str(error))
            return None
        for note in image.notes:
            self.report.adjust(note, f"{image.name}, image {image.path.name}")
        upright = is_upright(header, image.size, self.report, image.name)
        size = shown_size(header, upright)
        return _Record(image.path, upright, size, self._target(image, size))

    def _target(self, image: AnnotatedImage, size: Size) -> dict[str, Tensor]:
        rows = [(box, corners) for box in image.boxes if (corners := self._corners(box, size, image.size)) is not None]
        areas = [box.area or (x2 - x1) * (y2 - y1) for box, (x1, y1, x2, y2) in rows]
        return {
            "boxes": torch.tensor([corners for _, corners in rows], dtype=torch.float32).reshape(-1, 4),
            "labels": torch.tensor([self._labels[box.class_name] for box, _ in rows], dtype=torch.int64),
            "difficult": torch.tensor([box.difficult for box, _ in rows], dtype=torch.bool),
            "iscrowd": torch.tensor([box.crowd for box, _ in rows], dtype=torch.bool),
            "area": torch.tensor(areas, dtype=torch.float32),
        }

    def _corners(self, box: AnnotatedBox, size: Size, annotated: Size | None) -> Box | None:
        """The corners of a box that stays, counted; None where it is dropped."""
        unknown = "" if box.class_name in self._labels else f"class {box.class_name!r} is not among the given classes"
        if box.problem or unknown:
            self.report.skip_box(box.problem or unknown, box.case)
            return None
        for note in box.notes:
            self.report.adjust(note, box.case)
        self._evidence.add(box.numbers, size, annotated, box.area)
        corners = fit_box(self._box_format.corners(box.numbers, size), size, self.report, box.case)
        if corners is None:
            return None
        self.report.difficult += box.difficult
        self.report.crowd += box.crowd and not box.difficult
        if box.difficult or box.crowd:
            return None if self._for_training else corners
        self.report.boxes_per_class[box.class_name] += 1
        return corners


def open_folder(
    root: str | os.PathLike,
    split: str = "train",
    class_names: Sequence[str] | None = None,
    for_training: bool = False,
    quiet: bool = False,
) -> FolderDataset:
    """The data set below `root`, or of one annotation file, in any of `formats.FORMATS`; see `FolderDataset`.

    `split` names one of the folder's splits, "all" or a drawn share such as "train:0.8". Give a test split the
    `class_names` of its training split. Prints `FolderDataset.lines`, the summary first, unless `quiet`.
    Raises FileNotFoundError where there is no such folder, and ValueError, in one line, where it has no annotations
    that can be read, no such split, or nothing to learn from.
    """
    dataset = read_folder(root, split, class_names, for_training)
    if len(dataset) == 0 or (dataset.report.boxes == 0 and (for_training or dataset.report.skipped_boxes)):
        raise ValueError(f"{root} [{split}]: {nothing_to_learn(dataset)}")
    if not quiet:
        print("\n".join(dataset.lines()))
    return dataset


def read_folder(
    root: str | os.PathLike,
    split: str = "train",
    class_names: Sequence[str] | None = None,
    for_training: bool = False,
) -> FolderDataset:
    """`open_folder` without a word, and also where nothing is left to learn from."""
    tree = _tree(Path(root).expanduser())
    found, annotations, others = recognise(tree)
    choice = _choice(tree, annotations.splits, split, root)
    content = annotations.read(choice.name)
    if not tree.images.files:
        raise ValueError(
            f"{tree.root} has {found.name} annotations but no images: "
            "name the folder that holds both the annotations and the images as --data"
        )
    content = replace(content, images=draw(content.images, choice))
    dataset = FolderDataset(content, annotations.box_format, class_names, for_training)
    source = f"{root}, {found.name} format, split {split} (splits of its own: {listed(annotations.splits)})"
    dataset.source, dataset.notes = one_line(source), [one_line(choice.note)] if choice.note else []
    for other in others:
        dataset.report.warnings.append(
            f"the {found.name} annotations are read; to read the {other} annotations, which the folder has as well, "
            "name their file as --data"
        )
    return dataset


def _tree(root: Path) -> FileTree:
    """The files of a folder, or of that to which an annotation file belongs: annotations/a.json to the one above."""
    if not root.is_file():
        return FileTree(root)
    tree, words = FileTree(root.parent, named=root), words_in(root.parent.name)
    if tree.images.files or not words or not PLAIN_WORDS.issuperset(words):
        return tree
    return FileTree(root.parent.parent, named=root)


def _choice(tree: FileTree, there: Sequence[str], split: str, root: str | os.PathLike) -> SplitChoice:
    """What is read of a folder, or of a file that the user named: all of it, if it is of one split."""
    of_file = there[0] if there else split_in(Path(root).parent.name)  # valid/_annotations.coco.json
    if tree.named is None or of_file is None or len(there) > 1 or ":" in split:
        return choose_split(split, there, str(root))
    note = "" if split == of_file else f"all of {root} is used, whatever --split {split} says"
    return SplitChoice(there[0] if there else None, note=note)


def _near_twins(names: Iterable[str]) -> str:
    """A warning of class names that differ only in case or blanks: probably one class, misspelled."""
    spellings = defaultdict(list)
    for name in names:
        spellings["".join(name.split()).casefold()].append(name)
    twins = next((group for group in spellings.values() if len(group) > 1), [])
    text = f"class names that differ only in case or blanks are different classes: {', '.join(twins)}"
    return one_line(text) if twins else ""


def nothing_to_learn(dataset: FolderDataset) -> str:
    """Why a data set has nothing to learn from, "" where it has."""
    report = dataset.report
    if report.images and report.boxes:
        return ""
    reasons = [
        f"{times} are {what}" for what, times in (("difficult", report.difficult), ("crowds", report.crowd)) if times
    ]
    for counter, noun in ((report.skipped_boxes, "box"), (report.skipped_images, "file")):
        for reason, times in counter.most_common(1):
            reasons.append(f"{count(times, noun)} left out: {reason} (first: {report.first[reason]})")
    where = f"no boxes to learn from in {count(report.images, 'image')}" if report.images else "no images to learn from"
    return f"{where}: {'; '.join(reasons) or 'the annotations have none'}"
