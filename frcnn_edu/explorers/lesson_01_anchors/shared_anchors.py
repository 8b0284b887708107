"""Objects that have a best anchor of their own, and objects that must share one."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.figure import outline
from frcnn_edu.explorers.lesson_01_anchors.anchor_canvas import AnchorCanvas, best_box
from frcnn_edu.explorers.still import Still
from frcnn_edu.viz.palette import GREEN, LOOKS, SHORT_DASHES, VERMILION, State

HERE = Path(__file__).parent
SHARING_STATES = (
    State("own best anchor", GREEN, width=2.5),
    State("shared best anchor", VERMILION, dash=SHORT_DASHES, width=2.5),
)


class SharedExplorer(AnchorCanvas):
    """Which objects have a best anchor of their own, and which must share it with another object."""

    _esm = bundle(HERE / "shared_anchors.js")

    def __init__(self, image: object, boxes: object, **options: Any) -> None:
        super().__init__(image, boxes, editable=True, **{"palette": SHARING_STATES} | options)

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

    def still(self) -> Still:
        """The canvas with the states that its settings give; the browser computes its own."""
        return replace(super().still(), states=self.shares.astype(np.uint8))

    def draw(self, axes: Axes) -> None:
        """The best anchors."""
        for index in range(len(self.boxes)):
            outline(axes, best_box(self, index), replace(LOOKS["square"], width=1.25))
