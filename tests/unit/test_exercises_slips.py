"""Known slips: each gives an answer of its own, so that a diagnosis is never a guess between two mistakes."""

import itertools

import pytest

from frcnn_edu.exercises.exercise import equal, find

NAMES = ["box_iou", "label_anchors", "encode_boxes", "decode_boxes", "smooth_l1", "rpn_loss"]


@pytest.mark.parametrize("name", NAMES)
def test_the_cases_tell_every_single_slip_from_the_right_answer_and_from_every_other(name):
    exercise = find(name)
    ways = [(exercise.right, ["right"])] + [way for way in exercise.slips() if len(way[1]) == 1]
    answers = [
        (sentences[0], [exercise.recipe(*case, **choice).double() for case in exercise.cases])
        for choice, sentences in ways
    ]
    for (one, first), (other, second) in itertools.combinations(answers, 2):
        alike = all(equal(a, b, exercise.tolerance) for a, b in zip(first, second, strict=True))
        assert not alike or one == other, (one, other)
