"""Lesson 00 in a real JupyterLab: it runs from top to bottom, and its explorers obey mouse, keyboard and Python."""

import json

import pytest
from lesson_driver import assert_within_a_frame, control, drag, pixels, place, script_ms, slider_ms
from lesson_files import NOTEBOOKS

pytestmark = pytest.mark.browser

LESSON = NOTEBOOKS / "00_overview.ipynb"
IMAGE_SIZE = (600, 400)


@pytest.fixture(scope="module")
def lesson(open_lesson):
    return open_lesson(LESSON)


@pytest.fixture
def life(lesson):
    """The explorer of one anchor's life, as it first stands: the cup's best anchor, at step 1."""
    lesson.execute("life.anchor, life.step, life.progress = int(matches.iou.argmax()), 1, 0.0")
    explorer = lesson.page.locator(".box-canvas").nth(1)
    bring_into_view(explorer)
    lesson.page.mouse.move(2, 2)  # off the picture, or the arrows start from there
    lesson.settle()
    return explorer


def stage(explorer):
    """The picture of the explorer, without what stands beside it."""
    return explorer.locator(".box-canvas-stage")


def bring_into_view(explorer) -> None:
    """Scroll the picture to the middle of the screen, and return once the page stands still."""
    before = None
    while (here := stage(explorer).bounding_box()) != before:
        before = here
        stage(explorer).evaluate("stage => stage.scrollIntoView({block: 'center'})")
        explorer.page.wait_for_timeout(150)  # Lab lays out the cells that come into view, and all below moves


def at(explorer, x: float, y: float) -> tuple[float, float]:
    """Where the image's pixel (x, y) lies on the page."""
    bring_into_view(explorer)
    return place(explorer, x, y, IMAGE_SIZE)


def test_the_lesson_runs_without_an_error_anywhere(lesson):
    assert lesson.page.locator(".box-canvas").count() == 4
    assert lesson.problems() == {}


def test_a_committed_lesson_shows_its_pictures_before_anything_runs(open_notebook):
    """No dead widget stands where a plain picture can, and the photograph is on the first screen."""
    notebook = open_notebook(LESSON)
    picture = notebook.page.locator(".jp-OutputArea-output img").first
    picture.wait_for()
    top = picture.bounding_box()["y"]
    assert top < 600, f"the photograph starts {top:.0f} px down a screen of 900"
    assert notebook.problems() == {}


def test_a_box_dragged_onto_the_cup_is_measured_by_the_next_cell(lesson):
    explorer = lesson.page.locator(".box-canvas").first
    bring_into_view(explorer)
    before = pixels(stage(explorer))
    assert lesson.evaluate("box_iou(mine.box_tensor, cup).item()") == 0
    drag(lesson, at(explorer, 90, 100), at(explorer, 290, 170))
    lesson.wait_until("abs(mine.boxes[0] - [230, 110, 350, 230]).max() < 1.5")
    assert lesson.evaluate("box_iou(mine.box_tensor, cup).item()") > 0.15
    lesson.page.keyboard.press("ArrowRight")  # still selected
    assert lesson.wait_until("mine.boxes[0, 0] > 230.5")
    assert pixels(stage(explorer)) != before


def test_a_click_follows_the_best_anchor_of_the_nearest_place(lesson, life):
    before = pixels(stage(life))
    x, y = 25 * 16 + 3, 10 * 16 - 3
    lesson.page.mouse.click(*at(life, x, y))
    lesson.wait_until("life.place == (10, 25)")
    assert lesson.evaluate("life.anchor % 9 == matches.iou.view(25, 38, 9)[10, 25].argmax().item()") is True
    assert "row 10, column 25" in life.locator(".anchor-life-cards button").first.inner_text()
    assert pixels(stage(life)) != before


def test_the_keyboard_walks_picks_and_moves(lesson, life):
    stage(life).focus()
    for key in ("ArrowRight", "ArrowDown", "Enter"):  # from the middle, (300, 200), by a place each
        lesson.page.keyboard.press(key)
    place = lesson.wait_until("life.place != divmod(int(matches.iou.argmax()) // 9, 38) and life.place")
    assert place in {(13, 19), (13, 20), (14, 19), (14, 20)}
    lesson.execute("life.anchor = saucer")
    lesson.settle()
    before = pixels(stage(life))
    control(life, "How far it has moved").focus()
    for _ in range(25):
        lesson.page.keyboard.press("ArrowRight")
    lesson.wait_until("abs(life.progress - 0.25) < 1e-6")
    assert lesson.evaluate("life.step") == 4, "the slider shows the step that it moves"
    assert pixels(stage(life)) != before


def test_the_slider_takes_another_anchor_of_the_place(lesson, life):
    control(life, "Which of the 9").focus()
    lesson.page.keyboard.press("End")
    lesson.wait_until("life.anchor % 9 == 8")
    assert lesson.evaluate("life.place == divmod(int(matches.iou.argmax()) // 9, 38)") is True


@pytest.mark.parametrize("progress", [0.0, 0.37, 1.0])
@pytest.mark.parametrize("anchor", ["int(matches.iou.argmax())", "saucer", "positive.nonzero()[0].item()"])
def test_browser_and_python_pool_the_same_numbers(lesson, life, anchor, progress):
    lesson.execute(f"life.anchor, life.progress = {anchor}, {progress}")
    lesson.settle()
    shown = json.loads(life.locator(".anchor-life-pooled").get_attribute("data-values"))
    expected = lesson.evaluate("life.pooled.tolist()")
    assert len(expected) == 7
    assert [value for row in shown for value in row] == pytest.approx([value for row in expected for value in row])


def test_a_negative_anchor_ends_at_its_label(lesson, life):
    lesson.execute("life.anchor, life.step, life.progress = int((matches.labels == 0).nonzero()[0]), 6, 1.0")
    lesson.settle()
    assert "ends at its label" in life.locator(".box-canvas-readout").inner_text()
    assert control(life, "How far it has moved").is_disabled()
    assert lesson.evaluate("torch.equal(life.proposal, anchors[life.anchor])") is True


def test_each_step_draws_a_picture_of_its_own_and_the_fourth_moves_the_anchor(lesson, life):
    seen = set()
    for number, card in enumerate(life.locator(".anchor-life-cards button").all(), start=1):
        card.click()
        lesson.wait_until(f"life.step == {number} and life.progress == {int(number >= 4)}")
        lesson.settle()
        assert card.get_attribute("aria-current") == "step"
        seen.add(pixels(stage(life)))
    assert len(seen) == 6


def test_hovering_and_moving_fit_a_frame(lesson, life):
    lesson.execute("life.anchor, life.step = saucer, 4")
    x, y = at(life, 100, 100)
    medians = {"hover": script_ms(lesson, "hover", lambda i: lesson.page.mouse.move(x + 15 * i, y + 5 * i))}
    medians["slider"] = slider_ms(lesson, control(life, "How far it has moved"))
    assert_within_a_frame(medians)
