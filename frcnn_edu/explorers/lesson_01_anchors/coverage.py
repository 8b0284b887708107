"""How well anchors fit the boxes of whole data sets."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from frcnn_edu.anchors import PAPER_ASPECT_RATIOS, PAPER_SIZES, base_anchors
from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.figure import with_panel
from frcnn_edu.explorers.lesson_01_anchors.anchor_canvas import AnchorCanvas, best_anchors
from frcnn_edu.explorers.page_state import PICTURES_ON_A_PAGE
from frcnn_edu.explorers.paper import HIGH, STRIDE
from frcnn_edu.explorers.still import Still
from frcnn_edu.explorers.wire import floats
from frcnn_edu.viz.palette import FINE_DOTS, GREEN, GREY, SHORT_DASHES, VERMILION, State

HERE = Path(__file__).parent
MISSED = 0.5
BINS = 20
"""Bars of the coverage histogram, over IoU from 0 to 1."""
FIT_STATES = (
    State("well covered", GREEN, width=2.5),
    State("half covered", GREY, dash=FINE_DOTS, width=2),
    State("missed", VERMILION, dash=SHORT_DASHES, width=2.5),
)
"""How well the best anchor fits an object: IoU from `HIGH` on, between, and below `MISSED`."""


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

    all_boxes = floats(4)
    """(N, 4) float32: every box of the data set, image after image."""

    image_sizes = floats(2)
    """(N, 2) float32: height and width of the image of every box."""

    first_box = traitlets.Int(0).tag(sync=True)
    """Where among them those of the picture begin."""

    yardstick = traitlets.Float().tag(sync=True)
    """The mean best IoU of the paper's nine anchors on this data set."""

    def __init__(self, data_sets: Mapping[str, Sequence[tuple[Tensor, Tensor]]], **options: Any) -> None:
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

    @property
    def overlaps(self) -> np.ndarray:
        """The best IoU of every box of the data set with the anchors as they are set: (N,) float32."""
        return self._overlaps(self.base, self.stride, self.offset).numpy()

    @property
    def mean(self) -> float:
        """The mean best IoU over all boxes of the data set."""
        return float(self.overlaps.mean())

    @property
    def share_covered(self) -> float:
        """The share of the boxes whose best anchor reaches `HIGH`."""
        return float((self.overlaps >= HIGH).mean())

    def recorded(self) -> list[tuple[tuple[str, ...], list[tuple]]]:
        """What a page without Python keeps the answers to: every data set, and the first pictures of each."""
        return [(("data_set", "picture"), list(product(self.names, range(PICTURES_ON_A_PAGE))))]

    def still(self) -> Still:
        """The canvas with the fits that its settings give; the browser computes its own."""
        return replace(super().still(), states=self._fits())

    def _load(self, change: dict | None = None) -> None:
        """Gather the boxes of the data set, and measure the paper's nine on them."""
        items = self._data_sets[self.data_set]
        self._ends = np.cumsum([0, *(len(boxes) for _, boxes in items)])
        counts = torch.tensor([len(boxes) for _, boxes in items])
        sizes = torch.tensor([tuple(image.shape[-2:]) for image, _ in items])  # (I, 2)
        paper = base_anchors(PAPER_SIZES, PAPER_ASPECT_RATIOS)
        with self.hold_sync():
            self.num_pictures = len(items)
            self.all_boxes = torch.cat([boxes for _, boxes in items])  # (N, 4)
            self.image_sizes = sizes.repeat_interleave(counts, dim=0)  # (N, 2)
            self.yardstick = self._overlaps(paper, STRIDE, 0.0).mean().item()
            self.picture = 0
            self._show_picture()

    def _overlaps(self, base: Tensor, stride: float, offset: float) -> Tensor:
        """(N,) best IoU of every box."""
        maps = (torch.tensor(self.image_sizes) / stride).ceil()  # (N, 2)
        return best_anchors(torch.tensor(self.all_boxes), base, maps, stride, offset).iou

    def _show_picture(self, change: dict | None = None) -> None:
        index = self.picture % self.num_pictures
        image, boxes = self._data_sets[self.data_set][index]
        with self.hold_sync():
            self.image = image
            self.first_box = int(self._ends[index])
            self.set_boxes(boxes, self._fits())

    def _fits(self) -> np.ndarray:
        """How the boxes of the picture fare, as indices into `FIT_STATES`."""
        start, end = self._ends[self.picture % self.num_pictures :][:2]
        best = self.overlaps[start:end]
        return np.where(best >= HIGH, 0, np.where(best >= MISSED, 1, 2)).astype(np.uint8)

    def figure(self) -> Figure:
        """The canvas, and the histogram of the best IoUs below it."""
        figure, axes = with_panel(super().figure(), 180)
        edges = np.linspace(0, 1, BINS + 1).tolist()
        axes.hist(self.overlaps, bins=edges, edgecolor="white")
        for bar, edge in zip(axes.patches, edges, strict=False):
            index = 0 if edge >= HIGH - 1e-6 else 1 if edge >= MISSED - 1e-6 else 2
            bar.set_facecolor(FIT_STATES[index].color)
        axes.axvline(self.mean, color="black", linewidth=1)
        axes.set(xlabel=f"best IoU of each box (mean {self.mean:.2f})", ylabel="boxes", xlim=(0, 1))
        return figure
