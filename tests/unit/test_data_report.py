"""The data report: counts, sizes as the network sees them, coverage, and anchors that fit."""

import pytest
import torch

from frcnn_edu.anchors import PAPER_ASPECT_RATIOS, PAPER_SIZES, base_anchors
from frcnn_edu.boxes import box_iou
from frcnn_edu.config import Config
from frcnn_edu.datasets import shapes
from frcnn_edu.datasets.data_report import anchor_shapes, coverage, examine, examine_targets, fit_anchors, shape_iou
from frcnn_edu.images import batch_images

NAMES = ("__background__", "tall", "wide", "never")


def report():
    targets = [
        {"boxes": torch.tensor([[0.0, 0, 10, 40], [5, 5, 45, 15]]), "labels": torch.tensor([1, 2])},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
        {"boxes": torch.tensor([[0.0, 0, 20, 80]]), "labels": torch.tensor([1])},
    ]
    return examine_targets(targets, [(100, 50), (60, 60), (200, 300)], NAMES)


def test_counts_sizes_and_ratios():
    found = report()
    assert found.per_class == {"tall": 2, "wide": 1, "never": 0}
    assert found.per_image == [2, 0, 1]
    assert found.ratios.tolist() == [4, 0.25, 4]
    assert found.sizes.tolist() == [20, 20, 40]
    assert "3 images of 60 to 200 x 50 to 300 pixels, 3 boxes" in str(found)


def test_resized_boxes_are_those_that_the_network_sees():
    """Held against the package's own resizing, which also knows the longest side that is allowed."""
    config = Config(min_size=100, max_size=180)
    sizes = [(50, 100), (60, 60), (300, 200)]
    resized = report().resized(config)
    seen = batch_images([torch.rand(3, *size) for size in sizes], config).sizes
    for (width, height), (rows, columns) in zip(resized.image_sizes.tolist(), seen, strict=True):
        assert (width, height) == pytest.approx((columns, rows), abs=1)
    assert resized.shapes[0].tolist() == pytest.approx([18, 72]), "180 / 100: the longer side stops it"
    assert resized.shapes[2].tolist() == pytest.approx([10, 40]), "100 / 200: the shorter side does"


def test_a_data_set_is_read_as_its_targets_are():
    scenes = shapes.Shapes(4, "val")
    pairs = [scenes[index] for index in range(4)]
    whole = examine(scenes)
    assert torch.equal(
        whole.shapes, examine_targets([t for _, t in pairs], [(256, 256)] * 4, scenes.class_names).shapes
    )
    assert whole.class_names == tuple(scenes.class_names)
    assert whole.image_sizes.tolist() == [[256, 256]] * 4


def test_iou_of_shapes_is_that_of_boxes_with_one_centre():
    torch.manual_seed(0)
    first, second = 1 + 99 * torch.rand(20, 2), 1 + 99 * torch.rand(7, 2)
    boxes = [torch.cat((-sides / 2, sides / 2), dim=1) for sides in (first, second)]
    torch.testing.assert_close(shape_iou(first, second), box_iou(*boxes))


def test_the_papers_nine_and_what_they_cover():
    nine = anchor_shapes()
    anchors = base_anchors(PAPER_SIZES, PAPER_ASPECT_RATIOS)
    assert torch.equal(nine, anchors[:, 2:] - anchors[:, :2])
    found = coverage(torch.tensor([[128.0, 128.0], [32.0, 32.0]]), nine)
    assert found.best.tolist() == pytest.approx([1, 32**2 / 128**2])
    assert (found.share(0.5), found.share(0.05)) == (0.5, 1)
    assert found.mean == pytest.approx((1 + 1 / 16) / 2)


def heaps():
    """Three heaps of boxes round 20 x 20, 100 x 50 and 60 x 240, of very different numbers."""
    generator = torch.Generator().manual_seed(0)
    middles = torch.tensor([[20.0, 20.0]] * 200 + [[100.0, 50.0]] * 30 + [[60.0, 240.0]] * 10)
    return middles * (1 + 0.1 * torch.randn(len(middles), 2, generator=generator))


@pytest.mark.parametrize("seed", range(5))
def test_fitted_anchors_are_the_heaps_by_area_whatever_the_start(seed):
    fitted = fit_anchors(heaps(), 3, seed)
    torch.testing.assert_close(fitted, torch.tensor([[20.0, 20], [100, 50], [60, 240]]), rtol=0.1, atol=0)


def test_fitted_anchors_beat_the_papers_and_more_of_them_fit_better():
    boxes = heaps()
    means = [coverage(boxes, fit_anchors(boxes, count)).mean for count in (1, 2, 3, 9)]
    assert means == sorted(means)
    assert coverage(boxes, anchor_shapes()).mean < means[2]


def test_as_many_anchors_as_shapes_fit_all_and_more_are_refused():
    boxes = torch.tensor([[10.0, 10], [20, 40], [20, 40], [70, 10]])
    assert coverage(boxes, fit_anchors(boxes, 3)).mean == pytest.approx(1)
    with pytest.raises(ValueError, match="4 anchors cannot be fitted to 3 different shapes"):
        fit_anchors(boxes, 4)
    with pytest.raises(ValueError, match="0 anchors"):
        fit_anchors(boxes, 0)


def test_nothing_to_report_on_is_said():
    with pytest.raises(ValueError, match="one target for each image"):
        examine_targets([], [], NAMES)
