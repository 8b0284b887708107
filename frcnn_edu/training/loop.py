"""Training: the loop, its checkpoints, and how to come back from any of them.

A step is determined by (seed, step) alone: which images it takes, how they are augmented, which anchors are sampled.
So a run that was killed and resumed ends with the weights of an undisturbed one, to the bit on a CPU.

Under ``torchrun`` every process takes its share of each batch; gradients are averaged and the losses are divided by
the number of samples of all processes, so that two processes take the step that one would take with the joined batch.
"""

import math
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from threading import current_thread, main_thread

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from frcnn_edu.faster_rcnn import FasterRCNN
from frcnn_edu.training import metrics
from frcnn_edu.training.checkpoints import History, Keeper, ModelCard, Recipe
from frcnn_edu.training.distributed import rank, replicate, world_size


def train(
    model: FasterRCNN,
    dataset: Dataset,
    recipe: Recipe,
    out: str | Path | None = None,
    card: ModelCard | None = None,
    resume: bool = False,
    checkpoint_every: int = 100,
    augment: Callable | None = None,
    workers: int = 0,
    on_step: Callable[[int, FasterRCNN, History], None] | None = None,
    progress: bool = True,
) -> History:
    """Train `model` in place, on the device it is on, and return the losses.

    `dataset` gives (image, target), `augment` changes such a pair. With `out` (which needs a `card`) a checkpoint is
    written before the first step, every `checkpoint_every` steps, at the end, and on Ctrl-C, which waits for the end of
    the step; `resume` goes on from the newest. `on_step` is called after each step with the steps done.
    Raises CheckpointError, ValueError or OSError before the first step where it could not end well.
    """
    if out is not None and card is None:
        raise ValueError("checkpoints need a card: what to build when they are loaded")
    if checkpoint_every < 1:
        raise ValueError(f"checkpoint_every counts steps, at least 1; got {checkpoint_every}")
    _check_batches(dataset, recipe)
    keeper = Keeper(Path(out), card, recipe) if out is not None else None
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    done, history = keeper.start(model, optimizer, resume) if keeper else (0, History())
    replica = replicate(model)
    batches = batches_of(dataset, recipe, done, augment, workers)
    bar = tqdm(total=recipe.steps, initial=done, desc="training", disable=not progress or rank() > 0)
    whole = True  # and no step is half done
    try:
        for step, (images, targets) in zip(range(done, recipe.steps), batches, strict=True):
            with _uninterrupted():
                whole = False
                history.add(train_step(replica.train(), optimizer, recipe, step, images, targets))
                done, whole = step + 1, True
            bar.set_postfix(
                {name.removeprefix("loss_"): f"{values[-1]:.3f}" for name, values in history.losses.items()}
            )
            bar.update()
            if keeper and (done % checkpoint_every == 0 or done == recipe.steps):
                keeper.save(model, optimizer, done, history)
            if on_step:
                on_step(done, model, history)
    except KeyboardInterrupt:
        if keeper and whole:
            keeper.save(model, optimizer, done, history)
            bar.write(
                f"stopped after step {done} of {recipe.steps}; saved in {out}; the same command with --resume goes on"
            )
        raise
    finally:
        bar.close()
        model.eval()
    return history


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits for the end of this block, for weights in the middle of a step are worth nothing.

    Whoever handles Ctrl-C otherwise, or does not run in the main thread, is left alone.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler or current_thread() is not main_thread():
        yield
        return
    came = []
    signal.signal(signal.SIGINT, lambda *interrupt: came.append(interrupt))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if came:
        raise KeyboardInterrupt


@torch.no_grad()
def detect(
    model: FasterRCNN, dataset: Dataset, batch_size: int = 8, progress: bool = True
) -> tuple[list[dict[str, Tensor]], list[dict[str, Tensor]]]:
    """The model's detections on every image of `dataset`, and the targets, both on the CPU and in its order.

    Leaves the model in evaluation mode. Under ``torchrun`` every process detects on its share and all get the whole.
    """
    model.eval()
    device = next(model.parameters()).device
    mine = range(rank(), len(dataset), world_size())
    found = {}
    for start in tqdm(range(0, len(mine), batch_size), desc="detecting", disable=not progress or rank() > 0):
        indices = mine[start : start + batch_size]
        pairs = [dataset[index] for index in indices]
        detections = model([image.to(device) for image, _ in pairs])
        for index, (_, target), detection in zip(indices, pairs, detections, strict=True):
            found[index] = {name: values.cpu() for name, values in detection.items()}, target
    if world_size() > 1:
        shares = [None] * world_size()
        dist.all_gather_object(shares, found)
        found = {index: pair for share in shares for index, pair in share.items()}
    ordered = [found[index] for index in range(len(dataset))]
    return [detection for detection, _ in ordered], [target for _, target in ordered]


def evaluate(
    model: FasterRCNN,
    dataset: Dataset,
    style: str = "voc",
    class_names: Sequence[str] | None = None,
    batch_size: int = 8,
    progress: bool = True,
) -> metrics.Evaluation:
    """Detect on every image of `dataset` and measure; see `metrics.evaluate`."""
    detections, targets = detect(model, dataset, batch_size, progress)
    return metrics.evaluate(detections, targets, style=style, class_names=class_names)


def train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    step: int,
    images: list[Tensor],
    targets: list[dict[str, Tensor]],
) -> dict[str, float]:
    """One step of the optimizer, and its four losses. What is sampled is determined by the recipe's seed and `step`.

    `model` may be torchvision's: it too takes images and targets, and answers with losses.
    Raises FloatingPointError where the loss is no longer a number.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    device = parameters[0].device
    torch.manual_seed(_seed(recipe.seed, step, rank()))
    targets = [{name: values.to(device) for name, values in target.items()} for target in targets]
    with _mixed_precision(device) if recipe.mixed_precision else nullcontext():
        losses = model([image.to(device) for image in images], targets)
    total = sum(losses.values())
    if not math.isfinite(total.item()):
        raise FloatingPointError(f"the loss of step {step} is {total.item()}: lower the learning rate")
    optimizer.zero_grad()
    total.backward()
    nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
    for group in optimizer.param_groups:
        group["lr"] = recipe.rate(step)
    optimizer.step()
    return {name: value.item() for name, value in losses.items()}


class _Augmented(Dataset):
    """Items by (index, seed): whichever process loads an item, and when, it is augmented alike."""

    def __init__(self, dataset: Dataset, augment: Callable | None) -> None:
        self.dataset, self.augment = dataset, augment

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, dict[str, Tensor]]:
        index, seed = key
        image, target = self.dataset[index]
        if self.augment is None:
            return image, target
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.augment(image, target)


def batches_of(
    dataset: Dataset, recipe: Recipe, start: int = 0, augment: Callable | None = None, workers: int = 0
) -> Iterator[tuple[list[Tensor], list[dict[str, Tensor]]]]:
    """This process's share of every batch from step `start` on, determined by the recipe's seed.

    Raises ValueError for an empty data set, or a batch that the processes cannot share evenly.
    """
    _check_batches(dataset, recipe)
    shares = (batch[rank() :: world_size()] for batch in _plan(len(dataset), recipe, start))
    return iter(
        DataLoader(_Augmented(dataset, augment), batch_sampler=shares, num_workers=workers, collate_fn=_columns)
    )


def _check_batches(dataset: Dataset, recipe: Recipe) -> None:
    if len(dataset) == 0:
        raise ValueError("the data set is empty: there is nothing to train on")
    if recipe.batch_size % world_size():
        raise ValueError(f"batch_size {recipe.batch_size} does not divide among {world_size()} processes")


def _plan(length: int, recipe: Recipe, start: int) -> Iterator[list[tuple[int, int]]]:
    """(image, seed) for every slot of every batch: the data set is walked through in a new order each time round."""

    @lru_cache(maxsize=2)
    def order(turn: int) -> np.ndarray:
        return np.random.default_rng((recipe.seed, turn)).permutation(length)

    for step in range(start, recipe.steps):
        positions = range(step * recipe.batch_size, (step + 1) * recipe.batch_size)
        images = [int(order(position // length)[position % length]) for position in positions]
        yield [(image, _seed(recipe.seed, step, slot)) for slot, image in enumerate(images)]


def _columns(pairs: list[tuple[Tensor, dict[str, Tensor]]]) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    images, targets = zip(*pairs, strict=True)
    return list(images), list(targets)


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def _mixed_precision(device: torch.device) -> torch.autocast | nullcontext:
    """bfloat16 on hardware that multiplies it natively, where it halves the time: newer GPUs, and some CPUs."""
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        able = torch.cpu.get_capabilities()
        native = device.type == "cpu" and (able.get("avx512_bf16", False) or able.get("amx_bf16", False))
    return torch.autocast(device.type, torch.bfloat16) if native else nullcontext()
