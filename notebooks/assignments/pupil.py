"""The pupil: the process in which what a student handed in runs, and nothing else.

It runs cells, says what a name stands for, and calls functions; it never learns whether an answer was right. So
nothing that a student's code does to `check`, to the tests or to IPython can touch the verdict, which falls in another
process (`judge.py`). One message a line comes in, one goes out, JSON each:

    {"do": "run", "source": "..."}                        -> {"outputs": [...]}
    {"do": "find", "name": "f"}                           -> {"kind": "function", "module": "__main__"}, or
                                                             {"kind": "value", "value": ...}, or {"kind": "nothing"}
    {"do": "call", "name": "f", "arguments": [...]}       -> {"answer": ..., "arguments": [...]} or {"error": [...]}

A fence keeps the code from opening the course's folder, where the hidden tests lie, from moving it, and from starting
or stopping processes. It is a fence and no wall: whoever must expect real malice grades inside a container.
"""

import _posixsubprocess
import base64
import io
import json
import linecache
import os
import stat
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import torch

PATHS = {
    "open": 1,
    "os.chdir": 1,
    "os.chflags": 1,
    "os.chmod": 1,
    "os.chown": 1,
    "os.getxattr": 1,
    "os.link": 2,
    "os.listdir": 1,
    "os.listxattr": 1,
    "os.mkdir": 1,
    "os.remove": 1,
    "os.removexattr": 1,
    "os.rename": 2,
    "os.rmdir": 1,
    "os.scandir": 1,
    "os.setxattr": 1,
    "os.symlink": 2,
    "os.truncate": 1,
    "os.utime": 1,
    "shutil.move": 2,
    "shutil.rmtree": 1,
}
"""How many paths each of these audit events begins with."""
UPSETTING = {
    "os.chflags",
    "os.chmod",
    "os.chown",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "shutil.move",
    "shutil.rmtree",
}
"""Events that reach a folder from those above it: when one of them is renamed, the folder is not where it was."""
PROCESSES = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.kill",
    "os.killpg",
)
MOST_PRINTED = 20_000
"""Characters of what a cell prints that are kept."""


class Foreign:
    """Stands for a value that is not sent: all that is left of it is how it looks."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def encode(value: Any) -> Any:
    """A value as JSON knows it; tensors and arrays keep their type, shape and bytes."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, torch.Tensor) and value.layout == torch.strided:
        flat = value.detach().cpu().resolve_conj().contiguous().reshape(-1)
        data = bytes(flat.view(torch.uint8).numpy()) if flat.numel() else b""
        return {"tensor": str(value.dtype).removeprefix("torch."), "shape": list(value.shape), "data": _text(data)}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
        array = np.asarray(value)
        return {"array": array.dtype.str, "shape": list(array.shape), "data": _text(array.tobytes())}
    if isinstance(value, list | tuple):
        return {type(value).__name__ if type(value) in (list, tuple) else "tuple": [encode(part) for part in value]}
    if isinstance(value, dict):
        return {"dict": [[encode(key), encode(part)] for key, part in value.items()]}
    if hasattr(value, "__next__"):
        return {"generator": None}
    return {"foreign": repr(value)[:200]}


def decode(sent: Any) -> Any:
    """The value that `encode` made this of; what it did not send becomes a `Foreign`."""
    if not isinstance(sent, dict):
        return sent
    if "tensor" in sent:
        dtype = getattr(torch, sent["tensor"])
        if not isinstance(dtype, torch.dtype):
            raise ValueError(f"{sent['tensor']} is no type of numbers")
        data = bytearray(base64.b64decode(sent["data"]))
        flat = torch.frombuffer(data, dtype=dtype) if data else torch.zeros(0, dtype=dtype)
        return flat.reshape(sent["shape"])
    if "array" in sent:
        return np.frombuffer(base64.b64decode(sent["data"]), np.dtype(sent["array"])).reshape(sent["shape"]).copy()
    if "list" in sent:
        return [decode(part) for part in sent["list"]]
    if "tuple" in sent:
        return tuple(decode(part) for part in sent["tuple"])
    if "dict" in sent:
        return {decode(key): decode(part) for key, part in sent["dict"]}
    return iter(()) if "generator" in sent else Foreign(str(sent.get("foreign")))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def fence(closed: str) -> None:
    """From now on nothing below the folder `closed` opens here, no database does, and no process starts or stops."""
    closed = os.path.realpath(closed)

    def refuse(*arguments: Any) -> None:
        raise PermissionError("an assignment starts and stops no processes while it is graded")

    def watch(event: str, arguments: tuple) -> None:
        if event in PROCESSES:
            refuse()
        if event == "sqlite3.connect":  # an open one attaches files without an event
            raise PermissionError(f"{event}: an assignment uses no databases while it is graded")
        for path in arguments[: PATHS.get(event, 0)]:
            for place in _places(path, event, arguments):
                if _holds(closed, place) or (event in UPSETTING and _holds(place, closed)):
                    raise PermissionError(f"{place} is closed while an assignment is graded")

    _posixsubprocess.fork_exec = refuse  # multiprocessing calls it without an event
    sys.addaudithook(watch)


def _holds(folder: str, place: str) -> bool:
    """Whether `place` is the folder, or lies below it."""
    return place == folder or place.startswith(folder.rstrip(os.sep) + os.sep)


def _places(path: Any, event: str, arguments: tuple) -> list[str]:
    """Where a path of an event may lead: one that is relative, to the current folder or to any that is open.

    `os.open` does not tell in its event which folder it was given as `dir_fd`; its mode, None, tells it from `open`.
    """
    if isinstance(path, int):
        return [os.path.realpath(place) for place in _folders([path])]
    if not isinstance(path, str | bytes | os.PathLike):
        return []
    path = os.fsdecode(path)
    if os.path.isabs(path) or (event == "open" and arguments[1] is not None):
        return [os.path.realpath(path)]
    folders = [os.getcwd(), *_folders(int(number) for number in os.listdir("/dev/fd"))]
    return [os.path.realpath(os.path.join(folder, path)) for folder in folders]


def _folders(descriptors: Iterable[int]) -> Iterator[str]:
    """The paths of the folders among open files."""
    for number in descriptors:
        with suppress(OSError):  # the one that listed the others is closed again
            if stat.S_ISDIR(os.fstat(number).st_mode):
                yield _path(number)


def _path(descriptor: int) -> str:
    """The path of an open file."""
    if sys.platform == "darwin":
        import fcntl  # which Windows has not

        return os.fsdecode(fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
    return os.readlink(f"/proc/self/fd/{descriptor}")


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
    return _text(value) if isinstance(value, bytes) else str(value)


def _what(error: BaseException) -> str:
    """The message, with the line of the notebook that it came from."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "ipython-input" in frame.filename]
    line = linecache.getline(frames[-1].filename, frames[-1].lineno).strip() if frames else ""
    return str(error)[:500] + (f" (in the line `{line}`)" if line else "")


def serve(closed: str) -> None:
    """Answer messages until there are no more."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    requests = os.fdopen(os.dup(sys.stdin.fileno()), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    shell = Shell()
    fence(closed)
    while True:
        try:
            line = requests.readline()
            if not line:
                return
            message = json.loads(line)
            action = message.pop("do")
            reply = {"run": shell.run, "find": shell.find, "call": shell.call}[action](**message)
        except KeyboardInterrupt:
            reply = {"error": ["KeyboardInterrupt", "it was stopped"], "outputs": []}
        except Exception as error:
            reply = {"error": [type(error).__name__, str(error)[:500]], "outputs": []}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
