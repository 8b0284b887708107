"""COCO annotations: sound files give what pycocotools reads, and whatever is wrong is counted or named."""

import contextlib
import io
import json
import re
import unicodedata

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from frcnn_edu.datasets.folder import open_folder, read_folder
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
        self.write()
        return read_folder(self.root, **options)


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
    assert target["iscrowd"].tolist() == target["difficult"].tolist() == [False, False, False]
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


def test_crowds_are_dropped_for_training_and_no_detection_is_blamed_for_one(folder):
    folder.box(bbox=[20, 10, 15, 15], iscrowd=1, segmentation={"counts": [0, 10], "size": [30, 40]})
    _, target = folder.read()[0]
    assert target["iscrowd"].tolist() == [False, True]
    dropped = folder.read(for_training=True)
    assert dropped[0][1]["boxes"].tolist() == [[5, 6, 15, 18]]
    assert (dropped.summary().boxes, dropped.summary().crowd) == (1, 1)
    assert dropped.report.clean
    detected = [{"boxes": target["boxes"].flip(0), "labels": torch.ones(2).long(), "scores": torch.tensor([0.9, 0.5])}]
    for style in ("voc", "coco"):
        assert evaluate(detected, [target], style).map == pytest.approx(1)


def test_given_names_set_the_order_and_drop_the_rest(folder):
    dataset = folder.box(category_id=17).box(category_id=90).read(class_names=["cat", "car"])
    assert dataset.class_names == ("__background__", "cat", "car")
    assert dataset[0][1]["labels"].tolist() == [2, 1]
    assert dataset.report.skipped_boxes == {"class 'apple' is not among the given classes": 1}


def test_two_categories_of_one_name_are_one_class(folder):
    folder.content["categories"] = [*CATEGORIES, {"id": 100, "name": "car"}]
    dataset = folder.box(category_id=100).read()
    assert dataset.class_names == ("__background__", "car", "cat", "apple")
    assert dataset[0][1]["labels"].tolist() == [1, 1]


@pytest.mark.parametrize("area", [None, [120], "", "large", -5, 0, float("nan"), {}, True])
def test_an_area_that_is_none_is_that_of_the_box(folder, area):
    folder.box()
    folder.content["annotations"][1]["area"] = area
    dataset = folder.read()
    assert dataset[0][1]["area"].tolist() == [60, 120]
    assert dataset.report.clean


def test_an_annotation_without_an_area_has_that_of_its_box(folder):
    assert folder.box(area=None).read()[0][1]["area"].tolist() == [60, 120]


@pytest.mark.parametrize("key", ["iscrowd", "ignore"])
@pytest.mark.parametrize(
    ("value", "crowd"),
    [
        *((value, False) for value in (0, 0.0, "0", "0.0", "false", False, "no", None, "")),
        *((value, True) for value in (1, 1.0, "1", "1.0", "true", True, "yes")),
    ],
)
def test_flags_are_read_by_meaning(folder, key, value, crowd):
    folder.content["annotations"][0] |= {key: value}
    dataset = folder.read()
    assert dataset[0][1]["iscrowd"].tolist() == [crowd]
    assert dataset.summary().crowd == crowd
    assert dataset.report.clean


@pytest.mark.parametrize("value", [2, -1, "maybe", [1], {"crowd": 1}])
def test_a_flag_that_is_neither_yes_nor_no_is_named(folder, value):
    folder.content["annotations"][0]["iscrowd"] = value
    (warning,) = folder.read(for_training=True).summary().warnings
    assert warning == f"1 x iscrowd is {value!r}: taken as no (first: good.png, annotation 1)"


ID_SPELLINGS = [
    (7, 7.0),
    (7, "7"),
    ("7", 7),
    (7.0, "7.0"),
    ("img_1", "img_1"),
    ("007", "007"),
    (2**60 + 1, str(2**60 + 1)),
]


@pytest.mark.parametrize(("image", "of_annotation"), ID_SPELLINGS)
def test_ids_agree_whatever_their_type(folder, image, of_annotation):
    folder.content["images"][0]["id"] = image
    folder.content["annotations"][0]["image_id"] = of_annotation
    assert folder.read().summary().boxes == 1


@pytest.mark.parametrize(("category", "of_annotation"), ID_SPELLINGS)
def test_category_ids_agree_whatever_their_type(folder, category, of_annotation):
    folder.content["categories"] = [{"id": category, "name": "car"}, {"id": 1, "name": "cat"}]
    folder.content["annotations"][0]["category_id"] = of_annotation
    assert folder.read().summary().classes["car"] == 1


@pytest.mark.parametrize("other", ["007", "good.png", 7.5, True, 70])
def test_ids_that_differ_are_named(folder, other):
    folder.content["annotations"][0]["image_id"] = other
    dataset = folder.read()
    assert dataset.summary().boxes == 0
    (warning,) = dataset.summary().warnings
    assert warning.startswith("1 box left out: it belongs to no image of the file (first: annotations/instances_train")
    assert warning.endswith(f"image_id {other!r})")


def test_a_number_may_be_a_class_name_and_text_a_coordinate(folder):
    folder.content["categories"] = [{"id": 3, "name": 12}]
    folder.content["annotations"][0]["bbox"] = ["5", "6.0", "10", " 12 "]
    dataset = folder.read()
    assert dataset.class_names == ("__background__", "12")
    assert dataset[0][1]["boxes"].tolist() == [[5, 6, 15, 18]]


@pytest.mark.parametrize("bbox", [None, [], "missing"])
def test_without_a_bbox_the_polygons_of_the_segmentation_give_it(folder, bbox):
    annotation = folder.content["annotations"][0]
    annotation |= {"bbox": bbox, "segmentation": [[5, 6, 15, 6, 15, 10], [9, 6, 12, 18, 9, 18]]}
    if bbox == "missing":
        del annotation["bbox"]
    dataset = folder.read()
    assert dataset[0][1]["boxes"].tolist() == [[5, 6, 15, 18]]
    assert dataset.report.adjusted == {"the box was made from the segmentation": 1}


@pytest.mark.parametrize("segmentation", [None, [], [[1, 2]], [["a"] * 6], {"counts": [], "size": [1, 2]}, [[]], "x"])
def test_without_a_bbox_or_polygons_there_is_no_box(folder, segmentation):
    folder.box(bbox=None, segmentation=segmentation)
    assert folder.read().report.skipped_boxes == {"its bbox is not a list of four numbers": 1}


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
        ({"bbox": [900.0, 5, 1e-5, 10]}, "no area"),
        ({"bbox": [5, 5, 10, -3]}, "its corners are in the wrong order"),
        ({"bbox": [50, 5, 10, 10]}, "it lies outside the image"),
        ({"bbox": [5, 5, float("nan"), 10]}, "its bbox is not a list of four numbers"),
        ({"bbox": [5, 5, float("inf"), 10]}, "its bbox is not a list of four numbers"),
        ({"bbox": [5, 5, 10**400, 10]}, "its bbox is not a list of four numbers"),
        ({"bbox": [1e308, 5, 1e308, 10]}, "a coordinate is not a finite number"),
        ({"bbox": [5, 5, 10]}, "its bbox is not a list of four numbers"),
        ({"bbox": [5, 5, "wide", 10]}, "its bbox is not a list of four numbers"),
        ({"bbox": [5, 5, True, 10]}, "its bbox is not a list of four numbers"),
        ({"bbox": "5 5 10 10"}, "its bbox is not a list of four numbers"),
        ({"bbox": {"x": 5, "y": 5, "width": 9, "height": 9}}, "its bbox is not a list of four numbers"),
        ({"bbox": None}, "its bbox is not a list of four numbers"),
        ({"category_id": 4}, "its category_id 4 is not among the categories"),
        ({"category_id": [3]}, "its category_id [3] is not among the categories"),
        ({"category_id": None}, "its category_id None is not among the categories"),
        ({"image_id": 99}, "it belongs to no image of the file"),
        ({"image_id": None}, "it belongs to no image of the file"),
        ({"image_id": [7]}, "it belongs to no image of the file"),
    ],
)
def test_unusable_boxes_are_counted_and_left_out(folder, changes, reason):
    dataset = folder.box(**changes).read()
    assert dataset[0][1]["boxes"].tolist() == [[5, 6, 15, 18]]
    assert dataset.report.skipped_boxes == {reason: 1}


def test_an_annotation_that_is_no_object_is_counted(folder):
    folder.content["annotations"] += [None, 3, []]
    assert folder.read().report.skipped_boxes == {"it belongs to no image of the file": 3}


def test_a_box_past_the_border_is_cut_and_counted(folder):
    dataset = folder.box(bbox=[-5, 20, 100, 100]).read()
    assert dataset[0][1]["boxes"][1].tolist() == [0, 20, 40, 30]
    assert dataset.report.adjusted == {"the box was cut at the border of the image": 1}


# --- files that are wrong ---------------------------------------------------------------------------------------------


def left_out(folder):
    dataset = folder.read()
    assert len(dataset) == 1, "the good picture stays"
    assert len(dataset[0][1]["boxes"]) == 1
    ((reason, count),) = dataset.report.skipped_images.items()
    assert count == 1
    return reason


def test_a_missing_picture(folder):
    assert left_out(folder.image(8, "gone.png", picture=False).box(image_id=8)) == "no image of that name"


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/../../secret.png", "..\\secret.png"])
def test_a_file_name_never_leads_out_of_the_folder(folder, name):
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder.root.parent / "secret.png")
    assert left_out(folder.image(8, name, picture=False)) == "no image of that name"


def test_a_zero_byte_picture(folder):
    folder.image(8, "zero.png")
    (folder.root / "train" / "zero.png").write_bytes(b"")
    assert left_out(folder) == "the image cannot be read"


def test_a_folder_in_place_of_a_picture(folder):
    (folder.root / "train" / "album.png").mkdir()
    assert left_out(folder.image(8, "album.png", picture=False)) == "no image of that name"


NAMELESS = [
    *({"id": 8, "file_name": name} for name in ("", "a\0.png", "..", None, 3)),
    *({"id": value, "file_name": "other.png"} for value in ([8], None, 8.5)),
]


@pytest.mark.parametrize("entry", [*NAMELESS, {"id": 8}, {"file_name": "other.png"}, None, 8])
def test_an_entry_without_id_or_name(folder, entry):
    folder.content["images"].append(entry)
    assert left_out(folder) == "the entry has no id or no file_name"


def test_two_pictures_of_one_id(folder):
    assert left_out(folder.image(7, "again.png")) == "an earlier image has the same id"


def test_a_truncated_jpeg_is_left_out_before_anything_is_loaded(folder):
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    folder.image(8, "cut.jpg", picture=Image.fromarray(noise))
    path = folder.root / "train" / "cut.jpg"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert left_out(folder) == "the image cannot be read"


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


# --- which image a file name means ------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["images/a.png", "a.png", "train/a.png", "images/sub/a.png"])
@pytest.mark.parametrize(
    "name",
    ["a.png", "images/a.png", "images\\a.png", "C:\\data\\images\\a.png", "/data/upload/1/a.png", "../train/a.png",
     "./a.png", "/data/local-files/?d=images/a.png", "file:///home/me/a.png", "images%2Fa.png"],
)  # fmt: skip
def test_an_image_is_found_by_the_last_parts_of_its_path(folder, place, name):
    (folder.root / place).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder.root / place)
    dataset = folder.image(8, name, picture=False).read()
    assert dataset.path(1) == folder.root / place
    assert dataset.report.clean


def test_of_images_of_one_name_the_one_that_agrees_with_more_of_the_path_is_taken(folder):
    for day in ("day1", "day2"):
        folder.image(day, f"images/{day}/a.png").box(image_id=day)
    dataset = folder.read()
    assert [dataset.path(index).parent.name for index in (1, 2)] == ["day1", "day2"]


def test_an_image_is_not_given_to_the_name_of_another_that_is_missing(folder):
    folder.image("day1", "day1/a.png", picture=False).image("day2", "day2/a.png")
    assert left_out_names(folder.read()) == [("day1/a.png", "no image of that name")]


def test_two_paths_that_lead_to_one_image_alike_are_named(folder):
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder.root / "train" / "a.png")
    folder.image("day1", "day1/a.png", picture=False).image("day2", "day2/a.png", picture=False)
    reason = "several paths lead to train/a.png"
    assert left_out_names(folder.read()) == [("day1/a.png", reason), ("day2/a.png", reason)]


def left_out_names(dataset):
    return [(skipped.file, skipped.why) for skipped in dataset.summary().skipped]


def test_the_images_of_the_split_are_preferred(tmp_path):
    folder = Folder(tmp_path)
    (tmp_path / "val").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "val" / "good.png")
    assert folder.read().path(0) == tmp_path / "train" / "good.png"


def test_a_file_name_in_another_case_is_read_and_named(folder):
    folder.image(8, "IMG_1.png")
    folder.content["images"][-1]["file_name"] = "img_1.PNG"
    dataset = folder.read()
    assert dataset.path(1).name == "IMG_1.png"
    (warning,) = dataset.summary().warnings
    assert warning == "1 x the file's name differs in upper and lower case (first: img_1.PNG, image IMG_1.png)"


def test_an_image_that_is_listed_twice_is_read_once(folder):
    folder.content["images"].append({"id": 8, "file_name": "good.png"})
    assert left_out_names(folder.read()) == [("good.png", "it is listed twice")]


# --- files that are not COCO's ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"images": [', "not valid JSON, perhaps cut off"),
        ('{"images": ' + "[" * 200_000, "not valid JSON"),
        ('{"images": [], "annotations": [], "categories": [' + "9" * 5000 + "]}", "not valid JSON"),
        ('["images"]', "no list of images, annotations, categories"),
        ('{"images": [], "annotations": {}, "categories": []}', "no list of annotations"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', "a category needs"),
        ('{"images": [], "annotations": [], "categories": [7]}', "a category needs"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": ""}]}', "a category needs"),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}, {"id": "1", "name": "b"}]}',
            "share the id 1",
        ),
        ('{"images": [], "annotations": [], "categories": []}', "has no categories"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}', "no images to learn from"),
    ],
)
def test_json_that_is_none_of_coco(folder, text, words):
    path = folder.write()
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"^[^\n]*{re.escape(words)}[^\n]*$"):
        open_folder(folder.root)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_json_may_be_in_any_unicode_encoding(folder, encoding):
    path = folder.write()
    path.write_bytes(path.read_text().replace("car", "café").encode(encoding))
    assert open_folder(folder.root).class_names[1] == "café"


def test_json_in_another_encoding_is_an_error_that_says_what_to_do(folder):
    path = folder.write()
    path.write_bytes(path.read_text().replace("car", "café").encode("latin-1"))
    with pytest.raises(ValueError, match=r"instances_train\.json is not UTF-8 text \(byte \d+\); save it as UTF-8"):
        open_folder(folder.root)


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
    assert open_folder(tmp_path, "val").path(0) == tmp_path / images / "a.png"
    assert open_folder(tmp_path / json_file, "val").path(0) == tmp_path / images / "a.png"
    with pytest.raises(ValueError, match=r"no split 'test'; it has val: add --split val"):
        open_folder(tmp_path, "test")


def test_of_cocos_own_files_those_with_instances_are_read(folder):
    folder.write()
    for other in ("captions", "person_keypoints", "stuff"):
        (folder.root / "annotations" / f"{other}_train.json").write_text('{"images": [], "annotations": []}')
    assert len(open_folder(folder.root)) == 1


def test_two_files_for_one_split_are_named_and_one_of_them_can_be_chosen(folder):
    path = folder.write()
    (folder.root / "train.json").write_text(path.read_text())
    with pytest.raises(
        ValueError, match=r"several files hold the split 'train'; .* as --data: .*_train.json, .*/train"
    ):
        open_folder(folder.root)
    assert len(open_folder(path)) == 1
