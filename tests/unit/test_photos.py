"""The photographs: they come from the wheels and nowhere else, and every box lies tightly on something."""

import hashlib
import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO
from skimage import filters, measure
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

from frcnn_edu import datasets
from frcnn_edu.boxes import check_boxes
from frcnn_edu.datasets import data_path, photos
from frcnn_edu.datasets.image_files import ImageError

SITE_PACKAGES = Path(importlib.util.find_spec("skimage").origin).parents[1]
COCO_NAMES = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
COIN_EDGE_TOLERANCE = 2.5  # pixels
EVERY_PHOTO = pytest.mark.parametrize("name", photos.names())


@pytest.fixture
def coco(capsys):
    return COCO(str(data_path("photos.json")))


def test_the_photographs_that_the_lessons_name_are_there():
    assert {"astronaut", "chelsea", "coffee", "rocket", "camera"} <= set(photos.names())
    assert photos.names() == sorted(set(photos.names()))


@EVERY_PHOTO
def test_image_boxes_and_labels_follow_the_convention_card(name):
    photo = photos.load(name)
    _, height, width = photo.image.shape
    assert photo.image.dtype == torch.float32
    assert photo.image.shape[0] == 3
    assert photo.image.min() >= 0
    assert 0.5 < photo.image.max() <= 1, "a photograph has bright pixels; all dark means scaled twice"
    check_boxes(photo.boxes, with_area=True)
    assert (photo.boxes >= 0).all()
    assert (photo.boxes <= torch.tensor([width, height, width, height])).all()
    assert photo.labels.dtype == torch.int64
    assert photo.labels.shape == photo.boxes.shape[:1]
    assert photo.labels.min() >= 1
    assert photo.labels.max() < len(photo.class_names)
    assert photo.label_names == [photos.class_names()[label] for label in photo.labels]


@EVERY_PHOTO
def test_a_photograph_is_the_file_that_the_wheel_ships(name, coco):
    """It stands in the wheel's own list of files with this size and digest, so nobody fetched it later."""
    (entry,) = (entry for entry in coco.imgs.values() if entry["name"] == name)
    shipped = {str(file): file for file in importlib.metadata.files(entry["package"])}
    file = shipped[entry["file_name"]]
    content = (SITE_PACKAGES / entry["file_name"]).read_bytes()
    assert len(content) == file.size
    assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    with Image.open(SITE_PACKAGES / entry["file_name"]) as image:
        assert image.size == (entry["width"], entry["height"])


@pytest.mark.parametrize("name", ["camera", "coins"])
def test_a_grey_photograph_becomes_rgb(name):
    red, green, blue = photos.load(name).image
    assert torch.equal(red, green)
    assert torch.equal(red, blue)


@EVERY_PHOTO
def test_pycocotools_reads_the_same_boxes(name, coco):
    (image_id,) = (entry["id"] for entry in coco.imgs.values() if entry["name"] == name)
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=image_id))
    photo = photos.load(name)
    assert len(annotations) == len(photo.boxes) > 0
    for annotation, box, label in zip(annotations, photo.boxes, photo.labels, strict=True):
        x, y, width, height = annotation["bbox"]
        assert box.tolist() == [x, y, x + width, y + height]
        assert annotation["area"] == width * height
        assert annotation["iscrowd"] == 0
        assert coco.cats[annotation["category_id"]]["name"] == photo.class_names[label]


def test_every_id_is_unique_and_every_class_and_licence_is_in_use():
    content = json.loads(data_path("photos.json").read_text(encoding="utf-8"))
    for part in ("licenses", "images", "annotations", "categories"):
        ids = [entry["id"] for entry in content[part]]
        assert ids == list(range(1, len(ids) + 1)), part
    assert {a["category_id"] for a in content["annotations"]} == {c["id"] for c in content["categories"]}
    assert {image["license"] for image in content["images"]} == {one["id"] for one in content["licenses"]}


def test_classes_that_coco_has_come_first_and_are_spelt_as_there():
    names = photos.class_names()
    assert names[0] == COCO_NAMES[0] == "__background__"
    known = [name in COCO_NAMES for name in names]
    assert known == sorted(known, reverse=True)
    assert sum(known) == 9


def outline(image, box, margin=6):
    """The box round what is brighter than its surroundings, by Otsu's threshold in a window round `box`: (4,)."""
    height, width = image.shape
    left, top = (max(int(low) - margin, 0) for low in box[:2])
    right, bottom = (min(int(high) + margin, size) for high, size in zip(box[2:], (width, height), strict=True))
    window = image[top:bottom, left:right]
    regions = measure.regionprops(measure.label(window > filters.threshold_otsu(window)))
    y1, x1, y2, x2 = max(regions, key=lambda region: region.area_bbox).bbox
    return np.array([x1 + left, y1 + top, x2 + left, y2 + top])


def test_boxes_of_the_coins_lie_on_their_outlines():
    photo = photos.load("coins")
    grey = photo.image[0].numpy()
    boxes = photo.boxes.numpy()
    assert len(boxes) == 24
    off = np.abs(np.stack([outline(grey, box) for box in boxes]) - boxes).max(axis=1)  # (24,)
    assert off.max() <= COIN_EDGE_TOLERANCE, f"coin {off.argmax()} is off by {off.max()} px"


def test_the_data_set_hands_out_images_and_targets():
    dataset = photos.Photos()
    assert len(dataset) == len(photos.names())
    image, target = dataset[photos.names().index("coffee")]
    coffee = photos.load("coffee")
    assert torch.equal(image, coffee.image)
    assert set(target) == {"boxes", "labels"}
    assert torch.equal(target["boxes"], coffee.boxes)
    assert torch.equal(target["labels"], coffee.labels)
    assert len(list(dataset)) == len(dataset), "iteration ends by IndexError"


def test_the_data_set_takes_a_choice_in_order():
    dataset = photos.Photos(["rocket", "camera"])
    assert [image.shape[2] for image, _ in dataset] == [640, 512]


def test_changing_a_target_changes_no_later_one():
    dataset = photos.Photos(["coffee"])
    dataset[0][1]["boxes"].zero_()
    assert dataset[0][1]["boxes"].sum() > 0


@pytest.mark.parametrize("ask", [photos.load, lambda name: photos.Photos([name])])
def test_an_unknown_name_is_answered_with_the_known_ones(ask):
    with pytest.raises(KeyError, match=r"'lenna'.*astronaut, camera"):
        ask("lenna")


def test_without_scikit_image_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"astronaut.png lies inside scikit-image.*pip install scikit-image"):
        photos.load("astronaut")


@pytest.fixture
def wheel_folder(tmp_path, monkeypatch):
    """A package of the wheel's name with an empty data folder."""
    (tmp_path / "data").mkdir()
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    return tmp_path / "data"


def test_a_wheel_without_the_file_is_named_with_its_version(wheel_folder):
    with pytest.raises(FileNotFoundError, match=r"scikit-image \d+\.\d.*has no astronaut.png.*constraints.txt"):
        photos.load("astronaut")


def test_another_picture_of_that_name_is_refused(wheel_folder):
    Image.new("RGB", (40, 30)).save(wheel_folder / "astronaut.png")
    with pytest.raises(ValueError, match=r"astronaut.png is 40 x 30 pixels.*drawn on 512 x 512.*scikit-image"):
        photos.load("astronaut")


def test_a_file_that_is_no_picture_is_refused(wheel_folder):
    (wheel_folder / "astronaut.png").write_text("version https://git-lfs", encoding="utf-8")
    with pytest.raises(ImageError, match=r"astronaut.png is the placeholder of a file in Git LFS"):
        photos.load("astronaut")


def test_a_picture_with_alpha_still_loads_as_rgb(wheel_folder):
    Image.new("RGBA", (512, 512), (255, 0, 0, 0)).save(wheel_folder / "astronaut.png")
    assert (photos.load("astronaut").image == 1).all(), "clear red is laid on white"


def test_no_drawing_or_science_library_is_loaded_to_read_a_photograph():
    code = "import sys; from frcnn_edu.datasets import photos; photos.load('camera'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"skimage", "matplotlib", "scipy", "pooch"} & {name.split(".")[0] for name in done.stdout.split()} == set()


@pytest.mark.parametrize("place", ["beside", "within"])
def test_the_data_folder_lies_beside_the_package_or_within_it(tmp_path, monkeypatch, place):
    package = tmp_path / "frcnn_edu"
    folder = {"beside": tmp_path, "within": package}[place] / "data"
    folder.mkdir(parents=True)
    (folder / "photos.json").touch()
    monkeypatch.setattr(datasets, "PACKAGE", package)
    assert data_path("photos.json") == folder / "photos.json"


def test_a_missing_data_folder_is_answered_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "PACKAGE", tmp_path / "frcnn_edu")
    with pytest.raises(FileNotFoundError, match=r"data.photos.json is missing: install"):
        data_path("photos.json")


def test_the_command_renders_every_photograph_with_its_boxes(tmp_path, capsys):
    photos.main(str(tmp_path / "sheet"))
    assert sorted(path.stem for path in (tmp_path / "sheet").iterdir()) == photos.names()
    assert "coins.png: 24 boxes. Brooklyn Museum" in capsys.readouterr().out


def test_a_rendered_box_is_drawn_where_its_object_is():
    photo = photos.load("chelsea")
    changed = (photos.render(photo, zoom=1).float() / 255 - photo.image).abs().sum(dim=0) > 0.1  # (H, W)
    _, y1, x2, y2 = (int(edge) for edge in photo.boxes[0])
    assert changed[y1 + 150, x2] or changed[y1 + 150, x2 - 1], "the right edge of the cat"
    assert not changed[150, x2 + 5 :].any()
    assert changed[:y2, :x2].any()
