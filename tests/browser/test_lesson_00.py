"""Lesson 00 in a real JupyterLab: it runs from top to bottom, and its explorers obey mouse, keyboard and Python."""

import json
import statistics
from pathlib import Path

import pytest

LESSON = Path(__file__).parents[2] / "notebooks" / "00_overview.ipynb"
PAD = 7  # CSS pixels between a canvas and its image, as in box_canvas.js
IMAGE_WIDTH = 600
UPDATES = 20
FRAME = 16  # ms

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lesson(open_notebook):
    notebook = open_notebook(LESSON)
    notebook.run_all(300)
    return notebook


@pytest.fixture
def life(lesson):
    """The explorer of one anchor's life, as it first stands: the cup's best anchor, at step 1."""
    lesson.execute("life.anchor, life.step, life.progress = int(matches.iou.argmax()), 1, 0.0")
    explorer = lesson.page.locator(".box-canvas").nth(1)
    bring_into_view(explorer)
    lesson.page.mouse.move(2, 2)  # off the picture, or the arrows start from there
    lesson.settle()
    return explorer


def bring_into_view(explorer) -> dict:
    """Scroll the picture to the middle of the screen; where it lies once the page stands still."""
    stage, before = explorer.locator(".box-canvas-stage"), None
    while (place := stage.bounding_box()) != before:
        before = place
        stage.evaluate("stage => stage.scrollIntoView({block: 'center'})")
        explorer.page.wait_for_timeout(150)  # Lab lays out the cells that come into view, and all below moves
    return place


def at(explorer, x: float, y: float) -> tuple[float, float]:
    """Where the image's pixel (x, y) lies on the page."""
    place = bring_into_view(explorer)
    scale = (place["width"] - 2 * PAD) / IMAGE_WIDTH
    return place["x"] + PAD + x * scale, place["y"] + PAD + y * scale


def pixels(explorer) -> str:
    """The layers of the canvas, as one string that changes when the picture does."""
    layers = "el => [...el.querySelectorAll('.box-canvas-stage canvas')].map(layer => layer.toDataURL()).join()"
    return explorer.evaluate(layers)


def slider(explorer, label: str):
    return explorer.get_by_label(label)


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
    before = pixels(explorer)
    assert lesson.evaluate("box_iou(mine.box_tensor, cup).item()") == 0
    start, end = at(explorer, 90, 100), at(explorer, 290, 170)
    lesson.page.mouse.move(*start)
    lesson.page.mouse.down()
    lesson.page.mouse.move(*end, steps=5)
    lesson.page.mouse.up()
    lesson.wait_until("abs(mine.boxes[0] - [230, 110, 350, 230]).max() < 1.5")
    assert lesson.evaluate("box_iou(mine.box_tensor, cup).item()") > 0.15
    lesson.page.keyboard.press("ArrowRight")  # still selected
    assert lesson.wait_until("mine.boxes[0, 0] > 230.5")
    assert pixels(explorer) != before
    assert lesson.problems() == {}


def test_a_click_follows_the_best_anchor_of_the_nearest_place(lesson, life):
    before = pixels(life)
    x, y = 25 * 16 + 3, 10 * 16 - 3
    lesson.page.mouse.click(*at(life, x, y))
    lesson.wait_until("life.place == (10, 25)")
    assert lesson.evaluate("life.anchor % 9 == matches.iou.view(25, 38, 9)[10, 25].argmax().item()") is True
    assert "row 10, column 25" in life.locator(".anchor-life-cards button").first.inner_text()
    assert pixels(life) != before
    assert lesson.problems() == {}


def test_the_keyboard_walks_picks_and_moves(lesson, life):
    life.locator(".box-canvas-stage").focus()
    for key in ("ArrowRight", "ArrowDown", "Enter"):  # from the middle, (300, 200), by a place each
        lesson.page.keyboard.press(key)
    place = lesson.wait_until("life.place != divmod(int(matches.iou.argmax()) // 9, 38) and life.place")
    assert place in {(13, 19), (13, 20), (14, 19), (14, 20)}
    lesson.execute("life.anchor = saucer")
    lesson.settle()
    before = pixels(life)
    slider(life, "How far it has moved").focus()
    for _ in range(25):
        lesson.page.keyboard.press("ArrowRight")
    lesson.wait_until("abs(life.progress - 0.25) < 1e-6")
    assert lesson.evaluate("life.step") == 4, "the slider shows the step that it moves"
    assert pixels(life) != before
    assert lesson.problems() == {}


def test_the_slider_takes_another_anchor_of_the_place(lesson, life):
    slider(life, "Which of the 9").focus()
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
    assert slider(life, "How far it has moved").is_disabled()
    assert lesson.evaluate("torch.equal(life.proposal, anchors[life.anchor])") is True


def test_each_step_draws_a_picture_of_its_own_and_the_fourth_moves_the_anchor(lesson, life):
    seen = set()
    for number, card in enumerate(life.locator(".anchor-life-cards button").all(), start=1):
        card.click()
        lesson.wait_until(f"life.step == {number} and life.progress == {int(number >= 4)}")
        lesson.settle()
        assert card.get_attribute("aria-current") == "step"
        seen.add(pixels(life))
    assert len(seen) == 6
    assert lesson.problems() == {}


def test_hovering_and_moving_fit_a_frame(lesson, life):
    lesson.execute("life.anchor, life.step = saucer, 4")
    start = at(life, 100, 100)
    lesson.page.evaluate("globalThis.boxCanvasTimings = []")
    for i in range(UPDATES):
        lesson.page.mouse.move(start[0] + 20 * i, start[1] + 5 * i)
        lesson.page.wait_for_timeout(40)
    slider(life, "How far it has moved").focus()
    for _ in range(UPDATES):
        lesson.page.keyboard.press("ArrowRight")
        lesson.page.wait_for_timeout(40)
    timings = lesson.page.evaluate("boxCanvasTimings")
    for kind in ("hover", "filter"):  # a slider counts as a filter
        spent = [timing["ms"] for timing in timings if timing["kind"] == kind]
        assert len(spent) >= UPDATES // 2, f"{len(spent)} updates of kind {kind} were drawn"
        assert statistics.median(spent) <= FRAME, f"{kind}: {statistics.median(spent):.1f} ms"
        print(f"{kind}: {statistics.median(spent):.1f} ms of script (median of {len(spent)})")
