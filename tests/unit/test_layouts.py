"""Layouts: whichever tool wrote a folder, the same images and boxes come out of it, or one line that helps."""

import os
import shutil

import pytest
from data_folders import (
    BOXES,
    CLASSES,
    LAYOUTS,
    coco_content,
    draw_image,
    label_studio,
    labelimg,
    voc,
    voc_xml,
    write,
    yolo_text,
)

from frcnn_edu.datasets.file_tree import FileTree
from frcnn_edu.datasets.folder import open_folder, read_folder
from frcnn_edu.datasets.formats import FORMATS, recognise

every_layout = pytest.mark.parametrize("layout", LAYOUTS)


@every_layout
def test_the_same_boxes_come_out_of_every_layout(tmp_path, layout):
    make, name, splits = LAYOUTS[layout]
    make(tmp_path, 3)
    form, annotations, others = recognise(FileTree(tmp_path))
    assert (form.name, sorted(annotations.splits), others) == (name, list(splits), [])
    dataset = open_folder(tmp_path, for_training=True)
    assert dataset.class_names == ("__background__", *CLASSES)
    assert dataset.summary().classes == {"bar": 3, "disc": 3}
    assert dataset.report.clean
    for _, target in dataset:
        assert target["boxes"].tolist() == [pytest.approx(list(box), abs=1e-3) for box in BOXES]
        assert target["labels"].tolist() == [1, 2]


@every_layout
def test_what_systems_leave_behind_does_not_matter(tmp_path, layout):
    LAYOUTS[layout][0](tmp_path / "set", 3)
    shutil.copytree(tmp_path / "set", tmp_path / "__MACOSX" / "set")
    shutil.copytree(tmp_path / "set", tmp_path / "set" / ".ipynb_checkpoints")
    for folder in [path for path in (tmp_path / "set").rglob("*") if path.is_dir()]:
        for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._photo 0.xml", "._photo 0.jpg"):
            (folder / name).write_bytes(b"\0\5\x16\7")
    dataset = read_folder(tmp_path, for_training=True)
    assert dataset.summary().classes == {"bar": 3, "disc": 3}
    assert dataset.report.clean


@every_layout
def test_all_images_can_be_asked_for_whatever_the_splits(tmp_path, layout):
    LAYOUTS[layout][0](tmp_path, 3)
    dataset = read_folder(tmp_path, "all")
    paths = {dataset.path(index) for index in range(len(dataset))}
    images = {path for suffix in ("*.jpg", "*.png") for path in tmp_path.rglob(suffix)}
    assert paths == images


def test_a_link_that_leads_back_is_followed_once(tmp_path):
    labelimg(tmp_path / "set")
    (tmp_path / "set" / "again").symlink_to(tmp_path / "set", target_is_directory=True)
    assert len(read_folder(tmp_path)) == 3


def test_linked_images_are_found(tmp_path):
    label_studio(tmp_path / "set")
    (tmp_path / "set" / "images").rename(tmp_path / "elsewhere")
    (tmp_path / "set" / "images").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert len(read_folder(tmp_path / "set")) == 3


def test_splits_may_show_only_in_the_folders_of_the_images(tmp_path):
    for split in ("train", "test"):
        draw_image(tmp_path / "images" / split / f"{split}_a.jpg")
        write(tmp_path / "annotations" / f"{split}_a.xml", voc_xml(f"{split}_a.jpg"))
    for split in ("train", "test"):
        dataset = read_folder(tmp_path, split)
        assert [dataset.path(index).name for index in range(len(dataset))] == [f"{split}_a.jpg"]


def test_of_two_formats_the_first_is_read_and_the_other_mentioned_and_readable(tmp_path):
    labelimg(tmp_path)
    write(tmp_path / "boxes.json", coco_content(["photo 0.jpg"], names=("rod", "ball")))
    dataset = read_folder(tmp_path)
    assert dataset.class_names[1:] == CLASSES
    (warning,) = dataset.summary().warnings
    assert warning.startswith("the VOC annotations are read; to read the COCO annotations")
    assert read_folder(tmp_path / "boxes.json").class_names[1:] == ("rod", "ball")


def nothing(tmp_path):
    pass


def only_images(tmp_path):
    draw_image(tmp_path / "a.jpg")
    draw_image(tmp_path / "b.jpg")


def with_file(name, text):
    def make(tmp_path):
        only_images(tmp_path)
        write(tmp_path / name, text)

    return make


@pytest.mark.parametrize(
    ("make", "there", "advice"),
    [
        (nothing, "no files", "python -m frcnn_edu download bccd"),
        (only_images, "2 images", "draw them with labelImg, CVAT or Label Studio"),
        (
            with_file("a.json", '{"version": "5.4", "shapes": []}'),
            "2 images, 1 .json file",
            "a.json looks like labelme",
        ),
        (with_file("via.json", '{"a.jpg": {"regions": []}}'), "1 .json file", "the VGG Image Annotator"),
        (with_file("c.json", '[{"image": "a.jpg", "coordinates": {}}]'), "1 .json file", "CreateML"),
        (with_file("annotations.xml", "<annotations><image/></annotations>"), "1 .xml file", "CVAT's own format"),
        (with_file("boxes.csv", "filename,xmin\n"), "1 .csv file", "a table of boxes"),
        (with_file("set.zip", "PK"), "1 .zip file", "Unpack set.zip first"),
        (with_file("README", "x"), "1 file", "draw them"),
    ],
)
def test_a_folder_without_annotations_is_answered_with_what_lies_there_what_is_expected_and_what_helps(
    tmp_path, make, there, advice
):
    make(tmp_path)
    with pytest.raises(ValueError, match="holds no annotations that can be read") as caught:
        read_folder(tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    assert there in message
    assert advice in message
    assert all(form.name in message for form in FORMATS)


@pytest.mark.parametrize("part", ["Annotations", "Annotations/a.xml", "labels", "data.yaml"])
def test_a_part_of_a_data_set_is_answered_with_what_is_missing(tmp_path, part):
    write(tmp_path / "Annotations" / "a.xml", voc_xml("a.jpg"))
    write(tmp_path / "data.yaml", "names: [bar, disc]\ntrain: images\n")
    write(tmp_path / "labels" / "a.txt", yolo_text())
    with pytest.raises(ValueError, match=r"no images: name the folder|holds no annotations that can be read"):
        read_folder(tmp_path / part)


def test_names_that_are_not_utf8_are_read_and_can_be_printed(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    draw_image(tmp_path / name)
    write(tmp_path / os.fsdecode(b"caf\xe9.xml"), voc_xml("b.jpg"))
    write(tmp_path / os.fsdecode(b"th\xe9.xml"), voc_xml("c.jpg"))
    dataset = read_folder(tmp_path)
    assert dataset[0][1]["boxes"].tolist() == [list(box) for box in BOXES]
    (skipped,) = dataset.summary().skipped
    assert skipped.file == "th\\udce9.xml"
    assert len(read_folder(tmp_path, "train:0.9")) <= 1


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere; check the path given as --data"):
        read_folder(tmp_path / "nowhere")


def test_an_image_is_no_data_set(tmp_path):
    path = draw_image(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"a\.jpg holds no annotations that can be read"):
        read_folder(path)


def test_a_folder_with_too_many_files_is_refused_in_a_line(tmp_path, monkeypatch):
    voc(tmp_path)
    monkeypatch.setattr("frcnn_edu.datasets.file_tree.MOST_FILES", 5)
    with pytest.raises(ValueError, match="holds more than 5 files; name the folder of the data set alone"):
        read_folder(tmp_path)


def test_boxes_and_sizes_are_known_without_decoding_an_image(tmp_path, monkeypatch):
    voc(tmp_path)
    dataset = read_folder(tmp_path)
    monkeypatch.setattr("frcnn_edu.datasets.folder.load_image", None)
    assert dataset.sizes() == [(96, 72)] * 3
    assert [target["boxes"].tolist() for target in dataset.targets()] == [[list(box) for box in BOXES]] * 3


def test_a_preview_is_small_and_its_boxes_move_along(tmp_path):
    voc(tmp_path)
    image, target = read_folder(tmp_path).preview(0, 48)
    assert image.shape == (3, 36, 48)
    assert target["boxes"].tolist() == [[side / 2 for side in box] for box in BOXES]
    image, target = read_folder(tmp_path).preview(0, 1000)
    assert image.shape == (3, 72, 96)
