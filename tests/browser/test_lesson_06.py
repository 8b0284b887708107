"""Lesson 06 in a real JupyterLab: regions move by mouse and keyboard, and the numbers shown are the package's."""

import json
import time

import pytest
from jupyterlab_driver import PATIENCE
from lesson_driver import (
    MINUS,
    assert_the_kernel_answers_at_once,
    assert_within_a_frame,
    drag,
    drag_ms,
    explorer,
    image_size,
    place,
)
from lesson_files import NOTEBOOKS, cells_called

pytestmark = pytest.mark.browser

CELLS = (
    *("map", "real-code", "bins-code", "explorer", "points-explorer", "gradient-explorer"),
    "heads-explorer",
)
"""The cells that make the lesson's explorers, and those that they need."""


@pytest.fixture(scope="module")
def lesson(open_lesson):
    return open_lesson(cells_called(NOTEBOOKS / "06_roi_pooling.ipynb", CELLS))


def middle(lesson, name):
    """The middle of the region of the explorer called `name`, in pixels of its image."""
    x1, y1, x2, y2 = lesson.evaluate(f"{name}.boxes[0].tolist()")
    return (x1 + x2) / 2, (y1 + y2) / 2


def drag_region(lesson, found, name, right, down):
    """Drag the region of the explorer called `name` by so many pixels of its image; the kernel has heard of it."""
    (x, y), size = middle(lesson, name), image_size(lesson, name)
    drag(lesson, place(found, x, y, size), place(found, x + right, y + down, size))
    lesson.wait_until(f"abs(({name}.boxes[0, 0] + {name}.boxes[0, 2]) / 2 - {x + right}) < 1")


def shown(found, number):
    """The numbers behind the explorer's picture `number`, in one row."""
    values = json.loads(found.locator(".explorer-charts canvas").nth(number).get_attribute("data-values"))
    return [one for value in values for one in (value if isinstance(value, list) else [value])]


def assert_agree(lesson, found, grids):
    """The browser's two grids are what `grids` is in the kernel, once both have heard of the same region."""
    end = time.monotonic() + PATIENCE
    while True:
        expected = [lesson.evaluate(f"{grids}['{operator}'].flatten().tolist()") for operator in ("pool", "align")]
        got = [shown(found, number) for number in (0, 1)]
        if got == [pytest.approx(values, abs=1e-4) for values in expected]:
            lesson.settle()  # numbers follow a frame later
            return
        assert time.monotonic() < end, f"{got} is not {expected}"
        time.sleep(0.2)


def select_by_keyboard(lesson, found, name):
    """Walk to the region with Tab, wherever the focus was."""
    lesson.execute(f"{name}.selected = None")
    lesson.settle()
    found.locator(".box-canvas-stage").focus()
    lesson.page.keyboard.press("Tab")
    lesson.wait_until(f"{name}.selected == 0")


def test_a_region_dragged_by_mouse_is_pooled_as_the_package_pools_it(lesson):
    found = explorer(lesson, "pooling")
    before = shown(found, 0)
    drag_region(lesson, found, "pooling", -37, 21)
    assert_agree(lesson, found, "pooling.grids")
    assert shown(found, 0) != before
    moved = [f"{value:+.1f}".replace("-", MINUS) for value in lesson.evaluate("pooling.edges_moved.tolist()")]
    text = found.locator(".explorer-figures").inner_text()
    assert [one for one in moved if one not in text] == []


def test_a_pixel_by_keyboard_changes_align_and_a_cell_of_pixels_pool(lesson):
    lesson.execute("pooling.boxes = torch.tensor([[60.2, 70.3, 121.6, 140.9]])")
    found = explorer(lesson, "pooling")
    select_by_keyboard(lesson, found, "pooling")
    assert_agree(lesson, found, "pooling.grids")
    pool, align = shown(found, 0), shown(found, 1)
    lesson.page.keyboard.press("ArrowRight")
    lesson.wait_until("abs(pooling.boxes[0, 0] - 61.2) < 0.01")
    assert shown(found, 0) == pool
    assert shown(found, 1) != align
    for _ in range(15):
        lesson.page.keyboard.press("ArrowRight")
    lesson.wait_until("abs(pooling.boxes[0, 0] - 76.2) < 0.01")
    assert shown(found, 0) != pool
    assert_agree(lesson, found, "pooling.grids")


@pytest.mark.parametrize("setting", ["bins = 3", "samples = 4", "aligned = True", "channel = 5"])
def test_a_setting_from_python_is_followed(lesson, setting):
    found = explorer(lesson, "pooling")
    before = shown(found, 0), shown(found, 1)
    lesson.execute(f"pooling.{setting}")
    assert_agree(lesson, found, "pooling.grids")
    assert (shown(found, 0), shown(found, 1)) != before
    lesson.execute("pooling.bins, pooling.samples, pooling.aligned, pooling.channel = 7, 2, False, loudest[0]")


def test_pointing_at_a_bin_names_its_winner(lesson):
    lesson.execute("pooling.boxes = region[None]; pooling.bins = 1; pooling.operator = 'pool'")
    found = explorer(lesson, "pooling")
    assert_agree(lesson, found, "pooling.grids")
    lesson.page.mouse.move(*place(found, *middle(lesson, "pooling"), image_size(lesson, "pooling")))
    lesson.settle()
    row, column = lesson.evaluate("pooling.winners[0].tolist()")
    value = lesson.evaluate("pooling.grids['pool'].item()")
    text = found.locator(".box-canvas-readout").inner_text()
    assert f"{value:.3f}, is in row {row}, column {column}" in text
    lesson.execute("pooling.bins = 7")


@pytest.mark.parametrize("all_channels", [True, False])
def test_the_gradient_on_the_screen_is_autograds(lesson, all_channels):
    lesson.execute(f"gradient.all_channels = {all_channels}")
    found = explorer(lesson, "gradient")
    drag_region(lesson, found, "gradient", 9, -6)
    assert_agree(lesson, found, "gradient.gradients")


def test_the_heads_answer_a_dragged_region_and_a_class_that_is_pressed(lesson):
    found = explorer(lesson, "ask")
    drag_region(lesson, found, "ask", -40, 30)
    found.locator(".explorer-figures", has_text=lesson.evaluate("f'{ask.probabilities.max():.3f}'")).wait_for()
    rows = [row.inner_text().replace(MINUS, "-").split()[-5:] for row in found.locator(".explorer-table tr").all()[1:]]
    expected = lesson.evaluate("[[p, *d] for p, d in zip(ask.probabilities.tolist(), ask.deltas.tolist())]")
    assert [[float(cell) for cell in row] for row in rows] == [pytest.approx(line, abs=6e-3) for line in expected]
    found.get_by_role("button", name="square").press("Enter")
    lesson.wait_until("ask.shown_class == 3")
    assert "the region as square moves it" in found.locator(".explorer-figures").inner_text()


def test_what_follows_the_hand_is_drawn_within_a_frame(lesson):
    medians = {}
    for name in ("pooling", "gradient"):
        found = explorer(lesson, name)
        medians[name] = drag_ms(lesson, *place(found, *middle(lesson, name), image_size(lesson, name)))
    assert_within_a_frame(medians)


def test_the_heads_answer_a_key_at_once(lesson):
    found = explorer(lesson, "ask")
    select_by_keyboard(lesson, found, "ask")
    stage, table = found.locator(".box-canvas-stage"), found.locator(".explorer-table")
    assert_the_kernel_answers_at_once(lesson, stage, table)
