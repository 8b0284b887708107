"""Answers to `base_anchors` and `grid_anchors`, as learners would write them."""

import itertools

import numpy as np
import torch

from frcnn_edu import anchors

# base_anchors: right answers


def base_by_broadcasting(sizes, aspect_ratios):
    s = torch.tensor(sizes)[None, :]
    r = torch.tensor(aspect_ratios)[:, None].sqrt()
    w, h = (s / r).flatten(), (s * r).flatten()
    return torch.stack([-w, -h, w, h], dim=1) / 2


def base_by_loops(sizes, aspect_ratios):
    rows = []
    for r in aspect_ratios:
        for s in sizes:
            w = s / r**0.5
            h = w * r
            rows.append([-w / 2, -h / 2, w / 2, h / 2])
    return rows


def base_in_numpy(sizes, aspect_ratios):
    r, s = np.meshgrid(np.sqrt(aspect_ratios), sizes, indexing="ij")
    half = np.stack((s / r, s * r), axis=-1).reshape(-1, 2) / 2
    return np.concatenate((-half, half), axis=1)


def base_as_list_of_tensors(sizes, aspect_ratios):
    boxes = []
    for ratio, size in itertools.product(aspect_ratios, sizes):
        height = torch.sqrt(torch.tensor(size * size * ratio, requires_grad=True))
        width = size * size / height
        boxes.append(torch.stack([-width, -height, width, height]) * 0.5)
    return boxes


# base_anchors: wrong answers, each with words that the diagnosis must contain


def base(sides=lambda s, r: (s / r**0.5, s * r**0.5), row=lambda w, h: (-w / 2, -h / 2, w / 2, h / 2), by_size=False):
    """A learner's function with these sides, this row and this order of loops."""

    def written(sizes, aspect_ratios):
        pairs = (
            [(s, r) for s in sizes for r in aspect_ratios]
            if by_size
            else [(s, r) for r in aspect_ratios for s in sizes]
        )
        return torch.tensor([row(*sides(s, r)) for s, r in pairs])

    return written


def base_returning_inside_the_loop(sizes, aspect_ratios):
    rows = []
    for r in aspect_ratios:
        for s in sizes:
            w, h = s / r**0.5, s * r**0.5
            rows.append([-w / 2, -h / 2, w / 2, h / 2])
        return torch.tensor(rows)
    return None


def base_not_flattened(sizes, aspect_ratios):
    return base_by_broadcasting(sizes, aspect_ratios).reshape(len(aspect_ratios), len(sizes), 4)


def base_zipped(sizes, aspect_ratios):
    return [[-s / r**0.5 / 2, -s * r**0.5 / 2, s / r**0.5 / 2, s * r**0.5 / 2] for s, r in zip(sizes, aspect_ratios)]  # noqa: B905


def base_sorting_in_place(sizes, aspect_ratios):
    answer = base_by_loops(sizes, aspect_ratios)
    aspect_ratios.sort(reverse=True)
    return answer


def base_misspelt(sizes, aspect_ratios):
    return torch.stack([s * sqrt(r) for s in sizes for r in aspect_ratios])  # noqa: F821


def base_of_lists(sizes, aspect_ratios):
    return sizes / aspect_ratios


def base_as_generator(sizes, aspect_ratios):
    yield from base_by_loops(sizes, aspect_ratios)


def base_without_ratios(sizes):
    return sizes


def base_exiting(sizes, aspect_ratios):
    raise SystemExit


def base_raising(sizes, aspect_ratios):
    raise NotImplementedError


def base_recursing(sizes, aspect_ratios):
    return base_recursing(sizes, aspect_ratios)


def base_ragged(sizes, aspect_ratios):
    return [[1.0, 2.0], [3.0]]


def base_with_nan(sizes, aspect_ratios):
    return base_by_broadcasting(sizes, aspect_ratios) * float("nan")


WRONG_BASE = {
    "ratio upside down": (base(lambda s, r: (s * r**0.5, s / r**0.5)), "upside down"),
    "x and y exchanged": (base(row=lambda w, h: (-h / 2, -w / 2, h / 2, w / 2)), "x and y are exchanged"),
    "root forgotten": (base(lambda s, r: (s / r, s * r)), "root is missing"),
    "area grows": (base(lambda s, r: (s, s * r)), "area is not kept"),
    "area shrinks": (base(lambda s, r: (s / r, s)), "area is not kept"),
    "one side only": (base(lambda s, r: (s, s * r**0.5)), "Only the height"),
    "size for area": (base(lambda s, r: ((s / r) ** 0.5, (s * r) ** 0.5)), "taken for the area"),
    "squares": (base(lambda s, r: (s, s)), "ratios are not used"),
    "not centred": (base(row=lambda w, h: (0 * w, 0 * w, w, h)), "not centred"),
    "shifted": (base(row=lambda w, h: (-w / 2, -h / 2, w / 2 + 1, h / 2)), "not centred"),
    "full sides": (base(row=lambda w, h: (-w, -h, w, h)), "twice as wide"),
    "corners exchanged": (base(row=lambda w, h: (w / 2, h / 2, -w / 2, -h / 2)), "corners are exchanged"),
    "x before y": (base(row=lambda w, h: (-w / 2, w / 2, -h / 2, h / 2)), "x1, x2, y1, y2"),
    "size by size": (base(by_size=True), "order is size by size"),
    "in reverse": (lambda sizes, aspect_ratios: base_by_loops(sizes, aspect_ratios)[::-1], "in another order"),
    "rounded": (lambda sizes, aspect_ratios: torch.round(base_by_broadcasting(sizes, aspect_ratios)), "rounded"),
    "floored": (base(row=lambda w, h: (-w // 2, -h // 2, w // 2, h // 2)), "//"),
    "integers": (lambda sizes, aspect_ratios: base_by_broadcasting(sizes, aspect_ratios).int(), "whole numbers"),
    "half precision": (lambda sizes, aspect_ratios: base_by_broadcasting(sizes, aspect_ratios).half(), "float16"),
    "two slips": (base(lambda s, r: (s * r**0.5, s / r**0.5), lambda w, h: (-w, -h, w, h)), "And: The boxes are twice"),
    "the paper's": (
        lambda sizes, aspect_ratios: anchors.base_anchors((128, 256, 512), (0.5, 1, 2)),
        "whatever it is given",
    ),
    "larger": (lambda sizes, aspect_ratios: 1.1 * base_by_broadcasting(sizes, aspect_ratios), "area of row 0"),
    "transposed": (lambda sizes, aspect_ratios: base_by_broadcasting(sizes, aspect_ratios).T, "transpose"),
    "not flattened": (base_not_flattened, "reshape(-1, 4)"),
    "return in the loop": (base_returning_inside_the_loop, "one box per size"),
    "zipped": (base_zipped, "met only one ratio"),
    "one row": (lambda sizes, aspect_ratios: base_by_loops(sizes, aspect_ratios)[0], "single row"),
    "nothing": (lambda sizes, aspect_ratios: None, "returns None"),
    "in place": (base_sorting_in_place, "`aspect_ratios` in place"),
    "misspelt": (base_misspelt, "NameError in the line `return torch.stack("),
    "lists divided": (base_of_lists, "TypeError"),
    "generator": (base_as_generator, "generator"),
    "one argument": (base_without_ratios, "def f(sizes, aspect_ratios)"),
    "already called": (base_by_broadcasting([1.0], [1.0]), "without calling it"),
    "text": (lambda sizes, aspect_ratios: "boxes", "returns a str"),
    "comparison": (lambda sizes, aspect_ratios: base_by_broadcasting(sizes, aspect_ratios) > 0, "True and False"),
    "exit": (base_exiting, "ends the program"),
    "not implemented": (base_raising, "not written yet"),
    "endless recursion": (base_recursing, "calls itself"),
    "ragged": (base_ragged, "different lengths"),
    "nan": (base_with_nan, "NaN"),
}

# grid_anchors: right answers


def grid_by_broadcasting(base_anchors, feature_size, stride):
    rows, columns = feature_size
    y = torch.arange(rows) * stride
    x = torch.arange(columns) * stride
    shift = torch.zeros(rows, columns, 1, 4)
    shift[..., 0] = shift[..., 2] = x[None, :, None]
    shift[..., 1] = shift[..., 3] = y[:, None, None]
    return (shift + base_anchors).reshape(-1, 4)


def grid_by_loops(base_anchors, feature_size, stride):
    found = []
    for i in range(feature_size[0]):
        for j in range(feature_size[1]):
            for x1, y1, x2, y2 in base_anchors.tolist():
                found.append((x1 + j * stride, y1 + i * stride, x2 + j * stride, y2 + i * stride))
    return found


def grid_in_numpy(base_anchors, feature_size, stride):
    x, y = np.meshgrid(np.arange(feature_size[1]) * stride, np.arange(feature_size[0]) * stride)
    centers = np.stack([x.ravel(), y.ravel(), x.ravel(), y.ravel()], axis=1)
    return (centers[:, None, :] + np.asarray(base_anchors)[None]).reshape(-1, 4)


def grid_by_concatenation(base_anchors, feature_size, stride):
    cells = itertools.product(range(feature_size[0]), range(feature_size[1]))
    return torch.cat([base_anchors + torch.tensor([j, i, j, i]) * stride for i, j in cells])


# grid_anchors: wrong answers


def grid(
    shift=lambda i, j, s: (j * s, i * s, j * s, i * s), cells=lambda h, w: [(i, j) for i in range(h) for j in range(w)]
):
    """A learner's function that shifts by this, over these cells."""

    def written(base_anchors, feature_size, stride):
        return torch.cat([base_anchors + torch.tensor(shift(i, j, stride)) for i, j in cells(*feature_size)])

    return written


def grid_in_place(base_anchors, feature_size, stride):
    found = []
    for i in range(feature_size[0]):
        for j in range(feature_size[1]):
            base_anchors += torch.tensor([j, i, j, i]) * stride
            found.append(base_anchors)
    return torch.cat(found)


def grid_anchors_first(base_anchors, feature_size, stride):
    every = grid_by_broadcasting(base_anchors, feature_size, stride).reshape(-1, len(base_anchors), 4)
    return every.transpose(0, 1).reshape(-1, 4)


def grid_of_first_anchor(base_anchors, feature_size, stride):
    return grid_by_broadcasting(base_anchors[:1], feature_size, stride)


def grid_pixel_by_pixel(base_anchors, feature_size, stride):
    rows, columns = feature_size
    return grid(cells=lambda h, w: [(i, j) for i in range(h * stride) for j in range(w * stride)])(
        base_anchors, (rows, columns), stride
    )


def grid_up_to_the_border(base_anchors, feature_size, stride):
    y = torch.linspace(0, feature_size[0] * stride, feature_size[0])
    x = torch.linspace(0, feature_size[1] * stride, feature_size[1])
    return torch.cat([base_anchors + torch.stack([b, a, b, a]) for a in y for b in x])


def grid_one_shape_off(base_anchors, feature_size, stride):
    return base_anchors + torch.zeros(7, 4)


def grid_losing_a_cell(base_anchors, feature_size, stride):
    answer = grid_by_broadcasting(base_anchors, feature_size, stride)
    answer[-len(base_anchors) :] += 1
    return answer


WRONG_GRID = {
    "columns first": (grid(cells=lambda h, w: [(i, j) for j in range(w) for i in range(h)]), "down the columns"),
    "anchors first": (grid_anchors_first, "All cells of the first anchor"),
    "x and y exchanged": (grid(lambda i, j, s: (i * s, j * s, i * s, j * s)), "x and y are exchanged"),
    "middle of the cell": (grid(lambda i, j, s: tuple((k + 0.5) * s for k in (j, i, j, i))), "offset 0.5"),
    "counted from 1": (grid(lambda i, j, s: tuple((k + 1) * s for k in (j, i, j, i))), "counted from 1"),
    "stride forgotten": (grid(lambda i, j, s: (j, i, j, i)), "stride is not used"),
    "first corner only": (grid(lambda i, j, s: (j * s, i * s, 0, 0)), "Only x1 and y1"),
    "subtracted": (grid(lambda i, j, s: (-j * s, -i * s, -j * s, -i * s)), "subtracted"),
    "x, x, y, y": (grid(lambda i, j, s: (j * s, j * s, i * s, i * s)), "x, x, y, y"),
    "read as (W, H)": (grid(cells=lambda h, w: [(i, j) for i in range(w) for j in range(h)]), "read as (W, H)"),
    "all in one place": (grid(lambda i, j, s: (0, 0, 0, 0)), "in one place"),
    "up to the border": (grid_up_to_the_border, "linspace"),
    "one anchor per cell": (grid_of_first_anchor, "one box per cell"),
    "one row of cells": (grid(cells=lambda h, w: [(0, j) for j in range(w)]), "single row of cells"),
    "one cell": (grid(cells=lambda h, w: [(0, 0)]), "single cell"),
    "one cell too many": (grid(cells=lambda h, w: [(i, j) for i in range(h + 1) for j in range(w + 1)]), "too many"),
    "every pixel": (grid_pixel_by_pixel, "one centre per pixel"),
    "zipped": (grid(cells=lambda h, w: list(zip(range(h), range(w)))), "paired"),  # noqa: B905
    "backwards": (grid(cells=lambda h, w: [(i, j) for i in range(h)[::-1] for j in range(w)]), "in another order"),
    "last cell off": (grid_losing_a_cell, "is centred on"),
    "in place": (grid_in_place, "`base_anchors` in place"),
    "shapes that do not fit": (grid_one_shape_off, "RuntimeError in the line `return base_anchors + torch.zeros"),
    "nothing": (lambda base_anchors, feature_size, stride: None, "returns None"),
}

RIGHT = {
    "base_anchors": (base_by_broadcasting, base_by_loops, base_in_numpy, base_as_list_of_tensors, anchors.base_anchors),
    "grid_anchors": (grid_by_broadcasting, grid_by_loops, grid_in_numpy, grid_by_concatenation, anchors.grid_anchors),
}
WRONG = {"base_anchors": WRONG_BASE, "grid_anchors": WRONG_GRID}
