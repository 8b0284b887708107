"""What crosses between the judge and a pupil: values as JSON, of which nothing is ever run, as a pickle's parts are."""

import base64
from typing import Any

import numpy as np
import torch

MOST_SENT = 16 * 2**20
"""Bytes of a message."""


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
        return {"tensor": str(value.dtype).removeprefix("torch."), "shape": list(value.shape), "data": text_of(data)}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
        array = np.asarray(value)
        return {"array": array.dtype.str, "shape": list(array.shape), "data": text_of(array.tobytes())}
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


def text_of(data: bytes) -> str:
    """Bytes as JSON can hold them."""
    return base64.b64encode(data).decode("ascii")
