"""Exercise of lesson 05: `nms`. The code to learn from is `frcnn_edu.boxes`.

No case has equal scores, whose order is free, and no IoU is near its threshold except one that equals it.
"""

import torch
from torch import Tensor

from frcnn_edu.boxes import box_iou
from frcnn_edu.exercises import answer_plots
from frcnn_edu.exercises.answers import integer_remedy, kind_of
from frcnn_edu.exercises.exercise import Case, Exercise, Step, equal, rows
from frcnn_edu.exercises.running import Problem


def _crowd(seed: int, threshold: float, count: int = 20) -> tuple[Tensor, Tensor, float]:
    """Boxes in four heaps with scores that all differ, and no IoU so near the threshold that rounding decides."""
    generator = torch.Generator().manual_seed(seed)
    heaps = torch.rand(4, 2, generator=generator) * 150
    centers = heaps[torch.arange(count) % 4] + torch.randn(count, 2, generator=generator) * 5  # (N, 2)
    half = 15 + torch.rand(count, 2, generator=generator) * 12  # (N, 2)
    scores = (torch.randperm(count, generator=generator) + 0.5) / count
    boxes = torch.cat((centers - half, centers + half), dim=1)
    if ((box_iou(boxes, boxes) - threshold).abs() < 1e-3).any():
        raise ValueError(f"seed {seed} draws a pair whose IoU is nearly {threshold}; take another")
    return boxes, scores, threshold


def _overlaps(boxes: Tensor, one: float = 0.0, least: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Intersections (N, N) of boxes (N, 4), and their areas as (N, 1) and as (1, N)."""
    kept, own = boxes[:, None], boxes[None]
    sides = torch.minimum(kept, own)[..., 2:] - torch.maximum(kept, own)[..., :2] + one  # (N, N, 2)
    area, own_area = ((some[..., 2:] - some[..., :2] + one).prod(dim=-1) for some in (kept, own))
    return sides.clamp(min=least).prod(dim=-1), area, own_area


class NMS(Exercise):
    """`nms(boxes, scores, iou_threshold)`: indices of the boxes kept, the best first, (K,)."""

    name = "nms"
    arguments = ("boxes", "scores", "iou_threshold")
    cases = (
        (  # 2 suppresses 0, which would suppress 3; 1 is inside 4, and 5 is alone
            rows("18 20 58 60, 95 30 115 50, 10 10 50 50, 27 29 67 69, 90 20 130 60, 25 90 55 110"),
            rows("0.8 0.55 0.9 0.7 0.6 0.65")[0],
            0.4,
        ),
        Case(
            "an IoU that is exactly the threshold",
            rows("0 0 20 10, 0 0 20 20, 40 0 44 4, 41.5 0 45.5 4"),
            rows("0.3 0.9 0.5 0.4")[0],
            0.5,
        ),
        Case("20 boxes", *_crowd(seed=0, threshold=0.7)),
        Case("20 boxes", *_crowd(seed=1, threshold=0.3)),
        Case("a single box", rows("5 5 9 9"), torch.tensor([0.2]), 0.5),
        Case("no boxes at all", torch.zeros(0, 4), torch.zeros(0), 0.5),
    )
    whole = True
    draw = staticmethod(answer_plots.kept_beside)

    order = Step(lambda boxes, scores: scores.argsort(descending=True)) | {
        "The boxes are taken by index, not by score: "
        "sort before the loop, the best score first.": lambda boxes, scores: torch.arange(len(boxes)),
        "The boxes are taken from the worst score up: "
        "sort with descending=True, so that the best box decides first.": lambda boxes, scores: scores.argsort(),
        "The boxes are taken by their lower edge y2, not by score.": lambda boxes, scores: (-boxes[:, 3]).argsort(),
    }
    # Of the intersection and the areas of the kept box and the other one.
    overlap = Step(lambda i, kept, own: i / (kept + own - i)) | {
        "The union counts the intersection twice: subtract it once.": lambda i, kept, own: i / (kept + own),
        "The intersection is divided by the smaller area, so a small box inside a large one counts as the same: "
        "divide by the union.": lambda i, kept, own: i / torch.minimum(kept, own),
        "The intersection is divided by the kept box's area: divide by the union.": lambda i, kept, own: i / kept,
        "The intersection is divided by the other box's area: divide by the union.": lambda i, kept, own: i / own,
        "The intersection in square pixels is compared: divide it by the union first.": lambda i, kept, own: i,
    }
    rule = Step(torch.gt) | {
        "A box whose IoU is exactly the threshold stays: > and not >=.": torch.ge,
        "The comparison is the wrong way round: drop the boxes that overlap a kept one too much.": torch.le,
    }
    # Which boxes may suppress the next one: of those kept, those with better scores, and the rest, itself the first.
    rivals = Step(lambda kept, better, rest: kept) | {
        "Suppressed boxes suppress others in turn, but only a kept box may: "
        "in a chain A-B-C, if A suppresses B, C stays.": lambda kept, better, rest: better,
        "Each box is compared only with the one kept last, not with all kept.": lambda kept, better, rest: kept[-1:],
        "Each box is compared only with the one before it, not with all kept.": lambda kept, better, rest: better[-1:],
        "Only the best box suppresses others: go on with the next best.": lambda kept, better, rest: better[:1],
        "Boxes are suppressed by worse ones, too, so of two that overlap both go: "
        "the better one stays.": lambda kept, better, rest: better + rest[1:],
        "It keeps no box: each is compared with itself, and that IoU is 1.": lambda kept, better, rest: better + rest,
        "Nothing is suppressed: all boxes come back, sorted.": lambda kept, better, rest: [],
    }
    result = Step(lambda kept, ranked: kept) | {
        "The right boxes are kept, but listed by index: the best comes first.": lambda kept, ranked: sorted(kept),
        "The right boxes are kept, but the worst comes first: reverse them.": lambda kept, ranked: kept[::-1],
        "It returns places in the sorted list: look up the indices of the boxes there, "
        "order[keep].": lambda kept, ranked: [place for place, index in enumerate(ranked) if index in kept],
        "It returns the suppressed boxes: return those that are kept.": lambda kept, ranked: [
            i for i in ranked if i not in kept
        ],
        "The best box is missing: keep it before anything is compared with it.": lambda kept, ranked: kept[1:],
        "Only the best box comes back. Is the `return` inside the loop?": lambda kept, ranked: kept[:1],
        "The indices are counted from 1: the first box has index 0.": lambda kept, ranked: [i + 1 for i in kept],
    }
    threshold = Step(lambda given: given) | {
        "The threshold is always 0.5: use the argument `iou_threshold`.": lambda given: 0.5,
        "The threshold is always 0.7: use the argument `iou_threshold`.": lambda given: 0.7,
        "It compares with 1 - iou_threshold: compare with iou_threshold itself.": lambda given: 1 - given,
    }
    overlaps = Step(_overlaps) | {
        "The intersection of boxes that do not meet must be 0: two negative sides have a positive product, "
        "so clamp each at 0 first.": lambda boxes: _overlaps(boxes, least=-torch.inf),
        "The sides are x2 - x1 + 1: coordinates are continuous, so no + 1.": lambda boxes: _overlaps(boxes, one=1.0),
    }

    def reference(self, boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
        overlap = self.overlap(*self.overlaps(boxes.double()))  # (N, N)
        suppresses = self.rule(overlap, self.threshold(iou_threshold)).tolist()
        ranked = self.order(boxes, scores).tolist()
        kept: list[int] = []
        for place, index in enumerate(ranked):
            if not any(suppresses[rival][index] for rival in self.rivals(kept, ranked[:place], ranked[place:])):
                kept.append(index)
        return torch.tensor(self.result(kept, ranked), dtype=torch.float64)

    def read(self, answer: object, case: tuple) -> Tensor:
        if kind_of(answer) == "bool":
            raise Problem("It returns True and False instead of indices: mask.nonzero() finds where a mask is True.")
        return super().read(answer, case)

    def check_dtype(self, answer: object, numbers: Tensor, right: Tensor) -> None:
        remedy = integer_remedy(answer) if equal(right, numbers) else ""
        if remedy:
            raise Problem(f"It returns {kind_of(answer) or 'floats'}, and a float is no index: {remedy}.")

    def explain_shape(self, case: tuple, right: Tensor, answer: Tensor, hint: str) -> str:
        return self.explain_values(case, right, answer)

    def explain_values(self, case: tuple, right: Tensor, answer: Tensor) -> str:
        boxes, scores, threshold = case
        wrong_form = _not_indices(boxes, scores, answer)
        if wrong_form:
            return wrong_form
        kept, wanted = [int(index) for index in answer.tolist()], [int(index) for index in right.tolist()]
        if not kept:
            return "It keeps no box at all, but the best one always stays. Is a box compared with itself?"
        if len(set(kept)) < len(kept):
            twice = next(index for index in kept if kept.count(index) > 1)
            return f"Box {twice} is kept more than once: remove a box from the list when it is kept or suppressed."
        if sorted(kept) == sorted(wanted):
            return f"The right boxes are kept, but in the order {kept}: the highest score comes first."
        iou = box_iou(boxes, boxes)
        for index in kept:
            for rival in kept:
                if scores[rival] > scores[index] and iou[rival, index] > threshold:
                    return (
                        f"Boxes {rival} and {index} are both kept, although their IoU is {iou[rival, index]:.2f}, "
                        f"above {threshold:g}: {rival} has the better score and suppresses {index}."
                    )
        missing = next((index for index in wanted if index not in kept), None)
        if missing is None:  # only if scores are equal
            return f"It keeps {kept}, but should keep {wanted}."
        highest = max((iou[rival, missing].item() for rival in wanted if scores[rival] > scores[missing]), default=0.0)
        return (
            f"Box {missing} is missing: its highest IoU with a kept box of better score is {highest:.2f}, "
            f"not above {threshold:g}."
        )


def _not_indices(boxes: Tensor, scores: Tensor, answer: Tensor) -> str:
    """What the answer is instead of a list of indices, or ""."""
    number = len(boxes)
    if answer.ndim == 2 and answer.shape[1] == 4:
        return "It returns the boxes themselves: return their indices, so that boxes[keep] are the boxes."
    if answer.ndim == 2 and 1 in answer.shape:
        return f"It returns shape {tuple(answer.shape)}, but should return a flat list of indices: .flatten()."
    if answer.ndim == 0 and number > 0:
        return "It returns a single number instead of a list of indices. Is the `return` inside the loop?"
    values = answer.flatten()
    if (values != values.round()).any():
        scored = number > 0 and all((scores.double() - value).abs().min() < 1e-6 for value in values)
        return "It returns scores instead of indices." if scored else "It returns fractions, which are no indices."
    if len(values) == number > 2 and ((values == 0) | (values == 1)).all():
        return "It returns a mask, one number per box: mask.nonzero() finds the indices; list the best first."
    out = values[(values < 0) | (values >= number)]
    if len(out) > 0:
        if number == 0:
            return f"{out[0]:g} is no index of a box: there are no boxes."
        return f"{out[0]:g} is no index of a box: there are {number}, from 0 to {number - 1}."
    return "" if answer.ndim == 1 else f"It returns shape {tuple(answer.shape)} instead of a flat list of indices."
