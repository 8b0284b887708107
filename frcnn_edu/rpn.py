"""The region proposal network: a small network that slides over the feature map and predicts where objects may be.

A 3x3 convolution reads the surroundings of each cell; two sibling 1x1 convolutions predict for each of the cell's A
anchors whether it contains an object (A logits) and how to move it (4A deltas). The candidates are the anchors of
highest logit, decoded and clipped; NMS makes proposals of them (Faster R-CNN, sections 3.1 and 3.3).

Difference from the paper: one logit and a sigmoid instead of two and a softmax, which is the same function of their
difference. Difference from torchvision: only the top-k anchors are decoded, not all. The order of the steps is
torchvision's (top-k, clip, drop small, NMS); the paper's (drop small, then top-k) is an option.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from frcnn_edu.anchors import AnchorGenerator
from frcnn_edu.boxes import box_iou, clip_boxes, decode_boxes, encode_boxes, thin_out
from frcnn_edu.config import Config
from frcnn_edu.images import ImageBatch
from frcnn_edu.losses import RPNLoss, count_of_this_process, rpn_loss
from frcnn_edu.matching import IGNORED, BalancedSampler, Matcher, Matches

INIT_STD = 0.01


class RPNHead(nn.Module):
    """3x3, then two sibling 1x1 convolutions, shared by all levels of a pyramid. Source: section 3.1, figure 3."""

    def __init__(self, in_channels: int, num_anchors: int) -> None:
        super().__init__()
        conv = nn.Conv2d(in_channels, in_channels, 3, padding=1)
        self.conv = nn.Sequential(nn.Sequential(conv, nn.ReLU()))  # nested, as torchvision's parameter names are
        self.cls_logits = nn.Conv2d(in_channels, num_anchors, kernel_size=1)
        self.bbox_pred = nn.Conv2d(in_channels, 4 * num_anchors, kernel_size=1)
        for layer in (conv, self.cls_logits, self.bbox_pred):
            nn.init.normal_(layer.weight, std=INIT_STD)
            nn.init.constant_(layer.get_parameter("bias"), 0)
        self.register_load_state_dict_pre_hook(_rename_old_keys)

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Maps (B, C, H, W) -> logits (B, A, H, W) and deltas (B, 4A, H, W), each a list over levels."""
        hidden = [self.conv(feature) for feature in features]
        return [self.cls_logits(h) for h in hidden], [self.bbox_pred(h) for h in hidden]


@dataclass(frozen=True)
class Proposals:
    """One image's K candidates, the top anchors of each level, best first, and which of them became proposals."""

    anchor_index: Tensor
    """(K,) int64: each candidate's anchor."""
    level: Tensor
    """(K,) int64: its level of the pyramid."""
    scores: Tensor
    """(K,) in [0, 1]: the sigmoid of its logit."""
    decoded: Tensor
    """(K, 4): its anchor with the deltas applied."""
    clipped: Tensor
    """(K, 4): `decoded`, clipped to the image."""
    valid: Tensor
    """(K,) bool: large enough and scored high enough to take part in NMS."""
    kept: Tensor
    """(P,) int64 into the candidates: what NMS and the limit left, best first."""
    suppressed_by: Tensor | None = None
    """(K,) int64, in a trace: the candidate that suppressed this one, or -1."""

    @property
    def boxes(self) -> Tensor:
        """The proposals: (P, 4) on the resized image, best first."""
        return self.clipped[self.kept]


@dataclass(frozen=True)
class AnchorTargets:
    """The training targets of one image's anchors, and the sample that the loss uses."""

    matches: Matches
    """Labels, ground-truth indices and IoUs of all anchors."""
    sampled: Tensor
    """(S,) int64: the anchors in the loss, positives first."""
    labels: Tensor
    """(S,) int64: their labels, 1 or 0."""
    deltas: Tensor
    """(S, 4): target deltas of the positives; 0 for negatives."""


@dataclass(frozen=True)
class RPNPass:
    """Every result of one pass through the region proposal network, for B images and A anchors each."""

    anchors: Tensor
    """(A, 4), level by level; the same for every image."""
    level_sizes: list[tuple[int, int, int]]
    """(anchors per cell, rows, columns) of each level."""
    logits: Tensor
    """(B, A)."""
    deltas: Tensor
    """(B, A, 4)."""
    proposals: list[Proposals]
    """One for each image."""
    targets: list[AnchorTargets] | None = None
    """With ground truth: one for each image."""
    loss: RPNLoss | None = None
    """With ground truth; its terms are in the order of the samples, image after image."""


class RegionProposalNetwork(nn.Module):
    """Head, anchors, matching and NMS: feature maps in, proposals out, and with ground truth the loss.

    `loss_function` is called as `losses.rpn_loss` is.
    """

    def __init__(
        self,
        anchor_generator: AnchorGenerator,
        head: nn.Module,
        config: Config,
        loss_function: Callable[..., RPNLoss] = rpn_loss,
    ) -> None:
        super().__init__()
        self.anchor_generator, self.head, self.config = anchor_generator, head, config
        self.loss_function, self.mean_count = loss_function, count_of_this_process
        self.matcher = Matcher(config.rpn_fg_iou_thresh, config.rpn_bg_iou_thresh)
        self.sampler = BalancedSampler(config.rpn_batch_size_per_image, config.rpn_positive_fraction)

    def forward(
        self, batch: ImageBatch, features: Sequence[Tensor], gt_boxes: list[Tensor] | None = None, detail: bool = False
    ) -> RPNPass:
        """One pass. With `gt_boxes`, (G, 4) on each resized image, it adds the loss; with `detail`, `suppressed_by`."""
        logit_maps, delta_maps = self.head(features)
        level_sizes = [tuple(logits.shape[1:]) for logits in logit_maps]
        anchors = torch.cat(self.anchor_generator(features, batch.padded_size))  # (A, 4)
        logits = torch.cat([_anchor_rows(level, 1) for level in logit_maps], dim=1).squeeze(-1)  # (B, A)
        deltas = torch.cat([_anchor_rows(level, 4) for level in delta_maps], dim=1)  # (B, A, 4)
        proposals = [
            self.propose(logits[i].detach(), deltas[i].detach(), anchors, level_sizes, size, detail)
            for i, size in enumerate(batch.sizes)
        ]
        if gt_boxes is None:
            return RPNPass(anchors, level_sizes, logits, deltas, proposals)
        targets = [self.assign(anchors, gt, size) for gt, size in zip(gt_boxes, batch.sizes, strict=True)]
        loss = self.loss(logits, deltas, targets, level_sizes)
        return RPNPass(anchors, level_sizes, logits, deltas, proposals, targets, loss)

    def propose(
        self,
        logits: Tensor,
        deltas: Tensor,
        anchors: Tensor,
        level_sizes: Sequence[tuple[int, int, int]],
        image_size: tuple[int, int],
        detail: bool = False,
    ) -> Proposals:
        """The proposals of one image, from its logits (A,), deltas (A, 4) and anchors (A, 4). Source: section 3.3."""
        mode = "train" if self.training else "test"
        top_n, limit = (getattr(self.config, f"rpn_{when}_nms_top_n_{mode}") for when in ("pre", "post"))
        if self.config.rpn_drop_small_first:
            moved = clip_boxes(decode_boxes(deltas, anchors, log_scale_limit=self.config.log_scale_limit), image_size)
            logits = logits.masked_fill(~_at_least(moved, self.config.rpn_min_size), -torch.inf)
        chosen, level = _top_per_level(logits, level_sizes, top_n)  # (K,), (K,)
        decoded = decode_boxes(deltas[chosen], anchors[chosen], log_scale_limit=self.config.log_scale_limit)  # (K, 4)
        clipped = clip_boxes(decoded, image_size)  # (K, 4)
        scores = logits[chosen].sigmoid()  # (K,)
        valid = _at_least(clipped, self.config.rpn_min_size) & (scores >= self.config.rpn_score_thresh)  # (K,)
        kept, suppressed_by = thin_out(clipped, scores, level, valid, self.config.rpn_nms_thresh, limit, detail)
        return Proposals(chosen, level, scores, decoded, clipped, valid, kept, suppressed_by)

    def assign(self, anchors: Tensor, gt_boxes: Tensor, image_size: tuple[int, int]) -> AnchorTargets:
        """Labels and targets of one image's anchors, and the sample that the loss uses. Source: section 3.1.3."""
        iou = box_iou(anchors, gt_boxes)  # (A, G)
        if self.config.rpn_drop_cross_boundary:
            inside = (anchors == clip_boxes(anchors, image_size)).all(dim=1)  # (A,)
            matches = self.matcher(iou * inside[:, None])
            matches = Matches(matches.labels.where(inside, IGNORED), matches.gt_index, matches.iou)
        else:
            matches = self.matcher(iou)
        sample = self.sampler(matches.labels)
        deltas = anchors.new_zeros(len(sample.indices), 4)  # (S, 4)
        matched = gt_boxes[matches.gt_index[sample.positive]]  # (P, 4)
        deltas[: len(matched)] = encode_boxes(matched, anchors[sample.positive])
        return AnchorTargets(matches, sample.indices, matches.labels[sample.indices], deltas)

    def loss(
        self, logits: Tensor, deltas: Tensor, targets: list[AnchorTargets], level_sizes: Sequence[tuple[int, int, int]]
    ) -> RPNLoss:
        """Equation 1 over the sampled anchors of all images, from logits (B, A) and deltas (B, A, 4)."""
        locations = len(targets) * sum(rows * columns for _, rows, columns in level_sizes)
        sampled = self.mean_count(sum(len(target.sampled) for target in targets), logits.device)
        return self.loss_function(
            torch.cat([logits[i, target.sampled] for i, target in enumerate(targets)]),
            torch.cat([deltas[i, target.sampled] for i, target in enumerate(targets)]),
            torch.cat([target.labels for target in targets]),
            torch.cat([target.deltas for target in targets]),
            n_cls=sampled,
            n_reg=locations if self.config.rpn_n_reg == "locations" else None,
            balance=self.config.rpn_loss_balance,
        )


def _anchor_rows(level: Tensor, values: int) -> Tensor:
    """One level's output as a row per anchor, in their order: (B, A * values, H, W) -> (B, H * W * A, values)."""
    batch, _, height, width = level.shape
    return level.reshape(batch, -1, values, height, width).permute(0, 3, 4, 1, 2).reshape(batch, -1, values)


def _top_per_level(logits: Tensor, level_sizes: Sequence[tuple[int, int, int]], top_n: int) -> tuple[Tensor, Tensor]:
    """The `top_n` anchors of highest logit on each level, best first, and the level of each."""
    chosen, levels, start = [], [], 0
    for level, some in enumerate(logits.split([math.prod(size) for size in level_sizes])):
        top = _highest(some, min(top_n, len(some)))
        chosen.append(top + start)
        levels.append(torch.full_like(top, level))
        start += len(some)
    return torch.cat(chosen), torch.cat(levels)


def _highest(logits: Tensor, count: int) -> Tensor:
    """Where the `count` highest are, best first, of equal ones the earlier first; `topk` leaves that order open."""
    lowest = logits.topk(count).values[-1]
    ties, above = logits == lowest, ~(logits <= lowest)  # NaN is kept, as `topk` keeps it
    chosen = above | (ties & (ties.cumsum(0) <= count - above.sum()))
    # The same as nonzero, but since their number is known, no GPU has to be waited for.
    rows = torch.searchsorted(chosen.cumsum(0), torch.arange(1, count + 1, device=logits.device))
    return rows[logits[rows].argsort(descending=True, stable=True)]


def _at_least(boxes: Tensor, min_size: float) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2] >= min_size).all(dim=1)


def _rename_old_keys(module: nn.Module, state_dict: dict[str, Tensor], prefix: str, *_: object) -> None:
    """torchvision's published weights are older than its module: ``conv.weight`` is ``conv.0.0.weight`` today."""
    for name in ("weight", "bias"):
        if f"{prefix}conv.{name}" in state_dict:
            state_dict[f"{prefix}conv.0.0.{name}"] = state_dict.pop(f"{prefix}conv.{name}")
