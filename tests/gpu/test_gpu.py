"""What only a real GPU can show: operators and whole steps there give what they give on the CPU."""

import copy
from collections.abc import Iterator

import pytest
import torch
from small_detector import NUM_CLASSES, draw_images, draw_targets, small_detector
from torch import Tensor

from frcnn_edu.boxes import batched_nms, box_iou, decode_boxes, encode_boxes, nms, nms_suppressors
from frcnn_edu.faster_rcnn import fasterrcnn_mobilenet_v2, fasterrcnn_tiny
from frcnn_edu.matching import BalancedSampler, Matcher
from frcnn_edu.roi_pool import MultiScaleRoIPool, roi_align, roi_pool

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

KEEP_ALL = {  # chance draws differently on the GPU; where everything is kept, it has no part
    "rpn_batch_size_per_image": 10**6,
    "box_batch_size_per_image": 10**5,
    "rpn_positive_fraction": 1.0,
    "box_positive_fraction": 1.0,
}
FEW = {"min_size": 64, "max_size": 96, "rpn_post_nms_top_n_train": 50, "rpn_post_nms_top_n_test": 50}
MODELS = {
    "small": lambda: small_detector(**KEEP_ALL),
    "tiny": lambda: fasterrcnn_tiny(NUM_CLASSES, **KEEP_ALL, **FEW),
    "mobilenet_v2": lambda: fasterrcnn_mobilenet_v2(NUM_CLASSES, **KEEP_ALL, **FEW),
}


@pytest.fixture(autouse=True)
def exact_arithmetic() -> Iterator[None]:
    """TF32, cuDNN's default for convolutions, rounds factors to 10 bits: far more than the differences looked for."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


def to_gpu(thing: object) -> object:
    return torch.utils._pytree.tree_map(lambda x: x.cuda() if isinstance(x, Tensor) else x, thing)


def draw_boxes(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 200
    return torch.cat((corner, corner + 4 + 60 * torch.rand(count, 2, generator=generator)), dim=1)


def scores_of(boxes: Tensor) -> Tensor:
    return torch.rand(len(boxes), generator=torch.Generator().manual_seed(1)).to(boxes.device)


OPERATORS = {
    "box_iou": lambda b, f: box_iou(b, b[:50]),
    "encode": lambda b, f: encode_boxes(b, b.flip(0)),
    "decode": lambda b, f: decode_boxes((b - 100) / 100, b),
    "nms": lambda b, f: nms(b, scores_of(b), 0.5),
    "nms with a limit": lambda b, f: nms(b, scores_of(b), 0.7, 20),
    "batched_nms": lambda b, f: batched_nms(b, scores_of(b), (b[:, 0] > 90).long(), 0.4),
    "nms_suppressors": lambda b, f: nms_suppressors(b, nms(b, scores_of(b), 0.3), 0.3),
    "labels": lambda b, f: Matcher()(box_iou(b, b[:50] + 2)).labels,
    "matches": lambda b, f: Matcher()(box_iou(b, b[:50] + 2)).gt_index,
    "roi_pool": lambda b, f: roi_pool(f, [b, b[:30]], 7, 1 / 8),
    "roi_align": lambda b, f: roi_align(f, [b, b[:30]], 7, 1 / 8),
    "pyramid": lambda b, f: MultiScaleRoIPool(7)({"0": f, "1": f[:, :, ::2, ::2]}, [b, b[:30]], [(264, 264)] * 2),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_gives_what_it_gives_on_the_cpu(name):
    boxes = draw_boxes(600)
    features = torch.rand(2, 6, 33, 33, generator=torch.Generator().manual_seed(2))
    expected = OPERATORS[name](boxes, features)
    found = OPERATORS[name](boxes.cuda(), features.cuda())
    assert found.is_cuda
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pool", [roi_pool, roi_align])
def test_gradients_of_pooling_are_those_of_the_cpu(pool):
    boxes, gradients = draw_boxes(60), []
    for device in ("cpu", "cuda"):
        generator = torch.Generator().manual_seed(3)
        features = torch.rand(1, 6, 33, 33, generator=generator).to(device).requires_grad_()
        weights = torch.rand(60, 6, 7, 7, generator=generator).to(device)
        (pool(features, [boxes.to(device)], 7, 1 / 8) * weights).sum().backward()
        gradients.append(features.grad.cpu())
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_a_training_step_gives_the_losses_and_gradients_of_the_cpu(name):
    torch.manual_seed(0)
    model = MODELS[name]().train()
    on_gpu = copy.deepcopy(model).cuda()
    losses = model(draw_images(), draw_targets())
    found = on_gpu(to_gpu(draw_images()), to_gpu(draw_targets()))
    for each, of in ((losses, model), (found, on_gpu)):
        sum(each.values()).backward()
        assert all(parameter.grad is not None for parameter in of.parameters() if parameter.requires_grad)
    for loss_name, loss in losses.items():
        assert found[loss_name].item() == pytest.approx(loss.item(), rel=1e-3), loss_name
    largest = max(parameter.grad.norm() for parameter in model.parameters())
    for (parameter_name, parameter), other in zip(model.named_parameters(), on_gpu.parameters(), strict=True):
        error = (parameter.grad - other.grad.cpu()).norm()
        assert error <= 1e-2 * parameter.grad.norm() + 1e-5 * largest, parameter_name


@pytest.mark.parametrize("name", MODELS)
def test_detections_are_those_of_the_cpu(name):
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    with torch.no_grad():
        expected = model(draw_images())
        found = copy.deepcopy(model).cuda()(to_gpu(draw_images()))
    for mine, other in zip(found, expected, strict=True):
        assert mine["boxes"].is_cuda
        assert len(mine["boxes"]) == len(other["boxes"])
        torch.testing.assert_close(mine["scores"].cpu(), other["scores"], rtol=0, atol=1e-4)
        torch.testing.assert_close(mine["boxes"].cpu(), other["boxes"], rtol=0, atol=1e-2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_trains_and_detects(dtype):
    model, images, targets = small_detector().cuda(), to_gpu(draw_images()), to_gpu(draw_targets())
    with torch.autocast("cuda", dtype):
        losses = model.train()(images, targets)
        detections = model.eval()(images)
    sum(losses.values()).backward()
    assert all(loss.isfinite() and loss.dtype == torch.float32 for loss in losses.values())
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    assert all(found["boxes"].dtype == torch.float32 for found in detections)


def test_the_sample_is_drawn_on_the_gpu():
    labels = torch.tensor([1, 0, 0, -1] * 300).cuda()
    sample = BalancedSampler()(labels, torch.Generator("cuda").manual_seed(0))
    assert sample.indices.is_cuda
    assert (len(sample.positive), len(sample.negative)) == (128, 128)


def test_a_model_and_an_image_on_two_devices_are_named():
    model = small_detector().cuda().eval()
    with pytest.raises(ValueError, match=r"images\[0\] is on cpu, the model on cuda:0"):
        model(draw_images())
    with pytest.raises(ValueError, match=r"targets\[0\]\['boxes'\] on cpu, .* image on cuda:0"):
        model.train()(to_gpu(draw_images()), draw_targets())
