"""The commands that make and use a detector: train, evaluate, predict, download.

Each is a thin layer over the function of the same name. Under ``torchrun`` train and evaluate share the work among the
processes.
"""

import argparse
import atexit
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import torch
import torch.distributed as dist
from torch.utils.data import Dataset

from frcnn_edu.datasets.download import download
from frcnn_edu.faster_rcnn import BUILDERS
from frcnn_edu.training.checkpoints import FREEZING, ModelCard, Recipe, load_model
from frcnn_edu.training.distributed import rank
from frcnn_edu.training.loop import evaluate, train

SHAPES = {"shapes": None, "shapes-plain": "PLAIN", "shapes-hard": "HARD"}
SHAPES_LENGTH = {"train": 10_000, "val": 200, "test": 200}


def open_data(name: str, split: str, class_names: tuple[str, ...] | None = None, training: bool = False) -> Dataset:
    """A data set by name or folder: generated shapes, or a folder in VOC's or COCO's layout.

    In training, difficult and crowd boxes are left out. Raises FileNotFoundError where nothing of the kind lies.
    """
    if name in SHAPES:
        from frcnn_edu.datasets import shapes

        if split not in SHAPES_LENGTH:
            raise ValueError(f"shapes have the splits {', '.join(SHAPES_LENGTH)}, got {split!r}")
        config = getattr(shapes, SHAPES[name]) if SHAPES[name] else None
        return shapes.Shapes(SHAPES_LENGTH[split], split=split, config=config)
    from frcnn_edu.datasets.folder import open_folder

    return open_folder(name, split, class_names, for_training=training, quiet=rank() > 0)


def _train(options: argparse.Namespace) -> None:
    device = _device(options.device)
    dataset = open_data(options.data, options.split, training=True)
    freezing = {"frozen_backbone": True} if options.weights_backbone and options.model in FREEZING else {}
    card = ModelCard(options.model, tuple(dataset.class_names), freezing | dict(options.option))
    recipe = Recipe(options.steps, options.batch_size, options.learning_rate, seed=options.seed)
    torch.manual_seed(recipe.seed)
    more = {"weights_backbone": options.weights_backbone} if options.weights_backbone and not options.resume else {}
    model = card.build(**more).to(device)
    augment = None
    if options.augment:
        from frcnn_edu.datasets.augment import augmentation

        augment = augmentation(flip_vertically=0.5 if options.augment == "all-ways" else 0.0)
    train(model, dataset, recipe, options.out, card, options.resume, options.checkpoint_every, augment, options.workers)
    if rank() == 0:
        print(f"trained {recipe.steps} steps; the weights are in {options.out}")


def _evaluate(options: argparse.Namespace) -> None:
    model, card = load_model(options.weights, _device(options.device))
    dataset = open_data(options.data, options.split, card.class_names)
    result = evaluate(model, dataset, options.style, card.class_names, options.batch_size)
    if rank() > 0:
        return
    for name, precision in result.per_class.items():
        print(f"{name:24} {precision:.4f}")
    print(f"{'mAP':24} {result.map:.4f}")
    if options.json:
        report = {key: value for key, value in asdict(result).items() if key != "curves" and value is not None}
        _write_json(options.json, {"data": options.data, "split": options.split, **_without_nan(report)})


def _predict(options: argparse.Namespace) -> int:
    from frcnn_edu.datasets.image_files import ImageError, load_image
    from frcnn_edu.viz import detections_figure

    model, card = load_model(options.weights, _device(options.device))
    options.out.mkdir(parents=True, exist_ok=True)
    results, failed = {}, 0
    for name in options.images:
        try:
            image = load_image(name)
        except (ImageError, OSError) as error:
            print(f"passed over: {error}", file=sys.stderr)
            failed += 1
            continue
        with torch.no_grad():
            found = model([image.to(next(model.parameters()).device)])[0]
        keep = found["scores"] >= options.score
        found = {key: values[keep].cpu() for key, values in found.items()}
        names = [card.class_names[label] for label in found["labels"].tolist()]
        results[name] = {"boxes": found["boxes"].tolist(), "scores": found["scores"].tolist(), "labels": names}
        picture = _picture_path(options.out, name)
        detections_figure(image, found["boxes"], names, found["scores"]).savefig(picture)
        print(f"{name}: {len(names)} found, {picture}")
    _write_json(options.out / "detections.json", results)
    return 1 if failed else 0


def _download(options: argparse.Namespace) -> None:
    print(download(options.name, options.out))


def _picture_path(folder: Path, name: str) -> Path:
    """A PNG in `folder` named after the picture, numbered where that name is taken by another."""
    stem, number = Path(name).stem, 1
    path = folder / f"{stem}.png"
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.png"
    return path


def _without_nan(report: dict[str, object]) -> dict[str, object]:
    """With None for the AP of what no image holds: JSON has no word for NaN."""
    plain = {name: _without_nan(value) if isinstance(value, dict) else value for name, value in report.items()}
    return {name: None if value != value else value for name, value in plain.items()}


def _write_json(path: Path, content: object) -> None:
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    draft.replace(path)


def _device(name: str | None) -> torch.device:
    """The device to work on; under torchrun each process joins the others and takes its own GPU."""
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if "WORLD_SIZE" in os.environ and not dist.is_initialized():
        dist.init_process_group("nccl" if name == "cuda" else "gloo")
        atexit.register(dist.destroy_process_group)
        if name == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
            return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return torch.device(name)


def _option(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"an option is NAME=VALUE, got {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _train_options(training: argparse.ArgumentParser) -> None:
    training.add_argument("--data", required=True, help="shapes, shapes-plain, shapes-hard, or a VOC or COCO folder")
    training.add_argument("--split", default="train")
    training.add_argument("--model", choices=list(BUILDERS), default="tiny")
    training.add_argument("--steps", type=int, default=Recipe.steps)
    training.add_argument("--batch-size", type=int, default=Recipe.batch_size, help="images a step, over all processes")
    training.add_argument(
        "--learning-rate", type=float, default=Recipe.learning_rate, help="the highest; default %(default)s"
    )
    training.add_argument("--seed", type=int, default=Recipe.seed)
    training.add_argument("--out", type=Path, required=True)
    training.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in --out")
    training.add_argument("--checkpoint-every", type=int, default=100, metavar="STEPS")
    training.add_argument("--weights-backbone", help="such as IMAGENET1K_V1, through torchvision's hub and cache")
    training.add_argument("--augment", nargs="?", const="mirror", choices=("mirror", "all-ways"))
    training.add_argument("--workers", type=int, default=0, help="processes that load images")
    training.add_argument(
        "--option", type=_option, action="append", default=[], metavar="NAME=VALUE", help="of Config, or the builder"
    )
    _device_option(training)


def _evaluate_options(evaluating: argparse.ArgumentParser) -> None:
    evaluating.add_argument("--data", required=True)
    evaluating.add_argument("--split", default="test")
    evaluating.add_argument("--weights", type=Path, required=True, help="a folder that train wrote")
    evaluating.add_argument("--style", choices=("voc", "voc07", "coco"), default="voc")
    evaluating.add_argument("--batch-size", type=int, default=8)
    evaluating.add_argument("--json", type=Path, help="write the figures here")
    _device_option(evaluating)


def _predict_options(predicting: argparse.ArgumentParser) -> None:
    predicting.add_argument("images", nargs="+")
    predicting.add_argument("--weights", type=Path, required=True)
    predicting.add_argument("--out", type=Path, required=True)
    predicting.add_argument("--score", type=float, default=0.5, help="draw nothing below this")
    _device_option(predicting)


def _download_options(downloading: argparse.ArgumentParser) -> None:
    downloading.add_argument("name", choices=("voc2007", "bccd", "penn-fudan"))
    downloading.add_argument("--out", type=Path, default=Path("data"))


def _device_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", help="cuda, mps or cpu; the best there is, if left out")


COMMANDS = {
    "train": (_train, _train_options),
    "evaluate": (_evaluate, _evaluate_options),
    "predict": (_predict, _predict_options),
    "download": (_download, _download_options),
}
"""What runs a command, and what adds its options to a parser."""
