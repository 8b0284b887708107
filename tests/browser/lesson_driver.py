"""A lesson under a hand: find its explorers, read what they show, take hold of them, and time how fast they follow.

`explorer` returns an explorer, found by its name in the lesson's kernel, as playwright's locator; the rest takes that.
Places are those of the page, as the mouse takes them, in CSS pixels.
"""

import re
import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING

import psutil
from jupyterlab_driver import NOTEBOOK, PATIENCE, Notebook

if TYPE_CHECKING:
    from playwright.sync_api import Locator

SCREEN = {"width": 1280, "height": 1200}
"""High enough that an explorer is seen whole."""
PAD = 7
"""CSS pixels between a canvas and its picture, as in box_canvas.js."""
MINUS = "\N{MINUS SIGN}"
"""The sign that the explorers write, where Python writes a hyphen."""

UPDATES, TRIES = 20, 5
HAND_MS = 16
"""What follows the hand is drawn within a frame of a 60 Hz screen."""
KERNEL_MS = 60
"""From the key to the picture, where Python computes what is shown."""
SLOW_MACHINE = 4
"""Where the kernel is busy or the machine is, an answer may take this many empty round trips."""
QUIET_PERCENT = 40
"""Of all cores: beside a browser and a kernel at rest, another process at full load on one of two is more."""

FIND_CELL = f"""name => [...{NOTEBOOK}.content.model.cells].findIndex(
    cell => new RegExp(`^${{name}} = (?:\\\\w+[.])?(?:[A-Z]|open_)\\\\w*\\\\(`, "m").test(cell.sharedModel.source))"""

PIXELS = "root => [...root.querySelectorAll('canvas')].map(canvas => canvas.toDataURL())"

NEXT_FRAME = "() => new Promise(requestAnimationFrame)"

TIMINGS = "kind => globalThis.boxCanvasTimings.filter(one => one.kind === kind).map(({ms}) => ms)"

TIME_ANSWERS = """([control, watched]) => {
    globalThis.answers = [];
    let pressed = 0;
    control.addEventListener("keydown", () => { pressed = performance.now(); }, { capture: true });
    new MutationObserver(() => { // runs when everything has been drawn
        if (pressed) answers.push(performance.now() - pressed);
        pressed = 0;
    }).observe(watched, { childList: true, subtree: true });
}"""

PING = f"""async () => {{
    const started = performance.now();
    await {NOTEBOOK}.sessionContext.session.kernel.requestKernelInfo();
    return performance.now() - started;
}}"""


def explorer(lesson: Notebook, name: str) -> "Locator":
    """The explorer that a cell of the lesson makes as `name = SomeExplorer(…)` or by a function, scrolled into view."""
    cell = lesson.page.evaluate(FIND_CELL, name)
    assert cell >= 0, f"no cell of the lesson makes an explorer called {name}"
    lesson.page.evaluate(f"{NOTEBOOK}.content.scrollToItem({cell}, 'start')")
    found = lesson.page.locator(f'[data-windowed-list-index="{cell}"] .explorer-columns')
    found.wait_for()
    found.scroll_into_view_if_needed()
    lesson.settle()
    return found


def control(found: "Locator", label: str) -> "Locator":
    """The slider or the checkbox whose label has this text."""
    return found.locator("label", has_text=label).locator("input")


def numbers(found: "Locator", where: str = ".explorer-figures") -> list[float]:
    """Every number that the explorer shows at `where`, a selector: by itself in its first line of figures."""
    return numbers_in(found.locator(where).first.inner_text())


def numbers_in(text: str) -> list[float]:
    """Every number in a text as the explorers write it: 1,234 with a comma, and a minus that is no hyphen."""
    plain = text.replace(",", "").replace(MINUS, "-")
    return [float(number) for number in re.findall(r"-?\d+\.?\d*", plain)]


def pixels(found: "Locator") -> tuple[str, ...]:
    """What each canvas of the explorer shows, to compare with what it showed before."""
    return tuple(found.evaluate(PIXELS))


def place(
    found: "Locator", x: float, y: float, size: tuple[float, float] = (1, 1), margin: float = 0
) -> tuple[float, float]:
    """Where the point (x, y) of the explorer's picture lies on the page.

    x and y are pixels of an image of `size` (width, height) with a margin round it; without a size, fractions of the
    picture.
    """
    box = found.locator(".box-canvas-stage").bounding_box()
    across = (x + margin) / (size[0] + 2 * margin)
    down = (y + margin) / (size[1] + 2 * margin)
    return box["x"] + PAD + across * (box["width"] - 2 * PAD), box["y"] + PAD + down * (box["height"] - 2 * PAD)


def image_size(lesson: Notebook, name: str) -> tuple[int, int]:
    """Width and height of the image of the explorer called `name`, in pixels."""
    return lesson.evaluate(f"{name}.image.shape[1::-1]")


def drag(lesson: Notebook, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Press the mouse at `start`, two places of the page, and let go at `end`."""
    mouse = lesson.page.mouse
    mouse.move(*start)
    mouse.down()
    mouse.move(*end, steps=8)
    mouse.up()
    lesson.settle()


def assert_it_has_drawn(found: "Locator") -> None:
    """The explorer's canvases show something, and it is not wider than the page."""
    assert len(set(pixels(found))) > 1, "all its canvases show the same: nothing"
    width = found.bounding_box()["width"]
    assert width < SCREEN["width"], f"it is {width:.0f} px wide"


def script_ms(lesson: Notebook, kind: str, act: Callable[[int], object]) -> float:
    """Median script time from event to drawn, in ms, of the updates of this kind that act(0), act(1), … cause.

    Kinds are those of box_canvas.js: "hover", "drag", and "filter", which any slider counts as. Each act is given a
    frame of its own; they begin anew while a busy machine has drawn several in one.
    """
    lesson.page.evaluate("globalThis.boxCanvasTimings = []")
    for _ in range(TRIES):
        for i in range(UPDATES):
            act(i)
            lesson.page.evaluate(NEXT_FRAME)
        spent = lesson.page.evaluate(TIMINGS, kind)
        if len(spent) >= UPDATES:
            return statistics.median(spent)
    raise AssertionError(f"{len(spent)} updates of kind {kind} were drawn")


def drag_ms(lesson: Notebook, x: float, y: float) -> float:
    """Median script time, in ms, of the steps of a drag from the place (x, y) of the page."""
    mouse = lesson.page.mouse
    mouse.move(x, y)
    mouse.down()
    median = script_ms(lesson, "drag", lambda i: mouse.move(x + 4 + i, y - i))
    mouse.up()
    return median


def slider_ms(lesson: Notebook, slider: "Locator") -> float:
    """Median script time, in ms, of a slider that arrow keys move to and fro."""
    slider.focus()
    return script_ms(lesson, "filter", lambda i: slider.press("ArrowLeft" if i % 2 else "ArrowRight"))


def quiet() -> bool:
    """Whether the machine has little else to do: if not, a time says more about the other work than about ours."""
    return psutil.cpu_percent(interval=0.5) < QUIET_PERCENT


def assert_within_a_frame(medians: dict[str, float]) -> None:
    """None of these medians, in ms, by what was measured, is longer than a frame, if the machine is quiet."""
    rounded = {what: round(ms, 1) for what, ms in medians.items()}
    print("medians in ms:", rounded)
    assert max(medians.values()) <= HAND_MS or not quiet(), rounded


def assert_the_kernel_answers_at_once(lesson: Notebook, held: "Locator", watched: "Locator") -> None:
    """Arrow keys on `held`, a slider or a canvas, change `watched` through the kernel in `KERNEL_MS` by the median."""
    lesson.page.evaluate(TIME_ANSWERS, [held.element_handle(), watched.element_handle()])
    held.focus()
    pings = []
    for i in range(UPDATES):
        lesson.page.keyboard.press("ArrowLeft" if i % 2 else "ArrowRight")
        lesson.page.wait_for_function(f"answers.length === {i + 1}", timeout=1000 * PATIENCE)
        pings.append(lesson.page.evaluate(PING))
    median, ping = statistics.median(lesson.page.evaluate("answers")), statistics.median(pings)
    print(f"median of {UPDATES}: key to picture through the kernel {median:.1f} ms; an empty question {ping:.1f} ms")
    assert median <= max(KERNEL_MS, SLOW_MACHINE * ping) or not quiet()
