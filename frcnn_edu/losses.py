"""Losses: one number for "is it an object?" and one for "where is it?", for each of the two stages.

Equation 1 of Faster R-CNN: ``L = 1/N_cls sum L_cls(p, p*) + lambda 1/N_reg sum p* L_reg(t, t*)``. The factor p* means
that only positives regress. The paper has N_cls = 256, the sampled anchors; N_reg about 2400, the cells of the map; and
lambda = 10, so that both halves weigh about the same. torchvision divides both by the number of sampled anchors and has
no lambda: with 256 samples its box loss weighs about as much (1/256 beside 10/2400 = 1/240).

Every result keeps its terms, weighted, so that the terms sum to the loss that is printed. Both losses take the function
of each half as an argument, so a focal or GIoU loss needs no change here:
``FasterRCNN(..., rpn_loss=partial(rpn_loss, objectness_loss=sigmoid_focal_loss))``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from frcnn_edu.boxes import full_precision

RPN_BETA = 1 / 9

TermLoss = Callable[[Tensor, Tensor], Tensor]
"""Loss of each row, not yet summed: predictions (S, ...), targets (S, ...) -> (S, ...)."""


def smooth_l1(x: Tensor, beta: float = RPN_BETA) -> Tensor:
    """``x**2 / (2 beta)`` where ``|x| < beta``, ``|x| - beta / 2`` beyond, elementwise: the same shape as `x`.

    Quadratic near 0, so gradients shrink there; linear further out, so outliers do not dominate. With beta 0 it is L1.
    Raises ValueError for a negative beta. Source: Fast R-CNN, equation 3, with beta 1.
    """
    if not beta >= 0:
        raise ValueError(f"beta must be at least 0, got {beta}")
    size = x.abs()
    if beta == 0:
        return size
    return torch.where(size < beta, 0.5 * x**2 / beta, size - 0.5 * beta)


def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of a sigmoid, for each logit: (S,), (S,) in {0, 1} -> (S,)."""
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of a softmax over K classes, for each row: (S, K), (S,) int64 -> (S,)."""
    return F.cross_entropy(logits, labels, reduction="none")


@dataclass(frozen=True)
class RPNLoss:
    """Equation 1 for a batch, and what each of the S given anchors adds to it."""

    objectness: Tensor
    """Scalar: the classification half."""
    box_reg: Tensor
    """Scalar: the regression half, lambda included."""
    objectness_terms: Tensor
    """(S,): cross-entropies over N_cls, 0 for anchors that were not sampled."""
    box_reg_terms: Tensor
    """(S, 4): lambda times smooth L1 over N_reg, 0 for all but positives."""

    @property
    def total(self) -> Tensor:
        """The scalar that training minimises."""
        return self.objectness + self.box_reg


def rpn_loss(
    logits: Tensor,
    deltas: Tensor,
    labels: Tensor,
    target_deltas: Tensor,
    n_cls: float | Tensor | None = None,
    n_reg: float | Tensor | None = None,
    balance: float = 1.0,
    beta: float = RPN_BETA,
    objectness_loss: TermLoss = binary_cross_entropy,
    box_loss: TermLoss | None = None,
) -> RPNLoss:
    """Loss of the region proposal network: (S,), (S, 4), (S,), (S, 4) -> `RPNLoss`. Source: equation 1.

    `labels` are 1, 0, or -1 for anchors that were not sampled; the target deltas of anchors that are not positive are
    not read. `n_cls` and `n_reg` default to the number of sampled anchors; `balance` is lambda. `objectness_loss` takes
    logits and targets (S,), `box_loss` deltas and target deltas (S, 4); by default smooth L1 with `beta`.
    Raises ValueError where shapes do not match or a divisor is not above 0.
    """
    _check_rows(logits=(logits, ()), deltas=(deltas, (4,)), labels=(labels, ()), target_deltas=(target_deltas, (4,)))
    if not all(divisor is None or isinstance(divisor, Tensor) or divisor > 0 for divisor in (n_cls, n_reg)):
        raise ValueError(f"n_cls and n_reg divide the sums, so they must be above 0; got {n_cls} and {n_reg}")
    logits, deltas = full_precision(logits), full_precision(deltas)
    sampled, positive = labels >= 0, labels == 1  # (S,), (S,)
    n_cls = sampled.sum().clamp(min=1) if n_cls is None else n_cls
    objectness_terms = objectness_loss(logits, positive.to(logits.dtype)).where(sampled, 0) / n_cls  # (S,)
    box_reg_terms = _box_terms(deltas, target_deltas, positive, box_loss, beta)  # (S, 4)
    box_reg_terms = balance * box_reg_terms / (n_cls if n_reg is None else n_reg)
    return RPNLoss(objectness_terms.sum(), box_reg_terms.sum(), objectness_terms, box_reg_terms)


@dataclass(frozen=True)
class FastRCNNLoss:
    """The second stage's loss for a batch, and what each of the S sampled proposals adds to it."""

    classifier: Tensor
    """Scalar: cross-entropy over all classes."""
    box_reg: Tensor
    """Scalar: smooth L1 on the deltas of the ground-truth class."""
    classifier_terms: Tensor
    """(S,): cross-entropies over S."""
    box_reg_terms: Tensor
    """(S, 4): smooth L1 over S, 0 for background."""

    @property
    def total(self) -> Tensor:
        """The scalar that training minimises."""
        return self.classifier + self.box_reg


def fast_rcnn_loss(
    class_logits: Tensor,
    box_deltas: Tensor,
    labels: Tensor,
    target_deltas: Tensor,
    beta: float = RPN_BETA,
    count: float | Tensor | None = None,
    classifier_loss: TermLoss = cross_entropy,
    box_loss: TermLoss | None = None,
) -> FastRCNNLoss:
    """Loss of the second stage: (S, K), (S, K, 4), (S,), (S, 4) -> `FastRCNNLoss`.

    `labels` are classes, 0 the background, which regresses nothing: its target deltas are not read. Both sums are
    divided by `count`, by default S. `classifier_loss` takes logits (S, K) and labels, `box_loss` deltas and target
    deltas (S, 4). Raises ValueError where shapes do not match. Source: Fast R-CNN, equation 1, with lambda 1.
    """
    classes = class_logits.shape[-1]
    _check_rows(
        class_logits=(class_logits, (classes,)),
        box_deltas=(box_deltas, (classes, 4)),
        labels=(labels, ()),
        target_deltas=(target_deltas, (4,)),
    )
    class_logits, box_deltas = full_precision(class_logits), full_precision(box_deltas)
    count = max(len(labels), 1) if count is None else count
    classifier_terms = classifier_loss(class_logits, labels) / count  # (S,)
    own_deltas = box_deltas[torch.arange(len(labels), device=labels.device), labels]  # (S, 4): those of the label
    box_reg_terms = _box_terms(own_deltas, target_deltas, labels > 0, box_loss, beta) / count  # (S, 4)
    return FastRCNNLoss(classifier_terms.sum(), box_reg_terms.sum(), classifier_terms, box_reg_terms)


def count_of_this_process(count: int, device: torch.device) -> float | Tensor:
    """What a stage divides its loss by: `count` rows, at least 1.

    Several processes that share a batch replace it in both stages, see `training.distributed.replicate`.
    """
    return max(count, 1)


def _box_terms(
    deltas: Tensor, targets: Tensor, positive: Tensor, box_loss: TermLoss | None, beta: float
) -> Tensor:  # (S, 4), or (S, 1) from a loss of whole boxes
    """The box loss of each row, 0 where `positive`, (S,), is False, whatever its target holds."""
    deltas, targets = deltas.where(positive[:, None], 0), targets.where(positive[:, None], 0)  # (S, 4) each
    terms = smooth_l1(deltas - targets, beta) if box_loss is None else box_loss(deltas, targets)
    return (terms if terms.ndim == 2 else terms[:, None]).where(positive[:, None], 0)


def _check_rows(**expected: tuple[Tensor, tuple[int, ...]]) -> None:
    rows = len(next(iter(expected.values()))[0])
    for name, (values, shape) in expected.items():
        if values.shape != (rows, *shape):
            raise ValueError(f"{name} must be {(rows, *shape)}, one row per box, got {tuple(values.shape)}")
