"""YOLO: one text file per image, a line for each box: class, centre x, centre y, width, height, in fractions.

Read in the layouts of ultralytics (images/train, labels/train and a YAML file), Roboflow (train/images, train/labels,
data.yaml), CVAT and Darknet (lists of images, obj.names) and labelImg (text files beside the images, classes.txt).
Lines of a segmentation (class and polygon) give the box around the polygon.

As in ultralytics, an image without a text file is one without objects; how many there are is reported.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import PurePosixPath

from frcnn_edu.datasets.annotations import AnnotatedBox, AnnotatedImage, Box, Content
from frcnn_edu.datasets.box_formats import YOLO_BOXES
from frcnn_edu.datasets.field_values import identifier, numbers, read_text
from frcnn_edu.datasets.file_tree import (
    IMAGE_SUFFIXES,
    LISTED_TWICE,
    PLAIN_WORDS,
    FileTree,
    NameIndex,
    match,
    nearness,
    parts_of,
    shared_end,
    split_in,
    split_of,
)
from frcnn_edu.datasets.summary import count

SAMPLE = 20
"""Text files that are looked at to recognise the format."""

YAML_SUFFIXES = (".yaml", ".yml")
LARGEST_YAML = 2**20
COLUMNS = 5
NAME_FILES = ("classes.txt", "labels.txt", "names.txt", "_darknet.labels")
NO_IMAGE = "no image of that name"

Images = list[PurePosixPath | AnnotatedImage]
"""Images, and in the place of those that are listed and missing, why."""


def find_yolo(tree: FileTree) -> "Yolo | None":
    """The YOLO annotations of a folder, None if it has none."""
    if tree.named and tree.named.suffix.lower() not in YAML_SUFFIXES:
        return None
    yolo = Yolo(tree)
    return yolo if yolo.settings or yolo.has_text_files() else None


class Yolo:
    """The images of a folder and their text files."""

    box_format = YOLO_BOXES

    def __init__(self, tree: FileTree) -> None:
        self._tree = tree
        self.settings, source = _settings(tree)
        self._names = _names_in(self.settings, source) if self.settings else _listed_names(tree)
        images = tree.images.files
        texts = NameIndex((file for file in tree.of(".txt") if file.name.lower() not in NAME_FILES), by_stem=True)
        stems = [str(image.with_suffix("")) for image in images]
        self._text_of = dict(zip(images, match(texts, stems, "", [nearness(one) for one in images]), strict=True))
        self._texts = {text for text in self._text_of.values() if isinstance(text, PurePosixPath)}
        self._lines = cache(lambda text: [line.split() for line in read_text(tree.path(text)).splitlines()])
        self._by_split = self._from_settings(source) or self._from_lists(texts.files) or self._from_folders()
        self.splits = tuple(self._by_split)

    def has_text_files(self) -> bool:
        """Whether images have text files with lines of numbers, or, where there are class names, with nothing."""
        if self._names and not any(map(self._rows, self._texts)):
            return bool(self._texts)
        first_rows = [rows[0] for text in sorted(self._texts)[:SAMPLE] if (rows := self._rows(text))]
        return any(len(row) >= COLUMNS and numbers(row) for row in first_rows)

    def read(self, split: str | None) -> Content:
        """One split, or all images; class names are those of data.yaml or classes.txt, else numbers."""
        images: Images = [*self._annotated_images()] if split is None else self._by_split[split]
        names, warnings = self._names, []
        if names is None:
            rows = (row for text in self._texts for row in self._rows(text))
            classes = {one for row in rows if isinstance(one := identifier(row[0]), int) and one >= 0}
            names = {one: f"class {one}" for one in sorted(classes)}
            warnings.append("the class names are missing (data.yaml or classes.txt): classes are called by number")
        annotated = [one if isinstance(one, AnnotatedImage) else self._annotated(one, names) for one in images]
        return Content(list(dict.fromkeys(names.values())), annotated + self._without_image(images), warnings=warnings)

    def _annotated(self, image: PurePosixPath, names: dict[int, str]) -> AnnotatedImage:
        text = self._text_of[image]
        if isinstance(text, str) and text:
            reason = "another image has the same text file" if text == LISTED_TWICE else text
            return AnnotatedImage(str(image), problem=reason)
        if isinstance(text, str):
            note = "no text file: taken as an image without objects"
            return AnnotatedImage(str(image), self._tree.path(image), notes=(note,))
        try:
            rows = self._lines(text)
        except (ValueError, OSError) as error:
            return AnnotatedImage(str(image), problem=f"the annotation cannot be read: {error}")
        pose = "kpt_shape" in self.settings
        boxes = [_box(row, f"{text}, line {line}", names, pose) for line, row in enumerate(rows, 1) if row]
        return AnnotatedImage(str(image), self._tree.path(image), boxes)

    def _rows(self, text: PurePosixPath) -> list[list[str]]:
        """The lines of a text file that are not empty; none where it cannot be read, which is counted elsewhere."""
        try:
            return [row for row in self._lines(text) if row]
        except (ValueError, OSError):
            return []

    def _annotated_images(self) -> list[PurePosixPath]:
        """All images in the folders where some image has a text file."""
        folders = {image.parent for image, text in self._text_of.items() if text}
        return [image for image in self._text_of if image.parent in folders or not folders]

    def _without_image(self, images: Images) -> list[AnnotatedImage]:
        """The text files without an image that lie among those of `images`."""
        used = [self._text_of.get(image) for image in images if isinstance(image, PurePosixPath)]
        folders = {text.parent for text in used if isinstance(text, PurePosixPath)}
        texts = [file for file in self._tree.of(".txt") if file.parent in folders and file not in self._texts]
        texts = [file for file in texts if file.name.lower() not in NAME_FILES and not split_in(file.stem)]
        return [
            AnnotatedImage(str(file), problem=NO_IMAGE) for file in texts if not file.stem.lower().startswith("readme")
        ]

    def _from_settings(self, source: PurePosixPath) -> dict[str, Images]:
        """The splits that the YAML file names as folders or lists; what is not there is left out."""
        splits: dict[str, Images] = {}
        for key, value in self.settings.items():
            places = [value] if isinstance(value, str) else value if isinstance(value, list) else []
            if isinstance(key, str) and split_in(key) and all(isinstance(place, str) for place in places):
                images = [image for place in places for image in self._at(place, source)]
                if images:
                    splits[key] = list(dict.fromkeys(images))
        return splits

    def _at(self, place: str, source: PurePosixPath) -> Images:
        """The images of a folder or a list that the YAML file names, wherever that lay when it was written."""
        if place.lower().endswith(".txt"):
            lists = NameIndex(self._tree.of(".txt")).find(place, nearness(source))
            return self._listed(lists[0]) if lists else []
        wanted = parts_of(place)
        folders = sorted({folder for image in self._tree.images.files for folder in image.parents})
        fits = {folder: shared_end(wanted, folder.parts) for folder in folders}
        best = [folder for folder in folders if fits[folder] == max(fits.values())]
        if not best or not _is_meant(wanted, fits[best[0]]):
            return []
        return [image for image in self._tree.images.files if image.is_relative_to(best[0])]

    def _from_lists(self, texts: Iterable[PurePosixPath]) -> dict[str, Images]:
        """The splits of train.txt and the like, which name an image a line."""
        lists = [text for text in texts if split_in(text.stem) and text not in self._texts]
        return {text.stem: images for text in lists if (images := self._listed(text))}

    def _listed(self, text: PurePosixPath) -> Images:
        lines = [line.strip() for line in read_text(self._tree.path(text)).splitlines()]
        names = [line for line in lines if line.lower().endswith(IMAGE_SUFFIXES)]
        found = match(self._tree.images, names, NO_IMAGE, [nearness(text)] * len(names))
        pairs = zip(names, found, strict=True)
        return [AnnotatedImage(name, problem=one) if isinstance(one, str) else one for name, one in pairs]

    def _from_folders(self) -> dict[str, Images]:
        splits: dict[str, Images] = {}
        for image in self._annotated_images():
            if split := split_of(image):
                splits.setdefault(split, []).append(image)
        return splits


def _is_meant(wanted: tuple[str, ...], shared: int) -> bool:
    """Whether a folder that shares so many last parts is the one wanted: all of them, or one that is no plain word."""
    telling = any(part.lower() not in PLAIN_WORDS for part in wanted[len(wanted) - shared :])
    return 0 < shared == len(wanted) or (shared > 0 and telling)


def _settings(tree: FileTree) -> tuple[dict, PurePosixPath]:
    """The content of the YAML file with class names, and where it lies; an empty dict where there is none.

    Raises ValueError for a data.yaml, or a file that the user named, that cannot be read.
    """
    import yaml

    files = [tree.named] if tree.named else tree.of(*YAML_SUFFIXES)
    for file in sorted(files, key=lambda file: (file.stem != "data", len(file.parts), file)):
        expected = file.stem == "data" or tree.named is not None
        try:
            text = read_text(tree.path(file)) if tree.path(file).stat().st_size <= LARGEST_YAML else ""
            content = yaml.safe_load(text)
        except (ValueError, yaml.YAMLError, RecursionError) as error:
            if expected:
                raise ValueError(f"{tree.path(file)} is not valid YAML: {' '.join(str(error).split())}") from None
            continue
        if isinstance(content, dict) and "names" in content:
            return content, file
        if expected:
            raise ValueError(f"{tree.path(file)} has no names, the list of the classes")
    return {}, PurePosixPath()


def _names_in(settings: dict, source: PurePosixPath) -> dict[int, str]:
    """Class number to name, from a list or a dict; raises ValueError for anything else."""
    names = settings["names"]
    pairs = names.items() if isinstance(names, dict) else enumerate(names) if isinstance(names, list) else ()
    result = {identifier(key): name for key, name in pairs}
    if not result or not all(isinstance(key, int) and isinstance(name, str | int) for key, name in result.items()):
        raise ValueError(f"{source}: names must be a list of class names, or a number and a name for each class")
    return {key: str(name).strip() for key, name in sorted(result.items()) if isinstance(key, int)}


def _listed_names(tree: FileTree) -> dict[int, str] | None:
    """Class number to name from classes.txt and its like, None where there is none.

    Raises ValueError where several such files differ: the numbers would mean different classes.
    """
    files = [file for file in tree.files if file.name.lower() in NAME_FILES or file.suffix.lower() == ".names"]
    texts = {file: [line.strip() for line in read_text(tree.path(file)).splitlines() if line.strip()] for file in files}
    for file in files[1:]:
        if texts[file] != texts[files[0]]:
            raise ValueError(f"the class names in {tree.path(files[0])} and {tree.path(file)} differ; keep one file")
    return dict(enumerate(texts[files[0]])) if files and texts[files[0]] else None


def _box(row: list[str], case: str, names: dict[int, str], pose: bool) -> AnnotatedBox:
    """The box of one line."""
    label, values = identifier(row[0]), numbers(row[1:])
    if not isinstance(label, int) or values is None:
        return AnnotatedBox(case, problem="a line holds something else than a class number and numbers")
    if label not in names:
        return AnnotatedBox(case, problem=f"class number {label} has no name")
    if len(values) == COLUMNS - 1 or (pose and len(values) >= COLUMNS):
        return AnnotatedBox(case, names[label], (values[0], values[1], values[2], values[3]))
    if len(values) >= 6 and len(values) % 2 == 0:
        return AnnotatedBox(case, names[label], _around(values[0::2], values[1::2]))
    return AnnotatedBox(case, names[label], problem=f"a line has {count(len(row), 'number')} instead of {COLUMNS}")


def _around(xs: Sequence[float], ys: Sequence[float]) -> Box:
    """Centre, width and height of the box around a polygon."""
    return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys)
