"""The look command: it says what a folder holds, writes it as data, draws nine images with their boxes."""

import json
import os

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
import pytest
from data_folders import BOXES, LAYOUTS, coco_content, draw_image, labelimg, voc_xml, write
from matplotlib.collections import PolyCollection
from PIL import Image

from frcnn_edu.__main__ import main
from frcnn_edu.datasets.folder import read_folder
from frcnn_edu.viz import draw_examples
from frcnn_edu.viz.data_plots import MOST_NAMES, TILE_PIXELS
from frcnn_edu.viz.labels import BoxLabel


def look(folder, *more):
    return main(["look", "--data", str(folder), *map(str, more)])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_looked_at(tmp_path, capsys, layout):
    LAYOUTS[layout][0](tmp_path / "set", 3)
    places = ("--json", tmp_path / "new" / "report.json", "--out", tmp_path / "new" / "nine.png")
    assert look(tmp_path / "set", *places) == 0
    said = capsys.readouterr().out
    assert "3 images, 6 boxes to learn from, 2 classes" in said
    assert "bar: 3" in said
    report = json.loads((tmp_path / "new" / "report.json").read_text("utf-8"))
    assert (report["images"], report["boxes"], report["classes"]) == (3, 6, {"bar": 3, "disc": 3})
    assert (report["difficult"], report["crowd"], report["without_area"]) == (0, 0, 0)
    assert report["skipped"] == report["warnings"] == []
    with Image.open(tmp_path / "new" / "nine.png") as picture:
        assert picture.width > 1000
        assert len(set(np.asarray(picture.convert("L")).ravel())) > 100


def messy(folder):
    """Three images: one fine, one with a difficult box and a box without area, one truncated."""
    objects = voc_xml("b.jpg", [*BOXES, (5, 5, 5, 9)], ("bar", "disc", "bar"))
    first = objects.replace("<difficult>0", "<difficult>yes", 1)
    for name, xml in (("a", voc_xml("a.jpg")), ("b", first), ("c", voc_xml("c.jpg"))):
        path = draw_image(folder / f"{name}.jpg")
        write(folder / f"{name}.xml", xml)
    path.write_bytes(path.read_bytes()[:2000])


def test_what_was_set_aside_or_skipped_is_said_with_the_reason(tmp_path, capsys):
    messy(tmp_path)
    assert look(tmp_path, "--json", tmp_path / "report.json") == 0
    said = capsys.readouterr().out
    assert "2 images, 3 boxes to learn from, 2 classes; set aside: 1 difficult, 0 crowd, 1 without area; 1 file" in said
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert (report["images"], report["boxes"], report["difficult"], report["without_area"]) == (2, 3, 1, 1)
    (skipped,) = report["skipped"]
    assert skipped["file"] == "c.xml"
    assert "c.jpg is damaged, perhaps truncated" in skipped["why"]
    assert f"skipped c.xml: {skipped['why']}" in said
    assert report["warnings"] == ["1 box left out: no area (first: b.xml, object 2)"]


def test_a_folder_without_boxes_is_looked_at_and_that_is_said(tmp_path, capsys):
    draw_image(tmp_path / "a.jpg")
    write(
        tmp_path / "a.xml",
        voc_xml("a.jpg", []).replace("</annotation>", "<object><name>bar</name></object></annotation>"),
    )
    assert look(tmp_path, "--json", tmp_path / "r.json", "--out", tmp_path / "nine.png") == 0
    warnings = json.loads((tmp_path / "r.json").read_text("utf-8"))["warnings"]
    assert warnings[0].startswith("no boxes to learn from in 1 image: 1 box left out: an object has no <bndbox>")
    assert warnings[0] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "there is no folder"),
        (lambda folder: folder.mkdir(), "holds no annotations that can be read"),
        (lambda folder: draw_image(folder / "a.jpg"), "holds no annotations that can be read"),
        (lambda folder: write(folder / "train.json", '{"images": ['), "is not valid JSON"),
        (
            lambda folder: write(folder / "boxes.json", coco_content([]) | {"categories": [{}]}),
            "a category needs an id",
        ),
    ],
)
def test_a_folder_that_cannot_be_read_ends_in_one_line(tmp_path, capsys, make, words):
    make(tmp_path / "set")
    assert look(tmp_path / "set") == 1
    error = capsys.readouterr().err
    assert error.startswith("frcnn-edu look: ")
    assert words in error
    assert error.count("\n") == 1


def test_the_splits_that_are_there_are_said_and_chosen_from(tmp_path, capsys):
    LAYOUTS["Roboflow VOC"][0](tmp_path, 2)
    assert look(tmp_path, "--split", "test") == 0
    assert "split test (splits of its own: train, valid, test)" in capsys.readouterr().out
    assert look(tmp_path, "--split", "tset") == 1
    assert "no split 'tset'" in capsys.readouterr().err


def test_classes_with_few_boxes_are_pointed_out(tmp_path, capsys):
    labelimg(tmp_path, 11)
    write(tmp_path / "photo 3.xml", voc_xml("photo 3.jpg", names=("bar", "rare thing")))
    assert look(tmp_path) == 0
    assert "fewer than 10 boxes, hardly enough to learn from: rare thing" in capsys.readouterr().out


# --- the picture ------------------------------------------------------------------------------------------------------


def texts(ax):
    return [one.get_text() for one in ax.get_children() if isinstance(one, BoxLabel)]


def drawn(ax):
    return [
        path.get_extents().extents.tolist()
        for collection in ax.collections
        if isinstance(collection, PolyCollection)
        for path in collection.get_paths()
    ]


def test_nine_images_from_all_over_the_data_with_their_boxes_and_names(tmp_path):
    labelimg(tmp_path, 30)
    figure = draw_examples(read_folder(tmp_path))
    assert len(figure.axes) == 9
    titles = [ax.get_title() for ax in figure.axes]
    assert len(set(titles)) == 9
    files = sorted(path.name for path in tmp_path.glob("*.jpg"))
    places = [files.index(title) for title in titles]
    assert places == sorted(places)
    assert places[-1] >= 24, "not just the first nine"
    for ax in figure.axes:
        assert sorted(texts(ax)) == ["bar", "disc"]
        assert sorted(drawn(ax)) == sorted(list(map(float, box)) for box in BOXES)


def test_boxes_that_do_not_count_look_ignored(tmp_path):
    messy(tmp_path)
    figure = draw_examples(read_folder(tmp_path))
    axes = {ax.get_title(): ax for ax in figure.axes}
    assert len(axes["b.jpg"].collections) == 2, "two states"
    assert len(axes["a.jpg"].collections) == 1


def test_damaged_images_are_passed_over_and_an_empty_data_set_is_an_empty_figure(tmp_path):
    labelimg(tmp_path, 3)
    dataset = read_folder(tmp_path)
    dataset.path(1).write_bytes(b"gone")
    assert [ax.get_title() for ax in draw_examples(dataset).axes if ax.get_title()] == ["photo 0.jpg", "photo 2.jpg"]
    for index in (0, 2):
        dataset.path(index).unlink()
    draw_examples(dataset).savefig(tmp_path / "none.png")


@pytest.mark.parametrize("size", [(5000, 1), (60, 7000), (2600, 2600)])
def test_images_of_any_size_are_drawn_within_bounds(tmp_path, size):
    Image.new("RGB", size, "gray").save(tmp_path / "a.png")
    write(tmp_path / "a.xml", voc_xml("a.png", [(0, 0, *size)], ["all of it"]))
    dataset = read_folder(tmp_path)
    image, target = dataset.preview(0, TILE_PIXELS)
    assert max(image.shape[1:]) == TILE_PIXELS
    assert target["boxes"].tolist() == [[0, 0, image.shape[2], image.shape[1]]]
    draw_examples(dataset).savefig(tmp_path / "nine.png")
    with Image.open(tmp_path / "nine.png") as picture:
        assert max(picture.size) <= 1300


def test_names_that_are_not_utf8_are_drawn_and_written(tmp_path):
    draw_image(tmp_path / os.fsdecode(b"caf\xe9.jpg"))
    write(tmp_path / os.fsdecode(b"caf\xe9.xml"), voc_xml("b.jpg"))
    write(tmp_path / os.fsdecode(b"th\xe9.xml"), voc_xml("c.jpg"))
    assert look(tmp_path, "--json", tmp_path / "r.json", "--out", tmp_path / "nine.png") == 0
    assert json.loads((tmp_path / "r.json").read_text("utf-8"))["skipped"][0]["file"] == "th\\udce9.xml"


def test_of_a_thousand_boxes_all_are_drawn_and_the_largest_named(tmp_path):
    boxes = [(x, y, x + 2, y + 2) for x in range(0, 60, 2) for y in range(0, 66, 2)] + [(0, 0, 96, 72)]
    draw_image(tmp_path / "a.jpg")
    write(tmp_path / "a.xml", voc_xml("a.jpg", boxes, [*["small"] * (len(boxes) - 1), "large"]))
    (ax,) = draw_examples(read_folder(tmp_path)).axes
    assert len(drawn(ax)) == len(boxes)
    assert texts(ax)[0] == "large"
    assert len(texts(ax)) == MOST_NAMES


@pytest.mark.parametrize("name", ["US$ 5_$", "$\\frac$", "a_b^c", "x" * 300, "&<>"])
def test_names_are_text_and_not_formulas(tmp_path, name):
    draw_image(tmp_path / "cost $5 $.jpg")
    write(tmp_path / "boxes.json", coco_content(["cost $5 $.jpg"], names=(name, "disc")))
    assert look(tmp_path, "--out", tmp_path / "nine.png") == 0
    (ax,) = draw_examples(read_folder(tmp_path)).axes
    assert name in texts(ax)
