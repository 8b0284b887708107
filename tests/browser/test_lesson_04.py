"""Lesson 04 in a real JupyterLab: drag boxes and deltas, scrub through the training, and see both sides agree."""

import pytest
from lesson_driver import (
    assert_within_a_frame,
    control,
    drag,
    drag_ms,
    explorer,
    image_size,
    numbers,
    numbers_in,
    pixels,
    place,
    slider_ms,
)
from lesson_files import NOTEBOOKS, cells_called

pytestmark = pytest.mark.browser

THREE_DECIMALS = 6e-4

CELLS = ("map", "centre-size", "follow-code", "deltas-explorer", "pull-code", "pull-explorer")
"""The cells that make the explorers and what they need; that the rest runs is for nbval to say."""


@pytest.fixture(scope="module")
def lesson(open_lesson):
    return open_lesson(cells_called(NOTEBOOKS / "04_box_regression.ipynb", CELLS))


def shown_deltas(found):
    """The deltas as the table tells them: the column before the last."""
    rows = found.locator(".explorer-table tr").all()[1:]
    return [numbers_in(row.locator("td").nth(2).inner_text())[0] for row in rows]


def at(lesson, found, name, x, y):
    """Where pixel (x, y) of the image lies on the page; `found` is the explorer called `name`."""
    return place(found, x, y, image_size(lesson, name), lesson.evaluate(f"{name}.margin"))


def agree(lesson, found):
    """The table says what the package computes of the boxes that Python knows."""
    expected = lesson.evaluate("encode_boxes(hand.box_tensor[1:], hand.box_tensor[:1])[0].tolist()")
    assert shown_deltas(found) == pytest.approx(expected, abs=THREE_DECIMALS)
    third = lesson.evaluate("box_iou(hand.decoded[None], hand.box_tensor[1:]).item()")
    assert numbers(found) == pytest.approx([third, lesson.evaluate("hand.iou")], abs=THREE_DECIMALS)


def test_an_object_dragged_by_mouse_changes_the_deltas(lesson):
    found = explorer(lesson, "hand")
    agree(lesson, found)
    before, picture = shown_deltas(found), pixels(found)
    below_the_anchor = at(lesson, found, "hand", 375, 280)
    drag(lesson, below_the_anchor, at(lesson, found, "hand", 335, 310))
    lesson.wait_until("hand.deltas[0] < 0")
    lesson.settle()
    after = shown_deltas(found)
    assert pixels(found) != picture
    assert after[0] < before[0]
    assert after[1] > before[1]
    assert after[2:] == before[2:], "the object was moved and not resized"
    agree(lesson, found)


def test_a_delta_dragged_by_keyboard_moves_the_third_box_alone(lesson):
    found = explorer(lesson, "hand")
    picture, before = pixels(found), lesson.evaluate("hand.boxes.tolist()")
    control(found, "dw").focus()
    for _ in range(10):
        lesson.page.keyboard.press("ArrowRight")
    lesson.wait_until("abs(hand.sent[2] - 0.1) < 1e-6")
    lesson.settle()
    assert lesson.evaluate("hand.boxes.tolist()") == before
    anchor, moved = before[0], lesson.evaluate("hand.decoded.tolist()")
    assert moved[0] < anchor[0]
    assert moved[2] > anchor[2], "wider to both sides"
    assert moved[1::2] == pytest.approx(anchor[1::2], abs=1e-3)
    assert pixels(found) != picture
    agree(lesson, found)


def test_scaling_both_boxes_changes_pixels_and_keeps_deltas(lesson):
    found = explorer(lesson, "hand")
    deltas, width = shown_deltas(found), lesson.evaluate("float(hand.boxes[0, 2] - hand.boxes[0, 0])")
    control(found, "Scale both").focus()
    for _ in range(4):
        lesson.page.keyboard.press("ArrowLeft")
    lesson.wait_until(f"hand.boxes[0, 2] - hand.boxes[0, 0] < {0.81 * width}")
    lesson.settle()
    assert lesson.evaluate("float(hand.boxes[0, 2] - hand.boxes[0, 0])") == pytest.approx(0.8 * width, rel=1e-3)
    assert shown_deltas(found) == pytest.approx(deltas, abs=1.1e-3)
    agree(lesson, found)


def test_sent_the_right_way_from_python_the_third_box_lies_on_the_object(lesson):
    found = explorer(lesson, "hand")
    picture = pixels(found)
    lesson.execute("hand.sent = tuple(hand.deltas.tolist())")
    lesson.settle()
    assert pixels(found) != picture
    assert numbers(found)[0] == pytest.approx(1, abs=THREE_DECIMALS)
    assert float(control(found, "dy").input_value()) == pytest.approx(lesson.evaluate("hand.sent[1]"), abs=6e-3)
    agree(lesson, found)


def test_boxes_and_deltas_are_drawn_within_a_frame(lesson):
    found = explorer(lesson, "hand")
    x, y = lesson.evaluate("((hand.boxes[1, :2] + hand.boxes[1, 2:]) / 2).tolist()")
    medians = {"drag": drag_ms(lesson, *at(lesson, found, "hand", x, y + 5))}
    medians["slider"] = slider_ms(lesson, control(found, "dx"))
    assert_within_a_frame(medians)


def test_scrubbing_by_keyboard_shows_what_python_computes(lesson):
    found = explorer(lesson, "pull")
    picture = pixels(found)
    control(found, "Training step").focus()
    lesson.page.keyboard.press("End")
    lesson.wait_until("pull.snapshot == len(pull.steps) - 1")
    lesson.settle()
    assert pixels(found) != picture
    step, moved, mean = lesson.evaluate("(pull.steps[-1], pull.iou, pull.mean_iou)")
    itself = lesson.evaluate("box_iou(pulled.anchors, pulled.targets)[pull.anchor, pull.anchor].item()")
    shown = numbers(found)
    count = lesson.evaluate("len(pulled.anchors)")
    assert shown == pytest.approx([itself, step, moved, count, mean], abs=THREE_DECIMALS)


def test_another_anchor_is_followed_by_slider_and_by_click(lesson):
    found = explorer(lesson, "pull")
    picture = pixels(found)
    found.get_by_role("slider", name="Anchor").focus()  # "show all positive anchors" is a checkbox
    lesson.page.keyboard.press("Home")
    lesson.page.keyboard.press("ArrowRight")
    lesson.wait_until("pull.anchor == 1")
    lesson.settle()
    assert pixels(found) != picture
    boxes = lesson.evaluate("pull.moved.tolist()")
    x, y = (sum(pair) / 2 for pair in zip(boxes[-1][:2], boxes[-1][2:], strict=True))
    area = {k: (x2 - x1) * (y2 - y1) for k, (x1, y1, x2, y2) in enumerate(boxes) if x1 < x < x2 and y1 < y < y2}
    lesson.page.mouse.click(*at(lesson, found, "pull", x, y))
    lesson.wait_until(f"pull.anchor == {min(area, key=area.get)}")  # the smallest of the boxes that contain the point
    lesson.settle()
    moved = lesson.evaluate("pull.iou")
    assert numbers(found)[2] == pytest.approx(moved, abs=THREE_DECIMALS)
