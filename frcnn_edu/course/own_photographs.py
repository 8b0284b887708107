"""Somebody's own photographs: opened, anchors chosen, trained on, and read, as lesson 09 does.

Without a folder it is the blood cells: all of BCCD where it has been downloaded, else the twelve that ship. Every
sentence about data or results is made here from their numbers, so that it holds for any data.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import count as numbers_from
from pathlib import Path

import torch
from torch.utils.data import Subset

from frcnn_edu.anchors import PAPER_ASPECT_RATIOS
from frcnn_edu.course.blood_cell_detector import load_blood_cell_detector
from frcnn_edu.course.live_training import watch
from frcnn_edu.datasets import course_folder, data_path
from frcnn_edu.datasets.augment import augmentation
from frcnn_edu.datasets.data_report import DataReport, anchor_shapes, coverage
from frcnn_edu.datasets.folder import FolderDataset, open_folder
from frcnn_edu.datasets.look import FEW_BOXES, report_text
from frcnn_edu.datasets.summary import count
from frcnn_edu.faster_rcnn import MOBILENET_SIZES, FasterRCNN
from frcnn_edu.training.checkpoints import BEST, History, ModelCard, Recipe, load_model
from frcnn_edu.training.loop import evaluate, train
from frcnn_edu.training.metrics import Evaluation
from frcnn_edu.training.mistakes import BACKGROUND, CLASS, DUPLICATE, LOCALISATION, MISSED, RIGHT, Errors
from frcnn_edu.training.symptoms import of_map, symptom

BODY = "blood cells"
"""The default of `fine_tune`: the body of the detector that ships."""

OWN_SPLITS = (("train", "val"), ("train", "test"), ("train:0.8", "val:0.2"))
"""Tried one after the other where no splits are named."""

MOST_MEASURED = 24
"""Validation images that are measured on while training; all of them at the end."""

MANY_ON_BACKGROUND = 5
"""From so many detections on background on, more than there are boxes, some are probably objects without a box."""

CLEAR = 0.02
"""A difference in mAP that is worth a sentence."""

ALIKE = 0.75
"""From this ratio of difflib on, the name of a class may be another one misspelt."""

FACTORS = (1.0, 2**0.5, 2**-0.5, 2.0, 0.5, 2 * 2**0.5, 0.25 * 2**0.5, 4.0, 0.25)
"""By which the anchors' sizes are moved to fit; of equals the first."""


@dataclass(frozen=True)
class OwnData:
    """The photographs to train on and those to measure on."""

    train: FolderDataset
    val: FolderDataset
    shipped: bool
    """Whether these are the course's own blood cells, in which the detector that ships was trained or measured."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The background first."""
        return self.train.class_names


def open_own(
    folder: str = "", train_split: str = "", val_split: str = "", classes: Sequence[str] | None = None
) -> OwnData:
    """The two parts of the data in `folder`; "" is the blood cells.

    Without names of splits it takes the folder's own, or draws four images in five to train on. Where one part is a
    share, "train:0.7", the other one is the rest. Boxes of other `classes` are left out. Raises what `open_folder`
    raises, in the words of the lesson's settings.
    """
    place, pairs = _place(folder)
    if train_split or val_split:
        pairs = ((train_split or _rest(val_split, "train"), val_split or _rest(train_split, "val")),)
    for number, (first, second) in enumerate(pairs, 1):
        try:
            training = open_folder(place, first, classes, for_training=True, quiet=True)
            return OwnData(training, open_folder(place, second, training.class_names, quiet=True), not folder)
        except (ValueError, FileNotFoundError) as error:
            if number == len(pairs):
                raise type(error)(_in_words_of_the_settings(str(error))) from None
    raise AssertionError("there is at least one pair of splits")


def _in_words_of_the_settings(text: str) -> str:
    words = {"--data": "my_folder", "add --split": "set train_split or val_split to", "--split": "the split"}
    for option, setting in words.items():
        text = text.replace(option, setting)
    return text


def _rest(split: str, name: str) -> str:
    """The part `name` that belongs to a split: of a drawn share the rest."""
    _, _, share = split.partition(":")
    try:
        return f"{name}:{1 - float(share):g}"
    except ValueError:
        return name


def _place(folder: str) -> tuple[Path, Sequence[tuple[str, str]]]:
    if folder:
        return Path(folder).expanduser(), OWN_SPLITS
    downloaded = (Path("data/bccd"), Path("../data/bccd"), course_folder("data") / "bccd")
    for place in downloaded:
        if place.is_dir():
            return place, OWN_SPLITS
    return data_path("blood_cells"), (("train:0.67", "val:0.33"),)


# Look


def say_look(data: OwnData) -> str:
    """What the photographs hold, and what should be done about it before training."""
    source, *report = report_text(data.train).splitlines()
    unseen = data.val.summary()
    lines = [Path(source).name, *report, f"to measure on: {count(unseen.images, 'image')}, {objects(unseen.boxes)}"]
    lines += [f"skipped {one.file}: {one.why}" for one in unseen.skipped if one not in data.train.summary().skipped]
    return "\n".join([*lines, *_class_advice(data)])


def objects(number: int) -> str:
    """The number with its noun."""
    return count(number, "object")


def _class_advice(data: OwnData) -> list[str]:
    seen, unseen = data.train.summary(), data.val.summary()
    lines = []
    rare = [name for name, number in seen.classes.items() if number < FEW_BOXES]
    misspelt = {name: other for name in rare for other in _alike(name, seen.classes)}
    for name, other in misspelt.items():
        lines.append(f"Is {name} a misspelt {other}? {_first_file(data.train, name)} has it: correct it there.")
    if few := [name for name in rare if name not in misspelt]:
        lines.append(
            f"What to do about {_listed(few)}: add photographs that show {_pronoun(few)}, merge {_pronoun(few)} with a "
            "class that looks alike, or leave it out with `classes`. Until then its AP means little."
        )
    if absent := [name for name, number in unseen.classes.items() if number == 0]:
        lines.append(f"Nothing to measure {_listed(absent)} on: the validation images show none. mAP leaves it out.")
    both = len({data.train.path(i) for i in range(len(data.train))} & {data.val.path(i) for i in range(len(data.val))})
    if both:
        lines.append(
            f"{count(both, 'image')} to train on and to measure on: mAP will say nothing about new ones. Choose splits "
            "that share none."
        )
    if unseen.images and not unseen.boxes:
        lines.append("No object to measure on: choose other splits.")
    if said := say_chance(unseen.classes):
        lines.append(said)
    return lines


def _alike(name: str, classes: Mapping[str, int]) -> list[str]:
    """The more frequent class whose name is nearly the same, if there is one."""
    others = {other.casefold(): other for other, number in classes.items() if number > classes[name]}
    return [others[found] for found in get_close_matches(name.casefold(), others, 1, ALIKE)]


def _first_file(dataset: FolderDataset, name: str) -> str:
    label = dataset.class_names.index(name)
    return next(dataset.path(i).name for i, one in enumerate(dataset.targets()) if label in one["labels"])


def chance(classes: Mapping[str, int]) -> float:
    """By how much one object of the rarest class moves mAP; `classes` are the numbers of objects measured on."""
    known = [number for number in classes.values() if number]
    return 1 / (min(known) * len(known)) if known else math.nan


def say_chance(classes: Mapping[str, int]) -> str:
    """How much of a difference in mAP is chance, where that is worth a sentence."""
    if not (moved := chance(classes)) > CLEAR:
        return ""
    rarest = min((name for name in classes if classes[name]), key=lambda name: classes[name])
    few = objects(classes[rarest]) + (f" of class {rarest}" if len(classes) > 1 else "")
    verb = "is" if classes[rarest] == 1 else "are"
    return f"There {verb} only {few} to measure on: one that is found, or not, moves mAP by up to {moved:.2f}."


# Anchors


@dataclass(frozen=True)
class Anchors:
    """Anchors for the four levels of `fasterrcnn_mobilenet_v2`."""

    sizes: tuple[tuple[float, ...], ...]
    ratios: tuple[float, ...]

    @property
    def shapes(self) -> torch.Tensor:
        """Width and height of each, (K, 2)."""
        return anchor_shapes([size for level in self.sizes for size in level], self.ratios)

    @property
    def options(self) -> dict[str, object]:
        """What the builder and a saved model take."""
        return {"anchor_sizes": [list(level) for level in self.sizes], "aspect_ratios": list(self.ratios)}


DEFAULT_ANCHORS = Anchors(MOBILENET_SIZES, PAPER_ASPECT_RATIOS)


def choose_anchors(resized: DataReport) -> Anchors:
    """The anchors that most boxes meet with an IoU of 0.7, of the default ones moved to other sizes and ratios.

    `resized` are the boxes as the network sees them. The steps between sizes stay, so that each level keeps objects of
    its own; ratios are the default or the 10 %, 50 % and 90 % quantiles of the boxes'.
    """
    ratios = [PAPER_ASPECT_RATIOS]
    if len(resized.ratios):
        low, middle, high = (round(r, 2) for r in resized.ratios.quantile(torch.tensor([0.1, 0.5, 0.9])).tolist())
        if low < middle < high:
            ratios.append((low, middle, high))
    candidates = [
        Anchors(tuple(tuple(round(size * factor, 1) for size in level) for level in MOBILENET_SIZES), of)
        for of in ratios
        for factor in FACTORS
    ]
    share = [coverage(resized.shapes, one.shapes).share(0.7) for one in candidates]
    best = max(range(len(candidates)), key=lambda i: round(share[i], 2))
    return candidates[best] if round(share[best] - share[0], 2) > 0.02 else DEFAULT_ANCHORS


def say_anchors(resized: DataReport, chosen: Anchors) -> str:
    """How well the default anchors and the chosen ones fit."""
    before, after = (coverage(resized.shapes, one.shapes) for one in (DEFAULT_ANCHORS, chosen))
    lines = [f"the default 24: {before}"]
    if chosen == DEFAULT_ANCHORS:
        lines.append("No other sizes and ratios fit clearly better: the default ones stay.")
    else:
        sizes = ", ".join(f"{size:g}" for level in chosen.sizes for size in level)
        lines += [f"chosen:         {after}", f"sizes {sizes}; ratios {', '.join(f'{r:g}' for r in chosen.ratios)}"]
    if after.share(0.5) < 0.9:
        lines.append(
            f"{1 - after.share(0.5):.0%} of the boxes still have no anchor of IoU 0.5. If they are small, make "
            "`shorter_side` larger."
        )
    return "\n".join(lines)


# Train


@dataclass(frozen=True)
class Trained:
    """A detector after training, with its best weights, and how it went."""

    model: FasterRCNN
    card: ModelCard
    history: History
    folder: Path
    steps: int
    """How many were planned."""
    measured_on: Mapping[str, int]
    """How many objects of each class mAP was measured on meanwhile."""


def fine_tune(
    data: OwnData,
    recipe: Recipe,
    options: Mapping[str, object],
    flips: Mapping[str, float],
    save_as: str | Path,
    start: str = BODY,
    measure_every: int = 20,
) -> Trained:
    """Train `fasterrcnn_mobilenet_v2` while losses and mAP are drawn; its best weights stay in a new folder.

    `start` is the body of the detector that ships or the name of torchvision's weights, which are downloaded once.
    JupyterLab's stop button ends the training early; the best weights so far are returned.
    """
    card = ModelCard("mobilenet_v2", data.class_names, {**options, "frozen_backbone": True})
    torch.manual_seed(recipe.seed)
    model = card.build(weights_backbone=None if start == BODY else start)
    if start == BODY:
        shipped = load_blood_cell_detector()[0].state_dict()
        model.load_state_dict({k: v for k, v in shipped.items() if k.startswith("backbone.")}, strict=False)
    folder = next(path for k in numbers_from(1) if not (path := Path(f"{save_as}-{k}")).exists())
    some = Subset(data.val, spread(len(data.val), MOST_MEASURED))
    names = data.class_names
    watched = watch(
        recipe.steps,
        lambda on_step: train(
            model,
            data.train,
            recipe,
            folder,
            card,
            augment=augmentation(**flips),
            measure=lambda model: evaluate(model, some, class_names=names, progress=False).map,
            measure_every=measure_every,
            on_step=on_step,
            progress=False,
        ),
    )
    if not len(watched.history):
        raise KeyboardInterrupt("stopped before the first step")
    best = folder / BEST
    model, card = load_model(best if best.is_dir() else folder)
    return Trained(model, card, watched.history, folder, recipe.steps, _counts(data.val, some.indices))


def _counts(dataset: FolderDataset, indices: Iterable[int]) -> dict[str, int]:
    """How many objects of each class these images have, without difficult ones and crowds."""
    targets = [dataset.targets()[index] for index in indices]
    labels = torch.cat([one["labels"][~(one["difficult"] | one["iscrowd"])] for one in targets])
    return {name: int((labels == label).sum()) for label, name in enumerate(dataset.class_names) if label}


def spread(length: int, most: int) -> list[int]:
    """At most `most` of the numbers below `length`, evenly."""
    return sorted({i * length // min(most, length) for i in range(min(most, length))})


def say_training(trained: Trained, data: OwnData) -> str:
    """What the curves show, and what to do next."""
    history, done = trained.history, len(trained.history)
    total = history.total
    tenth = max(1, done // 10)
    first, last = (sum(part) / tenth for part in (total[:tenth], total[-tenth:]))
    said = [f"After {count(done, 'step')} the loss went from {first:.2f} to {last:.2f}."]
    if done < trained.steps:
        said.append(f"The training was stopped; {trained.steps} were planned.")
    known = {step: value for step, value in history.measured.items() if not math.isnan(value)}
    if not known:
        return " ".join([*said, "mAP was not measured: these weights are those of the last step."])
    best, end = history.best or 0, known[max(known)]
    before = [value for step, value in known.items() if step < max(known)]
    said.append(
        f"mAP was highest after step {best}, {known[best]:.2f}; these weights are kept in `{trained.folder / BEST}`."
    )
    if len(data.val) > MOST_MEASURED:
        said.append(
            f"That is of {MOST_MEASURED} of the {len(data.val)} validation photographs. The next section uses all."
        )
    if len(known) > 1:
        said.append(
            f"It is the best of {len(known)} measurements on the same photographs, and so a little optimistic: expect "
            "less on new ones."
        )
    if seen := of_map(known[best]):
        said.append(f"That is a symptom. {seen}.")
    elif known[best] - end > max(CLEAR, chance(trained.measured_on)):
        said.append(
            f"At the end it was {end:.2f}. More steps of this kind do not help: if mAP goes on falling while the loss "
            "does, the detector learns its training images by heart."
        )
    elif before and end - max(before) > CLEAR:
        said.append("It was still rising at the end: with more `steps` it may get better.")
    if chances := say_chance(trained.measured_on):
        said.append(chances)
    if data.shipped:
        said.append(
            "The body of this detector has seen such cells before, so its mAP rises sooner than it will on your "
            "photographs."
        )
    return " ".join(said)


# Read the errors


def say_map(result: Evaluation) -> str:
    """mAP, and the weakest class with the number of its objects."""
    known = {name: value for name, value in result.per_class.items() if not math.isnan(value)}
    if not known:
        return "The validation images hold no object, so there is nothing to measure."
    said = [f"mAP at IoU 0.5 is {result.map:.2f} on {objects(sum(result.ground_truths.values()))}."]
    if len(known) > 1:
        worst = min(known, key=known.__getitem__)
        said.append(f"The weakest class is {worst}: AP {known[worst]:.2f} of {objects(result.ground_truths[worst])}.")
    if seen := of_map(result.map):
        said.append(f"That is a symptom. {seen}.")
    return " ".join(said)


ADVICE = {
    DUPLICATE: "Duplicates: lower `box_nms_thresh`, or look whether objects are annotated twice.",
    CLASS: "Wrong classes: look at pairs that are mistaken for each other. Do people tell them apart here? If they do, "
    "add examples of the rarer one.",
    LOCALISATION: "Loose boxes: train longer, choose anchors that fit, look how tightly the objects are annotated.",
    BACKGROUND: "Detections on background: first look whether they are objects that nobody has drawn. If they are "
    "none, train longer, or add photographs that show such things, without boxes.",
    MISSED: "Missed objects: are they small, cut off or hidden? Try more steps, a lower score, larger pictures, more "
    "examples.",
}


def say_errors(errors: Errors, score: float) -> str:
    """Which kind of mistake is most frequent at this score, and what helps."""
    total = errors.total
    wrong = {kind: total[kind] for kind in ADVICE if total[kind]}
    if not total[RIGHT] and not any(total[kind] for kind in ADVICE if kind != MISSED):
        return f"No detection scores {score:g} or more. {symptom('background')}."
    if not wrong:
        return f"At a score of {score:g} there is no mistake among {count(total[RIGHT], 'detection')}."
    worst = max(wrong, key=wrong.__getitem__)
    right, all_kinds = total[RIGHT], ", ".join(f"{kind} {number}" for kind, number in wrong.items())
    return f"At a score of {score:g}: {right} right; {all_kinds}. Most frequent: {worst}. {ADVICE[worst]}"


def say_labels(errors: Errors, data: OwnData) -> str:
    """The photographs with so many detections on background that objects without a box are likely; "" if none is."""
    lines = []
    for i in errors.worst(BACKGROUND):
        false, boxes = errors.images[i].kinds.count(BACKGROUND), len(errors.images[i].missed)
        if false >= MANY_ON_BACKGROUND and false > boxes:
            lines.append(
                f"{data.val.path(i).name} has {count(false, 'detection')} on background and {_only(boxes)}: probably "
                "not all of its objects have a box. Look before you count these as mistakes."
            )
    return " ".join(lines)


def _only(boxes: int) -> str:
    return f"only {count(boxes, 'box')}" if boxes else "no box"


def say_use(trained: Trained) -> str:
    """The commands that use the saved detector."""
    weights = trained.folder / BEST if (trained.folder / BEST).is_dir() else trained.folder
    lines = (
        f"frcnn-edu predict PHOTOGRAPHS --weights {weights} --out found",
        f"frcnn-edu page --weights {weights}",
        f"frcnn-edu export --weights {weights} --out {trained.folder}.onnx",
    )
    return "\n".join(lines)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(", ".join(names).rsplit(", ", 1))


def _pronoun(names: Iterable[str]) -> str:
    return "it" if len(list(names)) == 1 else "them"
