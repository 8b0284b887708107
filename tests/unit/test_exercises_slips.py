"""Exercises with a recipe: each known slip gives an answer of its own, and no answer makes a check fail."""

import itertools

import pytest
import torch

from frcnn_edu.exercises import check
from frcnn_edu.exercises.exercise import equal, find

NAMES = ["box_iou", "label_anchors", "encode_boxes", "decode_boxes", "smooth_l1", "rpn_loss"]
ODD = {
    "a number": torch.tensor(3.0),
    "nothing in it": torch.zeros(0),
    "rows of nothing": torch.zeros(3, 0),
    "too many rows": torch.rand(1000, 4),
    "too many axes": torch.rand(2, 3, 4),
    "beyond float32": torch.rand(3, 4, dtype=torch.float64) * 1e300,
    "infinity": torch.full((3, 4), torch.inf),
    "lists of nothing": [[], []],
    "two numbers beyond float32": (1e300, -1e300),
    "two lists of indices out of range": (torch.tensor([-5]), torch.tensor([10**12])),
    "objects": [object(), object()],
    "a class": int,
    "bytes": b"boxes",
}


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


@pytest.mark.parametrize("name", [*NAMES, "sample_anchors"])
@pytest.mark.parametrize("odd", ODD)
def test_no_answer_makes_a_check_fail_or_pass_by_chance(name, odd):
    def answer(*arguments):
        return ODD[odd]

    result = check(name, answer)
    assert not result.passed
    assert "\n" not in result.message


@pytest.mark.parametrize("name", [*NAMES, "sample_anchors"])
@pytest.mark.parametrize("function", [max, len, torch.add, dict, object, str.upper, 5, None])
def test_no_function_makes_a_check_fail_or_pass_by_chance(name, function):
    assert not check(name, function).passed


@pytest.mark.parametrize("name", ["box_iou", "label_anchors", "decode_boxes", "encode_boxes"])
@pytest.mark.parametrize("odd", ["beyond float32", "rows of nothing", "too many rows"])
def test_odd_answers_are_drawn_as_far_as_they_can_be(name, odd):
    assert isinstance(check(name, lambda *arguments: ODD[odd]).picture, bytes)
