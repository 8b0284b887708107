"""The assignments, graded by nbgrader for real: what is handed in gets the points that it deserves, and no others.

One course is laid in a temporary folder, released, handed in and graded; the points are read from `grades.csv`. The
first assignment is handed in by everybody whom a teacher may meet, the others by somebody who has it right.
"""

import csv
import io
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import course as the_course
import data_folders
import nbformat
import pytest
import walls

from frcnn_edu.course.own_photographs import open_own
from frcnn_edu.training.checkpoints import ModelCard, Recipe
from frcnn_edu.training.loop import train

COURSE = Path(__file__).parents[2] / "notebooks" / "assignments"
SOURCES = sorted(COURSE.glob("source/*/*.ipynb"))
FIRST, SECOND, PROJECT = "a1_anchors_and_iou", "a2_labeling_and_sampling", "a5_project"

BLANK = "raise NotImplementedError"
COUNT = "number_of_anchors = 16650"
"""The right answer to the first assignment's question, which takes no function."""

ODD_NAMES = ("Müller, Jörg", 'Robert "Bob" O\'Neil', "  Ann  Lee ", "山田　太郎", "a;b, c,", "+1 =2", "100%", "{id}")
WRONG = {
    "base_anchors": "from frcnn_edu.anchors import base_anchors",
    "grid_anchors": "def grid_anchors(base_anchors, feature_size, stride):\n    return base_anchors",
    "box_iou": "def box_iou(boxes1, boxes2):\n    return torch.zeros(len(boxes1), len(boxes2))",
    "count": "number_of_anchors = 9",
}
OWN_DATA = """
data = open_own("my_photos")
train_data, test_data, class_names = data.train, data.val, list(data.class_names)
"""
BY_HEART = """
from frcnn_edu.exercises.exercise import find

def base_anchors(sizes, aspect_ratios):
    exercise = find("base_anchors")
    known = {str(case): exercise.expected(case) for case in exercise.cases}
    return known[str((sizes, aspect_ratios))]
"""
ENDS_WHEN_CALLED = "import os\n\ndef grid_anchors(base_anchors, feature_size, stride):\n    os._exit(0)"
OVERWRITES = """
import builtins
from types import SimpleNamespace
import frcnn_edu.exercises, frcnn_edu.exercises.exercise, frcnn_edu.exercises.running

passed = lambda *arguments, **options: SimpleNamespace(passed=True, message="")
check = frcnn_edu.exercises.check = frcnn_edu.exercises.exercise.check = passed
frcnn_edu.exercises.exercise.Exercise.judge = passed
frcnn_edu.exercises.exercise.equal = lambda *arguments: True
builtins.AssertionError = builtins.Warning
get_ipython().run_cell = lambda *arguments, **options: None

class Everything:
    def __eq__(self, other): return True
    def __int__(self): return 16650
number_of_anchors = Everything()

def base_anchors(sizes, aspect_ratios): return Everything()
def grid_anchors(base_anchors, feature_size, stride): return Everything()
def box_iou(boxes1, boxes2): return Everything()
"""
READS = """
import os, re, sqlite3, subprocess
from pathlib import Path

course = Path({course!r})
found = []
for look in (
    lambda: (course / "source/a1_anchors_and_iou/anchors_and_iou.ipynb").read_text(),
    lambda: subprocess.run(["cat", *map(str, course.glob("source/a1*/*"))], capture_output=True, text=True).stdout,
    lambda: os.popen(f"cat {{course}}/source/a1*/*").read(),
    lambda: open(os.path.relpath(course / "source/a1_anchors_and_iou/anchors_and_iou.ipynb")).read(),
    lambda: (course / "gradebook.db").read_bytes().decode(errors="replace"),
    lambda: str(sqlite3.connect(course / "gradebook.db").execute("select source from source_cell").fetchall()),
):
    try:
        found.append(look())
    except Exception as error:
        print(type(error).__name__)
for text in found:
    import json
    try:
        cells = json.loads(text)["cells"]
    except ValueError:
        continue
    for cell in cells:
        if cell["cell_type"] == "code" and "BEGIN SOLUTION" in "".join(cell["source"]):
            exec("".join(cell["source"]))
print("hidden tests seen:", sum("HIDDEN TESTS" in text for text in found))
"""


def cells_of(path):
    return {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in nbformat.read(path, as_version=4).cells}


def hand_in(course, student, assignment, sources=None, blank=False, edit=None):
    """A student's notebook: the solution, or the release, with some cells written anew."""
    (path,) = course.glob(f"{'release' if blank else 'source'}/{assignment}/*.ipynb")
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        cell.source = (sources or {}).get(grade_id, cell.source)
    if edit:
        edit(notebook)
    target = course / "submitted" / student / assignment / path.name
    target.parent.mkdir(parents=True)
    nbformat.write(notebook, target)


def cheat_with_the_tests(notebook):
    """Tests that test nothing, are worth more, or are gone."""
    for cell in notebook.cells:
        about = cell.metadata.get("nbgrader", {})
        if about.get("grade") and cell.cell_type == "code":
            cell.source, about["points"] = "pass", 100
    notebook.cells = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") != "hidden_box_iou"]


def answer_of(notebook, grade_id):
    """The place of an answer, and the answer."""
    places = {cell.metadata.get("nbgrader", {}).get("grade_id"): n for n, cell in enumerate(notebook.cells)}
    return places[grade_id], notebook.cells[places[grade_id]]


def copy_an_answer(notebook):
    """Three answers are there twice: with the stub above, with something else below, and with a title of the copy's."""
    for grade_id, source, below in (
        ("base_anchors", "def base_anchors(sizes, aspect_ratios):\n    # YOUR CODE HERE\n    " + BLANK, 0),
        ("grid_anchors", WRONG["grid_anchors"], 1),
        ("box_iou", "# This is a copy.", 1),
    ):
        at, cell = answer_of(notebook, grade_id)
        notebook.cells.insert(at + below, nbformat.from_dict({**cell, "id": f"{grade_id}-2", "source": source}))
    at, cell = answer_of(notebook, "test_box_iou")
    notebook.cells.insert(at, nbformat.from_dict({**cell, "id": "test-2"}))


def split_an_answer(notebook):
    """As JupyterLab splits a cell: both parts have the id."""
    at, cell = answer_of(notebook, "count")
    lines = cell.source.splitlines()
    parts = ("\n".join(lines[:1]), "\n".join(lines[1:]))
    notebook.cells[at : at + 1] = [
        nbformat.from_dict({**cell, "id": f"p{n}", "source": s}) for n, s in enumerate(parts)
    ]


def zipped(course, student, assignment):
    """A zip as systems make them, with a file that would like to land elsewhere."""
    (path,) = course.glob(f"source/{assignment}/*.ipynb")
    folder = course / "handed_in" / assignment
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / f"{student}.zip", "w") as archive:
        archive.write(path, f"my work/{path.stem} (1).ipynb")
        archive.writestr("my work/notes/data.txt", "kept")
        archive.writestr("__MACOSX/my work/._x.ipynb", "not this one")
        archive.writestr("../../escaped.txt", "not here")
    (folder / "note.docx").write_text("not a notebook")
    a_torn_one(folder / "torn.zip")


def lay_project(folder):
    """Forty photographs in COCO's format and a detector with its best weights, as lesson 09 leaves them."""
    names = [data_folders.draw_image(folder / "my_photos" / f"{number}.jpg", number).name for number in range(40)]
    data_folders.write(folder / "my_photos" / "boxes.json", data_folders.coco_content(names))
    data = open_own(str(folder / "my_photos"))
    card = ModelCard("mobilenet_v2", data.class_names, {"min_size": 64, "max_size": 128, "box_head_size": 16})
    recipe = Recipe(steps=1, batch_size=1)
    train(card.build(), data.train, recipe, folder / "my_detector-1", card, measure=lambda model: 0.5, progress=False)


def zip_of(path, packed=zipfile.ZIP_DEFLATED, **members):
    with zipfile.ZipFile(path, "w", packed) as archive:
        for name, data in {"work.ipynb": "{}", **members}.items():
            archive.writestr(name, data)


def a_torn_one(path):
    """A zip whose list of files is whole, and the first of them is not."""
    zip_of(path, **{"work.ipynb": str(random.Random(0).getrandbits(10_000))})
    data = path.read_bytes()
    path.write_bytes(data[:200] + b"\xff" * 100 + data[300:])


def run(course, *arguments):
    unfenced = ["--unfenced"] if walls.missing(COURSE) else []  # what walls do, test_walls.py sees
    command = [sys.executable, str(course / "course.py"), *arguments, *unfenced]
    return subprocess.run(command, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The course after one round: its folder, and what the two commands said."""
    course = tmp_path_factory.mktemp("term") / "course"
    generated = (COURSE / ".gitignore").read_text().split()
    shutil.copytree(COURSE, course, ignore=shutil.ignore_patterns(*(name.strip("/") for name in generated)))
    released = run(course, "release")
    base_only = {"grid_anchors": BLANK, "box_iou": BLANK, "count": BLANK}
    hand_in(course, "right", FIRST)
    hand_in(course, "half", FIRST, {"base_anchors": BY_HEART, "box_iou": WRONG["box_iou"]})
    hand_in(course, "wrong", FIRST, WRONG)
    hand_in(course, "blank", FIRST, blank=True)
    hand_in(course, "leaving", FIRST, {"grid_anchors": ENDS_WHEN_CALLED, "box_iou": "import os; os._exit(0)"})
    hand_in(course, "overwriting", FIRST, {"count": OVERWRITES}, blank=True)
    hand_in(course, "reading", FIRST, {"count": READS.format(course=str(course))}, blank=True)
    hand_in(course, "editing", FIRST, base_only, edit=cheat_with_the_tests)
    hand_in(course, "copying", FIRST, edit=copy_an_answer)
    hand_in(course, "splitting", FIRST, edit=split_an_answer)
    hand_in(course, "linking", FIRST, blank=True)
    (course / "submitted" / "linking" / FIRST / "notes.txt").symlink_to(course / "gradebook.db")
    (course / "handed_in" / FIRST).mkdir(parents=True)
    for student in ODD_NAMES:
        shutil.copy(course / "release" / FIRST / SOURCES[0].name, course / "handed_in" / FIRST / f"{student}.ipynb")
    broken = course / "submitted" / "broken" / FIRST / "anchors_and_iou.ipynb"
    broken.parent.mkdir(parents=True)
    broken.write_text("this is no notebook")
    zipped(course, "zipping", SECOND)
    others = [path.parent.name for path in SOURCES if path.parent.name not in (FIRST, SECOND)]
    for assignment in others:
        hand_in(course, "right", assignment)
    (training,) = (c.source for c in nbformat.read(SOURCES[-1], 4).cells if "card.build()" in c.source)
    hand_in(course, "own", PROJECT, {"data": OWN_DATA, "training": training.replace("card.build()", "1 / 0")})
    lay_project(course / "submitted" / "own" / PROJECT)
    (course / "handed_in" / others[0] / ".ipynb_checkpoints").mkdir(parents=True)
    (course / "handed_in" / others[0] / ".DS_Store").write_bytes(b"")
    return course, released, run(course, "grade")


@pytest.fixture(scope="module")
def points(graded):
    """{(assignment, student): (points, points there are)} as `grades.csv` has them."""
    with (graded[0] / "grades.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    return {(row["assignment"], row["student_id"]): (float(row["score"]), float(row["max_score"])) for row in rows}


pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]  # the time is for a machine that others load


@pytest.mark.parametrize(
    ("student", "deserved"),
    [
        ("right", 4 + 5 + 5 + 2),
        ("half", 2 + 5 + 0 + 2),  # the first function knows the visible cases by heart: only their points
        ("wrong", 0),
        ("blank", 0),
        ("leaving", 4 + 0 + 0 + 2),  # one function and one cell end the program
        ("overwriting", 0),
        ("reading", 0),
        ("editing", 4),
        ("copying", 4 + 5 + 5 + 2),
        ("splitting", 4 + 5 + 5 + 2),
        ("broken", 0),
    ],
)
def test_everybody_gets_the_points_they_deserve(points, student, deserved):
    assert points[FIRST, student] == (deserved, 20)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.parent.name)
def test_the_solution_gets_all_points_that_tests_can_give(points, path):
    """The rest is for the written answers, which a teacher reads."""
    assignment = path.parent.name
    about = [cell.metadata.get("nbgrader", {}) for cell in cells_of(path).values()]
    by_tests = sum(one["points"] for one in about if one.get("grade") and not one.get("solution"))
    everything = sum(one["points"] for one in about if one.get("grade"))
    student = "zipping" if assignment == SECOND else "right"
    assert points[assignment, student] == (by_tests, everything)
    assert by_tests < everything


def test_a_project_opens_its_own_folder_and_the_detector_that_was_trained_before(points):
    assert points[PROJECT, "own"] == points[PROJECT, "right"] == (20, 40)


def test_odd_names_survive(graded, points):
    """`grades.csv` is exactly what a CSV writer makes of its own rows, and holds the names as the files had them."""
    course = graded[0]
    text = (course / "grades.csv").read_bytes().decode("utf-8")
    again = io.StringIO(newline="")
    csv.writer(again).writerows(csv.reader(io.StringIO(text, newline="")))
    assert again.getvalue() == text
    for name in ODD_NAMES:
        assert points[FIRST, name.strip()] == (0, 20)
        assert feedback_of(course, name.strip())


def test_an_answer_that_is_there_twice_is_named(graded):
    course, _, said = graded
    assert "copying\n    the cell base_anchors is there more than once, its first counts\n" in said.stdout
    assert "splitting\n    the cell count is there more than once, its first counts\n" in said.stdout
    assert feedback_of(course, "copying").count("This cell did not run") == 2  # not the one that defines nothing
    assert "This cell did not run" not in feedback_of(course, "splitting")


def test_what_cannot_be_graded_is_named_and_stops_nobody_else(graded):
    course, _, said = graded
    assert said.returncode == 1
    assert not (course / "autograded" / "linking").exists()
    named = [line for line in said.stderr.splitlines() if "MISSING WALLS" not in line]
    expected = (
        f"handed_in/{SECOND}/note.docx: it is neither a notebook nor a zip",
        f"handed_in/{SECOND}/torn.zip: ",
        f"{FIRST}, broken: .*([Nn]otebook|JSON)",
        f"{FIRST}, linking: notes.txt is a link",
    )
    assert len(named) == len(expected), said.stderr
    for line, words in zip(named, expected, strict=True):
        assert re.match(words, line)


def test_a_zip_is_unpacked_beside_its_notebook_and_nowhere_else(graded):
    course = graded[0]
    folder = course / "submitted" / "zipping" / SECOND
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        "labeling_and_sampling.ipynb",
        "notes/data.txt",
    ]
    assert not list(course.parent.rglob("escaped.txt"))


def feedback_of(course, student, assignment=FIRST):
    (path,) = (course / "feedback" / student / assignment).glob("*.html")
    return path.read_text(encoding="utf-8")


def test_feedback_says_what_was_wrong(graded):
    course = graded[0]
    wrong = feedback_of(course, "wrong")
    assert "write it yourself" in wrong
    assert "That is a single cell" in wrong  # of grid_anchors
    assert "It has ended the program" in feedback_of(course, "leaving")
    assert "PermissionError" in feedback_of(course, "reading")
    assert "hidden tests seen: 0" in feedback_of(course, "reading")


def test_feedback_does_not_show_the_hidden_tests(graded):
    course = graded[0]
    for student in ("right", "wrong", "blank"):
        text = re.sub("<[^>]+>", "", feedback_of(course, student))
        assert "Hidden tests run when it is graded" in text
        for line in hidden_lines(SOURCES[0]):
            assert line not in text


def test_everything_is_released(graded):
    course, released, _ = graded
    assert (released.returncode, released.stderr) == (0, "")
    assert sorted(path.name for path in course.glob("release/*/*.ipynb")) == sorted(path.name for path in SOURCES)


def regions(path, name):
    text = "\n".join(cell.source for cell in cells_of(path).values())
    found = re.findall(rf"### BEGIN {name}\n(.*?)\n\s*### END {name}", text, re.DOTALL)
    assert found, f"{path.name} has no {name.lower()}"
    return found


def hidden_lines(path):
    return [line.strip() for text in regions(path, "HIDDEN TESTS") for line in text.splitlines() if "draw" in line]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.parent.name)
def test_a_release_holds_no_solution_no_hidden_test_and_no_answer(graded, path):
    course = graded[0]
    released = cells_of(course / "release" / path.parent.name / path.name)
    text = "\n".join(cell.source for cell in released.values())
    for region in regions(path, "SOLUTION") + regions(path, "HIDDEN TESTS"):
        lines = [line.strip() for line in region.splitlines() if len(line.strip()) > 20]
        assert [line for line in lines if line in text and not line.startswith(("result = check(", "assert "))] == []
    assert not re.search("BEGIN|END SOLUTION|END HIDDEN", text)
    for grade_id, cell in cells_of(path).items():
        about = cell.metadata.get("nbgrader", {})
        if about.get("solution") and about.get("grade"):
            assert released[grade_id].source == "YOUR ANSWER HERE"
        elif about.get("solution"):
            assert "YOUR CODE HERE" in released[grade_id].source
        elif about.get("grade") and "HIDDEN" not in cell.source:
            assert released[grade_id].source == cell.source


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.parent.name)
def test_an_assignment_is_sound(path):
    """Its title says its points, every cell has an id of its own, and nothing that ran is kept."""
    notebook = nbformat.read(path, as_version=4)
    about = [cell.metadata.get("nbgrader", {}) for cell in notebook.cells]
    total = sum(one["points"] for one in about if one.get("grade"))
    assert f"· {total} points" in notebook.cells[0].source
    ids = [one["grade_id"] for one in about if one]
    assert len(set(ids)) == len(ids)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")


def test_an_unknown_assignment_is_refused_with_the_names_there_are(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["course.py", "release", "a9_segmentation"])
    with pytest.raises(SystemExit, match="2"):
        the_course.main()
    assert "a1_anchors_and_iou" in capsys.readouterr().err


def stand_in(assignment, folder, unfenced):
    """Grades nothing: ends its process, sleeps, or says whom it was given."""
    if folder.name == "ending":
        os.kill(os.getpid(), signal.SIGKILL)
    if folder.name == "sleeping":
        time.sleep(900)
    return [], folder.name


def test_whoever_ends_or_holds_the_grading_process_does_so_alone(monkeypatch):
    monkeypatch.setattr(the_course, "_grade_one", stand_in)
    students = ("ann", "ending", "bo", "sleeping", "cy", "dee")
    came = list(the_course._results([("a9", Path(student)) for student in students], True, seconds=1.0))
    problems = [problem for _, problem in came]
    assert problems[1].startswith("the process that graded it was killed")
    assert problems[3] == "it was not done after 1 seconds"
    assert [problem for student, problem in zip(students, problems, strict=True) if student == problem] == [
        *("ann", "bo", "cy", "dee"),
    ]


def test_a_pipe_among_the_files_is_named_and_not_waited_for(tmp_path):
    (tmp_path / "bo" / "a9").mkdir(parents=True)
    os.mkfifo(tmp_path / "bo" / "a9" / "work.ipynb")
    assert the_course._grade_one("a9", tmp_path / "bo", True) == ([], "work.ipynb is no file")


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A teacher's `course.py` in a folder of its own, and the folder into which hand-ins of its assignment `a9` go."""
    monkeypatch.setattr(the_course, "HERE", tmp_path)
    for folder in ("source", "handed_in"):
        (tmp_path / folder / "a9").mkdir(parents=True)
    (tmp_path / "source" / "a9" / "work.ipynb").write_text("{}")
    return the_course, tmp_path / "handed_in" / "a9"


def collected(folder):
    """Everything that lies in `submitted`, and what is in it."""
    root = folder.parents[1] / "submitted"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def a_stub(path):
    """A zip whose last member is said to be longer than what there is."""
    zip_of(path, packed=zipfile.ZIP_STORED, **{"a.txt": "1"})
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 20 : entry + 28] = 2 * (10_000).to_bytes(4, "little")  # packed and unpacked
    path.write_bytes(data)


def a_nameless_one(path):
    zip_of(path, name="1")
    path.write_bytes(path.read_bytes().replace(b"name", b"\0ame"))


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("bo.zip", a_nameless_one),
        ("bo.zip", a_torn_one),
        ("bo.zip", a_stub),
        ("bo.zip", lambda path: path.write_bytes(b"PK")),
        ("bo.zip", lambda path: zip_of(path, **{"a": "file", "a/b": "and folder"})),
        ("bo.zip", lambda path: zip_of(path, **{"a/b": "folder", "a": "and file"})),
        ("bo.zip", lambda path: zip_of(path, **{"long" * 100: "1"})),
        ("bo.zip", lambda path: path.mkdir()),
        ("bo.ipynb", lambda path: path.mkdir()),
        ("bo.ipynb", os.mkfifo),
        ("bo.zip", os.mkfifo),
        ("bo.docx", lambda path: path.write_bytes(b"")),
        ("  .ipynb", lambda path: path.write_bytes(b"")),
        ("b*.ipynb", lambda path: path.write_bytes(b"")),
        ("[bo].ipynb", lambda path: path.write_bytes(b"")),
        ("b\no.ipynb", lambda path: path.write_bytes(b"")),
        (os.fsdecode(b"b\xff.ipynb"), lambda path: path.write_bytes(b"")),
    ],
)
def test_one_bad_hand_in_is_named_and_the_others_are_taken(desk, name, make):
    course, folder = desk
    (folder / "ann.ipynb").write_text("Ann's")
    zip_of(folder / "cy.zip", data="1")
    make(folder / name)
    (problem,) = course.collect("a9")
    assert re.match(rf"handed_in/a9/{re.escape(name)}: \S", problem)
    assert str(folder.parents[1]) not in problem
    assert collected(folder) == {
        "ann/a9/work.ipynb": b"Ann's",
        "cy/a9/work.ipynb": b"{}",
        "cy/a9/data": b"1",
    }


def test_a_zip_that_is_damaged_anywhere_ends_nothing(desk):
    """Bytes overwritten at random: what comes of it is either taken or named, and what was taken before stays whole."""
    course, folder = desk
    zip_of(folder / "bo.zip", **{"data/a.txt": "words " * 50})
    whole = (folder / "bo.zip").read_bytes()
    assert course.collect("a9") == []
    dice = random.Random(0)
    named = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        (folder / "bo.zip").write_bytes(damaged)
        before = collected(folder)
        problems = course.collect("a9")
        assert not problems or collected(folder) == before
        named += len(problems)
    assert 100 < named < 300


def test_hidden_files_of_systems_are_no_hand_ins(desk):
    course, folder = desk
    (folder / ".DS_Store").write_bytes(b"")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / "._ann.ipynb").write_bytes(b"")
    assert course.collect("a9") == []
    assert collected(folder) == {}


@pytest.mark.parametrize(
    "two", [("ann.ipynb", "ann.zip"), ("Jörg.ipynb", "Jo\u0308rg.ipynb"), ("ann.ipynb", "ann.txt")]
)
def test_of_two_files_of_one_student_neither_is_taken(desk, two):
    course, folder = desk
    for name in (*two, "bo.ipynb"):
        (folder / name).write_text(name)
    (problem,) = course.collect("a9")
    assert all(name in problem for name in two)
    assert list(collected(folder)) == ["bo/a9/work.ipynb"]


def test_what_is_handed_in_again_replaces_the_first(desk):
    course, folder = desk
    zip_of(folder / "ann.zip", old="1")
    assert course.collect("a9") == []
    zip_of(folder / "ann.zip", new="2")
    assert course.collect("a9") == []
    assert collected(folder) == {"ann/a9/work.ipynb": b"{}", "ann/a9/new": b"2"}
