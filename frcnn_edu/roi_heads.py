"""The second stage: the class and the exact box of each proposal.

RoI pooling gives every proposal a grid of features of the same size, two fully connected layers read it, and two
sibling layers predict K class logits and four deltas for each class (Fast R-CNN, section 2). Training samples 512
proposals an image, up to a quarter of them on objects; ground-truth boxes are added to the proposals. In inference
every pair of proposal and class that scores above the threshold is a candidate; it is decoded with the deltas of its
class and clipped, and NMS within each class makes detections of the candidates.

Difference from torchvision: only candidates are decoded, not all K classes of every proposal.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from frcnn_edu.boxes import box_iou, clip_boxes, decode_boxes, encode_boxes, full_precision, thin_out
from frcnn_edu.config import Config
from frcnn_edu.images import ImageBatch
from frcnn_edu.losses import FastRCNNLoss, count_of_this_process, fast_rcnn_loss
from frcnn_edu.matching import BalancedSampler, Matcher, Matches

SMALLEST_DETECTION = 1e-2
"""Shortest side of a detection in pixels of the resized image; torchvision's value."""


class TwoMLPHead(nn.Module):
    """Two fully connected layers over pooled features. Source: Fast R-CNN, figure 1."""

    def __init__(self, in_channels: int, representation_size: int) -> None:
        super().__init__()
        self.fc6 = nn.Linear(in_channels, representation_size)
        self.fc7 = nn.Linear(representation_size, representation_size)

    def forward(self, pooled: Tensor) -> Tensor:
        """(R, C, P, P) -> (R, D)."""
        return self.fc7(self.fc6(pooled.flatten(1)).relu()).relu()


class FastRCNNPredictor(nn.Module):
    """Two sibling layers: a logit for each of K classes, 0 the background, and four deltas for each."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(in_channels, num_classes)
        self.bbox_pred = nn.Linear(in_channels, 4 * num_classes)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(R, D) -> logits (R, K) and deltas (R, 4K)."""
        return self.cls_score(features), self.bbox_pred(features)


@dataclass(frozen=True)
class RoISample:
    """The proposals of one image that a training step uses, and their targets."""

    matches: Matches
    """Of all proposals, with the ground-truth boxes appended."""
    sampled: Tensor
    """(S,) int64 into those: the sample, positives first."""
    boxes: Tensor
    """(S, 4) on the resized image."""
    labels: Tensor
    """(S,) int64: classes, 0 for background."""
    deltas: Tensor
    """(S, 4): target deltas, multiplied by `bbox_reg_weights`; 0 for background."""


@dataclass(frozen=True)
class Candidates:
    """One image's D candidates, pairs of proposal and class, and which of them became detections."""

    proposal_index: Tensor
    """(D,) int64: each candidate's proposal."""
    labels: Tensor
    """(D,) int64 in 1 .. K - 1."""
    scores: Tensor
    """(D,) in [0, 1]: the softmax of its class."""
    decoded: Tensor
    """(D, 4): its proposal with the deltas of its class applied."""
    clipped: Tensor
    """(D, 4): `decoded`, clipped to the image."""
    kept: Tensor
    """(N,) int64 into the candidates: the detections, best first."""
    suppressed_by: Tensor | None = None
    """(D,) int64, in a trace: the candidate that suppressed this one, or -1."""


@dataclass(frozen=True)
class RoIPass:
    """Every result of one pass through the second stage, for R regions of B images, image after image."""

    rois: list[Tensor]
    """(R_i, 4) for each image, on the resized image."""
    pooled: Tensor
    """(R, C, P, P)."""
    class_logits: Tensor
    """(R, K)."""
    box_deltas: Tensor
    """(R, K, 4)."""
    candidates: list[Candidates] | None = None
    """In inference: one for each image."""
    samples: list[RoISample] | None = None
    """In training: one for each image; `rois` are their boxes."""
    loss: FastRCNNLoss | None = None
    """In training; its terms are in the order of the regions."""


class RoIHeads(nn.Module):
    """Pooling, head, predictor, matching and NMS: proposals in, candidates and detections out, or the loss.

    `loss_function` is called as `losses.fast_rcnn_loss` is.
    """

    def __init__(
        self,
        box_roi_pool: nn.Module,
        box_head: nn.Module,
        box_predictor: nn.Module,
        config: Config,
        loss_function: Callable[..., FastRCNNLoss] = fast_rcnn_loss,
    ) -> None:
        super().__init__()
        self.box_roi_pool, self.box_head, self.box_predictor = box_roi_pool, box_head, box_predictor
        self.config, self.loss_function, self.mean_count = config, loss_function, count_of_this_process
        self.matcher = Matcher(config.box_fg_iou_thresh, config.box_bg_iou_thresh, allow_low_quality_matches=False)
        self.sampler = BalancedSampler(config.box_batch_size_per_image, config.box_positive_fraction)

    def forward(
        self, batch: ImageBatch, features: Mapping[str, Tensor], proposals: Sequence[Tensor], detail: bool = False
    ) -> RoIPass:
        """Inference over all proposals, (P, 4) for each image; `detail` adds `suppressed_by`."""
        pooled, logits, deltas = self.predict(batch, features, proposals)
        counts = [boxes.shape[0] for boxes in proposals]
        images = zip(logits.detach().split(counts), deltas.detach().split(counts), proposals, batch.sizes, strict=True)
        candidates = [self.detect(*image, detail) for image in images]
        return RoIPass(list(proposals), pooled, logits, deltas, candidates)

    def train_on(
        self,
        batch: ImageBatch,
        features: Mapping[str, Tensor],
        proposals: Sequence[Tensor],
        targets: Sequence[dict[str, Tensor]],
    ) -> RoIPass:
        """The training pass over a sample of the proposals; `targets` are on the resized images."""
        samples = [self.sample(boxes, target) for boxes, target in zip(proposals, targets, strict=True)]
        rois = [sample.boxes for sample in samples]
        pooled, logits, deltas = self.predict(batch, features, rois)
        labels = torch.cat([sample.labels for sample in samples])
        target_deltas = torch.cat([sample.deltas for sample in samples])
        beta, count = self.config.box_smooth_l1_beta, self.mean_count(len(labels), labels.device)
        loss = self.loss_function(logits, deltas, labels, target_deltas, beta=beta, count=count)
        return RoIPass(rois, pooled, logits, deltas, samples=samples, loss=loss)

    def predict(
        self, batch: ImageBatch, features: Mapping[str, Tensor], rois: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Pooled features (R, C, P, P), class logits (R, K) and deltas (R, K, 4) of all regions."""
        pooled = self.box_roi_pool(features, list(rois), batch.sizes)
        logits, deltas = self.box_predictor(self.box_head(pooled))
        return pooled, logits, deltas.unflatten(1, (-1, 4))

    @torch.no_grad()
    def sample(self, proposals: Tensor, target: dict[str, Tensor]) -> RoISample:
        """Match one image's proposals (P, 4) and its ground-truth boxes, and draw the sample. Source: section 2.3."""
        gt_boxes, gt_labels = target["boxes"].to(proposals.dtype), target["labels"]
        boxes = torch.cat((proposals, gt_boxes))  # (P + G, 4)
        matches = self.matcher(box_iou(boxes, gt_boxes))
        sample = self.sampler(matches.labels)
        labels = torch.zeros_like(sample.indices)  # (S,)
        deltas = boxes.new_zeros(len(sample.indices), 4)  # (S, 4)
        matched, weights = matches.gt_index[sample.positive], self.config.bbox_reg_weights  # (F,)
        labels[: len(matched)] = gt_labels[matched]
        deltas[: len(matched)] = encode_boxes(gt_boxes[matched], boxes[sample.positive], weights)
        return RoISample(matches, sample.indices, boxes[sample.indices], labels, deltas)

    def detect(
        self, logits: Tensor, deltas: Tensor, proposals: Tensor, image_size: tuple[int, int], detail: bool = False
    ) -> Candidates:
        """Candidates and detections of one image, from its proposals' logits (P, K) and deltas (P, K, 4)."""
        config = self.config
        probabilities = full_precision(logits).softmax(dim=-1)[:, 1:]  # (P, K - 1): all but the background
        index, label = (probabilities > config.box_score_thresh).nonzero().unbind(1)  # (D,), (D,)
        scores, labels = probabilities[index, label], label + 1  # (D,), (D,)
        own_deltas = deltas[index, labels]  # (D, 4)
        decoded = decode_boxes(own_deltas, proposals[index], config.bbox_reg_weights, config.log_scale_limit)
        clipped = clip_boxes(decoded, image_size)  # (D, 4)
        valid = (clipped[:, 2:] - clipped[:, :2] >= SMALLEST_DETECTION).all(dim=1)  # (D,)
        limit = config.box_detections_per_img
        kept, suppressed_by = thin_out(clipped, scores, labels, valid, config.box_nms_thresh, limit, detail)
        return Candidates(index, labels, scores, decoded, clipped, kept, suppressed_by)
