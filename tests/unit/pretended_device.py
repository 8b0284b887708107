"""A device that is not there: tensors that say they are on "cuda:0" and hold their values in main memory.

Fake tensors stop where a shape depends on values (NMS, sampling, thresholds), and that is most of a detector. Here
every operator really runs, on the values behind the pretence, and wherever a pretended tensor meets a real one of the
CPU the mistake is reported, as a GPU would report it. What a real GPU allows stays allowed: numbers (tensors without
dimensions) and copies from one device to the other.

    with pretended_gpu():
        model = pretend(model)
        model([pretend(image)])

To PyTorch's own machinery a pretended tensor is on "meta", which takes part in autograd on every build; only who asks
for its `device` from outside hears "cuda:0", and who asks for a tensor there gets a pretended one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

GPU, STAND_IN = torch.device("cuda:0"), torch.device("meta")
COPIES = {torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default}
WANTS_ALL = {torch.ops.aten.cat.default, torch.ops.aten.stack.default, torch.ops.aten.index.Tensor}
"""Operators that refuse even numbers from another device."""

FROM_NUMBERS = {torch.tensor, torch.as_tensor, Tensor.new_tensor}
"""These fill a tensor without an operator that could be seen."""


class MixedDevicesError(RuntimeError):
    """A tensor on the pretended GPU met one on the CPU."""


class PretendedTensor(Tensor):
    """A tensor whose values lie in `inner`, on the CPU."""

    inner: Tensor

    @staticmethod
    def __new__(cls, real: Tensor) -> "PretendedTensor":
        layout = {"strides": real.stride(), "storage_offset": real.storage_offset(), "dtype": real.dtype}
        tensor = Tensor._make_wrapper_subclass(cls, real.shape, device=STAND_IN, **layout)
        tensor.inner = real
        return tensor

    @property
    def device(self) -> torch.device:
        return STAND_IN if _Devices.inside else GPU

    @property
    def is_cuda(self) -> bool:
        return True

    def tolist(self) -> Any:
        return self.inner.tolist()

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"Pretended{tuple(self.shape)}"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


class _Operators(TorchDispatchMode):
    """Sees every operator, also those that make a tensor from nothing."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


class _Devices(TorchFunctionMode):
    """Sees every call before PyTorch looks for a GPU that is not there."""

    inside = 0
    """Calls that are under way: what PyTorch's own Python asks then is answered as its machinery has it."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        args, kwargs = tree_map(stand_in, (args, kwargs or {}))
        if func in FROM_NUMBERS and (isinstance(args[0], PretendedTensor) or kwargs.get("device") == STAND_IN):
            like = args[0].inner if isinstance(args[0], PretendedTensor) else args[0]
            return PretendedTensor(func(like, *args[1:], **{**kwargs, "device": torch.device("cpu")}))
        _Devices.inside += 1
        try:
            return func(*args, **kwargs)
        finally:
            _Devices.inside -= 1


def stand_in(value: Any) -> Any:
    is_gpu = (isinstance(value, torch.device) and value.type == "cuda") or (
        isinstance(value, str) and value.split(":")[0] == "cuda"
    )
    return STAND_IN if is_gpu else value


def run(func, args: tuple, kwargs: dict) -> Any:
    """The operator on the values, if its tensors are on one device; its results pretend where they should."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    pretended = [isinstance(one, PretendedTensor) for one in tensors]
    strangers = [one for one in tensors if not isinstance(one, PretendedTensor)]
    assert not any(one.device == STAND_IN for one in strangers), f"{func} on a tensor without values behind it"
    too_many = [one for one in strangers if one.ndim > 0 or func in WANTS_ALL]
    if any(pretended) and too_many and func not in COPIES:
        raise MixedDevicesError(f"{func} on {[(tuple(one.shape), str(one.device)) for one in tensors]}")
    target = kwargs.get("device")
    to_gpu = target == STAND_IN if target is not None else any(pretended)
    if func is torch.ops.aten.copy_.default:
        to_gpu = pretended[0]
    real_args, real_kwargs = tree_map(lambda x: x.inner if isinstance(x, PretendedTensor) else x, (args, kwargs))
    if target == STAND_IN:
        real_kwargs["device"] = torch.device("cpu")
    result = func(*real_args, **real_kwargs)
    if not to_gpu:
        return result
    result = tree_map(lambda x: PretendedTensor(x) if isinstance(x, Tensor) else x, result)
    return return_and_correct_aliasing(func, args, kwargs, result) if any(pretended) else result


@contextmanager
def pretended_gpu() -> Iterator[None]:
    """Within, tensors asked for on "cuda" are pretended ones, and no operator may mix them with others."""
    with _Devices(), _Operators():
        yield


def pretend(thing: Any) -> Any:
    """A tensor, or tensors in a list or dict, or a module (changed in place), moved to the pretended GPU."""
    if not isinstance(thing, nn.Module):
        return tree_map(lambda x: PretendedTensor(x) if isinstance(x, Tensor) else x, thing)
    for module in thing.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                moved = PretendedTensor(parameter.detach())
                module._parameters[name] = nn.Parameter(moved, requires_grad=parameter.requires_grad)
        for name, buffer in module._buffers.items():
            module._buffers[name] = buffer if buffer is None else PretendedTensor(buffer)
    return thing
