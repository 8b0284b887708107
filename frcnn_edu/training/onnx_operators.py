"""What stands in for parts of the detector while it is exported to ONNX; the detector itself knows nothing of it.

| the detector's | in the graph |
|---|---|
| `images.batch_images` | Resize and Pad; the new size is computed in float64, as in Python |
| `rpn._top_per_level` | TopK for each level; of equal logits the earlier anchor comes first, as in the detector |
| `boxes.thin_out` | NonMaxSuppression with a row of scores for each level or class, then TopK over what it keeps |
| `roi_pool.roi_align`, `roi_pool` | RoiAlign, MaxRoiPool |
| `boxes.clip_boxes`, `images.resize_boxes` | the same with sizes as tensors |
| checks of values | left out: a graph raises nothing |

torchvision's RoIAlign and the rest the exporter knows; `TRANSLATIONS` says what becomes of the operators defined here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
import torchvision
from torch import Tensor

from frcnn_edu import boxes, faster_rcnn, images, roi_heads, roi_pool, rpn
from frcnn_edu.config import Config
from frcnn_edu.faster_rcnn import FasterRCNN
from frcnn_edu.images import ImageBatch
from frcnn_edu.roi_pool import MultiScaleRoIPool

OPSET = 18
MOST_CELLS = 2**24
"""An upper limit that the exporter needs for counts that depend on the image."""

DOUBLE, INT64 = 11, 7
"""ONNX's numbers of types."""


@contextmanager
def standing_in(model: FasterRCNN, resized: Tensor) -> Iterator[None]:
    """Within this context `model.trace` is made of what ONNX has; `resized` has the shape of the resized image."""
    levels, classes = len(model.rpn.anchor_generator.cell_anchors), model.num_classes
    stand_ins: list[tuple[object, str, Callable]] = [
        (faster_rcnn, "check_images", lambda given, like: given),
        (faster_rcnn, "batch_images", partial(_batch_images, resized)),
        (images, "resize_boxes", _resize_boxes),
        (boxes, "check_boxes", lambda *_, **__: None),
        (boxes, "_check_deltas", lambda *_: None),
        (boxes, "_suspect", lambda *_: False),
        (rpn, "clip_boxes", _clip_boxes),
        (roi_heads, "clip_boxes", _clip_boxes),
        (rpn, "_top_per_level", _top_per_level),
        (rpn, "thin_out", partial(_thin_out, levels)),
        (roi_heads, "thin_out", partial(_thin_out, classes)),
        (MultiScaleRoIPool, "forward", _pool_levels),
    ]
    with ExitStack() as stack:
        for place, name, stand_in in stand_ins:
            stack.enter_context(patch.object(place, name, stand_in))
        yield


def _batch_images(resized: Tensor, given: Sequence[Tensor], config: Config, training: bool) -> ImageBatch:
    """A batch whose sizes are (2,) int64 tensors."""
    numbers = (config.min_sizes[-1], config.max_size, config.size_divisible, config.image_mean, config.image_std)
    batch, size, original = torch.ops.frcnn_edu.resize_image(given[0], resized, *numbers)
    return ImageBatch(batch, [size], [original])


def _resize_boxes(boxes: Tensor, old_size: Tensor, new_size: Tensor) -> Tensor:
    scale = (new_size.double() / old_size.double()).to(boxes.dtype)  # (2,) y, x
    return boxes * scale.flip(0).repeat(2)


def _clip_boxes(boxes: Tensor, image_size: Tensor) -> Tensor:
    return torch.minimum(boxes.clamp(min=0), image_size.flip(0).repeat(2).to(boxes.dtype))


def _top_per_level(logits: Tensor, level_sizes: Sequence[tuple[int, int, int]], top_n: int) -> tuple[Tensor, Tensor]:
    chosen, levels, start = [], [], 0
    for level, (per_cell, rows, columns) in enumerate(level_sizes):
        count = per_cell * rows * columns
        top = logits[start : start + count].topk(torch.sym_min(top_n, count)).indices
        chosen.append(top + start)
        levels.append(torch.full_like(top, level))
        start += count
    return torch.cat(chosen), torch.cat(levels)


def _thin_out(
    group_count: int,
    candidates: Tensor,
    scores: Tensor,
    groups: Tensor,
    valid: Tensor,
    iou_threshold: float,
    limit: int,
    detail: bool = False,
) -> tuple[Tensor, Tensor | None]:
    above = boxes._largest_not_above(iou_threshold, candidates.dtype)
    rows = valid.nonzero().squeeze(1)  # (V,)
    some = candidates[rows], scores[rows], groups[rows]
    kept = rows[torch.ops.frcnn_edu.grouped_nms(*some, group_count, above, limit)]  # (P,)
    numbers = torch.arange(candidates.shape[0])  # (K,)
    overlaps = boxes.pairwise_iou(candidates[kept], candidates) > above  # (P, K)
    overlaps &= (groups[kept, None] == groups) & (kept[:, None] != numbers)
    overlaps = torch.cat((overlaps, (numbers >= 0)[None]))  # (P + 1, K) the last is none, and true
    suppressed_by = torch.cat((kept, kept.new_full((1,), -1)))[overlaps.int().argmax(dim=0)]  # (K,)
    return kept, suppressed_by.where(valid, -1)


def _pool_levels(
    pool: MultiScaleRoIPool, features: Mapping[str, Tensor], proposals: Sequence[Tensor], image_sizes: Sequence[Tensor]
) -> Tensor:
    """The level's scale depends on the image, and an attribute of an operator cannot: boxes are scaled instead."""
    (regions,), maps = proposals, pool._chosen(features)
    levels = [(image_sizes[0][0].double() / one.shape[-2]).log2().round().float() for one in maps]
    if len(maps) == 1:
        return _pool(pool, maps[0], regions, levels[0])
    level_of = roi_pool.pyramid_level(regions, levels[0], levels[-1])  # type: ignore[arg-type]  # clamps with tensors, too
    order, pooled = [], []
    for level, one_map in zip(levels, maps, strict=True):
        mine = (level_of == level).nonzero().squeeze(1)  # (n,)
        torch._check(mine.shape[0] <= MOST_CELLS)
        pooled.append(_pool(pool, one_map, regions[mine], level))
        order.append(mine)
    return torch.cat(pooled).index_select(0, torch.cat(order).argsort())


def _pool(pool: MultiScaleRoIPool, feature_map: Tensor, regions: Tensor, level: Tensor) -> Tensor:
    size = (pool.output_size, pool.output_size) if isinstance(pool.output_size, int) else tuple(pool.output_size)
    in_cells = regions * (-level).exp2()  # (N, 4) exact: a power of two
    if pool.operator == "pool":
        return torch.ops.frcnn_edu.max_roi_pool(feature_map, torch.nn.functional.pad(in_cells, (1, 0)), size)
    return torchvision.ops.roi_align(feature_map, [in_cells], size, 1.0, pool.sampling_ratio)


# Operators of PyTorch that have only shapes, which is all that the exporter asks for, and what each is in ONNX.

_define, _shapes_of = torch.library.define, torch.library.register_fake

_define(
    "frcnn_edu::resize_image",
    "(Tensor image, Tensor resized, int min_size, int max_size, int multiple, float[] mean, float[] std) "
    "-> (Tensor batch, Tensor size, Tensor original_size)",
)


@_shapes_of("frcnn_edu::resize_image")
def _(image: Tensor, resized: Tensor, *_: object) -> tuple[Tensor, Tensor, Tensor]:
    size, original_size = (image.new_empty(2, dtype=torch.int64) for _ in range(2))
    return torch.empty_like(resized), size, original_size


def _resize_image(
    image: Any, resized: Any, min_size: int, max_size: int, multiple: int, mean: list[float], std: list[float]
) -> tuple[Any, Any, Any]:
    op = _operators()
    mean, std = (_constant([[[value]] for value in values], torch.float32) for values in (mean, std))
    normalized = op.Unsqueeze(op.Div(op.Sub(image, mean), std), [0])  # (1, 3, H, W)
    original_size = op.Shape(image, start=1)  # (2,)
    sides = op.Cast(original_size, to=DOUBLE)
    by_shorter = op.Div(_constant(min_size, torch.float64), op.ReduceMin(sides, keepdims=0))
    by_longer = op.Div(_constant(max_size, torch.float64), op.ReduceMax(sides, keepdims=0))
    size = op.Cast(op.Floor(op.Mul(sides, op.Min(by_shorter, by_longer))), to=INT64)
    size = op.Max(size, _constant(1, torch.int64))  # (2,) a strip keeps a row of pixels
    new_shape = op.Concat(_constant([1, 3], torch.int64), size, axis=0)
    inside = op.Resize(normalized, None, None, new_shape, mode="linear")
    padding = op.Mod(op.Neg(size), _constant(multiple, torch.int64))  # (2,)
    batch = op.Pad(inside, op.Concat(_constant([0] * 6, torch.int64), padding, axis=0))
    return batch, size, original_size


_define(
    "frcnn_edu::grouped_nms",
    "(Tensor boxes, Tensor scores, Tensor groups, int group_count, float iou_threshold, int limit) -> Tensor",
)


@_shapes_of("frcnn_edu::grouped_nms")
def _(_boxes: Tensor, _scores: Tensor, groups: Tensor, _count: int, _threshold: float, limit: int) -> Tensor:
    return groups.new_empty(torch.library.get_ctx().new_dynamic_size(max=limit))


def _grouped_nms(candidates: Any, scores: Any, groups: Any, group_count: int, iou_threshold: float, limit: int) -> Any:
    """`boxes.batched_nms`. Scores are in [0, 1], so -1 marks what takes no part."""
    op = _operators()
    nothing, at_most = _constant(-1, torch.float32), _constant([limit], torch.int64)
    mine = op.Equal(_constant([[group] for group in range(group_count)], torch.int64), groups)  # (G, N)
    by_group = op.Unsqueeze(op.Where(mine, scores, nothing), [0])  # (1, G, N)
    threshold, above_nothing = _constant(iou_threshold, torch.float32), _constant(-0.5, torch.float32)
    found = op.NonMaxSuppression(op.Unsqueeze(candidates, [0]), by_group, at_most, threshold, above_nothing)  # (S, 3)
    rows = op.Gather(found, _constant(2, torch.int64), axis=1)  # (S,) of image, group, row
    kept = op.ScatterElements(op.Expand(nothing, op.Shape(scores)), rows, op.Gather(scores, rows))  # (N,)
    _, best = op.TopK(kept, op.Min(op.Shape(rows), at_most))
    return best


_define("frcnn_edu::max_roi_pool", "(Tensor features, Tensor rois, int[] size) -> Tensor")


@_shapes_of("frcnn_edu::max_roi_pool")
def _(features: Tensor, rois: Tensor, size: list[int]) -> Tensor:
    return features.new_empty(rois.shape[0], features.shape[1], *size)


def _max_roi_pool(features: Any, rois: Any, size: list[int]) -> Any:
    return _operators().MaxRoiPool(features, rois, pooled_shape=size)


def _operators() -> Any:
    from onnxscript import opset18

    return opset18


def _constant(value: object, dtype: torch.dtype) -> Any:
    from onnx.numpy_helper import from_array

    return _operators().Constant(value=from_array(torch.tensor(value, dtype=dtype).numpy()))


_ours = torch.ops.frcnn_edu
TRANSLATIONS: dict[Callable, Callable] = {
    _ours.resize_image.default: _resize_image,
    _ours.grouped_nms.default: _grouped_nms,
    _ours.max_roi_pool.default: _max_roi_pool,
}
"""What each of these operators becomes."""
