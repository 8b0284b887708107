"""A real JupyterLab and a real browser, for tests: a server, and a notebook open in it.

`LabServer` is a JupyterLab with settings of its own (no news, no token, this computer only) over a folder of notebooks.
`Notebook` is one of them in a browser page: run it, look at it, use mouse and keyboard through `page`, ask its kernel.
"""

import ast
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
from jupyter_client import BlockingKernelClient

HOST = "127.0.0.1"
START_TIMEOUT = PAGE_TIMEOUT = 120
PATIENCE = 60
"""Seconds that a kernel has for a short answer, a server, or a page, however busy the machine."""
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NO_CHROMIUM = (
    "no Chromium found: install it (apt install chromium, brew install --cask chromium, or playwright install "
    "chromium) or name one in the environment variable CHROMIUM"
)
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}
NOTEBOOK = "jupyterapp.shell.currentWidget"
LAB_IN_NO_HURRY = re.compile(r"did not appear within|(ms|too long) to activate")
"""What Lab says of its own plugins on a machine that is busy: no problem of a lesson's."""


def find_chromium() -> str | None:
    """The path of a Chromium or Chrome: the environment's CHROMIUM, one on PATH, or the one playwright installed."""
    if path := os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None):
        return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


class LabServer:
    """A JupyterLab over `folder`, answering at `url` until `stop` is called."""

    token = ""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self.home = folder, home
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.runtime = home / "runtime"
        self.log = home / "server.log"
        self._write_settings(SETTINGS)
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                self._command(), env=self._environment(), cwd=self.folder, stdout=log, stderr=log
            )
        self._wait()

    def stop(self) -> None:
        """End the server and its kernels."""
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def write_notebook(self, name: str, cells: list[str | dict]) -> str:
        """Write a notebook of these cells, the code of one or all that a lesson has; returns its path in the folder."""
        made = [
            nbformat.v4.new_code_cell(cell) if isinstance(cell, str) else nbformat.from_dict(cell) for cell in cells
        ]
        notebook = nbformat.v4.new_notebook(cells=made)
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = self._fresh_folder() / name
        nbformat.write(notebook, path)
        return path.relative_to(self.folder).as_posix()

    def copy_notebook(self, source: Path) -> str:
        """Copy a notebook into the folder, so that a test cannot change the course's own."""
        path = shutil.copy(source, self._fresh_folder())
        return Path(path).relative_to(self.folder).as_posix()

    def ask(self, path: str, method: str = "GET", body: dict | None = None) -> object:
        """The server's answer to a request of its REST interface."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"token {self.token}"} if self.token else {}
        request = urllib.request.Request(f"{self.url}/{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
            text = reply.read()
        return json.loads(text) if text else None

    def use_theme(self, dark: bool) -> None:
        """Light or dark, for pages opened from now on."""
        theme = {"theme": "JupyterLab Dark" if dark else "JupyterLab Light"}
        self.ask("lab/api/settings/@jupyterlab/apputils-extension:themes", "PUT", {"raw": json.dumps(theme)})

    def _fresh_folder(self) -> Path:
        """A new folder, since two notebooks of one path would share a kernel."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def _command(self) -> list[str]:
        flags = {
            "ServerApp.ip": HOST,
            "ServerApp.port": self.port,
            "ServerApp.port_retries": 0,
            "ServerApp.root_dir": self.folder,
            "ServerApp.disable_check_xsrf": True,
            "IdentityProvider.token": "",
            "LabApp.expose_app_in_browser": True,
        }
        given = [f"--{name}={value}" for name, value in flags.items()]
        return [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", *given]

    def _environment(self) -> dict[str, str]:
        own = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
        }
        return os.environ | {name: str(self.home / folder) for name, folder in own.items()}

    def _write_settings(self, settings: dict) -> None:
        folder = self.home / "config" / "labconfig"
        folder.mkdir(parents=True)
        (folder / "default_setting_overrides.json").write_text(json.dumps(settings))

    def _wait(self) -> None:
        for _ in range(START_TIMEOUT * 10):
            if self.process.poll() is not None:
                break
            try:
                self.ask("api")
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"JupyterLab did not start:\n{self.log.read_text()[-2000:]}")


class Notebook:
    """A notebook in a page of the browser, its kernel ready."""

    def __init__(self, server: LabServer, context: object, path: str) -> None:
        self.server, self.context = server, context
        self.page = context.new_page()
        self.page.set_default_timeout(PAGE_TIMEOUT * 1000)
        self.console: list[str] = []
        self.outside: list[str] = []
        self._log_start = server.log.stat().st_size
        self._client: BlockingKernelClient | None = None
        self._watch()
        self.page.goto(f"{server.url}/doc/tree/{path}?reset")
        self.wait_for_kernel()

    def wait_for_kernel(self, timeout: float = PAGE_TIMEOUT) -> None:
        """Return once the kernel is idle; before that Lab drops a "run all" without a word."""
        self.page.wait_for_function("window.jupyterapp?.shell.currentWidget?.sessionContext", timeout=timeout * 1000)
        self.page.evaluate(f"{NOTEBOOK}.sessionContext.ready")
        self._wait_idle(timeout)

    def run_all(self, timeout: float = 240) -> None:
        """Run all cells and wait until the last is done and every widget it made has been drawn."""
        self.page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")  # resolves when all have run
        self._wait_idle(timeout)
        self.settle()

    def settle(self, frames: int = 3) -> None:
        """Let the page draw what it has, and the kernel take in what the page told it."""
        wait = "n => new Promise(done => { const go = () => n-- ? requestAnimationFrame(go) : done(); go(); })"
        self.page.evaluate(wait, frames)
        self._wait_idle(PATIENCE)

    def cell_errors(self) -> list[str]:
        """Every error that a cell, or an Output widget in a cell, holds."""
        held = self.page.evaluate(
            f"""[...{NOTEBOOK}.content.model.cells].flatMap(cell => (cell.toJSON().outputs ?? [])
                .filter(output => output.output_type === "error").map(output => output.ename + ": " + output.evalue))"""
        )
        drawn = self.page.locator('[data-mime-type="application/vnd.jupyter.error"]').all_inner_texts()
        broken = self.page.locator(".jupyter-widgets-error-widget, .jp-mod-error").all_inner_texts()
        return held + [text for text in drawn if not any(error.split(":")[0] in text for error in held)] + broken

    def callback_errors(self) -> list[str]:
        """Errors that a widget's callback raised in the kernel, which no cell shows."""
        with self.server.log.open() as log:
            log.seek(self._log_start)
            text = log.read()
        logged = re.findall(r"^(?!\s)(\w*(?:Error|Exception)\b: .*)$", text, re.MULTILINE)
        return logged + self._iopub_errors()

    def problems(self) -> dict[str, list[str]]:
        """All that should be empty after a lesson has run and been played with: assert that this is {}.

        Lab itself puts no error and no warning on the console of a sound notebook, so none is excused.
        """
        found = {
            "cells": self.cell_errors(),
            "callbacks": self.callback_errors(),
            "console": self.console,
            "requests outside": self.outside,
        }
        return {where: what for where, what in found.items() if what}

    def evaluate(self, expression: str) -> object:
        """The value of a Python expression in the notebook's kernel (numbers, strings, lists …; else its repr)."""
        asked = {"user_expressions": {"value": expression}, "timeout": PATIENCE}
        reply = self._kernel().execute("", silent=True, reply=True, **asked)
        value = reply["content"]["user_expressions"]["value"]
        if value["status"] == "error":
            raise RuntimeError(f"{expression}: {value['ename']}: {value['evalue']}")
        text = value["data"]["text/plain"]
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text

    def wait_until(self, expression: str, timeout: float = PATIENCE) -> object:
        """The value of a Python expression in the kernel once it is true; fails with its last value."""
        end = time.monotonic() + timeout
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < end, f"{expression} stayed {value!r} for {timeout} s"
            time.sleep(0.05)
        return value

    def execute(self, code: str) -> None:
        """Run code in the notebook's kernel, outside of any cell; raises what it raises."""
        reply = self._kernel().execute(code, store_history=False, reply=True, timeout=PATIENCE)["content"]
        if reply["status"] == "error":
            raise RuntimeError(f"{reply['ename']}: {reply['evalue']}")

    def keep_kernel_busy(self, seconds: float) -> None:
        """Make the kernel sleep, and return at once."""
        self._kernel().execute(f"__import__('time').sleep({seconds})", store_history=False)
        self.page.wait_for_function(f"{NOTEBOOK}.sessionContext.session.kernel.status === 'busy'")

    def is_busy(self) -> bool:
        """Whether the kernel is at work."""
        return self.page.evaluate(f"{NOTEBOOK}.sessionContext.session.kernel.status === 'busy'")

    def screenshot(self, path: Path) -> Path:
        """A picture of the page as it is."""
        self.page.screenshot(path=path)
        return path

    def close(self) -> None:
        """Close the page and end its kernel."""
        if self._client:
            self._client.stop_channels()
        own = self.page.evaluate(f"{NOTEBOOK}.sessionContext.session.id")
        self.context.close()
        self.server.ask(f"api/sessions/{own}", "DELETE")

    def _watch(self) -> None:
        announce_file_choosers(self.page)
        self.page.on("pageerror", lambda error: self.console.append(f"uncaught: {error}"))
        self.page.on("console", self._note_message)
        self.page.on("websocket", lambda socket: self._note_request(socket.url))
        self.context.on("request", lambda request: self._note_request(request.url))
        self.context.route(re.compile(rf"^https?://(?!{re.escape(HOST)}[:/])"), lambda route: route.abort())

    def _note_message(self, message: object) -> None:
        if message.type in ("error", "warning") and not LAB_IN_NO_HURRY.search(message.text):
            self.console.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def _note_request(self, url: str) -> None:
        if re.match(r"(http|ws)s?:", url) and not re.match(rf"\w+://{re.escape(HOST)}[:/]", url):
            self.outside.append(url)

    def _wait_idle(self, timeout: float) -> None:
        idle = f"{NOTEBOOK}.sessionContext.session?.kernel?.status === 'idle'"
        self.page.wait_for_function(idle, timeout=timeout * 1000)

    def _kernel(self) -> BlockingKernelClient:
        if self._client is None:
            kernel = self.page.evaluate(f"{NOTEBOOK}.sessionContext.session.kernel.id")
            self._client = BlockingKernelClient(connection_file=str(self.server.runtime / f"kernel-{kernel}.json"))
            self._client.load_connection_file()
            self._client.start_channels()
            self._client.wait_for_ready(timeout=PATIENCE)
        return self._client

    def _iopub_errors(self) -> list[str]:
        if self._client is None:
            return []
        errors = []
        while self._client.iopub_channel.msg_ready():
            message = self._client.get_iopub_msg(timeout=1)
            if message["msg_type"] == "error":
                errors.append(f"{message['content']['ename']}: {message['content']['evalue']}")
        return errors


def announce_file_choosers(page: object) -> None:
    """Have Chromium report file choosers from now on: from the first `expect_file_chooser` on may be too late."""
    page.on("filechooser", lambda _: None)


def free_port() -> int:
    """A port of this computer that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]
