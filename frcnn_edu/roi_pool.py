"""RoI pooling: features of a region of any size as a small grid of fixed size.

Fast R-CNN (section 2.1), and Faster R-CNN with it, rounds a region to whole cells, divides it into P x P bins and takes
the maximum of each: `roi_pool`. Mask R-CNN (section 3) does not round, samples each bin bilinearly at a few points and
averages: `roi_align`. `MultiScaleRoIPool` does either on the levels of a pyramid.

Both equal torchvision's compiled operators, in plain PyTorch that autograd differentiates. `roi_pool` looks its bins up
among the maxima of all windows of a size, which `max_pool2d` gives; for a gradient it looks up the cells that hold them
and gathers those, and that takes longer than torchvision's loop. `roi_align` is an embedding bag, a weighted sum of
table rows; the table holds the cells of all levels. Both work on slices of the channels that are small enough for a
core's cache, which makes them fast. As in torchvision, no gradient reaches the regions.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache, reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frcnn_edu.boxes import box_area, check_boxes, check_same_device, full_precision

POOL_CHANNELS_AT_ONCE, ALIGN_CHANNELS_AT_ONCE = 64, 256
"""Block sizes, chosen for speed; results do not depend on them."""
CANONICAL_SIZE, CANONICAL_LEVEL = 224, 4
"""A region of 224 x 224, ImageNet's image size, is pooled from level 4, stride 16 (FPN, equation 1)."""
LEVEL_TOLERANCE = 1e-6
"""torchvision's tolerance: rounding of the area must not put a region of exactly the limit on the lower level."""

RoIs = Sequence[Tensor] | Tensor
"""Regions in pixels as torchvision takes them: a tensor (N_i, 4) for each image, or one (N, 5) of image and box."""
Size = int | tuple[int, int]
"""Of a grid: rows and columns, or one number for both."""
Maps = Mapping[str, Tensor] | Sequence[Tensor]
Windows = list[tuple[int, int, Tensor, Tensor]]


def roi_pool(features: Tensor, rois: RoIs, output_size: Size, spatial_scale: float = 1.0) -> Tensor:
    """The maximum of every bin of every region: (B, C, H, W), N regions -> (N, C, P, P), in the order of the regions.

    For regions see `RoIs`; `spatial_scale` is in cells per pixel. Edges are rounded to whole cells, halves away from
    zero; the last cell belongs to the region, and neighbouring bins share cells where the region does not divide
    evenly. A bin without a cell on the map gives 0. Source: Fast R-CNN, section 2.1.
    Raises TypeError or ValueError where features, regions and sizes do not match.
    """
    boxes, image, (rows, columns) = _check_rois(features, rois, output_size)
    top, bottom = _whole_cells(boxes[:, 1], boxes[:, 3], spatial_scale, rows, features.shape[2])  # (N, P) each
    left, right = _whole_cells(boxes[:, 0], boxes[:, 2], spatial_scale, columns, features.shape[3])  # (N, P) each
    edges = (image[:, None, None], top[:, :, None], bottom[:, :, None], left[:, None, :], right[:, None, :])
    bins = torch.stack([edge.flatten() for edge in torch.broadcast_tensors(*edges)])  # (5, M), M = N * P * P bins
    windows = _windows(bins, *features.shape[2:])
    learns = features.requires_grad and torch.is_grad_enabled()

    def pooled(channels: Tensor) -> Tensor:  # (B, c, H, W) -> (N, c, P * P)
        found = _maxima(channels.transpose(0, 1).flatten(1, 2), windows, bins.shape[1], cells=learns).mT  # (c, M)
        if learns:
            table = F.pad(channels.transpose(0, 1).flatten(1), (0, 1))  # (c, B * H * W + 1): 0 for empty bins
            found = table.gather(1, found.contiguous())
        return found.unflatten(1, (len(boxes), rows * columns)).transpose(0, 1)

    return _by_slices(pooled, [features], POOL_CHANNELS_AT_ONCE, len(boxes), (rows, columns))


def roi_align(
    features: Tensor,
    rois: RoIs,
    output_size: Size,
    spatial_scale: float = 1.0,
    sampling_ratio: int = 2,
    aligned: bool = False,
) -> Tensor:
    """The mean of every bin of every region at points between cells: (B, C, H, W), N regions -> (N, C, P, P).

    For regions see `RoIs`; `spatial_scale` is in cells per pixel. A bin is sampled bilinearly at `sampling_ratio`
    points in each direction; points more than a cell outside the map count as 0. With `aligned`, the centre of cell i
    is at i + 0.5; without, as in torchvision's default and the first implementations, at i, and regions span at least
    one cell. Source: Mask R-CNN, section 3. Raises TypeError or ValueError where the arguments do not match.
    """
    if sampling_ratio < 1:
        raise ValueError(f"sampling_ratio must be at least 1 point per bin and direction, got {sampling_ratio}")
    boxes, image, bins = _check_rois(features, rois, output_size)
    boxes = boxes * spatial_scale - (0.5 if aligned else 0.0)  # (N, 4) in cells
    return _align([features], (torch.zeros_like(image), image), boxes, bins, sampling_ratio, aligned)


def pyramid_level(boxes: Tensor, lowest: int, highest: int) -> Tensor:
    """The pyramid level, `lowest` to `highest`, that each region is pooled from: (N, 4) in pixels -> (N,) int64.

    Half the size is one level finer; level k has stride 2**k. Source: Feature Pyramid Networks, equation 1.
    """
    relative_size = box_area(boxes).sqrt() / CANONICAL_SIZE  # (N,)
    level = (CANONICAL_LEVEL + relative_size.log2() + LEVEL_TOLERANCE).floor()  # -infinity for a box without area
    return level.clamp(lowest, highest).long()


class MultiScaleRoIPool(nn.Module):
    """Pools each region from the level of a feature pyramid that matches its size; one map is a pyramid of one level.

    `operator` is "align" (with `sampling_ratio` points in each direction) or "pool". `featmap_names` selects maps of a
    mapping; by default all but "pool", which only the RPN uses. Raises ValueError for another operator.
    """

    def __init__(
        self,
        output_size: Size,
        operator: str = "align",
        sampling_ratio: int = 2,
        featmap_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        if operator not in ("align", "pool"):
            raise ValueError(f'operator must be "align" or "pool", got {operator!r}')
        self.output_size, self.operator, self.sampling_ratio = output_size, operator, sampling_ratio
        self.featmap_names = featmap_names

    def forward(self, features: Maps, proposals: Sequence[Tensor], image_sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Maps (B, C, H_l, W_l), finest first, and B x (N_i, 4) in pixels -> (N, C, P, P), image after image.

        `image_sizes` are (height, width); strides are powers of two, derived from the largest image and the maps.
        Raises ValueError where strides do not double from map to map.
        """
        maps = self._chosen(features)
        height = max(size[0] for size in image_sizes)
        levels = [round(math.log2(height / one.shape[-2])) for one in maps]
        if levels != list(range(levels[0], levels[0] + len(maps))):
            raise ValueError(f"strides must double from map to map, got {[2**level for level in levels]}")
        rois = _in_one_tensor(proposals)  # (N, 5)
        level_of = pyramid_level(rois[:, 1:], levels[0], levels[-1])  # (N,)
        if self.operator == "align":
            boxes, image, bins = _check_rois(maps[0], rois, self.output_size)
            boxes = boxes * torch.exp2(-level_of).to(boxes).unsqueeze(1)  # (N, 4) in cells
            return _align(maps, (level_of - levels[0], image), boxes, bins, self.sampling_ratio, aligned=False)
        if len(maps) == 1:
            return roi_pool(maps[0], rois, self.output_size, 2.0 ** -levels[0])
        order = [(level_of == level).nonzero().squeeze(1) for level in levels]  # (n,) each
        pooled = [roi_pool(maps[i], rois[rows], self.output_size, 2.0 ** -levels[i]) for i, rows in enumerate(order)]
        return torch.cat(pooled).index_select(0, torch.cat(order).argsort())

    def _chosen(self, features: Maps) -> list[Tensor]:
        if isinstance(features, Mapping):
            features = [features[name] for name in self.featmap_names or features if name != "pool"]
        return list(features)


def _whole_cells(low: Tensor, high: Tensor, scale: float, bins: int, size: int) -> tuple[Tensor, Tensor]:
    """First cell of each bin and the cell after its last, along one axis: (N,), (N,) in pixels -> (N, P), (N, P)."""
    first, last = _round_half_away(low * scale), _round_half_away(high * scale)  # (N,) each
    bin_size = ((last - first + 1).clamp(min=1) / bins).unsqueeze(1)  # (N, 1)
    i = torch.arange(bins, dtype=low.dtype, device=low.device)  # (P,)
    start = (i * bin_size).floor() + first.unsqueeze(1)  # (N, P)
    end = ((i + 1) * bin_size).ceil() + first.unsqueeze(1)  # (N, P)
    return start.clamp(0, size).long(), end.clamp(0, size).long()


def _round_half_away(x: Tensor) -> Tensor:
    """Rounding as in C. `torch.round` rounds halves to even: an edge at 8 px on stride 16 would move a cell."""
    whole = x.trunc()
    return whole + (2 * (x - whole)).trunc()


def _windows(bins: Tensor, height: int, width: int) -> Windows:
    """Windows, with sides that are powers of two, that together cover each of M bins: one, two or four in its corners.

    `bins` are the image, top, bottom, left and right of each, (5, M). For each size of a bin that is not empty the
    result has the windows' height and width, the bins of that size, (m,), and where their k windows are among all
    windows of that size on the images one below another, (k, m).
    """
    image, top, bottom, left, right = bins
    size = (bottom - top).clamp(min=0) * (width + 1) + (right - left).clamp(min=0)  # (M,)
    by_size = size.argsort()
    sizes, counts = torch.stack(size[by_size].unique_consecutive(return_counts=True)).tolist()
    windows: Windows = []
    for one_size, some in zip(sizes, by_size.split(counts), strict=True):
        tall, wide = divmod(one_size, width + 1)
        if tall and wide:
            h, w = 1 << tall.bit_length() - 1, 1 << wide.bit_length() - 1  # the largest powers of two that fit
            corner = (image[some] * height + top[some]) * (width - w + 1) + left[some]  # (m,)
            steps = [y * (width - w + 1) + x for y in {0, tall - h} for x in {0, wide - w}]
            windows.append((h, w, some, torch.stack([corner + step for step in steps])))
    return windows


def _maxima(features: Tensor, windows: Windows, bins: int, cells: bool) -> Tensor:
    """The maximum of every bin, (C, B * H, W) -> (M, C), 0 if it is empty.

    With `cells` instead the first cell, row by row, that holds it, B * H * W if it is empty.
    """
    maps, nowhere = features.detach()[None].contiguous(memory_format=torch.channels_last), features[0].numel()

    @cache
    def every_window(h: int, w: int) -> list[Tensor]:  # maxima and their cells, a row for each window
        both = F.max_pool2d(maps, (h, w), stride=1, return_indices=True)
        return [one.movedim(1, 3).flatten(0, 2) for one in both]

    empty, dtype = (nowhere, torch.int64) if cells else (0, maps.dtype)
    found = maps.new_full((bins, len(features)), empty, dtype=dtype)
    for h, w, some, places in windows:
        tables = every_window(h, w)
        if len(places) == 1 or not cells:
            best = reduce(torch.maximum, tables[cells].index_select(0, places.flatten()).unflatten(0, places.shape))
        else:
            values, firsts = (table.index_select(0, places.flatten()).unflatten(0, places.shape) for table in tables)
            best = reduce(torch.minimum, firsts.add_((values < values.amax(dim=0)) * nowhere))
        found.index_copy_(0, some, best)  # (m, C)
    return found


def _align(
    maps: Sequence[Tensor], where: Sequence[Tensor], boxes: Tensor, bins: tuple[int, int], samples: int, aligned: bool
) -> Tensor:
    """`roi_align` of boxes in cells, (N, 4); `where` are the map and the image of each, (N,), (N,).

    The cells of all maps, (B, C, H_l, W_l) each, are in one table, so regions of all levels are pooled at once.
    """
    level, image = (one.view(-1, 1, 1) for one in where)
    sizes = torch.tensor([one.shape[2:] for one in maps], device=boxes.device)  # (L, 2)
    height, width = sizes[level].unbind(-1)  # (N, 1, 1) each
    counts = len(maps[0]) * sizes.prod(dim=1)  # (L,)
    start = (counts.cumsum(0) - counts)[level] + image * height * width  # (N, 1, 1)
    y, y_weight = _points(boxes[:, 1], boxes[:, 3], bins[0], samples, height, aligned)  # (N, P, 2S) each
    x, x_weight = _points(boxes[:, 0], boxes[:, 2], bins[1], samples, width, aligned)  # (N, P, 2S) each
    bag = (len(boxes) * math.prod(bins), 4 * samples**2)  # (M, 4SS) cells for each bin
    cells = ((start + y * width)[:, :, None, :, None] + x[:, None, :, None, :]).reshape(bag)
    weights = (y_weight[:, :, None, :, None] * x_weight[:, None, :, None, :]).reshape(bag)

    def pooled(*channels: Tensor) -> Tensor:  # (B, c, H_l, W_l) each -> (N, c, P * P)
        table = torch.cat([one.movedim(1, 3).flatten(0, 2) for one in channels])  # (cells of all maps, c)
        means = F.embedding_bag(cells, table, mode="sum", per_sample_weights=weights)  # (M, c)
        return means.view(len(boxes), math.prod(bins), table.shape[1]).mT

    return _by_slices(pooled, maps, ALIGN_CHANNELS_AT_ONCE, len(boxes), bins)


def _by_slices(
    pool: Callable[..., Tensor], maps: Sequence[Tensor], channels: int, regions: int, bins: tuple[int, int]
) -> Tensor:
    """Calls `pool` with some channels of all maps at a time, and joins what it returns, (N, c, P * P), to (N, C, P, P).

    Without a gradient each part goes to its place before the next is made, which takes less memory than `torch.cat`.
    """
    slices = zip(*(full_precision(one).split(channels, dim=1) for one in maps), strict=True)
    if torch.is_grad_enabled() and any(one.requires_grad for one in maps):
        return torch.cat([pool(*some) for some in slices], dim=1).unflatten(2, bins).to(maps[0].dtype)
    joined = maps[0].new_empty(regions, maps[0].shape[1], math.prod(bins))
    for part, some in zip(joined.split(channels, dim=1), slices, strict=True):
        part.copy_(pool(*some))
    return joined.unflatten(2, bins)


def _points(low: Tensor, high: Tensor, bins: int, samples: int, size: Tensor, aligned: bool) -> tuple[Tensor, Tensor]:
    """The cells beside each sampling point along one axis, and their weights: (N,), (N,) -> (N, P, 2S), (N, P, 2S).

    `size` is the number of cells there are, (N, 1, 1).
    """
    length = high - low if aligned else (high - low).clamp(min=1)  # (N,)
    bin_size = (length / bins)[:, None, None]  # (N, 1, 1)
    i = torch.arange(bins, dtype=low.dtype, device=low.device)[:, None]  # (P, 1)
    step = torch.arange(samples, dtype=low.dtype, device=low.device) + 0.5  # (S,)
    point = low[:, None, None] + i * bin_size + step * bin_size / samples  # (N, P, S)
    counts = (point >= -1) & (point <= size)
    point = point.clamp(min=0).minimum(size - 1)
    cell = point.floor()
    weight = point - cell  # of the next cell
    cells = torch.stack((cell, (cell + 1).minimum(size - 1)), dim=-1)  # (N, P, S, 2)
    weights = torch.stack((1 - weight, weight), dim=-1) * counts.unsqueeze(-1) / samples  # (N, P, S, 2)
    return cells.long().flatten(2), weights.flatten(2)


def _check_rois(features: Tensor, rois: RoIs, output_size: Size) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """All regions (N, 4), the index of each one's image (N,), and the grid's size; raises TypeError or ValueError."""
    if features.ndim != 4 or not features.is_floating_point():
        raise ValueError(f"features must be floats (B, C, H, W), got {features.dtype} {tuple(features.shape)}")
    if isinstance(rois, Tensor) and (rois.ndim != 2 or rois.shape[1] != 5):
        raise ValueError(f"rois in one tensor must be (K, 5), an image and a box a row, got {tuple(rois.shape)}")
    if not isinstance(rois, Tensor) and len(rois) != len(features):
        raise ValueError(f"rois must be a list of {len(features)}, one tensor (N, 4) per image, got {len(rois)}")
    parts = {":, 1:": rois[:, 1:]} if isinstance(rois, Tensor) else {str(i): boxes for i, boxes in enumerate(rois)}
    for name, boxes in parts.items():
        check_boxes(boxes, f"rois[{name}]")
        check_same_device(features=features, **{f"rois[{name}]": boxes})
    size = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"output_size must be a count of bins or (rows, columns), at least 1, got {output_size}")
    joined = rois if isinstance(rois, Tensor) else _in_one_tensor(rois)
    image, boxes = joined.detach().split((1, 4), dim=1)  # (N, 1), (N, 4)
    if image.device.type == "cpu" and not ((image >= 0) & (image < len(features)) & (image == image.floor())).all():
        raise ValueError(f"rois[:, 0] must be indices of {len(features)} images, got {image.unique().tolist()}")
    return boxes.to(full_precision(features).dtype), image.squeeze(1).long(), size


def _in_one_tensor(rois: Sequence[Tensor]) -> Tensor:
    """B x (N_i, 4) -> (N, 5), the index of the image before each box."""
    return torch.cat([F.pad(full_precision(boxes), (1, 0), value=i) for i, boxes in enumerate(rois)])
