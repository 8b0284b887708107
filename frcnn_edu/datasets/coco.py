"""COCO: a JSON file with images, annotations and categories, one for each split or one for all.

Category ids, which have gaps, become the labels 1, 2, ... in the order of the ids. A crowd (``iscrowd``) is one box
around many objects: not used in training, and ignored in evaluation, see `metrics`.

Where it differs from torchvision's CocoDetection: targets are tensors and not lists of dicts, boxes are x1, y1, x2, y2,
images without annotations stay in, images are found wherever they lie below the folder, and what is wrong with an entry
is counted instead of raising in the middle of a training.
"""

import json
import mmap
from collections import defaultdict
from functools import partial
from pathlib import Path, PurePosixPath

from frcnn_edu.datasets.annotations import AnnotatedBox, AnnotatedImage, Box, Content, Size
from frcnn_edu.datasets.box_formats import COCO_BOXES
from frcnn_edu.datasets.field_values import flag, identifier, number, numbers, read_text
from frcnn_edu.datasets.file_tree import FileTree, case_note, match, nearness, parts_of, split_in, split_of

SECTIONS = ("images", "annotations", "categories")
OTHER_TASKS = ("captions", "panoptic", "person_keypoints", "stuff", "image_info")
"""How COCO's own files for other tasks begin, which lie beside instances_train2017.json."""

CROWD_FLAGS = ("iscrowd", "ignore")
"""What marks a box that is neither to be learned nor to be found: COCO's word, and that of data sets in its format."""

ENCODINGS = ("utf-8", "utf-16-le", "utf-32-le")
LONGEST_EXCERPT = 80


def find_coco(tree: FileTree) -> "Coco | None":
    """The COCO annotations of a folder, None if it has none."""
    files = [file for file in tree.of(".json") if tree.named in (None, file)]
    found = [file for file in files if _may_be_coco(tree.path(file))]
    if not found:
        return None
    ours = [file for file in found if not file.name.startswith(OTHER_TASKS)]
    damaged = [file for file in files if split_in(file.stem) and file not in found]  # its split must not vanish
    return Coco(tree, sorted([*(ours or found), *damaged]))


def _may_be_coco(path: Path) -> bool:
    """Whether a JSON file names one of COCO's lists, without parsing what may be half a gigabyte."""
    if path.stat().st_size == 0:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        keys = [f'"{section}"' for section in SECTIONS[:2]]
        return any(content.find(key.encode(encoding)) >= 0 for key in keys for encoding in ENCODINGS)


class Coco:
    """The JSON files of a folder; each is parsed when its split is read."""

    box_format = COCO_BOXES

    def __init__(self, tree: FileTree, files: list[PurePosixPath]) -> None:
        self._tree, self._files = tree, files
        self._by_split: dict[str, list[PurePosixPath]] = defaultdict(list)
        for file in files:
            split = split_in(file.stem) or split_of(file)
            if split or len(files) > 1:
                self._by_split[split or file.stem].append(file)
        self.splits = tuple(self._by_split)

    def read(self, split: str | None) -> Content:
        """One split, or all files together; class names are in the order of the category ids."""
        files = self._files if split is None else self._by_split[split]
        if split is not None and len(files) > 1:
            names = ", ".join(str(self._tree.path(file)) for file in files)
            raise ValueError(f"several files hold the split {split!r}; name one of them as --data: {names}")
        contents = [_read(self._tree, file) for file in files]
        return Content(
            list(dict.fromkeys(name for content in contents for name in content.class_names)),
            [image for content in contents for image in content.images],
            [box for content in contents for box in content.strays],
        )


def _read(tree: FileTree, file: PurePosixPath) -> Content:
    """One JSON file; the boxes of an image are parsed when they are asked for."""
    content = read_coco_json(tree.path(file))
    categories = _category_names(content["categories"], tree.path(file))
    entries, names = content["images"], [_file_name(entry) for entry in content["images"]]
    by_image: dict[int | str | None, list[dict]] = {_id(entry, "id"): [] for entry in entries}
    by_image.pop(None, None)
    strays = []
    for annotation in content["annotations"]:
        of_image = _id(annotation, "image_id")
        if of_image in by_image:
            by_image[of_image].append(annotation)
        else:
            what = _excerpt(annotation.get("image_id") if isinstance(annotation, dict) else annotation)
            strays.append(AnnotatedBox(f"{file}, image_id {what}", problem="it belongs to no image of the file"))
    found = match(tree.images, names, "no image of that name", [nearness(file)] * len(names))
    images = []
    for entry, name, image in zip(entries, names, found, strict=True):
        annotations = by_image.pop(_id(entry, "id"), None)
        if not name or _id(entry, "id") is None:
            images.append(AnnotatedImage(f"{file}: {_excerpt(entry)}", problem="the entry has no id or no file_name"))
        elif annotations is None:
            images.append(AnnotatedImage(name, problem="an earlier image has the same id"))
        elif isinstance(image, str):
            images.append(AnnotatedImage(name, problem=image))
        else:
            boxes = map(partial(_box, categories, name), annotations)
            notes = case_note(parts_of(name)[-1], image.name)
            images.append(AnnotatedImage(name, tree.path(image), boxes, _size(entry), notes=notes))
    return Content(list(dict.fromkeys(categories.values())), images, strays)


def read_coco_json(path: Path) -> dict:
    """A COCO JSON file whose sections are lists; raises ValueError that names the file."""
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON, perhaps cut off ({error}); export or copy it again") from None
    missing = [name for name in SECTIONS if not (isinstance(content, dict) and isinstance(content.get(name), list))]
    if missing:
        raise ValueError(
            f"{path} is not a COCO annotation file: it has no list of {', '.join(missing)}; "
            "export the boxes again as COCO, VOC or YOLO"
        )
    return content


def _category_names(categories: list, path: Path) -> dict[int | str, str]:
    """Category id to name, by rising id, numbers before text."""
    names: dict[int | str, str] = {}
    for entry in categories:
        category, name = _id(entry, "id"), _name(entry)
        if category is None or not name:
            raise ValueError(f"{path}: a category needs an id, a whole number or text, and a name: {_excerpt(entry)}")
        if names.setdefault(category, name) != name:
            raise ValueError(
                f"{path}: the categories {names[category]!r} and {name!r} share the id {category!r}; number them apart"
            )
    if not names:
        raise ValueError(f"{path} has no categories: each class needs an id and a name")
    return dict(sorted(names.items(), key=lambda item: (isinstance(item[0], str), item[0])))


def _box(categories: dict[int | str, str], image: str, annotation: dict) -> AnnotatedBox:
    """One annotation of the image."""
    case = f"{image}, annotation {_excerpt(annotation.get('id'))}"
    category = _id(annotation, "category_id")
    if category not in categories:
        what = _excerpt(annotation.get("category_id"))
        return AnnotatedBox(case, problem=f"its category_id {what} is not among the categories")
    box, notes = _four_numbers(annotation.get("bbox")), []
    if box is None and not annotation.get("bbox"):
        box, notes = _outline(annotation.get("segmentation")), ["the box was made from the segmentation"]
    if box is None:
        return AnnotatedBox(case, categories[category], problem="its bbox is not a list of four numbers")
    crowd = False
    for key in CROWD_FLAGS:
        value = flag(annotation.get(key))
        crowd = crowd or bool(value)
        notes += [f"{key} is {_excerpt(annotation[key])}: taken as no"] if value is None else []
    area = number(annotation.get("area"))
    area = area if area is not None and area > 0 else None
    return AnnotatedBox(case, categories[category], box, crowd=crowd, area=area, notes=tuple(notes))


def _four_numbers(bbox: object) -> Box | None:
    values = numbers(bbox) if isinstance(bbox, list) and len(bbox) == 4 else None
    return None if values is None else (values[0], values[1], values[2], values[3])


def _outline(segmentation: object) -> Box | None:
    """x, y, width, height of the polygons of a segmentation; None if it has none."""
    if not isinstance(segmentation, list) or not all(isinstance(polygon, list) for polygon in segmentation):
        return None
    polygons = [values for polygon in segmentation if (values := numbers(polygon)) is not None]
    if not polygons or len(polygons) < len(segmentation) or any(len(one) < 6 or len(one) % 2 for one in polygons):
        return None
    xs, ys = ([value for polygon in polygons for value in polygon[start::2]] for start in (0, 1))
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def _id(entry: object, key: str) -> int | str | None:
    return identifier(entry.get(key)) if isinstance(entry, dict) else None


def _file_name(entry: object) -> str:
    name = entry.get("file_name") if isinstance(entry, dict) else None
    return name if isinstance(name, str) and parts_of(name) else ""


def _name(entry: object) -> str:
    """The name of a category, which may be a number."""
    name = entry.get("name") if isinstance(entry, dict) else None
    return str(name).strip() if isinstance(name, str | int) and not isinstance(name, bool) else ""


def _size(entry: dict) -> Size | None:
    width, height = number(entry.get("width")), number(entry.get("height"))
    return (int(width), int(height)) if width and height and min(width, height) >= 1 else None


def _excerpt(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_EXCERPT else f"{text[:LONGEST_EXCERPT]}..."
