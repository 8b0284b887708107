"""Interrupts: a signal ends a training between two steps, and never within one.

Ctrl-C, a request to terminate (from ``kill``, a scheduler or a shutdown) and a closed terminal all raise
KeyboardInterrupt, so that the training can save what it has learned.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType


def _known(*names: str) -> list[signal.Signals]:
    """The signals that this operating system has."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


TERMINATING = _known("SIGTERM", "SIGHUP", "SIGBREAK")
DEFERRED = [*_known("SIGINT", "SIGCHLD"), *TERMINATING]
"""SIGCHLD is how a DataLoader learns that a worker process died; it then raises RuntimeError."""


class Terminated(KeyboardInterrupt):
    """The process was asked to terminate; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


@contextmanager
def terminating() -> Iterator[None]:
    """Within the block, a signal that would terminate the process raises `Terminated` instead.

    Signals that are ignored or already handled stay as they are. Does nothing off the main thread.
    """
    if current_thread() is not main_thread():
        yield
        return
    taken = [number for number in TERMINATING if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _terminate)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def deferred(handle: bool = True) -> Iterator[None]:
    """Signals that arrive within the block are handled at its end, or, without `handle`, not at all.

    Does nothing off the main thread.
    """
    if current_thread() is not main_thread():
        yield
        return
    arrived: list[int] = []
    handlers = {number: signal.getsignal(number) for number in DEFERRED}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in handlers:
        signal.signal(number, lambda number, _frame: arrived.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for signum in arrived if handle else ():
        signal.raise_signal(signum)


def _terminate(number: int, _frame: FrameType | None) -> None:
    raise Terminated(number)
