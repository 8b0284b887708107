"""Equation 1, anchor by anchor."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from frcnn_edu.boxes import decode_boxes
from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.figure import outline, with_panel
from frcnn_edu.explorers.lesson_03_rpn_and_loss.passes import PassExplorer, _check_passes
from frcnn_edu.explorers.wire import floats
from frcnn_edu.losses import RPN_BETA, RPNLoss, rpn_loss
from frcnn_edu.matching import IGNORED, NEGATIVE, POSITIVE
from frcnn_edu.rpn import AnchorTargets, RPNPass
from frcnn_edu.viz.palette import GREEN, LOOKS, SKY_BLUE, STATES, VERMILION, state_index

HERE = Path(__file__).parent
LOSS_STATES = (
    STATES[state_index("positive")],
    replace(STATES[state_index("negative")], width=1.5, label="negative (dots)"),
    replace(STATES[state_index("ignored")], key="not sampled", label="not sampled", width=1),
    replace(STATES[state_index("ground truth")], width=1.5),
)
"""How an anchor looks in `LossExplorer`, by its label; the object last. The legend shows the negatives' boxes."""
STATE_OF_LABEL = {POSITIVE: 0, NEGATIVE: 1, IGNORED: 2}
OBJECT = 3
LARGEST_DOT = 90
"""Square points of the dot of the negative that adds most."""
PANEL_HEIGHT = 170


class LossExplorer(PassExplorer):
    """Equation 1 under the microscope: click an anchor and see all that it adds to the loss, and its gradient.

    `passes` is {training step: the RPN's pass over this image, with targets}. The sample of the last one stands for
    all, so that only the answers differ from step to step.
    Raises ValueError where there is no pass, one has several levels, or the last has no targets.
    """

    _esm = bundle(HERE / "loss.js")

    balance = traitlets.Float(1.0, min=0).tag(sync=True)
    """Lambda of equation 1."""

    locations = traitlets.Bool(False).tag(sync=True)
    """Whether N_reg counts the cells of the map, as in the paper, or the sampled anchors, as in torchvision."""

    beta = traitlets.Float(RPN_BETA, min=0).tag(sync=True)
    """Where smooth L1 turns from a parabola into a line; 0 is plain L1."""

    num_sampled = traitlets.Int(1).tag(sync=True)

    num_locations = traitlets.Int(1).tag(sync=True)

    answers = floats(5)
    """(T * A, 5) float32: logit, dx, dy, dw, dh, network by network."""

    truth = floats(7)
    """(A, 7) float32: label, index of the object it overlaps most, IoU with it, target dx, dy, dw, dh."""

    places = floats(1)
    """(A, 1) float32: each anchor's index in the network's own order. Here sampled ones come first."""

    def __init__(
        self,
        image: object,
        boxes: Tensor,
        passes: Mapping[int, RPNPass],
        captions: Sequence[str] = (),
        **options: Any,
    ) -> None:
        first = _check_passes(passes)
        targets = _targets(passes)
        order = _sampled_first(targets)  # (A,)
        truth = _truth(targets, order)  # (A, 7)
        states = [STATE_OF_LABEL[label] for label in truth[:, 0].int().tolist()] + [OBJECT] * len(boxes)
        answers = [torch.cat((one.logits[0][:, None], one.deltas[0]), dim=1)[order] for one in passes.values()]
        names = list(captions) or ["object"] * len(boxes)
        parts: dict[str, Any] = {
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
        (gradients,) = torch.autograd.grad(self._loss(answer).total, answer)
        return gradients

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
        return rpn_loss(
            answer[:, 0],
            answer[:, 1:],
            truth[:, 0].long(),
            truth[:, 3:],
            n_reg=n_reg,
            balance=self.balance,
            beta=self.beta,
        )

    def draw(self, axes: Axes) -> None:
        """The selected anchor, where the network moves it, and the negatives as dots, by what they add."""
        terms = self.loss.objectness_terms.where(torch.tensor(self.truth[:, 0] == NEGATIVE), 0)  # (A,)
        boxes = self.box_tensor[: self.num_anchors]
        x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2).T.numpy()
        areas = LARGEST_DOT * terms / terms.max().clamp(min=1e-9)
        axes.scatter(x, y, s=areas.numpy(), color=VERMILION, edgecolors="black", lw=0.5)
        if self.prediction is None:
            return
        outline(axes, self.box_tensor[self.selected], replace(LOSS_STATES[self.states[self.selected]], width=2.5))
        outline(axes, self.prediction, LOOKS["predicted"])

    def figure(self) -> Figure:
        """The canvas, and below it every sampled anchor's share of the loss."""
        figure, axes = with_panel(super().figure(), PANEL_HEIGHT)
        loss = self.loss
        halves = torch.stack((loss.objectness_terms, loss.box_reg_terms.sum(dim=1)), dim=1)[
            : self.num_sampled
        ]  # (S, 2)
        objectness, box = halves[halves.sum(dim=1).argsort(descending=True)].T.numpy()
        places = range(self.num_sampled)
        axes.bar(places, objectness, width=1, color=SKY_BLUE, label=f"objectness {loss.objectness:.4f}")
        axes.bar(places, box, width=1, bottom=objectness, color=GREEN, label=f"box {loss.box_reg:.4f}")
        axes.set(xlabel="what each sampled anchor adds to the loss, largest first", xlim=(-0.5, self.num_sampled))
        axes.legend(frameon=False)
        return figure


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
