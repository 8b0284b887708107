"""A check is safe: it stops what never ends, and shows what it found as a card."""

import gc
import sys
import threading
import time

import pytest
from exercise_answers import RIGHT, WRONG

from frcnn_edu.exercises import check

UPSIDE_DOWN = WRONG["base_anchors"]["ratio upside down"][0]


def growing(sizes, aspect_ratios):
    boxes = []
    for _ in range(10**5):  # and not forever: the collector that dawdles below may swallow every attempt to stop it
        boxes.append([sizes[0]])
    while True:
        time.sleep(0.01)


def hanging(sizes, aspect_ratios):
    while True:
        try:
            len(sizes)
        except Exception:
            continue


def unfinished(sizes, aspect_ratios):
    return None


def test_an_endless_loop_is_stopped_even_one_that_catches_exceptions():
    result = check("base_anchors", hanging, seconds=0.3)
    assert not result.passed
    assert "still running after 0.3 seconds. Is there a loop that never ends?" in result.message


def test_a_loop_that_cannot_be_stopped_is_told_so_and_tried_again_later():
    end, caught = threading.Event(), []

    def answer(sizes, aspect_ratios):
        while not end.is_set():
            try:
                time.sleep(0.001)
            except BaseException as error:
                caught.append(error)

    result = check("base_anchors", answer, seconds=0.1)
    assert "It cannot be stopped: choose Kernel, Restart" in result.message
    tries, deadline = len(caught), time.monotonic() + 30
    while len(caught) == tries and time.monotonic() < deadline:
        time.sleep(0.1)
    end.set()
    assert len(caught) > tries


@pytest.fixture
def slow_collections():
    """Nearly all the time is spent in a callback of the garbage collector, where an exception is lost."""

    def dawdle(phase, info):
        for _ in range(2000):
            pass

    before = gc.get_threshold()
    gc.callbacks.append(dawdle)
    gc.set_threshold(5)
    yield
    gc.set_threshold(*before)
    gc.callbacks.remove(dawdle)


def test_a_stop_that_is_lost_on_its_way_is_tried_again_and_prints_nothing(slow_collections, capfd, monkeypatch):
    lost = []
    monkeypatch.setattr(sys, "unraisablehook", lambda one: lost.append(one.exc_type))
    for _ in range(3):
        assert "still running after 0.1 seconds" in check("base_anchors", growing, seconds=0.1).message
    assert lost == []
    assert capfd.readouterr() == ("", "")


def test_what_else_is_lost_is_still_reported(monkeypatch):
    lost = []
    monkeypatch.setattr(sys, "unraisablehook", lambda one: lost.append(one.exc_type))
    check("base_anchors", hanging, seconds=0.1)

    class Falling:
        def __del__(self):
            raise LookupError

    Falling()
    assert LookupError in lost


def test_a_result_shows_a_picture_where_there_are_boxes_to_compare():
    assert "<img" in check("base_anchors", UPSIDE_DOWN)._repr_html_()
    assert "<img" not in check("base_anchors", unfinished)._repr_html_()


def test_a_result_reads_as_plain_text_too_and_the_same_every_time():
    assert repr(check("base_anchors", UPSIDE_DOWN)) == repr(check("base_anchors", UPSIDE_DOWN))
    assert repr(check("base_anchors", unfinished)).startswith("base_anchors: not yet. It returns None")
    assert repr(check("base_anchors", RIGHT["base_anchors"][0])) == "base_anchors: passed. All 3 cases are right."


def test_what_a_learner_wrote_cannot_become_markup():
    def answer(sizes, aspect_ratios):
        raise ValueError("<script>alert(1)</script>")

    assert "<script>" not in check("base_anchors", answer)._repr_html_()
