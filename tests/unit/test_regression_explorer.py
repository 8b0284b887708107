"""The explorers of lesson 04, as Python sees them: deltas follow boxes, boxes deltas, anchors the snapshots."""

import math

import pytest
import torch
import traitlets
from hypothesis import given, settings
from hypothesis import strategies as st
from small_detector import draw_images, draw_targets, small_detector

from frcnn_edu.boxes import box_iou, decode_boxes, encode_boxes
from frcnn_edu.explorers.lesson_04_box_regression import (
    DeltaExplorer,
    PullExplorer,
    Pulls,
    pulls,
    raw_offsets,
    trained_pulls,
)

IMAGE = torch.full((3, 100, 140), 0.5)
ANCHOR = torch.tensor([20.0, 20.0, 60.0, 100.0])
TARGET = torch.tensor([40.0, 30.0, 80.0, 70.0])

corner = st.tuples(st.floats(-50, 200), st.floats(-50, 200))
sides = st.tuples(st.floats(4, 200), st.floats(4, 200))


def box(corner, sides):
    return torch.tensor([*corner, corner[0] + sides[0], corner[1] + sides[1]])


def test_the_deltas_are_shifts_in_anchor_sides_and_logs_of_ratios():
    explorer = DeltaExplorer(IMAGE, ANCHOR, TARGET)
    dx, dy, dw, dh = explorer.deltas.tolist()
    assert (dx, dy) == pytest.approx((20 / 40, -10 / 80))
    assert (dw, dh) == pytest.approx((0, math.log(40 / 80)))
    assert explorer.weighted.tolist() == pytest.approx([10 * dx, 10 * dy, 5 * dw, 5 * dh])
    assert explorer.pixels.tolist() == pytest.approx([20, -10, 0, -40])
    assert explorer.iou == pytest.approx(box_iou(ANCHOR[None], TARGET[None]).item())


@given(anchor=st.tuples(corner, sides), dx=st.floats(-1, 1), dh=st.floats(-1.5, 1.5))
@settings(max_examples=30, deadline=None)
def test_deltas_that_are_sent_move_the_third_box_and_no_other(anchor, dx, dh):
    explorer = DeltaExplorer(IMAGE, box(*anchor), TARGET)
    torch.testing.assert_close(explorer.decoded, box(*anchor), atol=1e-3, rtol=1e-5)
    explorer.sent = (dx, 0.25, -0.5, dh)
    back = encode_boxes(explorer.decoded[None], box(*anchor)[None])[0]
    torch.testing.assert_close(back, torch.tensor([dx, 0.25, -0.5, dh]), atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(explorer.box_tensor, torch.stack([box(*anchor), TARGET]))


def test_sent_by_the_deltas_between_them_the_anchor_becomes_the_object():
    explorer = DeltaExplorer(IMAGE, ANCHOR, TARGET)
    explorer.sent = tuple(explorer.deltas.tolist())
    torch.testing.assert_close(explorer.decoded, TARGET)
    with pytest.raises(traitlets.TraitError, match="four numbers"):
        explorer.sent = (0, 0)


@pytest.mark.parametrize("factor", [0.25, 3])
def test_scaling_both_boxes_changes_pixels_and_no_delta(factor):
    explorer = DeltaExplorer(IMAGE, ANCHOR, TARGET)
    deltas, pixels = explorer.deltas, explorer.pixels
    explorer.scale(factor)
    torch.testing.assert_close(explorer.deltas, deltas)
    torch.testing.assert_close(explorer.pixels, factor * pixels)
    middle = lambda box: (box[:2] + box[2:]) / 2  # noqa: E731
    torch.testing.assert_close(middle(explorer.box_tensor[0]), middle(ANCHOR))


def test_what_the_hand_does_to_both_boxes_reaches_python():
    explorer = DeltaExplorer(IMAGE, ANCHOR, TARGET)
    moves = [{"index": index, "box": (box / 2).tolist()} for index, box in enumerate((ANCHOR, TARGET))]
    explorer.set_state({"_edit": {"number": 1, "moves": moves, "final": True}})
    torch.testing.assert_close(explorer.box_tensor, torch.stack([ANCHOR, TARGET]) / 2)


def test_boxes_without_area_are_refused():
    with pytest.raises(ValueError, match="no area"):
        DeltaExplorer(IMAGE, ANCHOR, torch.tensor([10.0, 10.0, 10.0, 50.0]))


@given(a=st.tuples(corner, sides), g=st.tuples(corner, sides))
@settings(max_examples=50, deadline=None)
def test_raw_offsets_are_the_deltas_before_division_and_log(a, g):
    anchor, target = box(*a)[None], box(*g)[None]
    width, height = (anchor[:, 2:] - anchor[:, :2])[0]
    dx, dy, dw, dh = encode_boxes(target, anchor)[0]
    expected = torch.stack((dx * width, dy * height, width * dw.expm1(), height * dh.expm1()))
    torch.testing.assert_close(raw_offsets(target, anchor)[0], expected, atol=5e-2, rtol=1e-3)


@pytest.fixture(scope="module")
def scene():
    (image, *_), (target, *_) = draw_images(), draw_targets()
    return image, target


@pytest.fixture(scope="module")
def found(scene):
    return pulls({0: small_detector(0), 50: small_detector(1)}, *scene)


def test_pulls_are_the_decoded_positive_anchors_of_every_model(scene, found):
    image, target = scene
    trace = small_detector(1).eval().trace([image], [target])
    positive = trace.rpn.targets[0].matches.labels == 1
    anchors = trace.rpn.anchors[positive]
    expected = trace.batch.to_original(decode_boxes(trace.rpn.deltas[0, positive], anchors), 0)
    assert found.steps == (0, 50)
    torch.testing.assert_close(found.boxes[1], expected.detach())
    torch.testing.assert_close(found.anchors, trace.batch.to_original(anchors, 0))
    gt_index = trace.rpn.targets[0].matches.gt_index[positive]
    torch.testing.assert_close(found.targets, target["boxes"][gt_index])
    assert not torch.equal(found.boxes[0], found.boxes[1])
    assert not found.boxes.requires_grad


def test_the_iou_of_pulls_is_that_of_each_box_with_its_own_object(found):
    for moment, boxes in zip(found.iou, found.boxes, strict=True):
        each = [box_iou(one[None], its[None]).item() for one, its in zip(boxes, found.targets, strict=True)]
        assert moment.tolist() == pytest.approx(each)


def test_the_pull_explorer_starts_with_the_anchor_that_gains_most():
    wide, half = torch.tensor([0.0, 0.0, 80.0, 80.0]), torch.tensor([0.0, 0.0, 40.0, 80.0])
    moved = torch.stack([torch.stack([wide, half, half]), torch.stack([half, wide, half])])  # (2, 3, 4)
    explorer = PullExplorer(IMAGE, wide[None], Pulls((0, 9), wide.expand(3, 4), wide.expand(3, 4), moved))
    assert explorer.anchor == 1


def test_the_pull_explorer_follows_snapshot_and_anchor(scene, found):
    explorer = PullExplorer(scene[0], scene[1]["boxes"], found)
    explorer.snapshot, explorer.anchor = 1, 2
    torch.testing.assert_close(explorer.moved, found.boxes[1])
    assert explorer.iou == pytest.approx(found.iou[1, 2].item())
    assert explorer.mean_iou == pytest.approx(found.iou[1].mean().item())


@pytest.mark.parametrize(("name", "value"), [("snapshot", 2), ("anchor", 10_000), ("anchor", -1)])
def test_a_snapshot_or_an_anchor_that_is_not_there_is_refused(scene, found, name, value):
    explorer = PullExplorer(scene[0], scene[1]["boxes"], found)
    with pytest.raises(traitlets.TraitError, match=name):
        setattr(explorer, name, value)


def test_an_image_without_objects_has_nothing_to_pull(scene):
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    with pytest.raises(ValueError, match="without objects"):
        pulls({0: small_detector()}, scene[0], empty)
    nothing = Pulls((0,), torch.zeros(0, 4), torch.zeros(0, 4), torch.zeros(1, 0, 4))
    with pytest.raises(ValueError, match="no positive anchor"):
        PullExplorer(scene[0], [], nothing)


def test_trained_pulls_need_a_trace_with_targets(scene):
    image, target = scene
    with pytest.raises(ValueError, match="no targets"):
        trained_pulls(small_detector().eval().trace([image]), target["boxes"])


@pytest.mark.parametrize("everyone", [False, True])
def test_every_explorer_has_a_plain_picture_for_a_page_without_a_kernel(scene, found, everyone):
    for made in (
        DeltaExplorer(IMAGE, ANCHOR, TARGET),
        PullExplorer(scene[0], scene[1]["boxes"], found, everyone=everyone),
    ):
        data, _ = made._repr_mimebundle_()
        assert len(data["image/jpeg"]) > 1000
