"""Explorers of lesson 05: from all anchors to a few hundred proposals (Faster R-CNN, section 3.3).

`StepsExplorer` follows the boxes of one image from step to step, `NmsExplorer` suppresses them one at a time and says
who suppressed whom, `RecallExplorer` measures over a data set what each step costs.

The first two compute in the browser, with the sliders under the hand; the third asks the kernel only for the score
filter, behind which detections must be sorted out anew. What a script computes, a property here computes again with
`frcnn_edu.boxes`; the browser tests hold the two together. Steps come in the paper's order, small boxes before the
top-k; the model's own order (top-k first) gives the same unless small boxes are among its best.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
import traitlets
from torch import Tensor

from frcnn_edu.boxes import batched_nms, box_iou, clip_boxes, decode_boxes, nms, nms_suppressors, remove_small_boxes
from frcnn_edu.config import Config
from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.lesson_01_anchors import with_panel
from frcnn_edu.explorers.wire import ArrayTrait, box_array, float_array
from frcnn_edu.faster_rcnn import FasterRCNN, Trace
from frcnn_edu.images import resize_boxes
from frcnn_edu.viz.palette import GREEN, GREY, PURPLE, SKY_BLUE, STATES, VERMILION, State, state_index

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HERE = Path(__file__).parent
CSS = BoxCanvas._css + "".join(
    (HERE / name).read_text(encoding="utf-8") for name in ("../lesson_01_anchors/anchors.css", "proposals.css")
)

STEPS = ("anchors", "decoded", "clipped", "large enough", "top-k", "after NMS")
"""What a step is called that hands these boxes on."""

FUNNEL = (*STEPS[:5], "score filter", STEPS[5], "detections")
"""The steps whose recall `RecallExplorer` measures; the filter is the mistake that nobody should make."""

REACHED = 0.7
"""IoU from which a box has reached an object, in the table of `StepsExplorer`."""

TRUTH = STATES[state_index("ground truth")]

STEP_STATES = (
    State("still here", SKY_BLUE, width=1),
    State("dropped by this step", VERMILION, dash=(4, 4), width=1.5),
    State("not drawn", GREY, dash=(1.5, 3), width=1),
    TRUTH,
)
"""A box is not drawn if an earlier step dropped it, or if too many with better scores are drawn already."""

NMS_STATES = (
    State("waiting", SKY_BLUE, width=1),
    State("kept", GREEN, width=2),
    State("suppressed", PURPLE, dash=(9, 3, 2, 3), width=1.5),
)

CURVES = {
    "anchors": ("#0072B2", "-"),
    "decoded": (VERMILION, "--"),
    "top-k": (GREEN, "-."),
    "after NMS": ("#E69F00", ":"),
    "detections": (PURPLE, (0, (7, 1.5))),
}
"""The steps whose curves are drawn, and how; the script has the same."""

FATE_STATES = (
    State("detected", GREEN, width=2.5),
    State("proposed only", SKY_BLUE, dash=(12, 4), width=2.5),
    State("lost on the way", GREY, dash=(1.5, 3), width=2.5),
    State("never reached", VERMILION, dash=(4, 4), width=2.5),
)
"""What became of an object: some detection, only some proposal, only some clipped box, or none reaches the IoU."""


@dataclass(frozen=True)
class ProposalSteps:
    """Which of one image's A boxes are left after each of `STEPS`, and where they lie then."""

    boxes: tuple[Tensor, Tensor, Tensor]
    """Three times (A, 4): anchors, decoded, clipped; later steps only choose among the clipped ones."""
    left: tuple[Tensor, ...]
    """(N,) int64 into the A boxes for each step, best first."""

    def __getitem__(self, step: int) -> Tensor:
        """The boxes that step number `step` hands on: (N, 4)."""
        return self.boxes[min(step, 2)][self.left[step]]


def proposal_steps(
    anchors: Tensor,
    logits: Tensor,
    deltas: Tensor,
    image_size: tuple[int, int],
    config: Config,
) -> ProposalSteps:
    """All steps from anchors (A, 4), logits (A,) and deltas (A, 4) of one level to proposals, in the paper's order.

    Sizes, counts and thresholds are `config`'s for inference; `image_size` is (height, width). Source: section 3.3.
    """
    decoded = decode_boxes(deltas, anchors, log_scale_limit=config.log_scale_limit)
    clipped = clip_boxes(decoded, image_size)
    counts = config.rpn_pre_nms_top_n_test, config.rpn_post_nms_top_n_test
    left = _choose(clipped, logits, config.rpn_min_size, config.rpn_nms_thresh, *counts)
    return ProposalSteps((anchors, decoded, clipped), left)


def _choose(
    clipped: Tensor, logits: Tensor, min_size: float, threshold: float, top_n: int, limit: int
) -> tuple[Tensor, ...]:
    """Rows of `clipped` that are left after each step, best first."""
    everything = logits.argsort(descending=True, stable=True)  # (A,)
    large = everything[remove_small_boxes(clipped[everything], min_size)]  # (L,)
    top = large[:top_n]  # (K,)
    kept = top[nms(clipped[top], logits[top], threshold, limit)]  # (P,)
    return (everything, everything, everything, large, top, kept)


class StepsExplorer(BoxCanvas):
    """One image's boxes, step by step, with sliders for what each step is told.

    `trace` is one pass of a detector of one level, `index` the image in it; `image` and its `objects`, (G, 4), are as
    they were handed in. Raises ValueError where the detector has several levels.
    """

    _esm = bundle(HERE / "steps.js")
    _css = CSS

    step = traitlets.Int(0, min=0, max=len(STEPS) - 1).tag(sync=True)
    """Which of `STEPS` is shown."""

    smallest = traitlets.Float(0.0, min=0).tag(sync=True)
    """Boxes with a shorter side, in pixels, are dropped."""

    top_n = traitlets.Int(600, min=1).tag(sync=True)
    threshold = traitlets.Float(0.7, min=0, max=1).tag(sync=True)
    """IoU above which NMS suppresses."""

    limit = traitlets.Int(100, min=1).tag(sync=True)
    """How many boxes NMS keeps at most."""

    drawn = traitlets.Int(150, min=1).tag(sync=True)
    """How many boxes of a kind are drawn, the best: ten thousand would hide the picture."""

    anchors = ArrayTrait(lambda value, canvas: box_array(value), np.zeros((0, 4), np.float32))
    decoded = ArrayTrait(lambda value, canvas: box_array(value), np.zeros((0, 4), np.float32))
    logits = ArrayTrait(lambda value, canvas: float_array(value, "logits"), np.zeros(0, np.float32))
    """(A,) float32: the network's opinion of each anchor."""

    step_names = traitlets.Tuple(STEPS).tag(sync=True)
    width = traitlets.Int(520, min=100).tag(sync=True)
    margin = traitlets.Int(32, min=0).tag(sync=True)

    def __init__(self, image: Tensor, trace: Trace, objects: Tensor, index: int = 0, **options: object) -> None:
        if len(trace.rpn.level_sizes) > 1:
            raise ValueError("StepsExplorer follows the boxes of one level; this detector has several")
        size = trace.batch.sizes[index]
        objects = resize_boxes(objects, trace.batch.original_sizes[index], size)  # (G, 4)
        image = F.interpolate(image[None], size, mode="bilinear", antialias=True)[0].clamp(0, 1)
        anchors, deltas = trace.rpn.anchors, trace.rpn.deltas[index].detach()
        parts = {"anchors": anchors, "decoded": decode_boxes(deltas, anchors), "logits": trace.rpn.logits[index]}
        options = {"palette": STEP_STATES, "hidden_states": [1, 2]} | options
        super().__init__(image, torch.cat((anchors, objects)), **parts, **options)
        self._sort()

    @property
    def objects(self) -> Tensor:
        """The ground truth, on the resized image: (G, 4)."""
        return self.box_tensor[len(self.anchors) :]

    @property
    def steps(self) -> ProposalSteps:
        """What is left after each step."""
        decoded = torch.tensor(self.decoded)
        clipped = clip_boxes(decoded, self.image.shape[:2])
        left = _choose(clipped, torch.tensor(self.logits), self.smallest, self.threshold, self.top_n, self.limit)
        return ProposalSteps((torch.tensor(self.anchors), decoded, clipped), left)

    @property
    def counts(self) -> dict[str, int]:
        """How many boxes each step hands on."""
        return {name: len(left) for name, left in zip(STEPS, self.steps.left, strict=True)}

    @property
    def reached(self) -> dict[str, int]:
        """How many objects some box of the step reaches, with an IoU of `REACHED` or more."""
        steps, objects = self.steps, self.objects
        found = [F.pad(box_iou(objects, steps[number]), (0, 1)).amax(dim=1) for number in range(len(STEPS))]
        return {name: int((best >= REACHED).sum()) for name, best in zip(STEPS, found, strict=True)}

    def figure(self) -> "Figure":
        """The canvas as it stands; while the hand moves, the browser alone keeps boxes and states."""
        self._sort()
        return super().figure()

    def _sort(self) -> None:
        """Boxes where this step puts them, and states by what this step does with them."""
        steps, number = self.steps, len(self.anchors)
        left, before = steps.left[self.step], steps.left[max(self.step - 1, 0)]
        dropped = before[~torch.isin(before, left)]
        states = np.full(number + len(self.objects), 2, np.uint8)
        states[dropped[: self.drawn]], states[left[: self.drawn]], states[number:] = 1, 0, 3
        with self.hold_sync():
            self.boxes = torch.cat((steps.boxes[min(self.step, 2)], self.objects))
            self.states = states


class NmsExplorer(BoxCanvas):
    """Non-maximum suppression of (N, 4) boxes with (N,) scores, one box at a time.

    Every box has one moment: it is kept, or the best kept box suppresses it. `step` counts these moments from 0, all
    waiting, to N, all done. Boxes may be `editable`, and dragged. Raises ValueError where a box has no score.
    """

    _esm = bundle(HERE / "nms.js")
    _css = CSS

    threshold = traitlets.Float(0.7, min=0, max=1).tag(sync=True)
    """IoU above which a kept box suppresses another one."""

    step = traitlets.Int(0, min=0).tag(sync=True)
    width = traitlets.Int(520, min=100).tag(sync=True)

    def __init__(self, image: object, boxes: object, scores: object, **options: object) -> None:
        if len(scores) != len(boxes) or np.isnan(float_array(scores, "scores")).any():
            raise ValueError("NMS starts from the best score: give one for each box")
        super().__init__(image, boxes, scores=scores, **{"palette": NMS_STATES, "step": len(boxes)} | options)
        self._sort()

    @property
    def kept(self) -> Tensor:
        """Indices of the boxes that are kept in the end, best first: (K,) int64."""
        return nms(self.box_tensor, torch.tensor(self.scores), self.threshold)

    @property
    def suppressed_by(self) -> Tensor:
        """For every box the kept box that suppresses it, or -1: (N,) int64."""
        return nms_suppressors(self.box_tensor, self.kept, self.threshold)

    @property
    def moments(self) -> Tensor:
        """The boxes in the order of their moments, each kept one before those that it suppresses: (N,) int64."""
        kept, by = self.kept, self.suppressed_by
        place = torch.full_like(by, -1)
        place[kept] = torch.arange(len(kept))
        leader = place[torch.where(by < 0, torch.arange(len(by)), by)]  # (N,)
        rank = torch.tensor(self.scores).argsort(descending=True, stable=True).argsort()  # (N,)
        return (leader * (len(by) + 1) + rank.where(by >= 0, -1)).argsort()

    def figure(self) -> "Figure":
        """The canvas as it stands; while the hand moves, the browser alone keeps the states."""
        self._sort()
        return super().figure()

    def _sort(self) -> None:
        final = torch.where(self.suppressed_by < 0, 1, 2)  # (N,)
        states = torch.zeros_like(final)
        done = self.moments[: self.step]
        states[done] = final[done]
        self.states = states

    @traitlets.validate("step")
    def _check_step(self, proposal: dict) -> int:
        return min(proposal["value"], len(self.boxes))

    def draw(self, axes: "Axes") -> None:
        """A line from each suppressed box to the one that suppressed it."""
        centers = (self.boxes[:, :2] + self.boxes[:, 2:]) / 2
        by = self.suppressed_by
        for index in self.moments[: self.step].tolist():
            if by[index] >= 0:
                axes.plot(*centers[[index, by[index]]].T, color="white", linewidth=0.6, alpha=0.7)


class RecallExplorer(BoxCanvas):
    """The recall of a data set's objects after each step of `FUNNEL`, against IoU.

    `data_set` holds (image, target) pairs, `traces` one trace for each image alone, by the detector `model`.
    Raises ValueError where the two differ in number, a detector has several levels, or there is no object at all.
    """

    _esm = bundle(HERE / "recall.js")
    _css = CSS

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

    def __init__(
        self, model: FasterRCNN, data_set: Sequence[tuple[Tensor, dict]], traces: Sequence[Trace], **options: object
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

    def figure(self) -> "Figure":
        """The canvas, and recall against IoU below it."""
        self.states = self._fates()
        figure, axes = with_panel(super().figure(), 260)
        thresholds = np.linspace(0, 1, 101)
        for name, (color, dashes) in CURVES.items():
            recall = (self.best[FUNNEL.index(name), :, None] >= thresholds).mean(axis=0)
            axes.plot(thresholds, recall, color=color, linestyle=dashes, label=name)
        axes.axvline(self.iou, color="black", linewidth=1)
        axes.set(xlabel="IoU from which an object counts as reached", ylabel="recall", xlim=(0, 1), ylim=(0, 1.02))
        axes.legend(frameon=False, fontsize=8, handlelength=4)
        return figure


class _Funnel:
    """A data set's IoUs, measured once, so that a score filter needs only maxima and the detector's last NMS."""

    def __init__(self, traces: Sequence[Trace], objects: Sequence[Tensor], config: Config) -> None:
        batches = [trace.batch for trace in traces]
        objects = [
            resize_boxes(boxes, batch.original_sizes[0], batch.sizes[0])
            for boxes, batch in zip(objects, batches, strict=True)
        ]
        rpns = [trace.rpn for trace in traces]
        steps = [
            proposal_steps(rpn.anchors, rpn.logits[0].detach(), rpn.deltas[0].detach(), batch.sizes[0], config)
            for rpn, batch in zip(rpns, batches, strict=True)
        ]
        self.config, self.num_images = config, len(traces)
        whole = [_Pairs([one[number] for one in steps], objects) for number in range(len(STEPS) - 1)]
        self.unfiltered = [pairs.best() for pairs in whole]
        self.counts = [pairs.num_boxes / self.num_images for pairs in whole]
        self.top = whole[-1]
        self.top_scores = _joined(
            rpn.logits[0].detach().sigmoid()[one.left[-2]] for rpn, one in zip(rpns, steps, strict=True)
        )
        self._take_answers(traces, objects)

    def _take_answers(self, traces: Sequence[Trace], objects: Sequence[Tensor]) -> None:
        """The model's own proposals, and what its second stage answered to them, image after image."""
        proposals = [trace.rpn.proposals[0] for trace in traces]
        answers = [trace.roi.candidates[0] for trace in traces]
        scores = [one.scores[one.kept] for one in proposals]
        self.kept, self.kept_scores = _Pairs([one.boxes for one in proposals], objects), _joined(scores)
        self.answers = _Pairs([one.clipped for one in answers], objects)
        self.answer_boxes = _joined(one.clipped for one in answers)  # (D, 4)
        self.answer_scores = _joined(one.scores for one in answers)  # (D,)
        self.asked_scores = _joined(
            one[answer.proposal_index] for one, answer in zip(scores, answers, strict=True)
        )  # (D,) of the proposal that answered
        self.image = _joined(torch.full_like(one.labels, index) for index, one in enumerate(answers))  # (D,)
        labels = _joined(one.labels for one in answers)
        self.groups = self.image * (int(labels.max()) + 1 if len(labels) else 1) + labels  # (D,)

    def measure(self, lowest_score: float) -> tuple[Tensor, list[float]]:
        """For each of `FUNNEL` the best IoU with every object, (S, G), and the number of boxes an image.

        What a filter keeps of the proposals is what NMS makes of the filtered ones: both go from the best score down.
        """
        passes = (
            (self.top, self.top_scores >= lowest_score),
            (self.kept, self.kept_scores >= lowest_score),
            (self.answers, self._detections(lowest_score)),
        )
        best = [*self.unfiltered, *(pairs.best(left) for pairs, left in passes)]
        return torch.stack(best), [*self.counts, *(left.sum().item() / self.num_images for _, left in passes)]

    def _detections(self, lowest_score: float) -> Tensor:
        """Which answers become detections: (D,) bool."""
        rows = (self.asked_scores >= lowest_score).nonzero().squeeze(1)
        chosen = self.answer_boxes[rows], self.answer_scores[rows], self.groups[rows]
        kept = rows[batched_nms(*chosen, self.config.box_nms_thresh)]  # best first, all images together
        place = F.one_hot(self.image[kept], self.num_images).cumsum(0).gather(1, self.image[kept, None])  # (N, 1)
        kept = kept[place.squeeze(1) <= self.config.box_detections_per_img]
        return torch.zeros(len(self.image), dtype=torch.bool).index_fill(0, kept, True)


class _Pairs:
    """Every box of one step with every object of its image: E pairs of N boxes and G objects of a data set."""

    def __init__(self, boxes: Sequence[Tensor], objects: Sequence[Tensor]) -> None:
        tables = [box_iou(one, other) for one, other in zip(boxes, objects, strict=True)]  # (N_i, G_i) each
        first = torch.tensor([(0, 0), *(table.shape for table in tables)]).cumsum(0)
        places = [torch.ones_like(table).nonzero() + start for table, start in zip(tables, first, strict=False)]
        self.num_boxes, self.num_objects = first[-1].tolist()
        self.iou = _joined(table.flatten() for table in tables)  # (E,)
        self.box, self.object = _joined(places).unbind(1)  # (E,) each

    def best(self, left: Tensor | None = None) -> Tensor:
        """The best IoU with each object of the boxes that are `left`, (N,) bool, or of all: (G,)."""
        iou = self.iou if left is None else self.iou * left[self.box]
        return torch.zeros(self.num_objects).scatter_reduce(0, self.object, iou, "amax")


def _joined(parts: Iterable[Tensor]) -> Tensor:
    return torch.cat(list(parts))
