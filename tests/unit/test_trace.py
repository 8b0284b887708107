"""The trace: what `forward` did and nothing else, with links that hold."""

import dataclasses

import pytest
import torch
from small_detector import SIZES, draw_images, draw_targets, small_detector
from torch import Tensor

from frcnn_edu import boxes
from frcnn_edu.boxes import box_iou, clip_boxes, decode_boxes
from frcnn_edu.faster_rcnn import FasterRCNN, Trace
from frcnn_edu.roi_heads import SMALLEST_DETECTION


@pytest.fixture
def model() -> FasterRCNN:
    return small_detector(rpn_nms_thresh=0.5, box_nms_thresh=0.4, box_detections_per_img=10**6).eval()


@pytest.fixture
def trace(model: FasterRCNN) -> Trace:
    return model.trace(draw_images(), draw_targets())


# It is the same pass


def test_a_trace_finds_what_forward_finds(model):
    trace = model.trace(draw_images())
    for mine, found in zip(trace.detections, model(draw_images()), strict=True):
        assert len(mine.boxes) > 3
        for name, value in found.items():
            assert torch.equal(getattr(mine, name), value), name


def test_a_trace_in_training_has_forwards_losses_and_gradients():
    losses, gradients = [], []
    for call in ("forward", "trace"):
        model = small_detector().train()
        torch.manual_seed(7)
        result = getattr(model, call)(draw_images(), draw_targets())
        losses.append(result if call == "forward" else result.losses)
        sum(losses[-1].values()).backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert losses[0].keys() == losses[1].keys()
    assert all(torch.equal(losses[0][name], losses[1][name]) for name in losses[0])
    assert all(torch.equal(one, two) for one, two in zip(*gradients, strict=True))


def test_targets_do_not_change_what_is_found(model, trace):
    for with_targets, without in zip(trace.detections, model.trace(draw_images()).detections, strict=True):
        assert torch.equal(with_targets.boxes, without.boxes)


def test_forward_does_none_of_the_traces_extra_work(monkeypatch):
    """Looking for who suppressed whom is a second pass over all pairs; only a trace may pay for it."""

    def never(*_: object) -> Tensor:
        raise AssertionError("nobody asked who suppressed whom")

    model = small_detector()
    monkeypatch.setattr(boxes, "nms_suppressors", never)
    model.train()(draw_images(), draw_targets())
    model.eval()(draw_images())
    with pytest.raises(AssertionError, match="nobody asked"):
        model.trace(draw_images())


def test_a_trace_leaves_the_model_as_it_was(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.trace(draw_images(), draw_targets())
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


# What it holds


def parts_of(value: object) -> set[type]:
    """The dataclasses that a trace is made of, at any depth."""
    if isinstance(value, list):
        return set().union(*(parts_of(one) for one in value))
    if not dataclasses.is_dataclass(value):
        return set()
    return {type(value)}.union(*(parts_of(getattr(value, field.name)) for field in dataclasses.fields(value)))


def test_nothing_in_a_trace_can_be_changed_afterwards(trace):
    parts = parts_of(trace)
    assert len(parts) == 12
    assert all(part.__dataclass_params__.frozen for part in parts)


def test_a_trace_in_training_has_losses_and_no_detections():
    trace = small_detector().train().trace(draw_images(), draw_targets())
    assert trace.detections is None
    assert trace.roi is None
    assert trace.roi_training.loss is not None
    assert trace.rpn.targets is not None


def test_a_trace_in_evaluation_has_losses_only_with_targets(model, trace):
    assert trace.detections is not None
    assert set(trace.losses) == {"loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"}
    bare = model.trace(draw_images())
    assert bare.rpn.loss is bare.rpn.targets is bare.roi_training is None
    with pytest.raises(ValueError, match=r"without targets has no losses: trace\(images, targets\)"):
        _ = bare.losses


def test_shapes_are_as_documented(trace):
    batch, (cells, (anchors, _)) = len(SIZES), (trace.features["0"].shape[2:], trace.rpn.anchors.shape)
    assert trace.batch.tensors.shape[:2] == (batch, 3)
    assert trace.rpn.level_sizes == [(9, *cells)]
    assert anchors == 9 * cells[0] * cells[1]
    assert trace.rpn.logits.shape == (batch, anchors)
    assert trace.rpn.deltas.shape == (batch, anchors, 4)
    regions = sum(len(rois) for rois in trace.roi.rois)
    assert trace.roi.pooled.shape == (regions, 16, 7, 7)
    assert trace.roi.class_logits.shape == (regions, 4)
    assert trace.roi.box_deltas.shape == (regions, 4, 4)
    assert [len(one) for one in trace.roi.rois] == [len(one.boxes) for one in trace.rpn.proposals]


# Links


def test_every_proposal_is_its_anchor_moved_and_clipped(trace):
    for i, found in enumerate(trace.rpn.proposals):
        moved = decode_boxes(trace.rpn.deltas[i][found.anchor_index].detach(), trace.rpn.anchors[found.anchor_index])
        assert torch.equal(found.decoded, moved)
        assert torch.equal(found.clipped, clip_boxes(moved, trace.batch.sizes[i]))
        assert torch.equal(found.scores, trace.rpn.logits[i][found.anchor_index].detach().sigmoid())
        assert torch.equal(found.boxes, found.clipped[found.kept])
        assert torch.equal(trace.roi.rois[i], found.boxes)


def test_every_detection_is_its_anchor_moved_twice(model, trace):
    """From the anchor over the proposal to the box in the image's own pixels, with nothing but decode and clip."""
    start = 0
    for i, found in enumerate(trace.detections):
        size = trace.batch.sizes[i]
        first = trace.rpn.deltas[i][found.anchor_index].detach()
        proposals = clip_boxes(decode_boxes(first, trace.rpn.anchors[found.anchor_index]), size)
        assert torch.equal(proposals, trace.rpn.proposals[i].boxes[found.proposal_index])
        rows = start + found.proposal_index
        second = trace.roi.box_deltas[rows, found.labels].detach()
        boxes = clip_boxes(decode_boxes(second, proposals, model.config.bbox_reg_weights), size)
        torch.testing.assert_close(found.boxes, trace.batch.to_original(boxes, i))
        scores = trace.roi.class_logits[rows].detach().softmax(dim=1)
        torch.testing.assert_close(found.scores, scores[torch.arange(len(rows)), found.labels])
        start += len(trace.roi.rois[i])


def test_the_proposals_suppressor_is_kept_better_and_overlaps_too_much(trace, model):
    for found in trace.rpn.proposals:
        check_suppressors(
            found.clipped, found.scores, found.level, found.kept, found.suppressed_by, model.config.rpn_nms_thresh
        )
        assert (found.suppressed_by[~found.valid] == -1).all()


def test_the_answers_suppressor_is_kept_better_and_of_the_same_class(trace, model):
    for found in trace.roi.candidates:
        check_suppressors(
            found.clipped, found.scores, found.labels, found.kept, found.suppressed_by, model.config.box_nms_thresh
        )


def check_suppressors(
    boxes: Tensor, scores: Tensor, groups: Tensor, kept: Tensor, suppressed_by: Tensor, threshold: float
) -> None:
    """Every suppressor is kept, in the same group, no worse and too close; whoever has none is kept (or too small)."""
    suppressed = (suppressed_by >= 0).nonzero().squeeze(1)
    assert len(suppressed) > 3, "the premise"
    by = suppressed_by[suppressed]
    assert torch.isin(by, kept).all()
    assert not torch.isin(suppressed, kept).any()
    assert torch.equal(groups[by], groups[suppressed])
    assert (scores[by] >= scores[suppressed]).all()
    assert (box_iou(boxes[by], boxes[suppressed]).diagonal() > threshold).all()
    large = ((boxes[:, 2:] - boxes[:, :2]) >= SMALLEST_DETECTION).all(dim=1)
    left = set((large & (suppressed_by < 0)).nonzero().flatten().tolist())
    assert left == set(kept.tolist()), "without a limit in the way, whoever was not suppressed is kept"


def test_what_a_limit_left_out_was_suppressed_by_nobody():
    trace = small_detector(rpn_post_nms_top_n_test=3, box_detections_per_img=2).eval().trace(draw_images())
    for found in (*trace.rpn.proposals, *trace.roi.candidates):
        assert len(found.kept) in (2, 3)
        worst = found.scores[found.kept].min()
        large = ((found.clipped[:, 2:] - found.clipped[:, :2]) >= SMALLEST_DETECTION).all(dim=1)
        free = (large & (found.suppressed_by < 0)).nonzero().squeeze(1)
        free = free[~torch.isin(free, found.kept)]
        assert len(free) > 0, "the premise"
        assert (found.scores[free] <= worst).all()
        assert torch.isin(found.suppressed_by[found.suppressed_by >= 0], found.kept).all()


# Terms


def test_the_terms_sum_to_the_losses(trace):
    terms = {
        "loss_objectness": trace.rpn.loss.objectness_terms,
        "loss_rpn_box_reg": trace.rpn.loss.box_reg_terms,
        "loss_classifier": trace.roi_training.loss.classifier_terms,
        "loss_box_reg": trace.roi_training.loss.box_reg_terms,
    }
    for name, loss in trace.losses.items():
        torch.testing.assert_close(terms[name].sum(), loss)
    assert len(trace.rpn.loss.objectness_terms) == sum(len(one.sampled) for one in trace.rpn.targets)
    assert len(trace.roi_training.loss.classifier_terms) == sum(len(one.sampled) for one in trace.roi_training.samples)


def test_a_term_can_be_computed_from_its_anchors_logit(trace):
    """The lessons click an anchor and show this sum."""
    start, count = 0, sum(len(one.sampled) for one in trace.rpn.targets)
    for i, target in enumerate(trace.rpn.targets):
        logits = trace.rpn.logits[i][target.sampled]
        sign = 2 * target.labels - 1  # 1 for positives, -1 for negatives
        expected = (1 + (-sign * logits).exp()).log() / count
        stop = start + len(target.sampled)
        torch.testing.assert_close(trace.rpn.loss.objectness_terms[start:stop], expected)
        start = stop
