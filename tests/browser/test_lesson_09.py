"""Lesson 09 in a real JupyterLab: a patient is shown, guessed and cured, and the settings reach the training.

The cells are the lesson's own; the training is stopped after two steps, as the stop button would.
"""

import pytest
from jupyterlab_driver import NOTEBOOK
from lesson_files import NOTEBOOKS, cells_called

pytestmark = pytest.mark.browser

CELLS = ("map", "settings", "open", "anchors", "train", "train-say", "use", "patient-no-map", "table")


@pytest.fixture(scope="module")
def lesson(open_lesson):
    found = {cell["id"]: cell for cell in cells_called(NOTEBOOKS / "09_your_own_photographs.ipynb", CELLS)}
    found["map"]["source"] = "import os\nos.environ['FRCNN_EDU_STEPS'] = '2'\n" + found["map"]["source"]
    return open_lesson(list(found.values()))


def cell(lesson, name):
    """What the cell called `name` shows, scrolled into view."""
    place = CELLS.index(name)
    lesson.page.evaluate(f"{NOTEBOOK}.content.scrollToItem({place}, 'start')")
    found = lesson.page.locator(f'[data-windowed-list-index="{place}"]')
    found.wait_for()
    return found


def test_a_patient_is_shown_and_guessed_and_the_cure_unfolds(lesson):
    found = cell(lesson, "patient-no-map")
    curve = found.locator("img").first
    curve.wait_for()
    assert curve.evaluate("image => image.naturalWidth") > 500
    cured = found.locator("details img")
    assert not cured.is_visible()
    said = found.locator(".question-said")
    assert "Guess first" in said.inner_text()
    found.get_by_text("The training boxes are in another format.").click()
    found.locator(".question-commit").click()
    found.get_by_text("One look at a few training photographs").wait_for()
    found.locator("summary").click()
    cured.wait_for()
    assert cured.evaluate("image => image.naturalWidth") > 500


def test_a_training_that_is_stopped_says_so_and_names_the_saved_detector(lesson):
    assert lesson.evaluate("len(trained.history), trained.steps") == (2, 40)
    cell(lesson, "train-say").get_by_text("The training was stopped; 40 were planned.").wait_for()
    cell(lesson, "use").get_by_text("frcnn-edu predict PHOTOGRAPHS --weights my_detector-1").wait_for()
    assert lesson.evaluate("trained.model.rpn.anchor_generator.sizes == [list(one) for one in anchors.sizes]")


def test_the_table_has_a_row_for_each_patient(lesson):
    assert cell(lesson, "table").locator("tbody tr").count() == lesson.evaluate("len(clinic.PATIENTS)")
