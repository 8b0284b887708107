"""RoIPool and RoIAlign of one region, side by side."""

from pathlib import Path

import torch
import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.figure import outline
from frcnn_edu.explorers.lesson_06_roi_pooling.region import OPERATORS, RegionCanvas, with_grids
from frcnn_edu.viz.palette import COLOR_MAP, LOOKS, ORANGE

HERE = Path(__file__).parent
TITLES = {"pool": "RoIPool: largest of each bin", "align": "RoIAlign: mean of each bin"}


class PoolingExplorer(RegionCanvas):
    """Drag a region over one channel of a feature map: bins, rounding, winners, and the grids of both operators."""

    _esm = bundle(HERE / "pooling.js")

    opacity = traitlets.Float(0.65, min=0, max=1).tag(sync=True)
    """How much of the image the map covers."""

    @property
    def read(self) -> Tensor:
        """The cells that RoIPool reads, all bins together, as a box in pixels: (4,)."""
        used = self.cells_read  # (H, W)
        rows, columns = used.any(dim=1).nonzero(), used.any(dim=0).nonzero()
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if used.any() else [0, 0, 0, 0]
        return torch.tensor([float(edge) for edge in edges]) * self.stride

    @property
    def cells_read(self) -> Tensor:
        """Which cells lie in some bin of RoIPool, found by asking it: (H, W) bool.

        A map that is 1 on one cell and 0 elsewhere pools to something only if a bin holds the cell.
        """
        _, height, width = self.map_size
        single = torch.eye(height * width).view(1, height * width, height, width)
        return self.pooled("pool", single).flatten(1).any(dim=1).view(height, width)

    @property
    def edges_moved(self) -> Tensor:
        """By how many pixels rounding moved x1, y1, x2, y2: (4,)."""
        return self.read - self.roi

    @property
    def grids(self) -> dict[str, Tensor]:
        """The pooled grids of the channel by operator, "pool" and "align": (P, P) each."""
        channel = self.map_tensor[:, [self.channel]]
        return {operator: self.pooled(operator, channel)[0] for operator in OPERATORS}

    @property
    def winners(self) -> Tensor:
        """The cells of the channel that hold the maximum of some bin of RoIPool: (W, 2) int64, row and column."""
        return self.gradient("pool", [self.channel]).nonzero()

    @property
    def sample_points(self) -> Tensor:
        """Where RoIAlign reads: (P * S * P * S, 2), x and y in pixels, row by row."""
        count = self.bins * self.samples
        sides = self.roi[2:] - self.roi[:2]  # (2,)
        step = (sides if self.aligned else sides.clamp(min=self.stride)) / count  # (2,)
        y, x = ((torch.arange(count) + 0.5) * step[axis] + self.roi[axis] for axis in (1, 0))
        return torch.cartesian_prod(y, x).flip(1)

    @property
    def value_places(self) -> Tensor:
        """Where RoIAlign takes the values of the map to lie: (H * W, 2), x and y in pixels, row by row."""
        _, rows, columns = self.map_size
        cells = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).flip(1)  # (H * W, 2) x, y
        return (cells + (0.5 if self.aligned else 0)) * self.stride

    def draw(self, axes: Axes) -> None:
        """The channel over the image, and what the operator on the picture reads: cells that win, or points."""
        _, rows, columns = self.map_size
        extent = (0, columns * self.stride, rows * self.stride, 0)
        axes.imshow(self.features[self.channel], COLOR_MAP, alpha=self.opacity, extent=extent, interpolation="nearest")
        if self.operator == "pool":
            outline(axes, self.read, LOOKS["read"])
            places = (self.winners.flip(1) + 0.5) * self.stride  # (W, 2) x, y
        else:
            x, y = self.value_places.T
            axes.scatter(x, y, s=4, color="white", edgecolors="black", linewidths=0.3)
            places = self.sample_points
        x, y = places.T
        axes.scatter(x, y, s=10, color=ORANGE, edgecolors="black", linewidths=0.6)

    def figure(self) -> Figure:
        """The canvas, and both grids below it."""
        values = self.features[self.channel]
        grids = {TITLES[operator]: grid for operator, grid in self.grids.items()}
        return with_grids(super().figure(), grids, (float(values.min()), float(values.max())))

    def __repr__(self) -> str:
        sides = " x ".join(f"{side:.0f}" for side in (self.roi[2:] - self.roi[:2]).tolist())
        return f"PoolingExplorer(channel {self.channel} of {self.map_size[0]}, a region of {sides} px)"
