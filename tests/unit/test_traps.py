"""Mistakes that well-known implementations make; each test here fails where the mistake is made."""

import pytest
import torch
from small_detector import draw_images, draw_targets, small_detector

from frcnn_edu.anchors import PAPER_ASPECT_RATIOS, PAPER_SIZES, AnchorGenerator
from frcnn_edu.boxes import box_iou, clip_boxes, decode_boxes
from frcnn_edu.config import Config
from frcnn_edu.faster_rcnn import fasterrcnn_tiny, fasterrcnn_vgg16
from frcnn_edu.matching import Matcher
from frcnn_edu.rpn import RegionProposalNetwork, RPNHead

IMAGE = (600, 800)
CORNER = torch.tensor([[796.0, 596.0, 800.0, 600.0]])
"""An object of 4 x 4 pixels in the corner of the image, where no anchor lies wholly inside."""


def paper_anchors(cells: tuple[int, int] = (38, 50), padded: tuple[int, int] = (608, 800)) -> torch.Tensor:
    generator = AnchorGenerator((PAPER_SIZES,), (PAPER_ASPECT_RATIOS,), strides=(16,))
    return generator([torch.zeros(1, 1, *cells)], padded)[0]


def inside(anchors: torch.Tensor) -> torch.Tensor:
    return (anchors == clip_boxes(anchors, IMAGE)).all(dim=1)


# `iou == best` where the best is 0


def test_an_object_that_no_anchor_inside_touches_makes_none_positive():
    """With `iou == best` alone, all 5954 anchors inside would be: each equals the best, which is 0."""
    anchors = paper_anchors()
    anchors = anchors[inside(anchors)]
    iou = box_iou(anchors, CORNER)
    assert not iou.any()
    assert (iou == iou.amax(dim=0)).sum() == 5954, "what the mistake would make of it"
    assert Matcher()(iou).labels.sum() == 0


def test_the_network_that_drops_anchors_at_the_border_makes_none_positive_either():
    generator = AnchorGenerator((PAPER_SIZES,), (PAPER_ASPECT_RATIOS,), strides=(16,))
    anchors = paper_anchors()
    for drop, expected in ((True, 0), (False, int((box_iou(anchors, CORNER) == box_iou(anchors, CORNER).max()).sum()))):
        rpn = RegionProposalNetwork(generator, RPNHead(1, 9), Config(rpn_drop_cross_boundary=drop))
        assert (rpn.assign(anchors, CORNER, IMAGE).matches.labels == 1).sum() == expected
    assert 0 < expected < 100, "all anchors kept, the truly best ones are positive"


# The exponential of whatever an untrained network says


def test_a_wild_delta_makes_a_box_of_1000_px_and_not_of_millions():
    """A 128-px anchor and dw = dh = 10: exp(10) is 22026, so 2.8 million px wide."""
    anchor, wild = torch.tensor([[0.0, 0, 128, 128]]), torch.tensor([[0.0, 0, 10, 10]])
    believed = decode_boxes(wild, anchor, log_scale_limit=torch.inf)
    assert (believed[:, 2] - believed[:, 0]).item() == pytest.approx(128 * 22026.47, rel=1e-5)
    box = decode_boxes(wild, anchor)
    assert (box[:, 2] - box[:, 0]).item() == pytest.approx(128 * 1000 / 16)
    assert (box[:, 3] - box[:, 1]).item() == pytest.approx(128 * 1000 / 16)


def test_both_stages_use_the_limit():
    for limit, sides in ((0.5, 2), (torch.inf, 40)):
        model = small_detector(log_scale_limit=limit).eval()
        with torch.no_grad():
            for layer in (model.rpn.head.bbox_pred, model.roi_heads.box_predictor.bbox_pred):
                layer.weight.zero_()
                layer.bias.view(-1, 4).copy_(torch.tensor([0.0, 0, 20, 20]))  # the second stage divides by 5
        trace = model.trace(draw_images())
        for stage, before in ((trace.rpn.proposals, trace.rpn.anchors), (trace.roi.candidates, None)):
            for i, found in enumerate(stage):
                start = before[found.anchor_index] if before is not None else trace.roi.rois[i][found.proposal_index]
                growth = (found.decoded[:, 2] - found.decoded[:, 0]) / (start[:, 2] - start[:, 0])
                assert len(growth) > 0
                assert (growth < sides).all() if limit == 0.5 else (growth > sides).all()


# 0 / 0


def test_boxes_without_area_overlap_nothing_and_spread_no_nan():
    flat = torch.tensor([[5.0, 5, 5, 5], [5, 5, 5, 9]])
    boxes = torch.cat((flat, torch.tensor([[0.0, 0, 10, 10]])))
    assert torch.equal(box_iou(boxes, boxes), torch.diag(torch.tensor([0.0, 0.0, 1.0])))
    assert Matcher()(box_iou(boxes, flat)).labels.tolist() == [0, 0, 0]


# No object at all


@pytest.mark.parametrize("counts", [(0, 2), (2, 0), (0, 0)])
@pytest.mark.parametrize("options", [{}, {"rpn_drop_cross_boundary": True, "rpn_n_reg": "locations"}], ids=str)
def test_images_without_objects_train(counts, options):
    model = small_detector(**options).train()
    losses = model(draw_images(), draw_targets(counts=counts))
    assert all(loss.isfinite() for loss in losses.values())
    if counts == (0, 0):
        assert losses["loss_box_reg"] == losses["loss_rpn_box_reg"] == 0
    assert losses["loss_objectness"] > 0, "there is background to learn"
    assert losses["loss_classifier"] > 0
    sum(losses.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_an_image_without_objects_and_without_proposals_trains():
    """Nothing is large enough to be a proposal, and there is no object to take its place."""
    model = small_detector(rpn_min_size=500.0).train()
    losses = model(draw_images(), draw_targets(counts=(0, 0)))
    assert losses["loss_classifier"] == losses["loss_box_reg"] == 0
    sum(losses.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.rpn.parameters())
    assert all(len(found["boxes"]) == 0 for found in model.eval()(draw_images()))


# self.training, read too early


def test_limits_follow_the_mode_of_the_moment():
    """Read in a constructor, `self.training` is always true, and inference gets the 2000 proposals of training."""
    model = small_detector(
        rpn_pre_nms_top_n_train=60, rpn_post_nms_top_n_train=40, rpn_pre_nms_top_n_test=30, rpn_post_nms_top_n_test=10,
        rpn_nms_thresh=1.0,
    )  # fmt: skip
    for mode, expected in (("train", 40), ("eval", 10), ("train", 40), ("eval", 10)):
        trace = getattr(model, mode)().trace(draw_images(), draw_targets())
        assert [len(found.boxes) for found in trace.rpn.proposals] == [expected] * 2


def test_the_usual_limits_are_2000_in_training_and_1000_in_evaluation():
    generator = AnchorGenerator((PAPER_SIZES,), (PAPER_ASPECT_RATIOS,), strides=(16,))
    rpn = RegionProposalNetwork(generator, RPNHead(1, 9), Config(rpn_nms_thresh=1.0))
    anchors, draw = paper_anchors(), torch.Generator().manual_seed(0)
    logits = torch.randn(len(anchors), generator=draw)
    for mode, expected in (("train", 2000), ("eval", 1000)):
        found = getattr(rpn, mode)().propose(logits, torch.zeros_like(anchors), anchors, [(9, 38, 50)], IMAGE)
        assert len(found.boxes) == expected


# The stride, read off shapes


def test_a_stride_that_is_given_is_exact():
    """600 // 38 is 15: after 37 rows, anchors would be 37 px too high."""
    sizes = ((PAPER_SIZES,), (PAPER_ASPECT_RATIOS,))
    last_row = []
    for strides in ((16,), None):
        (anchors,) = AnchorGenerator(*sizes, strides=strides)([torch.zeros(1, 1, 38, 50)], IMAGE)
        centers = (anchors[:, :2] + anchors[:, 2:]) / 2
        last_row.append(centers[-1].tolist())
    assert last_row == [[49 * 16, 37 * 16], [49 * 16, 37 * 15]]


def test_every_builder_of_one_level_gives_its_stride():
    with torch.device("meta"):
        models = fasterrcnn_tiny(2), fasterrcnn_vgg16(2)
    assert all(model.rpn.anchor_generator.strides == (16,) for model in models)
