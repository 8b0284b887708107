"""Every explorer of the course on a blank page, in light and dark and on a narrow page, under mouse and keys."""

import re

import pytest
from blank_page import BlankPage
from built_explorers import World
from lesson_driver import PAD, pixels

pytestmark = pytest.mark.browser

WORLD = World()
NAMES = sorted(set(WORLD.makers()) - {"FileDrop", "Question"})
SCREENS = {"light": (1280, False), "dark": (1280, True), "narrow": (741, False)}
"""The last is what JupyterLab leaves to an explorer of a window that is 900 pixels wide."""

TOO_WIDE = """() => [...document.querySelectorAll("body *")].filter(one => {
    const { right, width } = one.getBoundingClientRect();
    return width && right > document.documentElement.clientWidth + 1 && !one.closest(".box-canvas-unseen");
}).map(one => one.className || one.tagName)"""

CONTRASTS = """() => {
    const UNREAD = "script, style, option, .box-canvas-unseen, :disabled";
    const parse = color => [...color.match(/[\\d.]+/g).map(Number), 1].slice(0, 4);
    const over = (top, under) => top.slice(0, 3).map((v, k) => v * top[3] + under[k] * (1 - top[3]));
    const linear = v => v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
    const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const faint = [];
    for (const one of document.querySelectorAll("body *")) {
        const own = [...one.childNodes].filter(node => node.nodeType === 3 && node.data.trim()).map(node => node.data);
        if (!own.length || !one.offsetParent || one.closest(UNREAD)) continue;
        const grounds = [];
        for (let e = one; e; e = e.parentElement) grounds.unshift(parse(getComputedStyle(e).backgroundColor));
        const ground = grounds.reduce((under, top) => over(top, under), [255, 255, 255]);
        const text = over(parse(getComputedStyle(one).color), ground);
        const [light, dark] = [luminance(text), luminance(ground)].sort((a, b) => b - a);
        if ((light + 0.05) / (dark + 0.05) < 4.5) faint.push(own.join(" ").slice(0, 40));
    }
    return faint;
}"""


DARK, NARROW = (pytest.param(name, marks=pytest.mark.slow) for name in ("dark", "narrow"))


@pytest.fixture(scope="module", params=["light", DARK, NARROW])
def screen(request, chromium):
    width, dark = SCREENS[request.param]
    context = chromium.new_context(viewport={"width": width, "height": 1100})
    yield context, dark
    context.close()


@pytest.fixture(scope="module", params=NAMES)
def shown(request, screen):
    context, dark = screen
    shown = BlankPage(context, WORLD.makers()[request.param](), dark)
    yield shown
    shown.close()
    assert shown.problems == []


def test_it_draws_fits_the_page_and_can_be_read(shown):
    shown.settle()
    assert len(set(pixels(shown.page.locator("body")))) > 1, "all its canvases show the same: nothing"
    assert shown.page.evaluate(TOO_WIDE) == []
    assert shown.page.evaluate(CONTRASTS) == []


@pytest.mark.parametrize("screen", ["light", NARROW], indirect=True)  # in the dark only the colours differ
def test_mouse_and_keyboard_reach_all_of_it(shown):
    """The pointer over the picture, a drag, and every control by its keys; it never says 'undefined' or NaN."""
    page, before = shown.page, shown.widget.get_state()
    stage = page.locator(".box-canvas-stage").bounding_box()
    for part in (0.3, 0.5, 0.6):
        x, y = stage["x"] + PAD + part * stage["width"], stage["y"] + PAD + part * stage["height"]
        page.mouse.move(x, y)
        shown.settle()
    page.mouse.down()
    page.mouse.move(x + 20, y + 15, steps=4)
    page.mouse.up()
    shown.settle()
    page.locator(".box-canvas-stage").focus()
    for key in ("Tab", "ArrowRight", "Alt+ArrowDown", "Escape", "ArrowLeft", "Enter", "Escape"):
        page.keyboard.press(key)
        shown.settle(1)
    for control in page.locator("input[type=range]:enabled").all():
        told = control.get_attribute("aria-valuetext")
        control.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowLeft" if control.get_attribute("aria-valuetext") != told else "ArrowRight")
        shown.settle(1)
    for control in page.locator("input[type=checkbox]:enabled").all():
        control.focus()
        page.keyboard.press("Space")
        shown.settle(1)
    for button in page.locator("button:enabled").all():
        button.focus()
        page.keyboard.press("Enter")
        shown.settle(1)
    shown.settle()
    said = page.locator("body").inner_text()
    assert not re.search(r"\b(undefined|NaN|Infinity|null|\[object)", said), said
    assert shown.widget.get_state() != before, "Python has heard of nothing"


def test_taken_off_the_page_it_leaves_nothing_behind(chromium):
    """No listener on the model, no element; and what is written anew replaces what was written before."""
    context = chromium.new_context()
    for name in ("IoUExplorer", "GridExplorer", "PoolingExplorer", "BoxCanvas"):
        shown = BlankPage(context, WORLD.makers()[name]())
        figures = "document.querySelectorAll('.explorer-figures > span').length"
        before = shown.page.evaluate(figures)
        shown.page.evaluate("Object.values(model.handlers).flat().forEach(act => act())")
        shown.settle()
        assert shown.page.evaluate(figures) == before
        assert shown.page.evaluate("document.querySelectorAll('.explorer-columns > *').length") in (0, 2)
        shown.page.evaluate("views.splice(0).forEach(destroy => destroy())")
        assert shown.page.evaluate("Object.values(model.handlers).flat().length") == 0, name
        assert shown.page.locator(".box-canvas-stage").count() == 0
        assert shown.problems == []
        shown.close()
    context.close()
