"""Anchors: to the pixel where torchvision rounds, of exact area where nothing is rounded, and in one known order."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection.anchor_utils import AnchorGenerator as TorchvisionAnchorGenerator
from torchvision.models.detection.image_list import ImageList

from frcnn_edu.anchors import PAPER_ASPECT_RATIOS, PAPER_SIZES, AnchorGenerator, base_anchors, grid_anchors

SIZES = st.lists(st.floats(4, 600, width=32), min_size=1, max_size=4)
RATIOS = st.lists(st.sampled_from([0.25, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0]), min_size=1, max_size=4)
MAPS = st.tuples(st.integers(1, 9), st.integers(1, 9))


def maps_of(*sizes: tuple[int, int], batch: int = 1, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    return [torch.zeros(batch, 1, *size, dtype=dtype) for size in sizes]


@given(SIZES, RATIOS, MAPS, st.integers(1, 40), st.integers(1, 40))
def test_rounded_anchors_are_torchvisions_to_the_pixel(sizes, ratios, map_size, stride_y, stride_x):
    image_size = (map_size[0] * stride_y, map_size[1] * stride_x)
    features = maps_of(map_size)
    theirs = TorchvisionAnchorGenerator((tuple(sizes),), (tuple(ratios),))
    expected = theirs(ImageList(torch.zeros(1, 3, *image_size), [image_size]), features)[0]
    [ours] = AnchorGenerator((sizes,), (ratios,), rounded=True)(features, image_size)
    assert torch.equal(ours, expected)


def test_levels_of_a_pyramid_are_torchvisions():
    sizes, ratios = ((32,), (64,), (128,)), ((0.5, 1.0, 2.0),) * 3
    features, image_size = maps_of((25, 30), (13, 15), (7, 8), batch=2), (100, 121)
    theirs = TorchvisionAnchorGenerator(sizes, ratios)
    expected = theirs(ImageList(torch.zeros(2, 3, *image_size), [image_size] * 2), features)[0]
    ours = AnchorGenerator(sizes, ratios, rounded=True)
    assert torch.equal(torch.cat(ours(features, image_size)), expected)
    assert [len(level) for level in ours(features, image_size)] == [25 * 30 * 3, 13 * 15 * 3, 7 * 8 * 3]
    assert ours.num_anchors_per_location() == theirs.num_anchors_per_location() == [3, 3, 3]


@given(SIZES, RATIOS)
def test_unrounded_anchors_have_their_area_ratio_and_order(sizes, ratios):
    anchors = base_anchors(sizes, ratios)
    assert anchors.shape == (len(sizes) * len(ratios), 4)
    width, height = (anchors[:, 2:] - anchors[:, :2]).unbind(1)
    expected = [(size**2, ratio) for ratio in ratios for size in sizes]  # ratio by ratio, sizes within
    torch.testing.assert_close(width * height, torch.tensor([area for area, _ in expected]), rtol=1e-5, atol=0)
    torch.testing.assert_close(height / width, torch.tensor([ratio for _, ratio in expected]), rtol=1e-5, atol=0)
    assert torch.equal(anchors[:, :2], -anchors[:, 2:])


def test_ratio_is_height_over_width():
    [[x1, y1, x2, y2]] = base_anchors([100], [4.0]).tolist()
    assert (x1, y1, x2, y2) == (-25, -100, 25, 100)


def test_rounding_takes_halves_to_even():
    assert base_anchors([5], [1.0], rounded=True).tolist() == [[-2, -2, 2, 2]]
    assert base_anchors([7], [1.0], rounded=True).tolist() == [[-4, -4, 4, 4]]
    assert base_anchors([5], [1.0]).tolist() == [[-2.5, -2.5, 2.5, 2.5]]


def test_anchors_go_row_by_row_then_column_by_column_then_anchor_by_anchor():
    cell = base_anchors([2.0, 4.0], [1.0])
    laid = grid_anchors(cell, (2, 3), (10, 100))
    centers = ((laid[:, :2] + laid[:, 2:]) / 2).tolist()
    assert centers == [[x, y] for y in (0, 10) for x in (0, 100, 200) for _ in range(2)]
    assert (laid[:, 2] - laid[:, 0]).tolist() == [2, 4] * 6


@given(MAPS, st.integers(1, 64), st.sampled_from([0.0, 0.5, 0.25]))
def test_offset_is_in_cells(map_size, stride, offset):
    laid = grid_anchors(base_anchors([8.0], [1.0]), map_size, stride, offset)
    centers = (laid[:, :2] + laid[:, 2:]) / 2
    height, width = map_size
    assert centers.tolist() == [
        [(j + offset) * stride, (i + offset) * stride] for i in range(height) for j in range(width)
    ]


# The paper says "about 20000 (60 x 40 x 9)" and "about 6000" inside: the latter is the count of a 600 x 800 image.
@pytest.mark.parametrize(
    ("map_size", "image_size", "count", "inside"),
    [((38, 63), (600, 1000), 21_546, 8_044), ((38, 50), (600, 800), 17_100, 5_954)],
)
def test_the_papers_counts_hold(map_size, image_size, count, inside):
    [anchors] = AnchorGenerator(strides=(16,), rounded=True)(maps_of(map_size), image_size)
    assert len(anchors) == count
    height, width = image_size
    assert ((anchors[:, :2] >= 0).all(dim=1) & (anchors[:, 2] <= width) & (anchors[:, 3] <= height)).sum() == inside


def test_the_papers_nine_are_the_default():
    assert AnchorGenerator().sizes == ((128, 256, 512),)
    assert AnchorGenerator().num_anchors_per_location() == [9] == [len(PAPER_SIZES) * len(PAPER_ASPECT_RATIOS)]


def test_a_generator_does_not_round_unless_asked():
    sizes, ratios = ((100.0,),), ((0.5,),)
    assert torch.equal(AnchorGenerator(sizes, ratios).cell_anchors[0], base_anchors(*sizes, *ratios))
    assert not torch.equal(AnchorGenerator(sizes, ratios, rounded=True).cell_anchors[0], base_anchors(*sizes, *ratios))


def test_strides_are_what_is_given_and_else_read_off_the_shapes():
    features = maps_of((38, 38))
    [given_stride] = AnchorGenerator(((32,),), ((1.0,),), strides=(16,))(features, (600, 600))
    [read_off] = AnchorGenerator(((32,),), ((1.0,),))(features, (600, 600))
    assert given_stride[1].tolist() == [0, -16, 32, 16]
    assert read_off[1].tolist() == [-1, -16, 31, 16]  # 600 // 38 is 15


def test_a_stride_may_differ_by_direction():
    [anchors] = AnchorGenerator(((2,),), ((1.0,),))(maps_of((2, 2)), (20, 60))
    assert anchors[-1].tolist() == [29, 9, 31, 11]


def test_offset_reaches_the_grid():
    [anchors] = AnchorGenerator(((2,),), ((1.0,),), strides=(10,), offset=0.5)(maps_of((1, 1)), (10, 10))
    assert anchors.tolist() == [[4, 4, 6, 6]]


@pytest.mark.parametrize(("maps", "anchors"), [("float16", "float32"), ("bfloat16", "float32"), ("float64", "float64")])
def test_anchors_are_never_of_half_precision(maps, anchors):
    [level] = AnchorGenerator()(maps_of((2, 2), dtype=getattr(torch, maps)), (32, 32))
    assert level.dtype == getattr(torch, anchors)


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf])
@pytest.mark.parametrize("name", ["sizes", "aspect_ratios"])
def test_numbers_that_make_no_anchor_are_refused(bad, name):
    arguments = {"sizes": [32.0], "aspect_ratios": [1.0]} | {name: [1.0, bad]}
    with pytest.raises(ValueError, match=rf"{name} must be finite numbers above 0, got \(1.0, {float(bad)}\)"):
        base_anchors(**arguments)


@pytest.mark.parametrize("name", ["sizes", "aspect_ratios"])
def test_empty_lists_are_refused(name):
    arguments = {"sizes": [32.0], "aspect_ratios": [1.0]} | {name: []}
    with pytest.raises(ValueError, match=f"{name} is empty: give at least one number"):
        base_anchors(**arguments)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 5)])
def test_a_map_without_cells_is_refused(size):
    with pytest.raises(ValueError, match=r"feature_size must be \(H, W\) with at least one cell, got"):
        grid_anchors(base_anchors([8.0], [1.0]), size, 16)


@pytest.mark.parametrize("stride", [0, -16, (16, 0), (0, 16), math.nan])
def test_a_stride_that_goes_nowhere_is_refused(stride):
    with pytest.raises(ValueError, match="stride must be above 0 pixels, got"):
        grid_anchors(base_anchors([8.0], [1.0]), (2, 2), stride)


def test_levels_that_do_not_fit_together_are_refused():
    with pytest.raises(ValueError, match=r"one tuple per level, such as \(\(128, 256\),\), got \(128, 256\)"):
        AnchorGenerator((128, 256), ((1.0,), (1.0,)))
    with pytest.raises(ValueError, match="one tuple per level"):
        AnchorGenerator((), ())
    with pytest.raises(ValueError, match=r"one entry per level is needed: 2 sizes, 1 aspect_ratios$"):
        AnchorGenerator(((32,), (64,)), ((1.0,),))
    with pytest.raises(ValueError, match=r"1 sizes, 1 aspect_ratios, 2 strides"):
        AnchorGenerator(((32,),), ((1.0,),), strides=(4, 8))
    with pytest.raises(ValueError, match="1 levels of anchors, but 2 feature maps"):
        AnchorGenerator(((32,),), ((1.0,),))(maps_of((2, 2), (1, 1)), (32, 32))
