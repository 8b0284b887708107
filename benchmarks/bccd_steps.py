"""``python -m benchmarks.bccd_steps --data FOLDER --out FILE``: ablation of the steps since the paper.

The full recipe is trained on real images, and again without one of its parts: RoIPool instead of RoIAlign, one map of
stride 16 instead of the pyramid, random instead of pretrained weights. Everything else (data, batches, augmentation,
learning rate, anchor sizes) is the same. Each variant is trained with several seeds, to compare differences with their
spread. ``data/bccd_steps.json`` has the results on BCCD's blood cells.

Every run is written when it ends, and runs that the file already has are skipped, so an interrupted command can be
repeated. Several processes may share the file, each with its own ``--only`` or ``--seeds``.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
import torchvision
from torch import Tensor
from torch.utils.data import Dataset

from frcnn_edu.anchors import PAPER_ASPECT_RATIOS, AnchorGenerator
from frcnn_edu.backbones import Pyramid
from frcnn_edu.config import Options
from frcnn_edu.course.blood_cells import VARIANTS, Run, load_ablation, mean_and_spread
from frcnn_edu.datasets.augment import augmentation
from frcnn_edu.datasets.folder import open_folder
from frcnn_edu.faster_rcnn import ROI_SIZE, FasterRCNN, fasterrcnn_mobilenet_v2
from frcnn_edu.roi_heads import TwoMLPHead
from frcnn_edu.roi_pool import MultiScaleRoIPool
from frcnn_edu.training.checkpoints import Recipe
from frcnn_edu.training.loop import detect, train
from frcnn_edu.training.metrics import evaluate

WEIGHTS = "IMAGENET1K_V1"
OPTIONS: Options = {"min_size": 480, "max_size": 960, "box_batch_size_per_image": 128}
STRIDE_16, STRIDE_16_CHANNELS = "13", 96
FIRST_SEED = 0
"""The seed whose detections are kept."""


def full(num_classes: int) -> FasterRCNN:
    """The full recipe."""
    return fasterrcnn_mobilenet_v2(num_classes, WEIGHTS, **OPTIONS)


def roi_pool(num_classes: int) -> FasterRCNN:
    """RoI pooling, which rounds regions to whole cells, as in the paper."""
    return fasterrcnn_mobilenet_v2(num_classes, WEIGHTS, box_roi_pool=MultiScaleRoIPool(ROI_SIZE, "pool"), **OPTIONS)


def one_level(num_classes: int) -> FasterRCNN:
    """One map of stride 16 with anchors of all sizes, as in the paper."""
    pyramid = fasterrcnn_mobilenet_v2(num_classes, WEIGHTS, **OPTIONS)
    anchors = AnchorGenerator((pyramid_sizes(pyramid),), (PAPER_ASPECT_RATIOS,), strides=(16,))
    channels = pyramid.backbone.out_channels
    layers = torch.nn.Sequential(*pyramid.backbone.body.values())
    body = Pyramid(layers, {STRIDE_16: STRIDE_16_CHANNELS}, channels)
    head = TwoMLPHead(channels * ROI_SIZE**2, 512)
    return FasterRCNN(body, num_classes, rpn_anchor_generator=anchors, box_head=head, **OPTIONS)


def random(num_classes: int) -> FasterRCNN:
    """All weights trained on these images only, batch norms too."""
    return fasterrcnn_mobilenet_v2(num_classes, None, **OPTIONS)


def pyramid_sizes(model: FasterRCNN) -> tuple[float, ...]:
    """The anchor sizes of all levels."""
    return tuple(size for level in model.rpn.anchor_generator.sizes for size in level)


BUILD: dict[str, Callable[[int], FasterRCNN]] = {
    "full": full,
    "roi_pool": roi_pool,
    "one_level": one_level,
    "random": random,
}


def measure(name: str, recipe: Recipe, data: Path, test_images: int | None = None) -> Run:
    """Train one variant and evaluate it on the test split, or on its first `test_images`."""
    seen, unseen = open_split(data, "train"), open_split(data, "test")
    torch.manual_seed(recipe.seed)
    model = BUILD[name](len(seen.class_names))
    started = time.process_time()
    history = train(model, seen, recipe, augment=augmentation(flip_vertically=0.5))
    cpu_seconds = time.process_time() - started
    some = unseen if test_images is None else torch.utils.data.Subset(unseen, range(test_images))
    detections, targets = detect(model, some)
    at_50, at_75 = (evaluate(detections, targets, "voc", iou, seen.class_names) for iou in (0.5, 0.75))
    return Run(
        name,
        recipe.seed,
        round(at_50.map, 4),
        round(at_75.map, 4),
        {key: round(value, 4) for key, value in at_50.per_class.items()},
        round(cpu_seconds, 1),
        [round(loss, 4) for loss in history.total],
        [rows(one) for one in detections] if recipe.seed == FIRST_SEED else None,
    )


def open_split(data: Path, split: str) -> Dataset:
    """One split of the folder; the class names are those of all annotations."""
    return open_folder(data, split, for_training=split == "train", quiet=True)


def describe(data: Path) -> dict[str, dict[str, list]]:
    """The boxes of both splits, without the images."""
    found = {}
    for split in ("train", "test"):
        pictures = open_split(data, split)
        pairs = [pictures[index] for index in range(len(pictures))]
        found[split] = {
            "names": [pictures.path(index).name for index in range(len(pictures))],
            "sizes": [[image.shape[2], image.shape[1]] for image, _ in pairs],
            "boxes": [rows(target) for _, target in pairs],
        }
    return found


def rows(boxes: dict[str, Tensor]) -> list[list[float]]:
    """Rows x1, y1, x2, y2, label and, for detections, score, rounded for the file."""
    columns = [boxes["boxes"].tolist(), boxes["labels"].tolist()]
    table = [[*(round(value, 1) for value in box), label] for box, label in zip(*columns, strict=True)]
    if "scores" not in boxes:
        return table
    return [[*row, round(score, 3)] for row, score in zip(table, boxes["scores"].tolist(), strict=True)]


def run(options: argparse.Namespace) -> None:
    """Do every run that the file lacks. Raises ValueError if it has runs of other conditions."""
    recipes = {seed: Recipe(options.steps, 4, 1e-3, seed=seed) for seed in options.seeds}
    for seed, recipe in recipes.items():
        for name in options.only:
            content = current(options, recipe)
            if any(one["name"] == name and one["seed"] == seed for one in content["runs"]):
                continue
            done = measure(name, recipe, options.data, options.images)
            content = current(options, recipe)  # with what other processes wrote meanwhile
            content["runs"].append({key: value for key, value in asdict(done).items() if value is not None})
            write(options.out, content)
            print(
                f"{name}, seed {seed}: mAP {done.map_50:.3f} and {done.map_75:.3f}, {done.cpu_seconds:.0f} s",
                flush=True,
            )


def current(options: argparse.Namespace, recipe: Recipe) -> dict:
    """The content of the file, or of a new one without runs."""
    conditions = asdict(recipe) | OPTIONS | {"weights": WEIGHTS, "test_images": options.images}
    del conditions["seed"]
    conditions |= {"torch": torch.__version__.split("+")[0], "torchvision": torchvision.__version__.split("+")[0]}
    if not options.out.exists():
        names = open_split(options.data, "train").class_names
        return {"conditions": conditions, "class_names": names, "splits": describe(options.data), "runs": []}
    content = json.loads(options.out.read_text(encoding="utf-8"))
    if content["conditions"] != conditions:
        raise ValueError(f"{options.out} has runs with {content['conditions']}, not {conditions}: name another file")
    return content


def write(path: Path, content: dict) -> None:
    """Replace the file atomically."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(content, separators=(",", ":"), ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(path)


def table(path: Path) -> str:
    """The mean and the spread of every variant."""
    ablation = load_ablation(path)
    lines = ["| | runs | mAP@0.5 | mAP@0.75 | CPU seconds |", "|---|---:|---:|---:|---:|"]
    for name, what in VARIANTS.items():
        if runs := ablation.of(name):
            columns = [[getattr(one, key) for one in runs] for key in ("map_50", "map_75", "cpu_seconds")]
            (a, a_spread), (b, b_spread), (seconds, _) = map(mean_and_spread, columns)
            precision = f"{a:.3f} ± {a_spread:.3f} | {b:.3f} ± {b_spread:.3f}"
            lines.append(f"| {what} | {len(runs)} | {precision} | {seconds:.0f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bccd_steps", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data set, in VOC's layout")
    parser.add_argument("--out", type=Path, required=True, help="JSON file; runs that it already has are kept")
    parser.add_argument("--steps", type=int, default=200, help="steps of each training (default: %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=list(BUILD), default=list(BUILD), metavar="NAME")
    parser.add_argument("--threads", type=int, help="threads (default: PyTorch's)")
    parser.add_argument("--images", type=int, help="evaluate on only this many images, to try the command")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    run(options)
    print(table(options.out))


if __name__ == "__main__":
    main()
