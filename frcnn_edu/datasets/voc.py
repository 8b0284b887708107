"""VOC: one XML file per image, as PASCAL VOC introduced it and labelling tools still write it.

The files may lie as VOC laid them out (Annotations, JPEGImages, and ImageSets/Main with a list for each split), in
folders of other names, beside their images (labelImg), or in one folder for each split (Roboflow).

Where it differs from torchvision's VOCDetection: any such folder is read, not only VOC's own years; targets are tensors
and not nested dicts of strings; what is wrong with a file is counted instead of raising in the middle of a training;
and XML with a document type is rejected, because ten lines of entities can expand to gigabytes.

Boxes. VOC's own files count pixels from 1 and include the last one: 1..640 is all of 640 px. Tools that write the same
XML mostly mean edges, 0..640. A file whose <database> is VOC's own is read the first way, any other the second.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from frcnn_edu.datasets import BACKGROUND
from frcnn_edu.datasets.annotations import AnnotatedBox, AnnotatedImage, Content, Size
from frcnn_edu.datasets.box_formats import VOC_BOXES
from frcnn_edu.datasets.field_values import decode, flag, number, numbers, read_text
from frcnn_edu.datasets.file_tree import (
    IMAGE_SUFFIXES,
    FileTree,
    NameIndex,
    case_note,
    match,
    nearness,
    parts_of,
    split_in,
    split_of,
)

LARGEST_XML = 16 * 2**20
"""Bytes: an annotation of a hundred thousand boxes is smaller."""

SAMPLE = 20
"""Files that are looked at to recognise the format."""

SIDES = ("xmin", "ymin", "xmax", "ymax")
VOC_DATABASE = "The VOC"
CLASS_FLAGS = ("-1", "0", "1")
"""What VOC's per-class lists (car_train.txt) write after each name."""

DECLARED_ENCODING = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([\w.\-]+)[\"']")

NO_ANNOTATION = "no annotation of that name"
NO_IMAGE = "no image of that name"


def find_voc(tree: FileTree) -> "Voc | None":
    """The VOC annotations of a folder, None if it has none."""
    files = [] if tree.named else tree.of(".xml")
    return Voc(tree, files) if any(_may_be_voc(file, tree) for file in files[:SAMPLE]) else None


def _may_be_voc(file: PurePosixPath, tree: FileTree) -> bool:
    """Whether an XML file is an annotation, or else damaged and of an image's name: then it is counted as damaged."""
    try:
        return parse_xml(tree.path(file)).tag == "annotation"
    except (ValueError, OSError):
        return any(image.stem == file.stem for image in tree.images.files)


class Voc:
    """The XML files of a folder, all parsed, each with its image."""

    box_format = VOC_BOXES

    def __init__(self, tree: FileTree, files: list[PurePosixPath]) -> None:
        self._tree, self._files = tree, NameIndex(files, by_stem=True)
        parsed = {file: _parsed(tree.path(file), file) for file in files}
        self._class_names = {box.class_name for one in parsed.values() for box in one.boxes} - {"", BACKGROUND}
        self._image_of = _image_of_each(tree, parsed)
        self._annotated = {file: self._annotated_image(file, one) for file, one in parsed.items()}
        self._lists = self._find_lists()
        self._folders: dict[str, list[PurePosixPath]] = defaultdict(list)
        for file, image in self._image_of.items():
            if split := split_of(file) or (None if isinstance(image, str) else split_of(image)):
                self._folders[split].append(file)
        self.splits = tuple(self._lists or self._folders)

    def read(self, split: str | None) -> Content:
        """One split; class names are those of all splits, sorted, so that every split has the same labels."""
        names = sorted(self._class_names)
        if split is not None and self._lists:
            return Content(names, self._listed(self._lists[split]))
        files = list(self._annotated) if split is None else self._folders[split]
        return Content(names, [*(self._annotated[file] for file in files), *self._without_annotation(files)])

    def _annotated_image(self, file: PurePosixPath, parsed: "_Parsed") -> AnnotatedImage:
        image = self._image_of[file]
        if isinstance(image, str) or parsed.problem:
            return AnnotatedImage(str(file), problem=parsed.problem or str(image))
        notes = case_note(file.stem, image.stem)
        return AnnotatedImage(str(file), self._tree.path(image), parsed.boxes, parsed.size, notes=notes)

    def _find_lists(self) -> dict[str, PurePosixPath]:
        """The lists of splits by name: those in ImageSets/Main, or else train.txt and the like wherever they lie."""
        texts = self._tree.of(".txt")
        for folder in (["imagesets", "main"], ["imagesets"]):
            lists = [file for file in texts if [part.lower() for part in file.parts[-1 - len(folder) : -1]] == folder]
            roots = sorted({str(self._tree.path(file.parents[len(folder)])) for file in lists})
            if len(roots) > 1:
                sets = ", ".join(roots)
                raise ValueError(f"{self._tree.root} holds several data sets; name one of them as --data: {sets}")
            if lists:
                return {file.stem: file for file in lists}
        lists = [file for file in texts if split_in(file.stem) and self._names_files(file)]
        return {file.stem: file for file in lists}

    def _names_files(self, path: PurePosixPath) -> bool:
        lines = read_text(self._tree.path(path)).splitlines()
        return any(self._name_in(line.strip()) in self._files for line in lines if line.strip())

    def _listed(self, path: PurePosixPath) -> list[AnnotatedImage]:
        """The annotations that a list names, one a line."""
        lines = read_text(self._tree.path(path)).splitlines()
        names = [self._name_in(line.strip()) for line in lines if line.strip()]
        files = match(self._files, names, NO_ANNOTATION, [nearness(path)] * len(names))
        return [
            AnnotatedImage(name, problem=file) if isinstance(file, str) else self._annotated[file]
            for name, file in zip(names, files, strict=True)
        ]

    def _name_in(self, line: str) -> str:
        """The name in a line of a list, without the suffix of a file and without the flag of a per-class list."""
        name, *of_class = [line] if line in self._files else re.split(r"\s+(?=\S+$)", line)
        name = name if of_class and of_class[0] in CLASS_FLAGS else line
        suffix = PurePosixPath(name).suffix
        return name.removesuffix(suffix) if suffix.lower() in (*IMAGE_SUFFIXES, ".xml") else name

    def _without_annotation(self, files: list[PurePosixPath]) -> list[AnnotatedImage]:
        """The images without an XML file that lie among those of `files`."""
        used = set(self._image_of.values())
        folders = {image.parent for file in files if not isinstance(image := self._image_of[file], str)}
        images = [image for image in self._tree.images.files if image.parent in folders and image not in used]
        return [AnnotatedImage(str(image), problem=NO_ANNOTATION) for image in images]


def parse_xml(path: Path) -> Element:
    """The root element of an XML file, tags in lower case and without prefix; ValueError names a file that is unusable.

    A document type is rejected: without one there are no entities, hence none that expand without end or name files.
    """
    data = path.read_bytes()
    if len(data) > LARGEST_XML:
        raise ValueError(f"{path} has {len(data):,} bytes, more than any annotation")
    declared = DECLARED_ENCODING.match(data.lstrip())
    text = decode(data, path, declared[1].decode() if declared else "utf-8")
    builder, parser = TreeBuilder(), expat.ParserCreate("utf-8")
    parser.StartElementHandler = lambda tag, attributes: builder.start(_local(tag), attributes)
    parser.EndElementHandler = lambda tag: builder.end(_local(tag))
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _reject_doctype
    try:
        parser.Parse(text.lstrip("\ufeff").encode("utf-8", "surrogatepass"), True)
    except (expat.ExpatError, ValueError) as error:
        raise ValueError(f"{path} is not well-formed XML: {error}") from None
    return builder.close()


def _reject_doctype(*_: object) -> None:
    raise ValueError("it declares a document type, which annotations do not need and attacks do")


def _local(tag: str) -> str:
    return tag.rpartition(":")[2].lower()


@dataclass(frozen=True)
class _Parsed:
    """One file: the name of its image and what it says about it, or what is wrong with the file."""

    file_name: str = ""
    size: Size | None = None
    boxes: Sequence[AnnotatedBox] = ()
    problem: str = ""


def _parsed(path: Path, file: PurePosixPath) -> _Parsed:
    try:
        root = parse_xml(path)
    except (ValueError, OSError) as error:
        return _Parsed(problem=f"the annotation cannot be read: {error}")
    if root.tag != "annotation":
        return _Parsed(problem=f"the annotation begins with <{root.tag}>, where VOC has <annotation>")
    return _Parsed(_text(root, "filename"), _size(root), _boxes(root, file))


def _image_of_each(tree: FileTree, parsed: dict[PurePosixPath, _Parsed]) -> dict[PurePosixPath, PurePosixPath | str]:
    """The image of each file, or why there is none: the one of the same name, or else the one that <filename> names.

    Among images of one name and different suffixes, <filename> decides.
    """
    by_stem = NameIndex(tree.images.files, by_stem=True)
    ranks = [_fits_name(one.file_name, nearness(file)) for file, one in parsed.items()]
    stems = [str(file.with_suffix("")) for file in parsed]
    found = dict(zip(parsed, match(by_stem, stems, NO_IMAGE, ranks), strict=True))
    taken = set(found.values())
    others = NameIndex(image for image in tree.images.files if image not in taken)
    named = {file: one.file_name for file, one in parsed.items() if one.file_name and found[file] == NO_IMAGE}
    ranks = [nearness(file) for file in named]
    return found | dict(zip(named, match(others, list(named.values()), NO_IMAGE, ranks), strict=True))


def _fits_name(name: str, near: Callable[[PurePosixPath], tuple]) -> Callable[[PurePosixPath], tuple]:
    last = "".join(parts_of(name)[-1:]).casefold()
    return lambda image: (image.name.casefold() == last, *near(image))


def _boxes(root: Element, file: PurePosixPath) -> list[AnnotatedBox]:
    first_pixel = 1 if _text(root, "source/database").startswith(VOC_DATABASE) else 0
    objects = list(root.iter("object"))
    boxes = [_box(element, f"{file}, object {index}", first_pixel) for index, element in enumerate(objects)]
    inside = {box for element in objects for box in element.iter("bndbox")}
    strays = [box for box in root.iter("bndbox") if box not in inside]
    return boxes + [AnnotatedBox(str(file), problem="a <bndbox> is not inside an <object>") for _ in strays]


def _box(element: Element, case: str, first_pixel: int) -> AnnotatedBox:
    name, bndbox = _text(element, "name"), element.find("bndbox")
    difficult = flag(_text(element, "difficult"))
    notes = () if difficult is not None else (f"difficult is {_text(element, 'difficult')!r}: taken as no",)
    if not name:
        return AnnotatedBox(case, problem="an object has no <name>")
    if bndbox is None:
        others = [f"<{child.tag}>" for child in element if len(child) and child.tag not in ("part", "actions")]
        return AnnotatedBox(case, name, problem=f"an object has no <bndbox>{', but ' + others[0] if others else ''}")
    for side in SIDES:
        if bndbox.find(side) is None:
            return AnnotatedBox(case, name, problem=f"a <bndbox> has no <{side}>")
    sides = numbers(_text(bndbox, side) for side in SIDES)
    if sides is None:
        return AnnotatedBox(case, name, problem="a coordinate is not a finite number")
    x1, y1, x2, y2 = sides
    return AnnotatedBox(case, name, (x1 - first_pixel, y1 - first_pixel, x2, y2), bool(difficult), notes=notes)


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _size(root: Element) -> Size | None:
    width, height = (number(_text(root, f"size/{side}")) for side in ("width", "height"))
    return (int(width), int(height)) if width and height and min(width, height) >= 1 else None
