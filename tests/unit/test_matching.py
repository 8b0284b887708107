"""Matching and sampling: whose example is each box, and which of them a training step looks at."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.models.detection._utils import Matcher as TorchvisionMatcher

from frcnn_edu.boxes import box_iou
from frcnn_edu.matching import BalancedSampler, Matcher, Matches, Sample, is_best_anchor

SEEDS = st.integers(0, 2**31)


def draw_boxes(count: int, generator: torch.Generator, side: float = 60.0) -> Tensor:
    corner = torch.rand(count, 2, generator=generator) * side
    return torch.cat((corner, corner + 1 + torch.rand(count, 2, generator=generator) * side), dim=1)


def as_torchvision_says(matches: Matches) -> Tensor:
    """Our labels and indices in torchvision's one number: the index, -1 for negative, -2 for ignored."""
    return matches.gt_index.where(matches.labels == 1, matches.labels - 1)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 40), st.integers(1, 6), st.booleans())
def test_matches_are_torchvisions_where_every_object_is_overlapped(seed, anchors, objects, low_quality):
    generator = torch.Generator().manual_seed(seed)
    gt = draw_boxes(objects, generator)
    boxes = torch.cat((draw_boxes(anchors, generator), gt + 0.3))  # the last ones overlap each object
    iou = box_iou(boxes, gt)
    expected = TorchvisionMatcher(0.7, 0.3, allow_low_quality_matches=low_quality)(iou.T)
    assert torch.equal(as_torchvision_says(Matcher(0.7, 0.3, low_quality)(iou)), expected)


@settings(max_examples=60, deadline=None)
@given(
    SEEDS, st.integers(1, 30), st.integers(1, 5), st.sampled_from([(0.5, 0.5), (0.75, 0.25), (1.0, 0.25), (0.0, 0.0)])
)
def test_matches_are_torchvisions_on_the_thresholds_and_with_ties(seed, anchors, objects, thresholds):
    """IoUs are drawn from a few values, thresholds among them, so nearly all are ties."""
    values = torch.tensor([0.25, 0.5, 0.75, 1.0])
    iou = values[torch.randint(4, (anchors, objects), generator=torch.Generator().manual_seed(seed))]
    for low_quality in (False, True):
        expected = TorchvisionMatcher(*thresholds, allow_low_quality_matches=low_quality)(iou.T)
        assert torch.equal(as_torchvision_says(Matcher(*thresholds, low_quality)(iou)), expected)


def test_the_default_is_the_papers():
    assert Matcher() == Matcher(high_threshold=0.7, low_threshold=0.3, allow_low_quality_matches=True)
    assert BalancedSampler() == BalancedSampler(batch_size=256, positive_fraction=0.5)


def test_07_is_positive_and_03_is_not_negative():
    just_below = torch.tensor([0.7, 0.3]).nextafter(torch.zeros(2))
    iou = torch.tensor([0.7, just_below[0], 0.5, 0.3, just_below[1], 0.0])[:, None]
    matches = Matcher(allow_low_quality_matches=False)(iou)
    assert matches.labels.tolist() == [1, -1, -1, -1, 0, 0]
    assert matches.iou.tolist() == iou.flatten().tolist()
    assert matches.labels.dtype == torch.int64


def test_the_best_anchor_of_an_object_is_positive_however_little_it_overlaps():
    matches = Matcher()(torch.tensor([[0.10, 0.2], [0.15, 0.1], [0.05, 0.1]]))
    assert matches.labels.tolist() == [1, 1, 0]
    assert matches.gt_index.tolist() == [1, 0, 1]
    assert Matcher(allow_low_quality_matches=False)(matches.iou[:, None]).labels.tolist() == [0, 0, 0]


def test_all_anchors_that_tie_for_best_are_positive():
    assert Matcher()(torch.tensor([[0.4], [0.4], [0.2]])).labels.tolist() == [1, 1, 0]


def test_a_best_anchor_that_prefers_another_object_is_matched_to_that_one():
    """Anchor 0 is the best that object 1 has, but overlaps object 0 more: positive, with object 0 as its target."""
    matches = Matcher()(torch.tensor([[0.5, 0.4], [0.6, 0.1]]))
    assert matches.labels.tolist() == [1, 1]
    assert matches.gt_index.tolist() == [0, 0]


def test_an_object_that_nothing_overlaps_makes_nothing_positive():
    iou = torch.tensor([[0.0, 0.0], [0.0, 0.2], [0.0, 0.0]])
    assert is_best_anchor(iou).tolist() == [False, True, False]
    assert Matcher()(iou).labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize("shape", [(5, 0), (0, 3), (0, 0)])
def test_without_objects_all_are_negative_and_without_anchors_there_is_nothing(shape):
    matches = Matcher()(torch.zeros(shape))
    assert matches.labels.tolist() == matches.gt_index.tolist() == matches.iou.tolist() == [0] * shape[0]
    assert matches.labels.dtype == matches.gt_index.dtype == torch.int64


@pytest.mark.parametrize(("high", "low"), [(0.3, 0.7), (1.1, 0.3), (0.7, -0.1)])
def test_thresholds_that_make_no_sense_are_refused(high, low):
    with pytest.raises(ValueError, match=rf"low_threshold <= high_threshold.*{high}.*{low}"):
        Matcher(high, low)


def test_thresholds_may_lie_at_either_end():
    assert Matcher(1.0, 0.0)(torch.tensor([[1.0], [0.5], [0.0]])).labels.tolist() == [1, -1, -1]


def test_a_matcher_wants_a_row_per_box():
    with pytest.raises(ValueError, match=r"\(A, G\).*got \(3,\)"):
        Matcher()(torch.zeros(3))


def draw_labels(positives: int, negatives: int, ignored: int, generator: torch.Generator) -> Tensor:
    labels = torch.tensor([1] * positives + [0] * negatives + [-1] * ignored, dtype=torch.int64)
    return labels[torch.randperm(len(labels), generator=generator)]


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(0, 40), st.integers(0, 40), st.integers(0, 10), st.integers(1, 50), st.floats(0, 1))
def test_a_sample_has_the_promised_parts(seed, positives, negatives, ignored, batch_size, fraction):
    """As many positives as allowed, negatives for the rest, each at most once, none of the ignored."""
    generator = torch.Generator().manual_seed(seed)
    labels = draw_labels(positives, negatives, ignored, generator)
    sample = BalancedSampler(batch_size, fraction)(labels, generator)
    assert len(sample.positive) == min(positives, int(batch_size * fraction))
    assert len(sample.negative) == min(negatives, batch_size - len(sample.positive))
    assert (labels[sample.positive] == 1).all()
    assert (labels[sample.negative] == 0).all()
    assert len(sample.indices.unique()) == len(sample.positive) + len(sample.negative) == len(sample.indices)
    assert sample.indices.dtype == torch.int64


@pytest.mark.parametrize(
    ("positives", "negatives", "expected"),
    [(1000, 1000, (128, 128)), (30, 1000, (30, 226)), (0, 1000, (0, 256)), (1000, 5, (128, 5)), (0, 0, (0, 0))],
)
def test_of_256_at_most_half_are_positive_and_negatives_fill_up(positives, negatives, expected):
    labels = draw_labels(positives, negatives, 20, torch.Generator().manual_seed(0))
    sample = BalancedSampler()(labels)
    assert (len(sample.positive), len(sample.negative)) == expected


@pytest.mark.parametrize(("fraction", "expected"), [(0.0, (0, 8)), (1.0, (8, 0)), (0.25, (2, 6)), (0.1, (0, 8))])
def test_a_fraction_rounds_down(fraction, expected):
    sample = BalancedSampler(8, fraction)(torch.tensor([1, 0] * 20))
    assert (len(sample.positive), len(sample.negative)) == expected


def test_any_class_counts_as_positive():
    sample = BalancedSampler(10, 1.0)(torch.tensor([3, 0, 91, -1, -2]))
    assert sample.positive.tolist() == [0, 2]
    assert sample.negative.tolist() == [1]


def test_indices_hold_positives_first():
    assert Sample(torch.tensor([7, 3]), torch.tensor([1])).indices.tolist() == [7, 3, 1]


def test_the_same_seed_draws_the_same_sample():
    labels, sampler = draw_labels(300, 3000, 100, torch.Generator().manual_seed(0)), BalancedSampler()
    draws = [sampler(labels, torch.Generator().manual_seed(seed)).indices for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    torch.manual_seed(5)
    first = sampler(labels).indices
    torch.manual_seed(5)
    assert torch.equal(sampler(labels).indices, first)


def test_a_given_generator_leaves_the_global_one_alone():
    state = torch.get_rng_state()
    BalancedSampler()(draw_labels(300, 3000, 0, torch.Generator().manual_seed(0)), torch.Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_sample_that_takes_all_there_is_rolls_no_dice():
    """Then it keeps the order too, and the same seed serves the draws that matter."""
    state = torch.get_rng_state()
    sample = BalancedSampler(8, 0.5)(torch.tensor([0, 1, 1, 0, 0, 1, 0, 1]))
    assert torch.equal(torch.get_rng_state(), state)
    assert sample.indices.tolist() == [1, 2, 5, 7, 0, 3, 4, 6]


@pytest.mark.parametrize(
    "value",
    [Matcher(), BalancedSampler(), Sample(torch.zeros(1), torch.zeros(1)), Matcher()(torch.zeros(2, 1))],
    ids=lambda value: type(value).__name__,
)
def test_rules_and_results_cannot_be_changed_afterwards(value):
    field = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, field, 0)


def test_every_box_has_the_same_chance():
    """300 draws of 10 of 20: each box is expected 150 times; 5 standard deviations are 43."""
    generator, sampler = torch.Generator().manual_seed(0), BalancedSampler(20, 0.5)
    labels = torch.tensor([1, 0] * 20)
    counts = torch.stack([sampler(labels, generator).indices for _ in range(300)]).flatten().bincount(minlength=40)
    assert (counts - 150).abs().max() < 43


@pytest.mark.parametrize(
    "sampler", [{"batch_size": 0}, {"positive_fraction": 1.5}, {"positive_fraction": -0.1}], ids=str
)
def test_a_sampler_that_makes_no_sense_is_refused(sampler):
    with pytest.raises(ValueError, match=r"batch_size >= 1 and positive_fraction in \[0, 1\]"):
        BalancedSampler(**sampler)


def test_a_sample_of_one_box_is_allowed():
    assert BalancedSampler(1, 1.0)(torch.tensor([1, 1, 0])).indices.shape == (1,)
