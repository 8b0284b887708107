"""Exercise of lesson 05: `nms`, with what people write instead.

The recipe is written for the slips, not for beauty; `frcnn_edu.boxes` is the code to learn from. No case has equal
scores, whose order is free, and no IoU lies near its threshold but the one that lies on it.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from frcnn_edu.exercises.exercise import Exercise, Step
from frcnn_edu.exercises.pictures import draw_kept_beside

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Box = Sequence[float]

BEST_FIRST = "Best first is due: the index of the highest score leads."

ORDER = Step(
    "order",
    "by score",
    {
        "by index": "The boxes are taken by index, not by score: the best score comes first, so sort before the loop.",
        "worst first": "The boxes are taken from the worst score up: sort with descending=True, so that the best box "
        "decides first.",
        "by y2": "The boxes are taken by their lower edge y2; the score decides which comes first.",
    },
)
OVERLAP = Step(
    "overlap",
    "IoU",
    {
        "not clamped": "Intersections of boxes that do not meet must be 0: two negative sides make a positive area. "
        "Clamp width and height at 0 before multiplying.",
        "union of both areas": "The union counts the intersection twice: it is area 1 + area 2 - intersection.",
        "plus 1": "The sides are x2 - x1 + 1, as in old code; here coordinates are continuous: no + 1.",
        "over the smaller": "The intersection is divided by the smaller area, so that a small box inside a large one "
        "counts as the same; divide it by the union.",
        "over the kept": "The intersection is divided by the area of the kept box alone; divide it by the union.",
        "over its own": "The intersection is divided by the area of the box in question alone; divide it by the union.",
        "intersection": "The intersection in pixels is compared with the threshold; divide it by the union first.",
    },
)
RULE = Step(
    "rule",
    "above",
    {
        "at or above": "A box whose IoU is exactly the threshold stays: only above it a box goes, > and not >=.",
        "below": "The comparison is the wrong way round: boxes that overlap a kept one too much are the ones to drop, "
        "the others stay.",
    },
)
RIVALS = Step(
    "rivals",
    "kept",
    {
        "every better one": "Suppressed boxes suppress others in turn. Only a box that is kept itself may do so: "
        "of a chain A-B-C, where A fells B, C stays.",
        "last kept": "Each box is compared only with the one kept last; every kept box may suppress it.",
        "the one before": "Each box is compared only with the one just before it; every kept box may suppress it.",
        "best": "Only the best box suppresses others: the loop has to go on with the next best that is left.",
        "all": "Boxes are suppressed by worse ones too, so that of two that overlap both go: the better one stays.",
        "itself too": "It keeps no box at all: each is compared with itself, and that IoU is 1. The best always stays.",
        "none": "Nothing is suppressed: all boxes come back, sorted.",
    },
)
RESULT = Step(
    "result",
    "indices, best first",
    {
        "by index": f"The right boxes are kept, but listed by index. {BEST_FIRST}",
        "worst first": f"The right boxes are kept, but the worst comes first. {BEST_FIRST}",
        "ranks": "It returns places in the sorted list; indices into `boxes` are due: look them up, order[keep].",
        "suppressed": "It returns the boxes that are suppressed; those that are kept are due.",
        "without the best": "The best box is missing: it is kept before anything is compared with it.",
        "only the best": "Only the best box comes back. Does the `return` stand inside the loop?",
        "from 1": "The indices are counted from 1; the first box has index 0.",
    },
)
THRESHOLD = Step(
    "threshold",
    "given",
    {
        "0.5": "The threshold is always 0.5: use the argument `iou_threshold`.",
        "0.7": "The threshold is always 0.7: use the argument `iou_threshold`.",
        "1 - t": "It compares with 1 - iou_threshold; a box goes where its IoU is above iou_threshold itself.",
    },
)


def nms_recipe(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    order: str,
    overlap: str,
    rule: str,
    rivals: str,
    result: str,
    threshold: str,
) -> Tensor:
    """The indices of the kept boxes with every step taken as named: -> (K,)."""
    rows, values = boxes.tolist(), scores.tolist()
    limit = {"0.5": 0.5, "0.7": 0.7, "1 - t": 1 - iou_threshold}.get(threshold, iou_threshold)
    keys = {"by index": range(len(rows)), "worst first": values, "by y2": [-row[3] for row in rows]}
    key = keys.get(order, [-value for value in values])
    ranked = sorted(range(len(rows)), key=lambda i: key[i])
    fells = _comparison(rows, overlap, rule, limit)
    kept: list[int] = []
    for place, index in enumerate(ranked):
        if not any(fells(rival, index) for rival in _rivals(rivals, ranked, place, kept)):
            kept.append(index)
    return torch.tensor(_result(kept, ranked, result), dtype=torch.float64)


def _comparison(rows: list[Box], overlap: str, rule: str, limit: float) -> Callable[[int, int], bool]:
    """Whether one box fells another, both given by index."""

    def fells(kept: int, index: int) -> bool:
        value = _overlap(rows[kept], rows[index], overlap)
        return {RULE.right: value > limit, "at or above": value >= limit, "below": value <= limit}[rule]

    return fells


def _rivals(way: str, ranked: list[int], place: int, kept: list[int]) -> list[int]:
    return {
        RIVALS.right: kept,
        "every better one": ranked[:place],
        "last kept": kept[-1:],
        "the one before": ranked[max(place - 1, 0) : place],
        "best": ranked[: min(place, 1)],
        "all": ranked[:place] + ranked[place + 1 :],
        "itself too": ranked,
        "none": [],
    }[way]


def _overlap(kept: Box, box: Box, way: str = OVERLAP.right) -> float:
    one = 1.0 if way == "plus 1" else 0.0
    width = min(kept[2], box[2]) - max(kept[0], box[0]) + one
    height = min(kept[3], box[3]) - max(kept[1], box[1]) + one
    if way != "not clamped":
        width, height = max(width, 0.0), max(height, 0.0)
    inter = width * height
    areas = [(b[2] - b[0] + one) * (b[3] - b[1] + one) for b in (kept, box)]
    whole = {
        "union of both areas": sum(areas),
        "over the smaller": min(areas),
        "over the kept": areas[0],
        "over its own": areas[1],
        "intersection": 1.0,
    }.get(way, sum(areas) - inter)
    return inter / whole if whole else 0.0


def _result(kept: list[int], ranked: list[int], way: str) -> list[int]:
    return {
        RESULT.right: kept,
        "by index": sorted(kept),
        "worst first": kept[::-1],
        "ranks": [place for place, index in enumerate(ranked) if index in kept],
        "suppressed": [index for index in ranked if index not in kept],
        "without the best": kept[1:],
        "only the best": kept[:1],
        "from 1": [index + 1 for index in kept],
    }[way]


def explain_nms(case: tuple, right: Tensor, answer: Tensor) -> str:
    """What is wrong with kept indices that no known slip explains."""
    boxes, scores, threshold = case
    wanted = [int(index) for index in right.tolist()]
    form = _form_sentence(boxes, scores, answer)
    if form or answer.ndim != 1:
        return form
    kept = [int(index) for index in answer.tolist()]
    if not kept:
        return "It keeps no box at all, but the best one always stays. Is a box compared with itself?"
    if len(set(kept)) < len(kept):
        twice = next(index for index in kept if kept.count(index) > 1)
        return f"Box {twice} is kept more than once: take a box out of the list when it is kept or suppressed."
    if sorted(kept) == sorted(wanted):
        return f"The right boxes are kept, but in the order {kept}. {BEST_FIRST}"
    return _pair_sentence(boxes, scores, threshold, kept, wanted)


def _form_sentence(boxes: Tensor, scores: Tensor, answer: Tensor) -> str:
    number = len(boxes)
    if answer.ndim == 2 and answer.shape[1] == 4:
        return "It returns the boxes themselves; their indices are due, so that boxes[keep] are the boxes."
    if answer.ndim == 2 and 1 in answer.shape:
        return f"It returns shape {tuple(answer.shape)}; a flat list of indices is due: finish with .flatten()."
    if answer.ndim == 0 and number > 0:
        return "It returns a single number; a list of indices is due. Does the `return` stand inside the loop?"
    values = answer.flatten()
    if ((values - values.round()).abs() > 0).any():
        scored = number > 0 and all((scores.double() - value).abs().min() < 1e-6 for value in values)
        return "It returns scores; indices are due." if scored else "It returns numbers that are no indices."
    if len(values) == number > 2 and ((values == 0) | (values == 1)).all():
        return "It returns a mask, one number per box; indices are due: mask.nonzero() finds them, best first is due."
    out = values[(values < 0) | (values >= number)]
    if len(out) > 0:
        there = f"there are {number} boxes, 0 to {number - 1}" if number > 0 else "there are no boxes"
        return f"{out[0]:g} is no index of a box: {there}."
    return ""


def _pair_sentence(boxes: Tensor, scores: Tensor, threshold: float, kept: list[int], wanted: list[int]) -> str:
    """Two boxes that should not both be there, or one that should."""
    rows = boxes.tolist()
    for index in kept:
        for rival in kept:
            iou = _overlap(rows[rival], rows[index])
            if scores[rival] > scores[index] and iou > threshold:
                return (
                    f"Boxes {rival} and {index} are both kept, although their IoU is {iou:.2f}, above {threshold:g}: "
                    f"{rival} has the better score and suppresses {index}."
                )
    for index in wanted:
        if index not in kept:
            better = [rival for rival in wanted if scores[rival] > scores[index]]
            iou = max((_overlap(rows[rival], rows[index]) for rival in better), default=0.0)
            return (
                f"Box {index} is missing: its highest IoU with a kept box of better score is {iou:.2f}, "
                f"not above {threshold:g}."
            )
    return ""


def draw_nms(case: tuple, right: Tensor, answer: Tensor) -> "Figure":
    """Kept boxes drawn full and suppressed ones dashed, expected beside got."""
    boxes, scores, _ = case
    return draw_kept_beside(boxes, scores, right, answer)


def _drawn(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Boxes in a few heaps, with scores that all differ."""
    generator = torch.Generator().manual_seed(seed)
    heaps = torch.rand(4, 2, generator=generator) * 150
    centers = heaps[torch.arange(count) % 4] + torch.randn(count, 2, generator=generator) * 5  # (N, 2)
    half = 15 + torch.rand(count, 2, generator=generator) * 12  # (N, 2)
    scores = (torch.randperm(count, generator=generator) + 0.5) / count
    return torch.cat((centers - half, centers + half), dim=1), scores


def _crowd(seed: int, threshold: float, count: int = 20) -> tuple[Tensor, Tensor, float]:
    """Boxes of which no pair has an IoU near the threshold, so that rounding decides nothing."""
    boxes, scores = _drawn(count, seed)
    pairs = itertools.combinations(boxes.tolist(), 2)
    if any(abs(_overlap(one, other) - threshold) < 1e-3 for one, other in pairs):
        raise ValueError(f"seed {seed} draws a pair whose IoU is nearly {threshold}; take another")
    return boxes, scores, threshold


CHAIN = (  # 2 fells 0, 0 would fell 3; 1 lies inside 4, and 5 alone
    torch.tensor(
        [
            [18.0, 20.0, 58.0, 60.0],
            [95.0, 30.0, 115.0, 50.0],
            [10.0, 10.0, 50.0, 50.0],
            [27.0, 29.0, 67.0, 69.0],
            [90.0, 20.0, 130.0, 60.0],
            [25.0, 90.0, 55.0, 110.0],
        ]
    ),
    torch.tensor([0.8, 0.55, 0.9, 0.7, 0.6, 0.65]),
    0.4,
)
ON_THE_THRESHOLD = (
    torch.tensor([[0.0, 0.0, 20.0, 10.0], [0.0, 0.0, 20.0, 20.0], [40.0, 0.0, 44.0, 4.0], [41.5, 0.0, 45.5, 4.0]]),
    torch.tensor([0.3, 0.9, 0.5, 0.4]),
    0.5,
)

NMS = Exercise(
    name="nms",
    arguments=("boxes", "scores", "iou_threshold"),
    cases=(
        CHAIN,
        ON_THE_THRESHOLD,
        _crowd(seed=0, threshold=0.7),
        _crowd(seed=1, threshold=0.3),
        (torch.tensor([[5.0, 5.0, 9.0, 9.0]]), torch.tensor([0.2]), 0.5),
        (torch.zeros(0, 4), torch.zeros(0), 0.5),
    ),
    case_names=("", "an IoU that is exactly the threshold", "20 boxes", "20 boxes", "a single box", "no boxes at all"),
    recipe=nms_recipe,
    steps=(ORDER, OVERLAP, RULE, RIVALS, RESULT, THRESHOLD),
    explain=explain_nms,
    draw_case=draw_nms,
    whole=True,
    indices=True,
)

EXERCISES = (NMS,)
