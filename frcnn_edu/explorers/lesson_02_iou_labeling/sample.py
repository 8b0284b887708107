"""The anchors that one training step looks at."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import traitlets
from matplotlib.axes import Axes
from torch import Tensor

from frcnn_edu.anchors import PAPER_ASPECT_RATIOS, PAPER_SIZES, base_anchors, grid_anchors
from frcnn_edu.boxes import box_iou
from frcnn_edu.datasets.photos import Photo
from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.lesson_02_iou_labeling.label import BACKGROUND, LABEL_STATES
from frcnn_edu.explorers.page_state import PICTURES_ON_A_PAGE
from frcnn_edu.explorers.paper import STRIDE, cells
from frcnn_edu.explorers.still import Still
from frcnn_edu.matching import NEGATIVE, POSITIVE, BalancedSampler, Matcher, Sample
from frcnn_edu.viz.palette import GREEN, STATES, State, state_index

HERE = Path(__file__).parent
SAMPLE_STATES = (
    STATES[state_index("ground truth")],
    State("positive", GREEN, width=1.5, label="positive (dots)"),
    replace(LABEL_STATES[BACKGROUND], label="negative (dots)"),
)
TRUTH, ONE, ZERO = range(3)
DOT = {ONE: 30, ZERO: 12}
"""Square points of a dot in the plain picture."""


class SampleExplorer(BoxCanvas):
    """The anchors that one training step looks at, on one of several photographs, drawn by `BalancedSampler`.

    Each is a dot at its centre; pointing at one shows its box, and the legend shows all boxes of a label.
    Raises ValueError where there is no photograph.
    """

    _esm = bundle(HERE / "sample.js")

    picture = traitlets.Int(0, min=0).tag(sync=True)
    """Which photograph is shown; beyond the last one it starts again."""

    step = traitlets.Int(0, min=0).tag(sync=True)
    """Which training step: each draws anew."""

    batch_size = traitlets.Int(256, min=1).tag(sync=True)
    positive_fraction = traitlets.Float(0.5, min=0, max=1).tag(sync=True)

    width = traitlets.Int(560, min=100).tag(sync=True)

    hidden_states = traitlets.List(traitlets.Int(), [ONE, ZERO]).tag(sync=True)

    num_pictures = traitlets.Int(1).tag(sync=True)

    def __init__(self, photos: Sequence[Photo], **options: Any) -> None:
        if len(photos) == 0:
            raise ValueError("SampleExplorer draws from the anchors of photographs: give at least one")
        self._photos = list(photos)
        self._labelled: dict[int, tuple[Tensor, Tensor]] = {}
        parts: dict[str, Any] = {"palette": SAMPLE_STATES, "num_pictures": len(photos)}
        super().__init__(photos[0].image, **parts | options)
        self._show_picture()
        self.observe(self._show_picture, "picture")

    @property
    def anchors(self) -> Tensor:
        """All anchors of the photograph: (A, 4)."""
        return self._of_picture()[0]

    @property
    def labels(self) -> Tensor:
        """Theirs: (A,) int64."""
        return self._of_picture()[1]

    @property
    def sample(self) -> Sample:
        """What the step draws."""
        sampler = BalancedSampler(self.batch_size, self.positive_fraction)
        return sampler(self.labels, torch.Generator().manual_seed(self.step))

    def draw(self, axes: Axes) -> None:
        """The dots."""
        still = self.still()
        centers = still.boxes.reshape(-1, 2, 2).mean(axis=1)  # (N, 2)
        for state, area in reversed(DOT.items()):
            x, y = centers[still.states == state].T
            axes.scatter(x, y, s=area, color=SAMPLE_STATES[state].color, edgecolors="black", lw=0.5)

    def _of_picture(self) -> tuple[Tensor, Tensor]:
        index = self.picture % len(self._photos)
        if index not in self._labelled:
            photo = self._photos[index]
            height, width = photo.image.shape[1:]
            map_size = cells((height, width), STRIDE)
            anchors = grid_anchors(base_anchors(PAPER_SIZES, PAPER_ASPECT_RATIOS), map_size, STRIDE)  # (A, 4)
            self._labelled[index] = anchors, Matcher()(box_iou(anchors, photo.boxes)).labels
        return self._labelled[index]

    @property
    def tally(self) -> tuple[int, int, int, int]:
        """Positives drawn, negatives drawn, positives there are, negatives there are."""
        positives, negatives = (int((self.labels == label).sum()) for label in (POSITIVE, NEGATIVE))
        return len(self.sample.positive), len(self.sample.negative), positives, negatives

    def recorded(self) -> list[tuple[tuple[str, ...], list[tuple]]]:
        """What a page without Python keeps the answers to: the photographs."""
        return [(("picture",), [(index,) for index in range(min(self.num_pictures, PICTURES_ON_A_PAGE))])]

    def still(self) -> Still:
        """The canvas with the anchors drawn, which the browser draws itself; positives and objects lie on top."""
        sample = self.sample
        drawn = self.anchors[torch.cat((sample.negative, sample.positive))]
        states = [ZERO] * len(sample.negative) + [ONE] * len(sample.positive) + [TRUTH] * len(self.boxes)
        boxes = torch.cat((drawn, self.box_tensor)).numpy()
        return replace(super().still(), boxes=boxes, states=np.array(states, np.uint8))

    def _show_picture(self, change: dict | None = None) -> None:
        photo = self._photos[self.picture % len(self._photos)]
        with self.hold_sync():
            self.image = photo.image
            self.set_boxes(photo.boxes)
