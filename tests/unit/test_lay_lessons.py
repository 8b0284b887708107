"""What a learner changed in a copy of a lesson is kept, whatever the course does to the lesson."""

import json

import pytest

from frcnn_edu.course import lessons
from frcnn_edu.course.lessons import lay_lessons


def notebook(*sources, **first):
    cells = [{"cell_type": "code", "execution_count": 1, "outputs": [], "source": [source]} for source in sources]
    cells[0] |= first
    return json.dumps({"cells": cells, "metadata": {"kernelspec": {"name": "python3"}}, "nbformat": 4})


def sources(path):
    return ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"]]


def edit(path, **cell):
    content = json.loads(path.read_text())
    content["cells"][0] |= cell
    path.write_text(json.dumps(content))


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    """The only lesson of a course, printing 1."""
    monkeypatch.setattr(lessons, "course_folder", lambda name: tmp_path / name)
    (tmp_path / "notebooks").mkdir()
    path = tmp_path / "notebooks" / "01_one.ipynb"
    path.write_text(notebook("print(1)", outputs=[{"output_type": "stream", "name": "stdout", "text": "1\n"}]))
    return path


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "of mine" / "lessons"


def test_a_copy_has_the_cells_and_no_outputs(lesson, folder):
    assert lay_lessons(folder) == []
    (cell,) = json.loads((folder / "01_one.ipynb").read_text())["cells"]
    assert (cell["source"], cell["outputs"], cell["execution_count"]) == (["print(1)"], [], None)
    assert "1\\n" in lesson.read_text(), "the course's own lesson keeps what it shows"


@pytest.mark.parametrize(
    "change",
    [
        {"source": "print('mine')"},
        {"outputs": [{"output_type": "stream", "name": "stdout", "text": "1"}]},
        {"cell_type": "markdown"},
    ],
    ids=["code", "only run", "kind of cell"],
)
def test_a_changed_copy_is_kept_and_a_newer_version_is_laid_beside_it_once(lesson, folder, change):
    lay_lessons(folder)
    mine = folder / "01_one.ipynb"
    edit(mine, **change)
    before = mine.read_bytes()
    assert lay_lessons(folder) == [], "the lesson is the same"
    lesson.write_text(notebook("print(2)"))
    newer = folder / "01_one-2.ipynb"
    assert lay_lessons(folder) == [(mine, newer)]
    assert lay_lessons(folder) == []
    assert (mine.read_bytes(), sources(newer)) == (before, ["print(2)"])


def test_every_copy_that_was_changed_is_kept(lesson, folder):
    for version in range(1, 4):
        lesson.write_text(notebook(f"print({version})"))
        lay_lessons(folder)
        newest = folder / ("01_one.ipynb" if version == 1 else f"01_one-{version}.ipynb")
        edit(newest, source=f"my answer to {version}")
    assert [sources(path) for path in sorted(folder.iterdir())] == [
        ["my answer to 2"],
        ["my answer to 3"],
        ["my answer to 1"],
    ]


def test_a_copy_that_nobody_touched_is_replaced_by_the_newer_version(lesson, folder):
    lay_lessons(folder)
    copy = folder / "01_one.ipynb"
    copy.write_text(json.dumps(json.loads(copy.read_text())))  # as JupyterLab saves it: the same in other bytes
    lesson.write_text(notebook("print(2)"))
    assert lay_lessons(folder) == []
    assert sources(copy) == ["print(2)"]
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("content", ["", "{}", "[1]", notebook("a notebook of another origin"), "\x00\xff"])
def test_a_file_that_is_no_copy_is_kept(lesson, folder, content):
    folder.mkdir(parents=True)
    mine = folder / "01_one.ipynb"
    mine.write_text(content, encoding="latin-1")
    assert lay_lessons(folder) == [(mine, folder / "01_one-2.ipynb")]
    assert mine.read_text(encoding="latin-1") == content


def test_a_lesson_that_was_thrown_away_is_laid_again(lesson, folder):
    lay_lessons(folder)
    (folder / "01_one.ipynb").unlink()
    assert lay_lessons(folder) == []
    assert sources(folder / "01_one.ipynb") == ["print(1)"]
