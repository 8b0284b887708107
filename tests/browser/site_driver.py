"""Pages of the course in a browser that has no network but the folder they lie in."""

import functools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from jupyterlab_driver import HOST, PATIENCE

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"

RUN_AXE = """async rules => {
    const options = { resultTypes: ["violations"], ...(rules.length ? { runOnly: rules } : {}) };
    const { violations } = await axe.run(document, options);
    return violations.map(({ id, impact, nodes }) => ({
        id, impact, where: nodes.slice(0, 3).map(node => `${node.target.join(" ")}: ${node.failureSummary}`),
    }));
}"""

STATE = (
    """name => JSON.stringify(frcnnEdu.models[name].state, (_, value) => value instanceof DataView ? null : value)"""
)

ANSWERED = "name => frcnnEdu.models[name].answers.flatMap(({ states }) => Object.keys(states[0] ?? {}))"
"""The traits that Python would set."""

BOXES = """name => {
    const { buffer, byteOffset, byteLength } = frcnnEdu.models[name].get("boxes");
    return [...new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength))];
}"""

START_ALL = """async () => {
    for (const place of document.querySelectorAll("[data-explorer]")) {
        place.scrollIntoView({ block: "center", behavior: "instant" });
        for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);
    }
    const waiting = () => document.querySelectorAll("[data-explorer]:not(.started)").length;
    for (let tries = 0; waiting() && tries < 200; tries++) await new Promise(done => setTimeout(done, 25));
    await new Promise(done => setTimeout(done, 100));
    return [...document.querySelectorAll("[data-explorer]:not(.started)")].map(place => place.id);
}"""

TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing, not even where a browser no longer wants what it asked for."""

    def log_message(self, *_: object) -> None:
        pass

    def copyfile(self, source: object, outputfile: object) -> None:
        with suppress(ConnectionError):
            super().copyfile(source, outputfile)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which a folder is served, as `python -m http.server` does."""
    server = ThreadingHTTPServer((HOST, 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{HOST}:{server.server_port}"
    server.shutdown()
    server.server_close()


class Reader:
    """One page in a browser; `problems` is what went wrong, `loaded` how many bytes each of its files has."""

    def __init__(self, browser: object, **options: object) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 1000}} | options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE)
        self.problems: list[str] = []
        self.loaded: dict[str, int] = {}
        self.context.route(re.compile(rf"^(?!https?://{re.escape(HOST)}[:/]|data:|blob:)"), self._refuse)
        self.page.on("response", self._weigh)
        self.page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        self.page.on("console", self._note)
        self.page.on("requestfailed", self._failed)

    def open(self, address: str) -> "Reader":
        """Go to a page, and wait for its scripts."""
        self.page.goto(address)
        self.page.wait_for_function("globalThis.frcnnEdu?.explorers !== undefined")
        return self

    def start(self, name: str) -> object:
        """The place of an explorer, on the screen and started, as playwright's locator."""
        place = self.page.locator(f"#explorer-{name}")
        place.evaluate("place => place.scrollIntoView({ block: 'start', behavior: 'instant' })")
        self.page.wait_for_function("name => frcnnEdu.shown.has(document.getElementById(`explorer-${name}`))", arg=name)
        self.settle()
        return place

    def settle(self) -> None:
        """Let the page draw what it has been told."""
        self.page.evaluate("async () => { for (let i = 0; i < 4; i++) await new Promise(requestAnimationFrame); }")

    def state(self, name: str) -> dict:
        """The traits of an explorer, without those that are bytes."""
        return json.loads(self.page.evaluate(STATE, name))

    def faults(self, *rules: str) -> list[dict]:
        """What axe finds that is serious or critical."""
        self.page.evaluate("globalThis.axe !== undefined") or self.page.add_script_tag(path=str(AXE))
        found = self.page.evaluate(RUN_AXE, list(rules))
        return [fault for fault in found if fault["impact"] in ("serious", "critical")]

    def close(self) -> None:
        self.context.close()

    def _failed(self, request: object) -> None:
        if request.failure != "net::ERR_ABORTED":  # a picture that an explorer took the place of
            self.problems.append(f"{request.failure}: {request.url[:200]}")

    def _refuse(self, route: object) -> None:
        """There is no other server."""
        self.problems.append(f"asked for {route.request.url}")
        route.abort()

    def _weigh(self, response: object) -> None:
        self.loaded[response.url] = int(response.headers.get("content-length", 0))

    def _note(self, message: object) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.type}: {message.text}")
