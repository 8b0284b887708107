"""The explorer of lesson 00 in Python: what it takes, what it knows of its anchor, what it leaves on paper."""

from dataclasses import replace

import pytest
import torch
from matplotlib.patches import Rectangle

from frcnn_edu.anchors import base_anchors, grid_anchors
from frcnn_edu.boxes import box_iou, encode_boxes
from frcnn_edu.datasets.photos import Photo
from frcnn_edu.explorers.lesson_00_overview import AnchorLife
from frcnn_edu.matching import Matcher

ROWS, COLUMNS, STRIDE = 6, 8, 16
NAMES = ("__background__", "cup", "spoon")


@pytest.fixture(scope="module")
def parts() -> dict:
    generator = torch.Generator().manual_seed(0)
    boxes = torch.tensor([[10.0, 12, 70, 80], [80, 20, 100, 90]])
    image = torch.rand(3, ROWS * STRIDE, COLUMNS * STRIDE, generator=generator)
    anchors = grid_anchors(base_anchors([32.0, 64.0], [0.5, 1.0, 2.0]), (ROWS, COLUMNS), STRIDE)
    matches = Matcher()(box_iou(anchors, boxes))
    return {
        "photo": Photo("scene", image, boxes, torch.tensor([1, 2]), NAMES, "made here"),
        "anchors": anchors,
        "matches": matches,
        "deltas": encode_boxes(boxes[matches.gt_index], anchors),
        "feature_map": torch.rand(ROWS, COLUMNS, generator=generator),
    }


def test_it_starts_with_the_anchor_that_fits_best(parts):
    life = AnchorLife(**parts)
    assert life.anchor == parts["matches"].iou.argmax()
    assert life.label == "positive"
    row, column = life.place
    center = (parts["anchors"][life.anchor, :2] + parts["anchors"][life.anchor, 2:]) / 2
    assert center.tolist() == pytest.approx([column * STRIDE, row * STRIDE])


def test_all_of_its_deltas_bring_a_positive_anchor_to_its_object_and_none_leave_it(parts):
    life = AnchorLife(**parts)
    for anchor in (parts["matches"].labels == 1).nonzero().flatten().tolist():
        life.anchor, life.progress = anchor, 0.0
        assert torch.allclose(life.proposal, parts["anchors"][anchor])
        life.progress = 1.0
        assert torch.allclose(life.proposal, parts["photo"].boxes[parts["matches"].gt_index[anchor]], atol=1e-3)


def test_an_anchor_that_is_not_positive_stays(parts):
    life = AnchorLife(**parts, progress=1.0)
    for label in (0, -1):
        life.anchor = int((parts["matches"].labels == label).nonzero()[0])
        assert torch.equal(life.proposal, parts["anchors"][life.anchor])


def test_it_pools_the_map_under_the_proposal(parts):
    constant = torch.full((ROWS, COLUMNS), 3.0)
    life = AnchorLife(**parts | {"feature_map": constant}, progress=1.0)
    assert life.pooled.tolist() == [[3.0] * 7] * 7


def test_the_plain_picture_shows_anchor_and_object(parts):
    axes = AnchorLife(**parts).figure().axes[0]
    assert any("with the cup, positive" in text.get_text() for text in axes.texts)
    assert len([patch for patch in axes.patches if isinstance(patch, Rectangle)]) == 2  # object, anchor
    assert len(axes.lines) == 1  # place


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"deltas": torch.zeros(3, 4)}, "one label and four deltas per anchor"),
        ({"feature_map": torch.zeros(ROWS, COLUMNS - 1)}, "the same number of the 288 anchors on every cell"),
        ({"feature_map": torch.zeros(1, ROWS, COLUMNS)}, r"one channel \(H, W\)"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts, wrong, message):
    with pytest.raises(ValueError, match=message):
        AnchorLife(**parts | wrong)


def test_an_anchor_that_is_not_there_is_refused(parts):
    life = AnchorLife(**parts)
    with pytest.raises(ValueError, match="anchor must be an index below 288"):
        life.anchor = 288


def test_labels_of_fewer_anchors_are_refused(parts):
    matches = replace(parts["matches"], labels=parts["matches"].labels[:-1])
    with pytest.raises(ValueError, match="287 labels"):
        AnchorLife(**parts | {"matches": matches})
