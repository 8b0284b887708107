"""Batches: which images a step takes, and how each is augmented.

Both are determined by (seed, step) alone, whichever process loads an image and when, so a resumed run takes the batches
of an uninterrupted one. An image file that cannot be read is left out, named and counted; the next one of the epoch
takes its place.
"""

import sys
import time
from collections.abc import Callable, Generator
from functools import lru_cache
from types import TracebackType
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from frcnn_edu.boxes import clip_boxes, remove_small_boxes
from frcnn_edu.datasets.annotations import SMALLEST_SIDE
from frcnn_edu.datasets.image_files import ImageError
from frcnn_edu.training.checkpoints import Recipe
from frcnn_edu.training.distributed import rank, world_size

Target = dict[str, Tensor]
Augment = Callable[[Tensor, Target], tuple[Tensor, Target]]


class LabelledImages(Protocol):
    """A data set: each item is an image, (3, H, W) in [0, 1], and its target."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Tensor, Target]: ...


UNREADABLE = (ImageError, OSError)
"""What a data set raises for an image file that is missing or damaged."""

SECONDS_TO_END = 5.0
"""How long a worker process may take to end after its connection is closed; waited only if it does not end."""


class Slot(NamedTuple):
    """One place in a batch: the position of its image in the walk through the data set, and the augmentation's seed."""

    position: int
    seed: int


def batches_of(
    dataset: LabelledImages, recipe: Recipe, start: int = 0, augment: Augment | None = None, workers: int = 0
) -> Generator[tuple[list[Tensor], list[Target]], None, None]:
    """This process's share of every batch from step `start` on, determined by the recipe's seed.

    Raises ValueError for an empty data set or a batch that the processes cannot share evenly.
    """
    check_batches(dataset, recipe)
    shares = (plan(recipe, step)[rank() :: world_size()] for step in range(start, recipe.steps))
    items = _Items(dataset, recipe.seed, augment)
    loader = DataLoader(
        items, batch_sampler=shares, num_workers=workers, collate_fn=_columns, worker_init_fn=_quiet_transfers
    )
    return _report_unreadable(loader)


def check_batches(dataset: LabelledImages, recipe: Recipe) -> None:
    """Return if the data set can be trained on with this recipe; raises the ValueError of `batches_of` if not."""
    if len(dataset) == 0:
        raise ValueError("the data set is empty: there is nothing to train on")
    if recipe.batch_size % world_size():
        raise ValueError(f"batch_size {recipe.batch_size} does not divide among {world_size()} processes")


def plan(recipe: Recipe, step: int) -> list[Slot]:
    """The slots of the batch of one step, over all processes."""
    first = step * recipe.batch_size
    return [Slot(first + slot, seed_of(recipe.seed, step, slot)) for slot in range(recipe.batch_size)]


def image_names(dataset: LabelledImages, recipe: Recipe, step: int) -> list[str]:
    """What the images of a step are called: their files if the data set has a `path`, else their numbers."""
    indices = [_image_index(len(dataset), recipe.seed, slot.position) for slot in plan(recipe, step)]
    return [str(dataset.path(index)) if hasattr(dataset, "path") else f"image {index}" for index in indices]


def seed_of(*parts: int) -> int:
    """One seed made of several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


class _Items(Dataset):
    """Items by `Slot`: an image, its target, and the messages about images that could not be read."""

    def __init__(self, dataset: LabelledImages, seed: int, augment: Augment | None) -> None:
        self.dataset, self.seed, self.augment = dataset, seed, augment

    def __getitem__(self, slot: Slot) -> tuple[Tensor, Target, list[str]]:
        image, target, problems = self._next_readable(slot.position)
        if self.augment is None:
            return image, target, problems
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(slot.seed)
            image, target = self.augment(image, target)
        return image, _without_flat_boxes(image, target), problems

    def _next_readable(self, position: int) -> tuple[Tensor, Target, list[str]]:
        problems: list[str] = []
        length = len(self.dataset)
        for offset in range(2 * length):  # any so many positions hold a whole epoch
            try:
                image, target = self.dataset[_image_index(length, self.seed, position + offset)]
                return image, target, problems
            except UNREADABLE as error:
                problems.append(str(error))
        raise ValueError(f"no image of the data set can be read; {problems[0]}")


def _without_flat_boxes(image: Tensor, target: Target) -> Target:
    """The target with its boxes clipped to the image, without those that are then outside it or have no area."""
    height, width = image.shape[-2:]
    boxes = clip_boxes(target["boxes"], (height, width))  # (N, 4)
    kept = remove_small_boxes(boxes, SMALLEST_SIDE)  # (K,)
    clipped = target | {"boxes": boxes}
    return {name: values[kept] if values.shape[:1] == boxes.shape[:1] else values for name, values in clipped.items()}


def _columns(items: list[tuple[Tensor, Target, list[str]]]) -> tuple[list[Tensor], list[Target], list[str]]:
    images, targets, problems = zip(*items, strict=True)
    return list(images), list(targets), [problem for of_item in problems for problem in of_item]


def _quiet_transfers(_worker: int) -> None:
    """In a worker process: print nothing when the training process ends in the middle of a transfer.

    A thread of multiprocessing hands out the batches' memory, and prints a traceback if the other side has gone.
    """
    printed = sys.excepthook

    def unless_gone(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, ConnectionError | EOFError):
            printed(kind, error, trace)

    sys.excepthook = unless_gone


def _report_unreadable(batches: DataLoader) -> Generator[tuple[list[Tensor], list[Target]], None, None]:
    """The images and targets of each batch; every image left out is printed once.

    Raises RuntimeError, as a DataLoader does, if a worker process has died in the middle of a transfer.
    """
    reported = set()
    loaded = iter(batches)
    while True:
        try:
            images, targets, problems = next(loaded)
        except StopIteration:
            return
        except (OSError, EOFError) as error:  # no image file: those are left out
            # The connection is closed before the process has ended. Its end is a signal, on which PyTorch raises an
            # error wherever the program is: here, and not in the loader's clearing up, whose errors are only printed.
            time.sleep(SECONDS_TO_END)
            raise RuntimeError(f"a DataLoader worker has ended: {error}") from error
        for problem in problems:
            if problem not in reported:
                reported.add(problem)
                tqdm.write(f"left out ({len(reported)} so far): {problem}")
        yield images, targets


def _image_index(length: int, seed: int, position: int) -> int:
    """The index at one position of an endless walk through a data set of `length` images."""
    return int(_epoch_order(length, seed, position // length)[position % length])


@lru_cache(maxsize=2)
def _epoch_order(length: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(length)
