"""The detector for photographs that ships: `fasterrcnn_mobilenet_v2`, trained on the blood cells of BCCD.

``data/blood_cell_detector`` is a folder such as `train` writes, with the weights in half precision, and
``data/blood_cells`` has twelve of the photographs on which it was not trained, with their boxes.

    python -m frcnn_edu download bccd
    python -m frcnn_edu.course.blood_cell_detector --data data/bccd

makes both again. The recipe is that of the README in bfloat16, with a second stage half as wide to keep
the file small.
"""

import argparse
import hashlib
import json
import shutil
import time
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors.torch import save_file

from frcnn_edu.datasets import data_path
from frcnn_edu.datasets.augment import augmentation
from frcnn_edu.datasets.folder import FolderDataset, open_folder
from frcnn_edu.faster_rcnn import FasterRCNN
from frcnn_edu.training.checkpoints import (
    MODEL_FILE,
    STATE_FILE,
    WEIGHTS_FILE,
    History,
    ModelCard,
    Recipe,
    load_model,
)
from frcnn_edu.training.loop import detect, train
from frcnn_edu.training.metrics import evaluate

FOLDER, PHOTOGRAPHS = "blood_cell_detector", "blood_cells"
REPORT_FILE, BOXES_FILE = "report.json", "_annotations.coco.json"

RECIPE = Recipe(steps=400, mixed_precision=True, augment="all-ways")
OPTIONS = {
    "min_size": 480,
    "max_size": 960,
    "box_batch_size_per_image": 128,
    "box_head_size": 256,
    "frozen_backbone": True,
}
WEIGHTS = "IMAGENET1K_V1"
SHOWN = (11, 18, 31, 62, 77, 93, 135, 149, 226, 296, 327, 375)
"""The numbers of the photographs that ship, all from the test split."""


def load_blood_cell_detector() -> tuple[FasterRCNN, ModelCard]:
    """A new model with these weights, in evaluation mode on the CPU, and its card, which has the class names.

    Raises FileNotFoundError where the course's data is missing.
    """
    return load_model(data_path(FOLDER))


@cache
def blood_cell_report() -> dict[str, Any]:
    """How it was trained and measured: ``map_50``, ``per_class`` and ``objects`` by class name, ``recipe`` …"""
    return json.loads((data_path(FOLDER) / REPORT_FILE).read_text(encoding="utf-8"))


def make(data: Path, out: Path, recipe: Recipe = RECIPE, weights: str | None = WEIGHTS) -> None:
    """Train on the folder `data`, which has BCCD, and write photographs, weights and report into the folder `out`."""
    seen, unseen = open_folder(data, "train", for_training=True), open_folder(data, "test")
    copy_photographs(unseen, out / PHOTOGRAPHS)
    card = ModelCard("mobilenet_v2", seen.class_names, dict(OPTIONS))
    torch.manual_seed(recipe.seed)
    model = card.build(weights_backbone=weights)
    started = time.process_time()
    history = train(model, seen, recipe, augment=augmentation(flip_vertically=0.5))
    seconds = time.process_time() - started
    model.half().float()  # what is measured is what ships
    detections, targets = detect(model, unseen)
    at_50, at_75 = (evaluate(detections, targets, "voc", iou, seen.class_names) for iou in (0.5, 0.75))
    history.measured[recipe.steps] = round(at_50.map, 4)
    report = {
        "command": "python -m frcnn_edu.course.blood_cell_detector --data data/bccd",
        "photographs": {"train": len(seen), "test": len(unseen)},
        "map_50": round(at_50.map, 4),
        "map_75": round(at_75.map, 4),
        "per_class": {name: round(value, 4) for name, value in at_50.per_class.items()},
        "objects": at_50.ground_truths,
        "cpu_seconds": round(seconds),
        "recipe": asdict(recipe) | {"weights_backbone": weights},
        "torch": torch.__version__.split("+")[0],
        "torchvision": torchvision.__version__.split("+")[0],
    }
    write(out / FOLDER, model, card, recipe, len(seen), history, report)
    print(at_50)


def write(
    folder: Path,
    model: FasterRCNN,
    card: ModelCard,
    recipe: Recipe,
    images: int,
    history: History,
    report: dict[str, Any],
) -> None:
    """Write a folder that `load_model` opens, with weights in half precision, and the report."""
    folder.mkdir(parents=True, exist_ok=True)
    halves = {name: values.detach().half().contiguous() for name, values in model.state_dict().items()}
    save_file(halves, folder / WEIGHTS_FILE)
    digest = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    losses = {name: [round(value, 4) for value in values] for name, values in history.losses.items()}
    state = {"step": recipe.steps, "recipe": asdict(recipe), "images": images, "digests": {WEIGHTS_FILE: digest}}
    state |= {"losses": losses, "measured": history.measured}
    for name, content in ((MODEL_FILE, asdict(card)), (STATE_FILE, state), (REPORT_FILE, report)):
        (folder / name).write_text(json.dumps(content, indent=1 if content is not state else None) + "\n", "utf-8")


def copy_photographs(dataset: FolderDataset, folder: Path) -> None:
    """Copy the photographs `SHOWN` as they are, and write their boxes in COCO's format."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = [index for index in range(len(dataset)) if int(dataset.path(index).stem[-5:]) in SHOWN]
    images: list[dict] = []
    annotations: list[dict] = []
    for number, index in enumerate(shown):
        path, target = dataset.path(index), dataset.targets()[index]
        shutil.copyfile(path, folder / path.name)
        width, height = dataset.sizes()[index]
        images.append({"id": number, "file_name": path.name, "width": width, "height": height})
        for (x1, y1, x2, y2), label in zip(target["boxes"].tolist(), target["labels"].tolist(), strict=True):
            box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
            annotations.append({"id": len(annotations) + 1, "image_id": number, "category_id": label, **box})
    names = list(enumerate(dataset.class_names))[1:]
    content = {"images": images, "categories": [{"id": label, "name": name} for label, name in names]}
    (folder / BOXES_FILE).write_text(json.dumps(content | {"annotations": annotations}) + "\n", "utf-8")


def main() -> None:
    """Train the detector for blood cells again (18 minutes of processor time)."""
    parser = argparse.ArgumentParser(prog="python -m frcnn_edu.course.blood_cell_detector", description=main.__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with BCCD, as the command download writes it")
    parser.add_argument("--out", type=Path, help="folder to write to (default: the course's data folder)")
    parser.add_argument("--steps", type=int, default=RECIPE.steps, help="training steps (default: %(default)s)")
    options = parser.parse_args()
    make(options.data, options.out or data_path("."), replace(RECIPE, steps=options.steps))


if __name__ == "__main__":
    main()
