"""Exercises of lesson 06: `roi_max_pool` and `bilinear`. The code to learn from is `frcnn_edu.roi_pool`.

No region leaves its map, and no coordinate is half-way between two cells, where implementations round differently.
"""

import math

import torch
from torch import Tensor

from frcnn_edu.exercises import answer_plots
from frcnn_edu.exercises.exercise import Case, Exercise, Hints, Step, listed, rows


def _map(channels: int, height: int, width: int, seed: int) -> Tensor:
    """A map whose values all differ, by a tenth at least, above and below 0."""
    count = channels * height * width
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return (order.reshape(channels, height, width) - 0.6 * count) / 10


def _ceil(cells: int, bins: int) -> int:
    return -(-cells // bins)


def _rest(p: int, cells: int, bins: int) -> int:
    return cells if p == bins - 1 else (p + 1) * (cells // bins or 1)


class RoIMaxPool(Exercise):
    """`roi_max_pool(feature, roi, output_size)`: the largest value of each bin of a region, (C, P, P)."""

    name = "roi_max_pool"
    arguments = ("feature", "roi", "output_size")
    cases = (
        (_map(2, 9, 10, seed=0), rows("1.3 0.8 7.7 5.4")[0], 3),
        (_map(3, 9, 11, seed=1), rows("0 1.7 4.6 7.9")[0], 2),
        (_map(1, 12, 12, seed=2), rows("0.2 1 9.8 8.8")[0], 4),
        Case("a region of fewer cells than bins", _map(2, 6, 6, seed=3), rows("2.7 1.2 4.2 1.9")[0], 3),
        Case("a region of a single cell", _map(2, 5, 6, seed=4), rows("2 3 2 3")[0], 2),
    )
    wanted_shape = "Return output_size by output_size bins for every channel, whatever the size of the region."
    tolerance = 1e-3
    draw = staticmethod(answer_plots.bins_beside)

    # Of a region's start and end.
    rounding = Step((round, round)) | {
        "The region's edges are rounded down, as by int() and //: take the nearest cell, round().": (math.floor,) * 2,
        "The region's edges are rounded up: take the nearest cell, round().": (math.ceil, math.ceil),
        "The region is widened to whole cells: take the nearest cell for each edge, round().": (math.floor, math.ceil),
    }
    end = Step(1) | {"The last cell is missing: the end is inclusive, so a slice ends at x2 + 1.": 0}
    # The first cell of bin p and the one after its last, of n cells.
    bins = Step(lambda p, n, bins: (p * n // bins, _ceil((p + 1) * n, bins))) | {
        "Bins end where the next one begins, but both ends round outwards, so bins may share a cell: "
        "floor(p·w/P) to ceil((p+1)·w/P).": lambda p, n, bins: (p * n // bins, (p + 1) * n // bins),
        "The edges of bins are rounded to the nearest cell, but round outwards: "
        "floor(p·w/P) to ceil((p+1)·w/P).": lambda p, n, bins: (round(p * n / bins), round((p + 1) * n / bins)),
        "Bins of w // P cells leave the last cells out: do not round w/P, "
        "floor(p·w/P) to ceil((p+1)·w/P).": lambda p, n, bins: (p * (n // bins or 1), (p + 1) * (n // bins or 1)),
        "All bins have w // P cells and the last one takes the rest: do not round w/P, "
        "floor(p·w/P) to ceil((p+1)·w/P).": lambda p, n, bins: (p * (n // bins or 1), _rest(p, n, bins)),
        "Bins of ceil(w / P) cells are too large: do not round w/P, "
        "floor(p·w/P) to ceil((p+1)·w/P).": lambda p, n, bins: (p * _ceil(n, bins), min((p + 1) * _ceil(n, bins), n)),
    }
    region = Step(lambda roi, whole: roi) | {
        "The whole map is pooled: take only the cells of the region `roi`.": lambda roi, whole: whole,
        "The region is divided by 16, the stride, but `roi` is in cells already.": lambda roi, whole: [
            edge / 16 for edge in roi
        ],
    }
    corners = Step(lambda x1, y1, x2, y2: (x1, y1, x2, y2)) | {
        "x and y are exchanged: the region is x1, y1, x2, y2, "
        "and the map is indexed [channel, y, x].": lambda x1, y1, x2, y2: (y1, x1, y2, x2),
        "The region's last two numbers are taken for width and height: "
        "they are the other corner.": lambda x1, y1, w, h: (x1, y1, x1 + w, y1 + h),
    }
    layout = Step(lambda pooled: pooled) | {
        "Rows and columns of the output are exchanged: the first is the row, y.": lambda pooled: pooled.mT,
    }
    reduce = Step(lambda cells: cells.amax(dim=1)) | {
        "Each bin is averaged: take its largest value.": lambda cells: cells.mean(dim=1),
        "Values below 0 come out as 0: start the maximum at -inf.": lambda cells: cells.amax(dim=1).clamp(min=0),
        "Each bin gives its first cell: take its largest value.": lambda cells: cells[:, 0],
        "Each bin gives its smallest value: take its largest.": lambda cells: cells.amin(dim=1),
        "The maximum runs over the channels, too: each has its own.": lambda cells: cells.amax().expand(len(cells)),
        "It takes the maximum of absolute values, but signs count.": lambda cells: cells.abs().amax(dim=1),
    }

    def reference(self, feature: Tensor, roi: Tensor, output_size: int) -> Tensor:
        whole = (0, 0, feature.shape[2] - 1, feature.shape[1] - 1)
        x1, y1, x2, y2 = self.corners(*self.region(roi.tolist(), whole))
        rows = self._windows(y1, y2, output_size, feature.shape[1])
        columns = self._windows(x1, x2, output_size, feature.shape[2])
        pooled = [self._reduce(feature[:, top:bottom, left:right]) for top, bottom in rows for left, right in columns]
        return self.layout(torch.stack(pooled, dim=1).reshape(-1, output_size, output_size))

    def _windows(self, start: float, end: float, bins: int, limit: int) -> list[tuple[int, ...]]:
        """The first cell of each bin and the one after its last, along one side of the map."""
        first_of, last_of = self.rounding
        first, last = first_of(start), last_of(end)
        windows = [self.bins(p, max(last - first + self.end, 1), bins) for p in range(bins)]
        return [tuple(min(max(first + edge, 0), limit) for edge in window) for window in windows]

    def _reduce(self, cells: Tensor) -> Tensor:
        """(C, h, w) -> (C,); 0 if there are no cells."""
        return self.reduce(cells.flatten(1)) if cells.numel() else cells.new_zeros(len(cells))

    def shape_hints(self, feature: Tensor, roi: Tensor, output_size: int) -> Hints:
        c, p = len(feature), output_size
        return [
            ((p, p), "Pool every channel on its own, and return them all."),
            ((p, p, c), "Channels come first: the feature is (C, H, W), and so is the output."),
            ((1, c, p, p), "Leave out the batch dimension: take [0]."),
        ]

    def explain_values(self, case: tuple, right: Tensor, answer: Tensor) -> str:
        channel, row, column = ((right - answer).abs() > self.tolerance).nonzero()[0].tolist()
        got, wanted = answer[channel, row, column], right[channel, row, column]
        if (case[0].double() - got).abs().min() > self.tolerance:
            reason = "That is no value of the map: a maximum is the value of some cell."
        else:
            reason = "It misses a cell." if got < wanted else "It reaches too far."
        return f"Bin ({row}, {column}) of channel {channel} should be {wanted:.4g}, but is {got:.4g}. {reason}"


def _only(cell: int | Tensor) -> Tensor:
    """All the weight on one of four cells: (2, 2)."""
    return torch.eye(4)[cell].reshape(2, 2)


def _by_distance(wy: Tensor, wx: Tensor) -> Tensor:
    """Weights in inverse proportion to the distance: (2,), (2,) -> (2, 2)."""
    inverse = 1 / torch.hypot((1 - wy)[:, None], 1 - wx).clamp(min=1e-9)
    return inverse / inverse.sum()


class Bilinear(Exercise):
    """`bilinear(feature, y, x)`: the feature at a point between cells, (C,)."""

    name = "bilinear"
    arguments = ("feature", "y", "x")
    cases = (
        (_map(3, 4, 6, seed=5), 1.25, 2.6),
        (_map(2, 5, 4, seed=6), 2.4, 0.3),
        Case("a point between two cells of one row", _map(2, 5, 4, seed=6), 3.0, 1.7),
        Case("a point on a cell", _map(3, 4, 5, seed=7), 2.0, 1.0),
        Case("a point on the last row", _map(2, 4, 4, seed=8), 3.0, 1.4),
        Case("a point on the last column", _map(2, 4, 5, seed=9), 1.8, 4.0),
        Case("the last cell of the map", _map(1, 3, 3, seed=10), 2.0, 2.0),
    )
    tolerance = 1e-3
    wanted_shape = "Return one number for every channel, not one for all."
    draw = staticmethod(answer_plots.point_on_map)

    # Of the two rows and the two columns around the point.
    weights = Step(torch.outer) | {
        "The weights are exchanged: the nearer a cell, the more it counts, "
        "so the left one weighs x1 - x, the right one x - x0.": lambda wy, wx: torch.outer(wy.flip(0), wx.flip(0)),
        "The weights in x are exchanged: the left cell weighs x1 - x.": lambda wy, wx: torch.outer(wy, wx.flip(0)),
        "The weights in y are exchanged: the upper cell weighs y1 - y.": lambda wy, wx: torch.outer(wy.flip(0), wx),
        "Two of the four weights are exchanged: (y0, x1) weighs (1 - dy)·dx, and (y1, x0) "
        "dy·(1 - dx).": lambda wy, wx: torch.outer(wx, wy),
        "The four cells are averaged, but a nearer cell weighs more.": lambda wy, wx: torch.full((2, 2), 0.25),
        "It reads the nearest cell: take the weighted average.": lambda wy, wx: _only(torch.outer(wy, wx).argmax()),
        "It reads only the cell above and to the left: take the weighted average.": lambda wy, wx: _only(0),
        "It interpolates only in x: do the same in y.": lambda wy, wx: torch.stack((wx, 0 * wx)),
        "It interpolates only in y: do the same in x.": lambda wy, wx: torch.stack((wy, 0 * wy), dim=1),
        "The cells are weighted by their distance in a straight line: each weighs (1 - |dy|)·(1 - |dx|).": _by_distance,
    }
    place = Step(lambda y, x: (y, x)) | {
        "x and y are exchanged: y is the row and comes first, feature[:, y, x].": lambda y, x: (x, y),
        "The point is half a cell too high and left: cell (i, j) is at y = i, x = j.": lambda y, x: (y - 0.5, x - 0.5),
        "The point is half a cell too low and right: cell (i, j) is at y = i, x = j.": lambda y, x: (y + 0.5, x + 0.5),
        "The cells are counted from 1: cell (0, 0) is at y = 0, x = 0.": lambda y, x: (y - 1, x - 1),
    }
    # The nearer cell along one side, and its weight, for a point `rest` of a cell after cell `low`.
    nearer = Step(lambda low, rest, last: (low, 1 - rest)) | {
        "On a whole number floor and ceil are the same cell, and all weights are 0: take floor + 1 "
        "for the second cell, or the weights dx and 1 - dx.": lambda low, rest, last: (low, 1 - rest if rest else 0),
        "On the last row or column the value is lost: the neighbour outside weighs nothing, but the cell itself "
        "counts. Clamp the neighbour's index.": lambda low, rest, last: (low, 1 - rest if low < last else 0),
        "On the last row or column it reads one cell too early: "
        "clamp only the second neighbour.": lambda low, rest, last: (min(low, last - 1), 1 - rest),
    }

    def reference(self, feature: Tensor, y: float, x: float) -> Tensor:
        cells, weights = [], []
        for place, count in zip(self.place(y, x), feature.shape[1:], strict=True):
            place = min(max(place, 0.0), count - 1.0)
            low, rest = math.floor(place), place % 1
            nearer, weight = self.nearer(low, rest, count - 1)
            cells.append(torch.tensor([nearer, min(low + 1, count - 1)]))
            weights.append(torch.tensor([weight, rest], dtype=torch.float64))
        around = feature.double()[:, cells[0][:, None], cells[1]]  # (C, 2, 2)
        return (around * self.weights(*weights)).sum(dim=(1, 2))

    def shape_hints(self, feature: Tensor, y: float, x: float) -> Hints:
        _, h, w = feature.shape
        last = "Channels come first: the feature is (C, H, W), so a cell is feature[:, i, j]."
        return [((h, w), last), ((w,), last), ((h,), last), ((), self.wanted_shape)]

    def explain_values(self, case: tuple, right: Tensor, answer: Tensor) -> str:
        feature, y, x = case
        i, j = math.floor(y), math.floor(x)
        around = feature[:, i : i + 2, j : j + 2].flatten(1).double()  # (C, up to 4)
        low, high = around.amin(dim=1) - self.tolerance, around.amax(dim=1) + self.tolerance
        message = f"At y = {y:g}, x = {x:g} it should be {listed(right)}, but is {listed(answer)}."
        if i == y and j == x:
            return f"{message} The point lies on a cell, so it has the value of that cell."
        if ((answer < low) | (answer > high)).any():
            return f"{message} That is outside the range of the four cells around it: the weights should add up to 1."
        return message
