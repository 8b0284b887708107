"""A single pyramid level: the part of a trace that belongs to one feature map.

A pyramid has a map for each stride, 4 to 64, and the region proposal network predicts on all of them; its anchors,
logits and deltas are ordered level by level. The lessons' explorers show one map, so `view_level` reduces a trace to
one level, with the image as the network saw it: resized and padded.

All values are those of the whole network: logits, labels, and what NMS suppressed. Only the sample of the loss is
smaller than 256, because it covers all levels.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from frcnn_edu.config import Config
from frcnn_edu.faster_rcnn import Trace
from frcnn_edu.matching import Matches
from frcnn_edu.rpn import AnchorTargets, Proposals, RPNPass


@dataclass(frozen=True)
class LevelView:
    """One level of a trace's first image, in pixels of the resized image."""

    image: Tensor
    """(3, H, W) in [0, 1]: resized and padded; the padding is grey."""
    boxes: Tensor
    """(G, 4): the objects."""
    trace: Trace
    """The trace with only this level's map, anchors, proposals and targets; without a second stage."""
    stride: int
    """Pixels per cell."""

    @property
    def feature_map(self) -> Tensor:
        """(C, rows, columns)."""
        return next(iter(self.trace.features.values()))[0]


def view_level(trace: Trace, config: Config, level: int, boxes: Tensor | None = None) -> LevelView:
    """Level number `level` of a trace, 0 the finest; `boxes`, (G, 4), are in pixels of the image as it was given.

    `config`, the model's, has the mean and standard deviation of the normalisation. Raises ValueError for a level that
    does not exist.
    """
    names = list(trace.features)
    if not 0 <= level < len(names):
        raise ValueError(f"level must be 0, the finest, to {len(names) - 1}, got {level}")
    feature_map = trace.features[names[level]]
    batch = replace(trace.batch, tensors=trace.batch.tensors[:1])
    boxes = feature_map.new_zeros(0, 4) if boxes is None else batch.to_resized(boxes, 0)
    rpn = _one_level(trace.rpn, level)
    alone = Trace(batch, OrderedDict({names[level]: feature_map}), rpn, None, None, None)
    stride = batch.tensors.shape[-1] // feature_map.shape[-1]
    return LevelView(_denormalize(batch.tensors[0], config), boxes, alone, stride)


def _denormalize(image: Tensor, config: Config) -> Tensor:
    """Undo the normalisation of an image: (3, H, W) -> (3, H, W) in [0, 1]."""
    mean, std = (image.new_tensor(values)[:, None, None] for values in (config.image_mean, config.image_std))
    return (image * std + mean).clamp(0, 1)


def _one_level(rpn: RPNPass, level: int) -> RPNPass:
    counts = [per_cell * rows * columns for per_cell, rows, columns in rpn.level_sizes]
    start = sum(counts[:level])
    mine = slice(start, start + counts[level])
    return RPNPass(
        rpn.anchors[mine],
        [rpn.level_sizes[level]],
        rpn.logits[:1, mine],
        rpn.deltas[:1, mine],
        [_proposals(rpn.proposals[0], level, start)],
        None if rpn.targets is None else [_targets(rpn.targets[0], mine)],
    )


def _proposals(found: Proposals, level: int, start: int) -> Proposals:
    """The candidates of one level, with indices into these."""
    here = found.level == level  # (K,)
    number = here.cumsum(0) - 1  # (K,)
    kept = number[found.kept[here[found.kept]]]
    parts = {
        "anchor_index": found.anchor_index[here] - start,
        "level": torch.zeros_like(found.level[here]),
        "kept": kept,
        **{name: getattr(found, name)[here] for name in ("scores", "decoded", "clipped", "valid")},
    }
    if found.suppressed_by is not None:
        by = found.suppressed_by[here]  # (k,)
        parts["suppressed_by"] = number[by.clamp(min=0)].where(by >= 0, -1)
    return replace(found, **parts)


def _targets(targets: AnchorTargets, mine: slice) -> AnchorTargets:
    matches = Matches(*(getattr(targets.matches, name)[mine] for name in ("labels", "gt_index", "iou")))
    here = (targets.sampled >= mine.start) & (targets.sampled < mine.stop)  # (S,)
    return AnchorTargets(matches, targets.sampled[here] - mine.start, targets.labels[here], targets.deltas[here])
