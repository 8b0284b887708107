"""The clinic: ten detectors with a fault, each with its symptom, its cause, and the same run without the fault.

A `Plan` says how a run differs from the sound one. Runs of the small detector on small scenes take some seconds, so a
learner can start each; their results ship. The faults of inference are those of the trained detector that ships. Each
patient belongs to a row of `training.symptoms.TABLE`.

    python -m frcnn_edu.course.clinic --out data/clinic.json

runs all plans and writes the file after each; started again, it runs what is missing. Lesson 09 shows the results.
"""

import argparse
import base64
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.data import Dataset

from frcnn_edu.anchors import PAPER_ASPECT_RATIOS, AnchorGenerator
from frcnn_edu.boxes import clip_boxes
from frcnn_edu.course.bug_zoo import EVALUATION_SIZE, SHOWN_SCORE, rebuilt
from frcnn_edu.course.shipped_detector import load_trained
from frcnn_edu.datasets import data_path
from frcnn_edu.datasets.shapes import Shapes, ShapesConfig
from frcnn_edu.datasets.summary import count
from frcnn_edu.explorers.question import Question
from frcnn_edu.faster_rcnn import FasterRCNN, ModelOptions, Trace, fasterrcnn_tiny
from frcnn_edu.images import resize_boxes
from frcnn_edu.roi_heads import Candidates, RoIHeads
from frcnn_edu.training.batches import LabelledImages, batches_of
from frcnn_edu.training.checkpoints import History, Recipe
from frcnn_edu.training.loop import detect, train, train_step
from frcnn_edu.training.metrics import evaluate, recall_at
from frcnn_edu.training.symptoms import TABLE
from frcnn_edu.viz import draw_boxes
from frcnn_edu.viz.palette import CURVE_LINES
from frcnn_edu.viz.png import figure_png
from frcnn_edu.viz.tables import Table

FILE = "clinic.json"

SMALL = ShapesConfig(
    image_size=128,
    sizes=(18.0, 60.0),
    objects=(1, 3),
    empty=0.0,
    lean=0.0,
    difficulty=0.0,
    classes=("disc", "standing bar"),
)
RECIPE = Recipe(steps=300, batch_size=4, learning_rate=2e-3, mixed_precision=True)
TRAINING_SCENES, UNSEEN, MEASURED, TESTED = 10_000, 40, 12, 40
"""Scenes to train on; unseen ones at the end of a training and while it goes on; ones for faults of inference."""

MEASURED_EVERY = 60
SCENE, TESTED_SCENE = 4, 6
"""The scene that is drawn after a training, and for faults of inference."""

LOSS_STEPS, FEW_STEPS = 5, 40
"""Each loss in the file is the mean of so many steps, but of trainings with few steps it is that of one."""

LARGE_LOSS = 100
"""Curves with a larger loss have a logarithmic axis."""

Target = dict[str, Tensor]
Spoil = Callable[[int, Target, tuple[int, int]], Target]
"""What a data set does to the target of image `index`, of size (height, width)."""


# Faults of the data


def corners_read_as_sides(index: int, target: Target, size: tuple[int, int]) -> Target:
    """Takes x1, y1, x2, y2 for x, y, width, height."""
    x1, y1, width, height = target["boxes"].unbind(1)
    return target | {"boxes": clip_boxes(torch.stack((x1, y1, x1 + width, y1 + height), dim=1), size)}


def axes_exchanged(index: int, target: Target, size: tuple[int, int]) -> Target:
    """Takes y1, x1, y2, x2 for x1, y1, x2, y2."""
    return target | {"boxes": target["boxes"][:, [1, 0, 3, 2]]}


def most_left_out(index: int, target: Target, size: tuple[int, int]) -> Target:
    """Has no boxes for nine images in ten."""
    return target if index % 10 == 0 else {name: values[:0] for name, values in target.items()}


class Spoiled(Dataset):
    """A data set with a fault."""

    def __init__(self, dataset: Shapes, spoil: Spoil) -> None:
        self.dataset, self.spoil = dataset, spoil

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, Target]:
        image, target = self.dataset[index]
        return image, self.spoil(index, target, (image.shape[1], image.shape[2]))


# Faults of inference


class ScaledBackTwice(FasterRCNN):
    """Boxes in pixels of the image are taken for pixels of the resized one, and scaled back once more."""

    def trace(self, *arguments: Any, **options: Any) -> Trace:
        """As in `FasterRCNN`."""
        trace = super().trace(*arguments, **options)
        if trace.detections is None:
            return trace
        sizes = zip(trace.batch.sizes, trace.batch.original_sizes, strict=True)
        pairs = zip(trace.detections, sizes, strict=True)
        return replace(trace, detections=[replace(one, boxes=resize_boxes(one.boxes, *size)) for one, size in pairs])


class OneRegressor(RoIHeads):
    """Reads the deltas of the first class for every class."""

    def detect(self, logits: Tensor, deltas: Tensor, *more: Any) -> Candidates:
        """As in `RoIHeads`."""
        return super().detect(logits, deltas[:, 1:2].expand_as(deltas), *more)


# Runs


@dataclass(frozen=True)
class Plan:
    """How a run differs from the sound one."""

    recipe: Recipe | None = RECIPE
    """None: nothing is trained; the detector that ships is measured."""
    momentum: float | None = None
    """Of SGD, in place of AdamW."""
    scenes: int = TRAINING_SCENES
    spoil: Spoil | None = None
    anchors: tuple[float, ...] | None = None
    """The sizes of the anchors."""
    install: Callable[[FasterRCNN], FasterRCNN] = rebuilt
    """The fault of inference."""
    tested: Mapping[str, Any] = field(default_factory=lambda: {"image_size": EVALUATION_SIZE})
    """The scenes that the detector that ships is measured on, as options of `Shapes`."""
    coco: bool = False
    """Whether to measure as COCO does."""

    @property
    def conditions(self) -> str:
        """What the file says of the training."""
        optimizer = "" if self.momentum is None else f", SGD with momentum {self.momentum}"
        return f"{self.recipe}{optimizer}" if self.recipe else "the detector that ships"


@dataclass(frozen=True)
class Run:
    """What a run showed."""

    losses: list[float | None]
    """The sum of the four losses, a mean of `each` steps; None for one that is not finite."""
    unseen: dict[str, float]
    """mAP on unseen scenes by step."""
    seen: dict[str, float]
    """mAP on training scenes by step."""
    map_50: float
    map_75: float
    recall_50: float
    best_score: float
    """The mean over the scenes of the highest score."""
    per_class: dict[str, list[float]]
    """AP at 0.5 and at 0.75."""
    detections: list[list[float]]
    """Rows x1, y1, x2, y2, label, score on the scene that is drawn."""
    said: str = ""
    """An error message, or COCO's lines."""
    each: int = LOSS_STEPS


def perform(plan: Plan, on_step: Callable[[int, FasterRCNN, History], None] | None = None) -> Run:
    """Train if the plan says so, and measure."""
    if plan.recipe is None:
        model = plan.install(load_trained())
        return measure(model, Shapes(TESTED, "val", **plan.tested), TESTED_SCENE, plan.coco)
    return _trained(plan, plan.recipe, on_step)


def _trained(plan: Plan, recipe: Recipe, on_step: Callable[[int, FasterRCNN, History], None] | None) -> Run:
    scenes, unseen = Shapes(plan.scenes, config=SMALL), Shapes(UNSEEN, "val", config=SMALL)
    dataset = Spoiled(scenes, plan.spoil) if plan.spoil else scenes
    torch.manual_seed(recipe.seed)
    side = SMALL.height_width[0]
    options: ModelOptions = {"min_size": side, "max_size": 2 * side}
    if plan.anchors is not None:
        options["rpn_anchor_generator"] = AnchorGenerator((plan.anchors,), (PAPER_ASPECT_RATIOS,), strides=(16,))
    model = fasterrcnn_tiny(len(scenes.class_names), **options)
    maps: dict[str, dict[str, float]] = {"unseen": {}, "seen": {}}
    histories: list[History] = [History()]

    def watch(done: int, model: FasterRCNN, history: History) -> None:
        histories[:] = [history]
        if done % MEASURED_EVERY == 0 or done == recipe.steps:
            for name, some in (("unseen", unseen), ("seen", dataset)):
                pairs = [some[i] for i in range(min(MEASURED, len(some)))]
                maps[name][str(done)] = round(_map(model, pairs, scenes.class_names), 3)
        if on_step:
            on_step(done, model, history)

    said = ""
    try:
        if plan.momentum is None:
            train(model, dataset, recipe, on_step=watch, progress=False)
        else:
            _train_with_sgd(model, dataset, recipe, plan.momentum, watch)
    except FloatingPointError as error:
        said = f"step {len(histories[0]) + 1}: FloatingPointError: {error}"
    run = measure(model, unseen, SCENE)
    total = histories[0].total
    each = 1 if len(total) <= FEW_STEPS else LOSS_STEPS
    parts = (total[start : start + each] for start in range(0, len(total), each))
    losses = [_finite(sum(part) / len(part)) for part in parts]
    return replace(run, losses=losses, said=said, unseen=maps["unseen"], seen=maps["seen"], each=each)


def _train_with_sgd(
    model: FasterRCNN,
    dataset: LabelledImages,
    recipe: Recipe,
    momentum: float,
    on_step: Callable[[int, FasterRCNN, History], None],
) -> None:
    """A training loop as many write it, on the batches of `train`; raises FloatingPointError as `train_step` does."""
    optimizer = torch.optim.SGD(model.parameters(), recipe.learning_rate, momentum)
    history = History()
    for step, (images, targets) in enumerate(batches_of(dataset, recipe, 0, None, 0)):
        history.add(train_step(model.train(), optimizer, recipe, step, images, targets))
        on_step(step + 1, model, history)


def _finite(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


@torch.no_grad()
def _map(model: FasterRCNN, pairs: Sequence[tuple[Tensor, Target]], names: Sequence[str]) -> float:
    """mAP on a few scenes; the model goes on training afterwards."""
    found = model.eval()([image for image, _ in pairs])
    return evaluate(found, [target for _, target in pairs], class_names=names).map


def measure(model: FasterRCNN, scenes: Shapes, scene: int, coco: bool = False) -> Run:
    """Detect on all scenes and evaluate; the detections on number `scene` are kept."""
    detections, targets = detect(model, scenes, progress=False)
    at = [evaluate(detections, targets, iou_threshold=iou, class_names=scenes.class_names) for iou in (0.5, 0.75)]
    recall = recall_at([one["boxes"] for one in detections], targets, [0.5]).item()
    scores = [one["scores"].max().item() if len(one["scores"]) else 0.0 for one in detections]
    per_class = {name: [round(one.per_class[name], 3) for one in at] for name in scenes.class_names[1:]}
    said = evaluate(detections, targets, "coco", class_names=scenes.class_names).coco_lines if coco else ""
    map_50, map_75 = (round(one.map, 3) for one in at)
    best = round(sum(scores) / len(scores), 3)
    rows = _rows(detections[scene % len(detections)])
    return Run([], {}, {}, map_50, map_75, round(recall, 3), best, per_class, rows, said)


def _rows(found: Target) -> list[list[float]]:
    sure = found["scores"] >= SHOWN_SCORE
    columns = (found["boxes"], found["labels"][:, None].double(), found["scores"][:, None])
    return [[round(value, 2) for value in row] for row in torch.cat(columns, dim=1)[sure].tolist()]


TRAINED = Plan(recipe=None)
PLANS: dict[str, Plan] = {
    "sound": Plan(),
    "rate": Plan(replace(RECIPE, learning_rate=1.0, warmup=0.0, clip_norm=1e9), momentum=0.9),
    "slower": Plan(replace(RECIPE, learning_rate=0.05, warmup=0.0, clip_norm=1e9), momentum=0.9),
    "format": Plan(spoil=corners_read_as_sides),
    "by_heart": Plan(scenes=6),
    "unlabelled": Plan(spoil=most_left_out),
    "large_anchors": Plan(anchors=(110.0, 140.0, 180.0)),
    "few_steps": Plan(replace(RECIPE, steps=40)),
    "trained": TRAINED,
    "small_objects": replace(TRAINED, tested={"sizes": (12.0, 40.0)}, coco=True),
    "all_sizes": replace(TRAINED, tested={"image_size": 512, "sizes": (24.0, 256.0)}, coco=True),
    "no_nms": replace(TRAINED, install=lambda model: rebuilt(model, box_nms_thresh=0.95)),
    "twice": replace(TRAINED, install=lambda model: rebuilt(model, ScaledBackTwice)),
    "one_regressor": replace(TRAINED, install=lambda model: rebuilt(model, roi_heads=OneRegressor)),
    "A": Plan(replace(RECIPE, steps=180, seed=1), spoil=axes_exchanged),
    "B": Plan(replace(RECIPE, seed=2)),
    "C": Plan(replace(RECIPE, steps=180, seed=3), scenes=8),
    "D": Plan(replace(RECIPE, steps=180, seed=4, learning_rate=0.6, warmup=0.0, clip_norm=1e9), momentum=0.9),
}
"""Every run that ships. A to D are for the exercise "Which patient is this?"."""


# Patients

CAUSES = {
    "rate": "The learning rate is far too high.",
    "format": "The training boxes are in another format.",
    "by_heart": "It learns its few training images by heart.",
    "unlabelled": "Most objects in the training images have no box.",
    "small_objects": "The test images have no object of that size.",
    "large_anchors": "No anchor is as small as the objects.",
    "few_steps": "It was trained for too few steps.",
    "no_nms": "The last NMS lets nearly everything through.",
    "twice": "Boxes are scaled back to the original image twice.",
    "one_regressor": "The deltas of one class are used for all classes.",
}
"""Every cause, by the name of the run in `PLANS` that has it."""


@dataclass(frozen=True)
class Patient:
    """A detector with a fault."""

    name: str
    """The name of its row in `training.symptoms.TABLE`."""
    complaint: str
    """What its owner says."""
    cause: str
    """One of `CAUSES`."""
    others: tuple[str, ...]
    """Further ones to choose from."""
    cured: str
    """The name of the run in `PLANS` without the fault."""
    wrong: str
    """The line of code with the fault; `right` is the correct one."""
    right: str
    why: str

    @property
    def choices(self) -> dict[str, str]:
        """The causes to choose from, in the order of `CAUSES`."""
        return {key: text for key, text in CAUSES.items() if key in (self.cause, *self.others)}


PATIENTS = (
    Patient(
        "nan",
        "The loss grew from step to step. Then the training ended with an error.",
        "rate",
        ("format", "unlabelled", "few_steps"),
        "slower",
        "optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)",
        "optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)",
        "Each step overshoots, so the next gradient is larger still. This package stops at the first one that is not "
        "finite. torchvision's detector with the same body, trained so on these images, had a loss of NaN from step 9 "
        "on and NaN in all its weights: it found nothing, without an error.",
    ),
    Patient(
        "no_map",
        "The loss falls and then stays near 0.9, and mAP on new images stays low. I wrote a script for the boxes.",
        "format",
        ("by_heart", "few_steps", "no_nms"),
        "sound",
        "x1, y1, x2, y2 = x, y, x + w, y + h  # but the file had x1, y1, x2, y2",
        "x1, y1, x2, y2 = file.box",
        "The loss compares with the boxes that it is given, wrong or not, and mAP on the training images does so, too: "
        "there it is higher. It is not overfitting: that would reach 1 on the training images, and the loss nearly 0. "
        "And in the picture the box begins at the object, but is much too large. One look at a few training "
        "photographs with their boxes shows it.",
    ),
    Patient(
        "overfitting",
        "The loss is lower than ever, and mAP has stopped rising. Does it need more steps?",
        "by_heart",
        ("rate", "few_steps", "large_anchors"),
        "sound",
        "train(model, six_images, recipe)",
        "train(model, ten_thousand_images, recipe)",
        "On its training images the detector is nearly perfect, on others it is not. More steps make that worse: stop "
        "where validation mAP is highest. More photographs help most, augmentation next.",
    ),
    Patient(
        "unlabelled",
        "The loss soon falls nearly to 0, and yet it does not find anything.",
        "unlabelled",
        ("rate", "by_heart", "no_nms"),
        "sound",
        "train(model, all_images, recipe)  # boxes are drawn on one in ten so far",
        "train(model, images_that_are_done, recipe)",
        'An object without a box is a lesson in "this is background". Images that really show no object are welcome.',
    ),
    Patient(
        "minus_one",
        "For large objects COCO's table says \N{MINUS SIGN}1. How can a mean precision be negative?",
        "small_objects",
        ("large_anchors", "few_steps", "twice"),
        "all_sizes",
        "evaluate(model, images_with_small_objects, style='coco')",
        "evaluate(model, images_with_objects_of_all_sizes, style='coco')",
        '\N{MINUS SIGN}1 is COCO\'s sign for "not measured". Large means an area above 96\N{SUPERSCRIPT TWO} pixels of '
        "the file: images that were made smaller have fewer large objects.",
    ),
    Patient(
        "anchors",
        "It learns late, and its boxes fit badly: in the picture the bar has two, and neither fits well.",
        "large_anchors",
        ("rate", "no_nms", "one_regressor"),
        "sound",
        "AnchorGenerator(((110, 140, 180),), ...)",
        "AnchorGenerator(((20, 40, 80),), ...)",
        "Each object has its best anchor as its only positive, and that one overlaps most by less than a third: the "
        "first stage learns from few, bad examples. `coverage` would have said so before the training.",
    ),
    Patient(
        "background",
        "It does not find anything. No score is above 0.5.",
        "few_steps",
        ("format", "by_heart", "twice"),
        "sound",
        "Recipe(steps=40)",
        "Recipe(steps=300)",
        '"Background" is the right answer for most proposals, so it is learnt first. Objects follow as soon as the '
        "first stage hands over good proposals.",
    ),
    Patient(
        "doubled",
        "It finds most objects, and most of them several times.",
        "no_nms",
        ("one_regressor", "format", "few_steps"),
        "trained",
        "box_nms_thresh=0.95",
        "box_nms_thresh=0.5",
        "Two boxes that share 94 % count as different objects. Recall stays, precision drops.",
    ),
    Patient(
        "shifted",
        "All boxes are too large, and too far to the lower right.",
        "twice",
        ("format", "large_anchors", "one_regressor"),
        "trained",
        "boxes = to_original(model([image])[0]['boxes'])",
        "boxes = model([image])[0]['boxes']  # they are in pixels of the image already",
        "The detector scales its boxes back itself. A second time moves every corner by the same factor, here 1.25.",
    ),
    Patient(
        "one_regressor",
        "It finds and names the objects. Discs get good boxes, and triangles and crosses never do.",
        "one_regressor",
        ("no_nms", "few_steps", "large_anchors"),
        "trained",
        "deltas[:, 1]  # of the first class",
        "deltas[proposal, label]  # of the detection's own class",
        "The head predicts four deltas for each class, and trains only those of the right one. (A head with "
        "class-agnostic boxes predicts four in all; weights of one kind do not fit the other.)",
    ),
)
"""In the order of lesson 09."""


@cache
def load_runs() -> dict[str, Run]:
    """The runs that ship, by the names of `PLANS`."""
    content = json.loads(data_path(FILE).read_text(encoding="utf-8"))
    return {name: Run(**entry["run"]) for name, entry in content.items()}


def patient(number: int) -> Patient:
    """Patient 1, 2, ...; raises ValueError for a number that none has."""
    if number not in range(1, len(PATIENTS) + 1):
        raise ValueError(f"no patient has the number {number!r}; there are 1 to {len(PATIENTS)}")
    return PATIENTS[number - 1]


# What the lesson shows

WIDE_TEXT = "font-size: 11px; white-space: pre; overflow-x: auto"
"""The style of COCO's lines, which are 80 letters wide."""

FOLD = "The faulty line, the correct one, and the same run cured"


def visit(number: int, run: bool = False) -> None:
    """Show the symptom of a patient, ask for the cause, and keep the cure folded; with `run` both are run now."""
    from IPython.display import HTML, display

    one = patient(number)
    sick, cured = (perform(PLANS[key]) if run else load_runs()[key] for key in (one.cause, one.cured))
    display(HTML(f"<p><b>Patient {number}. {escape(one.complaint)}</b></p>" + _picture(figure(one.cause, sick), sick)))
    question = Question(f"Patient {number}. {one.complaint} Which cause is it?", one.choices)
    display(question.compare(one.cause, f"{one.why} {_compared(one, sick, cured)}"))
    code = f"<pre>{escape(one.wrong)}\n{escape(one.right)}</pre>"
    cure = _picture(figure(one.cured, cured), cured)
    display(HTML(f"<details><summary>{FOLD}</summary>{code}{cure}</details>"))


def _compared(one: Patient, sick: Run, cured: Run) -> str:
    if PLANS[one.cause].tested != PLANS[one.cured].tested:
        return (
            "The table folded below is of other images, with objects of all sizes, and has a number for each size. "
            "Its mAP cannot be compared with the one above, because the images differ."
        )
    return f"Cured, mAP@0.5 is {cured.map_50:.2f} instead of {sick.map_50:.2f}."


def figure(name: str, run: Run) -> Figure:
    """A run in `PLANS`: its curves or its figures, and one scene with its detections."""
    plan = PLANS[name]
    drawn = Figure(figsize=(8.0, 2.9), dpi=96, layout="constrained")
    left, right = drawn.subplots(1, 2, width_ratios=(1.7, 1))
    if plan.recipe:
        plot_curves(left, run)
    else:
        _draw_figures(left, run)
    scenes = Shapes(UNSEEN, "val", config=SMALL) if plan.recipe else Shapes(TESTED, "val", **plan.tested)
    image, target = scenes[SCENE if plan.recipe else TESTED_SCENE]
    rows = torch.tensor(run.detections, dtype=torch.float32).reshape(-1, 6)
    states = ["ground truth"] * len(target["boxes"]) + ["detection"] * len(rows)
    found = f"{count(len(rows), 'detection')} (score \N{GREATER-THAN OR EQUAL TO} 0.5)"
    title = f"{count(len(target['boxes']), 'object')}, {found}"
    draw_boxes(image, torch.cat((target["boxes"], rows[:, :4])), states=states, ax=right)
    right.set_title(title, fontsize=8)
    return drawn


def plot_curves(axes: Axes, run: Run) -> None:
    """The loss, and mAP on unseen and on training scenes, over the steps."""
    steps = [run.each * (i + 1) for i in range(len(run.losses))]
    (loss_color, loss_dash, _), *others = CURVE_LINES
    losses = [math.nan if loss is None else loss for loss in run.losses]
    axes.plot(steps, losses, color=loss_color, linestyle=loss_dash, label="loss")
    axes.set(xlabel="step", ylabel="loss")
    if max(filter(math.isfinite, losses)) > LARGE_LOSS:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0)
    right = axes.twinx()
    for (color, dash, marker), values, label in zip(
        others, (run.unseen, run.seen), ("mAP, unseen scenes", "mAP, training scenes"), strict=False
    ):
        right.plot(
            [int(step) for step in values],
            list(values.values()),
            color=color,
            linestyle=dash,
            marker=marker,
            label=label,
        )
    right.set(ylim=(0, 1.02), ylabel="mAP at IoU 0.5")
    handles = [*axes.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 1.17), ncols=3, frameon=False, fontsize=8)


def _draw_figures(axes: Axes, run: Run) -> None:
    """AP of each class at two thresholds."""
    names = list(run.per_class)
    for offset, (index, iou) in zip((-0.2, 0.2), enumerate((0.5, 0.75)), strict=True):
        color, _, _ = CURVE_LINES[index]
        values = [run.per_class[name][index] for name in names]
        rows = [row + offset for row in range(len(names))]
        bars = axes.barh(rows, [0 if math.isnan(v) else v for v in values], 0.38, color=color, label=f"AP at IoU {iou}")
        axes.bar_label(bars, [f"{value:.2f}" for value in values], padding=3, fontsize=7)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlim=(0, 1.12))
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.15), ncols=2, frameon=False, fontsize=8)


def _picture(drawn: Figure, run: Run) -> str:
    source = f"data:image/png;base64,{base64.b64encode(figure_png(drawn)).decode('ascii')}"
    text = f'<pre style="{WIDE_TEXT}">{escape(run.said)}</pre>' if run.said else ""
    numbers = (
        f"mAP@0.5 {run.map_50:.2f}, mAP@0.75 {run.map_75:.2f}, recall {run.recall_50:.2f}, "
        f"mean highest score {run.best_score:.2f}"
    )
    return f'<img alt="{escape(numbers)}" style="max-width: 100%" src="{source}"><p>{numbers}</p>{text}'


def table() -> Table:
    """From the symptom to its causes and the check that decides."""
    rows = [(str(number), row.seen, "; ".join(row.causes), row.check) for number, row in enumerate(TABLE, 1)]
    return Table(("patient", "symptom", "usual causes", "the check that decides"), rows)


# Making the file


def make(out: Path, only: Sequence[str] = ()) -> None:
    """Do every run that the file `out` lacks, or those in `only`, and write it after each."""
    entries = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    for name, plan in PLANS.items():
        if (only and name not in only) or (not only and name in entries):
            continue
        started = time.perf_counter()
        run = perform(plan)
        entries[name] = {"conditions": plan.conditions, "run": asdict(run)}
        text = ",\n".join(f"{json.dumps(key)}: {json.dumps(entries[key])}" for key in PLANS if key in entries)
        draft = out.with_name(f".{out.name}.part")
        draft.write_text(f"{{\n{text}\n}}\n", encoding="utf-8")
        draft.replace(out)
        print(f"{name}: mAP {run.map_50:.3f}, {time.perf_counter() - started:.0f} s", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the patients of lesson 09, with their faults and without."""
    parser = argparse.ArgumentParser(prog="python -m frcnn_edu.course.clinic", description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file; runs that it already has are kept")
    parser.add_argument("--only", nargs="+", default=[], choices=list(PLANS), metavar="RUN", help="do these runs anew")
    options = parser.parse_args(arguments)
    make(options.out, options.only)


if __name__ == "__main__":
    main()
