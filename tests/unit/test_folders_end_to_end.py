"""Train, evaluate and predict, from the command line, on folders as people have them.

Several layouts, with difficult boxes and crowds, names with blanks and in other scripts, grey and CMYK pictures.
"""

import json

import pytest
from data_folders import labelimg_yolo
from PIL import Image, ImageDraw

from frcnn_edu.__main__ import main

NAMES = ("plain one", "Übung Nr 2", "사진 셋", "grey", "print")
TINY = ("min_size=64", "max_size=96", "rpn_pre_nms_top_n_train=50", "rpn_post_nms_top_n_train=20")
SIZE = (80, 60)


def picture(number):
    """A dark square and a bright bar on grey, elsewhere on each picture, and their boxes."""
    square, bar = (5 + 3 * number, 10, 25 + 3 * number, 30), (10, 40, 60, 50)
    image = Image.new("RGB", SIZE, (120, 130, 140))
    drawing = ImageDraw.Draw(image)
    drawing.rectangle(square, fill=(20, 20, 60))
    drawing.rectangle(bar, fill=(240, 220, 60))
    image = {"grey": image.convert("L"), "print": image.convert("CMYK")}.get(NAMES[number], image)
    return image, {"dark square": square, "bright bar": bar}


def write_pictures(folder):
    folder.mkdir(parents=True)
    return {name: folder / f"{name}.jpg" for name in NAMES}


def make_voc(root):
    paths = write_pictures(root / "JPEGImages")
    (root / "Annotations").mkdir()
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for number, (name, path) in enumerate(paths.items()):
        image, boxes = picture(number)
        image.save(path)
        objects = ""
        for index, (label, box) in enumerate(boxes.items()):
            edges = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
            difficult = int(number == 1 and index == 0)
            objects += (
                f"<object><name>{label}</name><difficult>{difficult}</difficult><bndbox>{edges}</bndbox></object>"
            )
        size = f"<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height></size>"
        (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{size}{objects}</annotation>", "utf-8")
    for split in ("train", "test"):
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(NAMES) + "\n", "utf-8")


def make_coco(root):
    paths = write_pictures(root / "images")
    categories = {"dark square": 7, "bright bar": 40}
    annotations = []
    for number, path in enumerate(paths.values()):
        image, boxes = picture(number)
        image.save(path)
        for index, (label, (x1, y1, x2, y2)) in enumerate(boxes.items()):
            sides = [x2 - x1, y2 - y1]
            one = {"id": len(annotations) + 1, "image_id": number, "category_id": categories[label]}
            crowd = int(number == 1 and index == 0)
            annotations.append(one | {"bbox": [x1, y1, *sides], "area": sides[0] * sides[1], "iscrowd": crowd})
    images = [
        {"id": number, "file_name": path.name, "width": SIZE[0], "height": SIZE[1]}
        for number, path in enumerate(paths.values())
    ]
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
    }
    (root / "annotations").mkdir()
    for split in ("train", "test"):
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content), "utf-8")


@pytest.fixture
def frcnn_edu(tmp_path, monkeypatch, capsys):
    """A command in the test's folder; returns what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        assert main([*map(str, words)]) == 0
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize(
    ("make", "folder", "set_aside"),
    [(make_voc, "my voc", "1 difficult, 0 crowd"), (make_coco, "мой coco", "0 difficult, 1 crowd")],
    ids=["VOC", "COCO"],
)
def test_a_folder_is_learned_from_measured_on_and_predicted_on(
    tmp_path, monkeypatch, frcnn_edu, make, folder, set_aside
):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / folder)
    options = [word for option in TINY for word in ("--option", option)]
    cpu = ("--device", "cpu")
    training = ("--steps", 8, "--batch-size", 2, "--augment", "all-ways", "--out", "my run")
    said = frcnn_edu("train", "--data", folder, *training, *options, *cpu)
    summary = f"5 images, 9 boxes to learn from, 2 classes; set aside: {set_aside}, 0 without area; 0 files skipped"
    assert said.splitlines()[0] == summary
    assert "trained 8 steps" in said
    card = json.loads((tmp_path / "my run" / "model.json").read_text("utf-8"))
    assert set(card["class_names"]) == {"__background__", "dark square", "bright bar"}
    losses = json.loads((tmp_path / "my run" / "step-000008" / "state.json").read_text("utf-8"))["losses"]
    total = [sum(step) for step in zip(*losses.values(), strict=True)]
    assert sum(total[-3:]) < sum(total[:3]), "it learns"

    said = frcnn_edu("evaluate", "--data", folder, "--weights", "my run", "--json", "found.json", *cpu)
    assert "dark square" in said
    figures = json.loads((tmp_path / "found.json").read_text("utf-8"))
    assert figures["ground_truths"] == {name: 5 - (name == "dark square") for name in figures["ground_truths"]}
    assert 0 <= figures["map"] <= 1

    pictures = sorted((tmp_path / folder).glob("*mages/*.jpg"))
    assert len(pictures) == len(NAMES)
    frcnn_edu("predict", *pictures, "--weights", "my run", "--out", "found", "--score", 0, *cpu)
    assert {path.stem for path in (tmp_path / "found").glob("*.png")} == set(NAMES)
    detections = json.loads((tmp_path / "found" / "detections.json").read_text("utf-8"))
    assert set(detections) == {str(path) for path in pictures}


def test_two_drawn_parts_of_a_folder_without_splits_are_trained_and_measured_on(tmp_path, capsys):
    labelimg_yolo(tmp_path / "set", 5)
    data, run = ["--data", str(tmp_path / "set"), "--device", "cpu"], str(tmp_path / "run")
    options = [word for option in TINY for word in ("--option", option)]
    assert main(["train", *data, "--split", "train:0.8", "--steps", "2", "--out", run, *options]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("4 images, 8 boxes to learn from, 2 classes; ")
    assert said[1] == "0.8 of the images drawn by seed 0; the split val:0.2 has the others"
    assert main(["evaluate", *data, "--split", "val:0.2", "--weights", run]) == 0
    assert capsys.readouterr().out.startswith("1 image, 2 boxes to learn from, 2 classes; ")


@pytest.mark.parametrize("command", ["train", "look"])
def test_a_folder_with_nothing_to_learn_from_leaves_nothing_behind(tmp_path, capsys, command):
    labelimg_yolo(tmp_path / "set", 2)
    for path in (tmp_path / "set").glob("photo*.txt"):
        path.write_text("")
    more = {"train": ["--steps", "2", "--device", "cpu", "--out", str(tmp_path / "run")], "look": []}[command]
    status = main([command, "--data", str(tmp_path / "set"), *more])
    said = capsys.readouterr()
    assert status == (command == "train")
    assert "no boxes to learn from in 2 images" in (said.err if command == "train" else said.out)
    assert said.err.count("\n") == (command == "train")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]
