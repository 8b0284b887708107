"""Explorers of lesson 06: a region on a feature map under the hand (Fast R-CNN, section 2.1; Mask R-CNN, section 3).

`PoolingExplorer` pools one channel with RoIPool and RoIAlign side by side, `GradientExplorer` shows which cells learn
from a region, `HeadsExplorer` asks a trained detector what it sees in a region.

The first two compute in the browser, with what `pooling_common.js` repeats of `roi_pool`, so they stay alive on a page
without a kernel; the third asks the model, and that is Python's work. What a script computes, a property here computes
again with the package's own functions; the browser tests hold the two together.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import traitlets
from torch import Tensor

from frcnn_edu.boxes import decode_boxes
from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.lesson_01_anchors import CSS, outline, with_panel
from frcnn_edu.explorers.wire import ArrayTrait, float_array
from frcnn_edu.faster_rcnn import FasterRCNN
from frcnn_edu.images import resize_boxes
from frcnn_edu.roi_pool import MultiScaleRoIPool, roi_align, roi_pool
from frcnn_edu.viz.palette import GREEN, ORANGE, SKY_BLUE, State

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HERE = Path(__file__).parent

REGION_STATES = (State("region of interest", ORANGE, width=2.5),)
OPERATORS = ("pool", "align")
TITLES = {"pool": "RoIPool: largest of each bin", "align": "RoIAlign: mean of each bin"}
PANEL_HEIGHT = 250


class RegionCanvas(BoxCanvas):
    """What the first two explorers share: an image, a feature map of it, and one region that the hand moves.

    `features` is (C, H, W), `stride` pixels a cell; `region` is x1, y1, x2, y2 in pixels.
    Raises ValueError where the map is none or does not fit the image, or the region is not one box.
    """

    _css = CSS

    width = traitlets.Int(520, min=100).tag(sync=True)
    stride = traitlets.Float(16.0, min=1).tag(sync=True)
    map_size = traitlets.Tuple((1, 1, 1)).tag(sync=True)
    """Channels, rows and columns of the feature map."""

    features = ArrayTrait(lambda value, canvas: float_array(value, "features"), np.zeros((1, 1, 1), np.float32))
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

    def __init__(self, image: object, features: Tensor, region: object, **traits: object) -> None:
        parts = {"features": features, "map_size": tuple(features.shape), "palette": REGION_STATES}
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


class PoolingExplorer(RegionCanvas):
    """Drag a region over one channel of a feature map: bins, rounding, winners, and the grids of both operators."""

    _esm = bundle(HERE / "bins.js")

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

    def draw(self, axes: "Axes") -> None:
        """The channel over the image, and what the operator on the picture reads: cells that win, or points."""
        _, rows, columns = self.map_size
        extent = (0, columns * self.stride, rows * self.stride, 0)
        axes.imshow(self.features[self.channel], "cividis", alpha=self.opacity, extent=extent, interpolation="nearest")
        if self.operator == "pool":
            outline(axes, self.read, "--", SKY_BLUE)
            places = (self.winners.flip(1) + 0.5) * self.stride  # (W, 2) x, y
        else:
            axes.scatter(*self.value_places.T, s=4, color="white", edgecolors="black", linewidths=0.3)
            places = self.sample_points
        axes.scatter(*places.T, s=10, color=ORANGE, edgecolors="black", linewidths=0.6)

    def figure(self) -> "Figure":
        """The canvas, and both grids below it."""
        values = self.features[self.channel]
        grids = {TITLES[operator]: grid for operator, grid in self.grids.items()}
        return _with_grids(super().figure(), grids, (float(values.min()), float(values.max())))

    def __repr__(self) -> str:
        sides = " x ".join(f"{side:.0f}" for side in (self.roi[2:] - self.roi[:2]).tolist())
        return f"PoolingExplorer(channel {self.channel} of {self.map_size[0]}, a region of {sides} px)"


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

    def draw(self, axes: "Axes") -> None:
        """The gradient through the chosen operator, over the image."""
        _, rows, columns = self.map_size
        extent = (0, columns * self.stride, rows * self.stride, 0)
        axes.imshow(
            self.gradients[self.operator].numpy(), "cividis", alpha=0.72, extent=extent, interpolation="nearest"
        )

    def figure(self) -> "Figure":
        """The canvas, and the gradient through each operator below it."""
        found = self.gradients
        return _with_grids(super().figure(), {"RoIPool": found["pool"], "RoIAlign": found["align"]})

    def __repr__(self) -> str:
        channels = "all channels" if self.all_channels else f"channel {self.channel}"
        return f"GradientExplorer({channels}, on the picture: {self.operator})"


class HeadsExplorer(BoxCanvas):
    """What the second stage of `model` answers for the region: a probability and four deltas for every class.

    `image` is (3, H, W) in [0, 1], `region` x1, y1, x2, y2 in its pixels, `class_names` has the background first.
    Raises ValueError where the names are not as many as the model's classes.
    """

    _esm = bundle(HERE / "heads.js")
    _css = CSS

    width = traitlets.Int(480, min=100).tag(sync=True)
    class_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    operator = traitlets.Enum(OPERATORS, "align").tag(sync=True)
    """How the region is pooled."""

    shown_class = traitlets.Int(-1, min=-1).tag(sync=True)
    """The class whose box is drawn; -1 for the likeliest object."""

    probabilities = ArrayTrait(lambda value, canvas: float_array(value, "probabilities"), np.zeros(0, np.float32))
    """(K,) float32, the background first."""

    deltas = ArrayTrait(lambda value, canvas: float_array(value, "deltas", 4), np.zeros((0, 4), np.float32))
    """(K, 4) float32, as the network says them: times `bbox_reg_weights`."""

    answers = ArrayTrait(lambda value, canvas: float_array(value, "answers", 4), np.zeros((0, 4), np.float32))
    """(K, 4) float32: the region, moved by the deltas of each class."""

    def __init__(
        self, model: FasterRCNN, image: Tensor, region: object, class_names: Sequence[str], **traits: object
    ) -> None:
        if len(class_names) != model.num_classes:
            raise ValueError(f"the model has {model.num_classes} classes, the background counted: got {class_names}")
        with torch.no_grad():
            trace = model.eval().trace([image])
        self._model, self._batch, self._features = model, trace.batch, trace.features
        parts = {"palette": REGION_STATES, "class_names": list(class_names)}
        super().__init__(image, [list(map(float, region))], editable=True, **parts | traits)
        self._ask()
        self.observe(self._ask, ["boxes", "operator"])

    @torch.no_grad()
    def _ask(self, change: dict | None = None) -> None:
        """Pool the region, ask both heads, and send their answers in one message."""
        heads, config, batch = self._model.roi_heads, self._model.config, self._batch
        regions = resize_boxes(self.box_tensor, batch.original_sizes[0], batch.sizes[0])  # (1, 4)
        pool = MultiScaleRoIPool(heads.box_roi_pool.output_size, self.operator)
        logits, deltas = heads.box_predictor(heads.box_head(pool(self._features, [regions], batch.sizes)))
        deltas = deltas.view(-1, 4)  # (K, 4)
        moved = decode_boxes(deltas, regions.expand_as(deltas), config.bbox_reg_weights, config.log_scale_limit)
        with self.hold_sync():
            self.probabilities = logits[0].softmax(dim=0)
            self.deltas = deltas
            self.answers = batch.to_original(moved, 0)

    @property
    def likeliest(self) -> int:
        """The class of highest probability, as an index into `class_names`; 0 is the background."""
        return int(self.probabilities.argmax())

    def draw(self, axes: "Axes") -> None:
        """The region as the class shown would move it; nobody taught the background to move boxes."""
        likeliest_object = int(self.probabilities[1:].argmax()) + 1
        shown = likeliest_object if self.shown_class < 0 else self.shown_class
        outline(axes, torch.tensor(self.answers[shown]), "-", GREEN)

    def figure(self) -> "Figure":
        """The canvas, and the probability of every class below it."""
        figure, axes = with_panel(super().figure(), PANEL_HEIGHT)
        x, y, width, height = axes.get_position(original=True).bounds
        axes.set_position((x + 0.1, y, width - 0.1, height))
        axes.barh([_plain(name) for name in self.class_names], self.probabilities, color=SKY_BLUE)
        axes.invert_yaxis()
        axes.set(xlim=(0, 1), xlabel="probability")
        return figure

    def __repr__(self) -> str:
        name, probability = _plain(self.class_names[self.likeliest]), self.probabilities.max()
        return f"HeadsExplorer({name} {probability:.2f}, pooled by {self.operator})"


def _plain(class_name: str) -> str:
    return class_name.strip("_")


def _with_grids(figure: "Figure", grids: dict[str, Tensor], limits: tuple[float, float] | None = None) -> "Figure":
    """The figure of a canvas with named grids, (h, w) each, in a row below it."""
    figure, strip = with_panel(figure, PANEL_HEIGHT)
    x, _, width, height = strip.get_position(original=True).bounds
    strip.set_position((x, 0.02, width, height / 0.58 * 0.9))
    strip.set_axis_off()
    low, high = limits or (None, None)
    for number, (title, grid) in enumerate(grids.items()):
        axes = strip.inset_axes((number / len(grids), 0, 0.9 / len(grids), 0.9))
        axes.imshow(grid.numpy(), "cividis", vmin=low, vmax=high)
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
