"""Tensors of two devices never meet: whole training steps and inferences on a pretended GPU."""

import pytest
import torch
from pretended_device import GPU, MixedDevicesError, PretendedTensor, pretend, pretended_gpu
from small_detector import NUM_CLASSES, draw_images, draw_targets, small_detector
from torch import Tensor, nn

import frcnn_edu.matching
from frcnn_edu.boxes import batched_nms, box_iou, decode_boxes, encode_boxes, nms, nms_suppressors
from frcnn_edu.config import PAPER_OPTIONS, Config
from frcnn_edu.course.pyramid_level import view_level
from frcnn_edu.datasets.data_report import examine_targets, fit_anchors
from frcnn_edu.faster_rcnn import (
    FasterRCNN,
    fasterrcnn_mobilenet_v2,
    fasterrcnn_resnet50_fpn,
    fasterrcnn_tiny,
    fasterrcnn_vgg16,
)
from frcnn_edu.images import check_images
from frcnn_edu.matching import BalancedSampler, Matcher
from frcnn_edu.roi_heads import TwoMLPHead
from frcnn_edu.roi_pool import MultiScaleRoIPool, roi_align, roi_pool
from frcnn_edu.training.metrics import evaluate
from frcnn_edu.training.mistakes import find_errors, judge

FEW = {"min_size": 64, "max_size": 96, "rpn_post_nms_top_n_train": 20, "rpn_post_nms_top_n_test": 20}
MODELS = {
    "small": lambda: small_detector(),
    "small with the paper's options": lambda: small_detector(**{**PAPER_OPTIONS, **FEW, "rpn_min_size": 2.0}),
    "tiny": lambda: fasterrcnn_tiny(NUM_CLASSES, **FEW),
    "mobilenet_v2": lambda: fasterrcnn_mobilenet_v2(NUM_CLASSES, **FEW),
    "resnet50_fpn": lambda: fasterrcnn_resnet50_fpn(NUM_CLASSES, box_score_thresh=0.0, **FEW),
    "vgg16": lambda: fasterrcnn_vgg16(NUM_CLASSES, box_head=TwoMLPHead(512 * 49, 16), box_score_thresh=0.0, **FEW),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_training_step_and_an_inference_stay_on_the_gpu(name):
    """The same numbers come out as on the CPU, and all of them are on the GPU."""
    torch.manual_seed(0)
    model = MODELS[name]()
    expected = outcome(model, draw_images(), draw_targets())
    with pretended_gpu():
        found = outcome(pretend(model), pretend(draw_images()), pretend(draw_targets()))
        assert all(isinstance(value, PretendedTensor) and value.device == GPU for value in found)
    assert len(found) == len(expected)
    for value, other in zip(found, expected, strict=True):
        torch.testing.assert_close(value.inner, other, rtol=1e-3, atol=1e-3)


def outcome(model: FasterRCNN, images: list[Tensor], targets: list[dict[str, Tensor]]) -> list[Tensor]:
    """Losses, gradients and detections of one step without an update."""
    state = {name: value.clone() for name, value in model.named_buffers()}
    torch.manual_seed(1)
    losses = model.train()(images, targets)
    sum(losses.values()).backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    for name, value in model.named_buffers():
        value.copy_(state[name])
    model.zero_grad(set_to_none=True)
    with torch.no_grad():
        detections = model.eval()(images)
    return [*losses.values(), *gradients, *(value for found in detections for value in found.values())]


def test_an_update_and_a_trace_stay_on_the_gpu():
    with pretended_gpu():
        model, images, targets = pretend(small_detector()), pretend(draw_images()), pretend(draw_targets())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, foreach=False)
        for _ in range(2):
            optimizer.zero_grad()
            trace = model.train().trace(images, targets)
            sum(trace.losses.values()).backward()
            optimizer.step()
        trace = model.eval().trace(images, targets)
        assert all(parameter.device == GPU for parameter in model.parameters())
    assert trace.rpn.proposals[0].suppressed_by.device == GPU
    assert trace.detections[0].anchor_index.device == GPU


def test_images_without_objects_and_without_proposals_stay_on_the_gpu():
    for options in ({}, {"rpn_min_size": 500.0}, {"box_score_thresh": 1.0}):
        with pretended_gpu():
            model = pretend(small_detector(**options))
            losses = model.train()(pretend(draw_images()), pretend(draw_targets(counts=(0, 0))))
            sum(losses.values()).backward()
            (found, _) = model.eval()(pretend(draw_images()))
        assert found["boxes"].device == GPU


def draw_boxes(count: int) -> Tensor:
    corner = torch.rand(count, 2) * 40
    return torch.cat((corner, corner + 2 + 20 * torch.rand(count, 2)), dim=1)


OPERATORS = {
    "box_iou": lambda b, f: box_iou(b, b[:3]),
    "encode": lambda b, f: encode_boxes(b, b + 1),
    "decode": lambda b, f: decode_boxes(b / 10, b),
    "nms": lambda b, f: nms(b, b[:, 0], 0.5),
    "nms of 300 with a limit": lambda b, f: nms(b.repeat(8, 1), b[:, 0].repeat(8), 0.7, 10),
    "batched_nms": lambda b, f: batched_nms(b, b[:, 0], (b[:, 1] > 20).long(), 0.5, 5),
    "nms_suppressors": lambda b, f: nms_suppressors(b, nms(b, b[:, 0], 0.3), 0.3),
    "match": lambda b, f: Matcher()(box_iou(b, b[:3])).labels,
    "sample": lambda b, f: BalancedSampler(8)((b[:, 0] > 20).long()).indices,
    "roi_pool": lambda b, f: roi_pool(f, [b, b[:4]], 7, 0.25),
    "roi_align": lambda b, f: roi_align(f, [b, b[:4]], (3, 5), 0.25),
    "pyramid": lambda b, f: MultiScaleRoIPool(7)({"0": f, "1": f[:, :, ::2, ::2]}, [b, b[:4]], [(64, 64)] * 2),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_stays_on_the_gpu(name):
    torch.manual_seed(0)
    boxes, features = draw_boxes(40), torch.rand(2, 3, 16, 16)
    torch.manual_seed(1)
    expected = OPERATORS[name](boxes, features)
    with pretended_gpu():
        torch.manual_seed(1)
        found = OPERATORS[name](pretend(boxes), pretend(features))
    assert isinstance(found, PretendedTensor)
    torch.testing.assert_close(found.inner, expected)


BOXES = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 40.0, 60.0], [5.0, 30.0, 95.0, 60.0]])
TARGET = {"boxes": BOXES, "labels": torch.tensor([1, 2, 1])}
NAMES = ("__background__", "cat", "dog", "bird")


@pytest.mark.parametrize("target_too", [True, False])
def test_errors_are_found_in_detections_straight_from_the_gpu_as_metrics_takes_them(target_too):
    torch.manual_seed(0)
    seen = {**TARGET, "labels": torch.tensor([1, 2, 2]), "scores": torch.tensor([0.9, 0.8, 0.7])}
    target = {**TARGET, "difficult": torch.tensor([False, True, False])}
    expected = find_errors([seen], [target], NAMES)
    with pretended_gpu():
        there = pretend(target) if target_too else target
        found = find_errors([pretend(seen)], [there], NAMES)
        evaluate([pretend(seen)], [there], class_names=NAMES)
        alone = judge(pretend(seen), there, 0.5, 0.5)
    assert str(found) == str(expected)
    assert torch.equal(found.images[0].missed, expected.images[0].missed)
    assert alone.kinds == expected.images[0].kinds


def test_a_data_report_and_its_anchors_stay_on_the_gpu():
    sizes = [(100, 80), (60, 60)]
    expected = examine_targets([TARGET, TARGET], sizes, NAMES)
    with pretended_gpu():
        found = examine_targets(pretend([TARGET, TARGET]), sizes, NAMES)
        fitted = fit_anchors(found.shapes, 2)
        resized = found.resized(Config())
        assert {one.device for one in (found.image_sizes, found.image_index, resized.shapes, fitted)} == {GPU}
        said = str(found)
    assert said == str(expected)
    torch.testing.assert_close(fitted.inner, fit_anchors(expected.shapes, 2))


def test_one_level_of_a_trace_without_boxes_stays_on_the_gpu():
    with pretended_gpu():
        model = pretend(small_detector()).eval()
        view = view_level(model.trace(pretend(draw_images())), model.config, 0)
        assert view.boxes.device == view.feature_map.device == GPU
    assert view.boxes.shape == (0, 4)


def test_an_image_on_another_device_than_the_model_is_named():
    with pretended_gpu():
        model = pretend(small_detector()).eval()
        with pytest.raises(
            ValueError, match=r"images\[0\] is on cpu, the model on cuda:0; move one with .to\(device\)"
        ):
            model(draw_images())
        with pytest.raises(ValueError, match=r"images\[1\] is on cuda:0, the model on cpu"):
            check_images([draw_images()[0], pretend(draw_images()[1])], torch.zeros(1))
        with pytest.raises(ValueError, match=r"targets\[0\]\['boxes'\] on cpu, .* image on cuda:0"):
            model.train()(pretend(draw_images()), draw_targets())


# The pretence itself: it must notice what a GPU would


def test_what_is_asked_for_on_the_gpu_is_there_and_the_rest_is_not():
    with pretended_gpu():
        x = pretend(torch.ones(3))
        there = [
            torch.zeros(2, device=x.device),
            torch.arange(3, device="cuda"),
            x.new_zeros(2),
            x + 1,
            x.cpu().to("cuda"),
        ]
        assert all(isinstance(one, PretendedTensor) for one in there)
        here = [torch.zeros(2), x.cpu(), torch.arange(3)]
        assert not any(isinstance(one, PretendedTensor) for one in here)
        assert x.sum().item() == 3
        assert torch.equal(x, x.clone())


@pytest.mark.parametrize(
    "mistake",
    [
        lambda x: x + torch.ones(3),
        lambda x: torch.cat((x, torch.ones(3))),
        lambda x: torch.stack((x[0], torch.tensor(1.0))),
        lambda x: x[torch.tensor([0, 1])],
        lambda x: torch.where(torch.ones(3, dtype=torch.bool), x, 0),
        lambda x: torch.ones(3)[x.long()],
        lambda x: nn.functional.linear(x, torch.ones(2, 3)),
        lambda x: torch.ones(3).add_(x),
    ],
)
def test_every_way_to_mix_devices_is_noticed(mistake):
    with pretended_gpu(), pytest.raises(MixedDevicesError):
        mistake(pretend(torch.ones(3)))


def test_numbers_and_copies_may_cross():
    with pretended_gpu():
        x = pretend(torch.ones(3))
        assert (x * torch.tensor(2.0)).inner.tolist() == [2, 2, 2]
        x[:2] = torch.tensor([5.0, 6.0])
        assert x.inner.tolist() == [5, 6, 1]


PLANTED = {
    "a permutation drawn on the CPU": (
        frcnn_edu.matching,
        "_draw",
        lambda indices, count, _: indices[torch.randperm(len(indices))[:count]],
    ),
    "a mask made on the CPU": (
        frcnn_edu.matching,
        "is_best_anchor",
        lambda iou: torch.zeros(len(iou), dtype=torch.bool),
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_noticed(name, monkeypatch):
    module, function, mistake = PLANTED[name]
    monkeypatch.setattr(module, function, mistake)
    small_detector().train()(draw_images(), draw_targets())  # nobody notices on the CPU
    with pretended_gpu():
        model = pretend(small_detector()).train()
        with pytest.raises(MixedDevicesError):
            model(pretend(draw_images()), pretend(draw_targets()))
