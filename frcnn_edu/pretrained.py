"""Pretrained: other people's weights, through torchvision's hub and cache.

Weights have a name in torchvision, such as "COCO_V1", and a file of their own in the cache of ``torch.hub``: the folder
``hub/checkpoints`` in the one that the environment variable TORCH_HOME names, ``~/.cache/torch`` if there is none. What
lies there is loaded as it is, without a network; what does not is fetched once. Where neither works, one sentence says
what is missing, where it belongs, and what to do.

These files are pickles; PyTorch reads them with ``weights_only``: tensors, and nothing that runs.
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
    """Weights that are neither in the cache nor to be had; the message names the file and the remedy."""


def weights_of(network: str, name: str) -> WeightsEnum:
    """torchvision's entry for the weights `name` of a network of its own; raises ValueError where it has none such."""
    known = torchvision.models.get_model_weights(network)
    if name not in known.__members__:
        raise ValueError(f"{network} has no weights {name!r} in torchvision, but {', '.join(known.__members__)}")
    return known[name]


def coco_class_names() -> tuple[str, ...]:
    """The names of the 91 labels of the COCO detector; 11 are "background" or "N/A", numbers that COCO never used."""
    return tuple(weights_of(DETECTOR, "COCO_V1").meta["categories"])


def cached_file(network: str, name: str) -> Path:
    """Where these weights lie in the cache, or would lie."""
    return Path(torch.hub.get_dir()) / "checkpoints" / weights_of(network, name).url.rsplit("/", 1)[-1]


def require_cached(network: str, name: str) -> None:
    """Return if these weights are on this computer already; raises WeightsError that says so if they are not."""
    path = cached_file(network, name)
    if not path.exists():
        raise WeightsError(f"The weights {name} of {network} are not on this computer ({_shown(path)} is not there).")


def fetching(network: str, name: str | None) -> AbstractContextManager:
    """A block that reads these weights: what goes wrong in it becomes a WeightsError; without a name nothing does."""
    return _fetching(network, name) if name else nullcontext()


@contextmanager
def _fetching(network: str, name: str) -> Iterator[None]:
    path = cached_file(network, name)
    try:
        yield
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        if path.exists():
            remedy = f"{_shown(path)} is damaged, or another network's; remove it, and it is fetched anew"
        else:
            size = f"{weights_of(network, name).meta['_file_size']:.0f} MB"
            remedy = f"{_shown(path)} is not there, and cannot be fetched ({size}): connect once, or copy it there"
        raise WeightsError(f"{name} of {network}: {remedy}") from error


def _shown(path: Path) -> str:
    """The path with ~ for the home folder."""
    return str(Path("~") / path.relative_to(Path.home()) if path.is_relative_to(Path.home()) else path)
