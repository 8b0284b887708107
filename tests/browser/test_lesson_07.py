"""Lesson 07's explorers in a real JupyterLab: scrub, pick, predict, by mouse and keyboard, and see both sides agree.

The cells are the lesson's own; those that train are left out, for they take two minutes and no hand.
"""

import pytest
from lesson_driver import (
    assert_it_has_drawn,
    assert_within_a_frame,
    control,
    explorer,
    image_size,
    numbers,
    pixels,
    place,
    slider_ms,
)
from lesson_files import NOTEBOOKS, cells_called

pytestmark = pytest.mark.browser

CELLS = ("map", "data", "recipe", "long-life", "snapshots", "time-machine", "biography", "zoo")
EXPLORERS = ("machine", "lives", "zoo")
"""The lesson's explorers by their names in its kernel, in the order of the page."""


@pytest.fixture(scope="module")
def lesson(open_lesson):
    return open_lesson(cells_called(NOTEBOOKS / "07_full_model.ipynb", CELLS))


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_explorer_is_there_and_has_drawn(lesson, name):
    assert_it_has_drawn(explorer(lesson, name))


def test_scrubbing_by_keyboard_goes_back_in_time_and_counts_what_python_counts(lesson):
    found = explorer(lesson, "machine")
    last = lesson.evaluate("machine.snapshot")
    control(found, "Snapshot").focus()
    for snapshot in range(last - 1, -1, -1):
        before = pixels(found)
        lesson.page.keyboard.press("ArrowLeft")
        lesson.wait_until(f"machine.snapshot == {snapshot}")
        lesson.settle()
        assert pixels(found) != before
        step, proposals, reached, objects, detections, right = numbers(found)
        assert step == lesson.evaluate("machine.steps[machine.snapshot]")
        assert proposals == lesson.evaluate("len(machine.shown_proposals)")
        assert (reached, right) == (lesson.evaluate("machine.num_reached"), lesson.evaluate("machine.num_right"))
        assert objects == lesson.evaluate("len(machine.boxes)")
        assert detections == lesson.evaluate("len(machine.shown_detections)")
    control(found, "Snapshot").press("End")
    lesson.wait_until(f"machine.snapshot == {last}")


@pytest.mark.parametrize(
    ("label", "trait", "key"), [("Proposals", "num_proposals", "Home"), ("score", "threshold", "Home")]
)
def test_fewer_proposals_and_a_lower_threshold_are_counted_too(lesson, label, trait, key):
    found = explorer(lesson, "machine")
    before, value = numbers(found), lesson.evaluate(f"machine.{trait}")
    control(found, label).press(key)
    lesson.wait_until(f"machine.{trait} != {value}")
    lesson.settle()
    after = numbers(found)
    assert after != before
    assert after[2] == lesson.evaluate("machine.num_reached")
    assert after[5] == lesson.evaluate("machine.num_right")


def test_a_life_is_picked_by_slider_and_by_mouse_and_grows_with_age(lesson):
    found = explorer(lesson, "lives")
    control(found, "Age").press("Home")
    lesson.wait_until("lives.age == 0")
    lesson.settle()
    assert numbers(found)[-1] == pytest.approx(lesson.evaluate("lives.iou"), abs=6e-4)
    for _ in range(30):
        lesson.page.keyboard.press("ArrowRight")
    lesson.wait_until("abs(lives.age - 0.6) < 1e-6")
    lesson.settle()
    assert numbers(found)[-1] == pytest.approx(lesson.evaluate("lives.iou"), abs=6e-4)
    smallest = "int(((lives.boxes[:, 2:] - lives.boxes[:, :2]).prod(1)).argmin())"
    x1, y1, x2, y2 = lesson.evaluate(f"lives.boxes[{smallest}].tolist()")
    lesson.page.mouse.click(*place(found, (x1 + x2) / 2, (y1 + y2) / 2, image_size(lesson, "lives")))
    lesson.wait_until(f"lives.chosen == {smallest}")
    lesson.settle()
    assert numbers(found)[-1] == pytest.approx(lesson.evaluate("lives.iou"), abs=6e-4)


def test_the_zoo_opens_only_after_a_prediction_and_shows_the_measured_figures(lesson):
    found = explorer(lesson, "zoo")
    button = found.get_by_role("button", name="Show what was measured")
    assert button.is_disabled()
    found.get_by_role("combobox").select_option(label="No NMS at the end")
    lesson.wait_until("zoo.chosen.name == 'nms_left_out'")
    found.get_by_role("radio").nth(1).focus()
    lesson.page.keyboard.press("Space")
    lesson.wait_until("zoo.prediction == 1")
    boxes = lesson.evaluate("len(zoo.boxes)")
    button.click()
    lesson.wait_until(f"zoo.revealed and len(zoo.boxes) > {boxes}")  # the picture is that of the detector with the bug
    lesson.settle()
    expected = lesson.evaluate(
        "[value for name in ('map_50', 'recall_50') for value in"
        " (getattr(zoo.results['sound_inference'], name), getattr(zoo.results['nms_left_out'], name))]"
    )
    shown = numbers(found)
    assert all(any(abs(value - number) < 6e-4 for number in shown) for value in expected), (expected, shown)
    control(found, "the picture without the mistake").press("Space")
    lesson.wait_until(f"len(zoo.boxes) == {boxes}")


def test_the_next_mistake_asks_anew(lesson):
    found = explorer(lesson, "zoo")
    bug = lesson.evaluate("zoo.bug")
    found.get_by_role("button", name="Next mistake").press("Enter")
    lesson.wait_until(f"zoo.bug == {bug + 1} and not zoo.revealed")
    lesson.settle()
    assert found.locator("input[type=radio]:checked").count() == 0
    assert found.get_by_role("combobox").input_value() == str(bug + 1)


def test_scrubbing_is_drawn_within_a_frame(lesson):
    medians = {}
    for name, label in (("machine", "Snapshot"), ("lives", "Age")):
        medians[name] = slider_ms(lesson, control(explorer(lesson, name), label))
    assert_within_a_frame(medians)
