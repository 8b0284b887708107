"""The judge: nbgrader's step that runs a submission and decides which tests it passes.

nbgrader's own step runs tests in the student's kernel, where the student's code can replace `check`, catch the error,
read the tests from disk or end the kernel. Here the student's cells run in a process of their own (`pupil.py`) behind
walls (`walls.py`), and the tests run in this one: a name of the student's is fetched from there, a function is called
there. Tests and locked cells are taken from the gradebook, as `nbgrader generate_assignment` put them there, whatever
the notebook says.

A cell that runs too long is stopped, and one that ends its process is left out: the cells before it run again in a
new process, and what follows is graded for what it is.
"""

import ast
import builtins
from collections import defaultdict
from pathlib import Path
from typing import Any

import walls
from nbformat import NotebookNode, from_dict
from nbgrader import utils
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from process import Pupil, error_output, named
from traitlets import Bool, Dict
from wire import decode

STUB = "raise NotImplementedError"
COPY = (
    "This cell did not run: it defines again what another one does that it is a copy of, and the first of them counts."
)
BORROWED = ("frcnn_edu", "torchvision")
"""Modules whose functions are no answer to an exercise that asks to write them."""


class Function:
    """A function of the student's, which is called where it lives."""

    def __init__(self, pupil: Pupil, name: str) -> None:
        self._pupil, self.__name__ = pupil, name

    def __call__(self, *arguments: Any) -> Any:
        """The student's answer."""
        return self._pupil.call(self.__name__, arguments)


class Bench:
    """Where the teacher's cells run: with the names of the student's that they speak of."""

    def __init__(self, pupil: Pupil) -> None:
        self.pupil = pupil
        self.shown: list[dict] = []
        self.names: dict[str, Any] = {"__name__": "__tests__", "display": self._show}

    def prepare(self, source: str) -> None:
        """Import here what a locked cell of the teacher's imports; what else it makes is fetched from the pupil."""
        imports = [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(imports, []), "<locked cell>", "exec"), self.names)

    def judge(self, source: str) -> list[dict]:
        """The outputs of a test, an error among them if it is not passed."""
        self.shown = []
        names = dict(self.names)
        try:
            names |= self._fetched(source)
            exec(compile(source, "<test>", "exec"), names)
        except BaseException as error:  # a test that ends the program would end the grading
            if isinstance(error, KeyboardInterrupt):
                raise
            return [*self.shown, error_output(type(error).__name__, str(error))]
        return self.shown

    def _fetched(self, source: str) -> dict[str, Any]:
        """The names in `source` that only the student can know."""
        loaded = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
        fetched = {}
        for name in sorted(loaded - set(self.names) - set(vars(builtins))):
            found = self.pupil.find(name)
            if "error" in found:
                raise named(*found["error"])
            if found.get("kind") == "value":
                fetched[name] = decode(found["value"])
            elif found.get("kind") == "function":
                if found["module"].split(".")[0] in BORROWED:
                    raise AssertionError(f"{name} is {found['module']}'s own function: write it yourself")
                fetched[name] = Function(self.pupil, name)
        return fetched

    def _show(self, value: Any) -> None:
        data = {"text/plain": repr(value)}
        if hasattr(value, "_repr_html_"):
            data["text/html"] = value._repr_html_()
        self.shown.append({"output_type": "display_data", "data": data, "metadata": {}})


class FirstOfEach(NbGraderPreprocessor):
    """Of cells with one id, as copying or splitting a cell makes them, the first counts (nbgrader's own step fails).

    The first, that is, which is more than the stub. Others run as parts of it, unless they define a function again.
    """

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Take the id from all others."""
        by_id = defaultdict(list)
        for cell in nb.cells:
            by_id[cell.metadata.get("nbgrader", {}).get("grade_id")].append(cell)
        for grade_id in [grade_id for grade_id, cells in by_id.items() if grade_id and len(cells) > 1]:
            self.log.warning("the cell %s is there more than once, its first counts", grade_id)
            written = [cell for cell in by_id[grade_id] if STUB not in cell.source]
            first = (written or by_id[grade_id])[0]
            for cell in by_id[grade_id]:
                if cell is not first:
                    del cell.metadata["nbgrader"]
                    cell.metadata["is_copy"] = bool(_defined(cell.source) & _defined(first.source))
        return nb, resources


class Judge(NbGraderPreprocessor):
    """Runs a submission and its tests apart from each other; stands in the place of nbgrader's `Execute`."""

    limits = Dict(help="What a hand-in may take: see `walls.Limits`.").tag(config=True)
    unfenced = Bool(False, help="Whether it runs although walls are missing.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Fill in the outputs of every code cell, from which nbgrader reads the points."""
        teacher, roles = _teachers_cells(resources["nbgrader"])
        with Pupil(Path(resources["metadata"]["path"]), walls.Limits(**self.limits), self.unfenced) as pupil:
            bench = Bench(pupil)
            cells = [cell for cell in nb.cells if cell.cell_type == "code"]
            for number, cell in enumerate(cells, start=1):
                about = cell.metadata.get("nbgrader", {})
                about.update(roles.get(about.get("grade_id"), {}))
                source = teacher.get(about.get("grade_id"))
                if cell.metadata.get("is_copy"):
                    outputs = [{"output_type": "stream", "name": "stdout", "text": COPY}]
                elif source is None:
                    outputs = pupil.run(cell.source)
                elif utils.is_grade(cell):
                    outputs = bench.judge(source)
                else:
                    outputs = pupil.run(source)
                    bench.prepare(source)
                cell.execution_count = number
                cell.outputs = from_dict(outputs)
        return nb, resources


def _defined(source: str) -> set[str]:
    """The functions and classes that the lines of a cell define."""
    try:
        body = ast.parse(source).body
    except SyntaxError:  # a part of a cell, or one with IPython's commands
        return set()
    return {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def _teachers_cells(ids: dict) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """By their ids, as the gradebook has them: tests and locked code cells, and of all code cells what they are."""
    with Gradebook(ids["db_url"]) as gradebook:
        notebook = gradebook.find_notebook(ids["notebook"], ids["assignment"])
        cells = [cell for cell in notebook.source_cells if cell.cell_type == "code"]
        solutions = {cell.name for cell in notebook.solution_cells}
        roles = {cell.name: {"grade": False, "solution": cell.name in solutions} for cell in cells}
        for cell in notebook.grade_cells:
            roles.get(cell.name, {}).update(grade=True, points=cell.max_score)
        return {cell.name: cell.source for cell in cells if cell.locked}, roles
