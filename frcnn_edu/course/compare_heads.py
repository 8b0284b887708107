"""RPN heads trained side by side on the feature maps of a trained detector: the experiment of lesson 03."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from frcnn_edu.boxes import box_iou, decode_boxes
from frcnn_edu.faster_rcnn import FasterRCNN
from frcnn_edu.rpn import RPNHead, RPNPass


@dataclass(frozen=True)
class Scenes:
    """What a detector of one level has made of B images of one size, and their ground truth."""

    maps: Tensor
    """(B, C, H, W) feature maps."""
    rpn: RPNPass
    """The pass of the RPN, with targets."""
    boxes: list[Tensor]
    """B times (G, 4)."""


@dataclass(frozen=True)
class HeadSkills:
    """How good the answers of a head are."""

    in_order: float
    """Share of pairs in which the positive anchor scores higher than the negative one."""
    mean_iou: float
    """Of the positive anchors, moved by their deltas, with their objects."""
    recall: float
    """Share of objects that one of the best proposals meets with an IoU of 0.5 or more."""


@torch.no_grad()
def watch(model: FasterRCNN, scenes: Sequence[tuple[Tensor, dict]]) -> Scenes:
    """Run the detector on (image, target) pairs and keep what heads are trained and measured on."""
    images, targets = zip(*scenes, strict=True)
    trace = model.trace(list(images), list(targets))
    return Scenes(trace.features["0"], trace.rpn, [target["boxes"] for target in targets])


def answers(head: nn.Module, maps: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (B, A) and deltas (B, A, 4) of a head on (B, C, H, W) maps."""
    (logits,), (deltas,) = head([maps])
    count = len(maps)
    return logits.permute(0, 2, 3, 1).reshape(count, -1), deltas.permute(0, 2, 3, 1).reshape(count, -1, 4)


def train_heads(
    model: FasterRCNN,
    scenes: Scenes,
    weights: Mapping[str, tuple[float, float]],
    kinds: Mapping[str, Callable[[int, int], nn.Module]] | None = None,
    steps: int = 60,
) -> dict[str, nn.Module]:
    """Train one head per name, all on the same images in the same order.

    `weights` are those of the objectness loss and of the box loss; `kinds` are other classes than `RPNHead`, by name.
    """
    heads: dict[str, nn.Module] = {}
    for name in weights:
        torch.manual_seed(0)
        heads[name] = (kinds or {}).get(name, RPNHead)(scenes.maps.shape[1], 9)
    optimizer = torch.optim.AdamW([p for head in heads.values() for p in head.parameters()], lr=2e-3)
    assert scenes.rpn.targets is not None
    for _ in tqdm(range(steps), "training all heads"):
        picks = torch.randperm(len(scenes.maps))[:8]
        targets = [scenes.rpn.targets[i] for i in picks]
        optimizer.zero_grad()
        for name, (objectness, box) in weights.items():
            loss = model.rpn.loss(*answers(heads[name], scenes.maps[picks]), targets, scenes.rpn.level_sizes)
            (objectness * loss.objectness + box * loss.box_reg).backward()
        optimizer.step()
    return heads


@torch.no_grad()
def measure_head(model: FasterRCNN, head: nn.Module, scenes: Scenes, top: int = 20, move: bool = True) -> HeadSkills:
    """How a head answers on scenes: with its deltas, or with all of them 0 if it is not to `move` anchors."""
    logits, deltas = answers(head, scenes.maps)
    deltas = deltas if move else torch.zeros_like(deltas)
    assert scenes.rpn.targets is not None
    matches = [target.matches for target in scenes.rpn.targets]
    labels = torch.stack([match.labels for match in matches])  # (B, A)
    positive, negative = logits[labels == 1], logits[labels == 0][::10]
    found, anchors = [], scenes.rpn.anchors
    for i, boxes in enumerate(scenes.boxes):
        size = (16 * scenes.maps.shape[2], 16 * scenes.maps.shape[3])
        proposals = model.rpn.propose(logits[i], deltas[i], anchors, scenes.rpn.level_sizes, size).boxes[:top]
        found.append(box_iou(proposals, boxes).amax(dim=0))  # (G,)
    objects = torch.cat([b[m.gt_index[m.labels == 1]] for b, m in zip(scenes.boxes, matches, strict=True)])  # (P, 4)
    moved = decode_boxes(deltas[labels == 1], anchors.expand(len(matches), -1, 4)[labels == 1])  # (P, 4)
    return HeadSkills(
        (positive[:, None] > negative).float().mean().item(),
        box_iou(moved, objects).diagonal().mean().item(),
        (torch.cat(found) >= 0.5).float().mean().item(),
    )
