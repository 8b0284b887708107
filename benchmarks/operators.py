"""The rows of operators: boxes, NMS and pooling, at the sizes of Faster R-CNN for images of 600 x 800."""

import torch
from torch import Tensor
from torchvision import ops
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator as TorchvisionAnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork as TorchvisionRPN

from benchmarks.measure import Call, Row
from frcnn_edu.anchors import PAPER_ASPECT_RATIOS, PAPER_SIZES, AnchorGenerator
from frcnn_edu.boxes import batched_nms, box_iou, decode_boxes, encode_boxes, nms
from frcnn_edu.config import Config
from frcnn_edu.roi_pool import roi_align, roi_pool
from frcnn_edu.rpn import RegionProposalNetwork, RPNHead

IMAGE_SIZE, MAP_SIZE, STRIDE, CHANNELS = (600, 800), (38, 50), 16, 512
OBJECTS, REGIONS, BINS, CLASSES = 20, 128, 7, 20
SAMPLES = 2


def random_boxes(count: int, device: torch.device, seed: int = 0) -> Tensor:
    """Boxes (N, 4) with sides of 16 to 216 px, all over the image."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * torch.tensor(IMAGE_SIZE[::-1])
    return torch.cat((corner, corner + 16 + 200 * torch.rand(count, 2, generator=generator)), dim=1).to(device)


def crowded_boxes(count: int, device: torch.device, seed: int = 0) -> Tensor:
    """Boxes (N, 4), each near one of a few objects, as the proposals of a trained network are."""
    generator = torch.Generator().manual_seed(seed)
    objects = random_boxes(OBJECTS, torch.device("cpu"), seed)
    own = objects[torch.randint(OBJECTS, (count,), generator=generator)]
    deltas = 0.2 * torch.randn(count, 4, generator=generator)
    return decode_boxes(deltas, own).to(device)


def random_scores(count: int, device: torch.device) -> Tensor:
    """Distinct scores (N,) in [0, 1)."""
    return (torch.randperm(count, generator=torch.Generator().manual_seed(1)) / count).to(device)


def image_anchors(device: torch.device) -> Tensor:
    """The 17 100 anchors of the image."""
    maps = [torch.zeros(1, 1, *MAP_SIZE, device=device)]
    return AnchorGenerator(strides=(STRIDE,), rounded=True)(maps, IMAGE_SIZE)[0]


def iou_calls(device: torch.device) -> tuple[Call, Call]:
    """17 100 anchors by 20 objects."""
    anchors, objects = image_anchors(device), random_boxes(OBJECTS, device)
    return lambda: box_iou(anchors, objects), lambda: ops.box_iou(anchors, objects)


def anchor_calls(device: torch.device) -> tuple[Call, Call]:
    """Nine anchors at each of 38 x 50 cells."""
    maps = [torch.zeros(1, CHANNELS, *MAP_SIZE, device=device)]
    images = ImageList(torch.zeros(1, 3, 608, 800, device=device), [IMAGE_SIZE])
    ours = AnchorGenerator(rounded=True)
    theirs = TorchvisionAnchorGenerator((PAPER_SIZES,), (PAPER_ASPECT_RATIOS,))
    return lambda: ours(maps, IMAGE_SIZE), lambda: theirs(images, maps)


def encode_calls(device: torch.device) -> tuple[Call, Call]:
    """Encode a box for each of 17 100 anchors."""
    anchors = image_anchors(device)
    gt_boxes, coder = random_boxes(len(anchors), device), BoxCoder((1.0, 1.0, 1.0, 1.0))
    return lambda: encode_boxes(gt_boxes, anchors), lambda: coder.encode_single(gt_boxes, anchors)


def decode_calls(device: torch.device) -> tuple[Call, Call]:
    """Decode the deltas of 17 100 anchors."""
    anchors = image_anchors(device)
    deltas = 0.3 * torch.randn(len(anchors), 4, generator=torch.Generator().manual_seed(2)).to(device)
    coder = BoxCoder((1.0, 1.0, 1.0, 1.0))
    return lambda: decode_boxes(deltas, anchors), lambda: coder.decode_single(deltas, anchors)


def target_calls(objects: int, device: torch.device) -> tuple[Call, Call]:
    """From anchors and objects to the RPN's sample of 256 and its target deltas."""
    anchors, gt_boxes = image_anchors(device), random_boxes(objects, device)
    ours = RegionProposalNetwork(AnchorGenerator(), RPNHead(CHANNELS, 9), Config())
    theirs = TorchvisionRPN(
        TorchvisionAnchorGenerator(), None, 0.7, 0.3, 256, 0.5, {"training": 0, "testing": 0}, {}, 0.7
    )

    def torchvisions() -> object:
        labels, matched = theirs.assign_targets_to_anchors([anchors], [{"boxes": gt_boxes}])
        targets = theirs.box_coder.encode(matched, [anchors])
        positive, negative = theirs.fg_bg_sampler(labels)
        return targets[0][positive[0].nonzero().squeeze(1)], negative[0].nonzero()

    return lambda: ours.assign(anchors, gt_boxes, IMAGE_SIZE), torchvisions


def nms_calls(boxes: Tensor, threshold: float = 0.7, limit: int | None = None) -> tuple[Call, Call]:
    """NMS of boxes (N, 4), with at most `limit` kept."""
    scores = random_scores(len(boxes), boxes.device)
    return lambda: nms(boxes, scores, threshold, limit), lambda: ops.nms(boxes, scores, threshold)[:limit]


def batched_nms_calls(count: int, device: torch.device) -> tuple[Call, Call]:
    """Crowded boxes of 20 classes, as in the second stage."""
    boxes, scores = crowded_boxes(count, device), random_scores(count, device)
    classes = torch.randint(CLASSES, (count,), generator=torch.Generator().manual_seed(3)).to(device)
    return lambda: batched_nms(boxes, scores, classes, 0.5), lambda: ops.batched_nms(boxes, scores, classes, 0.5)


def pooling_calls(operator: str, backward: bool, device: torch.device) -> tuple[Call, Call]:
    """128 regions, 7 x 7 bins, on a map of 512 channels and 38 x 50 cells."""
    generator = torch.Generator().manual_seed(4)
    features = torch.randn(1, CHANNELS, *MAP_SIZE, generator=generator).relu().to(device).requires_grad_(backward)
    weights = torch.randn(REGIONS, CHANNELS, BINS, BINS, generator=generator).to(device)
    rois = [random_boxes(REGIONS, device)]
    ours, theirs = {"pool": (roi_pool, ops.roi_pool), "align": (roi_align, ops.roi_align)}[operator]
    arguments = (features, rois, BINS, 1 / STRIDE, *((SAMPLES,) if operator == "align" else ()))
    if not backward:
        return lambda: ours(*arguments), lambda: theirs(*arguments)
    return (
        lambda: torch.autograd.grad(ours(*arguments), features, weights),
        lambda: torch.autograd.grad(theirs(*arguments), features, weights),
    )


ROWS = (
    Row("box_iou, 17100 x 20", iou_calls, 0.6),
    Row("anchors, 17100", anchor_calls, 1.0),
    Row("encode, 17100", encode_calls, 1.0),
    Row("decode, 17100", decode_calls, 1.0),
    Row("match + sample, 3 objects", lambda device: target_calls(3, device), 0.7),
    Row("match + sample, 20 objects", lambda device: target_calls(20, device), 0.7),
    Row("nms 2000", lambda device: nms_calls(random_boxes(2000, device)), 0.8),
    Row("nms 6000", lambda device: nms_calls(random_boxes(6000, device)), 0.8),
    Row("nms 6000, the best 300", lambda device: nms_calls(random_boxes(6000, device), limit=300), 0.8),
    Row("nms 2000, crowded", lambda device: nms_calls(crowded_boxes(2000, device)), 0.8),
    Row("nms 6000, crowded", lambda device: nms_calls(crowded_boxes(6000, device)), 0.8),
    Row("nms 2000, threshold 0.3", lambda device: nms_calls(random_boxes(2000, device), 0.3), 1.0),
    Row("batched_nms 2000, 20 classes", lambda device: batched_nms_calls(2000, device), 1.0),
    Row("batched_nms 6000, 20 classes", lambda device: batched_nms_calls(6000, device), 1.0),
    Row("roi_pool, forward", lambda device: pooling_calls("pool", False, device), 1.0),
    Row("roi_pool, forward + backward", lambda device: pooling_calls("pool", True, device), 1.0),
    Row("roi_align, forward", lambda device: pooling_calls("align", False, device), 0.5),
    Row("roi_align, forward + backward", lambda device: pooling_calls("align", True, device), 0.3),
)
