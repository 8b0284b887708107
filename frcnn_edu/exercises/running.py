"""Running: a learner's function is called on copies of its arguments, in a thread, within a time limit.

Whatever goes wrong is raised as a Problem with a sentence for the learner. A thread, and not an alarm signal, because
that also stops endless loops on Windows and off the main thread.
"""

import copy
import ctypes
import inspect
import itertools
import linecache
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
import torchvision  # noqa: F401 - so that importing it in an answer does not take up the time limit

STOP_TRIES = 20
STOP_WAIT = 0.05
"""Seconds between the first attempts to stop a thread, which may catch the exception."""
STOP_WAIT_LATER = 1.0
"""Seconds between later attempts, in the background."""

NO_GPU = ("not compiled with CUDA", "no NVIDIA", "No CUDA GPUs")
"""What PyTorch's errors say if there is no GPU."""


class Problem(Exception):  # noqa: N818 - not an error of the program but a result of the learner's
    """What is wrong with an answer, in a sentence for the learner."""


class _TimeIsUp(BaseException):
    """Thrown into a thread that takes too long; `except Exception` does not catch it."""


def call(function: Callable, names: Sequence[str], arguments: Sequence[object], seconds: float) -> Any:
    """Call `function` on copies of `arguments`; `names` are their names, and of further arguments with defaults.

    Raises Problem if it has other arguments, raises, runs longer than `seconds` or changes its arguments in place.
    """
    _check_signature(function, names, len(arguments))
    given = copy.deepcopy(list(arguments))
    answer = _within(lambda: function(*given), function, seconds)
    for name, before, after in zip(names, arguments, given, strict=False):
        if not _same(before, after):
            raise Problem(
                f"It changes its argument `{name.partition('=')[0]}` in place, so the caller loses its values. "
                "Make new values instead: `a = a + b`, not `a += b`."
            )
    return answer


def _check_signature(function: Callable, names: Sequence[str], count: int) -> None:
    if not callable(function):
        raise Problem(
            f"check needs the function itself, but got a {type(function).__name__}. "
            "Pass it without calling it: no brackets after its name."
        )
    try:
        inspect.signature(function).bind(*names[:count])
    except TypeError:
        wanted = ", ".join(names)
        raise Problem(f"It cannot be called with its arguments: it should start `def f({wanted}):`.") from None
    except ValueError:  # a builtin may have no signature, so only calling it will tell
        return


def _within(work: Callable[[], object], function: Callable, seconds: float) -> object:
    outcome: dict[str, object] = {}

    def run() -> None:
        with suppress(_TimeIsUp):  # a second one may come while the first is handled
            try:
                outcome["answer"] = work()
            except BaseException as error:  # SystemExit, too: exit() must not end the lesson
                outcome["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        thread.join(seconds)
    finally:
        overdue = thread.is_alive()
        _stop(thread)
    if overdue:
        message = f"It was still running after {seconds:g} seconds. Is there a loop that never ends?"
        raise Problem(f"{message} It cannot be stopped: choose Kernel, Restart." if thread.is_alive() else message)
    if isinstance(error := outcome.get("error"), BaseException):
        raise Problem(_sentence(error, function))
    return outcome["answer"]


def _stop(thread: threading.Thread) -> None:
    """Stop a thread that may be running; go on trying in the background if it does not end soon."""
    if not thread.is_alive():
        return
    if not isinstance(sys.unraisablehook, _Silence):
        sys.unraisablehook = _Silence(sys.unraisablehook)
    threading.Thread(target=_keep_stopping, args=(thread,), daemon=True).start()
    thread.join(STOP_TRIES * STOP_WAIT)


def _keep_stopping(thread: threading.Thread) -> None:
    for seconds in itertools.chain([STOP_WAIT] * STOP_TRIES, itertools.repeat(STOP_WAIT_LATER)):
        if not thread.is_alive():
            return
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_TimeIsUp))
        thread.join(seconds)


class _Silence:
    """A `sys.unraisablehook` that ignores _TimeIsUp and passes everything else on to `report`.

    An exception thrown into a destructor or a callback of the garbage collector is lost, and Python would print it; but
    the next attempt follows.
    """

    def __init__(self, report: Callable) -> None:
        self.report = report

    def __call__(self, lost: "sys.UnraisableHookArgs") -> None:
        if lost.exc_type is not _TimeIsUp:
            self.report(lost)


def _sentence(error: BaseException, function: Callable) -> str:
    """An exception in one line, with the line of the learner's code that raised it."""
    if isinstance(error, NotImplementedError):
        return "It is not written yet: it raises NotImplementedError."
    if isinstance(error, SystemExit):
        return "It ends the program with exit() instead of returning a value."
    if isinstance(error, RecursionError):
        return "It calls itself forever (RecursionError)."
    text = " ".join(str(error).split()) or "no message"
    if any(words in text for words in NO_GPU):
        return f"It asks for a GPU{_where(error, function)}, and there is none: stay on the device of the arguments."
    return f"It stops with {type(error).__name__}{_where(error, function)}: {text}"


def _where(error: BaseException, function: Callable) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)
    mine = [frame for frame in frames if code is not None and frame.filename == code.co_filename]
    if not mine:
        return ""
    line = linecache.getline(mine[-1].filename, mine[-1].lineno or 0).strip()
    return f" in the line `{line}`" if line else ""


def _same(before: object, after: object) -> bool:
    if isinstance(before, torch.Tensor) and isinstance(after, torch.Tensor):
        return before.shape == after.shape and torch.equal(before, after)
    if isinstance(before, np.ndarray) and isinstance(after, np.ndarray):
        return np.array_equal(before, after)
    return before == after
