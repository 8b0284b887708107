"""Which cells of the map a region's gradient reaches."""

from pathlib import Path

import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.lesson_06_roi_pooling.region import OPERATORS, RegionCanvas, with_grids
from frcnn_edu.viz.palette import COLOR_MAP

HERE = Path(__file__).parent


class GradientExplorer(RegionCanvas):
    """Which cells of the map hear from the region, if each of its pooled values passes a gradient of 1 back."""

    _esm = bundle(HERE / "gradient.js")

    all_channels = traitlets.Bool(True).tag(sync=True)
    """Whether to look at the mean over all channels, or at `channel` alone."""

    @property
    def gradients(self) -> dict[str, Tensor]:
        """The gradient of every cell by operator, found by autograd: (H, W) each."""
        channels = slice(None) if self.all_channels else [self.channel]
        return {operator: self.gradient(operator, channels) for operator in OPERATORS}

    def draw(self, axes: Axes) -> None:
        """The gradient through the chosen operator, over the image."""
        _, rows, columns = self.map_size
        extent = (0, columns * self.stride, rows * self.stride, 0)
        axes.imshow(
            self.gradients[self.operator].numpy(), COLOR_MAP, alpha=0.72, extent=extent, interpolation="nearest"
        )

    def figure(self) -> Figure:
        """The canvas, and the gradient through each operator below it."""
        found = self.gradients
        return with_grids(super().figure(), {"RoIPool": found["pool"], "RoIAlign": found["align"]})

    def __repr__(self) -> str:
        channels = "all channels" if self.all_channels else f"channel {self.channel}"
        return f"GradientExplorer({channels}, on the picture: {self.operator})"
