"""Exercises of lesson 06: `roi_max_pool` and `bilinear`, with what people write instead.

Both recipes are written for the slips, not for beauty; `frcnn_edu.roi_pool` is the code to learn from. No region here
leaves its map, and no coordinate lies half-way between two cells: there the sources round in different ways.
"""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from frcnn_edu.exercises.exercise import Exercise, Step
from frcnn_edu.exercises.pictures import draw_maps_beside, draw_point

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Window = tuple[int, int]
"""The first cell of a bin, and the one after its last."""

CHANNELS_LAST = "channels come first: the feature is (C, H, W)"

ROUNDING = Step(
    "rounding",
    "nearest",
    {
        "down": "The region's edges are rounded down, as int() and // do; the nearest cell is due: round().",
        "up": "The region's edges are rounded up; the nearest cell is due: round().",
        "outwards": "The region is widened to whole cells, down at its start and up at its end; "
        "each edge goes to its nearest cell: round().",
    },
)
END = Step(
    "end",
    "inclusive",
    {
        "exclusive": "The last cell is missing: the end is inclusive, so the region is x2 - x1 + 1 cells wide, "
        "and a slice runs up to x2 + 1.",
    },
)
BINS = Step(
    "bins",
    "floor and ceil",
    {
        "floor and floor": "Bins end where the next one begins; both ends round outwards, and bins may share a cell: "
        "floor(p·w/P) to ceil((p+1)·w/P).",
        "rounded": "The bins' edges are rounded to the nearest cell; they round outwards: floor(p·w/P) to "
        "ceil((p+1)·w/P).",
        "whole steps": "Bins of w // P cells leave the last cells out: a bin runs from floor(p·w/P) to "
        "ceil((p+1)·w/P), with w/P not rounded.",
        "rest in the last": "All bins have w // P cells and the last one takes the rest; a bin runs from floor(p·w/P) "
        "to ceil((p+1)·w/P).",
        "large steps": "Bins of ceil(w / P) cells are too large: a bin runs from floor(p·w/P) to ceil((p+1)·w/P), "
        "with w/P not rounded.",
    },
)
AXES = Step(
    "axes",
    "y, x",
    {
        "exchanged": "x and y are exchanged: the region is x1, y1, x2, y2, and the map is indexed [channel, y, x].",
        "transposed": "Rows and columns of the output are exchanged: the first is the row, which goes with y.",
        "x, y, w, h": "The region's last two numbers are taken for width and height; they are the other corner.",
    },
)
REDUCTION = Step(
    "reduction",
    "maximum",
    {
        "mean": "Each bin is averaged; RoI max pooling takes its largest value.",
        "not below 0": "Values below 0 come out as 0: does the maximum start at 0? Start from the first cell or -inf.",
        "first": "Each bin gives its first cell; its largest value is due.",
        "minimum": "Each bin gives its smallest value; its largest is due.",
        "over channels": "The maximum runs over the channels too; each channel has its own.",
        "magnitude": "The maximum is taken of the absolute values; signs count.",
    },
)
REGION = Step(
    "region",
    "used",
    {"whole map": "The whole map is pooled: only the cells of the region `roi` are meant."},
)


def roi_max_pool_recipe(
    feature: Tensor,
    roi: Tensor,
    output_size: int,
    rounding: str,
    end: str,
    bins: str,
    axes: str,
    reduction: str,
    region: str,
) -> Tensor:
    """The pooled region with every step taken as named: -> (C, P, P)."""
    height, width = feature.shape[1:]
    x1, y1, x2, y2 = roi.tolist() if region == REGION.right else (0, 0, width - 1, height - 1)
    if axes == "x, y, w, h":
        x2, y2 = x1 + x2, y1 + y2
    if axes == "exchanged":
        x1, y1, x2, y2 = y1, x1, y2, x2
    rows = _windows(*_cells(y1, y2, rounding), end, bins, output_size, height)
    columns = _windows(*_cells(x1, x2, rounding), end, bins, output_size, width)
    pooled = torch.stack(
        [_reduce(feature[:, top:bottom, left:right], reduction) for top, bottom in rows for left, right in columns],
        dim=1,
    )  # (C, P * P)
    pooled = pooled.reshape(-1, output_size, output_size)
    return pooled.mT if axes == "transposed" else pooled


def _cells(start: float, end: float, way: str) -> tuple[int, int]:
    """A region's first and last cell along one side."""
    first = {ROUNDING.right: round, "down": math.floor, "up": math.ceil, "outwards": math.floor}[way](start)
    last = {ROUNDING.right: round, "down": math.floor, "up": math.ceil, "outwards": math.ceil}[way](end)
    return first, last


def _windows(first: int, last: int, end: str, way: str, bins: int, limit: int) -> list[Window]:
    """The cells of each bin along one side, inside the map."""
    cells = max(last - first + (1 if end == END.right else 0), 1)
    edges = [(math.floor(p * cells / bins), math.ceil((p + 1) * cells / bins)) for p in range(bins)]
    step, large = max(cells // bins, 1), math.ceil(cells / bins)
    windows = {
        BINS.right: edges,
        "floor and floor": [(start, math.floor((p + 1) * cells / bins)) for p, (start, _) in enumerate(edges)],
        "rounded": [(round(p * cells / bins), round((p + 1) * cells / bins)) for p in range(bins)],
        "whole steps": [(p * step, (p + 1) * step) for p in range(bins)],
        "rest in the last": [(p * step, (p + 1) * step if p < bins - 1 else cells) for p in range(bins)],
        "large steps": [(p * large, min((p + 1) * large, cells)) for p in range(bins)],
    }[way]
    return [tuple(min(max(first + edge, 0), limit) for edge in window) for window in windows]


def _reduce(cells: Tensor, way: str) -> Tensor:
    """One value per channel of a bin: (C, h, w) -> (C,); 0 where the bin has no cell."""
    if cells.numel() == 0:
        return cells.new_zeros(len(cells))
    flat = cells.flatten(1)
    return {
        REDUCTION.right: flat.amax(dim=1),
        "mean": flat.mean(dim=1),
        "not below 0": flat.amax(dim=1).clamp(min=0),
        "first": flat[:, 0],
        "minimum": flat.amin(dim=1),
        "over channels": flat.amax().expand(len(flat)),
        "magnitude": flat.abs().amax(dim=1),
    }[way]


def explain_roi_max_pool(case: tuple, right: Tensor, answer: Tensor) -> str:
    """What is wrong with a pooled region that no known slip explains."""
    feature, _, size = case
    channels, shape = len(feature), tuple(answer.shape)
    start = f"It returns shape {shape} where {tuple(right.shape)} is due: "
    if shape == tuple(right.shape):
        return _cell_sentence(feature, right, answer)
    if shape == (size, size):
        return start + "every channel is pooled on its own, and none is lost."
    if shape == (size, size, channels):
        return start + CHANNELS_LAST + ", and so is the output."
    if shape == (1, *right.shape):
        return start + "without a batch dimension; take [0]."
    if answer.ndim == 3 and shape[0] == channels:
        return start + f"{shape[1]} by {shape[2]} bins instead of {size} by {size}, whatever the size of the region."
    if answer.numel() == right.numel():
        return start + f"all numbers are there: finish with .reshape({channels}, {size}, {size})."
    return start + "output_size by output_size numbers for each channel."


def _cell_sentence(feature: Tensor, right: Tensor, answer: Tensor) -> str:
    channel, row, column = ((right - answer).abs() > 1e-3).nonzero()[0].tolist()
    got, wanted = answer[channel, row, column], right[channel, row, column]
    where = f"Bin ({row}, {column}) of channel {channel} should be {wanted:.4g}, but is {got:.4g}"
    if (feature.double() - got).abs().min() > 1e-3:
        return where + ", which is no value of the map: a maximum is the value of some cell."
    return where + (": the bin misses a cell." if got < wanted else ": the bin reaches too far.")


def draw_roi_max_pool(case: tuple, right: Tensor, answer: Tensor) -> "Figure":
    """The map with the region, and the first channel of expected and got."""
    feature, roi, _ = case
    x1, y1, x2, y2 = (round(edge) for edge in roi.tolist())
    return draw_maps_beside(
        feature[0], (x1, y1, x2 + 1, y2 + 1), right[0], answer[0] if answer.ndim == 3 and answer.numel() else None
    )


def _map(channels: int, height: int, width: int, seed: int) -> Tensor:
    """A map on which every cell has its own value, a tenth apart, above and below 0."""
    count = channels * height * width
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return (order.reshape(channels, height, width) - 0.6 * count) / 10


ROI_MAX_POOL = Exercise(
    name="roi_max_pool",
    arguments=("feature", "roi", "output_size"),
    cases=(
        (_map(2, 9, 10, seed=0), torch.tensor([1.3, 0.8, 7.7, 5.4]), 3),
        (_map(3, 9, 11, seed=1), torch.tensor([0.0, 1.7, 4.6, 7.9]), 2),
        (_map(1, 12, 12, seed=2), torch.tensor([0.2, 1.0, 9.8, 8.8]), 4),
        (_map(2, 6, 6, seed=3), torch.tensor([2.7, 1.2, 4.2, 1.9]), 3),
        (_map(2, 5, 6, seed=4), torch.tensor([2.0, 3.0, 2.0, 3.0]), 2),
    ),
    case_names=("", "", "", "a region of fewer cells than bins", "a region of a single cell"),
    recipe=roi_max_pool_recipe,
    steps=(ROUNDING, END, BINS, AXES, REDUCTION, REGION),
    explain=explain_roi_max_pool,
    draw_case=draw_roi_max_pool,
    tolerance=1e-3,
)

WEIGHTS = Step(
    "weights",
    "nearer counts more",
    {
        "exchanged": "The weights are exchanged: the nearer a cell, the more it counts. "
        "The left one weighs 1 - (x - x0), the right one x - x0.",
        "x exchanged": "The weights in x are exchanged: the left cell weighs 1 - (x - x0), the right one x - x0.",
        "y exchanged": "The weights in y are exchanged: the upper cell weighs 1 - (y - y0), the lower one y - y0.",
        "diagonal": "Two of the four weights are exchanged: (y0, x1) weighs (1 - dy)·dx, and (y1, x0) dy·(1 - dx).",
        "equal": "The four cells are averaged; each weighs as much as the point is near to it.",
        "nearest": "The nearest cell is read; the four around the point are due, weighted.",
        "first": "Only the cell above and to the left is read; the four around the point are due, weighted.",
        "x only": "It interpolates in x only; do the same in y.",
        "y only": "It interpolates in y only; do the same in x.",
        "distance": "The cells are weighted by how far away they are in a straight line; "
        "each weighs (1 - |dy|)·(1 - |dx|).",
    },
)
PLACES = Step(
    "places",
    "y, x",
    {
        "exchanged": "x and y are exchanged: y is the row and comes first, feature[:, y, x].",
        "half a cell": "The point is moved by half a cell; here cell (i, j) lies at y = i, x = j exactly.",
        "half a cell on": "The point is moved by half a cell; here cell (i, j) lies at y = i, x = j exactly.",
        "from 1": "The cells are counted from 1: cell (0, 0) lies at y = 0, x = 0.",
    },
)
NEIGHBORS = Step(
    "neighbors",
    "floor and floor + 1",
    {
        "floor and ceil": "On a whole number floor and ceil are the same cell, and all weights are 0: "
        "the second cell is floor + 1, or the weights are dx and 1 - dx.",
        "border lost": "On the last row or column the value is lost: there the neighbour outside weighs nothing, "
        "and the cell itself still counts. Clamp the neighbour's index.",
        "second last": "On the last row or column it reads one cell too early: clamp only the second neighbour, "
        "or move the weight along.",
    },
)


def bilinear_recipe(feature: Tensor, y: float, x: float, weights: str, places: str, neighbors: str) -> Tensor:
    """The feature at a point with every step taken as named: -> (C,)."""
    feature = feature.double()
    shift = {"half a cell": -0.5, "half a cell on": 0.5, "from 1": -1.0}.get(places, 0.0)
    y, x = (x, y) if places == "exchanged" else (y + shift, x + shift)
    height, width = feature.shape[1:]
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    if weights == "nearest":
        return feature[:, round(y), round(x)]
    rows, columns = _neighbors(y, height, neighbors), _neighbors(x, width, neighbors)
    total = torch.zeros(len(feature), dtype=torch.float64)
    for a, (row, _) in enumerate(rows):
        for b, (column, _) in enumerate(columns):
            total = total + _weight(rows, columns, a, b, weights) * feature[:, row, column]
    return total


def _neighbors(place: float, count: int, way: str) -> list[tuple[int, float]]:
    """The two cells along one side, each with its weight."""
    low = math.floor(place)
    rest = place - low
    high, low_weight = min(low + 1, count - 1), 1 - rest
    if way == "floor and ceil" and rest == 0:
        low_weight = 0.0
    if way == "border lost" and low + 1 > count - 1:
        low_weight = 0.0
    if way == "second last" and low + 1 > count - 1:
        low, rest, low_weight = max(count - 2, 0), 0.0, 1.0
    return [(low, low_weight), (high, rest)]


def _weight(rows: list[tuple[int, float]], columns: list[tuple[int, float]], a: int, b: int, way: str) -> float:
    """What the cell of row neighbour `a` and column neighbour `b` weighs."""
    wy, wx = [weight for _, weight in rows], [weight for _, weight in columns]
    if way == "distance":
        lengths = [[math.hypot(1 - wy[i], 1 - wx[j]) for j in (0, 1)] for i in (0, 1)]
        inverse = [[1 / max(length, 1e-9) for length in row] for row in lengths]
        return inverse[a][b] / sum(map(sum, inverse))
    if way == "diagonal" and a != b:
        a, b = b, a
    return {
        WEIGHTS.right: wy[a] * wx[b],
        "exchanged": wy[1 - a] * wx[1 - b],
        "x exchanged": wy[a] * wx[1 - b],
        "y exchanged": wy[1 - a] * wx[b],
        "diagonal": wy[a] * wx[b],
        "equal": 0.25,
        "first": float(a == b == 0),
        "x only": wx[b] * (a == 0),
        "y only": wy[a] * (b == 0),
    }[way]


def explain_bilinear(case: tuple, right: Tensor, answer: Tensor) -> str:
    """What is wrong with an interpolated value that no known slip explains."""
    feature, y, x = case
    channels, shape = len(feature), tuple(answer.shape)
    if shape == (channels,):
        return _range_sentence(feature, y, x, right, answer)
    start = f"It returns shape {shape} where ({channels},) is due: "
    if answer.numel() == channels:
        return start + "all numbers are there: finish with .reshape(-1)."
    if shape and shape in {tuple(feature.shape[1:]), (feature.shape[2],), (feature.shape[1],)}:
        return start + CHANNELS_LAST + ", so a cell is feature[:, i, j]."
    if answer.numel() == 1:
        return start + "one number for every channel, not one for all."
    return start + "one number for every channel."


def _range_sentence(feature: Tensor, y: float, x: float, right: Tensor, answer: Tensor) -> str:
    rows, columns = slice(math.floor(y), math.floor(y) + 2), slice(math.floor(x), math.floor(x) + 2)
    cells = feature[:, rows, columns].flatten(1).double()  # (C, up to 4)
    low, high = cells.amin(dim=1) - 1e-3, cells.amax(dim=1) + 1e-3
    if y % 1 == 0 and x % 1 == 0:
        return f"At y = {y:g}, x = {x:g} lies a cell: its own value {_list(right)} is due, but it is {_list(answer)}."
    if ((answer < low) | (answer > high)).any():
        return (
            f"At y = {y:g}, x = {x:g} it is {_list(answer)}, outside of the values of the four cells around: "
            "the weights should add up to 1."
        )
    return f"At y = {y:g}, x = {x:g} it should be {_list(right)}, but is {_list(answer)}."


def _list(values: Tensor) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values.tolist()) + ")"


def draw_bilinear(case: tuple, right: Tensor, answer: Tensor) -> "Figure":
    """The first channel with the point on it, and what it is and should be there."""
    feature, y, x = case
    return draw_point(feature[0], y, x, float(right[0]), float(answer[0]) if answer.shape == right.shape else None)


BILINEAR = Exercise(
    name="bilinear",
    arguments=("feature", "y", "x"),
    cases=(
        (_map(3, 4, 6, seed=5), 1.25, 2.6),
        (_map(2, 5, 4, seed=6), 2.4, 0.3),
        (_map(2, 5, 4, seed=6), 3.0, 1.7),
        (_map(3, 4, 5, seed=7), 2.0, 1.0),
        (_map(2, 4, 4, seed=8), 3.0, 1.4),
        (_map(2, 4, 5, seed=9), 1.8, 4.0),
        (_map(1, 3, 3, seed=10), 2.0, 2.0),
    ),
    case_names=(
        "",
        "",
        "a point between two cells of one row",
        "a point that is a cell",
        "a point on the last row",
        "a point on the last column",
        "the last cell of the map",
    ),
    recipe=bilinear_recipe,
    steps=(WEIGHTS, PLACES, NEIGHBORS),
    explain=explain_bilinear,
    draw_case=draw_bilinear,
    tolerance=1e-3,
)

EXERCISES = (ROI_MAX_POOL, BILINEAR)
