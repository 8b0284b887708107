"""Whole models against torchvision's: the same weights give the same detections, losses and gradients.

Untrained networks answer in extremes: scores of exactly 1 or all alike, and then ties decide. `spread_answers` scales
the four answering layers until their outputs vary as a trained network's do; both models get the same weights.
"""

import copy
import re

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN as TorchvisionFasterRCNN
from torchvision.models.detection import fasterrcnn_resnet50_fpn as torchvision_resnet50_fpn
from torchvision.models.detection.anchor_utils import AnchorGenerator as TorchvisionAnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor as TorchvisionPredictor
from torchvision.models.detection.faster_rcnn import TwoMLPHead as TorchvisionHead
from torchvision.ops import MultiScaleRoIAlign

from frcnn_edu import backbones
from frcnn_edu.anchors import AnchorGenerator
from frcnn_edu.faster_rcnn import fasterrcnn_resnet50_fpn, fasterrcnn_tiny, fasterrcnn_vgg16
from frcnn_edu.images import batch_images

NUM_CLASSES = 5
OPTIONS = {
    "min_size": 144,
    "max_size": 240,
    "rpn_pre_nms_top_n_train": 300,
    "rpn_post_nms_top_n_train": 60,
    "rpn_pre_nms_top_n_test": 400,
    "rpn_post_nms_top_n_test": 120,
    "rpn_batch_size_per_image": 10**6,  # both samplers keep everything, so chance has no part in the losses
    "box_batch_size_per_image": 10**5,
    "rpn_positive_fraction": 1.0,
    "box_positive_fraction": 1.0,
    "box_score_thresh": 0.2,
}
BATCHES = {
    "three sizes": [(180, 240), (200, 150), (133, 301)],
    "one image": [(97, 160)],
    "two shapes, wide and tall": [(90, 260), (260, 90)],
}
SPREAD = {  # standard deviations of what a trained network answers, roughly
    "rpn.head.cls_logits": 1.0,
    "rpn.head.bbox_pred": 0.3,
    "roi_heads.box_predictor.cls_score": 2.0,
    "roi_heads.box_predictor.bbox_pred": 1.0,
}


def draw_images(sizes: list[tuple[int, int]], seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    coarse = [torch.rand(1, 3, 9, 9, generator=generator) for _ in sizes]
    noise = [0.2 * torch.rand(3, *size, generator=generator) for size in sizes]
    smooth = [nn.functional.interpolate(one, size, mode="bicubic")[0] for one, size in zip(coarse, sizes, strict=True)]
    return [(0.8 * one + two).clamp(0, 1) for one, two in zip(smooth, noise, strict=True)]


def draw_targets(sizes: list[tuple[int, int]], counts: list[int], seed: int) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    targets = []
    for (height, width), count in zip(sizes, counts, strict=True):
        size = torch.tensor([width, height])
        corner = torch.rand(count, 2, generator=generator) * 0.6 * size
        extent = torch.rand(count, 2, generator=generator) * 0.35 * size + 5
        labels = torch.randint(1, NUM_CLASSES, (count,), generator=generator)
        targets.append({"boxes": torch.cat((corner, corner + extent), dim=1), "labels": labels})
    return targets


def spread_answers(model: nn.Module) -> None:
    """Scale the four answering layers, each on its first call, to the standard deviations in SPREAD, round 0.

    Without the second, one class would win everywhere: untrained features are much alike.
    """

    def scale(to: float):
        def hook(layer: nn.Module, _: object, output: Tensor) -> Tensor:
            channels = output.transpose(0, 1).flatten(1)  # (C, all places)
            mean = channels.mean(dim=1)
            factor = to / (channels - mean[:, None]).std()
            layer.weight.data.mul_(factor)
            layer.bias.data.sub_(mean).mul_(factor)
            handles.pop(layer).remove()
            return (output - mean.view(-1, *(1,) * (output.dim() - 2))) * factor

        return hook

    handles = {
        layer: layer.register_forward_hook(scale(SPREAD[name]))
        for name, layer in model.named_modules()
        if name in SPREAD
    }
    assert len(handles) == len(SPREAD)
    with torch.no_grad():
        model.eval()(draw_images(BATCHES["three sizes"], seed=100))
    assert not handles, "every layer answered"


def torchvision_one_level(backbone: nn.Module, sizes: tuple[int, ...], head: nn.Module, **options: object) -> nn.Module:
    return TorchvisionFasterRCNN(
        backbone,
        rpn_anchor_generator=TorchvisionAnchorGenerator((sizes,), ((0.5, 1.0, 2.0),)),
        box_roi_pool=MultiScaleRoIAlign(["0"], 7, 2),
        box_head=head,
        box_predictor=TorchvisionPredictor(head.fc7.out_features, NUM_CLASSES),
        **options,
    )


def resnet50_pair() -> tuple[nn.Module, nn.Module]:
    theirs = torchvision_resnet50_fpn(weights=None, weights_backbone=None, num_classes=NUM_CLASSES, **OPTIONS)
    return fasterrcnn_resnet50_fpn(NUM_CLASSES, **OPTIONS), theirs


def vgg16_pair() -> tuple[nn.Module, nn.Module]:
    ours = fasterrcnn_vgg16(NUM_CLASSES, roi_operator="align", **OPTIONS)
    body = copy.deepcopy(ours.backbone)  # torchvision's `vgg16().features[:-1]`, without drawing the weights twice
    return ours, torchvision_one_level(body, (128, 256, 512), TorchvisionHead(512 * 7 * 7, 4096), **OPTIONS)


def tiny_pair(**changes: object) -> tuple[nn.Module, nn.Module]:
    """The lessons' body in both: quick enough to compare under many options. torchvision's anchors are rounded."""
    options = {**OPTIONS, **changes}
    theirs = torchvision_one_level(backbones.tiny(), (20, 40, 80), TorchvisionHead(96 * 7 * 7, 128), **options)
    anchors = AnchorGenerator(((20.0, 40.0, 80.0),), ((0.5, 1.0, 2.0),), rounded=True)
    return fasterrcnn_tiny(NUM_CLASSES, rpn_anchor_generator=anchors, **options), theirs


@pytest.fixture(scope="module")
def quick_pair() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    return with_the_same_weights(*tiny_pair())


@pytest.fixture(scope="module", params=[resnet50_pair, vgg16_pair, tiny_pair], ids=["resnet50_fpn", "vgg16", "tiny"])
def pair(request: pytest.FixtureRequest) -> tuple[nn.Module, nn.Module]:
    """Our model and torchvision's, with the same weights."""
    torch.manual_seed(0)
    return with_the_same_weights(*request.param())


def with_the_same_weights(ours: nn.Module, theirs: nn.Module) -> tuple[nn.Module, nn.Module]:
    spread_answers(theirs)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


def assert_same_detections(ours: nn.Module, theirs: nn.Module, images: list[Tensor]) -> int:
    """Equal count and labels, boxes within 1e-2 px, scores within 1e-4; returns how many detections that were."""
    with torch.no_grad():
        found, expected = ours.eval()(images), theirs.eval()(images)
    assert len(found) == len(expected) == len(images)
    for mine, other in zip(found, expected, strict=True):
        assert len(mine["boxes"]) == len(other["boxes"])
        assert torch.equal(mine["labels"], other["labels"])
        torch.testing.assert_close(mine["boxes"], other["boxes"], rtol=0, atol=1e-2)
        torch.testing.assert_close(mine["scores"], other["scores"], rtol=0, atol=1e-4)
        assert list(mine) == list(other)
    return sum(len(mine["boxes"]) for mine in found)


def test_the_same_weights_give_the_same_detections(pair):
    images = draw_images(BATCHES["three sizes"], seed=1)
    count = assert_same_detections(*pair, images)
    assert count >= 5 * len(images), "so few detections prove little"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("batch", BATCHES)
def test_whatever_the_images_the_detections_are_the_same(quick_pair, batch, seed):
    assert assert_same_detections(*quick_pair, draw_images(BATCHES[batch], seed)) > 0


def test_scores_are_spread_so_that_ties_decide_nothing(pair):
    """The premise of the comparison above: hundreds of different scores, none of them at its limit."""
    trace = pair[0].eval().trace(draw_images(BATCHES["three sizes"], seed=1))
    for scores in (torch.cat([one.scores for one in stage]) for stage in (trace.rpn.proposals, trace.roi.candidates)):
        assert len(scores.unique()) > 0.95 * len(scores) > 100
        assert scores.max() < 1
    for stage in (trace.rpn.proposals, trace.roi.candidates):
        assert sum(int((one.suppressed_by >= 0).sum()) for one in stage) > 20, "NMS had work"


def test_losses_and_gradients_of_every_parameter_are_the_same(pair):
    assert_same_training(*pair, [4, 0, 3])  # the second image without boxes


@pytest.mark.parametrize("counts", [[0, 0, 0], [1, 0, 0], [30, 1, 2]], ids=str)
def test_however_many_boxes_the_losses_are_the_same(quick_pair, counts):
    assert_same_training(*quick_pair, counts)


def assert_same_training(ours: nn.Module, theirs: nn.Module, counts: list[int]) -> None:
    """All four losses, and the gradients of their sum, within 1e-3."""
    sizes = BATCHES["three sizes"]
    images, targets = draw_images(sizes, seed=2), draw_targets(sizes, counts, seed=3)
    averages = {name: value.clone() for name, value in theirs.named_buffers()}
    try:
        losses, expected = (model.train()(images, targets) for model in (ours, theirs))
        assert losses.keys() == expected.keys()
        for name, loss in expected.items():
            torch.testing.assert_close(
                losses[name], loss, rtol=1e-3, atol=1e-7, msg=lambda text, of=name: f"{of}: {text}"
            )
        for model, loss in ((ours, losses), (theirs, expected)):
            model.zero_grad(set_to_none=True)
            sum(loss.values()).backward()
        assert_same_gradients(ours, theirs)
    finally:  # batch norms move their running means in training
        for model in (ours, theirs):
            model.zero_grad(set_to_none=True)
            model.load_state_dict(averages, strict=False)


def assert_same_gradients(ours: nn.Module, theirs: nn.Module) -> None:
    expected = dict(theirs.named_parameters())
    largest = max(one.grad.norm() for one in expected.values() if one.grad is not None)
    for name, parameter in ours.named_parameters():
        grad, other = parameter.grad, expected.pop(name).grad
        assert (grad is None) == (other is None), name
        if grad is not None:
            error, allowed = (grad - other).norm(), 1e-3 * other.norm() + 1e-7 * largest
            assert error <= allowed, f"{name}: gradients differ by {error:.3g}, their norm is {other.norm():.3g}"
    assert not expected


@pytest.mark.parametrize(
    "changes",
    [
        {"box_score_thresh": 0.05, "box_nms_thresh": 0.3, "box_detections_per_img": 10},
        {"rpn_nms_thresh": 0.5, "rpn_post_nms_top_n_test": 300, "rpn_pre_nms_top_n_test": 1000},
        {"rpn_score_thresh": 0.6, "rpn_pre_nms_top_n_test": 50},
        {"min_size": 200, "max_size": 210, "bbox_reg_weights": (1.0, 1.0, 2.0, 2.0), "image_std": (1.0, 1.0, 1.0)},
        {"box_score_thresh": 0.999},
    ],
    ids=lambda changes: ", ".join(changes),
)
def test_every_option_means_what_it_means_in_torchvision(changes):
    torch.manual_seed(1)
    ours, theirs = with_the_same_weights(*tiny_pair(**changes))
    for seed, sizes in enumerate(BATCHES.values()):
        assert_same_detections(ours, theirs, draw_images(sizes, seed))


@pytest.mark.parametrize(
    "changes",
    [
        {"rpn_fg_iou_thresh": 0.5, "rpn_bg_iou_thresh": 0.4},
        {"box_fg_iou_thresh": 0.6, "box_bg_iou_thresh": 0.3, "bbox_reg_weights": (1.0, 2.0, 3.0, 4.0)},
        {"rpn_post_nms_top_n_train": 10, "rpn_pre_nms_top_n_train": 20},
    ],
    ids=lambda changes: ", ".join(changes),
)
def test_training_options_mean_what_they_mean_in_torchvision(changes):
    torch.manual_seed(2)
    ours, theirs = with_the_same_weights(*tiny_pair(**changes))
    sizes = BATCHES["three sizes"]
    losses, expected = (
        model.train()(draw_images(sizes, seed=4), draw_targets(sizes, [5, 0, 2], seed=5)) for model in (ours, theirs)
    )
    for name, loss in expected.items():
        torch.testing.assert_close(losses[name], loss, rtol=1e-3, atol=1e-7)


def test_resizing_agrees_for_every_size_of_image():
    """Whole pixels come out of a division; one that falls short by a rounding error would shift every box."""
    theirs = torchvision_resnet50_fpn(weights=None, weights_backbone=None, num_classes=2).transform.eval()
    ours = fasterrcnn_tiny(2, min_size=800, max_size=1333).eval()
    for height, width in [(30, 31), (601, 799), (480, 640), (37, 211), (333, 500), (1000, 1777), (800, 800)]:
        image = torch.rand(3, height, width)
        batch, (expected, _) = batch_images([image], ours.config), theirs([image])
        assert batch.sizes == expected.image_sizes
        torch.testing.assert_close(batch.tensors, expected.tensors, rtol=0, atol=1e-5)


def old_names(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names that torchvision's published weights bear: before `Conv2dNormActivation` put convolutions in pairs."""
    head, pyramid = r"(rpn\.head\.conv)\.0\.0\.", r"(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.0\."
    return {re.sub(f"{head}|{pyramid}", r"\1\2.", name): value for name, value in state_dict.items()}


def test_a_state_dict_with_the_old_names_loads():
    torch.manual_seed(3)
    theirs = torchvision_resnet50_fpn(weights=None, weights_backbone=None, num_classes=NUM_CLASSES)
    old = old_names(theirs.state_dict())
    assert {"rpn.head.conv.weight", "backbone.fpn.inner_blocks.0.weight", "backbone.fpn.layer_blocks.3.bias"} <= set(
        old
    )
    ours = fasterrcnn_resnet50_fpn(NUM_CLASSES)
    ours.load_state_dict(dict(old), strict=True)
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name
    assert "rpn.head.conv.weight" in old, "the caller's dict stays as it was"


@pytest.mark.parametrize(
    ("weights", "layers"), [(None, None), ("IMAGENET1K_V1", None), ("IMAGENET1K_V1", 0), ("IMAGENET1K_V1", 5)]
)
def test_the_same_layers_of_resnet50_learn(weights, layers, monkeypatch):
    """Which parts stay frozen, and which norm they have, follows torchvision's rules."""
    drawn = torchvision.models.resnet50(weights=None).state_dict()
    monkeypatch.setattr(torchvision.models.ResNet50_Weights, "get_state_dict", lambda *_, **__: drawn)
    options = {"weights_backbone": weights, "trainable_backbone_layers": layers, "num_classes": 2}
    ours, theirs = fasterrcnn_resnet50_fpn(**options), torchvision_resnet50_fpn(weights=None, **options)
    assert which_learn(ours) == which_learn(theirs)
    assert norms(ours) == norms(theirs)


def which_learn(model: nn.Module) -> dict[str, bool]:
    return {name: parameter.requires_grad for name, parameter in model.named_parameters()}


def norms(model: nn.Module) -> list[type]:
    return [type(module) for module in model.backbone.body.modules() if "BatchNorm" in type(module).__name__]
