"""Answers to `average_precision`, as learners would write them."""

import numpy as np
import torch

from frcnn_edu.training.metrics import evaluate

# right answers


def ap_in_torch(scores, is_true_positive, num_ground_truth):
    if len(scores) == 0:
        return 0.0
    hits = is_true_positive[scores.argsort(descending=True)].float()
    true = hits.cumsum(0)
    precision = true / torch.arange(1, len(hits) + 1)
    envelope = precision.flip(0).cummax(0).values.flip(0)
    recall = torch.cat((torch.zeros(1), true / num_ground_truth))
    return (recall.diff() * envelope).sum()


def ap_in_numpy(scores, is_true_positive, num_ground_truth):
    order = np.argsort(-np.asarray(scores))
    hits = np.asarray(is_true_positive)[order]
    true = np.cumsum(hits)
    recall = np.concatenate(([0.0], true / num_ground_truth, [1.0]))
    precision = np.concatenate(([0.0], true / (np.arange(len(hits)) + 1), [0.0]))
    for i in range(len(precision) - 1, 0, -1):
        precision[i - 1] = max(precision[i - 1], precision[i])
    i = np.where(recall[1:] != recall[:-1])[0]
    return np.sum((recall[i + 1] - recall[i]) * precision[i + 1])


def ap_by_loops(scores, is_true_positive, num_ground_truth):
    ranked = sorted(zip(scores.tolist(), is_true_positive.tolist(), strict=True), reverse=True)
    precisions, true = [], 0
    for place, (_, hit) in enumerate(ranked, start=1):
        true += hit
        precisions.append(true / place)
    best = [max(precisions[i:]) for i, (_, hit) in enumerate(ranked) if hit]
    return sum(best) / num_ground_truth


def ap_by_trapezoids_under_the_envelope(scores, is_true_positive, num_ground_truth):
    """Recall grows only where the envelope is level, so that trapezoids under it are rectangles."""
    hits = np.asarray(is_true_positive, dtype=float)[np.argsort(-np.asarray(scores))]
    true = np.cumsum(hits)
    precision = np.maximum.accumulate((true / np.arange(1, len(hits) + 1))[::-1])[::-1]
    recall = np.concatenate(([0.0], true / num_ground_truth))
    return np.trapezoid(np.concatenate((precision[:1], precision)) if len(hits) else [0.0], recall)


def ap_in_a_tensor_of_one(scores, is_true_positive, num_ground_truth):
    return torch.tensor([float(ap_in_torch(scores, is_true_positive, num_ground_truth))])


def ap_of_the_package(scores, is_true_positive, num_ground_truth):
    """Every object has a place of its own; a detection that is right lies on one, another lies elsewhere."""
    place = lambda n: [20.0 * n, 0.0, 20.0 * n + 10, 10.0]  # noqa: E731
    hits = is_true_positive.tolist()
    spots = [place(sum(hits[:i])) if hit else place(1000 + i) for i, hit in enumerate(hits)]
    boxes = torch.tensor(spots).reshape(-1, 4)
    found = {"boxes": boxes, "labels": torch.ones(len(boxes), dtype=torch.int64), "scores": scores}
    wanted = {
        "boxes": torch.tensor([place(n) for n in range(num_ground_truth)]),
        "labels": torch.ones(num_ground_truth, dtype=torch.int64),
    }
    return evaluate([found], [wanted]).map


# wrong answers, each with words that the diagnosis must contain


def ap(
    order=lambda scores: np.argsort(-scores),
    total=lambda hits, number: number,
    below=lambda hits, number: np.arange(1, len(hits) + 1),
    envelope=lambda p: np.maximum.accumulate(p[::-1])[::-1],
    area=lambda recall, p: np.sum(np.diff(recall, prepend=0.0) * p),
):
    """A learner's function that orders, divides, smooths and sums so."""

    def written(scores, is_true_positive, num_ground_truth):
        if len(scores) == 0:
            return 0.0
        hits = np.asarray(is_true_positive, dtype=float)[order(np.asarray(scores))]
        true = np.cumsum(hits)
        recall = true / max(total(hits, num_ground_truth), 1)
        return area(recall, envelope(true / below(hits, num_ground_truth)))

    return written


def eleven_points(recall, precision):
    return np.mean([precision[recall >= level - 1e-9].max(initial=0) for level in np.linspace(0, 1, 11)])


def ap_without_detections_forgotten(scores, is_true_positive, num_ground_truth):
    assert len(scores) > 0
    return ap_in_numpy(scores, is_true_positive, num_ground_truth)


def ap_with_sum_of_terms(scores, is_true_positive, num_ground_truth):
    return num_ground_truth * ap_in_numpy(scores, is_true_positive, num_ground_truth)


def ap_a_little_high(scores, is_true_positive, num_ground_truth):
    return min(1.0, 1.25 * ap_in_numpy(scores, is_true_positive, num_ground_truth))


def ap_in_place(scores, is_true_positive, num_ground_truth):
    is_true_positive[:] = is_true_positive[scores.argsort(descending=True)]
    return 0.5


plain = lambda p: p  # noqa: E731

WRONG_AP = {
    "as given": (ap(order=lambda scores: np.arange(len(scores))), "in the order given"),
    "worst first": (ap(order=np.argsort), "descending=True"),
    "no envelope": (ap(envelope=plain), "zigzags"),
    "trapezoids": (
        ap(
            envelope=plain,
            area=lambda r, p: np.trapezoid(np.concatenate((p[:1], p)), np.concatenate(([0.0], r))),
        ),
        "trapezoids",
    ),
    "from the left": (ap(envelope=np.maximum.accumulate), "from left to right"),
    "best of all": (ap(envelope=lambda p: np.full_like(p, p.max())), "whole curve"),
    "eleven points": (ap(area=eleven_points), "11-point AP"),
    "without the first step": (ap(area=lambda r, p: np.sum(np.diff(r) * p[1:])), "first step in recall"),
    "of those found": (ap(total=lambda hits, number: hits.sum()), "missed ones cost nothing"),
    "recall of detections": (ap(total=lambda hits, number: len(hits)), "number of detections"),
    "precision of all": (ap(below=lambda hits, number: len(hits)), "divided by the number of all detections"),
    "precision of objects": (ap(below=lambda hits, number: number), "divided by the number of ground truths"),
    "mean": (ap(area=lambda r, p: p.mean()), "over all detections"),
    "percent": (ap(area=lambda r, p: 100 * np.sum(np.diff(r, prepend=0.0) * p)), "percent"),
    "last precision": (ap(envelope=plain, area=lambda r, p: p[-1]), "precision of all detections together"),
    "last recall": (ap(area=lambda r, p: r[-1]), "recall of all detections together"),
    "two slips": (ap(order=np.argsort, envelope=plain), "And: Precision is taken"),
    "too large": (ap_with_sum_of_terms, "between 0 and 1"),
    "a little high": (ap_a_little_high, "should be 0.3867, but is 0.4833"),
    "above the recall": (lambda scores, is_true_positive, num_ground_truth: 0.9, "cannot be above the recall"),
    "always 0": (lambda scores, is_true_positive, num_ground_truth: 0, "should be 0.3867, but is 0"),
    "the curve": (ap(area=lambda r, p: p), "should return one number"),
    "no detections forgotten": (ap_without_detections_forgotten, "called with no detections at all"),
    "in place": (ap_in_place, "`is_true_positive` in place"),
    "nothing": (lambda scores, is_true_positive, num_ground_truth: None, "returns None"),
    "two arguments": (lambda scores, is_true_positive: 0.5, "def f(scores, is_true_positive, num_ground_truth)"),
}

RIGHT = {
    "average_precision": (
        ap_in_torch,
        ap_in_numpy,
        ap_by_loops,
        ap_by_trapezoids_under_the_envelope,
        ap_in_a_tensor_of_one,
        ap_of_the_package,
    )
}
WRONG = {"average_precision": WRONG_AP}
