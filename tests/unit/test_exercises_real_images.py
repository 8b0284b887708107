"""The exercise `shape_iou`: right answers pass however they are written, wrong ones are told why."""

import itertools

import numpy as np
import pytest
import torch

from frcnn_edu.boxes import box_iou
from frcnn_edu.datasets.data_report import shape_iou
from frcnn_edu.exercises import check
from frcnn_edu.exercises.exercise import equal, find


def by_loops(shapes, anchors):
    table = np.zeros((len(shapes), len(anchors)))
    for i, (w, h) in enumerate(shapes.tolist()):
        for j, (v, g) in enumerate(anchors.tolist()):
            shared = min(w, v) * min(h, g)
            table[i, j] = shared / (w * h + v * g - shared)
    return table


def by_boxes(shapes, anchors):
    return box_iou(*(torch.cat((-sides / 2, sides / 2), dim=1) for sides in (shapes, anchors)))


def areas(shapes, anchors):
    return shapes.prod(1)[:, None], anchors.prod(1)[None]


def shared(shapes, anchors):
    return torch.minimum(shapes[:, None], anchors[None]).prod(2)


WRONG = {
    "nothing": (lambda shapes, anchors: None, "your turn"),
    "areas": (lambda s, a: torch.minimum(*areas(s, a)) / torch.maximum(*areas(s, a)), "smaller width"),
    "counted twice": (lambda s, a: shared(s, a) / sum(areas(s, a)), "counted twice"),
    "of the larger": (lambda s, a: shared(s, a) / torch.maximum(*areas(s, a)), "larger of the two areas"),
    "of the smaller": (lambda s, a: shared(s, a) / torch.minimum(*areas(s, a)), "smaller of the two areas"),
    "distance": (lambda s, a: 1 - shape_iou(s, a), "1 - IoU"),
    "on its side": (lambda s, a: shape_iou(a, s), "on its side"),
    "best only": (lambda s, a: shape_iou(s, a).amax(1), "(3, 2) is due"),
    "a little off": (lambda s, a: shape_iou(s, a) + 0.01, "have IoU"),
}


@pytest.mark.parametrize("answer", [shape_iou, by_loops, by_boxes])
def test_right_answers_pass(answer):
    assert check("shape_iou", answer).passed


@pytest.mark.parametrize("name", WRONG)
def test_wrong_answers_are_told_why(name):
    answer, words = WRONG[name]
    result = check("shape_iou", answer)
    assert not result.passed
    assert words in result.message


def test_the_cases_tell_every_single_slip_from_the_right_answer_and_from_every_other():
    exercise = find("shape_iou")
    ways = [(exercise.right, ["right"])] + [way for way in exercise.slips() if len(way[1]) == 1]
    answers = [(said[0], [exercise.recipe(*case, **way).double() for case in exercise.cases]) for way, said in ways]
    for (one, first), (other, second) in itertools.combinations(answers, 2):
        alike = all(equal(a, b, exercise.tolerance) for a, b in zip(first, second, strict=True))
        assert not alike or one == other, (one, other)
