"""Splits: what --split chooses, what it draws, and what is said where it cannot."""

import pytest
from data_folders import LAYOUTS, cvat_coco, label_studio, labelimg, roboflow_coco, roboflow_voc, voc

from frcnn_edu.datasets.annotations import AnnotatedImage
from frcnn_edu.datasets.folder import open_folder, read_folder
from frcnn_edu.datasets.splits import choose_split, draw

WITHOUT_SPLITS = [layout for layout, (_, _, splits) in LAYOUTS.items() if not splits]


def names(dataset):
    return [dataset.path(index).name for index in range(len(dataset))]


@pytest.mark.parametrize("layout", WITHOUT_SPLITS)
def test_two_shares_are_the_same_every_time_and_share_no_image(tmp_path, layout):
    LAYOUTS[layout][0](tmp_path, 10)
    train, val = (names(read_folder(tmp_path, split)) for split in ("train:0.8", "val:0.2"))
    assert (len(train), len(val)) == (8, 2)
    assert set(train) | set(val) == set(names(read_folder(tmp_path, "all")))
    assert train == names(read_folder(tmp_path, "train:0.8"))
    assert val == names(read_folder(tmp_path, "test:0.2"))


def test_a_draw_says_so_and_names_the_rest(tmp_path, capsys):
    labelimg(tmp_path, 4)
    open_folder(tmp_path, "train:0.75")
    assert capsys.readouterr().out.splitlines() == [
        "3 images, 6 boxes to learn from, 2 classes; set aside: 0 difficult, 0 crowd, 0 without area; 0 files skipped",
        "0.75 of the images drawn by seed 0; the split val:0.25 has the others",
    ]


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 1 / 3, 0.7, 0.9])
@pytest.mark.parametrize("count", [2, 3, 7, 100, 999])
def test_shares_that_add_up_to_one_cover_all_images_once(count, share):
    images = [AnnotatedImage(f"image {number}.jpg") for number in range(count)]
    choices = [choose_split(f"{name}:{part}", (), "here") for name, part in (("train", share), ("val", 1 - share))]
    drawn = [draw(images, choice) for choice in choices if 0.5 < choice.share * count < count - 0.5]
    names = [image.name for part in drawn for image in part]
    assert sorted(names) == sorted(image.name for image in images) or len(drawn) < 2
    assert len(set(names)) == len(names)


def test_a_draw_depends_on_the_names_and_neither_on_their_order_nor_on_the_folder():
    images = [AnnotatedImage(f"{number}.jpg") for number in range(50)]
    choice = choose_split("train:0.5", (), "here")
    chosen = {image.name for image in draw(images, choice)}
    assert {image.name for image in draw(images[::-1], choice)} == chosen
    assert chosen != {f"{number}.jpg" for number in range(25)}, "mixed"


def test_an_image_more_hardly_changes_the_draw():
    images = [AnnotatedImage(f"{number}.jpg") for number in range(51)]
    choice = choose_split("train:0.8", (), "here")
    before, after = ({image.name for image in draw(some, choice)} for some in (images[:50], images))
    assert len(before - after) <= 1


@pytest.mark.parametrize(
    "split", ["train:0", "train:1", "train:80", "train:x", "train:", ":0.5", "train:-0.5", "a:nan"]
)
def test_a_share_that_is_none_is_refused(tmp_path, split):
    labelimg(tmp_path)
    with pytest.raises(ValueError, match=r"a share is a name and a number between 0 and 1, such as train:0\.8"):
        read_folder(tmp_path, split)


def test_a_share_of_less_than_one_image_is_refused(tmp_path):
    labelimg(tmp_path, 1)
    assert len(read_folder(tmp_path, "train:0.8")) == 1
    with pytest.raises(ValueError, match=r"0\.2 of 1 images? is none; --split all"):
        read_folder(tmp_path, "val:0.2")


def test_a_folder_with_splits_of_its_own_is_not_divided_again(tmp_path):
    roboflow_voc(tmp_path)
    with pytest.raises(
        ValueError, match=r"has splits of its own, so none is drawn; add --split with one of train, valid, test"
    ):
        read_folder(tmp_path, "train:0.8")


def test_the_only_split_of_a_folder_can_be_divided(tmp_path):
    LAYOUTS["CVAT VOC"][0](tmp_path, 10)
    assert len(read_folder(tmp_path, "train:0.7")) == 7


@pytest.mark.parametrize("wanted", ["val", "valid", "validation", "dev"])
def test_words_for_the_same_split_are_understood(tmp_path, wanted):
    roboflow_coco(tmp_path)
    assert names(read_folder(tmp_path, wanted)) == names(read_folder(tmp_path, "valid"))


@pytest.mark.parametrize(
    ("wanted", "there", "chosen"),
    [
        ("train", ("train", "trainval"), "train"),
        ("train", ("cells_train", "cells_val"), "cells_train"),
        ("val", ("val", "valid"), "val"),
        ("trainval", ("train", "trainval"), "trainval"),
        ("all", ("train", "all"), "all"),
        ("day1", ("day1", "day2"), "day1"),
        ("all", ("train", "val"), None),
        ("train", (), None),
        ("train", ("default",), "default"),
    ],
)
def test_what_is_chosen(wanted, there, chosen):
    assert choose_split(wanted, there, "here").name == chosen


@pytest.mark.parametrize(
    ("wanted", "there", "words"),
    [
        ("train", ("val", "test"), "it has val, test: add --split"),
        ("train", ("trainval", "test"), "add --split trainval"),
        ("train", ("day1", "day2"), "it has day1, day2: add --split day1"),
        ("test", ("train", "valid"), "it has train, valid: add --split valid"),
        ("test", ("train",), "train with --split train:0.8 and evaluate with --split test:0.2"),
        (
            "test",
            (),
            "has no splits, so no 'test': --split all takes all images; to keep images for measuring, train with",
        ),
        ("tests", ("train", "test"), "it has train, test: add --split train"),
        ("x", tuple(f"c{number}" for number in range(30)), "c14, c15 and 22 more"),
    ],
)
def test_a_split_that_is_not_there_is_answered_with_those_that_are_and_with_an_option(wanted, there, words):
    with pytest.raises(ValueError, match="--split") as caught:
        choose_split(wanted, there, "here")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [labelimg, label_studio, cvat_coco])
def test_training_takes_all_of_a_folder_without_splits_and_says_so_measuring_does_not(tmp_path, make, capsys):
    make(tmp_path, 3)
    assert len(open_folder(tmp_path, "train")) == 3
    assert "has no splits, so all images are used" in capsys.readouterr().out
    with pytest.raises(ValueError, match="has no splits"):
        open_folder(tmp_path, "test")


def test_lists_beside_the_folders_are_splits(tmp_path):
    labelimg(tmp_path, 4)
    (tmp_path / "train.txt").write_text("photo 0\nphoto 2.jpg\n")
    (tmp_path / "test.txt").write_text("photo 1\n")
    (tmp_path / "val_notes.txt").write_text("nothing of that kind\n")
    assert names(read_folder(tmp_path)) == ["photo 0.jpg", "photo 2.jpg"]
    assert names(read_folder(tmp_path, "test")) == ["photo 1.jpg"]


def test_vocs_lists_win_over_folders(tmp_path):
    voc(tmp_path, 3)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("000001\n")
    assert names(read_folder(tmp_path)) == ["000001.jpg"]


def test_a_file_that_is_named_is_read_whole_whatever_the_split_and_that_is_said(tmp_path, capsys):
    roboflow_coco(tmp_path)
    path = tmp_path / "valid" / "_annotations.coco.json"
    assert names(open_folder(path, "test")) == names(read_folder(tmp_path, "valid"))
    assert f"all of {path} is used, whatever --split test says" in capsys.readouterr().out
    open_folder(path, "valid")
    assert "whatever" not in capsys.readouterr().out


def test_a_file_in_a_folder_for_annotations_is_about_the_images_of_the_folder_above(tmp_path):
    cvat_coco(tmp_path, 3)
    assert len(read_folder(tmp_path / "annotations" / "instances_default.json")) == 3
    with pytest.raises(ValueError, match="has no splits"):
        read_folder(tmp_path / "annotations" / "instances_default.json", "test")
