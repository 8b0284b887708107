"""Boxes: area, IoU, clipping, deltas, and non-maximum suppression.

Anchors, proposals, ground truth and detections are all (N, 4) float tensors of ``x1, y1, x2, y2`` in pixels. A pair of
boxes is encoded as the four deltas that a network regresses (Faster R-CNN, section 3.1.2, equation 2).

Difference from the paper's code: coordinates are continuous, so a width is ``x2 - x1``, without a + 1.
Differences from torchvision: the IoU of two boxes without area is 0, not NaN, and invalid boxes raise an error that
names the argument. Values are checked on the CPU only; on a GPU a check would wait for the device.

Non-maximum suppression (section 3.3) is sequential by nature. `batched_nms` works in few large steps and gives the
same result as the textbook's loop over boxes, which stands in the tests and in lesson 05. The steps need some MB for
the IoUs that they compare, where torchvision's loop needs none. On a GPU each step would wait for the device, so there
torchvision's kernel does it.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision import ops

UNIT_WEIGHTS = (1.0, 1.0, 1.0, 1.0)

LOG_SCALE_LIMIT = math.log(1000 / 16)
"""Upper limit of dw and dh in `decode_boxes`: a 16-px anchor may grow to 1000 px. Without a limit, a single extreme
output of an untrained network makes a box exp(10) times as large as its anchor."""

NMS_PAIRS = 100_000
"""How many pairs of boxes `batched_nms` compares at once, chosen for speed: few large steps, but in the cache."""


class DivergedError(ValueError, FloatingPointError):
    """Outputs of a network that are not finite."""


def box_area(boxes: Tensor) -> Tensor:
    """Area of every box, in square pixels: (N, 4) -> (N,).

    Raises TypeError or ValueError for invalid boxes (see `check_boxes`).
    """
    check_boxes(boxes)
    x1, y1, x2, y2 = _planes(boxes)
    return (x2 - x1) * (y2 - y1)


def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Intersection over union of every pair of boxes: (N, 4), (M, 4) -> (N, M), each in [0, 1].

    Two boxes without any area have IoU 0. Source: Faster R-CNN, section 3.1.2.
    Raises TypeError or ValueError for invalid boxes or boxes on different devices.
    """
    check_boxes(boxes1, "boxes1")
    check_boxes(boxes2, "boxes2")
    check_same_device(boxes1=boxes1, boxes2=boxes2)
    return pairwise_iou(boxes2, boxes1).mT  # stored with a row for each of boxes2: faster to reduce


def pairwise_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """`box_iou` without checks, with leading dimensions: (..., N, 4), (..., M, 4) -> (..., N, M).

    Works on one (N, M) plane per coordinate, in place. A broadcast to (N, M, 2) takes five times as long.
    """
    left, top, right, bottom = (plane.unsqueeze(-1) for plane in _planes(boxes1))  # each (..., N, 1)
    left2, top2, right2, bottom2 = (plane.unsqueeze(-2) for plane in _planes(boxes2))  # each (..., 1, M)
    width = torch.minimum(right, right2).sub_(torch.maximum(left, left2)).clamp_(min=0)  # (..., N, M)
    height = torch.minimum(bottom, bottom2).sub_(torch.maximum(top, top2)).clamp_(min=0)  # (..., N, M)
    inter = width.mul_(height)  # (..., N, M)
    area = ((right - left) * (bottom - top)).clamp_(min=torch.finfo(inter.dtype).tiny)  # (..., N, 1), never 0
    return inter.div_((area + (right2 - left2) * (bottom2 - top2)).sub_(inter))


def clip_boxes(boxes: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Boxes with every corner moved inside the image: (..., 4) -> (..., 4); `image_size` is (height, width) in pixels.

    A box that lies wholly outside ends up on the border, without area; `remove_small_boxes` drops it.
    """
    height, width = image_size
    x1, y1, x2, y2 = boxes.unbind(-1)
    return _from_planes(x1.clamp(0, width), y1.clamp(0, height), x2.clamp(0, width), y2.clamp(0, height))


def remove_small_boxes(boxes: Tensor, min_size: float) -> Tensor:
    """Indices of the boxes whose width and height are both at least `min_size` pixels: (N, 4) -> (K,) int64."""
    return (boxes[:, 2:] - boxes[:, :2] >= min_size).all(dim=1).nonzero().squeeze(1)


def encode_boxes(gt_boxes: Tensor, anchors: Tensor, weights: Sequence[float] = UNIT_WEIGHTS) -> Tensor:
    """The deltas that turn each anchor into its ground-truth box: (N, 4), (N, 4) -> (N, 4) of dx, dy, dw, dh.

    Shifts are in anchor widths and heights, sizes are logs of the ratio; each is multiplied by its weight (weights of
    10, 10, 5, 5 divide by standard deviations of 0.1, 0.1, 0.2, 0.2). Source: section 3.1.2, equation 2.
    Raises TypeError or ValueError for invalid boxes, a box without area (whose log is infinite), or arguments of
    different length or device.
    """
    check_form(gt_boxes, "gt_boxes")
    check_form(anchors, "anchors")
    check_same_device(gt_boxes=gt_boxes, anchors=anchors)
    if gt_boxes.shape != anchors.shape:
        raise ValueError(
            f"encode_boxes pairs gt_boxes and anchors row by row, got {len(gt_boxes)} and {len(anchors)} rows; "
            "index the ground truth with each anchor's match first"
        )
    gx, gy, gw, gh = _center_size(full_precision(gt_boxes))
    ax, ay, aw, ah = _center_size(full_precision(anchors))
    wx, wy, ww, wh = weights
    dx, dy = wx * (gx - ax) / aw, wy * (gy - ay) / ah  # (N,) each
    dw, dh = ww * torch.log(gw / aw), wh * torch.log(gh / ah)  # (N,) each
    deltas = _from_planes(dx, dy, dw, dh)  # (N, 4)
    if _suspect(deltas, aw, ah):  # a ground-truth side of 0 or below has no log
        check_boxes(gt_boxes, "gt_boxes", with_area=True)
        check_boxes(anchors, "anchors", with_area=True)
    return deltas


def decode_boxes(
    deltas: Tensor, anchors: Tensor, weights: Sequence[float] = UNIT_WEIGHTS, log_scale_limit: float = LOG_SCALE_LIMIT
) -> Tensor:
    """Apply deltas to anchors, the inverse of `encode_boxes`: (N, 4), (N, 4) -> (N, 4).

    Deltas for K classes, (N, K, 4), give (N, K, 4). dw and dh are clamped to `log_scale_limit`.
    Raises TypeError or ValueError where shapes do not match, values are NaN, or devices differ.
    """
    check_form(anchors, "anchors")
    _check_deltas(deltas, anchors)
    deltas, anchors = full_precision(deltas), full_precision(anchors)
    ax, ay, aw, ah = _center_size(anchors.unsqueeze(1) if deltas.ndim == 3 else anchors)  # (N,) or (N, 1) each
    dx, dy, dw, dh = deltas.unbind(-1)
    wx, wy, ww, wh = weights
    cx, cy = ax + aw * (dx / wx), ay + ah * (dy / wy)
    half_w = 0.5 * aw * torch.exp((dw / ww).clamp(max=log_scale_limit))
    half_h = 0.5 * ah * torch.exp((dh / wh).clamp(max=log_scale_limit))
    boxes = _from_planes(cx - half_w, cy - half_h, cx + half_w, cy + half_h)  # (N, 4) or (N, K, 4)
    if _suspect(boxes, aw, ah):
        check_boxes(anchors, "anchors")
    return boxes


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, limit: int | None = None) -> Tensor:
    """Indices of the boxes that non-maximum suppression keeps, best first: (N, 4), (N,) -> (K,) int64.

    In order of falling score, a box is kept unless its IoU with a kept box is above `iou_threshold`; of equal scores
    the earlier row comes first. With `limit`, at most the best `limit` boxes are kept.
    Raises TypeError or ValueError for invalid boxes, a missing or NaN score, different devices, an `iou_threshold`
    outside [0, 1] or a negative `limit`. Source: section 3.3.
    """
    check_boxes(boxes)
    return batched_nms(boxes, scores, boxes.new_zeros(len(boxes), dtype=torch.int64), iou_threshold, limit)


def batched_nms(
    boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float, limit: int | None = None
) -> Tensor:
    """`nms` within each group, such as a class or a level: (N, 4), (N,), (N,) -> (K,) int64.

    What all groups keep is returned best first, at most `limit` boxes. On a GPU torchvision's kernel does the work, in
    double precision: an IoU of exactly the threshold may count as above it on one device and not on the other.
    Raises what `nms` raises, and TypeError where `groups` are not integers.
    """
    _check_nms(boxes, scores, groups, iou_threshold, limit)
    if boxes.device.type != "cpu" and len(boxes):  # each step of the loop below would wait for a GPU
        far = 2 * boxes.detach().double().abs().max() + 1  # groups lie so far apart; in double that rounds nothing away
        return ops.nms(boxes.detach() + groups[:, None] * far, scores.detach().double(), iou_threshold)[:limit]
    order = scores.detach().argsort(descending=True, stable=True)  # (N,) best first
    by_group = order[groups[order].argsort(stable=True)]  # (N,) group by group, best first in each
    sizes = groups[by_group].unique_consecutive(return_counts=True)[1]  # (G,)
    kept = by_group[_kept_rows(boxes.detach()[by_group], sizes, iou_threshold, limit)]  # (K,)
    is_kept = torch.zeros_like(order, dtype=torch.bool).index_fill(0, kept, True)  # (N,)
    return order[is_kept[order]][:limit]


def nms_suppressors(boxes: Tensor, keep: Tensor, iou_threshold: float, groups: Tensor | None = None) -> Tensor:
    """For every box the kept box that suppressed it, or -1 where none did: (N, 4), (K,) -> (N,) int64.

    `keep` is what `nms` returned, or `batched_nms` with these `groups`. Kept boxes have -1, and so have boxes that only
    `limit` left out. This is a second pass over the boxes, needed only to show what happened.
    """
    boxes, none = full_precision(boxes.detach()), keep.new_full((1,), -1)
    above = _largest_not_above(iou_threshold, boxes.dtype)
    suppressors = [none[:0]]
    for rows in torch.arange(len(boxes), device=boxes.device).split(1 + NMS_PAIRS // (len(keep) + 1)):
        overlaps = (pairwise_iou(boxes[keep], boxes[rows]) > above) & (keep[:, None] != rows)  # (K, B)
        if groups is not None:
            overlaps &= groups[keep, None] == groups[rows]
        overlaps = torch.cat((overlaps, overlaps.new_ones(1, len(rows))))  # (K + 1, B) the last is none, and true
        suppressors.append(torch.cat((keep, none))[overlaps.int().argmax(dim=0)])  # (B,) the best that overlaps
    return torch.cat(suppressors)


def check_boxes(boxes: Tensor, name: str = "boxes", with_area: bool = False) -> None:
    """Return if `boxes` is an (N, 4) float tensor of finite x1 <= x2, y1 <= y2; N may be 0.

    With `with_area` the sides must be longer than 0. Raises TypeError (no tensor, no floats) or ValueError
    (shape, NaN, corners in the wrong order) with the first offending row.
    """
    check_form(boxes, name)
    if boxes.device.type != "cpu" or len(boxes) == 0:
        return
    x1, y1, x2, y2 = boxes.detach().unbind(1)
    width, height = x2 - x1, y2 - y1
    shortest, longest = torch.minimum(width, height).amin(), torch.maximum(width, height).amax()  # NaN if a side is
    if not (shortest > 0 if with_area else shortest >= 0) or not longest < math.inf:
        raise ValueError(_what_is_wrong(boxes.detach(), name))


def check_form(boxes: Tensor, name: str) -> None:
    """Return if `boxes` is an (N, 4) float tensor, whatever its values; raises TypeError or ValueError."""
    if not isinstance(boxes, Tensor):
        raise TypeError(f"{name} must be a tensor of shape (N, 4), got {type(boxes).__name__}; see torch.as_tensor")
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{name} must have shape (N, 4), rows of x1, y1, x2, y2; got {tuple(boxes.shape)}")
    if not boxes.is_floating_point():
        raise TypeError(f"{name} must be floats, got {boxes.dtype}: pixels are continuous here; call .float()")


def check_same_device(**tensors: Tensor) -> None:
    """Return if all `tensors` lie on one device; raises ValueError that names each tensor's device."""
    if len({tensor.device for tensor in tensors.values()}) > 1:
        places = ", ".join(f"{name} on {tensor.device}" for name, tensor in tensors.items())
        raise ValueError(f"tensors lie on different devices: {places}; move them together with .to(device)")


def thin_out(
    boxes: Tensor, scores: Tensor, groups: Tensor, valid: Tensor, iou_threshold: float, limit: int, detail: bool = False
) -> tuple[Tensor, Tensor | None]:
    """NMS as both stages use it: of K candidates the `valid` ones, (K,) bool, within their group, at most `limit`.

    Returns the indices of what is kept, best first, (P,) int64; and with `detail` what suppressed each candidate,
    (K,) int64 with -1 for none, else None. Raises what `batched_nms` raises.
    """
    rows = valid.nonzero().squeeze(1)
    kept = rows[batched_nms(boxes[rows], scores[rows], groups[rows], iou_threshold, limit)]  # (P,)
    suppressed_by = nms_suppressors(boxes, kept, iou_threshold, groups).where(valid, -1) if detail else None
    return kept, suppressed_by


def _kept_rows(boxes: Tensor, sizes: Tensor, iou_threshold: float, limit: int | None) -> Tensor:
    """Rows that NMS keeps, of boxes that lie group by group and best first in each: (N, 4), (G,) -> (K,).

    All groups advance together. A step takes the next block of each group, drops the boxes that a kept box suppresses,
    and runs NMS among the rest. The smaller the share that has been kept, the larger the block.
    """
    nobody = len(boxes)  # row of an added box without area, which overlaps none: padding for the shorter groups
    boxes = torch.cat((full_precision(boxes), full_precision(boxes).new_zeros(1, 4)))
    above = _largest_not_above(iou_threshold, boxes.dtype)
    end = sizes.cumsum(0).unsqueeze(1)  # (G, 1) one row after each group's last
    start = end - sizes.unsqueeze(1)  # (G, 1)
    kept, done, seen = end[:, :0], [end.flatten()[:0]], 0  # kept: (G, K)
    while len(start) > 0:
        block = math.isqrt(NMS_PAIRS // len(start)) + 1
        step = min(block * seen // kept.shape[1], seen, nobody - seen) if seen else min(block, nobody)
        rows = start + torch.arange(seen, seen + step, device=start.device)  # (G, step)
        rows = rows.where(rows < end, nobody)
        for some in kept.split(NMS_PAIRS // rows.numel() + 1, dim=1) if seen else ():
            rows = _pack(rows, pairwise_iou(boxes[some], boxes[rows]).amax(dim=1) <= above, nobody)  # (G, B)
        rows = _pack(rows, _survivors(pairwise_iou(boxes[rows], boxes[rows]) > above), nobody)
        kept, seen = torch.cat((kept, rows), dim=1), seen + step  # (G, K)
        open_ = (start + seen < end).squeeze(1)
        if limit is not None:
            open_ &= (kept < nobody).sum(dim=1) < limit
        done.append(kept[~open_].flatten())
        start, end, kept = start[open_], end[open_], kept[open_]
    rows = torch.cat(done)
    return rows[rows < nobody]


def _pack(rows: Tensor, stays: Tensor, nobody: int) -> Tensor:
    """The rows of each group that stay, in order, padded with `nobody`: (G, B) -> (G, B')."""
    if len(rows) == 1:
        return rows[:, stays[0]]
    rows = rows.where(stays, nobody).sort(dim=1).values
    return rows[:, (rows < nobody).any(dim=0)]


def _survivors(overlaps: Tensor) -> Tensor:
    """Which boxes of a block survive, best first, if each survivor suppresses those it overlaps: (G, B, B) -> (G, B).

    A fixed-point iteration: the best box survives, and every round decides at least one more. Few rounds are usual.
    """
    suppresses = overlaps.triu(diagonal=1).float()  # (G, B, B) row suppresses column
    survives, before = suppresses.new_ones(suppresses.shape[:2]), None
    while before is None or not torch.equal(survives, before):
        before, survives = survives, ((survives.unsqueeze(1) @ suppresses).squeeze(1) == 0).float()  # (G, B)
    return survives.bool()


def _largest_not_above(value: float, dtype: torch.dtype) -> float:
    """The largest number of `dtype` that is not above `value`: an IoU exceeds it exactly where it exceeds `value`.

    The float32 nearest to 0.3 is above 0.3, and equals an IoU of 3 / 10 in float32.
    """
    rounded = torch.tensor(value, dtype=dtype)
    return (rounded if rounded.item() <= value else rounded.nextafter(rounded.new_tensor(-1.0))).item()


def _planes(boxes: Tensor) -> tuple[Tensor, ...]:
    """The four coordinates, each on its own and contiguous: (..., 4) -> 4 x (...)."""
    return full_precision(boxes).movedim(-1, 0).contiguous().unbind(0)


def _from_planes(*planes: Tensor) -> Tensor:
    """4 x (...) -> (..., 4), stored plane by plane, which the next operator reads faster than rows."""
    return torch.stack(planes).movedim(0, -1)


def _center_size(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x1, y1, x2, y2 = boxes.unbind(-1)
    width, height = x2 - x1, y2 - y1
    return x1 + 0.5 * width, y1 + 0.5 * height, width, height


def full_precision(values: Tensor) -> Tensor:
    """Half-precision values as float32: in float16 the area of a 256 x 256 box overflows."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def _check_deltas(deltas: Tensor, anchors: Tensor) -> None:
    if deltas.shape[:1] != anchors.shape[:1] or deltas.ndim not in (2, 3) or deltas.shape[-1] != 4:
        raise ValueError(
            f"deltas must be (N, 4) or (N, K, 4) with one row per anchor, got {tuple(deltas.shape)} "
            f"for {len(anchors)} anchors"
        )
    if not deltas.is_floating_point():
        raise TypeError(f"deltas must be floats, got {deltas.dtype}; call .float()")
    check_same_device(deltas=deltas, anchors=anchors)
    if deltas.device.type == "cpu" and not _all_finite(deltas):
        raise DivergedError("deltas hold NaN or infinity; if a network made them, its training has diverged")


def _check_nms(boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float, limit: int | None) -> None:
    check_boxes(boxes)
    for name, values in (("scores", scores), ("groups", groups)):
        if values.shape != boxes.shape[:1]:
            raise ValueError(f"{name} must hold one number per box, ({len(boxes)},), got {tuple(values.shape)}")
    if groups.is_floating_point() or groups.is_complex():
        raise TypeError(f"groups must be integers, got {groups.dtype}")
    check_same_device(boxes=boxes, scores=scores, groups=groups)
    if not 0 <= iou_threshold <= 1:
        raise ValueError(f"iou_threshold must lie in [0, 1], as IoU does, got {iou_threshold}")
    if limit is not None and limit < 0:
        raise ValueError(f"limit must be None or a count, got {limit}")
    if scores.device.type == "cpu" and scores.isnan().any():
        raise ValueError(f"scores[{_first(scores.isnan())}] is NaN, so the boxes cannot be sorted by score")


def _suspect(made: Tensor, *sides: Tensor) -> bool:
    """Whether a result computed from boxes with these sides calls for checking every box (on the CPU only)."""
    if made.device.type != "cpu" or made.numel() == 0:
        return False
    return not _all_finite(made) or any(side.amin() < 0 for side in sides)


def _all_finite(values: Tensor) -> bool:
    """Whether no number is NaN or infinite."""
    values = values.detach()
    # The sum is fastest, but may overflow; then the largest number decides.
    return math.isfinite(values.sum()) or math.isfinite(values.abs().amax())


def _what_is_wrong(boxes: Tensor, name: str) -> str:
    sides = boxes[:, 2:] - boxes[:, :2]
    broken = ~boxes.isfinite().all(dim=1)
    if broken.any():
        return f"{name}[{_first(broken)}] is {_show(boxes, broken)}: coordinates must be finite numbers"
    inverted = (sides < 0).any(dim=1)
    if inverted.any():
        return (
            f"{name}[{_first(inverted)}] is {_show(boxes, inverted)}, with x2 < x1 or y2 < y1: boxes are "
            "x1, y1, x2, y2; if yours are x, y, width, height, use torchvision.ops.box_convert(boxes, 'xywh', 'xyxy')"
        )
    flat = (sides <= 0).any(dim=1)
    return f"{name}[{_first(flat)}] is {_show(boxes, flat)}, which has no area; drop it with remove_small_boxes first"


def _first(rows: Tensor) -> int:
    return int(rows.nonzero()[0])


def _show(boxes: Tensor, rows: Tensor) -> str:
    return "(" + ", ".join(f"{value:g}" for value in boxes[_first(rows)].tolist()) + ")"
