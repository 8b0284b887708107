"""The explorers of lesson 01, as Python sees them: what they count equals what the whole grid of anchors says."""

import pytest
import torch
import traitlets
from hypothesis import given, settings
from hypothesis import strategies as st

from frcnn_edu.anchors import PAPER_ASPECT_RATIOS, PAPER_SIZES, base_anchors, grid_anchors
from frcnn_edu.boxes import box_iou
from frcnn_edu.explorers.lesson_01_anchors import (
    CoverageExplorer,
    GridExplorer,
    OddShapeExplorer,
    RatioExplorer,
    SharedExplorer,
    UsefulExplorer,
    best_anchors,
)
from frcnn_edu.explorers.paper import cells

IMAGE = torch.full((3, 100, 140), 0.5)
BOXES = torch.tensor([[10.0, 20.0, 60.0, 70.0], [30.0, 10.0, 130.0, 40.0], [5.0, 5.0, 15.0, 95.0]])
EXPLORERS = (RatioExplorer, GridExplorer, OddShapeExplorer, UsefulExplorer, SharedExplorer)

sides = st.floats(2, 300)
lists = st.lists(st.floats(4, 400), min_size=1, max_size=3)


def every_anchor(explorer):
    """All anchors, made by the package and not by the explorer."""
    rows, columns = cells(explorer.image.shape[:2], explorer.stride)
    base = base_anchors(explorer.sizes, explorer.ratios)
    return grid_anchors(base, (rows, columns), explorer.stride, explorer.offset)


@given(
    corner=st.tuples(st.floats(-50, 200), st.floats(-50, 200)),
    size=st.tuples(sides, sides),
    sizes=lists,
    ratios=st.lists(st.floats(0.1, 10), min_size=1, max_size=3),
    stride=st.sampled_from([4.0, 16.0, 25.0, 64.0]),
    offset=st.sampled_from([0.0, 0.5, 1.0]),
)
@settings(max_examples=150, deadline=None)
def test_the_nearest_cell_holds_the_best_anchor_of_the_whole_grid(corner, size, sizes, ratios, stride, offset):
    (x, y), (width, height) = corner, size
    boxes = torch.tensor([[x, y, x + width, y + height]])
    base, feature_size = base_anchors(sizes, ratios), cells((150, 180), stride)
    best = best_anchors(boxes, base, feature_size, stride, offset)
    everywhere = grid_anchors(base, feature_size, stride, offset)
    overlaps = box_iou(everywhere, boxes)[:, 0]
    assert best.iou.item() == pytest.approx(overlaps.max().item(), abs=1e-4)
    row, column = best.cell[0].tolist()
    index = (row * feature_size[1] + column) * len(base) + best.anchor.item()
    assert overlaps[index].item() == pytest.approx(overlaps.max().item(), abs=1e-4)


def test_best_anchors_of_several_images_stay_on_their_own_maps():
    boxes = torch.tensor([[180.0, 180.0, 190.0, 190.0]] * 2)
    best = best_anchors(boxes, base_anchors([16], [1]), torch.tensor([[4, 4], [20, 20]]), 10.0)
    assert best.cell.tolist() == [[3, 3], [18, 18]]


def test_a_border_that_is_left_over_gets_a_cell_too():
    assert cells((512, 512), 16) == (32, 32)
    assert cells((500, 741), 16) == (32, 47)


@pytest.mark.parametrize("ratio", [0.2, 1.0, 5.0])
def test_the_ratio_explorer_keeps_the_area_unless_told_otherwise(ratio):
    explorer = RatioExplorer(IMAGE, BOXES, size=40, ratio=ratio)
    x1, y1, x2, y2 = explorer.anchor.tolist()
    assert explorer.area == pytest.approx(40**2, rel=1e-4)
    assert (y2 - y1) / (x2 - x1) == pytest.approx(ratio, rel=1e-4)
    explorer.stretched = True
    assert explorer.area == pytest.approx(40**2 * ratio, rel=1e-4)
    explorer.inverted = True
    assert explorer.area == pytest.approx(40**2 / ratio, rel=1e-4)


def test_a_tall_object_wants_height_over_width():
    explorer = RatioExplorer(IMAGE, BOXES[2:], size=30, ratio=9)
    assert explorer.iou == pytest.approx(1, abs=1e-4)
    explorer.inverted = True
    assert explorer.iou < 0.1


@pytest.mark.parametrize("stride", [8, 16, 33])
@pytest.mark.parametrize("offset", [0, 0.5])
def test_the_grid_explorer_counts_the_anchors_that_cross_the_border(stride, offset):
    explorer = GridExplorer(IMAGE, stride=stride, offset=offset, sizes=(16, 48), ratios=(0.5, 1))
    crossing = sum(x1 < 0 or y1 < 0 or x2 > 140 or y2 > 100 for x1, y1, x2, y2 in every_anchor(explorer).tolist())
    assert explorer.num_crossing == crossing > 0


def test_the_cell_of_the_grid_explorer_has_its_anchors_out_of_all():
    explorer = GridExplorer(IMAGE, cell=(2, 5), offset=0.5)
    _, columns = explorer.feature_size
    start = (2 * columns + 5) * 9
    torch.testing.assert_close(explorer.cell_anchors, every_anchor(explorer)[start : start + 9])


def test_a_coarser_grid_keeps_the_cell_on_the_map():
    explorer = GridExplorer(IMAGE, cell=(6, 8))
    explorer.stride = 64
    assert explorer.cell == (1, 2)


def test_the_odd_shape_explorer_puts_its_object_on_its_curve():
    explorer = OddShapeExplorer(IMAGE, BOXES[2:], stride=2)
    assert explorer.curve(torch.tensor([9.0])).item() == pytest.approx(explorer.best_iou, abs=1e-5)
    before = explorer.best_iou
    explorer.ratios = (0.125, 0.5, 1, 2, 8)
    assert explorer.best_iou > before


def test_the_useful_explorer_counts_by_the_best_object():
    explorer = UsefulExplorer(IMAGE, BOXES, sizes=(30, 50), stride=8)
    overlaps = box_iou(every_anchor(explorer), BOXES).amax(dim=1)
    counts = {"all": len(overlaps), "high": (overlaps >= 0.7).sum().item(), "low": (overlaps < 0.3).sum().item()}
    assert explorer.counts == counts
    assert counts["high"] > 0


def test_without_objects_no_anchor_is_useful():
    assert UsefulExplorer(IMAGE, []).counts["high"] == 0


def test_objects_in_one_place_share_their_best_anchor():
    near = torch.tensor([[20.0, 20.0, 52.0, 52.0], [21.0, 21.0, 53.0, 53.0], [90.0, 40.0, 122.0, 72.0]])
    explorer = SharedExplorer(IMAGE, near, sizes=(32,), ratios=(1,))
    assert explorer.shares.tolist() == [True, True, False]
    assert explorer.num_without == 1
    explorer.stride = 1
    assert explorer.num_without == 0


def data_sets():
    small = torch.tensor([[50.0, 50.0, 60.0, 60.0]])
    return {"first": [(IMAGE, BOXES), (IMAGE[:, :60], BOXES[:0])], "second": [(IMAGE, small)]}


def test_coverage_is_the_best_iou_of_every_box_of_the_data_set():
    explorer = CoverageExplorer(data_sets(), sizes=(30, 60))
    expected = box_iou(every_anchor(explorer), BOXES).amax(dim=0)
    torch.testing.assert_close(torch.tensor(explorer.overlaps), expected, atol=1e-5, rtol=0)
    assert explorer.mean == pytest.approx(expected.mean().item(), abs=1e-5)
    assert explorer.share_covered == pytest.approx((expected >= 0.7).float().mean().item())


@pytest.mark.parametrize("change", [{"sizes": (20, 90)}, {"ratios": (0.2, 1)}, {"stride": 5}, {"offset": 0.5}])
def test_coverage_follows_every_setting(change):
    explorer = CoverageExplorer(data_sets(), sizes=(30, 60))
    before = explorer.overlaps
    for name, value in change.items():
        setattr(explorer, name, value)
    assert explorer.overlaps.tolist() != before.tolist()
    expected = box_iou(every_anchor(explorer), BOXES).amax(dim=0)
    torch.testing.assert_close(torch.tensor(explorer.overlaps), expected, atol=1e-5, rtol=0)


def test_another_data_set_and_another_picture_are_shown():
    explorer = CoverageExplorer(data_sets(), sizes=(30, 60))
    explorer.picture = 1
    assert (len(explorer.boxes), explorer.image.shape[0]) == (0, 60)
    explorer.data_set = "second"
    assert (len(explorer.boxes), len(explorer.overlaps), explorer.picture, explorer.num_pictures) == (1, 1, 0, 1)
    paper = CoverageExplorer(data_sets(), data_set="second")
    assert (paper.sizes, paper.ratios) == (PAPER_SIZES, PAPER_ASPECT_RATIOS)
    assert explorer.yardstick == pytest.approx(paper.mean)


@pytest.mark.parametrize("explorer", [*EXPLORERS, CoverageExplorer])
def test_every_explorer_has_a_plain_picture_for_a_page_without_a_kernel(explorer):
    made = explorer(data_sets()) if explorer is CoverageExplorer else explorer(IMAGE, BOXES)
    data, _ = made._repr_mimebundle_()
    assert len(data["image/jpeg"]) > 1000
    assert repr(made) == repr(made)


@pytest.mark.parametrize(("name", "value"), [("sizes", ()), ("sizes", (0, 5)), ("ratios", (-1,)), ("stride", 0)])
def test_settings_that_make_no_anchors_are_refused(name, value):
    with pytest.raises(ValueError, match=r"empty|above 0"):
        GridExplorer(IMAGE, **{name: value})


def test_an_offset_outside_of_the_cell_is_refused():
    with pytest.raises(traitlets.TraitError, match="offset"):
        GridExplorer(IMAGE, offset=2)


@pytest.mark.parametrize("explorer", [RatioExplorer, OddShapeExplorer])
def test_explorers_of_one_object_refuse_none(explorer):
    with pytest.raises(ValueError, match="at least one box"):
        explorer(IMAGE, [])


def test_a_data_set_without_boxes_is_refused():
    with pytest.raises(ValueError, match="at least one box"):
        CoverageExplorer({"empty": [(IMAGE, BOXES[:0])]})
