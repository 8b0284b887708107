"""The playground: a page on which the shipped detector runs in the browser, with no Python behind it.

`write` puts everything that the page asks for into one folder: page, scripts and style, ONNX Runtime Web from
node_modules, and the detector after each step of the training that ships, as `export` writes it.
"""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

import frcnn_edu
from frcnn_edu.course.shipped_detector import load_trained, trained_report, trained_steps
from frcnn_edu.explorers.bundle import bundle, styles
from frcnn_edu.site.colors import variables
from frcnn_edu.training.checkpoints import ModelCard
from frcnn_edu.training.export import export

if TYPE_CHECKING:
    from onnx_ir import Model

HERE = Path(__file__).parent
DISTRIBUTION = Path(frcnn_edu.__file__).parents[1] / "node_modules" / "onnxruntime-web" / "dist"
RUNTIME = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
"""ONNX Runtime Web for WebAssembly: its script, and what that loads."""
FIRST_SCENE = 44
"""It has a shape of every class, and one of them is missed."""


def write(folder: Path) -> None:
    """Write the page into `folder`, which is made where it is missing.

    Raises FileNotFoundError where npm has not installed ONNX Runtime Web, and what `export` raises.
    """
    runtime = folder / "runtime"
    runtime.mkdir(parents=True, exist_ok=True)
    for name in RUNTIME:
        if not (DISTRIBUTION / name).is_file():
            raise FileNotFoundError(f"{DISTRIBUTION / name} is missing: python tests/js/node_tools.py installs it")
        shutil.copyfile(DISTRIBUTION / name, runtime / name)
    snapshots = _write_snapshots(folder)
    sizes = [path.stat().st_size for path in (*runtime.iterdir(), folder / snapshots[-1]["file"])]
    facts = {"snapshots": snapshots, "seed": FIRST_SCENE, "megabytes": round(sum(sizes) / 1e6)}
    page = (HERE / "page.html").read_text(encoding="utf-8")
    files = {
        "index.html": page.replace("{{facts}}", json.dumps(facts)).replace("{{megabytes}}", str(facts["megabytes"])),
        "playground.css": f"{variables()}\n{styles(HERE / 'playground.css')}",
        "playground.js": str(bundle(HERE / "playground.js")),
        "worker.js": (HERE / "worker.js").read_text(encoding="utf-8"),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def _write_snapshots(folder: Path) -> list[dict[str, Any]]:
    """The detector after each step that ships, weights in half precision as they ship, and what the page says of it."""
    report = trained_report()
    card = ModelCard(report["model"], tuple(report["class_names"]))
    last = trained_steps()[-1]
    files = {step: f"detector-{step:06d}.onnx" for step in trained_steps()}
    export(load_trained(last), card, folder / files[last], half=True)

    import onnx_ir  # now, for export says what to install where it is missing

    graph = onnx_ir.load(folder / files[last])
    holders = _holders(graph, load_trained(last).state_dict())
    for step in trained_steps()[:-1]:
        for name, weight in load_trained(step).state_dict().items():
            before = holders[name].const_value
            after = weight.numpy().reshape(before.shape).astype(before.numpy().dtype)
            holders[name].const_value = onnx_ir.tensor(after, name=holders[name].name)
        onnx_ir.save(graph, folder / files[step])
    return [{"step": step, "file": files[step], "map": report["map"][step]} for step in trained_steps()]


def _holders(exported: "Model", weights: dict[str, Tensor]) -> dict[str, Any]:
    """The initializer of a graph that holds each weight. They are found by their values: the exporter renames some."""
    constants = [
        (value, value.const_value.numpy().ravel())
        for value in exported.graph.initializers.values()
        if value.const_value is not None
    ]
    found = {}
    for name, weight in weights.items():
        same = [value for value, numbers in constants if np.array_equal(numbers, weight.numpy().ravel())]
        if len(same) != 1:
            raise LookupError(f"{len(same)} constants of the graph are {name}, so no other weights can be put there")
        found[name] = same[0]
    return found
