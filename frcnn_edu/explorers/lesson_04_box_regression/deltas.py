"""An anchor, its object and the four deltas between them."""

from pathlib import Path
from typing import Any

import torch
import traitlets
from matplotlib.axes import Axes
from torch import Tensor

from frcnn_edu.boxes import box_iou, decode_boxes, encode_boxes
from frcnn_edu.config import Config
from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.explorers.bundle import bundle, styles
from frcnn_edu.explorers.figure import outline
from frcnn_edu.viz.palette import LOOKS, SKY_BLUE, YELLOW, State

HERE = Path(__file__).parent
ANCHOR, OBJECT = 0, 1
"""The two boxes of a `DeltaExplorer`, by their index."""
PAIR = (State("anchor", SKY_BLUE, width=2.5), State("object", YELLOW, width=3))
"""How the two boxes of a `DeltaExplorer` look."""


class DeltaExplorer(BoxCanvas):
    """An anchor, an object, the deltas that lead from one to the other, and a third box: the anchor, moved by hand.

    `anchor` and `target` are (4,) in pixels. Raises ValueError where one of them has no area.
    """

    _esm = bundle(HERE / "deltas.js")
    _css = styles(HERE / "deltas.css")

    width = traitlets.Int(480, min=100).tag(sync=True)
    stay_inside = traitlets.Bool(False).tag(sync=True)

    sent = traitlets.Tuple((0.0, 0.0, 0.0, 0.0)).tag(sync=True)
    """The deltas of the sliders, which move the third box: dx, dy, dw, dh."""

    weights = traitlets.Tuple(tuple(Config().bbox_reg_weights)).tag(sync=True)
    """What the second stage multiplies its deltas by."""

    def __init__(self, image: object, anchor: object, target: object, **options: Any) -> None:
        pair = torch.stack([torch.as_tensor(box, dtype=torch.float32) for box in (anchor, target)])  # (2, 4)
        encode_boxes(pair[OBJECT:], pair[:OBJECT])  # raises where a box has no area
        given = {"states": [ANCHOR, OBJECT], "palette": PAIR, "editable": True, "margin": 40}
        super().__init__(image, pair, **{**given, **options})

    @property
    def deltas(self) -> Tensor:
        """dx, dy, dw, dh, without weights: (4,)."""
        anchor, target = self.box_tensor.split(1)
        return encode_boxes(target, anchor)[0]

    @property
    def decoded(self) -> Tensor:
        """The third box, the anchor moved by `sent`: (4,)."""
        return decode_boxes(torch.tensor([self.sent]), self.box_tensor[:OBJECT])[0]

    @property
    def weighted(self) -> Tensor:
        """The deltas times `weights`: what the second stage learns: (4,)."""
        anchor, target = self.box_tensor.split(1)
        return encode_boxes(target, anchor, self.weights)[0]

    @property
    def pixels(self) -> Tensor:
        """How far the centre must go, and how much width and height must grow, in pixels: (4,)."""
        return raw_offsets(self.box_tensor[OBJECT:], self.box_tensor[:OBJECT])[0]

    @property
    def iou(self) -> float:
        """Of the anchor with the object."""
        anchor, target = self.box_tensor.split(1)
        return box_iou(anchor, target).item()

    def scale(self, factor: float) -> None:
        """Scale anchor and object about the anchor's centre, as if the camera came nearer."""
        center = self.box_tensor[ANCHOR].unflatten(0, (2, 2)).mean(dim=0).repeat(2)  # (4,)
        self.boxes = center + factor * (self.box_tensor - center)

    def draw(self, axes: Axes) -> None:
        """The way from centre to centre, first in x, then in y, and the third box."""
        (ax, ay), (gx, gy) = self.box_tensor.unflatten(1, (2, 2)).mean(dim=1).tolist()
        axes.plot([ax, gx, gx], [ay, ay, gy], color="white", linewidth=2)
        axes.plot([ax], [ay], "o", color=SKY_BLUE, markeredgecolor="black")
        outline(axes, self.decoded, LOOKS["predicted"])

    @traitlets.validate("sent")
    def _check_sent(self, proposal: dict) -> tuple[float, ...]:
        sent = tuple(map(float, proposal["value"]))
        if len(sent) != 4:
            raise traitlets.TraitError(f"sent are four numbers, dx, dy, dw, dh; got {len(sent)}")
        return sent


def raw_offsets(gt_boxes: Tensor, anchors: Tensor) -> Tensor:
    """Deltas in bare pixels: shifts of the centre, growth of width and height: (N, 4), (N, 4) -> (N, 4)."""
    (g1, g2), (a1, a2) = (boxes.float().chunk(2, dim=1) for boxes in (gt_boxes, anchors))  # (N, 2) each
    return torch.cat(((g1 + g2) / 2 - (a1 + a2) / 2, (g2 - g1) - (a2 - a1)), dim=1)
