"""Answers: what a learner's function returned, read as numbers, however it was written.

Tensors, NumPy arrays, nested lists, lists of tensors: all are the same answer. What is no answer gets its sentence.
"""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from frcnn_edu.exercises.running import Problem

Read = TypeVar("Read")

MISSING = (
    "It returns None. Nothing wrong so far: it is your turn. If you have written it, is its last line a `return`, "
    "and does every path through it reach one?"
)


def as_numbers(answer: object) -> Tensor:
    """The answer as float64 numbers, whatever its shape. Raises Problem where it holds none."""
    if answer is None:
        raise Problem(MISSING)
    if isinstance(answer, str | bytes | dict | set) or callable(answer):
        raise Problem(f"It returns a {type(answer).__name__}; it should return one tensor of numbers.")
    if hasattr(answer, "__next__"):
        raise Problem("It returns a generator, which has computed nothing yet; make a list or a tensor of it.")
    try:
        array = np.asarray(_plain(answer))
    except ValueError:
        raise Problem("It returns rows of different lengths, which make no tensor.") from None
    except (TypeError, RuntimeError):  # a sparse tensor, say
        raise Problem(f"It returns something that cannot be read as a tensor of numbers: {_short(answer)}.") from None
    if array.dtype.kind not in "fiub":
        raise Problem(f"It returns something that cannot be read as a tensor of numbers: {_short(answer)}.")
    if array.dtype.kind == "b":
        raise Problem("It returns True and False, where numbers are due. Was a comparison returned?")
    numbers = torch.from_numpy(array.astype(np.float64))
    if not numbers.isfinite().all():
        raise Problem("It returns NaN or infinity somewhere. Is there a division by 0, or a root or log of a negative?")
    return numbers


def read_with(read: Callable[[object], Read], answer: object) -> Read:
    """What `read` makes of an answer; raises Problem, too, where the answer's own methods fail while it is read."""
    try:
        return read(answer)
    except Problem:
        raise
    except Exception:  # a length, an element, a repr may raise anything, and lists may be nested without end
        raise Problem(
            f"It returns a {type(answer).__name__} that cannot be read; it should return one tensor of numbers."
        ) from None


def kind_of(answer: object) -> str:
    """The dtype of a tensor or an array as a word, such as "float32" or "int64"; empty for lists."""
    return str(getattr(answer, "dtype", "")).removeprefix("torch.")


def integer_remedy(answer: object) -> str:
    """What makes integers of an answer that has been read and holds floats; nothing where it holds none."""
    if isinstance(answer, Tensor):
        return "make it torch.int64, with .long()" if answer.is_floating_point() and answer.numel() > 0 else ""
    values = np.asarray(_plain(answer))
    if values.dtype.kind != "f" or values.size == 0:
        return ""
    if isinstance(answer, np.ndarray | np.generic):
        return "make it np.int64, with .astype(np.int64)"
    return "make an int of each, with int(...)"


def _plain(answer: object) -> object:
    """Tensors inside of lists as plain numbers, so that numpy can join them."""
    if isinstance(answer, Tensor):
        if answer.device.type != "cpu":
            raise Problem(
                f"It returns a tensor on {answer.device}, but what it was given lies on the CPU: "
                "make new tensors on the device of the arguments, with device=x.device for an argument x."
            )
        return answer.detach().cpu().double().numpy() if answer.is_floating_point() else answer.detach().cpu().numpy()
    if isinstance(answer, list | tuple):
        parts = [_plain(part) for part in answer]
        if len({np.shape(part) for part in parts}) > 1:
            raise ValueError("ragged")
        return np.array(parts)
    return answer


def _short(answer: object) -> str:
    text = " ".join(repr(answer).split())
    return text if len(text) <= 60 else text[:57] + "..."
