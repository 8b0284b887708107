"""Lesson 00 in a real JupyterLab: it runs from top to bottom, and its explorers obey mouse, keyboard and Python."""

import json
import statistics

import pytest
from lesson_driver import (
    NEXT_FRAME,
    TIMINGS,
    assert_within_a_frame,
    control,
    drag,
    explorer,
    image_size,
    numbers,
    pixels,
    place,
    quiet,
    script_ms,
    slider_ms,
)
from lesson_files import NOTEBOOKS, cells_called

pytestmark = pytest.mark.browser

LESSON = NOTEBOOKS / "00_overview.ipynb"
IMAGE_SIZE = (600, 400)
MINE, LIFE = 2, 3
"""Which canvases of the lesson: the learner's own box, one anchor's life."""
HAND_TO_PICTURE_MS = 120


@pytest.fixture(scope="module")
def lesson(open_lesson):
    lesson = open_lesson(LESSON)
    lesson.execute("START_SCENE = list(live.kinds), live.boxes.tolist()")
    return lesson


@pytest.fixture
def life(lesson):
    """The explorer of one anchor's life, as it first stands: the cup's best anchor, at step 1."""
    lesson.execute("life.anchor, life.step, life.progress = int(matches.iou.argmax()), 1, 0.0")
    found = lesson.page.locator(".box-canvas").nth(LIFE)
    bring_into_view(found)
    lesson.page.mouse.move(2, 2)  # off the picture, or the arrows start from there
    lesson.settle()
    return found


@pytest.fixture
def live(lesson):
    """The detector at work, on its first scene."""
    lesson.execute("live.set_shapes(*START_SCENE)")
    lesson.execute("live.stage, live.kind, live.background = 'detections', 'disc', 0")
    found = explorer(lesson, "live")
    lesson.page.mouse.move(2, 2)
    lesson.settle()
    return found


def stage(found):
    """The picture of the explorer, without what stands beside it."""
    return found.locator(".box-canvas-stage")


def bring_into_view(found) -> None:
    """Scroll the picture to the middle of the screen, and return once the page stands still."""
    before = None
    while (here := stage(found).bounding_box()) != before:
        before = here
        stage(found).evaluate("stage => stage.scrollIntoView({block: 'center'})")
        found.page.wait_for_timeout(150)  # Lab lays out the cells that come into view, and all below moves


def at(found, x: float, y: float, size=IMAGE_SIZE) -> tuple[float, float]:
    """Where the image's pixel (x, y) lies on the page."""
    bring_into_view(found)
    return place(found, x, y, size)


def test_the_lesson_runs_without_an_error_anywhere(lesson):
    assert lesson.page.locator(".box-canvas").count() == 6
    assert lesson.problems() == {}


def test_a_committed_lesson_shows_its_pictures_before_anything_runs(open_notebook):
    """No dead widget stands where a plain picture can, and the detector at work begins on the first screen."""
    notebook = open_notebook(LESSON)
    picture = notebook.page.locator(".jp-OutputArea-output img").first
    picture.wait_for()
    top = picture.bounding_box()["y"]
    assert top < 750, f"the scene starts {top:.0f} px down a screen of 900"
    assert notebook.problems() == {}


def test_a_box_dragged_onto_the_cup_is_measured_by_the_next_cell(lesson):
    found = lesson.page.locator(".box-canvas").nth(MINE)
    bring_into_view(found)
    before = pixels(stage(found))
    assert lesson.evaluate("box_iou(mine.box_tensor, cup).item()") == 0
    drag(lesson, at(found, 90, 100), at(found, 290, 170))
    lesson.wait_until("abs(mine.boxes[0] - [230, 110, 350, 230]).max() < 1.5")
    assert lesson.evaluate("box_iou(mine.box_tensor, cup).item()") > 0.15
    lesson.page.keyboard.press("ArrowRight")  # still selected
    assert lesson.wait_until("mine.boxes[0, 0] > 230.5")
    assert pixels(stage(found)) != before


def answered(lesson, live) -> None:
    """Wait for the answer to the newest scene: while the kernel is busy, the browser keeps a scene back."""
    before = None
    while (now := (lesson.evaluate("live.answer['number']"), pixels(stage(live)))) != before:
        before = now
        lesson.settle()


def on_the_scene(lesson, live, x, y):
    return at(live, x, y, image_size(lesson, "live"))


def test_the_detections_follow_a_shape_that_is_dragged(lesson, live):
    """Halfway, with the button still down, the detector has found the disc anew; at the end it is where it was laid."""
    before, (named, shapes) = pixels(stage(live)), numbers(live)[:2]
    assert (named, shapes) == (7, 7)
    mouse, path = lesson.page.mouse, [on_the_scene(lesson, live, x, y) for x, y in ((48, 52), (180, 150), (190, 215))]
    mouse.move(*path[0])
    mouse.down()
    mouse.move(*path[1], steps=5)
    lesson.wait_until("live.boxes[0, 0] > 150")
    mouse.move(*path[2], steps=5)
    lesson.wait_until("abs(live.boxes[0] - [164, 189, 216, 241]).max() < 2")
    mouse.up()
    answered(lesson, live)
    lesson.wait_until(
        "any('disc' in caption and max(abs(a - b) for a, b in zip(box, (164, 189, 216, 241))) < 6"
        " for box, caption in zip(live.answer['detections'], live.answer['captions']))"
    )
    answered(lesson, live)
    moved = lesson.evaluate("live.answer['number']")
    assert pixels(stage(live)) != before
    assert "52 \N{MULTIPLICATION SIGN} 52 px: found as disc" in live.locator(".box-canvas-readout").inner_text()
    assert moved > 1


def test_a_shape_is_drawn_named_and_deleted(lesson, live):
    live.locator("select").nth(1).select_option("ring")
    drag(lesson, on_the_scene(lesson, live, 250, 250), on_the_scene(lesson, live, 200, 196))  # up and to the left
    lesson.wait_until("live.num_named == len(live.boxes) == 8")
    assert lesson.evaluate("bool(abs(live.boxes[7] - [200, 196, 250, 250]).max() < 2)") is True
    assert lesson.evaluate("live.names[7], live.selected") == ("ring", 7)
    before = pixels(stage(live))
    lesson.page.keyboard.press("Delete")
    lesson.wait_until("len(live.boxes) == 7 and live.selected is None")
    answered(lesson, live)
    assert pixels(stage(live)) != before
    assert numbers(live)[:2] == [7, 7]


def test_the_keyboard_walks_moves_stretches_and_deletes_shapes(lesson, live):
    stage(live).focus()
    for key in ("Tab", "Shift+ArrowRight", "Shift+ArrowDown", "Alt+Shift+ArrowRight"):
        lesson.page.keyboard.press(key)
    lesson.wait_until("live.boxes[0].tolist() == [32, 36, 94, 88]")
    lesson.page.keyboard.press("Tab")
    lesson.page.keyboard.press("Delete")
    lesson.wait_until("len(live.boxes) == 6 and 'ring' not in live.names")
    live.get_by_role("button", name="Add one").press("Enter")
    lesson.wait_until("len(live.boxes) == 7 and live.selected == 6")
    lesson.page.keyboard.press("ArrowRight")
    lesson.wait_until("live.boxes[6, 0] == 99")


def test_one_control_chooses_what_is_shown(lesson, live):
    seen = {pixels(stage(live))}
    for chosen in ("proposals", "objectness"):
        live.locator("select").first.select_option(chosen)
        lesson.wait_until(f"live.stage == {chosen!r}")
        answered(lesson, live)
        seen.add(pixels(stage(live)))
    assert len(seen) == 3


def drag_about(lesson, live, steps: int) -> None:
    """Carry the disc to and fro, a step a frame, and lay it down where it was, half of it further to the right."""
    mouse, (x, y) = lesson.page.mouse, on_the_scene(lesson, live, 48, 52)
    right, _ = on_the_scene(lesson, live, 74, 52)
    mouse.move(x, y)
    mouse.down()
    for i in range(1, steps):
        mouse.move(x + 4 * (i % 20), y + 5 * i % 90)
        lesson.page.evaluate(NEXT_FRAME)
    mouse.move(right, y)
    mouse.up()
    answered(lesson, live)


SLOW = """
from time import sleep
asked, fast = [], LiveDetector._ask
def slow(self, number=None):
    asked.append(number)
    sleep(0.3)
    fast(self, number)
LiveDetector._ask = slow
"""


def test_a_slow_kernel_answers_less_often_and_ends_with_the_newest_scene(lesson, live):
    lesson.execute(SLOW)
    drag_about(lesson, live, 40)
    lesson.wait_until("bool(abs(live.boxes[0] - [48, 26, 100, 78]).max() < 2)")  # where it was laid
    newest = lesson.wait_until("live.answer['number'] == live._scene['number'] and live.answer['number']")
    lesson.execute("LiveDetector._ask = fast")
    told = lesson.evaluate("[number for number in asked if number]")
    assert told == sorted(set(told)), "each scene is answered once, and none after a newer one"
    assert told[-1] == newest
    assert len(told) < newest, "no scene was left out"


@pytest.mark.timing
def test_the_picture_follows_the_hand_within_its_time(open_lesson):
    lesson = open_lesson(cells_called(LESSON, ("live-guess", "live")))
    live = explorer(lesson, "live")
    drag_about(lesson, live, 10)
    lesson.page.evaluate("globalThis.boxCanvasTimings = []")
    drag_about(lesson, live, 60)
    waited = lesson.page.evaluate(TIMINGS, "answer")
    median = statistics.median(waited)
    print(f"hand to picture: median of {len(waited)} {median:.0f} ms, longest {max(waited):.0f} ms")
    assert median <= HAND_TO_PICTURE_MS or not quiet()
    assert lesson.problems() == {}


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
