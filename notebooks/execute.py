"""Run the lessons and keep their outputs: `make notebooks`, or `python notebooks/execute.py 00_overview`.

Lessons are committed with their outputs, so that they can be read without a kernel. What depends on the machine or the
day is removed: times, versions, and widgets, which JupyterLab cannot show without their state; their plain images stay,
as JPEG where that is much smaller, drawings with 256 colours, and so does what `make site` needs to let explorers move
on a page. Running a lesson again changes the file only where its outputs differ.

The code of cells that answer a question is folded. The first code cell of every lesson is made here: it checks that
the course is installed, since a lesson may be opened alone, on Colab for example. Lessons run in an empty folder, which
shows that they need no file beside them.
"""

import base64
import io
import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

from frcnn_edu.explorers.page_state import KEEPING, KIND
from frcnn_edu.site.live import shipped_buffers
from frcnn_edu.site.transparent import ALPHA, alpha_of
from frcnn_edu.viz.png import with_few_colors

HERE = Path(__file__).parent
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"}
FIRST_CELL_ID = "is-it-installed"
FIRST_CELL = """\
# Is the course installed here? This cell is the same in every lesson.
from importlib.util import find_spec

if missing := [name for name in ("frcnn_edu", "anywidget", "matplotlib", "skimage") if not find_spec(name)]:
    message = 'run this in a cell of its own, then go on from here: %pip install "frcnn-edu[lessons]"'
    raise ModuleNotFoundError(f"{missing[0]} is not installed; {message}")"""
SECONDS_PER_CELL = 900
LIVE_VIEW = "application/vnd.jupyter.widget-view+json"
JPEG_QUALITY = 85
ANSWERS = ".compare("
"""The code of a cell with this in it answers a question card: it is folded, or it would be read before the guess."""

FOLDED = {"source_hidden": True}
LARGEST_JPEG = 0.6
"""An image becomes a JPEG if that has at most this share of the PNG's bytes: photographs do, drawings do not."""


def execute(path: Path) -> float:
    """Run the lesson at `path` in a new kernel and write it there; returns seconds.

    Raises nbclient's CellExecutionError where a cell fails, and does not write the file then.
    """
    lesson = with_first_cell(nbformat.read(path, as_version=4))
    started = time.perf_counter()
    options = {"kernel_name": KERNEL["name"], "timeout": SECONDS_PER_CELL, "record_timing": False}
    os.environ[KEEPING] = "1"
    with tempfile.TemporaryDirectory() as empty:
        NotebookClient(lesson, store_widget_state=False, resources={"metadata": {"path": empty}}, **options).execute()
    seconds = time.perf_counter() - started
    nbformat.write(tidy(lesson), path)
    return seconds


def with_first_cell(lesson: NotebookNode) -> NotebookNode:
    """The lesson with `FIRST_CELL` as its first code cell, in the place of the one it had."""
    cells = [cell for cell in lesson.cells if cell.get("id") != FIRST_CELL_ID]
    code = next((i for i, cell in enumerate(cells) if cell.cell_type == "code"), len(cells))
    first = nbformat.v4.new_code_cell(FIRST_CELL, id=FIRST_CELL_ID, execution_count=1)
    return NotebookNode(lesson | {"cells": [*cells[:code], first, *cells[code:]]})


def tidy(lesson: NotebookNode) -> NotebookNode:
    """The lesson without what depends on this run; idempotent."""
    lesson = nbformat.from_dict(lesson)
    lesson.metadata = NotebookNode(kernelspec=NotebookNode(KERNEL), language_info=NotebookNode(LANGUAGE))
    known = set(shipped_buffers())
    for cell in lesson.cells:
        cell.metadata = NotebookNode({key: value for key, value in cell.metadata.items() if key == "tags"})
        if cell.cell_type == "code" and ANSWERS in cell.source:
            cell.metadata["jupyter"] = NotebookNode(FOLDED)
        if "outputs" in cell:
            cell.outputs = _joined(cell.outputs)
        for output in cell.get("outputs", []):
            _tidy_output(output, known)
    return lesson


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Consecutive outputs on the same stream as one: how they are split depends on the machine."""
    joined: list[NotebookNode] = []
    for output in outputs:
        before = joined[-1] if joined else {}
        if output.output_type == "stream" == before.get("output_type") and output.name == before.name:
            before.text += output.text
        else:
            joined.append(output)
    return joined


def _tidy_output(output: NotebookNode, known: set[str]) -> None:
    """`known` are the keys of the bytes that need not be kept again; it grows."""
    data = output.get("data", {})
    data.pop(LIVE_VIEW, None)
    if KIND in data and "buffers" in data[KIND]:
        kept = data[KIND]["buffers"]
        data[KIND]["buffers"] = NotebookNode({key: text for key, text in kept.items() if key not in known})
        known |= set(kept)
    if "image/png" in data:
        output.setdefault("metadata", NotebookNode()).update(_shrink(data))
    if "metadata" in output:
        output.metadata = NotebookNode({kind: value for kind, value in output.metadata.items() if kind in data})


def _shrink(data: NotebookNode) -> dict:
    """Keep a PNG as a JPEG where that is much smaller, or else with 256 colours; returns what else is to be kept.

    A JPEG lies on white, as it cannot be transparent; how much of that white is ground goes into the metadata.
    """
    whole = base64.b64decode(data["image/png"])
    picture = Image.open(io.BytesIO(whole))
    if picture.mode == "P":  # it has 256 colours already
        return {}
    picture = picture.convert("RGBA")
    jpeg = io.BytesIO()
    flat = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    flat.convert("RGB").save(jpeg, "JPEG", quality=JPEG_QUALITY)
    if jpeg.tell() <= LARGEST_JPEG * len(whole):
        del data["image/png"]
        data["image/jpeg"] = base64.b64encode(jpeg.getvalue()).decode("ascii")
        return {"image/jpeg": NotebookNode({ALPHA: alpha_of(picture)})}
    data["image/png"] = base64.b64encode(with_few_colors(picture)).decode("ascii")
    return {}


def main(names: list[str]) -> None:
    """Run the named lessons, with or without .ipynb, or all."""
    paths = [HERE / f"{Path(name).stem}.ipynb" for name in names] or sorted(HERE.glob("*.ipynb"))
    for path in paths:
        seconds = execute(path)
        print(f"{path.name}: {seconds:.1f} s, {path.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
