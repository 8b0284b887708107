"""RoI pooling: torchvision's values and gradients, on regions in every position, and the definitions cell by cell."""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence

import pytest
import torch
from drawn import SEEDS, image_boxes
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision import ops

from frcnn_edu import roi_pool as module
from frcnn_edu.boxes import box_area
from frcnn_edu.roi_pool import MultiScaleRoIPool, pyramid_level, roi_align, roi_pool

SIZES = st.sampled_from([1, 2, 7, (3, 5)])
MAPS = st.tuples(st.integers(1, 20), st.integers(1, 20))
SCALES = st.sampled_from([1.0, 1 / 4, 1 / 16])
TOLERANCE = {"rtol": 0, "atol": 2e-5}


def draw_features(batch: int, size: tuple[int, int], seed: int, channels: int = 3, ties: bool = False) -> Tensor:
    """A random map (B, C, H, W); with `ties` of few values, so that maxima are held by several cells."""
    features = torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(seed))
    return features.round().relu() if ties else features


def draw_rois(count: int, size: tuple[int, int], scale: float, seed: int, snap: bool = False) -> Tensor:
    """Regions (N, 4) on, across and beyond a map of `size` cells; `snap` puts edges on halves of cells."""
    generator = torch.Generator().manual_seed(seed)
    extent = torch.tensor([size[1], size[0]]) / scale
    corner = (torch.rand(count, 2, generator=generator) * 1.6 - 0.3) * extent
    boxes = torch.cat((corner, corner + torch.rand(count, 2, generator=generator) ** 2 * extent), dim=1)
    return (boxes * scale * 2).round() / scale / 2 if snap else boxes


def with_gradient(
    function: Callable, features: Tensor, rois: Sequence[Tensor], *arguments: object
) -> tuple[Tensor, Tensor]:
    """The function's values, and the gradient of the features under fixed random weights."""
    features = features.clone().requires_grad_()
    values = function(features, rois, *arguments)
    weights = torch.randn(values.shape, generator=torch.Generator().manual_seed(1), dtype=values.dtype)
    (gradient,) = torch.autograd.grad((values * weights).sum(), features)
    return values.detach(), gradient


def pool_by_definition(features: Tensor, roi: Tensor, bins: int, scale: float) -> Tensor:
    """Section 2.1 of Fast R-CNN, bin by bin: (C, H, W), (4,) -> (C, P, P)."""
    away = [math.floor(abs(edge * scale) + 0.5) * (1 if edge >= 0 else -1) for edge in roi.tolist()]  # halves too
    left, top, right, bottom = away
    step_x, step_y = max(right - left + 1, 1) / bins, max(bottom - top + 1, 1) / bins
    height, width = features.shape[-2:]
    pooled = torch.zeros(len(features), bins, bins)
    for i in range(bins):
        for j in range(bins):
            y1, y2 = (min(max(top + edge, 0), height) for edge in (math.floor(i * step_y), math.ceil((i + 1) * step_y)))
            x1, x2 = (min(max(left + edge, 0), width) for edge in (math.floor(j * step_x), math.ceil((j + 1) * step_x)))
            if y1 < y2 and x1 < x2:
                pooled[:, i, j] = features[:, y1:y2, x1:x2].amax(dim=(1, 2))
    return pooled


def read_between(features: Tensor, y: float, x: float) -> Tensor:
    """Bilinear interpolation of a map (C, H, W) at a point; 0 more than a cell outside."""
    height, width = features.shape[-2:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return torch.zeros(len(features))
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = math.floor(y), math.floor(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = features[:, top, left] * (1 - x + left) + features[:, top, right] * (x - left)
    lower = features[:, bottom, left] * (1 - x + left) + features[:, bottom, right] * (x - left)
    return upper * (1 - y + top) + lower * (y - top)


# Pooling


@settings(max_examples=150, deadline=None)
@given(MAPS, SEEDS, SIZES, SCALES, st.booleans(), st.booleans())
def test_pooling_is_torchvisions_to_the_bit(size, seed, bins, scale, ties, snap):
    features = draw_features(2, size, seed, ties=ties)
    rois = [draw_rois(6, size, scale, seed, snap), draw_rois(2, size, scale, seed + 1, snap)]
    assert torch.equal(roi_pool(features, rois, bins, scale), ops.roi_pool(features, rois, bins, scale))
    exact = (features.double(), [one.double() for one in rois], bins, scale)  # small maps sum up many gradients
    values, gradient = with_gradient(roi_pool, *exact)
    expected, expected_gradient = with_gradient(ops.roi_pool, *exact)
    assert torch.equal(values, expected)
    torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from([1, 2, 3]), st.booleans())
def test_pooling_is_what_fast_rcnn_says(seed, bins, snap):
    features, rois = draw_features(1, (9, 11), seed), draw_rois(4, (9, 11), 1 / 8, seed, snap)
    expected = torch.stack([pool_by_definition(features[0], roi, bins, 1 / 8) for roi in rois])
    assert torch.equal(roi_pool(features, [rois], bins, 1 / 8), expected)


def test_halves_of_cells_are_rounded_away_from_zero():
    features = torch.arange(4.0).view(1, 1, 1, 4)
    half = torch.tensor([[8.0, 0.0, 8.0, 0.0]])  # 8 px on stride 16 is half a cell, and belongs to cell 1
    assert roi_pool(features, [half], 1, 1 / 16).item() == 1
    assert roi_pool(features, [half + torch.tensor([32.0, 0.0, 32.0, 0.0])], 1, 1 / 16).item() == 3  # 2.5 to 3
    below_zero = torch.tensor([[-24.0, 0.0, -8.0, 0.0]])  # -1.5 to -0.5: cells -2 to -1, none on the map
    assert roi_pool(features + 1, [below_zero], 1, 1 / 16).item() == 0
    almost = torch.tensor([[0.49999997, 0.0, 0.49999997, 0.0]])
    assert roi_pool(features, [almost], 1).item() == 0


def test_of_equal_maxima_the_first_cell_row_by_row_gets_the_gradient():
    features = torch.zeros(1, 1, 5, 7)
    features[0, 0, 2, 0] = features[0, 0, 1, 6] = features[0, 0, 4, 3] = 1.0
    whole = torch.tensor([[0.0, 0.0, 6.0, 4.0]])
    _, gradient = with_gradient(roi_pool, features, [whole], 1)
    assert gradient.nonzero().tolist() == [[0, 0, 1, 6]]


def test_large_maps_and_single_bins_find_the_one_peak():
    features = torch.zeros(1, 1, 70, 130)
    for y, x in ((0, 0), (69, 129), (31, 64), (64, 127), (1, 128)):
        peak = features.index_put(
            (torch.tensor(0), torch.tensor(0), torch.tensor(y), torch.tensor(x)), torch.tensor(1.0)
        )
        values, gradient = with_gradient(roi_pool, peak, [torch.tensor([[0.0, 0.0, 129.0, 69.0]])], 1)
        assert values.item() == 1
        assert gradient.nonzero().tolist() == [[0, 0, y, x]]


def test_pooling_knows_negative_maxima_from_empty_bins():
    features = torch.full((1, 1, 4, 4), -2.0)
    inside, outside = torch.tensor([[0.0, 0.0, 3.0, 3.0]]), torch.tensor([[50.0, 50.0, 60.0, 60.0]])
    assert roi_pool(features, [inside], 2).unique().tolist() == [-2]
    values, gradient = with_gradient(roi_pool, features, [outside], 2)
    assert values.unique().tolist() == gradient.unique().tolist() == [0]


# Align


@settings(max_examples=150, deadline=None)
@given(MAPS, SEEDS, SIZES, SCALES, st.sampled_from([1, 2, 3]), st.booleans(), st.booleans())
def test_aligning_is_torchvisions(size, seed, bins, scale, samples, aligned, snap):
    features = draw_features(2, size, seed)
    rois = [draw_rois(6, size, scale, seed, snap), draw_rois(2, size, scale, seed + 1, snap)]
    arguments = (bins, scale, samples, aligned)
    torch.testing.assert_close(
        roi_align(features, rois, *arguments), ops.roi_align(features, rois, *arguments), **TOLERANCE
    )
    exact = (features.double(), [one.double() for one in rois], *arguments)  # small maps sum up many gradients
    (_, gradient), (_, expected) = with_gradient(roi_align, *exact), with_gradient(ops.roi_align, *exact)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from([1, 2, 3]), st.booleans())
def test_aligning_is_what_mask_rcnn_says(seed, samples, aligned):
    features, rois, bins = draw_features(1, (6, 8), seed), draw_rois(3, (6, 8), 1 / 4, seed), 2
    pooled = roi_align(features, [rois], bins, 1 / 4, samples, aligned)
    for n, (x1, y1, x2, y2) in enumerate((rois / 4 - 0.5 * aligned).tolist()):
        width, height = (x2 - x1, y2 - y1) if aligned else (max(x2 - x1, 1), max(y2 - y1, 1))
        for i in range(bins):
            for j in range(bins):
                points = [
                    (y1 + height * (i + (k + 0.5) / samples) / bins, x1 + width * (j + (m + 0.5) / samples) / bins)
                    for k in range(samples)
                    for m in range(samples)
                ]
                mean = torch.stack([read_between(features[0], y, x) for y, x in points]).mean(dim=0)
                torch.testing.assert_close(pooled[n, :, i, j], mean, rtol=0, atol=1e-4)


def test_aligning_reads_a_plane_at_the_middle_of_each_bin():
    rows, columns = torch.meshgrid(torch.arange(10.0), torch.arange(12.0), indexing="ij")
    plane = (3 * rows - 2 * columns + 1).view(1, 1, 10, 12)  # averages of a plane are its values in the middle
    roi = torch.tensor([[16.0, 24.0, 48.0, 56.0]])  # cells 2 to 6, 3 to 7
    expected = torch.tensor([[[[3 * y - 2 * x + 1 for x in (3, 5)] for y in (4, 6)]]], dtype=torch.float32)
    torch.testing.assert_close(roi_align(plane, [roi], 2, 1 / 8), expected)
    torch.testing.assert_close(roi_align(plane, [roi], 2, 1 / 8, aligned=True), expected - 0.5)  # -3/2 + 2/2


def test_points_up_to_one_cell_outside_count_and_none_beyond():
    features = torch.ones(1, 1, 4, 4)
    at = lambda x: roi_align(features, [torch.tensor([[x - 0.5, 1.0, x + 0.5, 2.0]])], 1, 1.0, 1).item()  # noqa: E731
    assert [at(x) for x in (-1.25, -1.0, -0.5, 0.0, 3.5, 4.0, 4.25)] == [0, 1, 1, 1, 1, 1, 0]


# Both


@pytest.mark.parametrize("channels", [1, 3, 4, 13])
@pytest.mark.parametrize("name", ["roi_pool", "roi_align"])
def test_slices_of_channels_and_portions_of_bins_keep_their_order(monkeypatch, name, channels):
    monkeypatch.setattr(module, "POOL_CHANNELS_AT_ONCE", 4)
    monkeypatch.setattr(module, "ALIGN_CHANNELS_AT_ONCE", 4)

    features, rois = draw_features(2, (7, 9), 1, channels), [draw_rois(3, (7, 9), 0.25, seed) for seed in (2, 3)]
    arguments = (features, rois, 3, 0.25, *((2,) if name == "roi_align" else ()))
    values, gradient = with_gradient(getattr(module, name), *arguments)
    expected, expected_gradient = with_gradient(getattr(ops, name), *arguments)
    torch.testing.assert_close(values, expected, **TOLERANCE)
    torch.testing.assert_close(gradient, expected_gradient, **TOLERANCE)
    assert values.is_contiguous()
    with torch.no_grad():  # each slice is copied to its place, instead of all at the end
        assert torch.equal(getattr(module, name)(*arguments), values)


@pytest.mark.parametrize("name", ["roi_pool", "roi_align"])
@pytest.mark.parametrize("images", [[], [0, 0, 1], [1, 0, 2, 0, 2]])
def test_regions_may_come_in_one_tensor_with_their_images_in_any_order(name, images):
    features, boxes = draw_features(3, (7, 9), 1), draw_rois(len(images), (7, 9), 0.25, 2)
    rois = torch.cat((torch.tensor(images, dtype=torch.float32)[:, None], boxes), dim=1)
    arguments = (features, rois, 3, 0.25, *((2,) if name == "roi_align" else ()))
    values, gradient = with_gradient(getattr(module, name), *arguments)
    expected, expected_gradient = with_gradient(getattr(ops, name), *arguments)
    torch.testing.assert_close(values, expected, **TOLERANCE)
    torch.testing.assert_close(gradient, expected_gradient, **TOLERANCE)


@pytest.mark.parametrize("operator", [roi_pool, roi_align])
@pytest.mark.parametrize("counts", [(0,), (0, 0), (0, 3), (2, 0, 1)])
def test_images_without_regions_are_fine(operator, counts):
    features = draw_features(len(counts), (6, 6), 0)
    rois = [draw_rois(count, (6, 6), 1.0, seed) for seed, count in enumerate(counts)]
    values, gradient = with_gradient(operator, features, rois, (2, 3))
    assert values.shape == (sum(counts), 3, 2, 3)
    assert gradient.shape == features.shape
    assert [bool(image.any()) for image in gradient] == [count > 0 for count in counts]


@pytest.mark.parametrize("operator", [roi_pool, roi_align])
def test_the_scale_is_one_unless_given(operator):
    features, rois = draw_features(1, (6, 6), 0), [draw_rois(3, (6, 6), 1.0, 1)]
    assert torch.equal(operator(features, rois, 2), operator(features, rois, 2, 1.0))


def test_align_takes_two_points_and_the_older_way_unless_told():
    features, rois = draw_features(1, (6, 6), 0), [draw_rois(3, (6, 6), 1.0, 1)]
    torch.testing.assert_close(
        roi_align(features, rois, 2), ops.roi_align(features, rois, 2, 1.0, 2, False), **TOLERANCE
    )


@pytest.mark.parametrize("operator", [roi_pool, roi_align])
def test_gradients_in_double_precision(operator):
    features = draw_features(2, (5, 6), 0, channels=2).double().requires_grad_()
    rois = [draw_rois(2, (5, 6), 0.5, seed).double() for seed in (1, 2)]
    assert operator(features, rois, 2, 0.5).dtype == torch.float64
    assert torch.autograd.gradcheck(lambda value: operator(value, rois, 2, 0.5), features)


@pytest.mark.parametrize("operator", [roi_pool, roi_align])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_full_and_comes_back_as_it_came(operator, dtype):
    features, rois = draw_features(1, (6, 6), 0).to(dtype), [draw_rois(4, (6, 6), 1.0, 1)]
    expected = operator(features.float(), rois, 3).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(operator(features, rois, 3), expected)
    assert torch.equal(operator(features, [rois[0].to(dtype).float()], 3), operator(features, [rois[0].to(dtype)], 3))


@pytest.mark.parametrize("operator", [roi_pool, roi_align])
def test_no_input_is_changed_and_regions_get_no_gradient(operator):
    features, rois = draw_features(1, (6, 6), 0), draw_rois(4, (6, 6), 1.0, 1)
    before, rois_before = features.clone(), rois.clone()
    values = operator(features.requires_grad_(), [rois.requires_grad_()], 3)
    assert torch.autograd.grad(values.sum(), rois, allow_unused=True) == (None,)
    assert torch.equal(features, before)
    assert torch.equal(rois, rois_before)


@pytest.mark.parametrize("operator", [roi_pool, roi_align])
def test_what_does_not_fit_is_refused(operator):
    features, rois = draw_features(2, (6, 6), 0), [draw_rois(1, (6, 6), 1.0, seed) for seed in (1, 2)]
    with pytest.raises(ValueError, match=r"features must be floats \(B, C, H, W\), got torch.float32 \(3, 6, 6\)"):
        operator(features[0], rois, 2)
    with pytest.raises(ValueError, match=r"features must be floats .*, got torch.int64 \(2, 3, 6, 6\)"):
        operator(features.long(), rois, 2)
    with pytest.raises(ValueError, match=r"rois must be a list of 2, one tensor \(N, 4\) per image, got 1$"):
        operator(features, rois[:1], 2)
    with pytest.raises(ValueError, match=r"rois in one tensor must be \(K, 5\), .* got \(2, 4\)"):
        operator(features, torch.cat(rois), 2)
    for image in (2.0, -1.0, 0.5, math.nan):
        with pytest.raises(ValueError, match=r"rois\[:, 0\] must be indices of 2 images, got"):
            operator(features, torch.tensor([[image, 0.0, 0.0, 3.0, 3.0]]), 2)
    with pytest.raises(ValueError, match=r"rois\[:, 1:\]\[0\] is .*, with x2 < x1 or y2 < y1"):
        operator(features, torch.tensor([[0.0, 3.0, 0.0, 1.0, 3.0]]), 2)
    with pytest.raises(ValueError, match=r"rois\[1\]\[0\] is .*, with x2 < x1 or y2 < y1"):
        operator(features, [rois[0], rois[1][:, [2, 3, 0, 1]]], 2)
    with pytest.raises(TypeError, match=r"rois\[0\] must be floats"):
        operator(features, [rois[0].long(), rois[1]], 2)
    for size in (0, (2, 0), (2, 2, 2)):
        with pytest.raises(ValueError, match="output_size must be a count of bins or"):
            operator(features, rois, size)
    with FakeTensorMode():
        there = torch.zeros(1, 4, device="cuda")
    with pytest.raises(ValueError, match=r"features on cpu, rois\[1\] on cuda:0"):
        operator(features, [rois[0], there], 2)


@pytest.mark.parametrize("samples", [0, -1])
def test_align_wants_a_number_of_points(samples):
    with pytest.raises(ValueError, match=f"sampling_ratio must be at least 1 point .* got {samples}"):
        roi_align(draw_features(1, (6, 6), 0), [torch.zeros(0, 4)], 2, 1.0, samples)


# Pyramids


def draw_pyramid(batch: int = 2, levels: int = 4, image_size: tuple[int, int] = (300, 420)) -> OrderedDict[str, Tensor]:
    sizes = [tuple(math.ceil(side / 4 / 2**level) for side in image_size) for level in range(levels)]
    maps = OrderedDict((str(level), draw_features(batch, size, level, 4)) for level, size in enumerate(sizes))
    maps["pool"] = maps[str(levels - 1)][:, :, ::2, ::2]
    return maps


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_a_pyramid_is_aligned_as_torchvision_aligns_it(levels):
    features, image_sizes = draw_pyramid(levels=levels), [(300, 420), (140, 330)]
    smaller_than_a_cell = torch.tensor([[9.0, 9.0, 10.0, 12.0], [40.0, 30.0, 40.0, 30.0]])
    rois = [image_boxes(60, 1, 420, 300, 400), torch.cat((image_boxes(25, 2, 330, 140, 120), smaller_than_a_cell))]
    names = [str(level) for level in range(levels)]
    theirs = ops.MultiScaleRoIAlign(names, 7, 2)
    ours = MultiScaleRoIPool(7)
    leaves = [features[name].requires_grad_() for name in names]
    values, expected = ours(features, rois, image_sizes), theirs(features, rois, image_sizes)
    torch.testing.assert_close(values, expected, **TOLERANCE)
    weights = torch.randn(values.shape, generator=torch.Generator().manual_seed(3))
    gradients = torch.autograd.grad((values * weights).sum(), leaves)
    expected_gradients = torch.autograd.grad((expected * weights).sum(), leaves)
    torch.testing.assert_close(gradients, expected_gradients, **TOLERANCE)


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_a_pyramid_pools_each_region_from_its_level(levels):
    features, image_size = draw_pyramid(batch=1, levels=levels), (300, 420)
    rois = image_boxes(30, 1, 420, 300, 400)
    level_of = pyramid_level(rois, 2, 1 + levels)
    assert len(level_of.unique()) == min(levels, 3)
    pooled = MultiScaleRoIPool(3, "pool")(features, [rois], [image_size])
    for roi, level, values in zip(rois, level_of.tolist(), pooled, strict=True):
        assert torch.equal(values, ops.roi_pool(features[str(level - 2)], [roi[None]], 3, 2.0**-level)[0])


@given(SEEDS, st.integers(0, 4), st.integers(0, 4))
def test_levels_are_torchvisions(seed, lowest, more):
    rois = image_boxes(50, seed, longest=2000)
    theirs = ops.poolers.LevelMapper(lowest, lowest + more)
    assert torch.equal(pyramid_level(rois, lowest, lowest + more) - lowest, theirs([rois]))


def test_half_the_size_is_one_level_down():
    sizes = torch.tensor([0.0, 28.0, 55.9, 56.0, 111.9, 112.0, 224.0, 447.9, 448.0, 5000.0])
    rois = torch.stack((torch.zeros(10), torch.zeros(10), sizes, sizes), dim=1)
    assert pyramid_level(rois, 2, 5).tolist() == [2, 2, 2, 2, 2, 3, 4, 4, 5, 5]
    flat_224 = torch.tensor([[0.0, 0.0, 112.0, 448.0]])
    assert box_area(flat_224).sqrt() == 224
    assert pyramid_level(flat_224, 2, 5).item() == 4


def test_maps_may_come_as_a_list_or_be_picked_by_name():
    features, rois, sizes = draw_pyramid(), [image_boxes(9, seed, longest=300) for seed in (1, 2)], [(300, 420)] * 2
    every = MultiScaleRoIPool(2)(features, rois, sizes)
    as_list = MultiScaleRoIPool(2)([features[name] for name in "0123"], rois, sizes)
    assert torch.equal(every, as_list)
    picked = MultiScaleRoIPool(2, featmap_names=["1"])(features, rois, sizes)
    torch.testing.assert_close(picked, ops.MultiScaleRoIAlign(["1"], 2, 2)(features, rois, sizes), **TOLERANCE)


def test_sampling_ratio_reaches_align():
    features, rois, sizes = draw_pyramid(levels=1), [image_boxes(9, seed) for seed in (1, 2)], [(300, 420)] * 2
    expected = ops.MultiScaleRoIAlign(["0"], 2, 3)(features, rois, sizes)
    torch.testing.assert_close(MultiScaleRoIPool(2, sampling_ratio=3)(features, rois, sizes), expected, **TOLERANCE)


def test_no_regions_on_a_pyramid_give_none_and_a_gradient_of_zero():
    features = draw_pyramid()
    features["0"].requires_grad_()
    pooled = MultiScaleRoIPool(7)(features, [torch.zeros(0, 4)] * 2, [(300, 420)] * 2)
    assert pooled.shape == (0, 4, 7, 7)
    (gradient,) = torch.autograd.grad(pooled.sum(), features["0"])
    assert not gradient.any()


def test_another_operator_and_strides_that_do_not_double_are_refused():
    with pytest.raises(ValueError, match='operator must be "align" or "pool", got \'crop\''):
        MultiScaleRoIPool(7, "crop")
    features = [draw_features(1, size, 0) for size in ((80, 80), (20, 20))]
    with pytest.raises(ValueError, match=r"strides must double from map to map, got \[4, 16\]"):
        MultiScaleRoIPool(7)(features, [torch.zeros(0, 4)], [(320, 320)])


@pytest.mark.parametrize("image_size", [(64, 256), (256, 64)], ids=["wide", "tall"])
def test_the_stride_of_an_image_that_is_not_square_is_told_by_its_height(image_size):
    height, width = image_size
    features = torch.randn(1, 2, height // 16, width // 16, generator=torch.Generator().manual_seed(0))
    rois = [torch.tensor([[3.0, 5.0, 60.0, 41.0]])]
    expected = ops.roi_align(features, rois, 3, spatial_scale=1 / 16, sampling_ratio=2)
    torch.testing.assert_close(MultiScaleRoIPool(3)({"0": features}, rois, [image_size]), expected, **TOLERANCE)
