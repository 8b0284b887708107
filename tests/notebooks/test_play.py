"""A restless learner moves what can be moved, and notices what breaks."""

import os
import subprocess
import sys
from pathlib import Path

import ipywidgets
import nbformat
import play
import pytest
from built_explorers import World
from nbformat.v4 import new_code_cell, new_notebook

HERE = Path(__file__).parent
PASSIVE = {"BoxCanvas", "FileDrop"}
"""Without a control of their own: boxes of the first are moved, the second waits for a file."""

WORLD = World()


@pytest.fixture(autouse=True)
def none_yet(monkeypatch):
    monkeypatch.setattr(play, "_played", set(ipywidgets.widget._instances))


@pytest.mark.parametrize("name", sorted(set(WORLD.makers()) - PASSIVE))
def test_every_explorer_can_be_played_with(name):
    explorer = WORLD.makers()[name]()
    before = explorer.get_state()
    moved = play.play()
    assert [one for one in moved if one.startswith(f"{name}.")]
    assert explorer.get_state() != before
    assert play.play() == [], "once is enough"


def test_boxes_go_where_they_can_be_dragged_to():
    canvas = WORLD.makers()["BoxCanvas"]()
    before = canvas.boxes.copy()
    assert play.play() == ["BoxCanvas.boxes"]
    assert (canvas.boxes != before).any()


def test_sliders_go_to_their_far_end_and_choices_to_another():
    slider, number = ipywidgets.IntSlider(7, 0, 10), ipywidgets.FloatText(1.5)
    chosen, switch = ipywidgets.Dropdown(options=["a", "b"], value="a"), ipywidgets.Checkbox(False)
    play.play()
    assert (slider.value, number.value, chosen.value, switch.value) == (0, 6.0, "b", True)


EXPLORER = "import torch\nfrom frcnn_edu.explorers.lesson_05_proposals import NmsExplorer\n" + (
    "boxes = torch.tensor([[0.0, 0, 30, 30], [5, 0, 35, 30]])\n"
    "nms = NmsExplorer(torch.zeros(3, 40, 40), boxes, torch.tensor([0.9, 0.8]), threshold=0.7)"
)


LESSON = {
    "an explorer": EXPLORER,
    "relies on its state": "assert nms.threshold == 0.7",
    "sets it first": "nms.threshold = 0.7\nassert nms.threshold == 0.7",
    "a list": "names = ['a']",
    "runs only once": "names.pop()",
}
BROKEN = {"relies on its state", "runs only once"}


def test_cells_that_break_under_play_fail(tmp_path):
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in LESSON.values()]), tmp_path / "lesson.ipynb")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(HERE), os.environ.get("PYTHONPATH", "")))}
    command = [sys.executable, "-m", "pytest", "-p", "restless", "--nbval-lax", "--nbval-current-env", "lesson.ipynb"]
    done = subprocess.run([*command, "-rA"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    for number, name in enumerate(LESSON):
        outcome = "FAILED" if name in BROKEN else "PASSED"
        assert f"{outcome} lesson.ipynb::Cell {number}" in done.stdout, name + done.stdout + done.stderr
