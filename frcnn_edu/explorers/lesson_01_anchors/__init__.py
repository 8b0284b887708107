"""Explorers of lesson 01: anchors under the hand (Faster R-CNN, section 3.1.1).

`RatioExplorer` bends one anchor, `GridExplorer` lays them over a feature map, `CoverageExplorer` asks how well they
fit a data set, and three more show what anchors are bad at: `OddShapeExplorer`, `UsefulExplorer`, `SharedExplorer`.

All but one compute in the browser, in the script named after them, so they stay alive on a page without a kernel.
`CoverageExplorer` measures the boxes of a whole data set, and that is Python's work: the result travels as bytes.
What a script computes, a property here computes again with `frcnn_edu.anchors` and `frcnn_edu.boxes`; the browser
tests hold the two together.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import traitlets
from torch import Tensor

from frcnn_edu.anchors import PAPER_ASPECT_RATIOS, PAPER_SIZES, base_anchors, grid_anchors
from frcnn_edu.boxes import box_iou, pairwise_iou
from frcnn_edu.explorers.base import BoxCanvas, Grid
from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.wire import ArrayTrait, float_array
from frcnn_edu.viz.palette import GREEN, GREY, STATES, VERMILION, State, state_index

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HERE = Path(__file__).parent
CSS = BoxCanvas._css + (HERE / "anchors.css").read_text(encoding="utf-8")

STRIDE = 16.0
HIGH, LOW = 0.7, 0.3
"""IoU from which an anchor counts as an object, and below which it counts as background (section 3.1.2)."""

RATIO_LOOKS = {"wide": ("#E69F00", "--"), "square": ("#56B4E9", "-"), "tall": ("#F07CC0", "-.")}
"""How anchors are drawn by their shape: colour, and line as matplotlib names it. The scripts have the same."""

FIT_STATES = (
    State("well covered", GREEN, width=2.5),
    State("half covered", GREY, dash=(1.5, 3), width=2),
    State("missed", VERMILION, dash=(4, 4), width=2.5),
)
"""How well the best anchor fits an object: IoU from `HIGH` on, between, and below `MISSED`."""

USE_STATES = (
    STATES[state_index("ground truth")],
    State("useful", GREEN, width=1.5),
    State("so-so", GREY, dash=(1.5, 3), width=1),
    State("useless", VERMILION, dash=(4, 4), width=1),
)
"""An anchor by its IoU with the object that it overlaps most: from `HIGH` on, between, below `LOW`."""

SHARING_STATES = (
    State("own best anchor", GREEN, width=2.5),
    State("shared best anchor", VERMILION, dash=(4, 4), width=2.5),
)

MISSED = 0.5
BINS = 20
"""Bars of the coverage histogram, over IoU from 0 to 1."""


@dataclass(frozen=True)
class BestAnchors:
    """The anchor that overlaps each of N boxes most."""

    iou: Tensor
    """(N,) float."""
    cell: Tensor
    """(N, 2) int64, row and column."""
    anchor: Tensor
    """(N,) int64, which of the anchors of that cell."""


def best_anchors(
    boxes: Tensor, base: Tensor, feature_size: tuple[int, int] | Tensor, stride: float, offset: float = 0.0
) -> BestAnchors:
    """The best anchor of the whole grid for each box, without the grid: (N, 4), (A, 4) -> `BestAnchors` of N.

    All anchors are centred on their cell, and the overlap of a centred box shrinks with its distance in x as in y;
    so only the cell nearest to each box's centre can hold the best one. `feature_size` is (H, W), or (N, 2) for boxes
    of different images.
    """
    centers = (boxes[:, :2] + boxes[:, 2:]).flip(1) / 2  # (N, 2) y, x
    last = torch.as_tensor(feature_size) - 1  # (2,) or (N, 2)
    cell = (centers / stride - offset).round().clamp(min=0).minimum(last.to(centers))  # (N, 2)
    shift = ((cell + offset) * stride).flip(1).repeat(1, 2)  # (N, 4)
    overlaps = pairwise_iou(boxes[:, None], shift[:, None] + base).squeeze(1)  # (N, A)
    anchor = overlaps.argmax(dim=1)  # (N,) max(dim=1) starts threads, which takes 20 ms where other programs are busy
    return BestAnchors(overlaps.gather(1, anchor[:, None]).squeeze(1), cell.long(), anchor)


def cells(image_size: tuple[int, int], stride: float) -> tuple[int, int]:
    """(H, W) of the feature map of an image of (height, width) pixels; a border that is left over gets a cell too."""
    height, width = image_size
    return math.ceil(height / stride), math.ceil(width / stride)


class AnchorCanvas(BoxCanvas):
    """What the explorers share: an image, its objects as boxes, and the anchors' settings as traits."""

    _css = CSS

    sizes = traitlets.Tuple(PAPER_SIZES).tag(sync=True)
    """Sides in pixels of the squares whose area the anchors have."""

    ratios = traitlets.Tuple(PAPER_ASPECT_RATIOS).tag(sync=True)
    """Heights over widths."""

    width = traitlets.Int(520, min=100).tag(sync=True)

    stride = traitlets.Float(STRIDE).tag(sync=True)
    """How many pixels a cell is wide."""

    offset = traitlets.Float(0.0, min=0, max=1).tag(sync=True)
    """Where in its cell an anchor's centre lies: 0 the corner, 0.5 the middle."""

    inverted = traitlets.Bool(False).tag(sync=True)
    """Whether to read the ratios upside down, as width over height."""

    @property
    def base(self) -> Tensor:
        """The anchors of one cell, centred on 0: (A, 4)."""
        ratios = [1 / ratio for ratio in self.ratios] if self.inverted else self.ratios
        return base_anchors(self.sizes, ratios)

    @property
    def feature_size(self) -> tuple[int, int]:
        """Rows and columns of the feature map."""
        return cells(self.image.shape[:2], self.stride)

    @property
    def anchors(self) -> Tensor:
        """All anchors of the image: (H * W * A, 4)."""
        return grid_anchors(self.base, self.feature_size, self.stride, self.offset)

    @property
    def best(self) -> BestAnchors:
        """The best anchor of each object."""
        return best_anchors(self.box_tensor, self.base, self.feature_size, self.stride, self.offset)

    @traitlets.validate("sizes", "ratios")
    def _check_settings(self, proposal: dict) -> tuple[float, ...]:
        values = tuple(float(value) for value in proposal["value"])
        base_anchors(values, values)  # raises where there is none, or one that is not above 0
        return values

    @traitlets.validate("stride")
    def _check_stride(self, proposal: dict) -> float:
        return Grid(proposal["value"]).stride


class RatioExplorer(AnchorCanvas):
    """One anchor on the first object: its size and ratio by slider, its area kept, or not, on request.

    Raises ValueError where there is no object.
    """

    _esm = bundle(HERE / "ratio.js")

    size = traitlets.Float(256.0, min=1).tag(sync=True)
    ratio = traitlets.Float(1.0, min=0.01).tag(sync=True)
    stretched = traitlets.Bool(False).tag(sync=True)
    """Whether to stretch one side only, w = size and h = size * ratio: the area is not kept then."""

    def __init__(self, image: object, boxes: object, **options: object) -> None:
        if len(boxes) == 0:
            raise ValueError("RatioExplorer compares its anchor with an object: give at least one box")
        super().__init__(image, boxes, states="ground truth", editable=True, **options)

    @property
    def anchor(self) -> Tensor:
        """The anchor, centred on the object: (4,)."""
        ratio = 1 / self.ratio if self.inverted else self.ratio
        size = self.size * math.sqrt(ratio) if self.stretched else self.size
        center = (self.box_tensor[0, :2] + self.box_tensor[0, 2:]) / 2
        return base_anchors([size], [ratio])[0] + center.repeat(2)

    @property
    def area(self) -> float:
        """Of the anchor, in square pixels."""
        x1, y1, x2, y2 = self.anchor.tolist()
        return (x2 - x1) * (y2 - y1)

    @property
    def iou(self) -> float:
        """Of the anchor with the object."""
        return box_iou(self.anchor[None], self.box_tensor[:1]).item()

    def draw(self, axes: "Axes") -> None:
        """The anchor, and the square of its size."""
        half = self.size / 2
        center = (self.anchor[:2] + self.anchor[2:]) / 2
        square = torch.cat((center - half, center + half))
        outline(axes, square, ":", "white")
        outline(axes, self.anchor, "-", RATIO_LOOKS["square"][0])


class GridExplorer(AnchorCanvas):
    """The anchors of the cell under the pointer, on a feature map whose stride and offset are sliders."""

    _esm = bundle(HERE / "grid.js")

    cell = traitlets.Tuple((0, 0)).tag(sync=True)
    """Row and column of the cell that was last pointed at."""

    margin = traitlets.Int(112, min=0).tag(sync=True)

    def __init__(self, image: object, boxes: object = (), **options: object) -> None:
        super().__init__(image, boxes, states="ground truth", **options)
        if "cell" not in options:
            rows, columns = self.feature_size
            self.cell = (rows // 2, columns // 2)
        self.observe(self._keep_cell, "stride")

    @property
    def cell_anchors(self) -> Tensor:
        """The anchors of the cell that was last pointed at: (A, 4)."""
        row, column = self.cell
        x, y = (column + self.offset) * self.stride, (row + self.offset) * self.stride
        return self.base + torch.tensor([x, y, x, y])

    def _keep_cell(self, change: dict) -> None:
        """A coarser map has fewer cells: stay on one that it has."""
        self.cell = tuple(min(place, count - 1) for place, count in zip(self.cell, self.feature_size, strict=True))

    @property
    def num_crossing(self) -> int:
        """How many anchors of the image reach over its border."""
        height, width = self.image.shape[:2]
        low, high = self.anchors[:, :2], self.anchors[:, 2:]
        outside = (low < 0).any(dim=1) | (high > torch.tensor([width, height])).any(dim=1)  # (H * W * A,)
        return int(outside.sum())

    def figure(self) -> "Figure":
        """The canvas with its cells and the anchors of one of them."""
        self.grid = Grid(self.stride, self.offset)
        try:
            return super().figure()
        finally:
            self.grid = None

    def draw(self, axes: "Axes") -> None:
        """The anchors of the cell."""
        for anchor in self.cell_anchors:
            outline(axes, anchor, *look(anchor))


class OddShapeExplorer(AnchorCanvas):
    """One object of any shape against anchors of a few: drag it, and a curve shows what its ratio costs.

    The anchors' sizes follow the object's own area, so that only its shape is to blame.
    Raises ValueError where there is no object.
    """

    _esm = bundle(HERE / "shape.js")

    def __init__(self, image: object, boxes: object, **options: object) -> None:
        if len(boxes) == 0:
            raise ValueError("OddShapeExplorer is about the shape of an object: give at least one box")
        super().__init__(image, boxes, states="ground truth", editable=True, **options)

    @property
    def base(self) -> Tensor:
        """Anchors of half, once and twice the size of the object: (A, 4)."""
        return base_anchors([part * self._object_size for part in (0.5, 1, 2)], self.ratios)

    @property
    def best_iou(self) -> float:
        """The IoU that the best anchor reaches with the object."""
        return self.best.iou[0].item()

    def curve(self, object_ratios: Tensor) -> Tensor:
        """The best IoU that objects of this area and place, but of these ratios, would find: (K,) -> (K,)."""
        center = (self.box_tensor[0, :2] + self.box_tensor[0, 2:]) / 2
        boxes = base_anchors([self._object_size], object_ratios.tolist()) + center.repeat(2)  # (K, 4)
        return best_anchors(boxes, self.base, self.feature_size, self.stride, self.offset).iou

    @property
    def _object_size(self) -> float:
        x1, y1, x2, y2 = self.box_tensor[0].tolist()
        return math.sqrt((x2 - x1) * (y2 - y1))

    def draw(self, axes: "Axes") -> None:
        """The best anchor."""
        outline(axes, best_box(self, 0), "-", RATIO_LOOKS["square"][0])

    def figure(self) -> "Figure":
        """The canvas, and the curve below it."""
        figure, axes = with_panel(super().figure(), 180)
        ratios = torch.logspace(-math.log2(12), math.log2(12), 97, base=2)
        axes.semilogx(ratios, self.curve(ratios), color="#0072B2", base=2)
        x1, y1, x2, y2 = self.box_tensor[0].tolist()
        axes.plot((y2 - y1) / (x2 - x1), self.best_iou, "o", color=VERMILION)
        ticks = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set(xlabel="height / width of the object", ylabel="best IoU", ylim=(0, 1))
        return figure


class UsefulExplorer(AnchorCanvas):
    """All anchors of an image, sorted by how well they fit the object that they overlap most.

    Only the useful ones are shown at first: the legend brings back the others.
    """

    _esm = bundle(HERE / "useful.js")

    hidden_states = traitlets.List(traitlets.Int(), [2, 3]).tag(sync=True)

    def __init__(self, image: object, boxes: object, **options: object) -> None:
        super().__init__(image, boxes, editable=True, **{"palette": USE_STATES} | options)

    @property
    def best_iou(self) -> Tensor:
        """The IoU of every anchor with the object that it overlaps most: (H * W * A,)."""
        overlaps = pairwise_iou(self.anchors, self.box_tensor)  # (H * W * A, G)
        return overlaps.amax(dim=1) if overlaps.shape[1] else overlaps.new_zeros(len(overlaps))

    @property
    def counts(self) -> dict[str, int]:
        """How many anchors there are, reach `HIGH` with an object, and do not even reach `LOW`."""
        iou = self.best_iou
        return {"all": len(iou), "high": int((iou >= HIGH).sum()), "low": int((iou < LOW).sum())}

    def draw(self, axes: "Axes") -> None:
        """The useful anchors."""
        for anchor in self.anchors[self.best_iou >= HIGH]:
            outline(axes, anchor, "-", GREEN, width=1)


class SharedExplorer(AnchorCanvas):
    """Which objects have a best anchor of their own, and which must share it with another object."""

    _esm = bundle(HERE / "shared.js")

    def __init__(self, image: object, boxes: object, **options: object) -> None:
        super().__init__(image, boxes, editable=True, **{"palette": SHARING_STATES} | options)
        self._sort()

    @property
    def shares(self) -> np.ndarray:
        """Which objects have the same best anchor as another one: (N,) bool."""
        best = self.best
        keys = [(*cell, anchor) for cell, anchor in zip(best.cell.tolist(), best.anchor.tolist(), strict=True)]
        counts = Counter(keys)
        return np.array([counts[key] > 1 for key in keys], dtype=bool)

    @property
    def num_without(self) -> int:
        """How many objects are left when each anchor has been given to one of those whose best it is."""
        best = self.best
        taken = set(zip(map(tuple, best.cell.tolist()), best.anchor.tolist(), strict=True))
        return len(self.boxes) - len(taken)

    def figure(self) -> "Figure":
        """The canvas as it stands; while the hand moves, the browser alone keeps the states."""
        self._sort()
        return super().figure()

    def _sort(self) -> None:
        self.states = self.shares.astype(np.uint8)

    def draw(self, axes: "Axes") -> None:
        """The best anchors."""
        for index in range(len(self.boxes)):
            outline(axes, best_box(self, index), "-", RATIO_LOOKS["square"][0], width=0.8)


class CoverageExplorer(AnchorCanvas):
    """How well anchors fit the boxes of whole data sets: the best IoU that any anchor reaches with each.

    `data_sets` is {name: [(image (3, H, W), boxes (N, 4)), ...]}. Raises ValueError where one has no boxes.
    """

    _esm = bundle(HERE / "coverage.js")

    width = traitlets.Int(380, min=100).tag(sync=True)

    names = traitlets.Tuple().tag(sync=True)
    """The data sets there are."""

    data_set = traitlets.Unicode().tag(sync=True)
    """The name of the one that is measured."""

    picture = traitlets.Int(0, min=0).tag(sync=True)
    """Which image of it is shown."""

    num_pictures = traitlets.Int(1).tag(sync=True)

    overlaps = ArrayTrait(lambda value, canvas: float_array(value, "overlaps"), np.zeros(0, np.float32))
    """(N,) float32: the best IoU of every box of the data set."""

    sides = ArrayTrait(lambda value, canvas: float_array(value, "sides", 2), np.zeros((0, 2), np.float32))
    """(N, 2) float32: width and height of every box."""

    yardstick = traitlets.Float().tag(sync=True)
    """The mean best IoU of the paper's nine anchors on this data set."""

    def __init__(self, data_sets: Mapping[str, Sequence[tuple[Tensor, Tensor]]], **options: object) -> None:
        if not data_sets or not all(any(len(boxes) for _, boxes in items) for items in data_sets.values()):
            raise ValueError("each data set needs at least one box, or there is nothing to cover")
        self._data_sets = {name: list(items) for name, items in data_sets.items()}
        first = next(iter(self._data_sets))
        image, boxes = self._data_sets[first][0]
        options = {"palette": FIT_STATES, "names": tuple(self._data_sets), "data_set": first} | options
        super().__init__(image, boxes, **options)
        self._load()
        self.observe(self._load, "data_set")
        self.observe(self._show_picture, "picture")
        self.observe(self._measure, ["sizes", "ratios", "stride", "offset", "inverted"])

    @property
    def mean(self) -> float:
        """The mean best IoU over all boxes of the data set."""
        return float(self.overlaps.mean())

    @property
    def share_covered(self) -> float:
        """The share of the boxes whose best anchor reaches `HIGH`."""
        return float((self.overlaps >= HIGH).mean())

    def _load(self, change: dict | None = None) -> None:
        """Gather the boxes of the data set, and measure the paper's nine on them."""
        items = self._data_sets[self.data_set]
        self._all_boxes = torch.cat([boxes for _, boxes in items])  # (N, 4)
        self._ends = np.cumsum([0, *(len(boxes) for _, boxes in items)])
        counts = torch.tensor([len(boxes) for _, boxes in items])
        sizes = torch.tensor([tuple(image.shape[-2:]) for image, _ in items])  # (I, 2)
        self._image_sizes = sizes.repeat_interleave(counts, dim=0)  # (N, 2) of the image of every box
        paper = base_anchors(PAPER_SIZES, PAPER_ASPECT_RATIOS)
        with self.hold_sync():
            self.num_pictures = len(items)
            self.sides = self._all_boxes[:, 2:] - self._all_boxes[:, :2]
            self.yardstick = self._overlaps(paper, STRIDE, 0.0).mean().item()
            self._measure()
            self.picture = 0
            self._show_picture()

    def _overlaps(self, base: Tensor, stride: float, offset: float) -> Tensor:
        """(N,) best IoU of every box."""
        maps = (self._image_sizes / stride).ceil()  # (N, 2)
        return best_anchors(self._all_boxes, base, maps, stride, offset).iou

    def _measure(self, change: dict | None = None) -> None:
        """Compute `overlaps` anew, and with them the look of the boxes shown."""
        with self.hold_sync():
            self.overlaps = self._overlaps(self.base, self.stride, self.offset)
            if len(self.boxes) == len(fits := self._fits()):
                self.states = fits

    def _show_picture(self, change: dict | None = None) -> None:
        image, boxes = self._data_sets[self.data_set][self.picture % self.num_pictures]
        with self.hold_sync():
            self.image = image
            self.set_boxes(boxes, self._fits())

    def _fits(self) -> np.ndarray:
        """How the boxes of the picture fare, as indices into `FIT_STATES`."""
        start, end = self._ends[self.picture % self.num_pictures :][:2]
        best = self.overlaps[start:end]
        return np.where(best >= HIGH, 0, np.where(best >= MISSED, 1, 2)).astype(np.uint8)

    def figure(self) -> "Figure":
        """The canvas, and the histogram of the best IoUs below it."""
        figure, axes = with_panel(super().figure(), 180)
        edges = np.linspace(0, 1, BINS + 1)
        _, _, bars = axes.hist(self.overlaps, bins=edges, edgecolor="white")
        for bar, edge in zip(bars, edges, strict=False):
            index = 0 if edge >= HIGH - 1e-6 else 1 if edge >= MISSED - 1e-6 else 2
            bar.set_facecolor(FIT_STATES[index].color)
        axes.axvline(self.mean, color="black", linewidth=1)
        axes.set(xlabel=f"best IoU of each box (mean {self.mean:.2f})", ylabel="boxes", xlim=(0, 1))
        return figure


def best_box(canvas: AnchorCanvas, index: int) -> Tensor:
    """The best anchor of object `index`: (4,)."""
    best = canvas.best
    y, x = (((best.cell[index]) + canvas.offset) * canvas.stride).tolist()
    return canvas.base[best.anchor[index]] + torch.tensor([x, y, x, y])


def look(anchor: Tensor) -> tuple[str, str]:
    """Line and colour of an anchor by its shape."""
    x1, y1, x2, y2 = anchor.tolist()
    ratio = (y2 - y1) / (x2 - x1)
    color, line = RATIO_LOOKS["wide" if ratio < 0.99 else "tall" if ratio > 1.01 else "square"]
    return line, color


def outline(axes: "Axes", box: Tensor, line: str, color: str, width: float = 1.5) -> None:
    """Draw one box on axes in image pixels."""
    from matplotlib.patches import Rectangle

    x1, y1, x2, y2 = box.tolist()
    style = {"linestyle": line, "edgecolor": color, "linewidth": width, "facecolor": "none"}
    axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, **style))


def with_panel(figure: "Figure", height: int) -> tuple["Figure", "Axes"]:
    """The figure of a canvas made higher by `height` pixels, and axes in the new strip below it."""
    width_in, old_in = figure.get_size_inches()
    new_in = old_in + height / figure.dpi
    scale = old_in / new_in
    (picture,) = figure.axes
    x, y, width, tall = picture.get_position(original=True).bounds
    figure.set_size_inches(width_in, new_in)
    picture.set_position((x, y * scale + 1 - scale, width, tall * scale))
    for legend in figure.legends:
        legend.set_bbox_to_anchor((0, 1 - scale, 1, scale), figure.transFigure)
    return figure, figure.add_axes((0.13, 0.34 * (1 - scale), 0.83, 0.58 * (1 - scale)))
