"""Exercises of lesson 09: `letterbox` and its inverse, recall by COCO's sizes, and a diagnosis.

The code to learn from is `frcnn_edu.images` and `frcnn_edu.training.metrics`.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from frcnn_edu.exercises import answer_plots
from frcnn_edu.exercises.exercise import Case, Exercise, Hints, Result, Step, rows
from frcnn_edu.exercises.running import Problem

SMALL, LARGE = 32.0**2, 96.0**2
"""COCO's areas: small up to the first, large from the second on, in square pixels."""

BOXES = rows("0 0 640 480, 100 50 300 200, 320 240 420 250, 12.5 100 40 399")
TALL = rows("0 0 300 900, 30 450 120 660, 200 10 290 100")


class _Square(Exercise):
    """Between an image and the square that it is laid into: scaled so that it just fits, and centred."""

    arguments = ("boxes", "image_size", "side")
    wanted_shape = "Return one row of 4 numbers per box."
    draw = staticmethod(answer_plots.boxes_beside)

    scale = Step(lambda high, wide, side: side / max(high, wide)) | {
        "It scales the shorter side to the square, so the longer one sticks out: "
        "divide by the longer side.": lambda high, wide, side: side / min(high, wide),
        "Boxes are scaled by the image's side over the square's: "
        "the scale is `side` over the image's longer side.": lambda high, wide, side: max(high, wide) / side,
    }
    sides = Step(lambda high, wide: (high, wide)) | {
        "`image_size` is (height, width), and is read as (width, height).": lambda high, wide: (wide, high),
    }
    shift = Step(lambda wide, high, side: ((side - wide) / 2, (side - high) / 2)) | {
        "The image lies in the middle of the square: the padding on both sides is missing.": lambda wide, high, side: (
            0.0,
            0.0,
        ),
        "All of the padding is taken to lie on the left and on top: half of it does.": lambda wide, high, side: (
            side - wide,
            side - high,
        ),
    }

    def placed(self, image_size: tuple[int, int], side: float) -> tuple[float, Tensor]:
        """The scale, and the shift of all four columns."""
        high, wide = self.sides(*image_size)
        scale = self.scale(high, wide, side)
        x, y = self.shift(wide * scale, high * scale, side)
        return scale, torch.tensor([x, y, x, y], dtype=torch.float64)

    def shape_hints(self, boxes: Tensor, image_size: tuple[int, int], side: float) -> Hints:
        return [((len(boxes), 2), "Those are two numbers per box: all four corners move.")]


class LetterBox(_Square):
    """`letterbox(boxes, image_size, side)`: boxes of an image, in pixels of the square, (N, 4)."""

    name = "letterbox"
    cases = (
        (BOXES, (480, 640), 320),
        (TALL, (900, 300), 600),
        (rows("10 20 50 60"), (100, 100), 250),
        Case("an image without boxes", torch.zeros(0, 4), (480, 640), 320),
    )

    order = Step(lambda boxes, scale, shift: boxes * scale + shift) | {
        "It adds the padding before it scales: the padding is in pixels of the square, so "
        "scale first.": lambda boxes, scale, shift: (boxes + shift) * scale,
        "It subtracts the padding: boxes move to the right and down, by plus.": lambda boxes, scale, shift: (
            boxes * scale - shift
        ),
    }

    def reference(self, boxes: Tensor, image_size: tuple[int, int], side: float) -> Tensor:
        return self.order(boxes.double(), *self.placed(image_size, side))


class ToOriginal(_Square):
    """`to_original(boxes, image_size, side)`: boxes in the square back in pixels of the image, (N, 4)."""

    name = "to_original"
    cases = (
        (rows("0 40 320 280, 50 65 150 140, 160 160 210 165"), (480, 640), 320),
        (rows("200 0 400 600, 220 300 280 440"), (900, 300), 600),
        (rows("25 50 125 150"), (100, 100), 250),
        Case("no detections", torch.zeros(0, 4), (480, 640), 320),
    )

    order = Step(lambda boxes, scale, shift: (boxes - shift) / scale) | {
        "It divides before it subtracts the padding, which is in pixels of the square: "
        "subtract first.": lambda boxes, scale, shift: boxes / scale - shift,
        "It multiplies by the scale: the way back divides.": lambda boxes, scale, shift: (boxes - shift) * scale,
        "It adds the padding: the way back subtracts it.": lambda boxes, scale, shift: (boxes + shift) / scale,
    }

    def reference(self, boxes: Tensor, image_size: tuple[int, int], side: float) -> Tensor:
        return self.order(boxes.double(), *self.placed(image_size, side))


class CocoSizes(Exercise):
    """`coco_small_medium_large(boxes, found)`: the recall of small, medium and large objects, (3,)."""

    name = "coco_small_medium_large"
    arguments = ("boxes", "found")
    cases = (
        (
            rows("0 0 20 30, 5 5 100 20, 10 10 200 210, 0 0 31 31, 50 50 120 118, 3 3 9 200, 0 0 400 90, 7 7 27 99"),
            rows("1 0 1 0 1 1 0 1")[0].bool(),
        ),
        Case("no large object", rows("0 0 10 10, 20 20 90 80, 40 30 52 41"), rows("1 1 0")[0].bool()),
        Case("large objects only", rows("0 0 100 100, 0 0 300 40"), rows("0 1")[0].bool()),
        Case("no objects at all", torch.zeros(0, 4), torch.zeros(0, dtype=torch.bool)),
    )
    tolerance = 1e-4
    wanted_shape = "Return three numbers: small, medium, large."

    area = Step(lambda sides: sides.prod(dim=1)) | {
        "It compares the longer side with 32 and 96: what counts is the area, "
        "with 32 * 32 and 96 * 96.": lambda sides: sides.amax(dim=1) ** 2,
        "It compares the shorter side with 32 and 96: what counts is the area.": lambda sides: sides.amin(dim=1) ** 2,
        "It compares the area with 32 and 96, which are lengths: square them.": lambda sides: sides.prod(dim=1) ** 2,
    }
    total = Step(lambda hits, of_size: len(hits)) | {
        "It divides by all objects: each size has a recall of its own.": lambda hits, of_size: max(1, len(of_size)),
    }
    empty = Step(-1.0) | {
        "A size without objects gets 0, as if all had been missed: COCO writes -1.": 0.0,
        "A size without objects gets 1, as if all had been found: COCO writes -1.": 1.0,
    }

    def reference(self, boxes: Tensor, found: Tensor) -> Tensor:
        area = self.area(boxes[:, 2:].double() - boxes[:, :2].double())  # (N,)
        sizes = (area < SMALL, (area >= SMALL) & (area < LARGE), area >= LARGE)
        return torch.tensor([self._recall(found[size], size) for size in sizes], dtype=torch.float64)

    def _recall(self, hits: Tensor, of_size: Tensor) -> float:
        return float(hits.sum()) / self.total(hits, of_size) if len(hits) else self.empty

    def explain_values(self, case: tuple, right: Tensor, answer: Tensor) -> str:
        size = int((answer - right).abs().argmax())
        name = ("small", "medium", "large")[size]
        return f"The recall of {name} objects is {right[size]:.3g}, not {answer[size]:.3g}."


SOUND = 0
ANSWERS = (SOUND, 1, 2, 3, 4, 7)
"""What `which_patient` may answer: numbers of the clinic's patients whose training is at fault, or 0."""

ACCEPTED = {"A": (2, 4, 7), "B": (SOUND,), "C": (3,), "D": (1,)}
"""Every answer that the table of symptoms allows for a curve; the first is how the run was made."""

HINTS = {
    "A": "Curve A: both lines of mAP stay near 0. Which patients had that, and what did the loss do?",
    "B": "Curve B: do both lines of mAP rise together, and how far?",
    "C": "Curve C: look at the distance between the two lines of mAP, and at the end of the loss.",
    "D": "Curve D: look at the numbers beside the loss. Is there any mAP?",
}

WHY = (
    "A: both lines of mAP stay near 0, so 2, 4 and 7 are all possible, and the curve alone cannot decide. Look at the "
    "training boxes: here x and y were exchanged. B: both lines rise together, to 0.89. C: mAP is nearly 1 on training "
    "scenes and below 0.4 on others. D: the loss grows until the training ends."
)


class WhichPatient(Exercise):
    """`which_patient(curve)`: the patient that a curve of the lesson, "A" to "D", belongs to."""

    name = "which_patient"
    arguments = ("curve",)
    cases = tuple((letter,) for letter in HINTS)
    whole = True

    diagnosis = Step({letter: answers[0] for letter, answers in ACCEPTED.items()})

    def reference(self, curve: str) -> Tensor:
        return torch.tensor(self.diagnosis[curve])

    def read(self, answer: object, case: tuple) -> Tensor:
        number = super().read(answer, case)
        if number.shape != () or number.item() not in ANSWERS:
            raise Problem(f"Curve {case[0]}: the answer is one of {', '.join(map(str, ANSWERS))}.")
        return self.expected(case) if number.item() in ACCEPTED[case[0]] else number

    def explain_values(self, case: tuple, right: Tensor, answer: Tensor) -> str:
        return HINTS[case[0]]

    def judge(self, function: Callable, seconds: float) -> Result:
        result = super().judge(function, seconds)
        return replace(result, message=f"{result.message} {WHY}") if result.passed else result
