"""The region proposal network: rows find their anchors, proposals keep the rules, the paper's numbers hold."""

import pytest
import torch
from small_detector import blank_batch, draw_images, draw_targets, small_detector
from torch import Tensor

from frcnn_edu.anchors import PAPER_ASPECT_RATIOS, PAPER_SIZES, AnchorGenerator, base_anchors, grid_anchors
from frcnn_edu.boxes import box_iou, clip_boxes, decode_boxes, encode_boxes, nms
from frcnn_edu.config import PAPER_OPTIONS, Config
from frcnn_edu.faster_rcnn import fasterrcnn_vgg16
from frcnn_edu.images import batch_images
from frcnn_edu.rpn import AnchorTargets, Proposals, RegionProposalNetwork, RPNHead, _highest


def network(
    head: torch.nn.Module | None = None, sizes: tuple[tuple[float, ...], ...] = ((16.0, 32.0),), **options: object
) -> RegionProposalNetwork:
    """On 4-channel maps of stride 8 (16, 32 ...), with two sizes and three ratios a cell unless told otherwise."""
    torch.manual_seed(0)
    strides = tuple(8 * 2**level for level in range(len(sizes)))
    anchors = AnchorGenerator(sizes, (PAPER_ASPECT_RATIOS,) * len(sizes), strides)
    return RegionProposalNetwork(anchors, head or RPNHead(4, 3 * len(sizes[0])), Config(**options)).eval()


def draw_answers(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits (A,) and deltas (A, 4) of a network that has opinions."""
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(count, generator=generator), 0.5 * torch.randn(count, 4, generator=generator)


def propose(rpn: RegionProposalNetwork, seed: int = 0, **options: bool) -> tuple[Proposals, Tensor, Tensor, Tensor]:
    """Proposals on a 64 x 96 image, with the anchors, logits and deltas that they come from."""
    maps = [torch.zeros(1, 4, 8 // 2**i, 12 // 2**i) for i in range(len(rpn.anchor_generator.sizes))]
    anchors = torch.cat(rpn.anchor_generator(maps, (64, 96)))
    logits, deltas = draw_answers(len(anchors), seed)
    level_sizes = [(3 * len(s), *m.shape[2:]) for s, m in zip(rpn.anchor_generator.sizes, maps, strict=True)]
    return rpn.propose(logits, deltas, anchors, level_sizes, (64, 96), **options), anchors, logits, deltas


# The head


def test_the_head_answers_once_and_four_times_for_each_anchor_at_every_cell():
    logits, deltas = RPNHead(4, 6)([torch.rand(2, 4, 5, 7), torch.rand(2, 4, 3, 4)])
    assert [one.shape for one in logits] == [(2, 6, 5, 7), (2, 6, 3, 4)]
    assert [one.shape for one in deltas] == [(2, 24, 5, 7), (2, 24, 3, 4)]


def test_the_head_is_a_3x3_and_two_siblings_1x1_with_small_weights():
    torch.manual_seed(0)
    head = RPNHead(64, 9)
    conv = head.conv[0][0]
    assert (conv.kernel_size, conv.padding, conv.out_channels) == ((3, 3), (1, 1), 64)
    assert head.cls_logits.kernel_size == head.bbox_pred.kernel_size == (1, 1)
    for layer in (conv, head.cls_logits, head.bbox_pred):
        assert 0.009 < layer.weight.std() < 0.011, "a normal distribution of 0.01, section 3.1.3"
        assert not layer.bias.any()


def test_the_head_on_vgg16_is_the_papers():
    """Section 3.1: 512 channels for VGG, 3 x 3, then 9 scores and 36 deltas."""
    with torch.device("meta"):
        head = fasterrcnn_vgg16(21).rpn.head
    assert head.conv[0][0].weight.shape == (512, 512, 3, 3)
    assert head.cls_logits.weight.shape == (9, 512, 1, 1)
    assert head.bbox_pred.weight.shape == (36, 512, 1, 1)


class PlantedHead(torch.nn.Module):
    """Answers 0 everywhere, but at one level, anchor and cell 9 and the deltas 1, 2, 3, 4."""

    def __init__(self, level: int, anchor: int, row: int, column: int) -> None:
        super().__init__()
        self.place = level, anchor, row, column

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        level, anchor, row, column = self.place
        logits = [torch.zeros(len(f), 6, *f.shape[2:]) for f in features]
        deltas = [torch.zeros(len(f), 24, *f.shape[2:]) for f in features]
        logits[level][:, anchor, row, column] = 9
        deltas[level][:, 4 * anchor : 4 * anchor + 4, row, column] = torch.tensor([1.0, 2, 3, 4])
        return logits, deltas


@pytest.mark.parametrize("place", [(0, 0, 0, 0), (0, 4, 2, 5), (1, 5, 3, 1), (1, 0, 0, 2)])
def test_an_answer_reaches_the_anchor_at_its_cell(place):
    """Level, anchor of the cell, row and column: the anchor stands at (column, row) times the level's stride."""
    sizes = ((16.0, 32.0), (48.0, 64.0))
    level, anchor, row, column = place
    rpn = network(PlantedHead(*place), sizes)
    features = [torch.zeros(1, 4, 8, 12), torch.zeros(1, 4, 4, 6)]
    result = rpn(blank_batch((64, 96)), features)
    (index,) = (result.logits[0] == 9).nonzero().flatten().tolist()
    assert result.deltas[0, index].tolist() == [1, 2, 3, 4]
    assert result.deltas[0].any(dim=1).sum() == 1
    stride = 8 * 2**level
    expected = base_anchors(sizes[level], PAPER_ASPECT_RATIOS)[anchor]
    shift = torch.tensor([column, row, column, row]) * stride
    torch.testing.assert_close(result.anchors[index], expected + shift)
    found = result.proposals[0]
    assert found.anchor_index[found.kept[0]] == index
    assert result.level_sizes == [(6, 8, 12), (6, 4, 6)]


def test_images_of_one_batch_do_not_mix():
    rpn = network()
    features = torch.rand(2, 4, 8, 12)
    both = rpn(blank_batch((64, 96), (64, 96)), [features])
    for i in range(2):
        alone = rpn(blank_batch((64, 96)), [features[i : i + 1]])
        torch.testing.assert_close(both.logits[i], alone.logits[0])
        torch.testing.assert_close(both.proposals[i].boxes, alone.proposals[0].boxes)


# Proposals


def naive_proposals(
    rpn: RegionProposalNetwork, anchors: Tensor, logits: Tensor, deltas: Tensor, top_n: int, limit: int
):
    """Section 3.3 step by step for one level, the slow way: all decoded, sorted, cut, filtered, thinned out."""
    boxes = clip_boxes(decode_boxes(deltas, anchors), (64, 96))
    best = logits.argsort(descending=True)[:top_n]
    config = rpn.config
    best = [
        i
        for i in best.tolist()
        if min(boxes[i, 2] - boxes[i, 0], boxes[i, 3] - boxes[i, 1]) >= config.rpn_min_size
        and logits[i].sigmoid() >= config.rpn_score_thresh
    ]
    kept = nms(boxes[best], logits[best], config.rpn_nms_thresh)[:limit]
    return boxes[best][kept], torch.tensor(best)[kept]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rpn_pre_nms_top_n_test": 100, "rpn_post_nms_top_n_test": 20},
        {"rpn_nms_thresh": 0.3, "rpn_min_size": 10.0},
        {"rpn_score_thresh": 0.8},
    ],
    ids=str,
)
def test_proposals_are_the_best_anchors_moved_clipped_and_thinned_out(options):
    rpn = network(**options)
    found, anchors, logits, deltas = propose(rpn)
    config = rpn.config
    boxes, index = naive_proposals(
        rpn, anchors, logits, deltas, config.rpn_pre_nms_top_n_test, config.rpn_post_nms_top_n_test
    )
    assert len(boxes) > 3
    assert torch.equal(found.anchor_index[found.kept], index)
    torch.testing.assert_close(found.boxes, boxes)
    torch.testing.assert_close(found.decoded, decode_boxes(deltas, anchors)[found.anchor_index])
    torch.testing.assert_close(found.scores, logits[found.anchor_index].sigmoid())


@pytest.mark.parametrize("count", [1, 7, 30, 59, 60])
def test_of_equal_logits_the_earlier_anchor_is_taken(count):
    logits = torch.randint(4, (60,), generator=torch.Generator().manual_seed(count)).float()
    assert torch.equal(_highest(logits, count), logits.argsort(descending=True, stable=True)[:count])


def test_each_level_sends_its_best_and_is_thinned_out_on_its_own():
    rpn = network(sizes=((16.0, 32.0), (16.0, 32.0)), rpn_pre_nms_top_n_test=40, rpn_nms_thresh=0.3)
    found, anchors, logits, _ = propose(rpn)
    first = 8 * 12 * 6
    for level, rows in ((0, slice(0, first)), (1, slice(first, None))):
        mine = found.level == level
        assert mine.sum() == 40
        best = logits[rows].topk(40).indices + (rows.start or 0)
        assert torch.equal(found.anchor_index[mine], best)
    assert set(found.level[found.kept].tolist()) == {0, 1}
    iou = box_iou(found.boxes, found.boxes).fill_diagonal_(0)
    same = found.level[found.kept][:, None] == found.level[found.kept]
    assert (iou[same] <= 0.3).all()
    assert (iou[~same] > 0.3).any(), "boxes of two levels may overlap"
    assert (found.scores[found.kept].diff() <= 0).all(), "best first over all levels"
    assert len(anchors) == 8 * 12 * 6 + 4 * 6 * 6


def test_a_level_with_fewer_anchors_than_wanted_sends_all():
    found, anchors, *_ = propose(network(rpn_pre_nms_top_n_test=10**6, rpn_post_nms_top_n_test=10**6))
    assert len(found.scores) == len(anchors)


def test_small_ones_go_before_or_after_the_best_are_picked():
    """torchvision picks 50 and drops the small among them; the paper's code drops first, so 50 large ones are left."""
    after = propose(network(rpn_pre_nms_top_n_test=50, rpn_min_size=16.0))[0]
    before = propose(network(rpn_pre_nms_top_n_test=50, rpn_min_size=16.0, rpn_drop_small_first=True))[0]
    assert 0 < after.valid.sum() < 50
    assert before.valid.all()
    for found in (after, before):
        sides = found.boxes[:, 2:] - found.boxes[:, :2]
        assert (sides >= 16).all()
    _, anchors, logits, deltas = propose(network())
    sides = clip_boxes(decode_boxes(deltas, anchors), (64, 96)).unflatten(1, (2, 2)).diff(dim=1).squeeze(1)
    large = (sides >= 16).all(dim=1).nonzero().squeeze(1)
    assert set(before.anchor_index.tolist()) == set(large[logits[large].topk(50).indices].tolist())


@pytest.mark.parametrize(("min_size", "expected"), [(16.0, 1), (16.001, 0)])
def test_a_proposal_of_exactly_the_smallest_size_is_large_enough(min_size, expected):
    rpn = network(rpn_min_size=min_size)
    anchor = torch.tensor([[10.0, 10, 26, 26]])
    found = rpn.propose(torch.zeros(1), torch.zeros(1, 4), anchor, [(1, 1, 1)], (64, 96))
    assert len(found.boxes) == expected


def test_a_proposal_on_the_score_threshold_is_kept():
    rpn = network(rpn_score_thresh=0.5)
    anchors = torch.tensor([[10.0, 10, 26, 26], [50, 10, 66, 26]])
    found = rpn.propose(torch.tensor([0.0, -0.01]), torch.zeros(2, 4), anchors, [(2, 1, 1)], (64, 96))
    assert found.valid.tolist() == [True, False]
    assert found.kept.tolist() == [0]


def test_who_suppressed_whom_is_found_only_on_request():
    assert propose(network())[0].suppressed_by is None
    assert propose(network(), detail=True)[0].suppressed_by is not None
    features = [torch.rand(1, 4, 8, 12)]
    assert network()(blank_batch((64, 96)), features).proposals[0].suppressed_by is None
    assert network()(blank_batch((64, 96)), features, detail=True).proposals[0].suppressed_by is not None


def test_dropping_small_ones_first_may_leave_none():
    found = propose(network(rpn_min_size=1000.0, rpn_drop_small_first=True))[0]
    assert found.boxes.shape == (0, 4)
    assert not found.valid.any()


def test_proposals_are_constants_to_whoever_uses_them():
    rpn = network()
    result = rpn(blank_batch((64, 96)), [torch.rand(1, 4, 8, 12, requires_grad=True)])
    assert result.logits.requires_grad
    assert not result.proposals[0].boxes.requires_grad
    assert not result.proposals[0].scores.requires_grad


# Targets and loss


def assign(gt: Tensor, **options: object) -> tuple[AnchorTargets, Tensor]:
    rpn = network(**options)
    anchors = torch.cat(rpn.anchor_generator([torch.zeros(1, 4, 8, 12)], (64, 96)))
    torch.manual_seed(0)
    return rpn.assign(anchors, gt, (64, 96)), anchors


GT = torch.tensor([[10.0, 10, 40, 30], [50, 20, 80, 60]])


def test_sampled_anchors_know_their_label_and_positives_where_to_go():
    targets, anchors = assign(GT, rpn_fg_iou_thresh=0.5, rpn_batch_size_per_image=64)
    assert len(targets.sampled) == 64
    assert torch.equal(targets.labels, targets.matches.labels[targets.sampled])
    count = int(targets.labels.sum())
    assert count > 2
    assert targets.labels.tolist() == [1] * count + [0] * (64 - count)
    chosen = targets.sampled[:count]
    moved = decode_boxes(targets.deltas[:count], anchors[chosen])
    torch.testing.assert_close(moved, GT[targets.matches.gt_index[chosen]], rtol=0, atol=1e-4)
    torch.testing.assert_close(
        targets.deltas[:count], encode_boxes(GT[targets.matches.gt_index[chosen]], anchors[chosen])
    )
    assert not targets.deltas[count:].any()


def test_the_anchors_matches_are_those_of_their_iou():
    targets, anchors = assign(GT)
    best = box_iou(anchors, GT).max(dim=1)
    assert torch.equal(targets.matches.iou, best.values)
    assert torch.equal(targets.matches.gt_index, best.indices)


def test_anchors_over_the_border_are_kept_or_dropped():
    kept, anchors = assign(GT)
    dropped, _ = assign(GT, rpn_drop_cross_boundary=True)
    inside = (anchors[:, :2] >= 0).all(dim=1) & (anchors[:, 2] <= 96) & (anchors[:, 3] <= 64)
    assert 0 < inside.sum() < len(anchors)
    assert (kept.matches.labels[~inside] >= 0).any()
    assert (dropped.matches.labels[~inside] == -1).all()
    assert torch.equal(dropped.matches.labels[inside] == 0, kept.matches.labels[inside] == 0)
    assert inside[dropped.sampled].all()


def test_the_border_is_the_images_and_not_the_paddings():
    rpn = network(rpn_drop_cross_boundary=True)
    batch = blank_batch((40, 48), padded=(64, 96))
    result = rpn(batch, [torch.zeros(1, 4, 8, 12)], [torch.tensor([[5.0, 5, 30, 30]])])
    inside = (result.anchors >= 0).all(dim=1) & (result.anchors[:, 2] <= 48) & (result.anchors[:, 3] <= 40)
    labels = result.targets[0].matches.labels
    assert (labels[~inside] == -1).all()
    assert set(labels[inside].tolist()) == {-1, 0, 1}
    assert (result.proposals[0].boxes.amax(dim=0) <= torch.tensor([48.0, 40, 48, 40])).all()


def test_where_only_anchors_inside_count_the_best_of_those_is_positive():
    """The best anchor of all lies over the border; the rule must give the object the best one that is left."""
    gt = torch.tensor([[0.0, 20, 4, 36]])
    kept, anchors = assign(gt)
    dropped, _ = assign(gt, rpn_drop_cross_boundary=True)
    inside = (anchors == clip_boxes(anchors, (64, 96))).all(dim=1)
    assert not inside[kept.matches.labels == 1].any(), "the premise"
    iou = box_iou(anchors, gt)[:, 0] * inside
    assert torch.equal(dropped.matches.labels == 1, iou == iou.max())


@pytest.mark.parametrize(("n_reg", "balance"), [("samples", 1.0), ("samples", 4.0), ("locations", 10.0)])
def test_the_box_loss_is_divided_by_samples_or_by_locations(n_reg, balance):
    """Per image, so that a batch of two weighs what its images weigh on average."""
    maps = [torch.rand(2, 4, 8, 12)]
    results = [
        network(rpn_batch_size_per_image=32, **options)
        for options in ({}, {"rpn_n_reg": n_reg, "rpn_loss_balance": balance})
    ]
    losses = []
    for rpn in results:
        torch.manual_seed(3)
        losses.append(rpn(blank_batch((64, 96), (64, 96)), maps, [GT, GT]).loss)
    divisor = {"samples": 64, "locations": 2 * 8 * 12}[n_reg]
    torch.testing.assert_close(losses[1].objectness, losses[0].objectness)
    torch.testing.assert_close(losses[1].box_reg, losses[0].box_reg * balance * 64 / divisor)


def test_the_loss_looks_at_the_sampled_anchors_alone():
    rpn = network(rpn_batch_size_per_image=16)
    feature = torch.rand(1, 4, 8, 12)
    result = rpn(blank_batch((64, 96)), [feature], [GT])
    grads = torch.autograd.grad(result.loss.total, (result.logits, result.deltas))
    asked = torch.zeros(len(result.anchors), dtype=torch.bool).index_fill(0, result.targets[0].sampled, True)
    assert torch.equal(grads[0][0] != 0, asked)
    positive = asked & (result.targets[0].matches.labels == 1)
    assert torch.equal(grads[1][0].any(dim=1), positive)


# The paper's numbers


def test_600_by_1000_gives_the_papers_20_000_anchors():
    """Section 3.1.1: a map of about W x H = 2400 cells and about 20 000 anchors."""
    with torch.device("meta"):
        model = fasterrcnn_vgg16(21, **PAPER_OPTIONS)
        batch = batch_images([torch.empty(3, 600, 1000)], model.config)
        feature = model.backbone(batch.tensors)
    assert feature.shape == (1, 512, 38, 63)
    (anchors,) = model.rpn.anchor_generator([feature], batch.padded_size)
    assert len(anchors) == 38 * 63 * 9 == 21_546
    logits, deltas = model.rpn.head([feature])
    assert logits[0].shape == (1, 9, 38, 63)
    assert deltas[0].shape == (1, 36, 38, 63)


@pytest.mark.parametrize(
    ("size", "cells", "stride", "offset", "expected"),
    [
        ((600, 800), (38, 50), 16, 0.0, 5954),
        ((600, 800), (38, 50), 16, 0.5, 5834),
        ((600, 800), (38, 50), (600 / 38, 16.0), 0.5, 5876),  # cells stretched to fill the image, as some do
        ((600, 1000), (38, 63), 16, 0.0, 8044),
    ],
)
def test_how_many_anchors_lie_inside_the_image(size, cells, stride, offset, expected):
    """The paper has "about 6000" (section 3.1.3): that is an image of 600 x 800; 600 x 1000 has 8000."""
    base = base_anchors(PAPER_SIZES, PAPER_ASPECT_RATIOS)
    anchors = grid_anchors(base, cells, stride, offset)
    assert len(anchors) == 9 * cells[0] * cells[1]
    assert (anchors == clip_boxes(anchors, size)).all(dim=1).sum() == expected


def test_the_anchors_that_training_keeps_are_those_inside():
    generator = AnchorGenerator((PAPER_SIZES,), (PAPER_ASPECT_RATIOS,), strides=(16,))
    rpn = RegionProposalNetwork(generator, RPNHead(4, 9), Config(rpn_drop_cross_boundary=True))
    (anchors,) = generator([torch.zeros(1, 4, 38, 50)], (608, 800))
    inside = (anchors == clip_boxes(anchors, (600, 800))).all(dim=1)
    gt = anchors[inside][3000:3001]
    labels = rpn.assign(anchors, gt, (600, 800)).matches.labels
    iou = box_iou(anchors, gt)[:, 0]
    assert len(anchors) == 17_100
    assert inside.sum() == 5954
    assert torch.equal(labels == -1, ~inside | ((iou >= 0.3) & (iou < 0.7)))


# In the model


@pytest.mark.parametrize(("mode", "limits"), [("train", (30, 12)), ("eval", (20, 8))])
def test_training_and_inference_have_limits_of_their_own(mode, limits):
    options = {"rpn_pre_nms_top_n_train": 30, "rpn_post_nms_top_n_train": 12}
    options |= {"rpn_pre_nms_top_n_test": 20, "rpn_post_nms_top_n_test": 8}
    model = getattr(small_detector(**options), mode)()
    for found in model.trace(draw_images(), draw_targets()).rpn.proposals:
        assert len(found.scores) == limits[0]
        assert len(found.boxes) == limits[1]
