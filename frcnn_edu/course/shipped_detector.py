"""The detector that ships with the course: `fasterrcnn_tiny`, trained on generated shapes.

``data/tiny`` has its weights after several steps of the training, from first to last, in half precision.
``python -m frcnn_edu.course.shipped_detector`` trains it from scratch and writes them.
"""

import argparse
import json
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from frcnn_edu.datasets import data_path
from frcnn_edu.datasets.shapes import Shapes
from frcnn_edu.faster_rcnn import FasterRCNN
from frcnn_edu.training.checkpoints import History, ModelCard, Recipe
from frcnn_edu.training.loop import evaluate, train

FOLDER = "tiny"
REPORT_FILE = "training.json"
RECIPE = Recipe(steps=4000, batch_size=4, learning_rate=1e-3, mixed_precision=True, seed=0)
SNAPSHOTS = (0, 50, 100, 200, 400, 1000)
"""Steps after which the weights are kept, besides the last."""

TRAINING_SCENES = 100_000
TEST_SCENES = 200


def load_trained(step: int | None = None) -> FasterRCNN:
    """The detector after `step` steps, one of `trained_steps()`, by default the last; in evaluation mode on the CPU.

    Every call returns a new model. Raises ValueError for a step without weights, FileNotFoundError where the course's
    data is missing.
    """
    steps = trained_steps()
    step = steps[-1] if step is None else step
    if step not in steps:
        raise ValueError(f"there are weights for the steps {', '.join(map(str, steps))}, not for {step}")
    report = trained_report()
    card = ModelCard(report["model"], tuple(report["class_names"]))
    model = card.build()
    weights = load_file(data_path(FOLDER) / _weights_file(step))
    model.load_state_dict({name: values.float() for name, values in weights.items()})
    return model.eval()


def trained_steps() -> tuple[int, ...]:
    """The steps whose weights ship, 0 first."""
    return tuple(trained_report()["map"])


@cache
def trained_report() -> dict[str, Any]:
    """The training: `recipe`, `losses` of every step, `map` by step on scenes not trained on, `class_names`."""
    report = json.loads((data_path(FOLDER) / REPORT_FILE).read_text(encoding="utf-8"))
    return report | {"map": {int(step): precision for step, precision in report["map"].items()}}


def make(out: Path, recipe: Recipe = RECIPE, snapshots: tuple[int, ...] = SNAPSHOTS, scenes: int = TEST_SCENES) -> None:
    """Train the detector and write its snapshots and the report into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    dataset, unseen = Shapes(TRAINING_SCENES), Shapes(scenes, split="test")
    card = ModelCard("tiny", dataset.class_names)
    torch.manual_seed(recipe.seed)
    model = card.build()
    kept: dict[int, dict[str, Tensor]] = {0: _half_precision(model)}

    def keep(done: int, model: FasterRCNN, history: History) -> None:
        if done in snapshots or done == recipe.steps:
            kept[done] = _half_precision(model)

    history = train(model, dataset, recipe, on_step=keep)
    precision = {}
    for step, weights in kept.items():
        save_file(weights, out / _weights_file(step))
        model.load_state_dict({name: values.float() for name, values in weights.items()})
        precision[step] = round(evaluate(model, unseen, class_names=card.class_names).map, 4)
        print(f"step {step}: mAP@0.5 {precision[step]:.3f} on {scenes} unseen scenes")
    losses = {name: [round(value, 4) for value in values] for name, values in history.losses.items()}
    report = asdict(card) | {"recipe": asdict(recipe), "scenes": scenes, "map": precision, "losses": losses}
    (out / REPORT_FILE).write_text(json.dumps(report) + "\n", encoding="utf-8")


def _half_precision(model: FasterRCNN) -> dict[str, Tensor]:
    """A copy of the weights."""
    return {name: values.detach().cpu().half() for name, values in model.state_dict().items()}


def _weights_file(step: int) -> str:
    return f"step-{step:06d}.safetensors"


def main() -> None:
    """Train the course's detector from scratch."""
    parser = argparse.ArgumentParser(prog="python -m frcnn_edu.course.shipped_detector", description=main.__doc__)
    parser.add_argument("--out", type=Path, help="folder to write to (default: the course's data folder)")
    parser.add_argument("--steps", type=int, default=RECIPE.steps, help="training steps (default: %(default)s)")
    options = parser.parse_args()
    make(options.out or data_path(".") / FOLDER, replace(RECIPE, steps=options.steps))


if __name__ == "__main__":
    main()
