"""An explorer on a blank page, without JupyterLab: the script is the widget's own, the model that it talks to is ours.

What the hand does reaches the widget in Python when `settle` is called, and what Python changes reaches the page then:
a test sees both sides in order, and sees every message.
"""

import base64
from collections.abc import Callable
from pathlib import Path

from jupyterlab_driver import PATIENCE

PAGE = Path(__file__).with_name("blank_page.html")

NEXT_FRAMES = """n => new Promise(done => {
    const go = () => n-- ? requestAnimationFrame(go) : done();
    go();
})"""


class BlankPage:
    """A widget, drawn in a page of `context`; `problems` is whatever went wrong there."""

    def __init__(self, context: object, widget: object, dark: bool = False) -> None:
        self.widget, self.page = widget, context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE)
        self.problems: list[str] = []
        self.unsent: set[str] = set()
        self.page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        self.page.on("console", self._note)
        self.page.set_content(PAGE.read_text(encoding="utf-8"))
        self.page.evaluate(f"document.body.dataset.jpThemeLight = '{str(not dark).lower()}'")
        widget.send_state = self._send_state
        text = {name: str(getattr(widget, name)) for name in ("_esm", "_css")}
        state = {name: value for name, value in widget.get_state().items() if name not in text}
        self.page.evaluate("([script, sheet, state]) => show(script, sheet, state)", [*text.values(), encoded(state)])
        self.settle()

    def settle(self, frames: int = 2) -> None:
        """Carry messages to and fro until there are none, and let the page draw."""
        self.page.evaluate(NEXT_FRAMES, frames)
        for _ in range(10):
            said = self.page.evaluate("model.sent.splice(0)")
            for state in said:
                self.widget.set_state(state)
            if self.unsent:
                changed = {name: self.widget.get_state(name)[name] for name in self.unsent}
                self.unsent.clear()
                self.page.evaluate("state => model.receive(revive(state))", encoded(changed))
            elif not said:
                break
            self.page.evaluate(NEXT_FRAMES, frames)

    def change(self, act: Callable[[], object]) -> None:
        """Let Python do something to the widget, and the page follow."""
        act()
        self.settle()

    def add_view(self) -> None:
        """Show the same model once more."""
        self.page.evaluate("addView()")
        self.settle()

    def close(self) -> None:
        """Take the widget off the page; what went wrong until then is in `problems`."""
        self.page.evaluate("views.forEach(destroy => destroy())")
        self.page.close()

    def _send_state(self, key: str | set[str] | None = None) -> None:
        names = {key} if isinstance(key, str) else set(key or ())
        self.unsent |= names

    def _note(self, message: object) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.type}: {message.text}")


def encoded(state: dict) -> dict:
    """A widget's state as JSON can hold it; bytes as base64."""
    return {
        name: {"base64": base64.b64encode(value).decode("ascii")} if isinstance(value, bytes | memoryview) else value
        for name, value in state.items()
    }
