"""How a command reports an error: in one line that says what happened, what is saved, and what to try next."""

import errno
import sys

FAILED, SIGNALLED = 1, 128
"""Exit statuses: of a command that failed, and, with the signal's number added, of one that a signal ended."""

EXPECTED = (ValueError, TypeError, OSError, ArithmeticError, ImportError, RuntimeError, MemoryError)
"""What ends a command in one line; any other error is a fault of the program and shows its traceback."""


def show_plainly(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning as a note; stands in for `warnings.showwarning`."""
    print(f"note: {message}", file=sys.stderr)


def complain(command: str, error: BaseException) -> None:
    """Print one line: what happened, what is saved, and what to try next."""
    parts = [sentence_of(error), *getattr(error, "__notes__", []), advice(command, error)]
    print(f"frcnn-edu {command}: {'; '.join(part for part in parts if part)}", file=sys.stderr)


def sentence_of(error: BaseException) -> str:
    """What an error says, in one line where PyTorch or the operating system says it in several."""
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "stopped by Ctrl-C"
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"the package {error.name} is not installed: pip install {error.name}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    text = str(error).strip() or type(error).__name__
    if text.startswith("Caught "):  # in a worker process: a traceback, and the error in its last line
        return text.splitlines()[-1]
    return text.splitlines()[0] if isinstance(error, RuntimeError) else text


def advice(command: str, error: BaseException) -> str:
    """What to try next, where that is known."""
    text = str(error)
    if isinstance(error, FloatingPointError) and command == "train":
        return "begin again in another --out with a lower --learning-rate, a longer --warmup or a smaller --clip-norm"
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
        return "give a smaller --batch-size, or smaller images with --option max_size=800 and a smaller min_size"
    if "DataLoader worker" in text:
        return "the computer may be short of memory: give fewer --workers, or 0 to load images in the training process"
    if isinstance(error, OSError) and (error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in text):
        return "free some space first"
    return ""
