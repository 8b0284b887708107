"""Faster R-CNN: backbone, region proposal network, RoI pooling, classifier and regressor, in one model.

``model(images, targets)`` in training returns the four losses, ``model(images)`` in evaluation the detections, both
under torchvision's names. Parameters have torchvision's names too, so its state dicts load unchanged.
``model.trace(images, targets)`` is the pass itself and returns every intermediate result; `forward` calls it.

Both stages are trained together ("approximate joint training", section 3.2): the second stage treats proposals as
constants, so no gradient flows through their coordinates.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Unpack

import torchvision
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from frcnn_edu import backbones
from frcnn_edu.anchors import PAPER_ASPECT_RATIOS, PAPER_SIZES, AnchorGenerator
from frcnn_edu.config import Config, Options
from frcnn_edu.images import ImageBatch, batch_images, check_images, check_targets
from frcnn_edu.losses import FastRCNNLoss, RPNLoss, fast_rcnn_loss, rpn_loss
from frcnn_edu.pretrained import DETECTOR, fetching, weights_of
from frcnn_edu.roi_heads import FastRCNNPredictor, RoIHeads, RoIPass, TwoMLPHead
from frcnn_edu.roi_pool import MultiScaleRoIPool
from frcnn_edu.rpn import RegionProposalNetwork, RPNHead, RPNPass

ROI_SIZE = 7
TINY_OPTIONS: Options = {
    "min_size": 256,
    "max_size": 512,
    "rpn_pre_nms_top_n_train": 600,
    "rpn_pre_nms_top_n_test": 600,
    "rpn_post_nms_top_n_train": 200,
    "rpn_post_nms_top_n_test": 100,
    "box_batch_size_per_image": 64,
}
"""Enough for 256 x 256 pixels and a handful of objects."""
PYRAMID_SIZES = ((32,), (64,), (128,), (256,), (512,))
MOBILENET_SIZES = tuple((size, size * 2**0.5) for size in (32.0, 64.0, 128.0, 256.0))
"""Of the anchors on the four levels of `fasterrcnn_mobilenet_v2`, two each."""
CLASS_WEIGHT = "roi_heads.box_predictor.cls_score.weight"


@dataclass(frozen=True)
class Detections:
    """The detections of one image, best first, each with its proposal and its anchor."""

    boxes: Tensor
    """(N, 4) in pixels of the image as it was given."""
    scores: Tensor
    """(N,) in [0, 1]."""
    labels: Tensor
    """(N,) int64 in 1 .. num_classes - 1."""
    proposal_index: Tensor
    """(N,) int64: each detection's proposal."""
    anchor_index: Tensor
    """(N,) int64: that proposal's anchor."""


@dataclass(frozen=True)
class Trace:
    """Every intermediate result of one pass, from the batch to the detections."""

    batch: ImageBatch
    """The images, resized and padded."""
    features: Mapping[str, Tensor]
    """The backbone's maps (B, C, H, W), finest first."""
    rpn: RPNPass
    """Anchors, logits, deltas, proposals; with targets labels, samples and the loss."""
    roi: RoIPass | None
    """The second stage over all proposals; None in training."""
    roi_training: RoIPass | None
    """The second stage over a sample of them, with its loss; None without targets."""
    detections: list[Detections] | None
    """One for each image; None in training."""

    @property
    def losses(self) -> dict[str, Tensor]:
        """The four losses under torchvision's names. Raises ValueError after a pass without targets."""
        first, second = self.rpn.loss, self.roi_training.loss if self.roi_training else None
        if first is None or second is None:
            raise ValueError("a pass without targets has no losses: trace(images, targets)")
        return {
            "loss_classifier": second.classifier,
            "loss_box_reg": second.box_reg,
            "loss_objectness": first.objectness,
            "loss_rpn_box_reg": first.box_reg,
        }


class ModelOptions(Options, total=False):
    """The keyword arguments of `FasterRCNN`: its parts, its two loss functions, and the fields of `Config`."""

    rpn_anchor_generator: AnchorGenerator | None
    rpn_head: nn.Module | None
    box_roi_pool: nn.Module | None
    box_head: nn.Module | None
    box_predictor: nn.Module | None
    rpn_loss: Callable[..., RPNLoss]
    box_loss: Callable[..., FastRCNNLoss]


class FasterRCNN(nn.Module):
    """The detector. `num_classes` counts the background; `options` are the fields of `Config`.

    Parts that are not given are torchvision's defaults: anchors of one size per pyramid level, RoIAlign 7x7 with two
    samples, two layers of 1024. `rpn_loss` and `box_loss` replace `losses.rpn_loss` and `losses.fast_rcnn_loss`.
    Raises ValueError or TypeError for parts, options or inputs that do not match.
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        rpn_anchor_generator: AnchorGenerator | None = None,
        rpn_head: nn.Module | None = None,
        box_roi_pool: nn.Module | None = None,
        box_head: nn.Module | None = None,
        box_predictor: nn.Module | None = None,
        rpn_loss: Callable[..., RPNLoss] = rpn_loss,
        box_loss: Callable[..., FastRCNNLoss] = fast_rcnn_loss,
        **options: Unpack[Options],
    ) -> None:
        super().__init__()
        channels = getattr(backbone, "out_channels", None)
        if channels is None:
            raise ValueError("backbone needs an attribute out_channels: the channels of its feature maps")
        if num_classes < 2:
            raise ValueError(f"num_classes counts the background, so it is at least 2; got {num_classes}")
        self.config, self.num_classes = Config(**options), num_classes
        anchors = rpn_anchor_generator or AnchorGenerator(PYRAMID_SIZES, ((0.5, 1.0, 2.0),) * 5, rounded=True)
        head = rpn_head or RPNHead(channels, anchors.num_anchors_per_location()[0])
        box_head = box_head or TwoMLPHead(channels * ROI_SIZE**2, 1024)
        if box_predictor is None:
            last_layer = getattr(box_head, "fc7", None)
            if last_layer is None:
                raise ValueError("give a box_predictor, too: only a TwoMLPHead tells the length of its features")
            box_predictor = FastRCNNPredictor(last_layer.out_features, num_classes)
        self.backbone = backbone
        self.rpn = RegionProposalNetwork(anchors, head, self.config, rpn_loss)
        pool = box_roi_pool or MultiScaleRoIPool(ROI_SIZE)
        self.roi_heads = RoIHeads(pool, box_head, box_predictor, self.config, box_loss)

    def forward(
        self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]] | None = None
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """In training the four losses, in evaluation ``boxes``, ``scores`` and ``labels`` of every image.

        `images` are float (3, H, W) in [0, 1], of any sizes; `targets`, required in training, hold ``boxes`` (N, 4)
        and ``labels`` (N,), N may be 0. Raises TypeError or ValueError for invalid images or targets.
        """
        if self.training:
            return self.trace(images, targets, detail=False).losses
        detections = self.trace(images, detail=False).detections
        return [{"boxes": one.boxes, "labels": one.labels, "scores": one.scores} for one in detections or []]

    def trace(
        self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]] | None = None, detail: bool = True
    ) -> Trace:
        """One pass with every intermediate result; `detail` adds what suppressed each candidate of both stages.

        In evaluation `targets` add labels, samples and losses to the detections; in training they are required, and
        there are no detections. Raises what `forward` raises.
        """
        images = check_images(images, next(self.parameters()))
        if self.training or targets is not None:
            check_targets(targets, images, self.num_classes)
        batch = batch_images(images, self.config, self.training)
        features = self.backbone(batch.tensors)
        features = OrderedDict({"0": features}) if isinstance(features, Tensor) else features
        if targets is not None:
            targets = [{**one, "boxes": batch.to_resized(one["boxes"], i)} for i, one in enumerate(targets)]
        gt_boxes = None if targets is None else [target["boxes"] for target in targets]
        rpn = self.rpn(batch, list(features.values()), gt_boxes, detail)
        proposals = [found.boxes for found in rpn.proposals]
        roi_training = None if targets is None else self.roi_heads.train_on(batch, features, proposals, targets)
        if self.training:
            return Trace(batch, features, rpn, None, roi_training, None)
        roi = self.roi_heads(batch, features, proposals, detail)
        return Trace(batch, features, rpn, roi, roi_training, _detections(batch, rpn, roi))

    def load_state_dict(self, state_dict: Mapping[str, Tensor], strict: bool = True, assign: bool = False) -> object:
        """As in PyTorch; raises ValueError for weights with another number of classes."""
        ours, theirs = self.state_dict().get(CLASS_WEIGHT), state_dict.get(CLASS_WEIGHT)
        if ours is not None and theirs is not None and len(ours) != len(theirs):
            raise ValueError(
                f"these weights are for {len(theirs)} classes and the model has {len(ours)}, background included: "
                f"build it with num_classes={len(theirs)}, or drop the box_predictor keys and use strict=False"
            )
        return super().load_state_dict(state_dict, strict, assign)


def fasterrcnn_tiny(num_classes: int, **options: Unpack[ModelOptions]) -> FasterRCNN:
    """The lessons' detector: four small stages, stride 16, nine anchors per cell, trained from scratch in minutes.

    Its default options are for images of 256 x 256, which are not resized.
    """
    anchors = AnchorGenerator(((20.0, 40.0, 80.0),), (PAPER_ASPECT_RATIOS,), strides=(16,))
    body = backbones.tiny()
    head = TwoMLPHead(body.out_channels * ROI_SIZE**2, 128)
    given: ModelOptions = {"rpn_anchor_generator": anchors, "box_head": head, **TINY_OPTIONS, **options}
    return FasterRCNN(body, num_classes, **given)


def fasterrcnn_mobilenet_v2(
    num_classes: int,
    weights_backbone: str | None = None,
    trainable_backbone_layers: int = 14,
    frozen_backbone: bool | None = None,
    anchor_sizes: Sequence[Sequence[float]] = MOBILENET_SIZES,
    aspect_ratios: Sequence[float] = PAPER_ASPECT_RATIOS,
    box_head_size: int = 512,
    **options: Unpack[ModelOptions],
) -> FasterRCNN:
    """MobileNetV2 under a pyramid of strides 8 to 64: small enough to fine-tune on a CPU.

    `weights_backbone` is a name of torchvision's, such as "IMAGENET1K_V1". For `trainable_backbone_layers` and
    `frozen_backbone` see `backbones.mobilenet_v2`. `anchor_sizes` has as many sizes for each of the four levels; the
    layers of the second stage have `box_head_size` outputs. Unlike an `rpn_anchor_generator`, these are numbers, which
    a saved model keeps.
    """
    anchors = AnchorGenerator(anchor_sizes, (aspect_ratios,) * len(anchor_sizes))
    body = backbones.mobilenet_v2(weights_backbone, trainable_backbone_layers, frozen=frozen_backbone)
    head = TwoMLPHead(body.out_channels * ROI_SIZE**2, box_head_size)
    given: ModelOptions = {"rpn_anchor_generator": anchors, "box_head": head, **options}
    return FasterRCNN(body, num_classes, **given)


def fasterrcnn_vgg16(
    num_classes: int,
    weights_backbone: str | None = None,
    trainable_backbone_layers: int = 13,
    roi_operator: str = "pool",
    **options: Unpack[ModelOptions],
) -> FasterRCNN:
    """The paper's model: VGG16, stride 16, nine anchors, RoI pooling 7x7, two layers of 4096.

    Its options are torchvision's defaults; ``**PAPER_OPTIONS`` are the paper's. With `weights_backbone`, such as
    "IMAGENET1K_V1", VGG16's fully connected layers initialise the second stage, as in the paper.
    """
    anchors = AnchorGenerator((PAPER_SIZES,), (PAPER_ASPECT_RATIOS,), strides=(16,), rounded=True)
    body = backbones.vgg16(weights_backbone, trainable_backbone_layers)
    head = TwoMLPHead(body.out_channels * ROI_SIZE**2, 4096)
    if weights_backbone:
        classifier = torchvision.models.vgg16(weights=weights_backbone).classifier
        head.fc6.load_state_dict(classifier[0].state_dict())
        head.fc7.load_state_dict(classifier[3].state_dict())
    pool = MultiScaleRoIPool(ROI_SIZE, roi_operator)
    given: ModelOptions = {"rpn_anchor_generator": anchors, "box_head": head, "box_roi_pool": pool, **options}
    return FasterRCNN(body, num_classes, **given)


def fasterrcnn_resnet50_fpn(
    num_classes: int | None = None,
    weights: str | None = None,
    weights_backbone: str | None = None,
    trainable_backbone_layers: int | None = None,
    frozen_backbone: bool | None = None,
    **options: Unpack[ModelOptions],
) -> FasterRCNN:
    """torchvision's model of the same name: ``weights="COCO_V1"`` are its weights for COCO's 91 classes.

    Weights are downloaded only if `weights` or `weights_backbone` names them, through torchvision's cache. With either,
    or with `frozen_backbone`, batch norms are frozen and by default the last three of the body's five parts learn.
    Raises WeightsError for weights that are not cached and not downloadable.
    """
    published = weights_of(DETECTOR, weights) if weights else None
    classes = len(published.meta["categories"]) if published else num_classes
    if classes is None:
        raise ValueError("num_classes is required, background included, unless weights are given")
    if num_classes not in (None, classes):
        raise ValueError(f"weights={weights!r} are for {classes} classes; leave num_classes={num_classes} out")
    frozen = bool(weights or weights_backbone) if frozen_backbone is None else frozen_backbone
    trainable = trainable_backbone_layers if trainable_backbone_layers is not None else (3 if frozen else 5)
    body = backbones.resnet50_fpn(None if weights else weights_backbone, frozen, trainable)
    model = FasterRCNN(body, classes, **options)
    if published:
        with fetching(DETECTOR, weights):
            model.load_state_dict(published.get_state_dict(progress=True, check_hash=True))
        for module in model.modules():
            if isinstance(module, FrozenBatchNorm2d):
                module.eps = 0.0  # these weights are older than the eps of torchvision's frozen norms
    return model


def _detections(batch: ImageBatch, rpn: RPNPass, roi: RoIPass) -> list[Detections]:
    detections = []
    for i, (proposals, candidates) in enumerate(zip(rpn.proposals, roi.candidates or [], strict=True)):
        kept = candidates.kept
        proposal_index = candidates.proposal_index[kept]
        anchor_index = proposals.anchor_index[proposals.kept[proposal_index]]
        boxes, scores, labels = (one[kept] for one in (candidates.clipped, candidates.scores, candidates.labels))
        detections.append(Detections(batch.to_original(boxes, i), scores, labels, proposal_index, anchor_index))
    return detections


BUILDERS: dict[str, Callable[..., FasterRCNN]] = {
    "tiny": fasterrcnn_tiny,
    "mobilenet_v2": fasterrcnn_mobilenet_v2,
    "vgg16": fasterrcnn_vgg16,
    "resnet50_fpn": fasterrcnn_resnet50_fpn,
}
"""Every model by the name that the command line and a run's `model.json` have for it. A new one is added here."""
