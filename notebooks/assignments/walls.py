"""The walls around what a student handed in: the operating system keeps them, whatever the code does in Python or C.

| wall | what is left to the code | Linux | macOS |
|---|---|---|---|
| files | to read: Python, the package, its data; to write: a scratch folder | Landlock | sandbox-exec |
| network | nothing, the own computer included | seccomp | sandbox-exec |
| processes | itself: it starts none, and signals, traces and changes no other | seccomp and Landlock | sandbox-exec |
| resources | what `Limits` says | resource limits, a watch | resource limits, a watch |

`put_up` raises them around the process that calls it, tries each one, and says which do not hold; `missing` asks that
of this machine. seccomp's rules are made by libseccomp, which every Linux with systemd or apt has. Landlock takes three
system calls; its packages on the Python index were months old when this was written, or stop at its fifth version.

Landlock does not watch a file's mode, times and attributes (the system calls that change them do nothing here), nor
whether a path exists.
"""

import ctypes
import errno
import importlib.util
import json
import os
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import psutil

with suppress(ImportError):  # which Windows has not
    import resource

LINUX = sys.platform == "linux"
KINDS = {
    "files": "Landlock" if LINUX else "sandbox-exec",
    "network": "seccomp" if LINUX else "sandbox-exec",
    "processes": "seccomp" if LINUX else "sandbox-exec",
}
SYSTEM = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share"),
    *("/etc/fonts", "/etc/ld.so.cache", "/etc/localtime"),
    *("/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu"),
    *("/dev/random", "/dev/urandom", "/dev/zero"),
)
"""What any program may read."""
GB = 10**9
PROBE_SECONDS = 60


@dataclass(frozen=True)
class Limits:
    """What one hand-in may take; more ends it."""

    seconds_per_cell: float = 60.0
    """Of a cell, or of one call of a function."""
    seconds: float = 1800.0
    """Of the whole hand-in, as the clock counts them and as its processor time."""
    memory: float = 4.0
    """GB beyond what Python and torch take."""
    disk: float = 1.0
    """GB in the scratch folder, half of that in one file."""
    open_files: int = 256
    threads: int = 100

    def __str__(self) -> str:
        return (
            f"{self.memory:g} GB of memory, {self.disk:g} GB of disk, {self.threads} threads, "
            f"{self.seconds_per_cell:g} s a cell, {self.seconds / 60:g} min in all"
        )


def put_up(scratch: str, closed: str, limits: Limits) -> dict[str, str]:
    """Raise the walls around this process; returns those that do not hold, and why.

    From now on it can write into `scratch` alone, and `closed` is a folder that it must not be able to read. A process
    with one thread must call it: others would stay outside.
    """
    absent = {}
    _limit(limits)
    if LINUX:
        _give_up_privileges()
        for raised, build in ((("files",), lambda: _landlock(scratch)), (("network", "processes"), _seccomp)):
            try:
                build()
            except OSError as error:
                absent |= dict.fromkeys(raised, str(error))
    for wall, attempt in _attempts(closed).items():
        try:
            attempt()
        except PermissionError:
            continue
        except OSError:
            pass
        absent.setdefault(wall, f"{KINDS[wall]} lets through what it should not")
    return absent


def missing(closed: Path) -> dict[str, str]:
    """The walls that cannot be put up on this machine, and why."""
    probe = [*command(Path(__file__), scratch=os.devnull), str(closed)]
    try:
        done = subprocess.run(probe, capture_output=True, text=True, timeout=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        return dict.fromkeys(KINDS, f"no answer within {PROBE_SECONDS} seconds")
    except OSError:
        return dict.fromkeys(KINDS, f"{sys.platform} has none")
    if done.returncode == 0:
        return json.loads(done.stdout)
    return dict.fromkeys(KINDS, (done.stderr.strip().splitlines() or ["no answer"])[-1])


def command(program: Path, scratch: str) -> list[str]:
    """What starts a Python program so that `put_up` in it can raise the walls."""
    python = [sys.executable, str(program)]
    return python if LINUX else ["sandbox-exec", "-p", _profile(scratch), *python]


def readable() -> list[str]:
    """What a hand-in may read beside its own files: Python, the installed packages, the course's own and its data."""
    (package,) = importlib.util.find_spec("frcnn_edu").submodule_search_locations
    own = (package, Path(package).parent / "data")
    parts = ("lib", "lib64", "share", "etc")
    python = [Path(prefix, part) for prefix in (sys.prefix, sys.base_prefix) for part in parts]
    here = Path(__file__).resolve()
    installed = [path for path in map(os.path.realpath, sys.path) if not here.is_relative_to(path)]  # not the checkout
    return [str(path) for path in (*SYSTEM, *python, *installed, *own, weights()) if os.path.exists(path)]


def weights() -> Path:
    """Where torchvision keeps pretrained weights, which a hand-in may read and cannot fetch."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser() / "hub" / "checkpoints"


def excess(pid: int, scratch: str, limits: Limits) -> str:
    """What a process takes too much of, of what no resource limit counts; empty where all is well."""
    with suppress(psutil.NoSuchProcess, FileNotFoundError):  # it has just ended
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        if process.num_threads() > limits.threads:
            return f"It had more than {limits.threads} threads."
        if not LINUX and process.memory_info().rss > limits.memory * GB:  # macOS keeps no limit of memory
            return f"It took more than {limits.memory:g} GB of memory."
        try:
            if any(size > limits.disk * GB for size in accumulate(_sizes(scratch, pid))):  # it may grow meanwhile
                return f"It wrote more than {limits.disk:g} GB."
        except (OSError, RecursionError) as error:
            if not isinstance(error, FileNotFoundError):
                return f"It hides what it writes ({error})."
    return ""


def _sizes(folder: str, pid: int) -> Iterator[int]:
    """Bytes on the disk of all below a folder, and of what a process holds open although it is deleted."""

    def complain(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # what is gone again is no matter
            raise error

    for _, folders, files, place in os.fwalk(folder, onerror=complain):
        for name in (*folders, *files):
            with suppress(FileNotFoundError):
                yield max(os.stat(name, dir_fd=place, follow_symlinks=False).st_blocks * 512, 4096)
    for entry in os.scandir(f"/proc/{pid}/fd") if LINUX else ():
        with suppress(FileNotFoundError):
            about = os.stat(entry.path)
            if stat.S_ISREG(about.st_mode) and not about.st_nlink:
                yield about.st_blocks * 512


def _limit(limits: Limits) -> None:
    sizes = {
        "RLIMIT_CORE": 0,
        "RLIMIT_CPU": limits.seconds,
        "RLIMIT_FSIZE": limits.disk * GB / 2,
        "RLIMIT_NOFILE": limits.open_files,
    }
    if LINUX:
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        sizes["RLIMIT_AS"] = taken + limits.memory * GB
        Path("/proc/self/oom_score_adj").write_text("1000")  # where memory runs out all the same, this one goes first
    for name, size in sizes.items():
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        size = int(size) if hard == resource.RLIM_INFINITY else min(int(size), hard)
        resource.setrlimit(kind, (size, size))


def _attempts(closed: str) -> dict[str, Callable[[], object]]:
    """What no wall may let through."""
    return {
        "files": lambda: os.listdir(closed),
        "network": lambda: socket.socket().connect(("127.0.0.1", 9)),
        "processes": lambda: os.fork() or os._exit(0),
    }


# Linux


def _call(name: str | int, *arguments: int | bytes | None) -> int:
    """A function of the C library, or a system call by its number; raises OSError as Python's own calls do."""
    library = ctypes.CDLL(None, use_errno=True)
    numbers = [ctypes.c_long(one) if isinstance(one, int) else ctypes.c_char_p(one) for one in arguments]
    if isinstance(name, int):
        name, numbers = "syscall", [ctypes.c_long(name), *numbers]
    result = library[name](*numbers)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


PDEATHSIG, NO_NEW_PRIVILEGES = 1, 38
"""Of prctl."""
CAPABILITIES = struct.pack("=Ii", 0x20080522, 0)
CAP_DAC_READ_SEARCH = 1 << 2
"""Reads what the file's owner alone may: a teacher may have installed Python in a home that others cannot read."""


def end_with_parent() -> None:
    """From now on this process ends when the one that made it does, however that ends."""
    if LINUX:
        _call("prctl", PDEATHSIG, 9, 0, 0, 0)


def _give_up_privileges() -> None:
    """Keep of root's capabilities only the one that reads."""
    end_with_parent()
    _call("prctl", NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    held = ctypes.create_string_buffer(24)
    ctypes.CDLL(None).capget(CAPABILITIES, held)
    effective, permitted = (one & CAP_DAC_READ_SEARCH for one in struct.unpack_from("=II", held))
    _call("capset", CAPABILITIES, struct.pack("=6I", effective, permitted, 0, 0, 0, 0))


EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
MAKE_CHAR, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 10, 1 << 11
RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many rights to files each version of Landlock knows; later ones, 16 that matter here."""
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446


def _landlock(scratch: str) -> None:
    """From now on this process reads what is `readable`, and writes into the folder `scratch`."""
    try:
        version = _call(CREATE_RULESET, None, 0, 1)
    except OSError as error:
        why = "has it switched off" if error.errno == errno.EOPNOTSUPP else "has none"
        raise OSError(f"Landlock: this kernel, {os.uname().release}, {why}") from None
    handled = (1 << RIGHTS.get(version, 16)) - 1
    ports, outside = 0b11, 0b11  # TCP; abstract sockets and signals
    handles = struct.pack("=QQQ", handled, ports, outside)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    rules = _call(CREATE_RULESET, handles, len(handles), 0)
    reading = dict.fromkeys(readable(), READ_FILE | READ_DIR)
    all_but = handled & ~(EXECUTE | MAKE_CHAR | MAKE_SOCK | MAKE_FIFO | MAKE_BLOCK)
    for path, rights in {**reading, os.devnull: READ_FILE | WRITE_FILE, scratch: all_but}.items():
        place = os.open(path, os.O_PATH)
        if not os.path.isdir(path):
            rights &= READ_FILE | WRITE_FILE
        _call(ADD_RULE, rules, 1, struct.pack("=Qi", rights, place), 0)
        os.close(place)
    _call(RESTRICT_SELF, rules, 0)
    os.close(rules)


ALLOW, REFUSE = 0x7FFF0000, 0x00050000
"""What libseccomp does with a system call; the second with an error's number added, 0 for none."""
DIFFERS, MASKED = 1, 7
"""How it compares an argument: with one number, or after a mask with another."""
THREAD = 1 << 16
INT = 0xFFFFFFFF

REFUSED = {
    "files beyond Landlock": "fanotify_init inotify_init inotify_init1 truncate",
    "the network": "accept accept4 bind connect listen sendmmsg sendmsg socket",
    "other programs": "execve execveat fork vfork",
    "other processes": "kcmp migrate_pages move_pages perf_event_open process_vm_readv process_vm_writev ptrace",
    "their signals": "rt_sigqueueinfo rt_tgsigqueueinfo tkill",
    "their shares": "ioprio_set sched_setaffinity sched_setattr sched_setparam sched_setscheduler setpriority",
    "the kernel": "add_key bpf keyctl mount name_to_handle_at open_by_handle_at request_key setns unshare userfaultfd",
    "memory that no limit counts, or that stays": "memfd_create mq_open msgget semget shmget",
}
"""System calls that fail, by what they reach."""
PRETENDED = (
    "chmod chown fchmod fchmodat fchown fchownat fremovexattr fsetxattr futimesat lchown lremovexattr lsetxattr "
    "removexattr setxattr umask utime utimensat utimes"
)
"""System calls that succeed and do nothing: Landlock lets them change any file, and copying a file ends with them."""
KNOWN_NEW = {436, 437, 439, 441, 449, 453, 462}
"""close_range, openat2, faccessat2, epoll_pwait2, futex_waitv, map_shadow_stack, mseal: harmless ones after 423."""
LATEST = 1024


class _Comparison(ctypes.Structure):
    _fields_ = (("argument", ctypes.c_uint), ("how", ctypes.c_int), ("one", ctypes.c_uint64), ("two", ctypes.c_uint64))


def _seccomp() -> None:
    """From now on this process has no network and is one, with threads; the kernel's newer calls are unknown to it."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(library.seccomp_init(ALLOW))

    def refuse(name: str | int, *comparisons: tuple[int, ...], error: int = errno.EPERM) -> None:
        number = library.seccomp_syscall_resolve_name(name.encode()) if isinstance(name, str) else name
        compared = (_Comparison * len(comparisons))(*comparisons)
        status = library.seccomp_rule_add_array(rules, REFUSE | error, number, len(comparisons), compared)
        if number == -1 or status < 0:
            raise OSError(-status, f"libseccomp does not know {name}")

    for name in " ".join(REFUSED.values()).split():
        refuse(name)
    for name in PRETENDED.split():
        refuse(name, error=0)
    refuse("clone", (0, MASKED, THREAD, 0))
    for number in set(range(424, LATEST)) - KNOWN_NEW:  # clone3 and io_uring among them
        refuse(number, error=errno.ENOSYS)
    for name in ("kill", "tgkill"):
        refuse(name, (0, DIFFERS, os.getpid(), 0))
    refuse("prlimit64", (0, DIFFERS, 0, 0))
    refuse("prctl", (0, MASKED, INT, PDEATHSIG))
    refuse("sendto", (4, DIFFERS, 0, 0))  # without an address it goes where the socket does
    for name, orders in (("fcntl", (8, 15)), ("ioctl", (0x8901, 0x8902))):  # to whom signals about a file go
        for order in orders:
            refuse(name, (1, MASKED, INT, order))
    status = library.seccomp_load(rules)
    if status < 0:
        raise OSError(-status, f"seccomp: {os.strerror(-status)}")


# macOS


def _profile(scratch: str) -> str:
    """The rules of `sandbox-exec`, of which the last that fits counts."""

    def places(*paths: str | Path) -> str:
        return " ".join(f"(subpath {json.dumps(os.path.realpath(path))})" for path in paths)

    private = ("/Users", "/Volumes", "/private/tmp", "/private/var/folders", Path.home(), Path(__file__).parent)
    rules = (
        "(allow default) (deny network*) (deny process-fork) (deny signal (target others)) (deny file-write*)",
        f"(deny file-read-data {places(*private)})",
        f"(allow file-read* {places(*readable(), __file__)})",
        f"(allow file-read* file-write* {places(scratch, os.devnull)})",
    )
    return f"(version 1) {' '.join(rules)}"


if __name__ == "__main__":
    print(json.dumps(put_up(os.devnull, sys.argv[1], Limits())))
