"""Explorers of lesson 03: what the region proposal network answers, and what its loss makes of each answer.

`ObjectnessExplorer` shows the score of every anchor as maps, one for each shape; `LossExplorer` takes equation 1 apart:
every sampled anchor with its terms, its weights and its gradient, and the column of them all that sums to the loss.

Both take passes of real networks, one for each step of a training, and draw in the browser. What the scripts
compute, properties here compute again with `losses.rpn_loss`, autograd and `boxes.decode_boxes`; the browser tests hold
the two together.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import traitlets
from torch import Tensor

from frcnn_edu.boxes import decode_boxes
from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.lesson_01_anchors import outline, with_panel
from frcnn_edu.explorers.wire import ArrayTrait, float_array
from frcnn_edu.losses import RPN_BETA, RPNLoss, rpn_loss
from frcnn_edu.matching import IGNORED, NEGATIVE, POSITIVE
from frcnn_edu.rpn import AnchorTargets, RPNPass
from frcnn_edu.viz.palette import ORANGE, STATES, State, state_index

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HERE = Path(__file__).parent
CSS = BoxCanvas._css + "".join(
    (HERE / name).read_text(encoding="utf-8") for name in ("../lesson_01_anchors/anchors.css", "rpn_loss.css")
)

LOSS_STATES = (
    STATES[state_index("positive")],
    State("negative", STATES[state_index("negative")].color, dash=(7, 5), width=1.5),
    State("not sampled", STATES[state_index("ignored")].color, dash=(2, 5), width=1),
    STATES[state_index("ground truth")],
)
"""How an anchor looks in `LossExplorer`, by its label; the object last."""

STATE_OF_LABEL = {POSITIVE: 0, NEGATIVE: 1, IGNORED: 2}
OBJECT = 3

COLORS = "cividis"
DOT = STATES[state_index("negative")].color
LARGEST_DOT = 90
"""Square points of the dot of the negative that adds most."""

PANEL_HEIGHT = 170


def _table(columns: int) -> ArrayTrait:
    """A trait for (N, columns) float32 numbers."""
    return ArrayTrait(lambda value, canvas: float_array(value, "values", columns), np.zeros((0, columns), np.float32))


class PassExplorer(BoxCanvas):
    """What the explorers share: one image, and what networks of several training steps answer on it."""

    _css = CSS

    width = traitlets.Int(420, min=100).tag(sync=True)

    steps = traitlets.Tuple().tag(sync=True)
    """How many training steps each network had behind it."""

    snapshot = traitlets.Int(0, min=0).tag(sync=True)
    """Which of them answers: an index into `steps`."""

    map_size = traitlets.Tuple((1, 1, 1)).tag(sync=True)
    """Anchors a cell, rows and columns of the feature map."""

    @traitlets.validate("snapshot")
    def _check_snapshot(self, proposal: dict) -> int:
        if not 0 <= proposal["value"] < max(len(self.steps), 1):
            raise ValueError(f"snapshot counts the {len(self.steps)} steps from 0, got {proposal['value']}")
        return proposal["value"]


class ObjectnessExplorer(PassExplorer):
    """The objectness of every anchor as maps, one for each of the anchors of a cell, at every training step.

    `passes` is {training step: what the RPN made of this image}; one level, and the image not resized.
    Raises ValueError where there is no pass, or one has several levels.
    """

    _esm = bundle(HERE / "objectness.js")

    shape = traitlets.Int(0, min=0).tag(sync=True)
    """Which of the anchors of a cell the large map is about."""

    objectness = _table(1)
    """(T * A, 1) float32 in [0, 1]: network by network, anchor by anchor."""

    anchors = _table(4)
    """(A, 4) float32 in pixels."""

    def __init__(
        self,
        image: object,
        boxes: object,
        passes: Mapping[int, RPNPass],
        captions: Sequence[str] = (),
        **options: object,
    ) -> None:
        first = _check_passes(passes)
        scores = torch.cat([one.logits[0].detach().sigmoid() for one in passes.values()])  # (T * A,)
        parts = {
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

    def draw(self, axes: "Axes") -> None:
        """The map of the chosen shape, and its best anchor."""
        height, width = self.image.shape[:2]
        wide, tall = width / self.map_size[2] / 2, height / self.map_size[1] / 2  # half a cell: squares round centres
        extent = (-wide, width - wide, height - tall, -tall)
        axes.imshow(self.maps[self.shape], COLORS, alpha=0.65, vmin=0, vmax=1, extent=extent, interpolation="nearest")
        outline(axes, torch.tensor(self.anchors[self.best[0]]), "--", ORANGE)


class LossExplorer(PassExplorer):
    """Equation 1 under the microscope: click an anchor and see all that it adds to the loss, and its gradient.

    `passes` is {training step: the RPN's pass over this image, with targets}. The sample of the last one stands for
    all, so that only the answers differ from step to step.
    Raises ValueError where there is no pass, one has several levels, or the last has no targets.
    """

    _esm = bundle(HERE / "microscope.js")

    balance = traitlets.Float(1.0, min=0).tag(sync=True)
    """Lambda of equation 1."""

    locations = traitlets.Bool(False).tag(sync=True)
    """Whether N_reg counts the cells of the map, as in the paper, or the sampled anchors, as in torchvision."""

    beta = traitlets.Float(RPN_BETA, min=0).tag(sync=True)
    """Where smooth L1 turns from a parabola into a line; 0 is plain L1."""

    num_sampled = traitlets.Int(1).tag(sync=True)

    num_locations = traitlets.Int(1).tag(sync=True)

    answers = _table(5)
    """(T * A, 5) float32: logit, dx, dy, dw, dh, network by network."""

    truth = _table(7)
    """(A, 7) float32: label, index of the object it overlaps most, IoU with it, target dx, dy, dw, dh."""

    places = _table(1)
    """(A, 1) float32: each anchor's index in the network's own order. Here sampled ones come first."""

    def __init__(
        self,
        image: object,
        boxes: Tensor,
        passes: Mapping[int, RPNPass],
        captions: Sequence[str] = (),
        **options: object,
    ) -> None:
        first = _check_passes(passes)
        targets = _targets(passes)
        order = _sampled_first(targets)  # (A,)
        truth = _truth(targets, order)  # (A, 7)
        states = [STATE_OF_LABEL[label] for label in truth[:, 0].int().tolist()] + [OBJECT] * len(boxes)
        answers = [torch.cat((one.logits[0][:, None], one.deltas[0]), dim=1)[order] for one in passes.values()]
        names = list(captions) or ["object"] * len(boxes)
        parts = {
            "steps": tuple(passes),
            "snapshot": len(passes) - 1,
            "map_size": first.level_sizes[0],
            "num_sampled": len(targets.sampled),
            "num_locations": first.level_sizes[0][1] * first.level_sizes[0][2],
            "answers": torch.cat(answers).detach(),
            "truth": truth,
            "places": order[:, None],
            "captions": [""] * len(order) + names,
            "selected": 0,
            "palette": LOSS_STATES,
            "hidden_states": [STATE_OF_LABEL[NEGATIVE], STATE_OF_LABEL[IGNORED]],
            "title": "Anchors and what each adds to the loss",
        }
        super().__init__(image, torch.cat((first.anchors[order], boxes)), states, **parts | options)

    @property
    def num_anchors(self) -> int:
        """How many anchors there are: the boxes after them are the objects."""
        return len(self.truth)

    @property
    def answer(self) -> Tensor:
        """What the chosen network says of every anchor: (A, 5) of logit, dx, dy, dw, dh."""
        return torch.tensor(self.answers).reshape(len(self.steps), -1, 5)[self.snapshot]

    @property
    def loss(self) -> RPNLoss:
        """Equation 1 with the chosen settings; its terms follow the explorer's anchors, sampled ones first."""
        return self._loss(self.answer)

    @property
    def gradients(self) -> Tensor:
        """Of the loss with respect to every answer, by autograd: (A, 5)."""
        answer = self.answer.requires_grad_()
        self._loss(answer).total.backward()
        return answer.grad

    @property
    def prediction(self) -> Tensor | None:
        """Where the network moves the selected anchor, (4,); None unless an anchor is selected."""
        if self.selected is None or self.selected >= self.num_anchors:
            return None
        one = slice(self.selected, self.selected + 1)
        return decode_boxes(self.answer[one, 1:], self.box_tensor[one])[0]

    def _loss(self, answer: Tensor) -> RPNLoss:
        truth = torch.tensor(self.truth)
        n_reg = self.num_locations if self.locations else None
        options = {"n_reg": n_reg, "balance": self.balance, "beta": self.beta}
        return rpn_loss(answer[:, 0], answer[:, 1:], truth[:, 0].long(), truth[:, 3:], **options)

    def draw(self, axes: "Axes") -> None:
        """The selected anchor, where the network moves it, and the negatives as dots, by what they add."""
        terms = self.loss.objectness_terms.where(torch.tensor(self.truth[:, 0] == NEGATIVE), 0)  # (A,)
        boxes = self.box_tensor[: self.num_anchors]
        x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2).T.numpy()
        areas = LARGEST_DOT * terms / terms.max().clamp(min=1e-9)
        axes.scatter(x, y, s=areas.numpy(), color=DOT, edgecolors="black", lw=0.5)
        if self.prediction is None:
            return
        outline(axes, self.box_tensor[self.selected], "-", LOSS_STATES[self.states[self.selected]].color, width=2.5)
        outline(axes, self.prediction, "--", ORANGE, width=2)

    def figure(self) -> "Figure":
        """The canvas, and below it every sampled anchor's share of the loss."""
        figure, axes = with_panel(super().figure(), PANEL_HEIGHT)
        loss = self.loss
        halves = torch.stack((loss.objectness_terms, loss.box_reg_terms.sum(dim=1)), dim=1)[
            : self.num_sampled
        ]  # (S, 2)
        objectness, box = halves[halves.sum(dim=1).argsort(descending=True)].T.numpy()
        places = range(self.num_sampled)
        axes.bar(places, objectness, width=1, label=f"objectness {loss.objectness:.4f}")
        axes.bar(places, box, width=1, bottom=objectness, color=ORANGE, label=f"box {loss.box_reg:.4f}")
        axes.set(xlabel="what each sampled anchor adds to the loss, largest first", xlim=(-0.5, self.num_sampled))
        axes.legend(frameon=False)
        return figure


def _check_passes(passes: Mapping[int, RPNPass]) -> RPNPass:
    """The first of the passes; raises ValueError where an explorer cannot show them."""
    if not passes:
        raise ValueError("give at least one pass: {step: model.trace([image], [target]).rpn}")
    if wrong := [step for step, one in passes.items() if len(one.level_sizes) > 1 or len(one.logits) != 1]:
        raise ValueError(f"the pass of step {wrong[0]} has several levels or images: the maps show one of each")
    return next(iter(passes.values()))


def _targets(passes: Mapping[int, RPNPass]) -> AnchorTargets:
    targets = list(passes.values())[-1].targets
    if targets is None:
        raise ValueError("the last pass has no targets: call model.trace([image], [target])")
    return targets[0]


def _sampled_first(targets: AnchorTargets) -> Tensor:
    """All anchors in the order of the explorer: the sampled ones as the loss has them, then the others: (A,)."""
    rest = torch.ones(len(targets.matches.labels), dtype=torch.bool)
    rest[targets.sampled] = False
    return torch.cat((targets.sampled, rest.nonzero().squeeze(1)))


def _truth(targets: AnchorTargets, order: Tensor) -> Tensor:
    """Label, object, IoU and target deltas of every anchor, -1 and 0 for those that were not sampled: (A, 7)."""
    truth = torch.zeros(len(order), 7)
    truth[:, 0] = IGNORED
    truth[: len(targets.sampled), 0] = targets.labels.float()
    truth[:, 1] = targets.matches.gt_index[order].float()
    truth[:, 2] = targets.matches.iou[order]
    truth[: len(targets.sampled), 3:] = targets.deltas
    return truth
