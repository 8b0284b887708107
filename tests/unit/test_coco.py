"""Folders in COCO's layout: sound ones give what pycocotools reads, whatever is wrong is counted or said clearly."""

import contextlib
import io
import json
import unicodedata

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from frcnn_edu.datasets.coco import Coco, find_coco
from frcnn_edu.datasets.folder import open_folder
from frcnn_edu.datasets.image_files import ImageError
from frcnn_edu.training.metrics import evaluate

WIDTH, HEIGHT = 40, 30
CATEGORIES = [{"id": 90, "name": "apple"}, {"id": 3, "name": "car"}, {"id": 17, "name": "cat"}]
GOOD = {"id": 1, "image_id": 7, "category_id": 3, "bbox": [5, 6, 10, 12], "area": 60.0, "iscrowd": 0}


class Folder:
    """A COCO folder: a picture with one annotation, to which a test adds its own."""

    def __init__(self, root):
        self.root = root
        self.content = {"images": [], "annotations": [dict(GOOD)], "categories": CATEGORIES}
        (root / "train").mkdir(parents=True)
        self.image(7, "good.png")

    def image(self, image_id, name, picture=None, size=(WIDTH, HEIGHT), **save):
        picture = Image.new("RGB", (WIDTH, HEIGHT), "white") if picture is None else picture
        if picture:
            path = self.root / "train" / name
            path.parent.mkdir(exist_ok=True, parents=True)
            picture.save(path, **save)
        self.content["images"].append({"id": image_id, "file_name": name, "width": size[0], "height": size[1]})
        return self

    def box(self, **changes):
        merged = {**GOOD, "id": len(self.content["annotations"]) + 1, **changes}
        self.content["annotations"].append({key: value for key, value in merged.items() if value is not None})
        return self

    def write(self):
        path = self.root / "annotations" / "instances_train.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(self.content), "utf-8")
        return path

    def read(self, **options):
        return Coco(self.root / "train", self.write(), quiet=True, **options)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_categories_become_labels_in_the_order_of_their_ids(folder):
    folder.box(category_id=90, bbox=[0, 0, 40, 30]).box(category_id=17, bbox=[1.5, 2.5, 3, 4], area=5)
    dataset = folder.read()
    image, target = dataset[0]
    assert dataset.class_names == ("__background__", "car", "cat", "apple")
    assert image.shape == (3, HEIGHT, WIDTH)
    assert target["boxes"].tolist() == [[5, 6, 15, 18], [0, 0, 40, 30], [1.5, 2.5, 4.5, 6.5]]
    assert target["labels"].tolist() == [1, 3, 2]
    assert target["iscrowd"].tolist() == [False, False, False]
    assert target["area"].tolist() == [60, 60, 5]
    assert [target[key].dtype for key in ("boxes", "labels", "iscrowd", "area")] == [
        torch.float32,
        torch.int64,
        torch.bool,
        torch.float32,
    ]
    assert dataset.report.clean


def test_pycocotools_finds_the_same_boxes_in_the_same_file(folder):
    from pycocotools.coco import COCO

    rng = np.random.default_rng(0)
    for image_id in range(10, 20):
        folder.image(image_id, f"{image_id}.png")
        for _ in range(int(rng.integers(0, 4))):
            x, y = rng.integers(0, 20, 2).tolist()
            category = int(rng.choice([3, 17, 90]))
            folder.box(image_id=image_id, category_id=category, bbox=[x, y, 8, 9], iscrowd=int(rng.random() < 0.3))
    dataset = folder.read()
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(folder.write()))
    names = {category["id"]: category["name"] for category in CATEGORIES}
    for index, image_id in enumerate([7, *range(10, 20)]):
        annotations = coco.loadAnns(coco.getAnnIds(image_id))
        _, target = dataset[index]
        sides = torch.cat((target["boxes"][:, :2], target["boxes"][:, 2:] - target["boxes"][:, :2]), dim=1)
        assert sides.tolist() == [annotation["bbox"] for annotation in annotations]
        assert target["iscrowd"].tolist() == [bool(annotation["iscrowd"]) for annotation in annotations]
        named = [dataset.class_names[label] for label in target["labels"]]
        assert named == [names[annotation["category_id"]] for annotation in annotations]


def test_images_without_annotations_stay_in(folder):
    _, target = folder.image(8, "empty.png").read()[1]
    assert target["boxes"].shape == (0, 4)
    assert target["labels"].shape == target["iscrowd"].shape == target["area"].shape == (0,)


def test_crowds_are_marked_or_dropped_and_no_detection_is_blamed_for_one(folder):
    folder.box(bbox=[20, 10, 15, 15], iscrowd=1, segmentation={"counts": [0, 10], "size": [30, 40]})
    _, target = folder.read()[0]
    assert target["iscrowd"].tolist() == [False, True]
    dropped = folder.read(keep_crowd=False)
    assert dropped[0][1]["boxes"].tolist() == [[5, 6, 15, 18]]
    assert dropped.report.clean
    detected = [{"boxes": target["boxes"].flip(0), "labels": torch.ones(2).long(), "scores": torch.tensor([0.9, 0.5])}]
    for style in ("voc", "coco"):
        assert evaluate(detected, [target], style).map == pytest.approx(1)


def test_given_names_set_the_order_and_drop_the_rest(folder):
    dataset = folder.box(category_id=17).box(category_id=90).read(class_names=["cat", "car"])
    assert dataset.class_names == ("__background__", "cat", "car")
    assert dataset[0][1]["labels"].tolist() == [2, 1]
    assert dataset.report.skipped_boxes == {"class 'apple' is not asked for": 1}


def test_two_categories_of_one_name_are_one_class(folder):
    folder.content["categories"] = [*CATEGORIES, {"id": 100, "name": "car"}]
    dataset = folder.box(category_id=100).read()
    assert dataset.class_names == ("__background__", "car", "cat", "apple")
    assert dataset[0][1]["labels"].tolist() == [1, 1]


def test_a_missing_area_is_that_of_the_box(folder):
    assert folder.box(area=None).read()[0][1]["area"].tolist() == [60, 120]


def test_workers_read_the_same(folder):
    dataset = folder.image(8, "b.png").read()
    for index, (image, target) in enumerate(DataLoader(dataset, batch_size=None, num_workers=2)):
        assert torch.equal(image, dataset[index][0])
        assert torch.equal(target["boxes"], dataset[index][1]["boxes"])


# --- boxes that are wrong ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bbox": [5, 5, 0, 10]}, "no area"),
        ({"bbox": [5, 5, 10, -3]}, "corners in the wrong order"),
        ({"bbox": [50, 5, 10, 10]}, "outside the picture"),
        ({"bbox": [5, 5, float("nan"), 10]}, "a coordinate is no finite number"),
        ({"bbox": [5, 5, float("inf"), 10]}, "a coordinate is no finite number"),
        ({"bbox": [5, 5, 10**400, 10]}, "its bbox is no list of four numbers"),
        ({"bbox": [5, 5, 10]}, "its bbox is no list of four numbers"),
        ({"bbox": [5, 5, "wide", 10]}, "its bbox is no list of four numbers"),
        ({"bbox": "5 5 10 10"}, "its bbox is no list of four numbers"),
        ({"bbox": None}, "its bbox is no list of four numbers"),
        ({"category_id": 4}, "class None is not asked for"),
        ({"category_id": [3]}, "class None is not asked for"),
        ({"image_id": 99}, "it belongs to no image of the file"),
        ({"image_id": None}, "it belongs to no image of the file"),
        ({"image_id": [7]}, "it belongs to no image of the file"),
    ],
)
def test_boxes_that_are_none_are_counted_and_left_out(folder, changes, reason):
    dataset = folder.box(**changes).read()
    assert dataset[0][1]["boxes"].tolist() == [[5, 6, 15, 18]]
    assert dataset.report.skipped_boxes == {reason: 1}


def test_an_annotation_that_is_no_object_is_counted(folder):
    folder.content["annotations"] += [None, 3, []]
    assert folder.read().report.skipped_boxes == {"it belongs to no image of the file": 3}


def test_a_box_past_the_border_is_cut_and_counted(folder):
    dataset = folder.box(bbox=[-5, 20, 100, 100]).read()
    assert dataset[0][1]["boxes"][1].tolist() == [0, 20, 40, 30]
    assert dataset.report.adjusted == {"box cut at the picture's border": 1}


# --- files that are wrong ---------------------------------------------------------------------------------------------


def left_out(folder):
    dataset = folder.read()
    assert len(dataset) == 1, "the good picture stays"
    assert len(dataset[0][1]["boxes"]) == 1
    ((reason, count),) = dataset.report.skipped_images.items()
    assert count == 1
    return reason


def test_a_missing_picture(folder):
    assert left_out(folder.image(8, "gone.png", picture=False).box(image_id=8)) == "no picture of that name"


@pytest.mark.parametrize(
    "name", ["../secret.png", "/etc/passwd", "a/../../secret.png", "..\\secret.png", "", "a\0.png"]
)
def test_a_file_name_that_leads_out_of_the_folder(folder, name):
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder.root / "secret.png")
    assert left_out(folder.image(8, name, picture=False)) == "the file name leads out of the folder"


def test_a_zero_byte_picture(folder):
    folder.image(8, "zero.png")
    (folder.root / "train" / "zero.png").write_bytes(b"")
    assert left_out(folder) == "the picture cannot be read"


def test_a_folder_in_place_of_a_picture(folder):
    (folder.root / "train" / "album").mkdir()
    assert left_out(folder.image(8, "album", picture=False)) == "the picture cannot be read"


@pytest.mark.parametrize("entry", [{"id": 8}, {"file_name": "good.png"}, {"id": [8], "file_name": "good.png"}, None, 8])
def test_an_entry_without_id_or_name(folder, entry):
    folder.content["images"].append(entry)
    assert left_out(folder) == "the entry lacks an id or a file_name"


def test_two_pictures_of_one_id(folder):
    assert left_out(folder.image(7, "again.png")) == "an earlier picture has the same id"


def test_a_truncated_jpeg_raises_when_asked_for_or_is_left_out_when_all_are_decoded(folder):
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    folder.image(8, "cut.jpg", picture=Image.fromarray(noise))
    path = folder.root / "train" / "cut.jpg"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match=r"cut\.jpg is damaged"):
        folder.read()[1]
    assert folder.read(decode_all=True).report.skipped_images == {"the picture cannot be read": 1}


def test_exif_boxes_lie_on_stored_pixels_unless_the_file_speaks_of_the_turned_picture(folder):
    exif = Image.Exif()
    exif[0x0112] = 8
    folder.image(8, "stored.png", exif=exif).image(9, "upright.png", size=(HEIGHT, WIDTH), exif=exif)
    dataset = folder.read()
    assert [tuple(dataset[index][0].shape[1:]) for index in (1, 2)] == [(30, 40), (40, 30)]
    assert dataset.report.adjusted.total() == 2


@pytest.mark.parametrize("name", ["mit Leerzeichen.png", "Übersicht.png", "细胞.png", "below/one/more.png"])
def test_unicode_blanks_and_folders_in_names(folder, name):
    dataset = folder.image(8, name).read()
    assert len(dataset) == 2
    assert dataset.report.clean


def test_an_umlaut_spelt_in_two_characters_is_found(folder):
    folder.image(8, unicodedata.normalize("NFD", "Zählung.png"))
    folder.content["images"][-1]["file_name"] = unicodedata.normalize("NFC", "Zählung.png")
    assert len(folder.read()) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no sound JSON"),
        ('{"images": [', "no sound JSON"),
        ("[" * 200_000, "no sound JSON"),
        ("[]", "no list of images, annotations, categories"),
        ('{"images": [], "annotations": {}, "categories": []}', "no list of annotations"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', "a category needs"),
        ('{"images": [], "annotations": [], "categories": [7]}', "a category needs"),
        ('{"images": [], "annotations": [], "categories": []}', "class_names"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}', "nothing is left"),
    ],
)
def test_json_that_is_none_of_coco(folder, text, words):
    path = folder.write()
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        Coco(folder.root / "train", path)


def test_json_in_another_encoding_is_an_error_and_a_byte_order_mark_is_none(folder):
    path = folder.write()
    text = path.read_text()
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert len(Coco(folder.root / "train", path)) == 1
    path.write_bytes(text.replace("car", "café").encode("latin-1"))
    with pytest.raises(ValueError, match="no sound JSON"):
        Coco(folder.root / "train", path)


def test_what_is_not_there_is_named(folder, tmp_path):
    path = folder.write()
    with pytest.raises(FileNotFoundError, match="no folder"):
        Coco(tmp_path / "nowhere", path)
    with pytest.raises(FileNotFoundError, match="no annotation file"):
        Coco(tmp_path / "train", tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("json_file", "images"),
    [
        ("annotations/instances_val2017.json", "val2017"),
        ("annotations/instances_val.json", "images/val"),
        ("val/_annotations.coco.json", "val"),
        ("val.json", "images"),
        ("val.json", "."),
    ],
)
def test_files_are_found_where_coco_and_the_tools_put_them(tmp_path, json_file, images):
    for part in (json_file, f"{images}/a.png"):
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(tmp_path / images / "a.png")
    (tmp_path / json_file).write_text(
        '{"images": [{"id": 1, "file_name": "a.png"}], "annotations": [], "categories": [{"id": 1, "name": "a"}]}'
    )
    files = find_coco(tmp_path, "val")
    assert files.annotations == tmp_path / json_file
    assert len(Coco(files.images, files.annotations)) == 1
    assert len(open_folder(tmp_path, "val")) == 1


def test_a_folder_of_neither_layout_says_what_was_looked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"VOC's layout.*instances_train\.json"):
        open_folder(tmp_path)


def test_the_report_is_printed_once(folder, capsys):
    folder.box(bbox=[5, 5, 0, 0])
    Coco(folder.root / "train", folder.write())
    assert capsys.readouterr().out.count("1 x no area (first: good.png, annotation 2)") == 1
