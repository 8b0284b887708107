"""A pupil's process, seen from the judge: started, asked, stopped, started again where a student's code has ended it.

Nothing that comes from it is believed: it is JSON, of a bounded size, and what a cell shows must fit into a notebook.
"""

import builtins
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
import walls
from nbformat import ValidationError
from nbformat.validator import validate
from nursery import START_SECONDS, Nursery
from wire import MOST_SENT, decode, encode

SEND_SECONDS = 10.0
STOP_SECONDS = 2.0
"""How long code that was told to stop may go on before its process is ended."""
REMOVE_SECONDS = 120.0
LOOK_UP_SECONDS = 0.05
"""How often a wait looks at the clock and at the limits; `check` ends one that takes too long for it, from outside."""
MOST_SENT_IN_ALL = 8 * MOST_SENT
MOST_RESTARTS = 3


class MissingWallsError(Exception):
    """Hand-ins are not run, since walls are missing here."""


class Overdue(Exception):  # noqa: N818 - it is no error of the program
    """The student's code ran too long."""


class Ended(Exception):  # noqa: N818
    """The student's code has ended its process."""


class Pupil:
    """The process with the code of one hand-in."""

    def __init__(self, handed_in: Path, limits: walls.Limits, unfenced: bool = False) -> None:
        self.handed_in, self.limits, self.unfenced = handed_in, limits, unfenced
        self.deadline = time.monotonic() + limits.seconds
        self.allowance = MOST_SENT_IN_ALL
        self.ran: list[str] = []
        self.restarts = 0
        self._start()

    def __enter__(self) -> "Pupil":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def run(self, source: str) -> list[dict]:
        """The outputs of a cell."""
        try:
            outputs = self._ask({"do": "run", "source": source}, self.limits.seconds_per_cell).get("outputs")
            for output in outputs if isinstance(outputs, list) else [outputs]:
                validate(output, ref="output", version=4)
        except Overdue as error:
            return [error_output("CellTimeoutError", str(error))]
        except (Ended, ValidationError) as error:
            self.gone = True
            reason = error if isinstance(error, Ended) else "It has shown what no notebook can hold."
            return [error_output("Ended", f"{reason} The program was started again without this cell.")]
        self.ran.append(source)
        return outputs

    def find(self, name: str) -> dict:
        """What a name stands for: see `pupil.py`."""
        return self._ask({"do": "find", "name": name}, self.limits.seconds_per_cell)

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        """What the student's function `name` answers; changes `arguments` where it did so in place."""
        message = {"do": "call", "name": name, "arguments": [encode(argument) for argument in arguments]}
        reply = self._ask(message, self.limits.seconds_per_cell)
        if "error" in reply:
            raise named(*reply["error"])
        for argument, after in zip(arguments, reply["arguments"], strict=True):
            _take_over(argument, decode(after))
        return decode(reply["answer"])

    def _start(self) -> None:
        self.scratch = tempfile.mkdtemp(prefix="hand_in_")
        shutil.copytree(self.handed_in, Path(self.scratch, "work"), ignore=shutil.ignore_patterns("*.ipynb"))
        for _ in range(2):  # a nursery may have ended since it was needed last
            self.nursery = Nursery.take(self.scratch)
            self.line = self.nursery.order({"scratch": self.scratch, "limits": asdict(self.limits)})
            self.gone, self.waiting, self.received, self.pid = False, False, bytearray(), None
            with suppress(Overdue, ConnectionError, EOFError):
                hello = self._reply(time.monotonic() + START_SECONDS)
                break
            Nursery.at_hand = None
            self.nursery.process.kill()
            self.line.close()
        else:
            self._end()
            self.nursery.errors.seek(0)
            said = self.nursery.errors.read()[-2000:].decode(errors="replace")
            raise RuntimeError(f"no process starts: {said or f'{START_SECONDS:g} seconds are over'}")
        self.pid = hello["pid"]
        if hello["missing"] and not self.unfenced:
            self._end()
            raise MissingWallsError("; ".join(f"{wall}: {reason}" for wall, reason in hello["missing"].items()))

    def _end(self) -> None:
        if self.pid is not None:
            self.nursery.end(self.pid)
            self.pid = None
        self.line.close()
        _remove(self.scratch)

    def _recover(self) -> None:
        """Have the process listen again: drop what it is still at, or start it anew without what it ended at."""
        if self.waiting and not self.gone:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGINT)
            try:
                self._reply(time.monotonic() + STOP_SECONDS)
            except (Overdue, ConnectionError, EOFError):
                self.gone = True
        if self.gone:
            self._end()
            self.restarts += 1
            if self.restarts > MOST_RESTARTS:
                raise Ended("The program has ended too often.")
            self._start()
            for source in self.ran:  # it was quick enough before
                self._ask({"do": "run", "source": source}, START_SECONDS)

    def _ask(self, message: dict, seconds: float) -> dict:
        """The answer to a message. What went wrong is put right before the next one, as `check` counts the seconds."""
        if time.monotonic() > self.deadline:
            raise Overdue(f"The {self.limits.seconds:g} seconds for the whole hand-in are over.")
        if self.gone or self.waiting:
            self._recover()
        self.waiting = True
        try:
            self.line.settimeout(SEND_SECONDS)
            self.line.sendall(json.dumps(message).encode() + b"\n")
            return self._reply(min(time.monotonic() + seconds, self.deadline))
        except Overdue:
            raise Overdue(f"It was stopped after {seconds:g} seconds.") from None
        except (OSError, EOFError) as error:  # a line that is closed, or that nobody reads
            self.gone = True
            raise Ended(str(error) if isinstance(error, EOFError) else "It has ended the program.") from None

    def _reply(self, until: float) -> dict:
        """The next message; raises Overdue, EOFError with the reason, or what a broken line raises."""
        self.line.settimeout(LOOK_UP_SECONDS)
        looked_at = 0
        while (end := self.received.find(b"\n", looked_at)) < 0:
            looked_at = len(self.received)
            if looked_at > MOST_SENT or self.allowance < 0:
                raise EOFError("It has sent more than it may.")
            excess = self.pid and walls.excess(self.pid, self.scratch, self.limits)
            if excess:
                os.kill(self.pid, signal.SIGKILL)
                raise EOFError(excess)
            if time.monotonic() > until:
                raise Overdue
            with suppress(TimeoutError):
                part = self.line.recv(1 << 20)
                if not part:
                    raise EOFError("It has ended the program.")
                self.received += part
                self.allowance -= len(part)
        line, self.received = self.received[:end], self.received[end + 1 :]
        self.waiting = False
        with suppress(ValueError, RecursionError):
            reply = json.loads(line)
            if isinstance(reply, dict):
                return reply
        raise EOFError("It has ended the program.")  # what came was not written by pupil.py


def named(name: str, text: str) -> BaseException:
    """An exception of that name, Python's own where it is one; none that would end the grading."""
    known = getattr(builtins, name, None)
    is_error = isinstance(known, type) and issubclass(known, Exception | SystemExit)
    kind = known if is_error else type(name, (Exception,), {})
    try:
        return kind(text)
    except TypeError:  # a UnicodeDecodeError wants more than a text
        return Exception(f"{name}: {text}")


def error_output(name: str, text: str) -> dict:
    """How a notebook keeps an error."""
    return {"output_type": "error", "ename": name, "evalue": text, "traceback": [f"{name}: {text}"]}


def _take_over(argument: Any, after: Any) -> None:
    """Change `argument` in place as the student's function changed its copy."""
    if isinstance(argument, torch.Tensor) and isinstance(after, torch.Tensor) and argument.shape == after.shape:
        argument.copy_(after)
    elif isinstance(argument, list) and isinstance(after, list):
        argument[:] = after


def _remove(folder: str) -> None:
    """Remove a folder with all that a student's code has made of it."""
    with suppress(OSError, RecursionError):  # it may be too deep, or keep everybody out
        shutil.rmtree(folder)
    if os.path.exists(folder):
        for command in (["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
            with suppress(subprocess.TimeoutExpired):
                subprocess.run([*command, folder], stderr=subprocess.DEVNULL, timeout=REMOVE_SECONDS)
