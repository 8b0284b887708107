"""Photographs: eight real ones, with boxes drawn by hand.

The photographs are files of scikit-image and matplotlib, read from the installed packages without importing them, so
that lessons need no download. Only the boxes are ours, in ``data/photos.json`` (COCO format; ``data/README.md`` says
what was labelled and what was left out).

Where it differs from COCO: labels are contiguous from 1, and 0 is the background. Names of classes are COCO's.

``python -m frcnn_edu.datasets.photos FOLDER`` writes every photograph, enlarged, with its boxes, to check them by eye.
"""

import importlib.metadata
import importlib.util
import json
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from frcnn_edu.datasets import BACKGROUND, data_path
from frcnn_edu.datasets.image_files import load_image

ANNOTATIONS = "photos.json"
RENDER_ZOOM = 3


@dataclass(frozen=True)
class Photo:
    """One photograph and the objects on it."""

    name: str
    image: Tensor
    """(3, H, W) float in [0, 1]."""
    boxes: Tensor
    """(N, 4) float, x1, y1, x2, y2 in pixels."""
    labels: Tensor
    """(N,) int64, indices into `class_names`."""
    class_names: tuple[str, ...]
    """The name of every label of the data set; 0 is the background."""
    credit: str
    """Who took the photograph, and its licence."""

    @property
    def label_names(self) -> list[str]:
        """The name of the class of each box: N strings."""
        return [self.class_names[label] for label in self.labels.tolist()]

    @property
    def target(self) -> dict[str, Tensor]:
        """Boxes and labels in torchvision's form, as copies."""
        return {"boxes": self.boxes.clone(), "labels": self.labels.clone()}


class Photos(Dataset):
    """The photographs as a data set: item -> image (3, H, W), target {"boxes": (N, 4), "labels": (N,)}.

    `names` selects some of them, in that order. Raises KeyError for an unknown name.
    """

    def __init__(self, names: list[str] | None = None) -> None:
        self.names = [_entry(name)["name"] for name in (_names() if names is None else names)]
        self.class_names = class_names()

    def __len__(self) -> int:
        """How many photographs there are."""
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Photograph number `index` and its target; raises IndexError beyond the last."""
        photo = load(self.names[index])
        return photo.image, photo.target


def names() -> list[str]:
    """The names of the photographs, in alphabetical order."""
    return sorted(_names())


def class_names() -> tuple[str, ...]:
    """The name of every label, the background first: label 1 is ``class_names()[1]``."""
    categories = {category["id"]: category["name"] for category in _annotations()["categories"]}
    return (BACKGROUND, *(categories[label] for label in range(1, len(categories) + 1)))


def load(name: str) -> Photo:
    """The photograph called `name`, from the package that has it, with its boxes.

    Raises KeyError for an unknown name, ModuleNotFoundError where the package is not installed, FileNotFoundError or
    ValueError where the package has no such file, or another image under its name.
    """
    entry = _entry(name)
    path = _wheel_file(entry["file_name"], entry["package"])
    image = load_image(path)  # (3, H, W)
    if image.shape != (3, entry["height"], entry["width"]):
        raise ValueError(
            f"{path} is {image.shape[2]} x {image.shape[1]} pixels, but the boxes were drawn on "
            f"{entry['width']} x {entry['height']}; install the {entry['package']} that constraints.txt names"
        )
    objects = [a for a in _annotations()["annotations"] if a["image_id"] == entry["id"]]
    boxes = torch.tensor([a["bbox"] for a in objects], dtype=torch.float32)  # (N, 4) x, y, width, height
    boxes = torch.cat((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), dim=1)  # (N, 4)
    labels = torch.tensor([a["category_id"] for a in objects], dtype=torch.int64)  # (N,)
    return Photo(name, image, boxes, labels, class_names(), _credit(entry))


def render(photo: Photo, zoom: int = RENDER_ZOOM) -> Tensor:
    """The photograph enlarged `zoom` times with a line around each object: -> (3, zoom * H, zoom * W) uint8."""
    from torchvision.utils import draw_bounding_boxes

    large = photo.image.repeat_interleave(zoom, dim=1).repeat_interleave(zoom, dim=2)  # (3, zoom * H, zoom * W)
    pixels = (large * 255).round().to(torch.uint8)
    return draw_bounding_boxes(pixels, photo.boxes * zoom, photo.label_names, colors="lime")


def main(folder: str) -> None:
    """Write every photograph with its boxes into `folder`, as PNG, and print a line for each."""
    from torchvision.transforms.functional import to_pil_image

    Path(folder).mkdir(parents=True, exist_ok=True)
    for name in names():
        photo = load(name)
        path = Path(folder) / f"{name}.png"
        to_pil_image(render(photo)).save(path)
        print(f"{path}: {len(photo.boxes)} boxes. {photo.credit}")


@cache
def _annotations() -> dict:
    return json.loads(data_path(ANNOTATIONS).read_text(encoding="utf-8"))


def _names() -> list[str]:
    return [entry["name"] for entry in _annotations()["images"]]


def _entry(name: str) -> dict:
    for entry in _annotations()["images"]:
        if entry["name"] == name:
            return entry
    raise KeyError(f"no photograph is called {name!r}; there are {', '.join(names())}")


def _credit(entry: dict) -> str:
    licenses = {license_["id"]: license_["name"] for license_ in _annotations()["licenses"]}
    return f"{entry['credit']} ({licenses[entry['license']]}), from {entry['package']}"


def _wheel_file(file_name: str, package: str) -> Path:
    """A file of an installed package, found without importing it; `file_name` begins with the import name."""
    module, *parts = file_name.split("/")
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            f"the photograph {parts[-1]} lies inside {package}, which is not installed; "
            f"run pip install {package}, or install the lessons with pip install 'frcnn-edu[lessons]'",
            name=module,
        )
    path = Path(spec.origin).parent.joinpath(*parts)
    if not path.exists():
        raise FileNotFoundError(
            f"{package} {importlib.metadata.version(package)} has no {parts[-1]}; "
            "install the version that constraints.txt names"
        )
    return path


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m frcnn_edu.datasets.photos FOLDER")
    main(sys.argv[1])
