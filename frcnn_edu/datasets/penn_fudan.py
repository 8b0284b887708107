"""Penn-Fudan: its text annotations of pedestrians, converted to VOC's layout, which `voc` reads.

An annotation has, for each pedestrian, a line such as
``Bounding box for object 1 "PASpersonWalking" (Xmin, Ymin) - (Xmax, Ymax) : (160, 182) - (302, 431)``,
in pixels that are counted from 1. Walking or standing, each becomes a "person". The data set has no official split;
ours takes every fifth picture of each campus for the test: 136 and 34.
"""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

BOX_LINE = re.compile(r"Bounding box for object \d+ .*: \((\d+), (\d+)\) - \((\d+), (\d+)\)")
SIZE_LINE = re.compile(r"Image size \(X x Y x C\) : (\d+) x (\d+) x (\d+)")
CLASS_NAME = "person"
TEST_EVERY = 5


def to_voc_layout(folder: Path) -> None:
    """Convert an unpacked Penn-Fudan folder in place: Annotations, JPEGImages (of PNG files), ImageSets/Main.

    Raises ValueError where the folder does not have the archive's files.
    """
    texts = sorted((folder / "Annotation").glob("*.txt"))
    if not texts or not (folder / "PNGImages").is_dir():
        raise ValueError(f"{folder} has no Annotation and PNGImages: the archive is not Penn-Fudan's")
    (folder / "Annotations").mkdir()
    for text in texts:
        ElementTree.ElementTree(_annotation(text)).write(folder / "Annotations" / f"{text.stem}.xml", "utf-8")
    (folder / "PNGImages").rename(folder / "JPEGImages")
    names = [text.stem for text in texts]
    test = names[TEST_EVERY - 1 :: TEST_EVERY]
    lists = folder / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for split, chosen in (("train", sorted(set(names) - set(test))), ("test", test), ("all", names)):
        (lists / f"{split}.txt").write_text("\n".join(chosen) + "\n", encoding="utf-8")


def _annotation(path: Path) -> ElementTree.Element:
    """One text annotation as VOC's XML, with boxes as edges: pixel 1 begins at 0."""
    text = path.read_text(encoding="latin-1")
    size, boxes = SIZE_LINE.search(text), BOX_LINE.findall(text)
    if size is None or not boxes:
        raise ValueError(f"{path} is no annotation of Penn-Fudan: no image size or no bounding box")
    root = ElementTree.Element("annotation")
    _values(ElementTree.SubElement(root, "size"), ("width", "height", "depth"), size.groups())
    for box in boxes:
        left, top, right, bottom = (int(value) for value in box)
        element = ElementTree.SubElement(root, "object")
        _values(element, ("name", "difficult"), (CLASS_NAME, 0))
        edges = left - 1, top - 1, right, bottom
        _values(ElementTree.SubElement(element, "bndbox"), ("xmin", "ymin", "xmax", "ymax"), edges)
    return root


def _values(parent: ElementTree.Element, names: tuple[str, ...], values: tuple) -> None:
    for name, value in zip(names, values, strict=True):
        ElementTree.SubElement(parent, name).text = str(value)
