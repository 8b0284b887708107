"""Losses: one number for "is it an object?" and one for "where is it?", for each of the two stages.

Equation 1 of Faster R-CNN: ``L = 1/N_cls sum L_cls(p, p*) + lambda 1/N_reg sum p* L_reg(t, t*)``. The factor p* means
that only positives regress. The paper has N_cls = 256, the sampled anchors; N_reg about 2400, the cells of the map; and
lambda = 10, so that both halves weigh about the same. torchvision divides both by the number of sampled anchors and has
no lambda: with 256 samples its box loss weighs about as much (1/256 beside 10/2400 = 1/240).

Every result keeps its terms, weighted, so that the terms sum to the loss that is printed.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from frcnn_edu.boxes import full_precision
from frcnn_edu.training.distributed import mean_over_processes

RPN_BETA = 1 / 9


def smooth_l1(x: Tensor, beta: float = RPN_BETA) -> Tensor:
    """``x**2 / (2 beta)`` where ``|x| < beta``, ``|x| - beta / 2`` beyond, elementwise: the same shape as `x`.

    Quadratic near 0, so that gradients fade there; linear further out, so that no outlier rules. With beta 0 it is L1.
    Raises ValueError for a negative beta. Source: Fast R-CNN, equation 3, with beta 1.
    """
    if not beta >= 0:
        raise ValueError(f"beta must be at least 0, got {beta}")
    size = x.abs()
    if beta == 0:
        return size
    return torch.where(size < beta, 0.5 * x**2 / beta, size - 0.5 * beta)


@dataclass(frozen=True)
class RPNLoss:
    """Equation 1 for a batch, and what each of the S anchors given adds to it."""

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
    n_cls: float | None = None,
    n_reg: float | None = None,
    balance: float = 1.0,
    beta: float = RPN_BETA,
) -> RPNLoss:
    """The loss of the region proposal network: (S,), (S, 4), (S,), (S, 4) -> `RPNLoss`. Source: equation 1.

    `labels` are 1, 0, or -1 for anchors that were not sampled; targets of anchors that are not positive may hold
    anything. `n_cls` and `n_reg` are the number of sampled anchors unless given, `balance` is lambda.
    Raises ValueError where shapes do not fit, or a divisor is not above 0.
    """
    _check_rows(logits=(logits, ()), deltas=(deltas, (4,)), labels=(labels, ()), target_deltas=(target_deltas, (4,)))
    if not all(divisor is None or divisor > 0 for divisor in (n_cls, n_reg)):
        raise ValueError(f"n_cls and n_reg divide the sums, so they must be above 0; got {n_cls} and {n_reg}")
    logits, deltas = full_precision(logits), full_precision(deltas)
    sampled, positive = labels >= 0, labels == 1  # (S,), (S,)
    count = mean_over_processes(sampled.sum()).clamp(min=1)
    objectness_terms = F.binary_cross_entropy_with_logits(logits, positive.to(logits.dtype), reduction="none")  # (S,)
    objectness_terms = objectness_terms.where(sampled, 0) / (count if n_cls is None else n_cls)
    errors = (deltas - target_deltas).where(positive[:, None], 0)  # (S, 4)
    box_reg_terms = balance * smooth_l1(errors, beta) / (count if n_reg is None else n_reg)
    return RPNLoss(objectness_terms.sum(), box_reg_terms.sum(), objectness_terms, box_reg_terms)


@dataclass(frozen=True)
class FastRCNNLoss:
    """The second stage's loss for a batch, and what each of the S sampled proposals adds to it."""

    classifier: Tensor
    """Scalar: cross-entropy over all classes."""
    box_reg: Tensor
    """Scalar: smooth L1 on the deltas of the right class."""
    classifier_terms: Tensor
    """(S,): cross-entropies over S."""
    box_reg_terms: Tensor
    """(S, 4): smooth L1 over S, 0 for background."""

    @property
    def total(self) -> Tensor:
        """The scalar that training minimises."""
        return self.classifier + self.box_reg


def fast_rcnn_loss(
    class_logits: Tensor, box_deltas: Tensor, labels: Tensor, target_deltas: Tensor, beta: float = RPN_BETA
) -> FastRCNNLoss:
    """The loss of the second stage: (S, K), (S, K, 4), (S,), (S, 4) -> `FastRCNNLoss`.

    `labels` are classes, 0 the background, which regresses nothing: its targets may hold anything.
    Raises ValueError where shapes do not fit. Source: Fast R-CNN, equation 1, with lambda 1.
    """
    classes = class_logits.shape[-1]
    _check_rows(
        class_logits=(class_logits, (classes,)),
        box_deltas=(box_deltas, (classes, 4)),
        labels=(labels, ()),
        target_deltas=(target_deltas, (4,)),
    )
    class_logits, box_deltas = full_precision(class_logits), full_precision(box_deltas)
    count = mean_over_processes(torch.tensor(len(labels), device=labels.device)).clamp(min=1)
    classifier_terms = F.cross_entropy(class_logits, labels, reduction="none") / count  # (S,)
    own_deltas = box_deltas[torch.arange(len(labels), device=labels.device), labels]  # (S, 4): those of the right class
    errors = (own_deltas - target_deltas).where(labels[:, None] > 0, 0)  # (S, 4)
    box_reg_terms = smooth_l1(errors, beta) / count
    return FastRCNNLoss(classifier_terms.sum(), box_reg_terms.sum(), classifier_terms, box_reg_terms)


def _check_rows(**expected: tuple[Tensor, tuple[int, ...]]) -> None:
    rows = len(next(iter(expected.values()))[0])
    for name, (values, shape) in expected.items():
        if values.shape != (rows, *shape):
            raise ValueError(f"{name} must be {(rows, *shape)}, one row per box, got {tuple(values.shape)}")
