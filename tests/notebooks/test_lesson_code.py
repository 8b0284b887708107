"""What a lesson builds from scratch passes the check of the exercise that asks for the same."""

import ast
from collections.abc import Callable

import pytest
import torch
from lesson_files import NOTEBOOKS, cells_called

from frcnn_edu.boxes import box_iou
from frcnn_edu.exercises import check


def of_pairs(iou_of_two: Callable) -> Callable:
    def answer(boxes1, boxes2):
        rows = [[float(iou_of_two(a, b)) for b in boxes2.tolist()] for a in boxes1.tolist()]
        return torch.tensor(rows).reshape(len(boxes1), len(boxes2))

    return answer


def of_sides(sides: Callable) -> Callable:
    def answer(sizes, aspect_ratios):
        halves = torch.tensor([sides(size, ratio) for ratio in aspect_ratios for size in sizes]) / 2
        return torch.cat((-halves, halves), dim=1)

    return answer


BUILT = {
    "sides": ("01_anchors", "sides", "base_anchors", of_sides),
    "iou_of_two": ("02_iou_labeling", "iou-one", "box_iou", of_pairs),
    "iou_of_all": ("02_iou_labeling", "iou-many", "box_iou", None),
    "draw": ("02_iou_labeling", "sample", "sample_anchors", None),
    "simple_nms": ("05_proposals", "nms-code", "nms", None),
}
"""A lesson's functions: the lesson, the cell, the exercise, and what makes its arguments theirs."""


@pytest.mark.parametrize("name", BUILT)
def test_a_function_of_a_lesson_passes_the_exercises_check(name):
    lesson, cell, exercise, adapt = BUILT[name]
    (found,) = cells_called(NOTEBOOKS / f"{lesson}.ipynb", [cell])
    (definition,) = (one for one in ast.parse(found["source"]).body if getattr(one, "name", None) == name)
    names = {"torch": torch, "box_iou": box_iou}
    exec(compile(ast.Module([definition], []), f"{lesson}: {cell}", "exec"), names)
    result = check(exercise, adapt(names[name]) if adapt else names[name])
    assert result.passed, result.message
