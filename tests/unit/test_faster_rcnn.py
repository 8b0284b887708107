"""The whole model: its interface, its builders, its size, and what it says when something does not fit."""

import io
import math
import tokenize
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
import torch
import torchvision
from small_detector import NUM_CLASSES, SIZES, blank_batch, draw_images, draw_targets, small_detector
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

import frcnn_edu
from frcnn_edu import backbones
from frcnn_edu.boxes import LOG_SCALE_LIMIT, decode_boxes
from frcnn_edu.config import PAPER_OPTIONS, Config, Options
from frcnn_edu.faster_rcnn import (
    FasterRCNN,
    fasterrcnn_mobilenet_v2,
    fasterrcnn_resnet50_fpn,
    fasterrcnn_tiny,
    fasterrcnn_vgg16,
)
from frcnn_edu.losses import fast_rcnn_loss, rpn_loss
from frcnn_edu.roi_heads import TwoMLPHead

LOSSES = {"loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"}
LINES_AT_MOST = 1400
PACKAGE = Path(frcnn_edu.__file__).parent


# In and out


def test_training_returns_four_losses_and_evaluation_detections_in_the_images_own_pixels():
    model = small_detector()
    losses = model.train()(draw_images(), draw_targets())
    assert set(losses) == LOSSES
    assert all(loss.shape == () and loss.isfinite() for loss in losses.values())
    detections = model.eval()(draw_images())
    for (height, width), found in zip(SIZES, detections, strict=True):
        count = len(found["boxes"])
        assert count > 0
        assert found["boxes"].shape == (count, 4)
        assert found["scores"].shape == found["labels"].shape == (count,)
        assert (found["boxes"] >= 0).all()
        assert (found["boxes"] <= torch.tensor([width, height, width, height]) + 1e-4).all()
        assert (found["boxes"][:, 2] > width / 2).any(), "boxes are back at the size of the image that was handed in"
        assert (found["scores"].diff() <= 0).all()
        assert ((found["labels"] >= 1) & (found["labels"] < NUM_CLASSES)).all()


def test_detections_do_not_depend_on_what_else_is_in_the_batch():
    """Padding to the same size must not reach them: the small image is alone as it is in company."""
    model, (first, _) = small_detector(size_divisible=64).eval(), draw_images([(64, 64), (64, 64)])
    (alone,) = model([first])
    together, _ = model([first, torch.rand(3, 64, 64)])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-3)


def test_every_parameter_learns():
    model = small_detector().train()
    sum(model(draw_images(), draw_targets()).values()).backward()
    idle = [name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert idle == []


def test_no_gradient_flows_through_the_coordinates_of_proposals():
    """Approximate joint training (section 3.2): the second stage's loss does not move the RPN's deltas or logits."""
    model = small_detector().train()
    losses = model(draw_images(), draw_targets())
    (losses["loss_classifier"] + losses["loss_box_reg"]).backward()
    assert all(parameter.grad is None for parameter in model.rpn.parameters())
    assert all(parameter.grad.any() for parameter in model.backbone.parameters())


def test_a_few_steps_lower_the_loss():
    torch.manual_seed(0)
    model, images, targets = small_detector(), draw_images(), draw_targets()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    totals = []
    for _ in range(12):
        loss = sum(model.train()(images, targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        totals.append(loss.item())
    assert sum(totals[-3:]) < 0.8 * sum(totals[:3]), totals


def test_what_is_handed_in_stays_as_it_is():
    images, targets = draw_images(), draw_targets()
    model = small_detector()
    model.train()(images, targets)
    model.eval()(images)
    for image, expected in zip(images, draw_images(), strict=True):
        assert torch.equal(image, expected)
    for target, expected in zip(targets, draw_targets(), strict=True):
        assert target.keys() == expected.keys()
        assert torch.equal(target["boxes"], expected["boxes"])


def test_targets_may_know_more_than_boxes_and_labels():
    targets = [{**target, "image_id": 3, "area": torch.rand(2)} for target in draw_targets()]
    assert set(small_detector().train()(draw_images(), targets)) == LOSSES


def test_images_may_come_from_any_iterable():
    """A generator is used up by the first who looks; a tuple and a stacked batch are no lists."""
    model = small_detector().eval()
    images = draw_images([(64, 64), (64, 64)])
    expected = model(images)
    for other in (iter(images), tuple(images), torch.stack(images)):
        torch.testing.assert_close(model(other), expected)
    assert set(model.train()(iter(images), draw_targets([(64, 64)] * 2))) == LOSSES


def test_bfloat16_autocast_gives_losses_and_detections_close_to_float32():
    options = {"rpn_batch_size_per_image": 10**6, "box_batch_size_per_image": 10**5, "rpn_nms_thresh": 1.0}
    model, images, targets = small_detector(**options).train(), draw_images(), draw_targets()
    expected = model(images, targets)
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(images, targets)
    for name, loss in losses.items():
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(expected[name].item(), rel=0.1), name
    sum(losses.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        detections = model.eval()(images)
    assert sum(len(found["boxes"]) for found in detections) > 0
    assert all(found["boxes"].dtype == found["scores"].dtype == torch.float32 for found in detections)


def test_a_network_that_has_diverged_says_so():
    model = small_detector().eval()
    with torch.no_grad():
        model.rpn.head.bbox_pred.bias.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"deltas hold NaN.*diverged"):
        model(draw_images())


# Builders


BUILDERS = {
    "tiny": lambda **o: fasterrcnn_tiny(NUM_CLASSES, **o),
    "mobilenet_v2": lambda **o: fasterrcnn_mobilenet_v2(NUM_CLASSES, **o),
    "vgg16": lambda **o: fasterrcnn_vgg16(NUM_CLASSES, box_head=TwoMLPHead(512 * 49, 8), **o),
    "resnet50_fpn": lambda **o: fasterrcnn_resnet50_fpn(NUM_CLASSES, **o),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_every_builder_trains_and_detects(name):
    torch.manual_seed(0)
    options = {"min_size": 96, "max_size": 128, "box_score_thresh": 0.0, "rpn_post_nms_top_n_test": 10}
    model = BUILDERS[name](rpn_post_nms_top_n_train=10, **options)
    losses = model.train()(draw_images(), draw_targets())
    assert set(losses) == LOSSES
    assert all(loss.isfinite() for loss in losses.values())
    detections = model.eval()(draw_images())
    assert all(len(found["boxes"]) > 0 for found in detections)


def on_meta(build, *arguments: object, **options: object) -> FasterRCNN:
    with torch.device("meta"):
        return build(*arguments, **options)


def test_vgg16_is_the_papers_model():
    model = on_meta(fasterrcnn_vgg16, 21)
    assert model.rpn.anchor_generator.num_anchors_per_location() == [9]
    assert model.rpn.anchor_generator.strides == (16,)
    assert model.rpn.anchor_generator.sizes == ((128, 256, 512),)
    assert (model.roi_heads.box_roi_pool.operator, model.roi_heads.box_roi_pool.output_size) == ("pool", 7)
    assert model.roi_heads.box_head.fc6.weight.shape == (4096, 512 * 7 * 7)
    assert model.roi_heads.box_head.fc7.weight.shape == (4096, 4096)
    assert model.roi_heads.box_predictor.cls_score.weight.shape == (21, 4096)
    assert model.roi_heads.box_predictor.bbox_pred.weight.shape == (84, 4096)
    assert on_meta(fasterrcnn_vgg16, 21, roi_operator="align").roi_heads.box_roi_pool.operator == "align"


def test_weights_of_imagenet_start_vgg16s_second_stage_too(monkeypatch):
    """Section 3.2 of Fast R-CNN: VGG16's first two fully connected layers."""
    with torch.device("meta"):
        drawn = torchvision.models.vgg16(weights=None).state_dict()
    drawn = {name: torch.full(value.shape, float(i)) for i, (name, value) in enumerate(drawn.items())}
    monkeypatch.setattr(torchvision.models.VGG16_Weights, "get_state_dict", lambda *_, **__: drawn)
    monkeypatch.setattr(nn.Linear, "reset_parameters", lambda *_: None)  # 120 million numbers that are overwritten
    model = fasterrcnn_vgg16(3, weights_backbone="IMAGENET1K_V1")
    assert torch.equal(model.backbone[0].weight, drawn["features.0.weight"])
    assert torch.equal(model.roi_heads.box_head.fc6.weight, drawn["classifier.0.weight"])
    assert torch.equal(model.roi_heads.box_head.fc7.bias, drawn["classifier.3.bias"])


def test_weights_of_coco_come_from_the_local_cache_with_their_classes(tmp_path, monkeypatch):
    """torchvision looks into TORCH_HOME before it asks the network; a file of that name is taken as it is."""
    url = torchvision.models.get_weight("FasterRCNN_ResNet50_FPN_Weights.COCO_V1").url
    torch.manual_seed(0)
    published = torchvision.models.detection.fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(dict(published), tmp_path / "hub" / "checkpoints" / Path(url).name)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    model = fasterrcnn_resnet50_fpn(weights="COCO_V1")
    assert model.num_classes == 91
    norms = [module for module in model.modules() if isinstance(module, FrozenBatchNorm2d)]
    assert len(norms) == 53
    assert {norm.eps for norm in norms} == {0.0}
    assert all(torch.equal(value, published[name]) for name, value in model.state_dict().items())
    with pytest.raises(ValueError, match=r"weights='COCO_V1' are for 91 classes; leave num_classes=5 out"):
        fasterrcnn_resnet50_fpn(5, weights="COCO_V1")


def test_without_weights_somebody_must_say_how_many_classes():
    with pytest.raises(ValueError, match="num_classes is required"):
        fasterrcnn_resnet50_fpn()


def test_parts_that_are_handed_in_are_used():
    body, pool = backbones.tiny((8, 16)), nn.Identity()
    head = TwoMLPHead(4, 4)
    model = FasterRCNN(body, 2, box_roi_pool=pool, box_head=head, rpn_head=pool, box_predictor=pool)
    assert (model.backbone, model.roi_heads.box_roi_pool, model.roi_heads.box_head) == (body, pool, head)
    assert model.rpn.head is model.roi_heads.box_predictor is pool


def test_parts_that_are_left_out_are_torchvisions():
    model = FasterRCNN(backbones.tiny((8, 16)), 2)
    assert model.rpn.anchor_generator.sizes == ((32,), (64,), (128,), (256,), (512,))
    assert model.rpn.anchor_generator.num_anchors_per_location() == [3] * 5
    assert (model.roi_heads.box_roi_pool.operator, model.roi_heads.box_roi_pool.sampling_ratio) == ("align", 2)
    assert model.roi_heads.box_head.fc6.weight.shape == (1024, 16 * 7 * 7)


def test_the_papers_options_are_the_papers():
    config = Config(**PAPER_OPTIONS)
    assert (config.min_size, config.max_size) == (600, 1000)
    assert (config.rpn_pre_nms_top_n_test, config.rpn_post_nms_top_n_test) == (6000, 300)
    assert (config.rpn_pre_nms_top_n_train, config.rpn_post_nms_top_n_train) == (12000, 2000)
    assert (config.rpn_loss_balance, config.rpn_n_reg, config.rpn_drop_cross_boundary) == (10, "locations", True)
    assert config.log_scale_limit == math.inf
    assert Config().log_scale_limit == LOG_SCALE_LIMIT


def test_the_papers_options_train_and_detect():
    torch.manual_seed(0)
    model = small_detector(**{**PAPER_OPTIONS, "min_size": 64, "max_size": 96, "rpn_min_size": 4.0})
    losses = model.train()(draw_images(), draw_targets())
    assert all(loss.isfinite() for loss in losses.values())
    assert sum(len(found["boxes"]) for found in model.eval()(draw_images())) > 0


# What does not fit


def test_an_option_that_does_not_exist_is_named():
    with pytest.raises(TypeError, match="rpn_nms_treshold"):
        small_detector(rpn_nms_treshold=0.5)


BAD_OPTIONS = {
    "rpn_nms_thresh": (1.5, r"rpn_nms_thresh must lie in \[0, 1\], got 1.5"),
    "box_score_thresh": (-0.1, r"box_score_thresh must lie in \[0, 1\], got -0.1"),
    "rpn_positive_fraction": (float("nan"), r"rpn_positive_fraction must lie in \[0, 1\], got nan"),
    "rpn_batch_size_per_image": (0, "rpn_batch_size_per_image must be at least 1, got 0"),
    "box_detections_per_img": (0, "box_detections_per_img must be at least 1, got 0"),
    "rpn_pre_nms_top_n_train": (0, "rpn_pre_nms_top_n_train must be at least 1, got 0"),
    "rpn_post_nms_top_n_test": (-5, "rpn_post_nms_top_n_test must be at least 1, got -5"),
    "size_divisible": (0, "size_divisible must be at least 1, got 0"),
    "rpn_bg_iou_thresh": (0.8, r"rpn_bg_iou_thresh 0.8 is above rpn_fg_iou_thresh 0.7"),
    "box_fg_iou_thresh": (0.4, r"box_bg_iou_thresh 0.5 is above box_fg_iou_thresh 0.4"),
    "rpn_n_reg": ("anchors", r"rpn_n_reg is 'samples' or 'locations', got 'anchors'"),
    "max_size": (50, r"1 <= min_size <= max_size is needed, got 64 and 50"),
    "min_size": ((64, 0), r"1 <= min_size <= max_size is needed, got \(64, 0\) and 96"),
}


@pytest.mark.parametrize("option", BAD_OPTIONS)
def test_an_option_that_makes_no_sense_is_named(option):
    value, message = BAD_OPTIONS[option]
    with pytest.raises(ValueError, match=message):
        small_detector(**{option: value})


def test_the_number_of_classes_counts_the_background():
    with pytest.raises(ValueError, match="num_classes counts the background, so it is at least 2; got 1"):
        fasterrcnn_tiny(1)


def test_a_backbone_must_say_how_many_channels_it_has():
    with pytest.raises(ValueError, match="backbone needs an attribute out_channels"):
        FasterRCNN(nn.Sequential(nn.Conv2d(3, 8, 1)), 2)


def test_as_many_maps_as_levels_of_anchors():
    with pytest.raises(ValueError, match="5 levels of anchors, but 1 feature maps"):
        FasterRCNN(backbones.tiny((8, 16)), 2).eval()(draw_images())


def test_the_roi_operator_has_two_names():
    with pytest.raises(ValueError, match=r"\"align\" or \"pool\".*'max'"):
        on_meta(fasterrcnn_vgg16, 2, roi_operator="max")


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("call", ["forward", "trace"])
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (draw_images()[0], r"list of \(3, H, W\) tensors; for a single one pass \[image\]"),
        ([], "images is empty"),
        ([np.zeros((3, 9, 9), np.float32)] * 2, r"images\[0\] must be a \(3, H, W\) tensor, got ndarray"),
        ([image.permute(1, 2, 0) for image in draw_images()], r"images\[0\] must be \(3, H, W\), colours first"),
        ([(255 * image).byte() for image in draw_images()], r"got torch.uint8; divide by 255"),
        ([255 * image for image in draw_images()], r"divide 0-255 by 255"),
        ([image.to("meta") for image in draw_images()], r"images\[0\] is on meta, the model on cpu"),
        ([image.double() for image in draw_images()], r"images\[0\] is torch.float64, the model torch.float32"),
    ],
    ids=["one tensor", "none", "arrays", "colours last", "bytes", "0 to 255", "elsewhere", "float64"],
)
def test_images_are_looked_at_first(images, message, call, mode):
    model = getattr(small_detector(), mode)()
    with pytest.raises((TypeError, ValueError), match=message):
        getattr(model, call)(images, draw_targets())


@pytest.mark.parametrize("call", ["forward", "trace"])
def test_training_wants_targets_that_fit(call):
    model = small_detector().train()
    for targets, message in (
        (None, "training needs targets"),
        (draw_targets()[:1], "one target per image is needed, got 1 for 2"),
        ([{**target, "labels": target["labels"] + NUM_CLASSES} for target in draw_targets()], r"lie in 1 .. 3"),
    ):
        with pytest.raises(ValueError, match=message):
            getattr(model, call)(draw_images(), targets)


def test_a_trace_in_evaluation_looks_at_its_targets_too():
    with pytest.raises(ValueError, match=r"targets\[0\] must be a dict"):
        small_detector().eval().trace(draw_images(), [{}, {}])


def test_weights_of_another_number_of_classes_are_refused_with_both_numbers():
    with pytest.raises(ValueError, match=r"for 7 classes and the model has 3.*build it with num_classes=7"):
        fasterrcnn_tiny(3).load_state_dict(fasterrcnn_tiny(7).state_dict())


def test_without_the_predictors_keys_any_other_weights_load():
    """What the message of the error above advises."""
    torch.manual_seed(0)
    theirs = {name: value for name, value in fasterrcnn_tiny(7).state_dict().items() if "box_predictor" not in name}
    model = fasterrcnn_tiny(3)
    result = model.load_state_dict(theirs, strict=False)
    assert {name.split(".")[1] for name in result.missing_keys} == {"box_predictor"}
    assert torch.equal(model.state_dict()["backbone.0.0.0.weight"], theirs["backbone.0.0.0.weight"])


def test_thin_images_fit_too():
    """A strip of 4 x 64 pixels, and one pixel: padded, they have a map to pool from."""
    model = small_detector(min_size=1, max_size=64).eval()
    for size in ((4, 64), (64, 4), (1, 1)):
        (found,) = model(draw_images([size]))
        assert found["boxes"].shape[1] == 4
    assert blank_batch((4, 64)).padded_size == (4, 64)


# Size


def code_lines(source: str) -> int:
    """Lines that hold code: no blank ones, no comments, no strings that stand alone (docstrings)."""
    lines: set[int] = set()
    statement: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
            if any(part.type != tokenize.STRING for part in statement):
                lines |= {line for part in statement for line in range(part.start[0], part.end[0] + 1)}
            statement = []
        elif token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT):
            statement.append(token)
    return len(lines)


COUNTED = '''"""Module,
of two lines."""

import os  # 1

# a comment
def f(a,  # 2
      b):  # 3
    """Doc."""
    return (a  # 4

            + b)  # 5

x: int = """a
b"""  # 6 and 7
"""An attribute."""
'''


def test_lines_of_code_are_counted_without_comments_and_docstrings():
    assert code_lines(COUNTED) == 7


def modules_of_the_detector() -> set[str]:
    """The root of the package, without where weights come from: torchvision's side is counted without that, too."""
    return {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__", "pretrained"}


THEIRS = {
    "models/detection": "faster_rcnn generalized_rcnn rpn roi_heads _utils "
    "anchor_utils transform image_list backbone_utils",
    "ops": "boxes _box_convert _utils poolers roi_align roi_pool feature_pyramid_network misc",
}


def test_the_detector_fits_into_an_evening():
    """Counted alike, torchvision's is 3400 lines, its kernels in C++ left out."""
    names = modules_of_the_detector()
    assert {"boxes", "anchors", "matching", "losses", "roi_pool", "rpn", "roi_heads", "backbones"} < names
    counts = {name: code_lines((PACKAGE / f"{name}.py").read_text(encoding="utf-8")) for name in sorted(names)}
    root = Path(torchvision.__file__).parent
    files = [root / folder / f"{name}.py" for folder, names in THEIRS.items() for name in names.split()]
    theirs = sum(code_lines(file.read_text(encoding="utf-8")) for file in files)
    assert sum(counts.values()) < LINES_AT_MOST, counts
    assert sum(counts.values()) < 0.41 * theirs, (counts, theirs)


def test_a_box_head_of_unknown_length_needs_a_predictor():
    backbone = backbones.tiny()
    with pytest.raises(ValueError, match="give a box_predictor"):
        FasterRCNN(backbone, 3, box_head=torch.nn.Flatten())


def test_options_are_the_fields_of_config():
    assert get_type_hints(Options) == {field.name: get_type_hints(Config)[field.name] for field in fields(Config)}


def focal(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return torchvision.ops.sigmoid_focal_loss(logits, targets, reduction="none")


def giou(deltas: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """GIoU is the same for all anchors once both boxes are decoded from one, so a unit anchor serves."""
    anchors = deltas.new_tensor([[0.0, 0.0, 1.0, 1.0]]).expand(len(deltas), 4)
    decoded = [decode_boxes(values, anchors) for values in (deltas, targets)]
    return torchvision.ops.generalized_box_iou_loss(*decoded, reduction="none")


def test_focal_and_giou_losses_are_arguments_of_the_model():
    torch.manual_seed(0)
    model = fasterrcnn_tiny(3, min_size=96, max_size=96).train()
    other = fasterrcnn_tiny(
        3,
        rpn_loss=partial(rpn_loss, objectness_loss=focal, box_loss=giou),
        box_loss=partial(fast_rcnn_loss, box_loss=giou),
        min_size=96,
        max_size=96,
    ).train()
    other.load_state_dict(model.state_dict())
    images = [torch.rand(3, 96, 96)]
    targets = [{"boxes": torch.tensor([[10.0, 10, 60, 50]]), "labels": torch.tensor([1])}]
    torch.manual_seed(1)
    usual = model.trace(images, targets)
    torch.manual_seed(1)
    trace = other.trace(images, targets)
    sample = trace.rpn.targets[0]
    logits = trace.rpn.logits[0, sample.sampled]
    expected = focal(logits, sample.labels.float()).sum() / len(logits)
    torch.testing.assert_close(trace.losses["loss_objectness"], expected)
    assert set(usual.losses) == set(trace.losses)
    for name in ("loss_objectness", "loss_rpn_box_reg", "loss_box_reg"):
        assert not torch.isclose(usual.losses[name], trace.losses[name])
    torch.testing.assert_close(usual.losses["loss_classifier"], trace.losses["loss_classifier"])
    sum(trace.losses.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in other.parameters() if parameter.grad is not None)
