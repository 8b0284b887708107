"""Exercises of lesson 01: `base_anchors` and `grid_anchors`. The code to learn from is `frcnn_edu.anchors`."""

import torch
from torch import Tensor

from frcnn_edu.exercises import answer_plots
from frcnn_edu.exercises.exercise import TOLERANCE, Exercise, Hints, Step, rows, same_rows_in_another_order

PAPER = ([128.0, 256.0, 512.0], [0.5, 1.0, 2.0])


class BaseAnchors(Exercise):
    """`base_anchors(sizes, aspect_ratios)`: boxes around 0, ratio by ratio and size by size, (R * S, 4)."""

    name = "base_anchors"
    arguments = ("sizes", "aspect_ratios")
    cases = (PAPER, ([30.0, 70.0], [0.25, 3.0, 1.5]), ([100.0, 45.0, 64.0, 20.0], [2.5]))
    wanted_shape = "Return one row of 4 numbers per box."
    draw = staticmethod(answer_plots.boxes_beside)

    sides = Step(lambda s, r: (s / r**0.5, s * r**0.5)) | {
        "The ratio is upside down, or x and y are exchanged. It is height / width, so a box of ratio 2 is tall: "
        "h = s·√r and w = s/√r.": lambda s, r: (s * r**0.5, s / r**0.5),
        "The root is missing: with w = s/r and h = s·r a box is r² times as tall as wide. "
        "Take √r for each side.": lambda s, r: (s / r, s * r),
        "The root is missing, and the ratio is upside down: h = s·√r and w = s/√r.": lambda s, r: (s * r, s / r),
        "The area is not kept: with w = s and h = s·r it grows with the ratio. "
        "Change both sides: w = s/√r, h = s·√r.": lambda s, r: (s, s * r),
        "The area is not kept: with h = s and w = s/r it shrinks with the ratio. "
        "Change both sides: w = s/√r, h = s·√r.": lambda s, r: (s / r, s),
        "The area is not kept, and the ratio is upside down: with w = s·r a ratio above 1 makes a wide box. "
        "w = s/√r, h = s·√r.": lambda s, r: (s * r, s),
        "The size is taken for the area: a size of 128 means a square of 128 by 128, "
        "with an area of 128².": lambda s, r: (s**0.5 / r**0.5, s**0.5 * r**0.5),
        "Every box is a square: the aspect ratios are not used.": lambda s, r: (s, s),
        "Only the height follows the ratio, so the area changes: the width needs √r.": lambda s, r: (s, s * r**0.5),
        "Only the width follows the ratio, so the area changes: the height needs √r.": lambda s, r: (s / r**0.5, s),
    }
    # As multiples of w, h, w, h.
    corners = Step((-0.5, -0.5, 0.5, 0.5)) | {
        "The boxes are not centred on 0: each row is 0, 0, w, h. A box around 0 is -w/2 to w/2.": (0, 0, 1, 1),
        "The boxes are twice as wide and as tall as they should be: go half a side from the centre.": (-1, -1, 1, 1),
        "The boxes start at 0 and have half the sides: a box around 0 is -w/2 to w/2.": (0, 0, 0.5, 0.5),
        "The corners are exchanged: x1, y1 comes first and is the smaller one.": (0.5, 0.5, -0.5, -0.5),
        "Each row is w, h, w, h: turn sides into corners, -w/2, -h/2, w/2, h/2.": (1, 1, 1, 1),
    }
    columns = Step([0, 1, 2, 3]) | {"The columns are x1, x2, y1, y2, but should be x1, y1, x2, y2.": [0, 2, 1, 3]}
    pairs = Step(lambda sizes, ratios: [(s, r) for r in ratios for s in sizes]) | {
        "The order is size by size, but should be ratio by ratio: "
        "put the loop over the ratios outside.": lambda sizes, ratios: [(s, r) for s in sizes for r in ratios],
        "Each size met only one ratio, as with zip, but it should meet every ratio: "
        "that makes R·S boxes.": lambda sizes, ratios: list(zip(sizes, ratios, strict=False)),
    }
    rounding = Step(lambda boxes: boxes) | {
        "The numbers are rounded to whole pixels, as in torchvision, but then the area is not exact.": torch.round,
        "The numbers have lost their fractions: is there an int() or a //?": torch.trunc,
        "The numbers are rounded down to whole pixels: is there a // or a floor?": torch.floor,
    }
    given = Step(lambda *given: given) | {
        "It returns the paper's nine boxes whatever it is given: use `sizes` and `aspect_ratios`.": lambda *given: PAPER
    }

    def reference(self, sizes: list[float], aspect_ratios: list[float]) -> Tensor:
        pairs = torch.tensor(self.pairs(*self.given(sizes, aspect_ratios)), dtype=torch.float64)  # (R * S, 2)
        w, h = self.sides(*pairs.unbind(dim=1))  # (R * S,) each
        boxes = torch.stack((w, h, w, h), dim=1) * torch.tensor(self.corners)  # (R * S, 4)
        return self.rounding(boxes[:, self.columns])

    def shape_hints(self, sizes: list[float], aspect_ratios: list[float]) -> Hints:
        r, s = len(aspect_ratios), len(sizes)
        return [
            ((r * r, 4), "Every ratio met every ratio: ratios should meet sizes."),
            ((s, 4), f"That is one box per size, but each of the {s} sizes meets each of the {r} ratios."),
            ((r, 4), f"That is one box per ratio, but each of the {r} ratios meets each of the {s} sizes."),
            ((1, 4), "That is a single box. Is the `return` inside the loop?"),
            ((r + s, 4), f"That is R + S rows, but every size meets every ratio: R·S = {r * s} rows."),
        ]

    def explain_values(self, case: tuple, right: Tensor, answer: Tensor) -> str:
        if same_rows_in_another_order(right, answer):
            return "The boxes are right, but in another order: go ratio by ratio, and in each through the sizes."
        centers = (answer[:, :2] + answer[:, 2:]).abs().amax(dim=1)  # (N,)
        if (centers > TOLERANCE).any():
            return f"Row {_first(centers > TOLERANCE)} is not centred on 0, where x1 = -x2 and y1 = -y2."
        area, wanted = ((boxes[:, 2:] - boxes[:, :2]).prod(dim=1) for boxes in (answer, right))
        off = (area - wanted).abs() > 1e-3 * wanted
        if not off.any():
            return super().explain_values(case, right, answer)
        row = _first(off)
        return f"The area of row {row} is {area[row]:.0f}, but should be size² = {wanted[row]:.0f}, whatever the ratio."


class GridAnchors(Exercise):
    """`grid_anchors(base_anchors, feature_size, stride)`: base anchors on every cell, (H * W * A, 4)."""

    name = "grid_anchors"
    arguments = ("base_anchors", "feature_size", "stride")
    cases = (
        (rows("-23 -11.5 23 11.5, -16 -16 16 16, -11.5 -23 11.5 23"), (2, 3), 16),
        (rows("-10 -20 10 20, -6 -6 6 6"), (4, 2), 10),
        (rows("-8 -4 8 4"), (3, 5), 32),
    )
    wanted_shape = "Return one row of 4 numbers per box."
    draw = staticmethod(answer_plots.boxes_beside)

    order = Step((0, 1, 2, 3)) | {
        "The grid runs down the columns, but should run along the rows, so that the column changes faster. With "
        'meshgrid that is indexing="ij" and y before x.': (1, 0, 2, 3),
        "All cells of the first anchor come first. Go cell by cell, with all anchors of a cell together.": (2, 0, 1, 3),
    }
    axes = Step(lambda y, x: (y, x)) | {
        "x and y are exchanged: the column j moves a box in x, the row i in y.": lambda y, x: (x, y),
    }
    places = Step(lambda cells, stride: cells * stride) | {
        "The centres lie in the middle of the cells (offset 0.5). Here, as in torchvision, the offset is 0: cell "
        "(i, j) is centred on (j·stride, i·stride).": lambda cells, stride: (cells + 0.5) * stride,
        "The cells are counted from 1: the first centre lies on (0, 0).": lambda cells, stride: (cells + 1) * stride,
        "The stride is not used: a step of one cell is `stride` pixels.": lambda cells, stride: cells,
        "The last centre lies too far out, as with linspace up to the border: neighbours are exactly one stride "
        "apart.": lambda cells, stride: cells * stride * len(cells) / max(len(cells) - 1, 1),
        "All cells have their anchors in one place: add the centre of each cell.": lambda cells, stride: 0 * cells,
    }
    shift = Step(lambda x, y: (x, y, x, y)) | {
        "Only x1 and y1 are moved: both corners of a box move by the centre.": lambda x, y: (x, y, 0 * x, 0 * y),
        "Only x2 and y2 are moved: both corners of a box move by the centre.": lambda x, y: (0 * x, 0 * y, x, y),
        "The centre is subtracted, but should be added.": lambda x, y: (-x, -y, -x, -y),
        "The shift is x, x, y, y, but a box is x1, y1, x2, y2: shift by x, y, x, y.": lambda x, y: (x, x, y, y),
    }
    size = Step(lambda height, width: (height, width)) | {
        "feature_size is (H, W), rows before columns, but was read as (W, H).": lambda height, width: (width, height),
    }

    def reference(self, base_anchors: Tensor, feature_size: tuple[int, int], stride: float) -> Tensor:
        sides = [self.places(torch.arange(n, dtype=torch.float64), stride) for n in self.size(*feature_size)]
        y, x = self.axes(*torch.meshgrid(*sides, indexing="ij"))  # (H, W) each
        boxes = torch.stack(self.shift(x, y), dim=-1)[:, :, None] + base_anchors.double()  # (H, W, A, 4)
        return boxes.permute(self.order).reshape(-1, 4)

    def shape_hints(self, base_anchors: Tensor, feature_size: tuple[int, int], stride: float) -> Hints:
        (h, w), a = feature_size, len(base_anchors)
        return [
            ((h * w, 4), f"That is one box per cell, but each cell has {a}."),
            ((w * a, 4), "That is a single row of cells. Is the `return` inside the loop?"),
            ((h * a, 4), "That is a single column of cells. Is the `return` inside the loop?"),
            ((a, 4), "That is a single cell. Is the `return` inside the loop, or is the list emptied in each round?"),
            (((h + 1) * (w + 1) * a, 4), f"That is one row and one column of cells too many: the map is {h} by {w}."),
            (((h - 1) * (w - 1) * a, 4), f"That is one row and one column of cells too few: the map is {h} by {w}."),
            ((int(h * stride) * int(w * stride) * a, 4), "That is one centre per pixel: take one every `stride`."),
            ((min(h, w) * a, 4), "Rows and columns were paired, as with zip, but every row meets every column."),
        ]

    def explain_values(self, case: tuple, right: Tensor, answer: Tensor) -> str:
        if same_rows_in_another_order(right, answer):
            return "The boxes are right, but in another order: rows, then columns, then the anchors of the cell."
        sides = (boxes[:, 2:] - boxes[:, :2] for boxes in (right, answer))
        if torch.sub(*sides).abs().max() > TOLERANCE:
            return super().explain_values(case, right, answer)
        row = _first(((right - answer).abs() > TOLERANCE).any(dim=1))
        (x, y), (wanted_x, wanted_y) = (boxes[row].reshape(2, 2).mean(dim=0).tolist() for boxes in (answer, right))
        return f"Row {row} is centred on ({x:g}, {y:g}), but should be centred on ({wanted_x:g}, {wanted_y:g})."


def _first(off: Tensor) -> int:
    return int(off.nonzero()[0])
