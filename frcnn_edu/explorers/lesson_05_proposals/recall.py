"""The recall of a data set's objects after each step."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.explorers.bundle import bundle, styles
from frcnn_edu.explorers.figure import with_panel
from frcnn_edu.explorers.lesson_05_proposals.funnel import _Funnel
from frcnn_edu.explorers.lesson_05_proposals.proposal_steps import STEPS
from frcnn_edu.explorers.page_state import PICTURES_ON_A_PAGE
from frcnn_edu.explorers.still import Still
from frcnn_edu.explorers.wire import ArrayTrait, float_array
from frcnn_edu.faster_rcnn import FasterRCNN, Trace
from frcnn_edu.viz.box_plots import line_style
from frcnn_edu.viz.palette import (
    FINE_DOTS,
    GREEN,
    GREY,
    LONG_DASHES,
    RECALL_LOOKS,
    SHORT_DASHES,
    SKY_BLUE,
    VERMILION,
    State,
)

HERE = Path(__file__).parent
FUNNEL = (*STEPS[:5], "score filter", STEPS[5], "detections")
"""The steps whose recall `RecallExplorer` measures; the filter is the mistake that nobody should make."""
FATE_STATES = (
    State("detected", GREEN, width=2.5),
    State("proposed only", SKY_BLUE, dash=LONG_DASHES, width=2.5),
    State("lost on the way", GREY, dash=FINE_DOTS, width=2.5),
    State("never reached", VERMILION, dash=SHORT_DASHES, width=2.5),
)
"""What became of an object: some detection, only some proposal, only some clipped box, or none reaches the IoU."""


class RecallExplorer(BoxCanvas):
    """The recall of a data set's objects after each step of `FUNNEL`, against IoU.

    `data_set` holds (image, target) pairs, `traces` one trace for each image alone, by the detector `model`.
    Raises ValueError where the two differ in number, a trace has no detections, a detector has several levels, or there
    is no object at all.
    """

    _esm = bundle(HERE / "recall.js")
    _css = styles(HERE / "proposals.css")

    width = traitlets.Int(380, min=100).tag(sync=True)

    iou = traitlets.Float(0.5, min=0, max=1).tag(sync=True)
    """From which IoU on a box has reached an object."""

    lowest_score = traitlets.Float(0.0, min=0, max=1).tag(sync=True)
    """Boxes with a lower score do not get to NMS. The right value is 0."""

    picture = traitlets.Int(0, min=0).tag(sync=True)
    """Which image is shown."""

    num_pictures = traitlets.Int(1).tag(sync=True)

    best = ArrayTrait(
        lambda value, canvas: float_array(value, "best", canvas.num_objects), np.zeros((0, 0), np.float32)
    )
    """(S, G) float32: the best IoU that any box of the step reaches with each object."""

    num_objects = traitlets.Int(0).tag(sync=True)
    first_object = traitlets.Int(0).tag(sync=True)
    """Where in the G objects those of the picture begin."""

    counts = traitlets.Tuple().tag(sync=True)
    """(S,) boxes an image after each step, on average."""

    step_names = traitlets.Tuple(FUNNEL).tag(sync=True)

    curves = traitlets.Tuple(RECALL_LOOKS).tag(sync=True, to_json=lambda looks, _: [look.as_dict() for look in looks])
    """The steps whose curves are drawn, and how."""

    def __init__(
        self, model: FasterRCNN, data_set: Sequence[tuple[Tensor, dict]], traces: Sequence[Trace], **options: Any
    ) -> None:
        if len(data_set) != len(traces):
            raise ValueError(f"{len(data_set)} images have {len(traces)} traces; give one of each per image")
        if any(len(trace.rpn.level_sizes) > 1 for trace in traces):
            raise ValueError("the funnel is one level's: each level of a pyramid chooses its own best boxes")
        self._items = list(data_set)
        self._ends = np.cumsum([0, *(len(target["boxes"]) for _, target in self._items)])
        if self._ends[-1] == 0:
            raise ValueError("recall is a share of the objects, and this data set has none")
        self._funnel = _Funnel(traces, [target["boxes"] for _, target in self._items], model.config)
        image, target = self._items[0]
        numbers = {"num_objects": int(self._ends[-1]), "num_pictures": len(self._items)}
        super().__init__(image, target["boxes"], **{"palette": FATE_STATES} | numbers | options)
        self._measure()
        self._show_picture()
        self.observe(self._measure, "lowest_score")
        self.observe(self._show_picture, "picture")

    def recorded(self) -> list[tuple[tuple[str, ...], list[tuple]]]:
        """What a page without Python keeps the answers to: every score of the slider, and the first pictures."""
        scores = [(round(0.05 * step, 2),) for step in range(21)]
        pictures = [(index,) for index in range(min(self.num_pictures, PICTURES_ON_A_PAGE))]
        return [(("lowest_score",), scores), (("picture",), pictures)]

    @property
    def recall(self) -> dict[str, float]:
        """The share of the objects that each step reaches at `iou`."""
        return dict(zip(FUNNEL, (self.best >= self.iou).mean(axis=1).tolist(), strict=True))

    def _measure(self, change: dict | None = None) -> None:
        """Every step of every image anew, from the score filter on."""
        best, counts = self._funnel.measure(self.lowest_score)
        with self.hold_sync():
            self.counts, self.best = tuple(counts), best

    def _show_picture(self, change: dict | None = None) -> None:
        index = self.picture % self.num_pictures
        image, target = self._items[index]
        with self.hold_sync():
            self.image = image
            self.first_object = int(self._ends[index])
            self.set_boxes(target["boxes"], self._fates())

    def _fates(self) -> np.ndarray:
        """What became of the picture's objects, as indices into `FATE_STATES`: (N,) uint8."""
        start, end = self._ends[self.picture % self.num_pictures :][:2]
        clipped, proposed, detected = (
            self.best[FUNNEL.index(name), start:end] >= self.iou for name in ("clipped", STEPS[-1], "detections")
        )
        return np.where(detected, 0, np.where(proposed, 1, np.where(clipped, 2, 3))).astype(np.uint8)

    def still(self) -> Still:
        """The canvas with the fates at the chosen IoU; the browser computes its own."""
        return replace(super().still(), states=self._fates())

    def figure(self) -> Figure:
        """The canvas, and recall against IoU below it."""
        figure, axes = with_panel(super().figure(), 260)
        thresholds = np.linspace(0, 1, 101)
        for look in RECALL_LOOKS:
            recall = (self.best[FUNNEL.index(look.key), :, None] >= thresholds).mean(axis=0)
            axes.plot(thresholds, recall, label=look.label, **line_style(look))
        axes.axvline(self.iou, color="black", linewidth=1)
        axes.set(xlabel="IoU from which an object counts as reached", ylabel="recall", xlim=(0, 1), ylim=(0, 1.02))
        axes.legend(frameon=False, fontsize=8, handlelength=4)
        return figure
