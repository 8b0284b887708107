"""What the second stage answers for a region.

A kernel asks the model. On a page without one the script asks a copy of the heads, where they are small and pool from
one map; see `page_traits`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from frcnn_edu.boxes import decode_boxes
from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.figure import outline, with_panel
from frcnn_edu.explorers.lesson_06_roi_pooling.region import OPERATORS, PANEL_HEIGHT, REGION_STATES
from frcnn_edu.explorers.page_state import NEEDS_KERNEL
from frcnn_edu.explorers.wire import floats, integers
from frcnn_edu.faster_rcnn import FasterRCNN
from frcnn_edu.images import resize_boxes
from frcnn_edu.roi_heads import FastRCNNPredictor, TwoMLPHead
from frcnn_edu.roi_pool import MultiScaleRoIPool
from frcnn_edu.viz.palette import LOOKS, SKY_BLUE

HERE = Path(__file__).parent
MOST_WEIGHTS = 1_000_000
"""Of heads that go into a page: 2 MB."""


class HeadsExplorer(BoxCanvas):
    """What the second stage of `model` answers for the region: a probability and four deltas for every class.

    `image` is (3, H, W) in [0, 1], `region` x1, y1, x2, y2 in its pixels, `class_names` has the background first.
    Raises ValueError where the names are not as many as the model's classes.
    """

    _esm = bundle(HERE / "heads.js")

    width = traitlets.Int(480, min=100).tag(sync=True)
    class_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    operator = traitlets.Enum(OPERATORS, "align").tag(sync=True)
    """How the region is pooled."""

    shown_class = traitlets.Int(-1, min=-1).tag(sync=True)
    """The class whose box is drawn; -1 for the likeliest object."""

    probabilities = floats()
    """(K,) float32, the background first."""

    deltas = floats(4)
    """(K, 4) float32, as the network says them: times `bbox_reg_weights`."""

    answers = floats(4)
    """(K, 4) float32: the region, moved by the deltas of each class."""

    half_weights = integers(np.uint16)
    """On a page without a kernel the heads' weights, by the bits of their half precision, see `half_weights`."""

    head_sizes = traitlets.Tuple().tag(sync=True)
    """Then also the numbers of a pooled region, of the layers, and of classes."""

    features = floats()
    """Then also the feature map, (C, H, W)."""

    map_size = traitlets.Tuple().tag(sync=True)
    network_scale = traitlets.Tuple((1.0, 1.0)).tag(sync=True)
    """How much larger the image is for the network, in x and in y."""

    weights = traitlets.Tuple().tag(sync=True)
    """By what the deltas are divided, `bbox_reg_weights`."""

    def __init__(
        self,
        model: FasterRCNN,
        image: Tensor,
        region: Sequence[float] | Tensor,
        class_names: Sequence[str],
        **traits: Any,
    ) -> None:
        if len(class_names) != model.num_classes:
            raise ValueError(f"the model has {model.num_classes} classes, the background counted: got {class_names}")
        with torch.no_grad():
            trace = model.eval().trace([image])
        self._model, self._batch, self._features = model, trace.batch, trace.features
        parts: dict[str, Any] = {"palette": REGION_STATES, "class_names": list(class_names)}
        parts["weights"] = tuple(model.config.bbox_reg_weights)
        super().__init__(image, [list(map(float, region))], editable=True, **parts | traits)
        self._ask()
        self.observe(self._ask, ["boxes", "operator"])

    @torch.no_grad()
    def _ask(self, change: dict | None = None) -> None:
        """Pool the region, ask both heads, and send their answers in one message."""
        heads, config, batch = self._model.roi_heads, self._model.config, self._batch
        regions = resize_boxes(self.box_tensor, batch.original_sizes[0], batch.sizes[0])  # (1, 4)
        output_size: Any = heads.box_roi_pool.output_size  # of any module that pools: int or (rows, columns)
        pool = MultiScaleRoIPool(output_size, self.operator)
        logits, deltas = heads.box_predictor(heads.box_head(pool(self._features, [regions], batch.sizes)))
        deltas = deltas.view(-1, 4)  # (K, 4)
        moved = decode_boxes(deltas, regions.expand_as(deltas), config.bbox_reg_weights, config.log_scale_limit)
        with self.hold_sync():
            self.probabilities = logits[0].softmax(dim=0)
            self.deltas = deltas
            self.answers = batch.to_original(moved, 0)

    def page_traits(self) -> dict[str, Any]:
        """What the script needs to answer by itself; nothing for heads that are too large, or pool from a pyramid."""
        heads, maps = self._model.roi_heads, list(self._features.values())
        head, predictor = heads.box_head, heads.box_predictor
        if not (isinstance(head, TwoMLPHead) and isinstance(predictor, FastRCNNPredictor)) or len(maps) > 1:
            return {NEEDS_KERNEL: True}
        if sum(part.numel() for part in heads.parameters()) > MOST_WEIGHTS:
            return {NEEDS_KERNEL: True}
        bits = half_weights(head, predictor)
        (height, width), (old_height, old_width) = self._batch.sizes[0], self._batch.original_sizes[0]
        return {
            "half_weights": bits.tobytes(),
            "head_sizes": [head.fc6.in_features, head.fc7.in_features, len(self.class_names)],
            "features": maps[0][0].numpy().astype("<f4").tobytes(),
            "map_size": list(maps[0].shape[1:]),
            "network_scale": [width / old_width, height / old_height],
        }

    @property
    def likeliest(self) -> int:
        """The class of highest probability, as an index into `class_names`; 0 is the background."""
        return int(self.probabilities.argmax())

    def draw(self, axes: Axes) -> None:
        """The region as the class shown would move it; nobody taught the background to move boxes."""
        likeliest_object = int(self.probabilities[1:].argmax()) + 1
        shown = likeliest_object if self.shown_class < 0 else self.shown_class
        outline(axes, torch.tensor(self.answers[shown]), LOOKS["answer"])

    def figure(self) -> Figure:
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


def half_weights(head: nn.Module, predictor: nn.Module) -> np.ndarray:
    """Weight and bias of each layer, one after another, in half precision: (W,) float16.

    `head` is a `TwoMLPHead`, `predictor` a `FastRCNNPredictor`; raises AttributeError for others.
    """
    layers = [head.get_submodule(name) for name in ("fc6", "fc7")]
    layers += [predictor.get_submodule(name) for name in ("cls_score", "bbox_pred")]
    parts = [layer.get_parameter(name).detach().flatten() for layer in layers for name in ("weight", "bias")]
    return torch.cat(parts).half().numpy().astype("<f2")


def _plain(class_name: str) -> str:
    return class_name.strip("_")
