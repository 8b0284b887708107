"""Lesson 05 in a real JupyterLab: step through NMS, drag its threshold and its boxes, and both sides say the same."""

import statistics
import time

import pytest
from jupyterlab_driver import PATIENCE
from lesson_driver import (
    assert_it_has_drawn,
    assert_the_kernel_answers_at_once,
    assert_within_a_frame,
    control,
    drag,
    explorer,
    image_size,
    numbers,
    numbers_in,
    pixels,
    place,
)
from lesson_files import NOTEBOOKS, cells_called

pytestmark = pytest.mark.browser

UPDATES = 15

CELLS = ("map", "trace", "decode-code", "clip-code", "topk-code", "nms-open", "chain-open", "large", "steps-open")
CELLS += ("funnel-traces", "funnel-open")
"""The cells that make the explorers, and what they need."""

EXPLORERS = ("suppression", "chain", "steps", "funnel")
"""The lesson's explorers by their names in its kernel, in the order of the page."""

TIME_INPUT = """async ([input, values]) => {
    const times = [];
    for (const value of values) {
        input.value = value;
        const started = performance.now();
        input.dispatchEvent(new Event("input", { bubbles: true }));
        const handled = performance.now() - started;
        globalThis.boxCanvasTimings = [];
        await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
        const drawn = globalThis.boxCanvasTimings.reduce((most, { ms }) => Math.max(most, ms), 0);
        times.push(Math.max(handled, drawn));
    }
    return times;
}"""
"""Script time of each change of a slider: what the handler takes, or the frame, which counts the handler in."""


@pytest.fixture(scope="module")
def lesson(open_lesson):
    return open_lesson(cells_called(NOTEBOOKS / "05_proposals.ipynb", CELLS))


def column(found, index):
    """The texts of one column of the explorer's table, its head left out."""
    rows = found.locator(".proposals-table tr").all()[1:]
    return [row.locator("td").nth(index).inner_text() for row in rows]


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_explorer_is_there_and_has_drawn(lesson, name):
    assert_it_has_drawn(explorer(lesson, name))


def test_the_buttons_walk_through_nms_and_tell_its_story(lesson):
    lesson.execute("suppression.threshold, suppression.step = 0.5, 0")
    found = explorer(lesson, "suppression")
    told = []
    for step in range(1, 7):
        found.locator("button[data-name=next]").focus()
        lesson.page.keyboard.press("Enter")
        lesson.wait_until(f"suppression.step == {step}")
        told.append(found.locator(".proposals-moment").inner_text())
    moments, by = lesson.evaluate("suppression.moments.tolist()"), lesson.evaluate("suppression.suppressed_by.tolist()")
    for box, sentence in zip(moments, told, strict=False):
        assert f"box #{box}," in sentence
        assert "kept." in sentence if by[box] < 0 else f"kept box #{by[box]}," in sentence
    assert any(by[box] >= 0 for box in moments[:6]), "no suppression among the first six: nothing was shown"


def test_the_threshold_dragged_suppresses_what_the_package_suppresses(lesson):
    found = explorer(lesson, "suppression")
    found.locator("button[data-name=end]").click()
    threshold = control(found, "NMS threshold")
    threshold.focus()
    before = pixels(found)
    for key in ["Home", *["ArrowRight"] * 9, "PageUp", "PageUp", "PageUp", "End"]:
        lesson.page.keyboard.press(key)
        value = threshold.input_value()
        lesson.wait_until(f"suppression.threshold == {value}")
        kept, gone, waiting, final, total = numbers(found)
        assert (kept, waiting) == (lesson.evaluate("len(suppression.kept)"), 0), value
        assert gone == lesson.evaluate("(suppression.suppressed_by >= 0).sum().item()")
        assert (final, total) == (kept, lesson.evaluate("len(shown)"))
    assert pixels(found) != before


def test_a_box_dragged_away_from_its_judge_is_kept(lesson):
    found = explorer(lesson, "chain")
    assert numbers(found)[:3] == [0, 0, 3], "it opens with nothing decided"
    found.locator("button[data-name=end]").click()
    assert lesson.evaluate("chain.kept.tolist()") == [0, 2]
    size = image_size(lesson, "chain")
    lesson.page.mouse.move(*place(found, 385, 120, size))  # in B and C; then C goes left, onto A
    drag(lesson, place(found, 470, 180, size), place(found, 370, 180, size))
    lesson.wait_until("chain.kept.tolist() == [0]")
    lesson.settle()
    assert numbers(found)[:2] == [1, 2]
    for _ in range(16):
        lesson.page.keyboard.press("Shift+ArrowRight")
    lesson.wait_until("chain.kept.tolist() == [0, 2]")
    lesson.settle()
    assert numbers(found)[:2] == [2, 1]


def test_every_step_counts_what_the_package_counts(lesson):
    found = explorer(lesson, "steps")
    for label, key in (
        ("Smallest side", "PageUp"),
        ("Top k", "PageUp"),
        ("NMS threshold", "ArrowLeft"),
        ("Step", "Home"),
    ):
        control(found, label).focus()
        lesson.page.keyboard.press(key)
    lesson.wait_until("steps.step == 0 and steps.threshold < 0.7 and steps.smallest > 1 and steps.top_n > 600")
    for step in range(6):
        lesson.settle()
        assert [numbers_in(text)[0] for text in column(found, 1)] == lesson.evaluate("list(steps.counts.values())")
        assert [numbers_in(text)[0] for text in column(found, 2)] == lesson.evaluate("list(steps.reached.values())")
        left = found.locator(".box-canvas-legend button").first.inner_text()
        assert numbers_in(left)[0] == lesson.evaluate(f"min(list(steps.counts.values())[{step}], steps.drawn)")
        lesson.page.keyboard.press("ArrowRight")


def test_the_funnel_shows_the_recall_that_python_measures(lesson):
    found = explorer(lesson, "funnel")
    for label, presses in (("Reached from", 3), ("Score at least", 10)):
        control(found, label).focus()
        for _ in range(presses):
            lesson.page.keyboard.press("ArrowRight")
    lesson.wait_until("funnel.lowest_score == 0.5 and funnel.iou == 0.65")
    lesson.settle()
    recall = pytest.approx(lesson.evaluate("list(funnel.recall.values())"), abs=6e-4)
    end = time.monotonic() + PATIENCE
    while (shown := [float(text) for text in column(found, 3)]) != recall:
        assert time.monotonic() < end, f"{shown} is not {recall}"
        lesson.settle()
    assert [numbers_in(text)[0] for text in column(found, 1)] == pytest.approx(
        lesson.evaluate("list(funnel.counts)"), abs=0.06
    )


def test_sliders_under_the_hand_are_drawn_within_a_frame(lesson):
    medians = {}
    for name, label, values in (
        ("suppression", "NMS threshold", [0.3 + 0.02 * k for k in range(UPDATES)]),
        ("suppression", "Moment", list(range(UPDATES))),
        ("steps", "NMS threshold", [0.3 + 0.05 * (k % 12) for k in range(UPDATES)]),
        ("steps", "Step", [k % 6 for k in range(UPDATES)]),
        ("funnel", "Reached from", [0.3 + 0.05 * (k % 12) for k in range(UPDATES)]),
    ):
        handle = control(explorer(lesson, name), label).element_handle()
        times = lesson.page.evaluate(TIME_INPUT, [handle, values])
        medians[f"{name}, {label}"] = statistics.median(times)
    assert_within_a_frame(medians)


def test_the_score_filter_answers_at_once(lesson):
    found = explorer(lesson, "funnel")
    table = found.locator(".proposals-table")
    assert_the_kernel_answers_at_once(lesson, control(found, "Score at least"), table)
