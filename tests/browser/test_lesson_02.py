"""Lesson 02 in a real JupyterLab: drag boxes over 8550 anchors, and see the browser label them as Python does.

What shows nothing that a hand could move, the trained detector and the short trainings, is left out; nbval runs it.
"""

import pytest
from lesson_driver import (
    assert_it_has_drawn,
    assert_the_kernel_answers_at_once,
    assert_within_a_frame,
    control,
    drag,
    drag_ms,
    explorer,
    numbers,
    pixels,
    place,
)
from lesson_files import NOTEBOOKS, cells_called

pytestmark = pytest.mark.browser

EXPLORERS = ("pair", "lab", "steps")
"""The lesson's explorers by their names in its kernel, in the order of the page."""

CELLS = (
    *("map", "guess", "iou-one", "iou-many", "iou-anchors", "pair-explorer", "label-thresholds", "label-rule"),
    *("label-package", "lab", "ties", "sample-explorer"),
)
"""The cells that make the lesson's explorers, and those that they need."""

SPOON = (375 / 600, 200 / 400)
"""A place on the photograph that is on the spoon, as fractions of its width and height."""


@pytest.fixture(scope="module")
def lesson(open_lesson):
    return open_lesson(cells_called(NOTEBOOKS / "02_iou_labeling.ipynb", CELLS))


def assert_counts_agree(lesson, found):
    """The lab's figures on the screen are those of the package, to the last anchor."""
    lesson.settle()
    counts = lesson.evaluate("lab.counts")
    shown = numbers(found)
    assert shown[0] == lesson.evaluate("len(lab.anchors)")
    assert shown[1:6] == [counts[name] for name in ("positive", "by rule", "ignored", "negative", "dropped")]
    assert shown[-1] == counts["unserved"]
    return counts


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_explorer_is_there_and_has_drawn(lesson, name):
    assert_it_has_drawn(explorer(lesson, name))


def test_an_object_dragged_by_mouse_relabels_every_anchor_as_the_package_does(lesson):
    found = explorer(lesson, "lab")
    first = assert_counts_agree(lesson, found)
    before, place_before = pixels(found), lesson.evaluate("lab.objects[1].tolist()")
    drag(lesson, place(found, *SPOON), place(found, 0.2, 0.8))
    lesson.wait_until(f"lab.objects[1].tolist() != {place_before} and not lab.dragging")
    assert pixels(found) != before
    assert assert_counts_agree(lesson, found) != first


def test_thresholds_and_switches_moved_by_keyboard_relabel_too(lesson):
    found = explorer(lesson, "lab")
    control(found, "Positive from").focus()
    for _ in range(4):
        lesson.page.keyboard.press("ArrowLeft")
    lesson.wait_until("lab.high == 0.5")
    lowered = assert_counts_agree(lesson, found)
    control(found, "Negative below").focus()
    for _ in range(8):
        lesson.page.keyboard.press("ArrowRight")
    lesson.wait_until("lab.low == 0.5")  # and not 0.7: it stops at the other one
    assert assert_counts_agree(lesson, found)["ignored"] == 0
    control(found, "best-anchor rule").focus()
    lesson.page.keyboard.press("Space")
    lesson.wait_until("not lab.best_rule")
    assert assert_counts_agree(lesson, found)["positive"] <= lowered["positive"]
    control(found, "drop anchors").focus()
    lesson.page.keyboard.press("Space")
    lesson.wait_until("lab.drop_crossing")
    assert assert_counts_agree(lesson, found)["dropped"] > 0


def test_settings_and_boxes_from_python_reach_the_screen(lesson):
    lesson.execute("lab.low, lab.high, lab.best_rule, lab.drop_crossing = 0.3, 0.7, True, False")
    lesson.execute("moved = lab.boxes.copy(); moved[1] = (500, 20, 512, 34); lab.boxes = moved")
    found = explorer(lesson, "lab")
    counts = assert_counts_agree(lesson, found)
    assert counts["by rule"] > 20  # many anchors hold the small box wholly, and tie
    assert control(found, "Positive from").get_attribute("aria-valuetext") == "0.70"


def test_pointing_at_a_square_tells_the_iou_of_its_anchor(lesson):
    found = explorer(lesson, "lab")
    number = 9 * lesson.evaluate("int(lab.matches.iou[3::9].argmax())") + 3  # of ratio 1 and size 0, not 1 and 1
    iou, (row, in_row) = lesson.evaluate(f"float(lab.matches.iou[{number}])"), divmod(number, 38 * 9)
    column, (ratio, size) = in_row // 9, divmod(in_row % 9, 3)
    x, y = (16 * cell - 8 + 16 * (square + 0.5) / 3 for cell, square in ((column, size), (row, ratio)))
    lesson.page.mouse.move(*place(found, x / 600, y / 400))
    lesson.settle()
    assert f"IoU {iou:.3f}" in found.locator(".box-canvas-readout").inner_text()


def test_two_boxes_dragged_show_the_iou_of_the_package(lesson):
    found = explorer(lesson, "pair")
    lesson.execute("pair.boxes = [[173, 17, 408, 307], [230, 60, 400, 300]]")
    lesson.settle()
    before = lesson.evaluate("pair.iou")
    drag(lesson, place(found, 0.5, 0.5), place(found, 0.6, 0.6))
    lesson.wait_until(f"pair.iou != {before} and not pair.dragging")
    found.locator(".box-canvas-stage").focus()
    for key in ("Tab", "Tab", "Shift+ArrowLeft"):
        lesson.page.keyboard.press(key)
    lesson.settle()
    overlap, union, iou = numbers(found)[-3:]
    assert iou == round(lesson.evaluate("pair.iou"), 3)
    assert abs(overlap - lesson.evaluate("pair.overlap")) <= 0.51
    assert abs(union - lesson.evaluate("pair.union")) <= 0.51


def test_hands_are_followed_within_a_frame(lesson):
    lesson.execute("pair.boxes = [[173, 17, 408, 307], [230, 60, 400, 300]]")
    medians = {}
    for name, grab in {"lab": (0.5, 0.9), "pair": (0.5, 0.5)}.items():
        medians[name] = drag_ms(lesson, *place(explorer(lesson, name), *grab))
    assert_within_a_frame(medians)


def test_another_step_is_drawn_by_python_at_once(lesson):
    found = explorer(lesson, "steps")
    before = pixels(found)
    control(found, "Step").focus()
    lesson.page.keyboard.press("ArrowRight")
    lesson.wait_until("steps.step == 1")
    lesson.settle()
    assert pixels(found) != before
    assert_the_kernel_answers_at_once(lesson, control(found, "Batch"), found.locator(".explorer-figures"))
    assert numbers(found)[:2] == list(lesson.evaluate("steps.tally[:2]"))
