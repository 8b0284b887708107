"""Data sets as tools write them: each function draws the same few images with boxes in one layout."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIZE = (96, 72)
CLASSES = ("bar", "disc")
BOXES = ((20, 15, 60, 50), (62, 20, 90, 44))
"""The corners of the first and the second object of every image, a bar and a disc."""


def draw_image(path: Path, seed: int = 0) -> Path:
    """An image with the two objects on noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(60, 120, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    drawing = ImageDraw.Draw(image)
    drawing.rectangle(BOXES[0], fill=(220, 40, 40))
    drawing.ellipse(BOXES[1], fill=(40, 80, 220))
    image.save(path)
    return path


def voc_xml(file_name: str, boxes: Sequence = BOXES, names: Sequence[str] = CLASSES, extra: str = "") -> str:
    objects = ""
    for name, box in zip(names, boxes, strict=False):
        sides = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
        edges = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
        objects += f"<object><name>{name}</name>{extra}<difficult>0</difficult><bndbox>{edges}</bndbox></object>"
    size = f"<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height><depth>3</depth></size>"
    return f"<annotation><filename>{file_name}</filename>{size}{objects}</annotation>"


def coco_content(file_names: Sequence[str], boxes: Sequence = BOXES, names: Sequence[str] = CLASSES) -> dict:
    images, annotations = [], []
    for number, file_name in enumerate(file_names):
        images.append({"id": number, "file_name": file_name, "width": SIZE[0], "height": SIZE[1]})
        for index, (x1, y1, x2, y2) in enumerate(boxes):
            bbox = [x1, y1, x2 - x1, y2 - y1]
            one = {"id": len(annotations), "image_id": number, "category_id": index, "bbox": bbox, "iscrowd": 0}
            annotations.append(one | {"area": bbox[2] * bbox[3]})
    categories = [{"id": index, "name": name} for index, name in enumerate(names)]
    return {"images": images, "annotations": annotations, "categories": categories}


def yolo_text(boxes: Sequence = BOXES) -> str:
    lines = []
    for index, (x1, y1, x2, y2) in enumerate(boxes):
        values = ((x1 + x2) / 2 / SIZE[0], (y1 + y2) / 2 / SIZE[1], (x2 - x1) / SIZE[0], (y2 - y1) / SIZE[1])
        lines.append(f"{index} " + " ".join(f"{value:.6f}" for value in values))
    return "\n".join(lines) + "\n"


def write(path: Path, text: str | dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return path


def voc(root: Path, count: int = 3) -> None:
    """PASCAL's own layout, with lists."""
    names = [f"{number:06}" for number in range(count)]
    for number, name in enumerate(names):
        draw_image(root / "JPEGImages" / f"{name}.jpg", number)
        write(root / "Annotations" / f"{name}.xml", voc_xml(f"{name}.jpg"))
    for split in ("train", "val", "trainval"):
        write(root / "ImageSets" / "Main" / f"{split}.txt", "\n".join(names) + "\n")


def coco(root: Path, count: int = 3) -> None:
    """COCO's own layout."""
    for split in ("train", "val"):
        names = [f"{number:012}.jpg" for number in range(count)]
        for number, name in enumerate(names):
            draw_image(root / f"{split}2017" / name, number)
        write(root / "annotations" / f"instances_{split}2017.json", coco_content(names))


def labelimg(root: Path, count: int = 3) -> None:
    """XML beside the images."""
    for number in range(count):
        draw_image(root / f"photo {number}.jpg", number)
        write(root / f"photo {number}.xml", voc_xml(f"photo {number}.jpg"))


def roboflow_voc(root: Path, count: int = 3) -> None:
    write(root / "README.roboflow.txt", "cells - v1\n")
    for split in ("train", "valid", "test"):
        for number in range(count):
            name = f"{split}{number}_jpg.rf.0f{number}"
            draw_image(root / split / f"{name}.jpg", number)
            write(root / split / f"{name}.xml", voc_xml(f"{name}.jpg"))


def roboflow_coco(root: Path, count: int = 3) -> None:
    """Without a test split, as Roboflow exports it on demand."""
    write(root / "README.dataset.txt", "cells\n")
    for split in ("train", "valid"):
        names = [f"{number}_jpg.rf.0f{number}.jpg" for number in range(count)]
        for number, name in enumerate(names):
            draw_image(root / split / name, number)
        write(root / split / "_annotations.coco.json", coco_content(names))


def cvat_voc(root: Path, count: int = 3) -> None:
    """CVAT's "Pascal VOC 1.1", with folders in its names."""
    names = [f"day{number % 2 + 1}/frame_{number}" for number in range(count)]
    for number, name in enumerate(names):
        draw_image(root / "JPEGImages" / f"{name}.jpg", number)
        write(root / "Annotations" / f"{name}.xml", voc_xml(f"{name}.jpg", extra="<truncated>0</truncated>"))
    write(root / "ImageSets" / "Main" / "default.txt", "\n".join(names) + "\n")
    write(root / "labelmap.txt", "# label:color_rgb:parts:actions\nbar:250,50,83::\ndisc:51,221,255::\n")


def cvat_coco(root: Path, count: int = 3) -> None:
    names = [f"day1/frame {number}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        draw_image(root / "images" / "default" / name, number)
    write(root / "annotations" / "instances_default.json", coco_content(names))


def label_studio(root: Path, count: int = 3) -> None:
    """Label Studio's COCO export from Windows."""
    names = [f"1a2b3c4d-photo_{number}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        draw_image(root / "images" / name, number)
    write(root / "result.json", coco_content([f"images\\{name}" for name in names]))


def ultralytics(root: Path, count: int = 3) -> None:
    for split in ("train", "val"):
        for number in range(count):
            draw_image(root / "images" / split / f"{split}_{number}.jpg", number)
            write(root / "labels" / split / f"{split}_{number}.txt", yolo_text())
    names = "\n".join(f"  {index}: {name}" for index, name in enumerate(CLASSES))
    write(
        root / "own.yaml",
        f"path: ../datasets/own # root\ntrain: images/train\nval: images/val\ntest:\nnames:\n{names}\n",
    )


def roboflow_yolo(root: Path, count: int = 3) -> None:
    """Its paths lead out of the folder, and its test split was not exported."""
    for split in ("train", "valid"):
        for number in range(count):
            name = f"{split}{number}_jpg.rf.0f{number}"
            draw_image(root / split / "images" / f"{name}.jpg", number)
            write(root / split / "labels" / f"{name}.txt", yolo_text())
    places = "".join(
        f"{key}: ../{split}/images\n" for key, split in (("train", "train"), ("val", "valid"), ("test", "test"))
    )
    write(root / "data.yaml", f"{places}\nnc: 2\nnames: {list(CLASSES)}\n")


def labelimg_yolo(root: Path, count: int = 3) -> None:
    for number in range(count):
        draw_image(root / f"photo {number}.jpg", number)
        write(root / f"photo {number}.txt", yolo_text())
    write(root / "classes.txt", "".join(f"{name}\n" for name in CLASSES))


def cvat_yolo(root: Path, count: int = 3) -> None:
    """CVAT's "YOLO 1.1", which is Darknet's layout."""
    for number in range(count):
        draw_image(root / "obj_train_data" / f"frame_{number}.jpg", number)
        write(root / "obj_train_data" / f"frame_{number}.txt", yolo_text())
    write(root / "train.txt", "".join(f"data/obj_train_data/frame_{number}.jpg\n" for number in range(count)))
    write(root / "obj.names", "".join(f"{name}\n" for name in CLASSES))
    write(root / "obj.data", "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")


def one_json(root: Path, count: int = 3) -> None:
    """A single JSON file without a word about a split, beside its images."""
    names = [f"{number}.png" for number in range(count)]
    for number, name in enumerate(names):
        draw_image(root / name, number)
    write(root / "boxes.json", coco_content(names))


def kaggle_voc(root: Path, count: int = 3) -> None:
    """Folders of other names, in lower case, and no lists."""
    for number in range(count):
        draw_image(root / "images" / f"maksssksksss{number}.png", number)
        write(root / "annotations" / f"maksssksksss{number}.xml", voc_xml(f"maksssksksss{number}.png"))


LAYOUTS: dict[str, tuple[Callable[[Path, int], None], str, tuple[str, ...]]] = {
    "VOC": (voc, "VOC", ("train", "trainval", "val")),
    "COCO": (coco, "COCO", ("train", "val")),
    "labelImg": (labelimg, "VOC", ()),
    "Roboflow VOC": (roboflow_voc, "VOC", ("test", "train", "valid")),
    "Roboflow COCO": (roboflow_coco, "COCO", ("train", "valid")),
    "CVAT VOC": (cvat_voc, "VOC", ("default",)),
    "CVAT COCO": (cvat_coco, "COCO", ()),
    "Label Studio": (label_studio, "COCO", ()),
    "ultralytics": (ultralytics, "YOLO", ("train", "val")),
    "one JSON": (one_json, "COCO", ()),
    "Roboflow YOLO": (roboflow_yolo, "YOLO", ("train", "val")),
    "labelImg YOLO": (labelimg_yolo, "YOLO", ()),
    "CVAT YOLO": (cvat_yolo, "YOLO", ("train",)),
    "Kaggle VOC": (kaggle_voc, "VOC", ()),
}
"""What writes each layout, its format, and the splits it has, sorted."""
