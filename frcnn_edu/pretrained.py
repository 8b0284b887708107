"""Pretrained weights: torchvision's, through the cache of ``torch.hub``.

Weights have a name in torchvision, such as "COCO_V1", and a file in the folder ``hub/checkpoints`` of the folder that
the environment variable TORCH_HOME names, by default ``~/.cache/torch``. A file found there is loaded without a
network; otherwise it is downloaded once. Where neither works, a WeightsError says which file is missing, where it
belongs, and what to do.

These files are pickles; PyTorch reads them with ``weights_only``, which loads tensors and runs no code.
"""

import pickle
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
import torchvision
from torchvision.models import WeightsEnum

DETECTOR = "fasterrcnn_resnet50_fpn"


class WeightsError(OSError):
    """Weights that are not cached and not downloadable; the message names the file and what to do."""


def weights_of(network: str, name: str) -> WeightsEnum:
    """torchvision's entry for the weights `name` of one of its networks; raises ValueError for an unknown name."""
    known = torchvision.models.get_model_weights(network)
    if name not in known.__members__:
        raise ValueError(f"torchvision has no weights {name!r} of {network}; it has {', '.join(known.__members__)}")
    return known[name]


def coco_class_names() -> tuple[str, ...]:
    """The names of the 91 labels of the COCO detector; 11 are "background" or "N/A", numbers that COCO never used."""
    return tuple(weights_of(DETECTOR, "COCO_V1").meta["categories"])


def cached_file(network: str, name: str) -> Path:
    """The path of these weights in the cache, whether they are there or not."""
    return Path(torch.hub.get_dir()) / "checkpoints" / weights_of(network, name).url.rsplit("/", 1)[-1]


def require_cached(network: str, name: str) -> None:
    """Raise WeightsError unless these weights are in the cache."""
    path = cached_file(network, name)
    if not path.exists():
        raise WeightsError(f"The weights {name} of {network} are not on this computer ({_shown(path)} does not exist).")


def fetching(network: str, name: str | None) -> AbstractContextManager:
    """A context for loading these weights, in which failures become a WeightsError; without a name it does nothing."""
    return _fetching(network, name) if name else nullcontext()


@contextmanager
def _fetching(network: str, name: str) -> Iterator[None]:
    path = cached_file(network, name)
    try:
        yield
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        if path.exists():
            remedy = f"{_shown(path)} is damaged or belongs to another network; remove it to download it again"
        else:
            size = f"{weights_of(network, name).meta['_file_size']:.0f} MB"
            remedy = f"{_shown(path)} does not exist and cannot be downloaded ({size}): go online, or copy it there"
        raise WeightsError(f"{name} of {network}: {remedy}") from error


def _shown(path: Path) -> str:
    """The path with ~ for the home folder."""
    return str(Path("~") / path.relative_to(Path.home()) if path.is_relative_to(Path.home()) else path)
