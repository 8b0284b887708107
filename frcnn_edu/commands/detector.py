"""The commands that work with data and a detector: train, evaluate, predict, look and download.

Each is a thin layer over functions of the package. Under ``torchrun``, train and evaluate share the work among the
processes.
"""

import argparse
import atexit
import errno
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor, nn
from tqdm.auto import tqdm

from frcnn_edu.commands.reporting import FAILED, sentence_of
from frcnn_edu.commands.weights import BLOOD_CELLS, weights_path
from frcnn_edu.datasets.download import download
from frcnn_edu.datasets.file_tree import IMAGE_SUFFIXES
from frcnn_edu.faster_rcnn import BUILDERS, FasterRCNN
from frcnn_edu.training.checkpoints import BEST, FREEZING, History, ModelCard, Recipe, holds_run
from frcnn_edu.training.distributed import rank
from frcnn_edu.training.export import load_detector
from frcnn_edu.training.loop import evaluate, train
from frcnn_edu.training.metrics import STYLES
from frcnn_edu.training.symptoms import of_map

if TYPE_CHECKING:
    from frcnn_edu.datasets.folder import FolderDataset
    from frcnn_edu.datasets.shapes import Shapes

SHAPES = {"shapes": "", "shapes-plain": "PLAIN", "shapes-hard": "HARD"}
SHAPES_LENGTH = {"train": 10_000, "val": 200, "test": 200}
AUGMENTATIONS = {"mirror": {}, "all-ways": {"flip_vertically": 0.5}}
"""What `augmentation` is called with, by the names of --augment."""

SECONDS_BETWEEN_CURVES = 20

OnStep = Callable[[int, FasterRCNN, History], None]


def open_data(
    name: str, split: str, class_names: tuple[str, ...] | None = None, training: bool = False
) -> "Shapes | FolderDataset":
    """A data set by name or folder: generated shapes, or a folder in VOC's or COCO's layout.

    For training, difficult and crowd boxes are left out. Raises FileNotFoundError if there is no such data set.
    """
    if name in SHAPES:
        from frcnn_edu.datasets import shapes

        if split not in SHAPES_LENGTH:
            raise ValueError(f"shapes have the splits {', '.join(SHAPES_LENGTH)}, got {split!r}")
        config = getattr(shapes, SHAPES[name]) if SHAPES[name] else None
        scenes = shapes.Shapes(SHAPES_LENGTH[split], split=split, config=config)
        if class_names is not None and len(class_names) != len(scenes.class_names):
            raise ValueError(f"{name} have {len(scenes.class_names) - 1} classes, the weights {len(class_names) - 1}")
        return scenes
    from frcnn_edu.datasets.folder import open_folder

    return open_folder(name, split, class_names, for_training=training, quiet=rank() > 0)


# train


def _train(options: argparse.Namespace) -> None:
    recipe = Recipe(
        steps=options.steps,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        warmup=options.warmup,
        clip_norm=options.clip_norm,
        mixed_precision=options.mixed_precision,
        seed=options.seed,
        augment=options.augment,
    )
    device = _device(options.device)
    watchers: list[OnStep] = [_print_measured]
    if options.log == "tensorboard":
        watchers.append(_tensorboard(options.out / "tensorboard"))
    dataset = open_data(options.data, options.split, training=True)
    if options.data in SHAPES and rank() == 0:  # a folder prints its summary itself
        print(f"{len(dataset)} generated images, {len(dataset.class_names) - 1} classes")
    settings = dict(options.option)
    pretrained = [name for name, build in BUILDERS.items() if "weights_backbone" in signature(build).parameters]
    if options.weights_backbone and options.model not in pretrained:
        raise ValueError(f"--weights-backbone needs a --model that has such weights: {', '.join(pretrained)}")
    if options.weights_backbone and options.model in FREEZING:
        settings.setdefault("frozen_backbone", True)
    card = ModelCard(options.model, tuple(dataset.class_names), settings)
    measure = _measuring(options, card) if options.eval_every or options.eval_split else None
    resume = holds_run(options.out) if options.resume == "auto" else options.resume is not None
    torch.manual_seed(recipe.seed)
    more = {"weights_backbone": options.weights_backbone} if options.weights_backbone and not resume else {}
    model = card.build(**more).to(device)
    if options.compile:
        _compile_backbone(model, device)
    augment = None
    if recipe.augment:
        from frcnn_edu.datasets.augment import augmentation

        augment = augmentation(**AUGMENTATIONS[recipe.augment])
    if find_spec("matplotlib"):
        from frcnn_edu.viz.live_curve import LiveCurve

        watchers.append(LiveCurve(recipe.steps, SECONDS_BETWEEN_CURVES, options.out / "curves.png"))

    def on_step(done: int, model: FasterRCNN, history: History) -> None:
        for watcher in watchers if rank() == 0 else []:
            watcher(done, model, history)

    history = train(
        model,
        dataset,
        recipe,
        options.out,
        card,
        resume=resume,
        checkpoint_every=options.checkpoint_every,
        augment=augment,
        workers=options.workers,
        measure=measure,
        measure_every=options.eval_every,
        on_step=on_step,
    )
    if rank() == 0:
        print(f"trained {recipe.steps} steps; the weights are in {options.out}")
        if history.best is not None:
            mean = history.measured[history.best]
            print(f"the best were those after step {history.best}, mAP {mean:.4f}; they are in {options.out / BEST}")


def _compile_backbone(model: FasterRCNN, device: torch.device) -> None:
    """Have the backbone compiled at its first call; raises ValueError where PyTorch cannot compile.

    It is meant for GPUs: on a CPU, compiling took half a minute for `tiny` and nearly two for `mobilenet_v2`, and their
    steps then took 1.3 and 1.5 times as long as before, inference 1.1 times and as long.
    """
    try:
        torch.compile(torch.sin)(torch.zeros(1, device=device))
    except Exception as error:
        raise ValueError(f"--compile: PyTorch cannot compile here: {str(error).splitlines()[0]}") from None
    model.backbone.compile()


def _measuring(options: argparse.Namespace, card: ModelCard) -> Callable[[FasterRCNN], float]:
    """What measures the mAP on the split of --eval-split."""
    dataset = open_data(options.data, options.eval_split or "val", card.class_names)
    return lambda model: evaluate(model, dataset, class_names=card.class_names).map


def _print_measured(done: int, _model: FasterRCNN, history: History) -> None:
    if done in history.measured:
        best = "" if history.best in (None, done) else f", best {history.measured[history.best]:.4f} ({history.best})"
        tqdm.write(f"step {done}: mAP {history.measured[done]:.4f}{best}")


def _tensorboard(folder: Path) -> OnStep:
    """Writes losses and mAP as TensorBoard reads them; raises ImportError if it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ImportError("--log tensorboard needs a package that is missing: pip install tensorboard") from None
    writers: list[SummaryWriter] = []

    def write(done: int, _model: FasterRCNN, history: History) -> None:
        if not writers:  # now, because it makes the folder
            writers.append(SummaryWriter(folder, purge_step=done))
        for name, losses in history.losses.items():
            writers[0].add_scalar(f"loss/{name}", losses[-1], done)
        if done in history.measured:
            writers[0].add_scalar("mAP", history.measured[done], done)
        writers[0].flush()

    return write


# evaluate


def _evaluate(options: argparse.Namespace) -> None:
    model, card = load_detector(options.weights, _device(options.device))
    dataset = open_data(options.data, options.split, card.class_names)
    if options.json and rank() == 0:
        _make_place(options.json)
    result = evaluate(model, dataset, options.style, card.class_names, options.batch_size)
    if rank() > 0:
        return
    try:
        if options.json:
            report = {key: value for key, value in asdict(result).items() if key not in ("curves", "coco_lines")}
            report = {key: value for key, value in report.items() if value is not None}
            _write_json(options.json, {"data": options.data, "split": options.split, **_without_nan(report)})
    finally:  # on a full disk the figures are at least printed
        print(f"{options.data}, split {options.split}")
        print(result)
        if result.images < len(dataset):
            print(f"{len(dataset) - result.images} more images could not be read and are left out")
        if seen := of_map(result.map):
            print(f"note: {seen}")


def _make_place(path: Path) -> None:
    """Make the folder of a file that will be written; raises OSError now, and not after the work."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "this is a folder; name a file", str(path))
    if not _in_place(path):
        try:
            tempfile.TemporaryFile(dir=path.parent).close()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None


def _in_place(path: Path) -> bool:
    """Whether writing must not replace what is there: a device, a pipe or a link, such as /dev/stdout."""
    return path.is_symlink() or (path.exists() and not path.is_file())


def _without_nan(report: dict[str, object]) -> dict[str, object]:
    """With None for NaN, which JSON does not have."""
    plain = {name: _without_nan(value) if isinstance(value, dict) else value for name, value in report.items()}
    return {name: None if value != value else value for name, value in plain.items()}


def _write_json(path: Path, content: object) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    _write_whole(path, lambda draft: draft.write_text(text, encoding="utf-8", errors="backslashreplace"))


def _write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Have `write` make a file, whole or not at all; raises OSError that names it if it cannot be written."""
    draft = path if _in_place(path) else path.with_name(f".part-{path.name}")
    try:
        write(draft)
        draft.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None
    finally:
        if draft != path:
            draft.unlink(missing_ok=True)


# predict


def _predict(options: argparse.Namespace) -> int:
    from frcnn_edu.datasets.image_files import load_image
    from frcnn_edu.viz.box_plots import detections_figure

    model, card = load_detector(options.weights, _device(options.device))
    options.out.mkdir(parents=True, exist_ok=True)
    results = _GrowingJson(options.out / "detections.json")
    failed = 0
    for name in dict.fromkeys(_files_of(options.images)):
        try:
            image = load_image(name)
            found = _detect(model, image, options.score)
        except Exception as error:
            failed += _pass_over(name, error)
            continue
        names = [card.class_names[label] for label in found["labels"].tolist()]
        results.add(name, {"boxes": found["boxes"].tolist(), "scores": found["scores"].tolist(), "labels": names})
        picture = _picture_path(options.out, name)
        try:
            detections_figure(image, found["boxes"], names, found["scores"]).savefig(picture)
        except Exception as error:
            failed += _pass_over(f"{name}: {len(names)} found, but not drawn", error)
            picture.unlink(missing_ok=True)
        else:
            print(f"{name}: {len(names)} found, {picture}")
    return FAILED if failed else 0


def _files_of(names: Sequence[str]) -> Iterator[str]:
    """The named files, and of a folder the images in it; a folder without any stays, and will be passed over."""
    for name in names:
        folder = Path(name)
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        images = [str(file) for file in found if file.suffix.lower() in IMAGE_SUFFIXES and file.name[0] != "."]
        yield from images or [name]


def _detect(model: nn.Module, image: Tensor, score: float) -> dict[str, Tensor]:
    """The detections on one image that score at least `score`, on the CPU."""
    with torch.no_grad():
        found = model([image.to(next(model.parameters()).device)])[0]
    keep = found["scores"] >= score
    return {name: values[keep].cpu() for name, values in found.items()}


def _pass_over(name: str, error: Exception) -> int:
    """Print what went wrong; counts 1."""
    sentence = sentence_of(error)
    print(f"passed over: {sentence}" if name in sentence else f"passed over {name}: {sentence}", file=sys.stderr)
    return 1


class _GrowingJson:
    """A file with one JSON object that is complete after every entry, so that nothing is lost whatever happens next."""

    def __init__(self, path: Path) -> None:
        self.path, self.end = path, 1
        _write_whole(path, lambda draft: draft.write_bytes(b"{\n}\n"))

    def add(self, name: str, value: object) -> None:
        """Append an entry; raises OSError if the disk is full, with the file as it was before."""
        key, value = (json.dumps(one, ensure_ascii=False, allow_nan=False) for one in (name, value))
        comma = "," if self.end > 1 else ""
        entry = f"{comma}\n  {key}: {value}".encode(errors="backslashreplace")
        try:
            self._write(entry + b"\n}\n")
        except OSError as error:
            self._write(b"\n}\n")
            raise OSError(error.errno, error.strerror, str(self.path)) from None
        self.end += len(entry)

    def _write(self, content: bytes) -> None:
        with self.path.open("r+b") as file:
            file.truncate(self.end)
            file.seek(self.end)
            file.write(content)


def _picture_path(folder: Path, name: str) -> Path:
    """A PNG in `folder` with the name of the picture, numbered if there is such a file already."""
    stem, number = Path(name).stem, 1
    path = folder / f"{stem}.png"
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.png"
    return path


# look


def _look(options: argparse.Namespace) -> None:
    from frcnn_edu.datasets.folder import read_folder
    from frcnn_edu.datasets.look import report_content, report_text

    dataset = read_folder(options.data, options.split)
    for path in (options.json, options.out):
        if path:
            _make_place(path)
    if options.json:
        _write_json(options.json, report_content(dataset))
    print(report_text(dataset))
    if options.out:
        from frcnn_edu.viz.data_plots import draw_examples

        drawing, kind = draw_examples(dataset), options.out.suffix[1:] or "png"
        _write_whole(options.out, lambda draft: drawing.savefig(draft, format=kind))
        print(f"{options.out} shows images with their boxes")


# download


def _download(options: argparse.Namespace) -> None:
    print(download(options.name, options.out))


# What several commands share


def _device(name: str | None) -> torch.device:
    """The device to work on; under torchrun each process joins the others and takes its own GPU.

    Raises ValueError if this computer has no such device.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    available = [one for one in there if there[one]]
    name = name or available[0]
    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError):
        raise ValueError(f"--device {name}: PyTorch finds no such device here, but {', '.join(available)}") from None
    if "WORLD_SIZE" in os.environ and not dist.is_initialized():
        dist.init_process_group("nccl" if name == "cuda" else "gloo")
        atexit.register(dist.destroy_process_group)
        if name == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
            return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return torch.device(name)


# Options


def _train_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    parser.epilog = (
        f"{parser.epilog}. Under torchrun, processes on one computer or several share every batch; with --resume auto "
        "and an --out that all of them reach, a restarted or replaced one goes on by itself (the README has the lines)."
    )
    shapes = ", ".join(SHAPES)
    add("--data", required=True, metavar="FOLDER", help=f"images with boxes, or drawn shapes: {shapes}")
    add("--split", default="train", help="the part of the data to train on (default: %(default)s)")
    add("--out", type=Path, required=True, metavar="FOLDER", help="where checkpoints, weights and curves go")
    add("--model", choices=list(BUILDERS), default="tiny", help="the detector (default: %(default)s)")
    add("--weights-backbone", metavar="NAME", help="a pretrained backbone, such as IMAGENET1K_V1; downloaded once")
    add("--steps", type=_whole(1), default=Recipe.steps, help="how many batches to train on (default: %(default)s)")
    add("--batch-size", type=_whole(1), default=Recipe.batch_size, help="images per step (default: %(default)s)")
    add("--learning-rate", type=_positive, default=Recipe.learning_rate, help="the highest one (default: %(default)s)")
    add("--warmup", type=_share, default=Recipe.warmup, help="share of steps in which it rises (default: %(default)s)")
    add("--clip-norm", type=_positive, default=Recipe.clip_norm, help="longest gradient norm (default: %(default)s)")
    how = "vary colours, and mirror images sideways or, with all-ways, upside down as well"
    add("--augment", nargs="?", const="mirror", choices=list(AUGMENTATIONS), help=how)
    how = "multiply in bfloat16 where the device has instructions for it (default: on GPUs only)"
    add("--mixed-precision", action=argparse.BooleanOptionalAction, help=how)
    how = "compile the backbone, which takes minutes; meant for GPUs, on a CPU steps are slower"
    add("--compile", action="store_true", help=how)
    add("--seed", type=_whole(0), default=Recipe.seed, help="of everything random (default: %(default)s)")
    what = "go on with the run in --out, given the same options; with auto, begin one where there is none"
    add("--resume", nargs="?", const="always", choices=("always", "auto"), help=what)
    add("--checkpoint-every", type=_whole(1), default=100, metavar="STEPS", help="save this often (default: 100)")
    what = "measure mAP this often, and keep the best weights in the folder best of --out"
    add("--eval-every", type=_whole(1), metavar="STEPS", help=what)
    what = "the data to measure mAP on, at the end at least (default with --eval-every: val)"
    add("--eval-split", metavar="SPLIT", help=what)
    add("--log", choices=("tensorboard",), help="also write losses and mAP for TensorBoard, into --out")
    add("--workers", type=_whole(0), default=0, help="how many more processes load images (default: %(default)s)")
    what = "a setting of the detector, such as min_size=480; may be given several times"
    add("--option", type=_option, action="append", default=[], metavar="NAME=VALUE", help=what)
    _device_option(parser)


def _evaluate_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", required=True, metavar="FOLDER", help="images with boxes, as for train")
    add("--split", default="test", help="the part of the data to measure on (default: %(default)s)")
    _weights_option(parser)
    what = (
        "voc: AP at IoU 0.5; voc07: the same from eleven points, as in the paper; coco: the mean over IoU 0.5 to 0.95, "
        "and COCO's twelve lines (default: %(default)s)"
    )
    add("--style", choices=STYLES, default="voc", help=what)
    add("--batch-size", type=_whole(1), default=8, help="images at a time (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="also write the figures into this file")
    _device_option(parser)


def _predict_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="image files, or folders of them")
    _weights_option(parser)
    add("--out", type=Path, required=True, metavar="FOLDER", help="where the drawings and detections.json go")
    add("--score", type=_share, default=0.5, help="leave out what scores less, 0 to 1 (default: %(default)s)")
    _device_option(parser)


def _look_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", required=True, metavar="FOLDER", help="a folder, or an annotation file in it")
    add("--split", default="train", help="a split, all, or a share such as train:0.8 (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="also write the report into this file, as data")
    add("--out", type=Path, metavar="FILE", help="draw nine images with their boxes into this file")


def _download_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", choices=("voc2007", "bccd", "penn-fudan"), help="the data set")
    add("--out", type=Path, default=Path("data"), metavar="FOLDER", help="where it goes (default: %(default)s)")


def _weights_option(parser: argparse.ArgumentParser) -> None:
    what = (
        "the --out of a training, whose newest weights are taken, its folder best, or what export wrote; "
        f"{BLOOD_CELLS} for the detector that ships"
    )
    parser.add_argument("--weights", type=weights_path, required=True, metavar="FOLDER", help=what)


def _device_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", help="cuda, mps or cpu (default: the fastest there is)")


def _whole(least: int) -> Callable[[str], int]:
    """Reads a whole number that is not below `least`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"must be a whole number, {least} or more, got {text!r}")
        return value

    return read


def _positive(text: str) -> float:
    return _number(text, lambda value: 0 < value < math.inf, "a number above 0")


def _share(text: str) -> float:
    return _number(text, lambda value: 0 <= value <= 1, "a number from 0 to 1")


def _number(text: str, valid: Callable[[float], bool], what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not valid(value):
        raise argparse.ArgumentTypeError(f"must be {what}, got {text!r}")
    return value


def _option(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE, got {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


COMMANDS = {
    "train": (_train, _train_options),
    "evaluate": (_evaluate, _evaluate_options),
    "predict": (_predict, _predict_options),
    "look": (_look, _look_options),
    "download": (_download, _download_options),
}
"""What runs a command, and what adds its options to a parser."""
