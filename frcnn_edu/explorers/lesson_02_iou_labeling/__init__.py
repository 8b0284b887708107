"""Explorers of lesson 02: from overlap to a label, from labels to a training step (Faster R-CNN, section 3.1.2).

`IoUExplorer` measures two boxes, `LabelExplorer` labels every anchor of a photograph while an object is dragged, and
`SampleExplorer` draws the anchors that a training step looks at.

The first two compute in the browser, in the script named after them, and so follow the hand; their properties compute
the same with `frcnn_edu.boxes` and `frcnn_edu.matching`, and the browser tests hold the two together. The third asks
Python's `BalancedSampler`, whose random numbers no script could repeat.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import traitlets
from torch import Tensor

from frcnn_edu.anchors import PAPER_ASPECT_RATIOS, PAPER_SIZES, base_anchors, grid_anchors
from frcnn_edu.boxes import box_iou, clip_boxes
from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.lesson_01_anchors import CSS, HIGH, LOW, STRIDE, cells, with_panel
from frcnn_edu.matching import IGNORED, NEGATIVE, POSITIVE, BalancedSampler, Matcher, Matches, Sample
from frcnn_edu.viz.palette import GREEN, GREY, PURPLE, SKY_BLUE, STATES, VERMILION, YELLOW, State, state_index

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from frcnn_edu.datasets.photos import Photo

HERE = Path(__file__).parent

PAIR_STATES = (State("object", YELLOW, width=3), State("anchor", SKY_BLUE, width=3))

TRUTH, BY_IOU, BY_RULE, UNSURE, BACKGROUND, DROPPED = range(6)
LABEL_STATES = (
    STATES[state_index("ground truth")],
    State("positive", GREEN, width=1.5),
    State("best anchor only", SKY_BLUE, width=3),
    State("ignored", GREY, dash=(2, 4), width=1),
    State("negative", VERMILION, dash=(7, 5), width=1),
    State("over the border", PURPLE, dash=(9, 3, 2, 3), width=1),
)
"""What labelling can make of an anchor; `labeling_grid.js` counts on this order."""

SAMPLE_STATES = (STATES[state_index("ground truth")], State("positive", GREEN, width=1.5), LABEL_STATES[BACKGROUND])

MOSAIC_ALPHA = {BY_IOU: 255, BY_RULE: 255, UNSURE: 120, BACKGROUND: 70, DROPPED: 0, TRUTH: 0}
"""How opaque an anchor's square in the mosaic is, by its state. The script has the same."""

SHADE = 0.35
"""How much the mosaic darkens the image, to stand out. The script has the same."""

CURVE = "#0072B2"

FACTORS = (0.25, 0.5, 1, 2, 4)

SHIFTS = torch.linspace(-1, 1, 81)
"""Where the curve over shifts is measured, in widths of the anchor."""

SCALES = torch.logspace(-2, 2, 81, base=2)
"""Where the curve over scales is measured, as factors of the anchor's size."""


class IoUExplorer(BoxCanvas):
    """Two boxes to drag, an object and an anchor: overlap, union, IoU, and what shifting or scaling the anchor does.

    Raises ValueError unless there are two boxes.
    """

    _esm = bundle(HERE / "pair.js")
    _css = CSS

    width = traitlets.Int(460, min=100).tag(sync=True)

    def __init__(self, image: object, boxes: object, **options: object) -> None:
        if len(boxes) != 2:
            raise ValueError(f"IoUExplorer compares an object with an anchor: give two boxes, got {len(boxes)}")
        super().__init__(image, boxes, states=[0, 1], editable=True, **{"palette": PAIR_STATES} | options)

    @property
    def overlap(self) -> float:
        """The area that the two boxes share, in square pixels."""
        return self._areas()[0]

    @property
    def union(self) -> float:
        """The area that they cover together, in square pixels."""
        return self._areas()[1]

    @property
    def iou(self) -> float:
        """The one over the other."""
        return box_iou(self.box_tensor[:1], self.box_tensor[1:]).item()

    def shift_curve(self, shifts: Tensor = SHIFTS) -> Tensor:
        """The IoU if the anchor stood so many of its widths further right: (K,) -> (K,)."""
        anchor = self.box_tensor[1]
        step = (anchor[2] - anchor[0]) * torch.tensor([1.0, 0, 1, 0])  # (4,)
        return box_iou(anchor + shifts[:, None] * step, self.box_tensor[:1]).squeeze(1)

    def scale_curve(self, scales: Tensor = SCALES) -> Tensor:
        """The IoU if both sides of the anchor were so many times as long, its centre kept: (K,) -> (K,)."""
        anchor = self.box_tensor[1]
        center = ((anchor[:2] + anchor[2:]) / 2).repeat(2)  # (4,)
        return box_iou(center + scales[:, None] * (anchor - center), self.box_tensor[:1]).squeeze(1)

    def draw(self, axes: "Axes") -> None:
        """The shared area."""
        from matplotlib.patches import Rectangle

        x1, y1, x2, y2 = self._shared().tolist()
        if x2 > x1 and y2 > y1:
            axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, facecolor=GREEN, alpha=0.5))

    def figure(self) -> "Figure":
        """The canvas, and the two curves below it."""
        figure, axes = with_panel(super().figure(), 180)
        x, y, width, height = axes.get_position().bounds
        axes.set_position((x, y, 0.46 * width, height))
        other = figure.add_axes((x + 0.54 * width, y, 0.46 * width, height), sharey=axes)
        shift = (self.box_tensor[1, 2] - self.box_tensor[1, 0]).item()
        axes.plot(SHIFTS * shift, self.shift_curve(), color=CURVE)
        other.semilogx(SCALES, self.scale_curve(), color=CURVE, base=2)
        for ax, here in ((axes, 0), (other, 1)):
            ax.plot(here, self.iou, "o", color=VERMILION)
            for level in (LOW, HIGH):
                ax.axhline(level, color=GREY, lw=1)
        axes.set(ylim=(0, 1), yticks=(0, LOW, HIGH, 1), ylabel="IoU", xlabel="anchor shifted, px")
        other.set(xlabel="anchor scaled, times", xticks=FACTORS, xticklabels=[f"{factor:g}" for factor in FACTORS])
        other.tick_params(labelleft=False)
        return figure

    def _shared(self) -> Tensor:
        first, second = self.box_tensor
        return torch.cat((torch.maximum(first[:2], second[:2]), torch.minimum(first[2:], second[2:])))  # (4,)

    def _areas(self) -> tuple[float, float]:
        x1, y1, x2, y2 = self._shared().tolist()
        overlap = max(x2 - x1, 0) * max(y2 - y1, 0)
        sides = self.box_tensor[:, 2:] - self.box_tensor[:, :2]  # (2, 2)
        return overlap, sides.prod(dim=1).sum().item() - overlap


class LabelExplorer(BoxCanvas):
    """Every anchor of an image and the label that the objects give it, while an object is dragged.

    A mosaic has one small square per anchor round the anchor's centre, columns by size and rows by ratio; pointing at
    one shows its anchor, and the legend shows all anchors of a state. The objects are the first boxes.
    """

    _esm = bundle(HERE / "grid.js")
    _css = CSS

    high = traitlets.Float(0.7, min=0, max=1).tag(sync=True)
    """IoU from which an anchor is positive."""

    low = traitlets.Float(0.3, min=0, max=1).tag(sync=True)
    """IoU below which it is negative; never above `high`."""

    best_rule = traitlets.Bool(True).tag(sync=True)
    """Whether the best anchors of an object are positive, whatever their IoU."""

    drop_crossing = traitlets.Bool(False).tag(sync=True)
    """Whether anchors that reach over the border are left out."""

    mosaic = traitlets.Bool(True).tag(sync=True)
    """Whether to show the squares."""

    width = traitlets.Int(560, min=100).tag(sync=True)

    stride = traitlets.Float(STRIDE).tag(sync=True)
    num_objects = traitlets.Int(0).tag(sync=True)
    _cells = traitlets.Tuple((1, 1, 1, 1)).tag(sync=True)
    """Rows and columns of the map, rows and columns of squares in a cell."""

    def __init__(
        self,
        image: object,
        boxes: object,
        sizes: Sequence[float] = PAPER_SIZES,
        ratios: Sequence[float] = PAPER_ASPECT_RATIOS,
        stride: float = STRIDE,
        captions: Sequence[str] | None = None,
        **options: object,
    ) -> None:
        defaults = {"palette": LABEL_STATES, "hidden_states": [BY_IOU, BY_RULE, UNSURE, BACKGROUND, DROPPED]}
        super().__init__(image, **defaults | options)
        objects = torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4)  # (G, 4)
        map_size = cells(self.image.shape[:2], stride)
        anchors = grid_anchors(base_anchors(sizes, ratios), map_size, stride)  # (A, 4)
        captions = list(captions or [f"object {index}" for index in range(len(objects))])
        self.stride, self.num_objects = stride, len(objects)
        self._cells = (*map_size, len(ratios), len(sizes))
        self.set_boxes(
            torch.cat((objects, anchors)),
            [TRUTH] * len(objects) + [BACKGROUND] * len(anchors),
            captions=captions + [""] * len(anchors),
            editable=np.arange(len(objects) + len(anchors)) < len(objects),
        )
        self._relabel()

    @property
    def objects(self) -> Tensor:
        """(G, 4): where the hand has left them."""
        return self.box_tensor[: self.num_objects]

    @property
    def anchors(self) -> Tensor:
        """(A, 4): rows, then columns, then the anchors of the cell."""
        return self.box_tensor[self.num_objects :]

    @property
    def inside(self) -> Tensor:
        """Which anchors take part: (A,) bool; all, unless those over the border are dropped."""
        if not self.drop_crossing:
            return torch.ones(len(self.anchors), dtype=torch.bool)
        return (self.anchors == clip_boxes(self.anchors, self.image.shape[:2])).all(dim=1)

    @property
    def matches(self) -> Matches:
        """What matching says of the anchors, as in training."""
        inside = self.inside
        found = Matcher(self.high, self.low, self.best_rule)(box_iou(self.anchors, self.objects) * inside[:, None])
        return Matches(found.labels.where(inside, IGNORED), found.gt_index, found.iou)

    @property
    def anchor_states(self) -> Tensor:
        """(A,) int64: indices into `LABEL_STATES`."""
        matches = self.matches
        states = torch.full_like(matches.labels, UNSURE)
        states = states.masked_fill(matches.labels == NEGATIVE, BACKGROUND)
        states = states.masked_fill(matches.labels == POSITIVE, BY_RULE)
        states = states.masked_fill((matches.labels == POSITIVE) & (matches.iou >= self.high), BY_IOU)
        return states.masked_fill(~self.inside, DROPPED)

    @property
    def counts(self) -> dict[str, int]:
        """How many anchors are what; "unserved" counts the objects that no positive anchor stands for."""
        matches, states = self.matches, self.anchor_states
        count = torch.bincount(states, minlength=len(LABEL_STATES)).tolist()
        served = matches.gt_index[matches.labels == POSITIVE].unique()
        return {
            "positive": count[BY_IOU] + count[BY_RULE],
            "by rule": count[BY_RULE],
            "ignored": count[UNSURE],
            "negative": count[BACKGROUND],
            "dropped": count[DROPPED],
            "unserved": self.num_objects - len(served),
        }

    def figure(self) -> "Figure":
        """The canvas as it stands; while the hand moves, the browser alone keeps the states."""
        self._relabel()
        return super().figure()

    def draw(self, axes: "Axes") -> None:
        """The mosaic."""
        from matplotlib.patches import Rectangle

        if not self.mosaic:
            return
        rows, columns, high, wide = self._cells
        colors = [
            [int(state.color[k : k + 2], 16) for k in (1, 3, 5)] + [MOSAIC_ALPHA[i]]
            for i, state in enumerate(LABEL_STATES)
        ]
        squares = torch.tensor(colors, dtype=torch.uint8)[self.anchor_states]  # (A, 4)
        squares = squares.reshape(rows, columns, high, wide, 4).permute(0, 2, 1, 3, 4)
        pixels = squares.reshape(rows * high, columns * wide, 4).numpy()
        half = self.stride / 2
        extent = (-half, columns * self.stride - half, rows * self.stride - half, -half)
        height, width = self.image.shape[:2]
        axes.add_patch(Rectangle((0, 0), width, height, facecolor="black", alpha=SHADE, zorder=0.2))
        axes.imshow(pixels, extent=extent, interpolation="nearest", zorder=0.4)

    @traitlets.validate("low", "high")
    def _check_thresholds(self, proposal: dict) -> float:
        """A threshold stops at the other one, as the sliders do."""
        if proposal["trait"].name == "low":
            return min(proposal["value"], self.high)
        return max(proposal["value"], self.low)

    def _relabel(self) -> None:
        self.states = np.concatenate((np.zeros(self.num_objects, np.uint8), self.anchor_states.numpy()))


class SampleExplorer(BoxCanvas):
    """The anchors that one training step looks at, on one of several photographs, drawn by `BalancedSampler`.

    Raises ValueError where there is no photograph.
    """

    _esm = bundle(HERE / "sample.js")
    _css = CSS

    picture = traitlets.Int(0, min=0).tag(sync=True)
    """Which photograph is shown; beyond the last one it starts again."""

    step = traitlets.Int(0, min=0).tag(sync=True)
    """Which training step: each draws anew."""

    batch_size = traitlets.Int(256, min=1).tag(sync=True)
    positive_fraction = traitlets.Float(0.5, min=0, max=1).tag(sync=True)

    width = traitlets.Int(560, min=100).tag(sync=True)

    num_pictures = traitlets.Int(1).tag(sync=True)
    tally = traitlets.Tuple((0, 0, 0, 0)).tag(sync=True)
    """Positives drawn, negatives drawn, positives there are, negatives there are."""

    def __init__(self, photos: Sequence["Photo"], **options: object) -> None:
        if len(photos) == 0:
            raise ValueError("SampleExplorer draws from the anchors of photographs: give at least one")
        self._photos, self._labelled = list(photos), {}
        options = {"palette": SAMPLE_STATES, "num_pictures": len(photos)} | options
        super().__init__(photos[0].image, **options)
        self._show()
        self.observe(self._show, ["picture", "step", "batch_size", "positive_fraction"])

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

    def _of_picture(self) -> tuple[Tensor, Tensor]:
        index = self.picture % len(self._photos)
        if index not in self._labelled:
            photo = self._photos[index]
            map_size = cells(tuple(photo.image.shape[1:]), STRIDE)
            anchors = grid_anchors(base_anchors(PAPER_SIZES, PAPER_ASPECT_RATIOS), map_size, STRIDE)  # (A, 4)
            self._labelled[index] = anchors, Matcher()(box_iou(anchors, photo.boxes)).labels
        return self._labelled[index]

    def _show(self, change: dict | None = None) -> None:
        photo, sample = self._photos[self.picture % len(self._photos)], self.sample
        drawn = torch.cat((sample.negative, sample.positive))  # positives last, so that they lie on top
        states = [2] * len(sample.negative) + [1] * len(sample.positive) + [0] * len(photo.boxes)
        there = [int((self.labels == label).sum()) for label in (POSITIVE, NEGATIVE)]
        with self.hold_sync():
            if change is None or change["name"] == "picture":
                self.image = photo.image
            self.set_boxes(torch.cat((self.anchors[drawn], photo.boxes)), states)
            self.tally = (len(sample.positive), len(sample.negative), *there)
