"""The command that writes a detector as an ONNX file: `export`."""

import argparse
from pathlib import Path

from torchvision.models import get_model_weights

from frcnn_edu.commands.weights import BLOOD_CELLS, weights_path
from frcnn_edu.faster_rcnn import FasterRCNN, fasterrcnn_resnet50_fpn
from frcnn_edu.pretrained import DETECTOR, coco_class_names
from frcnn_edu.training.checkpoints import ModelCard, load_model
from frcnn_edu.training.export import check_place, export


def _export(options: argparse.Namespace) -> None:
    check_place(options.out)
    model, card = _open(options.weights)
    export(model, card, options.out, options.half)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB, {len(card.class_names) - 1} classes")


def _open(weights: Path) -> tuple[FasterRCNN, ModelCard]:
    """The detector in a folder, or torchvision's with its weights of that name."""
    name = str(weights)
    if name not in get_model_weights(DETECTOR).__members__ or weights.exists():
        return load_model(weights)
    return fasterrcnn_resnet50_fpn(weights=name), ModelCard("resnet50_fpn", coco_class_names())


def _export_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    what = f"the --out of a training, its folder best, COCO_V1 for torchvision's detector, or {BLOOD_CELLS} for ours"
    add("--weights", type=weights_path, required=True, metavar="FOLDER", help=what)
    add("--out", type=Path, required=True, metavar="FILE", help="the file to write; its name ends in .onnx")
    add("--half", action="store_true", help="store weights in half precision: a file half as large")


COMMANDS = {"export": (_export, _export_options)}
"""What runs a command, and what adds its options to a parser."""
