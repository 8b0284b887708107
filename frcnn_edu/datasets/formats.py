"""Formats: the one table of what can be read, and what is said of a folder that holds none of it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from frcnn_edu.datasets.annotations import Annotations
from frcnn_edu.datasets.coco import find_coco
from frcnn_edu.datasets.file_tree import IMAGE_SUFFIXES, FileTree
from frcnn_edu.datasets.summary import count
from frcnn_edu.datasets.voc import find_voc
from frcnn_edu.datasets.yolo import find_yolo


@dataclass(frozen=True)
class Format:
    """A format: its name, what a folder in it holds, and the function that finds its annotations in a folder."""

    name: str
    expects: str
    find: Callable[[FileTree], Annotations | None]


FORMATS = (
    Format("VOC", "an XML file per image with <annotation>, <object> and <bndbox>", find_voc),
    Format("COCO", "a JSON file with the lists images, annotations and categories", find_coco),
    Format("YOLO", "a text file per image and class names in data.yaml or classes.txt", find_yolo),
)
"""Every format that is read, the first that fits; a new one is one more entry."""

EXCERPT = 2**16
OTHER_FORMATS = (
    (".json", b'"shapes"', "labelme"),
    (".json", b'"regions"', "the VGG Image Annotator"),
    (".json", b'"coordinates"', "CreateML"),
    (".json", b'"exterior"', "Supervisely"),
    (".xml", b"<annotations", "CVAT's own format"),
    (".xml", b"<dataset", "dlib"),
    (".csv", b"xmin", "a table of boxes"),
    (".csv", b"XMin", "Open Images"),
    (".csv", b"bbox", "a table of boxes"),
    (".tfrecord", b"", "TensorFlow records"),
)
"""What is not read: suffix, what such a file contains near its beginning, and the tool or format it is from."""

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".rar", ".7z")
MOST_SUFFIXES = 4


def recognise(tree: FileTree) -> tuple[Format, Annotations, list[str]]:
    """The format of a folder, its annotations, and the names of further formats in which the folder has some.

    Raises ValueError that says what lies there, what is expected and what helps where no format fits.
    """
    for one in FORMATS:
        if (annotations := one.find(tree)) is not None:
            others = [other.name for other in FORMATS[FORMATS.index(one) + 1 :] if _is_there(other, tree)]
            return one, annotations, others
    raise ValueError(_nothing_found(tree))


def _is_there(other: Format, tree: FileTree) -> bool:
    try:
        return other.find(tree) is not None
    except ValueError:  # its files are unusable, which matters to nobody while another format is read
        return False


def _nothing_found(tree: FileTree) -> str:
    kinds = Counter("image" if file.suffix.lower() in IMAGE_SUFFIXES else file.suffix.lower() for file in tree.files)
    nouns = {kind: kind if kind == "image" else f"{kind} file".strip() for kind in kinds}
    there = ", ".join(count(times, nouns[kind]) for kind, times in kinds.most_common(MOST_SUFFIXES)) or "no files"
    expected = "; ".join(f"{one.name}: {one.expects}" for one in FORMATS)
    what = tree.path(tree.named) if tree.named else tree.root
    return f"{what} holds no annotations that can be read, but {there}. Expected is one of {expected}. {_advice(tree)}"


def _advice(tree: FileTree) -> str:
    for suffix, mark, tool in OTHER_FORMATS:
        for file in tree.of(suffix)[:1]:
            with tree.path(file).open("rb") as opened:
                if mark in opened.read(EXCERPT):
                    return f"{file} looks like {tool}: export the boxes in one of these formats"
    if archives := tree.of(*ARCHIVES):
        return f"Unpack {archives[0]} first"
    if tree.images.files:
        return (
            "If there are boxes, name the folder that holds both them and the images as --data; "
            "otherwise draw them with labelImg, CVAT or Label Studio and export one of these formats"
        )
    return "Name the folder that holds the images as --data; `python -m frcnn_edu download bccd` fetches an example"
