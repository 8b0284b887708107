"""The detector at work on shapes under the hand: it draws what it is told, answers, and keeps up with the hand."""

import numpy as np
import pytest
import torch

from frcnn_edu.course.shipped_detector import load_trained
from frcnn_edu.datasets.shapes import CLASS_NAMES, draw_scene
from frcnn_edu.explorers.lesson_00_overview import KINDS, STAGES, LiveDetector
from frcnn_edu.faster_rcnn import fasterrcnn_tiny


@pytest.fixture(scope="module")
def model():
    return load_trained()


@pytest.fixture
def live(model):
    return LiveDetector(model)


def by_hand(live, boxes, kinds=None, paints=None, number=1):
    """What the browser sends after a movement, as the wire delivers it; returns the names of what goes back."""
    sent = []
    live.send_state = lambda key=None: sent.extend([key] if isinstance(key, str) else key or ())
    kinds, paints = live.kinds if kinds is None else kinds, live.paints if paints is None else paints
    live.set_state({"_scene": {"number": number, "boxes": boxes, "kinds": kinds, "paints": paints}})
    return set(sent)


def test_it_starts_with_one_shape_of_each_class_and_finds_them_all(live):
    assert sorted(live.names) == sorted(CLASS_NAMES[1:])
    assert live.num_named == len(live.boxes) == 7
    assert live.stage == "detections"
    assert all(verdict["iou"] > 0.7 for verdict in live.answer["verdicts"])


def test_the_picture_is_the_scene(live):
    expected = draw_scene(live.box_tensor, live.names, live.paints, live.background)
    assert np.array_equal(live.image, (expected * 255).round().byte().permute(1, 2, 0).numpy())
    before = live.image
    live.background = 1
    assert not np.array_equal(live.image, before)


def test_a_movement_of_the_hand_is_answered_and_not_sent_back(live):
    boxes = live.boxes.tolist()
    boxes[0] = [150.0, 190.0, 202.0, 242.0]
    sent = by_hand(live, boxes, number=7)
    assert sent == {"_image_bytes", "answer"}
    assert live.boxes[0].tolist() == boxes[0]
    assert live.answer["number"] == 7
    found = live.answer["verdicts"][0]
    assert (found["is"], found["right"]) == ("disc", True)
    x1, y1, x2, y2 = live.answer["detections"][found["found"]]
    assert abs((x1 + x2) / 2 - 176) < 6
    assert abs((y1 + y2) / 2 - 216) < 6


def test_shapes_come_and_go(live):
    boxes, kinds, paints = live.boxes.tolist(), [*live.kinds, "ring"], [*live.paints, 7]
    by_hand(live, [*boxes, [196.0, 196.0, 246.0, 246.0]], kinds, paints)
    assert (len(live.boxes), live.names[-1], live.num_named) == (8, "ring", 8)
    by_hand(live, boxes[1:], kinds[1:-1], paints[1:-1])
    assert (len(live.boxes), "disc" in live.names) == (6, False)
    assert not any(caption.startswith("disc") for caption in live.answer["captions"])
    by_hand(live, [], [], [])
    assert (live.num_named, live.answer["verdicts"]) == (0, [])


def test_a_selection_that_arrives_with_its_new_shape_is_kept(live):
    scene = {
        "number": 1,
        "boxes": [*live.boxes.tolist(), [1, 1, 9, 9]],
        "kinds": [*live.kinds, "disc"],
        "paints": list(range(8)),
    }
    live.set_state({"selected": 7, "_scene": scene})
    assert (live.selected, len(live.boxes)) == (7, 8)


def test_what_python_sets_replaces_what_the_hand_has_made(live):
    by_hand(live, live.boxes.tolist()[:2], live.kinds[:2], live.paints[:2])
    assert live._scene
    live.set_shapes(["cross"], [[100, 100, 160, 160]])
    assert (live._scene, live.names, live.num_named) == ({}, ["cross"], 1)
    by_hand(live, [[60, 60, 120, 120]], ["cross"], [0])
    live.boxes = [[20, 20, 80, 80]]
    assert live._scene == {}
    assert live.answer["verdicts"][0]["right"]
    assert live.answer["detections"][0][0] < 40


def test_of_rectangles_the_sides_decide(live):
    sides = ((50, 50), (60, 50), (50, 100), (100, 50))
    live.set_shapes(["rectangle"] * 4, [[10, 10, 10 + w, 10 + h] for w, h in sides])
    assert live.names == ["square", "square", "standing bar", "lying bar"]


def test_a_wrong_name_and_a_missed_shape_are_told_apart(live):
    """Two shapes; the detector finds the first, and calls it something else."""
    live.set_shapes(["disc", "cross"], [[20, 20, 80, 80], [150, 150, 200, 200]])
    boxes = torch.tensor([[22.0, 20, 80, 80], [140, 140, 160, 160]])
    first, second = live._verdicts(boxes, ["ring", "cross"])
    assert first == {"is": "disc", "found": 0, "iou": pytest.approx(58 / 60), "right": False}
    assert second == {"is": "cross", "found": None, "iou": 0.0, "right": False}


@pytest.mark.parametrize("stage", STAGES)
def test_the_plain_picture_shows_the_chosen_stage(live, stage):
    live.stage = stage
    still = live.still()
    assert len(still.boxes) == 7 + {"detections": 7, "proposals": 20, "objectness": 0}[stage]
    assert len(still.texts) == (7 if stage == "detections" else 0)
    assert still.overlay.size == (17 * 17 * 4 if stage == "objectness" else 0)  # half cells at the borders
    live.figure()


@pytest.mark.parametrize(
    ("kinds", "boxes", "words"),
    [
        (["star"], [[10, 10, 50, 50]], "star"),
        (["disc"], [], "as many kinds"),
        (["disc"], [[10, 10, 10, 50]], "boxes"),
    ],
)
def test_shapes_that_cannot_be_drawn_are_refused(live, kinds, boxes, words):
    with pytest.raises(ValueError, match=words):
        live.set_shapes(kinds, boxes)


def test_a_model_of_other_classes_is_refused():
    with pytest.raises(ValueError, match="disc"):
        LiveDetector(fasterrcnn_tiny(num_classes=3))


def test_every_kind_is_drawn_and_known(live):
    for kind in KINDS:
        live.set_shapes([kind], [[90, 90, 150, 150]])
        assert live.num_named == 1, kind
