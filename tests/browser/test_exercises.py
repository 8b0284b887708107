"""Exercises in a real JupyterLab: type a wrong answer and read what went wrong, type the right one and see green."""

import time

import pytest
from lesson_driver import quiet
from lesson_files import NOTEBOOKS, cells_called

from frcnn_edu.viz.palette import GREEN

pytestmark = pytest.mark.browser

SECONDS = 1.0
"""How long the learner waits for the verdict, from the key that runs the check."""
ATTEMPTS = 3
"""So often an answer is typed, since a machine may be busy with something else for a moment."""

CELLS = {
    "02_iou_labeling.ipynb": ("map", "exercise-iou", "check-iou"),
    "05_proposals.ipynb": ("exercise-nms", "check-nms"),
    "01_anchors.ipynb": ("exercise-base", "check-base"),
}

# Lines as they are typed: Lab itself indents what follows a colon.
IOU = """def my_box_iou(boxes1, boxes2):
low = torch.maximum(boxes1[:, None, :2], boxes2[:, :2])
high = torch.minimum(boxes1[:, None, 2:], boxes2[:, 2:])
shared = (high - low){clamp}.prod(dim=2)
areas1 = (boxes1[:, 2:] - boxes1[:, :2]).prod(dim=1)
areas2 = (boxes2[:, 2:] - boxes2[:, :2]).prod(dim=1)
return shared / (areas1[:, None] + areas2 - shared)"""
NMS = """def my_nms(boxes, scores, iou_threshold):
from torchvision.ops import nms
return nms(boxes, scores, iou_threshold){order}"""
BASE = """def my_base_anchors(sizes, aspect_ratios):
s, r = torch.tensor(sizes), torch.tensor(aspect_ratios)[:, None]
h, w = s {h} r.sqrt(), s {w} r.sqrt()
return torch.stack([-w, -h, w, h], dim=-1).reshape(-1, 4) / 2"""

WRONG_AND_RIGHT = {
    "iou": (IOU.format(clamp=""), "do not meet", IOU.format(clamp=".clamp(min=0)")),
    "nms": (NMS.format(order=".sort().values"), "listed by index", NMS.format(order="")),
    "base": (BASE.format(h="/", w="*"), "upside down", BASE.format(h="*", w="/")),
}

CARD = "div[style*='border-left']"
GREEN_RGB = "rgb({}, {}, {})".format(*bytes.fromhex(GREEN.removeprefix("#")))

VERDICT = """([id, before]) => {
    const cells = jupyterapp.shell.currentWidget.content.widgets;
    const output = cells.find(cell => cell.model.id === id).outputArea;
    const card = output.node.querySelector("div[style*='border-left']");
    const pictures = [...output.node.querySelectorAll("img")];
    const text = card?.innerText;
    return text && text !== before && pictures.every(picture => picture.complete && picture.naturalWidth) ? text : null;
}"""


@pytest.fixture(scope="module")
def lesson(open_lesson):
    """The exercises' own cells, as three lessons have them, after a cell that draws."""
    return open_lesson([cell for name, ids in CELLS.items() for cell in cells_called(NOTEBOOKS / name, ids)])


def cell_of(lesson, id):
    ids = lesson.page.evaluate("jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.id)")
    return lesson.page.locator(".jp-Notebook .jp-Cell").nth(ids.index(id))


def verdict(lesson, exercise, answer):
    """Type `answer` over what the exercise's cell holds, run it and its check; the card's text and the wait."""
    editor = cell_of(lesson, f"exercise-{exercise}").locator(".cm-content")
    editor.scroll_into_view_if_needed()
    editor.click()
    keyboard = lesson.page.keyboard
    keyboard.press("Control+A")
    keyboard.press("Delete")
    keyboard.type(answer)
    check = cell_of(lesson, f"check-{exercise}")
    before = check.locator(CARD).inner_text()
    keyboard.press("Shift+Enter")
    started = time.perf_counter()
    keyboard.press("Shift+Enter")
    text = lesson.page.wait_for_function(VERDICT, arg=[f"check-{exercise}", before], polling=20).json_value()
    return text, time.perf_counter() - started


@pytest.mark.parametrize("exercise", WRONG_AND_RIGHT)
def test_a_wrong_answer_is_diagnosed_and_drawn_and_the_right_one_is_green(lesson, exercise):
    wrong, diagnosis, right = WRONG_AND_RIGHT[exercise]
    card = cell_of(lesson, f"check-{exercise}")
    waited = []
    while not waited or (max(waited[-1]) > SECONDS and len(waited) < ATTEMPTS and quiet()):
        text, waited_wrong = verdict(lesson, exercise, wrong)
        assert "not yet" in text
        assert diagnosis in text
        assert card.locator("img").count() == 1
        assert card.locator("img").bounding_box()["width"] > 200
        text, waited_right = verdict(lesson, exercise, right)
        assert "passed" in text
        assert card.locator("img").count() == 0
        assert card.locator(CARD).evaluate("card => getComputedStyle(card).borderLeftColor") == GREEN_RGB
        waited.append((waited_wrong, waited_right))
    assert max(waited[-1]) <= SECONDS or not quiet(), waited
