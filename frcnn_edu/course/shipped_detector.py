"""The detector that ships with the course: `fasterrcnn_tiny`, trained on generated shapes, and how it came to be.

``data/tiny`` holds its weights at a handful of steps, from the first to the last, in half precision: enough to look at,
and to go through training like a film. ``python -m frcnn_edu.course.shipped_detector`` trains it again from nothing
and writes them.
"""

import argparse
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path

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
RECIPE = Recipe(steps=4000, batch_size=4, learning_rate=1e-3, seed=0)
SNAPSHOTS = (0, 50, 100, 200, 400, 1000)
"""Steps at which the weights are kept, besides the last."""

TRAINING_SCENES = 100_000
TEST_SCENES = 200


def load_trained(step: int | None = None) -> FasterRCNN:
    """The trained detector in evaluation mode on the CPU, or what it was after `step` steps: one of `trained_steps()`.

    Every call gives a model of its own. Raises ValueError for a step that was not kept, FileNotFoundError where the
    course's data is not there.
    """
    steps = trained_steps()
    step = steps[-1] if step is None else step
    if step not in steps:
        raise ValueError(f"the weights were kept at the steps {', '.join(map(str, steps))}, not at {step}")
    report = trained_report()
    card = ModelCard(report["model"], tuple(report["class_names"]))
    model = card.build()
    weights = load_file(data_path(FOLDER) / _weights_file(step))
    model.load_state_dict({name: values.float() for name, values in weights.items()})
    return model.eval()


def trained_steps() -> tuple[int, ...]:
    """The steps whose weights ship, from 0 to the last."""
    return tuple(trained_report()["map"])


@cache
def trained_report() -> dict:
    """How the detector was trained: `recipe`, `losses` of every step, `map` on unseen scenes by step, `class_names`."""
    report = json.loads((data_path(FOLDER) / REPORT_FILE).read_text(encoding="utf-8"))
    return report | {"map": {int(step): precision for step, precision in report["map"].items()}}


def make(out: Path, recipe: Recipe = RECIPE, snapshots: tuple[int, ...] = SNAPSHOTS, scenes: int = TEST_SCENES) -> None:
    """Train the detector, and write its snapshots and the report into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    dataset, unseen = Shapes(TRAINING_SCENES), Shapes(scenes, split="test")
    card = ModelCard("tiny", dataset.class_names)
    torch.manual_seed(recipe.seed)
    model = card.build()
    kept: dict[int, dict[str, Tensor]] = {0: _halves(model)}

    def keep(done: int, model: FasterRCNN, history: History) -> None:
        if done in snapshots or done == recipe.steps:
            kept[done] = _halves(model)

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


def _halves(model: FasterRCNN) -> dict[str, Tensor]:
    """A copy of the weights in half precision."""
    return {name: values.detach().cpu().half() for name, values in model.state_dict().items()}


def _weights_file(step: int) -> str:
    return f"step-{step:06d}.safetensors"


def main() -> None:
    """Train the course's detector again, from nothing."""
    parser = argparse.ArgumentParser(prog="python -m frcnn_edu.course.shipped_detector", description=main.__doc__)
    parser.add_argument("--out", type=Path, help="default: the course's data folder")
    parser.add_argument("--steps", type=int, default=RECIPE.steps)
    options = parser.parse_args()
    from dataclasses import replace

    make(options.out or data_path(".") / FOLDER, replace(RECIPE, steps=options.steps))


if __name__ == "__main__":
    main()
