"""Answers to `roi_max_pool` and `bilinear`, as learners would write them."""

import math

import numpy as np
import torch
import torch.nn.functional as F
import torchvision

from frcnn_edu.roi_pool import roi_align, roi_pool

# roi_max_pool: right answers


def pool_adaptively(feature, roi, output_size):
    x1, y1, x2, y2 = roi.round().int().tolist()
    return F.adaptive_max_pool2d(feature[:, y1 : y2 + 1, x1 : x2 + 1], output_size)


def pool_by_loops(feature, roi, output_size):
    x1, y1, x2, y2 = (round(v) for v in roi.tolist())
    w, h = x2 - x1 + 1, y2 - y1 + 1
    out = torch.zeros(feature.shape[0], output_size, output_size)
    for i in range(output_size):
        for j in range(output_size):
            top, bottom = y1 + i * h // output_size, y1 + -(-(i + 1) * h // output_size)
            left, right = x1 + j * w // output_size, x1 + -(-(j + 1) * w // output_size)
            out[:, i, j] = feature[:, top:bottom, left:right].amax(dim=(1, 2))
    return out


def pool_in_numpy(feature, roi, output_size):
    values = np.asarray(feature)
    x1, y1, x2, y2 = np.rint(np.asarray(roi)).astype(int)
    ys = np.linspace(0, y2 - y1 + 1, output_size + 1)
    xs = np.linspace(0, x2 - x1 + 1, output_size + 1)
    cut = lambda edges, k: (int(np.floor(edges[k] + 1e-9)), int(np.ceil(edges[k + 1] - 1e-9)))  # noqa: E731
    out = np.empty((len(values), output_size, output_size))
    for i in range(output_size):
        for j in range(output_size):
            (a, b), (c, d) = cut(ys, i), cut(xs, j)
            out[:, i, j] = values[:, y1 + a : y1 + b, x1 + c : x1 + d].max(axis=(1, 2))
    return out


def pool_as_lists(feature, roi, output_size):
    x1, y1, x2, y2 = (int(v + 0.5) for v in roi)
    h, w = (y2 - y1 + 1) / output_size, (x2 - x1 + 1) / output_size
    return [
        [
            [
                max(
                    channel[y][x].item()
                    for y in range(y1 + math.floor(i * h), y1 + math.ceil((i + 1) * h))
                    for x in range(x1 + math.floor(j * w), x1 + math.ceil((j + 1) * w))
                )
                for j in range(output_size)
            ]
            for i in range(output_size)
        ]
        for channel in feature
    ]


def pool_with_the_package(feature, roi, output_size):
    return roi_pool(feature[None], [roi[None]], output_size)[0]


def pool_with_torchvision(feature, roi, output_size):
    return torchvision.ops.roi_pool(feature[None], [roi[None]], output_size)[0]


# roi_max_pool: wrong answers, each with words that the diagnosis must contain


def outward(p, size, bins):
    return p * size // bins, -(-(p + 1) * size // bins)


def pool(
    read=lambda roi: [round(v) for v in roi.tolist()],
    one=1,
    edges=outward,
    reduce=lambda cells: cells.amax(dim=(1, 2)),
    finish=lambda out: out,
):
    """A learner's function that reads the region so, cuts it so, and takes this of each bin."""

    def written(feature, roi, output_size):
        x1, y1, x2, y2 = read(roi)
        out = torch.zeros(feature.shape[0], output_size, output_size)
        for i in range(output_size):
            for j in range(output_size):
                top, bottom = edges(i, y2 - y1 + one, output_size)
                left, right = edges(j, x2 - x1 + one, output_size)
                out[:, i, j] = reduce(feature[:, y1 + top : y1 + bottom, x1 + left : x1 + right])
        return finish(out)

    return written


def pool_from_zero(feature, roi, output_size):
    return pool_adaptively(feature, roi, output_size).clamp(min=0)


def pool_whole_map(feature, roi, output_size):
    return F.adaptive_max_pool2d(feature, output_size)


def pool_with_x_first(feature, roi, output_size):
    x1, y1, x2, y2 = roi.round().int().tolist()
    return F.adaptive_max_pool2d(feature[:, x1 : x2 + 1, y1 : y2 + 1], output_size)


def pool_by_strides(feature, roi, output_size):
    x1, y1, x2, y2 = roi.round().int().tolist()
    cells = feature[:, y1 : y2 + 1, x1 : x2 + 1]
    return F.max_pool2d(cells, (cells.shape[1] // output_size, cells.shape[2] // output_size))


def pool_of_scaled(feature, roi, output_size):
    return 1.01 * pool_adaptively(feature, roi, output_size)


def pool_in_place(feature, roi, output_size):
    roi.round_()
    return pool_adaptively(feature, roi, output_size)


def pool_missing_a_row(feature, roi, output_size):
    x1, y1, x2, y2 = roi.round().int().tolist()
    return F.adaptive_max_pool2d(feature[:, y1 : max(y2, y1 + 1), x1 : x2 + 1], output_size)


WRONG_POOL = {
    "rounded down": (pool(read=lambda roi: roi.int().tolist()), "rounded down"),
    "rounded up": (pool(read=lambda roi: roi.ceil().int().tolist()), "rounded up"),
    "outwards": (
        pool(read=lambda roi: roi[:2].floor().int().tolist() + roi[2:].ceil().int().tolist()),
        "widened to whole cells",
    ),
    "exclusive end": (pool(one=0), "end is inclusive"),
    "no shared cells": (pool(edges=lambda p, n, bins: (p * n // bins, (p + 1) * n // bins)), "bins may share"),
    "rounded bins": (
        pool(edges=lambda p, n, bins: (round(p * n / bins), round((p + 1) * n / bins))),
        "rounded to the nearest cell",
    ),
    "whole steps": (
        pool(edges=lambda p, n, bins: (p * (n // bins), (p + 1) * (n // bins))),
        "leave the last cells out",
    ),
    "rest in the last": (
        pool(edges=lambda p, n, bins: (p * (n // bins), n if p == bins - 1 else (p + 1) * (n // bins))),
        "takes the rest",
    ),
    "x first": (pool_with_x_first, "x and y are exchanged"),
    "transposed": (pool(finish=lambda out: out.transpose(1, 2)), "Rows and columns of the output"),
    "width and height": (
        pool(read=lambda roi: (lambda x, y, w, h: (round(x), round(y), round(x + w), round(y + h)))(*roi.tolist())),
        "taken for width and height",
    ),
    "mean": (pool(reduce=lambda cells: cells.mean(dim=(1, 2))), "averaged"),
    "from zero": (pool_from_zero, "start the maximum at -inf"),
    "minimum": (pool(reduce=lambda cells: cells.amin(dim=(1, 2))), "smallest value"),
    "over channels": (pool(reduce=lambda cells: cells.max()), "over the channels, too"),
    "first cell": (pool(reduce=lambda cells: cells[:, 0, 0]), "its first cell"),
    "whole map": (pool_whole_map, "whole map"),
    "in pixels": (pool(read=lambda roi: (roi / 16).round().int().tolist()), "in cells already"),
    "two slips": (pool(one=0, reduce=lambda cells: cells.mean(dim=(1, 2))), "averaged"),
    "strides": (pool_by_strides, "whatever the size of the region"),
    "scaled": (pool_of_scaled, "no value of the map"),
    "one row missing": (pool_missing_a_row, "It reaches too far"),
    "one channel": (
        lambda feature, roi, output_size: pool_adaptively(feature, roi, output_size)[0],
        "Pool every channel",
    ),
    "channels last": (
        lambda feature, roi, output_size: pool_adaptively(feature, roi, output_size).permute(1, 2, 0),
        "Channels come first",
    ),
    "batch": (lambda feature, roi, output_size: pool_adaptively(feature, roi, output_size)[None], "take [0]"),
    "flat": (lambda feature, roi, output_size: pool_adaptively(feature, roi, output_size).flatten(1), ".reshape("),
    "in place": (pool_in_place, "`roi` in place"),
    "nothing": (lambda feature, roi, output_size: None, "returns None"),
}

# bilinear: right answers


def bilinear_by_hand(feature, y, x):
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, feature.shape[1] - 1), min(x0 + 1, feature.shape[2] - 1)
    dy, dx = y - y0, x - x0
    above = (1 - dx) * feature[:, y0, x0] + dx * feature[:, y0, x1]
    below = (1 - dx) * feature[:, y1, x0] + dx * feature[:, y1, x1]
    return (1 - dy) * above + dy * below


def bilinear_by_matrices(feature, y, x):
    rows = (1 - (torch.arange(feature.shape[1]) - y).abs()).clamp(min=0)
    columns = (1 - (torch.arange(feature.shape[2]) - x).abs()).clamp(min=0)
    return torch.einsum("chw,h,w->c", feature, rows, columns)


def bilinear_by_grid_sample(feature, y, x):
    height, width = feature.shape[1:]
    point = torch.tensor([[[[2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1]]]])
    return F.grid_sample(feature[None], point, align_corners=True).flatten()


def bilinear_in_numpy(feature, y, x):
    f = np.pad(np.asarray(feature), ((0, 0), (0, 1), (0, 1)))
    i, j = math.floor(y), math.floor(x)
    a, b = y - i, x - j
    weights = np.array([[(1 - a) * (1 - b), (1 - a) * b], [a * (1 - b), a * b]])
    return (f[:, i : i + 2, j : j + 2] * weights).sum(axis=(1, 2))


def bilinear_as_list(feature, y, x):
    return [bilinear_by_hand(channel[None], y, x).item() for channel in feature]


def bilinear_with_the_package(feature, y, x):
    """A region of one cell whose only sample is its middle."""
    region = torch.tensor([[x - 0.5, y - 0.5, x + 0.5, y + 0.5]])
    return roi_align(feature[None], [region], 1, sampling_ratio=1).flatten()


# bilinear: wrong answers


def bilinear(
    weights=lambda dy, dx: ((1 - dy) * (1 - dx), (1 - dy) * dx, dy * (1 - dx), dy * dx),
    move=lambda y, x: (y, x),
    finish=lambda values: values,
):
    def written(feature, y, x):
        y, x = move(y, x)
        height, width = feature.shape[1:]
        y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
        y0, x0 = int(y), int(x)
        y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
        a, b, c, d = weights(y - y0, x - x0)
        corners = feature[:, y0, x0], feature[:, y0, x1], feature[:, y1, x0], feature[:, y1, x1]
        return finish(a * corners[0] + b * corners[1] + c * corners[2] + d * corners[3])

    return written


def bilinear_floor_and_ceil(feature, y, x):
    y0, y1, x0, x1 = math.floor(y), math.ceil(y), math.floor(x), math.ceil(x)
    return (
        feature[:, y0, x0] * (y1 - y) * (x1 - x)
        + feature[:, y0, x1] * (y1 - y) * (x - x0)
        + feature[:, y1, x0] * (y - y0) * (x1 - x)
        + feature[:, y1, x1] * (y - y0) * (x - x0)
    )


def bilinear_off_the_map(feature, y, x):
    y0, x0 = int(y), int(x)
    dy, dx = y - y0, x - x0
    above = (1 - dx) * feature[:, y0, x0] + dx * feature[:, y0, x0 + 1]
    below = (1 - dx) * feature[:, y0 + 1, x0] + dx * feature[:, y0 + 1, x0 + 1]
    return (1 - dy) * above + dy * below


def bilinear_nearest(feature, y, x):
    return feature[:, round(y), round(x)]


def bilinear_clamped_early(feature, y, x):
    y0, x0 = min(int(y), feature.shape[1] - 2), min(int(x), feature.shape[2] - 2)
    dy, dx = y % 1, x % 1
    above = (1 - dx) * feature[:, y0, x0] + dx * feature[:, y0, x0 + 1]
    below = (1 - dx) * feature[:, y0 + 1, x0] + dx * feature[:, y0 + 1, x0 + 1]
    return (1 - dy) * above + dy * below


def bilinear_without_channels(feature, y, x):
    return feature[int(y) % len(feature), int(x)]


def bilinear_in_place(feature, y, x):
    feature *= 2
    return bilinear_by_hand(feature, y, x) / 2


WRONG_BILINEAR = {
    "weights exchanged": (
        bilinear(weights=lambda dy, dx: (dy * dx, dy * (1 - dx), (1 - dy) * dx, (1 - dy) * (1 - dx))),
        "The weights are exchanged",
    ),
    "x weights exchanged": (
        bilinear(weights=lambda dy, dx: ((1 - dy) * dx, (1 - dy) * (1 - dx), dy * dx, dy * (1 - dx))),
        "weights in x are exchanged",
    ),
    "y weights exchanged": (
        bilinear(weights=lambda dy, dx: (dy * (1 - dx), dy * dx, (1 - dy) * (1 - dx), (1 - dy) * dx)),
        "weights in y are exchanged",
    ),
    "diagonal": (
        bilinear(weights=lambda dy, dx: ((1 - dy) * (1 - dx), dy * (1 - dx), (1 - dy) * dx, dy * dx)),
        "Two of the four weights",
    ),
    "mean": (bilinear(weights=lambda dy, dx: (0.25,) * 4), "averaged"),
    "nearest": (bilinear_nearest, "reads the nearest cell"),
    "first": (bilinear(weights=lambda dy, dx: (1, 0, 0, 0)), "above and to the left"),
    "x only": (bilinear(weights=lambda dy, dx: (1 - dx, dx, 0, 0)), "only in x"),
    "y only": (bilinear(weights=lambda dy, dx: (1 - dy, 0, dy, 0)), "only in y"),
    "x and y exchanged": (bilinear(move=lambda y, x: (x, y)), "x and y are exchanged"),
    "half a cell": (bilinear(move=lambda y, x: (y - 0.5, x - 0.5)), "half a cell"),
    "half a cell on": (bilinear(move=lambda y, x: (y + 0.5, x + 0.5)), "half a cell"),
    "floor and ceil": (bilinear_floor_and_ceil, "floor and ceil are the same cell"),
    "clamped early": (bilinear_clamped_early, "one cell too early"),
    "off the map": (bilinear_off_the_map, "called with a point on the last row"),
    "weights of no sum": (bilinear(weights=lambda dy, dx: (1, dx, dy, dx * dy)), "add up to 1"),
    "a little off": (bilinear(weights=lambda dy, dx: (1 - dx * dy, 0, 0, dx * dy)), "it should be"),
    "cell not itself": (bilinear(finish=lambda values: 0.9 * values), "At y = "),
    "summed": (bilinear(finish=lambda values: values.sum()), "for every channel, not one for all"),
    "kept dims": (bilinear(finish=lambda values: values[:, None, None]), ".reshape(-1)"),
    "channels last": (bilinear_without_channels, "feature[:, i, j]"),
    "integers": (bilinear(finish=lambda values: values.int()), "int32"),
    "in place": (bilinear_in_place, "`feature` in place"),
    "nothing": (lambda feature, y, x: None, "returns None"),
    "two numbers": (lambda feature, point: point, "def f(feature, y, x)"),
}

RIGHT = {
    "roi_max_pool": (
        pool_adaptively,
        pool_by_loops,
        pool_in_numpy,
        pool_as_lists,
        pool_with_the_package,
        pool_with_torchvision,
    ),
    "bilinear": (
        bilinear_by_hand,
        bilinear_by_matrices,
        bilinear_by_grid_sample,
        bilinear_in_numpy,
        bilinear_as_list,
        bilinear_with_the_package,
    ),
}
WRONG = {"roi_max_pool": WRONG_POOL, "bilinear": WRONG_BILINEAR}
