"""Exercises: whatever a function returns, and in whichever case, a check ends in one sentence and shows its card."""

import warnings

import numpy as np
import pytest
import torch

from frcnn_edu.exercises import check
from frcnn_edu.exercises.exercise import _exercises, find

NAMES = tuple(_exercises())


class Unreadable(list):
    """A learner's own class, of which every part fails."""

    def __len__(self):
        raise RuntimeError("no length\nTraceback")

    def __repr__(self):
        raise RuntimeError("no repr\nTraceback")

    def __iter__(self):
        raise RuntimeError("no elements\nTraceback")


class OtherArray:
    """No array, whatever it says."""

    dtype = "float32"

    def __array__(self, *arguments, **options):
        raise RuntimeError("no array\nTraceback")


def nested(depth):
    answer = [1.0]
    for _ in range(depth):
        answer = [answer]
    return answer


def in_itself():
    answer = []
    answer.append(answer)
    return answer


ODD = {
    "None": lambda: None,
    "text of two lines": lambda: "a\nb",
    "list of text": lambda: ["a", "b"],
    "nothing in a list": lambda: [None, None],
    "no elements": list,
    "lists without elements": lambda: [[], []],
    "dict": lambda: {"boxes": 1},
    "set": lambda: {1, 2},
    "generator": lambda: (i for i in range(3)),
    "generators": lambda: ((i for i in range(2)), (i for i in range(2))),
    "range": lambda: range(3),
    "True": lambda: True,
    "number of 400 digits": lambda: 10**400,
    "numbers of 400 digits": lambda: (10**400, 10**400),
    "half": lambda: [0.5],
    "minus one": lambda: [-1],
    "NaN": lambda: float("nan"),
    "two, NaN": lambda: (torch.tensor(torch.nan), 1.0),
    "complex": lambda: [1j, 2],
    "complex tensor": lambda: torch.ones(3, 4, dtype=torch.complex64),
    "0-d": lambda: torch.tensor(3),
    "two, 0-d": lambda: (torch.tensor(1), torch.tensor(2)),
    "(0, 4)": lambda: torch.zeros(0, 4),
    "(4, 0)": lambda: torch.zeros(4, 0),
    "(0, 0)": lambda: torch.zeros(0, 0),
    "(2, 0, 3)": lambda: torch.zeros(2, 0, 3),
    "two, (0, 4)": lambda: (torch.zeros(0, 4), torch.zeros(0, 4)),
    "five axes": lambda: torch.zeros(1, 1, 1, 1, 1),
    "mask": lambda: torch.ones(9, dtype=torch.bool),
    "two masks": lambda: (True, False),
    "gradient": lambda: torch.rand(9, 4, requires_grad=True),
    "sparse": lambda: torch.eye(4).to_sparse(),
    "two, sparse": lambda: (torch.eye(4).to_sparse(), 1),
    "nested tensor": lambda: torch.nested.nested_tensor([torch.rand(2), torch.rand(3)]),
    "elsewhere": lambda: torch.zeros(3, device="meta"),
    "largest integers": lambda: np.full(9, 2**64 - 1, dtype=np.uint64),
    "objects": lambda: np.array([object(), None], dtype=object),
    "dates": lambda: np.array(["2020-01-01"], dtype="datetime64"),
    "fields": lambda: np.zeros(3, dtype=[("x", float)]),
    "rows of different lengths": lambda: [[1.0, 2.0], [3.0]],
    "tensor and text": lambda: (torch.rand(2), "a"),
    "three": lambda: (1, 2, 3),
    "in itself": in_itself,
    "deep": lambda: nested(3000),
    "deeper than NumPy": lambda: nested(70),
    "unreadable": lambda: Unreadable([1]),
    "two unreadable": lambda: (Unreadable([1]), Unreadable([1])),
    "no array": OtherArray,
    "class": lambda: int,
    "module": lambda: torch.nn.Linear(1, 1),
    "exception": lambda: ValueError("a\nb"),
}

CHANGED = {
    "beyond float32": lambda right: torch.full_like(right, 1e308),
    "far to both sides": lambda right: torch.linspace(-1, 1, right.numel()).double().reshape(right.shape) * 1e308,
    "between": lambda right: right + 0.5,
    "twice": lambda right: torch.cat((right, right)) if right.ndim else right.expand(3, 3),
    "on its side": lambda right: 1 + (right.mT if right.ndim > 1 else right[..., None]),
    "one more axis": lambda right: right[None] + 1,
    "integers": lambda right: right.int() + 1,
    "(0, 4)": lambda right: torch.zeros(0, 4),
    "[0.5]": lambda right: [0.5],
}
"""What is made of the right answer of a case."""


def given(name, answer_of):
    """A function with the arguments of an exercise that answers its cases, one after the other, by number."""
    exercise, numbers = find(name), iter(range(1000))
    space = {"answer": lambda: answer_of(next(numbers))}
    names = getattr(exercise, "arguments", ("labels", "batch_size=256", "positive_fraction=0.5"))
    exec(f"def function({', '.join(names)}): return answer()", space)
    return space["function"]


def assert_one_sentence(result):
    assert not result.passed
    assert result.message
    assert "\n" not in result.message
    assert "Traceback" not in result.message
    assert len(result.message) < 500


@pytest.mark.parametrize("name", NAMES)
def test_whatever_is_returned_gets_one_sentence(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for make in ODD.values():
            assert_one_sentence(check(name, given(name, lambda number, make=make: make())))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "sample_anchors"])
def test_whatever_is_returned_in_one_case_gets_one_sentence_and_can_be_drawn(name):
    """The answer is right in all cases before; so each case meets each mistake."""
    exercise = find(name)
    rights = [exercise.expected(case) for case in exercise.cases]
    rights = [right.long() for right in rights] if exercise.whole else rights
    for case, right in enumerate(rights):
        for what, change in CHANGED.items():
            wrong = change(right.double())
            result = check(name, given(name, lambda number: wrong if number == case else rights[number]))  # noqa: B023
            assert not result.passed or right.numel() == 0, what
            if not result.passed:
                assert_one_sentence(result)
            if result.draw is not None and case == 0:  # a figure takes longer than a check
                result.draw()


def test_no_boxes_at_all_are_told_and_shown():
    """The last case of nms has nothing to draw and no score to compare with."""
    rights = [find("nms").expected(case).long() for case in find("nms").cases]
    for last, words in (
        (torch.zeros(0, 4), "the boxes themselves"),
        ([0.5], "no indices"),
        ([0], "there are no boxes"),
    ):
        result = check("nms", given("nms", lambda number: [*rights[:-1], last][number]))  # noqa: B023
        assert words in result.message
        assert "nms: not yet" in result._repr_html_()


BOXES = torch.tensor([[0.0, 0.0, 8.0, 8.0], [2.0, 2.0, 9.0, 9.0]])
TEACHERS = {
    "label_anchors": [(torch.tensor([[0.65], [0.1]]), 0.6), (torch.zeros(0, 2),), (torch.zeros(2, 0), 0.5)],
    "sample_anchors": [(torch.tensor([1, 0, -1, 0]), 2), (torch.zeros(0, dtype=torch.int64),)],
    "smooth_l1": [(torch.zeros(0),), (torch.tensor(1.0), 1.0)],
    "box_iou": [(BOXES[:0], BOXES), (BOXES, BOXES[:0])],
    "grid_anchors": [(BOXES[:0], (2, 2), 16), (BOXES, (0, 3), 16)],
    "encode_boxes": [(BOXES[:0], BOXES[:0])],
    "decode_boxes": [(BOXES[:0], BOXES[:0])],
    "nms": [(BOXES[:0], torch.zeros(0), 0.5)],
    "shape_iou": [(BOXES[:0, :2], BOXES[:, 2:])],
}


@pytest.mark.parametrize("name", TEACHERS)
@pytest.mark.parametrize(
    "odd", [[0.5, 7.0], [[0.5] * 4] * 3, torch.zeros(0), torch.zeros(0, 3, 3), ([9], [9])], ids=str
)
def test_a_teachers_own_cases_may_be_empty_and_leave_defaults_out(name, odd):
    for case in TEACHERS[name]:
        result = check(name, given(name, lambda number: odd), cases=[case])
        if not result.passed:  # an answer without rows is right where none is due
            assert_one_sentence(result)
        if result.draw is not None:
            result.draw()


def test_defaults_that_are_left_out_are_told_with_those_that_are_given():
    result = check("label_anchors", lambda iou, high=0.7, low=0.3: [1, 1], cases=[(torch.tensor([[0.65], [0.1]]), 0.6)])
    assert "the thresholds are 0.6 and 0.3: that is below `low`. Label 0 is due, but it is 1." in result.message
    result = check("sample_anchors", lambda labels, *options: ([0], []), cases=[(torch.tensor([1, 0, 0]), 2)])
    assert "batch_size and positive_fraction (2, 0.5)) it draws 1 positives and 0 negatives" in result.message


@pytest.mark.parametrize("name", NAMES)
def test_no_cases_are_no_check(name):
    with pytest.raises(ValueError, match="cases is empty, and any function passes no cases"):
        check(name, lambda *arguments: None, cases=[])
