"""Symptoms: what goes wrong in training, the usual causes, and the check that tells them apart.

One table for all: `train` and `evaluate` print the row of a symptom that they see, and lesson 09 has a patient for
each.
"""

import math
from dataclasses import dataclass

LEAST_MAP = 0.02
"""An mAP below this after training is a symptom."""

STEPS_WITHOUT_POSITIVES = 100


@dataclass(frozen=True)
class Symptom:
    """A row of the table."""

    name: str
    seen: str
    """What one sees."""
    causes: tuple[str, ...]
    """The usual ones, the most frequent first."""
    check: str
    """The check that decides between them."""

    def __str__(self) -> str:
        return f"{self.seen}. Usual causes: {'; '.join(self.causes)}. To decide: {self.check} (lesson 09, the clinic)"


TABLE = (
    Symptom(
        "nan",
        "The loss is NaN, infinite, or jumps up and stays there",
        (
            "the learning rate is too high, or gradients are not clipped",
            "an image or a box holds NaN (this package refuses it, torchvision trains on)",
            "a loss of your own divides by 0 or takes log(0), that of a box without area for example",
        ),
        "train 20 steps with a tenth of the learning rate. If the loss then falls, it was the rate; "
        "if not, look at the images of the step that the error names.",
    ),
    Symptom(
        "no_map",
        "mAP stays near 0, or low from the first measurement on, though the loss falls",
        (
            "boxes are in another format, such as x, y, width, height read as corners",
            "class names are shifted: labels from 0 instead of 1, or K classes built instead of K + 1",
            "images are not in [0, 1], or normalised twice, at measuring",
            "there were too few steps",
        ),
        "draw a few training photographs with boxes and names. If they are right, draw the detections, too: boxes on "
        "the objects under wrong names mean shifted classes; boxes that are shifted or much too large mean another "
        "format or scale.",
    ),
    Symptom(
        "overfitting",
        "The loss falls, mAP on the validation images does not rise any more",
        (
            "the detector learns its few training images by heart",
            "training and validation images differ: another camera, other annotators",
            "training goes on in evaluation mode, or measuring in training mode",
        ),
        "measure mAP on the training images as well, and draw detections. If it comes near 1 there, and the boxes lie "
        "on the objects, it is overfitting. If it is higher there, but far from 1, and the boxes are shifted or much "
        "too large, the boxes are in another format: those of the training are wrong in the same way.",
    ),
    Symptom(
        "unlabelled",
        "Few positives, or none: the box losses are near 0, scores are low, objects are missed",
        (
            "many objects have no box: those images teach that they are background",
            "annotations were not found, or their class names do not match, so that images count as empty",
            "all boxes are marked difficult or crowd, and left out",
        ),
        "count the boxes per image (`look`), and draw images that have none. Images that really show no object are "
        "welcome: they teach what is background.",
    ),
    Symptom(
        "minus_one",
        "\N{MINUS SIGN}1 in COCO's table",
        (
            "no object of that size is among the test images",
            "images were made smaller before: sizes count in pixels of the file",
        ),
        "count the objects with an area up to 32\N{SUPERSCRIPT TWO}, up to 96\N{SUPERSCRIPT TWO} and above. "
        "\N{MINUS SIGN}1 stands where the count is 0: not measured, rather than bad.",
    ),
    Symptom(
        "anchors",
        "Objects of one size or shape are missed, or their boxes fit badly",
        (
            "no anchor comes near their size or shape",
            "resizing makes them smaller than the smallest anchor",
        ),
        "compute `coverage` of the boxes as the network sees them, resized. Below half with IoU 0.5, choose anchors.",
    ),
    Symptom(
        "background",
        "Everything is background: hardly a score above 0.5",
        (
            "there were too few steps, or the learning rate is too low",
            "objects are rare among the samples: too few boxes for the images, or one class in a hundred",
        ),
        "train on with twice the steps and watch the highest scores. If they rise, it was the steps; if not, count the "
        "boxes of each class.",
    ),
    Symptom(
        "doubled",
        "Several boxes on one object",
        (
            "the threshold of the last NMS is too high, or NMS was left out",
            "NMS works class by class, and the object is detected as two classes",
            "the objects are annotated twice",
        ),
        "look at the names of the boxes on one object, and at their IoU. One name and an IoU above 0.5: NMS. "
        "Two names: the classes are alike. Count annotated boxes that nearly coincide, too.",
    ),
    Symptom(
        "shifted",
        "All boxes are shifted or scaled by the same factor",
        (
            "boxes are scaled back to the original image twice, or not at all",
            "x and y are exchanged, or the image was rotated by its EXIF data and the boxes were not",
            "the image was padded on the left, and the padding was not subtracted",
        ),
        "divide the corners of a detection by those of its object. The same factor everywhere is the scale of the "
        "resizing, or its inverse.",
    ),
    Symptom(
        "one_regressor",
        "Objects are found and named, but boxes fit badly for all classes but one",
        (
            "the deltas of one class are used for all: the head predicts four numbers for each class",
            "weights with class-agnostic boxes were loaded into a head with boxes per class",
        ),
        "compare AP at IoU 0.5 and 0.75 class by class. If one class keeps its AP and the others lose theirs, look at "
        "which deltas are read.",
    ),
)
"""Every symptom, in the order of lesson 09."""


def symptom(name: str) -> Symptom:
    """The row called `name`; raises KeyError that lists the names."""
    rows = {row.name: row for row in TABLE}
    if name not in rows:
        raise KeyError(f"no symptom is called {name!r}; there are {', '.join(rows)}")
    return rows[name]


def of_map(mean: float) -> Symptom | None:
    """The symptom of an mAP after training, if it is one; NaN, for no objects, is none."""
    return symptom("no_map") if not math.isnan(mean) and mean < LEAST_MAP else None


def of_losses(losses: dict[str, list[float]]) -> Symptom | None:
    """The symptom of the losses of every step, under torchvision's names: none of the last hundred had a positive."""
    last = [losses.get(name, [])[-STEPS_WITHOUT_POSITIVES:] for name in ("loss_rpn_box_reg", "loss_box_reg")]
    silent = all(len(values) == STEPS_WITHOUT_POSITIVES and not any(values) for values in last)
    return symptom("unlabelled") if silent else None
