"""Running: a learner's function called so that nothing it does can hurt the lesson.

It works on copies, in a thread of its own, for a few seconds at most. Whatever goes wrong comes back as one sentence.
A thread, and not an alarm signal, because that stops endless loops on Windows too and does not need the main thread.
"""

import copy
import ctypes
import inspect
import linecache
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import torch
import torchvision  # noqa: F401 - or a learner's own import of it takes their seconds and is cut off half-way

STOP_TRIES = 20
STOP_WAIT = 0.05
"""A loop that catches every exception is told to stop this often, and this many seconds apart."""
STOP_WAIT_LATER = 1.0
"""After those it is told so in the background, for as long as it runs."""

NO_GPU = ("not compiled with CUDA", "no NVIDIA", "No CUDA GPUs")
"""What PyTorch's errors say where a GPU is asked for in vain."""


class Problem(Exception):  # noqa: N818 - it is no error of the program but the learner's result
    """What is wrong with an answer, in a sentence for the learner."""


class _TimeIsUp(BaseException):
    """Thrown into a thread that took too long; no `except Exception` of the learner's catches it."""


def call(function: Callable, names: Sequence[str], arguments: Sequence[object], seconds: float) -> object:
    """What `function` returns for copies of `arguments`, which are called `names`; names left over have defaults.

    Raises Problem where it cannot be called so, raises, runs longer than `seconds` or changes what it was given.
    """
    _check_signature(function, names, len(arguments))
    given = copy.deepcopy(list(arguments))
    answer = _within(lambda: function(*given), function, seconds)
    for name, before, after in zip(names, arguments, given, strict=False):
        if not _same(before, after):
            raise Problem(
                f"It changes its argument `{name.partition('=')[0]}` in place, so the caller's own values are gone. "
                "Make new values instead: `a = a + b` and not `a += b`."
            )
    return answer


def _check_signature(function: Callable, names: Sequence[str], count: int) -> None:
    if not callable(function):
        raise Problem(
            f"check needs the function itself, but got a {type(function).__name__}. "
            "Hand it over without calling it: no brackets behind its name."
        )
    try:
        inspect.signature(function).bind(*names[:count])
    except TypeError:
        wanted = ", ".join(names)
        raise Problem(f"It cannot be called with its arguments: it should start `def f({wanted}):`.") from None
    except ValueError:  # a builtin may have no signature; calling it will tell
        return


def _within(work: Callable[[], object], function: Callable, seconds: float) -> object:
    outcome: dict[str, object] = {}

    def run() -> None:
        with suppress(_TimeIsUp):  # one more may come while the first is on its way out
            try:
                outcome["answer"] = work()
            except BaseException as error:  # SystemExit too: an exit() of the learner's must not end the lesson
                outcome["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        thread.join(seconds)
    finally:
        overdue = thread.is_alive()
        _stop(thread)
    if overdue:
        said = f"It was still running after {seconds:g} seconds. Is there a loop that never ends?"
        said += " It cannot be stopped: choose Kernel, Restart." if thread.is_alive() else ""
        raise Problem(said)
    if "error" in outcome:
        raise Problem(_sentence(outcome["error"], function))
    return outcome["answer"]


def _stop(thread: threading.Thread) -> None:
    if not thread.is_alive():
        return
    if not isinstance(sys.unraisablehook, _Silence):
        sys.unraisablehook = _Silence(sys.unraisablehook)
    for _ in range(STOP_TRIES):
        if _ends(thread, STOP_WAIT):
            return
    threading.Thread(target=_stop_later, args=(thread,), daemon=True).start()


def _stop_later(thread: threading.Thread) -> None:
    while not _ends(thread, STOP_WAIT_LATER):
        pass


def _ends(thread: threading.Thread, seconds: float) -> bool:
    """Tell a thread to stop, and return whether it has after so many seconds."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(_TimeIsUp))
    thread.join(seconds)
    return not thread.is_alive()


class _Silence:
    """A `sys.unraisablehook` that says nothing of stops; of all else it lets `report` say what it says.

    A stop that falls into a destructor or into a callback of the garbage collector is lost there, and Python would
    print so. The next one comes anyway.
    """

    def __init__(self, report: Callable) -> None:
        self.report = report

    def __call__(self, lost: "sys.UnraisableHookArgs") -> None:
        if lost.exc_type is not _TimeIsUp:
            self.report(lost)


def _sentence(error: BaseException, function: Callable) -> str:
    """An exception in one line, with the line of the learner's code that it left."""
    if isinstance(error, NotImplementedError):
        return "It is not written yet: it raises NotImplementedError."
    if isinstance(error, SystemExit):
        return "It ends the program with exit() instead of returning a value."
    if isinstance(error, RecursionError):
        return "It calls itself without end (RecursionError)."
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
    line = linecache.getline(mine[-1].filename, mine[-1].lineno).strip()
    return f" in the line `{line}`" if line else ""


def _same(before: object, after: object) -> bool:
    if isinstance(before, torch.Tensor):
        return before.shape == after.shape and torch.equal(before, after)
    if isinstance(before, np.ndarray):
        return np.array_equal(before, after)
    return before == after
