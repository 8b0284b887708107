"""Exercises of lesson 01: `base_anchors` and `grid_anchors`, with what people write instead.

Both recipes are written for the slips, not for beauty; `frcnn_edu.anchors` is the code to learn from.
"""

import torch
from torch import Tensor

from frcnn_edu.exercises.exercise import TOLERANCE, Exercise, Step, same_rows_in_another_order
from frcnn_edu.exercises.pictures import draw_beside

ANOTHER_ORDER = "The boxes are right, but in another order: {}."
PAPER = ([128.0, 256.0, 512.0], [0.5, 1.0, 2.0])

SIDES = Step(
    "sides",
    "w = s / sqrt(r), h = s * sqrt(r)",
    {
        "upside down": "The ratio is upside down (or x and y are exchanged): height / width is meant, so a ratio of 2 "
        "is a tall box. h = s·√r and w = s/√r.",
        "no root": "The root is missing: with w = s/r and h = s·r the box is r² times as tall as it is wide. "
        "Take √r for each side.",
        "no root, upside down": "The root is missing, and the ratio is upside down: h = s·√r and w = s/√r.",
        "h = s * r": "The area is not kept: with w = s and h = s·r it grows with the ratio. "
        "Both sides must move: w = s/√r, h = s·√r.",
        "w = s / r": "The area is not kept: with h = s and w = s/r it shrinks with the ratio. "
        "Both sides must move: w = s/√r, h = s·√r.",
        "w = s * r": "The area is not kept, and the ratio is upside down: w = s·r makes wide boxes of a ratio above 1. "
        "w = s/√r, h = s·√r.",
        "size is area": "The size is taken for the area: a size of 128 means a square of 128 by 128, of area 128².",
        "ratio ignored": "Every box is a square: the aspect ratios are not used.",
        "root on the height only": "Only the height follows the ratio, so the area is not kept: divide the width "
        "by √r as well.",
        "root on the width only": "Only the width follows the ratio, so the area is not kept: multiply the height "
        "by √r as well.",
    },
)
CORNERS = Step(
    "corners",
    "-w/2, -h/2, w/2, h/2",
    {
        "0, 0, w, h": "The boxes are not centred on 0: each row is 0, 0, w, h. A box round 0 reaches from -w/2 to w/2.",
        "-w, -h, w, h": "The boxes are twice as wide and twice as tall as they should be: take half a side to each "
        "side of the centre.",
        "0, 0, w/2, h/2": "The boxes start at 0 and have half the sides: a box round 0 reaches from -w/2 to w/2.",
        "w/2, h/2, -w/2, -h/2": "The corners are exchanged: x1, y1 comes first and is the smaller one.",
        "x1, x2, y1, y2": "The four numbers stand in the order x1, x2, y1, y2; x1, y1, x2, y2 is due.",
        "w, h": "Each row is w, h, w, h: turn sides into corners, -w/2, -h/2, w/2, h/2.",
    },
)
ORDER = Step(
    "order",
    "ratio by ratio",
    {
        "size by size": "The order is size by size; ratio by ratio is due: the outer loop runs over the ratios, "
        "the inner one over the sizes.",
        "in pairs": "Each size met only one ratio, as with zip. Every size meets every ratio: R·S boxes.",
    },
)
ROUNDING = Step(
    "rounding",
    "none",
    {
        "round": "The numbers are rounded to whole pixels. torchvision does that too, but it costs the exact area: "
        "leave them as they are.",
        "cut": "The numbers have lost what lies behind the point: is there an int() or a //?",
        "floor": "The numbers are rounded down to whole pixels: is there a // or a floor?",
    },
)
ARGUMENTS = Step(
    "arguments",
    "used",
    {
        "the paper's": "It returns the paper's nine boxes whatever it is given: use the arguments "
        "`sizes` and `aspect_ratios`."
    },
)


def base_recipe(
    sizes: list[float], aspect_ratios: list[float], sides: str, corners: str, order: str, rounding: str, arguments: str
) -> Tensor:
    """The base anchors with every step taken as named: -> (R * S, 4), or fewer where the slip says so."""
    if arguments != ARGUMENTS.right:
        sizes, aspect_ratios = PAPER
    if order == "in pairs":
        pairs = list(zip(sizes, aspect_ratios, strict=False))
    elif order == "size by size":
        pairs = [(size, ratio) for size in sizes for ratio in aspect_ratios]
    else:
        pairs = [(size, ratio) for ratio in aspect_ratios for size in sizes]
    size, ratio = torch.tensor(pairs, dtype=torch.float64).unbind(1)  # (N,) each
    boxes = _corners(*_sides(size, ratio, sides), corners)  # (N, 4)
    return {"none": lambda x: x, "round": torch.round, "cut": torch.trunc, "floor": torch.floor}[rounding](boxes)


def _sides(size: Tensor, ratio: Tensor, way: str) -> tuple[Tensor, Tensor]:
    root = ratio.sqrt()
    return {
        SIDES.right: (size / root, size * root),
        "upside down": (size * root, size / root),
        "no root": (size / ratio, size * ratio),
        "no root, upside down": (size * ratio, size / ratio),
        "h = s * r": (size, size * ratio),
        "w = s / r": (size / ratio, size),
        "w = s * r": (size * ratio, size),
        "size is area": (size.sqrt() / root, size.sqrt() * root),
        "ratio ignored": (size, size),
        "root on the height only": (size, size * root),
        "root on the width only": (size / root, size),
    }[way]


def _corners(w: Tensor, h: Tensor, way: str) -> Tensor:
    o = torch.zeros_like(w)
    columns = {
        CORNERS.right: (-w / 2, -h / 2, w / 2, h / 2),
        "0, 0, w, h": (o, o, w, h),
        "-w, -h, w, h": (-w, -h, w, h),
        "0, 0, w/2, h/2": (o, o, w / 2, h / 2),
        "w/2, h/2, -w/2, -h/2": (w / 2, h / 2, -w / 2, -h / 2),
        "x1, x2, y1, y2": (-w / 2, w / 2, -h / 2, h / 2),
        "w, h": (w, h, w, h),
    }[way]
    return torch.stack(columns, dim=1)


def base_row_hints(sizes: list[float], aspect_ratios: list[float]) -> list[tuple[int, str]]:
    """What a wrong number of base anchors tells."""
    ratios, number = len(aspect_ratios), len(sizes)
    return [
        (ratios * ratios, "every ratio met every ratio; ratios should meet sizes."),
        (number, f"one box per size; each of the {number} sizes meets each of the {ratios} ratios."),
        (ratios, f"one box per ratio; each of the {ratios} ratios meets each of the {number} sizes."),
        (1, "a single box. Does the `return` stand inside the loop?"),
        (ratios + number, f"that is R + S rows; every size meets every ratio, so R·S = {ratios * number} are due."),
    ]


def inspect_base(right: Tensor, answer: Tensor) -> str:
    """What is wrong with base anchors that no known slip explains."""
    if same_rows_in_another_order(right, answer):
        return ANOTHER_ORDER.format("ratio by ratio is due, and the sizes within each ratio in the order given")
    centers = (answer[:, :2] + answer[:, 2:]).abs()  # (N, 2)
    if (centers > TOLERANCE).any():
        return f"Row {_first((centers > TOLERANCE).any(dim=1))} is not centred on 0: x1 = -x2 and y1 = -y2 are due."
    wide, tall = answer[:, 2] - answer[:, 0], answer[:, 3] - answer[:, 1]
    area, wanted = wide * tall, (right[:, 2] - right[:, 0]) * (right[:, 3] - right[:, 1])
    off = (area - wanted).abs() > 1e-3 * wanted
    if off.any():
        row = _first(off)
        return f"The area of row {row} is {area[row]:.0f}, but size² = {wanted[row]:.0f} is due, whatever the ratio."
    return ""


BASE = Exercise(
    name="base_anchors",
    arguments=("sizes", "aspect_ratios"),
    cases=(PAPER, ([30.0, 70.0], [0.25, 3.0, 1.5]), ([100.0, 45.0, 64.0, 20.0], [2.5])),
    recipe=base_recipe,
    steps=(SIDES, CORNERS, ORDER, ROUNDING, ARGUMENTS),
    row_hints=base_row_hints,
    inspect=inspect_base,
    draw=draw_beside,
)

GRID_ORDER = Step(
    "order",
    "rows, columns, anchors",
    {
        "columns first": "The grid runs down the columns; along the rows is due: the column changes faster "
        'than the row. With meshgrid that is indexing="ij" and y before x.',
        "anchors first": "All cells of the first anchor come first; cell by cell is due: "
        "all anchors of a cell, then the next cell.",
    },
)
CENTER = Step(
    "center",
    "(j * stride, i * stride)",
    {
        "exchanged": "x and y are exchanged: the column j moves a box in x, the row i in y.",
        "middle": "The centres lie in the middle of the cells (offset 0.5). Here, as in torchvision, the offset is 0: "
        "cell (i, j) is centred on (j·stride, i·stride).",
        "from 1": "The cells are counted from 1: the first centre lies on (0, 0).",
        "no stride": "The stride is not used: a step of one cell is `stride` pixels.",
        "stretched": "The last centre lies too far out, as with linspace up to the border: "
        "neighbours are exactly one stride apart.",
        "all on (0, 0)": "All cells have their anchors at the same place: add each cell's centre to the base anchors.",
    },
)
SHIFT = Step(
    "shift",
    "both corners",
    {
        "first corner": "Only x1 and y1 are moved: both corners of a box move by the centre.",
        "last corner": "Only x2 and y2 are moved: both corners of a box move by the centre.",
        "minus": "The centre is subtracted where it should be added.",
        "x, x, y, y": "The shift is x, x, y, y, but a box is x1, y1, x2, y2: shift by x, y, x, y.",
    },
)
READING = Step(
    "reading",
    "(H, W)",
    {"(W, H)": "feature_size is (H, W), rows before columns; it was read as (W, H)."},
)


def grid_recipe(
    base_anchors: Tensor,
    feature_size: tuple[int, int],
    stride: float,
    order: str,
    center: str,
    shift: str,
    reading: str,
) -> Tensor:
    """The anchors of a map with every step taken as named: -> (H * W * A, 4)."""
    height, width = feature_size if reading == READING.right else feature_size[::-1]
    rows, columns = _places(height, stride, center), _places(width, stride, center)
    y, x = torch.meshgrid(rows, columns, indexing="ij")  # (H, W) each
    if center == "exchanged":
        y, x = x, y
    o = torch.zeros_like(x)
    moves = {
        SHIFT.right: (x, y, x, y),
        "first corner": (x, y, o, o),
        "last corner": (o, o, x, y),
        "minus": (-x, -y, -x, -y),
        "x, x, y, y": (x, x, y, y),
    }[shift]
    boxes = torch.stack(moves, dim=-1)[:, :, None] + base_anchors.double()  # (H, W, A, 4)
    axes = {GRID_ORDER.right: (0, 1, 2, 3), "columns first": (1, 0, 2, 3), "anchors first": (2, 0, 1, 3)}[order]
    return boxes.permute(axes).reshape(-1, 4)


def _places(count: int, stride: float, way: str) -> Tensor:
    """Where the centres of `count` cells lie along one side: (count,)."""
    cells = torch.arange(count, dtype=torch.float64)
    if way == "stretched":
        return torch.linspace(0, count * stride, count, dtype=torch.float64)
    shifted = {"middle": cells + 0.5, "from 1": cells + 1, "all on (0, 0)": 0 * cells}.get(way, cells)
    return shifted if way == "no stride" else shifted * stride


def grid_row_hints(base_anchors: Tensor, feature_size: tuple[int, int], stride: float) -> list[tuple[int, str]]:
    """What a wrong number of anchors tells."""
    height, width = feature_size
    number = len(base_anchors)
    return [
        (height * width, f"one box per cell; each cell has {number}."),
        (width * number, "that is a single row of cells. Does the `return` stand inside the loop?"),
        (height * number, "that is a single column of cells. Does the `return` stand inside the loop?"),
        (number, "that is a single cell. Does the `return` stand inside the loop, or is its list made anew each time?"),
        (
            (height + 1) * (width + 1) * number,
            f"the map has one row and one column too many; it is {height} by {width}.",
        ),
        (
            (height - 1) * (width - 1) * number,
            f"the map has one row and one column too few; it is {height} by {width}.",
        ),
        (
            int(height * stride) * int(width * stride) * number,
            "one centre per pixel; one per cell is due, every `stride` pixels.",
        ),
        (min(height, width) * number, "rows and columns were paired, as with zip; every row meets every column."),
    ]


def inspect_grid(right: Tensor, answer: Tensor) -> str:
    """What is wrong with the anchors of a map that no known slip explains."""
    if same_rows_in_another_order(right, answer):
        return ANOTHER_ORDER.format("rows, then columns, then the anchors of the cell are due")
    sides = lambda boxes: boxes[:, 2:] - boxes[:, :2]  # noqa: E731
    if ((sides(right) - sides(answer)).abs() > TOLERANCE).any():
        return ""
    row = _first(((right - answer).abs() > TOLERANCE).any(dim=1))
    x, y = ((answer[row, :2] + answer[row, 2:]) / 2).tolist()
    wanted_x, wanted_y = ((right[row, :2] + right[row, 2:]) / 2).tolist()
    return f"Row {row} is centred on ({x:g}, {y:g}), but ({wanted_x:g}, {wanted_y:g}) is due."


GRID = Exercise(
    name="grid_anchors",
    arguments=("base_anchors", "feature_size", "stride"),
    cases=(
        (torch.tensor([[-23.0, -11.5, 23.0, 11.5], [-16, -16, 16, 16], [-11.5, -23, 11.5, 23]]), (2, 3), 16),
        (torch.tensor([[-10.0, -20.0, 10.0, 20.0], [-6.0, -6.0, 6.0, 6.0]]), (4, 2), 10),
        (torch.tensor([[-8.0, -4.0, 8.0, 4.0]]), (3, 5), 32),
    ),
    recipe=grid_recipe,
    steps=(GRID_ORDER, CENTER, SHIFT, READING),
    row_hints=grid_row_hints,
    inspect=inspect_grid,
    draw=draw_beside,
)

EXERCISES = (BASE, GRID)


def _first(rows: Tensor) -> int:
    return int(rows.nonzero()[0])
