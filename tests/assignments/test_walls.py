"""The walls: what hostile hand-ins get, as root and as an ordinary user, and what becomes of grading without Landlock.

A whole course is graded for each user, hostile and honest hand-ins side by side. Where the machine that runs the tests
lacks a wall, the attempts that it would hold are not made, and the tests see that grading refuses and names it.
"""

import csv
import hashlib
import html
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
import pytest
import walls
from hostile import ALL, ATTEMPTS, SETTING, WITHOUT_LANDLOCK, Attempt, hand_ins
from nbformat.v4 import new_code_cell

COURSE = Path(walls.__file__).parent
FIRST = "a1_anchors_and_iou"
MISSING = walls.missing(COURSE)
LIMITS = {"seconds_per_cell": 2.0, "memory": 0.5, "disk": 0.1, "threads": 50}
NOBODY = 65534
USERS = ["root", "an ordinary user"] if os.getuid() == 0 else ["an ordinary user"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass
class Term:
    """A course in a folder that one user owns, with a home, a process of that user's, and two sockets that listen."""

    folder: Path
    user: list[str]
    """What a command starts with so that it runs as this user."""
    other: psutil.Popen
    tcp: socket.socket
    udp: socket.socket

    @property
    def course(self) -> Path:
        return self.folder / "course"

    def hand_in(self, student: str, attempts: Iterable[Attempt] = ()) -> None:
        """A notebook with all answers, and cells with these attempts before a test, the last one as a rule."""
        (source,) = self.course.glob(f"source/{FIRST}/*.ipynb")
        notebook = nbformat.read(source, as_version=4)
        setting = SETTING.format(
            course=str(self.course),
            home=str(self.folder / "home"),
            other=self.other.pid,
            tcp=self.tcp.getsockname()[1],
            udp=self.udp.getsockname()[1],
        )
        notebook.cells.insert(0, new_code_cell(setting))
        for attempt in attempts:
            ids = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in notebook.cells]
            notebook.cells.insert(ids.index(attempt.before), new_code_cell(attempt.cell()))
        target = self.course / "submitted" / student / FIRST / source.name
        target.parent.mkdir(parents=True)
        nbformat.write(notebook, target)

    def grade(self, *options: str, without_landlock: bool = False) -> subprocess.CompletedProcess:
        """`course.py grade`, as this user."""
        process = self.start_grading(*options, without_landlock=without_landlock)
        try:
            said = process.communicate(timeout=600)
        finally:
            process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, *said)

    def start_grading(self, *options: str, without_landlock: bool = False) -> subprocess.Popen:
        """The same, not waited for."""
        if self.user:
            subprocess.run(["chown", "-R", str(NOBODY), self.folder], check=True)
        home, scratch = self.folder / "home", self.folder / "scratch"
        environment = os.environ | {"HOME": str(home), "TMPDIR": str(scratch), "SECRET_TOKEN": "GOT the secret"}
        blinded = [sys.executable, "-c", WITHOUT_LANDLOCK] if without_landlock else []
        command = [*self.user, *blinded, sys.executable, str(self.course / "course.py"), "grade", *options, FIRST]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, text=True, env=environment, **pipes)

    def points(self) -> dict[str, float]:
        """By student, as `grades.csv` has them."""
        with (self.course / "grades.csv").open(newline="", encoding="utf-8") as table:
            return {row["student_id"]: float(row["score"]) for row in csv.DictReader(table)}

    def shown(self, student: str) -> str:
        """The text of a feedback."""
        (page,) = (self.course / "feedback" / student / FIRST).glob("*.html")
        return html.unescape(re.sub("<[^>]+>", "", page.read_text(encoding="utf-8")))

    def sources(self) -> dict[str, str]:
        """What must not change: by its path, the digest and the mode of each file of the course's own."""
        files = [*self.course.glob("*.py"), *self.course.rglob("source/**/*.ipynb")]
        return {str(path): f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mode}" for path in files}

    def left_over(self) -> list[psutil.Process]:
        """Processes that grading has started and not ended."""
        course = str(self.course)
        found = psutil.process_iter(["cmdline", "status"])
        alive = [one for one in found if one.info["status"] != psutil.STATUS_ZOMBIE]
        return [one for one in alive if course in " ".join(one.info["cmdline"] or ())]

    def wait_until(self, holds: Callable[[], object]) -> None:
        """Wait a minute for something to become true."""
        until = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < until, self.left_over()
            time.sleep(0.1)


def as_user(user: str) -> list[str]:
    """What a command starts with so that it runs as this user."""
    if user == "root" or os.getuid():
        return []
    command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    python = Path(sys.executable).resolve()
    if not all(folder.stat().st_mode & 1 for folder in (*python.parents, *Path(walls.__file__).parents)):
        command += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]  # they lie in root's own home
    return command


@pytest.fixture(scope="module", params=USERS)
def user(request):
    return request.param


@contextmanager
def term_of(user: str) -> Iterator[Term]:
    """A term that is removed when it is over."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        folder.chmod(0o755)
        for name in ("home", "scratch"):
            (folder / name).mkdir()
        generated = [name.strip("/") for name in (COURSE / ".gitignore").read_text().split()]
        shutil.copytree(COURSE, folder / "course", ignore=shutil.ignore_patterns(*generated, "__pycache__"))
        with (folder / "course" / "nbgrader_config.py").open("a") as config:
            config.write(f"c.Judge.limits = {LIMITS}\n")
        other = stack.enter_context(psutil.Popen([*as_user(user), "sleep", "900"]))
        stack.callback(other.kill)
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        for one in (tcp, udp):
            one.setblocking(False)
        yield Term(folder, as_user(user), other, tcp, udp)


@pytest.fixture(scope="module")
def graded(user):
    """A term in which every attempt was made whose wall stands here, and what `course.py grade` said."""
    with term_of(user) as term:
        for student, attempts in {"Ada, the first": [], **hand_ins(), "Zoë the last": []}.items():
            term.hand_in(student, [attempt for attempt in attempts if attempt.wall not in MISSING])
        before = term.sources()
        yield term, term.grade(*(["--unfenced"] if MISSING else [])), before


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.does)
def test_an_attempt_gets_nothing_and_the_answers_their_points(graded, attempt):
    term, said, _ = graded
    if attempt.wall in MISSING:
        assert f"{attempt.wall} ({MISSING[attempt.wall]})" in said.stderr
        return
    (student,) = [name for name, attempts in hand_ins().items() if attempt in attempts]
    shown = term.shown(student)
    if not attempt.shows.startswith(("HELD", "GOT")):
        assert f"{attempt.does}: GOT" not in shown
        assert attempt.shows in shown
    else:
        assert f"{attempt.does}: {attempt.shows}" in shown
    assert term.points()[student] == attempt.points


def test_nothing_and_nobody_else_is_harmed(graded):
    term, said, before = graded
    assert term.points()["Ada, the first"] == term.points()["Zoë the last"] == ALL
    assert term.sources() == before
    assert (term.course / "gradebook.db").stat().st_mode & 0o600 == 0o600
    assert (said.returncode, "could not be graded" in said.stdout) == (0, False), said.stderr
    assert bool(said.stderr) == bool(MISSING)
    assert not Path(term.folder, "home", "left").exists()
    assert not Path("/dev/shm/left_by_a_hand_in").exists()
    assert term.other.status() == psutil.STATUS_SLEEPING
    assert term.other.nice() < 19
    assert re.search("Max cpu time +unlimited +unlimited", Path(f"/proc/{term.other.pid}/limits").read_text())
    for listening in (term.tcp.accept, lambda: term.udp.recv(100)):
        with pytest.raises(BlockingIOError):
            listening()


def test_nothing_is_left_behind(graded):
    term, _, _ = graded
    term.wait_until(lambda: not term.left_over())
    assert list(term.folder.glob("scratch/hand_in_*")) == []


def test_which_walls_stand_is_said(graded):
    _, said, _ = graded
    first = said.stdout.splitlines()[0]
    for wall, kind in walls.KINDS.items():
        assert (f"{wall} ({kind})" in first) != (wall in MISSING)
    assert "0.5 GB of memory" in first


WANTED = [attempt for attempt in ATTEMPTS if attempt.does in ("reads them with open", "connects by TCP")]


@pytest.fixture(scope="module")
def unwalled():
    """A term of an ordinary user's with one hand-in."""
    with term_of(USERS[-1]) as term:
        term.hand_in("somebody", WANTED)
        yield term


def test_without_landlock_nothing_is_graded(unwalled):
    term = unwalled
    said = term.grade(without_landlock=True)
    assert said.returncode == 1
    assert "MISSING WALLS: files (Landlock: " in said.stderr
    assert all(word in said.stderr for word in ("Nothing was graded", "UNFENCED=yes", "WSL", "container"))
    assert not (term.course / "grades.csv").exists()


def test_whoever_takes_the_risk_is_told_what_it_is(unwalled):
    """The attempt that Landlock holds comes through, so that it is Landlock which holds it; the others do not."""
    term = unwalled
    said = term.grade("--unfenced", without_landlock=True)
    assert said.returncode == 0, said.stderr
    assert "MISSING WALLS: files (Landlock: " in said.stderr
    assert "files" not in said.stdout.splitlines()[0]
    shown = term.shown("somebody")
    assert "BEGIN HIDDEN TESTS" in shown
    assert ("connects by TCP: HELD PermissionError" in shown) != ("network" in MISSING)
    assert term.points() == {"somebody": ALL}


def test_who_kills_the_grading_ends_all_of_it(unwalled):
    """The judges, the process that pupils are made of, and a pupil that would go on."""
    (endless,) = [attempt for attempt in ATTEMPTS if attempt.does == "sleeps past every limit"]
    unwalled.hand_in("endless", [endless])
    process = unwalled.start_grading("--unfenced")
    unwalled.wait_until(lambda: list(unwalled.folder.glob("scratch/hand_in_*/work")))
    process.kill()
    process.communicate()
    unwalled.wait_until(lambda: not unwalled.left_over())
