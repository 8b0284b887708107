"""Export: a detector as one file of standard ONNX operators, which runs without PyTorch, in a browser for example.

The graph takes one image, float (3, H, W) in [0, 1] of any size, and resizes it itself. Its first outputs are ``boxes``
in pixels of that image, ``labels`` and ``scores``; after them come all intermediate results of a `Trace` under its
names: ``features.0``, ``rpn.logits``, ``rpn.proposals.clipped``, ``roi.pooled`` … (see `stages`). The metadata hold
what `ModelCard` and `Config` do, as JSON. Nothing is written by hand: what is exported is `FasterRCNN.trace`, with the
operators of `onnx_operators` in place of a few.

It needs the packages of the extra ``export``; to run an exported detector, onnxruntime is enough.
"""

import errno
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_unflatten

from frcnn_edu import __version__
from frcnn_edu.faster_rcnn import FasterRCNN, Trace
from frcnn_edu.images import check_images
from frcnn_edu.training.checkpoints import CheckpointError, ModelCard, load_model
from frcnn_edu.training.onnx_operators import OPSET, TRANSLATIONS, standing_in

if TYPE_CHECKING:
    from onnx_ir import Model

SUFFIX = ".onnx"
DETECTIONS = ("boxes", "labels", "scores")
EXAMPLE_SIZE = 224, 288
"""Of the image that the exporter sees; the graph takes any."""
LONGEST_SIDE = 2**14
"""The exporter reasons with it; the graph has no limit."""
HALF_FROM = 256
"""Weights of fewer numbers stay in single precision: halving them saves nothing."""


def export(model: FasterRCNN, card: ModelCard, path: str | Path, half: bool = False) -> None:
    """Write `model`, on the CPU, as the ONNX file `path`, whole or not at all; leaves it in evaluation mode.

    With `half`, weights are stored in half precision; the arithmetic stays in single precision.
    Raises what `check_place` raises, and ValueError for weights that are not finite.
    """
    path = Path(path)
    check_place(path)
    broken = [name for name, values in model.state_dict().items() if not values.isfinite().all()]
    if broken:
        raise ValueError(f"the weights {broken[0]} hold NaN or infinity; their training has diverged")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    try:
        with draft.open("wb") as file:  # before the work, because it fails where nothing can be written
            file.write(_content(model.eval(), card, half))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def check_place(path: Path) -> None:
    """Raises ImportError, ValueError or OSError if `export` cannot write this file, as far as can be told before."""
    require("onnx", "onnxscript")
    if path.suffix != SUFFIX:
        raise ValueError(f"{path} must end in {SUFFIX}, by which an exported detector is recognised")
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "this is a folder; name a file", str(path))


def stages(trace: Trace) -> dict[str, Tensor]:
    """Every tensor of the trace of one image by its path, ``rpn.proposals.kept`` for example; detections have no path.

    These are the names of the graph's outputs.
    """
    named = {path.removeprefix("detections."): value for path, value in _tensors("", trace)}
    return {name: named[name] for name in DETECTIONS} | named


def _tensors(path: str, value: object) -> list[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        return [(path, value)]
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        parts = [(f"{path}.{name}".removeprefix("."), part) for name, part in value.items()]
    elif isinstance(value, list) and len(value) == 1:
        parts = [(path, value[0])]
    else:
        return []
    return [tensor for name, part in parts for tensor in _tensors(name, part)]


class _OnePass(nn.Module):
    def __init__(self, model: FasterRCNN) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, resized: Tensor) -> dict[str, Tensor]:
        with standing_in(self.model, resized):
            return stages(self.model.trace([image]))


def _content(model: FasterRCNN, card: ModelCard, half: bool) -> bytes:
    import onnx_ir

    exported = _graph(model)
    if half:
        _halve(exported)
    _tidy(exported, model, card)
    return onnx_ir.to_proto(exported).SerializeToString()


@torch.no_grad()
def _graph(model: FasterRCNN) -> "Model":
    """The pass over one image as a graph.

    PyTorch can reason about the sizes of what is given, not of what is computed, so it is given the resized image, too;
    in the graph that is then the one that was computed.
    """
    import onnx_ir

    example = {"image": torch.zeros(3, *EXAMPLE_SIZE), "resized": torch.zeros(1, 3, *EXAMPLE_SIZE)}
    side = torch.export.Dim.AUTO(min=1, max=LONGEST_SIDE)
    shapes = {"image": {1: side, 2: side}, "resized": {2: side, 3: side}}
    program = torch.export.export(_OnePass(model), (), example, dynamic_shapes=shapes)
    names = list(tree_unflatten(program.graph_signature.user_outputs, program.call_spec.out_spec))
    written = torch.onnx.export(
        program,
        input_names=list(example),
        output_names=names,
        opset_version=OPSET,
        custom_translation_table=TRANSLATIONS,
        verbose=False,
    )
    assert written is not None
    exported = written.model
    graph = exported.graph
    (batch,) = (output for output in graph.outputs if output.name == "batch.tensors")
    onnx_ir.convenience.replace_all_uses_with(graph.inputs.pop(), batch)
    graph.sort()
    return exported


def _tidy(exported: "Model", model: FasterRCNN, card: ModelCard) -> None:
    """Leave out what the exporter notes down about its own work, and add what a reader of the file needs."""
    import onnx_ir

    exported.producer_name, exported.producer_version = "frcnn_edu", __version__
    exported.graph.name = card.model
    for node in exported.graph:
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
            if value.shape is not None:
                value.shape = onnx_ir.Shape([size if isinstance(size, int) else None for size in value.shape])
    exported.graph.inputs[0].shape = onnx_ir.Shape([3, "height", "width"])
    config = {name: value if value != math.inf else None for name, value in asdict(model.config).items()}
    anchors_per_cell = model.rpn.anchor_generator.num_anchors_per_location()
    noted = {**asdict(card), "config": config, "anchors_per_cell": anchors_per_cell}
    exported.metadata_props.clear()
    exported.metadata_props.update({name: json.dumps(value, ensure_ascii=False) for name, value in noted.items()})


def _halve(exported: "Model") -> None:
    """Store weights in half precision, each widened again by a Cast; what half precision cannot hold stays."""
    import onnx_ir

    graph = exported.graph
    for name, value in list(graph.initializers.items()):
        assert value.const_value is not None
        single = value.const_value.numpy()
        fits = np.abs(single).max(initial=0) <= np.finfo("float16").max
        if single.dtype != "float32" or single.size < HALF_FROM or not fits:
            continue
        stored = onnx_ir.Value(name=f"{name}.half", const_value=onnx_ir.tensor(single.astype("float16")))
        widened = onnx_ir.node("Cast", [stored], {"to": onnx_ir.DataType.FLOAT})
        onnx_ir.convenience.replace_all_uses_with(value, widened.outputs[0])
        graph.insert_before(graph[0], widened)
        del graph.initializers[name]
        graph.register_initializer(stored)


# Running it


class OnnxDetector(nn.Module):
    """An exported detector, run by ONNX Runtime on the CPU; it is called as a `FasterRCNN` in evaluation mode is.

    Raises CheckpointError for a file that `export` did not write, ImportError if onnxruntime is missing.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        require("onnxruntime")
        import onnxruntime

        options, self.run_options = onnxruntime.SessionOptions(), onnxruntime.RunOptions()
        options.log_severity_level = 3  # errors only
        self.run_options.only_execute_path_to_fetches = True
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            noted = self.session.get_modelmeta().custom_metadata_map
            self.metadata = {name: json.loads(value) for name, value in noted.items()}
            self.card = ModelCard(*(self.metadata[name] for name in ("model", "class_names", "options")))
        except Exception as error:  # ONNX Runtime has exceptions of its own
            reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
            raise CheckpointError(f"{path} is no detector that export wrote ({reason})") from error
        self.like = nn.Parameter(torch.zeros(()), requires_grad=False)  # where callers look for device and dtype

    def forward(self, images: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """``boxes``, ``labels`` and ``scores`` of every image; raises what `FasterRCNN.forward` raises."""
        return [self._run(image, DETECTIONS) for image in check_images(images, self.like)]

    def stages(self, image: Tensor) -> dict[str, Tensor]:
        """Every output of the graph for one image; see the function `stages`."""
        (image,) = check_images([image], self.like)
        return self._run(image, [output.name for output in self.session.get_outputs()])

    def _run(self, image: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        found = self.session.run(names, {"image": image.numpy()}, self.run_options)
        return {name: torch.from_numpy(values) for name, values in zip(names, found, strict=True)}


def load_detector(path: str | Path, device: str | torch.device = "cpu") -> tuple[nn.Module, ModelCard]:
    """A detector and its card: what `load_model` loads, or an exported detector, which runs on the CPU.

    Raises what `load_model` and `OnnxDetector` raise.
    """
    if Path(path).suffix != SUFFIX or Path(path).is_dir():
        return load_model(path, device)
    if not Path(path).is_file():
        raise CheckpointError(f"{path} is not there: name a file that export wrote")
    detector = OnnxDetector(path)
    return detector, detector.card


def require(*packages: str) -> None:
    """Raises ImportError that says what to install, unless all `packages` are installed."""
    missing = [package for package in packages if not find_spec(package)]
    if missing:
        raise ImportError(f'{missing[0]} is not installed: pip install "frcnn-edu[export]"')
