"""What the first two explorers of lesson 06 share: a feature map of an image, and a region on it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.explorers.figure import with_panel
from frcnn_edu.explorers.wire import floats
from frcnn_edu.roi_pool import roi_align, roi_pool
from frcnn_edu.viz.palette import COLOR_MAP, ORANGE, State

HERE = Path(__file__).parent
REGION_STATES = (State("region of interest", ORANGE, width=2.5),)
OPERATORS = ("pool", "align")
PANEL_HEIGHT = 250


class RegionCanvas(BoxCanvas):
    """What the first two explorers share: an image, a feature map of it, and one region that the hand moves.

    `features` is (C, H, W), `stride` pixels a cell; `region` is x1, y1, x2, y2 in pixels.
    Raises ValueError where the map is none or does not fit the image, or the region is not one box.
    """

    width = traitlets.Int(520, min=100).tag(sync=True)
    stride = traitlets.Float(16.0, min=1).tag(sync=True)
    map_size = traitlets.Tuple((1, 1, 1)).tag(sync=True)
    """Channels, rows and columns of the feature map."""

    features = floats()
    """(C, H, W) float32."""

    channel = traitlets.Int(0, min=0).tag(sync=True)
    """Which channel of the map is looked at."""

    bins = traitlets.Int(7, min=1, max=14).tag(sync=True)
    """Rows, and columns, of the pooled grid."""

    samples = traitlets.Int(2, min=1, max=4).tag(sync=True)
    """How many points RoIAlign reads in each bin, each way."""

    aligned = traitlets.Bool(False).tag(sync=True)
    """Whether RoIAlign takes the value of a cell to lie in its middle."""

    operator = traitlets.Enum(OPERATORS, "pool").tag(sync=True)
    """Which operator is drawn on the picture."""

    def __init__(self, image: object, features: Tensor, region: Sequence[float] | Tensor, **traits: Any) -> None:
        parts: dict[str, Any] = {"features": features, "map_size": tuple(features.shape), "palette": REGION_STATES}
        super().__init__(image, [list(map(float, region))], editable=True, **parts | traits)
        _check_map(self.map_size, self.image.shape[:2], self.stride)

    @property
    def roi(self) -> Tensor:
        """The region: (4,) in pixels."""
        return self.box_tensor[0]

    @property
    def map_tensor(self) -> Tensor:
        """The feature map as a tensor of its own, a batch of one: (1, C, H, W)."""
        return torch.tensor(self.features)[None]

    def pooled(self, operator: str, features: Tensor | None = None) -> Tensor:
        """What "pool" or "align" makes of the region, in all channels: (C, P, P); of another map on request."""
        features = self.map_tensor if features is None else features
        if operator == "pool":
            return roi_pool(features, [self.box_tensor], self.bins, 1 / self.stride)[0]
        return roi_align(features, [self.box_tensor], self.bins, 1 / self.stride, self.samples, self.aligned)[0]

    def gradient(self, operator: str, channels: slice | list[int]) -> Tensor:
        """What each cell hears, in the mean over `channels`, if every pooled value sends 1 back: (H, W)."""
        features = self.map_tensor[:, channels].requires_grad_()  # (1, c, H, W)
        (gradient,) = torch.autograd.grad(self.pooled(operator, features).sum(), features)
        return gradient[0].mean(dim=0)

    @traitlets.validate("channel")
    def _check_channel(self, proposal: dict) -> int:
        if not 0 <= proposal["value"] < self.map_size[0]:
            raise ValueError(f"channel counts from 0 to {self.map_size[0] - 1}, got {proposal['value']}")
        return proposal["value"]


def with_grids(figure: Figure, grids: dict[str, Tensor], limits: tuple[float, float] | None = None) -> Figure:
    """The figure of a canvas with named grids, (h, w) each, in a row below it."""
    figure, strip = with_panel(figure, PANEL_HEIGHT)
    x, _, width, height = strip.get_position(original=True).bounds
    strip.set_position((x, 0.02, width, height / 0.58 * 0.9))
    strip.set_axis_off()
    low, high = limits or (None, None)
    for number, (title, grid) in enumerate(grids.items()):
        axes = strip.inset_axes((number / len(grids), 0, 0.9 / len(grids), 0.9))
        axes.imshow(grid.numpy(), COLOR_MAP, vmin=low, vmax=high)
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    return figure


def _check_map(map_size: tuple[int, ...], image_size: tuple[int, int], stride: float) -> None:
    if len(map_size) != 3:
        raise ValueError(f"features must be (C, H, W), got {map_size}; of a batch take one: features[0]")
    expected = tuple(-(-side // int(stride)) for side in image_size)
    if tuple(map_size[1:]) != expected:
        raise ValueError(
            f"an image of {image_size[0]} x {image_size[1]} px has a map of {expected[0]} x {expected[1]} cells "
            f"at stride {stride:g}, got {map_size[1]} x {map_size[2]}"
        )
