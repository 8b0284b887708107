"""How fast every explorer follows the hand: script time from event to drawn, on a blank page, alone on the machine."""

import statistics

import pytest
from blank_page import BlankPage
from built_explorers import World
from lesson_driver import HAND_MS, TIMINGS, quiet

pytestmark = [pytest.mark.browser, pytest.mark.timing]

UPDATES = 10
WORLD = World()
NAMES = sorted(set(WORLD.makers()) - {"FileDrop", "Question"})


@pytest.fixture(params=NAMES)
def shown(request, chromium):
    context = chromium.new_context(viewport={"width": 1280, "height": 1100})
    yield BlankPage(context, WORLD.makers()[request.param]())
    context.close()


def median_ms(shown: BlankPage, kind: str, act) -> list[float]:
    """The median script time of the updates of one kind that `act(0)`, `act(1)`, … cause; none if they cause none."""
    shown.page.evaluate("globalThis.boxCanvasTimings = []")
    for i in range(UPDATES):
        act(i)
        shown.settle(1)
    spent = shown.page.evaluate(TIMINGS, kind)
    return [statistics.median(spent)] if spent else []


def test_the_hand_is_followed_within_a_frame(shown):
    mouse, stage = shown.page.mouse, shown.page.locator(".box-canvas-stage").bounding_box()
    x, y = stage["x"] + 0.4 * stage["width"], stage["y"] + 0.4 * stage["height"]
    medians = {"hover": median_ms(shown, "hover", lambda i: mouse.move(x + 3 * i, y + 2 * i))}
    mouse.down()
    medians["drag"] = median_ms(shown, "drag", lambda i: mouse.move(x + 60 - i, y + 40 - i))
    mouse.up()
    sliders = shown.page.locator("input[type=range]:enabled").all()
    if sliders:
        sliders[0].focus()
        press = shown.page.keyboard.press
        medians["slider"] = median_ms(shown, "filter", lambda i: press("ArrowLeft" if i % 2 else "ArrowRight"))
    slowest = {kind: round(ms, 1) for kind, found in medians.items() for ms in found}
    print(f"{type(shown.widget).__name__}: {slowest} ms")
    assert slowest, "nothing was drawn under the hand"
    assert max(slowest.values()) <= HAND_MS or not quiet(), slowest
