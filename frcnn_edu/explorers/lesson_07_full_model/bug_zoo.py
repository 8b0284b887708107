"""Choose a mistake, predict what it costs, see what was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import traitlets
from torch import Tensor

from frcnn_edu.boxes import box_iou
from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.explorers.bundle import bundle, styles
from frcnn_edu.explorers.lesson_07_full_model.verdicts import FILM_STATES, FOUND, RIGHT, TRUTH, WRONG, right_ones

HERE = Path(__file__).parent
PREDICTIONS = (
    ("hardly anything: less than 0.03", 0.03),
    ("up to 25 % of it", 0.25),
    ("25 to 90 % of it", 0.9),
    ("over 90 % of it", float("inf")),
)
"""The answers that the zoo offers to "how much mAP does this cost?": up to 0.03 of mAP, or this share of it."""


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

    _esm = bundle(HERE / "bug_zoo.js")
    _css = styles(HERE / "full_model.css")

    bug = traitlets.Int(0, min=0).tag(sync=True)
    """Which of `bugs`."""

    prediction = traitlets.Int(-1, min=-1, max=len(PREDICTIONS) - 1).tag(sync=True)
    """Which of `PREDICTIONS` was chosen; -1 for none yet."""

    revealed = traitlets.Bool(False).tag(sync=True)
    """Whether the measurement is shown."""

    show_sound = traitlets.Bool(False).tag(sync=True)
    """Whether the picture goes back to the detector without the mistake once the measurement is shown."""

    score = traitlets.Tuple((0, 0)).tag(sync=True)
    """Predictions that were right, and all that were made."""

    entries: traitlets.List[dict] = traitlets.List().tag(sync=True)
    """For each bug its texts, its figures beside the sound ones, and which prediction would have been right."""

    predictions = traitlets.Tuple(tuple(text for text, _ in PREDICTIONS)).tag(sync=True)

    def __init__(
        self,
        bugs: Sequence[BugDescription],
        results: Mapping[str, BugResult],
        scenes: Mapping[bool, tuple[Tensor, Mapping[str, Tensor]]],
        class_names: Sequence[str],
        **traits: Any,
    ) -> None:
        wanted = {name for bug in bugs for name in (bug.name, bug.without)}
        if missing := wanted - set(results):
            raise ValueError(f"no results for {', '.join(sorted(missing))}; run python -m frcnn_edu.course.bug_zoo")
        self.bugs, self.results, self.scenes, self.names = bugs, results, scenes, class_names
        image, _ = self.scenes[bugs[0].in_training]
        parts: dict[str, Any] = {
            "entries": [self._entry(bug) for bug in bugs],
            "palette": FILM_STATES,
            "width": 420,
            "show_captions": True,
            "title": "A scene, and what the detector finds in it",
        }
        super().__init__(image, **parts | traits)
        self._show()

    def recorded(self) -> list[tuple[tuple[str, ...], list[tuple]]]:
        """What a page without Python keeps the answers to: every mistake, hidden, shown, and without it."""
        views = ((False, False), (True, False), (True, True))
        settings = [(bug, revealed, sound) for bug in range(len(self.bugs)) for revealed, sound in views]
        return [(("bug", "revealed", "show_sound"), settings)]

    @property
    def chosen(self) -> BugDescription:
        """The bug that is looked at."""
        return self.bugs[self.bug]

    @property
    def shown_rows(self) -> Tensor:
        """The detections on the scene: those of the sound detector until the measurement is shown, (N, 6)."""
        name = self.chosen.name if self.revealed and not self.show_sound else self.chosen.without
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
            self.prediction, self.revealed, self.show_sound = -1, False, False
            self.image, _ = self.scenes[self.chosen.in_training]
            self._show()

    @traitlets.observe("revealed", "show_sound")
    def _reveal(self, change: dict) -> None:
        self._show()

    def _show(self) -> None:
        _, target = self.scenes[self.chosen.in_training]
        rows = self.shown_rows
        right = right_ones(rows, target)
        states = [TRUTH] * len(target["boxes"]) + [RIGHT if one else WRONG for one in right.tolist()]
        truths = [""] * len(target["boxes"])
        # Of a crowd only the best is named: tags on top of each other cannot be read.
        crowded = (box_iou(rows[:, :4], rows[:, :4]).tril(diagonal=-1) >= FOUND).any(dim=1).tolist()
        finds = [
            "" if hidden else f"{self.names[int(row[4])]} {row[5]:.2f}"
            for row, hidden in zip(rows, crowded, strict=True)
        ]
        self.set_boxes(torch.cat((target["boxes"], rows[:, :4])), states, captions=truths + finds)


def _figures(measured: BugResult) -> dict:
    figures = asdict(measured)
    del figures["detections"]
    return figures


def right_prediction(sound: float, with_bug: float) -> int:
    """Which of `PREDICTIONS` fits, given both mAPs: less than 0.03 lost, or the share of the sound mAP that is."""
    lost = sound - with_bug
    if lost < PREDICTIONS[0][1]:
        return 0
    return next(i for i, (_, share) in enumerate(PREDICTIONS) if i and lost <= share * sound)
