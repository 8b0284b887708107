"""The explorers of lesson 02, as Python sees them: what they count equals what matching and sampling say."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_detector import small_detector

from frcnn_edu.anchors import PAPER_ASPECT_RATIOS, PAPER_SIZES, base_anchors, grid_anchors
from frcnn_edu.boxes import box_iou
from frcnn_edu.datasets import photos
from frcnn_edu.explorers.lesson_02_iou_labeling import (
    BACKGROUND,
    BY_IOU,
    BY_RULE,
    DROPPED,
    TRUTH,
    UNSURE,
    IoUExplorer,
    LabelExplorer,
    SampleExplorer,
)
from frcnn_edu.explorers.paper import cells
from frcnn_edu.matching import BalancedSampler, Matcher

IMAGE = torch.full((3, 100, 140), 0.5)
BOXES = torch.tensor([[10.0, 20.0, 60.0, 70.0], [30.0, 10.0, 130.0, 40.0], [100.0, 80.0, 106.0, 86.0]])
PAIR = torch.tensor([[10.0, 20.0, 60.0, 70.0], [30.0, 10.0, 90.0, 60.0]])
SIZES = (16.0, 30.0, 50.0)

sides = st.floats(1, 80)
places = st.tuples(st.floats(0, 100), st.floats(0, 60), sides, sides)


def lab(boxes=BOXES, **options):
    return LabelExplorer(IMAGE, boxes, sizes=SIZES, ratios=(0.5, 1.0), **options)


def labels_by_hand(explorer):
    """Every anchor's label as the paper words it, one anchor at a time."""
    anchors, objects = explorer.anchors, explorer.objects
    iou = box_iou(anchors, objects).tolist()
    crosses = [x1 < 0 or y1 < 0 or x2 > 140 or y2 > 100 for x1, y1, x2, y2 in anchors.tolist()]
    out = [explorer.drop_crossing and one for one in crosses]
    tops = [max(row[g] for row, gone in zip(iou, out, strict=True) if not gone) for g in range(len(objects))]
    found = []
    for row, gone in zip(iou, out, strict=True):
        top = any(value == best > 0 for value, best in zip(row, tops, strict=True))
        if gone:
            found.append(DROPPED)
        elif max(row) >= torch.tensor(explorer.high):
            found.append(BY_IOU)
        elif explorer.best_rule and top:
            found.append(BY_RULE)
        else:
            found.append(BACKGROUND if max(row) < torch.tensor(explorer.low) else UNSURE)
    return found


@given(places=st.tuples(places, places))
@settings(max_examples=100, deadline=None)
def test_overlap_over_union_is_the_iou_of_the_package(places):
    boxes = torch.tensor([[x, y, x + width, y + height] for x, y, width, height in places])
    pair = IoUExplorer(IMAGE, boxes)
    assert pair.overlap / pair.union == pytest.approx(box_iou(boxes[:1], boxes[1:]).item(), abs=1e-4)
    assert pair.iou == pytest.approx(pair.overlap / pair.union, abs=1e-4)


def test_the_curves_pass_through_the_iou_and_know_what_a_move_does():
    pair = IoUExplorer(IMAGE, PAIR)
    assert pair.shift_curve(torch.zeros(1)).item() == pytest.approx(pair.iou)
    assert pair.scale_curve(torch.ones(1)).item() == pytest.approx(pair.iou)
    moved = torch.tensor([[30.0 - 15, 10.0, 90.0 - 15, 60.0], [30 + 15, 10 + 12.5, 90 - 15, 60 - 12.5]])
    expected = box_iou(moved, PAIR[:1]).squeeze(1)
    assert pair.shift_curve(torch.tensor([-0.25])).item() == pytest.approx(expected[0].item())
    assert pair.scale_curve(torch.tensor([0.5])).item() == pytest.approx(expected[1].item())


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_pair_is_two_boxes(count):
    with pytest.raises(ValueError, match=f"give two boxes, got {count}"):
        IoUExplorer(IMAGE, BOXES[:count])


@pytest.mark.parametrize("best_rule", [True, False])
@pytest.mark.parametrize("drop_crossing", [True, False])
@pytest.mark.parametrize(("high", "low"), [(0.7, 0.3), (0.5, 0.5), (0.95, 0.05)])
def test_every_anchor_is_in_the_state_that_the_paper_gives_it(best_rule, drop_crossing, high, low):
    explorer = lab(best_rule=best_rule, drop_crossing=drop_crossing, high=high, low=low)
    assert explorer.anchor_states.tolist() == labels_by_hand(explorer)


def test_the_states_come_up_at_all():
    assert set(labels_by_hand(lab(drop_crossing=True))) == {BY_IOU, BY_RULE, UNSURE, BACKGROUND, DROPPED}


@pytest.mark.parametrize("drop_crossing", [True, False])
def test_labels_are_those_of_the_model_in_training(drop_crossing):
    model = small_detector(rpn_drop_cross_boundary=drop_crossing)
    explorer = lab(drop_crossing=drop_crossing)
    trained_on = model.rpn.assign(explorer.anchors, BOXES, (100, 140)).matches
    torch.testing.assert_close(explorer.matches.labels, trained_on.labels)


def test_an_object_in_the_corner_gets_the_best_anchor_that_does_not_cross_the_border():
    corner = torch.tensor([[0.0, 0.0, 14.0, 12.0]])
    explorer = lab(corner)
    x1, y1, _, _ = explorer.anchors[explorer.matches.iou.argmax()].tolist()
    assert min(x1, y1) < 0, "the best anchor of all would be inside, so this test shows nothing"
    explorer.drop_crossing = True
    assert explorer.counts["unserved"] == 0
    assert explorer.anchor_states.tolist() == labels_by_hand(explorer)


def test_counts_add_up_and_follow_the_hand():
    explorer = lab()
    counts = explorer.counts
    total = counts["positive"] + counts["ignored"] + counts["negative"] + counts["dropped"]
    assert total == len(explorer.anchors) == len(grid_anchors(base_anchors(SIZES, (0.5, 1)), cells((100, 140), 16), 16))
    assert counts["by rule"] == (explorer.anchor_states == BY_RULE).sum()
    moved = explorer.boxes.copy()
    moved[0] += (20, 15, 20, 15)
    explorer.boxes = moved
    assert explorer.objects[0].tolist() == [30, 35, 80, 85]
    assert explorer.anchor_states.tolist() == labels_by_hand(explorer)
    assert explorer.counts != counts


def test_the_best_anchor_rule_serves_the_object_that_no_threshold_serves():
    explorer = lab(best_rule=False)
    assert explorer.counts["unserved"] > 0
    explorer.best_rule = True
    assert explorer.counts["unserved"] == 0


def test_the_figure_shows_the_labels_as_they_are_now():
    explorer = lab()
    explorer.high, explorer.best_rule = 0.5, False
    assert explorer.still().states.tolist() == [TRUTH] * 3 + labels_by_hand(explorer)


def test_without_objects_every_anchor_is_negative():
    explorer = lab(torch.zeros(0, 4))
    assert explorer.counts["negative"] == len(explorer.anchors) > 0
    assert explorer.counts["unserved"] == 0


def test_a_threshold_stops_at_the_other_one():
    explorer = lab()
    explorer.low = 0.9
    assert (explorer.low, explorer.high) == (0.7, 0.7)
    explorer.high = 0.2
    assert (explorer.low, explorer.high) == (0.7, 0.7)


def test_only_objects_can_be_dragged():
    explorer = lab()
    assert explorer.editable.tolist() == [True] * 3 + [False] * len(explorer.anchors)


@pytest.fixture(scope="module")
def two_photos():
    return [photos.load("coffee"), photos.load("coins")]


def labels_of(photo):
    anchors = grid_anchors(base_anchors(PAPER_SIZES, PAPER_ASPECT_RATIOS), cells(photo.image.shape[1:], 16), 16)
    return anchors, Matcher()(box_iou(anchors, photo.boxes)).labels


@pytest.mark.parametrize("picture", [0, 1, 2])
def test_a_step_draws_what_the_sampler_draws(two_photos, picture):
    explorer = SampleExplorer(two_photos, picture=picture, step=7)
    photo = two_photos[picture % 2]
    anchors, labels = labels_of(photo)
    sample = BalancedSampler()(labels, torch.Generator().manual_seed(7))
    there = [int((labels == label).sum()) for label in (1, 0)]
    assert explorer.tally == (len(sample.positive), len(sample.negative), *there)
    still = explorer.still()
    drawn = {kind: torch.tensor(still.boxes[still.states == kind]) for kind in (0, 1, 2)}
    torch.testing.assert_close(drawn[1], anchors[sample.positive])
    torch.testing.assert_close(drawn[2], anchors[sample.negative])
    torch.testing.assert_close(drawn[0], photo.boxes)


def test_another_step_draws_others_and_another_batch_fewer(two_photos):
    explorer = SampleExplorer(two_photos)
    first = explorer.still().boxes
    explorer.step = 1
    assert first.tolist() != explorer.still().boxes.tolist()
    explorer.batch_size = 32
    assert explorer.tally[:2] == (16, 16)
    explorer.positive_fraction = 0.25
    assert explorer.tally[:2] == (8, 24)


def test_another_photograph_brings_its_own_image(two_photos):
    explorer = SampleExplorer(two_photos)
    explorer.picture = 1
    assert explorer.image.shape[:2] == tuple(two_photos[1].image.shape[1:])
    assert explorer.tally[:2] == (128, 128)


def test_no_photograph_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        SampleExplorer([])


def test_every_explorer_has_a_plain_picture_for_a_page_without_a_kernel(two_photos):
    for explorer in (IoUExplorer(IMAGE, PAIR), lab(), SampleExplorer(two_photos)):
        data, _ = explorer._repr_mimebundle_()
        assert len(data["image/jpeg"]) > 1000
        assert repr(explorer) == repr(explorer)
