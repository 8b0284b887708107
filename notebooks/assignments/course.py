"""The teacher's two commands: `make release` makes the student versions, `make grade` grades what came back.

    python notebooks/assignments/course.py release [ASSIGNMENT ...]
    python notebooks/assignments/course.py grade [--unfenced] [ASSIGNMENT ...]

`grade` takes what lies in `handed_in/ASSIGNMENT/` (NAME.ipynb or NAME.zip) and in `submitted/NAME/ASSIGNMENT/`, and
leaves `feedback/NAME/ASSIGNMENT/*.html` and `grades.csv`. All of it is nbgrader, told what to do; see README.md.
"""

import argparse
import csv
import lzma
import multiprocessing
import os
import shutil
import stat
import sys
import tempfile
import unicodedata
import warnings
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath

import walls
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps import NbGraderAPI
from nursery import Nursery
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

HERE = Path(__file__).resolve().parent
GRADES = HERE / "grades.csv"
MOST_UNPACKED = 200 * 2**20
"""How many bytes a hand-in may hold."""
AT_A_TIME = 2
"""Students who are graded side by side."""
SECONDS_BESIDE = 600.0
"""How long a hand-in may take beyond what it may run: processes start, tests calculate, pages are written."""
ABOUT = ("last_name", "first_name", "email")
SCORES = ("raw_score", "late_submission_penalty", "score")
COLUMNS = ("assignment", "duedate", "timestamp", "student_id", *ABOUT, *SCORES, "max_score")
"""As nbgrader's own export has them."""


NOT_GRADED = (
    "Nothing was graded: without these walls, what students hand in could do here all that you can. Grade on Linux "
    "(5.13 or newer, with libseccomp), on Windows in WSL. Where walls are missing there too, grade in a container or a "
    "virtual machine that holds nothing but the course: make grade UNFENCED=yes (or course.py grade --unfenced)."
)


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


def grade(names: Sequence[str], unfenced: bool = False) -> list[str]:
    """Grade everything that was handed in for these assignments; returns what could not be graded, and why."""
    if _missing_walls() and not unfenced:
        return [NOT_GRADED]
    if walls.LINUX:
        Nursery.take("")  # it imports while this process does
    problems = [problem for name in names for problem in collect(name)]
    api = _nbgrader()
    problems += release(sorted(set(names) - _known_assignments(api)))
    jobs = [(name, folder.parent) for name in names for folder in sorted(HERE.glob(f"submitted/*/{name}"))]
    _import_for_all()
    seconds = walls.Limits(**api.config.Judge.limits).seconds + SECONDS_BESIDE
    for (name, folder), (notes, problem) in zip(jobs, _results(jobs, unfenced, seconds), strict=True):
        failed = " - could not be graded" if problem else ""
        print(f"{name}: {folder.name}{failed}", *notes, sep="\n    ", flush=True)
        problems += [f"{name}, {folder.name}: {problem}"] if problem else []
    _export(api)
    return problems


def _missing_walls() -> dict[str, str]:
    """The walls that this machine lacks; prints which stand and which do not."""
    missing = walls.missing(HERE)
    standing = [f"{wall} ({kind})" for wall, kind in walls.KINDS.items() if wall not in missing]
    limits = walls.Limits(**_nbgrader().config.Judge.limits)
    print(f"Walls around what runs: {', '.join(standing) or 'none'}. Each may take {limits}.", flush=True)
    if missing:
        print(f"MISSING WALLS: {'; '.join(f'{wall} ({why})' for wall, why in missing.items())}.", file=sys.stderr)
    return missing


def _import_for_all() -> None:
    """Import here, and not in each of the processes that are forked from this one, what takes seconds."""
    os.environ["OMP_NUM_THREADS"] = "1"  # two judges work side by side; threads do not live through a fork
    import judge  # noqa: F401

    import frcnn_edu.exercises  # noqa: F401


def _results(jobs: Sequence[tuple[str, Path]], unfenced: bool, seconds: float) -> Iterator[tuple[list[str], str]]:
    """What `_grade_one` makes of each job, in order; a process that is killed takes others along, which run again."""
    with ProcessPoolExecutor(max(1, min(AT_A_TIME, len(jobs))), initializer=walls.end_with_parent) as pool:
        futures = [pool.submit(_grade_one, *job, unfenced) for job in jobs]
        for job, future in zip(jobs, futures, strict=True):
            try:
                yield future.result(seconds)
            except TimeoutError:
                for worker in multiprocessing.active_children():
                    worker.kill()
                yield [], f"it was not done after {seconds:g} seconds"
            except BrokenProcessPool:
                if len(jobs) > 1:
                    yield from _results([job], unfenced, seconds)
                else:
                    yield [], "the process that graded it was killed, for lack of memory perhaps; grade again"


def _grade_one(name: str, folder: Path, unfenced: bool) -> tuple[list[str], str]:
    """Grade one submission: what its teacher should know, and why it could not be graded."""
    student, work = folder.name, folder / name
    try:
        _check_name(student)
        for path in work.rglob("*"):
            if path.is_symlink():  # nbgrader would copy what it leads to
                raise HandInError(f"{path.relative_to(work)} is a link, and not what it leads to")
            if not (path.is_file() or path.is_dir()):  # who opens a pipe waits for its other end
                raise HandInError(f"{path.relative_to(work)} is no file")
    except HandInError as error:
        return [], str(error)
    api = _nbgrader(unfenced)
    done = graded = api.autograde(name, student, force=True, create=True)
    if done["success"]:
        done = api.generate_feedback(name, student, force=True)
    notes = [line.partition("] ")[2] for line in graded.get("log", "").splitlines() if "more than once" in line]
    return notes, "" if done["success"] else _reason(done)


def collect(assignment: str) -> list[str]:
    """Lay what is in `handed_in/ASSIGNMENT` where nbgrader looks for it; returns what could not be read, and why."""
    problems = []
    by_student = defaultdict(list)
    for path in sorted(HERE.glob(f"handed_in/{assignment}/[!.]*")):  # systems and editors add hidden ones
        by_student[unicodedata.normalize("NFC", path.stem.strip())].append(path)
    for student, paths in by_student.items():
        try:
            _check_name(student)
            if len(paths) > 1:
                raise HandInError(f"all of these would be {student}'s, leave one of them or name them apart")
            _lay_out(_files_of(paths[0], notebook_of(assignment)), HERE / "submitted" / student / assignment)
        except (HandInError, *UNREADABLE) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            if not isinstance(error, HandInError):
                reason = f"it cannot be read ({reason})"
            problems.append(f"handed_in/{assignment}/{', '.join(path.name for path in paths)}: {reason}")
    return problems


def _check_name(student: str) -> None:
    """Raise HandInError where nbgrader cannot tell the folder of this student from others, or print its name."""
    if not student.strip("."):
        raise HandInError("it has no student's name")
    if set(student) & set("*?[") or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in student):
        raise HandInError("its name holds *, ?, [ or what cannot be printed")


def _files_of(path: Path, notebook: str) -> dict[str, bytes]:
    """What was handed in, by its place beside the notebook."""
    if not path.is_file():  # who opens a pipe waits for its other end
        raise HandInError("it is no file")
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


@cache
def _nbgrader(unfenced: bool = False) -> NbGraderAPI:
    config = Config(PyFileConfigLoader("nbgrader_config.py", path=str(HERE)).load_config())
    config.CourseDirectory.db_url = f"sqlite:///{HERE / 'gradebook.db'}?timeout=60"  # another student may be written
    config.Judge.unfenced = unfenced or config.Judge.get("unfenced", False)
    os.chdir(HERE)
    os.environ["PATH"] = os.pathsep.join(
        (str(Path(sys.executable).parent), os.environ["PATH"])
    )  # nbgrader calls alembic
    return NbGraderAPI(config=config)


def _known_assignments(api: NbGraderAPI) -> set[str]:
    with Gradebook(api.coursedir.db_url, api.coursedir.course_id) as gradebook:
        return {assignment.name for assignment in gradebook.assignments}


def _export(api: NbGraderAPI) -> None:
    """Write `grades.csv`; nbgrader's own plugin joins names with commas as they are."""
    with (
        Gradebook(api.coursedir.db_url, api.coursedir.course_id) as gradebook,
        GRADES.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for assignment in gradebook.assignments:
            for student in gradebook.students:
                row = {"assignment": assignment.name, "duedate": assignment.duedate, "max_score": assignment.max_score}
                row |= {"student_id": student.id} | {name: getattr(student, name) for name in ABOUT}
                row |= dict.fromkeys(SCORES, 0.0)
                with suppress(MissingEntry):
                    work = gradebook.find_submission(assignment.name, student.id)
                    penalty = work.late_submission_penalty or 0.0
                    row |= dict(zip(SCORES, (work.score, penalty, max(0.0, work.score - penalty)), strict=True))
                    row["timestamp"] = work.timestamp
                table.writerow(row)
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
    parser.add_argument("--unfenced", action="store_true", help="grade although walls are missing")
    arguments = parser.parse_intermixed_args()  # as in `grade --unfenced a5_project`
    unknown = set(arguments.assignments) - set(assignments())
    if unknown:
        parser.error(f"no assignment is called {', '.join(sorted(unknown))}; there are {', '.join(assignments())}")
    sys.stdout.reconfigure(errors="backslashreplace")  # a student's name may have letters that the terminal has not
    warnings.filterwarnings("ignore", message="Object of type <Submitted")  # nbgrader's way with its database
    names = arguments.assignments or assignments()
    problems = grade(names, arguments.unfenced) if arguments.command == "grade" else release(names)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
