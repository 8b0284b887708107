"""The question card by mouse and keyboard: it asks first, and shows guess and answer on one line."""

import matplotlib.pyplot as plt
import pytest
from blank_page import BlankPage

from frcnn_edu.explorers.question import Question, card

pytestmark = pytest.mark.browser


@pytest.fixture
def shown(chromium, request, monkeypatch):
    monkeypatch.setattr(card, "_asked", {})
    context = chromium.new_context(viewport={"width": 900, "height": 500})
    shown = BlankPage(context, request.param())
    yield shown
    shown.close()
    context.close()
    assert shown.problems == []


def number():
    return Question("What share?", low=0, high=100, unit="%")


def logarithmic():
    return Question("How many anchors?", low=1, high=1_000_000, log=True)


def choice():
    return Question("Which?", {"neg": "only negatives", "pos": "only positives"})


def said(shown):
    return shown.page.locator(".question-said").inner_text()


def centre(shown, selector):
    box = shown.page.locator(selector).bounding_box()
    return box["x"] + box["width"] / 2


def commit(shown):
    shown.page.locator(".question-commit").click()
    shown.settle()


@pytest.mark.parametrize("shown", [number], indirect=True)
def test_the_keyboard_guesses_and_the_answer_lies_on_the_same_line(shown):
    page, card = shown.page, shown.widget
    assert page.locator(".question-commit").is_disabled(), "nothing has been said yet"
    page.keyboard.press("Tab")
    for key in ("Home", *["PageUp"] * 3):
        page.keyboard.press(key)
    assert page.locator("output").inner_text() == "30 %"
    assert card.guess is None, "a guess counts once it is committed"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    shown.settle()
    assert card.guess == 30
    shown.change(lambda: card.compare(74.2, "Most are large."))
    assert said(shown) == "You said 30 %, it is 74 %. Most are large."
    assert page.locator("input").is_disabled()
    box = page.locator("input").bounding_box()
    for mark, place in ((".question-guess", 0.3), (".question-answer", 0.742)):
        assert centre(shown, mark) == pytest.approx(box["x"] + 10 + place * (box["width"] - 20), abs=1)


@pytest.mark.parametrize("shown", [number], indirect=True)
def test_a_click_in_the_middle_of_the_line_is_a_guess(shown):
    """Where the slider's hidden thumb lies already, so that its value does not change."""
    shown.page.locator("input").click()
    commit(shown)
    assert shown.widget.guess == 50


@pytest.mark.parametrize("shown", [number, choice], indirect=True)
def test_the_answer_stays_hidden_until_there_is_a_guess(shown):
    answer = "pos" if shown.widget.choices else 74
    shown.change(lambda: shown.widget.compare(answer, "Because."))
    text = shown.page.locator("body").inner_text()
    assert "74" not in text
    assert "Because" not in text
    assert shown.page.locator(".question-right").count() == 0
    assert "Guess first" in said(shown)
    shown.page.locator("input").first.focus()
    shown.page.keyboard.press("Space" if shown.widget.choices else "Home")
    shown.settle()
    commit(shown)
    assert "Because." in said(shown)


@pytest.mark.parametrize("shown", [number], indirect=True)
def test_a_picture_that_tells_the_answer_stays_hidden_until_there_is_a_guess(shown):
    shown.change(lambda: shown.widget.compare(74, picture=plt.figure(figsize=(2, 1))))
    picture = shown.page.locator(".question-picture")
    assert picture.is_hidden()
    shown.page.locator("input").click()
    commit(shown)
    picture.wait_for()
    assert picture.evaluate("picture => picture.decode().then(() => picture.naturalWidth)") > 0


@pytest.mark.parametrize("shown", [number], indirect=True)
def test_the_answer_can_be_asked_for_without_a_guess(shown):
    shown.change(lambda: shown.widget.compare(74))
    shown.page.get_by_text("Show the answer without a guess").click()
    shown.settle()
    assert said(shown) == "It is 74 %."
    assert shown.widget.skipped
    assert shown.widget.guess is None


@pytest.mark.parametrize("shown", [choice], indirect=True)
def test_a_choice_by_mouse_marks_the_right_one(shown):
    shown.page.get_by_text("only positives").click()
    commit(shown)
    assert shown.widget.guess == "pos"
    shown.add_view()
    shown.change(lambda: shown.widget.compare("neg"))
    for view in shown.page.locator(".question-card").all():
        assert view.locator(".question-right").inner_text() == "only negatives"
        assert view.locator("label", has_text="only positives").inner_text().split("\n")[-1] == "(your choice)"
        assert view.locator(".question-said").inner_text() == "You said “only positives”, it is “only negatives”."


@pytest.mark.parametrize("shown", [logarithmic], indirect=True)
def test_a_logarithmic_line_gives_each_power_of_ten_the_same_room(shown):
    shown.page.locator("input").click()
    assert shown.page.locator("output").inner_text() == "1,000"
    commit(shown)
    assert shown.widget.guess == 1000


@pytest.mark.parametrize("shown", [number], indirect=True)
def test_a_guess_can_be_changed_until_the_answer_is_there(shown):
    shown.page.locator("input").click()
    commit(shown)
    assert shown.page.locator(".question-commit").is_disabled(), "the same guess again is no news"
    shown.page.locator("input").focus()
    shown.page.keyboard.press("End")
    commit(shown)
    assert shown.widget.guess == 100
