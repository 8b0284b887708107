"""The teacher's two commands: `make release` makes the student versions, `make grade` grades what came back.

    python notebooks/assignments/course.py release [ASSIGNMENT ...]
    python notebooks/assignments/course.py grade [ASSIGNMENT ...]

`grade` takes what lies in `handed_in/ASSIGNMENT/` (NAME.ipynb or NAME.zip) and in `submitted/NAME/ASSIGNMENT/`, and
leaves `feedback/NAME/ASSIGNMENT/*.html` and `grades.csv`. All of it is nbgrader, told what to do; see README.md.
"""

import argparse
import lzma
import os
import shutil
import stat
import sys
import tempfile
import warnings
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from nbgrader.plugins import CsvExportPlugin
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

HERE = Path(__file__).resolve().parent
GRADES = HERE / "grades.csv"
MOST_UNPACKED = 200 * 2**20
"""How many bytes a hand-in may hold."""


class HandInError(Exception):
    """What was handed in cannot be read, and why."""


UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    IndexError,  # a file without a name
    RuntimeError,  # it has a password, or is packed in an unknown way
)
"""What reading and laying out a hand-in raises where it is damaged."""


def assignments() -> list[str]:
    """The names of all assignments, in order."""
    return sorted(path.parent.name for path in HERE.glob("source/*/*.ipynb"))


def notebook_of(assignment: str) -> str:
    """The file name of an assignment's notebook."""
    (path,) = HERE.glob(f"source/{assignment}/*.ipynb")
    return path.name


def release(names: Sequence[str]) -> list[str]:
    """Make the student versions; returns what went wrong."""
    api = _nbgrader()
    problems = []
    for name in names:
        done = api.generate_assignment(name, force=True, create=True)
        if not done["success"]:
            problems.append(f"{name}: {_reason(done)}")
        else:
            print(f"release/{name}/{notebook_of(name)}")
    return problems


def grade(names: Sequence[str]) -> list[str]:
    """Grade everything that was handed in for these assignments; returns what could not be graded, and why."""
    problems = [problem for name in names for problem in collect(name)]
    api = _nbgrader()
    missing = set(names) - _known_assignments(api)
    problems += release(sorted(missing))
    for name in names:
        for folder in sorted(HERE.glob(f"submitted/*/{name}")):
            student = folder.parent.name
            done = api.autograde(name, student, force=True, create=True)
            if done["success"]:
                done = api.generate_feedback(name, student, force=True)
            print(f"{name}: {student}" + ("" if done["success"] else " - could not be graded"), flush=True)
            if not done["success"]:
                problems.append(f"{name}, {student}: {_reason(done)}")
    _export(api)
    return problems


def collect(assignment: str) -> list[str]:
    """Lay what is in `handed_in/ASSIGNMENT` where nbgrader looks for it; returns what could not be read, and why."""
    problems = []
    by_student = defaultdict(list)
    for path in sorted(HERE.glob(f"handed_in/{assignment}/[!.]*")):  # systems and editors add hidden ones
        by_student[path.stem.strip().replace(" ", "_")].append(path)
    for student, paths in by_student.items():
        try:
            if not student.strip("."):
                raise HandInError("it has no student's name")
            if len(paths) > 1:
                raise HandInError(f"all of these would be {student}'s, leave one of them or name them apart")
            _lay_out(_files_of(paths[0], notebook_of(assignment)), HERE / "submitted" / student / assignment)
        except (HandInError, *UNREADABLE) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            if not isinstance(error, HandInError):
                reason = f"it cannot be read ({reason})"
            problems.append(f"handed_in/{assignment}/{', '.join(path.name for path in paths)}: {reason}")
    return problems


def _files_of(path: Path, notebook: str) -> dict[str, bytes]:
    """What was handed in, by its place beside the notebook."""
    if path.suffix == ".ipynb":
        return {notebook: path.read_bytes()}
    if path.suffix == ".zip":
        return _unpacked(path, notebook)
    raise HandInError("it is neither a notebook nor a zip")


def _lay_out(files: dict[str, bytes], target: Path) -> None:
    """Write the files below the folder `target`, all of them or none, in the place of what is there."""
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        for name, data in files.items():
            (whole / name).parent.mkdir(parents=True, exist_ok=True)
            (whole / name).write_bytes(data)
        if target.exists():
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(whole, target)


def _unpacked(path: Path, notebook: str) -> dict[str, bytes]:
    """The files of a zip by their place beside its notebook, which gets the name it should have."""
    with zipfile.ZipFile(path) as archive:
        members = list(_files(archive))
        if sum(member.file_size for member in members) > MOST_UNPACKED:
            raise HandInError(f"it holds more than {MOST_UNPACKED // 2**20} MB")
        notebooks = [PurePosixPath(member.filename) for member in members if member.filename.endswith(".ipynb")]
        named = [place for place in notebooks if place.name == notebook] or notebooks
        if len(named) != 1:
            raise HandInError(f"it holds {len(notebooks)} notebooks, none or several of them called {notebook}")
        beside = named[0].parent
        places = {member: PurePosixPath(member.filename) for member in members}
        files = {str(p.relative_to(beside)): archive.read(m) for m, p in places.items() if p.is_relative_to(beside)}
    files[notebook] = files.pop(named[0].name)
    return files


def _files(archive: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo]:
    """The plain files, without what systems and editors add, and without any that would land elsewhere."""
    for member in archive.infolist():
        place = PurePosixPath(member.filename)
        hidden = any(part.startswith((".", "__MACOSX")) for part in place.parts)  # ".." too
        link = stat.S_ISLNK(member.external_attr >> 16)
        if not (member.is_dir() or hidden or link or place.is_absolute() or "\\" in member.filename):
            yield member


def _nbgrader() -> NbGraderAPI:
    config = PyFileConfigLoader("nbgrader_config.py", path=str(HERE)).load_config()
    os.chdir(HERE)
    os.environ["PATH"] = os.pathsep.join(
        (str(Path(sys.executable).parent), os.environ["PATH"])
    )  # nbgrader calls alembic
    return NbGraderAPI(config=Config(config))


def _known_assignments(api: NbGraderAPI) -> set[str]:
    with Gradebook(api.coursedir.db_url, api.coursedir.course_id) as gradebook:
        return {assignment.name for assignment in gradebook.assignments}


def _export(api: NbGraderAPI) -> None:
    with Gradebook(api.coursedir.db_url, api.coursedir.course_id) as gradebook:
        CsvExportPlugin(to=str(GRADES)).export(gradebook)
        waiting = sum(1 for one in gradebook.assignments for work in one.submissions if work.needs_manual_grade)
    print(
        f"{GRADES.relative_to(HERE)}: written answers of {waiting} submissions wait for your own grade, see README.md"
    )


def _reason(done: dict) -> str:
    """The line of nbgrader's log that names the error, or its last one."""
    lines = [line.strip() for line in (done.get("log") or done.get("error") or "").splitlines() if line.strip()]
    errors = [line for line in lines if line.partition(":")[0].endswith(("Error", "Exception", "NotJSONError"))]
    return (errors or lines or ["nbgrader gives no reason"])[-1]


def main() -> int:
    """Run one command; returns 1 where something could not be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("release", "grade"))
    parser.add_argument("assignments", nargs="*", help="their names; left out, all of them")
    arguments = parser.parse_args()
    unknown = set(arguments.assignments) - set(assignments())
    if unknown:
        parser.error(f"no assignment is called {', '.join(sorted(unknown))}; there are {', '.join(assignments())}")
    warnings.filterwarnings("ignore", message="Object of type <Submitted")  # nbgrader's way with its database
    command = {"release": release, "grade": grade}[arguments.command]
    problems = command(arguments.assignments or assignments())
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
