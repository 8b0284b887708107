"""The judge: nbgrader's step that runs a submission and decides which tests it passes.

nbgrader's own step runs tests in the student's kernel, where the student's code can replace `check`, catch the error,
read the tests from disk or end the kernel. Here the student's cells run in a process of their own (`pupil.py`), and
the tests run in this one: a name of the student's is fetched from there, a function is called there. Tests and locked
cells are taken from the gradebook, as `nbgrader generate_assignment` put them there, whatever the notebook says.

A cell that runs too long is stopped, and one that ends its process is left out: the cells before it run again in a
new process, and what follows is graded for what it is.
"""

import ast
import builtins
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from pupil import decode, encode
from traitlets import Float

HERE = Path(__file__).parent
START_SECONDS = 120.0
STOP_SECONDS = 2.0
"""How long code that was told to stop may go on before its process is ended."""
MOST_RESTARTS = 3
BORROWED = ("frcnn_edu", "torchvision")
"""Modules whose functions are no answer to an exercise that asks to write them."""


class Overdue(Exception):  # noqa: N818 - it is no error of the program
    """The student's code ran too long."""


class Ended(Exception):  # noqa: N818
    """The student's code has ended its process."""


class Pupil:
    """The process with the student's code, started again where that code has ended it."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder, self.seconds = folder, seconds
        self.ran: list[str] = []
        self.restarts = 0
        self._start()

    def __enter__(self) -> "Pupil":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def run(self, source: str) -> list[dict]:
        """The outputs of a cell."""
        try:
            outputs = self._ask({"do": "run", "source": source}, self.seconds)["outputs"]
        except Overdue:
            return [_error("CellTimeoutError", f"The cell was stopped after {self.seconds:g} seconds.")]
        except Ended:
            return [_error("Ended", "The cell has ended the program; it was started again without this cell.")]
        self.ran.append(source)
        return outputs

    def find(self, name: str) -> dict:
        """What a name stands for: see `pupil.py`."""
        return self._ask({"do": "find", "name": name}, self.seconds)

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        """What the student's function `name` answers; changes `arguments` where it did so in place."""
        message = {"do": "call", "name": name, "arguments": [encode(argument) for argument in arguments]}
        reply = self._ask(message, self.seconds)
        if "error" in reply:
            raise _named(*reply["error"])
        for argument, after in zip(arguments, reply["arguments"], strict=True):
            _take_over(argument, decode(after))
        return decode(reply["answer"])

    def _start(self) -> None:
        environment = os.environ | {
            "NBGRADER_EXECUTION": "autograde",
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        }
        command = [sys.executable, "-P", str(HERE / "pupil.py"), str(HERE)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, cwd=self.folder, env=environment, **pipes)
        self.gone, self.waiting, self.received = False, False, b""
        self._ask({"do": "find", "name": "In"}, START_SECONDS)

    def _end(self) -> None:
        self.process.kill()
        self.process.wait()
        with suppress(BrokenPipeError):  # what it has not read is lost with it
            self.process.stdin.close()
        self.process.stdout.close()

    def _recover(self) -> None:
        """Have the process listen again: drop what it is still at, or start it anew without what it ended at."""
        if self.waiting and not self.gone:
            self.process.send_signal(signal.SIGINT)
            try:
                self._reply(STOP_SECONDS)
            except (Overdue, EOFError):
                self.gone = True
        if self.gone:
            self._end()
            self.restarts += 1
            if self.restarts > MOST_RESTARTS:
                raise Ended("the program has ended too often")
            self._start()
            for source in self.ran:  # it was quick enough before
                self._ask({"do": "run", "source": source}, START_SECONDS)

    def _ask(self, message: dict, seconds: float) -> dict:
        """The answer to a message. What went wrong is put right before the next one, as `check` counts the seconds."""
        if self.gone or self.waiting:
            self._recover()
        try:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
            self.waiting = True
            return self._reply(seconds)
        except (BrokenPipeError, EOFError):
            self.gone = True
            raise Ended("It has ended the program.") from None

    def _reply(self, seconds: float) -> dict:
        deadline = time.monotonic() + seconds
        while b"\n" not in self.received:
            if time.monotonic() > deadline:
                raise Overdue(f"stopped after {seconds:g} seconds")
            if select.select([self.process.stdout], [], [], 0.05)[0]:
                part = os.read(self.process.stdout.fileno(), 1 << 16)
                if not part:
                    raise EOFError
                self.received += part
        line, _, self.received = self.received.partition(b"\n")
        self.waiting = False
        try:
            return json.loads(line)
        except ValueError:  # not written by pupil.py
            raise EOFError from None


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
            return [*self.shown, _error(type(error).__name__, str(error))]
        return self.shown

    def _fetched(self, source: str) -> dict[str, Any]:
        """The names in `source` that only the student can know."""
        loaded = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
        fetched = {}
        for name in sorted(loaded - set(self.names) - set(vars(builtins))):
            found = self.pupil.find(name)
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


class Judge(NbGraderPreprocessor):
    """Runs a submission and its tests apart from each other; stands in the place of nbgrader's `Execute`."""

    seconds_per_cell = Float(60.0, help="How long a cell, or one call of a function, may take.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Fill in the outputs of every code cell, from which nbgrader reads the points."""
        teacher, roles = _teachers_cells(resources["nbgrader"])
        handed_in = Path(resources["metadata"]["path"])
        with tempfile.TemporaryDirectory() as desk:
            shutil.copytree(handed_in, desk, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.ipynb"))
            with Pupil(Path(desk), self.seconds_per_cell) as pupil:
                bench = Bench(pupil)
                cells = [cell for cell in nb.cells if cell.cell_type == "code"]
                for number, cell in enumerate(cells, start=1):
                    about = cell.metadata.get("nbgrader", {})
                    about.update(roles.get(about.get("grade_id"), {}))
                    source = teacher.get(about.get("grade_id"))
                    if source is None:
                        outputs = pupil.run(cell.source)
                    elif utils.is_grade(cell):
                        outputs = bench.judge(source)
                    else:
                        outputs = pupil.run(source)
                        bench.prepare(source)
                    cell.execution_count = number
                    cell.outputs = [NotebookNode(json.loads(json.dumps(output))) for output in outputs]
        return nb, resources


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


def _take_over(argument: Any, after: Any) -> None:
    """Change `argument` in place as the student's function changed its copy."""
    if isinstance(argument, torch.Tensor) and isinstance(after, torch.Tensor) and argument.shape == after.shape:
        argument.copy_(after)
    elif isinstance(argument, list) and isinstance(after, list):
        argument[:] = after


def _named(name: str, text: str) -> BaseException:
    """An exception of that name, Python's own where it is one."""
    known = getattr(builtins, name, None)
    kind = known if isinstance(known, type) and issubclass(known, BaseException) else type(name, (Exception,), {})
    try:
        return kind(text)
    except TypeError:  # a UnicodeDecodeError wants more than a text
        return Exception(f"{name}: {text}")


def _error(name: str, text: str) -> dict:
    return {"output_type": "error", "ename": name, "evalue": text, "traceback": [f"{name}: {text}"]}
