"""Boxes: IoU, encoding and decoding against torchvision and against their own laws, and every refusal by name."""

import math
import statistics
import time

import pytest
import torch
from drawn import SIDES, boxes, image_boxes
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision import ops
from torchvision.models.detection._utils import BoxCoder

from frcnn_edu import boxes as module
from frcnn_edu.boxes import (
    LOG_SCALE_LIMIT,
    box_area,
    box_iou,
    check_boxes,
    check_same_device,
    clip_boxes,
    decode_boxes,
    encode_boxes,
    full_precision,
    nms,
    pairwise_iou,
    remove_small_boxes,
)

WITH_AREA = st.floats(0.5, 500, width=32)
WEIGHTS = st.sampled_from([(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0), (1.0, 2.0, 3.0, 4.0)])
UNIT_BOX = torch.tensor([[0.0, 0.0, 1.0, 1.0]])


def pairs(sides: st.SearchStrategy = SIDES) -> st.SearchStrategy[tuple[Tensor, Tensor]]:
    """Two tensors with as many boxes."""
    return boxes(min_size=2, max_size=12, sides=sides).map(
        lambda drawn: (drawn[: len(drawn) // 2], drawn[len(drawn) // 2 : len(drawn) // 2 * 2])
    )


def one_box(*coordinates: float, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.tensor([coordinates], dtype=dtype)


def on_a_pretended_gpu(*shape: int) -> Tensor:
    """A tensor without values that says it lies on a GPU, and fails where someone looks at a value."""
    with FakeTensorMode():
        return torch.zeros(shape, device="cuda")


# Area and IoU


@given(boxes())
def test_area_is_torchvisions(drawn):
    assert torch.equal(box_area(drawn), ops.box_area(drawn))


@given(boxes(), boxes())
def test_iou_is_torchvisions_where_torchvisions_is_a_number(first, second):
    expected = ops.box_iou(first, second)
    torch.testing.assert_close(box_iou(first, second), expected.nan_to_num(0.0), rtol=1e-6, atol=1e-7)


@given(boxes(), boxes())
def test_iou_is_a_share_and_the_same_both_ways(first, second):
    iou = box_iou(first, second)
    assert iou.shape == (len(first), len(second))
    assert bool(((iou >= 0) & (iou <= 1)).all())
    assert torch.equal(iou, box_iou(second, first).T)


@given(boxes(min_size=1, sides=WITH_AREA))
def test_iou_with_itself_is_one(drawn):
    assert torch.equal(box_iou(drawn, drawn).diagonal(), torch.ones(len(drawn)))


def test_iou_of_known_pairs():
    left = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
    others = torch.tensor([[1.0, 0.0, 3.0, 2.0], [0.0, 1.0, 2.0, 3.0], [0.5, 0.5, 1.5, 1.5], [2.0, 0.0, 4.0, 2.0]])
    torch.testing.assert_close(box_iou(left, others), torch.tensor([[1 / 3, 1 / 3, 1 / 4, 0.0]]))


def test_iou_without_area_is_zero_and_not_nan():
    flat = torch.tensor([[3.0, 3.0, 3.0, 3.0], [0.0, 3.0, 9.0, 3.0], [1e6, 1e6, 1e6, 1e6]])
    assert torch.equal(box_iou(flat, flat), torch.zeros(3, 3))


def test_iou_of_batches_is_the_iou_of_each():
    batch = torch.stack([image_boxes(5, seed) for seed in range(3)])
    other = torch.stack([image_boxes(4, seed) for seed in range(3, 6)])
    expected = torch.stack([box_iou(*pair) for pair in zip(batch, other, strict=True)])
    assert torch.equal(pairwise_iou(batch, other), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow(dtype):
    large = one_box(0, 0, 512, 512, dtype=dtype)  # its area is 4 times the largest float16
    assert box_area(large) == 512**2
    assert box_iou(large, one_box(256, 0, 768, 512, dtype=dtype)).item() == pytest.approx(1 / 3)
    assert encode_boxes(large, large).abs().max() == 0
    assert decode_boxes(torch.zeros(1, 4, dtype=dtype), large).tolist() == [[0, 0, 512, 512]]


def test_many_half_precision_boxes_are_finite_though_their_sum_is_not():
    many = one_box(0, 0, 256, 256, dtype=torch.float16).repeat(1000, 1)
    assert box_iou(many, many[:1]).min() == 1
    assert torch.equal(decode_boxes(torch.full_like(many, 100.0), many).isfinite(), torch.ones(1000, 4) > 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_full_precision_stays_what_it_is(dtype):
    assert full_precision(torch.zeros(1, dtype=dtype)).dtype == dtype
    assert box_iou(UNIT_BOX.to(dtype), UNIT_BOX.to(dtype)).dtype == dtype


# Clipping and small boxes


@given(boxes(), st.integers(1, 900), st.integers(1, 900))
def test_clipping_is_torchvisions(drawn, height, width):
    clipped = clip_boxes(drawn, (height, width))
    assert torch.equal(clipped, ops.clip_boxes_to_image(drawn, (height, width)))
    assert torch.equal(clip_boxes(clipped, (height, width)), clipped)
    check_boxes(clipped)


def test_clipping_takes_height_first_and_boxes_of_several_classes():
    box = torch.tensor([[[-5.0, -6.0, 500.0, 500.0]]])
    assert clip_boxes(box, (20, 30)).tolist() == [[[0, 0, 30, 20]]]


@given(boxes(), st.sampled_from([0.0, 1e-3, 1.0, 16.0, 100.0]))
def test_small_boxes_are_torchvisions(drawn, min_size):
    assert torch.equal(remove_small_boxes(drawn, min_size), ops.remove_small_boxes(drawn, min_size))


def test_a_box_of_just_the_smallest_side_stays():
    drawn = torch.tensor(
        [[0.0, 0.0, 16.0, 16.0], [0.0, 0.0, 15.0, 16.0], [0.0, 0.0, 16.0, 15.0], [9.0, 9.0, 25.0, 30.0]]
    )
    assert remove_small_boxes(drawn, 16).tolist() == [0, 3]


# Encoding and decoding


@given(pairs(WITH_AREA), WEIGHTS)
def test_encoding_is_torchvisions(pair, weights):
    gt_boxes, anchors = pair
    expected = BoxCoder(weights).encode_single(gt_boxes, anchors)
    torch.testing.assert_close(encode_boxes(gt_boxes, anchors, weights), expected, rtol=1e-5, atol=1e-5)


@given(boxes(min_size=1), WEIGHTS, st.integers(0, 2**31))
def test_decoding_is_torchvisions(anchors, weights, seed):
    deltas = 3 * torch.randn(len(anchors), 4, generator=torch.Generator().manual_seed(seed))
    expected = BoxCoder(weights).decode_single(deltas, anchors)
    torch.testing.assert_close(decode_boxes(deltas, anchors, weights), expected, rtol=1e-5, atol=1e-3)


@given(boxes(min_size=1), st.integers(1, 4), st.integers(0, 2**31))
def test_decoding_takes_deltas_of_several_classes(anchors, classes, seed):
    deltas = torch.randn(len(anchors), classes, 4, generator=torch.Generator().manual_seed(seed))
    together = decode_boxes(deltas, anchors, (10.0, 10.0, 5.0, 5.0))
    for one in range(classes):
        assert torch.equal(together[:, one], decode_boxes(deltas[:, one], anchors, (10.0, 10.0, 5.0, 5.0)))


@given(pairs(st.floats(8, 500, width=32)), WEIGHTS)
def test_decoding_undoes_encoding(pair, weights):
    gt_boxes, anchors = pair
    decoded = decode_boxes(encode_boxes(gt_boxes, anchors, weights), anchors, weights)
    growth = (gt_boxes[:, 2:] - gt_boxes[:, :2]) / (anchors[:, 2:] - anchors[:, :2])
    assume(bool((growth < math.exp(LOG_SCALE_LIMIT)).all()))  # what grows more, decode_boxes does not believe
    assert (decoded - gt_boxes).abs().max() < 1e-3


def test_deltas_mean_what_equation_2_says():
    anchor = one_box(0, 0, 10, 20)  # centre (5, 10)
    assert encode_boxes(one_box(1, 14, 11, 34), anchor).tolist()[0] == pytest.approx([0.1, 0.7, 0, 0])
    twice_and_half = one_box(-5, 5, 15, 15)
    assert encode_boxes(twice_and_half, anchor).tolist()[0] == pytest.approx([0, 0, math.log(2), -math.log(2)])
    assert decode_boxes(one_box(0, 0, math.log(2), -math.log(2)), anchor).tolist()[0] == pytest.approx([-5, 5, 15, 15])
    weighted = encode_boxes(one_box(-4, 19, 16, 29), anchor, (10.0, 100.0, 2.0, 4.0))
    assert weighted.tolist()[0] == pytest.approx([1, 70, 2 * math.log(2), -4 * math.log(2)])


def test_a_wild_delta_grows_a_box_1000_over_16_times_and_no_more():
    anchor = one_box(0, 0, 128, 128)
    wide, tall = decode_boxes(one_box(0, 0, 10, 0), anchor), decode_boxes(one_box(0, 0, 0, 10), anchor)
    assert (wide[0, 2] - wide[0, 0]).item() == pytest.approx(8000)
    assert (tall[0, 3] - tall[0, 1]).item() == pytest.approx(8000)
    assert (wide[0, 3], tall[0, 2]) == (128, 128)


def test_the_limit_can_be_lifted_and_holds_after_the_weights():
    anchor = one_box(0, 0, 128, 128)
    unlimited = decode_boxes(one_box(0, 0, 10, 0), anchor, log_scale_limit=math.inf)
    assert (unlimited[0, 2] - unlimited[0, 0]).item() == pytest.approx(128 * math.exp(10), rel=1e-5)
    weighted = decode_boxes(one_box(0, 0, 5, 5), anchor, (10.0, 10.0, 5.0, 5.0))  # dw = 5 / 5: below the limit
    assert (weighted[0, 2] - weighted[0, 0]).item() == pytest.approx(128 * math.e, rel=1e-5)


def test_gradients_of_encoding_and_decoding():
    anchors = image_boxes(4, 1).double()
    gt_boxes = image_boxes(4, 2).double().requires_grad_()
    deltas = torch.randn(4, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda value: encode_boxes(value, anchors, (1.0, 2.0, 3.0, 4.0)), gt_boxes)
    assert torch.autograd.gradcheck(lambda value: decode_boxes(value, anchors, (1.0, 2.0, 3.0, 4.0)), deltas)


# What every function keeps to


@given(pairs(WITH_AREA))
def test_inputs_are_never_changed(pair):
    first, second = pair
    scores, deltas = torch.arange(len(first), dtype=torch.float32), torch.full((len(first), 4), 0.5)
    inputs = (first, second, scores, deltas)
    before = [value.clone() for value in inputs]
    box_area(first)
    box_iou(first, second)
    box_iou(first, first)
    clip_boxes(first, (100, 100))
    remove_small_boxes(first, 10)
    encode_boxes(first, second)
    decode_boxes(deltas, second)
    nms(first, scores, 0.5)
    assert all(torch.equal(*values) for values in zip(inputs, before, strict=True))


def test_no_boxes_are_fine_everywhere():
    none = torch.zeros(0, 4)
    assert box_area(none).shape == (0,)
    assert box_iou(none, UNIT_BOX).shape == (0, 1)
    assert box_iou(UNIT_BOX, none).shape == (1, 0)
    assert clip_boxes(none, (5, 5)).shape == (0, 4)
    assert remove_small_boxes(none, 1.0).shape == (0,)
    assert encode_boxes(none, none).shape == (0, 4)
    assert decode_boxes(none, none).shape == (0, 4)
    assert decode_boxes(torch.zeros(0, 3, 4), none).shape == (0, 3, 4)


# Refusals


BAD_BOXES = {
    "a list": ([[0, 0, 1, 1]], TypeError, r"boxes must be a tensor of shape \(N, 4\), got list; see torch.as_tensor"),
    "one row": (torch.zeros(4), ValueError, r"must have shape \(N, 4\), rows of x1, y1, x2, y2; got \(4,\)"),
    "three columns": (torch.zeros(2, 3), ValueError, r"got \(2, 3\)"),
    "a batch": (torch.zeros(1, 2, 4), ValueError, r"got \(1, 2, 4\)"),
    "integers": (torch.zeros(2, 4).long(), TypeError, r"must be floats, got torch.int64: .* call \.float\(\)"),
    "NaN": (torch.tensor([[0, 0, 1, 1], [0, math.nan, 1, 1]]), ValueError, r"boxes\[1\] is \(0, nan, 1, 1\): .*finite"),
    "infinity": (one_box(0, 0, math.inf, 1), ValueError, r"boxes\[0\] is \(0, 0, inf, 1\): .*finite"),
    "infinity in the second box": (
        torch.tensor([[0, 0, 1, 1], [0, 0, math.inf, 1]]),
        ValueError,
        r"boxes\[1\] is \(0, 0, inf, 1\): .*finite",
    ),
    "two infinities": (one_box(-math.inf, 0, 1, 1), ValueError, r"boxes\[0\] is \(-inf, 0, 1, 1\): .*finite"),
    "x2 < x1": (
        torch.tensor([[0, 0, 1, 1], [5.0, 0, 4.5, 9]]),
        ValueError,
        r"boxes\[1\] is \(5, 0, 4.5, 9\), with x2 < x1",
    ),
    "xywh": (
        one_box(50, 60, 30, 20),
        ValueError,
        r"if yours are x, y, width, height, use torchvision.ops.box_convert\(",
    ),
    "y2 < y1": (one_box(0, 5, 9, 4), ValueError, r"or y2 < y1"),
}


@pytest.mark.parametrize(("bad", "error", "message"), BAD_BOXES.values(), ids=BAD_BOXES)
def test_what_is_no_box_is_refused_by_name_and_row(bad, error, message):
    with pytest.raises(error, match=message):
        box_area(bad)
    with pytest.raises(error, match=message.replace("boxes", "boxes2", 1)):
        box_iou(UNIT_BOX, bad)
    with pytest.raises(error, match=message.replace("boxes", "boxes1", 1)):
        box_iou(bad, UNIT_BOX)
    with pytest.raises(error, match=message.replace("boxes", "gt_boxes", 1)):
        encode_boxes(bad, UNIT_BOX.expand(len(bad), 4))
    with pytest.raises(error, match=message.replace("boxes", "anchors", 1)):
        decode_boxes(torch.zeros(len(bad), 4), bad)


@pytest.mark.parametrize("flat", [(0, 0, 0, 5), (0, 0, 5, 0)])
def test_boxes_without_area_have_no_deltas(flat):
    gt_boxes = torch.cat((UNIT_BOX, one_box(*flat)))
    with pytest.raises(ValueError, match=r"gt_boxes\[1\] is .*, which has no area; drop it with remove_small_boxes"):
        encode_boxes(gt_boxes, gt_boxes)
    with pytest.raises(ValueError, match=r"anchors\[1\] is .*, which has no area"):
        encode_boxes(UNIT_BOX.repeat(2, 1), gt_boxes)


def test_encoding_wants_as_many_anchors_as_boxes():
    with pytest.raises(ValueError, match=r"row by row, got 1 and 2 rows; index the ground truth"):
        encode_boxes(UNIT_BOX, UNIT_BOX.repeat(2, 1))


@pytest.mark.parametrize("shape", [(3, 4), (2,), (2, 5), (2, 1, 1, 4), (2, 3, 5)])
def test_decoding_wants_one_row_of_deltas_per_anchor(shape):
    with pytest.raises(
        ValueError, match=r"deltas must be \(N, 4\) or \(N, K, 4\) with one row per anchor, got .* 2 anchors"
    ):
        decode_boxes(torch.zeros(shape), UNIT_BOX.repeat(2, 1))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_deltas_that_are_no_numbers_are_refused(value):
    with pytest.raises(ValueError, match=r"deltas hold NaN or infinity; .* diverged"):
        decode_boxes(one_box(0, 0, value, 0), UNIT_BOX)


def test_deltas_that_are_no_floats_are_refused():
    with pytest.raises(TypeError, match=r"deltas must be floats, got torch.int64"):
        decode_boxes(torch.zeros(1, 4).long(), UNIT_BOX)


def test_tensors_on_two_devices_are_refused_by_name():
    here, there = torch.ones(1, 4), on_a_pretended_gpu(1, 4)
    with pytest.raises(ValueError, match=r"different devices: boxes1 on cpu, boxes2 on cuda:0; move .*\.to\(device\)"):
        box_iou(UNIT_BOX, there)
    with pytest.raises(ValueError, match="gt_boxes on cuda:0, anchors on cpu"):
        encode_boxes(there, UNIT_BOX)
    with pytest.raises(ValueError, match="deltas on cpu, anchors on cuda:0"):
        decode_boxes(here, there)
    check_same_device(here=here, also_here=UNIT_BOX)


def test_values_are_not_looked_at_on_a_gpu():
    there = on_a_pretended_gpu(3, 4)
    results = (box_iou(there, there), encode_boxes(there, there), decode_boxes(there, there), clip_boxes(there, (5, 5)))
    assert {result.device.type for result in results} == {"cuda"}


def test_iou_takes_less_than_seven_tenths_of_torchvisions_time():
    anchors, gt_boxes = image_boxes(17_100, 0), image_boxes(20, 1)
    times = {box_iou: [], ops.box_iou: []}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(40):
            for function, spent in times.items():
                start = time.process_time()
                function(anchors, gt_boxes)
                spent.append(time.process_time() - start)
    finally:
        torch.set_num_threads(threads)
    ours, theirs = (statistics.median(spent) for spent in times.values())
    assert ours <= 0.7 * theirs, f"{ours * 1e3:.2f} ms against {theirs * 1e3:.2f} ms"


def test_the_modules_limit_is_the_papers_codes():
    assert math.exp(module.LOG_SCALE_LIMIT) == pytest.approx(1000 / 16)
