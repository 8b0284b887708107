"""The judge and the pupil: what crosses between them, and what a test makes of it."""

import os
import sys
from pathlib import Path

import judge
import numpy as np
import nursery
import process
import pupil
import pytest
import torch
import walls
import wire
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader.api import Gradebook

UNFENCED = bool(walls.missing(Path(judge.__file__).parent))
PASSES = 'result = check("box_iou", box_iou)\ndisplay(result)\nassert result.passed, result.message'


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """A process that a student's code has to itself; the nursery at hand had ended before."""
    desk = tmp_path_factory.mktemp("handed_in")
    (desk / "data.txt").write_text("boxes")
    (desk / "helpers.py").write_text("answer = 42")
    ended = nursery.Nursery.at_hand = nursery.Nursery("")
    ended.process.kill()
    with process.Pupil(desk, walls.Limits(), UNFENCED) as student:
        assert student.nursery is not ended
        yield student


@pytest.fixture
def bench(student):
    bench = judge.Bench(student)
    bench.prepare("import torch\nfrom frcnn_edu.exercises import check\nnot_run_here()")
    return bench


def test_a_test_knows_what_the_student_has_now_and_nothing_of_the_test_before(student, bench):
    student.run("number = 1")
    assert bench.judge("found = number\nassert found == 1") == []
    student.run("number = 2")
    assert bench.judge("assert number == 2") == []
    assert bench.judge("found")[-1]["ename"] == "NameError"


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
    back = wire.decode(wire.encode(value))
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        assert (back.dtype, back.shape) == (value.dtype, value.shape)
        assert (torch.as_tensor(back) == torch.as_tensor(value)).all()
    else:
        assert repr(back) == repr(value)


def test_what_cannot_cross_is_only_what_it_looks_like():
    assert repr(wire.decode(wire.encode(torch.Generator))) == repr(torch.Generator)
    assert hasattr(wire.decode(wire.encode(iter([1]))), "__next__")
    with pytest.raises(ValueError, match="no type of numbers"):
        wire.decode({"tensor": "load", "shape": [1], "data": ""})


def error_of(outputs):
    return outputs[-1]["evalue"] if outputs and outputs[-1]["output_type"] == "error" else ""


def test_a_right_function_passes_and_shows_its_card(student, bench):
    student.run("import torchvision\n\ndef box_iou(a, b):\n    return torchvision.ops.box_iou(a, b)")
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
def test_a_wrong_function_is_diagnosed_from_afar(student, bench, written, words):
    student.run("box_iou = None")
    student.run(written)
    assert words in error_of(bench.judge(PASSES))


def test_a_function_that_never_ends_is_stopped_by_check(student, bench):
    student.run("def box_iou(a, b):\n    while True:\n        pass")
    assert "was still running after 0.5 seconds" in error_of(bench.judge(PASSES.replace("iou)", "iou, 0.5)", 1)))
    assert student.run("kept = 1") == []


def test_cells_keep_their_outputs(student):
    outputs = student.run("import matplotlib.pyplot as plt\nprint('words')\nplt.plot([1, 2])\nplt.show()\n1 / 0")
    kinds = [output["output_type"] for output in outputs]
    assert kinds == ["stream", "display_data", "error"]
    assert "image/png" in outputs[1]["data"]
    assert len(student.run("print('x' * 10_000_000)")[0]["text"]) == pupil.MOST_PRINTED


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
assert os.listdir() == ["work"]
os.chdir("work")
"""


WRITES_ON_THE_LINE = """
import os
for fd in range(3, 40):
    try:
        os.write(fd, {})
    except OSError:
        pass
"""


def test_honest_work_meets_no_wall(student):
    assert student.run(HONEST_WORK) == []


def test_what_lies_beside_the_notebook_is_at_hand(student):
    assert student.run("from helpers import answer\nassert open('data.txt').read() == 'boxes'") == []
    assert student.run("open('weights', 'w').write(str(answer))\nassert open('weights').read() == '42'") == []


def test_a_code_that_writes_on_the_line_is_cut_off(student):
    noise = WRITES_ON_THE_LINE.format("b'passed\\n'")
    assert student.run("kept = 1") == []
    assert student.run(noise)[-1]["ename"] == "Ended"
    assert student.find("kept") == {"kind": "value", "value": 1}


@pytest.mark.parametrize(
    "sent",
    [
        '"no object"',
        '{"outputs": 3}',
        '{"outputs": [{"output_type": "verdict", "text": "passed"}]}',
        '{"outputs": [{"output_type": "display_data", "metadata": {}, "data": {"text/html": 5}}]}',
        "[" * 100_000,
        "1" * 10_000,
        "\\xff",
    ],
)
def test_what_no_notebook_can_hold_counts_as_the_end_of_the_program(tmp_path, sent):
    forged = WRITES_ON_THE_LINE.format(f"b'{sent}\\n'")
    with process.Pupil(tmp_path, walls.Limits(), UNFENCED) as student:
        assert student.run(forged)[-1]["ename"] == "Ended"
        assert student.run("kept = 1") == []


@pytest.mark.parametrize("name", ["KeyboardInterrupt", "GeneratorExit", "BaseException", "int", "__import__"])
def test_no_error_of_a_students_ends_the_grading(name):
    assert isinstance(process.named(name, "words"), Exception)


def test_a_hand_in_has_its_time_and_no_more(tmp_path):
    with process.Pupil(tmp_path, walls.Limits(seconds=1.5), UNFENCED) as student:
        (stopped,) = student.run("import signal, time\nsignal.pthread_sigmask(0, {2})\ntime.sleep(60)")
        assert stopped["ename"] == "CellTimeoutError"
        assert "whole hand-in" in error_of(student.run("number = 1"))


@pytest.mark.parametrize(
    ("program", "seconds", "says"),
    [
        ("raise SystemExit('torch is not installed')", 120.0, "torch is not installed"),
        ("import time\ntime.sleep(900)", 0.5, "0.5 seconds are over"),
    ],
)
def test_a_process_that_does_not_start_says_why(tmp_path, monkeypatch, program, seconds, says):
    broken, desk = tmp_path / "broken.py", tmp_path / "handed_in"
    desk.mkdir()
    broken.write_text(program)
    monkeypatch.setattr(nursery, "PUPIL", broken)
    monkeypatch.setattr(process, "START_SECONDS", seconds)
    monkeypatch.setattr(nursery.Nursery, "at_hand", None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(RuntimeError, match=says):
        process.Pupil(desk, walls.Limits())
    assert sorted(tmp_path.iterdir()) == [broken, desk]


def test_what_keeps_everybody_out_is_removed_too(tmp_path):
    """In a process without root's privileges, whom nothing keeps out."""
    folder = tmp_path / "scratch" / "closed" / "deep"
    child = os.fork()
    if not child:
        try:
            if walls.LINUX:
                walls._give_up_privileges()
            folder.mkdir(parents=True)
            (folder / "file").touch()
            folder.chmod(0)
            process._remove(str(tmp_path / "scratch"))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert list(tmp_path.iterdir()) == []


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
    resources = {"nbgrader": gradebook, "metadata": {"path": str(desk)}}
    cells = [
        new_code_cell(whose, metadata={"nbgrader": {"grade_id": "written", **pretends}}),
        new_code_cell("print(open('where').read())"),
        new_code_cell("print('no test')", metadata={"nbgrader": {"grade_id": "test", **hides}}),
        new_code_cell("print(open('where').read())", metadata={"nbgrader": {"grade_id": "mine", **pretends}}),
    ]
    notebook, _ = judge.Judge(unfenced=UNFENCED).preprocess(new_notebook(cells=cells), resources)
    written, shown, test, mine = notebook.cells
    assert written.outputs == []
    assert shown.outputs[0].text == mine.outputs[0].text != f"{os.getpid()}\n"
    assert test.outputs == []  # the teacher's test, with the pupil's `here`
    assert not Path("where").exists()
    wanted = {"written": (True, True), "test": (True, False)}
    for cell in (written, test):
        about = cell.metadata.nbgrader
        assert (about.grade, about.solution, about.points) == (*wanted[about.grade_id], 2)
