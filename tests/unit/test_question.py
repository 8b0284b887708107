"""Question cards in Python: what can be asked, guessed and answered, and what a page without a kernel shows."""

import base64
import io

import matplotlib.pyplot as plt
import pytest
import torch
from PIL import Image

from frcnn_edu.explorers.question import Question, card, guesses
from frcnn_edu.explorers.question.card import GUESS_FIRST


@pytest.fixture(autouse=True)
def nothing_asked(monkeypatch):
    monkeypatch.setattr(card, "_asked", {})


def share(**options):
    return Question("What share?", **{"low": 0, "high": 100, "unit": "%"} | options)


def which():
    return Question("Which?", {"neg": "only negatives", "pos": "only positives"})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "needs choices, or low below high"),
        ({"low": 3, "high": 3}, "low=3, high=3"),
        ({"low": 0, "high": 10, "log": True}, "begins above 0"),
        ({"choices": {"a": "b"}, "low": 0, "high": 1}, "not both"),
    ],
)
def test_what_cannot_be_asked_says_why(options, said):
    with pytest.raises(ValueError, match=said):
        Question("?", **options)


@pytest.mark.parametrize("guess", [-1, 101, "neg"])
def test_a_guess_beyond_the_line_is_refused(guess):
    with pytest.raises(ValueError, match="A number between 0 % and 100 %"):
        share().guess = guess


def test_an_unknown_choice_is_refused():
    with pytest.raises(ValueError, match="only negatives · only positives"):
        which().guess = "both"
    with pytest.raises(ValueError, match="only negatives · only positives"):
        which().compare("both")


@pytest.mark.parametrize("answer", [float("nan"), None, "many", torch.zeros(2)])
def test_what_is_no_number_is_no_answer(answer):
    with pytest.raises(ValueError, match="answer"):
        share().compare(answer)


def test_an_answer_may_be_a_tensor_and_lie_beyond_the_line():
    assert share().compare(torch.tensor(120.0)).answer == 120.0


def test_asking_again_keeps_the_guess_where_it_still_fits():
    share().guess = 30
    assert share().guess == 30
    assert share(high=20).guess is None
    assert share().guess is None, "a guess that was dropped does not return"


@pytest.mark.parametrize(
    ("value", "options", "text"),
    [
        (74.2, {}, "74 %"),
        (0.5, {"high": 1, "unit": ""}, "0.50"),
        (8550, {"low": 1, "high": 1e6, "log": True, "unit": "anchors"}, "8,550 anchors"),
        (2.34, {"low": 0.1, "high": 1e6, "log": True, "unit": ""}, "2.3"),
        (17.0, {"step": 5, "unit": ""}, "17"),
    ],
)
def test_numbers_are_written_with_as_many_decimals_as_can_be_guessed(value, options, text):
    assert share(**options).named(value) == text


def test_a_page_without_a_kernel_has_the_question_and_folds_the_answer():
    card = share()
    asked = card._repr_mimebundle_()[0]["text/html"]
    assert "What share?" in asked
    assert "between 0 % and 100 %" in asked
    assert "details" not in asked
    page = card.compare(74.2, "Because.")._repr_mimebundle_()[0]["text/html"]
    before, folded = page.split("<details>")
    assert "74" not in before
    assert "It is 74 %. Because." in folded


def test_a_picture_comes_with_the_answer_and_is_not_shown_by_itself():
    figure, axes = plt.subplots()
    card = share().compare(74.2, picture=axes)
    assert Image.open(io.BytesIO(card.picture)).format == "PNG"
    assert figure.number not in plt.get_fignums(), "the notebook would show it, guess or no guess"
    before, folded = card._repr_mimebundle_()[0]["text/html"].split("<details>")
    assert "<img" not in before
    assert base64.b64encode(card.picture).decode() in folded
    assert card.compare(70).picture == b"", "another answer has its own picture"


def test_a_question_is_escaped_on_a_page():
    page = Question("Is a < b & c?", {"<": "<b>"})._repr_mimebundle_()[0]["text/html"]
    assert "a &lt; b &amp; c" in page
    assert "&lt;b&gt;" in page


def test_the_recap_lists_every_card_once_and_no_answer_before_there_is_a_guess():
    share().guess = 30
    share().compare(74)
    card = which().compare("neg")
    Question("How many?", low=0, high=9)
    assert [row[1:] for row in guesses().rows] == [
        ("30 %", "74 %"),
        ("no guess", GUESS_FIRST),
        ("no guess", "not yet shown"),
    ]
    card.skipped = True
    assert guesses().rows[1][1:] == ("no guess", "“only negatives”")


def test_a_choice_that_is_a_sentence_is_quoted_without_its_full_stop():
    assert Question("Why?", {"rate": "The rate is too high."}).named("rate") == "“The rate is too high”"
