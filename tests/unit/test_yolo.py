"""YOLO annotations: boxes in fractions become pixels, and whatever is wrong is counted or named."""

import pytest
from data_folders import (
    BOXES,
    CLASSES,
    LAYOUTS,
    draw_image,
    labelimg_yolo,
    roboflow_yolo,
    ultralytics,
    write,
    yolo_text,
)

from frcnn_edu.datasets.folder import open_folder, read_folder

NAMES = "names: [bar, disc]\n"


@pytest.fixture
def folder(tmp_path):
    """Two images, a and b, with their labels in the layout of Label Studio."""
    for name in ("a", "b"):
        draw_image(tmp_path / "images" / f"{name}.jpg")
        write(tmp_path / "labels" / f"{name}.txt", yolo_text())
    write(tmp_path / "classes.txt", "bar\ndisc\n")
    return tmp_path


def boxes_of(folder, text):
    """What becomes of the lines of a label file: the data set, and the boxes of image b."""
    write(folder / "labels" / "b.txt", text)
    dataset = read_folder(folder)
    return dataset, dataset[1][1]["boxes"].tolist()


def test_numbers_are_fractions_of_the_image(folder):
    _, boxes = boxes_of(folder, "1 0.5 0.5 0.25 0.5\n")
    assert boxes == [[36, 18, 60, 54]]


def test_a_polygon_gives_the_box_around_it(folder):
    dataset, boxes = boxes_of(folder, "0 0.25 0.25 0.5 0.25 0.5 0.75 0.375 0.5\n")
    assert boxes == [[24, 18, 48, 54]]
    assert dataset.report.clean


@pytest.mark.parametrize("keypoints", ["0.5 0.5 2 0.6 0.6 1", "0.5 0.5 2"])
def test_keypoints_behind_a_box_are_left_out_where_the_yaml_file_speaks_of_them(folder, keypoints):
    (folder / "classes.txt").unlink()
    write(folder / "data.yaml", NAMES + "kpt_shape: [1, 3]\n")
    _, boxes = boxes_of(folder, f"1 0.5 0.5 0.25 0.5 {keypoints}\n")
    assert boxes == [[36, 18, 60, 54]]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("bar 0.5 0.5 0.1 0.1", "a line holds something else than a class number and numbers"),
        ("0.5 0.5 0.5 0.1 0.1", "a line holds something else than a class number and numbers"),
        ("0 0.5 0,5 0.1 0.1", "a line holds something else than a class number and numbers"),
        ("0 nan 0.5 0.1 0.1", "a line holds something else than a class number and numbers"),
        ("2 0.5 0.5 0.1 0.1", "class number 2 has no name"),
        ("-1 0.5 0.5 0.1 0.1", "class number -1 has no name"),
        ("0 0.5 0.5 0.1", "a line has 4 numbers instead of 5"),
        ("0 0.5 0.5 0.1 0.1 0.9", "a line has 6 numbers instead of 5"),
        ("0", "a line has 1 number instead of 5"),
        ("0 0.5 0.5 0 0.1", "no area"),
        ("0 0.5 0.5 -0.1 0.1", "its corners are in the wrong order"),
        ("0 2.5 0.5 0.1 0.1", "it lies outside the image"),
    ],
)
def test_a_line_that_is_wrong_is_counted_and_named(folder, line, reason):
    dataset, boxes = boxes_of(folder, f"0 0.5 0.5 0.25 0.5\n\n{line}\n")
    assert boxes == [[36, 18, 60, 54]]
    assert dataset.report.skipped_boxes == {reason: 1}
    assert dataset.report.first[reason] == "labels/b.txt, line 3"


@pytest.mark.parametrize("text", ["1.0 0.5 0.5 0.25 0.5", "1\t0.5  0.5 0.25 0.5  ", "\ufeff1 0.5 0.5 0.25 0.5\r\n"])
def test_spellings_of_a_line(folder, text):
    _, boxes = boxes_of(folder, text)
    assert boxes == [[36, 18, 60, 54]]


def test_an_empty_text_file_is_an_image_without_objects_and_so_is_a_missing_one_which_is_counted(folder):
    dataset, boxes = boxes_of(folder, "")
    assert boxes == []
    assert dataset.report.clean
    (folder / "labels" / "b.txt").unlink()
    dataset = read_folder(folder)
    assert dataset[1][1]["boxes"].shape == (0, 4)
    assert dataset.report.adjusted == {"no text file: taken as an image without objects": 1}


def test_labels_without_an_image_and_images_of_one_name_are_named(folder):
    write(folder / "labels" / "c.txt", yolo_text())
    draw_image(folder / "images" / "a.png")
    skipped = {(one.file, one.why) for one in read_folder(folder).summary().skipped}
    assert skipped == {
        ("labels/c.txt", "no image of that name"),
        ("images/a.png", "another image has the same text file"),
    }


def test_labels_that_are_not_text_are_named(folder):
    (folder / "labels" / "b.txt").write_bytes(b"0 0.5 0.5 0.1 0.1 \xff\xfe\n")
    (skipped,) = read_folder(folder).summary().skipped
    assert skipped.file == "images/b.jpg"
    assert "b.txt is not UTF-8 text" in skipped.why


def test_without_names_classes_are_called_by_their_numbers_which_is_said(folder):
    (folder / "classes.txt").unlink()
    write(folder / "labels" / "b.txt", "7 0.5 0.5 0.25 0.5\n")
    dataset = read_folder(folder)
    assert dataset.class_names[1:] == ("class 0", "class 1", "class 7")
    (warning,) = dataset.summary().warnings
    assert warning.startswith("the class names are missing (data.yaml or classes.txt)")


def test_class_names_are_the_same_in_every_split_and_in_the_order_of_their_numbers(tmp_path):
    roboflow_yolo(tmp_path)
    write(tmp_path / "data.yaml", "train: train/images\nval: valid/images\nnames: {1: disc, 0: zebra, 7: '8'}\n")
    assert read_folder(tmp_path, "val").class_names[1:] == ("zebra", "disc", "8")


def test_class_lists_that_differ_are_refused(tmp_path):
    for split, names in (("train", "bar\ndisc\n"), ("valid", "disc\nbar\n")):
        labelimg_yolo(tmp_path / split)
        write(tmp_path / split / "classes.txt", names)
    with pytest.raises(ValueError, match=r"class names in .*train/classes.txt and .*valid/classes.txt differ"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("names: [bar", "is not valid YAML"),
        ("train: images\n", "has no names"),
        ("- names\n", "has no names"),
        ("names: bar\n", "names must be a list"),
        ("names: []\n", "names must be a list"),
        ("names: [[a], [b]]\n", "names must be a list"),
        ("names: {a: b}\n", "names must be a list"),
        ("names: !!python/object/apply:os.system [exit]\n", "is not valid YAML"),
    ],
)
def test_a_data_yaml_that_is_unusable_is_named_in_a_line(folder, text, words):
    write(folder / "data.yaml", text)
    with pytest.raises(ValueError, match=rf"^[^\n]*data\.yaml[^\n]*{words}[^\n]*$"):
        read_folder(folder)


def test_a_yaml_bomb_is_refused(folder):
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{previous}'] * 9)}]\n"
        for previous, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    write(folder / "data.yaml", bomb + "names: *i\n")
    with pytest.raises(ValueError, match="names must be a list"):
        read_folder(folder)


@pytest.mark.parametrize(
    ("train", "found"),
    [
        ("train/images", 3),
        ("../train/images", 3),
        ("/content/datasets/cells/train/images", 3),
        ("C:\\data\\cells\\train\\images", 3),
        ("train", 3),
        ("[train/images, valid/images]", 6),
        ("train.txt", 2),
    ],
)
def test_a_split_is_found_wherever_it_lay_when_the_yaml_file_was_written(tmp_path, train, found):
    roboflow_yolo(tmp_path)
    write(tmp_path / "train.txt", "./train/images/train0_jpg.rf.0f0.jpg\n/data/train/images/train1_jpg.rf.0f1.jpg\n")
    write(tmp_path / "data.yaml", f"train: {train}\nval: ../valid/images\n{NAMES}")
    assert len(read_folder(tmp_path)) == found


def test_a_split_that_was_not_exported_is_not_there(tmp_path):
    roboflow_yolo(tmp_path)
    with pytest.raises(ValueError, match=r"no split 'test'; it has train, val: add --split val"):
        read_folder(tmp_path, "test")


def test_an_image_of_a_list_that_is_missing_is_counted(tmp_path):
    LAYOUTS["CVAT YOLO"][0](tmp_path, 2)
    with (tmp_path / "train.txt").open("a") as file:
        file.write("data/obj_train_data/gone.jpg\n")
    (skipped,) = read_folder(tmp_path).summary().skipped
    assert (skipped.file, skipped.why) == ("data/obj_train_data/gone.jpg", "no image of that name")


def test_the_yaml_file_may_be_named(tmp_path):
    ultralytics(tmp_path / "own")
    (tmp_path / "own" / "own.yaml").rename(tmp_path / "own.yaml")
    dataset = open_folder(tmp_path / "own.yaml", "val")
    assert dataset.class_names[1:] == CLASSES
    assert dataset[0][1]["boxes"].tolist() == [pytest.approx(list(box), abs=1e-3) for box in BOXES]
