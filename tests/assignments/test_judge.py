"""The judge and the pupil: what crosses between them, and what a student's code cannot do from where it runs."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

COURSE = Path(__file__).parents[2] / "notebooks" / "assignments"
PASSES = 'result = check("box_iou", box_iou)\ndisplay(result)\nassert result.passed, result.message'


def load(name):
    """A module of the course's folder, which is no package."""
    if name not in sys.modules:
        specification = importlib.util.spec_from_file_location(name, COURSE / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(sys.modules[name])
    return sys.modules[name]


pupil, judge = load("pupil"), load("judge")


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """The folder in which a student's code runs."""
    return tmp_path_factory.mktemp("desk")


@pytest.fixture(scope="module")
def process(desk):
    with judge.Pupil(desk, seconds=60.0) as process:
        yield process


@pytest.fixture
def bench(process):
    bench = judge.Bench(process)
    bench.prepare("import torch\nfrom frcnn_edu.exercises import check\nnot_run_here()")
    return bench


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        1.5,
        "words",
        torch.tensor(3.0),
        torch.zeros(0, 4),
        torch.tensor([[1, -2]], dtype=torch.int32),
        torch.tensor([True, False]),
        torch.tensor([1.5, 2.5], dtype=torch.bfloat16),
        np.arange(6.0).reshape(2, 3).T,
        np.float32(2.5),
        [1, (2, torch.ones(2))],
        {"recall": 0.5, 3: [None]},
    ],
    ids=repr,
)
def test_what_crosses_comes_out_as_it_went_in(value):
    back = pupil.decode(pupil.encode(value))
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        assert (back.dtype, back.shape) == (value.dtype, value.shape)
        assert (torch.as_tensor(back) == torch.as_tensor(value)).all()
    else:
        assert repr(back) == repr(value)


def test_what_cannot_cross_is_only_what_it_looks_like():
    assert repr(pupil.decode(pupil.encode(torch.Generator))) == repr(torch.Generator)
    assert hasattr(pupil.decode(pupil.encode(iter([1]))), "__next__")
    with pytest.raises(ValueError, match="no type of numbers"):
        pupil.decode({"tensor": "load", "shape": [1], "data": ""})


def error_of(outputs):
    return outputs[-1]["evalue"] if outputs and outputs[-1]["output_type"] == "error" else ""


def test_a_right_function_passes_and_shows_its_card(process, bench):
    process.run("import torchvision\n\ndef box_iou(a, b):\n    return torchvision.ops.box_iou(a, b)")
    (shown,) = bench.judge(PASSES)
    assert "passed" in shown["data"]["text/html"]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("def box_iou(a, b):\n    a += 1\n    return a", "`boxes1` in place"),
        (
            "def box_iou(a, b):\n    return a / undefined",
            "'undefined' is not defined (in the line `return",
        ),
        ("def box_iou(a, b):\n    yield 1", "generator"),
        ("def box_iou(a):\n    return a", "TypeError"),
        ("def box_iou(a, b):\n    raise SystemExit", "ends the program"),
        ("def box_iou(a, b):\n    raise NotImplementedError", "not written yet"),
        ("box_iou = None", "without calling it"),
        ("del box_iou", "name 'box_iou' is not defined"),
        ("from torchvision.ops import box_iou", "write it yourself"),
    ],
)
def test_a_wrong_function_is_diagnosed_from_afar(process, bench, written, words):
    process.run("box_iou = None")
    process.run(written)
    assert words in error_of(bench.judge(PASSES))


def test_cells_keep_their_outputs(process):
    outputs = process.run("import matplotlib.pyplot as plt\nprint('words')\nplt.plot([1, 2])\nplt.show()\n1 / 0")
    kinds = [output["output_type"] for output in outputs]
    assert kinds == ["stream", "display_data", "error"]
    assert "image/png" in outputs[1]["data"]
    assert len(process.run("print('x' * 10_000_000)")[0]["text"]) == pupil.MOST_PRINTED


@pytest.mark.parametrize(
    "look",
    [
        "open(course + '/judge.py').read()",
        "open(os.path.relpath(course) + '/judge.py').read()",
        "os.open(course + '/judge.py', os.O_RDONLY)",
        "os.listdir(course)",
        "sqlite3.connect(course + '/gradebook.db')",
        "os.symlink(course, 'link'), open('link/judge.py').read()",
        "shutil.copytree(course, 'copy')",
        "open(course + '/nowhere/grades.csv', 'w')",
        "os.remove(course + '/nothing.txt')",
        "subprocess.run(['cat', course + '/judge.py'])",
        "os.system('true')",
        "os.fork()",
        "os.kill(os.getppid(), 0)",
    ],
)
def test_the_folder_of_the_course_is_closed(process, look):
    source = f"import os, shutil, sqlite3, subprocess\ncourse = {str(COURSE)!r}\n{look}"
    assert process.run(source)[-1]["ename"] == "PermissionError"


def test_the_desk_is_open(process, desk):
    (desk / "data.txt").write_text("boxes")
    assert process.run("assert open('data.txt').read() == 'boxes'\nn = open('weights', 'w').write('1')") == []
    assert (desk / "weights").read_text() == "1"


def test_whoever_talks_over_the_line_is_cut_off(process):
    noise = "import os\nfor fd in range(3, 40):\n    try:\n        os.write(fd, b'passed\\n')\n    except OSError: pass"
    assert process.run("kept = 1") == []
    assert process.run(noise)[-1]["ename"] == "Ended"
    assert process.find("kept") == {"kind": "value", "value": 1}
