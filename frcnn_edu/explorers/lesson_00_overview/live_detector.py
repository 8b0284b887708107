"""The detector at work on shapes that one draws, drags and deletes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import traitlets
from torch import Tensor

from frcnn_edu.boxes import box_iou
from frcnn_edu.datasets.shapes import CLASS_NAMES, draw_scene
from frcnn_edu.explorers.base import BoxCanvas, box_parts, heatmap_parts
from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.page_state import NEEDS_KERNEL
from frcnn_edu.explorers.still import Still
from frcnn_edu.faster_rcnn import FasterRCNN, Trace
from frcnn_edu.viz.palette import COLOR_MAP, FINE_DOTS, GREY, SKY_BLUE, STATES, State, state_index

HERE = Path(__file__).parent
LIVE_STATES = (
    State("your shapes", GREY, FINE_DOTS, width=1),
    STATES[state_index("detection")],
    State("proposal", SKY_BLUE, width=1.5),
)
DRAWN, DETECTION, PROPOSAL = range(3)

STAGES = ("detections", "proposals", "objectness")
KINDS = ("disc", "ring", "rectangle", "triangle", "cross")
BAR_FROM = 1.5
"""The length over the thickness from which a rectangle is a bar: those of the data set have 2 and more, squares 1."""

LEAST_SCORE = 0.5
FOUND = 0.5
"""The IoU from which a detection has found a shape."""

MOST_PROPOSALS = 20
OBJECTNESS_ALPHA = 0.55
TAG = 18
"""The height of a caption in CSS pixels."""
SCENE = ("boxes", "states", "scores", "captions", "editable", "kinds", "paints", "selected", "hovered")
"""What the browser knows when it sends a scene."""

START = {
    "disc": (22, 26, 74, 78),
    "ring": (104, 18, 168, 82),
    "triangle": (190, 30, 238, 78),
    "cross": (24, 104, 80, 160),
    "square": (112, 112, 158, 158),
    "standing bar": (196, 104, 222, 180),
    "lying bar": (60, 196, 150, 230),
}
"""A scene to begin with: one shape of each class."""


class LiveDetector(BoxCanvas):
    """A scene of shapes under the hand, and what `model`, trained on generated shapes, makes of it.

    Starts with one shape of each class. Whenever the kernel is free, the browser sends the whole scene; the picture and
    the answer come back together. Raises ValueError for a model of other classes.
    """

    _esm = bundle(HERE / "live_detector.js")

    width = traitlets.Int(480, min=100).tag(sync=True)

    kinds: traitlets.List[str] = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """(N,) which of `KINDS` is drawn in each box."""

    paints: traitlets.List[int] = traitlets.List(traitlets.Int()).tag(sync=True)
    """(N,) seeds of the shapes' colours and textures."""

    background = traitlets.Int(0, min=0).tag(sync=True)
    """Which background."""

    kind = traitlets.Enum(KINDS, "disc").tag(sync=True)
    """What the hand draws next."""

    stage = traitlets.Enum(STAGES, "detections").tag(sync=True)
    """Which stage of the answer is drawn over the scene."""

    answer = traitlets.Dict().tag(sync=True)
    """`detections` and `proposals`, rows of x1, y1, x2, y2, best first; the detections' `captions`; `objectness`, at
    each cell the best score of its anchors, and its `stride`; `verdicts`, one a shape; the `number` of the scene."""

    _scene = traitlets.Dict().tag(sync=True, echo_update=False)
    """What the hand has made of the scene: `boxes`, `kinds`, `paints` and a running `number`; empty if nothing yet."""

    def __init__(self, model: FasterRCNN, **traits: Any) -> None:
        if model.num_classes != len(CLASS_NAMES):
            raise ValueError(f"the model must know {', '.join(CLASS_NAMES)}; it has {model.num_classes} classes")
        self._model, self._placing = model.eval(), False
        parts: dict[str, Any] = {
            "palette": LIVE_STATES,
            "title": "A scene to draw on, and what the detector finds in it",
        }
        super().__init__(np.zeros((1, 1, 3), np.uint8), **parts | traits)
        self.set_shapes([kind_of(name) for name in START], list(START.values()))

    def set_shapes(self, kinds: Sequence[str], boxes: object, paints: Sequence[int] | None = None) -> None:
        """Replace all shapes: N of `KINDS`, (N, 4) boxes in pixels, N seeds. Raises ValueError for other numbers."""
        self._scene = {}
        self._place(kinds, boxes, range(len(kinds)) if paints is None else paints)
        self._ask()

    def page_traits(self) -> dict[str, Any]:
        """The detector runs in Python; the front page of the site has one that runs in the browser."""
        return {NEEDS_KERNEL: True}

    @property
    def names(self) -> list[str]:
        """The class of each shape."""
        return [class_of(kind, box) for kind, box in zip(self.kinds, self.boxes.tolist(), strict=True)]

    @property
    def num_named(self) -> int:
        """How many shapes a detection finds and names rightly."""
        return sum(verdict["right"] for verdict in self.answer["verdicts"])

    def still(self) -> Still:
        """The scene, and over it the stage that is shown."""
        answer, stage = self.answer, self.stage
        rows = answer[stage] if stage != "objectness" else []
        boxes = np.concatenate((self.boxes, np.array(rows, np.float32).reshape(-1, 4)))
        states = [DRAWN] * len(self.boxes) + [PROPOSAL if stage == "proposals" else DETECTION] * len(rows)
        parts: dict[str, Any] = {"boxes": boxes, "states": np.array(states, np.uint8)}
        if stage == "detections":
            tag = TAG * self.image.shape[1] / self.width  # above its box
            parts["texts"] = [(x, y - tag, said) for (x, y, *_), said in zip(rows, answer["captions"], strict=True)]
        if stage == "objectness":
            parts |= heatmap_parts(answer["objectness"], answer["stride"], OBJECTNESS_ALPHA, COLOR_MAP, offset=0)
        return replace(super().still(), **parts)

    def __repr__(self) -> str:
        return f"LiveDetector({len(self.boxes)} shapes, {self.num_named} named correctly)"

    def _place(self, kinds: Sequence[str], boxes: object, paints: Sequence[int]) -> None:
        if unknown := set(kinds) - set(KINDS):
            raise ValueError(f"kinds must be of {', '.join(KINDS)}; got {', '.join(sorted(unknown))}")
        parts = box_parts(boxes, DRAWN, None, None, True, self.palette)
        if not len(kinds) == len(paints) == len(parts["boxes"]):
            raise ValueError(f"{len(parts['boxes'])} boxes need as many kinds and paints")
        self._placing = True
        try:
            with self.hold_sync(), self.hold_trait_notifications():
                self.kinds, self.paints = list(kinds), list(paints)
                if not self._scene:  # else the hand has said what is selected
                    self.selected = self.hovered = None
                for name, value in parts.items():
                    setattr(self, name, value)
        finally:
            self._placing = False

    @torch.no_grad()
    def _ask(self, number: int | None = None) -> None:
        """Draw the scene, let the detector look at it, and send picture and answer in one message."""
        image = draw_scene(self.box_tensor, self.names, self.paints, self.background)
        trace = self._model.trace([image])
        with self.hold_sync():
            self.image = image
            self.answer = self._read(trace) | {"number": number}

    def _read(self, trace: Trace) -> dict:
        """What the browser shows of a pass, as plain data."""
        (found,) = trace.detections or []
        sure = found.scores >= LEAST_SCORE
        boxes, scores = found.boxes[sure], found.scores[sure].tolist()
        names = [CLASS_NAMES[label] for label in found.labels[sure].tolist()]
        per_cell, rows, columns = trace.rpn.level_sizes[0]
        objectness = trace.rpn.logits[0].sigmoid().view(rows, columns, per_cell).amax(dim=2)  # (H, W)
        proposals = trace.batch.to_original(trace.rpn.proposals[0].boxes[:MOST_PROPOSALS], 0)  # (P, 4)
        return {
            "detections": boxes.tolist(),
            "captions": [f"{name} {score:.2f}" for name, score in zip(names, scores, strict=True)],
            "proposals": proposals.tolist(),
            "objectness": objectness.tolist(),
            "stride": self.image.shape[0] / rows,
            "verdicts": self._verdicts(boxes, names),
        }

    def _verdicts(self, boxes: Tensor, names: Sequence[str]) -> list[dict]:
        """For each shape its class, the detection that overlaps it most, if any, and whether the name is right."""
        overlaps = box_iou(self.box_tensor, boxes)  # (N, D)
        verdicts = []
        for is_really, row in zip(self.names, overlaps, strict=True):
            best = int(row.argmax()) if len(row) else None
            found = best if best is not None and row[best] >= FOUND else None
            verdict = {"is": is_really, "found": found, "iou": 0.0 if found is None else row[found].item()}
            verdicts.append(verdict | {"right": found is not None and names[found] == is_really})
        return verdicts

    def _should_send_property(self, key: str, value: object) -> bool:
        """Not the scene that the hand has made: the browser has it, and by now perhaps a newer one."""
        known = self._placing and self._scene and key in SCENE
        return not known and super()._should_send_property(key, value)

    @traitlets.observe("_scene")
    def _take(self, change: dict) -> None:
        scene = change["new"]
        if scene:
            self._place(scene["kinds"], scene["boxes"], scene["paints"])
            self._ask(scene["number"])

    @traitlets.observe("boxes", "background")
    def _redraw(self, change: dict) -> None:
        if self._placing or len(self.boxes) != len(self.kinds):
            return
        if change["name"] == "boxes":
            self._scene = {}
        self._ask()

    @traitlets.validate("hovered", "selected")
    def _existing(self, proposal: dict) -> int | None:
        """As in the base, but the hand may already have a shape that it has not yet told of."""
        index, count = proposal["value"], len(self._scene.get("kinds", self.kinds))
        return index if index is not None and 0 <= index < count else None


def kind_of(name: str) -> str:
    """Which of `KINDS` shapes of a class are."""
    return name if name in KINDS else "rectangle"


def class_of(kind: str, box: Sequence[float]) -> str:
    """The class of a shape that fills a box, (4,): of rectangles the sides decide."""
    if kind != "rectangle":
        return kind
    width, height = box[2] - box[0], box[3] - box[1]
    if max(width, height) < BAR_FROM * min(width, height):
        return "square"
    return "lying bar" if width > height else "standing bar"
