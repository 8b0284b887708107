"""Own photographs: opened in any layout, anchors fit, and every sentence is true of its numbers."""

import re
from collections import Counter

import data_folders
import pytest
import torch

from frcnn_edu.config import Config
from frcnn_edu.course import live_training
from frcnn_edu.course import own_photographs as own
from frcnn_edu.datasets.data_report import DataReport, coverage, examine
from frcnn_edu.training.checkpoints import BEST, History, ModelCard, Recipe, load_model
from frcnn_edu.training.metrics import Evaluation
from frcnn_edu.training.mistakes import Errors, Judged

SMALL = {"min_size": 64, "max_size": 128, "box_head_size": 16, "rpn_post_nms_top_n_train": 20}


@pytest.fixture
def data(tmp_path):
    """Eight images with two objects each, without splits."""
    names = [data_folders.draw_image(tmp_path / "mine" / f"{number}.jpg", number).name for number in range(8)]
    data_folders.write(tmp_path / "mine" / "boxes.json", data_folders.coco_content(names))
    return own.open_own(str(tmp_path / "mine"))


@pytest.fixture
def quiet(monkeypatch):
    monkeypatch.setattr(live_training, "LiveCurve", lambda steps: lambda *told: None)
    monkeypatch.delenv(live_training.STEPS_VARIABLE, raising=False)


def test_a_folder_without_splits_is_divided(data):
    assert len(data.train) + len(data.val) == 8
    paths = [{part.path(index) for index in range(len(part))} for part in (data.train, data.val)]
    assert not paths[0] & paths[1]
    assert not data.shipped


def test_a_folder_with_train_and_val_keeps_them(tmp_path):
    data_folders.voc(tmp_path)
    data = own.open_own(str(tmp_path))
    assert "split train" in data.train.source
    assert "split val" in data.val.source


def test_named_splits_and_classes_are_taken(tmp_path):
    data_folders.voc(tmp_path)
    data = own.open_own(str(tmp_path), "trainval", "val", ["disc"])
    assert data.class_names == ("__background__", "disc")
    assert "split trainval" in data.train.source
    with pytest.raises(ValueError, match=r"no split 'nowhere'.* set train_split or val_split to"):
        own.open_own(str(tmp_path), "train", "nowhere")
    with pytest.raises(FileNotFoundError, match="the path given as my_folder"):
        own.open_own(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(("train", "val"), [("train:0.75", ""), ("", "val:0.25"), ("train:0.75", "val:0.25")])
def test_the_other_part_of_a_drawn_share_is_the_rest(data, train, val):
    parts = own.open_own(str(data.train.path(0).parent), train, val)
    assert (len(parts.train), len(parts.val)) == (6, 2)
    assert "to train on and to measure on" not in own.say_look(parts)


def test_images_in_both_parts_are_pointed_out(data):
    parts = own.open_own(str(data.train.path(0).parent), "all", "val:0.25")
    assert "2 images to train on and to measure on" in own.say_look(parts)


def test_without_a_folder_it_is_the_cells_that_ship_or_bccd_where_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own, "course_folder", lambda name: tmp_path / "nowhere")
    shipped = own.open_own()
    assert (len(shipped.train), len(shipped.val), shipped.shipped) == (8, 4, True)
    data_folders.voc(tmp_path / "data" / "bccd")
    assert own.open_own().class_names == ("__background__", "bar", "disc")


def test_it_says_what_to_do_about_few_boxes_and_no_objects(data):
    said = own.say_look(data)
    assert "What to do about bar and disc: add photographs that show them" in said
    assert "to measure on: 2 images, 4 objects" in said
    assert "only 2 objects of class bar to measure on: one that is found, or not, moves mAP by up to 0.25" in said
    assert str(data.train.path(0).parent.parent) not in said


def test_a_misspelt_class_and_a_damaged_photograph_are_named(tmp_path):
    names = [data_folders.draw_image(tmp_path / f"{number}.jpg", number).name for number in range(24)]
    content = data_folders.coco_content(names, names=("Disc", "disk"))
    for one in content["annotations"]:
        if one["image_id"] not in (3, 7, 11):
            one["category_id"] = 0
    data_folders.write(tmp_path / "boxes.json", content)
    broken = own.open_own(str(tmp_path)).val.path(0)
    broken.write_bytes(broken.read_bytes()[:900])
    said = own.say_look(own.open_own(str(tmp_path)))
    assert re.search(r"Is disk a misspelt Disc\? (3|7|11).jpg has it: correct it there.", said)
    assert "What to do about" not in said
    assert f"skipped {broken.name}: the image cannot be read" in said


def test_chance_is_what_one_object_of_the_rarest_class_is_worth():
    assert own.chance({"a": 2, "b": 40, "c": 0}) == 0.25
    assert "2 objects of class a to" in own.say_chance({"a": 2, "b": 40, "c": 0})
    assert "only 9 objects to measure on" in own.say_chance({"a": 9})
    assert own.say_chance({"a": 80, "b": 40}) == own.say_chance({"a": 0}) == ""


def report_of(shapes):
    count = len(shapes)
    labels, sizes = torch.ones(count, dtype=torch.int64), torch.tensor([[640.0, 480.0]])
    return DataReport(("__background__", "thing"), sizes, torch.zeros(count, dtype=torch.int64), labels, shapes)


@pytest.mark.parametrize(
    ("sides", "changed"), [((100, 90), False), ((14, 12), True), ((40, 240), True)], ids=["fits", "small", "tall"]
)
def test_anchors_are_moved_only_where_that_fits_better(sides, changed):
    spread = torch.linspace(0.8, 1.25, 30)[:, None]
    report = report_of(torch.tensor([sides]).float() * torch.cat((spread, spread.flip(0)), dim=1))
    chosen = own.choose_anchors(report)
    assert (chosen != own.DEFAULT_ANCHORS) == changed
    before, after = (coverage(report.shapes, one.shapes).share(0.7) for one in (own.DEFAULT_ANCHORS, chosen))
    assert after > before + 0.02 if changed else after == before
    assert ("default ones stay" in own.say_anchors(report, chosen)) != changed
    ModelCard("mobilenet_v2", report.class_names, chosen.options).build()


def test_boxes_without_any_anchor_are_pointed_out():
    report = report_of(torch.tensor([[3.0, 3.0]] * 10))
    assert "have no anchor of IoU 0.5" in own.say_anchors(report, own.choose_anchors(report))


def test_training_keeps_the_best_weights_with_their_anchors(data, quiet, tmp_path, monkeypatch):
    measured = iter([0.2, 0.6, 0.4])
    result = Evaluation("voc", 0.5, 1, 0, 0.0, {}, {}, {})
    monkeypatch.setattr(own, "evaluate", lambda *given, **more: Evaluation(**{**vars(result), "map": next(measured)}))
    anchors = own.choose_anchors(examine(data.train).resized(Config(min_size=64, max_size=128)))
    trained = own.fine_tune(data, Recipe(3, 1), SMALL | anchors.options, {}, tmp_path / "d", measure_every=1)
    assert trained.history.best == 2
    assert trained.folder == tmp_path / "d-1"
    model, card = load_model(trained.folder / BEST)
    assert model.rpn.anchor_generator.sizes == [list(level) for level in anchors.sizes]
    assert card.class_names == data.class_names
    assert own.say_use(trained).count(str(trained.folder / BEST)) == 3


def test_a_training_that_is_stopped_goes_on_with_what_it_has(data, quiet, tmp_path, monkeypatch):
    monkeypatch.setenv(live_training.STEPS_VARIABLE, "2")
    trained = own.fine_tune(data, Recipe(50, 1), SMALL, {}, tmp_path / "d", measure_every=40)
    assert len(trained.history) == 2
    said = own.say_training(trained, data)
    assert "The training was stopped; 50 were planned. mAP was not measured" in said


def went(data, measured, shipped=False, objects=100):
    history = History({"loss": [2.0] * 20 + [1.0] * 20}, measured)
    trained = own.Trained(None, None, history, data.train.path(0).parent, 40, {"a": objects})
    return own.say_training(trained, own.OwnData(data.train, data.val, shipped))


def test_what_it_says_of_a_curve_follows_from_the_curve(data):
    assert "the loss went from 2.00 to 1.00" in went(data, {40: 0.5})
    assert "still rising" in went(data, {20: 0.4, 40: 0.5})
    assert "still rising" not in went(data, {20: 0.5, 40: 0.45})
    falls = went(data, {20: 0.9, 40: 0.5})
    assert "highest after step 20, 0.90" in falls
    assert "At the end it was 0.50" in falls
    few = went(data, {20: 0.9, 40: 0.8}, objects=8)
    assert "At the end" not in few
    assert "the best of 2 measurements" in few
    assert "are only 8 objects" in few
    assert "the best of" not in went(data, {40: 0.5})
    assert "there is only 1 object " in went(data, {40: 0.5}, objects=1).replace("There", "there")
    assert "moves mAP by up to 0.12" in few
    assert "still rising" not in went(data, {20: 0.5, 40: 0.51})
    assert "That is a symptom. mAP stays near 0" in went(data, {40: 0.001})
    assert "was stopped" not in went(data, {40: 0.5})
    assert "seen such cells" in went(data, {40: 0.5}, shipped=True)
    assert "seen such cells" not in went(data, {40: 0.5})


def evaluation(per_class, objects):
    known = [value for value in per_class.values() if value == value]
    mean = sum(known) / len(known) if known else float("nan")
    return Evaluation("voc", 0.5, 4, 0, mean, per_class, {}, objects)


def test_what_it_says_of_map_follows_from_map():
    said = own.say_map(evaluation({"a": 0.9, "b": 0.3}, {"a": 50, "b": 7}))
    assert said == "mAP at IoU 0.5 is 0.60 on 57 objects. The weakest class is b: AP 0.30 of 7 objects."
    assert "nothing to measure" in own.say_map(evaluation({"a": float("nan")}, {"a": 0}))
    assert "symptom" in own.say_map(evaluation({"a": 0.0}, {"a": 9}))
    assert "weakest" not in own.say_map(evaluation({"a": 0.5, "b": float("nan")}, {"a": 9, "b": 0}))


def test_what_it_says_of_errors_follows_from_their_counts():
    def said(**counts):
        return own.say_errors(Errors([], {"a": Counter(counts)}), 0.5)

    assert said(right=9) == "At a score of 0.5 there is no mistake among 9 detections."
    assert "Most frequent: background. Detections on background" in said(right=9, background=5, missed=2)
    assert "Most frequent: missed." in said(right=9, missed=2)
    assert "No detection scores 0.5 or more. Everything is background" in said(missed=4)


def test_many_detections_on_background_and_few_boxes_point_to_missing_boxes(data):
    def said(background, boxes):
        judged = Judged(["background"] * background, torch.full((background,), -1), torch.zeros(boxes).bool())
        return own.say_labels(Errors([judged], {}), data)

    assert f"{data.val.path(0).name} has 9 detections on background and only 1 box: probably" in said(9, 1)
    assert "and no box: probably" in said(9, 0)
    assert said(9, 9) == said(4, 1) == said(0, 0) == ""


def test_images_to_measure_on_are_spread_evenly():
    assert own.spread(5, 24) == [0, 1, 2, 3, 4]
    assert own.spread(48, 24) == list(range(0, 48, 2))
    assert len(own.spread(25, 24)) == 24


def test_the_shipped_body_is_taken_over(data, quiet, tmp_path, monkeypatch):
    monkeypatch.setenv(live_training.STEPS_VARIABLE, "1")
    trained = own.fine_tune(data, Recipe(9, 1, learning_rate=1e-9), SMALL, {}, tmp_path / "d", measure_every=9)
    theirs = own.load_blood_cell_detector()[0].state_dict()
    ours = trained.model.state_dict()
    for name in ("backbone.body.1.conv.1.weight", "backbone.fpn.inner_blocks.0.0.weight"):
        torch.testing.assert_close(ours[name], theirs[name], atol=1e-5, rtol=0)
