"""Non-maximum suppression: index for index what the textbook's loop and torchvision keep, and who suppressed whom."""

import math

import pytest
import torch
from drawn import SEEDS, boxes, crowded_boxes, image_boxes
from hypothesis import given, settings
from hypothesis import strategies as st
from pretended_device import pretend, pretended_gpu
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision import ops

from frcnn_edu.boxes import NMS_PAIRS, batched_nms, box_iou, nms, nms_suppressors, thin_out

NMS_BLOCK = math.isqrt(NMS_PAIRS) + 1
THRESHOLDS = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.6, 0.7, 1.0])
COUNTS = st.one_of(st.integers(0, 40), st.integers(NMS_BLOCK - 2, NMS_BLOCK + 2), st.integers(41, 500))
THREE = torch.tensor([[0.0, 0.0, 10.0, 10.0], [1.0, 0.0, 11.0, 10.0], [20.0, 0.0, 30.0, 10.0]])


def textbook_nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> list[int]:
    waiting, kept = scores.argsort(descending=True, stable=True).tolist(), []
    iou = box_iou(boxes, boxes).tolist()
    while waiting:
        best = waiting.pop(0)
        kept.append(best)
        waiting = [other for other in waiting if iou[best][other] <= iou_threshold]
    return kept


def draw_scores(count: int, seed: int, levels: int | None = None) -> Tensor:
    """Scores in [0, 1): all different, or of a few `levels`, so that many are equal."""
    generator = torch.Generator().manual_seed(seed)
    if levels is None:
        return torch.randperm(count, generator=generator) / max(count, 1)
    return torch.randint(0, levels, (count,), generator=generator) / levels


def draw_groups(count: int, seed: int, groups: int, skew: float = 1.0) -> Tensor:
    """Labels, some negative; with more `skew` a few groups have most boxes."""
    share = torch.rand(count, generator=torch.Generator().manual_seed(seed)) ** skew
    return (share * groups).long() * 7 - 3


def per_group(boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float) -> Tensor:
    """torchvision's nms of each group, one after another, then all best first, the earlier box first of two equals."""
    kept = [
        index[ops.nms(boxes[index], scores[index], iou_threshold)]
        for index in ((groups == group).nonzero().squeeze(1) for group in groups.unique())
    ]
    kept = torch.cat([*kept, torch.zeros(0, dtype=torch.int64)]).sort().values
    return kept[scores[kept].argsort(descending=True, stable=True)]


# What is kept


@settings(max_examples=150, deadline=None)
@given(COUNTS, SEEDS, THRESHOLDS, st.sampled_from([None, 1, 4, 30]))
def test_crowds_are_kept_as_torchvision_keeps_them(count, seed, threshold, levels):
    crowd, scores = crowded_boxes(count, seed), draw_scores(count, seed, levels)
    kept = nms(crowd, scores, threshold)
    assert kept.dtype == torch.int64
    assert torch.equal(kept, ops.nms(crowd, scores, threshold))


@settings(deadline=None)
@given(boxes(max_size=30), SEEDS, THRESHOLDS)
def test_any_boxes_are_kept_as_torchvision_keeps_them(drawn, seed, threshold):
    scores = draw_scores(len(drawn), seed, 5)
    assert torch.equal(nms(drawn, scores, threshold), ops.nms(drawn, scores, threshold))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 60), SEEDS, st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
def test_the_textbook_keeps_the_same(count, seed, threshold):
    crowd, scores = crowded_boxes(count, seed), draw_scores(count, seed, 6)
    assert nms(crowd, scores, threshold).tolist() == textbook_nms(crowd, scores, threshold)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("count", [2000, 6000])
def test_thousands_are_kept_as_torchvision_keeps_them(count, threshold):
    many, scores = image_boxes(count, count), draw_scores(count, 1)
    assert torch.equal(nms(many, scores, threshold), ops.nms(many, scores, threshold))


@settings(max_examples=50, deadline=None)
@given(COUNTS, SEEDS, st.integers(1, 25), st.sampled_from([1.0, 4.0]), THRESHOLDS)
def test_groups_are_kept_as_torchvision_keeps_each_alone(count, seed, groups, skew, threshold):
    crowd, scores, labels = (
        crowded_boxes(count, seed),
        draw_scores(count, seed, 20),
        draw_groups(count, seed, groups, skew),
    )
    expected = per_group(crowd, scores, labels, threshold)
    assert torch.equal(batched_nms(crowd, scores, labels, threshold), expected)


@pytest.mark.parametrize("count", [300, 3000])  # torchvision has one way for few boxes and another for many
@pytest.mark.parametrize("groups", [1, 20, 200])
def test_groups_are_kept_as_torchvisions_batched_nms_keeps_them(count, groups):
    many, scores, labels = image_boxes(count, 5), draw_scores(count, 6), draw_groups(count, 7, groups, 2.0)
    expected = ops.batched_nms(many, scores, labels, 0.5)
    assert torch.equal(batched_nms(many, scores, labels, 0.5), expected)


@settings(deadline=None)
@given(COUNTS, SEEDS, st.integers(0, 30), st.integers(1, 6))
def test_a_limit_takes_the_best_of_what_would_be_kept(count, seed, limit, groups):
    crowd, scores, labels = crowded_boxes(count, seed), draw_scores(count, seed, 50), draw_groups(count, seed, groups)
    assert torch.equal(nms(crowd, scores, 0.5, limit), nms(crowd, scores, 0.5)[:limit])
    every = batched_nms(crowd, scores, labels, 0.5)
    assert torch.equal(batched_nms(crowd, scores, labels, 0.5, limit), every[:limit])


@settings(deadline=None)
@given(st.integers(0, 60), SEEDS, st.integers(0, 30), st.integers(1, 6), st.sampled_from([0, 8, 200]))
def test_blocks_of_any_size_keep_the_same(count, seed, limit, groups, pairs):
    crowd, scores, labels = crowded_boxes(count, seed), draw_scores(count, seed, 50), draw_groups(count, seed, groups)
    every = batched_nms(crowd, scores, labels, 0.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(batched_nms.__globals__, "NMS_PAIRS", pairs)
        assert torch.equal(batched_nms(crowd, scores, labels, 0.5), every)
        assert torch.equal(batched_nms(crowd, scores, labels, 0.5, limit), every[:limit])


def test_a_group_that_keeps_few_goes_on_until_it_has_the_limit(monkeypatch):
    """Its first three boxes are one, and its fourth and fifth are better than all of the other group."""
    monkeypatch.setitem(batched_nms.__globals__, "NMS_PAIRS", 0)
    place = torch.tensor([0.0, 0.0, 0.0, 50.0, 100.0, 0.0, 50.0, 100.0, 150.0, 200.0])
    boxes, scores = place[:, None] + torch.tensor([0.0, 0.0, 10.0, 10.0]), torch.linspace(1, 0, 10)
    assert batched_nms(boxes, scores, torch.tensor([0] * 5 + [1] * 5), 0.5, limit=3).tolist() == [0, 3, 4]


def test_a_limit_ends_the_search(monkeypatch):
    steps = []
    count_steps = lambda rows, stays, nobody: steps.append(rows) or pack(rows, stays, nobody)  # noqa: E731
    pack = nms.__globals__["_pack"]
    monkeypatch.setitem(nms.__globals__, "_pack", count_steps)
    apart = torch.arange(3000.0)[:, None] * 10 + torch.tensor([0.0, 0.0, 5.0, 5.0])
    assert len(nms(apart, draw_scores(3000, 0), 0.5, limit=10)) == 10
    with_limit = len(steps)
    assert len(nms(apart, draw_scores(3000, 0), 0.5)) == 3000
    assert len(steps) - with_limit > 10 * with_limit


# Corner cases


def test_an_overlap_of_just_the_threshold_suppresses_nothing():
    half = torch.tensor([[0.0, 0.0, 2.0, 1.0], [0.0, 0.0, 1.0, 1.0]])  # IoU is 1/2
    scores = torch.tensor([0.9, 0.8])
    assert nms(half, scores, 0.5).tolist() == [0, 1]
    assert nms(half, scores, 0.4999).tolist() == [0]


@pytest.mark.parametrize("tenths", range(1, 10))
def test_the_threshold_is_not_rounded_up_to_the_precision_of_the_boxes(tenths):
    pair = torch.tensor(
        [[0.0, 0.0, 10.0, 1.0], [0.0, 0.0, float(tenths), 1.0]]
    )  # IoU is tenths / 10; 0.3 in float32 is above 0.3
    scores = torch.tensor([0.9, 0.8])
    kept = nms(pair, scores, tenths / 10)
    assert torch.equal(kept, ops.nms(pair, scores, tenths / 10))
    assert torch.equal(nms(pair.double(), scores, tenths / 10), ops.nms(pair.double(), scores.double(), tenths / 10))


def test_of_equal_scores_the_earlier_box_goes_first():
    assert nms(THREE, torch.tensor([0.5, 0.5, 0.5]), 0.5).tolist() == [0, 2]
    assert nms(THREE.flip(0), torch.tensor([0.5, 0.5, 0.5]), 0.5).tolist() == [0, 1]


def test_kept_boxes_come_best_first_over_all_groups():
    scores, groups = torch.tensor([0.1, 0.9, 0.5]), torch.tensor([4, 2, 4])
    assert batched_nms(THREE, scores, groups, 0.5).tolist() == [1, 2, 0]


def test_groups_do_not_suppress_each_other():
    twins, scores = THREE[[0, 0]], torch.tensor([0.3, 0.6])
    assert batched_nms(twins, scores, torch.tensor([1, 2]), 0.5).tolist() == [1, 0]
    assert batched_nms(twins, scores, torch.tensor([1, 1]), 0.5).tolist() == [1]


def test_a_suppressed_box_suppresses_none():
    row = torch.tensor([[0.0, 0.0, 10.0, 1.0], [4.0, 0.0, 14.0, 1.0], [8.0, 0.0, 18.0, 1.0]])  # neighbours overlap
    assert nms(row, torch.tensor([0.9, 0.8, 0.7]), 0.4).tolist() == [0, 2]


def test_a_chain_longer_than_a_block_is_settled():
    count = 3 * NMS_BLOCK
    chain = torch.arange(float(count))[:, None] * torch.tensor([4.0, 0.0, 4.0, 0.0]) + torch.tensor(
        [0.0, 0.0, 10.0, 1.0]
    )
    assert nms(chain, torch.arange(float(count), 0, -1), 0.4).tolist() == list(range(0, count, 2))


def test_one_large_group_among_many_small_ones():
    count = 1500
    many, scores = image_boxes(count, 8), draw_scores(count, 9)
    groups = torch.arange(count).clamp(max=600)
    assert torch.equal(batched_nms(many, scores, groups, 0.3), per_group(many, scores, groups, 0.3))


def test_boxes_without_area_suppress_none():
    points = torch.tensor([[3.0, 3.0, 3.0, 3.0]]).repeat(4, 1)
    assert nms(points, torch.arange(4.0), 0.0).tolist() == [3, 2, 1, 0]


def test_no_boxes_keep_nothing():
    none, no_numbers = torch.zeros(0, 4), torch.zeros(0)
    for kept in (nms(none, no_numbers, 0.5), batched_nms(none, no_numbers, no_numbers.int(), 0.5, limit=3)):
        assert kept.shape == (0,)
        assert kept.dtype == torch.int64
    assert nms_suppressors(none, torch.zeros(0, dtype=torch.int64), 0.5).tolist() == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_half_precision_is_kept_like_the_same_boxes_in_full_precision(dtype, threshold):
    crowd, scores = (16 * crowded_boxes(200, 3)).to(dtype), draw_scores(200, 4).to(dtype)
    kept = nms(crowd, scores, threshold)
    assert torch.equal(kept, ops.nms(crowd.float(), scores.float(), threshold))
    assert torch.equal(nms_suppressors(crowd, kept, threshold), nms_suppressors(crowd.float(), kept, threshold))


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_double_precision_is_kept_as_torchvision_keeps_it(threshold):
    crowd, scores = crowded_boxes(300, 3).double(), draw_scores(300, 4).double()
    assert torch.equal(nms(crowd, scores, threshold), ops.nms(crowd, scores, threshold))


def test_autocast_and_gradients_change_nothing():
    many, scores = image_boxes(500, 1).requires_grad_(), draw_scores(500, 2).requires_grad_()
    expected = ops.nms(many, scores, 0.5)
    assert torch.equal(nms(many, scores, 0.5), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(nms(many, scores, 0.5), expected)


# Who suppressed whom


@settings(deadline=None)
@given(COUNTS, SEEDS, st.integers(1, 4), THRESHOLDS)
def test_each_suppressed_box_has_the_first_kept_box_that_would(count, seed, groups, threshold):
    crowd, scores, labels = crowded_boxes(count, seed), draw_scores(count, seed, 50), draw_groups(count, seed, groups)
    kept = batched_nms(crowd, scores, labels, threshold)
    by = nms_suppressors(crowd, kept, threshold, labels)
    assert by.shape == (count,)
    assert by.dtype == torch.int64
    assert sorted((by == -1).nonzero().squeeze(1).tolist()) == sorted(kept.tolist())
    iou, of, score = box_iou(crowd, crowd).double().tolist(), labels.tolist(), scores.tolist()
    for loser, suppressor in enumerate(by.tolist()):
        if suppressor >= 0:
            assert suppressor == next(k for k in kept.tolist() if of[k] == of[loser] and iou[k][loser] > threshold)
            assert score[suppressor] >= score[loser]


def test_the_best_of_two_suppressors_is_named_and_none_beyond_a_limit():
    row = torch.tensor([[0.0, 0.0, 10.0, 1.0], [3.0, 0.0, 13.0, 1.0], [6.0, 0.0, 16.0, 1.0], [50.0, 0.0, 60.0, 1.0]])
    scores = torch.tensor([0.8, 0.1, 0.9, 0.5])
    assert nms_suppressors(row, nms(row, scores, 0.5), 0.5).tolist() == [-1, 2, -1, -1]
    assert nms_suppressors(row, nms(row, scores, 0.5, limit=1), 0.5).tolist() == [-1, 2, -1, -1]
    assert nms_suppressors(row, nms(row, scores, 0.5, limit=0), 0.5).tolist() == [-1, -1, -1, -1]
    assert nms_suppressors(row, nms(row, scores, 0.5), 0.5, torch.tensor([1, 1, 2, 1])).tolist() == [-1, 0, -1, -1]


def test_candidates_that_are_not_valid_are_neither_kept_nor_suppressed():
    boxes, scores = torch.tensor([[0.0, 0.0, 10.0, 10.0]] * 4), torch.tensor([0.9, 0.8, 0.7, 0.6])
    groups, valid = torch.tensor([0, 0, 0, 1]), torch.tensor([False, True, True, True])
    kept, suppressed_by = thin_out(boxes, scores, groups, valid, 0.5, 10, detail=True)
    assert (kept.tolist(), suppressed_by.tolist()) == ([1, 3], [-1, -1, 1, -1])
    assert thin_out(boxes, scores, groups, ~valid, 0.5, 10, detail=True)[1].tolist() == [-1] * 4
    assert thin_out(boxes, scores, groups, valid, 0.5, 10)[1] is None


# Refusals


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan])
def test_a_threshold_that_is_no_iou_is_refused(threshold):
    with pytest.raises(ValueError, match=rf"iou_threshold must lie in \[0, 1\], as IoU does, got {threshold}"):
        nms(THREE, torch.zeros(3), threshold)


@pytest.mark.parametrize("shape", [(2,), (3, 1), ()])
def test_scores_and_groups_must_be_one_per_box(shape):
    with pytest.raises(ValueError, match=r"scores must hold one number per box, \(3,\), got \("):
        nms(THREE, torch.zeros(shape), 0.5)
    with pytest.raises(ValueError, match=r"groups must hold one number per box, \(3,\), got \("):
        batched_nms(THREE, torch.zeros(3), torch.zeros(shape).long(), 0.5)


def test_groups_must_be_integers():
    with pytest.raises(TypeError, match=r"groups must be integers, got torch.float32"):
        batched_nms(THREE, torch.zeros(3), torch.zeros(3), 0.5)


def test_nan_scores_are_refused():
    with pytest.raises(ValueError, match=r"scores\[1\] is NaN"):
        nms(THREE, torch.tensor([0.5, math.nan, 0.1]), 0.5)


def test_a_negative_limit_is_refused():
    with pytest.raises(ValueError, match="limit must be None or a count, got -1"):
        nms(THREE, torch.zeros(3), 0.5, limit=-1)


@pytest.mark.parametrize("bad", [THREE[:, [2, 1, 0, 3]], THREE * math.nan, THREE[0]])
def test_what_is_no_box_is_refused(bad):
    with pytest.raises(ValueError, match="boxes"):
        nms(bad, torch.zeros(len(bad)), 0.5)
    with pytest.raises(ValueError, match="boxes"):
        batched_nms(bad, torch.zeros(len(bad)), torch.zeros(len(bad)).long(), 0.5)


@settings(max_examples=10, deadline=None)
@given(COUNTS, SEEDS, THRESHOLDS)
def test_groups_are_kept_apart_on_a_gpu_too(count, seed, iou_threshold):
    boxes, scores, groups = image_boxes(count, seed, 300, 300), draw_scores(count, seed), draw_groups(count, seed, 5)
    with pretended_gpu():
        kept = batched_nms(pretend(boxes), pretend(scores), pretend(groups), iou_threshold)
    assert torch.equal(kept.inner, per_group(boxes, scores, groups, iou_threshold))


def test_opposite_corners_of_two_groups_do_not_meet_on_a_gpu():
    corners, groups = torch.tensor([[9.0, 9.0, 10.0, 10.0], [-10.0, -10.0, -9.0, -9.0]]), torch.tensor([0, 1])
    with pretended_gpu():
        kept = batched_nms(pretend(corners), pretend(torch.tensor([0.9, 0.8])), pretend(groups), 0.5)
    assert kept.inner.tolist() == [0, 1]


def test_tensors_on_two_devices_are_refused():
    with FakeTensorMode():
        there = torch.zeros(3, device="cuda")
    with pytest.raises(ValueError, match="boxes on cpu, scores on cuda:0, groups on cpu"):
        nms(THREE, there, 0.5)
    with pytest.raises(ValueError, match="boxes on cpu, scores on cpu, groups on cuda:0"):
        batched_nms(THREE, torch.zeros(3), there.long(), 0.5)
