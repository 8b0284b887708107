"""The runner of the lessons keeps what a reader needs and drops what only one machine knows."""

import base64
import io
import re
import subprocess
import sys
import tomllib

import nbformat
import numpy as np
import pytest
from lesson_files import NOTEBOOKS
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image

from frcnn_edu.explorers.page_state import KEEPING, KIND
from frcnn_edu.site.live import shipped_buffers

sys.path.insert(0, str(NOTEBOOKS))
import execute


@pytest.fixture(autouse=True)
def keeping_ends(monkeypatch):
    """The runner sets a variable for its kernels, which explorers of later tests would read."""
    monkeypatch.setenv(KEEPING, "")


def png(pixels: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")


def as_left_by_a_kernel() -> nbformat.NotebookNode:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    flat = np.full((64, 64, 3), 200, np.uint8)
    outputs = [
        {
            "application/vnd.jupyter.widget-view+json": {"model_id": "f00"},
            "image/jpeg": "abc",
            "text/plain": "Canvas()",
        },
        {"image/png": png(noise), "text/plain": "<Figure>"},
        {"image/png": png(flat), "text/plain": "<Figure>"},
    ]
    cell = new_code_cell("show()", execution_count=1, id="show")
    cell.outputs = [nbformat.v4.new_output("display_data", data, metadata={"image/png": {"w": 9}}) for data in outputs]
    cell.metadata = nbformat.from_dict({"execution": {"iopub.status.busy": "2026-01-01"}, "tags": ["keep"]})
    notebook = new_notebook(cells=[new_markdown_cell("# 00", id="title"), cell])
    notebook.metadata = nbformat.from_dict(
        {"widgets": {"state": {"f00": {}}}, "kernelspec": {"name": "mine"}, "language_info": {"version": "3.13.7"}}
    )
    return notebook


def test_what_only_this_run_knew_is_gone():
    tidied = execute.tidy(as_left_by_a_kernel())
    text = nbformat.writes(tidied)
    assert not [word for word in ("widget", "f00", "2026", "3.13.7", "mine") if word in text]
    assert tidied.metadata.kernelspec.name == "python3"
    assert tidied.cells[1].metadata == {"tags": ["keep"]}
    nbformat.validate(tidied)


def test_a_live_view_leaves_its_plain_picture_behind():
    first = execute.tidy(as_left_by_a_kernel()).cells[1].outputs[0]
    assert first.data == {"image/jpeg": "abc", "text/plain": "Canvas()"}


def test_what_lets_an_explorer_move_on_a_page_stays_once_and_without_what_the_course_ships():
    notebook = as_left_by_a_kernel()
    (shipped,) = shipped_buffers()
    state = {"boxes": {"buffer": "own"}, "half_weights": {"buffer": shipped}}
    kept = {"class": "Heads", "state": state, "answers": [], "buffers": {"own": "AAAA", shipped: "BBBB"}}
    for output in notebook.cells[1].outputs[:2]:
        output.data[KIND] = nbformat.from_dict(kept)
    first, second, _ = execute.tidy(notebook).cells[1].outputs
    assert first.data[KIND] == kept | {"buffers": {"own": "AAAA"}}
    assert second.data[KIND] == kept | {"buffers": {}}
    assert first.data["image/jpeg"] == "abc"


def test_a_photograph_becomes_a_jpeg_and_a_drawing_stays_a_png():
    _, photograph, drawing = execute.tidy(as_left_by_a_kernel()).cells[1].outputs
    assert set(photograph.data) == {"image/jpeg", "text/plain"}
    assert Image.open(io.BytesIO(base64.b64decode(photograph.data["image/jpeg"]))).size == (64, 64)
    assert set(drawing.data) == {"image/png", "text/plain"}


def test_a_drawing_without_a_ground_keeps_none_and_has_few_colours():
    ramp = np.arange(64 * 64, dtype=np.uint32).view(np.uint8).reshape(64, 64, 4)
    ramp[..., 3] = 255
    ramp[:32, :, 3] = 0
    notebook = as_left_by_a_kernel()
    notebook.cells[1].outputs = [nbformat.v4.new_output("display_data", {"image/png": png(ramp)})]
    (kept,) = execute.tidy(notebook).cells[1].outputs
    picture = Image.open(io.BytesIO(base64.b64decode(kept.data["image/png"])))
    assert picture.mode == "P"
    alpha = np.array(picture.convert("RGBA"))[..., 3]
    assert alpha[:32].max() == 0
    assert alpha[32:].min() == 255


def test_the_code_of_an_answer_is_folded_and_no_other():
    notebook = new_notebook(
        cells=[new_code_cell("card.compare(3)"), new_code_cell("3"), new_markdown_cell("`.compare(`")]
    )
    folded = [cell.metadata.get("jupyter") for cell in execute.tidy(notebook).cells]
    assert folded == [{"source_hidden": True}, None, None]


def test_what_was_printed_in_pieces_is_kept_in_one():
    notebook = as_left_by_a_kernel()
    picture = notebook.cells[1].outputs[0]
    said = [nbformat.v4.new_output("stream", name=name, text=text) for name, text in ("oa", "ob", "ec")]
    notebook.cells[1].outputs = [*said, picture, nbformat.v4.new_output("stream", name="e", text="d")]
    streams = [one.get("text") for one in execute.tidy(notebook).cells[1].outputs]
    assert streams == ["ab", "c", None, "d"]


def test_tidying_twice_changes_nothing():
    once = execute.tidy(as_left_by_a_kernel())
    assert execute.tidy(once) == once


def test_a_lesson_runs_in_an_empty_folder_and_twice_gives_the_same_file(tmp_path):
    path = tmp_path / "09_tiny.ipynb"
    code = "import os; print(os.listdir())"
    nbformat.write(new_notebook(cells=[new_markdown_cell("# 09"), new_code_cell(code, id="look")]), path)
    execute.execute(path)
    first = path.read_text(encoding="utf-8")
    lesson = nbformat.reads(first, as_version=4)
    assert [cell.source for cell in lesson.cells] == ["# 09", execute.FIRST_CELL, code]
    assert lesson.cells[2].outputs[0].text == "[]\n"
    execute.execute(path)
    assert path.read_text(encoding="utf-8") == first


def test_where_the_course_is_not_installed_the_first_cell_says_the_line_that_installs_it():
    nothing_installed = ("-I", "-S")
    done = subprocess.run(
        [sys.executable, *nothing_installed, "-c", execute.FIRST_CELL], capture_output=True, text=True
    )
    assert (
        'frcnn_edu is not installed; run this in a cell of its own, then go on from here: %pip install "' in done.stderr
    )
    (line,) = re.findall(r'%pip install "(.+)"$', done.stderr, re.MULTILINE)
    project = tomllib.loads((NOTEBOOKS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert line in {f"{project['name']}[{extra}]" for extra in project["optional-dependencies"]}


def test_a_lesson_that_fails_is_left_as_it_was(tmp_path):
    path = tmp_path / "09_broken.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("1 / 0", id="broken")]), path)
    before = path.read_bytes()
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        execute.execute(path)
    assert path.read_bytes() == before
