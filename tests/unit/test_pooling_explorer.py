"""The explorers of lesson 06, as Python sees them: what they show is what the package's operators and model answer."""

import pytest
import torch
import traitlets
from hypothesis import given, settings
from hypothesis import strategies as st
from small_detector import small_detector
from torchvision import ops

from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.explorers.lesson_06_roi_pooling import GradientExplorer, HeadsExplorer, PoolingExplorer

IMAGE = torch.full((3, 96, 120), 0.5)
REGION = (20.0, 17.0, 75.0, 66.0)
STRIDE = 16

corners = st.floats(0, 80)
sides = st.floats(1, 60)


def feature_map(channels: int = 3, seed: int = 0) -> torch.Tensor:
    """A map of 6 x 8 cells with many zeros, as after a ReLU."""
    return torch.randn(channels, 6, 8, generator=torch.Generator().manual_seed(seed)).relu()


def explorer(kind: type = PoolingExplorer, **options: object) -> PoolingExplorer | GradientExplorer:
    return kind(IMAGE, feature_map(), REGION, **options)


@given(x=corners, y=corners, width=sides, height=sides)
@settings(max_examples=80, deadline=None)
def test_it_reads_the_whole_cells_nearest_to_the_edges_the_last_included(x, y, width, height):
    region = torch.tensor([x, y, x + width, y + height])
    read = PoolingExplorer(IMAGE, feature_map(), region).read
    x1, y1, x2, y2 = (int(edge / STRIDE + 0.5) for edge in region.tolist())
    expected = [x1, y1, min(x2 + 1, 8), min(y2 + 1, 6)]
    assert (read / STRIDE).tolist() == expected


def test_rounding_moves_an_edge_by_half_a_cell_at_most_and_the_last_ones_by_a_whole_cell_more():
    found = explorer()
    moved = torch.stack([PoolingExplorer(IMAGE, feature_map(), [x, 8, x + 30, 60]).edges_moved for x in range(50)])
    assert (moved[:, 0].abs() <= STRIDE / 2).all()
    assert ((moved[:, 2] - STRIDE).abs() <= STRIDE / 2).all()
    torch.testing.assert_close(found.edges_moved, found.read - found.roi)


@pytest.mark.parametrize("bins", [1, 3, 7])
@pytest.mark.parametrize("aligned", [False, True])
def test_the_grids_are_torchvisions(bins, aligned):
    found = explorer(bins=bins, aligned=aligned, channel=2, samples=3)
    features, rois = feature_map()[None, 2:3], [torch.tensor([REGION])]
    pool = ops.roi_pool(features, rois, bins, 1 / STRIDE)[0, 0]
    align = ops.roi_align(features, rois, bins, 1 / STRIDE, 3, aligned)[0, 0]
    torch.testing.assert_close(found.grids["pool"], pool)
    torch.testing.assert_close(found.grids["align"], align)


@pytest.mark.parametrize("aligned", [False, True])
def test_the_values_lie_where_roi_align_finds_them_unmixed(aligned):
    found = explorer(aligned=aligned)
    reach = torch.tensor([-1.0, -1, 1, 1]) * STRIDE / 2  # a region of one cell, one bin, one point: its middle
    regions = found.value_places.repeat(1, 2) + reach
    values = ops.roi_align(feature_map()[None], [regions], 1, 1 / STRIDE, 1, aligned)  # (H * W, C, 1, 1)
    torch.testing.assert_close(values[..., 0, 0].T.reshape(3, 6, 8), feature_map())


def test_the_winners_are_the_cells_that_hold_the_values_of_the_grid():
    found = explorer(channel=1, bins=3)
    held = feature_map()[1][found.winners.unbind(1)]
    assert set(held.tolist()) == set(found.grids["pool"].flatten().tolist())


@pytest.mark.parametrize("samples", [1, 3])
def test_its_points_read_a_slope_as_roi_align_does(samples):
    """On a map whose values are their own x, in cells, RoIAlign gives every bin the mean x of its points."""
    slope = torch.arange(8.0).expand(1, 6, 8)
    found = PoolingExplorer(IMAGE, slope, REGION, bins=3, samples=samples)
    of_bins = found.sample_points[:, 0].view(3, samples, 3, samples).mean(dim=(1, 3))  # (3, 3)
    torch.testing.assert_close(found.grids["align"], of_bins / STRIDE)


@pytest.mark.parametrize("all_channels", [True, False])
def test_the_gradients_are_torchvisions(all_channels):
    found = explorer(GradientExplorer, all_channels=all_channels, channel=1).gradients
    for name, operator in {"pool": ops.roi_pool, "align": ops.roi_align}.items():
        features = feature_map()[None].requires_grad_()
        more = {"sampling_ratio": 2} if name == "align" else {}
        operator(features, [torch.tensor([REGION])], 7, 1 / STRIDE, **more).sum().backward()
        expected = features.grad[0].mean(dim=0) if all_channels else features.grad[0, 1]
        torch.testing.assert_close(found[name], expected)


def test_every_pooled_value_passes_its_1_on_and_max_pooling_to_fewer_cells():
    found = explorer(GradientExplorer, all_channels=False).gradients
    assert found["pool"].sum().item() == pytest.approx(49)
    assert found["align"].sum().item() == pytest.approx(49, abs=1e-4)
    assert (found["pool"] > 0).sum() < (found["align"] > 0).sum()


def heads(**options: object) -> tuple[HeadsExplorer, torch.nn.Module, torch.Tensor]:
    model = small_detector().eval()
    image = torch.rand(3, 64, 96, generator=torch.Generator().manual_seed(1))
    names = [f"class {k}" for k in range(model.num_classes)]
    return HeadsExplorer(model, image, (10, 10, 50, 40), names, **options), model, image


def test_the_heads_answer_as_the_model_does():
    found, model, image = heads()
    with torch.no_grad():
        trace = model.trace([image])
        batch = trace.batch
        scale = torch.tensor(batch.sizes[0]) / torch.tensor(batch.original_sizes[0])
        regions = torch.tensor([[10.0, 10.0, 50.0, 40.0]]) * scale.flip(0).repeat(2)
        _, logits, deltas = model.roi_heads.predict(batch, trace.features, [regions])
    torch.testing.assert_close(torch.tensor(found.probabilities), logits[0].softmax(0))
    torch.testing.assert_close(torch.tensor(found.deltas), deltas[0])
    assert found.likeliest == logits.argmax().item()


def test_the_heads_are_asked_again_when_the_region_moves_or_is_pooled_otherwise():
    found, _, _ = heads()
    first = found.probabilities
    found.operator = "pool"
    second = found.probabilities
    found.boxes = [[30, 20, 90, 60]]
    assert not (first == second).all()
    assert not (second == found.probabilities).all()
    still = HeadsExplorer(*heads()[1:], (30, 20, 90, 60), found.class_names, operator="pool")
    torch.testing.assert_close(torch.tensor(still.answers), torch.tensor(found.answers))


@pytest.mark.parametrize("made", [explorer, lambda: explorer(GradientExplorer), lambda: heads()[0]])
def test_every_explorer_has_a_plain_picture_for_a_page_without_a_kernel(made):
    made = made()
    data, _ = made._repr_mimebundle_()
    assert len(data["image/jpeg"]) > 1000
    assert repr(made) == repr(made)


@pytest.mark.parametrize("kind", [PoolingExplorer, GradientExplorer, HeadsExplorer])
def test_no_property_hides_a_trait_of_the_canvas(kind):
    assert set(BoxCanvas.class_trait_names()) <= set(kind.class_trait_names())


def test_a_map_that_is_none_or_does_not_fit_the_image_is_refused():
    with pytest.raises(ValueError, match="of a batch take one"):
        PoolingExplorer(IMAGE, feature_map()[None], REGION)
    with pytest.raises(ValueError, match="map of 6 x 8 cells"):
        PoolingExplorer(IMAGE, feature_map()[:, :5], REGION)


def test_settings_that_there_are_not_are_refused():
    with pytest.raises(ValueError, match="channel counts from 0 to 2"):
        explorer(channel=3)
    with pytest.raises(traitlets.TraitError):
        explorer(operator="mean")
    with pytest.raises(ValueError, match="background counted"):
        HeadsExplorer(small_detector(), IMAGE, REGION, ["one"])
