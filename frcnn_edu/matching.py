"""Matching and sampling: the label of each box, and the boxes that a training step uses.

An anchor is positive if its IoU with an object is 0.7 or more, or the highest that any anchor has with some object;
negative if its IoU with every object is below 0.3; ignored in between (Faster R-CNN, section 3.1.2).
Of some 20 000 anchors a step samples 256, half of them positive if there are enough (section 3.1.3).

Difference from torchvision: the best-anchor rule needs an overlap. The best IoU of an object that no anchor touches is
0, which all anchors share, and torchvision makes all of them positive.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1


@dataclass(frozen=True)
class Matches:
    """The result of matching A boxes, anchors or proposals, to the ground truth."""

    labels: Tensor
    """(A,) int64: 1 positive, 0 negative, -1 ignored."""
    gt_index: Tensor
    """(A,) int64: the ground-truth box of highest IoU, whatever the label; 0 where an image has none."""
    iou: Tensor
    """(A,): that IoU; 0 for anchors across the border where those are dropped."""


@dataclass(frozen=True)
class Matcher:
    """Labels boxes by their IoU with the ground truth; `allow_low_quality_matches` is the best-anchor rule.

    Raises ValueError unless 0 <= low_threshold <= high_threshold <= 1.
    """

    high_threshold: float = 0.7
    low_threshold: float = 0.3
    allow_low_quality_matches: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.low_threshold <= self.high_threshold <= 1:
            raise ValueError(f"0 <= low_threshold <= high_threshold <= 1 is needed, got {self}")

    def __call__(self, iou: Tensor) -> Matches:
        """Match A boxes, given their IoU with G ground-truth boxes, (A, G); without any, all are negative."""
        if iou.ndim != 2:
            raise ValueError(f"iou must be (A, G), a row per box and a column per ground truth, got {tuple(iou.shape)}")
        if iou.shape[1] == 0:
            nothing = torch.zeros(len(iou), dtype=torch.int64, device=iou.device)
            return Matches(nothing, nothing, iou.new_zeros(len(iou)))
        best_iou, gt_index = iou.max(dim=1)  # (A,), (A,)
        labels = torch.full_like(gt_index, IGNORED)  # (A,)
        labels = labels.masked_fill(best_iou < self.low_threshold, NEGATIVE)
        labels = labels.masked_fill(best_iou >= self.high_threshold, POSITIVE)
        if self.allow_low_quality_matches and len(iou):
            labels = labels.masked_fill(is_best_anchor(iou), POSITIVE)
        return Matches(labels, gt_index, best_iou)


def is_best_anchor(iou: Tensor) -> Tensor:
    """Which boxes have the highest IoU with some ground-truth box, ties included: (A, G) -> (A,) bool.

    A ground-truth box that nothing overlaps has no best box. Source: section 3.1.2, rule (i).
    """
    best = iou.amax(dim=0)  # (G,)
    return (iou == best.masked_fill(best == 0, torch.inf)).any(dim=1)


@dataclass(frozen=True)
class Sample:
    """Indices of the boxes of one image that a training step uses."""

    positive: Tensor
    """(P,) int64."""
    negative: Tensor
    """(N,) int64."""

    @property
    def indices(self) -> Tensor:
        """Positives, then negatives: (P + N,)."""
        return torch.cat((self.positive, self.negative))


@dataclass(frozen=True)
class BalancedSampler:
    """Draws up to `batch_size` boxes at random, at most `positive_fraction` of them positive, the rest negative.

    Raises ValueError for a batch below 1 or a fraction outside [0, 1]. Source: section 3.1.3.
    """

    batch_size: int = 256
    positive_fraction: float = 0.5

    def __post_init__(self) -> None:
        if self.batch_size < 1 or not 0 <= self.positive_fraction <= 1:
            raise ValueError(f"batch_size >= 1 and positive_fraction in [0, 1] are needed, got {self}")

    def __call__(self, labels: Tensor, generator: torch.Generator | None = None) -> Sample:
        """Sample by `labels`, (A,): positive above 0, negative at 0, never drawn below 0."""
        positive, negative = (labels > 0).nonzero().squeeze(1), (labels == 0).nonzero().squeeze(1)
        positive = _draw(positive, int(self.batch_size * self.positive_fraction), generator)
        return Sample(positive, _draw(negative, self.batch_size - len(positive), generator))


def _draw(indices: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    if len(indices) <= count:
        return indices
    return indices[torch.randperm(len(indices), device=indices.device, generator=generator)[:count]]
