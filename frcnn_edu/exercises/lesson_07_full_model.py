"""Exercise of lesson 07: `average_precision`. The code to learn from is `frcnn_edu.training.metrics`.

No case has equal scores, whose order is free.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from frcnn_edu.exercises import answer_plots
from frcnn_edu.exercises.exercise import Case, Exercise, Step, rows


def _many(count: int, ground_truths: int, seed: int) -> tuple[Tensor, Tensor, int]:
    """Detections of which the better are more often right."""
    generator = torch.Generator().manual_seed(seed)
    scores = (torch.randperm(count, generator=generator) + 1.0) / (count + 1)
    hits = torch.rand(count, generator=generator) < 0.25 + 0.6 * scores
    return scores, hits, max(ground_truths, int(hits.sum()) + 3)


def _case(scores: str, hits: str, ground_truths: int) -> tuple[Tensor, Tensor, int]:
    return rows(scores)[0], rows(hits)[0].bool(), ground_truths


def _running(best: Callable, precision: Tensor) -> Tensor:
    """The best precision so far, from the right: `best` is torch.cummax or torch.cummin."""
    return best(precision.flip(0), dim=0).values.flip(0)


def _eleven_points(recall: Tensor, precision: Tensor) -> Tensor:
    reached = recall >= torch.linspace(0, 1, 11, dtype=torch.float64)[:, None] - 1e-9  # (11, D)
    return (reached * precision).amax(dim=1).mean()


class AveragePrecision(Exercise):
    """`average_precision(scores, is_true_positive, num_ground_truth)`: all-point AP of one class, a number."""

    name = "average_precision"
    arguments = ("scores", "is_true_positive", "num_ground_truth")
    cases = (
        _case("0.6 0.95 0.3 0.8 0.7 0.5", "0 0 0 1 1 1", 5),
        _many(17, 12, seed=0),
        _case("0.9 0.4 0.7", "1 1 1", 3),
        _case("0.2 0.9", "1 1", 7),
        Case("no detection that is right", *_case("0.3 0.6", "0 0", 2)),
        Case("no detections at all", torch.zeros(0), torch.zeros(0, dtype=torch.bool), 4),
    )
    tolerance = 1e-4
    draw = staticmethod(answer_plots.precision_recall)

    order = Step(lambda scores: scores.argsort(descending=True)) | {
        "is_true_positive is taken in the order given: sort it by score, the best first, "
        "is_true_positive[scores.argsort(descending=True)].": lambda scores: torch.arange(len(scores)),
        "The detections are taken from the worst score up: sort with descending=True.": lambda scores: scores.argsort(),
    }
    # What recall is a share of.
    objects = Step(lambda given, hits: given) | {
        "Only the objects that were found count, so missed ones cost nothing: "
        "divide by `num_ground_truth`, not by the true positives.": lambda given, hits: hits.sum().clamp(min=1),
        "Recall is divided by the number of detections: divide by `num_ground_truth`.": lambda given, hits: len(hits),
    }
    # What precision is a share of.
    seen = Step(lambda place, true, objects: place) | {
        "Precision is divided by the number of all detections: "
        "it is the share of right ones among those so far, 1, 2, 3, ...": lambda place, true, objects: len(place),
        "Precision is divided by the number of ground truths: "
        "it is the share of right ones among the detections so far.": lambda place, true, objects: objects,
        "Precision is true over false positives: "
        "it is true over all detections so far, TP / (TP + FP).": lambda n, true, objects: (n - true).clamp(min=1e-9),
    }
    envelope = Step(lambda p: _running(torch.cummax, p)) | {
        "Precision is taken as it zigzags: at each recall all-point AP takes the best precision there or beyond, "
        "a running maximum from the right.": lambda p: p,
        "Precision is taken as it zigzags, with trapezoids under it: all-point AP sums rectangles under the best "
        "precision at each recall or beyond.": lambda p: (p + torch.cat((p[:1], p[:-1]))) / 2,
        "The running maximum goes from left to right: go from the right.": lambda p: p.cummax(dim=0).values,
        "Each point takes the best precision of the whole curve: take the best from there on.": lambda p: (
            0 * p + p.max()
        ),
        "It takes the smallest precision from each point on: take the largest.": lambda p: _running(torch.cummin, p),
    }
    area = Step(lambda r, p: r.diff(prepend=r.new_zeros(1)) @ p) | {
        "The first step in recall, from 0, is missing: put 0 in front of recall.": lambda r, p: r.diff() @ p[1:],
        "That is the 11-point AP of VOC 2007: the all-point one sums every step in recall.": _eleven_points,
        "It averages the precision over all detections: "
        "only those where recall grows count, each with 1 / num_ground_truth.": lambda r, p: p.mean(),
    }
    result = Step(lambda area, r, p: area) | {
        "It returns percent: return a number from 0 to 1.": lambda area, r, p: 100 * area,
        "It returns the precision of all detections together, one point of the curve: "
        "return the area under the whole curve.": lambda area, r, p: p[-1],
        "It returns the recall of all detections together: return the area under the curve.": lambda area, r, p: r[-1],
    }

    def reference(self, scores: Tensor, is_true_positive: Tensor, num_ground_truth: int) -> Tensor:
        if len(scores) == 0:
            return torch.zeros(())
        hits = is_true_positive[self.order(scores)].double()  # (D,)
        true, place = hits.cumsum(0), torch.arange(1, len(hits) + 1)  # (D,) each
        recall = true / self.objects(num_ground_truth, hits)
        precision = true / self.seen(place, true, num_ground_truth)
        return self.result(self.area(recall, self.envelope(precision)), recall, precision)

    def read(self, answer: object, case: tuple) -> Tensor:
        numbers = super().read(answer, case)
        return numbers.reshape(()) if numbers.numel() == 1 else numbers

    def explain_shape(self, case: tuple, right: Tensor, answer: Tensor, hint: str) -> str:
        return f"It returns shape {tuple(answer.shape)}, but should return one number: the area under the curve."

    def explain_values(self, case: tuple, right: Tensor, answer: Tensor) -> str:
        scores, hits, ground_truths = case
        found = int(hits.sum())
        if len(scores) == 0:
            reason = "Nothing was found."
        elif not 0 <= answer <= 1:
            reason = "An average precision lies between 0 and 1."
        elif found == len(scores) == ground_truths:
            reason = "All are found and nothing else."
        elif found == 0:
            reason = "Nothing right was found."
        elif answer > found / ground_truths + 1e-6:
            reason = f"It cannot be above the recall reached, {found / ground_truths:.4g}."
        else:
            reason = ""
        return (
            f"For {len(scores)} detections, {found} of them right, and {ground_truths} objects it should be "
            f"{right:.4g}, but is {answer:.4g}. {reason}"
        ).rstrip()
