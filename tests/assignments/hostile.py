"""Hostile hand-ins: right answers to the first assignment, and attempts at what no hand-in may do.

Each attempt is bounded, should a wall fail: 200 processes, 4 GB of memory, 300 MB of files, sockets to this computer
only, signals to a process that was started for them. What it gets is printed and so stands in its feedback.
"""

from dataclasses import dataclass
from textwrap import dedent, indent

ALL, ALL_BUT_THE_LAST, ALL_BUT_THE_SECOND = 16, 14, 11
"""Points of the answers."""


@dataclass(frozen=True)
class Attempt:
    """What a cell tries, and what comes of it."""

    does: str
    code: str
    wall: str
    """What has to hold: a name of `walls.KINDS`, `limits`, or `judge` for what its own process and the judge see to."""
    shows: str = "HELD PermissionError"
    """What the feedback has to say."""
    alone: bool = False
    """Whether it ends the program, and so needs a hand-in of its own."""
    points: int = ALL
    """What the hand-in deserves."""
    before: str = "test_count"
    """The test before which the cell stands."""

    def cell(self) -> str:
        """Its source; SETTING stands in a cell before it."""
        body = indent(dedent(self.code).strip(), "    ")
        return f"def attempt():\n{body}\n\nmade({self.does!r}, attempt)"


SETTING = """
import ctypes, json, mmap, os, resource, signal, socket, sqlite3, stat, subprocess, threading, time
from pathlib import Path
import numpy, torch, torchvision

COURSE, HOME, OTHER, TCP, UDP = {course!r}, {home!r}, {other}, {tcp}, {udp}
HIDDEN = COURSE + "/source/a1_anchors_and_iou/anchors_and_iou.ipynb"
GRADES = COURSE + "/gradebook.db"
C = ctypes.CDLL(None, use_errno=True)

def done(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), "from C")
    return result

def open_files():
    return [n for n in range(3, 256) if not C.fcntl(n, 1) == -1]

def made(does, attempt):
    try:
        print(does + ": GOT", attempt())
    except BaseException as error:
        print(does + ": HELD", type(error).__name__, error)
"""
"""What every attempt uses; `OTHER` is the number of a process of the same user."""


READS_HIDDEN_TESTS = (
    Attempt("reads them with open", "return open(HIDDEN).read()", "files"),
    Attempt(
        "reads them with torch.from_file",
        "return bytes(torch.from_file(HIDDEN, size=999, dtype=torch.uint8))",
        "files",
        "HELD RuntimeError",
    ),
    Attempt(
        "reads them with torchvision.io.read_file",
        "return bytes(torchvision.io.read_file(HIDDEN))",
        "files",
        "HELD RuntimeError",
    ),
    Attempt("reads them with numpy.memmap", "return bytes(numpy.memmap(HIDDEN, mode='r'))", "files"),
    Attempt(
        "reads them with open of the C library",
        """
        text = ctypes.create_string_buffer(999)
        C.read(done(C.open(HIDDEN.encode(), 0)), text, 999)
        return text.value
        """,
        "files",
    ),
    Attempt(
        "reads them through a symlink",
        """
        os.symlink(HIDDEN, 'link')
        return open('link').read()
        """,
        "files",
    ),
    Attempt(
        "reads them through a hard link",
        """
        os.link(HIDDEN, 'hard')
        return open('hard').read()
        """,
        "files",
        "HELD OSError",
    ),
    Attempt("reads them through /proc/self/root", "return open('/proc/self/root' + HIDDEN).read()", "files"),
    Attempt(
        "reads them through an open folder",
        """
        place = os.open(COURSE, os.O_PATH)
        return os.open('source/a1_anchors_and_iou/anchors_and_iou.ipynb', os.O_RDONLY, dir_fd=place)
        """,
        "files",
    ),
    Attempt("reads them with cat", "return subprocess.run(['cat', HIDDEN], capture_output=True).stdout", "processes"),
    Attempt("becomes cat", "return os.execv('/bin/cat', ['cat', HIDDEN])", "processes"),
    Attempt("lists the other hand-ins", "return os.listdir(COURSE + '/submitted')", "files"),
    Attempt(
        "reads the gradebook with sqlite",
        "return sqlite3.connect(GRADES).execute('select source from source_cell').fetchall()",
        "files",
        "HELD OperationalError",
    ),
)
CHANGES_FILES = (
    Attempt("overwrites the gradebook", "return open(GRADES, 'r+b').write(bytes(99))", "files"),
    Attempt("empties the gradebook", "return os.truncate(GRADES, 0)", "processes"),
    Attempt("removes the gradebook", "return os.remove(GRADES)", "files"),
    Attempt(
        "puts a file in place of the gradebook",
        """
        open('mine', 'w').close()
        return os.rename('mine', GRADES)
        """,
        "files",
    ),
    Attempt("moves the course away", "return os.rename(COURSE, COURSE + '2')", "files"),
    Attempt("locks everybody out of the gradebook", "return os.chmod(GRADES, 0)", "processes", "GOT None"),
    Attempt("leaves a file in the home", "return open(HOME + '/left', 'w').write('mine')", "files"),
    Attempt("leaves a file in /dev/shm", "return open('/dev/shm/left_by_a_hand_in', 'w').write('mine')", "files"),
    Attempt("leaves shared memory", "return done(C.shmget(0, 1000, 0o1666))", "processes"),
    Attempt("reads the teacher's secrets", "return os.environ['SECRET_TOKEN']", "judge", "HELD KeyError"),
)
TAKES_TOO_MUCH = (
    Attempt(
        "starts processes without end",
        """
        for _ in range(200):
            os.fork() or time.sleep(5) or os._exit(0)
        """,
        "processes",
    ),
    Attempt(
        "starts threads without end",
        """
        threading.stack_size(2**16)
        for _ in range(200):
            threading.Thread(target=time.sleep, args=(9,), daemon=True).start()
        time.sleep(9)
        """,
        "limits",
        "more than 50 threads",
        alone=True,
    ),
    Attempt(
        "takes memory without end",
        """
        taken = []
        for _ in range(40):
            taken.append(bytearray(100_000_000))
        """,
        "limits",
        "HELD MemoryError",
    ),
    Attempt(
        "takes shared memory without end",
        """
        taken = []
        for _ in range(40):
            taken.append(mmap.mmap(-1, 100_000_000))
            for _ in range(100):
                taken[-1].write(bytes(1_000_000))
        """,
        "limits",
        "HELD OSError",
    ),
    Attempt("takes memory as a file", "return os.memfd_create('memory')", "processes"),
    Attempt(
        "lifts its limits",
        "return resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        "limits",
        "HELD ValueError",
    ),
    Attempt(
        "writes one file without end",
        """
        with open('large', 'wb') as file:
            for _ in range(30):
                file.write(bytes(10_000_000))
        """,
        "limits",
        "File too large",
    ),
    Attempt(
        "writes files without end",
        """
        for n in range(30):
            Path(str(n)).write_bytes(bytes(10_000_000))
        time.sleep(9)
        """,
        "limits",
        "It wrote more than",
        alone=True,
    ),
    Attempt(
        "writes deleted files without end",
        """
        kept = []
        for n in range(30):
            kept.append(open('f', 'wb'))
            os.remove('f')
            kept[-1].write(bytes(10_000_000))
        time.sleep(9)
        """,
        "limits",
        "It wrote more than",
        alone=True,
    ),
    Attempt(
        "makes folders without end",
        """
        for _ in range(3000):
            os.mkdir('deeper')
            os.chdir('deeper')
        time.sleep(9)
        """,
        "limits",
        "It hides what it writes",
        alone=True,
    ),
    Attempt(
        "opens files without end",
        """
        kept = []
        for _ in range(400):
            kept.append(open('/dev/null'))
        """,
        "limits",
        "Too many open files",
    ),
    Attempt(
        "sleeps past every limit",
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        time.sleep(1e6)
        """,
        "judge",
        "was stopped after",
        alone=True,
    ),
    Attempt(
        "catches whatever would stop it",
        """
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
        """,
        "judge",
        "was stopped after",
        alone=True,
    ),
    Attempt(
        "never ends when it is called",
        """
        def grid_anchors(base_anchors, feature_size, stride):
            while True:
                pass
        globals()['grid_anchors'] = grid_anchors
        """,
        "judge",
        "GOT None",
        alone=True,
        points=ALL_BUT_THE_SECOND,
        before="test_grid_anchors",
    ),
    Attempt(
        "prints without end",
        """
        while True:
            print('endless' * 100)
        """,
        "judge",
        "was stopped after",
        alone=True,
    ),
    Attempt(
        "shows what is far too large",
        """
        from IPython.display import HTML, display
        display(HTML('x' * 3 * 10**7))
        """,
        "judge",
        "too large to be sent",
    ),
)
REACHES_OUT = (
    Attempt("connects by TCP", "return socket.create_connection(('127.0.0.1', TCP), 2)", "network"),
    Attempt(
        "sends by UDP",
        "return socket.socket(type=socket.SOCK_DGRAM).sendto(b'loot', ('127.0.0.1', UDP))",
        "network",
    ),
    Attempt("listens", "return socket.create_server(('127.0.0.1', 0))", "network"),
    Attempt("opens a socket of the C library", "return done(C.socket(2, 1, 0))", "network"),
    Attempt(
        "talks to a socket of the system",
        """
        one, _ = socket.socketpair(type=socket.SOCK_DGRAM)
        return one.sendto(b'loot', '/run/systemd/journal/socket')
        """,
        "network",
    ),
    Attempt(
        "sets up io_uring",
        "return done(C.syscall(ctypes.c_long(425), ctypes.c_long(8), ctypes.create_string_buffer(120)))",
        "network",
        "HELD OSError [Errno 38]",
    ),
    Attempt("kills another process", "return os.kill(OTHER, signal.SIGKILL)", "processes"),
    Attempt("stops another process", "return os.kill(OTHER, signal.SIGSTOP)", "processes"),
    Attempt("kills its parent", "return os.kill(os.getppid(), signal.SIGKILL)", "processes"),
    Attempt(
        "has a file's signal kill another process",
        """
        import fcntl
        one, two = socket.socketpair()
        fcntl.fcntl(one, fcntl.F_SETOWN, OTHER)
        """,
        "processes",
    ),
    Attempt("traces another process", "return done(C.ptrace(16, OTHER, None, None))", "processes"),
    Attempt(
        "reads another process's memory",
        "return done(C.process_vm_readv(OTHER, None, 0, None, 0, 0))",
        "processes",
    ),
    Attempt("reads another process's environment", "return open(f'/proc/{OTHER}/environ').read()", "files"),
    Attempt("limits another process", "return resource.prlimit(OTHER, resource.RLIMIT_CPU, (1, 1))", "processes"),
    Attempt("slows another process", "return os.setpriority(os.PRIO_PROCESS, OTHER, 19)", "processes"),
    Attempt("makes itself root in a namespace", "return done(C.unshare(0x10000000))", "processes"),
    Attempt(
        "looks for inherited sockets and pipes",
        "return [stat.S_ISSOCK(os.fstat(n).st_mode) for n in open_files()]",
        "judge",
        "GOT [True, True]\n",
    ),
)
LIES = (
    Attempt(
        "answers with what is far too large",
        "globals()['number_of_anchors'] = torch.zeros(3 * 10**7, dtype=torch.uint8)",
        "judge",
        "GOT None",
        alone=True,
        points=ALL_BUT_THE_LAST,
    ),
    Attempt(
        "answers with a pickle that runs code",
        """
        class Bomb:
            def __reduce__(self):
                return open, (HOME + '/left', 'w')
        globals()['number_of_anchors'] = Bomb()
        """,
        "judge",
        "GOT None",
        alone=True,
        points=ALL_BUT_THE_LAST,
    ),
    Attempt(
        "answers with brackets without end",
        "os.write(open_files()[-1], b'[' * 10**6 + b'\\n')",
        "judge",
        "It has ended the program",
        alone=True,
    ),
    Attempt(
        "answers without an end",
        """
        while True:
            os.write(open_files()[-1], b'[' * 10**6)
        """,
        "judge",
        "sent more than it may",
        alone=True,
    ),
    Attempt(
        "answers that the teacher pressed Ctrl-C",
        """
        class Liar:
            def __repr__(self):
                os.write(open_files()[-1], b'{"error": ["KeyboardInterrupt", "x"]}\\n')
        globals()['number_of_anchors'] = Liar()
        """,
        "judge",
        "GOT None",
        alone=True,
        points=ALL_BUT_THE_LAST,
    ),
)
GROUPS = {
    "reads, what is hidden": READS_HIDDEN_TESTS,
    "changes files": CHANGES_FILES,
    "takes too much": TAKES_TOO_MUCH,
    "reaches out": REACHES_OUT,
    "lies": LIES,
}
ATTEMPTS = tuple(attempt for group in GROUPS.values() for attempt in group)


def hand_ins() -> dict[str, list[Attempt]]:
    """Which attempts each student makes."""
    found = {name: [attempt for attempt in group if not attempt.alone] for name, group in GROUPS.items()}
    return found | {attempt.does: [attempt] for attempt in ATTEMPTS if attempt.alone}


WITHOUT_LANDLOCK = """
import ctypes, os, sys
library = ctypes.CDLL("libseccomp.so.2")
library.seccomp_init.restype = ctypes.c_void_p
rules = ctypes.c_void_p(library.seccomp_init(0x7FFF0000))
assert not library.seccomp_rule_add_array(rules, 0x00050000 | 95, 444, 0, None)  # EOPNOTSUPP: switched off at boot
assert not library.seccomp_load(rules)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""A program that runs another one as on a kernel whose Landlock is switched off."""
