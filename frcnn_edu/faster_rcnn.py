"""Faster R-CNN: backbone, region proposal network, RoI pooling, classifier and regressor, in one model.

``model(images, targets)`` in training returns the four losses, ``model(images)`` in evaluation the detections, with
torchvision's names in both. Parameters bear torchvision's names too, so its state dicts load as they are.
``model.trace(images, targets)`` returns the same pass with everything that was made on the way; `forward` is written
over the same steps, so a trace cannot drift from the model.

Both stages are trained at once ("approximate joint training", section 3.2): proposals are constants to the second
stage, no gradient flows through their coordinates.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torchvision
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from frcnn_edu import backbones
from frcnn_edu.anchors import PAPER_ASPECT_RATIOS, PAPER_SIZES, AnchorGenerator
from frcnn_edu.config import Config
from frcnn_edu.images import ImageBatch, batch_images, check_images, check_targets, resize_boxes
from frcnn_edu.pretrained import DETECTOR, fetching, weights_of
from frcnn_edu.roi_heads import FastRCNNPredictor, RoIHeads, RoIPass, TwoMLPHead
from frcnn_edu.roi_pool import MultiScaleRoIPool
from frcnn_edu.rpn import RegionProposalNetwork, RPNHead, RPNPass

ROI_SIZE = 7
TINY_OPTIONS = {
    "min_size": 256,
    "max_size": 512,
    "rpn_pre_nms_top_n_train": 600,
    "rpn_pre_nms_top_n_test": 600,
    "rpn_post_nms_top_n_train": 200,
    "rpn_post_nms_top_n_test": 100,
    "box_batch_size_per_image": 64,
}
"""What is enough for 256 x 256 pixels and a handful of objects."""
PYRAMID_SIZES = ((32,), (64,), (128,), (256,), (512,))
CLASS_WEIGHT = "roi_heads.box_predictor.cls_score.weight"


@dataclass(frozen=True)
class Detections:
    """What the detector found in one image, best first, and where each find came from."""

    boxes: Tensor
    """(N, 4) in pixels of the image that was handed in."""
    scores: Tensor
    """(N,) in [0, 1]."""
    labels: Tensor
    """(N,) int64 in 1 .. num_classes - 1."""
    proposal_index: Tensor
    """(N,) int64: the proposal that became this detection."""
    anchor_index: Tensor
    """(N,) int64: the anchor that became that proposal."""


@dataclass(frozen=True)
class Trace:
    """Every intermediate of one pass: what went in, what each stage made of it, what came out."""

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
        """The four losses under torchvision's names. Raises ValueError where there were no targets."""
        if self.roi_training is None:
            raise ValueError("a pass without targets has no losses: trace(images, targets)")
        return {
            "loss_classifier": self.roi_training.loss.classifier,
            "loss_box_reg": self.roi_training.loss.box_reg,
            "loss_objectness": self.rpn.loss.objectness,
            "loss_rpn_box_reg": self.rpn.loss.box_reg,
        }


class FasterRCNN(nn.Module):
    """The detector. `num_classes` counts the background; `options` are the fields of `Config`.

    Left out, each part is torchvision's default: anchors of one size per pyramid level, RoIAlign 7x7 with two samples,
    two layers of 1024. Raises ValueError or TypeError where parts, options or inputs do not fit.
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
        **options: object,
    ) -> None:
        super().__init__()
        if not hasattr(backbone, "out_channels"):
            raise ValueError("backbone needs an attribute out_channels: the channels of its feature maps")
        if num_classes < 2:
            raise ValueError(f"num_classes counts the background, so it is at least 2; got {num_classes}")
        self.config, self.num_classes, channels = Config(**options), num_classes, backbone.out_channels
        anchors = rpn_anchor_generator or AnchorGenerator(PYRAMID_SIZES, ((0.5, 1.0, 2.0),) * 5, rounded=True)
        head = rpn_head or RPNHead(channels, anchors.num_anchors_per_location()[0])
        box_head = box_head or TwoMLPHead(channels * ROI_SIZE**2, 1024)
        if box_predictor is None and not hasattr(box_head, "fc7"):
            raise ValueError(
                "give a box_predictor with this box_head: only a TwoMLPHead says how long its features are"
            )
        box_predictor = box_predictor or FastRCNNPredictor(box_head.fc7.out_features, num_classes)
        self.backbone = backbone
        self.rpn = RegionProposalNetwork(anchors, head, self.config)
        self.roi_heads = RoIHeads(box_roi_pool or MultiScaleRoIPool(ROI_SIZE), box_head, box_predictor, self.config)

    def forward(
        self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]] | None = None
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """In training the four losses, in evaluation ``boxes``, ``scores`` and ``labels`` of every image.

        `images` are float (3, H, W) in [0, 1], each of its own size; `targets`, needed in training, hold ``boxes``
        (N, 4) and ``labels`` (N,), N may be 0. Raises TypeError or ValueError where they do not.
        """
        if self.training:
            return self._steps(images, targets).losses
        found = self._steps(images, None).detections
        return [{"boxes": one.boxes, "labels": one.labels, "scores": one.scores} for one in found]

    def trace(self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]] | None = None) -> Trace:
        """One pass with every intermediate, and with what suppressed each proposal and each detection.

        In evaluation `targets` add labels, samples and losses to the detections; in training they are needed, and
        there are no detections, as in `forward`. Raises what `forward` raises.
        """
        return self._steps(images, targets, detail=True)

    def _steps(
        self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]] | None, detail: bool = False
    ) -> Trace:
        images = check_images(images, next(self.parameters()))
        if self.training or targets is not None:
            check_targets(targets, images, self.num_classes)
        batch = batch_images(images, self.config, self.training)
        features = self.backbone(batch.tensors)
        features = OrderedDict({"0": features}) if isinstance(features, Tensor) else features
        targets = None if targets is None else _resize_targets(targets, batch)
        gt_boxes = None if targets is None else [target["boxes"] for target in targets]
        rpn = self.rpn(batch, list(features.values()), gt_boxes, detail)
        proposals = [candidates.boxes for candidates in rpn.proposals]
        roi_training = None if targets is None else self.roi_heads.train_on(batch, features, proposals, targets)
        if self.training:
            return Trace(batch, features, rpn, None, roi_training, None)
        roi = self.roi_heads(batch, features, proposals, detail)
        return Trace(batch, features, rpn, roi, roi_training, _detections(batch, rpn, roi))

    def load_state_dict(self, state_dict: Mapping[str, Tensor], *args: object, **kwargs: object) -> object:
        """As in PyTorch; raises ValueError first where the weights are of another number of classes."""
        ours, theirs = self.state_dict().get(CLASS_WEIGHT), state_dict.get(CLASS_WEIGHT)
        if ours is not None and theirs is not None and len(ours) != len(theirs):
            raise ValueError(
                f"these weights are for {len(theirs)} classes and the model has {len(ours)}, background included: "
                f"build it with num_classes={len(theirs)}, or drop the box_predictor keys and use strict=False"
            )
        return super().load_state_dict(state_dict, *args, **kwargs)


def fasterrcnn_tiny(num_classes: int, **options: object) -> FasterRCNN:
    """The lessons' detector: four small stages, stride 16, nine anchors a cell, trained from scratch in minutes.

    Meant for images of 256 x 256, which it does not resize.
    """
    anchors = AnchorGenerator(((20.0, 40.0, 80.0),), (PAPER_ASPECT_RATIOS,), strides=(16,))
    body = backbones.tiny()
    head = TwoMLPHead(body.out_channels * ROI_SIZE**2, 128)
    options = {**TINY_OPTIONS, **options}
    return FasterRCNN(body, num_classes, **{"rpn_anchor_generator": anchors, "box_head": head, **options})


def fasterrcnn_mobilenet_v2(
    num_classes: int,
    weights_backbone: str | None = None,
    trainable_backbone_layers: int = 14,
    frozen_backbone: bool | None = None,
    **options: object,
) -> FasterRCNN:
    """MobileNetV2 under a pyramid of strides 8 to 64: small enough to fine-tune on a CPU.

    `weights_backbone` is a name of torchvision's, such as "IMAGENET1K_V1". What learns is what `backbones.mobilenet_v2`
    says; `frozen_backbone` is its `frozen`.
    """
    sizes = tuple((size, size * 2**0.5) for size in (32.0, 64.0, 128.0, 256.0))
    anchors = AnchorGenerator(sizes, (PAPER_ASPECT_RATIOS,) * 4)
    body = backbones.mobilenet_v2(weights_backbone, trainable_backbone_layers, frozen=frozen_backbone)
    head = TwoMLPHead(body.out_channels * ROI_SIZE**2, 512)
    return FasterRCNN(body, num_classes, **{"rpn_anchor_generator": anchors, "box_head": head, **options})


def fasterrcnn_vgg16(
    num_classes: int,
    weights_backbone: str | None = None,
    trainable_backbone_layers: int = 13,
    roi_operator: str = "pool",
    **options: object,
) -> FasterRCNN:
    """The paper's model: VGG16, stride 16, nine anchors, RoI pooling 7x7, two layers of 4096.

    The numbers are torchvision's unless you ask for the paper's, ``**PAPER_OPTIONS``. With `weights_backbone`, such as
    "IMAGENET1K_V1", VGG16's own fully connected layers start the second stage, as in the paper.
    """
    anchors = AnchorGenerator((PAPER_SIZES,), (PAPER_ASPECT_RATIOS,), strides=(16,), rounded=True)
    body = backbones.vgg16(weights_backbone, trainable_backbone_layers)
    head = TwoMLPHead(body.out_channels * ROI_SIZE**2, 4096)
    if weights_backbone:
        classifier = torchvision.models.vgg16(weights=weights_backbone).classifier
        head.fc6.load_state_dict(classifier[0].state_dict())
        head.fc7.load_state_dict(classifier[3].state_dict())
    parts = {
        "rpn_anchor_generator": anchors,
        "box_head": head,
        "box_roi_pool": MultiScaleRoIPool(ROI_SIZE, roi_operator),
    }
    return FasterRCNN(body, num_classes, **{**parts, **options})


def fasterrcnn_resnet50_fpn(
    num_classes: int | None = None,
    weights: str | None = None,
    weights_backbone: str | None = None,
    trainable_backbone_layers: int | None = None,
    frozen_backbone: bool | None = None,
    **options: object,
) -> FasterRCNN:
    """torchvision's model of that name, to the letter: ``weights="COCO_V1"`` are its weights for COCO's 91 classes.

    Nothing is fetched unless named: `weights` and `weights_backbone` come through torchvision's hub and cache. With
    either, or with `frozen_backbone`, batch norms are frozen and the last three of the body's five parts learn, unless
    you say how many. Raises WeightsError, in one sentence, for weights that are neither in the cache nor to be had.
    """
    published = weights_of(DETECTOR, weights) if weights else None
    classes = len(published.meta["categories"]) if published else num_classes
    if classes is None:
        raise ValueError("num_classes must be given, the background counted; only weights bring their own")
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
                module.eps = 0.0  # these weights were trained before torchvision's frozen norms had an eps
    return model


def _resize_targets(targets: Sequence[dict[str, Tensor]], batch: ImageBatch) -> list[dict[str, Tensor]]:
    return [
        {**target, "boxes": resize_boxes(target["boxes"], batch.original_sizes[i], batch.sizes[i])}
        for i, target in enumerate(targets)
    ]


def _detections(batch: ImageBatch, rpn: RPNPass, roi: RoIPass) -> list[Detections]:
    found = []
    for i, (proposals, answers) in enumerate(zip(rpn.proposals, roi.candidates, strict=True)):
        kept = answers.kept
        boxes = batch.to_original(answers.clipped[kept], i)
        proposal_index = answers.proposal_index[kept]
        anchor_index = proposals.anchor_index[proposals.kept[proposal_index]]
        found.append(Detections(boxes, answers.scores[kept], answers.labels[kept], proposal_index, anchor_index))
    return found
