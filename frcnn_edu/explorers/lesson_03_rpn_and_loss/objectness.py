"""The objectness of every anchor, a map for each shape."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import traitlets
from matplotlib.axes import Axes

from frcnn_edu.explorers.base import heatmap_parts
from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.figure import outline
from frcnn_edu.explorers.lesson_03_rpn_and_loss.passes import PassExplorer, _check_passes
from frcnn_edu.explorers.wire import floats
from frcnn_edu.rpn import RPNPass
from frcnn_edu.viz.palette import COLOR_MAP, STATES, state_index

HERE = Path(__file__).parent


class ObjectnessExplorer(PassExplorer):
    """The objectness of every anchor as maps, one for each of the anchors of a cell, at every training step.

    `passes` is {training step: what the RPN made of this image}; one level, and the image not resized.
    Raises ValueError where there is no pass, or one has several levels.
    """

    _esm = bundle(HERE / "objectness.js")

    shape = traitlets.Int(0, min=0).tag(sync=True)
    """Which of the anchors of a cell the large map is about."""

    objectness = floats(1)
    """(T * A, 1) float32 in [0, 1]: network by network, anchor by anchor."""

    anchors = floats(4)
    """(A, 4) float32 in pixels."""

    def __init__(
        self,
        image: object,
        boxes: object,
        passes: Mapping[int, RPNPass],
        captions: Sequence[str] = (),
        **options: Any,
    ) -> None:
        first = _check_passes(passes)
        scores = torch.cat([one.logits[0].detach().sigmoid() for one in passes.values()])  # (T * A,)
        parts: dict[str, Any] = {
            "steps": tuple(passes),
            "snapshot": len(passes) - 1,
            "map_size": first.level_sizes[0],
            "objectness": scores[:, None],
            "anchors": first.anchors,
            "captions": list(captions),
            "title": "Objectness maps",
        }
        super().__init__(image, boxes, states="ground truth", **parts | options)

    @property
    def maps(self) -> np.ndarray:
        """The scores of the network that answers: (anchors a cell, rows, columns)."""
        per_cell, rows, columns = self.map_size
        every = self.objectness.reshape(len(self.steps), rows, columns, per_cell)
        return every[self.snapshot].transpose(2, 0, 1)

    @property
    def best(self) -> tuple[int, float]:
        """Of the chosen shape the anchor of highest score, and that score."""
        one = self.maps[self.shape]
        return int(one.argmax()) * self.map_size[0] + self.shape, float(one.max())

    @traitlets.validate("shape")
    def _check_shape(self, proposal: dict) -> int:
        if not 0 <= proposal["value"] < self.map_size[0]:
            raise ValueError(f"shape counts the {self.map_size[0]} anchors of a cell from 0, got {proposal['value']}")
        return proposal["value"]

    def draw(self, axes: Axes) -> None:
        """The map of the chosen shape, and its best anchor."""
        overlay = heatmap_parts(
            self.maps[self.shape], self.image.shape[1] / self.map_size[2], 0.65, COLOR_MAP, offset=0
        )
        x1, y1, x2, y2 = overlay["overlay_extent"]
        axes.imshow(overlay["overlay"], extent=(x1, x2, y2, y1), interpolation="nearest")
        outline(axes, torch.tensor(self.anchors[self.best[0]]), STATES[state_index("detection")])
