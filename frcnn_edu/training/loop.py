"""Training: the loop, and detecting on a whole data set.

A step is determined by (seed, step) alone: which images it takes, how they are augmented, which anchors are sampled.
So a run that was killed and resumed ends with the weights of an uninterrupted one, bit for bit on a CPU.

Under ``torchrun`` every process takes its share of each batch. Gradients are averaged, and losses are divided by the
number of samples of all processes, so two processes take the step that one would take with the whole batch.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from traceback import clear_frames
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from tqdm.auto import tqdm

from frcnn_edu.faster_rcnn import FasterRCNN
from frcnn_edu.training import metrics
from frcnn_edu.training.batches import (
    UNREADABLE,
    Augment,
    LabelledImages,
    batches_of,
    check_batches,
    image_names,
    seed_of,
)
from frcnn_edu.training.checkpoints import History, Keeper, ModelCard, Recipe
from frcnn_edu.training.distributed import rank, replicate, world_size
from frcnn_edu.training.interrupts import deferred, terminating
from frcnn_edu.training.symptoms import STEPS_WITHOUT_POSITIVES, Symptom, of_losses, of_map, symptom


def train(
    model: FasterRCNN,
    dataset: LabelledImages,
    recipe: Recipe,
    out: str | Path | None = None,
    card: ModelCard | None = None,
    resume: bool = False,
    checkpoint_every: int = 100,
    augment: Augment | None = None,
    workers: int = 0,
    measure: Callable[[FasterRCNN], float] | None = None,
    measure_every: int | None = None,
    on_step: Callable[[int, FasterRCNN, History], None] | None = None,
    progress: bool = True,
) -> History:
    """Train `model` in place, on the device it is on, and return the losses.

    `dataset` gives (image, target) pairs, and `augment` changes one. With `out`, which needs a `card`, a checkpoint is
    written before the first step, every `checkpoint_every` steps, at the end, and when the training ends early, whether
    by an error or by a signal such as Ctrl-C; `resume` goes on from the newest. `measure` returns the mAP, every
    `measure_every` steps and at the end; the best weights are kept in ``best``. `on_step` is called after each step
    with the number of steps done.
    Raises CheckpointError, ValueError or OSError before the first step if the training could not end well, and
    FloatingPointError if the loss or its gradient is no longer finite. A note on the error says what was saved.
    Prints the row of `symptoms` of a training without positives, or with an mAP near 0 at the end.
    """
    if out is not None and card is None:
        raise ValueError("checkpoints need a card: what to build when they are loaded")
    for name, number in {"checkpoint_every": checkpoint_every, "measure_every": measure_every}.items():
        if number is not None and number < 1:
            raise ValueError(f"{name} counts steps and must be at least 1, got {number}")
    check_batches(dataset, recipe)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    keeper = Keeper(Path(out), card, recipe, len(dataset)) if out is not None and card is not None else None
    done, history = keeper.start(model, optimizer, resume) if keeper else (0, History())
    batches = batches_of(dataset, recipe, done, augment, workers)
    bar = tqdm(total=recipe.steps, initial=done, desc="training", disable=not progress or rank() > 0)
    whole = True  # no step is half done
    with terminating() if keeper else nullcontext():
        try:
            replica = replicate(model)
            for step, (images, targets) in zip(range(done, recipe.steps), batches, strict=True):
                with deferred():
                    losses = loss_gradients(replica.train(), optimizer, recipe, step, images, targets)
                    whole = False
                    optimizer.step()
                    history.add(losses)
                    done, whole = step + 1, True
                last = done == recipe.steps
                bar.set_postfix({name.removeprefix("loss_"): f"{value:.3f}" for name, value in losses.items()})
                bar.update()
                if measure and (last or done % (measure_every or recipe.steps) == 0):
                    history.measured[done] = measure(model)
                    if keeper and history.best == done:
                        keeper.save_best(model, done, history)
                if keeper and (last or done % checkpoint_every == 0):
                    keeper.save(model, optimizer, done, history)
                if done % STEPS_WITHOUT_POSITIVES == 0:
                    _point_to(of_losses(history.losses))
                if on_step:
                    on_step(done, model, history)
        except BaseException as error:
            bar.close()
            if isinstance(error, FloatingPointError):
                error.add_note(f"this was step {done + 1}, with {', '.join(image_names(dataset, recipe, done))}")
                error.add_note(f"to tell the causes apart: {symptom('nan').check}")
            with deferred(handle=False):  # the training ends already
                if workers:
                    clear_frames(error.__traceback__)  # the loader ends its processes here, and not at some later time
                    batches.close()
                if keeper:
                    error.add_note(keeper.rescue(model, optimizer, done, history, whole))
            raise
        finally:
            bar.close()
            if keeper:
                keeper.close()
            model.eval()
    _point_to(of_map(history.measured.get(done, math.nan)))
    return history


def _point_to(seen: Symptom | None) -> None:
    if seen and rank() == 0:
        tqdm.write(f"note: {seen}")


@torch.no_grad()
def detect(
    model: nn.Module, dataset: LabelledImages, batch_size: int = 8, progress: bool = True
) -> tuple[list[dict[str, Tensor]], list[dict[str, Tensor]]]:
    """The model's detections on the images of `dataset`, and the targets, both on the CPU and in its order.

    An image file that cannot be read is left out of both, with a printed line. Leaves the model in evaluation mode.
    Under ``torchrun`` every process detects on its share, and each of them gets all results.
    """
    model.eval()
    device = next(model.parameters()).device
    mine = range(rank(), len(dataset), world_size())
    starts, hidden = range(0, len(mine), batch_size), not progress or rank() > 0
    found = {}
    for start in tqdm(starts, desc="detecting", leave=False, disable=hidden):
        pairs = {}
        for index in mine[start : start + batch_size]:
            try:
                pairs[index] = dataset[index]
            except UNREADABLE as error:
                tqdm.write(f"left out: {error}")
        detections = model([image.to(device) for image, _ in pairs.values()]) if pairs else []
        for (index, (_, target)), detection in zip(pairs.items(), detections, strict=True):
            found[index] = {name: values.cpu() for name, values in detection.items()}, target
    if world_size() > 1:
        shares: list[Any] = [None] * world_size()
        dist.all_gather_object(shares, found)
        found = {index: pair for share in shares for index, pair in share.items()}
    ordered = [found[index] for index in sorted(found)]
    return [detection for detection, _ in ordered], [target for _, target in ordered]


def evaluate(
    model: nn.Module,
    dataset: LabelledImages,
    style: str = "voc",
    class_names: Sequence[str] | None = None,
    batch_size: int = 8,
    progress: bool = True,
) -> metrics.Evaluation:
    """Detect on every image of `dataset` and measure; see `metrics.evaluate`."""
    metrics.check_style(style)  # before the work
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
    """One step of the optimizer; returns its four losses. Raises FloatingPointError as `loss_gradients` does."""
    losses = loss_gradients(model, optimizer, recipe, step, images, targets)
    optimizer.step()
    return losses


def loss_gradients(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    step: int,
    images: list[Tensor],
    targets: list[dict[str, Tensor]],
) -> dict[str, float]:
    """Everything of a step before the weights change: the losses, the clipped gradients, the learning rate.

    What is sampled is determined by the recipe's seed and `step`. `model` may be torchvision's, which also returns
    losses for images and targets.
    Raises FloatingPointError if the loss or the gradient is not finite. After an error the model is as it was before.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    device = parameters[0].device
    torch.manual_seed(seed_of(recipe.seed, step, rank()))
    targets = [{name: values.to(device) for name, values in target.items()} for target in targets]
    averages = [(buffer, buffer.clone()) for buffer in _running_averages(model)]
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=computes_in_bfloat16(recipe, device)):
            losses = model([image.to(device) for image in images], targets)
        total = sum(losses.values())
        if not math.isfinite(total.item()):
            raise FloatingPointError(f"the loss is {total.item()}")
        optimizer.zero_grad()
        total.backward()
        norm = nn.utils.clip_grad_norm_(parameters, recipe.clip_norm).item()
        if not math.isfinite(norm):
            raise FloatingPointError(f"the norm of the gradient is {norm}")
    except BaseException:
        for buffer, before in averages:
            buffer.copy_(before)
        raise
    for group in optimizer.param_groups:
        group["lr"] = recipe.rate(step)
    return {name: value.item() for name, value in losses.items()}


def _running_averages(model: nn.Module) -> list[Tensor]:
    """The statistics that batch normalisation updates in every forward pass."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    return [buffer for norm in norms for buffer in norm.buffers()]


def computes_in_bfloat16(recipe: Recipe, device: torch.device) -> bool:
    """Whether steps of this recipe multiply in bfloat16 on this device, which never emulates it.

    Unless the recipe asks for it CPUs do not: on one with AVX-512's instructions for it, steps took 1.3 (`tiny`) to 1.7
    times (`resnet50_fpn`) as long as in float32.
    """
    if device.type == "cuda":
        return recipe.mixed_precision is not False and torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    native = device.type == "cpu" and (able.get("avx512_bf16", False) or able.get("amx_bf16", False))
    return recipe.mixed_precision is True and native
