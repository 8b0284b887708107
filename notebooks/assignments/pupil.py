"""The pupil: the process in which what a student handed in runs, and nothing else.

It runs cells, says what a name stands for, and calls functions; it never learns whether an answer was right. So
nothing that a student's code does to `check`, to the tests or to IPython can touch the verdict, which falls in another
process (`judge.py`). One message a line comes in, one goes out, JSON each (values as `wire.py` writes them):

    {"do": "run", "source": "..."}                        -> {"outputs": [...]}
    {"do": "find", "name": "f"}                           -> {"kind": "function", "module": "__main__"}, or
                                                             {"kind": "value", "value": ...}, or {"kind": "nothing"}
    {"do": "call", "name": "f", "arguments": [...]}       -> {"answer": ..., "arguments": [...]} or {"error": [...]}

Importing torch takes seconds: one process does so, and every pupil is forked from it (on macOS, where that is not safe,
each is a process of its own). Before the first cell runs it puts up the walls (`walls.py`) around itself.
"""

import io
import json
import linecache
import os
import signal
import socket
import sys
import tempfile
import traceback
from itertools import pairwise
from pathlib import Path
from typing import Any

import walls
from wire import MOST_SENT, decode, encode, text_of

HERE = Path(__file__).parent
MOST_PRINTED = 20_000
"""Characters of what a cell prints that are kept."""


class Printed(io.StringIO):
    """Keeps the first so many characters and forgets the rest."""

    def write(self, text: str) -> int:
        """Take `text`, or what of it there is room for."""
        super().write(text[: max(MOST_PRINTED - self.tell(), 0)])
        return len(text)


class Shell:
    """A notebook's cells run here, one after the other, in IPython, with their outputs kept."""

    def __init__(self) -> None:
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        config = Config()
        config.HistoryManager.enabled = False
        self.shell = InteractiveShell.instance(config=config)
        self.shell._showtraceback = self._keep_error
        self.errors: list[dict] = []

    def _keep_error(self, kind: type, error: BaseException, lines: list[str]) -> None:
        record = {"output_type": "error", "ename": kind.__name__, "evalue": str(error)[:1000], "traceback": lines}
        self.errors.append(record)

    def run(self, source: str) -> dict:
        """Run a cell: its outputs as a notebook keeps them."""
        from IPython.utils.capture import capture_output

        self.errors, printed = [], Printed()
        streams, sys.stdout = sys.stdout, printed
        try:
            with self.shell.display_trap, capture_output(stdout=False, stderr=False) as captured:
                self.shell.run_cell(source, store_history=True)
        finally:
            sys.stdout = streams
        outputs = [{"output_type": "display_data", "data": rich.data, "metadata": {}} for rich in captured.outputs]
        if printed.getvalue():
            outputs.insert(0, {"output_type": "stream", "name": "stdout", "text": printed.getvalue()})
        return {"outputs": json.loads(json.dumps(outputs + self.errors, default=_bytes))}

    def find(self, name: str) -> dict:
        """What `name` stands for."""
        if name not in self.shell.user_ns:
            return {"kind": "nothing"}
        value = self.shell.user_ns[name]
        if callable(value):
            return {"kind": "function", "module": str(getattr(value, "__module__", ""))}
        return {"kind": "value", "value": encode(value)}

    def call(self, name: str, arguments: list) -> dict:
        """What the function answers, and what has become of its arguments."""
        given = [decode(argument) for argument in arguments]
        try:
            answer = self.shell.user_ns[name](*given)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return {"error": [type(error).__name__, _what(error)]}
        return {"answer": encode(answer), "arguments": [encode(argument) for argument in given]}


def _bytes(value: Any) -> str:
    return text_of(value) if isinstance(value, bytes) else str(value)


def _what(error: BaseException) -> str:
    """The message, with the line of the notebook that it came from."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "ipython-input" in frame.filename]
    line = linecache.getline(frames[-1].filename, frames[-1].lineno).strip() if frames else ""
    return str(error)[:500] + (f" (in the line `{line}`)" if line else "")


def serve(shell: Shell, line: socket.socket, scratch: str, limits: dict) -> None:
    """Say which walls are missing, then answer messages until there are no more."""
    requests, replies = os.fdopen(os.dup(line.fileno()), encoding="utf-8"), os.fdopen(os.dup(line.fileno()), "w")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    kept = sorted((2, requests.fileno(), replies.fileno(), 1 << 16))
    for one, next_one in pairwise(kept):
        os.closerange(one + 1, next_one)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job ignores
    os.environ |= {"TORCH_HOME": str(walls.weights().parents[1]), "HOME": scratch, "TMPDIR": scratch}
    tempfile.tempdir = None
    os.chdir(Path(scratch, "work"))
    reply = {"pid": os.getpid(), "missing": walls.put_up(scratch, str(HERE), walls.Limits(**limits))}
    while True:
        text = json.dumps(reply)
        print(
            text if len(text) < MOST_SENT else json.dumps(_failed("it is too large to be sent")),
            file=replies,
            flush=True,
        )
        try:
            request = requests.readline()
            if not request:
                return
            message = json.loads(request)
            action = message.pop("do")
            reply = {"run": shell.run, "find": shell.find, "call": shell.call}[action](**message)
        except KeyboardInterrupt:
            reply = _failed("it was stopped", KeyboardInterrupt)
        except Exception as error:
            reply = _failed(str(error)[:500], type(error))


def _failed(text: str, kind: type = ValueError) -> dict:
    """What answers any message."""
    shown = {"output_type": "error", "ename": kind.__name__, "evalue": text, "traceback": [f"{kind.__name__}: {text}"]}
    return {"error": [kind.__name__, text], "outputs": [shown]}


def nursery(line: socket.socket) -> None:
    """Import what takes long, then start a pupil for every socket that comes in, and end it when the judge says so."""
    walls.end_with_parent()
    import matplotlib.pyplot  # noqa: F401
    import torchvision  # noqa: F401

    import frcnn_edu.exercises  # noqa: F401

    sys.path[0] = ""  # as in JupyterLab: modules of the student's own lie beside the notebook
    with tempfile.TemporaryDirectory() as os.environ["IPYTHONDIR"]:
        shell = Shell()
    while True:
        message, descriptors, _, _ = socket.recv_fds(line, 1 << 16, 1)
        if not message:
            return
        order = json.loads(message)
        if "end" in order:
            os.kill(order["end"], signal.SIGKILL)  # a child's number is nobody else's until it was waited for
            os.waitpid(order["end"], 0)
        elif not walls.LINUX or os.fork() == 0:
            try:
                serve(shell, socket.socket(fileno=descriptors[0]), **order)
            finally:
                os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)


if __name__ == "__main__":
    nursery(socket.socket(fileno=0))
