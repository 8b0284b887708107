"""Answers: what a learner's function returned, read as numbers.

Tensors, NumPy arrays, nested lists and lists of tensors all count as the same answer. Anything else raises a Problem
that says what it is.
"""

from collections.abc import Callable
from typing import Any, TypeVar

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
    """The answer as float64 numbers, whatever its shape; raises Problem if it holds anything else."""
    if answer is None:
        raise Problem(MISSING)
    if isinstance(answer, str | bytes | dict | set) or callable(answer):
        raise Problem(f"It returns a {type(answer).__name__}; it should return one tensor of numbers.")
    if hasattr(answer, "__next__"):
        raise Problem("It returns a generator, which has not computed anything yet: make it a list or a tensor.")
    try:
        array = np.asarray(_plain(answer))
    except ValueError:
        raise Problem("It returns rows of different lengths, which do not fit into a tensor.") from None
    except (TypeError, RuntimeError):  # a sparse tensor, for example
        raise Problem(f"It returns something that cannot be read as a tensor of numbers: {_short(answer)}.") from None
    if array.dtype.kind not in "fiub":
        raise Problem(f"It returns something that cannot be read as a tensor of numbers: {_short(answer)}.")
    if array.dtype.kind == "b":
        raise Problem("It returns True and False instead of numbers. Does it return a comparison?")
    numbers = torch.from_numpy(array.astype(np.float64))
    if not numbers.isfinite().all():
        raise Problem("It returns NaN or infinity somewhere. Is there a division by 0, or a root or log of a negative?")
    return numbers


def read_with(read: Callable[[object], Read], answer: object) -> Read:
    """`read(answer)`; raises Problem for any exception, since the answer's own methods may fail while it is read."""
    try:
        return read(answer)
    except Problem:
        raise
    except Exception:  # from __len__, __iter__ or __repr__, or for lists nested too deep
        raise Problem(
            f"It returns a {type(answer).__name__} that cannot be read; it should return one tensor of numbers."
        ) from None


def kind_of(answer: object) -> str:
    """The dtype of a tensor or an array, such as "float32" or "int64"; "" for lists."""
    return str(getattr(answer, "dtype", "")).removeprefix("torch.")


def integer_remedy(answer: object) -> str:
    """How to turn an answer of floats into integers; "" if it holds none."""
    if isinstance(answer, Tensor):
        return "make it torch.int64, with .long()" if answer.is_floating_point() and answer.numel() > 0 else ""
    values = np.asarray(_plain(answer))
    if values.dtype.kind != "f" or values.size == 0:
        return ""
    if isinstance(answer, np.ndarray | np.generic):
        return "make it np.int64, with .astype(np.int64)"
    return "make an int of each, with int(...)"


def _plain(answer: object) -> Any:
    """The answer with the tensors in it as arrays, so that NumPy can join them."""
    if isinstance(answer, Tensor):
        if answer.device.type != "cpu":
            raise Problem(
                f"It returns a tensor on {answer.device}, but its arguments are on the CPU: "
                "create tensors on the device of an argument x, with device=x.device."
            )
        return answer.detach().double().numpy() if answer.is_floating_point() else answer.detach().numpy()
    if isinstance(answer, list | tuple):
        parts = [_plain(part) for part in answer]
        if len({np.shape(part) for part in parts}) > 1:
            raise ValueError("ragged")
        return np.array(parts)
    return answer


def _short(answer: object) -> str:
    text = " ".join(repr(answer).split())
    return text if len(text) <= 60 else text[:57] + "..."
