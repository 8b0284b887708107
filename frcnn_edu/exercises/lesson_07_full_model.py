"""Exercise of lesson 07: `average_precision`, with what people write instead.

The recipe is written for the slips, not for beauty; `frcnn_edu.training.metrics` is the code to learn from. No case
has equal scores, whose order is free.
"""

import itertools
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from frcnn_edu.exercises.exercise import Exercise, Step
from frcnn_edu.exercises.pictures import draw_precision_recall

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ELEVEN_STEPS = 10

ORDER = Step(
    "order",
    "by score",
    {
        "as given": "is_true_positive is taken in the order given; sort it by score, the best first: "
        "is_true_positive[scores.argsort(descending=True)].",
        "worst first": "The detections are taken from the worst score up; the best comes first: descending=True.",
    },
)
RECALL = Step(
    "recall",
    "of all ground truths",
    {
        "of those found": "Only the objects that were found count, so that missed ones cost nothing: divide by "
        "`num_ground_truth`, not by the number of true positives.",
        "of detections": "Recall is divided by the number of detections; it is the share of the ground truths, "
        "`num_ground_truth`.",
    },
)
PRECISION = Step(
    "precision",
    "of those so far",
    {
        "of all detections": "Precision is divided by the number of all detections; it is the share of right ones "
        "among those so far: 1, 2, 3, ...",
        "of ground truths": "Precision is divided by the number of ground truths; it is the share of right ones among "
        "the detections so far.",
        "per false positive": "Precision is true over false positives; it is true over all detections so far, "
        "TP / (TP + FP).",
    },
)
ENVELOPE = Step(
    "envelope",
    "from the right",
    {
        "none": "Precision is taken as it zigzags; all-point AP takes at each recall the best precision there or "
        "beyond: a running maximum from the right.",
        "none, trapezoids": "Precision is taken as it zigzags, with trapezoids under it; all-point AP sums rectangles "
        "under the best precision at each recall or beyond: a running maximum from the right.",
        "from the left": "The running maximum goes from left to right; at each recall the best precision there or "
        "beyond is meant: go from the right.",
        "best of all": "Each point takes the best precision of the whole curve; the best at that recall or beyond "
        "is meant.",
        "minimum": "The running value is the smallest precision from there on; the largest is meant.",
    },
)
AREA = Step(
    "area",
    "steps",
    {
        "without the first": "The first step in recall, from 0, is missing: put recall 0 in front before taking "
        "differences.",
        "eleven points": "That is the 11-point AP of VOC 2007; the all-point one sums every step in recall.",
        "mean": "It averages the precision over all detections; it counts only where recall grows, each time by "
        "1 / num_ground_truth.",
    },
)
RESULT = Step(
    "result",
    "area",
    {
        "percent": "It returns percent; a number from 0 to 1 is due.",
        "last precision": "It returns the precision of all detections together, one point of the curve; "
        "the area under the whole curve is due.",
        "last recall": "It returns the recall of all detections together; the area under the whole curve is due.",
    },
)


def average_precision_recipe(
    scores: Tensor,
    is_true_positive: Tensor,
    num_ground_truth: int,
    order: str,
    recall: str,
    precision: str,
    envelope: str,
    area: str,
    result: str,
) -> Tensor:
    """The average precision with every step taken as named: -> ()."""
    hits = _ordered(scores.tolist(), is_true_positive.tolist(), order)
    true = list(itertools.accumulate(hits, initial=0))[1:]
    found = {RECALL.right: num_ground_truth, "of those found": max(sum(hits), 1), "of detections": len(hits)}[recall]
    recalls = [count / found for count in true]
    precisions = [
        count / _so_far(place, count, len(hits), num_ground_truth, precision) for place, count in enumerate(true)
    ]
    value = {
        RESULT.right: _area(recalls, _enveloped(precisions, envelope), area),
        "last precision": precisions[-1] if hits else 0.0,
        "last recall": recalls[-1] if hits else 0.0,
    }
    return torch.tensor(100 * value[RESULT.right] if result == "percent" else value[result], dtype=torch.float64)


def _ordered(scores: list[float], hits: list[bool], way: str) -> list[int]:
    ranked = sorted(range(len(scores)), key=lambda i: scores[i], reverse=way != "worst first")
    if way == "as given":
        ranked = list(range(len(scores)))
    return [int(hits[i]) for i in ranked]


def _so_far(place: int, true: int, detections: int, ground_truths: int, way: str) -> float:
    """What the true positives are divided by."""
    return {
        PRECISION.right: place + 1,
        "of all detections": detections,
        "of ground truths": ground_truths,
        "per false positive": max(place + 1 - true, 1e-9),
    }[way]


def _enveloped(precisions: list[float], way: str) -> list[float]:
    right_to_left = precisions[::-1]
    return {
        ENVELOPE.right: list(itertools.accumulate(right_to_left, max))[::-1],
        "none": precisions,
        "none, trapezoids": [(a + b) / 2 for a, b in itertools.pairwise([*precisions[:1], *precisions])],
        "from the left": list(itertools.accumulate(precisions, max)),
        "best of all": [max(precisions, default=0.0)] * len(precisions),
        "minimum": list(itertools.accumulate(right_to_left, min))[::-1],
    }[way]


def _area(recalls: list[float], precisions: list[float], way: str) -> float:
    if not recalls:
        return 0.0
    steps = [b - a for a, b in itertools.pairwise([0.0, *recalls])]
    return {
        AREA.right: lambda: _sum(steps, precisions),
        "without the first": lambda: _sum(steps[1:], precisions[1:]),
        "eleven points": lambda: _eleven_points(recalls, precisions),
        "mean": lambda: sum(precisions) / len(precisions),
    }[way]()


def _sum(steps: list[float], heights: list[float]) -> float:
    return sum(step * height for step, height in zip(steps, heights, strict=True))


def _eleven_points(recalls: list[float], precisions: list[float]) -> float:
    curve = list(zip(recalls, precisions, strict=True))
    levels = [step / ELEVEN_STEPS for step in range(ELEVEN_STEPS + 1)]
    best = [max((p for r, p in curve if r >= level - 1e-9), default=0.0) for level in levels]
    return sum(best) / len(levels)


def explain_average_precision(case: tuple, right: Tensor, answer: Tensor) -> str:
    """What is wrong with an average precision that no known slip explains."""
    scores, hits, ground_truths = case
    wanted, found = right.item(), int(hits.sum())
    if answer.numel() != 1:
        return f"It returns shape {tuple(answer.shape)}; one number is due, the area under the curve."
    got = answer.item()
    start = f"For {len(scores)} detections, {found} of them right, of {ground_truths} objects it is {got:.4g}: "
    if len(scores) == 0:
        return start + "nothing found, so 0 is due."
    if not 0 <= got <= 1:
        return start + "an average precision lies between 0 and 1."
    if found == len(scores) == ground_truths:
        return start + "all are found and nothing else, so 1 is due."
    if found == 0:
        return start + "nothing right was found, so 0 is due."
    if got > found / ground_truths + 1e-6:
        return start + f"it cannot be above the recall reached, {found / ground_truths:.4g}."
    return start + f"{wanted:.4g} is due."


def draw_average_precision(case: tuple, right: Tensor, answer: Tensor) -> "Figure":
    """The curve and the area under it, and what was got for it."""
    scores, hits, ground_truths = case
    ordered = _ordered(scores.tolist(), hits.tolist(), ORDER.right)
    true = list(itertools.accumulate(ordered, initial=0))[1:]
    precisions = [count / (place + 1) for place, count in enumerate(true)]
    recalls = [count / ground_truths for count in true]
    got = answer.item() if answer.numel() == 1 else None
    return draw_precision_recall(recalls, precisions, _enveloped(precisions, ENVELOPE.right), right.item(), got)


def _many(count: int, ground_truths: int, seed: int) -> tuple[Tensor, Tensor, int]:
    generator = torch.Generator().manual_seed(seed)
    scores = (torch.randperm(count, generator=generator) + 1.0) / (count + 1)
    hits = torch.rand(count, generator=generator) < 0.25 + 0.6 * scores
    return scores, hits, max(ground_truths, int(hits.sum()) + 3)


AVERAGE_PRECISION = Exercise(
    name="average_precision",
    arguments=("scores", "is_true_positive", "num_ground_truth"),
    cases=(
        (
            torch.tensor([0.6, 0.95, 0.3, 0.8, 0.7, 0.5]),
            torch.tensor([False, False, False, True, True, True]),
            5,
        ),
        _many(17, 12, seed=0),
        (torch.tensor([0.9, 0.4, 0.7]), torch.tensor([True, True, True]), 3),
        (torch.tensor([0.2, 0.9]), torch.tensor([True, True]), 7),
        (torch.tensor([0.3, 0.6]), torch.tensor([False, False]), 2),
        (torch.zeros(0), torch.zeros(0, dtype=torch.bool), 4),
    ),
    case_names=("", "", "", "", "no detection that is right", "no detections at all"),
    recipe=average_precision_recipe,
    steps=(ORDER, RECALL, PRECISION, ENVELOPE, AREA, RESULT),
    explain=explain_average_precision,
    draw_case=draw_average_precision,
    tolerance=1e-4,
    one_number=True,
)

EXERCISES = (AVERAGE_PRECISION,)
