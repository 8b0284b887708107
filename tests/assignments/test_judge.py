"""The judge and the pupil: what crosses between them, and what a student's code cannot do from where it runs."""

import importlib.util
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader.api import Gradebook

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


@pytest.fixture(scope="module")
def fenced(desk, tmp_path_factory):
    """A process beside a course that it may spoil, should the fence have a hole, and that course's folder."""
    course = tmp_path_factory.mktemp("term") / "lessons" / "course"
    course.mkdir(parents=True)
    shutil.copy(COURSE / "pupil.py", course)
    (course / "secret").write_text("hidden tests")
    with closing(sqlite3.connect(course / "gradebook.db")) as gradebook:
        gradebook.execute("create table grade (points)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "HERE", course)
        with judge.Pupil(desk, seconds=60.0) as process:
            yield process, course


@pytest.mark.parametrize(
    "attempt",
    [
        "sqlite3.connect(f'file:{course}/gradebook.db', uri=True).execute('select * from grade')",
        "sqlite3.connect(':memory:').execute(f\"attach '{course}/gradebook.db' as g\")",
        "open('mine', 'w').close(); os.rename('mine', course + '/secret')",
        "open('mine', 'w').close(); os.replace('mine', '../' * 9 + course[1:] + '/secret')",
        "os.rename(parent, parent + '2')",
        "os.rename(os.path.dirname(parent), 'taken')",
        "shutil.move(parent, 'taken')",
        "shutil.rmtree(parent)",
        "os.chmod(parent, 0)",
        "os.chmod(os.open(parent, os.O_RDONLY), 0)",
        "os.mkdir(course + '/more')",
        "os.utime(course + '/secret')",
        "os.link(course + '/secret', 'x'); open('x').read()",
        "os.link('course/secret', 'y', src_dir_fd=os.open(parent, os.O_RDONLY))",
        "os.symlink('data.txt', course + '/link')",
        "os.chdir(course)",
        "os.open('course/secret', os.O_RDONLY, dir_fd=os.open(parent, os.O_RDONLY))",
        "top = os.open(parent, os.O_RDONLY); os.chdir('/'); os.open('course/secret', os.O_RDONLY, dir_fd=top)",
        "os.remove('course/secret', dir_fd=os.open(parent, os.O_RDONLY))",
        "os.rename('course', 'coarse', src_dir_fd=os.open(parent, os.O_RDONLY))",
        "open('secret', opener=lambda name, flags: os.open(f'course/{name}', flags, dir_fd=os.open(parent, 0)))",
        "os.killpg(os.getpgrp(), 0)",
        "multiprocessing.get_context('spawn').Process(target=os.getpid).start()",
    ],
)
def test_everyday_ways_around_the_fence_are_closed(fenced, desk, attempt):
    process, course = fenced
    before = sorted(course.parents[1].rglob("*"))
    places = f"course, parent = {str(course)!r}, {str(course.parent)!r}"
    source = f"import multiprocessing, os, shutil, sqlite3\nos.chdir({str(desk)!r})\n{places}\n{attempt}"
    assert [output["ename"] for output in process.run(source)] == ["PermissionError"]
    assert sorted(course.parents[1].rglob("*")) == before
    assert (course / "secret").read_text() == "hidden tests"


HONEST_WORK = """
import os, shutil, tempfile
from pathlib import Path
import torch, torchvision
import matplotlib.pyplot as plt
from PIL import Image

Path("made/deep").mkdir(parents=True)
Path("made/deep/a.txt").write_text("a")
os.rename("made/deep/a.txt", "made/b.txt")
os.symlink("b.txt", "made/c.txt")
os.link("made/b.txt", "made/d.txt")
shutil.copytree("made", "copied", symlinks=True)
shutil.move("copied", "moved")
assert sorted(path.name for path in Path("moved").rglob("*")) == ["b.txt", "c.txt", "d.txt", "deep"]
for folder in ("made", "moved"):
    shutil.rmtree(folder)

torch.save({"weight": torch.ones(2)}, "weights.pt")
assert torch.load("weights.pt")["weight"].sum() == 2
Image.new("RGB", (8, 8)).save("photograph.png")
assert torchvision.io.read_image("photograph.png").shape == (3, 8, 8)
plt.plot([1, 2])
plt.savefig("plot.png")
plt.close()

with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile(dir=folder) as file:
    file.write(b"1")
    folder_of_mine = os.open(folder, os.O_RDONLY)
    os.close(os.open("new", os.O_CREAT, dir_fd=folder_of_mine))
    assert len(os.listdir(folder_of_mine)) == 2
assert not os.path.exists(folder)
os.chdir("..")
assert os.listdir()
"""


def test_honest_work_meets_no_fence(fenced):
    process, _ = fenced
    assert process.run(HONEST_WORK) == []


def test_the_desk_is_open(process, desk):
    (desk / "data.txt").write_text("boxes")
    assert process.run("assert open('data.txt').read() == 'boxes'\nn = open('weights', 'w').write('1')") == []
    assert (desk / "weights").read_text() == "1"


def test_whoever_talks_over_the_line_is_cut_off(process):
    noise = "import os\nfor fd in range(3, 40):\n    try:\n        os.write(fd, b'passed\\n')\n    except OSError: pass"
    assert process.run("kept = 1") == []
    assert process.run(noise)[-1]["ename"] == "Ended"
    assert process.find("kept") == {"kind": "value", "value": 1}


@pytest.fixture
def gradebook(tmp_path, monkeypatch):
    """A gradebook with one notebook: a test, and a function that a teacher grades by hand, in one cell."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)  # nbgrader calls alembic
    url = f"sqlite:///{tmp_path}/gradebook.db"
    with Gradebook(url) as gradebook:
        gradebook.add_assignment("a9")
        gradebook.add_notebook("work", "a9")
        for name, source, locked in (("test", "assert here", True), ("written", "", False)):
            gradebook.add_source_cell(name, "work", "a9", source=source, cell_type="code", locked=locked)
            gradebook.add_grade_cell(name, "work", "a9", max_score=2, cell_type="code")
        gradebook.add_solution_cell("written", "work", "a9")
    return {"db_url": url, "notebook": "work", "assignment": "a9"}


def test_what_a_cell_is_comes_from_the_gradebook(gradebook, tmp_path, monkeypatch):
    """A student who writes into the notebook that his own cell is a test has it neither run by the judge nor graded."""
    whose = "import os\nhere = open('where', 'w').write(str(os.getpid()))"
    pretends = {"grade": True, "solution": False, "points": 100.0}
    hides = {"grade": True, "solution": True, "points": 100.0}
    monkeypatch.chdir(tmp_path)
    desk = tmp_path / "handed_in"
    desk.mkdir()
    cells = [
        new_code_cell(whose, metadata={"nbgrader": {"grade_id": "written", **pretends}}),
        new_code_cell("print(open('where').read())"),
        new_code_cell("print('no test')", metadata={"nbgrader": {"grade_id": "test", **hides}}),
        new_code_cell("print(open('where').read())", metadata={"nbgrader": {"grade_id": "mine", **pretends}}),
    ]
    notebook, _ = judge.Judge().preprocess(
        new_notebook(cells=cells), {"nbgrader": gradebook, "metadata": {"path": str(desk)}}
    )
    written, shown, test, mine = notebook.cells
    assert written.outputs == []
    assert shown.outputs[0].text == mine.outputs[0].text != f"{os.getpid()}\n"
    assert test.outputs == []  # the teacher's test, with the pupil's `here`
    assert not Path("where").exists()
    wanted = {"written": (True, True), "test": (True, False)}
    for cell in (written, test):
        about = cell.metadata.nbgrader
        assert (about.grade, about.solution, about.points) == (*wanted[about.grade_id], 2)
