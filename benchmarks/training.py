"""``python -m benchmarks.training``: train ours and torchvision's detector on shapes, step by step.

Both start from the same weights and get the same batches, ours first in every other step; the loop is the package's
own. Every few steps both are evaluated on unseen scenes, which does not count as training time.
"""

import argparse
import time
from functools import partial
from statistics import median

import torch
from torch import nn

from benchmarks.measure import SIDES, peak_memory
from benchmarks.models import torchvisions
from frcnn_edu import backbones
from frcnn_edu.commands.detector import open_data
from frcnn_edu.faster_rcnn import fasterrcnn_tiny
from frcnn_edu.training.checkpoints import Recipe
from frcnn_edu.training.loop import batches_of, evaluate, train_step


def main() -> None:
    """Train both and print a row of the table every few steps."""
    options = parse()
    recipe = Recipe(options.steps, seed=options.seed, mixed_precision=not options.float32)
    scenes, unseen = open_data(options.data, "train"), open_data(options.data, "test")
    sides = (options.only,) if options.only else SIDES
    models = {side: pair(len(scenes.class_names), recipe.seed)[side] for side in sides}
    optimizers = {
        side: torch.optim.AdamW(models[side].parameters(), weight_decay=recipe.weight_decay) for side in sides
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    head = [f"{what}, {side}" for what in ("seconds", "median ms", "mAP@0.5") for side in sides]
    print("| steps | " + " | ".join(head) + " | peak MB |\n" + "|---:" * (len(head) + 2) + "|")
    for step, (images, targets) in enumerate(batches_of(scenes, recipe)):
        for side in sides if step % 2 else sides[::-1]:
            begin = time.perf_counter()
            train_step(models[side].train(), optimizers[side], recipe, step, images, targets)
            seconds[side].append(time.perf_counter() - begin)
        if (step + 1) % options.every == 0 or step + 1 == recipe.steps:
            found = [evaluate(models[side], unseen, class_names=scenes.class_names, progress=False) for side in sides]
            figures = [f"{sum(taken):.1f}" for taken in seconds.values()]
            figures += [f"{1000 * median(taken):.0f}" for taken in seconds.values()]
            figures += [f"{one.map:.3f}" for one in found]
            figures += [f"{peak_memory(torch.device('cpu')):.0f}"]
            print(f"| {step + 1} | " + " | ".join(figures) + " |", flush=True)


def pair(num_classes: int, seed: int) -> dict[str, nn.Module]:
    """Our detector and torchvision's, with the same weights."""
    torch.manual_seed(seed)
    ours = fasterrcnn_tiny(num_classes)
    theirs = torchvisions(partial(fasterrcnn_tiny, num_classes), backbones.tiny)
    theirs.load_state_dict(ours.state_dict())
    return dict(zip(SIDES, (ours, theirs), strict=True))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--data", default="shapes-plain", choices=("shapes", "shapes-plain", "shapes-hard"))
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--every", type=int, default=300, metavar="STEPS", help="evaluate every so many steps")
    parser.add_argument("--only", choices=SIDES, help="train only one of the two, to measure its memory")
    parser.add_argument("--float32", action="store_true", help="train without mixed precision")
    return parser.parse_args()


if __name__ == "__main__":
    main()
