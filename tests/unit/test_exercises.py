"""Exercises: right answers pass however they are written, wrong ones are told what is wrong, and none breaks a check.

Every test goes through the registry, so a new exercise is tested with the others. `exercise_answers` has answers
written by hand, which show that a diagnosis does not depend on how the reference is written.
"""

import inspect
import itertools
import json
import re
import textwrap
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from exercise_answers import RIGHT, WRONG
from exercise_answers.lesson_03_rpn_and_loss import rpn_of_the_package
from exercise_answers.lesson_06_roi_pooling import bilinear_with_the_package, pool_with_torchvision
from exercise_answers.lesson_07_full_model import ap_in_numpy, ap_of_the_package
from exercise_answers.lesson_09_your_own_photographs import recalls_of_pycocotools

from frcnn_edu import anchors, boxes, losses
from frcnn_edu.datasets.data_report import shape_iou
from frcnn_edu.exercises import check, exercise
from frcnn_edu.exercises.exercise import Exercise, Step, equal, every_exercise, find
from frcnn_edu.matching import Matcher

NAMES = tuple(every_exercise())
COMPARED = tuple(name for name in NAMES if name != "sample_anchors")  # all but the one whose answers are random

SOURCE = Path(__file__).parents[2] / "notebooks/assignments/source"
ASSIGNMENT, HIDDEN = SOURCE / "a2_labeling_and_sampling/labeling_and_sampling.ipynb", "hidden_label_anchors"


def answering(name, answer_of):
    """A function with the arguments of an exercise that returns answer_of(0), answer_of(1), ... call by call."""
    numbers = itertools.count()
    space = {"answer": lambda: answer_of(next(numbers))}
    exec(f"def function({', '.join(find(name).arguments)}): return answer()", space)
    return space["function"]


def assert_reads_well(message):
    """One line without a traceback, of a few sentences at most."""
    assert message
    assert "\n" not in message
    assert "Traceback" not in message
    assert " due" not in message
    assert len(message) < 400


# Answers written by hand


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        pytest.param(name, answer, id=f"{name}-{number}-{answer.__name__}")
        for name, answers in RIGHT.items()
        for number, answer in enumerate(answers)
    ],
)
def test_a_right_answer_passes_however_it_is_written(name, answer):
    result = check(name, answer)
    assert result.passed, result.message
    assert result.picture == b""


@pytest.mark.parametrize(("name", "case"), [(name, case) for name, answers in WRONG.items() for case in answers])
def test_a_wrong_answer_is_told_what_is_wrong(name, case):
    answer, words = WRONG[name][case]
    result = check(name, answer, seconds=1.0 if "still running" in words else 10.0)
    assert not result.passed
    assert words in result.message
    assert_reads_well(result.message)


@pytest.mark.parametrize(
    ("name", "of_the_right_shape", "of_another"),
    [
        ("base_anchors", "ratio upside down", "zipped"),
        ("grid_anchors", "columns first", "one cell"),
        ("box_iou", "not clamped", "of pairs"),
        ("label_anchors", "argmax", "per truth"),
        ("sample_anchors", "favourites", "runs"),
        ("smooth_l1", "beta forgotten", "flattened"),
        ("rpn_loss", "mean", "beta 1"),
        ("encode_boxes", "difference of sides", "transposed"),
        ("decode_boxes", "whole sides", "every pair"),
        ("nms", "suppressed suppress", "boxes"),
        ("roi_max_pool", "whole map", "one channel"),
        ("bilinear", "nearest", "summed"),
        ("average_precision", "no envelope", "the curve"),
        ("letterbox", "not centred", "one side"),
    ],
)
def test_wrong_answers_are_drawn(name, of_the_right_shape, of_another):
    for case in (of_the_right_shape, of_another):
        assert check(name, WRONG[name][case][0]).picture.startswith(b"\x89PNG")


@pytest.mark.parametrize("seed", range(8))
def test_fair_draws_are_never_taken_for_unfair_ones(seed):
    torch.manual_seed(seed)
    assert check("sample_anchors", RIGHT["sample_anchors"][0]).passed


# The reference and its slips


@pytest.mark.parametrize("name", NAMES)
def test_every_slip_has_answers_of_its_own(name):
    """Two slips with the same answers could not be told apart, and one with the right answers would pass."""
    one = find(name)
    ways = [(("right",), one), *one.slipped(1)]
    assert len(ways) == len({messages for messages, _ in ways})
    answers = [(messages[0], [way.expected(case) for case in one.cases]) for messages, way in ways]
    for (message, first), (other, second) in itertools.combinations(answers, 2):
        alike = all(equal(a, b, one.tolerance) for a, b in zip(first, second, strict=True))
        assert not alike, (message, other)


@pytest.mark.parametrize("name", COMPARED)
def test_the_reference_passes_and_each_of_its_slips_is_told_in_its_own_words(name):
    one = find(name)

    def answers_of(way):
        answers = [way.expected(case) for case in one.cases]
        return [answer.long() for answer in answers] if one.whole else answers

    assert check(name, answering(name, answers_of(one).__getitem__)).passed
    for (message,), way in one.slipped(1):
        answers = answers_of(way)
        result = check(name, answering(name, answers.__getitem__))
        readable = all(answer.isfinite().all() and answer.abs().max() < 1e6 for answer in answers if answer.numel())
        assert message == result.message or not readable
        assert_reads_well(message)


PACKAGE = {
    "base_anchors": anchors.base_anchors,
    "grid_anchors": anchors.grid_anchors,
    "box_iou": boxes.box_iou,
    "label_anchors": lambda iou, high=0.7, low=0.3: Matcher(high, low)(iou).labels,
    "smooth_l1": losses.smooth_l1,
    "rpn_loss": lambda *case: torch.stack(rpn_of_the_package(*case)),
    "encode_boxes": boxes.encode_boxes,
    "decode_boxes": boxes.decode_boxes,
    "nms": torchvision.ops.nms,
    "roi_max_pool": pool_with_torchvision,
    "bilinear": bilinear_with_the_package,
    "average_precision": lambda *case: torch.tensor(ap_of_the_package(*case)),
    "shape_iou": shape_iou,
    "coco_small_medium_large": recalls_of_pycocotools,
}


@pytest.mark.parametrize("name", PACKAGE)
def test_the_reference_gives_what_the_package_gives(name):
    one = find(name)
    for case in one.cases:
        torch.testing.assert_close(one.expected(case), PACKAGE[name](*case).double(), atol=1e-5, rtol=1e-6)


def test_the_example_in_the_header_is_a_complete_exercise(monkeypatch):
    monkeypatch.setattr(exercise, "_registry", {})
    (example,) = re.findall(r"^    class.*?(?=^\S)", inspect.getdoc(exercise), re.DOTALL | re.MULTILINE)
    exec(textwrap.dedent(example), {"Exercise": Exercise, "Step": Step, "rows": exercise.rows})
    monkeypatch.setattr(exercise, "find", exercise._registry.get)
    assert check("box_area", lambda boxes: (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).passed
    assert "adds the sides" in check("box_area", lambda boxes: (boxes[:, 2:] - boxes[:, :2]).sum(1)).message
    with pytest.raises(ValueError, match="two exercises are called 'box_area'"):
        type("Another", (Exercise,), {"name": "box_area"})


def test_an_unknown_exercise_raises_an_error_with_the_names_there_are():
    with pytest.raises(KeyError, match=r"base_anchors, grid_anchors"):
        check("anchors", RIGHT["base_anchors"][0])


@pytest.mark.parametrize("name", COMPARED)
def test_a_check_is_quick_enough_to_feel_instant(name):
    one = find(name)
    answers = [one.expected(case) for case in one.cases]
    answers[0] = answers[0] + 1.37  # no slip explains that, so all of them are tried
    answers = [answer.round().long() if one.whole else answer for answer in answers]
    exercise._first_answers.cache_clear()
    started = time.process_time()
    assert not check(name, answering(name, answers.__getitem__)).passed
    assert time.process_time() - started < 1


def test_many_random_draws_are_quick_enough_to_feel_instant():
    started = time.process_time()
    assert check("sample_anchors", RIGHT["sample_anchors"][1]).passed  # the slowest, in plain Python
    assert time.process_time() - started < 1


# Whatever is returned


class Unreadable(list):
    """A learner's own class, of which every method fails."""

    def __len__(self):
        raise RuntimeError("no length\nTraceback")

    def __repr__(self):
        raise RuntimeError("no repr\nTraceback")

    def __iter__(self):
        raise RuntimeError("no elements\nTraceback")


class OtherArray:
    """Not an array, whatever it says."""

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
    "text": lambda: "words",
    "text of two lines": lambda: "a\nb",
    "list of text": lambda: ["a", "b"],
    "bytes": lambda: b"boxes",
    "nothing in a list": lambda: [None, None],
    "no elements": list,
    "lists without elements": lambda: [[], []],
    "dict": lambda: {"boxes": 1},
    "set": lambda: {1, 2},
    "generator": lambda: (i for i in range(3)),
    "generators": lambda: ((i for i in range(2)), (i for i in range(2))),
    "range": lambda: range(3),
    "True": lambda: True,
    "three": lambda: 3,
    "number of 400 digits": lambda: 10**400,
    "numbers of 400 digits": lambda: (10**400, 10**400),
    "half": lambda: [0.5],
    "minus one": lambda: [-1],
    "two numbers": lambda: (1.5, 2),
    "two numbers beyond float32": lambda: (1e300, -1e300),
    "NaN": lambda: float("nan"),
    "two, NaN": lambda: (torch.tensor(torch.nan), 1.0),
    "infinity": lambda: torch.full((3, 4), torch.inf),
    "complex": lambda: [1j, 2],
    "complex tensor": lambda: torch.ones(3, 4, dtype=torch.complex64),
    "0-d": lambda: torch.tensor(3),
    "two, 0-d": lambda: (torch.tensor(1), torch.tensor(2)),
    "(0,)": lambda: torch.zeros(0),
    "(0, 4)": lambda: torch.zeros(0, 4),
    "(4, 0)": lambda: torch.zeros(4, 0),
    "(0, 0)": lambda: torch.zeros(0, 0),
    "two, (0, 4)": lambda: (torch.zeros(0, 4), torch.zeros(0, 4)),
    "two, out of range": lambda: (torch.tensor([-5]), torch.tensor([10**12])),
    "five axes": lambda: torch.zeros(1, 1, 1, 1, 1),
    "mask": lambda: torch.ones(9, dtype=torch.bool),
    "two masks": lambda: (True, False),
    "gradient": lambda: torch.rand(9, 4, requires_grad=True),
    "sparse": lambda: torch.eye(4).to_sparse(),
    "two, sparse": lambda: (torch.eye(4).to_sparse(), 1),
    "nested tensor": lambda: torch.nested.nested_tensor([torch.rand(2), torch.rand(3)]),
    "elsewhere": lambda: torch.zeros(3, device="meta"),
    "largest integers": lambda: np.full(9, 2**64 - 1, dtype=np.uint64),
    "object": object,
    "objects": lambda: np.array([object(), None], dtype=object),
    "dates": lambda: np.array(["2020-01-01"], dtype="datetime64"),
    "fields": lambda: np.zeros(3, dtype=[("x", float)]),
    "rows of different lengths": lambda: [[1.0, 2.0], [3.0]],
    "tensor and text": lambda: (torch.rand(2), "a"),
    "three values": lambda: (1, 2, 3),
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
DRAWN = {
    "beyond float32": lambda: torch.rand(3, 4, dtype=torch.float64) * 1e300,
    "(3, 0)": lambda: torch.zeros(3, 0),
    "too many rows": lambda: torch.rand(1000, 4),
    "(2, 0, 3)": lambda: torch.zeros(2, 0, 3),
    "four axes": lambda: torch.rand(1, 2, 3, 4) * 1e30,
}
FUNCTIONS = {
    "max": max,
    "len": len,
    "torch.add": torch.add,
    "dict": dict,
    "object": object,
    "str.upper": str.upper,
    "a number": 5,
    "None": None,
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
"""What is made of the right answer to a case."""


@pytest.mark.parametrize("name", NAMES)
def test_whatever_is_returned_gets_one_sentence(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for what, make in ODD.items():
            result = check(name, answering(name, lambda number, make=make: make()))
            assert not result.passed, what
            assert_reads_well(result.message)


@pytest.mark.parametrize("name", NAMES)
def test_odd_numbers_get_one_sentence_and_are_drawn(name):
    for what, make in DRAWN.items():
        result = check(name, answering(name, lambda number, make=make: make()))
        assert not result.passed, what
        assert_reads_well(result.message)
        if result.draw is not None:
            result.draw()
        if what == "beyond float32":  # saving a figure takes far longer
            assert f"{name}: not yet" in result._repr_html_()


@pytest.mark.filterwarnings("ignore:This overload of add is deprecated")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_function_passes_by_chance(name, function):
    assert not check(name, FUNCTIONS[function]).passed


@pytest.mark.parametrize("name", COMPARED)
def test_whatever_is_returned_in_one_case_gets_one_sentence_and_can_be_drawn(name):
    """The answers to all cases before are right, so each case meets each mistake."""
    one = find(name)
    rights = [one.expected(case) for case in one.cases]
    rights = [right.long() for right in rights] if one.whole else rights
    for case, right in enumerate(rights):
        for what, change in CHANGED.items():
            wrong = change(right.double())
            result = check(name, answering(name, lambda number: wrong if number == case else rights[number]))  # noqa: B023
            assert not result.passed or right.numel() == 0, what
            if not result.passed:
                assert_reads_well(result.message)
            if result.draw is not None and case == 0:  # a figure takes longer than a check
                result.draw()


@pytest.mark.parametrize(
    ("last", "words"), [(torch.zeros(0, 4), "the boxes themselves"), ([0.5], "no indices"), ([0], "there are no boxes")]
)
def test_an_answer_to_no_boxes_at_all_is_diagnosed(last, words):
    """The last case of nms has nothing to draw and no score to compare with."""
    rights = [find("nms").expected(case).long() for case in find("nms").cases]
    result = check("nms", answering("nms", [*rights[:-1], last].__getitem__))
    assert words in result.message
    assert "nms: not yet" in result._repr_html_()


def test_two_boxes_that_should_not_both_be_kept_are_named_with_their_iou():
    def spares_one(boxes_, scores, iou_threshold):
        order = scores.argsort(descending=True)
        return torch.cat((boxes.nms(boxes_, scores, iou_threshold)[:1], order[1:2])) if len(boxes_) > 1 else order

    answer = lambda boxes, scores, iou_threshold: spares_one(boxes, scores, iou_threshold)  # noqa: E731
    assert "Boxes 2 and 0 are both kept, although their IoU is 0.43" in check("nms", answer).message


# A teacher's own cases

BOXES = torch.tensor([[0.0, 0.0, 8.0, 8.0], [2.0, 2.0, 9.0, 9.0]])
TEACHERS = {
    "label_anchors": [(torch.tensor([[0.65], [0.1]]), 0.6), (torch.zeros(0, 2),), (torch.zeros(2, 0), 0.5)],
    "sample_anchors": [(torch.tensor([1, 0, -1, 0]), 2), (torch.zeros(0, dtype=torch.int64),)],
    "smooth_l1": [(torch.zeros(0),), (torch.tensor(1.0), 1.0)],
    "box_iou": [(BOXES[:0], BOXES), (BOXES, BOXES[:0])],
    "grid_anchors": [(BOXES[:0], (2, 2), 16), (BOXES, (0, 3), 16)],
    "encode_boxes": [(BOXES[:0], BOXES[:0])],
    "decode_boxes": [(BOXES[:0], BOXES[:0])],
    "nms": [(BOXES[:0], torch.zeros(0), 0.5), (BOXES, torch.ones(2), 0.3)],
    "shape_iou": [(BOXES[:0, :2], BOXES[:, 2:])],
}


@pytest.mark.parametrize("name", TEACHERS)
@pytest.mark.parametrize(
    "odd",
    [[0.5, 7.0], [[0.5] * 4] * 3, torch.zeros(0), torch.zeros(0, 3, 3), ([9], [9])],
    ids=["two numbers", "(3, 4)", "(0,)", "(0, 3, 3)", "two indices"],
)
def test_a_teachers_own_cases_may_be_empty_and_leave_defaults_out(name, odd):
    for case in TEACHERS[name]:
        result = check(name, answering(name, lambda number: odd), cases=[case])
        if not result.passed:  # an answer without rows may be right
            assert_reads_well(result.message)
        if result.draw is not None:
            result.draw()


def test_defaults_that_are_left_out_are_told_with_those_that_are_given():
    result = check("label_anchors", lambda iou, high=0.7, low=0.3: [1, 1], cases=[(torch.tensor([[0.65], [0.1]]), 0.6)])
    assert "the thresholds are 0.6 and 0.3. Its IoU is below `low`. The label should be 0, but is 1." in result.message
    result = check("sample_anchors", lambda labels, *options: ([0], []), cases=[(torch.tensor([1, 0, 0]), 2)])
    assert "with batch_size=2 and positive_fraction=0.5, it draws 1 positives and 0 negatives" in result.message


@pytest.mark.parametrize("name", NAMES)
def test_no_cases_are_no_check(name):
    with pytest.raises(ValueError, match="cases is empty, so any function would pass"):
        check(name, lambda *arguments: None, cases=[])


def test_a_function_that_knows_the_lessons_cases_by_heart_fails_a_teachers():
    cases = find("average_precision").cases
    by_heart = {len(scores): find("average_precision").expected((scores, *rest)).item() for scores, *rest in cases}
    case = (torch.tensor([0.9, 0.8, 0.7]), torch.tensor([False, True, True]), 4)

    def answer(scores, is_true_positive, num_ground_truth):
        return by_heart[len(scores)] if len(scores) == 3 else ap_in_numpy(scores, is_true_positive, num_ground_truth)

    assert check("average_precision", answer).passed
    assert not check("average_precision", answer, cases=[case]).passed
    assert check("average_precision", ap_in_numpy, cases=[case]).passed


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("positive above high alone", "is exactly `high`, which is enough. The label should be 1"),
        ("negative at low", "is exactly `low`, and not below it. The label should be -1"),
    ],
)
def test_the_hidden_cases_of_the_assignment_include_the_thresholds(case, words):
    """The cell is run as it is in the notebook, with a learner's function in place of the solution."""
    cells = json.loads(ASSIGNMENT.read_text(encoding="utf-8"))["cells"]
    (hidden,) = [cell for cell in cells if cell["metadata"].get("nbgrader", {}).get("grade_id") == HIDDEN]
    code = "".join(hidden["source"])
    exec(code, {"torch": torch, "check": check, "label_anchors": RIGHT["label_anchors"][0]})
    with pytest.raises(AssertionError, match=words):
        exec(code, {"torch": torch, "check": check, "label_anchors": WRONG["label_anchors"][case][0]})
