"""Explorers of lesson 07: the whole detector, while it learns, at work, and broken (Faster R-CNN, section 3).

`TimeMachine` scrubs through training on one scene, `BiographyExplorer` tells where each detection came from, and
`BugZooExplorer` has one predict what a mistake costs before it shows what was measured.

Models run in Python, when an explorer is opened; what follows the hand is computed in the browser, in the scripts
beside this file. Properties here compute the same with `frcnn_edu.boxes` and `frcnn_edu.training.metrics`; the browser
tests hold the two together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import traitlets
from torch import Tensor

from frcnn_edu.boxes import box_iou
from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.explorers.wire import ArrayTrait, float_array
from frcnn_edu.faster_rcnn import FasterRCNN, Trace
from frcnn_edu.training.metrics import evaluate, recall_at
from frcnn_edu.viz.palette import GREY, ORANGE, PURPLE, SKY_BLUE, STATES, VERMILION, State, state_index

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HERE = Path(__file__).parent
CSS = BoxCanvas._css + "".join(
    (HERE / name).read_text(encoding="utf-8") for name in ("../lesson_01_anchors/anchors.css", "full_model.css")
)

FOUND = 0.5
"""The IoU from which a box has found an object."""

MOST_PROPOSALS = 50
"""How many proposals of each snapshot travel to the browser, best first."""

LEAST_SCORE = 0.1
"""Detections below are not sent: nobody looks at them."""

OBJECTNESS_ALPHA = 0.55

TRUTH, PROPOSAL, RIGHT, WRONG = range(4)
FILM_STATES = (
    STATES[state_index("ground truth")],
    State("proposal", SKY_BLUE, width=1),
    State("right detection", ORANGE, width=3),
    State("wrong detection", VERMILION, dash=(7, 4), width=2.5),
)
"""What the time machine and the zoo show, in this order."""

LIFE_STATES = (
    State("detections", GREY, width=1.5),
    STATES[state_index("ground truth")],
    State("anchor", SKY_BLUE, dash=(3, 3), width=2.5),
    State("proposal", PURPLE, dash=(9, 3, 2, 3), width=2.5),
    State("the chosen one", ORANGE, width=3),
)

PREDICTIONS = (
    ("hardly anything: less than 0.03", 0.03),
    ("up to a quarter of it", 0.25),
    ("more than a quarter, but a tenth is left", 0.9),
    ("all of it: less than a tenth is left", float("inf")),
)
"""The answers that the zoo offers to "how much mAP does this cost?": up to 0.03 of mAP, or this share of it."""


def _floats(columns: int | None) -> ArrayTrait:
    """A trait for float32 numbers, (N, columns) or of any shape."""
    shape = (0,) if columns is None else (0, columns)
    return ArrayTrait(lambda value, canvas: float_array(value, "values", columns), np.zeros(shape, np.float32))


@dataclass(frozen=True)
class Snapshot:
    """What a detector made of one image after `step` steps of training; boxes in pixels of that image."""

    step: int
    objectness: Tensor
    """(H, W) in [0, 1]: at each cell the most that any of its anchors scores."""
    proposals: Tensor
    """(P, 4), best first."""
    detections: Mapping[str, Tensor]
    """boxes (N, 4), labels (N,), scores (N,), best first."""


@torch.no_grad()
def take_snapshot(model: FasterRCNN, step: int, image: Tensor) -> Snapshot:
    """What `model` makes of an image, (3, H, W), now; of a pyramid the finest level's objectness is kept."""
    trace = model.eval().trace([image])
    per_cell, rows, columns = trace.rpn.level_sizes[0]
    logits = trace.rpn.logits[0, : per_cell * rows * columns].view(rows, columns, per_cell)
    proposals = trace.batch.to_original(trace.rpn.proposals[0].boxes, 0)  # (P, 4)
    found = trace.detections[0]
    detections = {"boxes": found.boxes, "labels": found.labels, "scores": found.scores}
    return Snapshot(step, logits.amax(dim=2).sigmoid(), proposals, detections)


def _rows(detections: Mapping[str, Tensor]) -> Tensor:
    """Detections worth a look as x1, y1, x2, y2, label, score: (N, 6)."""
    sure = detections["scores"] >= LEAST_SCORE
    return torch.cat((detections["boxes"], detections["labels"][:, None], detections["scores"][:, None]), dim=1)[sure]


def _as_detections(rows: Tensor) -> dict[str, Tensor]:
    return {"boxes": rows[:, :4], "labels": rows[:, 4].long(), "scores": rows[:, 5]}


def right_ones(rows: Tensor, target: Mapping[str, Tensor]) -> Tensor:
    """Which detections, rows of x1, y1, x2, y2, label, score, are right at IoU 0.5: (N, 6) -> (N,) bool.

    As `metrics` counts: taken one by one, best first, a right one is one that adds to what was found before it.
    """
    order = rows[:, 5].argsort(descending=True, stable=True)
    counts = [_num_right(rows[order[:count]], target) for count in range(len(rows) + 1)]
    right = torch.zeros(len(rows), dtype=torch.bool)
    right[order] = torch.tensor(counts).diff().bool()
    return right


def _num_right(rows: Tensor, target: Mapping[str, Tensor]) -> int:
    measured = evaluate([_as_detections(rows)], [target], iou_threshold=FOUND)
    found = {name: curve.recall[-1] if len(curve.recall) else 0 for name, curve in measured.curves.items()}
    return round(sum(found[name] * measured.ground_truths[name] for name in found))


class TimeMachine(BoxCanvas):
    """One scene as the detector saw it at each of its snapshots: objectness, proposals and detections form.

    `target` is the truth, boxes (G, 4) and labels (G,); `class_names[label]` names a label.
    Raises ValueError without a snapshot, or where their maps differ in shape.
    """

    _esm = bundle(HERE / "time.js")
    _css = CSS

    steps = traitlets.Tuple().tag(sync=True)
    """The steps of training at which the snapshots were taken."""

    snapshot = traitlets.Int(0, min=0).tag(sync=True)
    """Which of them is shown."""

    num_proposals = traitlets.Int(12, min=0, max=MOST_PROPOSALS).tag(sync=True)
    """How many proposals are shown, the best."""

    threshold = traitlets.Float(0.5, min=LEAST_SCORE, max=1).tag(sync=True)
    """Detections that score less are hidden."""

    show_objectness = traitlets.Bool(True).tag(sync=True)
    class_names = traitlets.Tuple().tag(sync=True)
    truth_labels = traitlets.Tuple().tag(sync=True)
    map_size = traitlets.Tuple((1, 1)).tag(sync=True)
    stride = traitlets.Float(16.0).tag(sync=True)

    objectness = _floats(None)
    """(S, H, W)."""
    proposals = _floats(4)
    """(S * P, 4), snapshot after snapshot."""
    detections = _floats(6)
    """(N, 6): x1, y1, x2, y2, label, score; `detection_counts` of them are each snapshot's."""
    proposal_counts = traitlets.Tuple().tag(sync=True)
    detection_counts = traitlets.Tuple().tag(sync=True)

    def __init__(
        self,
        image: Tensor,
        target: Mapping[str, Tensor],
        snapshots: Sequence[Snapshot],
        class_names: Sequence[str],
        **traits: object,
    ) -> None:
        if len({tuple(one.objectness.shape) for one in snapshots}) != 1:
            raise ValueError(
                "the time machine needs at least one snapshot, and all of one image: their maps must agree"
            )
        proposals = [one.proposals[:MOST_PROPOSALS] for one in snapshots]
        detections = [_rows(one.detections) for one in snapshots]
        rows, columns = snapshots[0].objectness.shape
        self.target = target
        parts = {
            "steps": tuple(one.step for one in snapshots),
            "class_names": tuple(class_names),
            "truth_labels": tuple(target["labels"].tolist()),
            "map_size": (rows, columns),
            "stride": image.shape[1] / rows,
            "objectness": torch.stack([one.objectness for one in snapshots]),
            "proposals": torch.cat(proposals),
            "detections": torch.cat(detections),
            "proposal_counts": tuple(map(len, proposals)),
            "detection_counts": tuple(map(len, detections)),
            "snapshot": len(snapshots) - 1,
            "palette": FILM_STATES,
            "width": 480,
            "title": "The scene through the detector's eyes, while it learns",
        }
        captions = [class_names[label] for label in target["labels"].tolist()]
        super().__init__(image, target["boxes"], TRUTH, captions=captions, **parts | traits)

    @property
    def shown_proposals(self) -> Tensor:
        """The best proposals of the snapshot: (num_proposals, 4), or as many as there are."""
        return _part(self.proposals, self.proposal_counts, self.snapshot)[: self.num_proposals]

    @property
    def shown_detections(self) -> Tensor:
        """Its detections from `threshold` on: (N, 6)."""
        rows = _part(self.detections, self.detection_counts, self.snapshot)
        return rows[rows[:, 5] >= np.float32(self.threshold)]

    @property
    def num_reached(self) -> int:
        """How many objects some shown proposal overlaps by 0.5."""
        (share,) = recall_at([self.shown_proposals], [self.target], [FOUND]).tolist()
        return round(share * len(self.truth_labels)) if self.truth_labels else 0

    @property
    def num_right(self) -> int:
        """How many shown detections are right: overlap 0.5, the right name, the first to find the object."""
        return _num_right(self.shown_detections, self.target)

    def figure(self) -> "Figure":
        """The snapshot as a figure: objectness, objects, proposals, detections, and the legend of all."""
        from frcnn_edu.viz.heat_maps import COLORS

        rows = self.shown_detections
        finds = [RIGHT if right else WRONG for right in right_ones(rows, self.target).tolist()]
        boxes = torch.cat((self.box_tensor, self.shown_proposals, rows[:, :4]))
        states = [TRUTH] * len(self.boxes) + [PROPOSAL] * len(self.shown_proposals) + finds
        still = BoxCanvas(self.image, boxes, states, palette=FILM_STATES, width=self.width)
        if self.show_objectness:
            still.set_heatmap(self.objectness[self.snapshot], self.stride, OBJECTNESS_ALPHA, COLORS, offset=0)
        return _figure_of(still)


def _figure_of(still: BoxCanvas) -> "Figure":
    """The figure of a canvas that is needed for nothing else."""
    figure = still.figure()
    still.close()
    return figure


def _part(rows: np.ndarray, counts: Sequence[int], index: int) -> Tensor:
    start = sum(counts[:index])
    return torch.tensor(rows[start : start + counts[index]])


class BiographyExplorer(BoxCanvas):
    """Pick a detection, and follow it back: its proposal, its anchor, the cell where it all began.

    `trace` is of this one image, `target` the truth. Starts with the surest detection.
    Raises ValueError where nothing scores `least_score`.
    """

    _esm = bundle(HERE / "life.js")
    _css = CSS

    chosen = traitlets.Int(0, min=0).tag(sync=True)
    """Which detection, best first."""

    age = traitlets.Float(2.0, min=0, max=2).tag(sync=True)
    """How far its life is shown: 0 the anchor, 1 the proposal, 2 the detection, and in between the moves."""

    lives = traitlets.List().tag(sync=True)
    """For each detection what there is to tell: a dict of plain numbers, as in `life`."""

    def __init__(
        self,
        image: Tensor,
        trace: Trace,
        target: Mapping[str, Tensor],
        class_names: Sequence[str],
        least_score: float = 0.5,
        **traits: object,
    ) -> None:
        lives = biographies(trace, target, class_names, least_score)
        if not lives:
            raise ValueError(f"no detection scores {least_score} or more: there is no life to tell")
        boxes = torch.tensor([life["detection"] for life in lives])
        captions = [f"{life['name']} {life['score']:.2f}" for life in lives]
        parts = {
            "lives": lives,
            "palette": LIFE_STATES,
            "width": 480,
            "title": "Detections, each with its proposal and its anchor",
        }
        super().__init__(image, boxes, 0, captions=captions, **parts | traits)

    @property
    def life(self) -> dict:
        """What there is to tell of the chosen detection."""
        return self.lives[self.chosen]

    @property
    def box(self) -> Tensor:
        """The box at `age`, on the straight way between anchor, proposal and detection: (4,)."""
        stops = [torch.tensor(self.life[name]) for name in ("anchor", "proposal", "detection")]
        before = min(int(self.age), 1)
        return torch.lerp(stops[before], stops[before + 1], self.age - before)

    @property
    def iou(self) -> float:
        """Of that box with the object that the detection overlaps most."""
        return box_iou(self.box[None], torch.tensor([self.life["truth"]])).item()

    def figure(self) -> "Figure":
        """The detections, and of the chosen one the object, the anchor, the proposal and the box at its age."""
        stops = torch.tensor([self.life[name] for name in ("truth", "anchor", "proposal")])
        more = torch.cat((stops, self.box[None]))  # (4, 4)
        names = ("ground truth", "anchor", "proposal", "the chosen one")
        states = [0] * len(self.boxes) + [state_index(name, LIFE_STATES) for name in names]
        still = BoxCanvas(self.image, torch.cat((self.box_tensor, more)), states, palette=LIFE_STATES, width=self.width)
        still.points = [self.life["center"]]
        return _figure_of(still)


def biographies(
    trace: Trace, target: Mapping[str, Tensor], class_names: Sequence[str], least_score: float
) -> list[dict]:
    """The lives of the detections of a trace's first image that score `least_score` or more, best first."""
    found, rpn, rois = trace.detections[0], trace.rpn, trace.roi
    proposals = rpn.proposals[0]
    ranks = rpn.logits[0].argsort(descending=True).argsort()  # (A,)
    probabilities = rois.class_logits.softmax(dim=1)  # (P, K)
    lives = []
    for i in (found.scores >= least_score).nonzero().flatten().tolist():
        anchor, proposal = int(found.anchor_index[i]), int(found.proposal_index[i])
        row, column, which = _place(anchor, rpn.level_sizes)
        box = trace.batch.to_original(rpn.anchors[anchor][None], 0)  # (1, 4)
        truth = target["boxes"][box_iou(found.boxes[i][None], target["boxes"])[0].argmax()]
        life = {
            "index": anchor,
            "cell": [row, column],
            "which": which,
            "center": ((box[0, :2] + box[0, 2:]) / 2).tolist(),
            "objectness": rpn.logits[0, anchor].sigmoid().item(),
            "rank": int(ranks[anchor]) + 1,
            "num_anchors": len(rpn.anchors),
            "proposal_index": proposal,
            "anchor": box[0].tolist(),
            "proposal": trace.batch.to_original(proposals.boxes[proposal][None], 0)[0].tolist(),
            "detection": found.boxes[i].tolist(),
            "truth": truth.tolist(),
            "name": class_names[found.labels[i]],
            "score": found.scores[i].item(),
            "runners_up": _runners_up(probabilities[proposal], class_names),
        }
        lives.append(life)
    return lives


def _place(anchor: int, level_sizes: Sequence[tuple[int, int, int]]) -> tuple[int, int, int]:
    """Row and column of an anchor on its level of the pyramid, and which of the cell's anchors it is."""
    for per_cell, rows, columns in level_sizes:
        if anchor < per_cell * rows * columns:
            break
        anchor -= per_cell * rows * columns
    return *divmod(anchor // per_cell, columns), anchor % per_cell


def _runners_up(probabilities: Tensor, class_names: Sequence[str]) -> list[list]:
    best = probabilities.topk(3)
    return [
        [class_names[label], share] for share, label in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]


@dataclass(frozen=True)
class BugDescription:
    """What the zoo shows of a mistake."""

    name: str
    title: str
    in_training: bool
    """Whether it affects training; else inference."""
    wrong: str
    """The line of code with the mistake; `right` is the correct one."""
    right: str
    why: str
    """What the mistake does to the detector."""

    @property
    def without(self) -> str:
        """The name of the result without the bug."""
        return f"sound_{'training' if self.in_training else 'inference'}"


@dataclass(frozen=True)
class BugResult:
    """The scores, in [0, 1], of a detector with a bug or without one, and its detections on one scene."""

    map_50: float
    """Mean average precision at IoU 0.5; `map_75` at 0.75."""
    map_75: float
    recall_50: float
    """The share of objects that a detection of any class overlaps by 0.5."""
    loss: float | None
    """In training: the mean loss of the last steps."""
    detections: list[list[float]]
    """x1, y1, x2, y2, label, score of each."""


class BugZooExplorer(BoxCanvas):
    """Choose a mistake, predict what it costs, then see what was measured, and what the detector says with it.

    `bugs`, `results` and `scenes` are those of `course.bug_zoo`, whose `open_zoo` makes it: `results[name]` is what was
    measured, `scenes[in_training]` an image and its target. Raises ValueError for a bug without a result.
    """

    _esm = bundle(HERE / "zoo.js")
    _css = CSS

    bug = traitlets.Int(0, min=0).tag(sync=True)
    """Which of `bugs`."""

    prediction = traitlets.Int(-1, min=-1, max=len(PREDICTIONS) - 1).tag(sync=True)
    """Which of `PREDICTIONS` was chosen; -1 for none yet."""

    revealed = traitlets.Bool(False).tag(sync=True)
    """Whether the measurement is shown."""

    score = traitlets.Tuple((0, 0)).tag(sync=True)
    """Predictions that were right, and all that were made."""

    entries = traitlets.List().tag(sync=True)
    """For each bug its texts, its figures beside the sound ones, and which prediction would have been right."""

    predictions = traitlets.Tuple(tuple(text for text, _ in PREDICTIONS)).tag(sync=True)

    def __init__(
        self,
        bugs: Sequence[BugDescription],
        results: Mapping[str, BugResult],
        scenes: Mapping[bool, tuple[Tensor, Mapping[str, Tensor]]],
        class_names: Sequence[str],
        **traits: object,
    ) -> None:
        wanted = {name for bug in bugs for name in (bug.name, bug.without)}
        if missing := wanted - set(results):
            raise ValueError(f"no results for {', '.join(sorted(missing))}; run python -m frcnn_edu.course.bug_zoo")
        self.bugs, self.results, self.scenes, self.names = bugs, results, scenes, class_names
        image, _ = self.scenes[bugs[0].in_training]
        parts = {
            "entries": [self._entry(bug) for bug in bugs],
            "palette": FILM_STATES,
            "width": 420,
            "show_captions": True,
            "title": "A scene, and what the detector finds in it",
        }
        super().__init__(image, **parts | traits)
        self._show()

    @property
    def chosen(self) -> BugDescription:
        """The bug that is looked at."""
        return self.bugs[self.bug]

    @property
    def shown_rows(self) -> Tensor:
        """The detections on the scene: those of the sound detector until the measurement is shown, (N, 6)."""
        name = self.chosen.name if self.revealed else self.chosen.without
        return torch.tensor(self.results[name].detections).reshape(-1, 6)

    def _entry(self, bug: BugDescription) -> dict:
        measured, sound = self.results[bug.name], self.results[bug.without]
        texts = {name: getattr(bug, name) for name in ("name", "title", "in_training", "wrong", "right", "why")}
        figures = {kind: _figures(one) for kind, one in (("with_bug", measured), ("sound", sound))}
        return texts | figures | {"answer": right_prediction(sound.map_50, measured.map_50)}

    @traitlets.validate("bug")
    def _one_that_exists(self, proposal: dict) -> int:
        if proposal["value"] >= len(self.bugs):
            raise traitlets.TraitError(f"bug must be below {len(self.bugs)}, got {proposal['value']}")
        return proposal["value"]

    @traitlets.observe("bug")
    def _choose(self, change: dict) -> None:
        with self.hold_sync():
            self.prediction, self.revealed = -1, False
            self.image, _ = self.scenes[self.chosen.in_training]
            self._show()

    @traitlets.observe("revealed")
    def _reveal(self, change: dict) -> None:
        self._show()

    def _show(self) -> None:
        _, target = self.scenes[self.chosen.in_training]
        rows = self.shown_rows
        right = right_ones(rows, target)
        states = [TRUTH] * len(target["boxes"]) + [RIGHT if one else WRONG for one in right.tolist()]
        truths = [""] * len(target["boxes"])
        finds = [f"{self.names[int(row[4])]} {row[5]:.2f}" for row in rows]
        self.set_boxes(torch.cat((target["boxes"], rows[:, :4])), states, captions=truths + finds)


def _figures(result: BugResult) -> dict:
    figures = asdict(result)
    del figures["detections"]
    return figures


def right_prediction(sound: float, with_bug: float) -> int:
    """Which of `PREDICTIONS` fits, given both mAPs: less than 0.03 lost, or the share of the sound mAP that is."""
    lost = sound - with_bug
    if lost < PREDICTIONS[0][1]:
        return 0
    return next(i for i, (_, share) in enumerate(PREDICTIONS) if i and lost <= share * sound)
