"""``python -m benchmarks.training``: train ours and torchvision's detector on shapes, step by step.

Both start from the same weights and get the same batches, ours first in every other step; the loop is the package's
own. At the end, and every few steps if asked to, both are evaluated on unseen scenes, which does not count as training
time. With several seeds, the last row has the means, and the spread of the differences in mAP.
"""

import argparse
import time
from collections.abc import Mapping
from functools import partial
from statistics import mean, median, stdev

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
    """Train both with every seed and print a row of the table whenever they are evaluated."""
    options = parse()
    sides = (options.only,) if options.only else SIDES
    head = ["seed", "steps", *(f"{what}, {side}" for what in ("seconds", "median ms", "mAP@0.5") for side in sides)]
    print(f"{options.data}:\n\n| " + " | ".join([*head, "peak MB"]) + " |\n" + "|---:" * (len(head) + 1) + "|")
    runs = [train_both(options, sides, seed) for seed in options.seeds]
    if len(runs) > 1:
        seconds, maps = ({side: [run[kind][side] for run in runs] for side in sides} for kind in (0, 1))
        figures = [*(f"{mean(seconds[side]):.1f}" for side in sides), *("" for _ in sides)]
        figures += [f"{mean(maps[side]):.3f} ± {stdev(maps[side]):.3f}" for side in sides]
        print(f"| mean | {options.steps} | " + " | ".join(figures) + " | |")
        if len(sides) > 1:
            differences = [ours - theirs for ours, theirs in zip(*maps.values(), strict=True)]
            share = sum(seconds[SIDES[0]]) / sum(seconds[SIDES[1]])
            print(f"\nours - torchvision: mAP {mean(differences):+.3f} ± {stdev(differences):.3f}; time {share:.2f}")


def train_both(
    options: argparse.Namespace, sides: tuple[str, ...], seed: int
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Train with one seed; the seconds and the final mAP of each side."""
    recipe = Recipe(options.steps, seed=seed)
    scenes, unseen = open_data(options.data, "train"), open_data(options.data, "test")
    models = {side: pair(len(scenes.class_names), recipe.seed)[side] for side in sides}
    optimizers = {
        side: torch.optim.AdamW(models[side].parameters(), weight_decay=recipe.weight_decay) for side in sides
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    found: dict[str, float] = {}
    for step, (images, targets) in enumerate(batches_of(scenes, recipe)):
        for side in sides if step % 2 else sides[::-1]:
            begin = time.perf_counter()
            train_step(models[side].train(), optimizers[side], recipe, step, images, targets)
            seconds[side].append(time.perf_counter() - begin)
        if (step + 1) % (options.every or recipe.steps) == 0 or step + 1 == recipe.steps:
            for side in sides:
                found[side] = evaluate(models[side], unseen, class_names=scenes.class_names, progress=False).map
            figures = [f"{sum(taken):.1f}" for taken in seconds.values()]
            figures += [f"{1000 * median(taken):.0f}" for taken in seconds.values()]
            figures += [f"{value:.3f}" for value in found.values()]
            figures += [f"{peak_memory(torch.device('cpu')):.0f}"]
            print(f"| {seed} | {step + 1} | " + " | ".join(figures) + " |", flush=True)
    return {side: sum(taken) for side, taken in seconds.items()}, found


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
    parser.add_argument("--seeds", type=int, nargs="+", default=[Recipe.seed])
    parser.add_argument("--every", type=int, metavar="STEPS", help="evaluate every so many steps, and not only the end")
    parser.add_argument("--only", choices=SIDES, help="train only one of the two, to measure its memory")
    return parser.parse_args()


if __name__ == "__main__":
    main()
