"""The detector for photographs that ships: small, as good as its report says, and made again by one command."""

import json
import os

import pytest
import torch
from data_folders import BOXES, draw_image, voc_xml, write

from frcnn_edu.commands.weights import BLOOD_CELLS, weights_path
from frcnn_edu.course import blood_cell_detector
from frcnn_edu.course.blood_cell_detector import blood_cell_report, load_blood_cell_detector
from frcnn_edu.course.blood_cells import load_ablation
from frcnn_edu.datasets import data_path
from frcnn_edu.datasets.folder import open_folder
from frcnn_edu.training.checkpoints import Recipe, load_model
from frcnn_edu.training.loop import detect, evaluate

pytestmark = pytest.mark.slow

BCCD = os.environ.get("FRCNN_EDU_BCCD")
MEGABYTES_AT_MOST = 10


@pytest.fixture(scope="module")
def detector():
    return load_blood_cell_detector()


def shipped_photographs():
    return open_folder(data_path("blood_cells"), "all", quiet=True)


def test_it_is_small_and_knows_the_cells(detector):
    model, card = detector
    assert sum(path.stat().st_size for path in data_path("blood_cell_detector").iterdir()) < MEGABYTES_AT_MOST * 1e6
    assert card.class_names == load_ablation().class_names
    assert not model.training
    assert all(values.dtype == torch.float32 for values in model.state_dict().values() if values.is_floating_point())


def test_the_twelve_photographs_are_of_the_test_split_with_its_boxes():
    shipped, split = shipped_photographs(), load_ablation().splits["test"]
    assert len(shipped) == 12
    assert shipped.class_names == load_ablation().class_names
    for index, target in enumerate(shipped.targets()):
        expected = split.targets()[split.names.index(shipped.path(index).name)]
        assert torch.equal(target["labels"], expected["labels"])
        torch.testing.assert_close(target["boxes"], expected["boxes"], atol=0.05, rtol=0)


def test_on_the_twelve_photographs_it_is_about_as_good_as_its_report_says(detector):
    model, card = detector
    measured = evaluate(model, shipped_photographs(), class_names=card.class_names, progress=False)
    assert blood_cell_report()["map_50"] > 0.88
    assert measured.map == pytest.approx(blood_cell_report()["map_50"], abs=0.1)


@pytest.mark.skipif(not BCCD, reason="FRCNN_EDU_BCCD does not name a folder with the BCCD data set")
def test_on_the_first_photographs_of_the_test_split_it_is_as_good_too(detector):
    model, card = detector
    some = torch.utils.data.Subset(open_folder(BCCD, "test", card.class_names, quiet=True), range(12))
    assert evaluate(model, some, class_names=card.class_names, progress=False).map > 0.75


def test_the_report_agrees_with_itself_and_with_the_readme():
    report, readme = blood_cell_report(), (data_path(".") / "README.md").read_text(encoding="utf-8")
    assert report["map_50"] == pytest.approx(sum(report["per_class"].values()) / 3, abs=1e-3)
    state = json.loads((data_path("blood_cell_detector") / "state.json").read_text(encoding="utf-8"))
    assert state["measured"] == {str(report["recipe"]["steps"]): report["map_50"]}
    assert len(state["losses"]["loss_classifier"]) == report["recipe"]["steps"]
    shares = " | ".join(f"{value:.3f}" for value in report["per_class"].values())
    assert f"| {report['map_50']:.3f} | {report['map_75']:.3f} | {shares} |" in readme


def test_its_name_is_a_path_to_it_unless_there_is_such_a_folder(tmp_path, monkeypatch):
    assert weights_path(BLOOD_CELLS) == data_path("blood_cell_detector")
    assert str(weights_path("runs/bccd")) == os.path.join("runs", "bccd")
    monkeypatch.chdir(tmp_path)
    (tmp_path / BLOOD_CELLS).mkdir()
    assert str(weights_path(BLOOD_CELLS)) == BLOOD_CELLS


def test_one_call_trains_it_measures_what_ships_and_copies_the_photographs(tmp_path, monkeypatch):
    measured = []

    def remembering(model, dataset):
        measured.append({name: values.clone() for name, values in model.state_dict().items()})
        return detect(model, dataset)

    monkeypatch.setattr(blood_cell_detector, "detect", remembering)
    names = ["BloodImage_00011", "BloodImage_00018", "BloodImage_00001"]
    data = tmp_path / "bccd"
    for number, name in enumerate(names):
        draw_image(data / "JPEGImages" / f"{name}.jpg", number)
        write(data / "Annotations" / f"{name}.xml", voc_xml(f"{name}.jpg"))
    for split, own in {"train": names[2:], "test": names}.items():
        write(data / "ImageSets" / "Main" / f"{split}.txt", "\n".join(own) + "\n")
    blood_cell_detector.make(data, tmp_path / "out", Recipe(steps=1, batch_size=1), weights=None)
    model, card = load_model(tmp_path / "out" / "blood_cell_detector")
    assert card.class_names == ("__background__", "bar", "disc")
    assert all(torch.equal(values, measured[0][name]) for name, values in model.state_dict().items())
    assert model.roi_heads.box_head.fc6.out_features == blood_cell_detector.OPTIONS["box_head_size"]
    copied = open_folder(tmp_path / "out" / "blood_cells", "all", quiet=True)
    assert sorted(copied.path(index).stem for index in range(len(copied))) == names[:2]
    assert copied.targets()[0]["boxes"].tolist() == [list(map(float, box)) for box in BOXES]
    report = json.loads((tmp_path / "out" / "blood_cell_detector" / "report.json").read_text(encoding="utf-8"))
    assert report["objects"] == {"bar": 3, "disc": 3}
